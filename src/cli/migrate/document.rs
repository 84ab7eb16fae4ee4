//! A TOML document that is being written, with what could not be.

use std::fmt::Write as _;

/// The text, section by section, and the notes at its end.
#[derive(Debug, Default)]
pub(super) struct Document {
    text: String,
    notes: Vec<Note>,
}

/// Something of Celery's that is not in the text, and why.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(super) struct Note {
    /// The setting, task or schedule.
    pub(super) subject: String,
    /// Why, or what to do.
    pub(super) why: String,
}

impl Document {
    /// Begins `[section]`.
    pub(super) fn section(&mut self, keys: &[&str]) {
        let name: Vec<String> = keys.iter().map(|name| key(name)).collect();
        let _ = writeln!(self.text, "\n[{}]", name.join("."));
    }

    /// `name = value`
    pub(super) fn set(&mut self, name: &str, value: impl Into<toml::Value>) {
        let _ = writeln!(self.text, "{} = {}", key(name), value.into());
    }

    /// The same, if there is a value.
    pub(super) fn maybe(&mut self, name: &str, value: Option<impl Into<toml::Value>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Lines behind `# `, for whoever reads the file.
    pub(super) fn comment(&mut self, lines: &str) {
        for line in lines.lines() {
            let _ = writeln!(self.text, "# {line}");
        }
    }

    /// Something that is not in the text.
    pub(super) fn note(&mut self, subject: impl Into<String>, why: impl Into<String>) {
        self.notes.push(Note { subject: subject.into(), why: why.into() });
    }

    /// The text with the notes, and the notes.
    pub(super) fn finish(mut self) -> (String, Vec<Note>) {
        if !self.notes.is_empty() {
            self.text.push('\n');
            self.comment("Not taken over:\n");
            let lines: Vec<_> =
                self.notes.iter().map(|note| format!("- {}: {}", note.subject, note.why)).collect();
            self.comment(&lines.join("\n"));
        }
        (self.text, self.notes)
    }
}

/// A key as TOML wants it.
fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match !name.is_empty() && name.chars().all(is_bare) {
        true => name.to_owned(),
        // JSON's strings are TOML's, but for this one character.
        false => serde_json::Value::from(name).to_string().replace('\u{7f}', "\\u007f"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_name_holds_the_text_can_be_read() {
        let mut document = Document::default();
        let name = "mail.\"send\" # now\n\u{7f}";
        document.section(&["tasks", name]);
        document.set(name, vec!["a\"b\n", "c"]);
        document.note("x\ny", "z");
        let (text, _) = document.finish();
        let read: toml::Table = text.parse().unwrap();
        assert_eq!(read["tasks"][name][name][0].as_str(), Some("a\"b\n"), "{text}");
    }
}
