//! Where one logs in: the only page that needs no login.

use super::assets;
use super::page;
use askama::Template;
use axum::response::{IntoResponse, Response};

/// What the form asks for, and what was wrong with what was given.
#[derive(Debug)]
pub(in super::super) struct Form<'a> {
    pub(in super::super) title: &'a str,
    pub(in super::super) takes_tokens: bool,
    pub(in super::super) takes_passwords: bool,
    pub(in super::super) trouble: Option<Trouble>,
}

/// Why somebody was not let in.
#[derive(Debug, Clone, Copy)]
pub(in super::super) enum Trouble {
    /// There is no such token.
    Token,
    /// Nobody has this name, or another password.
    Password,
    /// Too many were wrong.
    TooMany,
}

#[derive(Template)]
#[template(path = "login.html")]
struct Page<'a> {
    form: Form<'a>,
    css: String,
    icon: String,
}

/// The form.
pub(in super::super) fn show(form: Form<'_>) -> Response {
    page(&Page { form, css: assets::css(), icon: assets::icon() }).into_response()
}

impl Trouble {
    fn text(self) -> &'static str {
        match self {
            Self::Token => {
                "There is no such token. `celeriac token new` makes one; the monitor reads its file when it starts."
            }
            Self::Password => "The name or the password is wrong.",
            Self::TooMany => "Too many wrong passwords. Wait a minute.",
        }
    }
}
