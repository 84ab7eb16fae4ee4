//! A bundle: what somebody attaches to a question, as files in one `.tar.gz`.
//!
//! What is put in must be fit for others' eyes already; nothing is masked here.

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Component, Path};
use std::time::{SystemTime, UNIX_EPOCH};

/// No more of another bundle is read, in bytes when it is unpacked.
const LARGEST: u64 = 64 << 20;

/// Files, by their names.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Bundle(BTreeMap<String, Vec<u8>>);

impl Bundle {
    /// Adds a file of text.
    pub(crate) fn text(&mut self, name: &str, text: impl Into<String>) {
        self.0.insert(name.to_owned(), text.into().into_bytes());
    }

    /// Adds a file of JSON; one that says why not, where it cannot be written so.
    pub(crate) fn json(&mut self, name: &str, value: &impl Serialize) {
        let json = serde_json::to_string_pretty(value);
        self.text(name, json.unwrap_or_else(|error| error.to_string()));
    }

    /// Adds JSON, or why there is none, as `name` with `.txt` behind it.
    pub(crate) fn json_or<E: std::fmt::Display>(
        &mut self,
        name: &str,
        value: Result<impl Serialize, E>,
    ) {
        match value {
            Ok(value) => self.json(name, &value),
            Err(why) => self.text(&format!("{name}.txt"), why.to_string()),
        }
    }

    /// Adds the files of another bundle below `folder`.
    ///
    /// # Errors
    /// When it is none, or larger than 64 MiB.
    pub(crate) fn include(&mut self, folder: &str, bundle: &[u8]) -> io::Result<()> {
        let mut archive = tar::Archive::new(GzDecoder::new(bundle).take(LARGEST));
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = named(&entry.path()?);
            let (true, Some(name)) = (entry.header().entry_type().is_file(), name) else {
                continue;
            };
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            self.0.insert(format!("{folder}/{name}"), content);
        }
        Ok(())
    }

    /// As a `.tar.gz`, all files made at `at`, for their owner alone.
    ///
    /// # Errors
    /// When a file's name is too long.
    pub(crate) fn to_bytes(&self, at: SystemTime) -> io::Result<Vec<u8>> {
        let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        for (name, content) in &self.0 {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(seconds);
            archive.append_data(&mut header, format!("celeriac/{name}"), content.as_slice())?;
        }
        archive.into_inner()?.finish()
    }
}

/// The name of a file within its bundle; `None` for one that leads elsewhere.
fn named(path: &Path) -> Option<String> {
    let name = path.strip_prefix("celeriac").ok()?;
    let is_below = name.components().all(|it| matches!(it, Component::Normal(_)));
    name.to_str().filter(|name| is_below && !name.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out_below_its_folder() {
        let mut inner = Bundle::default();
        inner.text("about.txt", "a");
        inner.json("states.json", &[1]);
        inner.json_or("broken.json", Err::<u8, _>("why"));
        let mut outer = Bundle::default();
        outer.include("monitor", &inner.to_bytes(UNIX_EPOCH).unwrap()).unwrap();
        let names: Vec<_> = outer.0.keys().map(String::as_str).collect();
        assert_eq!(names, ["monitor/about.txt", "monitor/broken.json.txt", "monitor/states.json"]);
        assert_eq!(outer.0["monitor/about.txt"], b"a");
    }

    #[test]
    fn what_is_no_bundle_is_an_error_and_no_file_leads_elsewhere() {
        assert!(Bundle::default().include("x", b"no gzip").is_err());
        for name in ["celeriac/../x", "/etc/x", "celeriac", "x/y"] {
            assert_eq!(named(Path::new(name)), None, "{name}");
        }
    }
}
