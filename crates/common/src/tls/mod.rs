//! TLS: certificates from files, new ones taken when the files change.

/// Accepts TLS with the site's present certificate.
#[derive(Debug, Clone)]
pub struct Acceptor {}

/// Begins TLS as a client.
#[derive(Debug, Clone)]
pub struct Connector {}
