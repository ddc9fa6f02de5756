//! Colour by attribute (按属性着色): every object in the colour of the class that its value is in.
//!
//! The values come from the store (`engine::query::Column`), read on a thread of its own and kept while the attribute is shown.
//! A tile that is loaded gets a second mesh with the colours of its objects, made of what the mouse sees of it, so that another
//! attribute needs no tile to be read again.

use std::sync::{
    Arc, Mutex, PoisonError,
    mpsc::{Receiver, TryRecvError, sync_channel},
};

use bevy::{prelude::*, window::RequestRedraw};
use groundline_engine::query::Column;

use crate::{
    city::CityModel,
    classes::Classes,
    content::{DrawMesh, Features, NO_FEATURE, smooth_normals},
    field::{self, Asked, Field},
    mesh::gpu_mesh,
    pick::{PickMesh, PickTile},
    ramp::{NO_VALUE, NOT_ASKED, linear},
    scene::CityScene,
    stream::Streaming,
    tile_part::TilePart,
};

/// Triangles coloured in one frame while a person is watching.
const TRIANGLES_A_FRAME: usize = 300_000;
/// Alpha by which the shader knows the colour of a class.
const CLASSED: f32 = 2.0;

/// Values, classes and where they hold.
pub struct Colours {
    /// What was asked for, and of which layers.
    pub asked: Asked,
    /// The classes.
    pub classes: Classes,
    /// The value of each object.
    pub column: Column,
}

/// An answer of the store.
type Answer<T> = Mutex<Receiver<Result<T, String>>>;

/// How far the colours are.
#[derive(Default)]
pub enum State {
    /// Nothing is coloured.
    #[default]
    Off,
    /// The store is being read.
    Reading(Answer<Colours>),
    /// Known.
    Ready(Arc<Colours>),
    /// Why there are none.
    Failed(String),
}

/// The attribute that objects are coloured by.
#[derive(Resource, Default)]
pub struct Colouring {
    /// The attribute as it was asked for; see [`field::ask`].
    wanted: Option<String>,
    /// How far the colours are.
    pub state: State,
    /// Counts the changes of what tiles must show.
    generation: u64,
    /// Every tile in memory shows it.
    is_applied: bool,
    /// The list of attributes is open (window).
    pub is_open: bool,
    /// Attributes to choose from, once they have been asked for.
    fields: Option<Answer<Vec<Field>>>,
    /// The same when they have come.
    pub choices: Vec<Field>,
}

/// Marks an entity whose mesh has the colours of a generation.
#[derive(Component)]
pub struct Coloured {
    /// As the tile has it.
    plain: Handle<Mesh>,
    generation: u64,
}

impl Colouring {
    /// Colours by `wanted` from the beginning.
    pub fn new(wanted: Option<String>) -> Self {
        Self { wanted, generation: 1, ..Self::default() }
    }

    /// The attribute as it was asked for.
    pub fn wanted(&self) -> Option<&str> {
        self.wanted.as_deref()
    }

    /// Colours by something else from the next frame on.
    pub fn ask(&mut self, wanted: Option<String>) {
        if self.wanted != wanted {
            (self.wanted, self.state, self.is_applied) = (wanted, State::Off, false);
            self.generation += 1;
        }
    }

    /// Asks anew: the city is another version.
    pub fn renew(&mut self) {
        (self.state, self.is_applied, self.fields) = (State::Off, false, None);
        self.generation += 1;
    }

    /// The colours, when they are known.
    pub fn colours(&self) -> Option<&Arc<Colours>> {
        match &self.state {
            State::Ready(colours) => Some(colours),
            _ => None,
        }
    }

    /// Whether nothing is on its way.
    pub fn is_settled(&self) -> bool {
        let is_begun = self.wanted.is_none() || !matches!(self.state, State::Off);
        is_begun && self.is_applied && !matches!(self.state, State::Reading(_))
    }

    /// Asks for the attributes of the city's layers, once.
    pub fn list_fields(&mut self, city: &Arc<CityModel>) {
        if self.fields.is_none() {
            let city = Arc::clone(city);
            self.fields = Some(in_background("fields", move || city.fields().map_err(|error| error.to_string())));
        }
        if let Some(Ok(choices)) = self.fields.as_mut().and_then(take) {
            self.choices = choices;
        }
    }
}

/// Does `work` on a thread of its own.
fn in_background<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Answer<T> {
    let (sender, receiver) = sync_channel(1);
    let spawned = std::thread::Builder::new().name(name.into()).spawn(move || {
        // Nobody waits any more when something else was asked for meanwhile.
        let _ = sender.send(work());
    });
    if let Err(error) = spawned {
        tracing::error!("no thread for the attributes: {error}");
    }
    Mutex::new(receiver)
}

/// The answer if it has come.
fn take<T>(answer: &mut Answer<T>) -> Option<Result<T, String>> {
    match answer.get_mut().unwrap_or_else(PoisonError::into_inner).try_recv() {
        Ok(answer) => Some(answer),
        Err(TryRecvError::Empty) => None,
        Err(TryRecvError::Disconnected) => Some(Err("the store could not be read".into())),
    }
}

/// Reads what is asked for.
fn read(city: &CityModel, wanted: &str) -> Result<Colours, String> {
    let (asked, column) = field::ask(city, wanted)?;
    let classes = Classes::new(&column.values, asked.manner);
    Ok(Colours { asked, classes, column })
}

/// Begins to read the attribute that is wanted, and takes it when it has come.
pub fn read_colours(mut colouring: ResMut<Colouring>, city: Res<CityScene>, mut redraw: MessageWriter<RequestRedraw>) {
    if colouring.is_settled() {
        return;
    }
    let colouring = &mut *colouring;
    match (&mut colouring.state, &colouring.wanted) {
        (State::Off, Some(wanted)) => {
            let (city, wanted) = (Arc::clone(&city.0), wanted.clone());
            colouring.state = State::Reading(in_background("colours", move || read(&city, &wanted)));
        }
        (State::Reading(answer), _) => {
            if let Some(answer) = take(answer) {
                colouring.state = answer.map_or_else(State::Failed, |colours| State::Ready(Arc::new(colours)));
                colouring.generation += 1;
            }
        }
        _ => {}
    }
    redraw.write(RequestRedraw);
}

/// Gives the tiles in memory the colours of their objects, some a frame while a person is watching.
pub fn colour_tiles(
    mut colouring: ResMut<Colouring>,
    mut streaming: ResMut<Streaming>,
    mut meshes: ResMut<Assets<Mesh>>,
    mut commands: Commands,
    mut parts: Query<(Entity, &TilePart, &mut Mesh3d, Option<&Coloured>)>,
) {
    let (colours, generation) = (colouring.colours().cloned(), colouring.generation);
    let limit = if streaming.is_single_picture { usize::MAX } else { TRIANGLES_A_FRAME };
    let (mut done, mut is_applied) = (0, true);
    for (entity, part, mut drawn, coloured) in &mut parts {
        if coloured.is_some_and(|coloured| coloured.generation == generation)
            || (colours.is_none() && coloured.is_none())
        {
            continue;
        }
        if done > limit {
            is_applied = false;
            break;
        }
        let plain = coloured.map_or_else(|| drawn.0.clone(), |coloured| coloured.plain.clone());
        let bytes_before = if drawn.0 == plain { 0 } else { mesh_bytes(&streaming, part) };
        let wanted = colours.as_deref().and_then(|colours| {
            let pick = streaming.pick_of(part.key)?;
            coloured_mesh(pick, part, colours)
        });
        let bytes_after = if wanted.is_some() { mesh_bytes(&streaming, part) } else { 0 };
        done += bytes_after / TRIANGLE_BYTES;
        let mesh = wanted.map_or_else(|| plain.clone(), |mesh| meshes.add(mesh));
        if drawn.0 != mesh {
            drawn.0 = mesh;
        }
        streaming.recount(part.key, bytes_before, bytes_after);
        match &colours {
            Some(_) => commands.entity(entity).insert(Coloured { plain, generation }),
            None => commands.entity(entity).remove::<Coloured>(),
        };
    }
    colouring.bypass_change_detection().is_applied = is_applied;
}

/// About what a triangle takes with its vertices.
const TRIANGLE_BYTES: usize = 120;

fn mesh_bytes(streaming: &Streaming, part: &TilePart) -> usize {
    let mesh = streaming.pick_of(part.key).and_then(|pick| pick.meshes.get(part.mesh));
    mesh.map_or(0, |mesh| mesh.positions().len() * 52 + mesh.indices().len() * 4)
}

/// The mesh of a part in the colours of its objects; `None` where it is not coloured.
fn coloured_mesh(tile: &PickTile, part: &TilePart, colours: &Colours) -> Option<Mesh> {
    if !colours.asked.layers.contains(&part.key.layer) {
        return None;
    }
    let mesh = tile.meshes.get(part.mesh)?;
    let vertices = vertex_colours(mesh, &tile.features, colours)?;
    let positions = mesh.positions().to_vec();
    Some(gpu_mesh(&DrawMesh {
        normals: smooth_normals(&positions, mesh.indices()),
        uvs: vec![[0.0; 2]; positions.len()],
        colours: vertices,
        indices: mesh.indices().to_vec(),
        positions,
        ..DrawMesh::default()
    }))
}

/// The colour of each vertex's object; `None` when no vertex belongs to one.
fn vertex_colours(mesh: &PickMesh, features: &Features, colours: &Colours) -> Option<Vec<[f32; 4]>> {
    let paint = |rgb: [u8; 3]| {
        let [r, g, b] = linear(rgb);
        [r, g, b, CLASSED]
    };
    let (without, quiet) = (paint(NO_VALUE), paint(NOT_ASKED));
    let ids = &features.ids;
    let palette: Vec<[f32; 4]> = colours.classes.rows.iter().map(|row| paint(row.rgb)).collect();
    // Objects have many vertices, mostly one after the other.
    let mut last = (NO_FEATURE, without);
    let mut has_objects = false;
    let out = mesh.features().iter().map(|&feature| {
        if feature != last.0 {
            let cell = ids.get(feature as usize).and_then(|id| colours.column.cell(id));
            let class = cell.and_then(|cell| colours.classes.of(cell.value));
            let word = features.classes.get(feature as usize);
            let is_asked = word.is_none_or(|word| colours.column.classes.contains(word));
            let colour = class.and_then(|class| palette.get(class)).copied();
            last = (feature, colour.unwrap_or(if is_asked { without } else { quiet }));
        }
        has_objects |= (feature as usize) < ids.len();
        last.1
    });
    let out: Vec<[f32; 4]> = out.collect();
    (has_objects && out.len() == mesh.positions().len()).then_some(out)
}

#[cfg(test)]
mod tests {
    use groundline_engine::tile::Ground;

    use super::*;
    use crate::{classes::Manner, content::TileMeshes, material::Kind};

    /// A tile with one mesh of two triangles, the first of object 0, the second of `second`.
    fn tile(second: u32) -> PickTile {
        let mesh = DrawMesh {
            positions: (0..6).map(|k| [k as f32, (k * k) as f32, 0.0]).collect(),
            features: vec![0, 0, 0, second, second, second],
            indices: (0..6).collect(),
            ..DrawMesh::default()
        };
        let features = Features { ids: vec!["a/0".into()], ..Features::default() };
        let mut tile = TileMeshes { meshes: vec![mesh], features, ..TileMeshes::default() };
        PickTile::new(glam::DVec3::ZERO, &mut tile, &[Kind::Facade])
    }

    #[test]
    fn what_has_no_value_is_grey_and_what_is_no_object_stays_as_it_is() {
        let asked = Asked { keys: vec!["x".into()], layers: vec![0], classes: vec![], manner: Manner::Plain };
        let colours = Colours { asked, classes: Classes::default(), column: Column::default() };
        let [r, g, b] = linear(NO_VALUE);
        let tile_of_one = tile(NO_FEATURE);
        let painted = vertex_colours(&tile_of_one.meshes[0], &tile_of_one.features, &colours).unwrap();
        assert_eq!((painted.len(), painted[0]), (6, [r, g, b, CLASSED]));
        assert!(
            vertex_colours(&tile_of_one.meshes[0], &Features::default(), &colours).is_none(),
            "terrain has no objects"
        );
        let key = |layer| crate::stream::TileKey { layer, tile: groundline_engine::tile::TileId(0) };
        assert!(coloured_mesh(&tile_of_one, &TilePart { key: key(0), mesh: 0 }, &colours).is_some());
        assert!(coloured_mesh(&tile_of_one, &TilePart { key: key(1), mesh: 0 }, &colours).is_none(), "another layer");
        assert!(coloured_mesh(&tile_of_one, &TilePart { key: key(0), mesh: 7 }, &colours).is_none());
    }

    #[test]
    fn nothing_settles_before_the_store_has_answered() {
        let mut colouring = Colouring::new(Some("height".into()));
        colouring.is_applied = true;
        assert!(!colouring.is_settled(), "not asked yet");
        let city = Arc::new(CityModel::of_layers("none", Vec::new(), Ground::default(), Vec::new()));
        colouring.state = State::Reading(in_background("colours", move || read(&city, "height")));
        assert!(!colouring.is_settled());
        let State::Reading(answer) = &mut colouring.state else { panic!("just set") };
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let answer = loop {
            if let Some(answer) = take(answer) {
                break answer;
            }
            assert!(std::time::Instant::now() < limit, "no answer");
            std::thread::yield_now();
        };
        assert!(answer.is_err_and(|reason| reason.contains("no store")));
        colouring.state = State::Failed("why".into());
        assert!(colouring.is_settled());
        let generation = colouring.generation;
        colouring.ask(None);
        assert!(
            colouring.generation > generation && !colouring.is_settled(),
            "tiles must be given back their own colours"
        );
    }
}
