//! The command line's entry: parse, run, map an error to an exit code.

use std::process::ExitCode;

use clap::Parser;
use tissuecast::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain on one line each: what failed, and below it why.
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  because: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}
