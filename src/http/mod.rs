//! Pure protocol: values and functions over bytes. Knows no socket, no clock and no setting.

pub mod response;
pub mod status;
