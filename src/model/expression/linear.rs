//! Sparse linear models: the sum over a gene's variants of weight × dosage of the effect allele.
//!
//! No intercept: expression was centred before such models were trained, so predictions are known up to a constant.

use super::{Explained, ExplanationMethod, Gathered, GenePrediction, GenotypeModel, ModelGene};
use crate::genotype::variants::VariantTable;
use crate::model::ModelError;

/// The method's name on cards.
pub const LINEAR: &str = "linear";

/// A sparse linear model.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    genes: Vec<ModelGene>,
    variants: VariantTable,
    weights: Vec<f64>,
}

impl Linear {
    /// Takes genes, their variants and one finite weight a row.
    ///
    /// # Errors
    /// The rows of the genes do not cover the table in order, or the lengths differ, or a weight is not finite.
    pub fn new(genes: Vec<ModelGene>, variants: VariantTable, weights: Vec<f64>) -> Result<Self, ModelError> {
        let fault = |reason: &str| ModelError::Tensor { name: "weight".to_owned(), reason: reason.to_owned() };
        let mut next = 0;
        for gene in &genes {
            if gene.rows.start != next || gene.rows.end < next {
                return Err(fault("does not follow the genes"));
            }
            next = gene.rows.end;
        }
        let lifted = variants.lifted.as_ref().map_or(next, |lifted| lifted.places.len());
        if [variants.rows.len(), weights.len(), lifted].iter().any(|length| *length != next) {
            return Err(fault("has another number of rows than the genes"));
        }
        if weights.iter().any(|weight| !weight.is_finite()) {
            return Err(fault("has a weight that is not finite"));
        }
        Ok(Self { genes, variants, weights })
    }

    fn sum(&self, people: usize) -> Sum<'_> {
        Sum { weights: &self.weights, values: vec![0.0; people] }
    }

    /// The gathered sum, in the order in which a sum that goes along has it, so that both are the same to the last bit.
    fn gathered_sum(&self, gene: &Gathered) -> Vec<f64> {
        let mut sum = self.sum(gene.people);
        gene.rows.iter().for_each(|(row, dosages)| sum.add(*row, dosages));
        sum.values
    }

    fn explain_one(&self, gene: &Gathered) -> Explained {
        let mut base = 0.0;
        let mut contributions = Vec::with_capacity(gene.rows.len());
        for (row, dosages) in &gene.rows {
            let (weight, mean) = (self.weights[*row], self.variants.rows[*row].baseline_dosage());
            base += weight * mean;
            contributions.push((*row, dosages.iter().map(|dosage| weight * (f64::from(*dosage) - mean)).collect()));
        }
        contributions.sort_unstable_by_key(|(row, _)| *row);
        Explained { values: self.gathered_sum(gene), base, contributions, method: ExplanationMethod::Exact }
    }
}

impl GenotypeModel for Linear {
    fn genes(&self) -> &[ModelGene] {
        &self.genes
    }

    fn variants(&self) -> &VariantTable {
        &self.variants
    }

    fn weight(&self, row: usize) -> Option<f64> {
        self.weights.get(row).copied()
    }

    fn importance(&self, row: usize) -> f64 {
        let sd = self.variants.rows.get(row).and_then(crate::genotype::variants::ModelVariant::dosage_sd);
        self.weights.get(row).map_or(0.0, |weight| weight.abs() * sd.unwrap_or(1.0))
    }

    fn start(&self, _gene: usize, people: usize) -> Box<dyn GenePrediction + '_> {
        Box::new(self.sum(people))
    }

    fn finish_batch(&self, genes: &[Gathered]) -> Result<Vec<Vec<f64>>, ModelError> {
        Ok(genes.iter().map(|gene| self.gathered_sum(gene)).collect())
    }

    fn explain(&self, genes: &[Gathered]) -> Result<Vec<Explained>, ModelError> {
        Ok(genes.iter().map(|gene| self.explain_one(gene)).collect())
    }
}

struct Sum<'a> {
    weights: &'a [f64],
    values: Vec<f64>,
}

impl GenePrediction for Sum<'_> {
    fn add(&mut self, row: usize, dosages: &[f32]) {
        let weight = self.weights[row];
        self.values.iter_mut().zip(dosages).for_each(|(sum, dosage)| *sum += weight * f64::from(*dosage));
    }

    fn finish(self: Box<Self>) -> Result<Vec<f64>, ModelError> {
        Ok(self.values)
    }
}
