//! The index: what the stream of events says, in SQLite, arranged for questions.
//!
//! One thread writes ([`writer`]), others read, and in SQLite's write-ahead mode nobody waits for
//! anybody. How far the stream was read stands in the same file and is written in the same
//! transaction, so that a monitor that is killed goes on exactly behind what it has applied.

mod apply;
pub(super) mod audit;
pub(super) mod dead;
pub(super) mod depths;
pub(super) mod due;
pub(super) mod failures;
pub(super) mod judge;
pub(super) mod operations;
mod prune;
pub(super) mod resolution;
pub(super) mod select;
pub(super) mod series;
mod shrink;
pub(super) mod tasks;
mod told;
mod words;
pub(super) mod workers;
pub(super) mod workflows;
mod writer;

pub(super) use apply::Batch;
pub(super) use prune::Keep;
pub(super) use tasks::{AttemptRow, TaskRow};
pub(super) use writer::Writer;

use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// The file, in the monitor's folder.
const FILE: &str = "monitor.sqlite";

/// Each brings the schema one step further; the file knows how many it has seen.
const MIGRATIONS: [&str; 5] = [
    include_str!("schema.sql"),
    include_str!("operations.sql"),
    include_str!("resolution.sql"),
    include_str!("depths.sql"),
    include_str!("groups.sql"),
];

/// So many questions are answered at once.
const READERS: usize = 4;

/// So many orders wait for the writer.
const ORDERS: usize = 4;

/// How long one waits for a lock that another program holds.
const BUSY: Duration = Duration::from_secs(5);

/// What a connection keeps in memory, in KiB.
const CACHE: i64 = 8 << 10;

/// A question that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// The index. Cloning is cheap; all clones are one.
#[derive(Debug, Clone)]
pub(super) struct Index(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    orders: mpsc::Sender<Order>,
    idle: Mutex<Vec<Connection>>,
    readers: Semaphore,
}

type Order = Box<dyn FnOnce(&mut Writer) + Send>;

/// Why the index gives no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// It cannot be opened.
    #[error(
        "the monitor's index {path} cannot be opened: {why}; set monitor.data_dir to a folder of its own that this user may write to"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Another version has written it.
    #[error(
        "the monitor's index {path} was written by a newer version (schema {found}, this one knows {known}); use that version, or another monitor.data_dir"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: usize,
        /// Ours.
        known: usize,
    },
    /// SQLite has failed.
    #[error("the monitor's index: {0}")]
    Failed(String),
    /// A question took too long.
    #[error("the question took longer than {PATIENCE:?}; narrow it")]
    TooLong,
    /// The monitor stops.
    #[error("the monitor's index is closed")]
    Closed,
}

impl From<rusqlite::Error> for IndexError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::OperationInterrupted) => Self::TooLong,
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl Index {
    /// Opens the index in `folder`, which is made if it is missing.
    ///
    /// # Errors
    /// When the folder cannot be written to, or a newer version has written the index.
    pub(super) fn open(folder: &Path) -> Result<Self, IndexError> {
        let path = folder.join(FILE);
        let failed = |why: &dyn std::fmt::Display| {
            let why = why.to_string();
            IndexError::Open { path: path.clone(), why }
        };
        std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        let connection = Connection::open(&path).map_err(|error| failed(&error))?;
        // Before anything is written into it, or never.
        connection
            .pragma_update(None, "auto_vacuum", "incremental")
            .and_then(|()| prepare(&connection))
            .map_err(|error| failed(&error))?;
        migrate(&connection, &path)?;
        let writer = Writer::new(connection)?;
        let (orders, taken) = mpsc::channel(ORDERS);
        std::thread::Builder::new()
            .name("index".to_owned())
            .spawn(move || obey(writer, taken))
            .map_err(|error| failed(&error))?;
        let (idle, readers) = (Mutex::default(), Semaphore::new(READERS));
        Ok(Self(Arc::new(Inner { path, orders, idle, readers })))
    }

    /// Lets the writer do something, in turn.
    ///
    /// # Errors
    /// What `order` says, or that the monitor stops.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        order: impl FnOnce(&mut Writer) -> Result<T, IndexError> + Send + 'static,
    ) -> Result<T, IndexError> {
        let (answer, answered) = oneshot::channel();
        // Whoever asked may have gone.
        let order: Order = Box::new(move |writer| drop(answer.send(order(writer))));
        self.0.orders.send(order).await.map_err(|_| IndexError::Closed)?;
        answered.await.map_err(|_| IndexError::Closed)?
    }

    /// Asks something, beside everything else.
    ///
    /// # Errors
    /// What `question` says, and when it takes too long.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, IndexError> + Send + 'static,
    ) -> Result<T, IndexError> {
        let inner = Arc::clone(&self.0);
        let _turn = self.0.readers.acquire().await.map_err(|_| IndexError::Closed)?;
        let asked = tokio::task::spawn_blocking(move || {
            let connection = inner.reader()?;
            let ends = std::time::Instant::now() + PATIENCE;
            connection.progress_handler(10_000, Some(move || std::time::Instant::now() > ends))?;
            let answer = question(&connection);
            inner.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            answer
        });
        asked.await.map_err(|_| IndexError::Closed)?
    }

    /// How many bytes it takes on the disk.
    pub(super) fn bytes(&self) -> u64 {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
        let log = self.0.path.with_extension("sqlite-wal");
        size(&self.0.path) + size(&log)
    }
}

impl Inner {
    fn reader(&self) -> Result<Connection, IndexError> {
        if let Some(idle) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(idle);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        prepare(&connection)?;
        Ok(connection)
    }
}

/// Obeys until everybody who may give orders is gone.
fn obey(mut writer: Writer, mut orders: mpsc::Receiver<Order>) {
    while let Some(order) = orders.blocking_recv() {
        order(&mut writer);
    }
    writer.close();
}

/// What every connection is set to. After a loss of power the last transactions may be missing, with
/// the offset that they wrote: the stream has them still.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "cache_size", -CACHE)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn migrate(connection: &Connection, path: &Path) -> Result<(), IndexError> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let found = found as usize;
    if found > MIGRATIONS.len() {
        let path = path.to_owned();
        return Err(IndexError::Newer { path, found, known: MIGRATIONS.len() });
    }
    for (at, migration) in MIGRATIONS.iter().enumerate().skip(found) {
        let version = at + 1;
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {migration} PRAGMA user_version = {version}; COMMIT;"
        ))?;
    }
    Ok(())
}
