//! What is wrong with a configuration, and where.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Whether a program may start all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It may not.
    Error,
    /// It may, and `config check --strict` fails.
    Warning,
}

/// Something wrong in the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub title: String,
    /// Where, if it is in a file.
    pub place: Option<Box<Place>>,
    /// What else to know or do.
    pub notes: Vec<String>,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// The file.
    pub file: String,
    /// Its text, passwords masked byte for byte.
    pub text: Arc<str>,
    /// The bytes that are wrong.
    pub span: Range<usize>,
    /// What to write instead, or what was expected; may be empty.
    pub label: String,
    /// Other bytes that matter, and why.
    pub also: Option<(Range<usize>, String)>,
}

impl Problem {
    pub(super) fn error(title: impl Into<String>) -> Self {
        Self::new(Severity::Error, title.into())
    }

    pub(super) fn warning(title: impl Into<String>) -> Self {
        Self::new(Severity::Warning, title.into())
    }

    fn new(severity: Severity, title: String) -> Self {
        Self { severity, title, place: None, notes: Vec::new() }
    }

    pub(super) fn at(mut self, place: Option<Place>) -> Self {
        self.place = place.map(Box::new);
        self
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    fn group(&self) -> Group<'_> {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(&self.title));
        if let Some(place) = &self.place {
            group = group.element(place.snippet());
        }
        group.elements(self.notes.iter().map(|note| Level::NOTE.no_name().message(note)))
    }
}

impl Place {
    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        line_of(&self.text, self.span.start)
    }

    fn snippet(&self) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
        let mut here = AnnotationKind::Primary.span(self.span.clone());
        if !self.label.is_empty() {
            here = here.label(&self.label);
        }
        let snippet = Snippet::source(&*self.text).path(&self.file).annotation(here);
        match &self.also {
            Some((span, label)) => {
                snippet.annotation(AnnotationKind::Context.span(span.clone()).label(label.as_str()))
            }
            None => snippet,
        }
    }
}

/// The line of a byte, counted from 1.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|b| *b == b'\n').count() + 1
}

/// Whether a report is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For a file or a pipe.
    Plain,
    /// For a terminal.
    Coloured,
}

/// Everything that is wrong, from all sources.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// The problems, errors first.
    pub problems: Vec<Problem>,
    /// How many files were read.
    pub files: usize,
}

impl Report {
    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    /// All problems with their lines, and the count; empty if there are none.
    pub fn render(&self, style: Style) -> String {
        if self.problems.is_empty() {
            return String::new();
        }
        let renderer = match style {
            Style::Plain => Renderer::plain(),
            Style::Coloured => Renderer::styled(),
        };
        let mut text = String::new();
        for problem in &self.problems {
            text.push_str(&renderer.render(&[problem.group()]));
            text.push_str("\n\n");
        }
        text.push_str(&self.summary());
        text
    }

    fn summary(&self) -> String {
        let mut counts = Vec::new();
        for (count, noun) in [(self.errors(), "error"), (self.warnings(), "warning")] {
            if count > 0 {
                counts.push(plural(count, noun));
            }
        }
        format!("{} in {}", counts.join(", "), plural(self.files, "file"))
    }
}

fn plural(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Style::Plain))
    }
}

impl std::error::Error for Report {}
