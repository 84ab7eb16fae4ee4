//! What the reader sees: the story line by line, and below it how much has landed.
//!
//! The story goes to standard error, the score to standard output. Where standard error is no
//! terminal, there is no bar and no colour, and a line of progress every few seconds.

use crate::landed::Landed;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often progress is said where it cannot be shown.
const PACE: Duration = Duration::from_secs(5);

/// The screen of one run.
#[derive(Debug)]
pub struct Screen {
    started: Instant,
    bars: MultiProgress,
    bar: ProgressBar,
    view: View,
    said: Mutex<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    Terminal,
    Plain,
}

/// What kind of thing happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Work as usual.
    Step,
    /// Something is broken on purpose.
    Fault,
    /// It is whole again.
    Healed,
}

impl Screen {
    /// A screen whose clock starts now.
    pub fn new() -> Self {
        let view = if io::stderr().is_terminal() { View::Terminal } else { View::Plain };
        let bars = MultiProgress::new();
        let bar = bars.add(ProgressBar::new(0));
        bar.set_style(style("landed    {bar:20.cyan/dim} {pos}/{len}  {msg}"));
        let started = Instant::now();
        Self { started, bars, bar, view, said: Mutex::new(started) }
    }

    /// How long it has been going on.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// A line of the story.
    pub fn tell(&self, event: Event, what: &str, text: &str) {
        let seconds = self.elapsed().as_secs_f64();
        let what = self.painted(event, what);
        self.aside(&format!("{seconds:5.1} s  {what}  {text}"));
    }

    /// A line below one of the story, about the same.
    pub fn more(&self, text: &str) {
        self.aside(&format!("{:21}{text}", ""));
    }

    /// Any other line.
    pub fn aside(&self, line: &str) {
        match self.view {
            View::Terminal => drop(self.bars.println(line)),
            // Who closed our standard error does not want to read this.
            View::Plain => drop(writeln!(io::stderr(), "{line}")),
        }
    }

    /// A bar of its own for something that takes long, in thousandths; nothing without a terminal.
    pub fn bar(&self, what: &str) -> ProgressBar {
        if self.view == View::Plain {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(1000).with_message(what.to_owned());
        bar.set_style(style("          {bar:20.yellow/dim} {percent:>3} %  {msg}"));
        self.bars.insert_before(&self.bar, bar)
    }

    /// Shows how much has landed.
    pub fn progress(&self, landed: &Landed, expected: &Landed) {
        let (count, all) = (landed.sum(), expected.sum());
        let missing = landed.missing(expected);
        if self.view == View::Terminal {
            self.bar.set_length(all as u64);
            self.bar.set_position(count as u64);
            self.bar.set_message(missing);
            return;
        }
        let mut said = self.said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if said.elapsed() >= PACE {
            *said = Instant::now();
            self.tell(Event::Step, "landed", &format!("{count} of {all}; to come: {missing}"));
        }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Writes the answer to standard output.
    pub fn answer(&self, text: &str) -> io::Result<()> {
        writeln!(io::stdout(), "{text}")
    }

    fn painted(&self, event: Event, what: &str) -> String {
        let colour = match event {
            Event::Step => "36",
            Event::Fault => "1;31",
            Event::Healed => "1;32",
        };
        if self.view == View::Plain || std::env::var_os("NO_COLOR").is_some() {
            return format!("{what:<10}");
        }
        format!("\x1b[{colour}m{what:<10}\x1b[0m")
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(&format!("         {template}"));
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━╌")
}
