//! Pictures on the surfaces of tiles, with their smaller copies.

use bevy::{
    asset::RenderAssetUsages,
    image::{Image, ImageAddressMode, ImageFilterMode, ImageSampler, ImageSamplerDescriptor},
    prelude::default,
    render::render_resource::{Extent3d, TextureDimension, TextureFormat},
};

/// Largest side of a picture from a tile, pixels; larger ones are scaled down.
const MAX_PICTURE_SIDE: u32 = 2048;

/// A picture with its mip levels; `None` when it cannot be decoded.
pub fn decode_picture(bytes: &[u8], anisotropy: u16) -> Option<Image> {
    let mut reader = image::ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format().ok()?;
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(16_384);
    limits.max_image_height = Some(16_384);
    limits.max_alloc = Some(512 << 20);
    reader.limits(limits);
    let decoded = match reader.decode() {
        Ok(decoded) => decoded,
        Err(error) => {
            tracing::warn!("a picture of a tile is not readable: {error}");
            return None;
        }
    };
    let decoded = if decoded.width().max(decoded.height()) > MAX_PICTURE_SIDE {
        decoded.resize(MAX_PICTURE_SIDE, MAX_PICTURE_SIDE, image::imageops::FilterType::Triangle)
    } else {
        decoded
    };
    let rgba = decoded.into_rgba8();
    let (width, height) = rgba.dimensions();
    let (data, levels) = mip_chain(rgba.into_raw(), width, height);
    let mut image = Image::new_uninit(
        Extent3d { width, height, depth_or_array_layers: 1 },
        TextureDimension::D2,
        TextureFormat::Rgba8UnormSrgb,
        RenderAssetUsages::RENDER_WORLD,
    );
    image.data = Some(data);
    image.texture_descriptor.mip_level_count = levels;
    image.sampler = ImageSampler::Descriptor(ImageSamplerDescriptor {
        address_mode_u: ImageAddressMode::Repeat,
        address_mode_v: ImageAddressMode::Repeat,
        mag_filter: ImageFilterMode::Linear,
        min_filter: ImageFilterMode::Linear,
        mipmap_filter: ImageFilterMode::Linear,
        anisotropy_clamp: anisotropy,
        ..default()
    });
    Some(image)
}

/// All levels of a picture one after the other, each half the size of the one before, and their number.
/// Colours are averaged as light, not as sRGB numbers: far facades keep their brightness.
fn mip_chain(level: Vec<u8>, width: u32, height: u32) -> (Vec<u8>, u32) {
    let linear: Vec<f32> = (0..=255u8)
        .map(|byte| {
            let s = f32::from(byte) / 255.0;
            if s <= 0.04045 { s / 12.92 } else { ((s + 0.055) / 1.055).powf(2.4) }
        })
        .collect();
    let to_srgb = |light: f32| {
        let s = if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
        (s * 255.0 + 0.5) as u8
    };
    let mut data = level.clone();
    let (mut current, mut w, mut h, mut levels) = (level, width as usize, height as usize, 1);
    while w > 1 || h > 1 {
        let (next_w, next_h) = ((w / 2).max(1), (h / 2).max(1));
        let mut next = Vec::with_capacity(next_w * next_h * 4);
        for y in 0..next_h {
            for x in 0..next_w {
                for channel in 0..4 {
                    let at = |dx: usize, dy: usize| {
                        let (sx, sy) = ((x * 2 + dx).min(w - 1), (y * 2 + dy).min(h - 1));
                        current[(sy * w + sx) * 4 + channel]
                    };
                    let four = [at(0, 0), at(1, 0), at(0, 1), at(1, 1)];
                    next.push(if channel == 3 {
                        (four.iter().map(|&a| u32::from(a)).sum::<u32>() / 4) as u8
                    } else {
                        to_srgb(four.iter().map(|&c| linear[usize::from(c)]).sum::<f32>() * 0.25)
                    });
                }
            }
        }
        data.extend_from_slice(&next);
        (current, w, h) = (next, next_w, next_h);
        levels += 1;
    }
    (data, levels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mips_average_light_and_end_at_one_pixel() {
        let checker = [[0, 0, 0, 255], [255, 255, 255, 255], [255, 255, 255, 255], [0, 0, 0, 255]].concat();
        let (data, levels) = mip_chain(checker, 2, 2);
        assert_eq!((levels, data.len()), (2, 20));
        assert_eq!(data[16], 188, "half the light is 188 in sRGB, not 128");
        let (data, levels) = mip_chain(vec![9; 5 * 3 * 4], 5, 3);
        assert_eq!((levels, data.len()), (3, (15 + 2 + 1) * 4));
    }
}
