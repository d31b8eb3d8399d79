//! The directories of a mailbox as they are, for those who look and change nothing.
//!
//! Who opens a mailbox to work with it makes what somebody lost; here, what is missing is missing.

use std::path::Path;

use super::places::Places;
use super::{StoreError, attempts, scan};
use crate::disk::{self, Dir};

/// A mailbox open to be looked at. `None`: there is no such directory.
#[derive(Debug)]
pub(super) struct Present {
    pub(super) cur: Dir,
    pub(super) new: Option<Dir>,
    pub(super) tmp: Option<Dir>,
    /// Where Dovecot's files are.
    pub(super) control: Option<Dir>,
    /// Where ours are.
    pub(super) index: Option<Dir>,
}

impl Present {
    /// Opens what is there; without `cur` it is no mailbox.
    pub(super) fn open(places: &Places) -> Result<Self, StoreError> {
        attempts::until_done(&places.mail, || {
            let mail = Dir::open(&places.mail)?;
            let beside = |path: &Path| match path == places.mail {
                true => Ok(Some(mail.clone())),
                false => disk::found(Dir::open(path)),
            };
            let present = Self {
                cur: mail.subdir(scan::CUR)?,
                new: disk::found(mail.subdir("new"))?,
                tmp: disk::found(mail.subdir("tmp"))?,
                control: beside(&places.control)?,
                index: beside(&places.index)?,
            };
            // What is apart is found by paths of its own: meanwhile others may be there.
            let are_one = !places.are_apart() || scan::is_in_place(&present.cur)?;
            Ok(are_one.then_some(present))
        })
    }
}
