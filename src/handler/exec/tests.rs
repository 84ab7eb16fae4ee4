//! Real programs, and what becomes of them.

use super::{Program, ProgramError, Watcher};
use crate::handler::call::Given;
use crate::handler::testing::{
    TempDir, arguments, context, error, program_settings, rejection, value,
};
use crate::handler::{Failure, Output, Progress, TaskContext, TaskError};
use crate::task::ProgramSettings;
use serde_json::{Value, json};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{OpenOptions, Receiver};

fn settings(exec: &[&str], more: &str) -> ProgramSettings {
    let exec = toml::Value::from(exec.to_vec());
    program_settings(&format!("exec = {exec}\n{more}"))
}

/// A shell script; `$1` and so on are `words`, which may hold places.
fn script(text: &str, words: &[&str], more: &str) -> Program {
    let text = text.replace('{', "{{").replace('}', "}}");
    let exec = [&["sh", "-c", &text, "sh"], words].concat();
    Program::try_new(settings(&exec, more), Arc::new(Watcher::new())).unwrap()
}

async fn run(program: &Program) -> Result<Output, Failure> {
    program.0.run(&context("video.thumb", "id-1"), &Given::default()).await
}

/// What `error` says and quotes.
fn detail(error: &TaskError) -> &str {
    error.detail.as_deref().unwrap_or_default()
}

/// Sees, through a named pipe, that processes are there and that all of them are gone.
struct Witness {
    path: String,
}

impl Witness {
    fn new(dir: &TempDir) -> Self {
        let path = dir.path("witness");
        make_pipe(&path);
        Self { path }
    }

    /// The first line that a process wrote. Processes keep the pipe open until they end.
    async fn first_line(&self) -> (String, Receiver) {
        // Open for writing too, or there is nothing to read until a process opens it.
        let mut pipe = OpenOptions::new().read_write(true).open_receiver(&self.path).unwrap();
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            line.push(within(pipe.read_u8()).await.unwrap());
        }
        let pipe = OpenOptions::new().open_receiver(&self.path).unwrap();
        (String::from_utf8(line).unwrap(), pipe)
    }
}

fn make_pipe(path: &str) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Completes when no process has the pipe open any more.
async fn all_gone(mut pipe: Receiver) {
    within(pipe.read_to_end(&mut Vec::new())).await.unwrap();
}

/// Fails rather than hangs.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("not within a minute")
}

#[tokio::test]
async fn a_program_is_told_the_call_on_its_input_and_in_its_environment() {
    let told = script(
        r#"printf '{"in": %s, "env": "%s"}' "$(cat)" \
           "$CELERIAC_TASK $CELERIAC_TASK_ID $CELERIAC_ATTEMPT $CELERIAC_QUEUE $COLOR""#,
        &[],
        "env = { COLOR = 'green' }",
    );
    let given = arguments(json!(["a", 1]), json!({"deep": {"er": [null]}}));
    let ended = told.0.run(&context("video.thumb", "id-1"), &given).await;
    assert_eq!(
        value(ended),
        json!({
            "in": {
                "task": "video.thumb", "id": "id-1", "attempt": 1,
                "args": ["a", 1], "kwargs": {"deep": {"er": [null]}},
            },
            "env": "video.thumb id-1 1 media green",
        })
    );
}

#[tokio::test]
async fn with_stdin_none_a_program_reads_nothing() {
    assert_eq!(value(run(&script("cat", &[], "stdin = 'none'")).await), Value::Null);
}

#[tokio::test]
async fn arguments_arrive_whole_and_no_shell_looks_at_them() {
    let dir = TempDir::new();
    let bait = dir.path("bait");
    let hostile = format!("$(touch {bait}); touch {bait} * \"'\n-rf");
    let program = script("printf '%s|' \"$@\"", &["{name}", "a{0}b", "{list}", "{id}"], "");
    let given = arguments(json!([hostile]), json!({"name": "-x y", "list": [1, "two"]}));
    let ended = program.0.run(&context("t", "id-1"), &given).await;
    assert_eq!(value(ended), json!(format!("-x y|a{hostile}b|[1,\"two\"]|id-1|")));
    assert!(!std::path::Path::new(&bait).exists());
}

#[tokio::test]
async fn a_program_runs_in_its_folder_and_is_found_relative_to_it() {
    let dir = TempDir::new();
    std::os::unix::fs::symlink("/bin/sh", dir.path("shell")).unwrap();
    let exec = ["./shell", "-c", "pwd"];
    let more = format!("workdir = '{}'", dir.path(""));
    let program = Program::try_new(settings(&exec, &more), Arc::default()).unwrap();
    let real = std::fs::canonicalize(dir.path("")).unwrap();
    assert_eq!(value(run(&program).await), json!(real.to_str().unwrap()));
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_rejected() {
    let program = script("exit 0", &["{path}"], "");
    for (kwargs, said) in [
        (json!({}), "keyword argument `path` is missing"),
        (json!({"path": "a\u{0}b"}), "NUL"),
        (json!({"path": "x".repeat(10_000_000)}), "too long"),
    ] {
        let given = arguments(json!([]), kwargs);
        let error = rejection(program.0.run(&context("t", "1"), &given).await);
        assert_eq!(error.kind, "ArgumentError");
        assert!(error.message.contains(said), "{error}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused_at_start() {
    let refused = |exec: &[&str], more: &str| {
        Program::try_new(settings(exec, more), Arc::default()).unwrap_err()
    };
    assert_eq!(refused(&[], ""), ProgramError::Empty);
    assert_eq!(refused(&["{tool}"], ""), ProgramError::ProgramFromCall("{tool}".to_owned()));
    assert_eq!(refused(&["sh"], "retry_codes = [65]"), ProgramError::AmbiguousCode(65));
    let broken = refused(&["sh", "-c", "echo {"], "").to_string();
    assert!(broken.contains("part 2 of the command: in `echo {` at character 6"), "{broken}");
}

#[tokio::test]
async fn each_exit_code_has_its_outcome() {
    let more = "discard_codes = [3]\nsnooze_codes = [4]\nsnooze = '2m'\nsuccess_codes = [0, 1]";
    let ended =
        |script_text: &'static str| async move { run(&script(script_text, &[], more)).await };
    let exit = |code: i32, last: &str| {
        let error = TaskError::new(
            format!("ExitStatus({code})"),
            format!("`sh` ended with exit code {code}: {last}"),
        );
        error.with_detail(last)
    };
    let minute = Duration::from_secs(60);
    assert_eq!(value(ended("echo fine; exit 0").await), json!("fine"));
    assert_eq!(value(ended("echo fine; exit 1").await), json!("fine"));
    assert_eq!(ended("echo bad >&2; exit 2").await.unwrap_err(), Failure::Error(exit(2, "bad")));
    assert_eq!(ended("echo bad >&2; exit 3").await.unwrap_err(), Failure::Discard(exit(3, "bad")));
    assert_eq!(ended("exit 4").await.unwrap_err(), Failure::Snooze { after: 2 * minute });
    assert_eq!(
        ended("echo '::after 1m' >&2; exit 4").await.unwrap_err(),
        Failure::Snooze { after: minute }
    );
    assert_eq!(ended("echo bad >&2; exit 65").await.unwrap_err(), Failure::Reject(exit(65, "bad")));
    assert_eq!(
        ended("echo bad >&2; exit 75").await.unwrap_err(),
        Failure::Retry { after: None, error: exit(75, "bad") }
    );
    assert_eq!(
        ended("echo '::after 1m' >&2; echo bad >&2; exit 75").await.unwrap_err(),
        Failure::Retry { after: Some(minute), error: exit(75, "bad") }
    );
}

#[tokio::test]
async fn a_program_killed_by_a_signal_has_failed() {
    let error = error(run(&script("kill -9 $$", &[], "")).await);
    assert_eq!(error.to_string(), "Signal(9): `sh` ended with signal 9");
}

#[tokio::test]
async fn the_end_of_the_error_output_explains_a_failure() {
    let text = "for n in $(seq 1 50); do echo line $n >&2; done; printf 'no end' >&2; exit 1";
    let error = error(run(&script(text, &[], "")).await);
    assert_eq!(error.message, "`sh` ended with exit code 1: no end");
    let lines: Vec<_> = detail(&error).lines().collect();
    assert_eq!((lines.len(), lines[0], lines[19]), (20, "line 32", "no end"));
}

#[tokio::test]
async fn progress_lines_are_reported_and_are_no_errors() {
    let (sender, receiver) = tokio::sync::watch::channel(None);
    let cx = TaskContext { progress: Progress::new(sender), ..context("t", "1") };
    let run = async |text: &str| {
        let ended = script(text, &[], "").0.run(&cx, &Given::default()).await;
        (ended, receiver.borrow().clone())
    };
    let (ended, reported) = run("echo '::progress 0.5 half way' >&2; echo out").await;
    assert_eq!(value(ended), json!("out"));
    assert_eq!(reported, Some(json!({"progress": 0.5, "message": "half way"})));

    let (ended, reported) = run("echo '::progress {\"frames\": 9}' >&2; exit 1").await;
    assert_eq!(error(ended).detail, None);
    assert_eq!(reported, Some(json!({"frames": 9})));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_left_to_the_policy() {
    let program = Program::try_new(settings(&["no-such-program"], ""), Arc::default()).unwrap();
    let error = error(run(&program).await);
    assert_eq!(error.kind, "ProgramNotFound");
    assert!(error.message.contains(&std::env::var("PATH").unwrap()), "{error}");
}

#[tokio::test]
async fn a_file_that_cannot_be_run_is_left_to_the_policy() {
    let dir = TempDir::new();
    let path = dir.path("interpreter-missing");
    std::fs::write(&path, "#!/no/such/interpreter\n").unwrap();
    let made = std::process::Command::new("chmod").args(["+x", &path]).status().unwrap();
    assert!(made.success());
    let program = Program::try_new(settings(&[&path], ""), Arc::default()).unwrap();
    assert_eq!(error(run(&program).await).kind, "ProgramNotStarted");
}

#[tokio::test]
async fn a_result_that_never_ends_stops_its_program() {
    let error = error(within(run(&script("yes", &[], "max_output = '64 KiB'"))).await);
    assert_eq!(error.kind, "OutputTooLarge");
    assert!(error.message.contains("65536 bytes"), "{error}");
}

#[tokio::test]
async fn a_result_one_byte_too_long_is_noticed_after_the_end() {
    let exact = script("printf 12345", &[], "max_output = '5 B'");
    assert_eq!(value(run(&exact).await), json!(12345));
    let longer = script("printf 123456", &[], "max_output = '5 B'");
    assert_eq!(error(run(&longer).await).kind, "OutputTooLarge");
}

#[tokio::test]
async fn a_program_is_refused_more_memory_than_it_may_have() {
    // Its input comes when the limit holds. `tail` keeps what it is asked for.
    let text = "cat > /dev/null; head -c 200000000 /dev/zero | tail -c 100000000 | wc -c";
    let free = script(text, &[], "");
    assert_eq!(value(within(run(&free)).await), json!(100_000_000));
    let bounded = script(text, &[], "max_memory = '64 MiB'");
    assert_eq!(value(within(run(&bounded)).await), json!(0));
}

#[tokio::test]
async fn any_amount_of_error_output_is_swallowed() {
    let text = "head -c 100000000 /dev/zero >&2; echo >&2; yes | head -n 100000 >&2; echo done";
    assert_eq!(value(within(run(&script(text, &[], ""))).await), json!("done"));
}

#[tokio::test]
async fn a_program_need_not_read_its_input_nor_keep_its_outputs_open() {
    let dir = TempDir::new();
    let marker = dir.path("marker");
    let program = script("exec <&- >&- 2>&-; echo done > \"$1\"", &[&marker], "");
    let given = arguments(json!(["x".repeat(1_000_000)]), json!({}));
    assert_eq!(value(program.0.run(&context("t", "1"), &given).await), Value::Null);
    assert_eq!(std::fs::read_to_string(&marker).unwrap(), "done\n");
}

/// A script that opens the witness, ignores `SIGTERM`, and so do its child and its grandchild.
const FAMILY: &str = r#"
exec 9>"$1"
trap '' TERM
sh -c 'sh -c "while :; do sleep 1000; done" & while :; do sleep 1000; done' &
"#;

fn family(then: &str, witness: &Witness, more: &str) -> Program {
    script(&format!("{FAMILY}\n{then}"), &[&witness.path], more)
}

#[tokio::test]
async fn a_stubborn_program_is_killed_with_its_family_when_its_grace_is_over() {
    let dir = TempDir::new();
    let witness = Witness::new(&dir);
    let program = family("echo ready >&9; wait", &witness, "grace = '10ms'");
    let cx = context("t", "1");
    let arguments = Given::default();
    let (ended, pipe) = tokio::join!(program.0.run(&cx, &arguments), async {
        let (_, pipe) = witness.first_line().await;
        cx.cancel.cancel();
        pipe
    });
    let error = error(ended);
    assert_eq!(
        error.to_string(),
        "SoftTimeLimitExceeded: `sh` was asked to stop and ended with signal 9"
    );
    all_gone(pipe).await;
}

#[tokio::test]
async fn a_program_that_is_asked_to_stop_may_end_in_its_own_way() {
    for (last_words, expected) in [
        ("echo '\"partial\"'; exit 0", Ok(json!("partial"))),
        ("echo '::after 1m' >&2; exit 75", Err("to be tried again")),
        (
            "exit 143",
            Err("SoftTimeLimitExceeded: `sh` was asked to stop and ended with exit code 143"),
        ),
    ] {
        let dir = TempDir::new();
        let witness = Witness::new(&dir);
        let text = format!(
            "trap \"{}\" TERM; echo ready > \"$1\"; sleep 1000 & wait",
            last_words.replace('"', "\\\"")
        );
        let program = script(&text, &[&witness.path], "grace = '1h'");
        let cx = context("t", "1");
        let arguments = Given::default();
        let (ended, ()) = tokio::join!(within(program.0.run(&cx, &arguments)), async {
            witness.first_line().await;
            cx.cancel.cancel();
        });
        match expected {
            Ok(expected) => assert_eq!(value(ended), expected),
            Err(said) => {
                let failure = ended.unwrap_err().to_string();
                assert!(failure.starts_with(said), "{failure}");
            }
        }
    }
}

#[tokio::test]
async fn dropping_the_attempt_kills_the_whole_family_at_once() {
    let dir = TempDir::new();
    let witness = Witness::new(&dir);
    let program = family("echo ready >&9; wait", &witness, "grace = '1h'");
    let cx = context("t", "1");
    let arguments = Given::default();
    let pipe = tokio::select! {
        ended = program.0.run(&cx, &arguments) => panic!("ended: {ended:?}"),
        (_, pipe) = witness.first_line() => pipe,
    };
    all_gone(pipe).await;
    assert!(program.0.watcher.is_idle());
}

#[tokio::test]
async fn what_a_program_leaves_running_is_killed_and_not_waited_for() {
    let dir = TempDir::new();
    let witness = Witness::new(&dir);
    let program = family("echo ready >&9; echo left", &witness, "");
    let (ended, (_, pipe)) = tokio::join!(within(run(&program)), witness.first_line());
    assert_eq!(value(ended), json!("left"));
    all_gone(pipe).await;
    assert!(program.0.watcher.is_idle());
}

#[tokio::test]
async fn a_process_that_left_the_group_and_holds_the_output_is_not_waited_for() {
    let dir = TempDir::new();
    let witness = Witness::new(&dir);
    let (gate_path, started) = (dir.path("gate"), dir.path("started"));
    make_pipe(&gate_path);
    make_pipe(&started);
    let mut gate = OpenOptions::new().read_write(true).open_sender(&gate_path).unwrap();
    let text = r#"
        exec 9>"$1"
        setsid sh -c 'echo out >&9; echo out >"$2"; read -r _ <"$1"; echo went >&9' sh "$2" "$3" &
        read -r _ <"$3"; echo result
    "#;
    let program = script(text, &[&witness.path, &gate_path, &started], "");
    let (ended, (_, mut pipe)) = tokio::join!(within(run(&program)), witness.first_line());
    assert_eq!(value(ended), json!("result"));
    // Only what stays in the group is killed: this one is still there to answer.
    gate.write_all(b"go\n").await.unwrap();
    let mut answer = String::new();
    within(pipe.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "went\n");
}

/// Not a test: the worker that [`a_killed_worker_takes_its_programs_along`] kills.
#[tokio::test]
#[ignore = "started by another test"]
async fn victim() {
    let witness = Witness { path: std::env::var("CELERIAC_TEST_WITNESS").unwrap() };
    let text = "echo \"::progress {\\\"url\\\": \\\"${AMQP_URL-unknown}\\\"}\" >&2; wait";
    let program = family(text, &witness, "");
    let (sender, mut reports) = tokio::sync::watch::channel(None);
    let cx = TaskContext { progress: Progress::new(sender), ..context("t", "1") };
    let arguments = Given::default();
    let (ended, ()) = tokio::join!(program.0.run(&cx, &arguments), async {
        reports.changed().await.unwrap();
        let heard = reports.borrow().clone().unwrap();
        std::fs::write(&witness.path, format!("{heard}\n")).unwrap();
    });
    panic!("not killed in time: {ended:?}");
}

#[tokio::test]
async fn a_killed_worker_takes_its_programs_along() {
    let dir = TempDir::new();
    let witness = Witness::new(&dir);
    let mut worker = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "handler::exec::tests::victim"])
        .env("CELERIAC_TEST_WITNESS", &witness.path)
        .env("AMQP_URL", "amqp://secret")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let (heard, pipe) = witness.first_line().await;
    worker.kill().unwrap();
    worker.wait().unwrap();
    all_gone(pipe).await;
    assert_eq!(heard, "{\"url\":\"unknown\"}\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_programs_at_once_all_end_as_they_should() {
    let program = script("read -r call; printf %s \"$1\"; exit \"$1\"", &["{0}"], "");
    let mut running = tokio::task::JoinSet::new();
    for n in 0..200 {
        let program = program.clone();
        running.spawn(async move {
            let given = arguments(json!([n % 3]), json!({}));
            (n % 3, program.0.run(&context("t", "1"), &given).await)
        });
    }
    while let Some(ended) = within(running.join_next()).await {
        match ended.unwrap() {
            (0, ended) => assert_eq!(value(ended), json!(0)),
            (code, ended) => assert_eq!(error(ended).kind, format!("ExitStatus({code})")),
        }
    }
    assert!(program.0.watcher.is_idle());
}
