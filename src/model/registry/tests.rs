use super::*;
use crate::genome::{Allele, GeneId, VariantId};
use crate::genotype::variants::{ModelVariant, VariantTable};
use crate::model::expression::golden::GenotypeGolden;
use crate::model::expression::linear::{LINEAR, Linear};
use crate::model::expression::{ModelGene, linear_file};

fn model(weight: f64) -> Linear {
    let row = ModelVariant {
        id: VariantId::parse("rs1"),
        place: None,
        other: Allele::Base(b'A'),
        effect: Allele::Base(b'C'),
        frequency: None,
    };
    let gene = ModelGene {
        id: GeneId::parse("G").unwrap().0,
        version: None,
        name: "G".into(),
        symbol: None,
        biotype: None,
        locus: None,
        accuracy: None,
        rows: 0..1,
    };
    Linear::new(vec![gene], VariantTable { rows: vec![row], ..VariantTable::default() }, vec![weight]).unwrap()
}

/// A card of the model `one`.
pub(crate) fn card(version: &str) -> GenotypeCard {
    GenotypeCard {
        schema: SCHEMA,
        kind: KIND.to_owned(),
        name: "one".to_owned(),
        version: version.to_owned(),
        method: LINEAR.to_owned(),
        description: "a test's".to_owned(),
        tissue: None,
        assembly: None,
        liftover: None,
        unit: "none".to_owned(),
        genes: 1,
        weights: 1,
        has_frequencies: false,
        n_samples: None,
        population: None,
        import: None,
        training: None,
        accuracy: Vec::new(),
        files: BTreeMap::new(),
    }
}

pub(crate) fn files() -> BTreeMap<String, Vec<u8>> {
    files_of(0.5)
}

/// The files of a model of one variant with this weight.
pub(crate) fn files_of(weight: f64) -> BTreeMap<String, Vec<u8>> {
    let mut files = linear_file::store(&model(weight)).unwrap();
    let sample = GenotypeGolden::record(&model(weight)).unwrap();
    files.insert(golden::FILE.to_owned(), serde_json::to_vec(&sample).unwrap());
    files
}

#[test]
fn a_genotype_model_is_written_whole_and_loads_again() {
    let models = tempfile::tempdir().unwrap();
    let place = write(models.path(), &mut card("1"), &files()).unwrap();
    let loaded = load(&place).unwrap();
    assert!(loaded.digest().starts_with("sha256:"));
    let loaded = loaded.genotype().unwrap();
    assert_eq!((loaded.model.genes().len(), loaded.model.weight(0)), (1, Some(0.5)));
    assert_eq!(genotype_card(&place).unwrap(), Some(loaded.card));
    assert!(load(&place).unwrap().profile().is_none());
    let again = write(models.path(), &mut card("1"), &files()).unwrap_err().to_string();
    assert!(again.contains("version 1 of one is there already"), "{again}");
}

#[test]
fn what_does_not_fit_together_is_refused() {
    type Change = fn(&mut GenotypeCard, &mut BTreeMap<String, Vec<u8>>);
    let cases: [(Change, &str); 7] = [
        (|card, _| card.kind = "other".to_owned(), "is of the kind 'other'"),
        (|card, _| card.schema = 9, "has schema 9"),
        (|card, _| card.method = "magic".to_owned(), "the unknown method 'magic'"),
        (|card, _| card.weights = 2, "does not describe the weights"),
        (|card, _| card.has_frequencies = true, "does not describe the weights"),
        (|_, files| drop(files.remove(golden::FILE)), "golden.json: is not in the manifest"),
        (|_, files| drop(files.insert(golden::FILE.to_owned(), b"{".to_vec())), "golden.json: "),
    ];
    for (change, expected) in cases {
        let models = tempfile::tempdir().unwrap();
        let (mut card, mut files) = (card("1"), files());
        change(&mut card, &mut files);
        let place = write(models.path(), &mut card, &files).unwrap();
        let error = load(&place).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}\nwanted {expected}");
    }
}

#[test]
fn an_altered_file_and_a_copied_folder_are_refused() {
    let models = tempfile::tempdir().unwrap();
    let place = write(models.path(), &mut card("1"), &files()).unwrap();
    let copy = models.path().join("one").join("2");
    fs::create_dir(&copy).unwrap();
    for file in fs::read_dir(&place).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    assert!(load(&copy).err().unwrap().to_string().contains("which is not its folder's name"));
    fs::write(place.join(linear_file::GENES_FILE), b"{}").unwrap();
    assert!(load(&place).err().unwrap().to_string().contains("has SHA-256"));
}
