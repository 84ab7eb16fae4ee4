//! What an operator sees: the exact text for every mistake, and what wins over what.

use super::*;
use proptest::prelude::*;
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
fn a_schedule_that_cannot_be_is_shown_where_it_is_wrong() {
    assert_eq!(
        report(
            "[schedules.a]\ntask = \"x\"\ncron = \"61 3 * * *\"\n\
             [schedules.b]\ntask = \"x\"\ncron = '@daily'\ntimezone = \"Europe/Berln\"\nqueue = \"defualt\"\n"
        ),
        "\
error: schedule `a`: minute 61 does not exist
 --> celeriac.toml:3:9
  |
3 | cron = \"61 3 * * *\"
  |         ^^ allowed 0-59

error: schedule `b`: there is no time zone `Europe/Berln`
 --> celeriac.toml:7:12
  |
7 | timezone = \"Europe/Berln\"
  |            ^^^^^^^^^^^^^^ did you mean \"Europe/Berlin\"?

error: queue `defualt` is not defined
 --> celeriac.toml:8:9
  |
8 | queue = \"defualt\"
  |         ^^^^^^^^^ defined queues: default; did you mean \"default\"?

3 errors in 1 file"
    );
}

#[test]
fn a_schedule_whose_rules_contradict_each_other_is_told_so() {
    let text = "[schedules.d]\ntask = \"x\"\nevery = \"1h\"\nmissed = \"all\"\n\
                missed_within = \"10m\"\njitter = \"2h\"\noverlap = \"cancel_previous\"\n";
    let report = report(text);
    let titles: Vec<&str> = report.lines().filter(|line| line.starts_with("error")).collect();
    assert_eq!(
        titles,
        [
            "error: schedule `d`: the window is smaller than the time between runs (every 1h)",
            "error: schedule `d`: the jitter is as long as the time between runs (every 1h)",
            "error: schedule `d`: overlap = \"cancel_previous\" and missed = \"all\" exclude each other",
        ]
    );
    for fix in
        ["at least \"1h\", or missed = \"once\"", "less than \"1h\"", "\"once\" sends the last"]
    {
        assert!(report.contains(fix), "{report}");
    }
}

#[test]
fn the_arguments_of_a_schedule_fit_its_task() {
    let with = |schedule: &str| {
        format!(
            "[tasks.\"mail.send\"]\nexec = [\"mail\", \"{{user}}\", \"{{0}}\"]\n[schedules.a]\ncron = '@daily'\n{schedule}\n"
        )
    };
    assert_eq!(
        report(&with("task = \"mail.send\"\nkwargs = { usr = 1 }")),
        "\
error: schedule `a`: task `mail.send` needs argument `user` and positional argument 0
 --> celeriac.toml:6:10
  |
6 | kwargs = { usr = 1 }
  |          ^^^^^^^^^^^ give it in kwargs or args

1 error in 1 file"
    );
    assert!(load(&with("task = \"mail.send\"\nargs = [1]\nkwargs = { user = 1 }")).is_ok());
    let typo = report(&with("task = \"mail.sned\""));
    assert!(typo.contains("did you mean \"mail.send\"?"), "{typo}");
    assert!(load(&with("task = \"reports.nightly\"")).is_ok(), "another program's task");
}

#[celeriac::prelude::task(name = "check.mail")]
async fn check_mail(
    user: u64,
    #[arg(default = "plain".to_owned())] template: String,
) -> anyhow::Result<()> {
    let _ = (user, template);
    Ok(())
}

#[test]
fn the_arguments_of_a_schedule_fit_a_task_of_this_program() {
    let with = |name: &str, schedule: &str| {
        format!("[schedules.{name}]\ntask = \"check.mail\"\ncron = '@daily'\n{schedule}\n")
    };
    let wrong = [
        with("a", "args = [\"forty-two\"]"),
        with("b", "args = [1]\nkwargs = { tmplate = \"x\" }"),
        with("c", "kwargs = { template = \"x\" }"),
        with("d", "args = [1, \"x\", 3]"),
        with("e", "args = [1]\nkwargs = { template = 5 }"),
    ];
    assert_eq!(
        report(&wrong.concat()),
        "\
error: schedule `a`: argument `user`: text is not the type that is wanted here
 --> celeriac.toml:4:9
  |
4 | args = [\"forty-two\"]
  |         ^^^^^^^^^^^ check.mail takes user: u64, template: String (optional)

error: schedule `b`: check.mail() got an unexpected keyword argument `tmplate`; it takes user, template
 --> celeriac.toml:9:22
  |
9 | kwargs = { tmplate = \"x\" }
  |                      ^^^ check.mail takes user: u64, template: String (optional)

error: schedule `c`: check.mail() is missing argument `user` (u64)
  --> celeriac.toml:13:10
   |
13 | kwargs = { template = \"x\" }
   |          ^^^^^^^^^^^^^^^^^^ check.mail takes user: u64, template: String (optional)

error: schedule `d`: check.mail() takes 2 positional arguments, 3 were given
  --> celeriac.toml:17:17
   |
17 | args = [1, \"x\", 3]
   |                 ^ check.mail takes user: u64, template: String (optional)

error: schedule `e`: argument `template`: invalid type: integer `5`, expected a string
  --> celeriac.toml:22:23
   |
22 | kwargs = { template = 5 }
   |                       ^ check.mail takes user: u64, template: String (optional)

5 errors in 1 file"
    );
    assert!(load(&with("a", "args = [1]\nkwargs = { template = \"x\" }")).is_ok());
}

#[test]
fn two_schedules_of_one_name_are_one_too_many() {
    let two = report("[schedules.a]\ntask = \"x\"\n[schedules.a]\ntask = \"y\"\n");
    assert!(two.contains("there is one of this name above; rename one of them"), "{two}");
}

#[test]
fn a_schedule_that_is_there_twice_hides_no_other_mistake() {
    let text = "[schedules.a]\ntask = \"x\"\ncron = \"61 3 * * *\"\n[schedules.a]\ntask = \"y\"\n";
    let report = report(text);
    assert!(report.contains("duplicate key\n --> celeriac.toml:4:12"), "{report}");
    assert!(report.contains("minute 61 does not exist"), "{report}");
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
fn a_place_that_cannot_be_filled_in_is_found_before_the_start() {
    assert_eq!(
        report(
            "[tasks.x]\nexec = [\"echo\", \"{a\"]\n[tasks.y]\nexec = [\"{tool}\"]\n[tasks.z]\nhttp.url = \"http://{host}/\"\n"
        ),
        "\
error: task `x` has a place that cannot be filled in
 --> celeriac.toml:2:17
  |
2 | exec = [\"echo\", \"{a\"]
  |                 ^^^^ character 1: `{` is never closed; write `{{` for a brace

error: task `y` cannot be run
 --> celeriac.toml:4:8
  |
4 | exec = [\"{tool}\"]
  |        ^^^^^^^^^^ the program `{tool}` holds a place to fill in; only its arguments may

error: task `z` cannot be run
 --> celeriac.toml:6:12
  |
6 | http.url = \"http://{host}/\"
  |            ^^^^^^^^^^^^^^^^ the URL has a place before the end of its host; the first may come after the `/`

3 errors in 1 file"
    );
}

#[test]
fn a_task_is_one_kind_of_thing() {
    assert_eq!(
        report(
            "[tasks.x]\nexec = [\"true\"]\nhttp.url = \"http://h/\"\n[tasks.y]\nexec = []\n[tasks.z]\nhttp = {}\n"
        ),
        "\
error: task `x` is a program and an HTTP call
 --> celeriac.toml:3:1
  |
3 | http.url = \"http://h/\"
  | ^^^^ give it either exec or http

error: task `y` names no program
 --> celeriac.toml:5:8
  |
5 | exec = []
  |        ^^ the first item is the program

error: missing key `url` in [tasks.z.http]
 --> celeriac.toml:7:8
  |
7 | http = {}
  |        ^^

3 errors in 1 file"
    );
}

#[test]
fn not_every_task_is_the_same_program() {
    assert_eq!(
        report("[tasks]\nexec = [\"true\"]\n"),
        "\
error: exec makes one task, and not all tasks
 --> celeriac.toml:2:8
  |
2 | exec = [\"true\"]
  |        ^^^^^^^^ it belongs in a table [tasks.\"NAME\"]

1 error in 1 file"
    );
}

#[test]
fn a_bad_url_is_shown_without_its_password() {
    assert_eq!(
        report("[broker]\nurl = \"http://celeriac:hunter2@rabbit/\"\n"),
        "\
error: this is no broker URL
 --> celeriac.toml:2:7
  |
2 | url = \"http://celeriac:*******@rabbit/\"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ the scheme is `http`; write amqp://user:password@host:5672/vhost, or amqps:// for TLS

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
fn a_secret_is_read_from_a_file_or_a_credential() {
    let folder = Folder::new(&[("amqp", "amqp://u:from-file@h/\n"), ("key", "from-credential\n")]);
    let text = format!(
        "[broker]\nurl_file = \"{}\"\n[tasks.push.http]\nurl = \"http://h/\"\nheaders = {{ Authorization_credential = \"key\" }}\n",
        folder.path("amqp").display()
    );
    let folder_name = folder.0.display().to_string();
    let loaded = load_with(&text, &[("CREDENTIALS_DIRECTORY", &folder_name)]).unwrap();
    assert_eq!(loaded.config.broker.url.expose(), "amqp://u:from-file@h/");
    let push = loaded.config.tasks.get("push").http.unwrap();
    assert_eq!(push.headers["Authorization"].expose(), "from-credential");
    assert_eq!(
        report("[broker]\nurl_credential = \"amqp\"\n"),
        "\
error: the credential `amqp` was not passed to this program
 --> celeriac.toml:2:18
  |
2 | url_credential = \"amqp\"
  |                  ^^^^^^ needs LoadCredential= in its systemd unit

1 error in 1 file"
    );
    assert!(report("[broker]\nurl_file = \"/nonexistent\"\n").contains("there is no such file"));
}

#[test]
fn no_password_is_shown_anywhere() {
    const SECRETS: [&str; 4] = ["hunter2", "swordfish", "abracadabra", "sesame"];
    let text = "[broker]\nurl = \"amqp://u:hunter2@h/\"\nfailover = [\"amqp://u:swordfish@h/\"]\n\
                [tasks.p]\nhttp = { url = \"http://u:abracadabra@h/\", headers = { X-Key = \"sesame\" } }\n";
    let hides = |shown: &str| {
        for secret in SECRETS {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    };
    let variables = [("CELERIAC_BROKER_URL", "amqp://v:hunter2@h/")];
    let loaded = load_with(text, &variables).unwrap();
    assert_eq!(loaded.config.broker.url.expose(), "amqp://v:hunter2@h/");
    hides(&format!("{loaded:?}"));
    hides(&format!("{:?}", loaded.settings()));
    hides(&toml::to_string(&loaded.config).unwrap());
    hides(&format!(
        "{:?}",
        Loader::new().environment(variables.map(|(n, v)| (n.into(), v.into())))
    ));
    let broken = text.replace("h/\"", "h:x/\"");
    let folder = Folder::new(&[("celeriac.toml", &broken)]);
    let report = folder.loader(&["celeriac.toml"]).load().unwrap_err();
    assert_eq!(report.errors(), 3);
    hides(&format!("{report:?}"));
    hides(&report.render(Style::Coloured));
    hides(&format!("{:?}", load(&format!("{text}\n]")).unwrap_err()));
}

#[test]
fn a_password_in_a_file_that_everyone_may_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let text = "[broker]\nurl = \"amqp://u:hunter2@h/\"\n";
    assert_eq!(warnings(text), "");
    let folder = Folder::new(&[("celeriac.toml", text)]);
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(folder.path("celeriac.toml"), open).unwrap();
    let report = folder.loader(&["celeriac.toml"]).load().unwrap().report;
    assert_eq!(
        folder.without_path(&report.to_string()),
        "warning: celeriac.toml holds a secret and is readable by everyone (0644)\n |\n = the secret \
         is broker.url; chmod 640 celeriac.toml, or use broker.url_file\n\n1 warning in 1 file"
    );
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

#[test]
fn a_changed_password_is_a_change_and_stays_masked() {
    let load = |password: &str| load(&format!("broker.url = \"amqp://u:{password}@h/\"")).unwrap();
    assert_eq!(load("hunter2").changes(&load("hunter2")), []);
    let changes = load("hunter2").changes(&load("swordfish"));
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].old, Some("amqp://u:••••@h/".into()));
    assert_eq!(changes[0].new, Some("amqp://u:••••@h/".into()));
}

/// Text that is nearly a configuration.
fn nearly_toml() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "worker",
        "queues",
        "tasks",
        "routes",
        "broker",
        "url",
        "http",
        "exec",
        "type",
        "rate",
        "default",
        "name",
        "backoff",
        "headers",
        "x",
        "\"a.b\"",
        "arguments",
        "url_file",
    ]);
    let value = prop::sample::select(vec![
        "1",
        "-1",
        "1e400",
        "nan",
        "\"10m\"",
        "\"\"",
        "\"amqp://u:p@h\"",
        "[]",
        "[1, \"a\"]",
        "{}",
        "{ first = 1 }",
        "{ url = 3 }",
        "true",
        "2024-01-01",
        "\"\u{e4}\u{1f600}\"",
        "0xffffffffffffffff",
    ]);
    let line = (prop::collection::vec(key.clone(), 1..4), value)
        .prop_map(|(keys, value)| format!("{} = {value}", keys.join(".")));
    let header = prop::collection::vec(key, 1..3).prop_map(|keys| format!("[{}]", keys.join(".")));
    prop::collection::vec(prop_oneof![line, header, "[ -~\u{e4}]{0,20}"], 0..8)
        .prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn no_text_makes_loading_panic(text in nearly_toml(), value in ".{0,10}") {
        let variables = [("CELERIAC__QUEUES__X__RATE", value.as_str())];
        match load_with(&text, &variables) {
            Ok(loaded) => drop(loaded.settings()),
            Err(report) => prop_assert!(report.contains("error"), "{}", report),
        }
    }
}

#[test]
fn the_schedules_in_the_guide_and_the_readme_have_no_problems() {
    for guide in [include_str!("../../docs/schedules.md"), include_str!("../../README.md")] {
        let blocks = guide.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        let schedules: Vec<&str> = blocks.filter(|block| block.contains("[schedules.")).collect();
        assert!(!schedules.is_empty());
        for block in schedules {
            let loaded = load(block).unwrap_or_else(|report| panic!("{report}"));
            assert!(loaded.config.schedules.names().count() >= 2);
        }
    }
}

#[test]
fn the_usual_schedules_are_due_when_their_comments_say() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/examples/schedules.toml");
    let config = Loader::new().files([PathBuf::from(file)]).load().unwrap().config;
    let after = crate::clock::parse_iso("2026-11-25T12:00:00Z").unwrap();
    let entries = crate::scheduler::Entries::of(&config.schedules, after).unwrap();
    let due = entries.iter().map(|entry| {
        let due = crate::clock::to_iso(entry.schedule.next_after(after).unwrap());
        (entry.name.as_str(), due[..16].to_owned())
    });
    let expected = [
        ("analytics-aggregation", "2026-11-25T12:05"),
        ("backup", "2026-11-25T13:20"),
        ("daily-mails", "2026-11-26T06:00"),
        ("database-cleanup", "2026-11-26T02:30"),
        ("log-rotation", "2026-11-25T23:00"),
        ("monthly-report", "2026-11-30T17:00"),
        ("street-lights", "2026-11-25T15:01"),
        ("subscription-reminders", "2026-11-25T12:15"),
        ("weekly-report", "2026-11-30T05:00"),
    ];
    let expected = expected.map(|(name, due)| (name, due.to_owned()));
    assert_eq!(due.collect::<Vec<_>>(), expected);
}

#[test]
fn the_examples_have_no_problems() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/config/examples"));
    let examples: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(examples.len() >= 3);
    for example in examples {
        let loaded = Loader::new().files([example.clone()]).load();
        let report = loaded.map_or_else(|report| report, |loaded| loaded.report);
        assert_eq!(report.to_string(), "", "{}", example.display());
    }
}
