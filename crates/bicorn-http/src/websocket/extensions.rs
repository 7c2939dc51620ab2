//! `Sec-WebSocket-Extensions` (RFC 6455 §9.1): from a field value to names and parameters.
//!
//! ```text
//!   extension-list  = 1#extension
//!   extension       = token *( ";" token [ "=" ( token | quoted-string ) ] )
//! ```
//! What the parameters mean is [`deflate`](super::deflate)'s business.

use std::borrow::Cow;

use crate::headers::is_token_byte;

/// One offer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extension<'a> {
    pub(super) name: &'a [u8],
    /// Names, and values without their quotes.
    pub(super) parameters: Vec<Parameter<'a>>,
}

/// A name, and the value if there is one.
type Parameter<'a> = (&'a [u8], Option<Cow<'a, [u8]>>);

/// The offers in order; `None` if the value breaks the grammar.
pub(super) fn parse(value: &[u8]) -> Option<Vec<Extension<'_>>> {
    let mut scanner = Scanner { rest: value };
    let mut found = Vec::new();
    loop {
        // Empty members of a list mean nothing (RFC 9110 §5.6.1.2).
        while scanner.takes(b',') {}
        if scanner.rest.is_empty() {
            return (!found.is_empty()).then_some(found);
        }
        found.push(scanner.extension()?);
        if !scanner.rest.is_empty() && !scanner.takes(b',') {
            return None;
        }
    }
}

/// Takes what it describes off the front of `rest`, with the white space around it.
struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    fn extension(&mut self) -> Option<Extension<'a>> {
        let name = self.token()?;
        let mut parameters = Vec::new();
        while self.takes(b';') {
            let name = self.token()?;
            let value = if self.takes(b'=') { Some(self.value()?) } else { None };
            parameters.push((name, value));
        }
        Some(Extension { name, parameters })
    }

    fn token(&mut self) -> Option<&'a [u8]> {
        self.skip_space();
        let end = self.rest.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }

    fn value(&mut self) -> Option<Cow<'a, [u8]>> {
        if !self.takes(b'"') {
            return self.token().map(Cow::Borrowed);
        }
        let mut value = Vec::new();
        loop {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => break,
                b'\\' => {
                    let (escaped, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    value.push(*escaped);
                }
                byte => value.push(*byte),
            }
        }
        // Without its quotes, it must be a token still.
        let is_token = !value.is_empty() && value.iter().all(|byte| is_token_byte(*byte));
        is_token.then_some(Cow::Owned(value))
    }

    /// Take this byte, if it is next.
    fn takes(&mut self, byte: u8) -> bool {
        self.skip_space();
        let Some(rest) = self.rest.strip_prefix(&[byte]) else { return false };
        self.rest = rest;
        // A quoted string begins with its first byte; anything else may have space in front.
        if byte != b'"' {
            self.skip_space();
        }
        true
    }

    fn skip_space(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> Option<String> {
        let mut shown = Vec::new();
        for extension in parse(value.as_bytes())? {
            shown.extend_from_slice(extension.name);
            for (name, value) in extension.parameters {
                shown.extend([b";", name].concat());
                shown.extend(value.map(|value| [b"=", &*value].concat()).unwrap_or_default());
            }
            shown.push(b',');
        }
        String::from_utf8(shown).ok()
    }

    #[test]
    fn lists_are_split_into_offers_and_parameters() {
        for (value, expected) in [
            ("a", "a,"),
            (" a ; b ; c = d ,, e;f=\"g\" , ", "a;b;c=d,e;f=g,"),
            (",a;b=\"\\1\\2\"", "a;b=12,"),
            ("a\t;\tb\t=\tc\t,\td", "a;b=c,d,"),
        ] {
            assert_eq!(shown(value).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for value in [
            "",
            ",",
            ";",
            "a;",
            "a;;b",
            "a;=b",
            "a;b=",
            "a;b=\"",
            "a;b=\"\"",
            "a;b=\"c",
            "a;b=\"c d\"",
            "a;b=\"c\\",
            "a b",
            "a;b c",
            "a;b=c d",
            "a=b",
            "a;b=\"c\"d",
            "a/b",
            "é",
            "a;b=é",
            "a;b=\"é\"",
        ] {
            assert_eq!(shown(value), None, "{value}");
        }
    }
}
