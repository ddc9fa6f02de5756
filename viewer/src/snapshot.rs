//! A picture of the city without window or display.
//!
//! The same scene as in the window is rendered into an image. Pipelines compile while tiles load; nothing is drawn
//! twice: the scene is held back until everything is there, then one frame is rendered and read back.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bevy::{
    app::TerminalCtrlCHandlerPlugin,
    asset::RenderAssetUsages,
    camera::{ImageRenderTarget, RenderTarget},
    ecs::system::RunSystemOnce,
    image::Image,
    log::LogPlugin,
    prelude::*,
    render::{
        RenderApp, RenderPlugin,
        pipelined_rendering::PipelinedRenderingPlugin,
        render_asset::RenderAssets,
        render_resource::{
            BufferDescriptor, BufferUsages, CachedPipelineState, CommandEncoderDescriptor, Extent3d, MapMode,
            PipelineCache, PollType, TexelCopyBufferInfo, TexelCopyBufferLayout, TextureDimension, TextureFormat,
            TextureUsages,
        },
        renderer::{RenderAdapterInfo, RenderDevice, RenderQueue},
        settings::RenderCreation,
        texture::GpuImage,
    },
    time::TimeUpdateStrategy,
    window::ExitCondition,
    winit::WinitPlugin,
};

use crate::{
    ViewError, bulk,
    city::CityModel,
    colouring::{Colouring, State},
    comparison::compared_width,
    daylight::SunStudy,
    draw_count::DrawCount,
    driver,
    network::Network,
    options::{FilmReport, SceneOptions, SnapshotOptions, SnapshotReport},
    other_side::{ComparisonPlugin, OtherSide},
    overlay::{OverlayPlugin, OverlayState},
    peel::Peel,
    relief::PixelScale,
    scene::{CityCamera, CityScene, ScenePlugin, Viewed, camera_bundle, insert_state},
    sift::Sift,
    stream::{ShownLayers, Streaming},
    tour::Flight,
    validity::{Timeline, ValidAt},
    view_state::{Showing, shown_layers},
};

/// Largest side of a picture, pixels.
const MAX_SIDE: u32 = 16_384;
/// Most pictures of a tour.
const MAX_FRAMES: f64 = 100_000.0;

/// Renders the city into a PNG.
pub fn snapshot(options: SnapshotOptions) -> Result<SnapshotReport, ViewError> {
    let started = Instant::now();
    let city = CityModel::of_scene(&options.scene)?;
    picture(city, options, started)
}

/// Renders a city that is open already.
pub fn picture(city: CityModel, options: SnapshotOptions, started: Instant) -> Result<SnapshotReport, ViewError> {
    let mut studio = Studio::open(city, &options, started)?;
    let (frames, pixels) = studio.shoot(options.timeout_s)?;
    let bulk = bulk::compare(&studio.app.world().resource::<CityScene>().0, &options.scene).transpose()?;
    let (width, height) = (studio.size.0 / studio.scale, studio.size.1 / studio.scale);
    write_png(&options.out, pixels, width, height, studio.scale, options.dpi)?;
    studio.phases.mark("png");
    let draws = studio.app.get_sub_app(RenderApp).map(DrawCount::of).unwrap_or_default();
    let streaming = studio.app.world().resource::<Streaming>();
    let other = studio.app.world().get_non_send::<OtherSide>();
    let (tiles, triangles, points) = other.map_or((0, 0, 0), OtherSide::counts);
    let mut damaged_tiles = streaming.damaged();
    damaged_tiles.extend(other.map(OtherSide::damaged).unwrap_or_default());
    damaged_tiles.sort_unstable();
    damaged_tiles.dedup();
    Ok(SnapshotReport {
        out: options.out,
        width,
        height,
        tiles_drawn: streaming.shown.len() + tiles,
        triangles: streaming.shown_triangles + triangles,
        points: streaming.shown_points + points,
        draw_calls: draws.total(),
        draws,
        bytes: streaming.bytes,
        damaged_tiles,
        bulk,
        frames,
        seconds: started.elapsed().as_secs_f64(),
        gpu: studio.gpu(),
        phases: studio.phases.list,
    })
}

/// Renders a tour into numbered PNGs: views with their seconds, `fps` pictures a second.
pub fn film(
    city: CityModel,
    options: SnapshotOptions,
    stops: Vec<(SceneOptions, f64)>,
    folder: &Path,
    fps: f64,
) -> Result<FilmReport, ViewError> {
    let started = Instant::now();
    let aspect = f64::from(options.size.0) / f64::from(options.size.1.max(1)) * compared_width(&options.scene);
    let extent = city.overview_extent();
    let pose_of = |scene: &SceneOptions| scene.camera.pose(&extent, aspect, |place| city.ground.height_at(place));
    let flight = Flight::new(stops.iter().map(|(scene, seconds)| (pose_of(scene), *seconds)).collect());
    let count = (flight.duration_s() * fps).ceil();
    if !(1.0..=MAX_FRAMES).contains(&count) {
        return Err(ViewError::Tour(format!("{count} pictures: 1 to {MAX_FRAMES} are made")));
    }
    if frame_path(folder, 1).exists() {
        return Err(ViewError::Tour(format!("{} holds pictures of a tour already", folder.display())));
    }
    let mut studio = Studio::open(city, &options, started)?;
    let mut at_stop = None;
    let mut frame_times = Vec::new();
    for number in 0..count as u32 {
        let Some((stop, pose)) = flight.at(f64::from(number) / fps) else { break };
        let world = studio.app.world_mut();
        if at_stop.replace(stop) != Some(stop) {
            let scene = stops[stop].0.clone();
            world
                .run_system_once(move |mut showing: Showing| showing.apply_all_but_camera(&scene))
                .map_err(|error| ViewError::Tour(error.to_string()))?;
        }
        world.resource_mut::<Viewed>().pose = pose;
        studio.phases.started = Instant::now();
        let (frames, pixels) = studio.shoot(options.timeout_s)?;
        frame_times.push(studio.phases.started.elapsed().as_secs_f64() / f64::from(frames));
        let (width, height) = (studio.size.0 / studio.scale, studio.size.1 / studio.scale);
        write_png(&frame_path(folder, number + 1), pixels, width, height, studio.scale, options.dpi)?;
    }
    let damaged_tiles = studio.app.world().resource::<Streaming>().damaged();
    frame_times.sort_by(f64::total_cmp);
    Ok(FilmReport {
        folder: folder.to_owned(),
        pictures: count as u32,
        film_seconds: flight.duration_s(),
        fps,
        damaged_tiles,
        seconds: started.elapsed().as_secs_f64(),
        frame_seconds: frame_times.get(frame_times.len() / 2).copied().unwrap_or(0.0),
        gpu: studio.gpu(),
    })
}

fn frame_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("frame-{number:05}.png"))
}

/// The scene without a window, ready to be rendered from anywhere.
struct Studio {
    app: App,
    target: Handle<Image>,
    /// Pixels of the target.
    size: (u32, u32),
    /// Of these to a pixel of the picture, a side.
    scale: u32,
    phases: Phases,
}

impl Studio {
    fn open(city: CityModel, options: &SnapshotOptions, started: Instant) -> Result<Self, ViewError> {
        let mut phases = Phases { started, last: Instant::now(), list: vec![] };
        phases.list.push(("open".into(), started.elapsed().as_secs_f64()));
        let scale = options.supersample.clamp(1, 4);
        let (width, height) = options.size;
        if width == 0 || height == 0 || width.max(height) * scale > MAX_SIDE {
            return Err(ViewError::Size { width, height });
        }
        driver::check()?;
        phases.mark("driver");
        let mut app = headless_app(driver::settings().into());
        app.add_plugins(ComparisonPlugin);
        phases.mark("renderer");
        let most = app.world().get_resource::<RenderDevice>().map(|device| device.limits().max_texture_dimension_2d);
        let (width, height) = fitted((width, height), most.unwrap_or(MAX_SIDE) / scale);
        let size = (width * scale, height * scale);
        let target = add_target(&mut app, size.0, size.1);
        let aspect = f64::from(width) / f64::from(height) * compared_width(&options.scene);
        let pose = options.scene.camera.pose(&city.overview_extent(), aspect, |place| city.ground.height_at(place));
        let shown = shown_layers(&city, &options.scene.layers);
        let overlay = OverlayState::new(&city, &options.scene);
        insert_state(&mut app, city, pose, &options.scene);
        app.insert_resource(ShownLayers(shown)).insert_resource(PixelScale(scale as f32));
        // On paper the dots are finer than what an eye tells apart.
        let per_point = options.pixels_per_point.clamp(0.25, 16.0);
        let error_px = options.max_error_px * f64::from(scale) * per_point.sqrt();
        app.insert_resource(Streaming::start(usize::MAX, error_px, true, 2));
        app.insert_resource(overlay);
        app.add_plugins(OverlayPlugin { is_hidden: options.scene.is_overlay_hidden });
        app.world_mut().spawn(camera_bundle(Some(RenderTarget::Image(ImageRenderTarget {
            handle: target.clone(),
            scale_factor: scale as f32 * per_point as f32,
        }))));
        app.finish();
        app.cleanup();
        phases.mark("set-up");
        Ok(Self { app, target, size, scale, phases })
    }

    /// One whole picture: frames rendered for it, and its pixels.
    fn shoot(&mut self, timeout_s: f64) -> Result<(u32, Vec<u8>), ViewError> {
        let frames = render_until_complete(&mut self.app, timeout_s, &mut self.phases)?;
        let pixels = read_back(&mut self.app, &self.target, self.size.0, self.size.1)?;
        self.phases.mark("render");
        Ok((frames, pixels))
    }

    fn gpu(&self) -> String {
        let info = self.app.world().get_resource::<RenderAdapterInfo>();
        info.map_or_else(String::new, |info| format!("{} ({:?}, {})", info.name, info.backend, info.driver_info))
    }
}

/// The largest size of the same shape that has no side beyond `most` pixels; at least 1 × 1.
fn fitted((width, height): (u32, u32), most: u32) -> (u32, u32) {
    let longest = width.max(height).max(1);
    if longest <= most {
        return (width, height);
    }
    let part = |side: u32| (u64::from(side) * u64::from(most) / u64::from(longest)).max(1) as u32;
    (part(width), part(height))
}

/// Seconds by phase.
struct Phases {
    started: Instant,
    last: Instant,
    list: Vec<(String, f64)>,
}

impl Phases {
    fn mark(&mut self, name: &str) {
        self.list.push((name.to_owned(), self.last.elapsed().as_secs_f64()));
        self.last = Instant::now();
    }
}

/// Bevy without a window, without its own log and without what is not used here.
pub fn headless_app(render_creation: RenderCreation) -> App {
    let mut app = App::new();
    app.add_plugins(
        DefaultPlugins
            .set(WindowPlugin { primary_window: None, exit_condition: ExitCondition::DontExit, ..default() })
            .set(RenderPlugin { render_creation, synchronous_pipeline_compilation: true, ..default() })
            .disable::<WinitPlugin>()
            .disable::<LogPlugin>()
            .disable::<TerminalCtrlCHandlerPlugin>()
            .disable::<PipelinedRenderingPlugin>()
            .disable::<bevy::ui::UiPlugin>()
            .disable::<bevy::ui_render::UiRenderPlugin>()
            .disable::<bevy::gizmos_render::GizmoRenderPlugin>(),
    );
    // The waves stand still: same city, same picture.
    app.insert_resource(TimeUpdateStrategy::ManualDuration(Duration::ZERO));
    app.add_plugins(ScenePlugin);
    app
}

pub fn add_target(app: &mut App, width: u32, height: u32) -> Handle<Image> {
    let mut image = Image::new_uninit(
        Extent3d { width, height, depth_or_array_layers: 1 },
        TextureDimension::D2,
        TextureFormat::Rgba8UnormSrgb,
        RenderAssetUsages::RENDER_WORLD,
    );
    image.texture_descriptor.usage |= TextureUsages::RENDER_ATTACHMENT | TextureUsages::COPY_SRC;
    app.world_mut().resource_mut::<Assets<Image>>().add(image)
}

/// Updates until tiles and pipelines are there and one whole picture is rendered.
fn render_until_complete(app: &mut App, timeout_s: f64, phases: &mut Phases) -> Result<u32, ViewError> {
    let mut frames = 0;
    let mut whole_frames = 0;
    let mut is_loaded = false;
    loop {
        app.update();
        frames += 1;
        if phases.started.elapsed().as_secs_f64() > timeout_s {
            return Err(ViewError::Timeout { seconds: timeout_s, waiting: waiting_for(app) });
        }
        let other = app.world().get_non_send::<OtherSide>();
        let is_complete = is_settled(app)? && other.map_or(Ok(true), OtherSide::is_ready)?;
        if is_complete && !is_loaded {
            is_loaded = true;
            phases.mark("tiles");
        }
        let pending = pending_pipelines(app)?;
        // The frame in which the last tile is shown specialises what it needs; the one after draws it.
        whole_frames = if is_complete && pending == 0 { whole_frames + 1 } else { 0 };
        if whole_frames >= 2 {
            return Ok(frames);
        }
        let is_waiting = !is_complete || pending > 0;
        set_camera_active(app, !is_waiting || frames < 3 || (is_complete && pending > 0 && frames % 8 == 0));
        if is_waiting {
            std::thread::sleep(Duration::from_millis(4));
        }
    }
}

/// Whether everything that a scene shows is there; an error where it cannot be.
pub fn is_settled(app: &App) -> Result<bool, ViewError> {
    let world = app.world();
    let (colouring, sift) = (world.resource::<Colouring>(), world.resource::<Sift>());
    if let State::Failed(reason) = &colouring.state {
        return Err(ViewError::Colours(reason.clone()));
    }
    if let Some(reason) = &sift.trouble {
        return Err(ViewError::Peel(reason.clone()));
    }
    let (timeline, valid_at) = (world.resource::<Timeline>(), *world.resource::<ValidAt>());
    if let Some(reason) = timeline.trouble.as_ref().filter(|_| valid_at.0.is_some()) {
        return Err(ViewError::Time(reason.clone()));
    }
    Ok(!world.resource::<OverlayState>().is_waiting()
        && timeline.is_settled(valid_at, sift)
        && world.resource::<SunStudy>().is_settled()
        && colouring.is_settled()
        && world.resource::<Network>().is_settled()
        && sift.is_settled(world.resource::<Peel>())
        && world.resource::<Streaming>().is_complete)
}

/// While pipelines compile, frames would only be drawn to be thrown away.
fn set_camera_active(app: &mut App, is_active: bool) {
    let mut cameras = app.world_mut().query_filtered::<&mut Camera, With<CityCamera>>();
    for mut camera in cameras.iter_mut(app.world_mut()) {
        if camera.is_active != is_active {
            camera.is_active = is_active;
        }
    }
}

/// Pipelines that are being compiled; an error when one of ours cannot be.
pub fn pending_pipelines(app: &App) -> Result<usize, ViewError> {
    let Some(render_app) = app.get_sub_app(RenderApp) else { return Ok(0) };
    let Some(cache) = render_app.world().get_resource::<PipelineCache>() else { return Ok(0) };
    let mut pending = 0;
    for pipeline in cache.pipelines() {
        match &pipeline.state {
            CachedPipelineState::Queued | CachedPipelineState::Creating(_) => pending += 1,
            CachedPipelineState::Err(error) => {
                use bevy::shader::ShaderCacheError;
                match error {
                    ShaderCacheError::ShaderNotLoaded(_) | ShaderCacheError::ShaderImportNotYetAvailable => {
                        pending += 1
                    }
                    other => return Err(ViewError::Shader(other.to_string())),
                }
            }
            CachedPipelineState::Ok(_) => {}
        }
    }
    Ok(pending)
}

fn waiting_for(app: &App) -> String {
    let streaming = app.world().resource::<Streaming>();
    let pipelines = pending_pipelines(app).unwrap_or(0);
    format!("{} tiles and {pipelines} pipelines", streaming.loading())
}

/// Pixels of the target, RGBA row by row.
pub fn read_back(app: &mut App, target: &Handle<Image>, width: u32, height: u32) -> Result<Vec<u8>, ViewError> {
    let fail = |reason: &str| ViewError::ReadBack(reason.to_owned());
    let render_app = app.get_sub_app(RenderApp).ok_or_else(|| fail("there is no renderer"))?;
    let world = render_app.world();
    let device = world.resource::<RenderDevice>();
    let queue = world.resource::<RenderQueue>();
    let image = world.resource::<RenderAssets<GpuImage>>().get(target).ok_or_else(|| fail("there is no picture"))?;
    let row = width as usize * 4;
    let padded = RenderDevice::align_copy_bytes_per_row(row);
    let buffer = device.create_buffer(&BufferDescriptor {
        label: Some("snapshot"),
        size: (padded * height as usize) as u64,
        usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&CommandEncoderDescriptor::default());
    encoder.copy_texture_to_buffer(
        image.texture.as_image_copy(),
        TexelCopyBufferInfo {
            buffer: &buffer,
            layout: TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(u32::try_from(padded).map_err(|_| fail("the picture is too wide"))?),
                rows_per_image: None,
            },
        },
        Extent3d { width, height, depth_or_array_layers: 1 },
    );
    queue.submit([encoder.finish()]);
    let (sender, receiver) = std::sync::mpsc::channel();
    let slice = buffer.slice(..);
    slice.map_async(MapMode::Read, move |result| {
        // The receiver outlives the mapping.
        let _ = sender.send(result);
    });
    device.poll(PollType::wait_indefinitely()).map_err(|error| ViewError::ReadBack(error.to_string()))?;
    receiver
        .recv()
        .map_err(|_| fail("the driver did not answer"))?
        .map_err(|error| ViewError::ReadBack(error.to_string()))?;
    let data = slice.get_mapped_range();
    Ok(data.chunks(padded).take(height as usize).flat_map(|line| &line[..row]).copied().collect())
}

/// Averages `scale` × `scale` pixels into one and writes the file.
pub fn write_png(
    path: &Path,
    pixels: Vec<u8>,
    width: u32,
    height: u32,
    scale: u32,
    dpi: Option<u32>,
) -> Result<(), ViewError> {
    let pixels = if scale == 1 { pixels } else { averaged(&pixels, width as usize, height as usize, scale as usize) };
    let mut rgb = Vec::with_capacity(pixels.len() / 4 * 3);
    for pixel in pixels.chunks_exact(4) {
        rgb.extend_from_slice(&pixel[..3]);
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|source| ViewError::Io { path: folder.to_owned(), source })?;
    }
    let fail = |reason: String| ViewError::Png { path: path.to_owned(), reason };
    let file = std::fs::File::create(path).map_err(|source| ViewError::Io { path: path.to_owned(), source })?;
    let mut encoder = png::Encoder::new(std::io::BufWriter::new(file), width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    encoder.set_pixel_dims(dpi.map(|dpi| {
        let per_metre = (f64::from(dpi) / 0.0254).round() as u32;
        png::PixelDimensions { xppu: per_metre, yppu: per_metre, unit: png::Unit::Meter }
    }));
    let mut writer = encoder.write_header().map_err(|error| fail(error.to_string()))?;
    writer.write_image_data(&rgb).and_then(|()| writer.finish()).map_err(|error| fail(error.to_string()))
}

fn averaged(pixels: &[u8], width: usize, height: usize, scale: usize) -> Vec<u8> {
    let count = (scale * scale) as u32;
    let mut out = Vec::with_capacity(width * height * 4);
    for y in 0..height {
        for x in 0..width {
            let mut sums = [0u32; 4];
            for dy in 0..scale {
                let start = ((y * scale + dy) * width * scale + x * scale) * 4;
                for pixel in pixels[start..start + scale * 4].chunks_exact(4) {
                    for (sum, channel) in sums.iter_mut().zip(pixel) {
                        *sum += u32::from(*channel);
                    }
                }
            }
            out.extend(sums.map(|sum| ((sum + count / 2) / count) as u8));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_beyond_the_driver_keeps_its_shape() {
        assert_eq!(fitted((15_360, 4_320), 16_384), (15_360, 4_320));
        assert_eq!(fitted((15_360, 4_320), 8_192), (8_192, 2_304));
        assert_eq!(fitted((1, 16_384), 2_048), (1, 2_048));
        assert_eq!(fitted((1, 1), 2_048), (1, 1));
    }

    #[test]
    fn supersampling_averages_blocks() {
        // 2 × 1 pixels from 4 × 2: left block all 10, right block 0 and 100 mixed.
        let row = |values: [u8; 4]| values.into_iter().flat_map(|v| [v, v, v, 255]).collect::<Vec<u8>>();
        let pixels = [row([10, 10, 0, 100]), row([10, 10, 100, 0])].concat();
        let out = averaged(&pixels, 2, 1, 2);
        assert_eq!(out, [10, 10, 10, 255, 50, 50, 50, 255]);
    }
}
