//! Pipes, galleries and their nodes out of lines and points with fields.

use glam::DVec3;
use groundline_engine::model::{
    Attribute, Class, Geometry, InstanceModel, PipeKind, Point, Section, Shaft, SourceReport, Tube, Value, Vertical,
};

use super::{
    attribute::{Fields, Number},
    geometry::{Context, Made},
    instance,
};

/// Cover where no depth is known, metres from the ground to the top of the pipe.
const UNKNOWN_COVER_M: f64 = 1.2;
/// Diameter where none is known, metres.
const UNKNOWN_DIAMETER_M: f64 = 0.2;
/// A bare diameter of this much or more is in millimetres: no pipe has 10 m, none that is drawn has 10 mm.
const MILLIMETRES_FROM: f64 = 10.0;
/// The same for tunnels and galleries, where 11.4 is a diameter in metres and 6200 one in millimetres.
const TUNNEL_MILLIMETRES_FROM: f64 = 100.0;
const MAX_SIZE_M: f64 = 20.0;
/// Cover of a gallery of unknown depth, metres.
const GALLERY_COVER_M: f64 = 2.5;
/// Least cover of a tunnel of unknown depth, metres; a larger tunnel has its own height above it.
const TUNNEL_COVER_M: f64 = 3.0;
const MAX_DEPTH_M: f64 = 200.0;

/// One tube per path.
pub(super) fn tubes(
    context: &Context<'_>,
    paths: Vec<Vec<DVec3>>,
    vertical: Vertical,
    fields: &Fields<'_>,
    made: &mut Made,
    report: &mut SourceReport,
) {
    // Traffic and cables run in tunnels and galleries: nothing flows in them.
    let kind = if is_passage(context.class) { PipeKind::Other } else { pipe_kind(context, fields, made) };
    let section = section(context, fields, made, report);
    made.attributes.extend(["material", "owner", "from", "to"].iter().filter_map(|key| fields.read(key)));
    let (from, to) = (fields.text("from").map(str::to_string), fields.text("to").map(str::to_string));
    let ends = match vertical {
        // The source's own heights are taken as the axis.
        Vertical::Absolute => None,
        Vertical::AboveTerrain if paths.iter().flatten().any(|v| v.z != 0.0) => None,
        Vertical::AboveTerrain => Some(axis_depths(context, kind, section.height_m(), fields, made, report)),
    };
    for mut axis in paths {
        if let Some((start, end)) = ends {
            let total: f64 = axis.windows(2).map(|w| w[0].truncate().distance(w[1].truncate())).sum();
            let mut run = 0.0;
            let mut before = axis[0].truncate();
            for vertex in &mut axis {
                run += before.distance(vertex.truncate());
                before = vertex.truncate();
                let along = if total > 0.0 { run / total } else { 0.0 };
                vertex.z = -(start + (end - start) * along);
            }
        }
        made.shapes.push(Geometry::Tube(Tube { axis, vertical, section, from: from.clone(), to: to.clone() }));
    }
}

/// Manholes as shafts, other nodes as the thing they are.
pub(super) fn nodes(
    context: &Context<'_>,
    points: Vec<Point>,
    fields: &Fields<'_>,
    made: &mut Made,
    report: &mut SourceReport,
) {
    pipe_kind(context, fields, made);
    if context.class == Class::Manhole {
        let depth = depth(context, "depth_m", fields, made, report).unwrap_or_else(|| {
            let why = "depth of the manhole unknown: 2 m assumed";
            made.attributes.push(Attribute::defaulted("depth_m", Value::Real(2.0), why));
            2.0
        });
        let diameter_m = fields
            .numbers("diameter_mm")
            .map(|n| size_m(&n, MILLIMETRES_FROM))
            .find(|d| (0.2..=10.0).contains(d))
            .unwrap_or(0.8);
        made.shapes.extend(
            points
                .into_iter()
                .map(|p| Geometry::Shaft(Shaft { top: p.at, vertical: p.vertical, depth_m: depth, diameter_m })),
        );
        return;
    }
    let words = format!("{} {}", context.layer, fields.text("kind").unwrap_or_default()).to_lowercase();
    let has = |names: &[&str]| names.iter().any(|name| words.contains(name));
    let on_ground = |model, height_m, width_m| move |p: Point| instance(p, model, height_m, width_m);
    if has(&["hydrant", "消火栓", "消防栓"]) {
        made.shapes.extend(points.into_iter().map(on_ground(InstanceModel::Hydrant, 0.9, 0.4)));
        return;
    }
    if has(&["tank", "reservoir", "pump", "水塔", "水池", "泵"]) {
        let width =
            fields.numbers("diameter_mm").map(|n| n.metres()).find(|d| (0.5..=200.0).contains(d)).unwrap_or(4.0);
        made.shapes.extend(points.into_iter().map(on_ground(InstanceModel::Marker, 6.0, width)));
        return;
    }
    let model = if has(&["valve", "阀"]) { InstanceModel::Valve } else { InstanceModel::Joint };
    let depth = depth(context, "depth_m", fields, made, report).unwrap_or_else(|| {
        let why = "depth unknown: 1.2 m assumed";
        made.attributes.push(Attribute::defaulted("depth_m", Value::Real(UNKNOWN_COVER_M), why));
        UNKNOWN_COVER_M
    });
    made.shapes.extend(points.into_iter().map(|mut p| {
        if p.vertical == Vertical::AboveTerrain {
            p.at.z = -depth;
        }
        instance(p, model, 0.3, 0.3)
    }));
}

/// What flows in it, by field, by the name of the layer, or by the fields that only pressure networks have.
fn pipe_kind(context: &Context<'_>, fields: &Fields<'_>, made: &mut Made) -> PipeKind {
    let push = |made: &mut Made, kind: PipeKind, field: &str, rule: &str| {
        made.attributes.push(Attribute::converted("pipe_kind", Value::Text(kind.word().into()), field, rule));
        kind
    };
    let texts = fields.texts("pipe_kind").find_map(|text| Some((kind_word(text)?, text)));
    if let (Some((kind, _)), Some(read)) = (texts, fields.read("pipe_kind")) {
        return push(made, kind, &read.field, "pipe kind by word or CJJ 61 code");
    }
    if let Some(kind) = kind_in(context.layer) {
        return push(made, kind, "", "pipe kind by the layer's name");
    }
    if fields.has_any(&["roughness", "minor_loss", "base_demand", "base_head", "init_level", "pump_type"]) {
        return push(made, PipeKind::Water, "", "fields of a drinking-water network");
    }
    let why = "nothing says what flows in it";
    made.attributes.push(Attribute::defaulted("pipe_kind", Value::Text(PipeKind::Other.word().into()), why));
    PipeKind::Other
}

/// A kind by the whole word or the code of CJJ 61.
fn kind_word(text: &str) -> Option<PipeKind> {
    let word = text.trim().to_lowercase();
    let code = KIND_WORDS.iter().find(|(_, code, _)| word == *code || word.starts_with(code) && word.len() <= 4);
    let direct = PipeKind::parse(&word).or_else(|| code.map(|(kind, ..)| *kind));
    direct.or_else(|| kind_in(&word))
}

/// A kind by a word somewhere in a name.
fn kind_in(name: &str) -> Option<PipeKind> {
    let name = name.to_lowercase();
    KIND_WORDS.iter().find(|(.., words)| words.iter().any(|w| name.contains(w))).map(|(kind, ..)| *kind)
}

/// Codes of CJJ 61 and words; what contains others stands first (`sewage water`).
const KIND_WORDS: &[(PipeKind, &str, &[&str])] = &[
    (PipeKind::Combined, "hs", &["combined", "合流"]),
    (PipeKind::Sewage, "ws", &["sewage", "sewer", "wastewater", "污水", "foul"]),
    (PipeKind::Storm, "ys", &["storm", "rainwater", "drain", "雨水"]),
    (PipeKind::Gas, "rq", &["gas", "燃气", "天然气", "煤气"]),
    (PipeKind::Heat, "rl", &["heat", "热力", "供热", "暖气", "steam"]),
    (PipeKind::Power, "dl", &["power", "electric", "电力", "路灯线"]),
    (PipeKind::Telecom, "tx", &["telecom", "communication", "fibre", "fiber", "通信", "电信", "通讯"]),
    (PipeKind::Industrial, "gy", &["industrial", "工业", "oil"]),
    (PipeKind::Water, "js", &["water", "给水", "供水", "自来水", "上水"]),
];

/// Whether people or trains go through it.
fn is_passage(class: Class) -> bool {
    matches!(class, Class::Gallery | Class::Tunnel)
}

fn section(context: &Context<'_>, fields: &Fields<'_>, made: &mut Made, report: &mut SourceReport) -> Section {
    let is_passage = is_passage(context.class);
    let (millimetres_from, least) = if is_passage { (TUNNEL_MILLIMETRES_FROM, 0.3) } else { (MILLIMETRES_FROM, 0.005) };
    let plausible = |size: f64| size > least && size <= MAX_SIZE_M;
    for number in fields.numbers("diameter_mm") {
        let diameter_m = size_m(&number, millimetres_from);
        if plausible(diameter_m) {
            let rule = match number.unit {
                Some(_) => "unit as written".into(),
                None if number.value >= millimetres_from => {
                    format!("{millimetres_from} or more without a unit is millimetres")
                }
                None => format!("less than {millimetres_from} without a unit is metres"),
            };
            let value = Value::Real(diameter_m * 1000.0);
            made.attributes.push(Attribute::converted("diameter_mm", value, number.field, &rule));
            return Section::Circle { diameter_m };
        }
        if number.value != 0.0 {
            let message =
                format!("diameter {} in field {} is not believed; taken as unknown", number.value, number.field);
            report.warn("implausible_diameter", message, format!("record {}", context.record));
        }
    }
    let rect = fields.texts("diameter_mm").find_map(|text| rectangle(text, millimetres_from));
    if let Some((width_m, height_m)) = rect.filter(|(w, h)| plausible(*w) && plausible(*h)) {
        let field = fields.read("diameter_mm").map_or("".into(), |a| a.field);
        for (key, size) in [("width_mm", width_m), ("height_mm", height_m)] {
            let rule = "width × height";
            made.attributes.push(Attribute::converted(key, Value::Real(size * 1000.0), &field, rule));
        }
        return Section::Rect { width_m, height_m };
    }
    if context.class != Class::Pipe {
        let measure = |key: &'static str| {
            let found = fields.numbers(key).find(|n| plausible(n.metres()))?;
            Some((found.metres(), found.attribute_m(key)))
        };
        let sides = (measure("width_m"), measure("height_m"));
        // A tunnel is higher and wider than a gallery.
        let (width, height) = if context.class == Class::Tunnel { (6.0, 5.0) } else { (3.0, 3.0) };
        let assumed = |key: &str, metres: f64| {
            let why = format!("only the other measure is known: {metres} m assumed");
            Attribute::defaulted(key, Value::Real(metres), &why)
        };
        let both = match sides {
            (Some(width), Some(height)) => Some((width, height)),
            (Some(width), None) => Some((width, (height, assumed("height_m", height)))),
            (None, Some(height)) => Some(((width, assumed("width_m", width)), height)),
            (None, None) => None,
        };
        if let Some(((width_m, width), (height_m, height))) = both {
            made.attributes.extend([width, height]);
            return Section::Rect { width_m, height_m };
        }
    }
    let (section, what) = match (context.class, context.said.assumed) {
        (_, Some(assumed)) => (assumed.section, assumed.section_why),
        (Class::Gallery, _) => (Section::Rect { width_m: 3.0, height_m: 3.0 }, "section unknown: 3 × 3 m assumed"),
        (Class::Tunnel, _) => (Section::Circle { diameter_m: 6.2 }, "section unknown: 6.2 m assumed"),
        _ => (Section::Circle { diameter_m: UNKNOWN_DIAMETER_M }, "diameter unknown: 200 mm assumed"),
    };
    let size = Value::Real(section.size_m() * 1000.0);
    made.attributes.push(Attribute::defaulted("diameter_mm", size, what));
    section
}

fn size_m(number: &Number<'_>, millimetres_from: f64) -> f64 {
    match number.unit {
        Some(unit) => number.value * unit.metres(),
        None if number.value >= millimetres_from => number.value / 1000.0,
        None => number.value,
    }
}

/// `300x200`, `300×200`, `300*200`: width and height in metres.
fn rectangle(text: &str, millimetres_from: f64) -> Option<(f64, f64)> {
    let (width, height) = text.trim().split_once(['x', 'X', '×', '*'])?;
    let metres = |n: &str| {
        let n: f64 = n.trim().trim_end_matches("mm").trim().parse().ok()?;
        Some(if n >= millimetres_from { n / 1000.0 } else { n })
    };
    Some((metres(width)?, metres(height)?))
}

/// Cover of a line of unknown depth.
fn unknown_cover_m(class: Class, height_m: f64) -> f64 {
    match class {
        Class::Gallery => GALLERY_COVER_M,
        Class::Tunnel => height_m.max(TUNNEL_COVER_M),
        _ => UNKNOWN_COVER_M,
    }
}

/// Depth of the axis below the ground at start and end. A depth reaches to the top of a pressure pipe and to the invert
/// of a gravity pipe (CJJ 61-2017 5.3).
fn axis_depths(
    context: &Context<'_>,
    kind: PipeKind,
    height_m: f64,
    fields: &Fields<'_>,
    made: &mut Made,
    report: &mut SourceReport,
) -> (f64, f64) {
    let is_gravity = matches!(kind, PipeKind::Storm | PipeKind::Sewage | PipeKind::Combined);
    let half = if is_gravity { -height_m / 2.0 } else { height_m / 2.0 };
    let whole = depth(context, "depth_m", fields, made, report);
    let start = depth(context, "depth_start_m", fields, made, report).or(whole);
    let end = depth(context, "depth_end_m", fields, made, report).or(whole);
    match (start.or(end), end.or(start)) {
        (Some(start), Some(end)) => (start + half, end + half),
        _ if context.said.assumed.is_some() => {
            let (cover_m, why) = context.said.assumed.map_or((0.0, ""), |a| (a.cover_m, a.cover_why));
            made.attributes.push(Attribute::defaulted("depth_m", Value::Real(cover_m), why));
            let axis = cover_m + height_m / 2.0;
            (axis, axis)
        }
        _ => {
            let cover = unknown_cover_m(context.class, height_m);
            let why = format!("depth unknown: {cover} m of cover assumed");
            made.attributes.push(Attribute::defaulted("depth_m", Value::Real(cover), &why));
            report.warn(
                "depth_defaulted",
                format!("lines of unknown depth are drawn with {cover} m of cover"),
                format!("record {}", context.record),
            );
            let axis = cover + height_m / 2.0;
            (axis, axis)
        }
    }
}

fn depth(
    context: &Context<'_>,
    key: &'static str,
    fields: &Fields<'_>,
    made: &mut Made,
    report: &mut SourceReport,
) -> Option<f64> {
    for number in fields.numbers(key) {
        let metres = number.metres();
        if (0.0..=MAX_DEPTH_M).contains(&metres) {
            made.attributes.push(number.attribute_m(key));
            return Some(metres);
        }
        let message = format!("depth {metres} m in field {} is not believed; taken as unknown", number.field);
        report.warn("implausible_depth", message, format!("record {}", context.record));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_word_and_by_code() {
        for (text, kind) in [
            ("给水", PipeKind::Water),
            ("JS", PipeKind::Water),
            ("WS", PipeKind::Sewage),
            ("污水管", PipeKind::Sewage),
            ("雨污合流", PipeKind::Combined),
            ("gas", PipeKind::Gas),
            ("RQ", PipeKind::Gas),
        ] {
            assert_eq!(kind_word(text), Some(kind), "{text}");
        }
        assert_eq!(kind_word("plumbing"), None);
    }

    #[test]
    fn sections_are_read_in_three_signs() {
        for text in ["400x300", "400×300", "0.4*0.3", "400 X 300mm"] {
            assert_eq!(rectangle(text, MILLIMETRES_FROM), Some((0.4, 0.3)), "{text}");
        }
        assert_eq!(rectangle("DN300", MILLIMETRES_FROM), None);
        assert_eq!(rectangle("12x6", TUNNEL_MILLIMETRES_FROM), Some((12.0, 6.0)));
        assert_eq!(rectangle("3400*3000", TUNNEL_MILLIMETRES_FROM), Some((3.4, 3.0)));
    }
}
