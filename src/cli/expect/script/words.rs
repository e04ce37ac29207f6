//! Words of a line: blanks between them, quotes and escapes in them, variables replaced. Knows no word's meaning.

use super::{Variables, shown};

/// The words of a line.
#[derive(Debug, Default)]
pub struct Words {
    /// As they are meant: quotes and escapes undone, variables replaced.
    pub all: Vec<Vec<u8>>,
    /// The first variable that is empty.
    pub empty: Option<String>,
}

/// Words between blanks; quotes hold blanks and escapes, `${name}` is a variable, a `#` at a word's beginning ends the line.
pub fn split(line: &[u8], variables: &Variables) -> Result<Words, String> {
    let (mut words, mut word, mut open): (Words, Option<Vec<u8>>, bool) = (Words::default(), None, false);
    let mut bytes = line.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                open = !open;
                word.get_or_insert_default();
            }
            b'\\' if open => {
                let escaped = escape(&mut bytes).ok_or("after `\\` in quotes stands one of r n t \\ \" $ or xHH")?;
                word.get_or_insert_default().push(escaped);
            }
            b' ' | b'\t' | b'\r' if !open => words.all.extend(word.take()),
            b'#' if !open && word.is_none() => break,
            b'$' if bytes.peek() == Some(&b'{') => {
                let (name, value) = value(bytes.by_ref().skip(1), variables)?;
                word.get_or_insert_default().extend(value.as_bytes());
                if value.is_empty() && words.empty.is_none() {
                    words.empty = Some(name);
                }
            }
            _ => word.get_or_insert_default().push(byte),
        }
    }
    if open {
        return Err("a quote is not closed: write `\"` at its end".into());
    }
    words.all.extend(word);
    Ok(words)
}

/// The variable whose name ends at the next `}`, and its value.
fn value(bytes: impl Iterator<Item = u8>, variables: &Variables) -> Result<(String, &str), String> {
    let (mut name, mut ends) = (Vec::new(), false);
    for byte in bytes {
        if byte == b'}' {
            ends = true;
            break;
        }
        name.push(byte);
    }
    if !ends {
        return Err("`${` begins a variable, and its `}` is missing".into());
    }
    let name = variable(&name)?;
    match variables.value(&name) {
        Some(value) => Ok((name, value)),
        None => Err(format!("nothing says what ${{{name}}} is: write `set {name} VALUE` above")),
    }
}

fn escape(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    Some(match bytes.next()? {
        b'r' => b'\r',
        b'n' => b'\n',
        b't' => b'\t',
        byte @ (b'\\' | b'"' | b'$') => byte,
        b'x' => {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            (high * 16 + low) as u8 // two digits are at most 255
        }
        _ => return None,
    })
}

/// A line to be shown, its variables replaced; it was read before.
pub fn replaced_text(line: &[u8], variables: &Variables) -> String {
    let mut out = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.windows(2).position(|two| two == b"${").filter(|at| *at == 0 || rest[at - 1] != b'\\') {
        let Some(end) = rest[at..].iter().position(|&byte| byte == b'}') else { break };
        let name = String::from_utf8_lossy(&rest[at + 2..at + end]);
        out.extend(&rest[..at]);
        out.extend(variables.value(&name).unwrap_or_default().as_bytes());
        rest = &rest[at + end + 1..];
    }
    out.extend(rest);
    squeezed(&out)
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
