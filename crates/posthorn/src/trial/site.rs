//! The directory of a trial: configuration, certificates, accounts, mail, queue, logs.

use std::fs::File;
use std::path::{Path, PathBuf};

use mail_common::disk::{AppendFile, Dir};
use mail_proto::address::Domain;

use super::accounts::{self, Account};
use super::certificates::Certificates;
use super::ports::{self, Ports};
use super::{Arguments, TrialError};

/// More accounts than this are not shown, only counted.
const SHOWN: usize = 10;

/// Octets of the directory's path: 107 that a Unix socket's may have, less the longest below it.
const LONGEST_DIRECTORY: usize = 107 - "/run/notify-lmtp-deliverd.sock".len();

/// A trial's directory, made or found again.
pub(super) struct TrialSite {
    directory: PathBuf,
    programs: PathBuf,
    ports: Ports,
    accounts: Vec<Account>,
    flags: Vec<String>,
}

impl TrialSite {
    /// Makes everything that is missing. Mail, queue and certificates of an earlier run stay;
    /// accounts stay unless others are given; the configuration is written anew.
    pub(super) fn prepare(arguments: Arguments) -> Result<Self, TrialError> {
        let ports = Ports::new(arguments.port_base)?;
        make(&arguments.dir)?;
        let directory = std::fs::canonicalize(&arguments.dir).map_err(at(&arguments.dir))?;
        // The longest name of a socket below must fit into what the system takes for one.
        if directory.as_os_str().len() > LONGEST_DIRECTORY {
            return Err(TrialError::LongPath(directory));
        }
        for below in ["mail", "spool", "state", "run", "log", "tls"] {
            make(&directory.join(below))?;
        }
        let programs = std::env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default();
        write_certificates(&directory)?;
        let accounts = write_accounts(&directory, &arguments)?;
        let site = Self { directory, programs, ports, accounts, flags: arguments.set };
        let text = site.configuration(&arguments.domain, arguments.relay.as_deref());
        write(&site.directory, "posthorn.toml", text.as_bytes())?;
        Ok(site)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn config(&self) -> PathBuf {
        self.directory.join("posthorn.toml")
    }

    pub(super) fn authority(&self) -> PathBuf {
        self.directory.join("tls/ca.pem")
    }

    pub(super) fn authority_pem(&self) -> Result<String, TrialError> {
        accounts::read_text(&self.authority())
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.directory.join("log")
    }

    pub(super) fn log_path(&self, daemon: &str) -> PathBuf {
        self.logs().join(format!("{daemon}.log"))
    }

    /// The socket on which a daemon says that it is ready.
    pub(super) fn notify_path(&self, daemon: &str) -> PathBuf {
        self.directory.join(format!("run/notify-{daemon}.sock"))
    }

    /// A daemon's log, to be written at its end.
    pub(super) fn log(&self, daemon: &str) -> Result<File, TrialError> {
        let logs = Dir::open(&self.logs())?;
        Ok(logs.append(format!("{daemon}.log")).map(AppendFile::into_file)?)
    }

    /// A daemon's program: beside our own.
    pub(super) fn program(&self, daemon: &str) -> PathBuf {
        self.programs.join(daemon)
    }

    pub(super) fn flags(&self) -> &[String] {
        &self.flags
    }

    pub(super) fn ports(&self) -> Ports {
        self.ports
    }

    pub(super) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    pub(super) fn shown_accounts(&self) -> &[Account] {
        self.accounts.get(..SHOWN).unwrap_or(&self.accounts)
    }

    pub(super) fn accounts_path(&self) -> PathBuf {
        self.directory.join("accounts")
    }

    /// Who writes the first letter, and who gets it; the same if there is only one account.
    pub(super) fn correspondents(&self) -> (&Account, &Account) {
        let mut accounts = self.accounts.iter();
        let from = accounts.next().expect("write_accounts() makes at least one");
        (from, accounts.next().unwrap_or(from))
    }

    fn configuration(&self, domain: &Domain, relay: Option<&str>) -> String {
        let path = |below: &str| quoted(&self.directory.join(below).display().to_string());
        let mut domains = vec![domain.clone()];
        for account in &self.accounts {
            if !domains.contains(account.address.domain()) {
                domains.push(account.address.domain().clone());
            }
        }
        let domains: Vec<_> = domains.iter().map(|domain| quoted(domain.as_str())).collect();
        let next_hop = relay.map_or(String::new(), |hop| format!("next_hop = {}\n", quoted(hop)));
        format!(
            "# Written by `posthorn try` at each start: use --set to change a key.\n\
             config_version = 1\n\
             hostname = \"mail.{domain}\"\n\n\
             [domains]\nlocal = [{domains}]\n\n\
             [tls]\ncertificate = {certificate}\nkey = {key}\n\n\
             [mail]\npath = {mail}\n\n\
             [auth]\npasswd = {passwd}\ncleartext = \"loopback\"\n\n\
             [run]\ndirectory = {run}\n\n\
             [limits]\ndrain = \"5s\"\n\n\
             [mtad]\nspool = {spool}\nlmtp = {lmtp}\n{next_hop}{mtad}\n\
             [[mtad.listen]]\naddress = {inject}\nrole = \"inject\"\n\n\
             [lmtp-deliverd]\nstate = {state}\n\n\
             [[lmtp-deliverd.listen]]\naddress = {lmtp}\n{imapd}{pop3d}",
            domains = domains.join(", "),
            certificate = path("tls/cert.pem"),
            key = path("tls/key.pem"),
            mail = path("mail/%d/%n"),
            passwd = path("passwd"),
            run = path("run"),
            spool = path("spool"),
            state = path("state"),
            lmtp = path("run/lmtp.sock"),
            inject = path("run/inject.sock"),
            mtad = self.mtad_listeners(),
            imapd = self.listeners("imapd", [ports::IMAP, ports::IMAPS]),
            pop3d = self.listeners("pop3d", [ports::POP3, ports::POP3S]),
        )
    }

    fn mtad_listeners(&self) -> String {
        let mx = self.listen("mtad", ports::SMTP, "role = \"mx\"\n");
        let submission = self.listen("mtad", ports::SUBMISSION, "role = \"submission\"\n");
        let implicit = "role = \"submission\"\ntls = \"implicit\"\n";
        mx + &submission + &self.listen("mtad", ports::SUBMISSIONS, implicit)
    }

    fn listeners(&self, daemon: &str, [clear, tls]: [ports::Service; 2]) -> String {
        self.listen(daemon, clear, "") + &self.listen(daemon, tls, "tls = \"implicit\"\n")
    }

    /// A service on both loopback addresses.
    fn listen(&self, daemon: &str, service: ports::Service, more: &str) -> String {
        let port = self.ports.of(service);
        ["127.0.0.1", "[::1]"]
            .map(|ip| format!("\n[[{daemon}.listen]]\naddress = \"{ip}:{port}\"\n{more}"))
            .concat()
    }
}

fn write_certificates(directory: &Path) -> Result<(), TrialError> {
    let tls = directory.join("tls");
    if tls.join("key.pem").exists() {
        return Ok(());
    }
    let made = Certificates::new()?;
    write(&tls, "ca.pem", made.authority.as_bytes())?;
    write(&tls, "cert.pem", made.certificate.as_bytes())?;
    // The key last: what is there before it is made anew.
    write(&tls, "key.pem", made.key.as_bytes())
}

/// The accounts whose passwords are known, of which there is at least one. The passwd-file that
/// goes with them is written if it is not there or others were given.
fn write_accounts(directory: &Path, arguments: &Arguments) -> Result<Vec<Account>, TrialError> {
    let kept = directory.join("accounts");
    let mut given = arguments.user.clone();
    if let Some(path) = &arguments.accounts {
        given.extend(accounts::read(path)?);
    }
    let brought = arguments.passwd.as_deref().map(accounts::read_text).transpose()?;
    if given.is_empty() && brought.is_none() && kept.exists() {
        return accounts::read(&kept);
    }
    let mut passwd = brought.unwrap_or_default();
    let brought_any = !passwd.is_empty();
    if brought_any && !passwd.ends_with('\n') {
        passwd.push('\n');
    }
    let mut known = accounts::known_of_passwd(&passwd);
    if given.is_empty() && known.is_empty() {
        let names: &[&str] = if brought_any { &["first-letter"] } else { &["ann", "bob"] };
        for name in names {
            given.push(Account::generated(name, &arguments.domain)?);
        }
    }
    for account in &given {
        passwd.push_str(&account.passwd_line()?);
    }
    known.extend(given);
    let lines: String = known.iter().map(Account::line).collect();
    write(directory, "passwd", passwd.as_bytes())?;
    // The list last: as long as it is missing, both are made anew.
    write(directory, "accounts", lines.as_bytes())?;
    Ok(known)
}

fn make(path: &Path) -> Result<(), TrialError> {
    Ok(Dir::open_or_create(path).map(drop)?)
}

fn write(directory: &Path, name: &str, content: &[u8]) -> Result<(), TrialError> {
    let dir = Dir::open(directory)?;
    Ok(dir.replace(name, content)?)
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> TrialError {
    move |error| TrialError::File { path: path.to_owned(), error }
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
