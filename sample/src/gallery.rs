//! Underground space (地下空间): the utility gallery and the metro with its station.

use glam::{DVec2, DVec3};

use crate::{
    city::City,
    plane::{Line, millimetre},
    shape_file::{Column, EncodingMark, Kind, ShapeFile, ring},
};

use Column::{Number, Text};

/// Gallery along the ring road.
#[derive(Clone, Debug)]
pub(crate) struct Gallery {
    pub name: String,
    /// Axis at half height.
    pub axis: Vec<DVec3>,
    pub width_m: f64,
    pub height_m: f64,
    /// Soil above the roof.
    pub cover_m: f64,
}

/// The city's galleries: under the long street of this name, away from its pipes' strips.
pub(crate) fn galleries(city: &City<'_>) -> Vec<Gallery> {
    let (width_m, height_m, cover_m) = (6.4, 3.6, 9.5);
    ["香港路"]
        .iter()
        .filter_map(|name| {
            let plan = city.recipe.streets.iter().find(|s| s.name == *name)?;
            let line = plan.centre();
            let length = line.length();
            let axis: Vec<DVec3> = (0..=(length / 25.0) as usize)
                .map(|k| line.at(k as f64 * 25.0).0)
                .filter(|p| city.recipe.extent().contains(*p, 8.0))
                .map(|p| p.extend(millimetre(city.ground.at(p) - cover_m - height_m / 2.0)))
                .collect();
            (axis.len() > 1).then(|| Gallery { name: format!("{name}综合管廊"), axis, width_m, height_m, cover_m })
        })
        .collect()
}

/// Metro: two tunnels and a station box.
pub(crate) struct Metro {
    pub tunnels: Vec<(String, Vec<DVec3>)>,
    pub station: Option<Station>,
}

/// Station box (车站).
pub(crate) struct Station {
    pub name: String,
    pub ring: Vec<DVec2>,
    pub top_m: f64,
    pub bottom_m: f64,
}

/// Outer diameter of a shield tunnel, metres.
pub(crate) const TUNNEL_M: f64 = 6.2;

/// Line 3 from the north under the main street to the bay.
pub(crate) fn metro(city: &City<'_>) -> Metro {
    let control = [
        (1240.0, 3030.0),
        (1232.0, 2600.0),
        (1246.0, 2200.0),
        (1228.0, 1900.0),
        (1180.0, 1700.0),
        (1110.0, 1520.0),
        (1010.0, 1400.0),
        (860.0, 1330.0),
        (640.0, 1310.0),
        (420.0, 1330.0),
        (200.0, 1360.0),
        (-30.0, 1370.0),
    ];
    let line = Line::smooth(&control.map(|(x, y)| DVec2::new(x, y)), 20.0);
    let inside = |p: DVec2| city.recipe.extent().contains(p, 6.0);
    let rail = |p: DVec2, way: f64| {
        // deep under the pipes, rising gently into the station
        let station = (way - STATION_WAY).abs();
        let depth = 17.0 + 6.0 * crate::plane::ease(90.0, 320.0, station);
        let base =
            [-60.0, -30.0, 0.0, 30.0, 60.0].iter().map(|d| city.ground.at(line.at(way + d).0)).sum::<f64>() / 5.0;
        p.extend(millimetre(base - depth))
    };
    let mut tunnels = Vec::new();
    for (side, name) in [(6.5, "地铁3号线左线"), (-6.5, "地铁3号线右线")] {
        let axis: Vec<DVec3> = (0..=(line.length() / 20.0) as usize)
            .map(|k| k as f64 * 20.0)
            .map(|way| (way, line.at(way)))
            .map(|(way, (p, along))| (way, p + along.perp() * side))
            .filter(|(_, p)| inside(*p))
            .map(|(way, p)| rail(p, way))
            .collect();
        if axis.len() > 1 {
            tunnels.push((name.to_owned(), axis));
        }
    }
    let (at, along) = line.at(STATION_WAY);
    let station = inside(at).then(|| {
        let z = rail(at, STATION_WAY).z;
        let ring = crate::outline::rectangle(at, along, 190.0, 22.0);
        Station { name: "五月广场站".into(), ring, top_m: millimetre(z + 9.8), bottom_m: millimetre(z - 4.6) }
    });
    Metro { tunnels, station }
}

/// Where on the line the station lies, metres from its northern end.
const STATION_WAY: f64 = 1780.0;

/// Files of 地下空间.
pub(crate) fn files(city: &City<'_>) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut add = |name: &str, file: ShapeFile| {
        for (ending, bytes) in file.finish(EncodingMark::Cpg("ANSI 936")) {
            files.push((format!("地下空间/{name}.{ending}"), bytes));
        }
    };
    let shift = city.recipe.shift();
    let columns = [
        ("名称", Text(40)),
        ("宽", Number(6, 2)),
        ("高", Number(6, 2)),
        ("埋深", Number(6, 2)),
        ("舱室", Text(40)),
        ("建成年", Number(4, 0)),
    ];
    let mut file = ShapeFile::new(Kind::LineZ, &columns, shift);
    for g in galleries(city) {
        let row = [
            g.name.into(),
            g.width_m.into(),
            g.height_m.into(),
            g.cover_m.into(),
            "水信舱、电力舱、燃气舱".into(),
            2019.0.into(),
        ];
        file.add(&[g.axis], &row);
    }
    if file.len() > 0 {
        add("综合管廊", file);
    }
    let metro = metro(city);
    let mut file =
        ShapeFile::new(Kind::LineZ, &[("名称", Text(30)), ("直径", Number(6, 2)), ("工法", Text(10))], shift);
    for (name, axis) in metro.tunnels {
        file.add(&[axis], &[name.into(), TUNNEL_M.into(), "盾构".into()]);
    }
    if file.len() > 0 {
        add("地铁", file);
    }
    if let Some(station) = metro.station {
        let columns =
            [("名称", Text(30)), ("顶板高程", Number(9, 2)), ("底板高程", Number(9, 2)), ("层数", Number(3, 0))];
        let mut file = ShapeFile::new(Kind::PolygonZ, &columns, shift);
        let row = [station.name.into(), station.top_m.into(), station.bottom_m.into(), 2.0.into()];
        file.add(&[ring(&station.ring, false, station.top_m)], &row);
        add("地铁站", file);
    }
    files
}
