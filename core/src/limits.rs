//! Every bound a client can meet, with its default. All are configurable and served at `GET /api/v1/limits`.

/// The bounds in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message's text; beyond: refusal `too-large`.
    pub text_bytes_max: usize,
    /// Bytes of a frame's body; beyond: ERROR `frame-too-large` and close 1009.
    pub frame_body_bytes_max: usize,
    /// Headers of a frame; beyond: `frame-too-large`.
    pub headers_max: usize,
    /// Bytes of one header line; beyond: `frame-too-large`.
    pub header_line_bytes_max: usize,
    /// Bytes of a frame's headers together; beyond: `frame-too-large`.
    pub headers_bytes_max: usize,
    /// Bytes of a frame before CONNECT is answered; beyond: `frame-too-large`.
    pub unauthenticated_frame_bytes_max: usize,
    /// Bytes of one WebSocket message; beyond: close 1009.
    pub websocket_message_bytes_max: usize,
    /// Bytes of a message's `meta`; beyond: `too-large`.
    pub meta_bytes_max: usize,
    /// Users named in one message; beyond: `too-large`.
    pub mentions_max: usize,
    /// Files on one message; beyond: `too-large`.
    pub attachments_max: usize,
    /// Bytes of one file; beyond: `too-large`.
    pub attachment_bytes_max: u64,
    /// Bytes of a profile image; beyond: `too-large`.
    pub avatar_bytes_max: u64,
    /// A client's own headers kept with an event; beyond: `bad-request`.
    pub own_headers_max: usize,
    /// Bytes of those headers together; beyond: `bad-request`.
    pub own_headers_bytes_max: usize,
    /// Subscriptions of one connection; beyond: `too-many`.
    pub subscriptions_max: usize,
    /// Open transactions of one connection; beyond: `too-many`.
    pub transactions_max: usize,
    /// Frames held by one transaction; beyond: `too-many`.
    pub transaction_frames_max: usize,
    /// Sustained SENDs a second of one user; beyond: `too-many`.
    pub sends_per_second: u32,
    /// SENDs of one user at once; beyond: `too-many`.
    pub sends_burst: u32,
    /// Sustained REST requests a second of one user, [`Self::REQUESTS_BURST_S`] seconds' worth at once; 0 means any
    /// number; beyond: `too-many`.
    pub requests_per_second: u32,
    /// Sustained frames a second of one connection, [`Self::FRAMES_BURST_S`] seconds' worth at once; 0 means any number;
    /// beyond, the connection is read no faster.
    pub frames_per_second: u32,
    /// Sustained SUBSCRIBEs a second of one connection, beyond `subscriptions_max` at once; 0 means any number; beyond:
    /// `too-many`.
    pub subscribes_per_second: u32,
    /// Log-ins and sign-ups a minute from one address; 0 means any number; beyond: `too-many`.
    pub sign_ins_per_minute: u32,
    /// Guests a minute from one address; 0 means any number; beyond: `too-many`.
    pub guests_per_minute: u32,
    /// WebSocket connections and token renewals a minute from one address; 0 means any number; beyond: `too-many`.
    pub connects_per_minute: u32,
    /// Rooms one user may be in; beyond: `too-many`.
    pub rooms_per_user_max: usize,
    /// Members of one room; beyond: `too-many`. Joins at the same moment may pass it by their number.
    pub members_per_room_max: usize,
    /// Connections of one user at once; 0 means any number; beyond: `too-many`.
    pub connections_per_user_max: usize,
    /// Milliseconds from the upgrade to CONNECT; beyond: close 1008.
    pub connect_timeout_ms: u64,
    /// Messages a SUBSCRIBE may ask for by `history`; beyond: `bad-request`.
    pub history_max: u64,
    /// Events a subscription may be behind and still be resumed; beyond: `reset`.
    pub resume_events_max: u64,
}

impl Limits {
    /// Seconds' worth of REST requests at once: an application that opens asks for much.
    pub const REQUESTS_BURST_S: u32 = 5;
    /// Seconds' worth of frames at once.
    pub const FRAMES_BURST_S: u32 = 2;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            text_bytes_max: 16 << 10,
            frame_body_bytes_max: 64 << 10,
            headers_max: 64,
            header_line_bytes_max: 8 << 10,
            headers_bytes_max: 16 << 10,
            unauthenticated_frame_bytes_max: 16 << 10,
            websocket_message_bytes_max: 128 << 10,
            meta_bytes_max: 4 << 10,
            mentions_max: 50,
            attachments_max: 10,
            attachment_bytes_max: 25 << 20,
            avatar_bytes_max: 2 << 20,
            own_headers_max: 16,
            own_headers_bytes_max: 2 << 10,
            subscriptions_max: 256,
            transactions_max: 16,
            transaction_frames_max: 100,
            sends_per_second: 20,
            sends_burst: 50,
            requests_per_second: 50,
            frames_per_second: 500,
            subscribes_per_second: 20,
            sign_ins_per_minute: 60,
            guests_per_minute: 120,
            connects_per_minute: 1_200,
            rooms_per_user_max: 5_000,
            members_per_room_max: 100_000,
            connections_per_user_max: 10,
            connect_timeout_ms: 10_000,
            history_max: 500,
            resume_events_max: 10_000,
        }
    }
}
