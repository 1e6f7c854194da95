//! `POST /v1/predictions` and `POST /v1/predictions/check`: genotypes to expression.
//!
//! The handler finds models and policies, then hands the arriving bytes and the leaving ones to a thread that may
//! block: it reads, predicts and writes in one pass. Genotypes are in that thread's memory and nowhere else.

mod noted;
mod problems;

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request as HttpRequest, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use tokio::sync::OwnedSemaphorePermit;
use tracing::Span;

use super::audit::Audit;
use super::auth::{Access, Caller};
use super::extract::Query;
use super::negotiate::Format;
use super::problem::{Kind, Problem, ProblemDetails};
use super::rendered::MODEL_DIGEST;
use super::state::{AppState, HttpLimits, Snapshot};
use super::stream::{self, ChunkWriter};
use super::upload;
use crate::genome::Assembly;
use crate::genotype::policy::{PolicyChoices, share};
use crate::genotype::report::Report;
use crate::genotype::submission::{self, SubmittedFile};
use crate::genotype::{GenotypeSource, Policies};
use crate::model::expression::ServedGenotypeModel;
use crate::model::shelf::{Versioned, split_label};
use crate::prediction::answer::{Form, Packing};
use crate::prediction::selection::{PanelCache, Selection};
use crate::prediction::{Answer, AnswerError, PredictionError, Request, predict};
use crate::telemetry::metrics::{Metrics, Predicted};
use noted::{Announcing, Counting, Nobody, StopOnDrop};
use problems::{lost, panicked, problem, problem_kind};

/// The header of a short report, for the forms that have no place for it.
const REPORT: HeaderName = HeaderName::from_static("x-tissuecast-report");

const PARAMETERS: [&str; 13] = [
    "model",
    "gene",
    "sample",
    "missing",
    "ambiguous",
    "absent",
    "min_overlap",
    "assembly",
    "preset",
    "report",
    "explain",
    "format",
    "bgzip",
];
const FORMATS: [Format; 5] = [Format::Json, Format::Tsv, Format::Bed, Format::Arrow, Format::Parquet];

/// Predicts the expression of the posted people.
#[utoipa::path(
    post,
    path = "/v1/predictions",
    operation_id = "predict",
    tag = "predictions",
    description = "Genotypes are read while they arrive and are never kept. Every variant of the chosen genes ends in \
                   exactly one kind of the report; a value that is not known is null with a reason: \
                   `no_variant_in_model`, `no_variant_in_input`, `no_variant_usable`, `below_min_overlap` or \
                   `missing_genotypes`. A long answer \
                   leaves gene by gene before the last gene is computed; whatever goes wrong after its first mebibyte \
                   breaks the transfer off.",
    params(
        ("model" = Option<Vec<String>>, Query, description = "Models, as `name` or `name@version`, repeated or parted by commas; a name alone means its default version, `all` the default version of every one; may be left out where only one name is loaded"),
        ("gene" = Option<Vec<String>>, Query, description = "Only these genes: Ensembl identifiers with or without version, the model's own spelling, or symbols; repeated or parted by commas"),
        ("sample" = Option<Vec<String>>, Query, description = "Only these people, repeated or parted by commas; they are answered in the input's order"),
        ("missing" = Option<String>, Query, description = "What a missing genotype counts as: `mean` (2 × the effect allele's frequency in the model; unknown without one; the default), `cohort` (the submitted people's mean), `ref`, `drop`, `error`"),
        ("ambiguous" = Option<String>, Query, description = "Palindromic variants: `drop` (the default), `keep`, `frequency` (used where the frequencies of at least 50 people and of the model both lie at least 0.1 from ½ and agree within 0.2)"),
        ("absent" = Option<String>, Query, description = "Sites without a record: `unknown` (the default) or `homref`"),
        ("min_overlap" = Option<f64>, Query, description = "The least share of a model's variants that has to be found (otherwise the request is refused with a diagnosis) and of a gene's that has to be used (otherwise its values are null); 0.1 where it is left out"),
        ("assembly" = Option<String>, Query, description = "The genotypes' assembly, such as `GRCh37`; where it is left out the input's header tells it, or each model's own is assumed"),
        ("preset" = Option<String>, Query, description = "`predixcan`: `missing=ref`, `ambiguous=keep`, `min_overlap=0`, which gives the reference tool's numbers on clean input"),
        ("report" = Option<String>, Query, description = "`variants` adds what became of every variant to each gene (JSON)"),
        ("explain" = Option<bool>, Query, description = "Adds to each gene what every variant has added to each person's value (JSON): `\"explanation\": {\"base\": 0.1, \"method\": \"exact\", \"variants\": [{\"variant\": \"rs1\", \"values\": [0.2, null]}]}`. `base` is the prediction at the training set's mean, or without a copy where no frequency is known; base and contributions add up to the value. `method` is `exact` for linear models and `integrated gradients` for networks; null where the gene has no values. Variants × people are held to the limit of genes × people"),
        ("format" = Option<String>, Query, description = "`json`, `tsv`, `bed`, `arrow` or `parquet`; wins over `Accept`"),
        ("bgzip" = Option<bool>, Query, description = "Compresses `bed` by bgzip, ready for tabix"),
    ),
    request_body(
        description = "Genotypes: JSON (`{\"assembly\": \"GRCh37\", \"samples\": [\"S1\"], \"variants\": [{\"id\": \"rs1\", \"chromosome\": \"1\", \"position\": 1234, \"ref\": \"A\", \"alt\": \"G\", \"dosages\": [1]}]}`), VCF (plain, gzip or bgzip), BCF, or a form with the files of PLINK 1 (bim, fam, bed), PLINK 2 (pvar, psam, pgen), BGEN (sample, bgen) or text dosages (samples, dosage), the genotypes last",
        content(
            (serde_json::Value = "application/json"),
            (String = "text/vcf"),
            (Vec<u8> = "application/octet-stream"),
            (Vec<u8> = "multipart/form-data"),
        )
    ),
    responses(
        (status = 200, description = "The predictions; `x-tissuecast-report` carries a short report where the answer was complete before it was sent", content(
            (serde_json::Value = "application/json"),
            (String = "text/tab-separated-values"),
            (String = "text/x-bed"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
            (Vec<u8> = "application/vnd.apache.parquet"),
        )),
        (status = 400, description = "`malformed-genotypes` (which file, line or record, field), `malformed-body`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-model`, `unknown-gene` where no model has any of the genes", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 406, description = "`not-acceptable`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 413, description = "`body-too-large`, `limit-passed` (which limit, its value)", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 422, description = "`low-overlap` (with the report and its diagnosis), `invalid-parameter`, `unusable-policy`", body = ProblemDetails, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post_predictions(
    state: State<Arc<AppState>>,
    query: Query,
    headers: HeaderMap,
    audit: Audit,
    request: HttpRequest,
) -> Result<Response, Problem> {
    let caller = Caller::of(&request);
    let prepared = async {
        query.only(&PARAMETERS)?;
        let format = Format::choose(&headers, query.one("format")?, &FORMATS)?;
        let form = form(format, query.flag("bgzip")?)?;
        let job = Job::prepare(&state, &query, caller, audit)?;
        if job.request.explain && form.0 != Form::Json {
            let detail = "contributions are answered as JSON only: ask for format=json, or leave explain out";
            return Err(Problem::parameter("explain", detail));
        }
        Ok((format, form, job, state.predictions.enter().await?))
    };
    let (format, form, job, permit) = match prepared.await {
        Ok(prepared) => prepared,
        Err(problem) => {
            upload::refuse(request);
            return Err(problem);
        }
    };
    let digests = job.digests();
    let files = upload::receive(request, state.limits.kept_upload_bytes, Arc::clone(&job.request.stop)).await?;
    let stop = Arc::clone(&job.request.stop);
    let (chunks, mut answer) = stream::channel(stop, state.limits.pace());
    let report: Arc<OnceLock<Report>> = Arc::default();
    let complete = Arc::clone(&report);
    let span = Span::current();
    let work =
        tokio::task::spawn_blocking(move || span.in_scope(|| job.write(files, form, (chunks, permit), &complete)));
    // Either the first bytes come, or the work ends without any.
    if !answer.begin().await {
        let failed = work.await.map_err(|_| panicked())?.err();
        return Err(failed.unwrap_or_else(|| {
            tracing::error!("an answer got lost");
            lost()
        }));
    }
    let mut response = Response::new(Body::from_stream(answer));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(MODEL_DIGEST, digests);
    if let Some(report) = report.get().and_then(|report| HeaderValue::try_from(short(report)).ok()) {
        headers.insert(REPORT, report);
    }
    Ok(response)
}

/// Matches the posted genotypes with models and answers the report alone.
#[utoipa::path(
    post,
    path = "/v1/predictions/check",
    operation_id = "checkPredictions",
    tag = "predictions",
    description = "Takes the same body as `POST /v1/predictions`, and its parameters that choose and match, and answers \
                   its report. Low overlap is no error here: the report's diagnosis says what is wrong.",
    params(
        ("model" = Option<Vec<String>>, Query, description = "Models, as `name` or `name@version`, repeated or parted by commas; a name alone means its default version, `all` the default version of every one; may be left out where only one name is loaded"),
        ("gene" = Option<Vec<String>>, Query, description = "Only these genes"),
        ("sample" = Option<Vec<String>>, Query, description = "Only these people"),
        ("missing" = Option<String>, Query, description = "As of `POST /v1/predictions`"),
        ("ambiguous" = Option<String>, Query, description = "As of `POST /v1/predictions`"),
        ("absent" = Option<String>, Query, description = "As of `POST /v1/predictions`"),
        ("min_overlap" = Option<f64>, Query, description = "As of `POST /v1/predictions`"),
        ("assembly" = Option<String>, Query, description = "As of `POST /v1/predictions`"),
        ("preset" = Option<String>, Query, description = "As of `POST /v1/predictions`"),
    ),
    request_body(
        description = "Genotypes, as of `POST /v1/predictions`",
        content(
            (serde_json::Value = "application/json"),
            (String = "text/vcf"),
            (Vec<u8> = "application/octet-stream"),
            (Vec<u8> = "multipart/form-data"),
        )
    ),
    responses(
        (status = 200, description = "The report", body = serde_json::Value),
        (status = 400, description = "`malformed-genotypes`, `malformed-body`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 404, description = "`unknown-model`, `unknown-gene`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 413, description = "`body-too-large`, `limit-passed`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = ProblemDetails, content_type = "application/problem+json"),
        (status = 422, description = "`invalid-parameter`, `unusable-policy`", body = ProblemDetails, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn check_predictions(
    state: State<Arc<AppState>>,
    query: Query,
    audit: Audit,
    request: HttpRequest,
) -> Result<Response, Problem> {
    let caller = Caller::of(&request);
    let prepared = async {
        query.only(&PARAMETERS[..9])?;
        let job = Job::prepare(&state, &query, caller, audit)?;
        Ok((job, state.predictions.enter().await?))
    };
    let (job, permit) = match prepared.await {
        Ok(prepared) => prepared,
        Err(problem) => {
            upload::refuse(request);
            return Err(problem);
        }
    };
    let digests = job.digests();
    let files = upload::receive(request, state.limits.kept_upload_bytes, Arc::clone(&job.request.stop)).await?;
    let stop = StopOnDrop(Arc::clone(&job.request.stop));
    let span = Span::current();
    let work = tokio::task::spawn_blocking(move || {
        let (_permit, _inside) = (permit, span.enter());
        job.check(files)
    });
    let report = work.await.map_err(|_| panicked())??;
    drop(stop);
    let mut response = Response::new(Body::from(super::answer::to_json(&report)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(MODEL_DIGEST, digests);
    Ok(response)
}

/// One prediction, ready to run on a thread that may block.
struct Job {
    request: Request,
    limits: HttpLimits,
    panels: Arc<PanelCache>,
    caller: Caller,
    access: Arc<Access>,
    audit: Audit,
    metrics: Arc<Metrics>,
}

impl Job {
    fn prepare(state: &AppState, query: &Query, caller: Caller, audit: Audit) -> Result<Self, Problem> {
        let snapshot = state.snapshot();
        let models = models(&snapshot, query)?;
        audit.models(models.iter().map(Versioned::label));
        let genes = list(query, "gene");
        let samples = list(query, "sample");
        let policies = policies(query)?;
        let report_variants = match query.one("report")? {
            None | Some("genes") => false,
            Some("variants") => true,
            Some(other) => {
                let detail = format!("'report' is genes (the default) or variants, not '{other}'");
                return Err(Problem::parameter("report", detail));
            }
        };
        let selection = Selection::of(models, &genes);
        if !genes.is_empty() && selection.not_found.len() == genes.len() {
            return Err(problem(PredictionError::NoSuchGene(selection.not_found)));
        }
        let request = Request {
            selection,
            samples: (!samples.is_empty()).then_some(samples),
            policies,
            report_variants,
            explain: query.flag("explain")?,
            stop: Arc::default(),
        };
        let (panels, limits) = (Arc::clone(&snapshot.panels), state.limits.clone());
        let (access, metrics) = (Arc::clone(&state.access), Arc::clone(&state.metrics));
        Ok(Self { request, limits, panels, caller, access, audit, metrics })
    }

    fn digests(&self) -> HeaderValue {
        let digests: Vec<&str> = self.request.selection.models.iter().map(|(model, _)| model.digest.as_str()).collect();
        HeaderValue::try_from(digests.join(", ")).unwrap_or(HeaderValue::from_static("unknown"))
    }

    fn write(
        self,
        files: Vec<SubmittedFile>,
        (form, packing): (Form, Packing),
        (mut chunks, permit): (ChunkWriter, OwnedSemaphorePermit),
        complete: &OnceLock<Report>,
    ) -> Result<(), Problem> {
        let clock = Instant::now();
        let (mut source, people) = self.open(files).map_err(problem)?;
        let charged = self.caller.charge(people, &self.access)?;
        let outcome = self.run(&mut *source, &mut Announcing { answer: form.writer(packing, &mut chunks), complete });
        // The work is done: whoever has got the last byte finds the place free.
        drop(permit);
        let has_begun = chunks.has_begun();
        let ended = match outcome {
            Ok(report) => {
                self.count(&report, clock);
                chunks.finish().map_err(|error| problem(AnswerError::Io(error).into()))
            }
            Err(error) => {
                if has_begun && !matches!(error, PredictionError::Answer(AnswerError::Io(_))) {
                    tracing::warn!(kind = ?problem_kind(&error), "an answer was broken off");
                }
                Err(problem(error))
            }
        };
        // Also where only a part of the values has left: a client that goes before the last one has got the others.
        if has_begun || ended.is_ok() {
            charged.keep();
        }
        ended
    }

    /// Matches the genotypes with the models, and answers the report alone.
    fn check(&self, files: Vec<SubmittedFile>) -> Result<Report, Problem> {
        let outcome = self.open(files).and_then(|(mut source, _)| self.run(&mut *source, &mut Nobody));
        match outcome {
            Err(PredictionError::LowOverlap(report)) => Ok(*report),
            outcome => outcome.map_err(problem),
        }
    }

    /// Opens the genotypes; returns them with the number of people who are asked for.
    fn open(&self, files: Vec<SubmittedFile>) -> Result<(Box<dyn GenotypeSource>, usize), PredictionError> {
        let source = submission::open(files, &self.limits.read)?;
        let people = self.request.samples.as_ref().map_or_else(|| source.samples().len(), Vec::len);
        self.audit.samples(people);
        let genes = self.request.selection.genes();
        if people.saturating_mul(genes) > self.limits.answer_values {
            return Err(PredictionError::TooManyValues { genes, people, most: self.limits.answer_values });
        }
        let variants = if self.request.explain { self.request.selection.variants() } else { 0 };
        if people.saturating_mul(variants) > self.limits.answer_values {
            return Err(PredictionError::TooManyContributions { variants, people, most: self.limits.answer_values });
        }
        Ok((source, people))
    }

    fn run(&self, source: &mut dyn GenotypeSource, answer: &mut dyn Answer) -> Result<Report, PredictionError> {
        let panel = |assembly: Option<&Assembly>| self.panels.get(&self.request.selection, assembly);
        predict(source, &self.request, panel, &mut Counting { answer, audit: &self.audit, genes: 0 })
    }

    /// Counts a prediction whose answer was written.
    fn count(&self, report: &Report, began: Instant) {
        let models = self.request.selection.models.iter().map(|(model, _)| model.label());
        let models = models.zip(report.models.iter().map(|one| &one.by_kind)).collect();
        self.metrics.predicted(&Predicted { models, samples: self.audit.noted_samples(), took: began.elapsed() });
    }
}

/// Every value of a parameter that may be repeated or hold several parted by commas.
fn list(query: &Query, name: &str) -> Vec<String> {
    query.all(name).flat_map(|value| value.split(',')).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn models(snapshot: &Snapshot, query: &Query) -> Result<Vec<Arc<ServedGenotypeModel>>, Problem> {
    let loaded = &snapshot.expression_models;
    let names = list(query, "model");
    let all = || loaded.names().cloned().collect::<Vec<_>>();
    if loaded.is_empty() {
        let detail = "no genotype model is loaded: 'tissuecast models import' takes PredictDB, FUSION, TIGAR and \
                      scoring files";
        return Err(Problem::new(Kind::UnknownModel, detail));
    }
    if names.is_empty() && loaded.names().count() == 1 || names.iter().any(|name| name == "all") {
        return Ok(loaded.defaults().cloned().collect());
    }
    if names.is_empty() {
        let detail = "several genotype models are loaded: name some by 'model', or all of them by model=all";
        return Err(Problem::parameter("model", detail).with_candidates(all()));
    }
    let mut chosen: Vec<Arc<ServedGenotypeModel>> = Vec::with_capacity(names.len());
    for named in &names {
        let Some(found) = loaded.get(named) else {
            let (name, _) = split_label(named);
            if snapshot.models.has_name(name) {
                let detail = format!("model '{name}' imputes tissue profiles and reads no genotypes");
                return Err(Problem::parameter("model", detail).with_candidates(all()));
            }
            return Err(super::state::unknown_model(named, loaded.labels()));
        };
        if !chosen.iter().any(|other| Arc::ptr_eq(other, found)) {
            chosen.push(Arc::clone(found));
        }
    }
    Ok(chosen)
}

fn policies(query: &Query) -> Result<Policies, Problem> {
    fn choice<T: std::str::FromStr<Err = String>>(query: &Query, name: &str) -> Result<Option<T>, Problem> {
        let parsed = query.one(name)?.map(str::parse).transpose();
        parsed.map_err(|detail: String| Problem::parameter(name, detail))
    }
    let min_overlap = query.one("min_overlap")?.map(share).transpose();
    let assembly = query.one("assembly")?.map(Assembly::parse).transpose();
    let choices = PolicyChoices {
        preset: choice(query, "preset")?,
        missing: choice(query, "missing")?,
        ambiguous: choice(query, "ambiguous")?,
        absent: choice(query, "absent")?,
        min_overlap: min_overlap.map_err(|detail| Problem::parameter("min_overlap", detail))?,
        assembly: assembly.map_err(|error| Problem::parameter("assembly", error.to_string()))?,
    };
    Ok(choices.policies())
}

fn form(format: Format, bgzip: bool) -> Result<(Form, Packing), Problem> {
    if bgzip && format != Format::Bed {
        return Err(Problem::parameter("bgzip", "only bed is compressed by bgzip"));
    }
    let form = match format {
        Format::Tsv => Form::Tsv,
        Format::Bed => Form::Bed,
        Format::Arrow => Form::Arrow,
        Format::Parquet => Form::Parquet,
        Format::Json | Format::Svg => Form::Json,
    };
    Ok((form, if bgzip { Packing::Bgzip } else { Packing::Plain }))
}

/// A report that fits into a header.
fn short(report: &Report) -> String {
    let models: Vec<_> = report
        .models
        .iter()
        .map(|model| {
            serde_json::json!({
                "model": model.model, "overlap": model.overlap, "genes": model.genes,
                "genes_predicted": model.genes_predicted,
            })
        })
        .collect();
    let short = serde_json::json!({
        "records": report.records, "by_kind": report.by_kind, "policies": report.policies, "models": models,
    });
    let text = short.to_string();
    if text.len() <= 6_000 {
        text
    } else {
        serde_json::json!({"records": report.records, "by_kind": report.by_kind}).to_string()
    }
}
