//! The way of the patrol (巡检路线): views all over a city and every way of drawing it, as stops of a flight.

use glam::{DVec2, DVec3};
use groundline_engine::model::{CimLevel, Extent};

use crate::{
    camera::{CameraChoice, CameraPose},
    city::{CityModel, LayerModel},
    comparison::Manner,
    cut::{Cut, Cuts},
    options::SceneOptions,
    peel::{self, Peel, Storeys},
    style::Style,
    sun::Moment,
};

/// A view and the seconds from the end of the stop before to the end of this one.
pub type Stop = (SceneOptions, f64);

/// The parts of a lap.
pub const PARTS: [&str; 5] = ["over", "looks", "compared", "below", "details"];

/// One lap through a city, in so many seconds, of these parts, or of all; the last stop is where the first one was.
pub fn circuit(city: &CityModel, lap_s: f64, parts: &[String]) -> Vec<Stop> {
    let places = Places { city, extent: city.overview_extent() };
    let start = || (SceneOptions { at: Some(Moment::default()), ..SceneOptions::default() }, 6.0);
    let mut stops = vec![start()];
    let all = [over(&places), looks(&places), compared(&places), below(&places), details(&places)];
    for (name, part) in PARTS.into_iter().zip(all) {
        if parts.is_empty() || parts.iter().any(|wanted| wanted == name) {
            stops.extend(part);
        }
    }
    stops.push(start());
    let whole: f64 = stops.iter().map(|(_, seconds)| seconds).sum();
    stops.iter_mut().for_each(|(_, seconds)| *seconds *= lap_s / whole);
    stops
}

/// Where in the city to stand.
struct Places<'a> {
    city: &'a CityModel,
    extent: Extent,
}

impl Places<'_> {
    fn plan(&self, east: f64, north: f64) -> DVec2 {
        let (min, size) = (self.extent.min.truncate(), self.extent.size().truncate());
        min + size * DVec2::new(east, north)
    }

    /// At shares of the city's width and depth, so many metres above the ground.
    fn stand(&self, (east, north): (f64, f64), above_m: f64, heading_deg: f64, pitch_deg: f64) -> SceneOptions {
        let plan = self.plan(east, north);
        let place = plan.extend(self.city.ground_m(plan) + above_m);
        at(CameraPose { place, heading_deg, pitch_deg })
    }
}

fn at(pose: CameraPose) -> SceneOptions {
    SceneOptions { camera: CameraChoice::Pose(pose), ..SceneOptions::default() }
}

fn around(target: DVec3, distance_m: f64, heading_deg: f64, pitch_deg: f64) -> SceneOptions {
    at(CameraPose::looking_at(target, distance_m, heading_deg, pitch_deg))
}

/// Over all of it: along both diagonals, high and low.
fn over(places: &Places<'_>) -> Vec<Stop> {
    vec![
        (places.stand((0.12, 0.12), 180.0, 45.0, -18.0), 8.0),
        (places.stand((0.88, 0.88), 180.0, 45.0, -18.0), 14.0),
        (places.stand((0.88, 0.12), 120.0, 315.0, -15.0), 8.0),
        (places.stand((0.12, 0.88), 120.0, 315.0, -15.0), 14.0),
        (places.stand((0.5, 0.5), 15.0, 60.0, -4.0), 8.0),
        (places.stand((0.5, 0.5), 700.0, 0.0, -90.0), 6.0),
        (places.stand((0.2, 0.3), 400.0, 200.0, -60.0), 5.0),
    ]
}

/// Night and every style, what objects are coloured by, another time, another level.
fn looks(places: &Places<'_>) -> Vec<Stop> {
    let stand = || places.stand((0.5, 0.35), 150.0, 10.0, -22.0);
    let night = Some(Moment { hour: 22.5, ..Moment::default() });
    let style = |style| SceneOptions { style, ..stand() };
    vec![
        (SceneOptions { at: night, ..stand() }, 5.0),
        (SceneOptions { at: night, ..places.stand((0.5, 0.5), 20.0, 60.0, -4.0) }, 5.0),
        (SceneOptions { at: Some(Moment::default()), ..style(Style::Paper) }, 5.0),
        (style(Style::Dark), 5.0),
        (style(Style::Xray), 5.0),
        (SceneOptions { colour_by: Some("height".into()), ..stand() }, 5.0),
        (SceneOptions { detail: Some(CimLevel::FUNCTION), ..stand() }, 4.0),
        (SceneOptions { valid_at: "2000-06-30".parse().ok(), ..stand() }, 5.0),
    ]
}

/// Another look in the same picture, and beside it.
fn compared(places: &Places<'_>) -> Vec<Stop> {
    let other = crate::comparison::look_text(&SceneOptions { style: Style::Paper, ..SceneOptions::default() });
    let stand = |manner| SceneOptions {
        comparison: Some(manner),
        other: other.clone(),
        ..places.stand((0.5, 0.35), 150.0, 10.0, -22.0)
    };
    [Manner::Swipe(0.5), Manner::Beside].map(|manner| (stand(manner), 5.0)).to_vec()
}

/// What lies below: through the ground, from within it, in a section and in a trench.
fn below(places: &Places<'_>) -> Vec<Stop> {
    let seen = |scene: SceneOptions| SceneOptions { is_below: true, ..scene };
    let middle = places.plan(0.5, 0.5);
    let cut = |cut: Cut, scene: SceneOptions| SceneOptions { cuts: Cuts::new(vec![cut]).unwrap_or_default(), ..scene };
    let section = Cut::Section { at: middle, heading_deg: 0.0 };
    let path = vec![places.plan(0.46, 0.5), places.plan(0.54, 0.5)];
    let trench = Cut::Trench { path, width_m: 14.0, depth_m: 8.0 };
    vec![
        (seen(places.stand((0.5, 0.45), 160.0, 0.0, -30.0)), 6.0),
        (seen(places.stand((0.5, 0.48), 12.0, 40.0, -35.0)), 5.0),
        (seen(places.stand((0.5, 0.48), -6.0, 40.0, 8.0)), 5.0),
        (cut(section, places.stand((0.5, 0.40), 60.0, 0.0, -12.0)), 7.0),
        (cut(trench, places.stand((0.5, 0.48), 40.0, 0.0, -40.0)), 5.0),
    ]
}

/// Buildings with storeys from all sides, whole and taken apart; scans from afar and near.
fn details(places: &Places<'_>) -> Vec<Stop> {
    let has = |layer: &LayerModel, class: &str| layer.classes.iter().any(|(known, _)| known == class);
    let mut stops = Vec::new();
    for layer in places.city.layers.iter().filter(|layer| has(layer, "storey")) {
        let extent = layer.tree.extent();
        let (target, size_m) = (extent.centre(), extent.size().length());
        let orbit = |heading_deg: f64| around(target, size_m * 1.4, heading_deg, -20.0);
        stops.extend([20.0, 110.0, 200.0, 290.0].map(|heading_deg| (orbit(heading_deg), 3.0)));
        for manner in [peel::Manner::Fan { gap_m: 4.0 }, peel::Manner::Only { number: 2 }] {
            let peel = Peel { storeys: Some(Storeys { layer: layer.name.clone(), manner }), ..Peel::default() };
            stops.push((SceneOptions { peel, ..orbit(20.0) }, 4.0));
        }
    }
    for layer in places.city.layers.iter().filter(|layer| layer.points > 0) {
        let extent = layer.tree.extent();
        let (target, size_m) = (extent.centre(), extent.size().truncate().length());
        stops.push((around(target, size_m, 30.0, -30.0), 4.0));
        stops.push((around(target, size_m * 0.25, 120.0, -15.0), 5.0));
    }
    stops
}

#[cfg(test)]
mod tests {
    use groundline_engine::tile::Ground;

    use super::*;

    #[test]
    fn a_lap_takes_its_time_and_ends_where_it_began() {
        let city = CityModel::of_layers("none", vec![], Ground::default(), vec![]);
        let stops = circuit(&city, 100.0, &[]);
        assert!((stops.iter().map(|(_, seconds)| seconds).sum::<f64>() - 100.0).abs() < 1e-9);
        assert_eq!(stops[0].0.camera, stops[stops.len() - 1].0.camera);
        let shown = |is: fn(&SceneOptions) -> bool| stops.iter().any(|(scene, _)| is(scene));
        assert!(shown(|scene| scene.is_below) && shown(|scene| !scene.cuts.is_empty()));
        assert!(shown(|scene| scene.comparison.is_some()) && shown(|scene| scene.valid_at.is_some()));
        assert_eq!(circuit(&city, 10.0, &["compared".to_owned()]).len(), 4);
        assert!(Style::ALL.iter().all(|style| stops.iter().any(|(scene, _)| scene.style == *style)));
    }
}
