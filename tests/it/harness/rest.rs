//! REST as a user of it sees it: a status and a JSON body.

use std::time::Instant;

use reqwest::{Client, Method, StatusCode, header::HeaderMap};
use serde_json::Value;

use super::{documented, wait::SOON};

/// One gateway's REST interface, as somebody or as nobody.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    http: String,
    token: Option<String>,
    client: Client,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) media_type: String,
    headers: HeaderMap,
    pub(crate) body: Value,
}

// === impl Rest ===

impl Rest {
    pub(crate) fn new(http: &str, token: Option<&str>) -> Self {
        let client = Client::builder()
            .timeout(SOON)
            .no_proxy()
            .build()
            .expect("a client");
        Self {
            http: http.into(),
            token: token.map(String::from),
            client,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None, &[]).await
    }

    /// A message that took long to come back is asked for again under its id until its seq is told, as any client does.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        let deadline = Instant::now() + SOON;
        let first = Some(body.clone());
        let mut answer = self.ask(Method::POST, path, first, &[]).await;
        let is_message = path.ends_with("/messages");
        while is_message && answer.status == StatusCode::ACCEPTED && Instant::now() < deadline {
            let mut again = body.clone();
            again["id"] = answer.body["id"].clone();
            answer = self.ask(Method::POST, path, Some(again), &[]).await;
        }
        answer
    }

    /// A path without a leading slash is below `/api/v1/`. Fails where the gateway can't be reached.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let asked = format!("{method} {path}");
        self.try_ask(method, path, body, headers)
            .await
            .unwrap_or_else(|error| panic!("{asked}: {error}"))
    }

    /// The same, where not being reached is an answer too.
    pub(crate) async fn try_ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> reqwest::Result<Answer> {
        let path = match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/api/v1/{path}"),
        };
        let mut request = self
            .client
            .request(method.clone(), format!("{}{path}", self.http));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let media_type = answer
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or_default().to_owned();
        let headers = answer.headers().clone();
        let text = answer.text().await?;
        let answer = Answer {
            status,
            media_type,
            headers,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        };
        documented::check(&method, &path, &answer);
        Ok(answer)
    }
}

// === impl Answer ===

impl Answer {
    /// The body of a success; anything else is a failure.
    pub(crate) fn ok(self) -> Value {
        assert!(self.status.is_success(), "{self:?}");
        self.body
    }

    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A header's value; a missing header is a failure.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.find(name)
            .unwrap_or_else(|| panic!("no header {name} in {self:?}"))
    }

    /// The status and code of a refusal, which must be a problem document.
    pub(crate) fn refusal(&self) -> (u16, &str) {
        assert!(
            self.media_type.starts_with("application/problem+json"),
            "{self:?}"
        );
        // RFC 9457, section 3.1.2: the document names the status it came with.
        assert_eq!(self.body["status"], self.status.as_u16(), "{self:?}");
        (
            self.status.as_u16(),
            self.body["code"].as_str().unwrap_or_default(),
        )
    }
}
