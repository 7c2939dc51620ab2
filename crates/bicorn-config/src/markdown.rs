//! The declaration as a page of documentation (`docs/settings.md`).

use std::fmt::Write as _;

use clap::Arg;
use clap::builder::StyledStr;

use crate::command;

const INTRODUCTION: &str = "\
# Settings

Each setting is an option of the command line, a parameter of `bicorn.run` and, but for `app_dir` and `show_lanes`, of
`bicorn.Config`, and two environment variables: the one below, and the same with `UVICORN_` in front, which is read when the first is
not set. The command line wins over the environment, and an empty variable counts as not set.
";

const TABLE_HEAD: &str = "\
| Option | Parameter | Environment | Default | Meaning |
|---|---|---|---|---|
";

/// Writes a table of all settings for each group. The same declaration always gives the same text.
pub fn settings_markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut heading = None;
    for option in command::options() {
        if heading != option.get_help_heading() {
            heading = option.get_help_heading();
            let title = heading.unwrap_or("Other");
            page.extend(["\n## ", title, "\n\n", TABLE_HEAD]);
        }
        page += &row(option);
    }
    page
}

fn row(option: &Arg) -> String {
    let id = option.get_id().as_str();
    let variable = format!("BICORN_{}", id.to_uppercase());
    format!(
        "| {} | `{id}` | `{variable}` | {} | {} |\n",
        spelling(option),
        default(option),
        meaning(option).replace('|', "\\|")
    )
}

/// How the option stands on the command line, both ways for a switch.
fn spelling(option: &Arg) -> String {
    let value = option.get_value_names().and_then(<[_]>::first).map(ToString::to_string).unwrap_or_default();
    match option.get_long() {
        None => format!("`{value}`"),
        Some(long) if !command::is_switch(option) => format!("`--{long} {value}`"),
        Some(long) => match command::negation(option) {
            Some((_, negation)) => format!("`--{long}`, `--{negation}`"),
            None => format!("`--{long}`"),
        },
    }
}

fn default(option: &Arg) -> String {
    let values = option.get_default_values();
    let value = values.first().map(|value| value.to_string_lossy().into_owned());
    match value.as_deref() {
        None => "–".to_owned(),
        Some("true") => "on".to_owned(),
        Some("false") => "off".to_owned(),
        Some("") => "`\"\"`".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}

/// The help text in one line, and what each choice means.
fn meaning(option: &Arg) -> String {
    let summary = one_line(option.get_help());
    let whole = one_line(option.get_long_help());
    // The long text begins with the summary as a sentence without its full stop.
    let mut meaning = match whole.strip_prefix(&summary) {
        Some(rest) if !rest.is_empty() => format!("{summary}.{rest}"),
        _ => format!("{summary}."),
    };
    let choices = option.get_possible_values();
    if command::is_switch(option) || choices.is_empty() {
        return meaning;
    }
    let mut separator = "";
    for choice in choices {
        let help = one_line(choice.get_help());
        let _ = write!(meaning, "{separator} `{}`: {help}", choice.get_name());
        separator = ";";
    }
    meaning + "."
}

fn one_line(text: Option<&StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
