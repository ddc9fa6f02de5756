//! Tiles that take each other's place fade into each other, so that nothing pops. For a short time both are drawn, each at the
//! pixels where the other is not (a fixed pattern, `shaders/city.wgsl`): together they cover whatever each covers alone.
//!
//! Only a tile and what lies above or below it in its tree fade; what comes into view or leaves it is drawn or not at once.
//! While some fade, what else is chosen in their place waits until they have done; where a place comes into view that only one of
//! the two covers, they have done at once, or half of its pixels would be nobody's.

use std::collections::{HashMap, HashSet};

use crate::stream::TileKey;

/// How long it takes, seconds.
pub const FADE_S: f64 = 0.3;
/// Most tiles that fade at a time: both sides are drawn, and where more changes at once the camera has jumped.
pub const MOST_TILES: usize = 64;

/// How much of a tile is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Of 256 levels of the pattern those below it belong to what comes, the others to what leaves.
    pub share: u8,
    /// It leaves.
    pub is_leaving: bool,
}

impl Part {
    /// As the shader reads it: 0 is a tile that does not fade.
    pub fn tag(self) -> u32 {
        1 + u32::from(self.share) + if self.is_leaving { 256 } else { 0 }
    }

    /// Whether, of the two, it is the one that throws the shadow and has the lines.
    pub fn is_ahead(self) -> bool {
        (self.share >= 128) != self.is_leaving
    }
}

/// Tiles that take each other's place.
#[derive(Clone, Debug, PartialEq)]
struct Group {
    /// The tile above all others of it.
    top: TileKey,
    begun_s: f64,
    coming: Vec<TileKey>,
    leaving: Vec<TileKey>,
}

/// What fades.
#[derive(Debug, Default)]
pub struct Fades {
    groups: Vec<Group>,
    /// What was drawn last, without what was leaving.
    drawn: HashSet<TileKey>,
    now_s: f64,
}

impl Fades {
    /// Whether anything fades.
    pub fn is_any(&self) -> bool {
        !self.groups.is_empty()
    }

    /// The tiles to draw besides those that [`Fades::step`] gave back: they are leaving.
    pub fn leaving(&self) -> impl Iterator<Item = TileKey> + '_ {
        self.groups.iter().flat_map(|group| group.leaving.iter().copied())
    }

    /// Every tile that fades, and how much of it is drawn.
    pub fn parts(&self) -> impl Iterator<Item = (TileKey, Part)> + '_ {
        self.groups.iter().flat_map(|group| {
            let share = ((self.now_s - group.begun_s) / FADE_S).clamp(0.0, 1.0);
            // Slow at both ends.
            let share = (share * share * (3.0 - 2.0 * share) * 255.0).round() as u8;
            let part = move |is_leaving| move |key: &TileKey| (*key, Part { share, is_leaving });
            group.coming.iter().map(part(false)).chain(group.leaving.iter().map(part(true)))
        })
    }

    /// Ends whatever fades and forgets what was drawn: the tiles of these numbers may be others now.
    pub fn stop(&mut self) {
        self.groups.clear();
        self.drawn.clear();
    }

    /// What to draw for what is `chosen` at `now_s`; `parent` is the tile above one, `children` are those below one that are in view, none
    /// of a leaf, and nothing new fades unless it `may_begin`.
    pub fn step(
        &mut self,
        chosen: Vec<TileKey>,
        now_s: f64,
        may_begin: bool,
        parent: impl Fn(TileKey) -> Option<TileKey>,
        children: impl Fn(TileKey) -> Option<Vec<TileKey>>,
    ) -> Vec<TileKey> {
        self.now_s = now_s;
        let wanted: HashSet<TileKey> = chosen.iter().copied().collect();
        self.groups.retain(|group| {
            now_s - group.begun_s < FADE_S && now_s >= group.begun_s && group.covers_twice(&wanted, &children)
        });
        let mut out = chosen;
        let mut changes: Vec<Group> = changes(&self.drawn, &wanted, parent).into_values().collect();
        let running: usize = self.groups.iter().map(Group::len).sum();
        let coming: usize = changes.iter().map(Group::len).sum();
        if !may_begin || running + coming > MOST_TILES {
            self.groups.clear();
            changes.clear();
        }
        let (mut waiting, mut begun): (HashSet<TileKey>, Vec<Group>) = (HashSet::new(), Vec::new());
        for change in changes {
            let fades = |key: &TileKey| self.groups.iter().any(|group| group.has(*key));
            if change.leaving.iter().chain(&change.coming).any(fades) {
                waiting.extend(&change.coming);
                out.extend(&change.leaving);
            } else if change.covers_twice(&wanted, &children) {
                begun.push(Group { begun_s: now_s, ..change });
            }
        }
        out.retain(|key| !waiting.contains(key));
        self.groups.extend(begun);
        self.drawn = out.iter().copied().collect();
        let drawn = &self.drawn;
        for group in &mut self.groups {
            group.coming.retain(|key| drawn.contains(key));
            group.leaving.retain(|key| !drawn.contains(key));
        }
        self.groups.retain(|group| !group.coming.is_empty() && !group.leaving.is_empty());
        out
    }
}

impl Group {
    fn len(&self) -> usize {
        self.coming.len() + self.leaving.len()
    }

    fn has(&self, key: TileKey) -> bool {
        self.coming.contains(&key) || self.leaving.contains(&key)
    }

    /// Whether whatever is in view of its top is covered by tiles below it as well.
    fn covers_twice(&self, wanted: &HashSet<TileKey>, children: &impl Fn(TileKey) -> Option<Vec<TileKey>>) -> bool {
        let mut bare = children(self.top).unwrap_or_default();
        while let Some(key) = bare.pop() {
            if self.has(key) || wanted.contains(&key) {
                continue;
            }
            let Some(below) = children(key) else { return false };
            bare.extend(below);
        }
        true
    }
}

/// What takes the place of what, by the uppermost tile of each change.
fn changes(
    before: &HashSet<TileKey>,
    after: &HashSet<TileKey>,
    parent: impl Fn(TileKey) -> Option<TileKey>,
) -> HashMap<TileKey, Group> {
    let mut out: HashMap<TileKey, Group> = HashMap::new();
    let above = |key: TileKey, is_wanted: &dyn Fn(&TileKey) -> bool| {
        std::iter::successors(parent(key), |key| parent(*key)).find(is_wanted)
    };
    let empty = |top: &TileKey| Group { top: *top, begun_s: 0.0, coming: Vec::new(), leaving: Vec::new() };
    for key in after.difference(before) {
        if let Some(top) = above(*key, &|key| before.contains(key) && !after.contains(key)) {
            out.entry(top).or_insert_with_key(empty).coming.push(*key);
        }
    }
    for key in before.difference(after) {
        if let Some(top) = above(*key, &|key| after.contains(key) && !before.contains(key)) {
            out.entry(top).or_insert_with_key(empty).leaving.push(*key);
        }
    }
    for (top, group) in &mut out {
        if before.contains(top) {
            group.leaving.push(*top);
        } else {
            group.coming.push(*top);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use groundline_engine::tile::TileId;

    use super::*;

    fn key(tile: u32) -> TileKey {
        TileKey { layer: 0, tile: TileId(tile) }
    }

    fn keys(tiles: &[u32]) -> Vec<TileKey> {
        tiles.iter().copied().map(key).collect()
    }

    /// A tree of fours: 0 over 1 to 4, 1 over 5 to 8 and so on; another layer has the same.
    fn parent(key: TileKey) -> Option<TileKey> {
        key.tile.0.checked_sub(1).map(|below| TileKey { tile: TileId(below / 4), ..key })
    }

    fn numbers(mut tiles: Vec<TileKey>) -> Vec<u32> {
        tiles.sort();
        tiles.into_iter().map(|key| key.tile.0).collect()
    }

    fn leaving(fades: &Fades) -> Vec<u32> {
        numbers(fades.leaving().collect())
    }

    /// Of three levels; tiles with one of these numbers are out of view.
    fn children(unseen: &[u32]) -> impl Fn(TileKey) -> Option<Vec<TileKey>> {
        move |key| {
            let below = (key.tile.0 < 5).then(|| key.tile.0 * 4 + 1..=key.tile.0 * 4 + 4)?;
            let seen = below.filter(|tile| !unseen.contains(tile));
            Some(seen.map(|tile| TileKey { tile: TileId(tile), ..key }).collect())
        }
    }

    /// What is not chosen is out of view.
    fn step(fades: &mut Fades, tiles: &[u32], now_s: f64) -> Vec<u32> {
        let unseen: Vec<u32> = (1..21).filter(|tile| !tiles.contains(tile)).collect();
        step_unseen(fades, tiles, now_s, &unseen)
    }

    fn step_unseen(fades: &mut Fades, tiles: &[u32], now_s: f64, unseen: &[u32]) -> Vec<u32> {
        numbers(fades.step(keys(tiles), now_s, true, parent, children(unseen)))
    }

    #[test]
    fn a_tile_and_its_children_share_the_pixels_and_end() {
        let mut fades = Fades::default();
        assert_eq!(step(&mut fades, &[0], 1.0), [0]);
        assert!(!fades.is_any(), "what comes into view is there at once");
        assert_eq!(step(&mut fades, &[1, 2, 3, 4], 2.0), [1, 2, 3, 4]);
        assert_eq!(leaving(&fades), [0]);
        let shares = |fades: &Fades| fades.parts().map(|(_, part)| part.share).collect::<HashSet<_>>();
        assert_eq!((fades.parts().count(), shares(&fades)), (5, HashSet::from([0])));
        let mut last = 0;
        for tenth in 1..10 {
            step(&mut fades, &[1, 2, 3, 4], 2.0 + FADE_S * f64::from(tenth) / 10.0);
            let all = shares(&fades);
            assert_eq!(all.len(), 1, "the same for what comes and what leaves: no pixel is left out");
            let share = *all.iter().next().unwrap();
            assert!(share > last, "{share} after {last}");
            last = share;
        }
        step(&mut fades, &[1, 2, 3, 4], 2.0 + FADE_S + 0.001);
        assert!(!fades.is_any());
        // And back: the children leave for their parent.
        assert_eq!(step(&mut fades, &[0], 4.0), [0]);
        assert_eq!(leaving(&fades), [1, 2, 3, 4]);
    }

    #[test]
    fn what_is_not_above_or_below_another_does_not_fade() {
        let mut fades = Fades::default();
        step(&mut fades, &[1, 2], 1.0);
        // 2 leaves the view, 3 comes into it.
        assert_eq!(step(&mut fades, &[1, 3], 2.0), [1, 3]);
        assert!(!fades.is_any());
        let other = TileKey { layer: 1, tile: TileId(5) };
        fades.step([keys(&[3]), vec![other]].concat(), 3.0, true, parent, children(&[]));
        assert!(!fades.is_any(), "1 left; 5 of another layer came");
    }

    #[test]
    fn what_is_chosen_anew_waits_for_what_fades_in_its_place() {
        let mut fades = Fades::default();
        step(&mut fades, &[0], 1.0);
        step(&mut fades, &[1, 2, 3, 4], 2.0);
        assert_eq!(step(&mut fades, &[0], 2.1), [1, 2, 3, 4], "back while it fades: not yet");
        assert_eq!(leaving(&fades), [0]);
        assert_eq!(step(&mut fades, &[5, 6, 7, 8, 2, 3, 4], 2.2), [1, 2, 3, 4], "finer while it fades: not yet");
        assert_eq!(step(&mut fades, &[5, 6, 7, 8, 2, 3, 4], 2.4), [2, 3, 4, 5, 6, 7, 8], "now");
        assert_eq!(leaving(&fades), [1]);
        // Elsewhere nothing waits.
        assert_eq!(step(&mut fades, &[5, 6, 7, 8, 9, 10, 11, 12, 3, 4], 2.45), [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(leaving(&fades), [1, 2]);
    }

    #[test]
    fn who_turns_away_meanwhile_sees_no_rest() {
        let mut fades = Fades::default();
        step(&mut fades, &[0], 1.0);
        step(&mut fades, &[1, 2], 2.0);
        assert_eq!(step(&mut fades, &[2, 3], 2.1), [2, 3], "1 is out of view, 3 in it at once");
        assert_eq!(leaving(&fades), [0]);
        assert!(step(&mut fades, &[], 2.15).is_empty());
        assert!(!fades.is_any());
    }

    #[test]
    fn what_comes_into_view_and_is_covered_once_ends_the_fade() {
        let mut fades = Fades::default();
        let west = [3, 4];
        // The two in view leave for the one above; then another part of that comes into view.
        step_unseen(&mut fades, &[1, 2], 1.0, &west);
        assert_eq!(step_unseen(&mut fades, &[0], 2.0, &west), [0]);
        assert_eq!(leaving(&fades), [1, 2]);
        step_unseen(&mut fades, &[0], 2.1, &west);
        assert!(fades.is_any());
        assert_eq!(step_unseen(&mut fades, &[0], 2.2, &[4]), [0]);
        assert!(!fades.is_any(), "of 3 nothing is there to share the pixels");

        // The other way: 3 comes into view and is not there, so that the one above is chosen again.
        assert_eq!(step_unseen(&mut fades, &[1, 2], 3.0, &west), [1, 2]);
        assert_eq!(leaving(&fades), [0]);
        assert_eq!(step_unseen(&mut fades, &[0], 3.1, &[4]), [0]);
        assert!(!fades.is_any());
        // Where 3 is there, whole or in parts, the rest goes on.
        for fine in [vec![1, 2, 3], vec![1, 2, 13, 14, 15, 16]] {
            step_unseen(&mut fades, &[0], 4.0, &west);
            fades.stop();
            step_unseen(&mut fades, &[0], 5.0, &west);
            step_unseen(&mut fades, &[1, 2], 6.0, &west);
            assert_eq!(step_unseen(&mut fades, &fine, 6.1, &[4]), fine.to_vec());
            assert_eq!(leaving(&fades), [0]);
        }
    }

    #[test]
    fn a_jump_and_a_slow_frame_do_not_fade() {
        let mut fades = Fades::default();
        let coarse: Vec<u32> = (21..85).collect();
        let fine: Vec<u32> = (85..341).collect();
        step(&mut fades, &coarse, 1.0);
        assert_eq!(step(&mut fades, &fine, 2.0).len(), 256);
        assert!(!fades.is_any(), "hundreds at once");
        step(&mut fades, &[0], 3.0);
        fades.stop();
        fades.step(keys(&[1, 2, 3, 4]), 3.1, false, parent, children(&[]));
        assert!(!fades.is_any(), "not now");
    }

    #[test]
    fn of_two_that_fade_one_throws_the_shadow() {
        for share in [0, 1, 127, 128, 254, 255] {
            let [comes, leaves] = [false, true].map(|is_leaving| Part { share, is_leaving });
            assert_ne!(comes.is_ahead(), leaves.is_ahead(), "{share}");
            assert!(comes.tag() > 0 && comes.tag() + 256 == leaves.tag());
        }
    }
}
