//! Accuracy on held-out genes: metrics, the comparison table, its plot.
//!
//! Imports `genome`, `reference`, `model` and `training`. Every method is scored on the same genes.

pub mod compare;
pub mod controls;
pub mod metrics;
mod plot;
pub mod report;
mod table;

#[cfg(test)]
mod real_data;
