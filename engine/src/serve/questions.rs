//! Many questions in one request: what nearest hydrant each building has, what lies along each street.

use std::{collections::HashMap, io::Write, sync::Arc, time::Instant};

use axum::{
    body::Bytes,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::{
    Hall, Refusal,
    answer::{Asked, sent},
};
use crate::{query, store::StoreError};

/// Most bytes of questions in one request.
pub(super) const MOST_BYTES: usize = 2 << 20;
/// Most questions in one request.
const MOST_QUESTIONS: usize = 10_000;
/// What the definition says of it.
pub(super) const ABOUT: &str = "many questions, a JSON object with the parameters of one in each line, such as \
    {\"near\": [500000, 3950000], \"limit\": 1}; the answers in the same order, one in a line: \
    {\"question\": 0, \"hits\": […]} as f=json has them, or {\"question\": 0, \"error\": \"…\"}";

/// `POST /query`: a question in each line, a JSON object with the parameters of `GET /query` (lists as arrays or with commas);
/// the hits come without their geometry. A line that is no question gets its reason, and the others their answers. One time limit is of all.
pub(super) async fn questions(State(hall): State<Arc<Hall>>, body: Bytes) -> Result<Response, Refusal> {
    let bad = |reason: String| Refusal(StatusCode::BAD_REQUEST, reason);
    let text = std::str::from_utf8(&body).map_err(|e| bad(format!("the questions are not UTF-8: {e}")))?;
    let count = text.lines().count();
    if count == 0 {
        return Err(bad(format!("no question: {ABOUT}")));
    }
    if count > MOST_QUESTIONS {
        return Err(bad(format!("{count} questions at once; {MOST_QUESTIONS} are taken")));
    }
    let (asker, until) = (hall.clone(), Instant::now() + hall.options.answer_time);
    let write = move |out: &mut dyn Write| {
        let io = |source| StoreError::Io { path: "answer".into(), source };
        // It was looked at before.
        let text = str::from_utf8(&body).unwrap_or_default();
        let mut line = Vec::new();
        for (number, question) in text.lines().enumerate() {
            line.clear();
            write!(line, "{{\"question\":{number},\"hits\":[").map_err(io)?;
            match hits(&asker, question, until, &mut line, out) {
                Ok(()) => line.extend_from_slice(b"]}\n"),
                // Hits that were sent already cannot be taken back.
                Err(Unanswered::Begun(error)) => return Err(error),
                Err(Unanswered::Refused(Refusal(_, sentence))) => {
                    line.clear();
                    writeln!(line, "{}", json!({"question": number, "error": sentence})).map_err(io)?;
                }
            }
            out.write_all(&line).map_err(io)?;
        }
        Ok(())
    };
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, sent(&hall, write).await?).into_response())
}

/// Why a line has no hits.
enum Unanswered {
    Refused(Refusal),
    Begun(StoreError),
}

impl<E: Into<Refusal>> From<E> for Unanswered {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

/// Longest beginning of an answer that is held so that it can still become an error.
const HELD_BYTES: usize = 256 << 10;

/// Appends the hits of a question to `line`; what is long goes to `out`.
fn hits(
    hall: &Hall,
    question: &str,
    until: Instant,
    line: &mut Vec<u8>,
    out: &mut dyn Write,
) -> Result<(), Unanswered> {
    let mut asked = Asked::read(&parameters(question)?)?;
    let city = match hall.city_now(asked.query.version) {
        Some(city) => city,
        None => hall.city_at(asked.query.version)?,
    };
    asked.has_layers(&city)?;
    if !asked.settle(&city)? {
        return Ok(());
    }
    asked.query.until = Some(until);
    let mut is_begun = false;
    for (number, found) in query::run(&city, &asked.query)?.enumerate() {
        let written = found.and_then(|found| {
            if number > 0 {
                line.push(b',');
            }
            query::write_json(line, &found)
        });
        if let Err(error) = written {
            return Err(if is_begun { Unanswered::Begun(error) } else { error.into() });
        }
        // Each ends its line, which here goes on.
        line.pop();
        if line.len() > HELD_BYTES {
            is_begun = true;
            let io = |source| Unanswered::Begun(StoreError::Io { path: "answer".into(), source });
            out.write_all(line).map_err(io)?;
            line.clear();
        }
    }
    Ok(())
}

/// A line as the parameters that `GET` would have.
fn parameters(line: &str) -> Result<HashMap<String, String>, Refusal> {
    let bad = |reason: String| Refusal(StatusCode::BAD_REQUEST, reason);
    let members: Map<String, Value> =
        serde_json::from_str(line).map_err(|e| bad(format!("no JSON object with a question: {e}")))?;
    if let Some(name) = ["f", "crs"].into_iter().find(|name| members.contains_key(*name)) {
        return Err(bad(format!("{name} is not for many questions: hits come as f=json has them")));
    }
    let word = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let text = |(name, value): (String, Value)| {
        let text = match &value {
            // A geometry, as GeoJSON has it.
            Value::Object(_) if name == "within" => Some(value.to_string()),
            Value::Array(list) => list.iter().map(word).collect::<Option<Vec<_>>>().map(|words| words.join(",")),
            one => word(one),
        };
        match text {
            Some(text) => Ok((name, text)),
            None => Err(bad(format!("{name:.60?} is neither a text, a number nor a list of them"))),
        }
    };
    members.into_iter().map(text).collect()
}
