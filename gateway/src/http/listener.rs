//! Takes TCP connections and speaks HTTP on them, with bounds that hold before anybody is known.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::service::{Service as _, service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use roomlog_platform::shutdown::Shutdown;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};

use crate::address::Peer;

/// Bytes of a request's head, all headers together; beyond it the request is refused.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// How long a request's head may take to arrive: a connection that says nothing is closed after it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections in HTTP at once, upgraded ones not counted. Beyond it new ones wait in the backlog.
const HTTP_CONNECTIONS_MAX: usize = 8_192;
/// The wait after an accept that failed, usually for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves until the stop, then lets requests under way finish.
pub(super) async fn serve(listener: TcpListener, routes: Router, stop: Shutdown) {
    let permits = Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &permits) => accepted,
            () = stop.begun() => return,
        };
        let Some(((socket, peer), permit)) = accepted else {
            sleep(ACCEPT_RETRY).await;
            continue;
        };
        let (routes, stop) = (routes.clone(), stop.clone());
        tokio::spawn(async move {
            speak(socket, peer, routes, stop).await;
            drop(permit);
        });
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<((TcpStream, SocketAddr), tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok(accepted) => Some((accepted, permit)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            None
        }
    }
}

async fn speak(socket: TcpStream, peer: SocketAddr, routes: Router, stop: Shutdown) {
    // Frames are written whole; waiting for more would only delay them. Without it they are merely later.
    let _ = socket.set_nodelay(true);
    let (routes, peer) = (TowerToHyperService::new(routes), Peer(peer.ip()));
    let routes = service_fn(move |mut request: http::Request<_>| {
        request.extensions_mut().insert(peer);
        routes.call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(socket), routes)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.begun() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}
