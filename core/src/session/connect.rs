//! CONNECT: version, heart-beats and credentials.

use crate::{
    code::{Code, Refusal},
    stomp::{Command, Frame, HeartBeat, Version},
};

use super::{
    action::{Credential, Secret},
    refusal::{Fatal, Trouble, close},
};

/// What CONNECT asks for, agreed as far as that goes without knowing who it is.
#[derive(Debug)]
pub(super) struct Connect {
    pub(super) version: Version,
    /// What the client says about heart-beats.
    pub(super) heart_beat: HeartBeat,
    pub(super) credential: Option<Credential>,
}

// === impl Connect ===

impl Connect {
    /// Reads a connection's first frame. `pinned` is the version the WebSocket subprotocol stands for. The header
    /// `host` is not looked at: there is one virtual host.
    pub(super) fn parse(frame: &Frame, pinned: Option<Version>) -> Result<Self, Trouble> {
        if !matches!(frame.command, Command::Connect | Command::Stomp) {
            return Err(Trouble::protocol(
                Code::BadFrame,
                "the first frame has to be CONNECT",
            ));
        }
        let heart_beat = frame.header("heart-beat").map(HeartBeat::parse).transpose();
        Ok(Self {
            version: negotiate(frame.header("accept-version"), pinned)?,
            heart_beat: heart_beat
                .map_err(|error| Trouble::protocol(Code::BadRequest, error.to_string()))?
                .unwrap_or_default(),
            credential: credential(frame),
        })
    }
}

/// The highest version both sides speak: without `accept-version` the client speaks 1.0 only.
fn negotiate(accept_version: Option<&str>, pinned: Option<Version>) -> Result<Version, Trouble> {
    let accept_version = accept_version.unwrap_or(Version::V1_0.as_str());
    let common = match pinned {
        None => Version::best_of(accept_version),
        Some(only) => Some(only).filter(|only| {
            accept_version
                .split(',')
                .any(|offered| offered == only.as_str())
        }),
    };
    common.ok_or_else(|| {
        let versions = match pinned {
            None => Version::ALL.map(Version::as_str).join(","),
            Some(only) => only.as_str().to_owned(),
        };
        Trouble::Fatal(Fatal {
            refusal: Refusal::new(
                Code::BadRequest,
                format!("no common version, supported are {versions}"),
            ),
            close_code: close::PROTOCOL,
            versions: Some(versions),
        })
    })
}

/// The first credential there is; the others are never looked at, not even when it turns out to be bad.
fn credential(frame: &Frame) -> Option<Credential> {
    authorization(frame).or_else(|| {
        let passcode = frame.header("passcode")?;
        Some(Credential::Passcode(Secret::new(passcode)))
    })
}

/// The header `Authorization`.
pub(super) fn authorization(frame: &Frame) -> Option<Credential> {
    let value = frame.header("Authorization")?;
    Some(Credential::Authorization(Secret::new(value)))
}
