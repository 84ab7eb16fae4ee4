//! Where a request comes from.

use axum::http::{HeaderMap, header};
use std::net::IpAddr;

/// The header that scripts of ours send with everything that changes something. A page elsewhere
/// cannot send it without our leave, which it never has.
const INTENT: &str = "x-celeriac";

/// Whether it names this machine as its own.
pub(super) fn is_here(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    host.is_some_and(|host| is_loopback(name_of(host)))
}

/// Whether it comes from a page of ours, or from a program.
pub(super) fn is_ours(headers: &HeaderMap) -> Result<(), &'static str> {
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    match site {
        // What no script can write: a form of ours says it by itself.
        Some("same-origin") => Ok(()),
        Some(_) => Err("it comes from another site"),
        None if headers.contains_key(INTENT) => Ok(()),
        None => Err("send the header X-Celeriac: 1 with everything that changes something"),
    }
}

/// Whether no page can have sent it: browsers say where what a script sends comes from, and forms of
/// a page elsewhere have one of three types.
pub(super) fn is_of_a_program(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    let is_of_no_form = kind.is_none_or(|kind| kind.starts_with(b"application/json"));
    let is_of_no_page =
        ["origin", "referer", "sec-fetch-site"].iter().all(|it| !headers.contains_key(*it));
    is_of_no_form && is_of_no_page
}

/// The name or address in front of the port.
pub(in super::super) fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

/// Whether a name or address is this machine for itself.
pub(in super::super) fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
