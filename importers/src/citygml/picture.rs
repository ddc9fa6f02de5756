//! The pictures on polygons: with a place for each vertex, or placed in space as a whole.

use std::sync::Mutex;

use glam::{DMat2, DVec2, DVec3};
use groundline_engine::model::{SourceReport, Texture};

use super::{
    Order,
    appearance::{By, Looks, Placing},
    geometry::{Geometries, Polygon},
    member::lock,
};
use crate::{citymodel::Surfaces, texture::Pictures};

/// What is told of pictures that could not be placed.
pub(super) const UNPLACED: &str =
    "pictures whose place is not said in a way that is understood; their surfaces have a plain colour";

/// The picture at an address.
pub(super) fn picture_at(pictures: &Mutex<Pictures>, address: &str) -> Option<Texture> {
    lock(pictures).get(address)
}

/// The picture of a polygon that is placed in space, and the places of its vertices in it, from the bottom up.
pub(super) fn placed(
    pictures: &Mutex<Pictures>,
    placing: &Placing,
    geometries: &Geometries,
    polygon: &Polygon,
    order: Order,
    report: &mut SourceReport,
) -> Option<(Texture, Vec<Vec<[f32; 2]>>)> {
    let texture = picture_at(pictures, &placing.address)?;
    let mut unplaced = || {
        report.warn("texture_not_placed", UNPLACED, &placing.address);
    };
    let (by, from_source) = match &placing.by {
        By::WorldFile => {
            let Some([a, d, b, e, c, f]) = lock(pictures).world_file(&placing.address) else {
                unplaced();
                return None;
            };
            let steps = DMat2::from_cols_array(&[a, d, b, e]);
            // A world file has the east first, whatever the city model does.
            (By::Ground { corner: DVec2::new(c, f), steps }, order)
        }
        by => (by.clone(), Order::East),
    };
    let place: Box<dyn Fn(DVec3) -> DVec2> = match by {
        By::Formula(rows) => Box::new(move |v| {
            let [s, t, q] = rows.map(|[a, b, c, d]| a * v.x + b * v.y + c * v.z + d);
            DVec2::new(s, t) / q
        }),
        By::Ground { corner, steps } if steps.determinant().abs() > 0.0 => {
            let (width, height) = size_of(&texture)?;
            let inverse = steps.inverse();
            Box::new(move |v| {
                // Columns and rows count from the middle of the first pixel.
                let pixel = inverse * (v.truncate() - corner) + 0.5;
                DVec2::new(pixel.x / f64::from(width), 1.0 - pixel.y / f64::from(height))
            })
        }
        _ => {
            unplaced();
            return None;
        }
    };
    let rings: Vec<Vec<DVec2>> =
        geometries.rings(polygon).map(|ring| ring.iter().map(|v| place(from_source.apply(*v))).collect()).collect();
    let all = || rings.iter().flatten();
    if all().any(|uv| !uv.is_finite()) {
        unplaced();
        return None;
    }
    let is_ground = !matches!(placing.by, By::Formula(_));
    if is_ground && all().any(|uv| uv.min_element() < -BESIDE || uv.max_element() > 1.0 + BESIDE) {
        let message = "surfaces that are not whole within the picture that lies on them; they have a plain colour";
        report.warn("texture_outside", message, &placing.address);
        return None;
    }
    Some((texture, rings.iter().map(|ring| ring.iter().map(|uv| uv.as_vec2().to_array()).collect()).collect()))
}

/// How far beside a picture on the ground a surface may lie and still show it, as part of its size.
const BESIDE: f64 = 0.01;

/// Width and height of a picture.
fn size_of(texture: &Texture) -> Option<(u32, u32)> {
    let reader = image::ImageReader::new(std::io::Cursor::new(texture.file())).with_guessed_format().ok()?;
    reader.into_dimensions().ok().filter(|(width, height)| *width > 0 && *height > 0)
}

/// Takes a ring with its places in a picture, from the bottom up, where it has any.
pub(super) fn push_ring(
    surfaces: &mut Surfaces,
    ring: &[DVec3],
    uvs: Option<&[[f32; 2]]>,
    is_reversed: bool,
    place: impl Fn(DVec3) -> DVec3,
) {
    let mut push = |at: usize| {
        let Some(vertex) = ring.get(at).map(|v| place(*v)) else { return };
        // A ring that is closed by its first vertex may have a coordinate less.
        match uvs.and_then(|uvs| uvs.get(at).or_else(|| uvs.first())) {
            Some([u, v]) => surfaces.push_textured(vertex, [*u, 1.0 - v]),
            None => surfaces.push_vertex(vertex),
        }
    };
    match is_reversed {
        true => (0..ring.len()).rev().for_each(&mut push),
        false => (0..ring.len()).for_each(&mut push),
    }
    surfaces.end_ring();
}

/// A ring has another number of texture coordinates than vertices.
#[derive(Debug, PartialEq)]
pub(super) struct Mismatch;

/// The picture of a polygon with the coordinates of each of its rings, from the bottom up. Only where all rings have it.
pub(super) fn picture_of<'m>(
    geometries: &Geometries,
    polygon: &Polygon,
    looks: Looks<'m>,
) -> Result<Option<(&'m str, Vec<&'m [[f32; 2]]>)>, Mismatch> {
    if looks.own.is_none_or(|own| !own.has_pictures()) && !looks.all.has_pictures() {
        return Ok(None);
    }
    let (mut found, mut all): (Option<&str>, Vec<&[[f32; 2]]>) = (None, Vec::new());
    for (id, ring) in geometries.ring_ids(polygon).iter().zip(geometries.rings(polygon)) {
        let Some((address, uvs)) = looks.picture(*id).filter(|_| *id != 0) else { return Ok(None) };
        if found.is_some_and(|first| first != address) {
            return Ok(None);
        }
        let is_closed = ring.len() > 1 && ring.first() == ring.last();
        if uvs.is_empty() || (uvs.len() != ring.len() && !(is_closed && uvs.len() + 1 == ring.len())) {
            return Err(Mismatch);
        }
        found = Some(address);
        all.push(uvs);
    }
    Ok(found.map(|address| (address, all)))
}
