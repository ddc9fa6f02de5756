//! Separators, columns, tables that belong to others, damaged copies.

use glam::DVec3;

use super::*;
use crate::{
    cloud::tests::{METRIC, batch, codes, positions, trial},
    trial::miscounts,
};

#[test]
fn separators_are_found() {
    for text in [
        "1.5 2 3\n4 5 6\n",
        "1.5,2,3\n4,5,6\n",
        "1.5;2;3;\n4;5;6;\n",
        "1.5\t2\t3\n4\t5\t6",
        "1,5 2,0 3,0\r\n4,0 5,0 6,0\r\n",
        "1,5;2;3\n4,0;5;6\n",
        "1.5, 2, 3\n4, 5, 6\n",
    ] {
        let trial = trial(&FORMAT, "a.xyz", text.as_bytes());
        assert!(trial.outcome.is_ok() && trial.probe.is_some(), "{text}: {:?}", trial.outcome);
        assert_eq!(positions(&trial.objects), [DVec3::new(1.5, 2.0, 3.0), DVec3::new(4.0, 5.0, 6.0)], "{text}");
    }
}

#[test]
fn columns_are_those_of_the_header_or_of_the_numbers() {
    let row = |text: &str, name: &str| trial(&FORMAT, name, text.as_bytes());
    let named = row("//Y X Z Intensity R G B\n2 1 3 7 10 20 30\n5 4 6 9 10 20 31\n", "a.xyz");
    assert_eq!(positions(&named.objects)[0], DVec3::new(1.0, 2.0, 3.0));
    assert_eq!((batch(&named.objects).intensities[1], batch(&named.objects).colours[1]), (9, [10, 20, 31]));
    assert_eq!(codes(&named), Vec::<&str>::new());
    let coloured = row("1 2 3 255 0 0\n4 5 6 0 255 9\n", "a.xyz");
    assert_eq!(batch(&coloured.objects).colours, [[255, 0, 0], [0, 255, 9]]);
    assert_eq!(codes(&coloured), ["columns_assumed"]);
    let normals = row("1 2 3 0 0 1\n4 5 6 0.6 0.8 0\n", "a.xyz");
    assert!(batch(&normals.objects).colours.is_empty() && batch(&normals.objects).intensities.is_empty());
    let numbered = row("1 10 20 30\n2 11 21 31\n3 12 22 32\n", "a.xyz");
    assert_eq!(positions(&numbered.objects)[2], DVec3::new(12.0, 22.0, 32.0));
    let shares = row("1 2 3 0.5 0.25 1\n4 5 6 0 0 0.1\n", "a.xyz");
    assert_eq!(batch(&shares.objects).colours[0], [128, 64, 255]);
}

#[test]
fn pts_promises_its_points_and_may_hold_several_scans() {
    let text = "2\n1 2 3 -2048 255 0 0\n4 5 6 2047 0 0 9\n1\n7 8 9 0 1 1 1\n";
    let whole = trial(&FORMAT, "a.pts", text.as_bytes());
    assert_eq!((whole.report.points, whole.report.skipped), (3, 0));
    assert_eq!(batch(&whole.objects).intensities, [0, 65535, 32776]);
    assert!(!codes(&whole).contains(&"count_mismatch"));
    let short = trial(&FORMAT, "a.pts", text.replace("7 8 9 0 1 1 1\n", "").as_bytes());
    assert!(codes(&short).contains(&"count_mismatch"));
}

#[test]
fn tables_with_words_are_left_to_others() {
    for text in [
        "time,value\n2024-01-01 00:00,5\n",
        "管线点号,X坐标,Y坐标,地面高程\nJS1,100.5,200.5,3.5\nJS2,101,201,3.6\n",
        "id x y z\n1 2 3 4\n",
        "just words\n",
        "1 2\n3 4\n",
        "1 2 3\n4 5 6 7\n",
        "",
    ] {
        assert!(trial(&FORMAT, "a.txt", text.as_bytes()).probe.is_none(), "{text}");
    }
    assert!(trial(&FORMAT, "a.txt", b"# a comment\n1 2 3\n4 5 6\n").probe.is_some());
}

#[test]
fn a_bad_line_is_skipped_with_its_number() {
    let trial = trial(&FORMAT, "a.xyz", b"X Y Z\n1 2 3\n4 x 6\n7 8\n7 8 nan\n9 9 9\n");
    assert_eq!((trial.report.points, trial.report.skipped), (2, 3));
    let skips: Vec<(u64, &str)> = trial.report.skips.iter().map(|s| (s.record, s.reason.as_str())).collect();
    assert_eq!(skips[..2], [(3, "x is no number"), (4, "2 numbers instead of 3")]);
}

#[test]
fn damaged_copies_neither_panic_nor_hang_nor_miscount() {
    let text: String = (0..40).map(|i| format!("{} {} {}\n", 500_000 + i, 4_000_000 + 2 * i, i)).collect();
    let found = miscounts(&FORMAT, "a.xyz", text.as_bytes(), &Options::default(), METRIC);
    assert_eq!(found, Vec::<String>::new());
}
