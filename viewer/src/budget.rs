//! Memory for tiles (内存预算): what is let go of, and how much coarser a picture gets that would not fit.

use bevy::{
    prelude::{App, Commands},
    render::{RenderApp, mesh::allocator::MeshAllocatorSettings, slab_allocator::SlabAllocatorSettings},
};
use groundline_engine::tile::View;

use crate::{
    material::Materials,
    stream::{Streaming, TileKey, TileState, drop_tile},
};

/// Shares of the budget that the tiles of a picture may take: above the first it gets coarser, below the second finer again.
const MOST_SHOWN: f64 = 0.8;
const LEAST_SHOWN: f64 = 0.4;
/// Least and most that it gets coarser in a frame: tiles fall with the square of the error.
const COARSER: (f64, f64) = (1.05, 4.0);
/// By how much a frame it gets finer, and how coarse at most.
const FINER: f64 = 1.05;
const COARSEST: f64 = 256.0;

/// Most bytes of a buffer that meshes share. It grows by a half at once and is given back only when nothing is left in it, so a large one
/// takes much more than the meshes.
const MOST_SHARED_BYTES: u64 = 48 << 20;

/// Sets how meshes share buffers.
pub(crate) fn share_buffers(app: &mut App) {
    let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
    let shared = SlabAllocatorSettings {
        max_slab_size: MOST_SHARED_BYTES,
        large_threshold: MOST_SHARED_BYTES / 4,
        ..SlabAllocatorSettings::default()
    };
    render_app
        .insert_resource(MeshAllocatorSettings { slab_allocator_settings: shared, ..MeshAllocatorSettings::default() });
}

/// How many times the usual error a picture has, so that its tiles fit into memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pressure {
    factor: f64,
    view: Option<View>,
}

impl Default for Pressure {
    fn default() -> Self {
        Self { factor: 1.0, view: None }
    }
}

impl Pressure {
    /// Times the usual error; 1 where everything fits.
    pub fn factor(&self) -> f64 {
        self.factor
    }

    /// Follows what is shown in a view, bytes; says whether it goes on getting coarser. A picture gets finer only while the camera moves:
    /// one that rests would go to and fro between two of its cuts.
    pub fn follow(&mut self, shown: usize, budget: usize, view: &View) -> bool {
        let has_moved = self.view.replace(*view).is_some_and(|before| before != *view);
        let share = shown as f64 / (budget as f64).max(1.0);
        if share > MOST_SHOWN && self.factor < COARSEST {
            self.factor *= (share / LEAST_SHOWN).sqrt().clamp(COARSER.0, COARSER.1);
            return true;
        }
        if share < LEAST_SHOWN && has_moved {
            self.factor = (self.factor / FINER).max(1.0);
        }
        false
    }
}

/// Lets go of tiles that were not drawn for longest until the budget is kept. The ground as a whole stays: wherever the camera turns it is
/// there.
pub fn forget_oldest(streaming: &mut Streaming, commands: &mut Commands, materials: &mut Materials) {
    if streaming.bytes <= streaming.budget {
        return;
    }
    let mut candidates: Vec<(u64, TileKey)> = streaming
        .tiles
        .iter()
        .filter_map(|(key, state)| match state {
            TileState::Ready(tile) if !tile.is_shown && !tile.is_base && tile.last_drawn < streaming.frame => {
                Some((tile.last_drawn, *key))
            }
            _ => None,
        })
        .collect();
    candidates.sort_unstable();
    for (_, key) in candidates {
        if streaming.bytes <= streaming.budget {
            break;
        }
        if let Some(TileState::Ready(tile)) = streaming.tiles.remove(&key) {
            drop_tile(streaming, tile, commands);
        }
    }
    materials.forget_unused();
}

#[cfg(test)]
mod tests {
    use glam::DVec3;

    use super::*;

    fn view(x: f64) -> View {
        View::perspective(DVec3::X * x, DVec3::Y, DVec3::Z, 0.6, 1.5, 900.0)
    }

    #[test]
    fn a_picture_that_does_not_fit_gets_coarser_and_finer_again_only_under_way() {
        let mut pressure = Pressure::default();
        assert!(!pressure.follow(700, 1000, &view(0.0)));
        assert_eq!(pressure.factor(), 1.0);
        assert!(pressure.follow(900, 1000, &view(0.0)));
        let coarse = pressure.factor();
        assert!((coarse - 1.5).abs() < 1e-9, "a fourth of the tiles for half the error");
        for _ in 0..9 {
            assert!(!pressure.follow(100, 1000, &view(0.0)));
        }
        assert_eq!(pressure.factor(), coarse, "at rest it stays");
        for step in 1..99 {
            pressure.follow(100, 1000, &view(f64::from(step)));
        }
        assert_eq!(pressure.factor(), 1.0);
        let mut steps = 0;
        while pressure.follow(2, 1, &view(0.0)) {
            steps += 1;
        }
        assert!(steps < 99, "a picture that never fits comes to rest");
    }
}
