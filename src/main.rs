//! The `sessiond` binary: reads the command line, and leaves the rest to the library.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    sessiond::cli::Cli::parse().run()
}
