//! Which row is the header, and which columns hold the place.

use std::sync::Arc;

use super::{is_comment, wkt};
use crate::{
    Options, field, sensor_table,
    sheet::axes::{self, Axes, VOTERS},
};

/// Titles of heights. `H` is one in survey tables only.
const Z: &[&str] =
    &["z", "z坐标", "高程", "标高", "地面高程", "海拔", "elevation", "elev", "alt", "altitude", "zcoord", "height3d"];
/// Titles of well-known text.
const WKT: &[&str] = &["wkt", "geom", "geometry", "thegeom", "shape", "wktgeom", "几何", "空间坐标"];
/// Further titles of X and Y that tools write.
const MORE_X: &[&str] = &["pointx", "posx", "coordx"];
const MORE_Y: &[&str] = &["pointy", "posy", "coordy"];

/// Where the place stands in a row.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// In two columns, with a third for the height.
    Columns { axes: Axes, z: Option<usize> },
    /// In a column of well-known text.
    Wkt(usize),
}

/// The header of a table.
#[derive(Clone, Debug)]
pub(super) struct Header {
    /// Titles as the file has them; empty where a column has none.
    pub titles: Vec<Arc<str>>,
    /// Number of the row.
    pub row: u64,
    pub place: Place,
    /// Titles in the row.
    pub width: usize,
    coordinates: Vec<usize>,
}

impl Header {
    /// The first row with titles of coordinates under which most rows have coordinates.
    pub fn find(rows: &[(u64, Vec<String>)], options: &Options) -> Option<Self> {
        rows.iter().enumerate().take(super::HEADER_ROWS).find_map(|(at, (number, cells))| {
            let below: Vec<&[String]> =
                rows[at + 1..].iter().map(|(_, cells)| cells.as_slice()).filter(|cells| !is_comment(cells)).collect();
            Self::of(*number, cells, &below, options)
        })
    }

    fn of(row: u64, cells: &[String], below: &[&[String]], options: &Options) -> Option<Self> {
        let titles: Vec<String> = cells.iter().map(|title| field::normalise(title).0).collect();
        let mapped = |key: &str| {
            let (_, column) = options.map.iter().find(|(k, _)| k == key)?;
            cells.iter().position(|title| title == column)
        };
        let find = |key: &str, names: &[&[&str]]| {
            mapped(key).or_else(|| names.concat().iter().find_map(|name| titles.iter().position(|t| t == name)))
        };
        let pair = |x: Option<usize>, y: Option<usize>| x.zip(y).filter(|(x, y)| x != y);
        let degrees = pair(find("longitude", &[axes::LONGITUDE]), find("latitude", &[axes::LATITUDE]));
        let plane = pair(find("east", &[axes::EAST]), find("north", &[axes::NORTH]));
        // East elsewhere than in survey tables; the numbers speak below.
        let xy = pair(find("x", &[axes::X, MORE_X]), find("y", &[axes::Y, MORE_Y]));
        let is_plane_asked = options.crs.as_ref().is_some_and(|crs| !crs.is_geographic);
        let (degrees, late_degrees) = if is_plane_asked { (None, degrees) } else { (degrees, None) };
        let chosen = degrees
            .map(|p| (p, true, true))
            .or_else(|| plane.map(|p| (p, false, true)))
            .or_else(|| xy.map(|p| (p, false, false)))
            .or_else(|| late_degrees.map(|p| (p, true, true)));
        let has_time = cells.iter().any(|title| sensor_table::is_time_title(title));
        let found = chosen.and_then(|((east, north), are_degrees, says_so)| {
            let names: Vec<&str> = cells.iter().map(String::as_str).collect();
            let mut axes = Axes::new(east, north, are_degrees, &names);
            axes.vote(below.iter().copied().take(VOTERS), says_so);
            let is_survey = !axes.are_degrees();
            let z = mapped("z").or_else(|| {
                let plain = Z.iter().find_map(|name| titles.iter().position(|t| t == name));
                plain.or_else(|| titles.iter().position(|t| is_survey && t == "h"))
            });
            let z = z.filter(|z| *z != east && *z != north);
            let coordinates: Vec<usize> = [Some(east), Some(north), z].into_iter().flatten().collect();
            // Two bare columns X and Y could be any curve, and X, Y, Z with a time the readings of an accelerometer.
            let others = titles.iter().enumerate().filter(|(at, t)| !t.is_empty() && !coordinates.contains(at)).count();
            if !says_so && (others == 0 || has_time) {
                return None;
            }
            let placed = below.iter().filter(|row| axes.place(row).is_ok_and(|place| place.is_some())).count();
            (placed > 0 && placed * 2 >= below.len()).then_some((Place::Columns { axes, z }, coordinates))
        });
        let (place, coordinates) = found.or_else(|| {
            let column = find("wkt", &[WKT])?;
            let is_text = |row: &&&[String]| row.get(column).is_some_and(|text| wkt::shape(text).is_ok());
            let placed = below.iter().filter(is_text).count();
            (placed > 0 && placed * 2 >= below.len()).then(|| (Place::Wkt(column), vec![column]))
        })?;
        let mut names: Vec<Arc<str>> = Vec::with_capacity(cells.len());
        for title in cells {
            let is_known = names.iter().any(|name| &**name == title.as_str() && !title.is_empty());
            names.push(if is_known { format!("{title}_{}", names.len() + 1).into() } else { title.as_str().into() });
        }
        Some(Self { titles: names, row, place, width: cells.len(), coordinates })
    }

    /// Whether a column holds the place.
    pub fn is_place(&self, column: usize) -> bool {
        self.coordinates.contains(&column)
    }
}
