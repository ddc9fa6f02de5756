//! Tables with coordinates (坐标表), as CSV or XLSX: each row is a point, or what its column of well-known text says.
//!
//! The columns are found by their titles: 经度/纬度, lon/lat; 北坐标/东坐标, northing/easting; X/Y; or WKT. Whether X is
//! north (as in survey tables) or east (as elsewhere) is decided by the size of the numbers. Tables that are pipe tables,
//! registers of sensors or recorded readings belong to these formats, which are asked before.

mod header;
mod wkt;

use std::path::Path;

use encoding_rs::Encoding;
use glam::DVec3;
use groundline_engine::{
    crs::Crs,
    model::{Attribute, Origin, SourceReport, Value},
};

use crate::{
    feature::{Feature, Maker, Said, Sample, Shape, suggest},
    format::{Format, ImportError, Job, Kind, Options, Out, Probe},
    sheet::{self, Next, Sheet, cell},
};
use header::{Header, Place};

/// Tables with coordinates.
pub static FORMAT: Format = Format {
    name: "table",
    title: "Table with coordinates (CSV, XLSX)",
    title_zh: "坐标表（CSV、XLSX）",
    extensions: &["csv", "tsv", "xlsx"],
    probe,
    read,
    memory_per_byte: 12.0,
};

/// Rows that are looked at for a header.
const HEADER_ROWS: usize = 12;
/// Rows that are looked at for axes and class.
const SAMPLE_ROWS: usize = 200;
/// Rows that are looked at for the extent.
const EXTENT_ROWS: usize = 20_000;

/// What is said where neither titles nor numbers decide.
const ASSUMED: &str = "the titles and numbers do not tell north from east: X was read as east \
                       (otherwise give --map north=X and --map east=Y)";

/// A table with its header.
struct Table {
    sheet: Sheet,
    header: Header,
}

/// The tables of a file, with the encoding of its text and what said so.
fn tables(path: &Path, options: &Options) -> Result<(Vec<Table>, Option<(String, String)>), ImportError> {
    let is_workbook = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("xlsx"));
    let (sheets, encoding) = if is_workbook {
        (Sheet::of_workbook(path)?, None)
    } else {
        let (encoding, from): (&'static Encoding, String) = sheet::encoding(path, options.encoding.as_deref())?;
        (vec![Sheet::of_text(path, encoding)?], Some((encoding.name().to_owned(), from)))
    };
    let mut found = Vec::new();
    for sheet in sheets {
        let rows = sheet.first_rows(HEADER_ROWS + SAMPLE_ROWS)?;
        if let Some(header) = Header::find(&rows, options) {
            found.push(Table { sheet, header });
        }
    }
    Ok((found, encoding))
}

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let (tables, encoding) = tables(path, options)?;
    let Some(first) = tables.first() else { return Ok(None) };
    let mut extent: Option<[f64; 4]> = None;
    let mut crs_text = None;
    let mut sample = Sample {
        stem: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        fields: first.header.titles.clone(),
        ..Sample::default()
    };
    for table in &tables {
        let mut left = EXTENT_ROWS;
        table.sheet.each_row(&mut |number, cells| {
            if number > table.header.row && !is_comment(cells) {
                if let Ok(found) = table.header.shape(cells) {
                    crs_text = crs_text.take().or(found.crs);
                    sample.dimension.get_or_insert(found.shape.dimension());
                    for v in found.shape.vertices() {
                        let e = extent.get_or_insert([v.x, v.y, v.x, v.y]);
                        *e = [e[0].min(v.x), e[1].min(v.y), e[2].max(v.x), e[3].max(v.y)];
                    }
                    if sample.values.len() < 1000 {
                        sample.values.extend(table.header.fields(cells));
                    }
                }
                left -= 1;
            }
            Ok(if left == 0 { Next::Stop } else { Next::Row })
        })?;
    }
    let crs = crs_text.as_deref().and_then(|text| Crs::parse(text).ok());
    Ok(Some(Probe {
        kind: Kind::Objects,
        crs_from: if crs.is_some() { "SRID".into() } else { String::new() },
        crs_text: crs_text.filter(|_| crs.is_none()),
        crs,
        needs_crs: true,
        encoding,
        source_extent: extent,
        records: None,
        companions: Vec::new(),
        class: suggest(&sample),
    }))
}

/// A line that begins with `#` is a remark.
fn is_comment(cells: &[String]) -> bool {
    cells.first().is_some_and(|cell| cell.starts_with('#'))
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let (tables, _) = tables(job.path, job.options)?;
    if tables.is_empty() {
        let reason = "no columns with coordinates in it any more".into();
        return Err(ImportError::Bad { path: job.path.into(), place: "header".into(), reason });
    }
    let count = tables.len();
    for (index, table) in tables.iter().enumerate() {
        // Rows of several sheets have the same numbers: the sheet's name stands before them.
        let layer = if count > 1 { format!("{}/{}", job.layer, table.sheet.name) } else { job.layer.to_owned() };
        let job = Job {
            layer: &layer,
            path: job.path,
            probe: job.probe,
            city_from_source: job.city_from_source,
            crs: job.crs,
            options: job.options,
        };
        read_table(&job, table, out, report)?;
        out.progress((index + 1) as f32 / count as f32);
    }
    Ok(())
}

fn read_table(job: &Job<'_>, table: &Table, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let header = &table.header;
    let label = table.sheet.label();
    if let Place::Columns { axes, .. } = &header.place {
        axes.explain(&label, ASSUMED, report);
        if axes.are_degrees() != job.crs.is_geographic {
            let found = if axes.are_degrees() { "degrees" } else { "plane coordinates" };
            return Err(ImportError::Bad {
                path: job.path.into(),
                place: label,
                reason: format!("the coordinates are {found}, which {} does not have", job.crs.label()),
            });
        }
    }
    let mut maker = Maker::new(job);
    maker.settle_id(&header.titles);
    let mut record = 0;
    let undecoded = table.sheet.each_row(&mut |row, cells| {
        if row <= header.row || is_comment(cells) {
            return Ok(Next::Row);
        }
        record += 1;
        let found = match header.shape(cells) {
            Ok(found) => found,
            Err(reason) => {
                report.skip(record, format!("{label} row {row}: {reason}"));
                return Ok(Next::Row);
            }
        };
        if cells.len() > header.width {
            report.warn("extra_cells", "rows have more cells than the header has titles", format!("{label} row {row}"));
        }
        if cells.len() < header.width && table.sheet.is_text() {
            report.warn("short_row", "rows have fewer cells than the header has titles", format!("{label} row {row}"));
        }
        if let Some(crs) = found.crs.as_deref().filter(|_| job.options.crs.is_none())
            && Crs::parse(crs).map_or(true, |crs| crs.label() != job.crs.label())
        {
            report.skip(record, format!("{label} row {row}: it is in {crs}, the table is read as {}", job.crs.label()));
            return Ok(Next::Row);
        }
        let mut said = Said::default();
        if let Some((title, z)) = found.z {
            let origin = Origin::Read;
            said.attributes.push(Attribute { key: "elevation_m".into(), value: Value::Real(z), field: title, origin });
        }
        let feature = Feature { record, id: None, shape: found.shape, fields: header.fields(cells) };
        maker.take_as(feature, said, out, report)?;
        Ok(Next::Row)
    })?;
    if table.sheet.ends_in_a_line()? {
        let message = "the last line has no end: the file may have been cut off there";
        report.warn("open_line", message, label.as_str());
    }
    if undecoded > 0 {
        let message = format!("{undecoded} cells hold bytes that are no text in the encoding: give --encoding");
        report.warn("text_damaged", message, label);
    }
    maker.finish(out, report)?;
    Ok(())
}

/// What a row says of its place.
struct Found {
    shape: Shape,
    /// Title and content of the column of heights.
    z: Option<(std::sync::Arc<str>, f64)>,
    /// System that stands before well-known text.
    crs: Option<String>,
}

impl Header {
    /// The place of a row; the error is the reason to skip it.
    fn shape(&self, cells: &[String]) -> Result<Found, String> {
        match &self.place {
            Place::Columns { axes, z } => {
                let (x, y) = axes.place(cells)?.ok_or("it has no coordinates")?;
                let height = match z {
                    None => None,
                    Some(index) => {
                        let text = cells.get(*index).map_or("", String::as_str);
                        let title = &self.titles[*index];
                        let z = cell::number(text).map_err(|_| format!("column {title}: {text:?} is no height"))?;
                        z.map(|z| (title.clone(), z))
                    }
                };
                let z = height.as_ref().map_or(0.0, |(_, z)| *z);
                let shape = Shape { points: vec![DVec3::new(x, y, z)], has_z: height.is_some(), ..Shape::default() };
                Ok(Found { shape, z: height, crs: None })
            }
            Place::Wkt(index) => {
                let text = cells.get(*index).map_or("", String::as_str);
                let (shape, srid) = wkt::shape(text)?;
                Ok(Found { shape, z: None, crs: srid.map(|code| format!("EPSG:{code}")) })
            }
        }
    }

    /// Everything but the coordinates.
    fn fields(&self, cells: &[String]) -> Vec<(std::sync::Arc<str>, Value)> {
        let kept = self.titles.iter().zip(cells).enumerate();
        let kept = kept.filter(|(index, (title, _))| !title.is_empty() && !self.is_place(*index));
        let kept = kept.filter(|(_, (_, text))| !cell::is_missing(text));
        kept.map(|(_, (title, text))| (title.clone(), cell::typed(text))).collect()
    }
}

#[cfg(test)]
mod tests;
