//! Users: people with a password, of which the file keeps what argon2id makes of it.

use super::super::settings::Role;
use super::roster::{Listed, LoginsError, Member, Roster};
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use std::io;

/// The users of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Users(Roster);

impl Users {
    /// Reads a file of users.
    ///
    /// # Errors
    /// When it cannot be read, or a line of it.
    pub fn read(path: &str) -> Result<Self, LoginsError> {
        Roster::read(path, Listed::Users, is_hash).map(Self)
    }

    /// Names and roles, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = (&str, Role)> {
        self.0.names()
    }

    /// Adds a user to the file, which only its owner may read.
    ///
    /// # Errors
    /// When the name is taken or cannot be one, the password is shorter than 8 characters or longer
    /// than 1,024, or the file cannot be written.
    pub fn add(path: &str, name: &str, role: Role, password: &str) -> Result<(), LoginsError> {
        Roster::expect_new(path, name, Listed::Users, is_hash)?;
        if !(8..=1024).contains(&password.chars().count()) || password.contains(['\r', '\n']) {
            return Err(LoginsError::Password);
        }
        // The parameters are the crate's, which follow OWASP: 19 MiB, two passes.
        let made: Result<PasswordHash, _> = Argon2::default().hash_password(password.as_bytes());
        let proof = made.map_err(|error| LoginsError::File {
            path: path.to_owned(),
            error: io::Error::other(error.to_string()),
        })?;
        let member = Member { name: name.to_owned(), role, proof: proof.to_string() };
        Roster::append(path, &member)
    }

    /// Takes a user out of the file.
    ///
    /// # Errors
    /// When there is none of this name, or the file cannot be written.
    pub fn remove(path: &str, name: &str) -> Result<(), LoginsError> {
        Roster::remove(path, name, Listed::Users)
    }

    /// The user of this name, with what their password is held against. For a name that nobody has
    /// somebody else's, so that it takes as long to find out.
    pub(super) fn find(&self, name: &str) -> (Option<&Member>, Option<&str>) {
        let members = self.0.members();
        let found = members.iter().find(|member| member.name == name);
        (found, found.or(members.first()).map(|member| member.proof.as_str()))
    }
}

/// Whether this is the password that `hash` was made of. Slow on purpose: not for a thread that has
/// other things to do.
pub(super) fn is_right(password: &str, hash: &str) -> bool {
    let right = |hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
    PasswordHash::new(hash).is_ok_and(right)
}

fn is_hash(proof: &str) -> bool {
    PasswordHash::new(proof).is_ok_and(|hash| {
        hash.algorithm.as_str() == "argon2id" && hash.salt.is_some() && hash.hash.is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_keeps_no_password_and_knows_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users").display().to_string();
        Users::add(&path, "ana", Role::Admin, "correct horse").unwrap();
        Users::add(&path, "bo", Role::Viewer, "correct horse").unwrap();
        let users = Users::read(&path).unwrap();
        let [ana, bo] = ["ana", "bo"].map(|name| users.find(name).1.unwrap().to_owned());
        assert!(is_right("correct horse", &ana) && !is_right("correct hors", &ana));
        assert_ne!(ana, bo, "salted");
        assert_eq!(users.find("nobody"), (None, Some(ana.as_str())), "held against something");
        assert!(!std::fs::read_to_string(&path).unwrap().contains("horse"));
    }

    #[test]
    fn what_is_no_password_or_no_hash_is_refused() {
        for password in ["", "1234567", "two\nlines are none", &*"x".repeat(1025)] {
            let refused = Users::add("/nowhere/users", "ana", Role::Viewer, password);
            assert!(matches!(refused, Err(LoginsError::Password)), "{password}");
        }
        for proof in ["secret", "$2y$05$abc", "$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA"] {
            assert!(!is_hash(proof), "{proof}");
        }
    }
}
