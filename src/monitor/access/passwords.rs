//! Whether a password is right, without making everybody wait for it.
//!
//! A hash takes some 20 ms and 19 MiB on purpose. A browser or a script sends the password with
//! each request, so one that was right is remembered for a while: as a digest under a key that only
//! this process has, one for each user, so that nothing that can be read elsewhere says anything of
//! it. One at a time two are hashed, however many ask.

use super::super::change::{Micros, micros};
use super::Person;
use super::attempts::Attempts;
use super::users::{Users, is_right};
use crate::clock::Clock;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// How long a password that was right is taken without a hash.
const REMEMBERED: Micros = 300_000_000;

/// So many are hashed at once.
const AT_ONCE: usize = 2;

/// How long one waits for one's turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// Nobody that is known.
    Unknown,
    /// There were too many wrong tries: not before so long.
    TooMany(Duration),
}

/// Checks passwords.
#[derive(Debug)]
pub(super) struct Passwords {
    users: Users,
    clock: Arc<dyn Clock>,
    /// Under this key digests are made.
    key: [Uuid; 2],
    /// By name.
    remembered: Mutex<HashMap<String, Remembered>>,
    attempts: Attempts,
    turns: Semaphore,
}

#[derive(Debug)]
struct Remembered {
    digest: [u8; 32],
    until: Micros,
}

impl Passwords {
    /// Of these users.
    pub(super) fn new(users: Users, clock: Arc<dyn Clock>) -> Self {
        Self {
            users,
            clock,
            key: [Uuid::new_v4(), Uuid::new_v4()],
            remembered: Mutex::default(),
            attempts: Attempts::default(),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// Who this is.
    ///
    /// # Errors
    /// When the password is wrong, nobody has this name (it takes as long to say so), or too many
    /// were wrong of late.
    pub(super) async fn who(
        &self,
        name: &str,
        password: &str,
        peer: Option<IpAddr>,
    ) -> Result<Person, Denied> {
        let digest = self.digest(name, password);
        if let Some(person) = self.recall(name, digest) {
            return Ok(person);
        }
        let turn = tokio::time::timeout(PATIENCE, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(Denied::TooMany(PATIENCE)) };
        // Another request of the same browser may have been before us.
        if let Some(person) = self.recall(name, digest) {
            return Ok(person);
        }
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        self.attempts.count(peer, name, micros(self.clock.now())).map_err(Denied::TooMany)?;
        let person = self.check(name, password).await.ok_or(Denied::Unknown)?;
        self.attempts.forgive(peer, name);
        self.remember(name, digest);
        Ok(person)
    }

    async fn check(&self, name: &str, password: &str) -> Option<Person> {
        let (member, hash) = self.users.find(name);
        let (password, hash) = (password.to_owned(), hash?.to_owned());
        let checked = tokio::task::spawn_blocking(move || is_right(&password, &hash)).await;
        member.filter(|_| checked.unwrap_or(false)).map(super::roster::Member::person)
    }

    fn recall(&self, name: &str, digest: [u8; 32]) -> Option<Person> {
        let now = micros(self.clock.now());
        let is_same = |it: &Remembered| it.until > now && it.digest == digest;
        self.remembered().get(name).filter(|it| is_same(it))?;
        Some(self.users.find(name).0?.person())
    }

    fn remember(&self, name: &str, digest: [u8; 32]) {
        let until = micros(self.clock.now()) + REMEMBERED;
        self.remembered().insert(name.to_owned(), Remembered { digest, until });
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<String, Remembered>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn digest(&self, name: &str, password: &str) -> [u8; 32] {
        let mut digest = Sha256::new();
        self.key.iter().for_each(|half| digest.update(half));
        digest.update((name.len() as u64).to_le_bytes());
        digest.update(name);
        digest.update(password);
        digest.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::settings::Role;
    use super::*;
    use crate::clock::VirtualClock;
    use std::time::{Instant, SystemTime};

    struct Door {
        passwords: Passwords,
        clock: VirtualClock,
    }

    impl Door {
        fn open() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("users").display().to_string();
            Users::add(&path, "ana", Role::Admin, "correct horse").unwrap();
            let clock = VirtualClock::starting_at(SystemTime::UNIX_EPOCH);
            let users = Users::read(&path).unwrap();
            Self { passwords: Passwords::new(users, Arc::new(clock.clone())), clock }
        }

        async fn knock(&self, name: &str, password: &str) -> Result<Person, Denied> {
            let peer = Some("10.0.0.1".parse().unwrap());
            self.passwords.who(name, password, peer).await
        }

        async fn took(&self, name: &str, password: &str) -> Duration {
            let begun = Instant::now();
            let _ = self.knock(name, password).await;
            begun.elapsed()
        }
    }

    #[tokio::test]
    async fn right_is_let_in_and_wrong_is_not_whoever_it_is() {
        let door = Door::open();
        assert_eq!(door.knock("ana", "correct horse").await.unwrap().role, Role::Admin);
        for (name, password) in [("ana", "correct hors"), ("ana", ""), ("bo", "correct horse")] {
            assert_eq!(door.knock(name, password).await, Err(Denied::Unknown), "{name}");
        }
        let none = Passwords::new(Users::default(), Arc::new(door.clock.clone()));
        assert_eq!(none.who("ana", "x", None).await, Err(Denied::Unknown));
    }

    #[tokio::test]
    async fn a_name_that_nobody_has_takes_as_long_and_a_right_password_only_once() {
        let door = Door::open();
        let first = door.took("ana", "correct horse").await;
        let mut fastest = [Duration::MAX; 3];
        for _ in 0..3 {
            let all = [("ana", "wrong"), ("bo", "wrong"), ("ana", "correct horse")];
            for (fastest, (name, password)) in fastest.iter_mut().zip(all) {
                *fastest = door.took(name, password).await.min(*fastest);
            }
        }
        let [wrong, nobody, again] = fastest;
        assert!(wrong < 5 * nobody && nobody < 5 * wrong, "{wrong:?} {nobody:?}");
        assert!(10 * again < first.min(wrong), "{again:?} {first:?}");
        door.clock.advance(Duration::from_micros(REMEMBERED as u64));
        assert!(door.took("ana", "correct horse").await > 5 * again, "hashed again");
    }

    #[tokio::test]
    async fn who_guesses_has_to_wait_and_who_is_remembered_does_not() {
        let door = Door::open();
        door.knock("ana", "correct horse").await.unwrap();
        for _ in 0..10 {
            assert_eq!(door.knock("ana", "guess").await, Err(Denied::Unknown));
        }
        let Err(Denied::TooMany(wait)) = door.knock("ana", "guess").await else { panic!() };
        assert!(door.knock("bo", "guess").await.is_err());
        door.knock("ana", "correct horse").await.unwrap();
        door.clock.advance(wait);
        assert_eq!(door.knock("ana", "guess").await, Err(Denied::Unknown));
    }
}
