//! Numbers about a worker and its process.

use super::Remote;
use crate::control::PAUSED_HERE;
use serde_json::{Map, Value, json};
use std::fs;
use std::sync::atomic::Ordering;

impl Remote {
    pub(super) fn stats(&self) -> Value {
        let context = &self.context;
        let mut stats = json!({
            "total": self.totals(),
            "pid": std::process::id(),
            "clock": context.events.logical_clock().value().to_string(),
            "uptime": context.status.uptime().as_secs(),
            "pool": self.pool(),
            "broker": self.broker_info(),
            "prefetch_count": context.status.prefetch(),
            "rusage": rusage().unwrap_or_else(|| json!("N/A")),
        });
        let paused = context.status.paused();
        if !paused.is_empty() {
            stats[PAUSED_HERE] = json!(paused);
        }
        if let Some((max, min)) = context.slots.range() {
            let held = context.here.all().len();
            let running = usize::try_from(context.status.running()).unwrap_or(usize::MAX);
            stats["autoscaler"] =
                json!({ "max": max, "min": min, "current": running.clamp(min, max), "qty": held });
        }
        stats
    }

    fn totals(&self) -> Map<String, Value> {
        let started = |known: &super::super::context::Known| known.started.load(Ordering::Relaxed);
        let tasks = self.context.tasks.iter();
        let tasks = tasks.map(|(name, known)| (name, started(known))).filter(|(_, n)| *n > 0);
        tasks.map(|(name, started)| (name.clone(), json!(started))).collect()
    }

    fn pool(&self) -> Value {
        let context = &self.context;
        json!({
            "implementation": "celeriac",
            "max-concurrency": context.slots.size(),
            "processes": [std::process::id()],
            "max-tasks-per-child": null,
            "put-guarded-by-semaphore": true,
            "timeouts": [],
            "running": context.status.running(),
            "free": context.slots.free(),
        })
    }

    fn broker_info(&self) -> Value {
        let Some(address) = self.broker.address() else { return json!({}) };
        json!({
            "hostname": address.host,
            "userid": address.user,
            "virtual_host": address.vhost,
            "port": address.port,
            "insist": false,
            "ssl": address.tls,
            "transport": "amqp",
            "connect_timeout": address.connect_timeout.as_secs(),
            "transport_options": {},
            "login_method": "PLAIN",
            "uri_prefix": null,
            "heartbeat": address.heartbeat.as_secs_f64(),
            "failover_strategy": "round-robin",
            "alternates": [],
            "credential_provider": null,
        })
    }

    /// Resident memory, as Celery writes it.
    pub(super) fn memory(&self) -> Value {
        let kilobytes = status_line("VmRSS:").and_then(|line| number(&line));
        kilobytes.map_or(Value::Null, |kilobytes| json!(format!("{:.1}MB", kilobytes / 1024.0)))
    }
}

/// What the process has used, where `/proc` tells it. What nobody counts is 0, as from the kernel.
fn rusage() -> Option<Value> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name, second of the fields, may hold spaces; after its parenthesis they are separable.
    let fields: Vec<u64> = stat
        .rsplit_once(')')?
        .1
        .split_ascii_whitespace()
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
    // The kernel counts in hundredths of a second for programs.
    let seconds = |ticks: u64| ticks as f64 / 100.0;
    let count = |line: &str| status_line(line).and_then(|line| number(&line)).unwrap_or(0.0);
    Some(json!({
        "utime": seconds(field(14)), "stime": seconds(field(15)),
        "maxrss": count("VmHWM:") as u64,
        "ixrss": 0, "idrss": 0, "isrss": 0,
        "minflt": field(10), "majflt": field(12),
        "nswap": 0, "inblock": 0, "oublock": 0, "msgsnd": 0, "msgrcv": 0, "nsignals": 0,
        "nvcsw": count("voluntary_ctxt_switches:") as u64,
        "nivcsw": count("nonvoluntary_ctxt_switches:") as u64,
    }))
}

fn status_line(name: &str) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
}

fn number(line: &str) -> Option<f64> {
    line.trim().trim_end_matches("kB").trim().parse().ok()
}
