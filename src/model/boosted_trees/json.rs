//! The fields of XGBoost's model file, shared by its JSON and its UBJSON form.
//!
//! Only what prediction and importance need is read; every tree is laid out anew, breadth first, from what its root
//! reaches, which drops the nodes that XGBoost pruned but left in the file.

use std::io::Write;

use serde::de::{Deserializer, Visitor};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Serialize, Serializer};

use super::{BoostedTrees, MAX_FEATURES, MAX_TARGETS, Node, NodeRecord, Span, Tree, TreeDefect, TreesError};

/// Objectives of XGBoost whose prediction is the sum of the trees itself; `reg:linear` is squared error's former name.
const PLAIN_OBJECTIVES: [&str; 7] = [
    "reg:squarederror",
    "reg:linear",
    "reg:squaredlogerror",
    "reg:absoluteerror",
    "reg:pseudohubererror",
    "reg:quantileerror",
    "reg:expectileerror",
];
/// XGBoost's parent of a root.
const NO_PARENT: i32 = i32::MAX;

#[derive(Deserialize)]
pub(super) struct File {
    learner: Learner,
}

#[derive(Deserialize)]
struct Learner {
    gradient_booster: Booster,
    #[serde(rename = "learner_model_param")]
    param: ModelParam,
    objective: Objective,
}

#[derive(Deserialize)]
struct Objective {
    name: String,
}

/// The other boosters keep other fields, so that none may be required before the name is known.
#[derive(Deserialize)]
struct Booster {
    name: String,
    #[serde(default)]
    model: Forest,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Forest {
    gbtree_model_param: ForestParam,
    iteration_indptr: Vec<u64>,
    tree_info: Vec<u64>,
    trees: Vec<FileTree>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ForestParam {
    num_parallel_tree: Option<String>,
}

#[derive(Deserialize)]
struct ModelParam {
    base_score: String,
    num_feature: String,
    num_class: Option<String>,
    num_target: Option<String>,
}

#[derive(Deserialize)]
struct FileTree {
    tree_param: TreeParam,
    left_children: Vec<i32>,
    right_children: Vec<i32>,
    split_indices: Vec<i32>,
    split_conditions: Vec<f32>,
    default_left: Vec<Flag>,
    #[serde(default)]
    split_type: Vec<u8>,
    loss_changes: Vec<f32>,
    sum_hessian: Vec<f32>,
}

#[derive(Deserialize)]
struct TreeParam {
    #[serde(default)]
    size_leaf_vector: Option<String>,
}

/// A yes or no, which XGBoost wrote as a boolean before 1.7 and writes as 0 or 1 since.
struct Flag(bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FlagVisitor;
        impl Visitor<'_> for FlagVisitor {
            type Value = Flag;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, false, 0 or 1")
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Flag, E> {
                Ok(Flag(flag))
            }

            fn visit_u64<E>(self, flag: u64) -> Result<Flag, E> {
                Ok(Flag(flag != 0))
            }

            fn visit_i64<E>(self, flag: i64) -> Result<Flag, E> {
                Ok(Flag(flag != 0))
            }
        }
        deserializer.deserialize_any(FlagVisitor)
    }
}

/// Checks a file's fields and lays its trees out for prediction.
pub(super) fn build(file: File) -> Result<BoostedTrees, TreesError> {
    let Learner { gradient_booster: booster, param, objective } = file.learner;
    if booster.name != "gbtree" {
        return Err(TreesError::Booster(booster.name));
    }
    if !PLAIN_OBJECTIVES.contains(&objective.name.as_str()) {
        return Err(TreesError::Objective(objective.name));
    }
    let n_features = count("num_feature", &param.num_feature, 1, MAX_FEATURES)?;
    let n_targets = count("num_target", param.num_target.as_deref().unwrap_or("1"), 1, MAX_TARGETS)?;
    // 0 means no classes; more than one would make the outputs probabilities.
    count("num_class", param.num_class.as_deref().unwrap_or("0"), 0, 1)?;
    let base = base_scores(&param.base_score, n_targets)?;
    let forest = booster.model;
    let mut model = BoostedTrees::new(n_features, base);
    let parallel = forest.gbtree_model_param.num_parallel_tree;
    model.parallel_trees = count("num_parallel_tree", parallel.as_deref().unwrap_or("1"), 0, 1 << 20)?.max(1);
    if forest.tree_info.len() != forest.trees.len() {
        return Err(TreesError::Field { field: "tree_info", value: format!("{} entries", forest.tree_info.len()) });
    }
    for (place, (tree, &target)) in forest.trees.iter().zip(&forest.tree_info).enumerate() {
        let laid_out = lay_out(tree, n_features).and_then(|tree| {
            let target = usize::try_from(target).ok().filter(|target| *target < n_targets);
            Ok((target.ok_or(TreeDefect::Target)?, tree))
        });
        let (target, tree) = laid_out.map_err(|defect| TreesError::Tree { tree: place, defect })?;
        model.push(target, &tree);
    }
    model.rounds = rounds(&forest.iteration_indptr, &model)?;
    Ok(model)
}

fn count(field: &'static str, text: &str, least: usize, most: usize) -> Result<usize, TreesError> {
    let number = text.trim().parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| TreesError::Field { field, value: excerpt(text) })
}

/// Reads `[1E0,2E0]`, one number an output as XGBoost 3 writes it, or `5E-1`, one for all as it was before.
fn base_scores(text: &str, n_targets: usize) -> Result<Vec<f32>, TreesError> {
    let bare = text.trim();
    let bare = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(bare);
    let numbers: Option<Vec<f32>> = bare
        .split(',')
        .take(n_targets + 1)
        .map(|number| number.trim().parse().ok().filter(|number: &f32| number.is_finite()))
        .collect();
    match numbers {
        Some(numbers) if numbers.len() == n_targets => Ok(numbers),
        Some(numbers) if numbers.len() == 1 => Ok(vec![numbers[0]; n_targets]),
        _ => Err(TreesError::Field { field: "base_score", value: excerpt(text) }),
    }
}

/// The first tree of each round; files before XGBoost 2.0 lack it, where every round has the same number of trees.
fn rounds(given: &[u64], model: &BoostedTrees) -> Result<Vec<usize>, TreesError> {
    let trees = model.n_trees();
    if given.is_empty() {
        let round = model.n_targets() * model.parallel_trees;
        return Ok((0..trees).step_by(round).chain([trees]).collect());
    }
    let starts = given.iter().map(|&start| usize::try_from(start).ok()).collect::<Option<Vec<_>>>();
    let fits = |starts: &Vec<usize>| starts[0] == 0 && starts.last() == Some(&trees) && starts.is_sorted();
    starts
        .filter(fits)
        .ok_or_else(|| TreesError::Field { field: "iteration_indptr", value: format!("{} entries", given.len()) })
}

fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}

fn lay_out(tree: &FileTree, n_features: usize) -> Result<Tree, TreeDefect> {
    if !matches!(tree.tree_param.size_leaf_vector.as_deref(), None | Some("0" | "1")) {
        return Err(TreeDefect::VectorLeaves);
    }
    let n = tree.left_children.len();
    let lengths = [
        tree.right_children.len(),
        tree.split_indices.len(),
        tree.split_conditions.len(),
        tree.default_left.len(),
        tree.loss_changes.len(),
        tree.sum_hessian.len(),
    ];
    let typed = tree.split_type.is_empty() || tree.split_type.len() == n;
    if n == 0 || !typed || lengths.iter().any(|length| *length != n) {
        return Err(TreeDefect::Arrays);
    }
    if tree.split_type.iter().any(|kind| *kind != 0) {
        return Err(TreeDefect::Categorical);
    }
    let mut reached = vec![false; n];
    let mut order = vec![0_usize];
    let mut laid_out = Tree::default();
    reached[0] = true;
    let mut next = 0;
    while let Some(&node) = order.get(next) {
        next += 1;
        let (value, gain, cover) = (tree.split_conditions[node], tree.loss_changes[node], tree.sum_hessian[node]);
        if ![value, gain, cover].iter().all(|number| number.is_finite()) {
            return Err(TreeDefect::NotFinite(node));
        }
        laid_out.records.push(NodeRecord { gain, cover });
        if tree.left_children[node] == -1 && tree.right_children[node] == -1 {
            laid_out.nodes.push(Node::leaf(value));
            continue;
        }
        let feature = u32::try_from(tree.split_indices[node]).ok().filter(|feature| (*feature as usize) < n_features);
        let feature = feature.ok_or(TreeDefect::Feature(node))?;
        let left = u32::try_from(order.len()).map_err(|_| TreeDefect::Child(node))?;
        laid_out.nodes.push(Node::split(feature, value, tree.default_left[node].0, left));
        for child in [tree.left_children[node], tree.right_children[node]] {
            let child = usize::try_from(child).ok().filter(|child| *child < n).ok_or(TreeDefect::Child(node))?;
            if std::mem::replace(&mut reached[child], true) {
                return Err(TreeDefect::ReachedTwice(child));
            }
            order.push(child);
        }
    }
    Ok(laid_out)
}

#[derive(Serialize)]
struct FileOut<'a> {
    learner: LearnerOut<'a>,
    version: [u32; 3],
}

#[derive(Serialize)]
struct LearnerOut<'a> {
    attributes: Empty,
    feature_names: [&'a str; 0],
    feature_types: [&'a str; 0],
    gradient_booster: BoosterOut<'a>,
    learner_model_param: ModelParamOut,
    objective: ObjectiveOut,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct BoosterOut<'a> {
    model: ForestOut<'a>,
    name: &'static str,
}

#[derive(Serialize)]
struct ForestOut<'a> {
    cats: Categories,
    gbtree_model_param: ForestParamOut,
    iteration_indptr: &'a [usize],
    tree_info: Vec<usize>,
    trees: TreesOut<'a>,
}

#[derive(Serialize)]
struct Categories {
    enc: [u32; 0],
    feature_segments: [u32; 0],
    sorted_idx: [u32; 0],
}

#[derive(Serialize)]
struct ForestParamOut {
    num_parallel_tree: String,
    num_trees: String,
}

#[derive(Serialize)]
struct ModelParamOut {
    base_score: String,
    boost_from_average: &'static str,
    num_class: &'static str,
    num_feature: String,
    num_target: String,
}

#[derive(Serialize)]
struct ObjectiveOut {
    name: &'static str,
    reg_loss_param: LossParam,
}

#[derive(Serialize)]
struct LossParam {
    scale_pos_weight: &'static str,
}

/// The trees, each made only when it is its turn: all arrays at once would be several times the model.
struct TreesOut<'a>(&'a BoostedTrees);

impl Serialize for TreesOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let model = self.0;
        let mut trees = serializer.serialize_seq(Some(model.spans.len()))?;
        for (id, span) in model.spans.iter().enumerate() {
            trees.serialize_element(&tree_out(model, id, *span))?;
        }
        trees.end()
    }
}

#[derive(Serialize)]
struct TreeOut {
    base_weights: Vec<f32>,
    categories: [u32; 0],
    categories_nodes: [u32; 0],
    categories_segments: [u32; 0],
    categories_sizes: [u32; 0],
    default_left: Vec<u8>,
    id: usize,
    left_children: Vec<i32>,
    loss_changes: Vec<f32>,
    parents: Vec<i32>,
    right_children: Vec<i32>,
    split_conditions: Vec<f32>,
    split_indices: Vec<u32>,
    split_type: Vec<u8>,
    sum_hessian: Vec<f32>,
    tree_param: TreeParamOut,
}

#[derive(Serialize)]
struct TreeParamOut {
    num_deleted: &'static str,
    num_feature: String,
    num_nodes: String,
    size_leaf_vector: &'static str,
}

fn tree_out(model: &BoostedTrees, id: usize, span: Span) -> TreeOut {
    let (nodes, records) = (&model.nodes[span.start..span.end], &model.records[span.start..span.end]);
    let child = |node: &Node, side: u32| if node.is_leaf() { -1 } else { (node.left + side).cast_signed() };
    let mut parents = vec![NO_PARENT; nodes.len()];
    for (parent, node) in (0_i32..).zip(nodes).filter(|(_, node)| !node.is_leaf()) {
        parents[node.left as usize] = parent;
        parents[node.left as usize + 1] = parent;
    }
    TreeOut {
        // The weights of inner nodes: XGBoost wants the field, and none of its predictors reads it.
        base_weights: vec![0.0; nodes.len()],
        categories: [],
        categories_nodes: [],
        categories_segments: [],
        categories_sizes: [],
        default_left: nodes.iter().map(|node| u8::from(!node.is_leaf() && node.missing_left())).collect(),
        id,
        left_children: nodes.iter().map(|node| child(node, 0)).collect(),
        loss_changes: records.iter().map(|record| record.gain).collect(),
        parents,
        right_children: nodes.iter().map(|node| child(node, 1)).collect(),
        split_conditions: nodes.iter().map(|node| node.value).collect(),
        split_indices: nodes.iter().map(|node| if node.is_leaf() { 0 } else { node.feature() }).collect(),
        split_type: vec![0; nodes.len()],
        sum_hessian: records.iter().map(|record| record.cover).collect(),
        tree_param: TreeParamOut {
            num_deleted: "0",
            num_feature: model.n_features.to_string(),
            num_nodes: nodes.len().to_string(),
            size_leaf_vector: "1",
        },
    }
}

/// Writes a model as XGBoost 3.2 does.
pub(super) fn write(model: &BoostedTrees, out: &mut impl Write) -> Result<(), TreesError> {
    let base: Vec<String> = model.base.iter().map(|base| format!("{base:E}")).collect();
    let gradient_booster = BoosterOut {
        model: ForestOut {
            cats: Categories { enc: [], feature_segments: [], sorted_idx: [] },
            gbtree_model_param: ForestParamOut {
                num_parallel_tree: model.parallel_trees.to_string(),
                num_trees: model.n_trees().to_string(),
            },
            iteration_indptr: &model.rounds,
            tree_info: model.spans.iter().map(|span| span.target).collect(),
            trees: TreesOut(model),
        },
        name: "gbtree",
    };
    let learner = LearnerOut {
        attributes: Empty {},
        feature_names: [],
        feature_types: [],
        gradient_booster,
        learner_model_param: ModelParamOut {
            base_score: format!("[{}]", base.join(",")),
            boost_from_average: "1",
            num_class: "0",
            num_feature: model.n_features.to_string(),
            num_target: model.n_targets().to_string(),
        },
        objective: ObjectiveOut { name: "reg:squarederror", reg_loss_param: LossParam { scale_pos_weight: "1" } },
    };
    Ok(serde_json::to_writer(out, &FileOut { learner, version: [3, 2, 0] })?)
}
