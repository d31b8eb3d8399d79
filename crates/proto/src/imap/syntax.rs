//! Commands as bytes: framing with literals, then the grammar.
