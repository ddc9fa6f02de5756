//! Requests that mean ill or are merely odd, each written byte by byte: none gets a 5xx, anything from outside the city, or long thought.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    Options,
    tests::{get, start_with},
};

/// What must never come: it lies beside the city, and in it where nothing may be asked.
const SECRETS: [&[u8]; 4] = [b"secret", b"root:x:", b"PAR1", b"IHDR-outside"];
const SLOWEST: Duration = Duration::from_secs(2);

/// A request and what may be answered: the first digits of the status.
struct Hostile {
    bytes: Vec<u8>,
    may: &'static [u16],
}

fn raw(bytes: impl Into<Vec<u8>>, may: &'static [u16]) -> Hostile {
    Hostile { bytes: bytes.into(), may }
}

fn of_path(path: &str, may: &'static [u16]) -> Hostile {
    raw(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), may)
}

const NONE: &[u16] = &[400, 404];

/// Paths that would lead out of the folder, in every spelling, below each route that takes a path.
fn paths() -> Vec<Hostile> {
    let spellings = [
        "../secret",
        "../../secret",
        "%2e%2e/secret",
        "%2e%2e%2fsecret",
        "%2E%2E%2Fsecret",
        ".%2e/secret",
        "%2e./secret",
        "..%2fsecret",
        "..%2Fsecret",
        "..%5csecret",
        "..\\secret",
        "..%255csecret",
        "%252e%252e%252fsecret",
        "%25%32%65%25%32%65/secret",
        "%c0%ae%c0%ae/secret",
        "%c0%ae%c0%ae%c0%afsecret",
        "%e0%80%ae%e0%80%ae/secret",
        "%f0%80%80%ae%f0%80%80%ae/secret",
        "..%c0%afsecret",
        "..%c1%9csecret",
        "..%u2215secret",
        "%uff0e%uff0e%u2215secret",
        "%ef%bc%8e%ef%bc%8e/secret",
        "....//secret",
        "..../secret",
        "..;/secret",
        ".../secret",
        "./../secret",
        "a/../../secret",
        "a/b/../../../secret",
        "//secret",
        "/secret",
        "%2fsecret",
        "%2f..%2fsecret",
        "//etc/passwd",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "%2f%2fetc%2fpasswd",
        "file:///etc/passwd",
        "file:%2f%2f%2fetc%2fpasswd",
        "C:%5csecret",
        "c:/secret",
        "%5c%5chost%5cshare",
        "..%00/secret",
        "%00",
        "a%00.glb",
        "../secret%00.glb",
        "%0a../secret",
        "%0d%0aX-Injected:%20yes",
        "~root/secret",
        "$HOME/secret",
        "%24%7Bjndi:ldap://x%7D",
        "out/secret",
        "out/../secret",
        "link.glb",
        "deep/link/secret",
        "%ff%fe",
        "%",
        "%2",
        "%zz",
        "%e5%bb",
        "..%ef%bc%8fsecret",
        "%2e%2e%2e%2e/%2e%2e/secret",
        ".",
        "..",
        "%2e",
        "%2e%2e",
        "",
        "../objects",
        "..%2fobjects",
        "../reports/000001.json",
    ];
    let mut all: Vec<Hostile> = spellings.iter().map(|path| of_path(&format!("/tiles/{path}"), NONE)).collect();
    let wild = [
        "..%2fsecret",
        "%2e%2e%2f%2e%2e%2fsecret",
        "%2fetc%2fpasswd",
        "%c0%ae%c0%ae%2fsecret",
        "a%00b",
        "..%5csecret",
        "%",
    ];
    for route in ["/objects/", "/versions/", "/sensors/", "/ogc/collections/", "/ogc/collections/sensors/items/"] {
        all.extend(wild.iter().map(|path| of_path(&format!("{route}{path}"), NONE)));
    }
    for path in [
        "/../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/objects",
        "/reports/000001.json",
        "/.staging",
        "/city.json/../../secret",
    ] {
        all.push(of_path(path, NONE));
    }
    for number in ["-1", "1e9", "99", "18446744073709551616", "0x1", "%31%2e", "000001.json.json", "+1%20"] {
        all.push(of_path(&format!("/versions/{number}"), NONE));
    }
    all
}

fn ranges(tile: &str) -> Vec<Hostile> {
    let odd = "0-0,".repeat(2_000);
    let many = format!("bytes={}", odd.trim_end_matches(','));
    let ask = |range: &str, may| {
        let head = format!("GET {tile} HTTP/1.1\r\nHost: localhost\r\nRange: {range}\r\nConnection: close\r\n\r\n");
        raw(head, may)
    };
    let mut all = Vec::new();
    // What cannot be meant is refused, or the whole file is sent (RFC 9110, 14.2).
    for range in [
        "bytes=9-4",
        "bytes=99999999999-",
        "bytes=18446744073709551615-18446744073709551616",
        "bytes=99999999999999999999999999-",
        "bytes=-0",
        "bytes=--1",
        "bytes=-",
        "bytes=",
        "bytes",
        "bytes=a-b",
        "bytes=0-1-2",
        "bytes=0x0-0x9",
        "bytes=1e3-",
        "bytes= 0 - 5",
        "items=0-5",
        "bytes=0-5,3-9,9-1",
        "bytes=0-5;4",
        many.as_str(),
        "bytes=0-1,3-4,6-7",
    ] {
        all.push(ask(range, &[400, 416, 200, 206]));
    }
    for range in ["bytes=-99999999999", "bytes=0-99999999999", "bytes=0-0", "bytes=-1"] {
        all.push(ask(range, &[200, 206, 416]));
    }
    all
}

fn questions() -> Vec<Hostile> {
    let items = "/ogc/collections/sensors/items";
    let bad: &[u16] = &[400, 404, 414, 431];
    let mut all = Vec::new();
    for bbox in [
        "NaN,NaN,NaN,NaN",
        "inf,inf,inf,inf",
        "-inf,-inf,inf,inf",
        "1,2,3",
        "1,2,3,4,5",
        "1,2,3,4,5,6,7",
        "1e999,0,1,1",
        "0,50,1,40",
        "0,-91,1,91",
        "a,b,c,d",
        ",,,",
        "1,2,3,0x4",
        "%00,1,2,3",
        "1;2;3;4",
    ] {
        all.push(of_path(&format!("{items}?bbox={bbox}"), bad));
    }
    for place in [
        "bbox=NaN,0,1,1",
        "box=inf,0,1,1",
        "box=1,2,3",
        "near=1e999,2",
        "near=1,2&radius=-1",
        "near=1,2&radius=NaN",
        "near=1,2&radius=inf",
        "ray=0,0,0,NaN,0,0",
        "polygon=0,0,1",
        "corridor=0,0,1,1&distance=1e30",
        "corridor=0,0,1,1&distance=NaN",
        "within=POLYGON((0%200,1%201,NaN%201,0%200))",
        "within=GEOMETRYCOLLECTION(GEOMETRYCOLLECTION(",
        "within=%7B%22type%22:%22Polygon%22,%22coordinates%22:%5B%5B%5B%5B%5B%5B%5D%5D%5D%5D%5D%5D%7D",
    ] {
        all.push(of_path(&format!("/query?{place}"), bad));
    }
    // Larger than anything is merely odd.
    for odd in ["bbox=-180,-90,180,90", "bbox=-1e9,-90,1e9,90", "bbox=179,-90,-179,90", "bbox=0,0,1e-300,1e-300"] {
        all.push(of_path(&format!("{items}?{odd}"), &[200, 400]));
    }
    for odd in [
        "box=-1e308,-1e308,1e308,1e308",
        "box=1e308,1e308,-1e308,-1e308",
        "bbox=-999,-999,999,999",
        "near=1e308,1e308&radius=1e308",
        "ray=0,0,0,0,0,0",
        "ray=1e308,1e308,1e308,1e308,1e308,1e308&radius=1e308",
        "limit=0",
        "offset=18446744073709551615",
        "limit=99999999",
    ] {
        all.push(of_path(&format!("/query?{odd}"), &[200, 400]));
    }
    for count in [
        "limit=-1",
        "limit=18446744073709551616",
        "limit=1e3",
        "limit=0x10",
        "limit=",
        "limit=%00",
        "offset=-1",
        "offset=99999999999999999999",
        "offset=1.5",
        "limit=0",
    ] {
        all.push(of_path(&format!("{items}?{count}"), bad));
    }
    all.push(of_path(&format!("{items}?limit=18446744073709551615&offset=18446744073709551615"), &[200, 400]));
    for filter in [
        "'%20OR%20'1'='1".to_owned(),
        "1=1;DROP%20TABLE%20objects;--".into(),
        "id='x'%20UNION%20SELECT%20*%20FROM%20sqlite_master".into(),
        "id='x'--".into(),
        "id='x'/*".into(),
        "%27%29%29%29".into(),
        "pg_sleep(10)=1".into(),
        "id=(SELECT%201)".into(),
        "//user%5Bname/text()='x'%5D".into(),
        "'%20or%20count(/*)=1%20or%20'a'='b".into(),
        "%7B%7B7*7%7D%7D".into(),
        "$%7B7*7%7D".into(),
        "%3C%25=7*7%25%3E".into(),
        "%23%7B7*7%7D".into(),
        "%7B%22$where%22:%22sleep(1000)%22%7D".into(),
        "%3C!DOCTYPE%20x%20%5B%3C!ENTITY%20a%20SYSTEM%20%22file:///etc/passwd%22%3E%5D%3E".into(),
        "%00".into(),
        "id%20LIKE%20".into(),
        "(".repeat(5_000),
        format!("{}1=1{}", "(".repeat(2_000), ")".repeat(2_000)),
        "NOT%20".repeat(5_000),
        format!("id=1{}", "%20AND%20id=1".repeat(4_000)),
        format!("id='{}", "a".repeat(50_000)),
        "S_INTERSECTS(geometry,POINT(NaN%20NaN))".into(),
        "S_INTERSECTS(geometry,POINT(1e999%201))".into(),
    ] {
        all.push(of_path(&format!("{items}?filter={filter}"), bad));
        all.push(of_path(&format!("/query?where={filter}"), bad));
    }
    // Long, and still a question.
    let list = format!("id%20IN%20({}1)", "1,".repeat(20_000));
    let ring = format!("S_INTERSECTS(geometry,POLYGON(({}0%200)))", "1%201,".repeat(5_000));
    for filter in [list, ring, "__proto__=1".into()] {
        all.push(of_path(&format!("{items}?filter={filter}"), &[200, 400]));
        all.push(of_path(&format!("/query?where={filter}"), &[200, 400]));
    }
    // Patterns that would cost much if they were tried one by one.
    let pattern = format!("id%20LIKE%20'{}b'", "%25a".repeat(2_000));
    all.push(of_path(&format!("{items}?filter={pattern}"), &[200, 400]));
    for json in [
        "%5B".repeat(10_000),
        format!("{}1{}", "%7B%22a%22:".repeat(2_000), "%7D".repeat(2_000)),
        "%7B%22op%22:%22not%22,%22args%22:%5B".repeat(1_000),
        "%7B%22op%22:%22=%22,%22args%22:%5B1e999,1%5D%7D".into(),
        "null".into(),
        "1".into(),
    ] {
        all.push(of_path(&format!("{items}?filter={json}&filter-lang=cql2-json"), bad));
    }
    for other in [
        "crs=file:///etc/passwd",
        "crs=http://169.254.169.254/latest/meta-data",
        "bbox-crs=http://evil.example.org/crs",
        "datetime=0000-99-99T99:99:99Z",
        "datetime=../../..",
        "f=../../secret",
        "f=%3Cscript%3E",
        "callback=alert(1)",
        "%00=1",
        "filter-lang=%0d%0aX-Injected:%20yes",
        "search=%2d%2d",
    ] {
        all.push(of_path(&format!("{items}?{other}"), bad));
    }
    all.push(of_path(&format!("/query?search={}", "%E5%AD%97".repeat(5_000)), bad));
    all.push(of_path(&format!("/query?layers={}", "a,".repeat(20_000)), bad));
    all.push(of_path("/query?version=18446744073709551615", bad));
    all.push(of_path("/query?%", &[200, 400]));
    all.push(of_path(&format!("/query?{}", "a=1&".repeat(10_000)), bad));
    all
}

/// What is no good HTTP.
fn heads() -> Vec<Hostile> {
    // It may also hang up at once.
    let refused: &[u16] = &[400, 404, 405, 408, 413, 414, 417, 421, 431, 0];
    let line = |line: &str| raw(format!("{line}\r\nHost: localhost\r\nConnection: close\r\n\r\n"), refused);
    let headers = |headers: &str| raw(format!("GET /layers HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n"), refused);
    let mut all: Vec<Hostile> =
        ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "FOO", "get"]
            .iter()
            .map(|method| line(&format!("{method} /layers HTTP/1.1")))
            .collect();
    all.extend([
        line("GET /layers HTTP/9.9"),
        line("GET /layers"),
        line("GET"),
        line("GET  HTTP/1.1"),
        line("GET layers HTTP/1.1"),
        line("GET \\layers HTTP/1.1"),
        line("GET /a b HTTP/1.1"),
        line("GET /\u{1}x HTTP/1.1"),
        line("GET http://evil.example.org/layers HTTP/1.1"),
        line("CONNECT 127.0.0.1:22 HTTP/1.1"),
        line("GET file:///etc/passwd HTTP/1.1"),
        line(&format!("GET /{} HTTP/1.1", "a".repeat(70_000))),
        line(&format!("GET /{} HTTP/1.1", "a".repeat(400_000))),
        line(&format!("{} /layers HTTP/1.1", "A".repeat(100_000))),
        headers(&format!("X-A: {}", "a".repeat(200_000))),
        headers(&"X-A: a\r\n".repeat(200)),
        headers(&"X-A: a\r\n".repeat(20_000)),
        headers("X A: a"),
        headers(": a"),
        headers("X-A\u{0}: a"),
        headers("X-A: a\u{0}b"),
        headers("Host: evil.example.org"),
        headers("Content-Length: -1"),
        headers("Content-Length: 1, 2"),
        headers("Content-Length: 99999999999999999999"),
        headers("Content-Length: 99999999"),
        headers("Transfer-Encoding: gzip, chunked, chunked"),
        headers("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nzzz"),
        raw("GET /layers HTTP/1.1\r\n\r\n", refused),
        raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", refused),
        raw(*b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", refused),
        raw(vec![0; 4_096], refused),
        raw(vec![0xff; 4_096], refused),
        raw(*b"\r\n\r\n\r\n\r\nGET", refused),
    ]);
    // Merely odd, and answered.
    let odd = |headers: &str| {
        raw(
            format!("GET /layers HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n\r\n"),
            &[200, 304, 406],
        )
    };
    all.extend([
        odd("If-None-Match: *"),
        odd(&format!("If-None-Match: {}", "\"a\", ".repeat(5_000))),
        odd("If-Modified-Since: never"),
        odd("Accept-Encoding: gzip;q=NaN, *;q=inf, zstd;q=-1"),
        odd(&format!("Accept-Encoding: {}", "gzip, ".repeat(5_000))),
        odd("Range: bytes=5-1"),
        odd("Upgrade: websocket\r\nSec-WebSocket-Key: x"),
        odd("Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
        odd("Origin: null"),
        odd("X-Forwarded-Host: evil.example.org\r\nX-Original-URL: /../secret"),
        odd("Cookie: a=../../secret"),
        odd("Authorization: Basic ////"),
    ]);
    all
}

/// Sends a request; the answer's status (0: hung up) and all its bytes.
async fn send(at: SocketAddr, bytes: &[u8]) -> (u16, Vec<u8>) {
    let mut answer = Vec::new();
    let talk = async {
        let mut stream = TcpStream::connect(at).await?;
        // It may hang up while the rest is still being sent.
        let _ = stream.write_all(bytes).await;
        stream.read_to_end(&mut answer).await
    };
    let ended = timeout(Duration::from_secs(20), talk).await;
    assert!(ended.is_ok(), "no end: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(120)]));
    let status = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    (status.unwrap_or(0), answer)
}

#[tokio::test]
async fn hostile_requests_are_refused_quickly_and_nothing_from_outside_comes() {
    let options = Options { header_time: Duration::from_secs(1), ..Options::default() };
    let (dir, city, server) = start_with(options).await;
    let (at, folder) = (server.address(), city.folder());
    std::fs::write(dir.path().join("link.glb"), "IHDR-outside").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink(dir.path(), folder.join("tiles/out")).unwrap();
        symlink(dir.path().join("link.glb"), folder.join("tiles/link.glb")).unwrap();
        std::fs::create_dir(folder.join("tiles/deep")).unwrap();
        symlink("../../..", folder.join("tiles/deep/link")).unwrap();
    }
    let glb = city.tile_files("建筑").unwrap().into_iter().find(|f| f.ends_with(".glb")).unwrap();
    let tile = format!("/{}", super::root::percent_encode(&glb));
    let all: Vec<Hostile> = [paths(), ranges(&tile), questions(), heads()].into_iter().flatten().collect();
    assert!(all.len() >= 150, "{}", all.len());
    let (mut times, mut wrong) = (Vec::new(), Vec::new());
    for Hostile { bytes, may } in &all {
        let begin = Instant::now();
        let (status, answer) = send(at, bytes).await;
        let took = begin.elapsed();
        let head = answer.split(|b| *b == b'\n').take_while(|line| line.len() > 1);
        let is_split = head.into_iter().any(|line| line.to_ascii_lowercase().starts_with(b"x-injected"));
        let has_secret = SECRETS.iter().any(|secret| answer.windows(secret.len()).any(|part| part == *secret));
        let is_right = may.contains(&status)
            && took <= SLOWEST
            && answer.len() < 1 << 20
            && !is_split
            && !(has_secret && status == 200);
        if !is_right {
            let said = String::from_utf8_lossy(&answer[..answer.len().min(300)]).into_owned();
            let asked = String::from_utf8_lossy(&bytes[..bytes.len().min(160)]).into_owned();
            wrong.push(format!("{status} after {took:?} to {asked}: {said}"));
        }
        times.push(took);
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n---\n"));
    times.sort_unstable();
    println!("{} requests, median {:?}, slowest {:?}", times.len(), times[times.len() / 2], times[times.len() - 1]);
    assert_eq!(get(at, "/health", "").await.status, 200, "it lives");
    assert_eq!(get(at, &tile, "").await.body, std::fs::read(folder.join(&glb)).unwrap());
    let page = String::from_utf8(get(at, "/metrics", "").await.body).unwrap();
    let failed = page.lines().filter(|line| line.contains("status=\"5xx\"")).all(|line| line.ends_with(" 0"));
    assert!(failed, "{page}");
    server.stop().await.unwrap();
}
