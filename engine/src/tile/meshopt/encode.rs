//! Writing compressed views: version 0 of vertex data, version 1 of triangles.

use super::decode::{GROUP, MOST_BLOCK, Recent};

/// Bytes behind the last block, with the first element at their end.
const TAIL: usize = 32;

/// How the bytes of elements are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    /// As they are.
    None,
    /// Unit vectors, four bytes each.
    Octahedral,
    /// Numbers as mantissa and exponent.
    Exponential,
}

impl Filter {
    /// The word of the extension.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Octahedral => "OCTAHEDRAL",
            Self::Exponential => "EXPONENTIAL",
        }
    }
}

/// Vertex data of `stride` bytes an element, a multiple of 4 and at most 256.
pub(crate) fn vertices(bytes: &[u8], stride: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() / 2 + TAIL);
    out.push(0xa0);
    let mut last = bytes.get(..stride).unwrap_or_default().to_vec();
    last.resize(stride, 0);
    let first = last.clone();
    let most = ((8192 / stride.max(1)) & !(GROUP - 1)).min(MOST_BLOCK);
    let mut column = [0_u8; MOST_BLOCK];
    for block in bytes.chunks(most * stride) {
        let count = block.len() / stride;
        let groups = count.div_ceil(GROUP);
        for (k, last) in last.iter_mut().enumerate() {
            let mut before = *last;
            for (delta, byte) in column.iter_mut().zip(block[k..].iter().step_by(stride)) {
                let difference = byte.wrapping_sub(before);
                *delta = (difference << 1) ^ ((difference as i8) >> 7) as u8;
                before = *byte;
            }
            *last = before;
            column[count..groups * GROUP].fill(0);
            deltas(&column[..groups * GROUP], &mut out);
        }
    }
    out.resize(out.len() + TAIL.saturating_sub(stride), 0);
    out.extend(first);
    out
}

/// One byte column of a block.
fn deltas(column: &[u8], out: &mut Vec<u8>) {
    let header = out.len();
    out.resize(header + (column.len() / GROUP).div_ceil(4), 0);
    for (number, group) in column.chunks_exact(GROUP).enumerate() {
        let above = |most: u8| group.iter().filter(|delta| **delta >= most).count();
        // Bytes that each way takes: none for zeros, then two and four bits with what does not fit behind, then whole bytes.
        let costs = [if above(1) == 0 { 0 } else { usize::MAX }, 4 + above(3), 8 + above(15), 16];
        let mode = (0..4).min_by_key(|mode| costs[*mode]).unwrap_or(3);
        out[header + number / 4] |= (mode as u8) << (number % 4 * 2);
        match mode {
            0 => {}
            3 => out.extend_from_slice(group),
            _ => {
                let width = mode * 2;
                let most = (1_u8 << width) - 1;
                for few in group.chunks_exact(8 / width) {
                    out.push(few.iter().fold(0, |byte, delta| (byte << width) | (*delta).min(most)));
                }
                out.extend(group.iter().filter(|delta| **delta >= most));
            }
        }
    }
}

/// Pairs that stand in the table at the end instead of a byte of their own.
const TABLE: [u8; 16] =
    [0x00, 0x76, 0x87, 0x56, 0x67, 0x78, 0xa9, 0x86, 0x65, 0x89, 0x68, 0x98, 0x01, 0x69, 0x00, 0x00];
/// Vertices further back are told otherwise.
const MOST_VERTEX: usize = 13;

impl Recent {
    /// How far back an edge of the triangle is, and the turn that brings it to the front.
    fn edge_of(&self, [a, b, c]: [u32; 3]) -> Option<(usize, usize)> {
        (0..16).find_map(|back| {
            let edge = self.edges[self.edge.wrapping_sub(1 + back) & 15];
            let turn = [[a, b], [b, c], [c, a]].iter().position(|own| *own == edge)?;
            Some((back, turn))
        })
    }

    fn vertex_of(&self, v: u32) -> Option<usize> {
        (0..16).find(|back| self.vertices[self.vertex.wrapping_sub(1 + back) & 15] == v)
    }
}

/// The triangle beginning with its vertex number `turn`.
fn turned(t: [u32; 3], turn: usize) -> [u32; 3] {
    std::array::from_fn(|k| t[(k + turn) % 3])
}

/// Indices of triangles, three each.
pub(crate) fn triangles(indices: &[u32]) -> Vec<u8> {
    let mut codes = vec![0xe1];
    let mut data = Vec::new();
    // No vertex and no edge: what is not in the file must not be found.
    let mut recent = Recent { edges: [[u32::MAX; 2]; 16], edge: 0, vertices: [u32::MAX; 16], vertex: 0 };
    let (mut next, mut last) = (0_u32, 0_u32);
    let tell = |v: u32, last: &mut u32, data: &mut Vec<u8>| {
        let difference = v.wrapping_sub(*last);
        let mut value = (difference << 1) ^ ((difference as i32) >> 31) as u32;
        while value > 127 {
            data.push((value & 127) as u8 | 128);
            value >>= 7;
        }
        data.push(value as u8);
        *last = v;
    };
    for corners in indices.chunks_exact(3) {
        let triangle = [corners[0], corners[1], corners[2]];
        if let Some((back, turn)) = recent.edge_of(triangle).filter(|(back, _)| *back < 15) {
            let [a, b, c] = turned(triangle, turn);
            let vertex = recent.vertex_of(c).filter(|back| (1..MOST_VERTEX).contains(back));
            let third = if let Some(back) = vertex {
                back
            } else if c == next {
                next = next.wrapping_add(1);
                0
            } else if c.wrapping_add(1) == last {
                last = c;
                13
            } else if c == last.wrapping_add(1) {
                last = c;
                14
            } else {
                tell(c, &mut last, &mut data);
                15
            };
            codes.push((back << 4 | third) as u8);
            if third == 0 || third >= MOST_VERTEX {
                recent.push_vertex(c);
            }
            recent.push_edge(c, b);
            recent.push_edge(a, c);
            continue;
        }
        let [a, b, c] = turned(triangle, if triangle[1] == next { 1 } else { usize::from(triangle[2] == next) * 2 });
        let is_reset = [a, b, c] == [0, 1, 2] && next > 0;
        if is_reset {
            next = 0;
            recent.vertices = [u32::MAX; 16];
        }
        // Both are looked for before any of the three is remembered.
        let backs = [b, c].map(|v| recent.vertex_of(v).filter(|back| *back < 14));
        let new = |v: u32, next: &mut u32| -> usize {
            let is_next = v == *next;
            *next = next.wrapping_add(u32::from(is_next));
            if is_next { 0 } else { 15 }
        };
        let first = new(a, &mut next);
        let second = backs[0].map_or_else(|| new(b, &mut next), |back| back + 1);
        let third = backs[1].map_or_else(|| new(c, &mut next), |back| back + 1);
        let pair = (second << 4 | third) as u8;
        match TABLE[..14].iter().position(|known| *known == pair).filter(|_| first == 0 && !is_reset) {
            Some(place) => codes.push(0xf0 | place as u8),
            None => {
                codes.push(0xf0 | 14 | u8::from(first == 15));
                data.push(pair);
            }
        }
        for (field, v) in [(first, a), (second, b), (third, c)] {
            if field == 15 {
                tell(v, &mut last, &mut data);
            }
        }
        for (field, v) in [(first, a), (second, b), (third, c)] {
            if field == 0 || field == 15 {
                recent.push_vertex(v);
            }
        }
        recent.push_edge(b, a);
        recent.push_edge(c, b);
        recent.push_edge(a, c);
    }
    codes.extend(data);
    codes.extend(TABLE);
    codes
}

#[cfg(test)]
mod tests {
    use super::super::Packed;
    use super::*;

    fn back(stream: &[u8], mode: &str, stride: usize, count: usize) -> Vec<u8> {
        Packed::of(mode, "NONE", stride, count).unpack(stream).unwrap()
    }

    /// A small generator of repeatable numbers.
    fn dice(seed: &mut u64) -> u32 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) as u32
    }

    #[test]
    fn vertices_come_back() {
        let mut seed = 1;
        for (stride, count) in
            [(4, 0), (4, 1), (4, 16), (8, 17), (12, 255), (12, 256), (12, 257), (16, 5000), (256, 70)]
        {
            for spread in [1, 3, 9, 200] {
                let bytes: Vec<u8> = (0..stride * count)
                    .map(|i| ((i / stride) as u32 * (i % stride % 3) as u32 + dice(&mut seed) % spread) as u8)
                    .collect();
                let stream = vertices(&bytes, stride);
                assert_eq!(back(&stream, "ATTRIBUTES", stride, count), bytes, "{stride} {count} {spread}");
            }
        }
        let smooth: Vec<u8> = (0..4000_u32).flat_map(|i| (i * 3).to_le_bytes()).collect();
        assert!(vertices(&smooth, 4).len() < smooth.len() / 3);
    }

    #[test]
    fn triangles_come_back_though_they_may_begin_elsewhere() {
        let mut seed = 7;
        let strip: Vec<u32> =
            (0..3000).flat_map(|i| if i % 2 == 0 { [i, i + 1, i + 2] } else { [i + 1, i, i + 2] }).collect();
        let quads: Vec<u32> = (0..500).flat_map(|q| [0, 1, 2, 0, 2, 3].map(|k| q * 4 + k)).collect();
        let again: Vec<u32> = quads.iter().chain(&quads).copied().collect();
        let grid: Vec<u32> =
            (0..40).flat_map(|y| (0..40).flat_map(move |x| [0, 1, 42, 0, 42, 41].map(|k| y * 41 + x + k))).collect();
        let wild: Vec<u32> = (0..3000).map(|_| dice(&mut seed) % 70_000).collect();
        let far: Vec<u32> = (0..3000).map(|_| dice(&mut seed).wrapping_mul(2)).collect();
        for (name, indices) in
            [("strip", strip), ("quads", quads), ("again", again), ("grid", grid), ("wild", wild), ("far", far)]
        {
            let stream = triangles(&indices);
            let made = back(&stream, "TRIANGLES", 4, indices.len());
            let made: Vec<u32> = made.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
            for (wanted, found) in indices.chunks_exact(3).zip(made.chunks_exact(3)) {
                let is_same = (0..3).any(|turn| turned([wanted[0], wanted[1], wanted[2]], turn) == found);
                assert!(is_same, "{name}: {wanted:?} {found:?}");
            }
        }
        assert!(back(&triangles(&[]), "TRIANGLES", 4, 0).is_empty());
        let quads: Vec<u32> = (0..500).flat_map(|q| [0, 1, 2, 0, 2, 3].map(|k| q * 4 + k)).collect();
        assert!(triangles(&quads).len() < quads.len() / 2, "a triangle takes about a byte");
    }
}
