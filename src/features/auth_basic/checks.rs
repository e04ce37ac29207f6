//! What a flood of passwords may cost: slow hashes are worked out one at a time for each processor, the rest waits without
//! a worker in a bounded queue, in which addresses take turns, and so do names from one; each has a share. Results are remembered
//! for a minute under a keyed hash.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use lru::LruCache;
use sha2::Sha256;

use crate::exchange::queue::{Queue, Whose};

/// How long a result is remembered.
const MEMORY: Duration = Duration::from_secs(60);
/// How many are remembered of each outcome.
const RESULTS: usize = 8192;
/// How many may wait for their turn.
pub const LONGEST: usize = 1024;
/// How many of them may come from one address. Many people may share it, behind a proxy.
const FROM_ONE: u32 = 128;
/// How many of those may be for one name, whether there is such a user or not.
const FOR_ONE: u32 = 32;

/// By what a result is remembered: nobody can tell the password from it.
pub type Fingerprint = [u8; 32];

static KEY: LazyLock<[u8; 32]> = LazyLock::new(|| {
    let mut key = [0; 32];
    // Without randomness the fingerprints could be tried out by somebody who reads our memory, and the passwords stand there too.
    let _ = getrandom::fill(&mut key);
    key
});

/// Results with the moment they were worked out. A flood of wrong passwords must not push the right ones out.
struct Results {
    right: LruCache<Fingerprint, Instant>,
    wrong: LruCache<Fingerprint, Instant>,
}

static RESULTS_KEPT: LazyLock<Mutex<Results>> = LazyLock::new(|| {
    let most = NonZeroUsize::new(RESULTS).unwrap_or(NonZeroUsize::MIN);
    Mutex::new(Results { right: LruCache::new(most), wrong: LruCache::new(most) })
});

/// How many wait, by the network of their address and by name.
type Waiting = HashMap<Option<IpAddr>, HashMap<Box<[u8]>, u32>>;

static WAITING: LazyLock<Mutex<Waiting>> = LazyLock::new(Mutex::default);

/// The queue for slow hashes, and how many may be worked out at once.
pub fn queue() -> (&'static Arc<Queue>, usize) {
    static QUEUE: LazyLock<Arc<Queue>> = LazyLock::new(Arc::default);
    static MOST: LazyLock<usize> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get));
    (&QUEUE, *MOST)
}

/// Whose turn it is when this one's comes.
pub fn whose(address: Option<IpAddr>, name: &[u8]) -> Whose {
    Whose::of(address.map(network), name)
}

/// The fingerprint of a stored password with the name and the password that were sent.
pub fn fingerprint(user: &[u8], stored: &[u8], password: &[u8]) -> Fingerprint {
    let mut mac = Hmac::<Sha256>::new_from_slice(&*KEY).expect("a key of any length will do for HMAC");
    for part in [user, stored, password] {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// The result of the last minute, if there is one.
pub fn remembered(fingerprint: &Fingerprint) -> Option<bool> {
    let mut guard = results();
    let Results { right, wrong } = &mut *guard;
    [(right, true), (wrong, false)].into_iter().find_map(|(kept, fits)| {
        let is_fresh = kept.get(fingerprint)?.elapsed() < MEMORY;
        if !is_fresh {
            kept.pop(fingerprint);
        }
        is_fresh.then_some(fits)
    })
}

/// Remembers a result.
pub fn remember(fingerprint: Fingerprint, fits: bool) {
    let mut results = results();
    let kept = if fits { &mut results.right } else { &mut results.wrong };
    kept.put(fingerprint, Instant::now());
}

fn results() -> MutexGuard<'static, Results> {
    // Nothing that can panic runs under this lock.
    RESULTS_KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One that waits, counted for its address and its name until it is dropped.
pub struct Waiter {
    network: Option<IpAddr>,
    name: Box<[u8]>,
}

/// Why one more may not wait.
#[derive(Debug, PartialEq, Eq)]
pub enum TooMany {
    /// Its address has as many as it may.
    FromAddress,
    /// The name has as many from this address.
    ForName,
}

impl Waiter {
    /// Counts one more.
    pub fn new(address: Option<IpAddr>, name: &[u8]) -> Result<Waiter, TooMany> {
        let network = address.map(network);
        let mut waiting = waiting();
        let names = waiting.entry(network).or_default();
        if names.get(name).is_some_and(|count| *count >= FOR_ONE) {
            return Err(TooMany::ForName);
        }
        if names.values().sum::<u32>() >= FROM_ONE {
            return Err(TooMany::FromAddress);
        }
        *names.entry(name.into()).or_default() += 1;
        Ok(Waiter { network, name: name.into() })
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = waiting();
        let Some(names) = waiting.get_mut(&self.network) else { return };
        if let Some(count) = names.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                names.remove(&self.name);
            }
        }
        if names.is_empty() {
            waiting.remove(&self.network);
        }
    }
}

fn waiting() -> MutexGuard<'static, Waiting> {
    // Nothing that can panic runs under this lock.
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What counts as one address: of IPv6 the first half, since the other is the client's to choose.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_remembered_for_all_three_at_once() {
        let print = fingerprint(b"user", b"stored", b"password");
        assert_eq!(remembered(&print), None);
        remember(print, true);
        assert_eq!(remembered(&print), Some(true));
        // Neither another part nor the same bytes cut elsewhere.
        for (user, stored, password) in [
            ("user", "Stored", "password"),
            ("user", "storedp", "assword"),
            ("user", "stored", "Password"),
            ("other", "stored", "password"),
            ("users", "tored", "password"),
        ] {
            let print = fingerprint(user.as_bytes(), stored.as_bytes(), password.as_bytes());
            assert_eq!(remembered(&print), None);
        }
    }

    #[test]
    fn wrong_passwords_do_not_push_right_ones_out() {
        let print = fingerprint(b"kept", b"stored", b"password");
        remember(print, true);
        for n in 0..=RESULTS {
            remember(fingerprint(b"flood", b"stored", &n.to_be_bytes()), false);
        }
        assert_eq!(remembered(&print), Some(true));
        assert_eq!(remembered(&fingerprint(b"flood", b"stored", &0usize.to_be_bytes())), None);
    }

    fn wait(address: &str, name: &str) -> Result<Waiter, TooMany> {
        Waiter::new(address.parse().ok(), name.as_bytes())
    }

    #[test]
    fn one_name_does_not_fill_the_share_of_its_address() {
        let mut waiters: Vec<_> = (0..FOR_ONE).map(|_| wait("192.0.2.1", "a").unwrap()).collect();
        assert_eq!(wait("192.0.2.1", "a").err(), Some(TooMany::ForName));
        assert!(wait("192.0.2.2", "a").is_ok(), "the name from elsewhere");
        waiters.extend((FOR_ONE..FROM_ONE).map(|n| wait("192.0.2.1", &n.to_string()).unwrap()));
        assert_eq!(wait("192.0.2.1", "b").err(), Some(TooMany::FromAddress));
        assert!(wait("192.0.2.2", "b").is_ok());
        drop(waiters);
        assert!(wait("192.0.2.1", "a").is_ok() && wait("192.0.2.1", "b").is_ok());
    }

    #[test]
    fn what_a_client_may_choose_of_its_address_does_not_count() {
        for (address, expected) in
            [("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::")]
        {
            assert_eq!(network(address.parse().unwrap()).to_string(), expected);
        }
    }
}
