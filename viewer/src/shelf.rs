//! Bookmarks and tours in the window, and the view as text to and from the clipboard.

use std::time::Instant;

use bevy::{prelude::*, window::RequestRedraw};

use crate::{
    ahead::{Ahead, SOON_S},
    bookmark::{Bookmarks, Tour},
    clipboard,
    key::Action,
    options::SceneOptions,
    overlay::Wish,
    tour::Flight,
    view_state::Showing,
    view_string,
};

/// What the panels ask of the shelf.
#[derive(Clone, Debug, PartialEq)]
pub enum ShelfWish {
    /// Goes to a bookmark.
    Go(String),
    /// Keeps the view under a name.
    Keep(String),
    /// Removes a bookmark.
    Remove(String),
    /// Plays a tour.
    Play(String),
    /// Keeps a tour as it was edited.
    SetTour(Tour),
    /// Removes a tour; its bookmarks stay.
    RemoveTour(String),
}

/// A tour that is being flown.
struct Playing {
    flight: Flight,
    scenes: Vec<SceneOptions>,
    started: Instant,
    stop: Option<usize>,
}

/// The shelf with a person's bookmarks.
#[derive(Resource, Default)]
pub struct Shelf {
    /// Bookmarks and tours.
    pub bookmarks: Bookmarks,
    /// List of bookmarks.
    pub is_open: bool,
    /// Name that is being typed.
    pub name: String,
    /// The tour that is being edited.
    pub editing: Option<Tour>,
    /// What a panel asked for.
    pub wish: Option<ShelfWish>,
    playing: Option<Playing>,
}

impl Shelf {
    /// The shelf with these bookmarks on it.
    pub fn of(bookmarks: Bookmarks) -> Self {
        Self { bookmarks, ..Self::default() }
    }

    /// A tour is being flown.
    pub fn is_playing(&self) -> bool {
        self.playing.is_some()
    }

    /// A name that no bookmark has yet.
    pub fn free_name(&self, word: &str) -> String {
        let count = self.bookmarks.list().len();
        (count + 1..).map(|n| format!("{word} {n}")).find(|name| self.bookmarks.get(name).is_none()).unwrap_or_default()
    }
}

/// Does what keys and panels ask of views, bookmarks and tours.
pub fn serve_views(mut actions: MessageReader<Action>, mut shelf: ResMut<Shelf>, mut showing: Showing) {
    for action in actions.read() {
        match action {
            Action::CopyView => {
                let copied = clipboard::copy(&view_string::write(&showing.scene()));
                tell(&mut showing, copied.map(|()| "view-copied"), "clipboard-trouble");
            }
            Action::PasteView => match clipboard::paste() {
                Ok(text) => go(&mut showing, &text),
                Err(reason) => tell(&mut showing, Err(reason), "clipboard-trouble"),
            },
            Action::KeepView => {
                let word = showing.state.texts.get("bookmark-word");
                let name = shelf.free_name(&word);
                shelf.wish = Some(ShelfWish::Keep(name));
                shelf.is_open = true;
            }
            Action::Bookmarks => shelf.is_open = !shelf.is_open,
            Action::PlayAll => shelf.wish = Some(ShelfWish::Play(crate::bookmark::TOUR_OF_ALL.into())),
            Action::Escape => shelf.playing = None,
            _ => {}
        }
    }
    let Some(wish) = shelf.bypass_change_detection().wish.take() else { return };
    match wish {
        ShelfWish::Go(name) => {
            if let Some(view) = shelf.bookmarks.get(&name).map(|bookmark| bookmark.view.clone()) {
                go(&mut showing, &view);
            }
        }
        ShelfWish::Keep(name) => {
            let kept = shelf.bookmarks.keep(&name, &view_string::write(&showing.scene()));
            shelf.name.clear();
            tell(&mut showing, kept.map(|()| "bookmark-kept"), "bookmark-trouble");
        }
        ShelfWish::Remove(name) => {
            let removed = shelf.bookmarks.remove(&name);
            tell(&mut showing, removed.map(|()| "bookmark-removed"), "bookmark-trouble");
        }
        ShelfWish::SetTour(tour) => {
            let kept = shelf.bookmarks.keep_tour(tour);
            tell(&mut showing, kept.map(|()| "tour-kept"), "bookmark-trouble");
        }
        ShelfWish::RemoveTour(name) => {
            let removed = shelf.bookmarks.remove_tour(&name);
            tell(&mut showing, removed.map(|()| "tour-removed"), "bookmark-trouble");
        }
        ShelfWish::Play(name) => match begin(&shelf.bookmarks, &name, &showing) {
            Ok(playing) => shelf.playing = Some(playing),
            Err(reason) => tell(&mut showing, Err(reason), "bookmark-trouble"),
        },
    }
}

fn tell(showing: &mut Showing, outcome: Result<&str, String>, trouble: &str) {
    let text = match outcome {
        Ok(key) => showing.state.texts.get(key),
        Err(reason) => showing.state.texts.with(trouble, "reason", reason),
    };
    showing.desk.tell(text);
}

/// Goes to the view of a text, or says why not.
fn go(showing: &mut Showing, text: &str) {
    let mut scene = SceneOptions::default();
    match view_string::read(text, &mut scene) {
        Ok(()) => showing.apply(&scene),
        Err(reason) => tell(showing, Err(reason), "view-refused"),
    }
}

fn begin(bookmarks: &Bookmarks, name: &str, showing: &Showing) -> Result<Playing, String> {
    let mut stops = Vec::new();
    let mut scenes = Vec::new();
    for (view, seconds) in bookmarks.tour(name)? {
        let mut scene = SceneOptions::default();
        view_string::read(&view, &mut scene)?;
        stops.push((showing.pose_of(&scene), seconds));
        scenes.push(scene);
    }
    Ok(Playing { flight: Flight::new(stops), scenes, started: Instant::now(), stop: None })
}

/// Flies the tour that is being played; a press of a key or of the mouse ends it.
pub fn fly_tour(
    mut shelf: ResMut<Shelf>,
    mut showing: Showing,
    keys: Res<ButtonInput<KeyCode>>,
    buttons: Res<ButtonInput<MouseButton>>,
    (mut ahead, mut redraw): (ResMut<Ahead>, MessageWriter<RequestRedraw>),
) {
    ahead.0.clear();
    let Some(playing) = &mut shelf.bypass_change_detection().playing else { return };
    let seconds = playing.started.elapsed().as_secs_f64();
    let is_touched =
        seconds > 0.5 && (keys.get_just_pressed().next().is_some() || buttons.get_just_pressed().next().is_some());
    let at = playing.flight.at(seconds);
    if let Some((stop, pose)) = at {
        ahead.0.extend(playing.flight.at(seconds + SOON_S).map(|(_, pose)| pose));
        ahead.0.extend(playing.flight.destination(stop + 1));
        if playing.stop != Some(stop) {
            playing.stop = Some(stop);
            showing.apply_all_but_camera(&playing.scenes[stop]);
        }
        showing.state.wish = Some(Wish::Jump(pose));
        redraw.write(RequestRedraw);
    }
    if is_touched || at.is_none() || seconds > playing.flight.duration_s() {
        shelf.playing = None;
    }
}
