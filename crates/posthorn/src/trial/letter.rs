//! The first letter: submitted, queued, delivered, read back over IMAP and POP3.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lettre::address::Envelope;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use mail_common::time;
use rustls::pki_types::CertificateDer;

use super::accounts::Account;
use super::ports::{IMAPS, POP3S, SUBMISSION};
use super::reader::{self, Imap, Pop3};
use super::{TrialError, TrialSite, report};

/// Sends the letter and shows each step of its way.
pub(super) async fn first(site: &TrialSite) -> Result<(), TrialError> {
    let (from, to) = site.correspondents();
    report::letter_begins(&from.address.to_string(), &to.address.to_string());
    let authority_pem = site.authority_pem()?;
    let authority = reader::authority(&authority_pem).map_err(in_step("the certificate"))?;
    let imaps = site.ports().of(IMAPS);

    let begun = Instant::now();
    let opened = Imap::open(imaps, &authority, to).await.map_err(in_step("IMAP login"))?;
    report::step("IMAP over TLS: the recipient logs in and waits", begun.elapsed());

    let letter = letter(from, to);
    let sent = Instant::now();
    let reply = submit(site, &authority_pem, &letter, from, to).await?;
    report::step(&format!("submission with STARTTLS and AUTH: {reply}"), sent.elapsed());

    let message = delivered(opened, &letter, sent).await?;
    same_over_pop3(site, &authority, to, &message).await
}

/// Sees the letter arrive, and reads it.
async fn delivered(
    (mut imap, known): (Imap, reader::Count),
    letter: &[u8],
    sent: Instant,
) -> Result<Vec<u8>, TrialError> {
    let number = imap.wait_for_message(known).await.map_err(in_step("delivery"))?;
    report::step("queue, LMTP, Maildir: IDLE tells of it", sent.elapsed());
    let begun = Instant::now();
    let message = imap.message(number).await.map_err(in_step("IMAP FETCH"))?;
    if !message.ends_with(letter) {
        let text = String::from_utf8_lossy(&message).into_owned();
        return Err(in_step("IMAP FETCH")(format!(
            "this is not the letter that was sent:\n{text}"
        )));
    }
    imap.logout().await.map_err(in_step("IMAP LOGOUT"))?;
    report::step("IMAP FETCH: the same, byte for byte", begun.elapsed());
    Ok(message)
}

async fn same_over_pop3(
    site: &TrialSite,
    authority: &CertificateDer<'static>,
    to: &Account,
    message: &[u8],
) -> Result<(), TrialError> {
    let begun = Instant::now();
    let port = site.ports().of(POP3S);
    let (mut pop3, count) = Pop3::open(port, authority, to).await.map_err(in_step("POP3 login"))?;
    let same = pop3.message(count).await.map_err(in_step("POP3 RETR"))?;
    if same != message {
        return Err(in_step("POP3 RETR")("not the message that IMAP gave".to_owned()));
    }
    pop3.quit().await.map_err(in_step("POP3 QUIT"))?;
    report::step("POP3 over TLS: login, RETR, the same", begun.elapsed());
    Ok(())
}

/// Sends it as a mail client would; the server's reply.
async fn submit(
    site: &TrialSite,
    authority: &str,
    letter: &[u8],
    from: &Account,
    to: &Account,
) -> Result<String, TrialError> {
    let fail = in_step("submission");
    let sentence = |error: &dyn std::fmt::Display| error.to_string();
    let certificate =
        Certificate::from_pem(authority.as_bytes()).map_err(|e| fail(sentence(&e)))?;
    let tls = TlsParameters::builder("localhost".to_owned())
        .add_root_certificate(certificate)
        .build_rustls()
        .map_err(|e| fail(sentence(&e)))?;
    let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1")
        .port(site.ports().of(SUBMISSION))
        .tls(Tls::Required(tls))
        .credentials(Credentials::new(from.address.to_string(), from.password.clone()))
        .timeout(Some(Duration::from_secs(30)))
        .build();
    let parse = |account: &Account| account.address.to_string().parse();
    let sender = parse(from).map_err(|e| fail(sentence(&e)))?;
    let recipient = parse(to).map_err(|e| fail(sentence(&e)))?;
    let envelope = Envelope::new(Some(sender), vec![recipient]).map_err(|e| fail(sentence(&e)))?;
    // lettre ends every message with a line end of its own.
    let letter = letter.strip_suffix(b"\r\n").unwrap_or(letter);
    let response = transport.send_raw(&envelope, letter).await.map_err(|e| fail(sentence(&e)))?;
    Ok(response.message().collect::<Vec<_>>().join(" "))
}

/// The letter, with CRLF line ends.
fn letter(from: &Account, to: &Account) -> Vec<u8> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let date = time::rfc5322(i64::try_from(since.as_secs()).unwrap_or_default());
    let text = format!(
        "From: {from}\n\
         To: {to}\n\
         Subject: The first letter\n\
         Date: {date}\n\
         Message-ID: <{unique}.first@{domain}>\n\
         MIME-Version: 1.0\n\
         Content-Type: text/plain; charset=us-ascii\n\
         \n\
         This letter was submitted over TLS, queued on disk, handed over by LMTP\n\
         and stored in a Maildir. If you read it in your mail client, all of it works.\n",
        from = from.address,
        to = to.address,
        unique = since.as_nanos(),
        domain = from.address.domain(),
    );
    text.replace('\n', "\r\n").into_bytes()
}

fn in_step(step: &'static str) -> impl Fn(String) -> TrialError {
    move |what| TrialError::Letter { step, what }
}
