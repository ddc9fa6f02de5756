//! Small files of every coding, one of them written by pypcd4; damaged copies.

use super::*;
use crate::{
    cloud::tests::{METRIC, batch, codes, positions, trial},
    trial::miscounts,
};

const HEAD: &str = "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z intensity\nSIZE 4 4 4 2\nTYPE F F F U\nCOUNT 1 1 1 1\n\
                    WIDTH 3\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 3\nDATA ascii\n";

/// Ten points with x, y, z = 3i, 3i + 1, 3i + 2 and the colour (255, 128, 1), LZF-compressed by pypcd4 1.5.1.
const COMPRESSED_HEAD: &str = "VERSION 0.7\nFIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 1\nWIDTH 10\nHEIGHT 1\n\
                               VIEWPOINT 0.0 0.0 0.0 1.0 0.0 0.0 0.0\nPOINTS 10\nDATA binary_compressed\n";
const COMPRESSED: &[u8] = &[
    128, 0, 0, 0, 160, 0, 0, 0, 1, 0, 0, 64, 0, 4, 64, 64, 0, 0, 192, 32, 3, 1, 16, 65, 32, 11, 32, 3, 0, 112, 32, 3,
    0, 144, 32, 3, 0, 168, 32, 3, 0, 192, 32, 3, 0, 216, 32, 3, 1, 128, 63, 32, 3, 32, 35, 0, 224, 32, 3, 0, 32, 32,
    15, 0, 80, 32, 3, 0, 128, 32, 3, 0, 152, 32, 3, 0, 176, 32, 3, 0, 200, 32, 3, 0, 224, 32, 3, 0, 0, 32, 31, 0, 160,
    32, 3, 0, 0, 32, 11, 0, 48, 32, 3, 0, 96, 32, 3, 0, 136, 32, 3, 0, 160, 32, 3, 0, 184, 32, 3, 0, 208, 32, 3, 5,
    232, 65, 1, 128, 255, 0, 224, 25, 3, 1, 255, 0,
];

fn text() -> Vec<u8> {
    format!("{HEAD}0 0 0 1\n1 2 3 2\nnan nan nan 3\n").into_bytes()
}

fn binary() -> Vec<u8> {
    let mut bytes = HEAD.replace("ascii", "binary").into_bytes();
    for (at, i) in [([0f32, 0.0, 0.0], 1u16), ([1.0, 2.0, 3.0], 2), ([f32::NAN; 3], 3)] {
        at.iter().for_each(|v| bytes.extend_from_slice(&v.to_le_bytes()));
        bytes.extend_from_slice(&i.to_le_bytes());
    }
    bytes
}

fn compressed() -> Vec<u8> {
    [COMPRESSED_HEAD.as_bytes(), COMPRESSED].concat()
}

#[test]
fn text_and_binary_hold_the_same_points_and_nan_is_no_position() {
    for bytes in [text(), binary()] {
        let trial = trial(&FORMAT, "a.pcd", &bytes);
        assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
        assert_eq!(positions(&trial.objects), [DVec3::ZERO, DVec3::new(1.0, 2.0, 3.0)]);
        assert_eq!(batch(&trial.objects).intensities, [1, 2]);
        assert_eq!((trial.report.points, trial.report.skipped, trial.report.skips[0].record), (2, 1, 3));
    }
}

#[test]
fn a_compressed_cloud_is_unpacked() {
    let trial = trial(&FORMAT, "c.pcd", &compressed());
    assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
    let expected: Vec<DVec3> = (0..10).map(|i| DVec3::splat(f64::from(3 * i)) + DVec3::new(0.0, 1.0, 2.0)).collect();
    assert_eq!(positions(&trial.objects), expected);
    assert_eq!(batch(&trial.objects).colours, vec![[255, 128, 1]; 10]);
    assert_eq!(codes(&trial), Vec::<&str>::new());
}

#[test]
fn lzf_that_lies_is_refused() {
    for (packed, length) in
        [(&[0x20u8, 5][..], 3), (&[9, 1][..], 10), (&[0, 1][..], 2), (&[0, 1, 0xe0][..], 300), (&[1, 1, 1][..], 1)]
    {
        assert!(lzf::unpack(packed, length).is_err(), "{packed:?}");
    }
    assert_eq!(lzf::unpack(&[0, 7, 0xe0, 1, 0], 11).unwrap(), [7; 11]);
}

#[test]
fn a_header_that_boasts_or_disagrees_is_refused() {
    let broken = |from: &str, to: &str| {
        let bytes = String::from_utf8(text()).unwrap().replace(from, to);
        trial(&FORMAT, "b.pcd", bytes.as_bytes()).outcome.unwrap_err().to_string()
    };
    assert!(broken("WIDTH 3\nHEIGHT 1", "WIDTH 999999999999\nHEIGHT 999999999999").contains("too many points"));
    assert!(broken("WIDTH 3", "WIDTH 4").contains("4 x 1 are not 3 points"));
    assert!(broken("SIZE 4 4 4 2", "SIZE 4 4 4").contains("4 fields, 3 sizes"));
    assert!(broken("COUNT 1 1 1 1", "COUNT 1 1 1 99999999").contains("field intensity"));
}

#[test]
fn damaged_copies_neither_panic_nor_hang_nor_miscount() {
    for (name, bytes) in [("a.pcd", text()), ("b.pcd", binary()), ("c.pcd", compressed())] {
        let found = miscounts(&FORMAT, name, &bytes, &Options::default(), METRIC);
        assert_eq!(found, Vec::<String>::new(), "{name}");
    }
}
