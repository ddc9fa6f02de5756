//! Which column is north and which is east.

use groundline_engine::model::SourceReport;

use super::cell;

/// Rows that vote on the axes.
pub const VOTERS: usize = 200;
/// Northings of China (3° to 54° N), metres.
const NORTHINGS_M: std::ops::Range<f64> = 1_300_000.0..6_200_000.0;
/// Eastings of a Gauss-Krüger zone without prefix, metres.
const EASTINGS_M: std::ops::Range<f64> = 100_000.0..900_000.0;
/// Eastings with the zone number before them.
const ZONED_EASTINGS_M: std::ops::Range<f64> = 13_000_000.0..46_000_000.0;

/// Titles of X, normalised (lower case, no spaces, `_`, `-` or `.`): north in survey tables, east elsewhere.
pub const X: &[&str] = &["x", "x坐标", "坐标x", "纵坐标", "纵坐标x", "x纵坐标", "xzb", "coordx", "xcoord"];
/// Titles of Y.
pub const Y: &[&str] = &["y", "y坐标", "坐标y", "横坐标", "横坐标y", "y横坐标", "yzb", "coordy", "ycoord"];
/// Titles that say north.
pub const NORTH: &[&str] = &["北坐标", "北", "north", "northing", "n", "北坐标x", "x北"];
/// Titles that say east.
pub const EAST: &[&str] = &["东坐标", "东", "east", "easting", "e", "东坐标y", "y东"];
/// Titles of longitude.
pub const LONGITUDE: &[&str] = &["经度", "longitude", "lon", "lng"];
/// Titles of latitude.
pub const LATITUDE: &[&str] = &["纬度", "latitude", "lat"];

/// The columns of the plane coordinates in the order east, north.
#[derive(Clone, Debug, PartialEq)]
pub struct Axes {
    east: usize,
    north: usize,
    are_degrees: bool,
    titles: [String; 2],
    swapped: Option<String>,
    is_unsure: bool,
}

impl Axes {
    /// By columns and their titles.
    pub fn new(east: usize, north: usize, are_degrees: bool, titles: &[&str]) -> Self {
        let titles = [east, north].map(|index| titles.get(index).map_or(String::new(), |t| (*t).to_owned()));
        Self { east, north, are_degrees, titles, swapped: None, is_unsure: false }
    }

    /// Whether the coordinates are degrees of longitude and latitude.
    pub fn are_degrees(&self) -> bool {
        self.are_degrees
    }

    /// East and north of a row, or longitude and latitude. `None` when both cells are empty.
    pub fn place(&self, cells: &[String]) -> Result<Option<(f64, f64)>, String> {
        let read = |index: usize, title: &String| {
            let text = cells.get(index).map_or("", String::as_str);
            let number = if self.are_degrees { cell::degrees(text) } else { cell::number(text) };
            number.map_err(|_| format!("column {title}: {text:?} is no coordinate"))
        };
        match (read(self.east, &self.titles[0])?, read(self.north, &self.titles[1])?) {
            (Some(east), Some(north)) => Ok(Some((east, north))),
            (None, None) => Ok(None),
            _ => Err("one of the two coordinates is missing".into()),
        }
    }

    /// Tells the report what was decided against or without the headers; `assumed` is the sentence for the latter.
    pub fn explain(&self, label: &str, assumed: &str, report: &mut SourceReport) {
        if let Some(message) = &self.swapped {
            report.warn("axes_swapped", message.as_str(), label);
        }
        if self.is_unsure {
            report.warn("axes_assumed", assumed, label);
        }
    }

    /// Lets the first rows vote: every row whose numbers fit only one way round counts. `says_so` is whether the titles
    /// themselves say which is north.
    pub fn vote<'r>(&mut self, rows: impl Iterator<Item = &'r [String]>, says_so: bool) {
        let (mut right, mut wrong, mut degrees, mut all) = (0, 0, 0, 0);
        for (east, north) in rows.filter_map(|cells| self.place(cells).ok().flatten()).take(VOTERS) {
            all += 1;
            let fits = |east: f64, north: f64| {
                NORTHINGS_M.contains(&north) && (EASTINGS_M.contains(&east) || ZONED_EASTINGS_M.contains(&east))
            };
            let is_degree = |east: f64, north: f64| (73.0..136.0).contains(&east) && (3.0..54.0).contains(&north);
            degrees += usize::from(is_degree(east, north) || is_degree(north, east));
            right += usize::from(fits(east, north) || is_degree(east, north));
            wrong += usize::from(fits(north, east) || is_degree(north, east));
        }
        if all > 0 && degrees * 2 > all {
            self.are_degrees = true;
        }
        if wrong > right {
            let [what_east, what_north] = if self.are_degrees { ["longitude", "latitude"] } else { ["east", "north"] };
            self.swapped = Some(format!(
                "by their size the numbers in column {} are {what_east} and those in {} are {what_north}: they were read so",
                self.titles[1], self.titles[0]
            ));
            std::mem::swap(&mut self.east, &mut self.north);
            self.titles.swap(0, 1);
        } else if right == wrong {
            self.is_unsure = all > 0 && !says_so;
        }
    }
}
