//! Tours in the list of bookmarks (漫游编辑): which views in which order, and how long each.

use bevy_egui::egui::{self, ComboBox, DragValue, RichText, Ui};

use crate::{
    bookmark::{Bookmarks, STOP_S, Stop, TOUR_OF_ALL, Tour},
    overlay::shortened,
    shelf::{Shelf, ShelfWish},
    text::Texts,
    theme::{ACCENT, MUTED, TEXT},
};

/// Seconds that a stop may take.
const SECONDS: std::ops::RangeInclusive<f64> = 0.5..=600.0;

/// What a person does with a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edit {
    Up(usize),
    Down(usize),
    Remove(usize),
}

/// The tours, and the one that is being edited; says what was asked for.
pub fn show(ui: &mut Ui, shelf: &mut Shelf, texts: &Texts) -> Option<ShelfWish> {
    let mut wish = None;
    if shelf.bookmarks.list().len() > 1 {
        ui.separator();
        ui.horizontal(|ui| {
            if ui.button(RichText::new(texts.get("tour-play-all")).size(12.0)).clicked() {
                wish = Some(ShelfWish::Play(TOUR_OF_ALL.into()));
            }
            if ui.button(RichText::new(texts.get("tour-new")).size(12.0)).clicked() {
                shelf.editing = Some(begun(&shelf.bookmarks, &texts.get("tour-word")));
            }
        });
    }
    let mut to_edit = None;
    for tour in shelf.bookmarks.tours() {
        let is_edited = shelf.editing.as_ref().is_some_and(|edited| edited.name == tour.name);
        ui.horizontal(|ui| {
            let line = format!("{}  {}", shortened(&tour.name, 18), clock(duration_s(tour)));
            if ui.selectable_label(false, RichText::new(line).size(12.5).color(TEXT)).clicked() {
                wish = Some(ShelfWish::Play(tour.name.clone()));
            }
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if ui.small_button("×").clicked() {
                    wish = Some(ShelfWish::RemoveTour(tour.name.clone()));
                }
                let colour = if is_edited { ACCENT } else { MUTED };
                if ui.small_button(RichText::new(texts.get("tour-edit")).size(11.0).color(colour)).clicked() {
                    to_edit = Some((!is_edited).then(|| tour.clone()));
                }
            });
        });
    }
    if let Some(edited) = to_edit {
        shelf.editing = edited;
    }
    if let Some(tour) = &mut shelf.editing {
        ui.separator();
        match editor(ui, tour, &shelf.bookmarks, texts) {
            Some(Done::Kept) => wish = shelf.editing.take().map(ShelfWish::SetTour),
            Some(Done::Left) => shelf.editing = None,
            None => {}
        }
    }
    wish
}

enum Done {
    Kept,
    Left,
}

fn editor(ui: &mut Ui, tour: &mut Tour, bookmarks: &Bookmarks, texts: &Texts) -> Option<Done> {
    ui.horizontal(|ui| {
        ui.add(egui::TextEdit::singleline(&mut tour.name).char_limit(80).desired_width(150.0));
        ui.label(RichText::new(clock(duration_s(tour))).size(12.0).color(MUTED));
    });
    let mut edit = None;
    let count = tour.stops.len();
    egui::ScrollArea::vertical().id_salt("stops").max_height(180.0).show(ui, |ui| {
        for (number, stop) in tour.stops.iter_mut().enumerate() {
            ui.horizontal(|ui| {
                let name = format!("{}. {}", number + 1, shortened(&stop.bookmark, 13));
                ui.label(RichText::new(name).size(12.0).color(TEXT));
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    let mut button = |ui: &mut Ui, text: &str, is_there: bool, what: Edit| {
                        if ui.add_enabled(is_there, egui::Button::new(text).small()).clicked() {
                            edit = Some(what);
                        }
                    };
                    button(ui, "×", true, Edit::Remove(number));
                    button(ui, "↓", number + 1 < count, Edit::Down(number));
                    button(ui, "↑", number > 0, Edit::Up(number));
                    ui.add(DragValue::new(&mut stop.seconds).range(SECONDS).speed(0.1).fixed_decimals(1).suffix(" s"));
                });
            });
        }
    });
    if let Some(edit) = edit {
        change(&mut tour.stops, edit);
    }
    let mut done = None;
    ui.horizontal(|ui| {
        ComboBox::from_id_salt("stop").selected_text(texts.get("tour-add")).width(90.0).show_ui(ui, |ui| {
            for bookmark in bookmarks.list() {
                if ui.selectable_label(false, shortened(&bookmark.name, 24)).clicked() {
                    tour.stops.push(Stop { bookmark: bookmark.name.clone(), seconds: STOP_S });
                }
            }
        });
        let is_whole = !tour.stops.is_empty() && !tour.name.trim().is_empty() && tour.name.trim() != TOUR_OF_ALL;
        if ui.add_enabled(is_whole, egui::Button::new(texts.get("bookmark-keep"))).clicked() {
            done = Some(Done::Kept);
        }
        if ui.button(texts.get("tour-leave")).clicked() {
            done = Some(Done::Left);
        }
    });
    done
}

/// A tour through all bookmarks, to begin with.
fn begun(bookmarks: &Bookmarks, word: &str) -> Tour {
    let name = (1..).map(|number| format!("{word} {number}"));
    let mut free = name.filter(|name| bookmarks.tours().iter().all(|tour| tour.name != *name));
    let stop = |bookmark: &crate::bookmark::Bookmark| Stop { bookmark: bookmark.name.clone(), seconds: STOP_S };
    Tour { name: free.next().unwrap_or_default(), stops: bookmarks.list().iter().map(stop).collect() }
}

fn change(stops: &mut Vec<Stop>, edit: Edit) {
    match edit {
        Edit::Up(at) if (1..stops.len()).contains(&at) => stops.swap(at - 1, at),
        Edit::Down(at) if at + 1 < stops.len() => stops.swap(at, at + 1),
        Edit::Remove(at) if at < stops.len() => drop(stops.remove(at)),
        _ => {}
    }
}

fn duration_s(tour: &Tour) -> f64 {
    tour.stops.iter().map(|stop| stop.seconds).sum()
}

/// Minutes and seconds.
fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    format!("{}:{:02}", whole / 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_move_and_go() {
        let stop = |name: &str| Stop { bookmark: name.into(), seconds: 2.0 };
        let mut stops = vec![stop("a"), stop("b"), stop("c")];
        let names = |stops: &[Stop]| stops.iter().map(|stop| stop.bookmark.clone()).collect::<String>();
        change(&mut stops, Edit::Up(0));
        change(&mut stops, Edit::Down(2));
        assert_eq!(names(&stops), "abc", "there is nothing beyond the ends");
        change(&mut stops, Edit::Up(2));
        assert_eq!(names(&stops), "acb");
        change(&mut stops, Edit::Down(0));
        assert_eq!(names(&stops), "cab");
        change(&mut stops, Edit::Remove(1));
        change(&mut stops, Edit::Remove(9));
        assert_eq!(names(&stops), "cb");
        assert_eq!(clock(duration_s(&Tour { name: String::new(), stops })), "0:04");
        assert_eq!(clock(125.4), "2:05");
    }
}
