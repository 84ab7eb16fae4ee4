//! Text with places that a call fills in: `{name}`, `{0}`, `{id}`.
//!
//! Filling in never splits or joins anything, there is no shell behind it: one template gives one
//! text. Where that text goes (an argument of a program, a URL) decides how values are escaped.

use super::Failure;
use super::call::Call;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// A parsed template.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Place(Place),
}

/// What stands between braces.
#[derive(Debug, Clone, PartialEq)]
enum Place {
    Id,
    Attempt,
    Task,
    Queue,
    Arg(usize),
    Kwarg(String),
}

/// Why a template is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("in `{template}` at character {position}: {problem}")]
pub struct TemplateError {
    /// The template.
    pub template: String,
    /// The character that is wrong, counted from 1.
    pub position: usize,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Template {
    /// Reads a template. `{{` and `}}` stand for braces.
    pub(super) fn parse(template: &str) -> Result<Self, TemplateError> {
        Parser { template, rest: template, parts: Vec::new(), text: String::new() }.run()
    }

    /// The text before the first place.
    pub(super) fn prefix(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// Whether it is the same text for every call.
    pub(super) fn is_constant(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// The text, if it is the same for every call.
    pub(super) fn constant(self) -> Option<String> {
        self.parts.into_iter().try_fold(String::new(), |text, part| match part {
            Part::Text(more) => Some(text + &more),
            Part::Place(_) => None,
        })
    }

    /// The arguments it needs that a call with `args` positional and these keyword arguments lacks.
    pub(super) fn lacks(&self, args: usize, kwargs: &Map<String, Value>) -> Vec<String> {
        let places = self.parts.iter().filter_map(|part| match part {
            Part::Place(Place::Arg(index)) if *index >= args => {
                Some(format!("positional argument {index}"))
            }
            Part::Place(Place::Kwarg(name)) if !kwargs.contains_key(name) => {
                Some(format!("argument `{name}`"))
            }
            _ => None,
        });
        places.collect()
    }

    /// The text for one call, each value put in by `append`.
    ///
    /// # Errors
    ///
    /// A rejection that names the argument the call does not have.
    pub(super) fn render(
        &self,
        call: Call<'_>,
        append: impl Fn(&mut String, &str),
    ) -> Result<String, Failure> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(constant) => text.push_str(constant),
                Part::Place(place) => append(&mut text, &place.value(call)?),
            }
        }
        Ok(text)
    }
}

impl Place {
    fn parse(name: &str) -> Option<Self> {
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            return name.parse().ok().map(Self::Arg);
        }
        Some(match name {
            "id" => Self::Id,
            "attempt" => Self::Attempt,
            "task" => Self::Task,
            "queue" => Self::Queue,
            _ => Self::Kwarg(name.strip_prefix("kwargs.").unwrap_or(name).to_owned()),
        })
    }

    fn value<'a>(&self, call: Call<'a>) -> Result<Cow<'a, str>, Failure> {
        let arguments = call.arguments;
        match self {
            Self::Id => Ok(call.cx.id().as_str().into()),
            Self::Attempt => Ok(call.cx.attempt().to_string().into()),
            Self::Task => Ok(call.cx.headers.task.as_str().into()),
            Self::Queue => Ok(Cow::Borrowed(&call.cx.queue)),
            Self::Arg(index) => arguments.args.get(*index).map(plain).ok_or_else(|| {
                let given = arguments.args.len();
                Failure::argument(format!(
                    "positional argument {index} (counted from 0) is missing: the call has {given}"
                ))
            }),
            Self::Kwarg(name) => arguments.kwargs.get(name).map(plain).ok_or_else(|| {
                Failure::argument(format!("keyword argument `{name}` is missing from the call"))
            }),
        }
    }
}

/// Whether an argument can be named so: letters, digits, `_`, `-` and `.`.
fn is_name(text: &str) -> bool {
    let may = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.');
    !text.is_empty() && text.chars().all(may)
}

/// Strings as they are, anything else as JSON.
fn plain(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

struct Parser<'t> {
    template: &'t str,
    rest: &'t str,
    parts: Vec<Part>,
    text: String,
}

impl Parser<'_> {
    fn run(mut self) -> Result<Template, TemplateError> {
        while let Some(at) = self.rest.find(['{', '}']) {
            self.text.push_str(&self.rest[..at]);
            self.rest = &self.rest[at..];
            self.brace()?;
        }
        self.text.push_str(self.rest);
        self.end_text();
        Ok(Template { parts: self.parts })
    }

    /// Takes what begins at a brace.
    fn brace(&mut self) -> Result<(), TemplateError> {
        for (escape, brace) in [("{{", '{'), ("}}", '}')] {
            if let Some(rest) = self.rest.strip_prefix(escape) {
                self.text.push(brace);
                self.rest = rest;
                return Ok(());
            }
        }
        let Some(inside) = self.rest.strip_prefix('{') else {
            return Err(self.error("`}` closes nothing; write `}}` for a brace"));
        };
        let Some((name, rest)) = inside.split_once('}') else {
            return Err(self.error("`{` is never closed; write `{{` for a brace"));
        };
        if name.is_empty() {
            return Err(self.error("`{}` names no argument; write `{0}` or `{name}`"));
        }
        if name.contains('{') {
            return Err(self.error("`{` inside braces; a name ends with `}`"));
        }
        if !is_name(name.strip_prefix("kwargs.").unwrap_or(name)) {
            return Err(
                self.error("this is no name of an argument; write `{{` and `}}` for braces")
            );
        }
        let Some(place) = Place::parse(name) else {
            return Err(self.error("no call has that many arguments"));
        };
        self.rest = rest;
        self.end_text();
        self.parts.push(Part::Place(place));
        Ok(())
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            self.parts.push(Part::Text(std::mem::take(&mut self.text)));
        }
    }

    fn error(&self, problem: &'static str) -> TemplateError {
        let before = self.template.len() - self.rest.len();
        let position = self.template[..before].chars().count() + 1;
        TemplateError { template: self.template.to_owned(), position, problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::call::Given;
    use crate::handler::testing::{arguments, context};
    use serde_json::json;

    fn filled(template: &str, arguments: &Given) -> Result<String, String> {
        let cx = context("video.thumb", "id-1");
        let call = Call { cx: &cx, arguments };
        let filled = Template::parse(template).unwrap().render(call, String::push_str);
        filled.map_err(|failure| failure.to_string())
    }

    #[test]
    fn places_are_filled_with_plain_strings_and_with_json_for_the_rest() {
        let arguments = arguments(
            json!(["a b", 2]),
            json!({"name": "x; rm -rf /", "size": [1, 2], "none": null, "id": "mine", "é": true}),
        );
        for (template, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("{0}/{1}", "a b/2"),
            ("--name={name}!", "--name=x; rm -rf /!"),
            ("{size} {none} {é}", "[1,2] null true"),
            ("{id} {attempt} {task} {queue}", "id-1 1 video.thumb media"),
            ("{kwargs.id}", "mine"),
            ("{{{0}}} }}{{", "{a b} }{"),
        ] {
            assert_eq!(filled(template, &arguments).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn a_missing_argument_is_named() {
        let none = Given::default();
        let by_position = filled("{2}", &none).unwrap_err();
        assert!(by_position.contains("ArgumentError: positional argument 2"), "{by_position}");
        let by_name = filled("{path}", &none).unwrap_err();
        assert!(by_name.contains("keyword argument `path` is missing"), "{by_name}");
    }

    #[test]
    fn a_broken_template_says_where() {
        for (template, position) in
            [("a{", 2), ("é}x", 2), ("ab{}", 3), ("{a{b}", 1), ("{99999999999999999999999}", 1)]
                .into_iter()
                .chain([("{ echo x; }", 1), ("ab{a b}", 3), ("{kwargs.}", 1), ("${HOME:-/}", 2)])
        {
            assert_eq!(Template::parse(template).unwrap_err().position, position, "{template}");
        }
    }
}
