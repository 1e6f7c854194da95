//! The integration tests, one binary: one file a feature.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there and then")]

mod ingest;
mod store;
mod support;
