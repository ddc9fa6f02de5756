//! Which column of a pipe table is north and which is east.

use super::{
    header::Field,
    sheet::{
        Next,
        axes::{self, VOTERS},
    },
    source::Table,
};
use crate::ImportError;
pub use axes::Axes;

/// What is said where neither titles nor numbers decide.
pub const ASSUMED: &str = "the numbers do not tell north from east: X was read as north, as survey tables have it \
                           (otherwise give --map east=X and --map north=Y)";

/// Decides by the headers, and by the numbers where these contradict them (STANDARDS: X is north in survey tables;
/// both columns swapped is the usual mistake).
pub fn of(table: &Table) -> Result<Axes, ImportError> {
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
    let titles: Vec<&str> = header.columns.iter().map(|c| c.title.as_str()).collect();
    let mut axes = Axes::new(east, north, are_degrees, &titles);
    let says_so = !matches!(header.columns.get(north).and_then(|c| c.field), Some(Field::X));
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut placed = 0;
    table.sheet.each_row(&mut |row, cells| {
        if row > header.last_row && axes.place(cells).is_ok_and(|place| place.is_some()) {
            placed += 1;
            rows.push(cells.to_vec());
        }
        Ok(if placed < VOTERS { Next::Row } else { Next::Stop })
    })?;
    axes.vote(rows.iter().map(Vec::as_slice), says_so);
    Ok(axes)
}
