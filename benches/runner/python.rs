//! Where Python is that has Celery and Flower.

use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};

/// The interpreter in `CELERIAC_VENV`, or in the environment that `make celery` makes.
pub(crate) fn python() -> Result<PathBuf> {
    let folder = std::env::var_os("CELERIAC_VENV")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".work/venv"), PathBuf::from);
    let python = std::path::absolute(folder.join("bin/python"))?;
    ensure!(python.exists(), "no Celery in {}; `make celery` installs it", folder.display());
    Ok(python)
}
