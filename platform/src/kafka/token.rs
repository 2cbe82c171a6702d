//! Tokens by which clients sign in to Amazon MSK: a request for `kafka-cluster:Connect`, signed by the process's AWS
//! identity and written as a text (AWS Signature Version 4, query form).
//!
//! The client library asks for a token on whichever thread polls it, so signing never waits for the network: a thread
//! of its own keeps the identity fresh.

use rdkafka::client::OAuthToken;

/// A token, or why there is none.
pub(super) type Answer = Result<OAuthToken, Box<dyn std::error::Error>>;

/// Answers the client library's question for a token. `config` is the region, where the brokers' names hold one.
#[cfg(not(feature = "msk-iam"))]
pub(super) fn generate(_: Option<&str>) -> Answer {
    Err("this program was built without the feature msk-iam".into())
}

#[cfg(feature = "msk-iam")]
pub(super) use msk_iam::generate;

#[cfg(feature = "msk-iam")]
mod msk_iam {
    use std::{
        error::Error,
        sync::{Arc, Condvar, LazyLock, Mutex, PoisonError},
        time::{Duration, SystemTime, UNIX_EPOCH},
    };

    use aws_config::default_provider::credentials::DefaultCredentialsChain;
    use aws_credential_types::{Credentials, provider::ProvideCredentials as _};
    use aws_sigv4::{
        http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
        sign::v4,
    };
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use rdkafka::client::OAuthToken;

    /// How long a token is valid: the longest Amazon MSK takes. The client library asks again at 80 % of it.
    const TOKEN_LIFE: Duration = Duration::from_secs(900);
    /// How often the identity is asked for; its provider keeps it until shortly before it ends.
    const IDENTITY_INTERVAL: Duration = Duration::from_secs(60);
    /// The wait after a failure.
    const IDENTITY_RETRY: Duration = Duration::from_secs(5);
    /// How long the first token waits for the first identity; the client library asks again after a failure.
    const FIRST_WAIT_MAX: Duration = Duration::from_secs(5);

    /// The latest identity, or why there is none.
    type Latest = Option<Result<Credentials, String>>;

    static IDENTITY: LazyLock<Arc<(Mutex<Latest>, Condvar)>> = LazyLock::new(|| {
        let shared = Arc::new((Mutex::new(None), Condvar::new()));
        let kept = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("aws-identity".into());
        if let Err(error) = thread.spawn(move || keep_fresh(&kept)) {
            tell(&shared, Err(error.to_string()));
        }
        shared
    });

    pub(in crate::kafka) fn generate(config: Option<&str>) -> super::Answer {
        let region = match config.filter(|region| !region.is_empty()) {
            Some(region) => region.to_owned(),
            None => std::env::var("AWS_REGION")
                .map_err(|_| "AWS_REGION is not set and the brokers' names hold no region")?,
        };
        let identity = identity()?;
        let signed = signed(&region, &identity, SystemTime::now())?;
        tracing::debug!(region, "signed a token for the log");
        Ok(signed)
    }

    fn identity() -> Result<Credentials, Box<dyn Error>> {
        let (latest, changed) = &**IDENTITY;
        let latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
        let (latest, _) = changed
            .wait_timeout_while(latest, FIRST_WAIT_MAX, |latest| latest.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        match &*latest {
            Some(Ok(identity)) => Ok(identity.clone()),
            Some(Err(reason)) => Err(format!("no AWS identity: {reason}").into()),
            None => Err("no AWS identity yet".into()),
        }
    }

    /// Runs for the process's whole life.
    fn keep_fresh(shared: &(Mutex<Latest>, Condvar)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return tell(shared, Err(error.to_string())),
        };
        runtime.block_on(async {
            let chain = DefaultCredentialsChain::builder().build().await;
            loop {
                let found = chain.provide_credentials().await;
                let wait = match &found {
                    Ok(_) => IDENTITY_INTERVAL,
                    Err(error) => {
                        tracing::warn!(%error, "no AWS identity to sign in to the log with");
                        IDENTITY_RETRY
                    }
                };
                tell(shared, found.map_err(|error| error.to_string()));
                tokio::time::sleep(wait).await;
            }
        });
    }

    /// A failure does not displace an identity, which may be valid for hours yet.
    fn tell((latest, changed): &(Mutex<Latest>, Condvar), news: Result<Credentials, String>) {
        let mut latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
        if news.is_ok() || !matches!(*latest, Some(Ok(_))) {
            *latest = Some(news);
        }
        changed.notify_all();
    }

    fn signed(
        region: &str,
        identity: &Credentials,
        now: SystemTime,
    ) -> Result<OAuthToken, Box<dyn Error>> {
        let principal = identity.access_key_id().to_owned();
        let identity = identity.clone().into();
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(TOKEN_LIFE);
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("kafka-cluster")
            .time(now)
            .settings(settings)
            .build()?;
        let mut url =
            format!("https://kafka.{region}.amazonaws.com/?Action=kafka-cluster%3AConnect");
        let request = SignableRequest::new(
            "GET",
            url.as_str(),
            std::iter::empty(),
            SignableBody::Bytes(&[]),
        )?;
        let (instructions, _) = sign(request, &parameters.into())?.into_parts();
        for (name, value) in instructions.params() {
            url.push_str(&format!("&{name}={}", in_query(value)));
        }
        url.push_str("&User-Agent=roomlog");
        let ends = now.duration_since(UNIX_EPOCH)? + TOKEN_LIFE;
        Ok(OAuthToken {
            token: BASE64_URL_SAFE_NO_PAD.encode(url),
            principal_name: principal,
            lifetime_ms: i64::try_from(ends.as_millis())?,
        })
    }

    /// RFC 3986: everything but the unreserved characters is escaped.
    fn in_query(value: &str) -> String {
        value.bytes().fold(String::new(), |mut text, byte| {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    text.push(char::from(byte));
                }
                _ => text.push_str(&format!("%{byte:02X}")),
            }
            text
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// The signature was made with another implementation (botocore) from the same values.
        #[test]
        fn a_token_is_the_signed_request_for_a_connection() {
            let identity = Credentials::new(
                "AKIDEXAMPLE",
                "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                Some("session/+=".to_owned()),
                None,
                "test",
            );
            let now = UNIX_EPOCH + Duration::from_secs(1_763_700_000);
            let token = signed("eu-central-1", &identity, now).expect("signs");
            let url = BASE64_URL_SAFE_NO_PAD.decode(&token.token).expect("base64");
            let url = String::from_utf8(url).expect("text");
            assert!(url.starts_with(
                "https://kafka.eu-central-1.amazonaws.com/?Action=kafka-cluster%3AConnect&"
            ));
            for part in [
                "X-Amz-Credential=AKIDEXAMPLE%2F20251121%2Feu-central-1%2Fkafka-cluster%2Faws4_request",
                "X-Amz-Expires=900",
                "X-Amz-Security-Token=session%2F%2B%3D",
                "X-Amz-Signature=1bd260210bbcdae30b294ce9b7e2bbd2e81d69928c62648ce09fa4e5eaf9120c",
            ] {
                assert!(url.contains(part), "{part} is not in {url}");
            }
            assert_eq!(token.lifetime_ms, 1_763_700_900_000);
        }
    }
}
