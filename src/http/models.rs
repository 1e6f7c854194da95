//! The models that are loaded, with their cards.

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
use super::negotiate::Format;
use super::problem::{Problem, ProblemDetails};
use super::rendered::Rendered;
use super::state::{AppState, LoadedDataset, Snapshot, unknown_model};
use crate::model::Scale;
use crate::model::expression::card::{GenotypeTraining, ImportRecord, Liftover, MethodAccuracy};
use crate::model::expression::{ModelGene, ServedGenotypeModel};
use crate::model::manifest::{Accuracy, Calibration, HiddenAccuracy, TrainingRecord};
use crate::model::served::ServedModel;
use crate::model::shelf::Shelved;
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
    /// Whether its name alone means this version.
    pub is_default: bool,
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
    fn of(snapshot: &Snapshot, shelved: &Shelved<'_, Arc<ServedModel>>) -> Self {
        let (model, card, label) = (shelved.item, shelved.item.card.clone(), shelved.label());
        let reads = |loaded: &LoadedDataset| loaded.completions.get(&label).is_some();
        let datasets = snapshot.datasets.iter().filter(|(_, loaded)| reads(loaded)).map(|(name, _)| name.clone());
        Self {
            kind: "profile",
            datasets: datasets.collect(),
            name: card.name,
            version: card.version,
            is_default: shelved.is_default,
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
    /// Whether its name alone means this version.
    pub is_default: bool,
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
    fn of(shelved: &Shelved<'_, Arc<ServedGenotypeModel>>) -> Self {
        let (model, card) = (shelved.item, shelved.item.card.clone());
        let r2 = |gene: &ModelGene| gene.accuracy.as_ref().and_then(|accuracy| accuracy.r2);
        let mut known: Vec<f64> = model.model.genes().iter().filter_map(r2).collect();
        known.sort_by(f64::total_cmp);
        Self {
            kind: "genotype",
            name: card.name,
            version: card.version,
            is_default: shelved.is_default,
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
    /// The cards of every version that is loaded: profile models first, then genotype models, each by name and from old
    /// to new.
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
    let profile = snapshot.models.iter().map(|model| Box::new(ModelAnswer::of(&snapshot, &model)));
    let genotype = snapshot.expression_models.iter().map(|model| Box::new(GenotypeModelAnswer::of(&model)));
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
    if let Some(model) = snapshot.expression_models.find(&path.0) {
        let digest = Some(model.item.digest.as_str());
        return Ok(json(&GenotypeModelAnswer::of(&model), format, digest).respond(&headers));
    }
    let model = snapshot.models.find(&path.0).ok_or_else(|| unknown_model(&path.0, snapshot.labels()))?;
    let digest = Some(model.item.digest.as_str());
    Ok(json(&ModelAnswer::of(&snapshot, &model), format, digest).respond(&headers))
}

/// An answer about what is loaded; its entity tag is a digest of itself, since it depends on several versions.
pub(super) fn json<T: Serialize>(value: &T, format: Format, digest: Option<&str>) -> Rendered {
    let bytes = to_json(value);
    let content: String = crate::model::registry::sha256(&bytes).chars().take(16).collect();
    Rendered::new(bytes, format, &content, digest)
}
