//! Unit models that are drawn many times, built in code: 1 m high and 1 m wide, to be scaled.

use glam::{Vec2, Vec3};

use super::{Dice, scene::Look};
use crate::tile::glb::TileMesh;

/// A unit model. Foot at z = 0 and top at z = 1 unless it says otherwise; within ±0.5 in plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Model {
    /// Open round tube.
    Cylinder,
    /// The same with fewer sides.
    CylinderFar,
    /// Cube around the origin, of masonry.
    Box,
    /// The same as a duct or culvert.
    Duct,
    /// Ball around the origin.
    Ball,
    /// Closed cylinder.
    Shaft,
    /// Cover of a manhole, 3 cm high whatever the scale's z of 1.
    Cover,
    Broadleaf0,
    Broadleaf1,
    Broadleaf2,
    BroadleafFar,
    Conifer,
    ConiferFar,
    Lamp,
    LampFar,
    Valve,
    Hydrant,
    /// Ball that stands on its foot.
    Joint,
    Marker,
    /// Several buildings together.
    Mass,
    /// The crowns of several trees together.
    Canopy,
}

const BARK: [u8; 3] = [112, 88, 66];
const METAL: [u8; 3] = [88, 94, 100];
const WHITE: [u8; 3] = [255, 255, 255];

impl Model {
    /// z of its lowest point.
    pub fn lowest(self) -> f64 {
        if matches!(self, Model::Box | Model::Duct | Model::Ball) { -0.5 } else { 0.0 }
    }

    /// z of its highest point.
    pub fn highest(self) -> f64 {
        match self {
            Model::Box | Model::Duct | Model::Ball => 0.5,
            Model::Cover => 0.04,
            _ => 1.0,
        }
    }

    /// The look of its material.
    pub fn look(self) -> Look {
        match self {
            Model::Cylinder | Model::CylinderFar | Model::Duct => Look::Pipe,
            Model::Ball | Model::Joint | Model::Valve => Look::Pipe,
            Model::Box => Look::Wall,
            Model::Shaft | Model::Cover => Look::Shaft,
            _ => Look::Model,
        }
    }

    /// Its triangles; the material is for the caller to fill in.
    pub fn mesh(self) -> TileMesh {
        let mut build = Build::default();
        match self {
            Model::Cylinder => build.barrel(Vec3::ZERO, [0.5, 0.5], 1.0, 12, WHITE),
            Model::CylinderFar => build.barrel(Vec3::ZERO, [0.5, 0.5], 1.0, 6, WHITE),
            Model::Box | Model::Duct => build.cuboid(Vec3::splat(-0.5), Vec3::splat(0.5), WHITE),
            Model::Ball => build.ball(Vec3::ZERO, Vec3::splat(0.5), 1, WHITE, 0.0),
            Model::Joint => build.ball(Vec3::Z * 0.5, Vec3::splat(0.5), 1, WHITE, 0.0),
            Model::Shaft => {
                build.barrel(Vec3::ZERO, [0.5, 0.5], 1.0, 16, WHITE);
                build.disc(Vec3::Z, 0.5, 16, WHITE);
                build.underside(0.5, 16, WHITE);
            }
            Model::Cover => {
                build.barrel(Vec3::ZERO, [0.48, 0.46], 0.03, 16, [70, 72, 76]);
                build.disc(Vec3::Z * 0.03, 0.46, 16, [84, 86, 90]);
                build.disc(Vec3::Z * 0.036, 0.3, 12, [66, 68, 72]);
            }
            Model::Broadleaf0 => build.broadleaf(0),
            Model::Broadleaf1 => build.broadleaf(1),
            Model::Broadleaf2 => build.broadleaf(2),
            Model::BroadleafFar => {
                build.barrel(Vec3::ZERO, [0.05, 0.04], 0.4, 3, BARK);
                build.ball(Vec3::Z * 0.62, Vec3::new(0.46, 0.46, 0.37), 0, [104, 132, 78], 0.35);
            }
            Model::Conifer => {
                build.barrel(Vec3::ZERO, [0.06, 0.05], 0.2, 5, BARK);
                for (foot, radius, height) in [(0.12, 0.5, 0.42), (0.36, 0.39, 0.38), (0.6, 0.27, 0.4)] {
                    build.cone(Vec3::Z * foot, radius, height, 9, [74, 108, 74]);
                }
            }
            Model::ConiferFar => build.cone(Vec3::Z * 0.12, 0.45, 0.88, 5, [72, 104, 72]),
            Model::Lamp => {
                build.barrel(Vec3::ZERO, [0.06, 0.05], 0.06, 6, METAL);
                build.barrel(Vec3::ZERO, [0.035, 0.025], 0.97, 6, METAL);
                build.cuboid(Vec3::new(-0.02, -0.02, 0.955), Vec3::new(0.42, 0.02, 0.975), METAL);
                build.cuboid(Vec3::new(0.28, -0.06, 0.965), Vec3::new(0.5, 0.06, 0.99), [70, 74, 80]);
                build.cuboid(Vec3::new(0.3, -0.05, 0.958), Vec3::new(0.49, 0.05, 0.966), [255, 244, 214]);
            }
            Model::LampFar => {
                build.barrel(Vec3::ZERO, [0.035, 0.025], 0.97, 3, METAL);
                build.cuboid(Vec3::new(0.0, -0.04, 0.96), Vec3::new(0.5, 0.04, 0.985), METAL);
            }
            Model::Valve => {
                build.cuboid(Vec3::new(-0.3, -0.22, 0.0), Vec3::new(0.3, 0.22, 0.45), WHITE);
                build.barrel(Vec3::Z * 0.45, [0.06, 0.06], 0.4, 6, [200, 200, 200]);
                build.barrel(Vec3::Z * 0.85, [0.5, 0.5], 0.1, 12, [225, 70, 60]);
                build.disc(Vec3::Z * 0.95, 0.5, 12, [225, 70, 60]);
            }
            Model::Hydrant => {
                let red = [196, 52, 44];
                build.barrel(Vec3::ZERO, [0.42, 0.42], 0.06, 10, red);
                build.disc(Vec3::Z * 0.06, 0.42, 10, red);
                build.barrel(Vec3::Z * 0.06, [0.27, 0.25], 0.68, 10, red);
                build.ball(Vec3::Z * 0.76, Vec3::new(0.3, 0.3, 0.2), 1, [206, 60, 50], 0.0);
                build.cuboid(Vec3::new(-0.5, -0.1, 0.5), Vec3::new(0.5, 0.1, 0.64), [220, 214, 200]);
                build.barrel(Vec3::Z * 0.92, [0.07, 0.07], 0.08, 6, [220, 214, 200]);
            }
            Model::Mass => build.body([226; 3], WHITE),
            Model::Canopy => build.ball(Vec3::Z * 0.5, Vec3::splat(0.5), 1, [100, 128, 76], 0.4),
            Model::Marker => {
                build.barrel(Vec3::ZERO, [0.08, 0.08], 0.7, 6, [236, 236, 236]);
                build.ball(Vec3::Z * 0.8, Vec3::new(0.36, 0.36, 0.2), 1, [238, 150, 60], 0.0);
            }
        }
        build.0
    }
}

#[derive(Default)]
struct Build(TileMesh);

impl Build {
    fn vertex(&mut self, at: Vec3, normal: Vec3, rgb: [u8; 3]) -> u32 {
        self.0.positions.push(at);
        self.0.normals.push(normal.normalize_or(Vec3::Z));
        self.0.uvs.clear();
        self.0.colours.push([rgb[0], rgb[1], rgb[2], 255]);
        self.0.positions.len() as u32 - 1
    }

    fn triangle(&mut self, corners: [u32; 3]) {
        self.0.indices.extend(corners);
    }

    /// Points of a circle, the first repeated at the end.
    fn circle(sides: u32) -> impl Iterator<Item = Vec2> {
        (0..=sides).map(move |i| Vec2::from_angle((i % sides) as f32 / sides as f32 * std::f32::consts::TAU))
    }

    /// Side of a cylinder or of a cut cone: radii at foot and top.
    fn barrel(&mut self, foot: Vec3, [low, high]: [f32; 2], height: f32, sides: u32, rgb: [u8; 3]) {
        let mut last: Option<[u32; 2]> = None;
        for out in Self::circle(sides) {
            let normal = out.extend((low - high) / height);
            let pair = [
                self.vertex(foot + (out * low).extend(0.0), normal, rgb),
                self.vertex(foot + (out * high).extend(height), normal, rgb),
            ];
            if let Some([a, b]) = last {
                self.triangle([a, pair[0], pair[1]]);
                self.triangle([a, pair[1], b]);
            }
            last = Some(pair);
        }
    }

    fn disc(&mut self, middle: Vec3, radius: f32, sides: u32, rgb: [u8; 3]) {
        let centre = self.vertex(middle, Vec3::Z, rgb);
        let rim: Vec<u32> =
            Self::circle(sides).map(|out| self.vertex(middle + (out * radius).extend(0.0), Vec3::Z, rgb)).collect();
        rim.windows(2).for_each(|pair| self.triangle([centre, pair[0], pair[1]]));
    }

    fn underside(&mut self, radius: f32, sides: u32, rgb: [u8; 3]) {
        let centre = self.vertex(Vec3::ZERO, Vec3::NEG_Z, rgb);
        let rim: Vec<u32> =
            Self::circle(sides).map(|out| self.vertex((out * radius).extend(0.0), Vec3::NEG_Z, rgb)).collect();
        rim.windows(2).for_each(|pair| self.triangle([centre, pair[1], pair[0]]));
    }

    /// A cone, darker towards its underside, which is closed.
    fn cone(&mut self, foot: Vec3, radius: f32, height: f32, sides: u32, rgb: [u8; 3]) {
        let dark = shaded(rgb, 0.62);
        let tip = foot + Vec3::Z * height;
        let outs: Vec<Vec2> = Self::circle(sides).collect();
        for pair in outs.windows(2) {
            let normal = |out: Vec2| out.extend(radius / height);
            let (p, q) = (foot + (pair[0] * radius).extend(0.0), foot + (pair[1] * radius).extend(0.0));
            let a = self.vertex(p, normal(pair[0]), dark);
            let b = self.vertex(q, normal(pair[1]), dark);
            let c = self.vertex(tip, normal(pair[0] + pair[1]), rgb);
            self.triangle([a, b, c]);
            let under = [p, foot, q].map(|at| self.vertex(at, Vec3::NEG_Z, shaded(rgb, 0.45)));
            self.triangle([under[0], under[1], under[2]]);
        }
    }

    /// Walls and roof of a unit block, without a floor, which nobody sees.
    fn body(&mut self, walls: [u8; 3], roof: [u8; 3]) {
        let rim = [Vec2::new(-0.5, -0.5), Vec2::new(0.5, -0.5), Vec2::new(0.5, 0.5), Vec2::new(-0.5, 0.5)];
        for (a, b) in (0..4).map(|i| (rim[i], rim[(i + 1) % 4])) {
            let out = Vec3::new(b.y - a.y, a.x - b.x, 0.0);
            let corners = [a.extend(0.0), b.extend(0.0), b.extend(1.0), a.extend(1.0)];
            let [a, b, c, d] = corners.map(|at| self.vertex(at, out, walls));
            self.triangle([a, b, c]);
            self.triangle([a, c, d]);
        }
        let [a, b, c, d] = rim.map(|at| self.vertex(at.extend(1.0), Vec3::Z, roof));
        self.triangle([a, b, c]);
        self.triangle([a, c, d]);
    }

    fn cuboid(&mut self, low: Vec3, high: Vec3, rgb: [u8; 3]) {
        let (middle, half) = ((low + high) * 0.5, (high - low) * 0.5);
        for (normal, u, v) in [
            (Vec3::X, Vec3::Y, Vec3::Z),
            (Vec3::NEG_X, Vec3::Z, Vec3::Y),
            (Vec3::Y, Vec3::Z, Vec3::X),
            (Vec3::NEG_Y, Vec3::X, Vec3::Z),
            (Vec3::Z, Vec3::X, Vec3::Y),
            (Vec3::NEG_Z, Vec3::Y, Vec3::X),
        ] {
            let corners = [-u - v, u - v, u + v, v - u].map(|c| middle + (normal + c) * half);
            let [a, b, c, d] = corners.map(|at| self.vertex(at, normal, rgb));
            self.triangle([a, b, c]);
            self.triangle([a, c, d]);
        }
    }

    /// An icosahedron blown up to an ellipsoid; `dark` is how much its underside is darkened, for crowns.
    fn ball(&mut self, middle: Vec3, radii: Vec3, splits: u32, rgb: [u8; 3], dark: f32) {
        let (vertices, triangles) = icosphere(splits);
        let first = self.0.positions.len() as u32;
        for out in vertices {
            let light = 1.0 - dark * (0.5 - 0.5 * out.z);
            self.vertex(middle + out * radii, out / radii, shaded(rgb, light));
        }
        triangles.iter().for_each(|t| self.triangle(t.map(|i| first + i)));
    }

    /// Trunk and a crown of three lumps, a little uneven.
    fn broadleaf(&mut self, kind: u64) {
        let dice = Dice::of(["broadleaf 0", "broadleaf 1", "broadleaf 2"][kind as usize % 3]);
        self.barrel(Vec3::ZERO, [0.055, 0.035], 0.45, 5, BARK);
        let greens = [[104, 134, 76], [112, 142, 80], [96, 128, 76]];
        let lumps = [
            (Vec3::new(0.0, 0.0, 0.62), Vec3::new(0.40, 0.40, 0.30), 1),
            (Vec3::new(0.14, 0.09, 0.76), Vec3::new(0.27, 0.27, 0.22), 0),
            (Vec3::new(-0.16, -0.1, 0.54), Vec3::new(0.29, 0.29, 0.22), 0),
        ];
        for (i, (middle, radii, splits)) in lumps.into_iter().enumerate() {
            let first = self.0.positions.len();
            let turn = glam::Quat::from_rotation_z(kind as f32 * 2.1);
            self.ball(turn * middle, radii, splits, greens[(i + kind as usize) % 3], 0.42);
            for (n, position) in self.0.positions.iter_mut().enumerate().skip(first) {
                let swell = 0.92 + 0.16 * dice.throw((i * 100 + n) as u64) as f32;
                let centre = turn * middle;
                *position =
                    (centre + (*position - centre) * swell).clamp(Vec3::new(-0.5, -0.5, 0.0), Vec3::new(0.5, 0.5, 1.0));
            }
        }
    }
}

fn shaded(rgb: [u8; 3], light: f32) -> [u8; 3] {
    rgb.map(|c| (f32::from(c) * light).round().clamp(0.0, 255.0) as u8)
}

/// Vertices on the unit sphere and triangles, counter-clockwise from outside.
fn icosphere(splits: u32) -> (Vec<Vec3>, Vec<[u32; 3]>) {
    let p = (1.0 + 5f32.sqrt()) * 0.5;
    let mut vertices: Vec<Vec3> = [
        (-1.0, p, 0.0),
        (1.0, p, 0.0),
        (-1.0, -p, 0.0),
        (1.0, -p, 0.0),
        (0.0, -1.0, p),
        (0.0, 1.0, p),
        (0.0, -1.0, -p),
        (0.0, 1.0, -p),
        (p, 0.0, -1.0),
        (p, 0.0, 1.0),
        (-p, 0.0, -1.0),
        (-p, 0.0, 1.0),
    ]
    .map(|(x, y, z)| Vec3::new(x, y, z).normalize())
    .to_vec();
    let mut triangles: Vec<[u32; 3]> = vec![
        [0, 11, 5],
        [0, 5, 1],
        [0, 1, 7],
        [0, 7, 10],
        [0, 10, 11],
        [1, 5, 9],
        [5, 11, 4],
        [11, 10, 2],
        [10, 7, 6],
        [7, 1, 8],
        [3, 9, 4],
        [3, 4, 2],
        [3, 2, 6],
        [3, 6, 8],
        [3, 8, 9],
        [4, 9, 5],
        [2, 4, 11],
        [6, 2, 10],
        [8, 6, 7],
        [9, 8, 1],
    ];
    for _ in 0..splits {
        let mut middles = std::collections::HashMap::new();
        let mut middle = |a: u32, b: u32, vertices: &mut Vec<Vec3>| {
            *middles.entry((a.min(b), a.max(b))).or_insert_with(|| {
                vertices.push((vertices[a as usize] + vertices[b as usize]).normalize());
                vertices.len() as u32 - 1
            })
        };
        let mut finer = Vec::with_capacity(triangles.len() * 4);
        for [a, b, c] in triangles {
            let (ab, bc, ca) = (middle(a, b, &mut vertices), middle(b, c, &mut vertices), middle(c, a, &mut vertices));
            finer.extend([[a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca]]);
        }
        triangles = finer;
    }
    (vertices, triangles)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Model; 21] = [
        Model::Mass,
        Model::Canopy,
        Model::Cylinder,
        Model::CylinderFar,
        Model::Box,
        Model::Duct,
        Model::Ball,
        Model::Shaft,
        Model::Cover,
        Model::Broadleaf0,
        Model::Broadleaf1,
        Model::Broadleaf2,
        Model::BroadleafFar,
        Model::Conifer,
        Model::ConiferFar,
        Model::Lamp,
        Model::LampFar,
        Model::Valve,
        Model::Hydrant,
        Model::Joint,
        Model::Marker,
    ];

    /// Signed volume under the triangles: the volume of a closed mesh that faces outward.
    fn volume(mesh: &TileMesh) -> f32 {
        let at = |i: u32| mesh.positions[i as usize];
        mesh.indices.chunks_exact(3).map(|t| at(t[0]).dot(at(t[1]).cross(at(t[2]))) / 6.0).sum()
    }

    #[test]
    fn models_are_unit_sized_cheap_and_face_outward() {
        for model in ALL {
            let mesh = model.mesh();
            assert!(mesh.indices.len() / 3 <= 260, "{model:?}: {} triangles", mesh.indices.len() / 3);
            assert_eq!(mesh.normals.len(), mesh.positions.len());
            assert_eq!(mesh.colours.len(), mesh.positions.len());
            for v in &mesh.positions {
                assert!(v.x.abs() <= 0.501 && v.y.abs() <= 0.501, "{model:?} {v}");
                assert!(v.z >= model.lowest() as f32 - 1e-3 && v.z <= model.highest() as f32 + 1e-3, "{model:?} {v}");
            }
            let mut facing = 0i32;
            for t in mesh.indices.chunks_exact(3) {
                let [a, b, c] = [t[0], t[1], t[2]].map(|i| mesh.positions[i as usize]);
                let normal = mesh.normals[t[0] as usize];
                facing += if (b - a).cross(c - a).dot(normal) >= -1e-6 { 1 } else { -1000 };
            }
            assert!(facing > 0, "{model:?} has triangles against their normals");
        }
        assert!((volume(&Model::Box.mesh()) - 1.0).abs() < 1e-5);
        assert!(volume(&Model::Ball.mesh()) > 0.4 && volume(&Model::Ball.mesh()) < std::f32::consts::FRAC_PI_6);
        assert!((volume(&Model::Shaft.mesh()) - 0.765).abs() < 0.02);
    }
}
