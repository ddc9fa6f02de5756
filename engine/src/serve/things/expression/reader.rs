//! From text to expression.

use std::sync::Arc;

use super::{Expression, Function, Operator};
use crate::{
    query::Region,
    serve::things::value::{self, Value},
};

/// Longest condition, bytes.
const LONGEST: usize = 1 << 16;
/// How deep parentheses and signs may be nested.
const DEEPEST: usize = 60;
/// Most operators: a row of them is as deep as it is long.
const MOST_OPERATORS: usize = 1000;

pub(super) fn read(text: &str) -> Result<Expression, String> {
    if text.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    let mut reader = Reader { text, at: 0, depth: 0, operators: 0 };
    let expression = reader.from(1)?;
    reader.skip();
    if reader.rest().is_empty() { Ok(expression) } else { Err(reader.error("and, or or the end is expected")) }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    operators: usize,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '@' | '/' | '$')
}

impl<'t> Reader<'t> {
    fn error(&self, reason: &str) -> String {
        let before = self.text[..self.at].chars().count();
        format!("at character {}: {reason}", before + 1)
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn skip(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn take(&mut self, sign: char) -> bool {
        self.skip();
        let is = self.rest().starts_with(sign);
        self.at += if is { sign.len_utf8() } else { 0 };
        is
    }

    fn expect(&mut self, sign: char) -> Result<(), String> {
        if self.take(sign) { Ok(()) } else { Err(self.error(&format!("{sign} is expected"))) }
    }

    /// What follows that such characters are in.
    fn peek(&mut self, is_in: impl Fn(char) -> bool) -> &'t str {
        self.skip();
        let rest = self.rest();
        &rest[..rest.find(|c| !is_in(c)).unwrap_or(rest.len())]
    }

    /// An expression of operators that bind at least so strongly.
    fn from(&mut self, least: u8) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error("it is nested too deep"));
        }
        let mut left = self.single()?;
        loop {
            let word = self.peek(char::is_alphabetic);
            let Some((operator, strength)) = Operator::named(word).filter(|(_, strength)| *strength >= least) else {
                break;
            };
            self.operators += 1;
            if self.operators > MOST_OPERATORS {
                return Err(self.error(&format!("there are more than {MOST_OPERATORS} operators")));
            }
            self.at += word.len();
            let right = self.from(strength + 1)?;
            left = Expression::Two(operator, left.into(), right.into());
        }
        self.depth -= 1;
        Ok(left)
    }

    /// What stands alone: a constant, a name, a call, something in parentheses or with a sign.
    fn single(&mut self) -> Result<Expression, String> {
        if self.take('(') {
            let inner = self.from(1)?;
            return self.expect(')').map(|()| inner);
        }
        self.skip();
        let rest = self.rest();
        if rest.starts_with('\'') {
            return Ok(Expression::Constant(Value::Text(self.quoted()?)));
        }
        if rest.starts_with(|c: char| c.is_ascii_digit()) {
            return self.figure();
        }
        if let Some(after) = rest.strip_prefix('-') {
            if after.starts_with(|c: char| c.is_ascii_digit()) {
                self.at += 1;
                return match self.figure()? {
                    Expression::Constant(Value::Number(number)) => Ok(Expression::Constant(Value::Number(-number))),
                    _ => Err(self.error("no sign stands before a time")),
                };
            }
            self.at += 1;
            return Ok(Expression::Minus(self.from(7)?.into()));
        }
        let word = self.peek(is_word);
        if word.is_empty() {
            return Err(self.error("a name, a number, a text in single quotes or ( is expected"));
        }
        self.at += word.len();
        if self.rest().starts_with('\'') {
            return self.typed(word);
        }
        match word {
            "true" | "false" => return Ok(Expression::Constant(Value::Bool(word == "true"))),
            "null" => return Ok(Expression::Constant(Value::Null)),
            "not" => return Ok(Expression::Not(self.from(5)?.into())),
            _ => {}
        }
        if self.take('(') {
            return self.call(word);
        }
        let path: Vec<String> = word.split('/').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(self.error("a name is missing beside /"));
        }
        Ok(Expression::Path(path))
    }

    fn call(&mut self, name: &str) -> Result<Expression, String> {
        let function = Function::named(name).ok_or_else(|| self.error(&format!("no function {name:.40}")))?;
        let mut given = Vec::new();
        if !self.take(')') {
            loop {
                given.push(self.from(1)?);
                if !self.take(',') {
                    break;
                }
            }
            self.expect(')')?;
        }
        if function.takes().contains(&given.len()) {
            return Ok(Expression::Call(function, given));
        }
        Err(self.error(&format!("{name} does not take {} values", given.len())))
    }

    /// A number, or a time without quotes.
    fn figure(&mut self) -> Result<Expression, String> {
        let word = self.peek(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '+' | '/'));
        let is_time = word.get(4..5) == Some("-");
        let word = if is_time { word } else { self.peek(|c| c.is_ascii_alphanumeric() || c == '.') };
        // The sign of an exponent.
        let exponent = !is_time && word.ends_with(['e', 'E']);
        let word =
            if exponent { self.peek(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+')) } else { word };
        let value = if is_time {
            value::time(word)
        } else {
            word.parse().ok().filter(|n: &f64| n.is_finite()).map(Value::Number)
        };
        let value = value.ok_or_else(|| self.error(&format!("{word:.40} is neither a number nor a time")))?;
        self.at += word.len();
        Ok(Expression::Constant(value))
    }

    /// A text in quotes after a word that says what it is.
    fn typed(&mut self, kind: &str) -> Result<Expression, String> {
        let text = self.quoted()?;
        let value = match kind {
            "geography" | "geometry" => {
                let region = Region::parse(&text).map_err(|e| self.error(&format!("{kind}: {e}")))?;
                let point = text.trim_start().to_ascii_uppercase().starts_with("POINT");
                let place = region.extent().min.truncate();
                Some(Value::Shape(Arc::new(region), point.then_some(place)))
            }
            "time" | "date" | "datetime" | "datetimeoffset" => value::time(&text),
            "duration" => span(&text).map(Value::Span),
            _ => return Err(self.error(&format!("{kind:.40} is no kind of constant"))),
        };
        value.map(Expression::Constant).ok_or_else(|| self.error(&format!("{text:.60} is no {kind}")))
    }

    /// A text in single quotes; two of them in it are one.
    fn quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let mut rest = &self.rest()[1..];
        loop {
            let Some(end) = rest.find('\'') else { return Err(self.error("a ' is missing")) };
            text.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix('\'') {
                Some(after) => {
                    text.push('\'');
                    rest = after;
                }
                None => break,
            }
        }
        self.at = self.text.len() - rest.len();
        Ok(text)
    }
}

/// Milliseconds of an ISO 8601 duration of days, hours, minutes and seconds.
fn span(text: &str) -> Option<f64> {
    let (sign, text) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    let mut rest = text.strip_prefix('P')?;
    let (mut ms, mut is_clock) = (0.0, false);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T') {
            (rest, is_clock) = (after, true);
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit = match (&rest[end..=end], is_clock) {
            ("W", false) => 7.0 * 86_400e3,
            ("D", false) => 86_400e3,
            ("H", true) => 3_600e3,
            ("M", true) => 60e3,
            ("S", true) => 1e3,
            _ => return None,
        };
        ms += number * unit;
        rest = &rest[end + 1..];
    }
    Some(sign * ms)
}
