//! Pictures with a world file: JPEG with `.jgw`, PNG with `.pgw`, either with `.wld`.

use std::{
    io::{BufRead, Seek},
    path::Path,
};

use groundline_engine::model::{Class, SourceReport};
use image::{DynamicImage, ImageReader, Limits};

use crate::{
    Format, ImportError, Job, Kind, Options, Out, Probe,
    geotiff::{
        crs_from_prj,
        place::Affine,
        raster::{bad, world_file_beside},
        warp::PictureOut,
    },
};

/// Pixels of a picture; it is unpacked as a whole (up to 4 bytes a pixel).
const MAX_PIXELS: u64 = 150_000_000;

/// JPEG or PNG with a world file.
pub static FORMAT: Format = Format {
    name: "picture",
    title: "JPEG or PNG with world file",
    title_zh: "带坐标文件的 JPEG/PNG 影像",
    extensions: &["jpg", "jpeg", "png"],
    probe,
    read,
    memory_per_byte: 8.0,
};

fn world_file(path: &Path) -> Option<(Affine, std::path::PathBuf)> {
    world_file_beside(path, &["jgw", "jpgw", "jpegw", "pgw", "pngw", "wld"])
}

/// A picture without a world file is not a source: it shows something else than the ground.
fn probe(path: &Path, _options: &Options) -> Result<Option<Probe>, ImportError> {
    let Some((affine, world_file)) = world_file(path) else { return Ok(None) };
    let (columns, rows) = size(path)?;
    let mut probe = Probe {
        kind: Kind::Imagery,
        crs: None,
        crs_from: String::new(),
        crs_text: None,
        needs_crs: true,
        encoding: None,
        source_extent: Some(affine.extent(columns, rows)),
        records: Some(u64::from(columns) * u64::from(rows)),
        companions: vec![world_file],
        class: Some((Class::Imagery, "world file".into())),
    };
    crs_from_prj(path, &mut probe);
    Ok(Some(probe))
}

fn open(path: &Path) -> Result<ImageReader<impl BufRead + Seek + use<>>, ImportError> {
    let io = |source| ImportError::Io { path: path.into(), source };
    let mut reader = ImageReader::open(path).map_err(io)?.with_guessed_format().map_err(io)?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_PIXELS * 4 + (64 << 20));
    reader.limits(limits);
    Ok(reader)
}

fn size(path: &Path) -> Result<(u32, u32), ImportError> {
    let (columns, rows) = open(path)?.into_dimensions().map_err(|e| bad(path, "header", e.to_string()))?;
    if u64::from(columns) * u64::from(rows) > MAX_PIXELS {
        let reason = format!("{columns} x {rows} pixels are more than {MAX_PIXELS}; cut it into tiles");
        return Err(bad(path, "header", reason));
    }
    Ok((columns, rows))
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let Some((affine, _)) = world_file(job.path) else {
        return Err(ImportError::Missing {
            path: job.path.into(),
            missing: "the world file".into(),
            hint: "put a .jgw, .pgw or .wld with six numbers beside it".into(),
        });
    };
    let (columns, rows) = size(job.path)?;
    let picture = open(job.path)?.decode().map_err(|e| bad(job.path, "pixels", e.to_string()))?;
    out.progress(0.5);
    let mut placed = PictureOut::new(job, (columns, rows), affine, out, report)?;
    for row in 0..rows {
        placed.push(&row_of(&picture, row, columns))?;
        if row.is_multiple_of(256) {
            placed.out.progress(0.5 + 0.5 * row as f32 / rows as f32);
        }
    }
    placed.finish(job)
}

/// One row as three bytes a pixel; (0, 0, 0) where the picture is transparent, (1, 1, 1) where it is opaque black
/// beside an alpha channel.
fn row_of(picture: &DynamicImage, row: u32, columns: u32) -> Vec<u8> {
    let opaque = |rgb: [u8; 3]| if rgb == [0; 3] { [1; 3] } else { rgb };
    if let DynamicImage::ImageRgb8(rgb) = picture {
        let bytes = columns as usize * 3;
        return rgb.as_raw()[row as usize * bytes..][..bytes].to_vec();
    }
    let line = picture.crop_imm(0, row, columns, 1);
    if line.color().has_alpha() {
        let seen = |a: u8, rgb: [u8; 3]| if a < 128 { [0; 3] } else { opaque(rgb) };
        return line.to_rgba8().pixels().flat_map(|p| seen(p.0[3], [p.0[0], p.0[1], p.0[2]])).collect();
    }
    line.to_rgb8().into_raw()
}
