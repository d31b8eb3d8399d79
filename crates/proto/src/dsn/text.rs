//! Words of others, made harmless.

/// Where the lines for people are broken.
pub(super) const WIDTH: usize = 76;

/// One line without control characters, at most so many characters.
pub(super) fn one_line(text: &str, limit: usize) -> String {
    text.chars().take(limit).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The same, of ASCII alone.
pub(super) fn ascii_line(text: &str, limit: usize) -> String {
    one_line(text, limit).chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

/// Appends words in lines of about [`WIDTH`] characters; a word longer than that is cut into
/// pieces. `first` stands before the first line, `line_break` between lines.
pub(super) fn fold(first: &str, words: &str, line_break: &str, out: &mut String) {
    out.push_str(first);
    let (mut width, mut is_empty) = (first.chars().count(), true);
    for word in words.split_ascii_whitespace() {
        for piece in word.chars().collect::<Vec<_>>().chunks(WIDTH) {
            if !is_empty && width + 1 + piece.len() > WIDTH {
                out.push_str(line_break);
                (width, is_empty) = (line_break.trim_start_matches(['\r', '\n']).len(), true);
            }
            if !is_empty {
                out.push(' ');
            }
            out.extend(piece);
            (width, is_empty) = (width + 1 + piece.len(), false);
        }
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_apart_and_within_the_width() {
        let words = "one two three four five six seven eight nine ten eleven twelve ".repeat(9);
        for (first, line_break) in [("", "\r\n"), ("Diagnostic-Code: smtp; ", "\r\n ")] {
            let mut out = String::new();
            fold(first, &words, line_break, &mut out);
            let text = out.strip_prefix(first).expect("begins with it").replace("\r\n", " ");
            let found: Vec<_> = text.split_ascii_whitespace().collect();
            assert_eq!(found, words.split_ascii_whitespace().collect::<Vec<_>>());
            assert!(out.lines().all(|line| line.len() <= WIDTH), "{out}");
        }
        let mut out = String::new();
        fold("a ", &"x".repeat(200), "\r\n ", &mut out);
        assert_eq!(out.lines().map(str::len).collect::<Vec<_>>(), [78, 77, 49]);
    }
}
