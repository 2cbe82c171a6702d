//! Files in S3: presigned requests for those who may upload and download, and a look at what was uploaded.

use std::time::Duration;

use aws_sdk_dynamodb::config::{ProvideCredentials as _, SharedCredentialsProvider};
use bytes::Bytes;
use reqwest::{StatusCode, header};
use rusty_s3::{
    Bucket, Credentials, S3Action as _, UrlStyle,
    actions::{GetObject, PutObject},
};
use thiserror::Error;

use crate::config::{ConfigError, Files as Config, WEB_ADDRESS_EXPECTED, web_address};

/// How long an upload may begin after it was granted.
pub const UPLOAD_TTL: Duration = Duration::from_secs(5 * 60);
/// The header `if-none-match` of an upload, signed with the rest: S3 takes the first, and turns down (412) whatever else
/// is put to the same address, so that nobody changes a file that was looked at.
pub const UPLOAD_ONCE: &str = "*";
/// How long a download may begin after it was granted.
pub const DOWNLOAD_TTL: Duration = Duration::from_secs(5 * 60);
/// How much of an upload is looked at, in bytes: types are told by less.
const BEGINNING_BYTES: u64 = 512;
/// How long S3 may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The bucket files are in.
#[derive(Debug)]
pub struct Files {
    bucket: Bucket,
    keys: Keys,
    http: reqwest::Client,
}

/// What signs.
#[derive(Debug)]
enum Keys {
    /// The configured key.
    Fixed(Credentials),
    /// The process's own identity, whose keys change.
    Provided(SharedCredentialsProvider),
}

/// How a granted download is shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Media type.
    pub media_type: &'a str,
    /// The name a browser saves it under; `None` shows it in place.
    pub save_as: Option<&'a str>,
    /// `Cache-Control` of the answer.
    pub caching: &'a str,
}

/// What an upload begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// Its first bytes.
    pub bytes: Bytes,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// Why files can't be had.
#[derive(Debug, Error)]
pub enum FilesError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Setting(#[from] ConfigError),
    /// There is no identity to sign with.
    #[error("no credentials to sign with: {0}")]
    Credentials(String),
    /// S3 does not answer, or not as it should.
    #[error("S3 does not answer: {0}")]
    Unavailable(String),
}

// === impl Files ===

impl Files {
    /// The configured bucket, if there is one. Nothing is sent yet.
    ///
    /// # Errors
    /// When the configuration can't be used.
    pub async fn connect(config: &Config) -> Result<Option<Self>, FilesError> {
        let Some(bucket) = bucket(config)? else {
            return Ok(None);
        };
        let keys = match (&config.access_key, &config.secret) {
            (Some(id), Some(secret)) => Keys::Fixed(Credentials::new(id.clone(), secret.reveal())),
            (None, None) => {
                let loaded = aws_config::load_defaults(aws_config::BehaviorVersion::latest());
                let provider = loaded.await.credentials_provider();
                let provider = provider.ok_or_else(|| {
                    FilesError::Credentials("this process has no AWS identity".into())
                })?;
                Keys::Provided(provider)
            }
            _ => {
                return Err(FilesError::Setting(ConfigError::secret(
                    "ROOMLOG_S3_SECRET_KEY",
                    "expected exactly where ROOMLOG_S3_ACCESS_KEY is given",
                )));
            }
        };
        let http = reqwest::Client::builder()
            .timeout(ANSWER_TIMEOUT)
            .no_proxy()
            .build()
            .map_err(|error| FilesError::Unavailable(error.to_string()))?;
        Ok(Some(Self { bucket, keys, http }))
    }

    async fn credentials(&self) -> Result<Credentials, FilesError> {
        match &self.keys {
            Keys::Fixed(keys) => Ok(keys.clone()),
            Keys::Provided(provider) => {
                let keys = provider.provide_credentials().await;
                let keys = keys.map_err(|error| FilesError::Credentials(error.to_string()))?;
                let (id, secret) = (keys.access_key_id(), keys.secret_access_key());
                Ok(match keys.session_token() {
                    Some(token) => Credentials::new_with_token(id, secret, token),
                    None => Credentials::new(id, secret),
                })
            }
        }
    }

    /// An address at which exactly this may be put, within [`UPLOAD_TTL`]: type and size are signed with it, so that S3
    /// turns down anything else.
    ///
    /// # Errors
    /// Without credentials.
    pub async fn upload(
        &self,
        key: &str,
        media_type: &str,
        size_bytes: u64,
    ) -> Result<String, FilesError> {
        let credentials = self.credentials().await?;
        let mut action = PutObject::new(&self.bucket, Some(&credentials), key);
        let headers = action.headers_mut();
        headers.insert("content-length", size_bytes.to_string());
        headers.insert("content-type", media_type.to_owned());
        headers.insert("if-none-match", UPLOAD_ONCE.to_owned());
        Ok(action.sign(UPLOAD_TTL).to_string())
    }

    /// An address at which a file can be had, within [`DOWNLOAD_TTL`].
    ///
    /// # Errors
    /// Without credentials.
    pub async fn download(&self, key: &str, shown: Shown<'_>) -> Result<String, FilesError> {
        let credentials = self.credentials().await?;
        let mut action = GetObject::new(&self.bucket, Some(&credentials), key);
        let query = action.query_mut();
        query.insert("response-content-type", shown.media_type.to_owned());
        query.insert("response-cache-control", shown.caching.to_owned());
        if let Some(name) = shown.save_as {
            query.insert("response-content-disposition", save_as(name));
        }
        Ok(action.sign(DOWNLOAD_TTL).to_string())
    }

    /// What was uploaded there; `None` where nothing was.
    ///
    /// # Errors
    /// When S3 does not answer.
    pub async fn beginning(&self, key: &str) -> Result<Option<Beginning>, FilesError> {
        let credentials = self.credentials().await?;
        let action = GetObject::new(&self.bucket, Some(&credentials), key);
        let unavailable = |error: reqwest::Error| {
            // The address holds a signature, which no log may.
            FilesError::Unavailable(error.without_url().to_string())
        };
        let range = format!("bytes=0-{}", BEGINNING_BYTES - 1);
        let request = self.http.get(action.sign(ANSWER_TIMEOUT * 2));
        let answer = request.header(header::RANGE, range).send().await;
        let answer = answer.map_err(unavailable)?;
        let total = match answer.status() {
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::PARTIAL_CONTENT => answer
                .headers()
                .get(header::CONTENT_RANGE)
                .and_then(|range| range.to_str().ok()?.rsplit_once('/')?.1.parse().ok()),
            StatusCode::OK => answer.content_length(),
            status => return Err(FilesError::Unavailable(format!("status {status}"))),
        };
        let size_bytes =
            total.ok_or_else(|| FilesError::Unavailable("an answer without a size".into()))?;
        Ok(Some(Beginning {
            bytes: answer.bytes().await.map_err(unavailable)?,
            size_bytes,
        }))
    }
}

/// Refuses what no bucket can be reached with. Nothing is sent.
pub(crate) fn check(config: &Config) -> Result<(), ConfigError> {
    bucket(config).map(drop)
}

/// The configured bucket, if there is one.
fn bucket(config: &Config) -> Result<Option<Bucket>, ConfigError> {
    let Some(name) = &config.bucket else {
        return Ok(None);
    };
    let (address, style, refusal) = match &config.endpoint {
        Some(endpoint) => (
            endpoint.clone(),
            UrlStyle::Path,
            ConfigError::value("ROOMLOG_S3_ENDPOINT", endpoint, WEB_ADDRESS_EXPECTED),
        ),
        None => (
            format!("https://s3.{}.amazonaws.com", config.region),
            UrlStyle::VirtualHost,
            ConfigError::value(
                "ROOMLOG_S3_REGION",
                &config.region,
                "expected a region's name, like eu-central-1",
            ),
        ),
    };
    let Some(address) = web_address(&address) else {
        return Err(refusal);
    };
    Bucket::new(address, style, name.clone(), config.region.clone())
        .map(Some)
        .map_err(|_| ConfigError::value("ROOMLOG_S3_BUCKET", name, "expected a bucket's name"))
}

/// `Content-Disposition` with a name of any letters (RFC 6266, RFC 8187).
fn save_as(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_data_and_nothing_else() {
        assert_eq!(
            save_as("a \"b\"\r\nx: é.png"),
            "attachment; filename*=UTF-8''a%20%22b%22%0D%0Ax%3A%20%C3%A9.png"
        );
    }
}
