//! The schema's version: the migrations that the program carries against those that the database has.

use std::collections::BTreeMap;

use sqlx::AnyConnection;
use sqlx::migrate::{Migrate, Migrator};

use super::{Kind, Store, StoreError, failed};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");
const TABLE: &str = "_sqlx_migrations";

/// How the database's schema stands to the program's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// The database has no schema yet.
    Empty,
    /// The database lacks migrations that the program has.
    TooOld {
        /// The database's version.
        found: i64,
        /// The program's version.
        wanted: i64,
    },
    /// The schema is the program's.
    Current,
    /// The database has a migration that the program does not know.
    TooNew {
        /// The database's version.
        found: i64,
        /// The program's version.
        wanted: i64,
    },
    /// A migration was applied in part, or with another content than the program's.
    Altered {
        /// The migration's version.
        version: i64,
    },
}

/// Why a schema is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// There is none.
    #[error("the database has no schema yet: run `tissuecast migrate`")]
    Empty,
    /// It is too old.
    #[error("the database's schema is version {found}, this program needs {wanted}: run `tissuecast migrate`")]
    TooOld {
        /// The database's version.
        found: i64,
        /// The program's version.
        wanted: i64,
    },
    /// It is too new.
    #[error("the database's schema is version {found}, newer than this program's {wanted}: run a newer tissuecast")]
    TooNew {
        /// The database's version.
        found: i64,
        /// The program's version.
        wanted: i64,
    },
    /// It is another one.
    #[error(
        "migration {version} of the database is not the one of this program: restore a backup or use a new database"
    )]
    Altered {
        /// The migration's version.
        version: i64,
    },
}

impl SchemaState {
    /// Refuses every state but [`SchemaState::Current`].
    ///
    /// # Errors
    /// The state is another one; the error says what to do.
    pub fn require_current(self) -> Result<(), SchemaError> {
        match self {
            Self::Current => Ok(()),
            Self::Empty => Err(SchemaError::Empty),
            Self::TooOld { found, wanted } => Err(SchemaError::TooOld { found, wanted }),
            Self::TooNew { found, wanted } => Err(SchemaError::TooNew { found, wanted }),
            Self::Altered { version } => Err(SchemaError::Altered { version }),
        }
    }
}

/// Compares the database's migrations with the program's, both as version → checksum.
fn compare(applied: &BTreeMap<i64, &[u8]>, known: &BTreeMap<i64, &[u8]>) -> SchemaState {
    let wanted = known.keys().max().copied().unwrap_or_default();
    let Some(found) = applied.keys().max().copied() else {
        return SchemaState::Empty;
    };
    for (version, checksum) in applied {
        match known.get(version) {
            None if *version > wanted => return SchemaState::TooNew { found, wanted },
            Some(same) if same == checksum => {}
            _ => return SchemaState::Altered { version: *version },
        }
    }
    let is_behind = known.keys().any(|version| !applied.contains_key(version));
    if is_behind { SchemaState::TooOld { found, wanted } } else { SchemaState::Current }
}

impl Store {
    /// Compares the database's schema with the program's; changes nothing.
    ///
    /// # Errors
    /// The database fails.
    pub async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(failed("read the schema's version"))?;
        if !self.has_migrations(&mut connection).await? {
            return Ok(SchemaState::Empty);
        }
        if let Some(version) = connection.dirty_version(TABLE).await.map_err(StoreError::Migrate)? {
            return Ok(SchemaState::Altered { version });
        }
        let applied = connection.list_applied_migrations(TABLE).await.map_err(StoreError::Migrate)?;
        let applied = applied.iter().map(|migration| (migration.version, &*migration.checksum)).collect();
        let known = MIGRATIONS.iter().map(|migration| (migration.version, &*migration.checksum)).collect();
        Ok(compare(&applied, &known))
    }

    /// Refuses a schema that is not the program's.
    ///
    /// # Errors
    /// The schema is missing, too old or too new, with what to do; or the database fails.
    pub async fn require_current_schema(&self) -> Result<(), StoreError> {
        Ok(self.schema_state().await?.require_current()?)
    }

    /// Applies the migrations that the database lacks and returns how many there were.
    ///
    /// # Errors
    /// The schema is newer than the program's or another one, or a migration fails.
    pub async fn migrate(&self) -> Result<usize, StoreError> {
        match self.schema_state().await? {
            SchemaState::Empty | SchemaState::TooOld { .. } => {}
            other => {
                other.require_current()?;
                return Ok(0);
            }
        }
        let before = self.count_applied().await?;
        MIGRATIONS.run(&self.pool).await.map_err(StoreError::Migrate)?;
        Ok(self.count_applied().await? - before)
    }

    async fn count_applied(&self) -> Result<usize, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(failed("read the schema's version"))?;
        if !self.has_migrations(&mut connection).await? {
            return Ok(0);
        }
        Ok(connection.list_applied_migrations(TABLE).await.map_err(StoreError::Migrate)?.len())
    }

    /// Returns whether the table of migrations is there: the databases' catalogues have nothing in common.
    async fn has_migrations(&self, connection: &mut AnyConnection) -> Result<bool, StoreError> {
        let query = match self.kind {
            Kind::Postgres => {
                "SELECT CAST(COUNT(*) AS BIGINT) FROM pg_class WHERE oid = to_regclass('_sqlx_migrations')"
            }
            Kind::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'",
        };
        let count: i64 =
            sqlx::query_scalar(query).fetch_one(connection).await.map_err(failed("read the schema's version"))?;
        Ok(count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Applied = &'static [(i64, &'static [u8])];

    #[test]
    fn every_state_is_told_apart() {
        let known: BTreeMap<i64, &[u8]> = [(1, &b"a"[..]), (2, b"b")].into();
        let cases: [(Applied, SchemaState); 7] = [
            (&[], SchemaState::Empty),
            (&[(1, b"a")], SchemaState::TooOld { found: 1, wanted: 2 }),
            (&[(2, b"b")], SchemaState::TooOld { found: 2, wanted: 2 }),
            (&[(1, b"a"), (2, b"b")], SchemaState::Current),
            (&[(1, b"a"), (2, b"b"), (3, b"c")], SchemaState::TooNew { found: 3, wanted: 2 }),
            (&[(1, b"a"), (2, b"x")], SchemaState::Altered { version: 2 }),
            (&[(0, b"a")], SchemaState::Altered { version: 0 }),
        ];
        for (applied, expected) in cases {
            assert_eq!(compare(&applied.iter().copied().collect(), &known), expected, "{applied:?}");
        }
    }

    #[test]
    fn refusals_say_what_to_do() {
        let too_old = SchemaState::TooOld { found: 1, wanted: 2 }.require_current().unwrap_err().to_string();
        assert!(too_old.contains("version 1") && too_old.contains("tissuecast migrate"), "{too_old}");
        let too_new = SchemaState::TooNew { found: 3, wanted: 2 }.require_current().unwrap_err().to_string();
        assert!(too_new.contains("version 3") && too_new.contains("newer tissuecast"), "{too_new}");
    }
}
