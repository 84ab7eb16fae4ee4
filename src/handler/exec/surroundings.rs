//! What a program finds around it: where it is found, and its environment.

use crate::secret::Secret;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Variables that a program does not inherit: they hold our secrets, or speak to systemd as us.
const WITHHELD: &[&str] = &[
    "AMQP_URL",
    "CELERIAC_BROKER_URL",
    "CELERIAC_MONITOR_URL",
    "CELERIAC_TOKEN",
    "CREDENTIALS_DIRECTORY",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// The variables of `own` that a program may see, and `configured` over them.
pub(super) fn environment(
    own: impl IntoIterator<Item = (OsString, OsString)>,
    configured: &BTreeMap<String, Secret>,
) -> Vec<(OsString, OsString)> {
    let withheld = |name: &OsStr| {
        let name = name.to_string_lossy();
        name.starts_with("CELERIAC__") || WITHHELD.contains(&&*name)
    };
    let mut environment: Vec<_> = own.into_iter().filter(|(name, _)| !withheld(name)).collect();
    let configured = configured.iter().map(|(name, value)| (name.into(), value.expose().into()));
    environment.extend(configured);
    environment
}

/// A program that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProgramMissing {
    /// No such file.
    #[error("program `{program}` is not at {}", path.display())]
    NoFile {
        /// As configured.
        program: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// Found, but it cannot be run.
    #[error("{} is not an executable file; chmod +x makes it one", path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// In no directory of `PATH`.
    #[error("program `{program}` is in no directory of PATH ({})", searched.display())]
    NotInPath {
        /// As configured.
        program: String,
        /// The value of `PATH`.
        searched: PathBuf,
    },
    /// The directory to run it in does not exist.
    #[error("working directory {} does not exist", workdir.display())]
    NoWorkdir {
        /// As configured.
        workdir: PathBuf,
    },
}

/// Finds a program as a shell would: by its path, relative to `workdir`, if the name has a slash,
/// else in the directories of `path`.
pub(super) fn locate(
    program: &str,
    workdir: Option<&Path>,
    path: &OsStr,
) -> Result<PathBuf, ProgramMissing> {
    if let Some(workdir) = workdir.filter(|workdir| !workdir.is_dir()) {
        return Err(ProgramMissing::NoWorkdir { workdir: workdir.to_owned() });
    }
    if program.contains('/') {
        let path = workdir.map_or_else(|| PathBuf::from(program), |dir| dir.join(program));
        return match path.exists() {
            true if is_executable(&path) => Ok(path),
            true => Err(ProgramMissing::NotExecutable { path }),
            false => Err(ProgramMissing::NoFile { program: program.to_owned(), path }),
        };
    }
    let mut candidates = std::env::split_paths(path).map(|dir| dir.join(program));
    candidates.find(|candidate| is_executable(candidate)).ok_or_else(|| ProgramMissing::NotInPath {
        program: program.to_owned(),
        searched: path.into(),
    })
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_secrets_are_withheld_and_what_is_configured_wins() {
        let own = [
            ("PATH", "/bin"),
            ("LANG", "C"),
            ("AMQP_URL", "amqp://u:p@h"),
            ("CELERIAC_BROKER_URL", "amqp://u:p@h"),
            ("CELERIAC__BROKER__URL", "amqp://u:p@h"),
            ("CELERIAC_TOKEN", "secret"),
            ("NOTIFY_SOCKET", "/run/systemd/notify"),
        ];
        let own = own.map(|(name, value)| (name.into(), value.into()));
        let configured = [("LANG", "C.UTF-8"), ("CELERIAC_TOKEN", "given on purpose")];
        let configured = configured.map(|(name, value)| (name.to_owned(), value.into())).into();
        let environment: BTreeMap<_, _> = environment(own, &configured).into_iter().collect();
        let expected =
            [("PATH", "/bin"), ("LANG", "C.UTF-8"), ("CELERIAC_TOKEN", "given on purpose")];
        let expected = expected.map(|(name, value)| (name.into(), value.into()));
        assert_eq!(environment, expected.into());
    }

    #[test]
    fn a_program_is_found_by_path_or_says_where_it_was_sought() {
        let path = OsStr::new("/nowhere:/bin");
        assert_eq!(locate("sh", None, path), Ok("/bin/sh".into()));
        assert_eq!(locate("./sh", Some(Path::new("/bin")), path), Ok("/bin/./sh".into()));
        let missing = |program, workdir: Option<&str>| {
            locate(program, workdir.map(Path::new), path).unwrap_err().to_string()
        };
        assert!(missing("no-such", None).contains("(/nowhere:/bin)"));
        assert!(missing("./no-such", Some("/bin")).contains("/bin/./no-such"));
        assert!(missing("/etc/passwd", None).contains("chmod +x"));
        assert!(missing("sh", Some("/nowhere")).contains("working directory /nowhere"));
    }
}
