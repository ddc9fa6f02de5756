//! What is limited: connections, time, questions.

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

async fn connected(at: SocketAddr, first: &str) -> TcpStream {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(first.as_bytes()).await.unwrap();
    stream
}

/// Whether the server closes the connection within a time.
async fn is_closed(stream: &mut TcpStream, within: Duration) -> bool {
    let mut rest = Vec::new();
    timeout(within, stream.read_to_end(&mut rest)).await.is_ok()
}

#[tokio::test]
async fn a_head_that_does_not_come_and_a_connection_without_one_are_closed() {
    let options = Options { header_time: Duration::from_millis(300), ..Options::default() };
    let (_dir, _city, server) = start_with(options).await;
    let at = server.address();
    let begin = Instant::now();
    let mut silent = connected(at, "").await;
    let mut half = connected(at, "GET /layers HTTP/1.1\r\nHost: localhost\r\nX-A: ").await;
    let mut asked = connected(at, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let trickle = async {
        // A byte now and then does not help.
        while half.write_all(b"a").await.is_ok() && begin.elapsed().as_secs() < 20 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        begin.elapsed()
    };
    assert!(trickle.await.as_secs() < 10);
    assert!(is_closed(&mut silent, Duration::from_secs(10)).await);
    assert!(is_closed(&mut asked, Duration::from_secs(10)).await, "after its answer it asks nothing more");
    assert_eq!(get(at, "/health", "").await.status, 200);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn idle_connections_make_room_and_busy_ones_do_not() {
    let (_dir, _city, server) = start_with(Options { connections: 4, ..Options::default() }).await;
    let at = server.address();
    let mut slow = Vec::new();
    for _ in 0..50 {
        slow.push(connected(at, "GET /layers HTTP/1.1\r\nX-A: ").await);
        // Each good request gets its answer although all places are taken.
        let begin = Instant::now();
        assert_eq!(get(at, "/layers", "").await.status, 200);
        assert!(begin.elapsed().as_secs() < 5);
    }
    assert!(is_closed(&mut slow[0], Duration::from_secs(5)).await, "who waited longest went");
    let page = String::from_utf8(get(at, "/metrics", "").await.body).unwrap();
    let gave_way = page.lines().find_map(|l| l.strip_prefix("groundline_http_connections_gave_way_total ")).unwrap();
    assert!(gave_way.parse::<u32>().unwrap() >= 46, "{gave_way}");
    drop(slow);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn where_all_are_being_answered_a_new_one_is_told_to_come_again_and_who_reads_nothing_is_closed() {
    let options = Options { connections: 2, pace_time: Duration::from_secs(2), ..Options::default() };
    let (_dir, city, server) = start_with(options).await;
    let at = server.address();
    // More than the system takes into its own buffers.
    let file = std::fs::File::create(city.folder().join("tiles/large.glb")).unwrap();
    file.set_len(64 << 20).unwrap();
    let ask = "GET /tiles/large.glb HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut held = [connected(at, ask).await, connected(at, ask).await];
    let mut first = [0; 12];
    for stream in &mut held {
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
    }
    let refused = get(at, "/health", "").await;
    assert_eq!((refused.status, refused.header("retry-after").as_deref()), (503, Some("1")));
    assert!(refused.json()["error"].is_string());
    // They take nothing any more; their places come back.
    let begin = Instant::now();
    while get(at, "/health", "").await.status != 200 {
        assert!(begin.elapsed().as_secs() < 20);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(held);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn questions_end_in_time_and_beyond_those_that_wait_they_are_refused() {
    let options = Options { answer_time: Duration::ZERO, ..Options::default() };
    let (_dir, _city, server) = start_with(options).await;
    let late = get(server.address(), "/ogc/collections/sensors/items", "").await;
    assert_eq!((late.status, late.header("retry-after").is_some() || late.body.is_empty()), (503, true));
    server.stop().await.unwrap();

    let options = Options { queries: 1, queue_time: Duration::from_millis(1), ..Options::default() };
    let (_dir, _city, server) = start_with(options).await;
    let at = server.address();
    let asked = (0..64).map(|_| tokio::spawn(async move { get(at, "/ogc/collections/sensors/items", "").await }));
    let (mut done, mut refused) = (0, 0);
    for answer in asked.collect::<Vec<_>>() {
        let answer = answer.await.unwrap();
        match answer.status {
            200 => done += 1,
            503 => {
                assert!(answer.header("retry-after").is_some() && answer.json()["error"].is_string());
                refused += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert!(done >= 1 && refused >= 1, "{done} done, {refused} refused");
    assert_eq!(get(at, "/query?f=json&limit=1", "").await.status, 200, "places come back");
    server.stop().await.unwrap();
}
