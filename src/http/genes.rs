//! `GET /v1/genes` and `GET /v1/genes/{gene}`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{GeneAnswer, to_json};
use super::extract::{Query, Segment};
use super::lookup;
use super::negotiate::{Format, TABULAR};
use super::problem::{Problem, ProblemDetails};
use super::rendered::Rendered;
use super::state::{AppState, LoadedDataset};
use super::table::{Column, Table};
use crate::genome::Chromosome;
use crate::reference::{GeneIndex, Missing};

const PARAMETERS: [&str; 9] =
    ["query", "chromosome", "biotype", "missing", "tissue", "dataset", "page", "items_per_page", "format"];
const ITEMS_PER_PAGE: usize = 250;
const MOST_ITEMS: usize = 10_000;
const LONGEST_QUERY: usize = 100;

/// A gene of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ListedGene {
    /// The gene.
    #[serde(flatten)]
    pub gene: GeneAnswer,
    /// Why the gene counts as missing: `no_profile`, `some_tissues`, `all_zero`; null where it does not.
    #[schema(value_type = Option<String>)]
    pub missing: Option<Missing>,
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
        ("query" = Option<String>, Query, description = "Part of a symbol, or the beginning of an identifier, in either case"),
        ("chromosome" = Option<String>, Query, description = "Only genes of this chromosome", example = "chr12"),
        ("biotype" = Option<String>, Query, description = "Only genes of this biotype", example = "protein_coding"),
        ("missing" = Option<bool>, Query, description = "Only genes whose profile is absent, incomplete or all zero, with the reason; with `tissue`, only genes without a value there"),
        ("tissue" = Option<String>, Query, description = "With `missing=true`: the tissue"),
        ("dataset" = Option<String>, Query, description = "The dataset; needed where several are loaded and none is the default"),
        ("page" = Option<u32>, Query, description = "The page, from 0"),
        ("items_per_page" = Option<u32>, Query, description = "1 to 10000; 250 where it is left out"),
        ("format" = Option<String>, Query, description = "`json`, `tsv` or `arrow`; wins over `Accept`"),
    ),
    responses(
        (status = 200, description = "A page of genes", content(
            (GenesAnswer = "application/json"),
            (String = "text/tab-separated-values"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
        )),
        (status = 404, description = "`unknown-dataset`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 406, description = "`not-acceptable`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 422, description = "`invalid-parameter`, `no-default-dataset`", body = ProblemDetails, content_type = "application/problem+json"),
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
    let data: Vec<ListedGene> = found
        .iter()
        .skip(page.saturating_mul(items))
        .take(items)
        .map(|index| ListedGene { gene: GeneAnswer::of(reference.gene(*index)), missing: reference.missing(*index) })
        .collect();
    let bytes = match format {
        Format::Json | Format::Svg | Format::Bed | Format::Parquet => {
            let paging_info = PagingInfo {
                number_of_pages: found.len().div_ceil(items),
                page,
                max_items_per_page: items,
                total_number_of_items: found.len(),
            };
            to_json(&GenesAnswer { data, paging_info })
        }
        Format::Tsv => table(&data).tsv().into_bytes(),
        Format::Arrow => table(&data).arrow()?,
    };
    Ok(Rendered::new(bytes, format, &reference.dataset().version, None).respond(&headers))
}

/// Returns the genes that all filters let through: the best matches of the text first, then genome order.
fn search(dataset: &LoadedDataset, query: &Query) -> Result<Vec<GeneIndex>, Problem> {
    let reference = &dataset.reference;
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
        let rank = text.as_ref().map_or(Some(0), |text| rank(dataset, index, text));
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

fn table(genes: &[ListedGene]) -> Table {
    let text = |cell: fn(&ListedGene) -> Option<String>| Column::Text(genes.iter().map(cell).collect());
    let whole = |cell: fn(&ListedGene) -> Option<u32>| Column::Whole(genes.iter().map(cell).collect());
    Table(vec![
        ("gene_id", text(|one| Some(one.gene.gene_id.clone()))),
        ("version", whole(|one| one.gene.version)),
        ("symbol", text(|one| Some(one.gene.symbol.clone()))),
        ("chromosome", text(|one| one.gene.chromosome.clone())),
        ("start", whole(|one| one.gene.start)),
        ("end", whole(|one| one.gene.end)),
        ("strand", text(|one| one.gene.strand.map(str::to_owned))),
        ("tss", whole(|one| one.gene.tss)),
        ("biotype", text(|one| one.gene.biotype.clone())),
        ("missing", text(|one| one.missing.map(|missing| missing_name(missing).to_owned()))),
    ])
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
    let gene = ListedGene { gene: GeneAnswer::of(reference.gene(index)), missing: reference.missing(index) };
    let bytes = match format {
        Format::Json | Format::Svg | Format::Bed | Format::Parquet => to_json(&gene),
        Format::Tsv => table(&[gene]).tsv().into_bytes(),
        Format::Arrow => table(&[gene]).arrow()?,
    };
    Ok(Rendered::new(bytes, format, &reference.dataset().version, None).respond(&headers))
}
