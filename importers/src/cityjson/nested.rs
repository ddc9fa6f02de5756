//! Nested lists of numbers (boundaries, values of semantics and materials) as one flat list.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A list begins.
pub(super) const OPEN: u32 = u32::MAX;
/// A list ends.
pub(super) const CLOSE: u32 = u32::MAX - 1;
/// `null`.
pub(super) const NULL: u32 = u32::MAX - 2;
/// What is no index.
const BAD: u32 = u32::MAX - 3;

/// Indices between [`OPEN`] and [`CLOSE`]: four bytes each, whatever the depth.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Nested(pub Vec<u32>);

/// Whether the token is an index.
pub(super) fn is_index(token: u32) -> bool {
    token <= BAD
}

impl<'de> Deserialize<'de> for Nested {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut tokens = Vec::new();
        Tokens(&mut tokens).deserialize(deserializer)?;
        Ok(Self(tokens))
    }
}

struct Tokens<'t>(&'t mut Vec<u32>);

impl<'de> DeserializeSeed<'de> for Tokens<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tokens<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nested lists of indices")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.push(OPEN);
        while list.next_element_seed(Tokens(self.0))?.is_some() {}
        self.0.push(CLOSE);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.0.push(u32::try_from(number).map_or(BAD, |n| n.min(BAD)));
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.0.push(BAD);
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.0.push(BAD);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.push(NULL);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.0.push(BAD);
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.0.push(BAD);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.0.push(BAD);
        Ok(())
    }
}

/// Values that stand beside polygons, in lists nested as the boundaries are; a `null` stands for a whole list too.
pub(super) struct Beside<'v> {
    tokens: &'v [u32],
    at: usize,
    /// Lists of the boundaries that are open under a `null` (or under nothing).
    muted: u32,
}

impl<'v> Beside<'v> {
    /// Before the first value.
    pub fn new(values: Option<&'v Nested>) -> Self {
        Self { tokens: values.map_or(&[], |v| &v.0), at: 0, muted: 0 }
    }

    /// The boundaries enter a list of surfaces, shells or solids.
    pub fn enter(&mut self) {
        if self.muted > 0 {
            self.muted += 1;
            return;
        }
        match self.tokens.get(self.at) {
            Some(&OPEN) => self.at += 1,
            Some(&NULL) => {
                self.at += 1;
                self.muted = 1;
            }
            _ => self.muted = 1,
        }
    }

    /// The boundaries leave it.
    pub fn leave(&mut self) {
        if self.muted > 0 {
            self.muted -= 1;
            return;
        }
        let mut depth = 0_u32;
        while let Some(token) = self.tokens.get(self.at) {
            self.at += 1;
            match *token {
                OPEN => depth += 1,
                CLOSE if depth == 0 => return,
                CLOSE => depth -= 1,
                _ => {}
            }
        }
    }

    /// The numbers of the next ring, which stand in a list of their own.
    pub fn list(&mut self) -> Option<&'v [u32]> {
        if self.muted > 0 {
            return None;
        }
        if *self.tokens.get(self.at)? != OPEN {
            self.next();
            return None;
        }
        let rest = self.tokens.get(self.at + 1..)?;
        let end = rest.iter().position(|token| matches!(*token, OPEN | CLOSE))?;
        self.at += 1 + end;
        self.leave();
        rest.get(..end)
    }

    /// The value of the next polygon.
    pub fn next(&mut self) -> Option<usize> {
        if self.muted > 0 {
            return None;
        }
        let token = *self.tokens.get(self.at)?;
        if token == CLOSE || token == OPEN {
            return None;
        }
        self.at += 1;
        is_index(token).then_some(token as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_become_tokens_and_rubbish_no_index() {
        let nested: Nested = serde_json::from_str(r#"[[0,1],[null,-1,"x",1.5,{"a":[1]}],7]"#).unwrap();
        assert_eq!(nested.0, [OPEN, OPEN, 0, 1, CLOSE, OPEN, NULL, BAD, BAD, BAD, BAD, CLOSE, 7, CLOSE]);
        assert!(serde_json::from_str::<Nested>(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn values_keep_step_with_boundaries() {
        let values: Nested = serde_json::from_str("[[0,null,2],null,[5]]").unwrap();
        let mut beside = Beside::new(Some(&values));
        let mut found = Vec::new();
        beside.enter();
        for surfaces in [4, 2, 1] {
            beside.enter();
            for _ in 0..surfaces {
                found.push(beside.next());
            }
            beside.leave();
        }
        assert_eq!(found, [Some(0), None, Some(2), None, None, None, Some(5)]);
    }
}
