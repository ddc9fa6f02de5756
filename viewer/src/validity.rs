//! The city as it was at a time (有效期): what was not there yet, or no more, is taken out of the tiles as it is by [`crate::sift`].

use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, TryRecvError, sync_channel},
    },
    time::{Duration, Instant},
};

use bevy::{prelude::*, window::RequestRedraw};
use groundline_engine::query::{Lifetimes, parse_time, time_text};

use crate::{
    city::CityModel,
    date::{DAY_MS, civil_of, days_of},
    loader::SiftOf,
    scene::CityScene,
    sift::{LayerSift, Sift, kept},
    stream::{Streaming, TileState},
};

/// Tiles of one time are waited for no longer than this before those of the next are asked for.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Times that are shown: the years that RFC 3339 can write.
const FIRST_MS: i64 = -62_135_596_800_000;
const LAST_MS: i64 = 253_402_300_799_999;

/// A time, milliseconds since 1970 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValidTime(pub i64);

impl ValidTime {
    /// The nearest time that can be written.
    pub fn near(ms: i64) -> Self {
        Self(ms.clamp(FIRST_MS, LAST_MS))
    }

    /// The first moment of a day.
    pub fn of_day(year: i32, month: u32, day: u32) -> Self {
        Self::near(days_of(year, month, day) * DAY_MS)
    }

    /// Year, month and day in UTC.
    pub fn date(self) -> (i32, u32, u32) {
        civil_of(self.0.div_euclid(DAY_MS))
    }
}

impl FromStr for ValidTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A bare number would be milliseconds to the store and a year to people.
        let ms = text.get(1..).is_some_and(|rest| rest.contains('-')).then(|| parse_time(text)).flatten();
        ms.filter(|ms| (FIRST_MS..=LAST_MS).contains(ms)).map(Self).ok_or_else(|| {
            let text: String = text.chars().take(40).collect();
            format!("`{text}` is no time: write 2015-06-30 or 2015-06-30T12:00:00Z")
        })
    }
}

impl fmt::Display for ValidTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.rem_euclid(DAY_MS) == 0 {
            let (year, month, day) = self.date();
            return write!(f, "{year:04}-{month:02}-{day:02}");
        }
        write!(f, "{}", time_text(self.0).unwrap_or_default())
    }
}

/// The time at which the city is shown; now without one.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValidAt(pub Option<ValidTime>);

/// When the objects of a city came and went.
#[derive(Debug, Default)]
pub struct Lives {
    /// By layer; none where everything is always there.
    pub(crate) layers: Vec<Option<Arc<Lifetimes>>>,
    /// When objects came, sorted.
    pub came: Vec<i64>,
    /// When objects went, sorted.
    pub went: Vec<i64>,
    /// Objects that begin with the year in which they were built.
    pub by_year: u64,
}

/// Objects with a period at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Of this version, not there then.
    pub absent: u64,
    /// There then, and in no tile of this version.
    pub ended: u64,
}

impl Lives {
    /// Those of one list a layer.
    fn of(layers: Vec<Lifetimes>) -> Self {
        let mut lives = Self::default();
        for layer in layers {
            let (came, went) = layer.turns();
            lives.came.extend(came);
            lives.went.extend(went);
            lives.by_year += layer.by_year;
            lives.layers.push((!layer.is_empty() || layer.has_ended()).then(|| Arc::new(layer)));
        }
        lives.came.sort_unstable();
        lives.went.sort_unstable();
        lives
    }

    fn read(city: &CityModel) -> Result<Self, String> {
        let read =
            |name: &str| city.with_store(|store| Lifetimes::read(store, name)).map_err(|error| error.to_string());
        let layers = city
            .layers
            .iter()
            .map(|layer| if layer.objects > 0 { read(&layer.name) } else { Ok(Lifetimes::default()) });
        Ok(Self::of(layers.collect::<Result<_, _>>()?))
    }

    /// Whether an object of a layer is there at a time.
    fn is_there(&self, layer: usize, id: &str, at: ValidTime) -> bool {
        self.layers.get(layer).and_then(Option::as_ref).is_none_or(|lives| lives.is_there(id, at.0))
    }

    /// The first and the last time at which anything came or went; `None` when nothing ever did.
    pub fn range(&self) -> Option<(i64, i64)> {
        let first = self.came.first().into_iter().chain(self.went.first()).min()?;
        let last = self.came.last().into_iter().chain(self.went.last()).max()?;
        Some((*first, *last))
    }

    fn count(&self, at: ValidTime) -> Count {
        let layers = || self.layers.iter().flatten();
        Count { absent: layers().map(|l| l.absent(at.0)).sum(), ended: layers().map(|l| l.ended(at.0)).sum() }
    }

    /// How often anything had come or gone until a time: the picture is the same where the number is.
    fn turn(&self, at: ValidTime) -> usize {
        self.came.partition_point(|t| *t <= at.0) + self.went.partition_point(|t| *t <= at.0)
    }
}

type Answer = Mutex<Receiver<Result<Lives, String>>>;

/// What is known of the times of the city, and how the tiles follow the one that is shown.
#[derive(Resource, Default)]
pub struct Timeline {
    /// The bar is open.
    pub is_open: bool,
    /// Time runs.
    pub is_playing: bool,
    /// Seconds since it last went a step on.
    pub waited_s: f32,
    /// When what came and went, once it has been read.
    pub lives: Option<Arc<Lives>>,
    /// Objects at the time that is shown.
    pub count: Count,
    /// Why nothing is known.
    pub trouble: Option<String>,
    waiting: Option<Answer>,
    /// Counts cities of which the times were read.
    generation: u64,
    /// The changes of what is peeled off and the time for which the tiles were last told, and when.
    told: Option<(u64, Option<ValidTime>)>,
    told_at: Option<Instant>,
}

impl Timeline {
    /// Asks anew: the city is another version.
    pub fn renew(&mut self) {
        (self.lives, self.waiting, self.trouble, self.told) = (None, None, None, None);
        self.generation += 1;
    }

    /// Whether the tiles have been told of the time that is shown.
    pub fn is_settled(&self, at: ValidAt, sift: &Sift) -> bool {
        self.waiting.is_none() && self.told == Some((sift.changes, at.0))
    }

    /// Whether an object of a layer is there at the time that is shown.
    pub fn is_there(&self, layer: usize, id: &str, at: ValidAt) -> bool {
        match (at.0, &self.lives) {
            (Some(at), Some(lives)) => lives.is_there(layer, id, at),
            _ => true,
        }
    }

    /// Asks the store for the times of the city and takes them when they have come; whether they are still on their way.
    fn learn(&mut self, city: &Arc<CityModel>) -> bool {
        if self.lives.is_some() || self.trouble.is_some() {
            return false;
        }
        let Some(answer) = &mut self.waiting else {
            let (sender, receiver) = sync_channel(1);
            let city = Arc::clone(city);
            let spawned = std::thread::Builder::new().name("lives".into()).spawn(move || {
                // Nobody waits any more when the window was closed.
                let _ = sender.send(Lives::read(&city));
            });
            match spawned {
                Ok(_) => self.waiting = Some(Mutex::new(receiver)),
                Err(error) => self.trouble = Some(error.to_string()),
            }
            return true;
        };
        let answer = match answer.get_mut().unwrap_or_else(PoisonError::into_inner).try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return true,
            Err(TryRecvError::Disconnected) => Err("the store could not be read".to_owned()),
        };
        self.waiting = None;
        match answer {
            Ok(lives) => self.lives = Some(Arc::new(lives)),
            Err(reason) => {
                tracing::warn!("no time but now is shown: {reason}");
                self.trouble = Some(reason);
            }
        }
        false
    }

    /// What is peeled off, and what was not there.
    fn dated(&self, peeled: &[SiftOf], before: &[SiftOf], at: Option<ValidTime>) -> Vec<SiftOf> {
        let (Some(at), Some(lives)) = (at, &self.lives) else { return peeled.to_vec() };
        let turn = lives.turn(at);
        let layers = (0..peeled.len().max(lives.layers.len())).map(|layer| {
            let peeled = peeled.get(layer).cloned().flatten();
            let times = lives.layers.get(layer).cloned().flatten();
            if times.is_none() && peeled.is_none() {
                return None;
            }
            let mut sift = peeled.map_or_else(LayerSift::default, |peeled| LayerSift::clone(&peeled));
            if let Some(times) = times {
                sift.key = format!("{} at {turn} of {}", sift.key, self.generation);
                sift.time = Some((times, at.0));
            }
            Some(sift)
        });
        kept(before, layers.collect())
    }
}

/// Hands the tiles what was not there at the time that is shown, when that or what is peeled off has changed.
pub fn date_tiles(
    mut timeline: ResMut<Timeline>,
    (at, sift, city): (Res<ValidAt>, Res<Sift>, Res<CityScene>),
    mut streaming: ResMut<Streaming>,
    mut redraw: MessageWriter<RequestRedraw>,
) {
    let timeline = timeline.bypass_change_detection();
    if (timeline.is_open || at.0.is_some()) && timeline.learn(&city.0) {
        redraw.write(RequestRedraw);
        return;
    }
    let now = (sift.changes, at.0);
    if timeline.told == Some(now) {
        return;
    }
    let is_step = timeline.told.is_some_and(|told| told.0 == now.0);
    let is_early = timeline.told_at.is_some_and(|told| told.elapsed() < PATIENCE);
    if is_step && is_early && !streaming.is_complete && !streaming.is_single_picture {
        redraw.write(RequestRedraw);
        return;
    }
    (timeline.told, timeline.told_at) = (Some(now), Some(Instant::now()));
    timeline.count = match (at.0, &timeline.lives) {
        (Some(at), Some(lives)) => lives.count(at),
        _ => Count::default(),
    };
    let streaming = &mut *streaming;
    streaming.sifts = timeline.dated(&sift.peeled, &streaming.sifts, at.0);
    keep_alike(streaming);
    redraw.write(RequestRedraw);
}

/// Keeps the tiles that look the same as before, so that a step in time reads those alone in which something comes or goes.
fn keep_alike(streaming: &mut Streaming) {
    let sifts = &streaming.sifts;
    for (key, state) in &mut streaming.tiles {
        let TileState::Ready(tile) = state else { continue };
        let wanted = sifts.get(key.layer).cloned().flatten();
        let is_same = match (&tile.sift, &wanted) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        if !is_same && LayerSift::is_alike(tile.sift.as_deref(), wanted.as_deref(), &tile.pick.features) {
            tile.sift = wanted;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_days_or_rfc_3339_and_nothing_else() {
        for text in ["2015-06-30", "1850-01-01", "2015-06-30T12:30:00Z", "9999-12-31"] {
            assert_eq!(text.parse::<ValidTime>().map(|time| time.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("2015-06-30T08:00:00+08:00".parse::<ValidTime>().unwrap().to_string(), "2015-06-30");
        for bad in ["", "2015", "15:30", "2015-13-01", "-5", "1435622400000", "2015-06-30T09:00", "-0001-01-01"] {
            assert!(bad.parse::<ValidTime>().is_err(), "{bad}");
        }
        assert_eq!(ValidTime::of_day(2015, 6, 30).date(), (2015, 6, 30));
    }

    #[test]
    fn a_step_in_which_nothing_turns_changes_no_layer() {
        let lives = Lives { came: vec![10, 20], went: vec![20], ..Lives::default() };
        let turn = |ms| lives.turn(ValidTime(ms));
        assert_eq!([turn(9), turn(10), turn(19), turn(20)], [0, 1, 1, 3]);
        assert_eq!(lives.range(), Some((10, 20)));
        assert_eq!(Lives::default().range(), None);
        let mut timeline =
            Timeline { lives: Some(Arc::new(Lives::of(vec![Lifetimes::default()]))), ..Timeline::default() };
        assert_eq!(timeline.dated(&[], &[], Some(ValidTime(5))).len(), 1);
        let times = Lives { layers: vec![Some(Arc::default())], came: vec![10], ..Lives::default() };
        timeline.lives = Some(Arc::new(times));
        let first = timeline.dated(&[], &[], Some(ValidTime(11)));
        let second = timeline.dated(&[], &first, Some(ValidTime(12)));
        assert!(Arc::ptr_eq(first[0].as_ref().unwrap(), second[0].as_ref().unwrap()), "nothing came between");
        let before = timeline.dated(&[], &second, Some(ValidTime(9)));
        assert!(!Arc::ptr_eq(second[0].as_ref().unwrap(), before[0].as_ref().unwrap()));
        assert!(timeline.dated(&[], &before, None).is_empty(), "now: everything that the tiles hold");
    }
}
