//! A caster of the objects of a city.

use std::{collections::VecDeque, path::Path, sync::Arc};

use super::{CastError, Caster, CasterBuilder, Fit, Hit};
use crate::{
    model::{Class, Extent, Geometry},
    query::{Query, Shape, run},
    store::{City, HeldRows, Kind, Rows, StoreError, read_shape, read_shapes},
};

/// What a hit on a city is a hit on.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Its layer.
    pub layer: Arc<str>,
    /// Its id.
    pub id: String,
    /// What it is.
    pub class: Class,
    /// Whether its own shape is met. What is in the tiles alone (BIM) is a box here.
    pub fit: Fit,
}

/// Shapes of a part of a city, in memory.
#[derive(Debug)]
pub struct CityCaster {
    caster: Caster,
    targets: Vec<Target>,
    left_out: usize,
}

impl CityCaster {
    /// Holds the objects that `query` finds, whole, and of grids of heights the cells in its box. Its words on layers, classes,
    /// stages, sides of the ground, time, names and conditions count, those on how many hits do not. More than `limit` bytes is an error.
    pub fn open(city: &City, query: &Query, limit: u64) -> Result<Self, CastError> {
        if matches!(query.shape, Shape::Near { .. } | Shape::Ray { .. }) {
            return Err(CastError::NoRegion);
        }
        if let Some(version) = query.version.filter(|version| *version != city.version()) {
            return Err(StoreError::NoVersion { city: city.folder().to_path_buf(), version }.into());
        }
        if let Some(name) = query.layers.iter().find(|name| city.layer(name).is_none()) {
            return Err(StoreError::NoLayer(name.clone()).into());
        }
        let mut reader = Reader {
            query,
            boxed: run::Boxed::default(),
            clip: run::box_of(&query.shape),
            builder: CasterBuilder::with_limit(limit),
            targets: Vec::new(),
            left_out: 0,
        };
        for layer in city.layers().iter().filter(|layer| run::may_hold(query, layer)) {
            let name: Arc<str> = layer.name.as_str().into();
            for (path, rows) in run::candidates(city, &name, query)? {
                reader.read_file(&name, &path, rows)?;
            }
        }
        let Reader { builder, targets, left_out, .. } = reader;
        Ok(Self { caster: builder.build(), targets, left_out })
    }

    /// Rays are cast here; the numbers of hits are places in [`CityCaster::targets`].
    pub fn caster(&self) -> &Caster {
        &self.caster
    }

    /// What was hit.
    pub fn target(&self, hit: &Hit) -> Option<&Target> {
        self.targets.get(hit.which as usize)
    }

    /// All that can be hit; an object of several parts stands here several times.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Objects that were found, but that no ray can meet: without a shape, places, lines without width, scans, pictures.
    pub fn left_out(&self) -> usize {
        self.left_out
    }
}

/// Reads rows into a builder.
struct Reader<'a> {
    query: &'a Query,
    boxed: run::Boxed,
    clip: Option<Extent>,
    builder: CasterBuilder,
    targets: Vec<Target>,
    left_out: usize,
}

impl Reader<'_> {
    /// First who is wanted, then their shapes alone, since one may be megabytes.
    fn read_file(&mut self, layer: &Arc<str>, path: &Path, rows: Option<Vec<u32>>) -> Result<(), CastError> {
        let wanted = rows.as_deref().map_or(Rows::All, Rows::These);
        let (mut numbers, mut with_shape) = (Vec::new(), VecDeque::new());
        for (at, row) in HeldRows::open(path, wanted)?.enumerate() {
            let row = row?;
            let kind = row.kind;
            let Some(hit) = run::accept(self.query, &self.boxed, layer, row, None)? else { continue };
            let row = &hit.row;
            match kind {
                Kind::None | Kind::Point | Kind::Points | Kind::Picture => self.left_out += 1,
                Kind::Mesh => {
                    let extent = row.extent;
                    let which = self.target(layer, row.id.clone(), row.class)?;
                    self.builder.add_box(&extent, which)?;
                    self.finish(if extent.is_empty() { Fit::Nothing } else { Fit::Around });
                }
                _ => {
                    numbers.push(rows.as_ref().map_or(at as u32, |rows| rows[at]));
                    with_shape.push_back((kind, row.extent, row.id.clone(), row.class));
                }
            }
        }
        if numbers.is_empty() {
            return Ok(());
        }
        let mut outcome = Ok(());
        read_shapes(path, &numbers, &mut |shape| {
            let Some((kind, extent, id, class)) = with_shape.pop_front() else { return false };
            outcome = match read_shape(kind, shape) {
                Ok(shape) => self.add(layer, &shape, &extent, id, class),
                Err(error) => Err(StoreError::damaged(Path::new(&id), error).into()),
            };
            outcome.is_ok()
        })?;
        outcome
    }

    fn add(
        &mut self,
        layer: &Arc<str>,
        shape: &Geometry,
        extent: &Extent,
        id: String,
        class: Class,
    ) -> Result<(), CastError> {
        let which = self.target(layer, id, class)?;
        let fit = match shape {
            Geometry::Heights(grid) => self.builder.add_heights(grid, self.clip.as_ref(), which).map(|()| Fit::Exact),
            shape => self.builder.add(shape, extent, which),
        }?;
        self.finish(fit);
        Ok(())
    }

    /// A new target, and its number.
    fn target(&mut self, layer: &Arc<str>, id: String, class: Class) -> Result<u32, CastError> {
        self.builder.reserve((size_of::<Target>() + id.len()) as u64)?;
        let which = self.targets.len() as u32;
        self.targets.push(Target { layer: layer.clone(), id, class, fit: Fit::Nothing });
        Ok(which)
    }

    /// Says how the last target is met.
    fn finish(&mut self, fit: Fit) {
        if fit == Fit::Nothing {
            self.targets.pop();
            self.left_out += 1;
        } else if let Some(target) = self.targets.last_mut() {
            target.fit = fit;
        }
    }
}
