//! The resolver against a name server of the tests' own, which answers as its script says.

use super::*;
use crate::exchange::engine::Engine;
use simple_dns::rdata::{A, AAAA, CNAME, RData, SRV};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::BorrowedFd;
use std::sync::Condvar;
use std::sync::atomic::AtomicUsize;

/// What wakes a test.
#[derive(Default)]
struct Bell(Mutex<usize>, Condvar);

impl Engine for Bell {
    fn watch(&self, _: usize, _: BorrowedFd<'_>) -> std::io::Result<()> {
        Ok(())
    }

    fn wake(&self, _: usize) {
        *self.0.lock().unwrap() += 1;
        self.1.notify_all();
    }
}

const LONG: Duration = Duration::from_secs(20);

/// Looks a name up and waits as a request would: for the waker, until the deadline.
fn answer_to(resolver: &Arc<Resolver>, name: &str, want: Want, timeout: Duration) -> Answer {
    let bell = Arc::<Bell>::default();
    let lookup = resolver.look_up(name, want, Waker::new(Some(bell.clone()), 1), timeout);
    loop {
        if let Poll::Ready(answer) = lookup.answer() {
            return answer;
        }
        let left = lookup.deadline.saturating_duration_since(Instant::now());
        let rung = bell.0.lock().unwrap();
        drop(bell.1.wait_timeout_while(rung, left, |rung| *rung == 0).unwrap());
    }
}

fn look_up(resolver: &Arc<Resolver>, name: &str, timeout: Duration) -> Result<Vec<IpAddr>, Lost> {
    answer_to(resolver, name, Want::Addresses, timeout).map(|found| found.addresses.clone())
}

/// A name server: `script` makes the messages to send back; it is told whether they go over TCP.
pub(super) fn server(
    script: impl Fn(&[u8], bool) -> Vec<Vec<u8>> + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    // Both sockets on one port, which the kernel may have to be asked for more than once.
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            break (udp, tcp);
        }
    };
    let (address, asked) = (udp.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let (script, count) = (Arc::new(script), asked.clone());
    let over_tcp = script.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((n, from)) = udp.recv_from(&mut buffer) {
            count.fetch_add(1, Relaxed);
            for message in script(&buffer[..n], false) {
                let _ = udp.send_to(&message, from);
            }
        }
    });
    std::thread::spawn(move || {
        for stream in tcp.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut length = [0; 2];
            while stream.read_exact(&mut length).is_ok() {
                let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                if stream.read_exact(&mut question).is_err() {
                    break;
                }
                for message in over_tcp(&question, true) {
                    let _ = stream.write_all(&(message.len() as u16).to_be_bytes());
                    // In pieces, as a network may bring it.
                    message.chunks(7).for_each(|piece| drop(stream.write_all(piece)));
                }
            }
        }
    });
    (address, asked)
}

fn resolver(servers: &[SocketAddr]) -> Arc<Resolver> {
    Resolver::of(Plan { servers: servers.to_vec(), valid: None, v4: true, v6: true })
}

/// An answer to a question, with what `fill` puts into it; it is told the name and whether IPv6 is asked for.
pub(super) fn reply(question: &[u8], fill: impl FnOnce(&mut Packet<'_>, &str, bool)) -> Vec<u8> {
    let question = Packet::parse(question).unwrap();
    let (name, six) = (question.questions[0].qname.to_string(), question.questions[0].qtype == QTYPE::TYPE(TYPE::AAAA));
    let mut packet = question.into_reply();
    fill(&mut packet, &name, six);
    packet.build_bytes_vec().unwrap()
}

fn record(name: &str, ttl: u32, rdata: RData<'static>) -> ResourceRecord<'static> {
    ResourceRecord::new(Name::new(name).unwrap().into_owned(), CLASS::IN, ttl, rdata)
}

/// One address of each kind.
pub(super) fn good(question: &[u8], ttl: u32) -> Vec<u8> {
    reply(question, |packet, name, six| {
        let rdata = if six { RData::AAAA(AAAA { address: 1 }) } else { RData::A(A { address: 0x7f00_0001 }) };
        packet.answers.push(record(name, ttl, rdata));
    })
}

fn sorted(found: Result<Vec<IpAddr>, Lost>) -> Vec<String> {
    let mut shown: Vec<_> = found.unwrap().iter().map(IpAddr::to_string).collect();
    shown.sort();
    shown
}

#[test]
fn an_answer_is_kept_as_long_as_it_holds() {
    let (address, asked) = server(|question, _| vec![good(question, 60)]);
    let resolver = resolver(&[address]);
    for name in ["app.test", "APP.test.", "app.test"] {
        assert_eq!(sorted(look_up(&resolver, name, LONG)), ["127.0.0.1", "::1"]);
    }
    assert_eq!(asked.load(Relaxed), 2, "one question for each kind of address");
    let (address, asked) = server(|question, _| vec![good(question, 0)]);
    let resolver = self::resolver(&[address]);
    for _ in 0..2 {
        look_up(&resolver, "app.test", LONG).unwrap();
    }
    assert_eq!(asked.load(Relaxed), 4, "what holds for no time is asked for again");
}

#[test]
fn one_kind_of_address_is_enough() {
    let only_four = |question: &[u8], _| {
        let empty = reply(question, |_, _, _| {});
        vec![if Packet::parse(question).unwrap().questions[0].qtype == QTYPE::TYPE(TYPE::AAAA) {
            empty
        } else {
            good(question, 60)
        }]
    };
    let (address, _) = server(only_four);
    assert_eq!(sorted(look_up(&resolver(&[address]), "four.test", LONG)), ["127.0.0.1"]);
    let (address, asked) = server(|question, _| vec![good(question, 60)]);
    let plan = Plan { servers: vec![address], valid: Some(Duration::from_secs(9)), v4: false, v6: true };
    assert_eq!(sorted(look_up(&Resolver::of(plan), "six.test", LONG)), ["::1"]);
    assert_eq!(asked.load(Relaxed), 1);
}

#[test]
fn what_is_no_name_and_what_is_an_address_need_no_server() {
    let (address, asked) = server(|question, _| vec![good(question, 60)]);
    let resolver = resolver(&[address]);
    assert_eq!(sorted(look_up(&resolver, "192.0.2.1", LONG)), ["192.0.2.1"]);
    for name in ["", ".", "a..b", "a b", &"a".repeat(64), &"a.".repeat(130)] {
        assert_eq!(look_up(&resolver, name, LONG), Err(Lost::Misspelt), "{name}");
    }
    assert_eq!(asked.load(Relaxed), 0);
}

#[test]
fn refusals_are_told_by_their_codes() {
    for (code, lost) in [(RCODE::NameError, Lost::NotFound), (RCODE::ServerFailure, Lost::Refused(2))] {
        let (address, _) = server(move |question, _| vec![reply(question, |packet, _, _| *packet.rcode_mut() = code)]);
        assert_eq!(look_up(&resolver(&[address]), "none.test", LONG), Err(lost));
    }
    let (address, _) = server(|question, _| vec![reply(question, |_, _, _| {})]);
    assert_eq!(look_up(&resolver(&[address]), "empty.test", LONG), Err(Lost::NotFound));
}

#[test]
fn a_server_that_fails_is_made_good_by_the_next() {
    let (failing, _) = server(|question, _| vec![reply(question, |packet, _, _| *packet.rcode_mut() = RCODE::Refused)]);
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (silent, _) = server(|_, _| Vec::new());
    let (address, _) = server(|question, _| vec![good(question, 60)]);
    for first in [failing, nobody, silent] {
        // Whoever is asked first.
        for servers in [[first, address], [address, first]] {
            assert_eq!(sorted(look_up(&resolver(&servers), "app.test", LONG)), ["127.0.0.1", "::1"]);
        }
    }
}

#[test]
fn silence_ends_at_the_deadline_and_is_forgotten() {
    let (address, asked) = server(|_, _| Vec::new());
    let resolver = resolver(&[address]);
    let begin = Instant::now();
    assert_eq!(look_up(&resolver, "slow.test", Duration::from_millis(150)), Err(Lost::TimedOut));
    assert!(begin.elapsed() < LONG);
    assert!(asked.load(Relaxed) <= 2);
    let by = Instant::now() + LONG;
    while !resolver.state().asked.is_empty() && Instant::now() < by {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(resolver.state().asked.is_empty(), "nobody waits for it any more");
}

#[test]
fn a_long_answer_comes_over_tcp() {
    let (address, _) = server(|question, tcp| {
        vec![match tcp {
            false => reply(question, |packet, _, _| packet.set_flags(PacketFlag::TRUNCATION)),
            true => reply(question, |packet, name, six| {
                let many =
                    (0..200).filter(|_| !six).map(|n| record(name, 60, RData::A(A { address: 0xc000_0200 + n })));
                packet.answers.extend(many);
            }),
        }]
    });
    assert_eq!(look_up(&resolver(&[address]), "many.test", LONG).map(|found| found.len()), Ok(200));
}

#[test]
fn truncation_without_end_is_given_up() {
    let truncated = |question: &[u8], _| vec![reply(question, |packet, _, _| packet.set_flags(PacketFlag::TRUNCATION))];
    let (address, asked) = server(truncated);
    let lost = look_up(&resolver(&[address]), "endless.test", Duration::from_millis(700));
    assert_eq!(lost, Err(Lost::TimedOut));
    assert!(asked.load(Relaxed) < 50);
}

#[test]
fn aliases_are_asked_for() {
    let (address, _) = server(|question, _| {
        vec![reply(question, |packet, name, six| match name {
            "www.test" => packet.answers.push(record(name, 60, RData::CNAME(CNAME(Name::new_unchecked("app.test"))))),
            "ring.test" => packet.answers.push(record(name, 60, RData::CNAME(CNAME(Name::new_unchecked("ring.test"))))),
            _ if six => {}
            _ => packet.answers.push(record(name, 60, RData::A(A { address: 0x7f00_0002 }))),
        })]
    });
    let resolver = resolver(&[address]);
    assert_eq!(sorted(look_up(&resolver, "www.test", LONG)), ["127.0.0.2"]);
    assert_eq!(look_up(&resolver, "ring.test", LONG), Err(Lost::NotFound));
}

#[test]
fn answers_to_other_questions_are_passed_over() {
    let (address, _) = server(|question, _| {
        let mut other_number = good(question, 60);
        other_number[1] ^= 1;
        let other_name = reply(question, |packet, _, _| {
            packet.questions[0].qname = Name::new_unchecked("evil.test");
            packet.answers.push(record("evil.test", 60, RData::A(A { address: 0x0606_0606 })));
        });
        vec![b"garbage".to_vec(), Vec::new(), question.to_vec(), other_number, other_name, good(question, 60)]
    });
    assert_eq!(sorted(look_up(&resolver(&[address]), "app.test", LONG)), ["127.0.0.1", "::1"]);
}

#[test]
fn who_asks_for_the_same_name_shares_one_question() {
    let (address, asked) = server(|question, _| vec![good(question, 60)]);
    let resolver = resolver(&[address]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(sorted(look_up(&resolver, "app.test", LONG)), ["127.0.0.1", "::1"]));
        }
    });
    assert_eq!(asked.load(Relaxed), 2);
}

#[test]
fn what_is_asked_and_kept_has_bounds() {
    let (address, _) = server(|_, _| Vec::new());
    let resolver = resolver(&[address]);
    let waker = || Waker::new(None, 0);
    let all: Vec<_> = (0..MOST_ASKED).map(|n| resolver.resolve(&format!("n{n}.test"), waker(), LONG)).collect();
    let more = resolver.resolve("more.test", waker(), LONG);
    assert_eq!(more.poll(), Poll::Ready(Err(Lost::Busy)));
    assert_eq!(resolver.resolve("n0.test", waker(), LONG).poll(), Poll::Pending);
    drop(all);
    let key = |n: usize| Key { name: n.to_string(), want: Want::Addresses };
    let mut state = State::default();
    for n in 0..MOST_KEPT + 10 {
        let until = Instant::now() + Duration::from_secs(60 + n as u64);
        state.keep(&key(n), Arc::new(Found { addresses: Vec::new(), services: Vec::new(), until }));
    }
    assert_eq!(state.kept.len(), MOST_KEPT);
    assert!(!state.kept.contains_key(&key(0)) && state.kept.contains_key(&key(MOST_KEPT + 9)));
}

#[test]
fn confs_with_the_same_plan_share_a_resolver() {
    let plan = || Plan { servers: vec!["192.0.2.9:53".parse().unwrap()], valid: None, v4: true, v6: false };
    assert!(Arc::ptr_eq(&Resolver::of(plan()), &Resolver::of(plan())));
    assert!(!Arc::ptr_eq(&Resolver::of(plan()), &Resolver::of(Plan { v6: true, ..plan() })));
}

#[test]
fn an_answer_counts_however_late_it_comes() {
    // Both questions are answered once, and that when they have been asked again already.
    let slow = |count: Arc<AtomicUsize>| {
        move |question: &[u8], _: bool| match count.fetch_add(1, Relaxed) {
            0 => {
                std::thread::sleep(asking::PATIENCE + Duration::from_millis(500));
                vec![good(question, 60)]
            }
            1 => vec![good(question, 60)],
            _ => Vec::new(),
        }
    };
    let (address, _) = server(slow(Arc::default()));
    assert_eq!(sorted(look_up(&resolver(&[address]), "late.test", LONG)), ["127.0.0.1", "::1"]);
    // One that knows nothing does not take the word from one that is slow.
    let (address, _) = server(slow(Arc::default()));
    let (refusing, _) =
        server(|question, _| vec![reply(question, |packet, _, _| *packet.rcode_mut() = RCODE::Refused)]);
    for servers in [[address, refusing], [refusing, address]] {
        let (late, _) = server(slow(Arc::default()));
        let servers = servers.map(|server| if server == address { late } else { server });
        assert_eq!(sorted(look_up(&resolver(&servers), "late.test", LONG)), ["127.0.0.1", "::1"]);
    }
}

#[test]
fn a_question_that_is_under_way_is_not_asked_again_for_an_alias() {
    let (address, asked) = server(|question, _| {
        let six = Packet::parse(question).unwrap().questions[0].qtype == QTYPE::TYPE(TYPE::AAAA);
        if six {
            std::thread::sleep(Duration::from_millis(300));
        }
        vec![reply(question, |packet, name, six| match name {
            "www.test" => packet.answers.push(record(name, 60, RData::CNAME(CNAME(Name::new_unchecked("app.test"))))),
            _ if six => packet.answers.push(record(name, 60, RData::AAAA(AAAA { address: 1 }))),
            _ => packet.answers.push(record(name, 60, RData::A(A { address: 0x7f00_0002 }))),
        })]
    });
    assert_eq!(sorted(look_up(&resolver(&[address]), "www.test", LONG)), ["127.0.0.2", "::1"]);
    assert_eq!(asked.load(Relaxed), 4, "each kind for the name, then for the alias");
}

#[test]
fn services_are_looked_up() {
    let (address, asked) = server(|question, _| {
        vec![reply(question, |packet, name, _| {
            let one = |priority, port, target| SRV { priority, weight: 5, port, target: Name::new_unchecked(target) };
            let all = [one(1, 8001, "a.test"), one(2, 8002, "b.test"), one(1, 9, ".")];
            packet.answers.extend(all.map(|one| record(name, 60, RData::SRV(one))));
        })]
    });
    let resolver = resolver(&[address]);
    let found = answer_to(&resolver, "_http._tcp.test", Want::Services, LONG).unwrap();
    let services: Vec<_> = found.services.iter().map(|one| (one.priority, one.port, one.target.as_str())).collect();
    assert_eq!(services, [(1, 8001, "a.test"), (2, 8002, "b.test")], "a dot is no host");
    assert_eq!(asked.load(Relaxed), 1);
    // The same name may be a host as well.
    assert_eq!(look_up(&resolver, "_http._tcp.test", LONG), Err(Lost::NotFound));
}
