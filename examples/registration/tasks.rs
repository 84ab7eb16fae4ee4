//! What follows a registration. A library crate would look the same: it needs no app.

use celeriac::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Who registered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) email: String,
}

/// Where this example leaves what it would send: a folder in place of a mail server.
#[derive(Debug, Clone)]
pub(crate) struct Outbox(Arc<PathBuf>);

/// The four tasks.
pub(crate) fn all() -> TaskSet {
    tasks![welcome_mail, avatar, push, analytics]
}

/// A mail must arrive: ten attempts over some hours. An address that is none is not tried twice.
#[task(name = "users.welcome_mail", max_retries = 10, backoff = "10s..1h", time_limit = "30s")]
pub(crate) async fn welcome_mail(State(outbox): State<Outbox>, user: User) -> anyhow::Result<()> {
    if user.email.ends_with("@invalid") {
        return Err(Discard::because("no mail can arrive there").into());
    }
    let letter = format!("To: {}\n\nWelcome, {}!\n", user.email, user.name);
    let path = outbox.leave(&format!("{}.mail", user.email), &letter).await?;
    println!("mail to {} in {}", user.email, path.display());
    Ok(())
}

/// Drawing is computing, so it gets a thread of its own: no `async`.
#[task(name = "users.avatar", time_limit = "10s")]
pub(crate) fn avatar(State(outbox): State<Outbox>, name: String) -> anyhow::Result<PathBuf> {
    let initials: String = name.split_whitespace().filter_map(|word| word.chars().next()).collect();
    let hue = name.bytes().fold(0_u32, |hue, byte| (hue * 31 + u32::from(byte)) % 360);
    let svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 64 64'><circle cx='32' cy='32' r='32' \
         fill='hsl({hue} 60% 45%)'/><text x='32' y='40' font-size='24' text-anchor='middle' \
         fill='white'>{initials}</text></svg>"
    );
    let path = outbox.path(&format!("{initials}.svg"));
    std::fs::write(&path, svg)?;
    println!("avatar {initials} in {}", path.display());
    Ok(path)
}

/// The push service is not always there: the first attempt of this example fails.
#[task(name = "users.push", max_retries = 5, backoff = "250ms..1m", retry_on = [std::io::Error])]
pub(crate) async fn push(ctx: Ctx, name: String, text: String) -> anyhow::Result<()> {
    if ctx.attempt() == 1 {
        return Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into());
    }
    println!("push to {name} at attempt {}: {text}", ctx.attempt());
    Ok(())
}

/// Nobody waits for it, it may be late, and it must not be in anybody's way. `source` came later:
/// callers of before leave it out.
#[task(name = "stats.event", ignore_result, rate = "100/s", soft_time_limit = "2s")]
pub(crate) async fn analytics(event: String, #[arg(default)] source: Option<String>) {
    println!("analytics: {event} from {}", source.as_deref().unwrap_or("the web"));
}

impl Outbox {
    /// In this folder, which is made.
    pub(crate) fn in_folder(folder: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self(Arc::new(folder)))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(Path::new(name).file_name().unwrap_or_default())
    }

    /// Writes a file whole or not at all: a task may run twice.
    async fn leave(&self, name: &str, text: &str) -> std::io::Result<PathBuf> {
        let path = self.path(name);
        let draft = path.with_extension("draft");
        tokio::fs::write(&draft, text).await?;
        tokio::fs::rename(&draft, &path).await?;
        Ok(path)
    }
}
