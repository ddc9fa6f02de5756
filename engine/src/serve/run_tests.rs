//! What those need who run the server: health, counts, the definition, compression, origins, names.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Options, Origin,
    route::ROUTES,
    tests::{Answer, get, start, start_with},
};

#[tokio::test]
async fn ready_says_why_not_and_health_goes_on() {
    let (_dir, city, server) = start().await;
    let at = server.address();
    assert_eq!(get(at, "/health", "").await.json()["status"], "alive");
    let ready = get(at, "/ready", "").await;
    assert_eq!((ready.status, ready.json()["version"].as_u64()), (200, Some(1)));
    let manifest = city.folder().join("versions/000001.json");
    let head = city.folder().join("city.json");
    for (path, reason) in [(&manifest, "versions/000001.json"), (&head, "city.json")] {
        let bytes = std::fs::read(path).unwrap();
        std::fs::remove_file(path).unwrap();
        let missing = get(at, "/ready", "").await;
        std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        let damaged = get(at, "/ready", "").await;
        std::fs::write(path, &bytes).unwrap();
        for answer in [missing, damaged] {
            let said = answer.json();
            assert_eq!((answer.status, answer.header("retry-after").is_none()), (503, true));
            assert!(said["reason"].as_str().unwrap().contains(reason), "{said}");
            let folder = city.folder().parent().unwrap().to_str().unwrap();
            assert!(!said.to_string().contains(folder), "paths of the machine are not told: {said}");
        }
        assert_eq!(get(at, "/health", "").await.status, 200);
        assert_eq!(get(at, "/ready", "").await.status, 200);
    }
    server.stop().await.unwrap();
}

/// The text format of Prometheus, read strictly: name and labels to value, and the kinds of the names.
fn read_metrics(text: &str) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
    let (mut values, mut kinds) = (BTreeMap::new(), BTreeMap::new());
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let words: Vec<&str> = rest.splitn(3, ' ').collect();
            assert!(matches!(words[0], "HELP" | "TYPE") && is_name(words[1]), "{line}");
            if words[0] == "TYPE" {
                assert!(matches!(words[2], "counter" | "gauge" | "histogram"), "{line}");
                assert_eq!(kinds.insert(words[1].to_owned(), words[2].to_owned()), None, "{line} twice");
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| {
            let family = name.strip_suffix(end)?;
            kinds.get(family).is_some_and(|kind| kind == "histogram").then_some(family)
        });
        assert!(is_name(name) && kinds.contains_key(family.unwrap_or(name)), "{line}: no TYPE before it");
        if let Some(labels) = series.strip_prefix(name).filter(|labels| !labels.is_empty()) {
            let inner =
                labels.strip_prefix('{').and_then(|l| l.strip_suffix("\"}")).unwrap_or_else(|| panic!("{line}"));
            for label in inner.split("\",") {
                let (label, word) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
                assert!(is_name(label) && !word.contains(['"', '\\', '\n']), "{line}");
            }
        }
        let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
        assert_eq!(values.insert(series.to_owned(), value), None, "{series} twice");
    }
    (values, kinds)
}

#[tokio::test]
async fn metrics_count_each_request_under_its_route() {
    let (_dir, city, server) = start().await;
    let at = server.address();
    let glb = city.tile_files("建筑").unwrap().into_iter().find(|f| f.ends_with(".glb")).unwrap();
    let tile = format!("/{}", super::root::percent_encode(&glb));
    for path in [tile.as_str(), &tile, "/tiles/none.glb", "/layers", "/query?boxes=1", "/nothing", "/ogc/collections"] {
        get(at, path, "").await;
    }
    let page = get(at, "/metrics", "").await;
    assert_eq!(page.header("content-type").unwrap(), "text/plain; version=0.0.4; charset=utf-8");
    let (values, kinds) = read_metrics(std::str::from_utf8(&page.body).unwrap());
    let count = |route: &str, status: &str| {
        values[&format!("groundline_http_requests_total{{route=\"{route}\",status=\"{status}\"}}")]
    };
    assert_eq!((count("/tiles/{*path}", "2xx"), count("/tiles/{*path}", "4xx")), (2.0, 1.0));
    assert_eq!((count("/layers", "2xx"), count("/query", "4xx"), count("other", "4xx")), (1.0, 1.0, 1.0));
    assert_eq!(count("/ogc/collections", "2xx"), 1.0);
    let routes: BTreeSet<&str> = values.keys().filter_map(|k| k.split("route=\"").nth(1)?.split('"').next()).collect();
    assert_eq!(routes.len(), ROUTES.len() + 1, "one label for each route and one for all else: {routes:?}");

    let name = "groundline_http_request_duration_seconds";
    assert_eq!(kinds[name], "histogram");
    for route in routes {
        let of_route = format!("{name}_bucket{{route=\"{route}\",le=\"");
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for (series, value) in values.range(of_route.clone()..).take_while(|(series, _)| series.starts_with(&of_route))
        {
            let end = series[of_route.len()..].trim_end_matches("\"}");
            buckets.push((if end == "+Inf" { f64::INFINITY } else { end.parse().unwrap() }, *value));
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(buckets.len() > 5 && buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{route}: {buckets:?}");
        let total = values[&format!("{name}_count{{route=\"{route}\"}}")];
        assert_eq!(*buckets.last().unwrap(), (f64::INFINITY, total), "{route}");
    }
    assert!(values[&format!("{name}_sum{{route=\"/layers\"}}")] > 0.0);
    assert_eq!((values["groundline_city_version"], values["groundline_http_requests_in_flight"]), (1.0, 1.0));
    assert_eq!((values["groundline_tile_cache_hits_total"], values["groundline_http_connections"]), (1.0, 1.0));
    assert!(
        values["groundline_http_sent_bytes_total"] > std::fs::metadata(city.folder().join(&glb)).unwrap().len() as f64
    );
    assert!(values["process_resident_memory_bytes"] > 1e6 && values["process_start_time_seconds"] > 1.7e9);
    assert_eq!(values[&format!("groundline_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))], 1.0);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_definition_and_the_routes_are_one() {
    let (_dir, city, server) = start().await;
    let at = server.address();
    let host = format!("Host: {at}\r\n");
    let glb = city.tile_files("建筑").unwrap().into_iter().find(|f| f.ends_with(".glb")).unwrap();
    let filled = |template: &str| {
        let id = if template.starts_with("/sensors") { "sensors/W1" } else { "建筑/3" };
        let path = match template {
            "/files/{path}" => &glb,
            "/sta/v1.1/{path}" => "Datastreams",
            _ => glb.strip_prefix("tiles/").unwrap(),
        };
        let words = [("{layer}", "建筑"), ("{id}", id), ("{version}", "1"), ("{path}", path)];
        words
            .iter()
            .fold(template.to_owned(), |path, (name, word)| path.replace(name, &super::root::percent_encode(word)))
    };
    let api = get(at, "/api", &host).await;
    assert_eq!(api.header("content-type").unwrap(), super::definition::MEDIA);
    let api = api.json();
    let paths: BTreeSet<String> = api["paths"].as_object().unwrap().keys().cloned().collect();
    let templates: BTreeSet<String> =
        ROUTES.iter().map(super::route::Route::template).filter(|path| path == "/" || !path.ends_with('/')).collect();
    assert_eq!(paths, templates);
    let mut operations = BTreeSet::new();
    for (template, described) in api["paths"].as_object().unwrap() {
        let get_it = &described["get"];
        assert!(operations.insert(get_it["operationId"].as_str().unwrap().to_owned()), "{template}");
        // What changes is told without end.
        let end = if template == "/live" { "?once=true" } else { "" };
        let answer = get(at, &(filled(template) + end), &host).await;
        assert_eq!(answer.status, 200, "{template}: {}", String::from_utf8_lossy(&answer.body));
        let media = answer.header("content-type").unwrap();
        let named = get_it["responses"]["200"]["content"].as_object().unwrap();
        let is_named = |media: &str| named.keys().any(|known| *known == media);
        assert!(is_named(&media) || is_named(media.split(';').next().unwrap()), "{template} answers {media}");
        let variables = template.matches('{').count();
        let parameters = get_it["parameters"].as_array().unwrap();
        assert_eq!(parameters.iter().filter(|p| p["in"] == "path").count(), variables, "{template}");
        // What the definition names is known: each parameter alone is understood, or its value refused with its own name.
        for parameter in parameters.iter().filter(|p| p["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            let begin = if end.is_empty() || name == "once" { "?".to_owned() } else { format!("{end}&") };
            let answer = get(at, &format!("{}{begin}{name}=,", filled(template)), &host).await;
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(!said.contains("is not one of") || said.contains(&format!("{name}=")), "{template} {name}: {said}");
        }
    }
    // What OGC API – Features wants has its paths below its own landing page.
    let of_features = get(at, "/ogc/api", &host).await.json();
    let base = of_features["servers"][0]["url"].as_str().unwrap().to_owned();
    assert_eq!(base, format!("http://{at}/ogc"));
    let paths = of_features["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 7);
    for (template, described) in paths {
        assert_eq!(get(at, &filled(&format!("/ogc{template}")), &host).await.status, 200, "{template}");
        let whole = if template == "/" { "/ogc".to_owned() } else { format!("/ogc{template}") };
        assert_eq!(described, &api["paths"][&whole], "{template}");
    }
    assert_eq!(get(at, "/ogc/", &host).await.json(), get(at, "/ogc", &host).await.json());
    server.stop().await.unwrap();
}

fn unpacked(answer: &Answer) -> Vec<u8> {
    use std::io::Read;
    let mut bytes = Vec::new();
    match answer.header("content-encoding").as_deref() {
        Some("gzip") => flate2::read::MultiGzDecoder::new(&answer.body[..]).read_to_end(&mut bytes).map(drop).unwrap(),
        Some("zstd") => bytes = zstd::decode_all(&answer.body[..]).unwrap(),
        None => bytes = answer.body.clone(),
        Some(other) => panic!("{other}"),
    }
    bytes
}

#[tokio::test]
async fn answers_are_compressed_where_it_pays_and_tags_and_ranges_stay_right() {
    let (_dir, city, server) = start().await;
    let at = server.address();
    let files = city.tile_files("建筑").unwrap();
    let glb = files.iter().find(|f| f.ends_with(".glb")).unwrap();
    // What is compressed already gains nothing.
    let noise: Vec<u8> = (0..4_000_u32).flat_map(|n| blake3::hash(&n.to_le_bytes()).as_bytes()[..8].to_vec()).collect();
    std::fs::write(city.folder().join("tiles/noise.glb"), &noise).unwrap();
    for relative in [glb.as_str(), "tiles/noise.glb"] {
        let path = format!("/{}", super::root::percent_encode(relative));
        let plain = std::fs::read(city.folder().join(relative)).unwrap();
        let pays = relative != "tiles/noise.glb";
        let mut tags = BTreeSet::new();
        for _ in 0..2 {
            for coding in ["", "gzip", "zstd"] {
                let accept = format!("Accept-Encoding: {coding}\r\n");
                let answer = get(at, &path, &accept).await;
                assert_eq!((answer.status, unpacked(&answer) == plain), (200, true), "{path} {coding}");
                let expected = (pays && !coding.is_empty()).then_some(coding);
                assert_eq!(answer.header("content-encoding").as_deref(), expected, "{path}");
                assert_eq!(answer.header("content-length").unwrap(), answer.body.len().to_string());
                assert_eq!(answer.header("vary").unwrap(), "accept-encoding");
                assert_eq!(answer.header("content-type").unwrap(), "model/gltf-binary");
                assert_eq!(answer.header("accept-ranges").is_some(), expected.is_none());
                let tag = answer.header("etag").unwrap();
                let again = get(at, &path, &format!("{accept}If-None-Match: \"x\", W/{tag}\r\n")).await;
                assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(tag.clone())));
                assert_eq!(again.header("vary").unwrap(), "accept-encoding");
                assert!(again.header("cache-control").unwrap().contains("immutable"));
                // A range is always of the file as it lies, and never of a form with another tag.
                let part = get(at, &path, &format!("{accept}Range: bytes=4-9\r\n")).await;
                assert_eq!((part.status, &part.body[..], part.header("content-encoding")), (206, &plain[4..10], None));
                let whole = get(at, &path, &format!("{accept}Range: bytes=4-9\r\nIf-Range: {tag}\r\n")).await;
                assert_eq!(whole.status, if expected.is_some() { 200 } else { 206 });
                tags.insert(tag);
            }
        }
        assert_eq!(tags.len(), if pays { 3 } else { 1 }, "each form has its own: {tags:?}");
    }
    for path in
        ["/layers", "/ogc/api", "/api", "/query?f=json", "/query", "/tileset.json", "/city.json", "/metrics", "/"]
    {
        let plain = get(at, path, "").await;
        assert_eq!(plain.header("content-encoding"), None);
        for coding in ["gzip", "zstd"] {
            let answer = get(at, path, &format!("Accept-Encoding: {coding}\r\n")).await;
            let expected = (plain.body.len() > 860).then_some(coding);
            assert_eq!(answer.header("content-encoding").as_deref(), expected, "{path}");
            if expected.is_some() {
                assert!(
                    answer.body.len() < plain.body.len() && answer.header("vary").unwrap().contains("accept-encoding")
                );
                assert!(answer.header("etag").is_none_or(|tag| tag.starts_with("W/")), "{path}: it is another form");
            }
            if path != "/metrics" {
                assert_eq!(unpacked(&answer), plain.body, "{path}");
            }
        }
    }
    let part = get(at, "/city.json", "Range: bytes=0-0\r\nIf-Range: \"of before\"\r\n").await;
    assert_eq!(part.status, 200, "a part of another state is no use");
    let tag = get(at, "/tileset.json", "").await.header("etag").unwrap();
    assert_eq!(get(at, "/tileset.json", &format!("If-None-Match: {tag}\r\n")).await.status, 304);
    // No body for HEAD, and the length that GET has.
    let mut stream = tokio::net::TcpStream::connect(at).await.unwrap();
    let head = format!("HEAD /{} HTTP/1.0\r\n\r\n", super::root::percent_encode(glb));
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
    let mut said = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut said).await.unwrap();
    let length = std::fs::metadata(city.folder().join(glb)).unwrap().len();
    assert!(said.contains(&format!("content-length: {length}\r\n")) && said.ends_with("\r\n\r\n"), "{said}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn pages_of_listed_origins_may_read_and_no_others() {
    let allowed = |answer: &Answer| answer.header("access-control-allow-origin");
    for (list, asked) in [
        (vec![], [None, None]),
        (vec!["https://maps.example.org"], [Some("https://maps.example.org"), None]),
        (vec!["https://maps.example.org", "*"], [Some("*"), Some("*")]),
    ] {
        let cors = list.iter().map(|origin| Origin::parse(origin).unwrap()).collect();
        let (_dir, _city, server) = start_with(Options { cors, ..Options::default() }).await;
        for (origin, expected) in ["https://maps.example.org", "https://maps.example.org.evil.org"].iter().zip(asked) {
            for path in ["/layers", "/tileset.json", "/nothing", "/query?boxes=1"] {
                let answer = get(server.address(), path, &format!("Origin: {origin}\r\n")).await;
                assert_eq!(allowed(&answer).as_deref(), expected, "{list:?} {origin} {path}");
            }
        }
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn only_its_own_names_are_answered_to() {
    let hosts = vec!["city.example.org".to_owned()];
    let (_dir, _city, server) = start_with(Options { hosts, ..Options::default() }).await;
    let at = server.address();
    for (head, status) in [
        ("", 200),
        ("Host: localhost\r\n", 200),
        ("Host: 127.0.0.1:1234\r\n", 200),
        ("Host: [::1]\r\n", 200),
        ("Host: city.example.org\r\n", 200),
        ("Host: evil.example.org\r\n", 421),
        ("Host: localhost.evil.example.org\r\n", 421),
        ("Host: localhost\r\nHost: evil.example.org\r\n", 400),
        ("Host: \r\n", 421),
    ] {
        for path in ["/layers", "/health", "/tiles/x.glb", "/nothing"] {
            let answer = get(at, path, head).await;
            let found = if matches!(path, "/tiles/x.glb" | "/nothing") { 404 } else { 200 };
            assert_eq!(answer.status, if status == 200 { found } else { status }, "{head:?} {path}");
        }
    }
    assert_eq!(get(at, "http://evil.example.org/layers", "Host: localhost\r\n").await.status, 421);
    server.stop().await.unwrap();
}
