//! Option values of any origin → [`Settings`].
//!
//! The command line, the environment and an embedding program all end here, each value with the words to
//! blame it by. clap checks them; its complaint is turned into a [`ConfigError`] that uses those words.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, FromArgMatches};

use crate::command::{self, Files};
use crate::error::ConfigError;
use crate::settings::Settings;

/// An option that somebody gave, and what they gave.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) option: &'static Arg,
    /// One, but for options that may be repeated.
    pub(crate) values: Vec<String>,
    /// Where the values come from, as the one who gave them calls it: `--port`, `UVICORN_PORT`, `port`.
    pub(crate) origin: String,
}

impl Given {
    fn arguments(&self) -> Vec<String> {
        let values = self.values.iter();
        match self.option.get_long() {
            Some(long) => values.map(|value| format!("--{long}={value}")).collect(),
            // A positional value may look like an option.
            None => std::iter::once("--").map(str::to_owned).chain(values.cloned()).collect(),
        }
    }
}

/// Checks all of `given` and fills in the defaults.
///
/// # Errors
/// The first value that cannot be, or the first two that cannot be together.
pub(crate) fn bind(given: &[Given], files: Files) -> Result<Settings, ConfigError> {
    let mut command = command::bound(files);
    // What stands behind a `--` is positional, so the positional one comes last.
    let (positional, named): (Vec<_>, Vec<_>) = given.iter().partition(|given| given.option.is_positional());
    let arguments = named.into_iter().chain(positional).flat_map(Given::arguments);
    command
        .try_get_matches_from_mut(arguments)
        .and_then(|matches| Settings::from_arg_matches(&matches))
        .map_err(|refusal| explain(&refusal, given, &command))
}

/// Says what clap refuses in the words of the one who gave it.
fn explain(refusal: &clap::Error, given: &[Given], command: &Command) -> ConfigError {
    let blamed = |kind| {
        let shown = first_text(refusal, kind)?;
        let id = command.get_arguments().find(|argument| argument.to_string() == shown)?.get_id();
        given.iter().find(|given| given.option.get_id() == id).map(|given| given.origin.clone())
    };
    let other = || ConfigError::Other(first_line(refusal));
    let Some(option) = blamed(ContextKind::InvalidArg) else { return other() };
    match refusal.kind() {
        ErrorKind::ArgumentConflict => match blamed(ContextKind::PriorArg) {
            Some(prior) => ConfigError::Conflict { option, other: prior },
            None => other(),
        },
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            let requirement = match (refusal.source(), refusal.get(ContextKind::ValidValue)) {
                (Some(requirement), _) => requirement.to_string(),
                (None, Some(ContextValue::Strings(choices))) => format!("must be {}", one_of(choices)),
                (None, _) => return other(),
            };
            let value = first_text(refusal, ContextKind::InvalidValue).unwrap_or_default().to_owned();
            ConfigError::InvalidValue { option, value, requirement }
        }
        _ => other(),
    }
}

fn first_text(refusal: &clap::Error, kind: ContextKind) -> Option<&str> {
    match refusal.get(kind)? {
        ContextValue::String(text) => Some(text),
        ContextValue::Strings(texts) => texts.first().map(String::as_str),
        _ => None,
    }
}

/// `a, b or c`
fn one_of(choices: &[String]) -> String {
    match choices {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// clap's message without the tips and the usage below it.
fn first_line(refusal: &clap::Error) -> String {
    let text = refusal.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// The option that is spelled `--long`, or that clap thinks was meant.
pub(crate) fn similar(long: &str) -> Option<&'static str> {
    let spelled = |long: &str| command::options().find(|option| option.get_long() == Some(long));
    let option = spelled(long).or_else(|| {
        let refusal =
            command::bound(Files::MayBeMissing).try_get_matches_from([format!("--{long}=")]).err()?;
        spelled(first_text(&refusal, ContextKind::SuggestedArg)?.strip_prefix("--")?)
    })?;
    Some(option.get_id().as_str())
}
