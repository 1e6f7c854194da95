//! Grows one tree level by level from histograms.
//!
//! A histogram's entry is one whole number: the sum of the gradients, fixed point, above a count of rows. One addition
//! a row and feature fills it, sums are exact in any order, and the larger of two siblings is its parent minus the
//! smaller. Work runs by feature group, so that one group's codes and histograms stay in the cache for a whole level.

use std::ops::Range;

use super::Settings;
use super::bins::{Bins, Codes, FeatureBins, GROUP, MISSING};
use crate::model::boosted_trees::{Node, NodeRecord, Tree};

type Histogram = [u64; 256];
type GroupHistogram = [Histogram; GROUP];

/// Below this a split is taken for noise, as XGBoost does.
const LEAST_GAIN: f64 = 1e-6;
/// Scores that are looked at side by side.
const LANES: usize = 8;

/// How a sum of gradients and a count share a whole number: `sum << count_bits | count`.
#[derive(Debug, Clone, Copy)]
struct Packing {
    count_bits: u32,
    /// What one step of the fixed point is worth.
    unit: f64,
}

impl Packing {
    fn new(rows: usize, largest: f32) -> Self {
        // At least 12 bits leave at most 52 for the sum, which a float then holds exactly.
        let count_bits = (usize::BITS - rows.leading_zeros()).max(12);
        let value_bits = (63 - 2 * count_bits.cast_signed()).min(36);
        let exponent = if largest > 0.0 { f64::from(largest).log2().floor() as i32 + 1 } else { 0 };
        Self { count_bits, unit: f64::powi(2.0, exponent - value_bits) }
    }

    fn pack(self, gradient: f32) -> u64 {
        let steps = (f64::from(gradient) / self.unit).round() as i64;
        (steps.cast_unsigned() << self.count_bits).wrapping_add(1)
    }

    fn count(self, packed: u64) -> u64 {
        packed & ((1 << self.count_bits) - 1)
    }

    /// Returns sum, in steps, and count as floats by bits alone, which the compiler turns into vector code.
    fn unpack(self, packed: u64) -> (f64, f64) {
        const TWO_52: u64 = 0x4330_0000_0000_0000;
        let bias = (1_u64 << (63 - self.count_bits)) as f64 + 4_503_599_627_370_496.0;
        let sum = f64::from_bits((packed ^ (1 << 63)) >> self.count_bits | TWO_52) - bias;
        (sum, f64::from_bits(self.count(packed) | TWO_52) - 4_503_599_627_370_496.0)
    }
}

/// Penalties in the units of the packing, so that the inner loop has none.
#[derive(Debug, Clone, Copy)]
struct Penalties {
    alpha: f64,
    lambda: f64,
    least_rows: f64,
}

impl Penalties {
    /// Twice the loss that the best weight of a node takes away.
    fn score(&self, sum: f64, count: f64) -> f64 {
        let pull = (sum.abs() - self.alpha).max(0.0);
        pull * pull / (count + self.lambda)
    }
}

#[derive(Debug, Clone, Copy)]
struct Split {
    score: f64,
    feature: usize,
    bin: u8,
    missing_left: bool,
    left: u64,
}

/// A node that may still be split.
struct Open {
    node: usize,
    rows: Range<usize>,
    sum: u64,
    slot: usize,
    best: Option<Split>,
}

/// Grows the trees of one output; its buffers live as long as the output's fit.
pub(super) struct Grower<'a> {
    bins: &'a Bins,
    settings: &'a Settings,
    /// One histogram a feature group and slot; a level has no more open nodes than slots.
    histograms: Vec<GroupHistogram>,
    slots: usize,
    packed: Vec<u64>,
    /// The rows of the tree, each node's together and in order.
    rows: Vec<u32>,
    moved: Vec<u32>,
    /// The packed gradients of `rows` in the nodes that are counted at this level.
    ordered: Vec<u64>,
    leaves: Vec<(Range<usize>, f32)>,
    packing: Packing,
    penalties: Penalties,
}

impl<'a> Grower<'a> {
    /// Makes the buffers for a table's trees.
    pub(super) fn new(bins: &'a Bins, settings: &'a Settings) -> Self {
        let rows = bins.groups.first().map_or(0, Vec::len);
        // A level's nodes hold at least a row each.
        let slots = (1 << (settings.max_depth - 1)).min(rows.max(1));
        Self {
            bins,
            settings,
            histograms: vec![[[0; 256]; GROUP]; slots * bins.groups.len()],
            slots,
            packed: vec![0; rows],
            rows: Vec::new(),
            moved: Vec::new(),
            ordered: Vec::new(),
            leaves: Vec::new(),
            packing: Packing::new(rows, 0.0),
            penalties: Penalties { alpha: 0.0, lambda: 0.0, least_rows: 1.0 },
        }
    }

    /// Grows a tree on the given rows, in ascending order, and the features that are flagged.
    pub(super) fn grow(&mut self, gradients: &[f32], rows: Vec<u32>, features: &[bool]) -> Tree {
        let largest = rows.iter().map(|row| gradients[*row as usize].abs()).fold(0.0, f32::max);
        self.packing = Packing::new(rows.len(), largest);
        self.penalties = Penalties {
            alpha: self.settings.alpha / self.packing.unit,
            lambda: self.settings.lambda,
            least_rows: self.settings.min_child_weight.max(1.0),
        };
        let mut sum = 0_u64;
        for &row in &rows {
            let packed = self.packing.pack(gradients[row as usize]);
            self.packed[row as usize] = packed;
            sum = sum.wrapping_add(packed);
        }
        self.moved.resize(rows.len(), 0);
        self.ordered.resize(rows.len(), 0);
        self.leaves.clear();
        self.rows = rows;

        let mut tree = Tree::default();
        let root = self.add_node(&mut tree, 0..self.rows.len(), sum);
        let mut open = vec![Open { slot: 0, ..root }];
        let mut counted = vec![(0, None)];
        for depth in 1..=self.settings.max_depth {
            self.find_splits(&mut open, &counted, features);
            let mut next = Vec::new();
            counted.clear();
            for node in open {
                let Some(split) = node.best.filter(|split| self.pays(split, node.sum)) else {
                    self.close(&tree, &node);
                    continue;
                };
                let (left, right) = self.split(&mut tree, &node, &split);
                let splittable = |child: &Open| self.packing.count(child.sum) as f64 >= 2.0 * self.penalties.least_rows;
                if depth == self.settings.max_depth || !(splittable(&left) || splittable(&right)) {
                    self.close(&tree, &left);
                    self.close(&tree, &right);
                    continue;
                }
                // The larger child takes its parent's slot over, to have the smaller one's histogram taken from it.
                let first = next.len();
                let left_is_smaller = left.rows.len() <= right.rows.len();
                let (smaller, larger) = if left_is_smaller { (first, first + 1) } else { (first + 1, first) };
                counted.push((smaller, Some(larger)));
                next.extend([left, right]);
                next[larger].slot = node.slot;
            }
            self.hand_out_slots(&mut next, &counted);
            open = next;
        }
        tree
    }

    /// Calls back with the rows of each leaf of the last tree and its value.
    pub(super) fn for_each_leaf(&self, mut then: impl FnMut(&[u32], f32)) {
        for (range, value) in &self.leaves {
            then(&self.rows[range.clone()], *value);
        }
    }

    fn hand_out_slots(&self, open: &mut [Open], counted: &[(usize, Option<usize>)]) {
        let mut taken = vec![false; self.slots];
        counted.iter().filter_map(|(_, larger)| *larger).for_each(|larger| taken[open[larger].slot] = true);
        let mut free = (0..self.slots).filter(|slot| !taken[*slot]);
        for &(smaller, _) in counted {
            // There is one: a level has at most as many open nodes as there are slots.
            open[smaller].slot = free.next().unwrap_or(0);
        }
    }

    fn add_node(&self, tree: &mut Tree, rows: Range<usize>, sum: u64) -> Open {
        let (gradient, count) = self.packing.unpack(sum);
        let pull = (gradient.abs() - self.penalties.alpha).max(0.0).copysign(gradient) * self.packing.unit;
        let weight = -pull / (count + self.penalties.lambda);
        tree.nodes.push(Node::leaf((weight * self.settings.learning_rate) as f32));
        tree.records.push(NodeRecord { gain: 0.0, cover: count as f32 });
        Open { node: tree.nodes.len() - 1, rows, sum, slot: 0, best: None }
    }

    fn close(&mut self, tree: &Tree, node: &Open) {
        self.leaves.push((node.rows.clone(), tree.nodes[node.node].leaf_value()));
    }

    fn gain(&self, split: &Split, sum: u64) -> f64 {
        let score = |packed| {
            let (sum, count) = self.packing.unpack(packed);
            self.penalties.score(sum, count)
        };
        let steps = score(split.left) + score(sum.wrapping_sub(split.left)) - score(sum);
        steps * self.packing.unit * self.packing.unit
    }

    fn pays(&self, split: &Split, sum: u64) -> bool {
        let gain = self.gain(split, sum);
        gain > LEAST_GAIN && gain >= self.settings.gamma
    }

    /// Fills the histograms of a level and finds each node's best split.
    fn find_splits(&mut self, open: &mut [Open], counted: &[(usize, Option<usize>)], features: &[bool]) {
        for &(node, _) in counted {
            for place in open[node].rows.clone() {
                self.ordered[place] = self.packed[self.rows[place] as usize];
            }
        }
        for (group, codes) in self.bins.groups.iter().enumerate() {
            let first = group * GROUP;
            let members = first..self.bins.features.len().min(first + GROUP);
            if !features[members.clone()].contains(&true) {
                continue;
            }
            let histograms = &mut self.histograms[group * self.slots..(group + 1) * self.slots];
            for &(smaller, larger) in counted {
                let Open { rows, slot, .. } = &open[smaller];
                fill(&mut histograms[*slot], codes, &self.rows[rows.clone()], &self.ordered[rows.clone()]);
                if let Some(larger) = larger
                    && let Ok([smaller, larger]) = histograms.get_disjoint_mut([*slot, open[larger].slot])
                {
                    subtract(larger, smaller);
                }
                for node in [Some(smaller), larger].into_iter().flatten() {
                    let node = &mut open[node];
                    for feature in members.clone().filter(|feature| features[*feature]) {
                        let scan = Scan { packing: self.packing, penalties: self.penalties, sum: node.sum, feature };
                        let histogram = &histograms[node.slot][feature - first];
                        scan.improve(histogram, &self.bins.features[feature], &mut node.best);
                    }
                }
            }
        }
    }

    /// Moves a node's rows to its children, which keep their order.
    fn split(&mut self, tree: &mut Tree, node: &Open, split: &Split) -> (Open, Open) {
        let (mut kept, mut moved) = (node.rows.start, 0);
        let missing = self.bins.features[split.feature].missing;
        for place in node.rows.clone() {
            let row = self.rows[place];
            let code = self.bins.code(split.feature, row);
            let left = if missing && code == MISSING { split.missing_left } else { code <= split.bin };
            // Both are written and one counted: a branch would be guessed wrong half of the time.
            self.rows[kept] = row;
            self.moved[moved] = row;
            kept += usize::from(left);
            moved += usize::from(!left);
        }
        self.rows[kept..node.rows.end].copy_from_slice(&self.moved[..moved]);

        let threshold = self.bins.features[split.feature].cuts[usize::from(split.bin)];
        let left = tree.nodes.len() as u32;
        tree.nodes[node.node] = Node::split(split.feature as u32, threshold, split.missing_left, left);
        tree.records[node.node].gain = self.gain(split, node.sum) as f32;
        let left = self.add_node(tree, node.rows.start..kept, split.left);
        let right = self.add_node(tree, kept..node.rows.end, node.sum.wrapping_sub(split.left));
        (left, right)
    }
}

fn fill(histogram: &mut GroupHistogram, codes: &[Codes], rows: &[u32], packed: &[u64]) {
    *histogram = [[0; 256]; GROUP];
    for (row, packed) in rows.iter().zip(packed) {
        let codes = codes[*row as usize];
        for (feature, code) in histogram.iter_mut().zip(codes) {
            let entry = &mut feature[usize::from(code)];
            *entry = entry.wrapping_add(*packed);
        }
    }
}

fn subtract(larger: &mut GroupHistogram, smaller: &GroupHistogram) {
    for (larger, smaller) in larger.as_flattened_mut().iter_mut().zip(smaller.as_flattened()) {
        *larger = larger.wrapping_sub(*smaller);
    }
}

/// The search of one node's best split on one feature.
struct Scan {
    packing: Packing,
    penalties: Penalties,
    sum: u64,
    feature: usize,
}

impl Scan {
    fn improve(&self, histogram: &Histogram, bins: &FeatureBins, best: &mut Option<Split>) {
        let n = bins.cuts.len();
        let missing = if bins.missing { histogram[usize::from(MISSING)] } else { 0 };
        let mut below = [0_u64; 256];
        let mut sum = 0_u64;
        for (below, entry) in below.iter_mut().zip(&histogram[..n]) {
            sum = sum.wrapping_add(*entry);
            *below = sum;
        }
        if self.packing.count(missing) == 0 {
            self.candidates(&below[..n - 1], 0, best, None);
            return;
        }
        // All that is known on the left and what is missing on the right is a split too.
        self.candidates(&below[..n], 0, best, Some(false));
        self.candidates(&below[..n - 1], missing, best, Some(true));
    }

    /// Scores the splits behind each bin; `more` are the rows that go left besides.
    fn candidates(&self, below: &[u64], more: u64, best: &mut Option<Split>, missing_left: Option<bool>) {
        let (sum, count) = self.packing.unpack(self.sum);
        let Penalties { alpha, lambda, least_rows } = self.penalties;
        let mut scores = [0.0_f64; 256];
        for (score, below) in scores.iter_mut().zip(below) {
            let (left, left_rows) = self.packing.unpack(below.wrapping_add(more));
            let (right, right_rows) = (sum - left, count - left_rows);
            let (left_pull, right_pull) = ((left.abs() - alpha).max(0.0), (right.abs() - alpha).max(0.0));
            let (left_mass, right_mass) = (left_rows + lambda, right_rows + lambda);
            // Both sides' scores over one denominator: a division costs more than the rest.
            let both =
                (left_pull * left_pull * right_mass + right_pull * right_pull * left_mass) / (left_mass * right_mass);
            *score = if left_rows.min(right_rows) >= least_rows { both } else { 0.0 };
        }
        let mut highest = [0.0_f64; LANES];
        for scores in scores[..below.len().next_multiple_of(LANES)].as_chunks::<LANES>().0 {
            for (highest, score) in highest.iter_mut().zip(scores) {
                *highest = if *score > *highest { *score } else { *highest };
            }
        }
        let highest = highest.into_iter().fold(0.0, f64::max);
        if highest <= best.map_or(0.0, |best| best.score) {
            return;
        }
        let Some(bin) = scores.iter().position(|score| *score >= highest) else { return };
        let left = below[bin].wrapping_add(more);
        // Where nothing was missing here, a missing value will go with the many.
        let many = 2 * self.packing.count(left) >= self.packing.count(self.sum);
        let missing_left = missing_left.unwrap_or(many);
        *best = Some(Split { score: highest, feature: self.feature, bin: bin as u8, missing_left, left });
    }
}
