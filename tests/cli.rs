//! What the program prints and how it ends, where no broker is needed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A folder that goes when the test ends; the program runs in it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("celeriac-cli-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn with(name: &str, text: &str) -> Self {
        let folder = Self::new();
        fs::write(folder.0.join(name), text).unwrap();
        folder
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_celeriac"));
        command.args(arguments).current_dir(&self.0).env_clear().stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        Ended::from(self.command(arguments).output().unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How the program ended and what it printed.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

#[test]
fn what_init_writes_has_no_mistakes_and_is_never_overwritten_unasked() {
    for preset in ["worker", "http", "celery", "scheduler", "full"] {
        let folder = Folder::new();
        assert_eq!(folder.run(&["init", "--preset", preset]).code, Some(0));
        let check = folder.run(&["config", "check", "--strict"]);
        assert_eq!(
            (check.code, check.err.as_str()),
            (Some(0), "1 file, no problems\n"),
            "{preset}"
        );
        let again = folder.run(&["init"]);
        assert_eq!(again.code, Some(73));
        assert_eq!(again.err, "error: celeriac.toml exists already; --force replaces it\n");
        assert_eq!(folder.run(&["init", "--force"]).code, Some(0));
    }
}

#[test]
fn a_mistake_is_shown_with_its_line_and_ends_with_78() {
    let folder = Folder::with("celeriac.toml", "[worker]\nconcurency = 8\n");
    for command in [&["config", "check"][..], &["config", "show"], &["worker"], &["send", "x"]] {
        let ended = folder.run(command);
        assert_eq!(
            (ended.code, ended.out.as_str(), ended.err.as_str()),
            (
                Some(78),
                "",
                "\
error: unknown key `concurency` in [worker]
 --> celeriac.toml:2:1
  |
2 | concurency = 8
  | ^^^^^^^^^^ did you mean `concurrency`?

1 error in 1 file
"
            ),
            "{command:?}"
        );
    }
}

#[test]
fn a_warning_fails_only_a_strict_check() {
    let folder =
        Folder::with("celeriac.toml", "[queues.a]\ntype = \"classic\"\nmax_priority = 99\n");
    let check = folder.run(&["config", "check"]);
    assert_eq!(check.code, Some(0));
    assert!(check.err.ends_with("1 warning in 1 file\n"), "{}", check.err);
    assert_eq!(folder.run(&["config", "check", "--strict"]).code, Some(78));
}

#[test]
fn json_is_one_document_and_jsonl_one_per_line() {
    let folder = Folder::with("celeriac.toml", "[worker]\nconcurrency = 8\n");
    let json = folder.run(&["config", "show", "--origin", "-o", "json"]).out;
    let settings: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    let concurrency = settings.iter().find(|s| s["key"] == "worker.concurrency").unwrap();
    assert_eq!(concurrency["value"], 8);
    assert_eq!(concurrency["origin"], "celeriac.toml:2");
    let lines = folder.run(&["config", "show", "--origin", "-o", "jsonl"]).out;
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, settings);
    let ids = folder.run(&["config", "show", "--origin", "-o", "id"]).out;
    assert!(ids.lines().any(|line| line == "worker.concurrency"));
}

#[test]
fn files_variables_and_options_lie_on_top_of_one_another() {
    let folder = Folder::with("one.toml", "[broker]\nname = \"one\"\n[worker]\nname = \"one\"\n");
    fs::create_dir(folder.0.join("more")).unwrap();
    fs::write(folder.0.join("more/b.toml"), "worker.name = \"b\"\n").unwrap();
    fs::write(folder.0.join("more/a.toml"), "worker.name = \"a\"\nlog.level = \"warn\"\n").unwrap();
    let show = |command: &mut Command| {
        let text = Ended::from(command.output().unwrap()).out;
        let table: toml::Table = toml::from_str(&text).unwrap();
        let get = |section: &str, key: &str| table[section][key].as_str().unwrap().to_owned();
        [get("broker", "name"), get("worker", "name"), get("log", "level"), get("broker", "url")]
    };
    let built_in = "amqp://guest:••••@127.0.0.1:5672/%2f";
    let arguments = ["config", "show", "-c", "one.toml", "-c", "more"];
    assert_eq!(show(&mut folder.command(&arguments)), ["one", "b", "warn", built_in]);
    let named =
        folder.command(&["config", "show"]).env("CELERIAC_CONFIG", "one.toml:more").output();
    assert_eq!(Ended::from(named.unwrap()).out, folder.run(&arguments).out);
    assert_eq!(
        show(
            folder
                .command(&["config", "show", "-c", "more", "--log-level", "trace"])
                .env("CELERIAC_BROKER_URL", "amqp://u:hunter2@h/")
                .env("CELERIAC_LOG", "error")
                .env("CELERIAC__WORKER__NAME", "v")
        ),
        ["celeriac@%h", "v", "trace", "amqp://u:••••@h/"]
    );
}

#[test]
fn a_wrong_variable_and_a_wrong_option_are_named() {
    let folder = Folder::new();
    let mut command = folder.command(&["config", "check", "--broker", "http://u:hunter2@h"]);
    let ended = Ended::from(command.env("CELERIAC__WORKER__PREFECH", "1").output().unwrap());
    assert_eq!(ended.code, Some(78));
    assert_eq!(
        ended.err,
        "\
error: environment variable CELERIAC__WORKER__PREFECH matches no key
 |
 = did you mean CELERIAC__WORKER__PREFETCH?

error: this is no broker URL
 |
 = in the option --broker
 = the scheme is `http`; write amqp://user:password@host:5672/vhost, or amqps:// for TLS

2 errors in 0 files
"
    );
}

#[test]
fn a_difference_ends_with_1() {
    let folder = Folder::with("old.toml", "worker.concurrency = 2\n");
    fs::write(folder.0.join("new.toml"), "worker.concurrency = 4\n").unwrap();
    let differ = folder.run(&["config", "diff", "old.toml", "new.toml"]);
    assert_eq!(differ.code, Some(1));
    assert_eq!(differ.out, "KEY                 OLD  NEW\nworker.concurrency  2    4\n");
    let same = folder.run(&["config", "diff", "old.toml", "old.toml"]);
    assert_eq!((same.code, same.out.as_str()), (Some(0), ""));
}

#[test]
fn the_schema_and_the_explanations_agree_on_the_keys() {
    let folder = Folder::new();
    let schema = folder.run(&["config", "schema"]).out;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let sections: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    let explained = folder.run(&["config", "explain"]).out;
    for section in sections {
        assert!(explained.contains(section.as_str()), "{section} in {explained}");
        assert_eq!(folder.run(&["config", "explain", section]).code, Some(0));
    }
    let unknown = folder.run(&["config", "explain", "worker.prefech"]);
    assert_eq!(unknown.code, Some(65));
    assert_eq!(unknown.err, "error: there is no key `worker.prefech`; did you mean `prefetch`?\n");
}

#[test]
fn a_mistyped_command_is_told_the_nearest_and_ends_with_2() {
    let ended = Folder::new().run(&["confg"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.err.contains("'config'"), "{}", ended.err);
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let folder = Folder::new();
    let mut child = folder
        .command(&["config", "schema"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

#[test]
fn an_error_that_nobody_reads_ends_like_any_other() {
    let folder = Folder::with("celeriac.toml", "[brokr]\n");
    for (arguments, code) in [(&["confg"][..], 2), (&["config", "check"], 78), (&["init"], 73)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let status = folder.command(arguments).stderr(writer).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn every_shell_has_completions() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = folder.run(&["completions", shell]);
        assert_eq!(ended.code, Some(0));
        assert!(ended.out.contains("celeriac"), "{shell}");
    }
}

#[test]
fn each_command_has_its_page_in_the_manual() {
    let folder = Folder::new();
    assert_eq!(folder.run(&["man", "pages"]).code, Some(0));
    let page = fs::read_to_string(folder.0.join("pages/celeriac-tasks.1")).unwrap();
    assert!(page.contains("state:failure"), "{page}");
    assert!(folder.0.join("pages/celeriac-tasks-show.1").exists());
    fs::write(folder.0.join("file"), "").unwrap();
    assert_eq!(folder.run(&["man", "file"]).code, Some(73));
}
