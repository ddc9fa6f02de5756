//! Boreholes as tables (钻孔表、地层表), CSV or XLSX: one table of holes and one of their strata, or one table with both.
//!
//! Depths are metres below the ground of the hole. Where a row gives no top, its stratum begins at the base of the one
//! before it in the same hole. In Chinese tables X is **north** and Y is **east**, as in all their survey tables; a table
//! with English headers has X to the east.

mod header;
mod source;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use glam::DVec3;
use groundline_engine::model::{Attribute, Class, SourceReport, Value};

use crate::{
    Format, ImportError, Job, Kind, Options, Out, Probe,
    borehole::{self, Coverage, DEEPEST_M, Hole},
    pipe_table::{axes, axes::Axes, value},
    sheet::Next,
};
use header::{Layout, Part};
use source::Table;

/// Holes of one source.
const MAX_HOLES: usize = 2_000_000;
/// Strata of one source.
const MAX_STRATA: usize = 8_000_000;
/// Rows that are looked at for the extent of the coordinates.
const EXTENT_ROWS: usize = 20_000;
/// Depths that differ by less are one, metres.
const SAME_DEPTH_M: f64 = 0.011;

/// Boreholes as tables.
pub static FORMAT: Format = Format {
    name: "borehole_table",
    title: "Borehole tables (holes and strata)",
    title_zh: "钻孔表、地层表",
    extensions: &["csv", "xlsx"],
    probe,
    read,
    memory_per_byte: 4.0,
};

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let Some(source) = source::discover(path, options)? else { return Ok(None) };
    let mut extent: Option<[f64; 4]> = None;
    for table in &source.places {
        let axes = axes::of(&table.axes)?;
        let mut left = EXTENT_ROWS;
        table.axes.sheet.each_row(&mut |number, cells| {
            if number > table.header.row() {
                if let Ok(Some((x, y))) = axes.place(cells) {
                    let e = extent.get_or_insert([x, y, x, y]);
                    *e = [e[0].min(x), e[1].min(y), e[2].max(x), e[3].max(y)];
                }
                left -= 1;
            }
            Ok(if left == 0 { Next::Stop } else { Next::Row })
        })?;
    }
    Ok(Some(Probe {
        kind: Kind::Objects,
        crs: None,
        crs_from: String::new(),
        crs_text: None,
        needs_crs: true,
        encoding: source.encoding,
        source_extent: extent,
        records: None,
        companions: source.companions,
        class: Some((Class::Borehole, "column headers".into())),
    }))
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let gone = || ImportError::Bad {
        path: job.path.into(),
        place: "header".into(),
        reason: "no borehole table in it any more".into(),
    };
    let source = source::discover(job.path, job.options)?.ok_or_else(gone)?;
    if source.layers.is_empty() && source.places.iter().all(|t| t.header.layout == Layout::Holes) {
        let message = match source.is_unclear {
            true => "several tables of strata are in the folder and none has the name of this one: holes only",
            false => "a table of holes without one of strata: holes only",
        };
        report.warn("no_layer_table", message, job.path.display().to_string());
    }
    let mut reader = Reading {
        job,
        holes: HashMap::new(),
        skipped: HashSet::new(),
        strata: HashMap::new(),
        count: 0,
        ids: HashSet::new(),
        out,
        report,
    };
    for table in &source.places {
        reader.read_holes(table)?;
    }
    reader.out.progress(0.3);
    let joint = source.places.iter().filter(|t| t.header.layout == Layout::Both);
    for table in joint.chain(&source.layers) {
        reader.read_layers(table)?;
    }
    reader.out.progress(0.8);
    for table in &source.places {
        reader.emit_holes(table)?;
    }
    reader.finish();
    Ok(())
}

/// One source being read.
struct Reading<'a> {
    job: &'a Job<'a>,
    holes: HashMap<String, Hole>,
    /// Holes that could not be placed.
    skipped: HashSet<String>,
    /// Top and base of the strata of each hole.
    strata: HashMap<String, Vec<(f64, f64)>>,
    count: usize,
    ids: HashSet<String>,
    out: &'a mut dyn Out,
    report: &'a mut SourceReport,
}

impl Reading<'_> {
    fn read_holes(&mut self, table: &Table) -> Result<(), ImportError> {
        let axes = axes::of(&table.axes)?;
        axes.explain(&table.axes.sheet.label(), axes::ASSUMED, self.report);
        if axes.are_degrees() != self.job.crs.is_geographic {
            let found = if axes.are_degrees() { "degrees" } else { "plane coordinates" };
            return Err(ImportError::Bad {
                path: table.axes.sheet.path.clone(),
                place: table.axes.sheet.label(),
                reason: format!("the coordinates are {found}, which {} does not have", self.job.crs.label()),
            });
        }
        let is_joint = table.header.layout == Layout::Both;
        let mut record = 0;
        let undecoded = table.axes.sheet.each_row(&mut |row, cells| {
            if row <= table.header.row() {
                return Ok(Next::Row);
            }
            record += 1;
            let id = cell(table, cells, Part::Hole);
            // A row below the first of a hole may leave out what stands above it.
            if is_joint && (id.is_empty() || self.holes.contains_key(id)) {
                self.check_place(table, &axes, cells, id, row);
                return Ok(Next::Row);
            }
            let place = format!("{} row {row}", table.axes.sheet.label());
            if !is_joint {
                self.check_width(table, cells, &place);
            }
            match self.hole(table, &axes, cells, row) {
                Ok(_) if self.holes.contains_key(id) => {
                    self.report.skip(record, format!("{place}: hole {id} stands twice; the first is used"));
                }
                Ok(_) if self.holes.len() >= MAX_HOLES => {
                    self.report.skip(record, format!("{place}: more than {MAX_HOLES} holes"));
                }
                Ok(hole) => {
                    if hole.ground_m.is_none() {
                        let message = "holes without a height of the ground hang below the terrain";
                        self.report.warn("no_ground_level", message, place);
                    }
                    self.holes.insert(id.to_owned(), hole);
                }
                Err(reason) => {
                    self.report.skip(record, format!("{place}: {reason}"));
                    self.skipped.insert(id.to_owned());
                }
            }
            Ok(Next::Row)
        })?;
        self.count_undecoded(undecoded, table);
        Ok(())
    }

    fn hole(&self, table: &Table, axes: &Axes, cells: &[String], row: u64) -> Result<Hole, String> {
        let id = cell(table, cells, Part::Hole);
        if id.is_empty() {
            return Err("the hole has no id".into());
        }
        let (x, y) = axes.place(cells)?.ok_or_else(|| format!("hole {id} has no coordinates"))?;
        let at = self.job.city_from_source.point(DVec3::new(x, y, 0.0));
        let at = at.ok_or_else(|| format!("{x}, {y} lies outside {}", self.job.crs.label()))?.truncate();
        let ground_m = metres(table, cells, Part::Ground)?;
        if let Some(ground) = ground_m.filter(|g| !(-1000.0..=9000.0).contains(g)) {
            return Err(format!("{ground} m is no height of the ground"));
        }
        let depth_m = metres(table, cells, Part::Depth)?;
        if let Some(depth) = depth_m.filter(|d| !(0.0..=DEEPEST_M).contains(d)) {
            return Err(format!("{depth} m is no depth of a hole"));
        }
        Ok(Hole { id: id.to_owned(), line: row, at, ground_m, depth_m, legs: Vec::new() })
    }

    /// A hole whose rows say different places lies at the first.
    fn check_place(&mut self, table: &Table, axes: &Axes, cells: &[String], id: &str, row: u64) {
        let Some(hole) = self.holes.get(id) else { return };
        let Ok(Some((x, y))) = axes.place(cells) else { return };
        let other = self.job.city_from_source.point(DVec3::new(x, y, 0.0));
        if other.is_none_or(|other| other.truncate().distance(hole.at) > 0.05) {
            let message = format!("rows of hole {id} give different places; the first is used");
            self.report.warn("places_differ", message, format!("{} row {row}", table.axes.sheet.label()));
        }
    }

    fn read_layers(&mut self, table: &Table) -> Result<(), ImportError> {
        let (mut record, mut above) = (0, String::new());
        let undecoded = table.axes.sheet.each_row(&mut |row, cells| {
            if row <= table.header.row() {
                return Ok(Next::Row);
            }
            record += 1;
            let place = format!("{} row {row}", table.axes.sheet.label());
            self.check_width(table, cells, &place);
            let own = cell(table, cells, Part::Hole);
            if own.is_empty() && !above.is_empty() {
                let message = "rows without the id of their hole belong to the hole above them (merged cells)";
                self.report.warn("id_carried", message, &place);
            } else {
                above = own.to_owned();
            }
            if self.count >= MAX_STRATA {
                let reason = format!("more than {MAX_STRATA} strata");
                return Err(ImportError::Bad { path: table.axes.sheet.path.clone(), place, reason });
            }
            self.count += 1;
            if let Err(reason) = self.layer(table, cells, &above, record, &place)? {
                self.report.skip(record, format!("{place}: {reason}"));
            }
            Ok(Next::Row)
        })?;
        self.count_undecoded(undecoded, table);
        Ok(())
    }

    /// A row of a text file that ends before its last column may be cut.
    fn check_width(&mut self, table: &Table, cells: &[String], place: &str) {
        let is_workbook = table.axes.sheet.path.extension().is_some_and(|e| e.eq_ignore_ascii_case("xlsx"));
        if !is_workbook && cells.len() < table.header.headings.len() {
            let (found, wanted) = (cells.len(), table.header.headings.len());
            let message = format!("rows with fewer cells than the header ({found} of {wanted}): it may be cut");
            self.report.warn("short_row", message, place);
        }
    }

    /// Makes one stratum and hands it on; the inner error is the reason to skip it.
    fn layer(
        &mut self,
        table: &Table,
        cells: &[String],
        id: &str,
        record: u64,
        place: &str,
    ) -> Result<Result<(), String>, ImportError> {
        let Some(hole) = self.holes.get(id) else {
            return Ok(Err(match self.skipped.contains(id) {
                true => format!("hole {id} was skipped"),
                false if id.is_empty() => "the stratum has no hole".into(),
                false => format!("hole {id} is in no table of holes"),
            }));
        };
        let before = self.strata.get(id).and_then(|s| s.last()).map_or(0.0, |(_, base)| *base);
        let ([top, base], rules) = match depths(table, cells, hole, before) {
            Ok(found) => found,
            Err(reason) => return Ok(Err(reason)),
        };
        let (name, text) = (cell(table, cells, Part::Name), cell(table, cells, Part::Description));
        let mut object = hole.stratum(self.job.layer, [top, base], &[name, text]);
        object.name = (!name.is_empty()).then(|| name.to_owned());
        object.record = record;
        object.stage = self.job.options.stage.unwrap_or(object.stage);
        object.attributes.extend(rules);
        for (part, key) in [
            (Part::Name, "stratum"),
            (Part::Number, "stratum_number"),
            (Part::Description, "description"),
            (Part::Age, "geology"),
        ] {
            let text = cell(table, cells, part);
            if !value::is_missing(text) {
                let title = table.header.column(part).map_or("", |(_, h)| h.title.as_str());
                object.attributes.push(Attribute::converted(key, Value::Text(text.into()), title, "text as read"));
            }
        }
        object.attributes.extend(unclaimed(table, cells));
        if !self.ids.insert(object.id.0.clone()) {
            let message = format!("{} stands twice; the row was appended to its id", object.id);
            self.report.warn("duplicate_stratum", message, place);
            object.id.0 += &format!("~{record}");
        }
        self.strata.entry(id.to_owned()).or_default().push((top, base));
        self.out.emit(object)?;
        Ok(Ok(()))
    }

    /// Reads the tables of holes again and emits the holes, now that their strata are known.
    fn emit_holes(&mut self, table: &Table) -> Result<(), ImportError> {
        let mut record = 0;
        let has_strata = !self.strata.is_empty();
        table.axes.sheet.each_row(&mut |row, cells| {
            if row <= table.header.row() {
                return Ok(Next::Row);
            }
            record += 1;
            let id = cell(table, cells, Part::Hole);
            let Some(hole) = self.holes.get_mut(id).filter(|hole| hole.line == row) else { return Ok(Next::Row) };
            let place = format!("{} row {row}", table.axes.sheet.label());
            let said = hole.depth_m;
            if let Some(own) = self.strata.get_mut(id) {
                let coverage = Coverage::of(own, said);
                if coverage.overlap_m > SAME_DEPTH_M {
                    let message = format!("strata of hole {id} overlap by {:.2} m in all", coverage.overlap_m);
                    self.report.warn("strata_overlap", message, &place);
                }
                if coverage.gap_m > SAME_DEPTH_M {
                    let message = format!("{:.2} m of hole {id} are described by no stratum", coverage.gap_m);
                    self.report.warn("strata_gap", message, &place);
                }
                if said.is_some_and(|depth| coverage.deepest_m > depth + SAME_DEPTH_M) {
                    let message = format!("strata of hole {id} reach below its depth");
                    self.report.warn("strata_below_hole", message, &place);
                }
                hole.depth_m = said.or(Some(coverage.deepest_m));
            } else if has_strata {
                self.report.warn("hole_without_strata", format!("hole {id} has no strata"), &place);
            }
            let title = |part: Part| table.header.column(part).map_or("", |(_, h)| h.title.as_str());
            let mut object = hole.object(self.job.layer);
            object.record = record;
            object.stage = self.job.options.stage.unwrap_or(object.stage);
            let out = &mut object.attributes;
            if let Some(ground) = hole.ground_m {
                out.push(Attribute::converted("ground_m", Value::Real(ground), title(Part::Ground), "metres"));
            }
            if let Some(depth) = hole.depth_m {
                out.push(match said {
                    Some(_) => Attribute::converted("depth_m", Value::Real(depth), title(Part::Depth), "metres"),
                    None => Attribute::measured("depth_m", Value::Real(depth), "base of the deepest stratum"),
                });
            }
            let kind = cell(table, cells, Part::Kind);
            if !value::is_missing(kind) {
                let text = Value::Text(kind.into());
                out.push(Attribute::converted("hole_type", text, title(Part::Kind), "text as read"));
            }
            if table.header.layout == Layout::Holes {
                out.extend(unclaimed(table, cells));
            }
            self.out.emit(object)?;
            Ok(Next::Row)
        })?;
        Ok(())
    }

    fn finish(self) {
        borehole::examine(self.holes.values(), self.report);
    }

    fn count_undecoded(&mut self, undecoded: u64, table: &Table) {
        if undecoded > 0 {
            let message = format!("{undecoded} cells hold bytes that are no text in the encoding: give --encoding");
            self.report.warn("text_damaged", message, table.axes.sheet.label());
        }
    }
}

/// Top and base of a stratum below the ground of its hole, with what they came from.
fn depths(table: &Table, cells: &[String], hole: &Hole, before: f64) -> Result<([f64; 2], Vec<Attribute>), String> {
    let title = |part: Part| table.header.column(part).map_or("", |(_, h)| h.title.as_str());
    let below_ground = |height: f64, part: Part| match hole.ground_m {
        Some(ground) => Ok(((ground - height) * 1e6).round() / 1e6),
        None => Err(format!("{} says a height, but the ground of hole {} is not known", title(part), hole.id)),
    };
    let mut out = Vec::with_capacity(2);
    let top_key = "depth_top_m";
    let top = if let Some(top) = metres(table, cells, Part::Top)? {
        out.push(Attribute::converted(top_key, Value::Real(top), title(Part::Top), "metres below the ground"));
        top
    } else if let Some(height) = metres(table, cells, Part::TopHeight)? {
        let top = below_ground(height, Part::TopHeight)?;
        let rule = "height of the ground minus height of the top";
        out.push(Attribute::converted(top_key, Value::Real(top), title(Part::TopHeight), rule));
        top
    } else {
        out.push(Attribute::measured(top_key, Value::Real(before), "base of the stratum in the row above, else 0"));
        before
    };
    let base_key = "depth_base_m";
    let base = if let Some(base) = metres(table, cells, Part::Base)? {
        out.push(Attribute::converted(base_key, Value::Real(base), title(Part::Base), "metres below the ground"));
        base
    } else if let Some(height) = metres(table, cells, Part::BaseHeight)? {
        let base = below_ground(height, Part::BaseHeight)?;
        let rule = "height of the ground minus height of the base";
        out.push(Attribute::converted(base_key, Value::Real(base), title(Part::BaseHeight), rule));
        base
    } else if let Some(thickness) = metres(table, cells, Part::Thickness)? {
        let base = top + thickness;
        out.push(Attribute::converted(base_key, Value::Real(base), title(Part::Thickness), "top plus thickness"));
        base
    } else {
        return Err(format!("the stratum of hole {} has no base", hole.id));
    };
    for depth in [top, base] {
        if !(0.0..=DEEPEST_M).contains(&depth) {
            return Err(format!("{depth} m is no depth of a stratum"));
        }
    }
    if base - top < 0.001 {
        return Err(format!("its base at {base} m is not below its top at {top} m"));
    }
    Ok(([top, base], out))
}

/// The cell of a part, empty when there is none.
fn cell<'c>(table: &Table, cells: &'c [String], part: Part) -> &'c str {
    table.header.column(part).and_then(|(i, _)| cells.get(i)).map_or("", String::as_str)
}

/// The metres in the cell of a part.
fn metres(table: &Table, cells: &[String], part: Part) -> Result<Option<f64>, String> {
    let Some((index, heading)) = table.header.column(part) else { return Ok(None) };
    let text = cells.get(index).map_or("", String::as_str);
    value::metres(text, heading.unit).map_err(|_| format!("column {}: {text:?} is no number of metres", heading.title))
}

/// Columns that are not recognised, each as it was read.
fn unclaimed<'t>(table: &'t Table, cells: &'t [String]) -> impl Iterator<Item = Attribute> + 't {
    let is_kept = |at: usize| {
        let heading = table.header.headings.get(at);
        let is_place = table.header.axes.columns.get(at).and_then(|c| c.field).is_some_and(source::is_coordinate);
        heading.filter(|h| h.part.is_none() && !h.title.is_empty() && !is_place)
    };
    cells.iter().enumerate().filter(|(_, text)| !value::is_missing(text)).filter_map(move |(at, text)| {
        let heading = is_kept(at)?;
        Some(Attribute::read(&heading.title.as_str().into(), value::typed(text)))
    })
}
