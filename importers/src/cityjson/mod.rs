//! City models in JSON: CityJSON 1.0, 1.1 and 2.0, and sequences of it (CityJSONSeq), one feature a line.
//!
//! A CityJSON file keeps its vertices apart from its objects, usually behind them, so it is gone through twice: first for
//! header and vertices, which stay in memory as flat numbers, then object by object. A sequence is read line by line.

mod nested;
mod scan;
mod shape;
#[cfg(test)]
mod tests;
mod text;
mod vertex;

use std::{
    cell::RefCell,
    collections::HashMap,
    fs::File,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

use groundline_engine::model::{SourceReport, Value};
use serde_json::{Map, Value as Json};

use crate::{
    citymodel::{Composer, Piece, class_of, named_crs, pipe_kind},
    feature::has_swapped_axes,
    format::{Format, ImportError, Job, Kind, Options, Out, Probe},
    texture::Pictures,
};
use scan::{ScanError, Scanner};
use shape::{Paint, best_lod, take_shape};
use text::{Appearance, Feature, Header, Object, Outline};
use vertex::{Flat, Own, Vertices};

/// The CityJSON importer.
pub static FORMAT: Format = Format {
    name: "cityjson",
    title: "City model (CityJSON 1.0, 1.1, 2.0, CityJSONSeq)",
    title_zh: "城市三维模型 (CityJSON)",
    extensions: &["json", "jsonl"],
    probe,
    read,
    memory_per_byte: 4.0,
};

/// One object, one header member or one line of a sequence may be this large.
const MAX_VALUE_BYTES: usize = 128 << 20;
/// Memory that the vertices of one file may take.
const MAX_VERTEX_BYTES: usize = 1 << 30;
/// Names of attributes that are kept to be shared.
const MAX_NAMES: usize = 10_000;
const OBJECTS_A_STEP: u64 = 256;
/// Lines of a sequence after which another import could begin.
const LINES_A_MARK: u64 = 2048;

fn io_error(path: &Path) -> impl Fn(std::io::Error) -> ImportError + '_ {
    move |source| ImportError::Io { path: path.into(), source }
}

fn scan_error(path: &Path) -> impl Fn(ScanError) -> ImportError + '_ {
    move |error| match error {
        ScanError::Io(source) => ImportError::Io { path: path.into(), source },
        ScanError::Text { at, reason } => ImportError::Bad { path: path.into(), place: format!("byte {at}"), reason },
    }
}

fn probe(path: &Path, _: &Options) -> Result<Option<Probe>, ImportError> {
    let file = File::open(path).map_err(io_error(path))?;
    let mut header = Header::default();
    match look(file, &mut header) {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        Err(_) if !is_cityjson(&header) => return Ok(None),
        Err(error) => return Err(scan_error(path)(error)),
    }
    let text = header.crs_text().map(str::to_owned);
    let named = text.as_deref().and_then(named_crs);
    let is_named = named.is_some();
    let crs_from = named.as_ref().map_or_else(String::new, |n| n.from("metadata.referenceSystem"));
    let version = header.version.as_deref().unwrap_or("of unknown version");
    Ok(Some(Probe {
        kind: Kind::Objects,
        crs: named.map(|n| n.crs),
        crs_from,
        crs_text: text.filter(|_| !is_named),
        needs_crs: true,
        encoding: Some(("UTF-8".into(), "RFC 8259".into())),
        source_extent: header.extent(),
        records: None,
        companions: Vec::new(),
        class: Some((groundline_engine::model::Class::Building, format!("CityJSON {version}"))),
    }))
}

fn is_cityjson(header: &Header) -> bool {
    matches!(header.kind.as_deref(), Some("CityJSON" | "CityJSONFeature")) || header.has_objects
}

/// Looks at the members of the first value; `false` for what is no CityJSON.
fn look(source: impl Read, header: &mut Header) -> Result<bool, ScanError> {
    let mut scanner = Scanner::new(source)?;
    if scanner.next_byte()? != Some(b'{') {
        return Ok(false);
    }
    scanner.enter_object()?;
    let (mut is_first, mut key, mut value) = (true, Vec::new(), Vec::new());
    while let Some(name) = scanner.next_member(&mut is_first, &mut key)? {
        match name.as_str() {
            // GeoJSON, which may have its `type` behind them
            "features" | "coordinates" | "geometries" | "geometry" if !is_cityjson(header) => return Ok(false),
            "CityObjects" => {
                header.has_objects = true;
                scanner.skip()?;
            }
            "type" => {
                value.clear();
                scanner.value(&mut value, MAX_VALUE_BYTES)?;
                header.take(&name, &value).map_err(|reason| scanner.bad(reason))?;
                if !is_cityjson(header) {
                    return Ok(false);
                }
            }
            // Materials and templates are for reading, not for a first look.
            "appearance" | "geometry-templates" => scanner.skip()?,
            _ if Header::wants(&name) => {
                value.clear();
                scanner.value(&mut value, MAX_VALUE_BYTES)?;
                header.take(&name, &value).map_err(|reason| scanner.bad(reason))?;
            }
            _ => scanner.skip()?,
        }
    }
    Ok(is_cityjson(header))
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let ending = job.path.extension().map(|e| e.to_string_lossy().to_lowercase());
    let mut reader = Reader::new(job);
    if ending.as_deref() == Some("jsonl") {
        reader.read_sequence(out, report)?;
    } else {
        let file = File::open(job.path).map_err(io_error(job.path))?;
        let mut whole = Whole::default();
        let is_alone = whole.first_pass(file, report).map_err(scan_error(job.path))?;
        if is_alone {
            reader.read_whole(whole, out, report)?;
        } else {
            drop(whole);
            reader.read_sequence(out, report)?;
        }
    }
    reader.pictures.borrow_mut().tell(report);
    reader.composer.finish(report);
    Ok(())
}

/// What a first pass through a CityJSON file keeps.
#[derive(Default)]
struct Whole {
    header: Header,
    vertices: Flat,
    /// By parent: the highest level of detail of its parts.
    parts: Parts,
}

/// By hash of the parent's id: the highest level of detail of its parts.
type Parts = HashMap<u64, f64>;

/// Parents that are remembered; buildings beyond are drawn beside their parts.
const MAX_PARTS: usize = 16_000_000;

fn id_hash(id: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(id)
}

impl Whole {
    /// Reads header, vertices and the outline of objects; `false` when more values follow: a sequence.
    fn first_pass(&mut self, source: impl Read, report: &mut SourceReport) -> Result<bool, ScanError> {
        let mut scanner = Scanner::new(source)?;
        scanner.enter_object()?;
        let (mut is_first, mut key, mut value) = (true, Vec::new(), Vec::new());
        while let Some(name) = scanner.next_member(&mut is_first, &mut key)? {
            match name.as_str() {
                "CityObjects" => {
                    scanner.enter_object()?;
                    let mut is_first = true;
                    while scanner.next_member(&mut is_first, &mut key)?.is_some() {
                        value.clear();
                        scanner.value(&mut value, MAX_VALUE_BYTES)?;
                        if let Ok(outline) = serde_json::from_slice::<Outline>(&value) {
                            let lod =
                                best_lod(outline.geometry.iter().flatten().map(|g| (g.kind.as_str(), g.lod.as_ref())));
                            note_part(&mut self.parts, &outline.kind, outline.parents.as_deref(), lod);
                        }
                    }
                }
                "vertices" => {
                    scanner.enter_list()?;
                    let mut is_first = true;
                    while scanner.next_item(&mut is_first)? {
                        value.clear();
                        scanner.value(&mut value, 1 << 20)?;
                        let vertex = serde_json::from_slice::<[f64; 3]>(&value);
                        if vertex.is_err() {
                            let message = "vertices that are not three numbers; surfaces that need them are left out";
                            report.warn("bad_vertex", message, format!("vertex {}", self.vertices.count()));
                        }
                        self.vertices.push(vertex.unwrap_or([f64::NAN; 3]));
                        if self.vertices.bytes() > MAX_VERTEX_BYTES {
                            let reason =
                                "the vertices take more than 1 GiB; deliver the model as CityJSONSeq or in parts";
                            return Err(scanner.bad(reason));
                        }
                    }
                }
                _ if Header::wants(&name) => {
                    value.clear();
                    scanner.value(&mut value, MAX_VALUE_BYTES)?;
                    self.header.take(&name, &value).map_err(|reason| scanner.bad(reason))?;
                }
                _ => scanner.skip()?,
            }
        }
        self.vertices.transform = self.header.transform.unwrap_or_default();
        match scanner.next_byte()? {
            None => Ok(true),
            Some(b'{') => Ok(false),
            Some(_) => Err(scanner.bad("more text after the end")),
        }
    }
}

/// Remembers the level of detail of parts for their whole.
fn note_part(parts: &mut Parts, kind: &str, parents: Option<&[String]>, lod: Option<f64>) {
    let (true, Some(lod)) = (kind.ends_with("Part"), lod) else { return };
    for parent in parents.unwrap_or(&[]) {
        if parts.len() >= MAX_PARTS {
            return;
        }
        let highest = parts.entry(id_hash(parent)).or_insert(lod);
        *highest = highest.max(lod);
    }
}

/// Makes pieces of objects.
struct Reader<'a> {
    job: &'a Job<'a>,
    composer: Composer<'a>,
    is_swapped: bool,
    names: HashMap<String, Arc<str>>,
    pictures: RefCell<Pictures>,
}

impl<'a> Reader<'a> {
    fn new(job: &'a Job<'a>) -> Self {
        Self {
            job,
            composer: Composer::new(job),
            is_swapped: has_swapped_axes(&job.options.map),
            names: HashMap::new(),
            pictures: RefCell::new(Pictures::beside(job.path)),
        }
    }

    /// The second pass through a CityJSON file.
    fn read_whole(&mut self, whole: Whole, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
        check_version(&whole.header, report);
        let file = File::open(self.job.path).map_err(io_error(self.job.path))?;
        let length = file.metadata().map_err(io_error(self.job.path))?.len().max(1);
        let stop = scan_error(self.job.path);
        let mut scanner = Scanner::new(file).map_err(&stop)?;
        scanner.enter_object().map_err(&stop)?;
        let (mut is_first, mut key, mut value) = (true, Vec::new(), Vec::new());
        let mut record = 0;
        while let Some(name) = scanner.next_member(&mut is_first, &mut key).map_err(&stop)? {
            if name != "CityObjects" {
                scanner.skip().map_err(&stop)?;
                continue;
            }
            scanner.enter_object().map_err(&stop)?;
            let mut is_first = true;
            while let Some(id) = scanner.next_member(&mut is_first, &mut key).map_err(&stop)? {
                record += 1;
                value.clear();
                scanner.value(&mut value, MAX_VALUE_BYTES).map_err(&stop)?;
                match serde_json::from_slice::<Object>(&value) {
                    Ok(object) => {
                        let lod = whole.parts.get(&id_hash(&id)).copied();
                        let context = Context {
                            header: &whole.header,
                            appearance: &whole.header.appearance,
                            vertices: &whole.vertices,
                            record,
                        };
                        self.take(id, object, &context, lod, out, report)?;
                    }
                    Err(error) => report.skip(record, format!("{id}: {error}")),
                }
                if record % OBJECTS_A_STEP == 0 {
                    out.progress((scanner.at() as f64 / length as f64).min(1.0) as f32);
                }
            }
        }
        Ok(())
    }

    /// A sequence: the header on the first line, then a feature a line.
    fn read_sequence(&mut self, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
        let file = File::open(self.job.path).map_err(io_error(self.job.path))?;
        let length = file.metadata().map_err(io_error(self.job.path))?.len().max(1);
        let mut source = BufReader::with_capacity(256 * 1024, file);
        let (mut line, mut number, mut at) = (Vec::new(), 0_u64, 0_u64);
        let mut header: Option<Header> = None;
        // Of a sequence that is gone on with, the header is read for itself: its account is there already.
        let (start, mut said) = (out.start(), SourceReport::default());
        let mut marked = number;
        loop {
            if start > at && header.is_some() {
                number = self.restore(out.state()).ok_or_else(|| ImportError::Bad {
                    path: self.job.path.into(),
                    place: format!("line {number}"),
                    reason: "what was kept of an import before is damaged".into(),
                })?;
                source.seek(SeekFrom::Start(start)).map_err(io_error(self.job.path))?;
                (at, marked) = (start, number);
            } else if number >= marked + LINES_A_MARK && header.is_some() {
                let mut state = number.to_le_bytes().to_vec();
                state.extend(self.composer.take_fresh());
                let missing = self.pictures.borrow_mut().take_fresh();
                // Text in memory is written without fail.
                let state = postcard::to_extend(&missing, state).unwrap_or_default();
                out.mark(at, &state, report);
                marked = number;
            }
            let (is_before, report) = if at < start { (true, &mut said) } else { (false, &mut *report) };
            line.clear();
            let bytes = read_line(&mut source, &mut line).map_err(io_error(self.job.path))?;
            if bytes == 0 {
                break;
            }
            number += 1;
            at += bytes;
            if line.len() > MAX_VALUE_BYTES {
                report.skip(number, format!("line {number} is longer than {} MiB", MAX_VALUE_BYTES >> 20));
                continue;
            }
            let text = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&line).trim_ascii();
            if text.is_empty() {
                continue;
            }
            let feature = match serde_json::from_slice::<Feature>(text) {
                Ok(feature) => feature,
                Err(error) if header.is_none() => {
                    let (place, reason) = (format!("line {number}"), error.to_string());
                    return Err(ImportError::Bad { path: self.job.path.into(), place, reason });
                }
                Err(error) => {
                    report.skip(number, format!("line {number}: {error}"));
                    continue;
                }
            };
            match (feature.kind.as_str(), &header) {
                ("CityJSON", None) => {
                    let mut found = Header::default();
                    look_whole(text, &mut found).map_err(scan_error(self.job.path))?;
                    check_version(&found, report);
                    header = Some(found);
                }
                ("CityJSONFeature", None) if feature.transform.is_some() => {
                    report.warn("no_header", "the first line is no header of type CityJSON", "line 1");
                    header = Some(Header::default());
                }
                ("CityJSONFeature", None) => {
                    return Err(ImportError::Missing {
                        path: self.job.path.into(),
                        missing: "the first line with type CityJSON and the transform of the vertices".into(),
                        hint: "put the header of the data set before the features (cjseq, or the metadata.json beside them)"
                            .into(),
                    });
                }
                ("CityJSONFeature", Some(_)) => {}
                (kind, _) => {
                    report.skip(number, format!("line {number} is of type {kind:.40}, not CityJSONFeature"));
                    continue;
                }
            }
            if let Some(header) = header.as_ref().filter(|_| !is_before) {
                self.take_feature(feature, header, number, out, report)?;
            }
            if number % OBJECTS_A_STEP == 0 {
                out.progress((at as f64 / length as f64).min(1.0) as f32);
            }
        }
        Ok(())
    }

    /// Takes what was said at the marks of an import before; returns the line.
    fn restore(&mut self, mut state: &[u8]) -> Option<u64> {
        let mut line = None;
        while let Some((number, rest)) = state.split_first_chunk::<8>() {
            line = Some(u64::from_le_bytes(*number));
            let rest = self.composer.restore(rest)?;
            let (missing, rest) = postcard::take_from_bytes(rest).ok()?;
            self.pictures.borrow_mut().restore(missing);
            state = rest;
        }
        line.filter(|_| state.is_empty())
    }

    fn take_feature(
        &mut self,
        feature: Feature,
        header: &Header,
        record: u64,
        out: &mut dyn Out,
        report: &mut SourceReport,
    ) -> Result<(), ImportError> {
        let transform = feature.transform.or(header.transform).unwrap_or_default();
        let vertices = Own { vertices: &feature.vertices, transform };
        let mut parts = Parts::new();
        for (_, object) in &feature.objects.0 {
            let geometries = object.geometry.iter().flatten();
            let lod = best_lod(geometries.map(|g| (g.kind.as_str(), g.lod.as_ref())));
            note_part(&mut parts, &object.kind, object.parents.as_deref(), lod);
        }
        if feature.objects.0.is_empty() && feature.kind == "CityJSONFeature" {
            report.skip(record, format!("line {record}: feature {} has no objects", feature.id.unwrap_or_default()));
            return Ok(());
        }
        let appearance = feature.appearance.as_ref().unwrap_or(&header.appearance);
        let context = Context { header, appearance, vertices: &vertices, record };
        for (id, object) in feature.objects.0 {
            let lod = parts.get(&id_hash(&id)).copied();
            self.take(id, object, &context, lod, out, report)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        id: String,
        object: Object,
        context: &Context<'_>,
        parts_lod: Option<f64>,
        out: &mut dyn Out,
        report: &mut SourceReport,
    ) -> Result<(), ImportError> {
        let record = context.record;
        let kind = object.kind.trim_start_matches('+').to_owned();
        if class_of(&kind).is_none() {
            let message =
                format!("objects of types that no module has ({:.40}) are taken as generic ones", object.kind);
            report.warn("unknown_type", message, &id);
        }
        let class = self.composer.class(&kind);
        let parents = object.parents.as_deref().unwrap_or(&[]);
        if parents.len() > 1 {
            report.warn("several_parents", "objects of several parents; the first is kept", &id);
        }
        let mut piece =
            Piece { record, class: Some(class), parent: parents.first().cloned(), kind, ..Piece::default() };
        let paint =
            Paint { class, pipe: pipe_kind(&piece.kind), appearance: context.appearance, pictures: &self.pictures };
        for reason in take_shape(&mut piece, &object, context.header, context.vertices, paint, parts_lod) {
            report.skip(record, format!("{id}: {reason}"));
        }
        piece.key = id;
        if self.is_swapped {
            let all = piece.surfaces.positions.iter_mut().chain(piece.lines.iter_mut().flatten());
            all.chain(&mut piece.points).for_each(|v| (v.x, v.y) = (v.y, v.x));
        }
        if let Some(attributes) = object.attributes {
            piece.name = attributes.get("name").and_then(Json::as_str).map(str::to_owned);
            self.flatten("", attributes, &mut piece.fields, 0);
        }
        match object.address {
            Some(Json::Object(address)) => self.flatten("address.", address, &mut piece.fields, 0),
            Some(Json::Array(list)) => {
                for (number, address) in list.into_iter().enumerate() {
                    let prefix = if number == 0 { "address.".into() } else { format!("address[{}].", number + 1) };
                    if let Json::Object(mut address) = address {
                        address.remove("location");
                        self.flatten(&prefix, address, &mut piece.fields, 0);
                    }
                }
            }
            _ => {}
        }
        self.composer.take(piece, out, report)
    }

    /// Attributes with their types; those within attributes get the names of both.
    fn flatten(&mut self, prefix: &str, members: Map<String, Json>, fields: &mut Vec<(Arc<str>, Value)>, depth: u32) {
        for (name, json) in members {
            let value = match json {
                Json::Null => continue,
                Json::Bool(b) => Value::Bool(b),
                Json::Number(n) => match (n.as_i64(), n.as_f64().filter(|n| n.is_finite())) {
                    (Some(whole), _) => Value::Int(whole),
                    (None, Some(real)) => Value::Real(real),
                    (None, None) => continue,
                },
                Json::String(text) => Value::Text(text),
                Json::Object(inner) if depth < 8 => {
                    self.flatten(&format!("{prefix}{name}."), inner, fields, depth + 1);
                    continue;
                }
                // Lists have no column to stand in; they stay readable.
                nested => Value::Text(nested.to_string()),
            };
            let name = if prefix.is_empty() { name } else { format!("{prefix}{name}") };
            fields.push((self.shared(name), value));
        }
    }

    fn shared(&mut self, name: String) -> Arc<str> {
        if let Some(known) = self.names.get(&name) {
            return known.clone();
        }
        let shared: Arc<str> = Arc::from(name.as_str());
        if self.names.len() < MAX_NAMES {
            self.names.insert(name, shared.clone());
        }
        shared
    }
}

/// What the objects of one text share.
struct Context<'c> {
    header: &'c Header,
    appearance: &'c Appearance,
    vertices: &'c dyn Vertices,
    record: u64,
}

/// Reads all members of a header.
fn look_whole(text: &[u8], header: &mut Header) -> Result<(), ScanError> {
    let mut scanner = Scanner::new(text)?;
    scanner.enter_object()?;
    let (mut is_first, mut key, mut value) = (true, Vec::new(), Vec::new());
    while let Some(name) = scanner.next_member(&mut is_first, &mut key)? {
        if !Header::wants(&name) {
            scanner.skip()?;
            continue;
        }
        value.clear();
        scanner.value(&mut value, MAX_VALUE_BYTES)?;
        header.take(&name, &value).map_err(|reason| scanner.bad(reason))?;
    }
    Ok(())
}

fn check_version(header: &Header, report: &mut SourceReport) {
    let version = header.version.as_deref().unwrap_or("none");
    if !matches!(version.split('.').next(), Some("1" | "2")) {
        let message = format!("version {version:.20} of CityJSON; read as 2.0");
        report.warn("version", message, "member version");
    }
}

/// Reads a line of at most [`MAX_VALUE_BYTES`] (and one byte more, by which a longer one is told) and passes over the
/// rest of a longer one. Returns how many bytes it took.
fn read_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<u64> {
    let mut taken = source.by_ref().take(MAX_VALUE_BYTES as u64 + 1).read_until(b'\n', line)? as u64;
    while line.len() > MAX_VALUE_BYTES && line.last() != Some(&b'\n') {
        let (count, is_end) = {
            let buffer = source.fill_buf()?;
            match buffer.iter().position(|b| *b == b'\n') {
                Some(end) => (end + 1, true),
                None => (buffer.len(), buffer.is_empty()),
            }
        };
        source.consume(count);
        taken += count as u64;
        if is_end {
            break;
        }
    }
    Ok(taken)
}
