//! Which tiles hills hide from the eye ([`groundline_engine::tile::Horizon`]): they are neither read nor drawn.

use std::{
    sync::{Arc, OnceLock},
    thread,
};

use groundline_engine::{
    model::Extent,
    tile::{Horizon, LowGround, View},
};

use crate::city::CityModel;

/// What of a city the ground hides.
#[derive(Default)]
pub struct Hidden {
    /// The city whose heights are, or will be, in `low`.
    city: Option<Arc<CityModel>>,
    low: Arc<OnceLock<LowGround>>,
    horizon: Option<Horizon>,
    /// How much less the ground may rise as it is drawn, rise over run; without, nothing is hidden.
    less: Option<f64>,
}

impl Hidden {
    /// Looks from where `view` is. `drawn` are the tiles of the ground that are drawn, with how far each may be off, metres; none where
    /// the ground is not solid or not all of it is shown.
    pub fn look(&mut self, city: &Arc<CityModel>, view: &View, drawn: Option<impl Iterator<Item = (Extent, f64)>>) {
        self.less = None;
        if !self.city.as_ref().is_some_and(|known| Arc::ptr_eq(known, city)) {
            (self.city, self.low, self.horizon) = (Some(city.clone()), Arc::default(), None);
            let (city, low) = (city.clone(), self.low.clone());
            let read = move || {
                low.get_or_init(|| LowGround::new(&city.ground));
            };
            if let Err(error) = thread::Builder::new().name("horizon".into()).spawn(read) {
                tracing::error!("no thread for the heights of the ground: {error}");
            }
        }
        let (Some(drawn), Some(low)) = (drawn, self.low.get()) else { return };
        let is_above = city.ground.height_at(view.eye.truncate()).is_none_or(|ground| ground < view.eye.z);
        let rises = drawn.map(|(extent, error_m)| error_m / view.distance(&extent).max(Horizon::NEAREST_M));
        self.less = rises.reduce(f64::max).filter(|_| is_above).map(|less| less + 2.0 / view.pixels_per_m);
        if self.less.is_some() && !self.horizon.as_ref().is_some_and(|horizon| horizon.eye() == view.eye) {
            self.horizon = Some(Horizon::new(low, view.eye));
        }
    }

    /// Whether nothing of a box can be seen.
    pub fn hides(&self, extent: &Extent) -> bool {
        self.less.zip(self.horizon.as_ref()).is_some_and(|(less, horizon)| horizon.hides(extent, less))
    }
}
