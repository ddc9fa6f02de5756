//! Two states of the city in one picture (对比): one camera, two looks, with a divider that is moved across (卷帘) or side by side (分屏).
//!
//! What is left of the divider is the view itself; the other side is a look of its own, kept as the text of a view
//! ([`crate::view_string`]) that names neither camera nor notes. [`crate::other_side`] draws it.

use std::{fmt, str::FromStr};

use bevy::{camera::SubCameraView, prelude::*};

use crate::{
    options::SceneOptions,
    style::{Drawing, Style},
    view_string,
};

/// How far one press of a key moves the divider, in parts of the picture's width.
pub const STEP: f64 = 0.05;

/// How the two sides lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Manner {
    /// 卷帘: one picture; the other look begins at this share of its width.
    Swipe(f64),
    /// 分屏: two whole pictures, each half as wide.
    Beside,
}

impl Manner {
    /// With the divider moved by so much of the picture's width.
    pub fn moved(self, by: f64) -> Self {
        match self {
            Self::Swipe(share) => Self::Swipe(rounded((share + by).clamp(0.0, 1.0))),
            Self::Beside => Self::Beside,
        }
    }
}

/// A share as it is written: to a ten-thousandth.
pub fn rounded(share: f64) -> f64 {
    (share * 1e4).round() / 1e4
}

impl FromStr for Manner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            let text: String = text.chars().take(40).collect();
            format!("`{text}` is no comparison: swipe, swipe:SHARE (0 to 1 of the width, from the left) or beside")
        };
        match text.split_once(':') {
            None if text == "swipe" => Ok(Self::Swipe(0.5)),
            None if text == "beside" => Ok(Self::Beside),
            Some(("swipe", share)) => {
                let share = view_string::read_number(share).ok().filter(|share| (0.0..=1.0).contains(share));
                share.map(|share| Self::Swipe(rounded(share))).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Swipe(share) => write!(f, "swipe:{share}"),
            Self::Beside => f.write_str("beside"),
        }
    }
}

/// One of the two sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// The view itself, on the left.
    #[default]
    This,
    /// The other look, on the right.
    Other,
}

/// What is compared, and which side this scene draws.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct Compared {
    /// How, if at all.
    pub manner: Option<Manner>,
    /// The other look, as the text of a view; nothing = as this side.
    pub other: String,
    /// The side that this scene draws.
    pub side: Side,
}

/// What of the target a camera is for, pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pane {
    /// Where the whole picture of this side lies.
    pub whole: URect,
    /// What of it is seen.
    pub shown: URect,
}

impl Pane {
    /// The part of the lens that covers a target of `size`; `None` where that is the whole picture.
    pub fn sub_view(&self, size: UVec2) -> Option<SubCameraView> {
        (self.whole != URect::from_corners(UVec2::ZERO, size)).then(|| SubCameraView {
            full_size: self.whole.size(),
            offset: -self.whole.min.as_vec2(),
            size,
        })
    }

    /// What is drawn: what is seen with a border of `margin` pixels, for passes that look at neighbours.
    pub fn drawn(&self, margin: u32, size: UVec2) -> URect {
        let min = UVec2::new(self.shown.min.x.saturating_sub(margin), 0);
        URect { min, max: UVec2::new((self.shown.max.x + margin).min(size.x), size.y) }
    }
}

/// The width of a side's whole picture, in parts of the width of a scene's picture.
pub fn compared_width(scene: &SceneOptions) -> f64 {
    if scene.comparison == Some(Manner::Beside) { 0.5 } else { 1.0 }
}

/// The column of pixels at which the other side begins.
fn divider(manner: Manner, width: u32) -> u32 {
    match manner {
        Manner::Swipe(share) => (f64::from(width) * share).round() as u32,
        Manner::Beside => width / 2,
    }
}

impl Compared {
    /// For what a scene asks.
    pub fn of(scene: &SceneOptions) -> Self {
        Self { manner: scene.comparison, other: scene.other.clone(), side: Side::This }
    }

    /// What of a target of `size` pixels is for `side`.
    pub fn pane(&self, side: Side, size: UVec2) -> Pane {
        let all = URect::from_corners(UVec2::ZERO, size);
        let Some(manner) = self.manner else { return Pane { whole: all, shown: all } };
        let at = divider(manner, size.x);
        let (left, right) = (URect { max: UVec2::new(at, size.y), ..all }, URect { min: UVec2::new(at, 0), ..all });
        let shown = if side == Side::This { left } else { right };
        Pane { whole: if manner == Manner::Beside { shown } else { all }, shown }
    }

    /// The side that is seen at a pixel of the target, where a side's whole picture is `own` pixels large.
    pub fn side_at(&self, pixel: Vec2, own: Vec2) -> Side {
        let begins = match self.manner {
            None => f32::INFINITY,
            Some(Manner::Beside) => own.x,
            Some(manner) => divider(manner, own.x as u32) as f32,
        };
        if pixel.x >= begins { Side::Other } else { Side::This }
    }

    /// What is to be taken off a pixel of the target for the pixel of its side's own picture of `own` pixels.
    pub fn shift_at(&self, pixel: Vec2, own: Vec2) -> Vec2 {
        let is_apart = self.manner == Some(Manner::Beside) && self.side_at(pixel, own) == Side::Other;
        if is_apart { Vec2::new(own.x, 0.0) } else { Vec2::ZERO }
    }

    /// The share of the whole picture's width at which the other side begins; the whole where nothing is compared.
    pub fn share(&self) -> f32 {
        match self.manner {
            None => 1.0,
            Some(Manner::Swipe(share)) => share as f32,
            Some(Manner::Beside) => 0.5,
        }
    }

    /// The look of the other side.
    pub fn look(&self) -> SceneOptions {
        let mut look = SceneOptions::default();
        // What cannot be read was refused where it came from.
        let _ = view_string::read(&format!("{}{}", view_string::SCHEME, self.other), &mut look);
        look
    }

    /// Puts up another look for the other side.
    pub fn set_look(&mut self, look: &SceneOptions) {
        self.other = look_text(look);
    }
}

/// The look of a scene as text: what is drawn and how, but not where from, nor what is written on it.
pub fn look_text(scene: &SceneOptions) -> String {
    let look = SceneOptions {
        layers: scene.layers.clone(),
        is_below: scene.is_below,
        detail: scene.detail,
        at: scene.at,
        style: scene.style,
        relief: scene.relief,
        colour_by: scene.colour_by.clone(),
        cuts: scene.cuts.clone(),
        peel: scene.peel.clone(),
        valid_at: scene.valid_at,
        ..SceneOptions::default()
    };
    let text = view_string::write(&look);
    text.strip_prefix(view_string::SCHEME).unwrap_or_default().to_owned()
}

/// Reads the other look: the text of a view, with or without its scheme. Camera and notes in it count for nothing.
pub fn read_look(text: &str) -> Result<String, String> {
    let text = text.trim();
    let pairs = text.strip_prefix(view_string::SCHEME).unwrap_or(text);
    let mut look = SceneOptions::default();
    view_string::read(&format!("{}{pairs}", view_string::SCHEME), &mut look)?;
    if look.comparison.is_some() || !look.other.is_empty() {
        return Err("the other side is no comparison itself".into());
    }
    Ok(look_text(&look))
}

/// A look that differs from `scene` at first sight, for who begins to compare.
pub fn first_other(scene: &SceneOptions) -> String {
    let is_glass = Drawing { style: scene.style, is_below: scene.is_below }.is_glass();
    let style = if is_glass { Style::Realistic } else { Style::Xray };
    look_text(&SceneOptions { style, is_below: false, ..scene.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::LayerChoice;

    fn compared(text: &str) -> Compared {
        Compared { manner: Some(text.parse().unwrap()), ..Compared::default() }
    }

    #[test]
    fn manners_are_read_as_they_are_written() {
        for text in ["swipe:0.5", "swipe:0.3333", "swipe:0", "swipe:1", "beside"] {
            assert_eq!(text.parse::<Manner>().unwrap().to_string(), text);
        }
        assert_eq!("swipe".parse(), Ok(Manner::Swipe(0.5)));
        for wrong in ["", "swipe:", "swipe:1.1", "swipe:-0.1", "swipe:nan", "beside:0.5", "split"] {
            assert!(wrong.parse::<Manner>().unwrap_err().contains("swipe"), "{wrong}");
        }
    }

    #[test]
    fn the_divider_stays_in_the_picture() {
        assert_eq!(Manner::Swipe(0.5).moved(STEP), Manner::Swipe(0.55));
        assert_eq!(Manner::Swipe(0.98).moved(STEP), Manner::Swipe(1.0));
        assert_eq!(Manner::Swipe(0.02).moved(-STEP), Manner::Swipe(0.0));
        assert_eq!(Manner::Beside.moved(STEP), Manner::Beside);
    }

    #[test]
    fn two_panes_cover_the_picture_once() {
        let size = UVec2::new(1281, 720);
        for text in ["swipe:0.3", "swipe:0", "swipe:1", "beside"] {
            let compared = compared(text);
            let (left, right) = (compared.pane(Side::This, size), compared.pane(Side::Other, size));
            assert_eq!(
                (left.shown.min.x, left.shown.max.x, right.shown.max.x),
                (0, right.shown.min.x, size.x),
                "{text}"
            );
            assert_eq!(left.shown.height(), 720);
        }
        let swipe = compared("swipe:0.3");
        assert_eq!(swipe.pane(Side::Other, size).whole.size(), size, "one picture");
        assert_eq!(swipe.pane(Side::Other, size).sub_view(size), None);
        assert_eq!(swipe.pane(Side::This, size).drawn(64, size).max.x, 384 + 64);
        let beside = compared("beside").pane(Side::Other, size);
        let sub = beside.sub_view(size).unwrap();
        assert_eq!((beside.whole.min.x, sub.full_size.x, sub.offset.x), (640, 641, -640.0));
        let none = Compared::default().pane(Side::This, size);
        assert_eq!((none.shown.size(), none.sub_view(size)), (size, None));
    }

    #[test]
    fn a_pixel_belongs_to_the_side_that_is_seen_there() {
        let own = Vec2::new(1000.0, 500.0);
        let swipe = compared("swipe:0.3");
        assert_eq!(swipe.side_at(Vec2::new(299.0, 9.0), own), Side::This);
        assert_eq!(swipe.side_at(Vec2::new(300.0, 9.0), own), Side::Other);
        assert_eq!(swipe.shift_at(Vec2::new(900.0, 9.0), own), Vec2::ZERO, "one picture");
        let beside = compared("beside");
        assert_eq!(beside.shift_at(Vec2::new(1400.0, 9.0), own), Vec2::new(1000.0, 0.0));
        assert_eq!(beside.shift_at(Vec2::new(400.0, 9.0), own), Vec2::ZERO);
        assert_eq!(Compared::default().side_at(Vec2::new(900.0, 9.0), own), Side::This);
        assert_eq!([Compared::default().share(), swipe.share(), beside.share()], [1.0, 0.3, 0.5]);
    }

    #[test]
    fn a_look_is_read_without_camera_and_notes() {
        let text = read_look("groundline:?c=1,2,3,0,0&st=xray&off=buildings&a=x@1,2,3").unwrap();
        assert_eq!(text, "v=1&off=buildings&st=xray");
        assert_eq!(read_look(&text), Ok(text.clone()));
        let look = Compared { other: text, ..Compared::default() }.look();
        assert_eq!(look.style, Style::Xray);
        assert_eq!(look.layers, LayerChoice { without: vec!["buildings".into()], ..LayerChoice::default() });
        assert!(read_look("st=oil").is_err());
        assert!(read_look("cmp=beside").unwrap_err().contains("itself"));
        assert!(first_other(&SceneOptions::default()).contains("st=xray"));
        assert!(!first_other(&look).contains("xray"));
    }
}
