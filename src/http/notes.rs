//! What an answer says to a reader about a gene: what was converted, what was read, and how its own values were used.

use super::complete::NewGene;
use super::state::{Completion, LoadedDataset};
use crate::genome::Biotype;
use crate::model::Known;
use crate::model::served::ImputedProfile;
use crate::reference::{Reference, Unit};

/// Factors that a note spells out; the others go without.
const SPELT_OUT: usize = 6;

/// What has to be said of values that were posted in another unit.
pub(crate) fn converted(dataset: &LoadedDataset, gene: &NewGene) -> Option<String> {
    let (from, factors) = gene.converted.as_ref()?;
    let unit = dataset.reference.dataset().unit;
    let (from, to) = (upper(*from), upper(unit));
    let mut spelt: Vec<String> =
        factors.iter().take(SPELT_OUT).map(|(tissue, factor)| format!("{tissue} × {factor:.4}")).collect();
    if factors.len() > SPELT_OUT {
        spelt.push("…".to_owned());
    }
    Some(format!(
        "{} observed {} posted in {from} and converted to {to}, the dataset's unit, by what its own genes add up to in \
         each tissue: {to} = {from} × Σ {to} ÷ 10⁶, where genes without a value count as nothing ({})",
        factors.len(),
        if factors.len() == 1 { "value was" } else { "values were" },
        spelt.join(", "),
    ))
}

fn upper(unit: Unit) -> String {
    unit.as_str().to_uppercase()
}

/// What has to be said of a posted promoter that is not as long as the dataset's.
pub(crate) fn promoter(dataset: &LoadedDataset, gene: &NewGene) -> Option<String> {
    let posted = gene.target.promoter.as_ref()?.bases().len();
    let usual = dataset.promoter_bases.filter(|usual| *usual != posted)?;
    Some(format!(
        "the promoter has {posted} bases where the dataset's have {usual}: it is read from its first base on as if that \
         were theirs"
    ))
}

/// What has to be said of a posted biotype that no gene of the dataset has.
pub(crate) fn biotype(dataset: &LoadedDataset, gene: &NewGene) -> Option<String> {
    let biotype = gene.target.biotype.as_ref().filter(|one| !dataset.biotypes.contains(*one))?;
    let known: Vec<&str> = dataset.biotypes.iter().take(8).map(Biotype::as_str).collect();
    let shown: String = biotype.as_str().chars().take(80).collect();
    Some(format!(
        "no gene of the dataset has the biotype '{shown}', which is read as one that the model does not know; it has {}",
        known.join(", ")
    ))
}

/// What has to be said of how a gene's own measured tissues were used.
pub(crate) fn own_tissues(
    reference: &Reference,
    completion: &Completion,
    imputed: &ImputedProfile,
    own: usize,
    promoter: bool,
) -> Option<String> {
    let read = imputed.known_tissues;
    if own == 0 {
        return None;
    }
    let tissues =
        |count: usize| if count == 1 { "1 measured tissue".to_owned() } else { format!("{count} measured tissues") };
    if read > 0 {
        let beside =
            if promoter { "the measured genes around it and its promoter" } else { "the measured genes around it" };
        let case = match Known::of(read, completion.model.card.tissues.len()) {
            Known::Many => "more than a quarter",
            Known::None | Known::Few => "up to a quarter",
        };
        let known = Known::of(read, completion.model.card.tissues.len());
        let calibration = completion.model.card.calibration.as_ref();
        let intervals = match calibration.and_then(|all| all.of(known)) {
            Some(stratum) if stratum.known == known => {
                format!(", and the intervals are those of genes with {case} of their tissues known")
            }
            _ => String::new(),
        };
        return Some(format!(
            "the model read {} of the gene itself, beside {beside}: level and shape of the imputed values follow \
             them{intervals}",
            tissues(read)
        ));
    }
    if completion.model.reads_measured_of(reference) {
        return Some(format!(
            "the {} of the gene {} of tissues that the model does not know and had no part in the imputed values",
            tissues(own),
            if own == 1 { "is" } else { "are" },
        ));
    }
    if completion.model.has_level_in(reference) {
        return Some(format!(
            "the model does not read the gene's own values: the level of the imputed values follows the {} of the gene, \
             their shape and their intervals are those of a gene without any",
            tissues(own)
        ));
    }
    Some(format!(
        "the {} of the gene {} shown as measured and had no part in the imputed shape, which this model takes from the \
         gene's surroundings alone",
        tissues(own),
        if own == 1 { "is" } else { "are" },
    ))
}
