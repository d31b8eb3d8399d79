//! Names of mailboxes in which much could go wrong.

use super::form::Form;

const NAMES: [&[&str]; 25] = [
    &["a.b"],
    &["a", "b"],
    &["tree"],
    &["tree", "日本"],
    &["tree", ".", "deep~"],
    &["parent", "child"],
    &["parent"],
    &["other", "child"],
    &["~x"],
    &["q", "~x"],
    &["Entwürfe"],
    &["R&D"],
    &["100%"],
    &["b\\c"],
    &["\\2e"],
    &["x\\7ey\\"],
    &[".lead"],
    &["...", "dots..."],
    &["..", "above"],
    &["e\u{301} a b"],
    &["📮", "a+b=c,d;e"],
    &["w/x", "#y"],
    &["INBOX", "x"],
    &["cur"],
    &["new", "dovecot-uidlist", "tmp"],
];

/// The names that a site of this form can have: no level has the separator in it, and in LAYOUT=fs
/// some are those of files.
pub(crate) fn of(form: &Form) -> Vec<String> {
    let (deep, long) = (["l"; 60], "long ".repeat(40));
    let long = [long.as_str()];
    let all = NAMES.iter().copied().chain([&deep[..], &long]);
    let possible = all.filter(|levels| {
        let reserved = levels.iter().any(|level| matches!(*level, "cur" | "new" | "tmp"));
        let parted = levels.iter().any(|level| level.contains(form.separator));
        !(parted || reserved && form.layout == "fs")
    });
    possible.map(|levels| form.name(levels)).collect()
}
