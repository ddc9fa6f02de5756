use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{
    entity::Set,
    path::{Address, Step},
};
use crate::serve::{
    feed::tests::{post, start},
    root::percent_encode,
    tests::{Answer, get},
};

/// Asks below the root; what comes after `?` is escaped.
async fn ask(at: SocketAddr, path: &str) -> Answer {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let query: Vec<String> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| format!("{name}={}", percent_encode(value)))
        .collect();
    get(at, &format!("/sta/v1.1/{}?{}", percent_encode(path), query.join("&")), "").await
}

async fn names(at: SocketAddr, path: &str) -> Vec<String> {
    let answer = ask(at, path).await;
    let said = answer.json();
    assert_eq!(answer.status, 200, "{path}: {said}");
    let id = |one: &Value| one["@iot.id"].as_str().unwrap().to_owned();
    said["value"].as_array().unwrap().iter().map(id).collect()
}

/// The path and query of an address of this server, without escapes.
fn local(address: &Value) -> String {
    let address = address.as_str().unwrap();
    let path = address.split_once("/sta/v1.1/").unwrap().1;
    super::options::decoded(path).unwrap()
}

#[tokio::test]
async fn sensors_are_entities_that_lead_to_one_another() {
    let served = start().await;
    let at = served.server.address();
    let root = get(at, "/sta/v1.1", "").await.json();
    assert_eq!(root["value"].as_array().unwrap().len(), 8);
    assert_eq!(local(&root["value"][0]["url"]), "Things");
    assert!(
        root["serverSettings"]["conformance"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one.as_str().unwrap().ends_with("req/datamodel"))
    );

    assert_eq!(names(at, "Things").await, ["建筑/3", "a/2", "b/3", "b/4"]);
    assert_eq!(names(at, "Datastreams").await, ["a/1", "a/2", "b/3", "b/4"]);
    assert_eq!(names(at, "ObservedProperties").await, ["level", "gas"]);
    // One has no place.
    assert_eq!(names(at, "Locations").await, ["建筑/3", "a/2", "b/3"]);
    assert_eq!(names(at, "HistoricalLocations").await, [""; 0]);
    assert_eq!(names(at, "Things('建筑/3')/Datastreams").await, ["a/1"]);
    assert_eq!(names(at, "ObservedProperties('level')/Datastreams").await, ["a/1", "a/2", "b/4"]);
    assert_eq!(names(at, "Locations('建筑/3')/Things").await, ["建筑/3"]);

    let thing = ask(at, "Things('建筑/3')").await.json();
    assert_eq!(thing["properties"], json!({"object": "建筑/3", "class": "building", "layer": "建筑"}), "{thing}");
    // Every address that an entity names answers.
    for (key, address) in thing.as_object().unwrap() {
        if key.ends_with("Link") {
            assert_eq!(ask(at, &local(address)).await.status, 200, "{key} {address}");
        }
    }
    let stream = ask(at, "Datastreams('b/3')").await.json();
    assert_eq!(stream["unitOfMeasurement"]["symbol"], "m");
    assert_eq!(stream["properties"]["threshold"]["high"], 50.0);
    let place = stream["observedArea"]["coordinates"].as_array().unwrap().clone();
    let frame = crate::crs::Frame::new(crate::crs::Crs::from_epsg(4549).unwrap()).unwrap();
    let wanted = frame.geographic_from_city(glam::DVec3::new(500_200.0, 4_000_000.0, 3.0));
    assert!(
        (place[0].as_f64().unwrap() - wanted.x).abs() < 1e-8 && (place[1].as_f64().unwrap() - wanted.y).abs() < 1e-8
    );
    assert_eq!(ask(at, "Datastreams('a/1')/Thing").await.json()["@iot.id"], "建筑/3");
    assert_eq!(
        ask(at, "Datastreams('a/1')/Sensor/metadata").await.json(),
        json!({"metadata": {"topic": "t/1", "payload": "plain"}})
    );
    let plain = ask(at, "Datastreams('b/3')/ObservedProperty/name/$value").await;
    assert_eq!(plain.body, b"gas");
    let addresses = ask(at, "Things/$ref?$top=1").await.json();
    assert_eq!(addresses["value"].as_array().unwrap().len(), 1);
    assert_eq!(local(&addresses["value"][0]["@iot.selfLink"]), "Things('建筑/3')");
    assert_eq!(ask(at, "Datastreams/$count").await.body, b"4");
    // A property without a value.
    assert_eq!(ask(at, "Datastreams('b/4')/observedArea").await.status, 204);
    for path in [
        "Nothings",
        "Things('x')",
        "Things('建筑/3')/Datastreams('b/3')",
        "Things('a/2')/result",
        "Things/Datastreams",
        "Datastreams('b/3')/Thing('b/3')",
    ] {
        let answer = ask(at, path).await;
        assert_eq!(answer.status, 404, "{path}: {}", String::from_utf8_lossy(&answer.body));
    }
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn questions_are_those_of_the_standard() {
    let served = start().await;
    let at = served.server.address();
    for (path, wanted) in [
        ("Datastreams?$filter=name eq 'a/1'", vec!["a/1"]),
        ("Datastreams?$filter=ObservedProperty/name eq 'gas' or Thing/@iot.id eq '建筑/3'", vec!["a/1", "b/3"]),
        ("Things?$filter=Datastreams/ObservedProperty/name eq 'gas'", vec!["b/3"]),
        ("Things?$filter=properties/class eq 'building'", vec!["建筑/3"]),
        ("Datastreams?$filter=properties/threshold/high gt 40", vec!["b/3"]),
        ("Datastreams?$filter=properties/quality eq 'missing'&$orderby=name desc&$top=2", vec!["b/4", "b/3"]),
        ("Datastreams?$orderby=ObservedProperty/name,id desc", vec!["b/3", "b/4", "a/2", "a/1"]),
        ("Datastreams?$skip=1&$top=2", vec!["a/2", "b/3"]),
        (
            "Datastreams?$filter=st_within(observedArea, geography'POLYGON((-180 -90, 180 -90, 180 90, -180 90, -180 -90))')",
            vec!["a/1", "a/2", "b/3"],
        ),
        ("Locations?$filter=geo.distance(location, geography'POINT(0 0)') lt 1", vec![]),
    ] {
        assert_eq!(names(at, path).await, wanted, "{path}");
    }
    // Pages lead to one another until everything was there once.
    let mut page = "Datastreams?$top=3&$count=true&$filter=name ne 'x y'".to_owned();
    let mut seen = Vec::new();
    loop {
        let said = ask(at, &page).await.json();
        assert_eq!(said["@iot.count"], 4, "{page}: {said}");
        seen.extend(said["value"].as_array().unwrap().iter().map(|one| one["@iot.id"].as_str().unwrap().to_owned()));
        match said.get("@iot.nextLink") {
            Some(next) => page = local(next),
            None => break,
        }
    }
    assert_eq!(seen, ["a/1", "a/2", "b/3", "b/4"]);

    let said = ask(
        at,
        "Things?$select=id,name&$filter=name eq 'b/3'&$expand=Datastreams($select=name;$expand=ObservedProperty($select=name),Thing;$count=true),Locations/HistoricalLocations",
    )
    .await
    .json();
    let thing = &said["value"][0];
    let mut keys: Vec<&String> = thing.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["@iot.id", "Datastreams", "Datastreams@iot.count", "Locations", "name"]);
    assert_eq!(thing["Datastreams"][0]["ObservedProperty"], json!({"name": "gas"}));
    assert_eq!(thing["Datastreams"][0]["Thing"]["@iot.id"], "b/3");
    assert_eq!(thing["Locations"][0]["HistoricalLocations"], json!([]));

    for (path, reason) in [
        ("Things?$filter=nope eq 1", "Things have no nope, but name"),
        ("Things?$filter=name eq", "at character 8"),
        ("Things?$orderby=Datastreams", "is an entity"),
        ("Things?$expand=Sensors", "Things have no Sensors"),
        ("Things?$expand=Datastreams($top=x)", "whole number"),
        ("Things?$expand=Datastreams($top=1", "a ) is missing"),
        ("Things?$select=result", "Things have no result"),
        ("Things?$top=-1", "whole number"),
        ("Things?$count=maybe", "true or false"),
        ("Things?$format=xml", "$format is none of"),
        ("Things?$resultFormat=dataArray", "of Observations"),
    ] {
        let answer = ask(at, path).await;
        let said = answer.json();
        assert_eq!(answer.status, 400, "{path}: {said}");
        assert!(said["error"].as_str().unwrap().contains(reason), "{path}: {said}");
    }
    let deep = format!("Things?$expand={}", vec!["Datastreams/Thing"; 20].join("/"));
    assert_eq!(ask(at, &deep).await.status, 400);
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn observations_are_created_kept_and_found() {
    let served = start().await;
    let at = served.server.address();
    let now = crate::live::now_ms();
    let time = |before_ms: i64| crate::query::time_text(now - before_ms).unwrap();
    let json_head = "Content-Type: application/json\r\n";
    let one = json!({"phenomenonTime": time(60_000), "result": 3.5}).to_string();
    let created = post(at, "/sta/v1.1/Datastreams('a%2F1')/Observations", json_head, &one).await;
    assert_eq!(created.status, 201, "{}", String::from_utf8_lossy(&created.body));
    let location = created.header("location").unwrap();
    assert_eq!(local(&json!(location)), format!("Observations('a/1@{}')", now - 60_000));
    assert_eq!(ask(at, &local(&json!(location))).await.json()["result"], 3.5);
    let named = json!([
        {"phenomenonTime": format!("{}/{}", time(50_000), time(40_000)), "result": "4.5", "Datastream": {"@iot.id": "a/1"}},
        {"result": 1, "Datastream": {"@iot.id": "x"}},
        {"phenomenonTime": time(30_000), "result": 60.0, "Datastream": {"@iot.id": "b/3"}},
    ]);
    let created = post(at, "/sta/v1.1/Observations", json_head, &named.to_string()).await;
    let said = created.json();
    assert_eq!(created.status, 201, "{said}");
    assert!(said[1].as_str().unwrap().starts_with("error: there is no Datastream x"), "{said}");
    assert_eq!(local(&said[2]), format!("Observations('b/3@{}')", now - 30_000));
    let table = json!([{"Datastream": {"@iot.id": "a/2"}, "components": ["result", "phenomenonTime"],
        "dataArray@iot.count": 3, "dataArray": [[1.0, time(3000)], [2.0, time(2000)], ["x", time(1000)]]}]);
    let said = post(at, "/sta/v1.1/CreateObservations", json_head, &table.to_string()).await.json();
    assert_eq!(
        said.as_array().unwrap().iter().filter(|one| one.as_str().unwrap().starts_with("error")).count(),
        1,
        "{said}"
    );

    let results = async |path: &str| -> Vec<f64> {
        let said = ask(at, path).await.json();
        said["value"]
            .as_array()
            .unwrap_or_else(|| panic!("{path}: {said}"))
            .iter()
            .map(|one| one["result"].as_f64().unwrap())
            .collect()
    };
    assert_eq!(results("Datastreams('a/1')/Observations").await, [3.5, 4.5]);
    assert_eq!(results("Datastreams('a/1')/Observations?$orderby=phenomenonTime desc&$top=1").await, [4.5]);
    assert_eq!(results("Observations?$orderby=result desc&$top=3").await, [60.0, 4.5, 3.5]);
    assert_eq!(
        results("Observations?$filter=result gt 1.5 and Datastream/ObservedProperty/name eq 'level'").await,
        [3.5, 4.5, 2.0]
    );
    let early = format!("Observations?$count=true&$filter=phenomenonTime lt {}", time(35_000));
    assert_eq!((results(&early).await, ask(at, &early).await.json()["@iot.count"].clone()), (vec![3.5, 4.5], json!(2)));
    assert_eq!(results("FeaturesOfInterest('建筑/3')/Observations").await, [3.5, 4.5]);
    let first = ask(at, "Observations?$top=2").await.json();
    assert_eq!(results(&local(&first["@iot.nextLink"])).await.len(), 2);
    assert_eq!(names(at, "Things?$filter=Datastreams/Observations/result gt 50").await, ["b/3"]);
    let said = ask(at, "Datastreams?$filter=id eq 'a/1'&$expand=Observations($orderby=phenomenonTime desc;$top=1)")
        .await
        .json();
    assert_eq!(said["value"][0]["Observations"][0]["result"], 4.5);
    assert_eq!(results(&local(&said["value"][0]["Observations@iot.nextLink"])).await, [3.5]);
    assert_eq!(said["value"][0]["phenomenonTime"], format!("{}/{}", time(60_000), time(40_000)));
    let table = ask(at, "Datastreams('a/2')/Observations?$resultFormat=dataArray").await.json();
    assert_eq!(table["value"][0]["dataArray"].as_array().unwrap().len(), 2);
    assert_eq!(table["value"][0]["dataArray"][1][3], 2.0);

    // What is not believed, and what cannot be done, is refused with a reason.
    for (path, body, status) in [
        ("Datastreams('a%2F1')/Observations", "{\"result\": null}", 400),
        ("Datastreams('x')/Observations", "{\"result\": 1}", 400),
        ("Observations", "{\"result\": 1}", 400),
        ("Observations", "no", 400),
        ("CreateObservations", "[{}]", 400),
        ("Things", "{\"name\": \"x\"}", 501),
        ("Nothings", "{}", 404),
    ] {
        let answer = post(at, &format!("/sta/v1.1/{path}"), json_head, body).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", String::from_utf8_lossy(&answer.body));
        assert!(answer.json()["error"].as_str().is_some_and(|text| text.len() > 10));
    }
    let evil = post(at, "/sta/v1.1/Observations", "Origin: http://evil.example\r\n", &one).await;
    assert_eq!(evil.status, 403);
    // The alarm of the gas was raised by what was created.
    assert_eq!(get(at, "/alarms", "").await.json()["alarms"].as_array().unwrap().len(), 1);
    served.server.stop().await.unwrap();
}

#[test]
fn addresses_are_read_whole_or_not_at_all() {
    let read = |path: &str| Address::read(path);
    let address = read("/Datastreams('a/1(x)''y')/Observations('a@1')/FeatureOfInterest/").unwrap();
    assert_eq!((address.set, address.id.as_deref()), (Set::Datastreams, Some("a/1(x)'y")));
    assert_eq!(address.leads_to(), Set::FeaturesOfInterest);
    assert!(matches!(&address.steps[0], Step::Link(link, Some(id)) if link.set == Set::Observations && id == "a@1"));
    assert_eq!(read("Things(7)").unwrap().id.as_deref(), Some("7"));
    for bad in [
        "",
        "things",
        "Things(",
        "Things('a",
        "Things('a'",
        "Things('a')x",
        "Things('a')/name/x",
        "Things/name",
        "Things('a')/$value",
        "Things('a')/name/$ref",
        "Things('a')/$count",
    ] {
        assert_eq!(read(bad), None, "{bad}");
    }
    let long = format!("Things('a'){}", "/Datastreams('a')/Thing".repeat(20));
    assert_eq!(read(&long), None);
}
