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
    /// The client's host, which need not be an address, and its port: 0 if the proxy does not say, and any
    /// number that it does say (uvicorn does not check it), cut to 64 bits.
    pub client: Option<(String, i64)>,
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
    fn client(&self, lines: &[&[u8]]) -> Option<(String, i64)> {
        let leftmost = lines.first()?.split(is_comma).next().map(split_port)?;
        let (host, port) = match &self.0 {
            Trust::Everybody => leftmost,
            // Each proxy adds to the right, so the first that is not trusted, seen from there, is the client.
            Trust::Listed(list) => {
                let items = lines.iter().rev().flat_map(|line| line.rsplit(is_comma));
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
    match scope {
        Some(scope) if address.is_ipv4() || scope.is_empty() || scope.contains(&b'%') => None,
        _ => Some((address, scope)),
    }
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
fn split_port(item: &[u8]) -> (&[u8], i64) {
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
/// A number beyond 64 bits is cut to the nearest one within.
fn parse_port(text: &[u8]) -> Option<i64> {
    const MOST_DIGITS: usize = 4300;
    let text = trim(text, |byte| matches!(byte, b'\t'..=b'\r' | b' ' | 0x85 | 0xa0));
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let mut number: i64 = 0;
    let mut count = 0;
    for group in digits.split(|byte| *byte == b'_') {
        // Nothing before, behind or between two of them.
        if group.is_empty() || !group.iter().all(u8::is_ascii_digit) {
            return None;
        }
        count += group.len();
        number = group.iter().fold(number, |number, digit| {
            number.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
        });
    }
    (count <= MOST_DIGITS).then_some(if is_negative { -number } else { number })
}

fn is_comma(byte: &u8) -> bool {
    *byte == b','
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
