//! A laser scan of one block of the old town (点云): ground, roads, walls, hipped roofs, crowns, with colours, as LAZ 1.4.

use std::io::Cursor;

use chrono::NaiveDate;
use glam::{DVec2, DVec3};
use las::{Builder, Color, Point, Transform, Vector, Writer, point::Classification, point::Format};

use crate::{
    SampleError,
    building::Building,
    city::City,
    plane::{in_ring, middle, segment_distance},
    plant::Tree,
    random::{Random, noise},
    street::Street,
};

/// EPSG:4549 as WKT 1, the way LAS 1.4 wants it.
const WKT: &str = "PROJCS[\"CGCS2000 / 3-degree Gauss-Kruger CM 120E\",GEOGCS[\"China Geodetic Coordinate System 2000\",DATUM[\"China_2000\",SPHEROID[\"CGCS2000\",6378137,298.257222101,AUTHORITY[\"EPSG\",\"1024\"]],AUTHORITY[\"EPSG\",\"1043\"]],PRIMEM[\"Greenwich\",0,AUTHORITY[\"EPSG\",\"8901\"]],UNIT[\"degree\",0.0174532925199433,AUTHORITY[\"EPSG\",\"9122\"]],AUTHORITY[\"EPSG\",\"4490\"]],PROJECTION[\"Transverse_Mercator\"],PARAMETER[\"latitude_of_origin\",0],PARAMETER[\"central_meridian\",120],PARAMETER[\"scale_factor\",1],PARAMETER[\"false_easting\",500000],PARAMETER[\"false_northing\",0],UNIT[\"metre\",1,AUTHORITY[\"EPSG\",\"9001\"]],AXIS[\"Northing\",NORTH],AXIS[\"Easting\",EAST],AUTHORITY[\"EPSG\",\"4549\"]]";

/// A point before it is packed.
struct Echo {
    at: DVec3,
    class: u8,
    rgb: [f64; 3],
}

struct Scanner<'a> {
    city: &'a City<'a>,
    low: DVec2,
    high: DVec2,
    buildings: Vec<&'a Building>,
    streets: Vec<&'a Street>,
    random: Random,
    made: Vec<Echo>,
}

/// The file and its number of points.
pub(crate) fn scan(city: &City<'_>) -> Result<(Vec<u8>, u64), SampleError> {
    let plan = &city.recipe.scan;
    let (low, high) = (plan.at - DVec2::splat(plan.half_m), plan.at + DVec2::splat(plan.half_m));
    let is_near = |a: DVec2, b: DVec2| a.x < high.x && b.x > low.x && a.y < high.y && b.y > low.y;
    let mut scanner = Scanner {
        city,
        low,
        high,
        buildings: city.buildings.iter().filter(|b| is_near(b.bounds().0, b.bounds().1)).collect(),
        streets: city
            .streets
            .streets
            .iter()
            .filter(|s| s.line.distance(plan.at) < plan.half_m * 1.5 + s.reach_m())
            .collect(),
        random: Random::new(city.recipe.seed, "scan"),
        made: Vec::new(),
    };
    scanner.sweep(plan.spacing_m);
    scanner.walls(plan.spacing_m);
    for tree in city.trees.iter().filter(|t| is_near(t.at, t.at)) {
        scanner.crown(tree, plan.spacing_m);
    }
    pack(city, &scanner.made)
}

impl Scanner<'_> {
    fn echo(&mut self, p: DVec2, z: f64, class: u8, rgb: [f64; 3]) {
        if p.cmpge(self.low).all() && p.cmple(self.high).all() {
            let noise = self.random.normal() * 0.012;
            self.made.push(Echo { at: p.extend(z + noise), class, rgb });
        }
    }

    /// What the laser sees from above: roofs, else the ground.
    fn sweep(&mut self, spacing: f64) {
        let count = ((self.high.x - self.low.x) / spacing) as usize;
        for j in 0..count {
            for i in 0..count {
                let jitter = DVec2::new(self.random.unit(), self.random.unit());
                let p = self.low + (DVec2::new(i as f64, j as f64) + jitter) * spacing;
                let tint = noise(self.city.recipe.seed ^ 71, p.x / 1.3, p.y / 1.3) - 0.5;
                let roof = self.buildings.iter().find(|b| in_ring(p, &b.ring)).map(|b| (roof_height(b, p), b.pitched));
                if let Some((height, pitched)) = roof {
                    let base = self.base(p);
                    let colour = if pitched { [176.0, 92.0, 66.0] } else { [176.0, 172.0, 166.0] };
                    self.echo(p, base + height, 6, shade(colour, 34.0 * tint));
                    continue;
                }
                let street = self.streets.iter().map(|s| (s.line.distance(p) - s.half_m(), s.grade.pavement_m()));
                let street = street.fold((f64::INFINITY, 0.0), |a, b| if b.0 < a.0 { b } else { a });
                let z = self.city.ground.at(p);
                if street.0 < 0.0 {
                    self.echo(p, z, 11, shade([104.0, 104.0, 106.0], 18.0 * tint));
                } else if street.0 < street.1 {
                    self.echo(p, z + 0.12, 2, shade([176.0, 168.0, 158.0], 22.0 * tint));
                } else {
                    let lawn = noise(self.city.recipe.seed ^ 72, p.x / 6.0, p.y / 6.0) > 0.5;
                    let (class, colour) = if lawn { (3, [112.0, 130.0, 78.0]) } else { (2, [168.0, 154.0, 128.0]) };
                    self.echo(p, z + if lawn { 0.08 } else { 0.0 }, class, shade(colour, 40.0 * tint));
                }
            }
        }
    }

    fn base(&self, p: DVec2) -> f64 {
        self.buildings.iter().find(|b| in_ring(p, &b.ring)).map_or(0.0, |b| self.city.ground.at(middle(&b.ring)))
    }

    fn walls(&mut self, spacing: f64) {
        for k in 0..self.buildings.len() {
            let b = self.buildings[k];
            let base = self.city.ground.at(middle(&b.ring));
            let eave = eave(b);
            let n = b.ring.len();
            for side in 0..n {
                let (p, q) = (b.ring[side], b.ring[(side + 1) % n]);
                let length = p.distance(q);
                let rows = (eave / (spacing * 1.3)) as usize;
                let columns = (length / (spacing * 1.3)) as usize;
                for j in 0..rows {
                    for i in 0..columns {
                        let along = (i as f64 + self.random.unit()) / columns.max(1) as f64;
                        let up = (j as f64 + self.random.unit()) / rows.max(1) as f64 * eave;
                        // windows swallow the beam
                        let is_window =
                            (along * length).rem_euclid(3.2) > 1.7 && (1.0..2.6).contains(&up.rem_euclid(3.3));
                        if is_window && self.random.chance(0.8) {
                            continue;
                        }
                        let colour = if is_window { [90.0, 100.0, 108.0] } else { [206.0, 186.0, 148.0] };
                        let tint = self.random.range(-10.0, 10.0);
                        self.echo(p + (q - p) * along, base + up, 6, shade(colour, tint));
                    }
                }
            }
        }
    }

    fn crown(&mut self, tree: &Tree, spacing: f64) {
        let base = self.city.ground.at(tree.at);
        let radius = tree.crown_m / 2.0;
        let count = (radius * radius * 22.0 * (0.26 / spacing)) as usize + 12;
        for _ in 0..count {
            // on a rough ball: a random direction of the lattice of three uniforms
            let v =
                DVec3::new(self.random.range(-1.0, 1.0), self.random.range(-1.0, 1.0), self.random.range(-0.8, 1.0));
            let v = v / v.length().max(0.2) * self.random.range(0.75, 1.0);
            let p = tree.at + DVec2::new(v.x, v.y) * radius;
            let z = base + tree.height_m * 0.64 + v.z * tree.height_m * 0.36;
            let tint = self.random.range(-18.0, 22.0);
            self.echo(p, z, 5, shade([82.0, 108.0, 58.0], tint));
        }
        for _ in 0..8 {
            let up = self.random.range(0.1, 0.4) * tree.height_m;
            self.echo(tree.at, base + up, 4, [96.0, 80.0, 64.0]);
        }
    }
}

fn eave(b: &Building) -> f64 {
    if b.pitched { b.height_m * 0.74 } else { b.height_m }
}

/// Height of a roof over the building's foot: hips rise from every wall.
fn roof_height(b: &Building, p: DVec2) -> f64 {
    if !b.pitched {
        return b.height_m;
    }
    let n = b.ring.len();
    let edge = (0..n).map(|i| segment_distance(p, b.ring[i], b.ring[(i + 1) % n]).0).fold(f64::INFINITY, f64::min);
    (eave(b) + edge * 0.62).min(b.height_m)
}

fn shade(rgb: [f64; 3], by: f64) -> [f64; 3] {
    rgb.map(|v| (v + by).clamp(0.0, 255.0))
}

fn pack(city: &City<'_>, echoes: &[Echo]) -> Result<(Vec<u8>, u64), SampleError> {
    let failed = |e: las::Error| SampleError::Encode { what: "LAZ scan", reason: e.to_string() };
    let shift = city.recipe.shift();
    let mut builder = Builder::from((1, 4));
    builder.date = NaiveDate::from_ymd_opt(2026, 3, 31);
    builder.generating_software = "groundline-sample".into();
    builder.system_identifier = "sample".into();
    builder.point_format = Format::new(7).map_err(failed)?;
    builder.point_format.is_compressed = true;
    let corner = city.recipe.scan.at + shift;
    let scaled = |offset: f64| Transform { scale: 0.001, offset };
    builder.transforms = Vector { x: scaled(corner.x.floor()), y: scaled(corner.y.floor()), z: scaled(0.0) };
    let mut header = builder.into_header().map_err(failed)?;
    header.set_wkt_crs(WKT.as_bytes().to_vec()).map_err(failed)?;
    let mut writer = Writer::new(Cursor::new(Vec::new()), header).map_err(failed)?;
    for (k, echo) in echoes.iter().enumerate() {
        let colour = echo.rgb.map(|v| (v as u16) << 8 | v as u16);
        let point = Point {
            x: echo.at.x + shift.x,
            y: echo.at.y + shift.y,
            z: echo.at.z,
            intensity: (echo.rgb.iter().sum::<f64>() * 60.0) as u16,
            return_number: 1,
            number_of_returns: 1,
            classification: Classification::new(echo.class).map_err(failed)?,
            gps_time: Some(459_000_000.0 + k as f64 / 200_000.0),
            color: Some(Color::new(colour[0], colour[1], colour[2])),
            ..Point::default()
        };
        writer.write_point(point).map_err(failed)?;
    }
    writer.close().map_err(failed)?;
    let bytes = writer.into_inner().map_err(failed)?.into_inner();
    Ok((bytes, echoes.len() as u64))
}
