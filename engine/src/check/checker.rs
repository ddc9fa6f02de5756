//! Objects in, verdicts out.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
};

use glam::DVec3;
use serde::Serialize;

use super::{
    Rule, Rules, Verdict,
    attribute::{self, Outcome, PASS},
    network::Networks,
    rule::Test,
    shape::{self, Judged},
};
use crate::model::{CityObject, Class, Geometry, SourceReport};

/// Findings of a rule that are kept one by one; all are counted.
const KEPT: usize = 1000;
/// Ids and places that are remembered to find doubles; beyond them none is looked for.
const MOST_REMEMBERED: usize = 16_000_000;

/// What is known of a layer besides its objects.
#[derive(Clone, Debug, Default)]
pub struct LayerFacts {
    /// EPSG code of its plane system, where it has one.
    pub crs: Option<u32>,
    /// EPSG code of its height datum.
    pub vertical: Option<u32>,
}

/// One object that a rule does not pass.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Fail, unknown or review.
    pub verdict: Verdict,
    /// Layer of the object.
    pub layer: String,
    /// Id of the object; empty when it is the layer itself.
    pub id: String,
    /// Record in its source, from 1; 0 = not one record.
    pub record: u64,
    /// Where, in the city's frame.
    pub place: Option<[f64; 3]>,
    /// Edges that are wrong, in the city's frame: where a solid is open.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<[[f64; 3]; 2]>,
    /// What is wrong, in Chinese.
    pub zh: String,
    /// The same in English.
    pub en: String,
}

/// What became of one rule.
#[derive(Clone, Debug)]
pub struct RuleCount {
    /// The rule.
    pub rule: Rule,
    /// Objects that it passes.
    pub pass: u64,
    /// Objects that it fails.
    pub fail: u64,
    /// Objects of which it cannot say.
    pub unknown: u64,
    /// Objects that a person has to look at.
    pub review: u64,
    /// The first of those it does not pass.
    pub findings: Vec<Finding>,
}

/// The account of a check.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Objects looked at.
    pub objects: u64,
    /// Every rule that was used, in the order of the table.
    pub rules: Vec<RuleCount>,
}

impl Checked {
    /// Objects failed by rules of severity error.
    pub fn errors(&self) -> u64 {
        self.rules.iter().filter(|r| r.rule.severity == super::Severity::Error).map(|r| r.fail).sum()
    }
}

/// Checks objects by a table of rules. Memory grows with the numbers of ids, places, lines and nodes (some 100 bytes
/// each), not with shapes and attributes.
pub struct Checker {
    counts: Vec<RuleCount>,
    objects: u64,
    hasher: BuildHasherDefault<DefaultHasher>,
    ids: HashSet<u64>,
    places: HashMap<u64, String>,
    shapes: HashMap<u64, String>,
    /// Objects that name another as their whole: hash of its id, own id, record, layer, class, place.
    children: Vec<Child>,
    networks: Networks,
}

/// An object that is part of another.
struct Child {
    parent: u64,
    name: String,
    id: String,
    record: u64,
    layer: std::sync::Arc<str>,
    class: Class,
    place: Option<DVec3>,
}

impl Checker {
    /// A checker by the enabled rules of a table.
    pub fn new(rules: &Rules) -> Self {
        let count = |rule: &Rule| RuleCount {
            rule: rule.clone(),
            pass: 0,
            fail: 0,
            unknown: 0,
            review: 0,
            findings: Vec::new(),
        };
        Self {
            counts: rules.iter().filter(|r| r.enabled).map(count).collect(),
            objects: 0,
            hasher: BuildHasherDefault::default(),
            ids: HashSet::new(),
            places: HashMap::new(),
            shapes: HashMap::new(),
            children: Vec::new(),
            networks: Networks::default(),
        }
    }

    /// Looks at a layer as such, once.
    pub fn layer(&mut self, name: &str, facts: &LayerFacts) {
        for count in &mut self.counts {
            let outcome = match &count.rule.test {
                Test::LayerName {} => layer_name(name),
                Test::NationalDatum {} => national_datum(facts),
                _ => continue,
            };
            count.note(outcome, name, "", 0, None);
        }
    }

    /// Looks at one object of a layer.
    pub fn push(&mut self, layer: &str, object: &CityObject) {
        self.objects += 1;
        let is_first = self.remember_id(object);
        let kind = object.value("pipe_kind").map(|v| v.to_string()).unwrap_or_default();
        for at in 0..self.counts.len() {
            let rule = &self.counts[at].rule;
            if !rule.applies_to(object.class) || !is_of_kind(rule, &kind) {
                continue;
            }
            let found = match &rule.test {
                Test::UniqueId {} => is_first.map(|is_first| {
                    let double = || (Verdict::Fail, object.id.0.clone(), String::new());
                    of_place((if is_first { PASS } else { double() }, None))
                }),
                Test::SamePlace { tolerance_m } => self.double_place(at, layer, object, *tolerance_m).map(of_place),
                Test::SameShape {} => self.double_shape(at, layer, object).map(of_place),
                test => {
                    let of_attribute = attribute::look(test, object).map(|outcome| of_place((outcome, None)));
                    of_attribute.or_else(|| shape::look(test, object))
                }
            };
            if let Some(Judged { outcome, place, edges }) = found {
                let is_noted = outcome.0 != Verdict::Pass && self.counts[at].findings.len() < KEPT;
                let place = place.or_else(|| middle(object));
                self.counts[at].note(outcome, layer, object.id.as_str(), object.record, place);
                if let Some(finding) = self.counts[at].findings.last_mut().filter(|_| is_noted) {
                    finding.edges = edges.iter().map(|ends| ends.map(|at| at.to_array())).collect();
                }
            }
        }
        self.remember_parent(layer, object);
        self.networks.layer(layer).take(object);
    }

    /// Adds what an import says of a source: skipped records fail, warnings are for a person to look at.
    pub fn import(&mut self, source: &SourceReport) {
        let rule = |id: String, zh: &str, en: &str| Rule {
            id,
            test: Test::Required { fields: Vec::new() },
            classes: Vec::new(),
            pipe_kinds: Vec::new(),
            severity: super::Severity::Error,
            standard: "Groundline".into(),
            clause: String::new(),
            strength: String::new(),
            tag: super::Tag::G,
            enabled: true,
            zh: zh.into(),
            en: en.into(),
        };
        if source.skipped > 0 {
            let at =
                self.count_of(rule("import/skipped".into(), "记录无法读取：{value}", "record cannot be read: {value}"));
            for skip in &source.skips {
                let outcome = (Verdict::Fail, skip.reason.clone(), String::new());
                self.counts[at].note(outcome, &source.layer, "", skip.record, None);
            }
            // Only the first are listed one by one.
            self.counts[at].fail += source.skipped.saturating_sub(source.skips.len() as u64);
        }
        for warning in &source.warnings {
            let mut rule =
                rule(format!("import/{}", warning.code), "读取提示：{value}（{other}）", "reading: {value} ({other})");
            rule.severity = super::Severity::Warning;
            let at = self.count_of(rule);
            let outcome = (Verdict::Review, warning.message.clone(), warning.place.clone());
            self.counts[at].note(outcome, &source.layer, "", 0, None);
            self.counts[at].review += warning.count.saturating_sub(1);
        }
    }

    fn count_of(&mut self, rule: Rule) -> usize {
        if let Some(at) = self.counts.iter().position(|c| c.rule.id == rule.id) {
            return at;
        }
        self.counts.push(RuleCount { rule, pass: 0, fail: 0, unknown: 0, review: 0, findings: Vec::new() });
        self.counts.len() - 1
    }

    /// The account, with what only all objects together show.
    pub fn finish(mut self) -> Checked {
        self.networks.join();
        for count in &mut self.counts {
            let rule = count.rule.clone();
            if matches!(rule.test, Test::ParentExists {}) && self.ids.len() < MOST_REMEMBERED {
                for child in self.children.iter().filter(|child| rule.applies_to(child.class)) {
                    let is_there = self.ids.contains(&child.parent);
                    let outcome = if is_there { PASS } else { (Verdict::Fail, child.name.clone(), String::new()) };
                    count.note(outcome, &child.layer, &child.id, child.record, child.place);
                }
            }
            self.networks.judge(
                &rule.test,
                |class, kind| rule.applies_to(class) && is_of_kind(&rule, kind),
                |layer, judged| {
                    count.note(judged.outcome, layer, judged.id, judged.record, Some(judged.place));
                },
            );
        }
        Checked { objects: self.objects, rules: self.counts }
    }

    fn remember_parent(&mut self, layer: &str, object: &CityObject) {
        let Some(parent) = &object.parent else { return };
        if self.children.len() >= MOST_REMEMBERED || self.ids.len() >= MOST_REMEMBERED {
            return;
        }
        let known = self.children.last().map(|child| &child.layer).filter(|known| &***known == layer);
        self.children.push(Child {
            parent: self.hasher.hash_one(parent.as_str()),
            name: parent.0.clone(),
            id: object.id.0.clone(),
            record: object.record,
            layer: known.cloned().unwrap_or_else(|| layer.into()),
            class: object.class,
            place: middle(object),
        });
    }

    /// Whether no object so far has the id; `None` for parts of one object and beyond what is remembered.
    fn remember_id(&mut self, object: &CityObject) -> Option<bool> {
        if self.ids.len() >= MOST_REMEMBERED {
            return None;
        }
        let is_new = self.ids.insert(self.hasher.hash_one(object.id.as_str()));
        let is_part = matches!(object.geometry, Geometry::Points(_) | Geometry::Heights(_) | Geometry::Picture(_));
        (!is_part).then_some(is_new)
    }

    fn double_place(
        &mut self,
        rule: usize,
        layer: &str,
        object: &CityObject,
        tolerance_m: f64,
    ) -> Option<(Outcome, Option<DVec3>)> {
        let place = match &object.geometry {
            Geometry::Point(point) => point.at,
            Geometry::Instance(instance) => instance.at,
            Geometry::Shaft(shaft) => shaft.top,
            _ => return None,
        };
        if self.places.len() >= MOST_REMEMBERED {
            return None;
        }
        let cell = (place / tolerance_m.max(1e-6)).round().to_array().map(|v| v as i64);
        let key = self.hasher.hash_one((rule, layer, object.class, cell));
        Some((first_or_other(&mut self.places, key, object), Some(place)))
    }

    fn double_shape(&mut self, rule: usize, layer: &str, object: &CityObject) -> Option<(Outcome, Option<DVec3>)> {
        let is_shape = !matches!(
            object.geometry,
            Geometry::None | Geometry::Points(_) | Geometry::Heights(_) | Geometry::Picture(_) | Geometry::Instance(_)
        );
        if !is_shape || self.shapes.len() >= MOST_REMEMBERED {
            return None;
        }
        // The shape as JSON: equal shapes are equal to the last digit.
        let text = serde_json::to_string(&object.geometry).ok()?;
        let key = self.hasher.hash_one((rule, layer, object.class, text));
        Some((first_or_other(&mut self.shapes, key, object), None))
    }
}

fn of_place((outcome, place): (Outcome, Option<DVec3>)) -> Judged {
    Judged { outcome, place, edges: Vec::new() }
}

fn first_or_other(seen: &mut HashMap<u64, String>, key: u64, object: &CityObject) -> Outcome {
    match seen.get(&key) {
        Some(other) => (Verdict::Fail, object.id.0.clone(), other.clone()),
        None => {
            seen.insert(key, object.id.0.clone());
            PASS
        }
    }
}

fn is_of_kind(rule: &Rule, kind: &str) -> bool {
    rule.pipe_kinds.is_empty() || rule.pipe_kinds.iter().any(|k| k == kind)
}

fn middle(object: &CityObject) -> Option<DVec3> {
    let extent = object.geometry.extent();
    (!extent.is_empty()).then(|| extent.centre())
}

impl RuleCount {
    fn note(&mut self, (verdict, value, other): Outcome, layer: &str, id: &str, record: u64, place: Option<DVec3>) {
        match verdict {
            Verdict::Pass => {
                self.pass += 1;
                return;
            }
            Verdict::Fail => self.fail += 1,
            Verdict::Unknown => self.unknown += 1,
            Verdict::Review => self.review += 1,
        }
        if self.findings.len() >= KEPT {
            return;
        }
        let (mut zh, mut en) = (self.rule.zh.clone(), self.rule.en.clone());
        if verdict == Verdict::Unknown {
            (zh, en) = ("无法判定：缺少或仅为推定 {value}".into(), "unknown: {value} is missing or assumed".into());
        }
        let fill = |text: String| text.replace("{value}", &value).replace("{limit}", &other).replace("{other}", &other);
        self.findings.push(Finding {
            verdict,
            layer: layer.into(),
            id: id.into(),
            record,
            place: place.map(|p| p.to_array()),
            edges: Vec::new(),
            zh: fill(zh),
            en: fill(en),
        });
    }
}

/// GB/T 45668—2025 App. A: CLASS_TYPE_CONTENT. Only names that start like one are judged.
fn layer_name(name: &str) -> Outcome {
    const CLASSES: [&str; 6] = ["DXJZ", "DXJT", "DXGX", "ZHGL", "DJJC", "DZSJ"];
    let upper = name.to_uppercase();
    let mut parts = upper.split('_');
    let (class, kind, content) = (parts.next().unwrap_or(""), parts.next(), parts.next());
    if !CLASSES.contains(&class) {
        return PASS;
    }
    let contents: &[&str] =
        if class == "DZSJ" { &["GZ", "GC", "SW", "HJ", "ZY", "ZH", "QT"] } else { &["LS", "XZ", "GH"] };
    let is_right = kind.is_some_and(|k| ["PT", "LN", "PL", "VL", "TX"].contains(&k))
        && content.is_some_and(|c| contents.contains(&c));
    if is_right { PASS } else { (Verdict::Fail, name.into(), format!("{class}_PT|LN|PL|VL|TX_{}", contents.join("|"))) }
}

/// GB/T 45668—2025 4.3.1: CGCS2000 and the 1985 height datum, or a recorded tie to them.
fn national_datum(facts: &LayerFacts) -> Outcome {
    // The 3° and 6° Gauss-Krüger zones of CGCS2000 and its geographic and geocentric systems.
    let is_national = |code: u32| (4479..=4480).contains(&code) || (4490..=4554).contains(&code);
    match (facts.crs, facts.vertical) {
        (None, _) => (Verdict::Unknown, "CRS".into(), String::new()),
        (Some(code), _) if !is_national(code) => (Verdict::Review, format!("EPSG:{code}"), "CGCS2000".into()),
        (Some(_), None) => (Verdict::Unknown, "vertical".into(), String::new()),
        (Some(_), Some(5737)) => PASS,
        (Some(_), Some(code)) => (Verdict::Review, format!("EPSG:{code}"), "EPSG:5737".into()),
    }
}
