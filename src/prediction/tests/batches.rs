//! Models that want many genes together, explanations, and genes without a variant in the model.

use std::sync::Mutex;

use super::super::ledger::Ledger;
use super::super::queue::Queue;
use super::*;
use crate::model::ModelError;
use crate::model::expression::{
    Explained, ExplanationMethod, Gathered, Gathering, GenePrediction, GenotypeModel, ServedGenotypeModel,
};

/// A linear model that wants its genes together and writes down how many it got.
struct Together {
    linear: Arc<dyn GenotypeModel>,
    batch: usize,
    seen: Mutex<Vec<usize>>,
}

impl GenotypeModel for Together {
    fn genes(&self) -> &[ModelGene] {
        self.linear.genes()
    }

    fn variants(&self) -> &VariantTable {
        self.linear.variants()
    }

    fn weight(&self, _row: usize) -> Option<f64> {
        None
    }

    fn importance(&self, row: usize) -> f64 {
        self.linear.importance(row)
    }

    fn start(&self, gene: usize, people: usize) -> Box<dyn GenePrediction + '_> {
        Box::new(Gathering::new(self, gene, people))
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn finish_batch(&self, genes: &[Gathered]) -> Result<Vec<Vec<f64>>, ModelError> {
        self.seen.lock().unwrap().push(genes.len());
        self.linear.finish_batch(genes)
    }

    fn explain(&self, genes: &[Gathered]) -> Result<Vec<Explained>, ModelError> {
        self.seen.lock().unwrap().push(genes.len());
        let mut explained = self.linear.explain(genes)?;
        // The order of a network's rows is its own business: the answer has the model's.
        for one in &mut explained {
            one.contributions.reverse();
        }
        Ok(explained)
    }
}

fn together(linear: &ServedGenotypeModel, name: &str, batch: usize) -> (Arc<Together>, Arc<ServedGenotypeModel>) {
    let model = Arc::new(Together { linear: Arc::clone(&linear.model), batch, seen: Mutex::default() });
    let served =
        ServedGenotypeModel { card: card(name), digest: format!("sha256:{name}"), model: Arc::clone(&model) as _ };
    (model, Arc::new(served))
}

/// Ten genes of one, two or three variants, far apart, with frequencies for some.
fn ten() -> Vec<Row> {
    const NAMES: [&str; 10] = ["g0", "g1", "g2", "g3", "g4", "g5", "g6", "g7", "g8", "g9"];
    let mut rows = Vec::new();
    for (gene, name) in NAMES.into_iter().enumerate() {
        for variant in 0..=gene % 3 {
            let mut one = row(name, ".", (10_000 * (gene + 1) + 10 * variant) as u32, "A>G", 0.3 + variant as f64);
            one.6 = (variant != 1).then_some(0.25);
            rows.push(one);
        }
    }
    rows
}

/// A record for each row but the last of the ninth gene, one genotype of each third record missing.
fn records(rows: &[Row]) -> Memory {
    let one = |(at, row): (usize, &Row)| {
        let copies = vec![if at % 3 == 0 { f32::NAN } else { 1.0 }, (at % 3) as f32, 0.25 * at as f32 % 2.0];
        Record("chr1", row.2.unwrap().1, ".", row.3, row.4, copies)
    };
    let absent = rows.len() - 2;
    Memory::new(rows.iter().enumerate().filter(|(at, _)| *at != absent).map(one).collect())
}

/// Answers that can be compared although NaN is never NaN.
fn shown(genes: &[(String, GeneAnswer)]) -> Vec<String> {
    let one = |(name, gene): &(String, GeneAnswer)| {
        let gene = GeneAnswer { variants: None, ..gene.clone() };
        format!("{} {gene:?}", name.split_once('/').unwrap().1)
    };
    genes.iter().map(one).collect()
}

fn policies() -> Policies {
    Policies { assembly: Assembly::parse("GRCh38").ok(), ..lenient() }
}

#[test]
fn genes_that_come_together_are_answered_as_each_alone_and_in_the_same_order() {
    let rows = ten();
    let linear = model("m", &rows, None);
    for explain in [false, true] {
        for in_order in [true, false] {
            for missing in [Missing::Mean, Missing::Cohort] {
                let source = || Memory { in_order, ..records(&rows) };
                let policies = || Policies { missing, ..policies() };
                let (report, alone) = answered(std::slice::from_ref(&linear), source(), policies(), explain).unwrap();
                let (stub, served) = together(&linear, "m", 3);
                let (other, batched) = answered(&[served], source(), policies(), explain).unwrap();
                assert_eq!(shown(&batched), shown(&alone));
                assert_eq!((*stub.seen.lock().unwrap()).as_slice(), [3, 3, 3, 1]);
                assert_eq!(other, report);
                assert_eq!(batched.iter().all(|(_, gene)| gene.explanation.is_some()), explain);
            }
        }
    }
}

#[test]
fn models_of_all_kinds_side_by_side_keep_the_order() {
    let rows = ten();
    let linear = model("a", &rows, None);
    let alone = [linear.clone(), model("b", &rows, None), model("c", &rows, None)];
    let (_, expected) = answered(&alone, records(&rows), policies(), false).unwrap();
    let (three, of_three) = together(&linear, "b", 3);
    let (many, of_many) = together(&linear, "c", 1_000);
    let (_, found) = answered(&[linear, of_three, of_many], records(&rows), policies(), false).unwrap();
    let names = |genes: &[(String, GeneAnswer)]| genes.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected));
    assert_eq!(shown(&found), shown(&expected));
    assert_eq!((*three.seen.lock().unwrap()).as_slice(), [3, 3, 3, 1]);
    assert_eq!((*many.seen.lock().unwrap()).as_slice(), [10]);
}

#[test]
fn what_waits_is_bounded_whatever_a_model_wants() {
    let rows: Vec<Row> = ten().into_iter().filter(|row| row.2.unwrap().1.is_multiple_of(10_000)).collect();
    let (stub, served) = together(&model("m", &rows, None), "m", 1_000);
    let request = Request {
        selection: Selection::of(vec![served], &[]),
        samples: None,
        policies: policies(),
        report_variants: false,
        explain: false,
        stop: Arc::default(),
    };
    let panel = Panel::build(&request.selection, request.policies.assembly.as_ref());
    let mut ledger = Ledger::new(&panel, &request, 3);
    // A gene of three people and one variant holds six numbers.
    let mut queue = Queue::holding(&panel, false, 12);
    let site = Site { chromosome: None, position: None, ids: ".", reference: "A", alternatives: "G" };
    let mut left = Vec::new();
    for gene in 0..10 {
        let (other, effect) = panel.alleles(gene);
        ledger.consider(gene, crate::genotype::harmonise::fit(&site, other, effect), &site);
        ledger.gather(gene, COPIES.into(), 0);
        let closed = ledger.close(gene).unwrap();
        queue.push(&mut ledger, closed).unwrap();
        left.extend(std::iter::from_fn(|| queue.pop()).map(|answer| answer.gene));
    }
    assert_eq!((left.len(), (*stub.seen.lock().unwrap()).clone()), (9, vec![3, 3, 3]));
    queue.finish(&mut ledger).unwrap();
    left.extend(std::iter::from_fn(|| queue.pop()).map(|answer| answer.gene));
    assert_eq!(left, (0..10).collect::<Vec<_>>());
}

#[test]
fn contributions_and_base_add_up_to_the_value() {
    let mut rows =
        [row("g", "rs1", 100, "A>G", 1.5), row("g", ".", 200, "A>G", -0.5), row("g", "rs3", 300, "A>G", 2.0)];
    rows[0].6 = Some(0.25);
    let linear = model("m", &rows, None);
    let mut unknown = record(200, ".", "G>A");
    unknown.5[1] = f32::NAN;
    let source = || Memory::new(vec![record(100, "rs1", "A>G"), unknown.clone()]);
    let (_, genes) = answered(std::slice::from_ref(&linear), source(), lenient(), true).unwrap();
    let gene = &genes[0].1;
    let explanation = gene.explanation.as_ref().unwrap();
    assert_eq!((explanation.base.to_bits(), explanation.method), (0.75f64.to_bits(), ExplanationMethod::Exact));
    let names: Vec<&str> = explanation.variants.iter().map(|one| &*one.variant).collect();
    assert_eq!(names, ["rs1", "chr1:200:A:G"]);
    for (person, value) in gene.values.iter().enumerate() {
        let sum = explanation.base + explanation.variants.iter().map(|one| one.values[person]).sum::<f64>();
        assert!((sum - value).abs() < 1e-12 || person == 1 && sum.is_nan() && value.is_nan(), "{person} {sum} {value}");
    }
    // What is known of a person whose value is not known is said all the same.
    assert_eq!(explanation.variants[0].values, [-0.75, 0.75, 2.25]);
    assert!(explanation.variants[1].values[1].is_nan());
    let homref = Policies { absent: Absent::Homref, ..lenient() };
    let (_, genes) = answered(std::slice::from_ref(&linear), source(), homref, true).unwrap();
    assert_eq!(genes[0].1.explanation.as_ref().unwrap().variants[2].values, [0.0; 3]);
    // A gene without values has nothing to explain.
    let more = [row("h", ".", 5_000, "A>G", 1.0), row("h", ".", 5_001, "A>G", 1.0)];
    let both = model("m", &rows.into_iter().chain(more).collect::<Vec<_>>(), None);
    let source = Memory::new([100, 5_000, 5_001].map(|at| record(at, ".", "A>G")).to_vec());
    let (_, genes) = answered(&[both], source, Policies { min_overlap: 0.5, ..policies() }, true).unwrap();
    assert_eq!((genes[0].1.reason, &genes[0].1.explanation), (Some(Reason::BelowMinOverlap), &None));
    assert!(genes[1].1.explanation.is_some());
}

#[test]
fn what_a_model_answers_wrongly_is_an_error() {
    struct Wrong(Together);
    impl GenotypeModel for Wrong {
        fn genes(&self) -> &[ModelGene] {
            self.0.genes()
        }
        fn variants(&self) -> &VariantTable {
            self.0.variants()
        }
        fn weight(&self, row: usize) -> Option<f64> {
            self.0.weight(row)
        }
        fn importance(&self, row: usize) -> f64 {
            self.0.importance(row)
        }
        fn start(&self, gene: usize, people: usize) -> Box<dyn GenePrediction + '_> {
            Box::new(Gathering::new(self, gene, people))
        }
        fn batch(&self) -> usize {
            2
        }
        fn finish_batch(&self, genes: &[Gathered]) -> Result<Vec<Vec<f64>>, ModelError> {
            self.0.finish_batch(&genes[1..])
        }
        fn explain(&self, genes: &[Gathered]) -> Result<Vec<Explained>, ModelError> {
            let mut explained = self.0.explain(genes)?;
            explained[0].contributions[0].1[0] = f64::INFINITY;
            Ok(explained)
        }
    }
    let rows = ten();
    let linear = model("m", &rows, None);
    let wrong = Wrong(Together { linear: Arc::clone(&linear.model), batch: 2, seen: Mutex::default() });
    let mut one = wrong.start(0, 1);
    one.add(0, &[1.0]);
    assert!(matches!(one.finish(), Err(ModelError::Count { asked: 1, answered: 0 })));
    let served =
        Arc::new(ServedGenotypeModel { card: card("m"), digest: "sha256:m".to_owned(), model: Arc::new(wrong) });
    let asked = |explain| answered(std::slice::from_ref(&served), records(&rows), policies(), explain).unwrap_err();
    let short = asked(false);
    assert!(matches!(short, PredictionError::Model(ModelError::Count { asked: 2, answered: 1 })), "{short:?}");
    assert!(matches!(asked(true), PredictionError::Model(ModelError::NotFinite)));
}

/// A model of a gene with a variant and two without, one of which has a place.
fn with_empty_genes() -> Arc<ServedGenotypeModel> {
    let gene = |name: &str, start: Option<u32>, rows| ModelGene {
        id: GeneId::parse(name).unwrap().0,
        version: None,
        name: name.into(),
        symbol: None,
        biotype: None,
        locus: start.map(|start| {
            let base = |position| Position::new(position).unwrap();
            (Chromosome::parse("1").unwrap(), base(start), base(start + 9))
        }),
        accuracy: None,
        rows,
    };
    let genes = vec![gene("lost", None, 0..0), gene("empty", Some(50), 0..0), gene("full", Some(90), 0..1)];
    let variant = ModelVariant {
        id: VariantId::parse("rs1"),
        place: Some((Chromosome::parse("1").unwrap(), Position::new(100).unwrap())),
        other: Allele::parse("A").unwrap(),
        effect: Allele::parse("G").unwrap(),
        frequency: None,
    };
    let table = VariantTable {
        rows: vec![variant],
        assembly: Assembly::parse("GRCh38").ok(),
        other_is_reference: true,
        lifted: None,
    };
    let linear = Linear::new(genes, table, vec![1.0]).unwrap();
    Arc::new(ServedGenotypeModel { card: card("m"), digest: "sha256:m".to_owned(), model: Arc::new(linear) })
}

#[test]
fn a_gene_without_a_variant_in_the_model_has_its_own_reason_and_stands_in_nobodys_way() {
    let linear = with_empty_genes();
    let (_, wants_many) = together(&linear, "m", 2);
    for served in [linear, wants_many] {
        let source = Memory::new(vec![record(100, "rs1", "A>G"), record(5_000, ".", "A>G")]);
        let strict = Policies { min_overlap: 1.0, ..policies() };
        let (report, genes) = run(std::slice::from_ref(&served), source, strict.clone()).unwrap();
        let names: Vec<&str> = genes.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["m/empty", "m/full", "m/lost"]);
        assert_eq!(genes[0].1.interval, Some((Chromosome::parse("1").unwrap(), 49, 59)));
        for empty in [0, 2] {
            let gene = &genes[empty].1;
            assert_eq!((gene.reason, gene.weight_fraction_used), (Some(Reason::NoVariantInModel), None));
            assert!(gene.values.len() == 3 && gene.values.iter().all(|value| value.is_nan()));
        }
        assert_eq!(genes[1].1.values, [0.0, 1.0, 2.0]);
        let of_model = &report.models[0];
        assert_eq!((of_model.overlap.to_bits(), &of_model.diagnosis), (1f64.to_bits(), &None));
        let counts = [of_model.genes, of_model.genes_predicted, of_model.genes_without_variants];
        assert_eq!((counts, of_model.genes_without_model), ([3, 1, 0], 2));
        // Asked for alone they are answered as well: nothing is wrong with the input.
        let request = Request {
            selection: Selection::of(vec![served], &["empty".to_owned()]),
            samples: None,
            policies: strict,
            report_variants: false,
            explain: true,
            stop: Arc::default(),
        };
        let mut kept = Kept::default();
        let build = |assembly: Option<&Assembly>| Arc::new(Panel::build(&request.selection, assembly));
        let report = predict(&mut Memory::new(vec![record(100, "rs1", "A>G")]), &request, build, &mut kept).unwrap();
        assert_eq!((report.diagnosis, kept.genes[0].1.reason), (None, Some(Reason::NoVariantInModel)));
    }
}
