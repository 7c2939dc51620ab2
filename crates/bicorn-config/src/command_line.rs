//! Command line and environment → [`Settings`], or something to print.

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, ValueHint};

use crate::bind::{Given, bind};
use crate::command::{self, Files};
use crate::error::Exit;
use crate::settings::Settings;

/// In the order they are asked. uvicorn's variables keep working; bicorn's win. Options that uvicorn does not
/// have are read with both prefixes too, so that there is one rule.
const PREFIXES: [&str; 2] = ["BICORN_", "UVICORN_"];

/// Between the directories of one variable, as in PATH (click's `Path.envvar_list_splitter`).
const PATH_SEPARATOR: char = if cfg!(windows) { ';' } else { ':' };

/// Parses what comes behind the program's name, and the environment for what that leaves open.
///
/// `environment` looks a variable up. `runtime` is what `--version` says the server runs with, such as
/// "`CPython` 3.13.0 on Linux".
///
/// # Errors
/// There is something to print instead: `--help`, `--version`, or a mistake.
pub fn from_command_line(
    arguments: impl IntoIterator<Item = String>,
    environment: &impl Fn(&str) -> Option<String>,
    runtime: &str,
) -> Result<Settings, Exit> {
    let mut command = command::typed();
    let matches = command.try_get_matches_from_mut(arguments).map_err(|refusal| match refusal.kind() {
        ErrorKind::DisplayHelp => Exit::answer(refusal.to_string()),
        ErrorKind::DisplayVersion => {
            Exit::answer(format!("Running bicorn {} with {runtime}\n", env!("CARGO_PKG_VERSION")))
        }
        _ => Exit::mistake(refusal.to_string()),
    })?;
    let given: Vec<Given> = command::options()
        .filter_map(|option| typed(option, &matches).or_else(|| from_environment(option, environment)))
        .collect();
    if !given.iter().any(|given| given.option.is_positional()) {
        let refusal = command.error(
            ErrorKind::MissingRequiredArgument,
            "no application to serve: give APP, such as main:app, or set BICORN_APP",
        );
        return Err(Exit::mistake(refusal.to_string()));
    }
    Ok(bind(&given, Files::MustExist)?)
}

/// The values of an option that stands on the command line.
fn typed(option: &'static Arg, matches: &ArgMatches) -> Option<Given> {
    let is_typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let given = |values, long: &str| Given { option, values, origin: format!("--{long}") };
    if let Some((id, long)) = command::negation(option)
        && is_typed(&id)
    {
        return Some(given(vec!["false".to_owned()], &long));
    }
    let id = option.get_id().as_str();
    if !is_typed(id) {
        return None;
    }
    let values = matches.get_raw(id)?.map(|value| value.to_string_lossy().into_owned());
    let values = if command::is_switch(option) { vec!["true".to_owned()] } else { values.collect() };
    Some(given(values, option.get_long().unwrap_or(id)))
}

/// The values of an option that a variable gives. An empty one is as good as none, as in click.
fn from_environment(option: &'static Arg, environment: &impl Fn(&str) -> Option<String>) -> Option<Given> {
    let name = option.get_id().as_str().to_uppercase();
    PREFIXES.iter().find_map(|prefix| {
        let variable = format!("{prefix}{name}");
        let text = environment(&variable).filter(|text| !text.is_empty())?;
        let values = match option.get_action() {
            // click splits the variable of a repeatable option at white space; a path may have some.
            ArgAction::Append if option.get_value_hint() == ValueHint::DirPath => {
                text.split(PATH_SEPARATOR).filter(|path| !path.is_empty()).map(str::to_owned).collect()
            }
            ArgAction::Append if option.get_value_hint() != ValueHint::AnyPath => {
                text.split_whitespace().map(str::to_owned).collect()
            }
            _ => vec![text],
        };
        Some(Given { option, values, origin: variable })
    })
}
