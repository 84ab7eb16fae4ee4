//! What it costs to read and write a body, as a ratio to the bare decoder on the same bytes.
//!
//! `cargo bench --bench codec`. The rounds are interleaved and the best of each is shown, so that a
//! busy machine disturbs little.

#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

use celeriac::prelude::*;
use celeriac::protocol::{Body, Embed, Envelope, Format, Headers, Limits, Properties, Value};
use celeriac::task::Given;
use serde::de::IgnoredAny;
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 31;
const REPEATS: u32 = 20_000;

type Args = (i64, i64);
type Bare = (Args, IgnoredAny, IgnoredAny);

fn main() {
    let limits = Limits::default();
    println!("{:<34} {:>9} {:>9} {:>7}", "", "bare ns", "ours ns", "ratio");
    for format in [Format::MessagePack, Format::Json] {
        for (name, body) in [("sparse", sparse(format)), ("as Celery sends it", full(format))] {
            let envelope = envelope(format, body);
            compare(
                &format!("read {} {name}", format.name()),
                || bare_decode(format, &envelope.body),
                || {
                    let body = Body::parse(&envelope, &limits).expect("a body of ours");
                    let args: Args = body.args().expect("two integers");
                    (args, body.embed().expect("nothing follows").is_empty())
                },
            );
        }
        typed(format, &limits);
        let args: Args = (2, 3);
        compare(
            &format!("write {}", format.name()),
            || bare_encode(format, &(args, Empty {}, Empty {})),
            || Body::encode(format, &args, &(), &Embed::default()).expect("two integers"),
        );
    }
}

#[task]
async fn add(a: i64, b: i64) -> anyhow::Result<i64> {
    Ok(a + b)
}

#[task]
async fn mail(to: String, user: u64, tags: Vec<String>, #[arg(default)] draft: bool) {
    black_box((to, user, tags, draft));
}

/// The arguments of a typed task, read one by one, against the same tuple in one go. The body has
/// been found in the message before, by both.
fn typed(format: Format, limits: &Limits) {
    let parse = |bytes| Body::parse(&envelope(format, bytes), limits).expect("a body of ours");
    let nothing = Embed::default();
    let numbers = parse(Body::encode(format, &(2, 3), &(), &nothing).expect("plain values"));
    compare(
        &format!("typed {} (i64, i64)", format.name()),
        || bare_args::<Args>(format, numbers.raw_args()),
        || Given::new(add::NAME, &numbers).read::<add>().expect("two integers"),
    );
    let args = ("ada@example.org", 42, ["welcome", "new"], true);
    let letter = parse(Body::encode(format, &args, &(), &nothing).expect("plain values"));
    compare(
        &format!("typed {} four arguments", format.name()),
        || bare_args::<(String, u64, Vec<String>, bool)>(format, letter.raw_args()),
        || Given::new(mail::NAME, &letter).read::<mail>().expect("four arguments"),
    );
}

fn bare_args<T: serde::de::DeserializeOwned>(format: Format, bytes: &[u8]) -> T {
    match format {
        Format::Json => serde_json::from_slice(bytes).expect("arguments of ours"),
        Format::MessagePack => rmp_serde::from_slice(bytes).expect("arguments of ours"),
    }
}

#[derive(serde::Serialize)]
struct Empty {}

fn bare_decode(format: Format, bytes: &[u8]) -> Bare {
    match format {
        Format::Json => serde_json::from_slice(bytes).expect("a body of ours"),
        Format::MessagePack => rmp_serde::from_slice(bytes).expect("a body of ours"),
    }
}

fn bare_encode(format: Format, value: &impl serde::Serialize) -> Vec<u8> {
    match format {
        Format::Json => serde_json::to_vec(value).expect("plain values"),
        Format::MessagePack => rmp_serde::to_vec_named(value).expect("plain values"),
    }
}

fn sparse(format: Format) -> Vec<u8> {
    Body::encode(format, &(2, 3), &(), &Embed::default()).expect("two integers")
}

fn full(format: Format) -> Vec<u8> {
    let embed = ["callbacks", "errbacks", "chain", "chord"]
        .map(|name| (Value::from(name), Value::Nil))
        .to_vec();
    format.encode(&((2, 3), Empty {}, Value::Map(embed))).expect("plain values")
}

fn envelope(format: Format, body: Vec<u8>) -> Envelope {
    let content_type = Some(format.content_type().to_owned());
    Envelope {
        properties: Properties { content_type, ..Properties::default() },
        headers: Headers::new("bench", "id".into()),
        body: body.into(),
    }
}

fn compare<A, B>(name: &str, bare: impl Fn() -> A, ours: impl Fn() -> B) {
    let (mut bare_ns, mut ours_ns) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        bare_ns = bare_ns.min(nanos(&bare));
        ours_ns = ours_ns.min(nanos(&ours));
    }
    println!("{name:<34} {bare_ns:>9.0} {ours_ns:>9.0} {:>7.2}", ours_ns / bare_ns);
}

fn nanos<T>(work: &impl Fn() -> T) -> f64 {
    let start = Instant::now();
    for _ in 0..REPEATS {
        black_box(work());
    }
    start.elapsed().as_nanos() as f64 / f64::from(REPEATS)
}
