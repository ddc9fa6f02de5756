//! What the worker says to the importer: frames of a kind, a length and that many bytes.
//!
//! The worker reads hostile files, so the importer trusts nothing that it says: every length is bounded before anything
//! is allocated, and every count is checked against the bytes that are there.

use std::io::{Read, Write};

use super::product::{Part, Product, Summary};

/// First bytes of the stream: name and version.
const MAGIC: &[u8; 8] = b"GLIFC\0\0\x01";
/// Largest frame, bytes: a mesh of four million triangles.
const MAX_FRAME_BYTES: u32 = 1 << 28;
/// Most bytes of one product's shape.
const MAX_SHAPE_BYTES: u64 = 1 << 29;
/// Most products of one file.
const MAX_PRODUCTS: u64 = 5_000_000;

const PRODUCT: u8 = 1;
const PART: u8 = 2;
const SUMMARY: u8 = 3;
const FAILURE: u8 = 4;

/// Writes the stream.
pub struct Writer<'a> {
    out: &'a mut dyn Write,
}

impl<'a> Writer<'a> {
    /// Starts a stream.
    pub fn new(out: &'a mut dyn Write) -> std::io::Result<Self> {
        out.write_all(MAGIC)?;
        Ok(Self { out })
    }

    fn frame(&mut self, kind: u8, payload: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(payload.len()).ok().filter(|l| *l <= MAX_FRAME_BYTES);
        let length = length.ok_or_else(|| std::io::Error::other("a shape is too large to hand over"))?;
        self.out.write_all(&[kind])?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(payload)
    }

    /// Writes a product and its shape.
    pub fn product(&mut self, product: &Product, parts: &[Part]) -> std::io::Result<()> {
        self.frame(PRODUCT, &serde_json::to_vec(product)?)?;
        for part in parts {
            let mut payload = Vec::with_capacity(12 + part.positions.len() * 24 + part.indices.len() * 4);
            payload.extend_from_slice(&part.rgba);
            payload.extend_from_slice(&(part.positions.len() as u32).to_le_bytes());
            payload.extend_from_slice(&(part.indices.len() as u32).to_le_bytes());
            part.positions.iter().flatten().for_each(|c| payload.extend_from_slice(&c.to_le_bytes()));
            part.indices.iter().for_each(|i| payload.extend_from_slice(&i.to_le_bytes()));
            self.frame(PART, &payload)?;
        }
        Ok(())
    }

    /// Ends the stream well.
    pub fn summary(&mut self, summary: &Summary) -> std::io::Result<()> {
        self.frame(SUMMARY, &serde_json::to_vec(summary)?)?;
        self.out.flush()
    }

    /// Ends the stream badly.
    pub fn failure(&mut self, reason: &str) -> std::io::Result<()> {
        self.frame(FAILURE, reason.as_bytes())?;
        self.out.flush()
    }
}

/// Reads a stream to its end. `waiting` is told before and after every read that may block. The error says what is wrong
/// with the stream, or what the worker or the sink said.
pub fn read(
    from: &mut dyn Read,
    waiting: &dyn Fn(bool),
    sink: &mut super::product::Sink<'_>,
) -> Result<Summary, String> {
    let mut take = |length: usize| -> Result<Vec<u8>, String> {
        waiting(true);
        let mut bytes = Vec::new();
        let outcome = from.take(length as u64).read_to_end(&mut bytes);
        waiting(false);
        match outcome {
            Ok(read) if read == length => Ok(bytes),
            Ok(_) => Err("the reader ended early".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    };
    if take(MAGIC.len())? != MAGIC {
        return Err("the reader is of another version, or no reader".into());
    }
    let mut current: Option<(Product, Vec<Part>)> = None;
    let (mut products, mut shape_bytes) = (0_u64, 0_u64);
    loop {
        let head = take(5)?;
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
        if length > MAX_FRAME_BYTES {
            return Err(format!("a frame of {length} bytes"));
        }
        let payload = take(length as usize)?;
        match head[0] {
            PART => {
                shape_bytes += u64::from(length);
                let Some((_, parts)) = &mut current else { return Err("a shape without a product".into()) };
                if shape_bytes > MAX_SHAPE_BYTES {
                    return Err(format!("a product of more than {} MiB", MAX_SHAPE_BYTES >> 20));
                }
                parts.push(part(&payload)?);
                continue;
            }
            PRODUCT | SUMMARY => {
                if let Some((product, parts)) = current.take() {
                    sink(product, parts)?;
                }
            }
            _ => {}
        }
        match head[0] {
            PRODUCT => {
                products += 1;
                shape_bytes = 0;
                if products > MAX_PRODUCTS {
                    return Err(format!("more than {MAX_PRODUCTS} products"));
                }
                let product = serde_json::from_slice(&payload).map_err(|e| format!("a product: {e}"))?;
                current = Some((product, Vec::new()));
            }
            SUMMARY => {
                let summary: Summary = serde_json::from_slice(&payload).map_err(|e| format!("the summary: {e}"))?;
                return match summary.products == products {
                    true => Ok(summary),
                    false => Err(format!("{} products announced, {products} received", summary.products)),
                };
            }
            FAILURE => return Err(String::from_utf8_lossy(&payload).chars().take(2000).collect()),
            other => return Err(format!("a frame of unknown kind {other}")),
        }
    }
}

fn part(payload: &[u8]) -> Result<Part, String> {
    let word = |at: usize| -> Option<u32> { Some(u32::from_le_bytes(payload.get(at..at + 4)?.try_into().ok()?)) };
    let (Some(rgba), Some(vertices), Some(count)) = (payload.get(..4), word(4), word(8)) else {
        return Err("a shape without a head".into());
    };
    let positions_end = 12 + vertices as usize * 24;
    if payload.len() != positions_end + count as usize * 4 {
        return Err("a shape whose counts do not fit its bytes".into());
    }
    let coordinate = |bytes: &[u8]| bytes.try_into().map_or(f64::NAN, f64::from_le_bytes);
    let positions: Vec<[f64; 3]> = payload[12..positions_end]
        .chunks_exact(24)
        .map(|p| [coordinate(&p[..8]), coordinate(&p[8..16]), coordinate(&p[16..])])
        .collect();
    let indices: Vec<u32> =
        payload[positions_end..].chunks_exact(4).map(|b| b.try_into().map_or(u32::MAX, u32::from_le_bytes)).collect();
    let is_sound = positions.iter().flatten().all(|c| c.is_finite())
        && indices.len().is_multiple_of(3)
        && indices.iter().all(|i| *i < vertices);
    if !is_sound {
        return Err("a shape with indices or coordinates that cannot be".into());
    }
    Ok(Part { positions, indices, rgba: [rgba[0], rgba[1], rgba[2], rgba[3]] })
}

#[cfg(test)]
mod tests {
    use groundline_engine::model::Value;

    use super::*;

    fn sample() -> (Product, Vec<Part>) {
        let product = Product {
            express_id: 7,
            ifc_type: "IfcWall".into(),
            global_id: "2O2Fr$t4X7Zf8NOew3FNr2".into(),
            attributes: vec![("Pset_WallCommon.IsExternal".into(), Value::Bool(true))],
            ..Product::default()
        };
        let part = Part {
            positions: vec![[0.0, 0.1, 4e6], [1.0, 0.0, 4e6], [0.0, 1.0, 4e6]],
            indices: vec![0, 1, 2],
            rgba: [1, 2, 3, 40],
        };
        (product, vec![part])
    }

    fn stream() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes).unwrap();
        let (product, parts) = sample();
        writer.product(&product, &parts).unwrap();
        writer.summary(&Summary { products: 1, ..Summary::default() }).unwrap();
        bytes
    }

    fn receive(mut bytes: &[u8]) -> Result<Vec<(Product, Vec<Part>)>, String> {
        let mut got = Vec::new();
        read(&mut bytes, &|_| {}, &mut |product, parts| {
            got.push((product, parts));
            Ok(())
        })?;
        Ok(got)
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(receive(&stream()).unwrap(), [sample()]);
    }

    #[test]
    fn no_damage_of_the_stream_is_taken_for_data() {
        let whole = stream();
        for length in 0..whole.len() {
            assert!(receive(&whole[..length]).is_err(), "cut to {length}");
        }
        let mut huge = whole.clone();
        huge[9..13].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(receive(&huge).unwrap_err().contains("a frame of 4294967295 bytes"));
        for at in 8..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                if let Ok(got) = receive(&damaged) {
                    // a changed coordinate or letter is beyond this check; a changed structure is not
                    assert_eq!((got.len(), got[0].1.len()), (1, 1), "byte {at} = {value}");
                    assert!(got[0].1[0].indices.iter().all(|i| *i < 3), "byte {at} = {value}");
                }
            }
        }
    }
}
