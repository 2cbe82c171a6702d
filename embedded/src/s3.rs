//! A stand-in for S3: the objects of one bucket in a folder or in memory, reached by presigned requests alone.
//!
//! It checks what S3 checks of a presigned request (AWS Signature Version 4, query parameters): the signature over
//! method, path, query and signed headers, and the time until which it is good. Objects are put, read (whole or from
//! a first byte on) and overwritten; there is nothing to list and no access without a signature.

mod shelf;
mod signature;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use tokio_util::sync::CancellationToken;

use self::{
    shelf::{Object, Shelf},
    signature::{Credentials, Query},
};
use crate::{StackError, error::listen};

/// The largest object: well above what the product lets anybody upload, and what memory can hold.
const OBJECT_BYTES_MAX: usize = 64 << 20;

/// What a [`Server`] is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where objects are kept; `None` keeps them in memory.
    pub folder: Option<PathBuf>,
    /// The bucket's name.
    pub bucket: String,
    /// Whose signatures are good.
    pub access_key: String,
    /// What they are made with.
    pub secret_key: String,
}

/// A running S3 endpoint. Dropping it stops it.
pub struct Server {
    addr: SocketAddr,
    stop: CancellationToken,
}

struct Bucket {
    name: String,
    credentials: Credentials,
    shelf: Shelf,
}

/// Why a request is turned down, in S3's words.
#[derive(Clone, Copy, Debug)]
struct Refused(StatusCode, &'static str);

// === impl Server ===

impl Server {
    /// Starts to answer.
    pub async fn start(config: Config) -> Result<Server, StackError> {
        let (listener, addr) = listen(config.listen).await?;
        let bucket = Arc::new(Bucket {
            name: config.bucket,
            credentials: Credentials {
                access_key: config.access_key,
                secret_key: config.secret_key,
            },
            shelf: Shelf::open(config.folder)?,
        });
        let stop = CancellationToken::new();
        let routes = Router::new()
            .fallback(answer)
            .layer(DefaultBodyLimit::max(OBJECT_BYTES_MAX))
            .with_state(bucket);
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move {
            let served = axum::serve(listener, routes).with_graceful_shutdown(stopped);
            if let Err(error) = served.await {
                tracing::error!(%error, "the S3 stand-in ended");
            }
        });
        Ok(Server { addr, stop })
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Answers a request; pages of any origin may make them, as whoever has the address may.
async fn answer(
    State(bucket): State<Arc<Bucket>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut response = match method {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => match bucket.serve(&method, &uri, &headers, body).await {
            Ok(response) => response,
            Err(refused) => refused.into_response(),
        },
    };
    let shown = response.headers_mut();
    for name in ["origin", "methods", "headers"] {
        let name = HeaderName::try_from(format!("access-control-allow-{name}"));
        let value = HeaderValue::from_static(match method {
            Method::OPTIONS => "*, GET, PUT, content-type, if-none-match, range",
            _ => "*",
        });
        if let Ok(name) = name {
            shown.insert(name, value);
        }
    }
    shown.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    response
}

// === impl Bucket ===

impl Bucket {
    async fn serve(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response, Refused> {
        let query = Query::parse(uri.query().unwrap_or_default());
        let now_s = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        self.credentials
            .check(method.as_str(), uri.path(), &query, headers, now_s)?;
        let key = uri.path().strip_prefix('/').and_then(|path| {
            let (bucket, key) = path.split_once('/')?;
            (bucket == self.name && shelf::is_key(key)).then_some(key)
        });
        let key = key.ok_or(Refused(StatusCode::NOT_FOUND, "NoSuchBucket"))?;
        match *method {
            Method::PUT => {
                let is_once = headers.get(header::IF_NONE_MATCH).is_some();
                if is_once && self.shelf.get(key).await?.is_some() {
                    let code = "PreconditionFailed";
                    return Err(Refused(StatusCode::PRECONDITION_FAILED, code));
                }
                let media_type = headers
                    .get(header::CONTENT_TYPE)
                    .and_then(|value| value.to_str().ok());
                let object = Object {
                    media_type: media_type.unwrap_or("binary/octet-stream").to_owned(),
                    bytes: body,
                };
                self.shelf.put(key, object).await?;
                Ok(StatusCode::OK.into_response())
            }
            Method::GET | Method::HEAD => {
                let object = self.shelf.get(key).await?;
                let object = object.ok_or(Refused(StatusCode::NOT_FOUND, "NoSuchKey"))?;
                Ok(shown(object, &query, headers))
            }
            _ => Err(Refused(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed")),
        }
    }
}

/// An object, or the part of it that was asked for, under the headers the address names.
fn shown(object: Object, query: &Query, headers: &HeaderMap) -> Response {
    let total = object.bytes.len();
    let range = headers
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok()?.strip_prefix("bytes=")?.split_once('-'));
    let bounds = range.and_then(|(first, last)| {
        let first: usize = first.parse().ok()?;
        let last = last.parse().unwrap_or(total).min(total.checked_sub(1)?);
        (first <= last).then_some((first, last))
    });
    let (status, bytes) = match bounds {
        Some((first, last)) => (
            StatusCode::PARTIAL_CONTENT,
            object.bytes.slice(first..=last),
        ),
        None => (StatusCode::OK, object.bytes),
    };
    let mut response = (status, bytes).into_response();
    let shown = response.headers_mut();
    let media_type = query.value("response-content-type");
    let media_type = media_type.unwrap_or(object.media_type);
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            shown.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, &media_type);
    if let Some(disposition) = query.value("response-content-disposition") {
        set(header::CONTENT_DISPOSITION, &disposition);
    }
    if let Some(caching) = query.value("response-cache-control") {
        set(header::CACHE_CONTROL, &caching);
    }
    if let Some((first, last)) = bounds {
        set(
            header::CONTENT_RANGE,
            &format!("bytes {first}-{last}/{total}"),
        );
    }
    response
}

// === impl Refused ===

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(status, code) = self;
        let body =
            format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code></Error>");
        let media_type = [(header::CONTENT_TYPE, "application/xml")];
        (status, media_type, body).into_response()
    }
}
