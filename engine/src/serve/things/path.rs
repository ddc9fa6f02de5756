//! Addresses below the root of the service (OGC 18-088, clause 9.2): sets, entities, what they lead to, their values.

use super::entity::{Link, Set};
use super::options::is_id;

/// One step of an address.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// A link by its name, and which of several.
    Link(Link, Option<String>),
    /// A property.
    Property(String),
    /// `$value`: the property as plain text.
    Plain,
    /// `$ref`: addresses instead of entities.
    Addresses,
    /// `$count`: how many there are.
    Count,
}

/// An address: a set, which of its entities, and where to from there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Address {
    pub set: Set,
    pub id: Option<String>,
    pub steps: Vec<Step>,
}

/// Most steps of an address.
const MOST_STEPS: usize = 12;

impl Address {
    /// Reads an address without its escapes, such as `Things('a/1')/Datastreams`. Nothing when it is none.
    pub fn read(path: &str) -> Option<Self> {
        let parts = parts(path)?;
        let (first, rest) = parts.split_first().filter(|(_, rest)| rest.len() < MOST_STEPS)?;
        let (set, id) = (Set::named(first.0)?, first.1.clone());
        let (mut at, mut is_one, mut steps) = (set, id.is_some(), Vec::new());
        for (number, (name, id)) in rest.iter().enumerate() {
            let is_last = number + 1 == rest.len();
            let step = match (*name, id) {
                ("$value", None) if is_last && matches!(steps.last(), Some(Step::Property(_))) => Step::Plain,
                ("$ref", None) if is_last && !matches!(steps.last(), Some(Step::Property(_))) => Step::Addresses,
                ("$count", None) if is_last && !is_one => Step::Count,
                (name, id) if is_one => match at.link(name) {
                    Some(link) => {
                        (at, is_one) = (link.set, !link.is_many || id.is_some());
                        if id.is_some() && !link.is_many {
                            return None;
                        }
                        Step::Link(link, id.clone())
                    }
                    None if id.is_none() && (at.properties().contains(&name) || is_id(name)) => {
                        // Only `$value` comes after it.
                        if !(is_last || (number + 2 == rest.len() && rest[number + 1].0 == "$value")) {
                            return None;
                        }
                        Step::Property(name.to_owned())
                    }
                    None => return None,
                },
                _ => return None,
            };
            steps.push(step);
        }
        Some(Self { set, id, steps })
    }

    /// The set whose entities it leads to.
    pub fn leads_to(&self) -> Set {
        let links = self
            .steps
            .iter()
            .rev()
            .filter_map(|step| if let Step::Link(link, _) = step { Some(link.set) } else { None });
        links.into_iter().next().unwrap_or(self.set)
    }
}

/// Names with the ids in parentheses after them. Ids are in single quotes, which are doubled in them, or are numbers.
fn parts(path: &str) -> Option<Vec<(&str, Option<String>)>> {
    let mut parts = Vec::new();
    let mut rest = path.trim_matches('/');
    while !rest.is_empty() {
        let end = rest.find(['/', '(']).unwrap_or(rest.len());
        let name = &rest[..end];
        rest = &rest[end..];
        let mut id = None;
        if let Some(mut inner) = rest.strip_prefix('(') {
            if let Some(quoted) = inner.strip_prefix('\'') {
                let (mut text, mut after) = (String::new(), quoted);
                loop {
                    let end = after.find('\'')?;
                    text.push_str(&after[..end]);
                    after = &after[end + 1..];
                    match after.strip_prefix('\'') {
                        Some(more) => {
                            text.push('\'');
                            after = more;
                        }
                        None => break,
                    }
                }
                (id, inner) = (Some(text), after);
            } else {
                let end = inner.find(')')?;
                (id, inner) = (Some(inner[..end].to_owned()), &inner[end..]);
            }
            rest = inner.strip_prefix(')')?;
        }
        rest = match rest.strip_prefix('/') {
            Some(after) => after,
            None if rest.is_empty() => rest,
            None => return None,
        };
        parts.push((name, id));
    }
    Some(parts)
}
