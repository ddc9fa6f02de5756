//! Properties of FlatGeobuf: pairs of a column's number and a value of that column's type.

use std::sync::Arc;

use groundline_engine::model::{SourceReport, Value};

/// A column of the header or of one feature.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub name: Arc<str>,
    kind: u8,
}

/// The columns of a table.
pub(super) fn columns<'a>(all: impl Iterator<Item = flatgeobuf::Column<'a>>) -> Vec<Column> {
    all.map(|column| Column { name: column.name().into(), kind: column.type_().0 }).collect()
}

/// The fields in `bytes`; the error says what is wrong.
pub(super) fn fields(
    bytes: &[u8],
    columns: &[Column],
    record: u64,
    report: &mut SourceReport,
) -> Result<Vec<(Arc<str>, Value)>, String> {
    let mut rest = bytes;
    let mut fields = Vec::new();
    // Some writers leave one byte after a last value of bytes.
    while rest.len() > 1 {
        let number = usize::from(u16::from_le_bytes(take(&mut rest)?));
        let column =
            columns.get(number).ok_or_else(|| format!("column {number} of {} does not exist", columns.len()))?;
        if let Some(value) = value(column, &mut rest, record, report)? {
            fields.push((column.name.clone(), value));
        }
    }
    Ok(fields)
}

/// The next value; `None` for one that has no place among the attributes.
fn value(column: &Column, rest: &mut &[u8], record: u64, report: &mut SourceReport) -> Result<Option<Value>, String> {
    let real = |n: f64| n.is_finite().then_some(Value::Real(n));
    Ok(match column.kind {
        0 => Some(Value::Int(i8::from_le_bytes(take(rest)?).into())),
        1 => Some(Value::Int(u8::from_le_bytes(take(rest)?).into())),
        2 => Some(Value::Bool(take::<1>(rest)? != [0])),
        3 => Some(Value::Int(i16::from_le_bytes(take(rest)?).into())),
        4 => Some(Value::Int(u16::from_le_bytes(take(rest)?).into())),
        5 => Some(Value::Int(i32::from_le_bytes(take(rest)?).into())),
        6 => Some(Value::Int(u32::from_le_bytes(take(rest)?).into())),
        7 => Some(Value::Int(i64::from_le_bytes(take(rest)?))),
        8 => {
            let whole = u64::from_le_bytes(take(rest)?);
            Some(i64::try_from(whole).map_or(Value::Text(whole.to_string()), Value::Int))
        }
        9 => real(f32::from_le_bytes(take(rest)?).into()),
        10 => real(f64::from_le_bytes(take(rest)?)),
        11..=13 => {
            let text = sized(rest)?;
            let text = std::str::from_utf8(text).map_err(|_| format!("column {} holds no UTF-8", column.name))?;
            Some(Value::Text(text.to_string()))
        }
        14 => {
            sized(rest)?;
            let message = format!("column {} holds bytes, which were left out", column.name);
            report.warn("binary_column", message, format!("record {record}"));
            None
        }
        other => return Err(format!("column {} is of type {other}, which does not exist", column.name)),
    })
}

/// Bytes with their count before them.
fn sized<'b>(rest: &mut &'b [u8]) -> Result<&'b [u8], String> {
    let count = u32::from_le_bytes(take(rest)?) as usize;
    let bytes = rest.get(..count).ok_or_else(|| format!("a value of {count} bytes, {} are left", rest.len()))?;
    *rest = &rest[count..];
    Ok(bytes)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], String> {
    let (word, after) = rest.split_first_chunk::<N>().ok_or("its properties end early")?;
    *rest = after;
    Ok(*word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: u8, bytes: &[u8]) -> Result<Option<Value>, String> {
        let columns = [Column { name: "a".into(), kind }];
        let bytes = [&[0, 0], bytes].concat();
        let mut report = SourceReport::default();
        let mut fields = fields(&bytes, &columns, 1, &mut report)?;
        Ok(fields.pop().map(|(_, value)| value))
    }

    #[test]
    fn every_type_is_read() {
        for (kind, bytes, wanted) in [
            (0, vec![0xff], Value::Int(-1)),
            (1, vec![0xff], Value::Int(255)),
            (2, vec![1], Value::Bool(true)),
            (3, (-300_i16).to_le_bytes().to_vec(), Value::Int(-300)),
            (4, 60_000_u16.to_le_bytes().to_vec(), Value::Int(60_000)),
            (5, (-7_i32).to_le_bytes().to_vec(), Value::Int(-7)),
            (6, u32::MAX.to_le_bytes().to_vec(), Value::Int(u32::MAX.into())),
            (7, i64::MIN.to_le_bytes().to_vec(), Value::Int(i64::MIN)),
            (8, u64::MAX.to_le_bytes().to_vec(), Value::Text(u64::MAX.to_string())),
            (9, 1.5_f32.to_le_bytes().to_vec(), Value::Real(1.5)),
            (10, 2.5_f64.to_le_bytes().to_vec(), Value::Real(2.5)),
            (11, [&6_u32.to_le_bytes()[..], "青岛".as_bytes()].concat(), Value::Text("青岛".into())),
            (13, [&4_u32.to_le_bytes()[..], b"2026"].concat(), Value::Text("2026".into())),
        ] {
            assert_eq!(read(kind, &bytes), Ok(Some(wanted)), "{kind}");
        }
        assert_eq!(read(10, &f64::NAN.to_le_bytes()), Ok(None));
        assert_eq!(read(14, &[2, 0, 0, 0, 1, 2]), Ok(None));
    }

    #[test]
    fn damage_is_told() {
        for (kind, bytes) in
            [(5, vec![1, 2]), (11, vec![9, 0, 0, 0, b'a']), (11, vec![1, 0, 0, 0, 0xff]), (15, vec![0])]
        {
            assert!(read(kind, &bytes).is_err(), "{kind}");
        }
        let mut report = SourceReport::default();
        assert!(fields(&[1, 0, 0], &[], 1, &mut report).is_err());
    }
}
