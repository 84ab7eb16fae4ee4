//! Words as numbers.

use super::super::record::{Intern, Word};
use rusqlite::{Connection, OptionalExtension};
use std::collections::HashMap;

/// So many are remembered; whoever sends more names than that looks them up each time.
const REMEMBERED: usize = 50_000;

/// What the writer remembers of the table `word`.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<String, Word>);

/// Interns words within a transaction.
pub(super) struct Words<'a> {
    pub(super) known: &'a mut Known,
    pub(super) connection: &'a Connection,
}

impl Known {
    /// Forgets everything: a transaction that failed took back what it had added.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

impl Intern for Words<'_> {
    type Error = rusqlite::Error;

    fn word(&mut self, text: &str) -> rusqlite::Result<Word> {
        if let Some(known) = self.known.0.get(text) {
            return Ok(*known);
        }
        let mut find = self.connection.prepare_cached("SELECT id FROM word WHERE text = ?1")?;
        let word = match find.query_row([text], |row| row.get(0)).optional()? {
            Some(word) => word,
            None => {
                let mut add =
                    self.connection.prepare_cached("INSERT INTO word (text) VALUES (?1)")?;
                add.insert([text])?
            }
        };
        if self.known.0.len() >= REMEMBERED {
            self.known.forget();
        }
        self.known.0.insert(text.to_owned(), word);
        Ok(word)
    }
}
