//! The completed dataset as a long table, a line for each gene and tissue: the columns of a profile's own table.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{Float32Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::output::{Partial, Sink, WriteError, io_error};
use super::{Cell, Source};
use crate::genome::{Gene, Tissue};
use crate::reference::Reference;

/// The columns of text and of numbers, in the order of the table.
const COLUMNS: [&str; 9] = ["gene_id", "symbol", "tissue", "source", "value", "lower", "upper", "relative", "unit"];
/// Rows that are held before they are handed on.
const BATCH_ROWS: usize = 1 << 16;

/// The table as tab-separated values; what is not known is `NA`.
#[derive(Debug)]
pub(super) struct TsvFile {
    file: Partial,
    tissues: Vec<Tissue>,
    unit: &'static str,
    text: String,
}

impl TsvFile {
    pub(super) fn start(path: &Path, gzip: bool, reference: &Reference) -> Result<Self, WriteError> {
        let mut file = Partial::create(path, gzip)?;
        file.text(&format!("{}\n", COLUMNS.join("\t")))?;
        let unit = reference.dataset().unit.as_str();
        Ok(Self { file, tissues: reference.tissues().to_vec(), unit, text: String::new() })
    }
}

impl Sink for TsvFile {
    fn gene(&mut self, gene: &Gene, cells: &[Cell]) -> Result<(), WriteError> {
        self.text.clear();
        let symbol = gene.symbol.as_str().replace(['\t', '\n', '\r'], " ");
        for (tissue, cell) in self.tissues.iter().zip(cells) {
            // Writing to a String cannot fail.
            let _ = write!(self.text, "{}\t{symbol}\t{}\t{}", gene.id, tissue.id(), cell.source.as_str());
            for number in [cell.value, cell.lower, cell.upper, cell.relative] {
                let _ = match number {
                    Some(number) => write!(self.text, "\t{number}"),
                    None => self.text.write_str("\tNA"),
                };
            }
            let _ = writeln!(self.text, "\t{}", self.unit);
        }
        self.file.text(&self.text)
    }

    fn finish(self: Box<Self>) -> Result<Vec<PathBuf>, WriteError> {
        let mut file = self.file;
        file.close()?;
        Ok(vec![file.publish()?])
    }
}

/// The table as Parquet; what is not known is null.
pub(super) struct ParquetFile {
    writer: ArrowWriter<Partial>,
    place: PathBuf,
    tissues: Vec<Tissue>,
    unit: &'static str,
    schema: SchemaRef,
    words: [StringBuilder; 5],
    numbers: [Float32Builder; 4],
    rows: usize,
}

impl ParquetFile {
    pub(super) fn start(path: &Path, reference: &Reference) -> Result<Self, WriteError> {
        let file = Partial::create(path, false)?;
        let field = |(at, name): (usize, &&str)| {
            let number = (4..8).contains(&at);
            Field::new(*name, if number { DataType::Float32 } else { DataType::Utf8 }, number)
        };
        let schema = Arc::new(Schema::new(COLUMNS.iter().enumerate().map(field).collect::<Vec<_>>()));
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("tissuecast ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))?;
        let about = reference.dataset();
        for (key, value) in [("tissuecast.dataset", &about.name), ("tissuecast.dataset_version", &about.version)] {
            writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value.clone()));
        }
        Ok(Self {
            writer,
            place: path.to_owned(),
            tissues: reference.tissues().to_vec(),
            unit: about.unit.as_str(),
            schema,
            words: Default::default(),
            numbers: Default::default(),
            rows: 0,
        })
    }

    fn hand_on(&mut self) -> Result<(), WriteError> {
        let [id, symbol, tissue, source, unit] = self.words.each_mut().map(|one| Arc::new(one.finish()) as ArrayRef);
        let [value, lower, upper, relative] = self.numbers.each_mut().map(|one| Arc::new(one.finish()) as ArrayRef);
        let columns = vec![id, symbol, tissue, source, value, lower, upper, relative, unit];
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| WriteError::Parquet(error.into()))?;
        self.rows = 0;
        Ok(self.writer.write(&batch)?)
    }
}

impl Sink for ParquetFile {
    fn gene(&mut self, gene: &Gene, cells: &[Cell]) -> Result<(), WriteError> {
        for (tissue, cell) in self.tissues.iter().zip(cells) {
            let words = [gene.id.as_str(), gene.symbol.as_str(), tissue.id(), Source::as_str(cell.source), self.unit];
            self.words.iter_mut().zip(words).for_each(|(column, word)| column.append_value(word));
            let numbers = [cell.value, cell.lower, cell.upper, cell.relative];
            self.numbers.iter_mut().zip(numbers).for_each(|(column, number)| column.append_option(number));
        }
        self.rows += cells.len();
        if self.rows >= BATCH_ROWS { self.hand_on() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<PathBuf>, WriteError> {
        self.hand_on()?;
        let place = self.place.clone();
        let mut file = self.writer.into_inner().map_err(|error| match error {
            parquet::errors::ParquetError::External(cause) => match cause.downcast::<std::io::Error>() {
                Ok(error) => io_error(&place)(*error),
                Err(cause) => WriteError::Parquet(parquet::errors::ParquetError::External(cause)),
            },
            error => WriteError::Parquet(error),
        })?;
        file.close()?;
        Ok(vec![file.publish()?])
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Array as _, Float32Array, StringArray};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::completion::join;
    use crate::completion::tests::imputed;
    use crate::reference::tests::{dataset, record};

    fn reference() -> Reference {
        let tissues = vec![Tissue::from_name("Liver"), Tissue::from_name("leaf (young)")];
        Reference::new(dataset(), tissues, vec![record("g1", None, Some(&[1.5, f32::NAN])), record("g2", None, None)])
    }

    fn write(mut sink: Box<dyn Sink>, reference: &Reference) {
        let profile = imputed(&[None, Some((Some(4.0), 1.0))]);
        sink.gene(reference.gene(0), &join(reference.expression(0), Some(&profile))).unwrap();
        sink.gene(reference.gene(1), &join(reference.expression(1), None)).unwrap();
        sink.finish().unwrap();
    }

    #[test]
    fn every_gene_and_tissue_has_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let (path, reference) = (folder.path().join("x.tsv"), reference());
        write(Box::new(TsvFile::start(&path, false, &reference).unwrap()), &reference);
        insta::assert_snapshot!(std::fs::read_to_string(&path).unwrap(), @r"
        gene_id	symbol	tissue	source	value	lower	upper	relative	unit
        g1	g1	Liver	measured	1.5	NA	NA	0	tpm
        g1	g1	leaf_young	imputed	4	2	8	1	tpm
        g2	g2	Liver	unknown	NA	NA	NA	NA	tpm
        g2	g2	leaf_young	unknown	NA	NA	NA	NA	tpm
        ");
    }

    #[test]
    fn parquet_reads_back_with_nulls() {
        let folder = tempfile::tempdir().unwrap();
        let (path, reference) = (folder.path().join("x.parquet"), reference());
        write(Box::new(ParquetFile::start(&path, &reference).unwrap()), &reference);
        let file = std::fs::File::open(&path).unwrap();
        let batch = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().next().unwrap().unwrap();
        let names: Vec<String> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!((batch.num_rows(), names), (4, COLUMNS.map(str::to_owned).to_vec()));
        let source = batch.column(3).as_any().downcast_ref::<StringArray>().unwrap();
        let value = batch.column(4).as_any().downcast_ref::<Float32Array>().unwrap();
        let upper = batch.column(6).as_any().downcast_ref::<Float32Array>().unwrap();
        assert_eq!((source.value(1), value.value(1), upper.value(1)), ("imputed", 4.0, 8.0));
        assert!(upper.is_null(0) && value.is_null(2) && value.is_null(3));
    }
}
