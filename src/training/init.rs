//! Seeded starting values: every variable has a generator of its own, keyed by the seed and the variable's name.
//!
//! So the values depend neither on the order in which layers are built nor on other layers.

use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::model::ModelError;
use crate::model::layers::Initial;

/// Returns the generator of a named purpose under a seed.
#[must_use]
pub fn generator(seed: u64, name: &str) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(name.as_bytes());
    ChaCha8Rng::from_seed(hash.finalize().into())
}

/// Returns a source of starting values: the same seed gives the same values.
pub fn seeded(seed: u64) -> impl FnMut(&str, &[usize], Initial) -> Result<Tensor, ModelError> {
    move |name, shape, initial| {
        let count = shape.iter().product();
        let values: Vec<f32> = match initial {
            Initial::Zeros => vec![0.0; count],
            Initial::Ones => vec![1.0; count],
            Initial::GlorotUniform { fan_in, fan_out } => {
                let limit = (6.0 / (fan_in + fan_out) as f64).sqrt() as f32;
                let mut generator = generator(seed, name);
                (0..count).map(|_| generator.random_range(-limit..=limit)).collect()
            }
        };
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(seed: u64, name: &str) -> Vec<f32> {
        let initial = Initial::GlorotUniform { fan_in: 20, fan_out: 4 };
        seeded(seed)(name, &[20, 4], initial).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn values_follow_from_seed_and_name() {
        let values = draw(7, "a.weight");
        assert_eq!(values, draw(7, "a.weight"));
        assert_ne!(values, draw(8, "a.weight"));
        assert_ne!(values, draw(7, "b.weight"));
    }

    #[test]
    fn glorot_values_fill_their_range() {
        let values = draw(1, "x");
        assert!(values.iter().all(|value| value.abs() <= 0.5));
        assert!(values.iter().any(|value| *value > 0.4) && values.iter().any(|value| *value < -0.4));
    }
}
