//! Runs every fuzz check over its committed seeds and thousands of cheap changes of them: on stable Rust,
//! in seconds, the same at every run. What it owns is the changing; the checks stand in `fuzz/checks.rs`.

use std::path::Path;

#[path = "../fuzz/checks.rs"]
mod checks;

/// Changed inputs for each seed.
const ROUNDS: u64 = 3_000;

#[test]
fn head() {
    run("head", checks::head);
}

#[test]
fn hello() {
    run("hello", checks::hello);
}

#[test]
fn chain() {
    run("chain", checks::chain);
}

#[test]
fn target() {
    run("target", checks::target);
}

#[test]
fn chunked() {
    run("chunked", checks::chunked);
}

#[test]
fn range() {
    run("range", checks::range);
}

#[test]
fn cgi_head() {
    run("cgi_head", checks::cgi_head);
}

#[test]
fn program_head() {
    run("program_head", checks::program_head);
}

#[test]
fn answer() {
    run("answer", checks::answer);
}

#[test]
fn fastcgi() {
    run("fastcgi", checks::fastcgi);
}

#[test]
fn expect() {
    run("expect", checks::expect);
}

#[test]
fn dns() {
    run("dns", checks::dns);
}

#[test]
fn upstream_address() {
    run("upstream_address", checks::upstream_address);
}

#[test]
fn multipart() {
    run("multipart", checks::multipart);
}

#[test]
fn proxy_protocol() {
    run("proxy_protocol", checks::proxy_protocol);
}

#[test]
fn cookie() {
    run("cookie", checks::cookie);
}

#[test]
fn set_cookie() {
    run("set_cookie", checks::set_cookie);
}

#[test]
fn session() {
    run("session", checks::session);
}

#[test]
fn etag() {
    run("etag", checks::etag);
}

#[test]
fn date() {
    run("date", checks::date);
}

#[test]
fn negotiate() {
    run("negotiate", checks::negotiate);
}

#[test]
fn escape() {
    run("escape", checks::escape);
}

#[test]
fn log() {
    run("log", checks::log);
}

#[test]
fn conf() {
    run_rounds("conf", checks::conf, 1_000);
}

#[test]
fn pattern() {
    // Compiling an expression is slow beside what the other checks do.
    run_rounds("pattern", checks::pattern, 150);
}

fn run(name: &str, check: fn(&[u8])) {
    run_rounds(name, check, ROUNDS);
}

fn run_rounds(name: &str, check: fn(&[u8]), rounds: u64) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut paths: Vec<_> =
        folder.read_dir().expect("seeds are committed").map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!seeds.is_empty(), "no seed in {}", folder.display());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for seed in &seeds {
        check(seed);
        for _ in 0..rounds {
            let changed = change(seed, &seeds, &mut random);
            if std::panic::catch_unwind(|| check(&changed)).is_err() {
                panic!("{name} fails on {}", changed.escape_ascii());
            }
        }
    }
}

/// One to four small changes: a byte set, removed, doubled, a tail cut, a piece of another seed put in.
fn change(seed: &[u8], seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    const TELLING: &[u8] = b"\r\n\0 \t:;,/.%?#\"\\0aF\x7f\xff";
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 if at < bytes.len() => bytes[at] = TELLING[random.below(TELLING.len())],
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.insert(at, TELLING[random.below(TELLING.len())]),
            3 if random.below(4) == 0 => bytes.truncate(at),
            _ => {
                let other = &seeds[random.below(seeds.len())];
                let start = random.below(other.len() + 1);
                let end = (start + random.below(24)).min(other.len());
                bytes.splice(at..at, other[start..end].iter().copied());
            }
        }
    }
    bytes
}

/// Marsaglia's xorshift: enough to scatter changes, and the same at every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}
