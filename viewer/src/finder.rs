//! Objects of the city by name, asked for on a thread of its own, one question at a time: whoever types on is answered for what
//! stands there then.

use std::sync::{
    Arc, Mutex, PoisonError,
    mpsc::{Receiver, TryRecvError, sync_channel},
};

use groundline_engine::query::Found;

use crate::city::CityModel;

/// Most objects that are listed.
const MOST: usize = 30;

/// What was found, or why not.
type Answer = Result<Vec<Found>, String>;

/// Asks for objects and keeps the last answer.
#[derive(Default)]
pub struct Finder {
    asked: String,
    waiting: Option<Mutex<Receiver<Answer>>>,
    /// The last answer.
    pub found: Vec<Found>,
    /// Why the last question has no answer.
    pub trouble: Option<String>,
}

impl Finder {
    /// Asks for `text`, unless that was asked for last; says whether an answer is on its way.
    pub fn ask(&mut self, city: &Arc<CityModel>, text: &str) -> bool {
        self.poll();
        if self.waiting.is_none() && self.asked != text {
            self.asked = text.to_owned();
            if text.trim().is_empty() {
                self.found.clear();
                return false;
            }
            let (sender, receiver) = sync_channel(1);
            let (city, text) = (Arc::clone(city), text.to_owned());
            let spawned = std::thread::Builder::new().name("find".into()).spawn(move || {
                // Nobody waits any more when the palette was closed.
                let _ = sender.send(city.find(&text, MOST));
            });
            match spawned {
                Ok(_) => self.waiting = Some(Mutex::new(receiver)),
                Err(error) => self.trouble = Some(error.to_string()),
            }
        }
        self.waiting.is_some() || self.asked != text
    }

    fn poll(&mut self) {
        let Some(receiver) = &mut self.waiting else { return };
        let answer = match receiver.get_mut().unwrap_or_else(PoisonError::into_inner).try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => Err("the store could not be read".to_owned()),
        };
        self.waiting = None;
        match answer {
            Ok(found) => (self.found, self.trouble) = (found, None),
            Err(trouble) => (self.found, self.trouble) = (Vec::new(), Some(trouble)),
        }
    }
}

#[cfg(test)]
mod tests {
    use groundline_engine::tile::Ground;

    use super::*;

    #[test]
    fn the_last_text_is_the_one_that_is_answered() {
        let city = Arc::new(CityModel::of_layers("none", Vec::new(), Ground::default(), Vec::new()));
        let mut finder = Finder::default();
        finder.ask(&city, "a");
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while finder.ask(&city, "ab") {
            assert!(std::time::Instant::now() < limit, "no answer");
            std::thread::yield_now();
        }
        assert_eq!((finder.asked.as_str(), finder.found.len()), ("ab", 0));
        assert!(!finder.ask(&city, " "), "nothing is asked for nothing");
    }
}
