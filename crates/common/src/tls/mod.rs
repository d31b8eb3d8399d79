//! TLS: certificates from files, new ones taken when the files change.

mod certificate;
mod connect;

use std::io;
use std::sync::{Arc, Once};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use certificate::Certificate;
pub use certificate::CertificateError;
pub use connect::Connector;

use crate::config::Tls;
use crate::serve::Socket;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Accepts TLS 1.2 and 1.3 with the site's present certificate.
#[derive(Debug, Clone)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    certificate: Arc<Certificate>,
}

impl Acceptor {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// A file cannot be read or holds nothing of use, or key and certificate do not match.
    pub fn open(files: &Tls) -> Result<Self, CertificateError> {
        provide();
        let certificate = Arc::new(Certificate::open(files)?);
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificate) as _);
        Ok(Self { config: Arc::new(config), certificate })
    }

    /// Takes these files from now on (SIGHUP). If they do not hold, the old certificate stays.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn reload(&self, files: &Tls) -> Result<(), CertificateError> {
        self.certificate.replace(files)
    }

    /// Takes new files whenever there are some, until `stop`. A bad new pair is logged, once, and
    /// the old one stays.
    pub(crate) async fn watch(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            match self.certificate.look() {
                Ok(false) => {}
                Ok(true) => info!("new certificate taken"),
                Err(error) => error!(%error, "new certificate refused, the old one stays"),
            }
        }
    }

    pub(crate) async fn accept(&self, socket: Socket) -> io::Result<TlsStream<Socket>> {
        tokio_rustls::TlsAcceptor::from(Arc::clone(&self.config)).accept(socket).await
    }
}

/// Makes aws-lc-rs the cryptography of this process.
pub(crate) fn provide() {
    static PROVIDED: Once = Once::new();
    PROVIDED.call_once(|| {
        // An error says that there is one already; there is only one that we could have set.
        let _ = aws_lc_rs::default_provider().install_default();
    });
}
