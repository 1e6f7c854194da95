//! Databases for tests: each test has its own, fresh and empty.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AnyConnection, AssertSqlSafe, Connection};
use tissuecast::store::Store;

/// Which database a test runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

/// An empty database of its own; it goes when the test calls [`TestDatabase::drop_database`].
pub(crate) struct TestDatabase {
    url: String,
    /// The SQLite file's folder, or the PostgreSQL server and the database's name.
    place: Place,
}

/// A blank and a % in the path: the address must bear them.
const SQLITE_FOLDER: &str = "a store 100%";

enum Place {
    Sqlite { folder: tempfile::TempDir },
    Postgres { server: String, name: String },
}

impl TestDatabase {
    /// Makes an empty database.
    pub(crate) async fn create(database: Database) -> Self {
        match database {
            Database::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let url = format!("sqlite://{}", folder.path().join(SQLITE_FOLDER).join("t.sqlite").display());
                Self { url, place: Place::Sqlite { folder } }
            }
            Database::Postgres => Self::create_postgres().await,
        }
    }

    async fn create_postgres() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let Ok(server) = std::env::var("TISSUECAST_TEST_POSTGRES_URL") else {
            panic!("TISSUECAST_TEST_POSTGRES_URL is not set: run the tests by tests/run, which starts a PostgreSQL");
        };
        let name = format!("tissuecast_test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        execute(&server, format!("CREATE DATABASE {name}")).await;
        let (base, _) = server.rsplit_once('/').unwrap();
        Self { url: format!("{base}/{name}"), place: Place::Postgres { server, name } }
    }

    /// The address for [`Store::open`].
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Opens the store, without a schema.
    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.url).await.unwrap()
    }

    /// Opens the store with the current schema.
    pub(crate) async fn migrated(&self) -> Store {
        let store = self.open().await;
        store.migrate().await.unwrap();
        store
    }

    /// Runs one statement behind the store's back.
    pub(crate) async fn execute(&self, sql: &str) {
        execute(&self.url, sql.to_owned()).await;
    }

    /// Takes the database away from whoever uses it.
    pub(crate) async fn vanish(&self) {
        match &self.place {
            Place::Sqlite { folder } => std::fs::remove_dir_all(folder.path().join(SQLITE_FOLDER)).unwrap(),
            Place::Postgres { server, name } => {
                execute(server, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
            }
        }
    }

    /// Removes the database.
    pub(crate) async fn drop_database(self) {
        if let Place::Postgres { .. } = &self.place {
            self.vanish().await;
        }
    }
}

async fn execute(url: &str, sql: String) {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(&url.replace('%', "%25").replace(' ', "%20")).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Runs a test's future on a runtime of its own.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}

/// Makes each contract test a test on SQLite and one on PostgreSQL.
///
/// A contract is an `async fn(&TestDatabase)`.
macro_rules! on_both_databases {
    ($($contract:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $contract() {
                $crate::support::run_contract($crate::support::Database::Sqlite, async |database| super::$contract(database).await);
            })+
        }
        mod postgres {
            $(#[test]
            fn $contract() {
                $crate::support::run_contract($crate::support::Database::Postgres, async |database| super::$contract(database).await);
            })+
        }
    };
}
pub(crate) use on_both_databases;

/// Runs a contract on a fresh database and removes it.
pub(crate) fn run_contract(database: Database, contract: impl AsyncFnOnce(&TestDatabase)) {
    block_on(async {
        let database = TestDatabase::create(database).await;
        contract(&database).await;
        database.drop_database().await;
    });
}

/// The folder of the real data, or `None` (said loudly) where the checkout has none.
pub(crate) fn real_data() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no real data at {}", folder.display());
    None
}
