//! What a city holds, to the byte, and whether it is what it should be.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use groundline_engine::store::{City, StoreError};
use serde_json::Value;

use crate::step::{CITY, LIFE, Step};

/// Files by their names.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Every file below `folder` with its bytes.
pub fn files(folder: &Path) -> Files {
    let mut found = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// The files of a city; the lock is always there and empty.
pub fn of_city(place: &Path) -> Files {
    let mut found = files(&place.join(CITY));
    assert_eq!(found.remove(".lock").unwrap_or_default(), b"");
    found
}

/// A process that died in `step` left the city in `place`: opens it and says whether it is at the new version. Everything that
/// the version names is as it is where nothing was disturbed; but for the account of an import that is not the first, which went on
/// from another.
pub fn is_new(place: &Path, step: Step, is_first: bool, case: &str) -> bool {
    let started = Instant::now();
    let opened = City::open(&place.join(CITY));
    assert!(started.elapsed() < Duration::from_secs(5), "{case}: it took {:?} to open", started.elapsed());
    let city = match opened {
        Ok(city) => city,
        Err(StoreError::NotACity(_)) if step == Step::Import => return false,
        Err(error) => panic!("{case}: {error}"),
    };
    let (base, version) = (step.base_version(), city.version());
    let is_new = step != Step::Gc && version == base + 1;
    assert!(is_new || version == base || step == Step::Gc, "{case}: version {version}");
    assert_eq!(city.verify().unwrap(), [], "{case}");
    let life = if is_new { LIFE.after(step) } else { LIFE.before(step) };
    let told = |files: Files| if is_first { files } else { but_for_accounts(files) };
    let found = told(of_city(place));
    if step == Step::Import && !is_new {
        return false;
    }
    for (name, bytes) in told(of_city(&life)) {
        // What is no part of a version may be gone.
        let is_litter = step == Step::Gc && !of_city(&LIFE.after(step)).contains_key(&name);
        let same = found.get(&name) == Some(&bytes);
        assert!(same || is_litter, "{case}: {name} is not as it should be at version {version}");
    }
    is_new
}

/// Removes garbage; then the files are those of the version and no others, to the byte.
pub fn has_no_orphan(place: &Path, step: Step, is_new: bool, case: &str) {
    let Ok(city) = City::open(&place.join(CITY)) else { return };
    city.collect_garbage().unwrap_or_else(|e| panic!("{case}: {e}"));
    let found = of_city(place);
    if step == Step::Import && !is_new {
        let names: Vec<&String> = found.keys().collect();
        assert_eq!(names, ["city.json", "versions/000000.json"], "{case}");
        return;
    }
    let life = if is_new || step == Step::Gc { LIFE.after(step) } else { LIFE.before(step) };
    // The step before left its own litter.
    same(&found, &of_city(&life), case);
}

/// The step was done again after a crash: all is as if nothing had happened, but for what its account says of it.
pub fn is_done(place: &Path, step: Step, case: &str) {
    let city = City::open(&place.join(CITY)).unwrap_or_else(|e| panic!("{case}: {e}"));
    assert_eq!(city.verify().unwrap(), [], "{case}");
    city.collect_garbage().unwrap_or_else(|e| panic!("{case}: {e}"));
    same(&but_for_accounts(of_city(place)), &but_for_accounts(of_city(&LIFE.after(step))), case);
}

/// Without what tells that an import was resumed: words of the report, its hash, and the hashes that hold that one.
fn but_for_accounts(mut files: Files) -> Files {
    for (name, bytes) in &mut files {
        let keys: &[&str] = match name.split('/').next().unwrap() {
            "reports" if name.ends_with(".json") => &["resumed", "objects_read"],
            "versions" if name.ends_with(".json") => &["report", "parent_manifest"],
            "city.json" => &["manifest", "check"],
            _ => continue,
        };
        // What is left over of a crash need be none.
        let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else { continue };
        remove(&mut value, keys);
        *bytes = value.to_string().into_bytes();
    }
    files
}

fn remove(value: &mut Value, keys: &[&str]) {
    match value {
        Value::Object(object) => {
            object.retain(|key, _| !keys.contains(&key.as_str()));
            object.values_mut().for_each(|value| remove(value, keys));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| remove(value, keys)),
        _ => {}
    }
}

fn same(found: &Files, expected: &Files, case: &str) {
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{case}");
    for (name, bytes) in expected {
        let both = [bytes, &found[name]].map(|bytes| String::from_utf8_lossy(&bytes[..bytes.len().min(4000)]));
        assert!(found[name] == *bytes, "{case}: {name} differs:\n{}\n{}", both[0], both[1]);
    }
}
