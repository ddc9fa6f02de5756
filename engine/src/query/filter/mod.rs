//! Conditions on objects: `height_m > 24 and material = 'PE' or name like '中山%'`.
//!
//! Two forms are read: the text below, which holds CQL2's (OGC 21-065r2), and CQL2's JSON.
//!
//! ```text
//! or      := and ("or" and)*
//! and     := not ("and" not)*
//! not     := "not" not | test
//! test    := operand [ ("=" | "<>" | "!=" | "<" | "<=" | ">" | ">=") operand
//!                    | ["not"] "like" text | ["not"] "in" "(" literal ("," literal)* ")"
//!                    | "is" ["not"] "null" | ["not"] "between" operand "and" operand ]
//! operand := number | text | "true" | "false" | ("date" | "timestamp") "(" text ")"
//!          | field | function "(" operand ")" | "s_intersects" "(" "geometry" "," place ")" | "(" or ")"
//! place   := WKT | "bbox" "(" number ("," number)* ")"
//! ```
//!
//! Fields are attributes by their key, written plainly or in double quotes, and `id`, `layer`, `class`, `stage`,
//! `domain`, `name`, `parent`, `z_min`, `z_max`, `valid_from`, `valid_to`. Functions: `lower`, `upper`, `length`, `abs`,
//! `round`. In a `like`, `%` is any text, `_` any one character, and `\` takes their meaning from both.
//! A comparison with something that is missing, or of a text that is no number with a number, is neither true
//! nor false, as in SQL; only what is true is found.

mod json;
mod text;

use glam::DVec2;

use super::region::{Region, RegionError};
use crate::{
    model::{Extent, Value},
    store::read_time,
};

/// Longest text of a filter, bytes.
const LONGEST: usize = 64 << 10;
/// Deepest nesting.
const DEEPEST: usize = 48;
/// Most comparisons, each of which every object would be asked.
const MOST_TESTS: usize = 1_000;
/// Fields that every object has, beside its attributes.
pub(crate) const OWN_FIELDS: [&str; 11] =
    ["id", "layer", "class", "stage", "domain", "name", "parent", "z_min", "z_max", "valid_from", "valid_to"];
/// What a condition calls the shape of an object.
pub(crate) const GEOMETRY: &str = "geometry";

/// Why a filter is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", if *.position > 0 { format!("at character {position}: ") } else { String::new() })]
pub struct FilterError {
    /// Character of the text, counted from 1; 0 in JSON, where the reason says which part is meant.
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

/// What a condition is asked about.
pub trait Subject {
    /// The value of a field, where it has one.
    fn value(&self, field: &str) -> Option<Value>;

    /// Whether its shape shares a point with the region; `None` where it has no place.
    fn meets(&self, region: &Region) -> Option<bool>;
}

/// Fields without a place.
struct Fields<'a>(&'a dyn Fn(&str) -> Option<Value>);

impl Subject for Fields<'_> {
    fn value(&self, field: &str) -> Option<Value> {
        (self.0)(field)
    }

    fn meets(&self, _: &Region) -> Option<bool> {
        None
    }
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
        Self::checked(text::parse(text)?, text)
    }

    /// Reads a condition in CQL2's JSON.
    pub fn parse_json(text: &str) -> Result<Self, FilterError> {
        if text.len() > LONGEST {
            return Err(FilterError { position: 0, reason: format!("longer than {LONGEST} bytes") });
        }
        Self::checked(json::parse(text)?, text)
    }

    fn checked(root: Node, text: &str) -> Result<Self, FilterError> {
        let mut tests = 0;
        root.each(&mut |node| tests += usize::from(!matches!(node, Node::Literal(_) | Node::Field(_) | Node::Time(_))));
        if tests > MOST_TESTS {
            return Err(FilterError { position: 0, reason: format!("more than {MOST_TESTS} conditions") });
        }
        Ok(Self { root, text: text.to_owned() })
    }

    /// Whether the condition is true for the object whose fields `value_of` gives; conditions on its place are not.
    pub fn is_true(&self, value_of: &dyn Fn(&str) -> Option<Value>) -> bool {
        self.holds(&Fields(value_of))
    }

    /// Whether the condition is true for an object.
    pub fn holds(&self, subject: &dyn Subject) -> bool {
        matches!(self.root.value(subject), Some(Value::Bool(true)))
    }

    /// The text that it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Fields that it asks for.
    pub fn fields(&self) -> Vec<&str> {
        let mut fields = Vec::new();
        self.root.each(&mut |node| {
            if let Node::Field(name) = node {
                fields.push(name.as_str());
            }
        });
        fields
    }

    /// The box outside of which it is never true; `None` where there is no such box.
    pub(crate) fn bounds(&self) -> Option<Extent> {
        self.root.bounds()
    }

    /// The condition with its places moved into the city's system.
    pub(crate) fn mapped(mut self, place: &dyn Fn(DVec2) -> DVec2) -> Result<Self, RegionError> {
        self.root.map_places(place)?;
        Ok(self)
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
    /// Milliseconds since 1970: what it is compared with is read as a time.
    Time(i64),
    Field(String),
    Call(Function, Box<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    Like(Box<Node>, Vec<Piece>),
    In(Box<Node>, Vec<Value>),
    IsNull(Box<Node>),
    Meets(Box<Region>),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
}

/// A piece of the pattern of a `like`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Piece {
    Any,
    One,
    Char(char),
}

fn pattern(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        pieces.push(match c {
            '%' => Piece::Any,
            '_' => Piece::One,
            '\\' => Piece::Char(chars.next().unwrap_or('\\')),
            c => Piece::Char(c),
        });
    }
    pieces
}

fn negate(node: Node, negated: bool) -> Node {
    if negated { Node::Not(Box::new(node)) } else { node }
}

fn between(value: Node, low: Node, high: Node) -> Node {
    let above = Node::Compare(Comparison::GreaterOrEqual, Box::new(value.clone()), Box::new(low));
    let below = Node::Compare(Comparison::LessOrEqual, Box::new(value), Box::new(high));
    Node::And(vec![above, below])
}

impl Node {
    /// The value, where there is one: the third value of SQL's logic is `None`.
    fn value(&self, of: &dyn Subject) -> Option<Value> {
        let truth = |b: bool| Some(Value::Bool(b));
        match self {
            Node::Literal(value) => Some(value.clone()),
            Node::Time(ms) => Some(Value::Int(*ms)),
            Node::Field(name) => of.value(name),
            Node::Call(function, inner) => function.apply(inner.value(of)?),
            Node::Compare(comparison, a, b) => {
                let (left, right) = (a.value(of)?, b.value(of)?);
                let is_time = [a, b].iter().any(|side| matches!(***side, Node::Time(_)));
                let holds = match is_time {
                    true => Some(comparison.is(time_of(&left)?.cmp(&time_of(&right)?))),
                    false => comparison.holds(&left, &right),
                };
                holds.map(Value::Bool)
            }
            Node::Like(inner, pattern) => truth(is_like(&inner.value(of)?.to_string(), pattern)),
            Node::In(inner, values) => {
                let value = inner.value(of)?;
                truth(values.iter().any(|v| Comparison::Equal.holds(&value, v) == Some(true)))
            }
            Node::IsNull(inner) => truth(inner.value(of).is_none()),
            Node::Meets(region) => of.meets(region).map(Value::Bool),
            Node::Not(inner) => match inner.value(of)? {
                Value::Bool(b) => truth(!b),
                _ => None,
            },
            Node::And(parts) => fold(parts, of, false),
            Node::Or(parts) => fold(parts, of, true),
        }
    }

    fn parts(&self) -> Vec<&Node> {
        match self {
            Node::Literal(_) | Node::Time(_) | Node::Field(_) | Node::Meets(_) => Vec::new(),
            Node::Call(_, inner)
            | Node::Like(inner, _)
            | Node::In(inner, _)
            | Node::IsNull(inner)
            | Node::Not(inner) => {
                vec![inner]
            }
            Node::Compare(_, a, b) => vec![a, b],
            Node::And(parts) | Node::Or(parts) => parts.iter().collect(),
        }
    }

    fn each<'n>(&'n self, take: &mut dyn FnMut(&'n Node)) {
        take(self);
        self.parts().into_iter().for_each(|part| part.each(take));
    }

    fn bounds(&self) -> Option<Extent> {
        match self {
            Node::Meets(region) => Some(*region.extent()),
            Node::And(parts) => parts.iter().filter_map(Node::bounds).reduce(|a, b| {
                // Where nothing is left, the box is empty.
                Extent { min: a.min.max(b.min), max: a.max.min(b.max) }
            }),
            _ => None,
        }
    }

    fn map_places(&mut self, place: &dyn Fn(DVec2) -> DVec2) -> Result<(), RegionError> {
        match self {
            Node::Meets(region) => **region = region.mapped(place)?,
            Node::Not(inner) => inner.map_places(place)?,
            Node::And(parts) | Node::Or(parts) => parts.iter_mut().try_for_each(|part| part.map_places(place))?,
            Node::Compare(_, a, b) => {
                a.map_places(place)?;
                b.map_places(place)?;
            }
            Node::Call(_, inner) | Node::Like(inner, _) | Node::In(inner, _) | Node::IsNull(inner) => {
                inner.map_places(place)?
            }
            Node::Literal(_) | Node::Time(_) | Node::Field(_) => {}
        }
        Ok(())
    }
}

fn time_of(value: &Value) -> Option<i64> {
    match value {
        Value::Int(ms) => Some(*ms),
        Value::Text(text) => read_time(text),
        _ => None,
    }
}

/// `and` and `or`: the `decisive` truth value decides, a missing one leaves it open.
fn fold(parts: &[Node], of: &dyn Subject, decisive: bool) -> Option<Value> {
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
        Some(self.is(order))
    }

    fn is(self, order: std::cmp::Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::Unequal => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
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
fn is_like(text: &str, pattern: &[Piece]) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut t, mut p) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(Piece::Any) => {
                back = Some((p + 1, t));
                p += 1;
            }
            Some(piece) if *piece == Piece::One || *piece == Piece::Char(text[t]) => (t, p) = (t + 1, p + 1),
            _ => match back {
                Some((after, from)) => {
                    back = Some((after, from + 1));
                    (t, p) = (from + 1, after);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|piece| *piece == Piece::Any)
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
            "built" => Some(Value::Text("2001-02-03T04:05:06+08:00".into())),
            "share" => Some(Value::Text("10%_".into())),
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
            "built > date('2001-02-02') AND built < TIMESTAMP('2001-02-02T21:00:00Z')",
            "built between date('2001-01-01') and date('2001-12-31')",
            r"share like '10\%\_' and material not like 'P\_'",
            r"name = 'it\'s' or ok",
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
            "material > date('2001-01-01')",
            r"name like '中山路 100\%'",
            "s_intersects(geometry, POINT(1 2))",
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
        assert_eq!(position("ok and s_intersects(geometry, POLYGON((1 2)))"), 31);
        assert_eq!(position("s_intersects(geometry, bbox(1, 2, 3))"), 24);
        assert_eq!(position("s_intersects(name, POINT(1 2))"), 14);
        assert_eq!(position("built > date('never')"), 9);
    }

    #[test]
    fn both_forms_say_the_same() {
        for (text, json) in [
            (
                "a = 1 and b <> 'x' and c >= 1.5",
                r#"{"op":"and","args":[{"op":"=","args":[{"property":"a"},1]},
                {"op":"<>","args":[{"property":"b"},"x"]},{"op":">=","args":[{"property":"c"},1.5]}]}"#,
            ),
            (
                "not (a like 'x%') or b is null",
                r#"{"op":"or","args":[{"op":"not","args":[{"op":"like","args":[{"property":"a"},"x%"]}]},
                {"op":"isNull","args":[{"property":"b"}]}]}"#,
            ),
            ("a between 1 and 2", r#"{"op":"between","args":[{"property":"a"},1,2]}"#),
            ("a in (1, 'b', true)", r#"{"op":"in","args":[{"property":"a"},[1,"b",true]]}"#),
            ("t > date('2020-01-01')", r#"{"op":">","args":[{"property":"t"},{"date":"2020-01-01"}]}"#),
            ("lower(a) = 'x'", r#"{"op":"=","args":[{"op":"lower","args":[{"property":"a"}]},"x"]}"#),
            (
                "S_INTERSECTS(geometry, POLYGON((0 0, 9 0, 9 9, 0 0)))",
                r#"{"op":"s_intersects","args":[{"property":"geometry"},
                {"type":"Polygon","coordinates":[[[0,0],[9,0],[9,9],[0,0]]]}]}"#,
            ),
            (
                "s_intersects(BBOX(1, 2, 3, 4), geometry)",
                r#"{"op":"s_intersects","args":[{"property":"geometry"},{"bbox":[1,2,3,4]}]}"#,
            ),
        ] {
            let (text, json) = (Filter::parse(text).unwrap(), Filter::parse_json(json).unwrap());
            assert_eq!(text.root, json.root, "{}", text.text());
        }
        for bad in [
            "",
            "[]",
            "{}",
            "7",
            r#"{"op":"boom","args":[]}"#,
            r#"{"op":"and","args":[]}"#,
            r#"{"op":"=","args":[{"property":"a"}]}"#,
            r#"{"op":"=","args":[{"property":7},1]}"#,
            r#"{"op":"like","args":[{"property":"a"},1]}"#,
            r#"{"op":"in","args":[{"property":"a"},1]}"#,
            r#"{"op":"s_intersects","args":[{"property":"name"},{"bbox":[1,2,3,4]}]}"#,
            r#"{"op":"s_intersects","args":[{"property":"geometry"},{"type":"Polygon","coordinates":[[1]]}]}"#,
            r#"{"op":">","args":[{"property":"t"},{"date":"never"}]}"#,
        ] {
            assert!(Filter::parse_json(bad).is_err(), "{bad}");
        }
        let deep = |count: usize| {
            format!("{}{{\"property\":\"a\"}}{}", r#"{"op":"not","args":["#.repeat(count), "]}".repeat(count))
        };
        assert!(Filter::parse_json(&deep(20)).is_ok());
        assert!(Filter::parse_json(&deep(60)).is_err() && Filter::parse_json(&deep(2_000)).is_err());
    }

    #[test]
    fn places_bound_what_must_be_read() {
        let bounds = |text: &str| Filter::parse(text).unwrap().bounds();
        assert!(bounds("a = 1").is_none());
        assert!(bounds("a = 1 or s_intersects(geometry, POINT(1 2))").is_none());
        assert!(bounds("not s_intersects(geometry, POINT(1 2))").is_none());
        let both =
            bounds("a = 1 and s_intersects(geometry, BBOX(0,0,9,9)) and s_intersects(geometry, BBOX(5,5,20,20))")
                .unwrap();
        assert_eq!((both.min.x, both.max.x), (5.0, 9.0));
        let moved = Filter::parse("not s_intersects(geometry, POINT(1 2))").unwrap().mapped(&|v| v + 10.0).unwrap();
        struct At(DVec2);
        impl Subject for At {
            fn value(&self, _: &str) -> Option<Value> {
                None
            }
            fn meets(&self, region: &Region) -> Option<bool> {
                Some(region.extent().min.truncate() == self.0)
            }
        }
        assert!(!moved.holds(&At(DVec2::new(11.0, 12.0))) && moved.holds(&At(DVec2::new(1.0, 2.0))));
    }

    #[test]
    fn absurd_input_is_refused_quickly() {
        assert!(Filter::parse(&"(".repeat(10_000)).is_err());
        assert!(Filter::parse(&"not ".repeat(3_000)).is_err());
        assert!(Filter::parse(&"lower(".repeat(2_000)).is_err());
        assert!(Filter::parse(&"x".repeat(LONGEST + 1)).is_err());
        assert!(Filter::parse(&format!("a=1{}", " or a=1".repeat(2_000))).is_err());
        assert!(Filter::parse("s_intersects(geometry, POLYGON((((((((((((").is_err());
        let pattern = pattern(&"%a".repeat(50));
        assert!(!is_like(&"a".repeat(49).clone(), &pattern));
        assert!(!is_like(&format!("{}b", "a".repeat(2000)), &pattern));
    }
}
