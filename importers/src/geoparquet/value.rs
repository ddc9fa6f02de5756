//! Values of Parquet columns as attributes.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, cast::AsArray, types::*};
use arrow_schema::{DataType, TimeUnit};
use chrono::{DateTime, SecondsFormat, Utc};
use groundline_engine::model::Value;
use serde_json::{Map, Value as Json, json};

/// Lists within lists; deeper ones are left out.
const MAX_DEPTH: usize = 8;

/// Adds the value of a row under `name`, the members of a group one by one as `name.member`. Lists and maps have no
/// column to stand in; they stay readable as JSON. What has no text form is added to `left_out`.
pub(super) fn add(
    name: &Arc<str>,
    array: &ArrayRef,
    row: usize,
    depth: usize,
    fields: &mut Vec<(Arc<str>, Value)>,
    left_out: &mut Vec<Arc<str>>,
) {
    if array.is_null(row) {
        return;
    }
    if let Some(group) = array.as_struct_opt()
        && depth < MAX_DEPTH
    {
        for (member, column) in group.fields().iter().zip(group.columns()) {
            let name: Arc<str> = format!("{name}.{}", member.name()).into();
            add(&name, column, row, depth + 1, fields, left_out);
        }
        return;
    }
    match json(array, row, depth) {
        Some(Json::Null) => {}
        Some(Json::Bool(b)) => fields.push((name.clone(), Value::Bool(b))),
        Some(Json::String(text)) => fields.push((name.clone(), Value::Text(text))),
        Some(Json::Number(n)) => {
            let value = match (n.as_i64(), n.as_f64()) {
                (Some(whole), _) => Value::Int(whole),
                (None, Some(real)) if !n.is_u64() => Value::Real(real),
                _ => Value::Text(n.to_string()),
            };
            fields.push((name.clone(), value));
        }
        Some(nested) => fields.push((name.clone(), Value::Text(nested.to_string()))),
        None => left_out.push(name.clone()),
    }
}

/// The value as JSON; `None` for types that have no text form. A number that is none is null.
fn json(array: &ArrayRef, row: usize, depth: usize) -> Option<Json> {
    if array.is_null(row) {
        return Some(Json::Null);
    }
    macro_rules! whole {
        ($kind:ty) => {
            json!(array.as_primitive_opt::<$kind>()?.value(row))
        };
    }
    let list = |values: ArrayRef| -> Option<Json> {
        let items = (0..values.len()).map(|i| json(&values, i, depth + 1));
        items.collect::<Option<Vec<_>>>().map(Json::Array)
    };
    Some(match array.data_type() {
        DataType::Null => Json::Null,
        DataType::Boolean => json!(array.as_boolean_opt()?.value(row)),
        DataType::Int8 => whole!(Int8Type),
        DataType::Int16 => whole!(Int16Type),
        DataType::Int32 => whole!(Int32Type),
        DataType::Int64 => whole!(Int64Type),
        DataType::UInt8 => whole!(UInt8Type),
        DataType::UInt16 => whole!(UInt16Type),
        DataType::UInt32 => whole!(UInt32Type),
        DataType::UInt64 => whole!(UInt64Type),
        DataType::Float16 => json!(f32::from(array.as_primitive_opt::<Float16Type>()?.value(row))),
        DataType::Float32 => whole!(Float32Type),
        DataType::Float64 => whole!(Float64Type),
        DataType::Utf8 => json!(array.as_string_opt::<i32>()?.value(row)),
        DataType::LargeUtf8 => json!(array.as_string_opt::<i64>()?.value(row)),
        DataType::Utf8View => json!(array.as_string_view_opt()?.value(row)),
        DataType::Decimal128(..) => {
            let text = array.as_primitive_opt::<Decimal128Type>()?.value_as_string(row);
            text.parse::<f64>().ok().map_or(Json::String(text), |number| json!(number))
        }
        DataType::Decimal256(..) => Json::String(array.as_primitive_opt::<Decimal256Type>()?.value_as_string(row)),
        DataType::Date32 => date(i64::from(array.as_primitive_opt::<Date32Type>()?.value(row)) * 86_400)?,
        DataType::Date64 => date(array.as_primitive_opt::<Date64Type>()?.value(row).div_euclid(1000))?,
        DataType::Timestamp(unit, zone) => {
            let micros = match unit {
                TimeUnit::Second => array.as_primitive_opt::<TimestampSecondType>()?.value(row).checked_mul(1_000_000),
                TimeUnit::Millisecond => {
                    array.as_primitive_opt::<TimestampMillisecondType>()?.value(row).checked_mul(1000)
                }
                TimeUnit::Microsecond => Some(array.as_primitive_opt::<TimestampMicrosecondType>()?.value(row)),
                TimeUnit::Nanosecond => {
                    Some(array.as_primitive_opt::<TimestampNanosecondType>()?.value(row).div_euclid(1000))
                }
            };
            let time = DateTime::<Utc>::from_timestamp_micros(micros?)?;
            let text = time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
            // Without a zone it is a local time, which no Z may follow.
            Json::String(if zone.is_some() { text } else { text.trim_end_matches('Z').to_string() })
        }
        _ if depth >= MAX_DEPTH => return None,
        DataType::List(_) => list(array.as_list_opt::<i32>()?.value(row))?,
        DataType::LargeList(_) => list(array.as_list_opt::<i64>()?.value(row))?,
        DataType::FixedSizeList(..) => list(array.as_fixed_size_list_opt()?.value(row))?,
        DataType::Struct(_) => {
            let group = array.as_struct_opt()?;
            let members = group.fields().iter().zip(group.columns());
            let members = members.map(|(field, column)| Some((field.name().clone(), json(column, row, depth + 1)?)));
            Json::Object(members.collect::<Option<Map<_, _>>>()?)
        }
        DataType::Map(..) => {
            let entries: ArrayRef = Arc::new(array.as_map_opt()?.value(row));
            list(entries)?
        }
        _ => return None,
    })
}

fn date(seconds: i64) -> Option<Json> {
    Some(json!(DateTime::<Utc>::from_timestamp(seconds, 0)?.date_naive().to_string()))
}
