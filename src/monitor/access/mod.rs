//! Who may look, and who may do what.
//!
//! Without logins the monitor serves this machine alone: only addresses of its own are listened at,
//! and only requests that name it as such are answered, so that a page elsewhere cannot reach it by a
//! name of its own (DNS rebinding). With logins a request brings a token, a name and a password, the
//! cookie that one of them was given for, or the word of a proxy that is trusted. What changes something must come from a page of
//! ours, or from no page at all. What somebody may do is asked where it is done: a handler takes an
//! [`Operator`] or an [`Admin`].

mod attempts;
mod login;
mod origin;
mod passwords;
mod peer;
mod proxy;
mod roster;
mod token;
mod users;

pub(super) use login::{Login, router};
pub use roster::{Listed, LoginsError};
pub use token::Tokens;
pub use users::Users;

use super::api::Problem;
use super::http::Pages;
use super::settings::Role;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use passwords::Denied;
use peer::Peer;

/// Whether only this machine reaches an address to listen at.
pub(super) fn is_loopback(address: &str) -> bool {
    origin::is_loopback(origin::name_of(address))
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// As the audit shows it.
    pub(super) name: String,
    /// What they may do.
    pub(super) role: Role,
}

/// Somebody who may act on tasks, queues and workers.
#[derive(Debug)]
pub(super) struct Operator(pub(super) Person);

/// Somebody who may do everything.
#[derive(Debug)]
pub(super) struct Admin(pub(super) Person);

/// How somebody is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    /// No logins: whoever is on this machine.
    Here,
    /// A token of their own, which no page elsewhere can send.
    Bearer,
    /// A cookie, which a browser sends by itself.
    Cookie,
    /// A name and a password, which a browser sends by itself once it was told them.
    Password,
    /// A proxy says so; browsers may log in there by themselves.
    Proxy,
}

/// Lets a request through whose sender may look, and notes who that is.
pub(super) async fn guard(State(pages): State<Pages>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path();
    if login::is_open(path) {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let (person, means) = match pages.login.who(&parts.headers, Peer::of(&parts).0).await {
        Ok(known) => known,
        Err(denied) => return refuse(&parts, denied, pages.login.takes_passwords()),
    };
    if let Err(why) = judge(&parts.method, &parts.headers, means) {
        return Problem::forbidden(why).into_response();
    }
    parts.extensions.insert(person);
    next.run(Request::from_parts(parts, body)).await
}

/// Somebody who is not let in: a person is shown where to log in.
fn refuse(parts: &Parts, denied: Denied, takes_passwords: bool) -> Response {
    let accepts = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let is_person = parts.method == Method::GET && accepts.is_some_and(|it| it.contains("html"));
    if is_person && denied == Denied::Unknown {
        return Redirect::to("/login").into_response();
    }
    let mut headers = denied.headers();
    // A browser would open a window of its own over the page whose script asks.
    let is_browser = parts.headers.contains_key("sec-fetch-mode");
    if takes_passwords && !is_browser && denied == Denied::Unknown {
        let challenge = HeaderValue::from_static("Basic realm=\"celeriac\", charset=\"UTF-8\"");
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    (headers, denied.problem()).into_response()
}

impl Denied {
    /// In HTTP.
    fn status(self) -> StatusCode {
        match self {
            Self::Unknown => StatusCode::UNAUTHORIZED,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// When to come again.
    fn headers(self) -> HeaderMap {
        let Self::TooMany(wait) = self else { return HeaderMap::new() };
        let seconds = HeaderValue::from(wait.as_secs() + 1);
        [(header::RETRY_AFTER, seconds)].into_iter().collect()
    }

    fn problem(self) -> Problem {
        match self {
            Self::Unknown => Problem::unknown(
                "log in: send `Authorization: Bearer TOKEN`, or a name and a password",
            ),
            Self::TooMany(_) => Problem::too_many("too many wrong passwords; wait a minute"),
        }
    }
}

fn judge(method: &Method, headers: &HeaderMap, means: Means) -> Result<(), &'static str> {
    if means == Means::Here && !origin::is_here(headers) {
        return Err("ask by an address of this machine, such as 127.0.0.1");
    }
    if matches!(*method, Method::GET | Method::HEAD) || means == Means::Bearer {
        return Ok(());
    }
    if means == Means::Password && origin::is_of_a_program(headers) {
        return Ok(());
    }
    origin::is_ours(headers)
}

impl FromRequestParts<Pages> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Pages) -> Result<Self, Problem> {
        let person = parts.extensions.get::<Self>().cloned();
        person.ok_or_else(|| Problem::unknown("log in"))
    }
}

impl FromRequestParts<Pages> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, pages: &Pages) -> Result<Self, Problem> {
        Ok(Self(at_least(Role::Operator, parts, pages).await?))
    }
}

impl FromRequestParts<Pages> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, pages: &Pages) -> Result<Self, Problem> {
        Ok(Self(at_least(Role::Admin, parts, pages).await?))
    }
}

async fn at_least(role: Role, parts: &mut Parts, pages: &Pages) -> Result<Person, Problem> {
    let person = Person::from_request_parts(parts, pages).await?;
    person.may(role)?;
    Ok(person)
}

impl Person {
    /// Refuses what takes more than this person may do.
    pub(super) fn may(&self, role: Role) -> Result<(), Problem> {
        if self.role >= role {
            return Ok(());
        }
        let (own, needed) = (self.role.as_str(), role.as_str());
        Err(Problem::forbidden(format!("{} is {own}; this takes {needed}", self.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn without_logins_only_this_machine_is_answered() {
        for (host, is_answered) in [
            ("127.0.0.1:5555", true),
            ("localhost", true),
            ("[::1]:5555", true),
            ("evil.example:5555", false),
            ("127.0.0.1.evil.example", false),
            ("10.0.0.1", false),
        ] {
            let judged = judge(&Method::GET, &headers(&[("host", host)]), Means::Here);
            assert_eq!(judged.is_ok(), is_answered, "{host}");
        }
        assert!(judge(&Method::GET, &headers(&[]), Means::Here).is_err());
        assert!(judge(&Method::GET, &headers(&[("host", "a.example")]), Means::Proxy).is_ok());
    }

    #[test]
    fn what_changes_something_comes_from_our_pages_or_from_no_page() {
        let here = ("host", "127.0.0.1");
        let cases: [(&[(&'static str, &'static str)], bool); 6] = [
            (&[here], false),
            (&[here, ("x-celeriac", "1")], true),
            (&[here, ("x-celeriac", "1"), ("sec-fetch-site", "same-origin")], true),
            (&[here, ("x-celeriac", "1"), ("sec-fetch-site", "cross-site")], false),
            (&[here, ("sec-fetch-site", "same-origin")], true),
            (&[here, ("sec-fetch-site", "same-site")], false),
        ];
        for (given, may) in cases {
            for means in [Means::Here, Means::Cookie, Means::Proxy] {
                assert_eq!(judge(&Method::POST, &headers(given), means).is_ok(), may, "{given:?}");
            }
        }
        assert!(judge(&Method::POST, &headers(&[here]), Means::Bearer).is_ok());
    }

    #[test]
    fn a_program_that_sends_a_password_need_say_no_more() {
        let json = ("content-type", "application/json");
        let cases: [(&[(&'static str, &'static str)], bool); 6] = [
            (&[], true),
            (&[json], true),
            (&[("content-type", "application/x-www-form-urlencoded")], false),
            (&[("content-type", "text/plain")], false),
            (&[json, ("origin", "http://evil.example")], false),
            (&[json, ("sec-fetch-site", "cross-site")], false),
        ];
        for (given, may) in cases {
            let judged = judge(&Method::POST, &headers(given), Means::Password);
            assert_eq!(judged.is_ok(), may, "{given:?}");
            assert!(judge(&Method::POST, &headers(given), Means::Cookie).is_err());
        }
    }
}
