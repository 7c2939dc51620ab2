//! The field lines that the server itself adds to every response: `date` first (RFC 9110 §6.6.1), then
//! `server` and whatever the operator configured.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The lines, with a date that is made once a second.
#[derive(Debug)]
pub(crate) struct DefaultFields {
    lines: Vec<u8>,
    /// Where the date's value stands in `lines`; `None` without a date.
    date: Option<std::ops::Range<usize>>,
    /// The date is right until the I/O thread's clock shows this, in milliseconds.
    valid_until: u64,
}

impl DefaultFields {
    pub(crate) fn new(date_header: bool, configured: &[u8]) -> Self {
        let mut lines = Vec::with_capacity(64 + configured.len());
        let mut date = None;
        if date_header {
            lines.extend_from_slice(b"date: ");
            let start = lines.len();
            lines.extend_from_slice(httpdate::fmt_http_date(UNIX_EPOCH).as_bytes());
            date = Some(start..lines.len());
            lines.extend_from_slice(b"\r\n");
        }
        lines.extend_from_slice(configured);
        Self { lines, date, valid_until: 0 }
    }

    /// The lines at a time of the I/O thread's clock, in milliseconds.
    pub(crate) fn at(&mut self, now: u64) -> &[u8] {
        if let Some(date) = self.date.clone()
            && now >= self.valid_until
        {
            let wall = SystemTime::now();
            let past = wall.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).subsec_millis();
            self.valid_until = now + 1000 - u64::from(past);
            let text = httpdate::fmt_http_date(wall);
            // An IMF-fixdate always has 29 bytes; a different length would only keep the old date.
            if text.len() == date.len() {
                self.lines[date].copy_from_slice(text.as_bytes());
            }
        }
        &self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_comes_first_and_is_current() {
        let mut fields = DefaultFields::new(true, b"server: x\r\n");
        let lines = String::from_utf8(fields.at(0).to_vec()).unwrap();
        let (date, rest) = lines.split_once("\r\n").unwrap();
        let time = httpdate::parse_http_date(date.strip_prefix("date: ").unwrap()).unwrap();
        assert!(SystemTime::now().duration_since(time).unwrap() < Duration::from_secs(5));
        assert_eq!(rest, "server: x\r\n");
    }

    #[test]
    fn without_date_only_configured_lines_remain() {
        assert_eq!(DefaultFields::new(false, b"a: b\r\n").at(5), b"a: b\r\n");
    }
}
