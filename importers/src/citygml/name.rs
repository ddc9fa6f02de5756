//! Names of elements, each kept once, with what their namespace is.

use std::sync::Arc;

use rustc_hash::FxHashMap;

/// Distinct names in one file.
const MAX_NAMES: usize = 50_000;
/// Declarations of namespaces that may be open at a time.
const MAX_DECLARATIONS: usize = 1000;

/// A name of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Name(u32);

/// What a namespace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Space {
    /// GML 3.1 or 3.2.
    Gml,
    /// A module of CityGML.
    CityGml,
    /// CityGML's appearance module.
    Appearance,
    /// CityGML's generics module.
    Generics,
    /// Anything else: addresses, extensions.
    Other,
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

/// What the URI of a namespace is.
pub(super) fn space_of(uri: &str) -> Space {
    let is_citygml = uri.starts_with("http://www.opengis.net/citygml/") || uri.contains("citygml.org/citygml");
    match uri {
        _ if is_citygml && uri.contains("/appearance/") => Space::Appearance,
        _ if is_citygml && uri.contains("/generics/") => Space::Generics,
        _ if is_citygml => Space::CityGml,
        "http://www.opengis.net/gml" | "http://www.opengis.net/gml/3.2" | "http://www.opengis.net/gml/3.3/exr" => {
            Space::Gml
        }
        _ => Space::Other,
    }
}

/// All names of a file.
pub(super) struct Names {
    list: Vec<(Space, String)>,
    by_name: FxHashMap<(Space, String), Name>,
    /// Names as they are written, as long as the declarations stay the same.
    by_text: FxHashMap<String, Name>,
    declarations: Vec<Declaration>,
    /// The declarations as others have them.
    shared: Option<Scope>,
}

/// The declarations that hold at a place of a file.
pub(super) type Scope = Arc<[Declaration]>;

#[derive(Clone)]
pub(super) struct Declaration {
    depth: usize,
    prefix: String,
    uri: String,
}

impl Names {
    /// With none.
    pub fn new() -> Self {
        Self {
            list: vec![(Space::Other, String::new())],
            by_name: FxHashMap::default(),
            by_text: FxHashMap::default(),
            declarations: Vec::new(),
            shared: None,
        }
    }

    /// The declarations that hold here.
    pub fn scope(&mut self) -> Scope {
        self.shared.get_or_insert_with(|| self.declarations.as_slice().into()).clone()
    }

    /// Goes to a place where these declarations hold.
    pub fn enter(&mut self, scope: &Scope) {
        if self.shared.as_ref().is_none_or(|shared| !Arc::ptr_eq(shared, scope)) {
            self.by_text.clear();
            self.declarations = scope.to_vec();
            self.shared = Some(scope.clone());
        }
    }

    /// Takes a declaration of the element at `depth`: `xmlns` or `xmlns:prefix`.
    pub fn declare(&mut self, depth: usize, attribute: &str, uri: &str) -> Result<(), String> {
        let prefix = attribute.strip_prefix("xmlns:").unwrap_or("");
        if self.declarations.len() >= MAX_DECLARATIONS {
            return Err(format!("more than {MAX_DECLARATIONS} namespaces"));
        }
        let is_known = self.declarations.iter().rev().find(|d| d.prefix == prefix).is_some_and(|d| d.uri == uri);
        if !is_known {
            self.by_text.clear();
            self.shared = None;
            self.declarations.push(Declaration { depth, prefix: prefix.into(), uri: uri.into() });
        }
        Ok(())
    }

    /// Forgets the declarations of elements deeper than `depth`.
    pub fn leave(&mut self, depth: usize) {
        while self.declarations.last().is_some_and(|d| d.depth > depth) {
            self.declarations.pop();
            self.shared = None;
            self.by_text.clear();
        }
    }

    /// The URI that a name as written belongs to.
    pub fn uri(&self, written: &str) -> &str {
        let prefix = written.rsplit_once(':').map_or("", |(prefix, _)| prefix);
        self.declarations.iter().rev().find(|d| d.prefix == prefix).map_or("", |d| &d.uri)
    }

    /// The name of an element as it is written; `Err` when there are too many.
    pub fn of(&mut self, written: &str) -> Result<Name, String> {
        if let Some(known) = self.by_text.get(written) {
            return Ok(*known);
        }
        let local = written.rsplit(':').next().unwrap_or(written);
        let key = (space_of(self.uri(written)), local.to_owned());
        let name = match self.by_name.get(&key) {
            Some(name) => *name,
            None => {
                if self.list.len() >= MAX_NAMES {
                    return Err(format!("more than {MAX_NAMES} names of elements"));
                }
                let name = Name(self.list.len() as u32);
                self.list.push(key.clone());
                self.by_name.insert(key, name);
                name
            }
        };
        self.by_text.insert(written.to_owned(), name);
        Ok(name)
    }

    /// Name without prefix.
    pub fn local(&self, name: Name) -> &str {
        self.list.get(name.0 as usize).map_or("", |(_, local)| local)
    }

    /// What its namespace is.
    pub fn space(&self, name: Name) -> Space {
        self.list.get(name.0 as usize).map_or(Space::Other, |(space, _)| *space)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_mean_what_was_declared_last() {
        let mut names = Names::new();
        names.declare(0, "xmlns:b", "http://www.opengis.net/citygml/building/2.0").unwrap();
        names.declare(0, "xmlns", "http://www.opengis.net/gml/3.2").unwrap();
        let building = names.of("b:Building").unwrap();
        assert_eq!((names.space(building), names.local(building)), (Space::CityGml, "Building"));
        let polygon = names.of("Polygon").unwrap();
        assert_eq!(names.space(polygon), Space::Gml);
        names.declare(3, "xmlns:b", "urn:other").unwrap();
        let other = names.of("b:Building").unwrap();
        assert_eq!(names.space(other), Space::Other);
        names.leave(2);
        assert_eq!(names.of("b:Building").unwrap(), building);
    }
}
