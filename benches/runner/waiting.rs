//! Tasks that wait in the broker, and workers that wait for tasks.

use crate::messages::{Kind, TASK};
use crate::report::{Aim, Report, Sense, percentile};
use crate::rounds::Bench;
use crate::side::{Cost, QUEUE, Role, Side};
use crate::{ours, usage};
use anyhow::Result;
use celeriac::app::App;
use celeriac::client::NamedCall;
use celeriac::publisher::SendOptions;
use futures::StreamExt;
use std::time::{Duration, Instant};

impl Bench<'_> {
    /// Many tasks wait at once. They are all published before the first long one is due.
    pub(crate) async fn delayed(&self, report: &mut Report) -> Result<()> {
        let count = self.options.delayed;
        let long = self.options.delayed_for;
        let waits = [long, long, long, 5_u64.min(long)];
        let idle = self.idle_broker()?;
        let mut worker = self.side(Role::OurDelayed, count).start()?;
        let pid = worker.pid();
        worker.begin()?;
        let before = self.broker.time();
        let started = Instant::now();
        let app = App::connect(ours::config(&self.broker.url)).await?;
        let client = app.client().clone();
        let call = |number: usize| {
            let wait = waits[number % waits.len()];
            let options = SendOptions::default().queue(QUEUE).ignore_result();
            let options = options.countdown(Duration::from_secs(wait));
            let args = (i64::try_from(wait).unwrap_or(0), 0);
            NamedCall { task: TASK.to_owned(), args, kwargs: (), options }
        };
        // The worker's memory without anything waiting: after its first hundred tasks.
        let (first, rest) = (count / 100, count);
        let mut sent = std::pin::pin!(client.send_all((0..rest).map(call)));
        let mut empty = usage::memory_of(pid)?.0;
        for number in 0..count {
            if let Some(sent) = sent.next().await {
                sent?;
            }
            if number == first {
                empty = usage::memory_of(pid)?.0;
            }
        }
        let accepting = started.elapsed();
        let waiting = usage::memory_of(pid)?.0;
        let cost = worker.end(self.broker)?;
        let whole = started.elapsed();
        let spent = self.broker.time().zip(before).map(|(after, before)| after - before);
        app.close().await;
        let per_second = idle.unwrap_or_default();
        let spent =
            spent.map(|spent| spent.saturating_sub(per_second.mul_f64(whole.as_secs_f64())));
        let figures =
            Delayed { count, accepting, empty, waiting, cost, spent, waits: [5.min(long), long] };
        figures.add_to(report);
        Ok(())
    }

    /// What the broker spends per second when nobody asks anything of it.
    fn idle_broker(&self) -> Result<Option<Duration>> {
        let Some(before) = self.broker.time() else { return Ok(None) };
        std::thread::sleep(Duration::from_secs(3));
        Ok(self.broker.time().map(|after| (after - before) / 3))
    }

    /// What a worker costs that has nothing to do, and how soon it has begun.
    pub(crate) async fn idle(&self, report: &mut Report) -> Result<()> {
        let seconds = self.options.idle;
        let sides =
            [("bare lapin", Role::BareIdle { seconds }), ("our worker", Role::OurIdle { seconds })];
        for (name, role) in sides {
            let mut starts = Vec::new();
            let mut last = Cost::default();
            for _ in 0..self.options.rounds {
                self.fill(Kind::Sparse, 1).await?;
                let side = Side { log: "info".to_owned(), ..self.side(role, 1) };
                let started = side.start()?;
                starts.push(started.start.as_secs_f64() * 1000.0);
                last = started.go(self.broker)?;
                self.empty().await?;
            }
            let start = percentile(starts.into_iter(), 0.5);
            let share = last.cpu.as_secs_f64() / last.wall.as_secs_f64() * 100.0;
            let memory = last.memory.0 as f64 / 1024.0;
            report.figures.push((
                format!("idle, {name}"),
                format!(
                    "first task {start:.0} ms after the process began; {memory:.1} MiB; \
                     {share:.3} % of a CPU"
                ),
            ));
            if name == "our worker" {
                let aims = [
                    ("idle worker, memory", memory, 20.0, "MiB"),
                    ("idle worker, processor", share, 0.1, "%"),
                    ("start of the process to first task", start, 100.0, "ms"),
                ];
                report.aims.extend(aims.map(|(what, measured, aim, unit)| {
                    let (what, sense) = (what.to_owned(), Sense::AtMost);
                    Aim { what, measured, aim, unit, sense }
                }));
            }
        }
        Ok(())
    }
}

/// What was seen of tasks that waited.
struct Delayed {
    count: usize,
    /// From the first publication to the last confirm.
    accepting: Duration,
    /// Memory of the worker in KiB, with few and with all tasks waiting.
    empty: u64,
    waiting: u64,
    cost: Cost,
    /// Processor time of the broker beyond what it spends idle.
    spent: Option<Duration>,
    waits: [u64; 2],
}

impl Delayed {
    fn add_to(self, report: &mut Report) {
        let count = self.count as f64;
        let mut tell = |what: &str, figure: String| {
            report.figures.push((format!("{} tasks delayed: {what}", self.count), figure));
        };
        tell("accepted", format!("{:.0}/s", count / self.accepting.as_secs_f64()));
        let (empty, waiting) = (self.empty as f64 / 1024.0, self.waiting as f64 / 1024.0);
        tell("memory of the worker", format!("{empty:.1} MiB before, {waiting:.1} MiB meanwhile"));
        for wait in self.waits {
            let label = wait.to_string();
            let late = |p| {
                let times = self.cost.times.iter().filter(|(of, _)| *of == label);
                percentile(times.map(|(_, late)| *late / 1000.0), p)
            };
            let late = format!(
                "p50 {:.1} ms, p99 {:.1} ms, worst {:.1} ms",
                late(0.5),
                late(0.99),
                late(1.0)
            );
            tell(&format!("late after {wait} s"), late);
        }
        let per_task = self.spent.map(|spent| spent.as_secs_f64() * 1e6 / count);
        let memory = Aim {
            what: "memory of the worker for delayed tasks".to_owned(),
            measured: waiting - empty,
            aim: 1.0,
            unit: "MiB",
            sense: Sense::AtMost,
        };
        report.aims.push(memory);
        report.aims.extend(per_task.map(|measured| Aim {
            what: "processor time of the broker per delayed task, whole life".to_owned(),
            measured,
            aim: 400.0,
            unit: "µs",
            sense: Sense::AtMost,
        }));
    }
}
