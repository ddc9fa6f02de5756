//! What a format knows of a feature beside its fields: sources whose features are of many classes.

use groundline_engine::model::{Attribute, Class, Domain, ObjectId, Section, Stage, Vertical};

/// What the format says itself; everything left open is found out as for other sources.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// What it is; goes before the class of the source and that of its fields.
    pub class: Option<Class>,
    /// Stage, where the user gave none.
    pub stage: Option<Stage>,
    /// Side of the ground, where it is not the usual one of the class.
    pub domain: Option<Domain>,
    /// The object that this one is part of.
    pub parent: Option<ObjectId>,
    /// How z is to be read.
    pub vertical: Option<Vertical>,
    /// Attributes that the format made.
    pub attributes: Vec<Attribute>,
    /// Height of a building, metres, known from elsewhere than a field (its attribute stands in `attributes`).
    pub height_m: Option<f64>,
    /// Polygons stay surfaces, also those of buildings.
    pub is_flat: bool,
    /// The object has no shape of its own, and that is as it should be.
    pub is_shapeless: bool,
    /// What a pipe or tunnel is assumed to be where its fields say nothing.
    pub assumed: Option<AssumedTube>,
}

/// A section and a cover to assume, each with the reason.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AssumedTube {
    pub section: Section,
    pub section_why: &'static str,
    /// From the ground to the top of it, metres.
    pub cover_m: f64,
    pub cover_why: &'static str,
}
