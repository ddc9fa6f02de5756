//! Payloads of a fixed layout, as small devices send them.

use super::payload::PayloadError;
use crate::model::{Field, Kind, Layout};

/// Value and time (as it stands there) of a message.
pub(super) fn decode(layout: &Layout, bytes: &[u8]) -> Result<(f64, Option<f64>), PayloadError> {
    let value = field(&layout.value, bytes)? * layout.scale + layout.plus;
    Ok((value, layout.time.map(|time| field(&time, bytes)).transpose()?))
}

/// The message of a value measured at `time_ms`; what does not fit is cut off at the end of its range.
pub(super) fn encode(layout: &Layout, value: f64, time_ms: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&layout.value, (value - layout.plus) / layout.scale, &mut bytes);
    if let Some(time) = layout.time {
        // Milliseconds where they have room, else seconds.
        let is_wide = time.kind.bytes() > 4;
        put(&time, if is_wide { time_ms as f64 } else { (time_ms as f64 / 1e3).floor() }, &mut bytes);
    }
    bytes
}

fn put(field: &Field, value: f64, bytes: &mut Vec<u8>) {
    let (from, count) = (usize::from(field.at), field.kind.bytes());
    bytes.resize(bytes.len().max(from + count), 0);
    let bits = match field.kind {
        Kind::Unsigned(_) => value.round() as u64,
        Kind::Signed(_) => (value.round() as i64).cast_unsigned(),
        Kind::Float(4) => u64::from((value as f32).to_bits()),
        Kind::Float(_) => value.to_bits(),
        Kind::Bit(bit) => {
            bytes[from] |= u8::from(value != 0.0) << bit;
            return;
        }
    };
    let all = bits.to_be_bytes();
    let part = &mut bytes[from..from + count];
    part.copy_from_slice(&all[8 - count..]);
    if field.is_little {
        part.reverse();
    }
}

fn field(field: &Field, bytes: &[u8]) -> Result<f64, PayloadError> {
    let from = usize::from(field.at);
    let part = bytes.get(from..from + field.kind.bytes());
    let part = part.ok_or_else(|| PayloadError::NothingAt(format!("byte {from} of {}: {field}", bytes.len())))?;
    // The highest byte first, so that the shift below is the same for both orders.
    let number = |sign: u8| {
        let fold = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        let start = if sign >= 0x80 { u64::MAX } else { 0 };
        if field.is_little { part.iter().rev().fold(start, fold) } else { part.iter().fold(start, fold) }
    };
    let highest = *(if field.is_little { part.last() } else { part.first() }).unwrap_or(&0);
    Ok(match field.kind {
        Kind::Unsigned(_) => number(0) as f64,
        Kind::Signed(_) => number(highest).cast_signed() as f64,
        Kind::Float(4) => f64::from(f32::from_bits(number(0) as u32)),
        Kind::Float(_) => f64::from_bits(number(0)),
        Kind::Bit(bit) => f64::from(part[0] >> bit & 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Payload;

    fn read(text: &str, bytes: &[u8]) -> Result<(f64, Option<f64>), String> {
        match Payload::parse(text) {
            Ok(Payload::Binary(layout)) => decode(&layout, bytes).map_err(|e| e.to_string()),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn numbers_of_every_kind_stand_where_the_layout_says() {
        let bytes = [0x01, 0x02, 0xFF, 0xFE, 0x80, 0x00, 0x00, 0x7F];
        for (text, wanted) in [
            ("binary:u8@1", 2.0),
            ("binary:u16be@0", 258.0),
            ("binary:u16le@0", 513.0),
            ("binary:i16be@2", -2.0),
            ("binary:i16le@2", -257.0),
            ("binary:i24be@4", -8_388_608.0),
            ("binary:u64be@0", 0x0102_FFFE_8000_007F_u64 as f64),
            ("binary:i8@2*0.5+3", 2.5),
            ("binary:bit7@4", 1.0),
            ("binary:bit0@4", 0.0),
        ] {
            assert_eq!(read(text, &bytes), Ok((wanted, None)), "{text}");
        }
        let mut floats = 1.5_f32.to_le_bytes().to_vec();
        floats.extend((-2.25_f64).to_be_bytes());
        assert_eq!(read("binary:f32le@0", &floats), Ok((1.5, None)));
        assert_eq!(read("binary:f64be@4;u8@4", &floats), Ok((-2.25, Some(192.0))));
        let error = read("binary:u32be@6", &bytes).expect_err("too short");
        assert!(error.contains("byte 6 of 8"), "{error}");
    }
}
