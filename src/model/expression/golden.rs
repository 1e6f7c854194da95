//! The golden sample of a genotype model: a few of its genes, dosages that follow from row and person, and what came out.
//!
//! Checked at load like that of a profile model, so that a damaged file, another processor or a changed dependency that
//! shifts the numbers is found at start and not by a user.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::GenotypeModel;
use crate::model::ModelError;
use crate::model::golden::FILE;

/// How many people the sample has.
const PEOPLE: usize = 5;
/// How many genes it has at most.
const GENES: usize = 6;
/// How far a number may be from the one on file, as a share of the gene's largest.
const TOLERANCE: f64 = 1e-3;

/// A few genes and their predictions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenotypeGolden {
    genes: Vec<GoldenGene>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GoldenGene {
    /// The gene's place in the model.
    gene: usize,
    name: String,
    values: Vec<f64>,
}

impl GenotypeGolden {
    /// Asks `model` about a few of its genes and keeps the answers.
    ///
    /// # Errors
    /// The model cannot answer, or answers with a number that is not finite.
    pub fn record(model: &dyn GenotypeModel) -> Result<Self, ModelError> {
        let count = model.genes().len();
        let chosen: BTreeSet<usize> = (0..GENES.min(count)).map(|step| step * count / GENES.min(count)).collect();
        let mut genes = Vec::with_capacity(chosen.len());
        for index in chosen {
            let Some(gene) = model.genes().get(index) else { continue };
            let values = ask(model, index)?;
            if values.iter().any(|value| !value.is_finite()) {
                return Err(ModelError::NotFinite);
            }
            genes.push(GoldenGene { gene: index, name: gene.name.to_string(), values });
        }
        Ok(Self { genes })
    }

    /// Asks `model` again and compares.
    ///
    /// # Errors
    /// The sample does not fit the model, the model cannot answer, or a number differs by more than the tolerance.
    pub fn check(&self, model: &dyn GenotypeModel) -> Result<(), ModelError> {
        let fault = |reason: String| ModelError::File { file: FILE.to_owned(), reason };
        for golden in &self.genes {
            if model.genes().get(golden.gene).is_none_or(|gene| *gene.name != *golden.name) {
                return Err(fault(format!("gene {} is not number {} of the model", golden.name, golden.gene)));
            }
            let now = ask(model, golden.gene)?;
            let largest = golden.values.iter().map(|value| value.abs()).fold(0.0, f64::max);
            let near = |(now, then): (&f64, &f64)| (now - then).abs() <= TOLERANCE * largest;
            if now.len() != golden.values.len() || !now.iter().zip(&golden.values).all(near) {
                return Err(fault(format!("gene {} is now predicted otherwise than recorded", golden.name)));
            }
        }
        Ok(())
    }
}

fn ask(model: &dyn GenotypeModel, index: usize) -> Result<Vec<f64>, ModelError> {
    let rows = model.genes().get(index).map(|gene| gene.rows.clone()).unwrap_or_default();
    let mut prediction = model.start(index, PEOPLE);
    for row in rows {
        let dosages: [f32; PEOPLE] = std::array::from_fn(|person| dosage(row, person));
        prediction.add(row, &dosages);
    }
    prediction.finish()
}

/// Some dosage between 0 and 2 that follows from row and person alone, on every machine.
fn dosage(row: usize, person: usize) -> f32 {
    let mixed = (row as u64).wrapping_mul(7_919).wrapping_add((person as u64 + 1).wrapping_mul(104_729));
    (mixed % 201) as f32 / 100.0
}
