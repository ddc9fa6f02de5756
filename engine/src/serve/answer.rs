//! Answers computed from the city.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    io::{self, Write},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, Query as Parameters, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_core::Stream;
use glam::{DVec2, DVec3};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::{
    Hall, MOST_HITS, Refusal, USUAL_HITS,
    gate::{Gate, Place},
    in_turn, off_thread, parameter,
};
use crate::{
    model::{Class, Domain, Extent, ObjectId, Stage},
    query::{self, ArrowForm, ArrowWriter, Coordinates, Filter, Found, Query, Region, RegionError, Search, Shape},
    store::{City, StoreError},
};

/// Bytes that are sent at once.
const PIECE_BYTES: usize = 64 << 10;
/// Most rows that are looked at where the question came in, and how long that may take before it goes on elsewhere.
const SHORT_ROWS: f64 = 400.0;
const SHORT_TIME: Duration = Duration::from_millis(2);
/// Most neighbours of one question.
const MOST_NEIGHBOURS: usize = 10_000;
/// Most vertices of a polygon in a question.
const MOST_VERTICES: usize = 10_000;

fn bad(reason: impl std::fmt::Display) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, reason.to_string())
}

/// `GET /layers`.
pub(super) async fn layers(State(hall): State<Arc<Hall>>) -> Result<Json<Value>, Refusal> {
    off_thread(hall, |hall| {
        let city = hall.city()?;
        let layers: Vec<Value> = city
            .layers()
            .iter()
            .map(|layer| {
                json!({
                    "name": layer.name,
                    "classes": layer.classes,
                    "parts": layer.parts,
                    "objects": layer.objects,
                    "points": layer.points,
                    "tiles": layer.tiles,
                    "bytes": layer.bytes,
                    "extent": layer.extent,
                    "tileset": layer.tileset,
                })
            })
            .collect();
        Ok(Json(json!({"city": city.name(), "version": city.version(), "layers": layers})))
    })
    .await
}

/// `GET /versions`.
pub(super) async fn versions(State(hall): State<Arc<Hall>>) -> Result<Json<Value>, Refusal> {
    in_turn(hall, |hall| {
        let versions = hall.city()?.versions()?;
        let list = versions.iter().map(|v| json!({"version": v.version, "time": v.time, "who": v.who, "what": v.what}));
        Ok(Json(list.collect()))
    })
    .await
}

/// `GET /objects/{id}`: the object with its attributes, their provenance and its shape. Shapes that are in the
/// tiles alone come as `"None"`; heights and pictures come without their samples.
pub(super) async fn object(State(hall): State<Arc<Hall>>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    in_turn(hall, move |hall| {
        let found = hall.city()?.object(&ObjectId(id.clone()))?;
        let mut object = found.ok_or_else(|| Refusal(StatusCode::NOT_FOUND, format!("no object {id:.200}")))?;
        match &mut object.geometry {
            crate::model::Geometry::Heights(grid) => grid.heights.clear(),
            crate::model::Geometry::Picture(picture) => picture.rgb.clear(),
            _ => {}
        }
        let value = serde_json::to_value(&object);
        value.map(Json).map_err(|e| Refusal(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
    })
    .await
}

/// `GET /query`: hits as GeoJSON in longitude and latitude, sent while they are found. Parameters:
/// `box=xmin,ymin,xmax,ymax` or six numbers, `bbox=` the same in degrees, `polygon=x,y,x,y,…`, `corridor=x,y,x,y,…` with
/// `distance=`, `within=` WKT or a GeoJSON geometry with or without `distance=`, `near=x,y` or `x,y,z` with `radius=`, `ray=x,y,z,dx,dy,dz` with `radius=`, `where=`, `layers=`, `classes=`,
/// `search=` (names and ids, best first), `stages=`, `domains=`, `at=`, `version=`, `limit=`, `offset=`, `crs=city` for the city's own coordinates,
/// `f=json` for hits without geometry, one in a line.
pub(super) async fn query(
    State(hall): State<Arc<Hall>>,
    Parameters(parameters): Parameters<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    let mut asked = Asked::read(&parameters)?;
    let headers = [(header::CONTENT_TYPE, asked.form.media()), (header::CACHE_CONTROL, "no-cache")];
    let version = asked.query.version;
    let city = match hall.city_now(version) {
        Some(city) => city,
        None => off_thread(hall.clone(), move |hall| Ok(hall.city_at(version)?)).await?,
    };
    // What can be refused is refused before the first byte is sent.
    asked.has_layers(&city)?;
    if !asked.settle(&city)? {
        return Ok((headers, asked.nothing(&city)?).into_response());
    }
    if asked.is_short(&city)
        && let Some(_place) = hall.gate.enter_now()
        && let Some(answer) = asked.answer_shortly(&city)?
    {
        return Ok((headers, answer).into_response());
    }
    asked.query.until = Some(Instant::now() + hall.options.answer_time);
    let body = sent(&hall, move |out| asked.answer(&city, out)).await?;
    Ok((headers, body).into_response())
}

/// What `write` writes, as a body that is sent meanwhile.
pub(super) async fn sent(
    hall: &Hall,
    write: impl FnOnce(&mut dyn Write) -> Result<(), StoreError> + Send + 'static,
) -> Result<Body, Refusal> {
    let (sender, receiver) = mpsc::channel(4);
    let no_place =
        |_| Refusal(StatusCode::SERVICE_UNAVAILABLE, "too many answers are being sent; ask again in a moment".into());
    let stream = hall.streams.clone().try_acquire_owned().map_err(no_place)?;
    let (place, gate) = (hall.gate.enter().await?, hall.gate.clone());
    tokio::task::spawn_blocking(move || {
        let _stream = stream;
        let mut pieces = Pieces { sender, held: Vec::new(), gate, place: Some(place) };
        let result = write(&mut pieces)
            .and_then(|()| pieces.flush().map_err(|source| StoreError::Io { path: "answer".into(), source }));
        if let Err(error) = result
            && !pieces.sender.is_closed()
        {
            tracing::error!("{error}");
            // The connection is broken off, so that half an answer is not taken for a whole one.
            let _ = pieces.sender.blocking_send(Err(io::Error::other("the city could not be read")));
        }
    });
    Ok(Body::from_stream(Sent(receiver)))
}

/// A question as it came.
pub(super) struct Asked {
    pub query: Query,
    layers: Vec<String>,
    /// A box in degrees, which needs the city's frame to become a shape.
    bbox_deg: Option<[f64; 4]>,
    form: Form,
    in_city_crs: bool,
}

/// What an answer is written as.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Form {
    GeoJson,
    /// A hit in a line, without its geometry.
    Lines,
    /// A stream of Apache Arrow.
    Arrow,
}

/// Of a stream of Apache Arrow (IANA).
pub(super) const ARROW: &str = "application/vnd.apache.arrow.stream";

impl Form {
    fn media(self) -> &'static str {
        match self {
            Self::GeoJson => "application/geo+json",
            Self::Lines => "application/x-ndjson",
            Self::Arrow => ARROW,
        }
    }
}

/// Of the parameters those that say where; one of them may be given.
const PLACES: [&str; 7] = ["box", "bbox", "polygon", "corridor", "within", "near", "ray"];

impl Asked {
    pub fn read(parameters: &HashMap<String, String, impl BuildHasher>) -> Result<Self, Refusal> {
        if let Some(sentence) = parameter::unknown(&parameter::QUERY, parameters) {
            return Err(bad(sentence));
        }
        let given = |name: &str| parameters.get(name).map(String::as_str).filter(|v| !v.is_empty());
        let whole = |name: &str, usual: usize| match given(name) {
            Some(word) => word.parse::<usize>().map_err(|_| bad(format!("{name}={word:.40} is no whole number"))),
            None => Ok(usual),
        };
        let list = |name: &str| given(name).map(|v| v.split(',').map(str::to_owned).collect()).unwrap_or_default();
        let limit = whole("limit", USUAL_HITS)?.min(MOST_HITS);
        let layers: Vec<String> = list("layers");
        let at = match given("at") {
            Some(text) => Some(query::parse_time(text).ok_or_else(|| bad(format!("at={text:.40} is no time")))?),
            None => None,
        };
        let filter = match given("where") {
            Some(text) => Some(Filter::parse(text).map_err(|e| bad(format!("where: {e}")))?),
            None => None,
        };
        let bbox_deg = match given("bbox") {
            Some(text) => Some(numbers("bbox", text)?.try_into().map_err(|_| bad("bbox takes west,south,east,north"))?),
            None => None,
        };
        let search = given("search").map(Search::new).transpose().map_err(|e| bad(format!("search: {e}")))?;
        let query = Query {
            shape: shape(&given, limit)?,
            search,
            layers: layers.clone(),
            classes: words("classes", &list("classes"), Class::parse)?,
            stages: words("stages", &list("stages"), Stage::parse)?,
            domains: words("domains", &list("domains"), Domain::parse)?,
            at,
            filter,
            version: given("version").map(|_| whole("version", 0)).transpose()?.map(|version| version as u64),
            offset: whole("offset", 0)?,
            limit: Some(limit),
            until: None,
        };
        let form = match given("f") {
            None | Some("geojson") => Form::GeoJson,
            Some("json") => Form::Lines,
            Some("arrow") => Form::Arrow,
            Some(other) => return Err(bad(format!("f={other:.40} is neither geojson, json nor arrow"))),
        };
        let in_city_crs = match given("crs") {
            Some("wgs84") if form == Form::Arrow => return Err(bad("f=arrow comes in the city's system")),
            None | Some("wgs84") => false,
            Some("city") => true,
            Some(other) => return Err(bad(format!("crs={other:.40} is neither wgs84 nor city"))),
        };
        Ok(Self { query, layers, bbox_deg, form, in_city_crs })
    }

    /// Whether all layers that it names are there.
    pub fn has_layers(&self, city: &City) -> Result<(), StoreError> {
        match self.layers.iter().find(|layer| city.layer(layer).is_none()) {
            Some(layer) => Err(StoreError::NoLayer(layer.clone())),
            None => Ok(()),
        }
    }

    /// Finds the place of a box in degrees; false where there is nothing of the city.
    pub fn settle(&mut self, city: &City) -> Result<bool, StoreError> {
        let Some([west, south, east, north]) = self.bbox_deg else { return Ok(true) };
        let frame = city.held_frame()?;
        let corners = [(west, south), (east, south), (east, north), (west, north)];
        let corner = |(lon, lat): (f64, f64)| frame.city_from_geographic(DVec3::new(lon, lat, 0.0)).truncate();
        match Region::polygon(corners.map(corner).to_vec()) {
            Ok(region) => self.query.shape = Shape::touching(region),
            // There the city's projection ends.
            Err(_) => return Ok(false),
        }
        Ok(true)
    }

    /// Whether an answer takes so little that it may be made where the question came in: few rows, of layers that were asked before.
    fn is_short(&self, city: &City) -> bool {
        let Query { shape, search, at, .. } = &self.query;
        if search.is_some() || at.is_some() || self.query.version.is_some_and(|version| version != city.version()) {
            return false;
        }
        let asked = || city.layers().iter().filter(|l| self.layers.is_empty() || self.layers.contains(&l.name));
        let rows = match shape {
            Shape::Box { min, max } => {
                let wanted = Extent { min: *min, max: *max };
                asked().map(|layer| share(&layer.extent, &wanted) * layer.objects as f64).sum()
            }
            // Four corners in degrees; paths and polygons of the asker's own may be of any length.
            Shape::Within { region, distance_m: 0.0 } if self.bbox_deg.is_some() => {
                asked().map(|layer| share(&layer.extent, region.extent()) * layer.objects as f64).sum()
            }
            Shape::Near { limit, .. } => *limit as f64,
            _ => f64::INFINITY,
        };
        rows <= SHORT_ROWS && asked().all(|layer| city.is_indexed(&layer.name))
    }

    /// The answer as a whole; `None` when it takes longer than was thought.
    fn answer_shortly(&mut self, city: &City) -> Result<Option<Vec<u8>>, StoreError> {
        let mut out = Vec::with_capacity(PIECE_BYTES / 4);
        self.query.until = Some(Instant::now() + SHORT_TIME);
        match self.answer(city, &mut out) {
            Ok(()) => Ok(Some(out)),
            Err(StoreError::OutOfTime) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The answer that has no hits.
    fn nothing(&self, city: &City) -> Result<Vec<u8>, StoreError> {
        let mut out = Vec::new();
        match self.form {
            Form::GeoJson => self.write_geojson(city, std::iter::empty(), &mut out)?,
            Form::Lines => {}
            Form::Arrow => self.arrow(city, &mut out)?.finish()?,
        }
        Ok(out)
    }

    /// Writes the hits.
    fn answer(&self, city: &City, out: &mut dyn Write) -> Result<(), StoreError> {
        let mut hits = query::run(city, &self.query)?;
        match self.form {
            Form::GeoJson => self.write_geojson(city, hits, out),
            Form::Lines => {
                let mut line = Vec::new();
                while let Some(hit) = hits.next_hit() {
                    line.clear();
                    hit?.write_json(&mut line)?;
                    out.write_all(&line).map_err(|source| StoreError::Io { path: "answer".into(), source })?;
                }
                Ok(())
            }
            Form::Arrow => {
                let mut table = self.arrow(city, out)?;
                while let Some(hit) = hits.next_hit() {
                    table.push(0, &hit?)?;
                }
                table.finish()
            }
        }
    }

    fn arrow<W: Write>(&self, city: &City, out: W) -> Result<ArrowWriter<W>, StoreError> {
        ArrowWriter::new(out, ArrowForm { by_question: false, geometry: true }, &city.projjson())
    }

    fn write_geojson(
        &self,
        city: &City,
        hits: impl Iterator<Item = Result<Found, StoreError>>,
        out: &mut dyn Write,
    ) -> Result<(), StoreError> {
        let frame = city.held_frame()?;
        let coordinates = if self.in_city_crs { Coordinates::City } else { Coordinates::Geographic(&frame) };
        query::write_geojson(out, hits, coordinates, city.crs()).map(drop)
    }
}

/// The part of a layer that lies in a box, as if its objects lay evenly.
fn share(layer: &Extent, wanted: &Extent) -> f64 {
    let low = layer.min.max(wanted.min).truncate();
    let both = (layer.max.min(wanted.max).truncate() - low).max(DVec2::ZERO);
    let part = both / layer.size().truncate();
    // A layer without width lies within or without as a whole.
    let part = DVec2::select(part.is_nan_mask(), DVec2::ONE, part);
    part.x * part.y
}

fn numbers(name: &str, text: &str) -> Result<Vec<f64>, Refusal> {
    let list: Option<Vec<f64>> =
        text.split(',').map(|word| word.trim().parse().ok().filter(|v: &f64| v.is_finite())).collect();
    list.filter(|l| l.len() <= 2 * MOST_VERTICES)
        .ok_or_else(|| bad(format!("{name}={} is no list of numbers", text.chars().take(60).collect::<String>())))
}

fn words<T>(name: &str, words: &[String], parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, Refusal> {
    words.iter().map(|word| parse(word).ok_or_else(|| bad(format!("{name}: {word:.40?} is not known")))).collect()
}

fn shape<'a>(given: &impl Fn(&str) -> Option<&'a str>, limit: usize) -> Result<Shape, Refusal> {
    let named: Vec<&str> = PLACES.into_iter().filter(|n| given(n).is_some()).collect();
    if named.len() > 1 {
        return Err(bad(format!("{} cannot be asked together", named.join(" and "))));
    }
    let length = |name: &str| match given(name) {
        Some(word) => {
            let length = word.parse::<f64>().ok().filter(|r| r.is_finite() && *r >= 0.0);
            length.map(Some).ok_or_else(|| bad(format!("{name}={word:.40} is no length")))
        }
        None => Ok(None),
    };
    let (radius, distance) = (length("radius")?, length("distance")?);
    let Some(name) = named.first().copied() else {
        return Ok(Shape::All);
    };
    if distance.is_some() && !matches!(name, "polygon" | "corridor" | "within") {
        return Err(bad(format!("distance goes with corridor, within or polygon, not with {name}")));
    }
    let within = |region: Result<Region, RegionError>| {
        let shape = region.and_then(|region| Shape::within(region, distance.unwrap_or(0.0)));
        shape.map_err(|e| bad(format!("{name}: {e}")))
    };
    if name == "within" {
        return within(Region::parse(given(name).unwrap_or_default()));
    }
    let list = numbers(name, given(name).unwrap_or_default())?;
    let vertices = || list.chunks_exact(2).map(|v| DVec2::new(v[0], v[1])).collect();
    Ok(match (name, list.as_slice()) {
        ("box", [x0, y0, x1, y1]) => {
            Shape::Box { min: DVec3::new(*x0, *y0, f64::NEG_INFINITY), max: DVec3::new(*x1, *y1, f64::INFINITY) }
        }
        ("box", [x0, y0, z0, x1, y1, z1]) => {
            Shape::Box { min: DVec3::new(*x0, *y0, *z0), max: DVec3::new(*x1, *y1, *z1) }
        }
        ("bbox", [_, _, _, _]) => Shape::All,
        ("polygon", list) if list.len().is_multiple_of(2) => within(Region::polygon(vertices()))?,
        ("corridor", list) if list.len().is_multiple_of(2) => within(Region::line(vertices()))?,
        ("near", [x, y, z @ ..]) if z.len() <= 1 => Shape::Near {
            at: DVec2::new(*x, *y),
            z: z.first().copied(),
            radius_m: radius.unwrap_or(1_000.0),
            limit: limit.min(MOST_NEIGHBOURS),
        },
        ("ray", [x, y, z, dx, dy, dz]) => Shape::Ray {
            origin: DVec3::new(*x, *y, *z),
            direction: DVec3::new(*dx, *dy, *dz),
            max_m: radius.unwrap_or(10_000.0),
        },
        _ => return Err(bad(format!("{name} has not the numbers it needs"))),
    })
}

/// Collects what is written and sends it in pieces; waits while the other side is slow.
struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    held: Vec<u8>,
    gate: Arc<Gate>,
    /// Given up while the other side is slow.
    place: Option<Place>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.held));
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        match self.sender.try_send(Ok(piece)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(piece)) => {
                self.place = None;
                self.sender.blocking_send(piece).map_err(|_| gone())?;
                self.place = self.gate.enter_again();
                Ok(())
            }
            Err(TrySendError::Closed(_)) => Err(gone()),
        }
    }
}

/// The pieces as a body.
struct Sent(mpsc::Receiver<io::Result<Bytes>>);

impl Stream for Sent {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}
