//! A request body that is passed on while it comes: the engine's end takes what the client sent, the step's end hands it
//! out, and no more than a bound lies between them. Whoever drops the step's end wants no more: the rest is thrown away.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Bytes, BytesMut};

/// What lies between the two ends.
#[derive(Debug, Default)]
struct Between {
    bytes: BytesMut,
    /// Whether the last byte has come.
    whole: bool,
}

/// The end of the engine.
#[derive(Debug)]
pub struct Feed {
    between: Arc<Mutex<Between>>,
    most: usize,
}

/// The end of a step, or of the stream that its answer is.
#[derive(Debug)]
pub struct Inflow {
    between: Arc<Mutex<Between>>,
}

/// Two ends with at most so many bytes between them.
pub fn pair(most: usize) -> (Feed, Inflow) {
    let between = Arc::<Mutex<Between>>::default();
    (Feed { between: between.clone(), most }, Inflow { between })
}

impl Feed {
    /// Whether somebody still wants the body.
    pub fn is_wanted(&self) -> bool {
        Arc::strong_count(&self.between) > 1
    }

    /// How many bytes may be put in now.
    pub fn room(&self) -> usize {
        self.most.saturating_sub(lock(&self.between).bytes.len())
    }

    /// Adds bytes at the end.
    pub fn put(&self, bytes: &[u8]) {
        lock(&self.between).bytes.extend_from_slice(bytes);
    }

    /// The last byte was put in.
    pub fn end(&self) {
        lock(&self.between).whole = true;
    }
}

impl Inflow {
    /// At most so many bytes from the front; none if none are there now.
    pub fn take(&self, most: usize) -> Bytes {
        let mut between = lock(&self.between);
        let most = most.min(between.bytes.len());
        if between.bytes.is_empty() {
            // Whoever waits for a slow client holds no memory for what has passed.
            between.bytes = BytesMut::new();
        }
        between.bytes.split_to(most).freeze()
    }

    /// Whether the last byte has come and was taken.
    pub fn has_ended(&self) -> bool {
        let between = lock(&self.between);
        between.whole && between.bytes.is_empty()
    }
}

fn lock(between: &Mutex<Between>) -> MutexGuard<'_, Between> {
    // Nothing that can panic runs under this lock.
    between.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_within_a_bound() {
        let (feed, inflow) = pair(5);
        feed.put(b"abcde");
        assert_eq!((feed.room(), &inflow.take(2)[..], feed.room()), (0, &b"ab"[..], 2));
        feed.end();
        assert!(!inflow.has_ended());
        assert_eq!(&inflow.take(usize::MAX)[..], b"cde");
        assert!(inflow.has_ended() && inflow.take(1).is_empty());
    }

    #[test]
    fn whoever_drops_its_end_wants_no_more() {
        let (feed, inflow) = pair(5);
        assert!(feed.is_wanted());
        drop(inflow);
        assert!(!feed.is_wanted());
    }
}
