//! Places that many have one after another, in chunks that never move: a table that grows and does not shrink. Who has the table sees
//! a place from the moment it was made, whichever thread made it, and takes no lock for it. Knows no connection and no bell.

use crate::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, scaled};

/// Places that lie together.
pub type Chunk<P> = Arc<[P]>;

/// A row of chunks, each made when it is needed.
type Row<P> = Box<[OnceLock<Chunk<P>>]>;

/// Chunks of a row.
const ROW: usize = scaled(256, 2);
/// Rows of a table. With the smallest chunks there are 33 million places, far more than a process has descriptors.
const ROWS: usize = scaled(512, 2);

/// The table, with so many places in each chunk.
pub struct Chunks<P, const PER: usize> {
    rows: [OnceLock<Row<P>>; ROWS],
    free: Mutex<Free>,
}

#[derive(Default)]
struct Free {
    /// The places that nobody has.
    indexes: Vec<u32>,
    /// How many chunks there are.
    chunks: usize,
}

impl<P, const PER: usize> Default for Chunks<P, PER> {
    fn default() -> Self {
        Chunks { rows: std::array::from_fn(|_| OnceLock::new()), free: Mutex::new(Free::default()) }
    }
}

impl<P: Default, const PER: usize> Chunks<P, PER> {
    /// A place that nobody has: its chunk, and its index.
    pub fn claim(&self) -> (Chunk<P>, u32) {
        let mut free = self.free();
        if free.indexes.is_empty() {
            self.grow(&mut free);
        }
        let index = free.indexes.pop().expect("there is a free place: a chunk was just added if none was");
        let chunk = self.chunk(index as usize / PER).expect("a place that is free was made");
        (chunk.clone(), index)
    }

    fn grow(&self, free: &mut Free) {
        let row = self.rows[free.chunks / ROW].get_or_init(|| (0..ROW).map(|_| OnceLock::new()).collect());
        row[free.chunks % ROW].get_or_init(|| (0..PER).map(|_| P::default()).collect());
        let first = (free.chunks * PER) as u32;
        free.indexes.extend((first..first + PER as u32).rev());
        free.chunks += 1;
    }
}

impl<P, const PER: usize> Chunks<P, PER> {
    /// The place is for the next who claims one.
    pub fn give_back(&self, index: u32) {
        self.free().indexes.push(index);
    }

    /// The place of this index, if there is one.
    pub fn get(&self, index: usize) -> Option<&P> {
        self.chunk(index / PER)?.get(index % PER)
    }

    /// All places there are.
    pub fn all(&self) -> impl Iterator<Item = &P> {
        (0..).map_while(|number| self.chunk(number)).flat_map(|chunk| chunk.iter())
    }

    fn chunk(&self, number: usize) -> Option<&Chunk<P>> {
        self.rows.get(number / ROW)?.get()?[number % ROW].get()
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        // Nothing that can panic runs under this lock.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_chunk_is_seen_at_once() {
        let table = Chunks::<u8, 2>::default();
        assert_eq!((table.all().count(), table.get(0)), (0, None));
        let claimed: Vec<_> = (0..2 * ROW as u32 + 1).map(|_| table.claim().1).collect();
        assert_eq!(claimed, (0..2 * ROW as u32 + 1).collect::<Vec<_>>(), "in their order, over more than a row");
        assert_eq!(table.all().count(), 2 * ROW + 2);
        assert!(table.get(2 * ROW + 1).is_some() && table.get(2 * ROW + 2).is_none());
        table.give_back(3);
        assert_eq!(table.claim().1, 3);
    }
}
