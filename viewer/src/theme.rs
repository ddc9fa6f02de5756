//! How the overlay looks: quiet glass over the city, dark or light, one font, few sizes. What is written on the city itself
//! is the same in both.
//! After ISA-101: grey where all is well, saturated colour only for what is not.

use std::{cell::Cell, str::FromStr, sync::Arc};

use bevy_egui::egui::{
    self, Color32, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Frame, Margin, Stroke,
};
use serde::{Deserialize, Serialize};

const FONT: &[u8] = include_bytes!("../../assets/fonts/NotoSansSC-Regular-subset.ttf");

/// Fonts of the system that are tried for characters that the built-in one lacks.
const SYSTEM_FONTS: [&str; 5] = [
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/arphic/uming.ttc",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
];

/// Light or dark panels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// Dark glass: the city stands out.
    #[default]
    Dark,
    /// Light paper: for bright rooms.
    Light,
}

impl Theme {
    /// The other one of the two.
    pub fn other(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light => Self::Dark,
        }
    }
}

impl FromStr for Theme {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().to_ascii_lowercase().as_str() {
            "dark" => Ok(Self::Dark),
            "light" => Ok(Self::Light),
            other => Err(format!("`{other}` is no theme: dark or light")),
        }
    }
}

thread_local! {
    /// The theme of what is being drawn; set as each picture begins.
    static THEME: Cell<Theme> = const { Cell::new(Theme::Dark) };
}

/// A colour with a meaning, which each theme has in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ink {
    dark: Color32,
    light: Color32,
}

impl Ink {
    const fn new(dark: Color32, light: Color32) -> Self {
        Self { dark, light }
    }

    /// As the theme has it.
    pub fn colour(self) -> Color32 {
        match THEME.get() {
            Theme::Dark => self.dark,
            Theme::Light => self.light,
        }
    }

    /// Thinner.
    pub fn gamma_multiply(self, factor: f32) -> Color32 {
        self.colour().gamma_multiply(factor)
    }
}

impl From<Ink> for Color32 {
    fn from(ink: Ink) -> Self {
        ink.colour()
    }
}

/// Panel background.
pub const PANEL: Ink =
    Ink::new(Color32::from_rgba_premultiplied(13, 19, 25, 238), Color32::from_rgba_premultiplied(237, 239, 241, 244));
/// Background of what covers the city for a while.
const SHEET: Ink = Ink::new(Color32::from_rgb(16, 22, 28), Color32::from_rgb(250, 251, 252));
/// Thin line around panels.
pub const EDGE: Ink =
    Ink::new(Color32::from_rgba_premultiplied(40, 48, 55, 70), Color32::from_rgba_premultiplied(52, 56, 60, 90));
/// Text that matters.
pub const TEXT: Ink = Ink::new(dark::TEXT, Color32::from_rgb(24, 32, 38));
/// Text beside it.
pub const MUTED: Ink = Ink::new(dark::MUTED, Color32::from_rgb(82, 96, 106));
/// What all is well looks like.
pub const QUIET: Ink = Ink::new(dark::QUIET, Color32::from_rgb(70, 102, 124));
/// Something to be picked out without being an alarm.
pub const ACCENT: Ink = Ink::new(dark::ACCENT, Color32::from_rgb(0, 104, 130));
/// A value that was assumed.
pub const ASSUMED: Ink = Ink::new(dark::ASSUMED, Color32::from_rgb(150, 88, 0));

/// The dark theme's colours, in which everything is written that stands on the city itself.
pub mod dark {
    use super::Color32;

    /// Text that matters.
    pub const TEXT: Color32 = Color32::from_rgb(232, 238, 242);
    /// Text beside it.
    pub const MUTED: Color32 = Color32::from_rgb(156, 171, 182);
    /// What all is well looks like.
    pub const QUIET: Color32 = Color32::from_rgb(128, 158, 178);
    /// Something to be picked out without being an alarm.
    pub const ACCENT: Color32 = Color32::from_rgb(94, 200, 220);
    /// A value that was assumed.
    pub const ASSUMED: Color32 = Color32::from_rgb(240, 178, 74);
}

/// Colour of an alarm of this priority (1 = highest).
pub fn alarm_colour(priority: u8) -> Color32 {
    match priority {
        0 | 1 => Color32::from_rgb(226, 52, 44),
        2 => Color32::from_rgb(242, 140, 30),
        _ => Color32::from_rgb(232, 200, 40),
    }
}

/// Text that can be read on a colour.
pub fn on_colour(colour: Color32) -> Color32 {
    let light = 0.299 * f32::from(colour.r()) + 0.587 * f32::from(colour.g()) + 0.114 * f32::from(colour.b());
    if light > 150.0 { Color32::from_rgb(20, 20, 20) } else { Color32::WHITE }
}

/// The font at a size in points.
pub fn font(size: f32) -> FontId {
    FontId::new(size, FontFamily::Proportional)
}

/// The frame of every panel.
pub fn panel() -> Frame {
    Frame::new()
        .fill(PANEL.into())
        .stroke(Stroke::new(1.0, EDGE))
        .corner_radius(CornerRadius::same(7))
        .inner_margin(Margin::symmetric(12, 9))
}

/// The frame of what a person reads before going on, such as the help: nothing shines through.
pub fn sheet() -> Frame {
    panel().fill(SHEET.into()).inner_margin(Margin::symmetric(14, 11))
}

/// Fonts and colours, once per context.
pub fn apply(ctx: &egui::Context) {
    let mut fonts = FontDefinitions::empty();
    fonts.font_data.insert("noto".into(), Arc::new(FontData::from_static(FONT)));
    let mut names = vec!["noto".to_owned()];
    for path in SYSTEM_FONTS {
        if let Ok(bytes) = std::fs::read(path) {
            fonts.font_data.insert(path.into(), Arc::new(FontData::from_owned(bytes)));
            names.push(path.to_owned());
            break;
        }
    }
    fonts.families.insert(FontFamily::Proportional, names.clone());
    fonts.families.insert(FontFamily::Monospace, names);
    ctx.set_fonts(fonts);
    // The window's own keys change the scale.
    ctx.options_mut(|options| options.zoom_with_keyboard = false);
    colour(ctx, Theme::Dark);
}

/// The colours of a theme for everything that is drawn on this thread from now on, and for egui's own widgets.
pub fn colour(ctx: &egui::Context, theme: Theme) {
    THEME.set(theme);
    let mut visuals = match theme {
        Theme::Dark => egui::Visuals::dark(),
        Theme::Light => egui::Visuals::light(),
    };
    visuals.override_text_color = Some(TEXT.into());
    visuals.window_fill = PANEL.into();
    visuals.window_stroke = Stroke::new(1.0, EDGE);
    visuals.window_corner_radius = CornerRadius::same(7);
    visuals.panel_fill = PANEL.into();
    visuals.selection.bg_fill = match theme {
        Theme::Dark => Color32::from_rgb(38, 98, 112),
        Theme::Light => Color32::from_rgb(164, 214, 224),
    };
    // Whoever works by keys sees where they are.
    visuals.selection.stroke = Stroke::new(2.0, ACCENT);
    visuals.window_shadow = egui::Shadow::NONE;
    if ctx.global_style().visuals != visuals {
        ctx.set_visuals(visuals);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance of WCAG 2.2.
    fn luminance(colour: Color32) -> f64 {
        let linear = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(colour.r()) + 0.7152 * linear(colour.g()) + 0.0722 * linear(colour.b())
    }

    #[test]
    fn what_is_written_on_panels_can_be_read_in_both_themes() {
        let ctx = egui::Context::default();
        for theme in [Theme::Dark, Theme::Light] {
            colour(&ctx, theme);
            let ground = luminance(SHEET.into());
            for (name, ink) in [("text", TEXT), ("muted", MUTED), ("accent", ACCENT), ("assumed", ASSUMED)] {
                let ink = luminance(ink.into());
                let contrast = (ground.max(ink) + 0.05) / (ground.min(ink) + 0.05);
                assert!(contrast >= 4.5, "{theme:?} {name}: {contrast:.2}");
            }
            assert_eq!(ctx.global_style().visuals.dark_mode, theme == Theme::Dark);
        }
        assert_eq!("Light".parse::<Theme>(), Ok(Theme::Light));
        assert!("blue".parse::<Theme>().is_err());
    }
}
