//! The X-Accel fields of a program's answer: where else the request is to go, and how its answer is to be sent. They are
//! for the server and never reach the client. Shared by all gateways; knows no setting of theirs.

use bytes::Bytes;

use crate::conf::args::parse_size;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::{Step, Target};
use crate::exchange::{Exchange, Received};
use crate::http::escape;
use crate::http::inner_target::{self, Fault};

/// What the fields ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accel {
    /// X-Accel-Redirect: a path of this server, or a named location.
    pub redirect: Option<Bytes>,
    /// X-Accel-Buffering: `yes` or `no`.
    pub buffering: Option<bool>,
    /// X-Accel-Limit-Rate: bytes a second, 0 for no limit.
    pub limit_rate: Option<u64>,
    /// X-Accel-Charset: a charset, or `off`.
    pub charset: Option<Bytes>,
    /// X-Accel-Expires: how long a cache may keep the answer.
    pub expires: Option<Bytes>,
}

/// Fields of the program's answer that go along to where X-Accel-Redirect leads, as in nginx.
const CARRIED: [&[u8]; 8] = [
    b"set-cookie",
    b"content-disposition",
    b"cache-control",
    b"expires",
    // Ours: what happens to the session happens wherever the answer comes from.
    b"x-session-set",
    b"x-session-unset",
    b"x-session-rotate",
    b"x-session-destroy",
];

impl Accel {
    /// Takes a field of the family, `name` in lower case; false for any other. A value that means nothing is dropped.
    pub fn take(&mut self, name: &[u8], value: &Bytes) -> bool {
        match name {
            b"x-accel-redirect" => self.redirect = Some(value.clone()),
            b"x-accel-charset" => self.charset = Some(value.clone()),
            b"x-accel-expires" => self.expires = Some(value.clone()),
            b"x-accel-limit-rate" => self.limit_rate = parse_size(value).or(self.limit_rate),
            b"x-accel-buffering" if value.eq_ignore_ascii_case(b"yes") => self.buffering = Some(true),
            b"x-accel-buffering" if value.eq_ignore_ascii_case(b"no") => self.buffering = Some(false),
            b"x-accel-buffering" => {}
            _ => return false,
        }
        true
    }

    /// Notes in the request what holds for its answer, wherever that comes from.
    pub fn note(&self, x: &mut Exchange) {
        x.limit_rate = self.limit_rate.or(x.limit_rate);
        if let Some(charset) = &self.charset {
            x.wishes.get_or_insert_default().charset = Some(charset.clone());
        }
    }

    /// Where X-Accel-Redirect leads, if it stands there. `content_type`, `accept_ranges` and `fields` are those of the
    /// program's answer: what nginx carries over is kept. At a path the request goes on as GET (or HEAD), without its body; at
    /// a named location as it was.
    pub fn lead(
        &self,
        x: &mut Exchange,
        content_type: Option<&Bytes>,
        accept_ranges: Option<&Bytes>,
        fields: &[(Bytes, Bytes)],
    ) -> Result<Option<Step>, HttpError> {
        let Some(to) = &self.redirect else { return Ok(None) };
        self.note(x);
        let kept = fields.iter().filter(|(name, _)| CARRIED.iter().any(|kept| name.eq_ignore_ascii_case(kept)));
        let wishes = x.wishes.get_or_insert_default();
        wishes.fields.extend(kept.cloned());
        wishes.content_type = content_type.cloned();
        wishes.accept_ranges = accept_ranges.cloned();
        if to.starts_with(b"@") {
            return Ok(Some(Step::Goto(Target::Named(to.to_vec()))));
        }
        x.course.as_get = !x.is_head();
        x.received = Received::Nothing;
        match inner_target::parse(to) {
            Ok((path, args)) => Ok(Some(Step::Goto(Target::Uri { path, args }))),
            Err(fault) => Err(no_path(to, fault)),
        }
    }
}

/// nginx's line where nginx refuses too.
fn no_path(to: &[u8], fault: Fault) -> HttpError {
    let shown = escape::error_log(to);
    let text = match fault {
        Fault::LeadsUp | Fault::NoPath => format!("unsafe URI \"{shown}\" was detected"),
        Fault::NoSlash => format!("X-Accel-Redirect leads to \"{shown}\", which does not begin with a slash"),
        Fault::BadEscape => {
            format!("X-Accel-Redirect leads to \"{shown}\", where a \"%\" is not followed by two hexadecimal digits")
        }
    };
    HttpError::new(404, "accel-redirect").log(Level::Error, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_fields_say() {
        let mut accel = Accel::default();
        for (name, value, ours) in [
            ("x-accel-redirect", "/a", true),
            ("x-accel-limit-rate", "10k", true),
            ("x-accel-limit-rate", "fast", true),
            ("x-accel-buffering", "NO", true),
            ("x-accel-buffering", "maybe", true),
            ("x-accel-charset", "utf-8", true),
            ("x-accel-expires", "60", true),
            ("x-accel", "1", false),
            ("location", "/", false),
        ] {
            assert_eq!(accel.take(name.as_bytes(), &Bytes::copy_from_slice(value.as_bytes())), ours, "{name}");
        }
        let text = |text: &str| Some(Bytes::copy_from_slice(text.as_bytes()));
        let want = Accel {
            redirect: text("/a"),
            buffering: Some(false),
            limit_rate: Some(10 << 10),
            charset: text("utf-8"),
            expires: text("60"),
        };
        assert_eq!(accel, want);
    }
}
