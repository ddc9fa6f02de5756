//! Drawing styles (表现风格): how the same city is drawn for a talk, for paper, for a video wall, and seen through.

use std::str::FromStr;

use bevy::prelude::Resource;

/// How the city is drawn above ground.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Style {
    /// 写实: as the eye would see it at that time of day.
    #[default]
    Realistic = 0,
    /// 白模: a white planning model with dark edges, for print.
    Paper = 1,
    /// 暗色: quiet and dark, so that alarms stand out on a wall of screens.
    Dark = 2,
    /// 透视: buildings and ground become glass, pipes and galleries shine through.
    Xray = 3,
}

/// Every style with its word, in the order in which the key goes through them.
const WORDS: [(&str, Style); 4] =
    [("realistic", Style::Realistic), ("paper", Style::Paper), ("dark", Style::Dark), ("xray", Style::Xray)];

impl Style {
    /// Every style.
    pub const ALL: [Self; 4] = [Self::Realistic, Self::Paper, Self::Dark, Self::Xray];

    /// The word for it on the command line.
    pub fn word(self) -> &'static str {
        WORDS[usize::from(self as u8)].0
    }

    /// Under which its name is among the texts.
    pub fn text_key(self) -> &'static str {
        ["style-realistic", "style-paper", "style-dark", "style-xray"][usize::from(self as u8)]
    }

    /// The one after it; the first after the last.
    pub fn next(self) -> Self {
        Self::ALL[(usize::from(self as u8) + 1) % Self::ALL.len()]
    }
}

impl FromStr for Style {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        known.map(|(_, style)| *style).ok_or_else(|| format!("`{text}` is no style: realistic, paper, dark or xray"))
    }
}

/// Style and side of the ground together: what materials and tiles must know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drawing {
    /// Style.
    pub style: Style,
    /// Whether below ground is shown.
    pub is_below: bool,
}

impl Drawing {
    /// Which part of the shader draws the city's surfaces.
    pub fn shading(self) -> Shading {
        match self.style {
            _ if self.is_below => Shading::Glass,
            Style::Realistic => Shading::Realistic,
            Style::Paper => Shading::Paper,
            Style::Dark => Shading::Dark,
            Style::Xray => Shading::Glass,
        }
    }

    /// Whether ground and buildings are seen through, so that what lies below ground is drawn too.
    pub fn is_glass(self) -> bool {
        self.shading() == Shading::Glass
    }

    /// Whether buildings have lines along their edges.
    pub fn has_edges(self) -> bool {
        self.shading() != Shading::Realistic
    }

    /// Whether the sun throws shadows.
    pub fn has_shadows(self) -> bool {
        matches!(self.shading(), Shading::Realistic | Shading::Paper)
    }
}

/// Part of `shaders/city.wgsl` that is compiled: each gives a small pipeline of its own, made when it is first wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Shading {
    /// Light, haze, windows, water with waves.
    #[default]
    Realistic,
    /// White model.
    Paper,
    /// Dark model.
    Dark,
    /// Seen through.
    Glass,
}

impl Shading {
    /// The definition that chooses it in the shader; none for the realistic one.
    pub fn definition(self) -> Option<&'static str> {
        match self {
            Self::Realistic => None,
            Self::Paper => Some("PAPER"),
            Self::Dark => Some("DARK"),
            Self::Glass => Some("GLASS"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_styles_and_the_key_goes_through_all() {
        let mut style = Style::default();
        for (word, expected) in WORDS {
            assert_eq!(style, expected);
            assert_eq!((style.word(), word.to_uppercase().parse()), (word, Ok(style)));
            style = style.next();
        }
        assert_eq!(style, Style::Realistic);
        assert!("white".parse::<Style>().unwrap_err().contains("paper"));
    }

    #[test]
    fn only_the_realistic_style_has_no_edges_and_only_glass_is_seen_through() {
        for style in Style::ALL {
            let above = Drawing { style, is_below: false };
            assert_eq!(above.has_edges(), style != Style::Realistic);
            assert_eq!(above.is_glass(), style == Style::Xray);
            assert!(Drawing { style, is_below: true }.is_glass(), "below ground everything is");
        }
    }
}
