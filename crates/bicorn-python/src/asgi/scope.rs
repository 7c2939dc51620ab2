//! The connection scopes (ASGI HTTP 2.3, WebSocket 2.4, "Connection Scope"), key for key as uvicorn 0.54 makes
//! them, with `extensions` behind.
//!
//! A scope must be a real dict of fresh mutable values: frameworks update it and store things in it. What is
//! immutable is shared: interned keys, header names, and whole header fields of requests that repeat
//! themselves, as those of a keep-alive client do.

use std::borrow::Cow;
use std::collections::HashMap;

use bicorn_http::{RequestHead, Version};
use bicorn_server::forwarded::websocket_scheme;
use bicorn_server::tls::TlsInfo;
use bicorn_server::{ConnectionInfo, ServerAddress};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use super::extensions::Extensions;
use super::percent::percent_decode;

/// Header names that are remembered; a peer that invents names cannot fill memory.
const NAMES: usize = 512;
/// Field blocks that are remembered. A power of two: the slot is taken from a hash.
const BLOCKS: usize = 128;
/// A longer field block is not remembered (browsers send about 1 KiB).
const BLOCK_BYTES: usize = 2048;
/// Connections whose addresses are remembered. A power of two.
const ADDRESSES: usize = 1024;

/// What all scopes of a server have in common.
pub(crate) struct ScopeFacts {
    /// `scope["asgi"]` of an HTTP request.
    pub(crate) asgi_version: String,
    pub(crate) spec_version: &'static str,
    /// What lifespan start-up left behind.
    pub(crate) state: Py<PyDict>,
    pub(crate) root_path: String,
}

/// Builds scopes. Each thread that runs applications has its own.
pub(crate) struct ScopeBuilder {
    http: Template,
    websocket: Template,
    extensions: Extensions,
    state: Py<PyDict>,
    root_path: String,
    names: HashMap<Box<[u8]>, Py<PyBytes>>,
    blocks: Vec<Option<FieldBlock>>,
    addresses: Vec<Option<Addresses>>,
}

/// What the scopes of one kind have in common.
struct Template {
    /// Has every key in uvicorn's order, and the values that never change.
    scope: Py<PyDict>,
    asgi: Py<PyDict>,
}

/// The keys of an HTTP scope, in uvicorn's order, and one that it has over HTTP/2 only.
const HTTP_KEYS: [&str; 14] = [
    "type",
    "asgi",
    "http_version",
    "server",
    "client",
    "scheme",
    "root_path",
    "headers",
    "state",
    "method",
    "path",
    "raw_path",
    "query_string",
    "extensions",
];

/// The keys of a WebSocket scope, in uvicorn's order.
const WEBSOCKET_KEYS: [&str; 14] = [
    "type",
    "asgi",
    "http_version",
    "scheme",
    "server",
    "client",
    "root_path",
    "path",
    "raw_path",
    "query_string",
    "headers",
    "subprotocols",
    "state",
    "extensions",
];

impl Template {
    /// `values` are those of `type`, `scheme` and `spec_version`.
    fn new(
        py: Python<'_>,
        keys: &[&str],
        values: [&str; 3],
        asgi_version: &str,
        root_path: &str,
    ) -> PyResult<Self> {
        let [kind, scheme, spec_version] = values;
        let scope = PyDict::new(py);
        for key in keys {
            scope.set_item(PyString::intern(py, key), py.None())?;
        }
        scope.set_item(intern!(py, "type"), PyString::intern(py, kind))?;
        scope.set_item(intern!(py, "http_version"), intern!(py, "1.1"))?;
        scope.set_item(intern!(py, "scheme"), PyString::intern(py, scheme))?;
        scope.set_item(intern!(py, "root_path"), root_path)?;
        scope.set_item(intern!(py, "query_string"), PyBytes::new(py, b""))?;
        let asgi = PyDict::new(py);
        asgi.set_item("version", asgi_version)?;
        asgi.set_item("spec_version", spec_version)?;
        Ok(Self { scope: scope.unbind(), asgi: asgi.unbind() })
    }

    fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let scope = self.scope.bind(py).copy()?;
        // A dict of its own for each request: applications write into it.
        scope.set_item(intern!(py, "asgi"), self.asgi.bind(py).copy()?)?;
        Ok(scope)
    }
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
    /// The TLS extension, once a request was made over it.
    tls: PyOnceLock<Py<PyDict>>,
}

/// A scope, and the values in it that the access log shows.
pub(crate) struct Scope<'py> {
    pub(crate) dict: Bound<'py, PyDict>,
    pub(crate) path: Bound<'py, PyAny>,
    pub(crate) client: Bound<'py, PyAny>,
}

impl ScopeBuilder {
    pub(crate) fn new(py: Python<'_>, facts: &ScopeFacts) -> PyResult<Self> {
        let ScopeFacts { asgi_version, spec_version, state, root_path } = facts;
        let http = Template::new(py, &HTTP_KEYS, ["http", "http", spec_version], asgi_version, root_path)?;
        let values = ["websocket", "ws", "2.4"];
        let websocket = Template::new(py, &WEBSOCKET_KEYS, values, asgi_version, root_path)?;
        Ok(Self {
            http,
            websocket,
            extensions: Extensions::new(py)?,
            state: state.clone_ref(py),
            root_path: root_path.clone(),
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
        let dict = self.http.copy(py)?;
        let (path, client) = self.fill(&dict, head, connection)?;
        if connection.scheme != "http" {
            dict.set_item(intern!(py, "scheme"), connection.scheme)?;
        }
        dict.set_item(intern!(py, "method"), method(py, head.method()))?;
        let extensions = self.extensions.build(py, head.version())?;
        self.announce_tls(&extensions, connection)?;
        dict.set_item(intern!(py, "extensions"), extensions)?;
        Ok(Scope { dict, path, client })
    }

    /// Build the scope of a WebSocket that offers these subprotocols.
    pub(crate) fn build_websocket<'py>(
        &mut self,
        py: Python<'py>,
        head: &RequestHead,
        subprotocols: &[String],
        connection: &ConnectionInfo,
    ) -> PyResult<Bound<'py, PyDict>> {
        let dict = self.websocket.copy(py)?;
        self.fill(&dict, head, connection)?;
        let scheme = websocket_scheme(connection.scheme);
        if scheme != "ws" {
            dict.set_item(intern!(py, "scheme"), scheme)?;
        }
        dict.set_item(intern!(py, "subprotocols"), PyList::new(py, subprotocols)?)?;
        let extensions = PyDict::new(py);
        extensions.set_item(intern!(py, "websocket.http.response"), PyDict::new(py))?;
        self.announce_tls(&extensions, connection)?;
        dict.set_item(intern!(py, "extensions"), extensions)?;
        Ok(dict)
    }

    /// Set what every scope has; returns path and client.
    fn fill<'py>(
        &mut self,
        dict: &Bound<'py, PyDict>,
        head: &RequestHead,
        connection: &ConnectionInfo,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let py = dict.py();
        match head.version() {
            Version::Http11 => {}
            Version::Http10 => dict.set_item(intern!(py, "http_version"), intern!(py, "1.0"))?,
            Version::Http2 => dict.set_item(intern!(py, "http_version"), intern!(py, "2"))?,
        }
        let addresses = self.addresses(py, connection)?;
        let client = addresses.client.bind(py).clone();
        dict.set_item(intern!(py, "server"), &addresses.server)?;
        dict.set_item(intern!(py, "client"), &client)?;
        dict.set_item(intern!(py, "headers"), self.headers(py, head)?)?;
        dict.set_item(intern!(py, "state"), self.state.bind(py).copy()?)?;
        let path = self.path(py, head.path());
        dict.set_item(intern!(py, "path"), &path)?;
        dict.set_item(intern!(py, "raw_path"), self.raw_path(py, head.path())?)?;
        if !head.query().is_empty() {
            dict.set_item(intern!(py, "query_string"), PyBytes::new(py, head.query()))?;
        }
        Ok((path.into_any(), client))
    }

    /// Add the TLS extension, if that is spoken: a dict of its own for each request, because applications write
    /// into it.
    fn announce_tls(&mut self, extensions: &Bound<'_, PyDict>, connection: &ConnectionInfo) -> PyResult<()> {
        let py = extensions.py();
        let Some(tls) = &connection.tls else { return Ok(()) };
        let addresses = self.addresses(py, connection)?;
        let facts = addresses.tls.get_or_try_init(py, || tls_extension(py, tls))?;
        let facts = facts.bind(py).copy()?;
        if let Some(chain) = facts.get_item(intern!(py, "client_cert_chain"))? {
            facts.set_item(intern!(py, "client_cert_chain"), chain.cast::<PyTuple>()?.to_list())?;
        }
        extensions.set_item(intern!(py, "tls"), facts)
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
        Ok(Self { connection: connection.id, client, server, tls: PyOnceLock::new() })
    }
}

/// The dict of the TLS extension (ASGI TLS 0.2), with the chain as a tuple.
fn tls_extension(py: Python<'_>, tls: &TlsInfo) -> PyResult<Py<PyDict>> {
    let extension = PyDict::new(py);
    extension.set_item("server_cert", &*tls.server_cert)?;
    extension.set_item("client_cert_chain", PyTuple::new(py, &tls.client_cert_chain)?)?;
    extension.set_item("client_cert_name", tls.client_cert_name.as_deref())?;
    // A client whose certificate is wrong gets no connection.
    extension.set_item("client_cert_error", py.None())?;
    extension.set_item("tls_version", tls.version)?;
    extension.set_item("cipher_suite", tls.cipher_suite)?;
    Ok(extension.unbind())
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
