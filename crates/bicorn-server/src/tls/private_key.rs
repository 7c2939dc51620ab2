//! Private keys out of PEM sections, decrypted where they are encrypted.
//!
//! | label | form |
//! |---|---|
//! | `PRIVATE KEY` | PKCS #8 (RFC 5958) |
//! | `RSA PRIVATE KEY`, `EC PRIVATE KEY` | PKCS #1 (RFC 8017 §A.1.2), SEC 1 (RFC 5915); with `DEK-Info`, encrypted by OpenSSL's own rule |
//! | `ENCRYPTED PRIVATE KEY` | PKCS #8 under PBES2 (RFC 8018 §6.2): AES or 3DES; PBKDF2 or scrypt |

use aes::{Aes128, Aes192, Aes256};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyIvInit};
use des::TdesEde3;
use md5::{Digest, Md5};
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::pkcs5::EncryptionScheme;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};

use super::pem::Section;

const NO_PASSWORD: &str = "the private key is encrypted: give --ssl-keyfile-password";
const WRONG_PASSWORD: &str = "the private key cannot be decrypted: wrong --ssl-keyfile-password";

/// The key in a section; `None` when the section is something else.
///
/// # Errors
/// What is wrong with the key, to stand behind the name of the file.
pub(super) fn private_key(
    section: &Section<'_>,
    password: Option<&str>,
) -> Option<Result<PrivateKeyDer<'static>, String>> {
    let content = || match section.header("DEK-Info") {
        Some(info) => decrypt_traditional(info, &section.content, password),
        None => Ok(section.content.clone()),
    };
    match section.label {
        "PRIVATE KEY" => Some(Ok(PrivatePkcs8KeyDer::from(section.content.clone()).into())),
        "RSA PRIVATE KEY" => Some(content().map(|der| PrivatePkcs1KeyDer::from(der).into())),
        "EC PRIVATE KEY" => Some(content().map(|der| PrivateSec1KeyDer::from(der).into())),
        "ENCRYPTED PRIVATE KEY" => Some(decrypt_pkcs8(&section.content, password)),
        label if label.ends_with("PRIVATE KEY") => {
            Some(Err(format!("a key of the form {label} is not supported: use PKCS #8")))
        }
        _ => None,
    }
}

fn decrypt_pkcs8(der: &[u8], password: Option<&str>) -> Result<PrivateKeyDer<'static>, String> {
    let info = EncryptedPrivateKeyInfoRef::try_from(der).map_err(
        |_| "the private key is encrypted in an unknown way: use openssl pkcs8 -topk8 -v2 aes-256-cbc",
    )?;
    if matches!(info.encryption_algorithm, EncryptionScheme::Pbes1(_)) {
        // DES and RC2 with MD5 or SHA-1: a key under them is as good as readable.
        return Err("the private key is encrypted by PBES1, which is broken: use openssl pkcs8 -topk8 -v2 aes-256-cbc"
            .to_owned());
    }
    let password = password.ok_or(NO_PASSWORD)?;
    let document = info.decrypt(password).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::UnsupportedAlgorithm { oid }) => {
            format!("the private key is encrypted by an algorithm that is not supported: {oid}")
        }
        _ => WRONG_PASSWORD.to_owned(),
    })?;
    Ok(PrivatePkcs8KeyDer::from(document.as_bytes().to_vec()).into())
}

/// OpenSSL's form before PKCS #8: `DEK-Info: AES-256-CBC,<initialisation vector in hexadecimal>`.
fn decrypt_traditional(info: &str, encrypted: &[u8], password: Option<&str>) -> Result<Vec<u8>, String> {
    let (algorithm, vector) = info.split_once(',').ok_or("the private key has a malformed DEK-Info")?;
    let vector = hexadecimal(vector.trim()).ok_or("the private key has a malformed DEK-Info")?;
    let password = password.ok_or(NO_PASSWORD)?;
    let decrypted = match algorithm.trim() {
        "AES-128-CBC" => decrypt_cbc::<Aes128>(16, &vector, encrypted, password),
        "AES-192-CBC" => decrypt_cbc::<Aes192>(24, &vector, encrypted, password),
        "AES-256-CBC" => decrypt_cbc::<Aes256>(32, &vector, encrypted, password),
        "DES-EDE3-CBC" => decrypt_cbc::<TdesEde3>(24, &vector, encrypted, password),
        other => {
            return Err(format!(
                "the private key is encrypted by {other}, which is not supported: use AES-256-CBC"
            ));
        }
    };
    // With a wrong password the padding is right once in 256 times; then it is the content that is not a key.
    decrypted.filter(|der| der.first() == Some(&0x30)).ok_or_else(|| WRONG_PASSWORD.to_owned())
}

fn decrypt_cbc<Cipher>(key_bytes: usize, vector: &[u8], encrypted: &[u8], password: &str) -> Option<Vec<u8>>
where
    Cipher: BlockCipherDecrypt,
    cbc::Decryptor<Cipher>: KeyIvInit + BlockModeDecrypt,
{
    let key = derive(password.as_bytes(), vector.get(..8)?, key_bytes);
    let cipher = cbc::Decryptor::<Cipher>::new_from_slices(&key, vector).ok()?;
    cipher.decrypt_padded_vec::<Pkcs7>(encrypted).ok()
}

/// OpenSSL's `EVP_BytesToKey` with MD5 and one round, which this form is bound to.
fn derive(password: &[u8], salt: &[u8], length: usize) -> Vec<u8> {
    let mut key = Vec::with_capacity(length + 16);
    let mut block = Vec::new();
    while key.len() < length {
        let digest = Md5::new().chain_update(&block).chain_update(password).chain_update(salt).finalize();
        block = digest.to_vec();
        key.extend_from_slice(&block);
    }
    key.truncate(length);
    key
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
