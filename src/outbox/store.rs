//! The table of staged tasks, for who sends them and who looks after them.

use super::row::{self, Claimed};
#[cfg(feature = "postgres")]
use super::table::POSTGRES;
#[cfg(feature = "sqlite")]
use super::table::SQLITE;
use super::table::{self, Statements};
use crate::ids::TaskId;
use crate::secret::SecretUrl;
use crate::store::StoreError;
use crate::store::sql::{Argument, Row, Sql};
use serde::Serialize;
use serde_json::json;
use std::time::Duration;

/// The table of staged tasks in a database. Cloning is cheap; all clones share their connections.
///
/// ```no_run
/// # async fn example() -> anyhow::Result<()> {
/// use celeriac::outbox::{Outbox, Which};
///
/// let outbox = Outbox::open(&"sqlite:shop.db".into())?;
/// outbox.create_table().await?;
/// for entry in outbox.list(Which::Failing, 50).await? {
///     println!("{} {}", entry.task_id, entry.error.unwrap_or_default());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Outbox {
    database: Sql,
    statements: &'static Statements,
}

/// Which rows are meant.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// use celeriac::outbox::{Outbox, Which};
///
/// # let folder = tempfile::tempdir()?;
/// # let url = format!("sqlite:{}", folder.path().join("shop.db").display());
/// # let outbox = Outbox::open(&url.as_str().into())?;
/// # outbox.create_table().await?;
/// assert!(outbox.list(Which::All, 50).await?.is_empty());
/// assert!(outbox.list(Which::Failing, 50).await?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Those that could not be sent.
    Failing,
}

/// What is done with a row by hand.
///
/// ```
/// use celeriac::outbox::Whose;
///
/// let one = Whose::Task("1f3a7a36-9e5d-4c56-8f0e-0a5a4c0d7f11".into());
/// assert_ne!(one, Whose::Failing);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Of this task.
    Task(TaskId),
    /// Of every task that could not be sent.
    Failing,
}

/// A staged task, as a person sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The task's id.
    pub task_id: String,
    /// Its name.
    pub task: String,
    /// The exchange it goes to.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// How long it is staged, in seconds.
    pub age: f64,
    /// How often it could not be sent.
    pub attempts: u64,
    /// Why it could not be sent last.
    pub error: Option<String>,
    /// In how many seconds it is tried again.
    pub again_in: Option<f64>,
    /// Whether a relay is sending it.
    pub is_being_sent: bool,
    /// Bytes of its body.
    pub size: u64,
}

/// How many tasks are staged.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Backlog {
    /// All.
    pub staged: u64,
    /// Those of them that could not be sent.
    pub failing: u64,
    /// How long the oldest is staged.
    pub oldest: Duration,
}

/// What is told when the address of an outbox is none.
const UNREADABLE: &str =
    "write postgres://user:password@host:5432/database, or sqlite:path, as url of [outbox]";

impl Outbox {
    /// The outbox in the database at `url`, as the `url` of `[outbox]`. Connects when it is first
    /// used.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::outbox::Outbox;
    /// let outbox = Outbox::open(&"sqlite:shop.db".into())?; // nothing is opened yet
    /// assert!(Outbox::open(&"mysql://shop".into()).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the URL cannot be read, or this build has no such database. The error does not show it.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub fn open(url: &SecretUrl) -> Result<Self, StoreError> {
        match url.expose().split_once(':').map(|(scheme, _)| scheme) {
            #[cfg(feature = "postgres")]
            Some("postgres" | "postgresql") => {
                Ok(Self { database: Sql::postgres(url)?, statements: &POSTGRES })
            }
            #[cfg(feature = "sqlite")]
            Some("sqlite") => Ok(Self { database: Sql::sqlite(url)?, statements: &SQLITE }),
            _ => Err(StoreError::permanent(UNREADABLE)),
        }
    }

    /// Makes the table, if it is missing, in one transaction.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::outbox::{Backlog, Outbox};
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite:{}", folder.path().join("shop.db").display());
    /// let outbox = Outbox::open(&url.as_str().into())?;
    /// outbox.create_table().await?;
    /// outbox.create_table().await?; // it is there
    /// assert_eq!(outbox.backlog().await?, Backlog::default());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What the database said.
    pub async fn create_table(&self) -> Result<(), StoreError> {
        let mut together = self.database.together().await?;
        for statement in self.statements.make {
            together.ask(statement, &[]).await?;
        }
        together.commit().await
    }

    /// The statements of [`Outbox::create_table`], for migrations of your own.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::outbox::Outbox;
    /// let outbox = Outbox::open(&"postgres://shop@localhost/shop".into())?;
    /// assert!(outbox.sql().contains("celeriac_outbox"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn sql(&self) -> String {
        table::script(self.statements.make)
    }

    /// What is staged, oldest first, at most `limit`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::outbox::{Outbox, Which, sqlx};
    /// # use celeriac::{config::Config, prelude::*};
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { Ok(()) }
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite:{}", folder.path().join("shop.db").display());
    /// # let mut config = Config::default();
    /// # config.outbox.url = url.as_str().into();
    /// # let app = App::in_memory_with(config)?;
    /// # let outbox = Outbox::open(&url.as_str().into())?;
    /// # outbox.create_table().await?;
    /// # let database = sqlx::SqlitePool::connect(&url).await?;
    /// let staged = welcome(42).stage(&app, &mut *database.acquire().await?).await?;
    /// let entries = outbox.list(Which::All, 50).await?;
    /// assert_eq!(entries[0].task_id, staged.id().as_str());
    /// assert_eq!(entries[0].task, "mail.welcome");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What the database said.
    pub async fn list(&self, which: Which, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let statement = match which {
            Which::All => self.statements.list,
            Which::Failing => self.statements.list_failing,
        };
        let rows = self.ask(statement, &[i64::from(limit).into()]).await?;
        rows.iter().map(read_entry).collect()
    }

    /// How many tasks are staged.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::outbox::{Outbox, sqlx};
    /// # use celeriac::{config::Config, prelude::*};
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { Ok(()) }
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite:{}", folder.path().join("shop.db").display());
    /// # let mut config = Config::default();
    /// # config.outbox.url = url.as_str().into();
    /// # let app = App::in_memory_with(config)?;
    /// # let outbox = Outbox::open(&url.as_str().into())?;
    /// # outbox.create_table().await?;
    /// # let database = sqlx::SqlitePool::connect(&url).await?;
    /// for user in 1..=3 {
    ///     drop(welcome(user).stage(&app, &mut *database.acquire().await?).await?);
    /// }
    /// assert_eq!(outbox.backlog().await?.staged, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What the database said.
    pub async fn backlog(&self) -> Result<Backlog, StoreError> {
        let rows = self.ask(self.statements.count, &[]).await?;
        let number = |column| match rows.first() {
            Some(row) => Ok(count(row.number(column)?)),
            None => Ok::<_, StoreError>(0),
        };
        let oldest = Duration::from_millis(number(2)?);
        Ok(Backlog { staged: number(0)?, failing: number(1)?, oldest })
    }

    /// Lets tasks be sent again at once that wait because they could not be sent. Gives their ids.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::outbox::{Outbox, Whose, sqlx};
    /// # use celeriac::{config::Config, prelude::*};
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { Ok(()) }
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite:{}", folder.path().join("shop.db").display());
    /// # let mut config = Config::default();
    /// # config.outbox.url = url.as_str().into();
    /// # let app = App::in_memory_with(config)?;
    /// # let outbox = Outbox::open(&url.as_str().into())?;
    /// # outbox.create_table().await?;
    /// # let database = sqlx::SqlitePool::connect(&url).await?;
    /// # let relay = app.relay().expect("there is an outbox");
    /// let lost = welcome(42).queue("mial").stage(&app, &mut *database.acquire().await?).await?;
    /// assert_eq!(relay.flush().await?.failed, 1); // there is no such queue, and it waits
    /// let again = outbox.retry(&Whose::Failing).await?; // now that there may be
    /// assert_eq!(again, [lost.id().clone()]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What the database said.
    pub async fn retry(&self, whose: &Whose) -> Result<Vec<TaskId>, StoreError> {
        self.act(self.statements.retry, whose).await
    }

    /// Deletes staged tasks, which are then never sent. Gives their ids. What a relay is just sending
    /// stays.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
    /// # use celeriac::outbox::{Outbox, Whose, sqlx};
    /// # use celeriac::{config::Config, prelude::*};
    /// # #[task(name = "mail.welcome")]
    /// # async fn welcome(user: u64) -> anyhow::Result<()> { Ok(()) }
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite:{}", folder.path().join("shop.db").display());
    /// # let mut config = Config::default();
    /// # config.outbox.url = url.as_str().into();
    /// # let app = App::in_memory_with(config)?;
    /// # let outbox = Outbox::open(&url.as_str().into())?;
    /// # outbox.create_table().await?;
    /// # let database = sqlx::SqlitePool::connect(&url).await?;
    /// # let relay = app.relay().expect("there is an outbox");
    /// let staged = welcome(42).stage(&app, &mut *database.acquire().await?).await?;
    /// outbox.discard(&Whose::Task(staged.id().clone())).await?;
    /// assert_eq!(relay.flush().await?.sent, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What the database said.
    pub async fn discard(&self, whose: &Whose) -> Result<Vec<TaskId>, StoreError> {
        self.act(self.statements.discard, whose).await
    }

    /// Takes the oldest rows that are due, for so long; nobody else sends them meanwhile.
    pub(super) async fn claim(
        &self,
        token: &str,
        lease: Duration,
        limit: usize,
    ) -> Result<Vec<Claimed>, StoreError> {
        if self.ask(self.statements.look, &[]).await?.is_empty() {
            return Ok(Vec::new());
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let arguments = [token.into(), millis(lease).into(), limit.into()];
        let rows = self.ask(self.statements.claim, &arguments).await?;
        let mut claimed = rows.iter().map(row::read).collect::<Result<Vec<_>, _>>()?;
        claimed.sort_by_key(|row| row.id);
        Ok(claimed)
    }

    /// Forgets rows whose tasks were confirmed.
    pub(super) async fn remove(&self, ids: &[i64]) -> Result<(), StoreError> {
        let ids = json!(ids).to_string();
        self.ask(self.statements.remove, &[ids.as_str().into()]).await.map(drop)
    }

    /// Gives rows back, to be sent by anybody at once.
    pub(super) async fn release(&self, ids: &[i64], token: &str) -> Result<(), StoreError> {
        let ids = json!(ids).to_string();
        self.ask(self.statements.release, &[ids.as_str().into(), token.into()]).await.map(drop)
    }

    /// Notes why a row could not be sent, and when it is tried again.
    pub(super) async fn put_off(
        &self,
        id: i64,
        token: &str,
        error: &str,
        wait: Duration,
    ) -> Result<(), StoreError> {
        let arguments = [id.into(), token.into(), error.into(), millis(wait).into()];
        self.ask(self.statements.put_off, &arguments).await.map(drop)
    }

    /// The database itself.
    #[cfg(feature = "postgres")]
    pub(super) fn database(&self) -> &Sql {
        &self.database
    }

    async fn act(&self, statement: &'static str, whose: &Whose) -> Result<Vec<TaskId>, StoreError> {
        let task = match whose {
            Whose::Task(id) => Some(id.as_str()),
            Whose::Failing => None,
        };
        let rows = self.ask(statement, &[Argument::Text(task)]).await?;
        rows.iter().map(|row| Ok(TaskId::from(row.text(0)?.unwrap_or_default()))).collect()
    }

    async fn ask(
        &self,
        statement: &'static str,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        self.database.ask(statement, arguments).await.map_err(|error| match error {
            missing if lacks_table(&missing) => StoreError::transient(NO_TABLE),
            other => other,
        })
    }
}

/// What is told of a database without the table. It may come, with the next migration.
const NO_TABLE: &str = "the database at url of [outbox] has no table celeriac_outbox: run \
     `celeriac outbox init`, or put what `celeriac outbox init --print` says into your migrations";

/// Whether a database says that it has no such table.
pub(super) fn lacks_table(error: &StoreError) -> bool {
    let said = &error.reason;
    said.contains("no such table: celeriac_outbox")
        || said.contains("relation \"celeriac_outbox\" does not exist")
}

pub(super) fn read_entry(row: &Row) -> Result<Entry, StoreError> {
    let text = |column| Ok::<_, StoreError>(row.text(column)?.unwrap_or_default());
    let seconds = |column| Ok::<_, StoreError>(count(row.number(column)?) as f64 / 1000.0);
    let (error, waits) = (row.text(6)?, seconds(7)?);
    let is_being_sent = row.text(8)?.is_some() && waits > 0.0;
    Ok(Entry {
        task_id: text(0)?,
        task: text(1)?,
        exchange: text(2)?,
        routing_key: text(3)?,
        age: seconds(4)?,
        attempts: count(row.number(5)?),
        again_in: error.as_ref().filter(|_| !is_being_sent).map(|_| waits),
        error,
        is_being_sent,
        size: count(row.number(9)?),
    })
}

fn count(number: Option<i64>) -> u64 {
    number.and_then(|number| u64::try_from(number).ok()).unwrap_or_default()
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
