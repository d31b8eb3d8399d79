//! QUIT (RFC 1939, 5 and 6): the only way into the UPDATE state.

use super::login::{self, Login};
use super::reply::{BYE, NOT_UPDATED};
use super::server::{self, Server};
use super::{Failure, Reply, Request, without_argument};

impl Login {
    pub(super) fn quit(
        &mut self,
        argument: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<login::Next, Reply> {
        without_argument(argument)?;
        BYE.write(out);
        Ok(login::Next::Close)
    }
}

impl Server {
    /// Asks even if nothing is to be changed: the maildrop is given back so.
    pub(super) fn quit(
        &mut self,
        argument: &[u8],
        _out: &mut Vec<u8>,
    ) -> Result<server::Next, Reply> {
        without_argument(argument)?;
        let uids = |wanted: fn(&server::Held) -> bool| -> Vec<_> {
            self.maildrop.iter().filter(|held| wanted(held)).map(|held| held.message.uid).collect()
        };
        let seen = uids(|held| held.retrieved && !held.deleted);
        let deleted = uids(|held| held.deleted);
        Ok(server::Next::Ask(Request::Update { seen, deleted }))
    }

    /// Says what became of the update; either way the session is over.
    pub(super) fn updated(result: Result<(), Failure>, out: &mut Vec<u8>) -> server::Next {
        match result {
            Ok(()) => BYE,
            Err(_) => NOT_UPDATED,
        }
        .write(out);
        server::Next::Close
    }
}
