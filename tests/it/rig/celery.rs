//! A real Celery, in a Python environment that `.ci/run` (or `make celery`) makes.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::process::Process;

/// Python with Celery installed.
#[derive(Debug, Clone)]
pub struct Celery {
    python: PathBuf,
}

impl Celery {
    /// Where it is: `$CELERIAC_VENV`, else `.work/venv`.
    ///
    /// `None` when there is none, after saying so: the caller's test is then skipped.
    ///
    /// # Panics
    ///
    /// When there is none and `CI` is set, because then nothing may be skipped.
    pub fn find() -> Option<Self> {
        let folder = std::env::var_os("CELERIAC_VENV").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join(".work/venv"),
            PathBuf::from,
        );
        let python = folder.join("bin/python");
        if python.exists() {
            return Some(Self { python });
        }
        let missing = format!("no Celery in {}; `make celery` installs it", folder.display());
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("SKIPPED: {missing}");
        None
    }

    /// The Python that has it.
    pub fn interpreter(&self) -> &Path {
        &self.python
    }

    /// Runs a Python program in `folder`, with `AMQP_URL` in its environment.
    pub fn run(&self, program: &str, url: &str, folder: &Path) -> Process {
        self.python(&["-c", program], &[], url, folder)
    }

    /// Runs Python with these arguments, and more in its environment.
    pub fn python(
        &self,
        arguments: &[&str],
        environment: &[(&str, String)],
        url: &str,
        folder: &Path,
    ) -> Process {
        let mut command = self.command(url, folder);
        let environment = environment.iter().map(|(name, value)| (name, value));
        command.arg("-u").args(arguments).envs(environment);
        Process::spawn(command)
    }

    /// Runs `celery -A app ARGUMENTS...`, with `app` as the source of its module `app`.
    pub fn celery(&self, app: &str, arguments: &[&str], url: &str, folder: &Path) -> Process {
        std::fs::write(folder.join("app.py"), app).expect("the folder is ours");
        let arguments = [&["-m", "celery", "-A", "app"], arguments].concat();
        self.python(&arguments, &[], url, folder)
    }

    fn command(&self, url: &str, folder: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command.current_dir(folder).env("AMQP_URL", url);
        command
    }
}
