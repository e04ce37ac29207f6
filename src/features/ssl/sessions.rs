//! What lets a client take up an earlier session: tickets that only we can read, and a cache of sessions. Both outlive a
//! reload: settings that ask for the same ones share them. Knows no connection.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{Context, SHA256};
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};

/// nginx keeps some 4000 sessions in a megabyte.
const SESSION: u64 = 256;
/// Keys made here that are still good for reading; the newest writes.
const KEPT: usize = 2;
/// The longest ticket that is looked at; clients' certificates stand in it.
const LONGEST: usize = 64 << 10;
const NAME_LEN: usize = 16;

/// The cache of this name and size, shared by all settings that ask for it.
pub fn cache(name: &str, bytes: u64, timeout: Duration) -> Arc<dyn StoresServerSessions> {
    static CACHES: Mutex<Vec<(String, u64, Weak<ServerSessionMemoryCache>)>> = Mutex::new(Vec::new());
    let mut caches = lock(&CACHES);
    caches.retain(|(_, _, cache)| cache.strong_count() > 0);
    let known = caches.iter().find(|(known, size, _)| known == name && *size == bytes);
    let store = known.and_then(|(_, _, cache)| cache.upgrade()).unwrap_or_else(|| {
        let entries = usize::try_from(bytes / SESSION).unwrap_or(usize::MAX).clamp(1, 4 << 20);
        let store = ServerSessionMemoryCache::new(entries);
        caches.push((name.to_string(), bytes, Arc::downgrade(&store)));
        store
    });
    Arc::new(Cache { store, timeout: timeout.as_secs() })
}

/// Tickets under keys that are made here and forgotten after a while.
pub fn tickets(timeout: Duration) -> Arc<dyn ProducesTickets> {
    static RINGS: Mutex<Vec<Weak<Ring>>> = Mutex::new(Vec::new());
    let mut rings = lock(&RINGS);
    rings.retain(|ring| ring.strong_count() > 0);
    let known = rings.iter().filter_map(Weak::upgrade).find(|ring| ring.timeout == timeout.as_secs());
    known.unwrap_or_else(|| {
        let ring = Arc::new(Ring { keys: Mutex::default(), rotates: true, timeout: timeout.as_secs() });
        rings.push(Arc::downgrade(&ring));
        ring
    })
}

/// Tickets under keys from files, so that several machines read each other's: the first writes, all read.
pub fn tickets_under(files: &[Vec<u8>], timeout: Duration) -> Arc<dyn ProducesTickets> {
    let keys = files.iter().map(|bytes| Key::from_file(bytes)).collect();
    Arc::new(Ring { keys: Mutex::new(keys), rotates: false, timeout: timeout.as_secs() })
}

/// A cache whose sessions grow too old.
struct Cache {
    store: Arc<ServerSessionMemoryCache>,
    timeout: u64,
}

impl Cache {
    fn fresh(&self, value: Vec<u8>) -> Option<Vec<u8>> {
        unstamp(&value, self.timeout).map(<[u8]>::to_vec)
    }
}

impl StoresServerSessions for Cache {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.store.put(key, stamp(&value))
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.fresh(self.store.get(key)?)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.fresh(self.store.take(key)?)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cache({} s)", self.timeout)
    }
}

/// The keys that tickets are sealed with, the newest first.
struct Ring {
    keys: Mutex<Vec<Key>>,
    /// Whether keys are made here, and forgotten.
    rotates: bool,
    /// How long a ticket is good, in seconds.
    timeout: u64,
}

impl Ring {
    /// Makes a new key once the newest is as old as a ticket may become: the one before it then reads the tickets that are
    /// still good, and whatever is older is forgotten.
    fn rotate(&self, keys: &mut Vec<Key>) {
        let now = now();
        let due = keys.first().is_none_or(|key| now.saturating_sub(key.made) >= self.timeout.max(60));
        if self.rotates
            && due
            && let Some(key) = Key::random(now)
        {
            keys.insert(0, key);
            keys.truncate(KEPT);
        }
    }
}

impl ProducesTickets for Ring {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.timeout).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut keys = lock(&self.keys);
        self.rotate(&mut keys);
        keys.first()?.seal(&stamp(plain))
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        if cipher.len() > LONGEST {
            return None;
        }
        let mut keys = lock(&self.keys);
        self.rotate(&mut keys);
        let plain = keys.iter().find_map(|key| key.open(cipher))?;
        unstamp(&plain, self.timeout).map(<[u8]>::to_vec)
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ring({} s)", self.timeout)
    }
}

/// One key with the name that tickets carry in front.
struct Key {
    name: [u8; NAME_LEN],
    key: LessSafeKey,
    made: u64,
}

impl Key {
    fn random(now: u64) -> Option<Key> {
        let mut secret = [0; 32 + NAME_LEN];
        getrandom::fill(&mut secret).ok()?;
        Key::new(&secret[..32], &secret[32..], now)
    }

    /// Any file is a key; that it is a random one of the right length is checked where its name stands.
    fn from_file(bytes: &[u8]) -> Key {
        let (secret, name) = (hash(b"key", bytes), hash(b"name", bytes));
        Key::new(secret.as_ref(), &name.as_ref()[..NAME_LEN], 0).expect("a SHA-256 is as long as a key")
    }

    fn new(secret: &[u8], name: &[u8], made: u64) -> Option<Key> {
        let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, secret).ok()?);
        Some(Key { name: name.try_into().ok()?, key, made })
    }

    /// Name, nonce, sealed text with its tag.
    fn seal(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let mut text = plain.to_vec();
        let name = Aad::from(self.name);
        self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), name, &mut text).ok()?;
        Some([&self.name[..], &nonce, &text].concat())
    }

    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let rest = sealed.strip_prefix(&self.name)?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN)?;
        let mut text = text.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = self.key.open_in_place(nonce, Aad::from(self.name), &mut text).ok()?;
        Some(plain.to_vec())
    }
}

fn hash(label: &[u8], bytes: &[u8]) -> ring::digest::Digest {
    let mut context = Context::new(&SHA256);
    context.update(b"longshore ticket ");
    context.update(label);
    context.update(bytes);
    context.finish()
}

/// A session with the time it was kept at in front.
fn stamp(value: &[u8]) -> Vec<u8> {
    [&now().to_be_bytes()[..], value].concat()
}

/// The session without its time; none if it has become too old.
fn unstamp(value: &[u8], timeout: u64) -> Option<&[u8]> {
    let (time, value) = value.split_first_chunk()?;
    (now().saturating_sub(u64::from_be_bytes(*time)) <= timeout).then_some(value)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What stands under these locks is whole at every moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_ticket_is_read_by_who_wrote_it_and_by_nobody_else() {
        let ring = tickets(MINUTE);
        let ticket = ring.encrypt(b"session").unwrap();
        assert_eq!(ring.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(tickets(Duration::from_secs(61)).decrypt(&ticket), None);
        // Settings that ask for the same ones, such as those after a reload, get them.
        assert!(tickets(MINUTE).decrypt(&ticket).is_some());
        for at in 0..ticket.len() {
            let mut bad = ticket.clone();
            bad[at] ^= 1;
            assert_eq!(ring.decrypt(&bad), None, "byte {at}");
            assert_eq!(ring.decrypt(&ticket[..at]), None, "the first {at} bytes");
        }
        assert_eq!(ring.decrypt(&vec![0; LONGEST + 1]), None);
    }

    #[test]
    fn keys_are_forgotten_after_twice_the_time() {
        let ring = Ring { keys: Mutex::default(), rotates: true, timeout: 60 };
        let ticket = ring.encrypt(b"session").unwrap();
        let age = |seconds| lock(&ring.keys).iter_mut().for_each(|key| key.made -= seconds);
        age(60);
        assert!(ring.decrypt(&ticket).is_some(), "the key before the newest still reads");
        age(60);
        assert!(ring.decrypt(&ticket).is_none());
        assert_eq!(lock(&ring.keys).len(), KEPT);
    }

    #[test]
    fn machines_with_the_same_key_files_read_each_others_tickets() {
        let (old, new) = (vec![1; 48], vec![2; 80]);
        let ticket = tickets_under(std::slice::from_ref(&old), MINUTE).encrypt(b"session").unwrap();
        assert!(tickets_under(&[new.clone(), old], MINUTE).decrypt(&ticket).is_some());
        assert!(tickets_under(&[new], MINUTE).decrypt(&ticket).is_none());
    }

    #[test]
    fn sessions_grow_old_and_outlive_settings() {
        let first = cache("unit", 1 << 20, MINUTE);
        assert!(first.put(b"key".to_vec(), b"session".to_vec()));
        let second = cache("unit", 1 << 20, MINUTE);
        drop(first);
        assert_eq!(second.get(b"key").as_deref(), Some(&b"session"[..]));
        assert_eq!(second.take(b"key").as_deref(), Some(&b"session"[..]));
        assert_eq!(second.take(b"key"), None);
        assert_eq!(unstamp(&[0; 12], 60), None, "kept in 1970");
    }
}
