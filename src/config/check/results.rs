//! `[results]`.

use super::super::tree::path_of;
use super::Checks;
use crate::results::Backend;

impl Checks<'_> {
    pub(super) fn results(&mut self) {
        let results = &self.config.results;
        let (backend, url) = (results.backend, results.url.expose());
        let path = path_of(["results", "backend"]);
        if !backend.is_built_in() {
            let title = format!("this build has no result backend `{backend}`");
            return self.error(title, &path, &format!("build it with `--features {backend}`"));
        }
        let wrong = wrong_url(backend, url);
        match wrong {
            Some(wrong) if url.is_empty() => {
                let title = format!("result backend `{backend}` needs a url");
                self.error(title, &path, &wrong);
            }
            Some(wrong) => {
                let title = format!("this is no URL of {backend}");
                self.error(title, &path_of(["results", "url"]), &wrong);
            }
            None if backend.schemes().is_empty() && !url.is_empty() => {
                let title = format!("result backend `{backend}` has no use for a url");
                self.warn(title, &path_of(["results", "url"]), "set `backend`, or leave this out");
            }
            None => {}
        }
    }
}

/// What is wrong with the URL of a store, without showing it; `None` if nothing is.
fn wrong_url(backend: Backend, url: &str) -> Option<String> {
    let schemes = backend.schemes();
    let scheme = url.split_once(':').map(|(scheme, _)| scheme);
    let fits = schemes.is_empty() || scheme.is_some_and(|scheme| schemes.contains(&scheme));
    (!fits).then(|| format!("write {}", backend.example()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_begins_with_a_scheme_of_its_store() {
        for (backend, url) in [
            (Backend::Redis, "redis://:pw@h/1"),
            (Backend::Redis, "rediss://h"),
            (Backend::Postgres, "postgresql://h/db"),
            (Backend::Sqlite, "sqlite:results.db"),
            (Backend::Rpc, ""),
        ] {
            assert_eq!(wrong_url(backend, url), None, "{url}");
        }
        for (backend, url) in
            [(Backend::Redis, ""), (Backend::Redis, "h:6379"), (Backend::Postgres, "redis://h")]
        {
            let wrong = wrong_url(backend, url).unwrap();
            assert!(wrong.contains(backend.example()), "{wrong}");
        }
    }
}
