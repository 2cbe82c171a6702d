//! Where a real stack keeps its files: the stand-in for S3, on a thread that outlives the test that began it.

use roomlog_embedded::s3;
use tokio::sync::OnceCell;

const BUCKET: &str = "it-files";
const ACCESS_KEY: &str = "it";
const SECRET_KEY: &str = "the end-to-end tests sign uploads with this";

/// The settings that lead gateways there.
pub(crate) async fn settings() -> [(&'static str, String); 4] {
    static ENDPOINT: OnceCell<String> = OnceCell::const_new();
    let endpoint = ENDPOINT.get_or_init(serve).await;
    [
        ("ROOMLOG_S3_ENDPOINT", endpoint.clone()),
        ("ROOMLOG_S3_BUCKET", BUCKET.into()),
        ("ROOMLOG_S3_ACCESS_KEY", ACCESS_KEY.into()),
        ("ROOMLOG_S3_SECRET_KEY", SECRET_KEY.into()),
    ]
}

async fn serve() -> String {
    let (told, endpoint) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async move {
            let config = s3::Config {
                listen: ([127, 0, 0, 1], 0).into(),
                folder: None,
                bucket: BUCKET.into(),
                access_key: ACCESS_KEY.into(),
                secret_key: SECRET_KEY.into(),
            };
            let server = s3::Server::start(config).await.expect("a free port");
            told.send(format!("http://{}", server.addr()))
                .expect("somebody waits");
            std::future::pending::<()>().await;
        });
    });
    endpoint.await.expect("an address")
}
