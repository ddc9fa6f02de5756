//! Tiles, compressed where that pays, and held in memory.
//!
//! A tile never changes under its name, so each is read and compressed once. Each form has an entity tag of its own; ranges are
//! answered from the file as it lies.

use std::{
    collections::{BTreeMap, HashMap},
    io::Write,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::sync::{Semaphore, oneshot};

use super::{Hall, Refusal, file};

/// Larger files are sent as they lie.
const MOST_BYTES: usize = 1 << 20;
/// Smaller ones too.
const LEAST_BYTES: usize = 512;
/// A compressed form is kept when it is so much smaller.
const LEAST_GAIN: f64 = 0.9;
/// What an entry takes beside its bytes, about.
const ENTRY_BYTES: usize = 512;

/// How the bytes of an answer are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Coding {
    Plain,
    Gzip,
    Zstd,
}

impl Coding {
    /// The best of those that are accepted (RFC 9110, 12.5.3).
    fn best(headers: &HeaderMap) -> Self {
        let (mut gzip, mut zstd, mut any) = (None, None, None);
        for value in headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()) {
            for item in value.split(',') {
                let (name, weight) = item.split_once(';').unwrap_or((item, "q=1"));
                let weight = weight.trim().strip_prefix("q=").and_then(|q| q.parse::<f64>().ok()).unwrap_or(0.0);
                match name.trim().to_ascii_lowercase().as_str() {
                    "gzip" | "x-gzip" => gzip = Some(weight),
                    "zstd" => zstd = Some(weight),
                    "*" => any = Some(weight),
                    _ => {}
                }
            }
        }
        let (gzip, zstd) = (gzip.or(any).unwrap_or(0.0), zstd.or(any).unwrap_or(0.0));
        match (zstd > 0.0 && zstd >= gzip, gzip > 0.0) {
            (true, _) => Self::Zstd,
            (false, true) => Self::Gzip,
            _ => Self::Plain,
        }
    }

    fn name(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    fn pack(self, bytes: &[u8]) -> Option<Vec<u8>> {
        let packed = match self {
            Self::Plain => return None,
            Self::Gzip => {
                let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
                writer.write_all(bytes).and_then(|()| writer.finish())
            }
            Self::Zstd => zstd::bulk::compress(bytes, 3),
        };
        let mut packed = packed.ok().filter(|packed| (packed.len() as f64) < bytes.len() as f64 * LEAST_GAIN)?;
        packed.shrink_to_fit();
        Some(packed)
    }
}

/// A file in one of its forms, ready to be sent.
#[derive(Clone)]
struct Form {
    coding: Coding,
    bytes: Bytes,
    tag: HeaderValue,
    /// Those of the file: type, caching.
    headers: Arc<HeaderMap>,
}

/// The forms that are held; those that were asked for last stay.
pub(super) struct Tiles {
    held: Mutex<Held>,
    most_bytes: usize,
    /// Compressing is the processor's work: no more at once than it has cores.
    workers: Semaphore,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Default)]
struct Held {
    forms: HashMap<(String, Coding), (Form, u64)>,
    /// Keys by when they were asked for.
    order: BTreeMap<u64, (String, Coding)>,
    turn: u64,
    bytes: usize,
}

impl Tiles {
    pub fn new(most_bytes: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            held: Mutex::default(),
            most_bytes,
            workers: Semaphore::new(cores),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Hits, misses, bytes held.
    pub fn counts(&self) -> (u64, u64, usize) {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).bytes;
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed), held)
    }

    fn get(&self, path: &str, coding: Coding) -> Option<Form> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Held { forms, order, turn, .. } = &mut *held;
        let key = (path.to_owned(), coding);
        let (form, asked) = forms.get_mut(&key)?;
        order.remove(asked);
        *turn += 1;
        *asked = *turn;
        order.insert(*turn, key);
        Some(form.clone())
    }

    fn put(&self, path: &str, coding: Coding, form: &Form) {
        let weight = |(path, _): &(String, Coding), form: &Form| form.bytes.len() + 2 * path.len() + ENTRY_BYTES;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (path.to_owned(), coding);
        if weight(&key, form) > self.most_bytes / 4 || held.forms.contains_key(&key) {
            return;
        }
        held.turn += 1;
        held.bytes += weight(&key, form);
        let turn = held.turn;
        held.order.insert(turn, key.clone());
        held.forms.insert(key, (form.clone(), turn));
        while held.bytes > self.most_bytes
            && let Some((_, oldest)) = held.order.pop_first()
            && let Some((form, _)) = held.forms.remove(&oldest)
        {
            held.bytes -= weight(&oldest, &form);
        }
    }
}

/// `GET /tiles/…`: files below the city's `tiles`.
pub(super) async fn tile(State(hall): State<Arc<Hall>>, Path(path): Path<String>, request: Request) -> Response {
    let headers = request.headers();
    let is_of_file = |name| headers.contains_key(name);
    let mut response = if [header::RANGE, header::IF_MATCH, header::IF_UNMODIFIED_SINCE].into_iter().any(is_of_file)
        || (headers.contains_key(header::IF_MODIFIED_SINCE) && !headers.contains_key(header::IF_NONE_MATCH))
    {
        of_file(hall, path, request).await
    } else {
        let coding = Coding::best(headers);
        match form(&hall, &path, coding).await {
            Ok(Some(form)) => form.answer(headers),
            Ok(None) => file::tile(State(hall), Path(path), request).await,
            Err(response) => response,
        }
    };
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

/// The file as it lies, or a part of it. A part of another form than the asker's is no use: `If-Range` (RFC 9110, 13.1.5).
async fn of_file(hall: Arc<Hall>, path: String, request: Request) -> Response {
    if let Some(known) = request.headers().get(header::IF_RANGE).cloned() {
        let whole = file::tile(State(hall.clone()), Path(path.clone()), Request::new(Body::empty())).await;
        let is_same = |name| whole.headers().get(name).is_some_and(|value| *value == known);
        if !is_same(header::ETAG) && !is_same(header::LAST_MODIFIED) {
            return whole;
        }
    }
    file::tile(State(hall), Path(path), request).await
}

/// The file in the form that is asked for, or plain where the form would not be smaller; `None` where it is too large to be held.
async fn form(hall: &Arc<Hall>, path: &str, coding: Coding) -> Result<Option<Form>, Response> {
    if let Some(form) = hall.tiles.get(path, coding) {
        hall.tiles.hits.fetch_add(1, Ordering::Relaxed);
        return Ok(Some(form));
    }
    hall.tiles.misses.fetch_add(1, Ordering::Relaxed);
    // Before the file is read: whoever waits holds nothing, and finds what another made. The semaphore is never closed.
    let _worker = if coding == Coding::Plain { None } else { hall.tiles.workers.acquire().await.ok() };
    if coding != Coding::Plain
        && let Some(form) = hall.tiles.get(path, coding)
    {
        return Ok(Some(form));
    }
    let Some(plain) = read(hall, path).await? else { return Ok(None) };
    if coding == Coding::Plain || plain.bytes.len() < LEAST_BYTES {
        hall.tiles.put(path, coding, &plain);
        return Ok(Some(plain));
    }
    let bytes = plain.bytes.clone();
    // On few threads: each of the many that wait for files would keep the memory that compressing takes.
    let (sender, packed) = oneshot::channel();
    rayon::spawn(move || {
        // Whoever asked may be gone.
        let _ = sender.send(coding.pack(&bytes));
    });
    let packed = packed.await.ok().flatten();
    let form = match packed {
        Some(packed) => Form {
            coding,
            bytes: packed.into(),
            tag: tag_of(&plain.tag, coding).unwrap_or_else(|| plain.tag.clone()),
            headers: plain.headers.clone(),
        },
        None => plain,
    };
    hall.tiles.put(path, coding, &form);
    Ok(Some(form))
}

/// Reads a file as it lies.
async fn read(hall: &Arc<Hall>, path: &str) -> Result<Option<Form>, Response> {
    let response = file::tile(State(hall.clone()), Path(path.to_owned()), Request::new(Body::empty())).await;
    if response.status() != StatusCode::OK {
        return Err(response);
    }
    let (parts, body) = response.into_parts();
    let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let mut headers = parts.headers;
    let Some(tag) = headers.remove(header::ETAG).filter(|_| length.is_some_and(|length| length <= MOST_BYTES)) else {
        return Ok(None);
    };
    let bytes = match to_bytes(body, MOST_BYTES).await {
        Ok(bytes) if Some(bytes.len()) == length => bytes,
        _ => {
            return Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, "the tile could not be read".into()).into_response());
        }
    };
    headers.remove(header::CONTENT_LENGTH);
    Ok(Some(Form { coding: Coding::Plain, bytes, tag, headers: Arc::new(headers) }))
}

/// The entity tag of a compressed form.
fn tag_of(plain: &HeaderValue, coding: Coding) -> Option<HeaderValue> {
    let quoted = plain.to_str().ok()?.strip_suffix('"')?;
    HeaderValue::from_str(&format!("{quoted}-{}\"", coding.name()?)).ok()
}

impl Form {
    fn answer(&self, asked: &HeaderMap) -> Response {
        let is_known = is_known(asked, &self.tag);
        let mut response = if is_known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            Response::new(Body::from(self.bytes.clone()))
        };
        let headers = response.headers_mut();
        for (name, value) in self.headers.iter() {
            let is_of_body = matches!(*name, header::CONTENT_TYPE | header::ACCEPT_RANGES);
            if !(is_known && is_of_body) {
                headers.insert(name, value.clone());
            }
        }
        headers.insert(header::ETAG, self.tag.clone());
        if let Some(name) = self.coding.name() {
            headers.remove(header::ACCEPT_RANGES);
            if !is_known {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
            }
        }
        response
    }
}

/// Whether whoever asks has this already, by its entity tag (RFC 9110, 13.1.2).
pub(super) fn is_known(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let strip = |text: &str| text.trim().trim_start_matches("W/").to_owned();
    let Ok(tag) = tag.to_str().map(strip) else { return false };
    let values = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|known| known.trim() == "*" || strip(known) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_coding_that_is_accepted_is_taken() {
        for (accepted, coding) in [
            ("", Coding::Plain),
            ("gzip", Coding::Gzip),
            ("gzip, deflate, br, zstd", Coding::Zstd),
            ("gzip;q=1.0, zstd;q=0.5", Coding::Gzip),
            ("gzip;q=0", Coding::Plain),
            ("zstd;q=0, *", Coding::Gzip),
            ("*;q=0", Coding::Plain),
            ("identity", Coding::Plain),
            ("GZIP ; q=0.1", Coding::Gzip),
            ("gzip;q=x", Coding::Plain),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            assert_eq!(Coding::best(&headers), coding, "{accepted}");
        }
    }

    #[test]
    fn what_is_held_stays_within_its_bytes_and_the_last_asked_stays() {
        let tiles = Tiles::new(20_000);
        let form = |n: usize| Form {
            coding: Coding::Plain,
            bytes: vec![0; n].into(),
            tag: HeaderValue::from_static("\"1\""),
            headers: Arc::default(),
        };
        for n in 0..100 {
            tiles.put(&format!("{n}"), Coding::Plain, &form(1_000));
            assert!(tiles.get("0", Coding::Plain).is_some(), "it is asked for again and again");
            assert!(tiles.counts().2 <= 20_000);
        }
        assert!(tiles.get("99", Coding::Plain).is_some() && tiles.get("50", Coding::Plain).is_none());
        tiles.put("large", Coding::Plain, &form(6_000));
        assert!(tiles.get("large", Coding::Plain).is_none(), "one must not push all others out");
        let held = tiles.held.lock().unwrap();
        assert_eq!(held.forms.len(), held.order.len());
    }
}
