//! The same as `history`, built so that directories are not synced: the tests must notice.

fn main() {
    mail_tests::rig::driver::main();
}
