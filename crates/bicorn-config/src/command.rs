//! The clap commands made of the declaration in `settings.rs`.
//!
//! Two commands read the same declaration. The one that people type at shows a switch as `--access-log` and
//! `--no-access-log`; the one that `bind.rs` feeds takes every option as `--name=value`, so that environment
//! variables and embedding programs need no second grammar.

use std::any::TypeId;
use std::sync::LazyLock;

use clap::{Arg, ArgAction, Args, Command, ValueHint};

use crate::settings::Settings;
use crate::values::{TRUTH, existing_directory, existing_path, parse_switch};

const ABOUT: &str = "Serves a Python ASGI application over HTTP.";
const USAGE: &str = "bicorn [OPTIONS] APP";
const AFTER_HELP: &str = "\
Environment:
  Each option is also read from BICORN_<NAME>, and if that is not set from
  UVICORN_<NAME>. NAME is the option in capitals with _ for -, and HEADERS for
  --header: BICORN_PORT=9000, UVICORN_LOG_LEVEL=debug, BICORN_APP=main:app.
  Switches take 1, true, t, yes, y, on and 0, false, f, no, n, off. An empty
  variable counts as not set. The command line wins over BICORN_*, which wins
  over UVICORN_*, which wins over the default.

Examples:
  bicorn main:app
  bicorn main:app --host 0.0.0.0 --port 80 --no-access-log
  bicorn main:create_app --factory --app-dir src
  bicorn main:app --ssl-certfile cert.pem --ssl-keyfile key.pem --port 443
  bicorn main:app --workers 4 --admin-bind 127.0.0.1:9000
  bicorn main:app --reload --reload-dir src
  bicorn main:app --uds /run/app.sock --forwarded-allow-ips '*'
  BICORN_PORT=9000 bicorn main:app

Exit codes:
  0  served and stopped, or --help or --version
  2  an option or variable is unknown or has a bad value
  3  start-up failed: the application, its lifespan, TLS or the socket
";
/// Widest line of the help page, in columns, on a terminal that is wider.
const HELP_COLUMNS: usize = 100;

/// The declaration as clap sees it, before anybody feeds it.
static DECLARATION: LazyLock<Command> = LazyLock::new(|| Settings::augment_args(Command::new("bicorn")));

/// Who looks after files that options name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// They must be there: a mistyped path on the command line is an error (uvicorn 0.54 `main`).
    MustExist,
    /// They may be missing: so it is for `Config(env_file=…)`.
    MayBeMissing,
}

/// Every option in the order of the declaration. Its id is the name of the Python parameter.
pub(crate) fn options() -> impl Iterator<Item = &'static Arg> {
    DECLARATION.get_arguments()
}

/// Whether an option is true or false.
pub(crate) fn is_truth(option: &Arg) -> bool {
    option.get_value_parser().type_id() == TypeId::of::<bool>()
}

/// Whether an option is on or off, and takes no value on the command line.
pub(crate) fn is_switch(option: &Arg) -> bool {
    let takes_value = option.get_value_names().is_some_and(|names| names.iter().any(|name| *name == TRUTH));
    is_truth(option) && !takes_value
}

/// The id and the long form of the switch that turns `option` off. One that is off by default has none.
pub(crate) fn negation(option: &Arg) -> Option<(String, String)> {
    let is_off_by_default = option.get_default_values().iter().any(|value| *value == "false");
    let long = option.get_long().filter(|_| is_switch(option) && !is_off_by_default)?;
    Some((format!("no_{}", option.get_id()), format!("no-{long}")))
}

/// The command that people type at.
pub(crate) fn typed() -> Command {
    Command::new("bicorn")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .override_usage(USAGE)
        .after_help(AFTER_HELP)
        .max_term_width(HELP_COLUMNS)
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        // The last of several wins, as in click.
        .args_override_self(true)
        .args(options().flat_map(as_typed).enumerate().map(|(order, argument)| argument.display_order(order)))
        .next_help_heading("Other")
        .arg(
            Arg::new("version").long("version").action(ArgAction::Version).help("Show the version and leave"),
        )
        .arg(
            Arg::new("help")
                .long("help")
                .short('h')
                .action(ArgAction::Help)
                .help("Show this page and leave (-h: in short)"),
        )
}

/// The command that takes every option as `--name=value`.
pub(crate) fn bound(files: Files) -> Command {
    let options = options().map(|option| with_files(option, files)).map(|option| {
        if is_switch(&option) { option.action(ArgAction::Set).value_parser(parse_switch) } else { option }
    });
    Command::new("bicorn").no_binary_name(true).args_override_self(true).args(options)
}

/// An option as it is typed: a value may be a negative number, a switch has no value and maybe a negation.
fn as_typed(option: &Arg) -> Vec<Arg> {
    let option = with_files(option, Files::MustExist);
    if option.is_positional() {
        return vec![option];
    }
    if !is_switch(&option) {
        return vec![option.allow_negative_numbers(true)];
    }
    let heading = option.get_help_heading().unwrap_or_default().to_owned();
    let negation = negation(&option);
    let mut typed = option.action(ArgAction::SetTrue);
    if let Some(default) = typed.get_default_values().first() {
        let note = if default == "true" { "[default: on]" } else { "[default: off]" };
        typed = with_note(typed, note);
    }
    let Some((id, long)) = negation else { return vec![typed] };
    let help = format!("Opposite of --{}", typed.get_id().as_str().replace('_', "-"));
    let opposite = Arg::new(id)
        .overrides_with(typed.get_id())
        .long(long)
        .action(ArgAction::SetTrue)
        .help(help)
        .help_heading(heading);
    vec![typed, opposite]
}

/// Adds the default to the help of a switch, where clap shows none, as clap shows others.
fn with_note(option: Arg, note: &str) -> Arg {
    let help = option.get_help().map(ToString::to_string).unwrap_or_default();
    let long_help = option.get_long_help().map_or_else(|| help.clone(), ToString::to_string);
    option.help(format!("{help} {note}")).long_help(format!("{long_help}\n\n{note}"))
}

fn with_files(option: &Arg, files: Files) -> Arg {
    let option = option.clone();
    match files {
        Files::MustExist if option.get_value_hint() == ValueHint::FilePath => {
            option.value_parser(existing_path)
        }
        // uvicorn looks at directories to watch, and not at --app-dir.
        Files::MustExist
            if option.get_value_hint() == ValueHint::DirPath
                && matches!(option.get_action(), ArgAction::Append) =>
        {
            option.value_parser(existing_directory)
        }
        Files::MustExist | Files::MayBeMissing => option,
    }
}
