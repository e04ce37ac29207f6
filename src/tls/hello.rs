//! The name in a client's first message (RFC 8446 section 4.1.2, RFC 6066 section 3), read from its bytes where the library reads
//! none. Pure.

/// The largest first message that is looked at.
pub const MOST: usize = 64 << 10;
/// The kind of a record (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// The name that a client asks for, whatever stands in it; `None` where the message names none or breaks off before it.
pub fn server_name(records: &[u8]) -> Option<Vec<u8>> {
    let message = message(records);
    let mut left = message.as_slice();
    // What kind of message it is, and how long.
    let head = take(&mut left, 4)?;
    if head[0] != 1 {
        return None;
    }
    // Version and random bytes, then the number of a session, ciphers and compressions.
    take(&mut left, 2 + 32)?;
    counted(&mut left, 1)?;
    counted(&mut left, 2)?;
    counted(&mut left, 1)?;
    let mut extensions = counted(&mut left, 2)?;
    while let Some(kind) = take(&mut extensions, 2) {
        let mut body = counted(&mut extensions, 2)?;
        if kind == [0, 0] {
            let mut names = counted(&mut body, 2)?;
            let kind = take(&mut names, 1)?;
            return (kind == [0]).then(|| counted(&mut names, 2)).flatten().map(<[u8]>::to_vec);
        }
    }
    None
}

/// What the first records of a handshake hold; the last one may have come in part.
fn message(mut records: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(head) = take(&mut records, 5).filter(|head| head[0] == HANDSHAKE) {
        let len = usize::from(head[3]) << 8 | usize::from(head[4]);
        let (part, rest) = records.split_at(len.min(records.len()));
        all.extend_from_slice(part);
        records = rest;
    }
    all
}

fn take<'a>(left: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (part, rest) = left.split_at_checked(n)?;
    *left = rest;
    Some(part)
}

/// What stands behind its own length of so many bytes.
fn counted<'a>(left: &mut &'a [u8], width: usize) -> Option<&'a [u8]> {
    let len = take(left, width)?.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
    take(left, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(name: &[u8]) -> Vec<u8> {
        let len = |n: usize| (n as u16).to_be_bytes();
        let mut extension = [&[0][..], &len(name.len()), name].concat();
        extension = [&len(extension.len())[..], &extension].concat();
        let other = [&[0, 23][..], &len(0)].concat();
        let extensions = [other, [&[0, 0][..], &len(extension.len()), &extension].concat()].concat();
        let mut body = [&[3, 3][..], &[7; 32], &[1, 9], &[0, 2, 19, 1], &[1, 0]].concat();
        body.extend([&len(extensions.len())[..], &extensions].concat());
        [&[1, 0][..], &len(body.len()), &body].concat()
    }

    fn records(message: &[u8], size: usize) -> Vec<u8> {
        message.chunks(size).flat_map(|part| [&[22, 3, 1, 0, part.len() as u8][..], part].concat()).collect()
    }

    #[test]
    fn a_name_is_found_however_it_is_cut() {
        let message = hello(b"localhost:443");
        for size in [1, 7, 40, 200] {
            assert_eq!(server_name(&records(&message, size)).as_deref(), Some(&b"localhost:443"[..]), "{size}");
        }
        let name = vec![b'x'; 60];
        assert_eq!(server_name(&records(&hello(&name), 50)), Some(name));
    }

    #[test]
    fn what_breaks_off_has_none() {
        let all = records(&hello(b"localhost:443"), 200);
        for len in 0..all.len() {
            assert_eq!(server_name(&all[..len]), None, "{len}");
        }
        assert_eq!(server_name(b"GET / HTTP/1.1\r\n\r\n"), None);
        assert_eq!(server_name(&[22; 300]), None);
    }
}
