//! TLS towards other servers.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::client::TlsStream;

use crate::serve::Socket;

/// Begins TLS as a client.
#[derive(Debug, Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
}

impl Connector {
    /// Takes any certificate.
    ///
    /// RFC 7435: mail between servers goes in clear where there is no TLS, so one that attacks
    /// can always have it in clear by hiding STARTTLS. Refusing the wrong or old certificates that
    /// honest servers have would not stop him; it would only send their mail in clear, or not at
    /// all. Whether a destination says that its certificate counts (DANE, MTA-STS) is not asked.
    #[must_use]
    pub fn opportunistic() -> Self {
        super::provide();
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        let config = ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate { algorithms }))
            .with_no_client_auth();
        Self { config: Arc::new(config) }
    }

    pub(crate) async fn connect(
        &self,
        host: &str,
        socket: Socket,
    ) -> io::Result<TlsStream<Socket>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        tokio_rustls::TlsConnector::from(Arc::clone(&self.config)).connect(name, socket).await
    }
}

/// Believes every certificate, but not that its key is the peer's: signatures are checked.
#[derive(Debug)]
struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
