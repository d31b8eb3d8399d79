//! Whose mailboxes, and as whom they are touched.
//!
//! A thread of the system has its own rights: work on a user's mail is done on one that has given
//! all others away, so that nothing below the mail ever belongs to root. The thread that it was
//! started from keeps its rights, for the files that belong to who calls.

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread::{self, Scope, ScopedJoinHandle};

use mail_common::auth::{Auth, User};
use mail_common::config::{Level, Mail, Site};
use mail_common::log;
use mail_common::maildir::{self, Directory, Owner, Store};
use mail_proto::address::Address;
use rustix::process::geteuid;
use tokio::runtime::{Builder, Runtime};

use super::{Failure, Outcome, Whose, complain};
use crate::rights;
use crate::site_file::SiteFile;

/// The site, and who has mailboxes there.
pub(super) struct People {
    pub(super) config: PathBuf,
    pub(super) site: Site,
    auth: Auth,
    runtime: Runtime,
}

/// Somebody with mail, and whose that is in the system.
#[derive(Debug, Clone)]
pub(super) struct Person {
    user: User,
    owner: Owner,
}

/// A user's mailboxes, open.
pub(super) struct Mailboxes<'site> {
    pub(super) directory: Directory,
    pub(super) mail: &'site Mail,
}

impl People {
    pub(super) fn of(file: SiteFile) -> Result<Self, Failure> {
        let site = file.load()?;
        log::start("posthorn", Level::Warn);
        maildir::join(&site.run.directory);
        let auth = Auth::open(&site)?;
        let runtime = Builder::new_current_thread().build();
        let runtime = runtime.map_err(|error| Failure::Temporary(error.to_string()))?;
        Ok(Self { config: file.path, site, auth, runtime })
    }

    /// Somebody who has mail.
    pub(super) fn with_mail(&self, address: &Address) -> Result<Person, Failure> {
        let person = self.find(address)?;
        match person.owner.has_mail {
            true => Ok(person),
            false => Err(Failure::Usage(format!(
                "{address} has no mail yet. It begins with the first letter or login"
            ))),
        }
    }

    /// Somebody who may have no mail yet.
    pub(super) fn find(&self, address: &Address) -> Result<Person, Failure> {
        let user = self.runtime.block_on(self.auth.lookup(address))?;
        let user = user.ok_or_else(|| {
            let passwd = self.site.auth.passwd.display();
            Failure::Usage(format!("no user {address}. {passwd} says who there is"))
        })?;
        let person = Person { owner: Directory::owner(&user)?, user };
        if !person.owner.has_mail && person.owner.uid == 0 && geteuid().is_root() {
            return Err(Failure::Usage(format!(
                "{address} has no mail yet, and the directory above it is root's: make one that \
                 belongs to the user of the system whose the mail is to be"
            )));
        }
        Ok(person)
    }

    /// Does the same for one user or for all who have mail, each on their own. What fails for one
    /// is told, and the others come nevertheless; the worst is what all of it comes to.
    pub(super) fn each(
        &self,
        whose: &Whose,
        work: impl Fn(&Mailboxes<'_>, &str) -> Result<Outcome, Failure> + Sync,
    ) -> Result<Outcome, Failure> {
        if let Some(address) = &whose.user {
            let person = self.with_mail(address)?;
            let name = person.user.address().to_string();
            return self.as_owner(&person, |mailboxes| work(mailboxes, &name));
        }
        let mut outcome = Outcome::Clean;
        let mut failed = None;
        for user in self.runtime.block_on(self.auth.users())? {
            let name = user.address().to_string();
            let done = Directory::owner(&user).map_err(Failure::from).and_then(|owner| match owner
                .has_mail
            {
                true => {
                    let person = Person { user, owner };
                    self.as_owner(&person, |mailboxes| work(mailboxes, &name))
                }
                false => Ok(Outcome::Clean),
            });
            match done {
                Ok(done) => outcome = outcome.max(done),
                Err(failure) => {
                    complain(&format_args!("{name}: {failure}"));
                    failed = Some(failure);
                }
            }
        }
        match failed {
            None => Ok(outcome),
            Some(_) => Err(Failure::Temporary("not all users were done; see above".to_owned())),
        }
    }

    /// Does work on somebody's mailboxes as the user of the system whose they are.
    pub(super) fn as_owner<T: Send>(
        &self,
        person: &Person,
        work: impl FnOnce(&Mailboxes<'_>) -> Result<T, Failure> + Send,
    ) -> Result<T, Failure> {
        thread::scope(|scope| join(self.begin(scope, person, work)))
    }

    /// The same, beside what the caller does meanwhile with rights of its own.
    pub(super) fn begin<'scope, T: Send + 'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        person: &'scope Person,
        work: impl FnOnce(&Mailboxes<'_>) -> Result<T, Failure> + Send + 'scope,
    ) -> ScopedJoinHandle<'scope, Result<T, Failure>> {
        scope.spawn(|| {
            let Owner { uid, gid, .. } = person.owner;
            rights::become_user(uid, gid)?;
            let mail = &self.site.mail;
            work(&Mailboxes { directory: Directory::open(&person.user, mail)?, mail })
        })
    }
}

/// What a thread came to.
pub(super) fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

impl Mailboxes<'_> {
    /// These names, or those of all that can be selected.
    pub(super) fn names(&self, names: &[String]) -> Result<Vec<String>, Failure> {
        if !names.is_empty() {
            return Ok(names.to_vec());
        }
        let folders = self.directory.folders()?.into_iter();
        Ok(folders.filter(|folder| folder.selectable).map(|folder| folder.name).collect())
    }

    /// The mailboxes of these names, or all.
    pub(super) fn stores(&self, names: &[String]) -> Result<Vec<(String, Store)>, Failure> {
        let names = self.names(names)?.into_iter();
        names.map(|name| Ok((name.clone(), self.directory.mailbox(&name)?))).collect()
    }

    /// The levels of a mailbox's name, without the namespace's prefix.
    pub(super) fn levels(&self, name: &str) -> Vec<String> {
        let name = name.strip_prefix(self.mail.prefix.as_str()).unwrap_or(name);
        name.split(self.mail.separator).map(str::to_owned).collect()
    }

    /// The name of a mailbox, by its levels. What would separate levels here is replaced.
    pub(super) fn name(&self, levels: &[String]) -> String {
        if let [inbox] = levels
            && inbox.eq_ignore_ascii_case("INBOX")
        {
            return "INBOX".to_owned();
        }
        let separator = self.mail.separator.to_string();
        let levels: Vec<String> =
            levels.iter().map(|level| level.replace(&separator, "_")).collect();
        format!("{}{}", self.mail.prefix, levels.join(&separator))
    }
}
