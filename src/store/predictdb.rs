//! `PredictDB` databases: SQLite files that others made, opened to read only.
//!
//! Their columns differ from release to release and are asked for first; what is missing is named. Values are taken by
//! the type that they have in the row, since SQLite would read the text `NA` as the number 0.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, TypeInfo, ValueRef};

use crate::model::import::predictdb::{ExtraRow, PredictDb, SampleInfo, WeightRow};
use crate::model::import::{Draft, ImportError};

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// No model is larger when it is inflated.
const LARGEST: u64 = 8 << 30;

/// Columns by meaning; the first name that is there counts.
const GENE: &[&str] = &["gene", "gene_id"];
const RSID: &[&str] = &["rsid"];
const VAR_ID: &[&str] = &["varID", "varid"];
const REF: &[&str] = &["ref_allele", "ref"];
const EFF: &[&str] = &["eff_allele", "alt"];
const WEIGHT: &[&str] = &["weight", "beta"];
const SYMBOL: &[&str] = &["genename", "gene_name"];
const BIOTYPE: &[&str] = &["gene_type"];
const R2: &[&str] = &["pred.perf.R2", "R2", "rho_avg_squared", "test_R2_avg", "cv_R2_avg"];
const P_VALUE: &[&str] = &["pred.perf.pval", "pval", "zscore_pval", "nested_cv_fisher_pval"];
const N_SAMPLES: &[&str] = &["n_samples", "n.samples"];

/// Why a `PredictDB` file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PredictDbError {
    /// The file is empty.
    #[error("the file is empty")]
    Empty,
    /// The file is no SQLite database.
    #[error("not a SQLite database")]
    NotSqlite,
    /// The file ends too early.
    #[error("the database is cut short: it should have {expected} bytes and has {found}")]
    CutShort {
        /// What its head says.
        expected: u64,
        /// How long it is.
        found: u64,
    },
    /// The file is too large.
    #[error("the file is larger than {} GiB when it is inflated", LARGEST >> 30)]
    TooLarge,
    /// The file could not be read or inflated.
    #[error("cannot read or inflate the file")]
    Io(#[from] io::Error),
    /// There is no such table.
    #[error("the database has no table {missing}; it has {}", if found.is_empty() { "none".to_owned() } else { found.join(", ") })]
    Table {
        /// The table.
        missing: &'static str,
        /// The tables that are there.
        found: Vec<String>,
    },
    /// SQLite failed.
    #[error("cannot {task}")]
    Database {
        /// What was being done.
        task: &'static str,
        /// The driver's reason.
        source: sqlx::Error,
    },
    /// The rows make no model.
    #[error(transparent)]
    Import(#[from] ImportError),
}

fn failed(task: &'static str) -> impl Fn(sqlx::Error) -> PredictDbError {
    move |source| PredictDbError::Database { task, source }
}

/// Reads a `PredictDB` file, gzip or plain.
///
/// # Errors
/// The file is no such database, tables or columns are missing, or it is damaged.
pub async fn read(path: &Path) -> Result<Draft, PredictDbError> {
    let inflated = inflate(path)?;
    let path = inflated.as_ref().map_or(path, |file| file.path.as_path());
    check_head(path)?;
    // Nothing writes to the file and no lock is taken, so that a read-only folder is good enough.
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .immutable(true)
        .pragma("trusted_schema", "OFF")
        .disable_statement_logging();
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(failed("open the database"))?;
    let draft = read_tables(&mut connection).await;
    // The answer is known; a close that fails takes nothing from it.
    let _ = connection.close().await;
    draft
}

/// A database, or the first bytes of one, by its own account of its length.
fn check_head(path: &Path) -> Result<(), PredictDbError> {
    let mut head = [0; 100];
    let mut file = File::open(path)?;
    let found = file.metadata()?.len();
    if found == 0 {
        return Err(PredictDbError::Empty);
    }
    let read = file.read(&mut head)?;
    if !head.starts_with(MAGIC) {
        return Err(PredictDbError::NotSqlite);
    }
    // https://sqlite.org/fileformat2.html#the_database_header
    let page = match u16::from_be_bytes([head[16], head[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    let pages = u64::from(u32::from_be_bytes([head[28], head[29], head[30], head[31]]));
    let expected = page * pages;
    if read < head.len() || found < expected {
        return Err(PredictDbError::CutShort { expected: expected.max(head.len() as u64), found });
    }
    Ok(())
}

/// A file that goes when it is dropped.
struct Temporary {
    path: PathBuf,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Inflates a gzip file into a temporary one, since SQLite reads at many places; `None` for a plain file.
fn inflate(path: &Path) -> Result<Option<Temporary>, PredictDbError> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mut file = File::open(path)?;
    let mut magic = Vec::new();
    Read::by_ref(&mut file).take(2).read_to_end(&mut magic)?;
    if magic != [0x1f, 0x8b] {
        return Ok(None);
    }
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("tissuecast-{}-{number}.db", std::process::id());
    let temporary = Temporary { path: std::env::temp_dir().join(name) };
    let mut target = File::create_new(&temporary.path)?;
    let whole = io::Cursor::new(magic).chain(file);
    let mut inflated = MultiGzDecoder::new(io::BufReader::with_capacity(1 << 16, whole)).take(LARGEST);
    let length = io::copy(&mut inflated, &mut target)?;
    target.flush()?;
    if length == LARGEST {
        return Err(PredictDbError::TooLarge);
    }
    Ok(Some(temporary))
}

async fn read_tables(connection: &mut SqliteConnection) -> Result<Draft, PredictDbError> {
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table'")
        .fetch_all(&mut *connection)
        .await
        .map_err(failed("read the database's schema"))?;
    let has = |name: &str| tables.iter().any(|table| table.eq_ignore_ascii_case(name));
    if !has("weights") {
        return Err(PredictDbError::Table { missing: "weights", found: tables });
    }
    let samples = if has("sample_info") { read_samples(connection).await? } else { SampleInfo::default() };
    let mut model = PredictDb::new(samples);
    read_weights(connection, &mut model).await?;
    match ["extra", "model_summaries"].into_iter().find(|name| has(name)) {
        Some(table) => read_extra(connection, table, &mut model).await?,
        None => model.note("the database has no table extra: the genes have neither symbols nor accuracy"),
    }
    Ok(model.finish())
}

/// The columns of a table.
async fn columns(connection: &mut SqliteConnection, table: &str) -> Result<Vec<String>, PredictDbError> {
    sqlx::query_scalar("SELECT name FROM pragma_table_info($1)")
        .bind(table)
        .fetch_all(connection)
        .await
        .map_err(failed("read a table's columns"))
}

/// The name by which a column is there.
fn find<'a>(columns: &'a [String], names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| columns.iter().find(|column| column.eq_ignore_ascii_case(name))).map(String::as_str)
}

/// A table's chosen columns, read page by page in the order of the rows.
struct Pages {
    sql: String,
    last: i64,
}

/// How many rows are held at once.
const PAGE: usize = 20_000;

impl Pages {
    /// NULL stands for a column that is not there. Back quotes make an absent column an error, where double quotes
    /// would make it a text.
    fn new(table: &str, wanted: &[Option<&str>]) -> Self {
        let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
        let columns: Vec<String> = wanted.iter().map(|name| name.map_or_else(|| "NULL".to_owned(), quoted)).collect();
        let (columns, table) = (columns.join(", "), quoted(table));
        let sql = format!("SELECT {columns}, rowid FROM {table} WHERE rowid > $1 ORDER BY rowid LIMIT {PAGE}");
        Self { sql, last: i64::MIN }
    }

    async fn next(&mut self, connection: &mut SqliteConnection) -> Result<Vec<SqliteRow>, PredictDbError> {
        // The names in the statement are those that the database itself gave, in quotes.
        let query = sqlx::query(AssertSqlSafe(self.sql.clone())).bind(self.last);
        let rows = query.fetch_all(connection).await.map_err(failed("read the rows of the database"))?;
        if let Some(row) = rows.last() {
            self.last = row.try_get(row.len() - 1).map_err(failed("read the rows of the database"))?;
        }
        Ok(rows)
    }
}

/// A value as text, whatever its type; `None` for NULL and what is no text.
fn text(row: &SqliteRow, index: usize) -> Option<String> {
    match type_of(row, index)?.as_str() {
        "INTEGER" => row.try_get_unchecked::<i64, _>(index).ok().map(|number| number.to_string()),
        "REAL" => row.try_get_unchecked::<f64, _>(index).ok().map(|number| number.to_string()),
        "TEXT" => row.try_get_unchecked::<String, _>(index).ok(),
        _ => None,
    }
}

/// A value as a number; `None` for NULL and for text that is none, such as NA.
fn number(row: &SqliteRow, index: usize) -> Option<f64> {
    match type_of(row, index)?.as_str() {
        "INTEGER" | "REAL" => row.try_get_unchecked::<f64, _>(index).ok(),
        "TEXT" => row.try_get_unchecked::<String, _>(index).ok()?.trim().parse().ok(),
        _ => None,
    }
}

fn type_of(row: &SqliteRow, index: usize) -> Option<String> {
    let value = row.try_get_raw(index).ok()?;
    let name = value.type_info().name().to_owned();
    (!value.is_null()).then_some(name)
}

async fn read_weights(connection: &mut SqliteConnection, model: &mut PredictDb) -> Result<(), PredictDbError> {
    let columns = columns(connection, "weights").await?;
    let required = [GENE, REF, EFF, WEIGHT].map(|names| (names, find(&columns, names)));
    let mut missing: Vec<String> = required
        .iter()
        .filter(|(_, found)| found.is_none())
        .filter_map(|(names, _)| names.first())
        .map(|name| (*name).to_owned())
        .collect();
    let (rsid, var_id) = (find(&columns, RSID), find(&columns, VAR_ID));
    if rsid.is_none() && var_id.is_none() {
        missing.push("rsid or varID".to_owned());
    }
    if !missing.is_empty() {
        let table = "the table weights".to_owned();
        return Err(ImportError::Columns { table, missing, found: columns.clone() }.into());
    }
    let [gene, reference, effect, weight] = required.map(|(_, found)| found);
    let mut pages = Pages::new("weights", &[gene, rsid, var_id, reference, effect, weight]);
    loop {
        let rows = pages.next(connection).await?;
        for row in &rows {
            model.weight(&WeightRow {
                gene: text(row, 0).unwrap_or_default(),
                rsid: text(row, 1),
                var_id: text(row, 2),
                ref_allele: text(row, 3).unwrap_or_default(),
                eff_allele: text(row, 4).unwrap_or_default(),
                weight: number(row, 5),
            })?;
        }
        if rows.len() < PAGE {
            return Ok(());
        }
    }
}

async fn read_extra(
    connection: &mut SqliteConnection,
    table: &str,
    model: &mut PredictDb,
) -> Result<(), PredictDbError> {
    let columns = columns(connection, table).await?;
    let Some(gene) = find(&columns, GENE) else {
        let (table, missing) = (format!("the table {table}"), vec!["gene".to_owned()]);
        return Err(ImportError::Columns { table, missing, found: columns.clone() }.into());
    };
    let found = [SYMBOL, BIOTYPE, R2, P_VALUE].map(|names| find(&columns, names));
    for (what, _) in [("R²", found[2]), ("a p value", found[3])].iter().filter(|(_, column)| column.is_none()) {
        model.note(format!("the table {table} has no column of {what}"));
    }
    let mut pages = Pages::new(table, &[Some(gene), found[0], found[1], found[2], found[3]]);
    loop {
        let rows = pages.next(connection).await?;
        for row in &rows {
            let extra = ExtraRow {
                gene: text(row, 0).unwrap_or_default(),
                symbol: text(row, 1),
                biotype: text(row, 2),
                r2: number(row, 3),
                p_value: number(row, 4),
            };
            model.extra(&extra, found[2]);
        }
        if rows.len() < PAGE {
            return Ok(());
        }
    }
}

async fn read_samples(connection: &mut SqliteConnection) -> Result<SampleInfo, PredictDbError> {
    let columns = columns(connection, "sample_info").await?;
    let wanted = [N_SAMPLES, &["population"], &["tissue"]].map(|names| find(&columns, names));
    let rows = Pages::new("sample_info", &wanted).next(connection).await?;
    let Some(row) = rows.first() else { return Ok(SampleInfo::default()) };
    let whole = |number: f64| (number.fract() == 0.0).then(|| format!("{number:.0}").parse().ok()).flatten();
    Ok(SampleInfo { n_samples: number(row, 0).and_then(whole), population: text(row, 1), tissue: text(row, 2) })
}

#[cfg(test)]
mod tests;
