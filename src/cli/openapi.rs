//! `tissuecast openapi`: prints the contract.

use std::io::Write as _;

use clap::Args;

/// Print the OpenAPI document
#[derive(Debug, Args)]
pub struct OpenApi {}

impl OpenApi {
    /// Writes `openapi.yaml` to standard output.
    ///
    /// # Errors
    /// Standard output cannot be written to.
    pub fn run(self) -> anyhow::Result<()> {
        std::io::stdout().write_all(crate::http::openapi_yaml().as_bytes())?;
        Ok(())
    }
}
