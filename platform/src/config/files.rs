//! Where files are kept that go with messages, and profile images.

use serde::Serialize;

use super::Secret;

/// Files. Without a bucket none can be uploaded.
#[derive(Clone, Debug, confique::Config, Serialize)]
pub struct Files {
    /// The bucket. Private: everything is reached by presigned requests.
    #[config(env = "ROOMLOG_S3_BUCKET")]
    pub bucket: Option<String>,
    /// Where S3 answers, as clients reach it too; without it, AWS's own address of the region.
    #[config(env = "ROOMLOG_S3_ENDPOINT")]
    pub endpoint: Option<String>,
    /// The region requests are signed for.
    #[config(env = "ROOMLOG_S3_REGION", default = "us-east-1")]
    pub region: String,
    /// The access key's id; without it, the process's own AWS identity signs.
    #[config(env = "ROOMLOG_S3_ACCESS_KEY")]
    pub access_key: Option<String>,
    /// The access key itself.
    #[config(env = "ROOMLOG_S3_SECRET_KEY")]
    pub secret: Option<Secret>,
    /// Media types that go with messages, joined by commas; `image/*` stands for all that begin so. None of them is ever
    /// shown by a browser as a page of ours: files are downloads from S3's own origin.
    #[config(
        env = "ROOMLOG_ATTACHMENT_TYPES",
        default = ["image/*", "audio/*", "video/*", "text/plain", "text/csv", "text/markdown", "application/pdf", "application/zip", "application/json", "application/octet-stream"]
    )]
    pub types: Vec<String>,
}
