//! Message ids: queue id and trace id in one.

use std::fmt;

/// The id of a message: at most 16 characters of 0-9A-Za-z, in order of time, the end random.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(String);

impl Id {
    /// A new id.
    #[must_use]
    pub fn new() -> Self {
        todo!()
    }

    /// An id that was written before; `None` if it was none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        todo!("{text}")
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
