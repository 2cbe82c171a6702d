//! Where fanout instances are found.

use std::{collections::BTreeSet, net::SocketAddr};

use thiserror::Error;

/// Addresses of fanout instances: names are resolved again and again, and every address of a name is an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets(Vec<String>);

/// Why a list of targets can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// An entry without a port, or with a bad one.
    #[error("the fanout address {0:?} can't be used: expected host:port")]
    Address(String),
    /// Nothing in the list.
    #[error("no fanout address is given: expected host:port, joined by commas")]
    Empty,
}

// === impl Targets ===

impl Targets {
    /// Checks a list of `host:port` entries.
    ///
    /// # Errors
    /// When it is empty or an entry has no usable port.
    pub fn parse(entries: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, TargetError> {
        let mut targets = vec![];
        for entry in entries {
            let entry = entry.as_ref().trim();
            let port = entry.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            port.and_then(|(_, port)| port.parse::<u16>().ok())
                .filter(|port| *port != 0)
                .ok_or_else(|| TargetError::Address(entry.to_owned()))?;
            targets.push(entry.to_owned());
        }
        if targets.is_empty() {
            return Err(TargetError::Empty);
        }
        Ok(Self(targets))
    }

    /// Every address the entries stand for now; a name that can't be resolved adds none, this time.
    pub(super) async fn resolve(&self) -> BTreeSet<SocketAddr> {
        let mut addresses = BTreeSet::new();
        for target in &self.0 {
            match tokio::net::lookup_host(target).await {
                Ok(found) => addresses.extend(found),
                Err(error) => tracing::warn!(%target, %error, "a fanout name can't be resolved"),
            }
        }
        addresses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_host_and_a_port() {
        assert!(Targets::parse(["10.0.0.1:7070", "fanout.local:7070", "[::1]:7070"]).is_ok());
        for bad in ["", "fanout", ":7070", "fanout:", "fanout:0", "fanout:99999"] {
            assert_eq!(Targets::parse([bad]), Err(TargetError::Address(bad.into())));
        }
        assert_eq!(
            Targets::parse(Vec::<String>::new()),
            Err(TargetError::Empty)
        );
    }
}
