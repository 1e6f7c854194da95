//! Tables of an answer: written as tab-separated values or as an Arrow stream, from the same columns.
//!
//! A value that is not known is `NA` in TSV and null in Arrow, never a zero and never an empty cell.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Float64Array, RecordBatch, StringArray, UInt32Array};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;

use super::problem::{Kind, Problem};

/// A column's cells.
pub(crate) enum Column {
    /// Text.
    Text(Vec<Option<String>>),
    /// Numbers.
    Number(Vec<Option<f32>>),
    /// Numbers that need all their digits.
    Real(Vec<Option<f64>>),
    /// Positions and counts.
    Whole(Vec<Option<u32>>),
}

/// Columns of one length with their names.
pub(crate) struct Table(pub(crate) Vec<(&'static str, Column)>);

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Text(cells) => cells.len(),
            Self::Number(cells) => cells.len(),
            Self::Real(cells) => cells.len(),
            Self::Whole(cells) => cells.len(),
        }
    }

    fn write(&self, row: usize, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Text(cells) => match &cells[row] {
                // A blank in the place of a tab or line break keeps the table a table.
                Some(text) if text.contains(['\t', '\n', '\r']) => {
                    out.push_str(&text.replace(['\t', '\n', '\r'], " "));
                    Ok(())
                }
                Some(text) => {
                    out.push_str(text);
                    Ok(())
                }
                None => out.write_str("NA"),
            },
            Self::Number(cells) => match cells[row] {
                Some(number) => write!(out, "{number}"),
                None => out.write_str("NA"),
            },
            Self::Real(cells) => match cells[row] {
                Some(number) => write!(out, "{number}"),
                None => out.write_str("NA"),
            },
            Self::Whole(cells) => match cells[row] {
                Some(number) => write!(out, "{number}"),
                None => out.write_str("NA"),
            },
        };
    }

    fn into_array(self) -> ArrayRef {
        match self {
            Self::Text(cells) => Arc::new(StringArray::from(cells)),
            Self::Number(cells) => Arc::new(Float32Array::from(cells)),
            Self::Real(cells) => Arc::new(Float64Array::from(cells)),
            Self::Whole(cells) => Arc::new(UInt32Array::from(cells)),
        }
    }
}

impl Table {
    /// Writes a heading and one line a row.
    pub(crate) fn tsv(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|(name, _)| *name).collect();
        let rows = self.0.first().map_or(0, |(_, column)| column.len());
        let mut out = String::with_capacity(64 * (rows + 1));
        out.push_str(&names.join("\t"));
        out.push('\n');
        for row in 0..rows {
            for (at, (_, column)) in self.0.iter().enumerate() {
                if at > 0 {
                    out.push('\t');
                }
                column.write(row, &mut out);
            }
            out.push('\n');
        }
        out
    }

    /// Writes one record batch as an Arrow IPC stream.
    ///
    /// # Errors
    /// The columns' lengths differ, which is a defect of the caller.
    pub(crate) fn arrow(self) -> Result<Vec<u8>, Problem> {
        let write = || -> Result<Vec<u8>, ArrowError> {
            // Every column may be null, so that the schema does not depend on the rows.
            let columns = self.0.into_iter().map(|(name, column)| (name, column.into_array(), true));
            let batch = RecordBatch::try_from_iter_with_nullable(columns)?;
            let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
            writer.write(&batch)?;
            writer.finish()?;
            writer.into_inner()
        };
        write().map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "an Arrow stream could not be written");
            Problem::new(Kind::Internal, "the answer could not be written as an Arrow stream")
        })
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Array as _;
    use arrow_ipc::reader::StreamReader;

    use super::*;

    fn table() -> Table {
        Table(vec![
            ("gene", Column::Text(vec![Some("a\tb".to_owned()), None])),
            ("value", Column::Number(vec![Some(1.5), None])),
            ("start", Column::Whole(vec![None, Some(7)])),
        ])
    }

    #[test]
    fn unknown_cells_are_na_and_tabs_stay_out() {
        assert_eq!(table().tsv(), "gene\tvalue\tstart\na b\t1.5\tNA\nNA\tNA\t7\n");
    }

    #[test]
    fn arrow_reads_back_with_nulls() {
        let bytes = table().arrow().unwrap();
        let batch = StreamReader::try_new(bytes.as_slice(), None).unwrap().next().unwrap().unwrap();
        assert_eq!((batch.num_rows(), batch.num_columns()), (2, 3));
        assert!(batch.column(1).is_null(1) && !batch.column(1).is_null(0));
    }
}
