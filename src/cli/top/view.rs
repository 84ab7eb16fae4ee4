//! What is shown of what was seen, and what keys change about it. Pure.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct View {
    pub(super) part: Part,
    pub(super) help: Help,
}

/// Which part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Part {
    #[default]
    All,
    Queues,
    Workers,
}

/// Whether the keys are explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Help {
    #[default]
    Hidden,
    Shown,
}

/// What follows a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Goes,
    LooksAgain,
    Quits,
}

impl View {
    /// Takes a key.
    pub(super) fn press(&mut self, key: KeyEvent) -> After {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if is_control => return After::Quits,
            KeyCode::Esc if self.help == Help::Shown => self.help = Help::Hidden,
            KeyCode::Char('q') | KeyCode::Esc => return After::Quits,
            KeyCode::Char('r') => return After::LooksAgain,
            KeyCode::Char('1') => self.part = Part::All,
            KeyCode::Char('2') => self.part = Part::Queues,
            KeyCode::Char('3') => self.part = Part::Workers,
            KeyCode::Char('?') => {
                self.help = match self.help {
                    Help::Hidden => Help::Shown,
                    Help::Shown => Help::Hidden,
                }
            }
            _ => {}
        }
        After::Goes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode) -> KeyEvent {
        KeyEvent::new(code, KeyModifiers::NONE)
    }

    #[test]
    fn keys_choose_what_is_shown() {
        let mut view = View::default();
        for (letter, part) in [('2', Part::Queues), ('3', Part::Workers), ('1', Part::All)] {
            assert_eq!(view.press(key(KeyCode::Char(letter))), After::Goes);
            assert_eq!(view.part, part);
        }
        assert_eq!(view.press(key(KeyCode::Char('r'))), After::LooksAgain);
        assert_eq!(view.press(key(KeyCode::Char('x'))), After::Goes);
        assert_eq!(view, View::default());
    }

    #[test]
    fn escape_closes_the_help_first_and_then_the_program() {
        let mut view = View::default();
        view.press(key(KeyCode::Char('?')));
        assert_eq!(view.help, Help::Shown);
        assert_eq!(view.press(key(KeyCode::Esc)), After::Goes);
        assert_eq!(view.help, Help::Hidden);
        assert_eq!(view.press(key(KeyCode::Esc)), After::Quits);
        assert_eq!(view.press(key(KeyCode::Char('q'))), After::Quits);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(view.press(interrupt), After::Quits);
        assert_eq!(view.press(key(KeyCode::Char('c'))), After::Goes);
    }
}
