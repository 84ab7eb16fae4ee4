//! `celeriac top`

mod draw;
mod look;
mod view;

use super::api::{Api, At};
use super::exit::{Exit, OrExit};
use super::global::Global;
use super::output::write;
use super::send;
use crate::app::App;
use anyhow::{Context, anyhow};
use look::Look;
use ratatui::DefaultTerminal;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use std::io::IsTerminal;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use view::{After, View};

/// Watch queues, workers and running tasks in the terminal
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  celeriac top
  celeriac top --monitor http://127.0.0.1:5555      also what is failing
  celeriac top --snapshot                           one picture, for a ticket
  celeriac top --snapshot --size 140x40

Keys:
  1 all   2 queues   3 workers   r look again now   ? help   q quit

The broker and the workers are asked, as `celeriac status` does; a monitor only if it is named.")]
pub(crate) struct Arguments {
    /// Write one picture to standard output, and end
    #[arg(long)]
    snapshot: bool,

    /// How large that picture is
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "100x30", value_parser = size)]
    size: (u16, u16),

    /// How long after one look comes the next
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = send::duration)]
    refresh: Duration,

    /// How long to wait for workers that are there
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = send::duration)]
    timeout: Duration,

    #[command(flatten)]
    at: At,
}

/// Keys that nobody has taken yet; those beyond are left out.
const KEYS: usize = 32;

/// How soon the end is noticed by who waits for keys.
const POLL: Duration = Duration::from_millis(100);

pub(super) async fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Exit> {
    if !arguments.snapshot && !std::io::stdout().is_terminal() {
        let error = anyhow!("standard output is no terminal; --snapshot writes one picture");
        return Err(super::exit::failed(Exit::Used, error));
    }
    let app = send::connect(global).await?;
    let api = match arguments.at.is_given() {
        true => Some(arguments.at.open_for(app.config())?),
        false => None,
    };
    let ended = match arguments.snapshot {
        true => snapshot(&app, api.as_ref(), arguments).await,
        false => live(&app, api, arguments).await,
    };
    app.close().await;
    ended.map(|()| Exit::Done)
}

async fn snapshot(app: &App, api: Option<&Api>, arguments: &Arguments) -> anyhow::Result<()> {
    let look = Look::take(app, api, arguments.timeout).await.or_exit(Exit::Unreachable)?;
    let (width, height) = arguments.size;
    let mut terminal = Terminal::new(TestBackend::new(width, height))?;
    terminal.draw(|frame| draw::draw(frame, &View::default(), Ok(&look)))?;
    write(text(terminal.backend().buffer()).as_bytes())
}

/// A picture as lines of text.
fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for row in buffer.content().chunks(usize::from(buffer.area.width).max(1)) {
        let line: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

async fn live(app: &App, api: Option<Api>, arguments: &Arguments) -> anyhow::Result<()> {
    let mut terminal = ratatui::try_init().context("taking over the terminal")?;
    let ended = watch_until_quit(app, api, arguments, &mut terminal).await;
    ratatui::restore();
    ended
}

/// What was last seen, or why nothing is seen.
type Seen = Result<Look, String>;

async fn watch_until_quit(
    app: &App,
    api: Option<Api>,
    arguments: &Arguments,
    terminal: &mut DefaultTerminal,
) -> anyhow::Result<()> {
    let (seen, mut looks) = watch::channel::<Option<Seen>>(None);
    let (pressed, mut keys) = mpsc::channel(KEYS);
    let (again, asked) = watch::channel(());
    let ends = CancellationToken::new();
    let _guard = ends.clone().drop_guard();
    let mut beside = JoinSet::new();
    let (refresh, patience) = (arguments.refresh, arguments.timeout);
    beside.spawn(look_on(app.clone(), api, refresh, patience, seen, asked));
    beside.spawn_blocking(move || read_keys(&pressed, &ends));
    let mut view = View::default();
    loop {
        {
            let look = looks.borrow_and_update();
            let look = match &*look {
                Some(Ok(look)) => Ok(look),
                Some(Err(why)) => Err(why.as_str()),
                None => Err("looking"),
            };
            terminal.draw(|frame| draw::draw(frame, &view, look))?;
        }
        tokio::select! {
            key = keys.recv() => match key.map(|key| view.press(key)) {
                Some(After::Goes) => {}
                Some(After::LooksAgain) => drop(again.send(())),
                Some(After::Quits) | None => return Ok(()),
            },
            changed = looks.changed() => changed.context("nobody looks any more")?,
        }
    }
}

/// Looks again and again, after `refresh` or when asked to. Ends when nobody sees it.
async fn look_on(
    app: App,
    api: Option<Api>,
    refresh: Duration,
    patience: Duration,
    seen: watch::Sender<Option<Seen>>,
    mut asked: watch::Receiver<()>,
) {
    loop {
        let look = Look::take(&app, api.as_ref(), patience).await;
        if seen.send(Some(look.map_err(|error| format!("{error:#}")))).is_err() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(refresh) => {}
            changed = asked.changed() => if changed.is_err() { return },
        }
    }
}

/// Gives on what is pressed, until the end. A key that finds no room is left out.
fn read_keys(pressed: &mpsc::Sender<KeyEvent>, ends: &CancellationToken) {
    while !ends.is_cancelled() {
        match event::poll(POLL) {
            Ok(false) => {}
            Ok(true) => match event::read() {
                Ok(Event::Key(key)) if key.kind == KeyEventKind::Press => {
                    let _ = pressed.try_send(key);
                }
                Ok(_) => {}
                Err(_) => return,
            },
            Err(_) => return,
        }
    }
}

fn size(text: &str) -> Result<(u16, u16), String> {
    let sides = text.split_once('x').and_then(|(width, height)| {
        Some((width.parse::<u16>().ok()?, height.parse::<u16>().ok()?))
    });
    match sides {
        Some((width @ 20..=1_000, height @ 5..=1_000)) => Ok((width, height)),
        _ => Err("write it like 100x30, from 20x5 to 1000x1000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_width_and_height() {
        assert_eq!(size("80x24"), Ok((80, 24)));
        for wrong in ["80", "x", "10x10", "80x70000", "80x2"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
