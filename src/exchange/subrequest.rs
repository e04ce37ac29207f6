//! What came of a request that this server asked itself for a client's. Knows neither who asks nor how it is answered.

use bytes::Bytes;

use super::Exchange;

/// How deep requests may ask for each other.
pub const DEEPEST: u8 = 8;

/// A subrequest that was answered.
pub struct Reply {
    /// It, as it stood at its end: variables are evaluated in it.
    pub x: Box<Exchange>,
    /// The status of its response; 0 if it has none.
    pub status: u16,
}

impl Reply {
    /// How a 401 says that the client may log in, in order: by the response's own fields, or where it has none by those that another server sent.
    pub fn challenges(&self) -> Vec<Bytes> {
        let is_it = |field: &[u8]| field.eq_ignore_ascii_case(b"www-authenticate");
        let own = self.x.sent.fields.iter().filter(|(field, _)| is_it(field)).map(|(_, value)| value.clone());
        let own: Vec<_> = own.collect();
        if !own.is_empty() {
            return own;
        }
        let sent = self.x.attempts.fields().into_iter().flat_map(|fields| fields.iter());
        sent.filter(|(field, _)| is_it(field)).map(|(_, value)| Bytes::copy_from_slice(value)).collect()
    }
}
