//! What stands around every page: the bar, warnings, the foot.

use super::super::change::{Micros, micros, micros_in};
use super::super::http::Pages;
use super::super::index::{self, IndexError};
use super::assets;
use super::shown::{self, count, counted, plain, took};
use rusqlite::Connection;
use std::time::Duration;

/// Behind so far, the pages say so.
const LATE: Duration = Duration::from_secs(30);

/// A worker that has been silent for longer is no news.
const HOUR: Micros = 3_600_000_000;

/// More than this is not counted for the bar.
const MANY: i64 = 10_000;

/// So many workers and queues are named in warnings.
const NAMED: usize = 3;

/// Which page it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Tasks,
    Failures,
    Dead,
    Queues,
    Workers,
    Schedules,
    Names,
    Workflows,
    Live,
    Audit,
    Operations,
    About,
    Nowhere,
}

/// What stands around a page.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) css: String,
    pub(super) js: String,
    pub(super) icon: String,
    /// What the page is told of while it is open.
    pub(super) topics: &'static str,
    /// The server's time, in milliseconds.
    pub(super) now: i64,
    pub(super) title: String,
    pub(super) links: Vec<Link>,
    /// Those that are looked at less often.
    pub(super) more: Vec<Link>,
    pub(super) warnings: Vec<String>,
    pub(super) broker: String,
    pub(super) version: &'static str,
}

/// A page in the bar.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) href: &'static str,
    pub(super) text: &'static str,
    pub(super) is_current: bool,
    /// A number beside it, where somebody should look.
    pub(super) badge: Option<String>,
}

/// What every page needs of the index.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Kinds of failure that nobody has dealt with.
    pub(super) failing: i64,
    /// Dead letters that nobody has dealt with.
    pub(super) dead: i64,
    /// Workers that say nothing any more.
    pub(super) lost: Vec<String>,
}

impl Facts {
    /// # Errors
    /// When the index cannot be read.
    pub(super) fn read(connection: &Connection, now: Micros) -> Result<Self, IndexError> {
        Ok(Self {
            failing: index::failures::failing(connection)?,
            dead: index::dead::open(connection, MANY)?,
            lost: index::workers::lost(connection, now - HOUR)?,
        })
    }
}

impl Frame {
    /// The frame of a page, as of `now`.
    pub(super) fn new(pages: &Pages, place: Place, facts: &Facts, now: Micros) -> Self {
        let bare = Self::bare(place);
        let broker = pages.broker.address().map_or(String::new(), |it| plain(&it.to_string()));
        let mut frame = Self {
            now: now / 1_000,
            title: plain(&pages.settings.title),
            warnings: warnings(pages, facts, now),
            broker,
            ..bare
        };
        frame.badge("/failures", facts.failing);
        frame.badge("/dead", facts.dead);
        frame
    }

    /// A frame without anything that would have to be asked.
    pub(super) fn bare(place: Place) -> Self {
        let link = |(at, href, text): &(Place, &'static str, &'static str)| Link {
            href,
            text,
            is_current: *at == place,
            badge: None,
        };
        Self {
            css: assets::css(),
            js: assets::js(),
            icon: assets::icon(),
            topics: place.topics(),
            now: micros(std::time::SystemTime::now()) / 1_000,
            title: "celeriac".to_owned(),
            links: LINKS.iter().map(link).collect(),
            more: MORE.iter().map(link).collect(),
            warnings: Vec::new(),
            broker: String::new(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// The page behind `More` that this one is.
    pub(super) fn here(&self) -> Option<&Link> {
        self.more.iter().find(|link| link.is_current)
    }

    fn badge(&mut self, href: &str, number: i64) {
        if let Some(link) = self.links.iter_mut().find(|link| link.href == href)
            && number > 0
        {
            let more = if number >= MANY { "+" } else { "" };
            link.badge = Some(format!("{}{more}", count(number)));
        }
    }
}

const LINKS: &[(Place, &str, &str)] = &[
    (Place::Overview, "/", "Overview"),
    (Place::Tasks, "/tasks", "Tasks"),
    (Place::Failures, "/failures", "Failures"),
    (Place::Dead, "/dead", "Dead letters"),
    (Place::Queues, "/queues", "Queues"),
    (Place::Workers, "/workers", "Workers"),
];

/// Behind `More`.
const MORE: &[(Place, &str, &str)] = &[
    (Place::Schedules, "/schedules", "Schedules"),
    (Place::Names, "/names", "Names"),
    (Place::Workflows, "/workflows", "Workflows"),
    (Place::Live, "/live", "Live"),
    (Place::Audit, "/audit", "Audit"),
    (Place::Operations, "/ops", "Operations"),
    (Place::About, "/about", "About"),
];

impl Place {
    fn topics(self) -> &'static str {
        match self {
            Self::Overview
            | Self::Failures
            | Self::Queues
            | Self::Schedules
            | Self::Names
            | Self::Operations
            | Self::About => "overview",
            Self::Tasks | Self::Workflows | Self::Live => "tasks",
            Self::Workers => "workers",
            Self::Dead | Self::Audit | Self::Nowhere => "",
        }
    }
}

fn warnings(pages: &Pages, facts: &Facts, now: Micros) -> Vec<String> {
    let (status, pauses) = (&pages.status, pages.paused.now());
    let stalled = pages.depths.stalled(&pauses);
    let mut warnings = Vec::new();
    if !pages.broker.is_connected() {
        warnings.push(
            "The broker is away: these pages show what was told before, and go on by themselves"
                .to_owned(),
        );
    } else if !status.is_reading() {
        warnings.push("No events are read now: the stream of events is missing".to_owned());
    } else if let Some(lag) = status.lag().filter(|lag| *lag > LATE) {
        let lag = micros_in(lag);
        warnings.push(format!(
            "These pages are {} behind: older events are still being read",
            took(lag)
        ));
    }
    match facts.lost.as_slice() {
        [] => {}
        lost if lost.len() <= NAMED => {
            warnings.extend(
                lost.iter().map(|name| format!("Worker {} says nothing any more", plain(name))),
            );
        }
        lost => warnings.push(format!("{} workers say nothing any more", lost.len())),
    }
    let paused: Vec<_> = pauses.iter().collect();
    match paused.as_slice() {
        [] => {}
        paused if paused.len() <= NAMED => warnings.extend(paused.iter().map(|(queue, pause)| {
            format!("Queue {} is paused {}", plain(queue), shown::pause(pause, now))
        })),
        paused => warnings.push(format!("{} queues are paused", paused.len())),
    }
    match stalled.as_slice() {
        [] => {}
        stalled if stalled.len() <= NAMED => {
            warnings.extend(stalled.iter().map(|(queue, ready)| {
                let messages = counted(i64::from(*ready), "message", "messages");
                format!("Queue {} has {messages} and no consumer", plain(queue))
            }))
        }
        stalled => warnings.push(format!("{} queues have messages and no consumer", stalled.len())),
    }
    warnings
}
