//! What was noted about the owner of a place that many have one after another: its generation and the marks in one word. A late event
//! carries the generation that it was meant for, so it marks nothing of who has the place by then. Knows no connection and no bell.

use crate::sync::atomic::{AcqRel, Acquire, AtomicU64};

/// A generation, and up to 32 marks.
pub struct Marks(AtomicU64);

impl Default for Marks {
    fn default() -> Self {
        Marks(AtomicU64::new(0))
    }
}

impl Marks {
    /// Counts the owners that the place had; it wraps.
    pub fn generation(&self) -> u32 {
        (self.0.load(Acquire) >> 32) as u32
    }

    /// Leaves marks for the owner of this generation; false if it has gone.
    pub fn note(&self, generation: u32, marks: u32) -> bool {
        let noted = |word| (word >> 32 == u64::from(generation)).then_some(word | u64::from(marks));
        self.0.fetch_update(AcqRel, Acquire, noted).is_ok()
    }

    /// Whether one of these marks is there.
    pub fn has(&self, marks: u32) -> bool {
        self.0.load(Acquire) & u64::from(marks) != 0
    }

    /// Removes a mark; whether it was there. Costs a load where it was not.
    pub fn take(&self, mark: u32) -> bool {
        self.has(mark) && self.0.fetch_and(!u64::from(mark), AcqRel) & u64::from(mark) != 0
    }

    /// The owner leaves: the next generation begins without marks.
    pub fn next(&self) {
        let next = |word: u64| Some((word >> 32).wrapping_add(1) << 32);
        // Always a word: it never fails.
        let _ = self.0.fetch_update(AcqRel, Acquire, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_for_one_generation() {
        let marks = Marks::default();
        assert!(marks.note(0, 1) && marks.note(0, 2) && marks.has(1) && marks.has(3) && !marks.has(4));
        assert_eq!([marks.take(1), marks.take(1), marks.has(2)], [true, false, true]);
        marks.next();
        assert_eq!((marks.generation(), marks.has(3), marks.note(0, 1), marks.has(1)), (1, false, false, false));
        assert!(marks.note(1, 1) && marks.has(1));
    }

    #[test]
    fn generations_wrap() {
        let marks = Marks(AtomicU64::new(u64::MAX));
        marks.next();
        assert_eq!((marks.generation(), marks.has(u32::MAX)), (0, false));
    }
}
