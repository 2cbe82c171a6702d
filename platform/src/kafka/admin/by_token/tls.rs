//! Reaching a broker: the authorities that are trusted, the token, the handshake.

use std::{io, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::kafka::{
    KafkaConfig,
    config::{AUTHORITIES, AUTHORITIES_OF_THE_SYSTEM, REGION},
    token,
    topics::TopicError,
};

/// What every broker is reached with.
///
/// # Errors
/// When the authorities can't be read, or there is no identity to make a token from.
pub(super) async fn prepared(config: &KafkaConfig) -> Result<(TlsConnector, String), TopicError> {
    let authorities = config.properties.get(AUTHORITIES).cloned();
    let region = config.properties.get(REGION).cloned();
    // Both wait: the one for files, the other for the first identity.
    let prepared = tokio::task::spawn_blocking(move || {
        let connector = connector(authorities.as_deref())?;
        let token = token::generate(region.as_deref());
        let token = token.map_err(|error| TopicError::Unavailable(error.to_string()))?;
        Ok((connector, token.token))
    });
    let prepared = prepared.await;
    prepared.map_err(|error| TopicError::Unavailable(error.to_string()))?
}

fn connector(authorities: Option<&str>) -> Result<TlsConnector, TopicError> {
    let unusable = |reason: String| TopicError::Setting(reason);
    let trusted = match authorities {
        None | Some(AUTHORITIES_OF_THE_SYSTEM) => of_the_system(),
        Some(file) => of_file(file).map_err(|reason| unusable(format!("{file}: {reason}")))?,
    };
    if trusted.is_empty() {
        return Err(unusable("no authority is trusted for TLS".into()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Those that can't be read are left out, as other programs do; the handshake fails if it was theirs.
fn of_the_system() -> RootCertStore {
    let mut trusted = RootCertStore::empty();
    trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    trusted
}

fn of_file(file: &str) -> Result<RootCertStore, Box<dyn std::error::Error>> {
    let mut trusted = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file)? {
        trusted.add(certificate?)?;
    }
    Ok(trusted)
}

/// # Errors
/// When the broker can't be reached, or its certificate is not what it must be.
pub(super) async fn connect(
    broker: &str,
    connector: &TlsConnector,
) -> io::Result<TlsStream<TcpStream>> {
    let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let socket = TcpStream::connect(broker).await?;
    socket.set_nodelay(true)?;
    connector
        .connect(name, socket)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("TLS handshake failed: {error}")))
}
