//! What importer and child say to each other: frames of a kind, a length and that many bytes of postcard.
//!
//! The child reads hostile files, so the importer trusts nothing that it says: a frame's length is bounded, its bytes are
//! taken as they come and never allocated ahead, and what they mean is checked ([`sound`]). Both ends are one program;
//! the first frame says its version, and another one is not listened to.

use std::{
    ffi::OsStr,
    io::{Read, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use glam::DVec3;
use groundline_engine::{
    crs::{Crs, Heights},
    model::{CityObject, Class, Geometry, SourceReport, Stage, Texture, Value},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Limits;
use crate::{Format, ImportError, Job, Kind, Options, Probe, Start};

/// Version of what follows.
pub(super) const VERSION: &str = concat!("groundline ", env!("CARGO_PKG_VERSION"), " wire 2");
/// Largest frame, bytes: an orthophoto of 150 million pixels, a band of 768 MiB.
const MAX_FRAME_BYTES: u32 = 1 << 30;

/// Kinds of frames.
pub(super) mod kind {
    /// [`VERSION`](super::VERSION), from the child.
    pub const HELLO: u8 = 1;
    /// `(Limits, Ask)`, to the child.
    pub const ASK: u8 = 2;
    /// Part of the source that was read, `f32`.
    pub const PROGRESS: u8 = 3;
    /// A `CityObject`.
    pub const OBJECT: u8 = 4;
    /// What a probe found, `(Option<WireProbe>, u64)`: with the most memory that the child has needed.
    pub const PROBED: u8 = 5;
    /// The account, `(SourceReport, u64)`.
    pub const DONE: u8 = 6;
    /// A [`Fault`](super::Fault).
    pub const FAULT: u8 = 7;
    /// The file of a picture that the next object shows.
    pub const TEXTURE: u8 = 8;
    /// Where reading could begin another time, `(u64, SourceReport)`.
    pub const MARK: u8 = 9;
}

/// What a child is to do.
#[derive(Serialize, Deserialize)]
pub(super) enum Ask {
    Probe { format: String, path: Vec<u8>, options: Box<WireOptions> },
    Read(Box<ReadAsk>),
}

#[derive(Serialize, Deserialize)]
pub(super) struct ReadAsk {
    pub format: String,
    pub path: Vec<u8>,
    pub probe: WireProbe,
    pub layer: String,
    pub crs: WireCrs,
    pub city: WireCrs,
    pub options: WireOptions,
    pub account: SourceReport,
    pub start: Start,
}

impl ReadAsk {
    pub fn new(format: &Format, job: &Job<'_>, city: &Crs, account: &SourceReport, start: &Start) -> Self {
        Self {
            format: format.name.into(),
            path: bytes_of(job.path),
            probe: job.probe.into(),
            layer: job.layer.into(),
            crs: job.crs.into(),
            city: city.into(),
            options: job.options.into(),
            account: account.clone(),
            start: start.clone(),
        }
    }
}

/// [`Crs`] with every field, absent ones too.
#[derive(Serialize, Deserialize)]
pub(super) struct WireCrs {
    epsg: Option<u32>,
    name: String,
    proj4: String,
    is_geographic: bool,
    unit_m: f64,
    datum: String,
    heights: Option<(Option<u32>, String, f64)>,
}

impl From<&Crs> for WireCrs {
    fn from(crs: &Crs) -> Self {
        Self {
            epsg: crs.epsg,
            name: crs.name.clone(),
            proj4: crs.proj4.clone(),
            is_geographic: crs.is_geographic,
            unit_m: crs.unit_m,
            datum: crs.datum.clone(),
            heights: crs.vertical.as_ref().map(|h| (h.epsg, h.name.clone(), h.unit_m)),
        }
    }
}

impl From<WireCrs> for Crs {
    fn from(crs: WireCrs) -> Self {
        Self {
            epsg: crs.epsg,
            name: crs.name,
            proj4: crs.proj4,
            is_geographic: crs.is_geographic,
            unit_m: crs.unit_m,
            datum: crs.datum,
            vertical: crs.heights.map(|(epsg, name, unit_m)| Heights { epsg, name, unit_m }),
        }
    }
}

/// [`Options`] without what is the importer's own.
#[derive(Serialize, Deserialize)]
pub(super) struct WireOptions {
    crs: Option<WireCrs>,
    encoding: Option<String>,
    class: Option<Class>,
    stage: Option<Stage>,
    map: Vec<(String, String)>,
}

impl From<&Options> for WireOptions {
    fn from(options: &Options) -> Self {
        Self {
            crs: options.crs.as_ref().map(WireCrs::from),
            encoding: options.encoding.clone(),
            class: options.class,
            stage: options.stage,
            map: options.map.clone(),
        }
    }
}

impl From<WireOptions> for Options {
    fn from(options: WireOptions) -> Self {
        Self {
            crs: options.crs.map(Crs::from),
            encoding: options.encoding,
            class: options.class,
            stage: options.stage,
            map: options.map,
            ..Self::default()
        }
    }
}

/// [`Probe`] with paths as the system has them, which need not be text.
#[derive(Serialize, Deserialize)]
pub(super) struct WireProbe {
    kind: Kind,
    crs: Option<WireCrs>,
    crs_from: String,
    crs_text: Option<String>,
    needs_crs: bool,
    encoding: Option<(String, String)>,
    source_extent: Option<[f64; 4]>,
    records: Option<u64>,
    companions: Vec<Vec<u8>>,
    class: Option<(Class, String)>,
}

impl From<&Probe> for WireProbe {
    fn from(probe: &Probe) -> Self {
        Self {
            kind: probe.kind,
            crs: probe.crs.as_ref().map(WireCrs::from),
            crs_from: probe.crs_from.clone(),
            crs_text: probe.crs_text.clone(),
            needs_crs: probe.needs_crs,
            encoding: probe.encoding.clone(),
            source_extent: probe.source_extent,
            records: probe.records,
            companions: probe.companions.iter().map(|path| bytes_of(path)).collect(),
            class: probe.class.clone(),
        }
    }
}

impl From<WireProbe> for Probe {
    fn from(probe: WireProbe) -> Self {
        Self {
            kind: probe.kind,
            crs: probe.crs.map(Crs::from),
            crs_from: probe.crs_from,
            crs_text: probe.crs_text,
            needs_crs: probe.needs_crs,
            encoding: probe.encoding,
            source_extent: probe.source_extent,
            records: probe.records,
            companions: probe.companions.iter().map(|bytes| path_of(bytes)).collect(),
            class: probe.class,
        }
    }
}

/// [`ImportError`] as it crosses.
#[derive(Serialize, Deserialize)]
pub(super) enum Fault {
    Io {
        path: Vec<u8>,
        code: Option<i32>,
        text: String,
    },
    Bad {
        path: Vec<u8>,
        place: String,
        reason: String,
    },
    Missing {
        path: Vec<u8>,
        missing: String,
        hint: String,
    },
    Other(String),
    /// The reader panicked: what it said. The child ends after this.
    Panic(String),
}

impl From<&ImportError> for Fault {
    fn from(error: &ImportError) -> Self {
        match error {
            ImportError::Io { path, source } => {
                Self::Io { path: bytes_of(path), code: source.raw_os_error(), text: source.to_string() }
            }
            ImportError::Bad { path, place, reason } => {
                Self::Bad { path: bytes_of(path), place: place.clone(), reason: reason.clone() }
            }
            ImportError::Missing { path, missing, hint } => {
                Self::Missing { path: bytes_of(path), missing: missing.clone(), hint: hint.clone() }
            }
            other => Self::Other(other.to_string()),
        }
    }
}

impl Fault {
    /// The error that the child had, reading `path`.
    pub fn into_error(self, read: &Path) -> ImportError {
        match self {
            Self::Io { path, code, text } => {
                let source = code.map_or_else(|| std::io::Error::other(text), std::io::Error::from_raw_os_error);
                ImportError::Io { path: path_of(&path), source }
            }
            Self::Bad { path, place, reason } => ImportError::Bad { path: path_of(&path), place, reason },
            Self::Missing { path, missing, hint } => ImportError::Missing { path: path_of(&path), missing, hint },
            Self::Other(reason) | Self::Panic(reason) => {
                ImportError::Bad { path: read.into(), place: "reading".into(), reason }
            }
        }
    }
}

pub(super) fn bytes_of(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

pub(super) fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// Writes a frame; `buffer` is scratch space.
pub(super) fn write_frame(
    out: &mut impl Write,
    buffer: &mut Vec<u8>,
    kind: u8,
    content: &impl Serialize,
) -> std::io::Result<()> {
    buffer.clear();
    let mut bytes = postcard::to_extend(content, std::mem::take(buffer)).map_err(std::io::Error::other)?;
    let length = u32::try_from(bytes.len()).ok().filter(|l| *l <= MAX_FRAME_BYTES);
    let length = length.ok_or_else(|| std::io::Error::other("more than 1 GiB in one piece"))?;
    let [a, b, c, d] = length.to_le_bytes();
    out.write_all(&[kind, a, b, c, d])?;
    out.write_all(&bytes)?;
    // one large object does not keep its memory
    if bytes.capacity() > 8 << 20 {
        bytes = Vec::new();
    }
    *buffer = bytes;
    Ok(())
}

/// Why a stream could not be read on.
#[derive(Debug)]
pub(super) enum Broken {
    /// It ended between or within frames.
    Ended,
    /// Reading failed, or took too long ([`std::io::ErrorKind::TimedOut`]).
    Io(std::io::Error),
    /// It holds what cannot be.
    Garbage(String),
}

/// Reads a frame into `buffer` and gives its kind.
pub(super) fn read_frame(from: &mut impl Read, buffer: &mut Vec<u8>) -> Result<u8, Broken> {
    let io = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset => Broken::Ended,
        _ => Broken::Io(error),
    };
    let mut head = [0; 5];
    from.read_exact(&mut head).map_err(io)?;
    let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
    if length > MAX_FRAME_BYTES || !(kind::HELLO..=kind::MARK).contains(&head[0]) {
        return Err(Broken::Garbage(format!("a frame of kind {} and {length} bytes", head[0])));
    }
    buffer.clear();
    if buffer.capacity() > 8 << 20 {
        buffer.shrink_to(0);
    }
    let read = from.take(u64::from(length)).read_to_end(buffer).map_err(io)?;
    if read < length as usize { Err(Broken::Ended) } else { Ok(head[0]) }
}

/// What the bytes of a frame mean; all of them have to mean something.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Broken> {
    match postcard::take_from_bytes(bytes) {
        Ok((content, [])) => Ok(content),
        Ok((_, rest)) => Err(Broken::Garbage(format!("{} bytes too many in a frame", rest.len()))),
        Err(error) => Err(Broken::Garbage(error.to_string())),
    }
}

/// Pictures that both ends remember after an object, so that neighbours share one.
pub(super) const KEPT_TEXTURES: usize = 64;
/// Pictures of one object.
pub(super) const MAX_TEXTURES: usize = 4096;

/// The pictures of an object's parts.
pub(super) fn textures(object: &mut CityObject) -> impl Iterator<Item = &mut Texture> {
    let parts = match &mut object.geometry {
        Geometry::Mesh(mesh) => mesh.parts.as_mut_slice(),
        _ => &mut [],
    };
    parts.iter_mut().filter_map(|part| part.texture.as_mut())
}

/// An ask with its limits.
pub(super) type Limited<A> = (Limits, A);

/// Whether what is built on objects can rely on this one: numbers are finite, counts fit, indices lead somewhere.
pub(super) fn sound(object: &CityObject) -> Result<(), Broken> {
    let finite = |places: &[DVec3]| places.iter().all(|v| v.is_finite());
    let rings = |polygons: &[groundline_engine::model::Polygon]| {
        polygons.iter().all(|p| finite(&p.outer) && p.holes.iter().all(|hole| finite(hole)))
    };
    let is_sound = match &object.geometry {
        Geometry::None => true,
        Geometry::Point(point) => point.at.is_finite(),
        Geometry::Line(line) => line.width_m.is_finite() && line.paths.iter().all(|path| finite(path)),
        Geometry::Area(area) => rings(&area.polygons),
        Geometry::Block(block) => {
            rings(&block.footprint)
                && block.height_m.is_finite()
                && block.lift_m.is_finite()
                && block.base_m.is_none_or(f64::is_finite)
        }
        Geometry::Tube(tube) => finite(&tube.axis) && tube.section.size_m().is_finite(),
        Geometry::Shaft(shaft) => shaft.top.is_finite() && shaft.depth_m.is_finite() && shaft.diameter_m.is_finite(),
        Geometry::Instance(instance) => {
            instance.at.is_finite()
                && [instance.height_m, instance.width_m, instance.yaw].into_iter().all(f64::is_finite)
        }
        Geometry::Mesh(mesh) => {
            mesh.origin.is_finite()
                && mesh.parts.iter().all(|part| {
                    finite(&part.positions)
                        && (part.uvs.is_empty() || part.uvs.len() == part.positions.len())
                        && part.uvs.iter().flatten().all(|place| place.is_finite())
                        && part.indices.len().is_multiple_of(3)
                        && part.indices.iter().all(|i| (*i as usize) < part.positions.len())
                })
        }
        Geometry::Points(batch) => {
            let count = batch.positions.len();
            let fits = |length: usize| length == 0 || length == count;
            finite(&batch.positions)
                && fits(batch.colours.len())
                && fits(batch.intensities.len())
                && fits(batch.classes.len())
        }
        Geometry::Heights(grid) => {
            grid.north_west.is_finite()
                && grid.step_m.is_finite()
                && u64::from(grid.columns) * u64::from(grid.rows) == grid.heights.len() as u64
        }
        Geometry::Picture(picture) => {
            picture.north_west.is_finite()
                && picture.step_m.is_finite()
                && (u64::from(picture.columns) * u64::from(picture.rows)).checked_mul(3)
                    == Some(picture.rgb.len() as u64)
        }
    };
    let is_said = |value: &Value| !matches!(value, Value::Real(number) if !number.is_finite());
    match is_sound && object.attributes.iter().all(|a| is_said(&a.value)) {
        true => Ok(()),
        false => Err(Broken::Garbage(format!("an object that cannot be: {}", object.id))),
    }
}
