//! The table of reasons and the source agree: each reason that is given has a row, each row is given somewhere.

use std::collections::BTreeSet;
use std::path::Path;

use longshore::exchange::reasons::{self, REASONS};

fn sources(folder: &Path, out: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("exchange/reasons.rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            // What tests make up is no reason.
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_string();
            out.push((path.display().to_string(), text));
        }
    }
}

#[test]
fn every_reason_has_a_row_and_every_row_is_given() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let given = regex::Regex::new(r#"HttpError::new\(\s*[^,()]+(?:\([^()]*\))?,\s*"([a-z0-9-]+)""#).expect("a regex");
    // A table of errors of the system: the status, then the reason.
    let listed = regex::Regex::new(r#"\(\s*(?:[45][0-9]{2}|missing),\s*"([a-z0-9-]+)"\s*[,)]"#).expect("a regex");
    let mut without = BTreeSet::new();
    for (file, text) in &files {
        for found in given.captures_iter(text).chain(listed.captures_iter(text)) {
            if reasons::of(&found[1]).is_none() {
                without.insert(format!("{} in {file}", &found[1]));
            }
        }
    }
    assert!(without.is_empty(), "these reasons have no row in src/exchange/reasons.rs: {without:#?}");
    let is_given = |name: &str| files.iter().any(|(_, text)| text.contains(&format!("\"{name}\"")));
    let unused: Vec<_> = REASONS.iter().map(|reason| reason.name).filter(|name| !is_given(name)).collect();
    assert!(unused.is_empty(), "nobody gives these reasons: {unused:?}");
}

/// Reasons that come out of a function, not out of a constructor.
#[test]
fn reasons_of_the_protocol_have_rows() {
    use longshore::http::{
        chunked::ChunkError as C, head_error::HeadError as H, multipart::Fault as F, target::TargetError as T,
    };
    let heads = [
        H::BadMethod,
        H::BadMethod09,
        H::BadRequestLine,
        H::BadTargetHost,
        H::BadVersion,
        H::UriTooLong,
        H::FieldTooLong,
        H::HeadTooLarge,
        H::TooManyFields,
        H::BadField,
        H::DuplicateField,
        H::NoHost,
        H::TwoHosts,
        H::BadHost,
        H::BadLength,
        H::LengthAndEncoding,
        H::UnknownEncoding,
        H::BadEncoding,
        H::EncodingIn10,
    ];
    for error in heads {
        let row = reasons::of(error.reason()).unwrap_or_else(|| panic!("{} has no row", error.reason()));
        assert!(row.statuses.contains(&error.status()), "{}: {}", row.name, error.status());
    }
    let chunks = [C::BadSize, C::TooLarge, C::BadExtension, C::BadEnd, C::BadTrailer].map(C::reason);
    let targets = [T::BadForm, T::BadEscape, T::Zero, T::AboveRoot].map(T::reason);
    let forms = [F::NoStart, F::BadDelimiter, F::LongHead, F::BadHead, F::Nested].map(F::reason);
    for name in chunks.into_iter().chain(targets).chain(forms) {
        assert!(reasons::of(name).is_some(), "{name} has no row");
    }
}
