//! The picture. Pure.

use super::super::output::{Row, plain, seconds};
use super::super::status::{Consumed, QueueState};
use super::super::workers::{Doing, Worker};
use super::look::{Failing, Look};
use super::view::{Help, Part, View};
use crate::clock::{to_iso, until};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Cell, Paragraph, Row as Shown, Table};
use std::time::{Duration, SystemTime};

const KEYS: &str = "1 all  2 queues  3 workers  r look again  ? help  q quit";

const HELP: &str = "\
1  all of it
2  queues
3  workers
r  look again now
?  this help
q  quit

Queues are those of the configuration and those that a worker consumes.
What is failing is known with --monitor.";

const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
/// Colour is never the only mark: what is bad is also said in words.
const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);

/// Draws what was seen, or why nothing is seen.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View, look: Result<&Look, &str>) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(Line::styled(KEYS, FAINT), foot);
    match look {
        Err(why) => {
            frame.render_widget(Line::styled("celeriac top", STRONG), head);
            frame.render_widget(Paragraph::new(plain(why)), body);
        }
        Ok(look) => {
            frame.render_widget(Line::styled(title(look), STRONG), head);
            match view.part {
                _ if view.help == Help::Shown => help(frame, body),
                Part::All => all(frame, body, look),
                Part::Queues => queues(frame, body, &look.survey.queues),
                Part::Workers => workers(frame, body, &look.survey.workers),
            }
        }
    }
}

fn title(look: &Look) -> String {
    let lag = look.survey.monitor.as_ref().and_then(|monitor| monitor.lag_s);
    let lag = lag.map_or_else(String::new, |lag| format!("  lag {}", seconds(lag)));
    let problems = match look.problems.len() {
        0 => String::new(),
        1 => "  1 problem".to_owned(),
        many => format!("  {many} problems"),
    };
    let at = to_iso(look.at);
    let clock = at.get(11..19).unwrap_or_default();
    format!("celeriac top  {}  {clock} UTC{lag}{problems}", plain(&look.survey.broker.url))
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title("keys")), area);
}

/// The whole of it: queues beside workers, what runs, and what is wrong.
fn all(frame: &mut Frame<'_>, area: Rect, look: &Look) {
    let concerns = concerns(look);
    let below = u16::try_from(concerns.len()).unwrap_or(u16::MAX).min(area.height / 4);
    let [above, middle, below] = Layout::vertical([
        Constraint::Fill(2),
        Constraint::Fill(2),
        Constraint::Length(below.max(1) + 2),
    ])
    .areas(area);
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(45), Constraint::Percentage(55)]).areas(above);
    queues(frame, left, &look.survey.queues);
    workers(frame, right, &look.survey.workers);
    running(frame, middle, look);
    let concerns: Vec<Line<'_>> = concerns.into_iter().map(Line::from).collect();
    frame.render_widget(
        Paragraph::new(concerns).block(Block::bordered().title("failing now, problems")),
        below,
    );
}

/// What is failing, and what is wrong, each in a line.
fn concerns(look: &Look) -> Vec<String> {
    let failing = look.failing.iter().map(Failing::line);
    let wrong = look.problems.iter().map(|it| format!("! {}  {}", it.message, it.hint));
    wrong.chain(failing).map(|line| plain(&line)).collect()
}

impl Failing {
    fn line(&self) -> String {
        format!("{}× {}  {}", self.count, self.title, self.names.join(","))
    }
}

fn queues(frame: &mut Frame<'_>, area: Rect, queues: &[QueueState]) {
    let rows = queues.iter().map(|queue| {
        let waits = queue.ready.is_some_and(|ready| ready > 0);
        let is_left = !matches!(queue.state, Consumed::Running | Consumed::Paused);
        let is_bad = is_left && (waits || queue.ready.is_none());
        Shown::new(queue.cells()).style(if is_bad { BAD } else { Style::new() })
    });
    let widths =
        [Constraint::Fill(2), Constraint::Length(8), Constraint::Length(9), Constraint::Length(11)];
    table(frame, area, "queues", QueueState::COLUMNS, rows, widths);
}

fn workers(frame: &mut Frame<'_>, area: Rect, workers: &[Worker]) {
    let rows = workers.iter().map(|worker| {
        let cells = worker.cells().into_iter().map(|cell| plain(&cell));
        Shown::new(cells).style(if worker.state == "up" { Style::new() } else { BAD })
    });
    let widths = [
        Constraint::Fill(3),
        Constraint::Length(6),
        Constraint::Length(8),
        Constraint::Length(6),
        Constraint::Length(8),
        Constraint::Length(7),
        Constraint::Fill(2),
    ];
    table(frame, area, "workers", Worker::COLUMNS, rows, widths);
}

/// What runs, the longest first.
fn running(frame: &mut Frame<'_>, area: Rect, look: &Look) {
    let mut all: Vec<(&Worker, &Doing)> = Vec::new();
    for worker in &look.survey.workers {
        all.extend(worker.doing.iter().map(|doing| (worker, doing)));
    }
    all.sort_by_key(|(_, doing)| doing.since.unwrap_or(look.at));
    let rows = all.into_iter().map(|(worker, doing)| {
        let ran = doing.since.map_or_else(String::new, |since| ran(since, look.at));
        Shown::new(
            [plain(&doing.id), plain(&doing.name), plain(&worker.worker), ran].map(Cell::from),
        )
    });
    let widths =
        [Constraint::Length(36), Constraint::Fill(2), Constraint::Fill(2), Constraint::Length(7)];
    let columns = ["id", "name", "worker", "for"];
    table(frame, area, "running, longest first", &columns, rows, widths);
}

fn ran(since: SystemTime, now: SystemTime) -> String {
    let ran: Duration = until(now, since);
    seconds(ran.as_secs_f64())
}

fn table<'a, const N: usize>(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &'a str,
    columns: &[&'a str],
    rows: impl Iterator<Item = Shown<'a>>,
    widths: [Constraint; N],
) {
    let head = Shown::new(columns.iter().map(|column| column.to_uppercase())).style(FAINT);
    let table = Table::new(rows, widths).header(head).block(Block::bordered().title(title));
    frame.render_widget(table, area);
}

#[cfg(test)]
mod tests {
    use super::super::super::status::survey::BrokerState;
    use super::super::super::status::{Survey, problems};
    use super::super::text;
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn look() -> Look {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(3_600);
        let doing = |id: &str, ago| Doing {
            id: id.to_owned(),
            name: "video\u{1b}".to_owned(),
            since: Some(at - Duration::from_secs(ago)),
        };
        let mut busy = Worker::mute("w@web1", "up");
        busy.doing = vec![doing("short", 2), doing("long", 61)];
        let queue = |name: &str, state, ready| QueueState {
            name: name.to_owned(),
            state,
            ready: Some(ready),
            consumers: Some(0),
            paused: None,
        };
        let survey = Survey {
            broker: BrokerState { url: "amqp://h/shop".into(), ..Default::default() },
            workers: vec![busy, Worker::mute("x@web2", "silent")],
            queues: vec![
                queue("default", Consumed::Running, 120),
                queue("video", Consumed::NoConsumer, 41),
            ],
            ..Survey::default()
        };
        let failing =
            vec![Failing { title: "SMTPTimeout".into(), count: 17, names: vec!["mail".into()] }];
        Look { at, problems: problems(&survey), survey, failing }
    }

    fn picture(view: &View, look: Result<&Look, &str>, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, view, look)).unwrap();
        text(terminal.backend().buffer())
    }

    #[test]
    fn all_of_it_is_in_the_picture_and_the_longest_runs_first() {
        let picture = picture(&View::default(), Ok(&look()), 120, 30);
        for part in [
            "celeriac top  amqp://h/shop  01:00:00 UTC  2 problems",
            "video",
            "no consumer",
            "w@web1",
            "silent",
            "video\\u{1b}",
            "1m01s",
            "17× SMTPTimeout  mail",
            "! queue video: 41 messages",
        ] {
            assert!(picture.contains(part), "{part}\n{picture}");
        }
        let place = |text| picture.find(text).unwrap();
        assert!(place("│long") < place("│short"), "{picture}");
        assert_eq!(picture.lines().count(), 30);
    }

    #[test]
    fn a_part_has_the_whole_room_and_help_explains_keys() {
        let of = |part| picture(&View { part, ..View::default() }, Ok(&look()), 80, 24);
        assert!(of(Part::Queues).contains("video") && !of(Part::Queues).contains("w@web1"));
        assert!(of(Part::Workers).contains("w@web1") && !of(Part::Workers).contains("video"));
        let help = View { help: Help::Shown, ..View::default() };
        assert!(picture(&help, Ok(&look()), 80, 24).contains("look again now"));
    }

    #[test]
    fn the_smallest_picture_and_one_of_nothing_are_drawn() {
        picture(&View::default(), Ok(&look()), 20, 5);
        let nothing = picture(&View::default(), Err("the broker is away"), 80, 24);
        assert!(nothing.contains("the broker is away"), "{nothing}");
    }
}
