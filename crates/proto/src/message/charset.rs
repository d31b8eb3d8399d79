//! Charsets, as this crate sees them: somebody else's work.

/// Gives decoders; a daemon brings one that knows the charsets of the world.
pub trait Charsets {
    /// A decoder for a charset by its name in any case. For an unknown one the best guess.
    fn decoder(&self, name: &[u8]) -> Box<dyn Decoder>;
}

/// Turns the octets of a text into UTF-8, block by block.
pub trait Decoder {
    /// Appends the text of a block. With `last` no block follows.
    fn decode(&mut self, octets: &[u8], last: bool, out: &mut String);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Knows UTF-8, without blocks that end within a character; all else is ISO-8859-1.
    pub(crate) struct Plain;

    struct Utf8;
    struct Latin1;

    impl Charsets for Plain {
        fn decoder(&self, name: &[u8]) -> Box<dyn Decoder> {
            if name.eq_ignore_ascii_case(b"utf-8") { Box::new(Utf8) } else { Box::new(Latin1) }
        }
    }

    impl Decoder for Utf8 {
        fn decode(&mut self, octets: &[u8], _last: bool, out: &mut String) {
            out.push_str(&String::from_utf8_lossy(octets));
        }
    }

    impl Decoder for Latin1 {
        fn decode(&mut self, octets: &[u8], _last: bool, out: &mut String) {
            out.extend(octets.iter().map(|octet| char::from(*octet)));
        }
    }
}
