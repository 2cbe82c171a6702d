//! The admin listener: health, readiness and metrics of a process. Not for the public.

use std::net::SocketAddr;

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::{readiness::Readiness, shutdown::Shutdown};

/// What the admin endpoints answer from.
#[derive(Clone)]
pub struct Admin {
    readiness: Readiness,
    metrics: PrometheusHandle,
}

// === impl Admin ===

impl Admin {
    /// Answers for this process.
    pub fn new(readiness: Readiness, metrics: PrometheusHandle) -> Self {
        Self { readiness, metrics }
    }

    /// `/health/live`, `/health/ready` and `/metrics`.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/health/live", get(|| async { StatusCode::OK }))
            .route("/health/ready", get(ready))
            .route("/metrics", get(metrics))
            .with_state(self)
    }

    /// `/metrics` alone, for a listener that tells its health itself.
    pub fn figures(self) -> Router {
        Router::new()
            .route("/metrics", get(metrics))
            .with_state(self)
    }

    /// Serves until shutdown; answers with the bound address at once.
    ///
    /// # Errors
    /// When the address can't be bound.
    pub async fn serve(
        self,
        listen: SocketAddr,
        shutdown: &Shutdown,
    ) -> std::io::Result<SocketAddr> {
        let listener = tokio::net::TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        self.readiness.serves("admin", address.to_string());
        let stop = shutdown.clone();
        tokio::spawn(async move {
            let served = axum::serve(listener, self.routes())
                .with_graceful_shutdown(async move { stop.begun().await })
                .await;
            if let Err(error) = served {
                tracing::error!(%error, "the admin listener failed");
            }
        });
        Ok(address)
    }
}

async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    let waiting_for = admin.readiness.waiting_for();
    let status = if admin.readiness.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(serde_json::json!({ "waiting_for": waiting_for })),
    )
}

async fn metrics(State(admin): State<Admin>) -> String {
    admin.metrics.run_upkeep();
    admin.metrics.render()
}
