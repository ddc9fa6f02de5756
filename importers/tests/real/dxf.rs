//! Drawings of other people, held against what ezdxf counts in them.

use std::{collections::BTreeMap, path::Path};

use groundline_engine::model::{CityObject, SourceReport, Value};
use groundline_importers::dxf;

use super::{data, import_in};

/// Objects and account, in the drawing's own coordinates.
fn import(path: &Path) -> (Vec<CityObject>, SourceReport) {
    import_in(&dxf::FORMAT, path, 4549)
}

/// Of these the drawings hold more than is read, as ezdxf says too: faces whose corners lie in two places.
const LEFT_OUT: &[(&str, &str, usize)] = &[("gis/dxf/3dface.dxf", "3DFACE", 8)];

/// Entities of model space by ezdxf 1.4.5, of the kinds that are read.
const REFEREE: &[(&str, &[(&str, usize)])] = &[
    ("gis/dxf/1_polylines.dxf", &[("ARC", 22), ("LINE", 52), ("TEXT", 9)]),
    ("gis/dxf/3dface.dxf", &[("3DFACE", 44), ("LWPOLYLINE", 5), ("MTEXT", 16), ("TEXT", 6)]),
    ("gis/dxf/Graz_10km_3m.dxf", &[]),
    ("gis/dxf/caret_encoding.dxf", &[("MTEXT", 61)]),
    ("gis/dxf/hatches_1.dxf", &[("ARC", 6), ("HATCH", 10), ("LWPOLYLINE", 16)]),
    (
        "gis/dxf/libredwg/example_2018.dxf",
        &[
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
            ("SPLINE", 2),
            ("TEXT", 2),
        ],
    ),
    (
        "gis/dxf/libredwg/example_r12.dxf",
        &[("3DFACE", 2), ("ARC", 2), ("LINE", 10), ("POINT", 1), ("POLYLINE", 16), ("SOLID", 1), ("TEXT", 2)],
    ),
];

#[test]
fn counts_are_those_of_ezdxf() {
    let Some(data) = data() else { return };
    let mut failures = Vec::new();
    for (path, wanted) in REFEREE {
        let (objects, report) = import(&data.join(path));
        let mut found: BTreeMap<&str, usize> = BTreeMap::new();
        for object in objects.iter().filter(|o| o.value("block").is_none()) {
            *found.entry(object.value("entity").and_then(Value::as_str).unwrap_or("?")).or_default() += 1;
        }
        for (_, kind, more) in LEFT_OUT.iter().filter(|(p, ..)| p == path) {
            *found.entry(kind).or_default() += more;
        }
        let in_blocks = objects.iter().filter(|o| o.value("block").is_some()).count();
        println!(
            "{path}: {found:?}, {in_blocks} in blocks, skipped {:?}, {:?}",
            report.skips,
            report.warnings.iter().map(|w| (&w.code, w.count)).collect::<Vec<_>>()
        );
        let ids: std::collections::BTreeSet<_> = objects.iter().map(|o| &o.id).collect();
        if ids.len() != objects.len() {
            failures.push(format!("{path}: ids are not unique"));
        }
        if found.iter().map(|(kind, n)| (*kind, *n)).ne(wanted.iter().copied()) {
            failures.push(format!("{path}: {found:?}, not {wanted:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
