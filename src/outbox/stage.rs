//! Writing tasks into the table on somebody else's connection.

use super::row::NewRow;
use crate::store::StoreError;
use futures::future::BoxFuture;
#[cfg(feature = "postgres")]
use sqlx::PgConnection;
#[cfg(feature = "sqlite")]
use sqlx::SqliteConnection;
use sqlx::{Database, Encode, QueryBuilder, Transaction, Type};

/// So many rows are written by one statement: eleven values each, of which SQLite takes 32,766.
const ROWS: usize = 500;

/// A connection of yours on which tasks can be staged: in the transaction that is open on it, or each
/// at once if there is none.
///
/// A `Transaction`, `PgConnection` or `SqliteConnection` of [`sqlx`] 0.9. Others are not
/// possible.
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
/// # let relay = app.relay().expect("there is an outbox");
/// let mut transaction = database.begin().await?;
/// drop(welcome(42).stage(&app, &mut *transaction).await?);
/// transaction.rollback().await?;
/// assert_eq!(relay.flush().await?.sent, 0);
/// # Ok(())
/// # }
/// ```
pub trait Staging: sealed::Staging + Send {}

impl<T: sealed::Staging + Send> Staging for T {}

/// Why a task was not staged.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InsertError {
    /// The database has no such table.
    #[error(
        "the database has no table celeriac_outbox: run `celeriac outbox init`, or put what \
         `celeriac outbox init --print` says into your migrations"
    )]
    NoTable,
    /// The database did not take it.
    #[error("the task is not staged: {0}")]
    Store(#[from] StoreError),
}

pub(crate) mod sealed {
    use super::{BoxFuture, InsertError, NewRow};

    pub trait Staging {
        fn insert<'a>(&'a mut self, rows: &'a [NewRow]) -> BoxFuture<'a, Result<(), InsertError>>;
    }
}

#[cfg(feature = "postgres")]
impl sealed::Staging for PgConnection {
    fn insert<'a>(&'a mut self, rows: &'a [NewRow]) -> BoxFuture<'a, Result<(), InsertError>> {
        Box::pin(async move {
            for rows in rows.chunks(ROWS) {
                let mut statement = statement::<sqlx::Postgres>(rows);
                let query = statement.build().persistent(rows.len() == 1);
                query.execute(&mut *self).await.map_err(|error| why(&error))?;
            }
            Ok(())
        })
    }
}

#[cfg(feature = "sqlite")]
impl sealed::Staging for SqliteConnection {
    fn insert<'a>(&'a mut self, rows: &'a [NewRow]) -> BoxFuture<'a, Result<(), InsertError>> {
        Box::pin(async move {
            for rows in rows.chunks(ROWS) {
                let mut statement = statement::<sqlx::Sqlite>(rows);
                let query = statement.build().persistent(rows.len() == 1);
                query.execute(&mut *self).await.map_err(|error| why(&error))?;
            }
            Ok(())
        })
    }
}

#[cfg(feature = "postgres")]
impl sealed::Staging for Transaction<'_, sqlx::Postgres> {
    fn insert<'a>(&'a mut self, rows: &'a [NewRow]) -> BoxFuture<'a, Result<(), InsertError>> {
        (**self).insert(rows)
    }
}

#[cfg(feature = "sqlite")]
impl sealed::Staging for Transaction<'_, sqlx::Sqlite> {
    fn insert<'a>(&'a mut self, rows: &'a [NewRow]) -> BoxFuture<'a, Result<(), InsertError>> {
        (**self).insert(rows)
    }
}

/// The statement that writes these rows.
fn statement<D>(rows: &[NewRow]) -> QueryBuilder<D>
where
    D: Database,
    for<'q> String: Encode<'q, D> + Type<D>,
    for<'q> Option<String>: Encode<'q, D> + Type<D>,
    for<'q> Option<i64>: Encode<'q, D> + Type<D>,
    for<'q> Vec<u8>: Encode<'q, D> + Type<D>,
{
    let mut statement = QueryBuilder::new(
        "INSERT INTO celeriac_outbox \
         (task_id, task, exchange, routing_key, queue, eta, message, body, chords) ",
    );
    statement.push_values(rows, |mut values, row| {
        let parcel = &row.parcel;
        values
            .push_bind(parcel.id.to_string())
            .push_bind(parcel.task.clone())
            .push_bind(parcel.message.exchange.clone())
            .push_bind(parcel.message.routing_key.clone())
            .push_bind(parcel.queue.clone())
            .push_bind(row.eta())
            .push_bind(row.message())
            .push_bind(parcel.message.body.to_vec())
            .push_bind(row.chords.clone());
    });
    statement
}

/// What the database said.
fn why(error: &sqlx::Error) -> InsertError {
    match StoreError::from(error) {
        missing if super::store::lacks_table(&missing) => InsertError::NoTable,
        other => InsertError::Store(other),
    }
}
