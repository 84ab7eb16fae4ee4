//! Spans in a build without the feature `otel`: there are none.

use super::{Carried, Told};
use futures::future::BoxFuture;

/// Never.
#[derive(Debug, Clone)]
pub(crate) enum Span {}

/// The span that this runs in.
pub(crate) fn here() -> Option<Span> {
    None
}

impl Span {
    pub(crate) fn send<'a>(_: Carried<'_>, _: impl FnOnce() -> Told<'a>) -> Option<Self> {
        None
    }

    pub(crate) fn process<'a>(
        _: Carried<'_>,
        _: impl FnOnce() -> (Told<'a>, &'a str),
    ) -> Option<Self> {
        None
    }

    pub(crate) fn elsewhere(_: Carried<'_>) -> Option<Self> {
        None
    }

    pub(crate) fn carried(&self) -> Vec<(&'static str, String)> {
        match *self {}
    }

    pub(crate) fn around<'a, T>(&self, _: impl Future<Output = T> + Send + 'a) -> BoxFuture<'a, T> {
        match *self {}
    }

    pub(crate) fn in_scope<T>(self, _: impl FnOnce() -> T) -> T {
        match self {}
    }

    pub(crate) fn state(&self, _: &'static str) {
        match *self {}
    }

    pub(crate) fn fail(&self, _: &str, _: &str) {
        match *self {}
    }

    pub(crate) fn end(&self) {
        match *self {}
    }
}
