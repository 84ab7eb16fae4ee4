//! Who may look, and who may do what.
//!
//! Without logins the monitor serves this machine alone: only addresses of its own are listened at,
//! and only requests that name it as such are answered, so that a page elsewhere cannot reach it by a
//! name of its own (DNS rebinding). What changes something also wants a header that a page elsewhere
//! cannot send.

use super::api::Problem;
use super::http::Pages;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

/// The header that scripts of ours send with everything that changes something.
const INTENT: &str = "x-celeriac";

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// As the audit shows it.
    pub(super) name: String,
}

impl FromRequestParts<Pages> for Person {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, _: &Pages) -> Result<Self, Problem> {
        Ok(Self { name: "local".to_owned() })
    }
}

/// Lets a request through that comes from where it may.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    match judge(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(why) => Problem::forbidden(why).into_response(),
    }
}

fn judge(method: &Method, headers: &HeaderMap) -> Result<(), &'static str> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if !text(header::HOST).is_some_and(is_here) {
        return Err("ask by an address of this machine, such as 127.0.0.1");
    }
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    if site.is_some_and(|site| site != "same-origin") {
        return Err("it comes from another site");
    }
    match headers.contains_key(INTENT) {
        true => Ok(()),
        false => Err("send the header X-Celeriac: 1 with everything that changes something"),
    }
}

/// Whether a host, with or without a port, is this machine.
fn is_here(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_this_machine_is_answered() {
        for (host, is_answered) in [
            ("127.0.0.1:5555", true),
            ("localhost", true),
            ("[::1]:5555", true),
            ("evil.example:5555", false),
            ("127.0.0.1.evil.example", false),
            ("10.0.0.1", false),
        ] {
            let judged = judge(&Method::GET, &headers(&[("host", host)]));
            assert_eq!(judged.is_ok(), is_answered, "{host}");
        }
        assert!(judge(&Method::GET, &headers(&[])).is_err());
    }

    #[test]
    fn what_changes_something_comes_from_our_pages_or_from_no_page() {
        let here = ("host", "127.0.0.1");
        let cases: [(&[(&'static str, &'static str)], bool); 4] = [
            (&[here], false),
            (&[here, ("x-celeriac", "1")], true),
            (&[here, ("x-celeriac", "1"), ("sec-fetch-site", "same-origin")], true),
            (&[here, ("x-celeriac", "1"), ("sec-fetch-site", "cross-site")], false),
        ];
        for (given, may) in cases {
            assert_eq!(judge(&Method::POST, &headers(given)).is_ok(), may, "{given:?}");
        }
    }
}
