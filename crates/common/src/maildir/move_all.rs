//! All messages of a mailbox move to another one: what renaming INBOX is (RFC 9051, 6.3.6).

use mail_proto::mailbox::Uid;

use super::StoreError;
use super::held::Held;
use super::index::Change;
use super::index::Lasting;
use super::keywords::Keywords;
use super::known::Looks;
use super::more_keywords::MoreKeywords;
use super::name;
use super::names::Names;
use super::scan::{Folders, Located};
use super::uidlist::{self, Found, NewLines};

impl Held<'_> {
    /// Moves all messages to a mailbox that was just made and that nobody knows yet, durably.
    pub(super) fn move_all(&mut self, target: &Folders) -> Result<(), StoreError> {
        let before = Looks::at(&self.folders)?;
        // The letters in the names mean there what they mean here.
        let letters = Keywords::of(&self.index().head.keywords);
        if !letters.is_empty() {
            letters.save(&target.control)?;
        }
        let mut names = self.names()?;
        let (mut file, mut changes) = (Located::default(), Vec::new());
        let uids: Vec<_> = self.index().messages.iter().map(|entry| entry.uid).collect();
        self.carry_more(&uids, &mut names, target)?;
        for uid in uids {
            if self.locate(&mut names, uid, &mut file)?.is_none() {
                continue;
            }
            let (from, to) = (self.folders.at(file.place), target.at(file.place));
            match from.rename_new(&file.name, to, &file.name) {
                Ok(()) => changes.push(Change::Gone(uid)),
                // Its flags are being changed: it stays.
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error.into()),
            }
        }
        for dir in [&target.new, &target.cur, &self.folders.new, &self.folders.cur] {
            dir.sync()?;
        }
        self.record(changes, before);
        Ok(())
    }

    /// Where messages have keywords without letters, all get their UIDs in the target beforehand:
    /// its file says by UID which message has them. Lines of messages that do not come do no harm.
    fn carry_more(
        &mut self,
        uids: &[Uid],
        names: &mut Names,
        target: &Folders,
    ) -> Result<(), StoreError> {
        let uid_validity = self.index().head.uid_validity;
        if !self.more(uid_validity)?.has_messages() {
            return Ok(());
        }
        let Found::List(list) = uidlist::read(&target.control)? else { return Ok(()) };
        let mut carried = MoreKeywords::new(list.uid_validity);
        for (bit, name) in self.index().head.keywords.iter().enumerate() {
            carried.call(bit, name);
        }
        let (mut file, mut lines) = (Located::default(), NewLines::default());
        for (uid, new) in uids.iter().zip(list.uid_next..) {
            if self.locate(names, *uid, &mut file)?.is_none() {
                continue;
            }
            lines.push(new, name::base(&file.name));
            let more = self.more(uid_validity)?;
            carried.put(new, more.of(*uid));
            if let Some(flags) = more.waiting().get(uid) {
                carried.wait(new, *flags);
            }
        }
        // Lines first: nobody else is given these UIDs.
        lines.save(&target.control, Lasting::Yes)?;
        carried.save(&target.control)
    }
}
