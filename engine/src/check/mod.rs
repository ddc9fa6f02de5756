//! What is wrong with data, by rule and clause (检查): of sources before they are imported, and of a city.
//!
//! ```text
//! rule table (TOML) ─► Rules ─┐
//! CityObject ────────────────►├─ Checker ─► Checked: pass, fail, unknown, review a rule; findings with a place
//! ```
//!
//! Rules are data: which test, of which classes, with which limits, from which standard, edition and clause, how sure
//! the figure is. The tests are code. A verdict is one of four: where an attribute that a rule needs is missing or was
//! assumed, nothing is passed and nothing failed: it is unknown, and counted as such.

mod attribute;
mod checker;
mod network;
mod rule;
mod shape;

pub use checker::{Checked, Checker, Finding, LayerFacts, RuleCount};
pub use rule::{Rule, RuleError, Rules, Severity, Tag, Test};

use serde::Serialize;

/// What a rule says of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// An attribute that it needs is missing or was assumed.
    Unknown,
    /// A person has to look: the clause leaves room, or its figure is not certain.
    Review,
}

#[cfg(test)]
mod tests;
