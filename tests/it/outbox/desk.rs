//! A shop with a database, orders in it, and tasks staged beside them.

use crate::rig::{Rig, Server};
use celeriac::app::App;
use celeriac::config::Config;
use celeriac::outbox::sqlx::{self, PgPool, SqlitePool};
use celeriac::outbox::{Outbox, RelayIn};
use celeriac::prelude::*;
use std::time::Duration;
use tempfile::TempDir;

#[task(name = "shop.double")]
pub(super) async fn double(n: i64) -> anyhow::Result<i64> {
    Ok(2 * n)
}

#[task(name = "shop.total")]
pub(super) async fn total(numbers: Vec<i64>) -> anyhow::Result<i64> {
    Ok(numbers.into_iter().sum())
}

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Postgres,
    Sqlite,
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Commit,
    Rollback,
}

/// A database with the table of orders and that of staged tasks.
pub(super) struct Desk {
    pub outbox: Outbox,
    pub url: String,
    pool: Pool,
    pub server: Option<Server>,
    _folder: TempDir,
}

enum Pool {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

const ORDERS: &str = "CREATE TABLE IF NOT EXISTS orders (n bigint)";

impl Desk {
    /// `None` when the database is not installed.
    pub(super) async fn open(kind: Kind) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let server = match kind {
            Kind::Postgres => Some(Server::postgres().await?),
            Kind::Sqlite => None,
        };
        let file = folder.path().join("shop.db");
        let url = server.as_ref().map_or(format!("sqlite:{}", file.display()), Server::url);
        let outbox = Outbox::open(&url.as_str().into()).unwrap();
        outbox.create_table().await.unwrap();
        let pool = match kind {
            Kind::Postgres => Pool::Postgres(PgPool::connect_lazy(&url).unwrap()),
            Kind::Sqlite => Pool::Sqlite(SqlitePool::connect(&url).await.unwrap()),
        };
        let desk = Self { outbox, url, pool, server, _folder: folder };
        desk.execute(ORDERS).await;
        Some(desk)
    }

    /// The same database over other connections, as after a restart.
    pub(super) async fn again(&self) -> Self {
        let pool = Pool::Postgres(PgPool::connect(&self.url).await.unwrap());
        let (outbox, url) = (self.outbox.clone(), self.url.clone());
        Self { outbox, url, pool, server: None, _folder: TempDir::new().unwrap() }
    }

    /// The configuration of programs that send what is staged here, if `relay` says that they do.
    pub(super) fn config(&self, rig: &Rig, relay: RelayIn) -> Config {
        let mut config = Config::from(rig.url());
        config.worker.concurrency = 4.into();
        config.outbox.url = self.url.as_str().into();
        config.outbox.relay = relay;
        config.outbox.poll = Duration::from_millis(50);
        config
    }

    /// The same as a file.
    pub(super) fn file(&self, relay: &str, more: &str) -> String {
        let broker = "[broker]\nurl = \"{url}\"\n[outbox]\npoll = \"50ms\"\n";
        format!("{broker}url = \"{}\"\nrelay = \"{relay}\"\n{more}\n", self.url)
    }

    /// Writes an order and stages its task, in one transaction.
    pub(super) async fn order(&self, app: &App, n: i64, end: End) -> TaskHandle<i64> {
        let insert = "INSERT INTO orders (n) VALUES ($1)";
        match &self.pool {
            Pool::Postgres(pool) => {
                let mut transaction = pool.begin().await.unwrap();
                sqlx::query(insert).bind(n).execute(&mut *transaction).await.unwrap();
                let staged = double(n).stage(app, &mut *transaction).await.unwrap();
                match end {
                    End::Commit => transaction.commit().await.unwrap(),
                    End::Rollback => transaction.rollback().await.unwrap(),
                }
                staged.handle()
            }
            Pool::Sqlite(pool) => {
                let mut transaction = pool.begin().await.unwrap();
                sqlx::query(insert).bind(n).execute(&mut *transaction).await.unwrap();
                let staged = double(n).stage(app, &mut transaction).await.unwrap();
                match end {
                    End::Commit => transaction.commit().await.unwrap(),
                    End::Rollback => transaction.rollback().await.unwrap(),
                }
                staged.handle()
            }
        }
    }

    /// Stages a call by itself.
    pub(super) async fn stage(&self, app: &App, call: Call<double>) -> TaskHandle<i64> {
        match &self.pool {
            Pool::Postgres(pool) => {
                let mut connection = pool.acquire().await.unwrap();
                call.stage(app, &mut *connection).await.unwrap().handle()
            }
            Pool::Sqlite(pool) => {
                let mut connection = pool.acquire().await.unwrap();
                call.stage(app, &mut *connection).await.unwrap().handle()
            }
        }
    }

    /// Stages a workflow by itself.
    pub(super) async fn stage_flow<T>(&self, app: &App, flow: Flow<T>) -> WorkflowHandle<T> {
        match &self.pool {
            Pool::Postgres(pool) => {
                let mut connection = pool.acquire().await.unwrap();
                flow.stage(app, &mut *connection).await.unwrap().handle()
            }
            Pool::Sqlite(pool) => {
                let mut connection = pool.acquire().await.unwrap();
                flow.stage(app, &mut *connection).await.unwrap().handle()
            }
        }
    }

    pub(super) async fn execute(&self, statement: &'static str) {
        match &self.pool {
            Pool::Postgres(pool) => drop(sqlx::query(statement).execute(pool).await.unwrap()),
            Pool::Sqlite(pool) => drop(sqlx::query(statement).execute(pool).await.unwrap()),
        }
    }

    /// The orders that are there.
    pub(super) async fn orders(&self) -> Vec<i64> {
        let statement = "SELECT n FROM orders ORDER BY n";
        match &self.pool {
            Pool::Postgres(pool) => sqlx::query_scalar(statement).fetch_all(pool).await.unwrap(),
            Pool::Sqlite(pool) => sqlx::query_scalar(statement).fetch_all(pool).await.unwrap(),
        }
    }

    pub(super) async fn staged(&self) -> u64 {
        self.outbox.backlog().await.unwrap().staged
    }
}
