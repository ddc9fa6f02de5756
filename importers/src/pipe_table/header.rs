//! Which row is the header, and what kind of table it makes.

pub(crate) use super::field::normalise;
pub use super::field::{Column, Field, Reference, Side, Unit, column};

/// What a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// 管点表: a row is a point.
    Points,
    /// 管线表: a row is a line between two points.
    Lines,
    /// 管线点成果表: a row is a point and a line from it to a linked point.
    Linked,
}

/// The recognised header of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Its columns, left to right.
    pub columns: Vec<Column>,
    /// What the table is.
    pub layout: Layout,
    /// Row number (from 1) of the last header row.
    pub last_row: u64,
}

impl Header {
    /// Index of the first column that holds `field`.
    pub fn index_of(&self, field: Field) -> Option<usize> {
        self.columns.iter().position(|c| c.field == Some(field))
    }

    /// Finds the header among the first rows of a table. `map` holds the user's `--map` choices.
    ///
    /// Titles above it, and one or two further header rows below it (merged cells), are understood.
    pub fn find(rows: &[(u64, Vec<String>)], map: &[(String, String)]) -> Option<Header> {
        let mut best: Option<Header> = None;
        for (at, (number, row)) in rows.iter().enumerate() {
            for depth in 0..3 {
                let Some(below) = rows.get(at + 1..=at + depth) else { break };
                if below.iter().any(|(_, cells)| is_data(cells)) {
                    break;
                }
                let titles = titles(row, below);
                let columns: Vec<Column> = titles.iter().map(|title| column(title, map)).collect();
                let Some(layout) = layout(&columns) else { continue };
                let last_row = below.last().map_or(*number, |(n, _)| *n);
                let known = |header: &Header| header.columns.iter().filter(|c| c.field.is_some()).count();
                let header = Header { columns, layout, last_row };
                // a sub-header row is worth having only if it makes more columns known
                if best.as_ref().is_none_or(|b| known(&header) > known(b)) {
                    best = Some(header);
                }
            }
        }
        best.map(|mut header| {
            header.keep_first_of_each_field();
            header
        })
    }

    /// Two columns that seem to hold the same thing: the first is used, the other stays as read.
    fn keep_first_of_each_field(&mut self) {
        let mut seen = std::collections::HashSet::new();
        for column in &mut self.columns {
            if let Some(field) = column.field
                && !seen.insert(field)
            {
                column.field = None;
            }
        }
        // 图上点号 stands in for the point id where there is no other
        if !seen.contains(&Field::PointId)
            && let Some(column) = self.columns.iter_mut().find(|c| c.field == Some(Field::MapId))
        {
            column.field = Some(Field::PointId);
        }
    }
}

/// A row with at least two numbers is data, not a header.
fn is_data(cells: &[String]) -> bool {
    cells.iter().filter(|c| c.trim().parse::<f64>().is_ok()).count() >= 2
}

/// One title per column: rows of a header joined downwards, a merged cell reaching to the right as long as the rows
/// below it have something to say.
fn titles(row: &[String], below: &[(u64, Vec<String>)]) -> Vec<String> {
    let width = below.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0).max(row.len());
    let mut carried = "";
    (0..width)
        .map(|index| {
            let own = row.get(index).map_or("", |c| c.trim());
            let lower: String = below.iter().filter_map(|(_, cells)| cells.get(index)).map(|c| c.trim()).collect();
            if !own.is_empty() {
                carried = own;
            }
            match (own.is_empty(), lower.is_empty()) {
                (true, false) => format!("{carried}{lower}"),
                _ => format!("{own}{lower}"),
            }
        })
        .collect()
}

fn layout(columns: &[Column]) -> Option<Layout> {
    let has = |field: Field| columns.iter().any(|c| c.field == Some(field));
    let has_place = (has(Field::X) && has(Field::Y))
        || (has(Field::North) && has(Field::East))
        || (has(Field::Longitude) && has(Field::Latitude));
    let has_id = has(Field::PointId) || has(Field::MapId);
    // A start and an end alone could be any table (a timetable): a line table also says how deep, how big or of what.
    let is_line = columns.iter().any(|c| {
        matches!(
            c.field,
            Some(
                Field::Depth(..) | Field::Elevation(..) | Field::Size | Field::Width | Field::Material | Field::Laying
            )
        )
    });
    // So could an id with a place: a point table also says how high the ground is or what stands there.
    let is_point =
        has(Field::Ground(Side::Point)) || has(Field::Feature) || has(Field::Appurtenance) || has(Field::WellDepth);
    if has(Field::StartId) && has(Field::EndId) && is_line {
        Some(Layout::Lines)
    } else if has_id && has_place && has(Field::LinkedPoint) {
        Some(Layout::Linked)
    } else if has_id && has_place && is_point {
        Some(Layout::Points)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(lines: &[&[&str]]) -> Vec<(u64, Vec<String>)> {
        lines.iter().zip(1..).map(|(l, n)| (n, l.iter().map(|c| (*c).to_owned()).collect())).collect()
    }

    #[test]
    fn a_title_above_and_a_second_header_row_are_understood() {
        let header = Header::find(
            &rows(&[
                &["某市地下管线点成果表"],
                &["管点编号", "连接点号", "坐标", "", "高程", "", "管径"],
                &["", "", "X", "Y", "地面", "管顶", ""],
                &["JS1", "JS2", "3379503.338", "501548.722", "5.1", "4.0", "300"],
            ]),
            &[],
        )
        .unwrap();
        assert_eq!(header.layout, Layout::Linked);
        assert_eq!(header.last_row, 3);
        assert!(header.index_of(Field::X).is_some() && header.index_of(Field::Y).is_some());
        assert!(header.index_of(Field::Ground(Side::Point)).is_some());
        assert_eq!(header.index_of(Field::Elevation(Side::Point, Reference::Top)), Some(5));
    }

    #[test]
    fn other_tables_are_left_alone() {
        for header in [
            &["sensor", "time", "value"][..],
            &["id", "x", "y"],
            &["from", "to", "departure"],
            &["point_id", "x", "y", "name"],
        ] {
            assert_eq!(Header::find(&rows(&[header]), &[]), None, "{header:?}");
        }
        let points = Header::find(&rows(&[&["物探点号", "X", "Y", "地面高程", "附属物"]]), &[]).unwrap();
        assert_eq!(points.layout, Layout::Points);
        let lines = Header::find(&rows(&[&["起点点号", "终点点号", "起点埋深", "终点埋深", "管径"]]), &[]).unwrap();
        assert_eq!(lines.layout, Layout::Lines);
    }
}
