//! Parameters, which stand in the query or in a form.

use super::refusal::Refusal;
use axum::extract::{Form, FromRequest, Query, Request};
use axum::http::{HeaderMap, header};
use std::str::FromStr;

/// What was given.
#[derive(Debug, Default)]
pub(super) struct Given(Vec<(String, String)>);

impl Given {
    /// The text of a parameter; an empty one is none.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, text)| text.as_str()).filter(|text| !text.is_empty())
    }

    /// A parameter of a filter: in forms of Flower `All` is none.
    pub(super) fn choice(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|text| *text != "All")
    }

    /// A parameter that cannot be missing.
    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.text(name).ok_or_else(|| Refusal::invalid(format!("Missing argument {name}")))
    }

    /// A number.
    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let wrong = |_| Refusal::invalid(format!("Invalid argument '{name}'"));
        self.text(name).map(|text| text.parse().map_err(wrong)).transpose()
    }

    /// A number that cannot be missing.
    pub(super) fn required_number<T: FromStr>(&self, name: &str) -> Result<T, Refusal> {
        self.required(name)?;
        let missing = || Refusal::invalid(format!("Missing argument {name}"));
        self.number(name)?.ok_or_else(missing)
    }

    /// Whether something is wished.
    pub(super) fn is_wished(&self, name: &str) -> bool {
        let word = self.text(name).unwrap_or_default().to_lowercase();
        matches!(word.as_str(), "true" | "t" | "yes" | "y" | "on" | "1")
    }
}

impl<S: Send + Sync> FromRequest<S> for Given {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let query = Query::try_from_uri(request.uri());
        let Query(mut given): Query<Vec<_>> =
            query.map_err(|error| Refusal::invalid(error.body_text()))?;
        if is_form(request.headers()) {
            let form = Form::from_request(request, state).await;
            let Form(more): Form<Vec<_>> =
                form.map_err(|error| Refusal::invalid(error.body_text()))?;
            given.extend(more);
        }
        Ok(Self(given))
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes()).unwrap_or_default();
    kind.starts_with(b"application/x-www-form-urlencoded")
}

#[cfg(test)]
impl Given {
    /// These.
    pub(super) fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_as_flower_reads_them() {
        let given = Given::of(&[
            ("limit", "7"),
            ("state", "All"),
            ("terminate", "True"),
            ("n", "x"),
            ("e", ""),
        ]);
        assert_eq!(given.number::<usize>("limit"), Ok(Some(7)));
        assert_eq!((given.choice("state"), given.text("state")), (None, Some("All")));
        assert!(given.is_wished("terminate") && !given.is_wished("n") && !given.is_wished("none"));
        assert!(given.number::<usize>("n").is_err() && given.required("e").is_err());
        assert_eq!(given.number::<usize>("none"), Ok(None));
    }
}
