//! E57 scans (ASTM E2807): laser scanners' own exchange format.
//!
//! Every scan of a file becomes one object, moved by its pose; points are Cartesian or spherical, with colour and
//! intensity. A point that the scanner marked as invalid or as a mere direction is skipped and counted.

mod packet;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::BufReader,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use ::e57::{E57Reader, PointCloud, RecordDataType, RecordName, RecordValue};
use glam::{DQuat, DVec3};
use groundline_engine::{
    crs::Crs,
    model::{SourceReport, Value},
};

use crate::{
    Format, ImportError, Job, Options, Out, Probe,
    cloud::{Depth, Placing, RawPoint, Scan, forget_crs_if_placed, grow, probe_of},
    geotiff::{raster::bad, stem},
};

/// E57 scans.
pub static FORMAT: Format = Format {
    name: "e57",
    title: "E57 laser scans",
    title_zh: "E57 激光扫描",
    extensions: &["e57"],
    probe,
    read,
    memory_per_byte: 2.0,
};

/// More scans than this are no file of a scanner.
const MAX_SCANS: usize = 100_000;
/// Points between two notes of progress.
const STEP: u64 = 65_536;

type Reader = E57Reader<BufReader<File>>;

/// The decoder checks what it reads, but a panic in it must not take the import along.
fn guarded<T>(path: &Path, place: &str, work: impl FnOnce() -> ::e57::Result<T>) -> Result<T, ImportError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(bad(path, place, error.to_string())),
        Err(_) => Err(bad(path, place, "the file is damaged".into())),
    }
}

fn open(path: &Path) -> Result<Reader, ImportError> {
    let file = File::open(path).map_err(|source| ImportError::Io { path: path.into(), source })?;
    let reader = guarded(path, "header", || E57Reader::new(BufReader::with_capacity(1 << 18, file)))?;
    if reader.pointclouds().len() > MAX_SCANS {
        return Err(bad(path, "XML section", format!("{} scans are too many", reader.pointclouds().len())));
    }
    Ok(reader)
}

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let reader = open(path)?;
    let clouds = reader.pointclouds();
    let mut extent = None;
    for cloud in &clouds {
        let Some(b) = cloud.get_cartesian_bounds() else { continue };
        let (Some(x0), Some(x1), Some(y0), Some(y1)) = (b.x_min, b.x_max, b.y_min, b.y_max) else { continue };
        let (z0, z1) = (b.z_min.unwrap_or(0.0), b.z_max.unwrap_or(0.0));
        let pose = Pose::of(cloud);
        for (x, y, z) in
            [x0, x1].into_iter().flat_map(|x| [y0, y1].map(|y| (x, y))).flat_map(|(x, y)| [(x, y, z0), (x, y, z1)])
        {
            grow(&mut extent, pose.apply(DVec3::new(x, y, z)));
        }
    }
    let records = clouds.iter().fold(0u64, |sum, c| sum.saturating_add(c.records));
    let mut probe = probe_of(path, &FORMAT, options, Some(records), extent);
    if let Some(text) = reader.coordinate_metadata().map(str::trim).filter(|t| !t.is_empty())
        && probe.crs.is_none()
    {
        match Crs::parse(text) {
            Ok(crs) => (probe.crs, probe.crs_from) = (Some(crs), "coordinateMetadata".into()),
            Err(_) => probe.crs_text = Some(text.chars().take(500).collect()),
        }
        forget_crs_if_placed(&mut probe, options);
    }
    Ok(Some(probe))
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let mut reader = open(job.path)?;
    let clouds = reader.pointclouds();
    if clouds.iter().all(|c| c.records == 0) {
        report.warn("empty", "the file has no points", "header");
        return Ok(());
    }
    let placing = Placing::of(job, report)?;
    let page_bytes = reader.header().page_size;
    let total = clouds.iter().fold(0u64, |sum, c| sum.saturating_add(c.records)).max(1);
    // Counted before the first point goes out: half a scan is no scan.
    let file = File::open(job.path).map_err(|source| ImportError::Io { path: job.path.into(), source })?;
    let mut file = BufReader::with_capacity(1 << 10, file);
    for (number, cloud) in clouds.iter().enumerate() {
        let place = format!("scan {}", number + 1);
        let stored = packet::count(&mut file, page_bytes, cloud).map_err(|reason| bad(job.path, &place, reason))?;
        if stored < cloud.records {
            let reason = format!("{} points promised, {stored} stored", cloud.records);
            return Err(bad(job.path, &place, reason));
        }
    }
    let images = reader.images().len();
    if images > 0 {
        report.warn("images_left_out", format!("{images} photographs of the scanner were left out"), "images2D");
    }
    let keys = keys(job, &clouds);
    let mut before = 0;
    for (number, (cloud, key)) in clouds.iter().zip(&keys).enumerate() {
        if cloud.records == 0 {
            report.warn("empty_scan", "a scan without points", format!("scan {}", number + 1));
            continue;
        }
        let scan = ScanRead { job, placing: &placing, cloud, key, number: number + 1, before, total };
        scan.read(&mut reader, out, report)?;
        before += cloud.records;
    }
    out.progress(1.0);
    Ok(())
}

/// The key of each scan within the layer: its GUID, else its number; with one scan the file's name.
fn keys(job: &Job<'_>, clouds: &[PointCloud]) -> Vec<String> {
    let stem = stem(job.path);
    let mut keys: Vec<String> = Vec::with_capacity(clouds.len());
    let mut seen = std::collections::HashSet::new();
    for (number, cloud) in clouds.iter().enumerate() {
        let guid = cloud.guid.as_deref().map(|g| g.trim().trim_matches(['{', '}'])).filter(|g| !g.is_empty());
        let key = match guid {
            Some(guid) if seen.insert(guid.to_owned()) => guid.to_owned(),
            Some(guid) => format!("{guid}~{}", number + 1),
            None if clouds.len() == 1 => stem.clone(),
            None => format!("{stem}.{}", number + 1),
        };
        keys.push(key);
    }
    keys
}

/// From the scanner's axes to those of the file.
struct Pose {
    turn: DQuat,
    shift: DVec3,
    is_sound: bool,
}

impl Pose {
    fn of(cloud: &PointCloud) -> Self {
        let Some(t) = &cloud.transform else {
            return Self { turn: DQuat::IDENTITY, shift: DVec3::ZERO, is_sound: true };
        };
        let turn = DQuat::from_xyzw(t.rotation.x, t.rotation.y, t.rotation.z, t.rotation.w);
        let shift = DVec3::new(t.translation.x, t.translation.y, t.translation.z);
        let is_sound = (turn.length() - 1.0).abs() < 1e-3 && shift.is_finite();
        Self { turn: if is_sound { turn.normalize() } else { DQuat::IDENTITY }, shift, is_sound }
    }

    fn apply(&self, p: DVec3) -> DVec3 {
        self.turn * p + self.shift
    }
}

/// Which value of a record is what.
struct Columns {
    cartesian: Option<[usize; 3]>,
    cartesian_state: Option<usize>,
    spherical: Option<[usize; 3]>,
    spherical_state: Option<usize>,
    colour: Option<[usize; 3]>,
    colour_state: Option<usize>,
    intensity: Option<usize>,
    intensity_state: Option<usize>,
}

impl Columns {
    fn of(cloud: &PointCloud) -> Self {
        let find = |name: RecordName| cloud.prototype.iter().position(|r| r.name == name);
        let three = |a, b, c| Some([find(a)?, find(b)?, find(c)?]);
        use RecordName as N;
        Self {
            cartesian: three(N::CartesianX, N::CartesianY, N::CartesianZ),
            cartesian_state: find(N::CartesianInvalidState),
            spherical: three(N::SphericalRange, N::SphericalAzimuth, N::SphericalElevation),
            spherical_state: find(N::SphericalInvalidState),
            colour: three(N::ColorRed, N::ColorGreen, N::ColorBlue),
            colour_state: find(N::IsColorInvalid),
            intensity: find(N::Intensity),
            intensity_state: find(N::IsIntensityInvalid),
        }
    }
}

struct ScanRead<'s> {
    job: &'s Job<'s>,
    placing: &'s Placing<'s>,
    cloud: &'s PointCloud,
    key: &'s str,
    number: usize,
    /// Points of the scans before.
    before: u64,
    total: u64,
}

impl ScanRead<'_> {
    fn read(&self, reader: &mut Reader, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
        let (cloud, place) = (self.cloud, format!("scan {}", self.number));
        let columns = Columns::of(cloud);
        if columns.cartesian.is_none() && columns.spherical.is_none() {
            let reason = "its points have neither Cartesian nor spherical coordinates";
            return Err(bad(self.job.path, &place, reason.into()));
        }
        let pose = Pose::of(cloud);
        if !pose.is_sound {
            return Err(bad(self.job.path, &place, "its pose is no rotation and translation".into()));
        }
        let mut scan =
            Scan::new(self.job, self.placing, self.key, self.colour_depth(&columns), self.intensity_depth(&columns));
        self.describe(&mut scan);
        let path = self.job.path;
        let mut points = guarded(path, &place, || reader.pointcloud_raw(cloud))?;
        let (mut invalid, mut directions) = (0u64, 0u64);
        for index in 0..cloud.records {
            let at = || format!("scan {} point {}", self.number, index + 1);
            let values = match catch_unwind(AssertUnwindSafe(|| points.next())) {
                Ok(Some(Ok(values))) => values,
                Ok(Some(Err(error))) => return guarded(path, &at(), || Err(error)),
                Ok(None) => return Err(bad(path, &at(), "no further points".into())),
                Err(_) => return Err(bad(path, &at(), "the file is damaged".into())),
            };
            let record = self.before + index + 1;
            match self.position(&columns, &values) {
                Ok(at) => {
                    let point = RawPoint {
                        at: pose.apply(at),
                        rgb: columns.colour.filter(|_| self.is_valid(columns.colour_state, &values)).and_then(|c| {
                            Some([
                                self.value(&values, c[0])? as f32,
                                self.value(&values, c[1])? as f32,
                                self.value(&values, c[2])? as f32,
                            ])
                        }),
                        intensity: columns
                            .intensity
                            .filter(|_| self.is_valid(columns.intensity_state, &values))
                            .and_then(|i| self.value(&values, i)),
                        class: None,
                    };
                    scan.push(record, point, out, report)?;
                }
                Err(state) => {
                    *(if state == 1 { &mut directions } else { &mut invalid }) += 1;
                    let reason = match state {
                        1 => "the scanner saw no surface in this direction",
                        _ => "marked as invalid by the scanner",
                    };
                    report.skip(record, reason);
                }
            }
            if record.is_multiple_of(STEP) {
                out.progress((record as f64 / self.total as f64).min(1.0) as f32);
            }
        }
        if invalid + directions > 0 {
            let message = format!("{invalid} points marked as invalid, {directions} as a direction only, were skipped");
            report.warn("invalid_points", message, place);
        }
        scan.finish(out, report).map(|_| ())
    }

    /// The position in the scanner's axes, or the state that says that there is none.
    fn position(&self, columns: &Columns, values: &[RecordValue]) -> Result<DVec3, i64> {
        let state = |column: Option<usize>| column.and_then(|c| self.value(values, c)).map_or(0, |v| v as i64);
        let three = |c: [usize; 3]| {
            Some(DVec3::new(self.value(values, c[0])?, self.value(values, c[1])?, self.value(values, c[2])?))
        };
        let mut worst = 2;
        if let Some(c) = columns.cartesian {
            match state(columns.cartesian_state) {
                0 => return three(c).ok_or(2),
                other => worst = other,
            }
        }
        if let Some(c) = columns.spherical {
            match state(columns.spherical_state) {
                0 => {
                    let p = three(c).ok_or(2)?;
                    let (sin_azimuth, cos_azimuth) = p.y.sin_cos();
                    let (sin_elevation, cos_elevation) = p.z.sin_cos();
                    return Ok(
                        p.x * DVec3::new(cos_elevation * cos_azimuth, cos_elevation * sin_azimuth, sin_elevation)
                    );
                }
                other => worst = worst.min(other),
            }
        }
        Err(worst)
    }

    fn is_valid(&self, column: Option<usize>, values: &[RecordValue]) -> bool {
        column.and_then(|c| self.value(values, c)).is_none_or(|state| state == 0.0)
    }

    fn value(&self, values: &[RecordValue], column: usize) -> Option<f64> {
        let kind = &self.cloud.prototype.get(column)?.data_type;
        values.get(column)?.to_f64(kind).ok()
    }

    /// The range of a field by its type, where that says it.
    fn type_range(&self, column: usize) -> Option<(f64, f64)> {
        Some(match self.cloud.prototype.get(column)?.data_type {
            RecordDataType::Single { min, max } => (f64::from(min?), f64::from(max?)),
            RecordDataType::Double { min, max } => (min?, max?),
            RecordDataType::Integer { min, max } => (min as f64, max as f64),
            RecordDataType::ScaledInteger { min, max, scale, offset } => {
                (min as f64 * scale + offset, max as f64 * scale + offset)
            }
        })
    }

    /// A limit of the header, in the field's own units.
    fn limit(&self, value: Option<&RecordValue>, column: usize) -> Option<f64> {
        let kind = &self.cloud.prototype.get(column)?.data_type;
        value?.to_f64(kind).ok()
    }

    fn colour_depth(&self, columns: &Columns) -> Depth {
        let Some([red, ..]) = columns.colour else { return Depth::Open { whole: true } };
        let limits = self.cloud.color_limits.as_ref();
        let stated =
            limits.and_then(|l| Some((self.limit(l.red_min.as_ref(), red)?, self.limit(l.red_max.as_ref(), red)?)));
        depth(stated.or(self.type_range(red)))
    }

    fn intensity_depth(&self, columns: &Columns) -> Depth {
        let Some(column) = columns.intensity else { return Depth::Open { whole: false } };
        let limits = self.cloud.intensity_limits.as_ref();
        let stated = limits.and_then(|l| {
            Some((self.limit(l.intensity_min.as_ref(), column)?, self.limit(l.intensity_max.as_ref(), column)?))
        });
        depth(stated.or(self.type_range(column)))
    }

    fn describe(&self, scan: &mut Scan<'_>) {
        let cloud = self.cloud;
        if let Some(name) = cloud.name.as_ref().filter(|n| !n.trim().is_empty()) {
            scan.describe(|object| object.name = Some(name.clone()));
        }
        scan.describe(|object| object.record = self.number as u64);
        scan.attribute("points", Value::Int(cloud.records.min(i64::MAX as u64) as i64));
        for (key, text) in [
            ("guid", &cloud.guid),
            ("description", &cloud.description),
            ("sensor_vendor", &cloud.sensor_vendor),
            ("sensor_model", &cloud.sensor_model),
            ("sensor_serial", &cloud.sensor_serial),
        ] {
            if let Some(text) = text.as_ref().filter(|t| !t.trim().is_empty()) {
                scan.attribute(key, Value::Text(text.clone()));
            }
        }
        for (key, number) in [("temperature_c", cloud.temperature), ("humidity_percent", cloud.humidity)] {
            if let Some(number) = number.filter(|n| n.is_finite()) {
                scan.attribute(key, Value::Real(number));
            }
        }
        if let Some(start) = &cloud.acquisition_start {
            scan.attribute("acquisition_start_gps_s", Value::Real(start.gps_time));
        }
        if let Some(t) = &cloud.transform {
            let t = &t.translation;
            scan.attribute("scanner_at", Value::Text(format!("{} {} {}", t.x, t.y, t.z)));
        }
    }
}

fn depth(range: Option<(f64, f64)>) -> Depth {
    match range {
        // A field of all 64 bits says nothing.
        Some((low, high)) if low < high && high - low < 1e12 => Depth::Range(low, high),
        _ => Depth::Open { whole: false },
    }
}
