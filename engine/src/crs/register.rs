//! The EPSG register that is built in, and the search for the code that a description has in it.

use std::sync::OnceLock;

use super::{
    datum::{datum_key, datum_key_of},
    parameter::{Parameters, Shape},
};

/// One entry.
pub(super) struct Entry {
    pub code: u32,
    /// Name, as in the register.
    pub name: String,
    pub datum: String,
    pub parameters: Parameters,
}

/// The entry with this code.
pub(super) fn entry(code: u32) -> Option<Entry> {
    let definition = crs_definitions::from_code(u16::try_from(code).ok()?)?;
    // Two entries of the register's export carry the source's quotes.
    let text = definition.proj4.trim_matches(|c| c == '`' || c == '.' || c == '"');
    // Which shift holds is decided by the datum: the one of the export is often an older or a regional one.
    let mut parameters = Parameters::parse(text).without(&["towgs84"]);
    if parameters.get("proj") == Some("krovak") && !definition.wkt.contains("East North") {
        parameters.set("axis", "swu");
    }
    let datum = quoted_after(definition.wkt, "DATUM[").or_else(|| quoted_after(definition.wkt, "ENSEMBLE["));
    Some(Entry {
        code,
        // The first text in quotes, however many systems the description is wrapped in.
        name: definition.wkt.split('"').nth(1).unwrap_or_default().to_string(),
        datum: datum.map_or_else(|| datum_key_of(&parameters), datum_key),
        parameters,
    })
}

/// The code whose entry stands on the same datum and puts the same numbers on the same places.
///
/// Several codes can describe one system (EPSG:4502 and 4534); the one with the same name wins, then a flat one, then the lowest.
pub(super) fn code_of(name: &str, datum: &str, parameters: &Parameters) -> Option<u32> {
    let shape = parameters.shape()?;
    let same = |i: &&Indexed| i.datum == datum && i.shape.agrees(&shape);
    let wanted = name_key(name);
    let found = index().iter().filter(same);
    found.min_by_key(|i| (usize::from(i.name != wanted), usize::from(!i.is_wkt1), i.code)).map(|i| i.code)
}

struct Indexed {
    code: u32,
    name: String,
    datum: String,
    shape: Shape,
    /// Three-dimensional systems stand in the register in the newer notation; flat ones come first.
    is_wkt1: bool,
}

fn index() -> &'static [Indexed] {
    static INDEX: OnceLock<Vec<Indexed>> = OnceLock::new();
    INDEX.get_or_init(|| {
        let codes = 2000..=32_767_u16;
        let entries = codes.filter_map(|code| {
            let definition = crs_definitions::from_code(code)?;
            let is_plain = definition.wkt.starts_with("PROJCS[") || definition.wkt.starts_with("GEOGCS[");
            let entry = entry(u32::from(code))?;
            let shape = entry.parameters.shape()?;
            (shape.projection() != "geocent").then(|| Indexed {
                code: entry.code,
                name: name_key(&entry.name),
                datum: entry.datum,
                shape,
                is_wkt1: is_plain,
            })
        });
        entries.collect()
    })
}

/// A name without what EPSG and ESRI write differently.
fn name_key(name: &str) -> String {
    let lower = name.to_lowercase().replace("gauss-kruger", "gk").replace("gauss_kruger", "gk");
    let bare = lower.strip_prefix("gcs_").unwrap_or(&lower);
    bare.chars().filter(|c| c.is_alphanumeric()).collect()
}

fn quoted_after<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    let rest = &text[text.find(mark)? + mark.len()..];
    rest.strip_prefix('"')?.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_of_the_register_is_found_again_by_its_own_description() {
        let mut lost = Vec::new();
        for code in
            [4326, 4490, 4549, 4528, 4510, 4499, 2415, 28992, 3547, 25832, 3857, 32650, 27700, 31466, 2154, 5186]
        {
            let entry = entry(code).unwrap();
            if code_of(&entry.name, &entry.datum, &entry.parameters) != Some(code) {
                lost.push(code);
            }
        }
        assert!(lost.is_empty(), "{lost:?}");
    }

    #[test]
    fn a_system_without_a_name_is_the_flat_one_of_its_own_datum() {
        for (code, base) in [(2263, 4269), (25832, 4258), (4549, 4490), (32651, 4326), (2154, 4171)] {
            let crs = crate::crs::Crs::from_epsg(code).unwrap();
            assert_eq!(crs.geographic().unwrap().epsg, Some(base), "EPSG:{code}");
        }
    }
}
