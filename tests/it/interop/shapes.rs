//! Every shape of workflow, by Celery's worker alone, by both fleets, and by ours alone: with the
//! same values, errors, callbacks and errbacks.

use std::collections::BTreeMap;

use celeriac::canvas::Canvas;
use celeriac::client::ResultError;
use celeriac::protocol::Signature;
use futures::StreamExt;
use serde_json::{Value, json};

use super::fleet::{Fleets, Queues, Rows, rows};
use crate::rig::{PATIENCE, Running};

const SHAPES: &str = include_str!("shapes.py");

/// What Celery's own workers leave waiting for ever, and how ours end it.
fn ended_by_us() -> BTreeMap<&'static str, Value> {
    let no = json!(["FAILURE", "ValueError", "no"]);
    let expired = json!(["REVOKED", "TaskRevokedError", "expired"]);
    let inner = "Dependency ID raised ValueError('no')";
    let outer = format!("Dependency ID raised ChordError(\"{inner}\")");
    let failed = json!(["FAILURE", "ChordError", outer]);
    let outermost = format!(
        "Dependency ID raised ChordError('Dependency ID raised ChordError(\"{}\")')",
        inner.replace('\'', "\\'")
    );
    BTreeMap::from([
        ("fail in chain group chord", failed.clone()),
        ("fail in chain group chord here", failed),
        ("fail in chord chord chord", json!(["FAILURE", "ChordError", outermost])),
        ("fail before a final group", json!([no, no])),
        ("expires in a chain", expired.clone()),
        ("expires in a chain there", expired),
    ])
}

/// What ends otherwise when we send it: Celery's producer changes the order of nested groups.
const IN_ANOTHER_ORDER: &str = "chain ending in a group of groups";

#[tokio::test]
async fn every_shape_ends_as_with_celerys_own_workers() {
    let Some(fleets) = Fleets::start().await else { return };
    let python = |arguments: &[&str], queues| fleets.python(SHAPES, arguments, queues);
    let mut theirs = python(&["run", "theirs"], Queues::THEIRS);
    let mut mixed = python(&["run", "mixed"], Queues::MIXED);
    let mut ours = python(&["run", "ours"], Queues::OURS);
    let mut shown = python(&["show", "sent"], Queues::MIXED);
    let sent = async {
        let shown = rows(&mut shown).await;
        send(&fleets.ours, shown).await
    };
    let running = async { tokio::join!(rows(&mut theirs), rows(&mut mixed), rows(&mut ours)) };
    let ((theirs, mixed, ours), sent) = tokio::join!(running, sent);

    assert!(theirs.len() > 50, "{theirs:#?}");
    let ended_by_us = ended_by_us();
    let mut wrong = Vec::new();
    let mut compare = |name: &str, by, found: &Value, expected: &Value| {
        if found != expected {
            wrong.push(format!("{name}, {by}\n   {found}\n   {expected}"));
        }
    };
    for (name, expected) in &theirs {
        if let Some(by_us) = ended_by_us.get(name.as_str()) {
            assert!(expected["ended"].to_string().contains("PENDING"), "Celery ends it: {name}");
            compare(name, "ours", &ours[name]["ended"], by_us);
            continue;
        }
        compare(name, "mixed", &mixed[name], expected);
        compare(name, "ours", &ours[name], expected);
        let ended = &expected["ended"];
        match name.as_str() {
            IN_ANOTHER_ORDER => compare(name, "sent by us", &sent[name], &json!([2, 3, 4])),
            _ => compare(name, "sent by us", &sent[name], first_error(ended).unwrap_or(ended)),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    fleets.stop().await;
}

/// Sends each from here, all at once, and awaits them.
async fn send(running: &Running, shown: Rows) -> Rows {
    let ended_by_us = ended_by_us();
    let ends = shown.into_iter().filter(|(name, _)| !ended_by_us.contains_key(name.as_str()));
    let sending = ends.map(|(name, row)| async move {
        let signature: Signature = serde_json::from_value(row["canvas"].clone()).unwrap();
        let canvas = match Canvas::read(signature) {
            Ok(canvas) => canvas,
            Err(error) => return (name, json!(error.to_string())),
        };
        let ended = match running.app.client().apply::<Value>(canvas).await {
            Ok(handle) => outcome(handle.timeout(PATIENCE).await),
            Err(error) => json!(error.to_string()),
        };
        (name, ended)
    });
    futures::stream::iter(sending).buffer_unordered(100).collect().await
}

/// The value, or the error with its state and type, as the Python program tells it.
fn outcome(result: Result<Value, ResultError>) -> Value {
    match result {
        Ok(value) => value,
        Err(ResultError::Failed { state, exception, .. }) => {
            let text = exception.text();
            let words = text.split(' ').map(|word| if word.len() == 36 { "ID" } else { word });
            let text: Vec<_> = words.collect();
            json!([state.as_str(), exception.kind, text.join(" ")])
        }
        Err(other) => json!(other.to_string()),
    }
}

/// What a handle of ours says of a group: its first error.
fn first_error(ended: &Value) -> Option<&Value> {
    let items = ended.as_array()?;
    match items.first()?.as_str() {
        Some("FAILURE" | "REVOKED") => Some(ended),
        _ => items.iter().find_map(first_error),
    }
}
