//! What the limits of a store say of a file that comes by PUT, which `dav_methods` in the same location takes. Must not know how
//! it is stored.

use super::receive::{bytes_in, over_quota, refuse_type, too_large};
use super::{Around, Conf, closed, open};
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::store::Found;
use crate::http::head::BodyLength;

/// Refuses what is beyond a limit, by what the head says.
pub fn admit(x: &Exchange, conf: &Conf, name: &[u8], around: &Around<'_>) -> Result<(), HttpError> {
    let Some(store) = &conf.store else { return Ok(()) };
    let shown = String::from_utf8_lossy(name);
    let extension = name.iter().rposition(|&b| b == b'.').map_or(&b""[..], |at| &name[at + 1..]);
    refuse_type(conf, &shown, &(around.type_of)(extension))?;
    if conf.max_file_size == 0 && conf.quota == 0 {
        return Ok(());
    }
    let size = match x.head.body_length {
        BodyLength::None => 0,
        BodyLength::Length(size) => size,
        BodyLength::Chunked => {
            let text = "client sent a PUT without its length where upload_quota or upload_max_file_size holds";
            return Err(HttpError::new(411, "length-required").log(Level::Info, text));
        }
    };
    if conf.max_file_size > 0 && size > conf.max_file_size {
        return Err(too_large(conf, &shown));
    }
    if conf.quota > 0 {
        let folder = open(store)?;
        let used = bytes_in(&folder).map_err(|error| closed(store, "readdir()", &error))?;
        let replaced = match folder.find(name) {
            Ok(Found::File(size)) => size,
            _ => 0,
        };
        if used.saturating_sub(replaced).saturating_add(size) > conf.quota {
            return Err(over_quota(conf));
        }
    }
    Ok(())
}
