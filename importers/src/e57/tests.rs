//! Files written by the same crate's writer: poses, spherical coordinates, states; and files that are damaged.

use std::io::Cursor;

use ::e57::{E57Writer, Quaternion, Record, Transform, Translation};

use super::*;
use crate::{
    cloud::tests::{METRIC, batch, codes, positions, trial},
    trial::miscounts,
};

const DOUBLE: RecordDataType = RecordDataType::Double { min: None, max: None };

fn record(name: RecordName, data_type: RecordDataType) -> Record {
    Record { name, data_type }
}

fn whole(min: i64, max: i64) -> RecordDataType {
    RecordDataType::Integer { min, max }
}

/// One scan: its GUID, its fields, its pose and its points.
type Made = (&'static str, Vec<Record>, Option<Transform>, Vec<Vec<RecordValue>>);

fn file(scans: Vec<Made>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = E57Writer::new(&mut bytes, "file").unwrap();
    for (guid, fields, pose, points) in scans {
        let mut scan = writer.add_pointcloud(guid, fields).unwrap();
        scan.set_transform(pose);
        for point in points {
            scan.add_point(point).unwrap();
        }
        scan.finalize().unwrap();
    }
    writer.finalize().unwrap();
    drop(writer);
    bytes.into_inner()
}

fn cartesian() -> Vec<Record> {
    use RecordName as N;
    vec![record(N::CartesianX, DOUBLE), record(N::CartesianY, DOUBLE), record(N::CartesianZ, DOUBLE)]
}

fn spherical() -> Vec<Record> {
    use RecordName as N;
    vec![
        record(N::SphericalRange, DOUBLE),
        record(N::SphericalAzimuth, DOUBLE),
        record(N::SphericalElevation, DOUBLE),
        record(N::SphericalInvalidState, whole(0, 2)),
    ]
}

fn doubles(values: [f64; 3]) -> Vec<RecordValue> {
    values.map(RecordValue::Double).to_vec()
}

fn two_scans() -> Vec<u8> {
    use std::f64::consts::FRAC_PI_2;
    let mut fields = cartesian();
    fields.extend(
        [RecordName::ColorRed, RecordName::ColorGreen, RecordName::ColorBlue].map(|n| record(n, whole(0, 255))),
    );
    fields.push(record(RecordName::Intensity, whole(0, 4095)));
    let coloured = |at: [f64; 3], rest: [i64; 4]| {
        let mut values = doubles(at);
        values.extend(rest.map(RecordValue::Integer));
        values
    };
    // A quarter turn about z, then 10 to the east.
    let half = (FRAC_PI_2 / 2.0).sin_cos();
    let pose = Transform {
        rotation: Quaternion { w: half.1, x: 0.0, y: 0.0, z: half.0 },
        translation: Translation { x: 10.0, y: 0.0, z: 1.0 },
    };
    let state = |at: [f64; 3], state: i64| {
        let mut values = doubles(at);
        values.push(RecordValue::Integer(state));
        values
    };
    file(vec![
        (
            "{first}",
            fields,
            Some(pose),
            vec![coloured([1.0, 0.0, 0.0], [255, 128, 0, 4095]), coloured([0.0, 2.0, 0.0], [0, 0, 9, 0])],
        ),
        (
            "second",
            spherical(),
            None,
            vec![
                state([2.0, 0.0, 0.0], 0),
                state([0.0, 1.0, 0.0], 1),
                state([0.0, 0.0, 0.0], 2),
                state([3.0, FRAC_PI_2, FRAC_PI_2 / 3.0], 0),
            ],
        ),
    ])
}

#[test]
fn every_scan_is_an_object_moved_by_its_pose() {
    let trial = trial(&FORMAT, "two.e57", &two_scans());
    assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
    let ids: Vec<&str> = trial.objects.iter().map(|o| o.id.as_str()).collect();
    assert_eq!(ids, ["t/first", "t/second"]);
    assert_eq!((trial.report.objects, trial.report.points, trial.report.skipped), (2, 4, 2));
    let expected = [
        DVec3::new(10.0, 1.0, 1.0),
        DVec3::new(8.0, 0.0, 1.0),
        DVec3::new(2.0, 0.0, 0.0),
        DVec3::new(0.0, 3.0 * (std::f64::consts::PI / 6.0).cos(), 1.5),
    ];
    for (got, expected) in positions(&trial.objects).iter().zip(expected) {
        assert!(got.distance(expected) < 1e-9, "{got} is not {expected}");
    }
    let first = batch(&trial.objects);
    assert_eq!(first.colours, [[255, 128, 0], [0, 0, 9]]);
    assert_eq!(first.intensities, [65535, 0]);
    assert_eq!(codes(&trial), ["invalid_points"]);
    assert_eq!(trial.report.skips[0].record, 4, "counted through all scans");
    assert_eq!(trial.probe.unwrap().records, Some(6));
}

#[test]
fn a_scan_that_promises_more_points_than_it_stores_is_refused_before_any_goes_out() {
    let points = (0..5000).map(|i| doubles([f64::from(i), 0.0, 0.0])).collect();
    let whole = file(vec![("many", cartesian(), None, points)]);
    let text = trial(&FORMAT, "many.e57", &whole);
    assert_eq!(text.report.points, 5000);
    // The XML section is checksummed: the count is changed in the file's own writer.
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = E57Writer::new(&mut bytes, "file").unwrap();
    let mut scan = writer.add_pointcloud("many", cartesian()).unwrap();
    for i in 0..5000 {
        scan.add_point(doubles([f64::from(i), 0.0, 0.0])).unwrap();
    }
    scan.finalize().unwrap();
    writer.finalize_customized_xml(|xml| Ok(xml.replace("recordCount=\"5000\"", "recordCount=\"99999999\""))).unwrap();
    drop(writer);
    let trial = trial(&FORMAT, "many.e57", &bytes.into_inner());
    assert!(trial.objects.is_empty());
    let text = trial.outcome.unwrap_err().to_string();
    assert!(text.contains("scan 1: 99999999 points promised, 5"), "{text}");
}

#[test]
fn fields_without_bits_do_not_fill_memory() {
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = E57Writer::new(&mut bytes, "file").unwrap();
    let fields = cartesian().into_iter().map(|r| record(r.name, whole(0, 77))).collect();
    let mut scan = writer.add_pointcloud("many", fields).unwrap();
    scan.add_point(vec![RecordValue::Integer(0); 3]).unwrap();
    scan.finalize().unwrap();
    writer.finalize_customized_xml(|xml| Ok(xml.replace("maximum=\"77\"", "maximum=\"0\""))).unwrap();
    drop(writer);
    let trial = trial(&FORMAT, "none.e57", &bytes.into_inner());
    let text = trial.outcome.unwrap_err().to_string();
    assert!(text.contains("no field with more than one value"), "{text}");
}

#[test]
fn damaged_copies_neither_panic_nor_hang_nor_miscount() {
    let found = miscounts(&FORMAT, "two.e57", &two_scans(), &Options::default(), METRIC);
    assert_eq!(found, Vec::<String>::new());
}
