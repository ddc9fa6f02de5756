// What makes shapes legible after the solid surfaces are drawn: corners that the sky does not reach are darker, and points of
// a scan have a dark edge where something nearer stands before them. All of it from the depths of the picture alone.
//
// Solid surfaces say by their alpha (city.wgsl) what may be done to them: 1 = nothing, down to 0.5 = all of the darkening in
// corners, less = a point of a scan.
#import bevy_core_pipeline::fullscreen_vertex_shader::FullscreenVertexOutput

struct ReliefView {
    // x: nearest distance that is drawn, metres; yz: half width and half height of the picture at one metre, metres;
    // w: pixels that one metre covers at one metre
    lens: vec4<f32>,
    // xy: corner of the whole picture of this camera in the target, zw: its size; pixels
    whole: vec4<f32>,
    // the same of what of it is drawn
    part: vec4<f32>,
    // x: strength in corners; y: strength at the edges of points; z: pixels of the target to a pixel of the picture
    what: vec4<f32>,
}

@group(0) @binding(0) var<uniform> relief: ReliefView;
@group(0) @binding(1) var depths: texture_depth_2d;
// x: share of the sky that reaches the place, y: its distance; half as wide and high
@group(0) @binding(2) var corners: texture_2d<f32>;
@group(0) @binding(3) var picture: texture_2d<f32>;

// Places looked at around each.
const SAMPLES: i32 = 10;
// Farther than this nothing is drawn, metres; what 16 bits still hold.
const FARTHEST: f32 = 60000.0;
// Angle between two places of the spiral.
const GOLDEN: f32 = 2.3999632;
// Share of the darkening in the deepest corner.
const DEEPEST: f32 = 0.72;

fn distance_at(pixel: vec2<i32>) -> f32 {
    let low = vec2<i32>(relief.part.xy);
    let high = low + vec2<i32>(relief.part.zw) - 1;
    // Reversed depth without a far plane.
    return min(relief.lens.x / max(textureLoad(depths, clamp(pixel, low, high), 0), 1e-7), FARTHEST);
}

// Place seen at a pixel, from the eye; x to the right, y up, z back.
fn place_at(pixel: vec2<f32>, z: f32) -> vec3<f32> {
    let ndc = (pixel + 0.5 - relief.whole.xy) / relief.whole.zw * 2.0 - 1.0;
    return vec3(ndc.x * relief.lens.y, -ndc.y * relief.lens.z, -1.0) * z;
}

// Difference to the neighbour that lies on the same surface: the nearer of both in depth.
fn step_along(pixel: vec2<i32>, here: vec3<f32>, along: vec2<i32>) -> vec3<f32> {
    let ahead = distance_at(pixel + along);
    let behind = distance_at(pixel - along);
    let z = -here.z;
    if abs(ahead - z) < abs(behind - z) {
        return place_at(vec2<f32>(pixel + along), ahead) - here;
    }
    return here - place_at(vec2<f32>(pixel - along), behind);
}

// 0 to 15, each once in every four by four.
fn turn_at(p: vec2<i32>) -> f32 {
    let x = (p.x ^ p.y) & 3;
    let y = p.y & 3;
    return f32(((x & 1) << 3) | ((y & 1) << 2) | (x & 2) | (y >> 1));
}

// First pass, at half the size: how much of the sky reaches each place, after V. Bavoil and M. Sainz, Image-space
// horizon-based ambient occlusion (2009), by single samples on a spiral instead of marches along rays.
@fragment
fn gather(in: FullscreenVertexOutput) -> @location(0) vec4<f32> {
    let half_pixel = vec2<i32>(in.position.xy);
    let pixel = half_pixel * 2;
    let z = distance_at(pixel);
    // Near the eye a radius that looks alike at each distance, then one as between houses, from afar as between quarters.
    let radius = max(clamp(z * 0.085, 0.8, 20.0), z * 0.014);
    let radius_px = radius * relief.lens.w / z;
    if z >= FARTHEST {
        return vec4(1.0, z, 0.0, 0.0);
    }
    let here = place_at(vec2<f32>(pixel), z);
    let n = normalize(cross(step_along(pixel, here, vec2(1, 0)), step_along(pixel, here, vec2(0, -1))));
    // What lies on other surfaces is pulled towards the eye by some thousandths (material.rs): no corner.
    let bias = z * 0.004 + 0.015;
    let turn = turn_at(half_pixel) * 0.3926991;
    var taken = 0.0;
    for (var i = 0; i < SAMPLES; i += 1) {
        let share = (f32(i) + 0.5) / f32(SAMPLES);
        let angle = f32(i) * GOLDEN + turn;
        let at = vec2<f32>(pixel) + vec2(cos(angle), sin(angle)) * radius_px * pow(share, 1.3);
        let other = vec2<i32>(floor(at + 0.5));
        let v = place_at(vec2<f32>(other), distance_at(other)) - here;
        let far = length(v);
        let above = max(dot(v, n) - bias, 0.0) / max(far, 1e-3);
        taken += above * max(1.0 - far * far / (radius * radius), 0.0);
    }
    return vec4(exp(-taken / f32(SAMPLES) * 10.0), z, 0.0, 0.0);
}

// Second pass, at half the size: the mean of four by four on the same surface, so that each turn of the spiral counts once.
@fragment
fn soften(in: FullscreenVertexOutput) -> @location(0) vec4<f32> {
    let pixel = vec2<i32>(in.position.xy);
    let last = vec2<i32>(textureDimensions(corners)) - 1;
    let z = textureLoad(corners, pixel, 0).y;
    var sum = 0.0;
    var weights = 0.0;
    for (var y = -2; y < 2; y += 1) {
        for (var x = -2; x < 2; x += 1) {
            let other = textureLoad(corners, clamp(pixel + vec2(x, y), vec2(0), last), 0);
            let off = (other.y - z) / z * 30.0;
            let weight = 1.0 / (1.0 + off * off);
            sum += other.x * weight;
            weights += weight;
        }
    }
    return vec4(sum / weights, z, 0.0, 0.0);
}

fn open_at(pixel: vec2<i32>) -> f32 {
    let z = distance_at(pixel);
    let low = pixel / 2;
    // Every other pixel lies on one of the small picture's, the others between them.
    let next = low + (pixel - low * 2);
    let last = vec2<i32>(textureDimensions(corners)) - 1;
    var sum = 0.0;
    var weights = 0.0;
    for (var i = 0; i < 4; i += 1) {
        let at = vec2(select(low.x, next.x, (i & 1) == 1), select(low.y, next.y, i > 1));
        let other = textureLoad(corners, min(at, last), 0).xy;
        let weight = 1.0 / (0.002 + abs(other.y - z) / z);
        sum += other.x * weight;
        weights += weight;
    }
    return sum / weights;
}

// Eye-dome lighting: C. Boucheny, Visualisation scientifique de grands volumes de données (2009).
fn dome_at(pixel: vec2<i32>) -> f32 {
    let z = distance_at(pixel);
    let here = log2(z);
    // At least as far as a point is wide, or its own triangle hides its neighbours.
    let point_px = 0.35 * relief.lens.w / z;
    let radius = clamp(point_px * 0.8, 1.0 * relief.what.z, 8.0 * relief.what.z);
    var sum = 0.0;
    for (var i = 0; i < 4; i += 1) {
        let angle = f32(i) * 0.7853982 + 0.3926991;
        let reach = select(1.0, 2.0, (i & 1) == 1) * radius;
        let along = vec2<i32>(round(vec2(cos(angle), sin(angle)) * reach));
        // Both sides together: a plane that is seen aslant has as much before it as behind and stays as it is.
        let before = here - log2(distance_at(pixel + along));
        let behind = here - log2(distance_at(pixel - along));
        sum += clamp(max(before, -0.04) + max(behind, -0.04), 0.0, 0.04);
    }
    // From afar points are fewer than pixels and stand before each other everywhere.
    let strength = 110.0 * clamp(point_px / relief.what.z, 0.25, 1.0);
    return max(exp(-sum * 0.125 * strength), 0.25);
}

// Third pass: into the picture.
@fragment
fn apply(in: FullscreenVertexOutput) -> @location(0) vec4<f32> {
    let pixel = vec2<i32>(in.position.xy);
    let colour = textureLoad(picture, pixel, 0);
    let within = in.position.xy - relief.part.xy;
    if any(within < vec2(0.0)) || any(within >= relief.part.zw) || colour.a > 0.996 {
        return colour;
    }
    if colour.a < 0.45 {
        let dome = mix(1.0, dome_at(pixel), relief.what.y);
        return vec4(colour.rgb * dome, 1.0);
    }
    let taken = (1.0 - open_at(pixel)) * (1.0 - colour.a) * 2.0 * relief.what.x * DEEPEST;
    // Shade keeps a little of the sky's blue.
    return vec4(colour.rgb * (1.0 - taken * vec3(1.0, 0.985, 0.94)), 1.0);
}
