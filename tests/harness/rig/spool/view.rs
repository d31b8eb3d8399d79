//! What is found in a spool.

use std::collections::BTreeMap;
use std::path::Path;

use mail_common::log::Id;
use mail_spool::{Entry, Spool, SpoolError};
use serde::{Deserialize, Serialize};

use super::driver::{SECOND, open};
use super::{Letter, text};

/// What is found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct View {
    /// What is queued.
    pub letters: BTreeMap<Letter, Queued>,
    /// What is wrong in itself.
    pub troubles: Vec<String>,
}

/// How a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Queued {
    /// How many attempts are recorded.
    pub attempts: u32,
    /// Whether an admin changed it.
    pub changed: bool,
}

/// Opens a spool, waits until it has read its log, and looks at everything.
#[must_use]
pub fn view(path: &Path) -> View {
    let mut view = View::default();
    match open(path) {
        Ok(spool) => {
            look(&spool, &mut view);
            spool.close();
        }
        Err(error) => view.troubles.push(format!("cannot be opened: {error}")),
    }
    view
}

fn look(spool: &Spool, view: &mut View) {
    let mut ids = Vec::new();
    spool.rows(|row| ids.push(row.id));
    for id in ids {
        match spool.entry(id) {
            Ok(Some(entry)) => match letter(spool, &entry) {
                Ok(letter) => {
                    let changed = entry.letter.recipients.len() == 1
                        && entry.letter.recipients.iter().all(|to| to.address.local() == SECOND);
                    let queued = Queued { attempts: entry.progress.attempts, changed };
                    if view.letters.insert(letter, queued).is_some() {
                        view.troubles.push(format!("letter {letter} is there twice"));
                    }
                }
                Err(error) => view.troubles.push(format!("{id}: {error}")),
            },
            Ok(None) => view.troubles.push(format!("{id} has a row and is not there")),
            Err(error) => view.troubles.push(format!("{id}: {error}")),
        }
    }
}

/// Which letter it is, if all of it is there.
fn letter(spool: &Spool, entry: &Entry) -> Result<Letter, String> {
    let id = entry.letter.id;
    let mut body = spool.body(id).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    loop {
        let block = body.block().map_err(|error| error.to_string())?;
        if block.is_empty() {
            break;
        }
        found.extend(block);
    }
    let letter = letter_of(id).ok_or("no id of ours")?;
    if found == text(letter) && found.len() as u64 == entry.size {
        return Ok(letter);
    }
    Err(format!("its {} octets are not letter {letter}", found.len()))
}

/// The id of a letter: its number.
pub(super) fn id_of(letter: Letter) -> Id {
    Id::parse(&format!("{letter:09}history")).expect("sixteen letters and digits are an id")
}

fn letter_of(id: Id) -> Option<Letter> {
    id.as_str().strip_suffix("history")?.parse().ok()
}

/// Takes a message that no history has, and finishes it again.
pub(super) fn try_out(spool: &Spool, letter: Letter) -> Result<(), SpoolError> {
    super::driver::take(spool, &[letter])?;
    super::driver::finish(spool, &[letter])
}
