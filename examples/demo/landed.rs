//! How much has landed so far.

use crate::folder::Folder;
use crate::http::Inbox;
use crate::smtp::Mailbox;
use crate::tools::output;
use crate::video::HEIGHTS;
use std::sync::Arc;

/// Users who register.
pub const USERS: usize = 30;

/// Followers of each video's author.
pub const FOLLOWERS: usize = 50;

/// Followers whose names the broken release refuses; they are the first to be notified.
pub const REFUSED: usize = 5;

/// Counts of what landed, or of what is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landed {
    /// Smaller videos.
    pub renditions: usize,
    /// Pictures.
    pub thumbnails: usize,
    /// Mails the server took.
    pub mails: usize,
    /// Notifications the service took.
    pub notifications: usize,
    /// Rows of the database.
    pub rows: usize,
}

impl Landed {
    /// What a run with so many videos comes to. One more notification is the delayed one.
    fn expected(videos: usize) -> Self {
        Self {
            renditions: videos * HEIGHTS.len(),
            thumbnails: videos,
            mails: USERS,
            notifications: videos * FOLLOWERS + 1,
            rows: USERS + videos,
        }
    }

    /// All of it.
    pub fn sum(&self) -> usize {
        self.renditions + self.thumbnails + self.mails + self.notifications + self.rows
    }

    /// In words.
    pub fn words(&self) -> String {
        let kinds = self.kinds().map(|(kind, count)| format!("{count} {kind}"));
        kinds.join(", ")
    }

    /// What is still to come, in words.
    pub fn missing(&self, expected: &Self) -> String {
        let kinds = self.kinds().into_iter().zip(expected.kinds());
        let missing = kinds.filter(|((_, count), (_, all))| count < all);
        let missing = missing.map(|((kind, count), (_, all))| format!("{kind} {count}/{all}"));
        missing.collect::<Vec<_>>().join("  ")
    }

    fn kinds(&self) -> [(&'static str, usize); 5] {
        [
            ("renditions", self.renditions),
            ("thumbnails", self.thumbnails),
            ("mails", self.mails),
            ("notifications", self.notifications),
            ("rows", self.rows),
        ]
    }
}

/// The places where things land.
#[derive(Debug, Clone)]
pub struct Places {
    /// Files, and the database.
    pub folder: Folder,
    /// How many videos were uploaded.
    pub videos: usize,
    /// Mails.
    pub mailbox: Arc<Mailbox>,
    /// Notifications.
    pub inbox: Inbox,
}

impl Places {
    /// What is to be there at the end.
    pub fn expected(&self) -> Landed {
        Landed::expected(self.videos)
    }

    /// What is there now, without looking inside.
    pub async fn count(&self) -> Landed {
        let folder = &self.folder;
        let heights = |number| HEIGHTS.map(|height| folder.rendition(number, height));
        let renditions = (1..=self.videos).flat_map(heights);
        let thumbnails = (1..=self.videos).map(|number| folder.thumbnail(number));
        Landed {
            renditions: renditions.filter(|path| path.exists()).count(),
            thumbnails: thumbnails.filter(|path| path.exists()).count(),
            // One that was sent again by the kill is there twice.
            mails: self.mailbox.message_ids().map_or(0, |ids| ids.len()),
            notifications: self.inbox.len(),
            rows: self.rows().await,
        }
    }

    /// The rows of the database; none before it is made.
    async fn rows(&self) -> usize {
        let database = self.folder.database();
        if !database.exists() {
            return 0;
        }
        let path = database.display().to_string();
        let query = ["-cmd", ".timeout 10000", "-readonly", &path, "SELECT count(*) FROM event"];
        output("sqlite3", query).await.ok().and_then(|count| count.parse().ok()).unwrap_or_default()
    }
}
