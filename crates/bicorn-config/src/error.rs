//! What a bad option is answered with.

use std::fmt;

/// An option that cannot be, in one line: lower case, the value and the way out in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// No option has that name.
    UnknownOption {
        /// The name as given.
        option: String,
        /// The option that was probably meant.
        similar: Option<String>,
    },
    /// The option cannot have that value.
    InvalidValue {
        /// Where the value was given: `port`, `--port` or `UVICORN_PORT`.
        option: String,
        /// The value as given.
        value: String,
        /// What a good value is.
        requirement: String,
    },
    /// Two options exclude each other.
    Conflict {
        /// Where one was given.
        option: String,
        /// Where the other was given.
        other: String,
    },
    /// clap's own words, for what has none above.
    Other(String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownOption { option, similar: None } => write!(formatter, "unknown option '{option}'"),
            Self::UnknownOption { option, similar: Some(similar) } => {
                write!(formatter, "unknown option '{option}': did you mean {similar}?")
            }
            Self::InvalidValue { option, value, requirement } => {
                write!(formatter, "invalid value '{value}' for {option}: {requirement}")
            }
            Self::Conflict { option, other } => {
                write!(formatter, "{option} and {other} exclude each other: leave one of them out")
            }
            Self::Other(text) => formatter.write_str(text),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Something to print instead of a server to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// What to print as it is; ends with a line feed.
    pub text: String,
    /// The exit code: 0 after `--help` and `--version`, 2 after a mistake (click's code, as in uvicorn).
    pub code: i32,
    /// Whether the text goes to standard error.
    pub to_stderr: bool,
}

impl Exit {
    pub(crate) fn answer(text: String) -> Self {
        Self { text, code: 0, to_stderr: false }
    }

    pub(crate) fn mistake(text: String) -> Self {
        Self { text, code: 2, to_stderr: true }
    }
}

impl From<ConfigError> for Exit {
    fn from(error: ConfigError) -> Self {
        Self::mistake(format!("error: {error}\n\nFor more information, try '--help'.\n"))
    }
}
