//! Conditions in SQL, and what they cost.

use rusqlite::types::Value;
use std::time::SystemTime;

/// A condition on the table `task`, with its parameters in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clause {
    pub(super) sql: String,
    pub(super) parameters: Vec<Value>,
    pub(super) cost: Cost,
}

/// What a condition costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cost {
    /// An index leads to the tasks for which it holds.
    Index,
    /// Tasks must be looked at one by one.
    Scan,
}

/// How the tasks are come by of which a condition is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// One by one: there are only a few thousand.
    Near,
    /// By the indexes of this condition.
    Lead,
    /// By what another condition leads to.
    Follow,
}

/// What a condition is made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub(super) now: SystemTime,
    pub(super) look: Look,
}

impl Look {
    /// A column, hidden from SQLite's choice of an index where that is not to be this one.
    pub(super) fn column(self, name: &str) -> String {
        match self {
            Self::Near | Self::Lead => name.to_owned(),
            Self::Follow => format!("+{name}"),
        }
    }
}

impl Clause {
    /// A condition that an index answers.
    pub(super) fn new(sql: impl Into<String>, parameters: Vec<Value>) -> Self {
        Self { sql: sql.into(), parameters, cost: Cost::Index }
    }

    /// The same without parameters.
    pub(super) fn bare(sql: impl Into<String>) -> Self {
        Self::new(sql, Vec::new())
    }

    /// What holds for every task, or for none.
    pub(super) fn always(holds: Holds) -> Self {
        Self::bare(if holds == Holds::Always { "1" } else { "0" })
    }

    /// The same, where no index answers it.
    pub(super) fn scan(self) -> Self {
        Self { cost: Cost::Scan, ..self }
    }

    /// What holds where this does not; also where nothing is known.
    pub(super) fn not(self) -> Self {
        Self { sql: format!("(({}) IS NOT TRUE)", self.sql), ..self }.scan()
    }

    pub(super) fn all(clauses: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(clauses, " AND ", Holds::Always)
    }

    /// Where they are to lead to their tasks, each does so with its own index.
    pub(super) fn any(clauses: impl IntoIterator<Item = Self>, look: Look) -> Self {
        let clauses: Vec<_> = clauses.into_iter().collect();
        let indexed = clauses.iter().all(|clause| clause.cost == Cost::Index);
        if clauses.len() < 2 || !indexed || look != Look::Lead {
            return Self::joined(clauses, " OR ", Holds::Never);
        }
        let rows = clauses.iter().map(|clause| format!("SELECT n FROM task WHERE {}", clause.sql));
        let sql = format!("n IN ({})", rows.collect::<Vec<_>>().join(" UNION ALL "));
        Self::new(sql, clauses.into_iter().flat_map(|clause| clause.parameters).collect())
    }

    /// The same, with its tasks looked up first.
    pub(super) fn leading(self) -> Self {
        Self { sql: format!("n IN (SELECT n FROM task WHERE {})", self.sql), ..self }
    }

    fn joined(clauses: impl IntoIterator<Item = Self>, between: &str, none: Holds) -> Self {
        let mut clauses: Vec<_> = clauses.into_iter().collect();
        if clauses.len() < 2 {
            return clauses.pop().unwrap_or_else(|| Self::always(none));
        }
        let cost = clauses.iter().map(|clause| clause.cost).max().unwrap_or(Cost::Index);
        let sql: Vec<_> = clauses.iter().map(|clause| clause.sql.as_str()).collect();
        let sql = format!("({})", sql.join(between));
        let parameters = clauses.into_iter().flat_map(|clause| clause.parameters).collect();
        Self { sql, parameters, cost }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Always,
    Never,
}

/// A parameter that is text.
pub(super) fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

/// `pieces` with any text between them, for `LIKE .. ESCAPE '\'`.
pub(super) fn like<'a>(pieces: impl Iterator<Item = &'a str>) -> String {
    pieces
        .map(|piece| escape(piece, &['%', '_', '\\'], |c| format!("\\{c}")))
        .collect::<Vec<_>>()
        .join("%")
}

/// `pieces` with any text between them, for `GLOB`.
pub(super) fn glob<'a>(pieces: impl Iterator<Item = &'a str>) -> String {
    pieces.map(glob_exactly).collect::<Vec<_>>().join("*")
}

/// A text that means only itself, for `GLOB`.
pub(super) fn glob_exactly(text: &str) -> String {
    escape(text, &['*', '?', '['], |c| format!("[{c}]"))
}

fn escape(text: &str, special: &[char], escaped: impl Fn(char) -> String) -> String {
    let mut whole = String::with_capacity(text.len());
    for c in text.chars() {
        if special.contains(&c) {
            whole.push_str(&escaped(c));
        } else {
            whole.push(c);
        }
    }
    whole
}
