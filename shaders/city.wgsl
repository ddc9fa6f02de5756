// Every surface of the city. One shader, told by `surface.what.x` what it shades: few pipelines, quick first picture; seen as
// glass or in the dark and white styles a pipeline for each kind, KIND. What is the same for a whole draw and decides a branch comes
// to the pixels with the corners (`Varying.state`), not from uniforms: Mesa's lavapipe puts those into a shader that they shorten
// much, anew for every draw, and keeps each until the end.
#import bevy_pbr::{
    mesh_functions,
    mesh_view_bindings::{view, globals, lights},
    shadow_sampling::sample_shadow_map,
    shadows,
    view_transformations::position_world_to_clip,
}
#import groundline::look::{Look, sky_light, haze_light, haze_share, border_share, is_taken, is_dug, noise2, tone}
#import groundline::water::water_colour
#import groundline::style::{class_shade, paper_sky, paper_light, paper_albedo, dark_sky, dark_rise, dark_colour, scan_shade}

struct Surface {
    base: vec4<f32>,
    // x: kind, y: relative pull towards the eye, z: 1 = textured, w: opacity (seen as glass)
    what: vec4<f32>,
    // x: size of points in metres, y: pixels by which pipes seen through glass are thickened, zw: unused
    more: vec4<f32>,
    look: Look,
}

@group(#{MATERIAL_BIND_GROUP}) @binding(0) var<uniform> surface: Surface;
@group(#{MATERIAL_BIND_GROUP}) @binding(1) var picture: texture_2d<f32>;
@group(#{MATERIAL_BIND_GROUP}) @binding(2) var picture_sampler: sampler;

const OTHER: i32 = 0;
const FACADE: i32 = 1;
const ROOF: i32 = 2;
const TERRAIN: i32 = 3;
const ROAD: i32 = 4;
const WATER: i32 = 5;
const TREE: i32 = 6;
const PIPE: i32 = 7;
const STRUCTURE: i32 = 8;
const POINTS: i32 = 9;
const GREEN: i32 = 10;
const LINES: i32 = 11;
const HIGHLIGHT: i32 = 12;
const FURNITURE: i32 = 13;
const SOIL: i32 = 14;
const CAP: i32 = 15;
const SLEEVE: i32 = 16;
const GHOST: i32 = 17;
const ROOM: i32 = 18;

fn kind_of(state: u32) -> i32 {
#ifdef KIND
    return #{KIND};
#else
    return i32(state & 255u);
#endif
}

fn is_textured(state: u32) -> bool {
    return (state & 256u) != 0u;
}

fn is_indoors(state: u32) -> bool {
    return (state & 512u) != 0u;
}

// Kind, textured, indoors, planes and legs of the cuts.
fn state_of_draw() -> u32 {
    let look = surface.look;
    return u32(surface.what.x) + u32(surface.what.z) * 256u + u32(look.style.z) * 512u
        + u32(look.cut.counts.x) * 1024u + u32(look.cut.counts.y) * 16384u;
}

struct Vertex {
    @builtin(instance_index) instance: u32,
    @location(0) position: vec3<f32>,
    @location(1) normal: vec3<f32>,
    @location(2) uv: vec2<f32>,
    @location(3) colour: vec4<f32>,
}

struct Varying {
    @builtin(position) clip: vec4<f32>,
    @location(0) world: vec3<f32>,
    @location(1) normal: vec3<f32>,
    @location(2) uv: vec2<f32>,
    @location(3) colour: vec4<f32>,
    @location(4) @interpolate(flat) state: u32,
#ifdef FADE
    @location(5) @interpolate(flat) fade: u32,
#endif
}

@vertex
fn vertex(in: Vertex) -> Varying {
    var out: Varying;
    let world_from_local = mesh_functions::get_world_from_local(in.instance);
    out.world = (world_from_local * vec4(in.position, 1.0)).xyz;
    // Tiles are only moved, never turned or scaled.
    out.normal = in.normal;
    out.state = state_of_draw();
#ifdef GLASS
    if kind_of(out.state) == PIPE {
        // Seen through glass no pipe is thinner than about two pixels: a network must be readable from afar.
        let distance = distance(view.world_position, out.world);
        out.world += normalize(in.normal) * distance * surface.more.y / (view.clip_from_view[1][1] * view.viewport.w);
    }
#endif
    out.uv = in.uv;
    out.colour = in.colour;
#ifdef FADE
    out.fade = mesh_functions::get_tag(in.instance);
#endif
    out.clip = position_world_to_clip(out.world);
    // Pull ribbons that lie on other surfaces a little towards the eye (reversed depth: larger is nearer).
    out.clip.z *= 1.0 + surface.what.y;
    if kind_of(out.state) == POINTS {
        // One triangle a point, its corners in uv: at least two pixels wide.
        let pixels = max(surface.more.x * view.clip_from_view[1][1] * view.viewport.w * 0.5 / out.clip.w, 1.6);
        out.clip = vec4(out.clip.xy + in.uv * min(pixels, 14.0) * out.clip.w / view.viewport.zw, out.clip.zw);
    }
    return out;
}

fn ambient_light(n: vec3<f32>) -> vec3<f32> {
    let up = n.y * 0.5 + 0.5;
    return mix(surface.look.bounce.rgb, surface.look.ambient.rgb, up);
}

fn sun_shadow(world: vec3<f32>, n: vec3<f32>, pixel: vec2<f32>) -> f32 {
#ifdef SHADOWED
    var lit = world;
#ifdef FADE
    // The other tile may lie a little above this one and is no cover (no tile is off by more than two hundredths).
    lit += surface.look.sun.xyz * distance(world, view.world_position) * 0.02;
#endif
    let depth = (view.view_from_world * vec4(lit, 1.0)).z;
    // Where one map gives way to the next each pixel takes one of them, by chance: two would be looked up everywhere on software drivers.
    // Likewise the lookup is the one for a light without a size, since they take both sides of every branch.
    let sun = &lights.directional_lights[0];
    let chance = fract(52.9829189 * fract(dot(pixel, vec2(0.06711056, 0.00583715))));
    let cascade = shadows::get_cascade_index(0u, depth / (1.0 - (*sun).cascades_overlap_proportion * chance));
    if cascade >= (*sun).num_cascades {
        return 1.0;
    }
    let texel = (*sun).cascades[cascade].texel_size;
    let off = n * (*sun).shadow_normal_bias * texel + (*sun).direction_to_light.xyz * (*sun).shadow_depth_bias;
    let place = shadows::world_to_directional_light_local(0u, cascade, vec4(lit + off, 1.0));
    if place.w == 0.0 {
        return 1.0;
    }
    let map = i32((*sun).depth_texture_base_index + cascade);
    return sample_shadow_map(place.xy, place.z, map, pixel, texel);
#else
    return 1.0;
#endif
}

// Lines `width` pixels wide wherever `value` is a multiple of `step`.
fn rule_lines(value: f32, step: f32, width: f32) -> f32 {
    let v = value / step;
    let pixel = max(fwidth(v), 1e-5);
    let nearest = abs(fract(v - 0.5) - 0.5) / pixel;
    // Where lines come closer than four pixels they would be a moiré: fade out.
    return (1.0 - smoothstep(width * 0.5, width * 0.5 + 1.0, nearest)) * (1.0 - smoothstep(0.12, 0.35, pixel));
}

@fragment
fn fragment(in: Varying) -> @location(0) vec4<f32> {
#ifdef FADE
    // Two tiles that take each other's place share the pixels (viewer/src/fade.rs): a fixed pattern without grain, after
    // J. Jimenez, Next generation post processing in Call of Duty (2014).
    let pattern = fract(52.9829189 * fract(dot(floor(in.clip.xy), vec2(0.06711056, 0.00583715))));
    let level = u32(pattern * 256.0);
    if in.fade > 0u && (level < ((in.fade - 1u) & 255u)) == (in.fade > 256u) {
        discard;
    }
#endif
#ifdef CUT
    let look = surface.look;
    let kind = kind_of(in.state);
    // Faces lie on the planes.
    if is_taken(look, (in.state >> 10u) & 15u, in.world, select(0.0, 0.02, kind == SOIL || kind == CAP)) {
        discard;
    }
    let lies_on_ground = kind == TERRAIN || kind == ROAD || kind == GREEN || kind == WATER || kind == TREE || kind == FURNITURE;
    if lies_on_ground && is_dug(look, (in.state >> 14u) & 31u, in.world.xz) {
        discard;
    }
    // Beyond its border, and where it is higher than the ground, there is no earth.
    if kind == SOIL && in.uv.y < 0.0 {
        discard;
    }
#endif
    var shown = shade(in);
#ifdef FADE
    // Between pixels of two surfaces corners would be found that are none: the more they mix, the less is darkened.
    if in.fade > 0u && shown.a >= 0.5 {
        let mixed = 1.0 - abs(f32((in.fade - 1u) & 255u) / 128.0 - 1.0);
        shown.a = mix(shown.a, 1.0, clamp(mixed * 2.0, 0.0, 1.0));
    }
#endif
    return shown;
}

#ifdef CUT
// Lines across `value` at each multiple of `step`, `width` metres wide and at least as wide as a pixel of `pixel` metres.
fn drawn_lines(value: f32, step: f32, width: f32, pixel: f32) -> f32 {
    let off = abs(fract(value / step - 0.5) - 0.5) * step;
    let half = max(width, pixel) * 0.5;
    // Closer together than four pixels they are a tone.
    return (1.0 - smoothstep(half, half + pixel, off)) * (1.0 - smoothstep(0.2, 0.4, pixel / step));
}

fn pixel_at(distance: f32) -> f32 {
    return 2.0 * distance / (view.clip_from_view[1][1] * view.viewport.w);
}

// How bright a face without shade is in this light.
fn face_light(look: Look) -> vec3<f32> {
    return look.ambient.rgb * 1.1 + look.sun_colour.rgb * 0.26 * look.sun.w + 0.02;
}

// The filled face of a solid that is cut: dark with hatching as in a drawing; pipes keep their colour.
fn cut_colour(kind: i32, albedo: vec3<f32>, place: vec3<f32>, normal: vec3<f32>, distance: f32) -> vec3<f32> {
    let look = surface.look;
    let pixel = pixel_at(distance);
    // Across the face and up, or east and north on a level one.
    let across = dot(place.xz, vec2(-normal.z, normal.x));
    let at = select(vec2(across, place.y + look.origin.y), vec2(place.x + look.origin.x, look.origin.z - place.z), abs(normal.y) > 0.7);
    if kind == PIPE {
        return tone(look, albedo * face_light(look) * 1.5);
    }
    var step = 0.16;
    // Coarser by powers of two, so that it reads at every distance.
    step *= exp2(max(ceil(log2(pixel * 7.0 / step)), 0.0));
    let line = drawn_lines((at.x + at.y) * 0.7071, step, step * 0.18, pixel);
    var fill = vec3(0.120, 0.105, 0.098);
    var ink = vec3(0.40, 0.36, 0.33);
    if kind == STRUCTURE {
        fill = albedo * 0.42;
        ink = albedo * 0.95;
    }
    return tone(look, mix(fill, ink, line) * face_light(look) * 1.25);
}

// Earth: darker and cooler with depth, a line each metre and a strong one each five, the ground's own edge on top.
fn soil_colour(place: vec2<f32>, along: f32, below: f32, normal: vec3<f32>, distance: f32) -> vec3<f32> {
    let look = surface.look;
    let pixel = pixel_at(distance);
    let deep = 1.0 - exp(-below / 14.0);
    var colour = mix(vec3(0.235, 0.165, 0.105), vec3(0.105, 0.088, 0.080), deep);
    // Along the face and down, or east and north on a level one.
    let at = select(vec2(along, below), place, abs(normal.y) > 0.7);
    let grain = noise2(at * 3.1) * 0.5 + noise2(at * 0.45) * 0.5;
    colour *= 0.84 + 0.32 * grain;
    if abs(normal.y) < 0.7 {
        let metres = drawn_lines(below, 1.0, 0.02, pixel) * 0.16 * (1.0 - smoothstep(0.05, 0.11, pixel));
        let fives = drawn_lines(below, 5.0, 0.05, pixel) * 0.42;
        colour = mix(colour, vec3(0.62, 0.54, 0.42), max(metres, fives));
        // What was walked on: a dark edge as a draughtsman draws it.
        colour = mix(vec3(0.045, 0.036, 0.030), colour, smoothstep(0.22, 0.22 + pixel, below - 0.5 * pixel));
    }
    return tone(look, colour * face_light(look));
}
// A dark model's faces are as quiet as the rest of it; pipes keep their colour.
fn face_shade(kind: i32) -> vec3<f32> {
#ifdef DARK
    if kind == SOIL {
        return vec3(0.22, 0.25, 0.30);
    }
    return select(vec3(0.40, 0.44, 0.50), vec3(0.85), kind == PIPE);
#else
    return vec3(1.0);
#endif
}
#endif

// The alpha of a solid surface tells relief.wgsl how far corners are darkened, 0 to 1, or that it is a point of a scan.
fn relief_alpha(kind: i32, share: f32) -> f32 {
    return select(1.0 - 0.5 * clamp(share, 0.0, 1.0), 0.25, kind == POINTS);
}

fn shade(in: Varying) -> vec4<f32> {
    let look = surface.look;
    let kind = kind_of(in.state);
    let to_eye = view.world_position - in.world;
    let distance = length(to_eye);
    let v = to_eye / max(distance, 1e-4);
    var n = normalize(in.normal);
    if dot(n, v) < 0.0 && kind != TREE {
        n = -n;
    }
    // Place in the city modulo 8192 m: patterns stay where they are when the render origin moves.
    let place = vec2(in.world.x + look.origin.x, look.origin.z - in.world.z);
    let height = in.world.y + look.origin.y;
    // The colour of a class has an alpha of 2 (colouring.rs).
    let is_classed = in.colour.a > 1.5;
    var albedo = select(surface.base.rgb, vec3(1.0), is_classed) * in.colour.rgb;
#ifdef CUT
    if kind == CAP {
        return vec4(cut_colour(i32(in.uv.x + 0.5), in.colour.rgb, in.world, n, distance) * face_shade(i32(in.uv.x + 0.5)), 1.0);
    }
    if kind == SOIL {
        // The floor of a trench lies in its own shade.
        let own = select(1.0, 0.62, n.y > 0.7 && look.cut.counts.x < 0.5);
        return vec4(soil_colour(place, in.uv.x, in.uv.y, n, distance) * own * face_shade(SOIL), relief_alpha(SOIL, 0.7));
    }
#endif
    if kind == ROOM {
        // A breath of colour on floor and walls; a class has its own.
        let grey = vec3(dot(albedo, vec3(0.3, 0.59, 0.11)));
        let tint = mix(mix(grey, albedo, 0.5), vec3(0.55, 0.66, 0.74), 0.45);
        let film = select(0.05, 0.14, abs(n.y) > 0.7);
        return vec4(select(tint, albedo, is_classed), select(film, 0.55, is_classed));
    }
    if kind == GHOST {
        let outline = pow(1.0 - abs(dot(n, v)), 2.0);
        let pale = mix(albedo, vec3(0.42, 0.56, 0.66), 0.7);
        return vec4(mix(pale, vec3(0.80, 0.88, 0.92), outline), 0.06 + 0.16 * outline);
    }
    if kind == SLEEVE {
        // A film that thickens towards its outline; in rings where its width was assumed.
        let rim = 1.0 - abs(dot(n, v));
        let ring = smoothstep(0.20, 0.26, abs(fract(in.uv.x) - 0.5));
        let broken = mix(1.0, 0.25 + 0.75 * mix(0.5, ring, exp(-distance / 90.0)), in.uv.y);
        let film = (0.10 + 0.42 * pow(rim, 1.6)) * broken * exp(-distance / 900.0);
        return vec4(mix(albedo, vec3(1.0), 0.22), film);
    }
#ifdef GLASS
    return glass(kind, is_indoors(in.state), albedo, n, v, in.world, place, height, distance, in.colour.a);
#else
    var texel = vec3(1.0);
    if is_textured(in.state) {
        texel = textureSample(picture, picture_sampler, in.uv).rgb;
        albedo *= select(texel, vec3(1.0), is_classed);
    }
    if kind == HIGHLIGHT {
        let rim = 0.55 + 0.45 * abs(dot(n, v));
        return vec4(albedo * rim, surface.what.w);
    }

    let eye_height = view.world_position.y - look.high.w;
    let haze = haze_share(look, distance, eye_height, in.world.y - look.high.w);
    var border = border_share(look, in.world.xz);
    if kind == WATER {
        // Water goes on beyond the border (sea.rs); its colour says where it ends.
        border = max(1.0 - in.colour.a, 0.0);
    }
    let veil = max(haze, border);

#ifdef DARK
    let sky = dark_sky(0.0);
    let cell_px = fwidth(in.uv * 2.0);
    if kind == LINES {
        // Far edges of low houses crowd: the tall ones draw the outline of the city.
        let tall = 0.16 + 0.84 * dark_rise(in.world.y - look.high.w);
        let crowd = mix(0.34, 1.0, exp(-distance / 700.0));
        return vec4(0.085, 0.400, 0.560, 0.72 * crowd * tall * (1.0 - veil));
    }
    if is_classed {
        let classed = mix(albedo * class_shade(look, n, 1.0) * 0.80, sky, max(haze * 0.4, border));
        return vec4(classed, relief_alpha(kind, 0.4 * (1.0 - veil)));
    }
    var dark = dark_colour(look, kind, n, height, in.world.y - look.high.w);
    let own_grey = dot(albedo, vec3(0.2126, 0.7152, 0.0722));
    if kind == PIPE || kind == STRUCTURE {
        dark = mix(vec3(own_grey), albedo, 0.5) * (0.12 + 0.06 * n.y);
    }
    if kind == POINTS {
        // Light and dark of the scan in the model's own blue, brighter with height as the houses are.
        dark = scan_shade(own_grey, in.world.y - look.high.w);
    }
    if kind == FACADE && is_textured(in.state) {
        // A few windows burn low, so that houses read as houses; from afar their mean.
        let cell = in.uv * 2.0;
        let inside = abs(fract(cell) - 0.5);
        let window = step(inside.x, 0.27) * step(inside.y, 0.22);
        let lit = step(0.84, fract(sin(dot(floor(cell) + floor(place * 0.05), vec2(12.9898, 78.233))) * 43758.5453));
        let crowd = smoothstep(0.25, 0.70, max(cell_px.x, cell_px.y));
        dark += vec3(0.300, 0.180, 0.075) * mix(window * lit, 0.03, crowd) * (0.6 + 0.4 * look.ambient.w);
    }
    return vec4(mix(dark, sky, veil), relief_alpha(kind, select(0.9, 0.0, kind == WATER) * (1.0 - veil)));
#else
    let shadow = sun_shadow(in.world, n, in.clip.xy);
#ifdef PAPER
    let sky = paper_sky(0.0);
    if kind == LINES {
        // From afar edges crowd: they become a tone instead of a tangle.
        let crowd = 0.16 + 0.84 * exp(-distance / 1800.0);
        return vec4(0.040, 0.046, 0.055, 0.82 * crowd * (1.0 - veil));
    }
    if is_classed {
        let classed = mix(albedo * class_shade(look, n, shadow), sky, max(haze * 0.4, border));
        return vec4(classed, relief_alpha(kind, 0.4 * (1.0 - veil)));
    }
    var paint = paper_albedo(kind, n, place, height);
    if kind == PIPE || kind == STRUCTURE || kind == POINTS {
        // Some of their own colour, so that pipes and scans can be told apart.
        paint = mix(vec3(dot(albedo, vec3(0.2126, 0.7152, 0.0722))), albedo, 0.45) * 0.4 + 0.42;
    }
    let shown = mix(paint * paper_light(look, n, shadow), sky, max(haze * 0.75, border));
    return vec4(shown, relief_alpha(kind, select(0.85, 0.0, kind == WATER) * (1.0 - veil)));
#else
    if is_classed {
        let veiled = tone(look, haze_light(look, -v));
        let classed = mix(albedo * class_shade(look, n, shadow), veiled, max(haze * 0.4, border));
        return vec4(classed, relief_alpha(kind, 0.4 * (1.0 - veil)));
    }
    let sun_cos = dot(n, look.sun.xyz);
    var light = ambient_light(n);
    let light_from_sky = light.g;
    var shine = vec3(0.0);
    var out_light = vec3(0.0);
    switch kind {
        case WATER: {
            // Deep blue-green whatever the source's colour: a city's sea, rivers and the sea beyond are one water.
            let under = vec3(0.014, 0.085, 0.118);
            out_light = water_colour(look, under, place, -v, distance, shadow, globals.time);
        }
        case TREE: {
            // Leaves let light through: soft edge between light and shade, warm where the sun comes from behind.
            let wrap = clamp((sun_cos + 0.45) / 1.45, 0.0, 1.0);
            let through = pow(max(dot(-v, look.sun.xyz), 0.0), 3.0) * 0.35;
            let tuft = 0.80 + 0.40 * noise2(place * 1.7 + height * 1.3);
            light += look.sun_colour.rgb * (wrap + through) * (0.25 + 0.75 * shadow) * look.sun.w;
            out_light = albedo * light * tuft;
        }
        case TERRAIN: {
            let coarse = noise2(place * 0.013) * 0.5 + noise2(place * 0.061) * 0.3 + noise2(place * 0.31) * 0.2;
            // Air pictures are brighter and greener than ground in this light.
            let grey = dot(albedo, vec3(0.3, 0.59, 0.11));
            albedo = mix(vec3(grey), albedo, 0.84) * (0.74 + 0.26 * coarse) * vec3(0.98, 0.92, 0.88);
            // Steep ground shows rock and soil.
            let steep = smoothstep(0.80, 0.55, n.y);
            albedo = mix(albedo, vec3(0.22, 0.195, 0.165) * (0.7 + 0.6 * coarse), steep * 0.55);
            light += look.sun_colour.rgb * max(sun_cos, 0.0) * shadow * look.sun.w;
            out_light = albedo * light;
        }
        case GREEN: {
            let mottle = noise2(place * 0.09) * 0.6 + noise2(place * 0.7) * 0.4;
            albedo = mix(albedo, vec3(0.062, 0.098, 0.034), 0.82) * (0.70 + 0.60 * mottle);
            light += look.sun_colour.rgb * max(sun_cos, 0.0) * shadow * look.sun.w;
            out_light = albedo * light;
        }
        case FACADE: {
            light += look.sun_colour.rgb * max(sun_cos, 0.0) * shadow * look.sun.w;
            out_light = albedo * light;
            if is_textured(in.state) {
                // Dark parts of the picture are panes: they mirror the sky, and some are lit in the evening.
                let bright = dot(texel, vec3(0.2126, 0.7152, 0.0722));
                let pane = 1.0 - smoothstep(0.07, 0.24, bright);
                let cosine = clamp(dot(n, v), 0.0, 1.0);
                let fresnel = 0.06 + 0.60 * pow(1.0 - cosine, 4.0);
                let mirrored = reflect(-v, n);
                out_light += sky_light(look, normalize(vec3(mirrored.x, abs(mirrored.y) + 0.05, mirrored.z)))
                    * fresnel * pane * 0.8;
                let room = floor(vec2(in.uv.x * 2.0, in.uv.y * 2.0));
                let lit = step(0.60, fract(sin(dot(room + floor(place * 0.05), vec2(12.9898, 78.233))) * 43758.5453));
                out_light += vec3(1.0, 0.72, 0.40) * pane * lit * look.ambient.w * 0.42;
            }
        }
        case PIPE, STRUCTURE: {
#ifdef CUT
            // Down in a cut no sun comes, but what was dug for must be seen.
            light = light * 1.5 + 0.30;
#endif
            light += look.sun_colour.rgb * max(sun_cos, 0.0) * shadow * look.sun.w;
            let half_way = normalize(look.sun.xyz + v);
            shine = look.sun_colour.rgb * pow(max(dot(n, half_way), 0.0), 40.0) * 0.25 * shadow * look.sun.w;
            out_light = albedo * light + shine;
        }
        case POINTS: {
            // Colours of a scan hold the light of their day already.
            out_light = albedo * (look.ambient.rgb * 0.9 + look.sun_colour.rgb * 0.42 * look.sun.w + 0.05);
        }
        default: {
            if kind == ROOF {
                albedo *= 0.90 + 0.20 * noise2(place * 0.45);
            }
            if kind == ROAD {
                albedo *= 0.93 + 0.14 * noise2(place * 0.8);
            }
            light += look.sun_colour.rgb * max(sun_cos, 0.0) * shadow * look.sun.w;
            out_light = albedo * light;
        }
    }
    if kind == FURNITURE {
        // Heads of street lamps burn in the evening.
        out_light += vec3(1.0, 0.78, 0.48) * smoothstep(0.55, 0.8, dot(albedo, vec3(0.333))) * look.ambient.w * 1.4;
    }

    out_light = mix(out_light, haze_light(look, -v), veil);
    let shown = tone(look, out_light);
    // Beside coloured objects the rest steps back.
    let grey = vec3(dot(shown, vec3(0.2126, 0.7152, 0.0722)));
    let beside = mix(shown, mix(grey, shown, 0.35) * 0.9 + 0.03, look.style.y);
    // Corners keep light from the sky away, not from the sun; haze lies before them.
    let from_sun = look.sun_colour.g * max(sun_cos, 0.0) * shadow * look.sun.w;
    let open = mix(1.0, 0.65, from_sun / (from_sun + light_from_sky));
    return vec4(beside, relief_alpha(kind, select(open, 0.0, kind == WATER) * (1.0 - veil)));
#endif
#endif
#endif
}

#ifdef GLASS
// The X-ray: the surface becomes glass with a fine grid, buildings pale ghosts, what lies below is bright.
// Seen from above ground (style X-ray) the ghosts have more body; a white model is drawn with dark lines on paper.
fn glass(
    kind: i32, indoors: bool, albedo: vec3<f32>, n: vec3<f32>, v: vec3<f32>, world: vec3<f32>,
    place: vec2<f32>, height: f32, distance: f32, alpha: f32,
) -> vec4<f32> {
    let look = surface.look;
    let rim = 1.0 - abs(dot(n, v));
    let is_above = look.high.z < 0.5;
    let is_paper = look.style.x == 1.0;
    // Above ground one looks from farther away.
    let far = exp(-distance * look.bounce.w * select(0.9, 0.45, is_above));
    let border = 1.0 - border_share(look, world.xz);
    let fade = far * border;
    let opacity = surface.what.w;
    let is_classed = alpha > 1.5;
    switch kind {
        case TERRAIN: {
            let contour = rule_lines(height, 5.0, 1.0);
            let grid = max(rule_lines(place.x, 100.0, 1.0), rule_lines(place.y, 100.0, 1.0));
            let lines = max(contour * 0.55, grid * 0.42);
            let ground = select(vec3(0.030, 0.042, 0.052), vec3(0.62, 0.63, 0.63), is_paper);
            let ruled = select(vec3(0.30, 0.42, 0.48), vec3(0.20, 0.24, 0.27), is_paper);
            return vec4(mix(ground, ruled, lines), clamp(opacity * (0.55 + 0.6 * rim) + lines * 0.22, 0.0, 0.6) * fade);
        }
        case WATER: {
            let share = select(alpha, 1.0, is_classed);
            return vec4(select(vec3(0.010, 0.060, 0.085), vec3(0.45, 0.62, 0.72), is_paper), 0.34 * fade * share);
        }
        case ROAD: {
            return vec4(select(vec3(0.26, 0.30, 0.33), vec3(0.55, 0.55, 0.55), is_paper), 0.20 * fade);
        }
        case GREEN: {
            return vec4(select(vec3(0.035, 0.075, 0.050), vec3(0.50, 0.62, 0.42), is_paper), 0.20 * fade);
        }
        case PIPE, STRUCTURE, POINTS, HIGHLIGHT: {
            // A lamp beside the eye and one above: round pipes read as round.
            let key = normalize(vec3(0.35, 0.85, 0.40));
            let diffuse = 0.42 + 0.58 * max(dot(n, key), 0.0);
            let facing = 0.65 + 0.35 * max(dot(n, v), 0.0);
            let shine = pow(max(dot(n, normalize(key + v)), 0.0), 32.0) * 0.30;
            var colour = albedo * diffuse * facing * 1.15 + shine;
            if kind == STRUCTURE && indoors {
                // Concrete in the light of a lamp that is carried, dimmer down the tunnel.
                let grain = 0.86 + 0.28 * (noise2(place * 2.3 + height) * 0.6 + noise2(place * 9.0 - height * 3.0) * 0.4);
                let concrete = mix(vec3(0.40, 0.40, 0.39), albedo, 0.35) * grain;
                let lamp = (0.30 + 0.70 * abs(dot(n, v))) / (1.0 + distance * distance * 0.0022);
                let roomy = 0.16 + 0.10 * n.y;
                return vec4(concrete * (roomy + 1.05 * lamp), 1.0);
            }
            if kind == STRUCTURE {
                colour = albedo * diffuse * 0.75 + pow(rim, 3.0) * 0.12;
            }
            if is_classed {
                // A class keeps its colour at any depth.
                colour = albedo * mix(diffuse * facing, 1.0, 0.55);
            } else {
                // Deeper is darker and cooler.
                let depth = max(look.high.w - world.y, 0.0);
                let deep = exp(-depth / 26.0);
                colour = mix(colour * vec3(0.42, 0.50, 0.66), colour, 0.25 + 0.75 * deep);
            }
            let veil = select(vec3(0.020, 0.027, 0.036), vec3(0.86), is_paper);
            let veiled = mix(veil, colour, 0.20 + 0.80 * far);
            return vec4(veiled, select(1.0, opacity, kind == HIGHLIGHT || kind == STRUCTURE));
        }
        case LINES: {
            // From afar edges crowd: they become a veil instead of a tangle.
            let crowd = 0.10 + 0.90 * exp(-distance / select(420.0, 900.0, is_above));
            let line = select(vec3(0.50, 0.66, 0.76), vec3(0.10, 0.12, 0.14), is_paper);
            return vec4(line, select(0.34, 0.46, is_above) * fade * crowd * (1.0 - 0.6 * look.style.y));
        }
        default: {
            let glow = pow(rim, 2.2);
            let crowd = select(0.30, 0.55, is_above) + select(0.70, 0.45, is_above) * exp(-distance / 600.0);
            if is_classed {
                return vec4(albedo * (0.75 + 0.25 * n.y), clamp(opacity * 4.0 + 0.14 * glow, 0.0, 0.55) * fade);
            }
            let inner = select(vec3(0.10, 0.15, 0.19), vec3(0.60, 0.63, 0.65), is_paper);
            let outer = select(vec3(0.42, 0.56, 0.66), vec3(0.28, 0.32, 0.35), is_paper);
            return vec4(mix(inner, outer, glow), (opacity + 0.14 * glow) * fade * crowd * (1.0 - 0.5 * look.style.y));
        }
    }
}
#endif
