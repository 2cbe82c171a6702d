//! A collector of traces: takes spans over OTLP as a real one does, and shows what came.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

use super::wait;

/// Where services send their spans, for as long as it is kept.
pub(crate) struct Collector {
    address: String,
    received: Received,
    serving: tokio::task::JoinHandle<()>,
}

/// A span that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Station {
    /// The process it is of.
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) span: String,
    /// Empty for the first one of a trace.
    pub(crate) parent: String,
    pub(crate) began_ns: u64,
    pub(crate) ended_ns: u64,
    /// Everything else that it says.
    pub(crate) attributes: BTreeMap<String, String>,
}

#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<Station>>>);

// === impl Collector ===

impl Collector {
    pub(crate) async fn start() -> Self {
        let received = Received::default();
        let listen = "127.0.0.1:0".parse().expect("an address");
        let incoming = TcpIncoming::bind(listen).expect("a port");
        let address = format!("http://{}", incoming.local_addr().expect("a port"));
        let service = TraceServiceServer::new(received.clone());
        let serving = tokio::spawn(async move {
            let server = tonic::transport::Server::builder().add_service(service);
            server
                .serve_with_incoming(incoming)
                .await
                .expect("it serves");
        });
        Self {
            address,
            received,
            serving,
        }
    }

    /// For `ROOMLOG_OTLP_ENDPOINT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Everything that came.
    pub(crate) fn stations(&self) -> Vec<Station> {
        self.received.lock().clone()
    }

    /// The stations of a trace, once there are so many of them, in the order of their names.
    pub(crate) async fn trace(&self, trace: &str, count: usize, limit: Duration) -> Vec<Station> {
        let what = format!("{count} spans of {trace}");
        wait::until(&what, limit, async || {
            let mut found = self.stations();
            found.retain(|station| station.trace == trace);
            found.sort_by(|one, other| one.name.cmp(&other.name));
            (found.len() >= count).then_some(found)
        })
        .await
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

// === impl Received ===

impl Received {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Station>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for of_process in request.into_inner().resource_spans {
            let resource = of_process.resource.unwrap_or_default();
            let said = texts(&resource.attributes);
            let service = said.get("service.name").cloned().unwrap_or_default();
            let spans = of_process.scope_spans.into_iter();
            let stations = spans.flat_map(|scope| scope.spans);
            self.lock()
                .extend(stations.map(|span| station(&service, span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn station(service: &str, span: Span) -> Station {
    let mut attributes = texts(&span.attributes);
    for event in &span.events {
        attributes.insert(format!("event {}", event.name), String::new());
        attributes.extend(texts(&event.attributes));
    }
    Station {
        service: service.to_owned(),
        name: span.name,
        trace: hex(&span.trace_id),
        span: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        began_ns: span.start_time_unix_nano,
        ended_ns: span.end_time_unix_nano,
        attributes,
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let texts = attributes.iter().map(|attribute| {
        let value = attribute.value.as_ref();
        let text = match value.and_then(|value| value.value.as_ref()) {
            Some(Value::StringValue(text)) => text.clone(),
            other => format!("{other:?}"),
        };
        (attribute.key.clone(), text)
    });
    texts.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
