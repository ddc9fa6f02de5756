use glam::DVec2;

use super::*;

fn grid(columns: u32, rows: u32) -> HeightGrid {
    let heights = (0..columns * rows).map(|i| if i % 97 == 5 { f32::NAN } else { i as f32 * 0.25 }).collect();
    let north_west = DVec2::new(1000.0, 5000.0);
    HeightGrid { north_west, step_m: DVec2::new(2.0, 3.0), columns, rows, heights }
}

fn picture(columns: u32, rows: u32, seed: u8) -> Picture {
    let byte = |i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8 ^ seed;
    let rgb = (0..columns * rows * 3).map(|i| if i / 3 % 11 == 0 { 0 } else { byte(i) }).collect();
    Picture { north_west: DVec2::new(100.0, 200.0), step_m: DVec2::splat(2.0), columns, rows, rgb }
}

/// Parts of so many rows, the last shorter.
fn parts(picture: &Picture, rows: u32) -> Vec<Picture> {
    let row_bytes = picture.columns as usize * 3;
    let cut = picture.rgb.chunks(rows as usize * row_bytes).enumerate();
    cut.map(|(number, rgb)| Picture {
        north_west: picture.north_west - DVec2::new(0.0, f64::from(number as u32 * rows) * picture.step_m.y),
        rows: (rgb.len() / row_bytes) as u32,
        rgb: rgb.to_vec(),
        ..picture.clone()
    })
    .collect()
}

fn photo_of(picture: &Picture, folder: &Path) -> Arc<Photo> {
    let mut rasters = Rasters::new(folder);
    rasters.push_picture("a", picture).unwrap();
    rasters.all().unwrap().1[0].clone()
}

fn pixels_of(photo: &Photo) -> Vec<u8> {
    let mut all = Vec::new();
    photo.each_rows(&mut |rows| all.extend_from_slice(rows)).unwrap();
    all
}

/// What the whole picture looks like at a coarseness.
fn seen(photo: &Photo, texel: f64, pixels: usize) -> Vec<Option<[u8; 3]>> {
    let mut buffer = Vec::new();
    let corner = photo.north_west() + DVec2::new(0.3, -0.3) * texel;
    let sampler = photo.sampler(corner, DVec2::splat(texel), pixels, &mut buffer).unwrap().unwrap();
    (0..pixels * pixels).map(|i| sampler.at(i % pixels, i / pixels)).collect()
}

#[test]
fn heights_come_back_from_disk_and_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut rasters = Rasters::new(folder.path());
    for (columns, rows) in [(300, 270), (128, 128), (1, 5), (129, 1), (2, 2)] {
        let grid = grid(columns, rows);
        rasters.push_heights(&grid).unwrap();
        let raster = rasters.all().unwrap().0.last().unwrap().clone();
        assert_eq!(raster.extent(), grid.extent());
        for held in [false, true] {
            if held {
                raster.hold().unwrap();
                assert_eq!(raster.bytes_on_disk(), 0);
            }
            for (i, height) in grid.heights.iter().enumerate() {
                let (column, row) = (i % columns as usize, i / columns as usize);
                assert_eq!(raster.at(column, row).to_bits(), height.to_bits(), "{column} {row}");
            }
            for i in 0..2000 {
                let place = grid.north_west + DVec2::new(f64::from(i % 83) * 7.3 - 5.0, 5.0 - f64::from(i % 89) * 9.1);
                assert_eq!(raster.height_at(place), grid.height_at(place), "{place}");
            }
            let mut all = Vec::new();
            raster.each_rows(&mut |rows| all.extend_from_slice(rows)).unwrap();
            assert!(all.iter().zip(&grid.heights).all(|(a, b)| a.to_bits() == b.to_bits()));
            assert_eq!(all.len(), grid.heights.len());
        }
    }
    let empty = HeightGrid { heights: vec![f32::NAN; 4], columns: 2, rows: 2, ..grid(2, 2) };
    rasters.push_heights(&empty).unwrap();
    rasters.push_heights(&HeightGrid { columns: 3, ..empty }).unwrap();
    let grids = rasters.all().unwrap().0;
    assert_eq!(grids.len(), 6, "one that contradicts itself is passed over");
    assert!(!grids[5].has_heights() && grids[0].has_heights());
}

#[test]
fn heights_that_cannot_be_read_back_are_said_to_be_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut rasters = Rasters::new(folder.path());
    rasters.push_heights(&grid(300, 300)).unwrap();
    let raster = rasters.all().unwrap().0[0].clone();
    assert!(raster.check().is_ok());
    std::fs::write(folder.path().join("surface-0"), [0; 100]).unwrap();
    assert!(raster.at(7, 9).is_nan());
    assert!(raster.check().is_err() && raster.hold().is_err());
}

#[test]
fn its_own_pixels_come_back_and_coarser_ones_are_means() {
    let folder = tempfile::tempdir().unwrap();
    let rgb: Vec<u8> = (0..8 * 8).flat_map(|i| [10 + i, 100, 200 - i]).collect();
    let photo = photo_of(&Picture { rgb: rgb.clone(), ..picture(8, 8, 0) }, folder.path());
    let mut buffer = Vec::new();
    let own = photo.sampler(DVec2::new(101.0, 199.0), DVec2::splat(2.0), 8, &mut buffer).unwrap().unwrap();
    for (i, pixel) in rgb.chunks_exact(3).enumerate() {
        assert_eq!(own.at(i % 8, i / 8).unwrap(), pixel);
    }
    let coarse = photo.sampler(DVec2::new(102.0, 198.0), DVec2::splat(4.0), 4, &mut buffer).unwrap().unwrap();
    assert_eq!(coarse.at(0, 0), Some([15, 100, 196]), "mean of pixels 0, 1, 8 and 9, rounded half up");
    let mut at = |x: f64, y: f64| {
        let sampler = photo.sampler(DVec2::new(x, y), DVec2::splat(2.0), 1, &mut buffer).unwrap();
        sampler.and_then(|s| s.at(0, 0))
    };
    assert_eq!(at(99.0, 199.0), None, "west of it");
    assert_eq!(at(101.0, 183.0), None, "south of it");
    assert!(at(101.0, 185.0).is_some());
}

#[test]
fn what_has_no_data_is_not_mixed_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut rgb = vec![80; 4 * 4 * 3];
    rgb[..3].fill(0);
    rgb[8 * 3..].fill(0);
    let photo = photo_of(&Picture { rgb, ..picture(4, 4, 0) }, folder.path());
    let mut buffer = Vec::new();
    let coarse = photo.sampler(DVec2::new(102.0, 198.0), DVec2::splat(4.0), 2, &mut buffer).unwrap().unwrap();
    assert_eq!(coarse.at(0, 0), Some([80; 3]), "three of four pixels have data");
    assert_eq!(coarse.at(0, 1), None);
    let mut rasters = Rasters::new(folder.path());
    rasters.push_picture("a", &Picture { columns: 5, ..picture(4, 4, 0) }).unwrap();
    assert!(rasters.all().unwrap().1.is_empty(), "pixels that are not there");
}

#[test]
fn parts_of_a_picture_become_the_same_as_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let whole = picture(611, 533, 7);
    let expected = photo_of(&whole, folder.path());
    assert_eq!(pixels_of(&expected), whole.rgb);
    for rows in [1, 2, 100, 256, 257] {
        let mut rasters = Rasters::new(folder.path());
        parts(&whole, rows).iter().for_each(|part| rasters.push_picture("a", part).unwrap());
        let photos = rasters.all().unwrap().1;
        assert_eq!(photos.len(), 1, "{rows} rows");
        assert_eq!(pixels_of(&photos[0]), whole.rgb);
        assert_eq!(photos[0].extent(), expected.extent());
        for texel in [2.0, 3.1, 9.0, 70.0, 500.0] {
            assert_eq!(seen(&photos[0], texel, 64), seen(&expected, texel, 64), "{rows} rows, {texel} m");
        }
    }
    let mut rasters = Rasters::new(folder.path());
    let cut = parts(&whole, 300);
    rasters.push_picture("a", &cut[0]).unwrap();
    rasters.push_picture("b", &cut[1]).unwrap();
    rasters.push_picture("b", &cut[0]).unwrap();
    assert_eq!(rasters.all().unwrap().1.len(), 3, "another object, and a part that does not follow");
}

#[test]
fn another_process_goes_on_from_any_state() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, grid) = (picture(300, 530, 3), grid(200, 150));
    let expected = photo_of(&whole, &folder.path().join("whole"));
    let cut = parts(&whole, 37);
    for stop in 0..=cut.len() {
        let own = folder.path().join(stop.to_string());
        let mut rasters = Rasters::new(&own);
        rasters.push_heights(&grid).unwrap();
        cut[..stop].iter().for_each(|part| rasters.push_picture("a", part).unwrap());
        let state = serde_json::to_string(&rasters.state().unwrap()).unwrap();
        // What comes after the state is lost.
        rasters.push_picture("c", &whole).unwrap();
        rasters.all().unwrap();
        drop(rasters);
        let mut rasters = Rasters::restore(&own, serde_json::from_str(&state).unwrap()).unwrap();
        cut[stop..].iter().for_each(|part| rasters.push_picture("a", part).unwrap());
        let (grids, photos) = rasters.all().unwrap();
        assert_eq!((grids.len(), photos.len()), (1, 1));
        assert_eq!(grids[0].at(199, 149), *grid.heights.last().unwrap());
        assert_eq!(pixels_of(&photos[0]), whole.rgb, "stopped after part {stop}");
        assert_eq!(seen(&photos[0], 9.0, 64), seen(&expected, 9.0, 64));
    }
    let own = folder.path().join("3");
    let mut rasters = Rasters::new(&own);
    rasters.push_heights(&grid).unwrap();
    let state = rasters.state().unwrap();
    std::fs::write(own.join("surface-1"), b"short").unwrap();
    assert!(Rasters::restore(&own, state).is_err(), "a file that is cut off");
}

#[test]
fn pictures_of_one_row_or_column_are_pictures() {
    let folder = tempfile::tempdir().unwrap();
    for (columns, rows) in [(1, 1), (1, 900), (700, 1), (257, 2)] {
        let whole = picture(columns, rows, 1);
        let photo = photo_of(&whole, folder.path());
        assert_eq!(pixels_of(&photo), whole.rgb);
        for texel in [0.7, 2.0, 64.0, 4000.0] {
            let mut buffer = Vec::new();
            let corner = photo.north_west() + DVec2::new(0.1, -0.1);
            let sampler = photo.sampler(corner, DVec2::splat(texel), 32, &mut buffer).unwrap().unwrap();
            let _ = sampler.at(0, 0);
            drop(sampler);
            assert!(buffer.len() <= 70 * 70 * 3, "{columns} x {rows} at {texel}: {} bytes", buffer.len());
        }
    }
}
