//! Why an edit is refused, in words and with a mark under what is wrong.

use super::entry::EntryError;
use super::settings::ScheduleSettings;

/// What is wrong with a schedule as `edit` would have it: each error, and below it the line of the edit
/// with a mark.
pub(super) fn words(errors: &[EntryError], edit: &ScheduleSettings) -> String {
    let written = toml::to_string(edit).unwrap_or_default();
    let each = errors.iter().map(|error| match marked(error, &written) {
        Some(marked) => format!("{error}\n{marked}"),
        None => error.to_string(),
    });
    each.collect::<Vec<_>>().join("\n")
}

/// `None` where what is wrong does not stand in the edit.
fn marked(error: &EntryError, written: &str) -> Option<String> {
    let begin = format!("{} = ", error.key);
    let line = written.lines().find(|line| line.starts_with(&begin))?;
    let value = &line[begin.len()..];
    // A part is counted within the quotes.
    let (from, long) = match error.part.clone() {
        Some(part) => (begin.len() + 1 + part.start, part.len()),
        None => (begin.len(), value.chars().count()),
    };
    Some(format!("  {line}\n  {}{}", " ".repeat(from), "^".repeat(long.max(1))))
}

#[cfg(test)]
mod tests {
    use super::super::entry::Entry;
    use super::*;
    use std::time::SystemTime;

    fn refused(file: &str, edit: &str) -> String {
        let (file, edit) = (toml::from_str(file).unwrap(), toml::from_str(edit).unwrap());
        let edited = ScheduleSettings::edited(file, &edit);
        words(&Entry::new("a", &edited, SystemTime::now()).unwrap_err(), &edit)
    }

    #[test]
    fn the_mark_is_under_what_is_wrong() {
        let said = refused("task = \"t\"\nevery = \"1h\"", "cron = \"0 99 * * *\"");
        let (_, marked) = said.split_once('\n').unwrap();
        assert_eq!(marked, "  cron = \"0 99 * * *\"\n            ^^", "{said}");
        let said = refused("task = \"t\"\ncron = \"@daily\"", "timezone = \"Atlantis\"");
        assert!(said.ends_with("  timezone = \"Atlantis\"\n             ^^^^^^^^^^"), "{said}");
        // What does not stand in the edit has no line of it.
        assert!(!refused("task = \"t\"", "args = [1]").contains('^'));
    }
}
