//! The passes that lay the relief ([`crate::relief`]) over the solid surfaces, before what is seen through is drawn.
//!
//! Bevy's own ambient occlusion wants depths and normals before the picture: every triangle drawn twice, cuts and fades
//! too, which doubles the time of a software driver. Here the depths of the picture itself do, and the alpha of what was
//! drawn says how far light from the sky counts at each pixel.

use bevy::{
    asset::{load_internal_asset, uuid_handle},
    core_pipeline::{
        Core3d, FullscreenShader,
        core_3d::{main_opaque_pass_3d, main_transparent_pass_3d},
        schedule::Core3dSystems,
    },
    prelude::*,
    render::{
        Render, RenderApp, RenderStartup, RenderSystems,
        camera::ExtractedCamera,
        extract_component::ExtractComponentPlugin,
        render_resource::{
            BindGroup, BindGroupEntries, BindGroupLayoutDescriptor, BindGroupLayoutEntries, CachedRenderPipelineId,
            ColorTargetState, ColorWrites, Extent3d, FragmentState, Operations, PipelineCache,
            RenderPassColorAttachment, RenderPassDescriptor, RenderPipelineDescriptor, ShaderStages,
            SpecializedRenderPipeline, SpecializedRenderPipelines, TextureDescriptor, TextureDimension, TextureFormat,
            TextureSampleType, TextureUsages, TextureView,
            binding_types::{texture_2d, texture_depth_2d, uniform_buffer},
        },
        renderer::{RenderContext, RenderDevice, ViewQuery},
        texture::{CachedTexture, TextureCache},
        uniform::{ComponentUniforms, DynamicUniformIndex, UniformComponentPlugin},
        view::{ExtractedView, ViewDepthTexture, ViewTarget},
    },
};

use crate::relief::ReliefView;

const RELIEF_SHADER: Handle<Shader> = uuid_handle!("2f7ef0f6-5d6b-4f11-9a2c-5b1f0a3d7706");

/// Share of the sky and distance.
const CORNER_FORMAT: TextureFormat = TextureFormat::Rg16Float;

/// Puts the passes into the renderer.
pub struct ReliefPlugin;

impl Plugin for ReliefPlugin {
    fn build(&self, app: &mut App) {
        load_internal_asset!(app, RELIEF_SHADER, "../../shaders/relief.wgsl", Shader::from_wgsl);
        app.add_plugins((
            ExtractComponentPlugin::<ReliefView>::default(),
            UniformComponentPlugin::<ReliefView>::default(),
        ));
        let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
        render_app
            .init_resource::<SpecializedRenderPipelines<ReliefLayout>>()
            .add_systems(RenderStartup, set_up)
            .add_systems(
                Render,
                (
                    prepare_pipelines.in_set(RenderSystems::Prepare),
                    prepare_textures.in_set(RenderSystems::PrepareResources),
                ),
            )
            .add_systems(
                Core3d,
                lay_relief.after(main_opaque_pass_3d).before(main_transparent_pass_3d).in_set(Core3dSystems::MainPass),
            );
    }
}

/// One of the three passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Pass {
    Gather,
    Soften,
    Apply,
}

/// What each pass reads.
#[derive(Resource)]
struct ReliefLayout {
    gather: BindGroupLayoutDescriptor,
    soften: BindGroupLayoutDescriptor,
    apply: BindGroupLayoutDescriptor,
    fullscreen: FullscreenShader,
}

impl ReliefLayout {
    fn of(&self, pass: Pass) -> &BindGroupLayoutDescriptor {
        match pass {
            Pass::Gather => &self.gather,
            Pass::Soften => &self.soften,
            Pass::Apply => &self.apply,
        }
    }
}

/// The pipelines of a camera.
#[derive(Component)]
struct ReliefPipelines {
    gather: CachedRenderPipelineId,
    soften: CachedRenderPipelineId,
    apply: CachedRenderPipelineId,
}

/// The small pictures of a camera: as gathered and as softened.
#[derive(Component)]
struct CornerTextures {
    gathered: CachedTexture,
    softened: CachedTexture,
}

fn set_up(mut commands: Commands, fullscreen: Res<FullscreenShader>) {
    let uniform = uniform_buffer::<ReliefView>(true);
    let picture = texture_2d(TextureSampleType::Float { filterable: false });
    let stages = ShaderStages::FRAGMENT;
    let gather = BindGroupLayoutEntries::sequential(stages, (uniform, texture_depth_2d()));
    let soften = BindGroupLayoutEntries::with_indices(stages, ((0, uniform), (2, picture)));
    let apply = BindGroupLayoutEntries::sequential(stages, (uniform, texture_depth_2d(), picture, picture));
    commands.insert_resource(ReliefLayout {
        gather: BindGroupLayoutDescriptor::new("relief_gather", &gather),
        soften: BindGroupLayoutDescriptor::new("relief_soften", &soften),
        apply: BindGroupLayoutDescriptor::new("relief_apply", &apply),
        fullscreen: fullscreen.clone(),
    });
}

impl SpecializedRenderPipeline for ReliefLayout {
    type Key = (Pass, TextureFormat);

    fn specialize(&self, (pass, format): Self::Key) -> RenderPipelineDescriptor {
        let (label, entry) = match pass {
            Pass::Gather => ("relief_gather", "gather"),
            Pass::Soften => ("relief_soften", "soften"),
            Pass::Apply => ("relief_apply", "apply"),
        };
        RenderPipelineDescriptor {
            label: Some(label.into()),
            layout: vec![self.of(pass).clone()],
            vertex: self.fullscreen.to_vertex_state(),
            fragment: Some(FragmentState {
                shader: RELIEF_SHADER,
                entry_point: Some(entry.into()),
                targets: vec![Some(ColorTargetState { format, blend: None, write_mask: ColorWrites::ALL })],
                ..default()
            }),
            ..default()
        }
    }
}

fn prepare_pipelines(
    mut commands: Commands,
    cache: Res<PipelineCache>,
    layout: Res<ReliefLayout>,
    mut pipelines: ResMut<SpecializedRenderPipelines<ReliefLayout>>,
    cameras: Query<(Entity, &ExtractedView, &ReliefView), With<ExtractedCamera>>,
) {
    for (entity, view, relief) in &cameras {
        if !relief.is_on() {
            continue;
        }
        let mut pipeline = |pass, format| pipelines.specialize(&cache, &layout, (pass, format));
        commands.entity(entity).insert(ReliefPipelines {
            gather: pipeline(Pass::Gather, CORNER_FORMAT),
            soften: pipeline(Pass::Soften, CORNER_FORMAT),
            apply: pipeline(Pass::Apply, view.target_format),
        });
    }
}

fn prepare_textures(
    mut commands: Commands,
    mut textures: ResMut<TextureCache>,
    device: Res<RenderDevice>,
    cameras: Query<(Entity, &ExtractedCamera, &ReliefView)>,
) {
    for (entity, camera, relief) in &cameras {
        let Some(size) = camera.physical_target_size.filter(|_| relief.is_on()) else { continue };
        let mut texture = |label| {
            textures.get(
                &device,
                TextureDescriptor {
                    label: Some(label),
                    size: Extent3d { width: size.x.div_ceil(2), height: size.y.div_ceil(2), depth_or_array_layers: 1 },
                    mip_level_count: 1,
                    sample_count: 1,
                    dimension: TextureDimension::D2,
                    format: CORNER_FORMAT,
                    usage: TextureUsages::RENDER_ATTACHMENT | TextureUsages::TEXTURE_BINDING,
                    view_formats: &[],
                },
            )
        };
        commands
            .entity(entity)
            .insert(CornerTextures { gathered: texture("relief_gathered"), softened: texture("relief_softened") });
    }
}

#[allow(clippy::type_complexity)]
fn lay_relief(
    view: ViewQuery<(
        &ViewTarget,
        &ViewDepthTexture,
        &ReliefView,
        &ReliefPipelines,
        &CornerTextures,
        &DynamicUniformIndex<ReliefView>,
    )>,
    cache: Res<PipelineCache>,
    layout: Res<ReliefLayout>,
    uniforms: Res<ComponentUniforms<ReliefView>>,
    mut ctx: RenderContext,
) {
    let (target, depth, relief, pipelines, textures, index) = view.into_inner();
    if !relief.is_on() {
        return;
    }
    let ready = |id| cache.get_render_pipeline(id);
    let (Some(gather), Some(soften), Some(apply)) =
        (ready(pipelines.gather), ready(pipelines.soften), ready(pipelines.apply))
    else {
        return;
    };
    let Some(uniform) = uniforms.uniforms().binding() else { return };
    let (gathered, softened) = (&textures.gathered.default_view, &textures.softened.default_view);
    let device = ctx.render_device().clone();
    let group = |pass: Pass, entries: &[_]| {
        device.create_bind_group(None, &cache.get_bind_group_layout(layout.of(pass)), entries)
    };
    let mut draw = |label, into: &TextureView, pipeline, group: BindGroup| {
        let mut pass = ctx.command_encoder().begin_render_pass(&RenderPassDescriptor {
            label: Some(label),
            color_attachments: &[Some(RenderPassColorAttachment {
                view: into,
                depth_slice: None,
                resolve_target: None,
                ops: Operations::default(),
            })],
            depth_stencil_attachment: None,
            timestamp_writes: None,
            occlusion_query_set: None,
            multiview_mask: None,
        });
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &group, &[index.index()]);
        pass.draw(0..3, 0..1);
    };
    if relief.has_corners() {
        let depths = group(Pass::Gather, &BindGroupEntries::sequential((uniform.clone(), depth.view())));
        draw("relief_gather", gathered, gather, depths);
        let rough = group(Pass::Soften, &BindGroupEntries::with_indices(((0, uniform.clone()), (2, gathered))));
        draw("relief_soften", softened, soften, rough);
    }
    let picture = target.post_process_write();
    let all = group(Pass::Apply, &BindGroupEntries::sequential((uniform, depth.view(), softened, picture.source)));
    draw("relief_apply", picture.destination, apply, all);
}
