//! A server asked over a socket.

use std::net::SocketAddr;

use glam::DVec3;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Options, Server, serve};
use crate::{
    crs::Crs,
    live::LiveState,
    model::{
        Attribute, Block, CityObject, Class, Geometry, ImportReport, ObjectId, Payload, Point, Polygon, Reading,
        Sensor, Value,
    },
    store::{City, SourceRef},
};

pub(super) fn city(folder: &std::path::Path) -> City {
    let city = City::create(folder, "港湾 <b>", &Crs::from_epsg(4549).unwrap(), None).unwrap();
    let mut draft = city.begin().unwrap();
    draft
        .replace_layer("建筑", vec![SourceRef { path: "b.shp".into(), hash: "1".into(), ..SourceRef::default() }])
        .unwrap();
    for n in 0..40 {
        let low = DVec3::new(500_000.0 + f64::from(n) * 20.0, 4_000_000.0, 0.0);
        let corners = [DVec3::ZERO, DVec3::X * 10.0, DVec3::new(10.0, 10.0, 0.0), DVec3::Y * 10.0];
        let block = Block {
            footprint: vec![Polygon { outer: corners.map(|c| low + c).to_vec(), holes: vec![] }],
            base_m: Some(0.0),
            height_m: 10.0,
            lift_m: 0.0,
            storeys: None,
            roof: None,
        };
        let object = CityObject::new(ObjectId::new("建筑", n), Class::Building, Geometry::Block(block));
        draft.push("建筑", object).unwrap();
    }
    draft
        .replace_layer("sensors", vec![SourceRef { path: "s.csv".into(), hash: "2".into(), ..SourceRef::default() }])
        .unwrap();
    draft.push("sensors", sensor().to_object()).unwrap();
    draft.commit(&mut ImportReport::default()).unwrap();
    City::open(folder).unwrap()
}

fn sensor() -> Sensor {
    Sensor {
        id: ObjectId::new("sensors", "W1"),
        name: "液位".into(),
        watches: None,
        property: "water_level".into(),
        unit: "m".into(),
        place: Some(DVec3::new(500_000.0, 4_000_000.0, 1.0)),
        vertical: crate::model::Vertical::Absolute,
        range: Some((0.0, 10.0)),
        interval_s: 60.0,
        threshold: None,
        topic: "w/1".into(),
        payload: Payload::Plain,
    }
}

pub(super) struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let line = self.head.lines().find(|l| l.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    }
}

/// One request as it is written, so that paths reach the server as they stand.
pub(super) async fn get(address: SocketAddr, path: &str, headers: &str) -> Answer {
    exchange(address, &format!("GET {path} HTTP/1.0\r\n{headers}\r\n")).await
}

/// HTTP/1.0: the body comes in one piece and the connection ends with it.
pub(super) async fn exchange(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A body that is too long is not taken to its end.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: bytes[end + 4..].to_vec() }
}

pub(super) async fn start() -> (tempfile::TempDir, City, Server) {
    start_with(Options::default()).await
}

pub(super) async fn start_with(options: Options) -> (tempfile::TempDir, City, Server) {
    let dir = tempfile::tempdir().unwrap();
    let city = city(&dir.path().join("x.city"));
    std::fs::write(dir.path().join("secret"), "secret").unwrap();
    let live = LiveState::new(city.sensors().unwrap());
    let now = chrono::Utc::now().timestamp_millis();
    live.apply(Reading { sensor: 0, time_ms: now, value: 1.25 }, now);
    let server = serve(city.folder(), SocketAddr::from(([127, 0, 0, 1], 0)), Some(super::Feed::new(live)), options)
        .await
        .unwrap();
    (dir, city, server)
}

#[tokio::test]
async fn a_damaged_file_is_no_answer_and_all_others_are() {
    let (_dir, city, server) = start().await;
    let at = server.address();
    let files = city.tile_files("建筑").unwrap();
    let path_of = |file: &str| format!("/{}", super::root::percent_encode(file));
    let damaged = |file: &str| {
        let path = city.folder().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 2;
        std::fs::write(&path, bytes).unwrap();
    };
    for file in &files {
        damaged(file);
        let answer = get(at, &path_of(file), "").await;
        assert_eq!(answer.status, 500, "{file}");
        assert!(answer.json()["error"].is_string());
        damaged(file);
        let right = get(at, &path_of(file), "").await;
        assert_eq!(right.status, 200, "{file}");
        damaged(file);
        // What is held is right whatever becomes of the file; a part of it would come from the file.
        let held = get(at, &path_of(file), "").await;
        assert!(held.status == 200 && held.body == right.body, "{file}");
        let part = get(at, &path_of(file), "Range: bytes=0-9\r\n").await;
        assert_eq!(part.status, 500, "{file} was served once, and is another file since");
        damaged(file);
    }
    damaged("city.json");
    assert_eq!(get(at, &path_of(&files[0]), "").await.status, 200);
    assert_eq!(get(at, "/tileset.json", "").await.status, 200, "the version that was open is handed out further");
}

#[tokio::test]
async fn tiles_are_served_with_ranges_tags_and_types() {
    let (_dir, city, server) = start().await;
    let at = server.address();
    let whole = get(at, "/tileset.json", "").await.json();
    assert_eq!(whole["asset"]["version"], "1.1");
    let uri = whole["root"]["children"][0]["content"]["uri"].as_str().unwrap().to_owned();
    assert!(uri.is_ascii(), "{uri}");
    let tileset = get(at, &format!("/{uri}"), "").await;
    assert_eq!((tileset.status, tileset.header("content-type").unwrap().as_str()), (200, "application/json"));
    assert!(tileset.header("cache-control").unwrap().contains("immutable"));
    let layer = city.layer("建筑").unwrap();
    let files = city.tile_files(&layer.name).unwrap();
    let glb = files.iter().find(|f| f.ends_with(".glb")).unwrap();
    let path = format!("/{}", super::root::percent_encode(glb));
    let answer = get(at, &path, "").await;
    assert_eq!(answer.header("content-type").unwrap(), "model/gltf-binary");
    assert_eq!(answer.body, std::fs::read(city.folder().join(glb)).unwrap());
    let part = get(at, &path, "Range: bytes=0-3\r\n").await;
    assert_eq!((part.status, part.body.as_slice()), (206, b"glTF".as_slice()));
    let tag = answer.header("etag").expect("an entity tag");
    assert_eq!(get(at, &path, &format!("If-None-Match: {tag}\r\n")).await.status, 304);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn nothing_outside_is_served() {
    let (_dir, city, server) = start().await;
    #[cfg(unix)]
    std::os::unix::fs::symlink(city.folder().parent().unwrap(), city.folder().join("tiles/out")).unwrap();
    for path in [
        "/tiles/../city.json",
        "/tiles/%2e%2e/city.json",
        "/tiles/..%2fcity.json",
        "/tiles/%2e%2e%2f%2e%2e%2fsecret",
        "/tiles/..%5c..%5csecret",
        "/tiles//etc/passwd",
        "/tiles/%2fetc%2fpasswd",
        "/tiles/out/secret",
        "/tiles/a%00b",
        "/tiles/",
        "/versions/..%2fcity",
        "/versions/99",
        "/nothing",
        "/objects/nothing",
        "/sensors/nothing/latest",
    ] {
        let answer = get(server.address(), path, "").await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
        assert!(!answer.body.windows(6).any(|w| w == b"secret"), "{path}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn questions_are_answered_and_bad_ones_refused() {
    let (_dir, city, server) = start().await;
    let at = server.address();
    assert_eq!(get(at, "/layers", "").await.json()["layers"].as_array().unwrap().len(), 2);
    assert_eq!(get(at, "/city.json", "").await.json()["version"], 1);
    assert_eq!(get(at, "/versions/1", "").await.json()["version"], 1);
    assert_eq!(get(at, "/versions", "").await.json().as_array().unwrap().len(), 2);
    let earlier = get(at, "/query?version=0&f=json", "").await;
    assert_eq!((earlier.status, earlier.body.len()), (200, 0), "the city was empty");
    assert_eq!(get(at, "/query?version=7", "").await.status, 404);
    assert_eq!(get(at, "/query?version=x", "").await.status, 400);
    let object = get(at, "/objects/%E5%BB%BA%E7%AD%91/3", "").await.json();
    assert_eq!(object["class"], "building");
    let hits = get(at, "/query?box=500000,3999990,500045,4000020&crs=city", "").await;
    assert_eq!(hits.header("content-type").unwrap(), "application/geo+json");
    assert_eq!(hits.header("access-control-allow-origin"), None, "no page of another origin");
    assert_eq!(hits.json()["features"].as_array().unwrap().len(), 4, "three buildings and a sensor");
    let near = get(at, "/query?near=500005,4000005&radius=30&limit=2&layers=%E5%BB%BA%E7%AD%91&f=json", "").await;
    assert_eq!(near.body.iter().filter(|b| **b == b'\n').count(), 2);
    let corridor = get(at, "/query?corridor=499990,4000015,500045,4000015&distance=5&crs=city", "").await.json();
    assert_eq!(corridor["features"].as_array().unwrap().len(), 3, "the northern edges are just as far");
    assert_eq!(corridor["features"][1]["properties"]["distance_m"], 5.0);
    let ring = "POLYGON((499990%203999990,500050%203999990,500050%204000050,499990%204000050),\
        (500019%203999999,500031%203999999,500031%204000011,500019%204000011))";
    let holed = get(at, &format!("/query?within={ring}"), "").await.json();
    assert_eq!(holed["features"].as_array().unwrap().len(), 3, "the second building is in the hole, the sensor is not");
    let json = "%7B%22type%22:%22Point%22,%22coordinates%22:%5B500005,4000005%5D%7D";
    let at_point = get(at, &format!("/query?within={json}&f=json"), "").await;
    assert_eq!(at_point.json()["id"], "建筑/0");
    let named = get(at, "/query?search=yewei&f=json", "").await;
    assert_eq!(named.json()["name"], "液位");
    assert_eq!(get(at, "/query?search=--", "").await.status, 400);
    let all = get(at, "/query?bbox=119,35,121,37&limit=99", "").await.json();
    assert_eq!(all["features"].as_array().unwrap().len(), 41);
    for bad in [
        "box=1,2",
        "box=a,b,c,d",
        "where=a%20%3E",
        "limit=x",
        "boxes=1",
        "classes=castle",
        "near=1,2&box=1,2,3,4",
        "corridor=1,2,3",
        "corridor=1e300,2,3,4&distance=5",
        "corridor=1,2,3,4&distance=-5",
        "near=1,2&distance=5",
        "polygon=1,2,3,4",
        "within=POLYGON((1%202))",
        "within=%7B",
    ] {
        let answer = get(at, &format!("/query?{bad}"), "").await;
        assert_eq!(answer.status, 400, "{bad}");
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(get(at, "/query?layers=nothing", "").await.status, 404);
    assert_eq!(get(at, "/sensors", "").await.json()[0]["name"], "液位");
    let latest = get(at, "/sensors/sensors/W1/latest", "").await.json();
    assert_eq!((latest["value"].as_f64(), latest["quality"].as_str()), (Some(1.25), Some("good")));
    let page = String::from_utf8(get(at, "/", "").await.body).unwrap();
    assert!(page.contains("图层") && page.contains("&lt;b&gt;") && !page.contains("<b>"));

    // A version committed while the server runs is served at once.
    let mut draft = city.begin().unwrap();
    draft.remove_layer("建筑").unwrap();
    draft.commit(&mut ImportReport::default()).unwrap();
    assert_eq!(get(at, "/layers", "").await.json()["version"], 2);
    let count = async |path: &str| get(at, path, "").await.body.iter().filter(|b| **b == b'\n').count();
    assert_eq!((count("/query?f=json").await, count("/query?f=json&version=1").await), (1, 41), "both can be asked");
    server.stop().await.unwrap();
    assert!(TcpStream::connect(at).await.is_err(), "stopped");
}

#[tokio::test]
async fn a_short_answer_is_the_long_one_in_one_piece() {
    let (_dir, city, server) = start().await;
    let at = server.address();
    for question in [
        "box=500000,3999990,500245,4000020",
        "box=500000,3999990,500245,4000020&f=json&offset=2&limit=5",
        "bbox=120.0,36.12,120.004,36.13&crs=city",
        "near=500300,4000005&limit=7&f=json",
        "box=500000,3999990,500245,4000020&where=layer%20=%20'sensors'",
        "box=1,1,2,2",
    ] {
        // Asked of an earlier version it goes the long way: its layers were not asked before.
        let long = get(at, &format!("/query?{question}&version=1&at=2026-01-01"), "").await;
        let first = get(at, &format!("/query?{question}"), "").await;
        let short = get(at, &format!("/query?{question}"), "").await;
        assert_eq!((first.status, short.status), (200, 200), "{question}");
        assert_eq!(String::from_utf8_lossy(&short.body), String::from_utf8_lossy(&first.body), "{question}");
        assert_eq!(short.header("content-length").unwrap(), short.body.len().to_string(), "{question}");
        assert_eq!(String::from_utf8_lossy(&short.body), String::from_utf8_lossy(&long.body), "{question}");
        assert_eq!(long.header("content-length"), None, "{question}");
    }
    let nowhere = get(at, "/query?bbox=1e30,0,2e30,1", "").await;
    assert_eq!(
        nowhere.json()["features"].as_array().map(Vec::len),
        Some(0),
        "an answer without hits, not an empty one"
    );
    // What was answered is not answered again when the city has another version.
    let boxed = "/query?box=500000,3999990,500245,4000020&f=json";
    let before = get(at, boxed, "").await.body;
    let mut draft = city.begin().unwrap();
    draft.remove_layer("建筑").unwrap();
    draft.commit(&mut ImportReport::default()).unwrap();
    let after = get(at, boxed, "").await.body;
    assert!(after.len() < before.len() && !after.is_empty());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn features_are_served_as_the_ogc_says() {
    let (_dir, _city, server) = start().await;
    let at = server.address();
    let host = format!("Host: {at}\r\n");
    let landing = get(at, "/ogc", &host).await.json();
    let href = |value: &serde_json::Value, rel: &str| -> String {
        let links = value["links"].as_array().unwrap();
        let link = links.iter().find(|l| l["rel"] == rel).unwrap_or_else(|| panic!("{rel}: {value}"));
        link["href"].as_str().unwrap().strip_prefix(&format!("http://{at}")).unwrap().to_owned()
    };
    let conformance = get(at, &href(&landing, "conformance"), &host).await.json();
    assert!(conformance["conformsTo"].as_array().unwrap().iter().any(|c| c.as_str().unwrap().ends_with("conf/core")));
    let api = get(at, &href(&landing, "service-desc"), &host).await;
    assert_eq!(api.json()["openapi"], "3.0.3");
    let collections = get(at, &href(&landing, "data"), &host).await.json();
    let buildings = collections["collections"].as_array().unwrap().iter().find(|c| c["id"] == "建筑").unwrap().clone();
    let bbox: Vec<f64> =
        buildings["extent"]["spatial"]["bbox"][0].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert!((bbox[0] - 120.0).abs() < 0.001 && (bbox[2] - 120.0).abs() < 0.02 && bbox[3] - bbox[1] < 0.001, "{bbox:?}");
    assert_eq!(get(at, &href(&buildings, "self"), &host).await.json()["id"], "建筑");

    // Every object once, page after page.
    let items = href(&buildings, "items");
    let (mut next, mut ids, mut pages) = (Some(format!("{items}?limit=15")), std::collections::BTreeSet::new(), 0);
    while let Some(path) = next {
        let answer = get(at, &path, &host).await;
        assert_eq!(answer.header("content-type").unwrap(), "application/geo+json");
        let page = answer.json();
        let features = page["features"].as_array().unwrap();
        assert_eq!(page["numberReturned"].as_u64().unwrap() as usize, features.len());
        assert!(features.iter().all(|f| ids.insert(f["id"].as_str().unwrap().to_owned())));
        pages += 1;
        next = page["links"].as_array().unwrap().iter().any(|l| l["rel"] == "next").then(|| href(&page, "next"));
    }
    assert_eq!((ids.len(), pages), (40, 3));
    let one = get(at, &format!("{items}/{}", super::root::percent_encode("建筑/7")), &host).await.json();
    assert_eq!((one["type"].as_str(), one["id"].as_str()), (Some("Feature"), Some("建筑/7")));
    let again = get(at, &href(&one, "self"), &host).await.json();
    assert_eq!(again["geometry"], one["geometry"]);

    // A box around the first building alone, conditions, times.
    let mut lon_lat = &one["geometry"]["coordinates"];
    while lon_lat[0].is_array() {
        lon_lat = &lon_lat[0];
    }
    let (lon, lat) = (lon_lat[0].as_f64().unwrap(), lon_lat[1].as_f64().unwrap());
    let near = format!("{items}?bbox={},{},{},{}", lon - 1e-5, lat - 1e-5, lon + 1e-5, lat + 1e-5);
    let found = get(at, &near, &host).await.json();
    assert_eq!(found["features"][0]["id"], "建筑/7");
    assert_eq!(found["numberReturned"], 1);
    let filtered = get(at, &format!("{items}?filter=id%20like%20%27%253%27&filter-lang=cql2-text"), &host).await.json();
    assert_eq!(filtered["numberReturned"], 4, "3, 13, 23 and 33: {filtered}");
    for time in ["2020-01-01T00:00:00Z", "../2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z/.."] {
        let found = get(at, &format!("{items}?limit=99&datetime={time}"), &host).await.json();
        assert_eq!(found["numberReturned"], 40, "{time}: they have no period");
    }
    for bad in [
        "limit=0",
        "limit=x",
        "offset=-1",
        "bbox=1,2,3",
        "bbox=1,2,3,x",
        "bbox=0,50,1,40",
        "datetime=never",
        "datetime=2021-01-01/2020-01-01",
        "filter=a%20%3E",
        "filter-lang=cql-json",
        "bbox-crs=http://www.opengis.net/def/crs/EPSG/0/2326",
        "crs=EPSG:4326",
        "filter-crs=x&filter=id%20is%20null",
        "filter=nothing%20%3D%201",
        "filter=S_INTERSECTS(geometry,POLYGON((1%202,3%204)))",
        "filter=S_INTERSECTS(geometry,CIRCLE(1%202))",
        "filter=S_INTERSECTS(name,POINT(1%202))",
        "filter=%7B%22op%22:%22boom%22,%22args%22:%5B%5D%7D&filter-lang=cql2-json",
        "search=--",
        "unknown=1",
        "f=xml",
    ] {
        assert_eq!(get(at, &format!("{items}?{bad}"), &host).await.status, 400, "{bad}");
    }
    for none in ["/ogc/collections/nothing", "/ogc/collections/nothing/items"] {
        assert_eq!(get(at, none, &host).await.status, 404, "{none}");
    }
    assert_eq!(get(at, &format!("{items}/nothing"), &host).await.status, 404);
    assert_eq!(get(at, &format!("{items}/it%27s%20none"), &host).await.status, 404);
    let packed = get(at, &format!("{items}?limit=99"), &format!("{host}Accept-Encoding: gzip\r\n")).await;
    assert_eq!(packed.header("content-encoding").as_deref(), Some("gzip"));
    // A name that is no host's is not answered to, nor repeated.
    let odd = get(at, "/ogc", "Host: a<script>\r\n").await;
    assert_eq!(odd.status, 421);
    assert!(!odd.json().to_string().contains("<script"));
    server.stop().await.unwrap();
}

/// GIS programs take columns and the kind of geometry from the first features of a layer.
#[tokio::test]
async fn features_name_every_attribute_and_those_with_a_place_come_first() {
    let dir = tempfile::tempdir().unwrap();
    let city = City::create(&dir.path().join("x.city"), "x", &Crs::from_epsg(4549).unwrap(), None).unwrap();
    let mut draft = city.begin().unwrap();
    draft.replace_layer("m", vec![SourceRef { path: "m".into(), hash: "1".into(), ..SourceRef::default() }]).unwrap();
    for n in 0..30 {
        let at = DVec3::new(500_000.0 + f64::from(n), 4_000_000.0, 0.0);
        let place = Geometry::Point(Point { at, vertical: crate::model::Vertical::Absolute });
        let geometry = if n < 20 { Geometry::None } else { place };
        let mut object = CityObject::new(ObjectId::new("m", n), Class::Manhole, geometry);
        let (name, value) = if n < 29 { ("depth_m", Value::Real(1.5)) } else { ("cover", Value::Text("iron".into())) };
        object.attributes.push(Attribute::read(&name.into(), value));
        draft.push("m", object).unwrap();
    }
    draft.commit(&mut ImportReport::default()).unwrap();
    let server = serve(city.folder(), SocketAddr::from(([127, 0, 0, 1], 0)), None, Options::default()).await.unwrap();
    let at = server.address();
    let (mut ids, mut with_place) = (std::collections::BTreeSet::new(), Vec::new());
    for offset in (0..35).step_by(7) {
        let page = get(at, &format!("/ogc/collections/m/items?limit=7&offset={offset}"), "").await.json();
        let has_next = page["links"].as_array().unwrap().iter().any(|link| link["rel"] == "next");
        assert_eq!(has_next, offset + 7 < 30, "{offset}");
        for feature in page["features"].as_array().unwrap() {
            assert!(ids.insert(feature["id"].as_str().unwrap().to_owned()), "twice");
            with_place.push(!feature["geometry"].is_null());
            let properties = feature["properties"].as_object().unwrap();
            assert!(properties.contains_key("depth_m") && properties.contains_key("cover"), "{feature}");
            assert_ne!(properties["depth_m"].is_null(), properties["cover"].is_null(), "{feature}");
        }
    }
    assert_eq!(ids.len(), 30);
    assert_eq!(with_place, [vec![true; 10], vec![false; 20]].concat());
    let boxed = get(at, "/ogc/collections/m/items?bbox=119,35,121,37&limit=99", "").await.json();
    assert_eq!(boxed["numberReturned"], 10);
    server.stop().await.unwrap();
}

/// Every place of a geometry.
fn places(geometry: &serde_json::Value) -> Vec<(f64, f64)> {
    match geometry.as_array() {
        Some(list) if list[0].is_number() => vec![(list[0].as_f64().unwrap(), list[1].as_f64().unwrap())],
        Some(list) => list.iter().flat_map(places).collect(),
        None => Vec::new(),
    }
}

#[tokio::test]
async fn features_come_in_the_system_that_is_asked_for() {
    let (_dir, city, server) = start().await;
    let at = server.address();
    let items = format!("/ogc/collections/{}/items", super::root::percent_encode("建筑"));
    let collection = get(at, items.strip_suffix("/items").unwrap(), "").await.json();
    assert_eq!(collection["storageCrs"], "http://www.opengis.net/def/crs/EPSG/0/4549");
    let epsg = |code: u32| format!("http://www.opengis.net/def/crs/EPSG/0/{code}");
    let frame = city.frame().unwrap();
    let lon_lat = frame.geographic_from_city(DVec3::new(500_060.0, 4_000_000.0, 0.0));
    let radius = 6_378_137.0;
    let web = (
        lon_lat.x.to_radians() * radius,
        (std::f64::consts::FRAC_PI_4 + lon_lat.y.to_radians() / 2.0).tan().ln() * radius,
    );
    // The first corner of the fourth building, in the order of each system's axes, with a box around it.
    for (crs, first, second, half) in [
        ("http://www.opengis.net/def/crs/OGC/1.3/CRS84".to_owned(), lon_lat.x, lon_lat.y, 5e-6),
        (epsg(4326), lon_lat.y, lon_lat.x, 5e-6),
        (epsg(4549), 4_000_000.0, 500_060.0, 1.0),
        (epsg(3857), web.0, web.1, 1.0),
    ] {
        assert!(collection["crs"].as_array().unwrap().iter().any(|c| *c == crs), "{crs}");
        let corners = format!("{},{},{},{}", first - half, second - half, first + half, second + half);
        let answer = get(at, &format!("{items}?bbox={corners}&bbox-crs={crs}&crs={crs}"), "").await;
        assert_eq!(answer.header("content-crs").unwrap(), format!("<{crs}>"));
        let found = answer.json();
        assert_eq!(
            (found["numberReturned"].as_u64(), found["features"][0]["id"].as_str()),
            (Some(1), Some("建筑/3")),
            "{crs}"
        );
        let corner = places(&found["features"][0]["geometry"]["coordinates"])[0];
        assert!((corner.0 - first).abs() < half * 0.01 && (corner.1 - second).abs() < half * 0.01, "{crs}: {corner:?}");
        let ring = format!("BBOX({corners})");
        let filtered =
            get(at, &format!("{items}?filter=S_INTERSECTS(geometry,{ring})&filter-crs={crs}"), "").await.json();
        assert_eq!(filtered["features"][0]["id"], "建筑/3", "{crs}: {filtered}");
        assert_eq!(filtered["numberReturned"], 1);
        let one = format!("{items}/{}?crs={crs}", super::root::percent_encode("建筑/3"));
        let one = get(at, &one, "").await;
        assert_eq!(one.header("content-crs").unwrap(), format!("<{crs}>"));
        assert_eq!(places(&one.json()["geometry"]["coordinates"])[0], corner);
    }
    let world = get(at, &format!("{items}?bbox=-180,-90,180,90&limit=99"), "").await.json();
    assert_eq!(world["numberReturned"], 40);
    let half = get(at, &format!("{items}?bbox=-60,-90,{},90&limit=99", lon_lat.x + 1e-6), "").await.json();
    assert_eq!(half["numberReturned"], 4, "up to the fourth");
    assert_eq!(get(at, &format!("{items}?bbox=0,0,20,20"), "").await.json()["numberReturned"], 0);
    let high = get(at, &format!("{items}?bbox=119,35,20,121,37,30&limit=99"), "").await.json();
    assert_eq!(high["numberReturned"], 0, "they end 10 m high");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn filters_say_what_may_be_asked_and_hostile_ones_are_refused_quickly() {
    let (_dir, _city, server) = start().await;
    let at = server.address();
    let base = format!("/ogc/collections/{}", super::root::percent_encode("sensors"));
    let schema = get(at, &format!("{base}/queryables"), "").await;
    assert_eq!(schema.header("content-type").unwrap(), "application/schema+json");
    let schema = schema.json();
    assert_eq!(schema["properties"]["range_high"]["type"], "number");
    assert_eq!(schema["properties"]["topic"]["type"], "string");
    assert_eq!(schema["properties"]["geometry"]["x-ogc-role"], "primary-geometry");
    assert_eq!(schema["additionalProperties"], false);
    let count = async |query: &str| {
        let answer = get(at, &format!("{base}/items?{query}"), "").await;
        assert_eq!(answer.status, 200, "{query}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()["numberReturned"].as_u64().unwrap()
    };
    assert_eq!(count("filter=range_high%20BETWEEN%201%20AND%2010%20AND%20topic%20LIKE%20%27w/%25%27").await, 1);
    assert_eq!(count("filter=range_high%20IN%20(1,2)%20OR%20topic%20IS%20NULL").await, 0);
    let json = "%7B%22op%22:%22%3E%3D%22,%22args%22:%5B%7B%22property%22:%22range_high%22%7D,10%5D%7D";
    assert_eq!(count(&format!("filter={json}&filter-lang=cql2-json")).await, 1);
    let pin = "%7B%22op%22:%22s_intersects%22,%22args%22:%5B%7B%22property%22:%22geometry%22%7D,%7B%22bbox%22:%5B119,35,121,37%5D%7D%5D%7D";
    assert_eq!(count(&format!("filter={pin}&filter-lang=cql2-json")).await, 1);
    assert_eq!(count("search=yw").await, 1);

    let begin = std::time::Instant::now();
    let deep = format!("{}1{}", "%5B".repeat(9_000), "%5D".repeat(9_000));
    for hostile in [
        "(".repeat(9_000),
        "NOT%20".repeat(9_000),
        format!("topic%20IN%20({}", "1,".repeat(9_000)),
        format!("a=1{}", "%20OR%20a=1".repeat(5_000)),
        format!("S_INTERSECTS(geometry,{}", "GEOMETRYCOLLECTION(".repeat(2_000)),
        format!("S_INTERSECTS(geometry,POLYGON(({})))", "1%202,".repeat(9_000)),
        format!("S_INTERSECTS(geometry,LINESTRING({}1%201e400))", "1%202,".repeat(2_000)),
        "%F0%9F%98%80".repeat(4_000),
        format!("{deep}&filter-lang=cql2-json"),
        format!("{}&filter-lang=cql2-json", "%7B%22op%22:%22not%22,%22args%22:%5B".repeat(1_500)),
    ] {
        let answer = get(at, &format!("{base}/items?filter={hostile}"), "").await;
        assert_eq!(answer.status, 400, "{}", &hostile[..30]);
        let sentence = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(sentence.starts_with("filter: ") && sentence.len() < 400, "{sentence}");
    }
    // More than the server reads of a request line.
    let mut stream = TcpStream::connect(at).await.unwrap();
    let _ =
        stream.write_all(format!("GET {base}/items?filter={} HTTP/1.0\r\n\r\n", "x".repeat(1 << 20)).as_bytes()).await;
    let mut head = [0; 12];
    // It may hang up while the rest is still being sent.
    if stream.read_exact(&mut head).await.is_ok() {
        assert_eq!(&head[9..10], b"4", "{}", String::from_utf8_lossy(&head));
    }
    assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
    assert_eq!(count("limit=1").await, 1, "the server still answers");
    server.stop().await.unwrap();
}
