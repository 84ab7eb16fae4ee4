//! A running program and everything it started: one process group.

use super::watcher::Watcher;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::signal::unix::{self, SignalKind};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// A program that was started. Dropping it kills its whole group.
#[derive(Debug)]
pub(in crate::handler) struct Running {
    // Dropped before `child`: until the child is collected, nobody else can have its group's id.
    group: Group,
    child: Child,
    child_ends: unix::Signal,
}

/// A process group, killed when dropped. Must not outlive the collection of its first process.
#[derive(Debug)]
struct Group {
    id: Pid,
    watcher: Arc<Watcher>,
}

impl Running {
    /// Starts `command` in a group of its own.
    pub(in crate::handler) fn spawn(
        command: &mut Command,
        watcher: &Arc<Watcher>,
    ) -> io::Result<Self> {
        let child_ends = unix::signal(SignalKind::child())?;
        watcher.stand_by();
        let child = command.process_group(0).spawn()?;
        let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let id = id.ok_or_else(|| io::Error::other("the program has no process id"))?;
        watcher.add(id);
        Ok(Self { group: Group { id, watcher: Arc::clone(watcher) }, child, child_ends })
    }

    /// The child itself, for its pipes.
    pub(in crate::handler) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Completes when the program has ended. When `stop` is cancelled the group is sent `SIGTERM`,
    /// and `SIGKILL` if the program is still there after `grace`. Not yet collected: see
    /// [`Running::collect`].
    pub(in crate::handler) async fn ended(
        &mut self,
        stop: &CancellationToken,
        grace: Duration,
    ) -> io::Result<()> {
        if let Some(ended) = stop.run_until_cancelled(self.exited()).await {
            return ended;
        }
        self.group.signal(Signal::TERM);
        if let Ok(ended) = timeout(grace, self.exited()).await {
            return ended;
        }
        self.group.signal(Signal::KILL);
        self.exited().await
    }

    /// Kills what the program left running in its group, and collects its exit status.
    pub(in crate::handler) async fn collect(self) -> io::Result<ExitStatus> {
        let Self { group, mut child, .. } = self;
        drop(group);
        child.wait().await
    }

    /// Completes when the first process of the group has ended, without collecting it: its id, which
    /// is the group's, stays taken until then.
    async fn exited(&mut self) -> io::Result<()> {
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while waitid(WaitId::Pid(self.group.id), ended)?.is_none() {
            self.child_ends.recv().await;
        }
        Ok(())
    }
}

impl Group {
    fn signal(&self, signal: Signal) {
        // It fails only when nobody is left to hear it.
        kill_process_group(self.id, signal).ok();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        self.watcher.remove(self.id);
    }
}
