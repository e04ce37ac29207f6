//! Pure protocol: values and functions over bytes. Knows no socket, no clock and no setting.

pub mod authority;
pub mod chunked;
pub mod cond;
pub mod cookie;
pub mod credentials;
pub mod date;
pub mod escape;
pub mod etag;
pub mod fields;
pub mod forwarded;
pub mod framing;
pub mod head;
pub mod head_error;
pub mod media;
pub mod method;
pub mod negotiate;
pub mod proxy_protocol;
pub mod range;
pub mod request_line;
pub mod response;
pub mod scanner;
pub mod set_cookie;
pub mod status;
pub mod target;
pub mod transform;
