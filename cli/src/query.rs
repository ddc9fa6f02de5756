//! `groundline query`.

use std::{
    io::{Read, Write},
    path::PathBuf,
};

use anyhow::Result;
use glam::{DVec2, DVec3};
use groundline_engine::{
    model::{Class, Domain},
    query::{
        Coordinates, Filter, Query, Region, Search, Shape, parse_time, run as run_query, unknown_fields, write_geojson,
    },
    store::City,
};

use crate::outcome::{Ask, Outcome, UsageError};

/// Longest file of a geometry that is read; a longer text is refused as one.
const MOST_GEOMETRY_BYTES: u64 = 8 << 20;

#[derive(clap::Args)]
pub struct Args {
    /// Folder of the city, s3://bucket/prefix/name.city, or the URL of a Groundline server.
    city: PathBuf,
    #[command(subcommand)]
    what: What,
    /// Only in these layers.
    #[arg(long, global = true, value_delimiter = ',')]
    layers: Vec<String>,
    /// Only of these classes.
    #[arg(long, global = true, value_delimiter = ',')]
    class: Vec<String>,
    /// Only on this side of the ground: above, surface, below.
    #[arg(long, global = true)]
    domain: Option<String>,
    /// Most objects.
    #[arg(long, global = true)]
    limit: Option<usize>,
    /// Only what exists at this time: 2026-01-31 or RFC 3339. States that were ended by later imports are found by it.
    #[arg(long = "at", global = true, value_name = "TIME")]
    time: Option<String>,
    /// At this version of the city instead of the current one; `info` lists them.
    #[arg(long = "version", global = true, value_name = "N")]
    at_version: Option<u64>,
    /// Coordinates as longitude and latitude (WGS 84) instead of the city's.
    #[arg(long, global = true)]
    lonlat: bool,
}

#[derive(clap::Subcommand)]
enum What {
    /// Objects in a box in the city's coordinates: minx,miny,maxx,maxy or minx,miny,minz,maxx,maxy,maxz.
    Box {
        /// The box.
        #[arg(allow_hyphen_values = true)]
        corners: String,
    },
    /// Objects in a polygon: x,y x,y x,y …
    Polygon {
        /// Vertices; negative ones behind `--`, after all options.
        #[arg(required = true, num_args = 3..)]
        vertices: Vec<String>,
    },
    /// Objects near a line: x,y x,y … --distance METRES; distances are to the footprint or axis, in plan.
    Corridor {
        /// Vertices of the line; negative ones behind `--`, after all options.
        #[arg(required = true)]
        vertices: Vec<String>,
        /// No farther than this, metres.
        #[arg(long)]
        distance: f64,
    },
    /// Objects in or near a geometry: WKT such as "POLYGON((…), (…))", GeoJSON, or a file that holds one of them.
    Within {
        /// The geometry in the city's coordinates, or the file.
        geometry: String,
        /// No farther than this, metres.
        #[arg(long, default_value_t = 0.0)]
        distance: f64,
    },
    /// Objects nearest to a place, nearest first: x,y.
    Near {
        /// The place.
        #[arg(allow_hyphen_values = true)]
        place: String,
        /// No farther than this, metres.
        #[arg(long, default_value_t = 100.0)]
        radius: f64,
    },
    /// Objects that a ray meets, first met first: x,y,z dx,dy,dz. Of BIM and scans, whose shapes are in the tiles alone, the box.
    Ray {
        /// Start.
        #[arg(allow_hyphen_values = true)]
        from: String,
        /// Direction.
        #[arg(allow_hyphen_values = true)]
        direction: String,
        /// No farther than this, metres.
        #[arg(long, default_value_t = 10_000.0)]
        max: f64,
    },
    /// Objects that exist at a time: 2026-01-31 or RFC 3339.
    At {
        /// The time.
        time: String,
    },
    /// Objects by name or id, the best first: Chinese, pinyin in full or by first letters, English.
    Search {
        /// What is looked for; several words must all be found.
        #[arg(required = true)]
        text: Vec<String>,
    },
    /// Objects for which a condition on their attributes holds: "height_m > 24 and material = 'PE'".
    Where {
        /// The condition.
        condition: String,
    },
}

fn numbers(text: &str, what: &str) -> Result<Vec<f64>, UsageError> {
    let parsed: Result<Vec<f64>, _> = text.split(',').map(|n| n.trim().parse::<f64>()).collect();
    let wrong = || UsageError(format!("{text}: {what} is wanted"));
    let numbers = parsed.map_err(|_| wrong())?;
    if numbers.iter().all(|n| n.is_finite()) { Ok(numbers) } else { Err(wrong()) }
}

fn place(text: &str) -> Result<DVec2, UsageError> {
    match numbers(text, "x,y")?[..] {
        [x, y] => Ok(DVec2::new(x, y)),
        _ => Err(UsageError(format!("{text}: x,y is wanted"))),
    }
}

fn places(texts: &[String]) -> Result<Vec<DVec2>, UsageError> {
    texts.iter().map(|text| place(text)).collect()
}

/// A small file as text.
fn read_text(path: &std::path::Path) -> Result<String, UsageError> {
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MOST_GEOMETRY_BYTES).read_to_string(&mut text));
    read.map_err(|e| UsageError(format!("{}: {e}", path.display())))?;
    Ok(text)
}

fn point(text: &str) -> Result<DVec3, UsageError> {
    match numbers(text, "x,y,z")?[..] {
        [x, y, z] => Ok(DVec3::new(x, y, z)),
        _ => Err(UsageError(format!("{text}: x,y,z is wanted"))),
    }
}

fn moment(text: &str) -> Result<i64, UsageError> {
    parse_time(text).ok_or_else(|| UsageError(format!("{text}: a date or an RFC 3339 time is wanted")))
}

fn question(args: &Args) -> Result<Query, UsageError> {
    let mut query =
        Query { layers: args.layers.clone(), limit: args.limit, version: args.at_version, ..Query::default() };
    if let Some(time) = &args.time {
        query.at = Some(moment(time)?);
    }
    for word in &args.class {
        let class = Class::parse(word).ok_or_else(|| UsageError(format!("{word} is no class")))?;
        query.classes.push(class);
    }
    if let Some(word) = &args.domain {
        query.domains =
            vec![Domain::parse(word).ok_or_else(|| UsageError(format!("{word}: above, surface or below")))?];
    }
    match &args.what {
        What::Box { corners } => {
            let (min, max) = match numbers(corners, "minx,miny,maxx,maxy")?[..] {
                [x0, y0, x1, y1] => (DVec3::new(x0, y0, f64::NEG_INFINITY), DVec3::new(x1, y1, f64::INFINITY)),
                [x0, y0, z0, x1, y1, z1] => (DVec3::new(x0, y0, z0), DVec3::new(x1, y1, z1)),
                _ => return Err(UsageError(format!("{corners}: four or six numbers are wanted"))),
            };
            if min.cmpgt(max).any() {
                return Err(UsageError(format!("{corners}: the lower corner is above the upper one")));
            }
            query.shape = Shape::Box { min, max };
        }
        What::Polygon { vertices } => {
            let region = Region::polygon(places(vertices)?).map_err(|e| UsageError(e.to_string()))?;
            query.shape = Shape::touching(region);
        }
        What::Corridor { vertices, distance } => {
            let shape = Region::line(places(vertices)?).and_then(|region| Shape::within(region, *distance));
            query.shape = shape.map_err(|e| UsageError(e.to_string()))?;
        }
        What::Within { geometry, distance } => {
            let text = match std::path::Path::new(geometry) {
                path if path.is_file() => read_text(path)?,
                _ => geometry.clone(),
            };
            let shape = Region::parse(&text).and_then(|region| Shape::within(region, *distance));
            query.shape = shape.map_err(|e| UsageError(format!("{geometry:.60}: {e}")))?;
        }
        What::Near { place: at, radius } => {
            let limit = args.limit.unwrap_or(20);
            query.shape = Shape::Near { at: place(at)?, z: None, radius_m: *radius, limit };
        }
        What::Ray { from, direction, max } => {
            let (origin, direction) = (point(from)?, point(direction)?);
            if direction.length() < 1e-12 {
                return Err(UsageError("a direction of no length".into()));
            }
            query.shape = Shape::Ray { origin, direction, max_m: *max };
        }
        What::At { time } => {
            query.at = Some(moment(time)?);
        }
        What::Search { text } => {
            let search = Search::new(&text.join(" ")).map_err(|e| UsageError(e.to_string()))?;
            query.search = Some(search);
            query.limit = Some(args.limit.unwrap_or(20));
        }
        What::Where { condition } => {
            let filter = Filter::parse(condition).map_err(|e| UsageError(format!("{condition}: {e}")))?;
            query.filter = Some(filter);
        }
    }
    Ok(query)
}

pub fn run(args: Args, ask: &Ask) -> Result<Outcome> {
    let query = question(&args)?;
    let city = query.open(&args.city)?;
    let hits = run_query(&city, &query)?;
    if ask.json {
        let frame = city.frame()?;
        let coordinates = if args.lonlat { Coordinates::Geographic(&frame) } else { Coordinates::City };
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let count = write_geojson(&mut out, hits, coordinates, city.crs())?;
        out.flush()?;
        return tell_unknown(&city, &query, count, ask);
    }
    let mut count = 0_u64;
    for found in hits {
        let found = found?;
        let name = found.name.as_deref().unwrap_or("");
        let class = ask.say(found.class.word(), found.class.zh());
        let distance = found.distance_m.map(|d| format!("  {d:.1} m")).unwrap_or_default();
        let boxed = match found.exact {
            Some(false) => ask.say("  (its box)", "  （外包盒）"),
            _ => "",
        };
        println!("{}  {class}  {name}{distance}{boxed}", found.id);
        count += 1;
    }
    eprintln!("{count} {}", ask.say("objects", "个对象"));
    tell_unknown(&city, &query, count, ask)
}

/// Nothing was found: perhaps since the filter names what no object has.
fn tell_unknown(city: &City, query: &Query, count: u64, ask: &Ask) -> Result<Outcome> {
    if let Some(filter) = query.filter.as_ref().filter(|_| count == 0) {
        for name in unknown_fields(city, &query.layers, filter)? {
            eprintln!("{}: {name}", ask.say("no object has this attribute", "没有任何对象具有此属性"));
        }
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn asked(line: &str) -> Query {
        let words = std::iter::once("query").chain(line.split_whitespace());
        question(&Line::try_parse_from(words).unwrap_or_else(|e| panic!("{line}: {e}")).args).unwrap()
    }

    #[test]
    fn options_may_stand_behind_vertices() {
        let query = asked("c.city corridor 0,0 9,0 9,9 --distance 5 --limit 3 --version 2");
        assert_eq!((query.limit, query.version), (Some(3), Some(2)));
        assert!(matches!(query.shape, Shape::Within { distance_m: 5.0, .. }));
        let query = asked("c.city corridor --distance 5 -- -1,-2 3,4");
        assert!(matches!(query.shape, Shape::Within { region, .. } if region.extent().min.x == -1.0));
        let query = asked("c.city polygon 0,0 9,0 9,9 --layers a,b");
        assert_eq!(query.layers, ["a", "b"]);
        let query = asked("c.city search zhong shan lu");
        assert_eq!((query.search.unwrap().text(), query.limit), ("zhong shan lu", Some(20)));
    }
}
