//! The golden sample of a model's folder: a few simulated genes and what the model said of them when it was trained.
//!
//! The registry asks the loaded model again before it serves, so that a damaged file, another processor or a changed
//! dependency that shifts the numbers is found at start and not by a user.

use serde::{Deserialize, Serialize};

use super::{ModelError, ProfileModel, Target};
use crate::genome::{
    Assembly, Biotype, Chromosome, Gene, GeneId, GeneSymbol, GenomeError, Locus, Position, Promoter, Strand, Tissue,
};
use crate::reference::{Dataset, GeneRecord, Reference, Unit};

/// The file's name in a model's folder.
pub const FILE: &str = "golden.json";

/// How far a number may be from the one on file, in the model's scale: batches and processors round differently.
const TOLERANCE: f32 = 2e-3;

/// A small reference, and a model's predictions of each of its genes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    unit: Unit,
    tissues: Vec<String>,
    genes: Vec<GoldenGene>,
    predictions: Vec<Vec<f32>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GoldenGene {
    id: String,
    biotype: Option<Biotype>,
    chromosome: Chromosome,
    start: Position,
    end: Position,
    strand: Strand,
    tss: Position,
    expression: Vec<Option<f32>>,
    promoter: Option<String>,
}

impl Golden {
    /// Asks `model` about every placed gene of `reference` and keeps the answers.
    ///
    /// # Errors
    /// The model cannot answer.
    pub fn record(model: &dyn ProfileModel, reference: &Reference) -> Result<Self, ModelError> {
        let mut genes = Vec::new();
        let mut targets = Vec::new();
        for index in 0..reference.genes().len() {
            let Some(target) = Target::of_gene(reference, index) else { continue };
            genes.push(GoldenGene::of(reference, index, &target));
            targets.push(if model.reads_measured() { partly_known(reference, index, target) } else { target });
        }
        let predictions = model.predict(reference, &targets)?.into_iter().map(|prediction| prediction.values).collect();
        let tissues = reference.tissues().iter().map(|tissue| tissue.id().to_owned()).collect();
        Ok(Self { unit: reference.dataset().unit, tissues, genes, predictions })
    }

    /// Asks `model` again and compares.
    ///
    /// # Errors
    /// The sample is not readable, the model cannot answer, or a number differs by more than the tolerance.
    pub fn check(&self, model: &dyn ProfileModel) -> Result<(), ModelError> {
        let fault = |reason: String| ModelError::File { file: FILE.to_owned(), reason };
        let records: Vec<GeneRecord> =
            self.genes.iter().map(GoldenGene::record).collect::<Result<_, _>>().map_err(|e| fault(e.to_string()))?;
        let dataset = Dataset {
            name: "golden".to_owned(),
            version: "golden".to_owned(),
            assembly: Assembly::parse("golden").map_err(|e| fault(e.to_string()))?,
            unit: self.unit,
        };
        let width = self.tissues.len();
        if records.iter().any(|record| record.expression.as_ref().is_some_and(|row| row.len() != width)) {
            return Err(fault("a gene has another number of values than there are tissues".to_owned()));
        }
        let tissues = self.tissues.iter().map(|tissue| Tissue::from_name(tissue)).collect();
        let reference = Reference::new(dataset, tissues, records);
        let again = Self::record(model, &reference)?;
        if again.predictions.len() != self.predictions.len() {
            return Err(fault(format!("{} predictions for {} genes", self.predictions.len(), self.genes.len())));
        }
        for ((gene, now), then) in self.genes.iter().zip(&again.predictions).zip(&self.predictions) {
            let apart = now.iter().zip(then).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f32::max);
            if now.len() != then.len() || apart.is_nan() || apart > TOLERANCE {
                return Err(fault(format!("gene {} is now predicted {apart} apart from the recorded values", gene.id)));
            }
        }
        Ok(())
    }
}

/// Lets every second gene be known in a third of its tissues, another third for each.
fn partly_known(reference: &Reference, index: usize, target: Target) -> Target {
    let known = |at: usize| index % 2 == 1 && (at + index / 2).is_multiple_of(3);
    let values = reference.expression(index).iter().enumerate();
    let kept: Vec<f32> = values.map(|(at, value)| if known(at) { *value } else { f32::NAN }).collect();
    target.with_measured(&kept)
}

impl GoldenGene {
    fn of(reference: &Reference, index: usize, target: &Target) -> Self {
        let gene = reference.gene(index);
        Self {
            id: gene.id.as_str().to_owned(),
            biotype: gene.biotype.clone(),
            chromosome: target.locus.chromosome.clone(),
            start: target.locus.start,
            end: target.locus.end,
            strand: target.locus.strand,
            tss: target.locus.tss,
            expression: reference.expression(index).iter().map(|x| x.is_finite().then_some(*x)).collect(),
            promoter: target.promoter.as_ref().map(|p| String::from_utf8_lossy(p.bases()).into_owned()),
        }
    }

    fn record(&self) -> Result<GeneRecord, GenomeError> {
        let (id, version) = GeneId::parse(&self.id)?;
        let locus = Locus {
            chromosome: self.chromosome.clone(),
            start: self.start,
            end: self.end,
            strand: self.strand,
            tss: self.tss,
        };
        let symbol = GeneSymbol::new(&self.id);
        let gene = Gene { id, version, symbol, biotype: self.biotype.clone(), locus: Some(locus) };
        let expression = Some(self.expression.iter().map(|x| x.unwrap_or(f32::NAN)).collect());
        let promoter = self.promoter.as_ref().map(|p| Promoter::parse(p.as_bytes())).transpose()?;
        Ok(GeneRecord { gene, expression, promoter })
    }
}
