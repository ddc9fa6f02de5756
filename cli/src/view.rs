//! `groundline view`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use groundline_engine::{model::CimLevel, store::City};
use groundline_viewer::{Cut, Cuts, Language, Profile, SceneOptions, Style, Theme, ViewOptions, bookmark, view_string};

use crate::{
    live::{Feeds, Live},
    outcome::{Ask, Outcome, UsageError},
};

/// What the window and the picture have in common.
#[derive(clap::Args, Clone, Default)]
pub struct Scene {
    /// The view that this text holds, as the viewer copies it (Ctrl+C): groundline:?c=…; other options beside it override it.
    #[arg(long, value_name = "TEXT")]
    pub view: Option<String>,
    /// Where to look from: auto, or x,y,z,heading,pitch in city coordinates and degrees,
    /// or "look=x,y,z;distance=300;heading=0;pitch=-30".
    #[arg(long, allow_hyphen_values = true)]
    pub camera: Option<String>,
    /// Only these layers, by name or class.
    #[arg(long, value_delimiter = ',')]
    pub layers: Vec<String>,
    /// Not these layers, by name or class.
    #[arg(long, value_delimiter = ',')]
    pub without: Vec<String>,
    /// Show what lies below the ground.
    #[arg(long)]
    pub below: bool,
    /// The finest level of detail that is shown, cim1 (the surface), cim2 (blocks), cim3 (outer form), cim4 (fine outside),
    /// cim5 (rooms), cim6 (components) to cim7 (everything).
    #[arg(long, value_name = "LEVEL")]
    pub detail: Option<CimLevel>,
    /// Cut a part away: section:X,Y,HEADING (what lies before an upright plane, looking along HEADING), level:Z (what lies
    /// above), box:X,Y,Z,X,Y,Z (what lies outside) or trench:X,Y,X,Y,…;width=8;depth=6 (the ground along a path). Several are cut together.
    #[arg(long, value_name = "CUT", allow_hyphen_values = true)]
    pub cut: Vec<Cut>,
    /// Time for the sun: 2026-06-21T10:30 or 10:30, local time of the city.
    #[arg(long)]
    pub at: Option<String>,
    /// How the city is drawn: realistic, paper (a white model for print), dark (for a wall of screens), xray (ground and buildings
    /// as glass, with pipes and galleries).
    #[arg(long)]
    pub style: Option<Style>,
    /// Colour objects by an attribute, with a legend: class, stage, height, age, or any key; pipe:diameter_mm or LAYER:KEY for a
    /// class or a layer alone.
    #[arg(long, value_name = "KEY")]
    pub colour_by: Option<String>,
    /// The city alone, without title, legend and sensors.
    #[arg(long)]
    pub plain: bool,
}

impl Scene {
    /// As the viewer wants it.
    pub fn options(&self, city: &Path, live: &Live, ask: &Ask) -> Result<SceneOptions> {
        let language: Language = ask.lang.parse().map_err(UsageError)?;
        let mut scene = SceneOptions {
            city: city.to_owned(),
            language,
            live: Some(live.state.clone()),
            is_overlay_hidden: self.plain,
            ..SceneOptions::default()
        };
        if let Some(text) = &self.view {
            view_string::read(text, &mut scene).map_err(|e| UsageError(format!("--view: {e}")))?;
        }
        if let Some(text) = &self.camera {
            scene.camera = text.parse().map_err(|e| UsageError(format!("--camera: {e}")))?;
        }
        if let Some(text) = &self.at {
            scene.at = Some(text.parse().map_err(|e| UsageError(format!("--at: {e}")))?);
        }
        if !self.layers.is_empty() {
            scene.layers.only.clone_from(&self.layers);
        }
        if !self.without.is_empty() {
            scene.layers.without.clone_from(&self.without);
        }
        scene.is_below |= self.below;
        scene.detail = self.detail.or(scene.detail);
        scene.style = self.style.unwrap_or(scene.style);
        scene.colour_by = self.colour_by.clone().or(scene.colour_by);
        if !self.cut.is_empty() {
            scene.cuts = Cuts::new(self.cut.clone()).map_err(|e| UsageError(format!("--cut: {e}")))?;
        }
        Ok(scene)
    }
}

/// Where bookmarks are kept.
#[derive(clap::Args, Default)]
pub struct Shelf {
    /// File (.json) or folder of the bookmarks; else the variable GROUNDLINE_BOOKMARKS, else the user's configuration folder.
    #[arg(long, value_name = "PATH")]
    bookmarks: Option<PathBuf>,
}

impl Shelf {
    /// The file of a city's bookmarks.
    pub fn file(&self, city: &City) -> Option<PathBuf> {
        let variable = || std::env::var_os("GROUNDLINE_BOOKMARKS").filter(|path| !path.is_empty()).map(PathBuf::from);
        bookmark::path_for(self.bookmarks.clone().or_else(variable).as_deref(), city.folder(), city.name())
    }
}

#[derive(clap::Args)]
pub struct Args {
    /// Folder of the city, or s3://bucket/prefix/name.city.
    city: PathBuf,
    #[command(flatten)]
    scene: Scene,
    #[command(flatten)]
    feeds: Feeds,
    #[command(flatten)]
    shelf: Shelf,
    /// How mouse, trackpad and fingers move the camera: earth, cesium, cad or walk; else as last chosen in the window.
    #[arg(long, value_name = "PROFILE")]
    navigation: Option<Profile>,
    /// Panels light or dark; else as last chosen.
    #[arg(long)]
    theme: Option<Theme>,
    /// Size of text and panels, percent; else as last chosen.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u16).range(100..=300))]
    scale: Option<u16>,
    /// Memory for tiles, MB.
    #[arg(long, default_value_t = 2048)]
    memory_limit: usize,
}

pub fn run(args: Args, ask: &Ask) -> Result<Outcome> {
    let city = City::open(&args.city)?;
    let live = Live::start(&city, &args.feeds)?;
    let scene = args.scene.options(&args.city, &live, ask)?;
    let bookmarks = args.shelf.file(&city);
    let tile_memory = args.memory_limit << 20;
    groundline_viewer::view(ViewOptions {
        scene,
        tile_memory,
        bookmarks,
        navigation: args.navigation,
        theme: args.theme,
        scale_percent: args.scale,
        ..ViewOptions::default()
    })?;
    Ok(Outcome::Done)
}
