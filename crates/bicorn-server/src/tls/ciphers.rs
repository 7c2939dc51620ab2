//! OpenSSL cipher strings → cipher suites.
//!
//! As in OpenSSL, a string chooses and orders the suites of TLS 1.2. TLS 1.3 has all of its own, unless the
//! string names some of them. What OpenSSL would take and nothing here stands for is an error: a server that
//! quietly offers other ciphers than it was told is worse than one that does not start.

use rustls::{CipherSuite, SupportedCipherSuite};

use super::error::TlsError;

/// Properties that a keyword of a cipher string may ask for, as bits.
const ECDHE: u8 = 1;
const RSA: u8 = 1 << 1;
const ECDSA: u8 = 1 << 2;
const AES128: u8 = 1 << 3;
const AES256: u8 = 1 << 4;
const CHACHA20: u8 = 1 << 5;
const TLS13: u8 = 1 << 6;
const TLS12: u8 = 1 << 7;

struct Suite {
    id: CipherSuite,
    openssl: &'static str,
    iana: &'static str,
    properties: u8,
}

/// Every suite that the TLS library has, under both of its names.
const SUITES: [Suite; 9] = [
    tls13(CipherSuite::TLS13_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384", AES256),
    tls13(CipherSuite::TLS13_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256", AES128),
    tls13(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256", CHACHA20),
    Suite {
        id: CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        openssl: "ECDHE-ECDSA-AES256-GCM-SHA384",
        iana: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        properties: TLS12 | ECDHE | ECDSA | AES256,
    },
    Suite {
        id: CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        openssl: "ECDHE-ECDSA-AES128-GCM-SHA256",
        iana: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        properties: TLS12 | ECDHE | ECDSA | AES128,
    },
    Suite {
        id: CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        openssl: "ECDHE-ECDSA-CHACHA20-POLY1305",
        iana: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        properties: TLS12 | ECDHE | ECDSA | CHACHA20,
    },
    Suite {
        id: CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        openssl: "ECDHE-RSA-AES256-GCM-SHA384",
        iana: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        properties: TLS12 | ECDHE | RSA | AES256,
    },
    Suite {
        id: CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        openssl: "ECDHE-RSA-AES128-GCM-SHA256",
        iana: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        properties: TLS12 | ECDHE | RSA | AES128,
    },
    Suite {
        id: CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        openssl: "ECDHE-RSA-CHACHA20-POLY1305",
        iana: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        properties: TLS12 | ECDHE | RSA | CHACHA20,
    },
];

const fn tls13(id: CipherSuite, name: &'static str, cipher: u8) -> Suite {
    Suite { id, openssl: name, iana: name, properties: TLS13 | cipher }
}

/// Keywords, each with the properties of which a suite must have one.
const KEYWORDS: [(&str, u8); 18] = [
    ("ALL", TLS12),
    ("DEFAULT", TLS12),
    ("HIGH", TLS12),
    ("TLSv1.2", TLS12),
    ("ECDHE", ECDHE),
    ("EECDH", ECDHE),
    ("kECDHE", ECDHE),
    ("kEECDH", ECDHE),
    ("aRSA", RSA),
    ("aECDSA", ECDSA),
    ("ECDSA", ECDSA),
    ("AES", AES128 | AES256),
    ("AESGCM", AES128 | AES256),
    ("AES128", AES128),
    ("AES256", AES256),
    ("CHACHA20", CHACHA20),
    ("SUITEB128", ECDSA),
    ("SUITEB192", ECDSA),
];

/// What may only be excluded, because nothing here has it.
const ABSENT: [&str; 36] = [
    "3DES",
    "ADH",
    "AECDH",
    "AESCCM",
    "AESCCM8",
    "ARIA",
    "CAMELLIA",
    "CBC",
    "COMPLEMENTOFALL",
    "COMPLEMENTOFDEFAULT",
    "DES",
    "DH",
    "DHE",
    "DSS",
    "EDH",
    "EXP",
    "EXPORT",
    "GOST",
    "IDEA",
    "LOW",
    "MD5",
    "MEDIUM",
    "NULL",
    "PSK",
    "RC2",
    "RC4",
    "SEED",
    "SHA",
    "SHA1",
    "SRP",
    "SSLv2",
    "SSLv3",
    "aDSS",
    "aNULL",
    "eNULL",
    "kRSA",
];

/// Choose from `available` what `text` asks for, the preferred suite first.
///
/// # Errors
/// An item of the string is not possible, or nothing is left.
pub(super) fn choose(
    text: &str,
    available: &[SupportedCipherSuite],
) -> Result<Vec<SupportedCipherSuite>, TlsError> {
    let mut tls12: Vec<&Suite> = Vec::new();
    let mut tls13: Vec<&Suite> = Vec::new();
    let mut killed: Vec<CipherSuite> = Vec::new();
    for item in text.split([':', ',', ' ', ';']).filter(|item| !item.is_empty()) {
        let (operator, name) = match item.as_bytes()[0] {
            operator @ (b'!' | b'-' | b'+') => (operator, &item[1..]),
            b'@' => {
                apply_command(item, &mut tls12)?;
                continue;
            }
            _ => (b' ', item),
        };
        let is_excluding = operator != b' ';
        let named = matching(name, is_excluding).ok_or_else(|| impossible(item))?;
        let is_named = |suite: &&Suite| named.iter().any(|named| named.id == suite.id);
        match operator {
            b'+' => {
                let (moved, mut kept): (Vec<_>, Vec<_>) =
                    tls12.into_iter().partition(|suite| is_named(suite));
                kept.extend(moved);
                tls12 = kept;
            }
            b'!' | b'-' => {
                tls12.retain(|suite| !is_named(suite));
                tls13.retain(|suite| !is_named(suite));
                if operator == b'!' {
                    killed.extend(named.iter().map(|suite| suite.id));
                }
            }
            _ => {
                for suite in named.iter().filter(|suite| !killed.contains(&suite.id)) {
                    let chosen = if suite.properties & TLS13 == 0 { &mut tls12 } else { &mut tls13 };
                    if !chosen.iter().any(|known| known.id == suite.id) {
                        chosen.push(suite);
                    }
                }
            }
        }
    }
    if tls13.is_empty() {
        tls13 = SUITES.iter().filter(|suite| suite.properties & TLS13 != 0).collect();
        tls13.retain(|suite| !killed.contains(&suite.id));
        if tls12.is_empty() {
            return Err(TlsError::NoCiphers(text.to_owned()));
        }
    }
    let order = tls13.into_iter().chain(tls12);
    Ok(order
        .filter_map(|wanted| available.iter().find(|known| known.suite() == wanted.id).copied())
        .collect())
}

/// `@STRENGTH` sorts; a `@SECLEVEL` up to 2 is what is always demanded here.
fn apply_command(item: &str, suites: &mut [&Suite]) -> Result<(), TlsError> {
    match item {
        "@STRENGTH" => suites.sort_by_key(|suite| suite.properties & AES128),
        "@SECLEVEL=0" | "@SECLEVEL=1" | "@SECLEVEL=2" => {}
        _ => return Err(impossible(item)),
    }
    Ok(())
}

/// The suites that a name, a keyword or keywords joined by `+` stand for; `None` when they stand for nothing.
fn matching(name: &str, is_excluding: bool) -> Option<Vec<&'static Suite>> {
    if let Some(suite) = SUITES.iter().find(|suite| suite.openssl == name || suite.iana == name) {
        return Some(vec![suite]);
    }
    let mut suites: Vec<&Suite> = SUITES.iter().filter(|suite| suite.properties & TLS13 == 0).collect();
    for keyword in name.split('+') {
        let properties =
            KEYWORDS.iter().find(|(known, _)| *known == keyword).map(|(_, properties)| *properties);
        let is_absent = ABSENT.contains(&keyword) || is_retired_suite(keyword);
        match properties {
            Some(properties) => suites.retain(|suite| suite.properties & properties != 0),
            None if is_excluding && is_absent => suites.clear(),
            None => return None,
        }
    }
    Some(suites)
}

/// Whether this reads like the OpenSSL name of a suite that nobody should use: `DHE-RSA-AES256-SHA`.
fn is_retired_suite(name: &str) -> bool {
    name.contains('-')
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-')
}

fn impossible(item: &str) -> TlsError {
    let names = SUITES.iter().map(|suite| suite.openssl);
    let keywords = KEYWORDS.iter().map(|(keyword, _)| *keyword);
    let possible: Vec<&str> = names.chain(keywords).filter(|name| !name.starts_with("SUITEB")).collect();
    TlsError::Cipher { item: item.to_owned(), possible: possible.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(text: &str) -> Vec<String> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let suites = choose(text, &provider.cipher_suites).unwrap();
        suites
            .iter()
            .filter_map(|suite| SUITES.iter().find(|known| known.id == suite.suite()))
            .map(|suite| suite.openssl.to_owned())
            .collect()
    }

    fn chosen_for_tls12(text: &str) -> Vec<String> {
        chosen(text).into_iter().filter(|name| !name.starts_with("TLS_")).collect()
    }

    fn error(text: &str) -> String {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        choose(text, &provider.cipher_suites).unwrap_err().to_string()
    }

    #[test]
    fn every_suite_of_the_library_has_a_name() {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        for suite in &provider.cipher_suites {
            assert!(SUITES.iter().any(|known| known.id == suite.suite()), "{suite:?}");
        }
        assert_eq!(provider.cipher_suites.len(), SUITES.len());
    }

    #[test]
    fn names_are_taken_in_both_spellings_and_in_order() {
        let text = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:ECDHE-RSA-AES256-GCM-SHA384";
        assert_eq!(chosen_for_tls12(text), ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"]);
    }

    #[test]
    fn usual_strings_are_possible() {
        assert_eq!(chosen_for_tls12("HIGH:!aNULL:!MD5:!RC4:!3DES").len(), 6);
        assert_eq!(chosen_for_tls12("DEFAULT:@SECLEVEL=1").len(), 6);
        assert_eq!(chosen_for_tls12("EECDH+AESGCM:!kRSA:!AES256-SHA").len(), 4);
        assert_eq!(chosen_for_tls12("ECDHE+CHACHA20:ECDHE+AES128+aRSA").len(), 3);
    }

    #[test]
    fn exclusions_and_moves_work_as_in_openssl() {
        assert!(!chosen_for_tls12("HIGH:!CHACHA20:CHACHA20").join(" ").contains("CHACHA20"));
        assert!(chosen_for_tls12("HIGH:-CHACHA20:CHACHA20").join(" ").ends_with("CHACHA20-POLY1305"));
        assert!(chosen_for_tls12("HIGH:+AES256").last().unwrap().contains("AES256"));
        assert!(chosen_for_tls12("ECDHE+AES128:ECDHE+AES256:@STRENGTH").last().unwrap().contains("AES128"));
    }

    #[test]
    fn tls13_has_all_of_its_suites_unless_some_are_named() {
        assert_eq!(chosen("ECDHE-RSA-AES128-GCM-SHA256").len(), 4);
        assert_eq!(chosen("TLS_AES_128_GCM_SHA256"), ["TLS_AES_128_GCM_SHA256"]);
    }

    #[test]
    fn what_is_not_possible_is_named_with_what_is() {
        for text in ["HIGH:DHE-RSA-AES256-SHA", "DHE-RSA-AES256-SHA", "HIGH:kRSA", "TLSv1", "@SECLEVEL=5"] {
            let item = text.split(':').next_back().unwrap();
            let error = error(text);
            assert!(error.contains(&format!("'{item}' is not possible")), "{error}");
            assert!(error.contains("ECDHE-RSA-AES128-GCM-SHA256"), "{error}");
        }
    }

    #[test]
    fn a_string_that_leaves_nothing_is_refused() {
        assert!(error("HIGH:!ECDHE").contains("no cipher suite is left"), "{}", error("HIGH:!ECDHE"));
        assert!(error("").contains("no cipher suite is left"));
    }
}
