//! Small grids, a real one held against GDAL, damaged copies.

use groundline_engine::model::{Geometry, HeightGrid};

use super::*;
use crate::{
    cloud::tests::{METRIC, codes, trial},
    las::tests::shared_data,
    trial::{Trial, miscounts},
};

const GRID: &str =
    "ncols 3\nnrows 2\nxllcorner 100\nyllcorner 200\ncellsize 10\nNODATA_value -9999\n1 2 3\n4 -9999 6.5\n";

fn grid(trial: &Trial) -> &HeightGrid {
    match trial.objects.first().map(|o| &o.geometry) {
        Some(Geometry::Heights(grid)) => grid,
        other => panic!("no heights but {other:?}; {:?}", trial.outcome),
    }
}

#[test]
fn rows_run_from_north_to_south_and_samples_lie_in_the_middle_of_cells() {
    for text in [GRID.to_owned(), GRID.replace("xllcorner 100\nyllcorner 200", "XLLCENTER 105\nYLLCENTER 205")] {
        let trial = trial(&FORMAT, "a.asc", text.as_bytes());
        let grid = grid(&trial);
        assert_eq!((grid.columns, grid.rows), (3, 2));
        assert_eq!((grid.north_west, grid.step_m), (DVec2::new(105.0, 215.0), DVec2::splat(10.0)));
        assert_eq!(grid.heights[..4], [1.0, 2.0, 3.0, 4.0]);
        assert!(grid.heights[4].is_nan() && grid.heights[5] == 6.5);
        assert_eq!(codes(&trial), Vec::<&str>::new());
        assert_eq!(trial.report.objects, 1);
    }
}

#[test]
fn lines_may_break_anywhere_and_the_usual_no_data_is_taken_with_a_word() {
    let text = GRID.replace("NODATA_value -9999\n", "").replace("1 2 3\n4", "1\n2 3 4");
    let trial = trial(&FORMAT, "a.asc", text.as_bytes());
    assert!(grid(&trial).heights[4].is_nan());
    assert_eq!(codes(&trial), ["nodata_assumed"]);
}

#[test]
fn what_is_missing_or_too_much_is_said() {
    let short = trial(&FORMAT, "s.asc", GRID.trim_end_matches(" 6.5\n").as_bytes());
    let text = short.outcome.unwrap_err().to_string();
    assert!(text.contains("6 heights are promised, the file ends after 5"), "{text}");
    let more = trial(&FORMAT, "m.asc", format!("{GRID}7").as_bytes());
    assert_eq!(codes(&more), ["trailing_data"]);
    let word = trial(&FORMAT, "w.asc", GRID.replace(" 2 ", " two ").as_bytes());
    assert_eq!((word.report.skips[0].record, word.report.skips[0].reason.as_str()), (2, "two is no height"));
    let boast = trial(&FORMAT, "b.asc", GRID.replace("ncols 3", "ncols 3000000000").as_bytes());
    assert!(boast.outcome.unwrap_err().to_string().contains("do not fit"));
}

#[test]
fn a_list_of_points_with_the_same_ending_is_left_to_others() {
    assert!(trial(&FORMAT, "p.asc", b"1 2 3\n4 5 6\n").probe.is_none());
    assert!(trial(&crate::xyz::FORMAT, "p.asc", b"1 2 3\n4 5 6\n").probe.is_some());
    assert!(trial(&crate::xyz::FORMAT, "g.asc", GRID.as_bytes()).probe.is_none());
}

#[test]
fn a_real_grid_has_the_place_and_the_heights_that_gdal_reads() {
    let Some(data) = shared_data() else { return };
    let path = data.join("gis/raster/fine_topo.asc");
    let trial = Trial::of(&FORMAT, &path, &Options::default(), METRIC);
    let grid = grid(&trial);
    assert_eq!((grid.columns, grid.rows), (180, 100));
    assert_eq!((grid.north_west, grid.step_m), (DVec2::new(500.0, 99_500.0), DVec2::splat(1000.0)));
    // gdalinfo -stats: Minimum=1.111, Maximum=106.799, Mean=65.993
    let valid: Vec<f64> = grid.heights.iter().filter(|h| h.is_finite()).map(|h| f64::from(*h)).collect();
    let (low, high) = valid.iter().fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
    let mean = valid.iter().sum::<f64>() / valid.len() as f64;
    assert!(
        (low - 1.111).abs() < 1e-3 && (high - 106.799).abs() < 1e-3 && (mean - 65.993).abs() < 1e-3,
        "{low} {high} {mean}"
    );
}

#[test]
fn damaged_copies_neither_panic_nor_hang_nor_miscount() {
    let found = miscounts(&FORMAT, "a.asc", GRID.as_bytes(), &Options::default(), METRIC);
    assert_eq!(found, Vec::<String>::new());
}
