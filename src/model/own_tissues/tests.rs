use super::*;
use crate::genome::{Strand, Tissue};
use crate::reference::tests::{dataset, record};

fn names() -> Vec<String> {
    ["Liver", "Lung", "Ovary"].map(str::to_owned).to_vec()
}

fn reference() -> Reference {
    let gene = record("a", Some(("1", 5, 9, Strand::Forward)), Some(&[1.0, 2.0, 3.0]));
    Reference::new(dataset(), ["Liver", "Lung", "Ovary"].map(Tissue::from_name).to_vec(), vec![gene])
}

/// Asks for a gene whose known tissues have these values on the log scale, NaN where they are hidden.
fn ask(model: &dyn ProfileModel, log2: [f32; 3]) -> Prediction {
    let reference = reference();
    let target = Target::of_gene(&reference, 0).unwrap().with_measured(&log2.map(|value| value.exp2() - 1.0));
    model.predict(&reference, &[target]).unwrap().remove(0)
}

fn close(found: f32, expected: f64) -> bool {
    (f64::from(found) - expected).abs() < 1e-4
}

#[test]
fn the_conditional_mean_and_deviation_are_those_of_the_closed_form() {
    let (mean, covariance) = (vec![1.0, 2.0, 3.0], [2.0, 1.2, 0.4, 1.2, 1.5, 0.3, 0.4, 0.3, 1.0]);
    let model = ConditionalGaussian::new(names(), mean, &covariance);
    let nan = f32::NAN;
    let ridge = gaussian::RIDGE;
    // One tissue known: a line through the mean.
    let one = ask(&model, [2.5, nan, nan]);
    let slope = 1.2 / (2.0 + ridge);
    assert!(close(one.values[0], 2.5) && close(one.values[1], 2.0 + slope * 1.5), "{one:?}");
    assert!(close(one.spread[1], (1.5 + ridge - slope * 1.2).sqrt()), "{one:?}");
    // Two known: the inverse of a 2 × 2 matrix by hand.
    let two = ask(&model, [2.5, 1.0, nan]);
    let (a, b, d) = (2.0 + ridge, 1.2, 1.5 + ridge);
    let determinant = a * d - b * b;
    let weights = [(d * 0.4 - b * 0.3) / determinant, (a * 0.3 - b * 0.4) / determinant];
    assert!(close(two.values[2], 3.0 + weights[0] * 1.5 - weights[1]), "{two:?}");
    let variance = 1.0 + ridge - weights[0] * 0.4 - weights[1] * 0.3;
    assert!(close(two.spread[2], variance.sqrt()) && two.spread.iter().all(|spread| *spread > 0.0), "{two:?}");
}

#[test]
fn with_nothing_known_every_baseline_answers_the_mean() {
    let mean = vec![1.0, 2.0, 3.0];
    let table = ProfileTable { tissues: names(), genes: vec![7], log2: vec![0.5, 0.5, 0.5], mean: mean.clone() };
    let identity = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let models: [Box<dyn ProfileModel>; 3] = [
        Box::new(ConditionalGaussian::new(names(), mean.clone(), &identity)),
        Box::new(NearestProfiles::new(table)),
        Box::new(LowRank::new(names(), mean, &[1.0, 1.0, 1.0], 0.1)),
    ];
    for model in &models {
        assert!(model.reads_measured() && model.scale() == Scale::Log2);
        let prediction = ask(&**model, [f32::NAN; 3]);
        assert_eq!(prediction.values, [1.0, 2.0, 3.0]);
        let all = ask(&**model, [4.0, 3.0, 2.0]);
        assert!(all.values.iter().zip([4.0, 3.0, 2.0]).all(|(found, told)| close(*found, told)), "{all:?}");
    }
}

#[test]
fn the_nearest_genes_are_those_alike_where_the_gene_is_known() {
    // 30 genes: 20 with 1 in the first tissue and 5 in the last, 10 with 4 and 0. The gene itself is one of them.
    let genes: Vec<GeneIndex> = (0..30).collect();
    let first = genes.iter().map(|gene| if *gene < 10 { 4.0 } else { 1.0 });
    let second = genes.iter().map(|gene| *gene as f32);
    let third = genes.iter().map(|gene| if *gene < 10 { 0.0 } else { 5.0 });
    let log2: Vec<f32> = first.chain(second).chain(third).collect();
    let model = NearestProfiles::new(ProfileTable { tissues: names(), genes, log2, mean: vec![0.0; 3] });
    let alike = ask(&model, [1.1, f32::NAN, f32::NAN]);
    assert!(close(alike.values[2], 5.0) && close(alike.values[1], 19.5), "{alike:?}");
    let other = ask(&model, [4.0, f32::NAN, f32::NAN]);
    assert!(
        close(other.values[2], 5.0 * 11.0 / 20.0),
        "nine others are alike, the gene itself does not count: {other:?}"
    );
}

#[test]
fn a_profile_on_the_factors_is_found_from_part_of_it() {
    let model = LowRank::new(names(), vec![1.0, 2.0, 3.0], &[1.0, 2.0, -1.0], 1e-6);
    let found = ask(&model, [1.5, f32::NAN, f32::NAN]);
    assert!(close(found.values[1], 3.0) && close(found.values[2], 2.5), "{found:?}");
    assert_eq!((model.rank(), model.penalty()), (1, 1e-6));
}
