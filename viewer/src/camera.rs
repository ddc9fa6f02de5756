//! Where the picture is taken from (视点).

use std::str::FromStr;

use glam::{DVec2, DVec3};
use groundline_engine::model::Extent;

/// Vertical field of view, degrees: a long normal lens, so that towers do not fall apart at the edges.
pub const FIELD_OF_VIEW_DEG: f64 = 38.0;

/// A camera in the city.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CameraPose {
    /// Place in the city's frame.
    pub place: DVec3,
    /// Direction of view from grid north, clockwise, degrees.
    pub heading_deg: f64,
    /// Direction of view above the horizon, degrees; negative looks down.
    pub pitch_deg: f64,
}

impl CameraPose {
    /// Unit vector of the view: x east, y north, z up.
    pub fn direction(&self) -> DVec3 {
        direction_of(self.heading_deg, self.pitch_deg)
    }

    /// A camera `distance_m` from `target`, looking at it.
    pub fn looking_at(target: DVec3, distance_m: f64, heading_deg: f64, pitch_deg: f64) -> Self {
        Self { place: target - direction_of(heading_deg, pitch_deg) * distance_m, heading_deg, pitch_deg }
    }

    /// A flattering oblique view of the whole of `extent`: from the lower side of the city, so that it rises
    /// away from the viewer, turned a little out of the grid. `height_at` gives the terrain, where there is one.
    pub fn overview(extent: &Extent, aspect: f64, height_at: impl Fn(DVec2) -> Option<f64>) -> Self {
        if extent.is_empty() {
            return Self { place: DVec3::new(0.0, -500.0, 350.0), heading_deg: 0.0, pitch_deg: -35.0 };
        }
        let size = extent.size();
        let centre = extent.centre();
        let sides = [(0.0, DVec2::NEG_Y), (90.0, DVec2::NEG_X), (180.0, DVec2::Y), (270.0, DVec2::X)];
        let mean = |side: DVec2| {
            let mut heights = Vec::new();
            for i in 0..24 {
                for depth in [0.97, 0.88, 0.79] {
                    let along = (i as f64 + 0.5) / 12.0 - 1.0;
                    let offset = side * depth + DVec2::new(side.y, side.x) * along;
                    heights.extend(height_at(centre.truncate() + offset * size.truncate() * 0.5));
                }
            }
            (!heights.is_empty()).then(|| heights.iter().sum::<f64>() / heights.len() as f64)
        };
        // South wins a tie: the sun is behind the viewer's shoulder there.
        let mut heading = 0.0;
        let mut lowest = f64::INFINITY;
        for (look, side) in sides {
            if let Some(mean) = mean(side)
                && mean < lowest - 1.0
            {
                (heading, lowest) = (look, mean);
            }
        }
        let heading = (heading - 18.0_f64).rem_euclid(360.0);
        let pitch = -16.5;
        let ground = height_at(centre.truncate()).unwrap_or(extent.min.z.max(centre.z - size.z * 0.5));
        // What is as high as it is wide is looked at as a whole.
        let is_tall = size.z > size.x.max(size.y) * 0.5;
        let half_width = if is_tall { size.max_element() * 0.75 } else { size.x.max(size.y) * 0.5 };
        let tan_half = (FIELD_OF_VIEW_DEG.to_radians() * 0.5).tan() * aspect.clamp(0.6, 1.78);
        let distance = (half_width / tan_half * 0.94).clamp(60.0, 400_000.0);
        let mut target = centre;
        target.z = if is_tall { centre.z } else { ground.clamp(extent.min.z, extent.max.z) };
        // A little towards the viewer, and above the ground: the horizon stands in the upper tenth of the picture.
        target -= direction_of(heading, 0.0) * half_width * 0.10;
        Self::looking_at(target, distance, heading, pitch)
    }
}

/// Unit vector for a heading from north and a pitch above the horizon, degrees.
pub fn direction_of(heading_deg: f64, pitch_deg: f64) -> DVec3 {
    let (sin_h, cos_h) = heading_deg.to_radians().sin_cos();
    let (sin_p, cos_p) = pitch_deg.to_radians().sin_cos();
    DVec3::new(sin_h * cos_p, cos_h * cos_p, sin_p)
}

/// What the user asked for.
///
/// Text form: `auto`, `x,y,z,heading,pitch` in city coordinates and degrees, or
/// `look=x,y,z;distance=300;heading=320;pitch=-30` (all but `look` may be left out). A negative pitch looks down.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum CameraChoice {
    /// An oblique view of the whole city.
    #[default]
    Auto,
    /// Exactly this pose.
    Pose(CameraPose),
    /// Around a place.
    Look {
        /// Looked at, in the city's frame.
        target: DVec3,
        /// Metres from there.
        distance_m: f64,
        /// Direction of view from north, degrees.
        heading_deg: f64,
        /// Direction of view above the horizon, degrees.
        pitch_deg: f64,
    },
}

impl FromStr for CameraChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Self::Auto);
        }
        if !text.starts_with("look=") {
            let [x, y, z, heading_deg, pitch_deg] = numbers::<5>(text)?;
            return Ok(Self::Pose(CameraPose {
                place: DVec3::new(x, y, z),
                heading_deg,
                pitch_deg: checked_pitch(pitch_deg)?,
            }));
        }
        let (mut target, mut distance_m, mut heading_deg, mut pitch_deg) = (DVec3::ZERO, 300.0, 0.0, -30.0);
        for part in text.split(';').filter(|part| !part.trim().is_empty()) {
            let (key, value) = part.split_once('=').ok_or_else(|| format!("`{part}` has no `=`"))?;
            match key.trim() {
                "look" => target = DVec3::from_array(numbers::<3>(value)?),
                "distance" => distance_m = numbers::<1>(value)?[0],
                "heading" => heading_deg = numbers::<1>(value)?[0],
                "pitch" => pitch_deg = checked_pitch(numbers::<1>(value)?[0])?,
                other => return Err(format!("`{other}` is none of look, distance, heading, pitch")),
            }
        }
        if distance_m <= 0.0 {
            return Err(format!("distance {distance_m} is not above 0"));
        }
        Ok(Self::Look { target, distance_m, heading_deg, pitch_deg })
    }
}

impl CameraChoice {
    /// The pose that is meant in a city of this extent.
    pub fn pose(&self, extent: &Extent, aspect: f64, height_at: impl Fn(DVec2) -> Option<f64>) -> CameraPose {
        match *self {
            Self::Auto => CameraPose::overview(extent, aspect, height_at),
            Self::Pose(pose) => pose,
            Self::Look { target, distance_m, heading_deg, pitch_deg } => {
                CameraPose::looking_at(target, distance_m, heading_deg, pitch_deg)
            }
        }
    }
}

fn checked_pitch(pitch_deg: f64) -> Result<f64, String> {
    if (-90.0..=90.0).contains(&pitch_deg) {
        Ok(pitch_deg)
    } else {
        Err(format!("pitch {pitch_deg} is not between -90 and 90"))
    }
}

fn numbers<const N: usize>(text: &str) -> Result<[f64; N], String> {
    let mut out = [0.0; N];
    let mut parts = text.split(',');
    for slot in &mut out {
        let part = parts.next().ok_or_else(|| format!("`{text}`: {N} numbers are needed"))?;
        *slot = part
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .ok_or_else(|| format!("`{part}` is no number"))?;
    }
    match parts.next() {
        Some(_) => Err(format!("`{text}`: only {N} numbers are needed")),
        None => Ok(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_turn_clockwise_from_north() {
        assert!(direction_of(0.0, 0.0).distance(DVec3::Y) < 1e-12);
        assert!(direction_of(90.0, 0.0).distance(DVec3::X) < 1e-12);
        assert!(direction_of(123.0, -90.0).distance(DVec3::NEG_Z) < 1e-12);
    }

    #[test]
    fn text_forms_are_read() {
        let pose: CameraChoice = "534467.5,3993055.8,120,315,-30".parse().unwrap();
        assert_eq!(
            pose,
            CameraChoice::Pose(CameraPose {
                place: DVec3::new(534467.5, 3993055.8, 120.0),
                heading_deg: 315.0,
                pitch_deg: -30.0
            })
        );
        assert_eq!("auto".parse::<CameraChoice>().unwrap(), CameraChoice::Auto);
        let look: CameraChoice = "look=10,20,5;distance=100;pitch=-90".parse().unwrap();
        let pose = look.pose(&Extent::EMPTY, 1.6, |_| None);
        assert!(pose.place.distance(DVec3::new(10.0, 20.0, 105.0)) < 1e-9);
        for bad in
            ["", "1,2,3", "1,2,3,4,5,6", "a,2,3,4,5", "1,2,3,4,-91", "look=1,2", "look=1,2,3;zoom=4", "NaN,0,0,0,0"]
        {
            assert!(bad.parse::<CameraChoice>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_overview_looks_from_the_low_side_and_sees_the_middle() {
        let extent = Extent::around([DVec3::new(1000.0, 2000.0, -5.0), DVec3::new(4000.0, 5000.0, 180.0)]);
        // The land rises to the west: the camera stands east and looks west.
        let pose = CameraPose::overview(&extent, 16.0 / 9.0, |place| Some((4000.0 - place.x) / 20.0));
        assert!(pose.place.x > extent.centre().x + 1000.0, "{pose:?}");
        let towards = (extent.centre() - pose.place).normalize();
        assert!(towards.dot(pose.direction()) > 0.97);
        assert!(pose.place.z > 500.0);
        let flat = CameraPose::overview(&extent, 16.0 / 9.0, |_| None);
        assert!(flat.place.y < extent.min.y, "from the south when nothing is known");
    }
}
