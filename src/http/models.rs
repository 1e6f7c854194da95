//! What is loaded: models with their cards, datasets, tissues.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::to_json;
use super::extract::{Query, Segment};
use super::genes::PagingInfo;
use super::negotiate::{Format, TABULAR};
use super::problem::{Problem, ProblemDetails};
use super::rendered::Rendered;
use super::state::{AppState, LoadedDataset, Snapshot, split_version, unknown_model};
use super::table::{Column, Table};
use crate::model::Scale;
use crate::model::expression::card::{GenotypeTraining, ImportRecord, Liftover, MethodAccuracy};
use crate::model::expression::{ModelGene, ServedGenotypeModel};
use crate::model::manifest::{Accuracy, Calibration, HiddenAccuracy, TrainingRecord};
use crate::model::served::ServedModel;
use crate::reference::Unit;

/// A profile model's card, with its digest and the datasets that it reads.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelAnswer {
    /// `profile`: it imputes tissue profiles.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `sha256:` and the digest of its files.
    pub digest: String,
    /// The method.
    #[schema(example = "hybrid")]
    pub method: String,
    /// What it reads, what is published and what is the project's own choice.
    pub description: String,
    /// `min_max` or `log2`.
    #[schema(value_type = String)]
    pub scale: Scale,
    /// The unit of the values that it learned from.
    #[schema(value_type = String)]
    pub unit: Unit,
    /// The tissues, in the order of its outputs.
    pub tissues: Vec<String>,
    /// What it was trained on and how: dataset, assembly, genes, chromosomes held out, seed, command.
    #[schema(value_type = Object)]
    pub training: TrainingRecord,
    /// Its accuracy on held-out chromosomes beside the baselines on the same genes.
    #[schema(value_type = Vec<Object>)]
    pub accuracy: Vec<Accuracy>,
    /// Its accuracy where part of a gene's own tissues is hidden; left out for a model that does not read them.
    #[schema(value_type = Vec<Object>)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<HiddenAccuracy>,
    /// The interval and its measured coverage; null where it has none.
    #[schema(value_type = Option<Object>)]
    pub calibration: Option<Calibration>,
    /// The method's own settings.
    #[schema(value_type = Object)]
    pub settings: Value,
    /// Datasets that it reads and on which it is at work.
    pub datasets: Vec<String>,
}

impl ModelAnswer {
    fn of(snapshot: &Snapshot, model: &ServedModel) -> Self {
        let card = model.card.clone();
        let reads = |loaded: &LoadedDataset| loaded.completions.contains_key(&card.name);
        let datasets = snapshot.datasets.iter().filter(|(_, loaded)| reads(loaded)).map(|(name, _)| name.clone());
        Self {
            kind: "profile",
            datasets: datasets.collect(),
            name: card.name,
            version: card.version,
            digest: model.digest.clone(),
            method: card.method,
            description: card.description,
            scale: card.scale,
            unit: card.unit,
            tissues: card.tissues,
            training: card.training,
            accuracy: card.accuracy,
            hidden: card.hidden,
            calibration: card.calibration,
            settings: card.settings,
        }
    }
}

/// A genotype model's card, with its digest.
#[derive(Debug, Serialize, ToSchema)]
pub struct GenotypeModelAnswer {
    /// `genotype`: it predicts expression from genotypes.
    pub kind: &'static str,
    /// Its name.
    #[schema(example = "yfs_blood")]
    pub name: String,
    /// Its version.
    pub version: String,
    /// `sha256:` and the digest of its files.
    pub digest: String,
    /// The method.
    #[schema(example = "linear")]
    pub method: String,
    /// What it is and what its numbers are.
    pub description: String,
    /// The tissue that it predicts; null where that is not known.
    pub tissue: Option<String>,
    /// The assembly of its positions; null where it knows variants by identifier alone.
    #[schema(example = "GRCh38")]
    pub assembly: Option<String>,
    /// The assembly that its positions were also lifted to, and how that went; null where they were not.
    #[schema(value_type = Option<Object>)]
    pub liftover: Option<Liftover>,
    /// What its numbers are.
    pub unit: String,
    /// How many genes it predicts.
    pub genes: usize,
    /// How many weights it has: variants, counted once a gene.
    pub weights: usize,
    /// Whether it knows allele frequencies, which stand in for missing genotypes.
    pub has_frequencies: bool,
    /// How many people it was trained on; null where that is not known.
    pub n_samples: Option<u32>,
    /// The population that it was trained on; null where that is not known.
    pub population: Option<String>,
    /// Genes whose accuracy is known.
    pub genes_with_accuracy: usize,
    /// The median over those genes of the squared correlation of predicted and measured expression.
    pub median_r2: Option<f64>,
    /// Where it came from, for a model that others trained.
    #[schema(value_type = Option<Object>)]
    pub import: Option<ImportRecord>,
    /// What it was trained on and how: people by population, genes, window, folds, seed, covariates, annotations, files
    /// with their digests, command, and which parts follow the paper and which are our choice; null for a model that
    /// others trained.
    #[schema(value_type = Option<Object>)]
    pub training: Option<Box<GenotypeTraining>>,
    /// Its accuracy in people held out beside that of the other methods on the same folds; empty where it was imported.
    #[schema(value_type = Vec<Object>)]
    pub accuracy: Vec<MethodAccuracy>,
}

impl GenotypeModelAnswer {
    fn of(model: &ServedGenotypeModel) -> Self {
        let card = model.card.clone();
        let r2 = |gene: &ModelGene| gene.accuracy.as_ref().and_then(|accuracy| accuracy.r2);
        let mut known: Vec<f64> = model.model.genes().iter().filter_map(r2).collect();
        known.sort_by(f64::total_cmp);
        Self {
            kind: "genotype",
            name: card.name,
            version: card.version,
            digest: model.digest.clone(),
            method: card.method,
            description: card.description,
            tissue: card.tissue,
            assembly: card.assembly,
            liftover: card.liftover,
            unit: card.unit,
            genes: card.genes,
            weights: card.weights,
            has_frequencies: card.has_frequencies,
            n_samples: card.n_samples,
            population: card.population,
            genes_with_accuracy: known.len(),
            median_r2: known.get(known.len() / 2).copied(),
            import: card.import,
            training: card.training,
            accuracy: card.accuracy,
        }
    }
}

/// A model's card, of either kind.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum AnyModelAnswer {
    /// It imputes tissue profiles.
    Profile(Box<ModelAnswer>),
    /// It predicts expression from genotypes.
    Genotype(Box<GenotypeModelAnswer>),
}

/// The models that are loaded.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelsAnswer {
    /// The cards: profile models first, then genotype models, each by name.
    pub data: Vec<AnyModelAnswer>,
    /// Always one page.
    pub paging_info: PagingInfo,
}

/// Lists the models that are loaded.
#[utoipa::path(
    get,
    path = "/v1/models",
    operation_id = "listModels",
    tag = "models",
    responses((status = 200, description = "The cards", body = ModelsAnswer))
)]
pub(crate) async fn list_models(
    state: State<Arc<AppState>>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.only(&["format"])?;
    let format = Format::choose(&headers, query.one("format")?, &[Format::Json])?;
    let snapshot = state.snapshot();
    let profile = snapshot.models.values().map(|model| Box::new(ModelAnswer::of(&snapshot, model)));
    let genotype = snapshot.expression_models.values().map(|model| Box::new(GenotypeModelAnswer::of(model)));
    let data: Vec<_> = profile.map(AnyModelAnswer::Profile).chain(genotype.map(AnyModelAnswer::Genotype)).collect();
    let paging_info = PagingInfo::whole(data.len());
    Ok(json(&ModelsAnswer { data, paging_info }, format, None).respond(&headers))
}

/// Gives a model's card.
#[utoipa::path(
    get,
    path = "/v1/models/{model}",
    operation_id = "getModel",
    tag = "models",
    params(("model" = String, Path, description = "The model's name, or `name@version`")),
    responses(
        (status = 200, description = "The card", body = AnyModelAnswer),
        (status = 404, description = "`unknown-model`, with the loaded ones", body = ProblemDetails, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_model(
    state: State<Arc<AppState>>,
    path: Segment,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.only(&["format"])?;
    let format = Format::choose(&headers, query.one("format")?, &[Format::Json])?;
    let snapshot = state.snapshot();
    if let Some(model) = snapshot.expression_model(&path.0) {
        return Ok(json(&GenotypeModelAnswer::of(model), format, Some(&model.digest)).respond(&headers));
    }
    let (name, version) = split_version(&path.0);
    let model = snapshot.models.get(name).filter(|model| version.is_none_or(|version| version == model.card.version));
    let loaded = snapshot.models.keys().chain(snapshot.expression_models.keys());
    let model = model.ok_or_else(|| unknown_model(&path.0, loaded))?;
    Ok(json(&ModelAnswer::of(&snapshot, model), format, Some(&model.digest)).respond(&headers))
}

/// A dataset as it is answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct DatasetAnswer {
    /// Its name.
    pub name: String,
    /// Its version: a digest of its content.
    pub version: String,
    /// The assembly of its positions.
    #[schema(example = "GRCh38")]
    pub assembly: String,
    /// The unit of its values.
    #[schema(example = "rpkm")]
    pub unit: String,
    /// How many genes it has.
    pub genes: usize,
    /// How many tissues it has.
    pub tissues: usize,
    /// How many of its genes have a promoter.
    pub promoters: usize,
    /// Whether it is used where a request names none.
    pub is_default: bool,
    /// The model that is used where a request names none.
    pub default_model: Option<String>,
    /// Models that read it.
    pub models: Vec<String>,
    /// Models that cannot read it, and why.
    pub unfit_models: std::collections::BTreeMap<String, String>,
}

/// The datasets that are loaded.
#[derive(Debug, Serialize, ToSchema)]
pub struct DatasetsAnswer {
    /// The datasets.
    pub data: Vec<DatasetAnswer>,
    /// Always one page.
    pub paging_info: PagingInfo,
}

/// Lists the datasets that are loaded.
#[utoipa::path(
    get,
    path = "/v1/datasets",
    operation_id = "listDatasets",
    tag = "datasets",
    responses((status = 200, description = "The datasets", body = DatasetsAnswer))
)]
pub(crate) async fn list_datasets(
    state: State<Arc<AppState>>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.only(&["format"])?;
    let format = Format::choose(&headers, query.one("format")?, &[Format::Json])?;
    let snapshot = state.snapshot();
    let one = |(name, loaded): (&String, &Arc<LoadedDataset>)| {
        let reference = &loaded.reference;
        let about = reference.dataset();
        DatasetAnswer {
            name: name.clone(),
            version: about.version.clone(),
            assembly: about.assembly.as_str().to_owned(),
            unit: about.unit.as_str().to_owned(),
            genes: reference.genes().len(),
            tissues: reference.tissues().len(),
            promoters: (0..reference.genes().len()).filter(|gene| reference.promoter(*gene).is_some()).count(),
            is_default: snapshot.default_dataset() == Some(name),
            default_model: loaded.default_model.clone(),
            models: loaded.completions.keys().cloned().collect(),
            unfit_models: loaded.unfit.clone(),
        }
    };
    let data: Vec<_> = snapshot.datasets.iter().map(one).collect();
    let paging_info = PagingInfo::whole(data.len());
    Ok(json(&DatasetsAnswer { data, paging_info }, format, None).respond(&headers))
}

/// A tissue as it is answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct TissueListed {
    /// GTEx's `tissueSiteDetailId`, or the dataset's own name for the tissue.
    #[schema(example = "Brain_Cortex")]
    pub tissue: String,
    /// The name for people.
    #[schema(example = "Brain - Cortex")]
    pub name: String,
    /// GTEx's colour, six hexadecimal digits; null for tissues that GTEx does not have.
    #[schema(example = "EEEE00")]
    pub colour: Option<&'static str>,
    /// The body system; null for tissues that GTEx does not have.
    #[schema(example = "nervous")]
    pub system: Option<&'static str>,
    /// How many genes have a value in it.
    pub genes_measured: u32,
}

/// A dataset's tissues.
#[derive(Debug, Serialize, ToSchema)]
pub struct TissuesAnswer {
    /// The tissues in the dataset's order.
    pub data: Vec<TissueListed>,
    /// Always one page.
    pub paging_info: PagingInfo,
}

/// Lists a dataset's tissues in its order.
#[utoipa::path(
    get,
    path = "/v1/tissues",
    operation_id = "listTissues",
    tag = "datasets",
    params(
        ("dataset" = Option<String>, Query, description = "The dataset; needed where several are loaded and none is the default"),
        ("format" = Option<String>, Query, description = "`json`, `tsv` or `arrow`; wins over `Accept`"),
    ),
    responses(
        (status = 200, description = "The tissues", content(
            (TissuesAnswer = "application/json"),
            (String = "text/tab-separated-values"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
        )),
        (status = 404, description = "`unknown-dataset`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 422, description = "`invalid-parameter`, `no-default-dataset`", body = ProblemDetails, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_tissues(
    state: State<Arc<AppState>>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.only(&["dataset", "format"])?;
    let format = Format::choose(&headers, query.one("format")?, &TABULAR)?;
    let snapshot = state.snapshot();
    let reference = &snapshot.dataset(query.one("dataset")?)?.reference;
    let mut measured = vec![0u32; reference.tissues().len()];
    for gene in 0..reference.genes().len() {
        let row = reference.expression(gene);
        measured.iter_mut().zip(row).filter(|(_, value)| value.is_finite()).for_each(|(count, _)| *count += 1);
    }
    let listed = reference.tissues().iter().zip(measured).map(|(tissue, genes_measured)| TissueListed {
        tissue: tissue.id().to_owned(),
        name: tissue.name().to_owned(),
        colour: tissue.gtex().map(|known| known.colour),
        system: tissue.gtex().map(|known| known.system),
        genes_measured,
    });
    let data: Vec<_> = listed.collect();
    let bytes = match format {
        Format::Json | Format::Svg | Format::Bed | Format::Parquet => {
            let paging_info = PagingInfo::whole(data.len());
            to_json(&TissuesAnswer { data, paging_info })
        }
        Format::Tsv => table(&data).tsv().into_bytes(),
        Format::Arrow => table(&data).arrow()?,
    };
    Ok(Rendered::new(bytes, format, &reference.dataset().version, None).respond(&headers))
}

fn table(tissues: &[TissueListed]) -> Table {
    let text = |cell: fn(&TissueListed) -> Option<&str>| {
        Column::Text(tissues.iter().map(|one| cell(one).map(str::to_owned)).collect())
    };
    Table(vec![
        ("tissue", text(|one| Some(&one.tissue))),
        ("name", text(|one| Some(&one.name))),
        ("colour", text(|one| one.colour)),
        ("system", text(|one| one.system)),
        ("genes_measured", Column::Whole(tissues.iter().map(|one| Some(one.genes_measured)).collect())),
    ])
}

/// An answer about what is loaded; its entity tag is a digest of itself, since it depends on several versions.
fn json<T: Serialize>(value: &T, format: Format, digest: Option<&str>) -> Rendered {
    let bytes = to_json(value);
    let content: String = crate::model::registry::sha256(&bytes).chars().take(16).collect();
    Rendered::new(bytes, format, &content, digest)
}
