//! Hours of direct sun at a place (日照时数): rays to the sun against what the finest tiles around it hold, in view or not.
//!
//! Altitude and azimuth are those of [`crate::sun`], without refraction, the sun a point; directions are turned from true to grid north
//! at the place. Trees, furniture and pipes throw no shadow here, as sunlight studies have it; the ground does where it is asked for.

use std::sync::{
    Arc, Mutex, PoisonError,
    mpsc::{Receiver, TryRecvError, sync_channel},
};

use bevy::{prelude::*, window::RequestRedraw};
use glam::{DVec2, DVec3};
use groundline_engine::{
    crs::Frame,
    model::Extent,
    query::cast::{Caster, CasterBuilder, Ray},
    tile::Refine,
};

use crate::{
    city::{CityModel, LayerModel},
    content::{DrawMesh, NO_FEATURE, TileMeshes},
    loader::SiftOf,
    material::Kind,
    origin::city_from_axes,
    scene::{CityScene, Clock},
    stream::{ShownLayers, Streaming},
    sun::{Moment, rise_and_set, sun_position},
    tile_content::{ContentAt, Got},
};

/// What stands farther away in plan throws no shadow here, metres: at 10° of altitude, 176 m are as tall as that needs.
pub const RADIUS_M: f64 = 1000.0;
/// Minutes between two rays.
const STEP_MIN: f64 = 2.0;
/// How exactly the beginning and end of a stretch are known, hours.
const EDGE_H: f64 = 1.0 / 900.0;
/// Memory for what throws shadows, bytes.
const MEMORY: u64 = 1 << 30;

/// What throws shadows around a place.
pub struct Obstacles {
    caster: Caster,
    /// Objects.
    pub objects: usize,
    /// Longitude and latitude of the place, degrees.
    pub lon_lat: DVec2,
    /// Bearing of grid north from true north there, clockwise, degrees.
    grid_north_deg: f64,
}

/// What is asked for.
#[derive(Clone)]
struct Asked {
    place: DVec3,
    has_ground: bool,
    shown: Vec<bool>,
    sifts: Vec<SiftOf>,
    version: u64,
}

impl PartialEq for Asked {
    fn eq(&self, other: &Self) -> bool {
        let alike = |(a, b): (&SiftOf, &SiftOf)| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        let is_sifted_alike = self.sifts.len() == other.sifts.len() && self.sifts.iter().zip(&other.sifts).all(alike);
        (self.place, self.has_ground, self.version) == (other.place, other.has_ground, other.version)
            && self.shown == other.shown
            && is_sifted_alike
    }
}

/// Whether triangles of this kind, of an object of this class, throw shadows that are counted.
fn counts(kind: Kind, class: &str) -> bool {
    const NEVER: [&str; 14] = [
        "tree",
        "lamp",
        "furniture",
        "space",
        "sensor",
        "greenery",
        "land_use",
        "road",
        "railway",
        "water",
        "pipe",
        "manhole",
        "pipe_node",
        "point_cloud",
    ];
    match kind {
        Kind::Facade | Kind::Roof | Kind::Other | Kind::Structure => !NEVER.contains(&class),
        Kind::Road => class == "bridge",
        Kind::Terrain => true,
        _ => false,
    }
}

impl Obstacles {
    /// Reads the finest tiles around the place.
    fn read(city: &CityModel, asked: &Asked) -> Result<Self, String> {
        let (lon_lat, grid_north_deg) = geographic(city, asked.place);
        let mut builder = CasterBuilder::with_limit(MEMORY);
        let mut objects = 0;
        for (index, layer) in city.layers.iter().enumerate() {
            let sift = asked.sifts.get(index).cloned().flatten();
            let is_gone = sift.as_ref().is_some_and(|sift| sift.is_hidden);
            let is_shown = asked.shown.get(index).copied().unwrap_or(true) && !is_gone;
            if !is_shown || layer.is_below_ground() || (layer.is_ground() && !asked.has_ground) {
                continue;
            }
            for (content, origin) in tiles_near(layer, asked.place) {
                // Of a tileset of others, what was looked at so far throws shadows.
                let Got::Drawn(mut tile, own) = content.read()? else { continue };
                if let Some(sift) = &sift {
                    sift.apply(&mut tile);
                }
                objects += add(&mut builder, &tile, own.unwrap_or(origin), layer.main_class())?;
            }
        }
        Ok(Self { caster: builder.build(), objects, lon_lat, grid_north_deg })
    }

    /// Whether something stands between a place and the sun at a moment.
    fn is_shaded(&self, place: DVec3, moment: &Moment) -> bool {
        let mut sun = sun_position(moment, self.lon_lat.x, self.lon_lat.y);
        sun.azimuth_deg -= self.grid_north_deg;
        let ray = Ray { origin: place, direction: sun.direction_in_city(), max_m: RADIUS_M * 1.5 };
        self.caster.is_occluded(&ray)
    }
}

/// Longitude, latitude and the bearing of grid north at a place; those of the city's middle where it lies nowhere on the Earth.
fn geographic(city: &CityModel, place: DVec3) -> (DVec2, f64) {
    let frame = city.with_store(|store| Ok(Frame::new(store.crs().clone()))).ok().and_then(Result::ok);
    let told = frame.map(|frame| {
        let [here, north] =
            [DVec3::ZERO, DVec3::Y * 100.0].map(|off| frame.geographic_from_city(place + off).truncate());
        let towards = (north - here) * DVec2::new(here.y.to_radians().cos(), 1.0);
        (here, towards.x.atan2(towards.y).to_degrees())
    });
    told.filter(|(here, turn)| here.is_finite() && turn.is_finite()).unwrap_or((city.lon_lat, 0.0))
}

/// The finest tiles of a layer around a place: content and origin.
fn tiles_near(layer: &LayerModel, place: DVec3) -> Vec<(ContentAt, DVec3)> {
    let is_near = |extent: &Extent| {
        let nearest = place.clamp(extent.min, extent.max);
        !extent.is_empty() && (nearest - place).truncate().length() <= RADIUS_M
    };
    let tree = layer.tree.now();
    let tiles = tree.tiles().iter();
    let finest = tiles.filter(|tile| (tile.children.is_empty() || tile.refine == Refine::Add) && is_near(&tile.extent));
    finest.filter_map(|tile| Some((layer.content(tile.content.as_ref()?), tile.origin?))).collect()
}

/// Adds what of a tile throws shadows; gives how many objects that were.
fn add(builder: &mut CasterBuilder, tile: &TileMeshes, origin: DVec3, class: &str) -> Result<usize, String> {
    let mut rows: Vec<u32> = Vec::new();
    for mesh in &tile.meshes {
        let name = tile.materials.get(mesh.material).map_or("", |material| material.name.as_str());
        let kind = Kind::of(name, class);
        let class_of = |feature: u32| tile.features.classes.get(feature as usize).map_or(class, String::as_str);
        let mut triangles = Vec::new();
        for corners in mesh.indices.chunks_exact(3) {
            let feature = mesh.features.get(corners[0] as usize).copied().unwrap_or(NO_FEATURE);
            if counts(kind, class_of(feature)) {
                triangles.push([0, 1, 2].map(|k| origin + corner(mesh, corners[k])));
                if rows.last() != Some(&feature) {
                    rows.push(feature);
                }
            }
        }
        builder.add_triangles(&triangles, 0).map_err(|error| error.to_string())?;
    }
    rows.sort_unstable();
    rows.dedup();
    Ok(rows.iter().filter(|row| **row != NO_FEATURE).count())
}

fn corner(mesh: &DrawMesh, vertex: u32) -> DVec3 {
    let place = mesh.positions.get(vertex as usize).copied().unwrap_or_default();
    city_from_axes(Vec3::from(place).as_dvec3())
}

/// The sun of one day at a place; hours on the clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LitDay {
    /// When the sun rises and sets on a level horizon.
    pub day: (f64, f64),
    /// When the place is lit, from and to.
    pub lit: Vec<(f64, f64)>,
}

impl LitDay {
    /// The day of `moment` where `is_lit` says whether the sun shines at an hour; `None` where it does not rise and set.
    pub fn of(day: (f64, f64), is_lit: impl Fn(f64) -> bool) -> Self {
        let steps = ((day.1 - day.0) * 60.0 / STEP_MIN).ceil().max(1.0) as usize;
        let hour = |step: usize| day.0 + (day.1 - day.0) * step as f64 / steps as f64;
        let edge = |mut before: f64, mut after: f64, was_lit: bool| {
            while after - before > EDGE_H {
                let middle = (before + after) * 0.5;
                if is_lit(middle) == was_lit { before = middle } else { after = middle }
            }
            (before + after) * 0.5
        };
        let mut lit: Vec<(f64, f64)> = Vec::new();
        let mut begin = is_lit(day.0).then_some(day.0);
        for step in 1..=steps {
            match (begin, is_lit(hour(step))) {
                (None, true) => begin = Some(edge(hour(step - 1), hour(step), false)),
                (Some(from), false) => {
                    lit.push((from, edge(hour(step - 1), hour(step), true)));
                    begin = None;
                }
                _ => {}
            }
        }
        lit.extend(begin.map(|from| (from, day.1)));
        Self { day, lit }
    }

    /// Hours of sun between two hours.
    pub fn within(&self, from: f64, to: f64) -> f64 {
        self.lit.iter().map(|(begin, end)| (end.min(to) - begin.max(from)).max(0.0)).sum()
    }

    /// Hours of sun.
    pub fn total(&self) -> f64 {
        self.within(f64::NEG_INFINITY, f64::INFINITY)
    }

    /// Hours of the longest stretch.
    pub fn longest(&self) -> f64 {
        self.lit.iter().map(|(from, to)| to - from).fold(0.0, f64::max)
    }
}

type Answer = Mutex<Receiver<Result<Obstacles, String>>>;

/// What is known of a place.
#[derive(Default)]
pub enum State {
    /// Nothing yet.
    #[default]
    None,
    /// What stands around it.
    Ready(Arc<Obstacles>),
    /// Why nothing is known.
    Failed(String),
}

/// The study of sun and shadow.
#[derive(Resource, Default)]
pub struct SunStudy {
    /// The panel is open.
    pub is_open: bool,
    /// The day runs.
    pub is_playing: bool,
    /// The place whose hours of sun are told, in the city's frame.
    pub place: Option<DVec3>,
    /// The ground throws shadows too.
    pub has_ground: bool,
    /// What is known of it; while something else is being read, what was known before.
    pub state: State,
    known_for: Option<Asked>,
    waiting: Option<(Asked, Answer)>,
    /// The day that was asked for last, and its sun; none where the sun does not rise and set.
    pub day: Option<((i32, u32, u32), Option<LitDay>)>,
}

impl SunStudy {
    /// The study of a place.
    pub fn at(place: Option<DVec3>) -> Self {
        Self { place, ..Self::default() }
    }

    /// Whether nothing is on its way.
    pub fn is_settled(&self) -> bool {
        let is_told = self.day.is_some() || matches!(self.state, State::Failed(_));
        self.waiting.is_none() && (self.place.is_none() || is_told)
    }

    /// Takes what was read, when it has come.
    fn learn(&mut self) {
        let Some((asked, answer)) = &mut self.waiting else { return };
        let answer = match answer.get_mut().unwrap_or_else(PoisonError::into_inner).try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => Err("the tiles could not be read".to_owned()),
        };
        self.known_for = Some(asked.clone());
        (self.waiting, self.day) = (None, None);
        self.state = answer.map_or_else(State::Failed, |obstacles| State::Ready(Arc::new(obstacles)));
    }

    /// Begins to read what stands around a place; one at a time.
    fn ask(&mut self, city: &Arc<CityModel>, asked: Asked) {
        if self.waiting.is_some() || self.known_for.as_ref() == Some(&asked) {
            return;
        }
        if self.known_for.as_ref().is_none_or(|known| known.place != asked.place) {
            (self.state, self.day) = (State::None, None);
        }
        let (sender, receiver) = sync_channel(1);
        let (city, told) = (Arc::clone(city), asked.clone());
        let spawned = std::thread::Builder::new().name("sun".into()).spawn(move || {
            // Nobody waits any more when the window was closed.
            let _ = sender.send(Obstacles::read(&city, &told));
        });
        match spawned {
            Ok(_) => self.waiting = Some((asked, Mutex::new(receiver))),
            Err(error) => (self.state, self.known_for) = (State::Failed(error.to_string()), Some(asked)),
        }
    }
}

/// Reads what stands around the place when it or what is shown has changed, and casts the rays of the day.
pub fn study_sun(
    mut study: ResMut<SunStudy>,
    (city, clock, shown): (Res<CityScene>, Res<Clock>, Res<ShownLayers>),
    streaming: Res<Streaming>,
    mut redraw: MessageWriter<RequestRedraw>,
) {
    let study = study.bypass_change_detection();
    let Some(place) = study.place else {
        (study.state, study.known_for, study.waiting, study.day) = (State::None, None, None, None);
        return;
    };
    let (has_ground, version) = (study.has_ground, city.0.version);
    study.learn();
    study.ask(&city.0, Asked { place, has_ground, shown: shown.0.clone(), sifts: streaming.sifts.clone(), version });
    if study.waiting.is_some() {
        redraw.write(RequestRedraw);
    }
    let State::Ready(obstacles) = &study.state else { return };
    let moment = clock.moment;
    let date = (moment.year, moment.month, moment.day);
    if study.day.as_ref().is_none_or(|(known, _)| *known != date) {
        let is_lit = |hour: f64| !obstacles.is_shaded(place, &Moment { hour, ..moment });
        let day = rise_and_set(&moment, obstacles.lon_lat.x, obstacles.lon_lat.y);
        study.day = Some((date, day.map(|day| LitDay::of(day, is_lit))));
        redraw.write(RequestRedraw);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_begin_and_end_where_the_sun_does() {
        let day = LitDay::of((7.0, 17.0), |hour| (8.21..9.5).contains(&hour) || hour > 11.0);
        assert_eq!(day.lit.len(), 2);
        assert!((day.lit[0].0 - 8.21).abs() < 0.002 && (day.lit[0].1 - 9.5).abs() < 0.002, "{:?}", day.lit);
        assert!((day.total() - 7.29).abs() < 0.005 && (day.longest() - 6.0).abs() < 0.005);
        assert!((day.within(9.0, 12.0) - 1.5).abs() < 0.005);
        let dark = LitDay::of((7.0, 17.0), |_| false);
        assert_eq!((dark.total(), dark.longest()), (0.0, 0.0));
        assert_eq!(LitDay::of((7.0, 17.0), |_| true).lit, [(7.0, 17.0)]);
    }

    #[test]
    fn a_wall_in_the_south_takes_the_noon() {
        let mut builder = CasterBuilder::new();
        // 20 m wide and 30 m high, 20 m to the south of the place.
        let corner = |x: f64, z: f64| DVec3::new(534_000.0 + x, 3_992_000.0 - 20.0, z);
        let (a, b, c, d) = (corner(-10.0, 0.0), corner(10.0, 0.0), corner(10.0, 30.0), corner(-10.0, 30.0));
        builder.add_triangles(&[[a, b, c], [a, c, d]], 0).expect("a wall");
        let lon_lat = DVec2::new(120.38, 36.07);
        let obstacles = Obstacles { caster: builder.build(), objects: 1, lon_lat, grid_north_deg: 0.0 };
        let place = DVec3::new(534_000.0, 3_992_000.0, 0.9);
        let moment = Moment { month: 1, day: 20, ..Moment::default() };
        let day = rise_and_set(&moment, lon_lat.x, lon_lat.y).expect("the sun rises");
        let lit = LitDay::of(day, |hour| !obstacles.is_shaded(place, &Moment { hour, ..moment }));
        assert_eq!(lit.lit.len(), 2, "{:?}", lit.lit);
        // It hides the sun while its azimuth is within atan(10 / 20) of south.
        let hidden = (lit.lit[0].1, lit.lit[1].0);
        let azimuth = |hour| sun_position(&Moment { hour, ..moment }, lon_lat.x, lon_lat.y).azimuth_deg;
        assert!(
            (azimuth(hidden.0) - (180.0 - 26.565)).abs() < 0.1 && (azimuth(hidden.1) - (180.0 + 26.565)).abs() < 0.1
        );
        assert!(
            counts(Kind::Facade, "building") && counts(Kind::Road, "bridge") && counts(Kind::Other, "building_element")
        );
        assert!(!counts(Kind::Tree, "tree") && !counts(Kind::Room, "space") && !counts(Kind::Road, "road"));
    }
}
