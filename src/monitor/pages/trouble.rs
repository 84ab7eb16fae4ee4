//! When a page cannot be shown: what happened, and what to do next.

use super::frame::{Frame, Place};
use super::shown::plain;
use crate::monitor::index::IndexError;
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Why a page cannot be shown.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There is no such thing, such as a `task`.
    Missing(&'static str),
    /// The address cannot be meant.
    Unclear(String),
    /// This person may not.
    Forbidden(String),
    /// The broker gives no answer.
    Away(String),
    /// The index gives no answer.
    Index(IndexError),
    /// A template does not come out.
    Broken(String),
}

#[derive(Template)]
#[template(path = "trouble.html")]
struct Page {
    frame: Frame,
    heading: &'static str,
    text: String,
    next: &'static str,
}

impl From<IndexError> for Trouble {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

impl From<QueryRejection> for Trouble {
    fn from(rejection: QueryRejection) -> Self {
        Self::Unclear(rejection.body_text())
    }
}

/// For every address that there is nothing at.
pub(super) async fn missing() -> Trouble {
    Trouble::Missing("page")
}

impl Trouble {
    fn status(&self) -> StatusCode {
        match self {
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::Unclear(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Index(IndexError::TooLong | IndexError::Closed) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Index(_) | Self::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn page(&self) -> Page {
        let frame = Frame::bare(Place::Nowhere);
        let (heading, text, next) = match self {
            Self::Missing("task") => (
                "No such task",
                "The monitor knows no task with this id.".to_owned(),
                "It may be older than what is kept (monitor.history), or nothing has told of it yet: workers tell of tasks with events.tasks, Celery's with -E.",
            ),
            Self::Missing(what) => {
                ("Not here", format!("There is no such {what}."), "Use the pages above.")
            }
            Self::Unclear(why) => {
                ("Unclear address", plain(why), "Change the address, or use the pages above.")
            }
            Self::Forbidden(why) => {
                ("Not for you", plain(why), "Ask somebody who may, or log in as somebody else.")
            }
            Self::Away(why) => ("No answer from the broker", plain(why), "Try again in a moment."),
            Self::Index(error) => (
                "No answer from the index",
                plain(&error.to_string()),
                "Ask for less, or try again in a moment.",
            ),
            Self::Broken(error) => ("This page is broken", plain(error), "Please report it."),
        };
        Page { frame, heading, text, next }
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let html = self.page().render().unwrap_or_else(|error| error.to_string());
        (self.status(), [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
    }
}
