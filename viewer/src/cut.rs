//! Cuts through the picture (剖切): planes that take away a part of it, and trenches that open the ground.
//!
//! A cut changes the picture alone, never the city. What is cut through shows a filled face: solids are hatched, the ground is
//! [`crate::soil`].

use std::{fmt, str::FromStr};

use bevy::prelude::*;
use glam::{DVec2, DVec3};
use groundline_engine::model::Extent;

use crate::{
    camera::direction_of,
    material::Kind,
    origin::{RenderOrigin, axes_from_city},
};

/// Most planes of all cuts together; the same number stands in `shaders/look.wgsl`.
pub const MOST_PLANES: usize = 8;
/// Most straight legs of the trench; the same number stands in `shaders/look.wgsl`.
pub const MOST_LEGS: usize = 16;
/// Widest and deepest trench, metres.
const MOST_TRENCH_M: f64 = 200.0;
/// Trenches are this wide and deep when nothing is said, metres.
const USUAL_WIDTH_M: f64 = 8.0;
const USUAL_DEPTH_M: f64 = 6.0;
/// Farthest coordinate, metres.
const FARTHEST_M: f64 = 1e9;

/// One cut, in the city's frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Cut {
    /// An upright plane; who looks along the heading from before it sees it as a section: what lies before it is taken away.
    Section {
        /// A place on it, in plan.
        at: DVec2,
        /// Compass bearing of the look, degrees.
        heading_deg: f64,
    },
    /// A level plane; what lies above is taken away.
    Level {
        /// Its height, metres.
        z: f64,
    },
    /// Only what lies in the box is left.
    Box(Extent),
    /// The ground is dug out along a path; pipes in it hang free.
    Trench {
        /// Its middle, in plan.
        path: Vec<DVec2>,
        /// Across, metres.
        width_m: f64,
        /// Below the ground, metres.
        depth_m: f64,
    },
}

/// A plane; what is on the side that its normal points to is left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plane {
    /// A place on it.
    pub at: DVec3,
    /// Of length 1.
    pub normal: DVec3,
}

impl Cut {
    /// Its planes.
    pub fn planes(&self) -> Vec<Plane> {
        match self {
            Self::Section { at, heading_deg } => {
                vec![Plane { at: at.extend(0.0), normal: direction_of(*heading_deg, 0.0) }]
            }
            Self::Level { z } => vec![Plane { at: DVec3::Z * *z, normal: DVec3::NEG_Z }],
            Self::Box(Extent { min, max }) => {
                let axes = [DVec3::X, DVec3::Y, DVec3::Z];
                let low = axes.map(|normal| Plane { at: *min, normal });
                low.into_iter().chain(axes.map(|normal| Plane { at: *max, normal: -normal })).collect()
            }
            Self::Trench { .. } => Vec::new(),
        }
    }
}

/// Why a text is no cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CutError {
    /// Another beginning.
    #[error("`{0}` is no cut: section:X,Y,HEADING, level:Z, box:X,Y,Z,X,Y,Z or trench:X,Y,X,Y,…;width=8;depth=6")]
    Kind(String),
    /// Numbers that do not fit.
    #[error("{0}")]
    Numbers(&'static str),
    /// Too much at once.
    #[error("at most {MOST_PLANES} planes (a box has six) and one trench at once")]
    Many,
}

impl FromStr for Cut {
    type Err = CutError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let kind = || CutError::Kind(text.chars().take(40).collect());
        let (word, rest) = text.split_once(':').ok_or_else(kind)?;
        let mut parts = rest.split(';');
        let numbers: Vec<f64> = parts.next().unwrap_or_default().split(',').map_while(number).collect();
        let said = rest.split(';').next().unwrap_or_default().split(',').count();
        let whole = numbers.len() == said;
        let cut = match (word.trim(), numbers.as_slice()) {
            ("section", &[x, y, heading_deg]) if whole => Self::Section { at: DVec2::new(x, y), heading_deg },
            ("section", _) => return Err(CutError::Numbers("section takes X,Y,HEADING")),
            ("level", &[z]) if whole => Self::Level { z },
            ("level", _) => return Err(CutError::Numbers("level takes one height")),
            ("box", &[x, y, z, x1, y1, z1]) if whole => {
                let (min, max) = (DVec3::new(x, y, z), DVec3::new(x1, y1, z1));
                if !min.cmplt(max).all() {
                    return Err(CutError::Numbers("the box's first corner must be the lower one in x, y and z"));
                }
                Self::Box(Extent { min, max })
            }
            ("box", _) => return Err(CutError::Numbers("box takes X,Y,Z,X,Y,Z")),
            ("trench", list) if whole => {
                let path: Vec<DVec2> = list.chunks_exact(2).map(|v| DVec2::new(v[0], v[1])).collect();
                if !list.len().is_multiple_of(2) || !(2..=MOST_LEGS + 1).contains(&path.len()) {
                    return Err(CutError::Numbers("trench takes 2 to 17 places X,Y"));
                }
                if path.windows(2).any(|leg| leg[0].distance(leg[1]) < 0.01) {
                    return Err(CutError::Numbers("two places of the trench are one"));
                }
                Self::Trench { path, width_m: USUAL_WIDTH_M, depth_m: USUAL_DEPTH_M }
            }
            ("trench", _) => return Err(CutError::Numbers("trench takes 2 to 17 places X,Y")),
            _ => return Err(kind()),
        };
        parts.try_fold(cut, with_option)
    }
}

fn number(word: &str) -> Option<f64> {
    word.trim().parse().ok().filter(|v: &f64| v.abs() <= FARTHEST_M)
}

fn with_option(cut: Cut, option: &str) -> Result<Cut, CutError> {
    let length = |word: &str| number(word).filter(|v| (0.1..=MOST_TRENCH_M).contains(v));
    match (cut, option.split_once('=')) {
        (Cut::Trench { path, width_m, depth_m }, Some((key, word))) => {
            let value = length(word).ok_or(CutError::Numbers("width and depth of a trench are 0.1 to 200 metres"))?;
            match key.trim() {
                "width" => Ok(Cut::Trench { path, width_m: value, depth_m }),
                "depth" => Ok(Cut::Trench { path, width_m, depth_m: value }),
                _ => Err(CutError::Numbers("of a trench, width= and depth= can be said")),
            }
        }
        _ => Err(CutError::Numbers("only a trench takes width= and depth=")),
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Section { at, heading_deg } => write!(f, "section:{},{},{heading_deg}", at.x, at.y),
            Self::Level { z } => write!(f, "level:{z}"),
            Self::Box(Extent { min, max }) => {
                write!(f, "box:{},{},{},{},{},{}", min.x, min.y, min.z, max.x, max.y, max.z)
            }
            Self::Trench { path, width_m, depth_m } => {
                let places: Vec<String> = path.iter().map(|place| format!("{},{}", place.x, place.y)).collect();
                write!(f, "trench:{};width={width_m};depth={depth_m}", places.join(","))
            }
        }
    }
}

/// The cuts of the picture.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct Cuts(Vec<Cut>);

impl Cuts {
    /// These together; what any of them takes away is gone.
    pub fn new(cuts: Vec<Cut>) -> Result<Self, CutError> {
        let planes: usize = cuts.iter().map(|cut| cut.planes().len()).sum();
        let trenches = cuts.iter().filter(|cut| matches!(cut, Cut::Trench { .. })).count();
        if planes > MOST_PLANES || trenches > 1 { Err(CutError::Many) } else { Ok(Self(cuts)) }
    }

    /// One by one.
    pub fn list(&self) -> &[Cut] {
        &self.0
    }

    /// Whether nothing is cut.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The planes of all.
    pub fn planes(&self) -> Vec<Plane> {
        self.0.iter().flat_map(Cut::planes).collect()
    }

    /// Middle, width and depth of the trench.
    pub fn trench(&self) -> Option<(&[DVec2], f64, f64)> {
        self.0.iter().find_map(|cut| match cut {
            Cut::Trench { path, width_m, depth_m } => Some((path.as_slice(), *width_m, *depth_m)),
            _ => None,
        })
    }

    /// Whether a box of things below solid ground may be seen through the cuts: where it lies at a plane's face or in the trench.
    pub fn opens(&self, extent: &Extent) -> bool {
        let planes = self.planes();
        let corner = |normal: DVec3, towards: bool| {
            DVec3::select(normal.cmpge(DVec3::ZERO) ^ bevec(!towards), extent.max, extent.min)
        };
        let side = |plane: &Plane, towards: bool| (corner(plane.normal, towards) - plane.at).dot(plane.normal);
        let is_left = planes.iter().all(|plane| side(plane, true) >= 0.0);
        if is_left && planes.iter().any(|plane| side(plane, false) <= 0.0) {
            return true;
        }
        self.trench().is_some_and(|(path, width_m, _)| {
            let half = DVec2::splat(width_m * 0.5);
            path.windows(2).any(|leg| {
                let (low, high) = (leg[0].min(leg[1]) - half, leg[0].max(leg[1]) + half);
                low.cmple(extent.max.truncate()).all() && high.cmpge(extent.min.truncate()).all()
            })
        })
    }

    /// Whether a place is taken away by a plane.
    pub fn takes(&self, place: DVec3) -> bool {
        self.planes().iter().any(|plane| (place - plane.at).dot(plane.normal) < 0.0)
    }

    /// Whether ground at a place is dug out.
    pub fn digs(&self, place: DVec2) -> bool {
        self.trench()
            .is_some_and(|(path, width_m, _)| path.windows(2).any(|leg| to_leg(place, leg[0], leg[1]) < width_m * 0.5))
    }

    /// Whether a place on a surface of this kind is still seen.
    pub fn shows(&self, kind: Kind, place: DVec3) -> bool {
        !(self.takes(place) || kind.lies_on_ground() && self.digs(place.truncate()))
    }

    /// As the shaders want them.
    pub fn in_render(&self, origin: &RenderOrigin) -> CutLook {
        let mut look = CutLook::default();
        let planes = self.planes();
        for (slot, plane) in look.planes.iter_mut().zip(&planes) {
            let normal = axes_from_city(plane.normal);
            // The distance from the render origin is made in f64.
            let beyond = (plane.at - origin.city).dot(plane.normal);
            *slot = normal.extend(-beyond as f32);
        }
        let (mut legs, mut half) = (0, 0.0);
        if let Some((path, width_m, _)) = self.trench() {
            half = (width_m * 0.5) as f32;
            for (slot, leg) in look.legs.iter_mut().zip(path.windows(2)) {
                let [a, b] = [leg[0], leg[1]].map(|place| origin.render_from_city(place.extend(0.0)));
                *slot = Vec4::new(a.x, a.z, b.x, b.z);
                legs += 1;
            }
        }
        look.counts = Vec4::new(planes.len() as f32, legs as f32, half, 0.0);
        look
    }
}

fn bevec(value: bool) -> glam::BVec3 {
    glam::BVec3::splat(value)
}

/// Distance of a place from a leg, in plan.
fn to_leg(place: DVec2, from: DVec2, to: DVec2) -> f64 {
    let along = to - from;
    let share = ((place - from).dot(along) / along.length_squared()).clamp(0.0, 1.0);
    place.distance(from + along * share)
}

/// Twin of `CutLook` in `shaders/look.wgsl`.
#[derive(Clone, Copy, Debug, Default, PartialEq, bevy::render::render_resource::ShaderType)]
pub struct CutLook {
    /// Normal and distance of each plane, render coordinates.
    pub planes: [Vec4; MOST_PLANES],
    /// Both ends of each leg of the trench, render x and z.
    pub legs: [Vec4; MOST_LEGS],
    /// Planes, legs, half of the trench's width.
    pub counts: Vec4,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Cut {
        text.parse().unwrap()
    }

    #[test]
    fn cuts_are_read_as_they_are_written() {
        for text in [
            "section:500000.5,4000000.25,30",
            "level:12.5",
            "box:1,2,3,4,5,6.5",
            "trench:1,2,30,2,30,40;width=6;depth=4.5",
        ] {
            assert_eq!(cut(text).to_string(), text);
        }
        assert_eq!(cut("trench:0,0,9,0").to_string(), "trench:0,0,9,0;width=8;depth=6");
        for bad in [
            "",
            "section",
            "section:1,2",
            "section:1,2,x",
            "section:1,2,3,4",
            "level:nan",
            "level:inf",
            "level:1;width=2",
            "box:1,2,3,0,5,6",
            "trench:1,2",
            "trench:1,2,3",
            "trench:1,2,1,2",
            "trench:0,0,9,0;width=0",
            "trench:0,0,9,0;deep=3",
            "plane:1,2,3",
            "level:1e300",
        ] {
            assert!(bad.parse::<Cut>().is_err(), "{bad}");
        }
        let long = format!("trench:{}", (0..60).map(|n| format!("{n},0")).collect::<Vec<_>>().join(","));
        assert!(long.parse::<Cut>().is_err());
    }

    #[test]
    fn so_many_cuts_fit_and_no_more() {
        let of = |texts: &[&str]| Cuts::new(texts.iter().map(|text| cut(text)).collect());
        assert!(of(&["box:0,0,0,1,1,1", "level:3", "section:0,0,0", "trench:0,0,9,0"]).is_ok());
        assert_eq!(of(&["box:0,0,0,1,1,1", "level:3", "section:0,0,0", "level:2"]), Err(CutError::Many));
        assert_eq!(of(&["trench:0,0,9,0", "trench:0,0,9,0"]), Err(CutError::Many));
    }

    #[test]
    fn a_section_takes_what_lies_before_it() {
        let cuts = Cuts::new(vec![cut("section:100,200,0"), cut("level:30")]).unwrap();
        assert!(cuts.takes(DVec3::new(0.0, 199.0, 0.0)), "who looks north stands south of it");
        assert!(!cuts.takes(DVec3::new(0.0, 201.0, 0.0)));
        assert!(cuts.takes(DVec3::new(0.0, 201.0, 31.0)));
        let boxed = Cuts::new(vec![cut("box:0,0,0,10,10,10")]).unwrap();
        assert!(!boxed.takes(DVec3::splat(5.0)) && boxed.takes(DVec3::new(5.0, 5.0, -1.0)));
        let render = cuts.in_render(&RenderOrigin { city: DVec3::new(90.0, 150.0, 10.0) });
        assert_eq!(render.counts, Vec4::new(2.0, 0.0, 0.0, 0.0));
        // 50 m north of the render origin is z = −50.
        let holds = |place: Vec3| render.planes[..2].iter().all(|p| p.truncate().dot(place) + p.w >= 0.0);
        assert!(holds(Vec3::new(0.0, 0.0, -51.0)) && !holds(Vec3::new(0.0, 0.0, -49.0)));
        assert!(holds(Vec3::new(0.0, 19.9, -51.0)) && !holds(Vec3::new(0.0, 20.1, -51.0)));
    }

    #[test]
    fn what_lies_below_ground_is_drawn_only_where_a_cut_opens_it() {
        let boxed = |x: f64, y: f64| Extent { min: DVec3::new(x, y, -9.0), max: DVec3::new(x + 10.0, y + 10.0, -1.0) };
        let section = Cuts::new(vec![cut("section:0,0,90")]).unwrap();
        assert!(section.opens(&boxed(-5.0, 50.0)), "across the plane");
        assert!(!section.opens(&boxed(5.0, 50.0)), "behind it, in the ground");
        assert!(!section.opens(&boxed(-50.0, 50.0)), "before it, taken away");
        let trench = Cuts::new(vec![cut("trench:0,0,100,0;width=4")]).unwrap();
        assert!(trench.opens(&boxed(40.0, 1.0)) && !trench.opens(&boxed(40.0, 3.0)));
        assert!(trench.digs(DVec2::new(50.0, 1.9)) && !trench.digs(DVec2::new(50.0, 2.1)));
        assert!(!Cuts::default().opens(&boxed(0.0, 0.0)));
    }
}
