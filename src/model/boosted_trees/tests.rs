//! Against models and predictions of XGBoost itself (`tests/data/xgboost/make.py`), and against hostile files.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/xgboost/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

static CASES: LazyLock<Value> = LazyLock::new(|| serde_json::from_slice(&fixture("cases.json")).unwrap());
static MULTI_JSON: LazyLock<Vec<u8>> = LazyLock::new(|| fixture("multi.json"));
static MULTI_UBJSON: LazyLock<Vec<u8>> = LazyLock::new(|| fixture("multi.ubj"));

/// Reads nested lists, null as NaN.
fn table(rows: &Value) -> Vec<f32> {
    let cells = rows.as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap());
    cells.map(|cell| cell.as_f64().map_or(f32::NAN, |number| number as f32)).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn predictions_equal_those_of_the_library_to_the_bit() {
    let features = table(&CASES["features"]);
    assert!(features.iter().any(|value| value.is_nan()));
    for name in ["single", "multi", "forest", "pruned", "quantile", "old"] {
        let model = BoostedTrees::read(&fixture(&format!("{name}.json"))).unwrap();
        let expected = table(&CASES["predictions"][name]);
        assert_eq!(bits(&model.predict(&features).unwrap()), bits(&expected), "{name}");
        let written = BoostedTrees::read(&model.to_json().unwrap()).unwrap();
        assert_eq!(written, model, "{name} read, written and read again");
        assert_eq!(BoostedTrees::read(&model.to_json_gz().unwrap()).unwrap(), model, "{name} packed");
    }
}

#[test]
fn margins_take_the_place_of_the_base() {
    let model = BoostedTrees::read(&MULTI_JSON).unwrap();
    let (features, margins) = (table(&CASES["features"]), table(&CASES["margins"]));
    let found = model.predict_with_margin(&features, &margins).unwrap();
    assert_eq!(bits(&found), bits(&table(&CASES["predictions_with_margin"])));
    assert!(model.predict_with_margin(&features, &margins[1..]).is_err());
    assert!(model.predict(&features[1..]).unwrap_err().to_string().contains("419 values where 420 are due"));
    assert_eq!(model.predict(&[]).unwrap(), Vec::<f32>::new());
}

#[test]
fn ubjson_is_the_same_model_as_json() {
    assert_eq!(BoostedTrees::read(&MULTI_UBJSON).unwrap(), BoostedTrees::read(&MULTI_JSON).unwrap());
}

#[test]
fn one_row_and_many_on_any_number_of_threads_are_equal_to_the_bit() {
    let model = BoostedTrees::read(&MULTI_JSON).unwrap();
    let features = table(&CASES["features"]).repeat(100);
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let two = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    assert!(features.len() / 6 * model.n_trees() >= SERIAL_WALKS, "enough for threads");
    let serial = alone.install(|| model.predict(&features)).unwrap();
    assert_eq!(bits(&serial), bits(&two.install(|| model.predict(&features)).unwrap()));
    for (row, expected) in features.chunks(6).zip(serial.chunks(3)).take(70) {
        assert_eq!(bits(&model.predict(row).unwrap()), bits(expected));
    }
}

/// The file that `tests/data/xgboost/check.py` gives to the library.
#[test]
fn the_written_file_is_the_one_that_the_library_was_given() {
    let written = BoostedTrees::read(&MULTI_JSON).unwrap().to_json().unwrap();
    if std::env::var_os("TISSUECAST_WRITE_FIXTURES").is_some() {
        std::fs::write(format!("{}/tests/data/xgboost/written.json", env!("CARGO_MANIFEST_DIR")), &written).unwrap();
    }
    assert!(written == fixture("written.json"), "write it anew with TISSUECAST_WRITE_FIXTURES=1, then run check.py");
}

#[test]
fn gain_is_summed_by_output_and_feature() {
    let model = BoostedTrees::read(&MULTI_JSON).unwrap();
    let gains: Vec<Vec<f64>> = (0..3).map(|target| model.gain(target).unwrap()).collect();
    let most = |gains: &[f64]| (0..6).max_by(|a, b| gains[*a].total_cmp(&gains[*b])).unwrap();
    // The generator's outputs are x0·[x1 > 0], sin 2·x2 + x3 and x4².
    assert_eq!((most(&gains[0]), most(&gains[1]), most(&gains[2])), (0, 3, 4));
    let trees: Value = serde_json::from_slice(&MULTI_JSON).unwrap();
    let trees = &trees["learner"]["gradient_booster"]["model"]["trees"];
    let changes =
        |tree: &Value| -> f64 { tree["loss_changes"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).sum() };
    let expected: f64 = trees.as_array().unwrap().iter().map(changes).sum();
    assert!((gains.iter().flatten().sum::<f64>() / expected - 1.0).abs() < 1e-6);
    assert_eq!(model.gain(3), None);
}

fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", chain(source)))
}

#[test]
fn other_boosters_objectives_and_splits_are_refused_by_name() {
    let cases = [
        ("dart", "booster 'dart'"),
        ("gblinear", "booster 'gblinear'"),
        ("logistic", "objective 'binary:logistic'"),
        ("vector_leaves", "multi_output_tree"),
        ("categorical", "tree 0 of the model: categorical splits"),
    ];
    for (name, expected) in cases {
        let error = BoostedTrees::read(&fixture(&format!("refused_{name}.json"))).unwrap_err();
        assert!(error.to_string().contains(expected), "{name}: {error}");
    }
    assert!(matches!(BoostedTrees::read(b"binf\0\0\0"), Err(TreesError::BinaryFormat)));
}

#[test]
fn a_damaged_field_is_named() {
    let header = "/learner/learner_model_param";
    let forest = "/learner/gradient_booster/model";
    let tree = "/learner/gradient_booster/model/trees/1";
    let cases = [
        (format!("{header}/base_score"), json!("[1,2]"), "base_score of the model is '[1,2]'"),
        (format!("{header}/base_score"), json!("nan"), "base_score"),
        (format!("{header}/num_feature"), json!("0"), "num_feature"),
        (format!("{header}/num_feature"), json!("5"), "splits on a feature that the model has not"),
        (format!("{header}/num_target"), json!("4000000000"), "num_target"),
        (format!("{header}/num_class"), json!("3"), "num_class"),
        (format!("{forest}/tree_info"), json!([0]), "tree_info"),
        (format!("{forest}/tree_info/1"), json!(3), "tree 1 of the model: it adds to an output"),
        (format!("{forest}/iteration_indptr"), json!([0, 9, 3, 18]), "iteration_indptr"),
        (format!("{forest}/gbtree_model_param/num_parallel_tree"), json!("-1"), "num_parallel_tree"),
        (format!("{tree}/left_children/0"), json!(0), "tree 1 of the model: node 0 is reached twice"),
        (format!("{tree}/left_children/0"), json!(2), "node 2 is reached twice"),
        (format!("{tree}/right_children/0"), json!(99), "node 0 has a child outside"),
        (format!("{tree}/right_children/0"), json!(-1), "node 0 has a child outside"),
        (format!("{tree}/split_indices/0"), json!(6), "node 0 splits on a feature"),
        (format!("{tree}/split_conditions/0"), json!(1e300), "number out of range"),
        (format!("{tree}/split_conditions"), json!([]), "different lengths"),
        (format!("{tree}/default_left/0"), json!("yes"), "0 or 1"),
        (format!("{tree}/tree_param"), json!(null), "not a JSON model"),
    ];
    let whole: Value = serde_json::from_slice(&MULTI_JSON).unwrap();
    for (field, value, expected) in cases {
        let mut edited = whole.clone();
        *edited.pointer_mut(&field).unwrap() = value;
        let error = BoostedTrees::read(edited.to_string().as_bytes()).unwrap_err();
        assert!(chain(&error).contains(expected), "{field}: {}", chain(&error));
    }
}

#[test]
fn what_unpacks_to_too_much_is_refused() {
    let packed = BoostedTrees::read(&MULTI_JSON).unwrap().to_json_gz().unwrap();
    assert!(matches!(gunzip(&packed, 100), Err(TreesError::TooLarge { limit: 100 })));
    assert!(matches!(BoostedTrees::read(&packed[..packed.len() / 2]), Err(TreesError::Gzip(_))));
}

#[test]
fn a_ubjson_count_cannot_allocate_and_a_ubjson_nan_is_refused() {
    let marker = b"split_conditions[$d#L";
    let place = MULTI_UBJSON.windows(marker.len()).position(|window| window == marker).unwrap() + marker.len();
    let mut bytes = MULTI_UBJSON.clone();
    bytes[place] = 0x10;
    assert!(chain(&BoostedTrees::read(&bytes).unwrap_err()).contains("the file ends"));
    // Behind the count of eight bytes, the first threshold.
    let mut bytes = MULTI_UBJSON.clone();
    bytes[place + 8..place + 12].copy_from_slice(&f32::NAN.to_be_bytes());
    let error = BoostedTrees::read(&bytes).unwrap_err().to_string();
    assert_eq!(error, "tree 0 of the model: node 0 has a number that is not finite");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn changed_bytes_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let row = [0.5, f32::NAN, -1.0, 2.0, 0.0, -0.0];
        for whole in [&*MULTI_JSON, &*MULTI_UBJSON] {
            let mut bytes = whole.clone();
            for (place, byte) in &changes {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            if let Ok(model) = BoostedTrees::read(&bytes) {
                let _ = model.predict(&row[..model.n_features().min(6)]);
                prop_assert_eq!(BoostedTrees::read(&model.to_json().unwrap()).unwrap(), model);
            }
            let cut = changes[0].0.index(whole.len());
            prop_assert!(BoostedTrees::read(&whole[..cut]).is_err());
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), start in 0..5_usize) {
        let starts: [&[u8]; 5] = [b"", b"{", b"{L", b"{i\x07learner{", b"\x1f\x8b\x08"];
        prop_assert!(BoostedTrees::read(&[starts[start], &bytes].concat()).is_err());
    }
}
