//! Coordinate reference systems: where numbers lie on the Earth.

use glam::{DMat4, DVec3};
use serde::{Deserialize, Serialize};

/// A horizontal coordinate reference system (坐标系), with the height datum kept apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Crs {
    /// EPSG code, where it has one.
    pub epsg: Option<u32>,
    /// Name as the register or the file has it.
    pub name: String,
    /// Parameters in PROJ's notation.
    pub proj4: String,
    /// Whether coordinates are degrees of longitude and latitude.
    pub is_geographic: bool,
    /// Metres per unit of the plane coordinates (1 for metres, 0.3048… for feet); 1 when geographic.
    pub unit_m: f64,
}

/// Why a coordinate system could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CrsError {
    /// The code is not in the register that is built in.
    #[error("EPSG:{0} is not known")]
    UnknownCode(u32),
    /// The text is no WKT that is understood.
    #[error("coordinate system text not understood: {0}")]
    BadText(String),
    /// No path between the two.
    #[error("no transformation from {from} to {to}: {reason}")]
    NoPath {
        /// Source system.
        from: String,
        /// Target system.
        to: String,
        /// Why.
        reason: String,
    },
}

impl Crs {
    /// The system with this EPSG code.
    pub fn from_epsg(code: u32) -> Result<Self, CrsError> {
        Err(CrsError::UnknownCode(code))
    }

    /// The system described by `EPSG:4549`, `urn:ogc:def:crs:EPSG::28992`, WKT 1 (OGC or ESRI) or a PROJ string.
    pub fn parse(text: &str) -> Result<Self, CrsError> {
        Err(CrsError::BadText(text.into()))
    }

    /// `EPSG:4549`, or the name where there is no code.
    pub fn label(&self) -> String {
        self.epsg.map_or_else(|| self.name.clone(), |code| format!("EPSG:{code}"))
    }

    /// The projected metric system that a city in geographic coordinates (degrees) is best built in:
    /// CGCS2000 / 3-degree Gauss-Krüger within China, WGS 84 / UTM elsewhere.
    pub fn city_default(lon_deg: f64, lat_deg: f64) -> Result<Self, CrsError> {
        let _ = (lon_deg, lat_deg);
        Err(CrsError::UnknownCode(0))
    }
}

/// From one system to another.
pub struct Transform {}

impl Transform {
    /// The path from `source` to `target`.
    pub fn new(source: &Crs, target: &Crs) -> Result<Self, CrsError> {
        let _ = (source, target);
        Ok(Self {})
    }

    /// Converts in place. x/y are longitude/latitude in degrees for geographic systems, else plane units
    /// (east, north); z passes through unchanged. A point that cannot be converted becomes NaN.
    pub fn apply(&self, points: &mut [DVec3]) {
        let _ = points;
    }

    /// Converts one point; `None` when it cannot be converted.
    pub fn point(&self, point: DVec3) -> Option<DVec3> {
        let mut one = [point];
        self.apply(&mut one);
        one[0].is_finite().then_some(one[0])
    }
}

/// The city's frame on the Earth.
pub struct Frame {
    /// The city's projected system.
    pub crs: Crs,
}

impl Frame {
    /// The frame of a city built in `crs`.
    pub fn new(crs: Crs) -> Result<Self, CrsError> {
        Ok(Self { crs })
    }

    /// Longitude, latitude (degrees, WGS 84) and height of a place in the city.
    pub fn geographic_from_city(&self, place: DVec3) -> DVec3 {
        place
    }

    /// Affine map from metres around `origin` (east, north, up of the city's grid) to Earth-centred
    /// Earth-fixed metres (EPSG:4978), exact at `origin`, with the grid's convergence and scale.
    pub fn ecef_from_local(&self, origin: DVec3) -> DMat4 {
        DMat4::from_translation(origin)
    }
}
