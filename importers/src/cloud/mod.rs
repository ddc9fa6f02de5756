//! What the formats of points share: batches of one scan, and how colours and intensities of unknown depth are read.
//!
//! A format pushes points in the order of its file; a [`Scan`] places them, and emits them in batches of one size
//! whatever the size of the file.

mod place;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use glam::DVec3;
use groundline_engine::model::{
    Attribute, CityObject, Class, Extent, Geometry, ObjectId, PointBatch, SourceReport, Value,
};

pub(crate) use self::place::{PLACEABLE, Placing, is_earth_centred, is_placed, tell_earth_centred};
use crate::{
    Format, ImportError, Job, Kind, Options, Out, Probe,
    geotiff::{crs_from_prj, raster::bad},
};

/// Points of one batch.
const BATCH: usize = 200_000;
/// Points that a first look takes to find the extent.
pub(crate) const SAMPLE_POINTS: u64 = 20_000;

/// A point as its file has it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RawPoint {
    /// Position in the source's coordinates.
    pub at: DVec3,
    /// Red, green, blue in the file's own range.
    pub rgb: Option<[f32; 3]>,
    /// Intensity in the file's own range.
    pub intensity: Option<f64>,
    /// ASPRS class.
    pub class: Option<u8>,
}

/// How numbers become a colour or an intensity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Depth {
    /// Between these two, as the file says.
    Range(f64, f64),
    /// The file does not say: the first batch decides. `whole`: the numbers are stored as whole numbers.
    Open {
        /// Stored as whole numbers.
        whole: bool,
    },
}

/// One scan on its way out.
pub(crate) struct Scan<'j> {
    job: &'j Job<'j>,
    placing: &'j Placing<'j>,
    id: ObjectId,
    object: Option<CityObject>,
    colour: Depth,
    intensity: Depth,
    points: Vec<RawPoint>,
    records: Vec<u64>,
    /// Points that went out.
    pub taken: u64,
}

impl<'j> Scan<'j> {
    /// A scan whose id within the layer is `key`.
    pub fn new(job: &'j Job<'j>, placing: &'j Placing<'j>, key: &str, colour: Depth, intensity: Depth) -> Self {
        let class = job.options.class.unwrap_or(Class::PointCloud);
        let mut object = CityObject::new(ObjectId::new(job.layer, key), class, Geometry::None);
        object.name = Some(key.to_owned());
        if let Some(stage) = job.options.stage {
            object.stage = stage;
        }
        let id = object.id.clone();
        Self {
            job,
            placing,
            id,
            object: Some(object),
            colour,
            intensity,
            points: Vec::new(),
            records: Vec::new(),
            taken: 0,
        }
    }

    /// The object that the first batch carries, to be described before it goes out.
    pub fn describe(&mut self, describe: impl FnOnce(&mut CityObject)) {
        if let Some(object) = &mut self.object {
            describe(object);
        }
    }

    /// An attribute read from the file.
    pub fn attribute(&mut self, key: &str, value: Value) {
        self.describe(|object| object.attributes.push(Attribute::read(&key.into(), value)));
    }

    /// Takes a point; `record` counts from 1. A position that is no number is skipped.
    pub fn push(
        &mut self,
        record: u64,
        point: RawPoint,
        out: &mut dyn Out,
        report: &mut SourceReport,
    ) -> Result<(), ImportError> {
        if !point.at.is_finite() {
            report.skip(record, "the point has no position: a coordinate is no number");
            return Ok(());
        }
        self.points.push(point);
        self.records.push(record);
        if self.points.len() >= BATCH { self.flush(out, report) } else { Ok(()) }
    }

    /// Hands on what is left and counts the object.
    pub fn finish(mut self, out: &mut dyn Out, report: &mut SourceReport) -> Result<u64, ImportError> {
        self.flush(out, report)?;
        if self.taken > 0 {
            report.objects += 1;
        }
        Ok(self.taken)
    }

    fn flush(&mut self, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
        if self.points.is_empty() {
            return Ok(());
        }
        let mut positions: Vec<DVec3> = self.points.iter().map(|p| p.at).collect();
        self.placing.apply(&mut positions);
        if positions.iter().any(|p| !p.is_finite()) {
            let kept: Vec<bool> = positions.iter().map(|p| p.is_finite()).collect();
            for (record, _) in self.records.iter().zip(&kept).filter(|(_, keep)| !**keep) {
                report.skip(*record, "the point lies outside the coordinate system's area");
            }
            let mut flags = kept.iter();
            self.points.retain(|_| flags.next().copied().unwrap_or(false));
            positions.retain(|p| p.is_finite());
        }
        let batch = PointBatch {
            colours: self.colours(report),
            intensities: self.intensities(report),
            classes: classes(&self.points),
            positions,
        };
        self.points.clear();
        self.records.clear();
        if batch.positions.is_empty() {
            return Ok(());
        }
        let points = batch.positions.len() as u64;
        (self.taken, report.points) = (self.taken + points, report.points + points);
        report.extent.merge(&Extent::around(batch.positions.iter().copied()));
        let geometry = Geometry::Points(batch);
        out.emit(match self.object.take() {
            Some(first) => CityObject { geometry, ..first },
            None => CityObject::new(self.id.clone(), self.job.options.class.unwrap_or(Class::PointCloud), geometry),
        })
    }

    fn colours(&mut self, report: &mut SourceReport) -> Vec<[u8; 3]> {
        let missing = self.points.iter().filter(|p| p.rgb.is_none()).count();
        if missing == self.points.len() {
            return Vec::new();
        }
        if missing > 0 {
            let message = "some points have no colour while others of the scan do; they are drawn black";
            report.warn("colour_missing", message, "");
        }
        let values = || self.points.iter().filter_map(|p| p.rgb).flatten().map(f64::from);
        let (low, high) = match self.colour {
            Depth::Range(low, high) => (low, high),
            Depth::Open { whole } => {
                let most = values().fold(0.0, f64::max);
                // All black says nothing yet.
                let range = match most {
                    m if m <= 0.0 => return Vec::new(),
                    m if m <= 1.0 && !whole => (0.0, 1.0),
                    m if m <= 255.0 => (0.0, 255.0),
                    _ => (0.0, 65535.0),
                };
                self.colour = Depth::Range(range.0, range.1);
                range
            }
        };
        if values().any(|v| v > high || v < low) {
            let message = format!("colours outside of {low} to {high} were cut to it");
            report.warn("colour_range", message, "");
        }
        // 8 and 16 bits fall on whole steps; everything else is rounded.
        let narrow = |v: f32| match high - low {
            65535.0 => ((f64::from(v) - low).clamp(0.0, 65535.0) as u32 >> 8) as u8,
            span if span > 0.0 => ((f64::from(v) - low) / span * 255.0).round().clamp(0.0, 255.0) as u8,
            _ => 0,
        };
        self.points.iter().map(|p| p.rgb.map_or([0; 3], |rgb| rgb.map(narrow))).collect()
    }

    fn intensities(&mut self, report: &mut SourceReport) -> Vec<u16> {
        let values = || self.points.iter().filter_map(|p| p.intensity).filter(|v| v.is_finite());
        let Some((least, most)) = values()
            .fold(None, |range: Option<(f64, f64)>, v| Some(range.map_or((v, v), |(a, b)| (a.min(v), b.max(v)))))
        else {
            return Vec::new();
        };
        let (low, high) = match self.intensity {
            Depth::Range(low, high) => (low, high),
            Depth::Open { whole } => {
                let range = match (least, most) {
                    (0.0, 0.0) => return Vec::new(),
                    (a, b) if a >= 0.0 && b <= 1.0 && !whole => (0.0, 1.0),
                    // Leica's PTS counts from -2048 to 2047.
                    (a, b) if (-2048.0..0.0).contains(&a) && b <= 2047.0 => (-2048.0, 2047.0),
                    (a, b) if a < 0.0 || b > 65535.0 => (a, b),
                    _ => (0.0, 65535.0),
                };
                if range != (0.0, 65535.0) {
                    let message = format!(
                        "the file states no range of intensity; its first points suggest {} to {}, which became 0 to 65535",
                        range.0, range.1
                    );
                    report.warn("intensity_range_assumed", message, "");
                }
                self.intensity = Depth::Range(range.0, range.1);
                range
            }
        };
        let scale = if high > low { 65535.0 / (high - low) } else { 0.0 };
        let all: Vec<u16> = self
            .points
            .iter()
            .map(|p| p.intensity.map_or(0, |v| ((v - low) * scale).round().clamp(0.0, 65535.0) as u16))
            .collect();
        if all.iter().all(|i| *i == 0) { Vec::new() } else { all }
    }
}

fn classes(points: &[RawPoint]) -> Vec<u8> {
    match points.iter().any(|p| p.class.is_some_and(|c| c != 0)) {
        true => points.iter().map(|p| p.class.unwrap_or(0)).collect(),
        false => Vec::new(),
    }
}

/// The first look at a cloud in coordinates of its own: its system stands in a `.prj` beside it, or nowhere.
pub(crate) fn probe_of(
    path: &Path,
    format: &Format,
    options: &Options,
    records: Option<u64>,
    extent: Option<[f64; 4]>,
) -> Probe {
    let mut probe = Probe {
        kind: Kind::Points,
        crs: None,
        crs_from: String::new(),
        crs_text: None,
        needs_crs: !is_placed(options),
        encoding: None,
        source_extent: extent,
        records,
        companions: Vec::new(),
        class: Some((Class::PointCloud, format.name.to_uppercase())),
    };
    crs_from_prj(path, &mut probe);
    forget_crs_if_placed(&mut probe, options);
    probe
}

/// Where the user says the place, what the file says of its system does not count.
pub(crate) fn forget_crs_if_placed(probe: &mut Probe, options: &Options) {
    if is_placed(options) {
        (probe.crs, probe.crs_text, probe.source_extent) = (None, None, None);
        probe.crs_from.clear();
    }
}

/// Grows a box in plan by a place.
pub(crate) fn grow(extent: &mut Option<[f64; 4]>, at: DVec3) {
    if at.is_finite() {
        let e = extent.get_or_insert([at.x, at.y, at.x, at.y]);
        *e = [e[0].min(at.x), e[1].min(at.y), e[2].max(at.x), e[3].max(at.y)];
    }
}

/// A reader that knows how far it is.
pub(crate) struct Input<'p> {
    path: &'p Path,
    reader: BufReader<File>,
    /// Bytes read so far.
    pub at: u64,
    /// Bytes of the file.
    pub length: u64,
}

impl<'p> Input<'p> {
    /// Opens the file.
    pub fn open(path: &'p Path) -> Result<Self, ImportError> {
        let io = |source| ImportError::Io { path: path.into(), source };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        Ok(Self { path, reader: BufReader::with_capacity(1 << 18, file), at: 0, length })
    }

    /// Part of the file that is read, 0 to 1.
    pub fn fraction(&self) -> f32 {
        (self.at as f64 / self.length.max(1) as f64).min(1.0) as f32
    }

    /// Bytes that are left.
    pub fn left(&self) -> u64 {
        self.length.saturating_sub(self.at)
    }

    /// Fills `buffer`; an early end is an error at `place`.
    pub fn exact(&mut self, buffer: &mut [u8], place: &dyn Fn() -> String) -> Result<(), ImportError> {
        match self.reader.read_exact(buffer) {
            Ok(()) => {
                self.at += buffer.len() as u64;
                Ok(())
            }
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(bad(self.path, &place(), format!("the file ends here, at byte {}", self.length)))
            }
            Err(source) => Err(ImportError::Io { path: self.path.into(), source }),
        }
    }

    /// The next line without its end, `None` at the end of the file. Longer than `most` bytes is an error.
    pub fn line<'l>(&mut self, line: &'l mut Vec<u8>, most: u64) -> Result<Option<&'l [u8]>, ImportError> {
        use std::io::BufRead;
        line.clear();
        let read = self.reader.by_ref().take(most).read_until(b'\n', line);
        let read = read.map_err(|source| ImportError::Io { path: self.path.into(), source })? as u64;
        if read == 0 {
            return Ok(None);
        }
        if read == most && line.last() != Some(&b'\n') {
            return Err(bad(self.path, &format!("byte {}", self.at), format!("a line of more than {most} bytes")));
        }
        self.at += read;
        Ok(Some(line.trim_ascii()))
    }
}
