//! One bit of one file is another: it is found, the file is named, everything else is answered.

use std::{
    collections::BTreeMap,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use groundline_engine::{
    model::{ImportReport, ObjectId},
    query::{Query, run},
    store::{City, Edit},
};
use serde_json::json;

use crate::{
    Chance,
    state::of_city,
    step::{CITY, LIFE, Step, copy, place},
};

/// Flips of each kind of file.
const EACH: usize = 20;

/// What a layer answers: every object and what stands of it, and some by their ids.
fn answer(city: &City, layer: &str, ids: &[String]) -> Result<Vec<String>, String> {
    let query = Query { layers: vec![layer.into()], ..Query::default() };
    let asked = catch_unwind(AssertUnwindSafe(|| {
        let mut answers = Vec::new();
        for found in run(city, &query).map_err(|e| e.to_string())? {
            let found = found.map_err(|e| e.to_string())?;
            let shape = blake3::hash(&found.footprint_wkb);
            answers.push(format!("{} {:?} {:?} {:?} {shape}", found.id, found.name, found.extent, found.attributes));
        }
        for id in ids.iter().filter(|id| id.starts_with(layer)) {
            let found = city.object(&ObjectId(id.clone())).map_err(|e| e.to_string())?;
            answers.push(format!("{found:?}"));
        }
        Ok(answers)
    }));
    asked.unwrap_or_else(|_| panic!("a question to {layer} panicked"))
}

/// Ids of some objects of each layer.
fn some_ids(city: &City) -> Vec<String> {
    let all = |layer: &str| {
        let query = Query { layers: vec![layer.into()], ..Query::default() };
        run(city, &query).unwrap().map(|found| found.unwrap().id).collect::<Vec<_>>()
    };
    city.layers().iter().flat_map(|layer| all(&layer.name).into_iter().step_by(70)).collect()
}

fn kind_of(name: &str) -> String {
    let folder = name.split('/').next().unwrap_or_default();
    let ending = name.split_once('.').map_or("", |(_, ending)| ending);
    format!("{folder} {ending}")
}

#[test]
fn a_flipped_bit_of_any_file_is_found_and_named_and_the_rest_answers() {
    let folder = place();
    copy(&LIFE.after(Step::Update), folder.path());
    let place = folder.path().join(CITY);
    let city = City::open(&place).unwrap();
    let version = city.version();
    let layers: Vec<String> = city.layers().iter().map(|layer| layer.name.clone()).collect();
    let ids = some_ids(&city);
    let expected: BTreeMap<&String, Vec<String>> =
        layers.iter().map(|layer| (layer, answer(&city, layer, &ids).unwrap())).collect();
    let ours: Vec<String> = layers.iter().flat_map(|layer| city.layer(layer).unwrap().object_files.clone()).collect();
    let all = of_city(folder.path());
    let mut kinds: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for name in all.keys() {
        kinds.entry(kind_of(name)).or_default().push(name);
    }
    let mut chance = Chance(3);
    let (mut flips, mut refused, mut unread) = (0, 0, 0);
    for (kind, names) in &kinds {
        for number in 0..EACH.max(names.len()) {
            let name = names[number % names.len()];
            let bytes = &all[name];
            let (at, bit) = (chance.below(bytes.len()), chance.below(8));
            let case = format!("{name}: bit {bit} of byte {at}");
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            fs::write(place.join(name), damaged).unwrap();
            flips += 1;
            // The code behind `check --city`.
            match City::open(&place) {
                Err(error) => {
                    assert!(name == "city.json" || *name == format!("versions/{version:06}.json"), "{case}: {error}");
                    assert!(error.to_string().contains(name.as_str()), "{case}: {error}");
                }
                Ok(city) => {
                    let found: Vec<String> = city.verify().unwrap().into_iter().map(|damage| damage.path).collect();
                    assert_eq!(found, std::slice::from_ref(name), "{case}");
                    for layer in &layers {
                        let is_its = name.starts_with(&format!("objects/{layer}/"));
                        match answer(&city, layer, &ids) {
                            Ok(answers) if answers == expected[layer] => unread += usize::from(is_its),
                            Ok(_) => panic!("{case}: {layer} says something else"),
                            Err(error) => {
                                assert!(is_its, "{case}: {layer} does not answer: {error}");
                                assert!(error.contains(name.rsplit('/').next().unwrap()), "{case}: {error}");
                                refused += 1;
                            }
                        }
                    }
                    // What is damaged does not get into a new version with a hash of its own.
                    if kind == "objects parquet" && ours.contains(name) && name.starts_with("objects/buildings/") {
                        let edit = Edit { remove: vec![ObjectId::new("buildings", 30)], ..Edit::default() };
                        let error = city.edit("buildings", edit, &mut ImportReport::default()).unwrap_err().to_string();
                        assert!(error.contains("damaged") && error.contains(name.as_str()), "{case}: {error}");
                    }
                }
            }
            fs::write(place.join(name), bytes).unwrap();
        }
    }
    assert_eq!(City::open(&place).unwrap().verify().unwrap(), []);
    assert!(flips >= 200 && kinds.len() >= 9, "{flips} of {kinds:?}");
    let kinds: Vec<&String> = kinds.keys().collect();
    println!("{}", json!({"bits": flips, "found": flips, "kinds": kinds, "refused": refused, "not_touched": unread}));
    is_unharmed(folder.path());
}

fn is_unharmed(place: &Path) {
    assert_eq!(of_city(place), of_city(&LIFE.after(Step::Update)));
}
