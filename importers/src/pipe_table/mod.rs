//! Pipe tables of survey offices (管点表/管线表), as CSV or XLSX, after CJJ 61-2017 and the practice around it.
//!
//! A source is a line table with its point table, or a workbook of such pairs, or a table of linked points
//! (管线点成果表). Nodes become manholes and pipe nodes, lines become tubes with their true size and height.
//! In these tables X is **north** and Y is **east**.

pub(crate) mod axes;
mod field;
pub(crate) mod header;
mod kind;
mod linked;
mod node;
mod pipe;
pub(crate) mod source;
#[cfg(test)]
mod tests;
pub(crate) mod value;

use std::{collections::HashMap, path::Path};

use glam::DVec3;
use groundline_engine::model::{Class, Geometry, SourceReport, Stage};

use crate::{Format, ImportError, Job, Kind as SourceKind, Options, Out, Probe, sheet};
use axes::Axes;
use header::{Field, Header, Layout, Side};
use node::{Ends, Node, Nodes};
use sheet::Next;
use source::{Source, Table};

/// Greatest depth that is believed, metres: deeper than any city pipe or shaft, and below the 9999 of an empty field.
const DEEPEST_M: f64 = 100.0;
/// Rows of a point table that are looked at for the extent of its coordinates.
const EXTENT_ROWS: usize = 20_000;

/// Pipe tables of survey offices.
pub static FORMAT: Format = Format {
    name: "pipe_table",
    title: "Pipe survey tables (points and lines)",
    title_zh: "管线点表、线表",
    extensions: &["csv", "xlsx"],
    probe,
    read,
    memory_per_byte: 4.0,
};

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let Some(source) = source::discover(path, options)? else { return Ok(None) };
    let mut extent: Option<[f64; 4]> = None;
    for table in source.places() {
        let axes = axes::of(table)?;
        let mut left = EXTENT_ROWS;
        table.sheet.each_row(&mut |number, cells| {
            if number > table.header.last_row {
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
        kind: SourceKind::Objects,
        crs: None,
        crs_from: String::new(),
        crs_text: None,
        needs_crs: true,
        encoding: source.encoding,
        source_extent: extent,
        records: None,
        companions: source.companions,
        class: Some((Class::Pipe, "column headers".into())),
    }))
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let source = source::discover(job.path, job.options)?.ok_or_else(|| ImportError::Bad {
        path: job.path.into(),
        place: "header".into(),
        reason: "no pipe table in it any more".into(),
    })?;
    if source.lines.is_empty() {
        let message = "a point table without a line table: manholes and nodes only";
        report.warn("no_line_table", message, source.points.first().map_or(String::new(), |t| t.sheet.label()));
    }
    let mut reader = Reading { job, source: &source, nodes: Nodes::default(), keys: HashMap::new(), out, report };
    reader.read_places()?;
    reader.out.progress(0.3);
    for table in 0..source.lines.len() {
        match source.lines[table].header.layout {
            Layout::Linked => linked::read(&mut reader, table)?,
            _ => reader.read_lines(table)?,
        }
    }
    reader.out.progress(0.8);
    reader.emit_nodes()
}

impl Source {
    /// Tables with coordinates: point tables, then tables of linked points. Nodes refer to them by this order.
    fn places(&self) -> impl Iterator<Item = &Table> {
        self.points.iter().chain(self.lines.iter().filter(|t| t.header.layout == Layout::Linked))
    }
}

/// One source being read.
struct Reading<'a> {
    job: &'a Job<'a>,
    source: &'a Source,
    nodes: Nodes,
    /// How often a pair of nodes was linked: parallel lines are numbered.
    keys: HashMap<(u32, u32), u32>,
    out: &'a mut dyn Out,
    report: &'a mut SourceReport,
}

impl Reading<'_> {
    /// Reads ids, coordinates and ground heights of all points.
    fn read_places(&mut self) -> Result<(), ImportError> {
        let source = self.source;
        for (index, table) in source.places().enumerate() {
            let axes = axes::of(table)?;
            axes.explain(&table.sheet.label(), axes::ASSUMED, self.report);
            if axes.are_degrees() != self.job.crs.is_geographic {
                let found = if axes.are_degrees() { "degrees" } else { "plane coordinates" };
                return Err(ImportError::Bad {
                    path: table.sheet.path.clone(),
                    place: table.sheet.label(),
                    reason: format!("the coordinates are {found}, which {} does not have", self.job.crs.label()),
                });
            }
            let is_linked = table.header.layout == Layout::Linked;
            let mut record = 0;
            let undecoded = table.sheet.each_row(&mut |row, cells| {
                if row <= table.header.last_row {
                    return Ok(Next::Row);
                }
                record += 1;
                let id = cell(&table.header, cells, Field::PointId);
                if is_linked && id.is_empty() {
                    return Ok(Next::Row);
                }
                match self.place(table, &axes, cells, index as u32, row) {
                    Ok(node) => {
                        if !self.nodes.add(id, node) && !is_linked {
                            let place = format!("{} row {row}", table.sheet.label());
                            self.report.warn(
                                "duplicate_point",
                                format!("point {id} stands twice: the first is used"),
                                &place,
                            );
                            self.report.skip(record, format!("{place}: point {id} stands twice"));
                        }
                    }
                    Err(reason) => self.report.skip(record, format!("{} row {row}: {reason}", table.sheet.label())),
                }
                Ok(Next::Row)
            })?;
            self.count_undecoded(undecoded, table);
        }
        Ok(())
    }

    fn place(&self, table: &Table, axes: &Axes, cells: &[String], index: u32, row: u64) -> Result<Node, String> {
        let header = &table.header;
        if cell(header, cells, Field::PointId).is_empty() {
            return Err("the point has no id".into());
        }
        let (x, y) = axes.place(cells)?.ok_or("the point has no coordinates")?;
        let at = self.job.city_from_source.point(DVec3::new(x, y, 0.0));
        let at = at.ok_or_else(|| format!("{x}, {y} lies outside {}", self.job.crs.label()))?.truncate();
        let ground_m = match header.index_of(Field::Ground(Side::Point)) {
            Some(i) => pipe::metres(&header.columns[i], cells.get(i).map_or("", String::as_str), "ground height")?,
            None => None,
        };
        if let Some(ground) = ground_m.filter(|g| !(-1000.0..=9000.0).contains(g)) {
            return Err(format!("{ground} m is no ground height"));
        }
        Ok(Node { table: index, row, at, ground_m, ends: Ends::default() })
    }

    fn count_undecoded(&mut self, undecoded: u64, table: &Table) {
        if undecoded > 0 {
            let message = format!("{undecoded} cells hold bytes that are no text in the encoding: give --encoding");
            self.report.warn("text_damaged", message, table.sheet.label());
        }
    }

    /// Reads a line table and emits its lines.
    fn read_lines(&mut self, index: usize) -> Result<(), ImportError> {
        let source = self.source;
        let table = &source.lines[index];
        let mut record = 0;
        let undecoded = table.sheet.each_row(&mut |row, cells| {
            if row <= table.header.last_row {
                return Ok(Next::Row);
            }
            record += 1;
            let place = format!("{} row {row}", table.sheet.label());
            let header = &table.header;
            let ends =
                || Ok([pipe::End::read(header, cells, Side::Start)?, pipe::End::read(header, cells, Side::End)?]);
            let ids = [cell(header, cells, Field::StartId), cell(header, cells, Field::EndId)];
            match ends() {
                Ok(ends) => self.emit_line(table, cells, place, ids, ends, record)?,
                Err(reason) => self.skip_line(record, &place, &reason),
            }
            Ok(Next::Row)
        })?;
        self.count_undecoded(undecoded, table);
        Ok(())
    }

    fn skip_line(&mut self, record: u64, place: &str, reason: &String) {
        self.report.skip(record, format!("{place}: {reason}"));
    }

    /// Makes one line and hands it on, or skips it with the reason.
    fn emit_line(
        &mut self,
        table: &Table,
        cells: &[String],
        place: String,
        ids: [&str; 2],
        ends: [pipe::End; 2],
        record: u64,
    ) -> Result<(), ImportError> {
        let found = match self.find_nodes(table, ids) {
            Ok(found) => found,
            Err(reason) => {
                self.skip_line(record, &place, &reason);
                return Ok(());
            }
        };
        let keys = [0, 1].map(|side| self.key_of(ids[side], found[side]));
        let kind = self.kind_of(table, cells, ids[0], &place);
        let count = self.keys.entry((found[0], found[1])).or_default();
        *count += 1;
        let mut key = format!("{}-{}", keys[0], keys[1]);
        if *count > 1 {
            key = format!("{key}-{count}");
            let message = format!("{} to {} stands more than once: parallel lines are numbered", ids[0], ids[1]);
            self.report.warn("parallel_line", message, &place);
        }
        let row = pipe::Row {
            header: &table.header,
            cells,
            place: place.clone(),
            keys,
            nodes: found.map(|n| &self.nodes.list[n as usize]),
            ends,
            kind,
        };
        match pipe::object(&row, self.job.layer, &key, self.report) {
            Ok(mut object) => {
                object.record = record;
                object.stage = self.stage_of(&table.header, cells, &place);
                if let Geometry::Tube(tube) = &object.geometry {
                    let (height, size) = (tube.section.height_m(), tube.section.size_m());
                    for (node, end) in found.iter().zip([tube.axis.first(), tube.axis.last()]) {
                        if let (Some(node), Some(end)) = (self.nodes.list.get_mut(*node as usize), end) {
                            node.ends.add(end.z, tube.vertical, height, size);
                        }
                    }
                }
                self.out.emit(object)
            }
            Err(reason) => {
                self.skip_line(record, &place, &reason);
                Ok(())
            }
        }
    }

    fn find_nodes(&self, table: &Table, ids: [&str; 2]) -> Result<[u32; 2], String> {
        let places: Vec<&Table> = self.source.places().collect();
        let is_own = |index: u32| places.get(index as usize).is_some_and(|p| p.key == table.key);
        let mut found = [0; 2];
        for (side, id) in ids.into_iter().enumerate() {
            let end = ["start", "end"][side];
            if id.is_empty() {
                return Err(format!("the line has no {end} point"));
            }
            found[side] =
                self.nodes.find(id, is_own).ok_or_else(|| format!("{end} point {id} is in no point table"))?;
        }
        if found[0] == found[1] {
            return Err(format!("the line starts and ends at point {}", ids[0]));
        }
        Ok(found)
    }

    fn key_of(&self, id: &str, number: u32) -> String {
        let table = self.nodes.list.get(number as usize).and_then(|n| self.source.places().nth(n.table as usize));
        self.nodes.key(id, number, table.map_or("", |t| t.key.as_str()))
    }

    /// The kind of a row: what its class column says, else the name of the table, else the prefix of the point id.
    fn kind_of(&mut self, table: &Table, cells: &[String], id: &str, place: &str) -> (kind::Kind, String) {
        let text = cell(&table.header, cells, Field::Kind);
        let by_cell = kind::of_cell(text).map(|k| (k, "class letters or word".to_owned()));
        let by_name = || table.kind.map(|k| (k, format!("name of the table {}", table.sheet.label())));
        let by_id = || kind::of_point_id(id).map(|k| (k, format!("prefix of point id {id}")));
        let best = by_cell.or_else(by_name).or_else(by_id);
        match best {
            // 排水 says drainage and no more: the ids may know
            Some((kind, from)) if kind.is_drainage_of_unknown_sort => match by_id() {
                Some((finer, from))
                    if kind::is_measured_to_invert(finer.pipe_kind) && !finer.is_drainage_of_unknown_sort =>
                {
                    (finer, from)
                }
                _ => {
                    let message = "drainage (排水) that does not say storm or sewage counts as combined";
                    self.report.warn("drainage_sort_unknown", message, place);
                    (kind, from)
                }
            },
            Some(found) => found,
            None => {
                let message = "lines of no known kind: name the file after it (JSLine), or give --map pipe_kind=COLUMN";
                self.report.warn("kind_unknown", message, place);
                (kind::OTHER, "not known".into())
            }
        }
    }

    /// 使用状态 in words; a number means different things in different offices and is not guessed.
    fn stage_of(&mut self, header: &Header, cells: &[String], place: &str) -> Stage {
        let default = self.job.options.stage.unwrap_or(Stage::Operation);
        let text = cell(header, cells, Field::Status);
        let has = |words: &[&str]| words.iter().any(|w| text.contains(w));
        if value::is_missing(text) {
            default
        } else if has(&["废", "停用", "弃"]) {
            Stage::Retired
        } else if has(&["在建", "施工"]) {
            Stage::Construction
        } else if has(&["规划", "拟建", "设计"]) {
            Stage::Planned
        } else if has(&["在用", "使用", "现状", "运行", "正常", "空管", "其他", "其它"]) {
            default
        } else {
            let message =
                format!("{text:?} as a status is kept but not interpreted (0 is 在用 in CJJ 61 and 废弃 elsewhere)");
            self.report.warn("status_not_understood", message, place);
            default
        }
    }

    /// Reads the point tables again and emits their points, now that the lines are known.
    fn emit_nodes(&mut self) -> Result<(), ImportError> {
        let source = self.source;
        for (index, table) in source.places().enumerate() {
            let mut record = 0;
            table.sheet.each_row(&mut |row, cells| {
                if row <= table.header.last_row {
                    return Ok(Next::Row);
                }
                record += 1;
                let id = cell(&table.header, cells, Field::PointId);
                let Some(number) = self.nodes.find_in(id, index as u32) else { return Ok(Next::Row) };
                let node = self.nodes.list[number as usize].clone();
                if node.row != row || (source.is_point_table_shared && node.ends.count == 0) {
                    return Ok(Next::Row);
                }
                let place = format!("{} row {row}", table.sheet.label());
                if node.ends.count == 0 && !source.lines.is_empty() {
                    self.report.warn("unlinked_point", format!("point {id} belongs to no line"), &place);
                }
                let kind = self.kind_of(table, cells, id, &place);
                let key = self.nodes.key(id, number, &table.key);
                match node::object(self.job.layer, &key, id, &node, &table.header, cells, kind) {
                    Ok(mut object) => {
                        object.record = record;
                        object.stage = self.stage_of(&table.header, cells, &place);
                        self.out.emit(object)?;
                    }
                    Err(reason) => self.report.skip(record, format!("{place}: {reason}")),
                }
                Ok(Next::Row)
            })?;
        }
        Ok(())
    }
}

/// The cell of `field`, empty when there is none.
fn cell<'a>(header: &Header, cells: &'a [String], field: Field) -> &'a str {
    header.index_of(field).and_then(|i| cells.get(i)).map_or("", String::as_str)
}
