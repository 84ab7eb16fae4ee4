//! Tasks that are HTTP calls.

use crate::secret::{Secret, SecretUrl};
use crate::units;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A task that is an HTTP call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// The method.
    #[serde(default)]
    pub method: Method,
    /// What is sent as JSON: "call" for the whole call, "kwargs" for the arguments by name alone,
    /// "none". Default "call" with "POST", "PUT" and "PATCH", else "none".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<RequestBody>,
    /// The address. `{name}` is replaced by the keyword argument of that name, encoded.
    pub url: SecretUrl,
    /// How long the whole call may take.
    #[serde(with = "units::duration", default = "default_http_timeout")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// Headers of the request. A secret may be given as `NAME_file = "path"`.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Replies that are tried again: "503", "5xx", "timeout", "connect".
    #[serde(default = "default_http_retry_on")]
    pub retry_on: Vec<Reply>,
    /// Replies that are never tried again, unless `retry_on` has them too.
    #[serde(default = "default_http_reject_on")]
    pub reject_on: Vec<Reply>,
}

impl HttpSettings {
    /// What is sent.
    pub fn body(&self) -> RequestBody {
        self.body.unwrap_or(match self.method {
            Method::Post | Method::Put | Method::Patch => RequestBody::Call,
            Method::Get | Method::Delete => RequestBody::None,
        })
    }
}

fn default_http_timeout() -> Duration {
    Duration::from_secs(30)
}

fn default_http_retry_on() -> Vec<Reply> {
    let too_early = [Reply::Status(408), Reply::Status(429)];
    [&[Reply::Class(5), Reply::Timeout, Reply::Connect][..], &too_early].concat()
}

fn default_http_reject_on() -> Vec<Reply> {
    vec![Reply::Class(3), Reply::Class(4)]
}

/// What an HTTP call sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequestBody {
    /// The call as one JSON document: task, id, attempt, args, kwargs.
    Call,
    /// The arguments by name, as one JSON object.
    Kwargs,
    /// Nothing.
    None,
}

/// The method of an HTTP call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Asks.
    Get,
    /// Sends.
    #[default]
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

/// How an HTTP call ended: a status, a hundred of them, or no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// `"503"`: exactly this status.
    Status(u16),
    /// `"5xx"`: every status that begins with this digit.
    Class(u16),
    /// `"timeout"`: no reply in time.
    Timeout,
    /// `"connect"`: no connection.
    Connect,
}

impl Reply {
    /// Whether this is, or includes, the status `code`.
    pub fn has_status(self, code: u16) -> bool {
        match self {
            Self::Status(status) => status == code,
            Self::Class(digit) => digit == code / 100,
            Self::Timeout | Self::Connect => false,
        }
    }
}

impl FromStr for Reply {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!(r#"`{text}` is no HTTP reply; write "503", "5xx", "timeout" or "connect""#);
        match text {
            "timeout" => return Ok(Self::Timeout),
            "connect" => return Ok(Self::Connect),
            _ => {}
        }
        let class = text.strip_suffix("xx");
        let number: u16 = class.unwrap_or(text).parse().map_err(|_| wrong())?;
        match class {
            Some(_) if (1..=5).contains(&number) => Ok(Self::Class(number)),
            None if (100..=599).contains(&number) => Ok(Self::Status(number)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Class(digit) => write!(f, "{digit}xx"),
            Self::Timeout => f.write_str("timeout"),
            Self::Connect => f.write_str("connect"),
        }
    }
}

impl<'de> Deserialize<'de> for Reply {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Reply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Reply {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Reply".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^([1-5](xx|[0-9]{2})|timeout|connect)$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_http_reply_is_a_status_a_hundred_or_none() {
        for text in ["503", "5xx", "timeout", "connect"] {
            assert_eq!(text.parse::<Reply>().unwrap().to_string(), text);
        }
        for text in ["9xx", "60", "xx", "soon"] {
            assert!(text.parse::<Reply>().is_err(), "{text}");
        }
        assert!(Reply::Class(5).has_status(503) && !Reply::Class(5).has_status(404));
    }
}
