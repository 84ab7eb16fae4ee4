//! Whom a remote command is for.

use globset::{GlobBuilder, GlobMatcher};

/// Whom a remote command is for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Recipients {
    /// Every node.
    #[default]
    All,
    /// These nodes.
    Named(Vec<String>),
    /// The nodes whose names are like this, unless the pattern is one that we cannot read.
    Matching {
        /// The pattern.
        pattern: String,
        /// How it is meant: `glob`, or `pcre`, which only Celery's workers understand.
        matcher: String,
    },
}

/// A node cannot tell whether a command is for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; name the workers (`destination`), or use the matcher `glob`")]
pub struct Unclear(String);

impl Recipients {
    /// From the three fields of a command, of which names win over a pattern.
    pub(super) fn new(
        destination: Option<Vec<String>>,
        pattern: Option<String>,
        matcher: Option<String>,
    ) -> Self {
        match (destination.filter(|names| !names.is_empty()), pattern, matcher) {
            (Some(names), _, _) => Self::Named(names),
            (None, Some(pattern), Some(matcher)) if !pattern.is_empty() && !matcher.is_empty() => {
                Self::Matching { pattern, matcher }
            }
            _ => Self::All,
        }
    }

    /// The three fields of a command: destination, pattern, matcher.
    pub(super) fn parts(&self) -> (Option<&[String]>, Option<&str>, Option<&str>) {
        match self {
            Self::All => (None, None, None),
            Self::Named(names) => (Some(names), None, None),
            Self::Matching { pattern, matcher } => (None, Some(pattern), Some(matcher)),
        }
    }

    /// Whether `node` is among them.
    ///
    /// # Errors
    ///
    /// When the pattern cannot be read.
    pub fn include(&self, node: &str) -> Result<bool, Unclear> {
        match self {
            Self::All => Ok(true),
            Self::Named(names) => Ok(names.iter().any(|name| name == node)),
            Self::Matching { pattern, matcher } if matcher == "glob" => {
                Ok(glob(pattern)?.is_match(node))
            }
            Self::Matching { matcher, .. } => {
                Err(Unclear(format!("this worker does not know the matcher `{matcher}`")))
            }
        }
    }
}

/// A pattern as Python's `fnmatch` reads it: it knows `*`, `?` and `[..]`, and nothing else.
fn glob(pattern: &str) -> Result<GlobMatcher, Unclear> {
    let plain = pattern.replace('{', "[{]").replace('}', "[}]");
    let glob = GlobBuilder::new(&plain).literal_separator(false).backslash_escape(false).build();
    Ok(glob.map_err(|error| Unclear(error.to_string()))?.compile_matcher())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(pattern: &str, matcher: &str) -> Recipients {
        Recipients::new(None, Some(pattern.to_owned()), Some(matcher.to_owned()))
    }

    #[test]
    fn names_win_over_patterns_and_nothing_means_everybody() {
        let named =
            Recipients::new(Some(vec!["a@h".into()]), Some("*".into()), Some("glob".into()));
        assert_eq!([named.include("a@h"), named.include("b@h")], [Ok(true), Ok(false)]);
        let none = Recipients::new(Some(vec![]), None, Some("glob".into()));
        assert_eq!((none.clone(), none.include("a@h")), (Recipients::All, Ok(true)));
    }

    #[test]
    fn a_glob_is_read_as_python_reads_it() {
        for (pattern, node, is_like) in [
            ("video*", "video1@h/x", true),
            ("?@h", "a@h", true),
            ("[!a]@h", "a@h", false),
            ("{a,b}@h", "a@h", false),
            ("{a,b}@h", "{a,b}@h", true),
            ("a", "a@h", false),
        ] {
            assert_eq!(matching(pattern, "glob").include(node), Ok(is_like), "{pattern}");
        }
        assert!(matching("[", "glob").include("a").is_err());
        assert!(matching("a.*", "pcre").include("a").is_err(), "not taken for another's");
    }
}
