//! Sources of any size for benchmarks: a city of simple buildings in a square grid, the same for the same number.

use std::{
    fmt::Write as _,
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use glam::{DVec2, DVec3};

use crate::{
    SampleError,
    random::Random,
    shape_file::{Column, EncodingMark, Kind, ShapeFile, Value},
};

/// Metres from one building to the next.
const GRID_M: f64 = 30.0;
const DISTRICTS: [&str; 4] = ["市南区", "市北区", "崂山区", "黄岛区"];

/// Writes `buildings.shp` with its companions: L-shaped footprints of six corners in EPSG:4549 with five attributes.
pub fn shapefile(folder: &Path, buildings: usize) -> Result<PathBuf, SampleError> {
    let columns = [
        ("bid", Column::Text(18)),
        ("name", Column::Text(24)),
        ("height", Column::Number(10, 2)),
        ("floors", Column::Number(6, 0)),
        ("btype", Column::Number(4, 0)),
    ];
    let mut random = Random::new(3, "mass of footprints");
    let mut file = ShapeFile::new(Kind::Polygon, &columns, DVec2::new(500_000.0, 3_990_000.0));
    let side = (buildings as f64).sqrt().ceil() as usize;
    // An L, clockwise.
    let outline = [(-1.0, -1.0), (-1.0, 1.0), (0.2, 1.0), (0.2, 0.1), (1.0, 0.1), (1.0, -1.0), (-1.0, -1.0)];
    for number in 0..buildings {
        let middle = DVec2::new((number % side) as f64, (number / side) as f64) * GRID_M
            + DVec2::new(random.range(-2.0, 2.0), random.range(-2.0, 2.0));
        let size = DVec2::new(random.range(6.0, 12.0), random.range(6.0, 12.0));
        let turn = DVec2::from_angle(random.range(0.0, 1.57));
        let ring = outline.map(|(u, v)| (middle + turn.rotate(DVec2::new(u, v) * size)).extend(0.0)).to_vec();
        let row: [Value; 5] = [
            format!("370202{number}").into(),
            DISTRICTS[number % 4].into(),
            random.range(6.0, 120.0).into(),
            (random.whole(2, 40) as f64).into(),
            ((number % 9) as f64).into(),
        ];
        file.add(&[ring], &row);
    }
    for (ending, bytes) in file.finish(EncodingMark::Cpg("GBK")) {
        let path = folder.join("buildings").with_extension(ending);
        fs::write(&path, bytes).map_err(|source| SampleError::Io { path, source })?;
    }
    Ok(folder.join("buildings.shp"))
}

/// A gabled house: eight corners of its walls and two of its ridge.
struct House {
    corners: [DVec3; 10],
    height_m: f64,
    storeys: u32,
}

/// Faces of a house: corners, and what they are (0 ground, 1 wall, 2 roof).
const FACES: [(&[usize], usize); 7] = [
    (&[0, 3, 2, 1], 0),
    (&[0, 1, 5, 4], 1),
    (&[1, 2, 6, 9, 5], 1),
    (&[2, 3, 7, 6], 1),
    (&[3, 0, 4, 8, 7], 1),
    (&[4, 5, 9, 8], 2),
    (&[6, 7, 8, 9], 2),
];
const SURFACES: [&str; 3] = ["GroundSurface", "WallSurface", "RoofSurface"];

fn houses(count: usize) -> impl Iterator<Item = House> {
    let mut random = Random::new(4, "mass of houses");
    let side = (count as f64).sqrt() as usize + 1;
    (0..count).map(move |number| {
        let x = (number % side) as f64 * GRID_M + random.range(0.0, 5.0);
        let y = (number / side) as f64 * GRID_M + random.range(0.0, 5.0);
        let (w, d) = (random.range(8.0, 20.0), random.range(8.0, 20.0));
        let eaves = 4.0 + 80.0 * random.unit().powi(3);
        let ridge = eaves + random.range(1.0, 4.0);
        let at = |u: f64, v: f64, z: f64| {
            DVec3::new(((x + u) * 1000.0).round(), ((y + v) * 1000.0).round(), (z * 1000.0).round()) / 1000.0
        };
        House {
            corners: [
                at(0.0, 0.0, 0.0),
                at(w, 0.0, 0.0),
                at(w, d, 0.0),
                at(0.0, d, 0.0),
                at(0.0, 0.0, eaves),
                at(w, 0.0, eaves),
                at(w, d, eaves),
                at(0.0, d, eaves),
                at(0.0, d / 2.0, ridge),
                at(w, d / 2.0, ridge),
            ],
            height_m: ridge,
            storeys: (eaves / 3.0) as u32 + 1,
        }
    })
}

/// Lowest corner of the houses in EPSG:28992.
const CORNER: DVec2 = DVec2::new(85_000.0, 446_000.0);

/// Writes `houses.city.jsonl`: gabled houses of LoD 2.2 with semantics and five attributes, in EPSG:7415.
pub fn city_json_sequence(folder: &Path, count: usize) -> Result<PathBuf, SampleError> {
    let path = folder.join("houses.city.jsonl");
    let error = |source| SampleError::Io { path: path.clone(), source };
    let mut out = BufWriter::new(fs::File::create(&path).map_err(error)?);
    let side = ((count as f64).sqrt() + 1.0) * GRID_M;
    let head = format!(
        r#"{{"type":"CityJSON","version":"2.0","transform":{{"scale":[0.001,0.001,0.001],"translate":[{x},{y},0.0]}},"metadata":{{"referenceSystem":"https://www.opengis.net/def/crs/EPSG/0/7415","geographicalExtent":[{x},{y},0,{far_x},{far_y},120]}},"CityObjects":{{}},"vertices":[]}}"#,
        x = CORNER.x,
        y = CORNER.y,
        far_x = CORNER.x + side,
        far_y = CORNER.y + side,
    );
    writeln!(out, "{head}").map_err(error)?;
    let faces: Vec<String> = FACES.iter().map(|(corners, _)| format!("[{corners:?}]").replace(' ', "")).collect();
    let values: Vec<String> = FACES.iter().map(|(_, kind)| kind.to_string()).collect();
    let surfaces: Vec<String> = SURFACES.iter().map(|name| format!(r#"{{"type":"{name}"}}"#)).collect();
    let geometry = format!(
        r#"[{{"type":"Solid","lod":"2.2","boundaries":[[{}]],"semantics":{{"surfaces":[{}],"values":[[{}]]}}}}]"#,
        faces.join(","),
        surfaces.join(","),
        values.join(",")
    );
    for (number, house) in houses(count).enumerate() {
        let id = format!("B{number:07}");
        let vertices: Vec<String> = house
            .corners
            .iter()
            .map(|c| {
                let c = (*c * 1000.0).round();
                format!("[{},{},{}]", c.x as i64, c.y as i64, c.z as i64)
            })
            .collect();
        writeln!(
            out,
            r#"{{"type":"CityJSONFeature","id":"{id}","CityObjects":{{"{id}":{{"type":"Building","attributes":{{"name":"{}{number}","measuredHeight":{:.2},"function":"{}","storeys":{},"yearOfConstruction":{}}},"geometry":{geometry}}}}},"vertices":[{}]}}"#,
            DISTRICTS[number % 4],
            house.height_m,
            1000 + number % 9,
            house.storeys,
            1950 + number % 75,
            vertices.join(",")
        )
        .map_err(error)?;
    }
    out.flush().map_err(error)?;
    Ok(path)
}

/// Writes `houses.gml`: the same houses as CityGML 2.0 in EPSG:28992.
pub fn city_gml(folder: &Path, count: usize) -> Result<PathBuf, SampleError> {
    let path = folder.join("houses.gml");
    let error = |source| SampleError::Io { path: path.clone(), source };
    let mut out = BufWriter::new(fs::File::create(&path).map_err(error)?);
    let side = ((count as f64).sqrt() + 1.0) * GRID_M;
    writeln!(
        out,
        concat!(
            r#"<?xml version="1.0" encoding="UTF-8"?>"#,
            "\n",
            r#"<core:CityModel xmlns:core="http://www.opengis.net/citygml/2.0""#,
            r#" xmlns:bldg="http://www.opengis.net/citygml/building/2.0""#,
            r#" xmlns:gen="http://www.opengis.net/citygml/generics/2.0" xmlns:gml="http://www.opengis.net/gml">"#,
            "\n",
            r#"<gml:boundedBy><gml:Envelope srsName="EPSG:28992" srsDimension="3"><gml:lowerCorner>{} {} 0</gml:lowerCorner>"#,
            r#"<gml:upperCorner>{} {} 120</gml:upperCorner></gml:Envelope></gml:boundedBy>"#
        ),
        CORNER.x,
        CORNER.y,
        CORNER.x + side,
        CORNER.y + side
    )
    .map_err(error)?;
    for (number, house) in houses(count).enumerate() {
        let mut text = format!(
            r#"<core:cityObjectMember><bldg:Building gml:id="B{number:07}"><gml:name>{}{number}</gml:name><gen:intAttribute name="year"><gen:value>{}</gen:value></gen:intAttribute><bldg:function>{}</bldg:function><bldg:measuredHeight uom="m">{:.2}</bldg:measuredHeight><bldg:storeysAboveGround>{}</bldg:storeysAboveGround>"#,
            DISTRICTS[number % 4],
            1950 + number % 75,
            1000 + number % 9,
            house.height_m,
            house.storeys
        );
        for (corners, kind) in FACES {
            let ring = corners.iter().chain(&corners[..1]).map(|c| house.corners[*c]);
            let places: Vec<String> =
                ring.map(|p| format!("{:.3} {:.3} {:.3}", p.x + CORNER.x, p.y + CORNER.y, p.z)).collect();
            let name = SURFACES[kind];
            let _ = write!(
                text,
                r#"<bldg:boundedBy><bldg:{name}><bldg:lod2MultiSurface><gml:MultiSurface><gml:surfaceMember><gml:Polygon><gml:exterior><gml:LinearRing><gml:posList srsDimension="3">{}</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon></gml:surfaceMember></gml:MultiSurface></bldg:lod2MultiSurface></bldg:{name}></bldg:boundedBy>"#,
                places.join(" ")
            );
        }
        writeln!(out, "{text}</bldg:Building></core:cityObjectMember>").map_err(error)?;
    }
    writeln!(out, "</core:CityModel>").map_err(error)?;
    out.flush().map_err(error)?;
    Ok(path)
}
