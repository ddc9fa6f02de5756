//! Where the sun stands (太阳位置).
//!
//! Low-precision solar coordinates of the Astronomical Almanac (0.01° between 1950 and 2050) and the altitude and
//! azimuth formulas used for sunlight studies: sin h = sin φ sin δ + cos φ cos δ cos t,
//! tan A = sin t / (cos t sin φ − tan δ cos φ) with A from south, west positive. No refraction, point sun.

use glam::DVec3;

use crate::date::{civil_of, days_of};

/// A local clock time on a day, with its offset to UTC.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Gregorian year.
    pub year: i32,
    /// Month, 1–12.
    pub month: u32,
    /// Day of the month, 1–31.
    pub day: u32,
    /// Hours since local midnight, 0–24.
    pub hour: f64,
    /// Hours to add to UTC for local time; `None` = taken from the place (UTC+8 within China).
    pub utc_offset_h: Option<f64>,
}

impl Default for Moment {
    /// An afternoon in early autumn: warm light from the south-west that shows relief.
    fn default() -> Self {
        Self { year: 2026, month: 9, day: 23, hour: 15.0, utc_offset_h: None }
    }
}

impl std::str::FromStr for Moment {
    type Err = String;

    /// Reads `15:30` (on the default day) or `2026-01-20T09:00`, both in the city's local time.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is no time: write 15:30 or 2026-01-20T09:00");
        let (day, clock) = match text.split_once(['T', ' ']) {
            Some((day, clock)) => (Some(day), clock),
            None => (None, text),
        };
        let mut moment = Moment::default();
        if let Some(day) = day {
            let mut parts = day.split('-');
            let mut next = || parts.next().and_then(|part| part.parse::<u32>().ok());
            let (year, month, date) = (next(), next(), next());
            moment.year = year.ok_or_else(wrong)? as i32;
            moment.month = month.filter(|m| (1..=12).contains(m)).ok_or_else(wrong)?;
            moment.day = date.filter(|d| (1..=31).contains(d)).ok_or_else(wrong)?;
        }
        let mut parts = clock.trim_end_matches('Z').split(':');
        let mut next = || parts.next().map(|part| part.parse::<f64>().ok());
        let hour = next().flatten().filter(|h| (0.0..=24.0).contains(h)).ok_or_else(wrong)?;
        let minute = next().unwrap_or(Some(0.0)).filter(|m| (0.0..60.0).contains(m)).ok_or_else(wrong)?;
        let second = next().unwrap_or(Some(0.0)).filter(|s| (0.0..61.0).contains(s)).ok_or_else(wrong)?;
        moment.hour = hour + minute / 60.0 + second / 3600.0;
        if clock.ends_with('Z') {
            moment.utc_offset_h = Some(0.0);
        }
        Ok(moment)
    }
}

impl Moment {
    /// Days since J2000.0 (2000-01-01 12:00 UTC) at a place with this longitude and latitude.
    fn days_since_j2000(&self, lon_deg: f64, lat_deg: f64) -> f64 {
        let day_number = days_of(self.year, self.month, self.day) - days_of(2000, 1, 1);
        let offset = self.utc_offset_h.unwrap_or_else(|| utc_offset_h(lon_deg, lat_deg));
        day_number as f64 - 0.5 + (self.hour - offset) / 24.0
    }
}

/// The clock people use at a place: UTC+8 in the whole of China, elsewhere the zone of the nearest meridian.
fn utc_offset_h(lon_deg: f64, lat_deg: f64) -> f64 {
    if (73.0..=135.5).contains(&lon_deg) && (17.0..=54.0).contains(&lat_deg) { 8.0 } else { (lon_deg / 15.0).round() }
}

/// Height and bearing of the sun.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SunPosition {
    /// Angle above the horizon, degrees.
    pub altitude_deg: f64,
    /// Bearing from north, clockwise, degrees 0–360.
    pub azimuth_deg: f64,
}

impl SunPosition {
    /// Unit vector from the city to the sun: x east, y north, z up.
    pub fn direction_in_city(&self) -> DVec3 {
        let (sin_h, cos_h) = self.altitude_deg.to_radians().sin_cos();
        let (sin_a, cos_a) = self.azimuth_deg.to_radians().sin_cos();
        DVec3::new(sin_a * cos_h, cos_a * cos_h, sin_h)
    }
}

/// Altitude and azimuth for a latitude, a declination and an hour angle (afternoon positive), all in degrees.
pub fn altitude_azimuth(lat_deg: f64, declination_deg: f64, hour_angle_deg: f64) -> SunPosition {
    let (sin_lat, cos_lat) = lat_deg.to_radians().sin_cos();
    let (sin_dec, cos_dec) = declination_deg.to_radians().sin_cos();
    let (sin_t, cos_t) = hour_angle_deg.to_radians().sin_cos();
    let altitude = (sin_lat * sin_dec + cos_lat * cos_dec * cos_t).clamp(-1.0, 1.0).asin();
    let from_south = (sin_t * cos_dec).atan2(cos_t * sin_lat * cos_dec - sin_dec * cos_lat);
    SunPosition {
        altitude_deg: altitude.to_degrees(),
        azimuth_deg: (from_south.to_degrees() + 180.0).rem_euclid(360.0),
    }
}

/// The sun's longitude along the ecliptic (视黄经), degrees, `n` days after J2000.0.
fn ecliptic_deg(n: f64) -> f64 {
    let anomaly = (357.528 + 0.985_600_3 * n).to_radians();
    280.460 + 0.985_647_4 * n + 1.915 * anomaly.sin() + 0.020 * (2.0 * anomaly).sin()
}

/// Declination and hour angle (afternoon positive) of the sun, degrees.
fn declination_and_hour_angle(moment: &Moment, lon_deg: f64, lat_deg: f64) -> (f64, f64) {
    let n = moment.days_since_j2000(lon_deg, lat_deg);
    let ecliptic = ecliptic_deg(n).to_radians();
    let obliquity = (23.439 - 0.000_000_4 * n).to_radians();
    let right_ascension = (obliquity.cos() * ecliptic.sin()).atan2(ecliptic.cos());
    let declination = (obliquity.sin() * ecliptic.sin()).asin();
    let sidereal_deg = 280.460_618_37 + 360.985_647_366_29 * n + lon_deg;
    let hour_angle = (sidereal_deg - right_ascension.to_degrees() + 180.0).rem_euclid(360.0) - 180.0;
    (declination.to_degrees(), hour_angle)
}

/// The sun over a place (degrees, WGS 84) at a moment.
pub fn sun_position(moment: &Moment, lon_deg: f64, lat_deg: f64) -> SunPosition {
    let (declination, hour_angle) = declination_and_hour_angle(moment, lon_deg, lat_deg);
    altitude_azimuth(lat_deg, declination, hour_angle)
}

/// True solar time (真太阳时) at a place, hours: 12 when the sun stands in the south.
pub fn solar_hour(moment: &Moment, lon_deg: f64, lat_deg: f64) -> f64 {
    declination_and_hour_angle(moment, lon_deg, lat_deg).1 / 15.0 + 12.0
}

/// The hour on the clock at which true solar time is `solar_h` on the day of `moment`.
pub fn clock_of_solar(moment: &Moment, lon_deg: f64, lat_deg: f64, solar_h: f64) -> f64 {
    // Clocks and the sun drift apart by half a minute a day at most: the second step is exact to a tenth of a second.
    (0..2).fold(solar_h, |hour, _| hour + solar_h - solar_hour(&Moment { hour, ..*moment }, lon_deg, lat_deg))
}

/// Hours on the clock at which the middle of the sun rises and sets, without refraction; `None` where it does not on that day.
pub fn rise_and_set(moment: &Moment, lon_deg: f64, lat_deg: f64) -> Option<(f64, f64)> {
    let altitude = |hour: f64| sun_position(&Moment { hour, ..*moment }, lon_deg, lat_deg).altitude_deg;
    let noon = clock_of_solar(moment, lon_deg, lat_deg, 12.0);
    let horizon = |mut night: f64, mut day: f64| {
        if altitude(night) >= 0.0 || altitude(day) <= 0.0 {
            return None;
        }
        for _ in 0..24 {
            let middle = (night + day) * 0.5;
            if altitude(middle) > 0.0 { day = middle } else { night = middle }
        }
        Some(day)
    };
    Some((horizon(noon - 12.0, noon)?, horizon(noon + 12.0, noon)?))
}

/// The day of a year on which the sun comes to a longitude along the ecliptic: 300° 大寒, 0° 春分, 90° 夏至, 180° 秋分, 270° 冬至.
pub fn day_of_longitude(year: i32, longitude_deg: f64, lon_deg: f64, lat_deg: f64) -> (u32, u32) {
    let past = |day: i64| {
        let (year, month, day) = civil_of(day);
        let midnight = Moment { year, month, day, hour: 0.0, utc_offset_h: None };
        let ecliptic = ecliptic_deg(midnight.days_since_j2000(lon_deg, lat_deg));
        (ecliptic - longitude_deg + 180.0).rem_euclid(360.0) - 180.0
    };
    let first = days_of(year, 1, 1);
    let passes = |day: &i64| past(*day) <= 0.0 && past(*day + 1) > 0.0;
    let day = (first..days_of(year + 1, 1, 1)).find(passes).unwrap_or(first);
    let (_, month, day) = civil_of(day);
    (month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: f64, expected: f64, tolerance: f64) {
        assert!((value - expected).abs() <= tolerance, "{value} is not {expected} ± {tolerance}");
    }

    #[test]
    fn the_great_cold_and_winter_solstice_at_qingdao() {
        // Test vectors at latitude 36.07°: declination, noon, 8:00/16:00, 9:00/15:00.
        for (declination, noon, eight, nine, nine_azimuth) in
            [(-20.15, 33.78, 10.17, 19.50, 44.77), (-23.44, 30.49, 7.85, 16.87, 42.68)]
        {
            near(altitude_azimuth(36.07, declination, 0.0).altitude_deg, noon, 0.02);
            near(altitude_azimuth(36.07, declination, 0.0).azimuth_deg, 180.0, 1e-9);
            near(altitude_azimuth(36.07, declination, -60.0).altitude_deg, eight, 0.02);
            near(altitude_azimuth(36.07, declination, 60.0).altitude_deg, eight, 0.02);
            let morning = altitude_azimuth(36.07, declination, -45.0);
            near(morning.altitude_deg, nine, 0.02);
            near(morning.azimuth_deg, 180.0 - nine_azimuth, 0.02);
            near(altitude_azimuth(36.07, declination, 45.0).azimuth_deg, 180.0 + nine_azimuth, 0.02);
        }
    }

    #[test]
    fn solstice_noon_from_the_calendar() {
        // At 120.38° E true noon is 12:00 Beijing time + 1.5 min of longitude − equation of time (about +1.8 min).
        let noon = Moment { year: 2026, month: 12, day: 22, hour: 11.96, utc_offset_h: None };
        let sun = sun_position(&noon, 120.38, 36.07);
        near(sun.altitude_deg, 30.49, 0.05);
        near(sun.azimuth_deg, 180.0, 0.5);
        let june = Moment { year: 2026, month: 6, day: 21, hour: 12.02, utc_offset_h: Some(8.0) };
        near(sun_position(&june, 120.38, 36.07).altitude_deg, 90.0 - 36.07 + 23.44, 0.05);
    }

    #[test]
    fn the_days_that_count_follow_the_sun_and_not_the_calendar() {
        let day = |year, longitude| day_of_longitude(year, longitude, 120.38, 36.07);
        // Purple Mountain Observatory's almanac, Beijing time.
        assert_eq!([day(2026, 300.0), day(2026, 0.0), day(2026, 90.0)], [(1, 20), (3, 20), (6, 21)]);
        assert_eq!([day(2026, 180.0), day(2026, 270.0), day(2027, 270.0)], [(9, 23), (12, 22), (12, 22)]);
        assert_eq!([day(2025, 270.0), day(2023, 300.0), day(2020, 0.0)], [(12, 21), (1, 20), (3, 20)]);
    }

    #[test]
    fn half_a_day_is_as_long_as_the_table_says() {
        for (month, day, half_h) in [(1, 20, 4.966), (12, 22, 4.773)] {
            let moment = Moment { month, day, ..Moment::default() };
            let (rise, set) = rise_and_set(&moment, 120.38, 36.07).unwrap();
            near((set - rise) * 0.5, half_h, 0.02);
            near(solar_hour(&Moment { hour: (rise + set) * 0.5, ..moment }, 120.38, 36.07), 12.0, 0.02);
            near(
                solar_hour(&Moment { hour: clock_of_solar(&moment, 120.38, 36.07, 8.0), ..moment }, 120.38, 36.07),
                8.0,
                1e-4,
            );
        }
        // At 75.99° E the clock of China is almost three hours ahead of the sun.
        near(clock_of_solar(&Moment::default(), 75.99, 39.47, 12.0), 14.81, 0.05);
        let june = Moment { month: 6, day: 21, ..Moment::default() };
        assert_eq!(rise_and_set(&june, 20.0, 80.0), None, "the sun of midnight");
    }

    #[test]
    fn midnight_is_dark_and_morning_is_east() {
        let night = Moment { hour: 0.0, ..Moment::default() };
        assert!(sun_position(&night, 120.0, 36.0).altitude_deg < -40.0);
        let morning = sun_position(&Moment { hour: 8.0, ..Moment::default() }, 120.0, 36.0);
        assert!(morning.direction_in_city().x > 0.7 && morning.direction_in_city().z > 0.0);
    }

    #[test]
    fn moments_are_read() {
        let moment: Moment = "2026-01-20T09:30".parse().unwrap();
        assert_eq!((moment.year, moment.month, moment.day, moment.hour), (2026, 1, 20, 9.5));
        assert_eq!("18:45".parse::<Moment>().unwrap().hour, 18.75);
        for bad in ["", "noon", "25:00", "2026-13-01T10:00", "12:61"] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }
}
