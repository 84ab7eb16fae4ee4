//! `[outbox]`.

use super::super::tree::path_of;
use super::Checks;
use crate::results::Backend;

/// The databases that a table of staged tasks can be in.
const DATABASES: [Backend; 2] = [Backend::Postgres, Backend::Sqlite];

impl Checks<'_> {
    pub(super) fn outbox(&mut self) {
        let outbox = &self.config.outbox;
        if !outbox.is_set() {
            return;
        }
        let path = path_of(["outbox", "url"]);
        match database(outbox.url.expose()) {
            None => {
                let label = DATABASES.map(Backend::example).join(" or ");
                self.error("this is no URL of an outbox", &path, &format!("write {label}"));
            }
            Some(database) if !database.is_built_in() => {
                let title = format!("this build knows no `{database}`");
                self.error(title, &path, &format!("build it with `--features {database}`"));
            }
            Some(_) => {}
        }
        for (key, wait) in [("poll", outbox.poll), ("lease", outbox.lease)] {
            if wait.is_zero() {
                let title = format!("`outbox.{key}` is no time");
                self.error(title, &path_of(["outbox", key]), "more than 0s");
            }
        }
    }
}

/// Which database a URL names.
fn database(url: &str) -> Option<Backend> {
    let (scheme, _) = url.split_once(':')?;
    DATABASES.into_iter().find(|database| database.schemes().contains(&scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outbox_is_in_a_database_with_transactions() {
        for (url, expected) in [
            ("postgres://u@h/db", Some(Backend::Postgres)),
            ("postgresql://h/db", Some(Backend::Postgres)),
            ("sqlite:shop.db", Some(Backend::Sqlite)),
            ("redis://h", None),
            ("shop.db", None),
        ] {
            assert_eq!(database(url), expected, "{url}");
        }
    }
}
