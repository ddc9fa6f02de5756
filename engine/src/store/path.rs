//! Names that are safe to use as files, and paths that stay inside the city.

use std::path::{Component, Path, PathBuf};

use super::StoreError;

/// Longest folder name made from a layer's name, bytes; file systems allow 255.
const LONGEST_NAME: usize = 96;

/// The folder name of `layer`: letters of any script, digits, `_`, `-` and inner dots are kept, all else
/// becomes `_`. A name that had to be changed carries a short hash, so that two layers never share a folder.
pub(crate) fn folder_of(layer: &str) -> String {
    let mut name = String::new();
    for c in layer.chars() {
        let dot_inside = c == '.' && !name.is_empty() && !name.ends_with('.');
        name.push(if c.is_alphanumeric() || c == '_' || c == '-' || dot_inside { c } else { '_' });
        if name.len() > LONGEST_NAME {
            break;
        }
    }
    while name.len() > LONGEST_NAME || name.ends_with('.') {
        name.pop();
    }
    if name == layer && !name.is_empty() {
        return name;
    }
    format!("{name}-{}", &blake3::hash(layer.as_bytes()).to_hex()[..8])
}

/// Whether `relative` names something below a folder by its letters alone: no `..`, no root, no drive.
pub(crate) fn is_plain(relative: &str) -> bool {
    !relative.is_empty()
        && !relative.contains(['\\', '\0', ':'])
        && Path::new(relative).components().all(|c| matches!(c, Component::Normal(_)))
}

/// `relative` below `root`, refused when it leads out of it by `..`, by being absolute or by a symbolic link.
/// The file need not exist.
pub(crate) fn join_inside(root: &Path, relative: &str) -> Result<PathBuf, StoreError> {
    let path = root.join(relative);
    if !is_plain(relative) {
        return Err(StoreError::damaged(root, format!("the path {relative:?} leads out of the city")));
    }
    let root = root.canonicalize().map_err(StoreError::at(root))?;
    // The deepest part that exists decides: what does not exist cannot be a link.
    let deepest = path.ancestors().find_map(|p| p.canonicalize().ok());
    match deepest {
        Some(real) if real.starts_with(&root) => Ok(path),
        _ => Err(StoreError::damaged(&root, format!("the path {relative:?} leads out of the city"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_names_become_folder_names_that_cannot_lead_anywhere() {
        assert_eq!(folder_of("buildings"), "buildings");
        assert_eq!(folder_of("DXGX_LN_XZ"), "DXGX_LN_XZ");
        assert_eq!(folder_of("中山路建筑"), "中山路建筑");
        for wild in ["", ".", "..", "../x", "/etc", "a/b", "a\\b", "C:", ".hidden", "a..b", "x\0y", &"长".repeat(300)]
        {
            let name = folder_of(wild);
            assert!(is_plain(&name) && !name.starts_with('.') && !name.contains(".."), "{wild:?} → {name:?}");
            assert!(name.len() <= LONGEST_NAME + 9);
        }
        assert_ne!(folder_of("a/b"), folder_of("a:b"));
        assert_ne!(folder_of("a/b"), folder_of("a_b"));
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("city");
        std::fs::create_dir_all(root.join("objects")).unwrap();
        std::fs::write(dir.path().join("secret"), "x").unwrap();
        assert!(join_inside(&root, "objects/a.parquet").is_ok());
        for wild in ["../secret", "/etc/passwd", "objects/../../secret", "", "a\\..\\b"] {
            assert!(join_inside(&root, wild).is_err(), "{wild}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(dir.path(), root.join("objects/link")).unwrap();
            assert!(join_inside(&root, "objects/link/secret").is_err());
        }
    }
}
