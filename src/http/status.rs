//! Status codes: their words on the status line, and the built-in page of each. The words are those
//! nginx's users see, so scripts that compare them go on working. Knows no setting: whether a page is
//! replaced (`error_page`, `error_template`) is decided elsewhere.

/// One status: its words on the status line, and those of its page where the two differ.
struct Row {
    status: u16,
    reason: &'static str,
    page: Page,
}

/// What the built-in page of a status says.
enum Page {
    /// There is none: the body is empty.
    Empty,
    /// The title is the code and the reason.
    Reason,
    /// The title is the code and these words.
    Words(&'static str),
    /// The answer is a 400; this sentence is the title and stands below the heading.
    BadRequest(&'static str),
}

/// Every status with words of its own, sorted by code.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row { status: 100, reason: "Continue", page: Page::Empty },
    Row { status: 101, reason: "Switching Protocols", page: Page::Empty },
    Row { status: 200, reason: "OK", page: Page::Empty },
    Row { status: 201, reason: "Created", page: Page::Empty },
    Row { status: 202, reason: "Accepted", page: Page::Empty },
    Row { status: 204, reason: "No Content", page: Page::Empty },
    Row { status: 206, reason: "Partial Content", page: Page::Empty },
    Row { status: 207, reason: "Multi-Status", page: Page::Empty },
    Row { status: 301, reason: "Moved Permanently", page: Page::Reason },
    Row { status: 302, reason: "Moved Temporarily", page: Page::Words("Found") },
    Row { status: 303, reason: "See Other", page: Page::Reason },
    Row { status: 304, reason: "Not Modified", page: Page::Empty },
    Row { status: 307, reason: "Temporary Redirect", page: Page::Reason },
    Row { status: 308, reason: "Permanent Redirect", page: Page::Reason },
    Row { status: 400, reason: "Bad Request", page: Page::Reason },
    Row { status: 401, reason: "Unauthorized", page: Page::Words("Authorization Required") },
    Row { status: 402, reason: "Payment Required", page: Page::Reason },
    Row { status: 403, reason: "Forbidden", page: Page::Reason },
    Row { status: 404, reason: "Not Found", page: Page::Reason },
    Row { status: 405, reason: "Not Allowed", page: Page::Reason },
    Row { status: 406, reason: "Not Acceptable", page: Page::Reason },
    Row { status: 408, reason: "Request Time-out", page: Page::Reason },
    Row { status: 409, reason: "Conflict", page: Page::Reason },
    Row { status: 410, reason: "Gone", page: Page::Reason },
    Row { status: 411, reason: "Length Required", page: Page::Reason },
    Row { status: 412, reason: "Precondition Failed", page: Page::Reason },
    Row { status: 413, reason: "Request Entity Too Large", page: Page::Reason },
    Row { status: 414, reason: "Request-URI Too Large", page: Page::Reason },
    Row { status: 415, reason: "Unsupported Media Type", page: Page::Reason },
    Row { status: 416, reason: "Requested Range Not Satisfiable", page: Page::Reason },
    Row { status: 421, reason: "Misdirected Request", page: Page::Reason },
    Row { status: 429, reason: "Too Many Requests", page: Page::Reason },
    Row { status: 494, reason: "Bad Request", page: Page::BadRequest("Request Header Or Cookie Too Large") },
    Row { status: 495, reason: "Bad Request", page: Page::BadRequest("The SSL certificate error") },
    Row { status: 496, reason: "Bad Request", page: Page::BadRequest("No required SSL certificate was sent") },
    Row { status: 497, reason: "Bad Request", page: Page::BadRequest("The plain HTTP request was sent to HTTPS port") },
    Row { status: 500, reason: "Internal Server Error", page: Page::Reason },
    Row { status: 501, reason: "Not Implemented", page: Page::Reason },
    Row { status: 502, reason: "Bad Gateway", page: Page::Reason },
    Row { status: 503, reason: "Service Temporarily Unavailable", page: Page::Reason },
    Row { status: 504, reason: "Gateway Time-out", page: Page::Reason },
    Row { status: 505, reason: "HTTP Version Not Supported", page: Page::Reason },
    Row { status: 507, reason: "Insufficient Storage", page: Page::Reason },
];

fn row(status: u16) -> Option<&'static Row> {
    ROWS.binary_search_by_key(&status, |row| row.status).ok().map(|at| &ROWS[at])
}

/// The words on the status line; empty for a code that has none.
pub fn reason(status: u16) -> &'static str {
    row(status).map_or("", |row| row.reason)
}

/// The code on the status line. 494 to 497 are told apart only inside (`error_page` can catch them,
/// logs show them); the client sees 400.
pub fn on_wire(status: u16) -> u16 {
    if (494..=497).contains(&status) { 400 } else { status }
}

/// The words of the built-in page, without the code; `None` where the body stays empty.
pub fn title(status: u16) -> Option<&'static str> {
    let row = row(status)?;
    match row.page {
        Page::Empty => None,
        Page::Reason => Some(row.reason),
        Page::Words(words) | Page::BadRequest(words) => Some(words),
    }
}

/// Whether an answer of this status never has a body, nor a length (RFC 9110 6.4.1, 8.6).
pub fn is_bodiless(status: u16) -> bool {
    status < 200 || status == 204 || status == 304
}

/// The built-in page of a status, in HTML; empty where the status has none. `server_line` is the product
/// line at its foot, as `server_tokens` wants it.
pub fn error_page(status: u16, server_line: &str) -> Vec<u8> {
    let (Some(row), Some(title)) = (row(status), title(status)) else { return Vec::new() };
    let code = on_wire(status);
    let (heading, remark) = match row.page {
        Page::BadRequest(remark) => (row.reason, format!("<center>{remark}</center>\r\n")),
        _ => (title, String::new()),
    };
    format!(
        "<html>\r\n<head><title>{code} {title}</title></head>\r\n<body>\r\n\
         <center><h1>{code} {heading}</h1></center>\r\n{remark}\
         <hr><center>{server_line}</center>\r\n</body>\r\n</html>\r\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_so_that_the_search_finds_each() {
        assert!(ROWS.windows(2).all(|pair| pair[0].status < pair[1].status));
    }

    #[test]
    fn words_on_the_line_and_on_the_page() {
        let table = [
            (200, "OK", None),
            (302, "Moved Temporarily", Some("Found")),
            (304, "Not Modified", None),
            (401, "Unauthorized", Some("Authorization Required")),
            (404, "Not Found", Some("Not Found")),
            (418, "", None),
            (494, "Bad Request", Some("Request Header Or Cookie Too Large")),
            (503, "Service Temporarily Unavailable", Some("Service Temporarily Unavailable")),
            (999, "", None),
            (0, "", None),
        ];
        for (status, line, page) in table {
            assert_eq!((reason(status), title(status)), (line, page), "{status}");
        }
    }

    #[test]
    fn pages() {
        let page = |status| String::from_utf8(error_page(status, "longshore")).unwrap();
        assert_eq!(
            page(404),
            "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n\
             <center><h1>404 Not Found</h1></center>\r\n<hr><center>longshore</center>\r\n</body>\r\n</html>\r\n"
        );
        assert_eq!(
            page(494),
            "<html>\r\n<head><title>400 Request Header Or Cookie Too Large</title></head>\r\n<body>\r\n\
             <center><h1>400 Bad Request</h1></center>\r\n<center>Request Header Or Cookie Too Large</center>\r\n\
             <hr><center>longshore</center>\r\n</body>\r\n</html>\r\n"
        );
        for status in [200, 204, 304, 418] {
            assert_eq!(page(status), "");
        }
    }

    #[test]
    fn which_answers_have_no_body_and_which_are_400_outside() {
        for (status, none) in [(100, true), (204, true), (304, true), (200, false), (404, false)] {
            assert_eq!(is_bodiless(status), none, "{status}");
        }
        for (status, wire) in [(493, 493), (494, 400), (497, 400), (498, 498)] {
            assert_eq!(on_wire(status), wire);
        }
    }
}
