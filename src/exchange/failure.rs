//! An error that is being answered, and what is said of it. Decides nothing.

use bytes::Bytes;

/// An error that is being answered: its status stays while `error_page` leads elsewhere.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The status of the error itself.
    pub cause: u16,
    /// The status the client will see unless the error page itself decides (`=`).
    pub status: u16,
    /// Whether the answer of the error page keeps its own status (`error_page 404 = /x`).
    pub own_status: bool,
    /// The stable reason, such as `no-file`.
    pub reason: &'static str,
    /// The line of the conf that decided it, as `site.conf:31`, if one did.
    pub place: Option<String>,
    /// Fields the error brings along (Allow, WWW-Authenticate, Content-Range).
    pub fields: Vec<(Bytes, Bytes)>,
    /// Whether the connection must close after it.
    pub close: bool,
    /// Whether an error while it is answered gets the built-in page.
    pub is_last: bool,
    /// Whether `error_page` has led to another URI or location, which answers now.
    pub is_led: bool,
}

impl Failure {
    /// Why, as `403/denied site.conf:31`; `None` below 400.
    pub fn why(&self) -> Option<String> {
        let code = (self.cause >= 400).then(|| format!("{}/{}", self.cause, self.reason))?;
        Some(match &self.place {
            Some(place) => format!("{code} {place}"),
            None => code,
        })
    }
}
