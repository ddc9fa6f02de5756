//! Many rows of a few texts in little memory: a text is written as what it shares with neither the row before nor the first text of its own
//! row. The rows of a register differ by a few digits, which stand in the id, the name and the topic alike.

/// Rows that are read one after the other to reach one.
const BLOCK: usize = 16;

/// Rows of `N` texts.
#[derive(Debug)]
pub(super) struct Texts<const N: usize> {
    bytes: Vec<u8>,
    /// Where each block begins.
    starts: Vec<u32>,
    rows: usize,
    last: [Vec<u8>; N],
}

impl<const N: usize> Default for Texts<N> {
    fn default() -> Self {
        Self { bytes: Vec::new(), starts: Vec::new(), rows: 0, last: std::array::from_fn(|_| Vec::new()) }
    }
}

impl<const N: usize> Texts<N> {
    /// Adds a row. Says whether there was room: four billion bytes are held.
    pub fn push(&mut self, row: [&str; N]) -> bool {
        if self.rows.is_multiple_of(BLOCK) {
            let Ok(start) = u32::try_from(self.bytes.len()) else { return false };
            self.starts.push(start);
            self.last.iter_mut().for_each(Vec::clear);
        }
        for (at, text) in row.iter().enumerate() {
            let text = text.as_bytes();
            let front = same(text.iter(), self.last[at].iter());
            let own = if at == 0 { &[] } else { row[0].as_bytes() };
            let end = same(text[front..].iter().rev(), own.iter().rev());
            let middle = &text[front..text.len() - end];
            for number in [front, end, middle.len()] {
                put(&mut self.bytes, number);
            }
            self.bytes.extend_from_slice(middle);
            self.last[at].clear();
            self.last[at].extend_from_slice(text);
        }
        self.rows += 1;
        true
    }

    /// Gives back what was kept for more rows.
    pub fn close(&mut self) {
        self.bytes.shrink_to_fit();
        self.starts.shrink_to_fit();
        self.last = std::array::from_fn(|_| Vec::new());
    }

    /// The texts of a row, put in place of those in `row`. Says whether there is such a row.
    pub fn read(&self, number: usize, row: &mut [Vec<u8>; N]) -> bool {
        if number >= self.rows {
            return false;
        }
        let mut from = self.starts[number / BLOCK] as usize;
        row.iter_mut().for_each(Vec::clear);
        for _ in 0..=number % BLOCK {
            from = self.step(from, row);
        }
        true
    }

    /// All rows in order.
    pub fn each(&self, take: &mut dyn FnMut(usize, &[Vec<u8>; N])) {
        let mut row = std::array::from_fn(|_| Vec::new());
        let mut from = 0;
        for number in 0..self.rows {
            if number.is_multiple_of(BLOCK) {
                row.iter_mut().for_each(Vec::clear);
            }
            from = self.step(from, &mut row);
            take(number, &row);
        }
    }

    /// From one row to the next.
    fn step(&self, mut from: usize, row: &mut [Vec<u8>; N]) -> usize {
        for at in 0..N {
            let [front, end, middle] = std::array::from_fn(|_| {
                let (number, next) = take(&self.bytes, from);
                from = next;
                number
            });
            let (before, others) = row.split_at_mut(at);
            let text = &mut others[0];
            text.truncate(front);
            text.extend_from_slice(&self.bytes[from..from + middle]);
            if let Some(own) = before.first() {
                text.extend_from_slice(&own[own.len() - end..]);
            }
            from += middle;
        }
        from
    }

    /// Bytes that it takes.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.bytes.capacity() + self.starts.capacity() * 4
    }
}

/// A text of a row.
pub(super) fn text(bytes: &[u8]) -> &str {
    // What came in as text goes out as text: cuts within a letter are healed before this.
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn same<'b>(a: impl Iterator<Item = &'b u8>, b: impl Iterator<Item = &'b u8>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).count()
}

/// A number in as few bytes as it needs, seven bits each.
fn put(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &[u8], mut from: usize) -> (usize, usize) {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes[from];
        from += 1;
        number |= usize::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return (number, from);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_as_they_went_in_and_take_little() {
        let rows: Vec<[String; 3]> = (0..5000_u32)
            .map(|n| {
                let n = n.wrapping_mul(2_654_435_761) % 10_000_000;
                [format!("传感器/A-{n:07}"), format!("液位 {n:07}"), format!("city/level/A-{n:07}/up")]
            })
            .chain(
                [["", "", ""], ["a", "", "a"], ["b", "b", ""], ["水", "氷", "水水"]].map(|row| row.map(str::to_owned)),
            )
            .collect();
        let mut texts = Texts::<3>::default();
        for row in &rows {
            assert!(texts.push([&row[0], &row[1], &row[2]]));
        }
        texts.close();
        let mut found = std::array::from_fn(|_| Vec::new());
        // In no order.
        for at in (0..rows.len()).rev().step_by(3).chain(0..rows.len()) {
            assert!(texts.read(at, &mut found));
            assert_eq!(found.each_ref().map(|bytes| text(bytes)), rows[at].each_ref().map(String::as_str), "{at}");
        }
        assert!(!texts.read(rows.len(), &mut found));
        let mut next = 0;
        texts.each(&mut |number, row| {
            assert_eq!((number, text(&row[1])), (next, rows[next][1].as_str()));
            next += 1;
        });
        assert_eq!(next, rows.len());
        let plain: usize = rows.iter().flatten().map(String::len).sum();
        assert!(texts.bytes() < plain * 3 / 5, "{} bytes of {plain}", texts.bytes());
    }
}
