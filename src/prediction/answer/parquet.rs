//! A Parquet file of the columns, packed by Snappy.
//!
//! The file's key-value metadata holds what the Arrow stream has in its schema, and the report as JSON under
//! `tissuecast.report`.

use std::io::{self, Write};

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::columns::{self, Batches, FIXED};
use super::{Output, json_text, out_of_order};
use crate::genotype::report::Report;
use crate::prediction::{Answer, AnswerError, GeneAnswer, Heading};

/// The key of the report.
const REPORT: &str = "tissuecast.report";
/// Bytes that are held before they are written as a row group.
const ROW_GROUP: usize = 64 << 20;

/// Writes an answer as a Parquet file.
#[derive(Debug)]
pub struct ParquetAnswer<W: Write + Send> {
    state: State<W>,
}

#[derive(Debug)]
enum State<W: Write + Send> {
    New(Output<W>),
    Open(Box<ArrowWriter<Output<W>>>, Batches),
    Done,
}

impl<W: Write + Send> ParquetAnswer<W> {
    /// Writes into `output`.
    #[must_use]
    pub fn new(output: Output<W>) -> Self {
        Self { state: State::New(output) }
    }
}

/// People's values are all different and have no order: neither a dictionary nor a range would be of use, and with
/// thousands of columns both cost.
fn properties() -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_created_by(concat!("tissuecast ", env!("CARGO_PKG_VERSION")).to_owned());
    for (name, kind) in FIXED {
        let path = ColumnPath::from(name);
        properties = properties.set_column_statistics_enabled(path.clone(), EnabledStatistics::Chunk);
        properties = properties.set_column_dictionary_enabled(path, kind == DataType::Utf8);
    }
    properties.build()
}

fn write<W: Write + Send>(writer: &mut ArrowWriter<Output<W>>, batch: Option<RecordBatch>) -> Result<(), AnswerError> {
    let Some(batch) = batch else { return Ok(()) };
    writer.write(&batch).map_err(error)?;
    if writer.in_progress_size() >= ROW_GROUP { writer.flush().map_err(error) } else { Ok(()) }
}

impl<W: Write + Send> Answer for ParquetAnswer<W> {
    fn begin(&mut self, heading: &Heading) -> Result<(), AnswerError> {
        let State::New(output) = std::mem::replace(&mut self.state, State::Done) else { return Err(out_of_order()) };
        let batches = Batches::new(heading)?;
        let schema = std::sync::Arc::clone(batches.schema());
        let writer = ArrowWriter::try_new(output, schema, Some(properties())).map_err(error)?;
        self.state = State::Open(Box::new(writer), batches);
        Ok(())
    }

    fn gene(&mut self, heading: &Heading, gene: GeneAnswer) -> Result<(), AnswerError> {
        let State::Open(writer, batches) = &mut self.state else { return Err(out_of_order()) };
        write(writer, batches.push(heading, gene)?)
    }

    fn finish(&mut self, heading: &Heading, report: &Report) -> Result<(), AnswerError> {
        let State::Open(mut writer, mut batches) = std::mem::replace(&mut self.state, State::Done) else {
            return Err(out_of_order());
        };
        write(&mut writer, batches.take(heading)?)?;
        for (key, value) in columns::metadata(heading)? {
            writer.append_key_value_metadata(KeyValue::new(key, value));
        }
        writer.append_key_value_metadata(KeyValue::new(REPORT.to_owned(), json_text(report)?));
        Ok(writer.into_inner().map_err(error)?.finish()?)
    }
}

/// Tells a reader that has gone from what cannot be written.
fn error(error: ParquetError) -> AnswerError {
    let other = |error: &dyn std::fmt::Display| AnswerError::Form(format!("it cannot be written as Parquet: {error}"));
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(error) => AnswerError::Io(*error),
            Err(cause) => match cause.downcast::<ArrowError>() {
                Ok(error) => columns::error(*error),
                Err(cause) => other(&cause),
            },
        },
        error => other(&error),
    }
}
