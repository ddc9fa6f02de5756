//! A patrol (巡检): laps through a whole city with the window's own streaming, fades and panels, without a window, while memory, frame
//! times, errors of the graphics library and bare ground are watched. `make tour` flies ten minutes of it.

use std::{
    collections::{BTreeSet, HashSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use bevy::{
    camera::{ImageRenderTarget, RenderTarget},
    ecs::system::RunSystemOnce,
    prelude::*,
    render::{
        error_handler::{ErrorType, RenderErrorHandler, RenderErrorPolicy},
        render_resource::PollType,
        renderer::{RenderAdapterInfo, RenderDevice},
        settings::InstanceFlags,
    },
    time::TimeUpdateStrategy,
};
use serde::Serialize;

use groundline_engine::tile::TileId;

use crate::{
    ViewError,
    ahead::{Ahead, SOON_S},
    bare::{NOTHING, bare_pixels, bare_tiles},
    circuit::circuit,
    city::CityModel,
    driver,
    material::SkyMaterial,
    options::SceneOptions,
    other_side::ComparisonPlugin,
    overlay::{OverlayPlugin, OverlayState},
    pace::Pace,
    scene::{Below, CityScene, Viewed, camera_bundle, insert_state},
    snapshot::{add_target, headless_app, pending_pipelines, read_back, write_png},
    stream::{ShownLayers, Streaming, TileKey},
    style::{Drawing, Style},
    tour::Flight,
    view_state::Showing,
    window::{MAX_ERROR_PX, WORKERS, spare_software_drivers},
};

/// The panels are as large in the picture as in a window so wide, points.
const WINDOW_WIDTH: f32 = 1280.0;
/// Of so many frames one is looked at pixel by pixel.
const LOOKED_AT: u64 = 5;
/// How often memory is read.
const MEMORY_EVERY: Duration = Duration::from_millis(500);
/// Laps after which memory is warm.
const WARM_LAPS: usize = 2;
/// Most that memory may grow from the first laps to the last: a share of it, and bytes.
const GROWTH: f64 = 0.05;
const GROWTH_BYTES: u64 = 48 << 20;
/// Tiles that come in one frame may go beyond the limit by so much before others are let go of.
const OVERSHOT: f64 = 1.15;
/// With frames of up to so many milliseconds some tiles fade.
const FADING_MS: f64 = 100.0;
/// Bytes of the process for each byte of tiles: on a driver that renders in software what the renderer holds is memory of the process.
const BYTES_A_TILE_BYTE: f64 = 2.0;
/// Bytes for what is no tile: pictures, fonts, shaders, buffers of the renderer, what a query reads.
const BESIDE_TILES_BYTES: u64 = 1024 << 20;
/// Most that a slow frame takes, in medians: one of twenty, and any.
const P95_MEDIANS: f64 = 4.0;
const MOST_MEDIANS: f64 = 25.0;
/// What is not drawn by then never will be.
const FIRST_PICTURE_WITHIN: Duration = Duration::from_secs(120);

/// What is flown.
#[derive(Clone, Debug)]
pub struct PatrolOptions {
    /// Folder of the city.
    pub city: PathBuf,
    /// Pixels of the picture.
    pub size: (u32, u32),
    /// How long, seconds.
    pub seconds: f64,
    /// Of a lap, seconds.
    pub lap_s: f64,
    /// Memory for tiles, bytes.
    pub tile_memory: usize,
    /// The parts of a lap; all of them where none is named.
    pub parts: Vec<String>,
    /// Folder for the pictures in which bare ground was found, named by the frame and the number of bare pixels.
    pub keep: Option<PathBuf>,
}

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PatrolReport {
    /// Seconds flown.
    pub seconds: f64,
    /// Whole laps.
    pub laps: u32,
    /// Frames drawn.
    pub frames: u64,
    /// Of them while tiles faded into each other.
    pub fading_frames: u64,
    /// Seconds until the first whole picture.
    pub first_picture_s: f64,
    /// Frame times after the first lap, milliseconds.
    pub frame_ms: Pace,
    /// The same with the first lap, in which shaders are compiled.
    pub all_frame_ms: Pace,
    /// Memory for tiles, MB.
    pub tile_memory_mb: f64,
    /// Most that tiles took, MB.
    pub most_tile_mb: f64,
    /// Tiles read, those read again counted again.
    pub tiles_read: u64,
    /// Resident memory before the first frame, MB; 0 where the system does not tell.
    pub start_mb: f64,
    /// Most resident memory of each lap, MB.
    pub lap_mb: Vec<f64>,
    /// Errors of the graphics library that nobody caught, validation first.
    pub validation_errors: u64,
    /// Lost devices, full memory, failures of the driver.
    pub other_graphics_errors: u64,
    /// Whether Vulkan's own validation layer was there beside the library's.
    pub has_vulkan_layer: bool,
    /// Frames in which ground was in view of which no tile was drawn.
    pub bare_tile_frames: u64,
    /// Frames whose pixels were looked at, the pixels, and those that showed nothing where there is ground.
    pub looked_frames: u64,
    /// Pixels looked at.
    pub looked_pixels: u64,
    /// Pixels that showed nothing where there is ground.
    pub bare_pixels: u64,
    /// Stops on the way to which something was bare, by their numbers.
    pub bare_at: BTreeSet<usize>,
    /// Pixels and tiles that were bare when the ground was taken away at the end: neither look is blind.
    pub bare_when_taken_away: (u64, u64),
    /// Tiles that could not be read.
    pub damaged_tiles: Vec<String>,
    /// Graphics device and driver.
    pub gpu: String,
    /// Bounds that were broken, each a sentence.
    pub broken: Vec<String>,
}

/// Errors that nobody caught.
#[derive(Resource, Default)]
struct GraphicsErrors {
    validation: u64,
    other: u64,
}

/// Flies laps through a city.
pub fn patrol(options: &PatrolOptions) -> Result<PatrolReport, ViewError> {
    let started = Instant::now();
    let city = CityModel::open(&options.city)?;
    driver::check()?;
    let mut patrol = Patrol::open(city, options)?;
    patrol.first_picture(started)?;
    patrol.fly(options)?;
    patrol.take_ground_away()?;
    Ok(patrol.told(options))
}

struct Patrol {
    app: App,
    target: Handle<Image>,
    size: (u32, u32),
    flight: Flight,
    scenes: Vec<SceneOptions>,
    report: PatrolReport,
    frames_ms: Vec<f64>,
    /// Frames before the second lap.
    warm: usize,
    read: HashSet<TileKey>,
    keep: Option<PathBuf>,
}

impl Patrol {
    fn open(city: CityModel, options: &PatrolOptions) -> Result<Self, ViewError> {
        let (width, height) = options.size;
        if width == 0 || height == 0 {
            return Err(ViewError::Size { width, height });
        }
        let mut settings = driver::settings();
        // The layer is asked for in release builds, too; where it is not installed the library's own validation is what there is.
        settings.instance_flags |= InstanceFlags::VALIDATION;
        let mut app = headless_app(settings.into());
        // Fades take their time.
        app.insert_resource(TimeUpdateStrategy::Automatic);
        app.init_resource::<GraphicsErrors>();
        app.insert_resource(RenderErrorHandler(|error, world, _| {
            let mut errors = world.resource_mut::<GraphicsErrors>();
            match error.ty {
                ErrorType::Validation => errors.validation += 1,
                ErrorType::DeviceLost | ErrorType::OutOfMemory | ErrorType::Internal => errors.other += 1,
            }
            tracing::error!("{:?}: {}", error.ty, error.description);
            RenderErrorPolicy::Ignore
        }));
        app.add_plugins(ComparisonPlugin);
        let target = add_target(&mut app, width, height);
        let aspect = f64::from(width) / f64::from(height.max(1));
        let stops = circuit(&city, options.lap_s, &options.parts);
        let extent = city.overview_extent();
        let pose = |scene: &SceneOptions| scene.camera.pose(&extent, aspect, |place| city.ground.height_at(place));
        let flight = Flight::new(stops.iter().map(|(scene, seconds)| (pose(scene), *seconds)).collect());
        let scenes: Vec<SceneOptions> = stops.into_iter().map(|(scene, _)| scene).collect();
        let first = SceneOptions { city: options.city.clone(), ..scenes[0].clone() };
        let mut overlay = OverlayState::new(&city, &first);
        overlay.is_interactive = true;
        let start = pose(&first);
        let shown = vec![true; city.layers.len()];
        insert_state(&mut app, city, start, &first);
        app.insert_resource(ShownLayers(shown)).insert_resource(overlay);
        app.insert_resource(Streaming::start(options.tile_memory, MAX_ERROR_PX, false, WORKERS));
        app.add_plugins(OverlayPlugin { is_hidden: false });
        app.add_systems(Startup, spare_software_drivers);
        let render_target = ImageRenderTarget { handle: target.clone(), scale_factor: width as f32 / WINDOW_WIDTH };
        app.world_mut().spawn(camera_bundle(Some(RenderTarget::Image(render_target))));
        app.finish();
        app.cleanup();
        let mut report = PatrolReport { start_mb: resident_mb(), ..PatrolReport::default() };
        report.has_vulkan_layer = driver::has_vulkan_layer("VK_LAYER_KHRONOS_validation");
        Ok(Self {
            app,
            target,
            size: options.size,
            flight,
            scenes,
            report,
            frames_ms: Vec::new(),
            warm: 0,
            read: HashSet::new(),
            keep: options.keep.clone(),
        })
    }

    /// Draws until all is there for the first time; until then nothing has to be covered.
    fn first_picture(&mut self, started: Instant) -> Result<(), ViewError> {
        let mut whole = 0;
        loop {
            self.app.update();
            let is_complete = self.app.world().resource::<Streaming>().is_complete;
            // The frame in which the last tile is shown asks for what it needs; the one after draws it.
            let is_whole = is_complete && pending_pipelines(&self.app)? == 0;
            whole = if is_whole { whole + 1 } else { 0 };
            if whole > 2 {
                self.report.first_picture_s = started.elapsed().as_secs_f64();
                return Ok(());
            }
            if started.elapsed() > FIRST_PICTURE_WITHIN {
                let waiting = format!("{} tiles", self.app.world().resource::<Streaming>().loading());
                return Err(ViewError::Timeout { seconds: started.elapsed().as_secs_f64(), waiting });
            }
        }
    }

    fn fly(&mut self, options: &PatrolOptions) -> Result<(), ViewError> {
        let begun = Instant::now();
        let (mut at_stop, mut memory_read) = (None, None::<Instant>);
        let lap_s = self.flight.duration_s();
        loop {
            let seconds = begun.elapsed().as_secs_f64();
            if seconds >= options.seconds {
                break;
            }
            let lap = (seconds / lap_s) as usize;
            if lap == 0 {
                self.warm = self.frames_ms.len();
            }
            let at_s = seconds - lap as f64 * lap_s;
            let Some((stop, pose)) = self.flight.at(at_s) else { break };
            if at_stop.replace((lap, stop)) != Some((lap, stop)) {
                let scene = self.scenes[stop].clone();
                self.do_once(move |mut showing: Showing| showing.apply_all_but_camera(&scene))?;
            }
            let ahead = [self.flight.at(at_s + SOON_S).map(|(_, pose)| pose), self.flight.destination(stop + 1)];
            let world = self.app.world_mut();
            world.resource_mut::<Ahead>().0 = ahead.into_iter().flatten().collect();
            world.resource_mut::<Viewed>().pose = pose;
            let is_looked_at = self.report.frames.is_multiple_of(LOOKED_AT) && self.has_solid_ground(stop);
            let bare = (self.report.bare_pixels, self.report.bare_tile_frames);
            if is_looked_at {
                self.look()?;
            } else {
                let frame = Instant::now();
                self.draw()?;
                self.frames_ms.push(frame.elapsed().as_secs_f64() * 1e3);
            }
            self.note();
            if bare != (self.report.bare_pixels, self.report.bare_tile_frames) {
                self.report.bare_at.insert(stop);
            }
            if memory_read.is_none_or(|read| read.elapsed() > MEMORY_EVERY) {
                memory_read = Some(Instant::now());
                self.report.lap_mb.resize(lap + 1, 0.0);
                self.report.lap_mb[lap] = self.report.lap_mb[lap].max(resident_mb());
            }
        }
        self.report.seconds = begun.elapsed().as_secs_f64();
        self.report.laps = (self.report.seconds / lap_s + 1e-3) as u32;
        Ok(())
    }

    fn do_once<M>(&mut self, system: impl IntoSystem<(), (), M> + 'static) -> Result<(), ViewError> {
        self.app.world_mut().run_system_once(system).map_err(|error| ViewError::Tour(error.to_string()))
    }

    /// One frame, until the driver has drawn it.
    fn draw(&mut self) -> Result<(), ViewError> {
        self.app.update();
        let Some(device) = self.app.world().get_resource::<RenderDevice>() else { return Ok(()) };
        device.poll(PollType::wait_indefinitely()).map_err(|error| ViewError::ReadBack(error.to_string()))?;
        Ok(())
    }

    /// Whether nothing is seen through the ground, so that whatever is behind it would be a hole.
    fn has_solid_ground(&self, stop: usize) -> bool {
        let world = self.app.world();
        let scene = &self.scenes[stop];
        let drawing = Drawing { style: *world.resource::<Style>(), is_below: world.resource::<Below>().0 };
        let pose = &world.resource::<Viewed>().pose;
        let above_m = pose.place.z - world.resource::<CityScene>().0.ground_m(pose.place.truncate());
        !drawing.is_glass() && scene.cuts.is_empty() && scene.comparison.is_none() && above_m > 3.0
    }

    /// One frame without a sky, and what is seen of nothing in it.
    fn look(&mut self) -> Result<(), ViewError> {
        let [red, green, blue] = NOTHING;
        let usual = std::mem::replace(
            &mut self.app.world_mut().resource_mut::<ClearColor>().0,
            Color::srgb_u8(red, green, blue),
        );
        self.show_sky(Visibility::Hidden)?;
        self.draw()?;
        self.app.world_mut().resource_mut::<ClearColor>().0 = usual;
        self.show_sky(Visibility::Inherited)?;
        let (width, height) = self.size;
        let pixels = read_back(&mut self.app, &self.target, width, height)?;
        let world = self.app.world();
        let viewed = world.resource::<Viewed>();
        let (bare, looked) = bare_pixels(&world.resource::<CityScene>().0, viewed, width as usize, &pixels);
        self.report.looked_frames += 1;
        self.report.looked_pixels += looked as u64;
        if let Some(folder) = self.keep.as_ref().filter(|_| bare > 0) {
            let name = format!("{:05}-{bare}.png", self.report.frames);
            write_png(&folder.join(name), pixels, width, height, 1, None)?;
        }
        self.report.bare_pixels += bare as u64;
        Ok(())
    }

    fn show_sky(&mut self, seen: Visibility) -> Result<(), ViewError> {
        self.do_once(move |mut skies: Query<&mut Visibility, With<MeshMaterial3d<SkyMaterial>>>| {
            skies.iter_mut().for_each(|mut visibility| *visibility = seen);
        })
    }

    /// Ground in view of which no tile is drawn.
    fn bare_tiles(&self) -> usize {
        let world = self.app.world();
        let streaming = world.resource::<Streaming>();
        let Some(view) = world.resource::<Viewed>().view() else { return 0 };
        let layers = world.resource::<CityScene>().0.layers.iter().enumerate();
        let drawn: HashSet<TileKey> = streaming.shown.iter().copied().collect();
        layers
            .filter(|(_, layer)| layer.is_ground())
            .map(|(layer, model)| {
                let tree = model.tree.now();
                // What hills hide is judged by the pixels alone.
                let is_drawn = |tile: TileId| {
                    drawn.contains(&TileKey { layer, tile }) || streaming.hidden.hides(&tree.tile(tile).extent)
                };
                bare_tiles(&tree, &view, &is_drawn)
            })
            .sum()
    }

    fn note(&mut self) {
        let bare = self.bare_tiles();
        let streaming = self.app.world().resource::<Streaming>();
        let report = &mut self.report;
        report.frames += 1;
        report.fading_frames += u64::from(streaming.fades.is_any());
        report.bare_tile_frames += u64::from(bare > 0);
        report.most_tile_mb = report.most_tile_mb.max(mb(streaming.bytes as u64));
        let there: HashSet<TileKey> = streaming.tiles.keys().copied().collect();
        report.tiles_read += there.difference(&self.read).count() as u64;
        self.read = there;
    }

    /// Looks at a picture without ground from straight above: a look that finds nothing bare in it would be blind.
    fn take_ground_away(&mut self) -> Result<(), ViewError> {
        let plain = SceneOptions::default();
        self.do_once(move |mut showing: Showing| showing.apply_all_but_camera(&plain))?;
        let world = self.app.world_mut();
        let city = world.resource::<CityScene>().0.clone();
        let middle = city.overview_extent().centre().truncate();
        let mut viewed = world.resource_mut::<Viewed>();
        viewed.pose.place = middle.extend(city.ground_m(middle) + 700.0);
        viewed.pose.pitch_deg = -90.0;
        let shown = city.layers.iter().map(|layer| !layer.is_ground() && !layer.is_below_ground()).collect();
        *world.resource_mut::<ShownLayers>() = ShownLayers(shown);
        self.draw()?;
        let before = (self.report.looked_frames, self.report.looked_pixels, self.report.bare_pixels);
        self.look()?;
        self.report.bare_when_taken_away = (self.report.bare_pixels - before.2, self.bare_tiles() as u64);
        (self.report.looked_frames, self.report.looked_pixels, self.report.bare_pixels) = before;
        Ok(())
    }

    /// The report, with what it says of the bounds.
    fn told(mut self, options: &PatrolOptions) -> PatrolReport {
        let world = self.app.world();
        let errors = world.resource::<GraphicsErrors>();
        let info = world.get_resource::<RenderAdapterInfo>();
        let report = &mut self.report;
        report.gpu = info.map_or_else(String::new, |info| format!("{} ({})", info.name, info.driver_info));
        (report.validation_errors, report.other_graphics_errors) = (errors.validation, errors.other);
        report.damaged_tiles = world.resource::<Streaming>().damaged();
        report.tile_memory_mb = mb(options.tile_memory as u64);
        report.all_frame_ms = Pace::of(&self.frames_ms);
        report.frame_ms = Pace::of(self.frames_ms.get(self.warm..).unwrap_or_default());
        report.broken = broken(report);
        self.report
    }
}

/// The bounds that a patrol did not keep.
fn broken(report: &PatrolReport) -> Vec<String> {
    let mut broken = Vec::new();
    let mut hold = |is_kept: bool, told: String| {
        if !is_kept {
            broken.push(told);
        }
    };
    let errors = report.validation_errors + report.other_graphics_errors;
    hold(errors == 0, format!("{errors} errors of the graphics library"));
    hold(report.bare_tile_frames == 0, format!("{} frames with ground that no tile covers", report.bare_tile_frames));
    hold(report.bare_pixels == 0, format!("{} pixels of nothing where there is ground", report.bare_pixels));
    let (pixels, tiles) = report.bare_when_taken_away;
    hold(
        pixels > 0 && tiles > 0,
        format!("without any ground {pixels} pixels and {tiles} tiles were found bare: blind"),
    );
    hold(report.damaged_tiles.is_empty(), format!("{} tiles could not be read", report.damaged_tiles.len()));
    hold(report.laps >= 2, format!("{} laps: two are needed to compare memory and pace", report.laps));
    // Where frames are slower than that a window shows no fades either.
    let is_slow = report.frame_ms.p50 > FADING_MS;
    hold(report.fading_frames > 0 || is_slow, "no tile faded: not the window's streaming".into());
    hold(
        report.most_tile_mb <= report.tile_memory_mb * OVERSHOT,
        format!("tiles took {:.0} MB of {:.0} MB", report.most_tile_mb, report.tile_memory_mb),
    );
    let most = report.lap_mb.iter().copied().fold(0.0, f64::max);
    let promised = report.start_mb + report.tile_memory_mb * BYTES_A_TILE_BYTE + mb(BESIDE_TILES_BYTES);
    hold(most <= promised, format!("{most:.0} MB resident, {promised:.0} MB promised"));
    let whole = &report.lap_mb[..report.lap_mb.len().min(report.laps as usize)];
    // What is kept for the first time, such as shaders of every look, and blocks of memory with gaps, takes some laps.
    if let Some((last, first)) = whole.split_last().filter(|(_, first)| first.len() >= WARM_LAPS) {
        let first = first.iter().take(WARM_LAPS).copied().fold(0.0, f64::max);
        let bound = first * (1.0 + GROWTH) + mb(GROWTH_BYTES);
        hold(*last <= bound, format!("memory grew from {first:.0} to {last:.0} MB, {bound:.0} MB at most"));
    }
    let pace = &report.frame_ms;
    let slow = |figure: f64, medians: f64| figure <= pace.p50 * medians;
    hold(
        slow(pace.p95, P95_MEDIANS),
        format!("frames of {:.0} ms at the 95th percentile, {:.0} ms in the middle", pace.p95, pace.p50),
    );
    hold(slow(pace.most, MOST_MEDIANS), format!("a frame of {:.0} ms, {:.0} ms in the middle", pace.most, pace.p50));
    broken
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Resident memory of this process, MB; 0 where the system does not tell.
fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    kilobytes.map_or(0.0, |kilobytes: f64| kilobytes / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> PatrolReport {
        let frame_ms = Pace { count: 100, p50: 50.0, p95: 90.0, p99: 120.0, most: 300.0 };
        PatrolReport {
            laps: 5,
            fading_frames: 10,
            frame_ms,
            tile_memory_mb: 64.0,
            most_tile_mb: 60.0,
            start_mb: 200.0,
            lap_mb: vec![600.0, 640.0, 640.0, 645.0, 642.0, 700.0],
            bare_when_taken_away: (500, 9),
            ..PatrolReport::default()
        }
    }

    #[test]
    fn every_bound_is_told_when_it_is_broken() {
        assert_eq!(broken(&good()), Vec::<String>::new());
        let breaks: [(&str, fn(&mut PatrolReport)); 12] = [
            ("graphics library", |r| r.validation_errors = 1),
            ("graphics library", |r| r.other_graphics_errors = 1),
            ("no tile covers", |r| r.bare_tile_frames = 1),
            ("pixels of nothing", |r| r.bare_pixels = 1),
            ("blind", |r| r.bare_when_taken_away = (0, 9)),
            ("could not be read", |r| r.damaged_tiles = vec!["a".into()]),
            ("laps", |r| r.laps = 1),
            ("faded", |r| r.fading_frames = 0),
            ("tiles took", |r| r.most_tile_mb = 75.0),
            ("resident", |r| r.lap_mb = vec![2000.0; 5]),
            ("grew", |r| r.lap_mb[4] = 740.0),
            ("percentile", |r| r.frame_ms.p95 = 201.0),
        ];
        for (word, change) in breaks {
            let mut report = good();
            change(&mut report);
            let told = broken(&report);
            assert!(told.len() == 1 && told[0].contains(word), "{word}: {told:?}");
        }
    }
}
