//! Mail addresses and domains: made only by parsing (RFC 5321, 4.1.2; RFC 6531, 3.3 for UTF-8).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// A domain name or an address literal, as it is compared: lower case, no dot at the end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(String);

/// `local-part@domain`.
///
/// The local part is kept without quotes; [`Display`](fmt::Display) puts them back where the
/// grammar needs them, so an address that was read can always be written again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    local: String,
    domain: Domain,
}

/// Who a message came from: an address, or nobody (`<>`), who never gets a bounce.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReversePath(pub Option<Address>);

/// Where a message shall go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardPath {
    /// To an address.
    Address(Address),
    /// To whoever looks after this host: `<Postmaster>` (RFC 5321, 4.1.1.3), in any case.
    Postmaster,
}

/// What is wrong with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddressError {
    /// The local part is not a dot-string or quoted string, or is longer than 64 octets.
    #[error("the local part is not valid")]
    LocalPart,
    /// The domain is neither a name nor a literal.
    #[error("the domain is not valid")]
    Domain,
    /// No `@`.
    #[error("the domain is missing")]
    NoDomain,
    /// Not of the form `<...>`.
    #[error("the address is not in angle brackets")]
    Path,
}

impl Domain {
    /// The name, lower case; a literal with its brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.0.starts_with('[')
    }
}

impl FromStr for Domain {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.to_lowercase();
        if let Some(literal) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            return address_literal(literal).ok_or(AddressError::Domain);
        }
        let name = text.strip_suffix('.').unwrap_or(&text);
        // RFC 5321, 4.5.3.1.2: 255 octets. A single label is a machine's bare name.
        if name.len() > 255 || !name.split('.').all(is_label) {
            return Err(AddressError::Domain);
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Address {
    /// An address of a local part that is already without quotes.
    pub fn new(local: &str, domain: Domain) -> Result<Self, AddressError> {
        // RFC 5321, 4.5.3.1.1: 64 octets; but VERP and SRS of others are longer, and Postfix
        // takes them.
        let fits = !local.is_empty() && local.len() <= 255;
        if !fits || local.chars().any(char::is_control) {
            return Err(AddressError::LocalPart);
        }
        Ok(Self { local: local.to_owned(), domain })
    }

    /// Reads a path, `<ann@example.org>`, with or without a source route, which is dropped
    /// (RFC 5321, 4.1.2 and appendix C). White space inside the brackets is dropped as well, as
    /// Postfix does. Returns what stands after the path too.
    pub fn from_path(text: &str) -> Result<(Self, &str), AddressError> {
        let (inside, rest) = split_path(text)?;
        let mailbox = match inside.strip_prefix('@') {
            Some(route) => route.split_once(':').ok_or(AddressError::Path)?.1.trim_ascii_start(),
            None => inside,
        };
        Ok((mailbox.parse()?, rest))
    }

    /// The local part, without quotes, in the case in which it came.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (local, domain) = if text.starts_with('"') {
            let (local, rest) = unquote(text)?;
            (local, rest.strip_prefix('@').ok_or(AddressError::NoDomain)?)
        } else {
            let (local, domain) = text.split_once('@').ok_or(AddressError::NoDomain)?;
            if !is_dot_string(local) {
                return Err(AddressError::LocalPart);
            }
            (local.to_owned(), domain)
        };
        Self::new(&local, domain.parse()?)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.local) {
            return write!(f, "{}@{}", self.local, self.domain);
        }
        f.write_str("\"")?;
        for c in self.local.chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        write!(f, "\"@{}", self.domain)
    }
}

impl ReversePath {
    /// Reads a reverse-path: `<>` or a path. Returns what stands after it too.
    pub fn from_path(text: &str) -> Result<(Self, &str), AddressError> {
        let (inside, rest) = split_path(text)?;
        if inside.is_empty() {
            return Ok((Self(None), rest));
        }
        let (address, rest) = Address::from_path(text)?;
        Ok((Self(Some(address)), rest))
    }
}

impl ForwardPath {
    /// Reads a forward-path: a path, or `<Postmaster>`. Returns what stands after it too.
    pub fn from_path(text: &str) -> Result<(Self, &str), AddressError> {
        let (inside, rest) = split_path(text)?;
        if inside.eq_ignore_ascii_case("postmaster") {
            return Ok((Self::Postmaster, rest));
        }
        let (address, rest) = Address::from_path(text)?;
        Ok((Self::Address(address), rest))
    }
}

/// `<ann@example.org>`, `<>`.
impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(address) => write!(f, "<{address}>"),
            None => f.write_str("<>"),
        }
    }
}

/// Splits `<...>rest`; a `>` in quotes does not count. White space at both ends inside is gone.
fn split_path(text: &str) -> Result<(&str, &str), AddressError> {
    let inside = text.strip_prefix('<').ok_or(AddressError::Path)?;
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => {
                let (path, rest) = inside.split_at(at);
                return Ok((path.trim_ascii(), rest.strip_prefix('>').unwrap_or_default()));
            }
            _ => {}
        }
    }
    Err(AddressError::Path)
}

/// Reads a quoted string; returns its content, and what stands after it.
fn unquote(text: &str) -> Result<(String, &str), AddressError> {
    let mut content = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((content, text.get(at + 1..).unwrap_or_default())),
            '\\' => content.push(chars.next().ok_or(AddressError::LocalPart)?.1),
            c => content.push(c),
        }
    }
    Err(AddressError::LocalPart)
}

fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// RFC 5322, 3.2.3, and UTF-8 by RFC 6531, 3.3.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || !(c.is_ascii() || c.is_control())
}

/// A label of letters, digits and hyphens; the underscore is against the rules, and used.
fn is_label(label: &str) -> bool {
    let fits = (1..=63).contains(&label.len());
    let letters = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '-' | '_') || !(c.is_ascii() || c.is_control())
    };
    fits && !label.starts_with('-') && !label.ends_with('-') && label.chars().all(letters)
}

/// RFC 5321, 4.1.3; one form only for each address, so that literals compare.
fn address_literal(text: &str) -> Option<Domain> {
    match text.strip_prefix("ipv6:") {
        Some(v6) => v6.parse().ok().map(|ip: Ipv6Addr| Domain(format!("[IPv6:{ip}]"))),
        None => text.parse().ok().map(|ip: Ipv4Addr| Domain(format!("[{ip}]"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_read_and_written_again() {
        let table = [
            ("ann@example.org", Ok("ann@example.org")),
            ("Ann.Lee+x@Example.ORG.", Ok("Ann.Lee+x@example.org")),
            ("\"a b\"@c.d", Ok("\"a b\"@c.d")),
            ("\"a@b\"@c.d", Ok("\"a@b\"@c.d")),
            ("\"ann\"@c.d", Ok("ann@c.d")),
            ("\"a\\\"b\\\\\"@c.d", Ok("\"a\\\"b\\\\\"@c.d")),
            ("ann@[192.0.2.1]", Ok("ann@[192.0.2.1]")),
            ("ann@[IPv6:2001:DB8:0:0::1]", Ok("ann@[IPv6:2001:db8::1]")),
            ("ü@bücher.example", Ok("ü@bücher.example")),
            ("ann@host", Ok("ann@host")),
            ("\"\"@c.d", Err(AddressError::LocalPart)),
            ("a..b@c.d", Err(AddressError::LocalPart)),
            ("a b@c.d", Err(AddressError::LocalPart)),
            ("\"a@c.d", Err(AddressError::LocalPart)),
            ("\"a\tb\"@c.d", Err(AddressError::LocalPart)),
            ("ann", Err(AddressError::NoDomain)),
            ("\"ann\"", Err(AddressError::NoDomain)),
            ("ann@", Err(AddressError::Domain)),
            ("ann@b@c.d", Err(AddressError::Domain)),
            ("ann@-a.b", Err(AddressError::Domain)),
            ("ann@a..b", Err(AddressError::Domain)),
            ("ann@[300.1.1.1]", Err(AddressError::Domain)),
            ("ann@[IPv6:::1", Err(AddressError::Domain)),
        ];
        for (text, expected) in table {
            let found = text.parse::<Address>().map(|a| a.to_string());
            assert_eq!(found, expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn paths() {
        let table = [
            ("<ann@a.b>", Ok(("ann@a.b", ""))),
            ("<ann@a.b> SIZE=1", Ok(("ann@a.b", " SIZE=1"))),
            ("<@x.y,@z.w:ann@a.b>", Ok(("ann@a.b", ""))),
            ("<\"a>b\"@c.d> X", Ok(("\"a>b\"@c.d", " X"))),
            ("< ann@a.b\t> X", Ok(("ann@a.b", " X"))),
            ("<@x.y: ann@a.b>", Ok(("ann@a.b", ""))),
            ("<\" a \"@c.d>", Ok(("\" a \"@c.d", ""))),
            ("<\u{a0}@c.d>", Ok(("\u{a0}@c.d", ""))),
            ("ann@a.b", Err(AddressError::Path)),
            ("<ann@a.b", Err(AddressError::Path)),
            ("<@x.y>", Err(AddressError::Path)),
            ("<>", Err(AddressError::NoDomain)),
        ];
        for (text, expected) in table {
            let found = Address::from_path(text).map(|(a, rest)| (a.to_string(), rest));
            assert_eq!(found, expected.map(|(a, rest)| (a.to_owned(), rest)), "{text}");
        }
        let (nobody, rest) = ReversePath::from_path("<> BODY=8BITMIME").expect("is a reverse-path");
        assert_eq!((nobody.to_string().as_str(), rest), ("<>", " BODY=8BITMIME"));
        assert_eq!(ReversePath::from_path("< >"), Ok((ReversePath(None), "")));
    }

    #[test]
    fn the_postmaster_needs_no_domain() {
        for text in ["<Postmaster>", "<postmaster>", "< POSTMASTER >"] {
            assert_eq!(ForwardPath::from_path(text), Ok((ForwardPath::Postmaster, "")), "{text}");
        }
        let with_domain = ForwardPath::from_path("<Postmaster@example.org>");
        assert!(matches!(with_domain, Ok((ForwardPath::Address(_), ""))), "{with_domain:?}");
        for text in ["<>", "<root>", "Postmaster"] {
            assert!(ForwardPath::from_path(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_local_part_survives_writing_and_reading(local in "[^\\p{Cc}]{1,40}") {
            let domain: Domain = "example.org".parse().expect("is a name");
            let address = Address::new(&local, domain).expect("has no control characters");
            let path = format!("<{address}>");
            prop_assert_eq!(Address::from_path(&path), Ok((address, "")));
        }
    }
}
