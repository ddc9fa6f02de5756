//! The survey's layers (基础测绘): buildings, streets, trees, lamps, water and green as shapefiles.

use glam::{DVec2, DVec3};

use crate::{
    city::City,
    plane::area,
    recipe::SiteKind,
    shape_file::{Column, EncodingMark, Kind, ShapeFile, ring},
};

use Column::{Number, Text};

/// Files of the survey.
pub(crate) fn survey(city: &City<'_>) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut add = |name: &str, file: ShapeFile, mark: EncodingMark| {
        for (ending, bytes) in file.finish(mark) {
            files.push((format!("基础测绘/{name}.{ending}"), bytes));
        }
    };
    add("建筑", buildings(city), EncodingMark::Cpg("ANSI 936"));
    add("道路", streets(city), EncodingMark::Cpg("GBK"));
    add("行道树", trees(city), EncodingMark::Driver);
    add("路灯", lamps(city), EncodingMark::Driver);
    add("水系", water(city), EncodingMark::Cpg("CP936\r\n"));
    add("绿地", green(city), EncodingMark::Cpg("ANSI 936"));
    files
}

fn buildings(city: &City<'_>) -> ShapeFile {
    let columns = [
        ("编号", Text(12)),
        ("名称", Text(40)),
        ("层数", Number(4, 0)),
        ("高度", Number(8, 1)),
        ("用途", Text(8)),
        ("建成年", Number(4, 0)),
        ("屋顶", Text(4)),
    ];
    let mut file = ShapeFile::new(Kind::Polygon, &columns, city.recipe.shift());
    for (k, b) in city.buildings.iter().enumerate() {
        let mut parts = vec![ring(&b.ring, false, 0.0)];
        parts.extend(b.yard.as_ref().map(|yard| ring(yard, true, 0.0)));
        let row = [
            format!("HW{:06}", k + 1).into(),
            b.name.clone().into(),
            f64::from(b.storeys).into(),
            b.height_m.into(),
            b.usage.zh().into(),
            (b.year as f64).into(),
            if b.pitched { "坡" } else { "平" }.into(),
        ];
        file.add(&parts, &row);
    }
    file
}

fn streets(city: &City<'_>) -> ShapeFile {
    let columns = [("名称", Text(30)), ("等级", Text(10)), ("宽度", Number(6, 1)), ("车道数", Number(3, 0))];
    let mut file = ShapeFile::new(Kind::Line, &columns, city.recipe.shift());
    for s in &city.streets.streets {
        let line = s.line.points.iter().map(|p| p.extend(0.0)).collect();
        file.add(&[line], &[s.name.clone().into(), s.grade.zh().into(), s.width_m.into(), f64::from(s.lanes).into()]);
    }
    file
}

fn trees(city: &City<'_>) -> ShapeFile {
    let columns = [("编号", Text(10)), ("树种", Text(10)), ("树高", Number(6, 1)), ("冠幅", Number(6, 1))];
    let mut file = ShapeFile::new(Kind::PointZ, &columns, city.recipe.shift());
    for (k, t) in city.trees.iter().enumerate() {
        let p = t.at.extend(city.ground.at(t.at));
        let row = [format!("S{:06}", k + 1).into(), t.species.into(), t.height_m.into(), t.crown_m.into()];
        file.add(&[vec![p]], &row);
    }
    file
}

fn lamps(city: &City<'_>) -> ShapeFile {
    let columns = [("编号", Text(10)), ("灯高", Number(6, 1)), ("光源", Text(8))];
    let mut file = ShapeFile::new(Kind::Point, &columns, city.recipe.shift());
    for (k, l) in city.lamps.iter().enumerate() {
        file.add(&[vec![l.at.extend(0.0)]], &[format!("L{:05}", k + 1).into(), l.height_m.into(), "LED".into()]);
    }
    file
}

fn water(city: &City<'_>) -> ShapeFile {
    let columns = [("名称", Text(20)), ("类别", Text(10)), ("水面高", Number(8, 2))];
    let mut file = ShapeFile::new(Kind::PolygonZ, &columns, city.recipe.shift());
    let sea = sea_ring(city);
    if area(&sea).abs() > 100.0 {
        let mut parts = vec![ring(&sea, false, 0.0)];
        if city.recipe.extent().contains(city.recipe.island.at, 2.0 * city.recipe.island.radius_m) {
            parts.push(ring(&city.coast.island, true, 0.0));
        }
        file.add(&parts, &["海湾".into(), "海域".into(), 0.0.into()]);
    }
    for place in city.places.iter().filter(|p| p.kind == SiteKind::Park) {
        let pond = pond(place.at);
        let z = city.ground.at(place.at) + 0.12;
        file.add(&[ring(&pond, false, z)], &[format!("{}湖", place.name).into(), "湖泊".into(), z.into()]);
    }
    file
}

/// The sea inside the window: the shore, then back along the window's southern edge.
pub(crate) fn sea_ring(city: &City<'_>) -> Vec<DVec2> {
    let window = city.recipe.extent();
    let inside = |p: &&DVec2| p.x > window.min.x && p.x < window.max.x && p.y < window.max.y && p.y > window.min.y;
    let mut ring: Vec<DVec2> = city.coast.line.points.iter().filter(inside).copied().collect();
    let (Some(first), Some(last)) = (ring.first().copied(), ring.last().copied()) else {
        return Vec::new();
    };
    ring.insert(0, DVec2::new(window.min.x, first.y.max(window.min.y)));
    ring.push(DVec2::new(window.max.x, last.y));
    ring.push(DVec2::new(window.max.x, window.min.y));
    ring.push(window.min);
    ring
}

/// Pond of a park.
pub(crate) fn pond(at: DVec2) -> Vec<DVec2> {
    (0..28)
        .map(|k| {
            let turn = std::f64::consts::TAU * f64::from(k) / 28.0;
            let wave = 1.0 + 0.2 * crate::angle::sin(2.0 * turn + at.x) + 0.1 * crate::angle::sin(5.0 * turn);
            at + crate::angle::direction(turn) * DVec2::new(17.0, 12.0) * wave
        })
        .collect()
}

fn green(city: &City<'_>) -> ShapeFile {
    let columns = [("名称", Text(20)), ("类别", Text(10))];
    let mut file = ShapeFile::new(Kind::Polygon, &columns, city.recipe.shift());
    let window = city.recipe.extent();
    for hill in &city.recipe.hills {
        let ellipse = crate::recipe::Ellipse { at: hill.at, radii_m: hill.radii_m, turn_deg: hill.turn_deg };
        let shrink = DVec2::splat(0.72);
        let ring_points: Vec<DVec2> = ellipse
            .ring(14.0)
            .iter()
            .skip(1)
            .map(|p| hill.at + (*p - hill.at) * shrink)
            .map(|p| p.clamp(window.min, window.max))
            .collect();
        if window.contains(hill.at, 0.0) && area(&ring_points).abs() > 500.0 {
            file.add(&[ring(&ring_points, false, 0.0)], &[hill.name.clone().into(), "山林".into()]);
        }
    }
    for place in &city.places {
        let kind = match place.kind {
            SiteKind::Park => "公园",
            SiteKind::Plaza => "广场",
            _ => continue,
        };
        let mut parts: Vec<Vec<DVec3>> = vec![ring(&place.ring, false, 0.0)];
        if place.kind == SiteKind::Park {
            parts.push(ring(&pond(place.at), true, 0.0));
        }
        file.add(&parts, &[place.name.clone().into(), kind.into()]);
    }
    file
}
