//! Drawings that AutoCAD wrote, held against what LibreDWG 0.13 and ezdxf count in them, and against the DXF of the same
//! drawing.
//!
//! They are LibreDWG's test files; `GROUNDLINE_DWG` names the folder `test/test-data` of its sources.

use std::{collections::BTreeMap, path::PathBuf};

use groundline_engine::model::Value;
use groundline_importers::{dwg, dxf};

use super::import_in;

/// Entities of model space, of the kinds that are read; the same in all releases of this drawing.
const EXAMPLE: &[(&str, usize)] = &[
    ("3DFACE", 2),
    ("ARC", 2),
    ("ELLIPSE", 1),
    ("HATCH", 1),
    ("LINE", 8),
    ("LWPOLYLINE", 11),
    ("MTEXT", 1),
    ("POINT", 1),
    ("POLYLINE", 2),
    ("SOLID", 1),
    ("SPLINE by its fit points", 2),
    ("TEXT", 2),
];
/// Those within inserted blocks: 8 circles, 8 lines, 96 points.
const IN_BLOCKS: usize = 112;

fn data() -> Option<PathBuf> {
    let found = std::env::var_os("GROUNDLINE_DWG").map(PathBuf::from);
    if found.is_none() {
        println!("no DWG files (set GROUNDLINE_DWG): nothing tested");
    }
    found
}

#[test]
fn every_release_holds_what_the_referees_count() {
    let Some(data) = data() else { return };
    for release in ["r14", "2000", "2004", "2007", "2010", "2013", "2018"] {
        let (objects, report) = import_in(&dwg::FORMAT, &data.join(format!("example_{release}.dwg")), 4549);
        let mut found: BTreeMap<&str, usize> = BTreeMap::new();
        for object in objects.iter().filter(|o| o.value("block").is_none()) {
            *found.entry(object.value("entity").and_then(Value::as_str).unwrap_or("?")).or_default() += 1;
        }
        assert_eq!(found.into_iter().collect::<Vec<_>>(), EXAMPLE, "{release}: {:?}", report.skips);
        assert_eq!(objects.iter().filter(|o| o.value("block").is_some()).count(), IN_BLOCKS, "{release}");
    }
}

#[test]
fn a_drawing_and_its_dxf_hold_the_same_objects() {
    let Some(data) = data() else { return };
    for release in ["2000", "2018"] {
        let drawing = data.join(format!("example_{release}.dwg"));
        let (objects, _) = import_in(&dwg::FORMAT, &drawing, 4549);
        let (others, _) = import_in(&dxf::FORMAT, &drawing.with_extension("dxf"), 4549);
        assert_eq!(objects.len(), others.len(), "{release}");
        let key = |id: &str| id.split_once('/').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        let others: BTreeMap<String, _> = others.iter().map(|o| (key(o.id.as_str()), o)).collect();
        for object in &objects {
            let other = others.get(&key(object.id.as_str())).unwrap_or_else(|| panic!("{release}: no {}", object.id));
            let (one, two) = (object.geometry.extent(), other.geometry.extent());
            // curves through fit points: one end of one has no direction, and programs differ in what they make of it
            let is_fitted = object.value("entity") != other.value("entity");
            let most = if is_fitted { 1.0 } else { 1e-3 };
            assert!(
                one.min.abs_diff_eq(two.min, most) && one.max.abs_diff_eq(two.max, most),
                "{release} {}: {one:?} is not {two:?}",
                object.id
            );
            assert_eq!(object.value("layer"), other.value("layer"), "{release} {}", object.id);
        }
    }
}
