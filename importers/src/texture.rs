//! The pictures of a model, from the files that it names beside itself.

use std::{collections::HashMap, io::Cursor, path::Path};

use groundline_engine::model::{SourceReport, Texture};

use crate::gltf::folder::Folder;

/// Bytes of one file.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// Bytes of files that are kept in memory, for objects that follow with the same picture.
const MAX_KEPT_BYTES: usize = 128 << 20;
/// Names that are remembered.
const MAX_NAMES: usize = 1_000_000;
/// Faults that are told one by one.
const MAX_FAULTS: usize = 1000;

/// Reads pictures below the folder of a model, each once as long as it is remembered.
pub(crate) struct Pictures {
    folder: Folder,
    known: HashMap<String, Option<Texture>>,
    bytes: usize,
    faults: Vec<(String, String)>,
}

impl Pictures {
    /// The pictures beside a model.
    pub fn beside(model: &Path) -> Self {
        Self { folder: Folder::of(model), known: HashMap::new(), bytes: 0, faults: Vec::new() }
    }

    /// The picture that an address names; `None` for what is not there or no picture, which is told once.
    pub fn get(&mut self, address: &str) -> Option<Texture> {
        if let Some(known) = self.known.get(address) {
            return known.clone();
        }
        // Programs for Windows write their own separators.
        let picture = self.folder.read(&address.replace('\\', "/"), MAX_FILE_BYTES).and_then(picture);
        let picture = match picture {
            Ok(picture) => Some(picture),
            Err(reason) => {
                if self.faults.len() < MAX_FAULTS {
                    self.faults.push((address.chars().take(100).collect(), reason));
                }
                None
            }
        };
        if self.bytes > MAX_KEPT_BYTES || self.known.len() >= MAX_NAMES {
            self.known.retain(|_, picture| picture.is_none());
            self.bytes = 0;
        }
        if self.known.len() < MAX_NAMES {
            self.bytes += picture.as_ref().map_or(0, |p| p.file().len());
            self.known.insert(address.to_owned(), picture.clone());
        }
        picture
    }

    /// Tells of the pictures that could not be had since the last time.
    pub fn tell(&mut self, report: &mut SourceReport) {
        // Several threads may have asked for them.
        self.faults.sort_unstable();
        for (address, reason) in self.faults.drain(..) {
            let message = "pictures that cannot be had; their surfaces have a plain colour";
            report.warn("texture_missing", message, format!("{address}: {reason}"));
        }
    }
}

/// Of the bytes of a file; `Err` for what is neither JPEG nor PNG.
pub(crate) fn picture(file: Vec<u8>) -> Result<Texture, String> {
    let reader = image::ImageReader::new(Cursor::new(&file)).with_guessed_format().map_err(|e| e.to_string())?;
    reader.into_dimensions().map_err(|e| format!("no JPEG or PNG: {e}"))?;
    Ok(Texture::new(file))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A picture whose left half is red and whose right half is blue.
    pub fn halves() -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        let half = |x| image::Rgb(if x < 32 { [220, 0, 0] } else { [0, 0, 220] });
        image::RgbImage::from_fn(64, 64, |x, _| half(x)).write_to(&mut file, image::ImageFormat::Png).unwrap();
        file.into_inner()
    }

    #[test]
    fn pictures_are_read_once_and_only_below_the_folder() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("model");
        std::fs::create_dir_all(folder.join("appearance")).unwrap();
        std::fs::write(folder.join("appearance/a.png"), halves()).unwrap();
        std::fs::write(folder.join("notes.txt"), "no picture").unwrap();
        std::fs::write(outer.path().join("b.png"), halves()).unwrap();
        let mut pictures = Pictures::beside(&folder.join("model.gml"));
        let first = pictures.get("appearance/a.png").unwrap();
        assert_eq!(pictures.get("appearance\\a.png"), Some(first));
        for address in ["../b.png", "notes.txt", "none.png", "http://a.b/c.png", "../b.png"] {
            assert_eq!(pictures.get(address), None, "{address}");
        }
        let mut report = SourceReport::default();
        pictures.tell(&mut report);
        assert_eq!((report.warnings.len(), report.warnings[0].count), (1, 4), "each is told once");
        assert!(report.warnings[0].place.contains("b.png"));
    }
}
