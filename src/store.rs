//! The store over PostgreSQL or SQLite: reference datasets, imputed profiles, and API keys.
//!
//! Imports `genome`, `reference` and `access`. One portable SQL dialect serves both databases, and one suite of tests runs on
//! both. Invariants: a dataset's version is seen whole or not at all; what nobody measured comes back as unknown,
//! never as zero; a password is in no error and no log.

mod address;
mod imputed;
mod ingest;
mod keys;
pub mod predictdb;
mod rows;
mod schema;
mod snapshot;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Connection};

use crate::access::record::KeyName;
use crate::genome::{Assembly, GeneId, Tissue};
use crate::reference::Unit;
use crate::reference::assemble::IngestCounts;

pub use address::redacted;
pub use ingest::IngestOutcome;
pub use schema::{SchemaError, SchemaState};

/// How long a connection may take before the database counts as out of reach.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// SQLite has one writer at a time; a whole ingest fits into this wait.
const SQLITE_SESSION: &str = "PRAGMA busy_timeout = 60000; PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL";

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address is neither PostgreSQL's nor SQLite's.
    #[error("'{0}' is not a database address: write postgres://USER@HOST/DATABASE or sqlite://FILE")]
    Address(String),
    /// A folder for the SQLite file could not be made.
    #[error("cannot make the folder {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The database did not answer in time.
    #[error("{database} did not answer within {} s", CONNECT_DEADLINE.as_secs())]
    Unreachable {
        /// The database's address without its password.
        database: String,
    },
    /// The database could not be opened.
    #[error("cannot open {database}")]
    Open {
        /// The database's address without its password.
        database: String,
        /// The driver's reason.
        source: sqlx::Error,
    },
    /// The SQLite file is not the one that was opened any more.
    #[error("{} was removed or replaced while it was open: restart what uses it", file.display())]
    ReplacedFile {
        /// The file.
        file: PathBuf,
    },
    /// A statement failed.
    #[error("cannot {task}")]
    Database {
        /// What the store was doing.
        task: &'static str,
        /// The driver's reason.
        source: sqlx::Error,
    },
    /// The migrations failed.
    #[error("cannot migrate the schema")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// The schema is not the one that this program needs.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A dataset's name cannot stand in a URL.
    #[error("'{0}' is not a dataset name: use 1 to 64 letters, digits, '_', '-' and '.'")]
    DatasetName(String),
    /// A stored row makes no sense.
    #[error("the stored {column} of dataset {dataset}{} makes no sense", gene.as_ref().map(|id| format!(", gene {id},")).unwrap_or_default())]
    Corrupt {
        /// The dataset.
        dataset: String,
        /// The gene, where the row is one's.
        gene: Option<String>,
        /// The column.
        column: &'static str,
    },
    /// There is a key of the name.
    #[error("there is a key {0} already: revoke it and take another name, so that log lines stay clear")]
    KeyTaken(KeyName),
    /// There is no key of the name.
    #[error("there is no key {0}")]
    UnknownKey(KeyName),
    /// A stored key makes no sense.
    #[error("the stored {column} of key {name} makes no sense")]
    CorruptKey {
        /// The key's name, or its digest.
        name: String,
        /// The column.
        column: &'static str,
    },
    /// A dataset was replaced again and again while it was being read.
    #[error("dataset {0} is being replaced; try again")]
    Replaced(String),
}

/// Makes the error of a failed statement.
fn failed(task: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| StoreError::Database { task, source }
}

/// What a dataset is, without its genes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetSummary {
    /// The name.
    pub name: String,
    /// The current version.
    pub version: String,
    /// The assembly of its positions.
    pub assembly: Assembly,
    /// The unit of its values.
    pub unit: Unit,
    /// The tissues in order.
    pub tissues: Vec<Tissue>,
    /// What the ingest found.
    pub counts: IngestCounts,
    /// When the version was ingested, in seconds since 1970-01-01.
    pub created_at_seconds: i64,
}

/// Which database a store is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Postgres,
    Sqlite,
}

/// A connection pool to the database; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
    kind: Kind,
    /// The SQLite file.
    file: Option<OpenFile>,
}

/// A file, and what tells it from another one in its place.
#[derive(Debug, Clone)]
struct OpenFile {
    path: PathBuf,
    identity: Option<u64>,
}

impl OpenFile {
    fn new(path: PathBuf) -> Self {
        Self { identity: identity(&path), path }
    }

    /// An open file outlives its removal: the connections would go on with a file that nobody finds any more.
    fn require_same(&self) -> Result<(), StoreError> {
        if identity(&self.path) == self.identity {
            return Ok(());
        }
        Err(StoreError::ReplacedFile { file: self.path.clone() })
    }
}

/// The number of the file at a path, the same for all where the system has none; `None` where there is no file.
fn identity(path: &Path) -> Option<u64> {
    let data = path.metadata().ok()?;
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&data);
    #[cfg(not(unix))]
    let number = u64::from(data.is_file());
    Some(number)
}

impl Store {
    /// Opens `postgres://…` or `sqlite://FILE`; makes the file and its folder where they are missing. The schema may be
    /// of any version, or not there yet.
    ///
    /// # Errors
    /// The address is malformed, or the database cannot be reached or refuses; no error tells the password.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let (kind, address, file) = address::resolve(url)?;
        let database = redacted(url);
        let opened = |source| StoreError::Open { database: redacted(url), source };
        // Statements hold whole chunks of a dataset; a log of them would be larger than the database.
        let options = address.parse::<AnyConnectOptions>().map_err(opened)?.disable_statement_logging();
        // The pool retries a refused connection until its deadline and then has no reason to tell: ask once directly.
        let connecting = tokio::time::timeout(CONNECT_DEADLINE, AnyConnection::connect_with(&options));
        let Ok(connected) = connecting.await else {
            return Err(StoreError::Unreachable { database });
        };
        let mut connection = connected.map_err(opened)?;
        let mut pool = AnyPoolOptions::new().max_connections(8).acquire_timeout(CONNECT_DEADLINE);
        if kind == Kind::Sqlite {
            // Readers go on while one writes; the setting stays in the file.
            sqlx::raw_sql(SQLITE_SESSION).execute(&mut connection).await.map_err(opened)?;
            sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&mut connection).await.map_err(opened)?;
            // The first read makes the files beside it, which a full disk has no room for.
            sqlx::raw_sql("SELECT COUNT(*) FROM sqlite_master").execute(&mut connection).await.map_err(opened)?;
            pool = pool.after_connect(|connection, _| {
                Box::pin(async move { sqlx::raw_sql(SQLITE_SESSION).execute(connection).await.map(drop) })
            });
        }
        connection.close().await.map_err(opened)?;
        Ok(Self { pool: pool.connect_lazy_with(options), kind, file: file.map(OpenFile::new) })
    }

    /// Returns `PostgreSQL` or `SQLite`.
    #[must_use]
    pub fn database_kind(&self) -> &'static str {
        match self.kind {
            Kind::Postgres => "PostgreSQL",
            Kind::Sqlite => "SQLite",
        }
    }

    /// Asks the database for an answer.
    ///
    /// # Errors
    /// It gives none, or its SQLite file was removed or replaced.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.file.as_ref().map_or(Ok(()), OpenFile::require_same)?;
        sqlx::query("SELECT 1").execute(&self.pool).await.map(drop).map_err(failed("reach the database"))
    }

    /// Closes every connection; later calls fail.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Returns the current version of every dataset by name: cheap, for a service to see that one has changed.
    ///
    /// # Errors
    /// The database fails, or its SQLite file was removed or replaced.
    pub async fn versions(&self) -> Result<BTreeMap<String, String>, StoreError> {
        self.file.as_ref().map_or(Ok(()), OpenFile::require_same)?;
        let query = sqlx::query_as::<_, (String, String)>("SELECT name, version FROM datasets");
        let rows = query.fetch_all(&self.pool).await.map_err(failed("read the versions of the datasets"))?;
        Ok(rows.into_iter().collect())
    }
}

/// Parses a stored gene identifier as it is: it has no version any more.
fn stored_gene_id(text: &str) -> Option<GeneId> {
    GeneId::parse(text).ok().map(|(id, _)| id)
}
