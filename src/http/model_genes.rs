//! `GET /v1/models/{model}/genes` and `GET /v1/models/{model}/genes/{gene}`: what a genotype model predicts, and from
//! which variants.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::to_json;
use super::extract::{Query, Segment};
use super::genes::PagingInfo;
use super::negotiate::{Format, TABULAR};
use super::problem::{Kind, Problem, ProblemDetails};
use super::rendered::Rendered;
use super::state::{AppState, Snapshot, unknown_model};
use super::table::{Column, Table};
use crate::model::expression::{GeneAccuracy, ModelGene, ServedGenotypeModel};
use crate::model::shelf::split_label;
use crate::prediction::selection::Selection;

const ITEMS_PER_PAGE: usize = 250;
/// Genes of one page at most.
pub(crate) const MOST_ITEMS: usize = 10_000;

/// A gene that a genotype model predicts.
#[derive(Debug, Serialize, ToSchema)]
pub struct PredictedGene {
    /// The identifier without version.
    #[schema(example = "ENSG00000107331")]
    pub gene_id: String,
    /// The identifier's version; null where the model has none.
    pub version: Option<u32>,
    /// The symbol; null where the model has none.
    pub symbol: Option<String>,
    /// The gene as the model spells it.
    pub gene: String,
    /// The biotype; null where the model has none.
    pub biotype: Option<String>,
    /// Variants that the model counts.
    pub n_snps_in_model: usize,
    /// How well it is predicted, as the model's makers measured it; null where they did not say: `r2`, `p_value`, `n`,
    /// `kind` and, where they are known, `r` (mean correlation in the people held out), `rsq` (1 − residual ÷ total sum
    /// of squares), `method` (which the gene is served by) and `inner_r2` (which the method was chosen by).
    #[schema(value_type = Option<Object>)]
    pub accuracy: Option<GeneAccuracy>,
}

impl PredictedGene {
    fn of(gene: &ModelGene) -> Self {
        Self {
            gene_id: gene.id.as_str().to_owned(),
            version: gene.version,
            symbol: gene.symbol.as_ref().map(|symbol| symbol.as_str().to_owned()),
            gene: gene.name.to_string(),
            biotype: gene.biotype.as_ref().map(|biotype| biotype.as_str().to_owned()),
            n_snps_in_model: gene.rows.len(),
            accuracy: gene.accuracy.clone(),
        }
    }
}

/// A page of genes that a genotype model predicts.
#[derive(Debug, Serialize, ToSchema)]
pub struct PredictedGenesAnswer {
    /// The genes, in the model's order.
    pub data: Vec<PredictedGene>,
    /// The page's place.
    pub paging_info: PagingInfo,
}

/// A variant that a model counts for a gene.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountedVariant {
    /// The identifier; null where the model has none.
    #[schema(example = "rs4880189")]
    pub id: Option<String>,
    /// The chromosome; null where the model knows the variant by identifier alone.
    pub chromosome: Option<String>,
    /// The position on the model's assembly.
    pub position: Option<u32>,
    /// The position on the assembly that the model was lifted to: chromosome, position, whether turned round.
    #[schema(value_type = Option<Object>)]
    pub lifted: Option<serde_json::Value>,
    /// The allele that is not counted.
    pub other_allele: String,
    /// The allele whose copies are counted.
    pub effect_allele: String,
    /// The counted allele's frequency where the model was trained; null where it does not say.
    pub effect_allele_frequency: Option<f32>,
    /// What one copy of the effect allele adds; null where that is not one number.
    pub weight: Option<f64>,
    /// What a network multiplies the variant's standardised dosage by: the mean size over its members; |weight| × standard
    /// deviation where the gene's network has come down to a sum; null for linear models.
    pub scale: Option<f64>,
    /// The variant's share of the gene's importance: of Σ |weight × standard deviation| for a linear model, the
    /// standard deviation taken as 1 without frequency; for a network that and the most that a standard deviation can add
    /// through the encoder.
    pub share: Option<f64>,
    /// Whether the alleles alone do not tell the strand.
    pub palindromic: bool,
}

/// A gene of a genotype model with its variants.
#[derive(Debug, Serialize, ToSchema)]
pub struct GeneVariantsAnswer {
    /// The model's name.
    pub model: String,
    /// Its version.
    pub model_version: String,
    /// `sha256:` and the digest of its files.
    pub digest: String,
    /// The assembly of the positions; null where the model has none.
    pub assembly: Option<String>,
    /// The gene.
    #[serde(flatten)]
    pub gene: PredictedGene,
    /// Its variants by position.
    pub variants: Vec<CountedVariant>,
}

fn model<'a>(snapshot: &'a Snapshot, named: &str) -> Result<&'a Arc<ServedGenotypeModel>, Problem> {
    snapshot.expression_models.get(named).ok_or_else(|| {
        let (name, _) = split_label(named);
        if snapshot.models.has_name(name) {
            let detail = format!("model '{name}' imputes tissue profiles: it has no genes of its own");
            return Problem::new(Kind::UnknownModel, detail);
        }
        unknown_model(named, snapshot.expression_models.labels())
    })
}

/// Lists the genes that a genotype model predicts, with the accuracy of each.
#[utoipa::path(
    get,
    path = "/v1/models/{model}/genes",
    operation_id = "listModelGenes",
    tag = "models",
    params(
        ("model" = String, Path, description = "The genotype model, as `name` or `name@version`"),
        ("page" = Option<u32>, Query, description = "The page, from 0"),
        ("items_per_page" = Option<u32>, Query, description = "1 to 10000; 250 where it is left out"),
        ("format" = Option<String>, Query, description = "`json`, `tsv` or `arrow`; wins over `Accept`"),
    ),
    responses(
        (status = 200, description = "A page of genes", content(
            (PredictedGenesAnswer = "application/json"),
            (String = "text/tab-separated-values"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
        )),
        (status = 404, description = "`unknown-model`, with the loaded ones", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 406, description = "`not-acceptable`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 422, description = "`invalid-parameter`", body = ProblemDetails, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_model_genes(
    state: State<Arc<AppState>>,
    path: Segment,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.only(&["page", "items_per_page", "format"])?;
    let format = Format::choose(&headers, query.one("format")?, &TABULAR)?;
    let page = query.number("page", 0, 0..=u32::MAX as usize)?;
    let items = query.number("items_per_page", ITEMS_PER_PAGE, 1..=MOST_ITEMS)?;
    let snapshot = state.snapshot();
    let served = model(&snapshot, &path.0)?;
    let genes = served.model.genes();
    let data: Vec<_> = genes.iter().skip(page.saturating_mul(items)).take(items).map(PredictedGene::of).collect();
    let bytes = match format {
        Format::Tsv => genes_table(&data).tsv().into_bytes(),
        Format::Arrow => genes_table(&data).arrow()?,
        _ => {
            let paging_info = PagingInfo {
                number_of_pages: genes.len().div_ceil(items),
                page,
                max_items_per_page: items,
                total_number_of_items: genes.len(),
            };
            to_json(&PredictedGenesAnswer { data, paging_info })
        }
    };
    Ok(Rendered::new(bytes, format, &served.card.version, Some(&served.digest)).respond(&headers))
}

/// Gives the variants that a genotype model counts for a gene, with their weights.
#[utoipa::path(
    get,
    path = "/v1/models/{model}/genes/{gene}",
    operation_id = "getModelGene",
    tag = "models",
    params(
        ("model" = String, Path, description = "The genotype model, as `name` or `name@version`"),
        ("gene" = String, Path, description = "Ensembl identifier with or without version, the model's own spelling, or symbol"),
        ("format" = Option<String>, Query, description = "`json`, `tsv` or `arrow`; wins over `Accept`"),
    ),
    responses(
        (status = 200, description = "The gene with its variants", content(
            (GeneVariantsAnswer = "application/json"),
            (String = "text/tab-separated-values"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
        )),
        (status = 404, description = "`unknown-model`, `unknown-gene`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 406, description = "`not-acceptable`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 409, description = "`ambiguous-gene`, with the candidates", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 422, description = "`invalid-parameter`", body = ProblemDetails, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_model_gene(
    state: State<Arc<AppState>>,
    path: Path<(String, String)>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.only(&["format"])?;
    let format = Format::choose(&headers, query.one("format")?, &TABULAR)?;
    let snapshot = state.snapshot();
    let served = model(&snapshot, &path.0.0)?;
    let named = path.0.1.clone();
    let selection = Selection::of(vec![Arc::clone(served)], std::slice::from_ref(&named));
    let found = selection.models.into_iter().next().and_then(|(_, genes)| genes).unwrap_or_default();
    let genes = served.model.genes();
    let gene = match found.as_slice() {
        [only] => &genes[*only],
        [] => {
            let name = &served.card.name;
            return Err(Problem::new(Kind::UnknownGene, format!("model '{name}' predicts no gene '{named}'")));
        }
        several => {
            let names: Vec<String> = several.iter().map(|at| genes[*at].name.to_string()).collect();
            let detail = format!("{} genes of the model have the name '{named}': ask by identifier", names.len());
            return Err(Problem::new(Kind::AmbiguousGene, detail).with_candidates(names));
        }
    };
    let variants = variants(served, gene);
    let bytes = match format {
        Format::Tsv => variants_table(&variants).tsv().into_bytes(),
        Format::Arrow => variants_table(&variants).arrow()?,
        _ => to_json(&GeneVariantsAnswer {
            model: served.card.name.clone(),
            model_version: served.card.version.clone(),
            digest: served.digest.clone(),
            assembly: served.card.assembly.clone(),
            gene: PredictedGene::of(gene),
            variants,
        }),
    };
    Ok(Rendered::new(bytes, format, &served.card.version, Some(&served.digest)).respond(&headers))
}

/// Returns the variants that a model counts for a gene, by position.
pub(crate) fn variants(served: &ServedGenotypeModel, gene: &ModelGene) -> Vec<CountedVariant> {
    let model = &served.model;
    let table = model.variants();
    let total: f64 = gene.rows.clone().map(|row| model.importance(row)).sum();
    let one = |row: usize| {
        let variant = &table.rows[row];
        let lifted = table.lifted.as_ref().and_then(|lifted| Some((lifted, lifted.places.get(row)?.as_ref()?)));
        CountedVariant {
            id: variant.id.as_ref().map(ToString::to_string),
            chromosome: variant.place.as_ref().map(|(chromosome, _)| chromosome.as_str().to_owned()),
            position: variant.place.as_ref().map(|(_, position)| position.get()),
            lifted: lifted.map(|(lifted, place)| {
                serde_json::json!({
                    "assembly": lifted.assembly.as_str(), "chromosome": place.chromosome.as_str(),
                    "position": place.position.get(), "reversed": place.reversed,
                })
            }),
            other_allele: variant.other.to_string(),
            effect_allele: variant.effect.to_string(),
            effect_allele_frequency: variant.frequency,
            weight: model.weight(row),
            scale: model.scale(row),
            share: (total > 0.0).then(|| model.importance(row) / total),
            palindromic: variant.is_palindromic(),
        }
    };
    gene.rows.clone().map(one).collect()
}

fn genes_table(genes: &[PredictedGene]) -> Table {
    let text = |cell: fn(&PredictedGene) -> Option<String>| Column::Text(genes.iter().map(cell).collect());
    let accuracy = |cell: fn(&GeneAccuracy) -> Option<f64>| {
        Column::Real(genes.iter().map(|gene| gene.accuracy.as_ref().and_then(cell)).collect())
    };
    Table(vec![
        ("gene_id", text(|gene| Some(gene.gene_id.clone()))),
        ("symbol", text(|gene| gene.symbol.clone())),
        ("gene", text(|gene| Some(gene.gene.clone()))),
        ("biotype", text(|gene| gene.biotype.clone())),
        ("n_snps_in_model", Column::Whole(genes.iter().map(|gene| Some(gene.n_snps_in_model as u32)).collect())),
        ("r2", accuracy(|accuracy| accuracy.r2)),
        ("p_value", accuracy(|accuracy| accuracy.p_value)),
        ("r", accuracy(|accuracy| accuracy.r)),
        ("rsq", accuracy(|accuracy| accuracy.rsq)),
        ("inner_r2", accuracy(|accuracy| accuracy.inner_r2)),
        ("method", text(|gene| gene.accuracy.as_ref().and_then(|accuracy| accuracy.method.clone()))),
    ])
}

fn variants_table(variants: &[CountedVariant]) -> Table {
    let text = |cell: fn(&CountedVariant) -> Option<String>| Column::Text(variants.iter().map(cell).collect());
    Table(vec![
        ("id", text(|one| one.id.clone())),
        ("chromosome", text(|one| one.chromosome.clone())),
        ("position", Column::Whole(variants.iter().map(|one| one.position).collect())),
        ("other_allele", text(|one| Some(one.other_allele.clone()))),
        ("effect_allele", text(|one| Some(one.effect_allele.clone()))),
        ("effect_allele_frequency", Column::Number(variants.iter().map(|one| one.effect_allele_frequency).collect())),
        ("weight", Column::Real(variants.iter().map(|one| one.weight).collect())),
        ("scale", Column::Real(variants.iter().map(|one| one.scale).collect())),
        ("share", Column::Real(variants.iter().map(|one| one.share).collect())),
    ])
}
