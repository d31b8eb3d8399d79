//! LIST (RFC 3501, 6.3.8), with CHILDREN (RFC 3348) and SPECIAL-USE (RFC 6154).

use super::{Failure, List, Request, Server, Telling, Turn, Waiting, pattern, reply};
use crate::imap::syntax::{canonical, utf7};
use crate::imap::write;
use crate::mailbox::Folder;

impl Server {
    pub(super) fn list(&mut self, tag: String, list: List, out: &mut Vec<u8>) -> Turn {
        if list.pattern.is_empty() {
            // RFC 3501, 6.3.8: an empty pattern asks for the separator and the root's name.
            self.write_folder(b"* LIST (\\Noselect", "", out);
            return self.finish(tag, "OK List completed.", Telling::ALL, out);
        }
        self.ask(Waiting::List { tag, list }, Request::Folders)
    }

    /// All of the list or none of it: Outlook removes what a short list does not name.
    pub(super) fn listed(
        &mut self,
        tag: String,
        list: &List,
        folders: Result<Vec<Folder>, Failure>,
        out: &mut Vec<u8>,
    ) -> Turn {
        let folders = match folders {
            Ok(folders) => folders,
            Err(failure) => return self.finish(tag, reply::failure(failure), Telling::ALL, out),
        };
        let pattern = self.full_pattern(list);
        for folder in folders {
            let is_meant = folder.exists
                && (folder.special_use.is_some() || !list.special_only)
                && pattern::matches(&pattern, &folder.name, self.setup.separator);
            if is_meant {
                out.extend_from_slice(b"* LIST (");
                out.extend_from_slice(children(&folder));
                if !folder.selectable {
                    out.extend_from_slice(b" \\Noselect");
                }
                if let Some(special_use) = folder.special_use {
                    out.push(b' ');
                    out.extend_from_slice(special_use.attribute().as_bytes());
                }
                self.write_folder(b"", &folder.name, out);
            }
        }
        self.finish(tag, "OK List completed.", Telling::ALL, out)
    }

    /// The reference and the pattern as one.
    pub(super) fn full_pattern(&self, list: &List) -> String {
        canonical(format!("{}{}", list.reference, list.pattern), self.setup.separator)
    }

    /// `start`, then the end of the attributes, the separator and the name.
    pub(super) fn write_folder(&self, start: &[u8], name: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(start);
        out.extend_from_slice(b") ");
        self.write_separator(out);
        out.push(b' ');
        write::astring(out, utf7::encode(name).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

fn children(folder: &Folder) -> &'static [u8] {
    if folder.has_children { b"\\HasChildren" } else { b"\\HasNoChildren" }
}
