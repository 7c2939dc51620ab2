//! Status codes and their phrases: RFC 9110 §15, as Python names them.
//!
//! uvicorn puts the phrases of Python's `http.HTTPStatus` on the status line and into the access log. Python
//! 3.13 took the names of RFC 9110 for four of them; [`use_names_before_rfc_9110`] is for older ones.

use std::sync::atomic::{AtomicBool, Ordering};

/// Set once, before the first server starts; it is the same for all servers of a process.
static HAS_OLD_NAMES: AtomicBool = AtomicBool::new(false);

/// Name 413, 414, 416 and 422 as Python 3.12 and older do.
pub fn use_names_before_rfc_9110() {
    HAS_OLD_NAMES.store(true, Ordering::Relaxed);
}

/// The phrase of a status code, empty if it has none.
pub fn phrase(status: u16) -> &'static str {
    match status {
        413 | 414 | 416 | 422 if HAS_OLD_NAMES.load(Ordering::Relaxed) => old_name(status),
        100..=199 => informational(status),
        200..=299 => successful(status),
        300..=399 => redirection(status),
        400..=499 => client_error(status),
        500..=599 => server_error(status),
        _ => "",
    }
}

fn old_name(status: u16) -> &'static str {
    match status {
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        416 => "Requested Range Not Satisfiable",
        422 => "Unprocessable Entity",
        _ => "",
    }
}

fn informational(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        _ => "",
    }
}

fn successful(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        _ => "",
    }
}

fn redirection(status: u16) -> &'static str {
    match status {
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        _ => "",
    }
}

fn client_error(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a Teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        _ => "",
    }
}

fn server_error(status: u16) -> &'static str {
    match status {
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_pythons() {
        assert_eq!([200, 404, 500].map(phrase), ["OK", "Not Found", "Internal Server Error"]);
        assert_eq!(phrase(418), "I'm a Teapot");
        assert_eq!(
            [413, 414, 422].map(phrase),
            ["Content Too Large", "URI Too Long", "Unprocessable Content"]
        );
    }

    #[test]
    fn python_names_62_codes_and_no_more() {
        assert_eq!((0..=u16::MAX).filter(|status| !phrase(*status).is_empty()).count(), 62);
        assert_eq!([0, 99, 104, 306, 419, 599, 600, 999].map(phrase), [""; 8]);
    }
}
