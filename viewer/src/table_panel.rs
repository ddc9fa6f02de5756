//! The table of a layer at the bottom of the window, linked with the city both ways.

use std::{path::PathBuf, sync::Arc};

use bevy::prelude::Resource;
use bevy_egui::egui::{
    self, Align2, CornerRadius, EventFilter, Id, Key, Rect, RichText, Sense, Stroke, TextEdit, Ui, pos2, vec2,
};
use groundline_engine::model::Value;

use crate::{
    city::CityModel,
    field::key_title,
    options::Language,
    overlay::{OverlayState, Wish, shortened},
    panel::{EDGE, Seen, area, grouped},
    table::{FIXED, MOST_ROWS, Sorting, Table, Work, ask, free_path},
    text::Texts,
    theme::{self, ACCENT, MUTED, TEXT},
    view_string::Selection,
};

/// Height of a row, points.
const ROW: f32 = 21.0;
/// Room of the bar that scrolls, points.
const BAR: f32 = 10.0;
/// Rows that are looked at to find how wide a column is.
const MEASURED: usize = 60;

/// The table as it stands open.
#[derive(Resource, Default)]
pub struct TableDesk {
    layer: String,
    condition: String,
    /// What is being read, and what has been read.
    reading: Option<Work<(Arc<Table>, Vec<u32>)>>,
    sorting_work: Option<Work<Vec<u32>>>,
    writing: Option<Work<PathBuf>>,
    table: Option<Arc<Table>>,
    order: Vec<u32>,
    sorting: Sorting,
    trouble: Option<String>,
    /// What was asked for last: layer, condition, language.
    asked: Option<(String, String, Language)>,
    /// The first row that is seen, and how far to the right, points.
    top: f64,
    left: f32,
    widths: Vec<f32>,
    /// The picked object when it was last looked for among the rows.
    followed: Option<String>,
    /// Where the names of the columns were drawn, points from the top.
    head_y: f32,
}

impl TableDesk {
    /// Whether something is being read, sorted or written.
    fn is_busy(&self) -> bool {
        self.reading.is_some() || self.sorting_work.is_some() || self.writing.is_some()
    }

    /// Takes what has come; gives what is to be told.
    fn poll(&mut self, city: &Arc<CityModel>, texts: &Texts) -> Option<String> {
        let wanted = (self.layer.clone(), self.condition.clone(), texts.language);
        let is_other =
            self.asked.as_ref().is_none_or(|(layer, _, language)| *layer != wanted.0 || *language != wanted.2);
        if is_other {
            self.ask(city, texts);
        }
        if let Some(answer) = self.reading.as_mut().and_then(Work::take) {
            self.reading = None;
            match answer {
                Ok((table, order)) => {
                    (self.table, self.order, self.trouble) = (Some(table), order, None);
                    (self.top, self.widths, self.followed) = (0.0, Vec::new(), None);
                    self.sort();
                }
                Err(reason) => self.trouble = Some(reason),
            }
        }
        if let Some(answer) = self.sorting_work.as_mut().and_then(Work::take) {
            self.sorting_work = None;
            if let Ok(order) = answer {
                (self.order, self.followed) = (order, None);
            }
        }
        let written = self.writing.as_mut().and_then(Work::take)?;
        self.writing = None;
        Some(match written {
            Ok(path) => texts.with("table-written", "path", path.display()),
            Err(reason) => texts.with("table-not-written", "reason", reason),
        })
    }

    fn ask(&mut self, city: &Arc<CityModel>, texts: &Texts) {
        if self.asked.as_ref().is_none_or(|(layer, ..)| *layer != self.layer) {
            (self.table, self.sorting, self.left) = (None, None, 0.0);
        }
        self.asked = Some((self.layer.clone(), self.condition.clone(), texts.language));
        self.sorting_work = None;
        self.reading = Some(ask(city, &self.layer, &self.condition, texts.language));
    }

    /// Sorts as is wanted, on a thread of its own.
    fn sort(&mut self) {
        let Some(table) = self.table.clone() else { return };
        if self.sorting.is_some() || !self.order.is_sorted() {
            let sorting = self.sorting;
            self.sorting_work = Some(Work::start(move || Ok(table.order(sorting))));
        }
    }

    /// The row that is `step` rows below the picked one, as it is sorted; the first where nothing is picked.
    fn beside(&self, picked: Option<&str>, step: i64) -> Option<u32> {
        let table = self.table.as_ref()?;
        let at = picked.and_then(|id| table.row_of(id)).and_then(|row| self.order.iter().position(|one| *one == row));
        let last = self.order.len().checked_sub(1)?;
        let to = at.map_or(0, |at| (at as i64 + step).clamp(0, last as i64) as usize);
        self.order.get(to).copied()
    }

    /// Brings the picked object's row into sight, once for each that is picked.
    fn follow(&mut self, picked: Option<&str>, rows_seen: f64) {
        if self.followed.as_deref() == picked {
            return;
        }
        self.followed = picked.map(str::to_owned);
        let Some(row) = picked.and_then(|id| self.table.as_ref()?.row_of(id)) else { return };
        let Some(at) = self.order.iter().position(|one| *one == row) else { return };
        let at = at as f64;
        if at < self.top || at + 1.0 > self.top + rows_seen {
            self.top = at - (rows_seen * 0.4).floor();
        }
    }
}

/// The panel; gives where it lies.
pub fn show(
    ctx: &egui::Context,
    desk: &mut TableDesk,
    city: &Arc<CityModel>,
    state: &mut OverlayState,
    seen: &Seen<'_>,
) -> Option<(Rect, Option<String>)> {
    if !state.is_table_open {
        return None;
    }
    if desk.layer.is_empty() {
        let picked = state.picked.as_ref().map(|picked| picked.layer.clone()).filter(|layer| !layer.is_empty());
        let largest = city.layers.iter().filter(|layer| layer.points == 0).max_by_key(|layer| layer.objects);
        desk.layer = picked.or_else(|| largest.map(|layer| layer.name.clone())).unwrap_or_default();
    }
    let told = desk.poll(city, &state.texts);
    if desk.is_busy() {
        ctx.request_repaint_after(std::time::Duration::from_millis(60));
    }
    // No higher than its rows want it.
    let rows = desk.table.as_ref().map_or(8, |table| table.rows().clamp(3, 1000)) as f32;
    let height = (seen.screen.height() * 0.34).clamp(150.0, 420.0).min(2.0 * ROW + 26.0 + BAR + rows * ROW);
    let width = seen.screen.width() - 2.0 * EDGE;
    let at = pos2(seen.screen.left() + EDGE, seen.screen.bottom() - 78.0);
    let shown = area("table", at, Align2::LEFT_BOTTOM).order(egui::Order::Middle).show(ctx, |ui| {
        // Nothing shines through what is read line by line.
        let frame = theme::sheet().show(ui, |ui| {
            ui.set_width(width - 28.0);
            ui.set_height(height);
            state.is_table_open = head(ui, desk, city, &state.texts);
            let room = Rect::from_min_max(ui.cursor().min, ui.max_rect().right_bottom());
            body(ui, room, desk, state);
        });
        frame.response.rect
    });
    let rect = shown.inner;
    Some((rect, told))
}

/// Layer, condition, count, export; says whether the table stays open.
fn head(ui: &mut Ui, desk: &mut TableDesk, city: &Arc<CityModel>, texts: &Texts) -> bool {
    let mut is_open = true;
    ui.horizontal(|ui| {
        egui::ComboBox::from_id_salt("table-layer")
            .selected_text(RichText::new(shortened(&desk.layer, 20)).size(12.5))
            .width(150.0)
            .show_ui(ui, |ui| {
                for layer in city.layers.iter().filter(|layer| layer.objects > 0) {
                    let name = RichText::new(&layer.name).size(12.5);
                    ui.selectable_value(&mut desk.layer, layer.name.clone(), name);
                }
            });
        let hint = RichText::new(texts.get("table-filter-hint")).color(MUTED);
        let room = (ui.available_width() - 330.0).clamp(140.0, 520.0);
        let field =
            ui.add(TextEdit::singleline(&mut desk.condition).hint_text(hint).char_limit(2000).desired_width(room));
        let is_entered = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        if ui.button(RichText::new(texts.get("table-filter")).size(12.5)).clicked() || is_entered {
            desk.ask(city, texts);
        }
        let count = match &desk.table {
            _ if desk.reading.is_some() => texts.get("table-reading"),
            Some(table) if table.is_cut => texts.with("table-more", "count", grouped(MOST_ROWS as u64)),
            Some(table) => texts.with("objects", "count", grouped(table.rows() as u64)),
            None => String::new(),
        };
        ui.label(RichText::new(count).size(11.5).color(MUTED));
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            is_open = !ui.small_button("×").on_hover_text(texts.get("close")).clicked();
            let export = ui.button(RichText::new("CSV").size(12.5)).on_hover_text(texts.get("table-export"));
            if let Some(table) = desk.table.clone()
                && export.clicked()
                && desk.writing.is_none()
            {
                let (order, name) = (desk.order.clone(), city.name.clone());
                desk.writing = Some(Work::start(move || {
                    let path = free_path(&folder_of_exports(), &name, &table.layer);
                    table.write_csv(&order, &path).map_err(|error| format!("{}: {error}", path.display()))?;
                    Ok(path)
                }));
            }
        });
    });
    if let Some(trouble) = &desk.trouble {
        ui.label(RichText::new(shortened(trouble, 160)).size(11.5).color(theme::ASSUMED));
    }
    is_open
}

/// Where files for a person go: their downloads, else where the program was started.
fn folder_of_exports() -> PathBuf {
    let home = std::env::var_os("HOME").or_else(|| std::env::var_os("USERPROFILE")).map(PathBuf::from);
    let downloads = home.map(|home| home.join("Downloads")).filter(|folder| folder.is_dir());
    downloads.or_else(|| std::env::current_dir().ok()).unwrap_or_default()
}

/// The name of a column.
fn title(key: &str, texts: &Texts) -> String {
    match key {
        "id" => texts.get("attr-id"),
        "name" => texts.get("table-name"),
        "class" => texts.get("attr-class"),
        "stage" => texts.get("attr-stage"),
        key => key_title(key, texts),
    }
}

/// A value as a cell shows it.
fn cell_text(value: &Value) -> String {
    match value {
        Value::Real(real) => {
            let text = format!("{real:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        value => shortened(&value.to_string(), 60),
    }
}

/// How wide each column is, points.
fn widths(ui: &Ui, table: &Table, order: &[u32], texts: &Texts) -> Vec<f32> {
    let width = |text: String, size: f32| ui.painter().layout_no_wrap(text, theme::font(size), TEXT.into()).size().x;
    let columns = table.columns.iter().map(|column| {
        let cells = order.iter().take(MEASURED).filter_map(|row| column.value(*row));
        let widest = cells.map(|value| width(cell_text(value), 12.0)).fold(0.0, f32::max);
        (widest.max(width(title(&column.key, texts), 11.5) + 14.0) + 18.0).clamp(56.0, 260.0)
    });
    columns.collect()
}

/// The rows that are seen, and the way to the others.
fn body(ui: &mut Ui, room: Rect, desk: &mut TableDesk, state: &mut OverlayState) {
    let Some(table) = desk.table.clone() else { return };
    if desk.widths.len() != table.columns.len() {
        desk.widths = widths(ui, &table, &desk.order, &state.texts);
    }
    let header = Rect::from_min_size(room.min, vec2(room.width() - BAR, ROW));
    let cells = Rect::from_min_max(header.left_bottom(), pos2(header.right(), room.bottom() - BAR));
    desk.head_y = header.center().y;
    let rows_seen = f64::from(cells.height() / ROW);
    let id = Id::new("table-cells");
    let response = ui.interact(cells, id, Sense::click());
    let picked = state.picked.as_ref().map(|picked| picked.id.clone());
    desk.follow(picked.as_deref(), rows_seen);
    let mut to_fly = None;
    if response.has_focus() {
        let filter = EventFilter { vertical_arrows: true, ..EventFilter::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(id, filter));
        let page = rows_seen as i64 - 1;
        let keys = [(Key::ArrowDown, 1), (Key::ArrowUp, -1), (Key::PageDown, page), (Key::PageUp, -page)];
        let ends = [(Key::Home, i64::MIN / 2), (Key::End, i64::MAX / 2)];
        let pressed = |(key, _): &(Key, i64)| ui.input(|input| input.key_pressed(*key));
        if let Some((_, step)) = keys.into_iter().chain(ends).find(pressed)
            && let Some(row) = desk.beside(picked.as_deref(), step)
        {
            choose(state, &table, row);
            desk.follow(table.id(row), rows_seen);
        }
        if ui.input(|input| input.key_pressed(Key::Enter)) {
            to_fly = picked.as_deref().and_then(|id| table.row_of(id));
        }
    }
    let total: f32 = desk.widths.iter().sum();
    if response.contains_pointer() {
        let scroll = ui.input(|input| input.smooth_scroll_delta);
        desk.top -= f64::from(scroll.y / ROW);
        desk.left -= scroll.x;
    }
    if response.clicked()
        && let Some(place) = response.interact_pointer_pos()
    {
        response.request_focus();
        let at = (desk.top + f64::from((place.y - cells.top()) / ROW)) as usize;
        if let Some(row) = desk.order.get(at).copied() {
            choose(state, &table, row);
            // It is in sight already.
            desk.followed = table.id(row).map(str::to_owned);
            to_fly = Some(row);
        }
    }
    if let Some((place, size_m)) = to_fly.and_then(|row| table.place(row)) {
        state.wish = Some(Wish::FlyTo(place, (size_m * 2.6).clamp(40.0, 5000.0)));
    }
    let upright = Rect::from_min_max(pos2(cells.right(), cells.top()), pos2(room.right(), cells.bottom()));
    if let Some(share) = bar(
        ui,
        "table-bar",
        upright,
        desk.top / desk.order.len().max(1) as f64,
        rows_seen / desk.order.len().max(1) as f64,
    ) {
        desk.top = share * desk.order.len() as f64;
    }
    let level = Rect::from_min_max(pos2(cells.left(), cells.bottom()), pos2(cells.right(), room.bottom()));
    let (share, part) = (f64::from(desk.left / total.max(1.0)), f64::from(cells.width() / total.max(1.0)));
    if let Some(share) = bar(ui, "table-level-bar", level, share, part) {
        desk.left = share as f32 * total;
    }
    desk.top = desk.top.clamp(0.0, (desk.order.len() as f64 - rows_seen).max(0.0));
    desk.left = desk.left.clamp(0.0, (total - cells.width()).max(0.0));
    rows(ui, cells, desk, &table, picked.as_deref());
    heads(ui, header, desk, &table, &state.texts);
    if response.has_focus() {
        ui.painter().rect_stroke(cells, CornerRadius::same(2), Stroke::new(1.5, ACCENT), egui::StrokeKind::Inside);
    }
}

/// Picks the object of a row.
fn choose(state: &mut OverlayState, table: &Table, row: u32) {
    if let Some(id) = table.id(row) {
        state.to_pick = Some(Selection { id: id.to_owned(), place: table.place(row).map(|(place, _)| place) });
    }
}

fn rows(ui: &Ui, cells: Rect, desk: &TableDesk, table: &Table, picked: Option<&str>) {
    let painter = ui.painter().with_clip_rect(cells.intersect(ui.clip_rect()));
    let first = desk.top as usize;
    let mut y = cells.top() - (desk.top.fract() as f32) * ROW;
    let pointer = ui.input(|input| input.pointer.hover_pos());
    for (at, row) in desk.order.iter().enumerate().skip(first) {
        if y > cells.bottom() {
            break;
        }
        let line = Rect::from_min_size(pos2(cells.left(), y), vec2(cells.width(), ROW));
        if picked.is_some() && table.id(*row) == picked {
            painter.rect_filled(line, CornerRadius::ZERO, ACCENT.gamma_multiply(0.30));
        } else if pointer.is_some_and(|pointer| line.contains(pointer) && cells.contains(pointer)) {
            painter.rect_filled(line, CornerRadius::ZERO, ACCENT.gamma_multiply(0.12));
        } else if at % 2 == 1 {
            painter.rect_filled(line, CornerRadius::ZERO, MUTED.gamma_multiply(0.07));
        }
        let mut x = cells.left() - desk.left;
        for (column, width) in table.columns.iter().zip(&desk.widths) {
            if let Some(value) = column.value(*row)
                && x + width > cells.left()
                && x < cells.right()
            {
                let cell = Rect::from_min_size(pos2(x, y), vec2(*width, ROW));
                let clip = painter.with_clip_rect(cell.shrink2(vec2(4.0, 0.0)).intersect(painter.clip_rect()));
                let is_number = value.as_f64().is_some();
                let (place, align) = if is_number {
                    (cell.right_center() - vec2(9.0, 0.0), Align2::RIGHT_CENTER)
                } else {
                    (cell.left_center() + vec2(9.0, 0.0), Align2::LEFT_CENTER)
                };
                clip.text(place, align, cell_text(value), theme::font(12.0), TEXT.into());
            }
            x += width;
        }
        y += ROW;
    }
}

/// Names of the columns; a click sorts by one, up and then down.
fn heads(ui: &mut Ui, header: Rect, desk: &mut TableDesk, table: &Table, texts: &Texts) {
    let painter = ui.painter().with_clip_rect(header.intersect(ui.clip_rect()));
    painter.rect_filled(header, CornerRadius::ZERO, MUTED.gamma_multiply(0.16));
    let mut x = header.left() - desk.left;
    let mut sorting = None;
    for (index, (column, width)) in table.columns.iter().zip(&desk.widths).enumerate() {
        let cell = Rect::from_min_size(pos2(x, header.top()), vec2(*width, header.height()));
        x += width;
        let shown = cell.intersect(header);
        if shown.width() < 4.0 {
            continue;
        }
        let response = ui.interact(shown, Id::new(("table-head", index)), Sense::click());
        let mark = match desk.sorting {
            Some((at, is_down)) if at == index => {
                if is_down {
                    " ▼"
                } else {
                    " ▲"
                }
            }
            _ => "",
        };
        let colour = if response.hovered() || !mark.is_empty() || response.has_focus() { ACCENT } else { MUTED };
        let text = title(&column.key, texts) + mark;
        let clip = painter.with_clip_rect(shown);
        clip.text(cell.left_center() + vec2(9.0, 0.0), Align2::LEFT_CENTER, text, theme::font(11.5), colour.into());
        let response = if index < FIXED.len() { response } else { response.on_hover_text(&column.key) };
        if response.clicked() {
            sorting = Some(match desk.sorting {
                Some((at, false)) if at == index => Some((index, true)),
                Some((at, true)) if at == index => None,
                _ => Some((index, false)),
            });
        }
    }
    if let Some(sorting) = sorting {
        desk.sorting = sorting;
        desk.sort();
    }
}

/// A bar that shows and moves which part is seen; gives the share where it begins after a drag.
fn bar(ui: &mut Ui, name: &str, rect: Rect, begins: f64, part: f64) -> Option<f64> {
    if part >= 1.0 {
        return None;
    }
    let response = ui.interact(rect, Id::new(name), Sense::click_and_drag());
    let is_upright = rect.height() > rect.width();
    let along = if is_upright { rect.height() } else { rect.width() };
    let length = (along * part as f32).max(24.0);
    let from = (along - length) * (begins / (1.0 - part)).clamp(0.0, 1.0) as f32;
    let handle = if is_upright {
        Rect::from_min_size(rect.min + vec2(2.0, from), vec2(rect.width() - 4.0, length))
    } else {
        Rect::from_min_size(rect.min + vec2(from, 2.0), vec2(length, rect.height() - 4.0))
    };
    let is_held = response.hovered() || response.dragged();
    ui.painter().rect_filled(handle, CornerRadius::same(3), MUTED.gamma_multiply(if is_held { 0.8 } else { 0.45 }));
    let place = response.interact_pointer_pos()?;
    let at = if is_upright { place.y - rect.top() } else { place.x - rect.left() } - length * 0.5;
    Some(f64::from((at / (along - length).max(1.0)).clamp(0.0, 1.0)) * (1.0 - part))
}

#[cfg(test)]
mod tests {
    use bevy_egui::egui;
    use groundline_engine::tile::Ground;

    use super::*;
    use crate::{options::SceneOptions, table::tests::numbered};

    /// A window of 1280 × 720 with a table of 1000 rows; each call is a frame with its events.
    fn frames(events: Vec<Vec<egui::Event>>) -> (TableDesk, OverlayState) {
        let city = Arc::new(CityModel::of_layers("none", Vec::new(), Ground::default(), Vec::new()));
        crate::panel::seen_from_above(&city, egui::vec2(1280.0, 720.0), |seen| {
            let mut state =
                OverlayState::new(&city, &SceneOptions { language: Language::En, ..SceneOptions::default() });
            state.is_table_open = true;
            let table = Arc::new(numbered(1000));
            let mut desk = TableDesk {
                layer: "l".into(),
                asked: Some(("l".into(), String::new(), Language::En)),
                order: table.order(None),
                table: Some(table),
                ..TableDesk::default()
            };
            let ctx = egui::Context::default();
            theme::apply(&ctx);
            for events in events {
                ctx.begin_pass(egui::RawInput { screen_rect: Some(seen.screen), events, ..Default::default() });
                show(&ctx, &mut desk, &city, &mut state, seen);
                ctx.end_pass().textures_delta.clear();
                if let Some(wanted) = state.to_pick.clone() {
                    state.picked = Some(crate::attribute::Picked {
                        object: crate::lookup::Lookup::Here(Ok(None)),
                        class: String::new(),
                        name: String::new(),
                        layer: "l".into(),
                        place: wanted.place.unwrap_or_default(),
                        size_m: 1.0,
                        id: wanted.id,
                    });
                }
            }
            (desk, state)
        })
    }

    fn click(x: f32, y: f32) -> Vec<Vec<egui::Event>> {
        let button = |pressed| egui::Event::PointerButton {
            pos: pos2(x, y),
            button: egui::PointerButton::Primary,
            pressed,
            modifiers: egui::Modifiers::NONE,
        };
        vec![vec![egui::Event::PointerMoved(pos2(x, y))], vec![button(true)], vec![button(false)], vec![]]
    }

    fn key(key: Key) -> Vec<egui::Event> {
        let event = |pressed| egui::Event::Key {
            key,
            physical_key: None,
            pressed,
            repeat: false,
            modifiers: egui::Modifiers::NONE,
        };
        vec![event(true), event(false)]
    }

    #[test]
    fn a_row_that_is_clicked_picks_its_object_and_flies_there() {
        let (_, state) = frames([vec![vec![], vec![]], click(100.0, 600.0)].concat());
        let picked = state.to_pick.expect("picked");
        assert!(picked.id.starts_with("o/"), "{}", picked.id);
        let Some(Wish::FlyTo(place, distance)) = state.wish else { panic!("{:?}", state.wish) };
        assert_eq!(format!("o/{}", place.x), picked.id, "to its own place");
        assert!(distance >= 40.0);
    }

    #[test]
    fn arrows_walk_through_the_rows_and_the_table_follows() {
        let steps = vec![key(Key::End), vec![], key(Key::ArrowUp), vec![]];
        let (desk, state) = frames([vec![vec![], vec![]], click(100.0, 600.0), steps].concat());
        assert_eq!(state.to_pick.map(|picked| picked.id).as_deref(), Some("o/998"));
        assert!(desk.top > 950.0, "{}", desk.top);
    }

    #[test]
    fn a_pick_in_the_city_brings_its_row_into_sight_once() {
        let mut desk = TableDesk::default();
        let table = Arc::new(numbered(1000));
        (desk.order, desk.table) = (table.order(Some((0, false))), Some(table));
        desk.follow(Some("o/700"), 10.0);
        let at = desk.order.iter().position(|row| *row == 700).unwrap() as f64;
        assert!(desk.top <= at && at < desk.top + 10.0, "{} {at}", desk.top);
        desk.top = 3.0;
        desk.follow(Some("o/700"), 10.0);
        assert_eq!(desk.top, 3.0, "whoever scrolls on is not held back");
        desk.follow(Some("elsewhere"), 10.0);
        assert_eq!(desk.top, 3.0);
    }

    #[test]
    fn a_click_on_a_head_sorts_up_then_down_then_not() {
        let at_head = |times: usize| {
            let begin = vec![vec![vec![], vec![]]];
            let clicks = std::iter::repeat_n(click(40.0, head_y()), times);
            frames(begin.into_iter().chain(clicks).flatten().collect()).0.sorting
        };
        assert_eq!(at_head(1), Some((0, false)));
        assert_eq!(at_head(2), Some((0, true)));
        assert_eq!(at_head(3), None);
    }

    /// Where the heads of the columns lie.
    fn head_y() -> f32 {
        let (desk, _) = frames(vec![vec![], vec![], vec![]]);
        desk.head_y
    }
}
