//! Fitting models: folds, the fit loop, seeded initial weights, boosted trees, the profile models.
//!
//! Plain synchronous Rust; imports `genome`, `genotype`, `reference` and `model`. Everything random comes from a passed
//! seed, so that the same command gives the same weights.

mod adam;
pub mod annotation;
pub mod annotation_network;
pub mod annotation_prior;
pub mod baselines;
pub mod boost;
pub mod calibration;
pub mod cohort;
pub mod context;
pub mod elastic_net;
pub mod fit;
pub mod folds;
pub mod genotype;
pub mod heritability;
pub mod init;
mod least_squares;
pub mod masking;
pub mod method;
pub mod own_tissues;
pub mod profile;
pub mod scaled_cnn;
