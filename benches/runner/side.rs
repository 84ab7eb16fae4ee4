//! The two sides of a comparison. Each is run by a process of its own, this program started again,
//! so that processor time and memory are its alone.
//!
//! The child prepares, prints `ready`, waits for a line, does what is measured and prints what it
//! cost as JSON.

use crate::broker::Broker;
use crate::{bare, ours, usage};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// The queue of all measurements.
pub(crate) const QUEUE: &str = "bench";

/// The queue to which results go. Nobody reads it.
pub(crate) const REPLIES: &str = "bench.replies";

/// What a child does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Side {
    pub(crate) url: String,
    pub(crate) role: Role,
    /// Messages to publish or to handle.
    pub(crate) count: usize,
    /// Threads of the runtime; 0 is tokio's runtime without threads of its own.
    pub(crate) threads: usize,
    /// How much our side logs.
    pub(crate) log: String,
}

/// Who does what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// A bare lapin loop publishes, with so many confirms outstanding.
    BarePublish {
        window: usize,
    },
    /// Our client publishes, one by one or as many as it likes.
    OurPublish {
        window: usize,
    },
    /// A bare lapin loop decodes and acknowledges.
    BareDrain {
        prefetch: u16,
        ack_every: usize,
    },
    /// Our worker runs a task that decodes its arguments.
    OurDrain {
        prefetch: Option<u16>,
        ack_every: u32,
    },
    /// The same, and tells monitors of each task.
    OurEvents,
    /// A bare lapin loop that replies to each message, confirmed, before it acknowledges it.
    BareReply {
        prefetch: u16,
        ack_every: usize,
    },
    /// The time from publishing to the handler, at a low rate.
    BareLatency,
    OurLatency,
    /// Our worker while many tasks are delayed.
    OurDelayed,
    /// Nothing to do, for so many seconds.
    BareIdle {
        seconds: u64,
    },
    OurIdle {
        seconds: u64,
    },
}

/// What a child reports.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// From the start of the measurement to its end.
    pub(crate) wall: Duration,
    /// Processor time of the process meanwhile.
    pub(crate) cpu: Duration,
    /// Of the broker, meanwhile.
    pub(crate) broker: Option<Duration>,
    /// Memory at the end and at its highest, in KiB.
    pub(crate) memory: (u64, u64),
    /// Single times in microseconds, by label, in the order in which they were taken.
    pub(crate) times: Vec<(String, f64)>,
}

/// A child that is ready to be measured.
pub(crate) struct Started {
    child: Child,
    output: BufReader<ChildStdout>,
    /// From starting the process until it was ready.
    pub(crate) start: Duration,
}

impl Side {
    /// Runs this side in a child and measures it.
    pub(crate) fn measure(&self, broker: &Broker) -> Result<Cost> {
        self.start()?.go(broker)
    }

    /// Starts a child and waits until it is ready.
    pub(crate) fn start(&self) -> Result<Started> {
        let start = Instant::now();
        let mut child = Command::new(std::env::current_exe()?)
            .arg("side")
            .arg(serde_json::to_string(self)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut output = BufReader::new(child.stdout.take().context("no output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        if line.trim() != "ready" {
            let _ = child.wait();
            bail!("{:?} did not get ready: {line}", self.role);
        }
        Ok(Started { child, output, start: start.elapsed() })
    }

    /// What the child does.
    pub(crate) fn run(self) -> Result<()> {
        let runtime = match self.threads {
            0 => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            threads => tokio::runtime::Builder::new_multi_thread()
                .worker_threads(threads)
                .enable_all()
                .build()?,
        };
        runtime.block_on(async {
            match self.role {
                Role::BarePublish { window } => bare::publish(&self, window).await,
                Role::BareDrain { prefetch, ack_every } => {
                    bare::drain(&self, prefetch, ack_every).await
                }
                Role::BareReply { prefetch, ack_every } => {
                    bare::reply(&self, prefetch, ack_every).await
                }
                Role::BareLatency => bare::latency(&self).await,
                Role::BareIdle { seconds } => bare::idle(&self, seconds).await,
                Role::OurPublish { window } => ours::publish(&self, window).await,
                Role::OurDrain { prefetch, ack_every } => {
                    ours::drain(&self, prefetch, ack_every).await
                }
                Role::OurEvents => ours::events(&self).await,
                Role::OurLatency => ours::latency(&self).await,
                Role::OurDelayed => ours::delayed(&self).await,
                Role::OurIdle { seconds } => ours::idle(&self, seconds).await,
            }
        })
    }
}

impl Started {
    /// The process of the child.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it begin and waits for its end.
    pub(crate) fn go(mut self, broker: &Broker) -> Result<Cost> {
        self.begin()?;
        self.end(broker)
    }

    /// Lets it begin.
    pub(crate) fn begin(&mut self) -> Result<()> {
        let mut input = self.child.stdin.take().context("no input")?;
        Ok(input.write_all(b"go\n")?)
    }

    /// Waits for its end. What the broker has spent is counted from this call on.
    pub(crate) fn end(mut self, broker: &Broker) -> Result<Cost> {
        let before = broker.time();
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let after = broker.time();
        let status = self.child.wait()?;
        let mut cost: Cost =
            serde_json::from_str(&line).with_context(|| format!("{status}: {line}"))?;
        cost.broker = after.zip(before).map(|(after, before)| after.saturating_sub(before));
        Ok(cost)
    }
}

/// A measurement in the child.
pub(crate) struct Meter {
    started: Instant,
    cpu: Duration,
}

impl Meter {
    /// Says that everything is prepared, and waits for the word to begin.
    pub(crate) fn ready() -> Result<Self> {
        tell("ready")?;
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        Ok(Self { started: Instant::now(), cpu: usage::own_time()? })
    }

    /// Reports what has been spent since.
    pub(crate) fn report(self, times: Vec<(String, f64)>) -> Result<()> {
        let cost = Cost {
            wall: self.started.elapsed(),
            cpu: usage::own_time()?.saturating_sub(self.cpu),
            broker: None,
            memory: usage::memory_of(std::process::id())?,
            times,
        };
        tell(&serde_json::to_string(&cost)?)
    }
}

fn tell(line: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}
