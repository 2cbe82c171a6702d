//! Servers that want TLS and a sign-in, with certificates made for this run.

use std::path::PathBuf;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[cfg(feature = "msk-iam")]
use super::token_door::TokenDoor;
use super::{
    kafka, port,
    process::{Process, Program},
    scratch, tools, wait,
};

/// Who signs in to the servers.
pub(crate) const USER: &str = "roomlog";
/// Their password.
pub(crate) const PASSWORD: &str = "canary-8Zq2-open-sesame";

/// An authority, and a certificate from it for this machine.
pub(crate) struct Certificates {
    folder: PathBuf,
}

/// A Kafka node whose clients come by TLS and sign in by SCRAM-SHA-512 or PLAIN. Dropped, it is killed.
pub(crate) struct SecureKafka {
    _process: Process,
    port: u16,
}

/// A Kafka node whose clients come by TLS and sign in by token, as those of Amazon MSK do. Dropped, it is killed.
#[cfg(feature = "msk-iam")]
pub(crate) struct TokenKafka {
    _process: Process,
    _door: TokenDoor,
    port: u16,
    inner: u16,
}

/// A Redis that takes TLS only, with a password. Dropped, it is killed.
pub(crate) struct SecureRedis {
    _process: Process,
    port: u16,
}

/// Hands out AWS credentials as a container's agent does.
pub(crate) struct CredentialsAgent {
    port: u16,
}

// === impl Certificates ===

impl Certificates {
    pub(crate) async fn make() -> Self {
        let folder = scratch::folder("certificates");
        Program {
            name: "certificates".into(),
            path: tools::in_repository("tests/servers/certificates"),
            arguments: vec![folder.display().to_string()],
            variables: Vec::new(),
            folder: folder.clone(),
        }
        .run(wait::SOON)
        .await;
        Self { folder }
    }

    /// The authority's certificate.
    pub(crate) fn authority(&self) -> String {
        self.file("ca.pem")
    }

    /// The server's certificate, and its key.
    #[cfg(feature = "msk-iam")]
    pub(crate) fn of_the_server(&self) -> (String, String) {
        (self.file("server.pem"), self.file("server.key"))
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

// === impl SecureKafka ===

impl SecureKafka {
    pub(crate) async fn start(certificates: &Certificates) -> Self {
        let folder = scratch::folder("secure-kafka");
        std::fs::copy(
            certificates.file("server-and-key.pem"),
            folder.join("server-and-key.pem"),
        )
        .expect("a copy of the certificate");
        let port = port::free();
        let ports = [port, port::free(), port::free()].map(|port| port.to_string());
        let before = [
            folder.display().to_string(),
            tools::path("kafka").join("libs").display().to_string(),
        ];
        Program {
            name: "secure".into(),
            path: tools::in_repository("tests/servers/kafka/secure"),
            arguments: before
                .into_iter()
                .chain(ports)
                .chain([USER.into(), PASSWORD.into()])
                .collect(),
            variables: Vec::new(),
            folder: folder.clone(),
        }
        .run(kafka::START_LIMIT)
        .await;
        let mut process = kafka::broker_program(1, folder).start();
        process
            .says("Kafka Server started", kafka::START_LIMIT)
            .await;
        Self {
            _process: process,
            port,
        }
    }

    pub(crate) fn brokers(&self) -> String {
        format!("localhost:{}", self.port)
    }
}

// === impl TokenKafka ===

#[cfg(feature = "msk-iam")]
impl TokenKafka {
    pub(crate) async fn start(certificates: &Certificates) -> Self {
        let folder = scratch::folder("token-kafka");
        let [port, behind, inner, controller] = [(); 4].map(|()| port::free());
        let before = [folder.display().to_string(), "1".into()];
        Program {
            name: "configure".into(),
            path: tools::in_repository("tests/servers/kafka/configure"),
            arguments: before
                .into_iter()
                .chain([inner, controller].map(|port| port.to_string()))
                .collect(),
            variables: Vec::new(),
            folder: folder.clone(),
        }
        .run(wait::SOON)
        .await;
        // Who came through the door is sent to it again, by the name in its certificate. Of two lines for one setting the
        // last counts.
        let file = folder.join("server.properties");
        let settings = std::fs::read_to_string(&file).expect("its settings");
        let door = format!(
            "listeners=PLAINTEXT://127.0.0.1:{inner},CONTROLLER://127.0.0.1:{controller},DOOR://127.0.0.1:{behind}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{inner},DOOR://localhost:{port}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,DOOR:PLAINTEXT\n\
             inter.broker.listener.name=PLAINTEXT\n"
        );
        std::fs::write(&file, settings + &door).expect("its settings written");
        let mut process = kafka::broker_program(1, folder).start();
        process
            .says("Kafka Server started", kafka::START_LIMIT)
            .await;
        Self {
            _process: process,
            _door: TokenDoor::open(port, behind, certificates).await,
            port,
            inner,
        }
    }

    /// Where one signs in.
    pub(crate) fn brokers(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Where the broker takes anybody, to see what it holds.
    pub(crate) fn inner(&self) -> String {
        format!("127.0.0.1:{}", self.inner)
    }
}

// === impl SecureRedis ===

impl SecureRedis {
    pub(crate) async fn start(certificates: &Certificates) -> Self {
        let port = port::free();
        let arguments = [
            ["--port", "0"],
            ["--tls-port", &port.to_string()],
            ["--tls-cert-file", &certificates.file("server.pem")],
            ["--tls-key-file", &certificates.file("server.key")],
            ["--tls-ca-cert-file", &certificates.authority()],
            ["--tls-auth-clients", "no"],
            ["--requirepass", PASSWORD],
            ["--save", ""],
        ];
        let mut process = Program {
            name: "secure-redis".into(),
            path: "redis-server".into(),
            arguments: arguments.concat().into_iter().map(String::from).collect(),
            variables: Vec::new(),
            folder: scratch::folder("secure-redis"),
        }
        .start();
        process
            .says("Ready to accept connections", wait::SOON)
            .await;
        Self {
            _process: process,
            port,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("rediss://:{PASSWORD}@localhost:{}/", self.port)
    }
}

// === impl CredentialsAgent ===

impl CredentialsAgent {
    /// The id of the key it hands out.
    pub(crate) const KEY: &str = "AKIDCONTAINER";
    /// The key itself.
    pub(crate) const SECRET: &str = "canary-container-secret";
    /// What belongs to a key that ends.
    pub(crate) const SESSION: &str = "token";

    /// Answers every question until the test ends.
    pub(crate) async fn start() -> Self {
        Self::with(Self::SECRET).await
    }

    /// The same with another key under the same id.
    pub(crate) async fn with(secret: &str) -> Self {
        let (key, session) = (Self::KEY, Self::SESSION);
        let answer = format!(
            r#"{{"AccessKeyId":"{key}","SecretAccessKey":"{secret}","Token":"{session}","Expiration":"2100-01-01T00:00:00Z"}}"#
        );
        let port = port::free();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await;
        let listener = listener.expect("a port to listen on");
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut question = [0; 4096];
                let _ = client.read(&mut question).await;
                let response = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
                    answer.len()
                );
                let _ = client.write_all(response.as_bytes()).await;
            }
        });
        Self { port }
    }

    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}/credentials", self.port)
    }
}
