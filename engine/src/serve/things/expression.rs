//! Conditions and orders of SensorThings 1.1 (OGC 18-088, clause 9.3.3.5): the operators and functions of OData 4.0, with places and times.

mod function;
mod reader;
#[cfg(test)]
mod tests;

use std::{cmp::Ordering, ops::Range};

use self::function::Function;
use super::value::{self, Value};

/// A condition, or something to order by.
#[derive(Clone, Debug)]
pub(super) enum Expression {
    Constant(Value),
    /// Names that lead to a property.
    Path(Vec<String>),
    Call(Function, Vec<Expression>),
    Not(Box<Expression>),
    Minus(Box<Expression>),
    Two(Operator, Box<Expression>, Box<Expression>),
}

/// What stands between two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Operator {
    /// The operator of this name, and how strongly it binds.
    fn named(word: &str) -> Option<(Self, u8)> {
        Some(match word {
            "or" => (Self::Or, 1),
            "and" => (Self::And, 2),
            "eq" => (Self::Equal, 3),
            "ne" => (Self::NotEqual, 3),
            "lt" => (Self::Less, 4),
            "le" => (Self::LessOrEqual, 4),
            "gt" => (Self::Greater, 4),
            "ge" => (Self::GreaterOrEqual, 4),
            "add" => (Self::Add, 5),
            "sub" => (Self::Subtract, 5),
            "mul" => (Self::Multiply, 6),
            "div" => (Self::Divide, 6),
            "mod" => (Self::Modulo, 6),
            _ => return None,
        })
    }
}

/// The values that a path leads to from an entity: several where it goes through links to many.
pub(super) type Look<'a> = dyn Fn(&[String]) -> Vec<Value> + 'a;

impl Expression {
    /// Reads a condition. Which names there are is asked later, see [`Expression::each_path`].
    pub fn parse(text: &str) -> Result<Self, String> {
        reader::read(text)
    }

    /// Calls `take` with every path in it.
    pub fn each_path(&self, take: &mut dyn FnMut(&[String]) -> Result<(), String>) -> Result<(), String> {
        match self {
            Self::Constant(_) => Ok(()),
            Self::Path(path) => take(path),
            Self::Call(_, given) => given.iter().try_for_each(|one| one.each_path(take)),
            Self::Not(inner) | Self::Minus(inner) => inner.each_path(take),
            Self::Two(_, a, b) => a.each_path(take).and_then(|()| b.each_path(take)),
        }
    }

    /// Whether it holds. Through a link to many it holds where it does for any of them.
    pub fn holds(&self, look: &Look<'_>) -> bool {
        self.values(look).iter().any(Value::is_true)
    }

    /// Its value; the first where there are several.
    pub fn value(&self, look: &Look<'_>) -> Value {
        self.values(look).into_iter().next().unwrap_or(Value::Null)
    }

    fn values(&self, look: &Look<'_>) -> Vec<Value> {
        match self {
            Self::Constant(value) => vec![value.clone()],
            Self::Path(path) => look(path),
            Self::Call(function, given) => {
                let given: Vec<Vec<Value>> = given.iter().map(|one| one.values(look)).collect();
                // Each of the first, with the first of each other: only one of them ever leads to many.
                let (first, others) = match given.split_first() {
                    Some((first, others)) => (first.as_slice(), others),
                    None => return vec![function.of(&[])],
                };
                let others: Option<Vec<Value>> = others.iter().map(|other| other.first().cloned()).collect();
                let Some(others) = others else { return Vec::new() };
                let with = |one: &Value| function.of(&[std::slice::from_ref(one), &others].concat());
                first.iter().map(with).collect()
            }
            Self::Not(inner) => vec![Value::Bool(!inner.holds(look))],
            Self::Minus(inner) => inner.values(look).iter().map(minus).collect(),
            Self::Two(Operator::And, a, b) => vec![Value::Bool(a.holds(look) && b.holds(look))],
            Self::Two(Operator::Or, a, b) => vec![Value::Bool(a.holds(look) || b.holds(look))],
            Self::Two(operator, a, b) => {
                let (a, b) = (a.values(look), b.values(look));
                a.iter().flat_map(|a| b.iter().map(move |b| two(*operator, a, b))).collect()
            }
        }
    }

    /// The times outside which it never holds for an Observation, milliseconds since 1970, end excluded: what its parts that
    /// are joined by `and` say of `phenomenonTime` or `resultTime`.
    pub fn period(&self, prefix: &[&str]) -> Range<i64> {
        let whole = i64::MIN..i64::MAX;
        let Self::Two(operator, a, b) = self else { return whole };
        if *operator == Operator::And {
            let (a, b) = (a.period(prefix), b.period(prefix));
            return a.start.max(b.start)..a.end.min(b.end);
        }
        let is_time = |one: &Self| {
            let Self::Path(path) = one else { return false };
            let own = path.strip_prefix(prefix.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>().as_slice());
            own.is_some_and(|own| matches!(own, [one] if one == "phenomenonTime" || one == "resultTime"))
        };
        let time = |one: &Self| {
            let mut is_fixed = true;
            let _ = one.each_path(&mut |_| {
                is_fixed = false;
                Ok(())
            });
            match is_fixed.then(|| one.value(&|_| Vec::new()))? {
                Value::Time(ms) => Some(ms),
                Value::Text(text) => match value::time(&text)? {
                    Value::Time(ms) => Some(ms),
                    _ => None,
                },
                _ => None,
            }
        };
        let (operator, at) = match (is_time(a), is_time(b)) {
            (true, false) => (*operator, time(b)),
            (false, true) => (turned(*operator), time(a)),
            _ => return whole,
        };
        let Some(at) = at else { return whole };
        match operator {
            Operator::Equal => at..at.saturating_add(1),
            Operator::Less => i64::MIN..at,
            Operator::LessOrEqual => i64::MIN..at.saturating_add(1),
            Operator::Greater => at.saturating_add(1)..i64::MAX,
            Operator::GreaterOrEqual => at..i64::MAX,
            _ => whole,
        }
    }
}

/// The operator with its sides changed.
fn turned(operator: Operator) -> Operator {
    match operator {
        Operator::Less => Operator::Greater,
        Operator::LessOrEqual => Operator::GreaterOrEqual,
        Operator::Greater => Operator::Less,
        Operator::GreaterOrEqual => Operator::LessOrEqual,
        other => other,
    }
}

fn minus(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(-number),
        Value::Span(ms) => Value::Span(-ms),
        _ => Value::Null,
    }
}

fn two(operator: Operator, a: &Value, b: &Value) -> Value {
    use Operator::{
        Add, Divide, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Modulo, Multiply, NotEqual, Subtract,
    };
    let is = |wanted: fn(Ordering) -> bool| Value::Bool(a.compare(b).is_some_and(wanted));
    match operator {
        Equal => is(Ordering::is_eq),
        // What cannot be compared is not the same.
        NotEqual => Value::Bool(!a.compare(b).is_some_and(Ordering::is_eq)),
        Less => is(Ordering::is_lt),
        LessOrEqual => is(Ordering::is_le),
        Greater => is(Ordering::is_gt),
        GreaterOrEqual => is(Ordering::is_ge),
        Add | Subtract | Multiply | Divide | Modulo => computed(operator, a, b),
        Operator::And => Value::Bool(a.is_true() && b.is_true()),
        Operator::Or => Value::Bool(a.is_true() || b.is_true()),
    }
}

fn computed(operator: Operator, a: &Value, b: &Value) -> Value {
    match (operator, a, b) {
        (Operator::Add, Value::Time(at), Value::Span(ms)) | (Operator::Add, Value::Span(ms), Value::Time(at)) => {
            Value::Time(at.saturating_add(*ms as i64))
        }
        (Operator::Subtract, Value::Time(at), Value::Span(ms)) => Value::Time(at.saturating_sub(*ms as i64)),
        (Operator::Subtract, Value::Time(a), Value::Time(b)) => Value::Span(a.saturating_sub(*b) as f64),
        (Operator::Add, Value::Span(a), Value::Span(b)) => Value::Span(a + b),
        (Operator::Subtract, Value::Span(a), Value::Span(b)) => Value::Span(a - b),
        (Operator::Multiply, Value::Span(ms), Value::Number(times))
        | (Operator::Multiply, Value::Number(times), Value::Span(ms)) => Value::Span(ms * times),
        (_, Value::Number(a), Value::Number(b)) => {
            let number = match operator {
                Operator::Add => a + b,
                Operator::Subtract => a - b,
                Operator::Multiply => a * b,
                Operator::Divide => a / b,
                _ => a % b,
            };
            if number.is_finite() { Value::Number(number) } else { Value::Null }
        }
        _ => Value::Null,
    }
}
