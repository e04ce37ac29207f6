//! Bytes on their way into a folder: they count in its accounts while a draft grows, and as those of a file when it is stored.

use std::io;

use super::{Accounts, Books, Id, books};

/// Bytes on their way into a folder. They count until they are stored or the hold is dropped.
#[derive(Debug, Default)]
pub struct Hold {
    accounts: Accounts,
    bytes: u64,
    /// Bytes of the file that will be replaced.
    credit: u64,
    replaces: Option<Id>,
    visible: Option<Id>,
}

impl Hold {
    /// Of nothing so far. A file that can be seen in the folder while it comes is named.
    pub fn new(accounts: Accounts, visible: Option<Id>) -> Hold {
        let hold = Hold { accounts, visible, ..Hold::default() };
        if let Some(file) = visible.filter(|_| !hold.accounts.is_empty()) {
            hold.accounts.change(&mut books(), |account| _ = account.visible.insert(file));
        }
        hold
    }

    /// What it counts in.
    pub fn accounts(&mut self) -> &mut Accounts {
        &mut self.accounts
    }

    /// It is to take the place of this file, whose bytes it may have in addition, unless another draft has them already.
    pub fn replace(&mut self, file: Id, size: u64) {
        let Some((innermost, _)) = self.accounts.0.first() else { return };
        let is_first = books().get_mut(innermost).is_some_and(|account| account.replacing.insert(file));
        if is_first {
            (self.credit, self.replaces) = (size, Some(file));
        }
    }

    /// It is to have more bytes.
    pub fn grow(&mut self, more: u64) -> io::Result<()> {
        let bytes = self.bytes.saturating_add(more);
        let delta = bytes.saturating_sub(self.credit) - self.charge();
        if delta > 0 && !self.accounts.is_empty() {
            let mut books = books();
            let checked = self.accounts.check(&mut books, delta, |_, account| account.stored + account.drafts);
            if let Err(full) = checked {
                drop(books);
                return Err(full.told());
            }
            self.accounts.change(&mut books, |account| account.drafts += delta);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// It has fewer bytes after all.
    pub fn shrink(&mut self, less: u64) {
        let before = self.charge();
        self.bytes = self.bytes.saturating_sub(less);
        let delta = before - self.charge();
        if delta > 0 && !self.accounts.is_empty() {
            self.accounts.change(&mut books(), |account| account.drafts = account.drafts.saturating_sub(delta));
        }
    }

    /// It is about to appear in a folder, in the place of another file. Where that folder has other accounts than the draft had, it
    /// must fit there.
    pub fn show(&self, into: &Accounts, file: Id, replaced: Option<(Id, u64)>) -> io::Result<()> {
        let (held, old) = (self.charge(), replaced.map_or(0, |(_, old)| old));
        let mut books = books();
        let checked = into.check(&mut books, self.bytes, |id, account| {
            let others = account.drafts.saturating_sub(if self.accounts.has(id) { held } else { 0 });
            account.stored.saturating_sub(old) + others
        });
        if let Err(full) = checked {
            drop(books);
            return Err(full.told());
        }
        into.change(&mut books, |account| _ = account.visible.insert(file));
        Ok(())
    }

    /// It has appeared: its bytes are those of a file now.
    pub fn store(&mut self, into: &Accounts, file: Id, replaced: Option<(Id, u64)>) {
        let (mut books, bytes) = (books(), self.bytes);
        self.release(&mut books);
        into.change(&mut books, |account| {
            account.visible.remove(&file);
            replaced.iter().for_each(|(old, size)| account.remove(*old, *size));
            account.add(file, bytes);
        });
    }

    /// It has not appeared after all.
    pub fn hide(&self, into: &Accounts, file: Id) {
        if self.visible != Some(file) {
            into.change(&mut books(), |account| _ = account.visible.remove(&file));
        }
    }

    /// What counts of it.
    fn charge(&self) -> u64 {
        self.bytes.saturating_sub(self.credit)
    }

    fn release(&mut self, books: &mut Books) {
        let (held, replaces, visible) = (self.charge(), self.replaces.take(), self.visible.take());
        self.accounts.change(books, |account| {
            account.drafts = account.drafts.saturating_sub(held);
            replaces.iter().for_each(|file| _ = account.replacing.remove(file));
            visible.iter().for_each(|file| _ = account.visible.remove(file));
        });
        (self.bytes, self.credit) = (0, 0);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.accounts.is_empty() {
            self.release(&mut books());
        }
    }
}
