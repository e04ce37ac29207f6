//! What every store must do, tried on each that needs nobody else; Redis has tests of its own, with a server.

use super::*;
use crate::features::session::ticket::Id;

fn record(idle: u64) -> Record {
    Record { dies: now() + 3_600_000, idle, ..Record::default() }
}

fn key(n: u8) -> Key {
    [n; 32]
}

fn add() -> Vec<Change> {
    vec![Change::Add("n".into(), 1)]
}

/// The answer of a store of this machine.
fn ask(store: &Store, order: Order) -> Reply {
    let deadline = Instant::now() + Duration::from_secs(10);
    match store.ask(order, || Waker::new(None, 0), deadline) {
        Ok(outcome) => outcome.unwrap(),
        Err(_) => panic!("a store of this machine answers at once"),
    }
}

fn value(reply: &Reply) -> Option<String> {
    let Reply::Found(found) = reply else { return None };
    let (_, value) = found.record.values.iter().find(|(name, _)| name == "n")?;
    Some(String::from_utf8_lossy(value).into_owned())
}

fn stores() -> (Vec<Store>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let memory = Memory::new(1 << 20, Keys::random().unwrap());
    (vec![Store::Memory(memory), Store::Folder(Folder::new(folder.path().join("a/b")))], folder)
}

#[test]
fn a_life() {
    let (stores, _folder) = stores();
    for store in stores {
        assert!(matches!(ask(&store, Order::Find(key(1))), Reply::Gone));
        assert!(matches!(ask(&store, Order::Change(key(1), add())), Reply::Gone), "nothing is made by a change");
        ask(&store, Order::Create(key(1), record(60_000)));
        assert_eq!(value(&ask(&store, Order::Change(key(1), add()))).as_deref(), Some("1"));
        assert_eq!(value(&ask(&store, Order::Find(key(1)))).as_deref(), Some("1"));
        let many = (0..99).map(|n| Change::Set(format!("n{n}").into(), "".into())).collect();
        assert!(matches!(ask(&store, Order::Change(key(1), many)), Reply::TooLarge));

        assert!(matches!(ask(&store, Order::Rotate(key(1), key(2), 60_000)), Reply::Found(_)));
        let Reply::Found(found) = ask(&store, Order::Find(key(1))) else { panic!("the old id is still good") };
        assert!(found.grace && found.key == key(2));
        assert!(matches!(ask(&store, Order::Rotate(key(1), key(3), 60_000)), Reply::Moved));
        assert_eq!(value(&ask(&store, Order::Change(key(1), add()))).as_deref(), Some("2"), "{store:?}");
        assert_eq!(value(&ask(&store, Order::Find(key(2)))).as_deref(), Some("2"));
        ask(&store, Order::Rotate(key(2), key(4), 0));
        assert!(matches!(ask(&store, Order::Find(key(2))), Reply::Gone), "without grace it is not");

        ask(&store, Order::Destroy(key(4)));
        for gone in 1..=4 {
            assert!(matches!(ask(&store, Order::Find(key(gone))), Reply::Gone));
        }
    }
}

#[test]
fn ends() {
    let (stores, _folder) = stores();
    for store in stores {
        ask(&store, Order::Create(key(1), record(0)));
        assert!(matches!(ask(&store, Order::Find(key(1))), Reply::Gone), "idle");
        ask(&store, Order::Create(key(1), Record { dies: now(), ..record(60_000) }));
        assert!(matches!(ask(&store, Order::Find(key(1))), Reply::Gone), "old");
    }
}

#[test]
fn a_crowd_loses_nothing() {
    let (stores, _folder) = stores();
    for store in stores {
        ask(&store, Order::Create(key(1), record(60_000)));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..25).for_each(|_| drop(ask(&store, Order::Change(key(1), add())))));
            }
        });
        assert_eq!(value(&ask(&store, Order::Find(key(1)))).as_deref(), Some("200"));
    }
}

#[test]
fn memory_is_bounded() {
    let memory = Memory::new(64 << 10, Keys::random().unwrap());
    let store = Store::Memory(memory);
    for _ in 0..1000 {
        ask(&store, Order::Create(Id::random().unwrap().key(), record(60_000)));
    }
    let first = Id::random().unwrap().key();
    ask(&store, Order::Create(first, record(60_000)));
    let big: Vec<_> = ["a", "b"].map(|name| Change::Set(name.into(), vec![b'x'; 4096].into())).into();
    ask(&store, Order::Change(first, big));
    let Store::Memory(memory) = &store else { unreachable!("it was made as one above") };
    let (count, used) = memory.open().census();
    assert!(used <= 64 << 10 && count < 256 && count > 200, "{count} {used}");
    assert!(matches!(ask(&store, Order::Find(first)), Reply::Found(_)), "the newest is there");
}

#[test]
fn files_outlive_the_process_and_half_of_one_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Store::Folder(Folder::new(folder.path().to_path_buf()));
    let id = Id::random().unwrap();
    let cookie = open().keys().unwrap().unwrap().sign("app", id);
    ask(&open(), Order::Create(id.key(), record(60_000)));
    assert_eq!(open().keys().unwrap().unwrap().verify("app", cookie.as_bytes()), Some(id));
    assert!(matches!(ask(&open(), Order::Find(id.key())), Reply::Found(_)));
    let name = crate::features::session::ticket::hex(&id.key());
    let file = folder.path().join(&name[..2]).join(&name);
    use std::os::unix::fs::PermissionsExt;
    for (path, mode) in [(file.as_path(), 0o600), (file.parent().unwrap(), 0o700), (&folder.path().join("key"), 0o600)]
    {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
    // From here on a sweep may remove it, which begins with the files of ids like this one once in 256 times.
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(ask(&open(), Order::Find(id.key())), Reply::Gone));
}

#[test]
fn old_files_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Folder::new(folder.path().to_path_buf());
    for n in 0..=255 {
        let mut open = store.open().unwrap();
        open.swap(&[n; 32], None, &Entry::Live(Arc::new(record(if n % 2 == 0 { 0 } else { 60_000 }))), now()).unwrap();
    }
    let count = || {
        let parts = std::fs::read_dir(folder.path()).unwrap().flatten().filter(|part| part.path().is_dir());
        parts.map(|part| std::fs::read_dir(part.path()).unwrap().count()).sum::<usize>()
    };
    assert_eq!(count(), 256);
    (1..=256).for_each(|n| store.sweep(n * 1000 + 1));
    // The sweeper was told a clock of long ago, by which nothing is over.
    assert_eq!(count(), 256);
    let now = now();
    (1..=256).for_each(|n| store.sweep(now + n * 1000));
    assert!((1..=128).contains(&count()), "{}", count());
}
