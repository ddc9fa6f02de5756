//! What the input files of EPANET and SWMM 5 share: sections, tokens, a map of places, links drawn between nodes.

pub(crate) mod network;
pub(crate) mod section;
pub(crate) mod unit;

use std::path::Path;

use groundline_engine::model::Class;

use crate::{ImportError, Kind, Options, Probe};
use section::InpFile;

/// Elevations, heads and offsets beyond this are none, metres.
pub(crate) const HIGHEST_M: f64 = 12_000.0;

/// Which program a file was written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Epanet,
    Swmm,
}

/// Tells the two apart by the sections that only one of them has; `None` when it is neither.
pub(crate) fn dialect<'s>(sections: impl Iterator<Item = &'s str>) -> Option<Dialect> {
    let (mut epanet, mut swmm) = (0, 0);
    for section in sections {
        match section {
            "PIPES" | "RESERVOIRS" | "TANKS" | "VALVES" | "EMITTERS" | "DEMANDS" | "ENERGY" | "REACTIONS" | "RULES"
            | "MIXING" | "SOURCES" | "QUALITY" | "STATUS" | "TIMES" | "ROUGHNESS" => epanet += 1,
            "CONDUITS" | "OUTFALLS" | "STORAGE" | "DIVIDERS" | "ORIFICES" | "WEIRS" | "OUTLETS" | "XSECTIONS"
            | "SUBCATCHMENTS" | "SUBAREAS" | "INFILTRATION" | "RAINGAGES" | "EVAPORATION" | "POLYGONS"
            | "TIMESERIES" | "DWF" | "TRANSECTS" | "LOSSES" | "INFLOWS" => swmm += 1,
            _ => {}
        }
    }
    match epanet.cmp(&swmm) {
        std::cmp::Ordering::Greater => Some(Dialect::Epanet),
        std::cmp::Ordering::Less => Some(Dialect::Swmm),
        std::cmp::Ordering::Equal => None,
    }
}

/// A first look at an `.inp` file: `None` when it is of the other dialect, or of neither.
pub(crate) fn probe(path: &Path, options: &Options, wanted: Dialect) -> Result<Option<Probe>, ImportError> {
    let file = InpFile::open(path, options.encoding.as_deref())?;
    if dialect(file.sections()?.into_iter()) != Some(wanted) {
        return Ok(None);
    }
    let mut extent: Option<[f64; 4]> = None;
    file.each_row(&mut |row| {
        if row.section == "COORDINATES"
            && let (Ok(Some(x)), Ok(Some(y))) = (row.number(1), row.number(2))
        {
            let e = extent.get_or_insert([x, y, x, y]);
            *e = [e[0].min(x), e[1].min(y), e[2].max(x), e[3].max(y)];
        }
        Ok(())
    })?;
    Ok(Some(Probe {
        kind: Kind::Objects,
        crs: None,
        crs_from: String::new(),
        crs_text: None,
        needs_crs: true,
        encoding: file.encoding(),
        source_extent: extent,
        records: None,
        companions: Vec::new(),
        class: Some((Class::Pipe, "sections of the file".into())),
    }))
}

/// A file that cannot be read on.
pub(crate) fn bad(path: &Path, line: u64, reason: impl Into<String>) -> ImportError {
    ImportError::Bad { path: path.into(), place: format!("line {line}"), reason: reason.into() }
}

/// A number as both programs write it: digits, sign, point, exponent.
pub(crate) fn number(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    text.parse().ok().filter(|n: &f64| is_plain && n.is_finite())
}

/// The folder of real input files, where it is given.
#[cfg(test)]
pub(crate) fn real_files() -> Option<std::path::PathBuf> {
    let folder = std::env::var_os("GROUNDLINE_DATA").map(std::path::PathBuf::from).filter(|path| path.is_dir());
    if folder.is_none() {
        println!("no input files (set GROUNDLINE_DATA): nothing tested");
    }
    folder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sections_tell_which_program_wrote_it() {
        for (sections, wanted) in [
            (&["TITLE", "JUNCTIONS", "PIPES", "COORDINATES"][..], Some(Dialect::Epanet)),
            (&["TITLE", "JUNCTIONS", "CONDUITS", "XSECTIONS"], Some(Dialect::Swmm)),
            (&["TITLE", "OPTIONS", "OUTFALLS"], Some(Dialect::Swmm)),
            (&["TITLE", "JUNCTIONS"], None),
            (&[], None),
        ] {
            assert_eq!(dialect(sections.iter().copied()), wanted, "{sections:?}");
        }
    }

    #[test]
    fn words_that_rust_takes_for_numbers_are_none() {
        assert_eq!(number("-1.5e3"), Some(-1500.0));
        for text in ["", "inf", "NaN", "1e999", "1,5", "0x1", "*"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
