//! What is asked of the backend, and who goes on with the answer.

use super::append::Appending;
use super::{
    Answer, FlagChange, List, Progress, Refusal, Server, StatusItem, Telling, Turn, fetch,
};

/// What an answer is for.
#[derive(Debug)]
pub(super) enum Waiting {
    /// CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE: what is said when it went well.
    Change {
        tag: String,
        done: &'static str,
    },
    /// DELETE of the selected mailbox: it must be let go first.
    Delete {
        tag: String,
        mailbox: String,
    },
    List {
        tag: String,
        list: List,
    },
    Lsub {
        tag: String,
        list: List,
    },
    Status {
        tag: String,
        items: Vec<StatusItem>,
        mailbox: String,
    },
    Select {
        tag: String,
        mailbox: String,
        read_only: bool,
    },
    /// CLOSE: what had `\Deleted` is being removed.
    Close {
        tag: String,
    },
    /// CLOSE, UNSELECT: the mailbox is let go.
    Unselect {
        tag: String,
        done: &'static str,
    },
    Append {
        tag: String,
        size: u64,
        synchronizing: bool,
    },
    AppendBlock(Box<Appending>),
    AppendCommit {
        tag: String,
    },
    /// APPEND went wrong: how it is refused, and how much of the message is still to come.
    AppendDiscard {
        tag: String,
        why: Refusal,
        left: Option<u64>,
    },
    /// FETCH: `\Seen` is being set.
    FetchSeen(Box<fetch::Asked>),
    /// FETCH: responses are being written; `progress` is that of the question.
    Fetch {
        tag: String,
        uids: bool,
        progress: Progress,
    },
    Search {
        tag: String,
        uids: bool,
    },
    Store {
        tag: String,
        uids: bool,
        silent: bool,
        positions: Vec<u32>,
        change: FlagChange,
    },
    Copy {
        tag: String,
        moving: bool,
    },
    Expunge {
        tag: String,
        uids: bool,
    },
    /// IDLE: what happened before or meanwhile.
    Idle {
        tag: String,
    },
    /// NOOP and CHECK: news are all that was wanted.
    Noop {
        tag: String,
        done: &'static str,
    },
    /// Another command is done; news are told before its tagged reply.
    Finish {
        tag: String,
        done: String,
        telling: Telling<'static>,
    },
}

impl Server {
    pub(super) fn resume(&mut self, waiting: Waiting, answer: Answer, out: &mut Vec<u8>) -> Turn {
        match (waiting, answer) {
            (Waiting::Change { tag, done }, Answer::Changed(result)) => {
                self.changed(tag, done, result, out)
            }
            (Waiting::Delete { tag, mailbox }, Answer::Unselected) => self.delete(tag, mailbox),
            (Waiting::List { tag, list }, Answer::Folders(folders)) => {
                self.listed(tag, &list, folders, out)
            }
            (Waiting::Lsub { tag, list }, Answer::Folders(folders)) => {
                self.lsubbed(tag, &list, folders, out)
            }
            (Waiting::Status { tag, items, mailbox }, Answer::Status(status)) => {
                self.status_told(tag, &mailbox, &items, status, out)
            }
            (Waiting::Select { tag, mailbox, read_only }, Answer::Selected(selected)) => {
                self.selected(&tag, mailbox, read_only, selected, out)
            }
            (Waiting::Close { tag }, Answer::Expunged(result)) => self.emptied(tag, &result, out),
            (Waiting::Unselect { tag, done }, Answer::Unselected) => {
                self.unselected(&tag, done, out)
            }
            (Waiting::Append { tag, size, synchronizing }, Answer::AppendReady(result)) => {
                self.append_ready(tag, size, synchronizing, result, out)
            }
            (Waiting::AppendBlock(appending), Answer::AppendStored(result)) => {
                self.append_stored(appending, result)
            }
            (Waiting::AppendCommit { tag }, Answer::Appended(result)) => {
                self.appended(tag, result, out)
            }
            (Waiting::AppendDiscard { tag, why, left }, Answer::AppendDiscarded) => {
                self.append_discarded(tag, why, left, out)
            }
            (waiting, answer) => self.resume_selected(waiting, answer, out),
        }
    }

    /// What is only asked with a mailbox selected.
    fn resume_selected(&mut self, waiting: Waiting, answer: Answer, out: &mut Vec<u8>) -> Turn {
        match (waiting, answer) {
            (Waiting::FetchSeen(asked), Answer::Synced(result)) => self.seen(*asked, &result, out),
            (Waiting::Fetch { tag, uids, progress }, Answer::Fetched(fetch)) => {
                self.fetched(tag, uids, progress, fetch, out)
            }
            (Waiting::Fetch { .. }, Answer::FetchBroken) => self.fetch_broken(),
            (Waiting::Search { tag, uids }, Answer::Searched(search)) => {
                self.searched(tag, uids, search, out)
            }
            (Waiting::Store { tag, uids, silent, positions, change }, Answer::Synced(result)) => {
                self.stored(&tag, uids, silent, &positions, &change, result, out)
            }
            (Waiting::Copy { tag, moving }, Answer::Copied(result)) => {
                self.copied(&tag, moving, result, out)
            }
            (Waiting::Expunge { tag, uids }, Answer::Expunged(result)) => {
                self.expunged(&tag, uids, result, out)
            }
            (Waiting::Idle { tag }, Answer::Synced(result)) => self.idle_news(tag, &result, out),
            (Waiting::Noop { tag, done }, Answer::Synced(result)) => {
                self.noop_news(&tag, done, result, out)
            }
            (Waiting::Finish { tag, done, telling }, Answer::Synced(result)) => {
                self.finished(&tag, &done, telling, &result, out)
            }
            (waiting, answer) => unreachable!("{waiting:?} was answered with {answer:?}"),
        }
    }
}
