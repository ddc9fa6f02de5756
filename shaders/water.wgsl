// Water: calm, deep, with the sky in it.
#define_import_path groundline::water

#import groundline::look::{Look, sky_light, noise2}

// Slope of the surface at `p` (metres): three trains of small waves, which die away with distance so that the far sea
// is a mirror instead of noise.
fn wave_normal(p: vec2<f32>, seconds: f32, distance: f32) -> vec3<f32> {
    var slope = vec2(0.0);
    let near = exp(-distance / 900.0);
    let far = exp(-distance / 4000.0);
    slope += vec2(0.86, 0.51) * cos(dot(p, vec2(0.86, 0.51)) * 0.16 + seconds * 0.9) * 0.020 * far;
    slope += vec2(-0.35, 0.94) * cos(dot(p, vec2(-0.35, 0.94)) * 0.31 + seconds * 1.3) * 0.018 * far;
    slope += vec2(0.97, -0.24) * cos(dot(p, vec2(0.97, -0.24)) * 0.73 + seconds * 2.0) * 0.020 * near;
    let ripple = vec2(noise2(p * 0.9 + seconds * 0.4), noise2(p.yx * 1.1 - seconds * 0.3)) - 0.5;
    slope += ripple * 0.07 * near;
    return normalize(vec3(-slope.x, 1.0, -slope.y));
}

// Colour of the water surface seen along `view_dir` (from the eye), lit by the sun where `shadow` is 1.
fn water_colour(look: Look, tint: vec3<f32>, p: vec2<f32>, view_dir: vec3<f32>, distance: f32, shadow: f32, seconds: f32) -> vec3<f32> {
    let n = wave_normal(p, seconds, distance);
    let cosine = clamp(dot(n, -view_dir), 0.0, 1.0);
    let fresnel = 0.02 + 0.98 * pow(1.0 - cosine, 5.0);
    var mirrored = reflect(view_dir, n);
    mirrored.y = abs(mirrored.y);
    let sky = sky_light(look, mirrored);
    // What comes back out of the water: scattered daylight, tinted by depth; large soft patches break the plane.
    let patch_share = noise2(p * 0.0031) * 0.6 + noise2(p * 0.011) * 0.4;
    let body = tint * (look.ambient.rgb * 0.9 + look.sun_colour.rgb * max(look.sun.y, 0.0) * 0.55 * shadow)
        * (0.82 + 0.36 * patch_share);
    let half_way = normalize(look.sun.xyz - view_dir);
    let glint = pow(max(dot(n, half_way), 0.0), 420.0) * 6.0 + pow(max(dot(n, half_way), 0.0), 60.0) * 0.12;
    return mix(body, sky, fresnel) + look.sun_colour.rgb * glint * shadow * look.sun.w;
}
