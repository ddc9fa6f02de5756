//! Tiles of a layer in which a few objects changed: those over the places that changed are made anew, and are what they would be
//! if all were made anew.
//!
//! Which tiles there are, and what each draws, depends on sums over squares and on the largest objects of squares. Both are kept
//! with the tiles (see `Note`), so that a square in which nothing changed is not looked at.

use std::{io::Read, path::Path};

use super::{
    Undrawn, can_be_drawn,
    draw::{Pen, Pick, from_bytes},
    mass::Masses,
    plan::{Weighed, far_detail, is_complete, is_leaf, largest, left_out, plan},
};
use crate::{
    model::CityObject,
    store::open_file,
    tile::{Ground, Square, TileError, TileNode, TilesetBuilder, album::Album, page, shape::Sketch, tileset::Note},
};

/// Objects that go and come, as far as tiles are concerned.
#[derive(Default)]
pub(crate) struct Delta {
    gone: Vec<Weighed>,
    new: Vec<Weighed>,
}

impl Delta {
    /// An object is not there any more, or not as it was.
    pub fn goes(&mut self, object: &CityObject) {
        self.gone.extend(weighed(object));
    }

    /// An object comes, or is there in another way.
    pub fn comes(&mut self, object: &CityObject) {
        self.new.extend(weighed(object));
    }
}

fn weighed(object: &CityObject) -> Option<Weighed> {
    let is_solid = super::super::is_solid(object);
    (is_solid && can_be_drawn(&object.geometry).is_ok()).then(|| Weighed::of(object))
}

/// The objects of the layer as they are after the change.
pub(crate) trait Objects {
    /// Hands over those whose place on the curve lies in `square`.
    fn each(&self, square: Square, take: &mut dyn FnMut(&CityObject)) -> Result<(), TileError>;
}

/// The tree of a layer's solid tiles after a change, from `old` before it, whose files are in `folder`. `None` when there is nothing
/// to draw any more; an error of kind [`TileError::Spill`] when `old` does not say what is needed.
pub(crate) fn change(
    old: Option<TileNode>,
    folder: &Path,
    mut delta: Delta,
    objects: &dyn Objects,
    ground: &Ground,
    tileset: &TilesetBuilder<'_>,
) -> Result<(Option<TileNode>, Undrawn), TileError> {
    delta.gone.sort_unstable_by_key(|o| o.curve);
    delta.new.sort_unstable_by_key(|o| o.curve);
    // Objects with pictures are not changed this way: there are none in the album.
    let album = Album::new(folder);
    let mut change =
        Change { folder, objects, pen: Pen { ground, album: &album, tileset }, undrawn: Undrawn::default() };
    let root = change.square(old, Square::ALL, &delta.gone, &delta.new)?;
    Ok((root, change.undrawn))
}

struct Change<'a> {
    folder: &'a Path,
    objects: &'a dyn Objects,
    pen: Pen<'a>,
    undrawn: Undrawn,
}

impl Change<'_> {
    /// The tile over `square`, in which these objects go and come.
    fn square(
        &mut self,
        old: Option<TileNode>,
        square: Square,
        gone: &[Weighed],
        new: &[Weighed],
    ) -> Result<Option<TileNode>, TileError> {
        if gone.is_empty() && new.is_empty() {
            return Ok(old);
        }
        let Some(old) = old else { return self.afresh(square) };
        let note = old.note.clone().ok_or_else(|| missing("a tile without a note of its square"))?;
        let was_small = is_leaf(&note) || is_complete(&note);
        let Some(mut all) = after(&note, gone, new) else { return self.afresh(square) };
        if all.count == 0 {
            return Ok(None);
        }
        if was_small || is_leaf(&all) || is_complete(&all) {
            return self.afresh(square);
        }
        // The square around the tile that was and what comes.
        let held = Square { level: note.level, key: note.curve };
        let around = new.iter().fold(held, |around, object| around.with(object.curve));
        (all.level, all.curve) = (around.level, *around.keys().start());
        let mut below: Vec<Option<TileNode>> = vec![None, None, None, None];
        if around.level < held.level {
            let at = around.quarters().position(|quarter| quarter.holds(held.key)).unwrap_or(0);
            // Under another tile it may be in another page, or in none.
            below[at] = Some(self.open(old)?);
        } else {
            for child in self.open(old)?.children {
                let curve = child.note.as_ref().ok_or_else(|| missing("a tile without a note of its square"))?.curve;
                let at = around.quarters().position(|quarter| quarter.holds(curve));
                below[at.ok_or_else(|| missing("a tile outside of its square"))?] = Some(child);
            }
        }
        let mut children = Vec::new();
        for (quarter, child) in around.quarters().zip(below) {
            children.push((quarter, self.square(child, quarter, within(gone, quarter), within(new, quarter))?));
        }
        let is_whole = |node: &TileNode| node.note.as_ref().is_some_and(|note| note.count == all.count);
        if let Some(at) = children.iter().position(|(_, child)| child.as_ref().is_some_and(is_whole)) {
            return children.swap_remove(at).1.map(|only| self.open(only)).transpose();
        }
        let (mut candidates, mut masses) = (Vec::new(), Vec::new());
        let mut known_m = 0.0_f32;
        for (quarter, child) in &children {
            let picks = child.as_ref().and_then(|child| child.note.as_ref()).filter(|note| note.picks.is_some());
            match picks {
                Some(note) => {
                    known_m = known_m.max(note.left_out_m);
                    let (picks, merged) = self.read_picks(note)?;
                    candidates.extend(picks);
                    masses.extend(merged.all);
                }
                None => candidates.extend(self.picks(*quarter)?),
            }
        }
        let largest = largest(candidates, |pick: &Pick| pick.weighed);
        all.left_out_m = largest.left_out_m.max(known_m);
        let masses = left_out(masses, largest.left.iter().map(|pick| &pick.weighed));
        let drawn = self.pen.draw_as(far_detail(&all), &all, Some(&masses), largest.kept)?;
        let children = children.into_iter().filter_map(|(_, child)| child).collect();
        Ok(Some(TileNode { children, ..drawn.node }))
    }

    /// The tiles of a square from its objects.
    fn afresh(&mut self, square: Square) -> Result<Option<TileNode>, TileError> {
        let mut picks = self.picks(square)?;
        if picks.is_empty() {
            return Ok(None);
        }
        picks.sort_by(Pick::by_place);
        let weighed: Vec<Weighed> = picks.iter().map(|pick| pick.weighed).collect();
        let (plans, root) = plan(&weighed);
        let mut nodes = Vec::with_capacity(plans.len());
        for plan in &plans {
            let drawn = self.pen.draw(plan, plan.picks.iter().map(|i| picks[*i].clone()).collect())?;
            self.undrawn.merge(drawn.undrawn);
            nodes.push(Some(drawn.node));
        }
        Ok(Some(super::assemble(root, &plans, &mut nodes)))
    }

    /// The objects of a square.
    fn picks(&self, square: Square) -> Result<Vec<Pick>, TileError> {
        let (mut picks, mut failed) = (Vec::new(), None);
        self.objects.each(square, &mut |object| {
            if let Some(weighed) = weighed(object) {
                match postcard::to_allocvec(&Sketch::of(object)) {
                    Ok(record) => picks.push(Pick { weighed, record }),
                    Err(error) => failed = Some(TileError::Spill(error.to_string())),
                }
            }
        })?;
        failed.map_or(Ok(picks), Err)
    }

    fn read_picks(&self, note: &Note) -> Result<(Vec<Pick>, Masses), TileError> {
        let Some((name, _)) = &note.picks else { return Ok(Default::default()) };
        // What was made a moment ago is not in the city yet.
        let path = [self.pen.tileset.folder(), self.folder].map(|folder| folder.join(name));
        let path = if path[0].is_file() { &path[0] } else { &path[1] };
        let mut bytes = Vec::new();
        open_file(path)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(|source| TileError::Io { path: path.clone(), source })?;
        let is_whole = blake3::hash(&bytes).to_hex().starts_with(name.split('.').next().unwrap_or_default());
        from_bytes(&bytes).filter(|_| is_whole).ok_or_else(|| TileError::Spill(format!("{}: damaged", path.display())))
    }

    /// The tile with its children, where they are in a page.
    fn open(&self, node: TileNode) -> Result<TileNode, TileError> {
        match &node.page {
            Some((name, _)) => page::read(self.folder, name).map_err(|error| TileError::Spill(error.to_string())),
            None => Ok(node),
        }
    }
}

fn missing(what: &str) -> TileError {
    TileError::Spill(what.into())
}

/// What is noted of a square after a change; `None` when it does not add up.
fn after(note: &Note, gone: &[Weighed], new: &[Weighed]) -> Option<Note> {
    let mut all = Note { left_out_m: 0.0, picks: None, ..note.clone() };
    for object in new {
        all.count += 1;
        all.weight += u64::from(object.weight);
        all.far_weight += u64::from(object.far_weight);
    }
    for object in gone {
        all.count = all.count.checked_sub(1)?;
        all.weight = all.weight.checked_sub(u64::from(object.weight))?;
        all.far_weight = all.far_weight.checked_sub(u64::from(object.far_weight))?;
    }
    Some(all)
}

/// Those of sorted objects that lie in a square.
fn within(objects: &[Weighed], square: Square) -> &[Weighed] {
    let keys = square.keys();
    let start = objects.partition_point(|o| o.curve < *keys.start());
    let end = objects.partition_point(|o| o.curve <= *keys.end());
    &objects[start..end]
}
