//! An answer as columns: the batches that Arrow and Parquet share.
//!
//! One row a gene; [`FIXED`] columns first, then one of 64-bit numbers a person, named by the person. The fixed names
//! never change, so that a script may rely on them: a person who is called like one of them gets the column
//! `sample:NAME`, and the name itself under `tissuecast.sample` in the column's metadata. Positions count from 1, both
//! ends included. What is the same for all rows is in the schema's metadata, as JSON: `tissuecast.models`,
//! `tissuecast.policies`, `tissuecast.genes_not_found`.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt32Array, UInt64Array};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use serde::Serialize as _;

use super::{ModelEntry, check, json_text};
use crate::model::expression::ModelGene;
use crate::prediction::{AnswerError, GeneAnswer, Heading, Reason};

/// The columns before the people's, with their types.
pub(super) const FIXED: [(&str, DataType); 12] = [
    ("model", DataType::Utf8),
    ("gene_id", DataType::Utf8),
    ("gene", DataType::Utf8),
    ("symbol", DataType::Utf8),
    ("chromosome", DataType::Utf8),
    ("start", DataType::UInt32),
    ("end", DataType::UInt32),
    ("n_snps_in_model", DataType::UInt64),
    ("n_snps_used", DataType::UInt64),
    ("weight_fraction_used", DataType::Float64),
    ("r2", DataType::Float64),
    ("reason", DataType::Utf8),
];

/// The most genes of a batch.
const GENES: usize = 64;
/// The most bytes of a batch's values, though a batch has at least one gene.
const BYTES: usize = 8 << 20;

/// Genes on their way into batches.
#[derive(Debug)]
pub(super) struct Batches {
    schema: SchemaRef,
    waiting: Vec<GeneAnswer>,
    /// Genes of a batch.
    most: usize,
}

impl Batches {
    /// Starts with the heading.
    pub(super) fn new(heading: &Heading) -> Result<Self, AnswerError> {
        let most = (BYTES / 8 / heading.samples.len().max(1)).clamp(1, GENES);
        Ok(Self { schema: schema(heading)?, waiting: Vec::with_capacity(most), most })
    }

    /// Returns the schema of every batch.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Takes a gene; returns a batch where it is full.
    pub(super) fn push(&mut self, heading: &Heading, gene: GeneAnswer) -> Result<Option<RecordBatch>, AnswerError> {
        check(heading, &gene)?;
        self.waiting.push(GeneAnswer { variants: None, explanation: None, ..gene });
        if self.waiting.len() < self.most { Ok(None) } else { self.take(heading) }
    }

    /// Returns the genes that wait as a batch, where there are any.
    pub(super) fn take(&mut self, heading: &Heading) -> Result<Option<RecordBatch>, AnswerError> {
        if self.waiting.is_empty() {
            return Ok(None);
        }
        let genes = std::mem::take(&mut self.waiting);
        let mut columns = fixed(heading, &genes)?;
        columns.reserve(heading.samples.len());
        for person in 0..heading.samples.len() {
            // Every gene was checked to have a value for every person.
            let values: Vec<f64> = genes.iter().map(|gene| gene.values[person]).collect();
            columns.push(Arc::new(numbers(values)));
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map(Some).map_err(error)
    }
}

/// Returns a column; a number that is not known is null.
fn numbers(values: Vec<f64>) -> Float64Array {
    if values.iter().any(|value| value.is_nan()) {
        values.into_iter().map(|value| (!value.is_nan()).then_some(value)).collect()
    } else {
        values.into()
    }
}

/// A gene with what its model is called.
type Named<'a> = (Cow<'a, str>, &'a ModelGene);

fn fixed(heading: &Heading, answers: &[GeneAnswer]) -> Result<Vec<ArrayRef>, AnswerError> {
    let genes: Vec<Named<'_>> =
        answers.iter().map(|answer| (heading.model_of(answer), heading.gene_of(answer).1)).collect();
    let text = |of: &dyn Fn(&Named<'_>) -> Option<String>| -> ArrayRef {
        Arc::new(genes.iter().map(of).collect::<StringArray>())
    };
    let position = |of: &dyn Fn(u32, u32) -> u32| -> ArrayRef {
        let place = |answer: &GeneAnswer| answer.interval.as_ref().map(|(_, start, end)| of(*start, *end));
        Arc::new(answers.iter().map(place).collect::<UInt32Array>())
    };
    let reasons: Result<StringArray, AnswerError> = answers.iter().map(reason).collect();
    let chromosome = |answer: &GeneAnswer| answer.interval.as_ref().map(|(chromosome, _, _)| chromosome.to_string());
    let r2 = |(_, gene): &Named<'_>| gene.accuracy.as_ref().and_then(|accuracy| accuracy.r2);
    Ok(vec![
        text(&|(model, _)| Some(model.clone().into_owned())),
        text(&|(_, gene)| Some(gene.id.to_string())),
        text(&|(_, gene)| Some(gene.name.to_string())),
        text(&|(_, gene)| gene.symbol.as_ref().map(|symbol| symbol.as_str().to_owned())),
        Arc::new(answers.iter().map(chromosome).collect::<StringArray>()),
        position(&|start, _| start.saturating_add(1)),
        position(&|_, end| end),
        Arc::new(answers.iter().map(|answer| Some(answer.by_kind.total())).collect::<UInt64Array>()),
        Arc::new(answers.iter().map(|answer| Some(answer.by_kind.used())).collect::<UInt64Array>()),
        Arc::new(answers.iter().map(|answer| answer.weight_fraction_used).collect::<Float64Array>()),
        Arc::new(genes.iter().map(r2).collect::<Float64Array>()),
        Arc::new(reasons?),
    ])
}

/// The reason's name, the one that JSON has.
fn reason(answer: &GeneAnswer) -> Result<Option<String>, AnswerError> {
    let name = |reason: Reason| reason.serialize(serde_json::value::Serializer);
    let value = answer.reason.map(name).transpose().map_err(|error| AnswerError::Form(error.to_string()))?;
    Ok(value.and_then(|value| value.as_str().map(str::to_owned)))
}

fn schema(heading: &Heading) -> Result<SchemaRef, AnswerError> {
    let mut names: HashSet<&str> = heading.samples.iter().map(|sample| &*sample.id).collect();
    let mut taken: HashSet<String> = HashSet::new();
    names.extend(FIXED.iter().map(|(name, _)| *name));
    // Every column may be null, so that the schema does not depend on the rows.
    let fixed = FIXED.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true));
    let mut fields: Vec<Field> = fixed.collect();
    for sample in heading.samples.iter() {
        if FIXED.iter().all(|(name, _)| *name != &*sample.id) {
            fields.push(Field::new(&*sample.id, DataType::Float64, true));
            continue;
        }
        let mut name = format!("sample:{}", sample.id);
        while names.contains(&*name) || taken.contains(&name) {
            name.insert_str(0, "sample:");
        }
        let metadata = HashMap::from([("tissuecast.sample".to_owned(), sample.id.to_string())]);
        fields.push(Field::new(&name, DataType::Float64, true).with_metadata(metadata));
        taken.insert(name);
    }
    Ok(Arc::new(Schema::new_with_metadata(fields, metadata(heading)?.into_iter().collect::<HashMap<_, _>>())))
}

/// What is the same for all rows.
pub(super) fn metadata(heading: &Heading) -> Result<[(String, String); 3], AnswerError> {
    let models: Vec<_> = heading.models.iter().map(|model| ModelEntry::of(model)).collect();
    Ok([
        ("tissuecast.models".to_owned(), json_text(&models)?),
        ("tissuecast.policies".to_owned(), json_text(&heading.policies)?),
        ("tissuecast.genes_not_found".to_owned(), json_text(&heading.genes_not_found)?),
    ])
}

/// Tells a reader that has gone from what cannot be written.
pub(super) fn error(error: ArrowError) -> AnswerError {
    match error {
        ArrowError::IoError(_, error) => AnswerError::Io(error),
        error => AnswerError::Form(format!("it cannot be written as columns: {error}")),
    }
}
