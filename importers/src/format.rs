//! What an importer is, and the table of them.

use std::path::{Path, PathBuf};

use groundline_engine::{
    crs::{Crs, CrsError, Transform},
    model::{CityObject, Class, SourceReport, Stage},
};

use crate::apart::Workers;

/// Every format, in the order in which a file is offered to them.
pub static FORMATS: &[&Format] = &[
    &crate::geotiff::FORMAT,
    &crate::picture::FORMAT,
    &crate::las::FORMAT,
    &crate::pipe_table::FORMAT,
    &crate::borehole_table::FORMAT,
    &crate::shapefile::FORMAT,
    &crate::citygml::FORMAT,
    &crate::cityjson::FORMAT,
    &crate::tiles3d::FORMAT,
    &crate::geojson::SEQUENCE,
    &crate::geojson::FORMAT,
    &crate::geopackage::FORMAT,
    &crate::flatgeobuf::FORMAT,
    &crate::geoparquet::FORMAT,
    &crate::ifc::FORMAT,
    &crate::osm::FORMAT,
    &crate::kml::FORMAT,
    &crate::dxf::FORMAT,
    &crate::dwg::FORMAT,
    &crate::epanet::FORMAT,
    &crate::swmm::FORMAT,
    &crate::ags::FORMAT,
    &crate::sensor_table::FORMAT,
    &crate::table::FORMAT,
    &crate::e57::FORMAT,
    &crate::ply::FORMAT,
    &crate::pcd::FORMAT,
    &crate::esri_grid::FORMAT,
    &crate::xyz::FORMAT,
    &crate::gltf::FORMAT,
];

/// A source format.
pub struct Format {
    /// Word for reports and `--json`: `shapefile`.
    pub name: &'static str,
    /// English title.
    pub title: &'static str,
    /// Chinese title.
    pub title_zh: &'static str,
    /// File name endings, lower case, without the dot.
    pub extensions: &'static [&'static str],
    /// Looks at a file with one of the endings: `Ok(None)` when it is of another format after all.
    /// Reads little and trusts nothing.
    pub probe: fn(&Path, &Options) -> Result<Option<Probe>, ImportError>,
    /// Reads it all, emits objects, accounts for every record.
    pub read: fn(&Job<'_>, &mut dyn Out, &mut SourceReport) -> Result<(), ImportError>,
    /// Memory for each byte of a file, of the reader and of the layer that it fills: what large inputs took (benches/README.md),
    /// rounded up; a packed file counts by what it unpacks to. Layers whose files need too much together are read one after the other.
    pub memory_per_byte: f64,
}

impl std::fmt::Debug for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Format({})", self.name)
    }
}

/// What a source holds, which decides the order of reading: terrain first, since others stand on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Kind {
    /// DEM.
    Terrain,
    /// Orthophoto.
    Imagery,
    /// Objects of any class.
    Objects,
    /// Scan.
    Points,
    /// Sensor registry.
    Sensors,
    /// Recorded readings: not imported, replayed.
    Readings,
}

/// What a first look at a file found.
#[derive(Clone, Debug)]
pub struct Probe {
    /// What it holds.
    pub kind: Kind,
    /// Coordinate system, where the file names one that is understood.
    pub crs: Option<Crs>,
    /// What named it: `.prj`, `GeoKeys`, `crs member`, `IfcProjectedCRS`, `header`; empty when nothing did.
    pub crs_from: String,
    /// Text of a coordinate system that is not understood, for the error message.
    pub crs_text: Option<String>,
    /// Whether the format stands in its own local coordinates and can be placed without a CRS.
    pub needs_crs: bool,
    /// Text encoding and what said so (`.cpg`, `LDID`, `content`), for formats with text of unknown encoding.
    pub encoding: Option<(String, String)>,
    /// Box of the coordinates as they stand in the file: min x, min y, max x, max y. For proposals when the CRS is missing.
    pub source_extent: Option<[f64; 4]>,
    /// Records, where the header says so (never trusted for allocation).
    pub records: Option<u64>,
    /// Other files that belong to this source (.dbf, .prj, a point table): not sources of their own.
    pub companions: Vec<PathBuf>,
    /// Class that the content suggests, with what suggested it (file name, attribute), used when the user gives none.
    pub class: Option<(Class, String)>,
}

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--crs`.
    pub crs: Option<Crs>,
    /// `--encoding`.
    pub encoding: Option<String>,
    /// `--class`.
    pub class: Option<Class>,
    /// `--stage`.
    pub stage: Option<Stage>,
    /// `--map standard=FIELD`: which field of the source holds a standard attribute.
    pub map: Vec<(String, String)>,
    /// Where files are parsed: in processes of their own, or in this one (`None`).
    pub worker: Option<Workers>,
    /// Formats of the program that embeds this crate; they are asked before [`FORMATS`].
    pub more: &'static [&'static Format],
}

/// One source to read.
pub struct Job<'a> {
    /// The file.
    pub path: &'a Path,
    /// What the first look found.
    pub probe: &'a Probe,
    /// Layer the objects go into; the first part of their ids.
    pub layer: &'a str,
    /// From the source's coordinates (z included) to the city's frame.
    pub city_from_source: &'a Transform,
    /// The system that `city_from_source` starts from.
    pub crs: &'a Crs,
    /// What the user asked for.
    pub options: &'a Options,
}

/// Takes what an importer makes. Blocks while the other side is busy, so memory stays bounded.
pub trait Out {
    /// Takes one object. An error means: stop reading and hand the error on.
    fn emit(&mut self, object: CityObject) -> Result<(), ImportError>;
    /// Says how much of the source has been read, 0 to 1.
    fn progress(&mut self, fraction: f32);
    /// Where to begin: 0, or what this format's reader said to [`Out::mark`] in an import that was stopped. The account
    /// is then the one that went with it.
    fn start(&self) -> u64 {
        0
    }
    /// What the reader said besides to [`Out::mark`] in that import, up to there, one after the other.
    fn state(&self) -> &[u8] {
        &[]
    }
    /// Says that all so far is emitted and in `account`, and that reading could begin at `position` another time, with what
    /// was said as `state` here and at the marks before.
    /// A reader that never says so is read from the beginning, and what it emits again is dropped.
    fn mark(&mut self, _position: u64, _state: &[u8], _account: &SourceReport) {}
}

/// Where to go on in a source.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Start {
    /// What the reader said to [`Out::mark`]; 0 for the beginning.
    pub position: u64,
    /// Objects that come first from there and are there already.
    pub skip: u64,
    /// What the reader said besides.
    pub state: Vec<u8>,
}

/// Why a source could not be read at all. A bad record is no error: it is skipped and counted.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The disk said no.
    #[error("{path}: {source}")]
    Io {
        /// File.
        path: PathBuf,
        /// Reason.
        source: std::io::Error,
    },
    /// The file is damaged or not what its name says.
    #[error("{path}: {place}: {reason}")]
    Bad {
        /// File.
        path: PathBuf,
        /// Byte, record or line.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// A file that belongs to it is missing.
    #[error("{path}: {missing} is missing: {hint}")]
    Missing {
        /// File.
        path: PathBuf,
        /// What is missing.
        missing: String,
        /// What to do.
        hint: String,
    },
    /// Coordinate system unknown.
    #[error(transparent)]
    Crs(#[from] CrsError),
    /// The side that takes the objects failed or stopped.
    #[error("stopped: {0}")]
    Stopped(String),
}
