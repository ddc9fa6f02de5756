//! A small language over attributes: `height_m > 24 and material = 'PE' or name like '中山%'`.
//!
//! ```text
//! or      := and ("or" and)*
//! and     := not ("and" not)*
//! not     := "not" not | test
//! test    := operand [ ("=" | "<>" | "!=" | "<" | "<=" | ">" | ">=") operand
//!                    | ["not"] "like" text | ["not"] "in" "(" literal ("," literal)* ")"
//!                    | "is" ["not"] "null" | ["not"] "between" operand "and" operand ]
//! operand := number | text | "true" | "false" | field | function "(" operand ")" | "(" or ")"
//! ```
//!
//! Fields are attributes by their key, written plainly or in double quotes, and `id`, `layer`, `class`, `stage`,
//! `domain`, `name`, `parent`, `z_min`, `z_max`. Functions: `lower`, `upper`, `length`, `abs`, `round`.
//! A comparison with something that is missing, or of a text that is no number with a number, is neither true
//! nor false, as in SQL; only what is true is found.

use crate::model::Value;

/// Longest text of a filter, bytes.
const LONGEST: usize = 16 << 10;
/// Deepest nesting.
const DEEPEST: usize = 48;

/// Why a filter is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {reason}")]
pub struct FilterError {
    /// Character of the text, counted from 1.
    pub position: usize,
    /// What is wrong there.
    pub reason: String,
}

/// A condition on an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    root: Node,
    text: String,
}

impl Filter {
    /// Reads the condition.
    ///
    /// ```
    /// use groundline_engine::{model::Value, query::Filter};
    /// let filter = Filter::parse("height_m > 24 and not (owner in ('A', 'B'))").unwrap();
    /// assert!(filter.is_true(&|field| (field == "height_m").then_some(Value::Real(30.0))) == false);
    /// assert!(Filter::parse("height_m >").unwrap_err().position == 11);
    /// ```
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > LONGEST {
            return Err(FilterError { position: 1, reason: format!("longer than {LONGEST} bytes") });
        }
        let mut parser = Parser { tokens: tokens(text)?, next: 0, depth: 0 };
        let root = parser.or()?;
        match parser.peek() {
            Token::End => Ok(Self { root, text: text.to_owned() }),
            other => Err(parser.error(format!("{} is not expected here", other.said()))),
        }
    }

    /// Whether the condition is true for the object whose fields `value_of` gives.
    pub fn is_true(&self, value_of: &dyn Fn(&str) -> Option<Value>) -> bool {
        matches!(self.root.value(value_of), Some(Value::Bool(true)))
    }

    /// The text that it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    Lower,
    Upper,
    Length,
    Abs,
    Round,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Literal(Value),
    Field(String),
    Call(Function, Box<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    Like(Box<Node>, Vec<char>),
    In(Box<Node>, Vec<Value>),
    IsNull(Box<Node>),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
}

impl Node {
    /// The value, where there is one: the third value of SQL's logic is `None`.
    fn value(&self, of: &dyn Fn(&str) -> Option<Value>) -> Option<Value> {
        let truth = |b: bool| Some(Value::Bool(b));
        match self {
            Node::Literal(value) => Some(value.clone()),
            Node::Field(name) => of(name),
            Node::Call(function, inner) => function.apply(inner.value(of)?),
            Node::Compare(comparison, a, b) => comparison.holds(&a.value(of)?, &b.value(of)?).map(Value::Bool),
            Node::Like(inner, pattern) => truth(is_like(&inner.value(of)?.to_string(), pattern)),
            Node::In(inner, values) => {
                let value = inner.value(of)?;
                truth(values.iter().any(|v| Comparison::Equal.holds(&value, v) == Some(true)))
            }
            Node::IsNull(inner) => truth(inner.value(of).is_none()),
            Node::Not(inner) => match inner.value(of)? {
                Value::Bool(b) => truth(!b),
                _ => None,
            },
            Node::And(parts) => fold(parts, of, false),
            Node::Or(parts) => fold(parts, of, true),
        }
    }
}

/// `and` and `or`: the `decisive` truth value decides, a missing one leaves it open.
fn fold(parts: &[Node], of: &dyn Fn(&str) -> Option<Value>, decisive: bool) -> Option<Value> {
    let mut is_open = false;
    for part in parts {
        match part.value(of) {
            Some(Value::Bool(b)) if b == decisive => return Some(Value::Bool(decisive)),
            Some(Value::Bool(_)) => {}
            _ => is_open = true,
        }
    }
    (!is_open).then_some(Value::Bool(!decisive))
}

impl Comparison {
    fn holds(self, a: &Value, b: &Value) -> Option<bool> {
        let number = |v: &Value| v.as_f64().or_else(|| v.as_str()?.trim().parse::<f64>().ok()).filter(|v| !v.is_nan());
        let order = match (a, b) {
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            _ => number(a)?.partial_cmp(&number(b)?)?,
        };
        Some(match self {
            Comparison::Equal => order.is_eq(),
            Comparison::Unequal => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        })
    }
}

impl Function {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "lower" => Function::Lower,
            "upper" => Function::Upper,
            "length" => Function::Length,
            "abs" => Function::Abs,
            "round" => Function::Round,
            _ => return None,
        })
    }

    fn apply(self, value: Value) -> Option<Value> {
        Some(match self {
            Function::Lower => Value::Text(value.to_string().to_lowercase()),
            Function::Upper => Value::Text(value.to_string().to_uppercase()),
            Function::Length => Value::Int(value.to_string().chars().count() as i64),
            Function::Abs => Value::Real(value.as_f64()?.abs()),
            Function::Round => Value::Real(value.as_f64()?.round()),
        })
    }
}

/// SQL's `like`: `%` is any text, `_` any one character. Linear but for the last `%`, never exponential.
fn is_like(text: &str, pattern: &[char]) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut t, mut p) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('%') => {
                back = Some((p + 1, t));
                p += 1;
            }
            Some(c) if *c == '_' || *c == text[t] => (t, p) = (t + 1, p + 1),
            _ => match back {
                Some((after, from)) => {
                    back = Some((after, from + 1));
                    (t, p) = (from + 1, after);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '%')
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
            while chars.get(at).is_some_and(|d| d.is_alphanumeric() || matches!(d, '_' | '.' | '#')) {
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

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
}

impl Parser {
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
                Token::Text(pattern) => Ok(negate(Node::Like(Box::new(left), pattern.chars().collect()), negated)),
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
            let above = Node::Compare(Comparison::GreaterOrEqual, Box::new(left.clone()), Box::new(low));
            let below = Node::Compare(Comparison::LessOrEqual, Box::new(left), Box::new(high));
            return Ok(negate(Node::And(vec![above, below]), negated));
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
}

fn negate(node: Node, negated: bool) -> Node {
    if negated { Node::Not(Box::new(node)) } else { node }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> bool {
        let value = |field: &str| match field {
            "height_m" => Some(Value::Real(30.5)),
            "storeys" => Some(Value::Int(10)),
            "material" => Some(Value::Text("PE".into())),
            "name" => Some(Value::Text("中山路 100% 号".into())),
            "管径" => Some(Value::Text("300".into())),
            "ok" => Some(Value::Bool(true)),
            _ => None,
        };
        Filter::parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).is_true(&value)
    }

    #[test]
    fn conditions_hold_or_not() {
        for yes in [
            "height_m > 24 and material = 'PE' or name like 'x%'",
            "name like '中山%'",
            "name like '%100%号'",
            "name like '中_路%'",
            "storeys = 10.0 and storeys in (1, 10)",
            "管径 >= 300 and \"管径\" = '300'",
            "owner is null and height_m is not null",
            "not (material = 'PVC' or storeys < 3)",
            "height_m between 30 and 31",
            "lower(material) = 'pe' and abs(-3) = 3 and length(material) = 2 and round(height_m) = 31",
            "ok",
            "material not in ('a', 'b') and material not like 'x%'",
            "-1e3 < .5",
            "owner = 1 or ok = true",
        ] {
            assert!(check(yes), "{yes}");
        }
        for no in [
            "height_m > 31",
            "owner = 1",
            "not (owner = 1)",
            "owner <> 1",
            "material > 5",
            "name like ''",
            "owner = 1 and ok",
            "storeys",
            "height_m not between 30 and 31",
        ] {
            assert!(!check(no), "{no}");
        }
    }

    #[test]
    fn errors_say_where() {
        let position = |text: &str| Filter::parse(text).unwrap_err().position;
        assert_eq!(position(""), 1);
        assert_eq!(position("高度 >"), 5);
        assert_eq!(position("a = 'x"), 5);
        assert_eq!(position("a = 1 b"), 7);
        assert_eq!(position("a in ()"), 7);
        assert_eq!(position("a ; b"), 3);
        assert_eq!(position("a = 1.2.3"), 5);
        assert_eq!(position("(a = 1"), 7);
        assert_eq!(position("and"), 1);
    }

    #[test]
    fn absurd_input_is_refused_quickly() {
        assert!(Filter::parse(&"(".repeat(10_000)).is_err());
        assert!(Filter::parse(&"not ".repeat(3_000)).is_err());
        assert!(Filter::parse(&"lower(".repeat(2_000)).is_err());
        assert!(Filter::parse(&"x".repeat(LONGEST + 1)).is_err());
        let pattern: Vec<char> = "%a".repeat(50).chars().collect();
        assert!(!is_like(&"a".repeat(49).clone(), &pattern));
        assert!(!is_like(&format!("{}b", "a".repeat(2000)), &pattern));
    }
}
