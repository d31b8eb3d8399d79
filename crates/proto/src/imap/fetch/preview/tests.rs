//! Previews of whole messages, as delivery makes them.

use proptest::prelude::*;

use super::super::{Summary, Summing};
use super::*;
use crate::message::charset::tests::Plain;

fn preview(message: &[u8]) -> Option<String> {
    let mut summing = Summing::default();
    message.chunks(100).for_each(|block| summing.push(block));
    let summary = summing.finish(&Plain).expect("it is short");
    let summary = Summary::decode(&summary).expect("just made");
    summary.preview().map(str::to_owned)
}

fn check(message: &[u8], expected: &str) {
    assert_eq!(preview(message).as_deref(), Some(expected), "{}", message.escape_ascii());
}

/// A text of a type, behind a header that says so.
fn check_text(kind: &str, table: &[(&str, &str)]) {
    for (text, expected) in table {
        check(format!("Content-Type: text/{kind}; charset=utf-8\n\n{text}").as_bytes(), expected);
    }
}

#[test]
fn plain_texts_are_on_one_line() {
    let table = [
        ("", ""),
        (" \r\n\t\n", ""),
        ("Hello\r\n\r\n  you \n", "Hello you"),
        ("a\u{a0}\u{3000}b\0c\u{1b}[1m", "a b c [1m"),
        ("1 < 2 &amp; <b>\n", "1 < 2 &amp; <b>"),
        ("> they said\n> so\n\nI do not. \n-- \nAnn", "> they said > so I do not. -- Ann"),
        ("caf\u{e9} \u{1f600}", "caf\u{e9} \u{1f600}"),
        ("-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----\n", ""),
        ("-----BEGIN PGP SIGNED MESSAGE-----\n\nhi", "-----BEGIN PGP SIGNED MESSAGE----- hi"),
    ];
    check_text("plain", &table);
    check_text("plain; format=flowed", &table);
}

#[test]
fn html_is_read_without_its_tags() {
    let table = [
        ("<p>One</p><p>t<b>w</b>o</p>", "One two"),
        ("a<br>b<BR/>c<td>d", "a b c d"),
        ("<html><head><title>T</title><style>p { color: red }</style></head><body>x", "x"),
        ("<title/>x<script type=\"a>b\">if (a</b) '</scrip>'</SCRIPT >y", "x y"),
        ("<style>a<</style>b<style>never ends", "b"),
        ("<style /x>a</style>b", "b"),
        ("a<!-- <b> -- > c -->b<!--->c<!---->d<!>e<!-f>g<!doctype html>h<?xml ?>i", "abcdeghi"),
        ("a<!--[if mso]>x<![endif]-->b<![if !mso]>c<![endif]>", "abc"),
        ("a<!-- never ends", "a"),
        ("<a href='>' title = \">\">b</a><a href=x?y='>c", "bc"),
        ("<a href=\"never ends>b</a>", ""),
        ("1 < 2 <3 a<", "1 < 2 <3 a<"),
        ("&lt;b&gt; &amp;amp; &quot;&eacute;&Eacute;&yuml;&nbsp; &euro;", "<b> &amp; \"éÉÿ €"),
        ("&#233;&#xe9;&#XE9;&#x1F600;&#0;&#10;x", "ééé😀 x"),
        ("&#xd800; &#x110000; &#x; &#; &; &nobody;", "&#xd800; &#x110000; &#x; &#; &; &nobody;"),
        ("AT&T & R&D; &amp &#9999999999; &a&lt;&lt", "AT&T & R&D; &amp &#9999999999; &a<&lt"),
        ("&copy", "&copy"),
    ];
    check_text("html", &table);
}

#[test]
fn texts_are_decoded() {
    let quoted = |charset: &str, text: &str| {
        format!(
            "Content-Type: text/plain; charset={charset}\n\
             Content-Transfer-Encoding: quoted-printable\n\n{text}"
        )
    };
    check(quoted("iso-8859-1", "Gr=FC=DFe a=\nus K=F6ln=").as_bytes(), "Grüße aus Köln=");
    check(quoted("utf-8", "Gr=C3=BC=C3=9Fe").as_bytes(), "Grüße");
    check(quoted("utf-8", "broken =FF=C3 text").as_bytes(), "broken \u{fffd}\u{fffd} text");
    check(quoted("\"", "unknown").as_bytes(), "unknown");
    let base64 = b"Content-Type: text/html; charset=UTF-8\nContent-Transfer-Encoding: BASE64\n\n\
PGI+w5xC\nRVI8L2I+\n";
    check(base64, "ÜBER");
}

#[test]
fn two_hundred_characters_are_enough() {
    for character in ["a", "é", "😀"] {
        let (whole, more) = (character.repeat(200), character.repeat(1000));
        check_text("plain", &[(&whole, &whole), (&more, &whole)]);
        check_text("html", &[(&more, &whole)]);
    }
    let words = "four ".repeat(100);
    check_text("plain", &[(&words, words[..200].trim_end())]);
    let late = format!("<style>{}</style>late", "p{} ".repeat(10_000));
    let too_late = format!("<style>{}</style>late", "p{} ".repeat(20_000));
    check_text("html", &[(&late, "late"), (&too_late, "")]);
}

/// A multipart of these entities, as an entity.
fn multipart(subtype: &str, boundary: &str, parts: &[&str]) -> String {
    let mut text = format!("Content-Type: multipart/{subtype}; boundary={boundary}\n\npreamble\n");
    for part in parts {
        text += &format!("--{boundary}\n{part}\n");
    }
    text + &format!("--{boundary}--\nepilogue\n")
}

const PLAIN: &str = "Content-Type: text/plain\n\nplain";
const HTML: &str = "Content-Type: text/html\n\n<b>html</b>";
const IMAGE: &str = "Content-Type: image/png\n\npng";
const ATTACHED: &str = "Content-Disposition: Attachment; filename=a.txt\n\nattached";
const FORWARDED: &str = "Content-Type: message/rfc822\n\nSubject: x\n\nforwarded";

#[test]
fn the_text_that_is_shown_first_counts() {
    let related = |parts: &[&str]| multipart("related", "r", parts);
    let mixed = |parts: &[&str]| multipart("mixed", "m", parts);
    let alternative = |parts: &[&str]| multipart("alternative", "a", parts);
    let table = [
        (alternative(&[PLAIN, HTML]), "plain"),
        (alternative(&[HTML, PLAIN]), "plain"),
        (alternative(&[HTML]), "html"),
        (alternative(&[&related(&[HTML, IMAGE]), &mixed(&[PLAIN])]), "plain"),
        (alternative(&[IMAGE, &related(&[HTML, IMAGE])]), "html"),
        (related(&[&mixed(&[IMAGE, PLAIN]), HTML]), "plain"),
        (mixed(&[&alternative(&[HTML]), PLAIN]), "html"),
        (mixed(&[HTML, PLAIN]), "html"),
        (mixed(&[ATTACHED, FORWARDED, HTML]), "html"),
        (mixed(&[ATTACHED, FORWARDED, IMAGE]), ""),
        (mixed(&[]), ""),
        (
            multipart("signed", "s", &[PLAIN, "Content-Type: application/pgp-signature\n\nx"]),
            "plain",
        ),
        (multipart("encrypted", "e", &["Content-Type: application/pgp-encrypted\n\nx", PLAIN]), ""),
        ("Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nx".to_owned(), ""),
        (FORWARDED.to_owned(), ""),
        (String::new(), ""),
        ("Subject: no body".to_owned(), ""),
    ];
    for (message, expected) in table {
        check(message.as_bytes(), expected);
        check(message.replace('\n', "\r\n").as_bytes(), expected);
    }
}

#[test]
fn nested_alternatives_are_asked_once() {
    let deep = (0..90).fold(HTML.to_owned(), |inner, level| {
        multipart("alternative", &format!("b{level}"), &[&inner])
    });
    check(deep.as_bytes(), "html");
}

#[test]
fn a_text_that_was_not_kept_is_not_known() {
    let image = format!("{IMAGE}{}", "line\n".repeat(40_000));
    let message = multipart("mixed", "m", &[&image, PLAIN]);
    assert_eq!(preview(message.as_bytes()), None);
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    let known: [&[u8]; 20] = [
        b"<",
        b">",
        b"&",
        b";",
        b"#",
        b"x",
        b"/",
        b"!",
        b"-",
        b"=",
        b"\"",
        b"'",
        b"\n",
        b" ",
        b"\xc3",
        b"<style",
        b"</style",
        b"<!--",
        b"amp",
        b"\xf0\x9f",
    ];
    prop_oneof![
        4 => prop::sample::select(known.to_vec()).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ]
}

proptest! {
    #[test]
    fn any_octets_have_a_preview(
        kind in prop::sample::select(vec!["html", "plain"]),
        encoding in prop::sample::select(vec!["8bit", "base64", "quoted-printable"]),
        charset in prop::sample::select(vec!["utf-8", "iso-8859-1"]),
        words in prop::collection::vec(word(), 0..400),
        size in 1_usize..900,
    ) {
        let part = Part {
            subtype: kind.to_owned(),
            encoding: encoding.to_owned(),
            parameters: vec![("charset".to_owned(), charset.into())],
            ..Part::default()
        };
        let body = words.concat();
        let mut preview = Preview::of(&part, &Plain);
        body.chunks(size).all(|block| preview.push(block) == More::Wanted);
        let text = preview.finish();
        prop_assert!(text.chars().count() <= CHARACTERS && text.len() <= OCTETS);
        prop_assert!(!text.contains(|character: char| character.is_control()));
        prop_assert!(!text.contains("  ") && text.trim() == text);
    }
}
