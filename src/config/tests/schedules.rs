//! Schedules that cannot be, and those that are checked against their tasks.

use super::*;

#[celeriac::prelude::task(name = "check.mail")]
async fn check_mail(
    user: u64,
    #[arg(default = "plain".to_owned())] template: String,
) -> anyhow::Result<()> {
    let _ = (user, template);
    Ok(())
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
