//! Many questions in one request: what nearest hydrant each building has, what lies along each street.

use std::{borrow::Cow, io::Write, sync::Arc, time::Instant};

use axum::{
    body::Bytes,
    extract::{Query as Parameters, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use rustc_hash::FxHashMap;
use serde_json::{json, value::RawValue};

use super::{
    Hall, Refusal,
    answer::{ARROW, Asked, sent},
};
use crate::{
    query::{self, ArrowForm, ArrowWriter, Hit},
    store::StoreError,
};

/// Most bytes of questions in one request.
pub(super) const MOST_BYTES: usize = 2 << 20;
/// Most questions in one request.
const MOST_QUESTIONS: usize = 10_000;
/// What the definition says of it.
pub(super) const ABOUT: &str = "many questions, a JSON object with the parameters of one in each line, such as \
    {\"near\": [500000, 3950000], \"limit\": 1}; the answers in the same order, one in a line: \
    {\"question\": 0, \"hits\": […]} as f=json has them, or {\"question\": 0, \"error\": \"…\"}; with ?f=arrow \
    one Arrow table with the number of the question in each row";

/// `POST /query`: a question in each line, a JSON object with the parameters of `GET /query` (lists as arrays or with commas);
/// the hits come without their geometry. A line that is no question gets its reason, and the others their answers. One time limit is of all.
/// `?f=arrow` gives one table with the number of the question in each row.
pub(super) async fn questions(
    State(hall): State<Arc<Hall>>,
    Parameters(parameters): Parameters<FxHashMap<String, String>>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let bad = |reason: String| Refusal(StatusCode::BAD_REQUEST, reason);
    if let Some(name) = parameters.keys().find(|name| *name != "f") {
        return Err(bad(format!("{name:.60?} belongs into the questions; beside them stands f alone")));
    }
    let is_arrow = match parameters.get("f").map(String::as_str) {
        None | Some("json") => false,
        Some("arrow") => true,
        Some(other) => return Err(bad(format!("f={other:.40} is neither json nor arrow"))),
    };
    let text = std::str::from_utf8(&body).map_err(|e| bad(format!("the questions are not UTF-8: {e}")))?;
    let count = text.lines().count();
    if count == 0 {
        return Err(bad(format!("no question: {ABOUT}")));
    }
    if count > MOST_QUESTIONS {
        return Err(bad(format!("{count} questions at once; {MOST_QUESTIONS} are taken")));
    }
    let asker = Asker { hall: hall.clone(), until: Instant::now() + hall.options.answer_time };
    let write = move |out: &mut dyn Write| {
        // It was looked at before.
        let text = str::from_utf8(&body).unwrap_or_default();
        if is_arrow { asker.write_table(text, out) } else { asker.write_lines(text, out) }
    };
    let media = if is_arrow { ARROW } else { "application/x-ndjson" };
    let headers = [(header::CONTENT_TYPE, media), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, sent(&hall, write).await?).into_response())
}

fn io(source: std::io::Error) -> StoreError {
    StoreError::Io { path: "answer".into(), source }
}

/// Answers the questions of a request.
struct Asker {
    hall: Arc<Hall>,
    until: Instant,
}

impl Asker {
    /// An object in a line for each question.
    fn write_lines(&self, text: &str, out: &mut dyn Write) -> Result<(), StoreError> {
        let mut line = Vec::new();
        for (number, question) in text.lines().enumerate() {
            line.clear();
            write!(line, "{{\"question\":{number},\"hits\":[").map_err(io)?;
            let (mut is_first, mut is_begun) = (true, false);
            let answered = self.each_hit(question, &mut |hit| {
                if !std::mem::take(&mut is_first) {
                    line.push(b',');
                }
                hit.write_json(&mut line)?;
                // Each ends its line, which here goes on.
                line.pop();
                if line.len() > HELD_BYTES {
                    is_begun = true;
                    out.write_all(&line).map_err(io)?;
                    line.clear();
                }
                Ok(())
            });
            match answered {
                Ok(()) => line.extend_from_slice(b"]}\n"),
                // Hits that were sent already cannot be taken back.
                Err(Unanswered::Failed(error)) if is_begun => return Err(error),
                Err(error) => {
                    line.clear();
                    writeln!(line, "{}", json!({"question": number, "error": error.sentence()})).map_err(io)?;
                }
            }
            out.write_all(&line).map_err(io)?;
        }
        Ok(())
    }

    /// One table of all.
    fn write_table(&self, text: &str, out: &mut dyn Write) -> Result<(), StoreError> {
        let form = ArrowForm { by_question: true, geometry: false };
        let mut table = ArrowWriter::new(out, form, &serde_json::Value::Null)?;
        for (number, question) in (0..).zip(text.lines()) {
            let mut is_begun = false;
            let answered = self.each_hit(question, &mut |hit| {
                is_begun = true;
                table.push(number, hit)
            });
            match answered {
                Ok(()) => {}
                Err(Unanswered::Failed(error)) if is_begun => return Err(error),
                Err(error) => table.push_error(number, &error.sentence())?,
            }
        }
        table.finish()
    }

    fn each_hit(&self, question: &str, each: &mut dyn FnMut(&Hit) -> Result<(), StoreError>) -> Result<(), Unanswered> {
        let mut asked = Asked::read(&parameters(question)?)?;
        let city = match self.hall.city_now(asked.query.version) {
            Some(city) => city,
            None => self.hall.city_at(asked.query.version)?,
        };
        asked.has_layers(&city)?;
        if !asked.settle(&city)? {
            return Ok(());
        }
        asked.query.until = Some(self.until);
        let mut hits = query::run(&city, &asked.query)?;
        while let Some(hit) = hits.next_hit() {
            each(&hit?)?;
        }
        Ok(())
    }
}

/// Why a question has no answer.
enum Unanswered {
    Refused(Refusal),
    Failed(StoreError),
}

impl From<Refusal> for Unanswered {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for Unanswered {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl Unanswered {
    fn sentence(self) -> String {
        let Refusal(_, sentence) = match self {
            Self::Refused(refusal) => refusal,
            Self::Failed(error) => error.into(),
        };
        sentence
    }
}

/// Longest beginning of an answer that is held so that it can still become an error.
const HELD_BYTES: usize = 256 << 10;

/// A line as the parameters that `GET` would have.
fn parameters(line: &str) -> Result<FxHashMap<String, String>, Refusal> {
    let bad = |reason: String| Refusal(StatusCode::BAD_REQUEST, reason);
    let members: FxHashMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(line).map_err(|e| bad(format!("no JSON object with a question: {e}")))?;
    if let Some(name) = ["f", "crs"].into_iter().find(|name| members.contains_key(*name)) {
        return Err(bad(format!("{name} is not for many questions: it is one form and system for all")));
    }
    let text = |(name, value): (Cow<'_, str>, &RawValue)| match flat(value.get(), name == "within") {
        Some(text) => Ok((name.into_owned(), text)),
        None => Err(bad(format!("{name:.60?} is neither a text, a number nor a list of them"))),
    };
    members.into_iter().map(text).collect()
}

/// A JSON value as the text that `GET` would have.
fn flat(json: &str, may_be_object: bool) -> Option<String> {
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str(json).ok(),
        // A geometry, as GeoJSON has it.
        b'{' => may_be_object.then(|| json.to_owned()),
        b'[' => {
            let within = json[1..].strip_suffix(']')?;
            // Most are lists of numbers, which are read later.
            if within.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b',' | b'-' | b'+' | b'e' | b'E' | b' ')) {
                return Some(within.to_owned());
            }
            let words: Vec<Box<RawValue>> = serde_json::from_str(json).ok()?;
            let words = words.iter().map(|word| match word.get().as_bytes().first()? {
                b'[' | b'{' => None,
                _ => flat(word.get(), false),
            });
            Some(words.collect::<Option<Vec<_>>>()?.join(","))
        }
        b't' | b'f' | b'n' => None,
        _ => Some(json.to_owned()),
    }
}
