//! What the limits of a store say of a file that comes by PUT, which `dav_methods` in the same location takes. Must not know how
//! it is stored.

use std::io;
use std::sync::PoisonError;

use super::receive::{COUNTING, bytes_in, over_quota, refuse_type, too_large};
use super::{Around, Conf, closed, open};
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level, system_words};
use crate::exchange::store::{Folder, Found, Gate};
use crate::http::head::BodyLength;

/// Refuses what is beyond a limit, by what the head says.
pub fn admit(x: &mut Exchange, conf: &Conf, name: &[u8], around: &Around<'_>) -> Result<(), HttpError> {
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
        let room = Room { folder, quota: conf.quota };
        let fits = room.fits(name, size).map_err(|error| closed(store, "readdir()", &error))?;
        if !fits {
            return Err(over_quota(conf.quota));
        }
        // Others may have come in between by the time the last byte is there.
        x.gate = Some(Box::new(room));
    }
    Ok(())
}

/// What a store has room for.
struct Room {
    folder: Folder,
    quota: u64,
}

impl Room {
    fn fits(&self, name: &[u8], size: u64) -> io::Result<bool> {
        let replaced = match self.folder.find(name) {
            Ok(Found::File(size)) => size,
            _ => 0,
        };
        Ok(bytes_in(&self.folder)?.saturating_sub(replaced).saturating_add(size) <= self.quota)
    }
}

impl Gate for Room {
    fn pass(
        &self,
        name: &[u8],
        size: u64,
        publish: &mut dyn FnMut() -> Result<(), HttpError>,
    ) -> Result<(), HttpError> {
        // Nothing that can panic runs under this lock.
        let _counting = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
        match self.fits(name, size) {
            Ok(true) => publish(),
            Ok(false) => Err(over_quota(self.quota)),
            Err(error) => {
                let text = format!("the store could not be counted ({})", system_words(&error));
                Err(HttpError::new(500, "store-closed").log(Level::Crit, text))
            }
        }
    }
}
