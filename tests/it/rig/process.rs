//! The real program in a process of its own: what it prints, the signals it gets, what it costs.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::PATIENCE;

pub use rustix::process::Signal;

/// How long the last lines of a program may take to be read after its end.
const LAST_LINES: Duration = Duration::from_secs(2);

/// A running program. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    transcript: Arc<Transcript>,
    /// Lines before this one were given out by [`Process::until`].
    read: usize,
    readers: JoinSet<()>,
}

/// Everything it has printed so far, standard output and standard error together.
#[derive(Debug, Default)]
struct Transcript {
    lines: Mutex<Vec<String>>,
    length: watch::Sender<usize>,
}

impl Process {
    /// Runs `celeriac` in `folder`.
    pub fn celeriac(arguments: &[&str], folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_celeriac"));
        command.args(arguments).current_dir(folder);
        Self::spawn(command)
    }

    /// Runs any program.
    pub fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().expect("the program is there");
        let transcript = Arc::new(Transcript::default());
        let mut readers = JoinSet::new();
        let output = child.stdout.take().expect("piped");
        let errors = child.stderr.take().expect("piped");
        readers.spawn(record(output, Arc::clone(&transcript)));
        readers.spawn(record(errors, Arc::clone(&transcript)));
        Self { child, transcript, read: 0, readers }
    }

    /// Awaits a line that contains `text`, after those already given out, and gives it out.
    ///
    /// # Panics
    ///
    /// With everything the program printed, when the line does not come or the program ends first.
    pub async fn until(&mut self, text: &str) -> String {
        let mut length = self.transcript.length.subscribe();
        let deadline = tokio::time::sleep(PATIENCE);
        tokio::pin!(deadline);
        let mut ended = None;
        loop {
            length.borrow_and_update();
            if let Some(line) = self.find(text) {
                return line;
            }
            if let Some(status) = ended {
                panic!("{status} before {text:?}:\n{}", self.output());
            }
            tokio::select! {
                () = &mut deadline => panic!("{PATIENCE:?} without {text:?}:\n{}", self.output()),
                // The readers are done when the last writer of its output is gone.
                _ = length.changed() => {}
                status = self.child.wait() => {
                    while self.readers.join_next().await.is_some() {}
                    ended = Some(status.expect("its status"));
                }
            }
        }
    }

    fn find(&mut self, text: &str) -> Option<String> {
        let lines = self.transcript.lines.lock().expect("no reader panics");
        let found = lines.iter().skip(self.read).position(|line| line.contains(text));
        self.read = found.map_or(lines.len(), |position| self.read + position + 1);
        found.map(|_| lines[self.read - 1].clone())
    }

    /// Everything it has printed so far.
    pub fn output(&self) -> String {
        self.transcript.lines.lock().expect("no reader panics").join("\n")
    }

    /// The number of its process.
    ///
    /// # Panics
    ///
    /// When it has ended and this was noticed.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the program still runs")
    }

    /// Sends it a signal: `Signal::TERM`, `KILL`, `STOP`, `CONT`, ...
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().cast_signed()).expect("no process has number zero");
        kill_process(pid, signal).expect("our own child takes signals");
    }

    /// Awaits its end, and all that it has printed.
    ///
    /// # Panics
    ///
    /// With everything it printed, when it goes on for more than `limit`.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        let Ok(status) = tokio::time::timeout(limit, self.child.wait()).await else {
            panic!("still running after {limit:?}:\n{}", self.output());
        };
        // A program that it has left behind may hold its output open for ever.
        let drained = async { while self.readers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_LINES, drained).await;
        status.expect("its status")
    }

    /// Kills it with SIGKILL and awaits its end.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("our own child can be killed");
    }

    /// Closes our ends of its output, as `head` does when it has enough.
    pub async fn stop_reading(&mut self) {
        self.readers.shutdown().await;
    }

    /// Resident memory, bytes.
    pub fn memory(&self) -> u64 {
        self.memory_line("VmRSS:")
    }

    /// The most resident memory it ever had, bytes.
    pub fn peak_memory(&self) -> u64 {
        self.memory_line("VmHWM:")
    }

    fn memory_line(&self, name: &str) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0 kB");
        let kilobytes = line.trim().trim_end_matches(" kB").parse::<u64>();
        kilobytes.expect("a number of kB") * 1024
    }

    /// Processor time used so far, all threads, to a hundredth of a second.
    pub fn processor_time(&self) -> Duration {
        let stat = self.proc("stat");
        // The name, second of the fields, may hold spaces; after its parenthesis they are separable.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace();
        let ticks: u64 =
            fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap_or(0)).sum();
        Duration::from_millis(ticks * 10)
    }

    /// How many files and sockets it has open.
    pub fn open_files(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.pid());
        std::fs::read_dir(folder).expect("our own child's files").count()
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.pid())).expect("our own child")
    }
}

async fn record(stream: impl AsyncRead + Unpin, transcript: Arc<Transcript>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut all = transcript.lines.lock().expect("no reader panics");
        all.push(line);
        transcript.length.send_replace(all.len());
    }
}
