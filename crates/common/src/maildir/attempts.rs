//! Other programs may rename the files of a mailbox, or the mailbox, at any time. Who finds
//! something gone looks where it is now and tries again; but one that never comes to rest holds
//! nobody for ever, least of all under our locks.

use std::io;
use std::path::Path;

use super::StoreError;

/// So often something is tried that others change meanwhile.
const ATTEMPTS: usize = 16;

/// Tries until there is a result. A temporary error if others keep changing the mailbox at `path`.
pub(super) fn until_done<T>(
    path: &Path,
    mut attempt: impl FnMut() -> Result<Option<T>, StoreError>,
) -> Result<T, StoreError> {
    for _ in 0..ATTEMPTS {
        if let Some(done) = attempt()? {
            return Ok(done);
        }
    }
    let error = io::Error::new(io::ErrorKind::ResourceBusy, "other programs keep changing it");
    Err(StoreError::system(path.to_owned(), error))
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_no_rest_may_try_again_later() {
        let path = Path::new("/mail");
        let mut left = ATTEMPTS;
        let mut after = |attempts: usize| {
            left = attempts;
            until_done(path, || {
                left -= 1;
                Ok((left == 0).then_some("done"))
            })
        };
        assert_eq!(after(1).unwrap(), "done");
        assert_eq!(after(ATTEMPTS).unwrap(), "done");
        let error = after(ATTEMPTS + 1).unwrap_err();
        assert!(error.is_temporary());
        assert_eq!(error.to_string(), "/mail: other programs keep changing it");
        let gone = until_done::<()>(path, || Err(StoreError::Gone(7)));
        assert!(matches!(gone, Err(StoreError::Gone(7))));
    }
}
