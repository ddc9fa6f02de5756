//! Boreholes and their strata as objects, whatever file they came from.
//!
//! A borehole is a shaft from the ground to its final depth, a stratum a piece of tube along it whose parent is the
//! borehole. Depths are measured along the hole; a hole is upright unless its source says that it is inclined.

use glam::{DVec2, DVec3};
use groundline_engine::model::{
    Attribute, CityObject, Class, Geometry, ObjectId, Point, Section, Shaft, SourceReport, Tube, Value, Vertical,
};

/// Width that a stratum is drawn with, metres: the hole itself is too thin to be seen.
const DRAWN_STRATUM_M: f64 = 0.5;
/// Width that a hole is drawn with, metres; less than its strata, so that it shows where none was described.
const DRAWN_HOLE_M: f64 = 0.3;
/// No borehole of a city is deeper, metres.
pub(crate) const DEEPEST_M: f64 = 6000.0;
/// Holes of one investigation lie within this of each other, metres; one that does not has a slip in its digits.
const FARTHEST_M: f64 = 50_000.0;

/// A piece of a hole that is straight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Leg {
    /// Depth along the hole at which it begins, metres.
    pub from_m: f64,
    /// Direction that it goes, of length 1.
    pub direction: DVec3,
}

impl Leg {
    /// By azimuth (degrees from north, clockwise) and dip below the horizontal (degrees, 90 = straight down).
    pub fn of_angles(from_m: f64, azimuth_deg: f64, dip_deg: f64) -> Self {
        let (azimuth, dip) = (azimuth_deg.to_radians(), dip_deg.to_radians());
        let direction = DVec3::new(azimuth.sin() * dip.cos(), azimuth.cos() * dip.cos(), -dip.sin());
        Self { from_m, direction }
    }
}

/// A borehole with its place in the city.
#[derive(Clone, Debug)]
pub(crate) struct Hole {
    /// Id as the source has it.
    pub id: String,
    /// Line or row that defines it.
    pub line: u64,
    pub at: DVec2,
    /// Height of the ground, where known.
    pub ground_m: Option<f64>,
    /// Final depth, where known.
    pub depth_m: Option<f64>,
    /// Inclined pieces; empty when it is upright.
    pub legs: Vec<Leg>,
}

impl Hole {
    /// How heights along it are to be read.
    pub fn vertical(&self) -> Vertical {
        if self.ground_m.is_some() { Vertical::Absolute } else { Vertical::AboveTerrain }
    }

    /// The place at a depth along the hole.
    pub fn point(&self, depth_m: f64) -> DVec3 {
        let mut at = self.at.extend(self.ground_m.unwrap_or(0.0));
        let mut reached = 0.0;
        let mut direction = DVec3::NEG_Z;
        for leg in &self.legs {
            let from = leg.from_m.clamp(reached, depth_m.max(reached));
            at += direction * (from - reached);
            reached = from;
            direction = leg.direction;
        }
        at + direction * (depth_m - reached)
    }

    /// Depths at which it bends, between two depths.
    fn bends(&self, from_m: f64, to_m: f64) -> impl Iterator<Item = f64> + '_ {
        self.legs.iter().map(|leg| leg.from_m).filter(move |at| *at > from_m && *at < to_m)
    }

    fn tube(&self, from_m: f64, to_m: f64, diameter_m: f64) -> Tube {
        let depths = std::iter::once(from_m).chain(self.bends(from_m, to_m)).chain([to_m]);
        let axis = depths.map(|depth| self.point(depth)).collect();
        Tube { axis, vertical: self.vertical(), section: Section::Circle { diameter_m }, from: None, to: None }
    }

    /// The object's id.
    pub fn object_id(&self, layer: &str) -> ObjectId {
        ObjectId::new(layer, &self.id)
    }

    /// The hole as an object: a shaft, a tube when it is inclined, a point when its depth is not known.
    pub fn object(&self, layer: &str) -> CityObject {
        let top = self.point(0.0);
        let geometry = match self.depth_m.filter(|depth| *depth > 0.0) {
            None => Geometry::Point(Point { at: top, vertical: self.vertical() }),
            Some(depth_m) if self.legs.is_empty() => {
                Geometry::Shaft(Shaft { top, vertical: self.vertical(), depth_m, diameter_m: DRAWN_HOLE_M })
            }
            Some(depth_m) => Geometry::Tube(self.tube(0.0, depth_m, DRAWN_HOLE_M)),
        };
        let mut object = CityObject::new(self.object_id(layer), Class::Borehole, geometry);
        object.name = Some(self.id.clone());
        object.record = self.line;
        if self.depth_m.is_some_and(|depth| depth > 0.0) {
            object.attributes.push(drawn(DRAWN_HOLE_M));
        }
        object
    }

    /// A stratum of the hole between two depths, with the attributes that follow from them. `words` are what the source
    /// calls it, the most telling first.
    pub fn stratum(&self, layer: &str, [top_m, base_m]: [f64; 2], words: &[&str]) -> CityObject {
        let id = ObjectId::new(layer, format!("{}/{}-{}", self.id, depth_word(top_m), depth_word(base_m)));
        let mut object = CityObject::new(id, Class::Stratum, Geometry::Tube(self.tube(top_m, base_m, DRAWN_STRATUM_M)));
        object.parent = Some(self.object_id(layer));
        let out = &mut object.attributes;
        let measured = |key: &str, metres: f64, rule: &str| {
            Attribute::measured(key, Value::Real((metres * 1e6).round() / 1e6), rule)
        };
        out.push(measured("thickness_m", base_m - top_m, "base minus top, along the hole"));
        if self.ground_m.is_some() {
            out.push(measured("z_top_m", self.point(top_m).z, "height of the ground minus depth"));
            out.push(measured("z_base_m", self.point(base_m).z, "height of the ground minus depth"));
        }
        if let Some((soil, word)) = words.iter().find_map(|text| soil_of(text)) {
            let rule = format!("principal soil or rock by the word {word}");
            out.push(Attribute::measured("soil", Value::Text(soil.into()), &rule));
        }
        out.push(drawn(DRAWN_STRATUM_M));
        object
    }
}

fn drawn(diameter_m: f64) -> Attribute {
    let why = "drawn wide enough to be seen; the hole is narrower";
    Attribute::defaulted("drawn_diameter_m", Value::Real(diameter_m), why)
}

/// A depth as part of an id: `2.5`, never `2.500001`.
fn depth_word(metres: f64) -> String {
    format!("{}", (metres * 1000.0).round() / 1000.0)
}

/// The hole that lies farther from the middle of all than an investigation reaches, with the distance in metres.
fn stray<'h>(holes: impl Iterator<Item = &'h Hole> + Clone) -> Option<(&'h Hole, f64)> {
    let middle = |axis: fn(&Hole) -> f64| {
        let mut all: Vec<f64> = holes.clone().map(axis).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied()
    };
    let middle = DVec2::new(middle(|h| h.at.x)?, middle(|h| h.at.y)?);
    let distance = |hole: &Hole| hole.at.distance(middle);
    let farthest = holes.max_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    (distance(farthest) > FARTHEST_M).then(|| (farthest, distance(farthest)))
}

/// Two holes at one and the same place, with how many holes share theirs.
fn twins<'h>(holes: impl Iterator<Item = &'h Hole>) -> Option<(&'h Hole, &'h Hole, usize)> {
    let mut all: Vec<&Hole> = holes.collect();
    all.sort_by(|a, b| a.at.x.total_cmp(&b.at.x).then(a.at.y.total_cmp(&b.at.y)).then(a.line.cmp(&b.line)));
    let same = all.windows(2).filter(|pair| pair[0].at == pair[1].at);
    let (first, count) = (same.clone().next()?, same.count());
    Some((first[0], first[1], count))
}

/// Tells the report what looks wrong in the places of the holes of a source.
pub(crate) fn examine<'h>(holes: impl Iterator<Item = &'h Hole> + Clone, report: &mut SourceReport) {
    if let Some((hole, distance)) = stray(holes.clone()) {
        let message = format!(
            "hole {} lies {:.0} km from the others: a digit of its coordinates may be wrong",
            hole.id,
            distance / 1000.0
        );
        report.warn("far_from_others", message, format!("line {}", hole.line));
    }
    if let Some((one, other, count)) = twins(holes) {
        let message = format!("{count} of the holes stand where another does, such as {} and {}", one.id, other.id);
        report.warn("same_place", message, format!("line {}", other.line));
    }
}

/// What is wrong with the depths of the strata of one hole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Coverage {
    /// Metres described twice.
    pub overlap_m: f64,
    /// Metres of the hole that no stratum describes.
    pub gap_m: f64,
    /// Deepest base.
    pub deepest_m: f64,
}

impl Coverage {
    /// Looks at pairs of top and base; sorts them.
    pub fn of(strata: &mut [(f64, f64)], depth_m: Option<f64>) -> Self {
        strata.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut coverage = Coverage::default();
        for (top, base) in strata {
            coverage.overlap_m += (coverage.deepest_m.min(*base) - *top).max(0.0);
            coverage.gap_m += (*top - coverage.deepest_m).max(0.0);
            coverage.deepest_m = coverage.deepest_m.max(*base);
        }
        coverage.gap_m += depth_m.map_or(0.0, |depth| (depth - coverage.deepest_m).max(0.0));
        coverage
    }
}

/// Soils and rocks by the words that logs use. The English ones stand in capitals where they are the principal soil
/// (BS 5930); the Chinese ones are names after GB 50021. What contains others stands first.
#[rustfmt::skip]
const SOILS: &[(&str, &[&str])] = &[
    ("made_ground", &["MADE GROUND", "FILL", "填土", "杂填", "素填", "冲填"]),
    ("topsoil", &["TOPSOIL", "耕土", "表土", "种植土", "耕植土"]),
    ("concrete", &["CONCRETE", "TARMAC", "TARMACADAM", "ASPHALT", "BITMAC", "混凝土", "沥青"]),
    ("rock", &[
        "SANDSTONE", "MUDSTONE", "SILTSTONE", "LIMESTONE", "CHALK", "COAL", "SHALE", "GRANITE", "BASALT", "DOLERITE", "SLATE", "BEDROCK", "ROCK",
        "岩", "基岩", "煤",
    ]),
    ("peat", &["PEAT", "泥炭", "有机质土"]),
    ("mud", &["MUD", "ALLUVIUM", "淤泥", "淤质"]),
    ("cobbles", &["COBBLES", "BOULDERS", "卵石", "漂石", "块石", "碎石"]),
    ("gravel", &["GRAVEL", "BALLAST", "圆砾", "角砾", "砾石", "砾"]),
    ("clay", &["粉质黏土", "粉质粘土", "黏土", "粘土", "亚黏土", "亚粘土", "CLAY"]),
    ("silt", &["粉土", "亚砂土", "轻亚粘土", "SILT"]),
    ("sand", &["粉砂", "细砂", "中砂", "粗砂", "砾砂", "砂", "SAND"]),
];

/// The principal soil of a text and the word that said so.
fn soil_of(text: &str) -> Option<(&'static str, &'static str)> {
    let found = SOILS.iter().find_map(|(soil, words)| {
        let word =
            words.iter().find(|word| if word.is_ascii() { has_word(text, word) } else { text.contains(**word) })?;
        Some((*soil, *word))
    });
    // `砾砂` is a sand and `含砾` says what else is in it.
    match found {
        Some(("gravel", "砾")) if text.contains('砂') => Some(("sand", "砂")),
        found => found,
    }
}

/// Whether a word in capitals stands in a text as a word of its own.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|t| t.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(legs: Vec<Leg>) -> Hole {
        let at = DVec2::new(100.0, 200.0);
        Hole { id: "BH1".into(), line: 1, at, ground_m: Some(50.0), depth_m: Some(20.0), legs }
    }

    #[test]
    fn an_inclined_hole_leaves_its_place() {
        assert_eq!(hole(vec![]).point(10.0), DVec3::new(100.0, 200.0, 40.0));
        // Towards the east, 30° below the horizontal, from 5 m on.
        let bent = hole(vec![Leg::of_angles(5.0, 90.0, 30.0)]);
        let at = bent.point(15.0);
        assert!((at - DVec3::new(100.0 + 10.0 * 0.75_f64.sqrt(), 200.0, 50.0 - 5.0 - 5.0)).length() < 1e-9, "{at}");
        let Geometry::Tube(tube) = bent.object("t").geometry else { panic!() };
        assert_eq!(tube.axis.len(), 3);
        assert!(matches!(hole(vec![]).object("t").geometry, Geometry::Shaft(s) if s.depth_m == 20.0));
    }

    #[test]
    fn a_stratum_lies_at_its_depth_and_belongs_to_its_hole() {
        let object = hole(vec![]).stratum("t", [2.5, 4.0], &["Stiff brown sandy CLAY with gravel"]);
        assert_eq!(object.id.as_str(), "t/BH1/2.5-4");
        assert_eq!(object.parent.as_ref().map(|p| p.as_str()), Some("t/BH1"));
        assert_eq!(object.value("z_base_m"), Some(&Value::Real(46.0)));
        assert_eq!(object.value("soil"), Some(&Value::Text("clay".into())));
        assert_eq!(object.geometry.extent().min.z, 46.0 - 0.25);
    }

    #[test]
    fn the_principal_soil_stands_in_capitals_or_in_chinese() {
        for (word, _) in SOILS {
            assert!(groundline_engine::model::Soil::parse(word).is_some(), "{word} has no colour");
        }
        for (text, soil) in [
            ("MADE GROUND: Dark brown sandy GRAVEL of brick", Some("made_ground")),
            ("Brown clayey, sandy slightly gravelly TOPSOIL.", Some("topsoil")),
            ("Light brown slightly gravelly SAND", Some("sand")),
            ("Weak red SANDSTONE", Some("rock")),
            ("soft clay", None),
            ("②1粉质黏土", Some("clay")),
            ("杂填土", Some("made_ground")),
            ("砾砂", Some("sand")),
            ("中风化花岗岩", Some("rock")),
            ("淤泥质粉质黏土", Some("mud")),
            ("卵石", Some("cobbles")),
        ] {
            assert_eq!(soil_of(text).map(|(soil, _)| soil), soil, "{text}");
        }
    }

    #[test]
    fn gaps_and_overlaps_of_strata_are_measured() {
        let coverage = Coverage::of(&mut [(4.0, 10.0), (0.0, 2.0), (1.0, 3.0)], Some(12.0));
        assert_eq!(coverage, Coverage { overlap_m: 1.0, gap_m: 1.0 + 2.0, deepest_m: 10.0 });
    }
}
