//! The network's size, gradients, independence of the batch, and its file.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::model::layers::tests::assert_gradients;
use crate::training::init::seeded;

fn small() -> NetworkSettings {
    let mut settings = NetworkSettings::compact(6, 40);
    settings.promoter = PromoterSettings {
        length: 40,
        channels: vec![6, 7],
        kernels: vec![4, 3],
        pool: 3,
        dropout: 0.3,
        momentum: 0.99,
    };
    settings.tissue = TissueSettings { width: 8, layers: 2, heads: 2, feed_forward: 10, dropout: 0.1 };
    settings.pair_width = 9;
    settings
}

fn network(settings: &NetworkSettings, dtype: DType) -> PairNetwork {
    PairNetwork::new(settings, dtype, &Device::Cpu, &mut seeded(3)).unwrap()
}

fn promoters(length: usize) -> Vec<Promoter> {
    let base = |gene: usize, at: usize| b"ACGTTGCAN"[(at * at + gene * 7 + at * gene) % 9];
    let of = |gene| Promoter::parse(&(0..length + gene).map(|at| base(gene, at)).collect::<Vec<_>>()).unwrap();
    (0..3).map(of).collect()
}

fn batch(tissues: usize) -> PairBatch {
    PairBatch {
        target_promoters: vec![0, 1, 3, 0],
        neighbour_promoters: vec![1, 2, 1, 3],
        neighbour_profiles: (0..4 * tissues).map(|at| (at * 7 % 10) as f32 / 10.0).collect(),
        aux: vec![[0.3, 1.0, 0.0, 0.0, 1.0], [-1.0, 1.0, 0.0, 1.0, 0.0], [2.0, 0.0, 1.0, 0.0, 1.0], [0.0; 5]],
    }
}

fn with_missing(promoters: &[Promoter]) -> Vec<Option<&Promoter>> {
    promoters.iter().map(Some).chain([None]).collect()
}

fn rows(tensor: &Tensor) -> Vec<Vec<f32>> {
    tensor.to_dtype(DType::F32).unwrap().to_vec2().unwrap()
}

#[test]
fn the_published_network_has_the_published_size() {
    let settings = NetworkSettings::paper(54);
    assert_eq!(settings.features(), 261);
    let network = network(&settings, DType::F32);
    assert_eq!(network.variables().parameters(), 1_520_836);
    let of = |prefix: &str| -> usize {
        let named = network.variables().all().filter(|(name, _)| name.starts_with(prefix));
        named.map(|(_, var)| var.elem_count()).sum()
    };
    assert_eq!([of("promoter."), of("pair."), of("tissue."), of("head.")], [647_552, 65_792, 793_344, 14_148]);
    // Means and variances of 64, 128 and 256 channels are measured, not learned.
    let learned: usize = network.variables().learned().map(|(_, var)| var.elem_count()).sum();
    assert_eq!(learned, 1_520_836 - 2 * (64 + 128 + 256));
}

#[test]
fn the_whole_network_has_right_gradients() {
    let settings = small();
    let network = network(&settings, DType::F64);
    let sequences = promoters(40);
    let learned: Vec<_> = network.variables().learned().collect();
    assert_gradients(&learned, || {
        let mut generator = ChaCha8Rng::seed_from_u64(1);
        let mut pass = Pass::Train(&mut generator);
        let embeddings = network.encode_promoters(&with_missing(&sequences), &mut pass).unwrap();
        network.forward(&embeddings, &batch(6), &mut pass).unwrap()
    });
}

#[test]
fn a_pair_alone_gives_what_it_gives_in_a_batch() {
    let network = network(&small(), DType::F32).frozen().unwrap();
    let sequences = promoters(40);
    let all = with_missing(&sequences);
    let batch = batch(6);
    let embeddings = network.encode_promoters(&all, &mut Pass::Infer).unwrap();
    let together = rows(&network.forward(&embeddings, &batch, &mut Pass::Infer).unwrap());
    for pair in 0..4 {
        let own = [all[batch.target_promoters[pair]], all[batch.neighbour_promoters[pair]]];
        let target = network.encode_promoters(&own[..1], &mut Pass::Infer).unwrap();
        let neighbour = network.encode_promoters(&own[1..], &mut Pass::Infer).unwrap();
        let single = PairBatch {
            target_promoters: vec![0],
            neighbour_promoters: vec![1],
            neighbour_profiles: batch.neighbour_profiles[pair * 6..][..6].to_vec(),
            aux: vec![batch.aux[pair]],
        };
        let both = Embeddings::concat(&[&target, &neighbour]).unwrap();
        let alone = rows(&network.forward(&both, &single, &mut Pass::Infer).unwrap());
        for (a, b) in alone[0].iter().zip(&together[pair]) {
            assert!((a - b).abs() < 1e-4, "pair {pair}: {a} alone, {b} in the batch");
        }
    }
}

#[test]
fn every_input_has_a_say() {
    let network = network(&small(), DType::F32);
    let sequences = promoters(40);
    let run = |batch: &PairBatch| {
        let embeddings = network.encode_promoters(&with_missing(&sequences), &mut Pass::Infer).unwrap();
        rows(&network.forward(&embeddings, batch, &mut Pass::Infer).unwrap())
    };
    let plain = run(&batch(6));
    let changes: [fn(&mut PairBatch); 5] = [
        |batch| batch.target_promoters[0] = 2,
        |batch| batch.neighbour_promoters[0] = 3,
        |batch| batch.neighbour_profiles[4] += 0.5,
        |batch| batch.neighbour_profiles.swap(0, 1),
        |batch| batch.aux[0][0] = 1.0,
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut batch = batch(6);
        change(&mut batch);
        let out = run(&batch);
        assert_ne!(out[0], plain[0], "change {index}");
        assert_eq!(out[1], plain[1], "change {index} reached another pair");
    }
}

#[test]
fn ablations_leave_their_part_out() {
    for (cnn, transformer, aux, width) in [(true, false, true, 14), (false, true, false, 8), (false, false, true, 5)] {
        let settings = NetworkSettings { use_cnn: cnn, use_transformer: transformer, use_aux: aux, ..small() };
        let network = network(&settings, DType::F32);
        let sequences = promoters(40);
        let embeddings = network.encode_promoters(&with_missing(&sequences), &mut Pass::Infer).unwrap();
        let features = network.features(&embeddings, &batch(6), &mut Pass::Infer).unwrap();
        assert_eq!((features.dims(), settings.features()), (&[4, width][..], width));
        assert_eq!(network.variables().all().any(|(name, _)| name.starts_with("promoter.")), cnn);
    }
    let nothing = NetworkSettings { use_cnn: false, use_transformer: false, use_aux: false, ..small() };
    assert!(nothing.validate().is_err());
}

#[test]
fn a_file_brings_the_network_back_and_refuses_another() {
    let settings = small();
    let network = network(&settings, DType::F32);
    let sequences = promoters(40);
    let run = |network: &PairNetwork| {
        let embeddings = network.encode_promoters(&with_missing(&sequences), &mut Pass::Infer).unwrap();
        rows(&network.forward(&embeddings, &batch(6), &mut Pass::Infer).unwrap())
    };
    let bytes = network.variables().to_bytes(DType::F32).unwrap();
    assert_eq!(bytes, network.variables().to_bytes(DType::F32).unwrap());
    let read = |settings: &NetworkSettings, bytes: &[u8]| PairNetwork::from_bytes(settings, bytes, &Device::Cpu);
    assert_eq!(run(&read(&settings, &bytes).unwrap()), run(&network));
    let half = network.variables().to_bytes(DType::F16).unwrap();
    assert!(half.len() < bytes.len() * 3 / 4);
    for (a, b) in run(&read(&settings, &half).unwrap()).iter().flatten().zip(run(&network).iter().flatten()) {
        assert!((a - b).abs() < 0.01, "{a} in half precision, {b} in single");
    }
    let refused = |settings: &NetworkSettings, what: &str| match read(settings, &bytes) {
        Err(ModelError::Tensor { name, reason }) => {
            assert!(format!("{name} {reason}").contains(what), "{name} {reason}");
        }
        other => panic!("{what}: {other:?}"),
    };
    refused(&NetworkSettings { use_aux: false, ..small() }, "head.weight has the shape");
    refused(&NetworkSettings { missing_promoter: MissingPromoter::Zeros, ..small() }, "belongs to no layer");
    let mut deeper = small();
    deeper.tissue.layers = 3;
    refused(&deeper, "tissue.2.projection.weight is missing");
    assert!(read(&settings, b"not a file").is_err());
}

#[test]
fn threads_can_share_a_network() {
    fn shared<T: Send + Sync>(_: &T) {}
    let network = network(&small(), DType::F32).frozen().unwrap();
    let embeddings = network.encode_promoters(&[None], &mut Pass::Infer).unwrap();
    shared(&(network, embeddings));
}

#[test]
fn a_batch_of_uneven_parts_is_refused() {
    let network = network(&small(), DType::F32);
    let embeddings = network.encode_promoters(&[None], &mut Pass::Infer).unwrap();
    for spoil in
        [|batch: &mut PairBatch| batch.aux.clear(), |batch: &mut PairBatch| batch.neighbour_profiles.truncate(5)]
    {
        let mut batch = batch(6);
        spoil(&mut batch);
        assert!(matches!(network.features(&embeddings, &batch, &mut Pass::Infer), Err(ModelError::Tensor { .. })));
    }
}
