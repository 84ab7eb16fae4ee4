//! The comparisons: which sides meet, in rounds, so that all see the same weather.

use crate::Options;
use crate::bare;
use crate::broker::Broker;
use crate::messages::Kind;
use crate::report::{Aim, Report, Row, Sense, Table};
use crate::side::{QUEUE, REPLIES, Role, Side};
use anyhow::{Result, ensure};
use lapin::options::{QueueDeclareOptions, QueuePurgeOptions};
use lapin::types::FieldTable;

/// As many messages as our worker holds at most by itself.
const PREFETCH: u16 = 250;

/// As many acknowledgements as our worker gathers by itself.
const RUN: usize = 50;

/// One side with what is in the queue when it begins.
struct Entry {
    label: String,
    role: Role,
    against: Option<usize>,
    fill: Option<Kind>,
    log: &'static str,
}

impl Entry {
    fn new(label: impl Into<String>, role: Role) -> Self {
        Self { label: label.into(), role, against: None, fill: None, log: "warn" }
    }

    fn against(self, row: usize) -> Self {
        Self { against: Some(row), ..self }
    }

    fn on(self, kind: Kind) -> Self {
        let label = format!("{}: {}", kind.name(), self.label);
        Self { label, fill: Some(kind), ..self }
    }
}

/// What all measurements of a run have in common.
pub(crate) struct Bench<'a> {
    pub(crate) options: &'a Options,
    pub(crate) broker: &'a Broker,
}

impl Bench<'_> {
    pub(crate) fn side(&self, role: Role, count: usize) -> Side {
        Side {
            url: self.broker.url.clone(),
            role,
            count,
            threads: self.options.threads,
            log: "warn".to_owned(),
        }
    }

    /// Every side once per round, in turn.
    async fn compare(&self, title: &str, count: usize, entries: Vec<Entry>) -> Result<Table> {
        let mut rounds: Vec<Vec<_>> = entries.iter().map(|_| Vec::new()).collect();
        for round in 1..=self.options.rounds {
            for (entry, costs) in entries.iter().zip(&mut rounds) {
                if let Some(kind) = entry.fill {
                    self.fill(kind, count).await?;
                }
                let side = Side { log: entry.log.to_owned(), ..self.side(entry.role, count) };
                let cost = side.measure(self.broker)?;
                eprintln!("{title}, round {round}, {}: {:.2?}", entry.label, cost.cpu);
                costs.push(cost);
                self.empty().await?;
            }
        }
        let rows = entries.into_iter().zip(rounds).map(|(entry, rounds)| Row {
            label: entry.label,
            count,
            against: entry.against,
            rounds,
        });
        Ok(Table { title: title.to_owned(), rows: rows.collect() })
    }

    /// Puts `count` messages into the queue.
    pub(crate) async fn fill(&self, kind: Kind, count: usize) -> Result<()> {
        let connection = bare::connect(&self.broker.url).await?;
        let channel = bare::confirming(&connection).await?;
        bare::fill(&channel, kind, count, 1000).await?;
        Ok(connection.close(200, "filled".into()).await?)
    }

    /// Empties both queues, which exist afterwards.
    pub(crate) async fn empty(&self) -> Result<()> {
        let connection = bare::connect(&self.broker.url).await?;
        let channel = connection.create_channel().await?;
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(REPLIES.into(), options, FieldTable::default()).await?;
        let left = channel.queue_purge(QUEUE.into(), QueuePurgeOptions::default()).await?;
        channel.queue_purge(REPLIES.into(), QueuePurgeOptions::default()).await?;
        ensure!(left < 1_000_000, "{left} messages were left in the queue");
        Ok(connection.close(200, "emptied".into()).await?)
    }

    pub(crate) async fn publish(&self, report: &mut Report) -> Result<()> {
        let singly = vec![
            Entry::new("bare lapin, each confirm awaited", Role::BarePublish { window: 1 }),
            Entry::new("our client, `send`", Role::OurPublish { window: 1 }).against(0),
        ];
        let count = self.options.tasks / 25;
        report.tables.push(self.compare("Publishing one at a time", count, singly).await?);
        let piped = vec![
            Entry::new("bare lapin, 1000 unconfirmed", Role::BarePublish { window: 1000 }),
            Entry::new("our client, `send_all`", Role::OurPublish { window: 1000 }).against(0),
        ];
        let table = self.compare("Publishing many at once", self.options.tasks, piped).await?;
        report.aims.push(Aim {
            what: "rate of publishing many at once ÷ bare lapin".to_owned(),
            measured: table.rate_ratio(1, 0),
            aim: 0.85,
            unit: "",
            sense: Sense::AtLeast,
        });
        report.tables.push(table);
        Ok(())
    }

    pub(crate) async fn drain(&self, report: &mut Report) -> Result<()> {
        let bare = |ack_every| Role::BareDrain { prefetch: PREFETCH, ack_every };
        let ours = |ack_every| Role::OurDrain { prefetch: None, ack_every };
        let each = || Entry::new("bare lapin, acknowledging each", bare(1));
        let runs = || Entry::new("bare lapin, in runs of 50", bare(RUN));
        let our_each = || Entry::new("our worker, acknowledging each", ours(1));
        let our_runs = || Entry::new("our worker, in runs of 50", ours(RUN as u32));
        let entries = vec![
            each().on(Kind::CeleryMsgpack),
            runs().on(Kind::CeleryMsgpack),
            our_each().against(0).on(Kind::CeleryMsgpack),
            our_runs().against(1).on(Kind::CeleryMsgpack),
            runs().on(Kind::CeleryJson),
            our_runs().against(4).on(Kind::CeleryJson),
            each().on(Kind::Sparse),
            runs().on(Kind::Sparse),
            our_each().against(6).on(Kind::Sparse),
            our_runs().against(7).on(Kind::Sparse),
            Entry { log: "info", label: "our worker, logging each task".to_owned(), ..our_runs() }
                .against(7)
                .on(Kind::Sparse),
        ];
        let title = "Working through a filled queue";
        let table = self.compare(title, self.options.tasks, entries).await?;
        let aims = [
            ("Celery's messages (msgpack), acknowledging each: CPU ÷ bare lapin", 2, 0, 1.3),
            ("Celery's messages (msgpack), in runs: CPU ÷ bare lapin", 3, 1, 1.3),
            ("Celery's messages (json), in runs: CPU ÷ bare lapin", 5, 4, 1.3),
            ("our messages, acknowledging each: CPU ÷ bare lapin", 8, 6, 1.3),
            ("our messages, in runs: CPU ÷ bare lapin", 9, 7, 1.3),
            ("our messages, in runs: CPU ÷ bare lapin on Celery's", 9, 1, 0.8),
        ];
        report.aims.extend(aims.map(|(what, row, to, aim)| Aim {
            what: what.to_owned(),
            measured: table.cpu_ratio(row, to),
            aim,
            unit: "",
            sense: Sense::AtMost,
        }));
        report.tables.push(table);
        Ok(())
    }

    pub(crate) async fn events(&self, report: &mut Report) -> Result<()> {
        let silent = Role::OurDrain { prefetch: None, ack_every: RUN as u32 };
        let entries = vec![
            Entry::new("our worker, events off", silent).on(Kind::Sparse),
            Entry::new("our worker, three events of each task", Role::OurEvents)
                .against(0)
                .on(Kind::Sparse),
        ];
        let title = "Events: working through a filled queue";
        let table = self.compare(title, self.options.tasks, entries).await?;
        let more = table.rows[1].cpu() - table.rows[0].cpu();
        report.figures.push(("three events of a task".to_owned(), format!("{more:.1} µs of CPU")));
        report.tables.push(table);
        Ok(())
    }

    pub(crate) async fn reply(&self, report: &mut Report) -> Result<()> {
        let bare = Role::BareReply { prefetch: PREFETCH, ack_every: RUN };
        let ours = Role::OurDrain { prefetch: None, ack_every: RUN as u32 };
        let entries = vec![
            Entry::new("bare lapin, replying", bare).on(Kind::Calls),
            Entry::new("our worker, replying", ours).against(0).on(Kind::Calls),
        ];
        let title = "Working through a filled queue, a confirmed reply to each";
        let table = self.compare(title, self.options.tasks, entries).await?;
        report.aims.push(Aim {
            what: "calls with a result: CPU ÷ bare lapin".to_owned(),
            measured: table.cpu_ratio(1, 0),
            aim: 1.3,
            unit: "",
            sense: Sense::AtMost,
        });
        report.tables.push(table);
        Ok(())
    }

    pub(crate) async fn latency(&self, report: &mut Report) -> Result<()> {
        let entries = vec![
            Entry::new("bare lapin", Role::BareLatency),
            Entry::new("our client and worker", Role::OurLatency).against(0),
        ];
        let count = self.options.tasks / 50;
        let table = self.compare("From publishing to the start, 200/s", count, entries).await?;
        for row in &table.rows {
            let of = |p| row.percentile(p) / 1000.0;
            let times = format!("p50 {:.2} ms, p99 {:.2} ms", of(0.5), of(0.99));
            report.figures.push((format!("publish → start, {}", row.label), times));
        }
        let [bare, ours] = [0, 1].map(|row| table.rows[row].percentile(0.99) / 1000.0);
        report.aims.push(Aim {
            what: "publish → start, p99 above bare lapin".to_owned(),
            measured: ours - bare,
            aim: 0.3,
            unit: "ms",
            sense: Sense::AtMost,
        });
        report.tables.push(table);
        Ok(())
    }
}
