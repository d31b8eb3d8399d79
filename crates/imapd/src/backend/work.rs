//! The work on mailboxes. All of it blocks.

use mail_common::auth::User;
use mail_common::config::Mail;
use mail_common::maildir::{Appending, Directory, Inbox, NewMessage, StoreError, Watch};
use mail_proto::imap::{Answer, Append, Appended, Failure, Request, Status};
use mail_proto::mailbox::Flags;

use super::failure::{told, unfinished};
use super::selected::Selection;

/// What lasts from one question to the next.
#[derive(Debug, Default)]
pub(super) struct Work {
    directory: Option<Directory>,
    selection: Option<Selection>,
    incoming: Option<Incoming>,
    /// Where the last APPEND went: the next one, too, as a rule.
    target: Option<Target>,
}

/// A message that comes.
#[derive(Debug)]
enum Incoming {
    /// Nothing of it is here: its file is made when something is.
    Announced(Append),
    Begun(Box<Appending>),
}

/// A mailbox that messages are added to, by the name that the client used.
#[derive(Debug)]
struct Target {
    name: String,
    inbox: Inbox,
}

type Done<T> = Result<T, Failure>;

impl Work {
    /// Answers one question.
    pub(super) fn answer(&mut self, request: Request, user: &User, mail: &Mail) -> Answer {
        let directory = match self.directory(user, mail) {
            Ok(directory) => directory,
            Err(error) => return unfinished(&request, told(&error)),
        };
        self.target.take_if(|target| !target.inbox.is_fresh());
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
            Request::Append(append) => {
                let begun = self.begin(&directory, append);
                Answer::AppendReady(begun.map(|message| self.wait_for(message)))
            }
            Request::AppendBlock(block) => {
                Answer::AppendStored(self.append_block(&directory, block))
            }
            Request::AppendCommit(block) => {
                Answer::Appended(self.append_commit(&directory, &block))
            }
            Request::AppendDiscard => {
                self.incoming = None;
                Answer::AppendDiscarded
            }
            request => match &mut self.selection {
                Some(selection) => selection.answer(request, &directory),
                None => unfinished(&request, Failure::Unavailable),
            },
        }
    }

    /// Answers what needs no disk: that a message may come to where one came just before. Whether
    /// that mailbox is there still, the end of the message tells.
    pub(super) fn answer_at_once(&mut self, request: &Request) -> Option<Answer> {
        let Request::Append(append) = request else { return None };
        let target = self.target.as_ref()?;
        if target.name != append.mailbox || !target.inbox.is_fresh() {
            return None;
        }
        self.incoming = Some(Incoming::Announced(append.clone()));
        Some(Answer::AppendReady(Ok(())))
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

    fn begin(&mut self, directory: &Directory, append: Append) -> Done<Box<Appending>> {
        let Append { mailbox, flags, internal_date, size: _ } = append;
        let message = NewMessage { flags, internal_date };
        let begun = self.target(directory, mailbox).and_then(|inbox| inbox.append(None, message));
        Ok(Box::new(tell(begun)?))
    }

    fn wait_for(&mut self, message: Box<Appending>) {
        self.incoming = Some(Incoming::Begun(message));
    }

    /// Opens a mailbox for a message, or takes the one that is open.
    fn target(&mut self, directory: &Directory, name: String) -> Result<&Inbox, StoreError> {
        let is_open = |target: &Target| target.name == name && target.inbox.is_usable();
        let target = match self.target.take() {
            Some(target) if is_open(&target) => target,
            _ => {
                let inbox = Inbox::open(|| directory.mailbox_for_mail(&name))?;
                Target { name, inbox }
            }
        };
        Ok(&self.target.insert(target).inbox)
    }

    /// The message that comes, of which something is here.
    fn incoming(&mut self, directory: &Directory) -> Done<Box<Appending>> {
        match self.incoming.take() {
            Some(Incoming::Begun(message)) => Ok(message),
            Some(Incoming::Announced(append)) => self.begin(directory, append),
            None => Err(Failure::Unavailable),
        }
    }

    fn append_block(&mut self, directory: &Directory, mut block: Vec<u8>) -> Done<Vec<u8>> {
        let mut message = self.incoming(directory)?;
        tell(message.write(&block))?;
        self.wait_for(message);
        block.clear();
        Ok(block)
    }

    fn append_commit(&mut self, directory: &Directory, block: &[u8]) -> Done<Appended> {
        let mut message = self.incoming(directory)?;
        tell(message.write(block))?;
        let located = tell(message.commit())?;
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
