//! The wire format of Protocol Buffers, as far as OSM PBF uses it: numbers and lengths, read in place.

/// What is wrong with the bytes.
pub(super) type Fault = &'static str;

/// Fields of a message, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a>(&'a [u8]);

/// A field's content.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    pub fn bytes(self) -> Result<&'a [u8], Fault> {
        match self {
            Field::Bytes(bytes) => Ok(bytes),
            Field::Number(_) => Err("a number stands where bytes should"),
        }
    }

    pub fn number(self) -> Result<u64, Fault> {
        match self {
            Field::Number(number) => Ok(number),
            Field::Bytes(_) => Err("bytes stand where a number should"),
        }
    }

    /// A number with its sign in the lowest bit (`sint64`).
    pub fn signed(self) -> Result<i64, Fault> {
        self.number().map(zigzag)
    }

    /// The numbers of a packed field.
    pub fn numbers(self) -> Result<Numbers<'a>, Fault> {
        self.bytes().map(Numbers)
    }
}

impl<'a> Message<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next field's number and content; `None` at the end.
    pub fn next(&mut self) -> Result<Option<(u32, Field<'a>)>, Fault> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = varint(&mut self.0)?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| *n > 0).ok_or("a field without a number")?;
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut self.0)?),
            1 => Field::Bytes(take(&mut self.0, 8)?),
            2 => {
                let length = varint(&mut self.0)?;
                let length = usize::try_from(length).map_err(|_| "a length beyond all reason")?;
                Field::Bytes(take(&mut self.0, length)?)
            }
            5 => Field::Bytes(take(&mut self.0, 4)?),
            _ => return Err("a field of unknown wire type"),
        };
        Ok(Some((number, field)))
    }
}

/// Packed numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    pub fn next(&mut self) -> Result<Option<u64>, Fault> {
        match self.0.is_empty() {
            true => Ok(None),
            false => varint(&mut self.0).map(Some),
        }
    }

    pub fn next_signed(&mut self) -> Result<Option<i64>, Fault> {
        Ok(self.next()?.map(zigzag))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], Fault> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or("a field reaches beyond its message")?;
    *bytes = rest;
    Ok(taken)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Fault> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or("a number is cut off")?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("a number of more than ten bytes")
}

fn zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lengths_and_signs_are_read_and_cut_ones_refused() {
        let mut message = Message::new(&[0x08, 0x96, 0x01, 0x12, 0x02, 0x03, 0x04]);
        let (number, field) = message.next().unwrap().unwrap();
        assert_eq!((number, field.number().unwrap()), (1, 150));
        let (number, field) = message.next().unwrap().unwrap();
        let mut numbers = field.numbers().unwrap();
        assert_eq!((number, numbers.next_signed().unwrap(), numbers.next_signed().unwrap()), (2, Some(-2), Some(2)));
        assert!(numbers.next().unwrap().is_none() && message.next().unwrap().is_none());
        assert!(Message::new(&[0x12, 0x05, 0x00]).next().is_err());
        assert!(Message::new(&[0x08, 0xff]).next().is_err());
        assert!(Message::new(&[0x0b]).next().is_err(), "groups are not used");
    }
}
