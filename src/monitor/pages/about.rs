//! What the monitor says of itself: version, how far it is, how much it keeps.

use super::super::access::Person;
use super::super::change::{micros, micros_in};
use super::super::http::Pages;
use super::super::index;
use super::super::settings::Role;
use super::frame::{Facts, Frame, Place};
use super::shown::{self, Html};
use super::task::Fact;
use super::{Answer, page};
use askama::Template;
use axum::extract::State as Given;

#[derive(Template)]
#[template(path = "about.html")]
struct Page {
    frame: Frame,
    groups: Vec<Group>,
    may_bundle: bool,
}

struct Group {
    title: &'static str,
    facts: Vec<Fact>,
}

/// `GET /about`
pub(super) async fn show(Given(pages): Given<Pages>, person: Person) -> Answer {
    let now = micros(pages.clock.now());
    let found = pages.index.read(move |connection| {
        Ok((Facts::read(connection, now)?, index::tasks::states(connection)?))
    });
    let (facts, states) = found.await?;
    let groups = vec![
        Group { title: "Program", facts: program(&pages) },
        Group { title: "Events", facts: events(&pages) },
        Group { title: "Index", facts: kept(&pages, states.values().sum()) },
        Group { title: "Broker", facts: broker(&pages) },
    ];
    let frame = Frame::new(&pages, Place::About, &facts, now);
    page(&Page { frame, groups, may_bundle: person.may(Role::Admin).is_ok() })
}

fn program(pages: &Pages) -> Vec<Fact> {
    vec![
        Fact::new("Version", Html::text(env!("CARGO_PKG_VERSION"))),
        Fact::new("Listens at", Html::text(&pages.settings.listen)),
        Fact::new("Live pages", Html::text(&live(pages))),
    ]
}

fn live(pages: &Pages) -> String {
    let most = i64::from(pages.settings.max_streams);
    let open = most - i64::try_from(pages.streams.available_permits()).unwrap_or_default();
    format!("{} of at most {}", shown::count(open), shown::count(most))
}

fn events(pages: &Pages) -> Vec<Fact> {
    let status = &pages.status;
    let count = |number: u64| Html::text(&shown::count(i64::try_from(number).unwrap_or(i64::MAX)));
    vec![
        Fact::new("Being read", Html::text(if status.is_reading() { "yes" } else { "no" })),
        Fact::new("Behind", Html::text(&shown::some_took(status.lag().map(micros_in)))),
        Fact::new("Read since start", count(status.events())),
        Fact::new("Not understood", count(status.unreadable())),
        Fact::new("Gone before read", count(status.missed())),
        Fact::new(
            "Workers are asked",
            Html::text(if pages.settings.enable_events {
                "to tell of each task"
            } else {
                "nothing"
            }),
        ),
    ]
}

fn kept(pages: &Pages, tasks: i64) -> Vec<Fact> {
    let history = &pages.settings.history;
    let bytes = usize::try_from(pages.index.bytes()).unwrap_or(usize::MAX);
    vec![
        Fact::new("Tasks", Html::text(&shown::count(tasks))),
        Fact::new("Size", Html::text(&shown::size(bytes))),
        Fact::new("Successes are kept", Html::text(&shown::took(micros_in(history.success)))),
        Fact::new("All others", Html::text(&shown::took(micros_in(history.other)))),
        Fact::new(
            "A filter looks at",
            Html::text(&format!("{} tasks", shown::count(history.scan_limit.into()))),
        ),
    ]
}

fn broker(pages: &Pages) -> Vec<Fact> {
    let address = pages.broker.address().map(|it| it.to_string());
    let is_there = if pages.broker.is_connected() { "yes" } else { "no" };
    vec![
        Fact::new("Address", Html::text(&shown::or_unknown(address.as_deref()))),
        Fact::new("Connected", Html::text(is_there)),
        Fact::new(
            "Last error",
            Html::text(&shown::or_unknown(pages.broker.last_error().as_deref())),
        ),
        Fact::new(
            "Publishing blocked",
            Html::text(pages.broker.blocked().as_deref().unwrap_or("no")),
        ),
    ]
}
