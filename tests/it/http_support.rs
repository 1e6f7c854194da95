//! A small reference, a small real model, and a service around them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use tissuecast::genome::{Allele, VariantId};
use tissuecast::genome::{Assembly, Biotype, Chromosome, Gene, GeneId, GeneSymbol, Locus, Position, Strand, Tissue};
use tissuecast::genotype::variants::{ModelVariant, VariantTable};
use tissuecast::http::auth::Access;
use tissuecast::http::state::{AppState, Completion, HttpLimits, LoadedDataset, Operator, Saver, Snapshot};
use tissuecast::inference::{Engine, Limits};
use tissuecast::model::expression::linear::Linear;
use tissuecast::model::expression::{GeneAccuracy, GenotypeCard, ModelGene, ServedGenotypeModel};
use tissuecast::model::manifest::{Calibration, Card, SCHEMA, Stratum, TrainingRecord};
use tissuecast::model::served::ServedModel;
use tissuecast::model::shelf::Shelf;
use tissuecast::model::{Known, ModelError, Neighbour, Orientation, Prediction, ProfileModel, Scale, Target};
use tissuecast::reference::{Dataset, GeneRecord, Reference, Unit};
use tower::ServiceExt as _;

/// The tissues of the small dataset.
pub const TISSUES: [&str; 4] = ["Liver", "Lung", "Brain - Cortex", "Whole Blood"];

/// A door that holds whoever passes until it is opened.
#[derive(Debug, Default)]
pub struct Door {
    open: Mutex<bool>,
    turned: Condvar,
    /// How many came to the door.
    pub arrived: AtomicUsize,
}

impl Door {
    pub fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.turned.notify_all();
    }

    fn pass(&self) {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        let open = self.open.lock().unwrap();
        drop(self.turned.wait_while(open, |open| !*open).unwrap());
    }

    /// Waits until somebody stands at the door.
    pub fn wait_for_arrival(&self, count: usize) {
        while self.arrived.load(Ordering::SeqCst) < count {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}

/// The mean of the two nearest measured genes of the chromosome: small, and as real as any model.
#[derive(Debug)]
pub struct NearestTwo {
    pub scale: Scale,
    pub door: Option<Arc<Door>>,
    /// A target at this place makes it panic.
    pub panics_at: Option<u32>,
    /// The places of all targets in the order in which they were computed.
    pub computed: Arc<Mutex<Vec<u32>>>,
}

impl NearestTwo {
    pub fn new(scale: Scale) -> Self {
        Self { scale, door: None, panics_at: None, computed: Arc::default() }
    }

    fn one(&self, reference: &Reference, target: &Target) -> Result<Prediction, ModelError> {
        let tss = target.locus.tss;
        assert_ne!(Some(tss.get()), self.panics_at, "told to panic here");
        self.computed.lock().unwrap().push(tss.get());
        let mut near: Vec<(i64, usize)> = Vec::new();
        for index in 0..reference.genes().len() {
            let Some(locus) = &reference.gene(index).locus else { continue };
            if locus.chromosome == target.locus.chromosome && Some(index) != target.gene && reference.has_shape(index) {
                near.push((tss.distance_to(locus.tss), index));
            }
        }
        near.sort_by_key(|(distance, index)| (distance.abs(), *index));
        near.truncate(2);
        if near.is_empty() {
            return Err(ModelError::NoReferenceGene);
        }
        let profiles: Vec<_> = near.iter().map(|(_, gene)| self.scale.forward(reference.expression(*gene))).collect();
        let mean = |tissue: usize| profiles.iter().map(|p| p[tissue]).sum::<f32>() / profiles.len() as f32;
        let neighbour = |(distance_bp, gene): &(i64, usize)| Neighbour {
            gene: *gene,
            distance_bp: *distance_bp,
            orientation: Orientation::Tandem,
        };
        let values = (0..reference.tissues().len()).map(mean).collect();
        Ok(Prediction { values, spread: Vec::new(), references: near.iter().map(neighbour).collect() })
    }
}

impl ProfileModel for NearestTwo {
    fn scale(&self) -> Scale {
        self.scale
    }

    fn predict(&self, reference: &Reference, targets: &[Target]) -> Result<Vec<Prediction>, ModelError> {
        if let Some(door) = &self.door {
            door.pass();
        }
        targets.iter().map(|target| self.one(reference, target)).collect()
    }
}

/// Reads a gene's own tissues: the mean of what its neighbours say of a tissue and of what is known of the gene itself,
/// half a unit more where a promoter is known; surer of a gene of which something is known, and of the first tissue.
#[derive(Debug)]
pub struct OwnAndNear(pub NearestTwo);

impl OwnAndNear {
    fn one(&self, reference: &Reference, target: &Target) -> Result<Prediction, ModelError> {
        let own: Vec<f32> = target.measured.iter().filter(|x| x.is_finite()).map(|x| (1.0 + x).log2()).collect();
        let own = (!own.is_empty()).then(|| own.iter().sum::<f32>() / own.len() as f32);
        let near = match (self.0.one(reference, target), own) {
            (Ok(near), _) => Some(near),
            (Err(ModelError::NoReferenceGene), Some(_)) => None,
            (Err(error), _) => return Err(error),
        };
        let promoter = if target.promoter.is_some() { 0.5 } else { 0.0 };
        let value = |at: usize| match (near.as_ref().map(|near| near.values[at]), own) {
            (Some(near), Some(own)) => f32::midpoint(near, own) + promoter,
            (near, own) => near.or(own).unwrap_or(0.0) + promoter,
        };
        let tissues = 0..reference.tissues().len();
        let spread = tissues.clone().map(|at| if own.is_some() && at == 0 { 0.5 } else { 1.0 });
        let spread = spread.collect();
        let references = near.as_ref().map_or(Vec::new(), |near| near.references.clone());
        Ok(Prediction { values: tissues.map(value).collect(), spread, references })
    }
}

impl ProfileModel for OwnAndNear {
    fn scale(&self) -> Scale {
        Scale::Log2
    }

    fn reads_measured(&self) -> bool {
        true
    }

    fn predict(&self, reference: &Reference, targets: &[Target]) -> Result<Vec<Prediction>, ModelError> {
        targets.iter().map(|target| self.one(reference, target)).collect()
    }
}

/// A served model of these kinds; half widths of 0.5 on the log scale, 0.25 where much is known of the gene.
pub fn served(model: impl ProfileModel + 'static, unit: Unit, tissues: &[&str]) -> Arc<ServedModel> {
    let stratum = |known: Known, half: f32| Stratum {
        known,
        half_width: vec![half; tissues.len()],
        genes: 10,
        coverage: 0.905,
        coverage_by_tissue: vec![0.905; tissues.len()],
    };
    let mut strata = vec![stratum(Known::None, 0.5)];
    if model.reads_measured() {
        strata.extend([stratum(Known::Few, 0.5), stratum(Known::Many, 0.25)]);
    }
    let calibration = (model.scale() == Scale::Log2).then_some(Calibration { level: 0.9, strata });
    let card = Card {
        schema: SCHEMA,
        name: "nearest-two".to_owned(),
        version: "1.0.0".to_owned(),
        method: "distance".to_owned(),
        description: "the mean of the two nearest measured genes".to_owned(),
        scale: model.scale(),
        unit,
        tissues: tissues.iter().map(|name| Tissue::from_name(name).id().to_owned()).collect(),
        training: TrainingRecord {
            dataset: "small".to_owned(),
            dataset_version: "v1".to_owned(),
            assembly: "GRCh38".to_owned(),
            genes: 0,
            held_out_chromosomes: vec!["chr8".to_owned()],
            calibration_chromosomes: vec!["chr7".to_owned()],
            seed: 1,
            command: "none: written by hand".to_owned(),
            tissuecast_version: "0.1.0".to_owned(),
            seconds: 0.0,
        },
        accuracy: Vec::new(),
        hidden: Vec::new(),
        calibration,
        settings: serde_json::json!({}),
        files: BTreeMap::new(),
    };
    Arc::new(ServedModel { card, digest: format!("sha256:{}", "ab".repeat(32)), model: Arc::new(model) })
}

pub fn record(id: &str, symbol: &str, place: Option<(&str, u32, u32, Strand)>, values: Option<&[f32]>) -> GeneRecord {
    let position = |base| Position::new(base).unwrap();
    let locus = place.map(|(chromosome, start, end, strand)| {
        Locus::new(Chromosome::parse(chromosome).unwrap(), position(start), position(end), strand)
    });
    let (id, version) = GeneId::parse(id).unwrap();
    let biotype = Some(Biotype::new("protein_coding"));
    let gene = Gene { id, version, symbol: GeneSymbol::new(symbol), biotype, locus };
    GeneRecord { gene, expression: values.map(<[f32]>::to_vec), promoter: None }
}

/// The small dataset, in TPM.
pub fn reference(name: &str) -> Arc<Reference> {
    reference_in(name, Unit::Tpm)
}

/// The small dataset in a unit.
pub fn reference_in(name: &str, unit: Unit) -> Arc<Reference> {
    let nan = f32::NAN;
    let plus = Strand::Forward;
    let records = vec![
        record("ENSG00000000001.4", "ALPHA", Some(("12", 1_000, 2_000, plus)), Some(&[1.0, 3.0, 7.0, 15.0])),
        record("ENSG00000000002.1", "BETA", Some(("12", 5_000, 6_000, Strand::Reverse)), Some(&[1.0, 3.0, 7.0, 0.0])),
        record("ENSG00000000003.1", "GAMMA", Some(("12", 9_000, 9_900, plus)), None),
        record("ENSG00000000004.1", "DELTA", Some(("12", 12_000, 13_000, plus)), Some(&[2.0, nan, 0.0, nan])),
        record("ENSG00000000005.1", "NOUGHT", Some(("12", 15_000, 16_000, plus)), Some(&[0.0; 4])),
        record("ENSG00000000006.1", "TWIN", Some(("13", 1_000, 2_000, plus)), Some(&[2.0, 2.0, 2.0, 3.0])),
        record("ENSG00000000007.1", "TWIN", Some(("14", 1_000, 2_000, plus)), Some(&[5.0, 2.0, 2.0, 3.0])),
        record("ENSG00000000008", "NOWHERE", None, None),
        record("ENSG00000000009", "LONELY", Some(("X", 1_000, 2_000, plus)), None),
    ];
    let assembly = Assembly::parse("GRCh38").unwrap();
    let dataset = Dataset { name: name.to_owned(), version: format!("{name}-v1"), assembly, unit };
    Arc::new(Reference::new(dataset, TISSUES.iter().map(|name| Tissue::from_name(name)).collect(), records))
}

/// A service around the small dataset.
pub struct App {
    pub router: Router,
    pub state: Arc<AppState>,
}

/// What the service around the small dataset is made of.
pub struct Setup {
    pub model: Option<Arc<ServedModel>>,
    pub datasets: Vec<&'static str>,
    pub unit: Unit,
    pub limits: HttpLimits,
    pub engine: Limits,
    pub saver: Option<Saver>,
    pub expression_models: Vec<Arc<ServedGenotypeModel>>,
    pub access: Access,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            model: Some(served(NearestTwo::new(Scale::Log2), Unit::Tpm, &TISSUES)),
            datasets: vec!["small"],
            unit: Unit::Tpm,
            limits: HttpLimits::default(),
            engine: Limits::default(),
            saver: None,
            expression_models: Vec::new(),
            access: Access::open(),
        }
    }
}

/// A row of a small genotype model: gene, symbol, identifier, position on chromosome 12, other and effect allele,
/// weight.
pub type Row = (&'static str, &'static str, &'static str, u32, &'static str, f64);

/// The small model of two genes.
pub const BLOOD: [Row; 4] = [
    ("ENSG00000000001.4", "ALPHA", "rs1", 100, "A>G", 1.0),
    ("ENSG00000000001.4", "ALPHA", "rs2", 200, "C>T", 0.5),
    ("ENSG00000000002.1", "BETA", "rs3", 300, "A>T", 2.0),
    ("ENSG00000000002.1", "BETA", "rs4", 400, "A>G", -1.0),
];

/// A small genotype model.
pub fn expression_model(name: &str, rows: &[Row]) -> Arc<ServedGenotypeModel> {
    let (card, linear) = linear(name, rows);
    Arc::new(ServedGenotypeModel { card, digest: format!("sha256:{name}"), model: Arc::new(linear) })
}

/// A small linear model with its card.
pub fn linear(name: &str, rows: &[Row]) -> (GenotypeCard, Linear) {
    let mut genes: Vec<ModelGene> = Vec::new();
    for (at, (gene, symbol, ..)) in rows.iter().enumerate() {
        if let Some(last) = genes.last_mut().filter(|last| &*last.name == *gene) {
            last.rows.end = at + 1;
            continue;
        }
        let (id, version) = GeneId::parse(gene).unwrap();
        let accuracy = GeneAccuracy {
            r2: Some(0.25),
            p_value: Some(1e-5),
            n: Some(100),
            kind: "cross-validation".to_owned(),
            ..GeneAccuracy::default()
        };
        genes.push(ModelGene {
            id,
            version,
            name: (*gene).into(),
            symbol: Some(GeneSymbol::new(symbol)),
            biotype: None,
            locus: None,
            accuracy: Some(accuracy),
            rows: at..at + 1,
        });
    }
    let variant = |(_, _, id, position, alleles, _): &Row| {
        let (other, effect) = alleles.split_once('>').unwrap();
        ModelVariant {
            id: VariantId::parse(id),
            place: Some((Chromosome::parse("12").unwrap(), Position::new(*position).unwrap())),
            other: Allele::parse(other).unwrap(),
            effect: Allele::parse(effect).unwrap(),
            frequency: None,
        }
    };
    let table = VariantTable {
        rows: rows.iter().map(variant).collect(),
        assembly: Some(Assembly::parse("GRCh38").unwrap()),
        other_is_reference: true,
        lifted: None,
    };
    let card = GenotypeCard {
        schema: SCHEMA,
        kind: "genotype".to_owned(),
        name: name.to_owned(),
        version: "1".to_owned(),
        method: "linear".to_owned(),
        description: "written by hand".to_owned(),
        tissue: Some("Whole_Blood".to_owned()),
        assembly: Some("GRCh38".to_owned()),
        liftover: None,
        unit: "normalised expression".to_owned(),
        genes: genes.len(),
        weights: rows.len(),
        has_frequencies: false,
        n_samples: Some(100),
        population: None,
        import: None,
        training: None,
        accuracy: Vec::new(),
        files: BTreeMap::new(),
    };
    (card, Linear::new(genes, table, rows.iter().map(|row| row.5).collect()).unwrap())
}

impl Setup {
    /// With two small genotype models.
    pub fn predicting() -> Self {
        let liver = expression_model("liver", &[("ENSG00000000002.1", "BETA", "rs4", 400, "G>A", 4.0)]);
        Self { expression_models: vec![expression_model("blood", &BLOOD), liver], ..Self::default() }
    }

    pub fn with_model(model: NearestTwo) -> Self {
        Self { model: Some(served(model, Unit::Tpm, &TISSUES)), ..Self::default() }
    }

    pub fn build(self) -> App {
        let mut datasets = Vec::new();
        for name in &self.datasets {
            let reference = reference_in(name, self.unit);
            let (mut completions, mut unfit) = (Shelf::default(), Shelf::default());
            if let Some(model) = &self.model {
                match model.reference_for(&reference) {
                    Ok(own) => {
                        let engine = Engine::start("test", Arc::clone(&model.model), own, self.engine).unwrap();
                        let (own, engine) = (Arc::clone(model), Arc::new(engine));
                        let completion = Completion::new(own, engine, HashMap::new(), self.saver.clone());
                        completions.insert(&model.card.name, &model.card.version, Arc::new(completion));
                    }
                    Err(error) => unfit.insert(&model.card.name, &model.card.version, error.to_string()),
                }
            }
            datasets.push(LoadedDataset::new(reference, completions, unfit, &[]));
        }
        let snapshot = Snapshot::new(datasets, self.model.into_iter().collect(), None, 1 << 20)
            .with_expression_models(self.expression_models.into_iter().collect());
        let operator = Operator { name: "a lab".to_owned(), url: "https://lab.example/".to_owned() };
        let state = Arc::new(AppState::new(snapshot, self.limits, operator).with_access(Arc::new(self.access)));
        App { router: tissuecast::http::router(Arc::clone(&state)), state }
    }
}

/// An answer read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The problem's type, after checking what every problem has.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16());
        let instance = body["instance"].as_str().unwrap();
        assert_eq!(instance, format!("urn:tissuecast:request:{}", self.header("x-request-id")));
        assert!(!body["detail"].as_str().unwrap().is_empty() && !body["title"].as_str().unwrap().is_empty());
        body["type"].as_str().unwrap().to_owned()
    }
}

impl App {
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn get_with(&self, path: &str, header: (&str, &str)) -> Answer {
        self.send(Request::get(path).header(header.0, header.1).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = Request::post(path).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }
}
