//! What Celery Beat sends, as schedules.

use super::document::Document;
use super::fleet::{Fleet, Schedule, When};
use super::{inline, spoken};
use crate::clock::{Clock, SystemClock};
use crate::scheduler::{Entry, ScheduleSettings};
use serde_json::Value;
use toml::Table;

pub(super) fn write(fleet: &Fleet, to: &mut Document) {
    let deadline = fleet.changed.get("beat_cron_starting_deadline").and_then(Value::as_f64);
    if let Some(deadline) = deadline {
        to.section(&["schedules"]);
        to.set("missed_within", spoken(deadline));
    }
    for schedule in &fleet.schedules {
        match table(schedule, &fleet.timezone) {
            Ok(table) => {
                to.section(&["schedules", &schedule.name]);
                table.into_iter().for_each(|(key, value)| to.set(&key, value));
                others(schedule, to);
            }
            Err(why) => to.note(format!("schedule {}", schedule.name), why),
        }
    }
}

/// The keys of a schedule that runs, or why there is none.
fn table(schedule: &Schedule, timezone: &str) -> Result<Table, String> {
    let mut table = Table::new();
    let mut set = |key: &str, value: toml::Value| table.insert(key.to_owned(), value);
    set("task", schedule.task.as_str().into());
    match &schedule.when {
        When::Cron(fields) => {
            let [minute, hour, day, month, weekday] = fields;
            let (month, weekday) = (names(month), names(weekday));
            set("cron", format!("{minute} {hour} {day} {month} {weekday}").into());
            if day != "*" && weekday != "*" {
                set("days", "both".into());
            }
            set("timezone", timezone.into());
        }
        When::Every(seconds) => drop(set("every", spoken(*seconds).into())),
        When::Sun { event, latitude, longitude } => {
            let mut sun = Table::new();
            sun.insert("event".to_owned(), event.as_str().into());
            sun.insert("latitude".to_owned(), (*latitude).into());
            sun.insert("longitude".to_owned(), (*longitude).into());
            set("sun", sun.into());
        }
        When::Other(kind) => return Err(format!("{kind} is a schedule of your own")),
    }
    if let Some(why) = &schedule.unreadable {
        return Err(format!("its arguments cannot be written: {why}"));
    }
    let nulls = "its arguments hold None, for which TOML has no word; leave them to a default";
    if !schedule.args.is_empty() {
        set("args", inline(&Value::Array(schedule.args.clone())).ok_or(nulls)?);
    }
    if !schedule.kwargs.is_empty() {
        set("kwargs", inline(&Value::Object(schedule.kwargs.clone())).ok_or(nulls)?);
    }
    let option = |name: &str| schedule.options.get(name);
    if let Some(queue) = option("queue").and_then(Value::as_str) {
        set("queue", queue.into());
    }
    if let Some(priority) = option("priority").and_then(Value::as_u64) {
        set("priority", i64::try_from(priority).unwrap_or(i64::MAX).into());
    }
    if let Some(expires) = option("expires").and_then(Value::as_f64) {
        set("expires", spoken(expires).into());
    }
    let settings: ScheduleSettings =
        table.clone().try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
    let entry = Entry::new(&schedule.name, &settings, SystemClock.now());
    entry.map(|_| table).map_err(|errors| {
        errors.iter().map(|error| error.title.clone()).collect::<Vec<_>>().join("; ")
    })
}

/// What is left out of a schedule that runs.
fn others(schedule: &Schedule, to: &mut Document) {
    let subject = format!("schedule {}", schedule.name);
    let known = ["queue", "priority", "expires"];
    for option in schedule.options.keys().filter(|option| !known.contains(&option.as_str())) {
        to.note(&subject, format!("option {option} is not taken over"));
    }
    if schedule.relative {
        to.note(&subject, "`every` counts from a fixed point; `from` shifts it");
    }
}

/// Celery knows `sunday` and `Sun` alike; cron knows `SUN`.
fn names(field: &str) -> String {
    let mut out = String::new();
    let mut letters = 0;
    for c in field.chars() {
        letters = if c.is_alphabetic() { letters + 1 } else { 0 };
        if letters <= 3 {
            out.extend(c.to_uppercase());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(schedule: &Value) -> Result<String, String> {
        let mut whole = json!({
            "name": "s", "task": "t", "relative": false, "unreadable": null, "options": {},
        });
        whole.as_object_mut().unwrap().extend(schedule.as_object().unwrap().clone());
        let schedule: Schedule = serde_json::from_value(whole).unwrap();
        table(&schedule, "Europe/Rome").map(|table| toml::Value::Table(table).to_string())
    }

    #[test]
    fn a_crontab_keeps_its_days() {
        let both = written(&json!({ "when": { "cron": ["0", "*/2", "13", "*", "friday"] } }));
        let both = both.unwrap();
        assert!(both.contains("0 */2 13 * FRI") && both.contains("days = \"both\""), "{both}");
        let one = written(&json!({ "when": { "cron": ["0,30", "8", "*", "jan-mar", "mon-fri"] } }));
        let one = one.unwrap();
        assert!(one.contains("0,30 8 * JAN-MAR MON-FRI") && !one.contains("days"), "{one}");
        let wrong = written(&json!({ "when": { "cron": ["61", "*", "*", "*", "*"] } }));
        assert_eq!(wrong.unwrap_err(), "minute 61 does not exist");
    }

    #[test]
    fn the_sun_and_intervals_are_known_and_other_classes_are_not() {
        let sun = json!({ "event": "dusk_civil", "latitude": 52.5, "longitude": 13.4 });
        let sun = written(&json!({ "when": { "sun": sun } })).unwrap();
        assert!(sun.contains("dusk_civil"), "{sun}");
        let every = written(&json!({ "when": { "every": 90.5 } })).unwrap();
        assert!(every.contains("every = \"1m30s500ms\""), "{every}");
        assert!(written(&json!({ "when": { "other": "Moon" } })).unwrap_err().contains("Moon"));
        let none = written(&json!({ "when": { "every": 9.0 }, "args": [null] })).unwrap_err();
        assert!(none.contains("None"), "{none}");
    }
}
