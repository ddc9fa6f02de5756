//! The header of a PLY file (Turk 1994) and the values after it.

use std::path::Path;

use crate::{ImportError, cloud::Input, geotiff::raster::bad};

/// Bytes of a header line, lines of a header, elements, and properties of one.
const MAX_LINE: u64 = 4096;
const MAX_LINES: usize = 4096;
const MAX_ELEMENTS: usize = 64;
const MAX_PROPERTIES: usize = 1024;

/// How values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Ascii,
    Little,
    Big,
}

/// A type of number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
}

impl Scalar {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "char" | "int8" => Self::I8,
            // `bool` stands in files of some writers; it is a byte.
            "uchar" | "uint8" | "bool" => Self::U8,
            "short" | "int16" => Self::I16,
            "ushort" | "uint16" => Self::U16,
            "int" | "int32" => Self::I32,
            "uint" | "uint32" => Self::U32,
            "float" | "float32" => Self::F32,
            "double" | "float64" => Self::F64,
            _ => return None,
        })
    }

    pub fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    pub fn is_whole(self) -> bool {
        !matches!(self, Self::F32 | Self::F64)
    }

    /// The number in as many bytes as the type has; NaN when there are fewer.
    pub fn number(self, bytes: &[u8], coding: Coding) -> f64 {
        let mut b = [0u8; 8];
        let n = self.bytes();
        let Some(from) = bytes.get(..n) else { return f64::NAN };
        for (k, byte) in from.iter().enumerate() {
            b[if coding == Coding::Big { n - 1 - k } else { k }] = *byte;
        }
        let [b0, b1, b2, b3, ..] = b;
        match self {
            Self::I8 => f64::from(b0 as i8),
            Self::U8 => f64::from(b0),
            Self::I16 => f64::from(i16::from_le_bytes([b0, b1])),
            Self::U16 => f64::from(u16::from_le_bytes([b0, b1])),
            Self::I32 => f64::from(i32::from_le_bytes([b0, b1, b2, b3])),
            Self::U32 => f64::from(u32::from_le_bytes([b0, b1, b2, b3])),
            Self::F32 => f64::from(f32::from_le_bytes([b0, b1, b2, b3])),
            Self::F64 => f64::from_le_bytes(b),
        }
    }
}

/// A property: a number, or a list with the type of its count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Property {
    pub name: String,
    pub count: Option<Scalar>,
    pub scalar: Scalar,
}

/// A kind of record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub name: String,
    pub count: u64,
    pub properties: Vec<Property>,
}

impl Element {
    /// Where a property with one of these names stands.
    pub fn find(&self, names: &[&str]) -> Option<usize> {
        names
            .iter()
            .find_map(|n| self.properties.iter().position(|p| p.count.is_none() && p.name.eq_ignore_ascii_case(n)))
    }

    /// Bytes that one record takes at least.
    fn least_bytes(&self, coding: Coding) -> u64 {
        match coding {
            Coding::Ascii => 2 * self.properties.len() as u64,
            _ => self.properties.iter().map(|p| p.count.unwrap_or(p.scalar).bytes() as u64).sum(),
        }
    }

    /// Bytes of a record without lists.
    pub fn fixed_bytes(&self) -> Option<usize> {
        self.properties.iter().map(|p| p.count.is_none().then_some(p.scalar.bytes())).sum()
    }
}

/// What stands before the values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub coding: Coding,
    pub elements: Vec<Element>,
}

impl Header {
    /// Reads the header and leaves `input` behind it; `Ok(None)` when the file does not begin with `ply`.
    pub fn read(path: &Path, input: &mut Input<'_>) -> Result<Option<Self>, ImportError> {
        let mut buffer = Vec::new();
        let wrong = |number: usize, reason: String| bad(path, &format!("header line {number}"), reason);
        match input.line(&mut buffer, MAX_LINE) {
            Ok(Some(b"ply")) => {}
            _ => return Ok(None),
        }
        let (mut coding, mut elements) = (None, Vec::<Element>::new());
        for number in 2..MAX_LINES {
            let Some(line) = input.line(&mut buffer, MAX_LINE)? else {
                return Err(wrong(number, "the file ends within its header".into()));
            };
            let line = String::from_utf8_lossy(line);
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [] | ["comment" | "obj_info", ..] => {}
                ["format", word, "1.0"] => {
                    coding = Some(match *word {
                        "ascii" => Coding::Ascii,
                        "binary_little_endian" => Coding::Little,
                        "binary_big_endian" => Coding::Big,
                        other => return Err(wrong(number, format!("format {other} is not known"))),
                    });
                }
                ["element", name, count] => {
                    let Ok(count) = count.parse() else { return Err(wrong(number, format!("{count} is no count"))) };
                    if elements.len() == MAX_ELEMENTS || elements.iter().any(|e| e.name == *name) {
                        return Err(wrong(number, format!("element {name} is one too many")));
                    }
                    elements.push(Element { name: (*name).into(), count, properties: Vec::new() });
                }
                ["property", rest @ ..] => {
                    let Some(element) = elements.last_mut() else {
                        return Err(wrong(number, "a property of no element".into()));
                    };
                    let property = match rest {
                        ["list", count, scalar, name] => Scalar::parse(count)
                            .filter(|c| c.is_whole())
                            .zip(Scalar::parse(scalar))
                            .map(|(c, s)| Property { name: (*name).into(), count: Some(c), scalar: s }),
                        [scalar, name] => {
                            Scalar::parse(scalar).map(|s| Property { name: (*name).into(), count: None, scalar: s })
                        }
                        _ => None,
                    };
                    match property {
                        Some(p) if element.properties.len() < MAX_PROPERTIES => element.properties.push(p),
                        _ => return Err(wrong(number, format!("property not understood: {}", rest.join(" ")))),
                    }
                }
                ["end_header"] => {
                    let Some(coding) = coding else { return Err(wrong(number, "no format is named".into())) };
                    let header = Self { coding, elements };
                    header.check_size(path, input)?;
                    return Ok(Some(header));
                }
                _ => {
                    return Err(wrong(
                        number,
                        format!("not understood: {}", line.chars().take(80).collect::<String>()),
                    ));
                }
            }
        }
        Err(wrong(MAX_LINES, "the header does not end".into()))
    }

    /// Whether the file can hold as many records as the header promises.
    fn check_size(&self, path: &Path, input: &Input<'_>) -> Result<(), ImportError> {
        let mut need = 0u64;
        for element in &self.elements {
            if element.count > 0 && element.properties.is_empty() {
                let reason = format!("{} records of {} without a property", element.count, element.name);
                return Err(bad(path, "header", reason));
            }
            need = need.saturating_add(element.count.saturating_mul(element.least_bytes(self.coding)));
        }
        // The last value of an ASCII file needs no end of line.
        if need > input.left().saturating_add(1) {
            let promised: Vec<String> = self.elements.iter().map(|e| format!("{} {}", e.count, e.name)).collect();
            let reason = format!(
                "{} are promised, which take {need} bytes at least; {} are left at byte {}",
                promised.join(" and "),
                input.left(),
                input.at
            );
            return Err(bad(path, &format!("byte {}", input.length), reason));
        }
        Ok(())
    }
}
