//! The inner layer of OSM PBF: a block of nodes, ways and relations with one table of strings.

use super::wire::{Fault, Field, Message, Numbers};

/// Keys and values of one element.
pub(super) type Tags<'a> = [(&'a str, &'a str)];

/// What an element of a relation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemberKind {
    Node,
    Way,
    Relation,
}

/// One element, valid during the call that hands it over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Element<'a> {
    /// A place; degrees times 10⁷, the resolution of OpenStreetMap's own database.
    Node { id: i64, lon: i32, lat: i32, tags: &'a Tags<'a> },
    /// Nodes in order.
    Way { id: i64, refs: &'a [i64], tags: &'a Tags<'a> },
    /// Members: kind, id, role.
    Relation { id: i64, members: &'a [(MemberKind, i64, &'a str)], tags: &'a Tags<'a> },
}

/// What of a block is wanted; the rest is not decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub nodes: bool,
    pub ways: bool,
    pub relations: bool,
}

/// What stands in the header of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct FileHeader {
    /// Features that a reader must know.
    pub required: Vec<String>,
    /// West, south, east, north in degrees.
    pub extent: Option<[f64; 4]>,
}

impl FileHeader {
    pub fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let mut header = Self::default();
        let mut message = Message::new(bytes);
        while let Some((number, field)) = message.next()? {
            match number {
                1 => {
                    let mut sides = [None; 4];
                    let mut bbox = Message::new(field.bytes()?);
                    while let Some((number, field)) = bbox.next()? {
                        // left, right, top, bottom
                        if let Some(at) = [0, 2, 3, 1].get((number as usize).wrapping_sub(1)) {
                            sides[*at] = Some(field.signed()? as f64 / 1e9);
                        }
                    }
                    if let [Some(west), Some(south), Some(east), Some(north)] = sides {
                        let is_box = west <= east && south <= north && west.abs().max(east.abs()) <= 180.0;
                        header.extent =
                            (is_box && south.abs().max(north.abs()) <= 90.0).then_some([west, south, east, north]);
                    }
                }
                4 => header.required.push(String::from_utf8_lossy(field.bytes()?).into_owned()),
                _ => {}
            }
        }
        Ok(header)
    }
}

/// Why reading a block ended: its bytes, or the one who takes its elements.
pub(super) enum Stop<E> {
    Fault(Fault),
    Taker(E),
}

impl<E> From<Fault> for Stop<E> {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A block of elements.
pub(super) struct Block<'a> {
    strings: Vec<&'a str>,
    /// Strings that are no UTF-8; they read as U+FFFD.
    pub damaged_strings: usize,
    groups: Vec<&'a [u8]>,
    granularity: i64,
    lat_offset: i64,
    lon_offset: i64,
}

impl<'a> Block<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut block = Self {
            strings: Vec::new(),
            damaged_strings: 0,
            groups: Vec::new(),
            granularity: 100,
            lat_offset: 0,
            lon_offset: 0,
        };
        let mut message = Message::new(bytes);
        while let Some((number, field)) = message.next()? {
            match number {
                1 => {
                    let mut table = Message::new(field.bytes()?);
                    while let Some((number, field)) = table.next()? {
                        if number == 1 {
                            let text = std::str::from_utf8(field.bytes()?);
                            block.damaged_strings += usize::from(text.is_err());
                            block.strings.push(text.unwrap_or("\u{fffd}"));
                        }
                    }
                }
                2 => block.groups.push(field.bytes()?),
                17 => block.granularity = i64::from(field.number()? as i32),
                19 => block.lat_offset = field.number()? as i64,
                20 => block.lon_offset = field.number()? as i64,
                _ => {}
            }
        }
        match (1..=1_000_000_000).contains(&block.granularity) {
            true => Ok(block),
            false => Err("a granularity out of range"),
        }
    }

    /// What the block holds.
    pub fn contents(&self) -> Result<Wanted, Fault> {
        let mut held = Wanted::default();
        for group in &self.groups {
            // A group holds elements of one kind; its first field says which.
            match Message::new(group).next()? {
                Some((1 | 2, _)) => held.nodes = true,
                Some((3, _)) => held.ways = true,
                Some((4, _)) => held.relations = true,
                _ => {}
            }
        }
        Ok(held)
    }

    /// Hands over every wanted element.
    pub fn each<E>(&self, wanted: Wanted, take: &mut dyn FnMut(Element<'_>) -> Result<(), E>) -> Result<(), Stop<E>> {
        let mut room = Room::default();
        for group in &self.groups {
            let mut message = Message::new(group);
            while let Some((number, field)) = message.next()? {
                match number {
                    1 if wanted.nodes => self.node(field, &mut room, take)?,
                    2 if wanted.nodes => self.dense(field, &mut room, take)?,
                    3 if wanted.ways => self.way(field, &mut room, take)?,
                    4 if wanted.relations => self.relation(field, &mut room, take)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn string(&self, index: u64) -> Result<&'a str, Fault> {
        let text = usize::try_from(index).ok().and_then(|i| self.strings.get(i));
        text.copied().ok_or("a string that is not in the table")
    }

    fn tags(
        &self,
        mut keys: Numbers<'_>,
        mut values: Numbers<'_>,
        tags: &mut Vec<(&'a str, &'a str)>,
    ) -> Result<(), Fault> {
        tags.clear();
        loop {
            match (keys.next()?, values.next()?) {
                (Some(key), Some(value)) => tags.push((self.string(key)?, self.string(value)?)),
                (None, None) => return Ok(()),
                _ => return Err("a key without a value"),
            }
        }
    }

    /// Degrees times 10⁷ of a coordinate in units of the granularity.
    fn degrees(&self, units: i64, offset: i64, most: i64) -> Result<i32, Fault> {
        let nano = units.checked_mul(self.granularity).and_then(|n| n.checked_add(offset));
        let e7 = nano.map(|n| n.div_euclid(100)).filter(|n| n.abs() <= most * 10_000_000);
        e7.and_then(|n| i32::try_from(n).ok()).ok_or("a node beyond the Earth's degrees")
    }

    fn node<E>(
        &self,
        field: Field<'_>,
        room: &mut Room<'a>,
        take: &mut dyn FnMut(Element<'_>) -> Result<(), E>,
    ) -> Result<(), Stop<E>> {
        let (mut keys, mut values) = (Numbers::default(), Numbers::default());
        let (mut id, mut lat, mut lon) = (None, None, None);
        let mut message = Message::new(field.bytes()?);
        while let Some((number, field)) = message.next()? {
            match number {
                1 => id = Some(field.signed()?),
                2 => keys = field.numbers()?,
                3 => values = field.numbers()?,
                8 => lat = Some(field.signed()?),
                9 => lon = Some(field.signed()?),
                _ => {}
            }
        }
        let (Some(id), Some(lat), Some(lon)) = (id, lat, lon) else { return Err("a node without id or place".into()) };
        let (lat, lon) = (self.degrees(lat, self.lat_offset, 90)?, self.degrees(lon, self.lon_offset, 180)?);
        self.tags(keys, values, &mut room.tags)?;
        take(Element::Node { id, lon, lat, tags: &room.tags }).map_err(Stop::Taker)
    }

    fn dense<E>(
        &self,
        field: Field<'_>,
        room: &mut Room<'a>,
        take: &mut dyn FnMut(Element<'_>) -> Result<(), E>,
    ) -> Result<(), Stop<E>> {
        let [mut ids, mut lats, mut lons, mut tagging] = [Numbers::default(); 4];
        let mut message = Message::new(field.bytes()?);
        while let Some((number, field)) = message.next()? {
            match number {
                1 => ids = field.numbers()?,
                8 => lats = field.numbers()?,
                9 => lons = field.numbers()?,
                10 => tagging = field.numbers()?,
                _ => {}
            }
        }
        let has_tags = !tagging.is_empty();
        let (mut id, mut lat, mut lon) = (0_i64, 0_i64, 0_i64);
        while let Some(step) = ids.next_signed()? {
            let (Some(up), Some(right)) = (lats.next_signed()?, lons.next_signed()?) else {
                return Err("fewer places than nodes".into());
            };
            id = sum(id, step)?;
            lat = sum(lat, up)?;
            lon = sum(lon, right)?;
            room.tags.clear();
            if has_tags {
                loop {
                    match tagging.next()? {
                        Some(0) => break,
                        None => return Err("fewer tags than nodes".into()),
                        Some(key) => {
                            let value = tagging.next()?.ok_or("a key without a value")?;
                            room.tags.push((self.string(key)?, self.string(value)?));
                        }
                    }
                }
            }
            let place = (self.degrees(lat, self.lat_offset, 90)?, self.degrees(lon, self.lon_offset, 180)?);
            take(Element::Node { id, lat: place.0, lon: place.1, tags: &room.tags }).map_err(Stop::Taker)?;
        }
        match lats.is_empty() && lons.is_empty() && tagging.is_empty() {
            true => Ok(()),
            false => Err("more places or tags than nodes".into()),
        }
    }

    fn way<E>(
        &self,
        field: Field<'_>,
        room: &mut Room<'a>,
        take: &mut dyn FnMut(Element<'_>) -> Result<(), E>,
    ) -> Result<(), Stop<E>> {
        let [mut keys, mut values, mut refs] = [Numbers::default(); 3];
        let mut id = None;
        let mut message = Message::new(field.bytes()?);
        while let Some((number, field)) = message.next()? {
            match number {
                1 => id = Some(field.number()? as i64),
                2 => keys = field.numbers()?,
                3 => values = field.numbers()?,
                8 => refs = field.numbers()?,
                _ => {}
            }
        }
        let id = id.ok_or("a way without id")?;
        self.tags(keys, values, &mut room.tags)?;
        room.refs.clear();
        let mut node = 0_i64;
        while let Some(step) = refs.next_signed()? {
            node = sum(node, step)?;
            room.refs.push(node);
        }
        take(Element::Way { id, refs: &room.refs, tags: &room.tags }).map_err(Stop::Taker)
    }

    fn relation<E>(
        &self,
        field: Field<'_>,
        room: &mut Room<'a>,
        take: &mut dyn FnMut(Element<'_>) -> Result<(), E>,
    ) -> Result<(), Stop<E>> {
        let [mut keys, mut values, mut roles, mut ids, mut kinds] = [Numbers::default(); 5];
        let mut id = None;
        let mut message = Message::new(field.bytes()?);
        while let Some((number, field)) = message.next()? {
            match number {
                1 => id = Some(field.number()? as i64),
                2 => keys = field.numbers()?,
                3 => values = field.numbers()?,
                8 => roles = field.numbers()?,
                9 => ids = field.numbers()?,
                10 => kinds = field.numbers()?,
                _ => {}
            }
        }
        let id = id.ok_or("a relation without id")?;
        self.tags(keys, values, &mut room.tags)?;
        room.members.clear();
        let mut member = 0_i64;
        while let Some(step) = ids.next_signed()? {
            member = sum(member, step)?;
            let kind = match kinds.next()? {
                Some(0) => MemberKind::Node,
                Some(1) => MemberKind::Way,
                Some(2) => MemberKind::Relation,
                _ => return Err("a member of no kind".into()),
            };
            let role = self.string(roles.next()?.ok_or("a member without a role")?)?;
            room.members.push((kind, member, role));
        }
        take(Element::Relation { id, members: &room.members, tags: &room.tags }).map_err(Stop::Taker)
    }
}

/// Room that is used again for each element.
#[derive(Default)]
struct Room<'a> {
    tags: Vec<(&'a str, &'a str)>,
    refs: Vec<i64>,
    members: Vec<(MemberKind, i64, &'a str)>,
}

fn sum(a: i64, b: i64) -> Result<i64, Fault> {
    a.checked_add(b).ok_or("an id or place beyond 64 bits")
}
