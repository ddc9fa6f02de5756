//! Sine, cosine and the exponential from plain arithmetic.
//!
//! The system's libm differs in the last bit from machine to machine; IEEE addition, multiplication, division and
//! square root do not. The sample files must be the same bytes everywhere, so nothing here calls libm.

use std::f64::consts::{FRAC_PI_2, LN_2};

use glam::DVec2;

/// Sine and cosine of an angle in radians, good to about 1e-12 for |angle| below 1e6.
pub fn sin_cos(angle: f64) -> (f64, f64) {
    let quarter = (angle / FRAC_PI_2 + 0.5).floor();
    let r = angle - quarter * FRAC_PI_2;
    let r2 = r * r;
    let mut sin = 1.0;
    for k in [14.0, 12.0, 10.0, 8.0, 6.0, 4.0, 2.0] {
        sin = 1.0 - r2 / (k * (k + 1.0)) * sin;
    }
    sin *= r;
    let mut cos = 1.0;
    for k in [15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        cos = 1.0 - r2 / (k * (k + 1.0)) * cos;
    }
    match (quarter as i64).rem_euclid(4) {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

/// Sine of an angle in radians.
pub fn sin(angle: f64) -> f64 {
    sin_cos(angle).0
}

/// Unit vector at an angle in radians, counter-clockwise from east.
pub fn direction(angle: f64) -> DVec2 {
    let (s, c) = sin_cos(angle);
    DVec2::new(c, s)
}

/// e to the power of x, for x between -700 and 700.
pub fn exp(x: f64) -> f64 {
    let k = (x / LN_2 + 0.5).floor();
    let r = x - k * LN_2;
    let mut sum = 1.0;
    for n in (1..=14).rev() {
        sum = 1.0 + r / f64::from(n) * sum;
    }
    let mut scale = 1.0;
    for _ in 0..(k.abs() as i32) {
        scale *= if k > 0.0 { 2.0 } else { 0.5 };
    }
    sum * scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_libm() {
        for i in -400..400 {
            let a = f64::from(i) * 0.137;
            let (s, c) = sin_cos(a);
            assert!((s - a.sin()).abs() < 1e-12 && (c - a.cos()).abs() < 1e-12, "{a}");
            let x = f64::from(i) * 0.05;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-12, "{x}");
        }
    }
}
