//! PLY: clouds and meshes of photogrammetry and scanning tools, ASCII and binary of both byte orders.
//!
//! Vertices without faces are a scan, in batches; with faces they are one mesh, which is held in memory and bounded.
//! Gaussian splats are read as points with their base colour.

mod header;
#[cfg(test)]
mod tests;

use std::path::Path;

use glam::DVec3;
use groundline_engine::model::{Attribute, CityObject, Class, ObjectId, SourceReport, Value};

use self::header::{Coding, Element, Header};
use crate::{
    Format, ImportError, Job, Kind, Options, Out, Probe,
    cloud::{Depth, Input, Placing, RawPoint, SAMPLE_POINTS, Scan, grow, probe_of},
    geotiff::{raster::bad, stem},
    mesh,
};

/// PLY clouds and meshes.
pub static FORMAT: Format = Format {
    name: "ply",
    title: "PLY cloud or mesh",
    title_zh: "PLY 点云或网格",
    extensions: &["ply"],
    probe,
    read,
    memory_per_byte: 2.0,
};

/// Vertices and triangles of a mesh, which is held in memory.
const MAX_MESH: u64 = 8_000_000;
/// Corners of a face.
const MAX_CORNERS: f64 = 65_536.0;
/// Bytes of an ASCII line.
const MAX_LINE: u64 = 1 << 20;
/// Records between two notes of progress.
const STEP: u64 = 65_536;
/// Base of the spherical harmonics in splats: colour = 0.5 + this × coefficient.
const HARMONIC_0: f64 = 0.282_094_791_773_878_14;

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let mut input = Input::open(path)?;
    let Some(header) = Header::read(path, &mut input)? else { return Ok(None) };
    let (mut extent, mut records) = (None, 0);
    if let Some(vertex) = header.elements.iter().find(|e| e.name == "vertex") {
        records = vertex.count;
        // Only where the vertices come first, as they do in all files but the odd one.
        if header.elements.first() == Some(vertex)
            && let Some(columns) = Columns::of(vertex)
        {
            let mut values = Values::new(path, header.coding, vertex);
            for index in 0..vertex.count.min(SAMPLE_POINTS) {
                match values.next(&mut input, index) {
                    Ok(Ok(())) => grow(&mut extent, columns.position(&values.numbers)),
                    Ok(Err(_)) => {}
                    Err(_) => break,
                }
            }
        }
    }
    let mut probe = probe_of(path, &FORMAT, options, Some(records), extent);
    if faces(&header) > 0 {
        probe.kind = Kind::Objects;
        probe.class = Some((Class::Generic, "a mesh".into()));
    }
    Ok(Some(probe))
}

fn faces(header: &Header) -> u64 {
    header.elements.iter().filter(|e| e.name == "face").map(|e| e.count).sum()
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let mut input = Input::open(job.path)?;
    let Some(header) = Header::read(job.path, &mut input)? else {
        return Err(bad(job.path, "byte 0", "the file does not begin with ply".into()));
    };
    let is_mesh = faces(&header) > 0;
    let placing = Placing::of(job, report)?;
    let mut mesh = MeshRead::default();
    let mut scan = None;
    for element in &header.elements {
        match element.name.as_str() {
            "vertex" => {
                let Some(columns) = Columns::of(element) else {
                    return Err(bad(job.path, "header", "the vertices have no x, y and z".into()));
                };
                columns.tell(element, is_mesh, report);
                if is_mesh {
                    mesh.read_vertices(job, header.coding, element, &columns, &mut input, out)?;
                } else {
                    let (colour, intensity) = columns.depths(element);
                    let scan = scan.insert(Scan::new(job, &placing, &stem(job.path), colour, intensity));
                    scan.attribute("points", Value::Int(element.count.min(i64::MAX as u64) as i64));
                    read_points(job, header.coding, element, &columns, &mut input, scan, out, report)?;
                }
            }
            "face" if is_mesh => mesh.read_faces(job, header.coding, element, &mut input, out, report)?,
            other => {
                let mut values = Values::new(job.path, header.coding, element);
                for index in 0..element.count {
                    // What is wrong in records that are left out does not matter.
                    let _ = values.next(&mut input, index)?;
                }
                if element.count > 0 {
                    let message = format!("{} records of {other} were left out", element.count);
                    report.warn("element_left_out", message, other);
                }
            }
        }
    }
    let mut rest = Vec::new();
    while header.coding == Coding::Ascii
        && let Some(line) = input.line(&mut rest, MAX_LINE)?
    {
        if !line.is_empty() {
            let place = format!("byte {}", input.at);
            report.warn("trailing_data", "there are lines after the last record that was promised", place);
            break;
        }
    }
    if header.coding != Coding::Ascii && input.left() > 0 {
        let message = format!("{} bytes after the last record that was promised", input.left());
        report.warn("trailing_data", message, format!("byte {}", input.at));
    }
    match scan {
        Some(scan) => {
            if scan.finish(out, report)? == 0 {
                report.warn("empty", "the file has no points", "");
            }
        }
        None if is_mesh => mesh.emit(job, &placing, out, report)?,
        None => report.warn("empty", "the file has no vertices", "header"),
    }
    out.progress(1.0);
    Ok(())
}

#[allow(clippy::too_many_arguments)]
fn read_points(
    job: &Job<'_>,
    coding: Coding,
    element: &Element,
    columns: &Columns,
    input: &mut Input<'_>,
    scan: &mut Scan<'_>,
    out: &mut dyn Out,
    report: &mut SourceReport,
) -> Result<(), ImportError> {
    let mut values = Values::new(job.path, coding, element);
    for index in 0..element.count {
        match values.next(input, index)? {
            Ok(()) => scan.push(index + 1, columns.point(&values.numbers), out, report)?,
            Err(reason) => report.skip(index + 1, reason),
        }
        if index.is_multiple_of(STEP) {
            out.progress(input.fraction());
        }
    }
    Ok(())
}

/// Which property of a vertex is what.
struct Columns {
    position: [usize; 3],
    rgb: Option<[usize; 3]>,
    harmonics: Option<[usize; 3]>,
    intensity: Option<usize>,
    class: Option<usize>,
}

impl Columns {
    fn of(element: &Element) -> Option<Self> {
        let three = |a: &[&str], b: &[&str], c: &[&str]| Some([element.find(a)?, element.find(b)?, element.find(c)?]);
        Some(Self {
            position: three(&["x"], &["y"], &["z"])?,
            rgb: three(&["red", "diffuse_red", "r"], &["green", "diffuse_green", "g"], &["blue", "diffuse_blue", "b"]),
            harmonics: three(&["f_dc_0"], &["f_dc_1"], &["f_dc_2"]),
            intensity: element.find(&["intensity", "scalar_intensity", "reflectance", "scalar_reflectance"]),
            class: element.find(&["classification", "scalar_classification", "class", "label"]),
        })
    }

    fn position(&self, numbers: &[f64]) -> DVec3 {
        let at = |k: usize| numbers.get(k).copied().unwrap_or(f64::NAN);
        DVec3::from_array(self.position.map(at))
    }

    fn rgb(&self, numbers: &[f64]) -> Option<[f32; 3]> {
        let at = |k: usize| numbers.get(k).copied().unwrap_or(f64::NAN);
        match (self.rgb, self.harmonics) {
            (Some(rgb), _) => Some(rgb.map(|k| at(k) as f32)),
            (None, Some(harmonics)) => {
                Some(harmonics.map(|k| ((0.5 + HARMONIC_0 * at(k)).clamp(0.0, 1.0) * 255.0).round() as f32))
            }
            _ => None,
        }
    }

    fn point(&self, numbers: &[f64]) -> RawPoint {
        RawPoint {
            at: self.position(numbers),
            rgb: self.rgb(numbers),
            intensity: self.intensity.and_then(|k| numbers.get(k).copied()),
            class: self.class.and_then(|k| numbers.get(k)).filter(|c| (0.0..=255.0).contains(*c)).map(|c| *c as u8),
        }
    }

    fn depths(&self, element: &Element) -> (Depth, Depth) {
        let scalar = |k: usize| element.properties.get(k).map(|p| p.scalar);
        let whole = |k: Option<usize>| k.and_then(scalar).is_none_or(header::Scalar::is_whole);
        let colour = match self.rgb.and_then(|rgb| scalar(rgb[0])) {
            Some(s) if s.bytes() == 1 => Depth::Range(0.0, 255.0),
            Some(s) => Depth::Open { whole: s.is_whole() },
            None => Depth::Range(0.0, 255.0),
        };
        (colour, Depth::Open { whole: whole(self.intensity) })
    }

    /// What of the vertices is not taken over.
    fn tell(&self, element: &Element, is_mesh: bool, report: &mut SourceReport) {
        if self.rgb.is_none() && self.harmonics.is_some() {
            let message = "Gaussian splats were read as points with their base colour; shape and gloss were left out";
            report.warn("splats_as_points", message, "header");
            return;
        }
        let known: Vec<usize> = [Some(self.position), self.rgb].into_iter().flatten().flatten().collect();
        let is_known = |k: usize| known.contains(&k) || Some(k) == self.intensity || Some(k) == self.class;
        let unused = |(k, p): (usize, &header::Property)| {
            let is_normal = ["nx", "ny", "nz", "alpha"].contains(&p.name.as_str());
            (!is_normal && (is_mesh || !is_known(k)) && !known.contains(&k)).then(|| p.name.clone())
        };
        let left: Vec<String> = element.properties.iter().enumerate().filter_map(unused).collect();
        if !left.is_empty() {
            report.warn(
                "properties_left_out",
                format!("properties of the vertices left out: {}", left.join(", ")),
                "header",
            );
        }
    }
}

/// The values of one element, record by record.
struct Values<'p> {
    path: &'p Path,
    coding: Coding,
    element: &'p Element,
    fixed: Option<usize>,
    buffer: Vec<u8>,
    /// Numbers of the current record, NaN in place of a list.
    numbers: Vec<f64>,
    /// The last list of the current record that names vertices.
    list: Vec<f64>,
}

impl<'p> Values<'p> {
    fn new(path: &'p Path, coding: Coding, element: &'p Element) -> Self {
        let fixed = element.fixed_bytes();
        Self { path, coding, element, fixed, buffer: Vec::new(), numbers: Vec::new(), list: Vec::new() }
    }

    /// Reads the next record. The inner error is of this record alone: its reason.
    fn next(&mut self, input: &mut Input<'_>, index: u64) -> Result<Result<(), String>, ImportError> {
        self.numbers.clear();
        self.list.clear();
        let place = || format!("{} {}", self.element.name, index + 1);
        if self.coding == Coding::Ascii {
            loop {
                match input.line(&mut self.buffer, MAX_LINE)? {
                    None => {
                        let reason = format!("the file ends here, {} are promised", self.element.count);
                        return Err(bad(self.path, &place(), reason));
                    }
                    Some([]) => {}
                    Some(_) => return Ok(self.parse_line()),
                }
            }
        }
        if let Some(bytes) = self.fixed {
            self.buffer.resize(bytes, 0);
            input.exact(&mut self.buffer, &place)?;
            let mut at = 0;
            for property in &self.element.properties {
                let n = property.scalar.bytes();
                self.numbers.push(property.scalar.number(self.buffer.get(at..at + n).unwrap_or(&[]), self.coding));
                at += n;
            }
            return Ok(Ok(()));
        }
        for property in &self.element.properties {
            let mut one = [0; 8];
            let first = property.count.unwrap_or(property.scalar);
            let slot = one.get_mut(..first.bytes()).unwrap_or_default();
            input.exact(slot, &place)?;
            let number = first.number(slot, self.coding);
            if property.count.is_none() {
                self.numbers.push(number);
                continue;
            }
            self.numbers.push(f64::NAN);
            if !(0.0..=MAX_CORNERS).contains(&number) {
                return Err(bad(self.path, &place(), format!("a list of {number} values")));
            }
            self.buffer.resize(number as usize * property.scalar.bytes(), 0);
            input.exact(&mut self.buffer, &place)?;
            if is_corners(&property.name) {
                let all = self.buffer.chunks_exact(property.scalar.bytes());
                self.list = all.map(|b| property.scalar.number(b, self.coding)).collect();
            }
        }
        Ok(Ok(()))
    }

    fn parse_line(&mut self) -> Result<(), String> {
        let text = std::str::from_utf8(&self.buffer).map_err(|_| "the line is no text")?;
        let mut words = text.split_ascii_whitespace();
        let mut next = |name: &str| {
            let word = words.next().ok_or_else(|| format!("the line ends before {name}"))?;
            word.parse::<f64>().map_err(|_| format!("{name}: {word:.20} is no number"))
        };
        for property in &self.element.properties {
            let number = next(&property.name)?;
            if property.count.is_none() {
                self.numbers.push(number);
                continue;
            }
            self.numbers.push(f64::NAN);
            if !(0.0..=MAX_CORNERS).contains(&number) || number.fract() != 0.0 {
                return Err(format!("{}: a list of {number} values", property.name));
            }
            let list = (0..number as usize).map(|_| next(&property.name)).collect::<Result<Vec<f64>, String>>()?;
            if is_corners(&property.name) {
                self.list = list;
            }
        }
        match words.next() {
            None => Ok(()),
            Some(_) => Err(format!("the line has more than {} values", self.element.properties.len())),
        }
    }
}

fn is_corners(name: &str) -> bool {
    matches!(name, "vertex_indices" | "vertex_index")
}

/// A mesh that is being read.
#[derive(Default)]
struct MeshRead {
    positions: Vec<DVec3>,
    colours: Vec<[u8; 4]>,
    triangles: Vec<[u32; 3]>,
}

impl MeshRead {
    fn read_vertices(
        &mut self,
        job: &Job<'_>,
        coding: Coding,
        element: &Element,
        columns: &Columns,
        input: &mut Input<'_>,
        out: &mut dyn Out,
    ) -> Result<(), ImportError> {
        if element.count > MAX_MESH {
            let reason = format!("a mesh of {} vertices is more than {MAX_MESH}; cut it into parts", element.count);
            return Err(bad(job.path, "header", reason));
        }
        let is_unit =
            columns.rgb.is_some_and(|rgb| element.properties.get(rgb[0]).is_some_and(|p| !p.scalar.is_whole()));
        let is_wide =
            columns.rgb.is_some_and(|rgb| element.properties.get(rgb[0]).is_some_and(|p| p.scalar.bytes() == 2));
        let factor = if is_unit {
            255.0
        } else if is_wide {
            1.0 / 257.0
        } else {
            1.0
        };
        let mut values = Values::new(job.path, coding, element);
        for index in 0..element.count {
            // A vertex that cannot be read keeps its number; the faces that need it are skipped.
            let is_whole = values.next(input, index)?.is_ok();
            self.positions.push(if is_whole { columns.position(&values.numbers) } else { DVec3::NAN });
            if let Some(rgb) =
                columns.rgb(&values.numbers).filter(|_| columns.rgb.is_some() || columns.harmonics.is_some())
            {
                let [r, g, b] = rgb.map(|v| (v * factor).round().clamp(0.0, 255.0) as u8);
                self.colours.push([r, g, b, 255]);
            }
            if index.is_multiple_of(STEP) {
                out.progress(input.fraction());
            }
        }
        Ok(())
    }

    fn read_faces(
        &mut self,
        job: &Job<'_>,
        coding: Coding,
        element: &Element,
        input: &mut Input<'_>,
        out: &mut dyn Out,
        report: &mut SourceReport,
    ) -> Result<(), ImportError> {
        if !element.properties.iter().any(|p| p.count.is_some() && is_corners(&p.name)) {
            return Err(bad(job.path, "header", "the faces have no list vertex_indices".into()));
        }
        let mut values = Values::new(job.path, coding, element);
        for index in 0..element.count {
            let read = values.next(input, index)?.and_then(|()| self.add_face(&values.list, report));
            if let Err(reason) = read {
                report.skip(index + 1, format!("face: {reason}"));
            }
            if self.triangles.len() as u64 > MAX_MESH {
                let reason = format!("a mesh of more than {MAX_MESH} triangles; cut it into parts");
                return Err(bad(job.path, &format!("face {}", index + 1), reason));
            }
            if index.is_multiple_of(STEP) {
                out.progress(input.fraction());
            }
        }
        Ok(())
    }

    fn add_face(&mut self, corners: &[f64], report: &mut SourceReport) -> Result<(), String> {
        if corners.len() < 3 {
            return Err(format!("{} corners", corners.len()));
        }
        let index = |corner: f64| {
            let is_there = corner >= 0.0 && self.positions.get(corner as usize).is_some_and(|p| p.is_finite());
            is_there.then_some(corner as u32).ok_or_else(|| format!("there is no vertex {corner}"))
        };
        let corners = corners.iter().map(|c| index(*c)).collect::<Result<Vec<u32>, String>>()?;
        if corners.len() > 4 {
            report.warn("faces_fanned", "faces of more than four corners were taken as convex", "");
        }
        let first = corners.first().copied().unwrap_or(0);
        let fan = corners.get(1..).unwrap_or(&[]).windows(2);
        self.triangles.extend(fan.filter_map(|pair| Some([first, *pair.first()?, *pair.get(1)?])));
        Ok(())
    }

    fn emit(
        mut self,
        job: &Job<'_>,
        placing: &Placing<'_>,
        out: &mut dyn Out,
        report: &mut SourceReport,
    ) -> Result<(), ImportError> {
        placing.apply(&mut self.positions);
        let is_coloured = self.colours.len() == self.positions.len();
        let before = self.triangles.len();
        self.triangles.retain(|t| t.iter().all(|i| self.positions.get(*i as usize).is_some_and(|p| p.is_finite())));
        for _ in self.triangles.len()..before {
            report.skip(0, "the triangle lies outside the coordinate system's area");
        }
        let colours = is_coloured.then_some(self.colours.as_slice());
        let (parts, _) = mesh::parts(&self.positions, &self.triangles, colours, mesh::PLAIN);
        let geometry = mesh::geometry(parts);
        if self.triangles.is_empty() {
            report.warn("empty", "no face of the mesh could be read", "");
            return Ok(());
        }
        let key = stem(job.path);
        let class = job.options.class.unwrap_or(Class::Generic);
        let mut object = CityObject::new(ObjectId::new(job.layer, &key), class, geometry);
        object.name = Some(key);
        if let Some(stage) = job.options.stage {
            object.stage = stage;
        }
        let count = |n: usize| Value::Int(n as i64);
        object.attributes.push(Attribute::read(&"vertices".into(), count(self.positions.len())));
        let rule = "faces of the file as triangles";
        object.attributes.push(Attribute::converted("triangles", count(self.triangles.len()), "face", rule));
        report.extent.merge(&object.geometry.extent());
        report.objects += 1;
        out.emit(object)
    }
}
