//! Where keys come from: the configuration, or an identity provider's key set that is fetched and kept.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jsonwebtoken::{Algorithm, jwk::Jwk};
use roomlog_platform::config::{ConfigError, Jwt};
use serde::Deserialize;

use super::keys::Key;

/// How long a fetched set is used before it is fetched again: a withdrawn key is refused after this time.
const REFRESH_AFTER: Duration = Duration::from_secs(300);
/// The least time between two fetches, whatever tokens ask for: a stranger with made-up key ids can't make us hammer
/// the provider.
const FETCH_INTERVAL_MIN: Duration = Duration::from_secs(30);
/// How long fetched keys stay good while the provider does not answer. After it tokens are refused.
const STALE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long one fetch may take; sign-ins wait for it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);
/// The largest key set that is read; a larger one is refused.
const SET_BYTES_MAX: usize = 256 << 10;
/// Keys kept of one set; more are left out.
const KEYS_MAX: usize = 64;

/// The keys in force.
#[derive(Debug)]
pub(super) enum KeySource {
    /// Given once, by the configuration.
    Fixed(Vec<Key>),
    /// Fetched from the configured address; never from one a token names.
    Fetched(KeySet),
}

/// An identity provider's key set.
#[derive(Debug)]
pub(super) struct KeySet {
    address: String,
    http: reqwest::Client,
    state: Mutex<State>,
    /// Lets one fetch run at a time; others wait for its result.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    keys: Arc<[Key]>,
    fetched_at: Option<Instant>,
    attempted_at: Option<Instant>,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

// === impl KeySource ===

impl KeySource {
    pub(super) fn new(jwt: &Jwt) -> Result<Self, ConfigError> {
        if let Some(secret) = &jwt.secret {
            return Ok(Self::Fixed(vec![Key::hs256(secret.reveal().as_bytes())]));
        }
        if let Some(path) = &jwt.public_key_file {
            let refused = |reason: &str| {
                let expected =
                    format!("expected a PEM file of a public RSA, P-256 or Ed25519 key{reason}");
                ConfigError::value("ROOMLOG_JWT_PUBLIC_KEY_FILE", path, &expected)
            };
            let pem = std::fs::read(path).map_err(|error| refused(&format!(": {error}")))?;
            let key = Key::from_pem(&pem).ok_or_else(|| refused(""))?;
            return Ok(Self::Fixed(vec![key]));
        }
        let address = jwt.jwks_url.as_ref().ok_or_else(|| {
            ConfigError::Together(
                "ROOMLOG_JWT_SECRET, ROOMLOG_JWT_PUBLIC_KEY_FILE, ROOMLOG_JWT_JWKS_URL: none is given, expected one of them, as a gateway checks tokens with it"
                    .to_owned(),
            )
        })?;
        Ok(Self::Fetched(KeySet::at(address)?))
    }

    /// The keys a token with this header may be signed with; `None` where there is none.
    pub(super) async fn matching(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Option<Vec<Key>> {
        let found = match self {
            Self::Fixed(keys) => pick(keys, None, algorithm),
            Self::Fetched(set) => set.matching(id, algorithm).await,
        };
        (!found.is_empty()).then_some(found)
    }
}

// === impl KeySet ===

impl KeySet {
    fn at(address: &str) -> Result<Self, ConfigError> {
        let wrong = |error: reqwest::Error| {
            let reason = format!("no client can be made for it: {error}");
            ConfigError::value("ROOMLOG_JWT_JWKS_URL", address, &reason)
        };
        let http = reqwest::Client::builder()
            .timeout(FETCH_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(wrong)?;
        Ok(Self {
            address: address.to_owned(),
            http,
            state: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        })
    }

    async fn matching(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<Key> {
        let (found, due) = self.look_up(id, algorithm);
        if !due {
            return found;
        }
        let _one_at_a_time = self.fetching.lock().await;
        // Somebody else may have fetched while this one waited.
        let (found, due) = self.look_up(id, algorithm);
        if !due {
            return found;
        }
        self.fetch().await;
        self.look_up(id, algorithm).0
    }

    /// The fitting keys, and whether a fetch is wanted and allowed.
    fn look_up(&self, id: Option<&str>, algorithm: Algorithm) -> (Vec<Key>, bool) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let age = state.fetched_at.map(|at| at.elapsed());
        let found = match age {
            Some(age) if age < STALE_MAX => pick(&state.keys, id, algorithm),
            _ => Vec::new(),
        };
        let wanted = found.is_empty() || age.is_none_or(|age| age > REFRESH_AFTER);
        let allowed = state
            .attempted_at
            .is_none_or(|at| at.elapsed() >= FETCH_INTERVAL_MIN);
        (found, wanted && allowed)
    }

    async fn fetch(&self) {
        let fetched = self.read().await;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.attempted_at = Some(Instant::now());
        match fetched {
            Ok(keys) => {
                tracing::info!(keys = keys.len(), "fetched the key set");
                state.keys = keys.into();
                state.fetched_at = state.attempted_at;
            }
            Err(reason) => {
                tracing::warn!(
                    reason,
                    "the key set could not be fetched, the one at hand stays in force"
                );
            }
        }
    }

    async fn read(&self) -> Result<Vec<Key>, String> {
        let text = |error: reqwest::Error| error.without_url().to_string();
        let mut response = self
            .http
            .get(&self.address)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(text)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(text)? {
            if body.len() + chunk.len() > SET_BYTES_MAX {
                return Err("the key set is too large".to_owned());
            }
            body.extend_from_slice(&chunk);
        }
        parse(&body).ok_or_else(|| "the answer is no key set".to_owned())
    }
}

/// The usable keys of a key set document. One key of an unknown kind does not spoil the others.
fn parse(document: &[u8]) -> Option<Vec<Key>> {
    let document: Document = serde_json::from_slice(document).ok()?;
    let keys = document.keys.into_iter().filter_map(|key| {
        let jwk: Jwk = serde_json::from_value(key).ok()?;
        Key::from_jwk(&jwk)
    });
    Some(keys.take(KEYS_MAX).collect())
}

/// Keys of this algorithm and, where the token names one, of this id.
fn pick(keys: &[Key], id: Option<&str>, algorithm: Algorithm) -> Vec<Key> {
    let fits = |key: &&Key| {
        key.algorithm == algorithm && id.is_none_or(|id| key.id.as_deref() == Some(id))
    };
    keys.iter().filter(fits).cloned().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const SET: &str = r#"{"keys":[
        {"kty":"OKP","crv":"Ed25519","kid":"one","use":"sig","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty":"oct","kid":"secret","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"},
        {"kty":"RSA","kid":"enc","use":"enc","n":"AQAB","e":"AQAB"},
        {"kty":"strange","kid":"new"}
    ]}"#;

    /// A provider that shows what it was given last and counts how often it is asked.
    #[derive(Clone, Default)]
    struct Provider {
        document: Arc<Mutex<Option<String>>>,
        asked: Arc<AtomicUsize>,
    }

    impl Provider {
        async fn start() -> (Self, KeySet) {
            let provider = Self::default();
            let answering = provider.clone();
            let routes = axum::Router::new().fallback(async move || {
                answering.asked.fetch_add(1, Ordering::Relaxed);
                let document = answering.document.lock().unwrap().clone();
                document.ok_or(axum::http::StatusCode::SERVICE_UNAVAILABLE)
            });
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = format!("http://{}/keys", listener.local_addr().unwrap());
            tokio::spawn(async move { axum::serve(listener, routes).await });
            (provider, KeySet::at(&address).unwrap())
        }

        fn shows(&self, document: Option<String>) {
            *self.document.lock().unwrap() = document;
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }
    }

    fn set_with(id: &str) -> Option<String> {
        Some(SET.replace("\"one\"", &format!("\"{id}\"")))
    }

    /// Lets so much time pass for a key set.
    fn pass(set: &KeySet, time: Duration) {
        let mut state = set.state.lock().unwrap();
        let earlier = |at: Instant| at.checked_sub(time).unwrap();
        state.fetched_at = state.fetched_at.map(earlier);
        state.attempted_at = state.attempted_at.map(earlier);
    }

    async fn knows(set: &KeySet, id: &str) -> bool {
        !set.matching(Some(id), Algorithm::EdDSA).await.is_empty()
    }

    #[tokio::test]
    async fn made_up_key_ids_make_us_ask_the_provider_once_in_a_while_only() {
        let (provider, set) = Provider::start().await;
        provider.shows(set_with("one"));
        for number in 0..50 {
            assert!(!knows(&set, &number.to_string()).await);
        }
        assert!(knows(&set, "one").await);
        assert_eq!(provider.asked(), 1);
        pass(&set, FETCH_INTERVAL_MIN);
        assert!(knows(&set, "one").await);
        assert_eq!(provider.asked(), 1, "a known key asks for nothing");
        assert!(!knows(&set, "two").await);
        assert_eq!(provider.asked(), 2);
    }

    #[tokio::test]
    async fn a_new_key_is_found_at_once_and_a_withdrawn_one_refused_in_time() {
        let (provider, set) = Provider::start().await;
        provider.shows(set_with("old"));
        assert!(knows(&set, "old").await);
        provider.shows(set_with("new"));
        assert!(knows(&set, "old").await, "within the overlap");
        pass(&set, FETCH_INTERVAL_MIN);
        assert!(knows(&set, "new").await);
        assert!(!knows(&set, "old").await);
    }

    #[tokio::test]
    async fn an_outage_of_the_provider_is_survived_for_a_day() {
        let (provider, set) = Provider::start().await;
        provider.shows(set_with("one"));
        assert!(knows(&set, "one").await);
        provider.shows(None);
        pass(&set, REFRESH_AFTER + Duration::from_secs(1));
        assert!(knows(&set, "one").await);
        pass(&set, STALE_MAX);
        assert!(!knows(&set, "one").await);
    }

    #[test]
    fn a_key_set_gives_its_signing_keys_only() {
        let keys = parse(SET.as_bytes()).unwrap();
        let ids: Vec<_> = keys.iter().filter_map(|key| key.id.as_deref()).collect();
        assert_eq!(ids, ["one"]);
        assert!(parse(b"<html>").is_none());
    }

    #[test]
    fn a_key_is_found_by_id_and_algorithm() {
        let keys = parse(SET.as_bytes()).unwrap();
        assert_eq!(pick(&keys, Some("one"), Algorithm::EdDSA).len(), 1);
        assert!(pick(&keys, Some("one"), Algorithm::HS256).is_empty());
        for id in [
            "two",
            "../../etc/passwd",
            "' OR 1=1 --",
            &"k".repeat(10_000),
        ] {
            assert!(pick(&keys, Some(id), Algorithm::EdDSA).is_empty());
        }
    }
}
