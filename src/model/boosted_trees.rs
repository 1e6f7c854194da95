//! Gradient-boosted trees: prediction, and the model files of XGBoost.
//!
//! One ensemble of regression trees an output, as XGBoost's `one_output_per_tree` grows them. Imports nothing of the
//! rest of the crate. Invariant: every tree was checked when it was built — each node is reached once, each feature is
//! one of the model's — so that prediction always ends, and its sums run in the order of XGBoost's, to the same bits.

mod json;
mod ubjson;

use std::io::Read as _;

use rayon::prelude::*;

pub use ubjson::UbjsonError;

/// Rows that are walked through one tree after the other while both stay in the cache.
const BLOCK: usize = 64;
/// Walks of one row through one tree below which threads cost more than they bring.
const SERIAL_WALKS: usize = 65_536;
/// Bytes above which an unpacked model file is refused.
const MAX_BYTES: u64 = 1 << 30;
/// Features and outputs above which a model file is refused: tables of this size are built from its word alone.
const MAX_FEATURES: usize = 1 << 20;
const MAX_TARGETS: usize = 1 << 16;
const LEAF: u32 = u32::MAX;

/// One node of a tree; the nodes of a tree lie breadth first, two siblings beside each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Node {
    /// The threshold of a split, the value of a leaf.
    value: f32,
    /// Feature × 2, plus 1 where a missing value goes left; `LEAF` at a leaf.
    split: u32,
    /// The left child's place in the tree; the right one lies behind it.
    left: u32,
}

impl Node {
    /// Returns a leaf.
    pub(crate) const fn leaf(value: f32) -> Self {
        Self { value, split: LEAF, left: 0 }
    }

    /// Returns a split: to `left` where the feature is below the threshold, to the node behind it otherwise.
    pub(crate) const fn split(feature: u32, threshold: f32, missing_left: bool, left: u32) -> Self {
        Self { value: threshold, split: feature << 1 | missing_left as u32, left }
    }

    const fn is_leaf(&self) -> bool {
        self.split == LEAF
    }

    /// Returns the value of a leaf.
    pub(crate) const fn leaf_value(&self) -> f32 {
        self.value
    }

    const fn feature(&self) -> u32 {
        self.split >> 1
    }

    const fn missing_left(&self) -> bool {
        self.split & 1 == 1
    }
}

/// What training saw at a node; prediction does not read it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct NodeRecord {
    /// By how much the split lowered the loss; 0 at a leaf.
    pub(crate) gain: f32,
    /// The sum of second derivatives: under squared error the number of rows.
    pub(crate) cover: f32,
}

/// A tree by itself, as the trainer and the readers make it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Tree {
    /// The nodes, the root first.
    pub(crate) nodes: Vec<Node>,
    /// What training saw at each.
    pub(crate) records: Vec<NodeRecord>,
}

impl Tree {
    /// Returns the value of the leaf that a row ends in.
    pub(crate) fn value(&self, row: &[f32]) -> f32 {
        walk(&self.nodes, row)
    }
}

/// Where a tree of the flat list lies and which output it adds to.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    start: usize,
    end: usize,
    target: usize,
}

/// Ensembles of regression trees, one an output.
#[derive(Debug, Clone, PartialEq)]
pub struct BoostedTrees {
    n_features: usize,
    base: Vec<f32>,
    nodes: Vec<Node>,
    records: Vec<NodeRecord>,
    spans: Vec<Span>,
    /// The first tree of each round, then the number of trees.
    rounds: Vec<usize>,
    parallel_trees: usize,
    /// Each output's trees in file order.
    by_target: Vec<Vec<usize>>,
}

impl BoostedTrees {
    /// Starts an ensemble without trees, whose prediction is its base.
    pub(crate) fn new(n_features: usize, base: Vec<f32>) -> Self {
        let by_target = vec![Vec::new(); base.len()];
        let (nodes, records, spans) = (Vec::new(), Vec::new(), Vec::new());
        Self { n_features, base, nodes, records, spans, rounds: vec![0], parallel_trees: 1, by_target }
    }

    /// Adds a tree behind the others; its features and the target must be of this ensemble.
    pub(crate) fn push(&mut self, target: usize, tree: &Tree) {
        let start = self.nodes.len();
        self.nodes.extend_from_slice(&tree.nodes);
        self.records.extend_from_slice(&tree.records);
        self.by_target[target].push(self.spans.len());
        self.spans.push(Span { start, end: self.nodes.len(), target });
    }

    /// Ends a round of boosting: the trees since the last one belong together.
    pub(crate) fn end_round(&mut self) {
        self.rounds.push(self.spans.len());
    }

    /// Reads a model file: XGBoost's JSON, the same packed with gzip, or XGBoost's UBJSON; told apart by content.
    ///
    /// # Errors
    /// The bytes are none of these, are damaged, unpack to more than 1 GiB, or hold a model that is not a sum of
    /// numeric trees: `gblinear`, `dart`, categorical splits, vector leaves (`multi_output_tree`), or an objective
    /// whose prediction is not the sum itself.
    pub fn read(bytes: &[u8]) -> Result<Self, TreesError> {
        if bytes.starts_with(&[0x1f, 0x8b]) {
            return Self::read_plain(&gunzip(bytes, MAX_BYTES)?);
        }
        Self::read_plain(bytes)
    }

    fn read_plain(bytes: &[u8]) -> Result<Self, TreesError> {
        if bytes.starts_with(b"binf") || bytes.starts_with(b"CONFIG-offset") {
            return Err(TreesError::BinaryFormat);
        }
        match bytes.trim_ascii_start() {
            [b'{', b'i' | b'U' | b'I' | b'l' | b'L' | b'N' | b'$' | b'#', ..] => {
                json::build(ubjson::from_slice(bytes)?)
            }
            _ => json::build(serde_json::from_slice(bytes)?),
        }
    }

    /// Returns the model as XGBoost's JSON (version 3.2, objective squared error), which XGBoost loads and predicts the
    /// same from.
    ///
    /// # Errors
    /// Writing failed.
    pub fn to_json(&self) -> Result<Vec<u8>, TreesError> {
        let mut bytes = Vec::new();
        json::write(self, &mut bytes)?;
        Ok(bytes)
    }

    /// Returns [`Self::to_json`] packed with gzip; the same model gives the same bytes.
    ///
    /// # Errors
    /// Writing failed.
    pub fn to_json_gz(&self) -> Result<Vec<u8>, TreesError> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        json::write(self, &mut packer)?;
        packer.finish().map_err(TreesError::Gzip)
    }

    /// Returns the number of features of a row.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Returns the number of outputs.
    #[must_use]
    pub fn n_targets(&self) -> usize {
        self.base.len()
    }

    /// Returns the number of trees of all outputs together.
    #[must_use]
    pub fn n_trees(&self) -> usize {
        self.spans.len()
    }

    /// Returns the number of nodes of all trees together.
    #[must_use]
    pub fn n_nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Returns what each output starts from where no margin is given.
    #[must_use]
    pub fn base(&self) -> &[f32] {
        &self.base
    }

    /// Predicts rows × outputs, row-major, from rows × features, row-major; NaN is a missing value.
    ///
    /// # Errors
    /// The number of values is not a whole number of rows.
    pub fn predict(&self, features: &[f32]) -> Result<Vec<f32>, TreesError> {
        let rows = self.rows(features)?;
        Ok(self.add_trees(features, rows, |_, target| self.base[target]))
    }

    /// Predicts like [`Self::predict`], each sum starting from a given margin (rows × outputs) in place of the base.
    ///
    /// # Errors
    /// The number of values is not a whole number of rows, or the margins are not one an output of each row.
    pub fn predict_with_margin(&self, features: &[f32], margins: &[f32]) -> Result<Vec<f32>, TreesError> {
        let (rows, targets) = (self.rows(features)?, self.n_targets());
        if margins.len() != rows * targets {
            return Err(TreesError::Shape { what: "margins", expected: rows * targets, found: margins.len() });
        }
        Ok(self.add_trees(features, rows, |row, target| margins[row * targets + target]))
    }

    /// Returns by how much each feature's splits lowered an output's training loss, one number a feature; the sum over
    /// outputs is the feature's importance. `None` for an output that the model has not.
    #[must_use]
    pub fn gain(&self, target: usize) -> Option<Vec<f64>> {
        let mut gains = vec![0.0; self.n_features];
        for &tree in self.by_target.get(target)? {
            let Span { start, end, .. } = self.spans[tree];
            for (node, record) in self.nodes[start..end].iter().zip(&self.records[start..end]) {
                if !node.is_leaf() {
                    gains[node.feature() as usize] += f64::from(record.gain);
                }
            }
        }
        Some(gains)
    }

    fn rows(&self, features: &[f32]) -> Result<usize, TreesError> {
        let rows = features.len() / self.n_features;
        if rows * self.n_features == features.len() {
            return Ok(rows);
        }
        let expected = (rows + 1) * self.n_features;
        Err(TreesError::Shape { what: "features", expected, found: features.len() })
    }

    fn add_trees(&self, features: &[f32], rows: usize, start: impl Fn(usize, usize) -> f32 + Sync) -> Vec<f32> {
        let targets = self.n_targets();
        let blocks = rows.div_ceil(BLOCK);
        // Each sum belongs to one job, so that the number of threads cannot change its order.
        let job = |index: usize| {
            let (target, first) = (index / blocks, index % blocks * BLOCK);
            let block = first..rows.min(first + BLOCK);
            let mut sums: Vec<f32> = block.clone().map(|row| start(row, target)).collect();
            let block = &features[block.start * self.n_features..block.end * self.n_features];
            for &tree in &self.by_target[target] {
                let nodes = &self.nodes[self.spans[tree].start..self.spans[tree].end];
                for (sum, row) in sums.iter_mut().zip(block.chunks_exact(self.n_features)) {
                    *sum += walk(nodes, row);
                }
            }
            sums
        };
        let columns: Vec<Vec<f32>> = if rows * self.spans.len() < SERIAL_WALKS {
            (0..targets * blocks).map(job).collect()
        } else {
            (0..targets * blocks).into_par_iter().map(job).collect()
        };
        let mut predictions = vec![0.0; rows * targets];
        for (index, sums) in columns.iter().enumerate() {
            let (target, first) = (index / blocks, index % blocks * BLOCK);
            for (row, sum) in (first..).zip(sums) {
                predictions[row * targets + target] = *sum;
            }
        }
        predictions
    }
}

/// XGBoost's rule: left where the value is strictly below the threshold in f32, and where it is missing by the node.
fn walk(nodes: &[Node], row: &[f32]) -> f32 {
    let mut node = &nodes[0];
    while !node.is_leaf() {
        let x = row[node.feature() as usize];
        let left = (x < node.value) | (x.is_nan() & node.missing_left());
        node = &nodes[node.left as usize + usize::from(!left)];
    }
    node.value
}

fn gunzip(bytes: &[u8], limit: u64) -> Result<Vec<u8>, TreesError> {
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes).take(limit + 1).read_to_end(&mut plain).map_err(TreesError::Gzip)?;
    if plain.len() as u64 > limit {
        return Err(TreesError::TooLarge { limit });
    }
    Ok(plain)
}

/// Why a tree model could not be read, written or asked.
#[derive(Debug, thiserror::Error)]
pub enum TreesError {
    /// The JSON is damaged or lacks a field.
    #[error("not a JSON model of XGBoost")]
    Json(#[from] serde_json::Error),
    /// The UBJSON is damaged or lacks a field.
    #[error("not a UBJSON model of XGBoost")]
    Ubjson(#[from] UbjsonError),
    /// The gzip stream is damaged.
    #[error("cannot unpack the model file")]
    Gzip(#[source] std::io::Error),
    /// The file unpacks to too much.
    #[error("the model file unpacks to more than {limit} bytes")]
    TooLarge {
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// The file is XGBoost's own binary format, which it no longer writes.
    #[error("the model is in XGBoost's old binary format: load it there and save it as .json or .ubj")]
    BinaryFormat,
    /// The booster is not a plain sum of trees.
    #[error("booster '{0}' is not supported: only gbtree is")]
    Booster(String),
    /// The objective transforms the sum of the trees.
    #[error("objective '{0}' is not supported: only regression objectives that predict the plain sum are")]
    Objective(String),
    /// A number of the header cannot be used.
    #[error("field {field} of the model is '{value}'")]
    Field {
        /// The field's name.
        field: &'static str,
        /// What it says.
        value: String,
    },
    /// A tree cannot be used.
    #[error("tree {tree} of the model: {defect}")]
    Tree {
        /// Its place in the file, from 0.
        tree: usize,
        /// What is wrong with it.
        defect: TreeDefect,
    },
    /// The rows have another shape than the model's.
    #[error("the {what} have {found} values where {expected} are due")]
    Shape {
        /// Which table.
        what: &'static str,
        /// How many values it should have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
}

/// What is wrong with a tree of a model file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeDefect {
    /// It has no nodes, or its arrays have different lengths.
    #[error("its arrays are empty or of different lengths")]
    Arrays,
    /// It splits by category.
    #[error("categorical splits are not supported")]
    Categorical,
    /// It has a vector in each leaf.
    #[error("vector leaves (multi_strategy multi_output_tree) are not supported: train with one_output_per_tree")]
    VectorLeaves,
    /// A child is out of range.
    #[error("node {0} has a child outside of the tree")]
    Child(usize),
    /// A node is reached twice, so that the tree is none.
    #[error("node {0} is reached twice")]
    ReachedTwice(usize),
    /// A split is on a feature that the model has not.
    #[error("node {0} splits on a feature that the model has not")]
    Feature(usize),
    /// A threshold, value, gain or cover is not finite.
    #[error("node {0} has a number that is not finite")]
    NotFinite(usize),
    /// The tree adds to an output that the model has not.
    #[error("it adds to an output that the model has not")]
    Target,
}

#[cfg(test)]
mod tests;
