//! Upstreams whose servers are names that are looked up while requests come: what a name server may say and do, and that no
//! request fails for it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use simple_dns::rdata::{A, RData, SRV};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};

use crate::client::{Client, get};
use crate::site::{PATIENCE, Site, wait_for};

/// What is said of a name.
#[derive(Clone)]
enum Said {
    /// These last two bytes of addresses that begin with 127.0, for so many seconds.
    Hosts(Vec<u16>, u32),
    /// Services: priority, port, host.
    Services(Vec<(u16, u16, &'static str)>),
    Code(RCODE),
    Nothing,
}

/// What a name server says of a name.
type Zone = Mutex<Box<dyn Fn(&str) -> Said + Send>>;

/// A name server that says what it is told to.
struct NameServer {
    address: SocketAddr,
    zone: Arc<Zone>,
    asked: Arc<AtomicUsize>,
}

impl NameServer {
    fn new(zone: impl Fn(&str) -> Said + Send + 'static) -> NameServer {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let zone: Box<dyn Fn(&str) -> Said + Send> = Box::new(zone);
        let server =
            NameServer { address: udp.local_addr().unwrap(), zone: Arc::new(Mutex::new(zone)), asked: Arc::default() };
        let (zone, asked) = (server.zone.clone(), server.asked.clone());
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((n, from)) = udp.recv_from(&mut question) {
                asked.fetch_add(1, Relaxed);
                let Some(answer) = answer(&zone, &question[..n]) else { continue };
                let sent = if answer.len() <= 512 { answer } else { truncated(&question[..n]) };
                let _ = udp.send_to(&sent, from);
            }
        });
        let zone = server.zone.clone();
        std::thread::spawn(move || {
            for stream in tcp.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut length = [0; 2];
                while stream.read_exact(&mut length).is_ok() {
                    let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                    let Ok(()) = stream.read_exact(&mut question) else { break };
                    let Some(answer) = answer(&zone, &question) else { break };
                    let _ = stream.write_all(&[&(answer.len() as u16).to_be_bytes(), &answer[..]].concat());
                }
            }
        });
        server
    }

    fn say(&self, zone: impl Fn(&str) -> Said + Send + 'static) {
        *self.zone.lock().unwrap() = Box::new(zone);
    }

    fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }
}

fn answer(zone: &Zone, question: &[u8]) -> Option<Vec<u8>> {
    let question = Packet::parse(question).unwrap();
    let asked = &question.questions[0];
    let (name, kind) = (asked.qname.clone().into_owned(), asked.qtype);
    let said = zone.lock().unwrap()(&name.to_string());
    let mut packet = question.into_reply();
    let mut add = |ttl, rdata| packet.answers.push(ResourceRecord::new(name.clone(), CLASS::IN, ttl, rdata));
    match said {
        Said::Nothing => return None,
        Said::Code(code) => *packet.rcode_mut() = code,
        Said::Hosts(hosts, ttl) if kind == QTYPE::TYPE(TYPE::A) => {
            hosts.iter().for_each(|host| add(ttl, RData::A(A { address: 0x7f00_0000 + u32::from(*host) })));
        }
        Said::Services(services) if kind == QTYPE::TYPE(TYPE::SRV) => {
            for (priority, port, target) in services {
                add(1, RData::SRV(SRV { priority, weight: u16::MAX, port, target: Name::new_unchecked(target) }));
            }
        }
        Said::Hosts(..) | Said::Services(_) => {}
    }
    Some(packet.build_bytes_vec_compressed().unwrap())
}

fn truncated(question: &[u8]) -> Vec<u8> {
    let mut packet = Packet::parse(question).unwrap().into_reply();
    packet.set_flags(PacketFlag::TRUNCATION);
    packet.build_bytes_vec().unwrap()
}

/// Servers on one port of 127.0.0.1, 127.0.0.2 and so on, each of which answers with its number, as often as it is asked on a
/// connection. `/slow` is answered when `go` is set. How many connections are open to each is counted.
struct Backends {
    port: u16,
    go: Arc<AtomicBool>,
    open: Vec<Arc<AtomicUsize>>,
}

fn backends(number: u8) -> Backends {
    let listeners = loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let others: Result<Vec<_>, _> =
            (2..=number).map(|n| TcpListener::bind(SocketAddr::from(([127, 0, 0, n], port)))).collect();
        if let Ok(others) = others {
            break std::iter::once(first).chain(others).collect::<Vec<_>>();
        }
    };
    let port = listeners[0].local_addr().unwrap().port();
    let (go, mut open) = (Arc::new(AtomicBool::new(false)), Vec::new());
    for (n, listener) in listeners.into_iter().enumerate() {
        let count = Arc::<AtomicUsize>::default();
        open.push(count.clone());
        let go = go.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), go, count) = (stream, go.clone(), count.clone()) else { return };
                std::thread::spawn(move || {
                    count.fetch_add(1, Relaxed);
                    serve(stream, n + 1, &go);
                    count.fetch_sub(1, Relaxed);
                });
            }
        });
    }
    Backends { port, go, open }
}

fn serve(mut stream: TcpStream, number: usize, go: &AtomicBool) {
    loop {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        while head.starts_with(b"GET /slow") && !go.load(Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}").is_err() {
            return;
        }
    }
}

/// The conf of a server before such an upstream: the lines of the block, with the resolver's before them.
fn conf(server: &NameServer, lines: &str) -> String {
    format!(
        "log_format t '$status $upstream_addr'; access_log %DIR%/access t; upstream u {{ resolver {} ipv6=off; {lines} }}
         server {{ listen 127.0.0.1:%PORT1%; proxy_http_version 1.1; proxy_set_header Connection '';
         location / {{ proxy_pass http://u; }} }}",
        server.address
    )
}

fn hosts(hosts: &[u16]) -> impl Fn(&str) -> Said + Send + 'static {
    let hosts = hosts.to_vec();
    move |_| Said::Hosts(hosts.clone(), 1)
}

#[test]
fn servers_come_and_go_with_the_addresses_of_a_name() {
    let (backends, names) = (backends(3), NameServer::new(hosts(&[1])));
    let lines = format!("zone z 64k; server app.test:{} resolve; keepalive 8;", backends.port);
    let site = Site::start("", &conf(&names, &lines));
    // The very first request waits for the first answer.
    assert_eq!(get(site.port(), "/").text(), "1");
    wait_for("its connection is kept", || backends.open[0].load(Relaxed) == 1);
    let mut slow = Client::new(site.port());
    slow.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for("the slow request is there", || backends.open[0].load(Relaxed) == 1);
    assert_eq!(get(site.port(), "/").text(), "1");
    names.say(hosts(&[2]));
    wait_for("the other is asked", || get(site.port(), "/").text() == "2");
    // What has gone finishes what it has; its idle connections are closed, those of one that stays are not.
    wait_for("the idle connection is closed", || backends.open[0].load(Relaxed) == 1);
    backends.go.store(true, Relaxed);
    assert_eq!(slow.answer().unwrap().text(), "1");
    let kept = backends.open[1].load(Relaxed);
    names.say(hosts(&[2, 3]));
    wait_for("the third is asked", || get(site.port(), "/").text() == "3");
    assert_eq!(backends.open[1].load(Relaxed), kept);
    site.stop();
}

#[test]
fn what_is_known_of_a_server_that_stays_is_kept() {
    // Behind 127.0.0.9 nobody listens.
    let (backends, names) = (backends(2), NameServer::new(hosts(&[1, 9])));
    let lines = format!("server app.test:{} resolve fail_timeout=1h;", backends.port);
    let site = Site::start("", &conf(&names, &lines));
    (0..4).for_each(|_| assert_eq!(get(site.port(), "/").text(), "1"));
    names.say(hosts(&[1, 2, 9]));
    wait_for("the new one is asked", || get(site.port(), "/").text() == "2");
    // A reload keeps it too.
    site.reload("", &(conf(&names, &lines) + " add_header X-New yes;"));
    wait_for("the new conf is in force", || get(site.port(), "/").head.contains("X-New"));
    (0..6).for_each(|_| assert_eq!(get(site.port(), "/").status, 200));
    let tried = || site.read("access").lines().filter(|line| line.contains("127.0.0.9")).count();
    wait_for("the log has the request that tried the one that is down", || tried() > 0);
    assert_eq!(tried(), 1, "{}", site.read("access"));
    site.stop();
}

#[test]
fn what_name_servers_say_ill() {
    let (backends, names) = (backends(2), NameServer::new(hosts(&[1])));
    let lines = format!("resolver_timeout 1s; server app.test:{} resolve;", backends.port);
    let site = Site::start("", &conf(&names, &lines));
    assert_eq!(get(site.port(), "/").text(), "1");
    let said = |what: &str| site.said_times(what);
    // Whoever knows nothing does not take away what is known.
    names.say(|_| Said::Nothing);
    wait_for("silence is told", || said("app.test") > 0 && said("(110: Operation timed out)") > 0);
    assert_eq!(get(site.port(), "/").text(), "1");
    names.say(|_| Said::Code(RCODE::ServerFailure));
    wait_for("the failure is told", || said("(2: Server failure)") > 0);
    assert_eq!(get(site.port(), "/").text(), "1");
    // A name that is gone has no servers.
    names.say(|_| Said::Code(RCODE::NameError));
    wait_for("nobody is left", || get(site.port(), "/").status == 502);
    assert!(said("could not be resolved (3: Host not found)") > 0 && said("no live upstreams") > 0, "{}", site.said());
    names.say(hosts(&[2]));
    wait_for("it is back", || get(site.port(), "/").text() == "2");
    names.say(|_| Said::Hosts(Vec::new(), 60));
    wait_for("an empty answer is none", || get(site.port(), "/").status == 502);
    // More than count, all of them 127.0.x.y; only two have somebody who listens.
    names.say(|_| Said::Hosts((1..=1500).collect(), 1));
    wait_for("many are taken", || get(site.port(), "/").status == 200);
    assert!(said("app.test") > 0 && said("stands for 1500 addresses, of which 1024 count") > 0, "{}", site.said());
    site.stop();
}

#[test]
fn a_request_that_comes_before_any_answer_waits_for_it() {
    let (backends, names) = (backends(1), NameServer::new(|_| Said::Nothing));
    let lines = format!("resolver_timeout 4s; server app.test:{} resolve;", backends.port);
    let site = Site::start("", &conf(&names, &lines));
    let mut clients: Vec<_> = (0..20).map(|_| Client::new(site.port())).collect();
    clients.iter_mut().for_each(|client| assert!(client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")));
    wait_for("the name is asked for", || names.asked() > 0);
    // One that leaves is not missed.
    clients.pop();
    names.say(hosts(&[1]));
    clients.iter_mut().for_each(|client| assert_eq!(client.answer().unwrap().text(), "1"));
    site.stop();
    // Not for ever.
    names.say(|_| Said::Nothing);
    let lines = format!("resolver_timeout 700ms; server app.test:{} resolve;", backends.port);
    let site = Site::start("", &conf(&names, &lines));
    let begun = Instant::now();
    assert_eq!(get(site.port(), "/").status, 502);
    assert!(begun.elapsed() < PATIENCE / 3, "{:?}", begun.elapsed());
    site.stop();
}

#[test]
fn services_say_port_and_rank() {
    let backends = backends(3);
    let port = backends.port;
    let zone = move |first: &'static str| {
        move |name: &str| match name {
            "_http._tcp.app.test" => Said::Services(vec![(10, port, first), (20, port, "two.test")]),
            "one.test" => Said::Hosts(vec![1], 1),
            "two.test" => Said::Hosts(vec![2], 1),
            // Nobody listens there.
            "dead.test" => Said::Hosts(vec![9], 1),
            _ => Said::Code(RCODE::NameError),
        }
    };
    let names = NameServer::new(zone("one.test"));
    let site = Site::start("", &conf(&names, "server app.test service=http resolve;"));
    (0..6).for_each(|_| assert_eq!(get(site.port(), "/").text(), "1"));
    names.say(zone("dead.test"));
    wait_for("the backup is asked", || get(site.port(), "/").text() == "2");
    wait_for("the first was asked before", || site.read("access").contains("127.0.0.9"));
    // A host that is gone leaves the rest.
    names.say(zone("gone.test"));
    wait_for("the other comes first", || {
        get(site.port(), "/");
        site.read("access").lines().rev().take(3).all(|line| line == format!("200 127.0.0.2:{port}"))
    });
    site.stop();
}

#[test]
fn no_request_is_lost_while_names_flap() {
    let (backends, turn) = (backends(3), AtomicUsize::new(0));
    // Held for no time, and another answer each time. Behind 127.0.0.9 nobody listens.
    let names = NameServer::new(move |_| {
        let sets: [&[u16]; 4] = [&[1], &[2, 3, 9], &[3, 1, 2], &[9, 2]];
        Said::Hosts(sets[turn.fetch_add(1, Relaxed) % 4].to_vec(), 0)
    });
    let lines = format!("server app.test:{} resolve max_fails=0; keepalive 16;", backends.port);
    let site = Site::start("", &conf(&names, &lines));
    let (over, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::new(site.port());
                while !over.load(Relaxed) {
                    let answer = client.get("/");
                    assert_eq!(answer.status, 200, "{}", site.said());
                    done.fetch_add(1, Relaxed);
                    if answer.closes() {
                        client = Client::new(site.port());
                    }
                }
            });
        }
        for round in 1..=6 {
            let (before, asked) = (done.load(Relaxed), names.asked());
            site.reload("", &(conf(&names, &lines) + &format!(" add_header X-Round {round};")));
            wait_for("the name was asked for again and requests went on", || {
                names.asked() > asked && done.load(Relaxed) > before + 50
            });
        }
        over.store(true, Relaxed);
    });
    wait_for("one that is down was asked", || site.read("access").contains("127.0.0.9"));
    let access = site.read("access");
    assert!(access.lines().all(|line| line.starts_with("200 ")), "{access}");
    site.stop();
}

#[test]
fn a_service_of_many_heavy_hosts_costs_no_more_than_a_few() {
    let backends = backends(2);
    let port = backends.port;
    // As many as a message holds, each as heavy as can be; every other of them is not there.
    let hosts: Vec<&'static str> = (0..2000).map(|n| &*Box::leak(format!("h{n}.test").into_boxed_str())).collect();
    let names = NameServer::new(move |name| match name.strip_suffix(".test") {
        Some("_http._tcp.app") => Said::Services(hosts.iter().map(|host| (7, port, *host)).collect()),
        Some(host) if host.ends_with(['0', '2', '4', '6', '8']) => Said::Hosts(vec![1, 2], 1),
        _ => Said::Code(RCODE::NameError),
    });
    let lines = "hash $request_uri consistent; server app.test service=http resolve;";
    let site = Site::start("", &conf(&names, lines));
    for n in 0..20 {
        assert_eq!(get(site.port(), &format!("/{n}")).status, 200);
    }
    assert!(names.asked() < 200, "{} questions", names.asked());
    site.stop();
}
