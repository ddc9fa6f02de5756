//! The other side of a comparison: a scene of its own, with its own tiles, look and materials, on the same graphics device.
//!
//! A look reaches into everything: pipelines, materials, meshes with the colours of classes, tiles without what is taken off,
//! faces of cuts. So the other side is a second world with all of it, which draws into a texture; [`crate::other_pass`] lays it
//! over the picture. It is updated within the frame of this side, after camera and light are settled, so that both move as one.

use std::{sync::Arc, time::Duration};

use bevy::{
    camera::{ManualTextureViewHandle, RenderTarget},
    ecs::system::RunSystemOnce,
    light::DirectionalLightShadowMap,
    prelude::*,
    render::{
        RenderApp,
        render_resource::{Extent3d, TextureDescriptor, TextureDimension, TextureFormat, TextureUsages},
        renderer::{RenderAdapter, RenderAdapterInfo, RenderDevice, RenderInstance, RenderQueue},
        settings::RenderCreation,
        texture::{ManualTextureView, ManualTextureViews},
    },
    time::TimeUpdateStrategy,
    window::RequestRedraw,
};

use crate::{
    ViewError,
    city::CityModel,
    colouring::{Colouring, Colours, State},
    comparison::{Compared, Side},
    cut::Cuts,
    desk::Desk,
    options::SceneOptions,
    other_pass::{OtherPassPlugin, OtherPicture},
    overlay::OverlayState,
    pick::PickTile,
    relief::{PixelScale, Relief},
    scene::{Below, CityCamera, CityScene, Clock, Origin, SceneSet, Viewed, camera_bundle, insert_state},
    selection::SelectionPlugin,
    snapshot::{headless_app, is_settled, pending_pipelines},
    stream::{ShownLayers, Streaming, TileKey},
    style::{Drawing, Style},
    view_state::{Showing, shown_layers},
    view_string::Selection,
};

/// Draws the other side of a comparison; for the window and for pictures, not for the other side itself.
pub struct ComparisonPlugin;

impl Plugin for ComparisonPlugin {
    fn build(&self, app: &mut App) {
        app.add_plugins(OtherPassPlugin).init_resource::<OtherSeen>();
        app.add_systems(Update, draw_other.after(SceneSet::Scene));
    }

    fn finish(&self, app: &mut App) {
        let instance = app.get_sub_app(RenderApp).and_then(|app| app.world().get_resource::<RenderInstance>().cloned());
        if let Some(instance) = instance {
            app.insert_resource(Instance(instance));
        }
    }
}

/// The driver's instance, which Bevy keeps in the renderer alone.
#[derive(Resource)]
struct Instance(RenderInstance);

/// What the mouse and the panels see of the other side.
#[derive(Resource, Default)]
pub struct OtherSeen {
    /// Its tiles.
    pub tiles: Vec<(TileKey, Arc<PickTile>)>,
    /// What is cut away there.
    pub cuts: Cuts,
    /// How it is drawn.
    pub drawing: Drawing,
    /// Its classes.
    pub colours: Option<Arc<Colours>>,
    /// There is something to be seen of it; until then this side fills the picture.
    pub is_drawn: bool,
}

/// The second world.
pub struct OtherSide {
    app: App,
    city: Arc<CityModel>,
    /// The look that it shows.
    shown: String,
    look: SceneOptions,
    /// Two targets by turns: while this side's renderer reads one, the next frame is drawn into the other.
    turn: u32,
    size: UVec2,
    /// Memory for tiles that it took from this side, bytes.
    lent: usize,
    /// Its first picture has been drawn.
    is_drawn: bool,
    /// What was said to be wrong with it.
    told: Option<String>,
    /// The picked object.
    picked: Option<String>,
}

impl OtherSide {
    fn open(world: &mut World) -> Option<Self> {
        let instance = world.get_resource::<Instance>()?.0.clone();
        let creation = RenderCreation::manual(
            world.get_resource::<RenderDevice>()?.clone(),
            world.get_resource::<RenderQueue>()?.clone(),
            world.get_resource::<RenderAdapterInfo>()?.clone(),
            world.get_resource::<RenderAdapter>()?.clone(),
            instance,
        );
        let compared = world.resource::<Compared>().clone();
        let (city, look) = (Arc::clone(&world.resource::<CityScene>().0), compared.look());
        let pose = world.resource::<Viewed>().pose;
        let mut streaming = world.resource_mut::<Streaming>();
        let lent = if streaming.is_single_picture { 0 } else { streaming.budget / 2 };
        streaming.budget -= lent;
        let budget = if streaming.is_single_picture { streaming.budget } else { lent };
        let others = Streaming::start(budget, streaming.max_error_px, streaming.is_single_picture, 2);
        let mut app = headless_app(creation);
        insert_state(&mut app, Arc::clone(&city), pose, &look);
        app.insert_resource(Below(look.is_below));
        app.insert_resource(ShownLayers(shown_layers(&city, &look.layers)));
        app.insert_resource(OverlayState::new(&city, &look));
        app.insert_resource(others);
        app.add_plugins(SelectionPlugin);
        app.insert_resource(DirectionalLightShadowMap { size: world.resource::<DirectionalLightShadowMap>().size });
        app.world_mut().spawn(camera_bundle(Some(RenderTarget::TextureView(ManualTextureViewHandle(0)))));
        app.init_resource::<ManualTextureViews>();
        app.finish();
        app.cleanup();
        let shown = compared.other;
        Some(Self {
            app,
            city,
            shown,
            look,
            turn: 0,
            size: UVec2::ZERO,
            lent,
            is_drawn: false,
            told: None,
            picked: None,
        })
    }

    /// Targets for pictures of `size` pixels.
    fn fit(&mut self, size: UVec2, device: &RenderDevice) {
        if self.size == size {
            return;
        }
        self.size = size;
        let mut views = self.app.world_mut().resource_mut::<ManualTextureViews>();
        for number in 0..2 {
            let texture = device.create_texture(&TextureDescriptor {
                label: Some("other_side"),
                size: Extent3d { width: size.x, height: size.y, depth_or_array_layers: 1 },
                mip_level_count: 1,
                sample_count: 1,
                dimension: TextureDimension::D2,
                format: TextureFormat::Rgba8UnormSrgb,
                usage: TextureUsages::RENDER_ATTACHMENT | TextureUsages::TEXTURE_BINDING,
                view_formats: &[],
            });
            let view = ManualTextureView::with_default_format(texture.create_view(&default()), size);
            views.insert(ManualTextureViewHandle(number), view);
        }
    }

    /// Puts up what this side says: the camera, the hour, the look.
    fn follow(&mut self, world: &mut World, compared: &Compared, is_active: bool) {
        let other = self.app.world_mut();
        if self.shown != compared.other {
            self.shown.clone_from(&compared.other);
            self.picked = None;
            self.look = compared.look();
            let look = self.look.clone();
            if let Err(error) = other.run_system_once(move |mut showing: Showing| showing.apply_all_but_camera(&look)) {
                tracing::error!("the other side keeps its look: {error}");
            }
        }
        let state = world.resource::<OverlayState>();
        let picked = state.picked.as_ref().map(|picked| Selection { id: picked.id.clone(), place: Some(picked.place) });
        if self.picked != picked.as_ref().map(|picked| picked.id.clone()) {
            self.picked = picked.as_ref().map(|picked| picked.id.clone());
            let mut state = other.resource_mut::<OverlayState>();
            (state.picked, state.to_pick) = (None, picked);
        }
        other.insert_resource(Compared { side: Side::Other, ..compared.clone() });
        other.insert_resource(*world.resource::<Viewed>());
        let origin = *world.resource::<Origin>();
        if other.resource::<Origin>().0 != origin.0 {
            other.insert_resource(origin);
        }
        if self.look.at.is_none() {
            other.insert_resource(*world.resource::<Clock>());
        }
        if self.look.relief.is_none() {
            other.insert_resource(*world.resource::<Relief>());
        }
        other.insert_resource(PixelScale(world.resource::<PixelScale>().0));
        other.resource_mut::<Streaming>().max_error_px = world.resource::<Streaming>().max_error_px;
        // The waves of both sides are one sea.
        let delta = world.get_resource::<Time<Real>>().map_or(Duration::ZERO, |time| time.delta());
        other.insert_resource(TimeUpdateStrategy::ManualDuration(delta));
        let before = world.resource::<Time<Virtual>>();
        let until = before.elapsed().saturating_sub(before.delta());
        let mut clock = other.resource_mut::<Time<Virtual>>();
        if clock.elapsed() < until {
            clock.advance_to(until);
        }
        self.turn = (self.turn + 1) % 2;
        let target = RenderTarget::TextureView(ManualTextureViewHandle(self.turn));
        let mut cameras = other.query_filtered::<(&mut Camera, &mut RenderTarget), With<CityCamera>>();
        for (mut camera, mut into) in cameras.iter_mut(other) {
            camera.is_active = is_active;
            *into = target.clone();
        }
    }

    /// What this side needs of it.
    fn tell(&mut self, world: &mut World, compared: &Compared) {
        let is_complete = self.app.world().resource::<Streaming>().is_complete;
        self.is_drawn |= is_complete && pending_pipelines(&self.app).is_ok_and(|pending| pending == 0);
        let other = self.app.world();
        let streaming = other.resource::<Streaming>();
        let drawing = Drawing { style: *other.resource::<Style>(), is_below: other.resource::<Below>().0 };
        let seen = OtherSeen {
            tiles: streaming.shown_picks().map(|(key, tile)| (key, Arc::clone(tile))).collect(),
            cuts: streaming.cuts.clone(),
            drawing,
            colours: other.resource::<Colouring>().colours().cloned(),
            is_drawn: self.is_drawn,
        };
        let is_fading = streaming.fades.is_any();
        let trouble = match &other.resource::<Colouring>().state {
            State::Failed(reason) => Some(reason.clone()),
            _ => None,
        };
        let is_ready = self.is_ready().unwrap_or(true);
        let views = other.resource::<ManualTextureViews>();
        let view = views.get(&ManualTextureViewHandle(self.turn)).map(|view| view.texture_view.clone());
        let shown = compared.pane(Side::Other, self.size).shown;
        world.insert_resource(OtherPicture(
            view.filter(|_| self.is_drawn && !shown.is_empty()).map(|view| (view, shown)),
        ));
        world.insert_resource(seen);
        if self.told != trouble {
            self.told.clone_from(&trouble);
            if let (Some(reason), Some(mut desk)) = (trouble, world.get_resource_mut::<Desk>()) {
                desk.tell(reason);
            }
        }
        if is_fading || !is_ready {
            world.write_message(RequestRedraw);
        }
    }

    /// Whether its picture is whole; an error where it cannot become so.
    pub fn is_ready(&self) -> Result<bool, ViewError> {
        Ok(is_settled(&self.app)? && pending_pipelines(&self.app)? == 0)
    }

    /// Tiles, triangles and points that it shows.
    pub fn counts(&self) -> (usize, usize, usize) {
        let streaming = self.app.world().resource::<Streaming>();
        (streaming.shown.len(), streaming.shown_triangles, streaming.shown_points)
    }

    /// Why tiles of it cannot be read.
    pub fn damaged(&self) -> Vec<String> {
        self.app.world().resource::<Streaming>().damaged()
    }
}

/// Draws the other side of this frame, where there is one.
fn draw_other(world: &mut World) {
    let compared = world.resource::<Compared>().clone();
    let mut cameras = world.query_filtered::<&Camera, With<CityCamera>>();
    let camera = cameras.iter(world).next().map(|camera| (camera.physical_target_size(), camera.is_active));
    let mut before = world.remove_non_send::<OtherSide>();
    // A new version of the city: all of it anew.
    let is_same = |other: &OtherSide| Arc::ptr_eq(&other.city, &world.resource::<CityScene>().0);
    let is_over = compared.manner.is_none() || before.as_ref().is_some_and(|other| !is_same(other));
    if is_over && let Some(other) = before.take() {
        world.resource_mut::<Streaming>().budget += other.lent;
        world.insert_resource(OtherPicture(None));
        world.insert_resource(OtherSeen::default());
    }
    let Some((Some(size), is_active)) = camera.filter(|_| compared.manner.is_some()) else { return };
    if size.x == 0 || size.y == 0 {
        before.into_iter().for_each(|other| world.insert_non_send(other));
        return;
    }
    let Some(mut other) = before.or_else(|| OtherSide::open(world)) else { return };
    let device = world.resource::<RenderDevice>().clone();
    other.fit(size, &device);
    other.follow(world, &compared, is_active);
    other.app.update();
    other.tell(world, &compared);
    world.insert_non_send(other);
}
