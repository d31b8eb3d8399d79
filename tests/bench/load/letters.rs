//! Letters by number: the same number always makes the same letter.
//!
//! 2 to 50 kB, spread evenly over the logarithm, 15 kB on average. Of 20, three are plain text,
//! eleven are text and HTML, six have an attachment. Header fields differ as those of real mail
//! do: who it is from, whom it answers, whether it has a Cc.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Octets of the smallest letter, and how many times as large the largest is.
const SMALLEST: f64 = 2000.0;
const SPREAD: f64 = 25.0;

const WORDS: &str = "amber anchor autumn basket beacon bicycle blanket bottle branch bridge candle \
    canvas carpet castle cellar chapel cherry circle cloud copper corner cotton cradle crystal \
    curtain dawn desert dinner donkey dragon eagle echo ember engine feather fern ferry field \
    flame forest fountain garden gate ginger glacier glove grain granite hammer harvest hazel \
    hedge hill honey island ivory jacket jungle kettle kitchen ladder lantern lemon lily linen \
    maple marble meadow mirror moon moss mountain needle oak ocean olive onion orchid otter owl \
    paddle pebble pepper piano pine planet plum pond pottery rabbit raven ribbon river saddle \
    salmon shadow silver spoon spring stable stone summer thunder tiger timber tower tulip valley \
    velvet violin walnut water willow window winter wolf wool yarn";

/// What letters are made of.
#[derive(Debug)]
pub(crate) struct Letters {
    words: Vec<&'static str>,
    paragraphs: Vec<String>,
    attachment: String,
}

/// Numbers that look random (splitmix64).
struct Numbers(u64);

impl Letters {
    pub(crate) fn new() -> Self {
        let words: Vec<&str> = WORDS.split_whitespace().collect();
        let mut numbers = Numbers(1);
        let paragraphs = (0..256).map(|_| paragraph(&words, &mut numbers)).collect();
        let octets: Vec<u8> = (0..45_000).map(|_| numbers.below(256) as u8).collect();
        let attachment = octets.chunks(57).map(|line| STANDARD.encode(line) + "\n").collect();
        Self { words, paragraphs, attachment }
    }

    /// A letter with LF, as it is stored.
    pub(crate) fn stored(&self, number: u64) -> String {
        let mut numbers = Numbers(number.wrapping_mul(0x5851_f42d_4c95_7f2d));
        let size = (SMALLEST * SPREAD.powf(numbers.part())) as usize;
        let mut letter = String::with_capacity(size + 4096);
        self.header(number, &mut numbers, &mut letter);
        match numbers.below(20) {
            0..3 => {
                letter += "Content-Type: text/plain; charset=utf-8\n\n";
                self.text(size, &mut numbers, &mut letter);
            }
            3..14 => self.alternative(number, size, &mut numbers, &mut letter),
            _ => self.attached(number, size, &mut numbers, &mut letter),
        }
        letter
    }

    /// A letter with CRLF, as it is sent.
    pub(crate) fn sent(&self, number: u64) -> Vec<u8> {
        self.stored(number).replace('\n', "\r\n").into_bytes()
    }

    fn header(&self, number: u64, numbers: &mut Numbers, letter: &mut String) {
        let (sender, relay, day) = (number % 977, number % 7, date(number));
        write!(
            letter,
            "Return-Path: <s{sender}@sender.example>\n\
             Received: from relay{relay}.sender.example (relay{relay}.sender.example [192.0.2.{relay}])\n\
             \tby mx.example.test with ESMTPS id {number:08x}\n\tfor <u0@example.test>; {day}\n\
             From: \"Sender Number {sender}\" <s{sender}@sender.example>\n\
             To: User Zero <u0@example.test>, Other <o{}@other.example>\n",
            number % 31
        )
        .expect("takes everything");
        if number.is_multiple_of(3) {
            letter.push_str("Cc: list@lists.example, \"Carbon, C.\" <c@other.example>\n");
        }
        if number % 2 == 1 {
            let (last, before) = (number - 1, number.saturating_sub(2));
            let (last, before) =
                (format!("<m{last}@sender.example>"), format!("<m{before}@sender.example>"));
            write!(letter, "In-Reply-To: {last}\nReferences: {before}\n {last}\n")
                .expect("takes everything");
        }
        letter.push_str("Subject:");
        for _ in 0..5 {
            letter.push(' ');
            letter.push_str(self.words[numbers.below(self.words.len())]);
        }
        write!(
            letter,
            "\nDate: {day}\nMessage-ID: <m{number}@sender.example>\nMIME-Version: 1.0\n\
             X-Mailer: load\n"
        )
        .expect("takes everything");
    }

    /// Paragraphs up to that length of the letter.
    fn text(&self, until: usize, numbers: &mut Numbers, letter: &mut String) {
        loop {
            letter.push_str(&self.paragraphs[numbers.below(self.paragraphs.len())]);
            if letter.len() >= until {
                return;
            }
        }
    }

    fn alternative(&self, number: u64, size: usize, numbers: &mut Numbers, letter: &mut String) {
        let boundary = multipart("alternative", number, letter);
        let half = letter.len() + size.saturating_sub(letter.len()) / 2;
        self.text(half, numbers, letter);
        write!(
            letter,
            "\n--{boundary}\nContent-Type: text/html; charset=utf-8\n\
             Content-Transfer-Encoding: quoted-printable\n\n<html><body>\n"
        )
        .expect("takes everything");
        self.text(size, numbers, letter);
        write!(letter, "</body></html>\n\n--{boundary}--\n").expect("takes everything");
    }

    fn attached(&self, number: u64, size: usize, numbers: &mut Numbers, letter: &mut String) {
        let boundary = multipart("mixed", number, letter);
        self.text(letter.len() + 800, numbers, letter);
        write!(
            letter,
            "\n--{boundary}\nContent-Type: application/octet-stream; name=\"file{number}.bin\"\n\
             Content-Disposition: attachment; filename=\"file{number}.bin\"\n\
             Content-Transfer-Encoding: base64\n\n"
        )
        .expect("takes everything");
        let lines = size.saturating_sub(letter.len()).max(200) / 77;
        letter.push_str(self.attachment.get(..lines * 77).unwrap_or(&self.attachment));
        writeln!(letter, "--{boundary}--").expect("takes everything");
    }
}

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// From 0 to 1.
    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The beginning of a letter of parts, up to the text of the first; returns their boundary.
fn multipart(kind: &str, number: u64, letter: &mut String) -> String {
    let boundary = format!("=_{number:x}_{kind}");
    write!(
        letter,
        "Content-Type: multipart/{kind}; boundary=\"{boundary}\"\n\n--{boundary}\n\
         Content-Type: text/plain; charset=utf-8\n\n"
    )
    .expect("takes everything");
    boundary
}

/// Lines of at most 72 characters.
fn paragraph(words: &[&str], numbers: &mut Numbers) -> String {
    let mut text = String::new();
    let mut column = 0;
    for _ in 0..30 + numbers.below(60) {
        let word = words[numbers.below(words.len())];
        if column + word.len() > 70 {
            text.push('\n');
            column = 0;
        }
        text.push_str(word);
        text.push(' ');
        column += word.len() + 1;
    }
    text + "\n\n"
}

/// A day of 2024 by number, a quarter of an hour between two letters.
fn date(number: u64) -> String {
    let (minutes, day) = (number * 15 % 1440, number * 15 / 1440 % 28 + 1);
    format!("{day:02} Feb 2024 {:02}:{:02}:00 +0000", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_as_large_as_they_should_be() {
        let letters = Letters::new();
        let sizes: Vec<usize> = (0..2000).map(|number| letters.sent(number).len()).collect();
        let mean = sizes.iter().sum::<usize>() / sizes.len();
        assert!((13_000..17_000).contains(&mean), "{mean} octets on average");
        assert!(sizes.iter().all(|size| (1500..60_000).contains(size)), "{sizes:?}");
    }

    #[test]
    fn a_number_is_a_letter() {
        let letters = Letters::new();
        assert_eq!(letters.stored(7), Letters::new().stored(7));
        assert_ne!(letters.stored(7), letters.stored(8));
    }
}
