//! Files of a web server that is no Groundline server: read whole, bounded in size and time, from one origin alone.

use std::{io::Read, time::Duration};

use reqwest::{
    Client, StatusCode, Url,
    header::{ACCEPT_ENCODING, HeaderValue},
    redirect::Policy,
};

use super::bucket::run;

/// Seconds until a connection stands, and until a file is there.
const CONNECT_TIME: Duration = Duration::from_secs(10);
const REQUEST_TIME: Duration = Duration::from_secs(120);
/// Pauses between tries; there is one try more.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];
/// Times that a server may send on to another address.
const MOST_REDIRECTS: usize = 5;
/// Characters of an address that are told.
const MOST_SHOWN: usize = 160;

/// One web server, by the address at which somebody named a file of it. No other one is ever asked.
#[derive(Debug)]
pub struct Web {
    start: Url,
    client: Client,
}

impl Web {
    /// Prepares requests to the server of `url`; makes none. The error is a sentence.
    pub fn open(url: &str) -> Result<Self, String> {
        let start = Url::parse(url).map_err(|error| format!("{}: {error}", cut(url)))?;
        if !matches!(start.scheme(), "http" | "https") || start.host_str().is_none() {
            return Err(format!("{} is no address of a web server (http:// or https://)", shown(&start)));
        }
        // Fails where the program has set one already, which does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let origin = start.origin();
        let policy = Policy::custom(move |attempt| {
            if attempt.url().origin() != origin {
                return attempt.error("it sends on to another host, which is not asked");
            }
            if attempt.previous().len() > MOST_REDIRECTS {
                return attempt.error("it sends on again and again");
            }
            attempt.follow()
        });
        let client = Client::builder()
            .connect_timeout(CONNECT_TIME)
            .timeout(REQUEST_TIME)
            .redirect(policy)
            .user_agent(concat!("groundline/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| reason_of(&error))?;
        Ok(Self { start, client })
    }

    /// The address that `relative` means in the file at `base`. One without a query has that of the first address, which may
    /// hold what opens the door. An address on another host is refused.
    pub fn resolve(&self, base: &str, relative: &str) -> Result<String, String> {
        let wrong = |error: String| format!("{}: {error}", cut(relative));
        let base = Url::parse(base).map_err(|error| wrong(error.to_string()))?;
        let mut url = base.join(relative).map_err(|error| wrong(error.to_string()))?;
        if url.origin() != self.start.origin() {
            return Err(format!("{} lies on another host, which is not asked", shown(&url)));
        }
        if url.query().is_none() {
            url.set_query(self.start.query());
        }
        // Whoever may enter at the first address may do so at the others.
        let _ = url.set_username(self.start.username());
        let _ = url.set_password(self.start.password());
        url.set_fragment(None);
        Ok(url.into())
    }

    /// The file at an address that [`Self::resolve`] gave; more than `most` bytes are refused. What lies packed by gzip
    /// comes unpacked. The error is a sentence that names the address without what may be secret in it.
    pub fn get(&self, url: &str, most: u64) -> Result<Vec<u8>, String> {
        let url = Url::parse(url).map_err(|error| format!("{}: {error}", cut(url)))?;
        if url.origin() != self.start.origin() {
            return Err(format!("{} lies on another host, which is not asked", shown(&url)));
        }
        let mut pauses = PAUSES.iter();
        let name = shown(&url);
        loop {
            let got =
                run(request(self.client.clone(), url.clone(), most)).unwrap_or_else(|text| Err(Fault::Final(text)));
            let reason = match got {
                Ok(bytes) => return unpacked(bytes, most).map_err(|reason| format!("{name}: {reason}")),
                Err(Fault::Final(reason)) => return Err(format!("{name}: {reason}")),
                Err(Fault::Passing(reason)) => reason,
            };
            match pauses.next() {
                Some(pause) => std::thread::sleep(*pause),
                None => return Err(format!("{name}: {reason}")),
            }
        }
    }
}

/// Why a try failed: for good, or perhaps not at the next one.
enum Fault {
    Final(String),
    Passing(String),
}

async fn request(client: Client, url: Url, most: u64) -> Result<Vec<u8>, Fault> {
    let plain = HeaderValue::from_static("gzip, identity");
    let sent = client.get(url).header(ACCEPT_ENCODING, plain).send().await;
    let mut answer = sent.map_err(|error| match error.is_redirect() {
        true => Fault::Final(reason_of(&error)),
        false => Fault::Passing(reason_of(&error)),
    })?;
    let status = answer.status();
    if !status.is_success() {
        let reason = format!("the server answers {status}");
        let is_passing = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        return Err(if is_passing { Fault::Passing(reason) } else { Fault::Final(reason) });
    }
    let too_large = || Fault::Final(format!("it has more than {most} bytes"));
    if answer.content_length().is_some_and(|length| length > most) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| Fault::Passing(reason_of(&error)))? {
        if bytes.len() as u64 + piece.len() as u64 > most {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Tiles often lie packed by gzip, whether or not the server says so.
fn unpacked(bytes: Vec<u8>, most: u64) -> Result<Vec<u8>, String> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut out = Vec::new();
    let read = flate2::read::MultiGzDecoder::new(&bytes[..]).take(most.saturating_add(1)).read_to_end(&mut out);
    read.map_err(|error| format!("its gzip is damaged: {error}"))?;
    if out.len() as u64 > most { Err(format!("it has more than {most} bytes unpacked")) } else { Ok(out) }
}

/// The innermost reason, in one line.
fn reason_of(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    cut(&inner.to_string())
}

/// An address without names, passwords and what follows `?`.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    cut(url.as_str())
}

fn cut(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MOST_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        net::TcpListener,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use super::*;

    /// A server that gives each request the next of `answers`, then the last again; with how often it was asked.
    fn server(answers: Vec<Vec<u8>>) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut head = [0; 4096];
                let _ = stream.read(&mut head);
                let number = count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
                let _ = stream.write_all(&answers[number]);
            }
        });
        (url, asked)
    }

    fn answer(head: &str, body: &[u8]) -> Vec<u8> {
        [format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len()).as_bytes(), body]
            .concat()
    }

    #[test]
    fn addresses_are_of_the_same_origin_and_keep_the_key() {
        let web = Web::open("https://me:pw@a.example/city/tileset.json?key=1").unwrap();
        let base = "https://a.example/city/tileset.json";
        let at = |relative: &str| web.resolve(base, relative);
        assert_eq!(at("sub/a b.glb").unwrap(), "https://me:pw@a.example/city/sub/a%20b.glb?key=1");
        assert_eq!(at("../x.json?v=2").unwrap(), "https://me:pw@a.example/x.json?v=2");
        for other in ["https://b.example/x.glb", "//b.example/x", "http://a.example/x", "https://a.example:444/x"] {
            let reason = at(other).unwrap_err();
            assert!(reason.contains("another host"), "{reason}");
        }
        let reason = at("https://u:secret@b.example/x?key=secret").unwrap_err();
        assert!(!reason.contains("secret"), "{reason}");
        assert!(web.get("https://b.example/x", 1).unwrap_err().contains("another host"));
        for wrong in ["ftp://a/b", "file:///etc/passwd", "data:text/plain,x", "x"] {
            assert!(Web::open(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn files_are_bounded_unpacked_and_tried_again() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&[7; 1000]).unwrap();
        let (url, asked) = server(vec![
            answer("503 Busy", b""),
            answer("200 OK", &packed.finish().unwrap()),
            answer("200 OK", &[1; 50]),
        ]);
        let web = Web::open(&url).unwrap();
        assert_eq!(web.get(&format!("{url}/a"), 1000).unwrap(), [7; 1000]);
        assert_eq!(asked.load(Ordering::SeqCst), 2, "once in vain");
        assert!(web.get(&format!("{url}/a?key=secret"), 49).unwrap_err().ends_with("/a: it has more than 49 bytes"));
        assert_eq!(web.get(&format!("{url}/a"), 50).unwrap().len(), 50);
    }

    #[test]
    fn what_is_not_there_and_what_sends_elsewhere_are_sentences() {
        let (url, asked) = server(vec![answer("404 Not Found", b"")]);
        let reason = Web::open(&url).unwrap().get(&format!("{url}/a.glb"), 9).unwrap_err();
        assert!(reason.contains("/a.glb: the server answers 404"), "{reason}");
        assert_eq!(asked.load(Ordering::SeqCst), 1, "asked once");
        let (other, asked) = server(vec![answer("200 OK", b"x")]);
        let (url, _) = server(vec![answer(&format!("302 Found\r\nLocation: {other}/x"), b"")]);
        let reason = Web::open(&url).unwrap().get(&format!("{url}/a"), 9).unwrap_err();
        assert!(reason.contains("another host"), "{reason}");
        assert_eq!(asked.load(Ordering::SeqCst), 0, "the other host is not asked");
    }
}
