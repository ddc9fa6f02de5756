//! Small files of every coding, damaged copies.

use groundline_engine::model::Geometry;

use super::*;
use crate::{
    cloud::tests::{METRIC, batch, codes, positions, trial},
    trial::miscounts,
};

const CLOUD: &str = "ply\nformat ascii 1.0\nelement vertex 3\nproperty double x\nproperty double y\nproperty double z\n\
                     property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n\
                     1 2 3 255 0 0\n4 5 6 0 255 0\n7 8 9 0 0 255\n";

const MESH: &str = "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n\
                    element face 2\nproperty list uchar int vertex_indices\nend_header\n\
                    0 0 0\n1 0 0\n1 1 0\n0 1 2\n4 0 1 2 3\n3 0 1 3\n";

/// The cloud in a binary coding.
fn binary(is_big: bool) -> Vec<u8> {
    let coding = if is_big { "binary_big_endian" } else { "binary_little_endian" };
    let mut bytes = CLOUD.split("1 2 3").next().unwrap().replace("ascii", coding).into_bytes();
    for (at, rgb) in [([1.0, 2.0, 3.0], [255, 0, 0]), ([4.0, 5.0, 6.0], [0, 255, 0]), ([7.0, 8.0, 9.0], [0, 0, 255])] {
        for value in at {
            let value: f64 = value;
            bytes.extend_from_slice(&if is_big { value.to_be_bytes() } else { value.to_le_bytes() });
        }
        bytes.extend_from_slice(&rgb);
    }
    bytes
}

#[test]
fn the_three_codings_hold_the_same_cloud() {
    for bytes in [CLOUD.as_bytes().to_vec(), binary(false), binary(true)] {
        let trial = trial(&FORMAT, "a.ply", &bytes);
        assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
        assert_eq!(
            positions(&trial.objects),
            [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]].map(DVec3::from_array)
        );
        assert_eq!(batch(&trial.objects).colours, [[255, 0, 0], [0, 255, 0], [0, 0, 255]]);
        assert_eq!(codes(&trial), Vec::<&str>::new());
        assert_eq!(trial.probe.unwrap().source_extent, Some([1.0, 2.0, 7.0, 8.0]));
    }
}

#[test]
fn faces_make_a_mesh_of_triangles() {
    let trial = trial(&FORMAT, "m.ply", MESH.as_bytes());
    let Geometry::Mesh(mesh) = &trial.objects[0].geometry else { panic!("no mesh") };
    assert_eq!(mesh.parts.len(), 1);
    assert_eq!((mesh.parts[0].positions.len(), mesh.parts[0].indices.len()), (4, 9));
    assert_eq!(mesh.origin, DVec3::new(0.5, 0.5, 1.0));
    assert_eq!(trial.probe.unwrap().kind, Kind::Objects);
    assert_eq!((trial.report.objects, trial.report.points), (1, 0));
}

#[test]
fn a_bad_line_is_skipped_with_its_reason_and_a_missing_one_is_an_error() {
    let bad = trial(&FORMAT, "b.ply", CLOUD.replace("4 5 6", "4 five 6").as_bytes());
    assert_eq!((bad.report.points, bad.report.skipped), (2, 1));
    assert_eq!((bad.report.skips[0].record, bad.report.skips[0].reason.as_str()), (2, "y: five is no number"));
    let short = trial(&FORMAT, "s.ply", CLOUD.trim_end_matches("7 8 9 0 0 255\n").as_bytes());
    let text = short.outcome.unwrap_err().to_string();
    assert!(
        text.contains("vertex 3: the file ends here, 3 are promised") || text.contains("are promised, which take"),
        "{text}"
    );
    let faces = trial(&FORMAT, "f.ply", MESH.replace("3 0 1 3", "3 0 1 9").as_bytes());
    assert_eq!(faces.report.skips[0].reason, "face: there is no vertex 9");
}

#[test]
fn a_header_that_boasts_is_refused_and_other_words_are_other_formats() {
    let boast = trial(&FORMAT, "b.ply", CLOUD.replace("vertex 3", "vertex 99999999999").as_bytes());
    assert!(boast.objects.is_empty());
    assert!(boast.outcome.unwrap_err().to_string().contains("99999999999 vertex are promised"));
    assert!(trial(&FORMAT, "o.ply", b"polygon file\n").probe.is_none());
    let list = trial(&FORMAT, "l.ply", MESH.replace("4 0 1 2 3", "4000000000 0 1 2 3").as_bytes());
    assert!(list.report.skips[0].reason.contains("a list of 4000000000 values"));
}

#[test]
fn splats_are_points_with_their_base_colour() {
    let text = "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n\
                property float f_dc_0\nproperty float f_dc_1\nproperty float f_dc_2\nproperty float opacity\nend_header\n\
                0 0 1 0 1.7724538 -1.7724538 0.5\n";
    let trial = trial(&FORMAT, "s.ply", text.as_bytes());
    assert_eq!(batch(&trial.objects).colours, [[128, 255, 0]]);
    assert_eq!(codes(&trial), ["splats_as_points"]);
}

#[test]
fn damaged_copies_neither_panic_nor_hang_nor_miscount() {
    for (name, bytes) in
        [("a.ply", CLOUD.as_bytes().to_vec()), ("b.ply", binary(false)), ("m.ply", MESH.as_bytes().to_vec())]
    {
        let found = miscounts(&FORMAT, name, &bytes, &Options::default(), METRIC);
        assert_eq!(found, Vec::<String>::new(), "{name}");
    }
}
