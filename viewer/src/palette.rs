//! The palette (Ctrl+K): commands, layers, bookmarks and objects by what people call them, in Chinese, pinyin and English.

use bevy_egui::egui::{self, Align2, Color32, CornerRadius, Id, Key, Rect, RichText, Sense, Ui, pos2, vec2};
use glam::DVec3;
use groundline_engine::query::{Found, Search};

use crate::{
    bookmark::Bookmarks,
    city::CityModel,
    finder::Finder,
    key::{Action, LINES, chord_name},
    options::Language,
    overlay::shortened,
    text::Texts,
    theme::{self, ACCENT, MUTED, TEXT},
};

/// Most lines that are listed.
const MOST: usize = 60;
/// Lines that are seen at once.
const SEEN: f32 = 11.0;
/// Height of a line, points.
const ROW: f32 = 30.0;
/// Width, points.
const WIDTH: f32 = 560.0;

/// What a line of the palette does.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A command.
    Act(Action),
    /// Shows or hides a layer, by its index.
    Layer(usize),
    /// Goes to a bookmark.
    Bookmark(String),
    /// Plays a tour.
    Tour(String),
    /// Flies to an object and picks it.
    Object {
        /// Its id.
        id: String,
        /// Its middle.
        place: DVec3,
        /// Its size, metres.
        size_m: f64,
    },
}

/// A line of the palette.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What is read first.
    pub title: String,
    /// What stands at its end: keys, class and layer.
    pub note: String,
    /// What it does.
    pub target: Target,
}

/// What can be looked for besides objects.
pub struct Known<'a> {
    /// The city.
    pub city: &'a CityModel,
    /// Which layers are shown.
    pub shown: &'a [bool],
    /// Bookmarks and tours.
    pub bookmarks: &'a Bookmarks,
    /// Texts in both languages; the first is the window's.
    pub texts: [&'a Texts; 2],
}

/// The lines for `text`, the best first; everything but objects for nothing.
pub fn entries(text: &str, known: &Known<'_>, found: &[Found]) -> Vec<Entry> {
    let wanted = text.trim();
    let search = Search::new(wanted);
    if search.is_err() && !wanted.is_empty() {
        return Vec::new();
    }
    let folded = wanted.to_lowercase();
    // How well names fit: as they begin, as they are written, else by their reading.
    let rank = |names: &[&str]| -> Option<u8> {
        let Ok(search) = &search else { return Some(3) };
        names
            .iter()
            .filter(|name| search.finds(name))
            .map(|name| {
                let name = name.to_lowercase();
                if name.starts_with(&folded) {
                    0
                } else if name.contains(&folded) {
                    1
                } else {
                    2
                }
            })
            .min()
    };
    let [texts, other] = known.texts;
    let mut list: Vec<(u8, Entry)> = Vec::new();
    let mut seen: Vec<Action> = Vec::new();
    for line in LINES.iter().filter(|line| !line.is_held && line.action != Action::Palette) {
        let number = if let Action::Detail(level) = line.action { format!(" CIM{level}") } else { String::new() };
        let (title, foreign) = (texts.get(line.text) + &number, other.get(line.text) + &number);
        if let Some(rank) = rank(&[&title, &foreign])
            && !seen.contains(&line.action)
        {
            seen.push(line.action);
            let note = line.chords.first().map(|chord| chord_name(*chord)).unwrap_or_default();
            list.push((rank, Entry { title, note, target: Target::Act(line.action) }));
        }
    }
    for (index, layer) in known.city.layers.iter().enumerate() {
        if let Some(rank) = rank(&[&layer.name]) {
            let is_shown = known.shown.get(index).copied().unwrap_or(true);
            let title = texts.with(if is_shown { "palette-hide" } else { "palette-show" }, "layer", &layer.name);
            list.push((rank, Entry { title, note: texts.get("palette-layer"), target: Target::Layer(index) }));
        }
    }
    for bookmark in known.bookmarks.list() {
        if let Some(rank) = rank(&[&bookmark.name]) {
            let (title, target) = (bookmark.name.clone(), Target::Bookmark(bookmark.name.clone()));
            list.push((rank, Entry { title, note: texts.get("palette-bookmark"), target }));
        }
    }
    for tour in known.bookmarks.tours() {
        if let Some(rank) = rank(&[&tour.name]) {
            let (title, target) = (tour.name.clone(), Target::Tour(tour.name.clone()));
            list.push((rank, Entry { title, note: texts.get("palette-tour"), target }));
        }
    }
    let is_chinese = texts.language == Language::Zh;
    for object in found {
        // The store has ranked them; what it found is not judged again.
        let name = object.name.clone().unwrap_or_else(|| object.id.clone());
        let rank = if name.to_lowercase().starts_with(&folded) { 0 } else { 2 };
        let class = if is_chinese { object.class.zh() } else { object.class.word() };
        let target = Target::Object {
            id: object.id.clone(),
            place: object.extent.centre(),
            size_m: if object.extent.is_empty() { 0.0 } else { object.extent.size().length() },
        };
        // Ids begin with their layer, which is often called as the class.
        let is_said = object.id.starts_with(class);
        let note = if is_said { object.id.clone() } else { format!("{class} · {}", object.id) };
        list.push((rank, Entry { title: name, note, target }));
    }
    list.sort_by_key(|(rank, _)| *rank);
    list.into_iter().map(|(_, entry)| entry).take(MOST).collect()
}

/// The palette as it stands open.
#[derive(bevy::prelude::Resource, Default)]
pub struct Palette {
    /// It is open.
    pub is_open: bool,
    /// What was typed.
    pub text: String,
    chosen: usize,
    finder: Finder,
}

impl Palette {
    /// Opens it empty, or closes it.
    pub fn toggle(&mut self) {
        self.is_open = !self.is_open;
        self.text.clear();
        self.chosen = 0;
    }

    /// Draws it; gives what was chosen, and closes then.
    pub fn show(
        &mut self,
        ctx: &egui::Context,
        screen: Rect,
        city: &std::sync::Arc<CityModel>,
        known: &Known<'_>,
    ) -> Option<Target> {
        if !self.is_open {
            return None;
        }
        let is_waiting = self.finder.ask(city, &self.text);
        if is_waiting {
            ctx.request_repaint();
        }
        let list = entries(&self.text, known, &self.finder.found);
        let (step, is_taken, is_left) = ctx.input_mut(|input| {
            let mut press = |key| input.count_and_consume_key(egui::Modifiers::NONE, key) as i64;
            let step = press(Key::ArrowDown) - press(Key::ArrowUp) + 8 * (press(Key::PageDown) - press(Key::PageUp));
            (step, press(Key::Enter) > 0, press(Key::Escape) > 0)
        });
        let last = list.len().saturating_sub(1);
        self.chosen = usize::try_from(self.chosen as i64 + step).unwrap_or(0).min(last);
        let mut taken = is_taken.then(|| list.get(self.chosen).map(|entry| entry.target.clone())).flatten();
        let at = pos2(screen.center().x, screen.top() + (screen.height() * 0.13).min(110.0));
        let width = WIDTH.min(screen.width() - 40.0);
        let area =
            egui::Area::new(Id::new("palette")).order(egui::Order::Foreground).fixed_pos(at).pivot(Align2::CENTER_TOP);
        let shown = area.fade_in(false).show(ctx, |ui| {
            theme::sheet().show(ui, |ui| {
                ui.set_width(width);
                let hint = RichText::new(known.texts[0].get("palette-hint")).color(MUTED);
                let field = egui::TextEdit::singleline(&mut self.text)
                    .hint_text(hint)
                    .font(theme::font(16.0))
                    .char_limit(200)
                    .desired_width(width)
                    .frame(egui::Frame::NONE);
                let response = ui.add(field);
                response.request_focus();
                if response.changed() {
                    self.chosen = 0;
                }
                ui.separator();
                taken = taken.take().or(rows(ui, &list, &mut self.chosen, step != 0));
                if list.is_empty() {
                    let key = if is_waiting { "palette-searching" } else { "palette-nothing" };
                    ui.label(RichText::new(known.texts[0].get(key)).size(12.5).color(MUTED));
                }
                if let Some(trouble) = &self.finder.trouble {
                    ui.label(RichText::new(shortened(trouble, 90)).size(11.0).color(theme::ASSUMED));
                }
            })
        });
        let is_beside = ctx.input(|input| input.pointer.any_pressed())
            && ctx.pointer_interact_pos().is_some_and(|place| !shown.response.rect.contains(place));
        if taken.is_some() || is_left || is_beside {
            self.is_open = false;
        }
        taken
    }
}

/// The lines; gives the one that was clicked on.
fn rows(ui: &mut Ui, list: &[Entry], chosen: &mut usize, is_moved: bool) -> Option<Target> {
    let mut taken = None;
    egui::ScrollArea::vertical().max_height(ROW * SEEN).auto_shrink([false, true]).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        for (index, entry) in list.iter().enumerate() {
            let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::click());
            let info = || egui::WidgetInfo::selected(egui::WidgetType::Button, true, index == *chosen, &entry.title);
            response.widget_info(info);
            if index == *chosen {
                ui.painter().rect_filled(rect, CornerRadius::same(4), ACCENT.gamma_multiply(0.24));
                if is_moved {
                    response.scroll_to_me(None);
                }
            } else if response.hovered() {
                ui.painter().rect_filled(rect, CornerRadius::same(4), Color32::from_white_alpha(10));
            }
            let note = ui.painter().text(
                rect.right_center() - vec2(8.0, 0.0),
                Align2::RIGHT_CENTER,
                shortened(&entry.note, 30),
                theme::font(11.5),
                MUTED.into(),
            );
            let clip = Rect::from_min_max(rect.min, pos2(note.left() - 10.0, rect.bottom()));
            ui.painter().with_clip_rect(clip.intersect(ui.clip_rect())).text(
                rect.left_center() + vec2(8.0, 0.0),
                Align2::LEFT_CENTER,
                shortened(&entry.title, 60),
                theme::font(13.5),
                TEXT.into(),
            );
            if response.clicked() {
                taken = Some(entry.target.clone());
            }
        }
    });
    taken
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use groundline_engine::{
        model::{Class, Domain, Extent, Stage},
        tile::Ground,
    };

    use super::*;
    use crate::measure::MeasureKind;

    fn found(name: &str) -> Found {
        Found {
            id: "建筑/7".into(),
            layer: "建筑".into(),
            class: Class::Building,
            stage: Stage::Operation,
            domain: Domain::Above,
            name: Some(name.into()),
            parent: None,
            extent: Extent { min: DVec3::ZERO, max: DVec3::new(3.0, 4.0, 0.0) },
            distance_m: None,
            exact: None,
            valid_from: None,
            valid_to: None,
            attributes: Vec::new(),
            assumed: Vec::new(),
            footprint_wkb: Vec::new(),
        }
    }

    fn bookmarks(folder: &std::path::Path) -> Bookmarks {
        let (mut bookmarks, _) = Bookmarks::open(Some(folder.join("b.json")), "x");
        bookmarks.keep("码头", "groundline:?").expect("kept");
        let stops = vec![crate::bookmark::Stop { bookmark: "码头".into(), seconds: 5.0 }];
        bookmarks.keep_tour(crate::bookmark::Tour { name: "夜游".into(), stops }).expect("kept");
        bookmarks
    }

    fn city() -> Arc<CityModel> {
        Arc::new(CityModel::of_layers("none", Vec::new(), Ground::default(), Vec::new()))
    }

    #[test]
    fn things_are_found_in_chinese_pinyin_and_english() {
        let folder = tempfile::tempdir().expect("folder");
        let (city, bookmarks) = (city(), bookmarks(folder.path()));
        let (zh, en) = (Texts::new(Language::Zh), Texts::new(Language::En));
        let known = Known { city: &city, shown: &[], bookmarks: &bookmarks, texts: [&zh, &en] };
        let first =
            |text: &str, found: &[Found]| entries(text, &known, found).into_iter().next().map(|entry| entry.target);
        let area = Some(Target::Act(Action::Measure(MeasureKind::Area)));
        for text in ["量测面积", "liangcemianji", "lcmj", "measure area", "AREA"] {
            assert_eq!(first(text, &[]), area, "{text}");
        }
        assert_eq!(first("matou", &[]), Some(Target::Bookmark("码头".into())));
        assert_eq!(first("yy", &[]), Some(Target::Tour("夜游".into())));
        assert_eq!(first("cim3", &[]), Some(Target::Act(Action::Detail(3))));
        let object = Target::Object { id: "建筑/7".into(), place: DVec3::new(1.5, 2.0, 0.0), size_m: 5.0 };
        assert_eq!(first("yongan", &[found("永安苑")]), Some(object));
        assert!(entries("?!", &known, &[]).is_empty() && entries("", &known, &[]).len() > 20);
    }

    #[test]
    fn it_is_used_by_keys_alone() {
        let folder = tempfile::tempdir().expect("folder");
        let (city, bookmarks) = (city(), bookmarks(folder.path()));
        let (zh, en) = (Texts::new(Language::Zh), Texts::new(Language::En));
        let known = Known { city: &city, shown: &[], bookmarks: &bookmarks, texts: [&zh, &en] };
        let ctx = egui::Context::default();
        theme::apply(&ctx);
        let screen = Rect::from_min_size(pos2(0.0, 0.0), vec2(1000.0, 700.0));
        let mut palette = Palette::default();
        let key = |key| egui::Event::Key {
            key,
            physical_key: None,
            pressed: true,
            repeat: false,
            modifiers: egui::Modifiers::NONE,
        };
        let frame = |palette: &mut Palette, events: Vec<egui::Event>| {
            ctx.begin_pass(egui::RawInput { screen_rect: Some(screen), events, ..Default::default() });
            let taken = palette.show(&ctx, screen, &city, &known);
            ctx.end_pass().textures_delta.clear();
            taken
        };
        assert_eq!(frame(&mut palette, vec![key(Key::Enter)]), None, "it is closed");
        palette.toggle();
        frame(&mut palette, vec![]);
        frame(&mut palette, vec![egui::Event::Text("mt".into())]);
        assert_eq!(palette.text, "mt");
        assert_eq!(frame(&mut palette, vec![key(Key::Enter)]), Some(Target::Bookmark("码头".into())));
        assert!(!palette.is_open);
        palette.toggle();
        assert_eq!(palette.text, "");
        frame(&mut palette, vec![key(Key::ArrowDown), key(Key::ArrowDown), key(Key::ArrowUp)]);
        let second = entries("", &known, &[])[1].target.clone();
        assert_eq!(frame(&mut palette, vec![key(Key::Enter)]), Some(second));
        palette.toggle();
        frame(&mut palette, vec![key(Key::Escape)]);
        assert!(!palette.is_open);
    }
}
