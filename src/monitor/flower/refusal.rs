//! Why there is no answer, as Flower says it: a status and a line of text.

use super::super::act::NotRecorded;
use super::super::index::IndexError;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    text: String,
}

impl Refusal {
    /// What is asked for makes no sense.
    pub(super) fn invalid(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, text: text.into() }
    }

    /// There is no such task or worker.
    pub(super) fn unknown(what: &str, name: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, text: format!("Unknown {what} '{name}'") }
    }

    /// Who had to do it says no.
    pub(super) fn refused(text: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, text: text.into() }
    }

    /// It cannot be had.
    pub(super) fn unavailable(text: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, text: text.into() }
    }
}

impl From<IndexError> for Refusal {
    fn from(error: IndexError) -> Self {
        Self { status: error.status(), text: error.to_string() }
    }
}

impl From<NotRecorded> for Refusal {
    fn from(error: NotRecorded) -> Self {
        Self::unavailable(error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let kind = [(header::CONTENT_TYPE, "text/plain; charset=UTF-8")];
        (self.status, kind, self.text).into_response()
    }
}
