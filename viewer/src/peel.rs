//! What is taken off the city to see what is behind (剥层, 隔离): networks, strata, storeys, single objects. It changes the picture
//! alone; [`crate::sift`] finds the objects that are meant.

use std::{fmt, str::FromStr};

use bevy::prelude::Resource;
use groundline_engine::model::{PipeKind, Stage};

/// Farthest that storeys are drawn apart, metres.
pub const MOST_GAP_M: f64 = 100.0;
/// Most objects that are hidden one by one.
pub const MOST_HIDDEN: usize = 200;

/// What is taken off.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct Peel {
    /// Of the networks, pipes of this class alone are left.
    pub network: Option<PipeKind>,
    /// So many of the uppermost strata are gone.
    pub strata: u8,
    /// Objects of these stages of life alone are left; all where there is none.
    pub stages: Vec<Stage>,
    /// What becomes of the storeys of a building.
    pub storeys: Option<Storeys>,
    /// Objects that are hidden, by id.
    pub hidden: Vec<String>,
    /// One object that stands alone or among ghosts.
    pub focus: Option<Focus>,
}

impl Peel {
    /// Whether nothing is taken off.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Shows objects of a stage, or not.
    pub fn choose_stage(&mut self, stage: Stage, is_chosen: bool) {
        let is_left = |one: &Stage| if *one == stage { is_chosen } else { self.stages.contains(one) };
        self.stages = Stage::ALL.iter().copied().filter(is_left).collect();
    }
}

/// One object that is to be seen before all others of its layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Focus {
    /// Its id.
    pub id: String,
    /// The others are ghosts; else they are gone.
    pub has_ghosts: bool,
}

/// Storeys of the building in a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Storeys {
    /// The layer.
    pub layer: String,
    /// What becomes of them.
    pub manner: Manner,
}

/// What becomes of storeys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Manner {
    /// They are drawn apart, each higher than the one below by so many metres more.
    Fan {
        /// Metres.
        gap_m: f64,
    },
    /// One is left, counted from the lowest, which is 1.
    Only {
        /// Which.
        number: u16,
    },
    /// The city is cut at the height of an eye above the floor of this one.
    Eye {
        /// Which.
        number: u16,
    },
}

impl FromStr for Storeys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            let text: String = text.chars().take(60).collect();
            format!("`{text}`: LAYER:fan=METRES, LAYER:N (one storey, the lowest is 1) or LAYER:eye=N is wanted")
        };
        let (layer, manner) = text.rsplit_once(':').filter(|(layer, _)| !layer.is_empty()).ok_or_else(wrong)?;
        let number = |word: &str| word.parse().ok().filter(|number| (1..=999).contains(number)).ok_or_else(wrong);
        let manner = match manner.split_once('=') {
            Some(("fan", gap)) => {
                let gap_m = gap.parse().ok().filter(|gap| (0.0..=MOST_GAP_M).contains(gap)).ok_or_else(wrong)?;
                Manner::Fan { gap_m }
            }
            Some(("eye", word)) => Manner::Eye { number: number(word)? },
            Some(_) => return Err(wrong()),
            None => Manner::Only { number: number(manner)? },
        };
        Ok(Self { layer: layer.to_owned(), manner })
    }
}

impl fmt::Display for Storeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.manner {
            Manner::Fan { gap_m } => write!(f, "{}:fan={gap_m}", self.layer),
            Manner::Only { number } => write!(f, "{}:{number}", self.layer),
            Manner::Eye { number } => write!(f, "{}:eye={number}", self.layer),
        }
    }
}

/// The stage of life that a word means: `planned`, or 规划.
pub fn stage(word: &str) -> Result<Stage, String> {
    Stage::ALL.iter().copied().find(|stage| stage.word() == word || stage.zh() == word).ok_or_else(|| {
        let word: String = word.chars().take(40).collect();
        let known: Vec<&str> = Stage::ALL.iter().map(|stage| stage.word()).collect();
        format!("`{word}` is no stage: {}", known.join(", "))
    })
}

/// The class of pipes that a word means: `gas`, or 燃气.
pub fn network(word: &str) -> Result<PipeKind, String> {
    PipeKind::ALL.iter().copied().find(|kind| kind.word() == word || kind.zh() == word).ok_or_else(|| {
        let word: String = word.chars().take(40).collect();
        let known: Vec<&str> = PipeKind::ALL.iter().map(|kind| kind.word()).collect();
        format!("`{word}` is no class of pipes: {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storeys_are_read_as_they_are_written() {
        for text in ["海湾中心:fan=3.5", "a:b:2", "FZK:eye=1"] {
            assert_eq!(text.parse::<Storeys>().unwrap().to_string(), text);
        }
        for bad in
            ["", "FZK", ":2", "FZK:0", "FZK:fan=-1", "FZK:fan=1e9", "FZK:fan=x", "FZK:fly=1", "FZK:eye=0", "FZK:-3"]
        {
            assert!(bad.parse::<Storeys>().is_err(), "{bad}");
        }
        assert_eq!((network("gas"), network("燃气")), (Ok(PipeKind::Gas), Ok(PipeKind::Gas)));
        assert_eq!((stage("planned"), stage("现状")), (Ok(Stage::Planned), Ok(Stage::Operation)));
        assert!(stage("beer").unwrap_err().contains("retired"));
        assert!(network("beer").unwrap_err().contains("sewage"));
    }

    #[test]
    fn stages_stand_in_the_order_of_life() {
        let mut peel = Peel::default();
        peel.choose_stage(Stage::Operation, true);
        peel.choose_stage(Stage::Planned, true);
        assert_eq!(peel.stages, [Stage::Planned, Stage::Operation]);
        peel.choose_stage(Stage::Operation, false);
        assert_eq!(peel.stages, [Stage::Planned]);
        peel.choose_stage(Stage::Planned, false);
        assert!(peel.is_empty());
    }
}
