//! Shapefiles as departments deliver them: GBK attribute tables, ESRI projection text, and `.cpg` files of any taste.
//!
//! Own writer, since the bytes must not hold today's date (the table's header has a date) nor depend on a library's version.

use encoding_rs::GBK;
use glam::{DVec2, DVec3};

use crate::plane::millimetre;

/// Projection of every file of the city, as ESRI writes EPSG:4549.
pub(crate) const PRJ: &str = "PROJCS[\"CGCS2000_3_Degree_GK_CM_120E\",GEOGCS[\"GCS_China_Geodetic_Coordinate_System_2000\",DATUM[\"D_China_2000\",SPHEROID[\"CGCS2000\",6378137.0,298.257222101]],PRIMEM[\"Greenwich\",0.0],UNIT[\"Degree\",0.0174532925199433]],PROJECTION[\"Gauss_Kruger\"],PARAMETER[\"False_Easting\",500000.0],PARAMETER[\"False_Northing\",0.0],PARAMETER[\"Central_Meridian\",120.0],PARAMETER[\"Scale_Factor\",1.0],PARAMETER[\"Latitude_Of_Origin\",0.0],UNIT[\"Meter\",1.0]]";

/// Geometry kind of a file, by its code in the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Point = 1,
    Line = 3,
    Polygon = 5,
    PointZ = 11,
    LineZ = 13,
    PolygonZ = 15,
}

impl Kind {
    fn has_z(self) -> bool {
        self as i32 > 10
    }
}

/// Column of the attribute table.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    /// Text of so many bytes in GBK.
    Text(u8),
    /// Number of so many digits, so many behind the point.
    Number(u8, u8),
}

/// Value of a cell.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Number(f64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Number(number)
    }
}

/// A shapefile in the making.
pub(crate) struct ShapeFile {
    kind: Kind,
    columns: Vec<(&'static str, Column)>,
    shift: DVec2,
    records: Vec<Vec<u8>>,
    rows: Vec<u8>,
    min: DVec3,
    max: DVec3,
}

/// How the table says which encoding it has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EncodingMark {
    /// A `.cpg` file with this text.
    Cpg(&'static str),
    /// The language driver byte of the table's header (0x4D: GBK).
    Driver,
}

impl ShapeFile {
    /// Empty file; `shift` leads from the plan to EPSG:4549.
    pub fn new(kind: Kind, columns: &[(&'static str, Column)], shift: DVec2) -> Self {
        ShapeFile {
            kind,
            columns: columns.to_vec(),
            shift,
            records: Vec::new(),
            rows: Vec::new(),
            min: DVec3::INFINITY,
            max: DVec3::NEG_INFINITY,
        }
    }

    /// Adds a record: for points one part of one point, for polygons outer rings clockwise (the specification's way).
    pub fn add(&mut self, parts: &[Vec<DVec3>], row: &[Value]) {
        let parts: Vec<Vec<DVec3>> = parts.iter().map(|part| part.iter().map(|p| self.placed(*p)).collect()).collect();
        let points: Vec<DVec3> = parts.iter().flatten().copied().collect();
        let (mut min, mut max) = (DVec3::INFINITY, DVec3::NEG_INFINITY);
        for p in &points {
            min = min.min(*p);
            max = max.max(*p);
        }
        self.min = self.min.min(min);
        self.max = self.max.max(max);
        let mut bytes = (self.kind as i32).to_le_bytes().to_vec();
        match self.kind {
            Kind::Point | Kind::PointZ => {
                let p = points[0];
                put(&mut bytes, &[p.x, p.y]);
                if self.kind.has_z() {
                    put(&mut bytes, &[p.z, 0.0]);
                }
            }
            _ => {
                put(&mut bytes, &[min.x, min.y, max.x, max.y]);
                bytes.extend((parts.len() as i32).to_le_bytes());
                bytes.extend((points.len() as i32).to_le_bytes());
                let mut start = 0i32;
                for part in &parts {
                    bytes.extend(start.to_le_bytes());
                    start += part.len() as i32;
                }
                for p in &points {
                    put(&mut bytes, &[p.x, p.y]);
                }
                if self.kind.has_z() {
                    put(&mut bytes, &[min.z, max.z]);
                    for p in &points {
                        put(&mut bytes, &[p.z]);
                    }
                }
            }
        }
        self.records.push(bytes);
        self.rows.push(b' ');
        for ((_, column), value) in self.columns.iter().zip(row) {
            cell(&mut self.rows, *column, value);
        }
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    fn placed(&self, p: DVec3) -> DVec3 {
        DVec3::new(millimetre(p.x + self.shift.x), millimetre(p.y + self.shift.y), millimetre(p.z))
    }

    /// The files: ending and bytes.
    pub fn finish(self, mark: EncodingMark) -> Vec<(&'static str, Vec<u8>)> {
        let mut shp = Vec::new();
        let mut shx = Vec::new();
        let body: usize = self.records.iter().map(|r| r.len() + 8).sum();
        self.header(&mut shp, 100 + body);
        self.header(&mut shx, 100 + 8 * self.records.len());
        for (i, record) in self.records.iter().enumerate() {
            let offset = (shp.len() / 2) as i32;
            let length = (record.len() / 2) as i32;
            shp.extend((i as i32 + 1).to_be_bytes());
            shp.extend(length.to_be_bytes());
            shp.extend(record);
            shx.extend(offset.to_be_bytes());
            shx.extend(length.to_be_bytes());
        }
        let mut files = vec![("dbf", self.table(mark)), ("prj", PRJ.as_bytes().to_vec())];
        if let EncodingMark::Cpg(text) = mark {
            files.push(("cpg", text.as_bytes().to_vec()));
        }
        files.push(("shp", shp));
        files.push(("shx", shx));
        files
    }

    fn header(&self, out: &mut Vec<u8>, length: usize) {
        out.extend(9994i32.to_be_bytes());
        out.extend([0; 20]);
        out.extend(((length / 2) as i32).to_be_bytes());
        out.extend(1000i32.to_le_bytes());
        out.extend((self.kind as i32).to_le_bytes());
        let (min, max) = if self.records.is_empty() { (DVec3::ZERO, DVec3::ZERO) } else { (self.min, self.max) };
        put(out, &[min.x, min.y, max.x, max.y]);
        let z = if self.kind.has_z() { [min.z, max.z] } else { [0.0, 0.0] };
        put(out, &z);
        put(out, &[0.0, 0.0]);
    }

    fn table(&self, mark: EncodingMark) -> Vec<u8> {
        let width = |c: Column| match c {
            Column::Text(n) | Column::Number(n, _) => n,
        };
        let row: usize = 1 + self.columns.iter().map(|(_, c)| usize::from(width(*c))).sum::<usize>();
        let mut out = vec![0x03, 126, 3, 31];
        out.extend((self.records.len() as u32).to_le_bytes());
        out.extend(((32 + 32 * self.columns.len() + 1) as u16).to_le_bytes());
        out.extend((row as u16).to_le_bytes());
        out.extend([0; 17]);
        out.push(if matches!(mark, EncodingMark::Driver) { 0x4d } else { 0 });
        out.extend([0; 2]);
        for (name, column) in &self.columns {
            let mut title = GBK.encode(name).0.into_owned();
            title.resize(11, 0);
            out.extend(title);
            let (letter, width, decimals) = match column {
                Column::Text(n) => (b'C', *n, 0),
                Column::Number(n, d) => (b'N', *n, *d),
            };
            out.extend([letter, 0, 0, 0, 0, width, decimals]);
            out.extend([0; 14]);
        }
        out.push(0x0d);
        out.extend(&self.rows);
        out.push(0x1a);
        out
    }
}

fn put(out: &mut Vec<u8>, values: &[f64]) {
    for v in values {
        out.extend(v.to_le_bytes());
    }
}

fn cell(out: &mut Vec<u8>, column: Column, value: &Value) {
    match (column, value) {
        (Column::Text(width), Value::Text(text)) => {
            let mut bytes = Vec::new();
            for c in text.chars() {
                let mut buffer = [0; 4];
                let more = GBK.encode(c.encode_utf8(&mut buffer)).0.into_owned();
                // a character is never cut in half
                if bytes.len() + more.len() > usize::from(width) {
                    break;
                }
                bytes.extend(more);
            }
            bytes.resize(usize::from(width), b' ');
            out.extend(bytes);
        }
        (Column::Number(width, decimals), Value::Number(v)) => {
            let text = format!("{v:>0$.1$}", usize::from(width), usize::from(decimals));
            out.extend(&text.as_bytes()[..usize::from(width)]);
        }
        (Column::Text(width) | Column::Number(width, _), _) => out.extend(vec![b' '; usize::from(width)]),
    }
}

/// Ring as shapefiles want it: closed, outer rings clockwise, holes counter-clockwise.
pub(crate) fn ring(points: &[DVec2], is_hole: bool, z: f64) -> Vec<DVec3> {
    let counter = crate::plane::area(points) > 0.0;
    let mut ring: Vec<DVec3> = points.iter().map(|p| p.extend(z)).collect();
    if counter != is_hole {
        ring.reverse();
    }
    ring.push(ring[0]);
    ring
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapefile_crate_reads_it_back() {
        let columns = [("名称", Column::Text(9)), ("高度", Column::Number(8, 1))];
        let mut file = ShapeFile::new(Kind::Polygon, &columns, DVec2::new(1000.0, 2000.0));
        let square = [DVec2::ZERO, DVec2::X, DVec2::ONE, DVec2::Y];
        file.add(&[ring(&square, false, 0.0)], &["海湾中心大厦".into(), 12.34.into()]);
        let dir = tempfile::tempdir().unwrap();
        for (ending, bytes) in file.finish(EncodingMark::Driver) {
            std::fs::write(dir.path().join("a.").with_extension(ending), bytes).unwrap();
        }
        let mut reader = shapefile::Reader::from_path(dir.path().join("a.shp")).unwrap();
        let all: Vec<_> = reader.iter_shapes_and_records().collect::<Result<_, _>>().unwrap();
        assert_eq!(all.len(), 1);
        let shapefile::Shape::Polygon(polygon) = &all[0].0 else { panic!("not a polygon") };
        assert_eq!(polygon.bbox().max.x, 1001.0);
        assert!(matches!(polygon.rings()[0], shapefile::PolygonRing::Outer(_)));
        let Some(dbase::FieldValue::Character(Some(name))) = all[0].1.get("名称") else { panic!("no name") };
        assert_eq!(name, "海湾中心");
        assert_eq!(all[0].1.get("高度"), Some(&dbase::FieldValue::Numeric(Some(12.3))));
    }
}
