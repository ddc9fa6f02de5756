//! Where the vertices of objects are: in the file's list, or in their feature's own.

use glam::DVec3;

use super::text::Transform;

/// Where the vertices are.
pub(super) trait Vertices {
    /// The vertex with this index, in the source's coordinates.
    fn vertex(&self, index: u32) -> Option<DVec3>;
    /// How many there are.
    fn count(&self) -> usize;
}

/// Vertices as flat numbers: whole ones as long as they are.
#[derive(Default)]
pub(super) struct Flat {
    whole: Vec<i32>,
    real: Vec<f64>,
    /// What makes coordinates of them.
    pub transform: Transform,
}

impl Flat {
    /// Takes the next vertex; NaN stands for what is none.
    pub fn push(&mut self, vertex: [f64; 3]) {
        let is_whole = |n: f64| n.fract() == 0.0 && n.abs() < f64::from(i32::MAX);
        if self.real.is_empty() && vertex.iter().all(|n| is_whole(*n)) {
            self.whole.extend(vertex.map(|n| n as i32));
            return;
        }
        if !self.whole.is_empty() {
            self.real = std::mem::take(&mut self.whole).into_iter().map(f64::from).collect();
        }
        self.real.extend(vertex);
    }

    /// Memory that they take.
    pub fn bytes(&self) -> usize {
        self.whole.len() * 4 + self.real.len() * 8
    }
}

impl Vertices for Flat {
    fn vertex(&self, index: u32) -> Option<DVec3> {
        let from = (index as usize).checked_mul(3)?;
        let range = from..from.checked_add(3)?;
        let vertex = match self.real.get(range.clone()) {
            Some([x, y, z]) => [*x, *y, *z],
            _ => match self.whole.get(range)? {
                [x, y, z] => [f64::from(*x), f64::from(*y), f64::from(*z)],
                _ => return None,
            },
        };
        Some(self.transform.apply(vertex)).filter(|v| v.is_finite())
    }

    fn count(&self) -> usize {
        (self.whole.len() + self.real.len()) / 3
    }
}

/// Vertices of one feature.
pub(super) struct Own<'v> {
    pub vertices: &'v [[f64; 3]],
    pub transform: Transform,
}

impl Vertices for Own<'_> {
    fn vertex(&self, index: u32) -> Option<DVec3> {
        self.vertices.get(index as usize).map(|v| self.transform.apply(*v)).filter(|v| v.is_finite())
    }

    fn count(&self) -> usize {
        self.vertices.len()
    }
}
