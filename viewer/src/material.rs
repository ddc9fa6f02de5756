//! The two materials: every surface of the city, and the sky.

use std::collections::{HashMap, HashSet};

use bevy::{
    asset::{load_internal_asset, uuid_handle},
    mesh::MeshVertexBufferLayoutRef,
    pbr::{MaterialPipeline, MaterialPipelineKey},
    prelude::*,
    render::render_resource::{AsBindGroup, RenderPipelineDescriptor, ShaderType, SpecializedMeshPipelineError},
    shader::{ShaderDefVal, ShaderRef},
};

use crate::{
    content::DrawMaterial,
    facade_picture::decode_picture,
    look::Look,
    style::{Drawing, Shading},
};

const LOOK_SHADER: Handle<Shader> = uuid_handle!("2f7ef0f6-5d6b-4f11-9a2c-5b1f0a3d7701");
const WATER_SHADER: Handle<Shader> = uuid_handle!("2f7ef0f6-5d6b-4f11-9a2c-5b1f0a3d7702");
const CITY_SHADER: Handle<Shader> = uuid_handle!("2f7ef0f6-5d6b-4f11-9a2c-5b1f0a3d7703");
const STYLE_SHADER: Handle<Shader> = uuid_handle!("2f7ef0f6-5d6b-4f11-9a2c-5b1f0a3d7705");
const SKY_SHADER: Handle<Shader> = uuid_handle!("2f7ef0f6-5d6b-4f11-9a2c-5b1f0a3d7704");

/// Size of a scan point, metres.
const POINT_SIZE_M: f32 = 0.35;
/// Pixels by which pipes are thickened below ground.
const PIPE_MARGIN_PX: f32 = 1.5;

/// How a surface is shaded: numbers as in `shaders/city.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Anything else.
    Other = 0,
    /// Wall of a building.
    Facade = 1,
    /// Roof.
    Roof = 2,
    /// Ground.
    Terrain = 3,
    /// Carriageway, path, railway bed.
    Road = 4,
    /// Sea, river, lake.
    Water = 5,
    /// Tree.
    Tree = 6,
    /// Pipe, joint, manhole, node.
    Pipe = 7,
    /// Gallery, tunnel, station.
    Structure = 8,
    /// Scan.
    Points = 9,
    /// Park, lawn.
    Green = 10,
    /// Edges of ghosts.
    Lines = 11,
    /// The picked object.
    Highlight = 12,
    /// Lamps, signs and other small things.
    Furniture = 13,
    /// Earth where a cut opens the ground.
    Soil = 14,
    /// Face that fills a solid where a plane cuts it.
    Cap = 15,
    /// Where a pipe may lie as far as the survey knows.
    Sleeve = 16,
    /// What stands back behind the one object that is looked at.
    Ghost = 17,
    /// Air of a room: seen once the building is open.
    Room = 18,
}

impl Kind {
    /// The shading for a material of this name, in a layer whose objects are mostly of this class.
    pub fn of(material: &str, class: &str) -> Self {
        let name = material.to_ascii_lowercase();
        const BY_NAME: [(&str, Kind); 37] = [
            ("ghost", Kind::Ghost),
            ("room_air", Kind::Room),
            // What lies below comes first: `pipe_water` is a pipe.
            ("pipe", Kind::Pipe),
            ("manhole", Kind::Pipe),
            ("shaft", Kind::Pipe),
            ("node", Kind::Pipe),
            ("gallery", Kind::Structure),
            ("tunnel", Kind::Structure),
            ("station", Kind::Structure),
            ("stratum", Kind::Structure),
            ("borehole", Kind::Structure),
            ("facade", Kind::Facade),
            ("wall", Kind::Facade),
            ("glass", Kind::Facade),
            ("roof", Kind::Roof),
            ("terrain", Kind::Terrain),
            ("ground", Kind::Terrain),
            ("imagery", Kind::Terrain),
            ("road", Kind::Road),
            ("railway", Kind::Road),
            ("asphalt", Kind::Road),
            ("pavement", Kind::Road),
            ("lane", Kind::Road),
            ("path", Kind::Road),
            ("marking", Kind::Road),
            ("water", Kind::Water),
            ("sea", Kind::Water),
            ("green", Kind::Green),
            ("grass", Kind::Green),
            ("park", Kind::Green),
            ("land_use", Kind::Green),
            ("tree", Kind::Tree),
            ("leaf", Kind::Tree),
            ("crown", Kind::Tree),
            ("trunk", Kind::Tree),
            ("foliage", Kind::Tree),
            ("point", Kind::Points),
        ];
        let by_name = BY_NAME.iter().find(|(part, _)| name.contains(part)).map(|(_, kind)| *kind);
        by_name.unwrap_or(match class {
            "terrain" | "imagery" => Kind::Terrain,
            "building" | "storey" | "space" | "building_element" => Kind::Other,
            "road" | "railway" | "bridge" => Kind::Road,
            "water" => Kind::Water,
            "greenery" | "land_use" => Kind::Green,
            "tree" => Kind::Tree,
            "pipe" | "manhole" | "pipe_node" => Kind::Pipe,
            "gallery" | "tunnel" | "station" | "stratum" | "borehole" => Kind::Structure,
            "point_cloud" => Kind::Points,
            "lamp" | "furniture" => Kind::Furniture,
            _ => Kind::Other,
        })
    }

    /// How much nearer than it is the surface is drawn, so that what lies on another surface does not flicker.
    fn pull(self) -> f32 {
        match self {
            Kind::Green => 0.001_5,
            Kind::Water => 0.000_3,
            Kind::Road => 0.002_2,
            Kind::Lines => 0.000_8,
            Kind::Highlight => 0.002,
            _ => 0.0,
        }
    }

    /// Whether it throws a shadow that is worth its cost.
    pub fn throws_shadow(self) -> bool {
        !matches!(
            self,
            Kind::Water
                | Kind::Road
                | Kind::Green
                | Kind::Points
                | Kind::Lines
                | Kind::Highlight
                | Kind::Soil
                | Kind::Cap
                | Kind::Sleeve
                | Kind::Ghost
                | Kind::Room
        )
    }

    /// Whether it is seen through in every style.
    pub fn is_always_blended(self) -> bool {
        matches!(self, Kind::Highlight | Kind::Lines | Kind::Sleeve | Kind::Ghost | Kind::Room)
    }

    /// Whether it encloses something that a plane can cut.
    pub fn is_solid(self) -> bool {
        matches!(self, Kind::Facade | Kind::Roof | Kind::Other | Kind::Pipe | Kind::Structure)
    }

    /// Whether a trench takes it away.
    pub fn lies_on_ground(self) -> bool {
        matches!(self, Kind::Terrain | Kind::Road | Kind::Green | Kind::Water | Kind::Tree | Kind::Furniture)
    }

    /// Opacity where the city is seen through; `None` = not drawn then.
    fn opacity_as_glass(self, drawing: Drawing) -> Option<f32> {
        // Above ground buildings stand in the foreground: they must be seen as bodies, and the ground is thin under them.
        let is_above = !drawing.is_below;
        match self {
            Kind::Terrain => Some(if is_above { 0.14 } else { 0.20 }),
            Kind::Facade | Kind::Roof => Some(if is_above { 0.085 } else { 0.045 }),
            Kind::Other => Some(if is_above { 0.05 } else { 0.025 }),
            Kind::Water | Kind::Road | Kind::Green => Some(0.2),
            Kind::Pipe | Kind::Lines | Kind::Soil | Kind::Cap | Kind::Sleeve | Kind::Ghost | Kind::Room => Some(1.0),
            Kind::Structure => Some(0.62),
            Kind::Highlight => Some(0.85),
            Kind::Tree | Kind::Furniture | Kind::Points => None,
        }
    }

    /// Whether it is drawn in this way of drawing, or not.
    pub fn is_drawn(self, drawing: Drawing) -> bool {
        match self {
            _ if drawing.is_glass() => self.opacity_as_glass(drawing).is_some(),
            Kind::Lines => drawing.has_edges(),
            _ => true,
        }
    }
}

/// Twin of `Surface` in `shaders/city.wgsl`.
#[derive(Clone, Copy, Debug, Default, ShaderType)]
pub struct Surface {
    base: Vec4,
    what: Vec4,
    more: Vec4,
    look: Look,
}

/// Material of every surface of the city.
#[derive(Asset, AsBindGroup, TypePath, Clone, Debug)]
#[bind_group_data(Wanted)]
pub struct CityMaterial {
    #[uniform(0)]
    surface: Surface,
    #[texture(1)]
    #[sampler(2)]
    picture: Option<Handle<Image>>,
    kind: Kind,
    is_blended: bool,
    shading: Shading,
    is_cut: bool,
    is_fading: bool,
    has_shadows: bool,
}

/// Which pipeline a material wants.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Where it has a pipeline of its own.
    kind: Option<Kind>,
    shading: Shading,
    is_cut: bool,
    is_fading: bool,
    has_shadows: bool,
}

impl From<&CityMaterial> for Wanted {
    fn from(material: &CityMaterial) -> Self {
        Self {
            kind: (material.shading != Shading::Realistic || material.is_blended).then_some(material.kind),
            shading: material.shading,
            is_cut: material.is_cut,
            is_fading: material.is_fading,
            has_shadows: material.has_shadows,
        }
    }
}

impl CityMaterial {
    /// A material of `kind` with a base colour (linear) and perhaps a picture.
    pub fn new(kind: Kind, base: [f32; 4], picture: Option<Handle<Image>>, look: &Look) -> Self {
        let textured = if picture.is_some() { 1.0 } else { 0.0 };
        let mut material = Self {
            surface: Surface {
                base: base.into(),
                what: Vec4::new(f32::from(kind as u8), kind.pull(), textured, 1.0),
                more: Vec4::new(POINT_SIZE_M, PIPE_MARGIN_PX, 0.0, 0.0),
                look: *look,
            },
            picture,
            kind,
            is_blended: false,
            shading: Shading::default(),
            is_cut: false,
            is_fading: false,
            has_shadows: false,
        };
        material.set_look(look);
        material
    }

    /// Puts it into another light, above or below ground, and into another style.
    pub fn set_look(&mut self, look: &Look) {
        let drawing = look.drawing();
        let opacity = if drawing.is_glass() { self.kind.opacity_as_glass(drawing).unwrap_or(0.0) } else { 1.0 };
        self.surface.look = *look;
        self.surface.what.w = if self.kind == Kind::Highlight { 0.8 } else { opacity };
        // Who walks in a gallery sees walls.
        let is_wall = self.kind == Kind::Structure && look.style.z > 0.5;
        let is_solid = is_wall || matches!(self.kind, Kind::Pipe | Kind::Soil | Kind::Cap);
        let is_seen_through = drawing.is_glass() && !is_solid;
        self.is_cut = look.is_cut();
        self.has_shadows = look.has_shadows();
        self.is_blended = self.kind.is_always_blended() || is_seen_through;
        self.shading = drawing.shading();
    }
}

impl Material for CityMaterial {
    fn vertex_shader() -> ShaderRef {
        CITY_SHADER.into()
    }

    fn fragment_shader() -> ShaderRef {
        CITY_SHADER.into()
    }

    fn alpha_mode(&self) -> AlphaMode {
        if self.is_blended { AlphaMode::Blend } else { AlphaMode::Opaque }
    }

    fn depth_bias(&self) -> f32 {
        // Order of what is seen through: ground first, then what stands on it, then lines and the picked object.
        match self.kind {
            Kind::Terrain => -4.0e5,
            Kind::Green => -3.0e5,
            Kind::Water => -2.5e5,
            Kind::Road => -2.0e5,
            Kind::Structure => -5.0e5,
            Kind::Room => 0.1e5,
            Kind::Ghost => 0.2e5,
            Kind::Sleeve => 0.5e5,
            Kind::Lines => 1.0e5,
            Kind::Highlight => 2.0e5,
            _ => 0.0,
        }
    }

    fn enable_prepass() -> bool {
        false
    }

    fn specialize(
        _pipeline: &MaterialPipeline,
        descriptor: &mut RenderPipelineDescriptor,
        layout: &MeshVertexBufferLayoutRef,
        key: MaterialPipelineKey<Self>,
    ) -> Result<(), SpecializedMeshPipelineError> {
        // Shadows are drawn by Bevy's own vertex shader, whose locations it has set already.
        let is_shadow = descriptor.label.as_ref().is_some_and(|label| label.contains("prepass"));
        // Cities deliver walls of both windings: draw both sides, in the picture and in shadow.
        descriptor.primitive.cull_mode = None;
        if !is_shadow {
            let shading = key.bind_group_data.shading.definition();
            // Leaving pixels out costs the early test of depth, so what is cut has a pipeline of its own.
            let cut = key.bind_group_data.is_cut.then_some("CUT");
            let fade = key.bind_group_data.is_fading.then_some("FADE");
            let kind = key.bind_group_data.kind.map(|kind| ShaderDefVal::Int("KIND".into(), kind as i32));
            let shadowed = key.bind_group_data.has_shadows.then_some("SHADOWED");
            let words = shading.into_iter().chain(cut).chain(fade).chain(shadowed).map(ShaderDefVal::from);
            let definitions: Vec<ShaderDefVal> = words.chain(kind).collect();
            descriptor.vertex.shader_defs.extend_from_slice(&definitions);
            if let Some(fragment) = &mut descriptor.fragment {
                fragment.shader_defs.extend(definitions);
            }
            descriptor.vertex.buffers = vec![layout.0.get_layout(&[
                Mesh::ATTRIBUTE_POSITION.at_shader_location(0),
                Mesh::ATTRIBUTE_NORMAL.at_shader_location(1),
                Mesh::ATTRIBUTE_UV_0.at_shader_location(2),
                Mesh::ATTRIBUTE_COLOR.at_shader_location(3),
            ])?];
        }
        Ok(())
    }
}

/// Material of the sky.
#[derive(Asset, AsBindGroup, TypePath, Clone, Debug)]
#[bind_group_data(Shading)]
pub struct SkyMaterial {
    /// The light.
    #[uniform(0)]
    pub look: Look,
}

impl From<&SkyMaterial> for Shading {
    fn from(material: &SkyMaterial) -> Self {
        material.look.drawing().shading()
    }
}

impl Material for SkyMaterial {
    fn vertex_shader() -> ShaderRef {
        SKY_SHADER.into()
    }

    fn fragment_shader() -> ShaderRef {
        SKY_SHADER.into()
    }

    fn alpha_mode(&self) -> AlphaMode {
        // Drawn after everything solid, so that it is only computed where it shows.
        AlphaMode::Blend
    }

    fn depth_bias(&self) -> f32 {
        -1.0e9
    }

    fn enable_prepass() -> bool {
        false
    }

    fn enable_shadows() -> bool {
        false
    }

    fn specialize(
        _pipeline: &MaterialPipeline,
        descriptor: &mut RenderPipelineDescriptor,
        layout: &MeshVertexBufferLayoutRef,
        key: MaterialPipelineKey<Self>,
    ) -> Result<(), SpecializedMeshPipelineError> {
        descriptor.primitive.cull_mode = None;
        if let (Some(shading), Some(fragment)) = (key.bind_group_data.definition(), &mut descriptor.fragment) {
            fragment.shader_defs.push(shading.into());
        }
        descriptor.vertex.buffers = vec![layout.0.get_layout(&[Mesh::ATTRIBUTE_POSITION.at_shader_location(0)])?];
        Ok(())
    }
}

/// The materials in use, shared between tiles.
#[derive(Resource, Default)]
pub struct Materials {
    by_key: HashMap<MaterialKey, Handle<CityMaterial>>,
    pictures: HashMap<u64, Option<Handle<Image>>>,
    /// Of some of them, the twin that fades.
    fading: HashMap<AssetId<CityMaterial>, Handle<CityMaterial>>,
    /// The light they are drawn in.
    pub look: Look,
    /// Renders in software: anisotropic filtering, which costs a graphics card nothing, can cost minutes there.
    pub is_software: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct MaterialKey {
    kind: Kind,
    base: [u32; 4],
    picture: Option<u64>,
}

/// A name for a picture's bytes (FNV-1a): tiles repeat the same few facades.
fn picture_key(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Materials {
    /// The material for a tile's `material`.
    pub fn get(
        &mut self,
        material: &DrawMaterial,
        kind: Kind,
        assets: &mut Assets<CityMaterial>,
        images: &mut Assets<Image>,
    ) -> Handle<CityMaterial> {
        let picture = material.texture.as_deref().map(|bytes| (picture_key(bytes), bytes));
        let key =
            MaterialKey { kind, base: material.base_colour.map(f32::to_bits), picture: picture.map(|(key, _)| key) };
        if let Some(handle) = self.by_key.get(&key) {
            return handle.clone();
        }
        let image = picture.and_then(|(key, bytes)| {
            let anisotropy = if self.is_software { 1 } else { 8 };
            let decode = || decode_picture(bytes, anisotropy).map(|image| images.add(image));
            self.pictures.entry(key).or_insert_with(decode).clone()
        });
        let handle = assets.add(CityMaterial::new(kind, material.base_colour, image, &self.look));
        self.by_key.insert(key, handle.clone());
        handle
    }

    /// A white material without a picture.
    pub fn plain(&mut self, kind: Kind, assets: &mut Assets<CityMaterial>) -> Handle<CityMaterial> {
        let key = MaterialKey { kind, base: [1.0f32.to_bits(); 4], picture: None };
        self.by_key
            .entry(key)
            .or_insert_with(|| assets.add(CityMaterial::new(kind, [1.0; 4], None, &self.look)))
            .clone()
    }

    /// The twin of a material for what fades.
    pub fn fading(&mut self, plain: &Handle<CityMaterial>, assets: &mut Assets<CityMaterial>) -> Handle<CityMaterial> {
        if let Some(twin) = self.fading.get(&plain.id()) {
            return twin.clone();
        }
        let Some(material) = assets.get(plain) else { return plain.clone() };
        let twin = assets.add(CityMaterial { is_fading: true, ..material.clone() });
        self.fading.insert(plain.id(), twin.clone());
        twin
    }

    /// Forgets materials and pictures that nothing draws any more.
    pub fn forget_unused(&mut self) {
        // A handle held here and by nobody else has a strong count of one.
        self.by_key.retain(|_, handle| !is_last(handle));
        let used: HashSet<_> = self.by_key.values().map(Handle::id).collect();
        self.fading.retain(|plain, _| used.contains(plain));
        self.pictures.retain(|_, handle| !handle.as_ref().is_some_and(is_last));
    }
}

fn is_last<A: Asset>(handle: &Handle<A>) -> bool {
    match handle {
        Handle::Strong(strong) => std::sync::Arc::strong_count(strong) == 1,
        Handle::Uuid(..) => false,
    }
}

/// Puts the shaders and materials into the app.
pub struct CityMaterialPlugin;

impl Plugin for CityMaterialPlugin {
    fn build(&self, app: &mut App) {
        load_internal_asset!(app, LOOK_SHADER, "../../shaders/look.wgsl", Shader::from_wgsl);
        load_internal_asset!(app, WATER_SHADER, "../../shaders/water.wgsl", Shader::from_wgsl);
        load_internal_asset!(app, STYLE_SHADER, "../../shaders/style.wgsl", Shader::from_wgsl);
        load_internal_asset!(app, CITY_SHADER, "../../shaders/city.wgsl", Shader::from_wgsl);
        load_internal_asset!(app, SKY_SHADER, "../../shaders/sky.wgsl", Shader::from_wgsl);
        app.init_resource::<Materials>();
        app.add_plugins((MaterialPlugin::<CityMaterial>::default(), MaterialPlugin::<SkyMaterial>::default()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_material_names_then_classes() {
        assert_eq!(Kind::of("facade_residential", "building"), Kind::Facade);
        assert_eq!(Kind::of("roof", "building"), Kind::Roof);
        assert_eq!(Kind::of("pipe_water", "pipe"), Kind::Pipe);
        assert_eq!(Kind::of("", "tree"), Kind::Tree);
        assert_eq!(Kind::of("", ""), Kind::Other);
    }
}
