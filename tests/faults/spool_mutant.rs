//! The same as `spool-history`, built so that the spool's commits are not synced: the tests must
//! notice.

fn main() {
    mail_tests::rig::spool::main();
}
