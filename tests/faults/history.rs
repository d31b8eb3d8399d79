//! The program that does operations to mailboxes for the tests of faults.

fn main() {
    mail_tests::rig::driver::main();
}
