//! Dovecot, tuned as its documentation advises for load: login processes that serve many, mail
//! processes that are reused and wait ready, answers about users cached. Mail is synced as it is
//! by default, which is every delivery and every APPEND.

/// What the tests' own configuration of it does not say.
pub(crate) const TUNED: &str = "\
mail_location = maildir:{site}/mail/%d/%n
default_client_limit = 15000
default_process_limit = 4000
default_vsz_limit = 1G
auth_cache_size = 10M
service imap-login {
  service_count = 0
  process_min_avail = 2
  process_limit = 2
}
service imap {
  process_min_avail = 8
  service_count = 200
}
service lmtp {
  unix_listener {site}/run/lmtp {
    mode = 0666
  }
  process_min_avail = 8
  process_limit = 64
}
";
