//! The integration tests, one binary: one file a feature.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there and then")]
#![expect(unreachable_pub, reason = "a test binary exports nothing")]

mod engine;
mod http;
mod http_problems;
mod http_support;
mod ingest;
mod layering;
mod pages;
mod socket;
mod store;
mod support;
