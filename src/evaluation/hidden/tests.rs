use std::collections::BTreeMap;
use std::sync::Mutex;

use rand::RngExt as _;

use super::super::compare::evaluate as compare;
use super::super::report::Report;
use super::*;
use crate::genome::{Strand, Tissue};
use crate::model::manifest::{Calibration, Stratum};
use crate::model::own_tissues::OwnTissuesKind;
use crate::model::{Known, Prediction, ProfileModel, Target};
use crate::reference::tests::{dataset, record};
use crate::training::folds::parse_chromosomes;
use crate::training::init::generator;
use crate::training::own_tissues::fit_own_tissues;

const TISSUES: usize = 12;

/// A genome whose genes differ in level, so that one tissue tells much of the others; never near 0.
fn genome() -> Reference {
    let mut rng = generator(11, "genome");
    let mut records = Vec::new();
    for chromosome in ["1", "2", "3"] {
        for at in 0..160u32 {
            let level = rng.random_range(4.0f32..9.0);
            let values: Vec<f32> =
                (0..TISSUES).map(|_| (level + rng.random_range(-0.5f32..0.5)).exp2() - 1.0).collect();
            let place = Some((chromosome, 10 * at + 1, 10 * at + 5, Strand::Forward));
            records.push(record(&format!("g{chromosome}_{at:03}"), place, Some(&values)));
        }
    }
    let tissues = (0..TISSUES).map(|at| Tissue::from_name(&format!("Tissue {at}"))).collect();
    Reference::new(dataset(), tissues, records)
}

fn split(reference: &Reference) -> Split {
    let list = |text| parse_chromosomes(text).unwrap();
    Split::by_chromosome(reference, &list("3"), &list("2")).unwrap()
}

fn settings() -> EvaluationSettings {
    EvaluationSettings { resamples: 50, smallest_group: 10, ..EvaluationSettings::default() }
}

/// Knows the truth, errs by a fixed draw of up to `error`, and remembers what it was told.
struct Oracle {
    error: f32,
    told: Mutex<Vec<(GeneIndex, Vec<u32>)>>,
}

impl Oracle {
    fn new(error: f32) -> Self {
        Self { error, told: Mutex::new(Vec::new()) }
    }

    fn told(self) -> Vec<(GeneIndex, Vec<u32>)> {
        let mut told = self.told.into_inner().unwrap();
        told.sort();
        told
    }
}

impl ProfileModel for Oracle {
    fn scale(&self) -> Scale {
        Scale::Log2
    }

    fn reads_measured(&self) -> bool {
        true
    }

    fn predict(&self, reference: &Reference, targets: &[Target]) -> Result<Vec<Prediction>, ModelError> {
        let one = |target: &Target| {
            let gene = target.gene.unwrap();
            let bits = target.measured.iter().map(|value| value.to_bits()).collect();
            self.told.lock().unwrap().push((gene, bits));
            let mut rng = generator(1, &format!("error of {gene}"));
            let truth = Scale::Log2.forward(reference.expression(gene));
            let values = truth.iter().map(|value| value + self.error * rng.random_range(-1.0f32..1.0)).collect();
            Prediction { values, spread: vec![0.5; TISSUES], references: Vec::new() }
        };
        Ok(targets.iter().map(one).collect())
    }
}

fn method<'a>(name: &'a str, model: &'a dyn ProfileModel) -> Method<'a> {
    Method { name, model, controls: false, calibration: None }
}

fn run(reference: &Reference, methods: &[Method<'_>]) -> HiddenReport {
    let last = std::cell::Cell::new((0, 0));
    let split = split(reference);
    let report = evaluate(reference, &split, methods, &settings(), &|at| last.set((at.done, at.total))).unwrap();
    assert_eq!(last.get().0, last.get().1, "progress ends at its total");
    report
}

#[test]
fn what_is_hidden_fits_the_scheme_and_depends_on_the_gene_alone() {
    let reference = genome();
    let genes = split(&reference).test;
    let draw = |genes: &[GeneIndex], scheme| ask::draw(&reference, genes, scheme, &settings());
    for (scheme, hidden) in [(Hiding::Tenth, 1), (Hiding::Half, 6), (Hiding::NineTenths, 11), (Hiding::All, TISSUES)] {
        let cases = draw(&genes, scheme);
        assert_eq!(cases.len(), genes.len());
        assert!(cases.iter().all(|case| case.hidden.len() == hidden && case.hidden.is_sorted()), "{scheme:?}");
        assert_eq!(cases[7].hidden, draw(&genes[7..8], scheme)[0].hidden, "{scheme:?}");
    }
    let counts: Vec<usize> = draw(&genes, Hiding::ThirtyToNinety).iter().map(|case| case.hidden.len()).collect();
    assert_eq!((counts.iter().min(), counts.iter().max()), (Some(&4), Some(&11)));
    assert_eq!(draw(&genes, Hiding::OneTissue).len(), genes.len() * TISSUES / 3);
    let full = EvaluationSettings { every_tissue: true, ..settings() };
    let mut of_tissue: BTreeMap<usize, usize> = BTreeMap::new();
    for case in ask::draw(&reference, &genes, Hiding::OneTissue, &full) {
        *of_tissue.entry(case.hidden[0]).or_default() += case.hidden.len();
    }
    assert!(of_tissue.len() == TISSUES && of_tissue.values().all(|count| *count == genes.len()), "{of_tissue:?}");
}

#[test]
fn every_method_is_told_the_same_and_never_what_it_is_asked_for() {
    let reference = genome();
    let (first, second) = (Oracle::new(0.0), Oracle::new(0.3));
    run(&reference, &[method("first", &first), method("second", &second)]);
    let (first, second) = (first.told(), second.told());
    assert_eq!(first, second);
    for (gene, told) in &first {
        let truth: Vec<u32> = reference.expression(*gene).iter().map(|value| value.to_bits()).collect();
        let told: Vec<f32> = told.iter().map(|bits| f32::from_bits(*bits)).collect();
        let right = told.iter().zip(&truth).all(|(told, truth)| told.is_nan() || told.to_bits() == *truth);
        assert!(right && (told.is_empty() || told.iter().any(|value| value.is_nan())), "gene {gene}: {told:?}");
    }
}

#[test]
fn a_model_that_knows_the_truth_makes_no_error() {
    let reference = genome();
    let report = run(&reference, &[method("oracle", &Oracle::new(0.0))]);
    assert_eq!(report.schemes.iter().map(|table| table.scheme).collect::<Vec<_>>(), Hiding::ALL);
    for table in &report.schemes {
        let row = &table.rows[0];
        assert!(row.rmse.abs() < 1e-9 && row.rmse_interval[1] < 1e-9, "{row:?}");
        let at_once = !matches!(table.scheme, Hiding::OneTissue | Hiding::Tenth);
        assert_eq!(row.mean_r.is_some(), at_once, "{:?}", table.scheme);
        assert!(row.mean_r.is_none_or(|r| (r - 1.0).abs() < 1e-9));
        assert_eq!(row.tissues.len(), TISSUES);
        assert!(row.tissues.iter().all(|tissue| tissue.r2.is_some_and(|r2| (r2 - 1.0).abs() < 1e-9)));
    }
    // A uniform error of up to 0.6 has a standard deviation of 0.6 / √3.
    let report = run(&reference, &[method("oracle", &Oracle::new(0.6))]);
    let rmse = report.scheme(MAIN).unwrap().rows[0].rmse;
    assert!((rmse - 0.6 / 3.0f64.sqrt()).abs() < 0.02, "{rmse}");
    let accuracy = report.accuracy();
    assert_eq!(accuracy.len(), Hiding::ALL.len());
    assert!(accuracy.iter().all(|row| row.genes == 160 && row.method == "oracle"));
}

#[test]
fn own_tissues_help_unless_they_are_those_of_another_gene() {
    let reference = genome();
    let split = split(&reference);
    let fit = |kind| fit_own_tissues(kind, &reference, &split.train, &split.calibration, 1).unwrap();
    let models = OwnTissuesKind::ALL.map(|kind| (kind.as_str(), fit(kind)));
    let methods: Vec<Method<'_>> =
        models.iter().map(|(name, model)| Method { controls: true, ..method(name, &**model) }).collect();
    let report = run(&reference, &methods);
    let rmse = |rows: &[HiddenRow]| rows.iter().map(|row| row.rmse).collect::<Vec<f64>>();
    let main = rmse(&report.scheme(MAIN).unwrap().rows);
    let nothing = rmse(&report.scheme(Hiding::All).unwrap().rows);
    assert!(main.iter().all(|rmse| *rmse < 0.5), "the noise within a gene is 0.29: {main:?}");
    assert!(nothing.iter().all(|rmse| *rmse > 1.2 && (rmse - nothing[0]).abs() < 1e-6), "{nothing:?}");
    let control = |wanted| rmse(&report.controls.iter().find(|table| table.control == wanted).unwrap().rows);
    assert!(control(Control::ShuffledOwnTissues).iter().all(|rmse| *rmse > 1.5), "worse than to know nothing");
    for reference_alone in Control::OF_REFERENCE {
        assert_eq!(control(reference_alone), main, "{reference_alone:?} changes nothing that they read");
    }
    let quarters = report.groups.iter().filter(|group| matches!(group.kind, GroupKind::Level { .. }));
    assert_eq!(quarters.map(|group| group.genes).sum::<usize>(), 2 * 160, "in both schemes with groups");
}

#[test]
fn intervals_of_a_known_distribution_hold_as_often_as_they_should() {
    let reference = genome();
    // An error uniform in ±0.6 and a spread of 0.5: a half width of 2 × 0.54 holds in 90 % of cases, 1.2 always.
    let calibration = |half_width: f32| {
        let stratum = |known| Stratum {
            known,
            genes: 1,
            half_width: vec![half_width; TISSUES],
            coverage: 0.9,
            coverage_by_tissue: vec![0.9; TISSUES],
        };
        Calibration { level: 0.9, strata: Known::ALL.map(stratum).to_vec() }
    };
    let oracle = Oracle::new(0.6);
    let (right, wide) = (calibration(1.08), calibration(1.3));
    let methods = [("right", &right), ("wide", &wide)]
        .map(|(name, calibration)| Method { calibration: Some(calibration), ..method(name, &oracle) });
    let report = run(&reference, &methods);
    for (coverage, expected, width) in [(&report.coverage[0], 0.9, 1.08), (&report.coverage[1], 1.0, 1.3)] {
        assert_eq!(coverage.strata.iter().map(|stratum| stratum.known).collect::<Vec<_>>(), Known::ALL);
        for stratum in &coverage.strata {
            assert!((stratum.coverage - expected).abs() < 0.02, "{stratum:?}");
            assert!((stratum.median_width - width).abs() < 1e-3, "{stratum:?}");
            assert_eq!(stratum.overall_met, expected < 0.95);
            assert!(stratum.lowest.coverage <= stratum.coverage && stratum.coverage <= stratum.highest.coverage);
            assert_eq!(stratum.groups.iter().filter(|at| matches!(at.kind, GroupKind::Level { .. })).count(), 4);
        }
    }
    assert!(report.coverage[1].strata.iter().all(|stratum| !stratum.tissues_met));
}

#[test]
fn the_report_survives_json_and_its_text_names_everything() {
    let reference = genome();
    let split = split(&reference);
    let gaussian = fit_own_tissues(OwnTissuesKind::ConditionalGaussian, &reference, &split.train, &[], 1).unwrap();
    let calibration =
        crate::training::calibration::calibrate(&*gaussian, &reference, &split.calibration, &split.test, 3).unwrap();
    let methods =
        [Method { controls: true, calibration: calibration.as_ref(), ..method("conditional-gaussian", &*gaussian) }];
    let hidden = run(&reference, &methods);
    let mut report: Report = compare(&reference, &split, &methods, &settings(), &|_| ()).unwrap();
    let before = report.to_text();
    report.hidden = Some(hidden);
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    let text = report.to_text();
    assert!(text.starts_with(&before) && !text.contains("NaN"), "{text}");
    let words =
        ["one tissue hidden in all scored genes", "shuffled own tissues", "still have that tissue", "quarter 1"];
    for word in words.into_iter().chain(Known::ALL.map(Known::as_str)) {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(report.to_svg().contains("30 to 90 % hidden"));
}
