//! Texts that are compared without regard to case (RFC 3501, 6.4.4).

/// A text in the form in which it is compared: every letter in lower case, by itself.
pub(super) fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // Not `str::to_lowercase`: there a sigma depends on its neighbours.
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Looks for a folded text in one that comes in pieces.
#[derive(Debug)]
pub(super) struct Finder<'a> {
    wanted: &'a str,
    /// The end of what came so far, folded: what is looked for may go on in the next piece.
    tail: String,
}

impl<'a> Finder<'a> {
    pub(super) fn new(wanted: &'a str) -> Self {
        Self { wanted, tail: String::new() }
    }

    /// Takes the next piece. Whether the text was found.
    pub(super) fn push(&mut self, piece: &str) -> bool {
        self.tail.push_str(&folded(piece));
        if self.tail.contains(self.wanted) {
            return true;
        }
        let kept = self.wanted.len().saturating_sub(1);
        let mut cut = self.tail.len().saturating_sub(kept);
        while !self.tail.is_char_boundary(cut) {
            cut -= 1;
        }
        self.tail.drain(..cut);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_in_any_pieces() {
        let table = [
            ("Hello World", "LO W", true),
            ("Grüße aus Köln", "GRÜSSE", false),
            ("GRÜẞE AUS KÖLN", "grüße aus köln", true),
            ("ΣΟΦΟΣ", "σοφοσ", true),
            ("aaab", "aab", true),
            ("abc", "abcd", false),
            ("abc", "", true),
        ];
        for (text, wanted, expected) in table {
            for size in [1, 2, 100] {
                let wanted = folded(wanted);
                let mut finder = Finder::new(&wanted);
                let characters: Vec<char> = text.chars().collect();
                let found = characters
                    .chunks(size)
                    .any(|piece| finder.push(&piece.iter().collect::<String>()));
                assert_eq!(found, expected, "{wanted:?} in {text:?} by {size}");
            }
        }
    }
}
