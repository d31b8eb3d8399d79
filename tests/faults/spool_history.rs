//! The program that does operations to a spool for the tests of faults.

fn main() {
    mail_tests::rig::spool::main();
}
