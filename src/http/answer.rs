//! The shape of a profile's answer, and how it is put together from what was measured and what was imputed.

use serde::Serialize;
use utoipa::ToSchema;

use super::negotiate::Format;
use super::problem::Problem;
use super::state::{Completion, LoadedDataset};
use super::table::{Column, Table};
use crate::genome::{Gene, Locus};
use crate::model::served::ImputedProfile;
use crate::model::{Known, Orientation, min_max};
use crate::reference::Missing;

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

/// Where a tissue's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// It was measured.
    Measured,
    /// The model imputed it.
    Imputed,
    /// There is no value.
    Unknown,
}

impl Source {
    /// Returns the name that answers use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Imputed => "imputed",
            Self::Unknown => "unknown",
        }
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
    /// Where the value comes from.
    pub source: Source,
    /// The interval's lower end; null for measured values.
    pub lower: Option<f32>,
    /// The interval's upper end; null for measured values.
    pub upper: Option<f32>,
    /// 0 at the gene's lowest tissue, 1 at its highest.
    pub relative: Option<f32>,
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
    pub(crate) notes: Vec<String>,
}

impl ProfileAnswer {
    /// Joins measured and imputed values; a measured value always stays as it was measured.
    pub(crate) fn assemble(parts: Parts<'_>) -> Self {
        let Parts { dataset, completion, gene, measured, missing, imputed, mut notes } = parts;
        let reference = &dataset.reference;
        let named = |tissue: &crate::genome::Tissue| (tissue.id().to_owned(), tissue.name().to_owned());
        let mut tissues: Vec<TissueAnswer> = Vec::with_capacity(measured.len());
        for (at, tissue) in reference.tissues().iter().enumerate() {
            let (tissue, name) = named(tissue);
            let guess = imputed.and_then(|profile| profile.tissues.get(at).copied().flatten());
            let (value, source) = match (measured[at], guess) {
                (x, _) if x.is_finite() => (Some(x), Source::Measured),
                (_, Some(guess)) => (guess.value, Source::Imputed),
                (_, None) => (None, Source::Unknown),
            };
            let guess = guess.filter(|_| source == Source::Imputed);
            let (lower, upper) = (guess.and_then(|g| g.lower), guess.and_then(|g| g.upper));
            tissues.push(TissueAnswer {
                tissue,
                name,
                value,
                source,
                lower,
                upper,
                relative: guess.map(|g| g.relative),
            });
        }
        // With levels everywhere one scale spans the whole profile; without, measured and imputed have one each.
        let shape = min_max(&tissues.iter().map(|one| one.value.unwrap_or(f32::NAN)).collect::<Vec<_>>());
        for (one, relative) in tissues.iter_mut().zip(shape) {
            one.relative = if relative.is_finite() { Some(relative) } else { one.relative };
        }
        let sources = |wanted: Source| tissues.iter().any(|one| one.source == wanted);
        if let Some(completion) = completion.filter(|_| sources(Source::Imputed)) {
            let known = imputed.map_or(0, |profile| profile.known_tissues);
            notes.extend(remarks(dataset, completion, sources(Source::Measured), known));
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
            model: completion.map(|completion| ModelRef {
                name: completion.model.card.name.clone(),
                version: completion.model.card.version.clone(),
                digest: completion.model.digest.clone(),
            }),
            unit: about.unit.as_str().to_owned(),
            missing,
            references: references.collect(),
            tissues,
            notes,
        }
    }

    /// Writes the profile in a format.
    ///
    /// # Errors
    /// An Arrow stream could not be written, which is a defect.
    pub(crate) fn write(&self, format: Format) -> Result<Vec<u8>, Problem> {
        match format {
            Format::Json | Format::Bed | Format::Parquet => Ok(to_json(self)),
            Format::Svg => Ok(crate::web::plot::svg(self).into_bytes()),
            Format::Tsv => Ok(table(std::iter::once(Row::Profile(self))).tsv().into_bytes()),
            Format::Arrow => table(std::iter::once(Row::Profile(self))).arrow(),
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
    let about = dataset.reference.dataset();
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
    if card.unit == about.unit {
        notes.push("the model predicts relative shapes only: imputed tissues have no value".to_owned());
    } else {
        notes.push(format!(
            "the model learned from {}, the dataset is in {}: imputed tissues have a relative shape and no value",
            card.unit, about.unit
        ));
    }
    if partly_measured {
        notes.push("measured and imputed tissues are each on a relative scale of their own".to_owned());
    }
    notes
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

/// Lays profiles out as one table, a line for each gene and tissue.
pub(crate) fn table<'a>(rows: impl Iterator<Item = Row<'a>>) -> Table {
    let mut text: [Vec<Option<String>>; 5] = Default::default();
    let mut numbers: [Vec<Option<f32>>; 4] = Default::default();
    let mut push = |words: [Option<&str>; 5], values: [Option<f32>; 4]| {
        text.iter_mut().zip(words).for_each(|(column, word)| column.push(word.map(str::to_owned)));
        numbers.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
    };
    for row in rows {
        match row {
            Row::NotFound(query) => push([Some(query), None, None, Some("not_found"), None], [None; 4]),
            Row::Profile(profile) => {
                let (id, symbol) = (profile.gene.gene_id.as_str(), profile.gene.symbol.as_str());
                for one in &profile.tissues {
                    let words =
                        [Some(id), Some(symbol), Some(&*one.tissue), Some(one.source.as_str()), Some(&*profile.unit)];
                    push(words, [one.value, one.lower, one.upper, one.relative]);
                }
            }
        }
    }
    let [id, symbol, tissue, source, unit] = text.map(Column::Text);
    let [value, lower, upper, relative] = numbers.map(Column::Number);
    Table(vec![
        ("gene_id", id),
        ("symbol", symbol),
        ("tissue", tissue),
        ("source", source),
        ("value", value),
        ("lower", lower),
        ("upper", upper),
        ("relative", relative),
        ("unit", unit),
    ])
}
