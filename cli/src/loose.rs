//! Sources that are looked at without a city: tilesets where they lie, each other source in a city of its own among what this
//! program can make again.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use anyhow::{Context, Result};
use groundline_engine::store::{City, cache_folder};
use groundline_importers::{
    intake::{self, Request},
    tiles3d::{Tileset, is_tileset_file, is_tileset_url},
};

use crate::{import, outcome::Ask};

/// So many sources that were looked at are kept, those looked at last.
const KEPT: usize = 16;
/// So many records that are not shown are told.
const SHOWN: usize = 3;

/// What is said of a source that is no city.
#[derive(clap::Args, Clone, Default)]
pub struct Loose {
    /// Coordinate system of a source that is no city, where it does not say; as for `import`.
    #[arg(long, value_name = "EPSG:CODE")]
    crs: Option<String>,
    /// What else `import --map` would say of it, such as place=x,y for a model without any system.
    #[arg(long, value_name = "NAME=FIELD")]
    map: Vec<String>,
}

/// What is looked at.
pub enum Looked {
    /// A city.
    City(PathBuf),
    /// A tileset of others.
    Tileset(Arc<Tileset>),
}

impl Loose {
    /// What is at `place`. A tileset is looked at where it lies, unless it is said where on the Earth it belongs: then it is imported,
    /// as files and folders that are no city.
    pub fn look(&self, place: &Path, ask: &Ask) -> Result<Looked> {
        let text = place.to_string_lossy();
        let is_placed = self.crs.is_some() || !self.map.is_empty();
        if is_tileset_url(&text) || (!is_placed && place.is_file() && is_tileset_file(place)) {
            return Ok(Looked::Tileset(Arc::new(Tileset::open(&text).map_err(anyhow::Error::msg)?)));
        }
        Ok(Looked::City(self.city(place, ask)?))
    }

    /// The city at `place`; of files and folders that are none, one that is made of them. A second look reads only what changed.
    pub fn city(&self, place: &Path, ask: &Ask) -> Result<PathBuf> {
        let is_source = place.is_file() || (place.is_dir() && !place.join("city.json").is_file());
        if !is_source {
            return Ok(place.to_path_buf());
        }
        let source = place.canonicalize().with_context(|| place.display().to_string())?;
        let said = format!("{}\0{:?}\0{:?}", source.display(), self.crs, self.map);
        let city = cache_folder("looked", &said);
        fs::create_dir_all(&city).with_context(|| city.display().to_string())?;
        forget_old(&city);
        let name = source.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let options = import::options(self.crs.as_deref(), &self.map)?;
        let request = Request { sources: vec![source], city: city.clone(), name, options, ..Request::default() };
        let bar = import::progress_bar();
        let report = intake::import(&request, &mut |progress| import::show(&bar, &progress, ask));
        bar.finish_and_clear();
        let report = report.map_err(|error| import::told_error(error, false, ask))?;
        let skips = report.sources.iter().flat_map(|source| &source.skips);
        for skip in skips.take(SHOWN) {
            eprintln!("{}: {}", ask.say("not shown", "未显示"), skip.reason);
        }
        if City::open(&city)?.extent().is_empty() {
            anyhow::bail!("{}: {}", place.display(), ask.say("nothing in it can be shown", "其中没有可显示的内容"));
        }
        Ok(city)
    }
}

/// Removes all but those that were looked at last; what another process looks at now is young.
fn forget_old(but: &Path) {
    let entries = but.parent().and_then(|looked| fs::read_dir(looked).ok()).into_iter().flatten().flatten();
    let mut cities: Vec<(SystemTime, PathBuf)> = entries
        .filter(|entry| entry.path() != but)
        .filter_map(|entry| Some((fs::metadata(entry.path().join("city.json")).ok()?.modified().ok()?, entry.path())))
        .collect();
    cities.sort_unstable();
    let old = cities.len().saturating_sub(KEPT - 1);
    for (_, city) in cities.into_iter().take(old) {
        // What cannot be removed is tried again at the next look.
        let _ = fs::remove_dir_all(city);
    }
}
