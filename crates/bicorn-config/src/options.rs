//! Options of an embedding program ⇄ [`Settings`].
//!
//! `bicorn.Config(**options)` comes in as names and plain values and goes through the same parser as the
//! command line; `to_options` makes the keyword arguments of `bicorn.run` out of a parsed command line.

use std::path::Path;
use std::time::Duration;

use clap::{ArgAction, ValueEnum};

use crate::bind::{self, Given};
use crate::command::{self, Files};
use crate::error::ConfigError;
use crate::settings::Settings;

/// An option as an embedding program gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionValue {
    /// Leaves the option at its default.
    None,
    /// A switch, on or off.
    Flag(bool),
    /// Any value, numbers included, as it would stand on the command line.
    Text(String),
    /// The values of a repeatable option, or the items of one that takes a list separated by commas.
    List(Vec<String>),
}

/// A setting as Python sees it.
#[derive(Clone, Debug, PartialEq)]
pub enum SettingValue {
    /// Not set, where that is different from every value.
    None,
    /// A switch.
    Bool(bool),
    /// A count, or whole seconds.
    Int(i64),
    /// Seconds.
    Float(f64),
    /// Everything else.
    Text(String),
    /// Several of the same.
    List(Vec<String>),
    /// Header names and values.
    Pairs(Vec<(String, String)>),
}

impl Settings {
    /// The names of all options, as Python calls them.
    pub fn option_names() -> impl Iterator<Item = &'static str> {
        command::options().map(|option| option.get_id().as_str())
    }

    /// Checks options given by name. Those left out have their default; the environment is not looked at.
    ///
    /// # Errors
    /// An option is unknown, has a bad value, or excludes another.
    pub fn from_options(
        options: impl IntoIterator<Item = (String, OptionValue)>,
    ) -> Result<Self, ConfigError> {
        let given: Result<Vec<Option<Given>>, ConfigError> =
            options.into_iter().map(|(name, value)| given(name, value)).collect();
        let given: Vec<Given> = given?.into_iter().flatten().collect();
        bind::bind(&given, Files::MayBeMissing)
    }

    /// Every option's name in Python and its value: the keyword arguments of `bicorn.run`.
    ///
    /// Limits and deadlines that are off are 0. `timeout_keep_alive` and `timeout_graceful_shutdown` are
    /// whole numbers, as in uvicorn, unless they have a fraction.
    pub fn to_options(&self) -> Vec<(&'static str, SettingValue)> {
        let mut options = self.process_options();
        options.extend(self.supervision_options());
        options.extend(self.concurrency_options());
        options.extend(self.connection_options());
        options.extend(self.tls_options());
        options.extend(self.http_options());
        options.extend(self.http2_options());
        options.extend(self.websocket_options());
        options.extend(self.reporting_options());
        options
    }

    /// In the order of the declaration: what is served, and where.
    fn process_options(&self) -> Vec<(&'static str, SettingValue)> {
        vec![
            ("app", text(self.app.as_ref())),
            ("app_dir", text(Some(&self.app_dir))),
            ("factory", SettingValue::Bool(self.factory)),
            ("interface", choice(Some(self.interface))),
            ("asgi_spec", choice(Some(self.asgi_spec))),
            ("lifespan", choice(Some(self.lifespan))),
            ("env_file", path(self.env_file.as_deref())),
            ("reset_contextvars", SettingValue::Bool(self.reset_contextvars)),
            ("host", text(Some(&self.host))),
            ("port", int(Some(self.port))),
            ("uds", text(self.uds.as_ref())),
            ("fd", int(self.fd)),
            ("backlog", int(Some(self.backlog))),
        ]
    }

    /// In which threads, and how much at a time.
    fn concurrency_options(&self) -> Vec<(&'static str, SettingValue)> {
        vec![
            ("loop", SettingValue::Text(self.event_loop.to_string())),
            ("io_threads", int(Some(self.io_threads))),
            ("sync_endpoints", choice(Some(self.sync_endpoints))),
            ("endpoint_threads", int(self.endpoint_threads)),
            ("show_lanes", SettingValue::Bool(self.show_lanes)),
            ("limit_concurrency", int(self.limit_concurrency)),
            ("limit_max_requests", int(self.limit_max_requests)),
            ("limit_max_requests_jitter", int(Some(self.limit_max_requests_jitter))),
        ]
    }

    /// Processes, and who may ask how they are.
    fn supervision_options(&self) -> Vec<(&'static str, SettingValue)> {
        let supervision = &self.supervision;
        let list = |values: &[String]| match values {
            [] => SettingValue::None,
            values => SettingValue::List(values.to_vec()),
        };
        vec![
            ("workers", int(supervision.workers)),
            ("preload", SettingValue::Bool(supervision.preload)),
            ("timeout_worker_healthcheck", whole_seconds(supervision.timeout_worker_healthcheck)),
            ("reload", SettingValue::Bool(supervision.reload)),
            ("reload_dirs", list(&supervision.reload_dirs)),
            ("reload_includes", list(&supervision.reload_includes)),
            ("reload_excludes", list(&supervision.reload_excludes)),
            ("reload_delay", seconds(supervision.reload_delay)),
            ("admin_bind", text(supervision.admin_bind.as_ref())),
            ("drain_delay", seconds(supervision.drain_delay)),
        ]
    }

    /// How much and how long on one connection.
    fn connection_options(&self) -> Vec<(&'static str, SettingValue)> {
        let graceful_shutdown = self.timeout_graceful_shutdown.map_or(SettingValue::None, whole_seconds);
        vec![
            ("limit_request_head", int(Some(self.limit_request_head.unwrap_or_default()))),
            ("limit_request_fields", int(Some(self.limit_request_fields.unwrap_or_default()))),
            ("limit_request_target", int(Some(self.limit_request_target.unwrap_or_default()))),
            ("timeout_keep_alive", whole_seconds(self.timeout_keep_alive.unwrap_or_default())),
            ("timeout_graceful_shutdown", graceful_shutdown),
            ("timeout_request_head", seconds(self.timeout_request_head.unwrap_or_default())),
            ("timeout_request_body", seconds(self.timeout_request_body.unwrap_or_default())),
            ("timeout_write", seconds(self.timeout_write.unwrap_or_default())),
            ("timeout_tls_handshake", seconds(self.timeout_tls_handshake.unwrap_or_default())),
        ]
    }

    fn tls_options(&self) -> Vec<(&'static str, SettingValue)> {
        vec![
            ("ssl_certfile", texts(&self.ssl_certfiles)),
            ("ssl_keyfile", texts(&self.ssl_keyfiles)),
            ("ssl_keyfile_password", text(self.ssl_keyfile_password.as_ref())),
            ("ssl_version", SettingValue::Int(self.ssl_version.number())),
            ("ssl_cert_reqs", SettingValue::Int(self.ssl_cert_reqs.number())),
            ("ssl_ca_certs", text(self.ssl_ca_certs.as_ref())),
            ("ssl_ciphers", text(self.ssl_ciphers.as_ref())),
        ]
    }

    /// What is in requests and responses.
    fn http_options(&self) -> Vec<(&'static str, SettingValue)> {
        vec![
            ("http", SettingValue::Text(self.http.to_string())),
            ("h11_max_incomplete_event_size", int(self.h11_max_incomplete_event_size)),
            ("root_path", text(Some(&self.root_path))),
            ("headers", SettingValue::Pairs(self.headers.clone())),
            ("server_header", SettingValue::Bool(self.server_header)),
            ("date_header", SettingValue::Bool(self.date_header)),
        ]
    }

    /// What happens on one connection that speaks HTTP/2.
    fn http2_options(&self) -> Vec<(&'static str, SettingValue)> {
        vec![
            ("http2", SettingValue::Bool(self.http2)),
            ("http2_max_concurrent_streams", int(Some(self.http2_max_concurrent_streams))),
            ("http2_initial_stream_window", int(Some(self.http2_initial_stream_window))),
            ("http2_initial_connection_window", int(Some(self.http2_initial_connection_window))),
            ("http2_max_header_list", int(Some(self.http2_max_header_list))),
            ("http2_timeout_idle", seconds(self.http2_timeout_idle.unwrap_or_default())),
            ("http2_ping_interval", seconds(self.http2_ping_interval.unwrap_or_default())),
            ("http2_ping_timeout", seconds(self.http2_ping_timeout.unwrap_or_default())),
        ]
    }

    /// What happens on one WebSocket.
    fn websocket_options(&self) -> Vec<(&'static str, SettingValue)> {
        vec![
            ("ws", SettingValue::Text(self.ws.to_string())),
            ("ws_max_size", int(Some(self.ws_max_size))),
            ("ws_max_queue", int(Some(self.ws_max_queue.unwrap_or_default()))),
            ("ws_ping_interval", seconds(self.ws_ping_interval.unwrap_or_default())),
            ("ws_ping_timeout", seconds(self.ws_ping_timeout.unwrap_or_default())),
            ("ws_per_message_deflate", SettingValue::Bool(self.ws_per_message_deflate)),
        ]
    }

    /// Whom to believe, and what to log.
    fn reporting_options(&self) -> Vec<(&'static str, SettingValue)> {
        vec![
            ("proxy_headers", SettingValue::Bool(self.proxy_headers)),
            ("forwarded_allow_ips", text(self.forwarded_allow_ips.as_ref())),
            ("log_config", path(self.log_config.as_deref())),
            ("log_level", choice(self.log_level)),
            ("access_log", SettingValue::Bool(self.access_log)),
            ("use_colors", self.use_colors.map_or(SettingValue::None, SettingValue::Bool)),
        ]
    }
}

/// What the parser is fed for one named option; nothing for `None`.
fn given(name: String, value: OptionValue) -> Result<Option<Given>, ConfigError> {
    let Some(option) = command::options().find(|option| option.get_id().as_str() == name) else {
        let similar = bind::similar(&name.replace('_', "-")).map(str::to_owned);
        return Err(ConfigError::UnknownOption { option: name, similar });
    };
    let values = match value {
        OptionValue::None => return Ok(None),
        OptionValue::Flag(flag) if command::is_truth(option) => vec![flag.to_string()],
        OptionValue::Flag(flag) => {
            let requirement = "it is not a switch".to_owned();
            return Err(ConfigError::InvalidValue { option: name, value: flag.to_string(), requirement });
        }
        OptionValue::Text(text) => vec![text],
        OptionValue::List(items) if matches!(option.get_action(), ArgAction::Append) => items,
        OptionValue::List(items) => vec![items.join(",")],
    };
    Ok(Some(Given { option, values, origin: name }))
}

fn text(value: Option<&String>) -> SettingValue {
    value.map_or(SettingValue::None, |text| SettingValue::Text(text.clone()))
}

/// One stays a plain string, as uvicorn has it.
fn texts(values: &[String]) -> SettingValue {
    match values {
        [] => SettingValue::None,
        [only] => SettingValue::Text(only.clone()),
        several => SettingValue::List(several.to_vec()),
    }
}

fn path(value: Option<&Path>) -> SettingValue {
    value.map_or(SettingValue::None, |path| SettingValue::Text(path.to_string_lossy().into_owned()))
}

/// The parsers accept nothing that an `i64` cannot hold.
fn int(value: Option<impl TryInto<i64>>) -> SettingValue {
    value.and_then(|number| number.try_into().ok()).map_or(SettingValue::None, SettingValue::Int)
}

fn choice(value: Option<impl ValueEnum>) -> SettingValue {
    let name = value.and_then(|value| value.to_possible_value());
    name.map_or(SettingValue::None, |name| SettingValue::Text(name.get_name().to_owned()))
}

fn seconds(value: Duration) -> SettingValue {
    SettingValue::Float(value.as_secs_f64())
}

fn whole_seconds(value: Duration) -> SettingValue {
    match i64::try_from(value.as_secs()) {
        Ok(whole) if value.subsec_nanos() == 0 => SettingValue::Int(whole),
        _ => seconds(value),
    }
}
