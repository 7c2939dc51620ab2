//! Options by name, from and to Python.

use std::time::Duration;

use bicorn_config::OptionValue::{Flag, List, None as Unset, Text};
use bicorn_config::{ConfigError, LogLevel, OptionValue, SettingValue, Settings, from_command_line};

fn from_options(options: &[(&str, OptionValue)]) -> Result<Settings, ConfigError> {
    Settings::from_options(options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())))
}

fn text(text: &str) -> OptionValue {
    Text(text.to_owned())
}

fn complaint(name: &str, value: OptionValue) -> String {
    from_options(&[(name, value)]).expect_err("the test gives a bad option").to_string()
}

/// A setting as the program would give it back.
fn as_option(value: SettingValue) -> OptionValue {
    match value {
        SettingValue::None => Unset,
        SettingValue::Bool(flag) => Flag(flag),
        SettingValue::Int(number) => Text(number.to_string()),
        SettingValue::Float(number) => Text(number.to_string()),
        SettingValue::Text(text) => Text(text),
        SettingValue::List(items) => List(items),
        SettingValue::Pairs(pairs) => {
            List(pairs.into_iter().map(|(name, value)| format!("{name}:{value}")).collect())
        }
    }
}

fn round_trip(settings: &Settings) -> Settings {
    let options = settings.to_options().into_iter();
    Settings::from_options(options.map(|(name, value)| (name.to_owned(), as_option(value))))
        .expect("settings are good options")
}

#[test]
fn no_options_are_the_defaults() {
    let settings = from_options(&[]).unwrap();
    let typed = from_command_line(["a:b".to_owned()], &|_| None, "").unwrap();
    assert_eq!(Settings { app: Some("a:b".to_owned()), ..settings }, typed);
}

#[test]
fn every_setting_has_its_option_and_survives_the_way_there_and_back() {
    let defaults = from_options(&[]).unwrap();
    let names: Vec<&str> = defaults.to_options().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, Settings::option_names().collect::<Vec<_>>());
    assert_eq!(round_trip(&defaults), defaults);
}

#[test]
fn changed_settings_survive_the_way_there_and_back() {
    let arguments = "main:app --factory --interface wsgi --asgi-spec 2.5 --lifespan off --host :: --port 0 --uds /x \
        --backlog 0 --loop m:f --io-threads 2 --limit-concurrency 3 --limit-max-requests 4 --limit-max-requests-jitter 5 \
        --limit-request-head 0 --limit-request-fields 0 --limit-request-target 1 --timeout-keep-alive 0 \
        --timeout-graceful-shutdown 0 --timeout-request-head 0.5 --timeout-request-body 0 --timeout-write 1.001 \
        --timeout-tls-handshake 0 --ssl-certfile a --ssl-certfile b --ssl-keyfile c --ssl-keyfile-password d \
        --ssl-version 5 --ssl-cert-reqs 2 --ssl-ca-certs e --ssl-ciphers HIGH:!CHACHA20 \
        --root-path /r --header A:b --header C:d --no-server-header --no-date-header --no-proxy-headers \
        --forwarded-allow-ips * --ws none --ws-max-size 1 --ws-max-queue 0 --ws-ping-interval 0 \
        --ws-ping-timeout 2.5 --ws-per-message-deflate no --log-level trace --no-access-log --use-colors --reset-contextvars --app-dir d \
        --workers 3 --preload --timeout-worker-healthcheck 7 --reload --reload-include *.html --reload-exclude x \
        --reload-delay 0.5 --admin-bind :0 --drain-delay 2.5 --http zttp --h11-max-incomplete-event-size 9";
    let settings = from_command_line(arguments.split_whitespace().map(str::to_owned), &|_| None, "").unwrap();
    assert_eq!(round_trip(&settings), settings);
    assert!(settings.to_options().contains(&("timeout_keep_alive", SettingValue::Int(0))));
    assert!(settings.to_options().contains(&("timeout_graceful_shutdown", SettingValue::Int(0))));
    assert!(settings.to_options().contains(&("timeout_request_body", SettingValue::Float(0.0))));
    assert!(settings.to_options().contains(&("limit_request_head", SettingValue::Int(0))));
}

#[test]
fn options_of_each_kind_are_taken() {
    let settings = from_options(&[
        ("app", text("--odd:app")),
        ("port", text("0")),
        ("fd", Unset),
        ("access_log", Flag(false)),
        ("factory", Flag(true)),
        ("date_header", text("False")),
        ("ws_per_message_deflate", Flag(false)),
        ("use_colors", Flag(false)),
        ("log_level", text("Warning")),
        ("headers", List(vec!["A: b".to_owned(), "C:".to_owned()])),
        ("forwarded_allow_ips", List(vec!["10.0.0.0/8".to_owned(), "::1".to_owned()])),
        ("root_path", text("-x=y")),
        ("timeout_graceful_shutdown", text("0.5")),
    ])
    .unwrap();
    assert_eq!((settings.app.as_deref(), settings.port, settings.fd), (Some("--odd:app"), 0, None));
    assert_eq!((settings.access_log, settings.factory, settings.date_header), (false, true, false));
    assert!(!settings.ws_per_message_deflate);
    assert_eq!((settings.use_colors, settings.log_level), (Some(false), Some(LogLevel::Warning)));
    let headers = [("A", " b"), ("C", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(settings.headers, headers);
    assert_eq!(settings.forwarded_allow_ips.as_deref(), Some("10.0.0.0/8,::1"));
    assert_eq!(settings.root_path, "-x=y");
    // uvicorn's Config takes a fraction, and programs in the wild give one.
    assert_eq!(settings.timeout_graceful_shutdown, Some(Duration::from_millis(500)));
    let (_, value) =
        settings.to_options().into_iter().find(|(n, _)| *n == "timeout_graceful_shutdown").unwrap();
    assert_eq!(value, SettingValue::Float(0.5));
}

#[test]
fn a_missing_env_file_is_no_mistake_of_a_program() {
    assert!(from_options(&[("env_file", text("/no/such/file"))]).is_ok());
}

#[test]
fn complaints_name_the_option_the_value_and_the_way_out() {
    assert_eq!(
        complaint("port", text("x")),
        "invalid value 'x' for port: must be a whole number from 0 to 65535"
    );
    assert_eq!(complaint("lifespan", text("x")), "invalid value 'x' for lifespan: must be auto, on or off");
    assert_eq!(
        complaint("loop", text("x")),
        "invalid value 'x' for loop: must be auto, asyncio, uvloop, zuvloop, none or module:factory"
    );
    assert_eq!(
        complaint("headers", List(vec!["A:b".to_owned(), "C".to_owned()])),
        "invalid value 'C' for headers: must be name:value"
    );
    assert_eq!(complaint("env_file", text("")), "invalid value '' for env_file: must not be empty");
    assert_eq!(complaint("uds", Flag(true)), "invalid value 'true' for uds: it is not a switch");
    assert_eq!(
        complaint("access_log", text("x")),
        "invalid value 'x' for access_log: must be true or false (or 1, t, yes, y, on; 0, f, no, n, off)"
    );
    assert_eq!(
        from_options(&[("uds", text("x")), ("fd", text("3"))]).unwrap_err().to_string(),
        "uds and fd exclude each other: leave one of them out"
    );
}

#[test]
fn unknown_names_are_refused() {
    assert_eq!(complaint("prot", text("1")), "unknown option 'prot': did you mean port?");
    assert_eq!(complaint("header", text("a:b")), "unknown option 'header': did you mean headers?");
    assert_eq!(
        complaint("no_access_log", Flag(true)),
        "unknown option 'no_access_log': did you mean access_log?"
    );
    assert_eq!(complaint("quite_another_option", Unset), "unknown option 'quite_another_option'");
    assert_eq!(complaint("help", Unset), "unknown option 'help'");
}
