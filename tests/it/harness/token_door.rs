//! What Amazon MSK has before a broker: TLS, and a sign-in by token, which is a signed request (AWS Signature Version 4,
//! query form).
//!
//! Kafka's own sign-in by token takes signed JSON only, so this stands before a broker that takes anybody. It checks the
//! signature as AWS does, by making it again, and hands on everything after the sign-in as it is.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{self, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::secure::{Certificates, CredentialsAgent};

/// The requests it understands itself; nobody may send another before the sign-in.
const HANDSHAKE: i16 = 17;
const VERSIONS: i16 = 18;
const AUTHENTICATE: i16 = 36;

/// Not signed in.
const AUTHENTICATION_FAILED: i16 = 58;
/// Bytes of a request before the sign-in.
const FRAME_BYTES_MAX: usize = 1 << 16;

/// The door of one broker. Dropped, it takes nobody any more.
pub(crate) struct TokenDoor(JoinHandle<()>);

/// A request or an answer, without its length.
struct Frame(Vec<u8>);

// === impl TokenDoor ===

impl TokenDoor {
    /// Listens on `port` and leads to `broker`, both of this machine.
    pub(crate) async fn open(port: u16, broker: u16, certificates: &Certificates) -> Self {
        let (certificate, key) = certificates.of_the_server();
        let chain = CertificateDer::pem_file_iter(certificate).expect("a certificate");
        let chain = chain.collect::<Result<_, _>>().expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(key).expect("its key");
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a key that fits its certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", port)).await;
        let listener = listener.expect("a port just found free");
        Self(tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                // A client that is sent away or goes ends its own connection only.
                tokio::spawn(async move { serve(client, &acceptor, broker).await });
            }
        }))
    }
}

impl Drop for TokenDoor {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn serve(client: TcpStream, acceptor: &TlsAcceptor, broker: u16) -> io::Result<()> {
    let mut client = acceptor.accept(client).await?;
    let mut broker = TcpStream::connect(("127.0.0.1", broker)).await?;
    loop {
        let request = Frame::read(&mut client).await?;
        match request.kind() {
            VERSIONS => {
                request.write(&mut broker).await?;
                Frame::read(&mut broker).await?.write(&mut client).await?;
            }
            HANDSHAKE => {
                let mechanisms = [&1i32.to_be_bytes()[..], &text("OAUTHBEARER")].concat();
                let body = [&0i16.to_be_bytes()[..], &mechanisms].concat();
                request.answer(&body).write(&mut client).await?;
            }
            AUTHENTICATE => {
                let refusal = refusal(&request.0);
                let (code, reason) = match &refusal {
                    Some(reason) => (AUTHENTICATION_FAILED, text(reason)),
                    None => (0, (-1i16).to_be_bytes().to_vec()),
                };
                // No further bytes, and a session without an end.
                let rest = [0u8; 4 + 8];
                let body = [&code.to_be_bytes()[..], &reason, &rest].concat();
                request.answer(&body).write(&mut client).await?;
                if refusal.is_some() {
                    return Ok(());
                }
                break;
            }
            _ => return Ok(()),
        }
    }
    io::copy_bidirectional(&mut client, &mut broker).await?;
    Ok(())
}

/// As the protocol writes it: its length before it.
fn text(text: &str) -> Vec<u8> {
    let length = i16::try_from(text.len()).expect("a short text");
    [&length.to_be_bytes()[..], text.as_bytes()].concat()
}

// === impl Frame ===

impl Frame {
    async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let length = usize::try_from(from.read_i32().await?).unwrap_or(usize::MAX);
        if !(8..FRAME_BYTES_MAX).contains(&length) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut frame = vec![0; length];
        from.read_exact(&mut frame).await?;
        Ok(Self(frame))
    }

    async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let length = i32::try_from(self.0.len()).expect("a short frame");
        to.write_i32(length).await?;
        to.write_all(&self.0).await?;
        to.flush().await
    }

    fn kind(&self) -> i16 {
        i16::from_be_bytes([self.0[0], self.0[1]])
    }

    /// The answer has the request's number.
    fn answer(&self, body: &[u8]) -> Self {
        Self([&self.0[4..8], body].concat())
    }
}

/// Why who sends this message is not let in.
fn refusal(message: &[u8]) -> Option<String> {
    let message = String::from_utf8_lossy(message);
    let token = message
        .split_once("auth=Bearer ")
        .and_then(|(_, rest)| rest.split_once('\u{1}'));
    let url = token.and_then(|(token, _)| BASE64_URL_SAFE_NO_PAD.decode(token).ok());
    let url = url.and_then(|url| reqwest::Url::parse(&String::from_utf8_lossy(&url)).ok());
    let Some(url) = url else {
        return Some("the token is no address".into());
    };
    let signed = Signed::of(&url);
    let Some(signed) = signed else {
        return Some(format!("the token lacks something: {url}"));
    };
    (signed.signature != signed.expected()).then(|| "Access denied".into())
}

/// A request with what its signature is about.
struct Signed<'a> {
    host: &'a str,
    /// All of the query that is signed, in order.
    query: String,
    date: &'a str,
    /// The day, the region, the service and a fixed word.
    scope: Vec<&'a str>,
    signature: &'a str,
}

// === impl Signed ===

impl<'a> Signed<'a> {
    /// `None` if a part is missing, or it is another key's or request's than a container may connect with.
    fn of(url: &'a reqwest::Url) -> Option<Self> {
        let query = url.query()?;
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(found, _)| *found == name)
                .map(|(_, value)| value)
        };
        let credential: Vec<&str> = value("X-Amz-Credential")?.split("%2F").collect();
        let (key, scope) = credential.split_first()?;
        let is_signed =
            |pair: &&str| !pair.starts_with("X-Amz-Signature=") && !pair.starts_with("User-Agent=");
        let mut pairs: Vec<&str> = query.split('&').filter(is_signed).collect();
        pairs.sort_unstable();
        let is_ours = *key == CredentialsAgent::KEY
            && value("X-Amz-Security-Token") == Some(CredentialsAgent::SESSION)
            && value("Action") == Some("kafka-cluster%3AConnect")
            && value("X-Amz-SignedHeaders") == Some("host")
            && value("X-Amz-Expires") == Some("900")
            && scope.get(2) == Some(&"kafka-cluster");
        is_ours.then_some(Self {
            host: url.host_str()?,
            query: pairs.join("&"),
            date: value("X-Amz-Date")?,
            scope: scope.to_vec(),
            signature: value("X-Amz-Signature")?,
        })
    }

    fn expected(&self) -> String {
        let nothing = hex(&Sha256::digest(b""));
        let request = format!(
            "GET\n/\n{}\nhost:{}\n\nhost\n{nothing}",
            self.query, self.host
        );
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{}\n{}\n{}",
            self.date,
            self.scope.join("/"),
            hex(&Sha256::digest(request))
        );
        let first = format!("AWS4{}", CredentialsAgent::SECRET).into_bytes();
        let key = self.scope.iter().fold(first, |key, part| mac(&key, part));
        hex(&mac(&key, &to_sign))
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
