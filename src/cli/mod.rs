//! The command line.
//!
//! One module per subcommand; this one parses, runs the command, and turns how it ended into an
//! exit code. Only here does the program print and exit.

mod api;
mod bundle;
mod call;
mod changes;
mod completions;
mod config;
mod control;
mod dead;
mod doctor;
mod events;
mod exit;
mod failures;
mod global;
mod health;
mod init;
#[cfg(feature = "monitor")]
mod logins;
mod man;
mod migrate;
mod mode;
#[cfg(feature = "monitor")]
mod monitor;
mod noted;
mod ops;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod outbox;
mod output;
mod person;
mod queue;
mod revoke;
mod run;
mod schedule;
mod scheduler;
#[cfg(feature = "monitor")]
mod secret;
mod send;
mod stack;
mod status;
mod stop;
mod tasks;
#[cfg(feature = "monitor")]
mod token;
#[cfg(feature = "top")]
mod top;
mod topology;
#[cfg(feature = "monitor")]
mod user;
mod worker;
mod workers;

use crate::config::{Report, Style};
use clap::Parser;
use exit::{Exit, Failed};
use global::Global;
use output::{OutputClosed, say};
use std::io;
use std::process::ExitCode;

/// The task runner for RabbitMQ: speaks Celery, loses nothing.
#[derive(Debug, Parser)]
#[command(name = "celeriac", version, propagate_version = true, max_term_width = 100)]
#[command(arg_required_else_help = true, subcommand_required = true)]
#[command(after_help = "\
Examples:
  celeriac worker -c celeriac.toml              run tasks
  celeriac scheduler -c celeriac.toml           send tasks when they are due
  celeriac monitor -c celeriac.toml             show everything, at http://127.0.0.1:5555
  celeriac run -c celeriac.toml                 all three in one process
  celeriac send mail.welcome --kwargs '{\"user\": 42}'
  celeriac status                               one screen, with what is wrong
  celeriac tasks state:failure since:2h         find tasks, in a monitor's history
  celeriac events -f                            what happens
  celeriac inspect active                       what runs now, and where
  celeriac control rate_limit mail.send 10/m    tell every worker
  celeriac dead list since:6h                   what was given up
  celeriac outbox list                          what waits in a database to be sent
  celeriac topology check                       where the broker differs
  celeriac init                                 write a celeriac.toml that works
  celeriac config check                         find every mistake in it
  celeriac config explain worker.prefetch       what a key means

Exit codes:
  0 done   1 the answer is no   2 used wrongly   3 partly done   4 not found
  65 input not valid   69 broker not reachable   70 internal error   73 file not written
  75 timed out waiting   77 login or permission refused   78 configuration wrong")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Worker(worker::Arguments),
    Scheduler(scheduler::Arguments),
    #[cfg(feature = "monitor")]
    Monitor(monitor::Arguments),
    Run(run::Arguments),
    Status(status::Arguments),
    #[cfg(feature = "top")]
    Top(top::Arguments),
    Tasks(tasks::Arguments),
    Failures(failures::Arguments),
    Ops(ops::Arguments),
    Events(events::Arguments),
    Queue(queue::Arguments),
    Send(send::Arguments),
    Call(call::Arguments),
    Revoke(revoke::Arguments),
    Workers(workers::Arguments),
    Inspect(control::Inspect),
    Control(control::Control),
    Schedule(schedule::Arguments),
    Dead(dead::Arguments),
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    Outbox(outbox::Arguments),
    Topology(topology::Arguments),
    #[cfg(feature = "monitor")]
    Token(token::Arguments),
    #[cfg(feature = "monitor")]
    User(user::Arguments),
    Health(health::Arguments),
    Doctor(doctor::Arguments),
    Bundle(bundle::Arguments),
    Init(init::Arguments),
    Migrate(migrate::Arguments),
    Config(config::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

/// Runs the program with the arguments of this process.
pub fn run() -> ExitCode {
    stack::deepen();
    let cli = Cli::parse();
    let colour = cli.global.colour;
    let ended = match cli.command {
        Command::Worker(arguments) => wait(worker::run(&cli.global, &arguments)),
        Command::Scheduler(arguments) => wait(scheduler::run(&cli.global, &arguments)),
        #[cfg(feature = "monitor")]
        Command::Monitor(arguments) => wait(monitor::run(&cli.global, &arguments)),
        Command::Run(arguments) => wait(run::run(&cli.global, &arguments)),
        Command::Status(arguments) => wait(status::run(&cli.global, &arguments)),
        #[cfg(feature = "top")]
        Command::Top(arguments) => wait(top::run(&cli.global, &arguments)),
        Command::Tasks(arguments) => wait(tasks::run(&cli.global, &arguments)),
        Command::Failures(arguments) => wait(failures::run(&cli.global, &arguments)),
        Command::Ops(arguments) => wait(ops::run(&cli.global, &arguments)),
        Command::Events(arguments) => wait(events::run(&cli.global, &arguments)),
        Command::Queue(arguments) => wait(queue::run(&cli.global, &arguments)),
        Command::Send(arguments) => wait(send::run(&cli.global, &arguments)),
        Command::Call(arguments) => wait(call::run(&cli.global, &arguments)),
        Command::Revoke(arguments) => wait(revoke::run(&cli.global, &arguments)),
        Command::Workers(arguments) => wait(workers::run(&cli.global, &arguments)),
        Command::Inspect(arguments) => wait(control::inspect(&cli.global, &arguments)),
        Command::Control(arguments) => wait(control::control(&cli.global, &arguments)),
        Command::Schedule(arguments) => wait(schedule::run(&cli.global, &arguments)),
        Command::Dead(arguments) => wait(dead::run(&cli.global, &arguments)),
        #[cfg(any(feature = "postgres", feature = "sqlite"))]
        Command::Outbox(arguments) => wait(outbox::run(&cli.global, &arguments)),
        #[cfg(feature = "monitor")]
        Command::Token(arguments) => token::run(&cli.global, &arguments),
        #[cfg(feature = "monitor")]
        Command::User(arguments) => user::run(&cli.global, &arguments),
        Command::Topology(arguments) => wait(topology::run(&cli.global, &arguments)),
        Command::Health(arguments) => wait(health::run(&cli.global, &arguments)),
        Command::Doctor(arguments) => wait(doctor::run(&cli.global, &arguments)),
        Command::Bundle(arguments) => wait(bundle::run(&cli.global, &arguments)),
        Command::Init(arguments) => init::run(&arguments),
        Command::Migrate(arguments) => migrate::run(&cli.global, &arguments),
        Command::Config(arguments) => config::run(&cli.global, &arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => {
            let style =
                if colour.applies_to(&io::stderr()) { Style::Coloured } else { Style::Plain };
            explain(&error, style).into()
        }
    }
}

/// Runs a command that waits for the broker or for others.
fn wait(command: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(command);
    // A blocking task that does not end does not keep the program.
    runtime.shutdown_background();
    ended
}

/// Says on standard error what went wrong, and decides the exit code.
fn explain(error: &anyhow::Error, style: Style) -> Exit {
    if error.is::<OutputClosed>() {
        return Exit::Done;
    }
    if let Some(report) = error.downcast_ref::<Report>() {
        say(report.render(style));
        return Exit::Config;
    }
    say(format_args!("error: {error}"));
    for cause in error.chain().skip(1) {
        say(format_args!("  because: {cause}"));
    }
    error.downcast_ref::<Failed>().map_or(Exit::Internal, |failed| failed.exit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself_with_examples() {
        fn without_examples(command: &clap::Command, path: &str, found: &mut Vec<String>) {
            for command in command.get_subcommands() {
                let path = format!("{path} {}", command.get_name());
                let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                let leaf = command.get_subcommands().next().is_none();
                if command.get_about().is_none() || (leaf && !after.contains("Example")) {
                    found.push(path.clone());
                }
                without_examples(command, &path, found);
            }
        }
        let mut found = Vec::new();
        without_examples(&Cli::command(), "celeriac", &mut found);
        assert_eq!(found, Vec::<String>::new());
    }
}
