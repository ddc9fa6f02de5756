//! What is written on the city besides readings and measurements: which of it is wanted.

use std::{fmt, str::FromStr};

use bevy::prelude::Resource;

/// What of the pipes is shown besides their bodies.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Labels on leader lines (扯旗): class, size, material, depth, level.
    pub pipes: bool,
    /// Arrows along the pipes, the way it flows.
    pub flow: bool,
    /// Sleeves as wide as the survey may be wrong.
    pub sleeves: bool,
}

impl Labels {
    /// Whether pipes must be read for it.
    pub fn is_any(self) -> bool {
        self.pipes || self.flow || self.sleeves
    }
}

impl FromStr for Labels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut labels = Self::default();
        for word in text.split(',') {
            match word.trim() {
                "pipes" => labels.pipes = true,
                "flow" => labels.flow = true,
                "sleeves" => labels.sleeves = true,
                other => {
                    let other: String = other.chars().take(40).collect();
                    return Err(format!("`{other}` is nothing to write on pipes: pipes, flow or sleeves"));
                }
            }
        }
        Ok(labels)
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [(self.pipes, "pipes"), (self.flow, "flow"), (self.sleeves, "sleeves")];
        let words: Vec<&str> = words.into_iter().filter(|(is_on, _)| *is_on).map(|(_, word)| word).collect();
        f.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_they_are_written() {
        for text in ["pipes", "flow,sleeves", "pipes,flow,sleeves"] {
            assert_eq!(text.parse::<Labels>().unwrap().to_string(), text);
        }
        assert!("houses".parse::<Labels>().unwrap_err().contains("sleeves"));
        assert!("".parse::<Labels>().is_err());
    }
}
