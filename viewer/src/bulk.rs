//! How much is built on both sides of a comparison (体量对比), asked of the store beside the picture.

use std::sync::{
    Arc, Mutex, PoisonError,
    mpsc::{Receiver, TryRecvError, sync_channel},
};

use bevy_egui::egui::{self, RichText, Ui};
use groundline_engine::{
    model::Extent,
    query::{Bulk, BulkQuestion, bulk},
};
use serde::Serialize;

use crate::{
    ViewError,
    city::CityModel,
    comparison::Compared,
    comparison_panel::This,
    cut::{Cut, Cuts},
    options::SceneOptions,
    peel::Peel,
    text::Texts,
    theme::{MUTED, TEXT},
    validity::ValidTime,
    view_state::shown_layers,
};

/// How much is built on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BulkComparison {
    /// The view itself, on the left.
    pub this: Bulk,
    /// The other look, on the right.
    pub other: Bulk,
    /// What the other has more than this one.
    pub difference: Bulk,
    /// Whether it is of a section box; else of the whole city.
    pub is_of_box: bool,
}

/// What is asked of both sides.
type Questions = [BulkQuestion; 2];

/// The figures in the panel of the comparison: asked for when they are wanted, and again when what is asked changes.
#[derive(Default)]
pub struct BulkStudy {
    asked: Option<(Questions, u64)>,
    waiting: Option<Mutex<Receiver<Result<BulkComparison, String>>>>,
    told: Option<Result<BulkComparison, String>>,
}

/// The figures of a comparison that a scene makes; `None` without one, or of tiles without a store.
pub fn compare(city: &CityModel, scene: &SceneOptions) -> Option<Result<BulkComparison, ViewError>> {
    scene.comparison.filter(|_| city.has_store())?;
    let other = Compared::of(scene).look();
    let shown = [shown_layers(city, &scene.layers), shown_layers(city, &other.layers)];
    let [this_shown, other_shown] = &shown;
    let questions = [
        question(city, this_shown, &scene.peel, scene.valid_at, &scene.cuts),
        question(city, other_shown, &other.peel, other.valid_at, &other.cuts),
    ];
    Some(answer(city, &questions))
}

fn question(city: &CityModel, shown: &[bool], peel: &Peel, at: Option<ValidTime>, cuts: &Cuts) -> BulkQuestion {
    let layers = city.layers.iter().zip(shown).filter(|(_, shown)| **shown).map(|(layer, _)| layer.name.clone());
    BulkQuestion {
        layers: Some(layers.collect()),
        stages: peel.stages.clone(),
        at: at.map(|at| at.0),
        within: box_of(cuts),
        without: peel.hidden.clone(),
    }
}

/// The section box, where there is one.
fn box_of(cuts: &Cuts) -> Option<Extent> {
    cuts.list().iter().find_map(|cut| match cut {
        Cut::Box(extent) => Some(*extent),
        _ => None,
    })
}

fn answer(city: &CityModel, questions: &Questions) -> Result<BulkComparison, ViewError> {
    let [this, other] = questions;
    let this_bulk = city.with_store(|store| bulk(store, this))?;
    let other_bulk = match this == other {
        true => this_bulk,
        false => city.with_store(|store| bulk(store, other))?,
    };
    Ok(BulkComparison {
        this: this_bulk,
        other: other_bulk,
        difference: other_bulk.less(&this_bulk),
        is_of_box: this.within.is_some() || other.within.is_some(),
    })
}

impl BulkStudy {
    /// Asks on a thread of its own where something else is asked than before; takes what has come.
    fn study(&mut self, city: &Arc<CityModel>, questions: Questions) {
        let asked = (questions, city.version);
        if self.asked.as_ref() != Some(&asked) {
            let (sender, receiver) = sync_channel(1);
            let (city, questions) = (Arc::clone(city), asked.0.clone());
            let work = move || {
                // Nobody waits any more where something else was asked meanwhile.
                let _ = sender.send(answer(&city, &questions).map_err(|error| error.to_string()));
            };
            let spawned = std::thread::Builder::new().name("bulk".into()).spawn(work);
            self.told = spawned.err().map(|error| Err(error.to_string()));
            self.waiting = self.told.is_none().then(|| Mutex::new(receiver));
            self.asked = Some(asked);
        }
        let Some(waiting) = &self.waiting else { return };
        let came = waiting.lock().unwrap_or_else(PoisonError::into_inner).try_recv();
        match came {
            Ok(told) => (self.told, self.waiting) = (Some(told), None),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                (self.told, self.waiting) = (Some(Err("the store could not be read".into())), None);
            }
        }
    }

    /// Draws the figures of both sides.
    pub fn show(&mut self, ui: &mut Ui, city: &Arc<CityModel>, this: &This<'_>, other: &SceneOptions, texts: &Texts) {
        if !city.has_store() {
            return;
        }
        let other_shown = shown_layers(city, &other.layers);
        let questions = [
            question(city, this.shown, this.peel, this.valid_at, this.cuts),
            question(city, &other_shown, &other.peel, other.valid_at, &other.cuts),
        ];
        self.study(city, questions);
        ui.separator();
        let is_of_box = matches!(&self.told, Some(Ok(told)) if told.is_of_box);
        let title = texts.get(if is_of_box { "bulk-box" } else { "bulk" });
        ui.label(RichText::new(title).size(12.0).color(TEXT));
        match &self.told {
            None => {
                ui.label(RichText::new(texts.get("bulk-waiting")).size(11.0).color(MUTED));
                ui.ctx().request_repaint_after(std::time::Duration::from_millis(200));
            }
            Some(Err(reason)) => {
                ui.label(RichText::new(reason).size(11.0).color(MUTED));
            }
            Some(Ok(told)) => rows(ui, told, texts),
        }
    }
}

/// One figure of a [`Bulk`]: the key of its text, its unit, its digits, and where it stands.
type Figure = (&'static str, &'static str, usize, fn(&Bulk) -> f64);

static FIGURES: [Figure; 6] = [
    ("bulk-buildings", "", 0, |b| b.buildings as f64),
    ("bulk-footprint", "m²", 0, |b| b.footprint_m2),
    ("bulk-floor", "m²", 0, |b| b.floor_m2),
    ("bulk-volume", "m³", 0, |b| b.volume_m3),
    ("bulk-mean", "m", 1, |b| b.mean_height_m),
    ("bulk-highest", "m", 1, |b| b.highest_m),
];

fn rows(ui: &mut Ui, told: &BulkComparison, texts: &Texts) {
    let small = |text: String| RichText::new(text).size(11.0);
    egui::Grid::new("bulk").num_columns(4).spacing([8.0, 2.0]).show(ui, |ui| {
        for key in ["", "bulk-left", "bulk-right", "bulk-difference"] {
            let head = if key.is_empty() { String::new() } else { texts.get(key) };
            ui.label(small(head).color(MUTED));
        }
        ui.end_row();
        for (key, unit, digits, figure) in &FIGURES {
            let name = texts.get(key);
            ui.label(small(if unit.is_empty() { name } else { format!("{name} {unit}") }).color(MUTED));
            for side in [&told.this, &told.other] {
                ui.label(small(figure_text(figure(side), *digits, texts.is_chinese())).color(TEXT));
            }
            let more = figure(&told.difference);
            let sign = if more > 0.0 { "+" } else { "" };
            ui.label(small(format!("{sign}{}", figure_text(more, *digits, texts.is_chinese()))).color(TEXT));
            ui.end_row();
        }
    });
    let assumed = told.this.storeys_assumed.max(told.other.storeys_assumed);
    let boxed = told.this.boxed.max(told.other.boxed);
    for (key, count) in [("bulk-assumed", assumed), ("bulk-boxed", boxed)] {
        if count > 0 {
            ui.label(RichText::new(texts.with(key, "count", count)).size(10.5).color(MUTED));
        }
    }
}

/// A number in few characters: with spaces between thousands, and beyond ten millions in millions (in 万 where Chinese is shown).
fn figure_text(value: f64, digits: usize, is_chinese: bool) -> String {
    if value.abs() >= 1e7 {
        return match is_chinese {
            true => format!("{} 万", figure_text(value / 1e4, 0, true)),
            false => format!("{} M", figure_text(value / 1e6, 2, false)),
        };
    }
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("−", whole));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    let sign = if whole.bytes().chain(rest.unwrap_or("").bytes()).all(|digit| digit == b'0') { "" } else { sign };
    format!("{sign}{grouped}{}", rest.map_or(String::new(), |rest| format!(".{rest}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let text = |value: f64, digits: usize| figure_text(value, digits, false).replace('\u{202f}', " ");
        assert_eq!(text(1_234_567.4, 0), "1 234 567");
        assert_eq!(text(-12_345.0, 0), "−12 345");
        assert_eq!((text(-0.01, 1), text(29.46, 1), text(0.0, 0)), ("0.0".into(), "29.5".into(), "0".into()));
        assert_eq!(text(-48_200_000.0, 0), "−48.20 M");
        assert_eq!(figure_text(-48_204_000.0, 0, true).replace('\u{202f}', " "), "−4 820 万");
    }
}
