//! Tasks that are programs.

use super::*;

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
fn braces_of_a_shell_are_no_place_and_a_backoff_says_how_it_is_written() {
    let file = "[tasks.x]\nexec = [\"sh\", \"-c\", \"{ echo x; }\"]\nbackoff = \"1h..10s\"\n";
    let said = report(file);
    assert!(said.contains("celeriac.toml:3:11") && said.contains("SHORTEST..LONGEST"), "{said}");
    let said = report(&file.replace("1h..10s", "10s..1h"));
    assert_eq!(
        said,
        "\
error: task `x` has a place that cannot be filled in
 --> celeriac.toml:2:21
  |
2 | exec = [\"sh\", \"-c\", \"{ echo x; }\"]
  |                     ^^^^^^^^^^^^^ character 1: this is no name of an argument; write `{{` and `}}` for braces

1 error in 1 file"
    );
    let said = report("[tasks.x]\nexec = [\"true\"]\nbackoff = { frist = \"1s\" }\n");
    assert!(said.contains("celeriac.toml:3:13") && said.contains("first"), "{said}");
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
