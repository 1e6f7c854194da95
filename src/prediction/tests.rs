//! The pass on small submissions that are made by hand: every case of the report, every policy, order and streaming.

mod batches;
mod by_chromosome;
mod order;

use std::sync::Arc;

use super::panel::Panel;
use super::selection::Selection;
use super::*;
use crate::genome::{Allele, Assembly, Chromosome, GeneId, Position, VariantId};
use crate::genotype::policy::{Absent, Ambiguous, Missing, Preset};
use crate::genotype::report::MatchKind;
use crate::genotype::variants::{LiftedPlace, LiftedRows, ModelVariant, VariantTable};
use crate::genotype::{DosageRow, GenotypeSource, Place, ReadLimits, Sample, Sex, Site};
use crate::model::expression::linear::Linear;
use crate::model::expression::{GenotypeCard, ModelGene};

/// A record: chromosome, position (0 for none), identifiers, alleles, and each person's copies of allele 1; NaN is
/// missing, a negative number a haploid call.
#[derive(Clone)]
struct Record(&'static str, u32, &'static str, &'static str, &'static str, Vec<f32>);

struct Memory {
    samples: Samples,
    assembly: Option<Assembly>,
    records: Vec<(Option<Chromosome>, Record)>,
    next: usize,
    in_order: bool,
}

impl Memory {
    fn new(records: Vec<Record>) -> Self {
        let people = records.first().map_or(3, |record| record.5.len());
        let named = (0..people).map(|at| Sample::named(&format!("S{at}"))).collect();
        let placed = records.into_iter().map(|record| (Chromosome::parse(record.0).ok(), record)).collect();
        let samples = Samples::new(named, &ReadLimits::default()).unwrap();
        Self { samples, assembly: None, records: placed, next: 0, in_order: true }
    }
}

impl GenotypeSource for Memory {
    fn format(&self) -> &'static str {
        "memory"
    }

    fn samples(&self) -> &Samples {
        &self.samples
    }

    fn assembly(&self) -> Option<&Assembly> {
        self.assembly.as_ref()
    }

    fn is_in_order(&self) -> bool {
        self.in_order
    }

    fn next_site(&mut self) -> Result<Option<Site<'_>>, GenotypeError> {
        self.next += 1;
        let Some((chromosome, Record(_, position, ids, reference, alternatives, _))) = self.records.get(self.next - 1)
        else {
            return Ok(None);
        };
        let position = Position::new(*position);
        Ok(Some(Site { chromosome: chromosome.as_ref(), position, ids, reference, alternatives }))
    }

    fn place(&self) -> Place {
        Place::Record(self.next as u64)
    }

    fn dosages(&mut self, allele: usize, row: &mut DosageRow) -> Result<(), GenotypeError> {
        let copies = &self.records[self.next - 1].1.5;
        let haploid = |copies: f32| copies.is_sign_negative();
        let of_allele = |copies: &f32| match (allele, haploid(*copies)) {
            (0, false) => 2.0 - copies,
            (0, true) => 1.0 - copies.abs(),
            _ => copies.abs(),
        };
        row.values = copies.iter().map(of_allele).collect();
        row.missing = copies.iter().filter(|copies| copies.is_nan()).count();
        row.haploid = (0u32..).zip(copies).filter(|(_, copies)| haploid(**copies)).map(|(at, _)| at).collect();
        Ok(())
    }
}

/// A row: gene, identifier, place, other and effect allele, weight, frequency.
struct Row(&'static str, &'static str, Option<(&'static str, u32)>, &'static str, &'static str, f64, Option<f32>);

fn row(gene: &'static str, id: &'static str, position: u32, alleles: &'static str, weight: f64) -> Row {
    let (other, effect) = alleles.split_once('>').unwrap();
    Row(gene, id, (position > 0).then_some(("1", position)), other, effect, weight, None)
}

fn card(name: &str) -> GenotypeCard {
    GenotypeCard {
        schema: 1,
        kind: "genotype".to_owned(),
        name: name.to_owned(),
        version: "1".to_owned(),
        method: "linear".to_owned(),
        description: String::new(),
        tissue: None,
        assembly: None,
        liftover: None,
        unit: "z".to_owned(),
        genes: 0,
        weights: 0,
        has_frequencies: false,
        n_samples: None,
        population: None,
        import: None,
        training: None,
        accuracy: Vec::new(),
        files: std::collections::BTreeMap::default(),
    }
}

fn model(name: &str, rows: &[Row], lifted: Option<LiftedRows>) -> Arc<ServedGenotypeModel> {
    let mut genes: Vec<ModelGene> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        match genes.last_mut().filter(|gene| &*gene.name == row.0) {
            Some(gene) => gene.rows.end = at + 1,
            None => genes.push(ModelGene {
                id: GeneId::parse(row.0).unwrap().0,
                version: None,
                name: row.0.into(),
                symbol: None,
                biotype: None,
                locus: None,
                accuracy: None,
                rows: at..at + 1,
            }),
        }
    }
    let variant = |row: &Row| ModelVariant {
        id: VariantId::parse(row.1),
        place: row
            .2
            .map(|(chromosome, position)| (Chromosome::parse(chromosome).unwrap(), Position::new(position).unwrap())),
        other: Allele::parse(row.3).unwrap(),
        effect: Allele::parse(row.4).unwrap(),
        frequency: row.6,
    };
    let table = VariantTable {
        rows: rows.iter().map(variant).collect(),
        assembly: Some(Assembly::parse("GRCh38").unwrap()),
        other_is_reference: true,
        lifted,
    };
    let linear = Linear::new(genes, table, rows.iter().map(|row| row.5).collect()).unwrap();
    Arc::new(ServedGenotypeModel { card: card(name), digest: format!("sha256:{name}"), model: Arc::new(linear) })
}

/// Keeps an answer, and what had been read when each gene came.
#[derive(Default)]
struct Kept {
    genes: Vec<(String, GeneAnswer)>,
}

impl Answer for Kept {
    fn begin(&mut self, _: &Heading) -> Result<(), AnswerError> {
        Ok(())
    }

    fn gene(&mut self, heading: &Heading, gene: GeneAnswer) -> Result<(), AnswerError> {
        let (model, of_model) = heading.gene_of(&gene);
        self.genes.push((format!("{}/{}", model.card.name, of_model.name), gene));
        Ok(())
    }

    fn finish(&mut self, _: &Heading, _: &Report) -> Result<(), AnswerError> {
        Ok(())
    }
}

type Outcome = Result<(Report, Vec<(String, GeneAnswer)>), PredictionError>;

fn run(models: &[Arc<ServedGenotypeModel>], source: Memory, policies: Policies) -> Outcome {
    answered(models, source, policies, false)
}

fn answered(models: &[Arc<ServedGenotypeModel>], mut source: Memory, policies: Policies, explain: bool) -> Outcome {
    let request = Request {
        selection: Selection::of(models.to_vec(), &[]),
        samples: None,
        policies,
        report_variants: true,
        explain,
        stop: Arc::default(),
    };
    let mut kept = Kept::default();
    let panel = |assembly: Option<&Assembly>| Arc::new(Panel::build(&request.selection, assembly));
    let report = predict(&mut source, &request, panel, &mut kept)?;
    Ok((report, kept.genes))
}

fn lenient() -> Policies {
    Policies { min_overlap: 0.0, ..Policies::default() }
}

const COPIES: [f32; 3] = [0.0, 1.0, 2.0];

fn record(position: u32, id: &'static str, alleles: &'static str) -> Record {
    let (reference, alternatives) = alleles.split_once('>').unwrap();
    Record("chr1", position, id, reference, alternatives, COPIES.to_vec())
}

/// Records, what becomes of the model's variant, and the values.
type Case<'a> = (&'a [Record], MatchKind, Option<[f64; 3]>);

#[test]
fn each_case_of_the_match_report() {
    let model = model("m", &[row("g", "rs1", 100, "A>G", 1.0)], None);
    let cases: [Case<'_>; 13] = [
        (&[record(100, "rs1", "A>G")], MatchKind::Exact, Some([0.0, 1.0, 2.0])),
        (&[record(100, ".", "a>g")], MatchKind::Exact, Some([0.0, 1.0, 2.0])),
        (&[record(0, "rs1", "A>G")], MatchKind::Exact, Some([0.0, 1.0, 2.0])),
        (&[record(0, "x;RS1", "A>G")], MatchKind::Exact, Some([0.0, 1.0, 2.0])),
        (&[record(0, "1:100:A:G", "A>G")], MatchKind::Exact, Some([0.0, 1.0, 2.0])),
        (&[record(100, "rs1", "G>A")], MatchKind::Swapped, Some([2.0, 1.0, 0.0])),
        (&[record(100, "rs1", "T>C")], MatchKind::StrandFlipped, Some([0.0, 1.0, 2.0])),
        (&[record(100, "rs1", "C>T")], MatchKind::StrandFlippedSwapped, Some([2.0, 1.0, 0.0])),
        (&[record(100, "rs1", "A>C")], MatchKind::Mismatch, None),
        (&[record(100, "rs1", "A>C"), record(100, "rs1", "A>G")], MatchKind::Exact, Some([0.0, 1.0, 2.0])),
        (&[record(100, "rs1", "A>G"), record(100, "rs1", "A>G")], MatchKind::Duplicate, Some([0.0, 1.0, 2.0])),
        (&[record(100, "rs1", "G>A"), record(100, ".", "A>G")], MatchKind::Duplicate, Some([2.0, 1.0, 0.0])),
        (&[record(100, ".", "A><DEL>")], MatchKind::Mismatch, None),
    ];
    for (records, kind, expected) in cases {
        let described: Vec<_> = records.iter().map(|r| (r.1, r.2, r.3, r.4)).collect();
        match (run(std::slice::from_ref(&model), Memory::new(records.to_vec()), lenient()), expected) {
            (Ok((report, genes)), Some(expected)) => {
                assert_eq!(report.by_kind.of(kind), 1, "{described:?} {:?}", report.by_kind);
                assert_eq!(report.by_kind.total(), 1);
                assert_eq!(genes[0].1.values, expected, "{described:?}");
                let variants = genes[0].1.variants.as_ref().unwrap();
                assert_eq!(variants[0].kind, kind);
                assert!(matches!(variants[0].record.as_ref().unwrap().place, Place::Record(_)));
            }
            (Err(PredictionError::LowOverlap(report)), None) => {
                assert_eq!(report.by_kind.of(kind), 1, "{described:?} {:?}", report.by_kind);
            }
            (outcome, _) => panic!("{described:?}: {outcome:?}"),
        }
    }
}

#[test]
fn one_variant_in_two_genes_gets_two_signs() {
    let rows = [row("g1", "rs1", 100, "A>G", 1.0), row("g2", "rs1", 100, "G>A", 1.0)];
    let (report, genes) =
        run(&[model("m", &rows, None)], Memory::new(vec![record(100, "rs1", "A>G")]), lenient()).unwrap();
    assert_eq!(genes[0].1.values, [0.0, 1.0, 2.0]);
    assert_eq!(genes[1].1.values, [2.0, 1.0, 0.0]);
    assert_eq!((report.by_kind.of(MatchKind::Exact), report.by_kind.of(MatchKind::Swapped)), (1, 1));
}

#[test]
fn palindromes_follow_their_policy() {
    let rows = [row("g", "rs1", 100, "A>T", 1.0), row("g", "rs2", 200, "A>G", 10.0)];
    let model = model("m", &rows, None);
    let records = || Memory::new(vec![record(100, "rs1", "A>T"), record(200, "rs2", "A>G")]);
    let (report, genes) = run(std::slice::from_ref(&model), records(), lenient()).unwrap();
    assert_eq!((report.by_kind.of(MatchKind::Ambiguous), genes[0].1.values[1].to_bits()), (1, 10f64.to_bits()));
    assert!((genes[0].1.weight_fraction_used.unwrap() - 10.0 / 11.0).abs() < 1e-12);
    let keep = Policies { ambiguous: Ambiguous::Keep, ..lenient() };
    assert_eq!(run(std::slice::from_ref(&model), records(), keep).unwrap().1[0].1.values, [0.0, 11.0, 22.0]);
    assert_eq!(run(&[model], records(), Policies::preset(Preset::Predixcan)).unwrap().1[0].1.values, [0.0, 11.0, 22.0]);
}

#[test]
fn frequency_tells_the_strand_where_it_is_clear() {
    let with = |frequency| {
        let mut one = row("g", "rs1", 100, "A>T", 1.0);
        one.6 = frequency;
        model("m", &[one, row("g", "rs2", 200, "A>G", 0.0)], None)
    };
    // 80 people, 20 % of whose alleles are T.
    let copies: Vec<f32> = (0..80).map(|at| if at % 5 == 0 { 2.0 } else { 0.0 }).collect();
    let policies = Policies { ambiguous: Ambiguous::Frequency, ..lenient() };
    let value = |model, copies: &[f32]| {
        let site = |position, id, alt| Record("1", position, id, "A", alt, copies.to_vec());
        let records = vec![site(100, "rs1", "T"), site(200, "rs2", "G")];
        let (report, genes) = run(&[model], Memory::new(records), policies.clone()).unwrap();
        (report.by_kind.of(MatchKind::Ambiguous), genes[0].1.values[0])
    };
    assert_eq!(value(with(Some(0.25)), &copies), (0, 2.0));
    assert_eq!(value(with(Some(0.75)), &copies), (0, 0.0));
    for unclear in [None, Some(0.45), Some(0.01 + 0.45)] {
        assert_eq!(value(with(unclear), &copies).0, 1, "{unclear:?}");
    }
    // Too few people to have a frequency.
    assert_eq!(value(with(Some(0.25)), &copies[..40]).0, 1);
}

#[test]
fn missing_genotypes_follow_their_policy() {
    let rows = |frequency| {
        let mut one = row("g", "rs1", 100, "A>G", 1.0);
        one.6 = frequency;
        [one, row("g", "rs2", 200, "A>G", 100.0)]
    };
    let records = |reference, alternatives| {
        let copies = vec![f32::NAN, 1.0, 2.0];
        Memory::new(vec![Record("1", 100, "rs1", reference, alternatives, copies), record(200, "rs2", "A>G")])
    };
    let first = |missing, frequency, records| {
        let policies = Policies { missing, ..lenient() };
        run(&[model("m", &rows(frequency), None)], records, policies)
            .map(|(report, genes)| (report, genes[0].1.clone()))
    };
    let (report, gene) = first(Missing::Mean, Some(0.3), records("A", "G")).unwrap();
    assert!((gene.values[0] - 0.6).abs() < 1e-6 && report.missing_genotypes == 1 && gene.reason.is_none());
    // Without a frequency the person's value is not known, and nobody else's depends on it.
    let (report, gene) = first(Missing::Mean, None, records("A", "G")).unwrap();
    assert!(gene.values[0].is_nan() && gene.values[1..] == [101.0, 202.0], "{gene:?}");
    assert_eq!((gene.reason, report.values_lost_to_missing), (Some(Reason::MissingGenotypes), 1));
    assert!(report.notes.iter().any(|note| note.contains("missing=cohort")), "{:?}", report.notes);
    assert_eq!(first(Missing::Cohort, None, records("A", "G")).unwrap().1.values[0].to_bits(), 1.5f64.to_bits());
    assert_eq!(first(Missing::Ref, None, records("A", "G")).unwrap().1.values[0].to_bits(), 0);
    // Swapped: the reference allele is the counted one.
    assert_eq!(first(Missing::Ref, None, records("G", "A")).unwrap().1.values[0].to_bits(), 2f64.to_bits());
    assert_eq!(first(Missing::Drop, None, records("G", "A")).unwrap().1.values[0].to_bits(), 0);
    let error = first(Missing::Error, None, records("A", "G")).unwrap_err().to_string();
    assert!(error.contains("record 1") && error.contains("sample 1 ('S0')"), "{error}");
}

#[test]
fn absent_sites_are_unknown_or_reference() {
    let rows = [row("g", "rs1", 100, "A>G", 1.0), row("g", "rs2", 200, "A>G", 2.0), row("h", "rs3", 300, "A>G", 1.0)];
    let model = model("m", &rows, None);
    let records = || Memory::new(vec![record(100, "rs1", "A>G")]);
    let (report, genes) = run(std::slice::from_ref(&model), records(), lenient()).unwrap();
    assert_eq!(report.by_kind.of(MatchKind::Absent), 2);
    let (name, absent) = &genes[1];
    assert!(name == "m/h" && absent.values.iter().all(|value| value.is_nan()));
    assert_eq!(absent.reason, Some(Reason::NoVariantInInput));
    let (_, genes) = run(&[model], records(), Policies { absent: Absent::Homref, ..lenient() }).unwrap();
    assert_eq!((genes[1].1.values.as_slice(), genes[1].1.assumed_reference), (&[0.0; 3][..], 1));
    assert_eq!(genes[0].1.weight_fraction_used, Some(1.0));
}

#[test]
fn little_overlap_is_refused_with_the_reason() {
    let rows: Vec<Row> = (1..=40).map(|at| row("g", ".", 1_000 * at, "A>G", 1.0)).collect();
    let places = |at: usize| {
        Some(LiftedPlace {
            chromosome: Chromosome::parse("1").unwrap(),
            position: Position::new(1_000 * (at as u32 + 1) + 77).unwrap(),
            reversed: false,
        })
    };
    let lifted = LiftedRows { assembly: Assembly::parse("GRCh37").unwrap(), places: (0..40).map(places).collect() };
    let model = model("m", &rows, Some(lifted));
    let shifted = |by: u32| Memory::new((1..=40).map(|at| record(1_000 * at + by, ".", "A>G")).collect());
    let error = run(std::slice::from_ref(&model), shifted(77), Policies::default()).unwrap_err().to_string();
    assert!(error.contains("100 %") && error.contains("post assembly=GRCh37"), "{error}");
    let policies = Policies { assembly: Assembly::parse("hg19").ok(), ..Policies::default() };
    let (report, genes) = run(std::slice::from_ref(&model), shifted(77), policies).unwrap();
    assert_eq!((report.by_kind.used(), report.models[0].matched_on.as_deref()), (40, Some("GRCh37")));
    assert_eq!(genes[0].1.interval, Some((Chromosome::parse("1").unwrap(), 1_076, 40_077)));
    let error = run(std::slice::from_ref(&model), shifted(u32::MAX - 80_000), Policies::default()).unwrap_err();
    assert!(error.to_string().contains("0 of the 40 variants"), "{error}");
    let mut from_zero = shifted(0);
    from_zero.records.iter_mut().for_each(|(_, record)| record.1 -= 1);
    let error = run(std::slice::from_ref(&model), from_zero, Policies::default()).unwrap_err().to_string();
    assert!(error.contains("count from 0"), "{error}");
    // A few records by hand are no mistake, however large the model.
    assert!(
        run(&[model], Memory::new(vec![record(1_000, ".", "A>G")]), Policies { min_overlap: 0.02, ..lenient() })
            .is_ok()
    );
}

#[test]
fn a_turned_palindrome_counts_the_right_allele() {
    let lifted = LiftedRows {
        assembly: Assembly::parse("GRCh37").unwrap(),
        places: [100u32, 200]
            .map(|at| {
                Some(LiftedPlace {
                    chromosome: Chromosome::parse("1").unwrap(),
                    position: Position::new(at).unwrap(),
                    reversed: true,
                })
            })
            .to_vec(),
    };
    let rows = [row("g", "rs1", 900, "A>T", 1.0), row("g", "rs2", 800, "A>G", 10.0)];
    let policies =
        Policies { ambiguous: Ambiguous::Keep, assembly: Assembly::parse("GRCh37").ok(), ..Policies::default() };
    let records = vec![record(100, "rs1", "A>T"), record(200, "rs2", "T>C")];
    let (report, genes) = run(&[model("m", &rows, Some(lifted))], Memory::new(records), policies).unwrap();
    // On the other assembly the effect allele T reads A, the record's reference allele.
    assert_eq!(genes[0].1.values, [2.0, 11.0, 20.0]);
    assert_eq!((report.by_kind.of(MatchKind::Swapped), report.by_kind.of(MatchKind::Exact)), (1, 1));
}

#[test]
fn places_on_an_unnamed_assembly_do_not_beat_identifiers() {
    let rows = [row("g", "rs1", 100, "A>G", 1.0), row("g", "rs2", 500, "A>G", 10.0)];
    let model = model("m", &rows, None);
    // Another variant lies, by chance, where the model has rs1; the model's own comes later.
    let mut other = record(100, "rs9", "A>G");
    other.5 = vec![2.0, 2.0, 2.0];
    let records = || Memory::new(vec![other.clone(), record(300, "rs1", "A>G"), record(700, "rs2", "A>G")]);
    let (_, genes) = run(std::slice::from_ref(&model), records(), lenient()).unwrap();
    assert_eq!(genes[0].1.values, [0.0, 11.0, 22.0]);
    let (report, _) = run(std::slice::from_ref(&model), records(), lenient()).unwrap();
    let said =
        report.notes.iter().any(|note| note.contains("2 variants were found by identifier more than 1000 bases"));
    assert!(!said, "so near they may be the same place: {:?}", report.notes);
    let far = Memory::new(vec![record(90_300, "rs1", "A>G"), record(90_700, "rs2", "A>G")]);
    let (report, _) = run(std::slice::from_ref(&model), far, lenient()).unwrap();
    let said =
        |note: &String| note.contains("2 variants were found by identifier") && note.contains("another assembly");
    assert!(report.notes.iter().any(said), "{:?}", report.notes);
    // Where the request names the assembly, a place is a place.
    let named = Policies { assembly: Assembly::parse("GRCh38").ok(), ..lenient() };
    let (report, genes) = run(&[model], records(), named).unwrap();
    assert_eq!(genes[0].1.values[0].to_bits(), 2f64.to_bits());
    assert_eq!(report.duplicate_records, 1);
}

#[test]
fn haploid_calls_of_males_count_twice_on_x() {
    let rows = [Row("g", "rs1", Some(("X", 100)), "A", "G", 1.0, None)];
    let copies = vec![-0.0, -1.0, -1.0, 2.0];
    let mut source = Memory::new(vec![Record("X", 100, "rs1", "A", "G", copies.clone())]);
    let sexes = [Sex::Male, Sex::Male, Sex::Unknown, Sex::Female];
    let people = sexes.iter().enumerate().map(|(at, sex)| Sample { sex: *sex, ..Sample::named(&at.to_string()) });
    source.samples = Samples::new(people.collect(), &ReadLimits::default()).unwrap();
    let (report, genes) = run(&[model("m", &rows, None)], source, lenient()).unwrap();
    assert_eq!(genes[0].1.values, [0.0, 2.0, 1.0, 2.0]);
    assert_eq!(report.haploid_calls, 3);
    let mut swapped = Memory::new(vec![Record("X", 100, "rs1", "G", "A", copies)]);
    swapped.samples = Samples::new(
        sexes.iter().enumerate().map(|(at, sex)| Sample { sex: *sex, ..Sample::named(&at.to_string()) }).collect(),
        &ReadLimits::default(),
    )
    .unwrap();
    assert_eq!(run(&[model("m", &rows, None)], swapped, lenient()).unwrap().1[0].1.values, [2.0, 0.0, 0.0, 0.0]);
}

#[test]
fn several_models_are_answered_in_one_pass_as_each_alone() {
    let first = model("a", &[row("g", "rs1", 100, "A>G", 1.0), row("h", "rs2", 200, "A>G", 2.0)], None);
    let second = model("b", &[row("g", "rs2", 200, "G>A", 3.0)], None);
    let records = || Memory::new(vec![record(100, "rs1", "A>G"), record(200, "rs2", "T>C")]);
    let (report, together) = run(&[first.clone(), second.clone()], records(), lenient()).unwrap();
    let mut alone = run(&[first], records(), lenient()).unwrap().1;
    alone.extend(run(&[second], records(), lenient()).unwrap().1);
    for (name, gene) in &alone {
        let found = together.iter().find(|(other, _)| other == name).unwrap();
        assert_eq!(found.1.values, gene.values, "{name}");
    }
    assert_eq!((together.len(), report.models.len()), (3, 2));
}

#[test]
fn samples_and_genes_can_be_chosen() {
    let model = model("m", &[row("ENSG1.5", "rs1", 100, "A>G", 1.0), row("h", "rs2", 200, "A>G", 2.0)], None);
    let mut source = Memory::new(vec![record(100, "rs1", "A>G"), record(200, "rs2", "A>G")]);
    let request = Request {
        selection: Selection::of(vec![model], &["nobody".to_owned(), "ensg1".to_owned(), "ENSG1.9".to_owned()]),
        samples: Some(vec!["S2".to_owned(), "S0".to_owned()]),
        policies: lenient(),
        report_variants: false,
        explain: false,
        stop: Arc::default(),
    };
    let mut kept = Kept::default();
    let build = |assembly: Option<&Assembly>| Arc::new(Panel::build(&request.selection, assembly));
    let report = predict(&mut source, &request, build, &mut kept).unwrap();
    assert_eq!(request.selection.not_found, ["nobody"]);
    assert_eq!((kept.genes.len(), kept.genes[0].1.values.as_slice()), (1, &[0.0, 2.0][..]));
    assert_eq!(report.by_kind.total(), 1);
    let strange = Request { samples: Some(vec!["S7".to_owned()]), ..request.clone() };
    let error = predict(&mut source, &strange, build, &mut kept).unwrap_err();
    assert!(matches!(error, PredictionError::NoSuchSample(id) if id == "S7"));
}
