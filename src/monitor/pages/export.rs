//! The tasks that a filter means as a file for a spreadsheet: CSV (RFC 4180), the newest first.
//!
//! It goes out as it is read, a thousand tasks at a time, so that it costs no memory, and ends after
//! [`MOST`], which its last line says. What would be a formula in a spreadsheet is marked as a text.

use super::super::change::{Micros, time_of};
use super::super::http::Pages;
use super::super::index::select::{FIELDS, Selection};
use super::super::index::{Index, IndexError, TaskRow, tasks};
use super::Asking;
use super::trouble::Trouble;
use crate::clock::to_iso;
use crate::filter;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::{Stream, stream};
use serde::Deserialize;
use std::sync::Arc;

/// So many tasks are in a file at most.
pub(super) const MOST: usize = 100_000;

/// So many are read at once.
const TOGETHER: usize = 1_000;

const HEAD: &str = "id,name,state,queue,worker,args,kwargs,result,error,retries,sent,received,\
    started,ended,wait_s,run_s,root_id,parent_id\r\n";

/// What the address asks for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    q: String,
}

/// What is still to be written.
struct Rest {
    index: Index,
    selection: Arc<Selection>,
    before: Option<i64>,
    left: usize,
    is_begun: bool,
}

/// `GET /tasks.csv?q=state:failure`
pub(super) async fn tasks_csv(
    State(pages): State<Pages>,
    asked: Asking<Asked>,
) -> Result<Response, Trouble> {
    let Query(Asked { q }) = asked?;
    let expr = filter::parse(&q, &FIELDS).map_err(|error| Trouble::Unclear(error.to_string()))?;
    let selection = Selection::of(&expr, pages.clock.now(), pages.settings.history.scan_limit);
    let selection = Arc::new(selection);
    let rest = Rest { index: pages.index, selection, before: None, left: MOST, is_begun: false };
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"tasks.csv\""),
    ];
    Ok((headers, Body::from_stream(rest.parts())).into_response())
}

impl Rest {
    /// A part that cannot be read breaks the answer off, so that nobody takes it for whole.
    fn parts(self) -> impl Stream<Item = Result<Bytes, IndexError>> {
        stream::try_unfold(self, async |mut rest: Self| {
            let part = rest.next().await?;
            Ok(part.map(|part| (Bytes::from(part), rest)))
        })
    }

    async fn next(&mut self) -> Result<Option<String>, IndexError> {
        if self.left == 0 {
            return Ok(None);
        }
        let (selection, before) = (Arc::clone(&self.selection), self.before);
        let limit = TOGETHER.min(self.left);
        let read = self.index.read(move |index| tasks::select(index, &selection, before, limit));
        let page = read.await?;
        let mut text = String::new();
        if !std::mem::replace(&mut self.is_begun, true) {
            text.push_str(HEAD);
        }
        page.tasks.iter().for_each(|task| write(task, &mut text));
        self.left = match page.older {
            Some(_) => self.left - page.tasks.len(),
            None => 0,
        };
        self.before = page.older;
        if self.left == 0 && page.older.is_some() {
            text.push_str(&more());
        }
        Ok(Some(text))
    }
}

/// The line after the last task that has a place, when there are others.
fn more() -> String {
    let columns = HEAD.matches(',').count();
    format!(
        "{MOST} tasks are in this file and more match: narrow the filter{}\r\n",
        ",".repeat(columns)
    )
}

fn write(task: &TaskRow, out: &mut String) {
    let time = |at: Option<Micros>| at.map(|at| to_iso(time_of(at))).unwrap_or_default();
    let seconds =
        |took: Option<Micros>| took.map_or(String::new(), |it| (it as f64 / 1e6).to_string());
    let text = |text: &Option<String>| field(text.as_deref().unwrap_or_default());
    let fields = [
        field(&task.id),
        text(&task.name),
        task.state.as_str().to_owned(),
        text(&task.queue),
        text(&task.worker),
        text(&task.args),
        text(&task.kwargs),
        text(&task.result),
        text(&task.error),
        task.retries.to_string(),
        time(task.sent),
        time(task.received),
        time(task.started),
        time(task.ended),
        seconds(task.wait),
        seconds(task.run),
        field(task.root.as_deref().unwrap_or(&task.id)),
        text(&task.parent),
    ];
    out.push_str(&fields.join(","));
    out.push_str("\r\n");
}

fn field(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let marked = if is_formula { format!("'{text}") } else { text.to_owned() };
    if marked.contains([',', '"', '\r', '\n', '\'']) {
        format!("\"{}\"", marked.replace('"', "\"\""))
    } else {
        marked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::state::State as TaskState;

    #[test]
    fn a_field_holds_anything_and_is_no_formula() {
        for (text, expected) in [
            ("mail.send", "mail.send"),
            ("", ""),
            ("(1, 2)", "\"(1, 2)\""),
            ("say \"hi\"\n", "\"say \"\"hi\"\"\n\""),
            ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\""),
            ("@cmd", "\"'@cmd\""),
            ("-1", "\"'-1\""),
        ] {
            assert_eq!(field(text), expected);
        }
    }

    #[test]
    fn a_file_that_ends_before_the_tasks_do_says_so() {
        assert_eq!(more().matches(',').count(), HEAD.matches(',').count());
        assert!(more().starts_with("100000 tasks are in this file and more match"));
    }

    #[test]
    fn every_line_has_a_field_for_each_column() {
        let mut line = String::new();
        write(&TaskRow { id: "a".to_owned(), ..TaskRow::of(TaskState::Sent) }, &mut line);
        assert_eq!(line.matches(',').count(), HEAD.matches(',').count());
        assert!(line.starts_with("a,,SENT,") && line.ends_with(",a,\r\n"), "{line}");
    }
}
