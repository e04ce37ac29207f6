//! Why a request's head was refused: the status that answers it, the line for the log and a
//! stable code. Knows no page and no log.

/// A head that is refused. The connection closes after the answer: where the next request
/// would begin cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadError {
    /// The first bytes are no method.
    BadMethod,
    /// HTTP/0.9 knows only GET.
    BadMethod09,
    /// The request line is malformed.
    BadRequestLine,
    /// The host of an absolute target is malformed.
    BadTargetHost,
    /// A major version that we do not speak.
    BadVersion,
    /// The request line is longer than a buffer.
    UriTooLong,
    /// A field line is longer than a buffer.
    FieldTooLong,
    /// All field lines together fill all buffers.
    HeadTooLarge,
    /// More field lines than allowed.
    TooManyFields,
    /// A field line that is none.
    BadField,
    /// A field that may stand once stands twice.
    DuplicateField,
    /// HTTP/1.1 without Host.
    NoHost,
    /// More than one Host.
    TwoHosts,
    /// Host is no host.
    BadHost,
    /// Content-Length is no number, or too large a one.
    BadLength,
    /// Content-Length beside Transfer-Encoding.
    LengthAndEncoding,
    /// A transfer coding before `chunked` that is not understood.
    UnknownEncoding,
    /// The last transfer coding is not `chunked`.
    BadEncoding,
    /// Transfer-Encoding in HTTP/1.0.
    EncodingIn10,
}

impl HeadError {
    /// The status of the answer. 494 is nginx's own for a head that is too large: it is sent as 400.
    pub fn status(self) -> u16 {
        match self {
            HeadError::UriTooLong => 414,
            HeadError::FieldTooLong | HeadError::HeadTooLarge | HeadError::TooManyFields => 494,
            HeadError::UnknownEncoding => 501,
            HeadError::BadVersion => 505,
            _ => 400,
        }
    }

    /// The line for the error log, at level info, in the phrases that scripts look for.
    pub fn log(self) -> &'static str {
        match self {
            HeadError::BadMethod => "client sent invalid method while reading client request line",
            HeadError::BadMethod09 => {
                "client sent invalid method in HTTP/0.9 request while reading client request line"
            }
            HeadError::BadRequestLine => "client sent invalid request while reading client request line",
            HeadError::BadTargetHost => "client sent invalid host in request line while reading client request line",
            HeadError::BadVersion => "client sent invalid version while reading client request line",
            HeadError::UriTooLong => "client sent too long URI while reading client request line",
            HeadError::FieldTooLong | HeadError::HeadTooLarge => {
                "client sent too long header line while reading client request headers"
            }
            HeadError::TooManyFields => "client sent too many header lines while reading client request headers",
            HeadError::BadField => "client sent invalid header line while reading client request headers",
            HeadError::DuplicateField => "client sent duplicate header line while reading client request headers",
            HeadError::NoHost => {
                "client sent HTTP/1.1 request without \"Host\" header while reading client request headers"
            }
            HeadError::TwoHosts => "client sent duplicate host header while reading client request headers",
            HeadError::BadHost => "client sent invalid host header while reading client request headers",
            HeadError::BadLength => {
                "client sent invalid \"Content-Length\" header while reading client request headers"
            }
            HeadError::LengthAndEncoding => {
                "client sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time \
                 while reading client request headers"
            }
            HeadError::UnknownEncoding | HeadError::BadEncoding => {
                "client sent unknown \"Transfer-Encoding\" while reading client request headers"
            }
            HeadError::EncodingIn10 => {
                "client sent HTTP/1.0 request with \"Transfer-Encoding\" header while reading client request headers"
            }
        }
    }

    /// A stable code for the reason, for error pages and logs.
    pub fn reason(self) -> &'static str {
        match self {
            HeadError::BadMethod | HeadError::BadMethod09 => "bad-method",
            HeadError::BadRequestLine => "bad-request-line",
            HeadError::BadTargetHost | HeadError::BadHost => "bad-host",
            HeadError::BadVersion => "bad-version",
            HeadError::UriTooLong => "uri-too-long",
            HeadError::FieldTooLong => "field-too-long",
            HeadError::HeadTooLarge => "head-too-large",
            HeadError::TooManyFields => "too-many-fields",
            HeadError::BadField => "bad-field",
            HeadError::DuplicateField => "duplicate-field",
            HeadError::NoHost => "no-host",
            HeadError::TwoHosts => "two-hosts",
            HeadError::BadLength => "bad-content-length",
            HeadError::LengthAndEncoding => "length-and-encoding",
            HeadError::UnknownEncoding => "unknown-transfer-encoding",
            HeadError::BadEncoding => "bad-transfer-encoding",
            HeadError::EncodingIn10 => "transfer-encoding-in-http10",
        }
    }
}
