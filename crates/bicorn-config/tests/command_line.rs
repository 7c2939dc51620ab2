//! What the command line and the environment become, and what they are refused with.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use bicorn_config::{
    AsgiSpec, EventLoop, Exit, Interface, Lifespan, LogLevel, Settings, WebSockets, from_command_line,
};

const RUNTIME: &str = "CPython 3.13.0 on Linux";

/// Parses a command line, split at spaces, and an environment.
fn parse(arguments: &str, variables: &[(&str, &str)]) -> Result<Settings, Exit> {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    let arguments = arguments.split_whitespace().map(str::to_owned);
    from_command_line(arguments, &|name| variables.get(name).map(|&value| value.to_owned()), RUNTIME)
}

fn settings(arguments: &str) -> Settings {
    parse(arguments, &[]).expect("the test gives good options")
}

/// The complaint about a command line that must be refused.
fn complaint(arguments: &str, variables: &[(&str, &str)]) -> String {
    let exit = parse(arguments, variables).expect_err("the test gives bad options");
    assert_eq!((exit.code, exit.to_stderr), (2, true));
    assert!(exit.text.ends_with('\n'));
    exit.text
}

#[test]
fn defaults_are_uvicorns() {
    let settings = settings("main:app");
    assert_eq!(settings.app.as_deref(), Some("main:app"));
    assert_eq!((settings.host.as_str(), settings.port), ("127.0.0.1", 8000));
    assert_eq!((settings.uds, settings.fd, settings.backlog), (None, None, 2048));
    assert_eq!(settings.event_loop, EventLoop::Auto);
    assert_eq!((settings.lifespan, settings.interface), (Lifespan::Auto, Interface::Auto));
    assert_eq!((settings.env_file, settings.log_config, settings.log_level), (None, None, None));
    assert_eq!((settings.access_log, settings.use_colors), (true, None));
    assert_eq!((settings.proxy_headers, settings.forwarded_allow_ips), (true, None));
    assert_eq!((settings.server_header, settings.date_header), (true, true));
    assert_eq!((settings.headers, settings.root_path.as_str()), (vec![], ""));
    assert_eq!((settings.limit_concurrency, settings.limit_max_requests), (None, None));
    assert_eq!(settings.limit_max_requests_jitter, 0);
    assert_eq!(settings.timeout_keep_alive, Some(Duration::from_secs(5)));
    assert_eq!(settings.timeout_graceful_shutdown, None);
    assert_eq!((settings.reset_contextvars, settings.factory), (false, false));
    assert_eq!(settings.app_dir, "");
    assert_eq!(
        (settings.ws, settings.ws_max_size, settings.ws_max_queue),
        (WebSockets::Auto, 1 << 24, Some(32))
    );
    assert_eq!((settings.ws_ping_interval, settings.ws_ping_timeout), (TWENTY_SECONDS, TWENTY_SECONDS));
    assert!(settings.ws_per_message_deflate);
}

const TWENTY_SECONDS: Option<Duration> = Some(Duration::from_secs(20));

#[test]
fn every_implementation_of_websockets_but_none_is_the_one_there_is() {
    for name in ["auto", "websockets", "websockets-sansio", "wsproto"] {
        assert_eq!(settings(&format!("a:b --ws {name}")).ws, WebSockets::Auto, "{name}");
    }
    assert_eq!(settings("a:b --ws none").ws, WebSockets::None);
    let text = complaint("a:b --ws my.module:Protocol", &[]);
    assert!(text.contains("takes no other implementation"), "{text}");
}

#[test]
fn deflate_takes_a_value() {
    assert!(!settings("a:b --ws-per-message-deflate false").ws_per_message_deflate);
    assert!(settings("a:b --ws-per-message-deflate=yes").ws_per_message_deflate);
    let variable = [("UVICORN_WS_PER_MESSAGE_DEFLATE", "0")];
    assert!(!parse("a:b", &variable).unwrap().ws_per_message_deflate);
    let text = complaint("a:b --ws-per-message-deflate maybe", &[]);
    assert!(text.contains("must be true or false"), "{text}");
    assert!(complaint("a:b --no-ws-per-message-deflate", &[]).contains("unexpected argument"));
}

#[test]
fn defaults_of_own_options_keep_to_uvicorn_but_for_limits() {
    let settings = settings("main:app");
    assert_eq!(settings.asgi_spec, AsgiSpec::V2_3);
    assert_eq!(settings.io_threads, 1);
    assert_eq!(settings.limit_request_head, Some(65_536));
    assert_eq!(settings.limit_request_fields, Some(100));
    assert_eq!(settings.limit_request_target, Some(16_384));
    assert_eq!(settings.timeout_request_head, Some(Duration::from_secs(10)));
    assert_eq!(settings.timeout_request_body, Some(Duration::from_secs(30)));
    assert_eq!(settings.timeout_write, Some(Duration::from_secs(30)));
}

#[test]
fn every_type_is_parsed() {
    let settings = settings(
        "--uds /run/a.sock main:app --loop asyncio --lifespan off --interface wsgi --log-level DEBUG \
         --timeout-write=0.25 --timeout-graceful-shutdown 7 --limit-request-head 1024 --limit-concurrency=9 \
         --header X-A:b --header=X-C:d:e --factory --reset-contextvars --root-path /api --io-threads 64",
    );
    assert_eq!(settings.app.as_deref(), Some("main:app"));
    assert_eq!(settings.uds.as_deref(), Some("/run/a.sock"));
    assert_eq!(settings.event_loop, EventLoop::Asyncio);
    assert_eq!((settings.lifespan, settings.interface), (Lifespan::Off, Interface::Wsgi));
    assert_eq!(settings.log_level, Some(LogLevel::Debug));
    assert_eq!(settings.timeout_write, Some(Duration::from_millis(250)));
    assert_eq!(settings.timeout_graceful_shutdown, Some(Duration::from_secs(7)));
    assert_eq!((settings.limit_request_head, settings.limit_concurrency), (Some(1024), Some(9)));
    let headers = [("X-A", "b"), ("X-C", "d:e")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(settings.headers, headers);
    assert!(settings.factory && settings.reset_contextvars);
    assert_eq!((settings.root_path.as_str(), settings.io_threads), ("/api", 64));
}

#[test]
fn zero_turns_limits_and_deadlines_off_but_not_graceful_shutdown() {
    let settings = settings(
        "a:b --limit-request-head 0 --limit-request-fields 0 --limit-request-target 0 --timeout-keep-alive 0 \
         --timeout-request-head 0 --timeout-request-body 0.0 --timeout-write 0 --timeout-graceful-shutdown 0 \
         --ws-max-queue 0 --ws-ping-interval 0 --ws-ping-timeout 0",
    );
    assert_eq!(
        (settings.ws_max_queue, settings.ws_ping_interval, settings.ws_ping_timeout),
        (None, None, None)
    );
    assert_eq!(settings.limit_request_head, None);
    assert_eq!(settings.limit_request_fields, None);
    assert_eq!(settings.limit_request_target, None);
    assert_eq!(settings.timeout_keep_alive, None);
    assert_eq!(settings.timeout_request_head, None);
    assert_eq!(settings.timeout_request_body, None);
    assert_eq!(settings.timeout_write, None);
    assert_eq!(settings.timeout_graceful_shutdown, Some(Duration::ZERO));
}

#[test]
fn the_last_of_several_wins() {
    assert_eq!(settings("a:b --port 1 --port=2").port, 2);
    assert!(!settings("a:b --access-log --no-access-log").access_log);
    assert!(settings("a:b --no-access-log --no-access-log --access-log").access_log);
}

#[test]
fn a_switch_without_a_default_has_three_states() {
    assert_eq!(settings("a:b").use_colors, None);
    assert_eq!(settings("a:b --use-colors").use_colors, Some(true));
    assert_eq!(settings("--no-use-colors a:b").use_colors, Some(false));
    assert_eq!(parse("a:b", &[("UVICORN_USE_COLORS", "no")]).unwrap().use_colors, Some(false));
}

#[test]
fn a_loop_with_a_colon_is_a_factory() {
    assert_eq!(settings("a:b --loop my:loop").event_loop, EventLoop::Factory("my:loop".to_owned()));
    assert_eq!(settings("a:b --loop none").event_loop, EventLoop::None);
    let text = complaint("a:b --loop trio", &[]);
    assert!(text.contains("auto, asyncio, uvloop, zuvloop, none or module:factory"), "{text}");
}

#[test]
fn the_command_line_wins_over_the_environment() {
    let both = [("BICORN_PORT", "1"), ("UVICORN_PORT", "2")];
    assert_eq!(parse("a:b --port 3", &both).unwrap().port, 3);
    assert_eq!(parse("a:b", &both).unwrap().port, 1);
    assert_eq!(parse("a:b", &both[1..]).unwrap().port, 2);
    assert_eq!(parse("a:b", &[("BICORN_PORT", ""), ("UVICORN_PORT", "2")]).unwrap().port, 2);
    assert_eq!(parse("a:b --port 3", &[("BICORN_PORT", "not a port")]).unwrap().port, 3);
    assert!(parse("a:b --access-log", &[("BICORN_ACCESS_LOG", "off")]).unwrap().access_log);
}

#[test]
fn the_environment_may_give_anything() {
    let variables = [
        ("UVICORN_APP", "main:app"),
        ("UVICORN_HEADERS", "X-A:b  X-C:d"),
        ("BICORN_TIMEOUT_WRITE", "1.5"),
        ("UVICORN_HOST", "-strange"),
        ("UVICORN_LOOP", "uvloop"),
    ];
    let settings = parse("", &variables).unwrap();
    assert_eq!(settings.app.as_deref(), Some("main:app"));
    assert_eq!(settings.headers.len(), 2);
    assert_eq!(settings.timeout_write, Some(Duration::from_millis(1500)));
    assert_eq!((settings.host.as_str(), settings.event_loop), ("-strange", EventLoop::Uvloop));
    assert_eq!(parse("", &[("BICORN_APP", "--odd")]).unwrap().app.as_deref(), Some("--odd"));
    // Headers of the command line and of the environment are not mixed.
    assert_eq!(parse("a:b --header X:y", &variables).unwrap().headers.len(), 1);
}

#[test]
fn switches_in_the_environment_are_clicks_truth_values() {
    for text in ["1", "true", "T", "Yes", "y", "ON", " on "] {
        assert!(parse("a:b", &[("BICORN_FACTORY", text)]).unwrap().factory, "{text}");
    }
    for text in ["0", "false", "F", "No", "n", "OFF"] {
        assert!(!parse("a:b", &[("UVICORN_ACCESS_LOG", text)]).unwrap().access_log, "{text}");
    }
    let text = complaint("a:b", &[("BICORN_DATE_HEADER", "maybe")]);
    assert!(text.contains("'maybe' for BICORN_DATE_HEADER: must be true or false"), "{text}");
}

#[test]
fn a_bad_variable_is_named() {
    for (variable, value) in [
        ("UVICORN_PORT", "65536"),
        ("BICORN_LIFESPAN", "sometimes"),
        ("UVICORN_HEADERS", "nocolon"),
        ("UVICORN_ENV_FILE", "/no/such/file"),
        ("BICORN_IO_THREADS", "65"),
    ] {
        let text = complaint("a:b", &[(variable, value)]);
        assert!(text.contains(&format!("'{value}' for {variable}: ")), "{text}");
    }
}

#[test]
fn bad_values_are_refused_with_option_value_and_way_out() {
    for (arguments, requirement) in [
        ("--port -1", "'-1' for '--port <PORT>': must be a whole number from 0 to 65535"),
        ("--port=65536", "must be a whole number from 0 to 65535"),
        ("--fd -1", "must be a whole number from 0"),
        ("--io-threads 0", "must be a whole number from 1 to 64"),
        ("--limit-max-requests 0", "1 or more; leave the option out for no limit"),
        ("--limit-concurrency many", "1 or more; leave the option out for no limit"),
        ("--limit-request-head 1k", "0 or more; 0 is no limit"),
        ("--timeout-write -1", "0, or 0.001 to 4294967295; 0 is no deadline"),
        ("--timeout-write NaN", "must be a number of seconds"),
        ("--timeout-write 0.0001", "must be a number of seconds"),
        ("--timeout-keep-alive inf", "must be a number of seconds"),
        ("--ws-max-size 0", "must be a whole number, 1 or more"),
        ("--ws-ping-interval soon", "must be a number of seconds"),
        ("--lifespan maybe", "[possible values: auto, on, off]"),
        ("--interface ASGI3", "[possible values: auto, asgi3, asgi2, wsgi]"),
        ("--asgi-spec 2.4", "[possible values: 2.3, 2.5]"),
        ("--log-level loud", "[possible values: critical, error, warning, info, debug, trace]"),
        ("--log-config /no/such/file", "'/no/such/file' for '--log-config <FILE>': no such file"),
        ("--env-file=", "must not be empty"),
        ("--header nocolon", "must be name:value"),
        ("--header :value", "must be name:value"),
        ("--header X-Ü:value", "letters, digits"),
        ("--header X:☃", "latin-1"),
        ("--port", "a value is required for '--port <PORT>'"),
        ("--access-log=yes", "unexpected value 'yes' for '--access-log'"),
    ] {
        let text = complaint(&format!("a:b {arguments}"), &[]);
        assert!(text.contains(requirement), "{arguments}: {text}");
    }
}

#[test]
fn a_header_cannot_break_out_of_its_line() {
    let arguments = ["a:b", "--header", "X-A:b\r\nX-Evil:c"].map(str::to_owned);
    let exit = from_command_line(arguments, &|_| None, RUNTIME).unwrap_err();
    assert!(exit.text.contains("no line break"), "{}", exit.text);
}

#[test]
fn spaces_in_a_header_are_kept() {
    let arguments = ["a:b", "--header", "X-A: b:c "].map(str::to_owned);
    let settings = from_command_line(arguments, &|_| None, RUNTIME).unwrap();
    assert_eq!(settings.headers, [("X-A".to_owned(), " b:c ".to_owned())]);
}

#[test]
fn existing_files_are_accepted() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let settings = parse(&format!("a:b --env-file {manifest}"), &[("UVICORN_LOG_CONFIG", manifest)]).unwrap();
    assert_eq!(settings.env_file, Some(PathBuf::from(manifest)));
    assert_eq!(settings.log_config, Some(PathBuf::from(manifest)));
}

#[test]
fn fd_and_uds_exclude_each_other() {
    let text = complaint("a:b --fd 3 --uds x", &[]);
    assert!(text.contains("cannot be used with"), "{text}");
    let text = complaint("a:b --uds x", &[("UVICORN_FD", "3")]);
    assert!(text.contains("--uds and UVICORN_FD exclude each other"), "{text}");
}

#[test]
fn unknown_options_are_refused_with_a_suggestion() {
    assert!(complaint("a:b --prot 1", &[]).contains("a similar argument exists: '--port'"));
    for arguments in
        ["a:b --worker 2", "a:b --no-reload", "a:b --acc", "a:b --no-factory", "a:b -V", "a:b c:d"]
    {
        assert!(complaint(arguments, &[]).contains("unexpected argument"), "{arguments}");
    }
}

#[test]
fn directories_to_watch_are_split_like_a_path_variable_and_patterns_at_white_space() {
    let here = env!("CARGO_MANIFEST_DIR");
    let (dirs, globs) = (format!("{here}/src:{here}/tests"), "*.html *.css");
    let found = parse("a:b", &[("UVICORN_RELOAD_DIRS", &dirs), ("UVICORN_RELOAD_INCLUDES", globs)]).unwrap();
    assert_eq!(found.supervision.reload_dirs, [format!("{here}/src"), format!("{here}/tests")]);
    assert_eq!(found.supervision.reload_includes, ["*.html", "*.css"]);
    let text = complaint("a:b --reload-dir /nowhere/at/all", &[]);
    assert!(text.contains("no such directory"), "{text}");
}

#[test]
fn names_of_http_implementations_are_all_the_same_and_others_are_refused() {
    for name in ["auto", "h11", "httptools", "zttp"] {
        assert_eq!(settings(&format!("a:b --http {name}")).http.to_string(), name);
    }
    let text = complaint("a:b --http my.module:Protocol", &[]);
    assert!(text.contains("bicorn speaks HTTP itself"), "{text}");
}

#[test]
fn the_management_listener_has_a_port_or_a_path() {
    for address in ["127.0.0.1:9000", ":0", "[::1]:9000", "/run/bicorn/admin.sock", "./admin.sock"] {
        let found = settings(&format!("a:b --admin-bind {address}")).supervision.admin_bind;
        assert_eq!(found.as_deref(), Some(address));
    }
    for address in ["9000", "localhost", "::1:9000", "127.0.0.1:http", "127.0.0.1:65536"] {
        let text = complaint(&format!("a:b --admin-bind {address}"), &[]);
        assert!(text.contains("must be HOST:PORT"), "{text}");
    }
}

#[test]
fn an_app_is_needed() {
    let text = complaint("--port 1", &[]);
    assert!(text.contains("give APP, such as main:app, or set BICORN_APP"), "{text}");
}

#[test]
fn version_names_the_runtime() {
    let exit = parse("--version", &[]).unwrap_err();
    let text = format!("Running bicorn {} with {RUNTIME}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(exit, Exit { text, code: 0, to_stderr: false });
}

#[test]
fn a_default_header_that_delimits_content_is_refused() {
    for header in ["Content-Length: 3", "transfer-encoding:chunked"] {
        let arguments = ["main:app", "--header", header].map(String::from);
        let exit = bicorn_config::from_command_line(arguments, &|_| None, "").unwrap_err();
        assert_eq!(exit.code, 2);
        assert!(exit.text.contains("differ from response to response"), "{}", exit.text);
    }
}
