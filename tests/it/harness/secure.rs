//! Servers that want TLS and a sign-in, with certificates made for this run.

use std::path::PathBuf;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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
    /// Answers every question until the test ends.
    pub(crate) async fn start() -> Self {
        const ANSWER: &str = r#"{"AccessKeyId":"AKIDCONTAINER","SecretAccessKey":"secret","Token":"token","Expiration":"2100-01-01T00:00:00Z"}"#;
        let port = port::free();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await;
        let listener = listener.expect("a port to listen on");
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut question = [0; 4096];
                let _ = client.read(&mut question).await;
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{ANSWER}",
                    ANSWER.len()
                );
                let _ = client.write_all(answer.as_bytes()).await;
            }
        });
        Self { port }
    }

    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}/credentials", self.port)
    }
}
