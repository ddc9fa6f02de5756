//! GeoPackage (OGC 12-128r18): every feature table of the file.
//!
//! All tables go into the source's one layer. Where there are several, each object's id begins with its table's name
//! and its class is what the table suggests. A table of another coordinate system than the first is moved into that
//! of the first; where no path leads there it is refused by name.

mod blob;
mod database;

use std::{path::Path, sync::Arc};

use groundline_engine::{
    crs::Transform,
    model::{SourceReport, Value},
};
use rusqlite::{Connection, types::ValueRef};

use crate::{
    feature::{Feature, Look, Maker, has_swapped_axes, joined_boxes, suggest},
    format::{Format, ImportError, Job, Kind, Options, Out, Probe},
};
use database::{Catalogue, Table, bad, quoted, reason};

/// The GeoPackage importer.
pub static FORMAT: Format = Format {
    name: "geopackage",
    title: "OGC GeoPackage (points, lines, polygons)",
    title_zh: "GeoPackage 矢量数据",
    extensions: &["gpkg", "gpkx"],
    probe,
    read,
    memory_per_byte: 1.0,
};

/// Rows of each table that a first look takes.
const SAMPLE_ROWS: usize = 32;
/// Progress is told every so many rows.
const ROWS_A_STEP: u64 = 1024;
/// Tables that a message names.
const MAX_NAMED: usize = 10;
/// Complaints of SQLite's own check that are looked at.
const CHECK_LINES: usize = 3;

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let db = database::open(path)?;
    let catalogue = Catalogue::read(&db, path)?;
    if catalogue.tables.is_empty() {
        let names: Vec<String> = catalogue.others.iter().map(|(name, kind)| format!("{name} ({kind})")).collect();
        let reason = match names.as_slice() {
            [] => "it holds no table".into(),
            names => format!("it holds no feature table, only {}", names.join(", ")),
        };
        return Err(ImportError::Bad { path: path.into(), place: "gpkg_contents".into(), reason });
    }
    let home = catalogue.home();
    let lead = home.or_else(|| catalogue.tables.iter().find(|t| t.refusal.is_none()));
    let shares = |table: &&Table| lead.is_none_or(|lead| lead.srs_id == table.srs_id);
    let boxes = catalogue.tables.iter().filter(shares).filter_map(|t| t.extent);
    let mut extent = boxes.fold(None, |all, one| Some(joined_boxes(all, one)));
    let is_swapped = has_swapped_axes(&options.map);
    if is_swapped {
        extent = extent.map(|[a, b, c, d]| [b, a, d, c]);
    }
    if extent.is_none()
        && let Some(table) = lead
    {
        extent = look(&db, table, is_swapped).extent;
    }
    let known: Vec<u64> = catalogue.tables.iter().filter_map(|t| t.count).collect();
    let class = match catalogue.tables.as_slice() {
        [only] => class(&db, only, true, path),
        _ => None,
    };
    Ok(Some(Probe {
        kind: Kind::Objects,
        crs: home.and_then(|t| t.crs.clone().ok()),
        crs_from: if home.is_some() { "gpkg_spatial_ref_sys".into() } else { String::new() },
        crs_text: lead.and_then(|t| t.crs.clone().err()).filter(|text| !text.is_empty()),
        needs_crs: true,
        encoding: Some(("UTF-8".into(), "SQLite".into())),
        source_extent: extent,
        records: (known.len() == catalogue.tables.len()).then(|| known.iter().sum()),
        companions: Vec::new(),
        class,
    }))
}

type ClassFound = Option<(groundline_engine::model::Class, String)>;

/// The class that a table's name and fields suggest, else the file's name where it is the only one.
fn class(db: &Connection, table: &Table, is_only: bool, path: &Path) -> ClassFound {
    let look = look(db, table, false);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let by_table = suggest(&look.sample(&table.name));
    by_table.or_else(|| suggest(&look.sample(&stem)).filter(|_| is_only))
}

/// The first rows of a table; what is wrong with them is told when they are read.
fn look(db: &Connection, table: &Table, is_swapped: bool) -> Look {
    let mut look = Look::default();
    let mut unused = SourceReport::default();
    let mut rows = |db: &Connection| -> rusqlite::Result<()> {
        let mut statement = db.prepare(&format!("SELECT * FROM {} LIMIT {SAMPLE_ROWS}", quoted(&table.name)))?;
        let columns = Columns::of(table, &statement);
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if let Ok(feature) = columns.feature(row, 0, &mut unused) {
                look.take(feature, is_swapped);
            }
        }
        Ok(())
    };
    if table.refusal.is_none() {
        // A table that cannot be read says so when it is read.
        let _ = rows(db);
    }
    look
}

/// The columns of a table, as a statement gives them.
struct Columns<'t> {
    table: &'t Table,
    names: Vec<Arc<str>>,
    geometry: Option<usize>,
    key: Option<usize>,
    booleans: Vec<usize>,
}

impl<'t> Columns<'t> {
    fn of(table: &'t Table, statement: &rusqlite::Statement<'_>) -> Self {
        let names: Vec<Arc<str>> = statement.column_names().into_iter().map(Arc::from).collect();
        let place = |wanted: &str| names.iter().position(|n| n.eq_ignore_ascii_case(wanted));
        Self {
            table,
            geometry: place(&table.geometry),
            key: table.key.as_deref().and_then(place),
            booleans: table.booleans.iter().filter_map(|name| place(name)).collect(),
            names,
        }
    }

    fn feature(&self, row: &rusqlite::Row<'_>, record: u64, report: &mut SourceReport) -> Result<Feature, String> {
        let place = || format!("record {record}");
        let mut feature = Feature { record, ..Feature::default() };
        for (i, name) in self.names.iter().enumerate() {
            let value = row.get_ref(i).map_err(|error| reason(&error))?;
            if self.key == Some(i)
                && let ValueRef::Integer(id) = value
            {
                feature.id = Some(id.to_string());
            }
            if self.geometry == Some(i) {
                match value {
                    ValueRef::Null => {}
                    ValueRef::Blob(bytes) => {
                        let blob = blob::read(bytes)?;
                        if blob.srs_id != self.table.srs_id {
                            let message = format!(
                                "geometries of table {} name srs_id {}, the table {}; the table's was used",
                                self.table.name, blob.srs_id, self.table.srs_id
                            );
                            report.warn("srs_mismatch", message, place());
                        }
                        feature.shape = blob.shape;
                    }
                    _ => return Err("its geometry is no geometry but a plain value".into()),
                }
                continue;
            }
            let value = match value {
                ValueRef::Null => continue,
                ValueRef::Integer(n) if self.booleans.contains(&i) => Value::Bool(n != 0),
                ValueRef::Integer(n) => Value::Int(n),
                ValueRef::Real(n) if n.is_finite() => Value::Real(n),
                ValueRef::Real(_) => continue,
                ValueRef::Text(bytes) => {
                    let text = String::from_utf8_lossy(bytes);
                    if matches!(text, std::borrow::Cow::Owned(_)) {
                        let message = format!("column {name} holds text that is not UTF-8; bad bytes became �");
                        report.warn("bad_text", message, place());
                    }
                    Value::Text(text.into_owned())
                }
                ValueRef::Blob(_) => {
                    report.warn("binary_column", format!("column {name} holds bytes, which were left out"), place());
                    continue;
                }
            };
            feature.fields.push((name.clone(), value));
        }
        if !self.names.iter().any(|name| &**name == TABLE_NAME) {
            feature.fields.push((TABLE_NAME.into(), Value::Text(self.table.name.clone())));
        }
        Ok(feature)
    }
}

/// Attribute that holds the name of the object's table, as `gpkg_contents` calls it.
const TABLE_NAME: &str = "table_name";

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let db = database::open(job.path)?;
    let catalogue = Catalogue::read(&db, job.path)?;
    if !catalogue.others.is_empty() {
        let named = named(catalogue.others.iter().map(|(name, kind)| format!("{name} ({kind})")));
        report.warn("other_table", format!("tables without features were not read: {named}"), "gpkg_contents");
    }
    let count = catalogue.tables.len();
    let mut reading = Reading { job, db: &db, record: 0, good: 0, failure: None };
    let (mut moved, mut refused) = (Vec::new(), Vec::new());
    for (index, table) in catalogue.tables.iter().enumerate() {
        let way = match table.refusal.clone().map_or_else(|| way(table, &catalogue, job), Err) {
            Ok(way) => way,
            Err(reason) => {
                refuse(&db, table, &reason, report);
                refused.push(format!("{} ({reason})", table.name));
                continue;
            }
        };
        if let Some(way) = &way {
            moved.push(format!("{} ({})", table.name, table.crs.as_ref().map_or_else(Clone::clone, |crs| crs.label())));
            if let Some(note) = way.note() {
                report.warn("crs_note", note, table.name.clone());
            }
        }
        let prefix = if count > 1 { format!("{}/{}", job.layer, table.name) } else { job.layer.to_string() };
        let probe = Probe { class: class(&db, table, count == 1, job.path), ..job.probe.clone() };
        let own = Job { layer: &prefix, probe: &probe, ..*job };
        let mut tell = |out: &mut dyn Out, part: f64| out.progress(((index as f64 + part) / count as f64) as f32);
        reading.table(table, way.as_ref(), &own, out, &mut tell, report)?;
    }
    if !moved.is_empty() {
        let message = format!("tables of other systems were moved to {}: {}", job.crs.label(), named(moved));
        report.warn("several_crs", message, "gpkg_geometry_columns");
    }
    if !refused.is_empty() {
        report.warn("table_refused", format!("tables were not read: {}", named(refused)), "gpkg_geometry_columns");
    }
    match reading.failure {
        Some(error) if reading.good == 0 => Err(error),
        _ => Ok(()),
    }
}

/// The first names of a list, for a message.
fn named(all: impl IntoIterator<Item = String>) -> String {
    let all: Vec<String> = all.into_iter().collect();
    match all.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
        Some(more) => format!("{} and {more} more", all[..MAX_NAMED].join(", ")),
        None => all.join(", "),
    }
}

/// The step from a table's system to that of the job; `None` where they are the same.
fn way(table: &Table, catalogue: &Catalogue, job: &Job<'_>) -> Result<Option<Transform>, String> {
    let home = catalogue.home();
    // What the user said holds for the system that the first look named, and for tables that name none.
    let is_at_home = home.is_none_or(|home| home.srs_id == table.srs_id);
    let crs = match &table.crs {
        _ if is_at_home => return Ok(None),
        Ok(crs) => crs,
        Err(_) if job.options.crs.is_some() => return Ok(None),
        Err(text) if text.is_empty() => return Err("it names no coordinate system; say it with --crs".into()),
        Err(text) => {
            let short: String = text.chars().take(120).collect();
            return Err(format!("its coordinate system is not understood: {short}"));
        }
    };
    if crs.proj4 == job.crs.proj4 {
        return Ok(None);
    }
    Transform::new(crs, job.crs).map(Some).map_err(|error| error.to_string())
}

/// Accounts for a table that is not read: its rows count as skipped.
fn refuse(db: &Connection, table: &Table, reason: &str, report: &mut SourceReport) {
    let count = || db.query_row(&format!("SELECT count(*) FROM {}", quoted(&table.name)), [], |row| row.get(0)).ok();
    let rows: i64 = if table.refusal.is_none() { count().unwrap_or(1) } else { 1 };
    if rows > 0 {
        report.skip(0, format!("table {}, {rows} rows: {reason}", table.name));
        report.skipped += rows as u64 - 1;
    }
}

/// Where a reading is.
struct Reading<'r> {
    job: &'r Job<'r>,
    db: &'r Connection,
    /// Number of the last row, over all tables.
    record: u64,
    /// Rows that became features.
    good: u64,
    /// What broke the first table that broke.
    failure: Option<ImportError>,
}

impl Reading<'_> {
    /// Reads one table. What breaks it ends it and is accounted for; the next table may be whole.
    fn table(
        &mut self,
        table: &Table,
        way: Option<&Transform>,
        job: &Job<'_>,
        out: &mut dyn Out,
        tell: &mut dyn FnMut(&mut dyn Out, f64),
        report: &mut SourceReport,
    ) -> Result<(), ImportError> {
        self.check(table, report);
        let broken = |reading: &mut Self, error: rusqlite::Error, rows: u64, report: &mut SourceReport| {
            let place = format!("table {}, row {}", table.name, rows + 1);
            let message = format!("table {} cannot be read further: {}", table.name, reason(&error));
            report.warn("truncated", message.clone(), place.clone());
            report.skip(reading.record + 1, message);
            reading.failure.get_or_insert_with(|| bad(reading.job.path, &place, &error));
        };
        let db = self.db;
        let mut statement = match db.prepare(&format!("SELECT * FROM {}", quoted(&table.name))) {
            Ok(statement) => statement,
            Err(error) => {
                broken(self, error, 0, report);
                return Ok(());
            }
        };
        let columns = Columns::of(table, &statement);
        if columns.geometry.is_none() {
            let message =
                format!("table {} has no column {}, which should hold its shapes", table.name, table.geometry);
            report.warn("no_geometry_column", message, table.name.clone());
        }
        let mut maker = Maker::new(job);
        maker.settle_id(&columns.names);
        let is_swapped = has_swapped_axes(&job.options.map);
        let mut rows = match statement.query([]) {
            Ok(rows) => rows,
            Err(error) => {
                broken(self, error, 0, report);
                return Ok(());
            }
        };
        let mut count = 0;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => {
                    broken(self, error, count, report);
                    break;
                }
            };
            count += 1;
            self.record += 1;
            match columns.feature(row, self.record, report) {
                Ok(mut feature) => {
                    self.good += 1;
                    if let Some(way) = way {
                        step(way, &mut feature, is_swapped);
                    }
                    maker.take(feature, out, report)?;
                }
                Err(reason) => report.skip(self.record, format!("table {}, row {count}: {reason}", table.name)),
            }
            if count.is_multiple_of(ROWS_A_STEP) {
                let of = table.count.unwrap_or(count * 2).max(1);
                tell(out, (count as f64 / of as f64).min(1.0));
            }
        }
        maker.finish(out, report)?;
        account(table, count, report);
        tell(out, 1.0);
        Ok(())
    }

    /// Lets SQLite look over the table: rows that a damaged page lost are missed nowhere else.
    fn check(&self, table: &Table, report: &mut SourceReport) {
        let found = || -> rusqlite::Result<Vec<String>> {
            let mut statement = self.db.prepare(&format!("PRAGMA quick_check({})", quoted(&table.name)))?;
            let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
            lines.take(CHECK_LINES).collect()
        };
        let complaints = match found() {
            Ok(lines) => lines.into_iter().filter(|line| line != "ok").collect(),
            Err(error) => vec![reason(&error)],
        };
        for line in complaints {
            let message = format!("table {} is damaged and may lack rows: {line}", table.name);
            report.warn("damaged_table", message.clone(), table.name.clone());
            report.skip(0, message);
        }
    }
}

/// Moves a feature from its table's system to the job's.
fn step(way: &Transform, feature: &mut Feature, is_swapped: bool) {
    let swap = |feature: &mut Feature| {
        if is_swapped {
            feature.shape.for_each_mut(|v| (v.x, v.y) = (v.y, v.x));
        }
    };
    swap(feature);
    let mut vertices = feature.shape.vertices();
    way.apply(&mut vertices);
    let mut moved = vertices.into_iter();
    feature.shape.for_each_mut(|v| {
        if let Some(to) = moved.next() {
            *v = to;
        }
    });
    swap(feature);
}

/// Holds the rows read against the writer's own count.
fn account(table: &Table, rows: u64, report: &mut SourceReport) {
    let Some(expected) = table.count.filter(|count| *count != rows) else { return };
    let message = format!("table {} holds {rows} rows, but its writer counted {expected}", table.name);
    report.warn("count_mismatch", message.clone(), table.name.clone());
    if expected > rows {
        report.skip(0, message);
        report.skipped += expected - rows - 1;
    }
}

#[cfg(test)]
mod tests;
