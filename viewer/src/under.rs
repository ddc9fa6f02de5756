//! What lies under a pixel of the window: of a comparison, on the side that is seen there.

use std::sync::Arc;

use bevy::{ecs::system::SystemParam, prelude::*};
use glam::DVec3;

use crate::{
    comparison::{Compared, Side},
    cut::Cuts,
    material::Kind,
    navigation::meet_ground,
    other_side::OtherSeen,
    pick::PickTile,
    scene::{Below, CityScene, Viewed},
    snap::snap,
    stream::{Streaming, TileKey},
    style::{Drawing, Style},
};

/// What is on the screen.
#[derive(SystemParam)]
pub struct Seen<'w> {
    /// Camera and size.
    pub viewed: Res<'w, Viewed>,
    /// The city.
    pub city: Res<'w, CityScene>,
    streaming: Res<'w, Streaming>,
    /// Whether below ground is shown.
    pub below: Res<'w, Below>,
    style: Res<'w, Style>,
    compared: Res<'w, Compared>,
    other: Option<Res<'w, OtherSeen>>,
}

/// What lies under a pixel: the side that is seen there.
pub struct Under<'a> {
    /// The pixel in that side's own picture.
    pixel: Vec2,
    /// Its tiles.
    pub tiles: Vec<(TileKey, &'a Arc<PickTile>)>,
    cuts: &'a Cuts,
    drawing: Drawing,
}

impl Seen<'_> {
    /// What is to be taken off a pixel of the window for the picture of its side.
    pub fn shift(&self, pixel: Vec2) -> Vec2 {
        self.compared.shift_at(pixel, self.viewed.size)
    }

    /// The ray through a pixel of the window.
    pub fn ray(&self, pixel: Vec2) -> crate::pick::Ray {
        self.viewed.ray(pixel - self.shift(pixel))
    }

    /// What lies under a pixel of the window.
    pub fn under(&self, pixel: Vec2) -> Under<'_> {
        let own = pixel - self.shift(pixel);
        let side = self.compared.side_at(pixel, self.viewed.size);
        match self.other.as_ref().filter(|_| side == Side::Other) {
            Some(other) => Under {
                pixel: own,
                tiles: other.tiles.iter().map(|(key, tile)| (*key, tile)).collect(),
                cuts: &other.cuts,
                drawing: other.drawing,
            },
            None => Under {
                pixel: own,
                tiles: self.streaming.shown_picks().collect(),
                cuts: &self.streaming.cuts,
                drawing: Drawing { style: *self.style, is_below: self.below.0 },
            },
        }
    }
}

impl Under<'_> {
    /// The nearest thing that the ray meets: through glass pipes first, then, from above ground, the glass itself.
    pub fn met(&self, ray: &crate::pick::Ray) -> Option<(TileKey, crate::pick::Hit)> {
        let met = self.cast(ray, |kind| is_met(kind, self.drawing.is_glass()));
        met.or_else(|| self.cast(ray, |kind| kind.is_drawn(self.drawing) && is_met(kind, self.drawing.is_below)))
    }

    /// The nearest thing that the ray meets in what is drawn.
    fn cast(
        &self,
        ray: &crate::pick::Ray,
        is_seen: impl Fn(Kind) -> bool + Copy,
    ) -> Option<(TileKey, crate::pick::Hit)> {
        let mut nearest: Option<(TileKey, crate::pick::Hit)> = None;
        for (key, tile) in &self.tiles {
            let limit = nearest.as_ref().map_or(1e6, |(_, hit)| hit.distance_m);
            if let Some(hit) = tile.cast(ray, limit, is_seen, |kind, place| self.cuts.shows(kind, place)) {
                nearest = Some((*key, hit));
            }
        }
        nearest
    }
}

/// What the mouse can meet: below ground the ghosts do not count.
fn is_met(kind: Kind, is_below: bool) -> bool {
    match kind {
        Kind::Lines | Kind::Highlight | Kind::Ghost => false,
        Kind::Pipe | Kind::Structure | Kind::Points => true,
        _ => !is_below,
    }
}

/// The place that a hand at `pixel` takes hold of.
pub fn grabbed(pixel: Vec2, seen: &Seen) -> DVec3 {
    let (ray, under) = (seen.ray(pixel), seen.under(pixel));
    under
        .cast(&ray, |kind| is_met(kind, under.drawing.is_below))
        .map(|(_, hit)| hit.place)
        .or_else(|| meet_ground(&seen.city.0, &ray))
        .unwrap_or_else(|| ray.from + ray.direction * 1000.0)
}

/// Where a measuring click at `pixel` goes, and what is hit there.
pub fn aimed(pixel: Vec2, seen: &Seen) -> (Option<crate::snap::Snap>, Option<(TileKey, crate::pick::Hit)>) {
    let under = seen.under(pixel);
    let is_seen = |kind| is_met(kind, under.drawing.is_below);
    let ray = seen.ray(pixel);
    let hit = under.cast(&ray, is_seen);
    let surface = hit.as_ref().map(|(_, hit)| hit.place).or_else(|| meet_ground(&seen.city.0, &ray));
    let tiles: Vec<_> = under.tiles.iter().map(|(_, tile)| *tile).collect();
    let is_left = |kind, place| under.cuts.shows(kind, place);
    (snap(&tiles, &seen.viewed, under.pixel, surface, is_seen, is_left), hit)
}
