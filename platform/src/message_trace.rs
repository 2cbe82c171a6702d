//! A message's way through the services as one distributed trace, carried in the record header `traceparent`
//! (W3C Trace Context, <https://www.w3.org/TR/trace-context/>).
//!
//! The gateway begins the trace, or continues the client's, with a span that ends when the log has the record. Every
//! later station adds a span from the record's append time to the moment the station was done with it.

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, UNIX_EPOCH},
};

use opentelemetry::{
    Context, global,
    propagation::TextMapPropagator as _,
    trace::{Span as _, SpanBuilder, SpanContext, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// The instrumentation scope of these spans.
const SCOPE: &str = "roomlog";
const TRACEPARENT: &str = "traceparent";

/// The first span of a message's way. Ends when it is dropped.
pub struct Publishing {
    /// Nothing is measured where traces are not exported or this one was not sampled.
    _span: Option<global::BoxedSpan>,
    traceparent: Option<String>,
}

// === impl Publishing ===

impl Publishing {
    /// Begins a trace, or continues the one a client named in its `traceparent` if that is well formed.
    pub fn begin(client: Option<&str>) -> Self {
        let parent = client.map(|traceparent| (traceparent, context_of(traceparent)));
        let parent = parent.filter(|(_, context)| context.span().span_context().is_valid());
        let context = parent.as_ref().map(|(_, context)| context.clone());
        let span = start("publish", None, &context.unwrap_or_default());
        if span.span_context().is_sampled() {
            let traceparent = traceparent_of(span.span_context());
            return Self {
                _span: Some(span),
                traceparent,
            };
        }
        // Others may look at a trace that this process doesn't.
        Self {
            _span: None,
            traceparent: parent.map(|(traceparent, _)| traceparent.to_owned()),
        }
    }

    /// What goes into the record's header.
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }
}

impl fmt::Debug for Publishing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Publishing")
            .field(&self.traceparent)
            .finish()
    }
}

/// A station is done with an event that the log has had since `appended_ms` (milliseconds since the Unix epoch).
/// Costs nothing for events without a trace.
pub fn passed(station: &'static str, traceparent: Option<&str>, appended_ms: i64) {
    if let Some(traceparent) = traceparent {
        drop(start(
            station,
            u64::try_from(appended_ms).ok(),
            &context_of(traceparent),
        ));
    }
}

fn start(name: &'static str, started_ms: Option<u64>, parent: &Context) -> global::BoxedSpan {
    let mut builder = SpanBuilder::from_name(name);
    builder.start_time = started_ms.map(|ms| UNIX_EPOCH + Duration::from_millis(ms));
    global::tracer(SCOPE).build_with_context(builder, parent)
}

fn context_of(traceparent: &str) -> Context {
    let headers = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    TraceContextPropagator::new().extract_with_context(&Context::new(), &headers)
}

fn traceparent_of(span: &SpanContext) -> Option<String> {
    let mut headers = HashMap::new();
    let context = Context::new().with_remote_span_context(span.clone());
    TraceContextPropagator::new().inject_context(&context, &mut headers);
    headers.remove(TRACEPARENT)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider};

    use super::*;

    const CLIENTS: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// One test, as the provider is the process's.
    #[test]
    fn stations_join_the_trace_that_a_client_or_the_gateway_began() {
        assert_eq!(Publishing::begin(None).traceparent(), None);
        let passed_on = Publishing::begin(Some(CLIENTS));
        assert_eq!(passed_on.traceparent(), Some(CLIENTS));
        assert_eq!(Publishing::begin(Some("00-nonsense")).traceparent(), None);

        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)))
            .build();
        global::set_tracer_provider(provider);
        assert_eq!(Publishing::begin(None).traceparent(), None, "not sampled");

        let publishing = Publishing::begin(Some(CLIENTS));
        let header = publishing.traceparent().unwrap().to_owned();
        drop(publishing);
        passed("fan out", Some(&header), 1_763_700_000_000);
        passed("persist", None, 0);
        let spans = exporter.get_finished_spans().unwrap();
        let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
        assert_eq!(names, ["publish", "fan out"]);
        for span in &spans {
            let trace = span.span_context.trace_id().to_string();
            assert_eq!(trace, "4bf92f3577b34da6a3ce929d0e0e4736");
        }
        assert_eq!(spans[1].parent_span_id, spans[0].span_context.span_id());
        assert!(header.contains(&spans[0].span_context.span_id().to_string()));
    }
}
