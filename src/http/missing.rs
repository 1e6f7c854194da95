//! `GET /v1/tissues/{tissue}/missing`: the genes without a measured value in a tissue, and how sure the imputed ones are.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{DatasetRef, GeneAnswer, ModelRef, to_json};
use super::complete::{self, Subject};
use super::extract::{Query, Segment};
use super::genes::{MOST_IMPUTED_ITEMS, PagingInfo, gene_columns, missing_name};
use super::lookup;
use super::negotiate::{Format, TABULAR};
use super::problem::{Kind, Problem, ProblemDetails};
use super::rendered::Rendered;
use super::state::AppState;
use super::table::{Column, Table};
use crate::completion::{Source, join};
use crate::reference::{GeneIndex, Missing};

const PARAMETERS: [&str; 5] = ["dataset", "model", "page", "items_per_page", "format"];
const ITEMS_PER_PAGE: usize = 250;

/// A gene without a measured value in a tissue.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MissingValue {
    /// The gene.
    #[serde(flatten)]
    pub gene: GeneAnswer,
    /// Why the value is missing: `no_profile` where no tissue of the gene was measured, `some_tissues` where others were.
    #[schema(value_type = Option<String>, example = "no_profile")]
    pub missing: Option<Missing>,
    /// `imputed`, or `unknown` where nothing can be imputed.
    #[schema(value_type = String, example = "imputed")]
    pub source: Source,
    /// The imputed value in the dataset's unit; null where only the relative shape is known, or nothing.
    pub value: Option<f32>,
    /// The interval's lower end.
    pub lower: Option<f32>,
    /// The interval's upper end.
    pub upper: Option<f32>,
    /// How wide the interval is, (1 + upper) ÷ (1 + lower): 1 would be certain.
    pub fold_range: Option<f32>,
    /// 0 at the gene's lowest tissue, 1 at its highest.
    pub relative: Option<f32>,
    /// Why nothing is imputed; null where something is.
    pub reason: Option<String>,
}

/// A page of genes without a measured value in a tissue.
#[derive(Debug, Serialize, ToSchema)]
pub struct MissingAnswer {
    /// The tissue's identifier.
    #[schema(example = "Brain_Cortex")]
    pub tissue: String,
    /// The tissue's name.
    pub name: String,
    /// The dataset.
    pub dataset: DatasetRef,
    /// The model that imputes; null where none fits the dataset.
    pub model: Option<ModelRef>,
    /// The unit of the values.
    pub unit: String,
    /// The genes, in genome order.
    pub data: Vec<MissingValue>,
    /// The page's place.
    pub paging_info: PagingInfo,
}

/// Pages through the genes without a measured value in a tissue, in genome order, each with what the model imputes for
/// it and how wide the interval is.
#[utoipa::path(
    get,
    path = "/v1/tissues/{tissue}/missing",
    operation_id = "listMissing",
    tag = "genes",
    params(
        ("tissue" = String, Path, description = "The tissue, by identifier or name", example = "Liver"),
        ("dataset" = Option<String>, Query, description = "The dataset; needed where several are loaded and none is the default"),
        ("model" = Option<String>, Query, description = "The model, as `name` or `name@version`; the dataset's default one where it is left out"),
        ("page" = Option<u32>, Query, description = "The page, from 0"),
        ("items_per_page" = Option<u32>, Query, description = "1 to 500, since the page's genes are imputed where they were not before; 250 where it is left out"),
        ("format" = Option<String>, Query, description = "`json`, `tsv` or `arrow`; wins over `Accept`"),
    ),
    responses(
        (status = 200, description = "A page of genes", content(
            (MissingAnswer = "application/json"),
            (String = "text/tab-separated-values"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
        )),
        (status = 404, description = "`unknown-tissue`, with the nearest names, `unknown-dataset`, `unknown-model`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 406, description = "`not-acceptable`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 422, description = "`invalid-parameter`, `no-default-dataset`, `model-does-not-fit`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 503, description = "`overloaded`, `unavailable`", body = ProblemDetails, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_missing(
    state: State<Arc<AppState>>,
    path: Segment,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.only(&PARAMETERS)?;
    let format = Format::choose(&headers, query.one("format")?, &TABULAR)?;
    let page = query.number("page", 0, 0..=u32::MAX as usize)?;
    let items = query.number("items_per_page", ITEMS_PER_PAGE, 1..=MOST_IMPUTED_ITEMS)?;
    let snapshot = state.snapshot();
    let dataset = snapshot.dataset(query.one("dataset")?)?;
    let completion = dataset.completion(query.one("model")?)?.map(Arc::as_ref);
    let reference = &dataset.reference;
    let at = lookup::tissue(reference, &path.0)
        .map_err(|(detail, nearest)| Problem::new(Kind::UnknownTissue, detail).with_candidates(nearest))?;
    let without = (0..reference.genes().len()).filter(|gene| reference.expression(*gene)[at].is_nan());
    let genes: Vec<GeneIndex> = without.clone().skip(page.saturating_mul(items)).take(items).collect();
    let subjects: Vec<Subject> = genes.iter().copied().map(Subject::Known).collect();
    let (outcomes, timings) = complete::impute(dataset, completion, &subjects, false).await?;
    let listed = genes.into_iter().zip(outcomes).map(|(gene, outcome)| {
        let cell = join(reference.expression(gene), outcome.imputed.as_deref())[at];
        let unread = || format!("the model does not know {}", reference.tissues()[at].name());
        let reason = outcome.not_imputed.map(|reason| reason.to_string());
        MissingValue {
            gene: GeneAnswer::of(reference.gene(gene)),
            missing: reference.missing(gene),
            source: cell.source,
            value: cell.value,
            lower: cell.lower,
            upper: cell.upper,
            fold_range: cell.fold_range(),
            relative: cell.relative,
            reason: reason.or_else(|| (cell.source == Source::Unknown).then(unread)),
        }
    });
    let data: Vec<MissingValue> = listed.collect();
    let about = reference.dataset();
    let bytes = match format {
        Format::Json | Format::Svg | Format::Bed | Format::Parquet => to_json(&MissingAnswer {
            tissue: reference.tissues()[at].id().to_owned(),
            name: reference.tissues()[at].name().to_owned(),
            dataset: DatasetRef { name: about.name.clone(), version: about.version.clone() },
            model: completion.map(ModelRef::of),
            unit: about.unit.as_str().to_owned(),
            data,
            paging_info: PagingInfo::of(page, items, without.count()),
        }),
        Format::Tsv => table(&data).tsv().into_bytes(),
        Format::Arrow => table(&data).arrow()?,
    };
    let digest = completion.map(|completion| completion.model.digest.as_str());
    let mut response = Rendered::new(bytes, format, &about.version, digest).respond(&headers);
    response.extensions_mut().insert(timings);
    Ok(response)
}

fn table(genes: &[MissingValue]) -> Table {
    let text = |cell: fn(&MissingValue) -> Option<String>| Column::Text(genes.iter().map(cell).collect());
    let number = |cell: fn(&MissingValue) -> Option<f32>| Column::Number(genes.iter().map(cell).collect());
    let mut columns = gene_columns(&genes.iter().map(|one| &one.gene));
    columns.extend([
        ("missing", text(|one| one.missing.map(|missing| missing_name(missing).to_owned()))),
        ("source", text(|one| Some(one.source.as_str().to_owned()))),
        ("value", number(|one| one.value)),
        ("lower", number(|one| one.lower)),
        ("upper", number(|one| one.upper)),
        ("fold_range", number(|one| one.fold_range)),
        ("relative", number(|one| one.relative)),
        ("reason", text(|one| one.reason.clone())),
    ]);
    Table(columns)
}
