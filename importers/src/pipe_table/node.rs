//! Points of the network: manholes, valves, hydrants, bends.

use std::collections::HashMap;

use glam::{DVec2, DVec3};
use groundline_engine::model::{
    Attribute, CityObject, Class, Domain, Geometry, Instance, InstanceModel, ObjectId, Shaft, Value, Vertical,
};

use super::{
    header::{Field, Header, Side},
    kind, value,
};

/// Diameter of a shaft that nobody measured, metres: between the 0.7 m of a cover and the 1.0 m of a chamber.
const DEFAULT_SHAFT_M: f64 = 0.8;
/// Depth of a shaft of which neither the well nor a pipe is known, metres.
const DEFAULT_SHAFT_DEPTH_M: f64 = 1.0;

/// A point that lines may refer to.
#[derive(Clone, Debug)]
pub struct Node {
    /// Table it stands in: index among the source's tables.
    pub table: u32,
    /// Row it stands in.
    pub row: u64,
    /// Place in the city.
    pub at: DVec2,
    /// Ground height, where known.
    pub ground_m: Option<f64>,
    /// What the lines that meet here say.
    pub ends: Ends,
}

/// What is gathered from the lines that meet in a node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// How many lines meet.
    pub count: u32,
    /// Sum of the heights of their axes where they are heights, and how many those are.
    absolute: (f64, u32),
    /// The same for heights above the terrain.
    relative: (f64, u32),
    /// Lowest underside.
    lowest: Option<(f64, Vertical)>,
    /// Largest measure, metres.
    largest_m: f64,
}

impl Ends {
    /// Adds the end of a line: height of its axis and its size.
    pub fn add(&mut self, axis_z: f64, vertical: Vertical, height_m: f64, size_m: f64) {
        self.count += 1;
        let sum = if vertical == Vertical::Absolute { &mut self.absolute } else { &mut self.relative };
        *sum = (sum.0 + axis_z, sum.1 + 1);
        let underside = axis_z - height_m / 2.0;
        if self.lowest.is_none_or(|(z, v)| v == vertical && underside < z) {
            self.lowest = Some((underside, vertical));
        }
        self.largest_m = self.largest_m.max(size_m);
    }

    /// Mean height of the axes that meet.
    fn axis(&self) -> Option<(f64, Vertical)> {
        let mean = |(sum, count): (f64, u32)| sum / f64::from(count);
        if self.absolute.1 > 0 {
            Some((mean(self.absolute), Vertical::Absolute))
        } else if self.relative.1 > 0 {
            Some((mean(self.relative), Vertical::AboveTerrain))
        } else {
            None
        }
    }
}

/// All nodes of a source, found by id.
#[derive(Debug, Default)]
pub struct Nodes {
    /// The nodes.
    pub list: Vec<Node>,
    index: HashMap<Box<str>, Vec<u32>>,
}

impl Nodes {
    /// Adds a node; false when its table already has one of that id.
    pub fn add(&mut self, id: &str, node: Node) -> bool {
        let Ok(number) = u32::try_from(self.list.len()) else { return false };
        let same = self.index.entry(id.into()).or_default();
        if same.iter().any(|n| self.list[*n as usize].table == node.table) {
            return false;
        }
        same.push(number);
        self.list.push(node);
        true
    }

    /// The node that a line means: the one in `preferred` tables, else the only one of that id.
    pub fn find(&self, id: &str, preferred: impl Fn(u32) -> bool) -> Option<u32> {
        let same = self.index.get(id)?;
        let own = same.iter().find(|n| preferred(self.list[**n as usize].table));
        own.or(if same.len() == 1 { same.first() } else { None }).copied()
    }

    /// The node of `id` in `table`.
    pub fn find_in(&self, id: &str, table: u32) -> Option<u32> {
        self.index.get(id)?.iter().copied().find(|n| self.list[*n as usize].table == table)
    }

    /// Last part of the object id of a node: its id, told apart by the name of its table where an earlier table
    /// has the same id.
    pub fn key(&self, id: &str, number: u32, table: &str) -> String {
        match self.index.get(id) {
            Some(same) if same.first() != Some(&number) => format!("{table}:{id}"),
            _ => id.to_owned(),
        }
    }
}

/// What stands at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thing {
    Well,
    Valve,
    Hydrant,
    AboveGround,
    Joint,
}

/// Reads 附属物 and 特征 (exactly one of them is filled in a correct table).
fn thing(appurtenance: &str, feature: &str) -> Thing {
    let text = format!("{appurtenance} {feature}").to_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| text.contains(w));
    if has(&[
        "井",
        "人孔",
        "手孔",
        "雨水篦",
        "雨水箅",
        "雨篦",
        "雨箅",
        "水篦",
        "雨水口",
        "化粪池",
        "沉淀池",
        "manhole",
        "chamber",
        "gully",
        "handhole",
    ]) {
        Thing::Well
    } else if has(&["消防栓", "消火栓", "hydrant"]) {
        Thing::Hydrant
    } else if has(&["阀", "闸", "valve"]) {
        Thing::Valve
    } else if has(&[
        "电杆",
        "灯杆",
        "路灯",
        "变压器",
        "箱",
        "控制柜",
        "上杆",
        "塔",
        "cabinet",
        "pole",
        "lamp",
        "transformer",
    ]) {
        Thing::AboveGround
    } else {
        Thing::Joint
    }
}

/// One row of a point table as an object. `Err` names the column and the value that cannot be.
pub fn object(
    layer: &str,
    key: &str,
    id: &str,
    node: &Node,
    header: &Header,
    cells: &[String],
    kind: (kind::Kind, String),
) -> Result<CityObject, String> {
    let cell = |field: Field| header.index_of(field).and_then(|i| cells.get(i)).map_or("", String::as_str);
    let title = |field: Field| header.index_of(field).map_or("", |i| header.columns[i].title.as_str());
    let mut attributes = Vec::with_capacity(header.columns.len());
    let word = Value::Text(kind.0.pipe_kind.word().into());
    attributes.push(Attribute::converted("pipe_kind", word, title(Field::Kind), &kind.1));
    if let Some(ground) = node.ground_m {
        let field = Field::Ground(Side::Point);
        attributes.push(Attribute::converted("ground_m", Value::Real(ground), title(field), "metres"));
    }
    attributes.push(Attribute::measured("links", Value::Int(node.ends.count.into()), "lines that meet in this point"));

    let top = node.at.extend(node.ground_m.unwrap_or(0.0));
    let vertical = if node.ground_m.is_some() { Vertical::Absolute } else { Vertical::AboveTerrain };
    let what = thing(cell(Field::Appurtenance), cell(Field::Feature));
    let (class, domain, geometry) = match what {
        Thing::Well => {
            let depth_m = well_depth(node, header, cells, &mut attributes)?;
            let diameter_m = well_diameter(header, cells, &mut attributes);
            (Class::Manhole, Domain::Below, Geometry::Shaft(Shaft { top, vertical, depth_m, diameter_m }))
        }
        Thing::Hydrant => instance(Domain::Above, InstanceModel::Hydrant, top, vertical, 1.0, 0.4),
        Thing::Valve => instance(Domain::Below, InstanceModel::Valve, top, vertical, 0.4, 0.4),
        Thing::AboveGround => instance(Domain::Above, InstanceModel::Marker, top, vertical, 1.5, 0.5),
        Thing::Joint => joint(node, top, vertical),
    };
    let texts = [
        (Field::Feature, "feature"),
        (Field::Appurtenance, "appurtenance"),
        (Field::Owner, "owner"),
        (Field::Material, "material"),
        (Field::Road, "road"),
        (Field::Status, "status"),
    ];
    for (field, key) in texts {
        let text = cell(field);
        if !value::is_missing(text) {
            attributes.push(Attribute::converted(key, Value::Text(text.into()), title(field), "text as read"));
        }
    }
    if let Some(year) = value::year(cell(Field::Year)) {
        attributes.push(Attribute::converted("year", Value::Int(year), title(Field::Year), "year of the date"));
    }
    attributes.extend(unclaimed(header, cells));
    let mut object = CityObject::new(ObjectId::new(layer, key), class, geometry);
    object.domain = domain;
    object.name = Some(id.to_owned());
    object.attributes = attributes;
    Ok(object)
}

/// Columns that are not recognised, each as it was read.
pub fn unclaimed<'a>(header: &'a Header, cells: &'a [String]) -> impl Iterator<Item = Attribute> + 'a {
    header
        .columns
        .iter()
        .zip(cells)
        .filter(|(column, text)| {
            let is_kept = matches!(column.field, None | Some(Field::MapId));
            is_kept && !column.title.is_empty() && !value::is_missing(text)
        })
        .map(|(column, text)| Attribute::read(&column.title.as_str().into(), value::typed(text)))
}

fn instance(
    domain: Domain,
    model: InstanceModel,
    at: DVec3,
    vertical: Vertical,
    height_m: f64,
    width_m: f64,
) -> (Class, Domain, Geometry) {
    (Class::PipeNode, domain, Geometry::Instance(Instance { at, vertical, model, height_m, width_m, yaw: 0.0 }))
}

/// A bend or tee lies where its pipes meet and is a little thicker than they are.
fn joint(node: &Node, top: DVec3, vertical: Vertical) -> (Class, Domain, Geometry) {
    let size = (node.ends.largest_m * 1.15).max(0.1);
    let (axis_z, vertical) = node.ends.axis().unwrap_or((top.z - size / 2.0, vertical));
    let at = node.at.extend(axis_z - size / 2.0);
    let is_above = match vertical {
        Vertical::Absolute => node.ground_m.is_some_and(|g| at.z >= g),
        Vertical::AboveTerrain => at.z >= 0.0,
    };
    instance(if is_above { Domain::Above } else { Domain::Below }, InstanceModel::Joint, at, vertical, size, size)
}

/// Depth of a well: as measured, else down to its bottom height, else to the lowest pipe.
fn well_depth(node: &Node, header: &Header, cells: &[String], out: &mut Vec<Attribute>) -> Result<f64, String> {
    let read = |field: Field| -> Result<Option<(f64, &str)>, String> {
        let Some(index) = header.index_of(field) else { return Ok(None) };
        let column = &header.columns[index];
        let text = cells.get(index).map_or("", String::as_str);
        let number =
            value::metres(text, column.unit).map_err(|_| format!("column {}: {text:?} is no depth", column.title))?;
        Ok(number.map(|n| (n, column.title.as_str())))
    };
    if let Some((depth, title)) = read(Field::WellDepth)?.filter(|(depth, _)| *depth > 0.0) {
        if depth > super::DEEPEST_M {
            return Err(format!("column {title}: {depth} m is deeper than {} m", super::DEEPEST_M));
        }
        out.push(Attribute::converted("well_depth_m", Value::Real(depth), title, "metres"));
        return Ok(depth);
    }
    let bottom = read(Field::WellElevation)?;
    if let (Some((bottom, title)), Some(ground)) = (bottom, node.ground_m)
        && (0.0..=super::DEEPEST_M).contains(&(ground - bottom))
        && ground > bottom
    {
        out.push(Attribute::converted(
            "well_depth_m",
            Value::Real(ground - bottom),
            title,
            "ground height minus bottom height",
        ));
        return Ok(ground - bottom);
    }
    let to_lowest = match (node.ends.lowest, node.ground_m) {
        (Some((z, Vertical::Absolute)), Some(ground)) => Some(ground - z),
        (Some((z, Vertical::AboveTerrain)), _) => Some(-z),
        _ => None,
    };
    if let Some(depth) = to_lowest.filter(|d| (0.1..=super::DEEPEST_M).contains(d)) {
        out.push(Attribute::measured(
            "well_depth_m",
            Value::Real(depth),
            "down to the underside of the lowest pipe that ends here",
        ));
        return Ok(depth);
    }
    out.push(Attribute::defaulted(
        "well_depth_m",
        Value::Real(DEFAULT_SHAFT_DEPTH_M),
        "no 井底深 and no pipe that ends here",
    ));
    Ok(DEFAULT_SHAFT_DEPTH_M)
}

fn well_diameter(header: &Header, cells: &[String], out: &mut Vec<Attribute>) -> f64 {
    let read = header.index_of(Field::WellSize).and_then(|index| {
        let column = &header.columns[index];
        let size = value::size(cells.get(index)?, column.unit).ok()??.section.size_m();
        (0.2..=10.0).contains(&size).then_some((size, &column.title))
    });
    if let Some((size, title)) = read {
        out.push(Attribute::converted("well_diameter_m", Value::Real(size), title, "millimetres to metres"));
        return size;
    }
    out.push(Attribute::defaulted("well_diameter_m", Value::Real(DEFAULT_SHAFT_M), "no diameter in the table"));
    DEFAULT_SHAFT_M
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_at_a_point_is_read_from_its_words() {
        for (appurtenance, feature, expected) in [
            ("检查井", "", Thing::Well),
            ("阀门井", "", Thing::Well),
            ("雨水篦", "", Thing::Well),
            ("人孔", "", Thing::Well),
            ("消防栓", "", Thing::Hydrant),
            ("阀门", "", Thing::Valve),
            ("", "弯头", Thing::Joint),
            ("", "三通", Thing::Joint),
            ("接线箱", "", Thing::AboveGround),
            ("Manhole", "", Thing::Well),
        ] {
            assert_eq!(thing(appurtenance, feature), expected, "{appurtenance}{feature}");
        }
    }
}
