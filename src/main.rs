//! The command line's entry.

use clap::{Parser, Subcommand};
use tissuecast::cli::{ingest::IngestArgs, migrate::MigrateArgs};

#[derive(Parser)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Ingest(Box<IngestArgs>),
    Migrate(MigrateArgs),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match CommandLine::parse().command {
        Command::Ingest(ingest) => ingest.run().await,
        Command::Migrate(migrate) => migrate.run().await,
    }
}
