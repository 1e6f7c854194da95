//! What is added to a model as it is imported: places of its genes, and its variants' places on another assembly.

use std::collections::{BTreeMap, HashMap};

use super::draft::Built;
use super::{Format, ImportError};
use crate::genome::liftover::{Lift, LiftoverMap};
use crate::genome::{Assembly, Gene, GeneId};
use crate::genotype::variants::{LiftedPlace, LiftedRows, ModelVariant, VariantTable};
use crate::model::expression::card::Liftover;
use crate::model::expression::linear::Linear;
use crate::model::expression::{GenotypeModel, ModelGene};
use crate::reference::annotation::Annotation;

/// A chain file with what names it.
#[derive(Debug, Clone)]
pub struct Chain {
    /// The chain.
    pub map: LiftoverMap,
    /// The assembly that it leads to.
    pub to: Assembly,
    /// The file's name.
    pub file: String,
    /// The file's SHA-256.
    pub sha256: String,
}

impl Chain {
    /// Returns the assembly that a chain's file name says it leads to: `hg38ToHg19.over.chain.gz`.
    #[must_use]
    pub fn target_of_name(file: &str) -> Option<Assembly> {
        let (_, rest) = file.split_once("To")?;
        let name = rest.split('.').next()?;
        let assembly = Assembly::parse(&name.to_ascii_lowercase()).ok()?;
        assembly.is_known().then_some(assembly)
    }
}

/// Takes a model apart and makes it again with other genes or another table.
pub(super) fn rebuild(
    model: &Linear,
    change: impl FnOnce(&mut Vec<ModelGene>, &mut VariantTable),
) -> Result<Linear, ImportError> {
    let (mut genes, mut table) = (model.genes().to_vec(), model.variants().clone());
    let weights = (0..table.rows.len()).map(|row| model.weight(row).unwrap_or(f64::NAN)).collect();
    change(&mut genes, &mut table);
    Ok(Linear::new(genes, table, weights)?)
}

/// Lifts every row.
///
/// # Errors
/// The model has no places, or the chain does not start from their assembly or does not lead to where it should.
pub fn lift(built: &mut Built, chain: &Chain) -> Result<Liftover, ImportError> {
    let table = built.model.variants();
    let Some(from) = &table.assembly else { return Err(ImportError::NoPlaces) };
    if chain.map.starts_from(from) == Some(false) {
        let hint = if chain.map.leads_to(from) == Some(true) {
            ": it leads to it, so take the chain the other way"
        } else {
            ""
        };
        return Err(ImportError::WrongChain(from.as_str().to_owned(), hint));
    }
    if *from == chain.to {
        return Err(ImportError::WrongChain(from.as_str().to_owned(), ": --chain-to is the same one"));
    }
    if chain.map.leads_to(&chain.to) == Some(false) {
        return Err(ImportError::WrongChainEnd(chain.to.as_str().to_owned()));
    }
    let mut report = Liftover {
        assembly: chain.to.as_str().to_owned(),
        chain: chain.file.clone(),
        chain_sha256: chain.sha256.clone(),
        lifted: 0,
        reversed: 0,
        unmapped: 0,
        multiple: 0,
    };
    let mut places = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        let lift = lift_row(row, table.other_is_reference, &chain.map);
        places.push(match lift {
            Lift::At { chromosome, position, reversed } => {
                report.lifted += 1;
                report.reversed += usize::from(reversed);
                Some(LiftedPlace { chromosome, position, reversed })
            }
            Lift::Nowhere => {
                report.unmapped += 1;
                None
            }
            Lift::Several => {
                report.multiple += 1;
                None
            }
        });
    }
    built.model = rebuild(&built.model, |_, table| {
        table.lifted = Some(LiftedRows { assembly: chain.to.clone(), places });
    })?;
    Ok(report)
}

/// Where a row lies: by all bases of the reference allele. Where it is not known which allele that is and they differ in
/// length, only a place on the same strand can be told.
fn lift_row(row: &ModelVariant, other_is_reference: bool, map: &LiftoverMap) -> Lift {
    let Some((chromosome, position)) = &row.place else { return Lift::Nowhere };
    let (other, effect) = (row.other.bases().len(), row.effect.bases().len());
    let known = other_is_reference || other == effect;
    let length = if known { u32::try_from(other).unwrap_or(u32::MAX) } else { 1 };
    match map.lift(chromosome, *position, length) {
        Lift::At { reversed: true, .. } if !known => Lift::Nowhere,
        lift => lift,
    }
}

/// Gives genes their places from an annotation of the model's assembly, by identifier or else by a symbol that one gene
/// alone has; returns how many have one. A gene whose variants all lie on other chromosomes gets none.
///
/// # Errors
/// The model cannot be made again.
pub fn annotate(built: &mut Built, annotation: &Annotation) -> Result<usize, ImportError> {
    let by_id: HashMap<&GeneId, &Gene> = annotation.genes.iter().map(|gene| (&gene.id, gene)).collect();
    let mut by_symbol: BTreeMap<&str, Option<&Gene>> = BTreeMap::new();
    for gene in &annotation.genes {
        by_symbol.entry(gene.symbol.as_str()).and_modify(|one| *one = None).or_insert(Some(gene));
    }
    let (mut found, mut elsewhere) = (0, 0);
    let is_score = built.about.format == Format::ScoringFile;
    built.model = rebuild(&built.model, |genes, table| {
        for gene in genes.iter_mut().filter(|_| !is_score) {
            let known = by_id.get(&gene.id).copied().filter(|one| !annotation.repeated.contains(&one.id));
            let known = known.or_else(|| by_symbol.get(gene.id.as_str()).copied().flatten());
            let Some((one, locus)) = known.and_then(|one| Some((one, one.locus.as_ref()?))) else { continue };
            let mut places = table.rows.get(gene.rows.clone()).into_iter().flatten();
            let mut places = places.by_ref().filter_map(|row| row.place.as_ref()).peekable();
            if places.peek().is_some() && !places.any(|(chromosome, _)| *chromosome == locus.chromosome) {
                elsewhere += 1;
                continue;
            }
            found += 1;
            gene.locus = Some((locus.chromosome.clone(), locus.start, locus.end));
            gene.symbol.get_or_insert_with(|| one.symbol.clone());
            gene.biotype = gene.biotype.take().or_else(|| one.biotype.clone());
        }
    })?;
    let total = built.model.genes().len();
    built.notes.push(format!("the annotation has places of {found} of {total} genes"));
    if elsewhere > 0 {
        built.notes.push(format!(
            "{elsewhere} genes lie on another chromosome in the annotation than their variants: they got no place"
        ));
    }
    Ok(found)
}
