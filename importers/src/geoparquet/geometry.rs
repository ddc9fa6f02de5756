//! A geometry column's value: WKB, or nested lists of x and y (the native encodings of GeoParquet 1.1).

use arrow_array::{Array, ArrayRef, StructArray, cast::AsArray, types::Float64Type};
use glam::DVec3;
use groundline_engine::model::Polygon;

use super::geo::Encoding;
use crate::feature::{Shape, wkb};

/// The shape in a row; the error says what is wrong.
pub(super) fn shape(array: &ArrayRef, row: usize, encoding: Encoding) -> Result<Shape, String> {
    if array.is_null(row) {
        return Ok(Shape::default());
    }
    let mut shape = Shape::default();
    let has_z = &mut shape.has_z;
    match encoding {
        Encoding::Wkb => return wkb::shape(bytes(array, row).ok_or("its geometry column holds no bytes")?),
        Encoding::Point => {
            // An empty point is written as NaN.
            let place = vertices(&array.slice(row, 1), has_z)?;
            shape.points.extend(place.into_iter().filter(|v| v.is_finite()));
        }
        Encoding::MultiPoint => shape.points = finite(vertices(&items(array, row)?, has_z)?)?,
        Encoding::Line => shape.lines = vec![finite(vertices(&items(array, row)?, has_z)?)?],
        Encoding::MultiLine => shape.lines = rings(&items(array, row)?, has_z)?,
        Encoding::Polygon => shape.polygons = polygon(rings(&items(array, row)?, has_z)?).into_iter().collect(),
        Encoding::MultiPolygon => {
            let polygons = items(array, row)?;
            for i in 0..polygons.len() {
                shape.polygons.extend(polygon(rings(&items(&polygons, i)?, has_z)?));
            }
        }
    }
    shape.lines.retain(|line| !line.is_empty());
    Ok(shape)
}

fn bytes(array: &ArrayRef, row: usize) -> Option<&[u8]> {
    if let Some(array) = array.as_binary_opt::<i32>() {
        return Some(array.value(row));
    }
    if let Some(array) = array.as_binary_opt::<i64>() {
        return Some(array.value(row));
    }
    array.as_binary_view_opt().map(|array| array.value(row))
}

fn items(array: &ArrayRef, row: usize) -> Result<ArrayRef, String> {
    if array.is_null(row) {
        return Err("a part of the geometry is missing".into());
    }
    let short = array.as_list_opt::<i32>().map(|list| list.value(row));
    let items = short.or_else(|| array.as_list_opt::<i64>().map(|list| list.value(row)));
    items.ok_or_else(|| "its geometry column is not nested as its encoding asks".into())
}

fn rings(array: &ArrayRef, has_z: &mut bool) -> Result<Vec<Vec<DVec3>>, String> {
    (0..array.len()).map(|i| finite(vertices(&items(array, i)?, has_z)?)).collect()
}

fn polygon(rings: Vec<Vec<DVec3>>) -> Option<Polygon> {
    let mut rings = rings.into_iter();
    rings.next().filter(|outer| !outer.is_empty()).map(|outer| Polygon { outer, holes: rings.collect() })
}

fn vertices(array: &ArrayRef, has_z: &mut bool) -> Result<Vec<DVec3>, String> {
    let group: &StructArray = array.as_struct_opt().ok_or("its vertices are no groups of x and y")?;
    let column = |name: &str| group.column_by_name(name).and_then(|c| c.as_primitive_opt::<Float64Type>());
    let (Some(x), Some(y)) = (column("x"), column("y")) else {
        return Err("its vertices have no x and y".into());
    };
    if group.null_count() + x.null_count() + y.null_count() > 0 {
        return Err("a coordinate is missing".into());
    }
    let z = column("z");
    *has_z |= z.is_some();
    let height = |i: usize| z.filter(|z| z.is_valid(i)).map(|z| z.value(i)).filter(|z| z.is_finite()).unwrap_or(0.0);
    Ok((0..group.len()).map(|i| DVec3::new(x.value(i), y.value(i), height(i))).collect())
}

fn finite(vertices: Vec<DVec3>) -> Result<Vec<DVec3>, String> {
    match vertices.iter().all(|v| v.is_finite()) {
        true => Ok(vertices),
        false => Err("a coordinate is no number".into()),
    }
}
