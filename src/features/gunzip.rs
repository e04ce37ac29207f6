//! `gunzip`: unpacks answers for clients that do not take gzip. As a filter it stands before those that change the text
//! (`sub_filter`, `charset`), which then find some. What the client takes is told from outside.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::Exchange;
use crate::exchange::variables::Variable;
use crate::http::response::{Body, Response};
use crate::http::transform::{ENOUGH, Transform, through};

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conf {
    on: bool,
}

impl Conf {
    /// Whether responses are unpacked for clients that cannot.
    pub fn is_used(&self) -> bool {
        self.on
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[Directive {
    manual: Manual {
        name: "gunzip",
        syntax: &["on | off"],
        default: Some("off"),
        contexts: Contexts::SCOPES,
        arity: Arity::Flag,
        block: false,
        doc: "Unpacks answers with `Content-Encoding: gzip` for clients that do not take gzip: those of other servers, or files of \
              `gzip_static always`. `gzip_http_version`, `gzip_proxied` and `gzip_disable` say who counts as one that does not.",
    },
    repeat: Repeat::Refused,
    inherit: Inherit::Yes,
    set: |conf, args| {
        conf.on = args.flag(0)?;
        Ok(())
    },
}];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

/// Unpacks an answer that the client would not understand. `takes_gzip` is asked only about one that is packed.
pub fn filter(x: &Exchange, response: &mut Response, takes_gzip: impl Fn(&Exchange, &Response) -> bool) {
    let is_packed = |response: &Response| {
        response.field("Content-Encoding").is_some_and(|coding| coding.eq_ignore_ascii_case(b"gzip"))
    };
    // A 304 has no coding: what the client keeps has.
    if response.status == 304 || !is_packed(response) {
        return;
    }
    response.varies = true;
    if takes_gzip(x, response) {
        return;
    }
    // Another server's word for ranges held for the bytes that it sent.
    response.remove(&["Content-Encoding", "Accept-Ranges"]);
    let body = std::mem::take(&mut response.body);
    // An answer to HEAD has no body: it says only that GET's would be of this kind.
    response.change(match x.is_head() {
        true => Body::unknown(),
        false => through(body, Unpacker(MultiGzDecoder::new(Vec::new())), None),
    });
}

/// gzip (RFC 1952) undone, member after member.
struct Unpacker(MultiGzDecoder<Vec<u8>>);

impl Transform for Unpacker {
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        let (mut taken, before) = (0, out.len());
        // A few bytes may hold very many: the decoder takes a share, and the rest of the piece waits.
        while taken < piece.len() && out.len() - before < ENOUGH {
            let took = self.0.write(&piece[taken..])?;
            if took == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "bytes stand behind the end of what gzip packed",
                ));
            }
            taken += took;
            out.append(self.0.get_mut());
        }
        Ok(taken)
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.0.flush()?;
        out.append(self.0.get_mut());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.0.try_finish()?;
        out.append(self.0.get_mut());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(packed: &[u8], share: usize) -> io::Result<Vec<u8>> {
        let (mut unpacker, mut out) = (Unpacker(MultiGzDecoder::new(Vec::new())), Vec::new());
        for piece in packed.chunks(share) {
            let mut taken = 0;
            while taken < piece.len() {
                taken += unpacker.push(&piece[taken..], &mut out)?;
            }
            unpacker.flush(&mut out)?;
        }
        unpacker.finish(&mut out)?;
        Ok(out)
    }

    #[test]
    fn members_follow_each_other() {
        let both = [packed(b"one, "), packed(b"two")].concat();
        for share in [1, 2, 7, both.len()] {
            assert_eq!(unpack(&both, share).unwrap(), b"one, two", "{share}");
        }
    }

    #[test]
    fn what_is_cut_or_wrong_is_an_error() {
        let whole = packed(b"a text");
        assert!(unpack(&whole[..whole.len() - 1], 5).is_err());
        assert!(unpack(b"no gzip at all", 5).is_err());
        let mut wrong = whole.clone();
        wrong[12] ^= 0x55;
        assert!(unpack(&wrong, 100).is_err());
    }

    #[test]
    fn a_bomb_comes_in_shares() {
        let bomb = packed(&vec![0; 64 << 20]);
        let (mut unpacker, mut out) = (Unpacker(MultiGzDecoder::new(Vec::new())), Vec::new());
        let (mut taken, mut sum) = (0, 0);
        while taken < bomb.len() {
            taken += unpacker.push(&bomb[taken..], &mut out).unwrap();
            assert!(out.len() < 4 * ENOUGH, "{}", out.len());
            sum += out.len();
            out.clear();
        }
        unpacker.finish(&mut out).unwrap();
        assert_eq!(sum + out.len(), 64 << 20);
    }
}
