//! How many bytes all files below a folder take together, for `upload_quota`: one account for each such folder, whichever location
//! or conf writes there. It is kept as files come, go and are replaced, and drafts count while they grow. A thread of its own
//! counts what is there (`count.rs`), so no request reads the folder. Knows folders and sizes, no request.

mod count;
mod hold;

pub use hold::Hold;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::fs::{AtFlags, FileType, Stat};

use super::engine::Waker;
use super::error::{HttpError, Level};
use super::store::Folder;

/// A folder that is full is counted anew, but not again within this time.
const SOONEST: Duration = Duration::from_secs(60);
/// One that is in use is counted anew after this time: others may put files there.
const LATEST: Duration = Duration::from_secs(600);
/// How long a failure to count is what requests are told, before another attempt.
const PATIENCE: Duration = Duration::from_secs(1);

/// Levels that are gone up at a time.
const STRIDE: usize = 16;

/// Device and number of a folder or a file.
pub type Id = (u64, u64);

/// The id in what the system says of a file.
pub fn id(stat: &Stat) -> Id {
    (stat.st_dev, stat.st_ino)
}

/// Whether there is any account: without one nothing is asked of the system.
static ANY: AtomicBool = AtomicBool::new(false);
static BOOKS: LazyLock<Mutex<Books>> = LazyLock::new(Mutex::default);

/// Nothing that can panic runs under this lock, and no system call.
fn books() -> MutexGuard<'static, Books> {
    BOOKS.lock().unwrap_or_else(PoisonError::into_inner)
}

type Books = HashMap<Id, Account>;

struct Account {
    folder: Folder,
    /// The smallest quota that the conf in force gives the folder; 0 if it gives none.
    quota: u64,
    /// Bytes of the files that have a name.
    stored: u64,
    /// Bytes of those that are on their way.
    drafts: u64,
    /// Those of them that can be seen in the folder.
    visible: HashSet<Id>,
    /// Files that a draft is to take the place of.
    replacing: HashSet<Id>,
    /// When it was counted last; until the first time nobody knows what is stored.
    counted: Option<Instant>,
    /// What changed since the count began that is under way, or that is to come.
    count: Option<Changes>,
    failed: Option<(Instant, i32)>,
    /// Who waits for the first count.
    waiting: Vec<Waker>,
}

#[derive(Default)]
struct Changes {
    /// Files that came meanwhile: they are known and must not be counted once more.
    added: HashMap<Id, u64>,
    /// Whether a folder was given another name: what is in it may have been passed by.
    is_disturbed: bool,
}

impl Account {
    fn new(folder: Folder) -> Account {
        Account {
            folder,
            quota: 0,
            stored: 0,
            drafts: 0,
            visible: HashSet::new(),
            replacing: HashSet::new(),
            counted: None,
            count: None,
            failed: None,
            waiting: Vec::new(),
        }
    }

    fn add(&mut self, file: Id, bytes: u64) {
        self.stored += bytes;
        if let Some(count) = &mut self.count {
            count.added.insert(file, bytes);
        }
    }

    fn remove(&mut self, file: Id, bytes: u64) {
        self.stored = self.stored.saturating_sub(bytes);
        if let Some(count) = &mut self.count {
            // If it was there when the count began, it may be counted already or not: it stays in the result, to be sure.
            count.added.remove(&file);
        }
    }

    /// Whether it is time to count again.
    fn is_due(&self, after: Duration) -> bool {
        self.count.is_none() && self.counted.is_none_or(|counted| counted.elapsed() >= after)
    }
}

/// Has the folders of the conf in force counted, each with its quota; others have an account no longer.
pub fn declare(stores: Vec<(Bytes, u64)>) {
    if !stores.is_empty() || ANY.load(Relaxed) {
        count::declare(stores);
    }
}

/// Whether any folder has an account.
pub fn is_any() -> bool {
    ANY.load(Acquire)
}

/// Whether any folder is being counted.
pub fn is_counting() -> bool {
    is_any() && books().values().any(|account| account.count.is_some())
}

/// The account of a store: made if the folder has none.
pub fn open(store: &Folder, quota: u64) -> io::Result<Id> {
    let id = id(&rustix::fs::fstat(store)?);
    let mut books = books();
    if let std::collections::hash_map::Entry::Vacant(entry) = books.entry(id) {
        entry.insert(Account { quota, ..Account::new(store.again()?) });
        ANY.store(true, Release);
    }
    Ok(id)
}

/// The accounts that files in one folder count in, each with its quota: those of this folder and of all above it.
#[derive(Debug, Clone, Default)]
pub struct Accounts(Vec<(Id, u64)>);

impl Accounts {
    /// Finds them. Folders on the way up that may not be entered have none that counts.
    pub fn of(folder: &Folder) -> io::Result<Accounts> {
        let mut found = Accounts::default();
        if !ANY.load(Acquire) {
            return Ok(found);
        }
        let (mut from, mut last) = (folder.again()?, None);
        loop {
            // A few levels at a time: neither a descriptor for each, nor a path as long as the way.
            let mut path = b".".to_vec();
            for _ in 0..STRIDE {
                let here = match rustix::fs::statat(&from, &path, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => id(&stat),
                    Err(error) if last.is_none() => return Err(error.into()),
                    Err(_) => return Ok(found),
                };
                if last == Some(here) {
                    return Ok(found);
                }
                if let Some(account) = books().get(&here) {
                    found.0.push((here, account.quota));
                }
                last = Some(here);
                path.extend_from_slice(b"/..");
            }
            let Ok(above) = from.inner(&path) else { return Ok(found) };
            from = above;
        }
    }

    /// Puts another quota in the place of the one of the conf: that of the location, for its own store.
    pub fn limit(&mut self, store: Id, quota: u64) {
        self.0.iter_mut().filter(|(id, _)| *id == store).for_each(|(_, own)| *own = quota);
    }

    /// Whether what they hold is known. If not, the waker is called once it is.
    pub fn are_counted(&self, waker: impl Fn() -> Waker) -> io::Result<bool> {
        let (mut are_counted, mut due) = (true, Vec::new());
        for (id, _) in &self.0 {
            let mut books = books();
            let Some(account) = books.get_mut(id) else { continue };
            if account.counted.is_none() {
                if let Some((_, code)) = account.failed.filter(|(when, _)| when.elapsed() < PATIENCE) {
                    return Err(io::Error::from_raw_os_error(code));
                }
                account.waiting.push(waker());
                are_counted = false;
            }
            if account.is_due(LATEST) {
                account.count = Some(Changes::default());
                due.push(*id);
            }
        }
        due.into_iter().for_each(count::begin);
        Ok(are_counted)
    }

    /// Whether a file of so many bytes has room in the place of one of the other size.
    pub fn fit(&self, bytes: u64, replaced: u64) -> io::Result<()> {
        let checked =
            self.check(&mut books(), bytes, |_, account| account.stored.saturating_sub(replaced) + account.drafts);
        checked.map_err(Full::told)
    }

    /// Their quotas are those that the same accounts have there.
    pub fn limit_as(&mut self, others: &Accounts) {
        others.0.iter().for_each(|(id, quota)| self.limit(*id, *quota));
    }

    /// A file has gone.
    pub fn remove(&self, file: Id, bytes: u64) {
        self.change(&mut books(), |account| account.remove(file, bytes));
    }

    /// A folder gets another name, or goes to another place.
    pub fn disturb(&self) {
        self.change(&mut books(), |account| {
            account.count.iter_mut().for_each(|count| count.is_disturbed = true);
        });
    }

    /// Whether the same accounts are in both.
    pub fn are_those(&self, others: &Accounts) -> bool {
        self.0.len() == others.0.len() && self.0.iter().all(|(id, _)| others.has(id))
    }

    fn change(&self, books: &mut Books, change: impl Fn(&mut Account)) {
        self.0.iter().for_each(|(id, _)| books.get_mut(id).into_iter().for_each(&change));
    }

    /// Whether there is no account: nothing counts then.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, id: &Id) -> bool {
        self.0.iter().any(|(own, _)| own == id)
    }

    /// Whether there is room for so many bytes more than what each account is said to hold.
    fn check(&self, books: &mut Books, more: u64, held: impl Fn(&Id, &Account) -> u64) -> Result<(), Full> {
        for (id, quota) in self.0.iter().filter(|(_, quota)| *quota > 0) {
            let Some(account) = books.get_mut(id).filter(|account| held(id, account).saturating_add(more) > *quota)
            else {
                continue;
            };
            let is_due = account.is_due(SOONEST);
            if is_due {
                account.count = Some(Changes::default());
            }
            return Err(Full { quota: *quota, due: is_due.then_some(*id) });
        }
        Ok(())
    }
}

/// An account has no room.
struct Full {
    quota: u64,
    /// The account, if it is time to count it again.
    due: Option<Id>,
}

impl Full {
    /// The error that is passed on; must not be asked for under the lock.
    fn told(self) -> io::Error {
        self.due.into_iter().for_each(count::begin);
        io::Error::new(ErrorKind::QuotaExceeded, OverQuota(self.quota))
    }
}

/// Whether a file may go from one folder to another, in the place of what stands there.
pub fn may_carry(from: &Accounts, to: &Accounts, bytes: u64, replaced: Option<(Id, u64)>) -> io::Result<()> {
    let new = Accounts(to.0.iter().filter(|(id, _)| !from.has(id)).copied().collect());
    new.fit(bytes, replaced.map_or(0, |(_, old)| old))
}

/// A file has gone from one folder to another.
pub fn carry(from: &Accounts, to: &Accounts, (file, bytes): (Id, u64), replaced: Option<(Id, u64)>) {
    let mut books = books();
    from.change(&mut books, |account| account.remove(file, bytes));
    to.change(&mut books, |account| {
        replaced.iter().for_each(|(old, size)| account.remove(*old, *size));
        account.add(file, bytes);
    });
    // The count that is under way may see it in both places, or in neither.
    let both = Accounts(to.0.iter().filter(|(id, _)| from.has(id)).copied().collect());
    both.change(&mut books, |account| {
        if let Some(count) = &mut account.count {
            count.added.remove(&file);
            count.is_disturbed = true;
        }
    });
}

/// The regular file under a name, as accounts know it.
pub fn file_of(stat: &Stat) -> Option<(Id, u64)> {
    (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then(|| (id(stat), stat.st_size as u64))
}

/// An account has no room for what is to come.
#[derive(Debug)]
struct OverQuota(u64);

impl fmt::Display for OverQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store would hold more than {} bytes", self.0)
    }
}

impl std::error::Error for OverQuota {}

/// The error for what an account has no room for; `None` for other errors.
pub fn refusal(error: &io::Error) -> Option<HttpError> {
    let over = error.get_ref()?.downcast_ref::<OverQuota>()?;
    Some(HttpError::new(507, "quota").log(Level::Error, format!("{over} (upload_quota)")))
}

#[cfg(test)]
mod tests;
