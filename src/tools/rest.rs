//! The tools' REST client: one gateway, one user, and errors a person can act on.

use anyhow::{Context as _, bail};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::cli::{Client, Settings};

/// One user's view of one gateway.
pub(crate) struct Rest {
    http: reqwest::Client,
    base: String,
    token: String,
}

// === impl Rest ===

impl Rest {
    /// Acts as the user the options name.
    pub(crate) fn new(client: &Client, settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self::with(
            &client.url,
            super::token::of_client(client, settings)?,
        ))
    }

    /// Acts with this token on this gateway.
    pub(crate) fn with(url: &str, token: String) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: url.trim_end_matches('/').to_owned(),
            token,
        }
    }

    /// A request to a path below `/api/v1`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}/api/v1{path}", self.base))
            .bearer_auth(&self.token)
    }

    /// Sends it and answers with the JSON body.
    ///
    /// # Errors
    /// When the gateway can't be reached, or with the problem it states.
    pub(crate) async fn answer(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        let response = request
            .send()
            .await
            .with_context(|| format!("the gateway at {} can't be reached", self.base))?;
        let status = response.status();
        let body: Value = response.json().await.unwrap_or_default();
        if status.is_success() {
            return Ok(body);
        }
        let text = |field: &str| body[field].as_str().unwrap_or("?").to_owned();
        bail!("{}: {} ({status})", text("code"), text("detail"))
    }
}
