//! Tables of other people: that only those with coordinates are taken, and where their points lie.

use std::path::{Path, PathBuf};

use groundline_importers::{FORMATS, Format, Kind, Options, Probe};

use super::data;

fn detected(path: &Path) -> Option<(&'static Format, Probe)> {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let formats = FORMATS.iter().filter(|f| f.extensions.contains(&ending.as_str()));
    formats.copied().find_map(|format| Some((format, (format.probe)(path, &Options::default()).unwrap()?)))
}

fn tables(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            tables(&path, found);
        } else if path.extension().is_some_and(|e| e == "csv" || e == "xlsx") {
            found.push(path);
        }
    }
}

#[test]
fn recorded_readings_are_not_swallowed() {
    let Some(data) = data() else { return };
    let mut files = Vec::new();
    tables(&data.join("iot"), &mut files);
    files.sort();
    let mut taken = Vec::new();
    for path in &files {
        let found = detected(path).map(|(format, probe)| (format.name, probe.kind));
        println!("{}: {found:?}", path.display());
        if found.is_some_and(|(name, _)| name == "table") {
            taken.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    assert_eq!(taken, ["Sites_P.csv"], "the one that is a list of places and no register");
    let site = detected(&data.join("iot/youwuzhen/Sites_P.csv")).unwrap().1;
    assert_eq!((site.kind, site.source_extent), (Kind::Objects, Some([116.4, 25.683333, 116.4, 25.683333])));
}
