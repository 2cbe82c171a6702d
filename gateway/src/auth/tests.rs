//! What is accepted as a token, and everything that is not.

#![allow(clippy::unwrap_used)]

mod rsa;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use roomlog_platform::config::{Jwt, Secret, Span};
use serde_json::{Value, json};

use super::{token::Holder, *};

const SECRET: &str = "an-hs256-secret-of-at-least-32-bytes";
const NOW_S: u64 = 1_800_000_000;

const ED_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";
const ED_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
";

fn jwt() -> Jwt {
    Jwt {
        secret: Some(Secret::new(SECRET)),
        public_key_file: None,
        jwks_url: None,
        issuer: "roomlog".to_owned(),
        audience: "roomlog".to_owned(),
        access_ttl: Span::parse("1h").unwrap(),
    }
}

fn claims() -> Value {
    json!({"iss": "roomlog", "aud": "roomlog", "sub": "alice", "exp": NOW_S + 60, "role": "user"})
}

fn signed(header: &Header, claims: &Value) -> String {
    encode(header, claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

fn with(field: &str, value: Value) -> Value {
    let mut all = claims();
    all[field] = value;
    all
}

fn without(field: &str) -> Value {
    let mut all = claims();
    all.as_object_mut().unwrap().remove(field);
    all
}

async fn verify(token: &str) -> Result<Identity, AuthError> {
    Verifier::new(&jwt()).unwrap().verify(token, NOW_S).await
}

/// An unpadded base64url text, for tokens no library makes.
fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0_u8; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for place in 0..=chunk.len() {
            let index = (bits >> (18 - 6 * place)) & 63;
            out.push(char::from(LETTERS[index as usize]));
        }
    }
    out
}

#[tokio::test]
async fn a_good_token_signs_in() {
    let header = Header::new(Algorithm::HS256);
    let identity = verify(&signed(&header, &claims())).await.unwrap();
    assert_eq!(identity.user.as_str(), "alice");
    assert!(!identity.is_admin);
    assert_eq!(identity.expires_at_s, NOW_S + 60);
    let admin = signed(&header, &with("role", json!("admin")));
    assert!(verify(&admin).await.unwrap().is_admin);
    let several = signed(&header, &with("aud", json!(["x", "roomlog"])));
    assert!(verify(&several).await.is_ok());
    let access = Header {
        typ: Some("at+jwt".to_owned()),
        ..header
    };
    assert!(verify(&signed(&access, &claims())).await.is_ok());
}

#[tokio::test]
async fn wrong_claims_are_refused() {
    let header = Header::new(Algorithm::HS256);
    let table = [
        (
            "another issuer",
            with("iss", json!("evil")),
            AuthError::Claim("iss"),
        ),
        (
            "another audience",
            with("aud", json!("other")),
            AuthError::Claim("aud"),
        ),
        (
            "an empty audience",
            with("aud", json!([])),
            AuthError::Claim("aud"),
        ),
        (
            "an id outside the alphabet",
            with("sub", json!("a b")),
            AuthError::Claim("sub"),
        ),
        (
            "expired this second",
            with("exp", json!(NOW_S)),
            AuthError::Expired,
        ),
        (
            "not yet valid",
            with("nbf", json!(NOW_S + 61)),
            AuthError::Claim("nbf"),
        ),
        (
            "issued in the future",
            with("iat", json!(NOW_S + 61)),
            AuthError::Claim("iat"),
        ),
        (
            "an expiry as text",
            with("exp", json!("9999999999")),
            AuthError::Malformed,
        ),
        (
            "an expiry as fraction",
            with("exp", json!(1e99)),
            AuthError::Malformed,
        ),
        (
            "a negative expiry",
            with("exp", json!(-1)),
            AuthError::Malformed,
        ),
        (
            "an expiry as list",
            with("exp", json!([NOW_S + 60])),
            AuthError::Malformed,
        ),
        (
            "a start as text",
            with("nbf", json!("x")),
            AuthError::Malformed,
        ),
        ("no issuer", without("iss"), AuthError::Malformed),
        ("no audience", without("aud"), AuthError::Malformed),
        ("no subject", without("sub"), AuthError::Malformed),
        ("no expiry", without("exp"), AuthError::Malformed),
    ];
    for (name, claims, expected) in table {
        assert_eq!(
            verify(&signed(&header, &claims)).await,
            Err(expected),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_tokens_name_is_cleaned_like_any_other() {
    let header = Header::new(Algorithm::HS256);
    for (name, shown) in [
        ("Ada", Some("Ada")),
        ("Ada\r\nseq:9", Some("Ada  seq:9")),
        ("\u{202e}adA\u{200b}", Some("adA")),
        ("\u{1b}[31m", Some("[31m")),
        ("\u{200b}", None),
        (&"x".repeat(65), Some(&"x".repeat(64))),
    ] {
        let identity = verify(&signed(&header, &with("name", json!(name)))).await;
        assert_eq!(identity.unwrap().name.as_deref(), shown, "{name:?}");
    }
}

#[tokio::test]
async fn other_types_of_tokens_are_no_access_tokens() {
    for typ in [
        None,
        Some("refresh+jwt"),
        Some("id+jwt"),
        Some("roomlog-ticket"),
        Some(""),
    ] {
        let header = Header {
            typ: typ.map(str::to_owned),
            ..Header::new(Algorithm::HS256)
        };
        assert_eq!(
            verify(&signed(&header, &claims())).await,
            Err(AuthError::Claim("typ")),
            "{typ:?}"
        );
    }
}

#[tokio::test]
async fn unsigned_tokens_are_refused() {
    for algorithm in ["none", "None", "nOnE", "NONE", ""] {
        let header = json!({"alg": algorithm, "typ": "JWT"}).to_string();
        let payload = base64url(claims().to_string().as_bytes());
        for signature in ["", "AAAA"] {
            let token = format!("{}.{payload}.{signature}", base64url(header.as_bytes()));
            assert_eq!(
                verify(&token).await,
                Err(AuthError::Malformed),
                "{algorithm}"
            );
        }
    }
}

#[tokio::test]
async fn the_algorithm_belongs_to_the_key() {
    let folder = std::env::temp_dir().join(format!("roomlog-auth-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("public.pem");
    std::fs::write(&file, ED_PUBLIC).unwrap();
    let public = Jwt {
        secret: None,
        public_key_file: Some(file.display().to_string()),
        ..jwt()
    };
    let verifier = Verifier::new(&public).unwrap();
    let good = encode(
        &Header::new(Algorithm::EdDSA),
        &claims(),
        &EncodingKey::from_ed_pem(ED_PRIVATE.as_bytes()).unwrap(),
    );
    assert!(verifier.verify(&good.unwrap(), NOW_S).await.is_ok());
    for secret in [ED_PUBLIC.as_bytes(), ED_PUBLIC.trim().as_bytes()] {
        let key = EncodingKey::from_secret(secret);
        let forged = encode(&Header::new(Algorithm::HS256), &claims(), &key).unwrap();
        assert_eq!(
            verifier.verify(&forged, NOW_S).await,
            Err(AuthError::UnknownKey)
        );
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn keys_named_by_the_token_are_ignored() {
    let own = EncodingKey::from_secret(b"a secret of the attacker's own choice");
    let header = Header {
        jku: Some("https://evil.example/keys".to_owned()),
        x5u: Some("https://evil.example/cert".to_owned()),
        kid: Some("../../dev/null".to_owned()),
        ..Header::new(Algorithm::HS256)
    };
    let forged = encode(&header, &claims(), &own).unwrap();
    assert_eq!(verify(&forged).await, Err(AuthError::Signature));
}

#[tokio::test]
async fn broken_and_huge_tokens_are_refused() {
    let good = signed(&Header::new(Algorithm::HS256), &claims());
    for bad in [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c",
        "ä.ö.ü",
        "eyJ.eyJ.x",
        &good[..good.len() - 4],
    ] {
        assert!(verify(bad).await.is_err(), "{bad}");
    }
    let long = signed(
        &Header::new(Algorithm::HS256),
        &with("pad", json!("x".repeat(9_000))),
    );
    assert_eq!(verify(&long).await, Err(AuthError::TooLong));
}

#[tokio::test]
async fn minted_tokens_are_accepted() {
    let user = UserId::parse("bob").unwrap();
    let holder = Holder {
        session: None,
        user: &user,
        role: "admin",
        name: Some("Bob"),
    };
    let token = token::mint(&jwt(), holder, Span::parse("1h").unwrap()).unwrap();
    let now_s = crate::clock::unix_ms() / 1_000;
    let identity = Verifier::new(&jwt())
        .unwrap()
        .verify(&token, now_s)
        .await
        .unwrap();
    assert_eq!(
        (identity.name.as_deref(), identity.is_admin),
        (Some("Bob"), true)
    );
}

#[test]
fn a_ticket_is_good_once_and_for_half_a_minute() {
    let tickets = Tickets::new(&jwt());
    let identity = Identity {
        session: None,
        user: UserId::parse("alice").unwrap(),
        name: None,
        is_admin: false,
        expires_at_s: NOW_S + 600,
    };
    let ticket = tickets.issue_here(&identity, NOW_S).unwrap();
    assert_eq!(
        tickets.redeem_here(&ticket, NOW_S + 30),
        Err(AuthError::Expired)
    );
    assert_eq!(tickets.redeem_here(&ticket, NOW_S + 29), Ok(()));
    assert_eq!(
        tickets.redeem_here(&ticket, NOW_S + 29),
        Err(AuthError::Used)
    );
    let access = signed(&Header::new(Algorithm::HS256), &claims());
    assert_eq!(
        tickets.redeem_here(&access, NOW_S),
        Err(AuthError::Claim("typ"))
    );
}

#[tokio::test]
async fn a_ticket_is_no_access_token() {
    let tickets = Tickets::new(&jwt());
    let identity = Identity {
        session: None,
        user: UserId::parse("alice").unwrap(),
        name: None,
        is_admin: true,
        expires_at_s: NOW_S + 600,
    };
    let ticket = tickets.issue_here(&identity, NOW_S).unwrap();
    assert_eq!(verify(&ticket).await, Err(AuthError::Claim("typ")));
}
