//! Every kind of shape that a shapefile may hold, with and without z and m, written here byte by byte.

use glam::DVec3;
use groundline_engine::model::{CityObject, Vertical};

use crate::{Options, feature::shown, trial::Trial};

/// A shapefile of one record; whether the kind has heights, it has measures too.
struct Kind {
    code: u32,
    has_z: bool,
    has_m: bool,
}

const NO_DATA: f64 = -1e39;

impl Kind {
    fn file(&self, content: Vec<u8>) -> Vec<u8> {
        let mut file = vec![0; 100];
        file[..4].copy_from_slice(&9994_u32.to_be_bytes());
        file[28..32].copy_from_slice(&1000_u32.to_le_bytes());
        file[32..36].copy_from_slice(&self.code.to_le_bytes());
        for (at, n) in [(36, 0.0_f64), (44, 0.0), (52, 9.0), (60, 9.0)] {
            file[at..at + 8].copy_from_slice(&n.to_le_bytes());
        }
        file.extend(1_u32.to_be_bytes());
        file.extend((content.len() as u32 / 2).to_be_bytes());
        file.extend(content);
        let words = (file.len() as u32 / 2).to_be_bytes();
        file[24..28].copy_from_slice(&words);
        file
    }

    /// A record of points: `parts` are the first vertices, `None` for kinds without parts.
    fn record(&self, parts: Option<&[u32]>, vertices: &[[f64; 4]]) -> Vec<u8> {
        let numbers = |all: &[f64]| all.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
        let mut content = self.code.to_le_bytes().to_vec();
        content.extend(numbers(&[0.0, 0.0, 9.0, 9.0]));
        if let Some(parts) = parts {
            content.extend((parts.len() as u32).to_le_bytes());
        }
        content.extend((vertices.len() as u32).to_le_bytes());
        content.extend(parts.unwrap_or(&[]).iter().flat_map(|p| p.to_le_bytes()));
        content.extend(vertices.iter().flat_map(|v| numbers(&v[..2])));
        let columns: &[(bool, usize)] = &[(self.has_z, 2), (self.has_m, 3)];
        for (_, column) in columns.iter().filter(|(is_there, _)| *is_there) {
            content.extend(numbers(&[-9.0, 9.0]));
            content.extend(vertices.iter().flat_map(|v| v[*column].to_le_bytes()));
        }
        content
    }

    fn single(&self, v: [f64; 4]) -> Vec<u8> {
        let mut content = self.code.to_le_bytes().to_vec();
        let kept = [Some(v[0]), Some(v[1]), self.has_z.then_some(v[2]), self.has_m.then_some(v[3])];
        content.extend(kept.into_iter().flatten().flat_map(f64::to_le_bytes));
        content
    }
}

fn read(file: Vec<u8>) -> Vec<CityObject> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("things.shp");
    std::fs::write(&path, file).unwrap();
    std::fs::write(path.with_extension("prj"), "EPSG:4549").unwrap();
    let trial = Trial::of(&super::FORMAT, &path, &Options::default(), 4549);
    assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
    trial.objects
}

fn line(objects: &[CityObject]) -> String {
    objects.iter().map(shown).collect::<Vec<_>>().join("; ")
}

#[test]
fn every_kind_of_shape_is_what_it_says() {
    // plain, with z (and a measure that is none), with m
    for (add, has_z, has_m) in [(0, false, false), (10, true, true), (10, true, false), (20, false, true)] {
        let kind = |code: u32| Kind { code: code + add, has_z, has_m };
        let (vertical, z) = match has_z {
            true => (Vertical::Absolute, [5.0, 6.0, 7.0, 8.0]),
            false => (Vertical::AboveTerrain, [0.0; 4]),
        };
        let v = |x: f64, y: f64, i: usize| [x, y, z[i % 4], NO_DATA];
        let at = |v: [f64; 4]| DVec3::new(v[0], v[1], v[2]);
        let list = |all: &[[f64; 4]]| {
            all.iter().map(|p| at(*p)).map(|p| format!("{} {} {}", p.x, p.y, p.z)).collect::<Vec<_>>().join(", ")
        };
        let place = v(1.5, 2.5, 1);
        let wanted = format!("point {vertical:?}: {}", list(&[place]));
        assert_eq!(line(&read(kind(1).file(kind(1).single(place)))), wanted, "kind {}", 1 + add);

        let [a, b, c, d] = [v(0.0, 0.0, 0), v(0.0, 4.0, 1), v(4.0, 4.0, 2), v(4.0, 0.0, 3)];
        let got = line(&read(kind(8).file(kind(8).record(None, &[a, b]))));
        assert_eq!(got, format!("point {vertical:?}: {}; point {vertical:?}: {}", list(&[a]), list(&[b])));

        let got = line(&read(kind(3).file(kind(3).record(Some(&[0, 2]), &[a, b, c, d]))));
        assert_eq!(got, format!("line {vertical:?}: {} | {}", list(&[a, b]), list(&[c, d])));

        // outer ring clockwise, hole counter-clockwise in the file, the other way round in the model
        let [e, f, g] = [v(1.0, 1.0, 0), v(2.0, 1.0, 1), v(2.0, 2.0, 2)];
        let rings = [a, b, c, d, a, e, f, g, e];
        let got = line(&read(kind(5).file(kind(5).record(Some(&[0, 5]), &rings))));
        assert_eq!(got, format!("area {vertical:?}: {} / {}", list(&[d, c, b, a]), list(&[g, f, e])));
    }
    let nothing = Kind { code: 0, has_z: false, has_m: false };
    assert_eq!(line(&read(nothing.file(0_u32.to_le_bytes().to_vec()))), "none");
}
