//! NAMESPACE (RFC 2342): one personal namespace.

use super::{Server, Telling, Turn};
use crate::imap::syntax::utf7;
use crate::imap::write;

impl Server {
    pub(super) fn namespace(&mut self, tag: String, out: &mut Vec<u8>) -> Turn {
        out.extend_from_slice(b"* NAMESPACE ((");
        write::string(out, utf7::encode(&self.setup.prefix).as_bytes());
        out.push(b' ');
        self.write_separator(out);
        out.extend_from_slice(b")) NIL NIL\r\n");
        self.finish(tag, "OK Namespace completed.", Telling::ALL, out)
    }

    pub(super) fn write_separator(&self, out: &mut Vec<u8>) {
        write::string(out, self.setup.separator.encode_utf8(&mut [0; 4]).as_bytes());
    }
}
