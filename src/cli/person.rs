//! Who acts.

use crate::ids;

/// The name under which is kept what this person does.
pub(super) fn name() -> String {
    let known = ["CELERIAC_USER", "SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    known.unwrap_or_else(|| format!("uid-{}@{}", rustix::process::getuid().as_raw(), ids::host()))
}
