//! A site in a temporary directory: configuration, users, certificates.
//!
//! Always the same one: host `mx.example.org`, domain `example.org`, users ann (`apple`) and bob
//! (`banana`).

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use mail_common::auth::{Auth, User};
use mail_common::config::{self, Mistakes, Source};
use mail_common::maildir::Directory;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

use crate::chat::Heading;
use crate::patience;
use crate::trouble::{SMALL, SmallDisk};

/// The users and their passwords.
pub const USERS: [(&str, &str); 2] = [("ann", "apple"), ("bob", "banana")];

/// The domain of all users.
pub const DOMAIN: &str = "example.org";

/// A site. Gone when dropped.
#[derive(Debug)]
pub struct Site {
    /// Before the directory, which could not be removed otherwise.
    disks: Vec<SmallDisk>,
    directory: TempDir,
}

impl Site {
    /// A site, with these lines of TOML (`mtad.retry_first = "1s"`) over its configuration.
    ///
    /// # Panics
    /// If the temporary directory cannot be written.
    #[must_use]
    pub fn new(lines: &[String]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let site = Self { disks: Vec::new(), directory };
        for name in ["conf.d", "tls", "mail", "spool", "state", "run", "log"] {
            fs::create_dir(site.path(name)).expect("an empty directory");
        }
        let certificates = certificates();
        site.write("tls/ca.pem", &certificates.ca);
        site.write("tls/cert.pem", &certificates.certificate);
        site.write("tls/key.pem", &certificates.key);
        let mut passwd = String::new();
        for (user, password) in USERS {
            writeln!(passwd, "{user}@{DOMAIN}:{{PLAIN}}{password}").expect("takes everything");
        }
        site.write("passwd", &passwd);
        site.write("posthorn.toml", &site.configuration());
        site.write("conf.d/test.toml", &lines.join("\n"));
        site
    }

    /// The site that a chat wants, with the messages that it wants in the mailboxes.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn of(heading: &Heading) -> Self {
        let mut site = Self::new(&heading.config);
        if heading.small_disk {
            let disks = SMALL.iter().map(|name| SmallDisk::mount(&site.path(name)));
            site.disks = disks.collect::<Result<_, _>>().expect("can_happen() was asked");
        }
        if heading.without_tls {
            site.write("posthorn.toml", &site.configuration().replace(&site.tls(), ""));
        }
        for (user, names) in &heading.with {
            for (number, name) in names.iter().enumerate() {
                site.place(user, number, &crate::chat::message(name));
            }
        }
        site
    }

    /// A path below the site's directory.
    #[must_use]
    pub fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    /// The configuration file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.path("posthorn.toml")
    }

    /// The configuration, as a daemon reads it.
    ///
    /// # Panics
    /// If it does not hold.
    #[must_use]
    pub fn config(&self) -> Arc<config::Site> {
        Arc::new(self.try_config().unwrap_or_else(|mistakes| panic!("{mistakes}")))
    }

    /// The configuration, as a daemon reads it.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn try_config(&self) -> Result<config::Site, Mistakes> {
        config::load(&Source { file: self.file(), flags: Vec::new() })
    }

    /// A user, as lmtp-deliverd knows them.
    ///
    /// # Panics
    /// If there is none of this name.
    #[must_use]
    pub fn user(&self, name: &str) -> User {
        let auth = Auth::open(&self.config()).expect("the passwd-file is readable");
        let address = format!("{name}@{DOMAIN}").parse().expect("is an address");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let found = runtime.expect("a runtime").block_on(auth.lookup(&address));
        found.expect("the passwd-file is readable").expect("the site has this user")
    }

    /// The Maildir of a user.
    #[must_use]
    pub fn maildir(&self, user: &str) -> PathBuf {
        self.path("mail").join(DOMAIN).join(user)
    }

    /// The messages in a user's INBOX as they are stored, in order of delivery.
    #[must_use]
    pub fn inbox(&self, user: &str) -> Vec<Vec<u8>> {
        self.message_files(user).iter().filter_map(|path| fs::read(path).ok()).collect()
    }

    /// The files of a user's INBOX, in order of delivery.
    #[must_use]
    pub fn message_files(&self, user: &str) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for place in ["new", "cur"] {
            let Ok(entries) = fs::read_dir(self.maildir(user).join(place)) else { continue };
            files.extend(entries.flatten().map(|entry| entry.path()));
        }
        files.sort_by_cached_key(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // `1795365077.M5972P19834…`
            let mut numbers = name.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty());
            let mut number = || numbers.next().and_then(|n| n.parse::<u64>().ok());
            (number(), number(), name.clone())
        });
        files
    }

    /// The messages in a user's INBOX once they are enough, or when patience ends.
    pub fn inbox_when(
        &self,
        user: &str,
        mut enough: impl FnMut(&[Vec<u8>]) -> bool,
    ) -> Vec<Vec<u8>> {
        let found = patience::until(|| Some(self.inbox(user)).filter(|inbox| enough(inbox)));
        found.unwrap_or_else(|| self.inbox(user))
    }

    /// How a client of this site does TLS: it trusts the site's CA and nobody else.
    ///
    /// # Panics
    /// If the CA's certificate is none.
    #[must_use]
    pub fn client_tls(&self) -> Arc<ClientConfig> {
        let ca = CertificateDer::from_pem_file(self.path("tls/ca.pem")).expect("is a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(ca).expect("is a CA");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has them");
        Arc::new(config.with_root_certificates(roots).with_no_client_auth())
    }

    /// The name in the site's certificate that clients ask for.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn server_name() -> ServerName<'static> {
        ServerName::try_from("localhost").expect("is a name")
    }

    fn write(&self, below: &str, text: &str) {
        fs::write(self.path(below), text).expect("the directory was made");
    }

    /// Puts a message where a delivery would: stored with LF, received on the first of January
    /// 2026, a minute after the other.
    fn place(&self, user: &str, number: usize, message: &[u8]) {
        Directory::open(&self.user(user), &self.config().mail).expect("mailboxes can be made");
        let seconds = 1_767_225_600 + 60 * number as u64;
        let path = self.maildir(user).join(format!("new/{seconds}.M1P1.mx.example.org"));
        let text: Vec<u8> = message.iter().copied().filter(|&byte| byte != b'\r').collect();
        fs::write(&path, text).expect("the Maildir is there");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(time))
            .expect("it is our file");
    }

    fn configuration(&self) -> String {
        let directory = self.directory.path().display();
        format!(
            "config_version = 1\n\
             hostname = \"mx.{DOMAIN}\"\n\
             [domains]\n\
             local = [\"{DOMAIN}\"]\n\
             {tls}\
             [mail]\n\
             path = \"{directory}/mail/%d/%n\"\n\
             [auth]\n\
             passwd = \"{directory}/passwd\"\n\
             cleartext = \"loopback\"\n\
             [run]\n\
             directory = \"{directory}/run\"\n\
             [mtad]\n\
             spool = \"{directory}/spool\"\n\
             lmtp = \"{directory}/run/lmtp.sock\"\n\
             retry_first = \"1s\"\n\
             retry_max = \"1s\"\n\
             [lmtp-deliverd]\n\
             state = \"{directory}/state\"\n",
            tls = self.tls(),
        )
    }

    fn tls(&self) -> String {
        let tls = self.path("tls").display().to_string();
        format!("[tls]\ncertificate = \"{tls}/cert.pem\"\nkey = \"{tls}/key.pem\"\n")
    }
}

struct Certificates {
    ca: String,
    certificate: String,
    key: String,
}

/// Made once in a process: keys are the slow part of a test.
fn certificates() -> &'static Certificates {
    static MADE: OnceLock<Certificates> = OnceLock::new();
    MADE.get_or_init(|| make_certificates().expect("aws-lc-rs makes keys"))
}

fn make_certificates() -> Result<Certificates, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "CA of a Posthorn test");
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = ["localhost", "127.0.0.1", "::1", "mx.example.org"].map(str::to_owned);
    let mut params = CertificateParams::new(names)?;
    // Or it would have the CA's name, and look as if it had signed itself.
    params.distinguished_name.push(DnType::CommonName, "mx.example.org");
    let certificate = params.signed_by(&key, &ca)?;
    Ok(Certificates { ca: ca.pem(), certificate: certificate.pem(), key: key.serialize_pem() })
}

/// Whether a directory can be called a Maildir.
#[must_use]
pub fn is_maildir(path: &Path) -> bool {
    ["cur", "new", "tmp"].iter().all(|name| path.join(name).is_dir())
}
