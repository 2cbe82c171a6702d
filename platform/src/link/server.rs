//! A fanout's side: the settings of its server. What it answers is the fanout's own.

use std::time::Duration;

use futures_util::Future;
use tokio::net::TcpListener;
use tonic::transport::{Server, server::TcpIncoming};

use super::{
    MESSAGE_BYTES_MAX,
    proto::link_server::{Link, LinkServer},
};

/// How often either side asks whether the other is alive.
pub const PING_INTERVAL: Duration = Duration::from_secs(1);

/// How long an answer to that may take: a dead peer is noticed within about 3 s.
pub const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// What may be under way on one stream before its receiver has read it. Beyond, the sender waits and its own bounded
/// queue fills.
pub const WINDOW_BYTES: u32 = 1 << 20;

/// Serves the link until `stop` resolves, then ends its streams in order.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    link: impl Link,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let service = LinkServer::new(link)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    Server::builder()
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .tcp_nodelay(true)
        .add_service(service)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stop)
        .await
}
