//! How a line of the log looks.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// The form of a line.
pub(super) struct Line {
    pub(super) daemon: &'static str,
    /// Whether the journal reads, which knows time and daemon by itself.
    pub(super) journal: bool,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        if self.journal {
            write!(line, "<{}>", priority(level))?;
        } else {
            let process = std::process::id();
            let now = crate::time::rfc3339_now();
            write!(line, "{now} {}[{process}]: {}: ", self.daemon, word(level))?;
        }
        context.format_fields(line.by_ref(), event)?;
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                line.write_str(fields)?;
            }
        }
        writeln!(line)
    }
}

/// syslog(3)'s numbers.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        _ => "trace",
    }
}

/// The form of fields: the message bare, the rest as ` name=value`.
pub(super) struct Fields;

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut message = Message(String::new());
        fields.record(&mut message);
        let mut visitor = Visitor { writer, result: Ok(()) };
        visitor.result = escaped(&mut visitor.writer, &message.0);
        fields.record(&mut visitor);
        visitor.result
    }
}

/// Finds the message, which comes first wherever it was written.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.0);
        }
    }
}

struct Visitor<'writer> {
    writer: Writer<'writer>,
    result: fmt::Result,
}

impl Visitor<'_> {
    fn write(&mut self, field: &Field, value: &str) {
        // What begins with "log." tells where a line of the `log` crate came from.
        if self.result.is_err() || field.name() == "message" || field.name().starts_with("log.") {
            return;
        }
        self.result = write!(self.writer, " {}=", field.name().trim_start_matches("r#"))
            .and_then(|()| escaped(&mut self.writer, value));
    }
}

impl Visit for Visitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, value);
    }
}

fn escaped(out: &mut impl Write, text: &str) -> fmt::Result {
    for c in text.chars() {
        if c.is_control() {
            write!(out, "{}", c.escape_default())?;
        } else {
            out.write_char(c)?;
        }
    }
    Ok(())
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use mail_proto::sasl::Credentials;
    use tracing::{error, info, info_span};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(journal: bool, events: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .fmt_fields(Fields)
            .event_format(Line { daemon: "testd", journal });
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), events);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_journal_gets_priorities_and_the_fields_of_the_span() {
        let text = lines(true, || {
            let _entered = info_span!("session", session = "S1", peer = "192.0.2.1").entered();
            info!(id = "M1", from = %"<ann@example.org>", size = 7, "queued");
            error!("broken");
        });
        let expected = "<6>queued id=M1 from=<ann@example.org> size=7 session=S1 peer=192.0.2.1\n\
                        <3>broken session=S1 peer=192.0.2.1\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn elsewhere_a_line_has_time_and_daemon() {
        let text = lines(false, || info!("ready"));
        let (time, rest) = text.split_once(' ').unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
        assert_eq!(rest, format!("testd[{}]: info: ready\n", std::process::id()));
    }

    #[test]
    fn nobody_writes_lines_of_his_own() {
        let text = lines(true, || info!(reply = "550 no\n<3>all is lost\u{1b}[2J", "refused"));
        assert_eq!(text, "<6>refused reply=550 no\\n<3>all is lost\\u{1b}[2J\n");
    }

    #[test]
    fn passwords_are_not_shown() {
        let credentials =
            Credentials { username: "ann@example.org".into(), password: b"apple".to_vec() };
        let text = lines(true, || info!(?credentials, "login"));
        assert!(text.contains("ann@example.org") && !text.contains("apple"), "{text}");
    }
}
