//! Where one logs in: the only page that needs no login.

use super::assets;
use super::page;
use askama::Template;
use axum::response::{IntoResponse, Response};

#[derive(Template)]
#[template(path = "login.html")]
struct Page<'a> {
    title: &'a str,
    css: String,
    icon: String,
    is_wrong: bool,
}

/// The empty form.
pub(in super::super) fn form(title: &str) -> Response {
    page(&Page { title, css: assets::css(), icon: assets::icon(), is_wrong: false }).into_response()
}

/// The form after a token that there is not.
pub(in super::super) fn form_again(title: &str) -> Response {
    page(&Page { title, css: assets::css(), icon: assets::icon(), is_wrong: true }).into_response()
}
