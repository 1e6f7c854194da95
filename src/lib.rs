//! Tissuecast: expression predicted from genotypes, and the tissue profile of any gene, measured or imputed.
//!
//! The layers, and what each may import (a test reads the sources and holds them to it):
//!
//! ```text
//! genome ← genotype ──┬── model ← prediction ───────────┐
//! genome ← reference ─┘   model ← inference ────────────┼← http, web ← serve ← cli ← main
//!                         model ← completion ────────────┤
//!                         model ← training ← evaluation ─┤
//! genome ← reference ← model ← store ─────────────────────┘
//!                access ← store, http ───────────────────┘
//! ```

pub mod access;
pub mod cli;
pub mod completion;
pub mod config;
pub mod evaluation;
pub mod genome;
pub mod genotype;
pub mod http;
pub mod inference;
pub mod model;
pub mod prediction;
pub mod reference;
pub mod serve;
pub mod simulate;
pub mod store;
pub mod telemetry;
pub mod training;
pub mod web;
