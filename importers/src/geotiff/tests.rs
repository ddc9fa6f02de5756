//! Golden figures of real rasters as gdalinfo reports them, small made ones, and damaged ones.

use std::path::PathBuf;

use groundline_engine::crs::Transform;
use tiff::{
    encoder::{TiffEncoder, colortype},
    tags::Tag,
};

use super::*;
use crate::las::tests::{Kept, metric_crs, read_plain, shared_data};

fn grids(kept: &Kept) -> Vec<&HeightGrid> {
    kept.0.iter().filter_map(|o| if let Geometry::Heights(g) = &o.geometry { Some(g) } else { None }).collect()
}

/// Writes a float DEM whose north-western outer corner is (1000, 2000), with pixels of 10 m.
fn small_dem(folder: &Path, columns: u32, heights: &[f32], nodata: Option<&str>) -> PathBuf {
    let path = folder.join("dem.tif");
    let file = std::fs::File::create(&path).unwrap();
    let mut encoder = TiffEncoder::new(std::io::BufWriter::new(file)).unwrap();
    let rows = heights.len() as u32 / columns;
    let mut image = encoder.new_image::<colortype::Gray32Float>(columns, rows).unwrap();
    let tags = image.encoder();
    tags.write_tag(Tag::ModelPixelScaleTag, &[10.0f64, 10.0, 0.0][..]).unwrap();
    tags.write_tag(Tag::ModelTiepointTag, &[0.0f64, 0.0, 0.0, 1000.0, 2000.0, 0.0][..]).unwrap();
    if let Some(text) = nodata {
        tags.write_tag(Tag::GdalNodata, text).unwrap();
    }
    image.write_data(heights).unwrap();
    path
}

#[test]
fn a_dem_passes_sample_by_sample_with_its_holes() {
    let folder = tempfile::tempdir().unwrap();
    let path = small_dem(folder.path(), 3, &[1.0, 2.0, 3.0, -1.5, 5.0, 6.5], Some("-1.5"));
    let (kept, report) = read_plain(&FORMAT, &path).unwrap();
    let [grid] = grids(&kept)[..] else { panic!("one grid") };
    assert_eq!((grid.columns, grid.rows, report.objects), (3, 2, 1));
    assert!((grid.north_west - DVec2::new(1005.0, 1995.0)).length() < 1e-9, "{}", grid.north_west);
    assert!((grid.step_m - DVec2::splat(10.0)).length() < 1e-9);
    assert!(grid.heights[3].is_nan());
    assert_eq!((grid.heights[0], grid.heights[5]), (1.0, 6.5));
    assert_eq!(kept.0[0].id.as_str(), "layer/dem");
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
}

#[test]
fn a_sentinel_that_no_tag_names_is_missing_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = small_dem(folder.path(), 2, &[1.0, -9999.0, 3.0, 4.0], None);
    let (kept, report) = read_plain(&FORMAT, &path).unwrap();
    assert!(grids(&kept)[0].heights[1].is_nan());
    assert_eq!(report.warnings[0].code, "nodata_assumed");
}

#[test]
fn blocks_of_a_large_dem_share_their_border_row() {
    let (columns, rows) = (4096u32, 2100u32);
    let folder = tempfile::tempdir().unwrap();
    let heights: Vec<f32> = (0..rows).flat_map(|r| (0..columns).map(move |_| r as f32)).collect();
    let path = small_dem(folder.path(), columns, &heights, None);
    let (kept, report) = read_plain(&FORMAT, &path).unwrap();
    let grids = grids(&kept);
    assert!(grids.len() > 2, "{}", grids.len());
    assert_eq!(report.objects, 1);
    let mut next_row = 0u32;
    for grid in &grids {
        assert!(grid.heights.len() <= BLOCK_SAMPLES);
        assert_eq!(grid.heights[0], next_row as f32);
        assert!((grid.north_west.y - (1995.0 - 10.0 * f64::from(next_row))).abs() < 1e-6);
        next_row += grid.rows - 1;
    }
    assert_eq!(next_row + 1, rows);
}

/// The rows of `grid` when the source comes so many rows at a time.
fn warped(
    affine: &Affine,
    transform: &Transform,
    (columns, rows): (u32, u32),
    heights: &[f32],
    grid: CityGrid,
    at_once: usize,
) -> Vec<Vec<f32>> {
    let mut warper = Warper::new(affine, transform, (columns, rows), 1, grid);
    let mut lines = Vec::new();
    for band in heights.chunks(columns as usize * at_once) {
        warper.push(band);
        while let Some(line) = warper.next_row(sample_height) {
            lines.push(line);
        }
    }
    assert_eq!(lines.len(), grid.rows as usize);
    lines
}

#[test]
fn a_raster_with_rows_from_the_south_is_turned() {
    let affine = Affine { origin: DVec2::ZERO, column: DVec2::new(100.0, 0.0), row: DVec2::new(0.0, 100.0) };
    let crs = metric_crs();
    let same = Transform::new(&crs, &crs).unwrap();
    assert!(aligned_grid(&affine, &same, 3, 2).is_none());
    let grid = covering_grid(&affine, &same, 3, 2, 100).unwrap();
    assert_eq!((grid.columns, grid.rows), (3, 2));
    let turned = warped(&affine, &same, (3, 2), &[1.0, 2.0, 3.0, 4.0, f32::NAN, 6.0], grid, 1).concat();
    assert_eq!((turned[0], turned[2], turned[3], turned[5]), (4.0, 6.0, 1.0, 3.0));
    assert!(turned[1].is_nan());
}

#[test]
fn a_turned_raster_shows_the_same_heights_at_the_same_places() {
    let (sin, cos) = 0.3f64.sin_cos();
    let affine = Affine {
        origin: DVec2::new(500.0, 900.0),
        column: DVec2::new(cos, sin) * 2.0,
        row: DVec2::new(sin, -cos) * 2.0,
    };
    let crs = metric_crs();
    let same = Transform::new(&crs, &crs).unwrap();
    let plane = |p: DVec2| 0.1 * p.x - 0.05 * p.y;
    let (columns, rows) = (90u32, 70u32);
    let heights: Vec<f32> = (0..rows)
        .flat_map(|r| (0..columns).map(move |c| DVec2::new(f64::from(c) + 0.5, f64::from(r) + 0.5)))
        .map(|pixel| plane(affine.at(pixel)) as f32)
        .collect();
    let grid = covering_grid(&affine, &same, columns, rows, 1_000_000).unwrap();
    let mut seen = 0;
    let whole = warped(&affine, &same, (columns, rows), &heights, grid, rows as usize);
    for at_once in [1, 7] {
        let in_bands = warped(&affine, &same, (columns, rows), &heights, grid, at_once);
        let bits = |lines: &[Vec<f32>]| lines.concat().iter().map(|h| h.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&in_bands), bits(&whole), "{at_once} rows at a time");
    }
    for (row, line) in whole.iter().enumerate() {
        for (column, height) in line.iter().enumerate().filter(|(_, h)| h.is_finite()) {
            let place = grid.north_west + DVec2::new(column as f64 + 0.5, -(row as f64) - 0.5) * grid.step_m;
            // Within half a pixel of the edge the outermost sample is held.
            assert!((f64::from(*height) - plane(place)).abs() < 0.2, "{place}");
            seen += 1;
        }
    }
    let area = f64::from(columns * rows) * 4.0 / (grid.step_m.x * grid.step_m.y);
    assert!((f64::from(seen) - area).abs() < 0.03 * area, "{seen} of {area}");
}

#[test]
fn of_a_raster_that_is_turned_a_little_few_rows_are_held() {
    let (sin, cos) = 0.02f64.sin_cos();
    let affine = Affine { origin: DVec2::ZERO, column: DVec2::new(cos, sin), row: DVec2::new(sin, -cos) };
    let crs = metric_crs();
    let same = Transform::new(&crs, &crs).unwrap();
    let (columns, rows) = (500, 3000);
    let grid = covering_grid(&affine, &same, columns, rows, 10_000_000).unwrap();
    let mut warper: Warper<f32> = Warper::new(&affine, &same, (columns, rows), 1, grid);
    assert!(warper.most_held() < u64::from(columns) * 50, "{}", warper.most_held());
    let mut made = 0;
    for row in 0..rows {
        warper.push(&vec![row as f32; columns as usize]);
        while warper.next_row(sample_height).is_some() {
            made += 1;
        }
    }
    assert_eq!(made, grid.rows);
    // Turned by 90° every row needs all of them.
    let affine = Affine { origin: DVec2::ZERO, column: DVec2::new(0.0, 1.0), row: DVec2::new(1.0, 0.0) };
    let grid = covering_grid(&affine, &same, columns, rows, 10_000_000).unwrap();
    let warper: Warper<f32> = Warper::new(&affine, &same, (columns, rows), 1, grid);
    assert_eq!(warper.most_held(), u64::from(columns) * u64::from(rows));
}

#[test]
fn a_large_picture_comes_in_parts_that_follow_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ortho.tif");
    let (columns, rows) = (4096_u32, 1300_u32);
    let rgb: Vec<u8> = (0..columns * rows).flat_map(|i| [(i % 251) as u8 + 1, (i / columns % 250) as u8, 9]).collect();
    let file = std::fs::File::create(&path).unwrap();
    let mut encoder = TiffEncoder::new(std::io::BufWriter::new(file)).unwrap();
    let mut image = encoder.new_image::<colortype::RGB8>(columns, rows).unwrap();
    let tags = image.encoder();
    tags.write_tag(Tag::ModelPixelScaleTag, &[0.5f64, 0.5, 0.0][..]).unwrap();
    tags.write_tag(Tag::ModelTiepointTag, &[0.0f64, 0.0, 0.0, 1000.0, 2000.0, 0.0][..]).unwrap();
    image.write_data(&rgb).unwrap();
    drop(encoder);
    let (kept, report) = read_plain(&FORMAT, &path).unwrap();
    assert_eq!((kept.0.len(), report.objects), (2, 1));
    let (mut all, mut north) = (Vec::new(), 2000.0);
    for object in &kept.0 {
        let Geometry::Picture(part) = &object.geometry else { panic!("no picture") };
        assert_eq!(object.id.as_str(), "layer/ortho");
        assert!((part.north_west.y - north).abs() < 1e-6 && part.rgb.len() <= 12 << 20);
        north -= f64::from(part.rows) * 0.5;
        all.extend_from_slice(&part.rgb);
    }
    assert_eq!(all, rgb);
    assert_eq!(kept.0[0].attributes.len(), 1);
}

#[test]
fn every_truncation_is_an_error_and_none_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = small_dem(folder.path(), 8, &[7.0; 64], None);
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let result = (FORMAT.probe)(&path, &Options::default());
        assert!(result.is_err(), "cut to {cut} of {}", whole.len());
    }
}

#[test]
fn a_header_of_a_hundred_thousand_squared_pixels_allocates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = small_dem(folder.path(), 8, &[7.0; 64], None);
    let mut bytes = std::fs::read(&path).unwrap();
    // Entries of the directory: width 256, height 257, rows per strip 278.
    let directory = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
    let entries = u16::from_le_bytes(bytes[directory..directory + 2].try_into().unwrap()) as usize;
    for k in 0..entries {
        let at = directory + 2 + 12 * k;
        let tag = u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        if [256, 257, 278].contains(&tag) {
            bytes[at + 2] = 4;
            bytes[at + 8..at + 12].copy_from_slice(&100_000u32.to_le_bytes());
        }
    }
    std::fs::write(&path, &bytes).unwrap();
    let text = (FORMAT.probe)(&path, &Options::default()).map(|_| ()).expect_err("boastful").to_string();
    assert!(text.contains("dem.tif"), "{text}");
}

#[test]
fn a_raster_without_place_says_what_is_missing() {
    let Some(data) = shared_data() else { return };
    let path = data.join("gis/raster/autzen-height.tif");
    let text = read_plain(&FORMAT, &path).map(|_| ()).expect_err("no georeference").to_string();
    assert!(text.contains("georeference is missing") && text.contains(".tfw"), "{text}");
}

#[test]
fn many_bands_of_floats_are_refused_by_name() {
    let Some(data) = shared_data() else { return };
    let path = data.join("gis/raster/s2a_fishbourne_rgb.tif");
    let text = read_plain(&FORMAT, &path).map(|_| ()).expect_err("four float bands").to_string();
    assert!(text.contains("bands of 32 bits"), "{text}");
}

#[test]
fn heights_of_real_dems_are_those_that_gdal_reports() {
    let Some(data) = shared_data() else { return };
    // gdalinfo -stats 3.6.2: file, columns, rows, upper left corner, pixel, minimum, maximum, mean.
    type Golden = (&'static str, u32, u32, [f64; 2], [f64; 2], f64, f64, f64);
    let golden: [Golden; 4] = [
        (
            "ky4_elevation.tif",
            587,
            402,
            [4940983.429056217, 3_924_103.766_097_6],
            [90.975199347499, 90.975199347499],
            117.4377746582,
            226.24153137207,
            178.02220738608,
        ),
        (
            "nrw_dom1_32_356_5699_2020.tif",
            1000,
            1000,
            [356000.0, 5700000.0],
            [1.0, 1.0],
            87.290000915527,
            167.74000549316,
            118.92361654588,
        ),
        (
            "youwuzhen_dem30m_beijing54.tif",
            127,
            98,
            [39444018.9, 2842985.8],
            [30.0, 30.0],
            278.32806396484,
            549.51177978516,
            354.40070052088,
        ),
        (
            "capetown_LO19_050M_3318CD.tif",
            641,
            1131,
            [-62012.5, -3735787.5],
            [25.0, 25.0],
            -15.729999542236,
            1106.4200439453,
            60.51807550543,
        ),
    ];
    for (name, columns, rows, corner, step, low, high, mean) in golden {
        let (kept, report) = read_plain(&FORMAT, &data.join("gis/raster").join(name)).unwrap();
        let [grid] = grids(&kept)[..] else { panic!("{name}: one grid") };
        assert_eq!((grid.columns, grid.rows), (columns, rows), "{name}");
        let step = DVec2::from(step);
        assert!((grid.step_m - step).length() < 1e-6, "{name}: {}", grid.step_m);
        let first = DVec2::from(corner) + DVec2::new(0.5, -0.5) * step;
        assert!((grid.north_west - first).length() < 1e-3, "{name}: {} {first}", grid.north_west);
        let valid: Vec<f64> = grid.heights.iter().filter(|h| h.is_finite()).map(|h| f64::from(*h)).collect();
        assert_eq!(valid.len(), grid.heights.len(), "{name}");
        assert!((report.extent.min.z - low).abs() < 1e-4 && (report.extent.max.z - high).abs() < 1e-4, "{name}");
        let got = valid.iter().sum::<f64>() / valid.len() as f64;
        assert!((got - mean).abs() < 1e-3, "{name}: {got}");
    }
}

#[test]
fn colours_of_real_pictures_are_those_that_gdal_reports() {
    let Some(data) = shared_data() else { return };
    // gdalinfo -stats 3.6.2: mean of each band over all pixels.
    for (name, columns, rows, means) in [
        ("cogeo.tif", 1024, 1024, Some([109.97, 120.67, -1.0])),
        ("RGB.byte.tif", 791, 718, Some([29.948, 44.516, 48.113])),
        ("alpha.tif", 1223, 1223, None),
    ] {
        let (kept, report) = read_plain(&FORMAT, &data.join("gis/raster/rasterio").join(name)).unwrap();
        let Geometry::Picture(picture) = &kept.0[0].geometry else { panic!("{name}: no picture") };
        assert_eq!((picture.columns, picture.rows, report.objects), (columns, rows, 1), "{name}");
        for (band, expected) in means.into_iter().flatten().enumerate().filter(|(_, m)| *m >= 0.0) {
            let sum: f64 = picture.rgb.chunks_exact(3).map(|p| f64::from(p[band])).sum();
            let mean = sum / f64::from(columns * rows);
            assert!((mean - expected).abs() < 1.0, "{name} band {band}: {mean} is not {expected}");
        }
    }
}

#[test]
fn the_systems_that_real_files_name_are_found_or_told() {
    let Some(data) = shared_data() else { return };
    for (name, label) in [
        ("ky4_elevation.tif", "3547"),
        ("nrw_dom1_32_356_5699_2020.tif", "25832"),
        ("youwuzhen_dem30m_beijing54.tif", "Beijing"),
    ] {
        let probe = (FORMAT.probe)(&data.join("gis/raster").join(name), &Options::default()).unwrap().unwrap();
        let said = probe.crs.as_ref().map(|c| format!("{} {}", c.label(), c.name)).or(probe.crs_text).unwrap();
        assert!(said.contains(label), "{name}: {said}");
        assert_eq!(probe.kind, Kind::Terrain);
    }
}
