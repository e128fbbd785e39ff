//! The newest pieces of a stream, for all who follow it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// A place in a stream: a commit and a place in it, or the number of an entry and 0. What is read up to a place is
/// all that is there up to it.
pub type Position = (i64, i64);

/// How many pieces a ring keeps at most.
const PIECES: usize = 256;
/// How many bytes a ring keeps at most, beside the newest piece.
const BYTES: usize = 1 << 20;

/// A piece of a stream: all that is in it after one place and up to another.
#[derive(Debug)]
pub struct Piece<T> {
    /// After which place.
    pub from: Position,
    /// Up to which place, inclusively.
    pub to: Position,
    /// About how many bytes it takes.
    pub size: usize,
    /// Whether the stream ends with it.
    pub is_last: bool,
    /// What is in it.
    pub content: T,
}

/// The newest pieces, one after the other without a gap. Who is further behind reads from the store.
#[derive(Debug)]
pub struct Ring<T> {
    pieces: Mutex<Pieces<T>>,
    reached: watch::Sender<Reached>,
}

/// How far a stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// Up to where it is known.
    pub position: Position,
    /// Whether it ends there.
    pub is_over: bool,
}

#[derive(Debug)]
struct Pieces<T> {
    kept: VecDeque<Arc<Piece<T>>>,
    bytes: usize,
}

impl<T> Ring<T> {
    /// An empty ring of a stream of which what is up to a place was there before.
    #[must_use]
    pub fn new(position: Position) -> Self {
        Self {
            pieces: Mutex::new(Pieces { kept: VecDeque::new(), bytes: 0 }),
            reached: watch::Sender::new(Reached { position, is_over: false }),
        }
    }

    /// Up to where the stream is known.
    #[must_use]
    pub fn position(&self) -> Position {
        self.reached.borrow().position
    }

    /// Adds the next piece; one that is not the next is left out.
    pub fn push(&self, piece: Arc<Piece<T>>) {
        if piece.from != self.position() {
            return;
        }
        let reached = Reached { position: piece.to, is_over: piece.is_last };
        let mut pieces = self.lock();
        // An end without anything new is told, and not kept: the place has what follows it.
        if piece.from < piece.to {
            pieces.bytes += piece.size;
            pieces.kept.push_back(piece);
        }
        while pieces.kept.len() > PIECES || (pieces.bytes > BYTES && pieces.kept.len() > 1) {
            let gone = pieces.kept.pop_front().map_or(0, |piece| piece.size);
            pieces.bytes -= gone;
        }
        drop(pieces);
        self.reached.send_replace(reached);
    }

    /// Tells that the stream ends where it has come.
    pub fn end(&self) {
        self.reached.send_if_modified(|reached| !std::mem::replace(&mut reached.is_over, true));
    }

    /// The piece that begins at a place and ends at another or before, if it is kept.
    #[must_use]
    pub fn after(&self, from: Position, upto: Position) -> Option<Arc<Piece<T>>> {
        let pieces = self.lock();
        let found = pieces.kept.binary_search_by(|piece| piece.from.cmp(&from)).ok()?;
        // An end that was one when the piece was read may be none any more.
        let is_fit = |piece: &&Arc<Piece<T>>| piece.to <= upto && (!piece.is_last || piece.to == upto);
        pieces.kept.get(found).filter(is_fit).cloned()
    }

    /// Tells whoever waits for the stream to go on.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Reached> {
        self.reached.subscribe()
    }

    /// A holder that panics leaves pieces that are whole.
    fn lock(&self) -> MutexGuard<'_, Pieces<T>> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(from: i64, to: i64, size: usize) -> Arc<Piece<i64>> {
        Arc::new(Piece { from: (from, 0), to: (to, 0), size, is_last: false, content: to })
    }

    fn found(ring: &Ring<i64>, from: i64, upto: i64) -> Option<i64> {
        ring.after((from, 0), (upto, 0)).map(|piece| piece.content)
    }

    /// How many pieces are kept, and their bytes.
    fn kept(ring: &Ring<i64>) -> (usize, usize) {
        let pieces = ring.lock();
        (pieces.kept.len(), pieces.bytes)
    }

    #[test]
    fn a_ring_gives_what_follows_a_place_where_a_piece_begins_there() {
        let ring = Ring::new((3, 0));
        assert_eq!(found(&ring, 3, 9), None);
        ring.push(piece(3, 5, 1));
        ring.push(piece(5, 6, 1));
        assert_eq!(ring.position(), (6, 0));
        assert_eq!([3, 4, 5, 6].map(|from| found(&ring, from, 9)), [Some(5), None, Some(6), None]);
        assert_eq!(found(&ring, 3, 4), None, "what goes too far is not given");
    }

    #[test]
    fn what_ended_once_does_not_end_before_what_came_since() {
        let ring = Ring::new((3, 0));
        ring.push(Arc::new(Piece { from: (3, 0), to: (5, 0), size: 1, is_last: true, content: 5 }));
        assert_eq!(found(&ring, 3, 5), Some(5));
        ring.push(piece(5, 6, 1));
        assert_eq!(found(&ring, 3, 6), None, "the store knows whether it ends");
        assert_eq!(found(&ring, 5, 6), Some(6));
    }

    #[test]
    fn what_would_leave_a_gap_or_come_twice_is_left_out() {
        let ring = Ring::new((3, 0));
        ring.push(piece(4, 5, 1));
        assert_eq!(ring.position(), (3, 0));
        ring.push(piece(3, 5, 1));
        ring.push(piece(3, 5, 1));
        assert_eq!((ring.position(), kept(&ring).0), ((5, 0), 1));
    }

    #[test]
    fn an_end_without_anything_new_is_told_and_not_kept() {
        let ring = Ring::new((3, 0));
        ring.push(Arc::new(Piece { from: (3, 0), to: (3, 0), size: 0, is_last: true, content: 3 }));
        assert_eq!(*ring.watch().borrow(), Reached { position: (3, 0), is_over: true });
        ring.push(piece(3, 4, 1));
        assert_eq!(found(&ring, 3, 9), Some(4));
        assert!(!ring.watch().borrow().is_over, "more was reported after its end");
    }

    #[test]
    fn a_ring_is_bounded_in_pieces_and_bytes() {
        let ring = Ring::new((0, 0));
        for n in 0..1_000 {
            ring.push(piece(n, n + 1, 1));
        }
        assert_eq!(kept(&ring), (PIECES, PIECES));
        for n in 1_000..1_010 {
            ring.push(piece(n, n + 1, BYTES));
        }
        assert_eq!(kept(&ring), (1, BYTES), "the newest is kept whatever its size");
        assert_eq!(found(&ring, 1_009, 2_000), Some(1_010));
    }
}
