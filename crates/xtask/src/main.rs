//! `cargo up`, `cargo verify`, `cargo xtask …`: what takes more than one cargo command.

mod bench;
mod chats;
mod fuzz;
mod letters;
mod long;
mod packages;
mod peers;
mod step;
mod unpack;
mod up;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "What takes more than one cargo command")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build every daemon and run a whole mail system in one directory
    Up {
        /// Given to `posthorn try`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Install what the tests need, build, and check everything
    Verify,
    /// Find the commands and replies that no chat shows
    Chats,
    /// Fetch the real letters that the tests send
    Letters,
    /// Fetch Postfix, Dovecot and Courier, with which the tests compare us
    Peers,
    /// Run a long test and write its figures into docs/long-runs.md
    Long {
        /// Which one
        name: long::Name,
        /// Parts of it, where it has parts
        parts: Vec<String>,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Up { arguments } => up::up(&arguments),
        Task::Verify => verify::verify(),
        Task::Chats => chats::find_gaps(),
        Task::Letters => letters::fetch(),
        Task::Peers => peers::fetch(),
        Task::Long { name, parts } => long::run(name, &parts),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\n{failure}");
            ExitCode::FAILURE
        }
    }
}
