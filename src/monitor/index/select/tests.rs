//! On the real schema, in memory.

use super::*;
use crate::filter::{parse, quoted};
use rusqlite::{Connection, params_from_iter};
use std::time::Duration;

/// The clock stands at so many seconds.
const NOW: i64 = 100_000;
const SECOND: i64 = 1_000_000;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(100_000)
}

/// No test has so many tasks.
const ALL: u32 = 1000;

/// What differs from one task of these tests to another; times in seconds.
#[derive(Default, Clone, Copy)]
struct Task {
    id: &'static str,
    name: &'static str,
    queue: Option<&'static str>,
    worker: Option<&'static str>,
    state: Option<State>,
    root: Option<&'static str>,
    received: Option<i64>,
    changed: i64,
    run: Option<i64>,
    retries: i64,
    args: Option<&'static str>,
    kwargs: Option<&'static str>,
    error: Option<&'static str>,
    resolved: Option<i64>,
}

const MAIL: Task = Task {
    id: "a279a6c9-1",
    name: "send_email",
    queue: Some("email"),
    worker: Some("alpha@web1"),
    state: Some(State::Failure),
    root: None,
    received: Some(NOW - 3600),
    changed: NOW - 60,
    run: Some(6),
    retries: 4,
    args: Some("(1, 'two', {'deep': 'down'})"),
    kwargs: Some(
        "{'tenant': 'acme', 'n': 5, 'user': {'plan': 'pro'}, 'on': True, 'why': \"it's\"}",
    ),
    error: Some("SMTPTimeout('connection to smtp:25 timed out')"),
    resolved: None,
};

const SMS: Task = Task {
    id: "b279a6c9-2",
    name: "send_sms",
    queue: Some("sms"),
    worker: Some("beta@web2"),
    state: Some(State::Success),
    root: Some("a279a6c9-1"),
    received: Some(NOW - 7200),
    changed: NOW - 7100,
    run: Some(1),
    args: Some("('two', 1)"),
    kwargs: Some("{'tenant': 'acme.org', 'n': 55, 'user': {'plan': 'free'}, 'on': False}"),
    retries: 0,
    error: None,
    resolved: None,
};

const REPORT: Task = Task {
    id: "c279a6c9-3",
    name: "Report.make",
    queue: None,
    worker: None,
    state: Some(State::Sent),
    changed: NOW - 10,
    root: None,
    received: None,
    run: None,
    retries: 0,
    args: None,
    kwargs: None,
    error: None,
    resolved: None,
};

const CARD: Task = Task {
    id: "d279a6c9-4",
    name: "charge_card",
    queue: Some("email"),
    worker: Some("alpha@web1"),
    state: Some(State::Lost),
    changed: NOW - 86_400,
    error: Some("CardDeclined(\"it's 51% declined\")"),
    resolved: Some(NOW),
    ..REPORT
};

/// An index with these tasks, the first with the number 1.
fn index(tasks: &[Task]) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    super::super::MIGRATIONS.iter().for_each(|it| connection.execute_batch(it).unwrap());
    for (n, task) in (1..).zip(tasks) {
        add(&connection, n, task);
    }
    connection
}

fn add(connection: &Connection, n: i64, task: &Task) {
    let word = |text: Option<&str>| {
        text.map(|text| {
            connection.execute("INSERT OR IGNORE INTO word (text) VALUES (?)", [text]).unwrap();
            let sql = "SELECT id FROM word WHERE text = ?";
            connection.query_row(sql, [text], |row| row.get::<_, i64>(0)).unwrap()
        })
    };
    let at = |seconds: Option<i64>| seconds.map(|seconds| seconds * SECOND);
    let sql = "INSERT INTO task (n, id, name, queue, worker, state, root, retries, redelivered,
        received, changed, clock, run, args, kwargs, error, failure, resolved)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, 0, ?, ?, ?, ?, ?, ?)";
    let row = rusqlite::params![
        n,
        task.id,
        word(Some(task.name)),
        word(task.queue),
        word(task.worker),
        task.state.map(State::code),
        task.root,
        task.retries,
        at(task.received),
        at(Some(task.changed)),
        at(task.run),
        task.args,
        task.kwargs,
        task.error,
        task.error.map(|_| n + 100),
        at(task.resolved),
    ];
    connection.execute(sql, row).unwrap();
    if let Some(error) = task.error {
        let sql = "INSERT INTO found (rowid, error) VALUES (?, ?)";
        connection.execute(sql, (n, error)).unwrap();
    }
}

fn select(filter: &str, newest: u32) -> Selection {
    let expr = parse(filter, &FIELDS).unwrap_or_else(|error| panic!("{error}"));
    Selection::of(&expr, now(), newest)
}

/// The numbers of the tasks that `filter` means, newest first.
fn found(connection: &Connection, filter: &str, newest: u32) -> Vec<i64> {
    let Selection { condition, parameters, near, .. } = select(filter, newest);
    let found = rows(connection, "task", (&condition, parameters));
    if newest == ALL {
        assert_eq!(rows(connection, "task NOT INDEXED", (&near.0, near.1)), found, "{filter}");
    }
    found
}

fn rows(
    connection: &Connection,
    source: &str,
    (condition, parameters): (&str, Vec<Value>),
) -> Vec<i64> {
    let sql = format!("SELECT n FROM {source} WHERE ({condition}) ORDER BY n DESC");
    let mut query = connection.prepare(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let rows = query.query_map(params_from_iter(parameters), |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{sql}: {error}"))
}

#[test]
fn the_words_for_states_are_in_their_order() {
    let words = State::ALL.map(|state| state.as_str().to_ascii_lowercase());
    assert_eq!(words, STATES[..State::ALL.len()]);
}

#[test]
fn every_field_finds_what_it_says() {
    let index = index(&[MAIL, SMS, REPORT, CARD]);
    let cases: &[(&str, &[i64])] = &[
        ("", &[4, 3, 2, 1]),
        ("state:failure", &[1]),
        ("state:SUCCESS,sent", &[3, 2]),
        ("state:open", &[4, 3]),
        ("state:bad", &[4, 1]),
        ("NOT state:bad,success", &[3]),
        ("name:send_email", &[1]),
        ("name:SEND_EMAIL", &[]),
        ("name:send_*", &[2, 1]),
        ("name:*e*m*", &[3, 2, 1]),
        ("name:~SEND", &[2, 1]),
        ("name:send_sms,charge*", &[4, 2]),
        ("queue:email", &[4, 1]),
        ("queue:emial", &[]),
        ("NOT queue:email", &[3, 2]),
        ("queue:*", &[4, 2, 1]),
        ("worker:beta@web2", &[2]),
        ("id:a279a6", &[1]),
        ("id:a279a6c9-1", &[1]),
        ("id:A279A6", &[]),
        ("root:a279a6c9-1", &[2, 1]),
        ("error:\"TIMED out\"", &[1]),
        ("error:it's", &[4]),
        ("error:51%", &[4]),
        ("error:51_", &[]),
        ("error:x", &[]),
        ("error:\"to\"", &[1]),
        ("error:SMTP*out", &[1]),
        ("error:timed*SMTP", &[]),
        ("error:*", &[4, 1]),
        ("sig:101", &[1]),
        ("resolved:yes", &[4]),
        ("resolved:no", &[1]),
        ("since:2m", &[3, 1]),
        ("until:2h", &[4]),
        ("since:2h until:1m", &[2, 1]),
        ("received:90m", &[1]),
        ("received:1d..90m", &[2]),
        ("received:1970-01-02", &[2, 1]),
        ("received:1970-01-03", &[]),
        ("received:*", &[2, 1]),
        ("run:>1s", &[1]),
        ("run:>=1s", &[2, 1]),
        ("run:1s..5s", &[2]),
        ("NOT run:>1s", &[4, 3, 2]),
        ("age:>90m", &[4, 2]),
        ("age:<1m", &[3]),
        ("try:5", &[1]),
        ("retries:>=1", &[1]),
        ("redelivered:>0", &[]),
        ("kwargs:acme", &[2, 1]),
        ("args:~two", &[2, 1]),
        ("send", &[2, 1]),
        ("send_*", &[2, 1]),
        ("web1", &[4, 1]),
        ("b279a6", &[2]),
        ("timed", &[1]),
        ("\"timed out\"", &[1]),
        ("\"alpha@web1\"", &[]),
        ("queue:email (state:failure OR run:<1s)", &[1]),
        ("state:success OR kwargs.tenant:acme", &[2, 1]),
        ("NOT (queue:email OR queue:sms)", &[3]),
    ];
    for (filter, expected) in cases {
        assert_eq!(found(&index, filter, ALL), *expected, "{filter}");
    }
}

#[test]
fn arguments_are_found_as_python_shows_them() {
    let index = index(&[MAIL, SMS, REPORT]);
    let cases: &[(&str, &[i64])] = &[
        ("kwargs.tenant:acme", &[1]),
        ("kwargs.tenant:acme*", &[2, 1]),
        ("kwargs.tenant:*org", &[2]),
        ("kwargs.tenant:~me.o", &[2]),
        ("kwargs.tenant:ACME", &[]),
        ("kwargs.tenant:*", &[2, 1]),
        ("kwargs.tenan:acme", &[]),
        ("kwargs.n:5", &[1]),
        ("kwargs.n:5*", &[2, 1]),
        ("kwargs.n:6", &[]),
        ("kwargs.on:true", &[1]),
        ("kwargs.on:False", &[2]),
        ("kwargs.why:it's", &[1]),
        ("kwargs.why:it*", &[1]),
        ("kwargs.user.plan:pro", &[1]),
        ("kwargs.user.plan:pro,free", &[2, 1]),
        ("args.0:1", &[1]),
        ("args.0:two", &[2]),
        ("args.1:two", &[1]),
        ("args.1:1", &[2]),
        ("args.2.deep:down", &[1]),
        ("args.x:1", &[]),
    ];
    for (filter, expected) in cases {
        assert_eq!(found(&index, filter, ALL), *expected, "{filter}");
    }
}

#[test]
fn without_an_index_only_the_newest_are_looked_at() {
    let index = index(&[MAIL, SMS, MAIL_AGAIN, CARD]);
    assert_eq!(select("queue:email", 2).reach, Reach::All);
    assert_eq!(select("queue:email OR run:>1s", 2).reach, Reach::Newest(2));
    assert_eq!(found(&index, "run:>0s", 4), [3, 2, 1]);
    assert_eq!(found(&index, "run:>0s", 2), [3]);
    assert_eq!(found(&index, "queue:email run:>0s", 3), [3, 1]);
    assert_eq!(found(&index, "queue:email run:>0s", 2), [3]);
    assert_eq!(found(&index, "run:>0s queue:email run:<9s", 2), [3]);
}

const MAIL_AGAIN: Task = Task { id: "a279a6c9-5", ..MAIL };

/// How SQLite would answer a page of the list.
fn plan(connection: &Connection, filter: &str) -> Vec<String> {
    let Selection { condition, mut parameters, .. } = select(filter, 100_000);
    parameters.extend([Value::Integer(i64::MAX), Value::Integer(51)]);
    let sql = format!(
        "EXPLAIN QUERY PLAN SELECT n FROM task WHERE ({condition}) AND n < ? ORDER BY n DESC LIMIT ?"
    );
    let mut query = connection.prepare(&sql).unwrap();
    let rows = query.query_map(params_from_iter(parameters), |row| row.get("detail")).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn what_is_said_to_have_an_index_uses_it() {
    let index = index(&[]);
    let cases = [
        ("state:failure", "task_state"),
        ("state:open", "task_state"),
        ("NOT state:success", "task_state"),
        ("name:send_email", "task_name"),
        ("name:send_*,x", "task_name"),
        ("queue:email", "task_queue"),
        ("queue:~mail", "task_queue"),
        ("worker:alpha", "task_worker"),
        ("id:a279a6", "sqlite_autoindex_task_1"),
        ("root:a279a6", "task_root"),
        ("parent:a279a6", "task_parent"),
        ("group:a279a6", "task_group"),
        ("sig:17", "task_failure"),
        ("resolved:no", "task_failure"),
        ("since:2h", "task_changed"),
        ("until:2h", "task_changed"),
        ("state:failure since:2h", "task_changed"),
        ("error:*", "task_failure"),
        ("sig:*", "task_failure"),
        ("error:timeout", "found VIRTUAL TABLE INDEX"),
        ("timeout", "task_worker"),
        ("queue:email OR state:lost", "task_queue"),
    ];
    for (filter, expected) in cases {
        let plan = plan(&index, filter);
        assert_eq!(select(filter, 10).reach, Reach::All, "{filter}");
        assert!(plan.iter().any(|step| step.contains(expected)), "{filter}: {plan:#?}");
        assert!(!plan.iter().any(|step| step == "SCAN task"), "{filter}: {plan:#?}");
    }
}

#[test]
fn what_somebody_writes_is_only_ever_a_parameter() {
    let index = index(&[MAIL, SMS, REPORT, CARD]);
    let hostile = [
        "'; DROP TABLE task; --xyz",
        "\" OR 1=1 --xyz",
        "xyz') OR ('1'='1",
        "?1 xyz",
        "xyz%_\\",
        "[xyz",
        "*xyz",
        "xyz]^-[a-z]",
        "\"xyz\" OR \"out\"",
        "xyz NEAR(out, 9) NOT AND",
        "error:xyz ^out*",
        "{xyz} : out",
        "xyz\\",
        "'xyz\n\t\u{1b}",
        "\u{10ffff}xyz",
    ];
    let fields = ["name", "queue", "worker", "error", "id", "root", "kwargs", "kwargs.x", "args.0"];
    for text in hostile {
        let mut filters = vec![format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))];
        for field in fields {
            filters.push(format!("{field}:{}", quoted(text)));
            filters.push(format!("NOT ({field}:{} OR queue:*)", quoted(text)));
        }
        filters.extend(["name", "error", "kwargs.x"].map(|it| format!("{it}:~{}", quoted(text))));
        filters.extend(["name", "kwargs.x"].map(|it| format!("{it}:{}*", quoted(text))));
        for filter in filters.iter().filter(|filter| parse(filter, &FIELDS).is_ok()) {
            assert!(!select(filter, 10).condition.contains("xyz"), "{filter}");
            let expected: &[i64] = if filter.starts_with("NOT") { &[3] } else { &[] };
            assert_eq!(found(&index, filter, ALL), expected, "{filter}");
        }
    }
    assert_eq!(found(&index, "", ALL).len(), 4);
}

#[test]
fn the_longest_filter_is_not_too_much_for_sqlite() {
    let index = index(&[MAIL]);
    assert_eq!(found(&index, &"timed ".repeat(256), ALL), [1]);
    let names = format!("name:{}send_email", "a*,".repeat(255));
    assert_eq!(found(&index, &names, ALL), [1]);
    let runs = vec!["run:>0s"; 255].join(" OR ");
    assert_eq!(found(&index, &runs, ALL), [1]);
    let stars = format!("error:{}", "*a%".repeat(2000));
    assert_eq!(found(&index, &stars, ALL), [0_i64; 0]);
    let nested = format!("{}run:>0s{}", "NOT (".repeat(16), ")".repeat(16));
    assert_eq!(found(&index, &nested, ALL), [1]);
}

#[test]
fn a_page_goes_on_where_the_one_before_ended() {
    let index = index(&[MAIL, SMS, MAIL_AGAIN]);
    add(&index, 500_000, &CARD);
    let page = |filter: &str, before: Option<i64>| {
        let page = super::super::tasks::select(&index, &select(filter, ALL), before, 2).unwrap();
        (page.tasks.iter().map(|task| task.n).collect::<Vec<_>>(), page.older)
    };
    // Between the newest and the others is more than is looked at one by one.
    assert_eq!(page("queue:email", None), (vec![500_000, 3], Some(3)));
    assert_eq!(page("queue:email", Some(3)), (vec![1], None));
    assert_eq!(page("NOT queue:sms", None), (vec![500_000], None));
    assert_eq!(page("since:2m", None), (vec![3, 1], None));
    assert_eq!(page("queue:fax", None), (vec![], None));
}

#[test]
fn what_the_manual_shows_is_read() {
    let manual = include_str!("../../../../docs/filter.md");
    let (_, tasks) = manual.split_once("## Tasks in the monitor").unwrap();
    let examples = tasks.split("```").nth(1).unwrap().lines().skip(1);
    let rows = tasks.lines().filter(|row| row.starts_with("| "));
    let marked = |text: &'static str| text.split('`').skip(1).step_by(2);
    let written = rows.flat_map(marked).filter(|text| text.find(':') > Some(0));
    let filters: Vec<_> = examples.chain(written).collect();
    assert_eq!(filters.len(), 14, "{filters:?}");
    for filter in filters {
        parse(filter, &FIELDS).unwrap_or_else(|error| panic!("{error}"));
    }
    let named = |field: &Field| tasks.contains(&format!("`{}", field.name()));
    assert_eq!(FIELDS.known().iter().find(|field| !named(field)), None);
}
