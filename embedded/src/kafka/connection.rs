//! One client's connection: frames in, frames out, one request at a time and in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::Decodable;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::api::{self, Caller, RequestError};
use super::broker::Broker;
use super::shape::Served;

/// The largest request: sixteen times the largest batch a topic takes by default. A longer one closes the connection.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The smallest request that still has a kind, a version and a number.
const FRAME_BYTES_MIN: usize = 8;

/// Bytes reserved before a frame's bytes arrive; more is reserved as they do, so that a claimed length costs nothing.
const FRAME_BYTES_RESERVED: usize = 16 * 1024;

/// Bytes read from the socket at a time.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// Why a connection is closed from this side.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error("the socket failed")]
    Socket(#[from] io::Error),
    #[error("a request of {0} bytes is not possible")]
    FrameLength(i32),
    #[error("request {api} version {version} is not served")]
    NotServed { api: i16, version: i16 },
    #[error("cannot read the header of the request")]
    Header,
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// Answers requests until the client hangs up or sends what can't be answered.
pub(super) async fn serve(
    broker: Arc<Broker>,
    mut socket: TcpStream,
) -> Result<(), ConnectionError> {
    socket.set_nodelay(true)?;
    let (local, peer) = (socket.local_addr()?, socket.peer_addr()?);
    let (reader, mut writer) = socket.split();
    let mut reader = BufReader::with_capacity(READ_BUFFER_BYTES, reader);
    while let Some(frame) = read_frame(&mut reader).await? {
        // A client that goes while its request waits must not keep a place in a group.
        let reply = tokio::select! {
            // A request that can be answered at once is, even if nobody reads the answer.
            biased;
            reply = answer(&broker, (local, peer), frame) => reply?,
            () = hung_up(&mut reader) => return Ok(()),
        };
        if let Some(reply) = reply {
            writer.write_all(&reply).await?;
        }
    }
    Ok(())
}

/// The next request, or `None` at the end of the stream.
async fn read_frame(
    reader: &mut (impl AsyncBufRead + Unpin),
) -> Result<Option<Bytes>, ConnectionError> {
    if reader.fill_buf().await?.is_empty() {
        return Ok(None);
    }
    let claimed = reader.read_i32().await?;
    let length = usize::try_from(claimed).unwrap_or(0);
    if !(FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&length) {
        return Err(ConnectionError::FrameLength(claimed));
    }
    let mut frame = BytesMut::with_capacity(length.min(FRAME_BYTES_RESERVED));
    let mut rest = reader.take(length as u64);
    while frame.len() < length {
        if rest.read_buf(&mut frame).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    Ok(Some(frame.freeze()))
}

/// Returns when the client has closed the connection. One that has sent its next request meanwhile counts as being there.
async fn hung_up(reader: &mut (impl AsyncBufRead + Unpin)) {
    match reader.fill_buf().await {
        Ok(bytes) if !bytes.is_empty() => std::future::pending().await,
        _ => {}
    }
}

/// The reply to one request, length included; `None` if the client wants none.
async fn answer(
    broker: &Arc<Broker>,
    (local, peer): (SocketAddr, SocketAddr),
    mut frame: Bytes,
) -> Result<Option<BytesMut>, ConnectionError> {
    let mut start = frame.slice(..FRAME_BYTES_MIN);
    let (number, version, correlation) = (start.get_i16(), start.get_i16(), start.get_i32());
    let not_served = ConnectionError::NotServed {
        api: number,
        version,
    };
    let served = ApiKey::try_from(number).ok().and_then(Served::find);
    let Some(served) = served else {
        return Err(not_served);
    };
    if !served.serves(version) {
        // Clients ask with their newest version first, and expect to be told the versions there are.
        return match served.api {
            ApiKey::ApiVersions => Ok(Some(api::versions_unknown(correlation)?)),
            _ => Err(not_served),
        };
    }
    let header = RequestHeader::decode(&mut frame, served.api.request_header_version(version))
        .map_err(|_| ConnectionError::Header)?;
    served.check(version, &frame).map_err(RequestError::from)?;
    let caller = Caller {
        local,
        peer,
        client: header
            .client_id
            .map(|id| id.to_string())
            .unwrap_or_default(),
    };
    let request = api::Request {
        api: served.api,
        version,
        correlation,
        body: frame,
    };
    Ok(api::answer(broker, &caller, request).await?)
}
