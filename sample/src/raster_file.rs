//! GeoTIFF for the ground, world file for the picture.

use glam::DVec2;
use tiff::{
    encoder::{TiffEncoder, colortype::Gray32Float},
    tags::Tag,
};

use crate::{SampleError, plane::Field};

/// The field as a Float32 GeoTIFF in EPSG:4549, north up, each value the middle of a pixel.
pub(crate) fn geotiff(field: &Field, shift: DVec2) -> Result<Vec<u8>, SampleError> {
    let mut north_up = Vec::with_capacity(field.values.len());
    for row in field.values.chunks_exact(field.width).rev() {
        north_up.extend_from_slice(row);
    }
    let mut out = std::io::Cursor::new(Vec::new());
    let failed = |e: tiff::TiffError| SampleError::Encode { what: "DEM GeoTIFF", reason: e.to_string() };
    let mut encoder = TiffEncoder::new(&mut out).map_err(failed)?;
    let mut image = encoder.new_image::<Gray32Float>(field.width as u32, field.height as u32).map_err(failed)?;
    image.rows_per_strip(64).map_err(failed)?;
    let corner = shift + field.origin + DVec2::new(-0.5, field.height as f64 - 0.5) * field.step;
    // OGC 19-008r4: scale, tie point, and keys: projected model, pixel is area, EPSG:4549, metre, 1985 heights
    let keys: [u16; 24] =
        [1, 1, 0, 5, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 4549, 3076, 0, 1, 9001, 4096, 0, 1, 5737];
    let tags = image.encoder();
    tags.write_tag(Tag::ModelPixelScaleTag, &[field.step, field.step, 0.0][..]).map_err(failed)?;
    tags.write_tag(Tag::ModelTiepointTag, &[0.0, 0.0, 0.0, corner.x, corner.y, 0.0][..]).map_err(failed)?;
    tags.write_tag(Tag::GeoKeyDirectoryTag, &keys[..]).map_err(failed)?;
    tags.write_tag(Tag::GdalNodata, "-9999").map_err(failed)?;
    image.write_data(&north_up).map_err(failed)?;
    Ok(out.into_inner())
}

/// World file of a north-up picture: the corner is the outer corner of its first pixel.
pub(crate) fn world_file(north_west: DVec2, metres_per_pixel: f64) -> Vec<u8> {
    let half = metres_per_pixel / 2.0;
    format!(
        "{metres_per_pixel:.6}\r\n0.000000\r\n0.000000\r\n{:.6}\r\n{:.6}\r\n{:.6}\r\n",
        -metres_per_pixel,
        north_west.x + half,
        north_west.y - half
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::Window;

    #[test]
    fn tiff_crate_reads_it_back() {
        let window = Window { min: DVec2::ZERO, max: DVec2::new(50.0, 30.0) };
        let field = Field::over(window, 5.0, 0.0, |p| (p.x * 100.0 + p.y) as f32);
        let bytes = geotiff(&field, DVec2::new(534_000.0, 3_992_000.0)).unwrap();
        let mut decoder = tiff::decoder::Decoder::new(std::io::Cursor::new(bytes)).unwrap();
        assert_eq!(decoder.dimensions().unwrap(), (11, 7));
        let tie = decoder.get_tag_f64_vec(Tag::ModelTiepointTag).unwrap();
        assert_eq!(&tie[3..5], &[533_997.5, 3_992_032.5]);
        let tiff::decoder::DecodingResult::F32(values) = decoder.read_image().unwrap() else { panic!("not f32") };
        assert_eq!(values[0], 30.0);
    }
}
