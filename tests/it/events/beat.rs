//! What schedulers tell of the tasks that they send: ours beside Celery's.

use super::celery::compare_shapes;
use super::monitor::Monitor;
use super::telling;
use crate::rig::{Celery, Rig};
use celeriac::app::App;
use celeriac::events::Told;
use celeriac::shutdown::Shutdown;
use celeriac::topology::{QueueKind, QueueTable};
use serde_json::Value;
use std::time::Duration;
use tokio::task::JoinSet;

const APP: &str = r#"
import os
from celery import Celery

app = Celery("app", broker=os.environ["AMQP_URL"])
app.conf.task_send_sent_event = True
app.conf.beat_schedule = {
    "often": {"task": "t.add", "schedule": 0.2, "args": (1, 2), "options": {"queue": "py"}},
}
"#;

#[tokio::test]
async fn a_scheduler_tells_what_it_sends_as_beat_does() {
    let Some(celery) = Celery::find() else { return };
    let rig = Rig::start().await;
    let mut monitor = Monitor::start(&rig).await;
    let mut config = telling(&rig);
    config.events.sent = true;
    let kind = Some(QueueKind::Classic);
    config.queues.insert("rust", QueueTable { kind, ..QueueTable::default() });
    let app = Box::pin(App::connect(config)).await.unwrap();
    let (often, shutdown) = (Duration::from_millis(200), Shutdown::new());
    app.schedule("often").every(often).queue("rust").call("t.add", &(1, 2), &()).unwrap();
    let mut running = JoinSet::new();
    running.spawn(app.scheduler().unwrap().run(shutdown.clone()));
    let file = rig.folder().join("beat");
    let beat = ["beat", "--schedule", file.to_str().unwrap(), "--pidfile="];
    let _beat = celery.celery(APP, &beat, &rig.url(), rig.folder());

    let mut told = Vec::new();
    for queue in ["py", "rust"] {
        let goes_there = |event: &Told| event.kind == "task-sent" && event.fields["queue"] == queue;
        if !monitor.all().any(goes_there) {
            monitor.until_told(queue, goes_there).await;
        }
        let event = monitor.all().find(|event| goes_there(event)).unwrap();
        let mut fields = event.fields.clone();
        assert_eq!(fields["name"], "t.add");
        assert_eq!(fields["root_id"], fields["uuid"]);
        assert!(event.hostname.starts_with("gen"), "{}", event.hostname);
        // Known: shown where the message itself shows them.
        for shown in ["args", "kwargs"] {
            fields.insert(shown.to_owned(), Value::Null);
        }
        told.push(fields);
    }
    compare_shapes(&told[0], &told[1], "task-sent");
    shutdown.drain();
    running.join_next().await.unwrap().unwrap().unwrap();
    app.close().await;
}
