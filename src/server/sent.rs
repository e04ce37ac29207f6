//! What is remembered of a head that was sent.

use bytes::Bytes;

use crate::http::framing::{self, Framing};
use crate::http::response::Response;

/// The header fields of a response as they are sent, for `$sent_http_NAME`. As in nginx our own Server and Date, which stand first, are not
/// among them; those of another server are.
pub fn sent_fields(response: &Response, framing: &Framing, date: &[u8]) -> Vec<(Bytes, Bytes)> {
    let mut fields = Vec::new();
    let foreign = response.foreign.as_deref();
    let mut ours = [
        (
            b"Server".as_slice(),
            foreign.is_none_or(|foreign| foreign.server.is_none()) && !response.delivery.server.is_empty(),
        ),
        (b"Date", foreign.is_none_or(|foreign| foreign.date.is_none())),
    ];
    framing::each_field(response, framing, date, |name, value| {
        let own = ours.iter_mut().find(|(own, is_ours)| *is_ours && *own == name);
        match own {
            Some((_, is_ours)) => *is_ours = false,
            None => fields.push((Bytes::copy_from_slice(name), Bytes::copy_from_slice(value))),
        }
    });
    fields
}
