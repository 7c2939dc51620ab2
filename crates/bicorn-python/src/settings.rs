//! Options, from the command line or from a `Config` object, through one parser.

use std::sync::{Arc, OnceLock};

use bicorn_config::{
    CertReqs, Interface, OptionValue, SettingValue, Settings as Options, TlsVersions,
    WebSockets as WebSocketOption, from_command_line,
};
use bicorn_http::http1::Limits;
use bicorn_http::websocket::{self, session::KeepAlive};
use bicorn_server::forwarded::TrustedProxies;
use bicorn_server::tls::{ClientCertificates, Tls, TlsError, TlsSettings, Versions};
use bicorn_server::{Deadlines, Http2, Settings as ServerSettings, WebSockets};
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyMapping, PyString};

create_exception!(
    bicorn._bicorn,
    CommandLineExit,
    PyException,
    "Asks the caller to print `text` and leave. `args` is `(text, code, to_stderr)`."
);

/// Parse the command line into the keyword arguments of `bicorn.run`.
#[pyfunction]
pub(crate) fn parse_command_line<'py>(
    py: Python<'py>,
    arguments: Vec<String>,
    environment: &Bound<'_, PyMapping>,
    runtime: &str,
) -> PyResult<Bound<'py, PyDict>> {
    let look_up = |name: &str| -> Option<String> { environment.get_item(name).ok()?.extract().ok() };
    let options = from_command_line(arguments, &look_up, runtime)
        .map_err(|exit| CommandLineExit::new_err((exit.text, exit.code, exit.to_stderr)))?;
    let keywords = PyDict::new(py);
    for (name, value) in options.to_options() {
        match value {
            SettingValue::None => keywords.set_item(name, py.None())?,
            SettingValue::Bool(value) => keywords.set_item(name, value)?,
            SettingValue::Int(value) => keywords.set_item(name, value)?,
            SettingValue::Float(value) => keywords.set_item(name, value)?,
            SettingValue::Text(value) => keywords.set_item(name, value)?,
            SettingValue::List(value) => keywords.set_item(name, value)?,
            SettingValue::Pairs(value) => keywords.set_item(name, value)?,
        }
    }
    Ok(keywords)
}

/// The validated options of one server.
#[pyclass(frozen, module = "bicorn._bicorn")]
pub(crate) struct Settings {
    options: Options,
    /// What `load_tls` has read.
    tls: OnceLock<Arc<Tls>>,
}

#[pymethods]
impl Settings {
    /// Read every option from the attribute of its name.
    #[staticmethod]
    fn from_config(config: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut given = Vec::new();
        for name in Options::option_names() {
            if PYTHON_ONLY.contains(&name) {
                continue;
            }
            if let Some(value) = config.getattr_opt(name)? {
                given.push((name.to_owned(), option_value(name, &value)?));
            }
        }
        let options =
            Options::from_options(given).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self { options, tls: OnceLock::new() })
    }

    /// Read the certificates and keys, so that a mistake shows before anything is started.
    fn load_tls(&self, py: Python<'_>) -> PyResult<()> {
        let options = &self.options;
        // Keys may be encrypted so that it takes a while.
        let tls = py.detach(|| load_tls(options));
        if let Some(tls) = tls.map_err(|error| PyValueError::new_err(error.to_string()))? {
            let _ = self.tls.set(Arc::new(tls));
        }
        Ok(())
    }
}

/// Options whose values in a `Config` may be objects that no command line can carry; Python checks them.
const PYTHON_ONLY: [&str; 9] = [
    "app",
    "app_dir",
    "log_config",
    "log_level",
    "loop",
    "env_file",
    "reload_dirs",
    "reload_includes",
    "reload_excludes",
];

/// Options that take one path or several.
const PATHS: [&str; 2] = ["ssl_certfile", "ssl_keyfile"];

fn load_tls(options: &Options) -> Result<Option<Tls>, TlsError> {
    // An empty path is none, as in uvicorn.
    let given = |paths: &'_ Vec<String>| paths.iter().any(|path| !path.is_empty()).then(|| paths.clone());
    let certfiles = given(&options.ssl_certfiles).unwrap_or_default();
    let pairs = Tls::pairs(&certfiles, &given(&options.ssl_keyfiles).unwrap_or_default())?;
    if pairs.is_empty() {
        return Ok(None);
    }
    let settings = TlsSettings {
        pairs,
        password: options.ssl_keyfile_password.clone(),
        client_certificates: match options.ssl_cert_reqs {
            CertReqs::None => ClientCertificates::None,
            CertReqs::Optional => ClientCertificates::Optional,
            CertReqs::Required => ClientCertificates::Required,
        },
        ca_certs: options.ssl_ca_certs.as_ref().map(Into::into),
        ciphers: options.ssl_ciphers.clone(),
        versions: match options.ssl_version {
            TlsVersions::Server | TlsVersions::Any => Versions::Both,
            TlsVersions::Tls12 => Versions::Tls12,
        },
        http2: options.http2,
        handshake: options.timeout_tls_handshake,
    };
    Tls::load(settings).map(Some)
}
/// Options of which `None` means none, as 0 does; elsewhere it is the default.
const NONE_IS_ZERO: [&str; 3] = ["ws_max_queue", "ws_ping_interval", "ws_ping_timeout"];

fn option_value(name: &str, value: &Bound<'_, PyAny>) -> PyResult<OptionValue> {
    if value.is_none() && NONE_IS_ZERO.contains(&name) {
        return Ok(OptionValue::Text("0".to_owned()));
    }
    if value.is_none() {
        return Ok(OptionValue::None);
    }
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(OptionValue::Flag(flag.is_true()));
    }
    if value.is_instance_of::<PyInt>() {
        // Of an enumeration, such as ssl.VerifyMode, the text is not the number.
        return Ok(OptionValue::Text(value.call_method0("__int__")?.str()?.extract()?));
    }
    if PATHS.contains(&name) && !value.is_instance_of::<PyString>() && value.try_iter().is_ok() {
        let paths = value.try_iter()?.map(|path| path_text(&path?)).collect::<PyResult<_>>()?;
        return Ok(OptionValue::List(paths));
    }
    if name == "headers" {
        let pairs: Vec<(String, String)> =
            value.try_iter()?.map(|pair| header(&pair?)).collect::<PyResult<_>>()?;
        return Ok(OptionValue::List(
            pairs.into_iter().map(|(name, value)| format!("{name}:{value}")).collect(),
        ));
    }
    if value.is_instance_of::<PyString>() {
        return Ok(OptionValue::Text(value.extract()?));
    }
    if let Ok(items) = value.extract::<Vec<String>>() {
        // A list of trusted hosts is the same as its members with commas between them.
        return Ok(OptionValue::Text(items.join(",")));
    }
    Ok(OptionValue::Text(value.str()?.extract()?))
}

/// A path, or nothing for the key of a pair that has its own in the certificate's file.
fn path_text(path: &Bound<'_, PyAny>) -> PyResult<String> {
    if path.is_none() { Ok(String::new()) } else { path.str()?.extract() }
}

fn header(pair: &Bound<'_, PyAny>) -> PyResult<(String, String)> {
    Ok((pair.get_item(0)?.extract()?, pair.get_item(1)?.extract()?))
}

impl Settings {
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// What `bicorn-server` needs to know; with the field lines behind `date`, and whether connections close
    /// behind each response.
    pub(crate) fn server_settings(&self, (fields, closes): &(Vec<u8>, bool)) -> ServerSettings {
        let options = &self.options;
        let trusted = options.forwarded_allow_ips.as_deref().unwrap_or("127.0.0.1,::1");
        ServerSettings {
            io_threads: options.io_threads,
            limits: Limits {
                head_bytes: options.limit_request_head.unwrap_or(0),
                fields: options.limit_request_fields.unwrap_or(0),
                target_bytes: options.limit_request_target.unwrap_or(0),
            },
            deadlines: Deadlines {
                head: options.timeout_request_head,
                content: options.timeout_request_body,
                write: options.timeout_write,
                keep_alive: options.timeout_keep_alive,
            },
            date_header: options.date_header,
            default_fields: fields.clone(),
            keep_alive: !closes,
            unsent_bytes: crate::ffi::unsent_bytes,
            http2: options.http2.then_some(Http2 {
                max_concurrent_streams: options.http2_max_concurrent_streams,
                stream_window: options.http2_initial_stream_window,
                connection_window: options.http2_initial_connection_window,
                max_header_list: options.http2_max_header_list,
                idle: options.http2_timeout_idle,
                ping_interval: options.http2_ping_interval,
                ping_timeout: options.http2_ping_timeout,
            }),
            websocket: self.websockets(),
            proxies: options.proxy_headers.then(|| TrustedProxies::parse(trusted)),
            tls: self.tls.get().cloned(),
        }
    }

    /// How WebSockets are spoken. A WSGI application knows none.
    fn websockets(&self) -> Option<WebSockets> {
        let options = &self.options;
        let is_on = options.ws == WebSocketOption::Auto && options.interface != Interface::Wsgi;
        is_on.then(|| WebSockets {
            engine: websocket::Settings {
                max_message_bytes: options.ws_max_size,
                per_message_deflate: options.ws_per_message_deflate,
            },
            max_queue: options.ws_max_queue.unwrap_or(usize::MAX),
            keep_alive: KeepAlive { interval: options.ws_ping_interval, timeout: options.ws_ping_timeout },
        })
    }
}
