//! Several files, the environment and the command line: what wins, and where mistakes are.

use super::*;

#[test]
fn mistakes_in_two_files_and_the_environment_come_at_once() {
    let folder = Folder::new(&[
        ("a.toml", "[worker]\nconcurency = 8\n"),
        ("b.toml", "[tasks]\ntime_limit = 600\n"),
    ]);
    let variables = [("CELERIAC__WORKER__PREFECH", "1"), ("CELERIAC__WORKER__DRAIN_TIMEOUT", "60")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let report = folder.loader(&["a.toml", "b.toml"]).environment(variables).load().unwrap_err();
    assert_eq!(
        folder.without_path(&report.to_string()),
        "\
error: unknown key `concurency` in [worker]
 --> a.toml:2:1
  |
2 | concurency = 8
  | ^^^^^^^^^^ did you mean `concurrency`?

error: a duration needs a unit
 --> b.toml:2:14
  |
2 | time_limit = 600
  |              ^^^ seconds? write \"600s\" or \"10m\"

error: environment variable CELERIAC__WORKER__PREFECH matches no key
 |
 = did you mean CELERIAC__WORKER__PREFETCH?

error: a duration needs a unit
 |
 = in the environment variable CELERIAC__WORKER__DRAIN_TIMEOUT
 = seconds? write \"60s\" or \"1m\"

4 errors in 2 files"
    );
}

#[test]
fn text_that_is_not_toml_points_at_every_place() {
    assert_eq!(
        report("[worker]\nname = \nqueues = [\"a\"\n"),
        "\
error: string values must be quoted, expected literal string
 --> celeriac.toml:2:8
  |
2 | name = 
  |        ^

error: unclosed array, expected `]`
 --> celeriac.toml:3:14
  |
3 | queues = [\"a\"
  |              ^

2 errors in 1 file"
    );
    assert!(report("[worker]\nname = 2024-01-01\n").contains("no key takes a date"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = Folder::new(&[]);
    let report = folder.loader(&["missing.toml"]).load().unwrap_err();
    assert_eq!(
        folder.without_path(&report.to_string()),
        "error: cannot read missing.toml\n |\n = there is no such file\n\n1 error in 1 file"
    );
}

#[test]
fn later_files_win_then_the_environment_then_the_command_line() {
    let folder = Folder::new(&[
        (
            "a.toml",
            "[worker]\nname = \"a\"\nconcurrency = 1\nprefetch = 1\ndrain_timeout = \"1s\"\n",
        ),
        ("b.toml", "[worker]\nconcurrency = 2\nprefetch = 2\ndrain_timeout = \"2s\"\n"),
    ]);
    let variables =
        [("CELERIAC__WORKER__PREFETCH", "3"), ("CELERIAC__WORKER__DRAIN_TIMEOUT", "3s")];
    let loaded = folder
        .loader(&["a.toml", "b.toml"])
        .environment(variables.map(|(name, value)| (name.to_owned(), value.to_owned())))
        .set("--drain-timeout", "worker.drain_timeout", "4s")
        .load()
        .unwrap();
    let origins: Vec<String> = loaded
        .settings()
        .into_iter()
        .filter(|setting| setting.key.starts_with("worker."))
        .map(|s| format!("{} = {} # {}", s.key, s.value, folder.without_path(&s.origin)))
        .collect();
    assert_eq!(
        origins,
        [
            "worker.name = \"a\" # a.toml:2",
            "worker.queues = [\"default\"] # default",
            "worker.concurrency = 2 # b.toml:2 (file says 1, a.toml:3)",
            "worker.prefetch = 3 # env CELERIAC__WORKER__PREFETCH (file says 2, b.toml:3)",
            "worker.drain_timeout = \"4s\" # option --drain-timeout (file says \"2s\", b.toml:4)",
            "worker.unknown_grace = \"30s\" # default",
            "worker.acknowledge.every = 50 # default",
            "worker.acknowledge.within = \"5ms\" # default",
            "worker.watchdog = \"1m\" # default",
            "worker.remote_control = true # default",
        ]
    );
}

#[test]
fn routes_keep_the_order_of_the_file() {
    let loaded = load(
        "[queues.a]\n[queues.b]\n[routes]\n\"z\" = \"a\"\n\"a\" = { queue = \"b\" }\n\"m\" = \"a\"\n",
    );
    let config = loaded.unwrap().config;
    let order: Vec<&str> = config.routes.0.iter().map(|(pattern, _)| pattern.as_str()).collect();
    assert_eq!(order, ["z", "a", "m"]);
}

#[test]
fn two_configurations_are_compared_by_what_they_say_in_the_end() {
    let old = load("[worker]\nconcurrency = 2\nprefetch = 5\n").unwrap();
    let new =
        load("[worker]\nconcurrency = 4\nprefetch = 5\n[queues.default]\nprefetch = 1\n").unwrap();
    let changes = old.changes(&new);
    let keys: Vec<&str> = changes.iter().map(|change| change.key.as_str()).collect();
    assert_eq!(keys, ["queues.default.prefetch", "worker.concurrency"]);
    assert_eq!(changes[1].old, Some(2.into()));
    assert_eq!(changes[1].new, Some(4.into()));
}
