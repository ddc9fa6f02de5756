// The sky behind everything: one triangle over the whole picture, drawn where nothing else was.
#import bevy_pbr::mesh_view_bindings::view
#import groundline::look::{Look, sky_light, haze_light, noise2, hash2, tone}
#import groundline::style::{paper_sky, dark_sky}

@group(#{MATERIAL_BIND_GROUP}) @binding(0) var<uniform> look: Look;

struct Varying {
    @builtin(position) clip: vec4<f32>,
    @location(0) ndc: vec2<f32>,
}

@vertex
fn vertex(@location(0) position: vec3<f32>) -> Varying {
    var out: Varying;
    // Depth 0 is infinitely far (reversed depth).
    out.clip = vec4(position.xy, 0.0, 1.0);
    out.ndc = position.xy;
    return out;
}

// Thin high clouds, drawn out by the wind.
fn clouds(d: vec3<f32>) -> f32 {
    let p = d.xz / (d.y + 0.12);
    let warped = p + 0.35 * vec2(noise2(p * 1.3 + 7.0), noise2(p * 1.3 + 19.0));
    let streak = vec2(warped.x * 0.72 + warped.y * 0.38, warped.y * 1.75 - warped.x * 0.8);
    var sum = 0.0;
    sum += noise2(streak * 0.9) * 0.5;
    sum += noise2(streak * 2.1 + 3.7) * 0.26;
    sum += noise2(streak * 4.7 + 11.0) * 0.15;
    sum += noise2(streak * 10.3 + 5.0) * 0.09;
    return smoothstep(0.50, 0.86, sum);
}

@fragment
fn fragment(in: Varying) -> @location(0) vec4<f32> {
    let far = view.world_from_clip * vec4(in.ndc, 0.0001, 1.0);
    let d = normalize(far.xyz / far.w - view.world_position);
    let dither = (hash2(in.clip.xy) - 0.5) / 255.0;
    // As in city.wgsl: definitions, or a software driver would make a shader for every picture.
#ifdef PAPER
    return vec4(paper_sky(abs(d.y)) + dither, 1.0);
#else
#ifdef DARK
    return vec4(dark_sky(abs(d.y)) + dither * 0.3, 1.0);
#else
#ifdef GLASS
    // Seen through: a quiet dark room, lighter towards the horizon.
    let t = exp(-abs(d.y) * 2.6);
    let colour = mix(vec3(0.0065, 0.0085, 0.0125), vec3(0.020, 0.027, 0.036), t);
    return vec4(colour + dither * 0.3, 1.0);
#else
    var light = sky_light(look, d);
    if d.y > 0.0 {
        let cover = clouds(d) * look.zenith.w * smoothstep(0.0, 0.16, d.y);
        let lit = look.sun_colour.rgb * 0.42 * look.sun.w + look.ambient.rgb * 0.8;
        light = mix(light, lit, cover);
        let disc = smoothstep(0.99990, 0.99996, dot(d, look.sun.xyz));
        light += look.sun_colour.rgb * disc * 12.0;
    } else {
        light = mix(haze_light(look, d), look.horizon.rgb * vec3(0.80, 0.84, 0.88), 1.0 - exp(d.y * 5.0));
    }
    return vec4(tone(look, light) + dither, 1.0);
#endif
#endif
#endif
}
