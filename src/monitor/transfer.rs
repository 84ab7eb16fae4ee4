//! How answers travel: compressed where the other side can read that, and not at all where it has
//! them already.
//!
//! Each answer to a GET carries a weak `ETag`, and whoever sends that back as `If-None-Match` is told
//! `304` without a body while nothing has changed. The clock of a page does not count, which would
//! make every answer another one. What streams has no length, and goes through as it is.
//!
//! Pages have no secret of their own that the length of a compressed answer could give away: what
//! changes something is known by where it comes from, not by a hidden word.

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::response::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::io::Write;

/// Shorter answers fit into a packet as they are, in bytes.
const SHORT: usize = 1_024;

/// So much of a digest tells one answer from another.
const ENOUGH: usize = 12;

/// What starts a tag behind whose end a time of the clock stands.
const CLOCKS: [&[u8]; 2] = [b"time ", b"span class=\"took\""];

/// Sends what is answered as briefly as the other side understands it.
pub(super) async fn shorten(request: Request, next: Next) -> Response {
    let is_get = *request.method() == Method::GET;
    let asked = request.headers().clone();
    let response = next.run(request).await;
    let is_whole = response.body().size_hint().exact().is_some();
    if !is_get || !is_whole || response.status() != StatusCode::OK {
        return response;
    }
    let (head, body) = response.into_parts();
    let short = async {
        // It is in memory already, whatever its length.
        let body = to_bytes(body, usize::MAX).await.ok()?;
        tokio::task::spawn_blocking(move || answer(head, body, &asked)).await.ok()
    };
    short.await.unwrap_or_else(|| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn answer(mut head: Parts, body: Bytes, asked: &HeaderMap) -> Response {
    let tag = tag(&head.headers, &body);
    let has = asked.get_all(header::IF_NONE_MATCH).iter().any(|known| knows(known, &tag));
    head.headers.insert(header::VARY, HeaderValue::from_static("accept-encoding, cookie"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        head.headers.insert(header::ETAG, tag);
    }
    if has {
        head.status = StatusCode::NOT_MODIFIED;
        for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
            head.headers.remove(name);
        }
        return Response::from_parts(head, Body::empty());
    }
    if body.len() < SHORT || !asked.get_all(header::ACCEPT_ENCODING).iter().any(takes_gzip) {
        return Response::from_parts(head, body.into());
    }
    match compressed(&body) {
        Ok(short) => {
            let gzip = HeaderValue::from_static("gzip");
            head.headers.insert(header::CONTENT_ENCODING, gzip);
            head.headers.insert(header::CONTENT_LENGTH, short.len().into());
            Response::from_parts(head, short.into())
        }
        Err(_) => Response::from_parts(head, body.into()),
    }
}

/// The same for answers that say the same.
fn tag(headers: &HeaderMap, body: &[u8]) -> String {
    let mut digest = Sha256::new();
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if kind.starts_with(b"text/html") {
        for part in body.split(|byte| *byte == b'<') {
            digest.update(timeless(part));
            digest.update(b"<");
        }
    } else {
        digest.update(body);
    }
    let hex: String =
        digest.finalize().iter().take(ENOUGH).map(|byte| format!("{byte:02x}")).collect();
    format!("W/\"{hex}\"")
}

/// A tag and the text behind it, without what is different in each moment.
fn timeless(part: &[u8]) -> &[u8] {
    let up_to = |end: &[u8]| part.windows(end.len()).position(|it| it == end);
    let end = if CLOCKS.iter().any(|clock| part.starts_with(clock)) {
        up_to(b">")
    } else if part.starts_with(b"body ") {
        up_to(b" data-now")
    } else {
        None
    };
    &part[..end.unwrap_or(part.len())]
}

fn knows(known: &HeaderValue, tag: &str) -> bool {
    let weak = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let known = known.to_str().unwrap_or_default();
    known.split(',').any(|it| it.trim() == "*" || weak(it) == weak(tag))
}

fn takes_gzip(accepted: &HeaderValue) -> bool {
    let accepted = accepted.to_str().unwrap_or_default();
    accepted.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let is_refused = parts.any(|it| it.strip_prefix("q=").is_some_and(is_zero));
        is_gzip && !is_refused
    })
}

fn is_zero(quality: &str) -> bool {
    quality.parse::<f32>().is_ok_and(|it| it <= 0.0)
}

fn compressed(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(header::HeaderName, &'static str)| {
            (name.clone(), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_page_is_the_same_page_a_second_later() {
        let html = headers(&[(header::CONTENT_TYPE, "text/html; charset=utf-8")]);
        let page = |now: u32, ago: &str, rest: &str| {
            let body = format!(
                "<body class=\"x\" data-now=\"{now}\"><p><time datetime=\"2026\">{ago}</time> {rest}</p>\
                 <span class=\"took\"> · {now} ms</span></body>"
            );
            tag(&html, body.as_bytes())
        };
        assert_eq!(page(1, "1 s ago", "failed"), page(2, "2 s ago", "failed"));
        assert_ne!(page(1, "1 s ago", "failed"), page(1, "1 s ago", "succeeded"));
        let json = headers(&[(header::CONTENT_TYPE, "application/json")]);
        assert_ne!(tag(&json, b"\"<time >1\""), tag(&json, b"\"<time >2\""));
    }

    #[test]
    fn who_has_it_is_told_nothing_but_that() {
        let tag = "W/\"ab\"";
        for (known, has) in [("W/\"ab\"", true), ("\"ab\"", true), ("\"x\", W/\"ab\"", true)] {
            assert_eq!(knows(&HeaderValue::from_static(known), tag), has, "{known}");
        }
        assert!(knows(&HeaderValue::from_static("*"), tag));
        assert!(!knows(&HeaderValue::from_static("\"abc\""), tag));
    }

    #[test]
    fn only_who_takes_gzip_gets_it() {
        for (accepted, takes) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("identity", false),
            ("xgzip", false),
        ] {
            assert_eq!(takes_gzip(&HeaderValue::from_static(accepted)), takes, "{accepted}");
        }
    }
}
