//! A real Celery worker runs against the rig's broker and stops when told.

use crate::rig::{Celery, PATIENCE, Rig, Signal};

const APP: &str = r#"
import os
from celery import Celery

app = Celery("app", broker=os.environ["AMQP_URL"], backend="rpc://")

@app.task
def add(a, b):
    return a + b
"#;

const SEND: &str = r#"
from app import add
print("sum", add.delay(2, 40).get(timeout=50))
"#;

#[tokio::test]
async fn a_celery_producer_and_a_celery_worker_meet_at_the_broker() {
    let Some(celery) = Celery::find() else { return };
    let rig = Rig::start().await;
    let arguments = ["worker", "--pool=solo", "--loglevel=INFO"];
    let mut worker = celery.celery(APP, &arguments, &rig.url(), rig.folder());
    worker.until("ready.").await;
    let mut producer = celery.run(SEND, &rig.url(), rig.folder());
    worker.until("succeeded in").await;
    producer.until("sum 42").await;
    worker.signal(Signal::TERM);
    assert_eq!(worker.ended(PATIENCE).await.code(), Some(0));
}
