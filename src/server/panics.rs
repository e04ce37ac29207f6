//! What a panic costs: the request it happened on, and nothing else. A server inside the test's own process, since
//! only there a handler can be made to panic.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::keeper::Own;
use super::listen::Listener;
use super::logfile::FileSystem;
use super::shared::Shared;
use super::signals::Signal;
use super::slot::Kind;
use super::{Inbox, Message, Server, open};
use crate::conf::listening::Address;
use crate::settings::load::{self, Request};

/// How long a client waits that a busy machine may keep waiting.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server of this process on a port that the kernel chose.
pub(super) fn server(folder: &std::path::Path) -> (SocketAddr, Server) {
    let file = folder.join("server.conf");
    let conf = "thread_pool default threads=3; error_log error.log info; events {} \
        http { access_log access.log; server { listen 127.0.0.1:1; return 200 fine; } }";
    std::fs::write(&file, conf).unwrap();
    let request = Request { file, prefix: folder.to_path_buf(), ..Request::default() };
    let settings = Arc::new(load::load(&request).settings.expect("the conf is good"));
    let keeper = Arc::new(Own::new(request, &[]));
    let logs = open::logs(&settings, None, &FileSystem).unwrap();
    let listener = Listener::open(&Address::Ip(([127, 0, 0, 1], 0).into()), &Default::default()).unwrap();
    let address = listener.local().unwrap();
    (address, Server::new(settings, logs, vec![listener], keeper).unwrap())
}

/// A server that runs, and whom to ask.
struct Asked {
    address: SocketAddr,
    inbox: Inbox,
    shared: Arc<Shared>,
}

impl Asked {
    fn start(folder: &std::path::Path) -> Asked {
        let (address, server) = server(folder);
        let asked = Asked { address, inbox: server.inbox(), shared: server.shared.clone() };
        std::thread::spawn(move || server.run(|| {}));
        asked
    }

    /// Sends one request that panics somewhere, or nowhere; everything that came back.
    fn ask(&self, place: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let keep = if place == "nowhere" { "close" } else { "keep-alive" };
        write!(stream, "GET / HTTP/1.1\r\nHost: h\r\nConnection: {keep}\r\nX-Panic: {place}\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        if let Err(error) = stream.read_to_end(&mut answer) {
            let answer = String::from_utf8_lossy(&answer);
            panic!("{error} after {answer:?}; {}", self.state());
        }
        String::from_utf8(answer).unwrap()
    }

    /// Who has what, for a client that waits in vain.
    fn state(&self) -> String {
        let (jobs, slots) = (&self.shared.jobs, &self.shared.slots);
        let parked: Vec<_> = slots.all().filter_map(|slot| slot.parked()).collect();
        let used = slots.used(Kind::Client);
        format!("parked: {parked:?} of {used}, queue empty: {}, {}", jobs.is_empty(), jobs.state())
    }
}

fn workers() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default());
    names.filter(|name| name.starts_with("worker-")).count()
}

/// A thousand panics on purpose would hide everything else that is said.
fn be_quiet_about_workers() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !std::thread::current().name().is_some_and(|name| name.starts_with("worker-")) {
            before(info);
        }
    }));
}

#[test]
fn a_panic_costs_its_request_and_nothing_else() {
    be_quiet_about_workers();
    let folder = tempfile::tempdir().unwrap();
    let server = Asked::start(folder.path());
    assert!(server.ask("nowhere").starts_with("HTTP/1.1 200 "));
    // The first worker may have answered before the last was started.
    while workers() < 3 {
        std::thread::yield_now();
    }
    assert_eq!(workers(), 3);
    for _ in 0..1000 {
        let answer = server.ask("handler");
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(answer.contains("Connection: close\r\n"), "{answer}");
    }
    for _ in 0..100 {
        assert_eq!(server.ask("engine"), "");
    }
    assert!(server.ask("nowhere").starts_with("HTTP/1.1 200 "));
    assert_eq!(workers(), 3);
    let log = std::fs::read_to_string(folder.path().join("error.log")).unwrap();
    assert_eq!(log.matches("a handler panicked").count(), 1000);
    server.inbox.send(Message::Signal(Signal::Stop));
}
