//! The pages in a browser.

use crate::rig::{Browser, Scripts};
use std::path::Path;

mod acts;
mod looks;
mod uses;

/// The script that finds what somebody could not use; `None`, said, where `make axe` did not run.
///
/// # Panics
/// When it is missing and `CI` is set.
fn axe() -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".work/axe/axe.min.js");
    let found = std::fs::read_to_string(&path).ok();
    if found.is_none() {
        let missing = format!("no {}; `make axe` fetches it", path.display());
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("SKIPPED: {missing}");
    }
    found
}
