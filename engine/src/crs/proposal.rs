//! Proposals for coordinates that come without a coordinate system. Nothing here is ever applied by itself.

use glam::DVec3;

use super::{Crs, Transform};

impl Crs {
    /// Systems in which a box of coordinates (min x, min y, max x, max y as they stand in the file) would make sense,
    /// likeliest first, each with the reason and the place where it would put the middle of the box.
    ///
    /// Numbers cannot tell datums apart: where a zone is proposed in CGCS2000, Beijing 1954 and Xian 1980 fit as well.
    pub fn likely(source_extent: [f64; 4]) -> Vec<(Crs, String)> {
        let [min_x, min_y, max_x, max_y] = source_extent;
        if !source_extent.iter().all(|n| n.is_finite()) || min_x > max_x || min_y > max_y {
            return Vec::new();
        }
        let middle = DVec3::new((min_x + max_x) / 2.0, (min_y + max_y) / 2.0, 0.0);
        let within = |x: [f64; 2], y: [f64; 2]| min_x >= x[0] && max_x <= x[1] && min_y >= y[0] && max_y <= y[1];
        let mut proposals = Proposals { middle, found: Vec::new() };
        if within([-180.0, 180.0], [-90.0, 90.0]) {
            proposals.add(4326, "numbers are in the range of degrees (longitude, latitude)");
            if within([73.0, 136.0], [3.0, 54.0]) {
                proposals.add(4490, "degrees within China; CGCS2000 is the legal datum");
            }
            return proposals.found;
        }
        let zone = (middle.x / 1e6).floor() as i64;
        let zone_fits = (min_x / 1e6).floor() as i64 == zone && (max_x / 1e6).floor() as i64 == zone;
        if zone_fits && min_y > 0.0 && max_y < 6.2e6 {
            let doubt = "the datum (CGCS2000, Xian 1980, Beijing 1954) cannot be told from numbers";
            match zone {
                13..=23 => {
                    proposals.add(4491 + (zone as u32 - 13), &format!("easting starts with 6° zone {zone}; {doubt}"))
                }
                25..=45 => {
                    proposals.add(4513 + (zone as u32 - 25), &format!("easting starts with 3° zone {zone}; {doubt}"))
                }
                _ => {}
            }
        }
        if within([2_400_000.0, 5_700_000.0], [4_200_000.0, 6_300_000.0]) && (2..=5).contains(&zone) {
            proposals.add(31464 + zone as u32, "easting starts with a German Gauss-Krüger zone");
        }
        if within([-7_000.0, 300_000.0], [289_000.0, 629_000.0]) {
            proposals.add(28992, "numbers are in the range of the Dutch RD New");
        }
        if within([0.0, 700_000.0], [0.0, 1_300_000.0]) {
            proposals.add(27700, "numbers are in the range of the British National Grid");
        }
        if within([160_000.0, 840_000.0], [1_900_000.0, 6_000_000.0]) {
            for code in [4549, 4547, 4546, 4551] {
                proposals.add(code, "Gauss-Krüger without zone; the central meridian cannot be told from numbers");
            }
        }
        if within([160_000.0, 840_000.0], [0.0, 9_400_000.0]) {
            for code in [32650, 32651, 32632, 32633] {
                proposals.add(code, "numbers fit a UTM zone; which one cannot be told");
            }
        }
        if within([-20_037_509.0, 20_037_509.0], [-20_048_967.0, 20_048_967.0]) && proposals.found.is_empty() {
            proposals.add(3857, "numbers are in the range of web maps' Mercator");
        }
        proposals.found
    }
}

struct Proposals {
    middle: DVec3,
    found: Vec<(Crs, String)>,
}

impl Proposals {
    fn add(&mut self, code: u32, why: &str) {
        let Ok(crs) = Crs::from_epsg(code) else { return };
        let Ok(geographic) = crs.geographic() else { return };
        let place = Transform::new(&crs, &geographic).ok().and_then(|t| t.point(self.middle));
        let Some(place) = place else { return };
        let why = format!("{why}; would lie at {:.3}°, {:.3}° (longitude, latitude)", place.x, place.y);
        self.found.push((crs, why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(extent: [f64; 4]) -> Vec<u32> {
        Crs::likely(extent).iter().filter_map(|(crs, _)| crs.epsg).collect()
    }

    #[test]
    fn ranges_of_numbers_suggest_systems() {
        assert_eq!(codes([120.3, 36.0, 120.5, 36.2]), [4326, 4490]);
        assert_eq!(codes([40_534_000.0, 3_990_000.0, 40_536_000.0, 3_995_000.0]), [4528]);
        assert_eq!(codes([20_800_000.0, 3_990_000.0, 20_804_000.0, 3_995_000.0]), [4498]);
        assert_eq!(codes([84_000.0, 445_000.0, 86_000.0, 447_000.0])[0], 28992);
        assert!(codes([534_000.0, 3_990_000.0, 536_000.0, 3_995_000.0]).contains(&4549));
        assert!(codes([f64::NAN, 0.0, 1.0, 1.0]).is_empty());
    }

    #[test]
    fn every_proposal_says_where_it_would_put_the_data() {
        let proposals = Crs::likely([40_534_000.0, 3_990_000.0, 40_536_000.0, 3_995_000.0]);
        assert!(proposals[0].1.contains("120.3") && proposals[0].1.contains("36.0"), "{}", proposals[0].1);
    }
}
