//! Accuracy on held-out genes: metrics, the comparison table, its plot.
//!
//! Imports `genome`, `reference`, `model` and `training`. Every method is scored on the same genes.

pub mod metrics;
pub mod report;
