//! Large inputs, written without holding them: each of about so many bytes, the same for the same number.

use std::{
    fmt::Write as _,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use las::{Builder, Color, Point, Transform, Vector, point::Format};
use tiff::{
    encoder::{
        TiffEncoder,
        colortype::{ColorType, Gray32Float, RGB8},
    },
    tags::Tag,
};

/// Where object `number` lies, in metres of EPSG:4549.
fn place(number: u64) -> (f64, f64) {
    (520_000.0 + (number % 3000) as f64 * 20.0, 3_990_000.0 + (number / 3000) as f64 * 20.0)
}

pub fn las(folder: &Path, bytes: u64) -> Result<PathBuf> {
    let path = folder.join("scan.las");
    let points = (bytes / 20) as u32;
    let mut header = vec![0_u8; 227];
    header[..4].copy_from_slice(b"LASF");
    header[24..26].copy_from_slice(&[1, 2]);
    header[94..96].copy_from_slice(&227_u16.to_le_bytes());
    header[96..100].copy_from_slice(&227_u32.to_le_bytes());
    header[105..107].copy_from_slice(&20_u16.to_le_bytes());
    header[107..111].copy_from_slice(&points.to_le_bytes());
    header[111..115].copy_from_slice(&points.to_le_bytes());
    let numbers =
        [0.01, 0.01, 0.01, 520_000.0, 3_990_000.0, 0.0, 530_000.0, 520_000.0, 4_000_000.0, 3_990_000.0, 100.0, 0.0];
    for (at, number) in (131..).step_by(8).zip(numbers) {
        header[at..at + 8].copy_from_slice(&f64::to_le_bytes(number));
    }
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    out.write_all(&header)?;
    for i in 0..points {
        let mut record = [0_u8; 20];
        let (x, y) = (i % 1_000_000, i / 1_000_000 * 1000 + i % 997);
        record[..4].copy_from_slice(&x.to_le_bytes());
        record[4..8].copy_from_slice(&y.to_le_bytes());
        record[8..12].copy_from_slice(&(i % 10_000).to_le_bytes());
        record[14] = 0b0000_1001;
        record[15] = 2;
        out.write_all(&record)?;
    }
    out.flush()?;
    Ok(path)
}

pub fn geojson(folder: &Path, bytes: u64) -> Result<PathBuf> {
    let path = folder.join("buildings.geojson");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    write!(out, "{{\"type\":\"FeatureCollection\",\"features\":[")?;
    let (mut written, mut number) = (0_u64, 0_u64);
    while written < bytes {
        let ((x, y), comma) = (place(number), if number == 0 { "" } else { "," });
        let feature = format!(
            "{comma}\n{{\"type\":\"Feature\",\"id\":{number},\"properties\":{{\"name\":\"house {number}\",\"height_m\":{}}},\"geometry\":{{\"type\":\"Polygon\",\"coordinates\":[[[{x},{y}],[{},{y}],[{},{}],[{x},{}],[{x},{y}]]]}}}}",
            number % 90 + 3,
            x + 9.5,
            x + 9.5,
            y + 9.5,
            y + 9.5
        );
        out.write_all(feature.as_bytes())?;
        written += feature.len() as u64;
        number += 1;
    }
    write!(out, "\n]}}")?;
    out.flush()?;
    Ok(path)
}

pub fn shapefile(folder: &Path, bytes: u64) -> Result<PathBuf> {
    const CONTENT: u64 = 4 + 32 + 8 + 4 + 5 * 16;
    const ROW: u64 = 1 + 12 + 40;
    let count = bytes / (8 + CONTENT + ROW);
    let create = |ending: &str| File::create(folder.join("buildings").with_extension(ending));
    let (mut shp, mut shx) = (BufWriter::with_capacity(1 << 20, create("shp")?), BufWriter::new(create("shx")?));
    let mut dbf = BufWriter::with_capacity(1 << 20, create("dbf")?);
    let head = |file_bytes: u64| {
        let mut head = vec![0_u8; 100];
        head[..4].copy_from_slice(&9994_i32.to_be_bytes());
        head[24..28].copy_from_slice(&((file_bytes / 2) as i32).to_be_bytes());
        head[28..32].copy_from_slice(&1000_i32.to_le_bytes());
        head[32..36].copy_from_slice(&5_i32.to_le_bytes());
        for (at, number) in [(36, 520_000.0), (44, 3_990_000.0), (52, 600_000.0), (60, 4_100_000.0)] {
            head[at..at + 8].copy_from_slice(&f64::to_le_bytes(number));
        }
        head
    };
    shp.write_all(&head(100 + count * (8 + CONTENT)))?;
    shx.write_all(&head(100 + count * 8))?;
    let mut table = vec![0_u8; 32];
    table[..4].copy_from_slice(&[3, 126, 1, 1]);
    table[4..8].copy_from_slice(&(count as u32).to_le_bytes());
    table[8..10].copy_from_slice(&97_u16.to_le_bytes());
    table[10..12].copy_from_slice(&(ROW as u16).to_le_bytes());
    for (name, kind, length) in [("height_m", b'N', 12), ("name", b'C', 40)] {
        let mut field = [0_u8; 32];
        field[..name.len()].copy_from_slice(name.as_bytes());
        (field[11], field[16]) = (kind, length);
        table.extend(field);
    }
    table.push(13);
    dbf.write_all(&table)?;
    for number in 0..count {
        let (x, y) = place(number);
        let offset = 50 + number * (8 + CONTENT) / 2;
        shx.write_all(&(offset as i32).to_be_bytes())?;
        shx.write_all(&((CONTENT / 2) as i32).to_be_bytes())?;
        shp.write_all(&(number as i32 + 1).to_be_bytes())?;
        shp.write_all(&((CONTENT / 2) as i32).to_be_bytes())?;
        shp.write_all(&5_i32.to_le_bytes())?;
        let (far_x, far_y) = (x + 9.5, y + 9.5);
        for number in [x, y, far_x, far_y] {
            shp.write_all(&number.to_le_bytes())?;
        }
        for number in [1_i32, 5, 0] {
            shp.write_all(&number.to_le_bytes())?;
        }
        for number in [x, y, x, far_y, far_x, far_y, far_x, y, x, y] {
            shp.write_all(&number.to_le_bytes())?;
        }
        write!(dbf, " {:>12}{:<40}", number % 90 + 3, format!("house {number}"))?;
    }
    dbf.write_all(&[26])?;
    shp.flush()?;
    shx.flush()?;
    dbf.flush()?;
    Ok(folder.join("buildings.shp"))
}

pub fn cityjsonseq(folder: &Path, bytes: u64) -> Result<PathBuf> {
    let path = folder.join("city.city.jsonl");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    writeln!(
        out,
        "{{\"type\":\"CityJSON\",\"version\":\"2.0\",\"transform\":{{\"scale\":[0.01,0.01,0.01],\"translate\":[520000,3990000,0]}},\"metadata\":{{\"referenceSystem\":\"https://www.opengis.net/def/crs/EPSG/0/4549\"}},\"CityObjects\":{{}},\"vertices\":[]}}"
    )?;
    let (mut written, mut number) = (0_u64, 0_u64);
    while written < bytes {
        let (x, y) = ((number % 3000) * 2000, (number / 3000) * 2000);
        let (far_x, far_y, z) = (x + 950, y + 950, 300 + number % 90 * 100);
        let feature = format!(
            "{{\"type\":\"CityJSONFeature\",\"id\":\"b{number}\",\"CityObjects\":{{\"b{number}\":{{\"type\":\"Building\",\"attributes\":{{\"name\":\"house {number}\"}},\"geometry\":[{{\"type\":\"Solid\",\"lod\":\"1.2\",\"boundaries\":[[[[0,3,2,1]],[[4,5,6,7]],[[0,1,5,4]],[[1,2,6,5]],[[2,3,7,6]],[[3,0,4,7]]]]}}]}}}},\"vertices\":[[{x},{y},0],[{far_x},{y},0],[{far_x},{far_y},0],[{x},{far_y},0],[{x},{y},{z}],[{far_x},{y},{z}],[{far_x},{far_y},{z}],[{x},{far_y},{z}]]}}\n"
        );
        out.write_all(feature.as_bytes())?;
        written += feature.len() as u64;
        number += 1;
    }
    out.flush()?;
    Ok(path)
}

/// The gabled houses of the sample crate as CityGML 2.0.
pub fn citygml(folder: &Path, bytes: u64) -> Result<PathBuf> {
    const HOUSE_BYTES: u64 = 3_700;
    Ok(groundline_sample::mass::city_gml(folder, (bytes / HOUSE_BYTES).max(1) as usize)?)
}

/// Bytes of a point of [`laz`], unpacked.
pub const LAZ_POINT_BYTES: u64 = 26;

/// LAZ of point format 2, whose size counts unpacked: 26 bytes a point. Points lie as a scanner's do, line after line.
pub fn laz(folder: &Path, bytes: u64) -> Result<PathBuf> {
    let path = folder.join("scan.laz");
    let mut builder = Builder::from((1, 2));
    builder.point_format = Format::new(2)?;
    builder.point_format.is_compressed = true;
    let scaled = |offset: f64| Transform { scale: 0.001, offset };
    builder.transforms = Vector { x: scaled(520_000.0), y: scaled(3_990_000.0), z: scaled(0.0) };
    let mut writer = las::Writer::from_path(&path, builder.into_header()?)?;
    const LINE: u64 = 4000;
    for number in 0..(bytes / LAZ_POINT_BYTES).max(1) {
        let (column, row) = (number % LINE, number / LINE);
        let z = (column as f64 * 0.01).sin() * 8.0 + (row as f64 * 0.007).cos() * 5.0 + (number % 7) as f64 * 0.01;
        let shade = ((number * 2_654_435_761) >> 20) as u16 & 0x3f00;
        writer.write_point(Point {
            x: 520_000.0 + column as f64 * 0.25,
            y: 3_990_000.0 + row as f64 * 0.25,
            z,
            color: Some(Color::new(0x5000 + shade, 0x6000 + shade, 0x5000)),
            ..Point::default()
        })?;
    }
    writer.close()?;
    Ok(path)
}

/// A GeoTIFF in EPSG:4549 of `side` × `side` pixels on a square of `size_m`, in strips of 64 rows.
fn geotiff<C: ColorType>(path: &Path, side: u32, size_m: f64, row: impl Fn(u32, &mut Vec<C::Inner>)) -> Result<()>
where
    [C::Inner]: tiff::encoder::TiffValue,
{
    let mut encoder = TiffEncoder::new_big(BufWriter::with_capacity(1 << 20, File::create(path)?))?;
    let mut image = encoder.new_image::<C>(side, side)?;
    image.rows_per_strip(64)?;
    let step = size_m / f64::from(side);
    let keys: [u16; 16] = [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 4549];
    let tags = image.encoder();
    tags.write_tag(Tag::ModelPixelScaleTag, &[step, step, 0.0][..])?;
    tags.write_tag(Tag::ModelTiepointTag, &[0.0, 0.0, 0.0, 520_000.0, 4_000_000.0, 0.0][..])?;
    tags.write_tag(Tag::GeoKeyDirectoryTag, &keys[..])?;
    let (mut strip, mut next) = (Vec::new(), 0);
    while image.next_strip_sample_count() > 0 {
        strip.clear();
        for _ in 0..image.next_strip_sample_count() / (u64::from(side) * C::SAMPLE_FORMAT.len() as u64) {
            row(next, &mut strip);
            next += 1;
        }
        image.write_strip(&strip)?;
    }
    image.finish()?;
    Ok(())
}

/// Side of a DEM for so many bytes, of which a quarter are its own: the orthophoto on it has twice as many pixels a side.
fn dem_side(bytes: u64) -> u32 {
    ((bytes as f64 / 16.0).sqrt() as u32).max(64)
}

/// A DEM and an orthophoto on it, in one folder: 10 000 and 20 000 pixels a side are 1 600 MB.
pub fn terrain(folder: &Path, bytes: u64) -> Result<PathBuf> {
    let inner = folder.join("terrain");
    std::fs::create_dir_all(&inner)?;
    let side = dem_side(bytes);
    let size_m = f64::from(side) * 0.5;
    geotiff::<Gray32Float>(&inner.join("dem.tif"), side, size_m, |row, out| {
        let y = row as f32;
        out.extend((0..side).map(|column| {
            let x = column as f32;
            60.0 + 40.0 * (x * 0.0011).sin() * (y * 0.0013).cos() + 3.0 * (x * 0.031 + y * 0.017).sin()
        }));
    })?;
    geotiff::<RGB8>(&inner.join("ortho.tif"), side * 2, size_m, |row, out| {
        for column in 0..side * 2 {
            let field = (column / 300).wrapping_mul(97) ^ (row / 300).wrapping_mul(57);
            let grain = ((column.wrapping_mul(0x9e37_79b9) ^ row.wrapping_mul(0x85eb_ca6b)) >> 28) as u8;
            out.extend([60 + (field % 90) as u8 + grain, 90 + (field % 60) as u8 + grain, 50 + grain]);
        }
    })?;
    Ok(inner)
}

/// A building of many storeys with walls as swept solids, in IFC4 with its place in EPSG:4549.
pub fn ifc(folder: &Path, bytes: u64) -> Result<PathBuf> {
    const STOREY_WALLS: u64 = 200;
    let path = folder.join("tower.ifc");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    let head = [
        "#1=IFCORGANIZATION($,'bench',$,$,$)",
        "#2=IFCSIUNIT(*,.LENGTHUNIT.,$,.METRE.)",
        "#3=IFCUNITASSIGNMENT((#2))",
        "#4=IFCCARTESIANPOINT((0.,0.,0.))",
        "#5=IFCAXIS2PLACEMENT3D(#4,$,$)",
        "#6=IFCGEOMETRICREPRESENTATIONCONTEXT($,'Model',3,1.E-05,#5,$)",
        "#7=IFCPROJECT('0000000000000000000001',$,'bench',$,$,$,$,(#6),#3)",
        "#8=IFCPROJECTEDCRS('EPSG:4549',$,$,$,$,$,#2)",
        "#9=IFCMAPCONVERSION(#6,#8,520000.,3990000.,10.,1.,0.,1.)",
        "#10=IFCLOCALPLACEMENT($,#5)",
        "#11=IFCBUILDING('0000000000000000000002',$,'tower',$,$,#10,$,$,.ELEMENT.,$,$,$)",
        "#12=IFCRELAGGREGATES('0000000000000000000003',$,$,$,#7,(#11))",
        "#13=IFCDIRECTION((0.,0.,1.))",
        "#14=IFCCARTESIANPOINT((5.,0.1))",
        "#15=IFCAXIS2PLACEMENT2D(#14,$)",
        "#16=IFCRECTANGLEPROFILEDEF(.AREA.,$,#15,10.,0.2)",
    ];
    writeln!(
        out,
        "ISO-10303-21;\nHEADER;\nFILE_DESCRIPTION((''),'2;1');\nFILE_NAME('','',(''),(''),'','','');\nFILE_SCHEMA(('IFC4'));\nENDSEC;\nDATA;\n{};",
        head.join(";\n")
    )?;
    let (mut written, mut next, mut storey) = (0_u64, 17_u64, 0_u64);
    while written < bytes {
        let (level, mut text) = (storey as f64 * 3.0, String::new());
        let here = next;
        writeln!(
            text,
            "#{here}=IFCBUILDINGSTOREY('{here:022}',$,'storey {storey}',$,$,#10,$,$,.ELEMENT.,{level:.1});"
        )?;
        next += 1;
        let mut walls = Vec::new();
        for wall in 0..STOREY_WALLS {
            let (point, place, local, solid, shape, product) = (next, next + 1, next + 2, next + 3, next + 4, next + 6);
            let (x, y) = ((wall % 20) as f64 * 12.0, (wall / 20) as f64 * 6.0);
            writeln!(
                text,
                "#{point}=IFCCARTESIANPOINT(({x:.1},{y:.1},{level:.1}));\n#{place}=IFCAXIS2PLACEMENT3D(#{point},$,$);\n#{local}=IFCLOCALPLACEMENT(#10,#{place});\n#{solid}=IFCEXTRUDEDAREASOLID(#16,#5,#13,2.8);\n#{shape}=IFCSHAPEREPRESENTATION(#6,'Body','SweptSolid',(#{solid}));\n#{}=IFCPRODUCTDEFINITIONSHAPE($,$,(#{shape}));\n#{product}=IFCWALL('{product:022}',$,'wall {wall}',$,$,#{local},#{},$,.SOLIDWALL.);",
                next + 5,
                next + 5
            )?;
            walls.push(format!("#{product}"));
            next += 7;
        }
        writeln!(
            text,
            "#{next}=IFCRELCONTAINEDINSPATIALSTRUCTURE('{next:022}',$,$,$,({}),#{here});\n#{}=IFCRELAGGREGATES('{:022}',$,$,$,#11,(#{here}));",
            walls.join(","),
            next + 1,
            next + 1
        )?;
        next += 2;
        out.write_all(text.as_bytes())?;
        written += text.len() as u64;
        storey += 1;
    }
    write!(out, "ENDSEC;\nEND-ISO-10303-21;\n")?;
    out.flush().context("the IFC file")?;
    Ok(path)
}
