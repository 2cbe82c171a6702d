//! RS256: a provider's RSA key, as a file and in a key set, and what is forged from the half of it everybody knows.

use axum::{Json, Router, routing::get};
use tokio::net::TcpListener;

use super::*;

/// A key pair that signs nothing but these tests' tokens, and another one that nobody trusts.
const PRIVATE: &str = include_str!("rsa_test_key.pem");
const PUBLIC: &str = include_str!("rsa_test_key.public.pem");
const OTHER_PRIVATE: &str = include_str!("rsa_test_key.other.pem");
/// The modulus of the first, as a key set spells it.
const MODULUS: &str = "04CP_m29x2WeF8bK-EPVgepnKG7S19zanIduAedibj-Y6GEzMjsWkeKNYFVkER-7onrB2RrLDREeJSrdOutBlYecOnEvaffgP3u_SuML7oDXjiZaZj85mlozIQYkWlxklOuoYtpWFjpX50OLukYi9i2g4GorUFi-WuM4K1sPifK1B7FXafSmh1H7yvk3vrQiq4bwZ89JO5RZi7JYihrDyVHXhyD4s_NgX-3IQ1raKMlB-JDJbJVlL7ojnCGQDP7MoUDznfGIOEdI6pWfO4DSFa8yUlqV7ZvFsGxUlU9DlEY699M-qHvHxFx50GPxOnm7vntRefgdV8YHAPN-Bsa3Rw";
const KEY_ID: &str = "first";

/// Trusts the public key in a file.
fn by_file() -> Verifier {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/auth/tests/rsa_test_key.public.pem"
    );
    let public = Jwt {
        secret: None,
        public_key_file: Some(file.to_owned()),
        ..jwt()
    };
    Verifier::new(&public).unwrap()
}

/// Trusts the key set of a provider, who publishes the key with these attributes beside its numbers.
async fn by_key_set(attributes: Value) -> Verifier {
    let mut key = json!({"kty": "RSA", "kid": KEY_ID, "n": MODULUS, "e": "AQAB"});
    for (name, value) in attributes.as_object().unwrap() {
        key[name] = value.clone();
    }
    let set = json!({ "keys": [key] });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let routes = Router::new().route("/keys", get(move || async move { Json(set) }));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let fetched = Jwt {
        secret: None,
        jwks_url: Some(url),
        ..jwt()
    };
    Verifier::new(&fetched).unwrap()
}

/// A token of these claims, signed by a private RSA key.
fn rsa_signed(algorithm: Algorithm, claims: &Value, private: &str) -> String {
    let mut header = Header::new(algorithm);
    header.kid = Some(KEY_ID.to_owned());
    let key = EncodingKey::from_rsa_pem(private.as_bytes()).unwrap();
    encode(&header, claims, &key).unwrap()
}

/// A token whose secret is something public.
fn forged(secret: &[u8]) -> String {
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(KEY_ID.to_owned());
    encode(&header, &claims(), &EncodingKey::from_secret(secret)).unwrap()
}

#[tokio::test]
async fn a_token_signed_with_the_rsa_key_signs_in() {
    let good = rsa_signed(Algorithm::RS256, &claims(), PRIVATE);
    let stated = json!({"use": "sig", "alg": "RS256"});
    for verifier in [
        by_file(),
        by_key_set(stated).await,
        by_key_set(json!({})).await,
    ] {
        let identity = verifier.verify(&good, NOW_S).await.unwrap();
        assert_eq!(identity.user.as_str(), "alice");
        assert_eq!(identity.expires_at_s, NOW_S + 60);
    }
}

#[tokio::test]
async fn what_the_rsa_key_did_not_sign_for_us_and_now_is_refused() {
    let sign = |claims: &Value| rsa_signed(Algorithm::RS256, claims, PRIVATE);
    let mut tampered = sign(&claims());
    let signature = tampered.rfind('.').unwrap() + 1;
    let flipped = if tampered[signature..].starts_with('A') {
        "B"
    } else {
        "A"
    };
    tampered.replace_range(signature..=signature, flipped);
    let table = [
        (sign(&with("exp", json!(NOW_S))), AuthError::Expired),
        (sign(&with("aud", json!("other"))), AuthError::Claim("aud")),
        (sign(&with("iss", json!("evil"))), AuthError::Claim("iss")),
        (
            rsa_signed(Algorithm::RS256, &claims(), OTHER_PRIVATE),
            AuthError::Signature,
        ),
        (tampered, AuthError::Signature),
        // The same key with another hash or padding: the algorithm is the key's, not the token's to choose.
        (
            rsa_signed(Algorithm::RS512, &claims(), PRIVATE),
            AuthError::UnknownKey,
        ),
        (
            rsa_signed(Algorithm::PS256, &claims(), PRIVATE),
            AuthError::UnknownKey,
        ),
    ];
    for verifier in [by_file(), by_key_set(json!({})).await] {
        for (token, expected) in &table {
            let answer = verifier.verify(token, NOW_S).await;
            assert_eq!(answer.as_ref(), Err(expected), "{token}");
        }
    }
}

#[tokio::test]
async fn the_public_key_is_nobodys_secret() {
    let exponent_and_modulus = format!("{MODULUS}AQAB");
    let public: [&[u8]; 5] = [
        PUBLIC.as_bytes(),
        PUBLIC.trim().as_bytes(),
        MODULUS.as_bytes(),
        exponent_and_modulus.as_bytes(),
        b"",
    ];
    for verifier in [by_file(), by_key_set(json!({})).await] {
        for secret in public {
            let answer = verifier.verify(&forged(secret), NOW_S).await;
            assert_eq!(answer, Err(AuthError::UnknownKey));
        }
    }
}

#[tokio::test]
async fn a_key_for_something_else_signs_nobody_in() {
    let good = rsa_signed(Algorithm::RS256, &claims(), PRIVATE);
    for elsewhere in [
        json!({"use": "enc"}),
        json!({"alg": "RS512"}),
        json!({"alg": "HS256"}),
        json!({"alg": "RSA-OAEP"}),
        json!({"kid": "second"}),
    ] {
        let verifier = by_key_set(elsewhere.clone()).await;
        let answer = verifier.verify(&good, NOW_S).await;
        assert_eq!(answer, Err(AuthError::UnknownKey), "{elsewhere}");
    }
}
