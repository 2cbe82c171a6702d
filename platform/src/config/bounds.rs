//! The bounds an operator may want to move; every one of them is served at `GET /api/v1/limits`.

use std::{ops::RangeInclusive, time::Duration};

use roomlog_core::limits::Limits;
use serde::Serialize;

use super::{ConfigError, Span};

/// Bytes of a text, of `meta` or of own headers beyond which a record does not fit into the log: brokers take 1 MiB by
/// default, with everything around it.
const RECORD_BYTES: u64 = 900_000;

/// Bytes of a frame beyond which a few connections would take a gateway's memory.
const FRAME_BYTES: u64 = 16 << 20;

/// Shorter, and slow networks never get in; longer, and silent connections pile up.
const CONNECT_TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);

/// What clients may do at most. A rate of 0 means no limit.
#[derive(Clone, Debug, confique::Config, Serialize)]
pub struct Bounds {
    /// Bytes of a message's text.
    #[config(env = "ROOMLOG_TEXT_BYTES", default = 16384)]
    pub text_bytes: u32,
    /// Bytes of a frame's body. Above the text, so that a text that is too long is refused and does not end the
    /// connection.
    #[config(env = "ROOMLOG_FRAME_BODY_BYTES", default = 65536)]
    pub frame_body_bytes: u32,
    /// Headers of a frame.
    #[config(env = "ROOMLOG_HEADERS", default = 64)]
    pub headers: u32,
    /// Bytes of one line of a frame's headers. A token on CONNECT is one.
    #[config(env = "ROOMLOG_HEADER_LINE_BYTES", default = 8192)]
    pub header_line_bytes: u32,
    /// Bytes of a frame's headers together.
    #[config(env = "ROOMLOG_HEADERS_BYTES", default = 16384)]
    pub headers_bytes: u32,
    /// Bytes of a frame before its client is signed in. Four of them may wait for that.
    #[config(env = "ROOMLOG_UNAUTHENTICATED_FRAME_BYTES", default = 16384)]
    pub unauthenticated_frame_bytes: u32,
    /// Bytes of one WebSocket message, which may hold several frames. Without it, two frames' bodies, and 128 KiB at
    /// least.
    #[config(env = "ROOMLOG_WEBSOCKET_MESSAGE_BYTES")]
    pub websocket_message_bytes: Option<u32>,
    /// How long a client may take from its connection to CONNECT.
    #[config(env = "ROOMLOG_CONNECT_TIMEOUT", default = "10s")]
    pub connect_timeout: Span,
    /// Bytes of a message's `meta`.
    #[config(env = "ROOMLOG_META_BYTES", default = 4096)]
    pub meta_bytes: u32,
    /// Users named in one message.
    #[config(env = "ROOMLOG_MENTIONS", default = 50)]
    pub mentions: u32,
    /// Files on one message.
    #[config(env = "ROOMLOG_ATTACHMENTS", default = 10)]
    pub attachments: u32,
    /// Bytes of one file.
    #[config(env = "ROOMLOG_ATTACHMENT_BYTES", default = 26214400)]
    pub attachment_bytes: u64,
    /// Bytes of a profile image.
    #[config(env = "ROOMLOG_AVATAR_BYTES", default = 2097152)]
    pub avatar_bytes: u64,
    /// A client's own headers that are kept with a message.
    #[config(env = "ROOMLOG_OWN_HEADERS", default = 16)]
    pub own_headers: u32,
    /// Bytes of those headers together.
    #[config(env = "ROOMLOG_OWN_HEADERS_BYTES", default = 2048)]
    pub own_headers_bytes: u32,
    /// Subscriptions of one connection.
    #[config(env = "ROOMLOG_SUBSCRIPTIONS", default = 256)]
    pub subscriptions: u32,
    /// Open transactions of one connection.
    #[config(env = "ROOMLOG_TRANSACTIONS", default = 16)]
    pub transactions: u32,
    /// Frames held by one transaction.
    #[config(env = "ROOMLOG_TRANSACTION_FRAMES", default = 100)]
    pub transaction_frames: u32,
    /// Messages that a SUBSCRIBE may ask for by `history`.
    #[config(env = "ROOMLOG_HISTORY", default = 500)]
    pub history: u32,
    /// Rooms one user may be in.
    #[config(env = "ROOMLOG_ROOMS_PER_USER", default = 5000)]
    pub rooms_per_user: u32,
    /// Members of one room.
    #[config(env = "ROOMLOG_MEMBERS_PER_ROOM", default = 100000)]
    pub members_per_room: u32,
    /// Events a subscription may be behind and still be resumed; beyond, its client gets a `reset`. Fanouts read no more
    /// than 10000 from the log again, so a larger number rests on Redis and DynamoDB alone.
    #[config(env = "ROOMLOG_RESUME_EVENTS", default = 10000)]
    pub resume_events: u64,
    /// REST requests a second of one user at this gateway, sustained; five seconds' worth at once. Messages have the
    /// rate of SENDs instead.
    #[config(env = "ROOMLOG_REQUESTS_PER_SECOND", default = 50)]
    pub requests_per_second: u32,
    /// Frames a second of one connection, sustained; two seconds' worth at once. Beyond it nothing is refused: the
    /// gateway reads no faster.
    #[config(env = "ROOMLOG_FRAMES_PER_SECOND", default = 500)]
    pub frames_per_second: u32,
    /// SUBSCRIBEs a second of one connection, sustained, beyond as many at once as it may hold.
    #[config(env = "ROOMLOG_SUBSCRIBES_PER_SECOND", default = 20)]
    pub subscribes_per_second: u32,
    /// Log-ins and sign-ups a minute from one address (an IPv4 address or an IPv6 /64), all at once or spread; of one
    /// account, from one address, a sixth of it.
    #[config(env = "ROOMLOG_SIGN_INS_PER_MINUTE", default = 60)]
    pub sign_ins_per_minute: u32,
    /// Guests a minute from one address. Above the log-ins: a classroom comes from one address.
    #[config(env = "ROOMLOG_GUESTS_PER_MINUTE", default = 120)]
    pub guests_per_minute: u32,
    /// WebSocket connections and token renewals a minute from one address.
    #[config(env = "ROOMLOG_CONNECTS_PER_MINUTE", default = 1200)]
    pub connects_per_minute: u32,
    /// How many proxies of one's own lie between clients and gateways, each of which adds to `X-Forwarded-For`. With
    /// too few, all clients have the proxy's address; with too many, clients choose their own.
    #[config(env = "ROOMLOG_TRUSTED_PROXIES", default = 0)]
    pub trusted_proxies: u32,
}

// === impl Bounds ===

impl Bounds {
    /// Refuses bounds under which nothing works, or that stand against one another.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (key, value, range) in self.ranges() {
            if !range.contains(&value) {
                let expected = format!("expected {} up to {}", range.start(), range.end());
                return Err(ConfigError::value(key, value, &expected));
            }
        }
        let wait = self.connect_timeout;
        if !CONNECT_TIMEOUT.contains(&wait.0) {
            let key = "ROOMLOG_CONNECT_TIMEOUT";
            return Err(ConfigError::value(key, wait, "expected 1s up to 5m"));
        }
        Ok(())
    }

    /// The keys with least and greatest values that make sense, in the order they are looked at.
    fn ranges(&self) -> [(&'static str, u64, RangeInclusive<u64>); 15] {
        let row = |key, value: u32, range| (key, u64::from(value), range);
        let (text, body) = (self.text_bytes.into(), self.frame_body_bytes.into());
        let message = self.websocket_message_bytes_max() as u64;
        [
            row("ROOMLOG_TEXT_BYTES", self.text_bytes, 1..=RECORD_BYTES),
            row(
                "ROOMLOG_FRAME_BODY_BYTES",
                self.frame_body_bytes,
                text..=FRAME_BYTES,
            ),
            row("ROOMLOG_META_BYTES", self.meta_bytes, 2..=RECORD_BYTES),
            row("ROOMLOG_HEADERS", self.headers, 16..=1_000),
            row(
                "ROOMLOG_HEADER_LINE_BYTES",
                self.header_line_bytes,
                256..=FRAME_BYTES,
            ),
            row(
                "ROOMLOG_HEADERS_BYTES",
                self.headers_bytes,
                self.header_line_bytes.into()..=FRAME_BYTES,
            ),
            row(
                "ROOMLOG_UNAUTHENTICATED_FRAME_BYTES",
                self.unauthenticated_frame_bytes,
                1_024..=FRAME_BYTES,
            ),
            (
                "ROOMLOG_WEBSOCKET_MESSAGE_BYTES",
                message,
                body..=2 * FRAME_BYTES,
            ),
            row("ROOMLOG_OWN_HEADERS", self.own_headers, 0..=1_000),
            row(
                "ROOMLOG_OWN_HEADERS_BYTES",
                self.own_headers_bytes,
                0..=RECORD_BYTES,
            ),
            row("ROOMLOG_SUBSCRIPTIONS", self.subscriptions, 1..=65_536),
            row("ROOMLOG_TRANSACTIONS", self.transactions, 1..=1_000),
            row(
                "ROOMLOG_TRANSACTION_FRAMES",
                self.transaction_frames,
                1..=1_000,
            ),
            row("ROOMLOG_HISTORY", self.history, 1..=10_000),
            ("ROOMLOG_RESUME_EVENTS", self.resume_events, 1..=1_000_000),
        ]
    }

    fn websocket_message_bytes_max(&self) -> usize {
        let by_body = 2 * self.frame_body_bytes as usize;
        let least = Limits::default().websocket_message_bytes_max;
        self.websocket_message_bytes
            .map_or(by_body.max(least), |bytes| bytes as usize)
    }

    /// The bounds clients meet, those of other sections at their defaults.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            text_bytes_max: self.text_bytes as usize,
            frame_body_bytes_max: self.frame_body_bytes as usize,
            headers_max: self.headers as usize,
            header_line_bytes_max: self.header_line_bytes as usize,
            headers_bytes_max: self.headers_bytes as usize,
            unauthenticated_frame_bytes_max: self.unauthenticated_frame_bytes as usize,
            websocket_message_bytes_max: self.websocket_message_bytes_max(),
            connect_timeout_ms: self.connect_timeout.as_millis(),
            own_headers_max: self.own_headers as usize,
            own_headers_bytes_max: self.own_headers_bytes as usize,
            transactions_max: self.transactions as usize,
            transaction_frames_max: self.transaction_frames as usize,
            history_max: self.history.into(),
            meta_bytes_max: self.meta_bytes as usize,
            mentions_max: self.mentions as usize,
            attachments_max: self.attachments as usize,
            attachment_bytes_max: self.attachment_bytes,
            avatar_bytes_max: self.avatar_bytes,
            subscriptions_max: self.subscriptions as usize,
            rooms_per_user_max: self.rooms_per_user as usize,
            members_per_room_max: self.members_per_room as usize,
            resume_events_max: self.resume_events,
            requests_per_second: self.requests_per_second,
            frames_per_second: self.frames_per_second,
            subscribes_per_second: self.subscribes_per_second,
            sign_ins_per_minute: self.sign_ins_per_minute,
            guests_per_minute: self.guests_per_minute,
            connects_per_minute: self.connects_per_minute,
            ..Limits::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Config, load};
    use super::*;

    fn with(key: &str, value: &str) -> Result<Config, ConfigError> {
        load(None, [(key.to_owned(), value.to_owned())], &BTreeMap::new())
    }

    #[test]
    fn without_settings_the_bounds_are_those_of_the_core() {
        let config = load(None, [], &BTreeMap::new()).expect("valid");
        assert_eq!(config.limits(), Limits::default());
    }

    #[test]
    fn every_bound_of_a_frame_can_be_moved() {
        let moved = |key: &str, value: &str| with(key, value).expect(key).limits();
        assert_eq!(moved("ROOMLOG_HEADERS", "99").headers_max, 99);
        assert_eq!(
            moved("ROOMLOG_HEADER_LINE_BYTES", "999").header_line_bytes_max,
            999
        );
        assert_eq!(
            moved("ROOMLOG_HEADERS_BYTES", "9999").headers_bytes_max,
            9_999
        );
        let frame = moved("ROOMLOG_UNAUTHENTICATED_FRAME_BYTES", "9999");
        assert_eq!(frame.unauthenticated_frame_bytes_max, 9_999);
        let message = moved("ROOMLOG_WEBSOCKET_MESSAGE_BYTES", "99999");
        assert_eq!(message.websocket_message_bytes_max, 99_999);
        let body = moved("ROOMLOG_FRAME_BODY_BYTES", "100000");
        assert_eq!(body.websocket_message_bytes_max, 200_000);
        assert_eq!(
            moved("ROOMLOG_CONNECT_TIMEOUT", "9s").connect_timeout_ms,
            9_000
        );
        assert_eq!(moved("ROOMLOG_OWN_HEADERS", "9").own_headers_max, 9);
        assert_eq!(
            moved("ROOMLOG_OWN_HEADERS_BYTES", "99").own_headers_bytes_max,
            99
        );
        assert_eq!(moved("ROOMLOG_TRANSACTIONS", "9").transactions_max, 9);
        assert_eq!(
            moved("ROOMLOG_TRANSACTION_FRAMES", "9").transaction_frames_max,
            9
        );
        assert_eq!(moved("ROOMLOG_HISTORY", "99").history_max, 99);
    }

    #[test]
    fn a_bound_under_which_nothing_works_is_refused() {
        for (key, value, expected) in [
            ("ROOMLOG_TEXT_BYTES", "0", "expected 1 up to"),
            ("ROOMLOG_FRAME_BODY_BYTES", "9", "expected 16384 up to"),
            ("ROOMLOG_HEADERS", "2", "expected 16 up to 1000"),
            ("ROOMLOG_HEADERS_BYTES", "4096", "expected 8192 up to"),
            (
                "ROOMLOG_WEBSOCKET_MESSAGE_BYTES",
                "9",
                "expected 65536 up to",
            ),
            ("ROOMLOG_CONNECT_TIMEOUT", "0s", "expected 1s up to 5m"),
            ("ROOMLOG_HISTORY", "10001", "expected 1 up to 10000"),
        ] {
            let error = with(key, value).expect_err(key).to_string();
            for part in [key, value, expected] {
                assert!(error.contains(part), "{part} is not in: {error}");
            }
        }
    }
}
