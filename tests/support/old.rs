//! Certificates and lists of version 1, which no maker has any more: one of today without what is new in it, signed again.

use rcgen::{KeyPair, SigningKey};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
/// The version of a certificate, and its extensions.
const OF_CERTIFICATES: [u8; 2] = [0xa0, 0xa3];
/// The version of a list, and its extensions.
const OF_LISTS: [u8; 2] = [INTEGER, 0xa0];

/// A certificate as version 1 has it.
pub fn certificate(der: &[u8], signer: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    without(der, OF_CERTIFICATES, signer)
}

/// A list of revoked certificates as version 1 has it.
pub fn list(der: &[u8], signer: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    without(der, OF_LISTS, signer)
}

/// PEM of these bytes.
pub fn pem(der: &[u8], label: &str) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or("")).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn without(der: &[u8], tags: [u8; 2], signer: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    let outer = parts(content(der));
    let kept = parts(content(outer[0])).into_iter().filter(|part| !tags.contains(&part[0]));
    let signed = wrapped(SEQUENCE, &kept.collect::<Vec<_>>().concat());
    let signature = [&[0][..], &signer.sign(&signed)?].concat();
    Ok(wrapped(SEQUENCE, &[&signed, outer[1], &wrapped(BITS, &signature)].concat()))
}

/// How long the head of a value is, and the value.
fn sizes(der: &[u8]) -> (usize, usize) {
    match der[1] {
        short if short < 0x80 => (2, usize::from(short)),
        long => {
            let n = usize::from(long & 0x7f);
            (2 + n, der[2..2 + n].iter().fold(0, |len, byte| len << 8 | usize::from(*byte)))
        }
    }
}

fn content(der: &[u8]) -> &[u8] {
    let (head, len) = sizes(der);
    &der[head..head + len]
}

fn parts(mut der: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !der.is_empty() {
        let (head, len) = sizes(der);
        let (part, rest) = der.split_at(head + len);
        found.push(part);
        der = rest;
    }
    found
}

fn wrapped(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let head = match len {
        0..0x80 => vec![tag, len as u8],
        0x80..0x100 => vec![tag, 0x81, len as u8],
        _ => vec![tag, 0x82, (len >> 8) as u8, len as u8],
    };
    [head, content.to_vec()].concat()
}
