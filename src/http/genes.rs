//! `GET /v1/genes` and `GET /v1/genes/{gene}`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{GeneAnswer, to_json};
use super::complete::{self, Subject};
use super::extract::{Query, Segment};
use super::lookup;
use super::negotiate::{Format, TABULAR};
use super::problem::{Problem, ProblemDetails};
use super::rendered::Rendered;
use super::state::{AppState, LoadedDataset};
use super::table::{Column, Table};
use crate::completion::{Cell, Source, join, median};
use crate::genome::Chromosome;
use crate::reference::{GeneIndex, Missing, Reference};

const PARAMETERS: [&str; 10] =
    ["query", "chromosome", "biotype", "missing", "tissue", "dataset", "model", "page", "items_per_page", "format"];
const ITEMS_PER_PAGE: usize = 250;
const MOST_ITEMS: usize = 10_000;
/// Longer pages are lists alone: imputing that many genes is not for one request.
pub(crate) const MOST_IMPUTED_ITEMS: usize = 500;
const LONGEST_QUERY: usize = 100;

/// A gene of a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ListedGene {
    /// The gene.
    #[serde(flatten)]
    pub gene: GeneAnswer,
    /// Why the gene counts as missing: `no_profile`, `some_tissues`, `all_zero`; null where it does not.
    #[schema(value_type = Option<String>)]
    pub missing: Option<Missing>,
    /// With `missing=true` and at most 500 items a page: how sure the imputed values are.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Certainty)]
    pub certainty: Option<Certainty>,
}

/// How sure the imputed values of a gene are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Certainty {
    /// Tissues without a measured value.
    #[schema(required = false)]
    pub missing_tissues: u32,
    /// The median over those tissues of (1 + upper) ÷ (1 + lower): 1 would be certain, 4 means that an interval's upper
    /// end is four times its lower one; null where nothing is missing, nothing can be imputed, or the model gives no
    /// interval here.
    pub fold_range: Option<f32>,
}

impl Certainty {
    fn of(cells: &[Cell]) -> Self {
        let missing = cells.iter().filter(|cell| cell.source != Source::Measured);
        let missing_tissues = u32::try_from(missing.clone().count()).unwrap_or(u32::MAX);
        Self { missing_tissues, fold_range: median(missing.filter_map(Cell::fold_range)) }
    }
}

/// Where a page stands among its pages, as GTEx writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PagingInfo {
    /// How many pages there are.
    pub number_of_pages: usize,
    /// The page, from 0.
    pub page: usize,
    /// How many items a page has at most.
    pub max_items_per_page: usize,
    /// How many items there are on all pages.
    pub total_number_of_items: usize,
}

impl PagingInfo {
    /// Returns the paging of one page of a list of so many items.
    pub(crate) fn of(page: usize, items: usize, total: usize) -> Self {
        Self { number_of_pages: total.div_ceil(items), page, max_items_per_page: items, total_number_of_items: total }
    }

    /// Returns the paging of a list that is one whole page.
    #[must_use]
    pub fn whole(items: usize) -> Self {
        Self { number_of_pages: 1, page: 0, max_items_per_page: items, total_number_of_items: items }
    }
}

/// A page of genes.
#[derive(Debug, Serialize, ToSchema)]
pub struct GenesAnswer {
    /// The genes.
    pub data: Vec<ListedGene>,
    /// The page's place.
    pub paging_info: PagingInfo,
}

/// Searches genes; the best matches of `query` come first, otherwise genes are in genome order.
#[utoipa::path(
    get,
    path = "/v1/genes",
    operation_id = "listGenes",
    tag = "genes",
    params(
        ("query" = Option<String>, Query, description = "Part of a symbol, or the beginning of an identifier, in either case; or a region, such as `chr12:31,000,000-32,000,000`"),
        ("chromosome" = Option<String>, Query, description = "Only genes of this chromosome", example = "chr12"),
        ("biotype" = Option<String>, Query, description = "Only genes of this biotype", example = "protein_coding"),
        ("missing" = Option<bool>, Query, description = "Only genes whose profile is absent, incomplete or all zero, with the reason; with `tissue`, only genes without a value there. On pages of at most 500 items each gene has `missing_tissues` and `fold_range`, how sure its imputed values are; longer pages are without them"),
        ("tissue" = Option<String>, Query, description = "With `missing=true`: the tissue"),
        ("dataset" = Option<String>, Query, description = "The dataset; needed where several are loaded and none is the default"),
        ("model" = Option<String>, Query, description = "With `missing=true`: the model that imputes; the dataset's default one where it is left out"),
        ("page" = Option<u32>, Query, description = "The page, from 0"),
        ("items_per_page" = Option<u32>, Query, description = "1 to 10000; 250 where it is left out; up to 500 with `missing_tissues` and `fold_range`"),
        ("format" = Option<String>, Query, description = "`json`, `tsv` or `arrow`; wins over `Accept`"),
    ),
    responses(
        (status = 200, description = "A page of genes", content(
            (GenesAnswer = "application/json"),
            (String = "text/tab-separated-values"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
        )),
        (status = 404, description = "`unknown-dataset`, `unknown-model`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 406, description = "`not-acceptable`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 422, description = "`invalid-parameter`, `no-default-dataset`, `model-does-not-fit`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 503, description = "`overloaded`, `unavailable`", body = ProblemDetails, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_genes(
    state: State<Arc<AppState>>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.only(&PARAMETERS)?;
    let format = Format::choose(&headers, query.one("format")?, &TABULAR)?;
    let page = query.number("page", 0, 0..=u32::MAX as usize)?;
    let items = query.number("items_per_page", ITEMS_PER_PAGE, 1..=MOST_ITEMS)?;
    let snapshot = state.snapshot();
    let dataset = snapshot.dataset(query.one("dataset")?)?;
    let reference = &dataset.reference;
    let found = search(dataset, &query)?;
    let missing = query.flag("missing")?;
    if !missing && query.one("model")?.is_some() {
        return Err(Problem::parameter("model", "'model' goes with missing=true: it is the one that imputes"));
    }
    let completion = dataset.completion(query.one("model")?)?.map(Arc::as_ref);
    let page_genes: Vec<GeneIndex> = found.iter().copied().skip(page.saturating_mul(items)).take(items).collect();
    let mut data: Vec<ListedGene> = page_genes.iter().map(|index| ListedGene::of(reference, *index)).collect();
    let mut timings = None;
    let sure = missing && items <= MOST_IMPUTED_ITEMS;
    if sure {
        let subjects: Vec<Subject> = page_genes.iter().copied().map(Subject::Known).collect();
        let (outcomes, took) = complete::impute(dataset, completion, &subjects, false).await?;
        for ((listed, index), outcome) in data.iter_mut().zip(page_genes).zip(outcomes) {
            listed.certainty = Some(Certainty::of(&join(reference.expression(index), outcome.imputed.as_deref())));
        }
        timings = Some(took);
    }
    let bytes = match format {
        Format::Json | Format::Svg | Format::Bed | Format::Parquet => {
            let paging_info = PagingInfo::of(page, items, found.len());
            to_json(&GenesAnswer { data, paging_info })
        }
        Format::Tsv => table(&data, sure).tsv().into_bytes(),
        Format::Arrow => table(&data, sure).arrow()?,
    };
    let digest = completion.filter(|_| sure).map(|completion| completion.model.digest.as_str());
    let mut response = Rendered::new(bytes, format, &reference.dataset().version, digest).respond(&headers);
    if let Some(timings) = timings {
        response.extensions_mut().insert(timings);
    }
    Ok(response)
}

impl ListedGene {
    fn of(reference: &Reference, index: GeneIndex) -> Self {
        Self { gene: GeneAnswer::of(reference.gene(index)), missing: reference.missing(index), certainty: None }
    }
}

/// Returns the genes that all filters let through: the best matches of the text first, then genome order.
pub(crate) fn search(dataset: &LoadedDataset, query: &Query) -> Result<Vec<GeneIndex>, Problem> {
    let reference = &dataset.reference;
    let region = query.one("query")?.map_or(Ok(None), |text| lookup::region(dataset, text))?;
    let text = query.one("query")?.map(|text| text.trim().to_uppercase()).filter(|text| !text.is_empty());
    if text.as_ref().is_some_and(|text| text.len() > LONGEST_QUERY) {
        return Err(Problem::parameter("query", format!("'query' is longer than {LONGEST_QUERY} bytes")));
    }
    let chromosome = query.one("chromosome")?.map(Chromosome::parse).transpose();
    let chromosome = chromosome.map_err(|error| Problem::parameter("chromosome", error.to_string()))?;
    let biotype = query.one("biotype")?;
    let missing = query.flag("missing")?;
    let tissue = query.one("tissue")?.map(|text| lookup::tissue(reference, text)).transpose();
    let tissue = tissue.map_err(|(detail, nearest)| Problem::parameter("tissue", detail).with_candidates(nearest))?;
    if tissue.is_some() && !missing {
        return Err(Problem::parameter(
            "tissue",
            "'tissue' goes with missing=true: it lists genes without a value there",
        ));
    }
    let passes = |index: &GeneIndex| {
        let gene = reference.gene(*index);
        let here = |wanted: &Chromosome| gene.locus.as_ref().is_some_and(|locus| locus.chromosome == *wanted);
        let absent = || match tissue {
            Some(at) => reference.expression(*index)[at].is_nan(),
            None => reference.missing(*index).is_some(),
        };
        chromosome.as_ref().is_none_or(here)
            && biotype.is_none_or(|wanted| gene.biotype.as_ref().is_some_and(|biotype| biotype.as_str() == wanted))
            && (!missing || absent())
    };
    let mut found: Vec<(u8, GeneIndex)> = Vec::new();
    for index in 0..reference.genes().len() {
        let rank = match (&region, &text) {
            (Some(region), _) => {
                reference.gene(index).locus.as_ref().is_some_and(|locus| region.overlaps(locus)).then_some(0)
            }
            (None, Some(text)) => rank(dataset, index, text),
            (None, None) => Some(0),
        };
        if let Some(rank) = rank
            && passes(&index)
        {
            found.push((rank, index));
        }
    }
    found.sort_unstable();
    Ok(found.into_iter().map(|(_, index)| index).collect())
}

/// How well a gene matches an upper-case text: 0 best, `None` not at all.
fn rank(dataset: &LoadedDataset, index: GeneIndex, text: &str) -> Option<u8> {
    let symbol = &dataset.symbols[index];
    let id = dataset.reference.gene(index).id.as_str();
    let begins = id.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
    let bare = || text.split_once('.').is_some_and(|(stem, _)| id.eq_ignore_ascii_case(stem));
    if **symbol == *text || id.eq_ignore_ascii_case(text) || bare() {
        Some(0)
    } else if symbol.starts_with(text) || begins {
        Some(1)
    } else {
        symbol.contains(text).then_some(2)
    }
}

/// The columns of genes, those of how sure their imputed values are where that was asked for.
fn table(genes: &[ListedGene], sure: bool) -> Table {
    let mut columns = gene_columns(&genes.iter().map(|one| &one.gene));
    let missing = genes.iter().map(|one| one.missing.map(|missing| missing_name(missing).to_owned()));
    columns.push(("missing", Column::Text(missing.collect())));
    if sure {
        let certainty = || genes.iter().map(|one| one.certainty);
        let tissues = certainty().map(|one| one.map(|one| one.missing_tissues)).collect();
        let range = certainty().map(|one| one.and_then(|one| one.fold_range)).collect();
        columns.extend([("missing_tissues", Column::Whole(tissues)), ("fold_range", Column::Number(range))]);
    }
    Table(columns)
}

/// The columns of what is known of genes themselves.
pub(crate) fn gene_columns<'a>(genes: &(impl Iterator<Item = &'a GeneAnswer> + Clone)) -> Vec<(&'static str, Column)> {
    let text = |cell: fn(&GeneAnswer) -> Option<String>| Column::Text(genes.clone().map(cell).collect());
    let whole = |cell: fn(&GeneAnswer) -> Option<u32>| Column::Whole(genes.clone().map(cell).collect());
    vec![
        ("gene_id", text(|one| Some(one.gene_id.clone()))),
        ("version", whole(|one| one.version)),
        ("symbol", text(|one| Some(one.symbol.clone()))),
        ("chromosome", text(|one| one.chromosome.clone())),
        ("start", whole(|one| one.start)),
        ("end", whole(|one| one.end)),
        ("strand", text(|one| one.strand.map(str::to_owned))),
        ("tss", whole(|one| one.tss)),
        ("biotype", text(|one| one.biotype.clone())),
    ]
}

/// Returns the name that answers use for a reason.
pub(crate) const fn missing_name(missing: Missing) -> &'static str {
    match missing {
        Missing::NoProfile => "no_profile",
        Missing::SomeTissues => "some_tissues",
        Missing::AllZero => "all_zero",
    }
}

/// Gives one gene.
#[utoipa::path(
    get,
    path = "/v1/genes/{gene}",
    operation_id = "getGene",
    tag = "genes",
    params(
        ("gene" = String, Path, description = "Ensembl identifier, with or without version, or symbol", example = "DDX11"),
        ("dataset" = Option<String>, Query, description = "The dataset; needed where several are loaded and none is the default"),
        ("format" = Option<String>, Query, description = "`json`, `tsv` or `arrow`; wins over `Accept`"),
    ),
    responses(
        (status = 200, description = "The gene", content(
            (ListedGene = "application/json"),
            (String = "text/tab-separated-values"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
        )),
        (status = 404, description = "`unknown-gene`, `unknown-dataset`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 409, description = "`ambiguous-gene`, with the candidates", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 422, description = "`invalid-parameter`, `no-default-dataset`", body = ProblemDetails, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_gene(
    state: State<Arc<AppState>>,
    path: Segment,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.only(&["dataset", "format"])?;
    let format = Format::choose(&headers, query.one("format")?, &TABULAR)?;
    let snapshot = state.snapshot();
    let dataset = snapshot.dataset(query.one("dataset")?)?;
    let reference = &dataset.reference;
    let index = lookup::gene(dataset, &path.0)?;
    let gene = ListedGene::of(reference, index);
    let bytes = match format {
        Format::Json | Format::Svg | Format::Bed | Format::Parquet => to_json(&gene),
        Format::Tsv => table(&[gene], false).tsv().into_bytes(),
        Format::Arrow => table(&[gene], false).arrow()?,
    };
    Ok(Rendered::new(bytes, format, &reference.dataset().version, None).respond(&headers))
}
