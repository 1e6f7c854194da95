//! The network that all genes share: from a variant's annotations to how large its scale tends to be.
//!
//! A gate is softplus of two dense layers, and 1 for every variant while nothing has been learned. It first learns where
//! elastic nets put their weight, as a conditional logit over each gene's variants ([`super::annotation_prior`] is its
//! linear form), then together with the genes' own networks, from the gradient that reaches their gates.

use std::collections::BTreeMap;
use std::ops::Range;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::optim::{AdamW, Optimizer as _, ParamsAdamW};

use super::init::seeded;
use crate::model::ModelError;
use crate::model::layers::{Builder, Linear, Variables, softplus};

/// Units of the hidden layer.
const HIDDEN: usize = 16;
/// The smallest that a gate gets before it is scaled: its logarithm stays finite.
const FLOOR: f64 = 0.02;
/// What gates are divided by so that they start at 1: softplus(0) and the floor.
const AT_ZERO: f64 = std::f64::consts::LN_2 + FLOOR;
/// How far a gate may be from 1, as a factor.
const WIDEST: f32 = 20.0;

/// The shared network.
pub struct AnnotationNetwork {
    variables: Variables,
    hidden: Linear,
    out: Linear,
    optimiser: AdamW,
}

/// Variants of several genes with their annotations, gene after gene.
#[derive(Debug, Clone, Default)]
pub struct AnnotatedVariants {
    /// `[variants, annotations]`.
    pub annotations: Vec<f32>,
    /// The genes' variants.
    pub genes: Vec<Range<usize>>,
}

impl AnnotatedVariants {
    /// Adds a gene.
    pub fn push(&mut self, annotations: &[f32], width: usize) {
        let start = self.annotations.len() / width.max(1);
        self.annotations.extend_from_slice(annotations);
        self.genes.push(start..start + annotations.len() / width.max(1));
    }
}

impl AnnotationNetwork {
    /// Builds a network of so many annotations whose gates are 1.
    ///
    /// # Errors
    /// The numeric library failed.
    pub fn new(annotations: usize, seed: u64) -> Result<Self, ModelError> {
        let mut source = seeded(seed);
        let mut builder = Builder::new(DType::F32, &Device::Cpu, &mut source);
        let hidden = Linear::build(&mut builder, "annotation.hidden", annotations, HIDDEN)?;
        let out = Linear::build(&mut builder, "annotation.out", HIDDEN, 1)?;
        let variables = builder.finish()?;
        if let Some((_, last)) = variables.learned().find(|(name, _)| *name == "annotation.out.weight") {
            last.set(&last.zeros_like()?)?;
        }
        let learned: Vec<Var> = variables.learned().map(|(_, var)| var.clone()).collect();
        let settings = ParamsAdamW { lr: 0.01, weight_decay: 1e-3, ..ParamsAdamW::default() };
        Ok(Self { variables, hidden, out, optimiser: AdamW::new(learned, settings)? })
    }

    /// Computes the gates of one gene's variants, `[variants, annotations]`, 1 on average.
    ///
    /// # Errors
    /// The numeric library failed.
    pub fn gates(&self, annotations: &[f32], width: usize) -> Result<Vec<f32>, ModelError> {
        let mut gates: Vec<f32> = self.raw(annotations, width)?.to_vec1()?;
        normalise(&mut gates);
        Ok(gates)
    }

    /// Returns its numbers by name.
    ///
    /// # Errors
    /// The numeric library failed.
    pub fn numbers(&self) -> Result<BTreeMap<String, Vec<f32>>, ModelError> {
        let flat = |var: &Var| var.as_tensor().flatten_all()?.to_vec1();
        self.variables.learned().map(|(name, var)| Ok((name.to_owned(), flat(var)?))).collect()
    }

    /// Builds the network of so many annotations from its numbers.
    ///
    /// # Errors
    /// A number is missing.
    pub fn of_numbers(annotations: usize, numbers: &BTreeMap<String, Vec<f32>>) -> Result<Self, ModelError> {
        let network = Self::new(annotations, 0)?;
        for (name, var) in network.variables.learned() {
            let fault = || ModelError::Tensor { name: name.to_owned(), reason: "is missing or too short".to_owned() };
            let values = numbers.get(name).filter(|values| values.len() == var.elem_count()).ok_or_else(fault)?;
            var.set(&Tensor::from_slice(values, var.dims(), &Device::Cpu)?)?;
        }
        Ok(network)
    }

    fn raw(&self, annotations: &[f32], width: usize) -> Result<Tensor, ModelError> {
        let input = Tensor::from_slice(annotations, (annotations.len() / width.max(1), width), &Device::Cpu)?;
        let hidden = self.hidden.forward_relu(&input)?;
        Ok(((softplus(&self.out.forward(&hidden)?.squeeze(1)?)? + FLOOR)? * (1.0 / AT_ZERO))?)
    }

    /// Takes one step towards gates that lie where the shares lie: `shares` sum to 1 over a gene's variants, or are all
    /// 0 where the gene says nothing. Returns the loss before it, a gene.
    ///
    /// # Errors
    /// The numeric library failed.
    pub fn fit_shares(
        &mut self,
        variants: &AnnotatedVariants,
        shares: &[f32],
        width: usize,
    ) -> Result<f64, ModelError> {
        let logits = self.raw(&variants.annotations, width)?.log()?;
        let values: Vec<f32> = logits.to_vec1()?;
        let mut gradient = vec![0.0; values.len()];
        let (mut loss, mut counted) = (0.0, 0usize);
        for genes in variants.genes.iter().filter(|genes| shares[(*genes).clone()].iter().any(|share| *share > 0.0)) {
            let own = &values[genes.clone()];
            let largest = own.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let total = own.iter().map(|logit| (logit - largest).exp()).sum::<f32>();
            for (at, logit) in genes.clone().zip(own) {
                let log_share = logit - largest - total.ln();
                loss -= f64::from(shares[at] * log_share);
                gradient[at] = log_share.exp() - shares[at];
            }
            counted += 1;
        }
        let counted = counted.max(1) as f32;
        for value in &mut gradient {
            *value /= counted;
        }
        self.follow(&logits, gradient)?;
        Ok(loss / f64::from(counted))
    }

    /// Takes one step down the gradient by the gates of [`Self::gates`], gene after gene.
    ///
    /// # Errors
    /// The numeric library failed.
    pub fn descend(
        &mut self,
        variants: &AnnotatedVariants,
        mut gradient: Vec<f32>,
        width: usize,
    ) -> Result<(), ModelError> {
        let raw = self.raw(&variants.annotations, width)?;
        let values: Vec<f32> = raw.to_vec1()?;
        for genes in &variants.genes {
            let own = &values[genes.clone()];
            let mean = own.iter().sum::<f32>() / own.len().max(1) as f32;
            let gradient = &mut gradient[genes.clone()];
            // The gates have mean 1: what would only raise all of a gene's is taken out.
            let along = gradient.iter().zip(own).map(|(g, v)| g * v).sum::<f32>() / (mean * own.len().max(1) as f32);
            for value in gradient {
                *value = (*value - along) / mean;
            }
        }
        self.follow(&raw, gradient)
    }

    fn follow(&mut self, output: &Tensor, gradient: Vec<f32>) -> Result<(), ModelError> {
        let gradient = Tensor::from_vec(gradient, output.dims(), output.device())?;
        let gradients = (output * gradient)?.sum_all()?.backward()?;
        Ok(self.optimiser.step(&gradients)?)
    }
}

/// Brings gates to a mean of 1 and within bounds.
fn normalise(gates: &mut [f32]) {
    let mean = gates.iter().sum::<f32>() / gates.len().max(1) as f32;
    for gate in gates {
        *gate = (*gate / mean.max(1e-6)).clamp(1.0 / WIDEST, WIDEST);
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::training::init::generator;

    const WIDTH: usize = 3;

    /// Genes whose weight lies where the first annotation is high.
    fn example(noise_only: bool) -> (AnnotatedVariants, Vec<f32>) {
        let mut rng = generator(1, "example");
        let (mut variants, mut shares) = (AnnotatedVariants::default(), Vec::new());
        for _ in 0..80 {
            let annotations: Vec<f32> = (0..20 * WIDTH).map(|_| rng.random_range(-1.0..1.0)).collect();
            let best = if noise_only {
                rng.random_range(0..20)
            } else {
                let first = |row: usize| annotations[row * WIDTH];
                (0..20).max_by(|a, b| first(*a).total_cmp(&first(*b))).unwrap()
            };
            shares.extend((0..20).map(|row| if row == best { 1.0 } else { 0.0 }));
            variants.push(&annotations, WIDTH);
        }
        (variants, shares)
    }

    fn contrast(network: &AnnotationNetwork) -> f32 {
        let gates = network.gates(&[0.9, 0.0, 0.0, -0.9, 0.0, 0.0], WIDTH).unwrap();
        gates[0] / gates[1]
    }

    #[test]
    fn gates_start_at_one_and_learn_where_the_weight_lies() {
        let mut network = AnnotationNetwork::new(WIDTH, 7).unwrap();
        assert!((contrast(&network) - 1.0).abs() < 1e-6);
        let (variants, shares) = example(false);
        let first = network.fit_shares(&variants, &shares, WIDTH).unwrap();
        assert!((first - 20f64.ln()).abs() < 1e-4, "even shares: {first}");
        let last = (0..150).map(|_| network.fit_shares(&variants, &shares, WIDTH).unwrap()).last().unwrap();
        assert!(last < first - 0.5 && contrast(&network) > 4.0, "{first} {last} {}", contrast(&network));
    }

    #[test]
    fn it_finds_little_where_there_is_nothing() {
        let mut network = AnnotationNetwork::new(WIDTH, 7).unwrap();
        let (variants, shares) = example(true);
        for _ in 0..60 {
            network.fit_shares(&variants, &shares, WIDTH).unwrap();
        }
        assert!((0.4..2.5).contains(&contrast(&network)), "{}", contrast(&network));
    }

    #[test]
    fn it_follows_the_gradient_of_the_gates() {
        let mut network = AnnotationNetwork::new(WIDTH, 7).unwrap();
        let (variants, shares) = example(false);
        for _ in 0..100 {
            // The loss falls where gates of the wanted variants grow.
            let gradient = shares.iter().map(|share| 0.05 - share).collect();
            network.descend(&variants, gradient, WIDTH).unwrap();
        }
        assert!(contrast(&network) > 1.5, "{}", contrast(&network));
    }
}
