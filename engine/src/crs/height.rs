//! Height systems: what stands behind the `+` of `EPSG:2263+6360`. Their unit is read, their name is kept; no geoid is
//! applied between them.

use std::{collections::HashMap, sync::OnceLock};

use serde::{Deserialize, Serialize};

/// The system that heights of a source are in (高程基准).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heights {
    /// EPSG code, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsg: Option<u32>,
    /// Name as the register or the file has it.
    pub name: String,
    /// Metres per unit of height.
    pub unit_m: f64,
}

impl Heights {
    /// The height system with this code; an error in words where there is none or where it counts depths.
    pub(super) fn from_epsg(code: u32) -> Result<Self, String> {
        let row = table().heights.get(&code).ok_or_else(|| format!("EPSG:{code} is no height system that is known"))?;
        if !row.is_up {
            return Err(format!("EPSG:{code} ({}) counts depths, not heights", row.name));
        }
        Ok(Self { epsg: Some(code), name: row.name.into(), unit_m: row.unit_m })
    }
}

/// Horizontal and height part of a compound system's code.
pub(super) fn parts_of(compound: u32) -> Option<(u32, u32)> {
    table().compounds.get(&compound).copied()
}

struct Row {
    unit_m: f64,
    is_up: bool,
    name: &'static str,
}

#[derive(Default)]
struct Table {
    heights: HashMap<u32, Row>,
    compounds: HashMap<u32, (u32, u32)>,
}

/// Written by `tests/referee/heights.py`.
fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table::default();
        for line in include_str!("height.tsv").lines() {
            let cells: Vec<&'static str> = line.split('\t').collect();
            let &[kind, code, third, fourth, name] = &cells[..] else { continue };
            let Ok(code) = code.parse() else { continue };
            match (kind, third.parse::<f64>(), fourth.parse()) {
                ("v", Ok(unit_m), _) => {
                    table.heights.insert(code, Row { unit_m, is_up: fourth == "up", name });
                }
                ("c", Ok(horizontal), Ok(height)) => {
                    table.compounds.insert(code, (horizontal as u32, height));
                }
                _ => {}
            }
        }
        table
    })
}
