//! Draw calls of a frame, as the render phases issue them.

use bevy::{
    app::SubApp,
    core_pipeline::{
        core_3d::{AlphaMask3d, Opaque3d, Transparent3d},
        prepass::{AlphaMask3dPrepass, Opaque3dPrepass},
    },
    pbr::Shadow,
    prelude::*,
    render::render_phase::{
        BinnedPhaseItem, BinnedRenderPhase, SortedPhaseItem, ViewBinnedRenderPhases, ViewSortedRenderPhases,
    },
};
use serde::Serialize;

/// Draw calls of the last frame; panels and labels, which are no part of the city, are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DrawCount {
    /// What hides what is behind it, depth beforehand included.
    pub solid: usize,
    /// What is seen through.
    pub clear: usize,
    /// Into the shadow maps, all cascades together.
    pub shadow: usize,
}

impl DrawCount {
    /// Counts what the render world drew last. The phases keep their items until the next frame is prepared.
    pub fn of(render: &SubApp) -> Self {
        let world = render.world();
        Self {
            solid: binned::<Opaque3d>(world)
                + binned::<AlphaMask3d>(world)
                + binned::<Opaque3dPrepass>(world)
                + binned::<AlphaMask3dPrepass>(world),
            clear: sorted::<Transparent3d>(world),
            shadow: binned::<Shadow>(world),
        }
    }

    /// All of them.
    pub fn total(&self) -> usize {
        self.solid + self.clear + self.shadow
    }
}

fn binned<Item: BinnedPhaseItem>(world: &World) -> usize {
    let Some(views) = world.get_resource::<ViewBinnedRenderPhases<Item>>() else { return 0 };
    views.0.values().map(calls).sum()
}

/// One call a set that is drawn indirectly, one a bin that is batched, one for each of the rest.
fn calls<Item: BinnedPhaseItem>(phase: &BinnedRenderPhase<Item>) -> usize {
    phase.multidrawable_meshes.len()
        + phase.batchable_meshes.len()
        + phase.unbatchable_meshes.values().map(|bin| bin.entities.len()).sum::<usize>()
        + phase.non_mesh_items.values().map(|bin| bin.entities.len()).sum::<usize>()
}

/// An item with a range stands for as many as the range is long: the rest of its batch is passed over.
fn sorted<Item: SortedPhaseItem>(world: &World) -> usize {
    let Some(views) = world.get_resource::<ViewSortedRenderPhases<Item>>() else { return 0 };
    views.0.values().map(|phase| batches(phase.items.values().map(|item| item.batch_range().len()))).sum()
}

/// Calls for items whose batches are so long; nothing is drawn for an empty one.
fn batches(lengths: impl Iterator<Item = usize>) -> usize {
    let (mut calls, mut passed_over) = (0, 0);
    for length in lengths {
        if passed_over > 0 {
            passed_over -= 1;
        } else if length > 0 {
            calls += 1;
            passed_over = length - 1;
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_one_call() {
        assert_eq!(batches([3, 1, 1, 0, 1, 2, 1].into_iter()), 3);
        assert_eq!(batches([0, 0].into_iter()), 0);
        assert_eq!(DrawCount { solid: 2, clear: 3, shadow: 4 }.total(), 9);
    }
}
