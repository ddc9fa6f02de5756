//! The whole city in memory, before any of it is written.

use crate::{
    building::{self, Building, Place},
    coast::Coast,
    finding,
    network::{self, Network},
    plant::{self, Lamp, Tree},
    plot::Plots,
    recipe::Recipe,
    street::Streets,
    terrain::Terrain,
};

/// The sample city.
pub(crate) struct City<'a> {
    pub recipe: &'a Recipe,
    pub coast: Coast,
    pub ground: Terrain,
    pub streets: Streets,
    pub buildings: Vec<Building>,
    pub places: Vec<Place>,
    pub trees: Vec<Tree>,
    pub lamps: Vec<Lamp>,
    /// Pipes of each service, the oil line last.
    pub networks: Vec<Network>,
    /// What was planted for an analysis to find, one sentence each.
    pub findings: Vec<String>,
}

impl<'a> City<'a> {
    /// Lays out the city of a recipe.
    pub fn new(recipe: &'a Recipe) -> City<'a> {
        let coast = Coast::new(recipe);
        let mut ground = Terrain::natural(recipe, &coast);
        let streets = Streets::new(recipe, &coast);
        ground.lay_streets(&streets.streets);
        let mut plots = Plots::new(recipe, &coast, &streets.streets);
        let built = building::build(recipe, &coast, &ground, &streets, &mut plots);
        ground.level_plots(&built.buildings);
        ground.settle();
        let trees = plant::trees(recipe, &coast, &ground, &streets, &plots, &built.places);
        let lamps = plant::lamps(recipe, &streets, &coast);
        let mut networks = network::networks(recipe, &coast, &ground, &streets, &built.buildings);
        let (oil, findings) = finding::plant(recipe, &ground, &mut networks, &built.buildings);
        networks.push(oil);
        networks.retain(|n| !n.pipes.is_empty());
        let (buildings, places) = (built.buildings, built.places);
        City { recipe, coast, ground, streets, buildings, places, trees, lamps, networks, findings }
    }
}
