//! Workflows in a test without a broker, under a clock that the test moves.

use super::{call, math, plus};
use celeriac::app::App;
use celeriac::canvas::{Canvas, chain, chord, group};
use celeriac::protocol::Signature;
use celeriac::testing::TestWorker;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn every_form_runs_and_waits_under_the_tests_own_clock() {
    let app = App::in_memory();
    let worker = TestWorker::new(&app).registry(math());
    let sum = || Signature::new("math.sum");
    let inner = || chord([plus(1), plus(2)], sum());
    let later = Signature::call("math.add", &(5,)).unwrap().option("countdown", 3_600);
    let cases: [(Canvas, Value); 4] = [
        (chain([call("math.add", (1, 2)), plus(10)]), json!(13)),
        (group([plus(1), plus(2)]), json!([1, 2])),
        (chord([inner(), inner(), chain([plus(1), later.into()])], sum()), json!(12)),
        (chain([plus(1), group([plus(1), plus(2)]), sum().into()]), json!(5)),
    ];
    let mut handles = Vec::new();
    for (canvas, expected) in cases {
        handles.push((app.client().apply::<Value>(canvas).await.unwrap(), expected));
    }
    let before = worker.drain().await.runs().len();
    let after = worker.advance(Duration::from_secs(3_600)).await.runs().len();
    assert_eq!(after - before, 2, "the step that waited, and the body of its chord");
    for (handle, expected) in handles {
        assert_eq!(handle.await.unwrap(), expected);
    }
    worker.stop().await;
}
