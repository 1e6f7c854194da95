//! Bin codes: each feature cut at quantiles of its values into at most 256 bins, one byte a value.

use rayon::prelude::*;

/// Features whose codes lie together, so that one pass over a node's rows fills the histograms of all of them.
pub(super) const GROUP: usize = 8;
/// The code of a missing value, in features that have any.
pub(super) const MISSING: u8 = 255;

/// The codes of eight features in one row.
pub(super) type Codes = [u8; GROUP];

/// The codes of a table and what they stand for.
pub(super) struct Bins {
    /// Each group's codes, one entry a row.
    pub(super) groups: Vec<Vec<Codes>>,
    /// Each feature's bins.
    pub(super) features: Vec<FeatureBins>,
}

/// The bins of one feature.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FeatureBins {
    /// Bin `b` holds the values below `cuts[b]` that no lower bin holds; the last cut is above every value.
    pub(super) cuts: Vec<f32>,
    /// Whether a value is missing in any row.
    pub(super) missing: bool,
}

impl Bins {
    /// Cuts a row-major table of finite or missing values.
    pub(super) fn new(table: &[f32], n_features: usize, max_bin: usize) -> Self {
        let coded: Vec<(Vec<Codes>, Vec<FeatureBins>)> = (0..n_features.div_ceil(GROUP))
            .into_par_iter()
            .map(|group| {
                let members = group * GROUP..n_features.min((group + 1) * GROUP);
                let mut codes = vec![[0; GROUP]; table.len() / n_features];
                let mut features = Vec::with_capacity(GROUP);
                for (place, feature) in members.enumerate() {
                    let column = table.iter().skip(feature).step_by(n_features);
                    let bins = FeatureBins::new(column.clone().copied().collect(), max_bin);
                    for (codes, value) in codes.iter_mut().zip(column) {
                        codes[place] = bins.code(*value);
                    }
                    features.push(bins);
                }
                (codes, features)
            })
            .collect();
        let (groups, features): (Vec<_>, Vec<_>) = coded.into_iter().unzip();
        Self { groups, features: features.into_iter().flatten().collect() }
    }

    /// Returns the code of a row in a feature.
    pub(super) fn code(&self, feature: usize, row: u32) -> u8 {
        self.groups[feature / GROUP][row as usize][feature % GROUP]
    }
}

impl FeatureBins {
    fn new(mut column: Vec<f32>, max_bin: usize) -> Self {
        let rows = column.len();
        column.retain(|value| !value.is_nan());
        let missing = column.len() < rows;
        let max_bin = if missing { max_bin.min(usize::from(MISSING)) } else { max_bin };
        column.sort_unstable_by(f32::total_cmp);
        let runs: Vec<(f32, usize)> = column.chunk_by(|a, b| a >= b).map(|run| (run[0], run.len())).collect();
        Self { cuts: cuts(&runs, max_bin), missing }
    }

    fn code(&self, value: f32) -> u8 {
        if value.is_nan() {
            return MISSING;
        }
        let inner = &self.cuts[..self.cuts.len() - 1];
        inner.partition_point(|cut| *cut <= value) as u8
    }
}

/// Cuts between distinct values, given in order with their counts, into bins of about equal count.
fn cuts(runs: &[(f32, usize)], max_bin: usize) -> Vec<f32> {
    let mut cuts = Vec::with_capacity(max_bin.min(runs.len()));
    let mut rest: usize = runs.iter().map(|(_, count)| count).sum();
    let mut held = 0;
    for pair in runs.windows(2) {
        let [(value, count), (next, next_count)] = [pair[0], pair[1]];
        held += count;
        let bins_left = max_bin - cuts.len();
        // A frequent value gets a bin of its own: the bin ends where it comes closer to its share without the next.
        let full = 2 * held * bins_left + next_count * bins_left > 2 * rest;
        if bins_left > 1 && (runs.len() <= max_bin || full) {
            cuts.push(between(value, next));
            rest -= held;
            held = 0;
        }
    }
    let last = runs.last().map_or(0.0, |(value, _)| *value);
    cuts.push((last + last.abs() + 1e-5).clamp(f32::MIN, f32::MAX));
    cuts
}

/// Returns a threshold with `low` below it and `high` not: the middle where f32 has one.
fn between(low: f32, high: f32) -> f32 {
    let middle = low / 2.0 + high / 2.0;
    if middle > low && middle <= high { middle } else { high }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_are_cut_in_the_middle_and_each_value_falls_below_its_cut() {
        let bins = FeatureBins::new(vec![3.0, 1.0, f32::NAN, 1.0, 2.0], 256);
        assert_eq!(bins.cuts[..2], [1.5, 2.5]);
        assert!(bins.missing && bins.cuts[2] > 3.0);
        assert_eq!([1.0, 2.0, 3.0, f32::NAN].map(|value| bins.code(value)), [0, 1, 2, MISSING]);
    }

    #[test]
    fn many_values_fill_bins_evenly_and_a_frequent_one_gets_its_own() {
        let mut column = vec![0.0; 5_000];
        column.extend((1..=5_000_u16).map(f32::from));
        let bins = FeatureBins::new(column.clone(), 64);
        assert!((60..=64).contains(&bins.cuts.len()), "{}", bins.cuts.len());
        assert_eq!(bins.cuts[..1], [0.5], "0 alone in the first bin");
        let mut counts = [0; 64];
        for value in &column {
            counts[usize::from(bins.code(*value))] += 1;
        }
        assert!(counts[1..bins.cuts.len()].iter().all(|count| (60..110).contains(count)), "{counts:?}");
    }

    #[test]
    fn extreme_columns_have_bins() {
        assert_eq!(FeatureBins::new(vec![f32::NAN; 3], 256).cuts.len(), 1);
        let next = f32::from_bits(1.0_f32.to_bits() + 1);
        assert_eq!(FeatureBins::new(vec![1.0, next], 256).cuts[..1], [next], "no float lies between");
        let bins = FeatureBins::new(vec![f32::MIN, f32::MAX], 2);
        assert_eq!(bins.cuts, [0.0, f32::MAX]);
        assert_eq!(FeatureBins::new((0..1000).map(|x| x as f32).collect(), 256).cuts.len(), 256);
    }

    #[test]
    fn groups_hold_every_feature() {
        let table: Vec<f32> = (0..3 * 10).map(|x| x as f32).collect();
        let bins = Bins::new(&table, 10, 256);
        assert_eq!((bins.groups.len(), bins.features.len()), (2, 10));
        assert_eq!((bins.code(9, 0), bins.code(9, 2)), (0, 2));
    }
}
