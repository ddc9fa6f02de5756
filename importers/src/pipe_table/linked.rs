//! Tables of linked points (管线点成果表): a row is a point and a line from it to another point.
//!
//! A row without an id is a further line of the point above it. Most lines stand in the table twice, once from each
//! end; the two rows are one line, and each says how deep its own end is.

use std::collections::HashMap;

use super::{
    Reading, cell,
    header::{Field, Side},
    pipe::End,
    sheet::Next,
};
use crate::ImportError;

/// A line of which one end has been read.
struct Half {
    cells: Vec<String>,
    place: String,
    ids: [String; 2],
    end: End,
    record: u64,
}

/// Reads the lines of table `index`.
pub(super) fn read(reading: &mut Reading<'_>, index: usize) -> Result<(), ImportError> {
    let source = reading.source;
    let table = &source.lines[index];
    let header = &table.header;
    let mut halves: HashMap<[String; 2], Vec<Half>> = HashMap::new();
    let mut order: Vec<[String; 2]> = Vec::new();
    let mut point = String::new();
    let mut record = 0;
    table.sheet.each_row(&mut |row, cells| {
        if row <= header.last_row {
            return Ok(Next::Row);
        }
        record += 1;
        let place = format!("{} row {row}", table.sheet.label());
        let own = cell(header, cells, Field::PointId);
        if !own.is_empty() {
            own.clone_into(&mut point);
        }
        let link = cell(header, cells, Field::LinkedPoint);
        if link.is_empty() || super::value::is_missing(link) {
            return Ok(Next::Row);
        }
        if point.is_empty() {
            reading.report.skip(record, format!("{place}: a link without a point above it"));
            return Ok(Next::Row);
        }
        let end = match End::read(header, cells, Side::Point) {
            Ok(end) => end,
            Err(reason) => {
                reading.report.skip(record, format!("{place}: {reason}"));
                return Ok(Next::Row);
            }
        };
        let ids = [point.clone(), link.to_owned()];
        let back = [ids[1].clone(), ids[0].clone()];
        if let Some(other) = halves.get_mut(&back).and_then(Vec::pop) {
            if differs(table, &other.cells, cells) {
                let message =
                    format!("the two rows of {} and {} differ in size or material: the first is used", ids[1], ids[0]);
                reading.report.warn("ends_disagree", message, &place);
            }
            let ids = [other.ids[0].as_str(), other.ids[1].as_str()];
            reading.emit_line(table, &other.cells, other.place, ids, [other.end, end], other.record)?;
        } else {
            order.push(ids.clone());
            halves.entry(ids.clone()).or_default().push(Half { cells: cells.to_vec(), place, ids, end, record });
        }
        Ok(Next::Row)
    })?;
    for ids in order {
        for half in halves.remove(&ids).unwrap_or_default() {
            let message = "lines that stand at one of their ends only: the other end has no depth of its own";
            reading.report.warn("one_end_only", message, &half.place);
            let ids = [half.ids[0].as_str(), half.ids[1].as_str()];
            reading.emit_line(table, &half.cells, half.place, ids, [half.end, End::default()], half.record)?;
        }
    }
    Ok(())
}

/// Whether two rows of one line say different things about it.
fn differs(table: &super::source::Table, one: &[String], other: &[String]) -> bool {
    [Field::Size, Field::Material].into_iter().any(|field| {
        let (one, other) = (cell(&table.header, one, field), cell(&table.header, other, field));
        !one.is_empty() && !other.is_empty() && one != other
    })
}
