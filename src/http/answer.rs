//! The shape of a profile's answer, and how it is put together from what was measured and what was imputed.

use serde::Serialize;
use utoipa::ToSchema;

use super::negotiate::Format;
use super::problem::Problem;
use super::state::{Completion, LoadedDataset};
use super::table::{Column, Table};
pub use crate::completion::Source;
use crate::completion::{Cell, join, shape_only};
use crate::genome::{Gene, Locus, Tissue};
use crate::model::explanation::{Explanation, Influence};
use crate::model::served::{ImputedProfile, ServedModel};
use crate::model::{Known, Orientation, Part, Scale};
use crate::reference::Missing;
use crate::web::plot::{self, View};

/// A gene as it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct GeneAnswer {
    /// The identifier without version.
    #[schema(example = "ENSG00000013573")]
    pub gene_id: String,
    /// The identifier's version where the dataset has it.
    pub version: Option<u32>,
    /// The symbol.
    #[schema(example = "DDX11")]
    pub symbol: String,
    /// The chromosome.
    #[schema(example = "chr12")]
    pub chromosome: Option<String>,
    /// The leftmost base, from 1.
    pub start: Option<u32>,
    /// The rightmost base, from 1.
    pub end: Option<u32>,
    /// `+` or `-`.
    pub strand: Option<&'static str>,
    /// The transcription start site.
    pub tss: Option<u32>,
    /// The biotype.
    #[schema(example = "protein_coding")]
    pub biotype: Option<String>,
}

impl GeneAnswer {
    /// Returns a dataset's gene as it is answered.
    #[must_use]
    pub fn of(gene: &Gene) -> Self {
        let locus = gene.locus.as_ref();
        Self {
            gene_id: gene.id.as_str().to_owned(),
            version: gene.version,
            symbol: gene.symbol.as_str().to_owned(),
            chromosome: locus.map(|locus| locus.chromosome.as_str().to_owned()),
            start: locus.map(|locus| locus.start.get()),
            end: locus.map(|locus| locus.end.get()),
            strand: locus.map(|locus| locus.strand.as_str()),
            tss: locus.map(|locus| locus.tss.get()),
            biotype: gene.biotype.as_ref().map(|biotype| biotype.as_str().to_owned()),
        }
    }

    /// Returns a posted gene as it is answered: of its place only the start of transcription is known.
    #[must_use]
    pub fn posted(id: &str, locus: &Locus, biotype: Option<&str>) -> Self {
        Self {
            gene_id: id.to_owned(),
            version: None,
            symbol: id.to_owned(),
            chromosome: Some(locus.chromosome.as_str().to_owned()),
            start: None,
            end: None,
            strand: Some(locus.strand.as_str()),
            tss: Some(locus.tss.get()),
            biotype: biotype.map(str::to_owned),
        }
    }
}

/// The dataset of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DatasetRef {
    /// Its name.
    #[schema(example = "gtex_v4")]
    pub name: String,
    /// Its version: a digest of its content.
    pub version: String,
}

/// The model of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ModelRef {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `sha256:` and the digest of its files.
    pub digest: String,
}

impl ModelRef {
    /// Returns the model of a completion as it is answered.
    pub(crate) fn of(completion: &Completion) -> Self {
        let ServedModel { card, digest, .. } = completion.model.as_ref();
        Self { name: card.name.clone(), version: card.version.clone(), digest: digest.clone() }
    }
}

/// One tissue of a profile.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TissueAnswer {
    /// GTEx's `tissueSiteDetailId`.
    #[schema(example = "Brain_Cortex")]
    pub tissue: String,
    /// The name for people.
    #[schema(example = "Brain - Cortex")]
    pub name: String,
    /// The value in the dataset's unit; null where only the relative shape is known, or nothing.
    pub value: Option<f32>,
    /// Where the value comes from: `measured`, `imputed` or `unknown`.
    #[schema(value_type = String, example = "imputed")]
    pub source: Source,
    /// The interval's lower end; null for measured values.
    pub lower: Option<f32>,
    /// The interval's upper end; null for measured values.
    pub upper: Option<f32>,
    /// 0 at the gene's lowest tissue, 1 at its highest.
    pub relative: Option<f32>,
    /// With `explain`, of an imputed value: what each part that the prediction rests on does to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<ExplanationAnswer>,
}

/// What each part that a prediction rests on does to it; a part that the gene does not have is left out.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, ToSchema)]
pub struct ExplanationAnswer {
    /// The sequence of the gene's promoter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promoter: Option<InfluenceAnswer>,
    /// The measured genes around it, and how densely genes lie there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<InfluenceAnswer>,
    /// The gene's own measured tissues, where the model reads them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_tissues: Option<InfluenceAnswer>,
}

/// What one part does to a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct InfluenceAnswer {
    /// The prediction with everything minus the prediction without this part, on the model's scale: log2(1 + x) of its
    /// unit, so that 1 is a factor of two, or 0 to 1 over the gene's tissues for a model of relative shapes; null where
    /// the model gives no prediction without it.
    pub moved: Option<f32>,
    /// |moved| over the sum of |moved| of all parts; null where nothing moves, or not every part can be left out.
    pub share: Option<f32>,
}

impl ExplanationAnswer {
    /// Returns what an explanation says of a tissue of the model.
    fn of(explanation: &Explanation, at: usize) -> Self {
        let mut answer = Self::default();
        for (part, Influence { moved, share }) in explanation.tissue(at) {
            let place = match part {
                Part::Promoter => &mut answer.promoter,
                Part::Neighbours => &mut answer.neighbours,
                Part::OwnTissues => &mut answer.own_tissues,
            };
            *place = Some(InfluenceAnswer { moved, share });
        }
        answer
    }
}

/// A reference gene that an imputed profile rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReferenceAnswer {
    /// Its identifier.
    pub gene_id: String,
    /// Its symbol.
    pub symbol: String,
    /// Base pairs from the gene's start of transcription to its own; negative to the left.
    pub distance_bp: i64,
    /// How the two are turned to each other.
    #[schema(value_type = String, example = "divergent")]
    pub orientation: Orientation,
}

/// A gene's tissue profile.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ProfileAnswer {
    /// The gene.
    pub gene: GeneAnswer,
    /// The dataset that it was measured in.
    pub dataset: DatasetRef,
    /// The model that imputes what is missing; null where none fits the dataset.
    pub model: Option<ModelRef>,
    /// The unit of the values.
    #[schema(example = "rpkm")]
    pub unit: String,
    /// Why the gene counts as missing: `no_profile`, `some_tissues`, `all_zero`; null where it does not.
    #[schema(value_type = Option<String>, example = "no_profile")]
    pub missing: Option<Missing>,
    /// Every tissue once, in the dataset's order.
    pub tissues: Vec<TissueAnswer>,
    /// The reference genes that the imputed values rest on, nearest first; empty where all was measured.
    pub references: Vec<ReferenceAnswer>,
    /// Remarks for people.
    pub notes: Vec<String>,
}

/// What a profile is put together from.
pub(crate) struct Parts<'a> {
    pub(crate) dataset: &'a LoadedDataset,
    pub(crate) completion: Option<&'a Completion>,
    pub(crate) gene: GeneAnswer,
    /// One value a tissue of the dataset, NaN where nothing was measured.
    pub(crate) measured: &'a [f32],
    pub(crate) missing: Option<Missing>,
    pub(crate) imputed: Option<&'a ImputedProfile>,
    pub(crate) explanation: Option<&'a Explanation>,
    pub(crate) notes: Vec<String>,
}

impl ProfileAnswer {
    /// Joins measured and imputed values; a measured value always stays as it was measured.
    pub(crate) fn assemble(parts: Parts<'_>) -> Self {
        let Parts { dataset, completion, gene, measured, missing, imputed, explanation, mut notes } = parts;
        let reference = &dataset.reference;
        let explained = |tissue: &Tissue| {
            let of_model = completion?.model.card.tissues.iter().position(|id| id == tissue.id())?;
            explanation.map(|explanation| ExplanationAnswer::of(explanation, of_model))
        };
        let cells = join(measured, imputed);
        let tissues: Vec<TissueAnswer> = (reference.tissues().iter().zip(cells))
            .map(|(tissue, Cell { source, value, lower, upper, relative })| TissueAnswer {
                tissue: tissue.id().to_owned(),
                name: tissue.name().to_owned(),
                value,
                source,
                lower,
                upper,
                relative,
                explanation: explained(tissue).filter(|_| source == Source::Imputed),
            })
            .collect();
        let sources = |wanted: Source| tissues.iter().any(|one| one.source == wanted);
        if let Some(completion) = completion.filter(|_| sources(Source::Imputed)) {
            let known = imputed.map_or(0, |profile| profile.known_tissues);
            notes.extend(remarks(dataset, completion, sources(Source::Measured), known));
            notes.extend(explanation.map(|_| explanation_remark(completion)));
        }
        let used = imputed.filter(|_| sources(Source::Imputed));
        let references = used.map_or(&[][..], |profile| &profile.references).iter().map(|one| ReferenceAnswer {
            gene_id: one.gene_id.as_str().to_owned(),
            symbol: one.symbol.as_str().to_owned(),
            distance_bp: one.distance_bp,
            orientation: one.orientation,
        });
        let about = reference.dataset();
        Self {
            gene,
            dataset: DatasetRef { name: about.name.clone(), version: about.version.clone() },
            model: completion.map(ModelRef::of),
            unit: about.unit.as_str().to_owned(),
            missing,
            references: references.collect(),
            tissues,
            notes,
        }
    }

    /// Writes the profile in a format; a table has the columns of explanations where they were asked for, a plot looks
    /// as the view says.
    ///
    /// # Errors
    /// An Arrow stream could not be written, which is a defect.
    pub(crate) fn write(&self, format: Format, explain: bool, view: View) -> Result<Vec<u8>, Problem> {
        match format {
            Format::Json | Format::Bed | Format::Parquet => Ok(to_json(self)),
            Format::Svg => Ok(plot::svg(self, view).into_bytes()),
            Format::Tsv => Ok(table(std::iter::once(Row::Profile(self)), explain).tsv().into_bytes()),
            Format::Arrow => table(std::iter::once(Row::Profile(self)), explain).arrow(),
        }
    }
}

/// What a reader has to know about imputed values.
fn remarks(
    dataset: &LoadedDataset,
    completion: &Completion,
    partly_measured: bool,
    known_tissues: usize,
) -> Vec<String> {
    let card = &completion.model.card;
    let mut notes = Vec::new();
    if completion.model.has_level_in(&dataset.reference) {
        let known = Known::of(known_tissues, card.tissues.len());
        let calibration = card.calibration.as_ref();
        if let Some((calibration, stratum)) = calibration.and_then(|all| Some((all, all.of(known)?))) {
            let (level, coverage) = (100.0 * calibration.level, 100.0 * stratum.coverage);
            notes.push(format!(
                "intervals of imputed values are nominal {level:.0} %; measured coverage on held-out genes {coverage:.1} %"
            ));
        } else {
            notes.push("the model has no calibrated interval".to_owned());
        }
        return notes;
    }
    notes.extend(shape_only(&completion.model, &dataset.reference));
    if partly_measured {
        notes.push("measured and imputed tissues are each on a relative scale of their own".to_owned());
    }
    notes
}

/// What a reader has to know about explanations.
fn explanation_remark(completion: &Completion) -> String {
    let scale = match completion.model.model.scale() {
        Scale::Log2 => format!("log2(1 + {}), where 1 is a factor of two", completion.model.card.unit),
        Scale::MinMax => "0 to 1 over the gene's tissues".to_owned(),
    };
    format!(
        "explanations tell by how much the model's own prediction changes when a part is left out, on its scale, {scale}; \
         parts may say the same thing twice, so they do not add up to the value"
    )
}

/// Writes JSON; every type that is answered holds strings, numbers and lists only, which cannot fail to be written.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// A line, or lines, of a table of profiles.
pub(crate) enum Row<'a> {
    /// A profile: one line a tissue.
    Profile(&'a ProfileAnswer),
    /// A gene that was not found: one line that says so.
    NotFound(&'a str),
}

/// The columns of explanations, behind the others.
const EXPLANATION: [(&str, &str); 3] = [
    ("promoter_moved", "promoter_share"),
    ("neighbours_moved", "neighbours_share"),
    ("own_tissues_moved", "own_tissues_share"),
];

/// Lays profiles out as one table, a line for each gene and tissue.
pub(crate) fn table<'a>(rows: impl Iterator<Item = Row<'a>>, explain: bool) -> Table {
    let mut text: [Vec<Option<String>>; 5] = Default::default();
    let mut numbers: [Vec<Option<f32>>; 4] = Default::default();
    let mut moved: [Vec<Option<f32>>; 3] = Default::default();
    let mut shares: [Vec<Option<f32>>; 3] = Default::default();
    let mut push = |words: [Option<&str>; 5], values: [Option<f32>; 4], explanation: ExplanationAnswer| {
        text.iter_mut().zip(words).for_each(|(column, word)| column.push(word.map(str::to_owned)));
        numbers.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        let parts = [explanation.promoter, explanation.neighbours, explanation.own_tissues];
        for ((moved, shares), part) in moved.iter_mut().zip(&mut shares).zip(parts) {
            moved.push(part.and_then(|part| part.moved));
            shares.push(part.and_then(|part| part.share));
        }
    };
    for row in rows {
        match row {
            Row::NotFound(query) => {
                push([Some(query), None, None, Some("not_found"), None], [None; 4], ExplanationAnswer::default());
            }
            Row::Profile(profile) => {
                let (id, symbol) = (profile.gene.gene_id.as_str(), profile.gene.symbol.as_str());
                for one in &profile.tissues {
                    let words =
                        [Some(id), Some(symbol), Some(&*one.tissue), Some(one.source.as_str()), Some(&*profile.unit)];
                    let explanation = one.explanation.unwrap_or_default();
                    push(words, [one.value, one.lower, one.upper, one.relative], explanation);
                }
            }
        }
    }
    let [id, symbol, tissue, source, unit] = text.map(Column::Text);
    let [value, lower, upper, relative] = numbers.map(Column::Number);
    let mut columns = vec![
        ("gene_id", id),
        ("symbol", symbol),
        ("tissue", tissue),
        ("source", source),
        ("value", value),
        ("lower", lower),
        ("upper", upper),
        ("relative", relative),
        ("unit", unit),
    ];
    if explain {
        for (((moved_name, share_name), moved), share) in EXPLANATION.into_iter().zip(moved).zip(shares) {
            columns.extend([(moved_name, Column::Number(moved)), (share_name, Column::Number(share))]);
        }
    }
    Table(columns)
}
