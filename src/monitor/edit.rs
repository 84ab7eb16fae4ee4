//! A message that is run again otherwise than it was sent. Pure.

use crate::broker::RawMessage;
use crate::clock;
use crate::protocol::{Body, DecodeError, EncodeError, Envelope, Limits, Signed, Unreadable};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::time::{Duration, SystemTime};

/// A task waits no longer than this, in seconds: a year.
const LONGEST: f64 = 366.0 * 86_400.0;

/// What is to be different.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Edits {
    /// Other positional arguments.
    pub(super) args: Option<Vec<Value>>,
    /// Other named arguments, all of them.
    pub(super) kwargs: Option<Map<String, Value>>,
    /// To this queue instead of the one that it came from.
    pub(super) queue: Option<String>,
    /// Not before so many seconds from now.
    pub(super) countdown: Option<f64>,
    /// Not before then; RFC 3339.
    pub(super) eta: Option<String>,
    /// 0 to 255.
    pub(super) priority: Option<u8>,
}

/// Why a message cannot be edited so: which field, and what is wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum EditError {
    #[error("it is signed, and other arguments would have to be signed anew; send the task anew")]
    Signed,
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("a time such as 2026-11-25T13:00:00Z")]
    NoTime,
    #[error("from 0 to 31622400 seconds")]
    NoCountdown,
    #[error("countdown or eta, not both")]
    Twice,
}

impl EditError {
    /// Which field is wrong.
    pub(super) fn field(&self) -> &'static str {
        match self {
            Self::NoTime | Self::Twice => "eta",
            Self::NoCountdown => "countdown",
            _ => "args",
        }
    }
}

impl Edits {
    /// What is changed in the message itself, for the audit.
    pub(super) fn changed(&self) -> Vec<&'static str> {
        let all = [
            ("args", self.args.is_some()),
            ("kwargs", self.kwargs.is_some()),
            ("countdown", self.countdown.is_some()),
            ("eta", self.eta.is_some()),
            ("priority", self.priority.is_some()),
        ];
        all.into_iter().filter_map(|(name, is_changed)| is_changed.then_some(name)).collect()
    }

    /// The message with these changes. What is not changed stays as it was sent; without other
    /// arguments the body stays the same bytes.
    ///
    /// # Errors
    /// When the message is no task, or what is wanted cannot be.
    pub(super) fn apply(
        &self,
        message: &RawMessage,
        now: SystemTime,
    ) -> Result<RawMessage, EditError> {
        let limits = Limits::default();
        let mut envelope = message.envelope(&limits)?;
        if self.args.is_some() || self.kwargs.is_some() {
            self.rewrite(&mut envelope, &limits)?;
        }
        if let Some(eta) = self.start(now)? {
            envelope.headers.eta = Some(eta);
        }
        if let Some(priority) = self.priority {
            envelope.properties.priority = Some(priority);
        }
        Ok(RawMessage::try_new(&message.exchange, &message.routing_key, &envelope)?)
    }

    fn rewrite(&self, envelope: &mut Envelope, limits: &Limits) -> Result<(), EditError> {
        let body = read(envelope, limits)?;
        let args = self.args.clone().map_or_else(|| body.args_json(), Ok)?;
        let kwargs = self.kwargs.clone().map_or_else(|| body.kwargs_json(), Ok)?;
        let bytes = Body::encode(body.format(), &args, &kwargs, &body.embed()?)?;
        envelope.body = bytes.into();
        envelope.headers.compression = None;
        let body = Body::parse(envelope, limits)?;
        let headers = &mut envelope.headers;
        headers.argsrepr = headers.argsrepr.is_some().then(|| body.args_repr());
        headers.kwargsrepr = headers.kwargsrepr.is_some().then(|| body.kwargs_repr());
        Ok(())
    }

    fn start(&self, now: SystemTime) -> Result<Option<SystemTime>, EditError> {
        match (self.countdown, self.eta.as_deref()) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(EditError::Twice),
            (Some(seconds), None) if (0.0..=LONGEST).contains(&seconds) => {
                Ok(Some(now + Duration::from_secs_f64(seconds)))
            }
            (Some(_), None) => Err(EditError::NoCountdown),
            (None, Some(text)) => clock::parse_iso(text).map(Some).ok_or(EditError::NoTime),
        }
    }
}

/// The arguments of a message, as JSON.
///
/// # Errors
/// When it is no task that can be edited.
pub(super) fn arguments(
    message: &RawMessage,
) -> Result<(Vec<Value>, Map<String, Value>), EditError> {
    let limits = Limits::default();
    let body = read(&message.envelope(&limits)?, &limits)?;
    Ok((body.args_json()?, body.kwargs_json()?))
}

fn read(envelope: &Envelope, limits: &Limits) -> Result<Body, EditError> {
    if envelope.properties.content_type.as_deref() == Some(Signed::CONTENT_TYPE) {
        return Err(EditError::Signed);
    }
    Ok(Body::parse(envelope, limits)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TaskId;
    use crate::protocol::{Headers, Properties};
    use serde_json::json;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn message(body: &str, content_type: &str) -> RawMessage {
        let mut headers = Headers::new("mail.send", TaskId::from("a1".to_owned()));
        headers.argsrepr = Some("(1,)".to_owned());
        let content_type = Some(content_type.to_owned());
        let properties = Properties { persistent: true, content_type, ..Properties::default() };
        let body = body.as_bytes().to_vec().into();
        RawMessage::try_new("e", "k", &Envelope { properties, headers, body }).unwrap()
    }

    const BODY: &str = r#"[[1, 2.50], {"to": "ana"}, {"callbacks": null, "chain": null}]"#;

    fn edits(edits: Value) -> Edits {
        serde_json::from_value(edits).unwrap()
    }

    #[test]
    fn only_what_is_named_changes() {
        let sent = message(BODY, "application/json");
        assert_eq!(arguments(&sent).unwrap().0, [json!(1), json!(2.5)]);
        let later = edits(json!({ "countdown": 90.5, "priority": 3 })).apply(&sent, NOW).unwrap();
        assert_eq!(&later.body[..], BODY.as_bytes(), "the same bytes");
        let read = later.envelope(&Limits::default()).unwrap();
        assert_eq!(read.headers.eta, Some(NOW + Duration::from_millis(90_500)));
        assert_eq!(read.properties.priority, Some(3));

        let other = edits(json!({ "kwargs": { "to": "bo" } })).apply(&sent, NOW).unwrap();
        let read = other.envelope(&Limits::default()).unwrap();
        let body = Body::parse(&read, &Limits::default()).unwrap();
        assert_eq!(body.args_json().unwrap(), [json!(1), json!(2.5)]);
        assert_eq!(body.kwargs_json().unwrap()["to"], "bo");
        assert_eq!(read.headers.argsrepr.as_deref(), Some("(1, 2.5)"));
        assert_eq!((read.headers.kwargsrepr, read.headers.eta), (None, None));
        assert_eq!(read.headers.id.as_str(), "a1");
    }

    #[test]
    fn what_cannot_be_is_named() {
        let sent = message(BODY, "application/json");
        for (wanted, field) in [
            (json!({ "countdown": -1.0 }), "countdown"),
            (json!({ "countdown": 1e300 }), "countdown"),
            (json!({ "eta": "tomorrow" }), "eta"),
            (json!({ "eta": "2026-11-25T13:00:00Z", "countdown": 1.0 }), "eta"),
        ] {
            let error = edits(wanted.clone()).apply(&sent, NOW).unwrap_err();
            assert_eq!(error.field(), field, "{wanted}");
        }
        let signed = message(BODY, Signed::CONTENT_TYPE);
        let error = edits(json!({ "args": [] })).apply(&signed, NOW).unwrap_err();
        assert!(matches!(error, EditError::Signed), "{error}");
        assert!(edits(json!({ "priority": 1 })).apply(&signed, NOW).is_ok());
        assert!(serde_json::from_value::<Edits>(json!({ "arg": [] })).is_err());
    }
}
