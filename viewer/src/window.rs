//! The window: the scene, the overlay and the hands.

use std::time::Duration;

use bevy::{
    light::DirectionalLightShadowMap,
    log::LogPlugin,
    prelude::*,
    render::{RenderPlugin, renderer::RenderAdapterInfo},
    window::{ExitCondition, PresentMode, RequestRedraw, WindowResolution},
    winit::{UpdateMode, WinitSettings},
};

use crate::{
    ViewError,
    bookmark::Bookmarks,
    city::CityModel,
    clipboard,
    comparison::compared_width,
    desk::Desk,
    driver,
    hand::HandPlugin,
    loss,
    options::ViewOptions,
    other_side::ComparisonPlugin,
    overlay::{OverlayPlugin, OverlayState},
    preference::{Preferences, checked},
    print::Press,
    renewal::Renewal,
    scene::{ScenePlugin, camera_bundle, insert_state},
    shelf::Shelf,
    stream::{ShownLayers, Streaming},
    view_state::shown_layers,
};

/// Largest error on the screen that a tile may have in the window, pixels.
pub const MAX_ERROR_PX: f64 = 12.0;
/// Threads that read tiles.
pub const WORKERS: usize = 2;

/// Opens a window on the city; returns when the person closes it.
pub fn view(options: ViewOptions) -> Result<(), ViewError> {
    let scene = &options.scene;
    let city = CityModel::of_scene(scene)?;
    driver::check()?;
    if cfg!(target_os = "linux")
        && std::env::var_os("DISPLAY").is_none()
        && std::env::var_os("WAYLAND_DISPLAY").is_none()
    {
        return Err(ViewError::NoDisplay);
    }
    let (width, height) = options.size;
    let aspect = f64::from(width.max(1)) / f64::from(height.max(1)) * compared_width(scene);
    let pose = scene.camera.pose(&city.overview_extent(), aspect, |place| city.ground.height_at(place));
    let shown = shown_layers(&city, &scene.layers);
    let version = city.version;
    let (bookmarks, trouble) = Bookmarks::open(options.bookmarks.clone(), &city.name);
    let mut overlay = OverlayState::new(&city, scene);
    overlay.is_interactive = true;
    let title = format!("{} – Groundline", city.name);

    let mut app = App::new();
    app.add_plugins(
        DefaultPlugins
            .set(WindowPlugin {
                primary_window: Some(Window {
                    title,
                    name: Some("groundline".into()),
                    resolution: WindowResolution::new(width, height),
                    // With vsync a hidden window stops the whole program on some Linux desktops.
                    present_mode: PresentMode::AutoNoVsync,
                    ..default()
                }),
                exit_condition: ExitCondition::OnPrimaryClosed,
                ..default()
            })
            .set(RenderPlugin {
                render_creation: driver::settings().into(),
                // A moment longer, but nothing that is not there meanwhile.
                synchronous_pipeline_compilation: true,
                ..default()
            })
            .disable::<LogPlugin>()
            .disable::<bevy::ui::UiPlugin>()
            .disable::<bevy::ui_render::UiRenderPlugin>()
            .disable::<bevy::gizmos_render::GizmoRenderPlugin>(),
    );
    app.insert_resource(WinitSettings {
        focused_mode: UpdateMode::reactive(Duration::from_millis(250)),
        unfocused_mode: UpdateMode::reactive_low_power(Duration::from_secs(1)),
    });
    app.add_plugins((ScenePlugin, ComparisonPlugin));
    insert_state(&mut app, city, pose, scene);
    app.insert_resource(ShownLayers(shown));
    app.insert_resource(Streaming::start(options.tile_memory, MAX_ERROR_PX, false, WORKERS));
    app.insert_resource(overlay);
    app.insert_resource(Shelf::of(bookmarks));
    app.insert_resource(Press::new(scene));
    // A tileset of others has no versions.
    if scene.tiles.is_none() {
        match Renewal::watch(&scene.city, version) {
            Ok(renewal) => drop(app.insert_resource(renewal)),
            Err(error) => app.world_mut().resource_mut::<Desk>().tell(error.to_string()),
        }
    }
    let mut preferences = Preferences::beside(options.bookmarks.as_deref());
    preferences.navigation = options.navigation.unwrap_or(preferences.navigation);
    preferences.theme = options.theme.unwrap_or(preferences.theme);
    preferences.scale_percent = options.scale_percent.map_or(preferences.scale_percent, checked);
    app.insert_resource(scene.relief.unwrap_or(preferences.relief));
    app.insert_resource(preferences);
    if let Some(trouble) = trouble {
        app.world_mut().resource_mut::<Desk>().tell(trouble);
    }
    app.add_plugins((OverlayPlugin { is_hidden: scene.is_overlay_hidden }, HandPlugin { home: pose }));
    app.world_mut().spawn(camera_bundle(None));
    app.add_systems(Startup, spare_software_drivers);
    app.add_systems(Update, keep_drawing);
    if !scene.is_overlay_hidden {
        app.add_systems(PreUpdate, clipboard::serve_fields);
    }
    loss::watch(&mut app, options.go_on);
    match app.run() {
        AppExit::Success => Ok(()),
        AppExit::Error(code) => {
            loss::go_on_after(options.go_on);
            Err(loss::error(code.get()))
        }
    }
}

/// On a driver that renders in software every pixel of a shadow map and every triangle costs the person's time.
pub fn spare_software_drivers(
    adapter: Option<Res<RenderAdapterInfo>>,
    mut shadow_map: ResMut<DirectionalLightShadowMap>,
    mut streaming: ResMut<Streaming>,
) {
    if adapter.is_some_and(|adapter| format!("{:?}", adapter.device_type) == "Cpu") {
        shadow_map.size = 1024;
        streaming.max_error_px = MAX_ERROR_PX * 2.0;
    }
}

/// Asks for the next frame while tiles are on their way; otherwise the window rests until something happens.
fn keep_drawing(streaming: Res<Streaming>, mut redraw: MessageWriter<RequestRedraw>) {
    if !streaming.is_complete || streaming.fades.is_any() {
        redraw.write(RequestRedraw);
    }
}
