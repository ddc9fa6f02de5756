// The light of the scene: sky, haze, tone. One description for everything that is drawn, so that water reflects
// the same sky that stands above it and the city fades into the same haze.
#define_import_path groundline::look

// What is cut away (viewer/src/cut.rs).
struct CutLook {
    // xyz: normal towards what is left; w: so that 0 is on the plane; render coordinates
    planes: array<vec4<f32>, 8>,
    // both ends of each leg of the trench, render x and z
    legs: array<vec4<f32>, 16>,
    // x: planes, y: legs, z: half of the trench's width
    counts: vec4<f32>,
}

struct Look {
    // xyz: towards the sun, render axes; w: 1 by day, 0 at night
    sun: vec4<f32>,
    // rgb: sunlight on a surface facing it; w: exposure
    sun_colour: vec4<f32>,
    // rgb: sky overhead; w: cloud cover 0..1
    zenith: vec4<f32>,
    // rgb: sky at the horizon
    horizon: vec4<f32>,
    // rgb: light from the sky on a level surface; w: lit windows 0..1
    ambient: vec4<f32>,
    // rgb: light thrown back by the ground; w: haze per metre
    bounce: vec4<f32>,
    // xyz: render origin in the city modulo 8192 m (east, up, north)
    origin: vec4<f32>,
    // xy: lowest corner of the city in render x and z; z: width of its fading border, metres; w: depth of the haze layer
    low: vec4<f32>,
    // xy: highest corner; z: 1 = below ground is shown; w: height of the ground, render y
    high: vec4<f32>,
    cut: CutLook,
    // x: style, 0 realistic, 1 paper, 2 dark, 3 X-ray; y: 1 = objects are coloured by an attribute; z: 1 = the eye is within a structure below ground;
    // w: 1 = the sun throws shadows
    style: vec4<f32>,
}

fn hash2(p: vec2<f32>) -> f32 {
    var q = fract(vec3<f32>(p.xyx) * 0.1031);
    q += dot(q, q.yzx + 33.33);
    return fract((q.x + q.y) * q.z);
}

fn noise2(p: vec2<f32>) -> f32 {
    let cell = floor(p);
    let f = fract(p);
    let u = f * f * (3.0 - 2.0 * f);
    let bottom = mix(hash2(cell), hash2(cell + vec2(1.0, 0.0)), u.x);
    let top = mix(hash2(cell + vec2(0.0, 1.0)), hash2(cell + vec2(1.0, 1.0)), u.x);
    return mix(bottom, top, u.y);
}

// Whether one of so many planes takes the place away; places within `slack` metres of a plane stay.
fn is_taken(look: Look, planes: u32, world: vec3<f32>, slack: f32) -> bool {
    for (var i = 0u; i < planes; i += 1u) {
        let plane = look.cut.planes[i];
        if dot(plane.xyz, world) + plane.w < -slack {
            return true;
        }
    }
    return false;
}

// Whether ground at the place is dug out along one of so many legs.
fn is_dug(look: Look, legs: u32, xz: vec2<f32>) -> bool {
    for (var i = 0u; i < legs; i += 1u) {
        let leg = look.cut.legs[i];
        let along = leg.zw - leg.xy;
        let share = clamp(dot(xz - leg.xy, along) / dot(along, along), 0.0, 1.0);
        if distance(xz, leg.xy + along * share) < look.cut.counts.z {
            return true;
        }
    }
    return false;
}

// Light that arrives from direction `d` (unit) when nothing is in the way; no clouds, no disc.
fn sky_light(look: Look, d: vec3<f32>) -> vec3<f32> {
    let up = max(d.y, 0.0);
    // Optical depth falls quickly above the horizon.
    let t = 1.0 - exp(-up * 6.5);
    var colour = mix(look.horizon.rgb, look.zenith.rgb, t);
    // Haze brightens around the sun, more so near the horizon.
    let towards = max(dot(d, look.sun.xyz), 0.0);
    let glow = 0.10 * pow(towards, 4.0) + 0.22 * pow(towards, 24.0);
    colour += look.sun_colour.rgb * glow * (0.35 + 0.65 * exp(-up * 5.0)) * 0.45 * look.sun.w;
    return colour;
}

// What the haze between the eye and a thing in direction `d` looks like.
fn haze_light(look: Look, d: vec3<f32>) -> vec3<f32> {
    let flat_d = normalize(vec3(d.x, max(d.y, 0.0) * 0.5, d.z));
    return sky_light(look, flat_d);
}

// Share of the haze on the way of `distance` metres to a point `height` metres above the ground.
fn haze_share(look: Look, distance: f32, eye_height: f32, height: f32) -> f32 {
    // Density falls with height; the mean of both ends is near enough.
    let layer = look.low.w;
    let thickness = 0.5 * (exp(-max(eye_height, 0.0) / layer) + exp(-max(height, 0.0) / layer));
    return 1.0 - exp(-look.bounce.w * distance * (0.22 + 0.78 * thickness));
}

// 0 inside the city, 1 beyond its border: there the picture dissolves into haze instead of ending in a cliff.
fn border_share(look: Look, xz: vec2<f32>) -> f32 {
    let inside = min(xz - look.low.xy, look.high.xy - xz);
    let nearest = min(inside.x, inside.y);
    let t = clamp(1.0 - nearest / max(look.low.z, 1.0), 0.0, 1.0);
    return t * t * (3.0 - 2.0 * t);
}

// Scene light to display: exposure, then a filmic curve (fit of ACES by K. Narkowicz), channels slightly tied together
// so that strong colours do not clip one by one.
fn tone(look: Look, light: vec3<f32>) -> vec3<f32> {
    let x = light * look.sun_colour.w;
    let luminance = dot(x, vec3(0.2126, 0.7152, 0.0722));
    let tied = mix(x, vec3(luminance), clamp(luminance * 0.05, 0.0, 0.25));
    let curved = clamp((tied * (2.51 * tied + 0.03)) / (tied * (2.43 * tied + 0.59) + 0.14), vec3(0.0), vec3(1.0));
    // The curve takes colour out of bright parts; put a little back.
    let grey = dot(curved, vec3(0.2126, 0.7152, 0.0722));
    return clamp(mix(vec3(grey), curved, 1.14), vec3(0.0), vec3(1.0));
}
