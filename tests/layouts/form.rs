//! The forms of a site's mailboxes, told to Dovecot and to us.

use std::fs;
use std::path::PathBuf;

use mail_common::maildir::Directory;
use mail_tests::dovecot::{Dovecot, give};
use mail_tests::reference::Unpacked;
use mail_tests::site::{DOMAIN, Site};

use super::imap::{Imap, PASSWORD};

/// How a site keeps mailboxes.
#[derive(Debug)]
pub(crate) struct Form {
    /// As in our `mail.layout`.
    pub(crate) layout: &'static str,
    /// As in our `mail.names`.
    pub(crate) names: &'static str,
    pub(crate) separator: char,
    pub(crate) prefix: &'static str,
    pub(crate) files: Files,
}

/// Where control and index files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Files {
    Together,
    ControlApart,
    IndexApart,
    AllApart,
}

pub(crate) const FORMS: [Form; 9] = [
    form("maildir++", "utf-7", '/', "", Files::Together),
    form("maildir++", "utf-7", '.', "", Files::Together),
    form("maildir++", "utf-7", '.', "INBOX.", Files::Together),
    form("maildir++", "utf-8", '/', "", Files::ControlApart),
    form("maildir++", "utf-7", '/', "", Files::AllApart),
    form("fs", "utf-7", '/', "", Files::Together),
    form("fs", "utf-7", '.', "", Files::Together),
    form("fs", "utf-8", '/', "", Files::IndexApart),
    form("fs", "utf-7", '/', "", Files::AllApart),
];

const fn form(
    layout: &'static str,
    names: &'static str,
    separator: char,
    prefix: &'static str,
    files: Files,
) -> Form {
    Form { layout, names, separator, prefix, files }
}

impl Form {
    /// A mailbox's name, as clients see it.
    pub(crate) fn name(&self, levels: &[&str]) -> String {
        format!("{}{}", self.prefix, levels.join(&self.separator.to_string()))
    }

    fn has_control(&self) -> bool {
        matches!(self.files, Files::ControlApart | Files::AllApart)
    }

    fn has_index(&self) -> bool {
        matches!(self.files, Files::IndexApart | Files::AllApart)
    }

    fn ours(&self, site: &Site) -> String {
        let mail = site.path("mail");
        let root = |name: &str| format!("{name} = \"{}/{name}/%d/%n\"\n", mail.display());
        format!(
            "[mail]\nlayout = \"{}\"\nnames = \"{}\"\nseparator = \"{}\"\nprefix = \"{}\"\n{}{}",
            self.layout,
            self.names,
            self.separator,
            self.prefix,
            if self.has_control() { root("control") } else { String::new() },
            if self.has_index() { root("index") } else { String::new() },
        )
    }

    fn dovecots(&self) -> String {
        let layout = if self.layout == "fs" { ":LAYOUT=fs" } else { "" };
        let names = if self.names == "utf-8" { ":UTF-8" } else { "" };
        let control = if self.has_control() { ":CONTROL={site}/mail/control/%d/%n" } else { "" };
        let index = if self.has_index() { ":INDEX={site}/mail/index/%d/%n" } else { "" };
        format!(
            "mail_plugins = listescape\n\
             mail_fsync = never\n\
             mail_location = maildir:{{site}}/mail/%d/%n{layout}{names}{control}{index}\n\
             namespace inbox {{\n  inbox = yes\n  separator = {}\n  prefix = {}\n}}\n",
            self.separator, self.prefix,
        )
    }
}

/// A site of one form, with one user.
pub(crate) struct Place<'form> {
    pub(crate) form: &'form Form,
    site: Site,
}

const USER: &str = "ann";

impl<'form> Place<'form> {
    pub(crate) fn new(form: &'form Form) -> Self {
        let site = Site::new(&[]);
        fs::write(site.path("conf.d/form.toml"), form.ours(&site)).expect("the site has room");
        let passwd = format!("{USER}@{DOMAIN}:{{PLAIN}}{PASSWORD}\n");
        fs::write(site.path("passwd"), passwd).expect("the site has room");
        for name in ["mail/control", "mail/index"] {
            fs::create_dir_all(site.path(name)).expect("the site has room");
        }
        fs::create_dir_all(site.maildir(USER)).expect("the site has room");
        Self { form, site }
    }

    /// Dovecot, serving it.
    pub(crate) fn dovecot(&self, unpacked: &Unpacked) -> Dovecot {
        self.dovecot_with(unpacked, "")
    }

    /// The same with more settings.
    pub(crate) fn dovecot_with(&self, unpacked: &Unpacked, settings: &str) -> Dovecot {
        let settings = self.form.dovecots() + settings;
        Dovecot::start(unpacked, &self.site, &settings)
    }

    pub(crate) fn login(&self, dovecot: &Dovecot) -> Imap {
        Imap::login(dovecot.imap(), &self.site, USER)
    }

    /// Our mailboxes.
    pub(crate) fn directory(&self) -> Directory {
        let user = self.site.user(USER);
        Directory::open(&user, &self.site.config().mail).expect("the mailboxes can be opened")
    }

    /// The user's directory.
    pub(crate) fn maildir(&self) -> PathBuf {
        self.site.maildir(USER)
    }

    /// The user's directory of control files.
    pub(crate) fn control(&self) -> PathBuf {
        match self.form.has_control() {
            true => self.site.path("mail/control").join(DOMAIN).join(USER),
            false => self.maildir(),
        }
    }

    /// Gives all files to whom Dovecot takes for their owner.
    pub(crate) fn give(&self) {
        give(&self.site.path("mail")).expect("root may");
    }
}
