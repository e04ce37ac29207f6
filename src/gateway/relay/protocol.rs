//! What a protocol must say for itself so that the relay can speak it: how a body is written, how an answer is read and when
//! it is whole. Everything else (connecting, waiting, the next server, buffers) is the relay's.

use bytes::Bytes;

use crate::exchange::error::Report;
use crate::http::field_list::FieldList;

/// The head of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The status, 101 or 200 to 999.
    pub status: u16,
    /// The words behind it, if the server sent some.
    pub reason: Option<Bytes>,
    /// All fields in order; those of framing and of the connection do no harm, they are left out later.
    pub fields: FieldList,
    /// The length of the body if it is known; of the one that is left out in an answer to HEAD.
    pub length: Option<u64>,
    /// How many bytes the head had.
    pub size: usize,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The head is none: what happened, in words behind "upstream sent".
    Head(String),
    /// The body is none.
    Body(String),
    /// The server ended too early.
    Closed,
    /// The server said itself that there is no answer: what happened.
    Refused(String),
    /// The server said that the answer ends, and a part of it is missing: what happened.
    Short(String),
}

/// Whether a body is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// More must come.
    More,
    /// That was the end.
    Whole,
}

/// One request in a gateway's protocol. It is made with the request and lives until the answer's last byte.
pub trait Protocol: Send {
    /// The beginning of the URL in log lines: `http://`.
    fn scheme(&self) -> &'static str;

    /// Fields of answers, in lower case, that are not passed on unless the conf says so: they are between it and us.
    fn hidden(&self) -> &'static [&'static [u8]];

    /// Forgets what a server has said: the request begins again with another.
    fn restart(&mut self);

    /// Writes a piece of the request's body, which is not empty.
    fn encode(&mut self, piece: &[u8], out: &mut Vec<u8>);

    /// What stands behind the body, also behind none.
    fn end(&self) -> &'static [u8];

    /// Looks for the answer's head in what has come, and says how many bytes at its front were understood. It is called with
    /// all that is left and more behind it until there is a head.
    fn read_head(&mut self, input: &[u8]) -> Result<(usize, Option<Head>), Fault>;

    /// How many bytes of interim answers came before the head; they are no progress.
    fn interim_len(&self) -> usize {
        0
    }

    /// The fields of the 103 (Early Hints) answers that came since this was asked last.
    fn hints(&mut self) -> Vec<FieldList> {
        Vec::new()
    }

    /// Takes in all of `input`, the first time with what `read_head` left (perhaps nothing), and appends what of it is body.
    /// After [`Part::Whole`] it is not called again.
    fn read_body(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Part, Fault>;

    /// The server closed before the body was whole as far as `read_body` knows: fine where the close is its end.
    fn closed(&mut self) -> Result<(), Fault>;

    /// Whether nothing more comes for the client, though the server has not ended the request.
    fn has_all(&self) -> bool {
        false
    }

    /// Whether the connection may carry another request once the answer is whole.
    fn may_keep(&self) -> bool;

    /// What is to be said in the log beside the answer: lines of the server's standard error, bytes too many.
    fn remarks(&mut self) -> Vec<Report> {
        Vec::new()
    }
}
