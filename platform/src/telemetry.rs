//! Logs, metrics and traces of a process, set up once at its start.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::global;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use thiserror::Error;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{LevelFilter, filter_fn},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::config::{LogFormat, Process};

/// Upper bounds of latency histograms, in seconds: fine around the goals (0.5 to 5 ms), coarse up to a minute.
const LATENCY_BUCKETS_S: &[f64] = &[
    0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0,
    60.0,
];

/// Why telemetry can't be set up.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The log filter can't be parsed.
    #[error(
        "ROOMLOG_LOG: the value {0:?} can't be used: expected a level, or target=level joined by commas"
    )]
    Filter(String),
    /// Something already collects logs or metrics in this process.
    #[error("telemetry is already set up: {0}")]
    Taken(String),
    /// The trace exporter can't be made.
    #[error("the trace exporter can't be made: {0}")]
    Traces(String),
}

/// Telemetry of this process. Keep it until the end: dropped, pending spans are sent.
pub struct Telemetry {
    /// What `/metrics` renders.
    pub metrics: PrometheusHandle,
    traces: Option<SdkTracerProvider>,
}

// === impl Telemetry ===

impl Telemetry {
    /// Starts logging to stderr, collecting metrics and, where configured, sending traces.
    ///
    /// # Errors
    /// See [`TelemetryError`].
    pub fn start(service: &'static str, process: &Process) -> Result<Self, TelemetryError> {
        let filter =
            filter(&process.log).ok_or_else(|| TelemetryError::Filter(process.log.clone()))?;
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let lines = match process.log_format {
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
            LogFormat::Text => lines.with_target(false).boxed(),
        };
        let quiet_libraries =
            (filter.max_level_hint() == Some(LevelFilter::TRACE)).then(|| filter_fn(may_be_logged));
        let traces = process
            .otlp_endpoint
            .as_deref()
            .map(|endpoint| trace_provider(service, endpoint, process.trace_ratio.0))
            .transpose()?;
        tracing_subscriber::registry()
            .with(filter)
            .with(quiet_libraries)
            .with(lines)
            .try_init()
            .map_err(|error| TelemetryError::Taken(error.to_string()))?;
        let metrics = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), LATENCY_BUCKETS_S)
            .and_then(PrometheusBuilder::install_recorder)
            .map_err(|error| TelemetryError::Taken(error.to_string()))?;
        crate::metrics::describe();
        if let Some(traces) = &traces {
            global::set_tracer_provider(traces.clone());
        }
        Ok(Self { metrics, traces })
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        let failed = self.traces.take().map(|traces| traces.shutdown());
        if let Some(Err(error)) = failed {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// The filter that a setting stands for; `None` where an entry names no level. The library would take the name of an
/// unknown level for a target and log nothing else.
pub(crate) fn filter(setting: &str) -> Option<EnvFilter> {
    let entries = || setting.split(',').map(str::trim);
    let level = |entry: &str| entry.rsplit('=').next().unwrap_or(entry).to_owned();
    let is_known = entries().all(|entry| level(entry).parse::<LevelFilter>().is_ok());
    let joined = entries().collect::<Vec<_>>().join(",");
    is_known.then(|| EnvFilter::try_new(joined).ok()).flatten()
}

/// Libraries trace whole frames and requests, with the tokens and texts in them. No filter makes these visible.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::DEBUG || metadata.target().starts_with("roomlog")
}

fn trace_provider(
    service: &'static str,
    endpoint: &str,
    ratio: f64,
) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| TelemetryError::Traces(error.to_string()))?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
            ratio,
        ))))
        .with_resource(Resource::builder().with_service_name(service).build())
        .build())
}
