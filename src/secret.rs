//! Text that must not be printed: passwords, tokens, and URLs that carry them.
//!
//! `Debug`, `Display` and `Serialize` show the mask, so that a log line, an error or `config show`
//! cannot leak by accident. Only [`Secret::expose`] and [`SecretUrl::expose`] give the text.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// What is shown instead of a secret.
pub const MASK: &str = "••••";

/// A secret text, shown as `••••`.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself. Never print it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "writeOnly": true })
    }
}

/// A URL that may carry a password; shown with the password masked.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// The URL with its password. Never print it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The URL with `••••` in place of the password.
    ///
    /// Works on any text: everything between the first `:` of the user part and the last `@` is
    /// hidden, so that a URL too broken to parse leaks nothing either.
    pub fn redacted(&self) -> String {
        redact_url(&self.0)
    }
}

/// `text` with `••••` in place of a URL's password.
pub fn redact_url(text: &str) -> String {
    let Some((before, host)) = text.rsplit_once('@') else { return text.to_owned() };
    let user_from = before.find("://").map_or(0, |at| at + 3);
    match before[user_from..].find(':') {
        Some(colon) => format!("{}:{MASK}@{host}", &before[..user_from + colon]),
        None => text.to_owned(),
    }
}

impl From<&str> for SecretUrl {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for SecretUrl {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.redacted())
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for SecretUrl {
    fn schema_name() -> Cow<'static, str> {
        "SecretUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "uri" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_password_of_a_url_is_hidden() {
        let shown = |url: &str| SecretUrl::from(url).to_string();
        assert_eq!(
            shown("amqp://celeriac:s3cret@rabbit1:5672/%2f"),
            "amqp://celeriac:••••@rabbit1:5672/%2f"
        );
        assert_eq!(shown("amqp://rabbit1:5672/"), "amqp://rabbit1:5672/");
        assert_eq!(shown("amqp://celeriac@rabbit1/"), "amqp://celeriac@rabbit1/");
        assert_eq!(shown("celeriac:s3@cret@rabbit1"), "celeriac:••••@rabbit1");
    }

    proptest! {
        #[test]
        fn a_password_is_never_shown(password in "[a-z0-9@:/]{8,}") {
            let url = SecretUrl::from(format!("amqp://user:{password}@host/"));
            for shown in [format!("{url}"), format!("{url:?}"), serde_json::to_string(&url).unwrap()] {
                prop_assert!(!shown.contains(&password), "{}", shown);
            }
        }
    }
}
