//! A disk that does not give what is on it, for a moment: a cable, a controller, a path that fails
//! over. What is taken for damaged at a start is lost, so it is asked for again.

use std::cell::Cell;
use std::io;
use std::thread;
use std::time::Duration;

use super::Octets;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 250 });
/// So many pauses in all.
const PAUSES: u32 = 40;

/// What is left of it.
#[derive(Debug)]
pub(crate) struct Patience(Cell<u32>);

/// Octets that are asked for again.
pub(crate) struct Patient<'source, S: ?Sized> {
    source: &'source S,
    patience: &'source Patience,
}

impl Default for Patience {
    fn default() -> Self {
        Self(Cell::new(PAUSES))
    }
}

impl Patience {
    /// Waits; `false`: for long enough.
    fn wait(&self) -> bool {
        let Some(left) = self.0.get().checked_sub(1) else { return false };
        self.0.set(left);
        thread::sleep(PAUSE);
        true
    }
}

impl<'source, S: Octets + ?Sized> Patient<'source, S> {
    pub(crate) fn new(source: &'source S, patience: &'source Patience) -> Self {
        Self { source, patience }
    }
}

impl<S: Octets + ?Sized> Octets for Patient<'_, S> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.source.read_at(buffer, offset) {
                Err(_) if self.patience.wait() => {}
                read => return read,
            }
        }
    }

    fn length(&self) -> io::Result<u64> {
        self.source.length()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Fails so often.
    struct Failing(Cell<u32>);

    impl Octets for Failing {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            match self.0.get().checked_sub(1) {
                Some(left) => {
                    self.0.set(left);
                    Err(io::Error::other("injected"))
                }
                None => b"sound"[..].read_at(buffer, offset),
            }
        }

        fn length(&self) -> io::Result<u64> {
            Ok(5)
        }
    }

    #[test]
    fn what_the_disk_gives_at_last_is_read_but_nobody_waits_for_ever() {
        let patience = Patience::default();
        let mut buffer = [0; 5];
        let source = Failing(Cell::new(PAUSES - 1));
        assert_eq!(Patient::new(&source, &patience).read_at(&mut buffer, 0).unwrap(), 5);
        assert_eq!(&buffer, b"sound");
        let source = Failing(Cell::new(u32::MAX));
        assert!(Patient::new(&source, &patience).read_at(&mut buffer, 0).is_err());
        assert_eq!(source.0.get(), u32::MAX - 2, "one pause was left");
    }
}
