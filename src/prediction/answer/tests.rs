//! Every form with two models, unknown values, families and no genes at all; readers that go away.

use std::io::{self, Read as _, Write};
use std::sync::Arc;

use super::*;
use crate::genome::{Biotype, Chromosome, GeneId, GeneSymbol};
use crate::genotype::report::{AssemblyFound, KindCounts, MatchKind, MatchedRecord, VariantOutcome};
use crate::genotype::variants::VariantTable;
use crate::genotype::{Place, Policies, ReadLimits, Sample, Samples};
use crate::model::expression::linear::Linear;
use crate::model::expression::{GeneAccuracy, GenotypeCard, ModelGene};
use crate::prediction::Reason;

mod binary;
mod text;

fn model(name: &str, assembly: &str, genes: &[&str]) -> Arc<ServedGenotypeModel> {
    let card = GenotypeCard {
        schema: 1,
        kind: "genotype".to_owned(),
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        method: "linear".to_owned(),
        description: "A small model.".to_owned(),
        tissue: Some("Whole_Blood".to_owned()),
        assembly: Some(assembly.to_owned()),
        liftover: None,
        unit: "normalised expression".to_owned(),
        genes: genes.len(),
        weights: 0,
        has_frequencies: false,
        n_samples: None,
        population: None,
        import: None,
        training: None,
        accuracy: Vec::new(),
        files: std::collections::BTreeMap::new(),
    };
    let gene = |name: &&str| {
        let (id, version) = GeneId::parse(name).unwrap();
        let accuracy = GeneAccuracy {
            r2: Some(0.25),
            n: Some(280),
            kind: "cross-validation".to_owned(),
            ..GeneAccuracy::default()
        };
        ModelGene {
            id,
            version,
            name: (*name).into(),
            symbol: version.map(|_| GeneSymbol::new("ALPHA")),
            biotype: version.map(|_| Biotype::new("protein_coding")),
            locus: None,
            accuracy: version.map(|_| accuracy),
            rows: 0..0,
        }
    };
    let genes = genes.iter().map(gene).collect();
    let model = Arc::new(Linear::new(genes, VariantTable::default(), Vec::new()).unwrap());
    Arc::new(ServedGenotypeModel { card, digest: format!("sha256:{name}"), model })
}

fn heading(samples: Vec<Sample>, models: Vec<Arc<ServedGenotypeModel>>) -> Heading {
    Heading {
        samples: Arc::new(Samples::new(samples, &ReadLimits::default()).unwrap()),
        assemblies: models
            .iter()
            .map(|model| crate::genome::Assembly::parse(model.card.assembly.as_deref()?).ok())
            .collect(),
        models,
        policies: Policies::default(),
        explained: false,
        genes_not_found: vec!["NOPE\"1".to_owned()],
    }
}

/// Three people, one in a family and one whose name is a fixed column's; two models; a gene without a place.
fn two_models() -> (Heading, Vec<GeneAnswer>) {
    let family = Sample { family: Some("F1".into()), ..Sample::named("S1") };
    let samples = vec![family, Sample::named("gene"), Sample::named("sample:gene")];
    let models = vec![
        model("blood", "GRCh38", &["ENSG00000000001.4", "intron_1"]),
        model("brain", "hg38", &["ENSG00000000001"]),
    ];
    let heading = heading(samples, models);
    let answers = vec![
        gene((0, 0), &[0.125, f64::NAN, -1.0 / 3.0], Some(("2", 999, 2000))),
        GeneAnswer { reason: Some(Reason::NoVariantInInput), ..gene((1, 0), &[f64::NAN; 3], Some(("10", 5, 6))) },
        gene((0, 1), &[1e-7, 0.0, 12_345.678_912_345], None),
    ];
    (heading, answers)
}

fn gene((model, gene): (usize, usize), values: &[f64], place: Option<(&str, u32, u32)>) -> GeneAnswer {
    let mut by_kind = KindCounts::default();
    for kind in [MatchKind::Exact, MatchKind::Swapped, MatchKind::Absent] {
        by_kind.add(kind);
    }
    GeneAnswer {
        model,
        gene,
        values: values.to_vec(),
        by_kind,
        assumed_reference: 1,
        weight_fraction_used: Some(0.75),
        reason: None,
        interval: place.map(|(chromosome, start, end)| (Chromosome::parse(chromosome).unwrap(), start, end)),
        variants: None,
        explanation: None,
    }
}

fn report() -> Report {
    Report {
        records: 7,
        records_unused: 1,
        format: "vcf".to_owned(),
        assembly: Some(AssemblyFound { name: "GRCh38".to_owned(), from: "input" }),
        policies: Policies::default(),
        by_kind: KindCounts::default(),
        duplicate_records: 0,
        missing_genotypes: 0,
        values_lost_to_missing: 0,
        haploid_calls: 0,
        models: Vec::new(),
        diagnosis: None,
        notes: Vec::new(),
        used_by_chromosome: std::collections::BTreeMap::new(),
        by_chromosome: std::collections::BTreeMap::new(),
    }
}

fn give(answer: &mut dyn Answer, heading: &Heading, genes: &[GeneAnswer]) -> Result<(), AnswerError> {
    answer.begin(heading)?;
    genes.iter().try_for_each(|gene| answer.gene(heading, gene.clone()))?;
    answer.finish(heading, &report())
}

fn bytes(form: Form, packing: Packing, heading: &Heading, genes: &[GeneAnswer]) -> Result<Vec<u8>, AnswerError> {
    let mut bytes = Vec::new();
    let mut answer = form.writer(packing, &mut bytes);
    give(&mut *answer, heading, genes)?;
    drop(answer);
    Ok(bytes)
}

/// People by genes, with numbers that look like predictions and one in a hundred unknown.
fn large(people: usize, genes: usize) -> (Heading, Vec<GeneAnswer>) {
    let samples = (0..people).map(|person| Sample::named(&format!("S{person}"))).collect();
    let names: Vec<String> = (0..genes).map(|gene| format!("ENSG{gene:011}.1")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut state = 7_u64;
    let mut value = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let unit = (state >> 11) as f64 / (1_u64 << 53) as f64;
        if (state >> 33).is_multiple_of(128) { f64::NAN } else { 4.0 * unit - 2.0 }
    };
    let row = |at: usize| {
        gene((0, at), &(0..people).map(|_| value()).collect::<Vec<_>>(), Some(("1", at as u32, at as u32 + 9)))
    };
    let answers = (0..genes).map(row).collect();
    (heading(samples, vec![model("blood", "GRCh38", &names)]), answers)
}

#[test]
fn forms_are_told_by_the_ending() {
    let cases = [
        ("a.json", Some((Form::Json, Packing::Plain))),
        ("dir.bed/a.TSV", Some((Form::Tsv, Packing::Plain))),
        ("a.txt", Some((Form::Tsv, Packing::Plain))),
        ("a.tsv.gz", Some((Form::Tsv, Packing::Bgzip))),
        ("a.bed", Some((Form::Bed, Packing::Plain))),
        ("a.bed.gz", Some((Form::Bed, Packing::Bgzip))),
        ("a.arrow", Some((Form::Arrow, Packing::Plain))),
        ("a.arrows", Some((Form::Arrow, Packing::Plain))),
        ("a.b.parquet", Some((Form::Parquet, Packing::Plain))),
        ("a.parquet.gz", None),
        ("a.arrow.gz", None),
        ("a.csv", None),
        ("json", None),
        ("..", None),
        ("", None),
    ];
    for (path, expected) in cases {
        let found = Form::of_path(Path::new(path));
        assert_eq!(found.as_ref().ok(), expected.as_ref(), "{path}");
        assert!(found.is_ok() || found.unwrap_err().contains(".parquet"), "{path}");
    }
    for form in Form::ALL {
        assert_eq!(Form::of_path(Path::new(&format!("a.{}", form.name()))), Ok((form, Packing::Plain)));
    }
}

/// Takes so many bytes and fails.
struct Gone(usize);

impl Write for Gone {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 < bytes.len() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.0 -= bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.0 == 0 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }
}

#[test]
fn a_reader_that_has_gone_stops_the_work() {
    let (heading, genes) = large(300, 400);
    for form in Form::ALL {
        for packing in [Packing::Plain, Packing::Bgzip] {
            for room in [0, 1, 20_000, 200_000] {
                let mut answer = form.writer(packing, Gone(room));
                let mut given = 0;
                let result = answer.begin(&heading).and_then(|()| {
                    genes.iter().try_for_each(|gene| {
                        given += 1;
                        answer.gene(&heading, gene.clone())
                    })
                });
                // What holds everything until the end can notice at the end only.
                let late = matches!(form, Form::Tsv | Form::Parquet);
                assert!(late || given < 200, "{form:?} {packing:?} {room}: noticed after {given} genes");
                let result = result.and_then(|()| answer.finish(&heading, &report()));
                assert!(matches!(&result, Err(AnswerError::Io(_))), "{form:?} {packing:?} {room}: {result:?}");
            }
        }
    }
}

#[test]
fn what_is_no_value_is_refused() {
    let (heading, genes) = two_models();
    for form in Form::ALL {
        for (values, expected) in [
            (vec![0.0, f64::INFINITY, 0.0], "an infinite value for person 2"),
            (vec![0.0, 0.0], "2 values for 3 people"),
        ] {
            let error = bytes(form, Packing::Plain, &heading, &[GeneAnswer { values, ..genes[0].clone() }]);
            let error = error.unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("'ENSG00000000001.4' of model 'blood'"), "{error}");
        }
    }
}

#[test]
fn parts_in_the_wrong_order_are_refused() {
    let (heading, genes) = two_models();
    for form in [Form::Json, Form::Tsv, Form::Arrow, Form::Parquet] {
        let mut answer = form.writer(Packing::Plain, Vec::new());
        assert!(answer.gene(&heading, genes[0].clone()).is_err(), "{form:?}");
    }
    for form in Form::ALL {
        let mut answer = form.writer(Packing::Plain, Vec::new());
        give(&mut answer, &heading, &genes).unwrap();
        assert!(answer.finish(&heading, &report()).is_err(), "{form:?}");
    }
}

#[test]
fn a_packed_answer_unpacks_to_the_plain_one() {
    let (heading, genes) = large(40, 300);
    for form in Form::ALL {
        let plain = bytes(form, Packing::Plain, &heading, &genes).unwrap();
        let packed = bytes(form, Packing::Bgzip, &heading, &genes).unwrap();
        let mut back = Vec::new();
        flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut back).unwrap();
        assert!(back == plain, "{form:?}");
    }
}

fn outcomes() -> Vec<VariantOutcome> {
    let record = MatchedRecord {
        place: Place::Line(12),
        id: "rs1".to_owned(),
        chromosome: Some("chr1".to_owned()),
        position: Some(100),
        reference: "A".to_owned(),
        alt: "G,T".to_owned(),
    };
    let first = VariantOutcome {
        variant: "rs1".to_owned(),
        chromosome: Some("chr1".to_owned()),
        position: Some(100),
        other_allele: "A".to_owned(),
        effect_allele: "G".to_owned(),
        weight: Some(-0.012_345_678_901_234),
        kind: MatchKind::Duplicate,
        reason: "the first of 2\trecords".to_owned(),
        record: Some(record),
        duplicates: 1,
        missing_genotypes: 3,
    };
    let second = VariantOutcome {
        variant: "rs2".to_owned(),
        chromosome: None,
        position: None,
        weight: None,
        kind: MatchKind::Absent,
        reason: "no record".to_owned(),
        record: None,
        duplicates: 0,
        missing_genotypes: 0,
        ..first.clone()
    };
    vec![first, second]
}
