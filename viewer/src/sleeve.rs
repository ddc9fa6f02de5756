//! Sleeves around pipes, as wide as the survey may be wrong (探测误差): plain where errors were delivered, in rings where the limits
//! of CJJ 61 were assumed.

use bevy::prelude::*;
use glam::DVec3;
use groundline_engine::model::Section;

use crate::{
    content::DrawMesh,
    cut::Cuts,
    label::Labels,
    material::{CityMaterial, Kind, Materials},
    network::{Network, Pipe},
    origin::axes_from_city,
    peel::Peel,
    ramp::linear,
    scene::{Below, Origin},
    stream::ShownLayers,
    style::{Drawing, Style},
    tile_part::own_mesh,
    validity::{Timeline, ValidAt, ValidTime},
};

/// Corners of a sleeve's section.
const CORNERS: usize = 20;

/// Marks the mesh of all sleeves.
#[derive(Component)]
pub struct Sleeve;

/// What the sleeves that are drawn were made for.
#[derive(Default, PartialEq)]
pub struct MadeFor {
    generation: u64,
    layers: ShownLayers,
    peel: Peel,
    time: Option<ValidTime>,
    is_open: bool,
}

/// Lays the sleeves anew when the pipes in view or what is shown has changed.
#[allow(clippy::too_many_arguments)]
pub fn lay_sleeves(
    mut made_for: Local<Option<MadeFor>>,
    mut commands: Commands,
    mut meshes: ResMut<Assets<Mesh>>,
    mut materials: ResMut<Assets<CityMaterial>>,
    mut shared: ResMut<Materials>,
    (network, labels, layers, peel): (Res<Network>, Res<Labels>, Res<ShownLayers>, Res<Peel>),
    (timeline, valid_at): (Res<Timeline>, Res<ValidAt>),
    (below, style, cuts, origin): (Res<Below>, Res<Style>, Res<Cuts>, Res<Origin>),
    sleeves: Query<Entity, With<Sleeve>>,
) {
    let drawing = Drawing { style: *style, is_below: below.0 };
    let is_open = labels.sleeves && (drawing.is_glass() || !cuts.is_empty());
    let time = valid_at.0.filter(|_| timeline.lives.is_some());
    let wanted = MadeFor { generation: network.generation, layers: layers.clone(), peel: peel.clone(), time, is_open };
    if made_for.as_ref() == Some(&wanted) {
        return;
    }
    *made_for = Some(wanted);
    sleeves.iter().for_each(|sleeve| commands.entity(sleeve).despawn());
    let Some(first) = network.pipes.first().filter(|_| is_open) else { return };
    let middle = first.axis[0];
    let mut mesh = DrawMesh { min: Vec3::INFINITY, max: Vec3::NEG_INFINITY, ..DrawMesh::default() };
    let is_there = |pipe: &&Pipe| timeline.is_there(pipe.layer, &pipe.id, *valid_at);
    for pipe in network.pipes.iter().filter(|pipe| pipe.is_shown(&layers.0, &peel)).filter(is_there) {
        add(&mut mesh, pipe, middle);
    }
    if mesh.indices.is_empty() {
        return;
    }
    let material = shared.plain(Kind::Sleeve, &mut materials);
    let drawn = own_mesh(&mesh, &mut meshes, material, (&origin.0, middle), Kind::Sleeve);
    commands.spawn((drawn, Sleeve));
}

/// Half of the sleeve across and in height, at start and end of a pipe.
fn halves(pipe: &Pipe) -> [[f64; 2]; 2] {
    let (across, tall) = match pipe.section {
        Some(Section::Circle { diameter_m }) => (diameter_m * 0.5, diameter_m * 0.5),
        Some(Section::Rect { width_m, height_m }) => (width_m * 0.5, height_m * 0.5),
        None => (0.05, 0.05),
    };
    [0, 1].map(|end| [across + pipe.doubt.plan_m[end], tall + pipe.doubt.depth_m[end]])
}

/// Adds the sleeve of a pipe; `uv` is metres along it and whether its width is assumed.
fn add(mesh: &mut DrawMesh, pipe: &Pipe, middle: DVec3) {
    let whole = pipe.length_m().max(1e-6);
    let [from, to] = halves(pipe);
    let [r, g, b] = linear(pipe.kind.rgb());
    let mut along_m = 0.0;
    for leg in pipe.axis.windows(2) {
        let length = leg[0].distance(leg[1]);
        let along = (leg[1] - leg[0]).normalize_or(DVec3::X);
        let across = along.cross(DVec3::Z).normalize_or(DVec3::X);
        let up = across.cross(along);
        let begin = mesh.positions.len() as u32;
        for (end, place) in leg.iter().enumerate() {
            let at_m = along_m + length * end as f64;
            let [wide, tall] = [0, 1].map(|k| from[k] + (to[k] - from[k]) * at_m / whole);
            for corner in 0..=CORNERS {
                let (sin, cos) = (corner as f64 / CORNERS as f64 * std::f64::consts::TAU).sin_cos();
                let at = axes_from_city(*place + across * (cos * wide) + up * (sin * tall) - middle);
                let normal = (across * (cos * tall) + up * (sin * wide)).normalize_or(DVec3::Z);
                mesh.min = mesh.min.min(at);
                mesh.max = mesh.max.max(at);
                mesh.positions.push(at.into());
                mesh.normals.push(axes_from_city(normal).into());
                mesh.uvs.push([at_m as f32, f32::from(u8::from(pipe.doubt.is_assumed))]);
                mesh.colours.push([r, g, b, 1.0]);
            }
        }
        let row = CORNERS as u32 + 1;
        for corner in 0..CORNERS as u32 {
            let (a, b) = (begin + corner, begin + corner + row);
            mesh.indices.extend([a, a + 1, b, b, a + 1, b + 1]);
        }
        along_m += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Doubt, Flow};
    use groundline_engine::model::{Extent, PipeKind};

    #[test]
    fn a_sleeve_is_as_wide_as_the_pipe_and_its_doubt() {
        let place = DVec3::new(40_534_000.0, 3_993_000.0, 5.0);
        let pipe = Pipe {
            id: String::new(),
            layer: 0,
            kind: PipeKind::Gas,
            axis: vec![place, place + DVec3::X * 10.0],
            section: Some(Section::Circle { diameter_m: 0.4 }),
            material: None,
            grade: None,
            depth_m: Some([2.0, 4.0]),
            is_assumed: false,
            flow: Flow::Unknown,
            doubt: Doubt::of_depths([2.0, 4.0]),
            extent: Extent::EMPTY,
        };
        let mut mesh = DrawMesh { min: Vec3::INFINITY, max: Vec3::NEG_INFINITY, ..DrawMesh::default() };
        add(&mut mesh, &pipe, place);
        // Its end is 0.2 + 0.15 × 4 m high and 0.2 + 0.10 × 4 m wide to either side.
        assert!((mesh.max.y - 0.8).abs() < 1e-5 && (mesh.max.z - 0.6).abs() < 1e-5, "{:?}", mesh.max);
        let start = mesh.positions.iter().filter(|p| p[0].abs() < 1e-6).map(|p| p[1]).fold(0.0, f32::max);
        assert!((start - 0.5).abs() < 1e-5, "{start}");
        assert!(mesh.uvs.iter().all(|uv| uv[1] == 1.0), "nobody measured it");
        assert_eq!(mesh.indices.len(), CORNERS * 6);
    }
}
