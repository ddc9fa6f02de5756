use groundline_engine::model::{CityObject, Class, Geometry, Value, Vertical};

use super::FORMAT;
use crate::{Options, trial, trial::Trial};

/// Pairs as `code value` lines.
fn drawing(blocks: &str, entities: &str) -> String {
    let head = "0 SECTION\n2 HEADER\n9 $ACADVER\n1 AC1015\n9 $DWGCODEPAGE\n3 ANSI_936\n9 $EXTMIN\n10 521000\n20 3993000\n30 0\n9 $EXTMAX\n10 521100\n20 3993100\n30 0\n0 ENDSEC\n";
    let all =
        format!("{head}0 SECTION\n2 BLOCKS\n{blocks}0 ENDSEC\n0 SECTION\n2 ENTITIES\n{entities}0 ENDSEC\n0 EOF\n");
    all.lines().map(|line| line.replacen(' ', "\n", 1) + "\n").collect()
}

fn read_bytes(bytes: &[u8], options: &Options) -> Trial {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.dxf");
    std::fs::write(&path, bytes).unwrap();
    Trial::of(&FORMAT, &path, options, 4549)
}

fn read(blocks: &str, entities: &str) -> Trial {
    read_bytes(&encoding_rs::GB18030.encode(&drawing(blocks, entities)).0, &Options::default())
}

fn find<'t>(trial: &'t Trial, id: &str) -> &'t CityObject {
    trial.objects.iter().find(|o| o.id.as_str() == format!("t/{id}")).unwrap_or_else(|| panic!("no {id}"))
}

#[test]
fn every_kind_of_entity_becomes_its_shape() {
    let plan = read(
        "",
        "0 LINE\n5 A1\n8 道路中线\n10 521000\n20 3993000\n30 0\n11 521010\n21 3993000\n31 0\n\
         0 LWPOLYLINE\n5 A2\n8 建筑物\n90 4\n70 1\n10 521000\n20 3993000\n10 521010\n20 3993000\n10 521010\n20 3993010\n10 521000\n20 3993010\n\
         0 LWPOLYLINE\n5 A3\n8 0\n90 2\n70 0\n10 521000\n20 3993000\n42 1\n10 521002\n20 3993000\n\
         0 POLYLINE\n5 A4\n8 0\n66 1\n70 8\n10 0\n20 0\n30 0\n0 VERTEX\n8 0\n10 521000\n20 3993000\n30 5\n70 32\n0 VERTEX\n8 0\n10 521001\n20 3993000\n30 6\n70 32\n0 SEQEND\n8 0\n\
         0 CIRCLE\n5 A5\n8 0\n10 521000\n20 3993000\n40 2\n\
         0 ARC\n5 A6\n8 0\n10 521000\n20 3993000\n40 2\n50 350\n51 10\n\
         0 POINT\n5 A7\n8 高程点\n10 521000\n20 3993000\n30 12.5\n\
         0 TEXT\n5 A8\n8 注记\n10 521000\n20 3993000\n40 1\n1 五四广场\\U+0041\n\
         0 MTEXT\n5 A9\n8 注记\n10 521000\n20 3993000\n3 {\\fSimSun;第一\n1 行\\P第二行}\n\
         0 3DFACE\n5 AA\n8 0\n10 521000\n20 3993000\n30 0\n11 521001\n21 3993000\n31 0\n12 521001\n22 3993000\n32 3\n13 521000\n23 3993000\n33 3\n\
         0 HATCH\n5 AB\n8 绿地\n10 0\n20 0\n30 0\n2 SOLID\n91 2\n92 2\n72 0\n73 1\n93 4\n10 521000\n20 3993000\n10 521010\n20 3993000\n10 521010\n20 3993010\n10 521000\n20 3993010\n97 0\n92 1\n93 2\n72 2\n10 521005\n20 3993005\n40 1\n50 0\n51 180\n73 1\n72 1\n10 521004\n20 3993005\n11 521006\n21 3993005\n97 0\n75 0\n98 0\n\
         0 SPLINE\n5 AC\n8 0\n70 8\n71 1\n72 4\n73 2\n74 0\n40 0\n40 0\n40 1\n40 1\n10 521000\n20 3993000\n30 1\n10 521003\n20 3993004\n30 1\n0 DIMENSION\n8 0\n0 LINE\n5 AD\n67 1\n8 0\n10 0\n20 0\n11 1\n21 1\n",
    );
    plan.outcome.as_ref().unwrap();
    assert_eq!((plan.objects.len(), plan.report.skipped), (12, 0), "{:?}", plan.report.skips);
    assert_eq!(plan.probe.as_ref().unwrap().source_extent, Some([521_000.0, 3_993_000.0, 521_100.0, 3_993_100.0]));
    let house = find(&plan, "A2");
    assert_eq!((house.class, house.value("layer")), (Class::Building, Some(&Value::Text("建筑物".into()))));
    assert!(matches!(house.geometry, Geometry::Block(_)));
    assert_eq!(find(&plan, "A1").class, Class::Road);
    let Geometry::Line(half) = &find(&plan, "A3").geometry else { panic!() };
    let lowest = half.paths[0].iter().map(|v| v.y).fold(f64::INFINITY, f64::min);
    assert!((lowest - 3_992_999.0).abs() < 1e-6, "a bulge of 1 is half a circle to the right of the way: {lowest}");
    let Geometry::Line(line) = &find(&plan, "A4").geometry else { panic!() };
    assert_eq!((line.vertical, line.paths[0][1].z), (Vertical::Absolute, 6.0));
    assert!(matches!(find(&plan, "A5").geometry, Geometry::Area(_)));
    let Geometry::Line(arc) = &find(&plan, "A6").geometry else { panic!() };
    assert!((arc.paths[0].first().unwrap().y - (3_993_000.0 - 2.0 * 10_f64.to_radians().sin())).abs() < 1e-6);
    assert_eq!(find(&plan, "A8").value("text"), Some(&Value::Text("五四广场A".into())));
    assert_eq!(find(&plan, "A9").value("text"), Some(&Value::Text("第一行\n第二行".into())));
    let Geometry::Mesh(face) = &find(&plan, "AA").geometry else { panic!() };
    assert_eq!(face.parts[0].indices.len(), 6);
    let Geometry::Area(hatch) = &find(&plan, "AB").geometry else { panic!() };
    assert_eq!((hatch.polygons.len(), hatch.polygons[0].holes.len()), (1, 1));
    let codes: Vec<&str> = plan.report.warnings.iter().map(|w| w.code.as_str()).collect();
    assert!(codes.contains(&"left_out_dimension") && codes.contains(&"paper_space"), "{codes:?}");
}

#[test]
fn blocks_are_taken_apart_where_they_stand() {
    let blocks = "0 BLOCK\n2 Well\n10 1\n20 0\n30 0\n0 LINE\n5 B1\n8 0\n10 1\n20 0\n11 2\n21 0\n0 POINT\n5 B2\n8 other\n10 1\n20 0\n0 ENDBLK\n\
                  0 BLOCK\n2 Outer\n10 0\n20 0\n0 INSERT\n5 C1\n8 0\n2 WELL\n10 10\n20 0\n0 INSERT\n5 C2\n8 0\n2 OUTER\n10 0\n20 0\n0 ENDBLK\n";
    let inserts = "0 INSERT\n5 D1\n8 管井\n66 1\n2 Well\n10 521000\n20 3993000\n41 2\n42 2\n43 2\n50 90\n0 ATTRIB\n8 0\n2 NO\n1 W-7\n0 SEQEND\n8 0\n\
                   0 INSERT\n5 D2\n8 L\n2 Outer\n10 521000\n20 3993000\n\
                   0 INSERT\n5 D3\n8 L\n2 Well\n10 521000\n20 3993000\n70 2\n71 2\n44 5\n45 5\n\
                   0 INSERT\n5 D4\n8 L\n2 Nowhere\n10 0\n20 0\n";
    let plan = read(blocks, inserts);
    plan.outcome.as_ref().unwrap();
    assert_eq!((plan.objects.len(), plan.report.skipped), (2 + 2 + 8, 2), "{:?}", plan.report.skips);
    let line = find(&plan, "D1.B1");
    let Geometry::Line(path) = &line.geometry else { panic!() };
    let (from, to) = (path.paths[0][0], path.paths[0][1]);
    assert!((to.x - from.x).abs() < 1e-6 && (to.y - from.y - 2.0).abs() < 1e-6, "turned and twice as long");
    assert!((from.x - 521_000.0).abs() < 1e-6, "the base point lies at the place");
    assert_eq!(line.value("layer"), Some(&Value::Text("管井".into())), "layer 0 is that of the insert");
    assert_eq!(find(&plan, "D1.B2").value("layer"), Some(&Value::Text("other".into())));
    assert_eq!(line.value("NO"), Some(&Value::Text("W-7".into())));
    find(&plan, "D2.C1.B1");
    find(&plan, "D3~4.B2");
}

/// The same pairs as binary DXF.
fn binary(text: &str, is_long: bool) -> Vec<u8> {
    let mut bytes = super::pair::SENTINEL.to_vec();
    let mut lines = text.lines();
    while let (Some(code), Some(value)) = (lines.next(), lines.next()) {
        let code: i16 = code.trim().parse().unwrap();
        match (is_long, code) {
            (true, code) => bytes.extend(code.to_le_bytes()),
            (false, 0..=254) => bytes.push(code as u8),
            (false, code) => {
                bytes.push(255);
                bytes.extend(code.to_le_bytes());
            }
        }
        match code {
            10..=59 | 110..=149 | 210..=239 | 1010..=1059 => bytes.extend(value.parse::<f64>().unwrap().to_le_bytes()),
            60..=79 | 170..=179 | 270..=289 | 1060..=1070 => bytes.extend(value.parse::<i16>().unwrap().to_le_bytes()),
            90..=99 | 1071 => bytes.extend(value.parse::<i32>().unwrap().to_le_bytes()),
            290..=299 => bytes.push(value.parse().unwrap()),
            _ => {
                bytes.extend(&*encoding_rs::GB18030.encode(value).0);
                bytes.push(0);
            }
        }
    }
    bytes
}

const MANY: &str = "0 LWPOLYLINE\n5 A2\n8 建筑物\n90 4\n70 1\n10 521000.25\n20 3993000\n10 521010\n20 3993000\n10 521010\n20 3993010\n10 521000\n20 3993010\n1001 SOUTH\n1000 141101\n1070 7\n\
    0 TEXT\n5 A8\n8 注记\n10 521000\n20 3993000\n40 1\n1 五四广场\n\
    0 POLYLINE\n5 B1\n8 0\n66 1\n70 16\n71 3\n72 2\n10 0\n20 0\n30 0\n0 VERTEX\n8 0\n10 521000\n20 3993000\n30 5\n70 64\n0 VERTEX\n8 0\n10 521001\n20 3993000\n30 6\n70 64\n0 VERTEX\n8 0\n10 521000\n20 3993001\n30 5\n70 64\n0 VERTEX\n8 0\n10 521001\n20 3993001\n30 6\n70 64\n0 VERTEX\n8 0\n10 521000\n20 3993002\n30 5\n70 64\n0 VERTEX\n8 0\n10 521001\n20 3993002\n30 6\n70 64\n0 SEQEND\n8 0\n\
    0 POLYLINE\n5 B2\n8 0\n66 1\n70 64\n71 3\n72 1\n10 0\n20 0\n30 0\n0 VERTEX\n8 0\n10 521000\n20 3993000\n30 5\n70 192\n0 VERTEX\n8 0\n10 521001\n20 3993000\n30 6\n70 192\n0 VERTEX\n8 0\n10 521000\n20 3993001\n30 5\n70 192\n0 VERTEX\n8 0\n10 0\n20 0\n30 0\n70 128\n71 1\n72 -2\n73 3\n0 SEQEND\n8 0\n\
    0 ELLIPSE\n5 B3\n8 0\n10 521000\n20 3993000\n30 0\n11 10\n21 0\n31 0\n40 0.5\n41 0\n42 6.283185307179586\n\
    0 ELLIPSE\n5 B4\n8 0\n10 521000\n20 3993000\n30 0\n11 0\n21 10\n31 0\n40 0.5\n41 0\n42 1.5707963267948966\n\
    0 SOLID\n5 B5\n8 0\n10 521000\n20 3993000\n11 521002\n21 3993000\n12 521000\n22 3993002\n13 521002\n23 3993002\n\
    0 HATCH\n5 B6\n8 0\n10 0\n20 0\n30 0\n2 SOLID\n91 1\n92 1\n93 2\n72 3\n10 521000\n20 3993000\n11 4\n21 0\n40 0.5\n50 0\n51 180\n73 1\n72 1\n10 520996\n20 3993000\n11 521004\n21 3993000\n97 0\n75 0\n98 0\n\
    0 HATCH\n5 B7\n8 0\n10 0\n20 0\n30 0\n2 SOLID\n91 1\n92 1\n93 2\n72 4\n94 2\n73 0\n74 0\n95 6\n96 3\n40 0\n40 0\n40 0\n40 1\n40 1\n40 1\n10 521000\n20 3993000\n10 521002\n20 3993004\n10 521004\n20 3993000\n97 0\n72 1\n10 521004\n20 3993000\n11 521000\n21 3993000\n97 0\n75 0\n98 0\n";

#[test]
fn binary_drawings_are_read_as_their_text_is() {
    let text = drawing("", MANY);
    let plain = read_bytes(&encoding_rs::GB18030.encode(&text).0, &Options::default());
    plain.outcome.as_ref().unwrap();
    assert_eq!((plain.objects.len(), plain.report.skipped), (9, 0), "{:?}", plain.report.skips);
    for is_long in [true, false] {
        let bytes = binary(&text, is_long);
        let read = read_bytes(&bytes, &Options::default());
        read.outcome.as_ref().unwrap();
        assert!(read.objects == plain.objects, "{:?}", read.report);
        assert_eq!(read.probe.unwrap().source_extent, plain.probe.as_ref().unwrap().source_extent);
        let cut = read_bytes(&bytes[..bytes.len() - 30], &Options::default()).outcome.unwrap_err().to_string();
        assert!(cut.contains("byte ") || cut.contains("cut off"), "{cut}");
    }
    let area = |id: &str| {
        let Geometry::Area(area) = &find(&plain, id).geometry else { panic!("{id}: {:?}", find(&plain, id)) };
        crate::feature::signed_area(&area.polygons[0].outer)
    };
    assert_eq!(find(&plain, "A2").value("SOUTH"), Some(&Value::Text("141101; 7".into())));
    for (id, triangles) in [("B1", 4), ("B2", 1)] {
        let Geometry::Mesh(mesh) = &find(&plain, id).geometry else { panic!() };
        assert_eq!(mesh.parts[0].indices.len(), 3 * triangles);
    }
    assert!((area("B3") - std::f64::consts::PI * 50.0).abs() < 0.5, "{}", area("B3"));
    let Geometry::Line(quarter) = &find(&plain, "B4").geometry else { panic!() };
    let (from, to) = (quarter.paths[0][0], quarter.paths[0].last().unwrap());
    assert!((from.y - 3_993_010.0).abs() < 1e-6 && (to.x - 520_995.0).abs() < 1e-6, "{from} {to}");
    assert!((area("B5") - 4.0).abs() < 1e-6);
    assert!((area("B6") - std::f64::consts::PI * 4.0).abs() < 0.05, "{}", area("B6"));
    // two thirds of the triangle around a parabola
    assert!((area("B7") - 16.0 / 3.0).abs() < 0.05, "{}", area("B7"));
}

/// Places on a rational spline of degree 3, by ezdxf 1.4.5 (`BSpline.point`).
const ON_SPLINE: [[f64; 3]; 11] = [
    [0.000000000, 0.000000000, 0.000000000],
    [7.630912162, 13.635979730, 0.107685811],
    [10.941558442, 16.201298701, 0.340909091],
    [14.103860294, 15.179227941, 0.682444853],
    [18.571428571, 12.142857143, 1.071428571],
    [24.628297362, 9.232613909, 1.258992806],
    [31.461412151, 7.422003284, 1.133004926],
    [38.199445983, 6.454293629, 0.789473684],
    [44.660347551, 5.513428120, 0.402843602],
    [51.487572063, 3.679236367, 0.111993195],
    [60.000000000, 0.000000000, 0.000000000],
];

#[test]
fn splines_run_where_ezdxf_has_them() {
    let spline = super::curve::Spline {
        degree: 3,
        knots: vec![0.0, 0.0, 0.0, 0.0, 0.4, 1.0, 1.0, 1.0, 1.0],
        controls: [[0.0, 0.0, 0.0], [10.0, 20.0, 0.0], [30.0, -10.0, 5.0], [40.0, 10.0, 0.0], [60.0, 0.0, 0.0]]
            .map(glam::DVec3::from_array)
            .to_vec(),
        weights: vec![1.0, 2.0, 0.5, 1.0, 1.0],
    };
    let path = spline.path().unwrap();
    assert!(path.len() < 100, "{} vertices", path.len());
    for place in ON_SPLINE.map(glam::DVec3::from_array) {
        let away = path.windows(2).map(|leg| super::curve::distance(place, leg[0], leg[1])).fold(f64::MAX, f64::min);
        assert!(away < 0.01, "{place} is {away} away");
    }
    let broken = |change: fn(&mut super::curve::Spline)| {
        let mut spline = spline.clone();
        change(&mut spline);
        spline.path().unwrap_err()
    };
    assert!(broken(|s| s.knots[4] = 2.0).contains("rise"));
    assert!(broken(|s| s.weights[1] = 0.0).contains("weights"));
    assert!(broken(|s| s.degree = 5).contains("degree"));
    assert!(broken(|s| s.knots.truncate(8)).contains("knots"));
}

#[test]
fn strange_files_are_refused_by_name() {
    let refused = |bytes: &[u8]| read_bytes(bytes, &Options::default()).outcome.unwrap_err().to_string();
    assert!(read_bytes(b"AutoCAD Binary DXF\r\n\x1a\0", &Options::default()).probe.is_none());
    let whole = drawing("", "0 POINT\n5 A\n8 0\n10 521000\n20 3993000\n");
    assert!(refused(&whole.as_bytes()[..whole.len() - 6]).contains("cut off"));
    assert!(
        refused(whole.replace("\n10\n521000\n20\n3993000\n0\nENDSEC", "\nxx\n1\n0\nENDSEC").as_bytes())
            .contains("group code")
    );
    assert!(read_bytes(b"hello\nworld\n", &Options::default()).probe.is_none());
    let wrong = read("", "0 POINT\n5 A\n8 0\n10 abc\n20 1\n0 LWPOLYLINE\n5 B\n8 0\n90 3\n10 1\n20 1\n10 2\n20 2\n");
    assert_eq!((wrong.objects.len(), wrong.report.skipped), (0, 2));
}

#[test]
fn no_damage_makes_it_panic_hang_or_miscount_silently() {
    let points: String =
        (0..30).map(|i| format!("0 POINT\n5 A{i}\n8 POINTS\n10 {}\n20 3993000\n30 0\n", 521_000 + i)).collect();
    let whole = drawing("", &points);
    let found = trial::miscounts(&FORMAT, "plan.dxf", whole.as_bytes(), &Options::default(), 4549);
    assert_eq!(found, Vec::<String>::new());
    // Entities of one kind are equally long in binary DXF, and nothing counts them: a piece that is missing from one
    // entity's middle to the same place in another leaves a whole drawing.
    let found = trial::miscounts(&FORMAT, "plan.dxf", &binary(&whole, true), &Options::default(), 4549);
    assert!(found.len() <= 2 && found.iter().all(|f| f.contains("missing")), "{found:?}");
}

#[test]
fn a_text_with_columns_is_one_text() {
    let columns = "0 MTEXT\n5 A1\n8 0\n10 521000\n20 3993000\n30 0\n40 2\n1 two\\Pcolumns\n101 Embedded Object\n70 1\n10 1\n20 0\n30 0\n1001 SOUTH\n1000 7\n";
    let trial = read("", columns);
    assert_eq!((trial.objects.len(), trial.report.skipped), (1, 0), "{:?}", trial.report.skips);
    assert_eq!(trial.objects[0].geometry.extent().min.x, 521_000.0);
    assert_eq!(trial.objects[0].value("SOUTH"), Some(&Value::Text("7".into())));
}
