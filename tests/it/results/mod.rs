//! Results, the same over every backend; chords over every store; and what a lost store costs.

mod chords;
mod losses;
mod python;
mod suite;

use crate::rig::Server;
use celeriac::config::Config;
use celeriac::results::{Backend, Redis, ResultBackend, Sql};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A store to keep results in, for one test.
pub(crate) struct Store {
    backend: Backend,
    url: String,
    server: Option<Server>,
    _folder: Option<TempDir>,
}

impl Store {
    /// `None` when it is not installed, after saying so.
    pub(crate) async fn start(backend: Backend) -> Option<Self> {
        let mut store = Self { backend, url: String::new(), server: None, _folder: None };
        match backend {
            Backend::Redis => store.server = Some(Server::redis().await?),
            Backend::Postgres => store.server = Some(Server::postgres().await?),
            Backend::Sqlite => {
                let folder = TempDir::new().unwrap();
                store.url = format!("sqlite:{}", folder.path().join("results.db").display());
                store._folder = Some(folder);
            }
            Backend::Rpc | Backend::None => {}
        }
        if let Some(server) = &store.server {
            store.url = server.url();
        }
        Some(store)
    }

    pub(crate) fn configure(&self, config: &mut Config) {
        config.results.backend = self.backend;
        config.results.url = self.url.as_str().into();
    }

    /// The backend by itself; results are kept for `expires`.
    fn open(&self, expires: Duration) -> Arc<dyn ResultBackend> {
        let url = self.url.as_str().into();
        match self.backend {
            Backend::Redis => Arc::new(Redis::open(&url, expires).unwrap()),
            Backend::Postgres => Arc::new(Sql::postgres(&url, expires).unwrap()),
            Backend::Sqlite => Arc::new(Sql::sqlite(&url, expires).unwrap()),
            other => panic!("{other} is no store"),
        }
    }

    pub(crate) fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("a store that is a server")
    }
}
