//! Durations, waits and rates in attributes, by the rules of the configuration file.

use proc_macro2::TokenStream;
use quote::quote;
use std::time::Duration;
use syn::{Error, LitStr, Result};

/// A duration such as `"30s"`.
pub(crate) fn duration(text: &LitStr) -> Result<Duration> {
    parse(text, text.value().trim())
}

fn parse(text: &LitStr, part: &str) -> Result<Duration> {
    if part.parse::<f64>().is_ok() {
        let message = format!(r#"a duration needs a unit; seconds? write "{part}s""#);
        return Err(Error::new(text.span(), message));
    }
    humantime::parse_duration(part).map_err(|error| {
        let advice = r#"write it like "250ms", "30s" or "1h30m""#;
        Error::new(text.span(), format!("`{part}` is not a duration ({error}); {advice}"))
    })
}

/// The duration as an expression.
pub(crate) fn tokens(duration: Duration) -> TokenStream {
    let (secs, nanos) = (duration.as_secs(), duration.subsec_nanos());
    quote!(::core::time::Duration::new(#secs, #nanos))
}

/// The first and the longest wait: `"10s..1h"`, or `"10s"` for a wait that does not grow.
pub(crate) fn backoff(text: &LitStr) -> Result<(Duration, Duration)> {
    let value = text.value();
    let (first, max) = value.split_once("..").unwrap_or((&value, &value));
    let (first, max) = (parse(text, first.trim())?, parse(text, max.trim())?);
    if first > max {
        let message = "the first wait is longer than the longest; write \"SHORTEST..LONGEST\"";
        return Err(Error::new(text.span(), message));
    }
    Ok((first, max))
}

/// Starts per second: `"50/s"`, `"100/m"`, `"1000/h"`.
pub(crate) fn rate(text: &LitStr) -> Result<f64> {
    let value = text.value();
    let per_second = value.split_once('/').and_then(|(count, unit)| {
        let seconds = match unit.trim() {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let count: u32 = count.trim().parse().ok()?;
        (count > 0).then_some(f64::from(count) / seconds)
    });
    let message = || format!(r#"`{value}` is no rate; write it like "50/s", "100/m" or "1000/h""#);
    per_second.ok_or_else(|| Error::new(text.span(), message()))
}
