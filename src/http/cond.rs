//! Conditional requests (RFC 9110 13): each precondition answers yes, no or not given, and one function combines
//! them in the order of 13.2.2. Knows nothing of the answer: validators come as plain values. Asked only where the answer would
//! otherwise be a success.

use std::borrow::Cow;

use super::date;
use super::etag::{self, Comparison};
use super::head::{Head, Known};

/// The fields of the request, as they came.
#[derive(Debug, Clone, Default)]
pub struct Preconditions<'a> {
    /// If-Match; several lines are one list.
    pub if_match: Option<Cow<'a, [u8]>>,
    /// If-None-Match; the same.
    pub if_none_match: Option<Cow<'a, [u8]>>,
    /// If-Modified-Since.
    pub if_modified_since: Option<&'a [u8]>,
    /// If-Unmodified-Since.
    pub if_unmodified_since: Option<&'a [u8]>,
}

impl<'a> Preconditions<'a> {
    /// Those of a request.
    pub fn of(head: &'a Head) -> Self {
        Preconditions {
            if_match: head.list(Known::IfMatch),
            if_none_match: head.list(Known::IfNoneMatch),
            if_modified_since: head.known(Known::IfModifiedSince),
            if_unmodified_since: head.known(Known::IfUnmodifiedSince),
        }
    }
}

/// What is known of the representation as it is now.
#[derive(Debug, Clone, Copy, Default)]
pub struct Validators<'a> {
    /// Whether there is one (a PUT may be about to make it).
    pub exists: bool,
    /// Its tag.
    pub etag: Option<&'a [u8]>,
    /// Another form of its tag, which names it as well.
    pub other: Option<&'a [u8]>,
    /// When it was last changed, in seconds since 1970.
    pub last_modified: Option<u64>,
}

/// How If-Modified-Since is compared (the directive `if_modified_since`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ModifiedSince {
    /// The field is ignored.
    Off,
    /// Unchanged only if the two dates are equal.
    #[default]
    Exact,
    /// Unchanged if the representation is not younger than the field's date.
    Before,
}

/// What the preconditions lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Go on.
    Send,
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
}

/// What one precondition says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    NotGiven,
}

impl From<bool> for Answer {
    fn from(holds: bool) -> Self {
        if holds { Answer::Yes } else { Answer::No }
    }
}

/// Combines the preconditions in the order of RFC 9110 13.2.2. If-Range is the range's own (`range::if_range`).
pub fn evaluate(
    get_or_head: bool,
    request: &Preconditions,
    current: &Validators,
    modified_since: ModifiedSince,
) -> Outcome {
    // Steps 1 and 2: If-Unmodified-Since counts only where If-Match is absent.
    let unchanged = match if_match(request, current) {
        Answer::NotGiven => if_unmodified_since(request, current),
        given => given,
    };
    if unchanged == Answer::No {
        return Outcome::PreconditionFailed;
    }
    // Steps 3 and 4: If-Modified-Since counts only where If-None-Match is absent, and only for GET and HEAD.
    match if_none_match(request, current) {
        Answer::Yes => Outcome::Send,
        Answer::No if get_or_head => Outcome::NotModified,
        Answer::No => Outcome::PreconditionFailed,
        Answer::NotGiven if get_or_head && if_modified_since(request, current, modified_since) == Answer::No => {
            Outcome::NotModified
        }
        Answer::NotGiven => Outcome::Send,
    }
}

/// RFC 9110 13.1.1.
fn if_match(request: &Preconditions, current: &Validators) -> Answer {
    let Some(list) = request.if_match.as_deref() else { return Answer::NotGiven };
    (names(list, current, Comparison::Strong)).into()
}

/// RFC 9110 13.1.2.
fn if_none_match(request: &Preconditions, current: &Validators) -> Answer {
    let Some(list) = request.if_none_match.as_deref() else { return Answer::NotGiven };
    (!names(list, current, Comparison::Weak)).into()
}

fn names(list: &[u8], current: &Validators, comparison: Comparison) -> bool {
    if etag::is_any(list) {
        return current.exists;
    }
    [current.etag, current.other].into_iter().flatten().any(|etag| etag::list_names(list, etag, comparison))
}

/// RFC 9110 13.1.3: a value that is no date counts as not given.
fn if_modified_since(request: &Preconditions, current: &Validators, mode: ModifiedSince) -> Answer {
    let (Some(since), Some(changed)) = (request.if_modified_since.and_then(date::parse), current.last_modified) else {
        return Answer::NotGiven;
    };
    match mode {
        ModifiedSince::Off => Answer::NotGiven,
        ModifiedSince::Exact => (changed != since).into(),
        ModifiedSince::Before => (changed > since).into(),
    }
}

/// RFC 9110 13.1.4: neither a value that is no date nor a representation without one counts.
fn if_unmodified_since(request: &Preconditions, current: &Validators) -> Answer {
    let (Some(since), Some(changed)) = (request.if_unmodified_since.and_then(date::parse), current.last_modified)
    else {
        return Answer::NotGiven;
    };
    (changed <= since).into()
}

#[cfg(test)]
mod tests {
    use super::Outcome::{NotModified, PreconditionFailed, Send};
    use super::*;

    const EARLIER: &str = "Wed, 04 Mar 2026 05:06:06 GMT";
    const SAME: &str = "Wed, 04 Mar 2026 05:06:07 GMT";
    const LATER: &str = "Wed, 04 Mar 2026 05:06:08 GMT";

    /// `"field: value"` lines to preconditions.
    fn given<'a>(lines: &[&'a str]) -> Preconditions<'a> {
        let mut request = Preconditions::default();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            let value = Some(value.as_bytes());
            match name {
                "im" => request.if_match = value.map(Cow::Borrowed),
                "inm" => request.if_none_match = value.map(Cow::Borrowed),
                "ims" => request.if_modified_since = value,
                _ => request.if_unmodified_since = value,
            }
        }
        request
    }

    #[test]
    fn in_the_order_of_the_rfc() {
        let ims = |date: &str| format!("ims: {date}");
        let ius = |date: &str| format!("ius: {date}");
        let table: [(&[&str], Outcome, Outcome); 21] = [
            (&[], Send, Send),
            (&["im: \"e\""], Send, Send),
            (&["im: *"], Send, Send),
            (&["im: W/\"e\""], PreconditionFailed, PreconditionFailed),
            (&["im: \"x\""], PreconditionFailed, PreconditionFailed),
            (&["inm: \"e\""], NotModified, PreconditionFailed),
            (&["inm: W/\"e\""], NotModified, PreconditionFailed),
            (&["inm: *"], NotModified, PreconditionFailed),
            (&["inm: \"x\""], Send, Send),
            (&[&ims(SAME)], NotModified, Send),
            (&[&ims(LATER)], Send, Send),
            (&[&ims(EARLIER)], Send, Send),
            (&["ims: junk"], Send, Send),
            (&[&ius(SAME)], Send, Send),
            (&[&ius(LATER)], Send, Send),
            (&[&ius(EARLIER)], PreconditionFailed, PreconditionFailed),
            (&["ius: junk"], Send, Send),
            // If-Match silences If-Unmodified-Since, If-None-Match silences If-Modified-Since.
            (&["im: \"e\"", &ius(EARLIER)], Send, Send),
            (&["inm: \"x\"", &ims(SAME)], Send, Send),
            (&["inm: \"e\"", &ims(EARLIER)], NotModified, PreconditionFailed),
            (&["im: \"x\"", "inm: \"e\""], PreconditionFailed, PreconditionFailed),
        ];
        let current =
            Validators { exists: true, etag: Some(b"\"e\""), other: None, last_modified: Some(1_772_600_767) };
        for (lines, get, put) in table {
            let request = given(lines);
            assert_eq!(evaluate(true, &request, &current, ModifiedSince::Exact), get, "GET {lines:?}");
            assert_eq!(evaluate(false, &request, &current, ModifiedSince::Exact), put, "PUT {lines:?}");
        }
    }

    #[test]
    fn either_form_of_a_tag_names_it() {
        let current = Validators { exists: true, etag: Some(b"\"e\""), other: Some(b"\"e-1\""), last_modified: None };
        for (line, get, put) in [
            ("im: \"e\"", Send, Send),
            ("im: \"e-1\"", Send, Send),
            ("im: \"e-2\"", PreconditionFailed, PreconditionFailed),
            ("im: W/\"e-1\"", PreconditionFailed, PreconditionFailed),
            ("inm: \"e\"", NotModified, PreconditionFailed),
            ("inm: W/\"e-1\"", NotModified, PreconditionFailed),
            ("inm: \"e-2\"", Send, Send),
        ] {
            assert_eq!(evaluate(true, &given(&[line]), &current, ModifiedSince::Exact), get, "GET {line}");
            assert_eq!(evaluate(false, &given(&[line]), &current, ModifiedSince::Exact), put, "PUT {line}");
        }
    }

    #[test]
    fn modified_since_by_the_directive() {
        use ModifiedSince::{Before, Exact, Off};
        let current = Validators { exists: true, last_modified: Some(1_772_600_767), ..Default::default() };
        let table = [
            (SAME, Off, Send),
            (SAME, Exact, NotModified),
            (SAME, Before, NotModified),
            (LATER, Exact, Send),
            (LATER, Before, NotModified),
            (EARLIER, Before, Send),
        ];
        for (date, mode, expected) in table {
            let request = Preconditions { if_modified_since: Some(date.as_bytes()), ..Default::default() };
            assert_eq!(evaluate(true, &request, &current, mode), expected, "{date} {mode:?}");
        }
    }

    #[test]
    fn without_validators() {
        let table: [(&[&str], Outcome); 6] = [
            (&["im: *"], PreconditionFailed),
            (&["im: \"e\""], PreconditionFailed),
            (&["inm: *"], Send),
            (&["inm: \"e\""], Send),
            (&["ims: Wed, 04 Mar 2026 05:06:07 GMT"], Send),
            (&["ius: Wed, 04 Mar 2026 05:06:07 GMT"], Send),
        ];
        for (lines, expected) in table {
            let outcome = evaluate(false, &given(lines), &Validators::default(), ModifiedSince::Exact);
            assert_eq!(outcome, expected, "{lines:?}");
        }
    }
}
