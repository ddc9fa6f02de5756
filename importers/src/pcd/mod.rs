//! PCD: clouds of the Point Cloud Library, as text, binary and LZF-compressed.

mod header;
mod lzf;
#[cfg(test)]
mod tests;

use std::path::Path;

use glam::DVec3;
use groundline_engine::model::{SourceReport, Value};

use self::header::{Coding, Field, Header};
use crate::{
    Format, ImportError, Job, Options, Out, Probe,
    cloud::{Depth, Input, Placing, RawPoint, SAMPLE_POINTS, Scan, grow, probe_of},
    geotiff::{raster::bad, stem},
};

/// PCD clouds.
pub static FORMAT: Format = Format {
    name: "pcd",
    title: "PCD point cloud",
    title_zh: "PCD 点云",
    extensions: &["pcd"],
    probe,
    read,
    memory_per_byte: 2.0,
};

/// Bytes that a compressed cloud, which stands field after field and so must be held, may unpack to.
const MAX_UNPACKED: u64 = 768 << 20;
const MAX_LINE: u64 = 1 << 20;
const STEP: u64 = 65_536;

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let mut input = Input::open(path)?;
    let Some(header) = Header::read(path, &mut input)? else { return Ok(None) };
    let (records, mut extent) = (header.points, None);
    // A compressed cloud would have to be unpacked whole; nothing but a hint in an error needs its extent.
    if let Some(columns) = Columns::of(&header).filter(|_| header.coding != Coding::Compressed) {
        let mut points = Points::open(path, header, input)?;
        while points.read < records.min(SAMPLE_POINTS) {
            match points.next() {
                Ok(Ok(())) => grow(&mut extent, columns.point(&points).at),
                Ok(Err(_)) => {}
                Err(_) => break,
            }
        }
    }
    Ok(Some(probe_of(path, &FORMAT, options, Some(records), extent)))
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let mut input = Input::open(job.path)?;
    let Some(header) = Header::read(job.path, &mut input)? else {
        return Err(bad(job.path, "header", "the file does not begin as a PCD file".into()));
    };
    let Some(columns) = Columns::of(&header) else {
        return Err(bad(job.path, "header", "the points have no fields x, y and z".into()));
    };
    if header.points == 0 {
        report.warn("empty", "the file has no points", "header");
        return Ok(());
    }
    let is_moved = header.viewpoint.iter().zip([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]).any(|(a, b)| *a != b);
    if is_moved {
        let message = "the scanner's viewpoint was not applied: points are taken to stand in the axes of the file";
        report.warn("viewpoint_not_applied", message, "VIEWPOINT");
    }
    let left: Vec<&str> = header
        .fields
        .iter()
        .enumerate()
        .filter(|(k, f)| !columns.uses(*k) && f.name != "_")
        .map(|(_, f)| f.name.as_str())
        .collect();
    if !left.is_empty() {
        report.warn("fields_left_out", format!("fields left out: {}", left.join(", ")), "FIELDS");
    }
    let placing = Placing::of(job, report)?;
    let (colour, intensity) = columns.depths(&header);
    let mut scan = Scan::new(job, &placing, &stem(job.path), colour, intensity);
    scan.attribute("points", Value::Int(header.points.min(i64::MAX as u64) as i64));
    if header.height > 1 {
        scan.attribute("size", Value::Text(format!("{} x {}", header.width, header.height)));
    }
    let total = header.points;
    let mut points = Points::open(job.path, header, input)?;
    while points.read < total {
        let read = points.next()?;
        match read {
            Ok(()) => scan.push(points.read, columns.point(&points), out, report)?,
            Err(reason) => report.skip(points.read, reason),
        }
        if points.read.is_multiple_of(STEP) {
            out.progress((points.read as f64 / total as f64) as f32);
        }
    }
    if points.has_more()? {
        report.warn("trailing_data", "there are data after the last point that was promised", "");
    }
    if scan.finish(out, report)? == 0 {
        report.warn("empty", "no point of the file has a position", "");
    }
    out.progress(1.0);
    Ok(())
}

/// Which field is what.
struct Columns {
    position: [usize; 3],
    packed: Option<usize>,
    rgb: Option<[usize; 3]>,
    intensity: Option<usize>,
    class: Option<usize>,
}

impl Columns {
    fn of(header: &Header) -> Option<Self> {
        let three = |a: &str, b: &str, c: &str| Some([header.find(&[a])?, header.find(&[b])?, header.find(&[c])?]);
        Some(Self {
            position: three("x", "y", "z")?,
            packed: header.find(&["rgb", "rgba"]).filter(|k| header.fields.get(*k).is_some_and(|f| f.bytes == 4)),
            rgb: three("red", "green", "blue").or_else(|| three("r", "g", "b")),
            intensity: header.find(&["intensity", "reflectance"]),
            class: header.find(&["classification", "label", "class"]),
        })
    }

    fn uses(&self, k: usize) -> bool {
        self.position.contains(&k)
            || [self.packed, self.intensity, self.class].contains(&Some(k))
            || self.rgb.is_some_and(|rgb| rgb.contains(&k))
    }

    fn depths(&self, header: &Header) -> (Depth, Depth) {
        let whole = |k: Option<usize>| k.and_then(|k| header.fields.get(k)).is_none_or(Field::is_whole);
        let colour = match self.packed {
            Some(_) => Depth::Range(0.0, 255.0),
            None => Depth::Open { whole: whole(self.rgb.map(|rgb| rgb[0])) },
        };
        (colour, Depth::Open { whole: whole(self.intensity) })
    }

    fn point(&self, points: &Points<'_>) -> RawPoint {
        let packed = self.packed.and_then(|k| points.bits(k)).map(|v| {
            let [b, g, r, _] = v.to_le_bytes();
            [f32::from(r), f32::from(g), f32::from(b)]
        });
        RawPoint {
            at: DVec3::from_array(self.position.map(|k| points.number(k))),
            rgb: packed.or_else(|| self.rgb.map(|rgb| rgb.map(|k| points.number(k) as f32))),
            intensity: self.intensity.map(|k| points.number(k)),
            class: self.class.map(|k| points.number(k)).filter(|c| (0.0..=255.0).contains(c)).map(|c| c as u8),
        }
    }
}

/// The points one after the other, however they are stored.
struct Points<'p> {
    path: &'p Path,
    header: Header,
    input: Input<'p>,
    /// All values, field after field, of a compressed cloud.
    unpacked: Vec<u8>,
    line: Vec<u8>,
    /// Bytes of the current point.
    point: Vec<u8>,
    /// Numbers of the current point of a text, the first of each field.
    words: Vec<(f64, Option<u32>)>,
    read: u64,
}

impl<'p> Points<'p> {
    fn open(path: &'p Path, header: Header, mut input: Input<'p>) -> Result<Self, ImportError> {
        let mut unpacked = Vec::new();
        if header.coding == Coding::Compressed {
            let mut sizes = [0; 8];
            input.exact(&mut sizes, &|| "compressed points".into())?;
            let [a, b, c, d, e, f, g, h] = sizes;
            let (packed, length) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
            let need = header.points.saturating_mul(header.point_bytes as u64);
            let bad = |reason: String| bad(path, "compressed points", reason);
            let wrong = |reason: String| Err(bad(reason));
            if u64::from(length) != need {
                return wrong(format!("{length} bytes, but {} points take {need}", header.points));
            }
            if need > MAX_UNPACKED {
                return wrong(format!("{need} bytes when unpacked are more than {MAX_UNPACKED}; save it as binary"));
            }
            if u64::from(packed) > input.left() {
                return wrong(format!("{packed} bytes are promised, {} are left", input.left()));
            }
            let mut data = vec![0; packed as usize];
            input.exact(&mut data, &|| "compressed points".into())?;
            unpacked = lzf::unpack(&data, length as usize).map_err(bad)?;
        }
        let point = vec![0; header.point_bytes];
        Ok(Self { path, header, input, unpacked, line: Vec::new(), point, words: Vec::new(), read: 0 })
    }

    /// Goes to the next point. The inner error is of this point alone: its reason.
    fn next(&mut self) -> Result<Result<(), String>, ImportError> {
        let index = self.read;
        self.read += 1;
        match self.header.coding {
            Coding::Binary => {
                self.input.exact(&mut self.point, &|| format!("point {}", index + 1))?;
                Ok(Ok(()))
            }
            Coding::Compressed => Ok(Ok(())),
            Coding::Ascii => loop {
                match self.input.line(&mut self.line, MAX_LINE)? {
                    None => {
                        let reason = format!("the file ends here, {} points are promised", self.header.points);
                        return Err(bad(self.path, &format!("point {}", index + 1), reason));
                    }
                    Some([]) => {}
                    Some(_) => return Ok(self.parse_line()),
                }
            },
        }
    }

    fn parse_line(&mut self) -> Result<(), String> {
        let text = std::str::from_utf8(&self.line).map_err(|_| "the line is no text")?;
        let mut words = text.split_ascii_whitespace();
        self.words.clear();
        for field in &self.header.fields {
            let mut first = None;
            for _ in 0..field.values {
                let word = words.next().ok_or_else(|| format!("the line ends before {}", field.name))?;
                let number: f64 = word.parse().map_err(|_| format!("{}: {word:.20} is no number", field.name))?;
                first = first.or(Some((number, packed_bits(word, number, field))));
            }
            self.words.push(first.unwrap_or((f64::NAN, None)));
        }
        if words.next().is_some() { Err("the line has more values than there are fields".into()) } else { Ok(()) }
    }

    fn bytes(&self, k: usize) -> Option<&[u8]> {
        let field = self.header.fields.get(k)?;
        match self.header.coding {
            Coding::Compressed => {
                let points = self.header.points as usize;
                let at = field.at * points + (self.read.max(1) as usize - 1) * field.bytes * field.values;
                self.unpacked.get(at..at + field.bytes)
            }
            _ => self.point.get(field.at..field.at + field.bytes),
        }
    }

    fn number(&self, k: usize) -> f64 {
        match self.header.coding {
            Coding::Ascii => self.words.get(k).map_or(f64::NAN, |w| w.0),
            _ => self.header.fields.get(k).zip(self.bytes(k)).map_or(f64::NAN, |(f, b)| f.number(b)),
        }
    }

    /// The 32 bits of a packed colour.
    fn bits(&self, k: usize) -> Option<u32> {
        match self.header.coding {
            Coding::Ascii => self.words.get(k)?.1,
            _ => {
                self.bytes(k).and_then(|b| Some(u32::from_le_bytes([*b.first()?, *b.get(1)?, *b.get(2)?, *b.get(3)?])))
            }
        }
    }

    fn has_more(&mut self) -> Result<bool, ImportError> {
        if self.header.coding != Coding::Ascii {
            return Ok(self.input.left() > 0);
        }
        while let Some(line) = self.input.line(&mut self.line, MAX_LINE)? {
            if !line.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A packed colour in a text: a whole number, or those bits written as a float.
fn packed_bits(word: &str, number: f64, field: &Field) -> Option<u32> {
    match field.kind {
        b'F' if word.bytes().any(|b| matches!(b, b'.' | b'e' | b'E')) => Some((number as f32).to_bits()),
        // Older writers named the type F and wrote the whole number.
        _ => (0.0..=f64::from(u32::MAX)).contains(&number).then_some(number as u32),
    }
}
