//! Whether every file of a city is what was written.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::{
    City, StoreError, disk,
    manifest::{self, FileRecord},
    path::join_inside,
    place,
};

/// A file of the city that is not as its manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file, relative to the city.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

impl City {
    /// Compares every file of the open version and of those before it with what their manifests say, and the manifests with each
    /// other. Empty when nothing is damaged.
    pub fn verify(&self) -> Result<Vec<Damage>, StoreError> {
        let mut found: Vec<Damage> = Vec::new();
        if let Err(e) = manifest::read_head(&self.folder) {
            found.push(Damage { path: "city.json".into(), reason: e.to_string() });
        }
        let mut files: BTreeMap<String, FileRecord> = BTreeMap::new();
        let mut pages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut expected = self.head.manifest.clone();
        for version in (self.head.oldest..=self.head.version).rev() {
            let path = manifest::manifest_path(version);
            let manifest = match manifest::read_manifest(&self.folder, version) {
                Ok((manifest, hash)) if hash == expected => manifest,
                Ok(_) => {
                    found.push(Damage { path, reason: "it is not the manifest that its successor names".into() });
                    break;
                }
                Err(e) => {
                    found.push(Damage { path, reason: e.to_string() });
                    break;
                }
            };
            let mut add = |file: &FileRecord| {
                files.entry(file.path.clone()).or_insert_with(|| file.clone());
            };
            manifest.report.iter().for_each(&mut add);
            for layer in &manifest.layers {
                layer.files().for_each(&mut add);
                // A page that cannot be read is among the files that its own page names.
                let seen = pages.entry(layer.name.clone()).or_default();
                layer.each_named_tile(&self.folder, seen, &mut |file| file.iter().for_each(&mut add));
            }
            expected = manifest.parent_manifest.unwrap_or_default();
        }
        let damaged = files.into_par_iter().filter_map(|(path, file)| {
            let reason = match self.hash_of(&path) {
                Ok((size, _)) if !file.has_size(size) => format!("{size} bytes instead of {}", file.size),
                Ok((_, hash)) if !file.has_hash(&hash) => "its content is not what was written".into(),
                Ok(_) => return None,
                Err(e) => e.to_string(),
            };
            Some(Damage { path, reason })
        });
        found.extend(damaged.collect::<Vec<_>>());
        Ok(found)
    }

    /// Size and hash of a file; of one in a bucket, what the bucket holds.
    fn hash_of(&self, relative: &str) -> Result<(u64, String), StoreError> {
        let path = join_inside(&self.folder, relative)?;
        let Some(bucket) = place::bucket(&self.folder) else { return disk::hash_file(&path) };
        let missing = || StoreError::Bucket { url: bucket.url().into(), reason: format!("{relative} is not there") };
        bucket.hash(relative)?.ok_or_else(missing)
    }
}
