//! Choosing tiles: a pure function of the tree, the views and the options.
//!
//! A tile is fine enough when its geometric error, seen from the nearest point of its box, covers no more than
//! `max_error_px` pixels. Where finer tiles are wanted but not all of them are loaded, the coarser one stays;
//! where a coarser one is wanted but not loaded, its finer ones stay. So the ground never shows holes that a
//! loaded tile could close.

use glam::{DMat4, DVec3, DVec4};

use super::{
    Refine,
    tree::{Tile, TileId, TileTree},
};
use crate::model::{CimLevel, Extent};

/// An eye on the city. Same frame as the tree's boxes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Place of the eye.
    pub eye: DVec3,
    /// Planes of the frustum as (normal, distance): a point p is inside where `normal · p + distance ≥ 0` for all.
    pub planes: [DVec4; 5],
    /// Pixels that one metre covers at one metre's distance: picture height / (2 tan(half the opening angle)).
    pub pixels_per_m: f64,
}

impl View {
    /// A perspective view from `eye` along `forward`: vertical opening angle in radians, width / height,
    /// height in pixels. Nothing is cut off in the distance: far tiles cost little.
    pub fn perspective(eye: DVec3, forward: DVec3, up: DVec3, fov_y: f64, aspect: f64, height_px: f64) -> Self {
        let forward = forward.try_normalize().unwrap_or(DVec3::Y);
        let right = forward.cross(up).try_normalize().unwrap_or_else(|| forward.any_orthonormal_vector());
        let up = right.cross(forward);
        let half_y = (fov_y * 0.5).clamp(1e-4, 1.55);
        let (tan_y, tan_x) = (half_y.tan(), half_y.tan() * aspect.max(1e-3));
        let plane = |normal: DVec3| {
            let normal = normal.normalize();
            normal.extend(-normal.dot(eye))
        };
        Self {
            eye,
            planes: [
                plane(forward),
                plane(right + forward * tan_x),
                plane(forward * tan_x - right),
                plane(up + forward * tan_y),
                plane(forward * tan_y - up),
            ],
            pixels_per_m: height_px / (2.0 * tan_y),
        }
    }

    /// Whether some of the box may be in the frustum. Boxes near a corner of it may be kept although they are outside.
    pub fn is_visible(&self, extent: &Extent) -> bool {
        let (centre, half) = (extent.centre(), extent.size() * 0.5);
        self.planes.iter().all(|plane| {
            let normal = plane.truncate();
            normal.dot(centre) + normal.abs().dot(half) + plane.w >= 0.0
        })
    }

    /// Distance from the eye to the nearest point of the box; 0 inside.
    pub fn distance(&self, extent: &Extent) -> f64 {
        self.eye.distance(self.eye.clamp(extent.min, extent.max))
    }

    /// Pixels that `error_m` covers at the nearest point of the box.
    pub fn error_px(&self, error_m: f64, extent: &Extent) -> f64 {
        error_m * self.pixels_per_m / self.distance(extent).max(1e-3)
    }

    /// The same view with eye and planes in another frame; `to_from_here` must keep lengths.
    pub fn moved(&self, to_from_here: &DMat4) -> Self {
        let planes = self.planes.map(|plane| {
            let normal = to_from_here.transform_vector3(plane.truncate());
            let on_plane = to_from_here.transform_point3(plane.truncate() * -plane.w);
            normal.extend(-normal.dot(on_plane))
        });
        Self { eye: to_from_here.transform_point3(self.eye), planes, pixels_per_m: self.pixels_per_m }
    }
}

/// How fine, and how much at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelectOptions {
    /// Error on screen that is tolerated, pixels. Halving it about quadruples the tiles.
    pub max_error_px: f64,
    /// Most tiles wanted at once; beyond it the picture gets coarser everywhere rather than lacking somewhere.
    pub max_tiles: usize,
    /// Most bytes of content wanted at once; tiles whose size is not known count as nothing.
    pub max_bytes: u64,
    /// Whether to load coarse tiles on the way to fine ones, so that something is there soon.
    /// Costs about a third more loading; a picture taken once does without.
    pub is_progressive: bool,
    /// The finest level that is wanted: below it a block stands for a building's components however near it is.
    pub detail: CimLevel,
}

impl Default for SelectOptions {
    fn default() -> Self {
        Self { max_error_px: 16.0, max_tiles: 4096, max_bytes: 1 << 30, is_progressive: true, detail: CimLevel::PART }
    }
}

/// What to draw now and what to load next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// Tiles to draw; all of them are loaded.
    pub draw: Vec<TileId>,
    /// Tiles to load, the most urgent first; a lower number is more urgent.
    pub load: Vec<(TileId, f64)>,
    /// The tolerance that was kept, pixels: `max_error_px`, or more where the budget did not allow it.
    pub error_px: f64,
    /// Whether `draw` is what the tolerance asks for: nothing stands in for something else.
    pub is_complete: bool,
}

/// Chooses the tiles of `tree` for `views`.
pub fn select(tree: &TileTree, views: &[View], options: &SelectOptions, loaded: &dyn Fn(TileId) -> bool) -> Selection {
    let mut error_px = options.max_error_px.max(0.01);
    if tree.is_empty() || views.is_empty() {
        return Selection { error_px, is_complete: true, ..Selection::default() };
    }
    // Each step coarsens; 40 steps reach a tolerance of over 10⁷ pixels, which the root alone satisfies.
    for _ in 0..40 {
        if fits(tree, views, options, error_px) {
            break;
        }
        error_px *= 1.5;
    }
    let mut walk = Walk { tree, views, error_px, options, loaded, selection: Selection::default() };
    let is_complete = walk.visit(TileId::ROOT);
    let mut selection = walk.selection;
    selection.error_px = error_px;
    selection.is_complete = is_complete && selection.load.is_empty();
    selection.load.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    selection.load.dedup_by_key(|(id, _)| *id);
    selection
}

/// Whether what is wanted at this tolerance keeps within the budget.
fn fits(tree: &TileTree, views: &[View], options: &SelectOptions, error_px: f64) -> bool {
    let (mut tiles, mut bytes) = (0usize, 0u64);
    let mut stack = vec![TileId::ROOT];
    while let Some(id) = stack.pop() {
        let tile = tree.tile(id);
        let Some(seen) = seen_error_px(tree, views, id) else { continue };
        let is_refined = seen > error_px && has_finer(tile, options);
        if tile.content.is_some() && (!is_refined || tile.refine == Refine::Add) {
            tiles += 1;
            bytes = bytes.saturating_add(tile.bytes);
            if tiles > options.max_tiles || bytes > options.max_bytes {
                return false;
            }
        }
        if is_refined {
            stack.extend(&tile.children);
        }
    }
    true
}

/// Whether there is anything below a tile that is wanted at all.
fn has_finer(tile: &Tile, options: &SelectOptions) -> bool {
    !tile.children.is_empty() && tile.stands_for.is_none_or(|from| from <= options.detail)
}

/// Largest error on screen over the views that see the tile; `None` when none does.
fn seen_error_px(tree: &TileTree, views: &[View], id: TileId) -> Option<f64> {
    let tile = tree.tile(id);
    views
        .iter()
        .filter(|view| view.is_visible(&tile.extent))
        .map(|view| view.error_px(tile.geometric_error_m, &tile.extent))
        .reduce(f64::max)
}

/// Levels below a wanted tile that are searched for loaded stand-ins.
const STAND_IN_LEVELS: usize = 3;

struct Walk<'a> {
    tree: &'a TileTree,
    views: &'a [View],
    error_px: f64,
    options: &'a SelectOptions,
    loaded: &'a dyn Fn(TileId) -> bool,
    selection: Selection,
}

impl Walk<'_> {
    /// Chooses within `id`; says whether all that is seen of it is covered by what is drawn.
    fn visit(&mut self, id: TileId) -> bool {
        let tile = self.tree.tile(id);
        let Some(seen) = seen_error_px(self.tree, self.views, id) else { return true };
        if seen <= self.error_px || !has_finer(tile, self.options) {
            return self.want(id);
        }
        if tile.refine == Refine::Add {
            let is_covered = self.want(id);
            return self.visit_all(&tile.children) && is_covered;
        }
        let mark = self.selection.draw.len();
        let is_covered = self.visit_all(&tile.children);
        if is_covered || tile.content.is_none() {
            return is_covered;
        }
        if (self.loaded)(id) {
            self.selection.draw.truncate(mark);
            self.selection.draw.push(id);
            return true;
        }
        if self.options.is_progressive {
            // Before everything that is finer.
            let urgency = self.urgency(id) * 1e-3;
            self.selection.load.push((id, urgency));
        }
        false
    }

    /// Visits every one, whether or not those before are covered: each may have something to load.
    fn visit_all(&mut self, tiles: &[TileId]) -> bool {
        let mut is_covered = true;
        for tile in tiles {
            is_covered &= self.visit(*tile);
        }
        is_covered
    }

    /// Draws `id`, or asks for it and draws what is loaded below it.
    fn want(&mut self, id: TileId) -> bool {
        if self.tree.tile(id).content.is_none() {
            return true;
        }
        if (self.loaded)(id) {
            self.selection.draw.push(id);
            return true;
        }
        let urgency = self.urgency(id);
        self.selection.load.push((id, urgency));
        let mark = self.selection.draw.len();
        let is_covered = self.stand_in(id, STAND_IN_LEVELS);
        if !is_covered {
            self.selection.draw.truncate(mark);
        }
        is_covered
    }

    /// Draws loaded tiles below `id` in its place; whether they cover it.
    fn stand_in(&mut self, id: TileId, levels: usize) -> bool {
        let tile = self.tree.tile(id);
        if levels == 0 || tile.children.is_empty() || tile.refine == Refine::Add {
            return false;
        }
        tile.children.iter().all(|child| {
            if seen_error_px(self.tree, self.views, *child).is_none() {
                true
            } else if self.tree.tile(*child).content.is_some() && (self.loaded)(*child) {
                self.selection.draw.push(*child);
                true
            } else {
                self.stand_in(*child, levels - 1)
            }
        })
    }

    /// Nearest first.
    fn urgency(&self, id: TileId) -> f64 {
        let extent = &self.tree.tile(id).extent;
        self.views.iter().map(|view| view.distance(extent)).fold(f64::INFINITY, f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tile::tree::Tile;

    /// A tree from a drawing: one line a tile, indented by two spaces a level: `name west east error`.
    /// Tiles are 100 m deep (y 0..100) and 10 m high.
    fn tree(drawing: &str) -> (TileTree, Vec<String>) {
        let (mut tiles, mut names, mut path) = (Vec::new(), Vec::new(), Vec::<TileId>::new());
        for line in drawing.lines().filter(|l| !l.trim().is_empty()) {
            let level = (line.len() - line.trim_start().len()) / 2;
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |i: usize| words[i].parse::<f64>().unwrap();
            path.truncate(level);
            let name = words[0].trim_start_matches(['-', '+']);
            tiles.push(Tile {
                parent: path.last().copied(),
                children: Vec::new(),
                extent: Extent { min: DVec3::new(number(1), 0.0, 0.0), max: DVec3::new(number(2), 100.0, 10.0) },
                geometric_error_m: number(3),
                refine: if words[0].starts_with('+') { Refine::Add } else { Refine::Replace },
                content: (!words[0].starts_with('-')).then(|| format!("{name}.glb")),
                bytes: 1000,
                origin: Some(DVec3::ZERO),
                stands_for: name.ends_with("block").then_some(CimLevel::FUNCTION),
                world_from_tile: DMat4::IDENTITY,
            });
            path.push(TileId(tiles.len() as u32 - 1));
            names.push(name.to_owned());
        }
        (TileTree::from_tiles(tiles).unwrap(), names)
    }

    const STREET: &str = "
root 0 400 32
  left 0 200 8
    left_a 0 100 0
    left_b 100 200 0
  right 200 400 8
    right_a 200 300 0
    right_b 300 400 0";

    fn street() -> (TileTree, Vec<String>) {
        tree(&STREET.replacen('\n', "", 1))
    }

    /// Looking north from south of the street. 1000 px high, 90°: 500 px a metre at 1 m.
    fn from_south(x: f64, distance: f64) -> View {
        View::perspective(DVec3::new(x, -distance, 5.0), DVec3::Y, DVec3::Z, std::f64::consts::FRAC_PI_2, 4.0, 1000.0)
    }

    fn run(view: View, options: &SelectOptions, loaded: &[&str]) -> (Vec<String>, Vec<String>, Selection) {
        let (tree, names) = street();
        let selection = select(&tree, &[view], options, &|id| loaded.contains(&names[id.index()].as_str()));
        let mut draw: Vec<String> = selection.draw.iter().map(|id| names[id.index()].clone()).collect();
        draw.sort();
        let load = selection.load.iter().map(|(id, _)| names[id.index()].clone()).collect();
        (draw, load, selection)
    }

    const ALL: [&str; 7] = ["root", "left", "right", "left_a", "left_b", "right_a", "right_b"];

    #[test]
    fn distance_decides_the_level() {
        let options = SelectOptions::default();
        assert_eq!(run(from_south(200.0, 5000.0), &options, &ALL).0, ["root"]);
        assert_eq!(run(from_south(200.0, 500.0), &options, &ALL).0, ["left", "right"]);
        assert_eq!(run(from_south(200.0, 100.0), &options, &ALL).0, ["left_a", "left_b", "right_a", "right_b"]);
        let finer = SelectOptions { max_error_px: 2.0, ..options };
        assert_eq!(run(from_south(200.0, 500.0), &finer, &ALL).0.len(), 4);
    }

    #[test]
    fn what_is_behind_or_beside_is_left_out() {
        let behind = View::perspective(DVec3::new(200.0, -50.0, 5.0), -DVec3::Y, DVec3::Z, 1.0, 1.0, 1000.0);
        let (draw, load, selection) = run(behind, &SelectOptions::default(), &ALL);
        assert!(draw.is_empty() && load.is_empty() && selection.is_complete);
        let narrow = View::perspective(DVec3::new(50.0, -100.0, 5.0), DVec3::Y, DVec3::Z, 0.2, 1.0, 1000.0);
        assert_eq!(run(narrow, &SelectOptions::default(), &ALL).0, ["left_a"]);
        assert_eq!(run(narrow, &SelectOptions::default(), &[]).1, ["root", "left", "left_a"]);
    }

    #[test]
    fn a_parent_stays_until_all_its_visible_children_are_there() {
        let near = from_south(200.0, 100.0);
        let options = SelectOptions::default();
        let (draw, load, selection) = run(near, &options, &["root", "left", "left_a", "left_b", "right_a"]);
        assert_eq!(draw, ["root"], "right has neither itself nor all children, so root stands for everything");
        assert_eq!(load, ["right", "right_b"]);
        assert!(!selection.is_complete);
        let (draw, ..) = run(near, &options, &["root", "left", "right", "left_a", "left_b", "right_a"]);
        assert_eq!(draw, ["left_a", "left_b", "right"]);
        let (draw, _, selection) = run(near, &options, &ALL);
        assert_eq!(draw.len(), 4);
        assert!(selection.is_complete);
    }

    #[test]
    fn children_stay_while_the_coarser_tile_is_loaded() {
        let (draw, load, _) =
            run(from_south(200.0, 5000.0), &SelectOptions::default(), &["left", "right_a", "right_b"]);
        assert_eq!(draw, ["left", "right_a", "right_b"]);
        assert_eq!(load, ["root"]);
        let (draw, ..) = run(from_south(200.0, 5000.0), &SelectOptions::default(), &["left", "right_a"]);
        assert!(draw.is_empty(), "half a city is not drawn in place of a whole one");
    }

    #[test]
    fn loading_goes_from_coarse_to_fine_and_from_near_to_far() {
        let (_, load, _) = run(from_south(10.0, 60.0), &SelectOptions::default(), &[]);
        assert_eq!(load[0], "root");
        let place = |name: &str| load.iter().position(|n| n == name).unwrap();
        assert!(place("left") < place("left_a") && place("left_a") < place("left_b"));
        assert!(place("left_b") < place("right_a"));
        let once = SelectOptions { is_progressive: false, ..SelectOptions::default() };
        let (_, load, _) = run(from_south(10.0, 60.0), &once, &[]);
        assert!(!load.contains(&"root".to_owned()) && load.contains(&"left_a".to_owned()));
    }

    #[test]
    fn a_budget_coarsens_everywhere() {
        let near = from_south(200.0, 100.0);
        let tight = SelectOptions { max_tiles: 2, ..SelectOptions::default() };
        let (draw, _, selection) = run(near, &tight, &ALL);
        assert_eq!(draw, ["left", "right"]);
        assert!(selection.error_px > 16.0);
        let bytes = SelectOptions { max_bytes: 1500, ..SelectOptions::default() };
        assert_eq!(run(near, &bytes, &ALL).0, ["root"]);
    }

    #[test]
    fn additive_tiles_and_tiles_without_content() {
        let (tree, names) = tree("-all 0 400 500\n  +near 0 200 32\n    more 0 100 0\n  far 200 400 0");
        let view = from_south(200.0, 100.0);
        let drawn = |loaded: &dyn Fn(TileId) -> bool| {
            let selection = select(&tree, &[view], &SelectOptions::default(), loaded);
            selection.draw.iter().map(|id| names[id.index()].as_str()).collect::<Vec<_>>()
        };
        assert_eq!(drawn(&|_| true), ["near", "more", "far"]);
        assert_eq!(drawn(&|id| id != TileId(1)), ["more", "far"]);
    }

    #[test]
    fn two_views_see_what_either_sees_and_frames_can_change() {
        let (tree, _) = street();
        let narrow = |x: f64| View::perspective(DVec3::new(x, -100.0, 5.0), DVec3::Y, DVec3::Z, 0.2, 1.0, 1000.0);
        let selection = select(&tree, &[narrow(50.0), narrow(350.0)], &SelectOptions::default(), &|_| true);
        assert_eq!(selection.draw, [TileId(2), TileId(6)]);
        let shift = DMat4::from_translation(DVec3::new(300.0, 0.0, 0.0));
        let moved = narrow(50.0).moved(&shift);
        assert_eq!(moved.eye, narrow(350.0).eye);
        for (a, b) in moved.planes.iter().zip(narrow(350.0).planes) {
            assert!(a.distance(b) < 1e-9);
        }
    }

    #[test]
    fn nothing_is_chosen_from_nothing() {
        let selection = select(&TileTree::default(), &[from_south(0.0, 1.0)], &SelectOptions::default(), &|_| true);
        assert!(selection.draw.is_empty() && selection.is_complete);
    }

    #[test]
    fn a_block_stands_for_components_where_they_are_not_wanted() {
        let drawing = "
root 0 200 32
  west_block 0 100 20
    west_walls 0 100 0
  east 100 200 20
    east_a 100 200 0";
        let (tree, names) = tree(drawing);
        let view = from_south(100.0, 50.0);
        for (level, wanted) in [(CimLevel::PART, ["west_walls", "east_a"]), (CimLevel::FRAME, ["west_block", "east_a"])]
        {
            let options = SelectOptions { detail: level, ..SelectOptions::default() };
            let chosen = select(&tree, &[view], &options, &|_| true);
            let drawn: Vec<&str> = chosen.draw.iter().map(|id| names[id.index()].as_str()).collect();
            assert_eq!(drawn, wanted, "{level}");
            assert!(chosen.is_complete);
        }
    }
}
