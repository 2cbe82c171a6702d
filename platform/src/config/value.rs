//! Values that know what they expect, so that a wrong one is refused with the reason.

use std::{fmt, net::SocketAddr, time::Duration};

use reqwest::Url;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::error::HIDDEN;

/// A time span, written as a whole number and a unit: `250ms`, `15s`, `5m`, `24h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// An address to listen on: `127.0.0.1:8080`, `0.0.0.0:0`, `[::1]:8080`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

/// A share of the whole, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio(pub f64);

/// A text that no log, error or debug print shows.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// How brokers are spoken to, under Kafka's own names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SecurityProtocol {
    /// Neither encrypted nor signed in.
    Plaintext,
    /// TLS; the client may show a certificate of its own.
    Ssl,
    /// Signed in over an open connection. For a private network only.
    SaslPlaintext,
    /// Signed in over TLS.
    SaslSsl,
}

/// How the process signs in to brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum SaslMechanism {
    /// User and password as they are (RFC 4616).
    #[serde(rename = "PLAIN")]
    Plain,
    /// A proof of the password (RFC 5802, RFC 7677).
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// The same with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// A request to Amazon MSK signed by the process's AWS identity, sent as an OAuth bearer token.
    #[serde(rename = "AWS_MSK_IAM")]
    AwsMskIam,
}

/// What [`web_address`] takes, for refusals.
pub(crate) const WEB_ADDRESS_EXPECTED: &str = "expected http://host:port or https://host";

/// Where an HTTP server may answer; `None` for anything else.
pub(crate) fn web_address(text: &str) -> Option<Url> {
    let address = Url::parse(text).ok()?;
    let is_web = matches!(address.scheme(), "http" | "https") && address.has_host();
    is_web.then_some(address)
}

// === impl SecurityProtocol ===

impl SecurityProtocol {
    /// Whether connections are encrypted.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether the client signs in.
    pub fn is_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    /// Kafka's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }
}

// === impl SaslMechanism ===

impl SaslMechanism {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::AwsMskIam => "OAUTHBEARER",
        }
    }

    /// Whether a user and a password are needed.
    pub fn has_password(self) -> bool {
        self != Self::AwsMskIam
    }
}

// === impl Span ===

impl Span {
    /// The span in whole milliseconds.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// Parses a whole number and a unit; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = text[..digits].parse().ok()?;
        let unit_ms = match &text[digits..] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        number
            .checked_mul(unit_ms)
            .map(|ms| Self(Duration::from_millis(ms)))
    }
}

impl fmt::Display for Span {
    /// As it is written, in the largest unit that gives a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.as_millis();
        let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        let whole = units
            .iter()
            .find(|(unit, _)| ms > 0 && ms.is_multiple_of(*unit));
        match whole {
            Some((unit, name)) => write!(f, "{}{name}", ms / unit),
            None if ms == 0 => f.write_str("0s"),
            None => write!(f, "{ms}ms"),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?)
            .ok_or_else(|| D::Error::custom("expected a whole number and ms, s, m or h, like 15s"))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

// === impl Ratio ===

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let share = f64::deserialize(deserializer)?;
        if (0.0..=1.0).contains(&share) {
            Ok(Self(share))
        } else {
            Err(D::Error::custom("expected a number from 0 to 1"))
        }
    }
}

// === impl Address ===

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map(Self)
            .map_err(|_| D::Error::custom("expected an IP address and a port, like 127.0.0.1:8080"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

// === impl Secret ===

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for whoever must use it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_and_a_unit() {
        assert_eq!(Span::parse("250ms"), Some(Span(Duration::from_millis(250))));
        assert_eq!(Span::parse("24h"), Some(Span(Duration::from_secs(86_400))));
        for bad in [
            "",
            "5",
            "s",
            "-1s",
            "1.5s",
            "5 s",
            "99999999999999999999h",
            "18446744073709551615h",
        ] {
            assert_eq!(Span::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_span_is_shown_as_it_is_written() {
        for text in ["250ms", "1s", "90s", "15m", "24h", "0s"] {
            let span = Span::parse(text).expect("a span");
            assert_eq!(span.to_string(), text);
        }
    }

    #[test]
    fn a_secret_stays_hidden() {
        let secret = Secret::new("hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert!(!serde_json::json!(secret).to_string().contains("hunter2"));
    }
}
