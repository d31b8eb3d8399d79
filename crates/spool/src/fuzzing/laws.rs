//! What must hold, whatever octets are found in a spool.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use mail_common::log::Id;

use crate::fsck::{Finding, Summary, fsck};
use crate::open::take;
use crate::record::BLOCK;
use crate::recovery::{Directories, recover};
use crate::row::{NOTHING, Row};
use crate::settings::Settings;
use crate::spool::Shared;
use crate::{Damage, SpoolError, checkpoint};

/// A row, with what its names say.
type Told = (Row, [String; 3]);

/// What `fsck` says.
struct Looked {
    summary: Summary,
    findings: Vec<Finding>,
}

/// - A start and `fsck` find the same messages.
/// - What of them cannot be read, `fsck` has named.
/// - The next start finds the same as the first, and so does one after a checkpoint of it.
/// - A start changes nothing that `fsck` looks at, but for bodies of no message.
pub(super) fn hold(root: &Path, directories: &Directories) -> Result<(), SpoolError> {
    let before = look(root)?;
    let rows = start(root, |shared, rows| {
        assert_eq!(rows.len(), before.summary.messages, "fsck counts other messages");
        rows.iter().for_each(|(row, _)| can_be_read(shared, row, &before.findings));
    })?;
    same_rows(&rows, &start(root, |_, _| ())?, "the next start");
    let after = look(root)?;
    assert_eq!(before.summary, after.summary, "a start changed what is there");
    same_findings(&before.findings, &after.findings);
    start(root, |shared, _| {
        let (slot, generation) = (shared.index.take_new_slot(), shared.index.next_generation());
        shared.index.begin_segment(slot, generation);
        shared.index.reached(BLOCK);
        checkpoint::write(&directories.root, &shared.index).expect("the disk has room");
    })?;
    same_rows(&rows, &start(root, |_, _| ())?, "the start after a checkpoint");
    let after = look(root)?;
    assert_eq!(rows.len(), after.summary.messages, "fsck counts others after a checkpoint");
    Ok(())
}

/// Starts as mtad does, and shows what is there then.
fn start(root: &Path, see: impl FnOnce(&Shared, &[Told])) -> Result<Vec<Told>, SpoolError> {
    let (shared, directories, survey) = take(root, Settings::default())?;
    recover(&directories, &survey, &shared.index, |slot| shared.index.seal(slot))?;
    let mut rows = Vec::new();
    shared.index.each(|row| rows.push(*row));
    rows.sort_by_key(|row| row.id);
    let told: Vec<Told> = rows.into_iter().map(|row| tell(&shared, row)).collect();
    see(&shared, &told);
    assert_eq!(Arc::strong_count(&shared), 1);
    Ok(told)
}

/// The numbers of names are of one start alone.
fn tell(shared: &Shared, row: Row) -> Told {
    let names = [row.destination, row.reason, row.sender].map(|name| shared.index.name(name));
    (Row { destination: NOTHING, reason: NOTHING, sender: NOTHING, ..row }, names)
}

fn look(root: &Path) -> Result<Looked, SpoolError> {
    let mut findings = Vec::new();
    let summary = fsck(root, &mut |finding| findings.push(finding))?;
    // What an admin is shown.
    findings.iter().for_each(|finding| assert!(!finding.to_string().is_empty()));
    Ok(Looked { summary, findings })
}

fn same_rows(rows: &[Told], others: &[Told], when: &str) {
    for (row, other) in rows.iter().zip(others) {
        assert_eq!(row, other, "{when}");
    }
    assert_eq!(rows.len(), others.len(), "{when}");
}

/// A body of no message is gone after a start, and where messages may be lost it was put aside.
fn same_findings(before: &[Finding], after: &[Finding]) {
    let counted = |findings: &[Finding]| {
        let stay = findings.iter().filter(|finding| !matches!(finding, Finding::Orphan { .. }));
        let mut told: Vec<String> = stay.map(ToString::to_string).collect();
        told.sort();
        told
    };
    assert_eq!(counted(before), counted(after), "fsck finds other damage after a start");
}

/// A message can be read, or `fsck` says that it cannot.
fn can_be_read(shared: &Shared, row: &Row, findings: &[Finding]) {
    let named: BTreeSet<Id> = findings.iter().filter_map(id).collect();
    if let Err(why) = read(shared, row) {
        assert!(named.contains(&row.id), "{}: {why}, and fsck has not said so", row.id);
    }
}

fn read(shared: &Shared, row: &Row) -> Result<(), Damage> {
    let damage = |error| match error {
        SpoolError::Damaged { damage, .. } => damage,
        other => panic!("{other}"),
    };
    let entry = shared.entry(row.id).map_err(damage)?.expect("it has a row");
    shared.progress(row, &entry.letter)?;
    let mut body = shared.body(row.id).map_err(damage)?;
    let mut left = entry.size;
    loop {
        let block = body.block()?;
        left = left.checked_sub(block.len() as u64).expect("it has no more than was said");
        if block.is_empty() {
            assert_eq!(left, 0, "it has no less than was said");
            return Ok(());
        }
    }
}

fn id(finding: &Finding) -> Option<Id> {
    match finding {
        Finding::Text { id, .. }
        | Finding::Body { id }
        | Finding::Lost { id }
        | Finding::LostProgress { id }
        | Finding::BigMissing { id } => Some(*id),
        _ => None,
    }
}
