//! Conditions as text.

use super::{Comparison, DEEPEST, FilterError, Function, GEOMETRY, Node, between, negate, pattern};
use crate::{
    model::Value,
    query::region::{Region, RegionError},
    store::read_time,
};

/// Words that begin a geometry.
const GEOMETRIES: [&str; 8] =
    ["point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "bbox"];

pub(super) fn parse(text: &str) -> Result<Node, FilterError> {
    let mut parser = Parser { text, tokens: tokens(text)?, next: 0, depth: 0 };
    let root = parser.or()?;
    match parser.peek() {
        Token::End => Ok(root),
        other => Err(parser.error(format!("{} is not expected here", other.said()))),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(Value),
    Text(String),
    /// A plain word: keyword, function or field.
    Word(String),
    /// A field in double quotes.
    Quoted(String),
    Sign(&'static str),
    End,
}

impl Token {
    fn said(&self) -> String {
        match self {
            Token::Number(v) => format!("{v}"),
            Token::Text(t) => format!("'{t}'"),
            Token::Word(w) => format!("{w:?}"),
            Token::Quoted(q) => format!("{q:?}"),
            Token::Sign(s) => format!("{s:?}"),
            Token::End => "the end".into(),
        }
    }
}

const SIGNS: [&str; 11] = ["<=", ">=", "<>", "!=", "==", "=", "<", ">", "(", ")", ","];

/// The text in tokens, each with the character it starts at.
fn tokens(text: &str) -> Result<Vec<(usize, Token)>, FilterError> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let start = at;
        let error = |reason: &str| FilterError { position: start + 1, reason: reason.into() };
        if c.is_whitespace() {
            at += 1;
            continue;
        }
        let token = if c == '\'' || c == '"' {
            let mut inner = String::new();
            at += 1;
            loop {
                match chars.get(at) {
                    // A quote is written twice to stand in the text.
                    Some(&q) if q == c && chars.get(at + 1) == Some(&c) => {
                        inner.push(c);
                        at += 2;
                    }
                    // CQL2 lets a backslash do the same.
                    Some('\\') if c == '\'' && chars.get(at + 1) == Some(&c) => {
                        inner.push(c);
                        at += 2;
                    }
                    Some(&q) if q == c => break,
                    Some(&other) => {
                        inner.push(other);
                        at += 1;
                    }
                    None => return Err(error("the quote does not end")),
                }
            }
            at += 1;
            if c == '\'' { Token::Text(inner) } else { Token::Quoted(inner) }
        } else if c.is_ascii_digit()
            || ((c == '-' || c == '.') && chars.get(at + 1).is_some_and(|d| d.is_ascii_digit() || *d == '.'))
        {
            at += 1;
            while chars.get(at).is_some_and(|d| {
                d.is_ascii_digit()
                    || *d == '.'
                    || matches!(d, 'e' | 'E')
                    || (matches!(d, '+' | '-') && matches!(chars[at - 1], 'e' | 'E'))
            }) {
                at += 1;
            }
            let word: String = chars[start..at].iter().collect();
            let whole = word.parse::<i64>().ok().map(Value::Int);
            let real = || word.parse::<f64>().ok().filter(|r| r.is_finite()).map(Value::Real);
            Token::Number(whole.or_else(real).ok_or_else(|| error(&format!("{word} is no number")))?)
        } else if c.is_alphabetic() || c == '_' {
            while chars.get(at).is_some_and(|d| d.is_alphanumeric() || matches!(d, '_' | '.' | '#' | ':')) {
                at += 1;
            }
            Token::Word(chars[start..at].iter().collect())
        } else {
            let rest: String = chars[at..(at + 2).min(chars.len())].iter().collect();
            let sign = SIGNS
                .iter()
                .find(|s| rest.starts_with(**s))
                .ok_or_else(|| error(&format!("{c:?} has no meaning here")))?;
            at += sign.chars().count();
            Token::Sign(sign)
        };
        found.push((start + 1, token));
    }
    found.push((chars.len() + 1, Token::End));
    Ok(found)
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)].1
    }

    fn error(&self, reason: impl Into<String>) -> FilterError {
        FilterError { position: self.tokens[self.next.min(self.tokens.len() - 1)].0, reason: reason.into() }
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(w) if w.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is = self.is_word(word);
        self.next += usize::from(is);
        is
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let is = matches!(self.peek(), Token::Sign(s) if *s == sign);
        self.next += usize::from(is);
        is
    }

    fn expect_sign(&mut self, sign: &str) -> Result<(), FilterError> {
        if self.take_sign(sign) {
            return Ok(());
        }
        Err(self.error(format!("{sign:?} is expected instead of {}", self.peek().said())))
    }

    fn expect_word(&mut self, word: &str) -> Result<(), FilterError> {
        if self.take_word(word) {
            return Ok(());
        }
        Err(self.error(format!("{word:?} is expected instead of {}", self.peek().said())))
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, FilterError>) -> Result<T, FilterError> {
        if self.depth == DEEPEST {
            return Err(self.error(format!("nested deeper than {DEEPEST}")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn or(&mut self) -> Result<Node, FilterError> {
        self.deeper(|parser| {
            let mut parts = vec![parser.and()?];
            while parser.take_word("or") {
                parts.push(parser.and()?);
            }
            Ok(if parts.len() == 1 { parts.remove(0) } else { Node::Or(parts) })
        })
    }

    fn and(&mut self) -> Result<Node, FilterError> {
        let mut parts = vec![self.not()?];
        while self.take_word("and") {
            parts.push(self.not()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Node::And(parts) })
    }

    fn not(&mut self) -> Result<Node, FilterError> {
        if self.take_word("not") {
            return self.deeper(|parser| Ok(Node::Not(Box::new(parser.not()?))));
        }
        self.test()
    }

    fn test(&mut self) -> Result<Node, FilterError> {
        let left = self.operand()?;
        if self.take_word("is") {
            let negated = self.take_word("not");
            self.expect_word("null")?;
            return Ok(negate(Node::IsNull(Box::new(left)), negated));
        }
        let negated = self.take_word("not");
        if self.take_word("like") {
            return match self.take() {
                Token::Text(like) => Ok(negate(Node::Like(Box::new(left), pattern(&like)), negated)),
                other => {
                    self.next -= 1;
                    Err(self.error(format!("a text in single quotes is expected instead of {}", other.said())))
                }
            };
        }
        if self.take_word("in") {
            self.expect_sign("(")?;
            let mut values = vec![self.literal()?];
            while self.take_sign(",") {
                values.push(self.literal()?);
            }
            self.expect_sign(")")?;
            return Ok(negate(Node::In(Box::new(left), values), negated));
        }
        if self.take_word("between") {
            let low = self.operand()?;
            self.expect_word("and")?;
            let high = self.operand()?;
            return Ok(negate(between(left, low, high), negated));
        }
        if negated {
            return Err(self.error("\"like\", \"in\" or \"between\" is expected after \"not\""));
        }
        let comparison = match self.peek() {
            Token::Sign("=" | "==") => Comparison::Equal,
            Token::Sign("<>" | "!=") => Comparison::Unequal,
            Token::Sign("<") => Comparison::Less,
            Token::Sign("<=") => Comparison::LessOrEqual,
            Token::Sign(">") => Comparison::Greater,
            Token::Sign(">=") => Comparison::GreaterOrEqual,
            _ => return Ok(left),
        };
        self.next += 1;
        Ok(Node::Compare(comparison, Box::new(left), Box::new(self.operand()?)))
    }

    fn literal(&mut self) -> Result<Value, FilterError> {
        match self.take() {
            Token::Number(value) => Ok(value),
            Token::Text(text) => Ok(Value::Text(text)),
            Token::Word(w) if w.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
            Token::Word(w) if w.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
            other => {
                self.next -= 1;
                Err(self.error(format!("a number or a text in single quotes is expected instead of {}", other.said())))
            }
        }
    }

    fn operand(&mut self) -> Result<Node, FilterError> {
        match self.take() {
            Token::Number(value) => Ok(Node::Literal(value)),
            Token::Text(text) => Ok(Node::Literal(Value::Text(text))),
            Token::Quoted(name) => Ok(Node::Field(name)),
            Token::Sign("(") => {
                let inner = self.or()?;
                self.expect_sign(")")?;
                Ok(inner)
            }
            Token::Word(word) => {
                let lower = word.to_ascii_lowercase();
                if let Some(function) = Function::parse(&lower)
                    && self.take_sign("(")
                {
                    let inner = self.deeper(Parser::operand)?;
                    self.expect_sign(")")?;
                    return Ok(Node::Call(function, Box::new(inner)));
                }
                if matches!(lower.as_str(), "date" | "timestamp") && self.take_sign("(") {
                    return self.time();
                }
                if lower == "s_intersects" && self.take_sign("(") {
                    return self.meets();
                }
                match lower.as_str() {
                    "true" | "false" => Ok(Node::Literal(Value::Bool(lower == "true"))),
                    "and" | "or" | "not" | "like" | "in" | "is" | "null" | "between" => {
                        self.next -= 1;
                        Err(self.error(format!(
                            "{word:?} is not expected here; write a field of that name in double quotes"
                        )))
                    }
                    _ => Ok(Node::Field(word)),
                }
            }
            other => {
                self.next -= 1;
                Err(self.error(format!("a field, a number or a text is expected instead of {}", other.said())))
            }
        }
    }

    /// What stands in the brackets of `date(…)`.
    fn time(&mut self) -> Result<Node, FilterError> {
        let time = match self.peek() {
            Token::Text(text) => read_time(text).filter(|_| text.contains('-')),
            _ => None,
        };
        let Some(ms) = time else {
            self.next = self.next.saturating_sub(2);
            return Err(
                self.error("a time is expected, such as date('2026-01-31') or timestamp('2026-01-31T08:00:00Z')")
            );
        };
        self.next += 1;
        self.expect_sign(")")?;
        Ok(Node::Time(ms))
    }

    /// What stands in the brackets of `s_intersects(…)`.
    fn meets(&mut self) -> Result<Node, FilterError> {
        let is_first = self.take_geometry_field();
        if is_first {
            self.expect_sign(",")?;
        }
        let region = self.place()?;
        if !is_first {
            self.expect_sign(",")?;
            if !self.take_geometry_field() {
                return Err(self.error(format!("{GEOMETRY:?} is expected instead of {}", self.peek().said())));
            }
        }
        self.expect_sign(")")?;
        Ok(Node::Meets(Box::new(region)))
    }

    fn take_geometry_field(&mut self) -> bool {
        let is = matches!(self.peek(), Token::Word(name) | Token::Quoted(name) if name == GEOMETRY);
        self.next += usize::from(is);
        is
    }

    fn place(&mut self) -> Result<Region, FilterError> {
        let (start, first) = (self.next, self.tokens[self.next.min(self.tokens.len() - 1)].0);
        let word = match self.peek() {
            Token::Word(word) => word.to_ascii_lowercase(),
            _ => String::new(),
        };
        if !GEOMETRIES.contains(&word.as_str()) {
            return Err(
                self.error(format!("{GEOMETRY:?}, a WKT geometry or a bbox is expected, not {}", self.peek().said()))
            );
        }
        // To the bracket that closes the first one.
        let mut open = 0usize;
        while self.next < self.tokens.len() {
            self.next += 1;
            match self.peek() {
                Token::Sign("(") => open += 1,
                Token::Sign(")") if open <= 1 => break,
                Token::Sign(")") => open -= 1,
                Token::End => return Err(self.error("the geometry does not end")),
                _ => {}
            }
        }
        let last = self.tokens[self.next.min(self.tokens.len() - 1)].0;
        self.next += 1;
        let region = if word == "bbox" {
            let inner = self.tokens[start + 1..self.next].iter();
            let numbers = inner.filter_map(|(_, token)| match token {
                Token::Number(value) => value.as_f64(),
                _ => None,
            });
            region_of_bbox(&numbers.collect::<Vec<_>>())
        } else {
            let text: String = self.text.chars().skip(first - 1).take(last + 1 - first).collect();
            Region::parse(&text)
        };
        region.map_err(|error| match error {
            RegionError::BadText { position, reason } => FilterError { position: first + position - 1, reason },
            other => FilterError { position: first, reason: other.to_string() },
        })
    }
}

/// The region of two corners, each of two or three numbers. Where the first is east of the second, it goes around the back of
/// the Earth.
pub(super) fn region_of_bbox(numbers: &[f64]) -> Result<Region, RegionError> {
    let (west, south, east, north) = match *numbers {
        [a, b, c, d] => (a, b, c, d),
        [a, b, _, c, d, _] => (a, b, c, d),
        _ => return Err(RegionError::BadJson("a bbox takes four or six numbers".into())),
    };
    if south > north {
        return Err(RegionError::BadJson("the lower side of the bbox is above the upper one".into()));
    }
    let east = if east < west { east + 360.0 } else { east };
    Region::polygon([(west, south), (east, south), (east, north), (west, north)].map(Into::into).to_vec())
}
