// The white model for print and the dark model for a wall of screens: colours for the display, not light, so that they
// are the same at any hour.
#define_import_path groundline::style

#import groundline::look::{Look, noise2}

// Share of `rgb` (linear) that a surface shows: a class colour keeps its hue, roofs show it as the legend does.
fn class_shade(look: Look, n: vec3<f32>, shadow: f32) -> f32 {
    let side = dot(normalize(look.sun.xz + vec2(1e-4, 0.0)), n.xz);
    return clamp(0.74 + 0.26 * max(n.y, 0.0) + 0.10 * side, 0.4, 1.0) * mix(0.72, 1.0, shadow);
}

// Lines where `value` is a multiple of `step`, as wide as a pixel; gone where they would crowd.
fn fine_lines(value: f32, step: f32) -> f32 {
    let v = value / step;
    let pixel = max(fwidth(v), 1e-5);
    let nearest = abs(fract(v - 0.5) - 0.5) / pixel;
    return (1.0 - smoothstep(0.5, 1.5, nearest)) * (1.0 - smoothstep(0.10, 0.30, pixel));
}

// The sky of the white model towards `up` (0 = horizon).
fn paper_sky(up: f32) -> vec3<f32> {
    return mix(vec3(0.905, 0.915, 0.920), vec3(0.770, 0.815, 0.850), 1.0 - exp(-max(up, 0.0) * 2.2));
}

// The sky of the dark model.
fn dark_sky(up: f32) -> vec3<f32> {
    return mix(vec3(0.0060, 0.0110, 0.0210), vec3(0.0022, 0.0036, 0.0078), 1.0 - exp(-max(up, 0.0) * 5.0));
}

// Light on the white model: never black, soft in the shade.
fn paper_light(look: Look, n: vec3<f32>, shadow: f32) -> vec3<f32> {
    let sun = clamp(dot(n, look.sun.xyz), 0.0, 1.0) / max(look.sun.y, 0.55);
    // In the shade walls still differ by where they face.
    let sky = 0.60 + 0.13 * n.y + 0.055 * dot(n, look.sun.xyz);
    // Shade is a touch cooler than light, as on a real model under a lamp.
    return sky * vec3(0.965, 0.985, 1.01) + min(sun, 1.2) * shadow * 0.30 * vec3(1.02, 1.0, 0.97);
}

fn paper_albedo(kind: i32, n: vec3<f32>, place: vec2<f32>, height: f32) -> vec3<f32> {
    switch kind {
        case 3: { // terrain
            let contour = fine_lines(height, 5.0) * 0.16 * smoothstep(0.02, 0.10, 1.0 - n.y);
            return vec3(0.610, 0.606, 0.592) * (1.0 - contour);
        }
        case 4: { return vec3(0.770, 0.768, 0.758); } // road
        case 5: { return vec3(0.585, 0.700, 0.765); } // water
        case 6: { return vec3(0.545, 0.625, 0.480); } // tree
        case 10: { return vec3(0.640, 0.705, 0.555); } // green
        case 13: { return vec3(0.620, 0.615, 0.605); } // furniture
        default: { return vec3(0.930, 0.925, 0.912); }
    }
}

// 0 at the foot of the city, 1 high above it: what stands out is what is tall.
fn dark_rise(rise: f32) -> f32 {
    return 1.0 - exp(-max(rise - 4.0, 0.0) / 60.0);
}

// A point of a scan in the dark model: `grey` is how bright the scanner saw it, `rise` metres above the ground of the city.
fn scan_shade(grey: f32, rise: f32) -> vec3<f32> {
    let tint = mix(vec3(0.014, 0.038, 0.058), vec3(0.080, 0.170, 0.230), dark_rise(rise * 1.6));
    return tint * (0.35 + 1.1 * sqrt(max(grey, 0.0)));
}

// Building, tree or ground of the dark model; `rise` is metres above the ground of the city.
fn dark_colour(look: Look, kind: i32, n: vec3<f32>, height: f32, rise: f32) -> vec3<f32> {
    let key = normalize(vec3(-0.45, 0.80, 0.40));
    let light = 0.62 + 0.38 * clamp(dot(n, key), 0.0, 1.0);
    switch kind {
        case 3: {
            let contour = fine_lines(height, 10.0) * smoothstep(0.01, 0.06, 1.0 - n.y);
            return vec3(0.0050, 0.0098, 0.0245) * light + vec3(0.005, 0.010, 0.018) * contour;
        }
        case 4: { return vec3(0.0200, 0.0340, 0.0620); }
        case 5: { return vec3(0.0014, 0.0030, 0.0085); }
        case 6: { return vec3(0.0060, 0.0150, 0.0175) * light; }
        case 10: { return vec3(0.0050, 0.0125, 0.0165); }
        case 13: { return vec3(0.0180, 0.0250, 0.0340) * light; }
        default: {
            return mix(vec3(0.0135, 0.0235, 0.0450), vec3(0.0520, 0.1020, 0.1650), dark_rise(rise)) * light;
        }
    }
}
