//! Pictures of what the window shows, for the screen and for paper: made beside the window, which goes on meanwhile.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, TryRecvError, channel},
    },
    time::Instant,
};

use bevy::{prelude::*, window::RequestRedraw};
use groundline_engine::tile::TileSource;

use crate::{
    city::CityModel,
    key::Action,
    options::{SceneOptions, SnapshotOptions},
    sheet::Sheet,
    snapshot::picture,
    view_state::Showing,
};

/// Dots to the inch of what is printed.
const PRINT_DPI: u32 = 300;
/// Most pictures of a name in a folder.
const MOST_PICTURES: u32 = 100_000;
/// Seconds that a picture may take for each million of its pixels, and at least.
const SECONDS_PER_MEGAPIXEL: f64 = 15.0;
const LEAST_SECONDS: f64 = 120.0;

/// Where the city lies, and the picture that is being made of it.
#[derive(Resource)]
pub struct Press {
    place: PathBuf,
    tiles: Option<Arc<dyn TileSource>>,
    folder: PathBuf,
    busy: Option<Mutex<Receiver<Result<PathBuf, String>>>>,
}

impl Press {
    /// Makes pictures of the city of a scene, into the person's folder of pictures.
    pub fn new(scene: &SceneOptions) -> Self {
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_dir());
        let home = variable("HOME").or_else(|| variable("USERPROFILE"));
        let pictures = home.map(|home| home.join("Pictures")).filter(|path| path.is_dir());
        let folder = variable("XDG_PICTURES_DIR").or(pictures).unwrap_or_else(|| PathBuf::from("."));
        Self { place: scene.city.clone(), tiles: scene.tiles.clone(), folder, busy: None }
    }
}

/// Begins pictures that are asked for and tells of those that are done.
pub fn serve_pictures(
    mut actions: MessageReader<Action>,
    press: Option<ResMut<Press>>,
    mut showing: Showing,
    windows: Query<&Window>,
    mut redraw: MessageWriter<RequestRedraw>,
) {
    let Some(mut press) = press else { return };
    for action in actions.read() {
        let (size, sheet) = match action {
            Action::SavePicture => (windows.iter().next().map(|window| window.physical_size()), None),
            Action::Print(number) => (None, Sheet::iso_a(*number)),
            _ => continue,
        };
        if press.busy.is_some() {
            let text = showing.state.texts.get("picture-busy");
            showing.desk.tell(text);
            continue;
        }
        let mut options = SnapshotOptions { scene: showing.scene(), ..SnapshotOptions::default() };
        options.scene.live = Some(showing.state.live.clone());
        options.scene.language = showing.state.texts.language;
        options.scene.city = press.place.clone();
        options.scene.tiles = press.tiles.clone();
        if let Some(size) = size {
            options.size = (size.x.max(1), size.y.max(1));
        }
        if let Some(sheet) = &sheet {
            options.print(sheet, PRINT_DPI);
        }
        let Some(out) = free_path(&press.folder, &showing.city.0.name) else {
            let text = showing.state.texts.with("picture-failed", "reason", press.folder.display().to_string());
            showing.desk.tell(text);
            continue;
        };
        options.out = out;
        press.busy = Some(Mutex::new(begin(options)));
        let text = showing.state.texts.get("picture-begun");
        showing.desk.tell(text);
    }
    let Some(busy) = &press.busy else { return };
    let done = busy.lock().unwrap_or_else(PoisonError::into_inner).try_recv();
    let text = match done {
        Err(TryRecvError::Empty) => return,
        Ok(Ok(path)) => showing.state.texts.with("picture-made", "path", path.display().to_string()),
        Ok(Err(reason)) => showing.state.texts.with("picture-failed", "reason", reason),
        Err(TryRecvError::Disconnected) => showing.state.texts.with("picture-failed", "reason", String::from("–")),
    };
    press.busy = None;
    showing.desk.tell(text);
    redraw.write(RequestRedraw);
}

fn begin(options: SnapshotOptions) -> Receiver<Result<PathBuf, String>> {
    let (sender, done) = channel();
    let failed = sender.clone();
    let work = move || {
        let out = options.out.clone();
        let made = CityModel::of_scene(&options.scene).and_then(|city| picture(city, options, Instant::now()));
        // Nobody waits where the window was closed meanwhile.
        let _ = sender.send(made.map(|_| out).map_err(|error| error.to_string()));
    };
    if let Err(error) = std::thread::Builder::new().name("picture".into()).spawn(work) {
        let _ = failed.send(Err(error.to_string()));
    }
    done
}

/// The first name that nothing has yet; `None` where the folder cannot take one.
fn free_path(folder: &Path, city: &str) -> Option<PathBuf> {
    let word: String = city.chars().map(|c| if c.is_alphanumeric() || c == '-' { c } else { '_' }).take(60).collect();
    (1..MOST_PICTURES).map(|number| folder.join(format!("{word}-{number}.png"))).find(|path| !path.exists())
}

impl SnapshotOptions {
    /// Makes it a picture for a sheet.
    pub fn print(&mut self, sheet: &Sheet, dpi: u32) {
        self.size = sheet.pixels(dpi);
        self.pixels_per_point = sheet.pixels_per_point(dpi);
        self.dpi = Some(dpi);
        let megapixels = f64::from(self.size.0) * f64::from(self.size.1) / 1e6;
        self.timeout_s = (megapixels * SECONDS_PER_MEGAPIXEL).max(LEAST_SECONDS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_picture_takes_the_place_of_another() {
        let folder = tempfile::tempdir().expect("folder");
        let first = free_path(folder.path(), "青岛 / 城").expect("a name");
        assert_eq!(first.file_name().and_then(|name| name.to_str()), Some("青岛___城-1.png"));
        std::fs::write(&first, "").expect("written");
        assert!(free_path(folder.path(), "青岛 / 城").expect("a name").ends_with("青岛___城-2.png"));
    }

    #[test]
    fn a_print_has_the_pixels_and_the_texts_of_its_sheet() {
        let mut options = SnapshotOptions::default();
        let sheet = |number| Sheet::iso_a(number).expect("a sheet");
        options.print(&sheet(3), 96);
        assert_eq!((options.size, options.pixels_per_point, options.dpi), ((1587, 1123), 1.0, Some(96)));
        options.print(&sheet(0), PRINT_DPI);
        assert!(options.timeout_s > 1000.0);
    }
}
