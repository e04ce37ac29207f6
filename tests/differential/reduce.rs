//! Cuts a conf down to what a difference takes. Knows a conf as lines and blocks only.

/// The conf without all that it can do without.
pub fn conf(conf: &str, mut differs: impl FnMut(&str) -> bool) -> String {
    let mut lines: Vec<String> = conf.lines().map(str::to_string).collect();
    let mut at = 0;
    while at < lines.len() {
        let length = block(&lines[at..]);
        let without: Vec<String> = lines[..at].iter().chain(&lines[at + length..]).cloned().collect();
        if length > 0 && differs(&without.join("\n")) {
            lines = without;
        } else {
            at += 1;
        }
    }
    lines.join("\n")
}

/// How many lines the block has that begins here; 1 for a line alone, 0 where one ends.
fn block(lines: &[String]) -> usize {
    let mut depth = 0;
    for (n, line) in lines.iter().enumerate() {
        depth += line.matches('{').count() as isize - line.matches('}').count() as isize;
        if depth <= 0 {
            return if depth < 0 { 0 } else { n + 1 };
        }
    }
    0
}
