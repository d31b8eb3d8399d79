//! The message on standard input, handed to mtad in one SMTP transaction.

use std::io::{self, BufRead, BufReader, Stdin};
use std::time::Duration;

use mail_common::config::Site;
use mail_common::serve::{Backend, Stream, Surroundings, converse};
use mail_proto::address::{Address, Domain, ReversePath};
use mail_proto::smtp::client::{
    Answer, Block, Client, Outcome, Report, Request, Setup, Ticket, Tls,
};
use mail_proto::smtp::{Dialect, Envelope, Recipient};
use tokio_util::sync::CancellationToken;

use super::input::Input;
use super::options::Options;
use super::{Failure, recipients as in_header, socket, unavailable};

/// Octets of the message that are handed over at a time.
const BLOCK: usize = 64 << 10;

/// Reads the message and hands it in.
pub(super) fn message(site: &Site, options: &Options) -> Result<(), Failure> {
    let mut input = Input::new(BufReader::new(io::stdin()), options.dot_ends);
    let mut header = Vec::new();
    input.header(site.limits.header_size, &mut header).map_err(|error| unreadable(&error))?;
    let mut wanted = options.recipients.clone();
    if options.recipients_from_header {
        wanted.extend(in_header::of_header(&header));
        header = in_header::without_bcc(&header);
    }
    let envelope = Envelope {
        recipients: recipients(site, &wanted, options)?,
        eight_bit: true,
        ret: options.ret,
        envid: options.envid.clone(),
        ..Envelope::new(sender(site, options)?)
    };
    let transfer = Transfer::new(envelope, header, input);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Temporary(error.to_string()))?;
    runtime.block_on(hand_in(site, transfer))
}

async fn hand_in(site: &Site, mut transfer: Transfer<BufReader<Stdin>>) -> Result<(), Failure> {
    let path = socket(site);
    let unavailable = |error: io::Error| unavailable(&path, &error);
    let mut stream = Stream::connect_unix(&path).await.map_err(unavailable)?;
    let mut client = Client::new(Setup {
        dialect: Dialect::Smtp,
        hello: site.hostname.clone(),
        tls: Tls::Never,
        credentials: None,
    });
    let surroundings = Surroundings {
        tls: None,
        connect_tls: None,
        stop: CancellationToken::new(),
        write_patience: Duration::from_secs(300),
    };
    let outcome = converse(&mut client, &mut stream, &mut transfer, &surroundings).await;
    if let Some(failure) = transfer.failure {
        return Err(failure);
    }
    let report = transfer.report.or_else(|| report_of(client.abandon("the connection ended")));
    match (report, outcome) {
        (Some(report), _) => judge(&report, &transfer.recipients),
        (None, Err(error)) => Err(unavailable(error)),
        (None, Ok(_)) => Err(Failure::Temporary(format!("{}: no answer", path.display()))),
    }
}

/// What is handed over, and what came of it.
struct Transfer<R> {
    envelope: Option<Envelope>,
    recipients: Vec<Recipient>,
    /// The block to be handed over next; first the header.
    next: Vec<u8>,
    input: Input<R>,
    report: Option<Report>,
    failure: Option<Failure>,
}

impl<R: BufRead> Transfer<R> {
    fn new(envelope: Envelope, header: Vec<u8>, input: Input<R>) -> Self {
        let recipients = envelope.recipients.clone();
        let (report, failure) = (None, None);
        Self { envelope: Some(envelope), recipients, next: header, input, report, failure }
    }

    /// The next block. One is read ahead, because the session wants to know which is the last.
    fn block(&mut self) -> Answer {
        let octets = std::mem::take(&mut self.next);
        match self.input.block(BLOCK, &mut self.next) {
            Ok(()) => Answer::Body(Block { octets, last: self.next.is_empty() }),
            Err(error) => {
                self.failure = Some(unreadable(&error));
                Answer::Unreadable
            }
        }
    }
}

impl<R: BufRead + Send> Backend<Client> for Transfer<R> {
    async fn perform(&mut self, request: Request) -> Answer {
        match request {
            Request::Next { reports, .. } => {
                self.report = report_of(reports).or(self.report.take());
                Answer::Next(self.envelope.take().map(|envelope| (Ticket(0), envelope)))
            }
            // Standard input blocks this thread, which has nothing else to do.
            Request::Body(_) => self.block(),
        }
    }
}

/// There is one message, and so one report at most.
fn report_of(reports: Vec<(Ticket, Report)>) -> Option<Report> {
    reports.into_iter().next().map(|(_, report)| report)
}

/// Handed in for all, or a failure that names who was refused.
fn judge(report: &Report, recipients: &[Recipient]) -> Result<(), Failure> {
    let mut refused = Vec::new();
    let mut permanent = false;
    for (outcome, recipient) in report.recipients.iter().zip(recipients) {
        let why = match outcome {
            Outcome::Replied(reply) if reply.code / 100 == 2 => continue,
            Outcome::Replied(reply) => {
                permanent |= reply.code / 100 == 5;
                format!("{} {}", reply.code, reply.text)
            }
            Outcome::Lost(why) => why.clone(),
        };
        refused.push(format!("{}: {why}", recipient.address));
    }
    match (refused.join("\n"), permanent) {
        (text, _) if text.is_empty() => Ok(()),
        (text, true) => Err(Failure::Refused(text)),
        (text, false) => Err(Failure::Temporary(text)),
    }
}

fn sender(site: &Site, options: &Options) -> Result<ReversePath, Failure> {
    let named = options.sender.as_deref();
    match named.map(|text| text.trim_start_matches('<').trim_end_matches('>')) {
        Some("") => Ok(ReversePath(None)),
        Some(text) => Ok(ReversePath(Some(address(site, text)?))),
        None => Ok(ReversePath(Some(address(site, &user_name())?))),
    }
}

fn recipients(site: &Site, texts: &[String], options: &Options) -> Result<Vec<Recipient>, Failure> {
    if texts.is_empty() {
        let text = match options.recipients_from_header {
            true => "no recipients: To, Cc and Bcc have none, and none is named",
            false => "no recipients: name them, or use -t for those in the header",
        };
        return Err(Failure::Usage(text.to_owned()));
    }
    let recipient = |text: &String| {
        let address = address(site, text)?;
        Ok(Recipient { notify: options.notify, ..Recipient::new(address) })
    };
    texts.iter().map(recipient).collect()
}

/// An address; one without a domain is of the site's first domain.
fn address(site: &Site, text: &str) -> Result<Address, Failure> {
    let domain: &Domain = site.domains.local.first().unwrap_or(&site.hostname);
    let parsed = if text.contains('@') { text.parse() } else { Address::new(text, domain.clone()) };
    parsed.map_err(|error| Failure::Message(format!("{text:?}: {error}")))
}

/// The name of who runs this program.
fn user_name() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of_uid = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    };
    users.lines().find_map(of_uid).or_else(|| std::env::var("LOGNAME").ok()).unwrap_or(uid)
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::Message(format!("the message cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use mail_proto::smtp::client::PeerReply;

    use super::*;

    #[test]
    fn one_refused_recipient_is_named() {
        let recipients =
            ["ann@a.b", "bob@a.b"].map(|text| Recipient::new(text.parse().expect("is an address")));
        let replied = |code, text: &str| {
            Outcome::Replied(PeerReply { code, text: text.into(), command: "RCPT TO" })
        };
        let lost = || Outcome::Lost("the connection ended".into());
        let table = [
            ([replied(250, "Ok"), replied(250, "Ok")], Ok(())),
            (
                [replied(250, "Ok"), replied(550, "No such user")],
                Err(Failure::Refused("bob@a.b: 550 No such user".into())),
            ),
            (
                [replied(451, "Later"), lost()],
                Err(Failure::Temporary("ann@a.b: 451 Later\nbob@a.b: the connection ended".into())),
            ),
        ];
        for (outcomes, expected) in table {
            let report = Report { recipients: outcomes.to_vec(), notifies: true };
            assert_eq!(judge(&report, &recipients), expected);
        }
    }
}
