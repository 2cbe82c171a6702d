//! The folder that stands in for S3: the product uses it by the very same calls.

use std::path::Path;

use anyhow::Context as _;
use roomlog_embedded::s3;

/// The bucket, and the name of the key that its requests are signed with.
const BUCKET: &str = "roomlog";
const ACCESS_KEY: &str = "dev";

/// The running stand-in.
pub(super) struct Files {
    server: s3::Server,
    secret: String,
}

/// Serves the files of this data folder, or of this process's memory.
pub(super) async fn serve(data: Option<&Path>, secret: &str) -> anyhow::Result<Files> {
    let config = s3::Config {
        listen: ([127, 0, 0, 1], 0).into(),
        folder: data.map(|folder| folder.join("files")),
        bucket: BUCKET.to_owned(),
        access_key: ACCESS_KEY.to_owned(),
        secret_key: secret.to_owned(),
    };
    let server = s3::Server::start(config)
        .await
        .context("the folder of files")?;
    Ok(Files {
        server,
        secret: secret.to_owned(),
    })
}

// === impl Files ===

impl Files {
    /// What leads a gateway here, unless it is led elsewhere.
    pub(super) fn settings(&self) -> [(&'static str, String); 4] {
        [
            ("s3-endpoint", format!("http://{}", self.server.addr())),
            ("s3-bucket", BUCKET.to_owned()),
            ("s3-access-key", ACCESS_KEY.to_owned()),
            ("s3-secret-key", self.secret.clone()),
        ]
    }
}
