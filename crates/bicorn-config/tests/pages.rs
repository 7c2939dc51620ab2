//! The help page and the documentation page.

use bicorn_config::{Settings, from_command_line, settings_markdown};

fn help(flag: &str) -> String {
    let exit = from_command_line([flag.to_owned()], &|_| None, "").expect_err("help is no server to run");
    assert_eq!((exit.code, exit.to_stderr), (0, false));
    exit.text
}

/// The option as it stands on the command line.
fn long(name: &str) -> String {
    // Options that may be repeated are named in the singular on the command line.
    match name {
        "headers" | "reload_dirs" | "reload_includes" | "reload_excludes" => {
            format!("--{}", name.trim_end_matches('s').replace('_', "-"))
        }
        _ => format!("--{}", name.replace('_', "-")),
    }
}

#[test]
fn the_help_page_shows_every_option_under_its_heading() {
    let page = help("--help");
    for heading in [
        "Application:",
        "Listening:",
        "Processes:",
        "Development:",
        "Management:",
        "Concurrency and limits:",
        "Timeouts:",
        "HTTP:",
        "Proxies:",
        "Logging:",
        "Other:",
        "Environment:",
        "Examples:",
        "Exit codes:",
    ] {
        assert!(page.lines().any(|line| line == heading), "{heading}");
    }
    for name in Settings::option_names().filter(|name| *name != "app") {
        let start = format!("      {}", long(name));
        assert!(page.lines().any(|line| line.split(" <").next() == Some(start.as_str())), "{name}");
    }
    for switch in ["access-log", "use-colors", "proxy-headers", "server-header", "date-header"] {
        let pair =
            page.find(&format!("      --{switch}\n")).zip(page.find(&format!("      --no-{switch}\n")));
        assert!(pair.is_some_and(|(on, off)| on < off && off - on < 400), "{switch}");
    }
    assert!(
        page.contains("[default: 8000]") && page.contains("[default: on]") && page.contains("[default: off]")
    );
    assert!(page.contains("[default: 65536]") && page.contains("<SECONDS>") && page.contains("<BYTES>"));
    assert!(page.contains("  - trace:    Every ASGI event as well"));
}

#[test]
fn the_short_help_has_a_line_or_two_for_each_option() {
    let page = help("-h");
    assert!(page.contains("--no-access-log") && page.contains("[default: 127.0.0.1]"));
    assert!(page.lines().count() < help("--help").lines().count() / 2);
}

#[test]
fn the_documentation_has_a_row_for_every_option() {
    let page = settings_markdown();
    for name in Settings::option_names() {
        let cells = format!("| `{name}` | `BICORN_{}` | ", name.to_uppercase());
        assert_eq!(page.matches(&cells).count(), 1, "{name}");
    }
    assert!(page.contains("| `--port PORT` | `port` | `BICORN_PORT` | `8000` | TCP port"));
    assert!(page.contains("| `--access-log`, `--no-access-log` | `access_log` | `BICORN_ACCESS_LOG` | on |"));
    assert!(page.contains("| `--factory` | `factory` | `BICORN_FACTORY` | off |"));
    assert!(page.contains("| `APP` | `app` | `BICORN_APP` | – |"));
    assert!(page.contains("`auto`: Run it; an application that raises is served without it; `on`: "));
    assert_eq!(page, settings_markdown());
}
