//! Tilesets looked at where they lie, in folders and on a web server on a real socket.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
};

use glam::DVec3;
use groundline_engine::{
    model::{Extent, Value},
    tile::{Piece, TileContent, TileId, TileSource, TileTree},
};

use super::{
    Tileset,
    tests::{b3dm, tileset, written},
};
use crate::las::tests::shared_data;

/// Serves a folder; the address, and nothing but what lies in the folder.
fn serve(folder: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let folder: PathBuf = folder.into();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 4096];
            let length = stream.read(&mut head).unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let path = head.split_whitespace().nth(1).unwrap_or("/").split('?').next().unwrap_or("/").to_owned();
            let is_open = head.contains("key=1");
            let (status, body) = match std::fs::read(folder.join(path.trim_start_matches('/'))) {
                Ok(body) if is_open => ("200 OK", body),
                _ => ("404 Not Found", Vec::new()),
            };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    url
}

/// All that a tileset draws, and why what is not drawn is not.
#[derive(Default)]
struct Seen {
    drawn: Vec<(TileContent, DVec3)>,
    faults: Vec<String>,
    tree: TileTree,
}

/// Asks for every tile there is.
fn look(source: &Tileset) -> Seen {
    let mut seen = Seen { tree: TileTree::from_tiles(source.tiles()).unwrap(), ..Seen::default() };
    let mut at = 0;
    while let Some(tile) = seen.tree.tiles().get(at as usize) {
        let Some(content) = tile.content.clone() else {
            at += 1;
            continue;
        };
        match source.read(&content) {
            // What took its place is looked at next.
            Ok(Piece::Tiles(tiles)) => {
                seen.tree.graft(TileId(at), &content, tiles).unwrap();
                continue;
            }
            Ok(Piece::Drawn(content, origin)) => seen.drawn.push((*content, origin)),
            Err(reason) => seen.faults.push(reason),
        }
        at += 1;
    }
    seen
}

fn places((content, origin): &(TileContent, DVec3)) -> Vec<DVec3> {
    content.meshes.iter().flat_map(|m| &m.positions).map(|p| *origin + p.as_dvec3()).collect()
}

#[test]
fn a_tileset_grows_page_by_page_in_a_folder_and_on_a_server() {
    let inner = tileset("ADD", ["../fine.b3dm", "missing.b3dm"]);
    let json = tileset("REPLACE", ["coarse.b3dm", "sub/inner.json"]);
    let folder = written(&[
        ("tileset.json", json.as_bytes()),
        ("sub/inner.json", inner.as_bytes()),
        ("coarse.b3dm", &b3dm()),
        ("fine.b3dm", &b3dm()),
    ]);
    let there = format!("{}/tileset.json?key=1", serve(folder.path()));
    let here = folder.path().join("tileset.json");
    for place in [&*there, here.to_str().unwrap()] {
        let source = Tileset::open(place).unwrap();
        assert_eq!(source.tiles().len(), 2, "the page below is not asked for");
        assert_eq!(source.lon_lat(), None, "it does not lie on the Earth");
        let seen = look(&source);
        assert_eq!((seen.drawn.len(), seen.faults.len(), seen.tree.tiles().len()), (2, 1, 3), "{:?}", seen.faults);
        assert!(seen.faults[0].contains("missing.b3dm") && !seen.faults[0].contains("key"), "{:?}", seen.faults);
        // Transform, RTC_CENTER, y up, the node's own place: in this order; below an external tileset, both transforms.
        let (coarse, fine) = (places(&seen.drawn[0]), places(&seen.drawn[1]));
        assert!(coarse[2].distance(DVec3::new(1110.0, 2170.0, 321.0)) < 1e-3, "{}", coarse[2]);
        assert!(fine[2].distance(DVec3::new(2110.0, 4170.0, 321.0)) < 1e-3, "{}", fine[2]);
        let page = seen.tree.tile(TileId(1));
        assert_eq!((page.geometric_error_m, page.children.len()), (5.0, 1), "the root of the page is in its place");
        assert!(page.extent.centre().distance(DVec3::new(2000.0, 4000.0, 0.0)) < 1e-9);
        // Features have rows, ids and what the batch table says.
        let content = &seen.drawn[1].0;
        assert_eq!((content.features.ids.len(), &content.features.names[..]), (2, &["a".into(), "b".into()][..]));
        assert_eq!(content.meshes[0].features, [0, 0, 0, 1, 1, 1]);
        assert!(content.features.ids[1].ends_with("/fine#1"), "{:?}", content.features.ids);
        let object = source.object(&content.features.ids[1]).unwrap();
        assert_eq!(object.value("floors"), Some(&Value::Int(9)));
        assert_eq!(content.meshes[0].colours[0], [255, 0, 128, 255]);
    }
}

#[test]
fn other_hosts_and_tilesets_within_themselves_are_sentences() {
    let json = tileset("ADD", ["https://elsewhere.example/a.b3dm?token=secret", "tileset.json"]);
    let folder = written(&[("tileset.json", json.as_bytes())]);
    let seen = look(&Tileset::open(&format!("{}/tileset.json?key=1", serve(folder.path()))).unwrap());
    assert!(seen.drawn.is_empty() && seen.faults.len() == 2, "{:?}", seen.faults);
    assert!(seen.faults[0].contains("elsewhere.example/a.b3dm lies on another host"), "{:?}", seen.faults);
    assert!(!seen.faults[0].contains("secret"));
    assert!(seen.faults[1].contains("within itself"), "{:?}", seen.faults);
    let local = look(&Tileset::open(folder.path().join("tileset.json").to_str().unwrap()).unwrap());
    assert!(local.faults[0].contains("network, which is not asked"), "{:?}", local.faults);
}

#[test]
fn what_is_no_tileset_is_an_error_that_says_so() {
    let volume = r#""boundingVolume":{"sphere":[0,0,0,9]},"geometricError":1"#;
    for (text, word) in [
        ("[]", "no tileset"),
        ("{\"asset\":", "no tileset"),
        (r#"{"asset":{},"root":{"geometricError":1}}"#, "boundingVolume"),
        (r#"{"asset":{},"root":{"boundingVolume":{"box":[1]},"geometricError":1}}"#, "boundingVolume"),
        (r#"{"asset":{},"root":{"boundingVolume":{"sphere":[0,0,0,9]}}}"#, "geometricError"),
        (&format!(r#"{{"asset":{{}},"root":{{{volume},"transform":[1]}}}}"#), "transform"),
        (
            &format!(r#"{{"asset":{{}},"root":{{{volume},"implicitTiling":{{"subdivisionScheme":"QUADTREE"}}}}}}"#),
            "sphere",
        ),
    ] {
        let folder = written(&[("tileset.json", text.as_bytes())]);
        let reason = Tileset::open(folder.path().join("tileset.json").to_str().unwrap()).err();
        assert!(reason.as_ref().is_some_and(|r| r.contains(word) && r.contains("tileset.json")), "{text}: {reason:?}");
    }
}

#[test]
fn real_implicit_and_composite_tilesets_are_drawn_whole() {
    let Some(data) = shared_data() else { return };
    let open = |name: &str| Tileset::open(data.join("3dtiles").join(name).to_str().unwrap()).unwrap();
    let sparse = look(&open("samples_1.1/SparseImplicitQuadtree/tileset.json"));
    let contents = std::fs::read_dir(data.join("3dtiles/samples_1.1/SparseImplicitQuadtree/content")).unwrap().count();
    assert_eq!((sparse.drawn.len(), sparse.faults.len()), (contents, 0), "{:?}", sparse.faults);
    // What is drawn lies in the box of its tile, which is a part of that of the tile above.
    let mut left = sparse.drawn.iter();
    for tile in sparse.tree.tiles() {
        let is_in = |p: DVec3, extent: &Extent| p.distance(p.clamp(extent.min, extent.max)) < 1e-6;
        if let Some(above) = tile.parent.map(|id| sparse.tree.tile(id)) {
            assert!(is_in(tile.extent.min, &above.extent) && is_in(tile.extent.max, &above.extent));
            assert!(tile.geometric_error_m < above.geometric_error_m);
        }
        if tile.content.is_some() {
            let places = places(left.next().unwrap());
            assert!(places.iter().all(|p| is_in(*p, &tile.extent)), "{places:?} {:?}", tile.extent);
        }
    }
    let composite = look(&open("cesiumjs_fixtures/Composite/Composite/tileset.json"));
    assert_eq!((composite.drawn.len(), composite.faults.len()), (1, 0), "{:?}", composite.faults);
    assert!(composite.drawn[0].0.features.ids.len() > 10, "batches and instances are told apart");
    // On the Earth, the middle of the root is the origin, and up is up.
    let earth = open("cesiumjs_fixtures/Batched/BatchedWithBatchTable/tileset.json");
    let seen = look(&earth);
    let all = Extent::around(seen.drawn.iter().flat_map(places));
    assert!(all.centre().truncate().length() < 20.0 && all.min.z.abs() < 1e-3 && all.max.z < 30.0, "{all:?}");
    assert!(seen.drawn[0].0.meshes[0].normals.iter().any(|n| n.z > 0.99), "a roof looks up");
}

#[test]
fn damaged_contents_of_tiles_are_sentences() {
    let whole = b3dm();
    let mut refused = 0;
    for at in (0..whole.len()).step_by(5) {
        let mut wild = whole.clone();
        wild[at] ^= 0xff;
        for bytes in [&whole[..at], &wild[..]] {
            let folder =
                written(&[("tileset.json", tileset("ADD", ["a.b3dm", "a.b3dm"]).as_bytes()), ("a.b3dm", bytes)]);
            let source = Tileset::open(folder.path().join("tileset.json").to_str().unwrap()).unwrap();
            let seen = look(&source);
            refused += usize::from(!seen.faults.is_empty());
            assert!(seen.faults.iter().all(|reason| reason.contains("a.b3dm")), "{:?}", seen.faults);
        }
    }
    assert!(refused > 100, "{refused}");
}
