//! How values look. What is not known is a dash, never a zero.

use super::super::change::{Micros, micros};
use super::super::state::State;
use crate::control::Pause;
use askama::filters::HtmlSafe;
use jiff::Timestamp;
use std::fmt::{self, Write};

/// What stands where nothing is known.
pub(super) const UNKNOWN: &str = "–";

/// A list shows so many characters of an argument or an error.
const IN_A_LIST: usize = 240;

/// Text that is HTML already. Everything in it that came from elsewhere has been escaped.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Html(String);

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Html {}

impl Html {
    /// Takes what `written` made of literals and of escaped text.
    pub(super) fn safe(written: String) -> Self {
        Self(written)
    }

    /// Text as it is.
    pub(super) fn text(text: &str) -> Self {
        Self(escaped(text))
    }

    /// A link within the monitor.
    pub(super) fn link(href: &str, text: &str) -> Self {
        Self(format!("<a href=\"{}\">{}</a>", escaped(href), escaped(text)))
    }

    pub(super) fn unknown() -> Self {
        Self(UNKNOWN.to_owned())
    }
}

/// Text in which nothing is markup, and nothing hides: controls and signs that turn the direction of
/// writing are shown instead of obeyed.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(visible(c)),
        }
    }
    out
}

/// The same, where the template escapes.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(visible).collect()
}

fn visible(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('␦'),
        '\u{7f}' => '␡',
        '\u{80}'..='\u{9f}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => '␦',
        '\u{2066}'..='\u{2069}' | '\u{feff}' => '␦',
        c => c,
    }
}

/// One line for a list.
pub(super) fn line(text: &str) -> String {
    let mut line: String =
        text.chars().take(IN_A_LIST).map(|c| if c == '\n' { ' ' } else { visible(c) }).collect();
    if text.chars().nth(IN_A_LIST).is_some() {
        line.push('…');
    }
    line
}

/// Text that may be missing.
pub(super) fn or_unknown(text: Option<&str>) -> String {
    text.map_or(UNKNOWN.to_owned(), plain)
}

/// A state: its sign, its word, its colour.
pub(super) fn state(state: State) -> Html {
    mark(&state.as_str().to_lowercase(), state.as_str())
}

/// A sign from `icons.html` and a word.
pub(super) fn mark(sign: &str, word: &str) -> Html {
    Html(format!(
        "<span class=\"state s-{sign}\"><svg class=\"g\" aria-hidden=\"true\"><use href=\"#s-{sign}\"/></svg>{word}</span>"
    ))
}

/// A number with its thousands set off.
pub(super) fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::from(if number < 0 { "−" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number that may be missing.
pub(super) fn some_count(number: Option<i64>) -> String {
    number.map_or(UNKNOWN.to_owned(), count)
}

/// A number and what it counts: `1 task`, `2 tasks`.
pub(super) fn counted(number: i64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A length in bytes.
pub(super) fn size(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} KB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// How long something took, with two units at most.
pub(super) fn took(micros: Micros) -> String {
    let (millis, seconds) = (micros / 1_000, micros / 1_000_000);
    match micros.max(0) {
        0..1_000 => format!("{} µs", micros.max(0)),
        1_000..1_000_000 => format!("{millis} ms"),
        1_000_000..10_000_000 => format!("{:.1} s", (micros / 100_000) as f64 / 10.0),
        10_000_000..60_000_000 => format!("{seconds} s"),
        60_000_000..3_600_000_000 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600_000_000..86_400_000_000 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// A duration that may be missing.
pub(super) fn some_took(micros: Option<Micros>) -> String {
    micros.map_or(UNKNOWN.to_owned(), took)
}

/// A duration that was counted in buckets, so that it is known about.
pub(super) fn about(micros: Option<Micros>) -> String {
    micros.map_or(UNKNOWN.to_owned(), |micros| format!("≈ {}", took(micros)))
}

/// A rate per second: never zero where there is one.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        0.0 => "0".to_owned(),
        it if it < 0.01 => "< 0.01".to_owned(),
        it if it < 1.0 => format!("{it:.2}"),
        it if it < 10.0 => format!("{it:.1}"),
        it => count(it.round() as i64),
    }
}

/// A share of something, as a percentage; `None` of nothing.
pub(super) fn percent(part: i64, all: i64) -> Option<String> {
    let share = (all > 0).then(|| part as f64 * 100.0 / all as f64)?;
    Some(match share {
        0.0 => "0".to_owned(),
        it if it < 0.1 => "< 0.1".to_owned(),
        it if it < 10.0 => format!("{it:.1}"),
        it => format!("{it:.0}"),
    })
}

/// How long ago something was, or in how long it will be, with the time itself for who asks. The
/// script's `relative` says the same words.
pub(super) fn ago(at: Micros, now: Micros) -> Html {
    let seconds = (now - at).abs() / 1_000_000;
    let text = match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    };
    let text = if at > now { format!("in {text}") } else { format!("{text} ago") };
    time(at, "ago", &text)
}

/// The time of day, to the millisecond; the whole time for who asks.
pub(super) fn clock(at: Micros) -> Html {
    let whole = exact(at);
    time(at, "clock", whole.get(11..23).unwrap_or(&whole))
}

/// Hour and minute; the whole time for who asks.
pub(super) fn minute(at: Micros) -> Html {
    let whole = exact(at);
    time(at, "minute", whole.get(11..16).unwrap_or(&whole))
}

/// Day, hour and minute; the whole time for who asks.
pub(super) fn day(at: Micros) -> Html {
    let whole = exact(at);
    time(at, "day", whole.get(5..16).unwrap_or(&whole))
}

/// Who paused something, since when, and why, as text.
pub(super) fn pause(pause: &Pause, now: Micros) -> String {
    let since = exact(micros(pause.at));
    // The day is said where it is not today.
    let from = if since.get(..10) == exact(now).get(..10) { 11 } else { 0 };
    let since = since.get(from..16).unwrap_or(&since);
    let why = if pause.reason.is_empty() { String::new() } else { format!(" ({})", pause.reason) };
    line(&format!("by {} since {since} UTC{why}", pause.by))
}

/// The whole time.
pub(super) fn full(at: Micros) -> Html {
    time(at, "full", &exact(at))
}

/// Something that may be missing.
pub(super) fn some<T>(value: Option<T>, show: impl FnOnce(T) -> Html) -> Html {
    value.map_or_else(Html::unknown, show)
}

fn time(at: Micros, class: &str, text: &str) -> Html {
    let stamp = timestamp(at).strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
    let exact = exact(at);
    Html(format!(
        "<time class=\"{class}\" datetime=\"{stamp}\" data-exact=\"{exact}\">{text}</time>"
    ))
}

fn exact(at: Micros) -> String {
    timestamp(at).strftime("%Y-%m-%d %H:%M:%S%.3f UTC").to_string()
}

fn timestamp(at: Micros) -> Timestamp {
    Timestamp::from_microsecond(at).unwrap_or_default()
}

/// A part of a path or of a query in an address.
pub(super) fn in_address(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@:,*".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_told_with_who_when_and_why() {
        let now = 1_795_612_345_678_901;
        let said = |reason| {
            let at = std::time::UNIX_EPOCH + std::time::Duration::from_micros(now as u64);
            Pause::new("ana", at, reason)
        };
        assert_eq!(pause(&said("smtp\ndown"), now), "by ana since 13:12 UTC (smtp down)");
        let later = now + 86_400_000_000;
        assert_eq!(pause(&said(""), later), "by ana since 2026-11-25 13:12 UTC");
    }

    #[test]
    fn nothing_from_elsewhere_is_markup_or_hides() {
        let hostile = "<script>\"'&\u{1b}[31m\0\u{202e}gnp.exe\u{7f}\u{85}";
        assert_eq!(escaped(hostile), "&lt;script&gt;&quot;&#39;&amp;␛[31m␀␦gnp.exe␡␦");
        assert_eq!(plain("a\nb\u{7}"), "a\nb␇");
        assert_eq!(line("a\nb"), "a b");
        assert_eq!(line(&"ü".repeat(300)).chars().count(), IN_A_LIST + 1);
        assert_eq!(
            Html::link("/x?q=\"><b", "<i>").to_string(),
            "<a href=\"/x?q=&quot;&gt;&lt;b\">&lt;i&gt;</a>"
        );
    }

    #[test]
    fn numbers_are_grouped_and_what_is_small_is_not_nothing() {
        let cases = [(0, "0"), (999, "999"), (1_000, "1,000"), (-1_234_567, "−1,234,567")];
        for (number, text) in cases {
            assert_eq!(count(number), text);
        }
        assert_eq!(
            [rate(0.0), rate(0.001), rate(0.5), rate(4.25), rate(1412.4)],
            ["0", "< 0.01", "0.50", "4.2", "1,412"]
        );
        assert_eq!(percent(0, 0), None);
        assert_eq!(percent(1, 100_000).as_deref(), Some("< 0.1"));
        assert_eq!(some_count(None), UNKNOWN);
    }

    #[test]
    fn durations_have_units() {
        let cases = [
            (0, "0 µs"),
            (999, "999 µs"),
            (12_345, "12 ms"),
            (1_290_000, "1.2 s"),
            (41_900_000, "41 s"),
            (200_000_000, "3 min 20 s"),
            (7_500_000_000, "2 h 5 min"),
            (180_000_000_000, "2 d 2 h"),
        ];
        for (micros, text) in cases {
            assert_eq!(took(micros), text);
        }
    }

    #[test]
    fn times_are_relative_and_exact() {
        let at = 1_763_807_398_711_000;
        let shown = ago(at, at + 125_000_000).to_string();
        assert!(shown.contains(">2 min ago<"), "{shown}");
        assert!(shown.contains("data-exact=\"2025-11-22 10:29:58.711 UTC\""), "{shown}");
        assert!(ago(at + 7_200_000_000, at).to_string().contains(">in 2 h<"));
        assert!(clock(at).to_string().contains(">10:29:58.711<"));
        assert!(full(Micros::MAX).to_string().contains("1970"), "what is no time stays harmless");
    }

    #[test]
    fn addresses_hold_anything() {
        assert_eq!(in_address("a b/c?d&e#ü"), "a%20b%2Fc%3Fd%26e%23%C3%BC");
    }
}
