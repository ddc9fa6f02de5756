//! How the overlay looks: quiet dark glass over the city, one font, few sizes.
//! After ISA-101: grey where all is well, saturated colour only for what is not.

use std::sync::Arc;

use bevy_egui::egui::{
    self, Color32, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Frame, Margin, Stroke,
};

const FONT: &[u8] = include_bytes!("../../assets/fonts/NotoSansSC-Regular-subset.ttf");

/// Fonts of the system that are tried for characters that the built-in one lacks.
const SYSTEM_FONTS: [&str; 5] = [
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/arphic/uming.ttc",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
];

/// Panel background.
pub const PANEL: Color32 = Color32::from_rgba_premultiplied(13, 19, 25, 238);
/// Background of what covers the city for a while.
const SHEET: Color32 = Color32::from_rgb(16, 22, 28);
/// Thin line around panels.
pub const EDGE: Color32 = Color32::from_rgba_premultiplied(40, 48, 55, 70);
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
        .fill(PANEL)
        .stroke(Stroke::new(1.0, EDGE))
        .corner_radius(CornerRadius::same(7))
        .inner_margin(Margin::symmetric(12, 9))
}

/// The frame of what a person reads before going on, such as the help: nothing shines through.
pub fn sheet() -> Frame {
    panel().fill(SHEET).inner_margin(Margin::symmetric(14, 11))
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

    let mut visuals = egui::Visuals::dark();
    visuals.override_text_color = Some(TEXT);
    visuals.window_fill = PANEL;
    visuals.window_stroke = Stroke::new(1.0, EDGE);
    visuals.window_corner_radius = CornerRadius::same(7);
    visuals.panel_fill = PANEL;
    visuals.selection.bg_fill = Color32::from_rgb(38, 98, 112);
    visuals.window_shadow = egui::Shadow::NONE;
    ctx.set_visuals(visuals);
}
