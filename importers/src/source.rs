//! Finding sources: files and folders as named by the user, grouped with the files that belong to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    path::{Path, PathBuf},
};

use groundline_engine::model::{ImportReport, SourceReport};

use crate::{
    Format, Options, Probe,
    archive::{self, Unpacked},
    intake,
};

/// Files that one folder may hold, with everything below it.
const MAX_FILES: usize = 100_000;
/// Folders within folders.
const MAX_DEPTH: usize = 16;

/// A file that will be read, with what a first look found.
#[derive(Clone)]
pub(crate) struct Source {
    pub path: PathBuf,
    /// As named by the user, or the named folder plus the way down.
    pub shown: String,
    pub format: &'static Format,
    pub probe: Probe,
    pub layer: String,
    /// What tells it from the other sources of an import: the file's stem, with its folder where two have the same.
    pub own: String,
    /// First part of its objects' ids: the layer, and `own` where sources share a layer.
    pub id_prefix: String,
}

impl Source {
    /// Bytes of the file and its companions; what cannot be looked at counts nothing.
    pub fn bytes(&self) -> u64 {
        let files = std::iter::once(&self.path).chain(&self.probe.companions);
        files.filter_map(|path| std::fs::metadata(path).ok()).map(|kind| kind.len()).sum()
    }

    /// BLAKE3 over the file, its companions and `said`, as hex.
    pub fn content_hash(&self, said: &str) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(said.as_bytes());
        for path in std::iter::once(&self.path).chain(&self.probe.companions) {
            let name = path.file_name().unwrap_or_default();
            hasher.update(name.as_encoded_bytes());
            // A file that cannot be read is reported when it is read; here it only must not look unchanged.
            if hash_file(&mut hasher, path).is_err() {
                hasher.update(b"unreadable");
            }
        }
        hasher.finalize().to_hex().to_string()
    }
}

fn hash_file(hasher: &mut blake3::Hasher, path: &Path) -> std::io::Result<()> {
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            n => hasher.update(&buffer[..n]),
        };
    }
}

/// The sources of an import.
pub(crate) struct Found {
    /// Sources.
    pub sources: Vec<Source>,
    /// The unpacked archives that some of them lie in: to be kept until they have been read.
    pub unpacked: Vec<Unpacked>,
}

/// A file to look at.
struct Named {
    path: PathBuf,
    shown: String,
    /// Named by the user himself, not found in a folder.
    by_name: bool,
}

/// Looks at every file named, alone or within a named folder or archive. What is no source, or cannot be one, stands in
/// the report.
pub(crate) fn find(
    named: &[PathBuf],
    layer: Option<&str>,
    options: &Options,
    report: &mut ImportReport,
) -> Result<Found, intake::IntakeError> {
    let mut paths = Vec::new();
    for path in named {
        let kind =
            std::fs::metadata(path).map_err(|e| intake::IntakeError::Usage(format!("{}: {e}", path.display())))?;
        if kind.is_dir() {
            walk(path, 0, &mut paths)?;
        } else {
            paths.push((path.clone(), true));
        }
    }
    let (files, unpacked) = opened(paths, report)?;
    let mut companions = BTreeSet::new();
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for Named { path, shown, by_name } in files {
        match intake::detect(&path, options) {
            Ok(Some((_, probe))) if intake::is_replayed(probe.kind) => {
                let mut account = SourceReport { path: shown.clone(), format: "readings".into(), ..Default::default() };
                let message =
                    format!("recorded readings are replayed, not imported: groundline sensors CITY replay {shown}");
                match by_name {
                    true => account.error = Some(message),
                    false => account.warn("readings_not_imported", message, ""),
                }
                report.sources.push(account);
            }
            Ok(Some((format, probe))) => {
                companions.extend(probe.companions.iter().cloned());
                found.push((path, shown, format, probe));
            }
            Ok(None) => unknown.push((path, shown, by_name, None)),
            Err(error) => unknown.push((path, shown, by_name, Some(error.to_string()))),
        }
    }
    let models: BTreeSet<&Path> = found
        .iter()
        .filter(|(_, _, format, _)| matches!(format.name, "citygml" | "cityjson" | "gltf" | "3dtiles"))
        .filter_map(|(path, ..)| path.parent())
        .collect();
    for (path, shown, by_name, error) in unknown {
        let is_known_elsewhere = companions.contains(&path);
        let mut account = SourceReport { path: shown.clone(), ..SourceReport::default() };
        match (error, by_name) {
            _ if is_known_elsewhere => continue,
            // The textures of a model are read with it.
            (None, false) if is_picture(&path) && models.iter().any(|folder| path.starts_with(folder)) => continue,
            (Some(error), _) => account.error = Some(error),
            (None, true) => account.error = Some(format!("{shown}: format not recognised; known are: {}", known())),
            (None, false) => account.warn("not_a_source", "no known format; left alone", ""),
        }
        report.sources.push(account);
    }
    found.retain(|(path, ..)| !companions.contains(path));

    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for (path, ..) in &found {
        *names.entry(stem(path)).or_default() += 1;
    }
    let shared = layer.is_some() && found.len() > 1;
    let sources = found.into_iter().map(|(path, shown, format, probe)| {
        let own = match names[&stem(&path)] {
            1 => stem(&path),
            // Two files of one name in different folders: the folder tells them apart.
            _ => format!("{}-{}", path.parent().map(stem).unwrap_or_default(), file_word(&path)),
        };
        let layer = layer.map_or_else(|| own.clone(), str::to_owned);
        let id_prefix = if shared { format!("{layer}/{own}") } else { layer.clone() };
        Source { path, shown, format, probe, layer, own, id_prefix }
    });
    Ok(Found { sources: sources.collect(), unpacked })
}

/// The files themselves, with what is in archives instead of the archives. One within another stays closed.
fn opened(
    paths: Vec<(PathBuf, bool)>,
    report: &mut ImportReport,
) -> Result<(Vec<Named>, Vec<Unpacked>), intake::IntakeError> {
    let (mut files, mut unpacked) = (Vec::new(), Vec::new());
    for (path, by_name) in paths {
        let shown = path.display().to_string();
        if !archive::is_archive(&path) {
            files.push(Named { path, shown, by_name });
            continue;
        }
        match archive::unpack(&path) {
            Ok(opened) => {
                let mut inner = Vec::new();
                walk(&opened.root(), 0, &mut inner)?;
                for (path, _) in inner {
                    let within = path.strip_prefix(opened.root()).unwrap_or(&path).display().to_string();
                    files.push(Named { shown: format!("{shown}/{within}"), path, by_name: false });
                }
                unpacked.push(opened);
            }
            Err(reason) => report.sources.push(SourceReport {
                error: Some(format!("{shown}: {reason}")),
                path: shown,
                format: "zip".into(),
                ..SourceReport::default()
            }),
        }
    }
    Ok((files, unpacked))
}

fn known() -> String {
    let words: BTreeSet<&str> = crate::FORMATS.iter().flat_map(|f| f.extensions.iter().copied()).collect();
    words.into_iter().map(|w| format!(".{w}")).collect::<Vec<_>>().join(" ")
}

fn is_picture(path: &Path) -> bool {
    path.extension().is_some_and(|e| ["jpg", "jpeg", "png"].iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// Endings that stand before the last one and say no more than it.
const INNER_ENDINGS: [&str; 6] = [".osm", ".city", ".copc", ".geo", ".tar", ".topo"];

/// The name of a file without its ending, and without the first half of a double one: `monaco` for `monaco.osm.pbf`.
fn stem(path: &Path) -> String {
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let is_inner = |ending: &&&str| {
        let at = stem.len().checked_sub(ending.len()).filter(|at| *at > 0);
        at.and_then(|at| stem.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(ending))
    };
    let length = INNER_ENDINGS.iter().find(is_inner).map_or(stem.len(), |ending| stem.len() - ending.len());
    stem.get(..length).unwrap_or(&stem).to_owned()
}

/// `roads_shp` for `roads.shp`.
fn file_word(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().replace('.', "_")).unwrap_or_default()
}

/// Every file below `folder`, in the order of names; hidden ones and links to elsewhere are left out.
fn walk(folder: &Path, depth: usize, files: &mut Vec<(PathBuf, bool)>) -> Result<(), intake::IntakeError> {
    let usage = |e: std::io::Error| intake::IntakeError::Usage(format!("{}: {e}", folder.display()));
    if depth > MAX_DEPTH {
        return Err(intake::IntakeError::Usage(format!(
            "{}: folders nested deeper than {MAX_DEPTH}",
            folder.display()
        )));
    }
    let mut entries: Vec<_> = std::fs::read_dir(folder).map_err(usage)?.collect::<Result<_, _>>().map_err(usage)?;
    entries.sort_by_key(|e| e.file_name());
    for entry in entries {
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let kind = entry.file_type().map_err(usage)?;
        // A city folder among the sources is a result, not a source.
        if kind.is_dir() && !entry.path().join("city.json").exists() {
            walk(&entry.path(), depth + 1, files)?;
        } else if kind.is_file() {
            files.push((entry.path(), false));
        }
        if files.len() > MAX_FILES {
            let text = format!("{}: more than {MAX_FILES} files; import it in parts", folder.display());
            return Err(intake::IntakeError::Usage(text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn double_endings_are_no_part_of_a_name() {
        for (file, wanted) in [
            ("monaco-latest.osm.pbf", "monaco-latest"),
            ("delft.city.jsonl", "delft"),
            ("Delft.City.json", "Delft"),
            ("scan.copc.laz", "scan"),
            ("给水.管线.csv", "给水.管线"),
            (".osm.pbf", ".osm"),
            ("plan.v2.dxf", "plan.v2"),
        ] {
            assert_eq!(stem(Path::new(file)), wanted, "{file}");
        }
    }
}
