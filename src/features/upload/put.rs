//! What the limits of a store say of a file that comes by PUT, which `dav_methods` in the same location takes. Must not know how
//! it is stored.

use super::receive::{refuse_type, too_large};
use super::{Around, Conf, closed, open};
use crate::exchange::Exchange;
use crate::exchange::account;
use crate::exchange::error::{HttpError, Level};
use crate::http::head::BodyLength;

/// Refuses what is beyond a limit, by what the head says.
pub fn admit(x: &mut Exchange, conf: &Conf, name: &[u8], around: &Around<'_>) -> Result<(), HttpError> {
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

/// Whoever stores something here obeys the quota of this location.
pub fn limit(x: &mut Exchange, conf: &Conf) -> Result<(), HttpError> {
    if conf.quota == 0 || !x.may_act() {
        return Ok(());
    }
    let Some(store) = &conf.store else { return Ok(()) };
    let folder = open(store)?;
    let id = account::open(&folder, conf.quota).map_err(|error| closed(store, "stat()", &error))?;
    x.quota = Some(Box::new((id, conf.quota)));
    Ok(())
}
