//! `groundline view`.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Parser as _;
use groundline_engine::{
    model::{CimLevel, ObjectId, PipeKind, Stage},
    store::City,
    tile::TileSource,
};
use groundline_importers::tiles3d::Tileset;
use groundline_viewer::{
    Cut, Cuts, Labels, Language, Manner, Peel, Profile, Relief, SceneOptions, Style, Theme, ValidTime, ViewOptions,
    bookmark, comparison,
    peel::{self, Focus, Storeys},
    view_string,
};

use crate::{
    live::{Feeds, Live},
    loose::{Looked, Loose},
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
    /// above), box:X,Y,Z,X,Y,Z (what lies outside), trench:X,Y,X,Y,…;width=8;depth=6 (the ground along a path) or trench:ID (along
    /// the pipe of that id, as deep as it lies). Several are cut together.
    #[arg(long, value_name = "CUT", allow_hyphen_values = true)]
    pub cut: Vec<String>,
    /// Write on the pipes in view: pipes (labels with class, size, material, depth and level), flow (arrows), sleeves (as wide as
    /// the survey may be wrong; where it does not say, the limits of CJJ 61).
    #[arg(long, value_name = "LIST")]
    pub labels: Option<Labels>,
    /// Of the networks, pipes of this class alone: water, storm, sewage, combined, gas, heat, power, telecom, industrial, other.
    #[arg(long, value_name = "CLASS", value_parser = peel::network)]
    pub network: Option<PipeKind>,
    /// Objects of these stages of life alone: planned (规划), construction (在建), operation (现状), retired (废弃).
    #[arg(long, value_name = "STAGE", value_delimiter = ',', value_parser = peel::stage)]
    pub stage: Vec<Stage>,
    /// Take off so many of the uppermost strata.
    #[arg(long, value_name = "N")]
    pub strata_off: Option<u8>,
    /// Storeys of the building in a layer: LAYER:fan=3 (drawn apart by so many metres), LAYER:2 (one alone, the lowest is 1),
    /// LAYER:eye=2 (the city cut 1.2 m above that floor).
    #[arg(long, value_name = "STOREYS")]
    pub storeys: Option<Storeys>,
    /// Hide these objects, by id.
    #[arg(long, value_name = "ID")]
    pub hide: Vec<String>,
    /// Of its layer, show this object alone.
    #[arg(long, value_name = "ID", conflicts_with = "ghosts_around")]
    pub isolate: Option<String>,
    /// Show the others of this object's layer as ghosts.
    #[arg(long, value_name = "ID")]
    pub ghosts_around: Option<String>,
    /// Time for the sun: 2026-06-21T10:30 or 10:30, local time of the city.
    #[arg(long)]
    pub at: Option<String>,
    /// The city as it was: 2015-06-30, or an RFC 3339 time. What was not there yet, or no more, by its period or the year in which it was
    /// built, is not drawn; the sun's time is --at.
    #[arg(long, value_name = "DATE", allow_hyphen_values = true)]
    pub valid_at: Option<ValidTime>,
    /// Tell the hours of direct sun at this place on the day of --at, X,Y,Z in city coordinates: lit and shaded stretches, by what stands
    /// within 1 km.
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true, value_parser = read_place)]
    pub sun_at: Option<glam::DVec3>,
    /// How the city is drawn: realistic, paper (a white model for print), dark (for a wall of screens), xray (ground and buildings
    /// as glass, with pipes and galleries).
    #[arg(long)]
    pub style: Option<Style>,
    /// What makes shapes legible: corners (darker where the sky does not reach), points (edges in scans), both with a comma, or
    /// none; else as last chosen in the window.
    #[arg(long, value_name = "LIST")]
    pub relief: Option<Relief>,
    /// Colour objects by an attribute, with a legend: class, stage, height, age, or any key; pipe:diameter_mm or LAYER:KEY for a
    /// class or a layer alone.
    #[arg(long, value_name = "KEY")]
    pub colour_by: Option<String>,
    /// Compare with another look: swipe or swipe:0.3 (one picture, the other look from this share of its width on) or beside (two
    /// pictures side by side).
    #[arg(long, value_name = "HOW")]
    pub compare: Option<Manner>,
    /// The other look of a comparison, on the right: options as for the picture itself, which hold beside those given for it, such
    /// as "--without buildings --style xray", or the text of a view.
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    pub other: Option<String>,
    /// The city alone, without title, legend and sensors.
    #[arg(long)]
    pub plain: bool,
}

impl Scene {
    /// As the viewer wants it.
    pub fn options(&self, city: &Path, live: Option<&Live>, ask: &Ask) -> Result<SceneOptions> {
        let language: Language = ask.lang.parse().map_err(UsageError)?;
        let mut scene = SceneOptions {
            city: city.to_owned(),
            language,
            live: live.map(|live| live.state.clone()),
            is_overlay_hidden: self.plain,
            ..SceneOptions::default()
        };
        if let Some(text) = &self.view {
            view_string::read(text, &mut scene).map_err(|e| UsageError(format!("--view: {e}")))?;
        }
        self.put(&mut scene, city)?;
        scene.comparison = self.compare.or(scene.comparison);
        if let Some(text) = &self.other {
            if scene.comparison.is_none() {
                return Err(UsageError("--other: --compare swipe or --compare beside says how".into()).into());
            }
            scene.other = other_look(text, &scene, city)?;
        } else if scene.comparison.is_some() && scene.other.is_empty() {
            scene.other = comparison::first_other(&scene);
        }
        Ok(scene)
    }

    /// Of a tileset that is looked at where it lies.
    pub fn options_of(&self, place: &Path, tileset: &Arc<Tileset>, ask: &Ask) -> Result<SceneOptions> {
        let scene = self.options(place, None, ask)?;
        Ok(SceneOptions { tiles: Some(tileset.clone()), ..scene })
    }

    /// What was asked for beside the view.
    fn put(&self, scene: &mut SceneOptions, city: &Path) -> Result<()> {
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
        scene.valid_at = self.valid_at.or(scene.valid_at);
        scene.sun_place = self.sun_at.or(scene.sun_place);
        scene.style = self.style.unwrap_or(scene.style);
        scene.relief = self.relief.or(scene.relief);
        scene.colour_by = self.colour_by.clone().or(scene.colour_by.take());
        if !self.cut.is_empty() {
            let cuts = self.cut.iter().map(|text| read_cut(text, city)).collect::<Result<_>>()?;
            scene.cuts = Cuts::new(cuts).map_err(|e| UsageError(format!("--cut: {e}")))?;
        }
        scene.labels = self.labels.unwrap_or(scene.labels);
        self.peel(&mut scene.peel);
        Ok(())
    }
}

impl Scene {
    /// Takes off what was asked for beside the view.
    fn peel(&self, peel: &mut Peel) {
        peel.network = self.network.or(peel.network);
        if !self.stage.is_empty() {
            peel.stages.clear();
            self.stage.iter().for_each(|stage| peel.choose_stage(*stage, true));
        }
        peel.strata = self.strata_off.unwrap_or(peel.strata);
        peel.storeys = self.storeys.clone().or(peel.storeys.take());
        if !self.hide.is_empty() {
            peel.hidden.clone_from(&self.hide);
        }
        let focus = |id: &Option<String>, has_ghosts| id.clone().map(|id| Focus { id, has_ghosts });
        peel.focus = focus(&self.isolate, false).or(focus(&self.ghosts_around, true)).or(peel.focus.take());
    }
}

/// A place as it is written: X,Y,Z.
fn read_place(text: &str) -> Result<glam::DVec3, String> {
    view_string::read_numbers::<3>(text).map(glam::DVec3::from_array)
}

/// Options of the other look, as they stand in one argument.
#[derive(clap::Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct OtherLook {
    #[command(flatten)]
    scene: Scene,
}

/// The other look of a comparison: a view, or what differs from `scene`.
fn other_look(text: &str, scene: &SceneOptions, city: &Path) -> Result<String> {
    let wrong = |error: String| UsageError(format!("--other: {error}"));
    if text.trim_start().starts_with(view_string::SCHEME) {
        return Ok(comparison::read_look(text).map_err(wrong)?);
    }
    let words = words(text).ok_or_else(|| wrong("a quote is not closed".into()))?;
    let other = OtherLook::try_parse_from(words).map_err(|error| wrong(error.to_string()))?.scene;
    if other.compare.is_some() || other.other.is_some() {
        return Err(wrong("the other side is no comparison itself".into()).into());
    }
    let mut look = scene.clone();
    if let Some(view) = &other.view {
        view_string::read(view, &mut look).map_err(wrong)?;
    }
    other.put(&mut look, city)?;
    Ok(comparison::look_text(&look))
}

/// The words of a line; those in quotes may hold spaces. `None` where a quote is not closed.
fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '"' || c == '\'' => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// A cut as it is written; a trench may name the pipe that it lays bare.
fn read_cut(text: &str, city: &Path) -> Result<Cut> {
    let wrong = |error: String| UsageError(format!("--cut {text}: {error}"));
    let read = text.parse::<Cut>();
    let (Err(error), Some(id)) = (&read, text.strip_prefix("trench:")) else {
        return read.map_err(|error| wrong(error.to_string()).into());
    };
    let city = City::open(city)?;
    match city.object(&ObjectId(id.to_owned()))? {
        Some(object) => Ok(groundline_viewer::trench::along(&object, &city.ground()?).map_err(wrong)?),
        None => Err(wrong(format!("{error}, or the id of a pipe")).into()),
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
        self.file_of(city.folder(), city.name())
    }

    /// The file of the bookmarks of what lies at `place` and is called `name`.
    pub fn file_of(&self, place: &Path, name: &str) -> Option<PathBuf> {
        let variable = || std::env::var_os("GROUNDLINE_BOOKMARKS").filter(|path| !path.is_empty()).map(PathBuf::from);
        bookmark::path_for(self.bookmarks.clone().or_else(variable).as_deref(), place, name)
    }
}

#[derive(clap::Args)]
pub struct Args {
    /// Folder of the city, s3://bucket/prefix/name.city, the URL of a Groundline server, a tileset.json of 3D Tiles 1.0 or 1.1 in a folder
    /// or on any web server (https://host/path/tileset.json), or any other file or folder that `import` reads.
    city: PathBuf,
    #[command(flatten)]
    loose: Loose,
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
    let looked = args.loose.look(&args.city, ask)?;
    let resumed = Resumed::of_this_process();
    let scene_args = match &resumed {
        Some(resumed) => Scene { view: Some(resumed.view.clone()), plain: args.scene.plain, ..Scene::default() },
        None => args.scene,
    };
    let (live, scene, bookmarks);
    match &looked {
        Looked::City(place) => {
            let city = City::open(place)?;
            live = Live::start(&city, &args.feeds, false)?;
            scene = scene_args.options(place, Some(&live), ask)?;
            bookmarks = args.shelf.file(&city);
        }
        Looked::Tileset(tileset) => {
            scene = scene_args.options_of(&args.city, tileset, ask)?;
            bookmarks = args.shelf.file_of(&args.city, tileset.name());
        }
    }
    let tile_memory = args.memory_limit << 20;
    STARTED.get_or_init(Instant::now);
    groundline_viewer::view(ViewOptions {
        scene,
        tile_memory,
        bookmarks,
        navigation: args.navigation,
        theme: args.theme,
        scale_percent: args.scale,
        go_on: Some(go_on),
        ..ViewOptions::default()
    })?;
    Ok(Outcome::Done)
}

/// How often the window is opened again after a lost device that did not last.
const MOST_RESUMES: u32 = 3;
const LASTING: Duration = Duration::from_secs(600);
/// When the window was opened.
static STARTED: OnceLock<Instant> = OnceLock::new();
/// The variable that says what this process goes on with.
const RESUME: &str = "GROUNDLINE_RESUME";

/// A window that goes on where one ended whose device was lost.
struct Resumed {
    times: u32,
    view: String,
}

impl Resumed {
    fn of_this_process() -> Option<Self> {
        Self::read(&std::env::var(RESUME).ok()?)
    }

    fn read(text: &str) -> Option<Self> {
        let (times, view) = text.split_once(' ')?;
        Some(Self { times: times.parse().ok()?, view: view.to_owned() })
    }
}

/// Opens the window again with the same view, in the place of this process: a window system gives a program one loop of events only.
/// Ends it where that was done too often, and comes back where it cannot be done.
fn go_on(reason: &str, view: &str) {
    let has_lasted = STARTED.get().is_some_and(|started| started.elapsed() > LASTING);
    let times = Resumed::of_this_process().filter(|_| !has_lasted).map_or(0, |resumed| resumed.times) + 1;
    if times > MOST_RESUMES {
        // What is under way on the lost device would only panic.
        eprintln!(
            "the graphics device is lost again: {reason}; the window stays closed\n图形设备再次丢失，窗口不再打开"
        );
        std::process::exit(1);
    }
    eprintln!(
        "the graphics device is lost: {reason}; the window opens again with the same view ({times} of {MOST_RESUMES})\n\
         图形设备丢失；窗口将以同一视图重新打开"
    );
    let Ok(program) = std::env::current_exe() else { return };
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1)).env(RESUME, format!("{times} {view}"));
    // Ports and files of this process are closed by it.
    #[cfg(unix)]
    let error = std::os::unix::process::CommandExt::exec(&mut command);
    #[cfg(not(unix))]
    let error = match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    };
    eprintln!("{error}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_handed_over_whole() {
        let resumed = Resumed::read("2 groundline:?c=1,2,3,0,-20&n=a b").expect("it is one");
        assert_eq!((resumed.times, &*resumed.view), (2, "groundline:?c=1,2,3,0,-20&n=a b"));
        assert!(Resumed::read("").is_none() && Resumed::read("x groundline:?").is_none());
    }

    #[test]
    fn words_in_quotes_hold_together() {
        let is = |line: &str, expected: &[&str]| words(line).is_some_and(|words| words == expected);
        assert!(is("--style xray  --without 'a b',c", &["--style", "xray", "--without", "a b,c"]));
        assert!(is("", &[]) && is("\"\"", &[""]));
        assert_eq!(words("--without 'a"), None);
    }

    #[test]
    fn the_other_look_is_this_one_but_for_what_is_said() {
        let scene = SceneOptions { is_below: true, colour_by: Some("height".into()), ..SceneOptions::default() };
        let look = |text: &str| other_look(text, &scene, Path::new("none.city"));
        assert_eq!(look("--style paper --without buildings").unwrap(), "v=1&off=buildings&u=1&st=paper&by=height");
        assert_eq!(look("groundline:?st=dark").unwrap(), "v=1&st=dark", "a view says it all");
        assert!(look("--style oil").unwrap_err().to_string().contains("oil"));
        assert!(look("--compare swipe").unwrap_err().to_string().contains("itself"));
    }
}
