//! Tokens: long random texts, each of which lets one person or program in.
//!
//! The file holds no token, only what a token is recognised by: a line `NAME ROLE SHA256`. A token
//! has 256 random bits, so its digest needs no salt and nothing slow.

use super::super::settings::Role;
use super::Person;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Before every token, so that it is recognised where it leaks.
const MARK: &str = "celeriac_";

/// The tokens of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tokens(Vec<Known>);

/// What a token is recognised by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    name: String,
    role: Role,
    digest: String,
}

/// A token that was just made. It is shown once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// The token itself.
    pub token: String,
    /// The line for the file.
    pub line: String,
}

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokensError {
    /// The file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: String,
        /// Why not.
        error: io::Error,
    },
    /// A line is none of ours.
    #[error("{path}:{line}: expected NAME ROLE SHA256, as `celeriac token new` writes it")]
    Line {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
    },
    /// There is one of this name.
    #[error("{path}: there is a token \"{name}\" already; revoke it first, or take another name")]
    Taken {
        /// The file.
        path: String,
        /// The name.
        name: String,
    },
    /// There is none of this name.
    #[error("{path}: there is no token \"{name}\"")]
    Missing {
        /// The file.
        path: String,
        /// The name.
        name: String,
    },
    /// A name that cannot stand in the file.
    #[error("a token's name is 1 to 64 letters, digits, `.`, `-`, `_` or `@`")]
    Name,
}

impl Tokens {
    /// Reads a file of tokens.
    ///
    /// # Errors
    /// When it cannot be read, or a line of it.
    pub fn read(path: &str) -> Result<Self, TokensError> {
        let text = std::fs::read_to_string(path);
        Self::parse(path, &text.map_err(|error| file(path, error))?)
    }

    fn parse(path: &str, text: &str) -> Result<Self, TokensError> {
        let lines = text.lines().enumerate().filter(|(_, line)| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with('#')
        });
        let read = |(at, line): (usize, &str)| {
            let wrong = || TokensError::Line { path: path.to_owned(), line: at + 1 };
            let mut words = line.split_whitespace();
            let (name, role, digest) = (words.next(), words.next(), words.next());
            let role = role.and_then(Role::parse).ok_or_else(wrong)?;
            let digest = digest.filter(|it| it.len() == 64 && words.next().is_none());
            let (name, digest) = name.zip(digest).ok_or_else(wrong)?;
            Ok(Known { name: name.to_owned(), role, digest: digest.to_ascii_lowercase() })
        };
        lines.map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Names and roles, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = (&str, Role)> {
        self.0.iter().map(|known| (known.name.as_str(), known.role))
    }

    /// Makes a token and adds it to the file, which only its owner may read.
    ///
    /// # Errors
    /// When the name is taken or cannot be one, or the file cannot be written.
    pub fn add(path: &str, name: &str, role: Role) -> Result<NewToken, TokensError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
        if !(1..=64).contains(&name.len()) || !name.chars().all(allowed) {
            return Err(TokensError::Name);
        }
        let known = if Path::new(path).exists() { Self::read(path)? } else { Self::default() };
        if known.names().any(|(it, _)| it == name) {
            return Err(TokensError::Taken { path: path.to_owned(), name: name.to_owned() });
        }
        let new = make(name, role);
        let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        let written = opened.and_then(|mut file| writeln!(file, "{}", new.line));
        written.map_err(|error| file(path, error))?;
        Ok(new)
    }

    /// Takes a token out of the file.
    ///
    /// # Errors
    /// When there is none of this name, or the file cannot be written.
    pub fn remove(path: &str, name: &str) -> Result<(), TokensError> {
        if !Self::read(path)?.names().any(|(it, _)| it == name) {
            return Err(TokensError::Missing { path: path.to_owned(), name: name.to_owned() });
        }
        let text = std::fs::read_to_string(path).map_err(|error| file(path, error))?;
        let others = text.lines().filter(|line| line.split_whitespace().next() != Some(name));
        let kept: String = others.flat_map(|line| [line, "\n"]).collect();
        std::fs::write(path, kept).map_err(|error| file(path, error))
    }

    /// Whose token this is.
    pub(super) fn who(&self, token: &str) -> Option<Person> {
        let digest = digest(token);
        let known = self.0.iter().find(|known| known.digest == digest)?;
        Some(Person { name: known.name.clone(), role: known.role })
    }
}

fn make(name: &str, role: Role) -> NewToken {
    // Two random UUIDs are 244 bits from the system's source of randomness.
    let bits = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
    let bytes: Vec<u8> = bits.iter().flat_map(|it| *it.as_bytes()).collect();
    let token = format!("{MARK}{}", URL_SAFE_NO_PAD.encode(bytes));
    let line = format!("{name} {} {}", role.as_str(), digest(&token));
    NewToken { token, line }
}

/// In hexadecimal digits.
fn digest(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        // Writing into a text does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn file(path: &str, error: io::Error) -> TokensError {
    TokensError::File { path: path.to_owned(), error }
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
        assert_eq!(tokens.who(&ana.token).unwrap().role, Role::Admin);
        assert_eq!(tokens.who(&ci.token).unwrap().name, "ci");
        assert_eq!(tokens.who("celeriac_x"), None);
        assert!(!std::fs::read_to_string(&path).unwrap().contains(&ana.token), "no token in it");
        assert!(matches!(Tokens::add(&path, "ci", Role::Admin), Err(TokensError::Taken { .. })));
        Tokens::remove(&path, "ci").unwrap();
        assert_eq!(Tokens::read(&path).unwrap().who(&ci.token), None);
        assert!(matches!(Tokens::remove(&path, "ci"), Err(TokensError::Missing { .. })));
    }

    #[test]
    fn a_line_that_is_none_is_pointed_at() {
        let line = make("a", Role::Viewer).line;
        for (text, wrong) in [("a viewer\n", 1), (&*format!("# ours\n{line}\nb root {line}"), 3)] {
            let error = Tokens::parse("f", text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("f:{wrong}: ")), "{error}");
        }
        assert!(matches!(Tokens::add("f", "a b", Role::Viewer), Err(TokensError::Name)));
    }
}
