//! Which tiles hills hide from the eye ([`groundline_engine::tile::Horizon`]): they are neither read nor drawn.

use std::{
    sync::{Arc, OnceLock},
    thread,
};

use groundline_engine::{
    model::Extent,
    tile::{Horizon, LowGround, View},
};

use crate::{
    city::CityModel,
    stream::{ShownLayers, Streaming},
};

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

impl Streaming {
    /// Finds out what hills hide: nothing, unless the ground `is_solid` and all of it is shown, or in a single picture, which waits for
    /// nothing that it does not draw.
    pub(crate) fn look_past_hills(&mut self, city: &Arc<CityModel>, view: &View, is_solid: bool, shown: &ShownLayers) {
        if self.is_single_picture {
            return;
        }
        let ground = |layer: usize| city.layers.get(layer).filter(|layer| layer.is_ground());
        let is_whole = |layer: usize| shown.0.get(layer).copied().unwrap_or(true) && self.sift(layer).is_none();
        let is_all = (0..city.layers.len()).all(|layer| ground(layer).is_none() || is_whole(layer));
        let drawn = self.shown.iter().filter_map(|key| {
            let tree = ground(key.layer)?.tree.now();
            tree.tiles().get(key.tile.index()).map(|tile| (tile.extent, tile.geometric_error_m))
        });
        self.hidden.look(city, view, (is_solid && is_all).then_some(drawn));
    }
}
