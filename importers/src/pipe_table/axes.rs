//! Which column is north and which is east.

use groundline_engine::model::SourceReport;

use super::{
    header::{Field, Header},
    sheet::Next,
    source::Table,
    value,
};
use crate::ImportError;

/// Rows that vote on the axes.
const VOTERS: usize = 200;
/// Northings of China (3° to 54° N), metres.
const NORTHINGS_M: std::ops::Range<f64> = 1_300_000.0..6_200_000.0;
/// Eastings of a Gauss-Krüger zone without prefix, metres.
const EASTINGS_M: std::ops::Range<f64> = 100_000.0..900_000.0;
/// Eastings with the zone number before them.
const ZONED_EASTINGS_M: std::ops::Range<f64> = 13_000_000.0..46_000_000.0;

/// The columns of the plane coordinates in the order east, north.
#[derive(Clone, Debug, PartialEq)]
pub struct Axes {
    east: usize,
    north: usize,
    are_degrees: bool,
    swapped: Option<String>,
    is_unsure: bool,
}

impl Axes {
    /// Decides by the headers, and by the numbers where these contradict them (STANDARDS: X is north in survey tables;
    /// both columns swapped is the usual mistake).
    pub fn of(table: &Table) -> Result<Self, ImportError> {
        let header = &table.header;
        let pair = |north: Field, east: Field| Some((header.index_of(north)?, header.index_of(east)?));
        let found = pair(Field::Latitude, Field::Longitude)
            .map(|p| (p, true))
            .or_else(|| pair(Field::North, Field::East).map(|p| (p, false)))
            .or_else(|| pair(Field::X, Field::Y).map(|p| (p, false)));
        let Some(((north, east), are_degrees)) = found else {
            return Err(ImportError::Bad {
                path: table.sheet.path.clone(),
                place: table.sheet.label(),
                reason: "no pair of coordinate columns (X and Y)".into(),
            });
        };
        let mut axes = Self { east, north, are_degrees, swapped: None, is_unsure: false };
        axes.check(table)?;
        Ok(axes)
    }

    /// Whether the coordinates are degrees of longitude and latitude.
    pub fn are_degrees(&self) -> bool {
        self.are_degrees
    }

    /// East and north of a row, or longitude and latitude. `None` when both cells are empty.
    pub fn place(&self, header: &Header, cells: &[String]) -> Result<Option<(f64, f64)>, String> {
        let read = |index: usize| {
            let text = cells.get(index).map_or("", String::as_str);
            let title = header.columns.get(index).map_or("", |c| c.title.as_str());
            value::number(text).map_err(|_| format!("column {title}: {text:?} is no coordinate"))
        };
        match (read(self.east)?, read(self.north)?) {
            (Some(east), Some(north)) => Ok(Some((east, north))),
            (None, None) => Ok(None),
            _ => Err("one of the two coordinates is missing".into()),
        }
    }

    /// Tells the report what was decided against or without the headers.
    pub fn explain(&self, table: &Table, report: &mut SourceReport) {
        if let Some(message) = &self.swapped {
            report.warn("axes_swapped", message.as_str(), table.sheet.label());
        }
        if self.is_unsure {
            let message = "the numbers do not tell north from east: X was read as north, as survey tables have it \
                           (otherwise give --map east=X and --map north=Y)";
            report.warn("axes_assumed", message, table.sheet.label());
        }
    }

    /// Lets the first rows vote: every row whose numbers fit only one way round counts.
    fn check(&mut self, table: &Table) -> Result<(), ImportError> {
        let (mut right, mut wrong, mut degrees, mut all) = (0, 0, 0, 0);
        table.sheet.each_row(&mut |row, cells| {
            if row > table.header.last_row
                && let Ok(Some((east, north))) = self.place(&table.header, cells)
            {
                all += 1;
                let fits = |east: f64, north: f64| {
                    NORTHINGS_M.contains(&north) && (EASTINGS_M.contains(&east) || ZONED_EASTINGS_M.contains(&east))
                };
                let is_degree = |east: f64, north: f64| (73.0..136.0).contains(&east) && (3.0..54.0).contains(&north);
                degrees += usize::from(is_degree(east, north) || is_degree(north, east));
                right += usize::from(fits(east, north) || is_degree(east, north));
                wrong += usize::from(fits(north, east) || is_degree(north, east));
            }
            Ok(if all < VOTERS { Next::Row } else { Next::Stop })
        })?;
        let title = |index: usize| table.header.columns.get(index).map_or("", |c| c.title.as_str());
        if all > 0 && degrees * 2 > all {
            self.are_degrees = true;
        }
        if wrong > right {
            let [what_east, what_north] = if self.are_degrees { ["longitude", "latitude"] } else { ["east", "north"] };
            self.swapped = Some(format!(
                "by their size the numbers in column {} are {what_east} and those in {} are {what_north}: they were read so",
                title(self.north),
                title(self.east)
            ));
            std::mem::swap(&mut self.east, &mut self.north);
        } else if right == wrong {
            let says_so = !matches!(table.header.columns.get(self.north).and_then(|c| c.field), Some(Field::X));
            self.is_unsure = all > 0 && !says_so;
        }
        Ok(())
    }
}
