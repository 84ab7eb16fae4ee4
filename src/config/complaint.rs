//! What serde complains about, in the operator's words and at its line.

use super::layer::{self, Layer, Source};
use super::problem::Problem;
use super::read::Complaint;
use super::schema;
use super::tree::{Path, Span, Step, Tree, write_key, write_path};

/// The complaint as a problem.
pub(super) fn explain(complaint: &Complaint, layers: &[Layer]) -> Problem {
    let message = &complaint.message;
    if message.starts_with("unknown field") {
        return unknown_key(&complaint.path, layers);
    }
    let (title, label) = if let Some(missing) = message.strip_prefix("missing field ") {
        (format!("missing key {missing} in {}", section(&complaint.path)), String::new())
    } else if let Some(rest) = message.strip_prefix("unknown variant ") {
        unknown_value(rest, &complaint.path)
    } else if let Some(rest) = message.strip_prefix("invalid type: ") {
        wrong(rest, "wrong type for", &complaint.path)
    } else if let Some(rest) = message.strip_prefix("invalid value: ") {
        wrong(rest, "wrong value for", &complaint.path)
    } else {
        let (title, label) = message.split_once("; ").unwrap_or((message, ""));
        (title.to_owned(), label.to_owned())
    };
    at_value(Problem::error(title), layers, &complaint.path, &label)
}

/// `problem` at the value of `path`.
pub(super) fn at_value(problem: Problem, layers: &[Layer], path: &[Step], label: &str) -> Problem {
    match layer::find(layers, path) {
        Some((layer, _, node)) => at(problem, layer, &node.span, label),
        None if label.is_empty() => problem,
        None => problem.note(label),
    }
}

/// `problem` at some bytes of the text that is the value of `path`; at all of it when the text is
/// not written as it is read.
pub(super) fn at_part(
    problem: Problem,
    layers: &[Layer],
    path: &[Step],
    part: Span,
    label: &str,
) -> Problem {
    let mut problem = at_value(problem, layers, path, label);
    let text = layer::find(layers, path).and_then(|(_, _, node)| match &node.value {
        Tree::Scalar(toml::Value::String(text)) => Some(text),
        _ => None,
    });
    if let (Some(place), Some(text)) = (&mut problem.place, text) {
        // Behind the opening quote.
        let start = place.span.start + 1;
        if place.text.get(start..start + text.len()) == Some(text.as_str()) {
            place.span = start + part.start..start + part.end;
        }
    }
    problem
}

/// `problem` at a place of `layer`; a variable or an option has no lines, so it gets notes.
fn at(problem: Problem, layer: &Layer, span: &Span, label: &str) -> Problem {
    let place = layer.place(span.clone(), label);
    if place.is_some() {
        return problem.at(place);
    }
    let problem = match &layer.source {
        Source::Variable(name) => problem.note(format!("in the environment variable {name}")),
        source => problem.note(format!("in the {source}")),
    };
    if label.is_empty() { problem } else { problem.note(label) }
}

fn unknown_key(path: &Path, layers: &[Layer]) -> Problem {
    let Some((Step::Key(key), table)) = path.split_last() else {
        return Problem::error("unknown key");
    };
    let known = schema::at(table).map(schema::keys).unwrap_or_default();
    let problem = Problem::error(format!("unknown key `{}` in {}", write_key(key), section(table)));
    let label = suggest(key, &known, '`');
    match layer::find(layers, path) {
        Some((layer, key_span, node)) => {
            at(problem, layer, key_span.as_ref().unwrap_or(&node.span), &label)
        }
        None => problem.note(label),
    }
}

/// `[worker]`, or what stands outside all sections.
fn section(path: &[Step]) -> String {
    match path {
        [] => "the file".to_owned(),
        path => format!("[{}]", write_path(path)),
    }
}

/// The nearest of `known`, or all of them if they are few.
pub(super) fn suggest(wrong: &str, known: &[&str], quote: char) -> String {
    if let Some(near) = nearest(wrong, known) {
        return format!("did you mean {quote}{near}{quote}?");
    }
    match known {
        [] => String::new(),
        few if few.len() <= 12 => {
            let few: Vec<_> = few.iter().filter(|key| !names_a_secret(key, known)).collect();
            let few: Vec<_> = few.iter().map(|key| format!("{quote}{key}{quote}")).collect();
            format!("known here: {}", few.join(", "))
        }
        _ => String::new(),
    }
}

/// Whether `key` is the `url_file` of a `url`.
fn names_a_secret(key: &str, known: &[&str]) -> bool {
    let base = key.strip_suffix("_file").or_else(|| key.strip_suffix("_credential"));
    base.is_some_and(|base| known.contains(&base))
}

/// The word of `known` that is most like `wrong`, if any is like it.
pub(super) fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    let likeness = |word: &str| strsim::jaro_winkler(&wrong.to_lowercase(), &word.to_lowercase());
    let scored = known.iter().map(|word| (likeness(word), *word));
    let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best.0 >= 0.82).then_some(best.1)
}

/// From serde's ``"`x`, expected one of `a`, `b`"``.
fn unknown_value(rest: &str, path: &[Step]) -> (String, String) {
    let (value, expected) = rest.split_once(", expected ").unwrap_or((rest, ""));
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let title = format!("unknown value {value} for `{}`", last_key(path));
    (title, suggest(value.trim_matches('`'), &known, '"'))
}

/// From serde's `string "x", expected u32`. The value itself may be a secret and is left out.
fn wrong(rest: &str, what: &str, path: &[Step]) -> (String, String) {
    let (found, expected) = rest.rsplit_once(", expected ").unwrap_or((rest, "another type"));
    let found = match found.split([' ', '`', '"']).next().unwrap_or(found) {
        "string" => "text",
        "integer" => found.split('`').nth(1).unwrap_or("a whole number"),
        "floating" => "a number with a fraction",
        "boolean" => "true or false",
        "sequence" => "an array",
        "map" => "a table",
        other => other,
    };
    let expected = plain_type(expected);
    let title = format!("{what} `{}`", last_key(path));
    (title, format!("this is {found}, expected {expected}"))
}

/// The operator's word for a Rust type.
fn plain_type(expected: &str) -> String {
    let bits = |unsigned: &str| unsigned.parse::<u32>().ok();
    if expected == "usize" || expected == "u64" {
        return "a whole number from 0".to_owned();
    }
    if let Some(bits) = expected.strip_prefix('u').and_then(bits) {
        return format!("a whole number from 0 to {}", u64::MAX >> (64 - bits));
    }
    match expected {
        "i32" | "i64" => "a whole number".to_owned(),
        "f64" => "a number".to_owned(),
        "a string" | "path string" => "text in quotes".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "an array".to_owned(),
        "a map" | "map" => "a table".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other => other.to_owned(),
    }
}

fn last_key(path: &[Step]) -> String {
    let keys = path.iter().rev().skip_while(|step| matches!(step, Step::Index(_)));
    keys.take(1)
        .map(|step| match step {
            Step::Key(key) => write_key(key),
            Step::Index(_) => String::new(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_a_far_one_is_not() {
        let known = ["concurrency", "prefetch", "queues"];
        assert_eq!(nearest("concurency", &known), Some("concurrency"));
        assert_eq!(nearest("Prefech", &known), Some("prefetch"));
        assert_eq!(nearest("zebra", &known), None);
        assert_eq!(
            suggest("zebra", &known, '`'),
            "known here: `concurrency`, `prefetch`, `queues`"
        );
    }

    #[test]
    fn a_rust_type_is_said_in_plain_words() {
        assert_eq!(plain_type("u8"), "a whole number from 0 to 255");
        assert_eq!(plain_type("u64"), "a whole number from 0");
        assert_eq!(plain_type("struct Settings"), "a table");
    }
}
