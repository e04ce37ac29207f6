//! The kinds of messages about a conf, each with a stable code: what it means, a conf that shows it, and the same conf
//! fixed. `longshore help CODE` and docs/diagnostics.md are made from these rows. Decides nothing: who finds something wrong
//! names its kind.

mod dangers;
mod directives;
mod machine;
mod shapes;
mod slips;

use std::fmt;

/// What kind of thing is wrong. The number is the code, and it stays what it is when others come or go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
#[allow(missing_docs, reason = "the rows say what each means")]
pub enum Code {
    MissingSemicolon = 1,
    UnclosedBlock = 2,
    StrayBrace = 3,
    StraySemicolon = 4,
    NamelessBlock = 5,
    UnclosedQuote = 6,
    GluedToQuote = 7,
    ByteOrderMark = 8,
    OddCharacter = 9,
    TooLarge = 10,
    UnopenedBlock = 11,
    UnquotedBrace = 12,
    Unreadable = 20,
    IncludeCircle = 21,
    IncludeShape = 22,
    UnknownDirective = 30,
    WrongPlace = 31,
    Duplicate = 32,
    WordCount = 33,
    BlockOrNot = 34,
    WrongValue = 35,
    NotBuilt = 36,
    UnknownVariable = 40,
    BuiltInVariable = 41,
    DuplicateLocation = 42,
    ListenConflict = 43,
    UnknownZone = 44,
    UnknownUpstream = 45,
    NoCharsetMap = 46,
    Certificate = 47,
    CannotListen = 60,
    CannotOpen = 61,
    OddValue = 70,
    ServerNameTaken = 71,
    Loose = 72,
    LeftOut = 80,
    UnknownRule = 81,
    AliasSlash = 101,
    AllowWithoutDeny = 102,
    RuleBehindAll = 103,
    ReturnBeforeAccess = 104,
    AddHeaderHides = 105,
    UploadRunsScripts = 106,
    UnreachableLocation = 107,
    UnreachableLine = 108,
    ErrorPageMissing = 109,
    ErrorPageRelative = 110,
    NoNamedLocation = 111,
    StatusOpen = 112,
    RootHoldsSecrets = 113,
    ReturnDecodedPath = 114,
    CertificateUnused = 115,
    OpenProxy = 116,
    UploadLimitWithoutStore = 117,
    AskedLocationGuardsItself = 118,
    PathMissing = 119,
    LocationNeverMatches = 120,
    CommaInList = 121,
    ProxyPassSlash = 122,
    CaptureMissing = 123,
    GeoVariable = 124,
    ContentTypeAdded = 125,
    HostSpoofing = 126,
    ProxyPassDecoded = 127,
    PublicResolver = 128,
    SlowRegex = 129,
    ConnectionsAboveDescriptors = 130,
    AskedAloneSets = 131,
    LoginGuarded = 132,
    HintsWithoutHttp11 = 133,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LS{:03}", *self as u16)
    }
}

/// One row: all there is to say about a code.
#[derive(Debug)]
pub struct Kind {
    /// The code.
    pub code: Code,
    /// What `# longshore: allow RULE` calls it; only warnings about dangers can be silenced.
    pub rule: Option<&'static str>,
    /// A few words.
    pub title: &'static str,
    /// One to four sentences.
    pub text: &'static str,
    /// A conf that gives this message.
    pub bad: &'static str,
    /// The same, fixed: nothing is said of it.
    pub fixed: &'static str,
}

/// The row of a kind that is no danger's.
const fn kind(code: Code, title: &'static str, text: &'static str, [bad, fixed]: [&'static str; 2]) -> Kind {
    Kind { code, rule: None, title, text, bad, fixed }
}

/// All rows, in the order of their codes.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    [shapes::KINDS, directives::KINDS, machine::KINDS, dangers::KINDS, slips::KINDS].into_iter().flatten()
}

/// The row of a code.
pub fn of(code: Code) -> Option<&'static Kind> {
    kinds().find(|kind| kind.code == code)
}

/// The row that somebody names: `LS012`, `ls12`, `12`, or a rule such as `alias-slash`.
pub fn named(text: &str) -> Option<&'static Kind> {
    let text = text.to_ascii_lowercase();
    let number = text.strip_prefix("ls").unwrap_or(&text).parse::<u16>().ok();
    kinds().find(|kind| number == Some(kind.code as u16) || kind.rule == Some(text.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_order_and_explained() {
        let codes: Vec<Code> = kinds().map(|kind| kind.code).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
        for kind in kinds() {
            assert!(kind.text.ends_with('.') && !kind.text.contains("  "), "{}: {}", kind.code, kind.text);
            assert!((1..=5).contains(&kind.text.split(". ").count()), "{}", kind.code);
            assert!(!kind.title.is_empty() && !kind.title.ends_with('.'), "{}", kind.code);
            assert!(!kind.bad.is_empty() && !kind.fixed.is_empty() && kind.bad != kind.fixed, "{}", kind.code);
        }
    }

    #[test]
    fn rows_are_found_by_what_people_write() {
        for (text, want) in [
            ("LS001", Some(Code::MissingSemicolon)),
            ("ls1", Some(Code::MissingSemicolon)),
            ("101", Some(Code::AliasSlash)),
            ("alias-slash", Some(Code::AliasSlash)),
            ("LS999", None),
            ("", None),
            ("none", None),
        ] {
            assert_eq!(named(text).map(|kind| kind.code), want, "{text}");
        }
        assert_eq!(
            (Code::MissingSemicolon.to_string(), Code::AliasSlash.to_string()),
            ("LS001".into(), "LS101".into())
        );
        assert!(of(Code::OpenProxy).is_some());
    }
}
