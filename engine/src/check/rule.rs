//! Rules as data.

use serde::{Deserialize, Serialize};

use crate::model::Class;

/// The table that comes with Groundline.
const STANDARD: &str = include_str!("../../../assets/rules/survey.toml");
/// Rules that a table may hold.
const MOST_RULES: usize = 10_000;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The data are wrong.
    Error,
    /// The data are probably wrong.
    Warning,
    /// Worth a look.
    Advice,
}

/// How sure the figure of a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tag {
    /// The text of the standard was read.
    F,
    /// A named secondary source quotes it.
    S,
    /// Practice of one firm or product; no standard.
    P,
    /// General knowledge, not confirmed.
    K,
    /// Computed or measured.
    M,
    /// Sources contradict each other.
    C,
    /// Groundline's own: without it the data cannot be used.
    G,
}

/// Type of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Type {
    /// Any number, also as text.
    Number,
    /// A number without a fraction.
    Whole,
    /// Anything.
    Text,
}

/// What is tested, with its limits.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "check", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Test {
    /// Every one of these attributes is there; `a|b` asks for one of the two.
    Required {
        /// Attributes.
        fields: Vec<String>,
    },
    /// Exactly one of these attributes is there.
    ExactlyOne {
        /// Attributes.
        fields: Vec<String>,
    },
    /// The attribute is a number within limits.
    Range {
        /// Attribute.
        field: String,
        /// Least.
        min: Option<f64>,
        /// Most.
        max: Option<f64>,
    },
    /// The attribute, where it is there, is of this type.
    Type {
        /// Attribute; `id` is the object's id without its layer.
        field: String,
        /// What it is.
        is: Type,
        /// Most characters, as people count them.
        most_chars: Option<usize>,
    },
    /// One number, divided by another where that is named, lies within limits.
    Ratio {
        /// Attribute above.
        field: String,
        /// Attribute below.
        by: String,
        /// Least.
        min: Option<f64>,
        /// Most.
        max: Option<f64>,
    },
    /// The attribute is one of these words.
    Values {
        /// Attribute.
        field: String,
        /// Words, compared without case and blanks at the ends.
        values: Vec<String>,
    },
    /// No other object has the id.
    UniqueId {},
    /// The object that it is part of is there.
    ParentExists {},
    /// No other object of the layer and class lies at the same place.
    SamePlace {
        /// Places closer than this are the same, metres.
        tolerance_m: f64,
    },
    /// No other object of the layer has exactly this shape.
    SameShape {},
    /// Rings of areas and footprints do not cross themselves or each other and enclose an area.
    SimpleRings {},
    /// Every edge of a mesh belongs to two triangles or more: nothing is open.
    ClosedSolid {
        /// Corners closer than this are one, metres.
        tolerance_m: f64,
    },
    /// No edge of a mesh belongs to more than two triangles, and two run through it in opposite directions.
    ManifoldSolid {
        /// Corners closer than this are one, metres.
        tolerance_m: f64,
    },
    /// The length of a line in space lies within limits.
    Length {
        /// Least, metres.
        min: Option<f64>,
        /// Most, metres.
        max: Option<f64>,
    },
    /// The slope from end to end is not steeper.
    Slope {
        /// Degrees from level.
        max: f64,
    },
    /// A line is not longer than its diameter allows.
    Spacing {
        /// Diameter up to, millimetres, with the most metres.
        steps: Vec<[f64; 2]>,
    },
    /// A line slopes at least as much as its diameter asks for.
    LeastSlope {
        /// Diameter up to, millimetres, with the least slope (rise by run).
        steps: Vec<[f64; 2]>,
        /// Heights are not surer than this, metres.
        tolerance_m: f64,
    },
    /// A line does not end where it starts.
    EndsDiffer {},
    /// The nodes at both ends of a line exist.
    EndsExist {},
    /// A line ends at the place of the node that it names.
    AtNode {
        /// In plan, metres.
        tolerance_m: f64,
    },
    /// A line that ends in a well does so between its bottom and its cover.
    InWell {
        /// Up to this below or above is survey noise, metres.
        tolerance_m: f64,
    },
    /// No loose end lies close to another loose end without meeting it.
    Gap {
        /// Ends closer than this meet, metres.
        tolerance_m: f64,
        /// Ends farther apart than this have nothing to do with each other, metres.
        reach_m: f64,
    },
    /// Where two lines meet in a node they do not turn back.
    Turn {
        /// Least angle between them in plan, degrees.
        min: f64,
    },
    /// Some line meets in the node.
    NodeLinked {},
    /// No two lines join the same two nodes.
    DoubleSegment {},
    /// So many lines meet in a node.
    Links {
        /// Least.
        min: u32,
        /// Most.
        max: u32,
        /// Only of nodes whose attribute of this name …
        field: Option<String>,
        /// … contains this.
        contains: Option<String>,
    },
    /// Lines that meet in a node meet at one height.
    NodeHeights {
        /// Axes that lie farther apart do not, metres.
        tolerance_m: f64,
    },
    /// The lines of a layer hang together in pieces of at least so many.
    Connected {
        /// Lines of the smallest piece that is not reported.
        least: u32,
    },
    /// Water runs down: the end named by the flow attribute does not lie higher.
    GravityFlow {
        /// Rises up to this are survey noise, metres.
        tolerance_m: f64,
    },
    /// A layer named by the standard's pattern follows it to the end.
    LayerName {},
    /// Plane system and height datum are the national ones.
    NationalDatum {},
}

/// A rule: a test with where it comes from.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Unique word, such as `network/ends-exist`.
    pub id: String,
    /// What is tested.
    pub test: Test,
    /// Class words it applies to; all when empty.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Pipe kinds it applies to (the words of the attribute `pipe_kind`); all when empty.
    #[serde(default)]
    pub pipe_kinds: Vec<String>,
    /// How bad a finding is.
    pub severity: Severity,
    /// Standard with edition; `Groundline` for its own.
    pub standard: String,
    /// Clause of the standard.
    #[serde(default)]
    pub clause: String,
    /// Word of the clause: 必须, 应, 宜, 可; empty where there is none.
    #[serde(default)]
    pub strength: String,
    /// How sure the figure is.
    pub tag: Tag,
    /// Whether it is used without being asked for.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What is wrong, in Chinese; `{value}`, `{limit}`, `{other}` stand for what was found.
    pub zh: String,
    /// The same in English.
    pub en: String,
}

fn yes() -> bool {
    true
}

impl Rule {
    /// Whether it looks at objects of this class.
    pub(super) fn applies_to(&self, class: Class) -> bool {
        self.classes.is_empty() || self.classes.iter().any(|word| word == class.word())
    }
}

/// A table of rules.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules(pub(super) Vec<Rule>);

/// Why a table of rules cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("rule table{}: {reason}", .rule.as_ref().map(|r| format!(", rule {r}")).unwrap_or_default())]
pub struct RuleError {
    /// Which rule, when it is one rule's fault.
    pub rule: Option<String>,
    /// What is wrong.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rule: Vec<Rule>,
}

impl Rules {
    /// The table that comes with Groundline.
    ///
    /// # Panics
    ///
    /// Never: a test reads the table.
    pub fn standard() -> Self {
        Self::parse(STANDARD).unwrap_or_else(|error| panic!("the built-in {error}"))
    }

    /// Reads a table: TOML with one `[[rule]]` a rule.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let file: File = toml::from_str(text).map_err(|e| RuleError { rule: None, reason: e.to_string() })?;
        if file.rule.len() > MOST_RULES {
            return Err(RuleError { rule: None, reason: format!("more than {MOST_RULES} rules") });
        }
        let rules = Self(file.rule);
        for (number, rule) in rules.0.iter().enumerate() {
            let bad = |reason: String| RuleError { rule: Some(rule.id.clone()), reason };
            if rules.0[..number].iter().any(|other| other.id == rule.id) {
                return Err(bad("the id stands twice".into()));
            }
            if let Some(word) = rule.classes.iter().find(|word| Class::parse(word).is_none()) {
                return Err(bad(format!("{word} is no class")));
            }
            // A figure that nobody confirmed must not condemn anything.
            if rule.severity == Severity::Error && !matches!(rule.tag, Tag::F | Tag::M | Tag::G) {
                return Err(bad(format!("severity error needs a figure of tag F, M or G, not {:?}", rule.tag)));
            }
            if rule.severity == Severity::Error && matches!(rule.strength.as_str(), "宜" | "可") {
                return Err(bad(format!("a clause of strength {} never fails anything", rule.strength)));
            }
            if matches!(rule.tag, Tag::K | Tag::C) && rule.enabled {
                return Err(bad(format!("a figure of tag {:?} is not used without being asked for", rule.tag)));
            }
        }
        Ok(rules)
    }

    /// This table with the rules of `other` instead of those of the same id, and its further ones.
    pub fn overridden_by(mut self, other: Rules) -> Self {
        for rule in other.0 {
            match self.0.iter_mut().find(|own| own.id == rule.id) {
                Some(own) => *own = rule,
                None => self.0.push(rule),
            }
        }
        self
    }

    /// Switches every rule on, those of unconfirmed figures too.
    pub fn all_enabled(mut self) -> Self {
        self.0.iter_mut().for_each(|rule| rule.enabled = true);
        self
    }

    /// The rules.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }
}
