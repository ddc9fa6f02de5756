//! What the tests of the command share: running it, and the tiny sample city.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The built command.
pub fn groundline() -> Command {
    Command::new(env!("CARGO_BIN_EXE_groundline"))
}

/// Runs it and returns what it said; panics only when it cannot be started.
pub fn run(args: &[&str]) -> Output {
    groundline().args(args).output().expect("the command starts")
}

/// Exit code and standard output as JSON.
pub fn run_json(args: &[&str]) -> (i32, serde_json::Value) {
    let output = run(&[args, &["--json"]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    let value = serde_json::from_str(&text).unwrap_or_else(|e| {
        panic!("{args:?} printed no JSON ({e}): {text}\n{}", String::from_utf8_lossy(&output.stderr))
    });
    (output.status.code().expect("it ended by itself"), value)
}

/// The files of the tiny sample city, made in `folder`.
pub fn tiny_sample(folder: &Path) -> PathBuf {
    let files = folder.join("sources");
    std::fs::create_dir_all(&files).expect("a folder");
    groundline_sample::make(&groundline_sample::Recipe::tiny(), &files, &mut |_| {}).expect("the sample city's files");
    files
}

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}

/// Every file below `folder` with a hash of its content, in order.
pub fn fingerprint(folder: &Path) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder that can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).expect("a file that can be read");
                let mut hasher = std::hash::DefaultHasher::new();
                std::hash::Hash::hash(&bytes, &mut hasher);
                let name = path.strip_prefix(folder).expect("below it").display().to_string();
                all.push((name, std::hash::Hasher::finish(&hasher)));
            }
        }
    }
    all.sort();
    all
}

/// The real files of other people, where they are present.
pub fn real_data() -> Option<PathBuf> {
    let named = std::env::var_os("GROUNDLINE_DATA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let found = named.or(Some(beside)).filter(|p| p.join("MANIFEST.tsv").is_file());
    if found.is_none() {
        println!("no real data here: set GROUNDLINE_DATA to run this on it");
    }
    found
}
