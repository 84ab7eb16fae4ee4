//! The address of a call: a template whose values can change neither the host nor the path around
//! them.

use crate::handler::Failure;
use crate::handler::call::Call;
use crate::handler::template::{Template, TemplateError};
use reqwest::Url;

/// A URL with places to fill in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Address {
    template: Template,
}

/// Why a text is no address of a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The text cannot be read as a template.
    #[error("the URL: {0}")]
    Template(#[from] TemplateError),
    /// The text is no URL.
    #[error("the URL cannot be read: {0}")]
    Invalid(String),
    /// A URL for something else than HTTP.
    #[error("the URL begins with `{0}:`; only http and https are called")]
    Scheme(String),
    /// The sender of a task must not choose which host is called.
    #[error("the URL has a place before the end of its host; the first may come after the `/`")]
    HostFromCall,
}

impl Address {
    /// Reads the template of a URL.
    pub(super) fn parse(text: &str) -> Result<Self, AddressError> {
        let template = Template::parse(text)?;
        let fixed = template.prefix();
        let host_ends = fixed.find("://").is_some_and(|at| fixed[at + 3..].contains(['/', '?']));
        if !host_ends && !template.is_constant() {
            return Err(AddressError::HostFromCall);
        }
        let url = Url::parse(fixed).map_err(|error| AddressError::Invalid(error.to_string()))?;
        match url.scheme() {
            "http" | "https" => Ok(Self { template }),
            other => Err(AddressError::Scheme(other.to_owned())),
        }
    }

    /// The URL of one call.
    pub(super) fn fill(&self, call: Call<'_>) -> Result<Url, Failure> {
        let text = self.template.render(call, encode)?;
        if text.split(['?', '#']).next().unwrap_or_default().split('/').any(leads_elsewhere) {
            return Err(Failure::argument("a part of the URL's path would be `.` or `..`"));
        }
        Url::parse(&text)
            .map_err(|error| Failure::argument(format!("the URL cannot be read: {error}")))
    }
}

/// Whether a part of a path moves within the path. Dots may also be written `%2e`.
fn leads_elsewhere(part: &str) -> bool {
    let part = part.replace("%2e", ".").replace("%2E", ".");
    part == "." || part == ".."
}

/// Appends `value` such that it stands for itself wherever in a URL it is.
fn encode(text: &mut String, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::testing::{arguments, context};
    use serde_json::json;

    fn filled(template: &str, value: &str) -> Result<String, Failure> {
        let cx = context("t", "id-1");
        let arguments = arguments(json!([value]), json!({}));
        let call = Call { cx: &cx, arguments: &arguments };
        Address::parse(template).unwrap().fill(call).map(String::from)
    }

    #[test]
    fn a_value_stays_the_value_it_is() {
        for (template, value, url) in [
            ("http://h/a/{0}", "b c", "http://h/a/b%20c"),
            ("http://h/a/{0}/d", "../x?y#z", "http://h/a/..%2Fx%3Fy%23z/d"),
            ("http://h/?q={0}&r=1", "a&r=2", "http://h/?q=a%26r%3D2&r=1"),
            ("http://h/?q={0}", "..", "http://h/?q=.."),
            ("https://h:8443/{0}{id}", "é%", "https://h:8443/%C3%A9%25id-1"),
            ("http://h", "unused", "http://h/"),
        ] {
            assert_eq!(filled(template, value).unwrap(), url);
        }
    }

    #[test]
    fn a_value_cannot_leave_its_place_in_the_path() {
        for (template, value) in [
            ("http://h/a/{0}", ".."),
            ("http://h/a/{0}/b", "."),
            ("http://h/a/.{0}", "."),
            ("http://h/%2e{0}", "."),
        ] {
            assert!(filled(template, value).unwrap_err().to_string().contains("`..`"));
        }
    }

    #[test]
    fn what_cannot_be_an_address_is_refused_at_start() {
        let refused = |text| Address::parse(text).unwrap_err();
        for text in [
            "http://{0}/",
            "http://{0}",
            "{0}",
            "http://h{0}/x",
            "http://h:{0}/",
            "http://u:{0}@h/",
        ] {
            assert_eq!(refused(text), AddressError::HostFromCall, "{text}");
        }
        assert_eq!(refused("ftp://h/{0}"), AddressError::Scheme("ftp".to_owned()));
        assert!(matches!(refused("/path"), AddressError::Invalid(_)));
        assert!(matches!(refused("http://h/{"), AddressError::Template(_)));
    }
}
