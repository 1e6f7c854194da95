//! Bringing a dataset into the store: one transaction, all or nothing.

use std::fmt::Write as _;

use sqlx::AnyConnection;

use super::rows::{Insert, InsertShape};
use super::{Store, StoreError, failed};
use crate::genome::{Gene, GeneId};
use crate::reference::GeneRecord;
use crate::reference::assemble::ReferenceTable;

const GENES: InsertShape = InsertShape {
    table: "genes",
    columns: &[
        "dataset",
        "gene_id",
        "id_version",
        "symbol",
        "biotype",
        "chromosome",
        "start_position",
        "end_position",
        "strand",
        "tss",
    ],
    conflict: "",
};
const EXPRESSION: InsertShape =
    InsertShape { table: "expression", columns: &["dataset", "gene_id", "tissue_values"], conflict: "" };
const PROMOTERS: InsertShape =
    InsertShape { table: "promoters", columns: &["dataset", "gene_id", "bases"], conflict: "" };

/// What an ingest did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IngestOutcome {
    /// The store has this content under this name already; nothing was written.
    Unchanged {
        /// The version.
        version: String,
    },
    /// The content is the dataset's current version now.
    New {
        /// The version.
        version: String,
    },
}

impl IngestOutcome {
    /// Returns the dataset's version after the ingest.
    #[must_use]
    pub fn version(&self) -> &str {
        match self {
            Self::Unchanged { version } | Self::New { version } => version,
        }
    }
}

impl Store {
    /// Makes `table` the current version of the dataset `name`, in one transaction: readers see the old version or the
    /// new one whole, and an ingest that stops in the middle leaves nothing. The old version's genes and the profiles
    /// imputed for it go. Ingests of one dataset wait for each other.
    ///
    /// `now_seconds` counts from 1970-01-01.
    ///
    /// # Errors
    /// The name cannot stand in a URL, or the database fails.
    pub async fn ingest(
        &self,
        name: &str,
        table: &ReferenceTable,
        now_seconds: i64,
    ) -> Result<IngestOutcome, StoreError> {
        check_name(name)?;
        let version = table.version();
        let mut transaction = self.pool.begin().await.map_err(failed("begin the ingest"))?;
        // The first statement writes, so that it takes the lock that a second ingest of this dataset waits for (in
        // SQLite the whole file's): what is read from here on is what the transaction will replace.
        sqlx::query(
            "INSERT INTO datasets (name, version, assembly, unit, tissues, gene_count, counts, created_at) \
             VALUES ($1, '', '', '', '[]', 0, '{}', $2) ON CONFLICT (name) DO UPDATE SET name = excluded.name",
        )
        .bind(name)
        .bind(now_seconds)
        .execute(&mut *transaction)
        .await
        .map_err(failed("lock the dataset"))?;
        let current: String = sqlx::query_scalar("SELECT version FROM datasets WHERE name = $1")
            .bind(name)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed("read the dataset's version"))?;
        if current == version {
            transaction.rollback().await.map_err(failed("end the ingest"))?;
            return Ok(IngestOutcome::Unchanged { version });
        }
        replace(&mut transaction, name, &version, table, now_seconds).await?;
        transaction.commit().await.map_err(failed("commit the ingest"))?;
        Ok(IngestOutcome::New { version })
    }
}

fn check_name(name: &str) -> Result<(), StoreError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    // Names of dots alone are folders to a URL.
    let has_letter = name.bytes().any(|byte| byte.is_ascii_alphanumeric());
    if name.len() <= 64 && has_letter && name.bytes().all(plain) {
        return Ok(());
    }
    Err(StoreError::DatasetName(name.chars().take(64).collect()))
}

async fn replace(
    connection: &mut AnyConnection,
    name: &str,
    version: &str,
    table: &ReferenceTable,
    now_seconds: i64,
) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM promoters WHERE dataset = $1",
        "DELETE FROM expression WHERE dataset = $1",
        "DELETE FROM genes WHERE dataset = $1",
    ] {
        let deleted = sqlx::query(statement).bind(name).execute(&mut *connection).await;
        deleted.map_err(failed("remove the old version"))?;
    }
    let json = |encoded: Result<String, serde_json::Error>| {
        encoded.map_err(|error| StoreError::Database {
            task: "encode the dataset",
            source: sqlx::Error::Encode(error.into()),
        })
    };
    let tissues: Vec<&str> = table.tissues().iter().map(crate::genome::Tissue::name).collect();
    sqlx::query(
        "UPDATE datasets SET version = $2, assembly = $3, unit = $4, tissues = $5, gene_count = $6, counts = $7, \
         created_at = $8 WHERE name = $1",
    )
    .bind(name)
    .bind(version)
    .bind(table.assembly().as_str())
    .bind(table.unit().as_str())
    .bind(json(serde_json::to_string(&tissues))?)
    .bind(i64::try_from(table.records().len()).unwrap_or(i64::MAX))
    .bind(json(serde_json::to_string(table.counts()))?)
    .bind(now_seconds)
    .execute(&mut *connection)
    .await
    .map_err(failed("write the dataset"))?;
    insert(&mut *connection, name, table.records()).await?;
    sqlx::query("DELETE FROM imputed WHERE dataset_version NOT IN (SELECT version FROM datasets)")
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed("remove the old version's imputed profiles"))
}

async fn insert(connection: &mut AnyConnection, name: &str, records: &[GeneRecord]) -> Result<(), StoreError> {
    let genes = GENES.insert(connection, records, |query, record| bind_gene(query.bind(name.to_owned()), &record.gene));
    genes.await.map_err(failed("write the genes"))?;
    let measured: Vec<(&GeneId, &[f32])> =
        records.iter().filter_map(|record| Some((&record.gene.id, record.expression.as_deref()?))).collect();
    let expression = EXPRESSION.insert(connection, &measured, |query, (id, values)| {
        query.bind(name.to_owned()).bind(id.as_str().to_owned()).bind(encode_values(values))
    });
    expression.await.map_err(failed("write the expression"))?;
    let promoters: Vec<(&GeneId, &[u8])> =
        records.iter().filter_map(|record| Some((&record.gene.id, record.promoter.as_ref()?.bases()))).collect();
    let promoters = PROMOTERS.insert(connection, &promoters, |query, (id, bases)| {
        query.bind(name.to_owned()).bind(id.as_str().to_owned()).bind(String::from_utf8_lossy(bases).into_owned())
    });
    promoters.await.map_err(failed("write the promoters"))
}

fn bind_gene<'q>(query: Insert<'q>, gene: &Gene) -> Insert<'q> {
    let locus = gene.locus.as_ref();
    query
        .bind(gene.id.as_str().to_owned())
        .bind(gene.version.map(i64::from))
        .bind(gene.symbol.as_str().to_owned())
        .bind(gene.biotype.as_ref().map(|biotype| biotype.as_str().to_owned()))
        .bind(locus.map(|locus| locus.chromosome.as_str().to_owned()))
        .bind(locus.map(|locus| i64::from(locus.start.get())))
        .bind(locus.map(|locus| i64::from(locus.end.get())))
        .bind(locus.map(|locus| locus.strand.as_str().to_owned()))
        .bind(locus.map(|locus| i64::from(locus.tss.get())))
}

/// Writes the values as a JSON array with as many digits as bring each `f32` back exactly; null where it is unknown.
pub(super) fn encode_values(values: &[f32]) -> String {
    let mut text = String::with_capacity(values.len() * 8 + 2);
    for value in values {
        text.push(if text.is_empty() { '[' } else { ',' });
        // Writing to a String does not fail; Rust writes the shortest digits that round-trip, and never an exponent.
        let _ = if value.is_nan() { text.write_str("null") } else { write!(text, "{value}") };
    }
    text.push(']');
    text
}
