//! What a flood of passwords may cost: slow hashes are worked out one at a time for each processor, the rest waits without
//! a worker in a bounded queue, of one address only so many; results are remembered for a minute under a keyed hash.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use lru::LruCache;
use sha2::Sha256;

use crate::exchange::queue::Queue;

/// How long a result is remembered.
const MEMORY: Duration = Duration::from_secs(60);
/// How many are remembered.
const RESULTS: usize = 8192;
/// How many may wait for their turn.
pub const LONGEST: usize = 256;
/// How many of them may come from one address.
const FROM_ONE: u32 = 32;

/// By what a result is remembered: nobody can tell the password from it.
pub type Fingerprint = [u8; 32];

static KEY: LazyLock<[u8; 32]> = LazyLock::new(|| {
    let mut key = [0; 32];
    // Without randomness the fingerprints could be tried out by somebody who reads our memory, and the passwords stand there too.
    let _ = getrandom::fill(&mut key);
    key
});

static RESULTS_KEPT: LazyLock<Mutex<LruCache<Fingerprint, (Instant, bool)>>> =
    LazyLock::new(|| Mutex::new(LruCache::new(NonZeroUsize::new(RESULTS).unwrap_or(NonZeroUsize::MIN))));

static WAITING: LazyLock<Mutex<HashMap<Option<IpAddr>, u32>>> = LazyLock::new(Mutex::default);

/// The queue for slow hashes, and how many may be worked out at once.
pub fn queue() -> (&'static Arc<Queue>, usize) {
    static QUEUE: LazyLock<Arc<Queue>> = LazyLock::new(Arc::default);
    static MOST: LazyLock<usize> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get));
    (&QUEUE, *MOST)
}

/// The fingerprint of a stored password with the one that was sent.
pub fn fingerprint(stored: &[u8], password: &[u8]) -> Fingerprint {
    let mut mac = Hmac::<Sha256>::new_from_slice(&*KEY).expect("a key of any length will do for HMAC");
    mac.update(&(stored.len() as u64).to_be_bytes());
    mac.update(stored);
    mac.update(password);
    mac.finalize().into_bytes().into()
}

/// The result of the last minute, if there is one.
pub fn remembered(fingerprint: &Fingerprint) -> Option<bool> {
    let mut results = results();
    let (when, fits) = *results.get(fingerprint)?;
    if when.elapsed() < MEMORY {
        return Some(fits);
    }
    results.pop(fingerprint);
    None
}

/// Remembers a result.
pub fn remember(fingerprint: Fingerprint, fits: bool) {
    results().put(fingerprint, (Instant::now(), fits));
}

fn results() -> MutexGuard<'static, LruCache<Fingerprint, (Instant, bool)>> {
    // Nothing that can panic runs under this lock.
    RESULTS_KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One that waits, counted for its address until it is dropped.
pub struct Waiter(Option<IpAddr>);

impl Waiter {
    /// Counts one more of this address; none if too many wait.
    pub fn new(address: Option<IpAddr>) -> Option<Waiter> {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.entry(address).or_default();
        (*count < FROM_ONE).then(|| {
            *count += 1;
            Waiter(address)
        })
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waiting.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_remembered_for_both_at_once() {
        let print = fingerprint(b"stored", b"password");
        assert_eq!(remembered(&print), None);
        remember(print, true);
        assert_eq!(remembered(&print), Some(true));
        // Neither the other stored password nor the same bytes cut elsewhere.
        for (stored, password) in [("Stored", "password"), ("storedp", "assword"), ("stored", "Password")] {
            assert_eq!(remembered(&fingerprint(stored.as_bytes(), password.as_bytes())), None);
        }
    }

    #[test]
    fn one_address_does_not_fill_the_queue() {
        let address = "192.0.2.1".parse().ok();
        let waiters: Vec<_> = (0..FROM_ONE).map(|_| Waiter::new(address)).collect();
        assert!(waiters.iter().all(Option::is_some) && Waiter::new(address).is_none());
        assert!(Waiter::new("192.0.2.2".parse().ok()).is_some());
        drop(waiters);
        assert!(Waiter::new(address).is_some());
    }
}
