//! Colours: of vertices, of materials, and the pictures on surfaces. Points and lines, which can show no picture, take its
//! colours at their vertices.

use std::{cell::RefCell, collections::HashMap};

use glam::{Mat2, Vec2};
use groundline_engine::model::Texture;
use serde_json::Value as Json;

use super::{
    document::{Document, Material, Primitive, TextureUse},
    vertex::Vertices,
};
use crate::texture::{picture, png, shown};

/// Bytes of an image file, and its pixels.
const MAX_IMAGE_BYTES: u64 = 128 << 20;
const MAX_PIXELS: u32 = 16_384;

/// Finds the colours of primitives.
pub(super) struct Paint<'d> {
    document: &'d Document,
    /// Whether pictures stay as they are, since whoever draws them tints them with the colours of the vertices.
    keeps_pictures: bool,
    images: RefCell<HashMap<usize, Result<image::RgbaImage, String>>>,
    pictures: RefCell<HashMap<usize, Result<Texture, String>>>,
    /// Pictures in the colours that tint them.
    tinted: RefCell<HashMap<(usize, Tint), Texture>>,
    notes: RefCell<Vec<(&'static str, String)>>,
}

/// A colour that tints a picture, as linear light in steps of 1/255.
type Tint = [u8; 3];
/// Tinted pictures of one document.
const MAX_TINTED: usize = 64;

/// A picture with a place in it for each vertex.
pub(super) type Pictured = (Texture, Vec<[f32; 2]>);

impl<'d> Paint<'d> {
    pub fn new(document: &'d Document, keeps_pictures: bool) -> Self {
        Self {
            document,
            keeps_pictures,
            images: RefCell::default(),
            pictures: RefCell::default(),
            tinted: RefCell::default(),
            notes: RefCell::default(),
        }
    }

    fn note(&self, code: &'static str, message: &str) {
        let mut notes = self.notes.borrow_mut();
        if !notes.iter().any(|(c, m)| *c == code && m == message) {
            notes.push((code, message.into()));
        }
    }

    fn material(&self, primitive: &Primitive) -> Option<&'d Material> {
        self.document.root.materials.get(primitive.material?)
    }

    /// The picture on the surfaces of a primitive; `None` when there is none that can be shown.
    pub fn picture(
        &self,
        primitive: &Primitive,
        held: &Vertices<'_>,
        count: usize,
    ) -> Result<Option<Pictured>, String> {
        let Some(pbr) = self.material(primitive).map(|m| &m.pbr_metallic_roughness) else { return Ok(None) };
        let Some(usage) = &pbr.base_color_texture else { return Ok(None) };
        let Some(texture) = self.document.root.textures.get(usage.index) else { return Ok(None) };
        let Some(source) = texture.image() else {
            let by = if texture.extensions.get("EXT_texture_avif").is_some() { "AVIF" } else { "no known kind" };
            let message = format!("pictures of {by} are not read; their surfaces have the base colour");
            self.note("texture_left_out", &message);
            return Ok(None);
        };
        let transform = Placing::of(usage);
        let set = transform.set.unwrap_or(usage.tex_coord);
        let Some(places) = held.vectors::<2>(&format!("TEXCOORD_{set}"))? else { return Ok(None) };
        let mut pictures = self.pictures.borrow_mut();
        let found = pictures.entry(source).or_insert_with(|| self.bytes(source).and_then(picture));
        let Ok(texture) = found else { return Ok(None) };
        if places.len() != count {
            return Err(format!("TEXCOORD_{set} does not hold one place a vertex"));
        }
        let factor = pbr.base_color_factor.map_or([1.0; 3], |[r, g, b, _]| [r, g, b]);
        let tint = if self.keeps_pictures { Some([255; 3]) } else { self.tint(factor, held)? };
        let texture = match tint {
            Some(tint) if tint != [255; 3] => self.tinted(source, tint).unwrap_or_else(|| {
                self.note("texture_factor", "pictures in more colours than can be kept are shown as they are");
                texture.clone()
            }),
            Some(_) => texture.clone(),
            None => {
                let message =
                    "pictures are shown as they are, without the colours of the vertices that are to tint them";
                self.note("texture_vertex_colours", message);
                texture.clone()
            }
        };
        Ok(Some((texture, places.into_iter().map(|uv| transform.apply(uv)).collect())))
    }

    /// What a picture is tinted with: the colour of the material and of the vertices; `None` where these differ.
    fn tint(&self, factor: [f64; 3], held: &Vertices<'_>) -> Result<Option<Tint>, String> {
        let step = |c: f64| (c.clamp(0.0, 1.0) * 255.0).round() as u8;
        let Some((numbers, width)) = held.numbers("COLOR_0")?.filter(|(_, width)| (3..=4).contains(width)) else {
            return Ok(Some(factor.map(step)));
        };
        let of = |c: &[f64]| std::array::from_fn(|k| step(factor[k] * c.get(k).copied().unwrap_or(1.0)));
        let mut all = numbers.chunks_exact(width).map(of);
        let first: Tint = all.next().unwrap_or([255; 3]);
        let is_near = |other: Tint| first.iter().zip(other).all(|(a, b)| a.abs_diff(b) <= 2);
        Ok(all.all(is_near).then_some(first))
    }

    /// A picture in a colour.
    fn tinted(&self, source: usize, tint: Tint) -> Option<Texture> {
        let mut tinted = self.tinted.borrow_mut();
        if let Some(known) = tinted.get(&(source, tint)) {
            return Some(known.clone());
        }
        if tinted.len() >= MAX_TINTED {
            return None;
        }
        let mut image = self.image(source).ok()?;
        let tables: [Vec<u8>; 3] = tint.map(|share| {
            let dim = |v: u8| srgb(linear(v) * f64::from(share) / 255.0);
            (0..=255).map(dim).collect()
        });
        for image::Rgba([r, g, b, _]) in image.pixels_mut() {
            for (value, table) in [r, g, b].into_iter().zip(&tables) {
                *value = table.get(usize::from(*value)).copied().unwrap_or(*value);
            }
        }
        let file = if image.pixels().all(|p| p.0[3] == 255) {
            let opaque = image::DynamicImage::ImageRgba8(image).into_rgb8();
            png(&opaque, opaque.width(), opaque.height(), image::ExtendedColorType::Rgb8)
        } else {
            png(&image, image.width(), image.height(), image::ExtendedColorType::Rgba8)
        };
        let texture = Texture::new(file.ok()?);
        tinted.insert((source, tint), texture.clone());
        Some(texture)
    }

    /// Colours of each vertex where they differ, and the colour of all where they do not.
    pub fn colours(
        &self,
        primitive: &Primitive,
        held: &Vertices<'_>,
        count: usize,
        takes_pictures: bool,
    ) -> Result<(Option<Vec<[u8; 4]>>, Option<[u8; 4]>), String> {
        let material = self.material(primitive);
        let factor = material.and_then(|m| {
            // The older way of materials keeps its colour elsewhere.
            let old =
                m.extensions.pointer("/KHR_materials_pbrSpecularGlossiness/diffuseFactor").and_then(Json::as_array);
            let old = old.and_then(|o| {
                Some([o.first()?.as_f64()?, o.get(1)?.as_f64()?, o.get(2)?.as_f64()?, o.get(3)?.as_f64()?])
            });
            m.pbr_metallic_roughness.base_color_factor.or(old)
        });
        let is_opaque = material.is_none_or(|m| m.alpha_mode.as_deref().unwrap_or("OPAQUE") != "BLEND");
        let base = factor.unwrap_or([1.0; 4]);
        let mut vertices: Option<Vec<[f64; 4]>> = None;
        if let Some((numbers, width)) = held.numbers("COLOR_0")? {
            if numbers.len() / width.max(1) != count || !(3..=4).contains(&width) {
                return Err("COLOR_0 does not hold one colour a vertex".into());
            }
            let four = |c: &[f64]| std::array::from_fn(|k| c.get(k).copied().unwrap_or(1.0));
            vertices = Some(numbers.chunks_exact(width).map(four).collect());
        }
        if let Some(texture) =
            material.and_then(|m| m.pbr_metallic_roughness.base_color_texture.as_ref()).filter(|_| takes_pictures)
            && let Some(source) = self.document.root.textures.get(texture.index).and_then(|t| t.image())
            && let Some(places) = held.vectors::<2>(&format!("TEXCOORD_{}", texture.tex_coord))?
        {
            let mut images = self.images.borrow_mut();
            let image = images.entry(source).or_insert_with(|| self.image(source));
            if let Ok(image) = image {
                let sampled: Vec<[f64; 4]> = places.iter().map(|uv| sample(image, *uv)).collect();
                vertices = Some(match vertices {
                    Some(own) => own.iter().zip(&sampled).map(|(a, b)| std::array::from_fn(|k| a[k] * b[k])).collect(),
                    None => sampled,
                });
            }
        }
        // Factors and vertex colours are linear light; what is stored here is sRGB.
        let shown = |c: [f64; 4]| {
            let [r, g, b, a] = c;
            [srgb(r), srgb(g), srgb(b), if is_opaque { 255 } else { (a.clamp(0.0, 1.0) * 255.0).round() as u8 }]
        };
        let each = vertices.filter(|v| v.len() == count);
        let each = each.map(|v| v.iter().map(|c| shown(std::array::from_fn(|k| c[k] * base[k]))).collect());
        Ok((each, factor.map(shown)))
    }

    fn image(&self, source: usize) -> Result<image::RgbaImage, String> {
        let mut reader = image::ImageReader::new(std::io::Cursor::new(shown(self.bytes(source)?)?));
        let mut limits = image::Limits::default();
        (limits.max_image_width, limits.max_image_height) = (Some(MAX_PIXELS), Some(MAX_PIXELS));
        reader.limits(limits);
        let decoded = reader.with_guessed_format().map_err(|e| e.to_string())?.decode().map_err(|e| e.to_string())?;
        Ok(decoded.to_rgba8())
    }

    fn bytes(&self, source: usize) -> Result<Vec<u8>, String> {
        let image = self.document.root.images.get(source).ok_or("there is no such image")?;
        match (&image.uri, image.buffer_view) {
            (Some(uri), _) => self.document.folder.read(uri, MAX_IMAGE_BYTES),
            (None, Some(view)) => Ok(self.document.view(view)?.to_vec()),
            _ => Err("it has no bytes".into()),
        }
    }

    /// What of the textures was not used.
    pub fn notes(&self) -> Vec<(&'static str, String)> {
        let mut notes = self.notes.borrow().clone();
        let images = self.images.borrow();
        if images.values().any(Result::is_ok) {
            notes.push((
                "texture_sampled",
                "of pictures on points and lines the colours at the vertices were taken".into(),
            ));
        }
        let pictures = self.pictures.borrow();
        let reasons =
            images.values().filter_map(|i| i.as_ref().err()).chain(pictures.values().filter_map(|p| p.as_ref().err()));
        if let Some(reason) = reasons.min() {
            notes.push(("texture_left_out", format!("pictures were left out: {reason}")));
        }
        notes
    }
}

/// How places are moved before they are looked up (KHR_texture_transform).
struct Placing {
    offset: Vec2,
    turn: Mat2,
    set: Option<usize>,
}

impl Placing {
    fn of(usage: &TextureUse) -> Self {
        let said = usage.extensions.get("KHR_texture_transform");
        let pair = |name: &str, usual: f32| {
            let list = said.and_then(|s| s.get(name));
            let at = |k: usize| list.and_then(|l| l.get(k)).and_then(Json::as_f64).map_or(usual, |n| n as f32);
            Vec2::new(at(0), at(1))
        };
        let angle = said.and_then(|s| s.get("rotation")).and_then(Json::as_f64).unwrap_or(0.0) as f32;
        let set = said.and_then(|s| s.get("texCoord")).and_then(Json::as_u64).map(|n| n as usize);
        // Counter-clockwise as it is seen, and v runs down.
        Self {
            offset: pair("offset", 0.0),
            turn: Mat2::from_angle(-angle) * Mat2::from_diagonal(pair("scale", 1.0)),
            set,
        }
    }

    fn apply(&self, uv: [f64; 2]) -> [f32; 2] {
        (self.offset + self.turn * Vec2::new(uv[0] as f32, uv[1] as f32)).to_array()
    }
}

/// The colour at a place of an image, which repeats, as linear light.
fn sample(image: &image::RgbaImage, [u, v]: [f64; 2]) -> [f64; 4] {
    let (width, height) = image.dimensions();
    let at = |t: f64, size: u32| {
        let t = if t.is_finite() { t - t.floor() } else { 0.0 };
        ((t * f64::from(size)) as u32).min(size.saturating_sub(1))
    };
    if width == 0 || height == 0 {
        return [1.0; 4];
    }
    let image::Rgba([r, g, b, a]) = *image.get_pixel(at(u, width), at(v, height));
    [linear(r), linear(g), linear(b), f64::from(a) / 255.0]
}

/// Linear light of a stored value.
fn linear(value: u8) -> f64 {
    let v = f64::from(value) / 255.0;
    if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
}

/// The stored value of linear light.
fn srgb(light: f64) -> u8 {
    let v = light.clamp(0.0, 1.0);
    let v = if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
    (v * 255.0).round() as u8
}
