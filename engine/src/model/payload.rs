//! How the payload of a message becomes a number: data of the register, as one text a sensor.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a payload becomes a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Payload {
    /// The payload is the number as text.
    Plain,
    /// The payload is JSON; the number stands at this pointer (RFC 6901), the time at the other if given.
    Json {
        /// Pointer to the value, such as `/v`.
        value: String,
        /// Pointer to the time (RFC 3339 text or milliseconds since 1970).
        time: Option<String>,
    },
    /// The payload is a SenML pack (RFC 8428): the last record of this name, or the last one.
    SenMl {
        /// Name, base name included.
        name: Option<String>,
    },
    /// The payload is of Eclipse Sparkplug B 3.0: the metric of this name.
    Sparkplug {
        /// Name of the metric, such as `Inputs/Pressure`.
        metric: String,
    },
    /// The payload is bytes of a fixed layout.
    Binary(Layout),
}

/// Where in the bytes of a payload the value stands: `value × scale + plus`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layout {
    /// The value.
    pub value: Field,
    /// What a raw value is multiplied by.
    pub scale: f64,
    /// What is added then.
    pub plus: f64,
    /// The time, seconds or finer since 1970 by its size; without it the arrival counts.
    pub time: Option<Field>,
}

/// A number among bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// What it is.
    pub kind: Kind,
    /// Whether its lowest byte comes first.
    pub is_little: bool,
    /// Its first byte, counted from 0.
    pub at: u16,
}

/// Kinds of numbers among bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Without a sign, of so many bytes (1 to 8).
    Unsigned(u8),
    /// Two's complement, of so many bytes (1 to 8).
    Signed(u8),
    /// IEEE 754, of 4 or 8 bytes.
    Float(u8),
    /// One bit of a byte, 0 the lowest.
    Bit(u8),
}

impl Kind {
    /// How many bytes it takes.
    pub fn bytes(self) -> usize {
        match self {
            Self::Unsigned(bytes) | Self::Signed(bytes) | Self::Float(bytes) => usize::from(bytes),
            Self::Bit(_) => 1,
        }
    }
}

impl Payload {
    /// Reads what a register says:
    ///
    /// - `plain`: the number as text;
    /// - `json` (the value at `/value`), `json:/v` or `/v`, each with `,/t` or `;/t` for the time behind;
    /// - `senml`, or `senml:NAME`;
    /// - `sparkplug:METRIC`;
    /// - `binary:KIND@BYTE`, with `*SCALE`, `+PLUS` or `-MINUS` and `;KIND@BYTE` for the time behind. A kind is `u`, `i` or `f` with its
    ///   bits and `le` or `be` (the usual one), or `bit0` to `bit7`: `binary:i16le@2*0.1-40;u32be@4`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (word, rest) = text.split_once([':', '：']).map_or((text, ""), |(word, rest)| (word.trim(), rest.trim()));
        match word.to_lowercase().as_str() {
            "plain" | "text" | "number" | "raw" | "文本" | "数值" | "纯文本" if rest.is_empty() => {
                Ok(Self::Plain)
            }
            "senml" => Ok(Self::SenMl { name: (!rest.is_empty()).then(|| rest.to_owned()) }),
            "sparkplug" if rest.is_empty() => Err("sparkplug wants the name of a metric: sparkplug:METRIC".into()),
            "sparkplug" => Ok(Self::Sparkplug { metric: rest.to_owned() }),
            "binary" | "二进制" => {
                Layout::parse(rest).map(Self::Binary).map_err(|e| format!("payload {text:?}: {e}"))
            }
            _ => Self::pointers(text),
        }
    }

    fn pointers(text: &str) -> Result<Self, String> {
        let is_json = text.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("json"));
        let pointers = if is_json { text[4..].trim_start_matches([':', '：', ' ']) } else { text };
        if !(pointers.is_empty() || pointers.starts_with('/')) {
            return Err(format!(
                "payload {text:?} is none of plain, a JSON pointer such as /v, senml, sparkplug:METRIC, binary:u16be@0"
            ));
        }
        let mut parts = pointers.split([',', ';', ' ', '|']).map(str::trim).filter(|part| !part.is_empty());
        let value = parts.next().unwrap_or("/value").to_owned();
        Ok(Self::Json { value, time: parts.next().map(str::to_owned) })
    }
}

impl Layout {
    fn parse(text: &str) -> Result<Self, String> {
        let (value, time) = text.split_once([';', ',']).map_or((text, None), |(value, time)| (value, Some(time)));
        let end = value.find(['*', '+', '-', ' ']).unwrap_or(value.len());
        let (field, mut rest) = value.split_at(end);
        let (mut scale, mut plus) = (1.0, 0.0);
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|v| v.is_finite());
        rest = rest.trim();
        if let Some(after) = rest.strip_prefix('*') {
            // The sign of an exponent is no sum.
            let sign = |(at, _): &(usize, char)| *at > 0 && !after[..*at].trim_end().ends_with(['e', 'E', '*']);
            let signs = after.char_indices().filter(|(_, c)| matches!(c, '+' | '-'));
            let end = signs.filter(|found| sign(found)).map(|(at, _)| at).next().unwrap_or(after.len());
            scale = number(&after[..end]).ok_or_else(|| format!("{:.40?} is no number", &after[..end]))?;
            rest = after[end..].trim();
        }
        if !rest.is_empty() {
            let (sign, after) = match (rest.strip_prefix('+'), rest.strip_prefix('-')) {
                (Some(after), _) => (1.0, after),
                (_, Some(after)) => (-1.0, after),
                _ => return Err(format!("{rest:.40?} is neither *SCALE, +PLUS nor -MINUS")),
            };
            plus = sign * number(after).ok_or_else(|| format!("{after:.40?} is no number"))?;
        }
        let time = time.map(Field::parse).transpose()?;
        Ok(Self { value: Field::parse(field)?, scale, plus, time })
    }
}

impl Field {
    fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:.40?} is no field such as u16be@0, i32le@4, f32@2 or bit3@1");
        let (kind, at) = text.trim().split_once('@').ok_or_else(bad)?;
        let at = at.trim().parse().map_err(|_| bad())?;
        let kind = kind.trim().to_lowercase();
        if let Some(bit) = kind.strip_prefix("bit") {
            let bit = bit.parse().ok().filter(|bit| *bit < 8).ok_or_else(bad)?;
            return Ok(Self { kind: Kind::Bit(bit), is_little: false, at });
        }
        let (word, is_little) = match kind.strip_suffix("le") {
            Some(word) => (word, true),
            None => (kind.strip_suffix("be").unwrap_or(&kind), false),
        };
        let bits: u8 = word.get(1..).and_then(|bits| bits.parse().ok()).ok_or_else(bad)?;
        let kind = match (word.as_bytes().first(), bits) {
            (Some(b'u'), 8..=64) if bits.is_multiple_of(8) => Kind::Unsigned(bits / 8),
            (Some(b'i'), 8..=64) if bits.is_multiple_of(8) => Kind::Signed(bits / 8),
            (Some(b'f'), 32 | 64) => Kind::Float(bits / 8),
            _ => return Err(bad()),
        };
        Ok(Self { kind, is_little, at })
    }
}

impl fmt::Display for Field {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.is_little { "le" } else { "be" };
        match self.kind {
            Kind::Unsigned(bytes) => write!(to, "u{}{order}@{}", bytes * 8, self.at),
            Kind::Signed(bytes) => write!(to, "i{}{order}@{}", bytes * 8, self.at),
            Kind::Float(bytes) => write!(to, "f{}{order}@{}", bytes * 8, self.at),
            Kind::Bit(bit) => write!(to, "bit{bit}@{}", self.at),
        }
    }
}

impl fmt::Display for Payload {
    /// As [`Payload::parse`] reads it.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => write!(to, "plain"),
            Self::Json { value, time: None } => write!(to, "json:{value}"),
            Self::Json { value, time: Some(time) } => write!(to, "json:{value},{time}"),
            Self::SenMl { name: None } => write!(to, "senml"),
            Self::SenMl { name: Some(name) } => write!(to, "senml:{name}"),
            Self::Sparkplug { metric } => write!(to, "sparkplug:{metric}"),
            Self::Binary(Layout { value, scale, plus, time }) => {
                write!(to, "binary:{value}")?;
                if (scale - 1.0).abs() > 0.0 {
                    write!(to, "*{scale}")?;
                }
                if *plus != 0.0 {
                    write!(to, "{plus:+}")?;
                }
                time.map_or(Ok(()), |time| write!(to, ";{time}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_register_says_is_read_and_written_the_same() {
        for text in [
            "plain",
            "json:/v",
            "json:/v,/t",
            "senml",
            "senml:urn:dev:1/temp",
            "sparkplug:Inputs/Pressure",
            "binary:u16be@0",
            "binary:i16le@2*0.1-40;u32be@4",
            "binary:f64le@8+3.5",
            "binary:bit3@1",
            "binary:u24be@0*0.00001",
        ] {
            let read = Payload::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(Payload::parse(&read.to_string()), Ok(read.clone()), "{text}");
            assert_eq!(read.to_string(), text);
        }
        let layout = |text: &str| match Payload::parse(text) {
            Ok(Payload::Binary(layout)) => layout,
            other => panic!("{text}: {other:?}"),
        };
        let one = layout("Binary: I16LE@2 * 1e-1 - 40 ; u32@4");
        assert_eq!(
            (one.value, one.scale, one.plus),
            (Field { kind: Kind::Signed(2), is_little: true, at: 2 }, 0.1, -40.0)
        );
        assert_eq!(one.time, Some(Field { kind: Kind::Unsigned(4), is_little: false, at: 4 }));
        assert_eq!((layout("binary:u8@0*-2").scale, layout("binary:u8@0-1").plus), (-2.0, -1.0));
        assert_eq!(Payload::parse("/v;/t"), Payload::parse("json:/v,/t"));
        assert_eq!(Payload::parse("json"), Ok(Payload::Json { value: "/value".into(), time: None }));
    }

    #[test]
    fn what_is_no_payload_is_refused_with_a_reason() {
        for (text, reason) in [
            ("xml", "none of plain"),
            ("sparkplug", "name of a metric"),
            ("binary", "no field"),
            ("binary:u12@0", "no field"),
            ("binary:f16@0", "no field"),
            ("binary:u16", "no field"),
            ("binary:bit8@0", "no field"),
            ("binary:u16@0*x", "no number"),
            ("binary:u16@0*2 3", "no number"),
            ("binary:u16@0;t", "no field"),
            ("binary:u16@99999", "no field"),
        ] {
            let error = Payload::parse(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
