//! A worker says that it is there, that it lives, and that it stops.

use super::context::Context;
use crate::events::{Event, Load};
use std::sync::Arc;
use tokio::time::{MissedTickBehavior, interval};

/// Tells that the worker is online, then again and again that it lives, until it was told last.
pub(super) async fn beat(cx: Arc<Context>) {
    let every = cx.events.settings().heartbeat;
    if every.is_zero() {
        return;
    }
    tell(&cx, Event::Online);
    let mut beats = interval(every);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first comes at once.
    beats.tick().await;
    loop {
        tokio::select! {
            biased;
            () = cx.events.closed() => return,
            _ = beats.tick() => tell(&cx, Event::Heartbeat),
        }
    }
}

/// Tells that the worker stops.
pub(super) fn last(cx: &Context) {
    if !cx.events.settings().heartbeat.is_zero() {
        tell(cx, Event::Offline);
    }
}

/// Tells `kind` with the present load.
pub(super) fn tell(cx: &Context, kind: fn(Load) -> Event<'static>) {
    let (running, finished) = (cx.status.running(), cx.status.finished());
    let every = cx.events.settings().heartbeat;
    let load = Load::now(every, running, running.saturating_add(finished), cx.events.dropped());
    cx.events.tell(&kind(load));
}
