//! Accounts over real folders.

use super::*;
use crate::exchange::symlinks::Symlinks;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

fn store(quota: u64) -> (tempfile::TempDir, Folder, Id) {
    let at = tempfile::tempdir().unwrap();
    let folder = Folder::open(at.path().as_os_str().as_bytes(), &Symlinks::Followed).unwrap();
    let id = open(&folder, quota).unwrap();
    (at, folder, id)
}

fn counted(folder: &Folder) -> Accounts {
    let accounts = Accounts::of(folder).unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while !accounts.are_counted(|| Waker::new(None, 0)).unwrap() {
        assert!(Instant::now() < end, "it is never counted");
        std::thread::sleep(Duration::from_millis(1));
    }
    accounts
}

fn held(id: Id) -> (u64, u64) {
    let books = books();
    (books[&id].stored, books[&id].drafts)
}

fn is_full(result: io::Result<()>) -> bool {
    result.is_err_and(|error| refusal(&error).is_some_and(|refusal| refusal.status == 507))
}

#[test]
fn drafts_count_until_they_are_files_or_gone() {
    let (_at, folder, id) = store(10);
    let accounts = counted(&folder);
    let mut one = folder.draft_in(0o600, accounts.clone()).unwrap();
    let mut two = folder.draft(0o600).unwrap();
    one.write(b"123456").unwrap();
    two.write(b"1234").unwrap();
    assert!(is_full(two.write(b"5")) && is_full(accounts.fit(1, 0)));
    drop(two);
    one.publish(&folder, b"one").unwrap();
    assert_eq!(held(id), (6, 0));
    // Just what is left, and one more.
    assert!(accounts.fit(4, 0).is_ok() && is_full(accounts.fit(5, 0)) && accounts.fit(5, 1).is_ok());
    folder.remove(b"one").unwrap();
    assert_eq!(held(id), (0, 0));
}

#[test]
fn what_is_replaced_makes_room_for_one_draft() {
    let (_at, folder, id) = store(10);
    let accounts = counted(&folder);
    let mut first = folder.draft_in(0o600, accounts.clone()).unwrap();
    first.write(b"123456789").unwrap();
    first.publish(&folder, b"a").unwrap();
    let (file, size) = folder.file(b"a").unwrap();
    let mut drafts: Vec<_> = (0..2).map(|_| folder.draft_in(0o600, accounts.clone()).unwrap()).collect();
    drafts.iter_mut().for_each(|draft| draft.hold().replace(file, size));
    assert!(drafts[0].write(b"0123456789").is_ok() && is_full(drafts[1].write(b"12")));
    drafts[0].publish(&folder, b"a").unwrap();
    assert_eq!(held(id), (10, 0));
    // One that did not know of the file does not get past the quota either.
    let mut late = folder.draft_in(0o600, accounts).unwrap();
    assert!(is_full(late.write(b"1")));
}

#[test]
fn folders_below_and_quotas_above_count() {
    let (at, folder, id) = store(10);
    counted(&folder);
    let sub = folder.enter(b"sub", 0o700).unwrap().enter(b"deep", 0o700).unwrap();
    let own = open(&sub, 4).unwrap();
    counted(&sub);
    let mut draft = sub.draft(0o600).unwrap();
    draft.write(b"1234").unwrap();
    draft.publish(&sub, b"a").unwrap();
    assert_eq!((held(id), held(own)), ((4, 0), (4, 0)));
    // Out of the inner one and in again.
    sub.carry(b"a", &folder, b"a", &Accounts::of(&folder).unwrap()).unwrap();
    assert_eq!((held(id), held(own)), ((4, 0), (0, 0)));
    std::fs::write(at.path().join("large"), "12345").unwrap();
    assert!(is_full(folder.carry(b"large", &sub, b"a", &Accounts::of(&sub).unwrap())));
    assert!(at.path().join("large").exists());
}

#[test]
fn a_count_sees_what_is_there_once() {
    let (at, folder, id) = store(100);
    counted(&folder);
    books().get_mut(&id).unwrap().count = Some(Changes::default());
    std::fs::write(at.path().join("before"), "12345").unwrap();
    let mut draft = folder.draft(0o600).unwrap();
    draft.write(b"123").unwrap();
    draft.publish(&folder, b"new").unwrap();
    count::begin(id);
    let end = Instant::now() + Duration::from_secs(30);
    while books()[&id].count.is_some() {
        assert!(Instant::now() < end, "it is never counted");
    }
    assert_eq!(held(id), (8, 0));
}

#[test]
fn a_full_store_is_counted_again_after_a_minute() {
    let (at, folder, id) = store(10);
    std::fs::write(at.path().join("a"), "0123456789").unwrap();
    let accounts = counted(&folder);
    std::fs::remove_file(at.path().join("a")).unwrap();
    assert!(is_full(accounts.fit(1, 0)) && books()[&id].count.is_none());
    books().get_mut(&id).unwrap().counted = Instant::now().checked_sub(SOONEST);
    assert!(is_full(accounts.fit(1, 0)));
    let end = Instant::now() + Duration::from_secs(30);
    while accounts.fit(1, 0).is_err() {
        assert!(Instant::now() < end, "it is never counted again");
    }
}
