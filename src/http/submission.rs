//! Reading the body of `POST /v1/profiles`: every wrong item is named by its index and field.

use std::str::FromStr as _;

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::complete::{NewGene, Subject};
use super::lookup;
use super::problem::{Kind, Problem, Wrong};
use super::state::{HttpLimits, LoadedDataset};
use crate::genome::{Biotype, Chromosome, Locus, Position, Promoter, Strand};
use crate::model::Target;
use crate::reference::Unit;

/// After this many wrong items the rest is not listed.
const MOST_ERRORS: usize = 20;
const LONGEST_ID: usize = 200;
const FIELDS: [&str; 10] =
    ["id", "chromosome", "tss", "start", "end", "strand", "biotype", "promoter", "observed", "unit"];

/// The body of `POST /v1/profiles`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfilesBody {
    /// The dataset's name; the default one where it is left out.
    #[schema(example = "gtex_v4")]
    pub dataset: Option<String>,
    /// The model's name; the dataset's default one where it is left out.
    pub model: Option<String>,
    /// The unit of `observed` where an item has none of its own: `tpm` or `rpkm`; the dataset's where it is left out.
    #[schema(example = "tpm")]
    pub unit: Option<String>,
    /// Adds to each imputed tissue what the promoter, the neighbours and the gene's own measured tissues do to it.
    #[serde(default)]
    pub explain: bool,
    /// The genes: known ones as `{"gene": "DDX11"}`, new ones as `{"id", "chromosome", "tss", "strand", "biotype"?,
    /// "promoter"?, "observed"?, "unit"?}`.
    #[schema(value_type = Vec<PostedGene>)]
    pub genes: Vec<Value>,
}

/// One gene of the body: `gene` alone for a known one, the other fields for a new one.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "documents the shape; the items are read field by field, to name what is wrong")]
pub struct PostedGene {
    /// A known gene, by identifier or symbol.
    #[schema(example = "DDX11")]
    gene: Option<String>,
    /// The new gene's own name.
    id: Option<String>,
    /// Its chromosome.
    #[schema(example = "chr12")]
    chromosome: Option<String>,
    /// Its transcription start site, from 1, on the dataset's assembly.
    #[schema(example = 31_000_000)]
    tss: Option<u32>,
    /// The gene's first base; its transcription start where it is left out.
    start: Option<u32>,
    /// The gene's last base; its transcription start where it is left out.
    end: Option<u32>,
    /// `+` or `-`.
    #[schema(example = "+")]
    strand: Option<String>,
    /// Its biotype.
    #[schema(example = "lincRNA")]
    biotype: Option<String>,
    /// Its promoter on its own strand, of A, C, G, T, N, in the window that the model reads.
    promoter: Option<String>,
    /// What was measured, by tissue, in the dataset's unit where `unit` does not say otherwise.
    #[schema(value_type = Option<std::collections::BTreeMap<String, f32>>)]
    observed: Option<Value>,
    /// The unit of `observed`: `tpm` or `rpkm`. TPM is converted to the RPKM of a dataset by what the dataset's genes add
    /// up to in each tissue, with a note; RPKM cannot be brought into a dataset in TPM, which does not tell that sum.
    #[schema(example = "tpm")]
    unit: Option<String>,
}

/// An item as it is answered.
#[derive(Debug)]
pub(crate) enum Item {
    /// A gene whose profile is asked for.
    Subject(Subject),
    /// A gene that the dataset does not have, or has several of: the text and the problem.
    NotFound(String, Problem),
}

/// Reads the genes of a body.
///
/// # Errors
/// There are none or too many, or items are wrong; a known gene that is not found is no error.
pub(crate) fn items(dataset: &LoadedDataset, limits: &HttpLimits, body: &ProfilesBody) -> Result<Vec<Item>, Problem> {
    let genes = &body.genes;
    let usual = dataset.reference.dataset().unit;
    let usual = body.unit.as_deref().map_or(Ok(usual), |text| {
        unit(text).map_err(|detail| {
            let wrong = Wrong { pointer: "unit".to_owned(), detail: detail.clone() };
            Problem::new(Kind::InvalidItem, format!("unit: {detail}")).with_errors(vec![wrong])
        })
    })?;
    let whole = |detail: String| {
        let wrong = Wrong { pointer: "genes".to_owned(), detail: detail.clone() };
        Problem::new(Kind::InvalidItem, detail).with_errors(vec![wrong])
    };
    if genes.is_empty() {
        return Err(whole("'genes' is empty: send at least one gene".to_owned()));
    }
    if genes.len() > limits.batch_genes {
        let (got, most) = (genes.len(), limits.batch_genes);
        return Err(whole(format!("'genes' has {got} items, the limit is {most}: send them in several requests")));
    }
    let mut items = Vec::with_capacity(genes.len());
    let mut errors = Vec::new();
    for (index, value) in genes.iter().enumerate() {
        match item((dataset, usual), limits, index, value) {
            Ok(item) => items.push(item),
            Err(wrong) => errors.push(wrong),
        }
        if errors.len() == MOST_ERRORS {
            break;
        }
    }
    match errors.first() {
        None => Ok(items),
        Some(first) => {
            let detail = format!("{}: {}", first.pointer, first.detail);
            Err(Problem::new(Kind::InvalidItem, detail).with_errors(errors))
        }
    }
}

/// Reads a unit.
fn unit(text: &str) -> Result<Unit, String> {
    match text.to_ascii_lowercase().as_str() {
        "tpm" => Ok(Unit::Tpm),
        "rpkm" => Ok(Unit::Rpkm),
        _ => Err("is no unit: write tpm or rpkm".to_owned()),
    }
}

/// Reads an item; its observed values are in this unit where it does not name one.
fn item(
    (dataset, usual): (&LoadedDataset, Unit),
    limits: &HttpLimits,
    index: usize,
    value: &Value,
) -> Result<Item, Wrong> {
    let Value::Object(map) = value else {
        let detail = "is not an object: write {\"gene\": \"DDX11\"} or the fields of a new gene".to_owned();
        return Err(Wrong { pointer: format!("genes[{index}]"), detail });
    };
    let fields = Fields { index, map };
    let Some(text) = fields.text("gene")? else { return new_gene((dataset, usual), limits, &fields) };
    if let Some(other) = map.keys().find(|key| *key != "gene") {
        return Err(fields.wrong(other, "stands beside 'gene': a known gene takes no other field"));
    }
    Ok(match lookup::gene(dataset, text) {
        Ok(found) => Item::Subject(Subject::Known(found)),
        Err(problem) => Item::NotFound(text.to_owned(), problem),
    })
}

fn new_gene((dataset, usual): (&LoadedDataset, Unit), limits: &HttpLimits, fields: &Fields<'_>) -> Result<Item, Wrong> {
    if let Some(unknown) = fields.map.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(fields.wrong(unknown, &format!("is no field of a gene: 'gene' alone, or {}", FIELDS.join(", "))));
    }
    let id = match fields.text("id")? {
        None => format!("new_gene_{}", fields.index + 1),
        Some(id) if id.trim().is_empty() || id.len() > LONGEST_ID || id.chars().any(char::is_control) => {
            let rule = format!("is empty, longer than {LONGEST_ID} bytes or has control characters in it");
            return Err(fields.wrong("id", &rule));
        }
        Some(id) => id.to_owned(),
    };
    let locus = locus(dataset, fields)?;
    let biotype = fields.text("biotype")?.map(Biotype::new);
    let promoter = fields.text("promoter")?.map(|bases| promoter(limits, fields, bases)).transpose()?;
    let mut observed = observed(dataset, fields)?;
    let posted = fields.text("unit")?.map(|text| unit(text).map_err(|detail| fields.wrong("unit", &detail)));
    let converted = convert(dataset, fields, posted.transpose()?.unwrap_or(usual), &mut observed)?;
    let target = Target { locus, biotype, promoter, gene: None, measured: Vec::new() };
    Ok(Item::Subject(Subject::New(Box::new(NewGene { id, target, observed, converted }))))
}

fn locus(dataset: &LoadedDataset, fields: &Fields<'_>) -> Result<Locus, Wrong> {
    let chromosome = fields.required("chromosome")?;
    let chromosome = Chromosome::parse(chromosome).map_err(|error| fields.wrong("chromosome", &error.to_string()))?;
    let assembly = &dataset.reference.dataset().assembly;
    let length = assembly.length_of(&chromosome);
    if length.is_none() && assembly.is_known() && !dataset.chromosomes.contains(&chromosome) {
        let known: Vec<&str> = dataset.chromosomes.iter().take(30).map(Chromosome::as_str).collect();
        let detail = format!("'{chromosome}' is no chromosome of {assembly}; the dataset has {}", known.join(", "));
        return Err(fields.wrong("chromosome", &detail));
    }
    let tss = fields.position("tss")?.ok_or_else(|| fields.wrong("tss", "is missing: a new gene needs it"))?;
    let start = fields.position("start")?.unwrap_or(tss);
    let end = fields.position("end")?.unwrap_or(tss);
    for (field, position) in [("tss", tss), ("start", start), ("end", end)] {
        if let Some(length) = length.filter(|length| position.get() > *length) {
            let detail =
                format!("{position} lies beyond the end of {chromosome}, which has {length} bases in {assembly}");
            return Err(fields.wrong(field, &detail));
        }
    }
    if start > tss || tss > end {
        return Err(fields.wrong("tss", "does not lie between 'start' and 'end'"));
    }
    let strand =
        Strand::parse(fields.required("strand")?).map_err(|error| fields.wrong("strand", &error.to_string()))?;
    Ok(Locus { chromosome, start, end, strand, tss })
}

fn promoter(limits: &HttpLimits, fields: &Fields<'_>, bases: &str) -> Result<Promoter, Wrong> {
    if bases.is_empty() {
        return Err(fields.wrong("promoter", "is empty: leave the field out where no promoter is known"));
    }
    if bases.len() > limits.promoter_bases {
        let (got, most) = (bases.len(), limits.promoter_bases);
        return Err(fields.wrong("promoter", &format!("has {got} bases, the limit is {most}")));
    }
    Promoter::parse(bases.as_bytes()).map_err(|error| fields.wrong("promoter", &error.to_string()))
}

fn observed(dataset: &LoadedDataset, fields: &Fields<'_>) -> Result<Vec<f32>, Wrong> {
    let reference = &dataset.reference;
    let mut values = vec![f32::NAN; reference.tissues().len()];
    let map = match fields.map.get("observed") {
        None | Some(Value::Null) => return Ok(values),
        Some(Value::Object(map)) => map,
        Some(_) => return Err(fields.wrong("observed", "is not an object of tissues and numbers")),
    };
    for (name, value) in map {
        let shown: String = name.chars().take(80).collect();
        let within = |detail: &str| fields.wrong(&format!("observed.{shown}"), detail);
        let at = lookup::tissue(reference, name).map_err(|(detail, _)| within(&detail))?;
        if values[at].is_finite() {
            return Err(within("names a tissue that is given twice"));
        }
        values[at] = match value {
            Value::Null => f32::NAN,
            Value::Number(number) => {
                // Read from the number's text, so that it is rounded once.
                let number = f32::from_str(&number.to_string()).ok().filter(|x| (0.0..=MOST_EXPRESSION).contains(x));
                number.ok_or_else(|| {
                    within("is not a number of at least 0, or is over 10⁹, more than which nothing is expressed")
                })?
            }
            _ => return Err(within("is not a number of at least 0, or null")),
        };
    }
    Ok(values)
}

/// More than any gene's expression in any unit: past it, numbers are a mistake and would drown all others.
const MOST_EXPRESSION: f32 = 1e9;

/// A unit, and by what the value of each tissue was multiplied.
type Converted = Option<(Unit, Vec<(String, f64)>)>;

/// Brings observed values into the dataset's unit.
fn convert(dataset: &LoadedDataset, fields: &Fields<'_>, from: Unit, values: &mut [f32]) -> Result<Converted, Wrong> {
    let reference = &dataset.reference;
    if from == reference.dataset().unit || values.iter().all(|value| value.is_nan()) {
        return Ok(None);
    }
    let mut factors = Vec::new();
    for (at, value) in values.iter_mut().enumerate().filter(|(_, value)| value.is_finite()) {
        let factor = dataset.sums().factor(reference, at, from);
        let factor = factor.map_err(|error| fields.wrong("unit", &error.to_string()))?;
        *value = (f64::from(*value) * factor) as f32;
        factors.push((reference.tissues()[at].id().to_owned(), factor));
    }
    Ok(Some((from, factors)))
}

/// An item's fields, for errors that name them.
struct Fields<'a> {
    index: usize,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    fn wrong(&self, field: &str, detail: &str) -> Wrong {
        let field: String = field.chars().take(120).collect();
        Wrong { pointer: format!("genes[{}].{field}", self.index), detail: detail.to_owned() }
    }

    /// A field that holds text; null counts as left out.
    fn text(&self, field: &str) -> Result<Option<&'a str>, Wrong> {
        match self.map.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(field, "is not a string")),
        }
    }

    /// A field that holds a 1-based position; null counts as left out.
    fn position(&self, field: &str) -> Result<Option<Position>, Wrong> {
        match self.map.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let position = value.as_u64().and_then(|base| u32::try_from(base).ok()).and_then(Position::new);
                position.map(Some).ok_or_else(|| self.wrong(field, "is not a whole number from 1 to 4294967295"))
            }
        }
    }

    fn required(&self, field: &str) -> Result<&'a str, Wrong> {
        self.text(field)?.ok_or_else(|| self.wrong(field, "is missing: a new gene needs chromosome, tss and strand"))
    }
}
