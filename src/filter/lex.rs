//! From text to its pieces. Never fails: what is odd is noted, and told by who reads the pieces.

use super::Span;

/// A piece of a filter, with its place.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) lexeme: Lexeme,
    pub(super) span: Span,
}

#[derive(Debug)]
pub(super) enum Lexeme {
    Open,
    Close,
    And,
    Or,
    Not,
    Bare(Raw),
    Term(Parts),
}

/// `name op value, value`, as written. There is at least one value, which may be empty.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) name: Raw,
    pub(super) op: Op,
    pub(super) op_span: Span,
    pub(super) values: Vec<Raw>,
}

/// A word or a phrase as written, without its quotes.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) text: String,
    pub(super) form: Form,
    pub(super) span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Phrase,
    /// A phrase with `*` behind its end.
    Beginning,
    /// A phrase without an end.
    Endless,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Is,
    Contains,
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// The longer ones first.
const OPS: [(&str, Op); 6] = [
    (":>=", Op::AtLeast),
    (":<=", Op::AtMost),
    (":>", Op::Above),
    (":<", Op::Below),
    (":~", Op::Contains),
    (":", Op::Is),
];

impl Op {
    pub(super) fn as_str(self) -> &'static str {
        OPS.iter().find(|(_, op)| *op == self).map_or(":", |(text, _)| text)
    }
}

/// The pieces of a text.
pub(super) fn lex(text: &[char]) -> Vec<Piece> {
    let mut lexer = Lexer { text, at: 0 };
    std::iter::from_fn(|| lexer.piece()).collect()
}

struct Lexer<'a> {
    text: &'a [char],
    at: usize,
}

impl Lexer<'_> {
    fn piece(&mut self) -> Option<Piece> {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
        let start = self.at;
        let lexeme = match self.peek()? {
            '(' => self.sign(Lexeme::Open),
            ')' => self.sign(Lexeme::Close),
            '-' => self.sign(Lexeme::Not),
            '"' => Lexeme::Bare(self.phrase()),
            _ => self.word(),
        };
        Some(Piece { lexeme, span: self.since(start) })
    }

    fn sign(&mut self, lexeme: Lexeme) -> Lexeme {
        self.at += 1;
        lexeme
    }

    /// A field with what follows it, a word of the grammar, or a bare word.
    fn word(&mut self) -> Lexeme {
        let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | ':');
        let start = self.at;
        while self.peek().is_some_and(|c| !ends(c)) {
            self.at += 1;
        }
        let word = self.plain_since(start);
        if self.peek() == Some(':') {
            return Lexeme::Term(self.parts(word));
        }
        match word.text.to_ascii_uppercase().as_str() {
            "AND" => Lexeme::And,
            "OR" => Lexeme::Or,
            "NOT" => Lexeme::Not,
            _ => Lexeme::Bare(word),
        }
    }

    fn parts(&mut self, name: Raw) -> Parts {
        let start = self.at;
        let begins = |op: &str| self.text[start..].iter().copied().take(op.len()).eq(op.chars());
        let (length, op) = OPS
            .into_iter()
            .find(|(text, _)| begins(text))
            .map_or((1, Op::Is), |(text, op)| (text.len(), op));
        self.at += length;
        let op_span = self.since(start);
        let mut values = vec![self.value()];
        while self.peek() == Some(',') {
            self.at += 1;
            values.push(self.value());
        }
        Parts { name, op, op_span, values }
    }

    fn value(&mut self) -> Raw {
        if self.peek() == Some('"') {
            return self.phrase();
        }
        let start = self.at;
        // What an error's text has in parentheses belongs to it: `error:KeyError('a','b')`.
        let mut inside = 0_usize;
        while let Some(c) = self.peek() {
            match c {
                '(' if self.at > start => inside += 1,
                ')' if inside > 0 => inside -= 1,
                ',' if inside > 0 => {}
                '(' | ')' | ',' => break,
                _ if c.is_whitespace() => break,
                _ => {}
            }
            self.at += 1;
        }
        self.plain_since(start)
    }

    /// Text in double quotes, in which a backslash takes the meaning from a quote or a backslash.
    fn phrase(&mut self) -> Raw {
        let start = self.at;
        self.at += 1;
        let (mut text, mut form) = (String::new(), Form::Endless);
        while let Some(c) = self.peek() {
            self.at += 1;
            match (c, self.peek()) {
                ('"', Some('*')) => {
                    self.at += 1;
                    form = Form::Beginning;
                    break;
                }
                ('"', _) => {
                    form = Form::Phrase;
                    break;
                }
                ('\\', Some(escaped @ ('"' | '\\'))) => {
                    self.at += 1;
                    text.push(escaped);
                }
                _ => text.push(c),
            }
        }
        Raw { text, form, span: self.since(start) }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn since(&self, start: usize) -> Span {
        Span { at: start, length: self.at - start }
    }

    fn plain_since(&self, start: usize) -> Raw {
        let text = self.text[start..self.at].iter().collect();
        Raw { text, form: Form::Plain, span: self.since(start) }
    }
}
