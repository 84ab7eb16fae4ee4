//! PostgreSQL and SQLite behind one small face: statements with `$1`, `$2`, ... that both read.

use super::{PATIENCE, StoreError};
use crate::secret::SecretUrl;
#[cfg(feature = "postgres")]
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions, PgRow, Postgres};
#[cfg(feature = "sqlite")]
use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Row as _, Transaction};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How long one waits for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How long SQLite waits for another writer.
#[cfg(feature = "sqlite")]
const BUSY: Duration = Duration::from_secs(5);

/// The most connections of one process to PostgreSQL.
#[cfg(feature = "postgres")]
const POSTGRES_CONNECTIONS: u32 = 10;

/// The most connections of one process to a file of SQLite, where one writes at a time.
#[cfg(feature = "sqlite")]
const SQLITE_CONNECTIONS: u32 = 4;

/// A database. Cloning is cheap; all clones share their connections.
#[derive(Clone)]
pub struct Sql(Pool);

#[derive(Clone)]
enum Pool {
    #[cfg(feature = "postgres")]
    Postgres(PgPool),
    #[cfg(feature = "sqlite")]
    Sqlite(SqlitePool),
}

/// A value for `$1` and so on.
#[derive(Debug, Clone, Copy)]
pub enum Argument<'a> {
    /// Text or null.
    Text(Option<&'a str>),
    /// Bytes or null.
    Bytes(Option<&'a [u8]>),
    /// A number or null.
    Number(Option<i64>),
}

/// A row of an answer.
#[derive(Debug)]
pub struct Row(Inner);

enum Inner {
    #[cfg(feature = "postgres")]
    Postgres(PgRow),
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteRow),
}

/// Several statements that are carried out together or not at all. Dropping it undoes them.
#[derive(Debug)]
pub struct Together(Begun);

enum Begun {
    #[cfg(feature = "postgres")]
    Postgres(Transaction<'static, Postgres>),
    #[cfg(feature = "sqlite")]
    Sqlite(Transaction<'static, Sqlite>),
}

impl Sql {
    /// The database of PostgreSQL at `url`. Connects when it is first asked something.
    ///
    /// # Errors
    ///
    /// When the URL cannot be read. The error does not show it.
    #[cfg(feature = "postgres")]
    pub fn postgres(url: &SecretUrl) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url.expose()).map_err(|_| unreadable())?;
        let pool = PgPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            .acquire_timeout(CONNECT)
            .connect_lazy_with(options.application_name("celeriac"));
        Ok(Self(Pool::Postgres(pool)))
    }

    /// The file of SQLite at `url`, which is made when it is missing.
    ///
    /// # Errors
    ///
    /// When the URL cannot be read.
    #[cfg(feature = "sqlite")]
    pub fn sqlite(url: &SecretUrl) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::from_str(url.expose()).map_err(|_| unreadable())?;
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What was stored is there after the power went, too.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        let pool = SqlitePoolOptions::new()
            .max_connections(SQLITE_CONNECTIONS)
            .acquire_timeout(CONNECT)
            .connect_lazy_with(options);
        Ok(Self(Pool::Sqlite(pool)))
    }

    /// Carries out one statement and gives the rows it returns. Cancel safe, but the statement may
    /// be carried out all the same.
    ///
    /// # Errors
    ///
    /// What the database said, or that it did not answer.
    pub async fn ask(
        &self,
        statement: &'static str,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        within(async {
            match &self.0 {
                #[cfg(feature = "postgres")]
                Pool::Postgres(pool) => postgres_rows(statement, arguments, pool).await,
                #[cfg(feature = "sqlite")]
                Pool::Sqlite(pool) => sqlite_rows(statement, arguments, pool).await,
            }
        })
        .await
    }

    /// Begins several statements that belong together. SQLite lets one writer in at a time.
    ///
    /// # Errors
    ///
    /// As [`Sql::ask`].
    pub async fn together(&self) -> Result<Together, StoreError> {
        within(async {
            Ok(Together(match &self.0 {
                #[cfg(feature = "postgres")]
                Pool::Postgres(pool) => Begun::Postgres(pool.begin().await?),
                #[cfg(feature = "sqlite")]
                Pool::Sqlite(pool) => Begun::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            }))
        })
        .await
    }

    /// A connection of its own that hears what is notified on `channel`; `None` where the database
    /// has no such thing.
    ///
    /// # Errors
    ///
    /// As [`Sql::ask`].
    #[cfg(feature = "postgres")]
    pub async fn listen(&self, channel: &str) -> Result<Option<Listener>, StoreError> {
        #[cfg_attr(not(feature = "sqlite"), expect(irrefutable_let_patterns))]
        let Pool::Postgres(pool) = &self.0 else { return Ok(None) };
        within(async {
            let mut listener = PgListener::connect_with(pool).await?;
            listener.eager_reconnect(false);
            listener.listen(channel).await?;
            Ok(Some(Listener(listener)))
        })
        .await
    }
}

impl Together {
    /// Carries out one statement, as [`Sql::ask`] does.
    ///
    /// # Errors
    ///
    /// As [`Sql::ask`]; nothing of what belongs together is then carried out.
    pub async fn ask(
        &mut self,
        statement: &'static str,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        within(async {
            match &mut self.0 {
                #[cfg(feature = "postgres")]
                Begun::Postgres(begun) => postgres_rows(statement, arguments, &mut **begun).await,
                #[cfg(feature = "sqlite")]
                Begun::Sqlite(begun) => sqlite_rows(statement, arguments, &mut **begun).await,
            }
        })
        .await
    }

    /// Makes all of it last.
    ///
    /// # Errors
    ///
    /// As [`Sql::ask`]. Then it may have been carried out, or not.
    pub async fn commit(self) -> Result<(), StoreError> {
        within(async {
            match self.0 {
                #[cfg(feature = "postgres")]
                Begun::Postgres(begun) => begun.commit().await,
                #[cfg(feature = "sqlite")]
                Begun::Sqlite(begun) => begun.commit().await,
            }
        })
        .await
    }
}

impl Row {
    /// The text in a column, counted from 0, if there is one.
    ///
    /// # Errors
    ///
    /// When the column is missing or holds something else.
    pub fn text(&self, column: usize) -> Result<Option<String>, StoreError> {
        let text = match &self.0 {
            #[cfg(feature = "postgres")]
            Inner::Postgres(row) => row.try_get(column),
            #[cfg(feature = "sqlite")]
            Inner::Sqlite(row) => row.try_get(column),
        };
        text.map_err(|error| failed(&error))
    }

    /// The bytes in a column.
    ///
    /// # Errors
    ///
    /// As [`Row::text`].
    pub fn bytes(&self, column: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let bytes = match &self.0 {
            #[cfg(feature = "postgres")]
            Inner::Postgres(row) => row.try_get(column),
            #[cfg(feature = "sqlite")]
            Inner::Sqlite(row) => row.try_get(column),
        };
        bytes.map_err(|error| failed(&error))
    }

    /// The number in a column.
    ///
    /// # Errors
    ///
    /// As [`Row::text`].
    pub fn number(&self, column: usize) -> Result<Option<i64>, StoreError> {
        let number = match &self.0 {
            #[cfg(feature = "postgres")]
            Inner::Postgres(row) => row.try_get(column),
            #[cfg(feature = "sqlite")]
            Inner::Sqlite(row) => row.try_get(column),
        };
        number.map_err(|error| failed(&error))
    }
}

/// Hears what is notified.
#[cfg(feature = "postgres")]
#[derive(Debug)]
pub struct Listener(PgListener);

#[cfg(feature = "postgres")]
impl Listener {
    /// What was notified next, and what came with it. Cancel safe.
    ///
    /// # Errors
    ///
    /// When the connection is lost: what is notified meanwhile is not heard.
    pub async fn next(&mut self) -> Result<Vec<String>, StoreError> {
        let lost = || StoreError::transient("PostgreSQL: the connection that listened was lost");
        let first = self.0.try_recv().await.map_err(|error| failed(&error))?.ok_or_else(lost)?;
        let mut heard = vec![first.payload().to_owned()];
        while let Some(next) = self.0.next_buffered() {
            heard.push(next.payload().to_owned());
        }
        Ok(heard)
    }

    /// Makes sure that the connection is there.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub async fn ping(&mut self) -> Result<(), StoreError> {
        within(async { sqlx::query("SELECT 1").execute(&mut self.0).await.map(drop) }).await
    }
}

/// Binds every argument in its place.
macro_rules! bound {
    ($statement:expr, $arguments:expr) => {{
        let mut query = sqlx::query($statement);
        for argument in $arguments {
            query = match *argument {
                Argument::Text(text) => query.bind(text),
                Argument::Bytes(bytes) => query.bind(bytes),
                Argument::Number(number) => query.bind(number),
            };
        }
        query
    }};
}

#[cfg(feature = "postgres")]
async fn postgres_rows(
    statement: &'static str,
    arguments: &[Argument<'_>],
    on: impl sqlx::Executor<'_, Database = Postgres>,
) -> sqlx::Result<Vec<Row>> {
    let rows = bound!(statement, arguments).fetch_all(on).await?;
    Ok(rows.into_iter().map(|row| Row(Inner::Postgres(row))).collect())
}

#[cfg(feature = "sqlite")]
async fn sqlite_rows(
    statement: &'static str,
    arguments: &[Argument<'_>],
    on: impl sqlx::Executor<'_, Database = Sqlite>,
) -> sqlx::Result<Vec<Row>> {
    let rows = bound!(statement, arguments).fetch_all(on).await?;
    Ok(rows.into_iter().map(|row| Row(Inner::Sqlite(row))).collect())
}

/// An answer that comes in time.
async fn within<T>(answer: impl Future<Output = sqlx::Result<T>>) -> Result<T, StoreError> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(|error| failed(&error)),
        Err(_) => {
            Err(StoreError::transient(format!("the database did not answer within {PATIENCE:?}")))
        }
    }
}

/// What went wrong, and whether it can pass. A statement that the database refuses for what it says
/// is refused again: class 22 is about its data, 54 about its size, and SQLite's 18 and 20 too.
fn failed(error: &sqlx::Error) -> StoreError {
    let is_transient = match error {
        sqlx::Error::Database(error) => !error.code().is_some_and(|code| {
            code.starts_with("22") || code.starts_with("54") || matches!(&*code, "18" | "20")
        }),
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::Encode(_) => false,
        _ => true,
    };
    let reason = match error {
        sqlx::Error::PoolTimedOut => format!("no connection to the database within {CONNECT:?}"),
        other => format!("the database: {other}"),
    };
    StoreError { reason, is_transient }
}

impl From<&sqlx::Error> for StoreError {
    fn from(error: &sqlx::Error) -> Self {
        failed(error)
    }
}

fn unreadable() -> StoreError {
    StoreError::permanent("it cannot be read")
}

impl<'a> From<&'a str> for Argument<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Some(text))
    }
}

impl From<Option<i64>> for Argument<'_> {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

impl From<i64> for Argument<'_> {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl fmt::Debug for Sql {
    /// Without its address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sql").finish_non_exhaustive()
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row").finish_non_exhaustive()
    }
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_belongs_together_is_undone_together() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("new.db").display());
        let sql = Sql::sqlite(&url.as_str().into()).unwrap();
        sql.ask("CREATE TABLE t (a text, b blob, c integer)", &[]).await.unwrap();
        let insert = "INSERT INTO t VALUES ($1, $2, $3)";
        let arguments =
            [Argument::from("x"), Argument::Bytes(Some(b"\xff")), Argument::Number(None)];
        let mut together = sql.together().await.unwrap();
        together.ask(insert, &arguments).await.unwrap();
        drop(together);
        assert!(sql.ask("SELECT a, b, c FROM t", &[]).await.unwrap().is_empty());
        let mut together = sql.together().await.unwrap();
        together.ask(insert, &arguments).await.unwrap();
        together.commit().await.unwrap();
        let rows = sql.ask("SELECT a, b, c FROM t", &[]).await.unwrap();
        assert_eq!(rows[0].text(0).unwrap().as_deref(), Some("x"));
        assert_eq!(rows[0].bytes(1).unwrap(), Some(vec![0xff]));
        assert_eq!(rows[0].number(2).unwrap(), None);
        assert!(!rows[0].number(0).unwrap_err().is_transient);
    }

    #[cfg(feature = "postgres")]
    #[tokio::test]
    async fn neither_the_handle_nor_an_error_shows_the_password() {
        let sql = Sql::postgres(&"postgres://user:s3cret@127.0.0.1:1/db".into()).unwrap();
        let error = sql.ask("SELECT 1", &[]).await.unwrap_err();
        assert!(error.is_transient, "{error}");
        let wrong = Sql::postgres(&"http//user:s3cret@h".into()).unwrap_err();
        for shown in [format!("{sql:?}"), error.to_string(), wrong.to_string()] {
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }
}
