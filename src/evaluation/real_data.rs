//! The baselines on the real table, beside the figures that are known for them.

use std::path::PathBuf;

use super::compare::{EvaluationSettings, Method, evaluate};
use super::hidden;
use crate::genome::Assembly;
use crate::model::Scale;
use crate::model::baseline::BaselineKind;
use crate::model::method::StoredModel;
use crate::model::own_tissues::OwnTissuesKind;
use crate::reference::assemble::ReferenceTable;
use crate::reference::source::Source;
use crate::reference::{Reference, Unit, annotation, gct, promoter};
use crate::training::baselines::{BaselineSettings, fit_baseline};
use crate::training::folds::{Split, parse_chromosomes};
use crate::training::own_tissues::fit_own_tissues;

/// The chromosomes of the known figures.
const HELD_OUT: &str = "8,9,18,21";
const CALIBRATION: &str = "7,16";

/// Reads the table, annotation and promoters; `None`, said loudly, where the data is not there.
fn load_real() -> Option<Reference> {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !data.is_dir() {
        eprintln!("SKIPPED: no real data at {}", data.display());
        return None;
    }
    let open = |name: &str| Source::open(&data.join(name)).unwrap();
    let expression = gct::read(open("gtex/gtex_v4_mean_rpkm.gct.gz")).unwrap();
    let annotation = annotation::read(open("annotation/gencode_v26_genes_grch38.tsv.gz")).unwrap();
    let assembly = Assembly::parse("GRCh38").unwrap();
    let mut table = ReferenceTable::join(assembly, Unit::Rpkm, expression, annotation).unwrap();
    table.attach_promoters(promoter::read(open("promoters/promoters_hg38_m1000_p500.fa.gz")).unwrap()).unwrap();
    Some(table.into_reference("gtex_v4"))
}

/// Known mean errors on the held-out chromosomes: scaled for a min–max model, log for a log model. They were measured
/// before the table's holes were made, so that the third digit may differ.
const KNOWN: [(BaselineKind, f64, f64); 4] = [
    (BaselineKind::CopyNearest, 0.725, 0.696),
    (BaselineKind::MeanProfile, 0.699, 0.683),
    (BaselineKind::DistanceWeighted, 0.655, 0.654),
    (BaselineKind::RidgeNearest, 0.641, 0.634),
];

fn fit(reference: &Reference, split: &Split, kinds: &[BaselineKind]) -> Vec<Box<dyn StoredModel>> {
    let fitted = |kind: BaselineKind, scale| {
        fit_baseline(kind, reference, &split.train, scale, BaselineSettings::default()).unwrap()
    };
    kinds.iter().flat_map(|kind| [Scale::MinMax, Scale::Log2].map(|scale| fitted(*kind, scale))).collect()
}

fn real_split(reference: &Reference) -> Split {
    let list = |text| parse_chromosomes(text).unwrap();
    Split::by_chromosome(reference, &list(HELD_OUT), &list(CALIBRATION)).unwrap()
}

fn check_known(reference: &Reference, kinds: &[BaselineKind], tolerance: f64) {
    let split = real_split(reference);
    eprintln!("genes: {} train, {} calibration, {} test", split.train.len(), split.calibration.len(), split.test.len());
    let models = fit(reference, &split, kinds);
    let methods: Vec<_> = models
        .iter()
        .map(|model| Method { name: model.method(), model: model.as_ref(), controls: false, calibration: None })
        .collect();
    let settings = EvaluationSettings { resamples: 200, ..EvaluationSettings::default() };
    let report = evaluate(reference, &split, &methods, &settings, &|_| ()).unwrap();
    eprintln!("{}", report.to_text());
    for row in &report.overall().unwrap().rows {
        let kind = BaselineKind::parse(&row.method).unwrap();
        if let Some((_, scaled, log)) = KNOWN.iter().find(|(known, _, _)| *known == kind) {
            let (found, known) = row.log.map_or((row.scaled.mean, scaled), |own| (own.mean, log));
            assert!(found < known + tolerance, "{kind} {:?}: {found:.4}, known {known}", row.scale);
        }
    }
}

#[test]
fn own_tissues_reach_the_known_figure() {
    let Some(reference) = load_real() else { return };
    let split = real_split(&reference);
    let kind = OwnTissuesKind::ConditionalGaussian;
    let model = fit_own_tissues(kind, &reference, &split.train, &split.calibration, 1).unwrap();
    let methods = [Method { name: kind.as_str(), model: &*model, controls: false, calibration: None }];
    let settings = EvaluationSettings { resamples: 200, ..EvaluationSettings::default() };
    let report = hidden::evaluate(&reference, &split, &methods, &settings, &|_| ()).unwrap();
    let row = &report.scheme(hidden::MAIN).unwrap().rows[0];
    eprintln!("{}: {:.4} {:?}", row.method, row.rmse, row.rmse_interval);
    // 0.568 to 0.577 is known where each tissue is hidden by itself with the gene's rate, so that nearly all of some
    // genes are hidden; here the share is exact, which gave 0.532 to 0.557 with other seeds.
    assert!((0.53..0.58).contains(&row.rmse), "{row:?}");
}

#[test]
fn quick_baselines_reach_the_known_figures() {
    let Some(reference) = load_real() else { return };
    check_known(&reference, &BaselineKind::ALL[..5], 0.006);
}
