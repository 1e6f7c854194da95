//! Tissuecast: the tissue expression profile of any gene, measured where it was measured and imputed where not.
//!
//! The layers, and what each may import (a test reads the sources and holds them to it):
//!
//! ```text
//! genome ← reference ← model ← inference ────────────┐
//!                      model ← training ← evaluation ─┼← http, web ← serve ← cli ← main
//! genome ← reference ← store ─────────────────────────┘
//! ```

pub mod cli;
pub mod config;
pub mod evaluation;
pub mod genome;
pub mod genotype;
pub mod http;
pub mod inference;
pub mod model;
pub mod reference;
pub mod serve;
pub mod simulate;
pub mod store;
pub mod telemetry;
pub mod training;
pub mod web;
