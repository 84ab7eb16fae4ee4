//! Which failures are the same: an exception without what differs from one task to the next. Pure.

/// A group of failures.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Signature {
    /// The exception's type.
    pub(super) kind: String,
    /// Type and message, with placeholders for numbers, ids, addresses, quoted texts and paths.
    pub(super) title: String,
}

/// Longer messages differ in nothing that matters, in characters.
const LONGEST: usize = 200;

/// The signature of an exception as Python shows it: `SMTPTimeout('connection to 10.0.0.1:25')`.
pub(super) fn signature(exception: &str) -> Signature {
    let (kind, message) = split(exception);
    let message = generalise(&message);
    let title = if message.is_empty() { kind.clone() } else { format!("{kind}: {message}") };
    Signature { kind, title }
}

/// Type and message. Of a message that Python shows, the quotes around it are taken away.
pub(super) fn split(exception: &str) -> (String, String) {
    let line = exception.lines().next().unwrap_or_default().trim();
    // The type may have brackets of its own: `ExitStatus(1)('...')`.
    let quoted = line.find("('").or_else(|| line.find("(\""));
    let (kind, rest) = match quoted.or_else(|| line.find(['(', ':', ' '])) {
        Some(end) => line.split_at(end),
        None => (line, ""),
    };
    let message = match rest.strip_prefix('(') {
        Some(inside) => unquote(inside.strip_suffix(')').unwrap_or(inside).trim_end_matches(',')),
        None => rest.trim_start_matches(':').trim(),
    };
    let kind = if kind.is_empty() { "unknown" } else { kind };
    (kind.chars().take(LONGEST).collect(), message.to_owned())
}

fn unquote(text: &str) -> &str {
    for quote in ['\'', '"'] {
        if let Some(inside) = text.strip_prefix(quote).and_then(|it| it.strip_suffix(quote)) {
            return inside;
        }
    }
    text
}

/// The message, each part that would differ replaced by what it is.
fn generalise(message: &str) -> String {
    let mut general = String::new();
    let mut rest = message;
    while let Some(first) = rest.chars().next() {
        let (taken, instead) = match first {
            '\'' | '"' => quoted(rest, first),
            _ if first.is_alphanumeric() || matches!(first, '/' | '<' | '_') => word(rest),
            _ => (first.len_utf8(), None),
        };
        general.push_str(instead.unwrap_or(&rest[..taken]));
        rest = &rest[taken..];
        if general.chars().count() >= LONGEST {
            break;
        }
    }
    general.chars().take(LONGEST).collect::<String>().trim().to_owned()
}

/// A quoted text, and how many bytes it has; a quote alone stays.
fn quoted(text: &str, quote: char) -> (usize, Option<&'static str>) {
    match text[1..].find(quote) {
        Some(length) => (length + 2, Some("<text>")),
        None => (1, None),
    }
}

/// What stands up to the next space or the like, and what it is if that may differ.
fn word(text: &str) -> (usize, Option<&'static str>) {
    let ends = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')' | '\'' | '"' | '`');
    let end = text.find(ends).unwrap_or(text.len());
    let end = match text[..end].find('=') {
        Some(equals) if equals > 0 && !text[..end].contains("://") => equals,
        _ => end,
    };
    // A full stop or a colon at the end belongs to the sentence.
    let sentence = text[..end].trim_end_matches(['.', ':', '!', '?']).len();
    let end = if sentence > 0 { sentence } else { end };
    (end, what_differs(&text[..end]))
}

fn what_differs(word: &str) -> Option<&'static str> {
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let plain = word.chars().filter(|c| *c != '-').count();
    let is_hex = word.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if word.contains("://") {
        Some("<url>")
    } else if word.starts_with('/') && word.len() > 1 {
        Some("<path>")
    } else if word.contains('@') {
        Some("<address>")
    } else if plain >= 16 && is_hex && digits > 0 || word.starts_with("0x") {
        Some("<id>")
    } else if is_host(word) {
        Some("<host>")
    } else if digits > 0 && (is_number(word) || is_mostly_digits(word, digits)) {
        Some("<n>")
    } else {
        None
    }
}

/// `name:25`, `10.0.0.1`, `10.0.0.1:25`.
fn is_host(word: &str) -> bool {
    let (host, port) = word.rsplit_once(':').unwrap_or((word, "0"));
    let has_port =
        word.contains(':') && !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
    let numbers: Vec<_> = host.split('.').collect();
    let is_ipv4 = numbers.len() == 4 && numbers.iter().all(|it| it.parse::<u8>().is_ok());
    let names = host.chars().next().is_some_and(char::is_alphabetic);
    is_ipv4 || (has_port && names)
}

fn is_number(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | ':' | '_' | '%'))
}

/// A measure such as `120ms`, an order such as `A1234567`.
fn is_mostly_digits(word: &str, digits: usize) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit()) || digits * 2 >= word.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_task_to_task_is_left_out() {
        let cases = [
            (
                "SMTPTimeout('connection to smtp:25 timed out')",
                "SMTPTimeout: connection to <host> timed out",
            ),
            (
                "SMTPTimeout('connection to 10.1.2.3:25 timed out')",
                "SMTPTimeout: connection to <host> timed out",
            ),
            (
                "CardDeclined('order 4711: declined (code 51)')",
                "CardDeclined: order <n>: declined (code <n>)",
            ),
            ("KeyError('user')", "KeyError: user"),
            ("NotFound(\"no row 'ana' in '/var/db'\")", "NotFound: no row <text> in <text>"),
            ("OSError('cannot open /tmp/a1.mov')", "OSError: cannot open <path>"),
            ("E('task 0b3f6f1c-8f8e-4f5e-9b1e-111111111111 is gone')", "E: task <id> is gone"),
            ("E('after 120ms, 3 times.')", "E: after <n>, <n> times."),
            ("HTTPError('500 from https://a.example/x?y=1')", "HTTPError: <n> from <url>"),
            ("E('mail to ana@example.com bounced')", "E: mail to <address> bounced"),
            (
                "ExitStatus(1)('`sh` ended with exit code 1: no smtp:25')",
                "ExitStatus(1): `sh` ended with exit code <n>: no <host>",
            ),
            ("WorkerLostError", "WorkerLostError"),
            ("exit code 3: no such file", "exit: code <n>: no such file"),
            ("", "unknown"),
        ];
        for (exception, title) in cases {
            assert_eq!(signature(exception).title, title, "{exception}");
        }
        assert_eq!(signature("SMTPTimeout('x')").kind, "SMTPTimeout");
    }

    #[test]
    fn odd_texts_harm_nothing() {
        for odd in ["'", "('", "((((", "é'é", "…: '", "E('ü/é 7é')", &"(".repeat(9_999), "\u{0}\n"]
        {
            let signature = signature(odd);
            assert!(signature.title.chars().count() <= 2 * LONGEST + 2, "{odd}");
        }
    }
}
