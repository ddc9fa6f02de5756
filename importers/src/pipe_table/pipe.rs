//! Lines of the network: from depths, heights and sizes to a centre line with a section.

use glam::DVec3;
use groundline_engine::model::{
    Attribute, CityObject, Class, Domain, Geometry, ObjectId, Section, SourceReport, Tube, Value, Vertical,
};

use super::{
    header::{Column, Field, Header, Reference, Side},
    kind::{self, Kind},
    node::{self, Node},
    value,
};

/// How far an elevation may lie from ground height minus depth before the report says so, metres.
const AGREE_M: f64 = 0.05;
/// Cover over a line of which nothing is known, metres.
const DEFAULT_DEPTH_M: f64 = 1.0;
/// Highest depth above ground that is believed (a riser, a pipe bridge), metres.
const HIGHEST_M: f64 = 30.0;
/// Elevations beyond these are no elevations on land.
const ELEVATIONS_M: std::ops::RangeInclusive<f64> = -1000.0..=9000.0;

/// A measure of one end with what it is measured to and the column that said so.
#[derive(Clone, Debug, PartialEq)]
struct Level {
    metres: f64,
    reference: Reference,
    title: String,
}

/// What a row says about one end of a line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct End {
    depth: Option<Level>,
    elevation: Option<Level>,
    ground: Option<(f64, String)>,
}

impl End {
    /// Reads the columns of `side`. `Err` names the column and the value that cannot be.
    pub fn read(header: &Header, cells: &[String], side: Side) -> Result<Self, String> {
        let mut end = End::default();
        for (column, text) in header.columns.iter().zip(cells) {
            let (place, reference) = match column.field {
                Some(Field::Depth(s, reference)) if s == side => (0, reference),
                Some(Field::Elevation(s, reference)) if s == side => (1, reference),
                Some(Field::Ground(s)) if s == side => (2, Reference::Unsaid),
                _ => continue,
            };
            let what = ["depth", "elevation", "ground height"][place];
            let Some(metres) = metres(column, text, what)? else { continue };
            let range = if place == 0 { -HIGHEST_M..=super::DEEPEST_M } else { ELEVATIONS_M };
            if !range.contains(&metres) {
                return Err(format!(
                    "column {}: {metres} m is outside {} to {} m",
                    column.title,
                    range.start(),
                    range.end()
                ));
            }
            let level = Level { metres, reference, title: column.title.clone() };
            match place {
                // a column that says top or invert is better than one that does not
                0 => end.depth = better(end.depth, level),
                1 => end.elevation = better(end.elevation, level),
                _ => end.ground = end.ground.or(Some((metres, level.title))),
            }
        }
        Ok(end)
    }
}

fn better(old: Option<Level>, new: Level) -> Option<Level> {
    match old {
        Some(old) if old.reference != Reference::Unsaid => Some(old),
        Some(old) if new.reference == Reference::Unsaid => Some(old),
        _ => Some(new),
    }
}

/// The metres in a cell; `Err` names the column and the text when it is none.
pub fn metres(column: &Column, text: &str, what: &str) -> Result<Option<f64>, String> {
    value::metres(text, column.unit).map_err(|_| format!("column {}: {text:?} is no {what}", column.title))
}

/// One line of a table.
pub struct Row<'a> {
    /// Columns of its table.
    pub header: &'a Header,
    /// Its cells.
    pub cells: &'a [String],
    /// Where it stands, for messages: `JSLine.csv row 17`.
    pub place: String,
    /// Ids of its ends, as nodes are keyed within the layer.
    pub keys: [String; 2],
    /// Nodes of its ends.
    pub nodes: [&'a Node; 2],
    /// What it says about its ends.
    pub ends: [End; 2],
    /// Kind of line, and what said so.
    pub kind: (Kind, String),
}

/// Height of the axis at one end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Axis {
    Height(f64),
    AboveTerrain(f64),
    Unknown,
}

/// A line as an object, with the heights of its axis at both ends; `Err` says why it cannot be one.
pub fn object(row: &Row<'_>, layer: &str, key: &str, report: &mut SourceReport) -> Result<CityObject, String> {
    let kind = row.kind.0.pipe_kind;
    let mut attributes = Vec::with_capacity(row.header.columns.len() + 8);
    let from = &row.kind.1;
    let kind_title = title(row.header, Field::Kind);
    attributes.push(Attribute::converted("pipe_kind", Value::Text(kind.word().into()), kind_title, from));
    if !row.kind.0.subclass.is_empty() {
        attributes.push(Attribute::converted(
            "pipe_subclass",
            Value::Text(row.kind.0.subclass.into()),
            kind_title,
            from,
        ));
    }
    let section = section(row, report, &mut attributes)?;
    let axis = axis(row, section, report, &mut attributes)?;

    let at = |side: usize, z: f64| row.nodes[side].at.extend(z);
    let (points, vertical): ([DVec3; 2], _) = match axis {
        [Axis::Height(start), Axis::Height(end)] => ([at(0, start), at(1, end)], Vertical::Absolute),
        [Axis::AboveTerrain(start), Axis::AboveTerrain(end)] => ([at(0, start), at(1, end)], Vertical::AboveTerrain),
        _ => return Err("no ground height at one end and none can be inferred".into()),
    };
    let length = points[0].distance(points[1]);
    if length < 0.001 {
        return Err(format!("both ends {} and {} lie at the same place", row.keys[0], row.keys[1]));
    }
    attributes.push(Attribute::measured("length_m", Value::Real(length), "length of the centre line"));
    let texts = [
        (Field::Material, "material"),
        (Field::Owner, "owner"),
        (Field::Laying, "laying"),
        (Field::Flow, "flow"),
        (Field::Pressure, "pressure"),
        (Field::Voltage, "voltage"),
        (Field::Road, "road"),
        (Field::Status, "status"),
    ];
    for (field, key) in texts {
        if let Some((column, text)) = cell(row, field) {
            attributes.push(Attribute::converted(key, Value::Text(text.into()), &column.title, "text as read"));
        }
    }
    for (field, key) in
        [(Field::Holes, "holes"), (Field::HolesUsed, "holes_used"), (Field::Cables, "cables"), (Field::Year, "year")]
    {
        let Some((column, text)) = cell(row, field) else { continue };
        let whole = if field == Field::Year { value::year(text) } else { whole(text) };
        match whole {
            Some(number) => {
                let rule = if field == Field::Year { "year of the date" } else { "whole number" };
                attributes.push(Attribute::converted(key, Value::Int(number), &column.title, rule));
            }
            None => attributes.push(Attribute::read(&column.title.as_str().into(), Value::Text(text.into()))),
        }
    }
    attributes.extend(node::unclaimed(row.header, row.cells));

    let is_above = (0..2).all(|side| match (axis[side], ground(row, side)) {
        (Axis::AboveTerrain(z), _) => z > 0.0,
        (Axis::Height(z), Some(ground)) => z > ground,
        _ => false,
    });
    let tube = Tube {
        axis: points.to_vec(),
        vertical,
        section,
        from: Some(row.keys[0].clone()),
        to: Some(row.keys[1].clone()),
    };
    let mut object = CityObject::new(ObjectId::new(layer, key), Class::Pipe, Geometry::Tube(tube));
    object.domain = if is_above { Domain::Above } else { Domain::Below };
    object.attributes = attributes;
    Ok(object)
}

fn title(header: &Header, field: Field) -> &str {
    header.index_of(field).map_or("", |i| header.columns[i].title.as_str())
}

/// The cell of a column that is there and says something.
fn cell<'a>(row: &'a Row<'_>, field: Field) -> Option<(&'a Column, &'a str)> {
    let index = row.header.index_of(field)?;
    let text = row.cells.get(index)?.as_str();
    (!value::is_missing(&value::half_width(text))).then_some((&row.header.columns[index], text))
}

fn whole(text: &str) -> Option<i64> {
    let number = value::number(text).ok()??;
    (number.fract() == 0.0 && number.abs() < 1e12).then_some(number as i64)
}

/// The section: one size column, or width and height columns, or a default of the kind.
fn section(row: &Row<'_>, report: &mut SourceReport, out: &mut Vec<Attribute>) -> Result<Section, String> {
    let kind = row.kind.0.pipe_kind;
    let read = |field: Field| match cell(row, field) {
        Some((column, text)) => value::size(text, column.unit)
            .map(|size| size.map(|s| (s, column.title.as_str())))
            .map_err(|_| (column.title.clone(), text.to_owned())),
        None => Ok(None),
    };
    let outcome = match (read(Field::Size), read(Field::Width), read(Field::Height)) {
        (Ok(Some(size)), ..) => Ok(Some(size)),
        (Ok(None), Ok(Some((width, title))), Ok(Some((height, _)))) => {
            let section = Section::Rect { width_m: width.section.size_m(), height_m: height.section.size_m() };
            let is_assumed_metres = width.is_assumed_metres || height.is_assumed_metres;
            Ok(Some((value::Size { section, is_assumed_metres }, title)))
        }
        (Err(bad), ..) => Err(bad),
        _ => Ok(None),
    };
    let (size, title) = match outcome {
        Ok(Some(found)) => found,
        Ok(None) | Err(_) => {
            let diameter_m = kind::default_diameter_m(kind);
            let why = match &outcome {
                Err((title, text)) => {
                    let message = format!("{text:?} in column {title} is no size: a default of the kind is drawn");
                    report.warn("size_not_understood", message, &row.place);
                    format!("{text:?} is no size; a common one for {kind} is drawn")
                }
                _ => {
                    let message = "lines without a size: a default of the kind is drawn";
                    report.warn("size_defaulted", message, &row.place);
                    format!("no size in the table; a common one for {kind} is drawn")
                }
            };
            out.push(Attribute::defaulted("diameter_mm", Value::Real(diameter_m * 1000.0), &why));
            return Ok(Section::Circle { diameter_m });
        }
    };
    let rule = if size.is_assumed_metres { "metres (a bare number too small for millimetres)" } else { "millimetres" };
    if size.is_assumed_metres {
        let message = format!("sizes in column {title} are too small for millimetres and were read as metres");
        report.warn("size_in_metres", message, &row.place);
    }
    // whole micrometres: 0.3 m is 300 mm and not 300.00000000000006
    let millimetres = |m: f64| Value::Real((m * 1e6).round() / 1e3);
    match size.section {
        Section::Circle { diameter_m } => {
            out.push(Attribute::converted("diameter_mm", millimetres(diameter_m), title, rule))
        }
        Section::Rect { width_m, height_m } => {
            out.push(Attribute::converted("width_mm", millimetres(width_m), title, rule));
            out.push(Attribute::converted("height_mm", millimetres(height_m), title, rule));
        }
    }
    Ok(size.section)
}

fn ground(row: &Row<'_>, side: usize) -> Option<f64> {
    row.ends[side].ground.as_ref().map(|(metres, _)| *metres).or(row.nodes[side].ground_m)
}

/// Heights of the axis at both ends.
///
/// An elevation wins over a depth. Depth and elevation are to the top of a pressure line, cable or duct and to the
/// invert of a drain, unless the column says otherwise; the wall is not told apart from the pipe.
fn axis(
    row: &Row<'_>,
    section: Section,
    report: &mut SourceReport,
    out: &mut Vec<Attribute>,
) -> Result<[Axis; 2], String> {
    let half = section.height_m() / 2.0;
    let by_practice =
        if kind::is_measured_to_invert(row.kind.0.pipe_kind) { Reference::Invert } else { Reference::Top };
    let to_axis = |reference: Reference| match resolve(reference, by_practice) {
        Reference::Invert => half,
        _ => -half,
    };
    let mut axis = [Axis::Unknown; 2];
    let mut rules: [String; 2] = Default::default();
    for side in 0..2 {
        let end = &row.ends[side];
        let ground = ground(row, side);
        let depth = end.depth.as_ref();
        let elevation = end.elevation.as_ref().filter(|e| !is_ground_height(e, depth, ground, row, report));
        let from_depth = |d: &Level| match ground {
            Some(ground) => Axis::Height(ground - d.metres + to_axis(d.reference)),
            None => Axis::AboveTerrain(-d.metres + to_axis(d.reference)),
        };
        if let Some(level) = elevation {
            let z = level.metres + to_axis(level.reference);
            axis[side] = Axis::Height(z);
            rules[side] = format!(
                "{} {} half the height",
                word(level.reference, by_practice, "elevation"),
                sign(to_axis(level.reference))
            );
            if let Some(Axis::Height(other)) = depth.map(from_depth)
                && (other - z).abs() > AGREE_M
            {
                let message = format!(
                    "{} and ground height minus {} disagree by {:.2} m: the elevation is used",
                    level.title,
                    depth.map_or("", |d| d.title.as_str()),
                    (other - z).abs()
                );
                report.warn("elevation_disagrees", message, &row.place);
            }
        } else if let Some(level) = depth {
            axis[side] = from_depth(level);
            let base = if ground.is_some() { "ground height minus " } else { "minus " };
            rules[side] = format!(
                "{base}{} {} half the height",
                word(level.reference, by_practice, "depth"),
                sign(to_axis(level.reference))
            );
            if ground.is_none() {
                let message = "lines without a ground height lie at their depth below the terrain";
                report.warn("no_ground_height", message, &row.place);
            }
        }
    }
    level_out(row, &mut axis, &mut rules, half, report);
    for side in 0..2 {
        describe(row, side, axis[side], &rules[side], by_practice, half, out);
    }
    Ok(axis)
}

/// Gives an end that says nothing the cover of the other end, and both a default when neither says anything.
fn level_out(row: &Row<'_>, axis: &mut [Axis; 2], rules: &mut [String; 2], half: f64, report: &mut SourceReport) {
    for (side, other) in [(0, 1), (1, 0)] {
        let inferred = match (axis[side], axis[other]) {
            (Axis::Unknown, Axis::Height(z)) => match (ground(row, side), ground(row, other)) {
                (Some(here), Some(there)) => Axis::Height(z + here - there),
                _ => Axis::Height(z),
            },
            (Axis::Unknown, Axis::AboveTerrain(z)) => Axis::AboveTerrain(z),
            _ => continue,
        };
        axis[side] = inferred;
        rules[side] = "as deep as the other end".into();
        report.warn("depth_defaulted", "ends without a depth are drawn as deep as the other end", &row.place);
    }
    if axis == &[Axis::Unknown; 2] {
        for side in 0..2 {
            let z = -DEFAULT_DEPTH_M - half;
            axis[side] = match (ground(row, 0), ground(row, 1)) {
                (Some(start), Some(end)) => Axis::Height(z + if side == 0 { start } else { end }),
                _ => Axis::AboveTerrain(z),
            };
            rules[side] = format!("no depth in the table: {DEFAULT_DEPTH_M} m of cover");
        }
        report.warn(
            "depth_defaulted",
            format!("lines without a depth are drawn {DEFAULT_DEPTH_M} m below the ground"),
            &row.place,
        );
    }
    // one end on a known ground, the other on an unknown one: the ground is taken to be level between them
    for (side, other) in [(0, 1), (1, 0)] {
        if let (Axis::AboveTerrain(z), Axis::Height(_)) = (axis[side], axis[other])
            && let Some(there) = ground(row, other)
        {
            axis[side] = Axis::Height(there + z);
            rules[side] = "ground height of the other end minus depth".into();
            report.warn("ground_defaulted", "ends without a ground height take that of the other end", &row.place);
        }
    }
}

/// Adds depth, ground and axis height of one end, each with where it came from.
fn describe(
    row: &Row<'_>,
    side: usize,
    axis: Axis,
    rule: &str,
    by_practice: Reference,
    half: f64,
    out: &mut Vec<Attribute>,
) {
    let name = ["start", "end"][side];
    let end = &row.ends[side];
    let is_guess = end.depth.is_none() && end.elevation.is_none();
    let ground_here = ground(row, side);
    let level = |z: f64| z + if by_practice == Reference::Invert { -half } else { half };
    let depth = match (axis, ground_here) {
        (Axis::Height(z), Some(ground)) => Some(ground - level(z)),
        (Axis::AboveTerrain(z), _) => Some(-level(z)),
        _ => None,
    };
    let key = format!("depth_{name}_m");
    match (&end.depth, depth) {
        (Some(read), _) => {
            let rule = format!("metres, {}", word(read.reference, by_practice, "depth"));
            out.push(Attribute::converted(&key, Value::Real(read.metres), &read.title, &rule));
        }
        (None, Some(depth)) if is_guess => out.push(Attribute::defaulted(&key, Value::Real(depth), rule)),
        (None, Some(depth)) => {
            let rule = format!("ground height minus elevation, {}", word(Reference::Unsaid, by_practice, "depth"));
            out.push(Attribute::measured(&key, Value::Real(depth), &rule));
        }
        (None, None) => {}
    }
    if let Some((ground, title)) = &end.ground {
        out.push(Attribute::converted(&format!("ground_{name}_m"), Value::Real(*ground), title, "metres"));
    } else if let Some(ground) = ground_here {
        let rule = format!("ground height of point {}", row.keys[side]);
        out.push(Attribute::converted(&format!("ground_{name}_m"), Value::Real(ground), "地面高程", &rule));
    }
    if let Axis::Height(z) = axis {
        let key = format!("z_{name}_m");
        let field = end.elevation.as_ref().or(end.depth.as_ref()).map_or("", |l| l.title.as_str());
        out.push(if is_guess {
            Attribute::defaulted(&key, Value::Real(z), rule)
        } else {
            Attribute::converted(&key, Value::Real(z), field, &format!("height of the centre line: {rule}"))
        });
    }
}

fn resolve(reference: Reference, by_practice: Reference) -> Reference {
    if reference == Reference::Unsaid { by_practice } else { reference }
}

/// What a measure is measured to, and who says so.
fn word(reference: Reference, by_practice: Reference, measure: &str) -> String {
    let said = if reference == Reference::Unsaid { " (by practice)" } else { "" };
    match resolve(reference, by_practice) {
        Reference::Invert => format!("{measure} of the invert{said}"),
        _ => format!("{measure} of the top{said}"),
    }
}

fn sign(offset: f64) -> &'static str {
    if offset < 0.0 { "minus" } else { "plus" }
}

/// 起点高程 may mean the ground at the start: when it equals the ground height although the line lies deep, it is that.
fn is_ground_height(
    elevation: &Level,
    depth: Option<&Level>,
    ground: Option<f64>,
    row: &Row<'_>,
    report: &mut SourceReport,
) -> bool {
    let (Some(depth), Some(ground)) = (depth, ground) else { return false };
    let is_ground = elevation.reference == Reference::Unsaid
        && depth.metres > 2.0 * AGREE_M
        && (elevation.metres - ground).abs() < 0.011;
    if is_ground {
        let message = format!("{} equals the ground height and was read as that; the depth is used", elevation.title);
        report.warn("elevation_is_ground", message, &row.place);
    }
    is_ground
}
