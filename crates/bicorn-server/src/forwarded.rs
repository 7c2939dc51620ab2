//! Whom to believe about the client, and what they say: `X-Forwarded-For` and `X-Forwarded-Proto`.
//!
//! The list of `--forwarded-allow-ips` is parsed once; `correct` runs for each request, before the scope is
//! made. The rules are those of uvicorn 0.54 `ProxyHeadersMiddleware`, which reads text with Python's `str`,
//! `int` and `ipaddress`: bytes are latin-1, and what those three accept is spelled out below. Linear in the
//! size of the header fields, and free of allocations unless a trusted proxy sends one of the two.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The proxies that may say who the client is.
#[derive(Clone, Debug)]
pub struct TrustedProxies(Trust);

#[derive(Clone, Debug)]
enum Trust {
    /// `*`: whoever connects, over whatever socket.
    Everybody,
    Listed(ProxyList),
}

#[derive(Clone, Debug, Default)]
struct ProxyList {
    /// Sorted. The scope of a link-local IPv6 address is part of it, as for Python.
    addresses: Vec<(IpAddr, Option<Box<[u8]>>)>,
    networks: Vec<IpNet>,
    /// Sorted. Whatever is neither address nor network, in latin-1; it matches the same text in
    /// `X-Forwarded-For`.
    literals: Vec<Box<[u8]>>,
}

/// What a trusted proxy corrects about a request; `None` leaves it as the connection has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Correction {
    /// The client's host, which need not be an address, and its port: 0 if the proxy does not say. It may say
    /// any number, which nobody checks; below 0 or beyond 64 bits the nearest one within stands for it.
    pub client: Option<(String, u64)>,
    /// `http`, `https`, `ws` or `wss`, as the proxy spells it.
    pub scheme: Option<&'static str>,
}

impl TrustedProxies {
    /// Reads a list separated by commas. Only a lone `*` trusts everybody.
    pub fn parse(list: &str) -> Self {
        if list == "*" {
            return Self(Trust::Everybody);
        }
        Self(Trust::Listed(ProxyList::new(list.split(',').map(|item| item.trim_matches(is_python_space)))))
    }

    /// Reads a list whose items are already apart. Their spaces count.
    pub fn from_list(items: &[String]) -> Self {
        match items {
            [only] if only == "*" => Self(Trust::Everybody),
            _ => Self(Trust::Listed(ProxyList::new(items.iter().map(String::as_str)))),
        }
    }

    /// Says what the header fields of a request correct. `peer` is the other end of the connection, `None`
    /// for a Unix socket, which only `*` trusts.
    pub fn correct<'a>(
        &self,
        peer: Option<IpAddr>,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Correction {
        let is_trusted = match &self.0 {
            Trust::Everybody => true,
            Trust::Listed(list) => peer.is_some_and(|address| list.has_address(address, None)),
        };
        if !is_trusted {
            return Correction::default();
        }
        let mut lines: Vec<&[u8]> = Vec::new();
        let mut scheme_value = None;
        for (name, value) in fields {
            if name.eq_ignore_ascii_case(b"x-forwarded-for") {
                lines.push(value);
            } else if name.eq_ignore_ascii_case(b"x-forwarded-proto") {
                // The last line wins.
                scheme_value = Some(value);
            }
        }
        Correction { client: self.client(&lines), scheme: scheme_value.and_then(scheme) }
    }

    /// The client in the lines of `X-Forwarded-For`, which are one list in the order they came.
    fn client(&self, lines: &[&[u8]]) -> Option<(String, u64)> {
        let leftmost = lines.first()?.split(|byte| *byte == b',').next().map(split_port)?;
        let (host, port) = match &self.0 {
            Trust::Everybody => leftmost,
            // Each proxy adds to the right, so the first that is not trusted, seen from there, is the client.
            Trust::Listed(list) => {
                let items = lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b','));
                items.map(split_port).find(|(host, _)| !list.has_host(host)).unwrap_or(leftmost)
            }
        };
        (!host.is_empty()).then(|| (host.iter().copied().map(char::from).collect(), port))
    }
}

/// The scheme of a WebSocket for the scheme that a proxy gave.
pub fn websocket_scheme(scheme: &'static str) -> &'static str {
    match scheme {
        "http" => "ws",
        "https" => "wss",
        other => other,
    }
}

impl ProxyList {
    fn new<'a>(items: impl Iterator<Item = &'a str>) -> Self {
        let mut list = Self::default();
        // What latin-1 lacks cannot stand in a header field either.
        for item in items.filter_map(encode_latin_1) {
            if item.contains(&b'/')
                && let Some(network) = parse_network(&item)
            {
                list.networks.push(network);
            } else if let Some((address, scope)) = parse_address(&item) {
                list.addresses.push((address, scope.map(Box::from)));
            } else {
                list.literals.push(item.into_boxed_slice());
            }
        }
        list.addresses.sort_unstable();
        list.literals.sort_unstable();
        list
    }

    fn has_host(&self, host: &[u8]) -> bool {
        match parse_address(host) {
            Some((address, scope)) => self.has_address(address, scope),
            None if host.is_empty() => false,
            None => self.literals.binary_search_by(|literal| (**literal).cmp(host)).is_ok(),
        }
    }

    /// An IPv4 address written as IPv6 (`::ffff:…`) is another address, as for Python.
    fn has_address(&self, address: IpAddr, scope: Option<&[u8]>) -> bool {
        let order = |(listed, listed_scope): &(IpAddr, Option<Box<[u8]>>)| {
            listed.cmp(&address).then_with(|| listed_scope.as_deref().cmp(&scope))
        };
        self.addresses.binary_search_by(order).is_ok()
            || self.networks.iter().any(|network| network.contains(&address))
    }
}

/// Python's `ipaddress.ip_address`: without brackets or port, an IPv6 one maybe with a `%scope`.
fn parse_address(text: &[u8]) -> Option<(IpAddr, Option<&[u8]>)> {
    let (address, scope) = match text.iter().position(|byte| *byte == b'%') {
        Some(percent) => (&text[..percent], Some(&text[percent + 1..])),
        None => (text, None),
    };
    let address: IpAddr = std::str::from_utf8(address).ok()?.parse().ok()?;
    let is_scope = |scope: &[u8]| !scope.is_empty() && !scope.iter().any(|byte| b"%/".contains(byte));
    let is_address = scope.is_none_or(|scope| address.is_ipv6() && is_scope(scope));
    is_address.then_some((address, scope))
}

/// Python's `ipaddress.ip_network`, which is strict: an address with host bits is none.
fn parse_network(text: &[u8]) -> Option<IpNet> {
    let slash = text.iter().position(|byte| *byte == b'/')?;
    let (address, _) = parse_address(&text[..slash])?;
    let mask = std::str::from_utf8(&text[slash + 1..]).ok()?;
    let is_prefix = !mask.is_empty() && mask.bytes().all(|byte| byte.is_ascii_digit());
    let prefix: Option<u8> = if is_prefix { mask.parse().ok() } else { None };
    let network = match address {
        IpAddr::V4(address) => {
            let prefix = if is_prefix { prefix } else { prefix_of_mask(mask.parse().ok()?) };
            IpNet::V4(Ipv4Net::new(address, prefix?).ok()?)
        }
        IpAddr::V6(address) => IpNet::V6(Ipv6Net::new(address, prefix?).ok()?),
    };
    (network.addr() == network.network()).then_some(network)
}

/// The prefix length of 255.255.0.0 and, as Python has it, of 0.0.255.255 too.
fn prefix_of_mask(mask: Ipv4Addr) -> Option<u8> {
    let is_netmask = |bits: u32| bits.leading_ones() + bits.trailing_zeros() == u32::BITS || bits == 0;
    let bits = u32::from(mask);
    let netmask = [bits, !bits].into_iter().find(|bits| is_netmask(*bits))?;
    u8::try_from(netmask.leading_ones()).ok()
}

/// One of the four schemes, spelled exactly; anything else, a list too, says nothing.
fn scheme(value: &[u8]) -> Option<&'static str> {
    match strip(value) {
        b"http" => Some("http"),
        b"https" => Some("https"),
        b"ws" => Some("ws"),
        b"wss" => Some("wss"),
        _ => None,
    }
}

/// Takes `host`, `ipv4:port`, `[ipv6]` and `[ipv6]:port` apart. What has another form is a host as it stands,
/// so that no guess can make it a trusted one.
fn split_port(item: &[u8]) -> (&[u8], u64) {
    let item = strip(item);
    if let Some(rest) = item.strip_prefix(b"[") {
        let Some(end) = rest.iter().position(|byte| *byte == b']') else { return (item, 0) };
        return match &rest[end + 1..] {
            [] => (&rest[..end], 0),
            [b':', port @ ..] => (&rest[..end], parse_port(port).unwrap_or(0)),
            _ => (item, 0),
        };
    }
    let mut colons = item.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(index, _)| index);
    match (colons.next(), colons.next()) {
        (Some(colon), None) => match parse_port(&item[colon + 1..]) {
            Some(port) => (&item[..colon], port),
            None => (item, 0),
        },
        _ => (item, 0),
    }
}

/// Python's `int` of latin-1 text: spaces around it, a sign, `_` between digits, at most 4,300 digits.
fn parse_port(text: &[u8]) -> Option<u64> {
    const MOST_DIGITS: usize = 4300;
    let text = trim(text, |byte| matches!(byte, b'\t'..=b'\r' | b' ' | 0x85 | 0xa0));
    let digits = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")).unwrap_or(text);
    let mut number: u64 = 0;
    let mut count = 0;
    for group in digits.split(|byte| *byte == b'_') {
        // Nothing before, behind or between two of them.
        if group.is_empty() || !group.iter().all(u8::is_ascii_digit) {
            return None;
        }
        count += group.len();
        number = group
            .iter()
            .fold(number, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    }
    let port = if text.starts_with(b"-") { 0 } else { number };
    (count <= MOST_DIGITS).then_some(port)
}

/// Python's `str.isspace`: Unicode's white space, and four separators.
fn is_python_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\x1c'..='\x1f')
}

/// Python's `str.strip` of latin-1 text.
fn strip(text: &[u8]) -> &[u8] {
    trim(text, |byte| is_python_space(char::from(byte)))
}

fn trim(mut text: &[u8], is_space: impl Fn(u8) -> bool) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_space(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_space(*last)
    {
        text = rest;
    }
    text
}

fn encode_latin_1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));

    /// What a peer at 127.0.0.1 corrects with these lines of `X-Forwarded-For`.
    fn client(trusted: &str, lines: &[&[u8]]) -> Option<(String, u64)> {
        let fields = lines.iter().map(|line| (&b"X-Forwarded-For"[..], *line));
        TrustedProxies::parse(trusted).correct(LOCAL, fields).client
    }

    fn scheme_of(lines: &[&str]) -> Option<&'static str> {
        let fields = lines.iter().map(|line| (&b"x-forwarded-proto"[..], line.as_bytes()));
        TrustedProxies::parse("*").correct(None, fields).scheme
    }

    #[test]
    fn the_client_is_the_first_untrusted_host_from_the_right() {
        // As answered by uvicorn 0.54 `ProxyHeadersMiddleware`: list, header, client.
        for (trusted, line, expected) in [
            ("127.0.0.1", "6.6.6.6, 1.2.3.4,127.0.0.1", Some(("1.2.3.4", 0))),
            ("127.0.0.1,10.0.0.0/8", "6.6.6.6,1.2.3.4 , 10.9.9.9", Some(("1.2.3.4", 0))),
            ("127.0.0.1,10.0.0.0/8", "10.0.0.1, 127.0.0.1, 10.0.0.2", Some(("10.0.0.1", 0))),
            ("127.0.0.1,unix:", "1.2.3.4, unix:", Some(("1.2.3.4", 0))),
            ("127.0.0.1,fe80::1%a", "1.2.3.4, FE80::1%b, fe80:0::1%a", Some(("FE80::1%b", 0))),
            ("127.0.0.1,fe80::/10", "1.2.3.4, fe80::1%b", Some(("1.2.3.4", 0))),
            ("127.0.0.1,fe80::/10", "1.2.3.4, fe80::1%b/", Some(("fe80::1%b/", 0))),
            ("127.0.0.1", "::ffff:127.0.0.1", Some(("::ffff:127.0.0.1", 0))),
            ("*", "6.6.6.6, 1.2.3.4", Some(("6.6.6.6", 0))),
            ("*", ", 1.2.3.4", None),
            ("*,127.0.0.1", "1.2.3.4, *", Some(("1.2.3.4", 0))),
            ("127.0.0.1", "", None),
            ("127.0.0.1", "1.2.3.4,", None),
            ("127.0.0.1,", "1.2.3.4,", None),
            ("127.0.0.1", "1.2.3.4, unknown", Some(("unknown", 0))),
            ("127.0.0.1,::1", "1.2.3.4:5, [0::1]:6, 127.0.0.1:7", Some(("1.2.3.4", 5))),
        ] {
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(client(trusted, &[line.as_bytes()]), expected, "{trusted} {line}");
        }
    }

    #[test]
    fn ports_are_taken_off_hosts() {
        for (line, host, port) in [
            ("1.2.3.4:x", "1.2.3.4:x", 0),
            ("1.2.3.4:", "1.2.3.4:", 0),
            ("1.2.3.4: +8_0", "1.2.3.4", 80),
            ("1.2.3.4:8__0", "1.2.3.4:8__0", 0),
            ("1.2.3.4:-5", "1.2.3.4", 0),
            ("1.2.3.4:70000", "1.2.3.4", 70_000),
            ("1.2.3.4:99999999999999999999999", "1.2.3.4", u64::MAX),
            ("2001:db8::1", "2001:db8::1", 0),
            ("[2001:db8::1]:443", "2001:db8::1", 443),
            ("[2001:db8::1]:x", "2001:db8::1", 0),
            ("[2001:db8::1]443", "[2001:db8::1]443", 0),
            ("[2001:db8::1", "[2001:db8::1", 0),
        ] {
            assert_eq!(client("127.0.0.1", &[line.as_bytes()]), Some((host.to_owned(), port)), "{line}");
        }
        let long = format!("1.2.3.4:{}", "1".repeat(4301));
        assert_eq!(client("127.0.0.1", &[long.as_bytes()]), Some((long, 0)));
        assert_eq!(client("127.0.0.1", &[b"[]:80"]), None);
    }

    #[test]
    fn several_lines_are_one_list_in_latin_1() {
        let lines: [&[u8]; 3] = [b"6.6.6.6", b"\xa0caf\xe9\x1f, 127.0.0.1", b"127.0.0.1"];
        assert_eq!(client("127.0.0.1", &lines), Some(("caf\u{e9}".to_owned(), 0)));
        assert_eq!(client("127.0.0.1,caf\u{e9}", &lines), Some(("6.6.6.6".to_owned(), 0)));
        assert_eq!(client("127.0.0.1", &[b"1.2.3.4", b""]), None);
    }

    #[test]
    fn networks_are_strict_and_may_have_masks() {
        for (network, matches) in [
            ("10.0.0.0/8", true),
            ("10.0.0.0/08", true),
            ("10.0.0.0/255.0.0.0", true),
            ("10.0.0.0/0.255.255.255", true),
            ("0.0.0.0/0", true),
            ("0.0.0.0/0.0.0.0", true),
            ("10.1.2.3/32", true),
            ("10.0.0.1/8", false),
            ("10.0.0.0/33", false),
            ("10.0.0.0/255.0.255.0", false),
            ("10.0.0.0/+8", false),
            ("10.0.0.0/8/8", false),
            ("::/0", false),
        ] {
            let expected = if matches { "a" } else { "10.1.2.3" };
            let found = client(&format!("127.0.0.1,{network}"), &[b"a, 10.1.2.3"]);
            assert_eq!(found, Some((expected.to_owned(), 0)), "{network}");
        }
        // What is no network is a literal.
        assert_eq!(client("127.0.0.1,10.0.0.1/8", &[b"a, 10.0.0.1/8"]), Some(("a".to_owned(), 0)));
    }

    #[test]
    fn the_scheme_is_the_last_line_if_that_is_exactly_one() {
        assert_eq!(scheme_of(&["https"]), Some("https"));
        assert_eq!(scheme_of(&["https", " wss\t"]), Some("wss"));
        assert_eq!(scheme_of(&["https", "gopher"]), None);
        assert_eq!(scheme_of(&["https,http"]), None);
        assert_eq!(scheme_of(&["HTTPS"]), None);
        assert_eq!(["http", "https", "ws", "wss"].map(websocket_scheme), ["ws", "wss", "ws", "wss"]);
    }

    #[test]
    fn an_untrusted_peer_corrects_nothing() {
        let fields = || {
            let fields: [(&[u8], &[u8]); 2] =
                [(b"X-FORWARDED-FOR", b"1.2.3.4"), (b"X-Forwarded-Proto", b"https")];
            fields.into_iter()
        };
        let untrusted: Option<IpAddr> = "10.0.0.1".parse().ok();
        let mapped: Option<IpAddr> = "::ffff:127.0.0.1".parse().ok();
        let some = Correction { client: Some(("1.2.3.4".to_owned(), 0)), scheme: Some("https") };
        let proxies = TrustedProxies::parse("127.0.0.1, ::1");
        for (peer, expected) in [(untrusted, None), (mapped, None), (None, None), (LOCAL, Some(&some))] {
            let expected = expected.cloned().unwrap_or_default();
            assert_eq!(proxies.correct(peer, fields()), expected, "{peer:?}");
        }
        assert_eq!(TrustedProxies::parse("*").correct(None, fields()), some);
        assert_eq!(TrustedProxies::parse(" *").correct(LOCAL, fields()), Correction::default());
        assert_eq!(TrustedProxies::from_list(&["*".to_owned()]).correct(None, fields()), some);
        let spaced = TrustedProxies::from_list(&[" 127.0.0.1".to_owned()]);
        assert_eq!(spaced.correct(LOCAL, fields()), Correction::default());
        assert_eq!(proxies.correct(LOCAL, std::iter::empty()), Correction::default());
    }
}
