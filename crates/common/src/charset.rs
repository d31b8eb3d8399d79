//! The charsets of texts: those of the web, which are those of mail.

use encoding_rs::{Encoding, UTF_8};
use mail_proto::message::charset::{Charsets, Decoder};

/// All charsets that have a name here; any other is read as UTF-8.
#[derive(Debug, Clone, Copy)]
pub struct Encodings;

struct Text(encoding_rs::Decoder);

impl Charsets for Encodings {
    fn decoder(&self, name: &[u8]) -> Box<dyn Decoder> {
        let encoding = Encoding::for_label(name).unwrap_or(UTF_8);
        Box::new(Text(encoding.new_decoder_with_bom_removal()))
    }
}

impl Decoder for Text {
    fn decode(&mut self, octets: &[u8], last: bool, out: &mut String) {
        let Some(room) = self.0.max_utf8_buffer_length(octets.len()) else { return };
        out.reserve(room);
        // With room for the worst case all of it is read.
        let _ = self.0.decode_to_string(octets, out, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_decoded_in_any_blocks() {
        let table: [(&str, &[u8], &str); 6] = [
            ("utf-8", b"caf\xc3\xa9", "café"),
            ("ISO-8859-1", b"caf\xe9", "café"),
            ("us-ascii", b"cafe", "cafe"),
            ("iso-2022-jp", b"\x1b$B%+\x1b(B", "カ"),
            ("gb2312", b"\xd6\xd0", "中"),
            ("x-nobody-knows", b"caf\xc3\xa9", "café"),
        ];
        for (charset, octets, expected) in table {
            for size in [1, 2, 100] {
                let mut decoder = Encodings.decoder(charset.as_bytes());
                let mut text = String::new();
                octets.chunks(size).for_each(|block| decoder.decode(block, false, &mut text));
                decoder.decode(b"", true, &mut text);
                assert_eq!(text, expected, "{charset} by {size}");
            }
        }
    }
}
