//! Files read by a verifier that is written here from the published description and shares no code with what makes them.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::{Signature, VerifyingKey};
use proptest::prelude::*;
use quotary_domain::project::SigningAlgorithm;
use rsa::pkcs8::EncodePrivateKey as _;
use rsa::signature::Verifier as _;
use rsa::{RsaPrivateKey, RsaPublicKey, pss};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{FileKey, FileKind, FileSigner, Meta, seal};

const KEY: &str = "ABCDE-FGHJK-MNPQR-STVWX-YZ012";

enum Public {
    Ed25519(VerifyingKey),
    Rsa(pss::VerifyingKey<rsa::sha2::Sha256>),
}

/// Reads a file as the description says; `None` for whatever is not exactly as it says.
fn read(file: &str, label: &str, prefix: &str, public: &Public, secret: &str) -> Option<Value> {
    let body = file.strip_prefix(&format!("-----BEGIN {label}-----\n"))?;
    let body = body.strip_suffix(&format!("\n-----END {label}-----\n"))?;
    let lines: Vec<&str> = body.split('\n').collect();
    let (last, full) = lines.split_last()?;
    if full.iter().any(|line| line.len() != 60) || last.is_empty() || last.len() > 60 {
        return None;
    }
    let envelope: Value = serde_json::from_slice(&STANDARD.decode(lines.concat()).ok()?).ok()?;
    if envelope.as_object()?.len() != 3 {
        return None;
    }
    let (enc, alg) = (envelope["enc"].as_str()?, envelope["alg"].as_str()?);
    let signature = STANDARD.decode(envelope["sig"].as_str()?).ok()?;
    let message = format!("{prefix}{enc}");
    let (encoding, algorithm) = alg.split_once('+')?;
    match (public, algorithm) {
        (Public::Ed25519(key), "ed25519") => {
            key.verify_strict(message.as_bytes(), &Signature::from_slice(&signature).ok()?).ok()?;
        }
        (Public::Rsa(key), "rsa-pss-sha256") => {
            key.verify(message.as_bytes(), &pss::Signature::try_from(signature.as_slice()).ok()?).ok()?;
        }
        _ => return None,
    }
    let content = match encoding {
        "base64" => STANDARD.decode(enc).ok()?,
        "aes-256-gcm" => {
            let parts: Option<Vec<Vec<u8>>> = enc.split('.').map(|part| STANDARD.decode(part).ok()).collect();
            let [text, iv, tag] = <[Vec<u8>; 3]>::try_from(parts?).ok()?;
            let key: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
            let iv = <[u8; 12]>::try_from(iv.as_slice()).ok()?;
            let sealed = [text, tag].concat();
            let payload = Payload { msg: &sealed, aad: b"" };
            Aes256Gcm::new((&key).into()).decrypt(&Nonce::from(iv), payload).ok()?
        }
        _ => return None,
    };
    serde_json::from_slice(&content).ok()
}

fn ed25519() -> (FileSigner, Public) {
    let seed = [7; 32];
    let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
    (FileSigner::new(SigningAlgorithm::Ed25519, &seed).unwrap(), Public::Ed25519(public))
}

fn rsa_2048() -> (FileSigner, Public) {
    let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2_048).unwrap();
    let signer = FileSigner::new(SigningAlgorithm::RsaPssSha256, key.to_pkcs8_der().unwrap().as_bytes()).unwrap();
    // The longest salt of 2048 bits and SHA-256; a verifier with another length refuses.
    (signer, Public::Rsa(pss::VerifyingKey::new_with_salt_len(RsaPublicKey::from(key), 222)))
}

fn content() -> Value {
    json!({ "data": { "type": "licenses", "id": "1", "attributes": { "name": "Zoë — 図" } }, "meta": { "ttl": 3600 } })
}

fn sealed(kind: FileKind, encryption: Option<&FileKey>, signer: &FileSigner) -> String {
    seal(kind, content().to_string().as_bytes(), encryption, signer).unwrap()
}

const LICENSE: (&str, &str) = ("LICENSE FILE", "license/");

#[test]
fn files_are_read_from_the_published_description_alone() {
    let (machine_secret, machine_key) = (format!("{KEY}my-laptop"), FileKey::of(KEY, Some("my-laptop")));
    for (signer, public) in [ed25519(), rsa_2048()] {
        let plain = sealed(FileKind::License, None, &signer);
        assert_eq!(read(&plain, LICENSE.0, LICENSE.1, &public, ""), Some(content()));
        let encrypted = sealed(FileKind::License, Some(&FileKey::of(KEY, None)), &signer);
        assert_eq!(read(&encrypted, LICENSE.0, LICENSE.1, &public, KEY), Some(content()));
        assert_eq!(read(&encrypted, LICENSE.0, LICENSE.1, &public, "another key"), None);
        let machine = sealed(FileKind::Machine, Some(&machine_key), &signer);
        assert_eq!(read(&machine, "MACHINE FILE", "machine/", &public, &machine_secret), Some(content()));
        let list = sealed(FileKind::Revocations, None, &signer);
        assert_eq!(read(&list, "REVOCATION LIST", "revocations/", &public, ""), Some(content()));
    }
}

#[test]
fn a_changed_bit_in_any_byte_is_refused() {
    let (ed, rsa) = (ed25519(), rsa_2048());
    let key = FileKey::of(KEY, None);
    for (signer, public, encryption) in [(&ed.0, &ed.1, None), (&ed.0, &ed.1, Some(&key)), (&rsa.0, &rsa.1, None)] {
        let file = sealed(FileKind::License, encryption, signer);
        assert!(read(&file, LICENSE.0, LICENSE.1, public, KEY).is_some());
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut bytes = file.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                assert_eq!(read(&changed, LICENSE.0, LICENSE.1, public, KEY), None, "bit {bit} of byte {at}");
            }
        }
        for length in 0..file.len() {
            assert_eq!(read(&file[..length], LICENSE.0, LICENSE.1, public, KEY), None, "cut at {length}");
        }
    }
}

/// The file with its envelope changed.
fn forged(file: &str, change: impl FnOnce(&mut Value)) -> String {
    let lines: Vec<&str> = file.lines().collect();
    let mut envelope: Value =
        serde_json::from_slice(&STANDARD.decode(lines[1..lines.len() - 1].concat()).unwrap()).unwrap();
    change(&mut envelope);
    let text = STANDARD.encode(envelope.to_string());
    let body: Vec<String> = text.as_bytes().chunks(60).map(|line| String::from_utf8(line.to_vec()).unwrap()).collect();
    format!("{}\n{}\n{}\n", lines[0], body.join("\n"), lines[lines.len() - 1])
}

#[test]
fn another_kind_another_key_and_another_algorithm_are_refused() {
    let (signer, public) = ed25519();
    let (rsa_signer, rsa_public) = rsa_2048();
    let file = sealed(FileKind::License, None, &signer);
    assert_eq!(forged(&file, |_| {}).len(), file.len(), "the forger writes what the server writes");
    let as_machine = file.replace("LICENSE FILE", "MACHINE FILE");
    assert_eq!(read(&as_machine, "MACHINE FILE", "machine/", &public, ""), None);
    assert_eq!(read(&file, LICENSE.0, LICENSE.1, &rsa_public, ""), None);
    let other = FileSigner::new(SigningAlgorithm::Ed25519, &[8; 32]).unwrap();
    assert_eq!(read(&sealed(FileKind::License, None, &other), LICENSE.0, LICENSE.1, &public, ""), None);
    for alg in ["base64+rsa-pss-sha256", "base64+none", "none", "base64", "aes-256-gcm+ed25519", "+ed25519", ""] {
        let confused = forged(&file, |envelope| envelope["alg"] = alg.into());
        assert_eq!(read(&confused, LICENSE.0, LICENSE.1, &public, KEY), None, "{alg}");
        assert_eq!(read(&confused, LICENSE.0, LICENSE.1, &rsa_public, KEY), None, "{alg}");
    }
    let rsa_file = sealed(FileKind::License, None, &rsa_signer);
    let confused = forged(&rsa_file, |envelope| envelope["alg"] = "base64+ed25519".into());
    assert_eq!(read(&confused, LICENSE.0, LICENSE.1, &public, ""), None);
    let unsigned = forged(&file, |envelope| envelope["sig"] = "".into());
    assert_eq!(read(&unsigned, LICENSE.0, LICENSE.1, &public, ""), None);
}

proptest! {
    #[test]
    fn any_content_comes_back(content in any::<String>(), secret in "[0-9A-Z]{25}", fingerprint in any::<String>()) {
        let (signer, public) = ed25519();
        let value = json!({ "content": content });
        let key = FileKey::of(&secret, Some(&fingerprint));
        let file = seal(FileKind::Machine, value.to_string().as_bytes(), Some(&key), &signer).unwrap();
        let read = read(&file, "MACHINE FILE", "machine/", &public, &format!("{secret}{fingerprint}"));
        prop_assert_eq!(read, Some(value));
    }

    #[test]
    fn a_file_never_outlives_its_licence(ttl in proptest::option::of(3_600_u32..400_000_000), end in proptest::option::of(1_i64..10_000_000_000)) {
        let issued: DateTime<Utc> = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let end = end.map(|seconds| issued + TimeDelta::seconds(seconds));
        let meta = Meta::new(issued, ttl, end);
        prop_assert!(end.is_none_or(|end| meta.expiry.is_some_and(|expiry| expiry <= end)));
        prop_assert!(ttl.is_none_or(|ttl| meta.ttl_seconds().is_some_and(|seconds| seconds <= ttl.into())));
        prop_assert_eq!(meta.expiry.is_none(), ttl.is_none() && end.is_none());
    }
}
