//! What a person likes (偏好): kept beside the bookmarks, for all cities, and changed in the window.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use bevy::prelude::{DetectChanges as _, DetectChangesMut as _, Local, Res, ResMut, Resource};
use serde::{Deserialize, Serialize};

use crate::{key::Action, profile::Profile, relief::Relief, theme::Theme};

/// Sizes of text and panels that can be chosen, percent.
pub const SCALES: [u16; 8] = [100, 110, 125, 150, 175, 200, 250, 300];
/// Name of the file.
const FILE: &str = "preferences.json";
/// Largest file that is read, bytes.
const MAX_BYTES: u64 = 64 << 10;

/// What a person likes.
#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// How the hands move the camera.
    pub navigation: Profile,
    /// Light or dark panels.
    pub theme: Theme,
    /// Size of text and panels, percent.
    pub scale_percent: u16,
    /// Whether corners are darker and points of a scan have edges.
    pub relief: Relief,
    /// The first tips have been read.
    pub has_read_tips: bool,
    #[serde(skip)]
    path: Option<PathBuf>,
    /// As it is on disk.
    #[serde(skip)]
    kept: Option<Box<Preferences>>,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            navigation: Profile::default(),
            theme: Theme::default(),
            scale_percent: 100,
            relief: Relief::default(),
            has_read_tips: false,
            path: None,
            kept: None,
        }
    }
}

impl Preferences {
    /// Those kept beside the bookmarks of `bookmarks`; the usual ones where there are none or they cannot be understood.
    pub fn beside(bookmarks: Option<&Path>) -> Self {
        let path = bookmarks.map(|path| path.with_file_name(FILE));
        let read = path.as_deref().and_then(|path| {
            let is_small = std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= MAX_BYTES);
            let text = is_small.then(|| std::fs::read_to_string(path).ok())??;
            serde_json::from_str::<Self>(&text).map_err(|error| tracing::warn!("{}: {error}", path.display())).ok()
        });
        let mut this = read.unwrap_or_default();
        this.scale_percent = checked(this.scale_percent);
        this.kept = Some(Box::new(this.clone()));
        this.path = path;
        this
    }

    /// Does what a key or a command asks of them; says whether it was theirs.
    pub fn act(&mut self, action: Action) -> bool {
        match action {
            Action::Navigate(profile) => self.navigation = profile,
            Action::NextNavigation => self.navigation = self.navigation.next(),
            Action::Theme => self.theme = self.theme.other(),
            Action::Larger => self.scale_percent = stepped(self.scale_percent, true),
            Action::Smaller => self.scale_percent = stepped(self.scale_percent, false),
            Action::UsualSize => self.scale_percent = 100,
            _ => return false,
        }
        true
    }

    /// Writes them where they changed.
    fn keep(&mut self) -> std::io::Result<()> {
        let now = Self { path: None, kept: None, ..self.clone() };
        if self.kept.as_deref() == Some(&now) {
            return Ok(());
        }
        let Some(path) = &self.path else { return Ok(()) };
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        // A name of its own, so that two windows do not write into one file.
        let part = folder.join(format!(".{FILE}.{}", std::process::id()));
        let mut file = std::fs::File::create(&part)?;
        file.write_all(serde_json::to_string_pretty(&now).unwrap_or_default().as_bytes())?;
        drop(file);
        std::fs::rename(&part, path)?;
        self.kept = Some(Box::new(now));
        Ok(())
    }
}

/// A scale within what can be chosen.
pub fn checked(percent: u16) -> u16 {
    percent.clamp(SCALES[0], SCALES[SCALES.len() - 1])
}

/// The next larger or smaller scale.
fn stepped(percent: u16, is_larger: bool) -> u16 {
    let next = if is_larger {
        SCALES.into_iter().find(|scale| *scale > percent)
    } else {
        SCALES.into_iter().rev().find(|scale| *scale < percent)
    };
    next.unwrap_or(checked(percent))
}

/// Shows the relief that was chosen in the settings.
pub fn apply_relief(preferences: Res<Preferences>, mut relief: ResMut<Relief>, mut last: Local<Option<Relief>>) {
    let before = last.replace(preferences.relief);
    if before.is_some_and(|before| before != preferences.relief) {
        relief.set_if_neq(preferences.relief);
    }
}

/// Keeps what was changed.
pub fn keep_preferences(mut preferences: ResMut<Preferences>) {
    if preferences.is_changed()
        && let Err(error) = preferences.bypass_change_detection().keep()
    {
        tracing::warn!("preferences are not kept: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_there_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let bookmarks = folder.path().join("deeper").join("b.json");
        let mut first = Preferences::beside(Some(&bookmarks));
        first.keep().unwrap();
        assert!(!bookmarks.with_file_name(FILE).exists(), "nothing changed, nothing written");
        assert!(first.act(Action::Navigate(Profile::Cad)) && first.act(Action::Theme) && first.act(Action::Larger));
        assert!(!first.act(Action::Home), "not theirs");
        first.has_read_tips = true;
        first.relief.corners = false;
        first.keep().unwrap();
        let second = Preferences::beside(Some(&bookmarks));
        assert_eq!((second.navigation, second.theme), (Profile::Cad, Theme::Light));
        assert_eq!((second.scale_percent, second.has_read_tips), (110, true));
        assert_eq!(second.relief, Relief { corners: false, points: true });
        let names: Vec<_> = std::fs::read_dir(folder.path().join("deeper")).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing half is left");
    }

    #[test]
    fn a_file_that_cannot_be_understood_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let bookmarks = folder.path().join("b.json");
        for text in ["", "{", "[1]", r#"{"navigation":"warp"}"#] {
            std::fs::write(folder.path().join(FILE), text).unwrap();
            assert_eq!(Preferences::beside(Some(&bookmarks)).navigation, Profile::Earth, "{text}");
        }
        std::fs::write(folder.path().join(FILE), r#"{"scale_percent":9000,"later":1}"#).unwrap();
        assert_eq!(Preferences::beside(Some(&bookmarks)).scale_percent, 300, "held in bounds, and newer keys pass");
    }

    #[test]
    fn scales_go_step_by_step_and_end() {
        assert_eq!([stepped(100, true), stepped(300, true), stepped(100, false)], [110, 300, 100]);
        assert_eq!([stepped(137, true), stepped(137, false)], [150, 125]);
    }
}
