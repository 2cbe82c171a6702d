//! A schema registry for a development system: the built-in schemas over the registry's common REST calls, so that a
//! consumer is written against the same interface as in production. It takes no others.

use axum::{
    Json, Router,
    extract::Path,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use roomlog_platform::shutdown::Shutdown;
use roomlog_schemas::{Subject, subjects};
use serde::Deserialize;
use serde_json::json;

/// Codes of the registry's interface for things it does not have.
const SUBJECT_NOT_FOUND: u32 = 40_401;
const SCHEMA_NOT_FOUND: u32 = 40_403;

#[derive(Deserialize)]
struct Asked {
    schema: String,
}

/// Serves until shutdown; answers with the address.
pub(super) async fn serve(shutdown: &Shutdown) -> anyhow::Result<String> {
    let routes = Router::new()
        .route("/subjects", get(|| async { Json(names()) }))
        .route("/schemas/ids/{id}", get(schema))
        .route("/subjects/{subject}", post(lookup))
        .route("/subjects/{subject}/versions/{version}", get(version));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let stop = shutdown.clone();
    tokio::spawn(async move {
        let served =
            axum::serve(listener, routes).with_graceful_shutdown(async move { stop.begun().await });
        if let Err(error) = served.await {
            tracing::error!(%error, "the schema registry failed");
        }
    });
    Ok(format!("http://{address}"))
}

fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = subjects().iter().map(|subject| subject.name).collect();
    names.dedup();
    names
}

async fn schema(Path(id): Path<u32>) -> Response {
    let found = subjects().into_iter().find(|subject| subject.id == id);
    answer(
        found,
        SCHEMA_NOT_FOUND,
        |subject| json!({ "schema": subject.schema }),
    )
}

/// The subject's version that has a schema.
async fn lookup(Path(name): Path<String>, Json(asked): Json<Asked>) -> Response {
    let is_it = |subject: &&Subject| subject.name == name && subject.schema == asked.schema;
    let found = subjects().into_iter().find(is_it);
    answer(found, SCHEMA_NOT_FOUND, described)
}

/// One version by its number; anything else, as `latest`, is the newest.
async fn version(Path((name, version)): Path<(String, String)>) -> Response {
    let mut of_name = subjects()
        .into_iter()
        .filter(|subject| subject.name == name);
    let found = match version.parse::<u32>() {
        Ok(number) => of_name.find(|subject| subject.version == number),
        Err(_) => of_name.next_back(),
    };
    answer(found, SUBJECT_NOT_FOUND, described)
}

fn described(subject: &Subject) -> serde_json::Value {
    json!({
        "subject": subject.name,
        "version": subject.version,
        "id": subject.id,
        "schema": subject.schema,
    })
}

fn answer(
    found: Option<&Subject>,
    missing: u32,
    body: impl Fn(&Subject) -> serde_json::Value,
) -> Response {
    match found {
        Some(subject) => Json(body(subject)).into_response(),
        None => {
            let problem = json!({"error_code": missing, "message": "not found"});
            (StatusCode::NOT_FOUND, Json(problem)).into_response()
        }
    }
}
