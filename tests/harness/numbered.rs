//! Letters that are known by their numbers, of many sizes: some larger than any buffer, some larger
//! than a segment of the queue takes.

use crate::chat::without_trace;

/// The letter of a number, as it is sent.
#[must_use]
pub fn letter(number: usize) -> Vec<u8> {
    let lines = match number % 200 {
        199 => 30_000,
        last if last % 50 == 0 => 3000,
        last => 1 + last * 37 % 400,
    };
    let body = "All work and no play makes Jack a dull boy.\r\n".repeat(lines);
    format!("Subject: letter {number}\r\nX-Number: {number}\r\n\r\n{body}end of {number}\r\n")
        .into_bytes()
}

/// The number of a stored letter, whole or not.
#[must_use]
pub fn number_of(stored: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"X-Number: ";
    let at = stored.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let digits = stored.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit());
    String::from_utf8(digits.copied().collect()).ok()?.parse().ok()
}

/// The number of a stored letter that is whole.
///
/// # Errors
/// It is not; in words, with its beginning.
pub fn whole(stored: &[u8]) -> Result<usize, String> {
    let shown = || String::from_utf8_lossy(stored.get(..500).unwrap_or(stored)).into_owned();
    let number = number_of(stored).ok_or_else(|| format!("no letter of ours:\n{}", shown()))?;
    match without_trace(stored) == letter(number) {
        true => Ok(number),
        false => Err(format!("letter {number} is not whole:\n{}", shown())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_letter_is_not_whole() {
        let sent = letter(50);
        assert_eq!(whole(&sent), Ok(50));
        assert!(whole(&sent[..sent.len() - 2]).is_err());
        assert!(whole(&letter(51)[2..]).is_err());
        assert!(whole(b"Subject: x\r\n\r\nx\r\n").is_err());
    }
}
