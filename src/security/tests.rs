//! Held to what Celery has signed: `tests/captures/signed`.

use super::*;
use crate::protocol::{Headers, Properties};
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, UNIX_EPOCH};

/// A second in 2026, in which the certificates are valid: those of two years are.
const VALID: u64 = 1_780_000_000;

fn captures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures/signed").join(name)
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn messages() -> BTreeMap<String, String> {
    serde_json::from_slice(&fs::read(captures("messages.json")).unwrap()).unwrap()
}

fn envelope(content_type: &str, body: &str) -> Envelope {
    let content_type = Some(content_type.to_owned());
    let properties = Properties { content_type, ..Properties::default() };
    let body = Bytes::copy_from_slice(body.as_bytes());
    Envelope { properties, headers: Headers::new("t", "i".into()), body }
}

fn trusting(certificates: &str) -> Settings {
    Settings { certificates: Some(captures(certificates)), ..Settings::default() }
}

fn signing(name: &str) -> Settings {
    Settings {
        key_file: Some(captures(&format!("{name}.key"))),
        cert_file: Some(captures(&format!("{name}.pem"))),
        ..Settings::default()
    }
}

fn open(settings: &Settings) -> Security {
    Security::open(settings, at(VALID)).unwrap()
}

fn parse(security: &Security, envelope: &Envelope, seconds: u64) -> Result<Body, String> {
    security
        .parse(envelope, &Limits::default(), at(seconds))
        .map_err(|error| format!("{}: {error}", error.reason()))
}

#[test]
fn what_celery_signed_is_read_with_each_digest_and_in_each_format() {
    for (name, message) in messages() {
        let digest = match name.split(' ').next() {
            Some("sha256") => Digest::Sha256,
            Some("sha384") => Digest::Sha384,
            _ => Digest::Sha512,
        };
        let security = open(&Settings { digest, ..trusting("*.pem") });
        let message = envelope(Signed::CONTENT_TYPE, &message);
        let body = parse(&security, &message, VALID).unwrap();
        assert!(name.ends_with(body.format().name()), "{name}");
        assert_eq!(body.args::<(u8, u8)>().unwrap(), (20, 22), "{name}");
        assert_eq!(body.kwargs_json().unwrap()["note"], "\0\u{1} ü", "{name}");
    }
}

#[test]
fn what_is_not_trusted_says_why() {
    let message = envelope(Signed::CONTENT_TYPE, &messages()["sha256 json"]);
    let refused = |settings: &Settings, message: &Envelope, seconds| {
        parse(&open(settings), message, seconds).unwrap_err()
    };
    let us = "DE Bücher & Töchter Shop CA 1427247692705959881058285969449495136382746641";
    let stranger = refused(&trusting("stranger.pem"), &message, VALID);
    assert!(
        stranger.starts_with(&format!("signature: signed by `{us}`: its certificate is unknown"))
    );
    let trusting_us = trusting("shop.pem");
    assert_eq!(
        refused(&trusting_us, &message, VALID + 80_000_000),
        format!(
            "signature: signed by `{us}`: its certificate expired at 2028-01-01T00:00:00.000000+00:00"
        )
    );
    assert!(refused(&trusting_us, &message, 1_700_000_000).contains("is not valid before 2026-01"));
    let other_digest = Settings { digest: Digest::Sha512, ..trusting_us.clone() };
    assert!(refused(&other_digest, &message, VALID).contains("another digest than sha512"));
    let plain = envelope("application/json", "[[], {}, null]");
    assert!(refused(&trusting_us, &plain, VALID).starts_with("signature: not signed"));
    let accepting = Settings { unsigned: Unsigned::Accept, ..trusting_us };
    assert!(parse(&open(&accepting), &plain, VALID).is_ok());
    assert!(parse(&open(&accepting), &message, VALID).is_ok());
    let nobody = parse(&Security::default(), &message, VALID).unwrap_err();
    assert!(nobody.contains("is not read without [security] certificates"), "{nobody}");
    assert!(parse(&Security::default(), &plain, VALID).is_ok());
}

#[test]
fn no_bit_of_what_was_signed_can_be_changed() {
    let security = open(&trusting("shop.pem"));
    let message = envelope(Signed::CONTENT_TYPE, &messages()["sha256 json"]);
    let genuine = Signed::read(&message, &Limits::default()).unwrap().unwrap();
    let check = |changed: Signed| {
        let text = String::from_utf8(changed.write()).unwrap();
        parse(&security, &envelope(Signed::CONTENT_TYPE, &text), VALID)
    };
    assert!(check(genuine.clone()).is_ok());
    for at in 0..genuine.body.len() {
        let mut body = genuine.body.to_vec();
        body[at] ^= 1;
        let error = check(Signed { body: body.into(), ..genuine.clone() }).unwrap_err();
        assert!(error.contains("the signature does not fit the body"), "{at}: {error}");
    }
    for signature in [vec![], vec![0; 256], genuine.signature[1..].to_vec()] {
        assert!(check(Signed { signature, ..genuine.clone() }).is_err());
    }
}

#[test]
fn what_is_signed_here_is_taken_here() {
    // The odd key has 2049 bits: what is signed has a byte less than the key.
    for name in ["shop", "odd"] {
        for digest in [Digest::Sha256, Digest::Sha384, Digest::Sha512] {
            let signing = open(&Settings { digest, ..signing(name) });
            let json = envelope("application/json", "[[20, 22], {}, {}]");
            let signed = signing.sign(json.clone(), Format::Json).unwrap();
            assert_eq!(signed.properties.content_type.as_deref(), Some("application/data"));
            let trusting = open(&Settings { digest, ..trusting(&format!("{name}.pem")) });
            let body = parse(&trusting, &signed, VALID).unwrap();
            assert_eq!(body.bytes(), &json.body);
            assert_ne!(signing.sign(json, Format::Json).unwrap().body, signed.body);
        }
    }
    let plain = envelope("application/json", "[[], {}, {}]");
    assert_eq!(Security::default().sign(plain.clone(), Format::Json), Ok(plain));
}

#[test]
fn settings_that_cannot_be_used_say_what_to_change() {
    let problem =
        |settings: Settings| Security::open(&settings, at(VALID)).unwrap_err().to_string();
    let of = |certificates: &str| problem(trusting(certificates));
    assert!(of("").contains("make.py: not a certificate: it is no PEM file"), "{}", of(""));
    assert!(of("shop.key").contains("shop.key: not a certificate: it holds a private key"));
    assert!(of("*.crt").starts_with("[security] certificates: no file fits"));
    assert!(of("none/*.pem").contains("none: No such file or directory"));
    let half = Settings { cert_file: None, ..signing("shop") };
    assert_eq!(
        problem(half),
        "[security] key_file and cert_file belong together: set both or none"
    );
    let mixed = Settings { cert_file: signing("odd").cert_file, ..signing("shop") };
    assert!(problem(mixed).ends_with("it is not the key of the certificate in cert_file"));
    let swapped = Settings { key_file: signing("shop").cert_file, ..signing("shop") };
    assert!(problem(swapped).ends_with("it is no RSA key in PEM without a password"));

    let folder = tempfile::tempdir().unwrap();
    for copy in ["one.pem", "two.pem", ".hidden"] {
        fs::copy(captures("shop.pem"), folder.path().join(copy)).unwrap();
    }
    let twice = Settings { certificates: Some(folder.path().into()), ..Settings::default() };
    assert!(problem(twice.clone()).contains("two.pem: certificate `DE Bücher"));
    fs::remove_file(folder.path().join("two.pem")).unwrap();
    assert!(open(&twice).refuses_its_own());
}
