//! The bounds an operator may want to move; every one of them is served at `GET /api/v1/limits`.

use roomlog_core::limits::Limits;

/// What clients may do at most. A rate of 0 means no limit.
#[derive(Clone, Debug, confique::Config)]
pub struct Bounds {
    /// Bytes of a message's text.
    #[config(env = "ROOMLOG_TEXT_BYTES", default = 16384)]
    pub text_bytes: u32,
    /// Bytes of a frame's body. Above the text, so that a text that is too long is refused and does not end the
    /// connection.
    #[config(env = "ROOMLOG_FRAME_BODY_BYTES", default = 65536)]
    pub frame_body_bytes: u32,
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
    /// Subscriptions of one connection.
    #[config(env = "ROOMLOG_SUBSCRIPTIONS", default = 256)]
    pub subscriptions: u32,
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
    /// The bounds clients meet, those of other sections at their defaults.
    pub(super) fn limits(&self) -> Limits {
        let defaults = Limits::default();
        Limits {
            text_bytes_max: self.text_bytes as usize,
            frame_body_bytes_max: self.frame_body_bytes as usize,
            websocket_message_bytes_max: defaults
                .websocket_message_bytes_max
                .max(2 * self.frame_body_bytes as usize),
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
            ..defaults
        }
    }
}
