//! The header of a PCD file, version 0.7 and its forerunners.

use std::path::Path;

use crate::{ImportError, cloud::Input, geotiff::raster::bad};

const MAX_LINE: u64 = 1 << 16;
const MAX_LINES: usize = 256;
const MAX_FIELDS: usize = 256;
/// Values of one field in one point (histograms have 308).
const MAX_VALUES: u64 = 4096;

/// How points are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Ascii,
    Binary,
    Compressed,
}

/// A field of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub name: String,
    /// Bytes of a value.
    pub bytes: usize,
    /// `F`, `I` or `U`.
    pub kind: u8,
    /// Values in a point.
    pub values: usize,
    /// Byte of the first value within a point.
    pub at: usize,
}

impl Field {
    /// The first value in the bytes of this field.
    pub fn number(&self, bytes: &[u8]) -> f64 {
        let Some(bytes) = bytes.get(..self.bytes) else { return f64::NAN };
        let mut b = [0u8; 8];
        b.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        let whole = u64::from_le_bytes(b);
        match (self.kind, self.bytes) {
            (b'F', 4) => f64::from(f32::from_bits(whole as u32)),
            (b'F', 8) => f64::from_bits(whole),
            (b'I', 1) => f64::from(whole as u8 as i8),
            (b'I', 2) => f64::from(whole as u16 as i16),
            (b'I', 4) => f64::from(whole as u32 as i32),
            (b'I', 8) => whole as i64 as f64,
            (b'U', _) => whole as f64,
            _ => f64::NAN,
        }
    }

    /// Whether it holds whole numbers.
    pub fn is_whole(&self) -> bool {
        self.kind != b'F'
    }
}

/// What stands before the points.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    pub fields: Vec<Field>,
    pub points: u64,
    pub width: u64,
    pub height: u64,
    pub viewpoint: Vec<f64>,
    pub coding: Coding,
    pub point_bytes: usize,
}

impl Header {
    /// Reads the header and leaves `input` behind it; `Ok(None)` when the file is no point cloud of this kind.
    pub fn read(path: &Path, input: &mut Input<'_>) -> Result<Option<Self>, ImportError> {
        let mut buffer = Vec::new();
        let (mut names, mut sizes, mut kinds, mut counts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut width, mut height, mut points, mut viewpoint) = (0u64, 1u64, None, Vec::new());
        let mut is_known = false;
        for number in 1..MAX_LINES {
            let wrong = |reason: String| bad(path, &format!("header line {number}"), reason);
            let Some(line) = (match input.line(&mut buffer, MAX_LINE) {
                Ok(line) => line,
                Err(_) if !is_known => return Ok(None),
                Err(error) => return Err(error),
            }) else {
                return if is_known { Err(wrong("the file ends within its header".into())) } else { Ok(None) };
            };
            let line = String::from_utf8_lossy(line).into_owned();
            let mut words = line.split_whitespace();
            let Some(key) = words.next() else { continue };
            let rest: Vec<&str> = words.collect();
            let numbers = || rest.iter().map(|w| w.parse::<u64>().ok()).collect::<Option<Vec<u64>>>();
            let one = || numbers().filter(|n| n.len() == 1).and_then(|n| n.first().copied());
            let broken = || wrong(format!("not understood: {line:.80}"));
            match key {
                _ if key.starts_with('#') => continue,
                "VERSION" => {}
                "FIELDS" | "COLUMNS" => names = rest.iter().map(|w| w.to_string()).collect(),
                "SIZE" => sizes = numbers().ok_or_else(broken)?,
                "TYPE" => kinds = rest.iter().map(|w| w.as_bytes().first().copied().unwrap_or(0)).collect(),
                "COUNT" => counts = numbers().ok_or_else(broken)?,
                "WIDTH" => width = one().ok_or_else(broken)?,
                "HEIGHT" => height = one().ok_or_else(broken)?,
                "POINTS" => points = Some(one().ok_or_else(broken)?),
                "VIEWPOINT" => viewpoint = rest.iter().filter_map(|w| w.parse().ok()).collect(),
                "DATA" => {
                    let coding = match rest.as_slice() {
                        ["ascii"] => Coding::Ascii,
                        ["binary"] => Coding::Binary,
                        ["binary_compressed"] => Coding::Compressed,
                        _ => return Err(broken()),
                    };
                    let fields = fields(names, sizes, kinds, counts).map_err(wrong)?;
                    let product = width.checked_mul(height).ok_or_else(|| wrong("too many points".into()))?;
                    let points = points.unwrap_or(product);
                    if product != points {
                        return Err(wrong(format!("{width} x {height} are not {points} points")));
                    }
                    let point_bytes = fields.last().map_or(0, |f| f.at + f.bytes * f.values);
                    let header = Self { fields, points, width, height, viewpoint, coding, point_bytes };
                    header.check_size(path, input)?;
                    return Ok(Some(header));
                }
                _ if !is_known => return Ok(None),
                _ => return Err(broken()),
            }
            is_known = true;
        }
        Err(bad(path, "header", "it does not end".into()))
    }

    /// Where a field with one of these names stands.
    pub fn find(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|n| self.fields.iter().position(|f| f.name.eq_ignore_ascii_case(n)))
    }

    fn check_size(&self, path: &Path, input: &Input<'_>) -> Result<(), ImportError> {
        let least = match self.coding {
            Coding::Ascii => 2 * self.fields.iter().map(|f| f.values as u64).sum::<u64>(),
            Coding::Binary => self.point_bytes as u64,
            Coding::Compressed => 0,
        };
        let need = self.points.saturating_mul(least);
        if need > input.left().saturating_add(1) {
            let reason = format!(
                "{} points are promised, which take {need} bytes; {} are left at byte {}",
                self.points,
                input.left(),
                input.at
            );
            return Err(bad(path, &format!("byte {}", input.length), reason));
        }
        Ok(())
    }
}

fn fields(names: Vec<String>, sizes: Vec<u64>, kinds: Vec<u8>, counts: Vec<u64>) -> Result<Vec<Field>, String> {
    let n = names.len();
    let counts = if counts.is_empty() { vec![1; n] } else { counts };
    if n == 0 || n > MAX_FIELDS || sizes.len() != n || kinds.len() != n || counts.len() != n {
        let reason = format!("{n} fields, {} sizes, {} types, {} counts", sizes.len(), kinds.len(), counts.len());
        return Err(reason);
    }
    let mut at = 0;
    let mut fields = Vec::with_capacity(n);
    for (((name, size), kind), count) in names.into_iter().zip(sizes).zip(kinds).zip(counts) {
        let is_number = matches!((kind, size), (b'F', 4 | 8) | (b'I' | b'U', 1 | 2 | 4 | 8));
        // `_` is padding, whatever it is made of.
        if !(is_number || name == "_" && (1..=8).contains(&size)) || !(1..=MAX_VALUES).contains(&count) {
            return Err(format!("field {name}: {count} values of type {} and {size} bytes", kind as char));
        }
        let field = Field { name, bytes: size as usize, kind, values: count as usize, at };
        at += field.bytes * field.values;
        fields.push(field);
    }
    Ok(fields)
}
