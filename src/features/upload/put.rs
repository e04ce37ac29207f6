//! What the limits of a store say of a file that comes by PUT, which `dav_methods` in the same location takes. Must not know how
//! it is stored.

use super::{Around, Conf, closed, open};
use crate::exchange::Exchange;
use crate::exchange::account;
use crate::exchange::error::{HttpError, Level};
use crate::http::escape;
use crate::http::head::BodyLength;

/// Refuses what is beyond a limit, by what the head says.
pub fn admit(x: &Exchange, conf: &Conf, name: &[u8], around: &Around<'_>) -> Result<Quota, HttpError> {
    let shown = String::from_utf8_lossy(name);
    let extension = name.iter().rposition(|&b| b == b'.').map_or(&b""[..], |at| &name[at + 1..]);
    refuse_type(conf, &shown, &(around.type_of)(extension))?;
    if conf.max_file_size > 0 {
        let size = match x.head.body_length {
            BodyLength::None => 0,
            BodyLength::Length(size) => size,
            BodyLength::Chunked => {
                let text = "client sent a PUT without its length where upload_max_file_size holds";
                return Err(HttpError::new(411, "length-required").log(Level::Info, text));
            }
        };
        if size > conf.max_file_size {
            return Err(too_large(conf, &shown));
        }
    }
    limit(x, conf)
}

/// The store, and how much it may hold; none if the location sets no limit.
pub type Quota = Option<Box<(account::Id, u64)>>;

/// The quota of this location, which whoever stores something here obeys.
pub fn limit(x: &Exchange, conf: &Conf) -> Result<Quota, HttpError> {
    if conf.quota == 0 || !x.may_act() {
        return Ok(None);
    }
    let Some(store) = &conf.store else { return Ok(None) };
    let folder = open(store)?;
    let id = account::open(&folder, conf.quota).map_err(|error| closed(store, "stat()", &error))?;
    Ok(Some(Box::new((id, conf.quota))))
}

/// The answer to a file that is larger than any may be.
pub fn too_large(conf: &Conf, name: &str) -> HttpError {
    let name = escape::error_log(name.as_bytes());
    let text = format!("\"{name}\" has more than {} bytes (upload_max_file_size)", conf.max_file_size);
    HttpError::new(413, "file-too-large").log(Level::Error, text)
}

/// Refuses a file whose type is not taken.
pub fn refuse_type(conf: &Conf, name: &str, kind: &[u8]) -> Result<(), HttpError> {
    if conf.takes(kind) {
        return Ok(());
    }
    let (name, kind) = (escape::error_log(name.as_bytes()), escape::error_log(kind));
    let text = format!("client sent \"{name}\", which would be served as \"{kind}\" (upload_types)");
    Err(HttpError::new(415, "type-refused").log(Level::Info, text))
}
