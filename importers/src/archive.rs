//! Archives (.zip): unpacked to a temporary folder, then walked like any other.

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
};

use crate::encoding;

/// Files in an archive.
const MAX_FILES: usize = 100_000;
/// Bytes of all files of an archive.
const MAX_BYTES: u64 = 64 << 30;
/// Files are not larger than this many times their packed size: what is, is made to fill disks. Even empty rasters and
/// tables of zeros stay below it.
const MAX_RATIO: u64 = 1100;
/// Folders within folders.
const MAX_DEPTH: usize = 16;

/// An unpacked archive; gone when dropped.
pub(crate) struct Unpacked {
    folder: tempfile::TempDir,
    name: String,
}

impl Unpacked {
    /// The folder to walk. It is named after the archive, as names of layers may depend on it.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }
}

/// Whether a file is to be unpacked, by its name.
pub(crate) fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zip"))
}

/// Unpacks `path`. The error says why it cannot be done; nothing is left behind then.
pub(crate) fn unpack(path: &Path) -> Result<Unpacked, String> {
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let packed_bytes = file.metadata().map_err(|e| e.to_string())?.len();
    let mut archive = zip::ZipArchive::new(std::io::BufReader::new(file)).map_err(|e| e.to_string())?;
    if archive.len() > MAX_FILES {
        return Err(format!("{} files are more than {MAX_FILES}: unpack it and import it in parts", archive.len()));
    }
    let name = path.file_stem().map_or_else(|| "archive".into(), |s| s.to_string_lossy().into_owned());
    let unpacked = Unpacked { folder: tempfile::tempdir().map_err(|e| e.to_string())?, name };
    let root = unpacked.root();
    std::fs::create_dir_all(&root).map_err(|e| e.to_string())?;
    let mut left = MAX_BYTES.min(packed_bytes.saturating_mul(MAX_RATIO));
    for number in 0..archive.len() {
        let mut entry = archive.by_index(number).map_err(|e| format!("file {}: {e}", number + 1))?;
        let name = entry_name(entry.name_raw());
        if entry.is_dir() {
            continue;
        }
        if entry.encrypted() {
            return Err(format!("{name} is encrypted: unpack it first"));
        }
        if entry.is_symlink() {
            return Err(format!("{name} is a link to elsewhere"));
        }
        let inside = inside(&name).ok_or_else(|| format!("{name:?} is no path inside of the archive"))?;
        let to = root.join(inside);
        let io = |e: std::io::Error| format!("{name}: {e}");
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).map_err(io)?;
        }
        let mut out = std::fs::File::create_new(&to).map_err(io)?;
        // One byte more than allowed tells whether there was more.
        let written = std::io::copy(&mut (&mut entry).take(left + 1), &mut out).map_err(io)?;
        if written > left {
            return Err(format!(
                "{name}: unpacked it would be more than {MAX_RATIO} times the archive or {MAX_BYTES} bytes"
            ));
        }
        left -= written;
        out.flush().map_err(io)?;
    }
    Ok(unpacked)
}

/// Names are UTF-8 where the archive says so and often where it does not; Chinese Windows writes GBK.
fn entry_name(raw: &[u8]) -> String {
    match std::str::from_utf8(raw) {
        Ok(name) => name.to_owned(),
        Err(_) => encoding::decode(raw, None).0,
    }
}

/// The path of an entry, when it stays inside.
fn inside(name: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in name.split(['/', '\\']) {
        let is_odd = matches!(part, "" | "." | "..") || part.contains([':', '\0']);
        if is_odd {
            return None;
        }
        path.push(part);
    }
    (path.components().count() <= MAX_DEPTH).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zip::write::SimpleFileOptions;

    fn archive(files: &[(&str, &[u8])]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("survey.zip");
        let mut writer = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
        for (name, bytes) in files {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap();
        (folder, path)
    }

    #[test]
    fn files_come_out_below_a_folder_named_after_the_archive() {
        let (_folder, path) = archive(&[("a.txt", b"one"), ("管线/b.csv", b"two")]);
        let unpacked = unpack(&path).unwrap();
        let root = unpacked.root();
        assert!(root.ends_with("survey"));
        assert_eq!(std::fs::read(root.join("a.txt")).unwrap(), b"one");
        assert_eq!(std::fs::read(root.join("管线/b.csv")).unwrap(), b"two");
        drop(unpacked);
        assert!(!root.exists(), "nothing is left behind");
    }

    #[test]
    fn an_archive_is_imported_as_the_folder_in_it() {
        use crate::intake::{Request, import};
        let place = tempfile::tempdir().unwrap();
        groundline_sample::make(&groundline_sample::Recipe::tiny(), place.path(), &mut |_| {}).unwrap();
        let sewers = place.path().join("地下管线/污水");
        let files: Vec<(String, Vec<u8>)> = std::fs::read_dir(&sewers)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (format!("污水/{}", path.file_name().unwrap().to_string_lossy()), std::fs::read(path).unwrap()))
            .collect();
        let named: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        let (_folder, path) = archive(&named);
        let of = |source: PathBuf, city: &str| {
            let crs = Some(groundline_engine::crs::Crs::from_epsg(4549).unwrap());
            let options = crate::Options { crs, ..crate::Options::default() };
            let city = place.path().join(city);
            import(&Request { sources: vec![source], city, options, ..Request::default() }, &mut |_| {}).unwrap()
        };
        let (open, packed) = (of(sewers, "a.city"), of(path, "b.city"));
        assert!(open.objects > 50);
        assert_eq!((packed.objects, packed.tiles), (open.objects, open.tiles));
        let source = packed.sources.iter().find(|s| s.objects > 0).unwrap();
        assert!(source.path.ends_with("survey.zip/污水/WS_管线.csv"), "{}", source.path);
        assert_eq!(source.layer, "WS_管线");
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in ["../evil.txt", "a/../../evil.txt", "/etc/evil", "..\\evil.txt", "C:\\evil.txt"] {
            let (_folder, path) = archive(&[(name, b"x")]);
            assert!(unpack(&path).is_err(), "{name}");
        }
        assert_eq!(inside("a/b.shp"), Some(PathBuf::from("a/b.shp")));
        assert_eq!(entry_name(b"\xb9\xdc\xcf\xdf.csv"), "管线.csv", "GBK");
    }

    #[test]
    fn what_would_fill_the_disk_is_refused() {
        let (_folder, path) = archive(&[("zeros.bin", &vec![0; 40 << 20])]);
        let packed = std::fs::metadata(&path).unwrap().len();
        assert!(packed * MAX_RATIO < (40 << 20) || unpack(&path).is_ok(), "deflate reaches about 1:1000");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(unpack(&path).is_err(), "cut in half");
    }
}
