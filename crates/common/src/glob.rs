//! Patterns in which `*` stands for anything, also nothing.

use std::str::Chars;

/// Whether all of `text` is as `pattern` says, where `is_same` says which character of the pattern
/// stands for which of the text. Takes at most as many steps as both lengths multiplied.
pub fn matches(pattern: &str, text: &str, is_same: impl Fn(char, char) -> bool) -> bool {
    let (mut pattern, mut rest) = (pattern.chars(), text.chars());
    // Behind the last star: what follows it, and where it was tried last. The first place at which
    // what stands between two stars matches is as good as any later one.
    let mut star: Option<(Chars<'_>, Chars<'_>)> = None;
    loop {
        let here = rest.clone();
        match (pattern.next(), rest.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                star = Some((pattern.clone(), here.clone()));
                rest = here;
            }
            (Some(wanted), Some(found)) if is_same(wanted, found) => {}
            _ => {
                let Some((after, mut from)) = star.take() else { return false };
                if from.next().is_none() {
                    return false;
                }
                (pattern, rest) = (after.clone(), from.clone());
                star = Some((after, from));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_are_anything() {
        let table = [
            ("", "", true),
            ("", "a", false),
            ("a", "", false),
            ("*", "", true),
            ("*", "*", true),
            ("a*", "a", true),
            ("*a", "ba", true),
            ("*a", "ab", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "axbxbxc", true),
            ("a*b*c", "axbxbx", false),
            ("***a", "bca", true),
            ("*aab", "aaaaaaaaaaaab", true),
            ("*ab*ab", "xabyab", true),
            ("*ab*ab", "xab", false),
            ("ä*ü", "äöü", true),
            ("?", "a", false),
        ];
        for (pattern, text, expected) in table {
            let found = matches(pattern, text, |wanted, found| wanted == found);
            assert_eq!(found, expected, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_the_same_is_the_caller_s_to_say() {
        let is_same = |wanted, found| wanted == '?' || wanted == found;
        assert!(matches("a?c*", "abcd", is_same));
        assert!(!matches("a?c*", "acd", is_same));
    }
}
