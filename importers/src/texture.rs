//! The pictures of a model, from the files that it names beside itself.

use std::{collections::HashMap, io::Cursor, panic::catch_unwind, path::Path};

use groundline_engine::model::{SourceReport, Texture};

use crate::gltf::folder::Folder;

/// Bytes of one file.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// Bytes of a file of six numbers.
const MAX_WORLD_FILE_BYTES: u64 = 4096;
/// Bytes of files that are kept in memory, for objects that follow with the same picture.
const MAX_KEPT_BYTES: usize = 128 << 20;
/// Names that are remembered.
const MAX_NAMES: usize = 1_000_000;
/// Sides of a picture that is decoded, its pixels, and the bytes that decoding may take.
const MAX_SIDE: u32 = 16_384;
const MAX_PIXELS: u64 = 1 << 26;
const MAX_DECODED_BYTES: usize = 512 << 20;
/// Faults that are told one by one.
const MAX_FAULTS: usize = 100_000;

/// Reads pictures below the folder of a model, each once as long as it is remembered.
pub(crate) struct Pictures {
    folder: Folder,
    known: HashMap<String, Option<Texture>>,
    world_files: HashMap<String, Option<[f64; 6]>>,
    bytes: usize,
    faults: Vec<(String, String)>,
    /// Faults that were handed out by [`Pictures::take_fresh`].
    handed_out: usize,
}

impl Pictures {
    /// The pictures beside a model.
    pub fn beside(model: &Path) -> Self {
        Self {
            folder: Folder::of(model),
            known: HashMap::new(),
            world_files: HashMap::new(),
            bytes: 0,
            faults: Vec::new(),
            handed_out: 0,
        }
    }

    /// The picture that an address names; `None` for what is not there or no picture, which is told once.
    pub fn get(&mut self, address: &str) -> Option<Texture> {
        if let Some(known) = self.known.get(address) {
            return known.clone();
        }
        // Programs for Windows write their own separators.
        let picture = self.folder.read(&address.replace('\\', "/"), MAX_FILE_BYTES).and_then(picture);
        let picture = match picture {
            Ok(picture) => Some(picture),
            Err(reason) => {
                if self.faults.len() < MAX_FAULTS {
                    self.faults.push((address.to_owned(), reason));
                }
                None
            }
        };
        if self.bytes > MAX_KEPT_BYTES || self.known.len() >= MAX_NAMES {
            self.known.retain(|_, picture| picture.is_none());
            self.bytes = 0;
        }
        if self.known.len() < MAX_NAMES {
            self.bytes += picture.as_ref().map_or(0, |p| p.file().len());
            self.known.insert(address.to_owned(), picture.clone());
        }
        picture
    }

    /// The numbers of the file that says where on the ground a picture lies: `a.jgw` or `a.jpgw` beside `a.jpg`, else
    /// `a.wld`.
    pub fn world_file(&mut self, address: &str) -> Option<[f64; 6]> {
        if let Some(known) = self.world_files.get(address) {
            return *known;
        }
        let path = address.replace('\\', "/");
        let (stem, ending) = path.rsplit_once('.')?;
        let short: String = ending.chars().take(1).chain(ending.chars().last()).chain(['w']).collect();
        let names = [format!("{stem}.{short}"), format!("{path}w"), format!("{stem}.wld")];
        let found = names.iter().find_map(|name| {
            let text = String::from_utf8(self.folder.read(name, MAX_WORLD_FILE_BYTES).ok()?).ok()?;
            let numbers: Vec<f64> = text.split_ascii_whitespace().map_while(|part| part.parse().ok()).collect();
            <[f64; 6]>::try_from(numbers).ok().filter(|all| all.iter().all(|n| n.is_finite()))
        });
        if self.world_files.len() < MAX_NAMES {
            self.world_files.insert(address.to_owned(), found);
        }
        found
    }

    /// Addresses of pictures that cannot be had, and why, as far as this was not asked before: for an import that goes on from here.
    pub fn take_fresh(&mut self) -> Vec<(String, String)> {
        let fresh = self.faults.get(self.handed_out..).unwrap_or(&[]).to_vec();
        self.handed_out = self.faults.len();
        fresh
    }

    /// Takes what [`Pictures::take_fresh`] gave.
    pub fn restore(&mut self, missing: Vec<(String, String)>) {
        self.known.extend(missing.iter().map(|(address, _)| (address.clone(), None)));
        self.faults.extend(missing);
        self.handed_out = self.faults.len();
    }

    /// Tells of the pictures that could not be had since the last time.
    pub fn tell(&mut self, report: &mut SourceReport) {
        // Several threads may have asked for them.
        self.faults.sort_unstable();
        self.handed_out = 0;
        for (address, reason) in self.faults.drain(..) {
            let message = "pictures that cannot be had; their surfaces have a plain colour";
            report.warn("texture_missing", message, format!("{address:.100}: {reason}"));
        }
    }
}

/// Of the bytes of a file; `Err` for what is no picture that can be shown.
pub(crate) fn picture(file: Vec<u8>) -> Result<Texture, String> {
    let file = shown(file)?;
    let reader = image::ImageReader::new(Cursor::new(&file)).with_guessed_format().map_err(|e| e.to_string())?;
    reader.into_dimensions().map_err(|e| format!("no JPEG, PNG, WebP or KTX2 of Basis Universal: {e}"))?;
    Ok(Texture::new(file))
}

/// The bytes of a picture as JPEG or PNG, which every viewer shows: WebP and KTX2 become PNG, all others stay as they are.
pub(crate) fn shown(file: Vec<u8>) -> Result<Vec<u8>, String> {
    match file.as_slice() {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => webp(&file),
        [0xAB, b'K', b'T', b'X', b' ', b'2', b'0', ..] => ktx2(&file),
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', ..] => Err("pictures of AVIF are not read".into()),
        _ => Ok(file),
    }
}

/// As PNG; smaller files that take longer gain nothing, since tiles hold the pictures anew.
pub(crate) fn png(pixels: &[u8], width: u32, height: u32, colour: image::ExtendedColorType) -> Result<Vec<u8>, String> {
    use image::{
        ImageEncoder,
        codecs::png::{CompressionType, FilterType, PngEncoder},
    };
    let mut file = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Adaptive);
    encoder.write_image(pixels, width, height, colour).map_err(|e| e.to_string())?;
    Ok(file)
}

fn check_size((width, height): (u32, u32)) -> Result<(), String> {
    let is_fit = (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height);
    let is_fit = is_fit && u64::from(width) * u64::from(height) <= MAX_PIXELS;
    if is_fit { Ok(()) } else { Err(format!("a picture of {width} × {height}")) }
}

fn webp(file: &[u8]) -> Result<Vec<u8>, String> {
    let bad = |error: image_webp::DecodingError| format!("a damaged WebP: {error}");
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(file)).map_err(bad)?;
    let (width, height) = decoder.dimensions();
    check_size((width, height))?;
    decoder.set_memory_limit(MAX_DECODED_BYTES);
    let mut pixels = vec![0; decoder.output_buffer_size().ok_or("a picture that is too large")?];
    decoder.read_image(&mut pixels).map_err(bad)?;
    let colour = if decoder.has_alpha() { image::ExtendedColorType::Rgba8 } else { image::ExtendedColorType::Rgb8 };
    png(&pixels, width, height, colour)
}

/// Basis Universal in its container (Khronos KTX 2.0): ETC1S and UASTC.
fn ktx2(file: &[u8]) -> Result<Vec<u8>, String> {
    let (width, height) = checked_ktx2(file)?;
    // The library indexes by what the file says; a picture is no reason to lose its model.
    let decoded = catch_unwind(|| {
        let texture = basisu::Transcoder::new(file)?;
        if !matches!(texture.source_format(), basisu::SourceFormat::Etc1s | basisu::SourceFormat::UastcLdr) {
            return Err(basisu::Error::UnsupportedFeature("neither ETC1S nor UASTC"));
        }
        let flags = basisu::DecodeFlags::NONE;
        Ok::<_, basisu::Error>((texture.transcode(0, basisu::TargetFormat::Rgba32, flags)?, texture.has_alpha()))
    });
    let (mut pixels, has_alpha) = match decoded {
        Ok(Ok(decoded)) => decoded,
        Ok(Err(error)) => return Err(format!("a KTX2 that cannot be read: {error:?}")),
        Err(_) => return Err("a damaged KTX2".into()),
    };
    if has_alpha {
        return png(&pixels, width, height, image::ExtendedColorType::Rgba8);
    }
    let mut count = 0;
    for pixel in 0..pixels.len() / 4 {
        pixels.copy_within(pixel * 4..pixel * 4 + 3, count);
        count += 3;
    }
    png(pixels.get(..count).unwrap_or(&[]), width, height, image::ExtendedColorType::Rgb8)
}

/// Width and height of a KTX2, when its header promises nothing that would cost more than they do: the library makes room
/// for what it reads there.
fn checked_ktx2(file: &[u8]) -> Result<(u32, u32), String> {
    const CUT_OFF: &str = "a KTX2 that is cut off";
    let number = |at: usize| {
        let bytes = file.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok());
        bytes.map(u32::from_le_bytes).ok_or(CUT_OFF)
    };
    let long = |at: usize| Ok::<u64, &str>(u64::from(number(at)?) | (u64::from(number(at + 4)?) << 32));
    let (width, height) = (number(20)?, number(24)?);
    check_size((width, height))?;
    let [format, depth, layers, faces, levels] = [number(12)?, number(28)?, number(32)?, number(36)?, number(40)?];
    if format != 0 || depth != 0 || layers > 1 || faces != 1 || levels > 32 || number(44)? > 2 {
        return Err("a KTX2 that is no single picture of Basis Universal".into());
    }
    let is_within = |offset: u64, length: u64| offset.checked_add(length).is_some_and(|end| end <= file.len() as u64);
    let mut is_sound = is_within(number(48)?.into(), number(52)?.into())
        && is_within(number(56)?.into(), number(60)?.into())
        && is_within(long(64)?, long(72)?);
    // 16 bytes for 16 pixels are the most.
    let most = (u64::from(width) + 3) * (u64::from(height) + 3);
    for level in 0..levels.max(1) as usize {
        let at = 80 + level * 24;
        is_sound &= is_within(long(at)?, long(at + 8)?) && long(at + 16)? <= most;
    }
    if is_sound { Ok((width, height)) } else { Err(CUT_OFF.into()) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A picture whose left half is red and whose right half is blue.
    pub fn halves() -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        let half = |x| image::Rgb(if x < 32 { [220, 0, 0] } else { [0, 0, 220] });
        image::RgbImage::from_fn(64, 64, |x, _| half(x)).write_to(&mut file, image::ImageFormat::Png).unwrap();
        file.into_inner()
    }

    #[test]
    fn pictures_are_read_once_and_only_below_the_folder() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("model");
        std::fs::create_dir_all(folder.join("appearance")).unwrap();
        std::fs::write(folder.join("appearance/a.png"), halves()).unwrap();
        std::fs::write(folder.join("notes.txt"), "no picture").unwrap();
        std::fs::write(outer.path().join("b.png"), halves()).unwrap();
        let mut pictures = Pictures::beside(&folder.join("model.gml"));
        let first = pictures.get("appearance/a.png").unwrap();
        assert_eq!(pictures.get("appearance\\a.png"), Some(first));
        for address in ["../b.png", "notes.txt", "none.png", "http://a.b/c.png", "../b.png"] {
            assert_eq!(pictures.get(address), None, "{address}");
        }
        let mut report = SourceReport::default();
        pictures.tell(&mut report);
        assert_eq!((report.warnings.len(), report.warnings[0].count), (1, 4), "each is told once");
        assert!(report.warnings[0].place.contains("b.png"));
    }

    #[test]
    fn other_pictures_become_png_and_damaged_ones_are_refused() {
        let pixels: Vec<u8> = (0..32 * 16 * 4).map(|i| (i * 7 % 251) as u8).collect();
        let mut file = Vec::new();
        let encoder = image_webp::WebPEncoder::new(&mut file);
        encoder.encode(&pixels, 32, 16, image_webp::ColorType::Rgba8).unwrap();
        let read = |file: &[u8]| image::load_from_memory(picture(file.to_vec()).unwrap().file()).unwrap();
        assert_eq!(read(&file).to_rgba8().into_raw(), pixels);
        assert_eq!(picture(halves()).unwrap().file(), halves());
        for length in [12, 20, 30, file.len() / 2] {
            assert!(picture(file[..length].to_vec()).is_err(), "{length}");
        }
        let mut container = vec![0xAB, b'K', b'T', b'X', b' ', b'2', b'0', 0xBB, b'\r', b'\n', 0x1A, b'\n'];
        assert!(picture(container.clone()).unwrap_err().contains("cut off"));
        for number in [37_u32, 1, 8, 8, 0, 0, 1, 1, 0] {
            container.extend(number.to_le_bytes());
        }
        assert!(picture(container.clone()).unwrap_err().contains("no single picture"));
        container[12..16].fill(0);
        assert!(picture(container.clone()).unwrap_err().contains("KTX2"));
        container[20..24].fill(0xFF);
        assert!(picture(container).unwrap_err().contains("4294967295"));
    }

    /// A gradient of 40 by 24 pixels, half of it transparent, written by Binomial's basisu 1.16.4 (`-ktx2`, `-ktx2 -uastc`).
    const ETC1S: &str = "q0tUWCAyMLsNChoKAAAAAAEAAAAoAAAAGAAAAAAAAAAAAAAAAQAAAAEAAAABAAAAaAAAADwAAACkAAAAJAAAAMgAAAAAAAAA\
        EwEAAAAAAADbAQAAAAAAACIAAAAAAAAAAAAAAAAAAAA8AAAAAAAAAAIAOACjAQIAAwMAAAAAAAAAAAAAAAA/AAAAAAAAAAAA\
        /////0AAPw8AAAAAAAAAAP////8fAAAAS1RYd3JpdGVyAEJhc2lzIFVuaXZlcnNhbCAxLjE1AAA+ABIAgQAAACwAAAA+AAAA\
        AAAAAAAAAAAAAAAAHQAAAB0AAAAFAAAAIMDkAAAYAgIguMlQAvcEAsQBIIRhAAjRYGdP9ycgQNwAABiEYZhbE1YeQAIBmAIA\
        AAAAAIGy6Pf/LgiSwWKx+ZtWe8+6JMnovLHYWPervcd/LwCCZCQykvVc895dADAfyUgkZUrmvXsAIJGM5DCSsuZzXt8jEBmY\
        mJyMSTNrpnMOAAjmBBAAIAgAwPfQzcEoNpAS9KWZqqqqqp8iiSRKvUHDxEEyMLEsHCLZuGgBwZyAAQAAYQBWCwuWduLfDvQA\
        EwIAAAAAIJB+mQKeSAwAIAxLUAgEaZuJye0GPBepDhAhQAAAAABSik+AANdyfikpCMF0QUlBhqcloiBkwPYJQUtBCIAsgDgA\
        s7eIEgU=";
    const UASTC: &str = "q0tUWCAyMLsNChoKAAAAAAEAAAAoAAAAGAAAAAAAAAAAAAAAAQAAAAEAAAACAAAAaAAAACwAAACUAAAAJAAAAAAAAAAAAAAA\
        AAAAAAAAAAC4AAAAAAAAAKUBAAAAAAAAwAMAAAAAAAAsAAAAAAAAAAIAKACmAQIAAwMAAAAAAAAAAAAAAAB/AwAAAAAAAAAA\
        /////x8AAABLVFh3cml0ZXIAQmFzaXMgVW5pdmVyc2FsIDEuMTUAACi1L/1gwALdDABEFJuBXYEACDChEDJUdpi63P6bkV2h\
        aBQwJRHbgV2BwCAw6ygtMG8Sm5FXgYA5MDUTGOmoivkD9bvoqv0CvYiAbQI56MiAZQGxutTVAKG5m4FfgQCIgqEQVaFolIJW\
        gcCggoFVoSitggFRgYC5ggjoKI/5E/YI6Giv/RK+OOgIhW0SOulIhWURsulI2dUQogjVFNWbINUt1TnVGOhokfkr9xjoqLH9\
        Kr8Y6EiHbSo7COiIh2Ups+iI29Uoo14hAIjfVkFolN8BXyHAoN8BX0Eord9UIYC53zh79zh6v3o7ebN4SI5eQWhUjoFWIcBg\
        joBWQShtjlYhgHmOCOioivl36Kr9dhjoiIBtdjh1sjh0osg71Dvb4DuBVkEo7TsDViGA+TsY6IiS+d/0GOjIsv3evAjoaIht\
        3jgI6KiIZd2wGOio3NXcoEKoISBSQKzGWz8DsKMUcxAgoSEKS8EDoZstfpfzQEakrmWQJX6/cTVnag/iKOpWfNyGnpmyGaf5\
        bMGxDFymn41+pj36p5oL61AHJD5icACAh2q4rQI=";

    #[test]
    fn basis_universal_is_decoded_as_by_its_own_tool() {
        let bytes = |text: &str| crate::gltf::folder::data_of(&format!(";base64,{text}")).unwrap();
        let sums = |file: &[u8]| {
            let image = image::load_from_memory(picture(file.to_vec()).unwrap().file()).unwrap().to_rgba8();
            assert_eq!(image.dimensions(), (40, 24));
            let sum = |k: usize| image.pixels().map(|p| u32::from(p.0[k])).sum::<u32>();
            ([sum(0), sum(1), sum(2), sum(3)], image.get_pixel(0, 0).0, image.get_pixel(30, 12).0)
        };
        // What `basisu -unpack` makes of them: by way of ETC1 (which has no alpha) and of ASTC, which lose nothing.
        let (etc1s, first, other) = sums(&bytes(ETC1S));
        assert_eq!(
            (&etc1s[..3], &first[..3], &other[..3]),
            (&[112_410, 110_406, 151_563][..], &[0, 0, 238][..], &[164, 123, 98][..])
        );
        let uastc = sums(&bytes(UASTC));
        assert_eq!(uastc, ([111_840, 110_160, 150_936, 179_520], [0, 0, 255, 255], [180, 119, 102, 119]));
        for whole in [bytes(ETC1S), bytes(UASTC)] {
            for at in 12..whole.len() {
                let mut damaged = whole.clone();
                damaged[at] ^= 0x5A;
                let _ = picture(damaged);
                let _ = picture(whole[..at].to_vec());
            }
        }
    }
}
