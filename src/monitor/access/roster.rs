//! Files of who may come in: a line `NAME ROLE PROOF` for each token and each user.
//!
//! The proof is what a secret is recognised by, never the secret. Files are read when the monitor
//! starts, and written by the command line alone.

use super::super::settings::Role;
use super::Person;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What a file lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listed {
    /// Tokens: the proof is SHA-256.
    Tokens,
    /// Users: the proof is argon2id.
    Users,
}

/// Why there is nobody who may come in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginsError {
    /// The file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: String,
        /// Why not.
        error: io::Error,
    },
    /// A line is none of ours.
    #[error("{path}:{line}: expected NAME ROLE {}, as `celeriac {listed} new` writes it", listed.proof())]
    Line {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What should stand there.
        listed: Listed,
    },
    /// There is one of this name.
    #[error(
        "{path}: there is a {listed} \"{name}\" already; take another name, or take that one out first: \
         `celeriac {listed} {} {name}`", listed.undo()
    )]
    Taken {
        /// The file.
        path: String,
        /// What it lists.
        listed: Listed,
        /// The name.
        name: String,
    },
    /// There is none of this name.
    #[error("{path}: there is no {listed} \"{name}\"")]
    Missing {
        /// The file.
        path: String,
        /// What it lists.
        listed: Listed,
        /// The name.
        name: String,
    },
    /// A name that cannot stand in the file.
    #[error("the name of a {0} is 1 to 64 letters, digits, `.`, `-`, `_` or `@`")]
    Name(Listed),
    /// A password that is too easy to guess, or longer than anybody's.
    #[error("a password has 8 to 1024 characters, and no line breaks")]
    Password,
}

impl Listed {
    fn proof(self) -> &'static str {
        match self {
            Self::Tokens => "SHA256",
            Self::Users => "$argon2id$...",
        }
    }

    /// The command that takes one out.
    fn undo(self) -> &'static str {
        match self {
            Self::Tokens => "revoke",
            Self::Users => "remove",
        }
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tokens => "token",
            Self::Users => "user",
        })
    }
}

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Roster(Vec<Member>);

/// One line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) proof: String,
}

impl Member {
    /// As the monitor knows them.
    pub(super) fn person(&self) -> Person {
        Person { name: self.name.clone(), role: self.role }
    }
}

impl Roster {
    /// Reads a file whose proofs `is_proof` knows.
    pub(super) fn read(
        path: &str,
        listed: Listed,
        is_proof: fn(&str) -> bool,
    ) -> Result<Self, LoginsError> {
        let text = std::fs::read_to_string(path).map_err(|error| file(path, error))?;
        Self::parse(path, &text, listed, is_proof)
    }

    fn parse(
        path: &str,
        text: &str,
        listed: Listed,
        is_proof: fn(&str) -> bool,
    ) -> Result<Self, LoginsError> {
        let lines = text.lines().enumerate().filter(|(_, line)| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with('#')
        });
        let read = |(at, line): (usize, &str)| {
            let wrong = || LoginsError::Line { path: path.to_owned(), line: at + 1, listed };
            let mut words = line.split_whitespace();
            let (name, role, proof) = (words.next(), words.next(), words.next());
            let role = role.and_then(Role::parse).ok_or_else(wrong)?;
            let proof = proof.filter(|proof| is_proof(proof) && words.next().is_none());
            let (name, proof) = name.zip(proof).ok_or_else(wrong)?;
            Ok(Member { name: name.to_owned(), role, proof: proof.to_owned() })
        };
        lines.map(read).collect::<Result<_, _>>().map(Self)
    }

    /// All, in the order of the file.
    pub(super) fn members(&self) -> &[Member] {
        &self.0
    }

    /// Names and roles, in the order of the file.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, Role)> {
        self.0.iter().map(|member| (member.name.as_str(), member.role))
    }

    /// Refuses a name that cannot be a new one in the file at `path`, if that exists.
    pub(super) fn expect_new(
        path: &str,
        name: &str,
        listed: Listed,
        is_proof: fn(&str) -> bool,
    ) -> Result<(), LoginsError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
        if !(1..=64).contains(&name.len()) || !name.chars().all(allowed) {
            return Err(LoginsError::Name(listed));
        }
        if !Path::new(path).exists() {
            return Ok(());
        }
        match Self::read(path, listed, is_proof)?.names().any(|(it, _)| it == name) {
            false => Ok(()),
            true => {
                Err(LoginsError::Taken { path: path.to_owned(), listed, name: name.to_owned() })
            }
        }
    }

    /// Adds a line to the file, which only its owner may read.
    pub(super) fn append(path: &str, member: &Member) -> Result<(), LoginsError> {
        let Member { name, role, proof } = member;
        let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        let written =
            opened.and_then(|mut file| writeln!(file, "{name} {} {proof}", role.as_str()));
        written.map_err(|error| file(path, error))
    }

    /// Takes the line of `name` out of the file.
    pub(super) fn remove(path: &str, name: &str, listed: Listed) -> Result<(), LoginsError> {
        let text = std::fs::read_to_string(path).map_err(|error| file(path, error))?;
        let is_theirs = |line: &str| line.split_whitespace().next() == Some(name);
        if !text.lines().any(is_theirs) {
            let name = name.to_owned();
            return Err(LoginsError::Missing { path: path.to_owned(), listed, name });
        }
        let others = text.lines().filter(|line| !is_theirs(line));
        let kept: String = others.flat_map(|line| [line, "\n"]).collect();
        std::fs::write(path, kept).map_err(|error| file(path, error))
    }
}

fn file(path: &str, error: io::Error) -> LoginsError {
    LoginsError::File { path: path.to_owned(), error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Roster, LoginsError> {
        Roster::parse("f", text, Listed::Users, |proof| proof == "p")
    }

    #[test]
    fn a_line_that_is_none_is_pointed_at() {
        for (text, wrong) in [("a viewer\n", 1), ("# ours\na admin p\nb root p\n", 3)] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("f:{wrong}: ")), "{error}");
            assert!(error.contains("`celeriac user new`"), "{error}");
        }
        assert!(parse("a admin q").is_err() && parse("a admin p p").is_err());
        assert_eq!(parse("\n a admin p ").unwrap().names().next(), Some(("a", Role::Admin)));
    }

    #[test]
    fn a_name_is_one_word_and_new() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users").display().to_string();
        let expect = |name: &str| Roster::expect_new(&path, name, Listed::Users, |it| it == "p");
        assert!(matches!(expect("a b"), Err(LoginsError::Name(_))));
        expect("ana").unwrap();
        let member = Member { name: "ana".to_owned(), role: Role::Viewer, proof: "p".to_owned() };
        Roster::append(&path, &member).unwrap();
        let taken = expect("ana").unwrap_err().to_string();
        assert!(taken.contains("`celeriac user remove ana`"), "{taken}");
        Roster::remove(&path, "ana", Listed::Users).unwrap();
        expect("ana").unwrap();
        let missing = Roster::remove(&path, "ana", Listed::Users);
        assert!(matches!(missing, Err(LoginsError::Missing { .. })));
    }
}
