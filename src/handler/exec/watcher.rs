//! Kills the programs of a worker that was killed itself.
//!
//! A worker that ends by `kill -9` cannot stop its programs any more. So a small shell process
//! stands by: it is told of every process group that begins and ends, over a pipe whose other end
//! only the worker holds. When the worker dies, however it dies, the kernel closes the pipe, and
//! the shell kills the groups that are left, grandchildren included. (`PR_SET_PDEATHSIG` reaches
//! only the direct child, and fires when the *thread* that started it ends.)

use rustix::process::Pid;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tracing::warn;

/// Reads `+GROUP` and `-GROUP` lines until the pipe closes, then kills the groups that are left.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
groups=' '
while read -r line; do
  group=" ${line#?} "
  case $line in
    +*) groups="$groups${line#?} " ;;
    -*) case $groups in *"$group"*) groups="${groups%%"$group"*} ${groups#*"$group"}" ;; esac ;;
  esac
done
for group in $groups; do
  kill -s KILL -- "-$group"
done
"#;

/// Stands by to kill the programs that this process leaves behind. One is enough for all programs.
#[derive(Debug, Default)]
pub struct Watcher {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    groups: BTreeSet<i32>,
    shell: Option<Shell>,
    /// Whether starting the shell was given up.
    unavailable: bool,
}

#[derive(Debug)]
struct Shell {
    process: Child,
    pipe: ChildStdin,
}

impl Watcher {
    /// A watcher. Its process is started with the first program.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stands by. To be called before a program is started, so that little time passes between its
    /// start and [`Watcher::add`].
    pub(super) fn stand_by(&self) {
        self.state().shell();
    }

    /// Watches a group.
    pub(super) fn add(&self, group: Pid) {
        let mut state = self.state();
        state.groups.insert(group.as_raw_pid());
        state.tell(&format!("+{group}\n"));
    }

    /// Stops watching a group.
    pub(super) fn remove(&self, group: Pid) {
        let mut state = self.state();
        state.groups.remove(&group.as_raw_pid());
        state.tell(&format!("-{group}\n"));
    }

    /// Whether no group is watched.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.state().groups.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The shell, started if need be; `None` if that is not possible.
    fn shell(&mut self) -> Option<&mut Shell> {
        if self.shell.is_none() && !self.unavailable {
            match Shell::start(&self.groups) {
                Ok(shell) => self.shell = Some(shell),
                Err(error) => {
                    self.unavailable = true;
                    warn!(%error, "`sh` does not start: programs go on if this worker is killed");
                }
            }
        }
        self.shell.as_mut()
    }

    /// Tells the shell. One that does not listen is replaced by another that knows all groups.
    fn tell(&mut self, line: &str) {
        if self.shell().is_some_and(|shell| shell.tell(line).is_err()) {
            self.shell = None;
            self.shell();
        }
    }
}

impl Shell {
    /// Starts a shell that watches `groups`. It sits in a group of its own, where a terminal's
    /// Ctrl-C does not reach it.
    fn start(groups: &BTreeSet<i32>) -> io::Result<Self> {
        let mut process = Command::new("sh")
            .args(["-c", SCRIPT, "celeriac-watcher"])
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = process.stdin.take().ok_or_else(|| io::Error::other("`sh` has no input"))?;
        let mut shell = Self { process, pipe };
        // A shell that was stopped must not stop the worker: a full pipe is an error.
        rustix::io::ioctl_fionbio(&shell.pipe, true)?;
        for group in groups {
            shell.tell(&format!("+{group}\n"))?;
        }
        Ok(shell)
    }

    /// Writes to the shell. That it has ended is asked of the kernel, for the pipe may hide it: a
    /// process that was just forked holds a copy of the end that is read, until its own program
    /// starts.
    fn tell(&mut self, line: &str) -> io::Result<()> {
        if self.process.try_wait()?.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.pipe.write_all(line.as_bytes())
    }
}

impl Drop for Shell {
    /// Ends the shell without letting it kill anything, and collects it.
    fn drop(&mut self) {
        // Both can fail only because it has ended already.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Signal, kill_process};
    use std::os::unix::process::ExitStatusExt;

    /// A process in a group of its own that does not end by itself.
    fn endless() -> (Child, Pid) {
        let child = Command::new("sleep").arg("100000").process_group(0).spawn().unwrap();
        let group = id(&child);
        (child, group)
    }

    fn id(child: &Child) -> Pid {
        Pid::from_raw(child.id().cast_signed()).unwrap()
    }

    fn shell_id(watcher: &Watcher) -> Pid {
        id(&watcher.state().shell().unwrap().process)
    }

    /// What the kernel does when the worker dies: closes the pipe.
    fn worker_dies(watcher: &Watcher) {
        let mut cat = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let mut state = watcher.state();
        let shell = state.shell.as_mut().unwrap();
        drop(std::mem::replace(&mut shell.pipe, cat.stdin.take().unwrap()));
        shell.process.wait().unwrap();
        drop(std::mem::take(&mut *state));
        cat.wait().unwrap();
    }

    #[test]
    fn groups_that_are_left_are_killed_and_others_are_not() {
        let watcher = Watcher::new();
        let ((mut left, left_group), (mut ended, ended_group)) = (endless(), endless());
        watcher.add(left_group);
        watcher.add(ended_group);
        watcher.remove(ended_group);
        worker_dies(&watcher);
        assert_eq!(left.wait().unwrap().signal(), Some(9));
        assert_eq!(ended.try_wait().unwrap(), None);
        ended.kill().unwrap();
        ended.wait().unwrap();
    }

    #[test]
    fn a_shell_that_was_killed_is_replaced_by_one_that_knows_all_groups() {
        let watcher = Watcher::new();
        let ((mut first, first_group), (mut second, second_group)) = (endless(), endless());
        watcher.add(first_group);
        kill_process(shell_id(&watcher), Signal::KILL).unwrap();
        watcher.state().shell.as_mut().unwrap().process.wait().unwrap();
        watcher.add(second_group);
        worker_dies(&watcher);
        assert_eq!(first.wait().unwrap().signal(), Some(9));
        assert_eq!(second.wait().unwrap().signal(), Some(9));
    }

    #[test]
    fn a_shell_that_was_stopped_does_not_stop_the_worker() {
        let watcher = Watcher::new();
        watcher.stand_by();
        let stopped = shell_id(&watcher);
        kill_process(stopped, Signal::STOP).unwrap();
        // More than any pipe holds, so without a way out this never returns.
        for _ in 0..100_000 {
            watcher.remove(stopped);
        }
        assert_ne!(shell_id(&watcher), stopped);
    }
}
