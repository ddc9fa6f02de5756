//! Views that a person keeps under a name (书签), and tours through them (漫游): a small JSON file for each city, in the
//! folder where the platform keeps what belongs to a person. The city itself is never written to.
//!
//! Every change reads the file, changes it and replaces it by one rename, so that two windows do not undo each other's. A file
//! that cannot be understood is set aside under another name and told of.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{ViewError, view_string::MAX_TEXT};

/// Version of the file's format.
const FORMAT: u32 = 1;
/// Largest file that is read, bytes.
const MAX_BYTES: u64 = 16 << 20;
/// Most bookmarks of a city.
const MAX_BOOKMARKS: usize = 2000;
/// Seconds of a stop when nobody says how many.
pub const STOP_S: f64 = 5.0;
/// Name of the tour through all bookmarks.
pub const TOUR_OF_ALL: &str = "all";

/// A view with a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bookmark {
    /// Its name.
    pub name: String,
    /// The view, as one line of text.
    pub view: String,
}

/// A stop of a tour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// Name of the bookmark.
    pub bookmark: String,
    /// From the stop before to the end of this one, seconds.
    pub seconds: f64,
}

/// Bookmarks in an order with a time each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tour {
    /// Its name.
    pub name: String,
    /// Its stops.
    pub stops: Vec<Stop>,
}

/// The file, as it is on disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct File {
    format: u32,
    city: String,
    bookmarks: Vec<Bookmark>,
    #[serde(default)]
    tours: Vec<Tour>,
}

/// The bookmarks and tours of one city.
#[derive(Clone, Debug, Default)]
pub struct Bookmarks {
    path: Option<PathBuf>,
    file: File,
}

impl Bookmarks {
    /// Reads those of the city called `city` from `path`; with a sentence where they could not be read.
    pub fn open(path: Option<PathBuf>, city: &str) -> (Self, Option<String>) {
        let mut this = Self { path, file: File { format: FORMAT, city: city.to_owned(), ..File::default() } };
        let trouble = this.read().err();
        (this, trouble)
    }

    /// The bookmarks, in the order in which they were made.
    pub fn list(&self) -> &[Bookmark] {
        &self.file.bookmarks
    }

    /// The tours.
    pub fn tours(&self) -> &[Tour] {
        &self.file.tours
    }

    /// The bookmark of a name.
    pub fn get(&self, name: &str) -> Option<&Bookmark> {
        self.file.bookmarks.iter().find(|bookmark| bookmark.name == name)
    }

    /// The views of a tour with their seconds; `all` goes through every bookmark.
    pub fn tour(&self, name: &str) -> Result<Vec<(String, f64)>, String> {
        let stops = match self.file.tours.iter().find(|tour| tour.name == name) {
            Some(tour) => tour.stops.clone(),
            None if name == TOUR_OF_ALL => stops_through(&self.file.bookmarks),
            None => {
                let known: Vec<&str> = self.file.tours.iter().map(|tour| tour.name.as_str()).collect();
                return Err(format!(
                    "there is no tour `{name}`: {TOUR_OF_ALL}{}",
                    known.iter().map(|n| format!(", {n}")).collect::<String>()
                ));
            }
        };
        let view = |stop: &Stop| {
            let bookmark =
                self.get(&stop.bookmark).ok_or_else(|| format!("tour `{name}`: no bookmark `{}`", stop.bookmark))?;
            Ok((bookmark.view.clone(), if stop.seconds.is_finite() { stop.seconds.clamp(0.1, 600.0) } else { STOP_S }))
        };
        let views: Vec<_> = stops.iter().map(view).collect::<Result<_, String>>()?;
        if views.is_empty() { Err(format!("tour `{name}` has no stops")) } else { Ok(views) }
    }

    /// Keeps a view under a name; one of the same name is replaced.
    pub fn keep(&mut self, name: &str, view: &str) -> Result<(), String> {
        let name: String = name.trim().chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();
        if name.is_empty() {
            return Err("a bookmark wants a name".into());
        }
        let bookmark = Bookmark { name, view: view.to_owned() };
        if self.get(&bookmark.name).is_none() && self.list().len() >= MAX_BOOKMARKS {
            return Err(format!("more than {MAX_BOOKMARKS} bookmarks"));
        }
        self.change(|file| match file.bookmarks.iter_mut().find(|old| old.name == bookmark.name) {
            Some(old) => *old = bookmark,
            None => file.bookmarks.push(bookmark),
        })
    }

    /// Removes a bookmark, and its stops in tours.
    pub fn remove(&mut self, name: &str) -> Result<(), String> {
        self.change(|file| {
            file.bookmarks.retain(|bookmark| bookmark.name != name);
            for tour in &mut file.tours {
                tour.stops.retain(|stop| stop.bookmark != name);
            }
            file.tours.retain(|tour| !tour.stops.is_empty());
        })
    }

    /// Keeps a tour; one of the same name is replaced where it stands.
    pub fn keep_tour(&mut self, mut tour: Tour) -> Result<(), String> {
        tour.name = tour.name.trim().chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();
        if tour.name.is_empty() || tour.name == TOUR_OF_ALL {
            return Err(format!("a tour wants a name of its own, not `{}`", tour.name));
        }
        let others = self.tours().iter().filter(|old| old.name != tour.name).count();
        if others >= MAX_BOOKMARKS || tour.stops.len() > MAX_BOOKMARKS {
            return Err(format!("more than {MAX_BOOKMARKS} tours or stops"));
        }
        self.change(|file| match file.tours.iter_mut().find(|old| old.name == tour.name) {
            Some(old) => *old = tour,
            None => file.tours.push(tour),
        })
    }

    /// Removes a tour.
    pub fn remove_tour(&mut self, name: &str) -> Result<(), String> {
        self.change(|file| file.tours.retain(|tour| tour.name != name))
    }

    /// Takes what is on disk; in memory nothing changes where that fails.
    fn read(&mut self) -> Result<(), String> {
        let Some(path) = &self.path else { return Ok(()) };
        let text = match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Ok(found) if found.len() > MAX_BYTES => None,
            _ => match std::fs::read(path) {
                Ok(bytes) => String::from_utf8(bytes).ok(),
                Err(error) => return Err(format!("{}: {error}", path.display())),
            },
        };
        match text.and_then(|text| serde_json::from_str::<File>(&text).ok()) {
            Some(file) if file.format > FORMAT => {
                Err(format!("{}: a newer release wrote these bookmarks; they stay as they are", path.display()))
            }
            Some(file) => {
                self.file = File { city: std::mem::take(&mut self.file.city), format: FORMAT, ..file };
                Ok(())
            }
            None => Err(set_aside(path)),
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut File)) -> Result<(), String> {
        if let Err(trouble) = self.read()
            && self.path.as_ref().is_some_and(|path| path.exists())
        {
            return Err(trouble);
        }
        change(&mut self.file);
        match &self.path {
            Some(path) => write(path, &self.file).map_err(|error| error.to_string()),
            None => Err("there is no folder for bookmarks: set GROUNDLINE_BOOKMARKS".into()),
        }
    }
}

fn stops_through(bookmarks: &[Bookmark]) -> Vec<Stop> {
    bookmarks.iter().map(|bookmark| Stop { bookmark: bookmark.name.clone(), seconds: STOP_S }).collect()
}

/// Renames a damaged file to the first free name beside it; says so.
fn set_aside(path: &Path) -> String {
    let free = (1..1000).map(|n| path.with_extension(format!("damaged-{n}.json"))).find(|aside| !aside.exists());
    let renamed = free.ok_or(std::io::Error::other("too many damaged files")).and_then(|aside| {
        std::fs::rename(path, &aside)?;
        Ok(aside)
    });
    match renamed {
        Ok(aside) => format!("the bookmarks in {} are damaged; they were kept as {}", path.display(), aside.display()),
        Err(error) => format!("the bookmarks in {} are damaged and stay there: {error}", path.display()),
    }
}

/// Writes beside the file, then renames over it.
fn write(path: &Path, file: &File) -> Result<(), ViewError> {
    let io = |source| ViewError::Io { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(io)?;
    let text = serde_json::to_string_pretty(file).map_err(|error| io(error.into()))?;
    let beside = path.with_extension(format!("json.new-{}", std::process::id()));
    let written = std::fs::File::create(&beside).and_then(|mut out| {
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        std::fs::rename(&beside, path)
    });
    if written.is_err() {
        // The reason that is told is the first one.
        let _ = std::fs::remove_file(&beside);
    }
    written.map_err(io)
}

/// The file of a city's bookmarks: `asked` (a file, or a folder for all cities) if given, else in the platform's folder for
/// what belongs to a person.
pub fn path_for(asked: Option<&Path>, city: &Path, name: &str) -> Option<PathBuf> {
    let whole = std::fs::canonicalize(city).unwrap_or_else(|_| city.to_owned());
    let plain: String = name.chars().map(|c| if c.is_alphanumeric() || c == '-' { c } else { '_' }).take(60).collect();
    let file = format!("{plain}-{:08x}.json", fnv(whole.to_string_lossy().as_bytes()));
    match asked {
        Some(asked) if asked.extension().is_some_and(|extension| extension == "json") => Some(asked.to_owned()),
        Some(folder) => Some(folder.join(file)),
        None => Some(
            person_folder(|key| std::env::var_os(key).filter(|value| !value.is_empty()).map(PathBuf::from))?
                .join("groundline/bookmarks")
                .join(file),
        ),
    }
}

fn person_folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    if cfg!(windows) {
        variable("APPDATA")
    } else if cfg!(target_os = "macos") {
        Some(variable("HOME")?.join("Library/Application Support"))
    } else {
        variable("XDG_CONFIG_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| Some(variable("HOME")?.join(".config")))
    }
}

/// A short number that tells cities of one name apart (FNV-1a, folded to 32 bits).
fn fnv(bytes: &[u8]) -> u32 {
    let long = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    (long ^ (long >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> (Bookmarks, Option<String>) {
        Bookmarks::open(Some(path.to_owned()), "测试城")
    }

    #[test]
    fn bookmarks_are_there_again_and_two_windows_keep_both() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/b.json");
        let (mut one, trouble) = open(&path);
        assert_eq!(trouble, None, "no file is no trouble");
        let (mut other, _) = open(&path);
        one.keep("码头", "groundline:?u=1").unwrap();
        other.keep("Harbour", "groundline:?u=0").unwrap();
        one.keep("码头", "groundline:?d=2").unwrap();
        let names: Vec<_> = open(&path).0.list().iter().map(|b| (b.name.clone(), b.view.clone())).collect();
        assert_eq!(names, [("码头".into(), "groundline:?d=2".into()), ("Harbour".into(), "groundline:?u=0".into())]);
        assert!(one.keep("  \n", "x").is_err());
        one.remove("码头").unwrap();
        assert_eq!(open(&path).0.list().len(), 1);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_tour_goes_through_its_bookmarks() {
        let folder = tempfile::tempdir().unwrap();
        let (mut bookmarks, _) = open(&folder.path().join("b.json"));
        assert!(bookmarks.tour(TOUR_OF_ALL).unwrap_err().contains("no stops"));
        for name in ["a", "b"] {
            bookmarks.keep(name, &format!("view of {name}")).unwrap();
        }
        let stop = |name: &str, seconds: f64| Stop { bookmark: name.into(), seconds };
        let tour = |name: &str, stops: Vec<Stop>| Tour { name: name.into(), stops };
        bookmarks.keep_tour(tour(" 巡查 ", vec![stop("a", 3.0), stop("b", STOP_S)])).unwrap();
        bookmarks.keep("c", "view of c").unwrap();
        assert_eq!(bookmarks.tour("巡查").unwrap(), [("view of a".into(), 3.0), ("view of b".into(), STOP_S)]);
        assert_eq!(bookmarks.tour(TOUR_OF_ALL).unwrap().len(), 3);
        assert!(bookmarks.tour("x").unwrap_err().contains("巡查"));
        bookmarks.remove("a").unwrap();
        assert_eq!(bookmarks.tour("巡查").unwrap().len(), 1, "a stop goes with its bookmark");
        bookmarks.keep_tour(tour("夜", vec![stop("c", 1.0)])).unwrap();
        bookmarks.keep_tour(tour("巡查", vec![stop("c", 2.0), stop("b", 4.0)])).unwrap();
        let names: Vec<_> = bookmarks.tours().iter().map(|tour| &*tour.name).collect();
        assert_eq!(names, ["巡查", "夜"], "an edited one stays where it was");
        assert_eq!(bookmarks.tour("巡查").unwrap()[0], ("view of c".into(), 2.0));
        bookmarks.remove_tour("巡查").unwrap();
        assert!(bookmarks.tour("巡查").is_err() && bookmarks.get("b").is_some());
        for name in ["", "  ", TOUR_OF_ALL] {
            assert!(bookmarks.keep_tour(tour(name, vec![stop("b", 1.0)])).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_damaged_file_is_told_of_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.json");
        for damaged in ["", "{\"format\":1", "[]", "\u{0}\u{1}"] {
            std::fs::write(&path, damaged).unwrap();
            let (bookmarks, trouble) = open(&path);
            assert!(bookmarks.list().is_empty() && trouble.expect("told").contains("damaged"));
            assert!(!path.exists());
        }
        let mut kept: Vec<String> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect();
        kept.sort();
        assert_eq!(kept, ["", "\u{0}\u{1}", "[]", "{\"format\":1"]);
        let (mut bookmarks, _) = open(&path);
        bookmarks.keep("new", "v").unwrap();
        // What was damaged while the window was open is set aside too, and what it holds is written again.
        std::fs::write(&path, "garbage").unwrap();
        bookmarks.keep("second", "v").unwrap();
        assert_eq!(open(&path).0.list().len(), 2);
    }

    #[test]
    fn bookmarks_of_a_newer_release_are_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.json");
        let newer = r#"{"format":9,"city":"x","bookmarks":[],"future":true}"#;
        std::fs::write(&path, newer).unwrap();
        let (mut bookmarks, trouble) = open(&path);
        assert!(trouble.expect("told").contains("newer"));
        assert!(bookmarks.keep("a", "v").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), newer);
    }

    #[test]
    fn each_city_has_a_file_of_its_own() {
        let file =
            |asked: Option<&str>, city: &str| path_for(asked.map(Path::new), Path::new(city), "青岛 样例/城").unwrap();
        let a = file(Some("/x"), "/cities/a.city");
        assert!(a.starts_with("/x") && a.file_name().unwrap().to_str().unwrap().starts_with("青岛_样例_城-"));
        assert_ne!(a, file(Some("/x"), "/cities/b.city"));
        assert_eq!(file(Some("/x/mine.json"), "/cities/b.city"), Path::new("/x/mine.json"));
        let home = |key: &str| (key == "HOME" || key == "APPDATA").then(|| PathBuf::from("/home/li"));
        assert!(person_folder(home).unwrap().starts_with("/home/li"));
        assert_eq!(person_folder(|_| None), None);
    }
}
