//! Schema ids from a registry that gives its own.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};

use crate::{
    behaviour::tools::{TOOL_LIMIT, lines},
    harness::{
        Frame, System,
        system::{Shape, Stack},
    },
};

/// An id that is nobody's built-in one.
const FOREIGN_ID: u32 = 70_001;

/// A registry that knows no schema until one is registered.
async fn registry() -> (String, Arc<AtomicBool>) {
    let registered = Arc::<AtomicBool>::default();
    let routes = Router::new()
        .route("/subjects/{subject}", post(lookup))
        .route("/subjects/{subject}/versions", post(register))
        .with_state(Arc::clone(&registered));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("a port"));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (address, registered)
}

async fn lookup(
    State(registered): State<Arc<AtomicBool>>,
    Path(subject): Path<String>,
) -> Response {
    if registered.load(Ordering::SeqCst) {
        return Json(json!({ "id": id_of(&subject) })).into_response();
    }
    let problem = json!({"error_code": 40401, "message": "Subject not found."});
    (StatusCode::NOT_FOUND, Json(problem)).into_response()
}

async fn register(
    State(registered): State<Arc<AtomicBool>>,
    Path(subject): Path<String>,
    Json(asked): Json<Value>,
) -> Response {
    assert!(
        asked["schema"]
            .as_str()
            .is_some_and(|schema| schema.contains("roomlog"))
    );
    registered.store(subject.contains("reads"), Ordering::SeqCst);
    Json(json!({ "id": id_of(&subject) })).into_response()
}

fn id_of(subject: &str) -> u32 {
    FOREIGN_ID + u32::from(subject.contains("reads"))
}

#[tokio::test]
async fn values_are_framed_with_the_ids_of_the_registry() {
    let (address, registered) = registry().await;
    let shape = Shape::single(Stack::Real { brokers: 1 });
    let system = System::start_with(shape, &[("ROOMLOG_REGISTRY_URL", &address)]).await;
    assert!(registered.load(Ordering::SeqCst));
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, _) = alice.watches(&room).await;
    client.request(Frame::send(&room, "hello")).await;
    assert!(client.message(&room).await.text().contains("hello"));

    let with_registry = lines(system.tool(&["replay", "--room", &room])).await;
    assert_eq!(with_registry.last().expect("events")["text"], "hello");
    let mut without = system.tool(&["replay", "--room", &room]);
    without
        .variables
        .retain(|(name, _)| name != "ROOMLOG_REGISTRY_URL");
    let unreadable = lines(without).await;
    assert!(unreadable.iter().all(|event| event["type"] == "unreadable"));
}

#[tokio::test]
async fn a_registry_that_refuses_the_schema_stops_the_start() {
    let refusing = Router::new().fallback(|| async { (StatusCode::CONFLICT, "incompatible") });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("a port"));
    tokio::spawn(async move { axum::serve(listener, refusing).await });
    let system = System::start(Shape::single(Stack::Real { brokers: 1 })).await;
    let mut gateway = system.tool(&["gateway", "--listen", "127.0.0.1:0"]);
    gateway
        .variables
        .push(("ROOMLOG_REGISTRY_URL".into(), address));
    let errors = gateway.folder.join("gateway.stderr.log");
    let (code, _) = gateway.run_to_exit(TOOL_LIMIT).await;
    let said = std::fs::read_to_string(errors).expect("its standard error");
    assert!(code.is_some_and(|code| code != 0), "{said}");
    assert!(
        said.contains("ROOMLOG_REGISTRY_URL") && said.contains("incompatible"),
        "{said}"
    );
}
