use proptest::prelude::*;

use super::*;
use crate::model::expression::golden::GenotypeGolden;

fn position(base: u32) -> Position {
    Position::new(base).unwrap()
}

fn gene(name: &str, rows: Range<usize>, accuracy: Option<GeneAccuracy>) -> ModelGene {
    let (id, version) = GeneId::parse(name).unwrap();
    let chromosome = Chromosome::parse("1").unwrap();
    ModelGene {
        id,
        version,
        name: name.into(),
        symbol: version.map(|_| GeneSymbol::new("SYM")),
        biotype: version.map(|_| Biotype::new("lincRNA")),
        locus: version.map(|_| (chromosome, position(5), position(9))),
        accuracy,
        rows,
    }
}

fn model() -> Linear {
    let accuracy = GeneAccuracy {
        r2: Some(0.1),
        n: Some(7),
        kind: "measured".to_owned(),
        r: Some(0.3),
        method: Some("elastic-net".to_owned()),
        ..GeneAccuracy::default()
    };
    let place = |chromosome: &str, base| Some((Chromosome::parse(chromosome).unwrap(), position(base)));
    let row = |id: &str, place, other: &str, effect: &str, frequency| ModelVariant {
        id: VariantId::parse(id),
        place,
        other: Allele::parse(other).unwrap(),
        effect: Allele::parse(effect).unwrap(),
        frequency,
    };
    let rows = vec![
        row("rs5", place("1", 17), "A", "G", Some(0.25)),
        row("", place("X", 9), "ACGT", "A", None),
        row("näme", None, "N", "T", Some(0.0)),
    ];
    let lifted = |base, reversed| {
        Some(LiftedPlace { chromosome: Chromosome::parse("7").unwrap(), position: position(base), reversed })
    };
    let table = VariantTable {
        rows,
        assembly: Some(Assembly::parse("hg38").unwrap()),
        other_is_reference: true,
        lifted: Some(LiftedRows {
            assembly: Assembly::parse("hg19").unwrap(),
            places: vec![lifted(3, true), None, lifted(4, false)],
        }),
    };
    let genes = vec![gene("ENSG01.3", 0..2, Some(accuracy)), gene("intron_1", 2..2, None), gene("B", 2..3, None)];
    Linear::new(genes, table, vec![0.5, -1e-9, 3.0]).unwrap()
}

#[test]
fn what_is_stored_loads_again() {
    let model = model();
    let files = store(&model).unwrap();
    assert_eq!(load(&files).unwrap(), model);
    assert_eq!(store(&model).unwrap(), files, "the same model gives the same bytes");
    let empty = Linear::new(Vec::new(), VariantTable::default(), Vec::new()).unwrap();
    assert_eq!(load(&store(&empty).unwrap()).unwrap(), empty);
    GenotypeGolden::record(&empty).unwrap().check(&empty).unwrap();
}

#[test]
fn the_golden_sample_finds_another_weight() {
    let first = model();
    let golden = GenotypeGolden::record(&first).unwrap();
    golden.check(&first).unwrap();
    let mut genes = first.genes().to_vec();
    let other = Linear::new(genes.clone(), first.variants().clone(), vec![0.5, -1e-9, 3.1]).unwrap();
    assert!(golden.check(&other).unwrap_err().to_string().contains("gene B is now predicted otherwise"));
    genes[2].name = "C".into();
    let renamed = Linear::new(genes, first.variants().clone(), vec![0.5, -1e-9, 3.0]).unwrap();
    assert!(golden.check(&renamed).unwrap_err().to_string().contains("is not number 2 of the model"));
}

/// The weights file with one tensor's bytes changed.
fn altered(name: &str, change: impl Fn(&mut Vec<u8>)) -> BTreeMap<String, Vec<u8>> {
    let mut files = store(&model()).unwrap();
    let bytes = files[WEIGHTS_FILE].clone();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let changed: Vec<_> = tensors
        .iter()
        .map(|(found, view)| {
            let mut data = view.data().to_vec();
            if found == name {
                change(&mut data);
            }
            (found.to_owned(), view.dtype(), data)
        })
        .collect();
    let views = changed.iter().map(|(found, dtype, data)| {
        let shape = vec![data.len() * 8 / dtype.bitsize()];
        (found.clone(), safetensors::tensor::TensorView::new(*dtype, shape, data).unwrap())
    });
    files.insert(WEIGHTS_FILE.to_owned(), safetensors::serialize(views, None).unwrap());
    files
}

#[test]
fn altered_tensors_are_named() {
    type Change = fn(&mut Vec<u8>);
    let cases: [(&str, Change, &str); 13] = [
        ("gene_offsets", |b| b[4] = 9, "tensor 'weight'"),
        ("gene_offsets", |b| b[8] = 1, "tensor 'weight' does not follow the genes"),
        ("gene_offsets", |b| b.truncate(8), "tensor 'gene_offsets' does not fit the genes"),
        ("weight", |b| b[..8].copy_from_slice(&f64::NAN.to_le_bytes()), "a weight that is not finite"),
        ("weight", |b| b.truncate(8), "tensor 'weight' has shape [1]"),
        ("frequency", |b| b[..4].copy_from_slice(&1.5f32.to_le_bytes()), "1.5 in row 0, not between 0 and 1"),
        ("chromosome", |b| b[0] = 200, "200 with position 17 in row 0 is no place"),
        ("position", |b| b[..4].fill(0), "1 with position 0 in row 0 is no place"),
        ("other_bytes", |b| b[0] = b'!', "tensor 'other_bytes' in row 0"),
        ("id_offsets", |b| b[4] = 99, "tensor 'id_offsets' does not fit"),
        ("id_bytes", |b| b[1] = 0xff, "tensor 'id_bytes'"),
        ("effect_offsets", |b| b[4] = 0, "tensor 'effect_bytes' in row 0"),
        ("lifted_reversed", |b| b[0] = 2, "other than 0 and 1"),
    ];
    for (name, change, expected) in cases {
        let error = load(&altered(name, change)).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}\nwanted {expected}");
    }
    for name in [WEIGHTS_FILE, GENES_FILE] {
        let mut files = store(&model()).unwrap();
        files.remove(name);
        assert!(load(&files).unwrap_err().to_string().contains("is not in the manifest"));
    }
}

proptest! {
    #[test]
    fn never_panics(place in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        for name in [WEIGHTS_FILE, GENES_FILE] {
            let mut files = store(&model()).unwrap();
            let bytes = files.get_mut(name).unwrap();
            let at = place.index(bytes.len());
            bytes[at] = byte;
            if cut {
                bytes.truncate(at);
            }
            let _ = load(&files);
        }
    }
}
