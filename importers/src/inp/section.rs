//! The rows of an `.inp` file with the section that each stands in.

use std::{collections::BTreeSet, path::Path};

use groundline_engine::model::SourceReport;

use crate::{
    ImportError,
    text::{TextFile, TextLine},
};

/// Tokens of a row beyond this are left out: no section has as many columns (SWMM's curves come closest).
const MAX_TOKENS: usize = 4096;

/// Sections of EPANET 2.0 to 2.3 and of SWMM 5.0 to 5.2. Both programs compare only the beginning of a name, so the
/// first number says how many letters must be there.
#[rustfmt::skip]
const SECTIONS: &[(usize, &str)] = &[
    (4, "TITLE"), (4, "JUNCTIONS"), (4, "RESERVOIRS"), (4, "TANKS"), (4, "PIPES"), (4, "PUMPS"), (4, "VALVES"), (4, "CONTROLS"),
    (4, "RULES"), (4, "DEMANDS"), (4, "SOURCES"), (4, "EMITTERS"), (4, "PATTERNS"), (4, "CURVES"), (4, "QUALITY"), (4, "STATUS"),
    (4, "ROUGHNESS"), (4, "ENERGY"), (4, "REACTIONS"), (4, "MIXING"), (4, "REPORT"), (4, "TIMES"), (4, "OPTIONS"), (4, "COORDINATES"),
    (4, "VERTICES"), (4, "LABELS"), (4, "BACKDROP"), (3, "TAGS"), (3, "END"), (4, "LEAKAGE"),
    (4, "FILES"), (4, "RAINGAGES"), (4, "TEMPERATURE"), (4, "EVAPORATION"), (8, "SUBCATCHMENTS"), (7, "SUBAREAS"), (5, "INFILTRATION"),
    (7, "AQUIFERS"), (11, "GROUNDWATER"), (8, "SNOWPACKS"), (7, "OUTFALLS"), (7, "STORAGE"), (7, "DIVIDERS"), (7, "CONDUITS"),
    (7, "ORIFICES"), (4, "WEIRS"), (6, "OUTLETS"), (5, "XSECTIONS"), (8, "TRANSECTS"), (4, "LOSSES"), (6, "POLLUTANTS"),
    (7, "LANDUSES"), (7, "BUILDUP"), (7, "WASHOFF"), (8, "COVERAGES"), (6, "INFLOWS"), (3, "DWF"), (4, "RDII"), (5, "HYDROGRAPHS"),
    (5, "UNITHYDROGRAPHS"), (7, "LOADINGS"), (9, "TREATMENT"), (7, "TIMESERIES"), (7, "POLYGONS"), (6, "SYMBOLS"), (7, "PROFILES"),
    (3, "MAP"), (5, "LID_CONTROLS"), (5, "LID_USAGE"), (3, "GWF"), (6, "ADJUSTMENTS"), (5, "EVENTS"), (6, "STREETS"), (5, "INLETS"),
    (6, "INLET_USAGE"),
];

/// The section's full name, however far it was shortened and whatever its case.
pub(crate) fn canonical(title: &str) -> Option<&'static str> {
    let upper = title.to_ascii_uppercase();
    let fits = |(least, name): &&(usize, &str)| name.get(..*least).is_some_and(|start| upper.starts_with(start));
    SECTIONS.iter().filter(fits).max_by_key(|(least, _)| *least).map(|(_, name)| *name)
}

/// One row that is no comment.
pub(crate) struct Row<'a> {
    /// Full name of the section; empty before the first one; the title itself where it is not known.
    pub section: &'a str,
    /// Line of the file, from 1.
    pub line: u64,
    pub tokens: &'a [&'a str],
    /// How much of the file has been read.
    pub fraction: f32,
}

impl Row<'_> {
    /// A token; empty where there is none.
    pub fn get(&self, index: usize) -> &str {
        self.tokens.get(index).copied().unwrap_or_default()
    }

    /// A token as a number; `None` when it is missing, the error when it is none.
    pub fn number(&self, index: usize) -> Result<Option<f64>, String> {
        match self.get(index) {
            "" => Ok(None),
            text => super::number(text).map(Some).ok_or_else(|| format!("{text:?} is no number")),
        }
    }

    /// A number that must be there.
    pub fn needed(&self, index: usize, what: &str) -> Result<f64, String> {
        match self.number(index) {
            Ok(Some(number)) => Ok(number),
            Ok(None) => Err(format!("no {what}")),
            Err(reason) => Err(format!("{what}: {reason}")),
        }
    }

    /// `PIPES line 17`.
    pub fn place(&self) -> String {
        format!("{} line {}", self.section, self.line)
    }
}

/// An `.inp` file.
pub(crate) struct InpFile {
    text: TextFile,
}

impl InpFile {
    /// Settles the encoding.
    pub fn open(path: &Path, flag: Option<&str>) -> Result<Self, ImportError> {
        Ok(Self { text: TextFile::open(path, flag)? })
    }

    /// Encoding and what said so.
    pub fn encoding(&self) -> Option<(String, String)> {
        self.text.encoding()
    }

    /// Calls `on_row` with every row down to `[END]`.
    pub fn each_row(&self, on_row: &mut dyn FnMut(Row<'_>) -> Result<(), ImportError>) -> Result<(), ImportError> {
        self.each(&mut |item| match item {
            Item::Row(row) => on_row(row),
            _ => Ok(()),
        })
    }

    /// Full names of the sections that are there.
    pub fn sections(&self) -> Result<BTreeSet<&'static str>, ImportError> {
        let mut found = BTreeSet::new();
        self.each(&mut |item| {
            if let Item::Section(title, _) = item {
                found.extend(canonical(title));
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Tells the report what is wrong with the file as text. `ends` says that a whole file ends with `[END]`.
    pub fn examine(&self, ends: bool, report: &mut SourceReport) -> Result<(), ImportError> {
        if let Some(warning) = &self.text.found.warning {
            report.warn("encoding_unsure", warning.as_str(), "");
        }
        let mut has_end = false;
        self.each(&mut |item| {
            match item {
                Item::Section(title, line) if canonical(title).is_none() => {
                    let short: String = title.chars().take(40).collect();
                    let message = format!("section [{short}] is not known; its rows were left out");
                    report.warn("unknown_section", message, format!("line {line}"));
                }
                Item::Section(title, line) if !title.ends_with(']') => {
                    let message = "the head of a section is not closed with ]";
                    report.warn("section_not_closed", message, format!("line {line}"));
                }
                Item::Row(row) if row.section.is_empty() => {
                    report.warn("outside_sections", "rows before the first section were left out", row.place());
                }
                Item::Damaged(line) => {
                    let message = "lines that hold bytes that are no text, or that are longer than any line should be";
                    report.warn("text_damaged", message, format!("line {line}"));
                }
                Item::AfterEnd(line) => {
                    let message = "what stands after [END] was left out, as the program does";
                    report.warn("after_end", message, format!("line {line}"));
                }
                Item::End => has_end = true,
                _ => {}
            }
            Ok(())
        })?;
        if ends && !has_end {
            report.warn("no_end", "the file does not end with [END]: it may be cut", "");
        }
        Ok(())
    }

    fn each(&self, on_item: &mut dyn FnMut(Item<'_>) -> Result<(), ImportError>) -> Result<(), ImportError> {
        let mut section = String::new();
        let mut is_after_end = false;
        self.text.each_line(&mut |line: TextLine<'_>| {
            // Nothing is read from a title, so that whatever stands there harms nothing.
            if line.is_damaged && section != "TITLE" {
                on_item(Item::Damaged(line.number))?;
            }
            let code = line.text.split(';').next().unwrap_or_default().trim();
            if code.is_empty() {
                return Ok(true);
            }
            if let Some(title) = code.strip_prefix('[') {
                let name = canonical(title);
                if name == Some("END") {
                    is_after_end = true;
                    on_item(Item::End)?;
                    return Ok(true);
                }
                if is_after_end {
                    on_item(Item::AfterEnd(line.number))?;
                    return Ok(true);
                }
                section =
                    name.map_or_else(|| format!("[{}", title.chars().take(40).collect::<String>()), str::to_owned);
                on_item(Item::Section(title, line.number))?;
                return Ok(true);
            }
            if is_after_end {
                on_item(Item::AfterEnd(line.number))?;
                return Ok(true);
            }
            let tokens = tokens(code);
            on_item(Item::Row(Row { section: &section, line: line.number, tokens: &tokens, fraction: line.fraction }))?;
            Ok(true)
        })
    }
}

/// What stands in a file.
enum Item<'a> {
    /// The head of a section as written, without its first bracket.
    Section(&'a str, u64),
    Row(Row<'a>),
    Damaged(u64),
    End,
    AfterEnd(u64),
}

/// Words between blanks and tabs; a quoted text is one word.
fn tokens(code: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = code.trim_start();
    while !rest.is_empty() && words.len() < MAX_TOKENS {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_at(rest.find(|c: char| c.is_whitespace()).unwrap_or(rest.len())),
        };
        words.push(word);
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_go_by_their_beginning() {
        for (title, wanted) in [
            ("JUNCTIONS]", Some("JUNCTIONS")),
            ("junc]", Some("JUNCTIONS")),
            ("Polygons]", Some("POLYGONS")),
            ("OUTLETS]", Some("OUTLETS")),
            ("OUTFALLS]", Some("OUTFALLS")),
            ("INLET_USAGE]", Some("INLET_USAGE")),
            ("SUBAREAS]", Some("SUBAREAS")),
            ("SUBCATCHMENTS]", Some("SUBCATCHMENTS")),
            ("TAGS]", Some("TAGS")),
            ("TIMESERIES]", Some("TIMESERIES")),
            ("TIMES]", Some("TIMES")),
            ("LID_USAGE]", Some("LID_USAGE")),
            ("CONDUITS]", Some("CONDUITS")),
            ("TRANSECTS]", Some("TRANSECTS")),
            ("STORAGE]", Some("STORAGE")),
            ("PUDDLES]", None),
        ] {
            assert_eq!(canonical(title), wanted, "{title}");
        }
    }

    #[test]
    fn quoted_words_and_tabs_are_told_apart() {
        assert_eq!(tokens("a\tb  \"two words\" c"), ["a", "b", "two words", "c"]);
        assert_eq!(tokens("\"never closed"), ["never closed"]);
        assert_eq!(tokens("  "), Vec::<&str>::new());
    }
}
