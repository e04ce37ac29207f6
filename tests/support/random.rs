//! A case that is made, not written: random regexes asked about random texts, in one conf that both servers read. They must
//! give the same answers; what those are nobody needs to know. `LONGSHORE_SEED=N` makes other ones.

use longshore::conf::pattern::Pattern;

use super::case::Case;
use super::read;

const REGEXES: usize = 150;
const TEXTS: usize = 60;

/// What may be repeated, with what versions of PCRE2 read in two ways.
const ATOMS: [&str; 73] = [
    "a",
    "b",
    "A",
    "B",
    "1",
    "_",
    "-",
    "/",
    " ",
    ":",
    ".",
    "é",
    "ü",
    "\\xe4",
    "\\x{fc}",
    "\\x0b",
    "\\n",
    "\\r",
    "\\t",
    "\\.",
    "\\-",
    "\\w",
    "\\W",
    "\\d",
    "\\D",
    "\\s",
    "\\S",
    "\\h",
    "\\H",
    "\\v",
    "\\V",
    "\\R",
    "(?:\\N)",
    "\\012",
    "\\x41",
    "[ab]",
    "[^a]",
    "[a-b1]",
    "[a&&b]",
    "[[a]b]",
    "[]a]",
    "[^]a]",
    "[\\w-]",
    "[[:alpha:]]",
    "[[:^digit:]]",
    "[[:punct:]b]",
    "[\\xe0-\\xfc]",
    "[é]",
    "[\\s\\S]",
    "[^\\W_]",
    "\\Qa.b\\E",
    "\\Q[\\E",
    "(?:)",
    "a{x}",
    "\\<",
    "\\>",
    "\\@",
    "\\e",
    "{,2}",
    "{ 1}",
    "{1, 2}",
    "{2",
    "{,}",
    "{",
    "}",
    ",",
    "[{,2}]",
    "\\Q{,2}\\E",
    "\\{,2}",
    "\\c{",
    "(?:\\x)",
    "[\\x]",
    "\\p{Lu}",
];
const PLACES: [&str; 9] = ["^", "$", "\\b", "\\B", "\\A", "\\z", "\\Z", "\\G", "\\K"];
const REPEATS: [&str; 25] = [
    "*", "+", "?", "*?", "+?", "??", "*+", "++", "?+", "{2}", "{1,2}", "{2,}", "{0,1}?", "{1,2}+", "{1}", "{0,2}",
    "{,2}", "{,1}?", "{,2}+", "{ 1}", "{1 }", "{1, 2}", "{ ,2 }", "{,}", "{2}{,2}",
];
const OPENERS: [&str; 9] = ["(", "(?:", "(?>", "(?i:", "(?s:", "(?|", "(?<n>", "(?-i:", "(?m:"];
const LOOKS: [&str; 8] = ["(?=a)", "(?!a)", "(?<=a)", "(?<!b)", "(?<=ab|b)", "(?=.b)", "(?!\\w)", "(?<!\\W)"];
const OPTIONS: [&str; 8] = ["(?i)", "(?s)", "(?m)", "(?x)", "(?U)", "(?J)", "(?-i)", "(?#c)"];

struct Maker {
    random: fastrand::Rng,
}

impl Maker {
    fn one_of(&mut self, list: &[&str]) -> String {
        list[self.random.usize(..list.len())].to_owned()
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.u32(..100) < percent
    }

    fn regex(&mut self, depth: usize) -> String {
        let branches = if self.chance(25) { 2 } else { 1 };
        let branches: Vec<String> = (0..branches).map(|_| self.branch(depth)).collect();
        branches.join("|")
    }

    fn branch(&mut self, depth: usize) -> String {
        let pieces = self.random.usize(1..=4);
        (0..pieces).map(|_| self.piece(depth)).collect()
    }

    fn piece(&mut self, depth: usize) -> String {
        let mut piece = match self.random.u32(..100) {
            0..55 => self.one_of(&ATOMS),
            55..64 => return self.one_of(&PLACES),
            64..69 => return self.one_of(&LOOKS),
            69..73 => return self.one_of(&OPTIONS),
            73..79 => format!("\\{}", self.random.u32(1..3)),
            // A group that calls itself may do so for ever.
            79..81 if depth == 2 => "(?1)".into(),
            81..83 => format!("(?(1){}|{})", self.one_of(&ATOMS), self.one_of(&ATOMS)),
            _ if depth == 0 => self.one_of(&ATOMS),
            _ => format!("{}{})", self.one_of(&OPENERS), self.regex(depth - 1)),
        };
        if self.chance(35) {
            piece += &self.one_of(&REPEATS);
        }
        piece
    }

    fn text(&mut self) -> Vec<u8> {
        const PARTS: [&[u8]; 33] = [
            b"a",
            b"a",
            b"a",
            b"b",
            b"b",
            b"A",
            b"B",
            b"1",
            b"_",
            b"-",
            b" ",
            b":",
            b"[",
            b"]",
            b"&",
            b"<",
            b"\n",
            b"\r",
            b"\x0b",
            b"\t",
            "é".as_bytes(),
            "ü".as_bytes(),
            b"\xe4",
            b"\xfc",
            b"\xc3",
            b"\xe2\x82",
            b"{,2}",
            b"{1, 2}",
            b"{ 1}",
            b"{",
            b",",
            b"}",
            b";",
        ];
        let parts = self.random.usize(1..=7);
        let mut text: Vec<u8> = (0..parts).flat_map(|_| PARTS[self.random.usize(..PARTS.len())]).copied().collect();
        if self.chance(15) {
            text.push(b'\n');
        }
        text
    }
}

/// The case.
pub fn case() -> Result<Case, String> {
    let seed = std::env::var("LONGSHORE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(2026);
    let mut maker = Maker { random: fastrand::Rng::with_seed(seed) };
    let mut regexes: Vec<(String, bool)> = Vec::new();
    while regexes.len() < REGEXES {
        let (regex, caseless) = (maker.regex(2), maker.chance(25));
        // It may be none: a reference to a group that is not there, say.
        if Pattern::new(regex.as_bytes(), caseless, &Default::default()).is_ok() {
            regexes.push((regex, caseless));
        }
    }
    let texts: Vec<Vec<u8>> = (0..TEXTS).map(|_| maker.text()).collect();
    let mut case = read::parse(&written(&regexes, &texts)).map_err(|(line, why)| format!("line {line}: {why}"))?;
    case.name = format!("regex/random_{seed}");
    Ok(case)
}

fn written(regexes: &[(String, bool)], texts: &[Vec<u8>]) -> String {
    let mut out =
        "# Random regexes.\n--- conf\nmap $uri $text { \"~^/t/(?<rest>[\\\\s\\\\S]*)$\" $rest; }\n".to_owned();
    for (n, (regex, caseless)) in regexes.iter().enumerate() {
        let regex = regex.replace('\\', "\\\\").replace('"', "\\\"");
        let sign = if *caseless { "~*" } else { "~" };
        out += &format!("map $text $r{n} {{ \"{sign}{regex}\" \"<$1|$2|$n>\"; default -; }}\n");
    }
    let results: Vec<String> = (0..regexes.len()).map(|n| format!("{n}:$r{n}")).collect();
    out +=
        &format!("server {{ listen 127.0.0.1:%PORT%; location /t/ {{ return 200 \"{}\"; }} }}\n\n", results.join(" "));
    for text in texts {
        let path: String = text.iter().map(|byte| format!("%{byte:02x}")).collect();
        out += &format!("--- request\nGET /t/{path} HTTP/1.1\nHost: h\n\n--- response\n200\n\n");
    }
    out
}
