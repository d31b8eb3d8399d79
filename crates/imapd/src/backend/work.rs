//! The work on mailboxes. All of it blocks.

use mail_common::auth::User;
use mail_common::config::Mail;
use mail_common::maildir::{Appending, Directory, NewMessage, StoreError, Watch};
use mail_proto::imap::{Answer, Append, Appended, Failure, Request, Status};
use mail_proto::mailbox::Flags;

use super::failure::{told, unfinished};
use super::selected::Selection;

/// What lasts from one question to the next.
#[derive(Debug, Default)]
pub(super) struct Work {
    directory: Option<Directory>,
    selection: Option<Selection>,
    appending: Option<Appending>,
}

type Done<T> = Result<T, Failure>;

impl Work {
    /// Answers one question.
    pub(super) fn answer(&mut self, request: Request, user: &User, mail: &Mail) -> Answer {
        let directory = match self.directory(user, mail) {
            Ok(directory) => directory,
            Err(error) => return unfinished(&request, told(&error)),
        };
        match request {
            Request::Folders => Answer::Folders(tell(directory.folders())),
            Request::Create(name) => Answer::Changed(tell(directory.create(&name))),
            Request::Delete(name) => Answer::Changed(tell(directory.delete(&name))),
            Request::Rename { from, to } => Answer::Changed(tell(directory.rename(&from, &to))),
            Request::Subscribe { mailbox, subscribed } => {
                Answer::Changed(tell(directory.subscribe(&mailbox, subscribed)))
            }
            Request::Status(name) => Answer::Status(tell(status(&directory, &name))),
            Request::Select { mailbox, read_only } => {
                // What was selected is let go even if nothing follows (RFC 3501, 6.3.1).
                self.selection = None;
                let opened = Selection::open(&directory, &mailbox, read_only);
                Answer::Selected(tell(opened).map(|(selection, selected)| {
                    self.selection = Some(selection);
                    selected
                }))
            }
            Request::Unselect => {
                self.selection = None;
                Answer::Unselected
            }
            Request::Append(append) => Answer::AppendReady(self.append(&directory, append)),
            Request::AppendBlock(block) => Answer::AppendStored(self.append_block(block)),
            Request::AppendCommit(block) => Answer::Appended(self.append_commit(&block)),
            Request::AppendDiscard => {
                self.appending = None;
                Answer::AppendDiscarded
            }
            request => match &mut self.selection {
                Some(selection) => selection.answer(request, &directory),
                None => unfinished(&request, Failure::Unavailable),
            },
        }
    }

    /// What tells of changes in the selected mailbox.
    pub(super) fn watch(&mut self) -> Option<&mut Watch> {
        self.selection.as_mut().and_then(Selection::watch)
    }

    fn directory(&mut self, user: &User, mail: &Mail) -> Result<Directory, StoreError> {
        if let Some(directory) = &self.directory {
            return Ok(directory.clone());
        }
        let directory = Directory::open(user, mail)?;
        self.directory = Some(directory.clone());
        Ok(directory)
    }

    fn append(&mut self, directory: &Directory, append: Append) -> Done<()> {
        let Append { mailbox, flags, internal_date, size: _ } = append;
        let message = NewMessage { flags, internal_date, delivery_id: None };
        let begun = directory.mailbox_for_mail(&mailbox).and_then(|store| store.append(message));
        self.appending = Some(tell(begun)?);
        Ok(())
    }

    fn append_block(&mut self, mut block: Vec<u8>) -> Done<Vec<u8>> {
        let appending = self.appending.as_mut().ok_or(Failure::Unavailable)?;
        let written = tell(appending.write(&block));
        if written.is_err() {
            self.appending = None;
        }
        block.clear();
        written.map(|()| block)
    }

    fn append_commit(&mut self, block: &[u8]) -> Done<Appended> {
        let mut appending = self.appending.take().ok_or(Failure::Unavailable)?;
        tell(appending.write(block))?;
        let located = tell(appending.commit())?;
        Ok(Appended { uid_validity: located.uid_validity, uid: located.uid })
    }
}

fn status(directory: &Directory, name: &str) -> Result<Status, StoreError> {
    let store = directory.mailbox(name)?;
    let recent_from = store.recent_from(false)?;
    let snapshot = store.sync()?;
    let count = |found: usize| u32::try_from(found).unwrap_or(u32::MAX);
    let messages = &snapshot.messages;
    let recent = messages.len() - messages.position(recent_from).unwrap_or_else(|at| at);
    let unseen = messages.len() - messages.with_flag(Flags::SEEN);
    Ok(Status {
        messages: count(messages.len()),
        recent: count(recent),
        uid_next: snapshot.uid_next,
        uid_validity: snapshot.uid_validity,
        unseen: count(unseen),
    })
}

pub(super) fn tell<T>(result: Result<T, StoreError>) -> Done<T> {
    result.map_err(|error| told(&error))
}
