//! From ready to the end: signals, reload, drain.

use std::sync::{Arc, Mutex, PoisonError};

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::accept::Door;
use super::bind::Bound;
use super::connections::Connections;
use super::{Daemon, StartError};
use crate::config::{self, Site, Source};
use crate::serve::Surroundings;
use crate::tls::Acceptor;

/// A daemon that is ready.
pub(super) struct Life<D> {
    daemon: Arc<D>,
    source: Source,
    site: Arc<Site>,
    shared: Arc<Shared>,
    background: JoinHandle<Result<(), StartError>>,
    signals: Signals,
}

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) connections: Arc<Connections>,
    pub(super) sessions: TaskTracker,
    /// What the next connection gets.
    surroundings: Mutex<Surroundings>,
    stop: CancellationToken,
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl<D: Daemon> Life<D> {
    /// Opens the doors and says READY=1. Runs within the runtime.
    pub(super) fn begin(
        daemon: D,
        source: Source,
        site: Arc<Site>,
        listeners: Vec<Bound<D::Role>>,
    ) -> Result<Self, StartError> {
        let signals = Signals::listen().map_err(|error| StartError {
            what: "cannot listen for signals".into(),
            why: error.to_string(),
            remedy: "Look at the limit for open files".into(),
        })?;
        let shared = Arc::new(Shared::new(&site)?);
        let daemon = Arc::new(daemon);
        let doors: Vec<_> = listeners.into_iter().map(Door::open).collect::<Result<_, _>>()?;
        for door in doors {
            tokio::spawn(door.accept(Arc::clone(&daemon), Arc::clone(&shared)));
        }
        if let Some(acceptor) = shared.surroundings().tls {
            tokio::spawn(acceptor.watch(shared.stop.clone()));
        }
        let background = tokio::spawn(Arc::clone(&daemon).background(shared.surroundings()));
        notify(&[NotifyState::Ready]);
        info!("ready");
        Ok(Self { daemon, source, site, shared, background, signals })
    }

    /// Lives until SIGTERM or SIGINT; then no more is accepted, sessions say goodbye, and what
    /// is not over after `limits.drain` is cut off.
    pub(super) async fn go_on(mut self) -> Result<(), StartError> {
        let mut works = true;
        loop {
            tokio::select! {
                _ = self.signals.hangup.recv() => self.reload(),
                _ = self.signals.terminate.recv() => break,
                _ = self.signals.interrupt.recv() => break,
                ended = &mut self.background, if works => match ended {
                    Ok(Ok(())) => works = false,
                    Ok(Err(error)) => {
                        self.drain(false).await;
                        return Err(error);
                    }
                    Err(error) => return Err(background_died(&error)),
                },
            }
        }
        self.drain(works).await;
        Ok(())
    }

    async fn drain(&mut self, works: bool) {
        let limit = self.site.limits.drain.duration();
        info!(connections = self.shared.connections.open(), "stopping");
        notify(&[NotifyState::Stopping]);
        self.shared.stop.cancel();
        self.shared.sessions.close();
        let ended = timeout(limit, async {
            self.shared.sessions.wait().await;
            if works {
                let _ = (&mut self.background).await;
            }
        });
        let left = ended.await.err().map(|_| self.shared.connections.open());
        let panics = self.shared.connections.panics();
        match left {
            Some(connections) => warn!(connections, panics, "stopped; limits.drain was over"),
            None => info!(panics, "stopped"),
        }
    }

    /// A configuration with mistakes changes nothing.
    fn reload(&mut self) {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            notify(&[NotifyState::Reloading, now]);
        }
        match config::load(&self.source) {
            Ok(site) => self.take(Arc::new(site)),
            Err(mistakes) => {
                for mistake in mistakes.0 {
                    error!("{mistake}");
                }
                error!("the configuration has mistakes; what held before goes on");
            }
        }
        notify(&[NotifyState::Ready]);
    }

    fn take(&mut self, site: Arc<Site>) {
        if let Err(error) = self.shared.reload(&site) {
            error!("{error}");
        }
        match self.daemon.reload(Arc::clone(&site)) {
            Ok(()) => info!("configuration taken, for new sessions"),
            Err(error) => error!("{error}"),
        }
        self.site = site;
    }
}

impl Shared {
    fn new(site: &Site) -> Result<Self, StartError> {
        let stop = CancellationToken::new();
        let tls = match &site.tls {
            Some(files) => Some(Acceptor::open(files).map_err(|error| no_tls(&error))?),
            None => None,
        };
        let surroundings = Surroundings {
            tls,
            connect_tls: None,
            stop: stop.clone(),
            write_patience: site.limits.patience.duration(),
        };
        Ok(Self {
            connections: Connections::new(site.limits.connections),
            sessions: TaskTracker::new(),
            surroundings: Mutex::new(surroundings),
            stop,
        })
    }

    pub(super) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    pub(super) fn surroundings(&self) -> Surroundings {
        self.surroundings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Certificate and patience for new sessions. A certificate that does not hold is refused and
    /// the old one stays.
    fn reload(&self, site: &Site) -> Result<(), StartError> {
        let mut surroundings = self.surroundings.lock().unwrap_or_else(PoisonError::into_inner);
        surroundings.write_patience = site.limits.patience.duration();
        match (&site.tls, &surroundings.tls) {
            (Some(files), Some(acceptor)) => {
                acceptor.reload(files).map_err(|error| no_tls(&error))?;
            }
            (Some(files), None) => {
                let acceptor = Acceptor::open(files).map_err(|error| no_tls(&error))?;
                tokio::spawn(acceptor.clone().watch(self.stop.clone()));
                surroundings.tls = Some(acceptor);
            }
            (None, Some(_)) => warn!("[tls] is gone; the certificate stays until a restart"),
            (None, None) => {}
        }
        Ok(())
    }
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "cannot tell systemd how it goes");
    }
}

fn no_tls(error: &crate::tls::CertificateError) -> StartError {
    StartError {
        what: "the certificate does not hold".into(),
        why: error.to_string(),
        remedy: "Correct the files, or tls.certificate and tls.key".into(),
    }
}

fn background_died(error: &tokio::task::JoinError) -> StartError {
    StartError {
        what: "the work besides connections ended".into(),
        why: error.to_string(),
        remedy: "This is a fault of the program; the lines before tell where".into(),
    }
}
