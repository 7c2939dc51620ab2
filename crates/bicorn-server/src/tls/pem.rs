//! PEM files into sections, and DER into PEM.
//!
//! rustls's own reader passes over `ENCRYPTED PRIVATE KEY` and stumbles over `Proc-Type` headers (RFC 1421
//! §4.6.1.1), so sections are taken apart here. Text between sections is ignored, as OpenSSL does.

use base64ct::{Base64, Encoding};

/// Characters of a line of Base64 (RFC 7468 §2).
const LINE: usize = 64;

/// One `-----BEGIN LABEL-----` … `-----END LABEL-----`.
#[derive(Debug)]
pub(super) struct Section<'a> {
    pub(super) label: &'a str,
    /// `name: value` lines in front of the content.
    pub(super) headers: Vec<(&'a str, &'a str)>,
    pub(super) content: Vec<u8>,
}

impl Section<'_> {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| *value)
    }
}

/// All sections of a file.
///
/// # Errors
/// What is wrong, to stand behind the name of the file.
pub(super) fn sections(text: &str) -> Result<Vec<Section<'_>>, String> {
    let mut sections = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(label) = marker(line, "-----BEGIN ") else { continue };
        let mut headers = Vec::new();
        let mut base64 = String::new();
        loop {
            let Some(line) = lines.next() else { return Err(format!("the section {label} has no end")) };
            if marker(line, "-----END ") == Some(label) {
                break;
            }
            match line.split_once(':') {
                Some((name, value)) => headers.push((name.trim(), value.trim())),
                None => base64.extend(line.chars().filter(|character| !character.is_whitespace())),
            }
        }
        let content =
            Base64::decode_vec(&base64).map_err(|_| format!("the section {label} is not Base64"))?;
        sections.push(Section { label, headers, content });
    }
    Ok(sections)
}

fn marker<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.trim_end().strip_prefix(start)?.strip_suffix("-----")
}

/// A certificate as PEM.
pub(super) fn certificate(der: &[u8]) -> String {
    let base64 = Base64::encode_string(der);
    let mut text = String::with_capacity(base64.len() + base64.len() / LINE + LINE);
    text.push_str("-----BEGIN CERTIFICATE-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}
