//! What is read from which text, and what is said of one that cannot be read.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

static FIELDS: Fields = Fields::new(&[
    Field::new("id", Kind::Id { shortest: 6 }),
    Field::new("name", Kind::Text),
    Field::new("queue", Kind::Text),
    Field::new("state", Kind::Word(&["open", "success", "failure"])),
    Field::new("error", Kind::Prose),
    Field::new("since", Kind::Since),
    Field::new("until", Kind::Until),
    Field::new("received", Kind::Time),
    Field::new("run", Kind::Duration),
    Field::new("try", Kind::Number),
    Field::new("resolved", Kind::Truth),
    Field::new("kwargs", Kind::Prose),
    Field::below("kwargs", Kind::Text),
])
.with_bare_words();

/// What is read from `text`, written in the one form that all texts of this meaning have.
fn read(text: &str) -> String {
    parse(text, &FIELDS).unwrap_or_else(|error| panic!("{error}")).to_string()
}

fn mistake(text: &str) -> String {
    parse(text, &FIELDS).unwrap_err().to_string()
}

/// `expr` as if it stood nowhere.
fn placeless(expr: Expr) -> Expr {
    let all = |parts: Vec<Expr>| parts.into_iter().map(placeless).collect();
    match expr {
        Expr::Or(parts) => Expr::Or(all(parts)),
        Expr::And(parts) => Expr::And(all(parts)),
        Expr::Not(part) => Expr::Not(Box::new(placeless(*part))),
        Expr::Term(mut term) => {
            term.span = Span::default();
            term.values.iter_mut().for_each(|given| given.span = Span::default());
            Expr::Term(term)
        }
        Expr::Word(word, _) => Expr::Word(word, Span::default()),
        Expr::Phrase(text, _) => Expr::Phrase(text, Span::default()),
    }
}

#[test]
fn and_binds_tighter_than_or_and_need_not_be_written() {
    let cases = [
        ("", ""),
        ("  ", ""),
        ("queue:a state:open OR name:b", "queue:a state:open OR name:b"),
        ("queue:a and (state:open or name:b)", "queue:a (state:open OR name:b)"),
        ("((queue:a))", "queue:a"),
        ("(queue:a name:b) run:>1s", "(queue:a name:b) run:>1s"),
        ("-queue:a not name:b", "NOT queue:a NOT name:b"),
        ("NOT NOT queue:a", "NOT NOT queue:a"),
        ("NOT(queue:a OR name:b)x", "NOT (queue:a OR name:b) x"),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn a_value_is_read_as_its_field_wants_it() {
    let cases = [
        ("State:FAILURE,Open", "state:failure,open"),
        ("queue:a,\"b c\",\"d\"*,e*", "queue:a,\"b c\",d*,e*"),
        ("queue:*", "queue:*"),
        ("queue:\"*\"", "queue:\"*\""),
        ("queue:~mail", "queue:~mail"),
        ("error:KeyError('a','b')", "error:\"KeyError('a','b')\""),
        ("(error:f(x))", "error:\"f(x)\""),
        (r#"error:"say \"no\"" x"#, r#"error:"say \"no\"" x"#),
        ("id:a279a6*", "id:a279a6"),
        ("since:-2h until:2026-11-22", "since:2h until:2026-11-22"),
        ("received:2h received:2026-11-22", "received:>=2h received:2026-11-22"),
        ("received:2h,2026-11-22", "received:2h..,2026-11-22"),
        ("received:2h..1h", "received:2h..1h"),
        ("received:\"2026-11-22 10:00\"", "received:\"2026-11-22 10:00\""),
        ("run:>=1500ms run:..5s run:1s..", "run:>=1s500ms run:<=5s run:>=1s"),
        ("run:*", "run:*"),
        ("try:3 try:<-3 try:3..5", "try:3 try:<-3 try:3..5"),
        ("resolved:TRUE", "resolved:yes"),
        ("kwargs:acme kwargs.user.Plan:pro", "kwargs:acme kwargs.user.Plan:pro"),
        ("send_* \"timed out\" a-b", "send_* \"timed out\" a-b"),
        ("\"or\"", "\"or\""),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn bounds_have_their_ends_where_they_were_said_to_be() {
    let within = |text: &str, millis: u64| {
        let Expr::Term(term) = parse(text, &FIELDS).unwrap() else { panic!("{text}") };
        let Value::Duration(bounds) = &term.values[0].value else { panic!("{text}") };
        std::ops::RangeBounds::contains(bounds, &Duration::from_millis(millis))
    };
    let cases = [
        ("run:>5s", [false, false, true]),
        ("run:>=5s", [false, true, true]),
        ("run:<5s", [true, false, false]),
        ("run:<=5s", [true, true, false]),
        ("run:5s..5s", [false, true, false]),
        ("run:..5s", [true, true, false]),
        ("run:5s..", [false, true, true]),
    ];
    for (text, expected) in cases {
        assert_eq!([4999, 5000, 5001].map(|millis| within(text, millis)), expected, "{text}");
    }
}

#[test]
fn every_mistake_is_pointed_at() {
    let cases = [
        ("run:>5", "a duration needs a unit: 5s, 5ms, 5m\n  run:>5\n       ^"),
        (
            "run:5s",
            "say how to compare: with :> or :<, or a range such as 1s..5s\n  run:5s\n      ^^",
        ),
        ("(state:failure OR", "this parenthesis is not closed\n  (state:failure OR\n  ^"),
        ("x (state:failure", "this parenthesis is not closed\n  x (state:failure\n    ^"),
        ("state:open)", "this parenthesis was not opened\n  state:open)\n            ^"),
        ("()", "something is missing before this\n  ()\n   ^"),
        ("x OR", "something is missing behind this\n  x OR\n    ^^"),
        ("x AND OR y", "something is missing before this\n  x AND OR y\n        ^^"),
        ("-", "something is missing behind this\n  -\n  ^"),
        ("stat:open", "unknown field `stat`; did you mean `state`?\n  stat:open\n  ^^^^"),
        (
            "colour:red",
            "unknown field `colour`; the fields are id, name, queue, state, error, since, until, \
             received, run, try, resolved, kwargs\n  colour:red\n  ^^^^^^",
        ),
        ("queue.x:a", "unknown field `queue.x`; did you mean `queue`?\n  queue.x:a\n  ^^^^^^^"),
        (
            "state:faliure",
            "expected one of open, success, failure; did you mean `failure`?\n  \
          state:faliure\n        ^^^^^^^",
        ),
        ("queue:>a", "`queue` is asked for with : :~\n  queue:>a\n       ^^"),
        ("state:open,,x", "a value is missing in this list\n  state:open,,x\n  ^^^^^^^^^^^"),
        ("queue: a", "`queue:` has no value\n  queue: a\n  ^^^^^^"),
        ("queue:(a OR b)", "`queue:` has no value\n  queue:(a OR b)\n  ^^^^^^"),
        ("é queue:\"a b", "the quote is not closed\n  é queue:\"a b\n          ^^^^"),
        ("\"a b", "the quote is not closed\n  \"a b\n  ^^^^"),
        ("id:a279", "of an id at least 6 characters are needed\n  id:a279\n     ^^^^"),
        ("id:a*279a6", "expected an id or its beginning\n  id:a*279a6\n     ^^^^^^^"),
        ("try:1..x", "expected a whole number\n  try:1..x\n         ^"),
        ("try:..", "a range needs an end, such as 1.. or ..5\n  try:..\n      ^^"),
        ("resolved:maybe", "expected yes or no\n  resolved:maybe\n           ^^^^^"),
        (
            "since:soon",
            "expected a time such as 6h, 30m or 2026-11-25T13:00:00Z\n  since:soon\n        ^^^^",
        ),
        (":a", "the name of a field is missing before `:`\n  :a\n  ^"),
        ("\"\"", "this says nothing without a field\n  \"\"\n  ^^"),
        ("a\0b", "a filter has no zero character in it\n  a b\n   ^"),
    ];
    for (text, expected) in cases {
        assert_eq!(mistake(text), expected, "{text}");
    }
}

#[test]
fn what_comes_from_a_network_is_bounded() {
    let long = mistake(&"a".repeat(10_000));
    assert!(long.starts_with("a filter has at most 8192 characters\n"), "{long}");
    assert!(long.len() < 300, "{long}");
    assert!(parse(&"(".repeat(33), &FIELDS).unwrap_err().message.contains("nested deeper"));
    assert!(parse(&"-".repeat(8000), &FIELDS).unwrap_err().message.contains("nested deeper"));
    let nested = format!("{}x{}", "(".repeat(32), ")".repeat(32));
    assert_eq!(read(&nested), "x");
    assert!(parse(&"x ".repeat(257), &FIELDS).unwrap_err().message.contains("at most 256"));
    let list = format!("queue:x{}", ",x".repeat(256));
    assert!(parse(&list, &FIELDS).unwrap_err().message.contains("at most 256"));
    assert!(parse(&"x ".repeat(256), &FIELDS).is_ok());
}

#[test]
fn what_could_stand_at_the_cursor_is_offered() {
    let one = |texts: &[&str]| Expected::One(texts.iter().map(|it| (*it).to_owned()).collect());
    let value = |field, path: &str, beginning: &str| Expected::Value {
        field,
        path: path.to_owned(),
        beginning: beginning.to_owned(),
    };
    let all = || {
        let names = FIELDS.known().iter().map(|field| field.start()).collect();
        Expected::One(names)
    };
    let cases = [
        ("", 0, (0, 0), all()),
        ("s", 1, (0, 1), one(&["state:", "since:"])),
        ("S", 1, (0, 1), one(&["state:", "since:"])),
        ("not", 3, (0, 3), one(&[])),
        ("kw", 2, (0, 2), one(&["kwargs:", "kwargs."])),
        ("(-s", 3, (2, 1), one(&["state:", "since:"])),
        ("queue:mail ", 11, (11, 0), all()),
        ("state:", 6, (6, 0), one(&["open", "success", "failure"])),
        ("state:open,s", 12, (11, 1), one(&["success"])),
        ("resolved:y", 10, (9, 1), one(&["yes"])),
        ("since:6", 7, (6, 1), one(&["6h"])),
        ("run:>", 5, (5, 0), one(&[])),
        ("queue:em x", 8, (6, 2), value("queue", "", "em")),
        ("queue:\"em a", 11, (6, 5), value("queue", "", "em a")),
        ("queue:\"em\"", 10, (10, 0), all()),
        ("kwargs.user.plan:p", 18, (17, 1), value("kwargs", "user.plan", "p")),
        ("colour:r", 8, (0, 8), one(&[])),
        ("q", 99, (0, 1), one(&["queue:"])),
    ];
    for (text, cursor, (at, length), expected) in cases {
        let completion = Completion { span: Span { at, length }, expected };
        assert_eq!(complete(text, cursor, &FIELDS), completion, "{text}");
    }
}

/// Texts that are near to filters.
fn filters() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "(state|queue|error|run|received|since|id|try|resolved|kwargs|kwargs\\.[a-z]):[~<>=]{0,2}",
        "[a-c*]{1,3}",
        "[0-9]{1,2}(s|ms|h)?(\\.\\.)?",
        "2026-1[0-2]-0[1-9](T10:00(:0[0-9])?)?Z?",
        "\"[ a*\\\\\"]{0,3}\"?\\*?",
        "(open|yes|a279a6c9| OR | AND |NOT |-|\\(|\\)|,|\\.\\.)",
        " ",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Texts that are filters, nested.
fn nested() -> impl Strategy<Value = String> {
    let value = "[a*<~.]{1,3}|\"[ a*\\.]{1,3}\"\\*?";
    let term = prop_oneof![
        (value, value).prop_map(|(one, other)| format!("queue:{one},{other}")),
        value.prop_map(|value| format!("kwargs.a:~{value}")),
        "run:(>|>=|<|<=)[1-9]m?s|run:([1-9]s\\.\\.|\\.\\.[1-9]h|[1-9]s\\.\\.[1-9]h)(,\\*)?",
        "received:(>|>=|<|<=)?[1-9]h|received:(>|<)?2026-11-2[0-9](,[1-9]h\\.\\.)?",
        "(try|since|id|[a-c]{1,3}):?",
        "a{1,6}\\*?|\"a b\"",
    ];
    term.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|part| format!("({part})")),
            inner.clone().prop_map(|part| format!("NOT {part}")),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("{one} {other}")),
            (inner.clone(), inner).prop_map(|(one, other)| format!("{one} OR {other}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*", cursor in 0_usize..40) {
        let _ = parse(&text, &FIELDS).map_err(|error| error.to_string());
        let _ = complete(&text, cursor, &FIELDS);
    }

    #[test]
    fn what_is_read_and_written_is_read_as_the_same(
        text in prop_oneof![filters(), nested()],
        cursor in 0_usize..40,
    ) {
        let _ = complete(&text, cursor, &FIELDS);
        if let Ok(expr) = parse(&text, &FIELDS) {
            let written = expr.to_string();
            let again = parse(&written, &FIELDS);
            prop_assert!(again.is_ok(), "{} was written as {}", text, written);
            prop_assert_eq!(placeless(again.unwrap()), placeless(expr), "{}", written);
        }
    }

    #[test]
    fn a_quoted_text_is_read_as_itself(text in "[^\0]+") {
        let expr = parse(&format!("queue:{}", quoted(&text)), &FIELDS).unwrap();
        let Expr::Term(term) = expr else { panic!("{text}") };
        prop_assert_eq!(&term.values[0].value, &Value::Text(Pattern::exactly(text)));
    }
}
