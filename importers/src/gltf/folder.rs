//! Files beside a source that it names by relative addresses: only below one folder, nothing from the network. A tileset
//! that is looked at on a web server has its files there, and only there.

use std::{
    io::Read,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use groundline_engine::store::Web;

/// A folder that sources may name files in.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    /// Nothing outside of it is read.
    root: PathBuf,
    /// Addresses are relative to this one, which lies in it.
    base: PathBuf,
    /// The web server on which the folder lies, and the address that others are relative to.
    web: Option<(Arc<Web>, Arc<str>)>,
}

impl Folder {
    /// The folder of a file.
    pub fn of(file: &Path) -> Self {
        let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self { root: folder.into(), base: folder.into(), web: None }
    }

    /// The folder of a file on a web server.
    pub fn on_web(web: Arc<Web>, url: &str) -> Self {
        Self { root: PathBuf::new(), base: PathBuf::new(), web: Some((web, url.into())) }
    }

    /// The same root, with addresses relative to the folder of `file`.
    pub fn beside(&self, file: &Path) -> Self {
        Self { root: self.root.clone(), base: file.parent().unwrap_or(&self.root).into(), web: self.web.clone() }
    }

    /// The folder of the file at an address.
    pub fn of_address(&self, uri: &str) -> Result<Self, String> {
        match &self.web {
            _ if uri.starts_with("data:") => Ok(self.clone()),
            None => Ok(self.beside(&self.path(uri)?)),
            Some((web, base)) => Ok(Self { web: Some((web.clone(), web.resolve(base, uri)?.into())), ..self.clone() }),
        }
    }

    /// The whole address of what an address names.
    pub fn whole(&self, uri: &str) -> Result<String, String> {
        match &self.web {
            None => Ok(self.path(uri)?.to_string_lossy().into_owned()),
            Some((web, base)) => web.resolve(base, uri),
        }
    }

    /// The file that an address names, which must exist below the root.
    pub fn path(&self, uri: &str) -> Result<PathBuf, String> {
        let shown: String = uri.chars().take(100).collect();
        if self.web.is_some() {
            return Err(format!("{shown} is no file of this machine"));
        }
        if uri.contains("://") || uri.starts_with("//") {
            return Err(format!("{shown} lies on the network, which is not asked"));
        }
        let plain = uri.split(['?', '#']).next().unwrap_or(uri);
        let relative = decoded(plain).ok_or_else(|| format!("{shown} is no file name"))?;
        let relative = Path::new(&relative);
        let is_below =
            relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir | Component::ParentDir));
        if !is_below || relative.as_os_str().is_empty() {
            return Err(format!("{shown} is no relative address"));
        }
        let path = self.base.join(relative);
        // Resolved, so that neither `..` nor a link leads out.
        let resolved = path.canonicalize().map_err(|e| format!("{shown}: {e}"))?;
        let root = self.root.canonicalize().map_err(|e| format!("{}: {e}", self.root.display()))?;
        if !resolved.starts_with(&root) {
            return Err(format!("{shown} lies outside of the folder of the source"));
        }
        Ok(path)
    }

    /// The bytes at an address, which may be a `data:` URI; more than `most` are refused.
    pub fn read(&self, uri: &str, most: u64) -> Result<Vec<u8>, String> {
        if let Some(data) = uri.strip_prefix("data:") {
            return data_of(data).ok_or_else(|| "a data URI that is not understood".into());
        }
        if let Some((web, base)) = &self.web {
            return web.get(&web.resolve(base, uri)?, most);
        }
        read_file(&self.path(uri)?, most)
    }
}

/// A whole file, of at most `most` bytes.
pub(crate) fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let wrong = |e: std::io::Error| format!("{}: {e}", path.display());
    let file = std::fs::File::open(path).map_err(wrong)?;
    let length = file.metadata().map_err(wrong)?.len();
    if length > most {
        return Err(format!("{}: {length} bytes are more than {most}", path.display()));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(most).read_to_end(&mut bytes).map_err(wrong)?;
    Ok(bytes)
}

/// Percent signs resolved.
fn decoded(uri: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(uri.len());
    let mut rest = uri.bytes();
    while let Some(byte) = rest.next() {
        if byte == 0 || byte == b'\\' {
            return None;
        }
        bytes.push(match byte {
            b'%' => (rest.next().and_then(hex)? << 4) | rest.next().and_then(hex)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok().filter(|s| !s.contains('\0'))
}

fn hex(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|d| d as u8)
}

/// What follows `data:`, in base 64.
pub(crate) fn data_of(data: &str) -> Option<Vec<u8>> {
    let (_, text) = data.split_once(";base64,")?;
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut held, mut bits) = (0u32, 0);
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => break,
            b if b.is_ascii_whitespace() => continue,
            _ => return None,
        };
        (held, bits) = (held << 6 | u32::from(value), bits + 6);
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_of_the_folder_is_read() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("in");
        std::fs::create_dir_all(inner.join("sub")).unwrap();
        std::fs::write(outer.path().join("secret.bin"), b"no").unwrap();
        std::fs::write(inner.join("a b.bin"), b"yes").unwrap();
        let folder = Folder::of(&inner.join("model.gltf"));
        assert_eq!(folder.read("a%20b.bin", 10).unwrap(), b"yes");
        assert_eq!(folder.beside(&inner.join("sub/x.json")).read("../a%20b.bin", 10).unwrap(), b"yes");
        for uri in [
            "../secret.bin",
            "%2e%2e/secret.bin",
            "sub/../../secret.bin",
            "/etc/passwd",
            "http://a.b/c",
            "..\\secret.bin",
            "",
            "none",
        ] {
            assert!(folder.read(uri, 10).is_err(), "{uri}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(outer.path().join("secret.bin"), inner.join("link.bin")).unwrap();
            assert!(folder.read("link.bin", 10).unwrap_err().contains("outside"));
        }
        assert!(folder.read("a%20b.bin", 2).unwrap_err().contains("more than 2"));
    }

    #[test]
    fn data_uris_are_decoded() {
        let folder = Folder::of(Path::new("x"));
        assert_eq!(folder.read("data:application/octet-stream;base64,AAEC/w==", 0).unwrap(), [0, 1, 2, 255]);
        assert!(folder.read("data:,plain", 0).is_err());
        assert!(folder.read("data:;base64,!!", 0).is_err());
    }
}
