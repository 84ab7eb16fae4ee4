//! What an operator sees: the exact text for every mistake, and what wins over what.

mod examples;
mod layers;
mod random;
mod schedules;
mod secrets;
mod tasks;

use super::*;
use std::fs;
use std::path::PathBuf;

/// A folder of files that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = std::env::temp_dir().join(format!("celeriac-config-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
            close(&folder.join(name));
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn loader(&self, files: &[&str]) -> Loader {
        Loader::new().files(files.iter().map(|name| self.path(name)))
    }

    /// A text with this folder's path left out.
    fn without_path(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Makes a file unreadable for others, so that a password in it is no finding.
fn close(file: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o640)).unwrap();
}

fn load(text: &str) -> Result<Loaded, String> {
    load_with(text, &[])
}

fn load_with(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, String> {
    let folder = Folder::new(&[("celeriac.toml", text)]);
    let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let loaded = folder.loader(&["celeriac.toml"]).environment(variables).load();
    loaded.map_err(|report| folder.without_path(&report.to_string()))
}

/// The report of a text that must not load.
fn report(text: &str) -> String {
    load(text).unwrap_err()
}

/// The warnings of a text that must load.
fn warnings(text: &str) -> String {
    let folder = Folder::new(&[("celeriac.toml", text)]);
    let report = folder.loader(&["celeriac.toml"]).load().unwrap().report;
    folder.without_path(&report.to_string())
}

#[test]
fn an_unknown_key_is_told_the_nearest() {
    assert_eq!(
        report("[worker]\nconcurency = 8\n"),
        "\
error: unknown key `concurency` in [worker]
 --> celeriac.toml:2:1
  |
2 | concurency = 8
  | ^^^^^^^^^^ did you mean `concurrency`?

1 error in 1 file"
    );
}

#[test]
fn an_unknown_key_among_the_defaults_of_all_queues_is_no_queue() {
    assert_eq!(
        report("[queues]\nprefech = 8\n"),
        "\
error: unknown key `prefech` in [queues]
 --> celeriac.toml:2:1
  |
2 | prefech = 8
  | ^^^^^^^ did you mean `prefetch`?

1 error in 1 file"
    );
}

#[test]
fn traces_go_to_a_url_if_this_build_has_any() {
    let said = report("[log.otlp]\nendpoint = \"otel:4318\"\n");
    let why = match crate::telemetry::Otlp::IS_BUILT_IN {
        true => "the scheme is `otel`; write http://host/path",
        false => "build it with `--features otel`, or write \"\"",
    };
    assert!(said.contains("celeriac.toml:2:12") && said.contains(why), "{said}");
}

#[cfg(feature = "monitor")]
#[test]
fn a_view_of_the_monitor_is_a_filter() {
    assert_eq!(
        report(
            "[monitor.views]\ngood = \"state:failure since:1d\"\nbad = \"queue:a sate:failure\"\n"
        ),
        "\
error: view `bad` is no filter of tasks
 --> celeriac.toml:3:16
  |
3 | bad = \"queue:a sate:failure\"
  |                ^^^^ unknown field `sate`; did you mean `state`?

1 error in 1 file"
    );
}

#[test]
fn the_monitor_listens_where_one_can() {
    assert_eq!(
        report("[monitor]\nlisten = \"5555\"\n"),
        "\
error: this is no address to listen on
 --> celeriac.toml:2:10
  |
2 | listen = \"5555\"
  |          ^^^^^^ write HOST:PORT such as \"127.0.0.1:5555\"

1 error in 1 file"
    );
}

#[test]
fn a_bare_number_is_told_its_unit() {
    assert_eq!(
        report("[tasks.\"shop.mail\"]\ntime_limit = 600\nrate = 10\nmax_output = 5\n"),
        "\
error: a duration needs a unit
 --> celeriac.toml:2:14
  |
2 | time_limit = 600
  |              ^^^ seconds? write \"600s\" or \"10m\"

error: a rate needs a unit
 --> celeriac.toml:3:8
  |
3 | rate = 10
  |        ^^ per second? write \"10/s\"

error: a size needs a unit
 --> celeriac.toml:4:14
  |
4 | max_output = 5
  |              ^ megabytes? write \"5 MB\"

3 errors in 1 file"
    );
}

#[test]
fn a_wrong_type_is_said_in_plain_words() {
    assert_eq!(
        report(
            "worker.queues = \"mail\"\nworker.concurrency = \"8\"\nqueues.prefetch = -1\nqueues.declare = 1\n"
        ),
        "\
error: wrong type for `queues`
 --> celeriac.toml:1:17
  |
1 | worker.queues = \"mail\"
  |                 ^^^^^^ this is text, expected an array

error: wrong value for `concurrency`
 --> celeriac.toml:2:22
  |
2 | worker.concurrency = \"8\"
  |                      ^^^ this is text, expected \"auto\" or a number from 1

error: wrong value for `prefetch`
 --> celeriac.toml:3:19
  |
3 | queues.prefetch = -1
  |                   ^^ this is -1, expected a whole number from 0 to 65535

error: wrong type for `declare`
 --> celeriac.toml:4:18
  |
4 | queues.declare = 1
  |                  ^ this is 1, expected true or false

4 errors in 1 file"
    );
}

#[test]
fn an_unknown_word_is_told_the_nearest() {
    assert_eq!(
        report("[queues.mail]\ntype = \"quorom\"\n[results]\nbackend = \"reddis\"\n"),
        "\
error: unknown value `quorom` for `type`
 --> celeriac.toml:2:8
  |
2 | type = \"quorom\"
  |        ^^^^^^^^ did you mean \"quorum\"?

error: unknown value `reddis` for `backend`
 --> celeriac.toml:4:11
  |
4 | backend = \"reddis\"
  |           ^^^^^^^^ did you mean \"redis\"?

2 errors in 1 file"
    );
}

#[test]
fn an_undefined_queue_is_told_the_defined_ones() {
    assert_eq!(
        report(
            "[worker]\nqueues = [\"default\", \"emial\"]\n[queues.email]\n[routes]\n\"v.*\" = \"video\"\n"
        ),
        "\
error: queue `emial` is not defined
 --> celeriac.toml:2:22
  |
2 | queues = [\"default\", \"emial\"]
  |                      ^^^^^^^ defined queues: default, email; did you mean \"email\"?

error: queue `video` is not defined
 --> celeriac.toml:5:9
  |
5 | \"v.*\" = \"video\"
  |         ^^^^^^^ defined queues: default, email; add [queues.video]

2 errors in 1 file"
    );
}

#[test]
fn without_any_queue_table_the_consumed_queues_are_the_known_ones() {
    let loaded =
        load("[worker]\nqueues = [\"email\"]\n[routes]\n\"*mail*\" = \"email\"\n").unwrap();
    assert!(loaded.config.topology().queues.is_defined("email"));
}

#[test]
fn limits_in_the_wrong_order_show_both() {
    assert_eq!(
        report("[tasks.x]\nsoft_limit = \"10m\"\ntime_limit = \"5m\"\n"),
        "\
error: soft_limit must be shorter than time_limit
 --> celeriac.toml:2:14
  |
2 | soft_limit = \"10m\"
  |              ^^^^^ 10 minutes
3 | time_limit = \"5m\"
  |              ---- 5 minutes

1 error in 1 file"
    );
}

#[test]
fn a_number_out_of_range_is_told_the_range() {
    assert_eq!(
        report("broker.reconnect.jitter = 2.0\npublisher.in_flight = 0\n"),
        "\
error: `broker.reconnect.jitter` is out of range
 --> celeriac.toml:1:27
  |
1 | broker.reconnect.jitter = 2.0
  |                           ^^^ allowed 0 to 1

error: `publisher.in_flight` is out of range
 --> celeriac.toml:2:23
  |
2 | publisher.in_flight = 0
  |                       ^ at least 1

2 errors in 1 file"
    );
}

#[test]
fn a_heartbeat_is_a_number_of_whole_seconds() {
    for wrong in ["0s", "1500ms", "1d"] {
        let text = report(&format!("broker.heartbeat = \"{wrong}\""));
        assert!(text.contains("from \"1s\" to \"65535s\""), "{text}");
    }
}

#[test]
fn priorities_need_a_classic_queue_and_a_route_needs_an_exchange_that_exists() {
    assert_eq!(
        report(
            "[queues.a]\nmax_priority = 5\n[exchanges.video]\n[routes]\nx = { exchange = \"vidoe\" }\ny = {}\n\"[\" = \"a\"\n"
        ),
        "\
error: queue `a` is a quorum queue and cannot have priorities
 --> celeriac.toml:2:16
  |
2 | max_priority = 5
  |                ^ add type = \"classic\", or take this out

error: exchange `vidoe` is not defined
 --> celeriac.toml:5:18
  |
5 | x = { exchange = \"vidoe\" }
  |                  ^^^^^^^ did you mean \"video\"?

error: the route `y` leads nowhere
 --> celeriac.toml:6:5
  |
6 | y = {}
  |     ^^ give it a queue, an exchange or a routing_key

error: \"[\" is no pattern: unclosed character class; missing ']'
 --> celeriac.toml:7:7
  |
7 | \"[\" = \"a\"
  |       ^^^ `*` and `?` match as in file names

4 errors in 1 file"
    );
}

#[test]
fn names_of_the_broker_and_of_celeriac_are_kept() {
    let text = report("[queues.\"amq.x\"]\n[queues.\"celeriac.delay.1\"]\n");
    assert!(text.contains("RabbitMQ keeps names that begin with `amq.`: queue `amq.x`"), "{text}");
    assert!(text.contains("Celeriac keeps names that begin with `celeriac.`"), "{text}");
}

#[test]
fn what_is_doubtful_is_a_warning() {
    assert_eq!(
        warnings(
            "[queues.a]\ntype = \"classic\"\nmax_priority = 200\n[routes]\nx = { queue = \"default\", priority = 5 }\n"
        ),
        "\
warning: 200 priorities cost the broker much in queue `a`
 --> celeriac.toml:3:16
  |
3 | max_priority = 200
  |                ^^^ up to 10 are usual

warning: queue `default` has no priorities
 --> celeriac.toml:5:37
  |
5 | x = { queue = \"default\", priority = 5 }
  |                                     ^ no effect without max_priority in [queues.default]

2 warnings in 1 file"
    );
}
