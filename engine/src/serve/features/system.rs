//! Systems in which places are asked for and answered (part 2 of OGC API – Features).

use glam::{DVec2, DVec3};

use super::{CRS84, bad};
use crate::{
    crs::{Crs, Frame, Transform},
    serve::Refusal,
    store::City,
};

const EPSG: &str = "http://www.opengis.net/def/crs/EPSG/0/";

/// First and last codes of the projected systems of EPSG whose first axis runs north, from PROJ's tables: GIS programs take
/// the axes of a code as the register has them.
const NORTH_FIRST: [(u32, u32); 104] = [
    (2036, 2036),
    (2044, 2045),
    (2081, 2083),
    (2085, 2086),
    (2091, 2093),
    (2096, 2098),
    (2105, 2132),
    (2166, 2180),
    (2193, 2193),
    (2199, 2200),
    (2206, 2212),
    (2218, 2218),
    (2221, 2221),
    (2296, 2307),
    (2319, 2549),
    (2551, 2735),
    (2738, 2758),
    (2935, 2941),
    (2953, 2953),
    (3006, 3030),
    (3034, 3035),
    (3038, 3051),
    (3058, 3059),
    (3068, 3068),
    (3114, 3118),
    (3120, 3120),
    (3126, 3140),
    (3144, 3147),
    (3150, 3152),
    (3173, 3173),
    (3300, 3301),
    (3328, 3335),
    (3346, 3346),
    (3350, 3352),
    (3366, 3366),
    (3386, 3390),
    (3396, 3399),
    (3407, 3407),
    (3414, 3414),
    (3416, 3416),
    (3764, 3764),
    (3788, 3793),
    (3795, 3796),
    (3833, 3854),
    (3873, 3885),
    (3907, 3911),
    (4026, 4038),
    (4417, 4417),
    (4434, 4434),
    (4491, 4554),
    (4568, 4589),
    (4652, 4822),
    (4839, 4880),
    (5048, 5048),
    (5105, 5188),
    (5253, 5259),
    (5269, 5275),
    (5343, 5349),
    (5367, 5367),
    (5479, 5481),
    (5518, 5520),
    (5562, 5588),
    (5632, 5639),
    (5651, 5653),
    (6244, 6275),
    (6362, 6362),
    (6372, 6387),
    (6669, 6687),
    (6707, 6709),
    (6870, 6876),
    (6962, 6962),
    (7799, 7801),
    (7825, 7831),
    (8433, 8441),
    (9039, 9040),
    (9221, 9254),
    (9271, 9285),
    (9377, 9377),
    (9498, 9498),
    (9821, 9821),
    (9831, 9841),
    (9851, 9865),
    (9895, 9895),
    (20004, 20032),
    (20064, 20092),
    (20904, 20932),
    (21004, 21032),
    (21207, 21264),
    (21307, 21483),
    (21896, 21899),
    (22171, 22197),
    (22240, 22240),
    (25884, 25884),
    (27205, 27232),
    (27391, 27398),
    (27492, 27492),
    (28402, 28492),
    (29701, 29702),
    (30161, 30179),
    (30800, 30800),
    (31251, 31259),
    (31275, 31290),
    (31466, 31469),
    (31700, 31700),
];

/// A system in which places are given.
pub(super) struct System {
    name: String,
    kind: Kind,
    is_north_first: bool,
    frame: Frame,
}

enum Kind {
    City,
    Geographic,
    /// By way of longitude and latitude.
    Plane {
        there: Transform,
        back: Transform,
    },
}

/// The systems that are answered in: CRS84 first, as it is used when none is named.
pub(super) fn names(city: &City) -> Vec<String> {
    let mut names = vec![CRS84.to_owned()];
    names.extend(city.crs().epsg.map(|code| format!("{EPSG}{code}")));
    for code in [4326, 3857] {
        let name = format!("{EPSG}{code}");
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The system that the city is kept in, where it has a name.
pub(super) fn storage(city: &City) -> String {
    city.crs().epsg.map_or_else(|| CRS84.to_owned(), |code| format!("{EPSG}{code}"))
}

impl System {
    /// The system that a parameter names; CRS84 when it is absent.
    pub fn named(city: &City, name: Option<&str>, parameter: &str) -> Result<Self, Refusal> {
        let name = name.unwrap_or(CRS84);
        let frame = city.frame().map_err(Refusal::from)?;
        let code = name.strip_prefix(EPSG).and_then(|code| code.parse::<u32>().ok());
        let kind = match code {
            _ if !names(city).iter().any(|known| known == name) => {
                return Err(bad(format!("{parameter}={name:.100} is not one of {}", names(city).join(", "))));
            }
            Some(code) if city.crs().epsg == Some(code) => Kind::City,
            Some(3857) => {
                let (world, web) = (Crs::from_epsg(4326), Crs::from_epsg(3857));
                let both = world.and_then(|world| {
                    let web = web?;
                    Ok(Kind::Plane { there: Transform::new(&world, &web)?, back: Transform::new(&web, &world)? })
                });
                both.map_err(|e| bad(format!("{parameter}: {e}")))?
            }
            _ => Kind::Geographic,
        };
        let is_north_first = code.is_some_and(is_north_first);
        Ok(Self { name: name.to_owned(), kind, is_north_first, frame })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn is_geographic(&self) -> bool {
        matches!(self.kind, Kind::Geographic)
    }

    /// Two numbers in the order of the system's axes as east (or longitude) and north.
    pub fn east_north(&self, first: f64, second: f64) -> DVec2 {
        if self.is_north_first { DVec2::new(second, first) } else { DVec2::new(first, second) }
    }

    /// A place of the city, in the order of the system's axes.
    pub fn of_city(&self, place: DVec3) -> DVec3 {
        let at = match &self.kind {
            Kind::City => place,
            Kind::Geographic => self.frame.geographic_from_city(place),
            Kind::Plane { there, .. } => {
                let mut one = [self.frame.geographic_from_city(place)];
                there.apply_exact(&mut one);
                one[0]
            }
        };
        if self.is_north_first { DVec3::new(at.y, at.x, at.z) } else { at }
    }

    /// The place in the city of numbers in the order of the system's axes.
    pub fn to_city(&self, place: DVec3) -> DVec3 {
        self.city_of_east_north(self.east_north(place.x, place.y).extend(place.z))
    }

    /// The place in the city of an east (or longitude), a north and a height.
    pub fn city_of_east_north(&self, place: DVec3) -> DVec3 {
        match &self.kind {
            Kind::City => place,
            Kind::Geographic => self.frame.city_from_geographic(place),
            Kind::Plane { back, .. } => {
                let mut one = [place];
                back.apply_exact(&mut one);
                self.frame.city_from_geographic(one[0])
            }
        }
    }
}

fn is_north_first(code: u32) -> bool {
    code == 4326 || NORTH_FIRST.iter().any(|(first, last)| (*first..=*last).contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_run_as_the_register_says() {
        for (code, is_north) in
            [(4326, true), (4549, true), (3857, false), (32651, false), (28992, false), (2326, true)]
        {
            assert_eq!(is_north_first(code), is_north, "EPSG:{code}");
        }
        assert!(NORTH_FIRST.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }
}
