//! Some schedulers at once, each behind a proxy of its own.

use std::time::{Duration, Instant};

use crate::rig::{PATIENCE, Process, Proxy, Rig, Signal, within};

/// Three schedulers of the same file.
#[derive(Debug)]
pub struct Team<'a> {
    rig: &'a Rig,
    members: Vec<Member>,
    /// The greatest term that was seen.
    pub term: u64,
}

#[derive(Debug)]
struct Member {
    process: Process,
    proxy: Proxy,
}

/// What happens to the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// kill -9; another is started in its place.
    Killed,
    /// Stopped by a signal until another leads, then let go on.
    Frozen,
    /// Its connection is reset; it may connect again.
    Cut,
    /// Its network swallows everything until another leads, and is mended then.
    Silent,
    /// The broker is restarted.
    BrokerRestarted,
    /// Told to stop, as in a deployment; another is started in its place.
    Replaced,
    /// It leads, and the broker takes no publications until it has stepped down.
    Blocked,
}

impl<'a> Team<'a> {
    /// Starts three, and awaits that one leads.
    pub async fn start(rig: &'a Rig, config: &str) -> Self {
        tokio::fs::write(rig.folder().join("celeriac.toml"), config).await.unwrap();
        let mut team = Self { rig, members: Vec::new(), term: 0 };
        for _ in 0..3 {
            let proxy = rig.proxy().await;
            let process = start(rig, &proxy);
            team.members.push(Member { process, proxy });
        }
        team.until_led().await;
        team
    }

    /// Takes the lead from whoever has it, and says how long nobody led.
    pub async fn lose(&mut self, loss: Loss) -> Duration {
        let leader = self.leader();
        let lost = Instant::now();
        let member = &mut self.members[leader];
        match loss {
            Loss::Killed => member.process.kill().await,
            Loss::Frozen => member.process.signal(Signal::STOP),
            Loss::Cut => member.proxy.cut(),
            Loss::Silent => member.proxy.freeze(),
            Loss::BrokerRestarted => self.rig.node().restart().await,
            Loss::Replaced => member.process.signal(Signal::TERM),
            Loss::Blocked => {
                self.rig.node().raise_memory_alarm().await;
                member.process.until("stepping down").await;
                self.rig.node().clear_memory_alarm().await;
            }
        }
        self.until_led().await;
        let took = lost.elapsed();
        let member = &mut self.members[leader];
        match loss {
            Loss::Frozen => member.process.signal(Signal::CONT),
            Loss::Silent => {
                // As a router that comes back: what waited arrives late, at a closed connection.
                member.proxy.thaw();
            }
            Loss::Killed => member.process = start(self.rig, &member.proxy),
            Loss::Replaced => {
                assert!(member.process.ended(PATIENCE).await.success());
                member.process = start(self.rig, &member.proxy);
            }
            Loss::Cut | Loss::BrokerRestarted | Loss::Blocked => {}
        }
        took
    }

    /// Stops all of them in order.
    pub async fn stop(&mut self) {
        for member in &self.members {
            member.process.signal(Signal::TERM);
        }
        for member in &mut self.members {
            let status = member.process.ended(PATIENCE).await;
            assert!(status.success(), "{status}: {}", member.process.output());
        }
    }

    /// Awaits that somebody leads a later term than any before.
    async fn until_led(&mut self) {
        let before = self.term;
        within(Duration::from_secs(120), "another scheduler leads", async || {
            self.members.iter().any(|member| last_term(&member.process) > before)
        })
        .await;
        self.term = self.members.iter().map(|member| last_term(&member.process)).max().unwrap();
    }

    fn leader(&self) -> usize {
        let terms: Vec<u64> =
            self.members.iter().map(|member| last_term(&member.process)).collect();
        terms.iter().position(|term| *term == self.term).unwrap()
    }
}

fn start(rig: &Rig, proxy: &Proxy) -> Process {
    let url = rig.url_through(proxy);
    Process::celeriac(&["scheduler", "-c", "celeriac.toml", "--broker", &url], rig.folder())
}

/// The last term that a scheduler said it leads; 0 if it never did.
pub(super) fn last_term(process: &Process) -> u64 {
    let output = process.output();
    let lines = output.lines().filter(|line| line.contains(": leading"));
    let term = |line: &str| line.split_once("term=")?.1.split_whitespace().next()?.parse().ok();
    lines.filter_map(term).max().unwrap_or(0)
}
