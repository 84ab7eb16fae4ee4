//! From the pieces of a text to what it says.

use super::error::Mistake;
use super::lex::{Form, Lexeme, Parts, Piece, Raw, lex};
use super::{Expr, Fields, FilterError, Given, Span, Term, read};
use std::iter::Peekable;
use std::vec::IntoIter;

/// A filter has no more characters than this.
const LONGEST: usize = 8192;

/// Parentheses and negations are not nested deeper than this.
const DEEPEST: usize = 32;

/// A filter has no more values, words and phrases than this.
const MOST: usize = 256;

/// So much of a filter that is too long is shown.
const SHOWN: usize = 60;

/// Reads a filter that names some of `fields`. One without text says nothing: [`Expr::EVERYTHING`].
///
/// # Errors
/// Where the text is no filter, names another field, or says about a field what cannot be said.
pub fn parse(text: &str, fields: &Fields) -> Result<Expr, FilterError> {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() > LONGEST {
        let beginning: String = chars[..SHOWN].iter().chain(&['…']).collect();
        let message = format!("a filter has at most {LONGEST} characters");
        return Err(Mistake::new(Span { at: SHOWN, length: 1 }, message).within(&beginning));
    }
    if let Some(at) = chars.iter().position(|c| *c == '\0') {
        let mistake = Mistake::new(Span { at, length: 1 }, "a filter has no zero character in it");
        return Err(mistake.within(text));
    }
    let pieces = lex(&chars).into_iter().peekable();
    let parser = Parser { pieces, fields, open: Vec::new(), depth: 0, values: 0 };
    parser.whole().map_err(|mistake| mistake.within(text))
}

struct Parser<'a> {
    pieces: Peekable<IntoIter<Piece>>,
    fields: &'a Fields,
    /// The parentheses that are open.
    open: Vec<Span>,
    depth: usize,
    values: usize,
}

impl Parser<'_> {
    fn whole(mut self) -> Result<Expr, Mistake> {
        if self.pieces.peek().is_none() {
            return Ok(Expr::EVERYTHING);
        }
        let whole = self.or(Span::default())?;
        match self.pieces.next() {
            None => Ok(whole),
            Some(piece) => Err(Mistake::new(piece.span, "this parenthesis was not opened")),
        }
    }

    /// `before` is what asks for it, in case that there is nothing.
    fn or(&mut self, before: Span) -> Result<Expr, Mistake> {
        let mut parts = vec![self.and(before)?];
        while let Some(piece) = self.pieces.next_if(|piece| matches!(piece.lexeme, Lexeme::Or)) {
            parts.push(self.and(piece.span)?);
        }
        Ok(one_or(parts, Expr::Or))
    }

    fn and(&mut self, before: Span) -> Result<Expr, Mistake> {
        let mut parts = vec![self.not(before)?];
        while let Some(piece) = self.pieces.peek() {
            match piece.lexeme {
                Lexeme::Or | Lexeme::Close => break,
                Lexeme::And => {
                    let and = piece.span;
                    self.pieces.next();
                    parts.push(self.not(and)?);
                }
                _ => parts.push(self.not(before)?),
            }
        }
        Ok(one_or(parts, Expr::And))
    }

    fn not(&mut self, before: Span) -> Result<Expr, Mistake> {
        match self.pieces.next_if(|piece| matches!(piece.lexeme, Lexeme::Not)) {
            None => self.atom(before),
            Some(Piece { span, .. }) => {
                let negated = self.deeper(span, |parser| parser.not(span))?;
                Ok(Expr::Not(Box::new(negated)))
            }
        }
    }

    fn atom(&mut self, before: Span) -> Result<Expr, Mistake> {
        let Some(Piece { lexeme, span }) = self.pieces.next() else {
            return Err(match self.open.last() {
                Some(open) => unclosed(*open),
                None => Mistake::new(before, "something is missing behind this"),
            });
        };
        match lexeme {
            Lexeme::Open => self.deeper(span, |parser| parser.inside(span)),
            Lexeme::Term(parts) => self.term(&parts, span).map(Expr::Term),
            Lexeme::Bare(raw) => self.bare(&raw),
            Lexeme::And | Lexeme::Or | Lexeme::Not => {
                Err(Mistake::new(span, "something is missing before this"))
            }
            Lexeme::Close if self.open.is_empty() => {
                Err(Mistake::new(span, "this parenthesis was not opened"))
            }
            Lexeme::Close => Err(Mistake::new(span, "something is missing before this")),
        }
    }

    fn inside(&mut self, open: Span) -> Result<Expr, Mistake> {
        self.open.push(open);
        let inside = self.or(open)?;
        self.open.pop();
        // What ends an `or` is the end of the text, or this.
        self.pieces.next().map(|_| inside).ok_or_else(|| unclosed(open))
    }

    fn deeper(
        &mut self,
        span: Span,
        read: impl FnOnce(&mut Self) -> Result<Expr, Mistake>,
    ) -> Result<Expr, Mistake> {
        if self.depth == DEEPEST {
            let message = format!("nothing is nested deeper than {DEEPEST} times");
            return Err(Mistake::new(span, message));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn term(&mut self, parts: &Parts, span: Span) -> Result<Term, Mistake> {
        let name = parts.name.text.as_str();
        let (field, path) =
            self.fields.find(name).ok_or_else(|| self.fields.unknown(&parts.name))?;
        read::op(field, parts)?;
        let mut values = Vec::with_capacity(parts.values.len());
        for raw in &parts.values {
            self.count(raw.span)?;
            let value = read::value(field, parts, raw)?;
            values.push(Given { value, span: raw.span });
        }
        Ok(Term { field, path: path.to_owned(), values, span })
    }

    fn bare(&mut self, raw: &Raw) -> Result<Expr, Mistake> {
        self.count(raw.span)?;
        self.fields.refuse_bare(raw)?;
        raw.closed()?;
        if raw.text.is_empty() || raw.is_star() {
            return Err(Mistake::new(raw.span, "this says nothing without a field"));
        }
        Ok(match raw.form {
            Form::Plain => Expr::Word(raw.pattern(), raw.span),
            _ => Expr::Phrase(raw.text.clone(), raw.span),
        })
    }

    /// Counts a value, a word or a phrase.
    fn count(&mut self, span: Span) -> Result<(), Mistake> {
        self.values += 1;
        match self.values {
            ..=MOST => Ok(()),
            _ => Err(Mistake::new(span, format!("a filter has at most {MOST} values"))),
        }
    }
}

fn unclosed(open: Span) -> Mistake {
    Mistake::new(open, "this parenthesis is not closed")
}

fn one_or(mut parts: Vec<Expr>, many: impl Fn(Vec<Expr>) -> Expr) -> Expr {
    match parts.pop() {
        Some(one) if parts.is_empty() => one,
        last => {
            parts.extend(last);
            many(parts)
        }
    }
}
