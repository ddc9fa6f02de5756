//! Golden counts of other people's files, and files that are cut, empty or boastful.

use std::path::PathBuf;

use groundline_engine::crs::{Crs, Transform};
use groundline_engine::model::Geometry;

use super::*;
pub(crate) use crate::trial::Kept;

/// Folder with real files of other people; CI has it, other machines may not.
pub(crate) fn shared_data() -> Option<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("GROUNDLINE_DATA").map(PathBuf::from);
    let found = named
        .into_iter()
        .chain(["../../shared/data", "../shared/data", "../../../shared/data"].map(|p| here.join(p)))
        .find(|p| p.join("MANIFEST.tsv").is_file());
    if found.is_none() {
        println!("no shared data here: set GROUNDLINE_DATA");
    }
    found
}

/// Metric system in which tests place files: nothing is converted.
pub(crate) fn metric_crs() -> Crs {
    Crs::from_epsg(3857).unwrap()
}

/// Reads a file as it stands: source and city share one metric system.
pub(crate) fn read_plain(format: &Format, path: &Path) -> Result<(Kept, SourceReport), ImportError> {
    let options = Options::default();
    let probe = (format.probe)(path, &options)?.expect("the format knows its file");
    let crs = metric_crs();
    let same = Transform::new(&crs, &crs).expect("no change");
    let job = Job { path, probe: &probe, layer: "layer", city_from_source: &same, crs: &crs, options: &options };
    let (mut kept, mut report) = (Kept::default(), SourceReport::default());
    (format.read)(&job, &mut kept, &mut report)?;
    Ok((kept, report))
}

fn points_of(kept: &Kept) -> u64 {
    kept.0.iter().map(|o| if let Geometry::Points(b) = &o.geometry { b.positions.len() as u64 } else { 0 }).sum()
}

/// An uncompressed LAS 1.2 file of format 3 with one point per (x, y, z) and the given colour.
fn small_las(points: &[(i32, i32, i32)], rgb: [u16; 3]) -> Vec<u8> {
    let mut bytes = vec![0u8; 227];
    bytes[..4].copy_from_slice(b"LASF");
    (bytes[24], bytes[25]) = (1, 2);
    bytes[94..96].copy_from_slice(&227u16.to_le_bytes());
    bytes[96..100].copy_from_slice(&227u32.to_le_bytes());
    bytes[104] = 3;
    bytes[105..107].copy_from_slice(&34u16.to_le_bytes());
    bytes[107..111].copy_from_slice(&(points.len() as u32).to_le_bytes());
    for at in [131, 139, 147] {
        bytes[at..at + 8].copy_from_slice(&0.01f64.to_le_bytes());
    }
    for (x, y, z) in points {
        let mut record = [0u8; 34];
        record[..4].copy_from_slice(&x.to_le_bytes());
        record[4..8].copy_from_slice(&y.to_le_bytes());
        record[8..12].copy_from_slice(&z.to_le_bytes());
        record[12..14].copy_from_slice(&7u16.to_le_bytes());
        record[15] = 2;
        for (k, value) in rgb.iter().enumerate() {
            record[28 + 2 * k..30 + 2 * k].copy_from_slice(&value.to_le_bytes());
        }
        bytes.extend_from_slice(&record);
    }
    bytes
}

fn written(bytes: &[u8], name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    (folder, path)
}

#[test]
fn points_come_with_colour_class_and_intensity() {
    for (rgb, expected) in [([255, 128, 0], [255, 128, 0]), ([65535, 32768, 256], [255, 128, 1])] {
        let (_folder, path) = written(&small_las(&[(100, 200, 300), (101, 201, 301)], rgb), "two.las");
        let (kept, report) = read_plain(&FORMAT, &path).unwrap();
        assert_eq!((report.objects, report.points, report.skipped), (1, 2, 0));
        assert_eq!(kept.0[0].id.as_str(), "layer/two");
        let Geometry::Points(batch) = &kept.0[0].geometry else { panic!("no points") };
        assert!(batch.positions[1].distance(DVec3::new(1.01, 2.01, 3.01)) < 1e-9);
        assert_eq!(batch.colours, vec![expected; 2]);
        assert_eq!((batch.classes[0], batch.intensities[0]), (2, 7));
    }
}

#[test]
fn black_is_no_colour() {
    let (_folder, path) = written(&small_las(&[(0, 0, 0)], [0; 3]), "black.las");
    let (kept, _) = read_plain(&FORMAT, &path).unwrap();
    let Geometry::Points(batch) = &kept.0[0].geometry else { panic!("no points") };
    assert!(batch.colours.is_empty());
}

#[test]
fn a_file_that_ends_early_names_the_byte_and_the_point() {
    let whole = small_las(&[(0, 0, 0); 10], [0; 3]);
    for cut in 0..whole.len() {
        let (_folder, path) = written(&whole[..cut], "cut.las");
        let result = LasHeader::read(&path).and_then(|h| match h {
            Some(_) => read_plain(&FORMAT, &path).map(|_| ()),
            None => Err(bad(&path, "byte 0", "no LASF".into())),
        });
        let text = result.expect_err("cut").to_string();
        if cut > 227 {
            let reached = (cut - 227) / 34;
            assert!(text.contains(&format!("byte {cut}")), "{text}");
            assert!(text.contains(&format!("promises 10 points, the file ends after point {reached}")), "{text}");
        }
    }
}

#[test]
fn no_change_of_one_header_byte_makes_it_panic_or_allocate_much() {
    let whole = small_las(&[(1, 2, 3), (4, 5, 6)], [9; 3]);
    let (_folder, path) = written(&whole, "odd.las");
    for at in 0..227 {
        for value in [0u8, 1, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(Some(_)) = (FORMAT.probe)(&path, &Options::default()) {
                let _ = read_plain(&FORMAT, &path);
            }
        }
    }
}

#[test]
fn well_logs_with_the_same_ending_are_left_to_others() {
    let (_folder, path) = written(b"~Version Information\nVERS. 2.0\n", "well.las");
    assert!((FORMAT.probe)(&path, &Options::default()).unwrap().is_none());
}

#[test]
fn counts_of_real_files_are_those_that_laspy_reports() {
    let Some(data) = shared_data() else { return };
    let manifest = std::fs::read_to_string(data.join("MANIFEST.tsv")).unwrap();
    let folders = ["las/", "laz/", "laspy/", "copc/", "bcts_4tiles/", "ign_lidarhd/", "ahn3_delft/"];
    let mut files = 0;
    for line in manifest.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let Some(name) = fields[0].strip_prefix("pointcloud/") else { continue };
        let is_scan = name.ends_with(".las") || name.ends_with(".laz");
        if !is_scan || !folders.iter().any(|f| name.starts_with(f)) {
            continue;
        }
        let path = data.join(fields[0]);
        let count: u64 = fields[5].split(' ').next().and_then(|n| n.parse().ok()).expect("a count");
        if fields[6].ends_with("READ 0") {
            let text = read_plain(&FORMAT, &path).map(|_| ()).expect_err("no points inside").to_string();
            assert!(text.contains("promises 1065 points, the file ends after point 0"), "{text}");
            continue;
        }
        let (kept, report) = read_plain(&FORMAT, &path).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((report.points + report.skipped, points_of(&kept)), (count, report.points), "{name}");
        assert_eq!(report.objects, u64::from(count > 0), "{name}");
        let skipped_or_zero = report.skipped == 0;
        assert!(skipped_or_zero, "{name}: {:?}", report.skips.first());
        // The header of simple1_3.las claims another box than its points have.
        if let Some(bbox) = fields[6].split("bbox ").nth(1).filter(|_| name != "laspy/simple1_3.las") {
            let expected: Vec<f64> = bbox.split([',', ' ']).take(6).filter_map(|n| n.parse().ok()).collect();
            let unit_m = report.warnings.iter().any(|w| w.code.starts_with("height_unit"));
            let got = [report.extent.min.x, report.extent.min.y, report.extent.max.x, report.extent.max.y];
            let plan = [expected[0], expected[1], expected[3], expected[4]];
            for (g, e) in got.iter().zip(plan) {
                assert!((g - e).abs() < 0.06 + 1e-9 * e.abs(), "{name}: {got:?} is not {plan:?}");
            }
            if !unit_m {
                assert!((report.extent.max.z - expected[5]).abs() < 0.06, "{name}: {}", report.extent.max.z);
            }
        }
        files += 1;
    }
    assert!(files > 30, "{files}");
}

#[test]
fn a_compressed_file_cut_anywhere_is_an_error_with_its_place() {
    let Some(data) = shared_data() else { return };
    for name in [
        "laz/autzen_trim.laz",
        "laz/point-version-1-point-wise.laz",
        "ign_lidarhd/test_data_77055_627755_LA93_IGN69_extra_dims.laz",
    ] {
        let whole = std::fs::read(data.join("pointcloud").join(name)).unwrap();
        for part in [0.002, 0.1, 0.5, 0.99] {
            let cut = (whole.len() as f64 * part) as usize;
            let (_folder, path) = written(&whole[..cut], "cut.laz");
            let probe_or_read = LasHeader::read(&path).and_then(|_| read_plain(&FORMAT, &path).map(|_| ()));
            let text = probe_or_read.expect_err(name).to_string();
            assert!(text.contains("cut.laz: byte ") || text.contains("cut.laz: point "), "{text}");
        }
    }
}

#[test]
fn damaged_compressed_points_are_an_error_or_other_points_but_no_panic() {
    let Some(data) = shared_data() else { return };
    let whole = std::fs::read(data.join("pointcloud/laz/extra-bytes.laz")).unwrap();
    let (_folder, path) = written(&whole, "damaged.laz");
    for at in (230..whole.len()).step_by(997) {
        let mut bytes = whole.clone();
        for byte in bytes[at..].iter_mut().take(16) {
            *byte ^= 0xa5;
        }
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(Some(_)) = (FORMAT.probe)(&path, &Options::default()) {
            let _ = read_plain(&FORMAT, &path);
        }
    }
}

#[test]
fn a_scan_that_is_begun_at_a_mark_ends_as_the_whole_does() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain.las");
    let points: Vec<(i32, i32, i32)> = (0..500_000).map(|i| (i % 1000, i / 1000, i % 97)).collect();
    std::fs::write(&plain, small_las(&points, [200, 100, 50])).unwrap();
    // The same compressed, in chunks as usual.
    let packed = folder.path().join("packed.laz");
    let mut reader = Reader::from_path(&plain).unwrap();
    let mut header = las::Builder::from(reader.header().clone());
    header.point_format.is_compressed = true;
    let mut writer = las::Writer::from_path(&packed, header.into_header().unwrap()).unwrap();
    for point in reader.read_points(points.len() as u64).unwrap().points() {
        writer.write_point(point.unwrap()).unwrap();
    }
    writer.close().unwrap();
    for path in [plain, packed] {
        assert_eq!(crate::trial::begin_at_every_mark(&FORMAT, &path), 3);
    }
}
