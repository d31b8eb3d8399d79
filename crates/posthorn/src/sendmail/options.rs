//! The options of sendmail(1) that programs use.

use std::path::PathBuf;

use mail_common::config::SITE_FILE;
use mail_proto::smtp::{Notify, Return};

use super::Failure;

/// What the command line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) mode: Mode,
    /// -t: recipients stand in the header.
    pub(super) recipients_from_header: bool,
    /// Without -i a line with only a dot ends the message.
    pub(super) dot_ends: bool,
    /// -f: the sender; `<>` is nobody.
    pub(super) sender: Option<String>,
    /// -C: the site's configuration.
    pub(super) config: PathBuf,
    /// -N: of what the sender wants to hear.
    pub(super) notify: Option<Notify>,
    /// -R: how much of the message comes back if it fails.
    pub(super) ret: Option<Return>,
    /// -V: what the sender calls this transaction.
    pub(super) envid: Option<String>,
    pub(super) recipients: Vec<String>,
}

/// Characters of an ENVID as it travels, encoded (RFC 3461, 4.4).
const ENVID: usize = 100;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Hand in the message on standard input.
    Message,
    /// -bs: SMTP on standard input and output.
    Smtp,
    /// -bp: shows what is in the queue.
    Queue,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: Mode::Message,
            recipients_from_header: false,
            dot_ends: true,
            sender: None,
            config: SITE_FILE.into(),
            notify: None,
            ret: None,
            envid: None,
            recipients: Vec::new(),
        }
    }
}

impl Options {
    pub(super) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix('-') {
                Some("-") => options.recipients.extend(arguments.by_ref()),
                Some(option) if !option.is_empty() => options.take(option, &mut arguments)?,
                _ => options.recipients.push(argument),
            }
        }
        Ok(options)
    }

    fn take(
        &mut self,
        option: &str,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<(), Failure> {
        match option {
            "t" => self.recipients_from_header = true,
            "ti" | "it" => (self.recipients_from_header, self.dot_ends) = (true, false),
            "i" | "oi" => self.dot_ends = false,
            "bm" => self.mode = Mode::Message,
            "bs" => self.mode = Mode::Smtp,
            "bp" => self.mode = Mode::Queue,
            _ if option.starts_with('f') => self.sender = Some(value(option, rest)?),
            _ if option.starts_with('N') => self.notify = Some(notify(&value(option, rest)?)?),
            _ if option.starts_with('R') => self.ret = Some(ret(&value(option, rest)?)?),
            _ if option.starts_with('V') => self.envid = Some(envid(value(option, rest)?)?),
            _ if option.starts_with('C') => self.config = value(option, rest)?.into(),
            // Of the many settings that Sendmail has, programs set some that mean nothing here.
            _ if option.starts_with('o') => {}
            _ => {
                let text = format!("option -{option} is not known here: see sendmail(1)");
                return Err(Failure::Usage(text));
            }
        }
        Ok(())
    }
}

/// `failure,delay,success` or `never`, in any case (RFC 3461, 4.1).
fn notify(text: &str) -> Result<Notify, Failure> {
    let mut notify = Notify { success: false, failure: false, delay: false };
    if text.eq_ignore_ascii_case("never") {
        return Ok(notify);
    }
    for word in text.split(',') {
        match word.trim_ascii().to_ascii_lowercase().as_str() {
            "success" => notify.success = true,
            "failure" => notify.failure = true,
            "delay" => notify.delay = true,
            _ => {
                let text = format!("-N {text}: write some of failure,delay,success, or never");
                return Err(Failure::Usage(text));
            }
        }
    }
    Ok(notify)
}

/// `full` or `hdrs`, in any case (RFC 3461, 4.3).
fn ret(text: &str) -> Result<Return, Failure> {
    match text.to_ascii_lowercase().as_str() {
        "full" => Ok(Return::Full),
        "hdrs" => Ok(Return::Headers),
        _ => Err(Failure::Usage(format!("-R {text}: write full or hdrs"))),
    }
}

/// Printable characters of ASCII, encoded no more than the wire takes (RFC 3461, 4 and 4.4).
fn envid(text: String) -> Result<String, Failure> {
    let encoded = |octet: u8| if matches!(octet, b'+' | b'=' | b' ') { 3 } else { 1 };
    let length: usize = text.bytes().map(encoded).sum();
    let printable = text.bytes().all(|octet| matches!(octet, b' '..=b'~'));
    if text.is_empty() || !printable || length > ENVID {
        let text = format!("-V {text:?}: write at most {ENVID} printable characters of ASCII");
        return Err(Failure::Usage(text));
    }
    Ok(text)
}

/// `-fvalue` or `-f value`.
fn value(option: &str, rest: &mut impl Iterator<Item = String>) -> Result<String, Failure> {
    let mut chars = option.chars();
    let letter = chars.next().unwrap_or_default();
    match chars.as_str() {
        "" => rest.next().ok_or_else(|| Failure::Usage(format!("option -{letter} needs a value"))),
        value => Ok(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Failure> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn command_lines_that_programs_use() {
        let ann = || vec!["ann@example.org".to_owned()];
        let table = [
            ("ann@example.org", Options { recipients: ann(), ..Options::default() }),
            (
                "-t -i",
                Options { recipients_from_header: true, dot_ends: false, ..Options::default() },
            ),
            (
                "-oi -oem -f bob@example.org -- ann@example.org",
                Options {
                    dot_ends: false,
                    sender: Some("bob@example.org".into()),
                    recipients: ann(),
                    ..Options::default()
                },
            ),
            (
                "-f<> ann@example.org",
                Options { sender: Some("<>".into()), recipients: ann(), ..Options::default() },
            ),
            ("-bs", Options { mode: Mode::Smtp, ..Options::default() }),
            ("-bp", Options { mode: Mode::Queue, ..Options::default() }),
            (
                "-N success,delay -R hdrs -V QQ+1",
                Options {
                    notify: Some(Notify { success: true, failure: false, delay: true }),
                    ret: Some(Return::Headers),
                    envid: Some("QQ+1".into()),
                    ..Options::default()
                },
            ),
            (
                "-NNEVER -Rfull ann@example.org",
                Options {
                    notify: Some(Notify { success: false, failure: false, delay: false }),
                    ret: Some(Return::Full),
                    recipients: ann(),
                    ..Options::default()
                },
            ),
            ("-C /x.toml -bm", Options { config: "/x.toml".into(), ..Options::default() }),
        ];
        for (line, expected) in table {
            assert_eq!(parse(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn the_manual_page_has_every_option() {
        let page = include_str!("../../../../docs/man/sendmail.1");
        for option in ["bm", "bp", "bs", "C Ar", "f Ar", "i , oi", "N Ar", "R Ar", "t", "V Ar"] {
            let item = format!("\n.It Fl {option}");
            assert!(page.contains(&item), "{option}");
        }
    }

    #[test]
    fn wrong_command_lines_are_told_so() {
        let long = format!("-V {}", "+".repeat(34));
        let others =
            ["-N", "-N never,failure", "-N ", "-N failures", "-R half", "-V \u{e4}", &long];
        for line in ["-Z", "-f", "ann@example.org -C"].iter().chain(&others) {
            assert!(matches!(parse(line), Err(Failure::Usage(_))), "{line}");
        }
        assert!(parse(&format!("-V {}", "+".repeat(33))).is_ok());
    }
}
