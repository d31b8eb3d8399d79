//! What a person sees.

use std::process::ExitStatus;
use std::time::Duration;

use super::TrialSite;
use super::ports::{ALL, IMAPS, SUBMISSION, Service};

pub(super) fn beginning(site: &TrialSite) {
    println!("Posthorn, a whole mail system in {}\n", site.directory().display());
    println!("Accounts");
    for account in site.shown_accounts() {
        println!("  {:<32} {}", account.address.to_string(), account.password);
    }
    let more = site.accounts().len().saturating_sub(site.shown_accounts().len());
    if more > 0 {
        println!("  and {more} more in {}", site.accounts_path().display());
    }
    println!("\nDaemons");
}

pub(super) fn daemon(name: &str, took: Duration) {
    println!("  {name:<32} ready {:>12}", milliseconds(took));
}

pub(super) fn letter_begins(from: &str, to: &str) {
    println!("\nThe first letter's way, from {from} to {to}");
}

pub(super) fn step(what: &str, took: Duration) {
    println!("  {what:<60} {:>10}", milliseconds(took));
}

pub(super) fn restarted(daemon: &str, status: ExitStatus) {
    println!("{daemon} died ({status}); starting it again");
}

pub(super) fn killed(daemon: &str) {
    println!("{daemon} did not stop and was killed");
}

/// What a person does next.
pub(super) fn invitation(site: &TrialSite) {
    let at = |service| site.ports().of(service);
    println!(
        "
Point a mail client at it
  incoming   IMAP on localhost, port {}, SSL/TLS, normal password
  outgoing   SMTP on localhost, port {}, STARTTLS, normal password
  trust      {} (the trial's own certificate authority)
  logs       {}
Stop with Ctrl-C; started again, it goes on with the same mail.",
        at(IMAPS),
        at(SUBMISSION),
        site.authority().display(),
        site.logs().display(),
    );
}

/// The line that programs wait for.
pub(super) fn ready(site: &TrialSite) {
    let address =
        |service: Service| format!("{}=127.0.0.1:{}", service.name, site.ports().of(service));
    println!("\nready: {}", ALL.map(address).join(" "));
}

fn milliseconds(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1000.0)
}
