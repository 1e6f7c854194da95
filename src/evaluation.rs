//! Accuracy on held-out genes, and on held-out people ([`genotype`]): metrics, comparison tables, their plots.
//!
//! Imports `genome`, `reference`, `model` and `training`. Every method is scored on the same genes.

pub mod compare;
pub mod controls;
pub mod genotype;
pub mod hidden;
pub mod metrics;
mod plot;
pub mod report;
mod table;

#[cfg(test)]
mod real_data;
