//! The command line.

pub mod database;
pub mod ingest;
pub mod migrate;
