//! What goes to standard output, and in which form.
//!
//! Standard output is the answer, everything else goes to standard error. As JSON it is exactly
//! one document, or one per line.

use super::exit::{Exit, failed};
use anyhow::{Context, anyhow};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One JSON document per line.
    Jsonl,
    /// The first column only, one per line, for `xargs`.
    Id,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Colour {
    /// Whether to colour what is written to `stream`.
    pub(crate) fn applies_to(self, stream: &impl IsTerminal) -> bool {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        match self {
            Self::Auto => wanted && stream.is_terminal(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Whoever read our output has enough, as `head` does: no error.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(crate) struct OutputClosed;

/// Writes to standard output.
pub(crate) fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(OutputClosed.into()),
        ended => ended.context("writing to standard output"),
    }
}

/// Says something beside the answer, in a line of its own. That nobody reads it is no error.
pub(crate) fn say(text: impl Display) {
    let _unread = writeln!(io::stderr(), "{text}");
}

/// The first of many errors, and how many more there are.
pub(crate) fn say_errors(errors: &[impl Display]) {
    const SHOWN: usize = 20;
    for error in errors.iter().take(SHOWN) {
        say(format_args!("error: {error}"));
    }
    if errors.len() > SHOWN {
        say(format_args!("error: and {} more", errors.len() - SHOWN));
    }
}

/// What a person answers to a question.
pub(crate) fn ask(question: impl Display) -> io::Result<String> {
    let mut terminal = io::stderr();
    write!(terminal, "{question}: ")?;
    terminal.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

/// One line of a table.
pub(crate) trait Row: Serialize {
    /// The headings, the one that names the row first.
    const COLUMNS: &'static [&'static str];

    /// The text of each column.
    fn cells(&self) -> Vec<String>;
}

impl Format {
    /// Writes rows to standard output.
    pub(crate) fn rows<R: Row>(self, rows: &[R]) -> anyhow::Result<()> {
        let text = match self {
            Self::Table => {
                let width = io::stdout().is_terminal().then(terminal_width).flatten();
                table(R::COLUMNS, rows, width)
            }
            Self::Json => json_line(&rows)?,
            Self::Jsonl => rows.iter().map(json_line).collect::<Result<_, _>>()?,
            Self::Id => rows.iter().map(id_line).collect(),
        };
        write(text.as_bytes())
    }

    /// Refuses a form that has one document, for an answer without an end.
    pub(crate) fn must_be_lines(self) -> anyhow::Result<()> {
        match self {
            Self::Json => {
                let error =
                    anyhow!("what goes on has no end to close a JSON document; use -o jsonl");
                Err(failed(Exit::Used, error))
            }
            _ => Ok(()),
        }
    }

    /// Whether a person reads it, who wants to be told less than a program.
    pub(crate) fn is_for_people(self) -> bool {
        self == Self::Table
    }

    /// Writes one answer: `text` for people, `value` otherwise.
    pub(crate) fn one(self, value: &impl Serialize, text: &str) -> anyhow::Result<()> {
        let text = match self {
            Self::Table | Self::Id => format!("{}\n", text.trim_end()),
            Self::Json | Self::Jsonl => json_line(value)?,
        };
        write(text.as_bytes())
    }
}

/// A value of an answer in a line of text: a text without its quotes, nothing for null.
pub(crate) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Text from elsewhere, on one line and without what would move a terminal's cursor or turn the
/// direction of writing.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control()
            || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// How long something took, with the unit that suits it.
pub(crate) fn seconds(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0 => format!("{:.0}ms", seconds * 1000.0),
        1..60 => format!("{seconds:.1}s"),
        60..3_600 => format!("{}m{:02}s", whole / 60, whole % 60),
        3_600..86_400 => format!("{}h{:02}m", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{}d{:02}h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

/// A time for people, to the minute.
pub(crate) fn minute(time: std::time::SystemTime) -> String {
    let iso = crate::clock::to_iso(time);
    format!("{} {} UTC", &iso[..10], &iso[11..16])
}

/// So many of something: `1 message`, `2 messages`.
pub(crate) fn counted(count: impl Into<u64>, one: &str) -> String {
    match count.into() {
        1 => format!("1 {one}"),
        many => format!("{many} {one}s"),
    }
}

/// A table as it stands in the midst of other text.
pub(crate) fn in_text<R: Row>(rows: &[R]) -> String {
    table(R::COLUMNS, rows, None)
}

fn json_line(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(value).map(|text| text + "\n")
}

fn id_line(row: &impl Row) -> String {
    format!("{}\n", row.cells().first().map_or("", String::as_str))
}

fn terminal_width() -> Option<usize> {
    rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col))
}

/// Aligned columns; lines longer than `width` end in `…`.
fn table<R: Row>(columns: &[&str], rows: &[R], width: Option<usize>) -> String {
    let head: Vec<String> = columns.iter().map(|column| column.to_uppercase()).collect();
    let lines: Vec<Vec<String>> =
        std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| lines.iter().map(|line| length(&line[column])).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in &lines {
        let padded = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - length(cell))));
        let line = padded.collect::<Vec<_>>().join("  ");
        text.push_str(&cut(line.trim_end(), width));
        text.push('\n');
    }
    text
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn cut(line: &str, width: Option<usize>) -> String {
    match width {
        Some(width) if width > 0 && length(line) > width => {
            line.chars().take(width - 1).chain(['…']).collect()
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Queue(&'static str, u32);

    impl Row for Queue {
        const COLUMNS: &'static [&'static str] = &["queue", "ready"];

        fn cells(&self) -> Vec<String> {
            vec![self.0.to_owned(), self.1.to_string()]
        }
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(
            [0_u32, 1, 2].map(|count| counted(count, "task")),
            ["0 tasks", "1 task", "2 tasks"]
        );
    }

    #[test]
    fn times_have_the_unit_that_suits_them() {
        let cases = [
            (0.0124, "12ms"),
            (1.25, "1.2s"),
            (61.0, "1m01s"),
            (7_260.0, "2h01m"),
            (180_000.0, "2d02h"),
            (-1.0, "-1000ms"),
        ];
        for (given, shown) in cases {
            assert_eq!(seconds(given), shown);
        }
    }

    #[test]
    fn columns_are_aligned_and_cut_only_on_a_terminal() {
        let rows = [Queue("default", 120), Queue("größer-als-andere", 4)];
        assert_eq!(
            table(Queue::COLUMNS, &rows, None),
            "QUEUE              READY\ndefault            120\ngrößer-als-andere  4\n"
        );
        assert_eq!(table(Queue::COLUMNS, &rows, Some(10)), "QUEUE    …\ndefault  …\ngrößer-al…\n");
    }
}
