//! The schema registry, through the calls that Confluent's, Apicurio's and Karapace's have in common.

use std::time::Duration;

use roomlog_schemas::{Subject, subjects};
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;

use crate::backoff::Backoff;

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Tries before a start is given up, so that a registry may start beside us.
const TRIES_MAX: u32 = 10;
/// The waits between them, random between these two and doubling.
const TRY_WAIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Why the ids of our schemas can't be had.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// It can't be reached, or answers in a way that may pass.
    #[error("the schema registry does not answer: {0}")]
    Unavailable(String),
    /// It knows the subject and refuses our schema, or does not let us register it.
    #[error("the schema registry refuses the schema of {subject}: {status}: {answer}")]
    Refused {
        /// The subject.
        subject: &'static str,
        /// The HTTP status.
        status: u16,
        /// What it said.
        answer: String,
    },
}

#[derive(Deserialize)]
struct Registered {
    id: u32,
}

/// Asks the registry at `address` for the id of each of our schemas, registers those it does not have, and frames
/// values with its ids from now on. To be called before anything is written or read.
///
/// # Errors
/// See [`RegistryError`]; a registry that does not answer is tried for about half a minute.
pub async fn adopt_ids(address: &str) -> Result<(), RegistryError> {
    let http = reqwest::Client::builder().timeout(CALL_TIMEOUT).build();
    let http = http.map_err(|error| RegistryError::Unavailable(error.to_string()))?;
    for subject in subjects() {
        let mut backoff = Backoff::between(TRY_WAIT.0, TRY_WAIT.1);
        let id = loop {
            match id_of(&http, address, subject).await {
                Ok(id) => break id,
                Err(error @ RegistryError::Refused { .. }) => return Err(error),
                Err(error) if backoff.attempts() >= TRIES_MAX => return Err(error),
                Err(error) => tracing::warn!(%error, "will ask the schema registry again"),
            }
            backoff.wait().await;
        };
        subject.adopt(id);
        tracing::info!(subject = subject.name, id, "schema id");
    }
    Ok(())
}

/// The id of a schema: looked up, or given to it now. Of several services that start at once one registers it; some
/// registries refuse the others, who then find it.
async fn id_of(
    http: &reqwest::Client,
    address: &str,
    subject: &'static Subject,
) -> Result<u32, RegistryError> {
    let base = address.trim_end_matches('/');
    let name = subject.name;
    let known = format!("{base}/subjects/{name}");
    if let Some(id) = ask(http, &known, subject, true).await? {
        return Ok(id);
    }
    let register = format!("{base}/subjects/{name}/versions");
    let registered = match ask(http, &register, subject, false).await {
        Err(refusal @ RegistryError::Refused { .. }) => {
            return ask(http, &known, subject, true).await?.ok_or(refusal);
        }
        other => other?,
    };
    registered.ok_or_else(|| RegistryError::Unavailable("it neither has nor takes a schema".into()))
}

/// Sends the schema; `None` where looking it up found nothing.
async fn ask(
    http: &reqwest::Client,
    url: &str,
    subject: &'static Subject,
    looks_up: bool,
) -> Result<Option<u32>, RegistryError> {
    let gone = |error: reqwest::Error| RegistryError::Unavailable(error.to_string());
    let body = json!({ "schema": subject.schema });
    let mut answer = http.post(url).json(&body).send().await.map_err(gone)?;
    let status = answer.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(gone)? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(RegistryError::Unavailable("its answer is too long".into()));
        }
        bytes.extend_from_slice(&chunk);
    }
    if status.is_success() {
        let registered: Result<Registered, _> = serde_json::from_slice(&bytes);
        let registered = registered.map_err(|error| RegistryError::Unavailable(error.to_string()));
        return registered.map(|registered| Some(registered.id));
    }
    if looks_up && status == http::StatusCode::NOT_FOUND {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if status.is_client_error() {
        return Err(RegistryError::Refused {
            subject: subject.name,
            status: status.as_u16(),
            answer: text,
        });
    }
    Err(RegistryError::Unavailable(format!("{status}: {text}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use axum::{Json, Router, http::StatusCode, response::IntoResponse as _, routing::post};

    use super::*;

    /// A registry in which another service registers the schema just before us, or nobody does.
    async fn refusing(another_wins: bool) -> String {
        let known = Arc::<AtomicBool>::default();
        let knows = Arc::clone(&known);
        let look_up = post(async move || {
            if knows.load(Ordering::SeqCst) {
                return Json(json!({ "id": 7 })).into_response();
            }
            StatusCode::NOT_FOUND.into_response()
        });
        let register = post(async move || {
            known.store(another_wins, Ordering::SeqCst);
            (StatusCode::CONFLICT, "no")
        });
        let routes = Router::new()
            .route("/subjects/{subject}", look_up)
            .route("/subjects/{subject}/versions", register);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        address
    }

    #[tokio::test]
    async fn who_comes_second_takes_the_id_of_who_came_first() {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let subject = subjects()[0];
        let address = refusing(true).await;
        assert_eq!(id_of(&http, &address, subject).await.unwrap(), 7);
        let address = refusing(false).await;
        let refused = id_of(&http, &address, subject).await;
        assert!(matches!(
            refused,
            Err(RegistryError::Refused { status: 409, .. })
        ));
    }
}
