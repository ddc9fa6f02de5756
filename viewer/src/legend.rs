//! The legend (图例) of colours by attribute, and the list of attributes to choose from.

use std::sync::Arc;

use bevy_egui::egui::{self, Align2, Color32, CornerRadius, Rect, RichText, Sense, Stroke, StrokeKind, Ui, pos2, vec2};

use crate::{
    city::CityModel,
    classes::{Manner, Span},
    colouring::{Colouring, Colours, State},
    overlay::{OverlayState, shortened},
    panel::{EDGE, Seen, area, framed, grouped},
    ramp::NO_VALUE,
    text::Texts,
    theme::{ASSUMED, MUTED, TEXT},
};

/// Width of the rows, points.
const WIDTH: f32 = 206.0;

/// Draws the legend below `top`, or the list to choose from; `None` when there is neither.
pub fn show(
    ctx: &egui::Context,
    state: &OverlayState,
    colouring: &mut Colouring,
    city: &Arc<CityModel>,
    seen: &Seen<'_>,
    top: f32,
) -> Option<Rect> {
    let is_choosing = state.is_interactive && colouring.is_open;
    if colouring.wanted().is_none() && !is_choosing {
        return None;
    }
    if is_choosing {
        colouring.list_fields(city);
    }
    let texts = &state.texts;
    let mut chosen = None;
    let rect = framed(ctx, area("legend", pos2(EDGE, top), Align2::LEFT_TOP), |ui| {
        ui.set_width(WIDTH);
        if is_choosing {
            chosen = choose(ui, colouring, texts, (seen.screen.height() * 0.5).max(120.0));
        }
        match &colouring.state {
            State::Ready(colours) => rows(ui, colours, texts),
            State::Failed(reason) => {
                ui.label(RichText::new(reason).size(11.5).color(ASSUMED));
            }
            State::Reading(_) | State::Off if colouring.wanted().is_some() => {
                ui.label(RichText::new(texts.get("colours-reading")).size(11.5).color(MUTED));
            }
            State::Reading(_) | State::Off => {}
        }
    });
    if let Some(chosen) = chosen {
        colouring.ask(chosen);
    }
    Some(rect)
}

/// Draws the legend of the other side, at the right edge below `top`.
pub fn show_other(ctx: &egui::Context, colours: &Colours, seen: &Seen<'_>, texts: &Texts, top: f32) -> Rect {
    let at = pos2(seen.screen.right() - EDGE, top);
    framed(ctx, area("legend-other", at, Align2::RIGHT_TOP), |ui| {
        ui.set_width(WIDTH);
        rows(ui, colours, texts);
    })
}

/// The list of attributes; what was chosen, if anything.
fn choose(ui: &mut Ui, colouring: &Colouring, texts: &Texts, height: f32) -> Option<Option<String>> {
    let mut chosen = None;
    let wanted = colouring.wanted();
    let current = colouring.choices.iter().find(|field| Some(field.question().as_str()) == wanted);
    let shown = match (current, wanted) {
        (Some(field), _) => field.title(texts),
        (None, Some(wanted)) => wanted.to_owned(),
        (None, None) => texts.get("colours-none"),
    };
    let shown = RichText::new(shortened(&shown, 20)).size(12.5);
    egui::ComboBox::from_id_salt("colours").selected_text(shown).width(WIDTH - 12.0).height(height).show_ui(ui, |ui| {
        let none = RichText::new(texts.get("colours-none")).size(12.5);
        if ui.selectable_label(wanted.is_none(), none).clicked() {
            chosen = Some(None);
        }
        for field in &colouring.choices {
            let is_current = current == Some(field);
            if ui.selectable_label(is_current, RichText::new(field.title(texts)).size(12.5)).clicked() {
                chosen = Some(Some(field.question()));
            }
        }
    });
    chosen
}

fn rows(ui: &mut Ui, colours: &Colours, texts: &Texts) {
    ui.label(RichText::new(colours.asked.title(texts)).size(13.0).color(TEXT));
    let subject = colours.asked.subject(texts);
    if !subject.is_empty() {
        ui.label(RichText::new(subject).size(10.5).color(MUTED));
    }
    ui.add_space(2.0);
    for row in &colours.classes.rows {
        let name = match &row.span {
            Span::Word(word) => colours.asked.word(word, texts),
            span => span_text(span, texts, colours.asked.manner == Manner::Years),
        };
        one(ui, row.rgb, false, &name, row.count);
    }
    if colours.column.missing > 0 {
        one(ui, NO_VALUE, true, &texts.get("legend-missing"), colours.column.missing);
    }
    if colours.column.assumed > 0 {
        let text = texts.with("legend-assumed", "count", grouped(colours.column.assumed));
        ui.label(RichText::new(text).size(10.5).color(ASSUMED));
    }
}

/// What a class of numbers holds.
fn span_text(span: &Span, texts: &Texts, are_years: bool) -> String {
    let number = |n: f64| if are_years { format!("{n:.0}") } else { number_text(n) };
    match span {
        Span::Word(word) => word.clone(),
        Span::Below(high) => format!("< {}", number(*high)),
        Span::Between(low, high) => format!("{} – {}", number(*low), number(*high)),
        Span::From(low) => format!("≥ {}", number(*low)),
        Span::Whole(low, high) if low == high => number(*low),
        Span::Whole(low, high) => format!("{} – {}", number(*low), number(*high)),
        Span::Other(values) => texts.with("legend-other", "count", *values as i64),
    }
}

/// A limit as short as it is exact.
fn number_text(n: f64) -> String {
    format!("{}", (n * 1e6).round() / 1e6)
}

/// A row: swatch, name, number of objects.
fn one(ui: &mut Ui, rgb: [u8; 3], is_hatched: bool, name: &str, count: u64) {
    ui.horizontal(|ui| {
        let (swatch, _) = ui.allocate_exact_size(vec2(20.0, 12.0), Sense::hover());
        let [r, g, b] = rgb;
        let painter = ui.painter().with_clip_rect(swatch);
        painter.rect_filled(swatch, CornerRadius::same(2), Color32::from_rgb(r, g, b));
        if is_hatched {
            for step in 0..8 {
                let x = swatch.left() - 12.0 + step as f32 * 5.0;
                let line = [pos2(x, swatch.bottom()), pos2(x + 12.0, swatch.top())];
                painter.line_segment(line, Stroke::new(1.2, Color32::from_gray(96)));
            }
        }
        let edge = Stroke::new(0.7, Color32::from_white_alpha(60));
        ui.painter().rect_stroke(swatch, CornerRadius::same(2), edge, StrokeKind::Inside);
        ui.label(RichText::new(shortened(name, 16)).size(12.0).color(TEXT));
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            ui.label(RichText::new(grouped(count)).size(10.5).color(MUTED));
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Language;

    #[test]
    fn limits_are_written_short_and_years_without_gaps() {
        let texts = Texts::new(Language::En);
        let text = |span| span_text(&span, &texts, false);
        assert_eq!(text(Span::Below(12.0)), "< 12");
        assert_eq!(text(Span::Between(2.5, 1000.0)), "2.5 – 1000");
        assert_eq!((text(Span::From(60.0)), text(Span::Whole(6.0, 6.0))), ("≥ 60".into(), "6".into()));
        assert_eq!(span_text(&Span::Whole(1985.0, 1989.0), &texts, true), "1985 – 1989");
        assert!(text(Span::Other(4)).contains('4'));
    }
}
