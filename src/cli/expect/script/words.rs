//! Words of a line: blanks between them, quotes and escapes in them, variables replaced. Knows no word's meaning.

use super::{Variables, shown};

/// Words between blanks; quotes hold blanks and escapes, a `#` at a word's beginning ends the line.
pub fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let (mut words, mut word, mut open): (Vec<Vec<u8>>, Option<Vec<u8>>, bool) = (Vec::new(), None, false);
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                open = !open;
                word.get_or_insert_default();
            }
            b'\\' if open => {
                let escaped = escape(&mut bytes).ok_or("after `\\` in quotes stands one of r n t \\ \" or xHH")?;
                word.get_or_insert_default().push(escaped);
            }
            b' ' | b'\t' | b'\r' if !open => words.extend(word.take()),
            b'#' if !open && word.is_none() => break,
            _ => word.get_or_insert_default().push(byte),
        }
    }
    if open {
        return Err("a quote is not closed: write `\"` at its end".into());
    }
    words.extend(word);
    Ok(words)
}

fn escape(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    Some(match bytes.next()? {
        b'r' => b'\r',
        b'n' => b'\n',
        b't' => b'\t',
        byte @ (b'\\' | b'"') => byte,
        b'x' => {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            (high * 16 + low) as u8 // two digits are at most 255
        }
        _ => return None,
    })
}

/// A word with its `${name}` replaced; the first of them that is empty is noted.
pub fn replaced(word: &[u8], variables: &Variables, empty: &mut Option<String>) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut rest = word;
    while let Some(at) = rest.windows(2).position(|two| two == b"${") {
        out.extend(&rest[..at]);
        let inner = &rest[at + 2..];
        let end = inner.iter().position(|&byte| byte == b'}');
        let end = end.ok_or("`${` begins a variable, and its `}` is missing")?;
        let name = variable(&inner[..end])?;
        let value = variables.value(&name);
        let value = value.ok_or_else(|| format!("nothing says what ${{{name}}} is: write `set {name} VALUE` above"))?;
        if value.is_empty() && empty.is_none() {
            *empty = Some(name);
        }
        out.extend(value.as_bytes());
        rest = &inner[end + 1..];
    }
    out.extend(rest);
    Ok(out)
}

/// A line to be shown, with all that can be replaced and one blank between words; it was read before.
pub fn replaced_text(line: &[u8], variables: &Variables) -> String {
    squeezed(&replaced(line, variables, &mut None).unwrap_or_else(|_| line.to_vec()))
}

/// A line with one blank between words.
pub fn squeezed(text: &[u8]) -> String {
    let (mut shown, mut open, mut before) = (String::new(), false, ' ');
    for letter in String::from_utf8_lossy(text).chars() {
        open ^= letter == '"' && before != '\\';
        let letter = if letter == '\t' { ' ' } else { letter };
        if open || letter != ' ' || before != ' ' {
            shown.push(letter);
        }
        before = letter;
    }
    shown.trim().to_string()
}

/// A variable's name.
pub fn variable(name: &[u8]) -> Result<String, String> {
    let fits = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    match fits {
        true => Ok(shown(name)),
        false => Err(format!("`{}` is no variable's name: letters, digits and `_`", shown(name))),
    }
}

/// A value that is text.
pub fn utf8(value: &[u8]) -> Result<String, String> {
    String::from_utf8(value.to_vec()).map_err(|_| "a variable's value is UTF-8".into())
}
