//! Every option of bicorn, declared once.
//!
//! [`Settings`] is the declaration: a field's name is the Python parameter, its doc comment the help text and
//! the documentation, its type the unit. The command line ([`from_command_line`]), an embedding program
//! ([`Settings::from_options`]) and the documentation ([`settings_markdown`]) all read it through clap; behind
//! this crate no value is unchecked text. It knows neither sockets nor Python, and prints nothing itself.

#![forbid(unsafe_code)]

mod bind;
mod command;
mod command_line;
mod error;
mod markdown;
mod options;
mod settings;
mod supervision;
mod values;

pub use command_line::from_command_line;
pub use error::{ConfigError, Exit};
pub use markdown::settings_markdown;
pub use options::{OptionValue, SettingValue};
pub use settings::Settings;
pub use supervision::Supervision;
pub use values::{
    AsgiSpec, ByteLimit, CertReqs, CountLimit, Deadline, EventLoop, HttpParser, Interface, Lifespan,
    LogLevel, TlsVersions, WebSockets,
};
