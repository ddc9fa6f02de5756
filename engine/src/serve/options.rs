//! What may be set of the server.

use std::time::Duration;

use axum::http::HeaderValue;

/// What may be set of the server; [`Options::default`] is right for one machine.
#[derive(Clone, Debug)]
pub struct Options {
    /// Pages of these origins may read the city in a browser, besides those that the server sends itself.
    pub cors: Vec<Origin>,
    /// Names that the server answers to in `Host`, besides those of the machine itself.
    pub hosts: Vec<String>,
    /// Most connections at once. When there are more, those that ask nothing are closed for them.
    pub connections: usize,
    /// Questions that are worked on at once; as many again for each of [`Options::WAITING`] wait.
    pub queries: usize,
    /// Bytes of tiles that are held in memory, compressed or not.
    pub cache_bytes: usize,
    /// Longest that the head of a request may take to come, and that a connection may be without one.
    pub header_time: Duration,
    /// Longest that the work on an answer may take.
    pub answer_time: Duration,
    /// Longest that a question waits for its turn.
    pub queue_time: Duration,
    /// In each such time the other side takes 16 KiB of what is sent to it, or the connection is closed.
    pub pace_time: Duration,
}

impl Options {
    /// How many questions wait for each that is worked on.
    pub const WAITING: usize = 16;
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            cors: Vec::new(),
            hosts: Vec::new(),
            connections: 4_096,
            queries: (2 * cores).max(4),
            cache_bytes: 128 << 20,
            header_time: Duration::from_secs(10),
            answer_time: Duration::from_secs(60),
            queue_time: Duration::from_secs(10),
            pace_time: Duration::from_secs(30),
        }
    }
}

/// Where a page comes from: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Any page at all may read the city: `*`.
    Any,
    /// Pages of this origin, as browsers write it.
    One(HeaderValue),
}

impl Origin {
    /// Reads `*`, or an origin such as `https://maps.example.org:8443`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let no = || {
            format!(
                "{text:.100} is no origin: write scheme, host and port only, such as https://maps.example.org:8443, or *"
            )
        };
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or_else(no)?;
        let (host, port) = split_port(rest);
        let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:[]".contains(&b);
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number.to_string() == port));
        if host.is_empty() || !host.bytes().all(is_name) || !is_port {
            return Err(no());
        }
        HeaderValue::from_str(text).map(Self::One).map_err(|_| no())
    }
}

/// A host, which may be an IPv6 address in brackets, and the port after it.
pub(super) fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') && (!host.contains(':') || host.ends_with(']')) => (host, Some(port)),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_exact() {
        assert_eq!(Origin::parse("*"), Ok(Origin::Any));
        for good in ["http://localhost:5173", "https://maps.example.org", "http://[::1]:80", "http://127.0.0.1:8080"] {
            assert_eq!(Origin::parse(good), Ok(Origin::One(HeaderValue::from_str(good).unwrap())));
        }
        for bad in [
            "",
            "null",
            "maps.example.org",
            "https://maps.example.org/",
            "https://*.example.org",
            "https://Maps.example.org",
            "ftp://a",
            "http://",
            "http://a:b",
            "http://a:080",
            "http://a:99999",
            "http://a b",
            "http://a\r\nb",
        ] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ports_are_split_off() {
        assert_eq!(split_port("a:1"), ("a", Some("1")));
        assert_eq!(split_port("[::1]:80"), ("[::1]", Some("80")));
        assert_eq!(split_port("[::1]"), ("[::1]", None));
        assert_eq!(split_port("::1"), ("::1", None));
        assert_eq!(split_port("a"), ("a", None));
    }
}
