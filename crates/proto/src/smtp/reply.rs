//! Every reply that our server gives: its whole vocabulary on one page.

use std::borrow::Cow;

/// A reply: code, enhanced status code (RFC 3463), text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Such as 250.
    pub code: u16,
    /// Such as `2.1.5`; greetings and EHLO have none.
    pub enhanced: Option<&'static str>,
    /// What a person reads. A line break makes a reply of several lines.
    pub text: Cow<'static, str>,
}
