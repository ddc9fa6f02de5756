//! The elements of a KML document, as they come; what is held at a time is one placemark.

use std::{
    cell::Cell,
    collections::HashMap,
    io::{BufRead, Read},
    rc::Rc,
    sync::Arc,
};

use groundline_engine::model::Value;
use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

use super::placemark::{Geometry, GeometryKind, Mode, Placemark, coordinates, track_place};
use crate::ImportError;

/// Elements within elements.
const MAX_DEPTH: usize = 100;
/// Longest tag, text or comment, bytes; all of a placemark takes no more either.
const MAX_PIECE_BYTES: u64 = 64 << 20;
/// Declared types of fields that are remembered.
const MAX_SCHEMA_FIELDS: usize = 10_000;
/// Fields of one placemark.
const MAX_FIELDS: usize = 4_096;

/// What was come upon.
pub(super) enum Item {
    /// An element that only KML has.
    Root,
    /// A placemark.
    Placemark(Placemark),
    /// A placemark that cannot be used, with the reason.
    Bad(String),
    /// Something that is left out: code and sentence.
    Notice(&'static str, &'static str),
}

/// Why reading ended before the end.
pub(super) enum Stop {
    /// The taker's error.
    Import(ImportError),
    /// The document is damaged.
    Xml { at: u64, reason: String },
    /// The document is whole, and of a kind that is not read.
    Refused { at: u64, reason: String },
}

/// Elements that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    Container,
    Placemark,
    Name,
    /// An element of the placemark whose text becomes a field.
    Text(&'static str),
    Data,
    DataValue,
    SimpleData,
    SimpleField,
    Geometry(GeometryKind),
    LinearRing,
    Outer,
    Inner,
    Coordinates,
    TrackPlace,
    AltitudeMode,
    Extrude,
    Other,
}

fn tag(name: &str) -> Tag {
    match name {
        "Document" | "Folder" => Tag::Container,
        "Placemark" => Tag::Placemark,
        "name" => Tag::Name,
        "description" => Tag::Text("description"),
        "address" => Tag::Text("address"),
        "phoneNumber" => Tag::Text("phoneNumber"),
        "styleUrl" => Tag::Text("styleUrl"),
        "Snippet" | "snippet" => Tag::Text("snippet"),
        "when" => Tag::Text("when"),
        "begin" => Tag::Text("begin"),
        "end" => Tag::Text("end"),
        "Data" => Tag::Data,
        "value" => Tag::DataValue,
        "SimpleData" => Tag::SimpleData,
        "SimpleField" => Tag::SimpleField,
        "Point" => Tag::Geometry(GeometryKind::Point),
        "LineString" => Tag::Geometry(GeometryKind::Line),
        "Polygon" => Tag::Geometry(GeometryKind::Polygon),
        "Track" => Tag::Geometry(GeometryKind::Track),
        "LinearRing" => Tag::LinearRing,
        "outerBoundaryIs" => Tag::Outer,
        "innerBoundaryIs" => Tag::Inner,
        "coordinates" => Tag::Coordinates,
        "coord" => Tag::TrackPlace,
        "altitudeMode" => Tag::AltitudeMode,
        "extrude" => Tag::Extrude,
        _ => Tag::Other,
    }
}

/// What is left out, by element.
fn notice(name: &str) -> Option<Item> {
    let (code, message) = match name {
        "NetworkLink" => {
            ("network_link", "network links were not followed: fetch what they name and import it as a file")
        }
        "GroundOverlay" | "ScreenOverlay" | "PhotoOverlay" => ("overlay", "pictures laid over the map were left out"),
        "Model" => ("model", "3D models that placemarks refer to were left out"),
        _ => return None,
    };
    Some(Item::Notice(code, message))
}

/// Reads a document; `take` gets what is come upon and the byte where it ended.
pub(super) fn read(
    input: impl BufRead,
    take: &mut dyn FnMut(Item, u64) -> Result<(), ImportError>,
) -> Result<(), Stop> {
    let since_event = Rc::new(Cell::new(0));
    let limited = Limited { inner: input, since_event: since_event.clone() };
    let mut reader = Reader::from_reader(std::io::BufReader::with_capacity(1 << 16, limited));
    reader.config_mut().expand_empty_elements = true;
    let mut state = State::default();
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        since_event.set(0);
        let read = reader.read_event_into(&mut buffer);
        let at = reader.buffer_position();
        let xml = |reason: String| Stop::Xml { at, reason };
        let event = match read {
            Ok(event) => event,
            Err(error) => return Err(Stop::Xml { at: reader.error_position(), reason: error.to_string() }),
        };
        let outcome = match event {
            Event::Start(start) => state.start(&start, at, take),
            Event::End(_) => state.end(at, take),
            Event::Text(text) => state.text(&text.xml10_content()),
            Event::CData(text) => state.text(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().map_err(|e| xml(e.to_string()))?;
                match (character, &*reference) {
                    (Some(character), _) => state.text(character.encode_utf8(&mut [0; 4])),
                    (None, "lt") => state.text("<"),
                    (None, "gt") => state.text(">"),
                    (None, "amp") => state.text("&"),
                    (None, "apos") => state.text("'"),
                    (None, "quot") => state.text("\""),
                    // Of HTML, in descriptions; it stays readable.
                    (None, other) => state.text(&format!("&{other};")),
                }
            }
            Event::DocType(_) => Err(Fault::Refused("a document type (DOCTYPE) is not accepted".into())),
            Event::Decl(declaration) => match declaration.encoding() {
                Some(Ok(name)) if !["utf-8", "us-ascii", "ascii"].contains(&name.to_lowercase().as_str()) => {
                    Err(Fault::Refused(format!("the text is declared as {name}: convert it to UTF-8 first")))
                }
                _ => Ok(()),
            },
            Event::Eof => {
                return match state.stack.is_empty() {
                    true if state.is_kml => Ok(()),
                    true => Err(xml("there is no KML in it".into())),
                    false => Err(xml("the document ends within an element".into())),
                };
            }
            Event::Empty(_) | Event::Comment(_) | Event::PI(_) => Ok(()),
        };
        match outcome {
            Ok(()) => {}
            Err(Fault::Xml(reason)) => return Err(xml(reason)),
            Err(Fault::Refused(reason)) => return Err(Stop::Refused { at, reason }),
            Err(Fault::Import(error)) => return Err(Stop::Import(error)),
        }
    }
}

enum Fault {
    Xml(String),
    Refused(String),
    Import(ImportError),
}

impl From<ImportError> for Fault {
    fn from(error: ImportError) -> Self {
        Self::Import(error)
    }
}

type Take<'t> = dyn FnMut(Item, u64) -> Result<(), ImportError> + 't;

/// Where in the document the reader is.
#[derive(Default)]
struct State {
    stack: Vec<Tag>,
    is_kml: bool,
    /// Names of the documents and folders around.
    folders: Vec<String>,
    /// Types that a schema declares for its fields.
    types: HashMap<String, String>,
    words: HashMap<String, Arc<str>>,
    placemark: Option<Placemark>,
    /// Why the placemark cannot be used.
    fault: Option<String>,
    started_at: u64,
    geometry: Option<Geometry>,
    /// `name` of the `Data` or `SimpleData` around.
    field: Option<String>,
    text: String,
}

impl State {
    fn start(&mut self, start: &BytesStart<'_>, at: u64, take: &mut Take<'_>) -> Result<(), Fault> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(Fault::Xml(format!("elements nested deeper than {MAX_DEPTH}")));
        }
        let name = start.local_name();
        let name = name.as_ref();
        let found = tag(name);
        if !self.is_kml && matches!(name, "kml" | "Placemark" | "NetworkLink") {
            self.is_kml = true;
            take(Item::Root, at)?;
        }
        if let Some(item) = notice(name) {
            take(item, at)?;
        }
        // Descriptions with unescaped HTML keep their text.
        if self.stack.last() != Some(&Tag::Text("description")) {
            self.text.clear();
        }
        match found {
            Tag::Container => self.folders.push(String::new()),
            Tag::Placemark if self.placemark.is_some() => {
                return Err(Fault::Xml("a placemark within a placemark".into()));
            }
            Tag::Placemark => {
                self.placemark = Some(Placemark { id: attribute(start, "id")?, ..Placemark::default() });
                self.started_at = at;
                self.fault = None;
            }
            Tag::Data | Tag::SimpleData => self.field = attribute(start, "name")?,
            Tag::SimpleField => {
                let (name, kind) = (attribute(start, "name")?, attribute(start, "type")?);
                if let (Some(name), Some(kind)) = (name, kind)
                    && self.types.len() < MAX_SCHEMA_FIELDS
                {
                    self.types.insert(name, kind);
                }
            }
            Tag::Geometry(kind) if self.placemark.is_some() && self.geometry.is_none() => {
                self.geometry = Some(Geometry::new(kind));
            }
            // Outside of a polygon a ring is a closed line.
            Tag::LinearRing if self.placemark.is_some() && self.geometry.is_none() => {
                self.geometry = Some(Geometry::new(GeometryKind::Line));
                self.stack.push(Tag::Geometry(GeometryKind::Line));
                return Ok(());
            }
            Tag::Geometry(_) if self.geometry.is_some() => {
                self.fault = Some("a geometry within a geometry".into());
            }
            _ => {}
        }
        self.stack.push(found);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Fault> {
        self.text.push_str(text);
        match self.text.len() as u64 > MAX_PIECE_BYTES {
            true => Err(Fault::Xml("a text of more than 64 MiB".into())),
            false => Ok(()),
        }
    }

    fn end(&mut self, at: u64, take: &mut Take<'_>) -> Result<(), Fault> {
        let Some(ended) = self.stack.pop() else { return Err(Fault::Xml("an end without a beginning".into())) };
        let parent = self.stack.last().copied();
        if self.placemark.is_some() && at.saturating_sub(self.started_at) > MAX_PIECE_BYTES {
            return Err(Fault::Xml("a placemark of more than 64 MiB".into()));
        }
        match ended {
            Tag::Container => {
                self.folders.pop();
            }
            Tag::Name if parent == Some(Tag::Container) => {
                if let Some(folder) = self.folders.last_mut() {
                    *folder = self.text.trim().chars().take(200).collect();
                }
            }
            Tag::Placemark => return self.end_placemark(at, take),
            _ if self.placemark.is_none() => {}
            Tag::Name if parent == Some(Tag::Placemark) => self.push_text("name"),
            Tag::Text(name) if parent == Some(Tag::Placemark) || matches!(name, "when" | "begin" | "end") => {
                // Every place of a track has a time of its own.
                if self.geometry.is_none() {
                    self.push_text(name);
                }
            }
            Tag::DataValue if parent == Some(Tag::Data) => self.push_field(),
            Tag::SimpleData => self.push_field(),
            Tag::Data => self.field = None,
            _ => self.end_geometry_part(ended, parent, at, take)?,
        }
        Ok(())
    }

    fn end_geometry_part(
        &mut self,
        ended: Tag,
        parent: Option<Tag>,
        at: u64,
        take: &mut Take<'_>,
    ) -> Result<(), Fault> {
        let (Some(geometry), Some(placemark)) = (self.geometry.as_mut(), self.placemark.as_mut()) else {
            return Ok(());
        };
        let text = self.text.trim();
        let outcome: Result<(), String> = match ended {
            Tag::Coordinates => coordinates(text).map(|(places, has_z)| {
                geometry.coordinates = places;
                geometry.has_z |= has_z;
            }),
            Tag::TrackPlace => match track_place(text) {
                Some(place) => {
                    geometry.coordinates.push(place);
                    geometry.has_z = true;
                    Ok(())
                }
                // A place that was not recorded.
                None if text.is_empty() => Ok(()),
                None => Err(format!("{:?} is no place", text.chars().take(40).collect::<String>())),
            },
            Tag::AltitudeMode => match Mode::parse(text) {
                Some(mode) => {
                    geometry.mode = mode;
                    if text.ends_with("SeaFloor") {
                        let message = "heights above the sea floor are taken as heights above the ground";
                        take(Item::Notice("sea_floor", message), at)?;
                    }
                    Ok(())
                }
                None => Err(format!("altitudeMode {:?}", text.chars().take(40).collect::<String>())),
            },
            Tag::Extrude => {
                geometry.is_extruded = matches!(text, "1" | "true");
                Ok(())
            }
            Tag::LinearRing if matches!(parent, Some(Tag::Outer | Tag::Inner)) => {
                geometry.end_ring(parent == Some(Tag::Inner)).map_err(Into::into)
            }
            Tag::Geometry(_) => {
                let done = self.geometry.take();
                done.map_or(Ok(()), |geometry| geometry.end(placemark)).map_err(Into::into)
            }
            _ => Ok(()),
        };
        if let Err(reason) = outcome {
            self.fault.get_or_insert(reason);
        }
        Ok(())
    }

    fn end_placemark(&mut self, at: u64, take: &mut Take<'_>) -> Result<(), Fault> {
        self.geometry = None;
        self.field = None;
        let Some(mut placemark) = self.placemark.take() else { return Ok(()) };
        if let Some(reason) = self.fault.take() {
            let name = placemark.fields.iter().find(|(key, _)| &**key == "name");
            let named = name.map_or(String::new(), |(_, name)| format!("{name}: "));
            return Ok(take(Item::Bad(format!("{named}{reason}")), at)?);
        }
        let folder: Vec<&str> = self.folders.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
        if !folder.is_empty() {
            let folder = folder.join("/");
            let key = self.word("folder");
            placemark.fields.push((key, Value::Text(folder)));
        }
        Ok(take(Item::Placemark(placemark), at)?)
    }

    fn push_text(&mut self, name: &'static str) {
        let text = self.text.trim().to_owned();
        self.push(name, Value::Text(text));
    }

    fn push_field(&mut self) {
        let Some(name) = self.field.clone() else { return };
        let text = self.text.trim();
        let value = match self.types.get(&name).map(String::as_str) {
            Some("int" | "uint" | "short" | "ushort") => text.parse().ok().map(Value::Int),
            Some("float" | "double") => text.parse().ok().filter(|n: &f64| n.is_finite()).map(Value::Real),
            Some("bool") => match text {
                "1" | "true" => Some(Value::Bool(true)),
                "0" | "false" => Some(Value::Bool(false)),
                _ => None,
            },
            _ => None,
        };
        let value = value.unwrap_or_else(|| Value::Text(text.to_owned()));
        self.push(&name, value);
    }

    fn push(&mut self, name: &str, value: Value) {
        if value.as_str() == Some("") {
            return;
        }
        let word = self.word(name);
        let Some(placemark) = self.placemark.as_mut() else { return };
        if placemark.fields.len() >= MAX_FIELDS {
            self.fault.get_or_insert(format!("more than {MAX_FIELDS} fields"));
        } else if placemark.fields.iter().any(|(key, _)| *key == word) {
            // The name of the placemark and a field called `name`: both are kept.
            let second: Arc<str> = format!("{name}_2").into();
            if !placemark.fields.iter().any(|(key, _)| *key == second) {
                placemark.fields.push((second, value));
            }
        } else {
            placemark.fields.push((word, value));
        }
    }

    fn word(&mut self, text: &str) -> Arc<str> {
        if let Some(word) = self.words.get(text) {
            return word.clone();
        }
        let word: Arc<str> = text.into();
        if self.words.len() < MAX_SCHEMA_FIELDS {
            self.words.insert(text.into(), word.clone());
        }
        word
    }
}

/// The value of an attribute that is not empty.
fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>, Fault> {
    let found = start.try_get_attribute(name).map_err(|e| Fault::Xml(e.to_string()))?;
    let Some(found) = found else { return Ok(None) };
    let value = found.normalized_value(XmlVersion::Explicit1_0).map_err(|e| Fault::Xml(e.to_string()))?;
    let value = value.trim();
    Ok((!value.is_empty()).then(|| value.to_owned()))
}

/// Fails when one piece of the document grows beyond all reason.
struct Limited<R> {
    inner: R,
    since_event: Rc<Cell<u64>>,
}

impl<R: BufRead> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.since_event.get() > MAX_PIECE_BYTES {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "a tag or text of more than 64 MiB"));
        }
        let read = self.inner.read(buffer)?;
        self.since_event.set(self.since_event.get() + read as u64);
        Ok(read)
    }
}
