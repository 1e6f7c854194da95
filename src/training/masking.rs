//! Hiding part of a measured profile, to learn and to test how the rest is filled in. Imports nothing of the crate.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

/// Returns the values with a random `count` of the known ones left and NaN everywhere else; all of them where there are
/// no more.
#[must_use]
pub fn keep_some(values: &[f32], count: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let mut known: Vec<usize> = (0..values.len()).filter(|at| values[*at].is_finite()).collect();
    let mut kept = vec![f32::NAN; values.len()];
    for drawn in 0..count.min(known.len()) {
        let other = rng.random_range(drawn..known.len());
        known.swap(drawn, other);
        kept[known[drawn]] = values[known[drawn]];
    }
    kept
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn as_many_stay_as_were_asked_for_and_every_one_stays_sometimes() {
        let values = [1.0, f32::NAN, 3.0, 4.0, 5.0];
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut stayed = [0; 5];
        for _ in 0..200 {
            let kept = keep_some(&values, 2, &mut rng);
            assert_eq!(kept.iter().filter(|value| value.is_finite()).count(), 2);
            for (at, value) in kept.iter().enumerate().filter(|(_, value)| value.is_finite()) {
                assert_eq!(value.to_bits(), values[at].to_bits());
                stayed[at] += 1;
            }
        }
        assert_eq!(stayed[1], 0);
        assert!([0, 2, 3, 4].iter().all(|at| (70..130).contains(&stayed[*at])), "{stayed:?}");
        assert_eq!(keep_some(&values, 9, &mut rng).iter().filter(|value| value.is_finite()).count(), 4);
        assert!(keep_some(&values, 0, &mut rng).iter().all(|value| value.is_nan()));
    }
}
