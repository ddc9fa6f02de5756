//! A small town, packed here by hand: the writer knows nothing of the reader.

use std::io::Write;

use groundline_engine::model::{CityObject, Class, Domain, Geometry, Section, Stage, Value, Vertical};

use super::FORMAT;
use crate::{Options, trial, trial::Trial};

fn varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3 | 2, &mut out);
    varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

fn number(field: u64, n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3, &mut out);
    varint(n, &mut out);
    out
}

fn packed(field: u64, numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut content = Vec::new();
    numbers.into_iter().for_each(|n| varint(n, &mut content));
    bytes(field, &content)
}

fn deltas(numbers: &[i64]) -> Vec<u64> {
    let before = std::iter::once(&0).chain(numbers);
    numbers.iter().zip(before).map(|(n, b)| zigzag(n - b)).collect()
}

/// A blob with its header, packed with zlib.
fn blob(kind: &str, content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    let body = [number(2, content.len() as u64), bytes(3, &encoder.finish().unwrap())].concat();
    let header = [bytes(1, kind.as_bytes()), number(3, body.len() as u64)].concat();
    [&(header.len() as u32).to_be_bytes()[..], &header, &body].concat()
}

/// Tags as `key=value;key=value`.
#[derive(Default)]
struct Strings(Vec<String>);

impl Strings {
    fn of(&mut self, text: &str) -> u64 {
        if let Some(at) = self.0.iter().position(|s| s == text) {
            return at as u64;
        }
        self.0.push(text.into());
        self.0.len() as u64 - 1
    }

    fn tags(&mut self, text: &str) -> Vec<(u64, u64)> {
        let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
        pairs.map(|(k, v)| (self.of(k), self.of(v))).collect()
    }

    fn block(&self, group: &[u8]) -> Vec<u8> {
        let table: Vec<u8> = self.0.iter().flat_map(|s| bytes(1, s.as_bytes())).collect();
        blob("OSMData", &[bytes(1, &table), bytes(2, group)].concat())
    }
}

type Node<'a> = (i64, f64, f64, &'a str);

fn nodes(nodes: &[Node<'_>]) -> Vec<u8> {
    let mut strings = Strings(vec![String::new()]);
    let ids: Vec<i64> = nodes.iter().map(|n| n.0).collect();
    let e7 = |degrees: f64| (degrees * 1e7).round() as i64;
    let lats: Vec<i64> = nodes.iter().map(|n| e7(n.2)).collect();
    let lons: Vec<i64> = nodes.iter().map(|n| e7(n.1)).collect();
    let tagging: Vec<u64> = nodes
        .iter()
        .flat_map(|n| strings.tags(n.3).into_iter().flat_map(|(k, v)| [k, v]).chain([0]).collect::<Vec<_>>())
        .collect();
    let dense =
        [packed(1, deltas(&ids)), packed(8, deltas(&lats)), packed(9, deltas(&lons)), packed(10, tagging)].concat();
    strings.block(&bytes(2, &dense))
}

fn ways(ways: &[(i64, &[i64], &str)]) -> Vec<u8> {
    let mut strings = Strings(vec![String::new()]);
    let mut group = Vec::new();
    for (id, refs, tags) in ways {
        let tags = strings.tags(tags);
        let (keys, values) = (tags.iter().map(|t| t.0), tags.iter().map(|t| t.1));
        group.extend(bytes(
            3,
            &[number(1, *id as u64), packed(2, keys), packed(3, values), packed(8, deltas(refs))].concat(),
        ));
    }
    strings.block(&group)
}

fn relations(relations: &[(i64, &[(i64, &str)], &str)]) -> Vec<u8> {
    let mut strings = Strings(vec![String::new()]);
    let mut group = Vec::new();
    for (id, members, tags) in relations {
        let tags = strings.tags(tags);
        let roles: Vec<u64> = members.iter().map(|(_, role)| strings.of(role)).collect();
        let ids: Vec<i64> = members.iter().map(|m| m.0).collect();
        let relation = [
            number(1, *id as u64),
            packed(2, tags.iter().map(|t| t.0)),
            packed(3, tags.iter().map(|t| t.1)),
            packed(8, roles),
            packed(9, deltas(&ids)),
            packed(10, members.iter().map(|_| 1)),
        ];
        group.extend(bytes(4, &relation.concat()));
    }
    strings.block(&group)
}

fn header() -> Vec<u8> {
    let bbox: Vec<u8> = [(1, 120.38), (2, 120.40), (3, 36.08), (4, 36.06)]
        .iter()
        .flat_map(|(field, degrees): &(u64, f64)| number(*field, zigzag((degrees * 1e9).round() as i64)))
        .collect();
    blob("OSMHeader", &[bytes(1, &bbox), bytes(4, b"OsmSchema-V0.6"), bytes(4, b"DenseNodes")].concat())
}

/// A grid of nodes 1 to 100, some 20 m apart; node 10 r + c + 1 stands in row r, column c.
fn grid() -> Vec<Node<'static>> {
    let place = |i: i64| (i + 1, 120.38 + (i % 10) as f64 * 2e-4, 36.06 + (i / 10) as f64 * 2e-4, "");
    (0..100).map(place).collect()
}

fn town() -> Vec<u8> {
    let mut all = grid();
    all.push((201, 120.3805, 36.0605, "natural=tree;leaf_type=needleleaved;height=11"));
    all.push((202, 120.3806, 36.0605, "highway=street_lamp"));
    [
        header(),
        nodes(&all),
        ways(&[
            (1, &[1, 2, 12, 11, 1], "building=yes;height=20 m;name=海天大厦"),
            (2, &[3, 4, 14, 13, 3], "building=apartments;building:levels=6"),
            (3, &[31, 35, 55, 51, 31], "building=retail;name=台东商场"),
            (4, &[32, 33, 43, 42, 32], "building:part=yes;height=30"),
            (5, &[33, 34, 44, 43, 33], "building:part=yes;height=12;min_height=3"),
            (10, &[21, 22, 23, 24], "highway=residential;lanes=2;name=香港中路"),
            (11, &[25, 26, 27], "highway=primary;tunnel=yes;layer=-2"),
            (12, &[61, 62, 63], "railway=subway;tunnel=yes"),
            (13, &[71, 72], "railway=rail"),
            (14, &[81, 82, 83], "waterway=stream"),
            (15, &[84, 85], "highway=construction;construction=primary"),
            (20, &[66, 67, 77], ""),
            (21, &[77, 76, 66], ""),
            (22, &[6, 7, 17, 16, 6], "landuse=grass"),
        ]),
        relations(&[(45, &[(20, "outer"), (21, "outer")], "type=multipolygon;natural=water;name=湖")]),
    ]
    .concat()
}

fn read(bytes: &[u8]) -> Trial {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("town.osm.pbf");
    std::fs::write(&path, bytes).unwrap();
    Trial::of(&FORMAT, &path, &Options::default(), 4549)
}

fn find<'t>(trial: &'t Trial, id: &str) -> &'t CityObject {
    trial.objects.iter().find(|o| o.id.as_str() == format!("t/{id}")).unwrap_or_else(|| panic!("no {id}"))
}

#[test]
fn a_town_becomes_objects_of_many_classes() {
    let town = read(&town());
    town.outcome.as_ref().unwrap();
    let counts = |class| town.objects.iter().filter(|o| o.class == class).count();
    let classes = [Class::Building, Class::Road, Class::Tunnel, Class::Railway, Class::Water, Class::Greenery];
    assert_eq!(classes.map(counts), [5, 2, 2, 1, 2, 1]);
    assert_eq!((counts(Class::Tree), counts(Class::Lamp), town.objects.len()), (1, 1, 15));
    assert_eq!(town.probe.as_ref().unwrap().source_extent, Some([120.38, 36.06, 120.4, 36.08]));

    let Geometry::Block(block) = &find(&town, "way/1").geometry else { panic!() };
    assert_eq!((block.height_m, block.footprint[0].outer.len()), (20.0, 4));
    assert_eq!(find(&town, "way/1").name.as_deref(), Some("海天大厦"));
    let Geometry::Block(block) = &find(&town, "way/2").geometry else { panic!() };
    assert_eq!((block.height_m, block.storeys), (18.0, Some(6)));
    let Geometry::Line(line) = &find(&town, "way/10").geometry else { panic!() };
    assert_eq!((line.width_m, line.vertical), (7.0, Vertical::AboveTerrain));
    let Geometry::Instance(tree) = &find(&town, "node/201").geometry else { panic!() };
    assert_eq!(tree.height_m, 11.0);
    assert_eq!(find(&town, "way/15").stage, Stage::Construction);
    let Geometry::Area(water) = &find(&town, "relation/45").geometry else { panic!() };
    assert_eq!(water.polygons[0].outer.len(), 4);
}

#[test]
fn a_building_with_parts_is_drawn_by_them() {
    let town = read(&town());
    let whole = find(&town, "way/3");
    assert_eq!((&whole.geometry, whole.name.as_deref()), (&Geometry::None, Some("台东商场")));
    for (id, height) in [("way/4", 30.0), ("way/5", 12.0)] {
        let part = find(&town, id);
        assert_eq!(part.parent.as_ref(), Some(&whole.id));
        let Geometry::Block(block) = &part.geometry else { panic!() };
        assert_eq!(block.height_m, height);
        assert_eq!(block.lift_m, if id == "way/5" { 3.0 } else { 0.0 });
    }
    assert_eq!(find(&town, "way/5").value("min_height_m"), Some(&Value::Real(3.0)));
}

#[test]
fn parts_begin_where_their_tags_say() {
    let nodes = [grid(), vec![]].concat();
    let rings: Vec<[i64; 5]> = (0..8).map(|i| [i + 1, i + 2, i + 12, i + 11, i + 1]).collect();
    let tags = [
        "building:part=yes;height=30;building:levels=10;building:min_level=4",
        "building:part=yes;building:levels=10;building:min_level=4",
        "building:part=yes;building:levels=2;building:min_level=4",
        "building:part=yes;min_height=20",
        "building:part=yes;height=10;min_height=20",
        "building:part=yes;height=10;min_height=-3",
        "building:part=yes;height=40 ft;min_height=20'",
        "building=roof;height=6;min_height=5",
    ];
    let all: Vec<(i64, &[i64], &str)> =
        tags.iter().zip(&rings).enumerate().map(|(i, (tags, ring))| (i as i64 + 1, &ring[..], *tags)).collect();
    let town = read(&[header(), super::tests::nodes(&nodes), ways(&all)].concat());
    town.outcome.as_ref().unwrap();
    let found: Vec<(f64, f64)> = (1..=8)
        .map(|id| {
            let Geometry::Block(block) = &find(&town, &format!("way/{id}")).geometry else { panic!() };
            (block.lift_m, block.height_m)
        })
        .collect();
    let feet = [20.0 * 0.3048, 40.0 * 0.3048];
    let wanted = [(12.0, 30.0), (12.0, 30.0), (12.0, 18.0), (20.0, 23.0), (0.0, 10.0), (0.0, 10.0)];
    for (found, wanted) in found.iter().zip(wanted.iter().chain(&[(feet[0], feet[1]), (5.0, 6.0)])) {
        assert!((found.0 - wanted.0).abs() < 1e-9 && (found.1 - wanted.1).abs() < 1e-9, "{found:?} {wanted:?}");
    }
    for code in ["min_height_above_top", "implausible_min_height"] {
        assert_eq!(town.report.warnings.iter().find(|w| w.code == code).map(|w| w.count), Some(1), "{code}");
    }
}

#[test]
fn tunnels_lie_below_the_ground_at_a_depth_that_is_said_to_be_assumed() {
    let town = read(&town());
    let metro = find(&town, "way/12");
    assert_eq!((metro.class, metro.domain), (Class::Tunnel, Domain::Below));
    let Geometry::Tube(tube) = &metro.geometry else { panic!() };
    assert_eq!((tube.section, tube.vertical), (Section::Circle { diameter_m: 6.2 }, Vertical::AboveTerrain));
    assert!(tube.axis.iter().all(|v| (v.z + 9.0 + 3.1).abs() < 1e-9), "{:?}", tube.axis);
    let depth = metro.attributes.iter().find(|a| &*a.key == "depth_m").unwrap();
    assert!(matches!(&depth.origin, groundline_engine::model::Origin::Defaulted(why) if why.contains("assumed")));
    let Geometry::Tube(tube) = &find(&town, "way/11").geometry else { panic!() };
    assert!(tube.axis.iter().all(|v| (v.z + 8.0 + 2.75).abs() < 1e-9), "{:?}", tube.axis);
}

#[test]
fn what_is_cut_off_is_told() {
    let cut = [
        header(),
        nodes(&grid()),
        ways(&[
            (1, &[1, 2, 999, 11, 1], "building=yes"),
            (2, &[1, 2, 999, 4, 5], "highway=service"),
            (3, &[5, 999], "highway=service"),
            (4, &[1, 2, 3], "barrier=wall"),
        ]),
        relations(&[(7, &[(1000, "outer")], "type=multipolygon;natural=water"), (8, &[], "type=route;route=bus")]),
    ];
    let trial = read(&cut.concat());
    trial.outcome.as_ref().unwrap();
    assert_eq!((trial.objects.len(), trial.report.skipped), (1, 3));
    let Geometry::Line(line) = &trial.objects[0].geometry else { panic!() };
    assert_eq!(line.paths.len(), 2);
    let left_out = trial.report.warnings.iter().find(|w| w.code == "left_out").unwrap();
    assert!(left_out.message.starts_with("0 nodes, 1 ways and 1 relations"), "{}", left_out.message);
}

#[test]
fn limits_and_strange_files_are_refused_by_name() {
    let refused = |bytes: &[u8]| read(bytes).outcome.unwrap_err().to_string();
    let huge = [bytes(1, b"OSMHeader"), number(3, 33 << 20)].concat();
    let huge = [&(huge.len() as u32).to_be_bytes()[..], &huge, &[0; 64]].concat();
    assert!(refused(&huge).contains("at most"), "{}", refused(&huge));
    let history = blob("OSMHeader", &bytes(4, b"HistoricalInformation"));
    assert!(refused(&history).contains("time-filter"));
    let body = [number(2, 3), bytes(7, b"abc")].concat();
    let zstd = [bytes(1, b"OSMData"), number(3, body.len() as u64)].concat();
    let zstd = [&header()[..], &(zstd.len() as u32).to_be_bytes(), &zstd, &body].concat();
    assert!(refused(&zstd).contains("Zstandard"), "{}", refused(&zstd));
    assert!(refused(&[town(), town()].concat()).contains("second header"));
    // A few kilobytes that unpack to more than they may.
    let bomb = blob("OSMHeader", &vec![0; 33 << 20]);
    assert!(refused(&bomb).contains("at most"), "{}", refused(&bomb));
    assert!(read(b"\x1a\x05tiles").probe.is_none(), "a vector tile is none of ours");
}

#[test]
fn no_damage_makes_it_panic_hang_or_miscount_silently() {
    // Without the part that begins above the ground: its warning would hide others.
    let whole = [
        header(),
        nodes(&grid()),
        ways(&[
            (1, &[1, 2, 12, 11, 1], "building=yes;height=20"),
            (3, &[31, 35, 55, 51, 31], "building=retail"),
            (4, &[32, 33, 43, 42, 32], "building:part=yes;height=30"),
            (10, &[21, 22, 23, 24], "highway=residential;lanes=2"),
            (12, &[61, 62, 63], "railway=subway;tunnel=yes"),
            (20, &[66, 67, 77], ""),
            (21, &[77, 76, 66], ""),
        ]),
        relations(&[(45, &[(20, "outer"), (21, "outer")], "type=multipolygon;natural=water")]),
    ];
    let found = trial::miscounts(&FORMAT, "town.osm.pbf", &whole.concat(), &Options::default(), 4549);
    assert_eq!(found, Vec::<String>::new());
}
