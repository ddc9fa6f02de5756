//! The scene: camera, sun, sky, and the state that panels and keys change.

use std::sync::Arc;

use bevy::{
    anti_alias::fxaa::{Fxaa, Sensitivity},
    asset::RenderAssetUsages,
    mesh::{Indices, PrimitiveTopology},
};
use bevy::{
    camera::{Exposure, RenderTarget, visibility::NoFrustumCulling},
    core_pipeline::tonemapping::{DebandDither, Tonemapping},
    light::{CascadeShadowConfig, DirectionalLightShadowMap, NotShadowCaster, cluster::ClusterConfig},
    prelude::*,
    render::{render_resource::TextureUsages, renderer::RenderAdapterInfo},
};
use groundline_engine::{model::CimLevel, tile::View};

use crate::{
    ahead::Ahead,
    budget,
    camera::{CameraPose, FIELD_OF_VIEW_DEG},
    cap::{Caps, lay_caps},
    city::CityModel,
    colouring::{Colouring, colour_tiles, read_colours},
    comparison::Compared,
    cut::Cuts,
    daylight::{SunStudy, study_sun},
    desk::Desk,
    dissolve::{DissolvePlugin, dissolve, rehearse},
    drawn_part::{DrawnPart, DrawnPartPlugin},
    indoors::{Indoors, feel_walls},
    look::{Look, Setting},
    material::{CityMaterial, CityMaterialPlugin, Materials, SkyMaterial},
    network::{Network, read_network},
    options::SceneOptions,
    origin::{RenderOrigin, axes_from_city},
    other_side::OtherSeen,
    plane::{drawn_extent, lay_plane},
    relief::{MARGIN_PX, PixelScale, ReliefView, set_relief},
    relief_pass::ReliefPlugin,
    renewal::renew,
    sea::{SeaDone, extend_sea},
    sift::{Sift, resolve_peel},
    sleeve::lay_sleeves,
    soil::lay_soil,
    stream::{Detail, ShownLayers, add_edges, change_detail, choose_tiles, take_tiles},
    style::{Drawing, Style},
    sun::{Moment, SunPosition, sun_position},
    tile_part::rebase_tiles,
    validity::{Timeline, ValidAt, date_tiles},
};

/// Side of a shadow map, pixels.
const SHADOW_MAP_SIDE: usize = 2048;

/// Far end of a shadow map over its near end up to which its pixels are small enough, and most maps.
const CASCADE_RATIO: f64 = 3.0;
const MOST_CASCADES: f64 = 3.0;

/// So far below the ground an eye is in it, metres.
const SUNK_M: f64 = 0.3;

/// Nearest distance that is drawn, metres.
pub const NEAR_M: f32 = 0.5;

/// The city that is shown.
#[derive(Resource, Clone)]
pub struct CityScene(pub Arc<CityModel>);

/// Where render coordinates are counted from.
#[derive(Resource, Clone, Copy)]
pub struct Origin(pub RenderOrigin);

/// Whether what lies below ground is shown (地下模式).
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Below(pub bool);

/// Time of day.
#[derive(Resource, Clone, Copy, Debug)]
pub struct Clock {
    /// The moment.
    pub moment: Moment,
    /// Where the sun stands then.
    pub sun: SunPosition,
}

impl Clock {
    /// The clock at a moment over a place, longitude and latitude in degrees.
    pub fn at(moment: Moment, lon_lat: glam::DVec2) -> Self {
        Self { moment, sun: sun_position(&moment, lon_lat.x, lon_lat.y) }
    }
}

/// The camera in the city and the size of the picture.
#[derive(Resource, Clone, Copy, Debug)]
pub struct Viewed {
    /// Camera.
    pub pose: CameraPose,
    /// Width and height, pixels.
    pub size: Vec2,
}

impl Viewed {
    /// The view for the choice of tiles; `None` while the picture has no size.
    pub fn view(&self) -> Option<View> {
        if self.size.x < 1.0 || self.size.y < 1.0 {
            return None;
        }
        let forward = self.pose.direction();
        let up = if forward.z.abs() > 0.999 {
            crate::camera::direction_of(self.pose.heading_deg, 0.0)
        } else {
            glam::DVec3::Z
        };
        Some(View::perspective(
            self.pose.place,
            forward,
            up,
            FIELD_OF_VIEW_DEG.to_radians(),
            f64::from(self.size.x / self.size.y),
            f64::from(self.size.y),
        ))
    }

    /// Rotation of the camera in render axes.
    pub fn rotation(&self) -> Quat {
        Quat::from_euler(
            EulerRot::YXZ,
            -(self.pose.heading_deg.to_radians() as f32),
            self.pose.pitch_deg.to_radians() as f32,
            0.0,
        )
    }

    /// The ray through a pixel, in the city's frame.
    pub fn ray(&self, pixel: Vec2) -> crate::pick::Ray {
        let tan = (FIELD_OF_VIEW_DEG.to_radians() * 0.5).tan() as f32;
        let ndc = Vec2::new(pixel.x / self.size.x * 2.0 - 1.0, 1.0 - pixel.y / self.size.y * 2.0);
        let direction = self.rotation() * Vec3::new(ndc.x * tan * self.size.x / self.size.y, ndc.y * tan, -1.0);
        crate::pick::Ray {
            from: self.pose.place,
            direction: crate::origin::city_from_axes(direction.as_dvec3()).normalize(),
        }
    }

    /// The pixel where a place of the city is seen, and its distance along the view; `None` behind the camera.
    pub fn pixel(&self, place: glam::DVec3) -> Option<(Vec2, f32)> {
        let seen = self.rotation().inverse() * axes_from_city(place - self.pose.place);
        if seen.z >= -0.1 {
            return None;
        }
        let tan = (FIELD_OF_VIEW_DEG.to_radians() * 0.5).tan() as f32;
        let ndc = Vec2::new(seen.x / (-seen.z * tan * self.size.x / self.size.y), seen.y / (-seen.z * tan));
        Some((Vec2::new((ndc.x + 1.0) * 0.5 * self.size.x, (1.0 - ndc.y) * 0.5 * self.size.y), -seen.z))
    }
}

/// Everything that is drawn in three dimensions, the same in the window and in a snapshot.
pub struct ScenePlugin;

/// Order of the scene's work within a frame.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SceneSet {
    /// Hands move the camera and change the state.
    Hands,
    /// The scene follows.
    Scene,
}

/// Marks the camera on the city.
#[derive(Component)]
pub struct CityCamera;

/// Marks the sun's light.
#[derive(Component)]
pub struct SunLight;

#[derive(Resource)]
struct Sky(Handle<SkyMaterial>);

/// The light last put into the materials.
#[derive(Resource, Default)]
struct LastLook(Look);

impl Plugin for ScenePlugin {
    fn build(&self, app: &mut App) {
        budget::share_buffers(app);
        app.add_plugins((CityMaterialPlugin, ReliefPlugin, DissolvePlugin, DrawnPartPlugin))
            .insert_resource(DirectionalLightShadowMap { size: SHADOW_MAP_SIDE })
            .insert_resource(ClearColor(Color::linear_rgb(0.55, 0.62, 0.70)))
            .init_resource::<LastLook>()
            .init_resource::<Compared>()
            .init_resource::<PixelScale>()
            .init_resource::<SeaDone>()
            .init_resource::<Caps>()
            .init_resource::<Indoors>()
            .init_resource::<Network>()
            .init_resource::<Sift>()
            .init_resource::<Timeline>()
            .init_resource::<ShownLayers>()
            .configure_sets(Update, (SceneSet::Hands, SceneSet::Scene).chain())
            .add_systems(Startup, (set_up, know_driver))
            .add_systems(
                Update,
                (
                    (place_camera, set_relief).chain(),
                    light_scene,
                    (change_detail, resolve_peel).chain(),
                    (renew, date_tiles, study_sun).chain(),
                    take_tiles,
                    rebase_tiles,
                    add_edges,
                    (read_colours, colour_tiles).chain(),
                    (rehearse, choose_tiles, dissolve, feel_walls).chain(),
                    extend_sea,
                    lay_plane,
                    lay_soil,
                    lay_caps,
                    (read_network, lay_sleeves).chain(),
                )
                    .chain()
                    .in_set(SceneSet::Scene),
            );
    }
}

/// The camera's components that window and snapshot share; the target is added by each.
pub fn camera_bundle(target: Option<RenderTarget>) -> impl Bundle {
    (
        // The relief reads the depths.
        Camera3d {
            depth_texture_usages: (TextureUsages::RENDER_ATTACHMENT | TextureUsages::TEXTURE_BINDING).into(),
            ..default()
        },
        target.unwrap_or_default(),
        (CityCamera, ReliefView::default(), DrawnPart::default()),
        Projection::Perspective(PerspectiveProjection {
            fov: FIELD_OF_VIEW_DEG.to_radians() as f32,
            near: NEAR_M,
            far: 1.0e6,
            near_clip_plane: Vec4::new(0.0, 0.0, -1.0, -NEAR_M),
            ..default()
        }),
        // Colours are made for the display in the shaders: no float target, no second pass.
        (Tonemapping::None, DebandDither::Disabled, Exposure::default()),
        Msaa::Off,
        Fxaa { enabled: true, edge_threshold: Sensitivity::High, edge_threshold_min: Sensitivity::High },
        ClusterConfig::Single,
        Transform::default(),
    )
}

/// Notes whether the driver renders in software.
fn know_driver(adapter: Option<Res<RenderAdapterInfo>>, mut materials: ResMut<Materials>) {
    materials.is_software = adapter.is_some_and(|adapter| format!("{:?}", adapter.device_type) == "Cpu");
}

fn set_up(mut commands: Commands, mut meshes: ResMut<Assets<Mesh>>, mut sky_materials: ResMut<Assets<SkyMaterial>>) {
    commands.spawn((
        SunLight,
        DirectionalLight {
            illuminance: 10_000.0,
            shadow_maps_enabled: true,
            shadow_depth_bias: 0.25,
            shadow_normal_bias: 1.6,
            ..default()
        },
        CascadeShadowConfig { bounds: vec![1000.0], overlap_proportion: 0.15, minimum_distance: 1.0 },
        Transform::default(),
    ));
    let triangle = Mesh::new(PrimitiveTopology::TriangleList, RenderAssetUsages::RENDER_WORLD)
        .with_inserted_attribute(
            Mesh::ATTRIBUTE_POSITION,
            vec![[-1.0_f32, -1.0, 0.0], [3.0, -1.0, 0.0], [-1.0, 3.0, 0.0]],
        )
        .with_inserted_indices(Indices::U32(vec![0, 1, 2]));
    let material = sky_materials.add(SkyMaterial { look: Look::default() });
    commands.spawn((
        Mesh3d(meshes.add(triangle)),
        MeshMaterial3d(material.clone()),
        Transform::default(),
        NoFrustumCulling,
        NotShadowCaster,
    ));
    commands.insert_resource(Sky(material));
}

fn place_camera(
    mut viewed: ResMut<Viewed>,
    mut origin: ResMut<Origin>,
    (city, compared, other): (Res<CityScene>, Res<Compared>, Option<Res<OtherSeen>>),
    mut cameras: Query<(&mut Camera, &mut Transform, Option<&mut DrawnPart>), With<CityCamera>>,
    mut shadows: Query<&mut CascadeShadowConfig, With<SunLight>>,
) {
    let Ok((mut camera, mut transform, drawn)) = cameras.single_mut() else { return };
    if let Some(size) = camera.physical_target_size() {
        let pane = compared.pane(compared.side, size);
        viewed.size = pane.whole.size().as_vec2();
        let sub_view = pane.sub_view(size);
        if camera.sub_camera_view != sub_view {
            camera.sub_camera_view = sub_view;
        }
        if let Some(mut drawn) = drawn {
            let margin = if compared.manner.is_some() { MARGIN_PX } else { 0 };
            let is_alone = other.is_some_and(|other| !other.is_drawn);
            drawn.set_if_neq(DrawnPart(if is_alone { URect::default() } else { pane.drawn(margin, size) }));
        }
    }
    if let Some(moved) = origin.0.rebased(viewed.pose.place) {
        origin.0 = moved;
    }
    transform.translation = origin.0.render_from_city(viewed.pose.place);
    transform.rotation = viewed.rotation();
    if let Ok(mut cascades) = shadows.single_mut() {
        let wanted = cascades_for(&viewed.pose, &city.0);
        if cascades.bounds != wanted.bounds {
            *cascades = wanted;
        }
    }
}

/// Shadow maps where the picture needs them: from the nearest ground in view to the far side of the city.
fn cascades_for(pose: &CameraPose, city: &CityModel) -> CascadeShadowConfig {
    let extent = &city.extent;
    let height = (pose.place.z - city.ground_m(pose.place.truncate())).abs().max(2.0);
    let nearest = pose.place.distance(pose.place.clamp(extent.min, extent.max)).max(height * 0.45);
    let farthest = if extent.is_empty() {
        2000.0
    } else {
        (pose.place - pose.place.clamp(extent.min, extent.max)).length() + extent.size().truncate().length()
    };
    let far = farthest.min(height.max(60.0) * 22.0 + nearest).max(nearest * 1.5).max(50.0);
    // Rounded, so that a moving camera does not redo its cascades every frame.
    let near = 1.25_f64.powf(nearest.max(4.0).ln() / 1.25_f64.ln()).round().max(4.0);
    let ratio = (far / near).max(1.5);
    // Each draws what is in it once more: from high above, where all is about as far, fewer do.
    let count = (ratio.ln() / CASCADE_RATIO.ln()).ceil().clamp(1.0, MOST_CASCADES);
    let bound = |number: usize| (near * ratio.powf(number as f64 / count)) as f32;
    CascadeShadowConfig {
        bounds: (1..=count as usize).map(bound).collect(),
        overlap_proportion: 0.15,
        minimum_distance: (near * 0.5) as f32,
    }
}

#[allow(clippy::too_many_arguments)]
fn light_scene(
    city: Res<CityScene>,
    origin: Res<Origin>,
    (below, style, colouring): (Res<Below>, Res<Style>, Res<Colouring>),
    (clock, cuts, indoors): (Res<Clock>, Res<Cuts>, Res<Indoors>),
    sky: Res<Sky>,
    mut last: ResMut<LastLook>,
    mut shared: ResMut<Materials>,
    mut materials: ResMut<Assets<CityMaterial>>,
    mut skies: ResMut<Assets<SkyMaterial>>,
    mut suns: Query<(&mut Transform, &mut DirectionalLight), With<SunLight>>,
) {
    let extent = city.0.scene_extent();
    let middle = extent.centre().truncate();
    let drawing = Drawing { style: *style, is_below: below.0 };
    let is_coloured = colouring.colours().is_some();
    let setting = Setting { extent: drawn_extent(&city.0), ground_m: city.0.ground_m(middle), drawing, is_coloured };
    let mut look = Look { cut: cuts.in_render(&origin.0), ..Look::new(&clock.sun, &setting, &origin.0) };
    look.style.z = f32::from(u8::from(indoors.0));
    // Nothing throws a shadow that is seen as glass, in a dark model or without sun.
    let has_shadows = drawing.has_shadows() && clock.sun.altitude_deg > 0.0;
    look.style.w = f32::from(u8::from(has_shadows));
    if look == last.0 {
        return;
    }
    last.0 = look;
    shared.look = look;
    for (_, material) in materials.iter_mut() {
        material.set_look(&look);
    }
    if let Some(mut material) = skies.get_mut(&sky.0) {
        material.look = look;
    }
    if let Ok((mut transform, mut light)) = suns.single_mut() {
        let towards = look.sun.truncate();
        *transform = Transform::default().looking_to(-towards, if towards.y.abs() > 0.99 { Vec3::X } else { Vec3::Y });
        light.shadow_maps_enabled = has_shadows;
    }
}

/// The state of the scene for a city and what was asked for.
pub fn insert_state(app: &mut App, city: impl Into<Arc<CityModel>>, pose: CameraPose, scene: &SceneOptions) {
    let city = city.into();
    app.insert_resource(Desk::of(scene)).insert_resource(Compared::of(scene));
    let moment = scene.at.unwrap_or_default();
    app.init_resource::<Ahead>();
    // Who stands in the ground sees nothing but through it.
    let plan = pose.place.truncate();
    let is_sunk =
        city.ground.height_at(plan).is_some_and(|ground| pose.place.z < ground - SUNK_M) && scene.cuts.is_empty();
    app.insert_resource(Origin(RenderOrigin::near(pose.place)))
        .insert_resource(Viewed { pose, size: Vec2::ZERO })
        .insert_resource(Below(scene.is_below || is_sunk))
        .insert_resource(scene.cuts.clone())
        .insert_resource(scene.labels)
        .insert_resource(scene.peel.clone())
        .insert_resource(scene.style)
        .insert_resource(scene.relief.unwrap_or_default())
        .insert_resource(Colouring::new(scene.colour_by.clone()))
        .insert_resource(Detail(scene.detail.unwrap_or(CimLevel::PART)))
        .insert_resource(Clock::at(moment, city.lon_lat))
        .insert_resource(SunStudy::at(scene.sun_place))
        .insert_resource(ValidAt(scene.valid_at))
        .insert_resource(ShownLayers(vec![true; city.layers.len()]))
        .insert_resource(CityScene(city));
}
