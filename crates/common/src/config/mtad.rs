//! The mail transport's settings.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use mail_proto::address::Address;
use serde::{Deserialize, Serialize};

use super::{
    After, Endpoint, HoldRule, MtadListen, NextHop, PostmasterCopy, Role, Span, TlsMode, text,
};

/// The mail transport.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mtad {
    /// Where it listens, when systemd passes no sockets.
    pub listen: Vec<MtadListen>,
    /// The queue's directory.
    pub spool: PathBuf,
    /// lmtp-deliverd's socket.
    pub lmtp: PathBuf,
    /// Where mail for other domains goes: `host:port`, `[host]:port`. Without it such mail waits.
    pub next_hop: Option<NextHop>,
    /// After a first failed attempt; then twice as long each time, up to `retry_max`.
    pub retry_first: Span,
    /// The longest pause between attempts.
    pub retry_max: Span,
    /// A message that still waits after this long is bounced.
    pub lifetime: Span,
    /// A sender is told after this long that its message still waits.
    pub delay_warning: After,
    /// Octets of a message that comes back whole, where its sender asked for that; of a larger one
    /// the header does.
    pub bounce_size: u64,
    /// Of what postmaster gets a copy, with headers only.
    pub notify_postmaster: Vec<PostmasterCopy>,
    /// Messages being delivered at the same time, in all.
    pub deliveries: NonZeroUsize,
    /// Of these, to lmtp-deliverd.
    pub local_deliveries: NonZeroUsize,
    /// Of these, to any one other destination.
    pub destination_deliveries: NonZeroUsize,
    /// Who gets mail for postmaster of every local domain where no such user exists.
    #[serde(deserialize_with = "text::parsed_option", serialize_with = "text::shown_option")]
    pub postmaster: Option<Address>,
    /// Mail that is held when it comes.
    pub hold: Vec<HoldRule>,
}

impl Default for Mtad {
    fn default() -> Self {
        Self {
            listen: vec![
                MtadListen { address: Endpoint::any(25), role: Role::Mx, tls: TlsMode::Starttls },
                MtadListen {
                    address: Endpoint::any(587),
                    role: Role::Submission,
                    tls: TlsMode::Starttls,
                },
                MtadListen {
                    address: Endpoint::any(465),
                    role: Role::Submission,
                    tls: TlsMode::Implicit,
                },
                MtadListen {
                    address: Endpoint::Unix("/run/posthorn/inject.sock".into()),
                    role: Role::Inject,
                    tls: TlsMode::Starttls,
                },
            ],
            spool: "/var/spool/posthorn".into(),
            lmtp: "/run/posthorn/lmtp.sock".into(),
            next_hop: None,
            retry_first: Span::minutes(5),
            retry_max: Span::hours(4),
            lifetime: Span::hours(5 * 24),
            delay_warning: After::Span(Span::hours(4)),
            bounce_size: 50_000,
            notify_postmaster: vec![PostmasterCopy::DoubleBounce],
            deliveries: const { NonZeroUsize::new(256).expect("256 is not 0") },
            local_deliveries: const { NonZeroUsize::new(64).expect("64 is not 0") },
            destination_deliveries: const { NonZeroUsize::new(20).expect("20 is not 0") },
            postmaster: None,
            hold: Vec::new(),
        }
    }
}
