//! Little-endian bytes, written and read with every length checked.

use glam::{DVec2, DVec3};

/// What was read does not hold together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(pub &'static str);

/// Appends values.
#[derive(Default)]
pub(crate) struct Sink(pub Vec<u8>);

impl Sink {
    pub(crate) fn u8(&mut self, v: u8) {
        self.0.push(v);
    }
    pub(crate) fn u32(&mut self, v: u32) {
        self.0.extend_from_slice(&v.to_le_bytes());
    }
    pub(crate) fn u64(&mut self, v: u64) {
        self.0.extend_from_slice(&v.to_le_bytes());
    }
    pub(crate) fn f64(&mut self, v: f64) {
        self.0.extend_from_slice(&v.to_le_bytes());
    }
    /// A count; more than 2³² of anything in one object is refused by the importers' own limits.
    pub(crate) fn count(&mut self, n: usize) {
        self.u32(u32::try_from(n).unwrap_or(u32::MAX));
    }
    pub(crate) fn bytes(&mut self, v: &[u8]) {
        self.count(v.len());
        self.0.extend_from_slice(v);
    }
    pub(crate) fn text(&mut self, v: &str) {
        self.bytes(v.as_bytes());
    }
    pub(crate) fn maybe_text(&mut self, v: Option<&str>) {
        self.u8(u8::from(v.is_some()));
        if let Some(v) = v {
            self.text(v);
        }
    }
    pub(crate) fn maybe_f64(&mut self, v: Option<f64>) {
        self.u8(u8::from(v.is_some()));
        if let Some(v) = v {
            self.f64(v);
        }
    }
    pub(crate) fn maybe_i64(&mut self, v: Option<i64>) {
        self.u8(u8::from(v.is_some()));
        if let Some(v) = v {
            self.u64(v as u64);
        }
    }
    pub(crate) fn vec2(&mut self, v: DVec2) {
        self.f64(v.x);
        self.f64(v.y);
    }
    pub(crate) fn vec3(&mut self, v: DVec3) {
        self.vec2(v.truncate());
        self.f64(v.z);
    }
    pub(crate) fn vertices(&mut self, v: &[DVec3]) {
        self.count(v.len());
        v.iter().for_each(|p| self.vec3(*p));
    }
}

/// Takes values off the front.
pub(crate) struct Source<'a>(pub &'a [u8]);

impl<'a> Source<'a> {
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], Broken> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(Broken("ends too early"))?;
        self.0 = tail;
        Ok(head)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        self.take(N)?.try_into().map_err(|_| Broken("ends too early"))
    }
    pub(crate) fn u8(&mut self) -> Result<u8, Broken> {
        Ok(self.array::<1>()?[0])
    }
    pub(crate) fn u32(&mut self) -> Result<u32, Broken> {
        Ok(u32::from_le_bytes(self.array()?))
    }
    pub(crate) fn u64(&mut self) -> Result<u64, Broken> {
        Ok(u64::from_le_bytes(self.array()?))
    }
    pub(crate) fn f64(&mut self) -> Result<f64, Broken> {
        Ok(f64::from_le_bytes(self.array()?))
    }
    /// A count of things that take at least `size` bytes each: more than can follow is refused before
    /// anything is allocated for them.
    pub(crate) fn count(&mut self, size: usize) -> Result<usize, Broken> {
        let n = self.u32()? as usize;
        if n.saturating_mul(size) > self.0.len() {
            return Err(Broken("a count is larger than what follows"));
        }
        Ok(n)
    }
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Broken> {
        let n = self.count(1)?;
        self.take(n)
    }
    pub(crate) fn text(&mut self) -> Result<&'a str, Broken> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Broken("text is not UTF-8"))
    }
    pub(crate) fn flag(&mut self) -> Result<bool, Broken> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Broken("a flag is neither 0 nor 1")),
        }
    }
    pub(crate) fn maybe_text(&mut self) -> Result<Option<String>, Broken> {
        Ok(if self.flag()? { Some(self.text()?.to_owned()) } else { None })
    }
    pub(crate) fn maybe_f64(&mut self) -> Result<Option<f64>, Broken> {
        Ok(if self.flag()? { Some(self.f64()?) } else { None })
    }
    pub(crate) fn maybe_i64(&mut self) -> Result<Option<i64>, Broken> {
        Ok(if self.flag()? { Some(self.u64()? as i64) } else { None })
    }
    pub(crate) fn vec2(&mut self) -> Result<DVec2, Broken> {
        Ok(DVec2::new(self.f64()?, self.f64()?))
    }
    pub(crate) fn vec3(&mut self) -> Result<DVec3, Broken> {
        Ok(self.vec2()?.extend(self.f64()?))
    }
    pub(crate) fn vertices(&mut self) -> Result<Vec<DVec3>, Broken> {
        let n = self.count(24)?;
        (0..n).map(|_| self.vec3()).collect()
    }
}
