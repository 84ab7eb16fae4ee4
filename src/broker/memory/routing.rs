//! Which queues an exchange leads to. Pure.

use crate::broker::RawMessage;
use crate::protocol::HeaderValue;
use crate::topology::{Arguments, Binding, Endpoint, Exchange, ExchangeKind};
use std::collections::{BTreeMap, BTreeSet};

/// An exchange with the bindings that start from it.
#[derive(Debug, Clone)]
pub(super) struct Exit {
    pub(super) exchange: Exchange,
    pub(super) bindings: Vec<Binding>,
}

/// An exchange that does not exist.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoExchange(pub(super) String);

/// The queues that a message goes to which is published to `exchange` with `keys`.
pub(super) fn route(
    exits: &BTreeMap<String, Exit>,
    exchange: &str,
    keys: &[String],
    message: &RawMessage,
) -> Result<BTreeSet<String>, NoExchange> {
    let mut queues = BTreeSet::new();
    if exchange.is_empty() {
        queues.extend(keys.iter().cloned());
        return Ok(queues);
    }
    if !exits.contains_key(exchange) {
        return Err(NoExchange(exchange.to_owned()));
    }
    let (mut open, mut seen) = (vec![exchange.to_owned()], BTreeSet::new());
    while let Some(name) = open.pop() {
        let Some(exit) = exits.get(&name).filter(|_| seen.insert(name.clone())) else { continue };
        let ways = exit.ways(keys, message);
        if ways.is_empty()
            && let Some(HeaderValue::Text(alternate)) =
                exit.exchange.arguments.get("alternate-exchange")
        {
            open.push(alternate.clone());
        }
        for way in ways {
            match way {
                Endpoint::Queue(queue) => drop(queues.insert(queue.clone())),
                Endpoint::Exchange(exchange) => open.push(exchange.clone()),
            }
        }
    }
    Ok(queues)
}

impl Exit {
    fn ways(&self, keys: &[String], message: &RawMessage) -> Vec<&Endpoint> {
        let by_key = |matches: fn(&str, &str) -> bool| {
            let fits =
                move |binding: &&Binding| keys.iter().any(|key| matches(&binding.routing_key, key));
            self.bindings.iter().filter(fits).map(|binding| &binding.destination).collect()
        };
        match self.exchange.kind {
            ExchangeKind::Direct => by_key(|wanted, key| wanted == key),
            ExchangeKind::Topic => by_key(matches_topic),
            ExchangeKind::Fanout => by_key(|_, _| true),
            ExchangeKind::Headers => {
                let headers = message.headers();
                let fits = |binding: &&Binding| matches_headers(&binding.arguments, &headers);
                self.bindings.iter().filter(fits).map(|binding| &binding.destination).collect()
            }
        }
    }
}

/// Whether `key` fits `pattern`, where `*` is one word and `#` any number of words.
fn matches_topic(pattern: &str, key: &str) -> bool {
    fn fits(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern, key) {
            ([], []) => true,
            (["#", rest @ ..], _) => (0..=key.len()).any(|skipped| fits(rest, &key[skipped..])),
            (["*", pattern @ ..], [_, key @ ..]) => fits(pattern, key),
            ([wanted, pattern @ ..], [word, key @ ..]) if wanted == word => fits(pattern, key),
            _ => false,
        }
    }
    fits(&words(pattern), &words(key))
}

fn words(text: &str) -> Vec<&str> {
    if text.is_empty() { Vec::new() } else { text.split('.').collect() }
}

fn matches_headers(wanted: &Arguments, headers: &BTreeMap<String, HeaderValue>) -> bool {
    let mut wanted_ones = wanted.iter().filter(|(name, _)| !name.starts_with("x-"));
    let fits = |(name, value): (&String, &HeaderValue)| match headers.get(name) {
        Some(found) => *value == HeaderValue::Null || found == value,
        None => false,
    };
    match wanted.get("x-match") {
        Some(HeaderValue::Text(any)) if any == "any" => wanted_ones.any(fits),
        _ => wanted_ones.all(fits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_word_and_a_hash_any_number() {
        let cases = [
            ("mail", "mail", true),
            ("mail", "mail.send", false),
            ("mail.*", "mail.send", true),
            ("mail.*", "mail", false),
            ("mail.#", "mail", true),
            ("mail.#", "mail.send.now", true),
            ("#.now", "mail.send.now", true),
            ("#", "", true),
            ("*", "", false),
            ("a.*.c", "a..c", true),
            ("#.a.#", "b.a.c", true),
            ("*.*.1.#", "0.0.1.q", true),
            ("*.*.1.#", "0.1.0.q", false),
        ];
        for (pattern, key, fits) in cases {
            assert_eq!(matches_topic(pattern, key), fits, "{pattern} {key}");
        }
    }

    #[test]
    fn headers_fit_all_or_any() {
        let all = Arguments::from([("a".to_owned(), 1_i64.into()), ("b".to_owned(), "x".into())]);
        let mut any = all.clone();
        any.insert("x-match".to_owned(), "any".into());
        let some = BTreeMap::from([("b".to_owned(), HeaderValue::from("x"))]);
        assert!(!matches_headers(&all, &some));
        assert!(matches_headers(&any, &some));
    }
}
