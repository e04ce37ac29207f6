//! What nginx's users mean by an expression where versions of PCRE2 disagree. Most nginx have 10.42 or an older one; since then some
//! constructs that were plain text are quantifiers, among others. Here they mean what they mean there, or are refused where
//! that cannot be had. Must not know how an expression is compiled.

use super::Invalid;

/// An expression on which all versions agree.
#[derive(Debug)]
pub struct Agreed {
    pub text: Vec<u8>,
    /// The first braces that were text and would be a quantifier now.
    pub braces: Option<String>,
}

/// Writes an expression so that it means to this PCRE2 what it means to 10.42. `options` are what it begins with, `(*UTF)` and
/// the like.
pub fn agreed(options: &str, body: &[u8], caseless: bool) -> Result<Agreed, Invalid> {
    refuse_properties(body, caseless)?;
    let has_unicode_words = has_unicode_words(options, body)?;
    refuse_lookarounds(body)?;
    refuse_versions(body)?;
    refuse_hidden(body)?;
    let (mut text, mut braces, mut at) = (Vec::with_capacity(body.len() + 8), None, 0);
    // Where a class began, as far as a glance tells: braces in it are text for all, and it does no harm to escape them.
    let mut class = None;
    while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
        let length = match rest {
            [b'\\', b'Q', ..] => end_of_quote(rest),
            // The sign after `\c` is taken as it is, a backslash too.
            [b'\\', b'c', ..] => 3,
            [b'\\', b'o' | b'g' | b'k' | b'N' | b'p' | b'P' | b'x', b'{', ..] => 3,
            [b'\\', b'x', next @ ..] if !next.first().is_some_and(u8::is_ascii_hexdigit) => {
                // No digit was a NUL and is an error now.
                text.extend(b"\\x00");
                at += 2;
                continue;
            }
            [b'\\', escape, ..] if has_unicode_words && let Some(word) = word_of(*escape) => {
                text.extend(word.as_bytes());
                at += 2;
                continue;
            }
            [b'\\', ..] => 2,
            [b'{', ..] => {
                if let Some(length) = new_quantifier(rest) {
                    text.push(b'\\');
                    if class.is_none() {
                        braces.get_or_insert_with(|| shown(&rest[..length]));
                    }
                }
                1
            }
            [b'[', ..] => {
                class.get_or_insert(at);
                1
            }
            [b']', ..] => {
                class = class.filter(|&start| matches!(&body[start + 1..at], [] | [b'^']));
                1
            }
            _ => 1,
        };
        let length = length.min(rest.len());
        text.extend(&rest[..length]);
        at += length;
    }
    Ok(Agreed { text, braces })
}

/// The length of `\Q...\E`, or of all the rest.
fn end_of_quote(rest: &[u8]) -> usize {
    rest.windows(2).position(|pair| pair == b"\\E").map_or(rest.len(), |end| end + 2)
}

/// The length of a quantifier that is none before 10.43: without a lower bound, or with blanks in it.
fn new_quantifier(text: &[u8]) -> Option<usize> {
    let length = text.starts_with(b"{").then(|| text.iter().position(|&byte| byte == b'}'))?? + 1;
    let inside = std::str::from_utf8(text.get(1..length - 1)?).ok()?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let blank = [' ', '\t'];
    let (low, high) = match inside.split_once(',') {
        Some((low, high)) => (low.trim_matches(blank), high.trim_matches(blank)),
        None => (inside.trim_matches(blank), ""),
    };
    let is_new = number(low) && number(high) && !(low.is_empty() && high.is_empty());
    (is_new && (low.is_empty() || inside.contains(blank))).then_some(length)
}

/// Refuses a new quantifier where a `\Q` that stands in a comment or a name, and so quotes nothing, may hide it.
fn refuse_hidden(body: &[u8]) -> Result<(), Invalid> {
    let Some(found) = (0..body.len()).find_map(|at| Some(&body[at..][..new_quantifier(&body[at..])?])) else {
        return Ok(());
    };
    if !contains(body, b"\\Q") || !(contains(body, b"#") || contains(body, b"(?C") || contains(body, b"(*")) {
        return Ok(());
    }
    let braces = shown(found);
    let message = format!(
        "versions of PCRE2 disagree whether `{braces}` is a quantifier, and `\\Q` beside comments or verbs hides which is meant; \
         write `[{{]{}` or give the lower bound",
        &braces[1..]
    );
    Err(Invalid { message, offset: None })
}

/// Refuses `\p{Lu}` and its kin where case is ignored: until 10.44 they kept to their case, now they match any letter that has one.
fn refuse_properties(body: &[u8], caseless: bool) -> Result<(), Invalid> {
    if !caseless && !sets_caseless(body) {
        return Ok(());
    }
    for at in 0..body.len() {
        let (b"\\p{" | b"\\P{") = body[at..].first_chunk::<3>().map_or(&b""[..], |start| &start[..]) else { continue };
        let length = body[at..].iter().position(|&byte| byte == b'}').map_or(0, |end| end + 1);
        let property = &body[at..at + length];
        let letters = property.iter().skip(3).filter(|byte| byte.is_ascii_alphanumeric() || **byte == b'&');
        let name: Vec<u8> = letters.map(u8::to_ascii_lowercase).collect();
        if matches!(&name[..], b"lu" | b"ll" | b"lt") {
            let message = format!(
                "versions of PCRE2 disagree what `{}` means where case is ignored; write `\\p{{L&}}` for any letter with a case, or \
                 a regex that does not ignore it",
                shown(property)
            );
            return Err(Invalid { message, offset: None });
        }
    }
    Ok(())
}

/// What is a word to 10.42 after `(*UTF)(*UCP)`; since 10.43 it holds marks and all connectors.
const WORD: &str = "[\\p{L}\\p{N}_]";

/// `\w` and its kin in Unicode's sense, written out.
fn word_of(escape: u8) -> Option<String> {
    let edge = |before: [&str; 2]| {
        format!(
            "(?:(?<{}{WORD})(?{}{WORD})|(?<{}{WORD})(?{}{WORD}))",
            before[0],
            before[1],
            flip(before[0]),
            flip(before[1])
        )
    };
    Some(match escape {
        b'w' => WORD.into(),
        b'W' => WORD.replacen('[', "[^", 1),
        b'b' => edge(["=", "!"]),
        b'B' => edge(["=", "="]),
        _ => return None,
    })
}

fn flip(sign: &str) -> &str {
    if sign == "=" { "!" } else { "=" }
}

/// Whether words are Unicode's. Refuses them inside of a class, where they cannot be written out, and where one is not sure.
fn has_unicode_words(options: &str, body: &[u8]) -> Result<bool, Invalid> {
    const WORDS: [&[u8]; 6] = [b"\\w", b"\\W", b"\\b", b"\\B", b"[:", b"Xwd"];
    if !options.contains("(*UTF") || !options.contains("(*UCP)") || !WORDS.iter().any(|word| contains(body, word)) {
        return Ok(false);
    }
    if !contains(body, b"[") && !contains(body, b"\\Q") && !contains(body, b"Xwd") {
        return Ok(true);
    }
    let message = format!(
        "versions of PCRE2 disagree what `\\w`, `\\b` and their kin mean after `(*UTF)(*UCP)`; beside classes write `{WORD}` for `\\w`"
    );
    Err(Invalid { message, offset: None })
}

/// Refuses lookarounds that are not atomic: up to 10.42 what they see is looked for in the wrong places.
fn refuse_lookarounds(body: &[u8]) -> Result<(), Invalid> {
    const STARTS: [&str; 5] =
        ["(?*", "(?<*", "(*napl", "(*non_atomic_positive_lookahead", "(*non_atomic_positive_lookbehind"];
    let Some(start) = STARTS.iter().find(|start| contains(body, start.as_bytes())) else { return Ok(()) };
    let message =
        format!("versions of PCRE2 disagree what lookarounds that are not atomic match; write `(?=` for `{start}`");
    Err(Invalid { message, offset: None })
}

/// Refuses what asks for the version itself.
fn refuse_versions(body: &[u8]) -> Result<(), Invalid> {
    if !contains(body, b"(?(VERSION") {
        return Ok(());
    }
    let message = "`(?(VERSION` asks for nginx's PCRE2, which is another here; write the branch that is meant".into();
    Err(Invalid { message, offset: None })
}

/// Whether an option in the expression may make it ignore case.
fn sets_caseless(body: &[u8]) -> bool {
    let letters = |rest: &[u8]| rest.iter().take_while(|b| b.is_ascii_alphabetic() || **b == b'^').any(|&b| b == b'i');
    (0..body.len()).any(|at| body[at..].strip_prefix(b"(?").is_some_and(letters))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &str) -> String {
        let agreed = agreed("", body.as_bytes(), false).unwrap_or_else(|error| panic!("{body}: {error:?}"));
        String::from_utf8(agreed.text).unwrap()
    }

    #[test]
    fn new_quantifiers_stay_text() {
        for (body, want) in [
            ("a{,2}b", "a\\{,2}b"),
            ("a{ 1}b{1 }", "a\\{ 1}b\\{1 }"),
            ("a{1, 2}+", "a\\{1, 2}+"),
            ("a{\t1 ,\t}", "a\\{\t1 ,\t}"),
            ("a{,70000}", "a\\{,70000}"),
            ("a{2}{,3}", "a{2}\\{,3}"),
            ("[a{,2}b]", "[a\\{,2}b]"),
            ("\\d{,2}\\b{,2}", "\\d\\{,2}\\b\\{,2}"),
            ("\\Qa\\E{,2}\\E{,2}", "\\Qa\\E\\{,2}\\E\\{,2}"),
            ("\\\\{,2}", "\\\\\\{,2}"),
            ("\\cA{,2}\\c\\{,2}", "\\cA\\{,2}\\c\\\\{,2}"),
            ("(?x)a # {,2}\n{,2}", "(?x)a # \\{,2}\n\\{,2}"),
            ("(?#\\){,2}", "(?#\\)\\{,2}"),
        ] {
            assert_eq!(text(body), want, "{body}");
        }
    }

    #[test]
    fn what_all_agree_on_stays_as_it_is() {
        for body in [
            "a{2}",
            "a{2,}",
            "a{2,3}?",
            "a{,}",
            "a{ , }",
            "a{ }",
            "a{x}",
            "a{,2",
            "a{1,2,3}",
            "a{,2,}",
            "\\{,2}",
            "\\Q{,2}\\E",
            "\\Q\\{,2}",
            "\\c{,2}",
            "\\x{,2}",
            "\\N{,2}",
            "\\x{41}",
            "\\x4g",
            "\\p{Lu}",
            "{",
            "\\",
            "a\\c",
        ] {
            assert_eq!(text(body), body);
        }
    }

    #[test]
    fn an_escape_without_digits_is_a_nul() {
        for (body, want) in [("\\x", "\\x00"), ("\\xg", "\\x00g"), ("[\\x]", "[\\x00]"), ("\\\\x", "\\\\x")] {
            assert_eq!(text(body), want, "{body}");
        }
    }

    #[test]
    fn words_in_unicode_are_letters_and_numbers() {
        let limit = Default::default();
        let matches = |regex: &str, text: &str| {
            let regex = format!("(*UTF)(*UCP){regex}");
            super::super::Pattern::new(regex.as_bytes(), false, &limit).unwrap().is_match(text.as_bytes()).unwrap()
        };
        for (regex, text, want) in [
            ("^\\w+$", "aé1_", true),
            ("^\\w$", "\u{301}", false),
            ("^\\w$", "\u{203f}", false),
            ("^\\W$", "\u{203f}", true),
            ("é\\b", "é\u{301}", true),
            ("\\bé\\b", "é", true),
            ("é\\B", "é\u{301}", false),
            ("é\\Bé", "éé", true),
            ("^\\B\u{301}\\B", "\u{301}", true),
            ("^\\\\w$", "\\w", true),
        ] {
            assert_eq!(matches(regex, text), want, "{regex} {text}");
        }
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        for (options, body, caseless) in [
            ("", "\\p{Lu}", true),
            ("", "(?i)\\P{ ^l_l }", false),
            ("", "a(?s-m:b)(?xi:[\\p{Lt}])", false),
            ("(*UTF)(*UCP)", "[a]\\w", false),
            ("(*UCP)(*UTF8)", "[[:word:]]", false),
            ("", "(?x)a # \\Q\n{,2}", false),
            ("", "(?#\\Q)a{ 1}", false),
            ("", "(?C'\\Q')a{ 1}", false),
            ("", "(*MARK:\\Q)a{ 1}", false),
            ("", "(?*a)b", false),
            ("", "(*naplb:a)b", false),
            ("", "a(?(VERSION>=10.43)x|a)", false),
        ] {
            assert!(agreed(options, body.as_bytes(), caseless).is_err(), "{options}{body}");
        }
        for (options, body, caseless) in [
            ("", "\\p{Lu}(?-i)", false),
            ("", "\\p{L&}\\p{L}\\pL", true),
            ("(*UTF)", "\\w", false),
            ("(*UCP)", "\\w", false),
            ("(*UTF)(*UCP)", "\\p{L}\\s", false),
            ("", "(?x)a # \\Q\n{0,2}", false),
        ] {
            assert!(agreed(options, body.as_bytes(), caseless).is_ok(), "{options}{body}");
        }
    }
}
