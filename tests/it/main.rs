//! The integration tests, one binary: one file a feature.

mod ingest;
mod store;
mod support;
