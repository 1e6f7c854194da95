//! `AdamW` with a bound on the norm of every variable's gradient.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Result, Tensor};

use crate::model::layers::Variables;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
/// Keras's, which is ten times PyTorch's and candle's.
const EPSILON: f64 = 1e-7;

/// How the optimiser moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct AdamSettings {
    /// The size of a step.
    pub(super) learning_rate: f64,
    /// Decoupled weight decay, a step of size 1.
    pub(super) weight_decay: f64,
    /// Greatest norm of one variable's gradient.
    pub(super) clip_norm: f64,
}

/// The optimiser's moments by variable.
pub(super) struct Adam {
    settings: AdamSettings,
    steps: i32,
    /// First and second moments.
    moments: BTreeMap<String, (Vec<f32>, Vec<f32>)>,
}

impl Adam {
    /// Starts with moments of zero.
    pub(super) fn new(variables: &Variables, settings: AdamSettings) -> Self {
        let zeros = |count: usize| (vec![0.0; count], vec![0.0; count]);
        Self {
            settings,
            steps: 0,
            moments: variables.learned().map(|(name, var)| (name.to_owned(), zeros(var.elem_count()))).collect(),
        }
    }

    /// Moves every variable that has a gradient by `pace` times the step size of the settings; the gradient is the mean
    /// of the parts, which must not be none.
    pub(super) fn step(&mut self, variables: &Variables, parts: &[GradStore], pace: f64) -> Result<()> {
        let AdamSettings { learning_rate, weight_decay, clip_norm } = self.settings;
        let learning_rate = learning_rate * pace;
        self.steps += 1;
        let (first, second) = (1.0 - BETA1.powi(self.steps), 1.0 - BETA2.powi(self.steps));
        let rate = (learning_rate / first) as f32;
        let correction = (1.0 / second.sqrt()) as f32;
        let kept = (1.0 - learning_rate * weight_decay) as f32;
        let (beta1, beta2, epsilon) = (BETA1 as f32, BETA2 as f32, EPSILON as f32);
        for (name, var) in variables.learned() {
            let Some((mean, square)) = self.moments.get_mut(name) else { continue };
            let mut gradient = vec![0.0_f32; mean.len()];
            for part in parts.iter().filter_map(|part| part.get(var)) {
                let part: Vec<f32> = part.flatten_all()?.to_vec1()?;
                gradient.iter_mut().zip(part).for_each(|(sum, part)| *sum += part / parts.len() as f32);
            }
            if parts.iter().all(|part| part.get(var).is_none()) {
                continue;
            }
            let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            let scale = (clip_norm / norm.max(clip_norm)) as f32;
            let mut values: Vec<f32> = var.as_tensor().flatten_all()?.to_vec1()?;
            let moments = mean.iter_mut().zip(square.iter_mut());
            for ((value, gradient), (mean, square)) in values.iter_mut().zip(&gradient).zip(moments) {
                let gradient = gradient * scale;
                *mean = beta1 * *mean + (1.0 - beta1) * gradient;
                *square = beta2 * *square + (1.0 - beta2) * gradient * gradient;
                *value = *value * kept - rate * *mean / (square.sqrt() * correction + epsilon);
            }
            var.set(&Tensor::from_vec(values, var.dims(), var.device())?)?;
        }
        Ok(())
    }
}

/// Returns a learned variable that no gradient reaches, if there is one: it would never learn. Those that the data have
/// nothing for are `spared`.
pub(super) fn unreached(
    variables: &Variables,
    parts: &[GradStore],
    spared: impl Fn(&str) -> bool,
) -> Result<Option<String>> {
    for (name, var) in variables.learned().filter(|(name, _)| !spared(name)) {
        let mut reached = false;
        for gradient in parts.iter().filter_map(|part| part.get(var)) {
            reached |= gradient.abs()?.sum_all()?.to_dtype(DType::F32)?.to_scalar::<f32>()? > 0.0;
        }
        if !reached {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::model::layers::Variables;

    #[test]
    fn the_first_steps_are_those_computed_by_hand() {
        let start = Tensor::new(&[1f32, -1.0], &Device::Cpu).unwrap();
        let bytes = safetensors::serialize([("x", &start)], None).unwrap();
        let variables = Variables::from_bytes(&bytes, DType::F32, &Device::Cpu).unwrap();
        let settings = AdamSettings { learning_rate: 0.1, weight_decay: 0.5, clip_norm: 2.0 };
        let mut adam = Adam::new(&variables, settings);
        let (_, var) = variables.learned().next().unwrap();
        // The gradient is (3, 4) with norm 5, clipped to (1.2, 1.6); the first step's size is the learning rate.
        let weights = Tensor::new(&[3f32, 4.0], &Device::Cpu).unwrap();
        let mut step = || {
            let loss = (var.as_tensor() * &weights).unwrap().sum_all().unwrap();
            adam.step(&variables, &[loss.backward().unwrap()], 1.0).unwrap();
            var.as_tensor().to_vec1::<f32>().unwrap()
        };
        for (value, expected) in step().iter().zip([0.95 - 0.1, -0.95 - 0.1]) {
            assert!((value - expected).abs() < 1e-5, "{value} is not {expected}");
        }
        for (value, expected) in step().iter().zip([0.85 * 0.95 - 0.1, -1.05 * 0.95 - 0.1]) {
            assert!((value - expected).abs() < 1e-5, "{value} is not {expected}");
        }
    }
}
