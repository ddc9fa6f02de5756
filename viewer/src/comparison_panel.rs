//! The divider of a comparison, what is written on its sides, and the panel of the other look.

use bevy::prelude::MessageReader;
use bevy_egui::egui::{
    self, Align2, Color32, CursorIcon, Id, Order, Pos2, Rect, RichText, Sense, Shape, Stroke, Ui, pos2, vec2,
};
use groundline_engine::model::Stage;

use crate::{
    city::CityModel,
    colouring::Colouring,
    comparison::{Compared, Manner, STEP, first_other, look_text, rounded},
    cut::Cuts,
    field::question_title,
    key::Action,
    options::SceneOptions,
    overlay::shortened,
    panel::{EDGE, Seen, area, framed},
    peel::Peel,
    style::{Drawing, Style},
    sun::Moment,
    text::Texts,
    theme::{self, MUTED, TEXT},
    validity::ValidTime,
    view_state::{Showing, exactly, shown_layers},
};

/// Radius of the handle, points.
const HANDLE: f32 = 14.0;
/// Half of the strip by which the divider is taken hold of, points.
const GRIP: f32 = 6.0;
/// Points of height that the list of layers takes.
const LIST_HEIGHT: f32 = 190.0;
/// Names of layers that a caption says; more are counted.
const MOST_NAMES: usize = 2;

/// Draws the divider; where it has been dragged to.
pub fn divide(ctx: &egui::Context, manner: Manner, is_interactive: bool, seen: &Seen<'_>) -> Manner {
    let screen = seen.screen;
    let Manner::Swipe(share) = manner else {
        let painter = ctx.layer_painter(egui::LayerId::background());
        painter.vline(screen.center().x, screen.y_range(), Stroke::new(3.0, Color32::from_rgb(16, 20, 24)));
        return manner;
    };
    // On a pixel, so that the line is sharp.
    let x = ((screen.left() + screen.width() * share as f32) * seen.point_px).round() / seen.point_px;
    let (mut moved, mut is_held) = (manner, false);
    if is_interactive {
        let grip = Rect::from_x_y_ranges(x - GRIP..=x + GRIP, screen.y_range());
        let handle = Rect::from_center_size(pos2(x, screen.center().y), egui::Vec2::splat(HANDLE * 2.0));
        for (name, rect) in [("divider", grip), ("divider-handle", handle)] {
            let area = egui::Area::new(Id::new(name)).order(Order::Middle).fixed_pos(rect.min).constrain(false);
            let response = area.fade_in(false).show(ctx, |ui| ui.allocate_response(rect.size(), Sense::drag())).inner;
            let response = response.on_hover_cursor(CursorIcon::ResizeHorizontal);
            is_held |= response.hovered() || response.dragged();
            if response.dragged()
                && let Some(at) = ctx.pointer_latest_pos()
            {
                let share = f64::from((at.x - screen.left()) / screen.width().max(1.0));
                moved = Manner::Swipe(rounded(share.clamp(0.0, 1.0)));
            }
        }
    }
    draw_divider(ctx, pos2(x, screen.center().y), screen, is_held);
    moved
}

fn draw_divider(ctx: &egui::Context, middle: Pos2, screen: Rect, is_held: bool) {
    let painter = ctx.layer_painter(egui::LayerId::background());
    painter.vline(middle.x, screen.y_range(), Stroke::new(4.0, Color32::from_black_alpha(90)));
    painter.vline(middle.x, screen.y_range(), Stroke::new(2.0, Color32::from_rgb(245, 247, 248)));
    painter.circle_filled(middle + vec2(0.0, 1.0), HANDLE + 1.5, Color32::from_black_alpha(80));
    let fill = if is_held { theme::dark::ACCENT } else { Color32::from_rgb(245, 247, 248) };
    painter.circle_filled(middle, HANDLE, fill);
    for side in [-1.0, 1.0] {
        let tip = middle + vec2(side * 8.5, 0.0);
        let foot = middle + vec2(side * 3.0, 0.0);
        let corners = vec![tip, foot + vec2(0.0, -5.0), foot + vec2(0.0, 5.0)];
        painter.add(Shape::convex_polygon(corners, Color32::from_rgb(28, 36, 42), Stroke::NONE));
    }
}

/// What this side shows.
pub struct This<'a> {
    /// Style, and whether below ground is shown.
    pub drawing: Drawing,
    /// Attribute that objects are coloured by.
    pub colour_by: Option<&'a str>,
    /// Which layers are shown.
    pub shown: &'a [bool],
    /// What is taken off.
    pub peel: &'a Peel,
    /// What is cut away.
    pub cuts: &'a Cuts,
    /// The day of the city that is shown.
    pub valid_at: Option<ValidTime>,
    /// The sun's time.
    pub moment: Moment,
}

/// Writes on each side what it shows that the other does not; says which boxes it took.
pub fn captions(
    ctx: &egui::Context,
    this: &This<'_>,
    compared: &Compared,
    seen: &Seen<'_>,
    texts: &Texts,
    sides: [Rect; 2],
    taken: &[Rect],
) -> Vec<Rect> {
    let names = names(this, &compared.look(), seen.city, texts);
    let mut boxes = Vec::new();
    for (number, (name, side)) in names.iter().zip(sides).enumerate() {
        let painter = ctx.layer_painter(egui::LayerId::background()).with_clip_rect(side);
        let galley = painter.layout_no_wrap(name.clone(), theme::font(14.0), theme::dark::TEXT);
        let size = galley.size() + vec2(20.0, 10.0);
        let x = match (compared.manner, number) {
            (Some(Manner::Beside), _) => side.center().x - size.x * 0.5,
            (_, 0) => side.right() - 10.0 - size.x,
            _ => side.left() + 10.0,
        };
        if size.x + 14.0 > side.width() {
            continue;
        }
        let place = |step: u8| Rect::from_min_size(pos2(x, side.top() + EDGE + f32::from(step) * 12.0), size);
        let is_free = |rect: &Rect| !taken.iter().any(|other| other.expand(4.0).intersects(*rect));
        let Some(rect) = (0..16).map(place).find(is_free) else { continue };
        painter.rect_filled(rect, 6.0, Color32::from_rgba_unmultiplied(13, 19, 25, 205));
        painter.galley(rect.center() - galley.size() * 0.5, galley, theme::dark::TEXT);
        boxes.push(rect);
    }
    boxes
}

/// What each side is called: by that in which it differs from the other.
fn names(this: &This<'_>, look: &SceneOptions, city: &CityModel, texts: &Texts) -> [String; 2] {
    let drawing = Drawing { style: look.style, is_below: look.is_below };
    let shown = shown_layers(city, &look.layers);
    let other = This {
        drawing,
        colour_by: look.colour_by.as_deref(),
        shown: &shown,
        peel: &look.peel,
        cuts: &look.cuts,
        valid_at: look.valid_at,
        moment: look.at.unwrap_or(this.moment),
    };
    [name(this, &other, city, texts), name(&other, this, city, texts)]
}

fn name(this: &This<'_>, other: &This<'_>, city: &CityModel, texts: &Texts) -> String {
    let mut parts = Vec::new();
    if this.peel.stages != other.peel.stages {
        let word = |stage: &Stage| if texts.is_chinese() { stage.zh() } else { stage.word() };
        let stages: Vec<&str> = this.peel.stages.iter().map(word).collect();
        parts.push(if stages.is_empty() { texts.get("compare-every-stage") } else { stages.join(" + ") });
    }
    if this.valid_at != other.valid_at {
        parts.push(this.valid_at.map_or_else(|| texts.get("time-now"), |at| at.to_string()));
    }
    let drawn = |drawing: Drawing| match drawing.is_below {
        true => texts.get("below-badge"),
        false => texts.get(drawing.style.text_key()),
    };
    if drawn(this.drawing) != drawn(other.drawing) {
        parts.push(drawn(this.drawing));
    }
    if let Some(key) = this.colour_by.filter(|key| Some(*key) != other.colour_by) {
        parts.push(texts.with("compare-colours", "key", question_title(key, texts)));
    }
    let only = |a: &[bool], b: &[bool]| -> Vec<&str> {
        let differing = city.layers.iter().zip(a.iter().zip(b)).filter(|(_, (a, b))| !**a && **b);
        differing.map(|(layer, _)| layer.name.as_str()).collect()
    };
    let (missing, extra) = (only(this.shown, other.shown), only(other.shown, this.shown));
    match missing.len() {
        0 if !extra.is_empty() && extra.len() <= MOST_NAMES => {
            parts.push(texts.with("compare-with", "names", extra.join(", ")));
        }
        0 => {}
        1..=MOST_NAMES => parts.push(texts.with("compare-without", "names", missing.join(", "))),
        count => parts.push(texts.with("compare-fewer", "count", count)),
    }
    if this.cuts != other.cuts && !this.cuts.is_empty() {
        parts.push(texts.get("cuts"));
    }
    let rest = |peel: &Peel| Peel { stages: Vec::new(), ..peel.clone() };
    if rest(this.peel) != rest(other.peel) && !rest(this.peel).is_empty() {
        parts.push(texts.get("peel"));
    }
    if this.moment != other.moment {
        let minutes = (this.moment.hour * 60.0).round() as i64;
        let Moment { month, day, .. } = this.moment;
        parts.push(format!("{month:02}-{day:02} {:02}:{:02}", minutes / 60, minutes % 60));
    }
    if parts.is_empty() {
        parts.push(drawn(this.drawing));
    }
    shortened(&parts.join(" · "), 40)
}

/// Draws the panel of the comparison at the height `top`.
pub fn show(
    ctx: &egui::Context,
    compared: &mut Compared,
    colouring: &Colouring,
    (seen, texts): (&Seen<'_>, &Texts),
    asked: &mut Vec<Action>,
    top: f32,
    figures: &mut dyn FnMut(&mut Ui, &SceneOptions),
) -> Rect {
    framed(ctx, area("comparison", seen.screen.left_top() + vec2(EDGE, top), Align2::LEFT_TOP), |ui| {
        ui.set_width(248.0);
        ui.label(RichText::new(texts.get("compare")).size(13.0).color(TEXT));
        ui.horizontal(|ui| {
            let share = match compared.manner {
                Some(Manner::Swipe(share)) => share,
                _ => 0.5,
            };
            let manners = [
                ("compare-swipe", Some(Manner::Swipe(share))),
                ("compare-beside", Some(Manner::Beside)),
                ("compare-off", None),
            ];
            for (key, manner) in manners {
                if ui.selectable_label(compared.manner == manner, RichText::new(texts.get(key)).size(12.5)).clicked() {
                    compared.manner = manner;
                }
            }
        });
        ui.separator();
        ui.horizontal(|ui| {
            ui.label(RichText::new(texts.get("compare-right")).size(12.0).color(TEXT));
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if ui.button(RichText::new(texts.get("compare-swap")).size(11.5)).clicked() {
                    asked.push(Action::SwapSides);
                }
            });
        });
        let mut look = compared.look();
        let before = look_text(&look);
        drawing_row(ui, &mut look, texts);
        colour_row(ui, &mut look, colouring, texts);
        stage_row(ui, &mut look.peel, texts);
        layer_rows(ui, &mut look, seen.city);
        if look_text(&look) != before {
            compared.set_look(&look);
        }
        if compared.manner.is_some() {
            figures(ui, &look);
        }
        ui.label(RichText::new(texts.get("compare-hint")).size(10.5).color(MUTED));
    })
}

fn drawing_row(ui: &mut Ui, look: &mut SceneOptions, texts: &Texts) {
    ui.horizontal(|ui| {
        let shown = RichText::new(texts.get(look.style.text_key())).size(12.5);
        egui::ComboBox::from_id_salt("other-style").selected_text(shown).width(92.0).show_ui(ui, |ui| {
            for one in Style::ALL {
                ui.selectable_value(&mut look.style, one, RichText::new(texts.get(one.text_key())).size(12.5));
            }
        });
        ui.checkbox(&mut look.is_below, RichText::new(texts.get("below-badge")).size(12.0));
    });
}

fn colour_row(ui: &mut Ui, look: &mut SceneOptions, colouring: &Colouring, texts: &Texts) {
    let wanted = look.colour_by.as_deref();
    let current = colouring.choices.iter().find(|field| Some(field.question().as_str()) == wanted);
    let shown = match (current, wanted) {
        (Some(field), _) => field.title(texts),
        (None, Some(wanted)) => wanted.to_owned(),
        (None, None) => texts.get("colours-none"),
    };
    let shown = RichText::new(shortened(&shown, 22)).size(12.5);
    let mut chosen = None;
    egui::ComboBox::from_id_salt("other-colours").selected_text(shown).width(220.0).height(260.0).show_ui(ui, |ui| {
        if ui.selectable_label(wanted.is_none(), RichText::new(texts.get("colours-none")).size(12.5)).clicked() {
            chosen = Some(None);
        }
        for field in &colouring.choices {
            let is_current = current == Some(field);
            if ui.selectable_label(is_current, RichText::new(field.title(texts)).size(12.5)).clicked() {
                chosen = Some(Some(field.question()));
            }
        }
    });
    if let Some(chosen) = chosen {
        look.colour_by = chosen;
    }
}

/// Which stages of life are shown; all of them where none is chosen.
pub fn stage_row(ui: &mut Ui, peel: &mut Peel, texts: &Texts) {
    ui.horizontal_wrapped(|ui| {
        for stage in Stage::ALL.iter().copied() {
            let name = if texts.is_chinese() { stage.zh() } else { stage.word() };
            let is_on = peel.stages.contains(&stage);
            if ui.selectable_label(is_on, RichText::new(name).size(11.5)).clicked() {
                peel.choose_stage(stage, !is_on);
            }
        }
    });
}

fn layer_rows(ui: &mut Ui, look: &mut SceneOptions, city: &CityModel) {
    let mut shown = shown_layers(city, &look.layers);
    let before = shown.clone();
    egui::ScrollArea::vertical().id_salt("other-layers").max_height(LIST_HEIGHT).show(ui, |ui| {
        for (layer, is_shown) in city.layers.iter().zip(&mut shown) {
            ui.checkbox(is_shown, RichText::new(shortened(&layer.name, 24)).size(12.0));
        }
    });
    if shown != before {
        look.layers = exactly(city, &shown);
    }
}

/// Does what keys, buttons and the palette ask of the comparison.
pub fn compare_by_hand(mut actions: MessageReader<Action>, mut showing: Showing) {
    if showing.compared.manner.is_some() && showing.compared.other.is_empty() {
        showing.compared.other = first_other(&showing.scene());
    }
    for action in actions.read() {
        let manner = showing.compared.manner;
        match action {
            Action::Compare => {
                let next = match manner {
                    None => Some(Manner::Swipe(0.5)),
                    Some(Manner::Swipe(_)) => Some(Manner::Beside),
                    Some(Manner::Beside) => None,
                };
                if manner.is_none() && showing.compared.other.is_empty() {
                    showing.compared.other = first_other(&showing.scene());
                }
                showing.state.is_comparison_open |= manner.is_none();
                showing.state.is_comparison_open &= next.is_some();
                showing.compared.manner = next;
            }
            Action::DividerLeft => showing.compared.manner = manner.map(|manner| manner.moved(-STEP)),
            Action::DividerRight => showing.compared.manner = manner.map(|manner| manner.moved(STEP)),
            Action::SwapSides if manner.is_some() => {
                let (this, mut look) = (showing.scene(), showing.compared.look());
                look.at = look.at.or(this.at);
                let other = look_text(&SceneOptions { at: None, ..this.clone() });
                // What is no look stays where it is.
                showing.apply_all_but_camera(&SceneOptions {
                    labels: this.labels,
                    selected: this.selected,
                    measurements: this.measurements,
                    annotations: this.annotations,
                    comparison: manner,
                    other,
                    ..look
                });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use groundline_engine::{
        model::Extent,
        tile::{Ground, TileTree},
    };

    use super::*;
    use crate::{
        city::LayerModel,
        options::{Language, LayerChoice},
    };

    fn layer(name: &str) -> LayerModel {
        LayerModel {
            name: name.into(),
            classes: vec![("building".into(), 1)],
            objects: 1,
            points: 0,
            rgb: [0; 3],
            tree: TileTree::from_tiles(Vec::new()).unwrap().into(),
            folder: "none".into(),
            source: None,
        }
    }

    #[test]
    fn each_side_is_named_by_what_differs() {
        let city = CityModel::of_layers("x", vec![layer("houses"), layer("plans")], Ground::default(), vec![]);
        assert!(city.extent == Extent::EMPTY || city.layers.len() == 2);
        let (peel, cuts) = (Peel::default(), Cuts::default());
        let this = This {
            drawing: Drawing::default(),
            colour_by: None,
            shown: &[true, false],
            peel: &peel,
            cuts: &cuts,
            valid_at: None,
            moment: Moment::default(),
        };
        let said = |look: SceneOptions| names(&this, &look, &city, &Texts::new(Language::En));
        let all = said(SceneOptions::default());
        assert_eq!(all, ["without plans".to_owned(), "with plans".to_owned()]);
        let same = LayerChoice { without: vec!["=plans".into()], ..LayerChoice::default() };
        let xray = SceneOptions { style: Style::Xray, layers: same.clone(), ..SceneOptions::default() };
        assert_eq!(said(xray), ["Realistic".to_owned(), "X-ray".to_owned()]);
        let mut planned = SceneOptions { layers: same.clone(), ..SceneOptions::default() };
        planned.peel.stages = vec![Stage::ALL[0]];
        assert_eq!(said(planned), ["every stage".to_owned(), Stage::ALL[0].word().to_owned()]);
        let then = SceneOptions { layers: same.clone(), ..SceneOptions::default() };
        let then = SceneOptions { valid_at: Some(ValidTime::of_day(1985, 6, 30)), ..then };
        assert_eq!(said(then), ["now".to_owned(), "1985-06-30".to_owned()]);
        let equal = SceneOptions { layers: same, ..SceneOptions::default() };
        assert_eq!(said(equal), ["Realistic".to_owned(), "Realistic".to_owned()]);
    }

    #[test]
    fn the_divider_goes_with_the_mouse_that_holds_it() {
        let city = CityModel::of_layers("x", Vec::new(), Ground::default(), vec![]);
        crate::panel::seen_from_above(&city, egui::vec2(1280.0, 720.0), |seen| {
            let ctx = egui::Context::default();
            let mut manner = Manner::Swipe(0.5);
            let mut frame = |events: Vec<egui::Event>| {
                ctx.begin_pass(egui::RawInput { screen_rect: Some(seen.screen), events, ..Default::default() });
                manner = divide(&ctx, manner, true, seen);
                ctx.end_pass().textures_delta.clear();
                manner
            };
            let to = |x: f32| vec![egui::Event::PointerMoved(pos2(x, 300.0))];
            let button = |x: f32, pressed: bool| egui::Event::PointerButton {
                pos: pos2(x, 300.0),
                button: egui::PointerButton::Primary,
                pressed,
                modifiers: egui::Modifiers::default(),
            };
            for _ in 0..3 {
                frame(to(641.0));
            }
            frame(vec![button(641.0, true)]);
            for x in [600.0, 500.0, 320.0] {
                frame(to(x));
            }
            assert_eq!(frame(vec![]), Manner::Swipe(0.25), "it is where the mouse is");
            frame(vec![button(320.0, false)]);
            assert_eq!(frame(to(900.0)), Manner::Swipe(0.25), "and stays where it was left");
        });
    }
}
