//! A GeoJSON text, one feature in memory at a time.

use std::{
    cell::Cell,
    fmt,
    io::{self, BufReader, Read},
    rc::Rc,
};

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Value as Json, value::RawValue};

use super::encoding_hint;
use crate::format::ImportError;

/// A feature of more bytes than this is not read: no single thing of a city is that large.
const MAX_FEATURE_BYTES: u64 = 256 << 20;
/// What a first bad byte is looked at with, to name the encoding.
const HINT_BYTES: usize = 64 * 1024;

/// What stands in a GeoJSON text.
pub(super) enum Member<'m> {
    /// The `type` of the whole.
    Type(&'m str),
    /// The `crs` member of the older version.
    Crs(Json),
    /// The text of a feature, or of the one geometry that is the whole text.
    Feature(Box<RawValue>),
}

/// Why reading stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// The other side said so.
    Import(ImportError),
    /// The disk said no.
    Io(io::Error),
    /// The text is no JSON from this byte on.
    Json {
        /// Byte from the beginning.
        at: u64,
        /// What is wrong.
        reason: String,
    },
}

/// Reads the text and hands on its members with the byte that they end at.
pub(super) fn read(
    source: impl Read,
    mut take: impl FnMut(Member<'_>, u64) -> Result<(), ImportError>,
) -> Result<(), Stop> {
    let at = Rc::new(Cell::new(0_u64));
    let limit = Rc::new(Cell::new(MAX_FEATURE_BYTES));
    let counted =
        Counted { source: BufReader::with_capacity(256 * 1024, source), at: at.clone(), limit: limit.clone() };
    let mut state = State { take: &mut take, at: at.clone(), limit, stopped: None };
    let mut deserializer = serde_json::Deserializer::from_reader(counted);
    let outcome = Whole(&mut state).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    let stopped = state.stopped.take();
    match (stopped, outcome) {
        (Some(error), _) => Err(Stop::Import(error)),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) => match error.classify() {
            serde_json::error::Category::Io if error.io_error_kind() != Some(io::ErrorKind::InvalidData) => {
                Err(Stop::Io(error.into()))
            }
            serde_json::error::Category::Eof => {
                Err(Stop::Json { at: at.get(), reason: "the file ends in the middle: it is cut off".into() })
            }
            _ => Err(Stop::Json { at: at.get(), reason: error.to_string() }),
        },
    }
}

/// Counts bytes and refuses a feature without end.
struct Counted<R> {
    source: BufReader<R>,
    at: Rc<Cell<u64>>,
    limit: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let start = self.at.get();
        if start > self.limit.get() {
            let reason = format!("a feature of more than {} MiB", MAX_FEATURE_BYTES >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let count = self.source.read(buffer)?;
        self.at.set(start + count as u64);
        // A byte order mark is no JSON, but Windows programs write it.
        if start == 0 && count == 1 && buffer[0] == 0xEF {
            let mut rest = [0; 2];
            self.source.read_exact(&mut rest)?;
            self.at.set(3);
            return match rest {
                [0xBB, 0xBF] => self.read(buffer),
                _ => Err(io::Error::new(io::ErrorKind::InvalidData, encoding_hint(self.source.buffer()))),
            };
        }
        if buffer[..count].iter().any(|b| matches!(b, 0xC0 | 0xC1 | 0xF5..=0xFF)) {
            let rest = &self.source.buffer()[..self.source.buffer().len().min(HINT_BYTES)];
            return Err(io::Error::new(io::ErrorKind::InvalidData, encoding_hint(rest)));
        }
        Ok(count)
    }
}

struct State<'t, F> {
    take: &'t mut F,
    at: Rc<Cell<u64>>,
    limit: Rc<Cell<u64>>,
    stopped: Option<ImportError>,
}

impl<F: FnMut(Member<'_>, u64) -> Result<(), ImportError>> State<'_, F> {
    fn give<E: serde::de::Error>(&mut self, member: Member<'_>) -> Result<(), E> {
        self.limit.set(self.at.get() + MAX_FEATURE_BYTES);
        (self.take)(member, self.at.get()).map_err(|error| {
            self.stopped = Some(error);
            E::custom("stopped")
        })
    }
}

/// The outermost object.
struct Whole<'s, 't, F>(&'s mut State<'t, F>);

impl<'de, F: FnMut(Member<'_>, u64) -> Result<(), ImportError>> DeserializeSeed<'de> for Whole<'_, '_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(Member<'_>, u64) -> Result<(), ImportError>> Visitor<'de> for Whole<'_, '_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a GeoJSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // A single feature or geometry is the whole text; its few members are gathered first.
        let mut single = serde_json::Map::new();
        let mut is_collection = false;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "features" => {
                    is_collection = true;
                    map.next_value_seed(Features(self.0))?;
                }
                "crs" => {
                    let member = map.next_value()?;
                    self.0.give(Member::Crs(member))?;
                }
                "type" => {
                    let kind: Json = map.next_value()?;
                    let word = kind.as_str().ok_or_else(|| A::Error::custom("type is no text"))?;
                    self.0.give(Member::Type(word))?;
                    is_collection |= word == "FeatureCollection";
                    single.insert(key, kind);
                }
                "geometry" | "properties" | "coordinates" | "geometries" | "id" if !is_collection => {
                    single.insert(key, map.next_value()?);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if !is_collection && single.len() > 1 {
            let text = serde_json::value::to_raw_value(&single).map_err(A::Error::custom)?;
            self.0.give(Member::Feature(text))?;
        }
        Ok(())
    }
}

/// The list of features.
struct Features<'s, 't, F>(&'s mut State<'t, F>);

impl<'de, F: FnMut(Member<'_>, u64) -> Result<(), ImportError>> DeserializeSeed<'de> for Features<'_, '_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Member<'_>, u64) -> Result<(), ImportError>> Visitor<'de> for Features<'_, '_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of features")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(feature) = list.next_element()? {
            self.0.give(Member::Feature(feature))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> (usize, Option<String>, Result<(), Stop>) {
        let (mut features, mut crs) = (0, None);
        let outcome = read(text.as_bytes(), |member, _| {
            match member {
                Member::Feature(_) => features += 1,
                Member::Crs(json) => crs = Some(json.to_string()),
                Member::Type(_) => {}
            }
            Ok(())
        });
        (features, crs, outcome)
    }

    const FEATURE: &str = r#"{"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":[1,2]}}"#;

    #[test]
    fn members_come_in_any_order() {
        let (features, crs, outcome) = run(&format!(
            r#"{{"features":[{FEATURE},{FEATURE}],"bbox":[1,2],"crs":{{"a":1}},"type":"FeatureCollection"}}"#
        ));
        assert!(outcome.is_ok());
        assert_eq!((features, crs.as_deref()), (2, Some(r#"{"a":1}"#)));
        assert_eq!(run(FEATURE).0, 1, "a single feature is a text too");
        assert_eq!(run(r#"{"type":"Point","coordinates":[1,2]}"#).0, 1);
        assert_eq!(run(r#"{"type":"FeatureCollection","features":[]}"#).0, 0);
    }

    #[test]
    fn a_cut_text_names_the_byte() {
        let text = format!(r#"{{"type":"FeatureCollection","features":[{FEATURE},{}"#, &FEATURE[..30]);
        let (features, _, outcome) = run(&text);
        assert_eq!(features, 1);
        match outcome {
            Err(Stop::Json { at, reason }) => {
                assert_eq!(at, text.len() as u64);
                assert!(reason.contains("cut off"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rubbish_is_an_error() {
        for text in ["", "[1,2]", "{\"type\": 1}", "{\"features\": [}", &"{\"a\":".repeat(1000), "{} x"] {
            assert!(run(text).2.is_err(), "{text:.40}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_and_other_encodings_are_named() {
        assert_eq!(run(&format!("\u{feff}{FEATURE}")).0, 1);
        let mut bytes = br#"{"type":"Feature","properties":{"name":""#.to_vec();
        bytes.extend_from_slice(b"\xc7\xe0\xb5\xba\xca\xd0\"}}");
        let outcome = read(&bytes[..], |_, _| Ok(()));
        assert!(matches!(outcome, Err(Stop::Json { .. })), "{outcome:?}");
    }
}
