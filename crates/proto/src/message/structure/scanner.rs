//! The scan itself: lines in, parts out.
//!
//! The parts that are open stand on a stack, the message at its bottom. A line of a header is a
//! field, or ends the header; a line of a body is nothing, unless it is a boundary of one of the
//! open multiparts: then all parts above that one end before it. No part is visited twice and no
//! depth is walked, so the work grows as the message does, whatever it is made of.

use super::boundary::{self, BOUNDARY_LIMIT};
use super::fields::{self, ContentField};
use super::{Limits, Part, Place};

/// Octets kept of a line in a body: enough for `--`, a boundary and `--`.
const LINE_KEPT: usize = BOUNDARY_LIMIT + 4;

/// A scan under way.
#[derive(Debug)]
pub struct Scanner {
    limits: Limits,
    /// The innermost part is the last.
    open: Vec<Open>,
    state: State,
    /// Parts begun so far.
    parts: usize,
    /// Octets of header fields that may still be kept.
    header_left: usize,
    /// The beginning of a line whose end did not come yet.
    line: Line,
    /// Where that line begins.
    at: Place,
    /// Where the text of the line before it ended.
    text_end: Place,
    /// Line ends so far.
    line_ends: u64,
    #[cfg(test)]
    steps: usize,
}

#[derive(Debug)]
enum State {
    /// In the header of the innermost part, in a field that matters or in none.
    Header(Option<(ContentField, Vec<u8>)>),
    /// Behind it.
    Body,
}

#[derive(Debug, Default)]
struct Open {
    part: Part,
    /// Of a multipart that can have further parts.
    boundary: Option<Vec<u8>>,
    /// Whether it is a part of a multipart/digest (RFC 2046, 5.1.5).
    in_digest: bool,
    /// Line ends before its body.
    line_ends: u64,
}

#[derive(Debug, Default)]
struct Line {
    kept: Vec<u8>,
    length: u64,
    ends_in_cr: bool,
}

impl Scanner {
    /// A scanner at the beginning of a message.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            open: vec![Open::default()],
            state: State::Header(None),
            parts: 1,
            header_left: limits.header,
            line: Line::default(),
            at: Place::default(),
            text_end: Place::default(),
            line_ends: 0,
            #[cfg(test)]
            steps: 0,
        }
    }

    /// Takes the next block.
    pub fn push(&mut self, block: &[u8]) {
        let mut rest = block;
        while let Some(at) = rest.iter().position(|&octet| octet == b'\n') {
            let (text, after) = rest.split_at(at);
            self.end_line(text);
            rest = after.get(1..).unwrap_or_default();
        }
        self.lengthen_line(rest);
    }

    /// The message ended here.
    #[must_use]
    pub fn finish(mut self) -> Part {
        let line = std::mem::take(&mut self.line);
        if line.length > 0 {
            let end = self.at.plus(line.length, line.length);
            self.take_line(without_cr(&line.kept), end, self.line_ends);
            self.at = end;
        }
        self.end_headers();
        self.close(0, self.at, self.line_ends);
        let root = self.open.pop().expect("close() leaves the message itself");
        root.ended(self.at, self.line_ends)
    }

    fn lengthen_line(&mut self, text: &[u8]) {
        let Some(&last) = text.last() else { return };
        let limit = match self.state {
            State::Header(_) => LINE_KEPT + self.header_left,
            State::Body => LINE_KEPT,
        };
        let room = limit.saturating_sub(self.line.kept.len()).min(text.len());
        self.line.kept.extend_from_slice(text.get(..room).unwrap_or_default());
        self.line.length += text.len() as u64;
        self.line.ends_in_cr = last == b'\r';
    }

    /// A line end came, and `text` before it.
    fn end_line(&mut self, text: &[u8]) {
        if self.line.length == 0 {
            return self.whole_line(text, text.len() as u64, text.ends_with(b"\r"));
        }
        self.lengthen_line(text);
        let mut line = std::mem::take(&mut self.line);
        self.whole_line(&line.kept, line.length, line.ends_in_cr);
        line.kept.clear();
        self.line = Line { kept: line.kept, ..Line::default() };
    }

    fn whole_line(&mut self, kept: &[u8], length: u64, ends_in_cr: bool) {
        let text = length - u64::from(ends_in_cr);
        let next = self.at.plus(length + 1, text + 2);
        self.take_line(without_cr(kept), next, self.line_ends + 1);
        self.text_end = self.at.plus(text, text);
        self.at = next;
        self.line_ends += 1;
    }

    /// Takes a line without its end; behind it is `next`, after so many line ends.
    fn take_line(&mut self, text: &[u8], next: Place, line_ends: u64) {
        self.step(text.len());
        if text.starts_with(b"--") && self.take_delimiter(text, next) {
            return;
        }
        let State::Header(field) = &mut self.state else { return };
        if text.is_empty() {
            self.end_field();
            return self.begin_body(next, line_ends);
        }
        if !text.starts_with(b" ") && !text.starts_with(b"\t") {
            self.end_field();
            let begun = fields::begun_by(text).map(|(field, value)| (field, self.keep(value)));
            self.state = State::Header(begun);
        } else if let Some((_, value)) = field {
            // Unfolding takes the line end away and leaves the white space (RFC 5322, 2.2.3).
            let kept = text.get(..text.len().min(self.header_left)).unwrap_or_default();
            value.extend_from_slice(kept);
            self.header_left -= kept.len();
        }
    }

    fn keep(&mut self, value: &[u8]) -> Vec<u8> {
        let kept = value.get(..value.len().min(self.header_left)).unwrap_or_default();
        self.header_left -= kept.len();
        kept.to_vec()
    }

    fn end_field(&mut self) {
        let State::Header(field) = &mut self.state else { return };
        if let (Some((field, value)), Some(open)) = (field.take(), self.open.last_mut()) {
            field.put(&mut open.part, &value);
        }
    }

    /// The innermost part's header ended: what is it?
    fn begin_body(&mut self, body: Place, line_ends: u64) {
        let depth = self.open.len();
        let Some(open) = self.open.last_mut() else { return };
        open.part.body = body;
        open.line_ends = line_ends;
        open.settle();
        self.state = State::Body;
        let is_message = open.is_message();
        if !is_message && !open.part.is_multipart() {
            return;
        }
        if depth > self.limits.depth || (is_message && self.parts >= self.limits.parts) {
            return open.make_opaque();
        }
        if is_message {
            self.begin_part(body, false);
        } else {
            open.boundary = boundary::of(&open.part);
        }
    }

    fn begin_part(&mut self, header: Place, in_digest: bool) {
        let part = Part { header, ..Part::default() };
        self.open.push(Open { part, in_digest, ..Open::default() });
        self.parts += 1;
        self.state = State::Header(None);
    }

    /// Whether the line is a boundary that counts; if so, parts end and begin here.
    fn take_delimiter(&mut self, text: &[u8], next: Place) -> bool {
        self.step(self.open.len());
        // However the message was cut into blocks, the same octets decide.
        let text = text.get(..LINE_KEPT).unwrap_or(text);
        let boundaries = self.open.iter().map(|open| open.boundary.as_deref());
        let Some(delimiter) = boundary::find(boundaries, text) else { return false };
        if !delimiter.closing && self.parts >= self.limits.parts {
            // The rest belongs to the parts that are open now.
            self.open.iter_mut().for_each(|open| open.boundary = None);
            return true;
        }
        let (end, line_ends) = self.end_of_text();
        self.close(delimiter.level, end, line_ends);
        let Some(parent) = self.open.last_mut() else { return true };
        if delimiter.closing {
            // An epilogue follows, in which the boundary is text.
            parent.boundary = None;
        } else {
            let in_digest = parent.part.subtype == "digest";
            self.begin_part(next, in_digest);
        }
        true
    }

    /// Where a part ends that ends before the present line, and the line ends before that.
    ///
    /// The line end before a boundary belongs to the boundary (RFC 2046, 5.1.1), unless it is
    /// that of the header.
    fn end_of_text(&mut self) -> (Place, u64) {
        let in_header = self.end_headers();
        let is_empty = self.open.last().is_none_or(|open| open.part.body == self.at);
        if in_header || is_empty {
            return (self.at, self.line_ends);
        }
        (self.text_end, self.line_ends.saturating_sub(1))
    }

    /// Ends headers that have no empty line behind them. Whether there was such a one.
    fn end_headers(&mut self) -> bool {
        let in_header = matches!(self.state, State::Header(_));
        while matches!(self.state, State::Header(_)) {
            self.end_field();
            self.begin_body(self.at, self.line_ends);
        }
        in_header
    }

    /// Ends all parts above a level.
    fn close(&mut self, level: usize, end: Place, line_ends: u64) {
        while self.open.len() > level + 1 {
            self.step(1);
            let Some(open) = self.open.pop() else { return };
            if let Some(parent) = self.open.last_mut() {
                parent.part.parts.push(open.ended(end, line_ends));
            }
        }
        self.state = State::Body;
    }

    #[cfg(test)]
    fn step(&mut self, count: usize) {
        self.steps += count + 1;
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "only the tests count")]
    fn step(&mut self, _count: usize) {}
}

impl Open {
    /// Fills in what the header did not say, or not validly (RFC 2045, 5.2 and 6.1).
    fn settle(&mut self) {
        let part = &mut self.part;
        let has_no_boundary = part.is_multipart() && boundary::of(part).is_none();
        if part.media_type.is_empty() || has_no_boundary {
            let (media_type, subtype) =
                if self.in_digest { ("message", "rfc822") } else { ("text", "plain") };
            media_type.clone_into(&mut part.media_type);
            subtype.clone_into(&mut part.subtype);
            part.parameters.clear();
        }
        if part.encoding.is_empty() {
            "7bit".clone_into(&mut part.encoding);
        }
    }

    fn is_message(&self) -> bool {
        self.part.media_type == "message" && matches!(&*self.part.subtype, "rfc822" | "global")
    }

    /// Beyond a limit a part is just octets.
    fn make_opaque(&mut self) {
        "application".clone_into(&mut self.part.media_type);
        "octet-stream".clone_into(&mut self.part.subtype);
        self.part.parameters.clear();
    }

    fn ended(mut self, end: Place, line_ends: u64) -> Part {
        self.part.end = end;
        self.part.lines = line_ends.saturating_sub(self.line_ends);
        self.part
    }
}

impl Place {
    fn plus(self, stored: u64, wire: u64) -> Self {
        Self { stored: self.stored + stored, wire: self.wire + wire }
    }
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan(message: &[u8], limits: Limits) -> Part {
        let mut scanner = Scanner::new(limits);
        scanner.push(message);
        scanner.finish()
    }

    /// `type/subtype(part part)`, and of a part without parts `type/subtype=body*lines`.
    fn shown(part: &Part, message: &[u8]) -> String {
        let kind = format!("{}/{}", part.media_type, part.subtype);
        if !part.parts.is_empty() {
            let parts: Vec<_> = part.parts.iter().map(|part| shown(part, message)).collect();
            return format!("{kind}({})", parts.join(" "));
        }
        let place = |at: u64| usize::try_from(at).expect("the tests are small");
        let body = &message[place(part.body.stored)..place(part.end.stored)];
        format!("{kind}={}*{}", body.escape_ascii(), part.lines)
    }

    const MIXED: &str = "Content-Type: multipart/mixed; boundary=a\n\n";

    #[test]
    fn structures() {
        let table = [
            ("", "text/plain=*0"),
            ("\n", "text/plain=*0"),
            ("Subject: x\n\nhello\n", "text/plain=hello\\n*1"),
            ("Subject: x\r\n\r\nhello", "text/plain=hello*0"),
            ("Subject: only\n", "text/plain=*0"),
            ("Content-Type: TEXT/HTML\n\nx", "text/html=x*0"),
            ("Content-Type: text\n\nx", "text/plain=x*0"),
            ("Content-Type : text/html\n\nx", "text/html=x*0"),
            ("Content-Type:\n text/html\n\nx", "text/html=x*0"),
            ("content-type: a/b\nContent-Type: c/d\n\nx", "a/b=x*0"),
            ("Content-Type: multipart/mixed\n\nx", "text/plain=x*0"),
            (
                "{}--a\n\none\n--a\n\ntwo\n\n--a--\n",
                "multipart/mixed(text/plain=one*0 text/plain=two\\n*1)",
            ),
            (
                "{}preamble\n--a\n\none\n--a--\nepilogue\n--a\n\nno part\n",
                "multipart/mixed(text/plain=one*0)",
            ),
            ("{}--a\r\n\r\none\r\n--a--", "multipart/mixed(text/plain=one*0)"),
            ("{}--a \t\n\none\n--a-- \n", "multipart/mixed(text/plain=one*0)"),
            ("{}--a\n\nno end\n", "multipart/mixed(text/plain=no end\\n*1)"),
            (
                "{}--a\n\nx --a\n -- a\n-a\n--a--",
                "multipart/mixed(text/plain=x --a\\n -- a\\n-a*2)",
            ),
            ("{}--a\n--a--", "multipart/mixed(text/plain=*0)"),
            ("{}--a\n\n--a--", "multipart/mixed(text/plain=*0)"),
            ("{}--a\nContent-Type: b/c\n--a\n\nx\n--a--", "multipart/mixed(b/c=*0 text/plain=x*0)"),
            ("{}", "multipart/mixed=*0"),
            ("{}--a--\n", "multipart/mixed=--a--\\n*1"),
            (
                "{}--a\nContent-Type: multipart/alternative; boundary=ab\n\n--ab\n\none\n--ab--\n--a\n\ntwo\n--a--",
                "multipart/mixed(multipart/alternative(text/plain=one*0) text/plain=two*0)",
            ),
            (
                "{}--a\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\nb never ends\n--a\n\ntwo\n--a--",
                "multipart/mixed(multipart/alternative(text/plain=b never ends*0) text/plain=two*0)",
            ),
            (
                "{}--a\nContent-Type: message/rfc822\n\nSubject: x\n\ninner\n--a--",
                "multipart/mixed(message/rfc822(text/plain=inner*0))",
            ),
            (
                "{}--a\nContent-Type: message/rfc822\n\nSubject: x\n--a--",
                "multipart/mixed(message/rfc822(text/plain=*0))",
            ),
            (
                "{}--a\nContent-Type: message/rfc822\n--a--",
                "multipart/mixed(message/rfc822(text/plain=*0))",
            ),
            (
                "Content-Type: message/rfc822\n\nContent-Type: multipart/x; boundary=q\n\n--q\n\nx\n--q--\n",
                "message/rfc822(multipart/x(text/plain=x*0))",
            ),
            (
                "Content-Type: multipart/digest; boundary=a\n\n--a\n\nSubject: x\n\none\n--a\nContent-Type: text/plain\n\ntwo\n--a--",
                "multipart/digest(message/rfc822(text/plain=one*0) text/plain=two*0)",
            ),
        ];
        for (message, expected) in table {
            let message = message.replace("{}", MIXED);
            let part = scan(message.as_bytes(), Limits::default());
            assert_eq!(shown(&part, message.as_bytes()), expected, "{message}");
        }
    }

    #[test]
    fn fields_are_kept() {
        let message = b"Content-Type: text/plain; charset=utf-8;\n\tformat=flowed\n\
            Content-Transfer-Encoding: Quoted-Printable (yes)\nContent-ID: <a@b>\n\
            Content-Description: a\n  b\nContent-Disposition: Attachment; filename=\"x.txt\"\n\
            Content-MD5: Q2hlY2s=\nContent-Language: en, de\nContent-Location: http://x/\n\n";
        let part = scan(message, Limits::default());
        assert_eq!(part.parameter("charset"), Some(&b"utf-8"[..]));
        assert_eq!(part.parameter("format"), Some(&b"flowed"[..]));
        assert_eq!(part.encoding, "quoted-printable");
        assert_eq!(part.id.as_deref(), Some(&b"<a@b>"[..]));
        assert_eq!(part.description.as_deref(), Some(&b"a  b"[..]));
        let disposition = ("attachment".to_owned(), vec![("filename".to_owned(), b"x.txt".into())]);
        assert_eq!(part.disposition, Some(disposition));
        assert_eq!(part.md5.as_deref(), Some(&b"Q2hlY2s="[..]));
        assert_eq!(part.language, [b"en", b"de"]);
        assert_eq!(part.location.as_deref(), Some(&b"http://x/"[..]));
        assert_eq!(scan(b"\n", Limits::default()).encoding, "7bit");
    }

    #[test]
    fn places_are_known_as_stored_and_on_the_wire() {
        let message = b"A: 1\nB: 2\r\n\nbody\nmore\r\n";
        let part = scan(message, Limits::default());
        assert_eq!(part.body, Place { stored: 12, wire: 14 });
        assert_eq!(part.end, Place { stored: 23, wire: 26 });
        assert_eq!(part.lines, 2);
    }

    fn nested(depth: usize) -> Vec<u8> {
        let mut message = Vec::new();
        for level in 0..depth {
            let header =
                format!("Content-Type: multipart/mixed; boundary=b{level}x\n\n--b{level}x\n");
            message.extend_from_slice(header.as_bytes());
        }
        message.extend_from_slice(b"\nhello\n");
        message
    }

    fn depth_of(part: &Part) -> usize {
        1 + part.parts.iter().map(depth_of).max().unwrap_or_default()
    }

    fn count_of(part: &Part) -> usize {
        1 + part.parts.iter().map(count_of).sum::<usize>()
    }

    #[test]
    fn beyond_the_limits_all_is_opaque() {
        let limits = Limits { depth: 3, ..Limits::default() };
        let part = scan(&nested(10), limits);
        assert_eq!(depth_of(&part), 4);
        let deepest = part.parts[0].parts[0].parts.first().expect("three levels are allowed");
        assert_eq!(deepest.media_type, "application");

        let limits = Limits { parts: 4, ..Limits::default() };
        let message = format!("{MIXED}{}", "--a\n\nx\n".repeat(10));
        let part = scan(message.as_bytes(), limits);
        assert_eq!(count_of(&part), 4);
        let last = part.parts.last().expect("three parts are allowed");
        assert_eq!(last.end.stored, message.len() as u64);

        let limits = Limits { header: 64, ..Limits::default() };
        let message = format!("Content-Description: {}\nContent-ID: x\n\n", "y".repeat(1000));
        let part = scan(message.as_bytes(), limits);
        assert_eq!(part.description.map(|text| text.len()), Some(63));
        assert_eq!(part.id, Some(Vec::new()));
    }

    /// The steps of a scan, which are what its time is made of.
    fn steps(message: &[u8]) -> usize {
        let mut scanner = Scanner::new(Limits::default());
        scanner.push(message);
        scanner.steps
    }

    #[test]
    fn twice_the_message_is_twice_the_work() {
        let makers: [fn(usize) -> Vec<u8>; 4] = [
            |n| format!("{MIXED}{}", "--a\n\nx\n".repeat(n)).into_bytes(),
            |n| [nested(100), b"--nothing\n".repeat(n)].concat(),
            |n| nested(n / 10),
            |n| [&b"Content-Type: message/rfc822\n\n".repeat(n)[..], b"x"].concat(),
        ];
        for (at, make) in makers.into_iter().enumerate() {
            let (once, twice) = (steps(&make(20_000)), steps(&make(40_000)));
            assert!(twice <= once * 2 + once / 10, "message {at}: {once} steps, then {twice}");
        }
    }

    fn lines() -> impl Strategy<Value = Vec<u8>> {
        let line = prop::sample::select(vec![
            "",
            "",
            "",
            "text",
            "--a",
            "--ab",
            "--a--",
            "--ab--",
            "--abc",
            "--",
            " folded",
            "\r",
            "Content-Type: multipart/mixed; boundary=a",
            "Content-Type: multipart/x; boundary=ab",
            "Content-Type: multipart/digest; boundary=a",
            "Content-Type: message/rfc822",
            "Content-Type: text/plain;",
            "Content-Transfer-Encoding: 8bit",
        ]);
        let end = prop::sample::select(vec!["\n", "\r\n"]);
        let pairs = prop::collection::vec((line, end), 0..40);
        (pairs, any::<bool>()).prop_map(|(pairs, whole)| {
            let text: String = pairs.into_iter().flat_map(|(line, end)| [line, end]).collect();
            let cut = if whole { text.len() } else { text.len().saturating_sub(1) };
            text.as_bytes()[..cut].to_vec()
        })
    }

    fn covers(part: &Part) {
        assert!(part.header <= part.body && part.body <= part.end, "{part:?}");
        let mut from = part.body;
        for child in &part.parts {
            assert!(from <= child.header && child.end <= part.end, "{part:?}");
            from = child.end;
            covers(child);
        }
    }

    proptest! {
        #[test]
        fn blocks_may_be_of_any_size(message in lines(), size in 1_usize..9) {
            let whole = scan(&message, Limits::default());
            let mut scanner = Scanner::new(Limits::default());
            message.chunks(size).for_each(|block| scanner.push(block));
            prop_assert_eq!(&scanner.finish(), &whole);
            prop_assert_eq!(whole.end.stored, message.len() as u64);
            covers(&whole);
        }

        #[test]
        fn any_octets_can_be_scanned(message in prop::collection::vec(any::<u8>(), 0..300)) {
            covers(&scan(&message, Limits::default()));
        }
    }
}
