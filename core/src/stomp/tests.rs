//! The codec against the numbered requirements of `docs/stomp.md`: each test names those it proves.
#![allow(clippy::unwrap_used)]

mod bodies;
mod escaping;
mod framing;
mod heart_beats;
mod limits;
mod messages;
mod properties;

use super::*;
use crate::limits::Limits;

/// Everything a connection says, whole; or what was whole before the first fault, and the fault.
fn decode_all(bytes: &[u8]) -> (Vec<Frame>, Option<StompError>) {
    decode_pieces(
        Bounds::signed_in(&Limits::default()),
        Version::V1_2,
        &[bytes],
    )
}

/// The same, cut into these pieces.
fn decode_pieces(
    bounds: Bounds,
    version: Version,
    pieces: &[&[u8]],
) -> (Vec<Frame>, Option<StompError>) {
    let mut decoder = Decoder::new(bounds);
    decoder.switch_version(version);
    let mut frames = Vec::new();
    for piece in pieces {
        let mut input = *piece;
        while !input.is_empty() {
            match decoder.decode(&mut input) {
                Ok(frame) => frames.extend(frame),
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

/// The one frame these bytes are.
fn frame(bytes: impl AsRef<[u8]>) -> Frame {
    let (mut frames, fault) = decode_all(bytes.as_ref());
    assert_eq!(fault, None);
    assert_eq!(frames.len(), 1, "{frames:?}");
    frames.remove(0)
}

/// The same in another version.
fn frame_in(version: Version, bytes: impl AsRef<[u8]>) -> Result<Frame, StompError> {
    let bounds = Bounds::signed_in(&Limits::default());
    match decode_pieces(bounds, version, &[bytes.as_ref()]) {
        (mut frames, None) => Ok(frames.remove(0)),
        (_, Some(fault)) => Err(fault),
    }
}

/// The fault in these bytes, which hold no whole frame before it.
fn fault(bytes: impl AsRef<[u8]>) -> Fault {
    let (frames, fault) = decode_all(bytes.as_ref());
    assert_eq!(frames, []);
    fault.expect("a fault").fault
}
