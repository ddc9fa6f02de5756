//! LAS and LAZ scans, versions 1.0 to 1.4 (ASPRS LAS 1.4 R15; LASzip).
//!
//! A file becomes one object whose points are emitted in batches. Everything the header promises is checked
//! before the first point goes out; when a compressed file turns out damaged further on, the import of this source
//! fails with the point that was reached, and whoever called must drop what was emitted: half a scan is no scan.

mod header;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use glam::DVec3;
use groundline_engine::model::{
    Attribute, CityObject, Class, Extent, Geometry, ObjectId, PointBatch, SourceReport, Value,
};
use las::{LazParallelism, PointData, PointDataBuilder, Reader, ReaderOptions};

use self::header::LasHeader;
use crate::{
    Format, ImportError, Job, Kind, Options, Out, Probe,
    geotiff::{crs_from_prj, raster::bad, stem},
};

/// Points of one batch; four chunks of the usual compressed file.
const BATCH: u64 = 200_000;

/// LAS and LAZ, COPC included.
pub static FORMAT: Format = Format {
    name: "las",
    title: "LAS or LAZ scan",
    title_zh: "LAS/LAZ 激光点云",
    extensions: &["las", "laz"],
    probe,
    read,
    memory_per_byte: 8.0,
};

fn probe(path: &Path, _options: &Options) -> Result<Option<Probe>, ImportError> {
    let Some(header) = LasHeader::read(path)? else { return Ok(None) };
    let (found, from) = header.crs();
    let has_extent = header.points > 0 && header.min.is_finite() && header.max.is_finite();
    let mut probe = Probe {
        kind: Kind::Points,
        crs_from: if found.crs.is_some() { from.into() } else { String::new() },
        crs: found.crs,
        crs_text: found.text,
        needs_crs: true,
        encoding: None,
        source_extent: has_extent.then_some([header.min.x, header.min.y, header.max.x, header.max.y]),
        records: Some(header.points),
        companions: ["lax", "LAX"].iter().map(|e| path.with_extension(e)).filter(|p| p.is_file()).take(1).collect(),
        class: Some((Class::PointCloud, "LAS".into())),
    };
    crs_from_prj(path, &mut probe);
    Ok(Some(probe))
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let Some(header) = LasHeader::read(job.path)? else {
        return Err(bad(job.path, "byte 0", "the file does not begin with LASF".into()));
    };
    header.check_size(job.path)?;
    let (start, mut depth) = ColourDepth::of_mark(out.start());
    // Where it is gone on with, the account has said this already.
    let mut said = SourceReport::default();
    let first = if start == 0 { &mut *report } else { &mut said };
    if let Some(other) = header.other_count {
        let message = format!("two point counts in the header, {} and {other}; the first was used", header.points);
        first.warn("count_mismatch", message, "byte 247");
    }
    if header.points == 0 {
        first.warn("empty", "the file has no points", "header");
        return Ok(());
    }
    let height_unit_m = height_unit(job, &header, first);
    let mut scan = Scan::open(job, &header)?;
    scan.go_to(start)?;
    let mut object = (start == 0).then(|| describe(job, &header, height_unit_m));
    let mut taken = report.points;
    while scan.read < header.points {
        let first = scan.read;
        let data = scan.next()?;
        let batch = convert(job, data, height_unit_m, &mut depth, first, report);
        if !batch.positions.is_empty() {
            let extent = Extent::around(batch.positions.iter().copied());
            report.extent.merge(&extent);
            let points = batch.positions.len() as u64;
            report.points += points;
            taken += points;
            let geometry = Geometry::Points(batch);
            out.emit(match object.take() {
                Some(first) => CityObject { geometry, ..first },
                None => CityObject::new(ObjectId::new(job.layer, stem(job.path)), Class::PointCloud, geometry),
            })?;
        }
        out.progress((scan.read as f64 / header.points as f64) as f32);
        out.mark(depth.mark(scan.read), &[], report);
    }
    if taken > 0 {
        report.objects += 1;
    }
    Ok(())
}

/// Metres in a unit of z. A scan's x, y and z are one measurement: where nothing is said about z, feet in plan mean
/// feet in height, with a warning.
fn height_unit(job: &Job<'_>, header: &LasHeader, report: &mut SourceReport) -> f64 {
    let stated = header.height_unit_m().or(job.crs.height_unit_m());
    let plane = if job.crs.is_geographic { 1.0 } else { job.crs.unit_m };
    let unit_m = stated.or(header.plane_unit_m().filter(|u| (u - plane).abs() < 1e-6)).unwrap_or(plane);
    if (unit_m - 1.0).abs() > 1e-9 {
        match stated {
            Some(_) => report.warn("height_unit", format!("z is in units of {unit_m} m and was converted"), "header"),
            None => {
                let message = format!("no unit of z is stated; it was taken as that of x and y, {unit_m} m");
                report.warn("height_unit_assumed", message, "header");
            }
        }
    }
    unit_m
}

fn describe(job: &Job<'_>, header: &LasHeader, height_unit_m: f64) -> CityObject {
    let key = stem(job.path);
    let class = job.options.class.unwrap_or(Class::PointCloud);
    let mut object = CityObject::new(ObjectId::new(job.layer, &key), class, Geometry::None);
    object.name = Some(key);
    if let Some(stage) = job.options.stage {
        object.stage = stage;
    }
    let mut add = |key: &str, value| object.attributes.push(Attribute::read(&key.into(), value));
    add("points", Value::Int(header.points.min(i64::MAX as u64) as i64));
    add("las_version", Value::Text(format!("{}.{}", header.version.0, header.version.1)));
    add("point_format", Value::Int(i64::from(header.format)));
    if header.created.1 > 1900 {
        add("created_year", Value::Int(i64::from(header.created.1)));
        add("created_day", Value::Int(i64::from(header.created.0)));
    }
    if (height_unit_m - 1.0).abs() > 1e-9 {
        let rule = "vertical unit of the coordinate system";
        let unit = Value::Real(height_unit_m);
        object.attributes.push(Attribute::converted("height_unit_m", unit, "z", rule));
    }
    object
}

/// The decoder with its place in the file.
struct Scan<'a> {
    path: &'a Path,
    reader: Reader,
    data: PointData,
    read: u64,
    points: u64,
}

impl<'a> Scan<'a> {
    fn open(job: &Job<'a>, header: &LasHeader) -> Result<Self, ImportError> {
        let parallel = if header.is_chunked() { LazParallelism::Yes } else { LazParallelism::No };
        let options = ReaderOptions::default().with_laz_parallelism(parallel);
        let file = std::fs::File::open(job.path).map_err(|source| ImportError::Io { path: job.path.into(), source })?;
        let reader = guarded(|| Reader::with_options(std::io::BufReader::with_capacity(1 << 18, file), options))
            .map_err(|reason| bad(job.path, "header", reason))?;
        let data = PointDataBuilder::new().for_header(reader.header()).build();
        if reader.header().number_of_points() < header.points {
            let reason =
                format!("{} points in one place, {} in another", reader.header().number_of_points(), header.points);
            return Err(bad(job.path, "header", reason));
        }
        Ok(Self { path: job.path, reader, data, read: 0, points: header.points })
    }

    /// Goes to where an import before this one was.
    fn go_to(&mut self, point: u64) -> Result<(), ImportError> {
        if point > 0 {
            let reader = &mut self.reader;
            guarded(|| reader.seek(point)).map_err(|reason| bad(self.path, &format!("point {}", point + 1), reason))?;
            self.read = point;
        }
        Ok(())
    }

    fn next(&mut self) -> Result<&PointData, ImportError> {
        let wanted = BATCH.min(self.points - self.read);
        let (reader, data) = (&mut self.reader, &mut self.data);
        let got = guarded(|| reader.fill_points(wanted, data)).and_then(|got| match got {
            0 => Err("no further points".to_owned()),
            _ => Ok(got),
        });
        match got {
            Ok(got) => {
                self.read += got;
                Ok(&self.data)
            }
            Err(reason) => {
                let reason = format!("{reason}; {} of {} points had been read", self.read, self.points);
                Err(bad(self.path, &format!("point {}", self.read + 1), reason))
            }
        }
    }
}

/// The decompressor indexes by what it decodes: on damaged data it may panic, which is an error of the file here.
fn guarded<T>(work: impl FnOnce() -> las::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err("the compressed points are damaged".into()),
    }
}

/// LAS colours are 16 bits deep by the specification, but many writers put 8-bit values there.
#[derive(Clone, Copy, Debug, PartialEq)]
enum ColourDepth {
    /// Nothing but black so far.
    Unknown,
    Eight,
    Sixteen,
}

impl ColourDepth {
    /// What is known after so many points, as one number: the depth in the two highest bits.
    fn mark(self, points: u64) -> u64 {
        points | (self as u64) << 62
    }

    fn of_mark(mark: u64) -> (u64, Self) {
        let depth = match mark >> 62 {
            0 => Self::Unknown,
            1 => Self::Eight,
            _ => Self::Sixteen,
        };
        (mark << 2 >> 2, depth)
    }
}

fn convert(
    job: &Job<'_>,
    data: &PointData,
    height_unit_m: f64,
    depth: &mut ColourDepth,
    first: u64,
    report: &mut SourceReport,
) -> PointBatch {
    let mut positions: Vec<DVec3> =
        data.x().zip(data.y()).zip(data.z()).map(|((x, y), z)| DVec3::new(x, y, z * height_unit_m)).collect();
    job.city_from_source.apply(&mut positions);
    let intensities: Vec<u16> = data.intensity().collect();
    let classes: Vec<u8> = data.classification().collect();
    let mut batch = PointBatch {
        positions,
        colours: colours(data, depth, first, report),
        intensities: if intensities.iter().all(|i| *i == 0) { Vec::new() } else { intensities },
        classes: if classes.iter().all(|c| *c == 0) { Vec::new() } else { classes },
    };
    if batch.positions.iter().any(|p| !p.is_finite()) {
        drop_unplaced(&mut batch, first, report);
    }
    batch
}

fn colours(data: &PointData, depth: &mut ColourDepth, first: u64, report: &mut SourceReport) -> Vec<[u8; 3]> {
    let Some(rgb) = data.rgb() else { return Vec::new() };
    let rgb: Vec<(u16, u16, u16)> = rgb.collect();
    let highest = rgb.iter().map(|(r, g, b)| *r.max(g).max(b)).max().unwrap_or(0);
    let needed = match highest {
        0 => return Vec::new(),
        1..=255 => ColourDepth::Eight,
        _ => ColourDepth::Sixteen,
    };
    *depth = match (*depth, needed) {
        (ColourDepth::Unknown, needed) => needed,
        (ColourDepth::Eight, ColourDepth::Sixteen) => {
            let message = "colours looked 8 bits deep before this point and are 16 bits deep from here";
            report.warn("colour_depth", message, format!("point {}", first + 1));
            ColourDepth::Sixteen
        }
        (known, _) => known,
    };
    let narrow = |v: u16| if *depth == ColourDepth::Eight { v as u8 } else { (v >> 8) as u8 };
    rgb.into_iter().map(|(r, g, b)| [narrow(r), narrow(g), narrow(b)]).collect()
}

/// Takes out the points that the transformation could not place, and counts them.
fn drop_unplaced(batch: &mut PointBatch, first: u64, report: &mut SourceReport) {
    let kept: Vec<bool> = batch.positions.iter().map(|p| p.is_finite()).collect();
    for (k, _) in kept.iter().enumerate().filter(|(_, keep)| !**keep) {
        report.skip(first + k as u64 + 1, "the point lies outside the coordinate system's area");
    }
    fn keep<T: Copy>(list: &mut Vec<T>, kept: &[bool]) {
        let mut flags = kept.iter();
        list.retain(|_| flags.next().copied().unwrap_or(false));
    }
    keep(&mut batch.positions, &kept);
    keep(&mut batch.colours, &kept);
    keep(&mut batch.intensities, &kept);
    keep(&mut batch.classes, &kept);
}

#[cfg(test)]
pub(crate) mod tests;
