//! Panels of what a person does in the window: the bar of tools, what is measured and written, bookmarks, the help.

use bevy_egui::egui::{
    self, Align2, Color32, CornerRadius, Id, Key, Pos2, Rect, RichText, ScrollArea, Stroke, StrokeKind, TextEdit, Ui,
    pos2, vec2,
};

use crate::{
    desk::{Desk, Notes, Tool},
    key::{self, Action},
    measure::MeasureKind,
    overlay::{OverlayState, shortened},
    panel::{EDGE, PADDING, Seen, area, framed},
    profile::Profile,
    shelf::{Shelf, ShelfWish},
    text::Texts,
    theme::{self, ACCENT, MUTED, TEXT},
};

/// How long something is told, seconds.
const TELL_S: f32 = 6.0;
/// Measurements and annotations that are seen at once, points of height.
const LIST_HEIGHT: f32 = 260.0;

/// Least width of the bar of tools beside the title, points: with less it is below it.
const LEAST_WIDTH: f32 = 320.0;

/// Where the bar of tools stands and how wide it may be: in the middle, or beside the title or below it where that is in the way.
fn tools_place(seen: &Seen<'_>, title: Rect, width: f32) -> (Pos2, Align2, f32) {
    let screen = seen.screen;
    let (middle, beside) = (screen.center().x, title.right() + 8.0);
    let room = screen.right() - EDGE - beside;
    let top = screen.top() + EDGE;
    if middle - width * 0.5 >= beside && middle + width * 0.5 <= screen.right() - EDGE {
        (pos2(middle, top), Align2::CENTER_TOP, screen.width() - 2.0 * EDGE)
    } else if room >= LEAST_WIDTH {
        (pos2(beside, top), Align2::LEFT_TOP, room)
    } else {
        let below = pos2(screen.left() + EDGE, title.bottom() + 8.0);
        (below, Align2::LEFT_TOP, screen.width() - 2.0 * EDGE)
    }
}

/// The bar of tools at the top, with what the tool in hand wants below it; says what was asked for.
pub fn tools(
    ctx: &egui::Context,
    desk: &Desk,
    shelf: &Shelf,
    (is_timeline_open, is_sun_open): (bool, bool),
    (seen, title): (&Seen<'_>, Rect),
    texts: &Texts,
    asked: &mut Vec<Action>,
) -> Rect {
    // As wide as it was when all of it stood in one line, which is not known before it has.
    let id = Id::new("tools-width");
    let width = ctx.data(|data| data.get_temp(id)).unwrap_or(f32::INFINITY);
    let (at, pivot, most) = tools_place(seen, title, width);
    framed(ctx, area("tools", at, pivot), |ui| {
        ui.set_max_width(most - 2.0 * PADDING);
        let line = |ui: &mut Ui| {
            let is_measuring = matches!(desk.tool, Some(Tool::Measure(_)));
            let title = match desk.tool {
                Some(Tool::Measure(kind)) => texts.get(kind.text_key()),
                _ => texts.get("tool-measure"),
            };
            let text = RichText::new(title).size(12.5).color(if is_measuring { ACCENT } else { TEXT });
            ui.menu_button(text, |ui| {
                for kind in MeasureKind::ALL {
                    let is_chosen = desk.tool == Some(Tool::Measure(kind));
                    if ui.selectable_label(is_chosen, RichText::new(texts.get(kind.text_key())).size(12.5)).clicked() {
                        asked.push(Action::Measure(kind));
                        ui.close();
                    }
                }
            });
            let mut button = |ui: &mut Ui, is_on: bool, key: &str, action: Action| {
                if ui.selectable_label(is_on, RichText::new(texts.get(key)).size(12.5)).clicked() {
                    asked.push(action);
                }
            };
            button(ui, desk.tool == Some(Tool::Annotate), "tool-annotate", Action::Annotate);
            button(ui, desk.is_list_open, "tool-list", Action::Notes);
            ui.separator();
            button(ui, shelf.is_open, "tool-bookmarks", Action::Bookmarks);
            button(ui, false, "tool-copy", Action::CopyView);
            button(ui, false, "tool-paste", Action::PasteView);
            ui.separator();
            button(ui, is_timeline_open, "timeline", Action::Timeline);
            button(ui, is_sun_open, "sunlight", Action::Sunlight);
            ui.separator();
            button(ui, false, "tool-find", Action::Palette);
        };
        let line = ui.horizontal_wrapped(line).response.rect;
        if line.height() < 1.9 * ui.spacing().interact_size.y {
            ctx.data_mut(|data| data.insert_temp(id, line.width() + 2.0 * PADDING));
        }
        if let Some(hint) = hint(desk, shelf) {
            ui.label(RichText::new(texts.get(hint)).size(11.5).color(MUTED));
        }
    })
}

/// What the hands may do next.
fn hint(desk: &Desk, shelf: &Shelf) -> Option<&'static str> {
    if shelf.is_playing() {
        return Some("hint-tour");
    }
    Some(match desk.tool? {
        Tool::Annotate => "hint-annotate",
        Tool::Measure(MeasureKind::Body) => "hint-body",
        Tool::Measure(MeasureKind::Depth) => "hint-depth",
        Tool::Measure(MeasureKind::Angle) => "hint-angle",
        Tool::Measure(MeasureKind::Height | MeasureKind::Slope) => "hint-two",
        Tool::Measure(_) => "hint-many",
    })
}

/// Where the annotation that is being written is typed.
pub fn writing(ctx: &egui::Context, desk: &mut Desk, seen: &Seen<'_>, texts: &Texts) {
    let Some(annotation) = &mut desk.writing else { return };
    let Some((pixel, _)) = seen.viewed.pixel(annotation.place) else { return };
    let at = pos2(pixel.x, pixel.y) / seen.point_px + vec2(14.0, 14.0);
    let (mut is_done, mut is_left) = (false, false);
    let area = egui::Area::new(Id::new("writing")).order(egui::Order::Foreground).fixed_pos(at).constrain(true);
    area.fade_in(false).show(ctx, |ui| {
        theme::panel().show(ui, |ui| {
            ui.horizontal(|ui| {
                let hint = RichText::new(texts.get("annotation-hint")).color(MUTED);
                let field =
                    TextEdit::singleline(&mut annotation.text).hint_text(hint).char_limit(200).desired_width(230.0);
                let response = ui.add(field);
                is_done = ui.input(|input| input.key_pressed(Key::Enter));
                is_left = ui.input(|input| input.key_pressed(Key::Escape));
                if !is_done && !is_left {
                    response.request_focus();
                }
                is_done |= ui.button(RichText::new(texts.get("annotation-keep")).size(12.5)).clicked();
            });
        });
    });
    if is_left {
        desk.leave();
    } else if is_done {
        desk.write_down();
    }
}

/// Everything measured and written, with a way to remove each and to set the level of volumes.
pub fn notes(ctx: &egui::Context, desk: &mut Desk, seen: &Seen<'_>, texts: &Texts, below: f32) -> Option<Rect> {
    if !desk.is_list_open {
        return None;
    }
    let mut changed = desk.notes.clone();
    let at = pos2(seen.screen.center().x, below + 8.0);
    let rect = framed(ctx, area("notes", at, Align2::CENTER_TOP), |ui| {
        ui.set_width(330.0);
        ui.label(RichText::new(texts.get("notes")).size(13.0).color(TEXT));
        if changed == Notes::default() {
            ui.label(RichText::new(texts.get("notes-none")).size(11.5).color(MUTED));
        }
        ScrollArea::vertical().max_height(LIST_HEIGHT).show(ui, |ui| list(ui, desk, &mut changed, seen, texts));
    });
    if changed != desk.notes {
        desk.change(|notes| *notes = changed);
    }
    Some(rect)
}

fn list(ui: &mut Ui, desk: &Desk, changed: &mut Notes, seen: &Seen<'_>, texts: &Texts) {
    let mut removed = None;
    for (index, measurement) in changed.measurements.iter_mut().enumerate() {
        ui.horizontal(|ui| {
            if ui.small_button("×").clicked() {
                removed = Some(index);
            }
            let body = measurement.object.as_ref().and_then(|id| desk.bodies.get(id));
            let figures = measurement.figures(|place| seen.city.ground.height_at(place), body);
            let (key, value) = match &figures {
                Ok(figures) => figures.first().map_or(("", String::new()), |figure| (figure.key, figure.text())),
                Err(reason) => (measurement.kind.text_key(), texts.get(reason)),
            };
            ui.label(RichText::new(texts.get(key)).size(12.0).color(MUTED));
            ui.label(RichText::new(value).size(12.5).color(TEXT));
            if measurement.kind == MeasureKind::Volume {
                let mut level = measurement.level();
                let drag = egui::DragValue::new(&mut level)
                    .speed(0.05)
                    .max_decimals(2)
                    .prefix(texts.get("level-prefix") + " ")
                    .suffix(" m");
                if ui.add(drag).changed() {
                    measurement.level_m = Some(level.clamp(-1e5, 1e5));
                }
            }
        });
    }
    if let Some(index) = removed {
        changed.measurements.remove(index);
    }
    let mut removed = None;
    for (index, annotation) in changed.annotations.iter().enumerate() {
        ui.horizontal(|ui| {
            if ui.small_button("×").clicked() {
                removed = Some(index);
            }
            ui.label(RichText::new(texts.get("tool-annotate")).size(12.0).color(MUTED));
            ui.label(RichText::new(shortened(&annotation.text, 22)).size(12.5).color(TEXT));
        });
    }
    if let Some(index) = removed {
        changed.annotations.remove(index);
    }
}

/// Bookmarks and tours.
pub fn bookmarks(ctx: &egui::Context, shelf: &mut Shelf, seen: &Seen<'_>, texts: &Texts, top: f32) -> Option<Rect> {
    if !shelf.is_open {
        return None;
    }
    let mut wish = None;
    let at = pos2(seen.screen.right() - EDGE, top);
    let rect = framed(ctx, area("bookmarks", at, Align2::RIGHT_TOP), |ui| {
        ui.set_width(250.0);
        ui.label(RichText::new(texts.get("bookmarks")).size(13.0).color(TEXT));
        ui.horizontal(|ui| {
            let hint = RichText::new(texts.get("bookmark-hint")).color(MUTED);
            let field =
                ui.add(TextEdit::singleline(&mut shelf.name).hint_text(hint).char_limit(80).desired_width(170.0));
            let is_entered = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
            if (ui.button(RichText::new(texts.get("bookmark-keep")).size(12.0)).clicked() || is_entered)
                && !shelf.name.trim().is_empty()
            {
                wish = Some(ShelfWish::Keep(shelf.name.trim().to_owned()));
            }
        });
        ScrollArea::vertical().max_height((seen.screen.height() - top - 220.0).max(100.0)).show(ui, |ui| {
            for bookmark in shelf.bookmarks.list() {
                row(ui, &bookmark.name, &mut wish, ShelfWish::Go, Some(ShelfWish::Remove));
            }
        });
        wish = crate::tour_panel::show(ui, shelf, texts).or(wish.take());
    });
    shelf.wish = wish.or(shelf.wish.take());
    Some(rect)
}

fn row(
    ui: &mut Ui,
    name: &str,
    wish: &mut Option<ShelfWish>,
    go: fn(String) -> ShelfWish,
    remove: Option<fn(String) -> ShelfWish>,
) {
    ui.horizontal(|ui| {
        if ui.selectable_label(false, RichText::new(shortened(name, 24)).size(12.5).color(TEXT)).clicked() {
            *wish = Some(go(name.to_owned()));
        }
        if let Some(remove) = remove {
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if ui.small_button("×").clicked() {
                    *wish = Some(remove(name.to_owned()));
                }
            });
        }
    });
}

/// What was just done, or why not.
pub fn message(ctx: &egui::Context, desk: &mut Desk, seen: &Seen<'_>) {
    let Some((text, since)) = &desk.message else { return };
    let age = since.elapsed().as_secs_f32();
    if age > TELL_S {
        desk.message = None;
        return;
    }
    ctx.request_repaint_after(std::time::Duration::from_millis(250));
    let at = pos2(seen.screen.center().x, seen.screen.bottom() - 52.0);
    framed(ctx, area("message", at, Align2::CENTER_BOTTOM), |ui| {
        ui.set_max_width(620.0);
        ui.label(RichText::new(shortened(text, 220)).size(13.0).color(TEXT));
    });
}

/// What the hands and keys can do: the table of keys, as it is handled.
pub fn help(ctx: &egui::Context, state: &mut OverlayState, profile: Profile, seen: &Seen<'_>) {
    if !state.is_help_open {
        return;
    }
    let texts = &state.texts;
    let mut is_closed = false;
    let area =
        egui::Area::new(Id::new("help")).order(egui::Order::Foreground).anchor(Align2::CENTER_CENTER, vec2(0.0, 0.0));
    area.fade_in(false).show(ctx, |ui| {
        theme::sheet().show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.label(RichText::new(texts.get("help")).size(15.0).color(TEXT));
                ui.add_space(10.0);
                is_closed = ui.small_button("×").on_hover_text(texts.get("close")).clicked();
            });
            ui.add_space(4.0);
            let mouse = profile.gestures().iter().map(|(gesture, does)| (texts.get(gesture), *does));
            let rows: Vec<(String, &str)> = mouse.chain(key::help()).collect();
            let room = seen.screen.height() - 140.0;
            ScrollArea::vertical().max_height(room).min_scrolled_height(room).show(ui, |ui| {
                ui.horizontal_top(|ui| {
                    for (index, column) in rows.chunks(rows.len().div_ceil(2)).enumerate() {
                        if index > 0 {
                            ui.add_space(26.0);
                        }
                        egui::Grid::new(("help", index)).num_columns(2).spacing([14.0, 6.0]).show(ui, |ui| {
                            for (keys, does) in column {
                                key_cap(ui, keys);
                                ui.label(RichText::new(texts.get(does)).size(12.5).color(TEXT));
                                ui.end_row();
                            }
                        });
                    }
                });
            });
        });
    });
    state.is_help_open &= !is_closed;
}

/// A key as it looks.
fn key_cap(ui: &mut Ui, keys: &str) {
    let galley = ui.painter().layout_no_wrap(keys.to_owned(), theme::font(11.5), ACCENT.into());
    let (rect, _) = ui.allocate_exact_size(galley.size() + vec2(12.0, 5.0), egui::Sense::hover());
    ui.painter().rect_filled(rect, CornerRadius::same(4), Color32::from_white_alpha(14));
    ui.painter().rect_stroke(
        rect,
        CornerRadius::same(4),
        Stroke::new(1.0, Color32::from_white_alpha(34)),
        StrokeKind::Inside,
    );
    ui.painter().galley(rect.min + vec2(6.0, 2.5), galley, ACCENT.into());
}

#[cfg(test)]
mod tests {
    use groundline_engine::tile::Ground;

    use super::*;
    use crate::{city::CityModel, options::SceneOptions};

    /// What is written on the screen by `draw`, after a pass in which sizes settle.
    fn written(draw: impl Fn(&egui::Context, &Seen<'_>)) -> String {
        let city = CityModel::of_layers("none", Vec::new(), Ground::default(), Vec::new());
        crate::panel::seen_from_above(&city, egui::vec2(1280.0, 720.0), |seen| {
            let ctx = egui::Context::default();
            theme::apply(&ctx);
            let mut texts = String::new();
            for _ in 0..3 {
                ctx.begin_pass(egui::RawInput { screen_rect: Some(seen.screen), ..Default::default() });
                draw(&ctx, seen);
                texts.clear();
                let mut output = ctx.end_pass();
                output.textures_delta.clear();
                for shape in output.shapes {
                    collect(&shape.shape, &mut texts);
                }
            }
            texts
        })
    }

    fn collect(shape: &egui::Shape, texts: &mut String) {
        match shape {
            egui::Shape::Text(text) => {
                texts.push_str(text.galley.text());
                texts.push('|');
            }
            egui::Shape::Vec(shapes) => shapes.iter().for_each(|shape| collect(shape, texts)),
            _ => {}
        }
    }

    #[test]
    fn the_help_says_every_key() {
        let city = CityModel::of_layers("none", Vec::new(), Ground::default(), Vec::new());
        let help_in = |language| {
            written(|ctx, seen| {
                let mut state = OverlayState::new(&city, &SceneOptions { language, ..SceneOptions::default() });
                state.is_help_open = true;
                help(ctx, &mut state, Profile::Earth, seen);
            })
        };
        for (language, word) in [(crate::Language::Zh, "量测长度"), (crate::Language::En, "Measure length")] {
            let help = help_in(language);
            for (keys, _) in key::help() {
                assert!(help.contains(&format!("{keys}|")), "{keys}");
            }
            assert!(help.contains(word), "{help}");
        }
    }

    #[test]
    fn measurements_are_drawn_and_listed_with_their_figures() {
        let at = |x: f64, y: f64| glam::DVec3::new(x, y, 0.0);
        let measurement = |kind, points| crate::measure::Measurement { kind, points, level_m: None, object: None };
        let scene = SceneOptions {
            measurements: vec![
                measurement(MeasureKind::Length, vec![at(-9.0, 5.0), at(-5.0, 5.0), at(-5.0, 8.0)]),
                measurement(MeasureKind::Area, vec![at(1.0, 1.0), at(6.0, 1.0), at(6.0, 5.0), at(1.0, 5.0)]),
            ],
            annotations: vec![crate::annotation::Annotation { text: "消防通道".into(), place: at(-8.0, -6.0) }],
            ..SceneOptions::default()
        };
        let texts = Texts::new(crate::Language::Zh);
        let drawn = written(|ctx, seen| {
            crate::mark::draw(ctx, &Desk::of(&scene), seen, &texts, &[]);
        });
        for text in ["7.000 m|", "4.000 m|", "3.000 m|", "20.00 m²|", "周长|", "消防通道|"] {
            assert!(drawn.contains(text), "{text} in {drawn}");
        }
        let listed = written(|ctx, seen| {
            let mut desk = Desk::of(&scene);
            desk.is_list_open = true;
            notes(ctx, &mut desk, seen, &texts, 60.0);
        });
        assert!(listed.contains("7.000 m|") && listed.contains("消防通道|"), "{listed}");
    }
}
