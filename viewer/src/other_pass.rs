//! The pass that lays the picture of the other side over this one, before panels and text.

use bevy::{
    anti_alias::fxaa::fxaa,
    asset::{load_internal_asset, uuid_handle},
    core_pipeline::{Core3d, FullscreenShader, schedule::Core3dSystems},
    prelude::*,
    render::{
        Render, RenderApp, RenderStartup, RenderSystems,
        camera::ExtractedCamera,
        extract_resource::{ExtractResource, ExtractResourcePlugin},
        render_resource::{
            BindGroupEntries, BindGroupLayoutDescriptor, BindGroupLayoutEntries, CachedRenderPipelineId,
            ColorTargetState, ColorWrites, FragmentState, PipelineCache, RenderPassDescriptor,
            RenderPipelineDescriptor, ShaderStages, SpecializedRenderPipeline, SpecializedRenderPipelines,
            TextureFormat, TextureSampleType, TextureView, binding_types::texture_2d,
        },
        renderer::{RenderContext, ViewQuery},
        view::{ExtractedView, ViewTarget},
    },
};

const OTHER_SHADER: Handle<Shader> = uuid_handle!("2f7ef0f6-5d6b-4f11-9a2c-5b1f0a3d7707");

/// The picture of the other side, and the pixels in which it is seen.
#[derive(Resource, ExtractResource, Clone, Default)]
pub struct OtherPicture(pub Option<(TextureView, URect)>);

/// Puts the pass into the renderer.
pub struct OtherPassPlugin;

impl Plugin for OtherPassPlugin {
    fn build(&self, app: &mut App) {
        load_internal_asset!(app, OTHER_SHADER, "../../shaders/other.wgsl", Shader::from_wgsl);
        app.init_resource::<OtherPicture>().add_plugins(ExtractResourcePlugin::<OtherPicture>::default());
        let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
        render_app
            .init_resource::<SpecializedRenderPipelines<OtherLayout>>()
            .add_systems(RenderStartup, set_up)
            .add_systems(Render, prepare_pipeline.in_set(RenderSystems::Prepare))
            .add_systems(Core3d, lay_other.after(fxaa).in_set(Core3dSystems::PostProcess));
    }
}

#[derive(Resource)]
struct OtherLayout {
    picture: BindGroupLayoutDescriptor,
    fullscreen: FullscreenShader,
}

/// The pipeline of a camera.
#[derive(Component)]
struct OtherPipeline(CachedRenderPipelineId);

fn set_up(mut commands: Commands, fullscreen: Res<FullscreenShader>) {
    let picture = texture_2d(TextureSampleType::Float { filterable: false });
    let entries = BindGroupLayoutEntries::single(ShaderStages::FRAGMENT, picture);
    let picture = BindGroupLayoutDescriptor::new("other_side", &entries);
    commands.insert_resource(OtherLayout { picture, fullscreen: fullscreen.clone() });
}

impl SpecializedRenderPipeline for OtherLayout {
    type Key = TextureFormat;

    fn specialize(&self, format: Self::Key) -> RenderPipelineDescriptor {
        RenderPipelineDescriptor {
            label: Some("other_side".into()),
            layout: vec![self.picture.clone()],
            vertex: self.fullscreen.to_vertex_state(),
            fragment: Some(FragmentState {
                shader: OTHER_SHADER,
                entry_point: Some("fragment".into()),
                targets: vec![Some(ColorTargetState { format, blend: None, write_mask: ColorWrites::ALL })],
                ..default()
            }),
            ..default()
        }
    }
}

fn prepare_pipeline(
    mut commands: Commands,
    cache: Res<PipelineCache>,
    layout: Res<OtherLayout>,
    picture: Res<OtherPicture>,
    mut pipelines: ResMut<SpecializedRenderPipelines<OtherLayout>>,
    cameras: Query<(Entity, &ExtractedView), With<ExtractedCamera>>,
) {
    if picture.0.is_none() {
        return;
    }
    for (entity, view) in &cameras {
        let pipeline = pipelines.specialize(&cache, &layout, view.target_format);
        commands.entity(entity).insert(OtherPipeline(pipeline));
    }
}

fn lay_other(
    view: ViewQuery<(&ViewTarget, &OtherPipeline)>,
    cache: Res<PipelineCache>,
    layout: Res<OtherLayout>,
    picture: Res<OtherPicture>,
    mut ctx: RenderContext,
) {
    let (target, pipeline) = view.into_inner();
    let Some((picture, part)) = &picture.0 else { return };
    let Some(pipeline) = cache.get_render_pipeline(pipeline.0) else { return };
    // Drawn for a window of another size.
    let size = target.main_texture().size();
    if part.max.x > size.width || part.max.y > size.height {
        return;
    }
    let device = ctx.render_device().clone();
    let layout = cache.get_bind_group_layout(&layout.picture);
    let group = device.create_bind_group(None, &layout, &BindGroupEntries::single(picture));
    let mut pass = ctx.command_encoder().begin_render_pass(&RenderPassDescriptor {
        label: Some("other_side"),
        color_attachments: &[Some(target.get_unsampled_color_attachment())],
        depth_stencil_attachment: None,
        timestamp_writes: None,
        occlusion_query_set: None,
        multiview_mask: None,
    });
    pass.set_scissor_rect(part.min.x, part.min.y, part.width(), part.height());
    pass.set_pipeline(pipeline);
    pass.set_bind_group(0, &group, &[]);
    pass.draw(0..3, 0..1);
}
