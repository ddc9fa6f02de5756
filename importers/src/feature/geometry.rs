//! The shape that a class is drawn with, made of a feature's shape and fields.

use groundline_engine::model::{
    Area, Attribute, Block, Class, Geometry, InstanceModel, Line, Origin, Roof, SourceReport, Value, Vertical,
};

use super::{
    Said, Shape,
    attribute::Fields,
    instance, network,
    shape::{cleaned, points},
    surface,
};

/// Storey height where only storeys are known, metres.
const STOREY_M: f64 = 3.0;
/// Height of a building of which nothing is known: two storeys.
const UNKNOWN_BUILDING_M: f64 = 6.0;
/// No building is higher; the highest stands at 828 m.
const MAX_BUILDING_M: f64 = 1000.0;
const MAX_STOREYS: f64 = 250.0;
/// No road is wider; numbers beyond are lengths or codes.
const MAX_WIDTH_M: f64 = 200.0;
const LANE_M: f64 = 3.5;

/// Where the feature stands.
pub(super) struct Context<'c> {
    pub class: Class,
    pub layer: &'c str,
    pub record: u64,
    pub said: &'c Said,
}

/// What was made of a feature.
pub(super) struct Made {
    /// One shape, or several where the class is drawn one by one.
    pub shapes: Vec<Geometry>,
    /// Standard attributes.
    pub attributes: Vec<Attribute>,
}

impl Context<'_> {
    /// Makes the shapes; the error is the reason to skip the feature.
    pub fn make(&self, mut shape: Shape, fields: &Fields<'_>, report: &mut SourceReport) -> Result<Made, String> {
        let place = || format!("record {}", self.record);
        let was_empty = shape.count() == 0;
        let (polygons, lost) = cleaned(std::mem::take(&mut shape.polygons));
        shape.polygons = polygons;
        if lost > 0 {
            report.warn("ring_without_area", "rings with fewer than three corners or no area were left out", place());
        }
        let lines = shape.lines.len();
        shape.lines.iter_mut().for_each(|path| path.dedup());
        shape.lines.retain(|path| path.len() >= 2);
        if lines > shape.lines.len() {
            report.warn("line_without_length", "lines with fewer than two places were left out", place());
        }
        let faces = shape.triangles.len();
        shape.triangles.retain(surface::has_area);
        if faces > shape.triangles.len() {
            report.warn("face_without_area", "faces without area were left out", place());
        }
        let mut made = Made { shapes: Vec::new(), attributes: Vec::new() };
        if was_empty && self.said.is_shapeless {
            made.shapes.push(Geometry::None);
            return Ok(made);
        }
        if was_empty {
            report.warn("no_geometry", "features without a shape were kept with their attributes", place());
            made.shapes.push(Geometry::None);
            return Ok(made);
        }
        if shape.count() == 0 {
            return Err("its rings or faces have no area or its lines no length".into());
        }
        self.faces(&mut shape, fields, &mut made);
        self.polygons(&mut shape, fields, &mut made, report);
        self.lines(&mut shape, fields, &mut made, report);
        self.points(&shape, fields, &mut made, report);
        Ok(made)
    }

    fn faces(&self, shape: &mut Shape, fields: &Fields<'_>, made: &mut Made) {
        let triangles = std::mem::take(&mut shape.triangles);
        if triangles.is_empty() {
            return;
        }
        let heights = || triangles.iter().flatten().map(|v| v.z);
        let range = heights().fold(f64::NEG_INFINITY, f64::max) - heights().fold(f64::INFINITY, f64::min);
        if self.class == Class::Building {
            made.attributes.push(Attribute::measured("height_m", Value::Real(range), "z range of the faces"));
            let others = ["storeys", "storeys_below", "year_built"];
            made.attributes.extend(others.iter().filter_map(|key| fields.read(key)));
        }
        made.shapes.push(Geometry::Mesh(surface::mesh(&triangles, self.class)));
    }

    fn vertical(&self, shape: &Shape) -> Vertical {
        self.said.vertical.unwrap_or_else(|| shape.vertical())
    }

    fn polygons(&self, shape: &mut Shape, fields: &Fields<'_>, made: &mut Made, report: &mut SourceReport) {
        if shape.polygons.is_empty() {
            return;
        }
        let vertical = self.vertical(shape);
        let polygons = std::mem::take(&mut shape.polygons);
        if self.said.is_flat || !matches!(self.class, Class::Building | Class::Station) {
            made.shapes.push(Geometry::Area(Area { polygons, vertical }));
            return;
        }
        let lowest = polygons.iter().flat_map(|p| &p.outer).map(|v| v.z).fold(f64::INFINITY, f64::min);
        let base = fields.numbers("base_m").map(|n| (n.metres(), n.attribute_m("base_m"))).next();
        let base_m = match (vertical, base) {
            // The z of a station's outline may be that of its roof; a field that names the floor is surer.
            (_, Some((metres, attribute))) if self.class == Class::Station => {
                made.attributes.push(attribute);
                Some(metres)
            }
            (Vertical::Absolute, _) => {
                made.attributes.push(Attribute::measured("base_m", Value::Real(lowest), "lowest z of the footprint"));
                Some(lowest)
            }
            (_, Some((metres, attribute))) => {
                made.attributes.push(attribute);
                Some(metres)
            }
            _ => None,
        };
        let storeys = self.storeys(fields, made, report);
        let mut height_m = match self.height_between(base_m, fields, made) {
            Some(metres) => metres,
            None => self.building_height(fields, storeys, made, report),
        };
        let lift_m = self.lift(fields, storeys, &mut height_m, made, report);
        made.attributes.extend(["year_built", "storeys_below"].iter().filter_map(|key| fields.read(key)));
        let roof = fields.text("roof").and_then(roof);
        made.shapes.push(Geometry::Block(Block { footprint: polygons, base_m, height_m, lift_m, storeys, roof }));
    }

    /// Where the body begins above its base: `min_height`, else the first storey (`building:min_level`). Heights and
    /// storeys count from the base, as OpenStreetMap's Simple 3D Buildings have it.
    fn lift(
        &self,
        fields: &Fields<'_>,
        storeys: Option<u16>,
        height_m: &mut f64,
        made: &mut Made,
        report: &mut SourceReport,
    ) -> f64 {
        let attribute = match (fields.numbers("min_height_m").next(), fields.numbers("first_storey").next()) {
            (Some(number), _) => number.attribute_m("min_height_m"),
            (None, Some(number)) => {
                let storey = storeys.map_or(STOREY_M, |n| *height_m / f64::from(n.max(1)));
                let rule =
                    if storeys.is_some() { "first storey × height of a storey" } else { "first storey × 3.0 m" };
                Attribute::converted("min_height_m", Value::Real(number.value * storey), number.field, rule)
            }
            (None, None) => return 0.0,
        };
        let lift = attribute.value.as_f64().unwrap_or(0.0);
        if lift == 0.0 {
            return 0.0;
        }
        let place = || format!("record {}", self.record);
        if !(lift > 0.0 && lift < MAX_BUILDING_M) {
            let message = format!("a beginning of {lift} m above the ground is not believed; drawn from the ground up");
            report.warn("implausible_min_height", message, place());
            return 0.0;
        }
        if lift >= *height_m {
            let known = made.attributes.iter_mut().find(|a| &*a.key == "height_m");
            match known.map(|a| (a.is_defaulted(), matches!(a.origin, Origin::Converted(_)), a)) {
                Some((true, _, assumed)) => {
                    *height_m = lift + STOREY_M;
                    let why = "neither height nor storeys known: one storey above its beginning assumed";
                    *assumed = Attribute::defaulted("height_m", Value::Real(*height_m), why);
                }
                // Storeys of the part alone, not from the ground.
                Some((_, true, made)) if storeys.is_some() => {
                    *height_m += lift;
                    let rule = "min_height + storeys × 3.0 m: the storeys end below where it begins";
                    *made = Attribute::converted("height_m", Value::Real(*height_m), &made.field, rule);
                }
                _ => {
                    let message = "buildings that begin above their top (min_height); drawn from the ground up";
                    report.warn("min_height_above_top", message, place());
                    return 0.0;
                }
            }
        }
        made.attributes.push(attribute);
        lift
    }

    /// Height from the floor to a roof whose level a field names.
    fn height_between(&self, base_m: Option<f64>, fields: &Fields<'_>, made: &mut Made) -> Option<f64> {
        let base = base_m?;
        let top = fields.numbers("top_m").next()?;
        let metres = top.metres() - base;
        if !(metres > 0.0 && metres <= MAX_BUILDING_M) {
            return None;
        }
        made.attributes.push(top.attribute_m("top_m"));
        made.attributes.push(Attribute::measured("height_m", Value::Real(metres), "top_m − base_m"));
        Some(metres)
    }

    fn storeys(&self, fields: &Fields<'_>, made: &mut Made, report: &mut SourceReport) -> Option<u16> {
        // `6F` and `6层` are storeys too.
        let from_text = fields.texts("storeys").filter_map(|text| {
            let digits = text.trim().trim_end_matches(['F', 'f', '层', '楼']).trim();
            digits.parse::<f64>().ok()
        });
        let from_number = fields.numbers("storeys").map(|n| n.value);
        let storeys = from_number.chain(from_text).find(|n| *n >= 1.0)?;
        if storeys > MAX_STOREYS {
            let message = format!("{storeys} storeys are not believed; taken as unknown");
            report.warn("implausible_storeys", message, format!("record {}", self.record));
            return None;
        }
        let field = fields.read("storeys").map_or("".into(), |a| a.field);
        let whole = storeys.round() as u16;
        made.attributes.push(Attribute {
            key: "storeys".into(),
            value: Value::Int(i64::from(whole)),
            field,
            origin: Origin::Read,
        });
        Some(whole)
    }

    fn building_height(
        &self,
        fields: &Fields<'_>,
        storeys: Option<u16>,
        made: &mut Made,
        report: &mut SourceReport,
    ) -> f64 {
        if let Some(metres) = self.said.height_m.filter(|metres| *metres > 0.0 && *metres <= MAX_BUILDING_M) {
            return metres;
        }
        for number in fields.numbers("height_m") {
            let metres = number.metres();
            if metres > MAX_BUILDING_M {
                let message = format!("height {metres} m in field {} is not believed; taken as unknown", number.field);
                report.warn("implausible_height", message, format!("record {}", self.record));
            } else if metres > 0.0 {
                made.attributes.push(number.attribute_m("height_m"));
                return metres;
            }
        }
        if let Some(storeys) = storeys {
            let metres = f64::from(storeys) * STOREY_M;
            let field = fields.read("storeys").map_or("".into(), |a| a.field);
            let rule = "storeys × 3.0 m";
            made.attributes.push(Attribute::converted("height_m", Value::Real(metres), &field, rule));
            return metres;
        }
        let why = "neither height nor storeys known: 6 m assumed";
        made.attributes.push(Attribute::defaulted("height_m", Value::Real(UNKNOWN_BUILDING_M), why));
        report.warn(
            "height_defaulted",
            "buildings of unknown height and storeys are drawn 6 m high",
            format!("record {}", self.record),
        );
        UNKNOWN_BUILDING_M
    }

    fn lines(&self, shape: &mut Shape, fields: &Fields<'_>, made: &mut Made, report: &mut SourceReport) {
        if shape.lines.is_empty() {
            return;
        }
        let vertical = self.vertical(shape);
        let paths = std::mem::take(&mut shape.lines);
        if matches!(self.class, Class::Pipe | Class::Gallery | Class::Tunnel) {
            network::tubes(self, paths, vertical, fields, made, report);
            return;
        }
        let width_m = match self.class {
            Class::Road | Class::Railway | Class::Water | Class::Bridge => self.width(fields, made),
            _ => 0.0,
        };
        made.shapes.push(Geometry::Line(Line { paths, vertical, width_m }));
    }

    fn width(&self, fields: &Fields<'_>, made: &mut Made) -> f64 {
        let plausible = |metres: f64| metres > 0.0 && metres <= MAX_WIDTH_M;
        if let Some(number) = fields.numbers("width_m").find(|n| plausible(n.metres())) {
            made.attributes.push(number.attribute_m("width_m"));
            return number.metres();
        }
        if let Some(lanes) = fields.numbers("lanes").find(|n| (1.0..=20.0).contains(&n.value)) {
            let metres = lanes.value * LANE_M;
            let rule = "lanes × 3.5 m";
            made.attributes.push(Attribute::converted("width_m", Value::Real(metres), lanes.field, rule));
            return metres;
        }
        let kind = fields.text("kind").unwrap_or_default().trim().to_lowercase();
        let known = WIDTHS.iter().find(|(class, kinds, _)| *class == self.class && kinds.contains(&kind.as_str()));
        let (metres, why) = match (known, self.class) {
            (Some((_, _, metres)), _) => (*metres, format!("width unknown: usual for {kind}")),
            (None, Class::Railway) => (3.0, "width unknown: one track assumed".into()),
            (None, Class::Water) => (4.0, "width unknown: 4 m assumed".into()),
            (None, _) => (7.0, "width unknown: two lanes assumed".into()),
        };
        made.attributes.push(Attribute::defaulted("width_m", Value::Real(metres), &why));
        metres
    }

    fn points(&self, shape: &Shape, fields: &Fields<'_>, made: &mut Made, report: &mut SourceReport) {
        if shape.points.is_empty() {
            return;
        }
        let points = points(shape, self.vertical(shape));
        match self.class {
            Class::Tree => {
                let height = self.thing_height(fields, "tree", 8.0, 60.0, made);
                let crown = fields.numbers("crown_m").find(|n| n.metres() > 0.0 && n.metres() <= 40.0);
                let width_m = match crown {
                    Some(number) => {
                        made.attributes.push(number.attribute_m("crown_m"));
                        number.metres()
                    }
                    None => {
                        let metres = height * 0.6;
                        let why = "crown unknown: 0.6 × height";
                        made.attributes.push(Attribute::defaulted("crown_m", Value::Real(metres), why));
                        metres
                    }
                };
                let model = if is_conifer(fields) { InstanceModel::ConiferTree } else { InstanceModel::BroadleafTree };
                made.shapes.extend(points.into_iter().map(|p| instance(p, model, height, width_m)));
            }
            Class::Lamp => {
                let height = self.thing_height(fields, "lamp", 9.0, 60.0, made);
                made.shapes.extend(points.into_iter().map(|p| instance(p, InstanceModel::Lamp, height, height * 0.25)));
            }
            Class::Furniture => {
                let height = self.thing_height(fields, "thing", 1.2, 60.0, made);
                made.shapes.extend(points.into_iter().map(|p| instance(p, InstanceModel::Marker, height, 0.6)));
            }
            Class::PipeNode | Class::Manhole => network::nodes(self, points, fields, made, report),
            _ => made.shapes.extend(points.into_iter().map(Geometry::Point)),
        }
    }

    fn thing_height(&self, fields: &Fields<'_>, what: &str, usual_m: f64, most_m: f64, made: &mut Made) -> f64 {
        if let Some(number) = fields.numbers("height_m").find(|n| n.metres() > 0.0 && n.metres() <= most_m) {
            made.attributes.push(number.attribute_m("height_m"));
            return number.metres();
        }
        let why = format!("height of the {what} unknown: {usual_m} m assumed");
        made.attributes.push(Attribute::defaulted("height_m", Value::Real(usual_m), &why));
        usual_m
    }
}

fn is_conifer(fields: &Fields<'_>) -> bool {
    let has = |text: &str| {
        let text = text.to_lowercase();
        ["needle", "pinus", "picea", "abies", "cedrus", "larix", "juniper", "conifer", "松", "柏", "杉"]
            .iter()
            .any(|word| text.contains(word))
    };
    fields.texts("leaf").chain(fields.texts("species")).any(has)
}

fn roof(text: &str) -> Option<Roof> {
    match text.trim().to_lowercase().as_str() {
        "flat" | "平顶" | "平屋顶" => Some(Roof::Flat),
        "gabled" | "gable" | "坡顶" | "坡屋顶" | "双坡" | "人字顶" => Some(Roof::Gable),
        "hipped" | "hip" | "pyramidal" | "四坡" => Some(Roof::Hip),
        _ => None,
    }
}

/// Usual widths by kind, metres, edge to edge.
#[rustfmt::skip]
const WIDTHS: &[(Class, &[&str], f64)] = &[
    (Class::Road, &["motorway", "高速公路", "高速"], 24.0),
    (Class::Road, &["trunk", "快速路"], 20.0),
    (Class::Road, &["primary", "主干路", "主干道"], 16.0),
    (Class::Road, &["secondary", "次干路", "次干道"], 12.0),
    (Class::Road, &["tertiary", "支路"], 9.0),
    (Class::Road, &["motorway_link", "trunk_link", "primary_link", "secondary_link", "tertiary_link", "匝道"], 6.0),
    (Class::Road, &["residential", "unclassified", "living_street", "小区路"], 6.0),
    (Class::Road, &["service", "track", "胡同", "巷"], 3.5),
    (Class::Road, &["pedestrian"], 5.0),
    (Class::Road, &["footway", "path", "cycleway", "steps", "bridleway", "corridor", "人行道"], 2.0),
    (Class::Railway, &["tram", "narrow_gauge"], 2.6),
    (Class::Water, &["river", "河流"], 20.0),
    (Class::Water, &["canal", "运河"], 10.0),
    (Class::Water, &["stream"], 3.0),
    (Class::Water, &["drain", "ditch"], 1.5),
];
