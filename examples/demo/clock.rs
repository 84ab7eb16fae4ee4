//! The clock: two schedulers, of which one leads, and a task that strikes every second.

use crate::folder::Folder;
use crate::tools::comes_true;
use crate::worker;
use anyhow::{Context, bail};
use celeriac::config::Config;
use celeriac::scheduler::Entries;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashSet;
use std::fs::{self, File};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};
use tokio::process::Child;

/// How long a scheduler may take to lead, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

const SECOND: Duration = Duration::from_secs(1);

/// Two schedulers. They are killed when this is dropped.
#[derive(Debug)]
pub struct Clock {
    folder: Folder,
    schedulers: Vec<Child>,
    since: SystemTime,
}

impl Clock {
    /// Starts both, and waits until one leads.
    pub async fn start(folder: &Folder) -> anyhow::Result<Self> {
        let mut schedulers = Vec::new();
        for number in 0..2 {
            let path = folder.scheduler_log(number);
            let log = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
            let mut command = worker::celeriac(folder, &["scheduler"])?;
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
            let child = command.kill_on_drop(true).spawn().context("starting a scheduler")?;
            schedulers.push(child);
        }
        let since = SystemTime::now();
        let mut clock = Self { folder: folder.clone(), schedulers, since };
        clock.until_led(0).await?;
        clock.since = SystemTime::now();
        Ok(clock)
    }

    /// `kill -9` for the one that leads; how long it took until the other did.
    pub async fn kill_the_leader(&mut self) -> anyhow::Result<Duration> {
        let terms = [0, 1].map(|number| self.term(number));
        let leader = usize::from(terms[1] > terms[0]);
        self.schedulers[leader].kill().await.context("killing the leading scheduler")?;
        let killed = Instant::now();
        self.until_led(terms[leader]).await?;
        Ok(killed.elapsed())
    }

    /// Stops what runs. How often the clock should have struck by now, and how often it did.
    pub async fn stop(&mut self, config: &Config) -> anyhow::Result<(usize, usize)> {
        let until = SystemTime::now() - SECOND;
        for scheduler in &self.schedulers {
            if let Some(pid) = scheduler.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
                kill_process(pid, Signal::TERM).context("stopping a scheduler")?;
            }
        }
        for scheduler in &mut self.schedulers {
            tokio::time::timeout(PATIENCE, scheduler.wait()).await.context("stopping")??;
        }
        let entries = Entries::of(&config.schedules, until);
        let entries = entries.map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
        let entry = entries.get("clock").context("the schedule of the clock")?;
        let dues = entry.schedule.after(self.since + SECOND).take_while(|due| *due <= until);
        let expected: HashSet<String> = dues.map(|due| entry.id(due).to_string()).collect();
        let struck = || {
            let struck = fs::read_to_string(self.folder.strikes()).unwrap_or_default();
            struck.lines().filter(|id| expected.contains(*id)).collect::<HashSet<_>>().len()
        };
        comes_true(PATIENCE, async || struck() == expected.len()).await;
        Ok((expected.len(), struck()))
    }

    async fn until_led(&self, before: u64) -> anyhow::Result<()> {
        if !comes_true(PATIENCE, async || (0..2).any(|number| self.term(number) > before)).await {
            bail!("no scheduler leads; see {}", self.folder.scheduler_log(0).display());
        }
        Ok(())
    }

    /// The last term in which this scheduler led.
    fn term(&self, number: usize) -> u64 {
        let log = fs::read_to_string(self.folder.scheduler_log(number)).unwrap_or_default();
        let lines = log.lines().filter(|line| line.contains(": leading"));
        let term = |line: &str| line.split_once("term=")?.1.split_whitespace().next()?.parse().ok();
        lines.filter_map(term).max().unwrap_or(0)
    }
}
