//! The integration tests, one binary: one file a feature.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there and then")]
#![expect(unreachable_pub, reason = "a test binary exports nothing")]

mod access;
mod binary;
mod client;
mod complete;
mod engine;
mod faults;
mod fuzz;
mod generator;
mod guide;
mod http;
mod http_explain;
mod http_missing;
mod http_odds;
mod http_predictions;
mod http_problems;
mod http_streaming;
mod http_support;
mod import;
mod ingest;
mod lab;
mod layering;
mod load;
mod maize;
mod model_pages;
mod pages;
mod predict_command;
mod privacy;
mod real_genotypes;
mod reload;
mod served_predictions;
mod served_telemetry;
mod service;
mod socket;
mod store;
mod support;
mod telemetry;
mod train_genotype;
