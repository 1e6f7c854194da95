//! The datasets that are loaded, and their tissues.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::to_json;
use super::extract::Query;
use super::genes::PagingInfo;
use super::models::json;
use super::negotiate::{Format, TABULAR};
use super::problem::{Problem, ProblemDetails};
use super::rendered::Rendered;
use super::state::{AppState, LoadedDataset};
use super::table::{Column, Table};

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
    /// Every version of the models that read it.
    pub models: Vec<ReadingModel>,
    /// Models that cannot read it, as `name@version`, and why.
    pub unfit_models: std::collections::BTreeMap<String, String>,
}

/// A model that reads a dataset.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadingModel {
    /// The model, as `name@version`.
    #[schema(example = "gtex-v4@2")]
    pub model: String,
    /// Whether its name alone means this version on the dataset.
    pub is_default: bool,
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
            models: loaded
                .completions
                .iter()
                .map(|one| ReadingModel { model: one.label(), is_default: one.is_default })
                .collect(),
            unfit_models: loaded.unfit.iter().map(|one| (one.label(), one.item.clone())).collect(),
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
