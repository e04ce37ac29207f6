//! Pure protocol: values and functions over bytes. Knows no socket, no clock and no setting.

pub mod cond;
pub mod cookie;
pub mod date;
pub mod escape;
pub mod etag;
pub mod negotiate;
pub mod range;
pub mod response;
pub mod status;
