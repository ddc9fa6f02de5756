//! The panel of a picked object: what it is, every attribute, and who says so.

use bevy_egui::egui::{self, Color32, CornerRadius, Margin, RichText, Stroke, Ui};
use groundline_engine::model::{CityObject, Class, Geometry, Origin};

use crate::{
    key::Action,
    lookup::Lookup,
    options::Language,
    text::Texts,
    theme::{self, ASSUMED, MUTED, QUIET, TEXT},
};

/// Longest key and value in the panel, characters; the whole stands beside the mouse.
const MOST_KEY: usize = 28;
const MOST_VALUE: usize = 32;

/// An object that was clicked on.
#[derive(Debug)]
pub struct Picked {
    /// Its id.
    pub id: String,
    /// Class word, as the tile has it.
    pub class: String,
    /// Name, as the tile has it; empty when unnamed.
    pub name: String,
    /// Layer it is in.
    pub layer: String,
    /// Place that was clicked on, in the city's frame.
    pub place: glam::DVec3,
    /// Size of what was highlighted, metres.
    pub size_m: f64,
    /// The object as the store has it, once it has been read.
    pub object: Lookup,
}

/// The name people know an attribute by.
fn key_text(key: &str, texts: &Texts) -> String {
    texts.maybe(&format!("key-{key}")).unwrap_or_else(|| key.to_owned())
}

/// The mark of where a value came from: short word, colour, the whole story.
fn origin_mark(origin: &Origin, field: &str, texts: &Texts) -> (String, Color32, String) {
    match origin {
        Origin::Read => {
            (texts.get("origin-read"), QUIET.into(), texts.with("origin-read-long", "field", field.to_owned()))
        }
        Origin::Converted(rule) => (
            texts.get("origin-converted"),
            Color32::from_rgb(120, 190, 150),
            texts.with_all("origin-converted-long", [("field", field.to_owned()), ("rule", rule.to_string())]),
        ),
        Origin::Measured(rule) => (
            texts.get("origin-measured"),
            Color32::from_rgb(150, 170, 220),
            texts.with("origin-measured-long", "rule", rule.to_string()),
        ),
        Origin::Defaulted(rule) => (
            texts.get("origin-defaulted"),
            ASSUMED.into(),
            texts.with("origin-defaulted-long", "rule", rule.to_string()),
        ),
    }
}

fn row(ui: &mut Ui, key: &str, value: &str, colour: Color32) {
    ui.label(RichText::new(key).size(11.5).color(MUTED));
    ui.label(RichText::new(value).size(12.5).color(colour));
    ui.label("");
    ui.end_row();
}

/// Draws the panel; says whether the person closed it.
pub fn show(ui: &mut Ui, picked: &Picked, texts: &Texts, height: f32) -> bool {
    let mut is_closed = false;
    let is_chinese = texts.language == Language::Zh;
    let class = |object: &CityObject| if is_chinese { object.class.zh() } else { object.class.word() };
    ui.horizontal(|ui| {
        let name = if picked.name.is_empty() { &picked.id } else { &picked.name };
        ui.label(RichText::new(crate::overlay::shortened(name, 26)).size(15.0).color(TEXT));
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            is_closed = ui.small_button("×").on_hover_text(texts.get("close")).clicked();
        });
    });
    let object = match &picked.object {
        Lookup::Here(Ok(Some(object))) => Some(object),
        Lookup::Waiting(_) => {
            ui.label(RichText::new(texts.get("attr-reading")).size(11.5).color(MUTED));
            None
        }
        Lookup::Here(Ok(None)) => {
            ui.label(RichText::new(texts.get("attr-unknown")).size(11.5).color(MUTED));
            None
        }
        Lookup::Here(Err(reason)) => {
            let text = texts.with("attr-error", "reason", reason.clone());
            ui.label(RichText::new(text).size(11.5).color(ASSUMED));
            None
        }
    };
    egui::ScrollArea::vertical().max_height(height).show(ui, |ui| {
        egui::Grid::new("attributes-grid").num_columns(3).spacing([10.0, 4.0]).show(ui, |ui| {
            let class_text = object.map_or(picked.class.as_str(), |object| class(object));
            row(ui, &texts.get("attr-class"), class_text, TEXT.into());
            row(ui, &texts.get("attr-id"), &picked.id, TEXT.into());
            row(ui, &texts.get("attr-layer"), &picked.layer, TEXT.into());
            let Some(object) = object else { return };
            let stage = if is_chinese { object.stage.zh() } else { object.stage.word() };
            let domain = if is_chinese { object.domain.zh() } else { object.domain.word() };
            row(ui, &texts.get("attr-stage"), stage, TEXT.into());
            row(ui, &texts.get("attr-domain"), domain, TEXT.into());
            if object.record > 0 {
                row(ui, &texts.get("attr-record"), &object.record.to_string(), TEXT.into());
            }
            for attribute in &object.attributes {
                let (word, colour, story) = origin_mark(&attribute.origin, &attribute.field, texts);
                let is_assumed = matches!(attribute.origin, Origin::Defaulted(_));
                let (key, value) = (key_text(&attribute.key, texts), attribute.value.to_string());
                let label = |text: &str, most| RichText::new(crate::overlay::shortened(text, most));
                ui.label(label(&key, MOST_KEY).size(11.5).color(MUTED)).on_hover_text(&key);
                let story = if value.chars().count() > MOST_VALUE { format!("{value}\n{story}") } else { story };
                let value = label(&value, MOST_VALUE).size(12.5);
                let value = if is_assumed { value.color(ASSUMED).italics() } else { value.color(TEXT) };
                ui.label(value).on_hover_text(&story);
                egui::Frame::new()
                    .stroke(Stroke::new(1.0, colour))
                    .fill(if is_assumed { ASSUMED.gamma_multiply(0.25) } else { Color32::TRANSPARENT })
                    .corner_radius(CornerRadius::same(3))
                    .inner_margin(Margin::symmetric(4, 0))
                    .show(ui, |ui| ui.label(RichText::new(word).size(9.5).color(colour)).on_hover_text(&story));
                ui.end_row();
            }
        });
        if object.is_some_and(|object| object.attributes.is_empty()) {
            ui.label(RichText::new(texts.get("attr-none")).size(11.5).color(MUTED));
        }
    });
    if object.is_some_and(|object| !object.attributes.is_empty()) {
        ui.label(RichText::new(texts.get("provenance-legend")).size(9.5).color(theme::MUTED));
    }
    is_closed
}

/// Buttons for what can be done with the object.
pub fn actions(ui: &mut Ui, picked: &Picked, texts: &Texts, asked: &mut Vec<Action>) {
    let Lookup::Here(Ok(Some(object))) = &picked.object else { return };
    ui.horizontal_wrapped(|ui| {
        let mut button = |key: &str, action: Action| {
            if ui.button(RichText::new(texts.get(key)).size(12.0)).clicked() {
                asked.push(action);
            }
        };
        if matches!(object.geometry, Geometry::Tube(_)) {
            button("act-trench", Action::TrenchAlong);
        }
        button("act-hide", Action::Hide);
        button("act-isolate", Action::Isolate);
        button("act-ghosts", Action::Ghosts);
        if matches!(object.class, Class::Building | Class::Storey | Class::Space | Class::BuildingElement) {
            button("act-fan", Action::FanStoreys);
            button("act-storey", Action::OneStorey);
            button("act-eye", Action::EyeSection);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assumed_value_is_marked_in_its_own_colour() {
        let texts = Texts::new(Language::Zh);
        let (word, colour, story) = origin_mark(&Origin::Defaulted("层数 × 3 m".into()), "", &texts);
        assert_eq!((word.as_str(), colour), ("缺省", Color32::from(ASSUMED)));
        assert!(story.contains("层数 × 3 m"));
        let (_, read, story) = origin_mark(&Origin::Read, "HEIGHT", &texts);
        assert!(read != ASSUMED.into() && story.contains("HEIGHT"));
    }

    #[test]
    fn standard_keys_have_names_and_others_stay() {
        assert_eq!(key_text("diameter_mm", &Texts::new(Language::En)), "Diameter (mm)");
        assert_eq!(key_text("GJ", &Texts::new(Language::En)), "GJ");
    }
}
