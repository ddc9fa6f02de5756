// The picture of the other side of a comparison, pixel by pixel.
#import bevy_core_pipeline::fullscreen_vertex_shader::FullscreenVertexOutput

@group(0) @binding(0) var other: texture_2d<f32>;

@fragment
fn fragment(in: FullscreenVertexOutput) -> @location(0) vec4<f32> {
    return textureLoad(other, vec2<i32>(in.position.xy), 0);
}
