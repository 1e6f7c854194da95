//! An Arrow IPC stream of the columns, batch after batch.
//!
//! A stream has no place for what is known at its end only: the report is left to the other forms.

use std::io::Write;

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;

use super::columns::{Batches, error};
use super::{Output, out_of_order};
use crate::genotype::report::Report;
use crate::prediction::{Answer, AnswerError, GeneAnswer, Heading};

/// Writes an answer as an Arrow stream.
pub struct ArrowAnswer<W: Write> {
    state: State<W>,
}

enum State<W: Write> {
    New(Output<W>),
    Open(Box<StreamWriter<Output<W>>>, Batches),
    Done,
}

impl<W: Write> ArrowAnswer<W> {
    /// Writes into `output`.
    #[must_use]
    pub fn new(output: Output<W>) -> Self {
        Self { state: State::New(output) }
    }
}

impl<W: Write> std::fmt::Debug for ArrowAnswer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArrowAnswer").finish_non_exhaustive()
    }
}

fn write<W: Write>(writer: &mut StreamWriter<Output<W>>, batch: Option<RecordBatch>) -> Result<(), AnswerError> {
    let Some(batch) = batch else { return Ok(()) };
    writer.write(&batch).map_err(error)?;
    // A batch leaves whole: whoever reads has its last rows without waiting for the next.
    writer.flush().map_err(error)
}

impl<W: Write> Answer for ArrowAnswer<W> {
    fn begin(&mut self, heading: &Heading) -> Result<(), AnswerError> {
        let State::New(output) = std::mem::replace(&mut self.state, State::Done) else { return Err(out_of_order()) };
        let batches = Batches::new(heading)?;
        let writer = StreamWriter::try_new(output, batches.schema()).map_err(error)?;
        self.state = State::Open(Box::new(writer), batches);
        Ok(())
    }

    fn gene(&mut self, heading: &Heading, gene: GeneAnswer) -> Result<(), AnswerError> {
        let State::Open(writer, batches) = &mut self.state else { return Err(out_of_order()) };
        write(writer, batches.push(heading, gene)?)
    }

    fn finish(&mut self, heading: &Heading, _report: &Report) -> Result<(), AnswerError> {
        let State::Open(mut writer, mut batches) = std::mem::replace(&mut self.state, State::Done) else {
            return Err(out_of_order());
        };
        write(&mut writer, batches.take(heading)?)?;
        Ok(writer.into_inner().map_err(error)?.finish()?)
    }
}
