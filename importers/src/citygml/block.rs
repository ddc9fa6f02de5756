//! Members in blocks: while one block is made on every core, the next is read and the last is handed on.
//!
//! Objects, warnings and skips come in the order of the file on any number of cores.

use groundline_engine::model::SourceReport;
use rayon::prelude::*;

use super::{
    member::{Forwarder, Members, Settled, Workshop},
    source::{Part, Raw, Source},
    tree::Tree,
    use_of,
};
use crate::{
    citymodel::Prepared,
    format::{ImportError, Out},
};

/// Text that is made together.
const BLOCK_BYTES: usize = 4 << 20;
/// Text that one core makes at a time.
const PIECE_BYTES: usize = 128 << 10;
/// Members larger than this are made by themselves, and their objects handed on one by one.
const LARGE_BYTES: usize = 8 << 20;

/// Members that wait to be made.
struct Block {
    pieces: Vec<Piece>,
    /// Bytes of the file read so far, and members.
    at: u64,
    members: u64,
    /// How the file ended behind them.
    end: Option<Result<(), ImportError>>,
}

enum Piece {
    /// Members that may be made in any order.
    Free(Vec<Raw>),
    /// One that must wait for those before it, or is large.
    Waiting(Raw),
}

/// What was made of a piece.
enum Made {
    Done { prepared: Vec<Prepared>, report: Box<SourceReport>, fault: Option<ImportError> },
    Waiting(Raw),
}

/// Reads the members that are left, once what holds for all is settled.
pub(super) fn read(
    source: &mut Source,
    length: u64,
    members: &mut Members<'_>,
    out: &mut dyn Out,
    report: &mut SourceReport,
) -> Result<(), ImportError> {
    let (settled, mut forwarder) = members.split();
    let mut block = Block::read(source);
    let (mut made, mut mark) = (Vec::new(), 0);
    loop {
        let Block { pieces, at, members, end } = block;
        let (mut making, mut next, mut outcome) = (Vec::new(), None, Ok(()));
        rayon::in_place_scope(|scope| {
            scope.spawn(|_| making = pieces.into_par_iter().map(|piece| piece.make(settled)).collect());
            outcome = forwarder.forward(std::mem::take(&mut made), out, report);
            if outcome.is_ok() && mark > 0 {
                out.mark(mark, &forwarder.take_fresh(), report);
            }
            next = (outcome.is_ok() && end.is_none()).then(|| Block::read(source));
        });
        outcome?;
        made = making;
        mark = members;
        out.progress((at as f64 / length as f64).min(1.0) as f32);
        match next {
            Some(next) => block = next,
            None => {
                forwarder.forward(made, out, report)?;
                return end.unwrap_or(Ok(()));
            }
        }
    }
}

impl Block {
    fn read(source: &mut Source) -> Self {
        let mut tree = Tree::default();
        let (mut pieces, mut piece) = (Vec::new(), Vec::new());
        let (mut all_bytes, mut bytes) = (0, 0);
        let end = loop {
            if all_bytes >= BLOCK_BYTES {
                break None;
            }
            match source.part(&mut tree, use_of) {
                Ok(Part::End) => break Some(Ok(())),
                Err(error) => break Some(Err(error)),
                Ok(_) => {}
            }
            let Some(raw) = source.take_raw() else { continue };
            all_bytes += raw.len() + RAW_BYTES;
            bytes += raw.len();
            // Shapes that stand in many places may have their prototype in a member before.
            if raw.len() > LARGE_BYTES || raw.has(b"ImplicitGeometry") {
                pieces.push(Piece::Free(std::mem::take(&mut piece)));
                pieces.push(Piece::Waiting(raw));
                bytes = 0;
                continue;
            }
            piece.push(raw);
            if bytes >= PIECE_BYTES {
                pieces.push(Piece::Free(std::mem::take(&mut piece)));
                bytes = 0;
            }
        };
        pieces.push(Piece::Free(piece));
        Self { pieces, at: source.at(), members: source.members(), end }
    }
}

/// What a member weighs besides its text.
const RAW_BYTES: usize = 128;

impl Piece {
    fn make(self, settled: &Settled<'_>) -> Made {
        let raws = match self {
            Self::Free(raws) => raws,
            Self::Waiting(raw) => return Made::Waiting(raw),
        };
        let mut workshop = Workshop::new(settled.job());
        let (mut prepared, mut report) = (Vec::new(), Box::<SourceReport>::default());
        for raw in &raws {
            let made = settled.make(raw, &mut workshop, &mut report, &mut |one, _| {
                prepared.push(one);
                Ok(())
            });
            if let Err(fault) = made {
                return Made::Done { prepared, report, fault: Some(fault) };
            }
        }
        Made::Done { prepared, report, fault: None }
    }
}

impl Forwarder<'_, '_> {
    /// Hands on a block up to the first fault.
    fn forward(&mut self, made: Vec<Made>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
        for made in made {
            match made {
                Made::Waiting(raw) => self.take(&raw, out, report)?,
                Made::Done { prepared, report: own, fault } => {
                    report.absorb(*own);
                    self.hand_on(prepared, out, report)?;
                    fault.map_or(Ok(()), Err)?;
                }
            }
        }
        Ok(())
    }
}
