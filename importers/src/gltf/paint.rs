//! Colours: of vertices, of materials, and of the textures at the vertices.

use std::{cell::RefCell, collections::HashMap};

use serde_json::Value as Json;

use super::{
    document::{Document, Primitive},
    vertex::Vertices,
};

/// Bytes of an image file, and its pixels.
const MAX_IMAGE_BYTES: u64 = 128 << 20;
const MAX_PIXELS: u32 = 16_384;

/// Finds the colours of primitives.
pub(super) struct Paint<'d> {
    document: &'d Document,
    images: RefCell<HashMap<usize, Result<image::RgbaImage, String>>>,
}

impl<'d> Paint<'d> {
    pub fn new(document: &'d Document) -> Self {
        Self { document, images: RefCell::default() }
    }

    /// Colours of each vertex where they differ, and the colour of all where they do not.
    pub fn colours(
        &self,
        primitive: &Primitive,
        held: &Vertices<'_>,
        count: usize,
    ) -> Result<(Option<Vec<[u8; 4]>>, Option<[u8; 4]>), String> {
        let material = primitive.material.and_then(|m| self.document.root.materials.get(m));
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
        if let Some(texture) = material.and_then(|m| m.pbr_metallic_roughness.base_color_texture.as_ref())
            && let Some(source) = self.document.root.textures.get(texture.index).and_then(|t| t.source)
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
            let srgb = |v: f64| {
                let v = v.clamp(0.0, 1.0);
                let v = if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
                (v * 255.0).round() as u8
            };
            [srgb(r), srgb(g), srgb(b), if is_opaque { 255 } else { (a.clamp(0.0, 1.0) * 255.0).round() as u8 }]
        };
        let each = vertices.filter(|v| v.len() == count);
        let each = each.map(|v| v.iter().map(|c| shown(std::array::from_fn(|k| c[k] * base[k]))).collect());
        Ok((each, factor.map(shown)))
    }

    fn image(&self, source: usize) -> Result<image::RgbaImage, String> {
        let image = self.document.root.images.get(source).ok_or("there is no such image")?;
        let bytes = match (&image.uri, image.buffer_view) {
            (Some(uri), _) => self.document.folder.read(uri, MAX_IMAGE_BYTES)?,
            (None, Some(view)) => self.document.view(view)?.to_vec(),
            _ => return Err("it has no bytes".into()),
        };
        let mut reader = image::ImageReader::new(std::io::Cursor::new(bytes));
        let mut limits = image::Limits::default();
        (limits.max_image_width, limits.max_image_height) = (Some(MAX_PIXELS), Some(MAX_PIXELS));
        reader.limits(limits);
        let decoded = reader.with_guessed_format().map_err(|e| e.to_string())?.decode().map_err(|e| e.to_string())?;
        Ok(decoded.to_rgba8())
    }

    /// What of the textures was not used.
    pub fn notes(&self) -> Vec<(&'static str, String)> {
        let mut notes = Vec::new();
        let images = self.images.borrow();
        if images.values().any(Result::is_ok) {
            notes.push(("texture_sampled", "textures were taken as the colours at the vertices".to_owned()));
        }
        if let Some(Err(reason)) = images.values().find(|i| i.is_err()) {
            notes.push(("texture_left_out", format!("a texture was left out: {reason}")));
        }
        let extensions = self.document.root.extensions_required.iter();
        for extension in
            extensions.filter(|e| ["KHR_texture_basisu", "EXT_texture_webp", "EXT_texture_avif"].contains(&e.as_str()))
        {
            notes.push(("texture_left_out", format!("textures of {extension} were left out")));
        }
        notes
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
    let linear = |v: u8| {
        let v = f64::from(v) / 255.0;
        if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    };
    [linear(r), linear(g), linear(b), f64::from(a) / 255.0]
}
