use super::*;
use crate::genome::{Strand, Tissue};
use crate::reference::tests::{dataset, record};

const TISSUES: usize = 8;

/// A genome whose profiles on the log scale lie on two factors, exactly.
fn low_rank_genome() -> Reference {
    let names: Vec<Tissue> = (0..TISSUES).map(|at| Tissue::from_name(&format!("Tissue {at}"))).collect();
    let mut rng = generator(3, "low-rank genome");
    let records = (0..300u32).map(|at| {
        let (a, b) = (rng.random_range(-1.0f32..1.0), rng.random_range(-1.0f32..1.0));
        let log2 = (0..TISSUES).map(|tissue| {
            let angle = tissue as f32;
            5.0 + a * angle.sin() + b * angle.cos()
        });
        let values: Vec<f32> = log2.map(|value| value.exp2() - 1.0).collect();
        let chromosome = if at < 240 { "1" } else { "2" };
        record(&format!("g{at:03}"), Some((chromosome, 10 * at + 1, 10 * at + 5, Strand::Forward)), Some(&values))
    });
    Reference::new(dataset(), names, records.collect())
}

#[test]
fn what_lies_on_few_factors_is_filled_in_exactly() {
    let reference = low_rank_genome();
    let (train, test): (Vec<_>, Vec<_>) = (0..300).partition(|gene| *gene < 240);
    let mut rng = generator(5, "hidden");
    for kind in [OwnTissuesKind::LowRank, OwnTissuesKind::ConditionalGaussian] {
        let model = fit_own_tissues(kind, &reference, &train, &test[..20], 1).unwrap();
        for &gene in &test[20..] {
            let truth = Scale::Log2.forward(reference.expression(gene));
            let kept = keep_some(reference.expression(gene), 4, &mut rng);
            let target = Target::of_gene(&reference, gene).unwrap().with_measured(&kept);
            let values = model.predict(&reference, &[target]).unwrap().remove(0).values;
            let worst = truth.iter().zip(&values).map(|(t, p)| (t - p).abs()).fold(0.0, f32::max);
            assert!(worst < 0.05, "{kind}, gene {gene}: {worst}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_model_and_no_gene_gives_none() {
    let reference = low_rank_genome();
    let genes: Vec<GeneIndex> = (0..300).collect();
    let table = table(&reference, &genes[..240]).unwrap();
    let fit = |seed| fit_low_rank(&table, &reference, &genes[240..], seed).unwrap();
    assert_eq!(fit(1), fit(1));
    assert_eq!(fit(1).rank(), 2, "the smallest rank that does is taken");
    assert!(fit_own_tissues(OwnTissuesKind::NearestProfiles, &reference, &[], &[], 1).is_err());
}
