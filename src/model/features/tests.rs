#![expect(clippy::float_cmp, reason = "the expected numbers are exact")]

use super::*;
use crate::genome::{Biotype, Promoter, Strand};
use crate::reference::GeneRecord;
use crate::reference::tests::{dataset, record};

fn reference() -> Reference {
    let with = |id, start, strand, values: &[f32], biotype| {
        let mut record: GeneRecord = record(id, Some(("1", start, start + 400, strand)), Some(values));
        record.gene.biotype = Some(Biotype::new(biotype));
        record.promoter = Some(Promoter::parse(b"ACGTNCGGATACA").unwrap());
        record
    };
    let records = vec![
        with("a", 1_000, Strand::Forward, &[1.0, 3.0, 0.0], "protein_coding"),
        with("b", 1_300, Strand::Reverse, &[0.0, 7.0, 1.0], "lincRNA"),
        with("c", 9_000, Strand::Forward, &[5.0, 1.0, 0.0], "snoRNA"),
        with("d", 90_000, Strand::Forward, &[2.0, 2.0, 2.0], "protein_coding"),
    ];
    Reference::new(dataset(), ["Liver", "Lung", "Testis"].map(Tissue::from_name).to_vec(), records)
}

fn all_blocks() -> Features {
    let mut blocks = Features::surroundings_and_promoter(5).blocks().to_vec();
    blocks.push(FeatureBlock::NearestProfile { form: ProfileForm::MinMax });
    Features::try_new(blocks).unwrap()
}

#[test]
fn every_column_has_a_name_of_its_own() {
    let reference = reference();
    for features in [all_blocks(), Features::neighbours_and_promoter()] {
        let names = features.names(reference.tissues());
        assert_eq!(names.len(), features.width(3));
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), names.len());
        assert_eq!(features.spans(3).last().map(|(_, columns)| columns.end), Some(names.len()));
    }
}

#[test]
fn a_row_is_the_same_alone_and_in_a_batch() {
    let reference = reference();
    let vicinity = reference.vicinity();
    let targets: Vec<_> = (0..4).map(|gene| Target::of_gene(&reference, gene).unwrap()).collect();
    let together = all_blocks().matrix(&reference, vicinity, &targets);
    for (row, target) in targets.iter().enumerate() {
        let alone = all_blocks().matrix(&reference, vicinity, std::slice::from_ref(target));
        let bits = |row: &[f32]| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(alone.row(0)), bits(together.row(row)));
    }
}

#[test]
fn the_targets_own_profile_is_never_read() {
    let honest = reference();
    let mut records: Vec<GeneRecord> = (0..4)
        .map(|gene| GeneRecord {
            gene: honest.gene(gene).clone(),
            expression: Some(honest.expression(gene).to_vec()),
            promoter: honest.promoter(gene).cloned(),
        })
        .collect();
    records[0].expression = Some(vec![100.0, 0.0, 50.0]);
    let changed = Reference::new(dataset(), honest.tissues().to_vec(), records);
    let row = |reference: &Reference| {
        let target = Target::of_gene(reference, 0).unwrap();
        let matrix = all_blocks().matrix(reference, reference.vicinity(), &[target]);
        matrix.values().iter().map(|value| value.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(row(&honest), row(&changed));
}

#[test]
fn neighbours_are_described_by_hand_computed_numbers() {
    let reference = reference();
    let target = Target::of_gene(&reference, 0).unwrap();
    let blocks = vec![
        FeatureBlock::FlankContext { side: 1 },
        FeatureBlock::FlankProfiles { side: 1, form: ProfileForm::Log2 },
        FeatureBlock::SubsetProfiles { form: ProfileForm::Log2, subset: Subset::OverlapOppositeStrand },
        FeatureBlock::KernelProfiles {
            form: ProfileForm::Log2,
            subset: Subset::SameStrand,
            bandwidths_bp: vec![8_000],
        },
    ];
    let features = Features::try_new(blocks).unwrap();
    let matrix = features.matrix(&reference, reference.vicinity(), &[target]);
    let names = features.names(reference.tissues());
    let value = |name: &str| matrix.row(0)[names.iter().position(|n| n.ends_with(name)).unwrap()];
    // b starts at 1,700 on the other strand, to the right: the two starts point at each other's ends.
    assert_eq!((value("left1_present"), value("right1_present")), (0.0, 1.0));
    assert!(value("left1_log_distance").is_nan() && value("left1_Lung").is_nan());
    assert!((value("right1_log_distance") - 701f32.log10()).abs() < 1e-6);
    assert_eq!((value("right1_same_strand"), value("right1_divergent"), value("right1_lincRNA")), (0.0, 0.0, 1.0));
    assert_eq!(value("right1_Lung"), 3.0);
    assert!((value("overlap_opposite_strand:Lung") - 3.0 / 1.5).abs() < 1e-6);
    let weight = (-1f32).exp();
    assert!((value("8000bp_Liver") - weight * 6f32.log2() / (weight + 0.1)).abs() < 1e-6);
}

#[test]
fn words_of_both_strands_share_a_column() {
    for k in 1..=6 {
        assert_eq!(promoter::words(k), promoter::word_names(k).len());
    }
    let count = |bases: &[u8]| {
        let mut out = vec![f32::NAN; promoter::words(2)];
        promoter::count_words(2, bases, &mut out);
        out
    };
    // AC GT NN: AC and its reverse complement GT are one word; CG is across; TN and NG are no words.
    let names = promoter::word_names(2);
    let counts = count(b"ACGTNG");
    for (name, count) in names.iter().zip(&counts) {
        let expected = match name.as_str() {
            "AC" => 2f32.sqrt(),
            "CG" => 1.0,
            _ => 0.0,
        };
        assert_eq!(*count, expected, "{name}");
    }
    assert_eq!(count(b"AACCGTTACG"), count(b"CGTAACGGTT"), "a promoter and its reverse complement");
    assert!(count(b"ANCNG").iter().all(|value| value.is_nan()), "no known word is not a count of zero");
}

#[test]
fn composition_counts_by_bin() {
    let mut out = vec![f32::NAN; 12];
    promoter::composition(b"CGCGGATTTC", 4, &mut out);
    assert_eq!(out[..4], [1.0, 2.0, 0.5, 0.0]);
    assert_eq!(out[4..8], [0.25, 0.0, 0.0, 0.25]);
    assert_eq!(out[8], 0.5, "the last bin is cut short");
}

#[test]
fn settings_come_back_and_bad_ones_are_refused() {
    let features = all_blocks();
    let text = serde_json::to_string(&features).unwrap();
    assert_eq!(serde_json::from_str::<Features>(&text).unwrap(), features);
    for bad in [r"[]", r#"[{"block":"promoter_kmers","k":9,"window":null}]"#, r#"[{"block":"flank_context","side":0}]"#]
    {
        assert!(serde_json::from_str::<Features>(bad).is_err(), "{bad}");
    }
}
