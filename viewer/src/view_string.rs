//! One line of text that makes a picture again (视图串): whoever has the same city gets the same view.
//!
//! ```text
//! view  = "groundline:?" pair *( "&" pair )
//! pair  = key "=" value                 in any order; an unknown key is refused
//!
//! v     = "1"                           version of this grammar; 1 when left out
//! c     = place "," heading "," pitch   camera: degrees clockwise from grid north, degrees above the horizon
//! on    = name *( "," name )            only these layers
//! off   = name *( "," name )            not these layers
//! u     = "0" / "1"                     what lies below ground is shown
//! d     = "1" … "7"                     finest level of detail, CIM1 to CIM7
//! t     = date "T" time [ "Z" ]         the sun's time: 2026-09-23T15:00, local time of the city
//! sun   = place                         the place whose hours of sun are told
//! va    = date [ "T" time "Z" ]         the city as it was then, by the periods of its objects; now when left out
//! st    = "realistic" / "paper" / "dark" / "xray"      how the city is drawn
//! re    = "none" / word *( "," word )   relief: dark "corners", edges of "points"; as the person likes it when left out
//! by    = key                           the attribute that objects are coloured by, as for `--colour-by`
//! x     = cut                           what is cut away, as for `--cut`, percent-encoded; any number of them
//! lb    = word *( "," word )            of the pipes: labels "pipes", arrows of "flow", "sleeves" of the survey's error
//! net   = "water" / "storm" / …         of the networks, this class of pipes alone
//! sg    = stage *( "," stage )          objects of these stages alone: "planned", "construction", "operation", "retired"
//! pe    = number                        so many of the uppermost strata are taken off
//! sto   = layer ":" ( "fan=" metres / n / "eye=" n )    storeys of the building in a layer: apart, one alone, cut at eye height
//! hid   = id *( "," id )                hidden objects
//! iso   = id                            of its layer, this object alone; xr = id: the others as ghosts
//! cmp   = "swipe:" share / "beside"     compared with another look: its share of the width, from the left, or side by side
//! ot    = view                          that look, without scheme, camera and notes, percent-encoded
//! sel   = id [ "@" place ]              the picked object, and where it was clicked on
//! m     = kind ":" place *( ";" place ) [ ":" level / ":" id ]     a measurement; any number of them
//! a     = text "@" place                an annotation; any number of them
//!
//! place = x "," y "," z                 metres in the city's frame
//! name, id, text                        percent-encoded (RFC 3986), UTF-8; "=" before a layer's name: no class is meant
//! ```
//!
//! Lengths carry 0.1 mm and angles 0.0001°. The language is not part of a view. The text comes from anywhere, so its
//! length and all counts are bounded and nothing of a text that is refused is taken.

use std::fmt::Write as _;

use glam::DVec3;
use groundline_engine::model::{CimLevel, Extent};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::{
    annotation::Annotation,
    camera::{CameraChoice, CameraPose},
    comparison,
    cut::{CutError, Cuts},
    measure::{MeasureKind, Measurement},
    options::SceneOptions,
    peel::{self, Focus},
    relief::Relief,
    style::Style,
    sun::Moment,
};

/// What a view begins with.
pub const SCHEME: &str = "groundline:?";
/// Version of the grammar.
const VERSION: &str = "1";
/// Longest text that is read, bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// Most layers that are named.
const MAX_LAYERS: usize = 2000;
/// Most measurements, and most annotations.
pub const MAX_NOTES: usize = 200;
/// Most points of all measurements.
const MAX_POINTS: usize = 2000;
/// Longest name, id or annotation, characters.
pub const MAX_TEXT: usize = 200;
/// Longest cut, characters: seventeen places with all their digits.
const MAX_CUT: usize = 1000;
/// Longest look of the other side, characters.
const MAX_LOOK: usize = 16_000;
/// Largest coordinate, metres.
const MAX_COORDINATE_M: f64 = 1e9;

/// What is left as it is in names; everything else is percent-encoded.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The picked object of a view.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// Its id.
    pub id: String,
    /// Where it was clicked on, in the city's frame.
    pub place: Option<DVec3>,
}

/// One key of a view: how its values are written and read.
struct Key {
    name: &'static str,
    /// It may stand more than once.
    is_many: bool,
    write: fn(&SceneOptions) -> Vec<String>,
    read: fn(&mut SceneOptions, &str) -> Result<(), String>,
}

const fn one(
    name: &'static str,
    write: fn(&SceneOptions) -> Vec<String>,
    read: fn(&mut SceneOptions, &str) -> Result<(), String>,
) -> Key {
    Key { name, is_many: false, write, read }
}

const fn many(
    name: &'static str,
    write: fn(&SceneOptions) -> Vec<String>,
    read: fn(&mut SceneOptions, &str) -> Result<(), String>,
) -> Key {
    Key { name, is_many: true, write, read }
}

/// Every key, in the order in which they are written.
const KEYS: &[Key] = &[
    one("v", |_| vec![VERSION.into()], |_, value| read_version(value)),
    one("c", |scene| camera_text(&scene.camera), |scene, value| set(&mut scene.camera, read_camera(value))),
    one("on", |scene| names_text(&scene.layers.only), |scene, value| set(&mut scene.layers.only, read_names(value))),
    one(
        "off",
        |scene| names_text(&scene.layers.without),
        |scene, value| set(&mut scene.layers.without, read_names(value)),
    ),
    one("u", |scene| flag_text(scene.is_below), |scene, value| set(&mut scene.is_below, read_flag(value))),
    one("d", |scene| detail_text(scene.detail), |scene, value| set(&mut scene.detail, read_detail(value).map(Some))),
    one("t", |scene| scene.at.iter().map(moment_text).collect(), |scene, value| set(&mut scene.at, read_moment(value))),
    one(
        "sun",
        |scene| scene.sun_place.iter().map(|place| place_text(*place)).collect(),
        |scene, value| set(&mut scene.sun_place, read_place(value).map(Some)),
    ),
    one(
        "va",
        |scene| scene.valid_at.iter().map(ToString::to_string).collect(),
        |scene, value| set(&mut scene.valid_at, value.parse().map(Some)),
    ),
    one(
        "st",
        |scene| (scene.style != Style::default()).then(|| scene.style.word().to_owned()).into_iter().collect(),
        |scene, value| set(&mut scene.style, value.parse()),
    ),
    one(
        "re",
        |scene| scene.relief.filter(|one| *one != Relief::default()).iter().map(Relief::to_string).collect(),
        |scene, value| set(&mut scene.relief, value.parse().map(Some)),
    ),
    one(
        "by",
        |scene| scene.colour_by.iter().map(|key| encoded(key)).collect(),
        |scene, value| set(&mut scene.colour_by, decoded(value).map(Some)),
    ),
    many(
        "x",
        |scene| scene.cuts.list().iter().map(|cut| encoded(&cut.to_string())).collect(),
        |scene, value| {
            let mut cuts = scene.cuts.list().to_vec();
            cuts.push(decoded_within(value, MAX_CUT)?.parse().map_err(|error: CutError| error.to_string())?);
            set(&mut scene.cuts, Cuts::new(cuts).map_err(|error| error.to_string()))
        },
    ),
    one(
        "lb",
        |scene| scene.labels.is_any().then(|| scene.labels.to_string()).into_iter().collect(),
        |scene, value| set(&mut scene.labels, value.parse()),
    ),
    one(
        "net",
        |scene| scene.peel.network.iter().map(|kind| kind.word().to_owned()).collect(),
        |scene, value| set(&mut scene.peel.network, peel::network(value).map(Some)),
    ),
    one(
        "sg",
        |scene| {
            let words: Vec<&str> = scene.peel.stages.iter().map(|stage| stage.word()).collect();
            if words.is_empty() { Vec::new() } else { vec![words.join(",")] }
        },
        |scene, value| {
            for word in value.split(',') {
                scene.peel.choose_stage(peel::stage(&decoded(word)?)?, true);
            }
            Ok(())
        },
    ),
    one(
        "pe",
        |scene| (scene.peel.strata > 0).then(|| scene.peel.strata.to_string()).into_iter().collect(),
        |scene, value| {
            let count = value.parse().map_err(|_| format!("`{}` is no number up to 255", short(value)));
            set(&mut scene.peel.strata, count)
        },
    ),
    one(
        "sto",
        |scene| scene.peel.storeys.iter().map(|storeys| encoded(&storeys.to_string())).collect(),
        |scene, value| set(&mut scene.peel.storeys, decoded(value)?.parse().map(Some)),
    ),
    one(
        "hid",
        |scene| names_text(&scene.peel.hidden),
        |scene, value| {
            let hidden = read_names(value)?;
            let is_few = hidden.len() <= peel::MOST_HIDDEN;
            set(&mut scene.peel.hidden, is_few.then_some(hidden).ok_or(format!("more than {} ids", peel::MOST_HIDDEN)))
        },
    ),
    one("iso", |scene| focus_text(scene, false), |scene, value| set(&mut scene.peel.focus, read_focus(value, false))),
    one("xr", |scene| focus_text(scene, true), |scene, value| set(&mut scene.peel.focus, read_focus(value, true))),
    one(
        "cmp",
        |scene| scene.comparison.iter().map(|manner| manner.to_string()).collect(),
        |scene, value| set(&mut scene.comparison, value.parse().map(Some)),
    ),
    one(
        "ot",
        |scene| (!scene.other.is_empty()).then(|| encoded(&scene.other)).into_iter().collect(),
        |scene, value| set(&mut scene.other, comparison::read_look(&decoded_within(value, MAX_LOOK)?)),
    ),
    one(
        "sel",
        |scene| scene.selected.iter().map(selection_text).collect(),
        |scene, value| set(&mut scene.selected, read_selection(value).map(Some)),
    ),
    many(
        "m",
        |scene| scene.measurements.iter().map(measurement_text).collect(),
        |scene, value| {
            let measurement = read_measurement(value)?;
            let points: usize = scene.measurements.iter().map(|other| other.points.len()).sum();
            if points + measurement.points.len() > MAX_POINTS {
                return Err(format!("more than {MAX_POINTS} points"));
            }
            push(&mut scene.measurements, measurement)
        },
    ),
    many(
        "a",
        |scene| scene.annotations.iter().map(annotation_text).collect(),
        |scene, value| push(&mut scene.annotations, read_annotation(value)?),
    ),
];

/// The view that `scene` is, as one line of text.
pub fn write(scene: &SceneOptions) -> String {
    let mut text = String::from(SCHEME);
    for key in KEYS {
        for value in (key.write)(scene) {
            let is_first = text.len() == SCHEME.len();
            let _ = write!(text, "{}{}={value}", if is_first { "" } else { "&" }, key.name);
        }
    }
    text
}

/// Puts the view of `text` into `scene`, which keeps what a view does not hold (city, language, readings) and nothing else of
/// what it was. Says in a sentence why a text is refused; then `scene` stays as it was.
///
/// ```
/// use groundline_viewer::{SceneOptions, view_string};
/// let mut scene = SceneOptions::default();
/// view_string::read("groundline:?c=534467.5,3993055.8,120,315,-30&u=1", &mut scene)?;
/// assert!(scene.is_below);
/// # Ok::<(), String>(())
/// ```
pub fn read(text: &str, scene: &mut SceneOptions) -> Result<(), String> {
    let text = text.trim();
    if text.len() > MAX_BYTES {
        return Err(format!("a view of more than {MAX_BYTES} bytes is not read"));
    }
    let pairs = text.strip_prefix(SCHEME).ok_or_else(|| format!("a view begins with `{SCHEME}`"))?;
    let mut read = SceneOptions::default();
    let mut seen = vec![false; KEYS.len()];
    for pair in pairs.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("`{}` has no `=`", short(pair)))?;
        let Some(index) = KEYS.iter().position(|key| key.name == name) else {
            let known: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
            return Err(format!("`{}` is no key of a view; those are {}", short(name), known.join(", ")));
        };
        if seen[index] && !KEYS[index].is_many {
            return Err(format!("`{name}` stands twice"));
        }
        seen[index] = true;
        (KEYS[index].read)(&mut read, value).map_err(|reason| format!("`{name}`: {reason}"))?;
    }
    *scene = SceneOptions {
        city: std::mem::take(&mut scene.city),
        language: scene.language,
        live: scene.live.take(),
        is_overlay_hidden: scene.is_overlay_hidden,
        ..read
    };
    Ok(())
}

fn set<T>(slot: &mut T, value: Result<T, String>) -> Result<(), String> {
    *slot = value?;
    Ok(())
}

fn push<T>(list: &mut Vec<T>, value: T) -> Result<(), String> {
    if list.len() >= MAX_NOTES {
        return Err(format!("more than {MAX_NOTES} of them"));
    }
    list.push(value);
    Ok(())
}

fn short(text: &str) -> String {
    crate::overlay::shortened(text, 40)
}

/// A number without needless zeros.
fn number_text(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.to_owned() }
}

/// A number as it is written in a view.
pub fn read_number(text: &str) -> Result<f64, String> {
    let is_plain =
        !text.is_empty() && text.len() <= 32 && text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    let number = text.parse::<f64>().ok().filter(|number| is_plain && number.abs() <= MAX_COORDINATE_M);
    number.ok_or_else(|| format!("`{}` is no number up to 10⁹", short(text)))
}

/// Exactly `N` numbers with commas between.
pub fn read_numbers<const N: usize>(text: &str) -> Result<[f64; N], String> {
    let parts: Vec<&str> = text.splitn(N + 1, ',').collect();
    if parts.len() != N {
        return Err(format!("`{}`: {N} numbers with commas between are wanted", short(text)));
    }
    let mut out = [0.0; N];
    for (slot, part) in out.iter_mut().zip(parts) {
        *slot = read_number(part)?;
    }
    Ok(out)
}

/// A name as it stands in a view.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// A name out of a view: UTF-8, no control characters, none that turn the direction of writing.
fn decoded(text: &str) -> Result<String, String> {
    decoded_within(text, MAX_TEXT)
}

/// As [`decoded`], of at most `most` characters.
fn decoded_within(text: &str, most: usize) -> Result<String, String> {
    let wrong = |what: &str| format!("`{}` {what}", short(text));
    let plain = percent_decode_str(text).decode_utf8().map_err(|_| wrong("is not percent-encoded UTF-8"))?;
    let is_hidden = |c: char| c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    if plain.is_empty() || plain.chars().any(is_hidden) {
        return Err(wrong("is empty or holds control characters"));
    }
    if plain.chars().nth(most).is_some() {
        return Err(wrong(&format!("has more than {most} characters")));
    }
    Ok(plain.into_owned())
}

fn place_text(place: DVec3) -> String {
    place.to_array().map(number_text).join(",")
}

fn read_place(text: &str) -> Result<DVec3, String> {
    read_numbers::<3>(text).map(DVec3::from_array)
}

fn read_version(text: &str) -> Result<(), String> {
    if text == VERSION {
        Ok(())
    } else {
        Err(format!("version {} is not {VERSION}: a newer release wrote it", short(text)))
    }
}

fn camera_text(camera: &CameraChoice) -> Vec<String> {
    if *camera == CameraChoice::Auto {
        return Vec::new();
    }
    let pose = camera.pose(&Extent::EMPTY, 1.0, |_| None);
    vec![format!("{},{},{}", place_text(pose.place), number_text(pose.heading_deg), number_text(pose.pitch_deg))]
}

fn read_camera(text: &str) -> Result<CameraChoice, String> {
    let [x, y, z, heading_deg, pitch_deg] = read_numbers(text)?;
    if !(-90.0..=90.0).contains(&pitch_deg) || heading_deg.abs() > 360.0 {
        return Err("a heading is between -360 and 360, a pitch between -90 and 90".into());
    }
    Ok(CameraChoice::Pose(CameraPose { place: DVec3::new(x, y, z), heading_deg, pitch_deg }))
}

fn names_text(names: &[String]) -> Vec<String> {
    let text = |name: &String| match name.strip_prefix('=') {
        Some(exact) => format!("={}", encoded(exact)),
        None => encoded(name),
    };
    if names.is_empty() { Vec::new() } else { vec![names.iter().map(text).collect::<Vec<_>>().join(",")] }
}

fn read_names(text: &str) -> Result<Vec<String>, String> {
    let parts: Vec<&str> = text.splitn(MAX_LAYERS + 1, ',').collect();
    if parts.len() > MAX_LAYERS {
        return Err(format!("more than {MAX_LAYERS} layers"));
    }
    let name = |part: &&str| match part.strip_prefix('=') {
        Some(exact) => Ok(format!("={}", decoded(exact)?)),
        None => decoded(part),
    };
    parts.iter().map(name).collect()
}

fn flag_text(is_on: bool) -> Vec<String> {
    if is_on { vec!["1".into()] } else { Vec::new() }
}

fn read_flag(text: &str) -> Result<bool, String> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        other => Err(format!("`{}` is neither 0 nor 1", short(other))),
    }
}

fn detail_text(level: Option<CimLevel>) -> Vec<String> {
    level.filter(|level| *level < CimLevel::PART).map(|level| level.number().to_string()).into_iter().collect()
}

fn read_detail(text: &str) -> Result<CimLevel, String> {
    let level = text.parse().ok().filter(|_| text.len() == 1).and_then(CimLevel::new);
    level.ok_or_else(|| format!("`{}` is no level from 1 to 7", short(text)))
}

fn moment_text(moment: &Moment) -> String {
    let seconds = (moment.hour * 3600.0).round().clamp(0.0, 86_400.0) as u32;
    let clock = format!("{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
    let rest = if seconds.is_multiple_of(60) { String::new() } else { format!(":{:02}", seconds % 60) };
    let zone = if moment.utc_offset_h == Some(0.0) { "Z" } else { "" };
    format!("{:04}-{:02}-{:02}T{clock}{rest}{zone}", moment.year, moment.month, moment.day)
}

fn read_moment(text: &str) -> Result<Option<Moment>, String> {
    if text.len() > 32 || !text.is_ascii() || !text.contains('T') {
        return Err(format!("`{}` is no time: write 2026-01-20T09:00", short(text)));
    }
    let moment: Moment = text.parse()?;
    if moment.year > 9999 { Err("the year has more than four digits".into()) } else { Ok(Some(moment)) }
}

fn selection_text(selection: &Selection) -> String {
    match selection.place {
        Some(place) => format!("{}@{}", encoded(&selection.id), place_text(place)),
        None => encoded(&selection.id),
    }
}

fn read_selection(text: &str) -> Result<Selection, String> {
    Ok(match text.split_once('@') {
        Some((id, place)) => Selection { id: decoded(id)?, place: Some(read_place(place)?) },
        None => Selection { id: decoded(text)?, place: None },
    })
}

fn focus_text(scene: &SceneOptions, has_ghosts: bool) -> Vec<String> {
    let focus = scene.peel.focus.as_ref().filter(|focus| focus.has_ghosts == has_ghosts);
    focus.map(|focus| encoded(&focus.id)).into_iter().collect()
}

fn read_focus(text: &str, has_ghosts: bool) -> Result<Option<Focus>, String> {
    Ok(Some(Focus { id: decoded(text)?, has_ghosts }))
}

fn measurement_text(measurement: &Measurement) -> String {
    let points: Vec<String> = measurement.points.iter().map(|point| place_text(*point)).collect();
    let mut text = format!("{}:{}", measurement.kind.word(), points.join(";"));
    if let Some(level_m) = measurement.level_m {
        let _ = write!(text, ":{}", number_text(level_m));
    }
    if let Some(id) = &measurement.object {
        let _ = write!(text, ":{}", encoded(id));
    }
    text
}

fn read_measurement(text: &str) -> Result<Measurement, String> {
    let parts: Vec<&str> = text.splitn(4, ':').collect();
    let (word, places, more) = match parts[..] {
        [word, places] => (word, places, None),
        [word, places, more] => (word, places, Some(more)),
        _ => return Err("a kind, a colon and places are wanted, such as length:1,2,3;4,5,6".into()),
    };
    let kind = MeasureKind::of_word(word).ok_or_else(|| format!("`{}` is no kind of measurement", short(word)))?;
    let places: Vec<&str> = places.splitn(MAX_POINTS + 1, ';').collect();
    if places.len() > MAX_POINTS {
        return Err(format!("more than {MAX_POINTS} points"));
    }
    let points: Vec<DVec3> = places.into_iter().map(read_place).collect::<Result<_, _>>()?;
    let range = kind.points();
    if !range.contains(&points.len()) {
        return Err(format!("{} points are not what `{word}` is measured by", points.len()));
    }
    let mut measurement = Measurement { kind, points, level_m: None, object: None };
    match (kind, more) {
        (MeasureKind::Volume, Some(level)) => measurement.level_m = Some(read_number(level)?),
        (MeasureKind::Body, Some(id)) => measurement.object = Some(decoded(id)?),
        (MeasureKind::Body, None) => return Err("the id of the object is missing".into()),
        (_, None) => {}
        (_, Some(_)) => return Err(format!("`{word}` has no third part")),
    }
    Ok(measurement)
}

fn annotation_text(annotation: &Annotation) -> String {
    format!("{}@{}", encoded(&annotation.text), place_text(annotation.place))
}

fn read_annotation(text: &str) -> Result<Annotation, String> {
    let (text, place) = text.split_once('@').ok_or("a text, `@` and a place are wanted")?;
    Ok(Annotation { text: decoded(text)?, place: read_place(place)? })
}

#[cfg(test)]
#[path = "view_string_test.rs"]
mod tests;
