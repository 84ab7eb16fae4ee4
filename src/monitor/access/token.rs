//! Tokens: long random texts, each of which lets one person or program in.
//!
//! The file holds no token, only what a token is recognised by: its SHA-256. A token has 244 random
//! bits, so its digest needs no salt and nothing slow.

use super::super::settings::Role;
use super::Person;
use super::roster::{Listed, LoginsError, Member, Roster};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Before every token, so that it is recognised where it leaks.
const MARK: &str = "celeriac_";

/// The tokens of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tokens(Roster);

impl Tokens {
    /// Reads a file of tokens.
    ///
    /// # Errors
    /// When it cannot be read, or a line of it.
    pub fn read(path: &str) -> Result<Self, LoginsError> {
        Roster::read(path, Listed::Tokens, is_digest).map(Self)
    }

    /// Names and roles, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = (&str, Role)> {
        self.0.names()
    }

    /// Makes a token and adds it to the file, which only its owner may read. It is in no file, so
    /// this is when it is shown.
    ///
    /// # Errors
    /// When the name is taken or cannot be one, or the file cannot be written.
    pub fn add(path: &str, name: &str, role: Role) -> Result<String, LoginsError> {
        Roster::expect_new(path, name, Listed::Tokens, is_digest)?;
        let token = make();
        let member = Member { name: name.to_owned(), role, proof: digest(&token) };
        Roster::append(path, &member)?;
        Ok(token)
    }

    /// Takes a token out of the file.
    ///
    /// # Errors
    /// When there is none of this name, or the file cannot be written.
    pub fn remove(path: &str, name: &str) -> Result<(), LoginsError> {
        Roster::remove(path, name, Listed::Tokens)
    }

    /// Whose token this is.
    pub(super) fn who(&self, token: &str) -> Option<Person> {
        let digest = digest(token);
        let known = self.0.members().iter().find(|it| it.proof.eq_ignore_ascii_case(&digest))?;
        Some(known.person())
    }
}

fn is_digest(proof: &str) -> bool {
    proof.len() == 64 && proof.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn make() -> String {
    // Two random UUIDs are 244 bits from the system's source of randomness.
    let bits = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
    let bytes: Vec<u8> = bits.iter().flat_map(|it| *it.as_bytes()).collect();
    format!("{MARK}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// In hexadecimal digits.
fn digest(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        // Writing into a text does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lets_in_whom_it_was_made_for_until_it_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens").display().to_string();
        let ana = Tokens::add(&path, "ana", Role::Admin).unwrap();
        let ci = Tokens::add(&path, "ci", Role::Viewer).unwrap();
        let tokens = Tokens::read(&path).unwrap();
        assert_eq!(tokens.who(&ana).unwrap().role, Role::Admin);
        assert_eq!(tokens.who(&ci).unwrap().name, "ci");
        assert_eq!(tokens.who("celeriac_x"), None);
        assert!(!std::fs::read_to_string(&path).unwrap().contains(&ana), "no token in it");
        assert!(matches!(Tokens::add(&path, "ci", Role::Admin), Err(LoginsError::Taken { .. })));
        Tokens::remove(&path, "ci").unwrap();
        assert_eq!(Tokens::read(&path).unwrap().who(&ci), None);
        assert!(matches!(Tokens::remove(&path, "ci"), Err(LoginsError::Missing { .. })));
    }
}
