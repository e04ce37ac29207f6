//! Which fields of a form a program would take for those that `upload_pass` makes of a file. Names are compared as what programs
//! make of them: PHP turns `f.path`, `f path` and `f[path` into `f_path`, others read `f[path]` as `f.path`. Pure.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;

use crate::exchange::error::{HttpError, Level};
use crate::http::escape;

/// What the fields that stand for a file are called, after the name of its input and a dot.
pub const SUFFIXES: [&str; 5] = ["name", "content_type", "path", "size", "sha256"];
/// The one that programs open: a field of this name is refused whatever stands before it.
const PATH: &str = "path";
/// The longest name of a field.
const LONGEST: usize = 1024;

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It would pass for a field that stands for a file.
    Forged,
    /// Programs do not agree on what it says, or it is too long.
    Unclear,
    /// A file came in an input that `upload_fields` does not name.
    Unlisted,
}

impl Fault {
    /// The answer to a form with a field of this name.
    pub fn error(self, name: &[u8]) -> HttpError {
        let name = escape::error_log(name);
        let (reason, text) = match self {
            Fault::Forged => ("forged-field", "would pass for what upload_pass makes of a file"),
            Fault::Unclear => ("field-name", "is one that programs read in different ways"),
            Fault::Unlisted => ("other-field", "brings a file and is none of upload_fields"),
        };
        HttpError::new(400, reason).log(Level::Info, format!("client sent a form whose field \"{name}\" {text}"))
    }
}

/// The names of one form.
#[derive(Debug)]
pub struct Names<'a> {
    /// The file inputs, if the conf names them.
    inputs: &'a [Bytes],
    seen: &'a mut Seen,
}

/// What is remembered of the names of one form: a number for each spelling, however long the names are.
#[derive(Debug, Default)]
pub struct Seen {
    /// The fields that are no files.
    fields: HashSet<u64>,
    /// Those that files become.
    made: HashSet<u64>,
    /// Whether the inputs that the conf names are among them.
    is_begun: bool,
    hasher: RandomState,
}

impl<'a> Names<'a> {
    /// With the file inputs that the conf names, if it names any.
    pub fn new(inputs: &'a [Bytes], seen: &'a mut Seen) -> Names<'a> {
        let mut names = Names { inputs, seen };
        if !names.seen.is_begun {
            names.seen.is_begun = true;
            inputs.iter().for_each(|input| _ = names.make(input));
        }
        names
    }

    /// A field that goes on as it is.
    pub fn field(&mut self, name: &[u8]) -> Result<(), Fault> {
        let spellings = Spellings::of(name)?;
        if self.inputs.is_empty() && spellings.ends_with(PATH) {
            return Err(Fault::Forged);
        }
        for number in spellings.numbers(&self.seen.hasher) {
            if self.seen.made.contains(&number) {
                return Err(Fault::Forged);
            }
            // Where the conf names the inputs, no later part can make another.
            if self.inputs.is_empty() {
                self.seen.fields.insert(number);
            }
        }
        Ok(())
    }

    /// A file input, whether a file was chosen or not.
    pub fn file(&mut self, name: &[u8]) -> Result<(), Fault> {
        self.listed(name)?;
        if !self.inputs.is_empty() {
            return Ok(());
        }
        // The fields of `f.path` or `f_name[]` would be taken for those of a file input `f`.
        let spellings = Spellings::of(name)?;
        if SUFFIXES.iter().any(|suffix| spellings.stays(suffix)) {
            return Err(Fault::Forged);
        }
        if self.make(name) { Err(Fault::Forged) } else { Ok(()) }
    }

    /// Whether a file may come in this input.
    pub fn listed(&self, name: &[u8]) -> Result<(), Fault> {
        let is_listed = self.inputs.is_empty() || self.inputs.iter().any(|input| input == name);
        if is_listed { Ok(()) } else { Err(Fault::Unlisted) }
    }

    /// Remembers what a file input becomes: whether a field of that name has come already.
    fn make(&mut self, input: &[u8]) -> bool {
        let Seen { fields, made, hasher, .. } = &mut *self.seen;
        let mut is_there = false;
        for suffix in SUFFIXES {
            let name = [input, b".", suffix.as_bytes()].concat();
            // No field can have a name that is unclear.
            let Ok(spellings) = Spellings::of(&name) else { continue };
            for number in spellings.numbers(hasher) {
                is_there |= fields.contains(&number);
                made.insert(number);
            }
        }
        is_there
    }
}

/// A name as programs read it, in lower case.
struct Spellings {
    /// As a key of PHP's `$_POST`.
    php: Vec<u8>,
    /// With dots for brackets.
    dotted: Vec<u8>,
    /// PHP's keys further down, in what `php` names.
    keys: Vec<Vec<u8>>,
    /// Whether PHP makes an array of it.
    is_array: bool,
}

impl Spellings {
    fn of(name: &[u8]) -> Result<Spellings, Fault> {
        // Browsers write a quote and a line end in a name as `%22`, `%0D%0A`, and some programs take that back.
        let name: Cow<'_, [u8]> = escape::percent_decode(name);
        let is_odd = |byte: &u8| byte.is_ascii_control() || *byte == b'\\';
        // An encoded word (RFC 2047 section 2) hides whatever name it likes.
        let is_word = memchr::memmem::find(&name, b"=?").is_some() && memchr::memmem::find(&name, b"?=").is_some();
        if name.len() > LONGEST || is_word || name.iter().any(is_odd) {
            return Err(Fault::Unclear);
        }
        let name = name.trim_ascii().to_ascii_lowercase();
        let php = php(&name);
        Ok(Spellings { is_array: php.len() < name.len(), dotted: dotted(&name), keys: keys(&name), php })
    }

    /// Whether it is a word behind a separator.
    fn ends_with(&self, word: &str) -> bool {
        is_behind(&self.php, b'_', word) || is_behind(&self.dotted, b'.', word) || self.has_key(word)
    }

    /// The same for what further words are written behind: an array of PHP's is one key, whatever they are.
    fn stays(&self, word: &str) -> bool {
        (self.is_array && is_behind(&self.php, b'_', word)) || is_behind(&self.dotted, b'.', word) || self.has_key(word)
    }

    fn has_key(&self, word: &str) -> bool {
        self.keys.iter().any(|key| key == word.as_bytes())
    }

    fn numbers(&self, hasher: &RandomState) -> [u64; 3] {
        let key = self.keys.first().map(|key| [&self.php, &b"."[..], key].concat());
        let nested = key.as_ref().unwrap_or(&self.dotted);
        [hasher.hash_one((b'p', &self.php)), hasher.hash_one((b'd', &self.dotted)), hasher.hash_one((b'd', nested))]
    }
}

fn is_behind(name: &[u8], separator: u8, word: &str) -> bool {
    name.strip_suffix(word.as_bytes()).is_some_and(|before| before.last() == Some(&separator))
}

/// The key of `$_POST`: blanks, dots and a bracket that is not closed become `_`, what is in brackets is a key further down.
fn php(name: &[u8]) -> Vec<u8> {
    let open = name.iter().position(|&b| b == b'[');
    let end = open.filter(|&open| name[open..].contains(&b']')).unwrap_or(name.len());
    name[..end].iter().map(|&b| if matches!(b, b' ' | b'.' | b'[') { b'_' } else { b }).collect()
}

/// The keys in the brackets that stand one right after the other: what follows them is dropped.
fn keys(name: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = name.iter().position(|&b| b == b'[').map_or(&b""[..], |open| &name[open..]);
    let mut keys = Vec::new();
    while let Some(inner) = rest.strip_prefix(b"[")
        && let Some(end) = inner.iter().position(|&b| b == b']')
    {
        keys.push(inner[..end].iter().copied().filter(|b| !matches!(b, b'"' | b'\'' | b' ')).collect());
        rest = &inner[end + 1..];
    }
    keys
}

/// `f['a'][b]` as `f.a.b`; an empty bracket at the end says only that there may be several.
fn dotted(name: &[u8]) -> Vec<u8> {
    let kept = name.iter().filter(|byte| !matches!(byte, b']' | b'"' | b'\''));
    let mut dotted: Vec<u8> = kept.map(|&b| if b == b'[' { b'.' } else { b }).collect();
    while dotted.last() == Some(&b'.') {
        dotted.pop();
    }
    dotted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a form: `@` stands before file inputs.
    fn judge(inputs: &[&str], parts: &[&str]) -> Result<(), Fault> {
        let inputs: Vec<Bytes> = inputs.iter().map(|input| Bytes::copy_from_slice(input.as_bytes())).collect();
        let mut seen = Seen::default();
        let mut names = Names::new(&inputs, &mut seen);
        parts.iter().try_for_each(|part| match part.strip_prefix('@') {
            Some(file) => names.file(file.as_bytes()),
            None => names.field(part.as_bytes()),
        })
    }

    #[test]
    fn a_path_is_refused_whatever_its_name_is() {
        for name in [
            "f.path",
            "f_path",
            "f path",
            "f[path",
            "f[path]",
            "f['path']",
            "f.PATH",
            " f.path",
            "f.path ",
            "f%2epath",
            ".path",
            "_path",
            "f.path[]",
            "f_path[0]",
            "a[0].path",
            "a.b.path",
            "f%5Fpath",
            "f[path][]",
            "f[path]x",
            "f[path][x",
            "f[path][x]",
            "f[a][path]b",
            "f[ path]x",
        ] {
            assert_eq!(judge(&[], &[name]), Err(Fault::Forged), "{name}");
        }
        for name in ["path", "f.paths", "fpath", "path.f", "f.path.x", "xpath", "f-path", "f[a]"] {
            assert_eq!(judge(&[], &[name]), Ok(()), "{name}");
        }
    }

    #[test]
    fn other_suffixes_count_where_their_file_is_before_it_and_after() {
        for name in ["f.name", "f_name", "f.SIZE", "f[sha256]", "f content_type", "f[name", "f_size[]", "f.name[x]"] {
            assert_eq!(judge(&[], &[name]), Ok(()), "{name} alone");
            assert_eq!(judge(&[], &["@f", name]), Err(Fault::Forged), "{name} after");
            assert_eq!(judge(&[], &[name, "@f"]), Err(Fault::Forged), "{name} before");
            assert_eq!(judge(&[], &["@g", name]), Ok(()), "{name} beside another");
        }
        for name in ["f[size]x", "f[size][x", "f[size][x]", "f[ size]"] {
            assert_eq!(judge(&[], &["@f", name]), Err(Fault::Forged), "{name}");
        }
        let everyday = ["user.name", "file_size", "name", "f", "size", "f.title", "user[name]", "content_type"];
        assert_eq!(judge(&[], &["@f", "@photo[front]", "@photo[back]", "@g"]), Ok(()));
        assert_eq!(judge(&[], &[everyday.as_slice(), &["@f"]].concat()), Ok(()));
        // All of the fields that `f[]` becomes are `f` to PHP.
        for name in ["f", "f[]", "f[0]", "f[a].b"] {
            assert_eq!(judge(&[], &[name, "@f[]"]), Err(Fault::Forged), "{name}");
            assert_eq!(judge(&[], &["@f[]", name]), Err(Fault::Forged), "{name}");
        }
    }

    #[test]
    fn a_file_input_forges_nothing_either() {
        for name in ["@f.path", "@f_name[]", "@f.name[x]", "@f[path]", "@f[path][]", "@f[path]x", "@f[size][x"] {
            assert_eq!(judge(&[], &["@f", name]), Err(Fault::Forged), "{name}");
        }
        for name in ["@my_path", "@f_name", "@files[]", "@a.b", "@a_b"] {
            assert_eq!(judge(&[], &["@f", name]), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_that_mean_this_and_that_are_refused() {
        let long = "x".repeat(LONGEST + 1);
        for name in ["f\0", "f\r", "f\\.path", "f%00", "f%0d%0apath", "=?utf-8?q?f=2epath?=", "f\x7f", &long] {
            assert_eq!(judge(&[], &[name]), Err(Fault::Unclear), "{name}");
            assert_eq!(judge(&[], &[&format!("@{name}")]), Err(Fault::Unclear), "{name}");
        }
        for name in [&long[1..], "größe", "100%", "a=?b", "a\"b", ""] {
            assert_eq!(judge(&[], &[name, &format!("@{name}")]), Ok(()), "{name}");
        }
    }

    #[test]
    fn inputs_that_the_conf_names_are_all_there_are() {
        let inputs = ["f", "g[]"];
        for (parts, want) in [
            (&["@f", "@g[]", "return_path", "h.path", "f"][..], Ok(())),
            (&["@h"], Err(Fault::Unlisted)),
            (&["@F"], Err(Fault::Unlisted)),
            (&["f.path"], Err(Fault::Forged)),
            (&["f_size"], Err(Fault::Forged)),
            (&["g"], Err(Fault::Forged)),
        ] {
            assert_eq!(judge(&inputs, parts), want, "{parts:?}");
        }
    }
}
