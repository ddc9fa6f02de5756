//! Reading compressed views: vertex data are split into byte columns of differences, triangles into a code and what a few
//! remembered edges and vertices do not tell, index sequences into differences from one of two predecessors. Every length
//! is checked; the caller bounds what comes out.

use serde::Deserialize;

/// Where the compressed bytes of a view are, and what they become: the value of `EXT_meshopt_compression` or
/// `KHR_meshopt_compression` in a buffer view.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Packed {
    /// Buffer with the compressed bytes.
    pub buffer: usize,
    /// Where they begin.
    pub byte_offset: usize,
    /// How many they are.
    pub byte_length: usize,
    /// Bytes of an element.
    pub byte_stride: usize,
    /// Elements.
    pub count: usize,
    mode: String,
    filter: Option<String>,
}

impl Packed {
    /// Of a stream alone.
    #[cfg(test)]
    pub(super) fn of(mode: &str, filter: &str, byte_stride: usize, count: usize) -> Self {
        Self { byte_stride, count, mode: mode.into(), filter: Some(filter.into()), ..Self::default() }
    }

    /// Bytes of the view.
    pub fn size(&self) -> Option<usize> {
        self.count.checked_mul(self.byte_stride)
    }

    /// The bytes of the view; an error says what of the stream is damaged.
    pub fn unpack(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let damaged = || format!("meshopt: the {} stream is damaged", self.mode.to_lowercase());
        let is_index = matches!(self.byte_stride, 2 | 4);
        let mut made = match self.mode.as_str() {
            "ATTRIBUTES" if self.byte_stride.is_multiple_of(4) && (4..=256).contains(&self.byte_stride) => {
                attributes(bytes, self.count, self.byte_stride).ok_or_else(damaged)?
            }
            "TRIANGLES" if is_index && self.count.is_multiple_of(3) => {
                narrowed(triangles(bytes, self.count).ok_or_else(damaged)?, self.byte_stride)
            }
            "INDICES" if is_index => narrowed(indices(bytes, self.count).ok_or_else(damaged)?, self.byte_stride),
            mode => return Err(format!("meshopt: {mode:.20} with a stride of {} is not known", self.byte_stride)),
        };
        match (self.filter.as_deref().unwrap_or("NONE"), self.byte_stride) {
            ("NONE", _) => {}
            ("OCTAHEDRAL", 4) => made.chunks_exact_mut(4).for_each(octahedral8),
            ("OCTAHEDRAL", 8) => made.chunks_exact_mut(8).for_each(octahedral16),
            ("QUATERNION", 8) => made.chunks_exact_mut(8).for_each(quaternion),
            ("EXPONENTIAL", _) => made.chunks_exact_mut(4).for_each(exponential),
            (filter, stride) => {
                return Err(format!("meshopt: the filter {filter:.20} with a stride of {stride} is not known"));
            }
        }
        Ok(made)
    }
}

fn narrowed(indices: Vec<u32>, stride: usize) -> Vec<u8> {
    match stride {
        2 => indices.iter().flat_map(|i| (*i as u16).to_le_bytes()).collect(),
        _ => indices.iter().flat_map(|i| i.to_le_bytes()).collect(),
    }
}

/// Bytes that are taken one after the other.
struct Stream<'b>(&'b [u8]);

impl<'b> Stream<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// Seven bits a byte, the lowest first.
    fn varint(&mut self) -> Option<u32> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u32::from(byte & 127).wrapping_shl(shift);
            if byte < 128 {
                return Some(value);
            }
        }
        Some(value)
    }

    /// The next index, told as the difference from `last`.
    fn index(&mut self, last: u32) -> Option<u32> {
        Some(last.wrapping_add(unzigzag(self.varint()?)))
    }
}

fn unzigzag(value: u32) -> u32 {
    (value >> 1) ^ (value & 1).wrapping_neg()
}

/// Elements that are compressed together.
pub(super) const MOST_BLOCK: usize = 256;
/// Elements whose differences have one number of bits.
pub(super) const GROUP: usize = 16;

fn attributes(bytes: &[u8], count: usize, stride: usize) -> Option<Vec<u8>> {
    let version = match bytes.first()? {
        0xa0 => 0,
        0xa1 => 1,
        _ => return None,
    };
    // The first element stands at the end, and in version 1 behind it how each four bytes are told.
    let channels = if version == 0 { 0 } else { stride / 4 };
    let tail = (stride + channels).max(if version == 0 { 32 } else { 24 });
    let (body, tail) = bytes.get(1..)?.split_at_checked(bytes.len().checked_sub(1 + tail)?)?;
    let (first, channels) = tail.get(tail.len() - stride - channels..)?.split_at_checked(stride)?;
    let mut last = first.to_vec();
    let mut stream = Stream(body);
    let most = ((8192 / stride) & !(GROUP - 1)).min(MOST_BLOCK);
    let mut out = Vec::with_capacity(count * stride);
    let mut columns = vec![0_u8; stride * MOST_BLOCK];
    let mut done = 0;
    while done < count {
        let some = most.min(count - done);
        let controls = if version == 0 { &[][..] } else { stream.take(stride / 4)? };
        for (k, column) in columns.chunks_exact_mut(MOST_BLOCK).enumerate() {
            let control = controls.get(k / 4).map(|c| (c >> (k % 4 * 2)) & 3);
            match control {
                None => deltas(&mut stream, some, &[0, 2, 4, 8], column)?,
                Some(0) => deltas(&mut stream, some, &[0, 1, 2, 4], column)?,
                Some(1) => deltas(&mut stream, some, &[1, 2, 4, 8], column)?,
                Some(2) => column.fill(0),
                Some(_) => column.get_mut(..some)?.copy_from_slice(stream.take(some)?),
            }
        }
        for i in 0..some {
            for (k, four) in last.chunks_exact_mut(4).enumerate() {
                let delta: [u8; 4] =
                    std::array::from_fn(|j| columns.get((k * 4 + j) * MOST_BLOCK + i).copied().unwrap_or(0));
                let before: [u8; 4] = std::array::from_fn(|j| four.get(j).copied().unwrap_or(0));
                four.copy_from_slice(&step(before, delta, channels.get(k).copied().unwrap_or(0))?);
            }
            out.extend_from_slice(&last);
        }
        done += some;
    }
    stream.0.is_empty().then_some(out)
}

/// Four bytes of an element from those of the one before and their differences.
fn step(before: [u8; 4], delta: [u8; 4], channel: u8) -> Option<[u8; 4]> {
    Some(match channel & 3 {
        0 => std::array::from_fn(|j| before[j].wrapping_add((delta[j] >> 1) ^ (delta[j] & 1).wrapping_neg())),
        1 => {
            let half = |k: usize| {
                let (from, by) = ([before[k], before[k + 1]], u16::from_le_bytes([delta[k], delta[k + 1]]));
                u16::from_le_bytes(from).wrapping_add((by >> 1) ^ (by & 1).wrapping_neg()).to_le_bytes()
            };
            let ([a, b], [c, d]) = (half(0), half(2));
            [a, b, c, d]
        }
        2 => {
            let turned = u32::from_le_bytes(delta).rotate_right(u32::from(channel >> 4));
            (u32::from_le_bytes(before) ^ turned).to_le_bytes()
        }
        _ => return None,
    })
}

/// One byte column of a block: two bits for each group of sixteen say which of `widths` its differences have.
fn deltas(stream: &mut Stream<'_>, count: usize, widths: &[u8; 4], column: &mut [u8]) -> Option<()> {
    let groups = count.div_ceil(GROUP);
    let header = stream.take(groups.div_ceil(4))?;
    for (number, group) in column.chunks_exact_mut(GROUP).take(groups).enumerate() {
        let mode = (header.get(number / 4)? >> (number % 4 * 2)) & 3;
        match *widths.get(usize::from(mode))? {
            0 => group.fill(0),
            8 => group.copy_from_slice(stream.take(GROUP)?),
            width => {
                let packed = stream.take(usize::from(width) * GROUP / 8)?;
                let most = (1_u8 << width) - 1;
                let a_byte = 8 / usize::from(width);
                for (i, delta) in group.iter_mut().enumerate() {
                    let byte = packed.get(i / a_byte)?;
                    // Single bits stand from the lowest up, wider ones from the highest down.
                    let shift = match width {
                        1 => i % 8,
                        _ => 8 - usize::from(width) * (i % a_byte + 1),
                    };
                    let value = (byte >> shift) & most;
                    *delta = if value == most { stream.byte()? } else { value };
                }
            }
        }
    }
    Some(())
}

/// The last sixteen edges and vertices.
#[derive(Default)]
pub(super) struct Recent {
    pub edges: [[u32; 2]; 16],
    pub edge: usize,
    pub vertices: [u32; 16],
    pub vertex: usize,
}

impl Recent {
    pub fn push_edge(&mut self, a: u32, b: u32) {
        self.edges[self.edge & 15] = [a, b];
        self.edge = self.edge.wrapping_add(1);
    }

    pub fn push_vertex(&mut self, v: u32) {
        self.vertices[self.vertex & 15] = v;
        self.vertex = self.vertex.wrapping_add(1);
    }

    fn edge_back(&self, n: usize) -> [u32; 2] {
        self.edges[self.edge.wrapping_sub(1 + n) & 15]
    }

    fn vertex_back(&self, n: usize) -> u32 {
        self.vertices[self.vertex.wrapping_sub(n) & 15]
    }
}

fn triangles(bytes: &[u8], count: usize) -> Option<Vec<u32>> {
    let most_vertex = match bytes.first()? {
        0xe0 => 15,
        0xe1 => 13,
        _ => return None,
    };
    let body = bytes.get(1..)?;
    let (codes, rest) = body.split_at_checked(count / 3)?;
    let (data, table) = rest.split_at_checked(rest.len().checked_sub(16)?)?;
    let mut stream = Stream(data);
    let mut recent = Recent::default();
    let (mut next, mut last) = (0_u32, 0_u32);
    let mut out = Vec::with_capacity(count);
    let new = |next: &mut u32| {
        let v = *next;
        *next = next.wrapping_add(1);
        v
    };
    for code in codes {
        let (high, low) = (usize::from(code >> 4), usize::from(code & 15));
        if *code < 0xf0 {
            let [a, b] = recent.edge_back(high);
            let c = match low {
                0 => new(&mut next),
                low if low < most_vertex => recent.vertex_back(1 + low),
                15 => stream.index(last)?,
                13 => last.wrapping_sub(1),
                _ => last.wrapping_add(1),
            };
            if low >= most_vertex {
                last = c;
            }
            if low == 0 || low >= most_vertex {
                recent.push_vertex(c);
            }
            recent.push_edge(c, b);
            recent.push_edge(a, c);
            out.extend([a, b, c]);
            continue;
        }
        let (aux, is_a_told) = match *code {
            0xfe => (stream.byte()?, false),
            0xff => (stream.byte()?, true),
            _ => (*table.get(low)?, false),
        };
        if *code >= 0xfe && aux == 0 {
            next = 0;
        }
        let (second, third) = (usize::from(aux >> 4), usize::from(aux & 15));
        let mut a = if is_a_told { 0 } else { new(&mut next) };
        let mut b = if second == 0 { new(&mut next) } else { recent.vertex_back(second) };
        let mut c = if third == 0 { new(&mut next) } else { recent.vertex_back(third) };
        if *code >= 0xfe {
            if is_a_told {
                a = stream.index(last)?;
                last = a;
            }
            for (field, vertex) in [(second, &mut b), (third, &mut c)] {
                if field == 15 {
                    *vertex = stream.index(last)?;
                    last = *vertex;
                }
            }
        }
        let is_pushed = |field: usize| field == 0 || (*code >= 0xfe && field == 15);
        recent.push_vertex(a);
        if is_pushed(second) {
            recent.push_vertex(b);
        }
        if is_pushed(third) {
            recent.push_vertex(c);
        }
        recent.push_edge(b, a);
        recent.push_edge(c, b);
        recent.push_edge(a, c);
        out.extend([a, b, c]);
    }
    stream.0.is_empty().then_some(out)
}

fn indices(bytes: &[u8], count: usize) -> Option<Vec<u32>> {
    if !matches!(bytes.first()?, 0xd0 | 0xd1) {
        return None;
    }
    let body = bytes.get(1..)?;
    let mut stream = Stream(body.get(..body.len().checked_sub(4)?)?);
    let mut last = [0_u32; 2];
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        let value = stream.varint()?;
        let of = last.get_mut((value & 1) as usize)?;
        *of = of.wrapping_add(unzigzag(value >> 1));
        out.push(*of);
    }
    stream.0.is_empty().then_some(out)
}

/// A unit vector from its octahedral map; the third number is what 1 was written as.
fn unit([x, y, one]: [f32; 3], most: f32) -> [f32; 3] {
    let z = one - x.abs() - y.abs();
    let fold = z.min(0.0);
    let x = x + if x >= 0.0 { fold } else { -fold };
    let y = y + if y >= 0.0 { fold } else { -fold };
    let scale = most / (x * x + y * y + z * z).sqrt();
    [x, y, z].map(|n| (n * scale).round())
}

fn octahedral8(element: &mut [u8]) {
    if let [x, y, z, _] = element {
        let found = unit([*x, *y, *z].map(|n| f32::from(n as i8)), 127.0);
        [*x, *y, *z] = found.map(|n| n as i8 as u8);
    }
}

fn shorts(element: &[u8]) -> [i16; 4] {
    std::array::from_fn(|k| match element.get(k * 2..k * 2 + 2) {
        Some([a, b]) => i16::from_le_bytes([*a, *b]),
        _ => 0,
    })
}

fn put_shorts(element: &mut [u8], values: [i16; 4]) {
    element.chunks_exact_mut(2).zip(values).for_each(|(two, value)| two.copy_from_slice(&value.to_le_bytes()));
}

fn octahedral16(element: &mut [u8]) {
    let [x, y, z, w] = shorts(element);
    let [x, y, z] = unit([x, y, z].map(f32::from), 32767.0).map(|n| n as i16);
    put_shorts(element, [x, y, z, w]);
}

/// The three smaller components, then how they were scaled and which one was left out.
fn quaternion(element: &mut [u8]) {
    let [x, y, z, w] = shorts(element);
    let scale = std::f32::consts::FRAC_1_SQRT_2 / f32::from(w | 3);
    let [x, y, z] = [x, y, z].map(|n| f32::from(n) * scale);
    let left_out = (1.0 - x * x - y * y - z * z).max(0.0).sqrt();
    let place = (w & 3) as usize;
    let mut values = [0; 4];
    for (k, value) in [left_out, x, y, z].into_iter().enumerate() {
        values[(place + k) & 3] = (value * 32767.0).round() as i16;
    }
    put_shorts(element, values);
}

/// A mantissa of 24 bits and an exponent of eight, both signed.
fn exponential(element: &mut [u8]) {
    if let [a, b, c, e] = element {
        let mantissa = (i32::from_le_bytes([*a, *b, *c, 0]) << 8) >> 8;
        let value = mantissa as f64 * f64::from(*e as i8).exp2();
        [*a, *b, *c, *e] = (value as f32).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, mode, filter, count, stride, FNV-1a of what the reference decoder (npm meshoptimizer 1.3.0) makes of it, and
    /// the stream, made by the encoder of the same; of filters that round, what it makes of them.
    const REFEREE: &str = include_str!("decode.tsv");

    struct Case {
        name: String,
        packed: Packed,
        hash: u64,
        stream: Vec<u8>,
        /// Where rounding may differ by one.
        near: Option<Vec<u8>>,
    }

    fn base64(text: &str) -> Vec<u8> {
        let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let text = text.trim_end_matches('=');
        let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
        for byte in text.bytes() {
            held = held << 6 | digits.iter().position(|digit| *digit == byte).unwrap() as u32;
            bits += 6;
            if bits >= 8 {
                bits -= 8;
                bytes.push((held >> bits) as u8);
            }
        }
        bytes
    }

    fn cases() -> Vec<Case> {
        let bytes = base64;
        let lines = REFEREE.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        lines
            .map(|case| {
                let number = |k: usize| case[k].parse::<usize>().unwrap();
                Case {
                    name: case[0].to_owned(),
                    packed: Packed::of(case[1], case[2], number(4), number(3)),
                    hash: u64::from_str_radix(case[5].trim_start_matches("0x"), 16).unwrap(),
                    stream: bytes(case[6]),
                    near: (case[7] != "-").then(|| bytes(case[7])),
                }
            })
            .collect()
    }

    fn fnv(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
    }

    #[test]
    fn streams_become_what_the_reference_decoder_makes_of_them() {
        for Case { name, packed, hash, stream, near } in cases() {
            let made = packed.unpack(&stream).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(made.len(), packed.size().unwrap(), "{name}");
            match near {
                None => assert_eq!(fnv(&made), hash, "{name}"),
                Some(wanted) if packed.byte_stride == 4 => {
                    let off = made.iter().zip(&wanted).map(|(a, b)| (*a as i8).abs_diff(*b as i8)).max();
                    assert!(off <= Some(1), "{name}: {off:?}");
                }
                Some(wanted) => {
                    let (made, wanted) =
                        (made.chunks_exact(8).flat_map(shorts), wanted.chunks_exact(8).flat_map(shorts));
                    let off = made.zip(wanted).map(|(a, b)| a.abs_diff(b)).max();
                    assert!(off <= Some(1), "{name}: {off:?}");
                }
            }
        }
    }

    #[test]
    fn damaged_streams_are_refused_or_read_to_the_promised_length() {
        for Case { name, packed, stream, .. } in cases() {
            for cut in 0..stream.len() {
                assert!(packed.unpack(&stream[..cut]).is_err(), "{name} cut at {cut}");
                let mut bent = stream.clone();
                bent[cut] ^= 0x55;
                if let Ok(made) = packed.unpack(&bent) {
                    assert_eq!(made.len(), packed.size().unwrap(), "{name} bent at {cut}");
                }
            }
            // A few elements more may be without differences, many may not.
            let more = Packed { count: packed.count + 4800, ..packed };
            assert!(more.unpack(&stream).is_err(), "{name}");
        }
    }
}
