//! Workers, asked now, and how long the queues are that they consume.

use super::super::http::Pages;
use super::super::index::workers::{self, Presence};
use super::given::Given;
use super::refusal::Refusal;
use crate::broker::Broker;
use crate::control::{Arguments, AskError, Caller, Recipients};
use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Mutex;

/// What every worker is asked.
const OF_ALL: [&str; 4] = ["stats", "active_queues", "registered", "conf"];

/// What one that is named is asked besides: it can be much.
const OF_ONE: [&str; 4] = ["scheduled", "active", "reserved", "revoked"];

/// How long workers may take for one answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks workers about themselves. Cloning is cheap; all clones are one, and ask one after the other.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Inspector(Arc<Mutex<Option<Caller>>>);

impl Inspector {
    /// What workers say of themselves, by their names: all of them, or the one that is named.
    pub(super) async fn ask(
        &self,
        broker: &Broker,
        name: Option<&str>,
    ) -> Result<Map<String, Value>, AskError> {
        let mut kept = self.0.lock().await;
        let mut caller = match kept.take() {
            Some(caller) => caller,
            None => Caller::open(broker).await?,
        };
        // Whoever is dropped in the middle of a question leaves no half answered caller behind.
        let answered = inspect(&mut caller, name).await;
        if answered.is_ok() {
            *kept = Some(caller);
        }
        answered
    }
}

async fn inspect(caller: &mut Caller, name: Option<&str>) -> Result<Map<String, Value>, AskError> {
    let to = name.map_or(Recipients::All, |name| Recipients::Named(vec![name.to_owned()]));
    let found = caller.ask("ping", Arguments::new(), to, PATIENCE).await?;
    let names: Vec<_> = found.replies.into_keys().collect();
    let mut told: Map<String, Value> = Map::new();
    let more = if name.is_some() { &OF_ONE[..] } else { &[] };
    for method in OF_ALL.iter().chain(more).filter(|_| !names.is_empty()) {
        let to = Recipients::Named(names.clone());
        let answers = caller.ask(method, Arguments::new(), to, PATIENCE).await?;
        for (node, reply) in answers.replies {
            if reply.error().is_none() {
                let worker = told.entry(node).or_insert_with(|| json!({}));
                worker[*method] = reply.value;
                worker["timestamp"] = json!(now());
            }
        }
    }
    Ok(told)
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// `GET /api/workers`
pub(super) async fn list(State(pages): State<Pages>, given: Given) -> Result<Json<Value>, Refusal> {
    if given.is_wished("status") {
        let all = pages.index.read(workers::all).await?;
        let alive = all.into_iter().map(|it| (it.name, json!(it.presence == Presence::Up)));
        return Ok(Json(Value::Object(alive.collect())));
    }
    let name = given.text("workername");
    let asked = pages.inspector.ask(&pages.broker, name).await;
    let told = asked.map_err(|error| Refusal::unavailable(error.to_string()))?;
    match name {
        Some(name) if !told.contains_key(name) => Err(Refusal::unknown("worker", name)),
        _ => Ok(Json(Value::Object(told))),
    }
}

/// `GET /api/queues/length`
pub(super) async fn queues(State(pages): State<Pages>) -> Json<Value> {
    let known = pages.depths.all().into_iter().filter(|(_, seen)| !seen.workers.is_empty());
    let queues: Vec<_> = known
        .filter_map(|(name, seen)| {
            let depth = seen.depth?;
            Some(json!({ "name": name, "messages": depth.ready, "consumers": depth.consumers }))
        })
        .collect();
    Json(json!({ "active_queues": queues }))
}
