//! `tissuecast migrate`: brings the database's schema to the program's version.

use clap::Args;

use crate::config::DatabaseArgs;

/// Brings the database's schema to the version that this program needs.
#[derive(Debug, Clone, Args)]
pub struct MigrateArgs {
    #[command(flatten)]
    database: DatabaseArgs,
}

impl MigrateArgs {
    /// Applies what is pending and says so; a schema that is current stays as it is.
    ///
    /// # Errors
    /// The database cannot be reached, its schema is newer than the program's, or a migration fails.
    pub async fn run(self) -> anyhow::Result<()> {
        let store = self.database.open().await?;
        match store.migrate().await? {
            0 => println!("the schema is current"),
            1 => println!("applied 1 migration"),
            applied => println!("applied {applied} migrations"),
        }
        store.close().await;
        Ok(())
    }
}
