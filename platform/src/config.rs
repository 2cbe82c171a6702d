//! Every configuration key, declared once: its name, default, unit and reason.
//!
//! A value comes from, in rising priority: the default, the file, a `ROOMLOG_*` variable, a flag. The variable
//! `ROOMLOG_KAFKA_BROKERS` is the key `kafka.brokers` in the file and `--kafka-brokers` on the command line.

mod bounds;
mod check;
mod error;
mod files;
mod load;
mod security;
mod value;

pub use bounds::Bounds;
pub use error::ConfigError;
pub use files::Files;
pub use load::{Described, Source, VARIABLE_PREFIX, described, flags, load, load_over, template};
pub use value::{Address, LogFormat, Ratio, SaslMechanism, Secret, SecurityProtocol, Span};
pub(crate) use value::{WEB_ADDRESS_EXPECTED, web_address};

use serde::Serialize;

/// The configuration of a process. A role ignores the sections that are not its own.
#[derive(Clone, Debug, confique::Config, Serialize)]
pub struct Config {
    /// The log.
    #[config(nested)]
    pub kafka: Kafka,
    /// The topics, as `roomlog topics create` makes them.
    #[config(nested)]
    pub topics: Topics,
    /// The store.
    #[config(nested)]
    pub dynamodb: Dynamodb,
    /// The cache.
    #[config(nested)]
    pub redis: Redis,
    /// Tokens: how they are checked and, with a secret, made.
    #[config(nested)]
    pub jwt: Jwt,
    /// Accounts: signing up, logging in, staying signed in.
    #[config(nested)]
    pub accounts: Accounts,
    /// Client connections and REST.
    #[config(nested)]
    pub gateway: Gateway,
    /// What clients may do at most.
    #[config(nested)]
    pub bounds: Bounds,
    /// Files that go with messages.
    #[config(nested)]
    pub files: Files,
    /// Fan-out and where to find it.
    #[config(nested)]
    pub fanout: Fanout,
    /// Who is here. The same for gateways and fanouts.
    #[config(nested)]
    pub presence: Presence,
    /// The process itself.
    #[config(nested)]
    pub process: Process,
}

/// The log.
#[derive(Clone, Debug, confique::Config, Serialize)]
pub struct Kafka {
    /// Bootstrap servers, `host:port` joined by commas.
    #[config(env = "ROOMLOG_KAFKA_BROKERS", default = "127.0.0.1:9092")]
    pub brokers: String,
    /// How long the log may take to acknowledge a record before its fate is called unknown. 15 to 30 s rides out a
    /// leader election.
    #[config(env = "ROOMLOG_KAFKA_MESSAGE_TIMEOUT", default = "15s")]
    pub message_timeout: Span,
    /// Where the schema registry answers; without it schema ids are those the program was built with.
    #[config(env = "ROOMLOG_REGISTRY_URL")]
    pub registry_url: Option<String>,
    /// How brokers are spoken to: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`. TLS needs a program built with
    /// the feature `kafka-tls`, as the image is.
    #[config(env = "ROOMLOG_KAFKA_SECURITY_PROTOCOL", default = "PLAINTEXT")]
    pub security_protocol: SecurityProtocol,
    /// How the process signs in where the protocol has SASL: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`, or
    /// `AWS_MSK_IAM` for its own AWS identity.
    #[config(env = "ROOMLOG_KAFKA_SASL_MECHANISM")]
    pub sasl_mechanism: Option<SaslMechanism>,
    /// Who signs in by PLAIN or SCRAM.
    #[config(env = "ROOMLOG_KAFKA_USERNAME")]
    pub username: Option<String>,
    /// The password of that user.
    #[config(env = "ROOMLOG_KAFKA_PASSWORD")]
    pub password: Option<Secret>,
    /// PEM file of the authorities that brokers' certificates come from; without it, those the system trusts.
    #[config(env = "ROOMLOG_KAFKA_CA_FILE")]
    pub ca_file: Option<String>,
    /// PEM file of this client's own certificate, where brokers ask for one.
    #[config(env = "ROOMLOG_KAFKA_CERTIFICATE_FILE")]
    pub certificate_file: Option<String>,
    /// PEM file of that certificate's key, not encrypted.
    #[config(env = "ROOMLOG_KAFKA_KEY_FILE")]
    pub key_file: Option<String>,
}

/// The topics, as `roomlog topics create` makes them. Fixed for a topic's life: other values mean a new topic.
#[derive(Clone, Debug, confique::Config, Serialize)]
pub struct Topics {
    /// Partitions of `chat.events.v1`. Rooms are spread over them by the hash of their id.
    #[config(env = "ROOMLOG_TOPICS_PARTITIONS", default = 12)]
    pub partitions: u32,
    /// Copies of each partition. Three survive the loss of a broker without losing what was acknowledged.
    #[config(env = "ROOMLOG_TOPICS_REPLICATION", default = 3)]
    pub replication: u16,
    /// Copies that must have a record before it is acknowledged.
    #[config(env = "ROOMLOG_TOPICS_MIN_INSYNC", default = 2)]
    pub min_insync: u16,
    /// How long events stay in the log. Longer than 24 h plus the longest lag allowed, as retries are found in it.
    #[config(env = "ROOMLOG_TOPICS_RETENTION", default = "168h")]
    pub retention: Span,
    /// The duplicate window in offsets of a partition: at least 120 s of a partition's peak rate.
    #[config(env = "ROOMLOG_TOPICS_WINDOW_OFFSETS", default = 131072)]
    pub window_offsets: u32,
}

/// The store.
#[derive(Clone, Debug, confique::Config, Serialize)]
pub struct Dynamodb {
    /// Another endpoint than the region's own, as `http://host:port`.
    #[config(env = "ROOMLOG_DYNAMODB_ENDPOINT")]
    pub endpoint: Option<String>,
    /// The AWS region; without it, the one of the process's environment.
    #[config(env = "ROOMLOG_DYNAMODB_REGION")]
    pub region: Option<String>,
    /// Put before every table's name, so that several systems share an account.
    #[config(env = "ROOMLOG_TABLE_PREFIX", default = "")]
    pub table_prefix: String,
}

/// The cache. All of it can be lost.
#[derive(Clone, Debug, confique::Config, Serialize)]
pub struct Redis {
    /// `redis://user:password@host:port/`, or `rediss://` for TLS. No log shows it, as it may hold a password.
    #[config(env = "ROOMLOG_REDIS_URL", default = "redis://127.0.0.1:6379/")]
    pub url: Secret,
    /// PEM file of the authorities that the server's certificate comes from; without it, those the system trusts.
    #[config(env = "ROOMLOG_REDIS_CA_FILE")]
    pub ca_file: Option<String>,
}

/// Tokens. Exactly one of secret, public key and key set address is given; its kind fixes the algorithm.
#[derive(Clone, Debug, confique::Config, Serialize)]
pub struct Jwt {
    /// HS256 secret, at least 32 bytes. With it this system can make tokens itself (guests, `roomlog token`).
    #[config(env = "ROOMLOG_JWT_SECRET")]
    pub secret: Option<Secret>,
    /// PEM file of an RSA (RS256), P-256 (ES256) or Ed25519 (EdDSA) public key.
    #[config(env = "ROOMLOG_JWT_PUBLIC_KEY_FILE")]
    pub public_key_file: Option<String>,
    /// Address of an identity provider's key set (RFC 7517).
    #[config(env = "ROOMLOG_JWT_JWKS_URL")]
    pub jwks_url: Option<String>,
    /// The issuer a token must name.
    #[config(env = "ROOMLOG_JWT_ISSUER", default = "roomlog")]
    pub issuer: String,
    /// The audience a token must name.
    #[config(env = "ROOMLOG_JWT_AUDIENCE", default = "roomlog")]
    pub audience: String,
    /// How long an access token made here is valid.
    #[config(env = "ROOMLOG_JWT_ACCESS_TTL", default = "1h")]
    pub access_ttl: Span,
}

/// Accounts. They need `jwt.secret`; without it, or switched off, another system says who is who.
#[derive(Clone, Debug, confique::Config, Serialize)]
pub struct Accounts {
    /// Whether people sign up and log in here. Off: the token of an identity provider is the only way in.
    #[config(env = "ROOMLOG_ACCOUNTS", default = true)]
    pub enabled: bool,
    /// How long a sign-in lasts that is not used.
    #[config(env = "ROOMLOG_SESSION_IDLE_TTL", default = "720h")]
    pub session_idle_ttl: Span,
    /// How long a sign-in lasts at most, however often it is renewed (RFC 9700, section 4.14.2).
    #[config(env = "ROOMLOG_SESSION_TTL", default = "2160h")]
    pub session_ttl: Span,
    /// Ids of the users who have the global role `admin` when they log in, joined by commas. Ids, not login names: a
    /// login name belongs to whoever is first to take it.
    #[config(env = "ROOMLOG_ADMINS", default = [])]
    pub admins: Vec<String>,
}

/// Client connections and REST.
#[derive(Clone, Debug, confique::Config, Serialize)]
pub struct Gateway {
    /// Where clients connect. Port 0 takes any free one.
    #[config(env = "ROOMLOG_LISTEN", default = "0.0.0.0:8080")]
    pub listen: Address,
    /// Web origins that may connect beside the gateway's own host, joined by commas; `*` allows any and is for development.
    #[config(env = "ROOMLOG_ALLOWED_ORIGINS", default = [])]
    pub allowed_origins: Vec<String>,
    /// Whether anyone may sign in as a guest by name. Needs `jwt.secret`.
    #[config(env = "ROOMLOG_GUESTS", default = false)]
    pub guests: bool,
    /// A public room that every guest joins at sign-in.
    #[config(env = "ROOMLOG_GUEST_ROOM")]
    pub guest_room: Option<String>,
    /// The heart-beat offered to clients, in both directions. Never below 1 s.
    #[config(env = "ROOMLOG_HEART_BEAT", default = "10s")]
    pub heart_beat: Span,
    /// How long nothing may come from a client, whatever heart-beats it agreed on: after half of it the gateway sends a
    /// WebSocket ping, and who has not even answered that by its end counts as lost. Never below 1 s.
    #[config(env = "ROOMLOG_SILENCE", default = "40s")]
    pub silence: Span,
    /// Over how long a stopping gateway spreads the closing of its connections, so that clients do not come back all at once.
    #[config(env = "ROOMLOG_DRAIN", default = "10s")]
    pub drain: Span,
    /// Sustained SENDs a second of one user.
    #[config(env = "ROOMLOG_SENDS_PER_SECOND", default = 20)]
    pub sends_per_second: u32,
    /// SENDs of one user at once.
    #[config(env = "ROOMLOG_SENDS_BURST", default = 50)]
    pub sends_burst: u32,
    /// Connections of one user at once; 0 means any number.
    #[config(env = "ROOMLOG_CONNECTIONS_PER_USER", default = 10)]
    pub connections_per_user: u32,
}

/// Fan-out and where to find it.
#[derive(Clone, Debug, confique::Config, Serialize)]
pub struct Fanout {
    /// Where gateways attach. Port 0 takes any free one.
    #[config(env = "ROOMLOG_FANOUT_LISTEN", default = "0.0.0.0:7070")]
    pub listen: Address,
    /// The fanout instances a gateway attaches to: `host:port` joined by commas, or one DNS name with a port, all of
    /// whose addresses are used.
    #[config(env = "ROOMLOG_FANOUT", default = ["127.0.0.1:7070"])]
    pub instances: Vec<String>,
    /// The replica group of this fanout: `a` or `b`. Each group covers every partition.
    #[config(env = "ROOMLOG_FANOUT_GROUP", default = "a")]
    pub group: String,
}

/// Who is here. The same for gateways and fanouts.
#[derive(Clone, Debug, confique::Config, Serialize)]
pub struct Presence {
    /// How long the users of a gateway that was lost count as online. Gateways renew their leases three times as often.
    #[config(env = "ROOMLOG_PRESENCE_LEASE", default = "30s")]
    pub lease: Span,
    /// How long a user whose connection broke counts as online: a client that comes back meanwhile neither leaves nor
    /// joins. With the time it takes to notice a broken connection, `gateway.silence`, it should stay below 60 s.
    #[config(env = "ROOMLOG_PRESENCE_HOLD", default = "10s")]
    pub hold: Span,
    /// Rooms with more users online are shown by numbers and a sample of names.
    #[config(env = "ROOMLOG_PRESENCE_NAMES_MAX", default = 200)]
    pub names_max: u32,
}

/// The process itself.
#[derive(Clone, Debug, confique::Config, Serialize)]
pub struct Process {
    /// A stable name of this instance. With it a consumer stays a member of its group over a restart and keeps its
    /// partitions when it returns in time; without it, it leaves at once.
    #[config(env = "ROOMLOG_INSTANCE_ID")]
    pub instance_id: Option<String>,
    /// Where health, readiness and metrics are served. Port 0 takes any free one. Not for the public.
    #[config(env = "ROOMLOG_ADMIN_LISTEN", default = "127.0.0.1:9464")]
    pub admin_listen: Address,
    /// What to log, as `level` or `target=level` joined by commas. Libraries say no more at `trace` than at `debug`, as
    /// they would show tokens and texts.
    #[config(env = "ROOMLOG_LOG", default = "info")]
    pub log: String,
    /// `json`, a line an event, or `text` for people.
    #[config(env = "ROOMLOG_LOG_FORMAT", default = "json")]
    pub log_format: LogFormat,
    /// Where traces are sent by OTLP over gRPC, as `http://host:port`; without it none are.
    #[config(env = "ROOMLOG_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// The share of messages whose way is traced where the client began no trace itself: 0 to 1.
    #[config(env = "ROOMLOG_TRACE_RATIO", default = 0.01)]
    pub trace_ratio: Ratio,
    /// The longest a stopping service may take to finish what it began.
    #[config(env = "ROOMLOG_STOP_TIMEOUT", default = "30s")]
    pub stop_timeout: Span,
}

// === impl Jwt ===

impl Jwt {
    /// Whether nothing is given that tokens could be checked with.
    pub fn has_no_key(&self) -> bool {
        self.secret.is_none() && self.public_key_file.is_none() && self.jwks_url.is_none()
    }
}

// === impl Config ===

impl Config {
    /// The bounds clients meet, with the configured ones in place.
    pub fn limits(&self) -> roomlog_core::limits::Limits {
        roomlog_core::limits::Limits {
            sends_per_second: self.gateway.sends_per_second,
            sends_burst: self.gateway.sends_burst,
            connections_per_user_max: self.gateway.connections_per_user as usize,
            ..self.bounds.limits()
        }
    }
}
