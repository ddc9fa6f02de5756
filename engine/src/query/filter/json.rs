//! Conditions in CQL2's JSON.

use serde_json::Value as Json;

use super::{Comparison, DEEPEST, FilterError, Function, GEOMETRY, Node, between, pattern, text::region_of_bbox};
use crate::{
    model::Value,
    query::region::{Region, RegionError},
    store::read_time,
};

fn error(reason: impl Into<String>) -> FilterError {
    FilterError { position: 0, reason: reason.into() }
}

pub(super) fn parse(text: &str) -> Result<Node, FilterError> {
    let value: Json = serde_json::from_str(text).map_err(|e| error(e.to_string()))?;
    match value {
        Json::Object(_) | Json::Bool(_) => node(&value, 0),
        _ => Err(error("a condition is an object with \"op\" and \"args\"")),
    }
}

fn node(value: &Json, depth: usize) -> Result<Node, FilterError> {
    if depth > DEEPEST {
        return Err(error(format!("nested deeper than {DEEPEST}")));
    }
    let Json::Object(object) = value else {
        return literal(value).map(Node::Literal);
    };
    if let Some(name) = object.get("property") {
        return name.as_str().map(|name| Node::Field(name.into())).ok_or_else(|| error("\"property\" is a text"));
    }
    if let Some(time) = object.get("date").or_else(|| object.get("timestamp")) {
        let ms = time.as_str().filter(|text| text.contains('-')).and_then(read_time);
        return ms.map(Node::Time).ok_or_else(|| error(format!("{} is no time", shortened(time))));
    }
    let op =
        object.get("op").and_then(Json::as_str).ok_or_else(|| error(format!("{} has no \"op\"", shortened(value))))?;
    let args =
        object.get("args").and_then(Json::as_array).ok_or_else(|| error(format!("{op:.40?} has no \"args\"")))?;
    let wanted = |count: usize| error(format!("{op:.40?} takes {count} arguments, not {}", args.len()));
    let inner = |at: usize| args.get(at).ok_or_else(|| wanted(at + 1)).and_then(|arg| node(arg, depth + 1));
    let counted = |count: usize| if args.len() == count { Ok(()) } else { Err(wanted(count)) };
    let comparison = match op {
        "=" => Some(Comparison::Equal),
        "<>" => Some(Comparison::Unequal),
        "<" => Some(Comparison::Less),
        "<=" => Some(Comparison::LessOrEqual),
        ">" => Some(Comparison::Greater),
        ">=" => Some(Comparison::GreaterOrEqual),
        _ => None,
    };
    if let Some(comparison) = comparison {
        counted(2)?;
        return Ok(Node::Compare(comparison, Box::new(inner(0)?), Box::new(inner(1)?)));
    }
    match op {
        "and" | "or" => {
            let parts: Vec<Node> = args.iter().map(|arg| node(arg, depth + 1)).collect::<Result<_, _>>()?;
            match (parts.len(), op) {
                (0, _) => Err(wanted(2)),
                (_, "and") => Ok(Node::And(parts)),
                _ => Ok(Node::Or(parts)),
            }
        }
        "not" => counted(1).and_then(|()| Ok(Node::Not(Box::new(inner(0)?)))),
        "isNull" => counted(1).and_then(|()| Ok(Node::IsNull(Box::new(inner(0)?)))),
        "between" => counted(3).and_then(|()| Ok(between(inner(0)?, inner(1)?, inner(2)?))),
        "like" => {
            counted(2)?;
            let like = args[1].as_str().ok_or_else(|| error("\"like\" compares with a text"))?;
            Ok(Node::Like(Box::new(inner(0)?), pattern(like)))
        }
        "in" => {
            counted(2)?;
            let list =
                args[1].as_array().filter(|l| !l.is_empty()).ok_or_else(|| error("\"in\" takes a list of values"))?;
            Ok(Node::In(Box::new(inner(0)?), list.iter().map(literal).collect::<Result<_, _>>()?))
        }
        "s_intersects" => {
            counted(2)?;
            let is_shape = |arg: &Json| arg["property"] == GEOMETRY;
            let place = match (is_shape(&args[0]), is_shape(&args[1])) {
                (true, false) => &args[1],
                (false, true) => &args[0],
                _ => return Err(error(format!("\"s_intersects\" compares the property {GEOMETRY:?} with a geometry"))),
            };
            region(place).map(|region| Node::Meets(Box::new(region))).map_err(|e| error(format!("s_intersects: {e}")))
        }
        other => {
            let function = Function::parse(other).ok_or_else(|| error(format!("{other:.40?} is no operator here")))?;
            counted(1).and_then(|()| Ok(Node::Call(function, Box::new(inner(0)?))))
        }
    }
}

fn region(value: &Json) -> Result<Region, RegionError> {
    match value.get("bbox").and_then(Json::as_array) {
        Some(bbox) => region_of_bbox(&bbox.iter().filter_map(Json::as_f64).collect::<Vec<_>>()),
        None => Region::from_geojson(value),
    }
}

fn literal(value: &Json) -> Result<Value, FilterError> {
    Ok(match value {
        Json::Bool(b) => Value::Bool(*b),
        Json::String(text) => Value::Text(text.clone()),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Real(number.as_f64().ok_or_else(|| error(format!("{number} is no number")))?),
        },
        other => return Err(error(format!("a number, a text, true or false is expected, not {}", shortened(other)))),
    })
}

fn shortened(value: &Json) -> String {
    value.to_string().chars().take(60).collect()
}
