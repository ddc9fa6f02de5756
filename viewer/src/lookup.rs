//! A question to the store that does not hold up the picture.

use std::sync::{
    Arc, Mutex, PoisonError,
    mpsc::{Receiver, TryRecvError, sync_channel},
};

use groundline_engine::model::CityObject;

use crate::city::CityModel;

/// What the store says of an object: the object, nothing known, or why it cannot be read.
pub type Answer = Result<Option<Box<CityObject>>, String>;

/// An answer that is on its way or here.
#[derive(Debug)]
pub enum Lookup {
    /// The store is being read.
    Waiting(Mutex<Receiver<Answer>>),
    /// Answered.
    Here(Answer),
}

impl Lookup {
    /// Asks for object `id` on a thread of its own.
    pub fn start(city: &Arc<CityModel>, id: &str) -> Self {
        let (sender, receiver) = sync_channel(1);
        let (city, id) = (Arc::clone(city), id.to_owned());
        let spawned = std::thread::Builder::new().name("lookup".into()).spawn(move || {
            let answer = city.object(&id).map(|object| object.map(Box::new)).map_err(|error| error.to_string());
            // Nobody waits any more when another object was picked meanwhile.
            let _ = sender.send(answer);
        });
        match spawned {
            Ok(_) => Self::Waiting(Mutex::new(receiver)),
            Err(error) => Self::Here(Err(error.to_string())),
        }
    }

    /// Takes the answer if it has come; says whether it still has not.
    pub fn poll(&mut self) -> bool {
        let Self::Waiting(receiver) = self else { return false };
        let answer = match receiver.get_mut().unwrap_or_else(PoisonError::into_inner).try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return true,
            Err(TryRecvError::Disconnected) => Err("the store could not be read".to_owned()),
        };
        *self = Self::Here(answer);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundline_engine::tile::Ground;

    #[test]
    fn an_answer_comes_without_waiting_for_it() {
        let city = Arc::new(CityModel::of_layers("none", Vec::new(), Ground::default(), Vec::new()));
        let mut lookup = Lookup::start(&city, "b1");
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while lookup.poll() {
            assert!(std::time::Instant::now() < limit, "no answer");
            std::thread::yield_now();
        }
        assert!(matches!(lookup, Lookup::Here(Ok(None))));
        let (sender, receiver) = sync_channel::<Answer>(1);
        drop(sender);
        let mut lookup = Lookup::Waiting(Mutex::new(receiver));
        assert!(!lookup.poll());
        assert!(matches!(lookup, Lookup::Here(Err(_))), "a reader that died is told");
    }
}
