//! The time in which nothing is lost that is not synced: a boot.
//!
//! It ends when the machine stops, and for what is on a disk also when that is unmounted: it may
//! have been away before, and what comes back is what its journal has. So the boot of a mailbox is
//! that of the machine and, where they tell, of the file systems that it is on
//! ([`Dir::mounted`]). One boot too many costs a listing, one too few may give a UID twice: so where
//! two processes do not see the same, each takes what the other wrote for that of another boot.

use std::sync::OnceLock;

use super::source;
use crate::disk::Dir;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Which boot of the machine this is. Where the kernel does not tell, each process counts as a
/// boot of its own.
#[must_use]
pub fn boot() -> [u8; 16] {
    static BOOT: OnceLock<[u8; 16]> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let text = std::fs::read_to_string(BOOT_ID).unwrap_or_default();
        read(&text).unwrap_or_else(|| {
            tracing::error!("{BOOT_ID} cannot be read: mailboxes are listed more often");
            (u128::from(source::random()) << 64 | u128::from(source::random())).to_be_bytes()
        })
    })
}

/// Which boot it is for what is in these directories, four at most. They need not be on one file
/// system.
pub(in crate::maildir) fn boot_of<const COUNT: usize>(dirs: [&Dir; COUNT]) -> [u8; 16] {
    // The kernel counts them: there are no 2^32 in a boot.
    let mut before = dirs.first();
    let mounted = dirs.iter().fold(0, |all: u128, dir| {
        let number = before.replace(dir).map_or(0, |before| dir.mounted_beside(before));
        all.rotate_left(32) ^ u128::from(number)
    });
    (u128::from_be_bytes(boot()) ^ mounted).to_be_bytes()
}

fn read(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.trim_end().split('-').collect();
    let id = u128::from_str_radix(&digits, 16).ok().filter(|id| *id != 0)?;
    Some(id.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_boot_that_nobody_tells_is_none() {
        let one = read("11111111-2222-4333-8444-555555555555\n");
        assert_eq!(one.map(|boot| boot[..3].to_vec()), Some(vec![0x11, 0x11, 0x11]));
        for text in ["", "\n", "00000000-0000-0000-0000-000000000000\n", "which"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
