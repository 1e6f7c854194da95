//! Reading datasets back: summaries, and the whole snapshot that the service answers from.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{DatasetSummary, Store, StoreError, failed, stored_gene_id};
use crate::genome::{Assembly, Biotype, Chromosome, Gene, GeneSymbol, Locus, Position, Promoter, Strand, Tissue};
use crate::reference::{Dataset, GeneRecord, Reference, Unit};

/// How many genes one statement brings: a few MB of rows at a time.
const PAGE: u16 = 4000;
/// How often a load starts again because the dataset was replaced under it.
const ATTEMPTS: usize = 5;

impl Store {
    /// Returns the current version of every dataset, by name.
    ///
    /// # Errors
    /// The database fails, or a row makes no sense.
    pub async fn datasets(&self) -> Result<Vec<DatasetSummary>, StoreError> {
        let rows = sqlx::query(
            "SELECT name, version, assembly, unit, tissues, counts, created_at FROM datasets ORDER BY name",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read the datasets"))?;
        let mut datasets = rows.iter().map(summary).collect::<Result<Vec<_>, _>>()?;
        // The database's collation may have another order.
        datasets.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(datasets)
    }

    /// Loads a dataset's current version whole; `None` where there is no dataset of that name.
    ///
    /// # Errors
    /// The database fails, a row makes no sense, or the dataset is replaced faster than it can be read.
    pub async fn load_reference(&self, name: &str) -> Result<Option<Reference>, StoreError> {
        for _ in 0..ATTEMPTS {
            let row = sqlx::query(
                "SELECT name, version, assembly, unit, tissues, counts, created_at, gene_count FROM datasets \
                 WHERE name = $1",
            )
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read the dataset"))?;
            let Some(row) = row else { return Ok(None) };
            let gene_count: i64 = row.try_get(7).map_err(failed("read the dataset"))?;
            let dataset = summary(&row)?;
            let records = self.load_records(&dataset).await?;
            // Each page is of this version or empty, so that the count tells whether all of them were there.
            if i64::try_from(records.len()) == Ok(gene_count) {
                let DatasetSummary { name, version, assembly, unit, tissues, .. } = dataset;
                return Ok(Some(Reference::new(Dataset { name, version, assembly, unit }, tissues, records)));
            }
        }
        Err(StoreError::Replaced(name.to_owned()))
    }

    async fn load_records(&self, dataset: &DatasetSummary) -> Result<Vec<GeneRecord>, StoreError> {
        let mut records: Vec<GeneRecord> = Vec::new();
        loop {
            let after = records.last().map_or("", |record| record.gene.id.as_str()).to_owned();
            let page = sqlx::query(
                "SELECT g.gene_id, g.id_version, g.symbol, g.biotype, g.chromosome, g.start_position, g.end_position, \
                 g.strand, g.tss, e.tissue_values, p.bases \
                 FROM genes g JOIN datasets d ON d.name = g.dataset \
                 LEFT JOIN expression e ON e.dataset = g.dataset AND e.gene_id = g.gene_id \
                 LEFT JOIN promoters p ON p.dataset = g.dataset AND p.gene_id = g.gene_id \
                 WHERE g.dataset = $1 AND d.version = $2 AND g.gene_id > $3 ORDER BY g.gene_id LIMIT $4",
            )
            .bind(&dataset.name)
            .bind(&dataset.version)
            .bind(after)
            .bind(i64::from(PAGE))
            .fetch_all(&self.pool)
            .await
            .map_err(failed("read the genes"))?;
            for row in &page {
                records.push(record(row, dataset)?);
            }
            if page.len() < usize::from(PAGE) {
                return Ok(records);
            }
        }
    }
}

fn summary(row: &AnyRow) -> Result<DatasetSummary, StoreError> {
    let text = |index: usize| row.try_get::<String, _>(index).map_err(failed("read a dataset"));
    let name = text(0)?;
    let corrupt = |column| StoreError::Corrupt { dataset: name.clone(), gene: None, column };
    let tissues: Vec<String> = serde_json::from_str(&text(4)?).map_err(|_| corrupt("tissues"))?;
    Ok(DatasetSummary {
        version: text(1)?,
        assembly: Assembly::parse(&text(2)?).map_err(|_| corrupt("assembly"))?,
        unit: unit(&text(3)?).ok_or_else(|| corrupt("unit"))?,
        tissues: tissues.iter().map(|tissue| Tissue::from_name(tissue)).collect(),
        counts: serde_json::from_str(&text(5)?).map_err(|_| corrupt("counts"))?,
        created_at_seconds: row.try_get(6).map_err(failed("read a dataset"))?,
        name,
    })
}

fn unit(text: &str) -> Option<Unit> {
    [Unit::Rpkm, Unit::Tpm].into_iter().find(|unit| unit.as_str() == text)
}

/// A row of the join, column by column.
struct Columns<'a> {
    row: &'a AnyRow,
    dataset: &'a str,
    gene: &'a str,
}

impl Columns<'_> {
    fn corrupt(&self, column: &'static str) -> StoreError {
        StoreError::Corrupt { dataset: self.dataset.to_owned(), gene: Some(self.gene.to_owned()), column }
    }

    fn text(&self, column: &'static str) -> Result<Option<&str>, StoreError> {
        self.row.try_get(column).map_err(failed("read a gene"))
    }

    fn number(&self, column: &'static str) -> Result<Option<u32>, StoreError> {
        let number: Option<i64> = self.row.try_get(column).map_err(failed("read a gene"))?;
        number.map(|number| u32::try_from(number).map_err(|_| self.corrupt(column))).transpose()
    }

    fn position(&self, column: &'static str) -> Result<Position, StoreError> {
        self.number(column)?.and_then(Position::new).ok_or_else(|| self.corrupt(column))
    }

    fn locus(&self) -> Result<Option<Locus>, StoreError> {
        let Some(chromosome) = self.text("chromosome")? else { return Ok(None) };
        let strand = self.text("strand")?.and_then(|strand| Strand::parse(strand).ok());
        Ok(Some(Locus {
            chromosome: Chromosome::parse(chromosome).map_err(|_| self.corrupt("chromosome"))?,
            start: self.position("start_position")?,
            end: self.position("end_position")?,
            strand: strand.ok_or_else(|| self.corrupt("strand"))?,
            tss: self.position("tss")?,
        }))
    }

    fn values(&self, tissues: usize) -> Result<Option<Vec<f32>>, StoreError> {
        let Some(text) = self.text("tissue_values")? else { return Ok(None) };
        let values: Vec<Option<f32>> = serde_json::from_str(text).map_err(|_| self.corrupt("tissue_values"))?;
        if values.len() != tissues {
            return Err(self.corrupt("tissue_values"));
        }
        Ok(Some(values.into_iter().map(|value| value.unwrap_or(f32::NAN)).collect()))
    }
}

fn record(row: &AnyRow, dataset: &DatasetSummary) -> Result<GeneRecord, StoreError> {
    let gene_id: &str = row.try_get(0).map_err(failed("read a gene"))?;
    let columns = Columns { row, dataset: &dataset.name, gene: gene_id };
    let bases = columns.text("bases")?.map(|bases| Promoter::parse(bases.as_bytes()));
    Ok(GeneRecord {
        gene: Gene {
            id: stored_gene_id(gene_id).ok_or_else(|| columns.corrupt("gene_id"))?,
            version: columns.number("id_version")?,
            symbol: columns.text("symbol")?.map(GeneSymbol::new).ok_or_else(|| columns.corrupt("symbol"))?,
            biotype: columns.text("biotype")?.map(Biotype::new),
            locus: columns.locus()?,
        },
        expression: columns.values(dataset.tissues.len())?,
        promoter: bases.transpose().map_err(|_| columns.corrupt("bases"))?,
    })
}
