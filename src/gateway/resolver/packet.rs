//! One question to a name server and what its answer says (RFC 1035 section 4): pure, over bytes. An answer that is not to this
//! question is none; a forged one has to guess the number of the question and the port it came from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

/// Which records are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// IPv4.
    A,
    /// IPv6.
    Aaaa,
    /// Services (RFC 2782).
    Srv,
}

/// Where a service is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// Those with the lowest number come first.
    pub priority: u16,
    /// Its share among those of the same priority.
    pub weight: u16,
    /// The port there.
    pub port: u16,
    /// The host.
    pub target: String,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Addresses, and for how many seconds they hold. There may be none.
    Addresses(Vec<IpAddr>, u32),
    /// Services, and for how many seconds they hold. There may be none.
    Services(Vec<Service>, u32),
    /// The name is another's alias, whose addresses the answer does not tell.
    Alias(String, u32),
    /// It did not fit: ask over TCP.
    Truncated,
    /// The server's code for why it has none: 3 is "no such name".
    Refused(u16),
}

/// The longest chain of aliases.
pub const LONGEST_CHAIN: usize = 8;

/// A question for a name's records. None for a name that no packet can carry.
pub fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).ok()?;
    packet.questions.push(Question::new(name, QTYPE::TYPE(record(kind)), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().ok()
}

/// Reads an answer. None if it is not one to this question.
pub fn answer(bytes: &[u8], id: u16, name: &str, kind: Kind) -> Option<Said> {
    // The number tells at once whether the rest is worth a look.
    if bytes.get(..2)? != id.to_be_bytes() {
        return None;
    }
    let packet = Packet::parse(bytes).ok()?;
    let [asked] = packet.questions.as_slice() else { return None };
    let ours = packet.has_flags(PacketFlag::RESPONSE)
        && packet.opcode() == OPCODE::StandardQuery
        && asked.qtype == QTYPE::TYPE(record(kind))
        && asked.qclass == QCLASS::CLASS(CLASS::IN)
        && is(&asked.qname, name);
    if !ours {
        return None;
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Some(Said::Truncated);
    }
    match packet.rcode() {
        RCODE::NoError => Some(follow(&packet, name, kind)),
        _ => Some(Said::Refused(u16::from(bytes.get(3)? & 0x0f))),
    }
}

fn record(kind: Kind) -> TYPE {
    match kind {
        Kind::A => TYPE::A,
        Kind::Aaaa => TYPE::AAAA,
        Kind::Srv => TYPE::SRV,
    }
}

fn is(name: &Name<'_>, text: &str) -> bool {
    name.to_string().eq_ignore_ascii_case(text)
}

/// Follows the aliases that the answer tells to the records at their end.
fn follow(packet: &Packet<'_>, name: &str, kind: Kind) -> Said {
    let (mut owner, mut ttl, mut hops) = (name.to_string(), u32::MAX, 0);
    loop {
        let (mut addresses, mut services, mut alias) = (Vec::new(), Vec::new(), None);
        for record in packet.answers.iter().filter(|record| record.class == CLASS::IN && is(&record.name, &owner)) {
            match (&record.rdata, kind) {
                (RData::A(a), Kind::A) => addresses.push(Ipv4Addr::from_bits(a.address).into()),
                (RData::AAAA(a), Kind::Aaaa) => addresses.push(Ipv6Addr::from_bits(a.address).into()),
                // RFC 2782: a dot says that there is no such service.
                (RData::SRV(srv), Kind::Srv) if !srv.target.get_labels().is_empty() => services.push(Service {
                    priority: srv.priority,
                    weight: srv.weight,
                    port: srv.port,
                    target: srv.target.to_string(),
                }),
                (RData::CNAME(to), _) => alias = Some(to.0.to_string()),
                _ => continue,
            }
            // One with its first bit set counts as 0 (RFC 2181 section 8); else it would hold for a lifetime.
            ttl = ttl.min(if record.ttl > i32::MAX as u32 { 0 } else { record.ttl });
        }
        match alias {
            Some(to) if addresses.is_empty() && services.is_empty() && hops < LONGEST_CHAIN => {
                (owner, hops) = (to, hops + 1)
            }
            _ if addresses.is_empty() && services.is_empty() && hops > 0 && hops < LONGEST_CHAIN => {
                return Said::Alias(owner, ttl);
            }
            _ if kind == Kind::Srv => return Said::Services(services, ttl),
            _ => return Said::Addresses(addresses, ttl),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, CNAME};

    /// An answer to the question 7 for the addresses of `a.test`.
    fn reply(change: impl FnOnce(&mut Packet<'_>)) -> Vec<u8> {
        let mut packet = Packet::new_reply(7);
        let question = |kind| Question::new(Name::new_unchecked("a.test"), kind, QCLASS::CLASS(CLASS::IN), false);
        packet.questions.push(question(QTYPE::TYPE(TYPE::A)));
        change(&mut packet);
        packet.build_bytes_vec().unwrap()
    }

    fn address(name: &'static str, last: u8, ttl: u32) -> ResourceRecord<'static> {
        let rdata = RData::A(A { address: Ipv4Addr::new(192, 0, 2, last).to_bits() });
        ResourceRecord::new(Name::new_unchecked(name), CLASS::IN, ttl, rdata)
    }

    fn alias(name: &'static str, to: &'static str) -> ResourceRecord<'static> {
        ResourceRecord::new(Name::new_unchecked(name), CLASS::IN, 40, RData::CNAME(CNAME(Name::new_unchecked(to))))
    }

    fn read(bytes: &[u8]) -> Option<Said> {
        answer(bytes, 7, "a.test", Kind::A)
    }

    fn said(addresses: &[&str], ttl: u32) -> Option<Said> {
        Some(Said::Addresses(addresses.iter().map(|ip| ip.parse().unwrap()).collect(), ttl))
    }

    #[test]
    fn a_question_can_be_read_back() {
        let bytes = question(7, "A.test", Kind::Aaaa).unwrap();
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.id(), 7);
        assert!(packet.has_flags(PacketFlag::RECURSION_DESIRED) && !packet.has_flags(PacketFlag::RESPONSE));
        assert!(is(&packet.questions[0].qname, "a.test"));
        assert_eq!(question(7, &"a".repeat(64), Kind::A), None);
    }

    #[test]
    fn aliases_are_followed() {
        let two = reply(|packet| packet.answers.extend([address("a.test", 1, 60), address("A.Test", 2, 30)]));
        assert_eq!(read(&two), said(&["192.0.2.1", "192.0.2.2"], 30));
        let endless = reply(|packet| packet.answers.extend([address("a.test", 1, 1 << 31)]));
        assert_eq!(read(&endless), said(&["192.0.2.1"], 0));
        let long = reply(|packet| packet.answers.extend([address("a.test", 1, (1 << 31) - 1)]));
        assert_eq!(read(&long), said(&["192.0.2.1"], (1 << 31) - 1));
        let chain = [alias("a.test", "b.test"), alias("b.test", "c.test"), address("c.test", 3, 90)];
        assert_eq!(read(&reply(|packet| packet.answers.extend(chain))), said(&["192.0.2.3"], 40));
        let open = reply(|packet| packet.answers.push(alias("a.test", "b.test")));
        assert_eq!(read(&open), Some(Said::Alias("b.test".into(), 40)));
        let ring = [alias("a.test", "b.test"), alias("b.test", "a.test")];
        assert_eq!(read(&reply(|packet| packet.answers.extend(ring))), said(&[], 40));
        let foreign = reply(|packet| packet.answers.push(address("evil.test", 6, 60)));
        assert_eq!(read(&foreign), said(&[], u32::MAX));
    }

    #[test]
    fn what_answers_another_question_is_no_answer() {
        let good = reply(|packet| packet.answers.push(address("a.test", 1, 60)));
        assert_eq!(answer(&good, 8, "a.test", Kind::A), None);
        assert_eq!(answer(&good, 7, "b.test", Kind::A), None);
        assert_eq!(answer(&good, 7, "a.test", Kind::Aaaa), None);
        assert_eq!(read(&question(7, "a.test", Kind::A).unwrap()), None);
        assert_eq!(read(&reply(|packet| packet.questions.clear())), None);
        assert_eq!(read(b""), None);
    }

    #[test]
    fn refusals_and_long_answers_are_told() {
        assert_eq!(read(&reply(|packet| packet.set_flags(PacketFlag::TRUNCATION))), Some(Said::Truncated));
        for (code, number) in [(RCODE::NameError, 3), (RCODE::ServerFailure, 2), (RCODE::Refused, 5)] {
            assert_eq!(read(&reply(|packet| *packet.rcode_mut() = code)), Some(Said::Refused(number)));
        }
    }

    /// Every way to cut a good answer and to change one of its bytes.
    #[test]
    fn no_bytes_do_harm() {
        let good = reply(|packet| packet.answers.extend([alias("a.test", "b.test"), address("b.test", 1, 60)]));
        for end in 0..good.len() {
            read(&good[..end]);
        }
        for at in 0..good.len() {
            for byte in 0..=255 {
                let mut bad = good.clone();
                bad[at] = byte;
                read(&bad);
            }
        }
    }
}
