//! The HTTP connection scope (ASGI HTTP 2.3, "HTTP Connection Scope"), key for key as uvicorn 0.54 makes it.
//!
//! A scope must be a real dict of fresh mutable values: frameworks update it and store things in it. What is
//! immutable is shared: interned keys, header names, and whole header fields of requests that repeat
//! themselves, as those of a keep-alive client do.

use std::borrow::Cow;
use std::collections::HashMap;

use bicorn_http::{RequestHead, Version};
use bicorn_server::{ConnectionInfo, ServerAddress};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

/// Header names that are remembered; a peer that invents names cannot fill memory.
const NAMES: usize = 512;
/// Field blocks that are remembered. A power of two: the slot is taken from a hash.
const BLOCKS: usize = 128;
/// A longer field block is not remembered (browsers send about 1 KiB).
const BLOCK_BYTES: usize = 2048;
/// Connections whose addresses are remembered. A power of two.
const ADDRESSES: usize = 1024;

/// Builds scopes on the loop thread.
pub(crate) struct ScopeBuilder {
    /// Has every key in uvicorn's order, and the values that never change.
    template: Py<PyDict>,
    asgi: Py<PyDict>,
    state: Py<PyDict>,
    root_path: String,
    http10: Py<PyString>,
    http2: Py<PyString>,
    names: HashMap<Box<[u8]>, Py<PyBytes>>,
    blocks: Vec<Option<FieldBlock>>,
    addresses: Vec<Option<Addresses>>,
}

/// The fields that a block of field lines means.
struct FieldBlock {
    block: Box<[u8]>,
    fields: Vec<Py<PyTuple>>,
}

struct Addresses {
    connection: u64,
    client: Py<PyAny>,
    server: Py<PyAny>,
}

/// A scope, and the values in it that the access log shows.
pub(crate) struct Scope<'py> {
    pub(crate) dict: Bound<'py, PyDict>,
    pub(crate) path: Bound<'py, PyAny>,
    pub(crate) client: Bound<'py, PyAny>,
}

impl ScopeBuilder {
    pub(crate) fn new(
        py: Python<'_>,
        asgi_version: &str,
        state: &Bound<'_, PyDict>,
        root_path: &str,
    ) -> PyResult<Self> {
        let template = PyDict::new(py);
        let none = py.None();
        template.set_item(intern!(py, "type"), intern!(py, "http"))?;
        template.set_item(intern!(py, "asgi"), &none)?;
        template.set_item(intern!(py, "http_version"), intern!(py, "1.1"))?;
        template.set_item(intern!(py, "server"), &none)?;
        template.set_item(intern!(py, "client"), &none)?;
        template.set_item(intern!(py, "scheme"), intern!(py, "http"))?;
        template.set_item(intern!(py, "root_path"), root_path)?;
        template.set_item(intern!(py, "headers"), &none)?;
        template.set_item(intern!(py, "state"), &none)?;
        template.set_item(intern!(py, "method"), &none)?;
        template.set_item(intern!(py, "path"), &none)?;
        template.set_item(intern!(py, "raw_path"), &none)?;
        template.set_item(intern!(py, "query_string"), PyBytes::new(py, b""))?;
        let asgi = PyDict::new(py);
        asgi.set_item("version", asgi_version)?;
        asgi.set_item("spec_version", "2.3")?;
        Ok(Self {
            template: template.unbind(),
            asgi: asgi.unbind(),
            state: state.clone().unbind(),
            root_path: root_path.to_owned(),
            http10: PyString::intern(py, "1.0").unbind(),
            http2: PyString::intern(py, "2").unbind(),
            names: HashMap::new(),
            blocks: std::iter::repeat_with(|| None).take(BLOCKS).collect(),
            addresses: std::iter::repeat_with(|| None).take(ADDRESSES).collect(),
        })
    }

    /// Build the scope of one request.
    pub(crate) fn build<'py>(
        &mut self,
        py: Python<'py>,
        head: &RequestHead,
        connection: &ConnectionInfo,
    ) -> PyResult<Scope<'py>> {
        let dict = self.template.bind(py).copy()?;
        // A dict of its own for each request: applications write into it.
        dict.set_item(intern!(py, "asgi"), self.asgi.bind(py).copy()?)?;
        if head.version() != Version::Http11 {
            let version = if head.version() == Version::Http10 { &self.http10 } else { &self.http2 };
            dict.set_item(intern!(py, "http_version"), version)?;
        }
        let addresses = self.addresses(py, connection)?;
        let client = addresses.client.bind(py).clone();
        dict.set_item(intern!(py, "server"), &addresses.server)?;
        dict.set_item(intern!(py, "client"), &client)?;
        if connection.scheme != "http" {
            dict.set_item(intern!(py, "scheme"), connection.scheme)?;
        }
        dict.set_item(intern!(py, "headers"), self.headers(py, head)?)?;
        dict.set_item(intern!(py, "state"), self.state.bind(py).copy()?)?;
        dict.set_item(intern!(py, "method"), method(py, head.method()))?;
        let path = self.path(py, head.path());
        dict.set_item(intern!(py, "path"), &path)?;
        dict.set_item(intern!(py, "raw_path"), self.raw_path(py, head.path())?)?;
        if !head.query().is_empty() {
            dict.set_item(intern!(py, "query_string"), PyBytes::new(py, head.query()))?;
        }
        Ok(Scope { dict, path: path.into_any(), client })
    }

    fn path<'py>(&self, py: Python<'py>, raw: &[u8]) -> Bound<'py, PyString> {
        let decoded = percent_decode(raw);
        // Invalid UTF-8 becomes U+FFFD, as urllib.parse.unquote makes it.
        let text = String::from_utf8_lossy(&decoded);
        if self.root_path.is_empty() {
            PyString::new(py, &text)
        } else {
            PyString::new(py, &format!("{}{text}", self.root_path))
        }
    }

    fn raw_path<'py>(&self, py: Python<'py>, raw: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let prefix = self.root_path.as_bytes();
        if prefix.is_empty() {
            return Ok(PyBytes::new(py, raw));
        }
        PyBytes::new_with(py, prefix.len() + raw.len(), |bytes| {
            bytes[..prefix.len()].copy_from_slice(prefix);
            bytes[prefix.len()..].copy_from_slice(raw);
            Ok(())
        })
    }

    /// A fresh list of (name, value) in the order of the field lines.
    fn headers<'py>(&mut self, py: Python<'py>, head: &RequestHead) -> PyResult<Bound<'py, PyList>> {
        let block = head.field_block();
        let slot = slot_of(block);
        if let Some(known) = &self.blocks[slot]
            && *known.block == *block
        {
            return PyList::new(py, &known.fields);
        }
        let mut fields = Vec::with_capacity(head.fields().len());
        for (name, value) in head.fields() {
            let name = self.name(py, name);
            fields.push(PyTuple::new(py, [name, PyBytes::new(py, value)])?.unbind());
        }
        let list = PyList::new(py, &fields)?;
        if block.len() <= BLOCK_BYTES {
            self.blocks[slot] = Some(FieldBlock { block: block.into(), fields });
        }
        Ok(list)
    }

    /// A lower-case header name, shared with earlier requests where that costs no unbounded memory.
    fn name<'py>(&mut self, py: Python<'py>, name: &[u8]) -> Bound<'py, PyBytes> {
        let lower: Cow<'_, [u8]> = if name.iter().any(u8::is_ascii_uppercase) {
            name.to_ascii_lowercase().into()
        } else {
            name.into()
        };
        if let Some(known) = self.names.get(&*lower) {
            return known.bind(py).clone();
        }
        let object = PyBytes::new(py, &lower);
        if self.names.len() < NAMES {
            self.names.insert(lower.into(), object.clone().unbind());
        }
        object
    }

    fn addresses(&mut self, py: Python<'_>, connection: &ConnectionInfo) -> PyResult<&Addresses> {
        let slot = usize::try_from(connection.id).unwrap_or(0) & (ADDRESSES - 1);
        let is_known = self.addresses[slot].as_ref().is_some_and(|known| known.connection == connection.id);
        if !is_known {
            self.addresses[slot] = Some(Addresses::new(py, connection)?);
        }
        match &self.addresses[slot] {
            Some(addresses) => Ok(addresses),
            None => Err(pyo3::exceptions::PyAssertionError::new_err("addresses were just stored")),
        }
    }
}

impl Addresses {
    fn new(py: Python<'_>, connection: &ConnectionInfo) -> PyResult<Self> {
        let client = match &connection.client {
            Some(client) => (client.host.as_str(), client.port).into_pyobject(py)?.into_any().unbind(),
            None => py.None(),
        };
        let server = match &connection.server {
            ServerAddress::Tcp { host, port } => {
                (host.as_str(), *port).into_pyobject(py)?.into_any().unbind()
            }
            ServerAddress::Unix(path) => (path.as_str(), py.None()).into_pyobject(py)?.into_any().unbind(),
        };
        Ok(Self { connection: connection.id, client, server })
    }
}

fn method<'py>(py: Python<'py>, method: &[u8]) -> Bound<'py, PyString> {
    match method {
        b"GET" => intern!(py, "GET").clone(),
        b"POST" => intern!(py, "POST").clone(),
        b"PUT" => intern!(py, "PUT").clone(),
        b"HEAD" => intern!(py, "HEAD").clone(),
        // A method is a token, so it is ASCII.
        other => PyString::new(py, &String::from_utf8_lossy(other)),
    }
}

/// Decode `%XX`; anything else stays as it is, as `urllib.parse.unquote_to_bytes` leaves it.
pub(crate) fn percent_decode(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.contains(&b'%') {
        return raw.into();
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, tail)) = rest.split_first() {
        let pair = (byte == b'%').then(|| Some((hex(*tail.first()?)?, hex(*tail.get(1)?)?))).flatten();
        if let Some((high, low)) = pair {
            decoded.push(high << 4 | low);
            rest = &tail[2..];
        } else {
            decoded.push(byte);
            rest = tail;
        }
    }
    decoded.into()
}

fn hex(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// FNV-1a over words: a peer that provokes collisions only makes its own requests a little slower.
fn slot_of(block: &[u8]) -> usize {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut words = block.chunks_exact(8);
    for word in &mut words {
        let word = word.try_into().map_or(0, u64::from_le_bytes);
        hash = (hash ^ word).wrapping_mul(0x0100_0000_01b3);
        hash ^= hash >> 29;
    }
    for byte in words.remainder() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    usize::try_from(hash ^ (hash >> 32)).unwrap_or(0) & (BLOCKS - 1)
}
