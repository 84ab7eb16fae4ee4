//! Results in a database, PostgreSQL or SQLite: one row per task, readable by a person.
//!
//! | table | holds |
//! | --- | --- |
//! | `celeriac_results` | one row per task: `state`, and the document as JSON in `document`, or as MessagePack in `packed` |
//! | `celeriac_chords` | one row per chord that is being joined, or was: how many members are sent (`members` and `added`) and `arrived`, who has claimed it, whether it is done |
//! | `celeriac_chord_members` | the members that arrived, until their chord is done |
//!
//! The tables are made when they are missing. Every row says when it expires; workers remove what
//! has expired, and readers do not see it. Celery's own tables (`db+postgresql://`) are another
//! matter: until 5.6 they hold pickled values, which only Python can write.

mod chord;
#[cfg(feature = "postgres")]
mod listen;
#[cfg(feature = "sqlite")]
mod look;
mod statements;

use super::{ChordStore, Document, Expected, Latest, ResultBackend, StoreError, Watch, Watched};
use crate::ids::TaskId;
use crate::protocol::{Bytes, Format, StoredResult};
use crate::secret::SecretUrl;
use crate::store::sql::{Argument, Row, Sql as Database};
use futures::future::BoxFuture;
use statements::Statements;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tracing::warn;

/// Keeps results in a database.
#[derive(Debug)]
pub struct Sql {
    tables: Tables,
    expires: Duration,
    watched: Arc<Watched>,
    listener: OnceLock<JoinSet<()>>,
}

/// A database in which our tables exist, once it was asked.
#[derive(Debug, Clone)]
struct Tables {
    database: Database,
    statements: &'static Statements,
    made: Arc<OnceCell<()>>,
}

impl Sql {
    /// Keeps results in the PostgreSQL database at `url` for as long as `expires` says; zero is for
    /// ever. Connects when it is first used.
    ///
    /// # Errors
    ///
    /// When the URL cannot be read.
    #[cfg(feature = "postgres")]
    pub fn postgres(url: &SecretUrl, expires: Duration) -> Result<Self, StoreError> {
        Ok(Self::new(Database::postgres(url)?, &statements::POSTGRES, expires))
    }

    /// Keeps results in the SQLite file at `url`, for programs on one machine.
    ///
    /// # Errors
    ///
    /// When the URL cannot be read.
    #[cfg(feature = "sqlite")]
    pub fn sqlite(url: &SecretUrl, expires: Duration) -> Result<Self, StoreError> {
        Ok(Self::new(Database::sqlite(url)?, &statements::SQLITE, expires))
    }

    fn new(database: Database, statements: &'static Statements, expires: Duration) -> Self {
        let tables = Tables { database, statements, made: Arc::default() };
        Self { tables, expires, watched: Arc::default(), listener: OnceLock::new() }
    }

    /// How long rows are kept, in milliseconds; null for ever.
    fn expires(&self) -> Argument<'static> {
        let millis = i64::try_from(self.expires.as_millis()).unwrap_or(i64::MAX);
        Argument::Number((millis > 0).then_some(millis))
    }
}

impl ResultBackend for Sql {
    fn wants(&self, _: Option<&str>) -> bool {
        true
    }

    fn store<'a>(&'a self, document: &'a Document) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let (json, packed) = columns(document);
            let arguments = [
                document.task_id.as_str().into(),
                document.state.as_str().into(),
                json,
                packed,
                self.expires(),
            ];
            self.tables.ask(self.tables.statements.store, &arguments).await.map(drop)
        })
    }

    /// Nothing can be too early: what is stored is found whenever it is looked for.
    fn expect(&self, id: TaskId) -> BoxFuture<'_, Expected> {
        let watch = self.watch(id);
        Box::pin(std::future::ready(Expected { watch, reply_to: None }))
    }

    fn watch(&self, id: TaskId) -> Watch {
        self.listener.get_or_init(|| {
            let mut listener = JoinSet::new();
            listener.spawn(tell(self.tables.clone(), Arc::clone(&self.watched)));
            listener
        });
        self.watched.watch(id)
    }

    fn latest<'a>(&'a self, id: &'a TaskId) -> BoxFuture<'a, Result<Latest, StoreError>> {
        Box::pin(async move {
            let found = self.tables.find(std::slice::from_ref(id)).await?;
            Ok(found.into_iter().next().map(Arc::new))
        })
    }

    fn forget<'a>(&'a self, id: &'a TaskId) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.tables.ask(statements::FORGET, &[id.as_str().into()]).await.map(drop)
        })
    }

    fn chords(&self) -> Option<&dyn ChordStore> {
        Some(self)
    }

    fn purge(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let mut removed = 0;
            for statement in self.tables.statements.purge {
                removed += self.tables.ask(statement, &[]).await?.len() as u64;
            }
            Ok(removed)
        })
    }
}

impl Tables {
    /// [`Database::ask`], after the tables were made.
    async fn ask(
        &self,
        statement: &'static str,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        self.make().await?;
        self.database.ask(statement, arguments).await
    }

    /// Makes what is missing, once.
    async fn make(&self) -> Result<(), StoreError> {
        let make = || async {
            let mut together = self.database.together().await?;
            for statement in self.statements.make {
                together.ask(statement, &[]).await?;
            }
            together.commit().await
        };
        self.made.get_or_try_init(make).await.map(drop)
    }

    /// What is stored of these tasks. What cannot be read is left out.
    async fn find(&self, ids: &[TaskId]) -> Result<Vec<StoredResult>, StoreError> {
        let ids = serde_json::to_string(ids).map_err(|error| {
            StoreError::permanent(format!("these task ids cannot be asked for: {error}"))
        })?;
        let rows = self.ask(self.statements.find, &[ids.as_str().into()]).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            match read(&row, 1)? {
                Ok(result) => found.push(result),
                Err(error) => {
                    warn!(task.id = ?row.text(0)?, %error, "not a result that can be read");
                }
            }
        }
        Ok(found)
    }
}

/// Tells `watched` what the database has. Never ends.
async fn tell(tables: Tables, watched: Arc<Watched>) {
    match tables.statements.kind {
        #[cfg(feature = "postgres")]
        statements::Kind::Postgres => listen::listen(&tables, &watched).await,
        #[cfg(feature = "sqlite")]
        statements::Kind::Sqlite => look::look(&tables, &watched).await,
    }
}

/// A document for the columns `document` and `packed`, of which one is null.
fn columns(document: &Document) -> (Argument<'_>, Argument<'_>) {
    let text = std::str::from_utf8(&document.body).ok();
    match (document.format, text) {
        (Format::Json, Some(json)) => (Argument::Text(Some(json)), Argument::Bytes(None)),
        _ => (Argument::Text(None), Argument::Bytes(Some(&document.body))),
    }
}

/// The document in two columns, from `column` on.
fn read(
    row: &Row,
    column: usize,
) -> Result<Result<StoredResult, crate::protocol::DecodeError>, StoreError> {
    let json = row.text(column)?.map(String::into_bytes);
    let bytes = match json {
        Some(json) => json,
        None => row.bytes(column + 1)?.unwrap_or_default(),
    };
    Ok(StoredResult::read_kept(Bytes::from(bytes)))
}
