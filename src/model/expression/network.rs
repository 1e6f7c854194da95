//! The genotype models that this program trains: an additive part for every gene, an encoder for some.
//!
//! The additive part has the weights of a [`Linear`] model: those of an elastic net, or a network's mean over members of
//! scale × weight. Dosages are read as deviations from the mean of the training set, so that predictions have the training
//! set's own zero, and a row that is not there is taken at its mean. Imports what `expression` may.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};
use rayon::prelude::*;

use super::linear::Linear;
use super::{Explained, ExplanationMethod, Gathered, Gathering, GenePrediction, GenotypeModel, ModelGene};
use crate::genotype::variants::VariantTable;
use crate::model::scaled_cnn::{Batch, Layout};
use crate::model::{ModelError, device};

/// Genes of one forward pass.
const TOGETHER: usize = 64;
/// Points on the way from the baseline to a person that gradients are taken at.
const STEPS: usize = 64;

/// The name of elastic nets on cards.
pub const ELASTIC_NET: &str = "elastic-net";
/// The name on cards of elastic nets whose penalties follow from annotations.
pub const ANNOTATED_ELASTIC_NET: &str = "annotated-elastic-net";
/// The network's name on cards.
pub const SCALED_CNN: &str = "scaled-cnn";
/// The name on cards of the same with scales from annotations.
pub const ANNOTATED_CNN: &str = "annotated-cnn";
/// The name on cards of models that choose a method for each gene.
pub const SELECTED: &str = "selected";

/// The encoder of one gene.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoder {
    /// The members' parameters, `[members, numbers]`; their linear weights are 0, since the additive part has them.
    pub parameters: Vec<f32>,
    /// How many members there are.
    pub members: usize,
    /// The standard deviation of each row's dosage in the training set.
    pub deviations: Vec<f32>,
    /// What the members' answers are multiplied by: half precision holds neither large nor tiny units.
    pub unit: f32,
}

/// A model of networks.
#[derive(Debug, Clone, PartialEq)]
pub struct GenotypeNetwork {
    additive: Linear,
    /// One a gene.
    encoders: Vec<Option<Encoder>>,
}

impl GenotypeNetwork {
    /// Takes the additive part and one entry a gene.
    ///
    /// # Errors
    /// An encoder does not fit its gene's rows, a number is not finite, or a row has no frequency.
    pub fn new(additive: Linear, encoders: Vec<Option<Encoder>>) -> Result<Self, ModelError> {
        let fault = |reason: String| ModelError::Tensor { name: "encoder".to_owned(), reason };
        if encoders.len() != additive.genes().len() {
            return Err(fault(format!("is there for {} genes, not {}", encoders.len(), additive.genes().len())));
        }
        for (gene, encoder) in additive.genes().iter().zip(&encoders) {
            let Some(encoder) = encoder else { continue };
            let layout = Layout::of_variants(gene.rows.len());
            let fits = encoder.members > 0
                && encoder.parameters.len() == encoder.members * layout.parameters()
                && encoder.deviations.len() == gene.rows.len();
            if !fits {
                return Err(fault(format!("of gene {} does not fit its {} variants", gene.name, gene.rows.len())));
            }
            let is_number = encoder.parameters.iter().all(|value| value.is_finite())
                && encoder.deviations.iter().all(|value| value.is_finite() && *value > 0.0)
                && encoder.unit.is_finite();
            if !is_number {
                return Err(fault(format!(
                    "of gene {} has a number that is not finite, or a deviation of 0",
                    gene.name
                )));
            }
        }
        if let Some(row) = additive.variants().rows.iter().position(|row| row.frequency.is_none()) {
            let name = "frequency".to_owned();
            return Err(ModelError::Tensor { name, reason: format!("is missing in row {row}") });
        }
        Ok(Self { additive, encoders })
    }

    /// Returns the additive part.
    #[must_use]
    pub fn additive(&self) -> &Linear {
        &self.additive
    }

    /// Returns the encoders, one entry a gene.
    #[must_use]
    pub fn encoders(&self) -> &[Option<Encoder>] {
        &self.encoders
    }

    fn gene_of(&self, row: usize) -> usize {
        self.additive.genes().partition_point(|gene| gene.rows.end <= row)
    }

    /// The mean dosage of a row in the training set.
    fn mean(&self, row: usize) -> f32 {
        2.0 * self.additive.variants().rows[row].frequency.unwrap_or(0.0)
    }

    /// The additive part of a gene, from the mean.
    fn additive_sum(&self, gathered: &Gathered) -> Vec<f64> {
        let mut values = vec![0.0; gathered.people];
        for (row, dosages) in &gathered.rows {
            let weight = self.additive.weight(*row).unwrap_or(0.0);
            let mean = f64::from(self.mean(*row));
            values.iter_mut().zip(&**dosages).for_each(|(sum, d)| *sum += weight * (f64::from(*d) - mean));
        }
        values
    }

    /// Puts genes of one layout and number of members together; a dosage that is not known makes the answer NaN.
    fn batch(&self, layout: Layout, genes: &[&Gathered]) -> Batch {
        let mut batch = Batch::new(layout, genes.first().map_or(0, |gene| gene.people));
        for gathered in genes {
            let at = batch.push();
            let (Some(encoder), Some(gene)) = (&self.encoders[gathered.gene], self.additive.genes().get(gathered.gene))
            else {
                continue;
            };
            for (row, dosages) in &gathered.rows {
                let place = row - gene.rows.start;
                let (mean, deviation) = (self.mean(*row), encoder.deviations[place]);
                let into = batch.row_mut(at, place);
                into.iter_mut().zip(&**dosages).for_each(|(x, dosage)| *x = (dosage - mean) / deviation);
            }
        }
        batch
    }

    /// Genes with an encoder, by layout and members, as places in the list.
    fn groups(&self, genes: &[Gathered]) -> Vec<(Layout, usize, Vec<usize>)> {
        let mut groups: BTreeMap<(usize, usize, usize), Vec<usize>> = BTreeMap::new();
        for (at, gathered) in genes.iter().enumerate() {
            if let Some(encoder) = &self.encoders[gathered.gene] {
                let layout = Layout::of_variants(self.additive.genes()[gathered.gene].rows.len());
                groups.entry((layout.patches, encoder.members, gathered.people)).or_default().push(at);
            }
        }
        groups.into_iter().map(|((patches, members, _), genes)| (Layout { patches }, members, genes)).collect()
    }

    fn encoded(&self, genes: &[Gathered]) -> Result<Vec<Vec<f64>>, ModelError> {
        let mut encoded = vec![Vec::new(); genes.len()];
        for (layout, members, places) in self.groups(genes) {
            let own: Vec<&Gathered> = places.iter().map(|at| &genes[*at]).collect();
            let batch = self.batch(layout, &own);
            let parameters: Vec<f32> = own.iter().flat_map(|gene| self.parameters(gene.gene)).copied().collect();
            let out = batch.predict(&parameters, members, &device::preferred())?;
            let people = batch.people();
            for (at, of_gene) in places.iter().zip(out.chunks_exact((members * people).max(1))) {
                encoded[*at] = mean_of_members(of_gene, people, self.unit(genes[*at].gene));
                let unknown = genes[*at].rows.iter().flat_map(|(_, dosages)| dosages.iter().enumerate());
                unknown.filter(|(_, dosage)| dosage.is_nan()).for_each(|(person, _)| encoded[*at][person] = f64::NAN);
            }
        }
        Ok(encoded)
    }

    fn unit(&self, gene: usize) -> f64 {
        self.encoders[gene].as_ref().map_or(1.0, |encoder| f64::from(encoder.unit))
    }

    fn parameters(&self, gene: usize) -> &[f32] {
        self.encoders[gene].as_ref().map_or(&[], |encoder| &encoder.parameters)
    }

    fn values(&self, genes: &[Gathered]) -> Result<Vec<Vec<f64>>, ModelError> {
        let encoded = self.encoded(genes)?;
        let sum = |(gathered, encoded): (&Gathered, Vec<f64>)| {
            let mut values = self.additive_sum(gathered);
            values.iter_mut().zip(encoded).for_each(|(value, encoded)| *value += encoded);
            values
        };
        Ok(genes.iter().zip(encoded).map(sum).collect())
    }

    fn explain_one(&self, gathered: &Gathered, values: Vec<f64>) -> Result<Explained, ModelError> {
        let Some(encoder) = &self.encoders[gathered.gene] else {
            let mut contributions: Vec<(usize, Vec<f64>)> = gathered
                .rows
                .iter()
                .map(|(row, dosages)| {
                    let (weight, mean) = (self.additive.weight(*row).unwrap_or(0.0), f64::from(self.mean(*row)));
                    (*row, dosages.iter().map(|dosage| weight * (f64::from(*dosage) - mean)).collect())
                })
                .collect();
            contributions.sort_unstable_by_key(|(row, _)| *row);
            return Ok(Explained { values, base: 0.0, contributions, method: ExplanationMethod::Exact });
        };
        let gene = &self.additive.genes()[gathered.gene];
        let layout = Layout::of_variants(gene.rows.len());
        let (people, members) = (gathered.people, encoder.members);
        let batch = self.batch(layout, &[gathered]);
        let mut at_mean = Batch::new(layout, 1);
        at_mean.push();
        let at_mean = at_mean.predict(&encoder.parameters, members, &Device::Cpu)?;
        let base = mean_of_members(&at_mean, 1, f64::from(encoder.unit))[0];
        // The mean gradient on the straight way from the training set's mean, where all inputs are 0.
        let inputs = batch.tensor(&Device::Cpu)?;
        let shape = (1, members, layout.parameters());
        let parameters = Tensor::from_slice(&encoder.parameters, shape, &Device::Cpu)?;
        let mut gradient = vec![0.0f64; layout.places() * people];
        for step in 0..STEPS {
            let share = (step as f64 + 0.5) / STEPS as f64;
            let point = Var::from_tensor(&(&inputs * share)?)?;
            let out = batch.forward(&parameters, &point)?.sum_all()?;
            let gradients = out.backward()?;
            if let Some(found) = gradients.get(&point) {
                let found: Vec<f32> = found.flatten_all()?.to_vec1()?;
                let scale = f64::from(encoder.unit) / (STEPS * members) as f64;
                gradient.iter_mut().zip(found).for_each(|(sum, value)| *sum += f64::from(value) * scale);
            }
        }
        let inputs: Vec<f32> = inputs.flatten_all()?.to_vec1()?;
        let mut contributions: Vec<(usize, Vec<f64>)> = gathered
            .rows
            .iter()
            .map(|(row, dosages)| {
                let place = row - gene.rows.start;
                let (weight, mean) = (self.additive.weight(*row).unwrap_or(0.0), f64::from(self.mean(*row)));
                let one = |(person, dosage): (usize, &f32)| {
                    let at = place * people + person;
                    weight * (f64::from(*dosage) - mean) + gradient[at] * f64::from(inputs[at])
                };
                (*row, dosages.iter().enumerate().map(one).collect())
            })
            .collect();
        contributions.sort_unstable_by_key(|(row, _)| *row);
        settle(&mut contributions, &values, base);
        Ok(Explained { values, base, contributions, method: ExplanationMethod::IntegratedGradients })
    }
}

/// Spreads what the finite number of points has left over, in proportion to the size of the contributions, so that they
/// add up.
fn settle(contributions: &mut [(usize, Vec<f64>)], values: &[f64], base: f64) {
    for (person, value) in values.iter().enumerate() {
        let sum: f64 = contributions.iter().map(|(_, own)| own[person]).sum();
        let size: f64 = contributions.iter().map(|(_, own)| own[person].abs()).sum();
        let left = value - base - sum;
        if left.is_finite() && size > 0.0 {
            for (_, own) in contributions.iter_mut() {
                own[person] += left * own[person].abs() / size;
            }
        }
    }
}

fn mean_of_members(of_members: &[f32], people: usize, unit: f64) -> Vec<f64> {
    let members = of_members.len().checked_div(people).unwrap_or(0).max(1);
    let mut mean = vec![0.0; people];
    for own in of_members.chunks_exact(people.max(1)) {
        mean.iter_mut().zip(own).for_each(|(sum, value)| *sum += f64::from(*value) * unit / members as f64);
    }
    mean
}

impl GenotypeModel for GenotypeNetwork {
    fn genes(&self) -> &[ModelGene] {
        self.additive.genes()
    }

    fn variants(&self) -> &VariantTable {
        self.additive.variants()
    }

    fn weight(&self, row: usize) -> Option<f64> {
        // With an encoder behind, no one number says what a copy adds.
        self.encoders[self.gene_of(row)].is_none().then(|| self.additive.weight(row)).flatten()
    }

    fn importance(&self, row: usize) -> f64 {
        let gene = self.gene_of(row);
        let Some(encoder) = &self.encoders[gene] else { return self.additive.importance(row) };
        let place = row - self.additive.genes()[gene].rows.start;
        let layout = Layout::of_variants(self.additive.genes()[gene].rows.len());
        // What a standard deviation adds by the linear skip, and the most that it can add through the encoder.
        let additive = self.additive.weight(row).unwrap_or(0.0).abs() * f64::from(encoder.deviations[place]);
        let own = encoder.parameters.chunks_exact(layout.parameters());
        let encoded: f64 = own.map(|own| f64::from(layout.reach(own, place))).sum::<f64>() / encoder.members as f64;
        additive + encoded * f64::from(encoder.unit).abs()
    }

    fn scale(&self, row: usize) -> Option<f64> {
        let gene = self.gene_of(row);
        // A network that has come down to a sum has its scales in its weights.
        let Some(encoder) = &self.encoders[gene] else { return Some(self.additive.importance(row)) };
        let place = row - self.additive.genes()[gene].rows.start;
        let layout = Layout::of_variants(self.additive.genes()[gene].rows.len());
        let own = encoder.parameters.chunks_exact(layout.parameters());
        Some(own.map(|own| f64::from(own[place]).abs()).sum::<f64>() / encoder.members as f64)
    }

    fn neutral_dosage(&self, row: usize) -> f32 {
        self.mean(row)
    }

    fn start(&self, gene: usize, people: usize) -> Box<dyn GenePrediction + '_> {
        Box::new(Gathering::new(self, gene, people))
    }

    fn batch(&self) -> usize {
        TOGETHER
    }

    fn finish_batch(&self, genes: &[Gathered]) -> Result<Vec<Vec<f64>>, ModelError> {
        self.values(genes)
    }

    fn explain(&self, genes: &[Gathered]) -> Result<Vec<Explained>, ModelError> {
        let values = self.values(genes)?;
        genes.par_iter().zip(values).map(|(gathered, values)| self.explain_one(gathered, values)).collect()
    }
}

#[cfg(test)]
mod tests;
