//! The loop learns what is planted, gives the same bits again, stops, and says what is wrong.

use rayon::ThreadPoolBuilder;

use super::*;
use crate::model::network::Output;
use crate::model::promoter_cnn::PromoterSettings;
use crate::model::tissue_transformer::TissueSettings;

const MOTIF: &[u8] = b"TATAAA";

fn network() -> NetworkSettings {
    let mut settings = NetworkSettings::compact(4, 32);
    settings.promoter = PromoterSettings {
        length: 32,
        channels: vec![8, 8],
        kernels: vec![6, 3],
        pool: 4,
        dropout: 0.1,
        momentum: 0.99,
    };
    settings.tissue = TissueSettings { width: 8, layers: 1, heads: 2, feed_forward: 8, dropout: 0.0 };
    (settings.pair_width, settings.pair_dropout) = (8, 0.0);
    settings
}

fn settings() -> FitSettings {
    FitSettings { epochs: 3, learning_rate: 0.01, batch: 32, chunk: 8, ..FitSettings::compact(5) }
}

/// Genes in a row, each with its right neighbour: tissue 0 is high exactly where the promoter has the motif, tissue 1
/// follows the neighbour's tissue 1, tissue 2 the distance.
fn planted(genes: usize, seed: u64) -> PairData {
    let mut generator = generator(seed, "planted");
    let mut data = PairData::default();
    for gene in 0..=genes {
        let mut bases: Vec<u8> = (0..32).map(|_| b"ACGT"[generator.random_range(0..4)]).collect();
        let with_motif = generator.random_bool(0.5);
        if with_motif {
            let at = generator.random_range(0..26);
            bases[at..at + 6].copy_from_slice(MOTIF);
        }
        data.promoters.push((gene % 17 != 16).then(|| Promoter::parse(&bases).unwrap()));
        let (own, distance) = (generator.random_range(0.0..1.0), generator.random_range(-1.0..1.0));
        data.profiles.push(vec![0.5, own, 0.5, 0.5]);
        if gene < genes {
            let aux = [distance, 1.0, 0.0, 0.0, 1.0];
            let row = gene;
            data.pairs.push(Pair {
                target_promoter: row,
                neighbour_promoter: row + 1,
                profile: row + 1,
                target: row,
                aux,
            });
        }
        data.targets.push(vec![f32::from(u8::from(with_motif)), 0.0, 0.5 + distance / 2.0, 0.3]);
    }
    for gene in 0..genes {
        data.targets[gene][1] = data.profiles[gene + 1][1];
    }
    data
}

fn bits(network: &PairNetwork) -> Vec<u8> {
    network.variables().to_bytes(DType::F32).unwrap()
}

#[test]
fn a_planted_rule_is_learned() {
    let (train, validation) = (planted(400, 1), planted(100, 2));
    let settings = FitSettings { epochs: 14, patience: 14, batch: 16, ..settings() };
    let mut seen = Vec::new();
    let (network, log) = fit(&settings, &network(), &train, &validation, |progress| seen.push(progress.epoch)).unwrap();
    assert_eq!(seen, (1..=14).collect::<Vec<_>>());
    // Knowing only the means leaves 0.25, 1/12, 1/12 and 0 a tissue: 0.104 on average.
    assert!(log.epochs[log.best].validation_loss < 0.035, "{log:?}");
    // The motif moves tissue 0, in a gene that the fit never saw.
    let level = |bases: &[u8]| {
        let promoter = Promoter::parse(bases).unwrap();
        let embeddings = network.encode_promoters(&[Some(&promoter), None], &mut Pass::Infer).unwrap();
        let batch = PairBatch {
            target_promoters: vec![0],
            neighbour_promoters: vec![1],
            neighbour_profiles: vec![0.5; 4],
            aux: vec![[0.0, 1.0, 0.0, 0.0, 1.0]],
        };
        network.forward(&embeddings, &batch, &mut Pass::Infer).unwrap().to_vec2::<f32>().unwrap()[0][0]
    };
    let (with, without) = (level(b"GCGCAGTCCATATAAAGGCATCGACTGACGTC"), level(b"GCGCAGTCCAGCTCAAGGCATCGACTGACGTC"));
    assert!(with > without + 0.3, "{with} with the motif, {without} without");
}

#[test]
fn a_seed_decides_every_bit() {
    let (train, validation) = (planted(90, 1), planted(20, 2));
    let run = |threads: usize, seed: u64| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let settings = FitSettings { epochs: 2, seed, ..settings() };
        pool.install(|| bits(&fit(&settings, &network(), &train, &validation, |_| ()).unwrap().0))
    };
    let one = run(1, 5);
    assert!(one == run(3, 5), "the number of threads changed the weights");
    assert!(one != run(1, 6), "the seed changed nothing");
}

#[test]
fn the_fit_stops_and_keeps_the_best_weights() {
    let (train, validation) = (planted(60, 1), planted(20, 2));
    let settings = FitSettings { epochs: 9, patience: 2, min_delta: 10.0, ..settings() };
    let (network, log) = fit(&settings, &network(), &train, &validation, |_| ()).unwrap();
    assert_eq!((log.best, log.epochs.len()), (0, 3), "nothing improves by 10");
    let again = validation_loss(&network, &validation, 32).unwrap();
    assert!((again - log.epochs[0].validation_loss).abs() < 1e-6, "{again} is not the first pass's {log:?}");
    assert!(log.epochs[2].train_loss < log.epochs[0].train_loss, "{log:?}");
}

#[test]
fn batches_hold_every_pair_once_and_neighbours_together() {
    let settings = FitSettings { batch: 20, chunk: 5, ..settings() };
    let mut order = generator(1, "order");
    let (first, second) = (batches(101, &settings, &mut order), batches(101, &settings, &mut order));
    assert_ne!(first, second);
    for batches in [first, second] {
        let mut all = batches.concat();
        let adjacent = all.windows(2).filter(|pair| pair[0] + 1 == pair[1]).count();
        assert!(adjacent >= 75, "{adjacent} of 101 next to their neighbour");
        all.sort_unstable();
        all.dedup();
        assert!(all.len() >= 100, "{} of 101 pairs", all.len());
    }
    assert_eq!(batches(1, &settings, &mut order), [[0]]);
}

#[test]
fn a_batch_encodes_every_promoter_once() {
    let data = planted(10, 1);
    let (promoters, batch) = data.batch(&[3, 4, 5]);
    assert_eq!((promoters.len(), batch.target_promoters), (4, vec![0, 1, 2]));
    assert_eq!(batch.neighbour_promoters, [1, 2, 3]);
}

#[test]
fn a_variable_without_gradient_is_named() {
    // With aux numbers that are all zero, nothing flows through the head's weights.
    let mut data = planted(40, 1);
    data.pairs.iter_mut().for_each(|pair| pair.aux = [0.0; AUX]);
    let only_aux = NetworkSettings { use_cnn: false, use_transformer: false, ..network() };
    match fit(&settings(), &only_aux, &data, &planted(10, 2), |_| ()) {
        Err(FitError::NoGradient(name)) => assert_eq!(name, "head.weight"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    let good = planted(20, 1);
    let refused = |settings: &FitSettings, train: &PairData| {
        fit(settings, &network(), train, &good, |_| ()).map(|_| ()).unwrap_err().to_string()
    };
    let mut broken = good.clone();
    broken.pairs[3].profile = 999;
    assert_eq!(refused(&settings(), &broken), "training pair 3 needs two profiles with one finite number a tissue");
    let mut broken = good.clone();
    broken.targets[2][1] = f32::NAN;
    assert!(refused(&settings(), &broken).contains("pair 2"));
    assert!(refused(&settings(), &PairData::default()).contains("at least one"));
    assert!(refused(&FitSettings { chunk: 0, ..settings() }, &good).contains("chunk"));
    let wild = FitSettings { learning_rate: 1e30, ..settings() };
    let linear = NetworkSettings { output: Output::Linear, ..network() };
    assert!(matches!(fit(&wild, &linear, &good, &good, |_| ()), Err(FitError::Diverged { epoch: 1 })));
}
