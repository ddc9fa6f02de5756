//! What is asked for beside the address (OGC 18-088, clause 9.3.3): `$filter`, `$expand`, `$select`, `$orderby`, `$top`, `$skip`, `$count`.

use super::{
    entity::{Link, Set},
    expression::Expression,
};
use crate::serve::root::percent_encode;

/// Entities of a page when nobody says how many, and at most.
pub(in crate::serve) const USUAL: usize = 100;
pub(in crate::serve) const MOST: usize = 10_000;
/// How deep entities are written into one another.
const DEEPEST: usize = 6;

/// What is asked for of the entities of one set.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub filter: Option<Expression>,
    /// What to order by, and whether the largest comes first.
    pub order: Vec<(Expression, bool)>,
    pub select: Vec<String>,
    pub expand: Vec<(Link, Options)>,
    pub top: usize,
    pub skip: usize,
    pub count: bool,
    /// Observations as rows of a table (clause 12).
    pub is_table: bool,
    /// As it was written, for the address of the next page.
    written: Vec<(String, String)>,
}

impl Options {
    /// Reads the query of an address.
    pub fn read(set: Set, query: &str) -> Result<Self, String> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        });
        Self::of(set, pairs.collect::<Result<_, String>>()?, 0)
    }

    fn of(set: Set, written: Vec<(String, String)>, depth: usize) -> Result<Self, String> {
        if depth > DEEPEST {
            return Err(format!("$expand is nested more than {DEEPEST} deep"));
        }
        let mut options = Self { top: USUAL, ..Self::default() };
        for (name, value) in &written {
            let whole = || value.parse::<usize>().map_err(|_| format!("{name} takes a whole number from 0 on"));
            match name.as_str() {
                "$filter" => {
                    let filter = Expression::parse(value).map_err(|e| format!("$filter: {e}"))?;
                    filter.each_path(&mut |path| check(set, path)).map_err(|e| format!("$filter: {e}"))?;
                    options.filter = Some(filter);
                }
                "$orderby" => {
                    for part in split(value, ',') {
                        let (text, is_down) = match part.trim().rsplit_once(char::is_whitespace) {
                            Some((text, "desc")) => (text, true),
                            Some((text, "asc")) => (text, false),
                            _ => (part, false),
                        };
                        let order = Expression::parse(text).map_err(|e| format!("$orderby: {e}"))?;
                        order.each_path(&mut |path| check(set, path)).map_err(|e| format!("$orderby: {e}"))?;
                        options.order.push((order, is_down));
                    }
                }
                "$select" => {
                    for word in value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
                        let is_known = set.properties().contains(&word) || set.link(word).is_some() || is_id(word);
                        if !is_known {
                            return Err(format!("$select: {}", unknown(set, word)));
                        }
                        options.select.push(if is_id(word) { "@iot.id".into() } else { word.to_owned() });
                    }
                }
                "$expand" => {
                    for part in split(value, ',') {
                        options.expand(set, part.trim(), depth)?;
                    }
                }
                "$top" => options.top = whole()?.min(MOST),
                "$skip" => options.skip = whole()?,
                "$count" => {
                    options.count = match value.as_str() {
                        "true" => true,
                        "false" => false,
                        _ => return Err("$count takes true or false".into()),
                    }
                }
                "$resultFormat" if value == "dataArray" && set == Set::Observations => options.is_table = true,
                "$resultFormat" => return Err("$resultFormat takes dataArray, of Observations".into()),
                other => {
                    return Err(format!(
                        "{other:.40} is none of $filter, $expand, $select, $orderby, $top, $skip, $count"
                    ));
                }
            }
        }
        options.written = written;
        Ok(options)
    }

    /// `Datastreams`, `Datastreams/Observations`, `Datastreams($top=1;$expand=…)`.
    fn expand(&mut self, set: Set, text: &str, depth: usize) -> Result<(), String> {
        let end = text.find(['/', '(']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let link = set.link(name).ok_or_else(|| format!("$expand: {}", unknown(set, name)))?;
        let inner = if let Some(deeper) = rest.strip_prefix('/') {
            vec![("$expand".to_owned(), deeper.to_owned())]
        } else if let Some(given) = rest.strip_prefix('(') {
            let given = given.strip_suffix(')').ok_or("$expand: a ) is missing")?;
            let parts = split(given, ';').into_iter().filter(|part| !part.trim().is_empty());
            let pair = |part: &str| {
                let (name, value) = part.split_once('=').ok_or_else(|| format!("$expand: {part:.40} lacks ="))?;
                Ok((name.trim().to_owned(), value.trim().to_owned()))
            };
            parts.map(pair).collect::<Result<Vec<_>, String>>()?
        } else {
            Vec::new()
        };
        let inner = Self::of(link.set, inner, depth + 1)?;
        // `A/B,A/C` is one A with both.
        match self.expand.iter_mut().find(|(known, _)| *known == link) {
            Some((_, known)) => known.expand.extend(inner.expand),
            None => self.expand.push((link, inner)),
        }
        Ok(())
    }

    /// The same, to count only.
    pub fn counting(&self) -> Self {
        Self { count: true, top: 0, skip: 0, ..self.clone() }
    }

    /// The query of the next page.
    pub fn next(&self, skip: usize) -> String {
        let others = self.written.iter().filter(|(name, _)| name != "$skip");
        let pairs = others.map(|(name, value)| format!("{name}={}", percent_encode(value)));
        pairs.chain([format!("$skip={skip}")]).collect::<Vec<_>>().join("&")
    }
}

pub(super) fn is_id(word: &str) -> bool {
    matches!(word, "id" | "@iot.id")
}

/// Whether a path of names leads from an entity of the set to a value.
fn check(set: Set, path: &[String]) -> Result<(), String> {
    let mut set = set;
    for (at, name) in path.iter().enumerate() {
        if let Some(link) = set.link(name) {
            set = link.set;
            continue;
        }
        let is_last = at + 1 == path.len();
        if is_last && (is_id(name) || name == "@iot.selfLink") {
            return Ok(());
        }
        // What is within a property is told apart from what is not there by its value only.
        return if set.properties().contains(&name.as_str()) { Ok(()) } else { Err(unknown(set, name)) };
    }
    Err(format!("{} is an entity and no value", path.join("/")))
}

fn unknown(set: Set, name: &str) -> String {
    let links = set.links().iter().map(|link| link.name);
    let known: Vec<&str> = set.properties().iter().copied().chain(links).collect();
    format!("{} have no {name:.40}, but {}", set.word(), known.join(", "))
}

/// The parts between signs that are in neither quotes nor parentheses.
fn split(text: &str, sign: char) -> Vec<&str> {
    let (mut parts, mut from, mut depth, mut is_quoted) = (Vec::new(), 0, 0_usize, false);
    for (at, c) in text.char_indices() {
        match c {
            '\'' => is_quoted = !is_quoted,
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted => depth = depth.saturating_sub(1),
            c if c == sign && depth == 0 && !is_quoted => {
                parts.push(&text[from..at]);
                from = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

/// Without the escapes of an address.
pub(super) fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let pair = digit().zip(digit()).ok_or("a % is not followed by two hexadecimal digits")?;
                (pair.0 * 16 + pair.1) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".into())
}
