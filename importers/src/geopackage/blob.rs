//! The geometry of a GeoPackage (OGC 12-128r18 section 2.1.3): a short header, then WKB.

use crate::feature::{Shape, wkb};

/// A geometry and the spatial reference system that it names itself.
#[derive(Debug)]
pub(super) struct Blob {
    pub srs_id: i32,
    pub shape: Shape,
}

/// Bytes of the envelope, by its indicator: none, x and y, with z, with m, with both.
const ENVELOPE_BYTES: [usize; 5] = [0, 32, 48, 48, 64];

/// Reads a geometry column's value; the error says what is wrong.
pub(super) fn read(bytes: &[u8]) -> Result<Blob, String> {
    let Some(([b'G', b'P', version, flags, id @ ..], rest)) = bytes.split_first_chunk::<8>() else {
        return Err("it is no GeoPackage geometry: it does not begin with GP".into());
    };
    if *version != 0 {
        return Err(format!("version {version} of the geometry header is not known"));
    }
    if flags & 0x20 != 0 {
        return Err("geometries of extended types are not read".into());
    }
    let srs_id = if flags & 1 == 1 { i32::from_le_bytes(*id) } else { i32::from_be_bytes(*id) };
    let indicator = usize::from(flags >> 1 & 7);
    let envelope = ENVELOPE_BYTES.get(indicator).ok_or_else(|| format!("envelope {indicator} does not exist"))?;
    let body = rest.get(*envelope..).ok_or("the geometry ends within its header")?;
    Ok(Blob { srs_id, shape: wkb::shape(body)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A point with the header's flags and as many bytes of envelope.
    pub(in super::super) fn point(flags: u8, envelope: usize) -> Vec<u8> {
        let mut bytes = vec![b'G', b'P', 0, flags];
        bytes.extend(if flags & 1 == 1 { 4549_i32.to_le_bytes() } else { 4549_i32.to_be_bytes() });
        bytes.resize(8 + envelope, 0);
        bytes.extend([1, 1, 0, 0, 0]);
        [500_000.0_f64, 4_000_000.0].iter().for_each(|n| bytes.extend(n.to_le_bytes()));
        bytes
    }

    #[test]
    fn envelopes_of_every_kind_are_passed_over() {
        for (flags, envelope) in [(1, 0), (0, 0), (3, 32), (5, 48), (7, 48), (9, 64)] {
            let blob = read(&point(flags, envelope)).unwrap();
            assert_eq!((blob.srs_id, blob.shape.points.len()), (4549, 1), "{flags}");
        }
    }

    #[test]
    fn other_headers_are_refused_with_a_reason() {
        for (bytes, word) in [
            (b"".to_vec(), "GP"),
            (b"SP\0\x01\0\0\0\0".to_vec(), "GP"),
            (b"GP\x01\x01\0\0\0\0".to_vec(), "version"),
            (point(0x21, 0), "extended"),
            (point(11, 64), "envelope"),
            (point(3, 0)[..20].to_vec(), "header"),
            (point(1, 0)[..20].to_vec(), "early"),
        ] {
            let reason = read(&bytes).unwrap_err();
            assert!(reason.contains(word), "{reason}");
        }
    }
}
