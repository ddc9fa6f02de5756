//! The city's frame on the Earth.

use glam::{DMat3, DMat4, DVec3};

use super::{Crs, CrsError, Transform, ecef_from_geographic};

/// The city's frame on the Earth.
///
/// Heights of the city's vertical datum are taken as heights above the ellipsoid: the geoid is not applied, so a
/// globe shows the city some metres to tens of metres off in height, the same everywhere in the city.
#[derive(Clone)]
pub struct Frame {
    /// The city's projected system.
    pub crs: Crs,
    to_geographic: Transform,
    from_geographic: Transform,
    /// Why it stands on its own ellipsoid on a globe, where it does.
    apart: Option<String>,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame").field("crs", &self.crs).finish_non_exhaustive()
    }
}

impl Frame {
    /// The frame of a city built in `crs`.
    ///
    /// # Errors
    /// [`CrsError::NoPath`] when `crs` is not a projected system in metres, or when there is no path from its datum to
    /// WGS 84 at all. Beijing 1954 and Xian 1980 are placed on their own ellipsoid, which puts the city up to some
    /// hundred metres off on a globe and changes nothing within the city; [`Frame::note`] says so.
    pub fn new(crs: Crs) -> Result<Self, CrsError> {
        let refuse =
            |reason: &str| CrsError::NoPath { from: crs.label(), to: "a city's frame".into(), reason: reason.into() };
        if crs.is_geographic {
            return Err(refuse("a city needs plane coordinates; choose a projected system such as EPSG:4549"));
        }
        if (crs.unit_m - 1.0).abs() > 1e-9 {
            return Err(refuse("a city needs metres; choose a projected system in metres and import into it"));
        }
        if crs.height_unit_m().is_some_and(|unit_m| unit_m != 1.0) {
            return Err(refuse("a city's heights are metres"));
        }
        let wgs84 = Crs::from_epsg(4326)?;
        let (to_geographic, from_geographic, apart) = match Transform::new(&crs, &wgs84) {
            Ok(to) => (to, Transform::new(&wgs84, &crs)?, None),
            Err(error) => {
                let own = crs.geographic()?;
                let reason = match error {
                    CrsError::NoPath { reason, .. } => reason,
                    other => other.to_string(),
                };
                (Transform::new(&crs, &own)?, Transform::new(&own, &crs)?, Some(reason))
            }
        };
        Ok(Self { crs, to_geographic, from_geographic, apart })
    }

    /// What the place of the city on a globe is worth; `None` when it is exact.
    pub fn note(&self) -> Option<String> {
        match &self.apart {
            Some(reason) => Some(format!("on a globe the city stands on its own ellipsoid: {reason}")),
            None => self.to_geographic.note(),
        }
    }

    /// Longitude, latitude (degrees, WGS 84) and height of a place in the city; NaN where the projection ends.
    pub fn geographic_from_city(&self, place: DVec3) -> DVec3 {
        let mut one = [place];
        self.to_geographic.apply_exact(&mut one);
        one[0]
    }

    /// The same for many places, in place.
    pub fn geographic_from_city_all(&self, places: &mut [DVec3]) {
        self.to_geographic.apply(places);
    }

    /// The place in the city of a longitude, latitude (degrees, WGS 84) and height; NaN where the projection ends.
    pub fn city_from_geographic(&self, lon_lat_height: DVec3) -> DVec3 {
        let mut one = [lon_lat_height];
        self.from_geographic.apply_exact(&mut one);
        one[0]
    }

    /// Earth-centred Earth-fixed metres (EPSG:4978) of a place in the city, exact.
    pub fn ecef_from_city(&self, place: DVec3) -> DVec3 {
        ecef_from_geographic(self.geographic_from_city(place))
    }

    /// Affine map from metres around `origin` (east, north, up of the city's grid) to Earth-centred
    /// Earth-fixed metres (EPSG:4978), exact at `origin`, with the grid's convergence and scale.
    ///
    /// It leaves out the curvature of the Earth: a point 200 m away is less than 1 cm off, 1 km away about 8 cm.
    pub fn ecef_from_local(&self, origin: DVec3) -> DMat4 {
        // Central differences: over 50 m the Earth is flat to 1e-9 of the step, and f64 noise is 1e-9 m.
        const STEP_M: f64 = 50.0;
        let slope = |axis: DVec3| {
            let [ahead, behind] = [1.0, -1.0].map(|side| self.ecef_from_city(origin + axis * (STEP_M * side)));
            (ahead - behind) / (2.0 * STEP_M)
        };
        let up = self.up(origin);
        let turn = DMat3::from_cols(slope(DVec3::X), slope(DVec3::Y), up);
        let at = self.ecef_from_city(origin);
        DMat4::from_cols(turn.x_axis.extend(0.0), turn.y_axis.extend(0.0), turn.z_axis.extend(0.0), at.extend(1.0))
    }

    /// Direction away from the ellipsoid at a place in the city, Earth-centred Earth-fixed.
    fn up(&self, place: DVec3) -> DVec3 {
        let at = self.geographic_from_city(place);
        let (sin_lon, cos_lon) = at.x.to_radians().sin_cos();
        let (sin_lat, cos_lat) = at.y.to_radians().sin_cos();
        DVec3::new(cos_lat * cos_lon, cos_lat * sin_lon, sin_lat)
    }
}

/// Applies an affine map to a point in f64.
#[cfg(test)]
fn mapped(map: DMat4, point: DVec3) -> DVec3 {
    map.transform_point3(point)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crs::geographic_from_ecef;

    fn qingdao() -> (Frame, DVec3) {
        (Frame::new(Crs::from_epsg(4549).unwrap()).unwrap(), DVec3::new(534_467.459, 3_993_055.813, 20.0))
    }

    #[test]
    fn the_local_map_is_exact_at_its_origin_and_within_a_centimetre_at_200_m() {
        for (code, origin) in [
            (4549, DVec3::new(534_467.459, 3_993_055.813, 20.0)),
            (28992, DVec3::new(85_000.0, 446_500.0, 5.0)),
            (32651, DVec3::new(264_000.0, 3_996_000.0, 0.0)),
        ] {
            let frame = Frame::new(Crs::from_epsg(code).unwrap()).unwrap();
            let map = frame.ecef_from_local(origin);
            assert!((mapped(map, DVec3::ZERO) - frame.ecef_from_city(origin)).length() < 1e-6);
            for step in [DVec3::X, DVec3::Y, DVec3::Z, DVec3::new(0.6, 0.8, 0.0), DVec3::NEG_X] {
                let away = step * 200.0;
                let error = (mapped(map, away) - frame.ecef_from_city(origin + away)).length();
                assert!(error < 0.01, "EPSG:{code} {step}: {error} m");
            }
        }
    }

    #[test]
    fn a_city_stands_where_the_register_says() {
        let (frame, place) = qingdao();
        let at = frame.geographic_from_city(place);
        assert!((at.x - 120.3826).abs() < 1e-7 && (at.y - 36.0671).abs() < 1e-7, "{at}");
        assert_eq!(at.z, 20.0);
        let back = frame.city_from_geographic(at);
        assert!((back - place).length() < 1e-6);
        let ecef = frame.ecef_from_city(place);
        let again = geographic_from_ecef(ecef);
        assert!((again.x - at.x).abs() < 1e-12 && (again.y - at.y).abs() < 1e-12 && (again.z - 20.0).abs() < 1e-6);
    }

    #[test]
    fn places_from_the_middle_of_the_earth_are_those_of_pyproj() {
        // pyproj 3.7.2, EPSG:4979 to EPSG:4978.
        for (lon, lat, height, x, y, z) in [
            (120.3826, 36.0671, 20.0, -2610609.521985, 4452773.866872, 3734224.334120),
            (-75.6124, 40.0425, 61.5, 1214998.904319, -4736363.549754, 4081638.968726),
            (0.0, 0.0, 0.0, 6378137.000000, 0.000000, 0.000000),
            (179.9, -45.0, -50.0, -4517548.642881, 7884.617800, -4487313.053527),
            (10.0, 89.9, 3000.0, 11004.860445, 1940.453815, 6359742.562540),
            (-120.5, -0.001, 8000.0, -3241209.518132, -5502481.860942, -110.713902),
            (25.0, 90.0, 100.0, 0.000000, 0.000000, 6356852.314245),
        ] {
            let (geographic, ecef) = (DVec3::new(lon, lat, height), DVec3::new(x, y, z));
            assert!((ecef_from_geographic(geographic) - ecef).length() < 1e-5, "{geographic}");
            let back = geographic_from_ecef(ecef);
            // 1e-10 of a degree on the ground is ten micrometres; near a pole longitudes lie close together.
            let lon_off = (back.x - lon).abs() * lat.to_radians().cos();
            assert!(lon_off < 1e-10 && (back.y - lat).abs() < 1e-10 && (back.z - height).abs() < 1e-4, "{back}");
        }
    }

    #[test]
    fn degrees_and_feet_are_no_city_frames() {
        for code in [4326, 3547] {
            assert!(Frame::new(Crs::from_epsg(code).unwrap()).is_err(), "EPSG:{code}");
        }
        let old = Frame::new(Crs::from_epsg(2415).unwrap()).unwrap();
        assert!(old.note().unwrap().contains("own ellipsoid"));
    }
}
