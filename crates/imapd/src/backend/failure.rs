//! From a store's trouble to what the client is told of it.

use mail_common::maildir::StoreError;
use mail_proto::imap::{Answer, Failure, Request};
use tracing::warn;

/// What the client is told. An ordinary refusal is its business alone; of all else the operator
/// reads here.
pub(super) fn told(error: &StoreError) -> Failure {
    let failure = match error {
        StoreError::NoSuchMailbox(_) => return Failure::NoSuchMailbox,
        StoreError::AlreadyExists(_) => return Failure::AlreadyExists,
        StoreError::Cannot(_) | StoreError::Address(_) => return Failure::Cannot,
        StoreError::Keywords(_) | StoreError::Subscriptions => return Failure::Limit,
        StoreError::Full { .. } => Failure::OverQuota,
        StoreError::Replaced
        | StoreError::Gone(_)
        | StoreError::Damaged { .. }
        | StoreError::Locked(_)
        | StoreError::System { .. } => Failure::Unavailable,
    };
    warn!(%error, "mailbox does not work");
    failure
}

/// The answer to a request on which the work came to no end.
pub(super) fn unfinished(request: &Request, why: Failure) -> Answer {
    match request {
        Request::Folders => Answer::Folders(Err(why)),
        Request::Create(_)
        | Request::Delete(_)
        | Request::Rename { .. }
        | Request::Subscribe { .. } => Answer::Changed(Err(why)),
        Request::Status(_) => Answer::Status(Err(why)),
        Request::Select { .. } => Answer::Selected(Err(why)),
        Request::Unselect => Answer::Unselected,
        Request::Sync | Request::Listen | Request::StoreFlags { .. } => Answer::Synced(Err(why)),
        // What the output buffer held is lost: the client would miss replies.
        Request::Fetch(_) => Answer::FetchBroken,
        Request::Search(_) => Answer::Searched(Err(why)),
        Request::Copy { .. } => Answer::Copied(Err(why)),
        Request::Expunge(_) => Answer::Expunged(Err(why)),
        Request::Append(_) => Answer::AppendReady(Err(why)),
        Request::AppendBlock(_) => Answer::AppendStored(Err(why)),
        Request::AppendCommit(_) => Answer::Appended(Err(why)),
        Request::AppendDiscard => Answer::AppendDiscarded,
    }
}
