//! Asking for a secret: from a terminal without showing it, else from standard input.

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{self, BufRead, IsTerminal, Read, Write};

/// No secret is longer, in bytes.
const LONGEST: u64 = 8 * 1024;

/// A line of standard input, without its end. A terminal is asked twice.
///
/// # Errors
/// When nothing is given, or twice not the same.
pub(super) fn ask(what: &str) -> io::Result<String> {
    if !io::stdin().is_terminal() {
        return line();
    }
    let hidden = Hidden::begin()?;
    let first = prompt(&format!("{what}: "))?;
    let again = prompt(&format!("{what} again: "))?;
    drop(hidden);
    match first == again {
        true => Ok(first),
        false => Err(io::Error::other("the two are not the same")),
    }
}

fn prompt(text: &str) -> io::Result<String> {
    let mut terminal = io::stderr();
    write!(terminal, "{text}")?;
    terminal.flush()?;
    let line = line();
    writeln!(terminal)?;
    line
}

fn line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().take(LONGEST).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(line)
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}
