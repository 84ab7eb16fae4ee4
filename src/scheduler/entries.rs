//! All entries of one scheduler, from its files and from code.

use super::entry::{Entry, EntryError};
use super::settings::{ScheduleSettings, Schedules};
use super::state::State;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

/// Entries by name. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct Entries {
    by_name: Arc<BTreeMap<String, Source>>,
}

/// An entry and where it is from.
#[derive(Debug, Clone)]
struct Source {
    entry: Arc<Entry>,
    /// `None` for one that was made in code.
    settings: Option<ScheduleSettings>,
}

impl Entries {
    /// The entries of a file.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with any of them.
    pub fn of(schedules: &Schedules, now: SystemTime) -> Result<Self, Vec<EntryError>> {
        let mut by_name = BTreeMap::new();
        let mut errors = Vec::new();
        for (name, settings) in schedules.iter() {
            match Entry::new(name, &settings, now) {
                Ok(entry) => {
                    let source = Source { entry: Arc::new(entry), settings: Some(settings) };
                    by_name.insert(name.to_owned(), source);
                }
                Err(wrong) => errors.extend(wrong),
            }
        }
        if errors.is_empty() { Ok(Self { by_name: Arc::new(by_name) }) } else { Err(errors) }
    }

    /// These and one more, made in code.
    ///
    /// # Errors
    ///
    /// When there is one of its name already.
    pub fn with(self, entry: Entry) -> Result<Self, EntryError> {
        if self.by_name.contains_key(&entry.name) {
            return Err(EntryError {
                name: entry.name,
                key: "",
                title: "there are two of this name".to_owned(),
                advice: "give one of them another".to_owned(),
                part: None,
            });
        }
        let mut by_name = Arc::unwrap_or_clone(self.by_name);
        let source = Source { entry: Arc::new(entry), settings: None };
        by_name.insert(source.entry.name.clone(), source);
        Ok(Self { by_name: Arc::new(by_name) })
    }

    /// Those of `self` that were made in code, and all of `others`; `others` win.
    #[must_use]
    pub fn reloaded(&self, others: &Self) -> Self {
        let made = self.by_name.iter().filter(|(_, source)| source.settings.is_none());
        let mut by_name: BTreeMap<String, Source> =
            made.map(|(name, source)| (name.clone(), source.clone())).collect();
        by_name.extend(others.by_name.iter().map(|(name, source)| (name.clone(), source.clone())));
        Self { by_name: Arc::new(by_name) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The entry `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<Entry>> {
        self.by_name.get(name).map(|source| &source.entry)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.by_name.values().map(|source| &source.entry)
    }

    /// The entry `name` as it is with `edit`.
    ///
    /// # Errors
    ///
    /// What is wrong with it then, or that there is none in the files.
    pub fn edited(
        &self,
        name: &str,
        edit: &ScheduleSettings,
        now: SystemTime,
    ) -> Result<Entry, Vec<EntryError>> {
        let settings = self.by_name.get(name).and_then(|source| source.settings.clone());
        let Some(settings) = settings else {
            return Err(vec![EntryError {
                name: name.to_owned(),
                key: "",
                title: "there is none of this name in the files".to_owned(),
                advice: String::new(),
                part: None,
            }]);
        };
        Entry::new(name, &settings.edited(edit), now)
    }

    /// What is to run: with the edits of `state`, without what is paused there. An edit that does
    /// not fit any more is left out, and reported.
    pub(super) fn in_force(
        &self,
        state: &State,
        now: SystemTime,
    ) -> (Vec<Arc<Entry>>, Vec<EntryError>) {
        let mut entries = Vec::with_capacity(self.len());
        let mut errors = Vec::new();
        for (name, source) in self.by_name.iter() {
            if state.paused.contains_key(name) {
                continue;
            }
            let edit = state.edits.get(name).filter(|_| source.settings.is_some());
            entries.push(match edit.map(|edit| self.edited(name, edit, now)) {
                None => Arc::clone(&source.entry),
                Some(Ok(entry)) => Arc::new(entry),
                Some(Err(wrong)) => {
                    errors.extend(wrong);
                    Arc::clone(&source.entry)
                }
            });
        }
        (entries, errors)
    }
}
