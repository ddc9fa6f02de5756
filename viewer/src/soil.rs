//! The faces that cuts give to the ground: the profile under the terrain at a plane, walls and floor of a trench.
//!
//! Terrain is a surface without inside. What lies below it is not known here, so the faces are plain earth with lines of equal depth, and
//! no strata are made up: those that a city has are drawn by their own layers.

use bevy::prelude::*;
use geo::{Buffer, TriangulateEarcut};
use glam::{DVec2, DVec3};
use groundline_engine::model::Extent;

use crate::{
    city::CityModel,
    content::DrawMesh,
    cut::{Cuts, Plane},
    material::{CityMaterial, Kind, Materials},
    origin::axes_from_city,
    plane::drawn_extent,
    scene::{CityScene, Origin},
    tile_part::own_mesh,
};

/// Earth is drawn so far below the lowest thing that lies in it, metres.
const BELOW_LOWEST_M: f64 = 6.0;
/// And at least so far below the lowest ground, so that a section has no lower edge where people look.
const LEAST_DEPTH_M: f64 = 80.0;
/// Most samples along a plane, and along a side of a level face.
const MOST_SAMPLES: usize = 1_600;
const MOST_CELLS: usize = 220;
/// Samples along a trench, metres apart.
const TRENCH_STEP_M: f64 = 1.5;
/// What stands for: there is no ground here.
const NO_GROUND: f32 = -1.0;

/// Marks a face.
#[derive(Component)]
pub struct SoilFace;

/// Lays the faces anew when the cuts have changed.
#[allow(clippy::too_many_arguments)]
pub fn lay_soil(
    cuts: Res<Cuts>,
    mut commands: Commands,
    mut meshes: ResMut<Assets<Mesh>>,
    mut materials: ResMut<Assets<CityMaterial>>,
    mut held: Local<Option<Handle<CityMaterial>>>,
    mut shared: ResMut<Materials>,
    city: Res<CityScene>,
    origin: Res<Origin>,
    faces: Query<Entity, With<SoilFace>>,
) {
    if !cuts.is_changed() {
        return;
    }
    faces.iter().for_each(|face| commands.entity(face).despawn());
    for (mesh, middle) in faces_of(&cuts, &city.0) {
        let material = held.get_or_insert_with(|| shared.plain(Kind::Soil, &mut materials)).clone();
        let drawn = own_mesh(&mesh, &mut meshes, material, (&origin.0, middle), Kind::Soil);
        commands.spawn((drawn, SoilFace));
    }
}

/// The faces of all cuts, each with the place that its vertices count from. `uv` is metres along the face and metres below the ground.
fn faces_of(cuts: &Cuts, city: &CityModel) -> Vec<(DrawMesh, DVec3)> {
    let mut extent = drawn_extent(city);
    if extent.is_empty() {
        return Vec::new();
    }
    let lowest = city.extent.min.z.min(extent.min.z - LEAST_DEPTH_M) - BELOW_LOWEST_M;
    if !city.ground.is_empty() {
        let ground = city.ground.extent();
        extent = Extent { min: ground.min.with_z(extent.min.z), max: ground.max.with_z(extent.max.z) };
    }
    let mut faces: Vec<(DrawMesh, DVec3)> = Vec::new();
    for plane in cuts.planes() {
        let face = match plane.normal.z {
            z if z < -0.5 => level_face(city, &extent, plane.at.z),
            z if z.abs() < 0.5 => upright_face(city, &extent, &plane, lowest),
            // Seen from below only.
            _ => None,
        };
        faces.extend(face);
    }
    if let Some((path, width_m, depth_m)) = cuts.trench() {
        faces.push(trench_faces(city, path, width_m, depth_m));
    }
    faces
}

struct Face {
    mesh: DrawMesh,
    middle: DVec3,
}

impl Face {
    fn new(middle: DVec3) -> Self {
        let mesh = DrawMesh { min: Vec3::INFINITY, max: Vec3::NEG_INFINITY, ..DrawMesh::default() };
        Self { mesh, middle }
    }

    fn vertex(&mut self, place: DVec3, normal: DVec3, along_m: f64, below_m: f32) -> u32 {
        let at = axes_from_city(place - self.middle);
        self.mesh.min = self.mesh.min.min(at);
        self.mesh.max = self.mesh.max.max(at);
        self.mesh.positions.push(at.into());
        self.mesh.normals.push(axes_from_city(normal).into());
        self.mesh.uvs.push([along_m as f32, below_m]);
        self.mesh.colours.push([1.0; 4]);
        self.mesh.positions.len() as u32 - 1
    }

    fn done(self) -> (DrawMesh, DVec3) {
        (self.mesh, self.middle)
    }
}

/// The profile of the ground at an upright plane, from the terrain down to `lowest`.
fn upright_face(city: &CityModel, extent: &Extent, plane: &Plane, lowest: f64) -> Option<(DrawMesh, DVec3)> {
    let along = DVec2::new(-plane.normal.y, plane.normal.x).normalize_or_zero();
    let (from, to) = within(extent, plane.at.truncate(), along)?;
    let length = to - from;
    let count = ((length / 1.0).ceil() as usize).clamp(2, MOST_SAMPLES);
    let mut face = Face::new((plane.at.truncate() + along * (from + length * 0.5)).extend(lowest));
    // The face lies a little within what is left, so that its own plane does not take it.
    let inward = plane.normal.truncate() * 0.004;
    for sample in 0..=count {
        let along_m = from + length * sample as f64 / count as f64;
        let place = plane.at.truncate() + along * along_m + inward;
        let (top, depth) = match height_at(city, place) {
            Some(top) => (top.max(lowest), (top - lowest).max(0.0) as f32),
            None => (lowest, NO_GROUND),
        };
        let upper = face.vertex(place.extend(top), plane.normal, along_m, depth.min(0.0));
        let lower = face.vertex(place.extend(lowest), plane.normal, along_m, depth);
        if sample > 0 {
            face.mesh.indices.extend([upper - 2, lower - 2, upper, upper, lower - 2, lower]);
        }
    }
    Some(face.done())
}

/// From where to where a line runs within the box, metres along it.
fn within(extent: &Extent, at: DVec2, along: DVec2) -> Option<(f64, f64)> {
    let inverse = along.recip();
    let (a, b) = ((extent.min.truncate() - at) * inverse, (extent.max.truncate() - at) * inverse);
    let span = |a: f64, b: f64| if a.is_finite() && b.is_finite() { (a.min(b), a.max(b)) } else { (-1e9, 1e9) };
    let ((x0, x1), (y0, y1)) = (span(a.x, b.x), span(a.y, b.y));
    let (from, to) = (x0.max(y0), x1.min(y1));
    (to - from > 0.5).then_some((from, to))
}

/// The ground at a level: where the terrain is higher.
fn level_face(city: &CityModel, extent: &Extent, z: f64) -> Option<(DrawMesh, DVec3)> {
    let size = extent.size().truncate();
    let cells = ((size.max_element() / 2.0).ceil() as usize).clamp(2, MOST_CELLS);
    let mut face = Face::new(extent.centre().truncate().extend(z));
    let mut is_any = false;
    for row in 0..=cells {
        for column in 0..=cells {
            let place = extent.min.truncate() + size * DVec2::new(column as f64, row as f64) / cells as f64;
            let below = height_at(city, place).map_or(NO_GROUND, |top| (top - z) as f32);
            is_any |= below > 0.0;
            face.vertex(place.extend(z - 0.004), DVec3::Z, place.x - extent.min.x, below);
        }
    }
    let row = cells as u32 + 1;
    for cell in (0..row * (row - 1)).filter(|cell| cell % row != row - 1) {
        let (a, b, c, d) = (cell, cell + 1, cell + row + 1, cell + row);
        face.mesh.indices.extend([a, b, c, a, c, d]);
    }
    is_any.then(|| face.done())
}

/// Walls and floor of a trench.
fn trench_faces(city: &CityModel, path: &[DVec2], width_m: f64, depth_m: f64) -> (DrawMesh, DVec3) {
    let first = path.first().copied().unwrap_or_default();
    let mut face = Face::new(first.extend(height_at(city, first).unwrap_or(0.0)));
    // Counted from its first place: the outline is made in cells of a fixed grid, whose size goes by the numbers.
    let line: geo::LineString = path.iter().map(|place| (place.x - first.x, place.y - first.y)).collect();
    for polygon in line.buffer(width_m * 0.5) {
        let rings = || std::iter::once(polygon.exterior()).chain(polygon.interiors());
        let dense: Vec<Vec<DVec2>> = rings().map(|ring| denser(ring, first)).collect();
        for ring in &dense {
            walls(&mut face, city, ring, depth_m);
        }
        let as_line =
            |ring: &Vec<DVec2>| ring.iter().map(|p| (p.x - first.x, p.y - first.y)).collect::<geo::LineString>();
        let mut inner: Vec<geo::LineString> = dense.iter().map(as_line).collect();
        let outer = if inner.is_empty() { continue } else { inner.remove(0) };
        let floor = geo::Polygon::new(outer, inner).earcut_triangles_raw();
        let begin = face.mesh.positions.len() as u32;
        for &[x, y] in &floor.vertices {
            let place = first + DVec2::new(x, y);
            let z = height_at(city, place).unwrap_or(face.middle.z) - depth_m;
            face.vertex(place.extend(z), DVec3::Z, x + y, depth_m as f32);
        }
        face.mesh.indices.extend(floor.triangle_indices.iter().map(|index| begin + *index as u32));
    }
    face.done()
}

/// A ring with a vertex at least every [`TRENCH_STEP_M`], closed.
fn denser(ring: &geo::LineString, from: DVec2) -> Vec<DVec2> {
    let mut out = Vec::new();
    for line in ring.lines() {
        let (a, b) = (DVec2::new(line.start.x, line.start.y), DVec2::new(line.end.x, line.end.y));
        let steps = (a.distance(b) / TRENCH_STEP_M).ceil().max(1.0) as usize;
        out.extend((0..steps).map(|step| from + a.lerp(b, step as f64 / steps as f64)));
    }
    out.extend(out.first().copied());
    out
}

fn walls(face: &mut Face, city: &CityModel, ring: &[DVec2], depth_m: f64) {
    let mut along_m = 0.0;
    for (number, place) in ring.iter().enumerate() {
        if number > 0 {
            along_m += place.distance(ring[number - 1]);
        }
        let next = ring[(number + 1) % ring.len()];
        let along = (next - *place).normalize_or(DVec2::X);
        let normal = DVec3::new(-along.y, along.x, 0.0);
        let top = height_at(city, *place).unwrap_or(face.middle.z);
        let upper = face.vertex(place.extend(top), normal, along_m, 0.0);
        let lower = face.vertex(place.extend(top - depth_m), normal, along_m, depth_m as f32);
        if number > 0 {
            face.mesh.indices.extend([upper - 2, lower - 2, upper, upper, lower - 2, lower]);
        }
    }
}

/// Height of the ground; a city without terrain has level ground.
fn height_at(city: &CityModel, place: DVec2) -> Option<f64> {
    if city.ground.is_empty() { Some(city.ground_m(place)) } else { city.ground.height_at(place) }
}

#[cfg(test)]
mod tests {
    use groundline_engine::{model::HeightGrid, tile::Ground};

    use super::*;

    /// Ground that rises by one in ten to the east: 100 m square at ten million metres, height 0 to 10.
    fn slope() -> CityModel {
        let heights = (0..11 * 11).map(|n| (n % 11) as f32).collect();
        let grid = HeightGrid {
            north_west: DVec2::new(40_500_000.0, 4_000_100.0),
            step_m: DVec2::splat(10.0),
            columns: 11,
            rows: 11,
            heights,
        };
        CityModel::of_layers("slope", Vec::new(), Ground::new(vec![grid]), Vec::new())
    }

    fn faces(cut: &str) -> Vec<(DrawMesh, DVec3)> {
        faces_of(&Cuts::new(vec![cut.parse().unwrap()]).unwrap(), &slope())
    }

    /// Places of a face in the city, with metres below the ground.
    fn places((mesh, middle): &(DrawMesh, DVec3)) -> Vec<(DVec3, f64)> {
        let place = |p: &[f32; 3]| *middle + crate::origin::city_from_axes(Vec3::from(*p).as_dvec3());
        mesh.positions.iter().map(place).zip(mesh.uvs.iter().map(|uv| f64::from(uv[1]))).collect()
    }

    #[test]
    fn a_section_shows_the_profile_of_the_ground() {
        let faces = faces("section:40500050,4000050,0");
        assert_eq!(faces.len(), 1);
        let places = places(&faces[0]);
        for (place, below) in &places {
            let ground = (place.x - 40_500_000.0) / 10.0;
            assert!((place.y - 4_000_050.0).abs() < 0.02, "{place}");
            assert!((place.z + below - ground).abs() < 0.01, "{place} {below}");
        }
        let (low, high) = places.iter().fold((f64::MAX, f64::MIN), |(l, h), (p, _)| (l.min(p.x), h.max(p.x)));
        assert!(high - low > 99.0, "from border to border");
        assert!(faces_of(&Cuts::default(), &slope()).is_empty());
    }

    #[test]
    fn a_level_below_the_hill_cuts_it() {
        let faces = faces("level:5");
        for (place, below) in places(&faces[0]) {
            assert!((place.z - 5.0).abs() < 0.01 && (below - ((place.x - 40_500_000.0) / 10.0 - 5.0)).abs() < 0.05);
        }
        assert!(self::faces("level:50").is_empty(), "above all ground");
    }

    #[test]
    fn a_trench_has_walls_from_the_ground_to_its_floor() {
        let faces = faces("trench:40500020,4000050,40500080,4000050,40500080,4000080;width=6;depth=4");
        assert_eq!(faces.len(), 1);
        let path = [DVec2::new(20.0, 50.0), DVec2::new(80.0, 50.0), DVec2::new(80.0, 80.0)];
        let (mut deep, mut shallow) = (0, 0);
        for (place, below) in places(&faces[0]) {
            let local = place.truncate() - DVec2::new(40_500_000.0, 4_000_000.0);
            let off = path.windows(2).map(|leg| {
                let along = (leg[1] - leg[0]).normalize();
                let t = (local - leg[0]).dot(along).clamp(0.0, leg[0].distance(leg[1]));
                local.distance(leg[0] + along * t)
            });
            let off = off.fold(f64::MAX, f64::min);
            assert!((off - 3.0).abs() < 0.1, "{local} is {off} m off the middle");
            assert!((place.z + below - local.x / 10.0).abs() < 0.02, "{place} {below}");
            if below > 3.9 { deep += 1 } else { shallow += 1 }
        }
        assert!(deep > shallow && shallow > 60, "{deep} {shallow}");
        let (mesh, _) = &faces[0];
        let area: f32 = mesh
            .indices
            .chunks_exact(3)
            .map(|t| {
                let [a, b, c] = [t[0], t[1], t[2]].map(|i| Vec3::from(mesh.positions[i as usize]).with_y(0.0));
                (b - a).cross(c - a).length() * 0.5
            })
            .sum();
        // Legs of 60 and 30 m, 6 m wide, with round ends and a round corner; walls have no area in plan.
        let expected = 60.0 * 6.0 + 30.0 * 6.0 - 9.0 + 9.0 * std::f32::consts::PI * 1.25;
        assert!((area - expected).abs() < 6.0, "{area} {expected}");
    }
}
