//! The baselines on the real table, beside the figures that are known for them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Instant;

use flate2::read::MultiGzDecoder;

use super::compare::{EvaluationSettings, Method, evaluate};
use crate::genome::{
    Assembly, Biotype, Chromosome, Gene, GeneId, GeneSymbol, Locus, Position, Promoter, Strand, Tissue,
};
use crate::model::baseline::{BaselineKind, WEIGHTS_FILE, load};
use crate::model::method::StoredModel;
use crate::model::{Scale, Target};
use crate::reference::{Dataset, GeneRecord, Reference, Unit};
use crate::training::baselines::{BaselineSettings, fit_baseline};
use crate::training::folds::{CALIBRATION, HELD_OUT, Split, parse_chromosomes};

fn lines(path: &Path) -> impl Iterator<Item = String> + use<> {
    BufReader::new(MultiGzDecoder::new(File::open(path).unwrap())).lines().map(Result::unwrap)
}

/// Reads the table, annotation and promoters; `None`, said loudly, where the data is not there.
fn load_real() -> Option<Reference> {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let table = data.join("gtex/gtex_v4_mean_rpkm.gct.gz");
    if !table.exists() {
        eprintln!("SKIPPED: no real data at {}", data.display());
        return None;
    }
    let mut expression = HashMap::new();
    let mut rows = lines(&table).skip(2);
    let tissues = rows.next().unwrap().split('\t').skip(2).map(Tissue::from_name).collect();
    for row in rows {
        let values = row.split('\t').skip(2).map(|value| value.parse().unwrap_or(f32::NAN)).collect::<Vec<f32>>();
        expression.insert(row.split('\t').next().unwrap().to_owned(), values);
    }
    let mut promoters = HashMap::new();
    let mut header = String::new();
    for line in lines(&data.join("promoters/promoters_hg38_m1000_p500.fa.gz")) {
        match line.strip_prefix('>') {
            Some(name) => name.split(' ').next().unwrap().clone_into(&mut header),
            None => promoters.entry(header.clone()).or_insert_with(String::new).push_str(&line),
        }
    }
    let record = |row: String| {
        let cells: Vec<&str> = row.split('\t').collect();
        let locus = Locus {
            tss: Position::parse(cells[7]).unwrap(),
            ..Locus::new(
                Chromosome::parse(cells[3]).unwrap(),
                Position::parse(cells[4]).unwrap(),
                Position::parse(cells[5]).unwrap(),
                Strand::parse(cells[6]).unwrap(),
            )
        };
        let gene = Gene {
            id: GeneId::parse(cells[0]).unwrap().0,
            version: None,
            symbol: GeneSymbol::new(cells[1]),
            biotype: Some(Biotype::new(cells[2])),
            locus: Some(locus),
        };
        let promoter = promoters.get(cells[0]).map(|bases| Promoter::parse(bases.as_bytes()).unwrap());
        GeneRecord { gene, expression: expression.remove(cells[0]), promoter }
    };
    let annotation = lines(&data.join("annotation/gencode_v26_genes_grch38.tsv.gz")).skip(1);
    let records = annotation.map(record).collect();
    let dataset = Dataset {
        name: "gtex_v4".to_owned(),
        version: "test".to_owned(),
        assembly: Assembly::parse("GRCh38").unwrap(),
        unit: Unit::Rpkm,
    };
    Some(Reference::new(dataset, tissues, records))
}

/// Known mean errors on the held-out chromosomes: scaled for a min–max model, log for a log model.
const KNOWN: [(BaselineKind, f64, f64); 5] = [
    (BaselineKind::CopyNearest, 0.725, 0.696),
    (BaselineKind::MeanProfile, 0.699, 0.683),
    (BaselineKind::DistanceWeighted, 0.655, 0.654),
    (BaselineKind::RidgeNearest, 0.641, 0.634),
    (BaselineKind::RidgeNeighboursPromoter, 0.591, 0.548),
];

fn fit(reference: &Reference, split: &Split, kinds: &[BaselineKind]) -> Vec<Box<dyn StoredModel>> {
    let mut models = Vec::new();
    for &kind in kinds {
        for scale in [Scale::MinMax, Scale::Log2] {
            let started = Instant::now();
            let model = fit_baseline(kind, reference, &split.train, scale, BaselineSettings::default()).unwrap();
            let settings = model.settings().unwrap();
            eprintln!("{kind} {scale:?}: fitted in {:.1?}, {}", started.elapsed(), settings["penalties"]);
            models.push(model);
        }
    }
    models
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
        .map(|model| Method {
            name: model.method(),
            model: model.as_ref(),
            controls: BaselineKind::parse(model.method()) > Some(BaselineKind::RidgeNearest),
        })
        .collect();
    let settings = EvaluationSettings { resamples: 200, ..EvaluationSettings::default() };
    let report = evaluate(reference, &split, &methods, &settings, &|_| ()).unwrap();
    eprintln!("{}", report.to_text());
    if let Some(folder) = std::env::var_os("TISSUECAST_REPORT") {
        std::fs::write(Path::new(&folder).join("report.svg"), report.to_svg()).unwrap();
        std::fs::write(Path::new(&folder).join("report.json"), serde_json::to_string(&report).unwrap()).unwrap();
    }
    for row in &report.overall().unwrap().rows {
        let kind = BaselineKind::parse(&row.method).unwrap();
        if let Some((_, scaled, log)) = KNOWN.iter().find(|(known, _, _)| *known == kind) {
            let (found, known) = row.log.map_or((row.scaled.mean, scaled), |own| (own.mean, log));
            assert!(found < known + tolerance, "{kind} {:?}: {found:.4}, known {known}", row.scale);
        }
    }
}

#[test]
fn baselines_by_distance_reach_the_known_figures() {
    let Some(reference) = load_real() else { return };
    check_known(&reference, &BaselineKind::ALL[..4], 0.006);
}

#[test]
#[ignore = "takes minutes: run it by name to measure the regressions on the real table"]
fn regressions_reach_the_known_figures() {
    let Some(reference) = load_real() else { return };
    check_known(&reference, &BaselineKind::ALL, 0.008);
}

#[test]
#[ignore = "takes a minute: run it by name to measure features on the real table"]
fn features_of_real_genes_are_fast() {
    let Some(reference) = load_real() else { return };
    let split = real_split(&reference);
    let features = crate::model::features::Features::surroundings_and_promoter(1_000);
    let targets: Vec<_> = split.test.iter().filter_map(|&gene| Target::of_gene(&reference, gene)).collect();
    let vicinity = reference.vicinity();
    let started = Instant::now();
    let matrix = features.matrix(&reference, vicinity, &targets);
    let rate = matrix.rows() as f64 / started.elapsed().as_secs_f64();
    eprintln!("{} columns, {rate:.0} genes/s", matrix.columns());
    assert!(rate > 500.0, "{rate} genes/s");
    let model = &fit(&reference, &split, &[BaselineKind::RidgeNearest])[0];
    let back = load(
        BaselineKind::parse(model.method()).unwrap(),
        &model.settings().unwrap(),
        &model.files().unwrap()[WEIGHTS_FILE],
    )
    .unwrap();
    assert_eq!(back.predict(&reference, &targets).unwrap(), model.predict(&reference, &targets).unwrap());
}
