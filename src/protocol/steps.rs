//! The steps of a chain that are still to come.

use super::scan::{Items, Kind};
use super::{DecodeError, EncodeError, Format, Limits, Raw, Signature};

/// The remaining steps of a chain, **in reverse**: the last is the next.
///
/// A step that came in a message stays as it is encoded until it is taken out, so that each task of
/// a long chain hands the rest on without building it.
#[derive(Debug, Clone, Default)]
pub struct Steps(Vec<Step>);

#[derive(Debug, Clone)]
enum Step {
    /// A map that nobody has looked into.
    Kept(Raw),
    Made(Signature),
}

impl Steps {
    /// Whether no step is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many are left.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes out the next step.
    ///
    /// # Errors
    ///
    /// When it is no signature. It is taken out all the same.
    pub fn pop(&mut self) -> Result<Option<Signature>, DecodeError> {
        self.0.pop().map(Step::read).transpose()
    }

    /// All of them, the last first.
    ///
    /// # Errors
    ///
    /// When one is no signature.
    pub fn into_signatures(self) -> Result<Vec<Signature>, DecodeError> {
        self.0.into_iter().map(Step::read).collect()
    }

    /// Reads a list, or null.
    pub(super) fn read(place: &str, list: &Raw) -> Result<Self, DecodeError> {
        let format = list.format();
        let wrong = |place: String, wanted: &str, found: Kind| DecodeError {
            place,
            message: format!("expected {wanted}, found {}", found.name()),
        };
        let mut items = match Items::open(format, list.bytes(), Limits::DEEPEST) {
            Ok(Ok(items)) if !items.is_map() => items,
            Ok(Err(Kind::Null)) => return Ok(Self::default()),
            Ok(Err(other)) => return Err(wrong(place.to_owned(), "a list", other)),
            _ => return Err(wrong(place.to_owned(), "a list", Kind::Map)),
        };
        let mut steps = Vec::new();
        while let Ok(Some(item)) = items.next() {
            if item.kind != Kind::Map {
                return Err(wrong(format!("{place}[{}]", steps.len()), "a signature", item.kind));
            }
            steps.push(Step::Kept(Raw::new(format, list.bytes().slice(item.range))));
        }
        Ok(Self(steps))
    }

    /// Encodes the list.
    pub(super) fn encode(&self, format: Format) -> Result<Raw, EncodeError> {
        let steps = self.0.iter().map(|step| match step {
            Step::Kept(raw) => Ok(raw.clone()),
            Step::Made(signature) => Raw::encode(format, signature),
        });
        Raw::list(format, steps.collect::<Result<Vec<_>, _>>()?.iter())
    }
}

impl Step {
    fn read(self) -> Result<Signature, DecodeError> {
        match self {
            Self::Kept(raw) => raw.format().decode_at("a step of the chain", raw.bytes()),
            Self::Made(signature) => Ok(signature),
        }
    }
}

/// By what the steps say, however they are encoded.
impl PartialEq for Steps {
    fn eq(&self, other: &Self) -> bool {
        self.clone().into_signatures() == other.clone().into_signatures()
    }
}

impl Extend<Signature> for Steps {
    fn extend<I: IntoIterator<Item = Signature>>(&mut self, steps: I) {
        self.0.extend(steps.into_iter().map(Step::Made));
    }
}

impl FromIterator<Signature> for Steps {
    fn from_iter<I: IntoIterator<Item = Signature>>(steps: I) -> Self {
        Self(steps.into_iter().map(Step::Made).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Body, Embed};

    fn handed_on(format: Format, embed: &Embed) -> Embed {
        let bytes = Body::encode(format, &(), &(), embed).unwrap();
        Body::find(format, bytes.into(), Limits::DEEPEST).unwrap().embed().unwrap()
    }

    #[test]
    fn steps_are_handed_on_as_they_came_and_taken_out_last_first() {
        let steps = ["c", "b", "a"].map(|name| Signature::call(name, &(1.5, [name])).unwrap());
        let [c, b, a] = steps.clone();
        for format in [Format::Json, Format::MessagePack] {
            for other in [Format::Json, Format::MessagePack] {
                let made = Embed { chain: steps.iter().cloned().collect(), ..Embed::default() };
                let mut came = handed_on(other, &handed_on(format, &made));
                assert_eq!(came.chain.len(), 3);
                assert_eq!(came.chain.pop(), Ok(Some(a.clone())));
                came.chain.extend([a.clone()]);
                let again = handed_on(format, &came);
                let all = again.chain.into_signatures();
                assert_eq!(all, Ok(vec![c.clone(), b.clone(), a.clone()]));
            }
        }
    }

    #[test]
    fn a_step_that_is_none_is_named_at_once_or_when_its_turn_comes() {
        let read = |text: &'static str| {
            Steps::read("embed.chain", &Raw::new(Format::Json, text.as_bytes()))
        };
        for (text, place) in
            [("7", "embed.chain"), ("{}", "embed.chain"), (r#"[{}, "x"]"#, "embed.chain[1]")]
        {
            assert_eq!(read(text).unwrap_err().place, place, "{text}");
        }
        let mut steps = read(r#"[{"task": "b"}, {"tsk": "a"}]"#).unwrap();
        assert_eq!(
            steps.pop().unwrap_err().to_string(),
            "a step of the chain: missing field `task` at line 1 column 12"
        );
        assert_eq!(steps.pop().unwrap().unwrap().task, "b");
        assert_eq!(steps.pop(), Ok(None));
        assert!(read("null").unwrap().is_empty());
    }
}
