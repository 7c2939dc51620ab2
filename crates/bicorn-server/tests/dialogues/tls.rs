//! Handshakes, certificates from files, and what a TLS peer can do that others cannot.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bicorn_server::tls::{ClientCertificates, KeyPair, Reloaded, Tls, TlsError, TlsSettings, Versions};
use bicorn_server::{Notice, Settings};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::client::{BAD_REQUEST, Client};
use crate::running::Running;
use crate::waiting::PATIENCE;

const KEYS: [&str; 6] =
    ["first", "first.sec1", "first.traditional", "first.des3", "first.pbes2", "first.scrypt"];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name)
}

fn pair(certificate: &str, key: &str) -> KeyPair {
    KeyPair { certfile: data(&format!("{certificate}.crt")), keyfile: Some(data(&format!("{key}.key"))) }
}

fn settings(pairs: Vec<KeyPair>) -> TlsSettings {
    TlsSettings {
        pairs,
        password: Some("secret".to_owned()),
        client_certificates: ClientCertificates::None,
        ca_certs: None,
        ciphers: None,
        versions: Versions::Both,
        http2: false,
        handshake: None,
    }
}

fn with_tls(tls: TlsSettings) -> impl FnOnce(&mut Settings) {
    move |settings| settings.tls = Some(Arc::new(Tls::load(tls).expect("the files are good")))
}

fn load(pair: KeyPair, password: Option<&str>) -> Result<Tls, TlsError> {
    Tls::load(TlsSettings { password: password.map(str::to_owned), ..settings(vec![pair]) })
}

fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).expect("the file has a certificate")
}

type Secured = Client<StreamOwned<ClientConnection, TcpStream>>;

/// A client that trusts the tests' certificates, with the handshake still to do.
fn connect(running: &Running, name: &str) -> Secured {
    let mut roots = RootCertStore::empty();
    for file in ["first.crt", "second.crt"] {
        roots.add(certificate(&data(file))).expect("the certificate is good");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has both versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = name.to_owned().try_into().expect("the name is one");
    let connection = ClientConnection::new(Arc::new(config), name).expect("the client is good");
    Client { stream: StreamOwned::new(connection, running.connect().stream) }
}

/// Ask, answer, hear the answer; and which certificate the server showed.
fn serve_one(running: &Running, name: &str) -> CertificateDer<'static> {
    let mut client = connect(running, name);
    client.get("/");
    running.next_call().reply("hello");
    client.expect_reply("hello");
    let shown = client.stream.conn.peer_certificates().expect("the handshake is over");
    shown[0].clone().into_owned()
}

#[test]
fn every_form_of_key_is_read() {
    for key in KEYS {
        let running = Running::with(with_tls(settings(vec![pair("first", key)])));
        assert_eq!(serve_one(&running, "localhost"), certificate(&data("first.crt")), "{key}");
    }
}

#[test]
fn a_wrong_password_is_told_from_a_missing_one() {
    for key in KEYS.into_iter().skip(2) {
        let file = data(&format!("{key}.key"));
        let expected = |reason: &str| format!("cannot use --ssl-keyfile {}: {reason}", file.display());
        let error = load(pair("first", key), None).expect_err("the key is encrypted").to_string();
        assert_eq!(error, expected("the private key is encrypted: give --ssl-keyfile-password"));
        let error = load(pair("first", key), Some("no")).expect_err("the password is wrong").to_string();
        assert_eq!(error, expected("the private key cannot be decrypted: wrong --ssl-keyfile-password"));
    }
}

#[test]
fn a_key_under_a_broken_cipher_is_refused() {
    let error = load(pair("first", "first.pbes1"), Some("secret")).expect_err("PBES1 is broken").to_string();
    assert!(error.contains("PBES1") && error.contains("-v2 aes-256-cbc"), "{error}");
}

#[test]
fn another_certificates_key_is_refused() {
    let error = load(pair("first", "second"), None).expect_err("the key is another's").to_string();
    assert!(error.contains("second.key: the private key is not that of the certificate in"), "{error}");
}

#[test]
fn the_name_chooses_the_certificate() {
    let running = Running::with(with_tls(settings(vec![pair("first", "first"), pair("second", "second")])));
    for (name, file) in [
        ("first.test", "first.crt"),
        ("second.test", "second.crt"),
        ("a.wild.test", "second.crt"),
        ("localhost", "first.crt"),
    ] {
        assert_eq!(serve_one(&running, name), certificate(&data(file)), "{name}");
    }
}

#[test]
fn the_application_hears_what_the_handshake_found() {
    let running = Running::with(with_tls(settings(vec![pair("first", "first")])));
    let mut client = connect(&running, "localhost");
    client.get("/");
    let call = running.next_call();
    let info = call.info.tls.as_ref().expect("the request came over TLS");
    assert_eq!((call.info.scheme, info.version), ("https", Some(0x0304)));
    assert!([0x1301, 0x1302, 0x1303].contains(&info.cipher_suite.expect("there is one")));
    let pem = fs::read_to_string(data("first.crt")).expect("the file is there");
    assert_eq!(&*info.server_cert, pem);
    assert_eq!((info.client_cert_chain.len(), &info.client_cert_name), (0, &None));
}

#[test]
fn a_changed_file_is_read_again_and_a_broken_one_is_told_once() {
    let directory = std::env::temp_dir().join(format!("bicorn-tls-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("there is room");
    let (certfile, keyfile) = (directory.join("used.crt"), directory.join("used.key"));
    let put = |from: &str, to: &Path| {
        let new = directory.join("new");
        fs::copy(data(from), &new).expect("there is room");
        fs::rename(new, to).expect("the directory is ours");
    };
    put("first.crt", &certfile);
    put("first.key", &keyfile);
    let used = KeyPair { certfile: certfile.clone(), keyfile: Some(keyfile.clone()) };
    let running = Running::with(with_tls(settings(vec![used])));
    let next_notice = || loop {
        // Only a handshake looks at the files.
        serve_one(&running, "localhost");
        if let Some(notice) = running.notice_within(Duration::from_millis(50)) {
            return notice;
        }
    };

    put("second.crt", &certfile);
    let Notice::Certificates(Reloaded::Refused(reason)) = next_notice() else {
        panic!("the key is another's")
    };
    assert!(reason.contains("used.key: the private key is not that of the certificate in"), "{reason}");
    assert_eq!(serve_one(&running, "localhost"), certificate(&data("first.crt")));

    put("second.key", &keyfile);
    assert_eq!(next_notice(), Notice::Certificates(Reloaded::Done));
    assert_eq!(serve_one(&running, "localhost"), certificate(&data("second.crt")));
    fs::remove_dir_all(directory).expect("the directory is ours");
}

#[test]
fn keys_belong_to_certificates_by_position() {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let pairs =
        Tls::pairs(&names(&["a", "b", "c"]), &names(&["x", ""])).expect("there are enough certificates");
    let keys: Vec<_> = pairs.iter().map(|pair| pair.keyfile.as_deref()).collect();
    assert_eq!(keys, [Some(Path::new("x")), None, None]);
    let error = Tls::pairs(&[], &names(&["x"])).expect_err("there is no certificate").to_string();
    assert_eq!(error, "cannot use --ssl-keyfile x: --ssl-certfile is missing");
}

#[test]
fn key_updates_without_end_are_not_followed() {
    let running = Running::with(with_tls(settings(vec![pair("first", "first")])));
    let mut client = connect(&running, "localhost");
    client.get("/");
    running.next_call().reply("hello");
    client.expect_reply("hello");
    let StreamOwned { conn, sock } = &mut client.stream;
    for _ in 0..1000 {
        // Each asks the server for one in return.
        conn.refresh_traffic_keys().expect("the version has it");
        if conn.write_tls(sock).is_err() {
            break;
        }
    }
    running.wait_until_empty();
}

#[test]
fn a_malformed_request_is_answered_under_tls_as_in_the_clear() {
    let running = Running::with(with_tls(settings(vec![pair("first", "first")])));
    let mut client = connect(&running, "localhost");
    client.send("GET / HTTP/1.1\nHost: h\r\n\r\n");
    client.expect(BAD_REQUEST);
    // `read` tells the announced end from a cut.
    assert_eq!(client.stream.read(&mut [0]).expect("the end is announced"), 0);
}

#[test]
fn http_in_the_clear_is_told_so() {
    let running = Running::with(with_tls(settings(vec![pair("first", "first")])));
    let mut client = running.connect();
    client.get("/");
    client.expect(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 37\r\n\
         connection: close\r\n\r\nplain HTTP request sent to a TLS port",
    );
    client.expect_end();
    assert_eq!(running.notice_within(Duration::from_millis(50)), None);
}

#[test]
fn a_handshake_that_stops_meets_its_deadline() {
    let tls =
        TlsSettings { handshake: Some(Duration::from_millis(200)), ..settings(vec![pair("first", "first")]) };
    let running = Running::with(with_tls(tls));
    let mut client = running.connect();
    client.stream.set_read_timeout(Some(PATIENCE)).expect("sockets have timeouts");
    client.stream.write_all(b"\x16\x03\x01\x02\x00\x01").expect("the server reads");
    client.expect_end();
    running.wait_until_empty();
}

#[test]
fn a_handshake_that_stops_does_not_hold_up_a_restart() {
    let running = Running::with(with_tls(settings(vec![pair("first", "first")])));
    let mut stalled = running.connect();
    stalled.stream.write_all(b"\x16\x03\x01\x02\x00\x01").expect("the server reads");
    // Once this is served, what came before it is read, too.
    serve_one(&running, "localhost");
    running.server.stop_listening();
    running.server.drain();
    stalled.expect_end();
    running.wait_until_empty();
}
