//! What the command line asks of the viewer, and what it reports back.

use std::{path::PathBuf, str::FromStr, sync::Arc};

use glam::DVec3;
use groundline_engine::{live::LiveState, model::CimLevel, tile::TileSource};
use serde::Serialize;

use crate::{
    annotation::Annotation, bulk::BulkComparison, camera::CameraChoice, comparison::Manner, cut::Cuts,
    draw_count::DrawCount, label::Labels, loss::GoOn, measure::Measurement, peel::Peel, profile::Profile,
    relief::Relief, style::Style, sun::Moment, theme::Theme, validity::ValidTime, view_string::Selection,
};

/// Language of everything that is written on the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// 中文.
    #[default]
    Zh,
    /// English.
    En,
}

impl Language {
    /// The other one of the two.
    pub fn other(self) -> Self {
        match self {
            Self::Zh => Self::En,
            Self::En => Self::Zh,
        }
    }
}

impl FromStr for Language {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "zh" | "zh-cn" => Ok(Self::Zh),
            "en" => Ok(Self::En),
            other => Err(format!("`{other}` is no language of the viewer: zh or en")),
        }
    }
}

/// Which layers are drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerChoice {
    /// Only these; all when empty. A name stands for a layer's name or a class word, with `=` before it for a layer alone.
    pub only: Vec<String>,
    /// Not these.
    pub without: Vec<String>,
}

impl LayerChoice {
    /// Whether the layer `name`, which holds objects of `classes`, is drawn.
    pub fn shows<'a>(&self, name: &str, classes: impl IntoIterator<Item = &'a str> + Clone) -> bool {
        let meant = |word: &String| match word.strip_prefix('=') {
            Some(exact) => exact == name,
            None => word == name || classes.clone().into_iter().any(|class| class == word),
        };
        (self.only.is_empty() || self.only.iter().any(meant)) && !self.without.iter().any(meant)
    }
}

/// What the window and the snapshot have in common.
#[derive(Clone, Default)]
pub struct SceneOptions {
    /// Folder of the city.
    pub city: PathBuf,
    /// A tileset of others that is shown in the place of a city.
    pub tiles: Option<Arc<dyn TileSource>>,
    /// Where to look from.
    pub camera: CameraChoice,
    /// Which layers.
    pub layers: LayerChoice,
    /// Whether what lies below ground is shown.
    pub is_below: bool,
    /// The finest level of detail that is shown; everything without one.
    pub detail: Option<CimLevel>,
    /// What is cut away.
    pub cuts: Cuts,
    /// What is written on pipes.
    pub labels: Labels,
    /// What is taken off.
    pub peel: Peel,
    /// Language.
    pub language: Language,
    /// Time of day for the sun.
    pub at: Option<Moment>,
    /// The place whose hours of sun are told, in the city's frame.
    pub sun_place: Option<DVec3>,
    /// The time at which the city is shown, by the periods of its objects; now without one.
    pub valid_at: Option<ValidTime>,
    /// Latest readings and alarms; without it sensors are shown as never heard of.
    pub live: Option<LiveState>,
    /// How the city is drawn.
    pub style: Style,
    /// Whether corners are darker and points of a scan have edges; as the person likes it, or both, without one.
    pub relief: Option<Relief>,
    /// The attribute that objects are coloured by: `class`, `stage`, `height`, `age` or a key; `CLASS:KEY` or `LAYER:KEY` for
    /// those objects alone.
    pub colour_by: Option<String>,
    /// The picked object.
    pub selected: Option<Selection>,
    /// Measurements.
    pub measurements: Vec<Measurement>,
    /// Annotations.
    pub annotations: Vec<Annotation>,
    /// How this view and another look are compared, if at all.
    pub comparison: Option<Manner>,
    /// The other look, as the text of a view without its scheme; nothing = as this one. See [`crate::comparison`].
    pub other: String,
    /// Leaves out everything but the city itself.
    pub is_overlay_hidden: bool,
}

/// A window on the city.
#[derive(Clone)]
pub struct ViewOptions {
    /// What to show.
    pub scene: SceneOptions,
    /// Size of the window, pixels.
    pub size: (u32, u32),
    /// Memory for tiles, bytes.
    pub tile_memory: usize,
    /// File of the bookmarks; without it none are kept. Preferences are kept beside it.
    pub bookmarks: Option<PathBuf>,
    /// How the hands move the camera, where it is not as the person last chose.
    pub navigation: Option<Profile>,
    /// Light or dark panels, likewise.
    pub theme: Option<Theme>,
    /// Size of text and panels, percent, likewise.
    pub scale_percent: Option<u16>,
    /// What goes on with the view when the graphics device is lost.
    pub go_on: Option<GoOn>,
}

impl Default for ViewOptions {
    fn default() -> Self {
        Self {
            scene: SceneOptions::default(),
            size: (1600, 900),
            tile_memory: 2 << 30,
            bookmarks: None,
            navigation: None,
            theme: None,
            scale_percent: None,
            go_on: None,
        }
    }
}

/// A picture of the city.
#[derive(Clone)]
pub struct SnapshotOptions {
    /// What to show.
    pub scene: SceneOptions,
    /// PNG to write.
    pub out: PathBuf,
    /// Size of the picture, pixels.
    pub size: (u32, u32),
    /// Renders this many times larger and averages: 1 = plain, 2 = fine edges at four times the cost.
    pub supersample: u32,
    /// Pixels of a point: texts and panels are drawn so much larger, as paper wants them.
    pub pixels_per_point: f64,
    /// Dots to the inch that the file says it has.
    pub dpi: Option<u32>,
    /// Largest error on the screen that a tile may have, pixels.
    pub max_error_px: f64,
    /// Gives up after this many seconds.
    pub timeout_s: f64,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        Self {
            scene: SceneOptions::default(),
            out: PathBuf::from("snapshot.png"),
            size: (1280, 720),
            supersample: 1,
            pixels_per_point: 1.0,
            dpi: None,
            max_error_px: 8.0,
            timeout_s: 120.0,
        }
    }
}

/// What a snapshot showed and cost.
#[derive(Clone, Debug, Serialize)]
pub struct SnapshotReport {
    /// File written.
    pub out: PathBuf,
    /// Width of the picture, pixels.
    pub width: u32,
    /// Height of the picture, pixels.
    pub height: u32,
    /// Tiles drawn.
    pub tiles_drawn: usize,
    /// Triangles of these tiles.
    pub triangles: usize,
    /// Points of these tiles.
    pub points: usize,
    /// Draw calls of the last frame, shadow maps included.
    pub draw_calls: usize,
    /// Of which sort these are.
    pub draws: DrawCount,
    /// Memory of all tiles that were read, bytes.
    pub bytes: usize,
    /// Tiles that could not be read, with the reason.
    pub damaged_tiles: Vec<String>,
    /// How much is built on both sides of a comparison.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bulk: Option<BulkComparison>,
    /// Frames rendered.
    pub frames: u32,
    /// Seconds from call to file.
    pub seconds: f64,
    /// Where the seconds went: name and seconds.
    pub phases: Vec<(String, f64)>,
    /// Driver that rendered.
    pub gpu: String,
}

/// What the pictures of a tour are and cost.
#[derive(Clone, Debug, Serialize)]
pub struct FilmReport {
    /// Folder of the pictures, `frame-00001.png` and on.
    pub folder: PathBuf,
    /// How many.
    pub pictures: u32,
    /// Seconds that they last.
    pub film_seconds: f64,
    /// Pictures a second.
    pub fps: f64,
    /// Tiles that could not be read, with the reason.
    pub damaged_tiles: Vec<String>,
    /// Seconds from call to the last file.
    pub seconds: f64,
    /// Seconds of one frame, without its file: the middle one of all pictures.
    pub frame_seconds: f64,
    /// Driver that rendered.
    pub gpu: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_chosen_by_name_or_class() {
        let choice = LayerChoice { only: vec!["pipe".into(), "roads".into()], without: vec!["gas".into()] };
        assert!(choice.shows("water_net", ["pipe", "manhole"]));
        assert!(choice.shows("roads", ["road"]));
        assert!(!choice.shows("trees", ["tree"]));
        assert!(!choice.shows("gas", ["pipe"]));
        assert!(LayerChoice::default().shows("anything", ["tree"]));
        let exact = LayerChoice { without: vec!["=tree".into()], ..LayerChoice::default() };
        assert!(exact.shows("park", ["tree"]) && !exact.shows("tree", ["lamp"]), "a layer's name alone");
    }
}
