//! Why so little of a model matches a submission: other readings of its first records are tried, and the one that
//! would match is named with what to do.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::genome::{Assembly, Chromosome, PlacedName, Position, VariantId};
use crate::genotype::Site;
use crate::genotype::harmonise::fit;
use crate::genotype::report::{Diagnosis, Trial};
use crate::genotype::variants::VariantTable;

use super::panel::{Panel, Positions};

/// Records that are kept to be looked at again: a few megabytes of the genome even in whole-genome data.
const SAMPLE: usize = 4_096;

/// Of them, records on chromosomes of none of the genes that were asked for: enough to tell that columns are swapped.
const ELSEWHERE: usize = 512;

/// A share from which on an explanation is believed.
const CONVINCING: f64 = 0.2;

/// A record's site, kept.
struct Kept {
    chromosome: Option<Chromosome>,
    position: Option<u32>,
    ids: Box<str>,
    reference: Box<str>,
    alternatives: Box<str>,
}

/// The first records of a submission, rather of the chromosomes of the genes that were asked for.
#[derive(Default)]
pub(crate) struct Sample {
    sites: Vec<Kept>,
    /// How many of them lie elsewhere.
    elsewhere: usize,
}

/// A row of the model under one reading of its places.
type Places = FxHashMap<(Chromosome, u32), Vec<usize>>;

impl Sample {
    /// Keeps a record while there is room, rather of the chromosomes that were asked for.
    pub(crate) fn keep(&mut self, panel: &Panel, site: &Site<'_>) {
        if self.sites.len() < SAMPLE {
            if site.chromosome.is_some_and(|chromosome| panel.number_of(chromosome).is_none()) {
                if self.elsewhere == ELSEWHERE {
                    return;
                }
                self.elsewhere += 1;
            }
            self.sites.push(Kept {
                chromosome: site.chromosome.cloned(),
                position: site.position.map(Position::get),
                ids: site.ids.into(),
                reference: site.reference.into(),
                alternatives: site.alternatives.into(),
            });
        }
    }

    /// Tells why model `model` of the panel matches so little; `found` of its `rows` rows were found.
    pub(crate) fn diagnose(&self, panel: &Panel, model: usize, found: u64, rows: u64) -> Diagnosis {
        let served = &panel.models[model];
        let name = &served.card.name;
        let mut summary = format!("{found} of the {rows} variants of model '{name}' were found in the input");
        if panel.models.len() > 1 && found == 0 {
            summary.push_str(" (without it, the other models may do)");
        }
        summary.push_str(". ");
        let tried = self.trials(panel, model);
        let best = tried.iter().max_by(|a, b| a.would_match.total_cmp(&b.would_match));
        match best {
            _ if self.sites.is_empty() => summary.push_str("The input has no variant records."),
            Some(best) if best.would_match >= CONVINCING => {
                let share = (100.0 * best.would_match).round();
                let _ = std::fmt::Write::write_fmt(
                    &mut summary,
                    format_args!("{share} % of what was sampled would match if {}: {}.", best.hypothesis, best.remedy),
                );
            }
            _ => {
                summary.push_str(&self.facts(panel, model));
                if found > 0 {
                    summary.push_str(" A lower min_overlap lets it pass.");
                }
            }
        }
        Diagnosis { summary, tried, sampled_records: self.sites.len() }
    }

    fn trials(&self, panel: &Panel, model: usize) -> Vec<Trial> {
        let table = panel.models[model].model.variants();
        let readings = [Positions::Own, Positions::Lifted].map(|reading| (reading, places(panel, model, reading)));
        let mut tried = Vec::new();
        for (reading, places) in &readings {
            let assembly = reading.assembly_of(table);
            let on = assembly.map_or_else(|| "the model's assembly".to_owned(), ToString::to_string);
            if places.is_empty() {
                continue;
            }
            let own = |kept: &Kept| Some((kept.chromosome.clone()?, kept.position?));
            if *reading != panel.positions[model] {
                let remedy = format!("post assembly={on} (--assembly {on} on the command line)");
                tried.push(self.trial((table, places), &own, (format!("its positions are on {on}"), remedy)));
            }
            let lower = |kept: &Kept| own(kept).map(|(chromosome, position)| (chromosome, position.saturating_add(1)));
            let from_zero = format!("its positions on {on} count from 0");
            tried.push(self.trial((table, places), &lower, (from_zero, "add 1 to every position".to_owned())));
            let higher = |kept: &Kept| own(kept).map(|(chromosome, position)| (chromosome, position.saturating_sub(1)));
            let too_high = format!("its positions on {on} are one too high");
            tried.push(self.trial((table, places), &higher, (too_high, "take 1 off every position".to_owned())));
            let crossed = |kept: &Kept| {
                let position = kept.chromosome.as_ref()?.as_str().trim_start_matches("chr").parse().ok()?;
                Some((Chromosome::parse(&kept.position?.to_string()).ok()?, position))
            };
            let swapped = "its chromosome and position columns are swapped".to_owned();
            tried.push(self.trial((table, places), &crossed, (swapped, "swap the two columns".to_owned())));
            let named = |kept: &Kept| {
                let name = kept.ids.split(';').find_map(PlacedName::parse)?;
                Some((name.chromosome, name.position.get()))
            };
            let in_ids = format!("its identifiers hold the positions (on {on}) and its position column does not");
            let remedy = "leave the position column out, or fill it from the identifiers".to_owned();
            tried.push(self.trial((table, places), &named, (in_ids, remedy)));
        }
        tried.retain(|trial| trial.would_match > 0.0 || trial.hypothesis.starts_with("its positions are on"));
        tried
    }

    /// The share of the model's rows in the sampled stretch that have a record under a reading of the records' places.
    fn trial(
        &self,
        (table, places): (&VariantTable, &Places),
        place_of: &dyn Fn(&Kept) -> Option<(Chromosome, u32)>,
        (hypothesis, remedy): (String, String),
    ) -> Trial {
        let mut spans: BTreeMap<Chromosome, (u32, u32)> = BTreeMap::new();
        let mut hits = 0usize;
        let mut sampled = 0usize;
        for kept in &self.sites {
            let Some((chromosome, position)) = place_of(kept) else { continue };
            sampled += 1;
            let span = spans.entry(chromosome.clone()).or_insert((position, position));
            *span = (span.0.min(position), span.1.max(position));
            let rows = places.get(&(chromosome, position)).map_or(&[][..], Vec::as_slice);
            hits += usize::from(rows.iter().any(|row| kept.fits(table, *row)));
        }
        let inside = |(chromosome, position): &&(Chromosome, u32)| {
            spans.get(chromosome).is_some_and(|span| (span.0..=span.1).contains(position))
        };
        let expected = places.keys().filter(inside).count().min(sampled);
        let would_match = if expected == 0 { 0.0 } else { (hits as f64 / expected as f64).min(1.0) };
        Trial { hypothesis, would_match, remedy }
    }

    /// What can be said where no other reading matches.
    fn facts(&self, panel: &Panel, model: usize) -> String {
        let table = panel.models[model].model.variants();
        let model_has_places = table.rows.iter().any(|row| row.place.is_some());
        let model_has_rs = table.rows.iter().any(|row| matches!(row.id, Some(VariantId::Rs(_))));
        let has_rs = self
            .sites
            .iter()
            .any(|kept| kept.ids.split(';').any(|id| matches!(VariantId::parse(id), Some(VariantId::Rs(_)))));
        let has_places = self.sites.iter().any(|kept| kept.chromosome.is_some() && kept.position.is_some());
        let own = table.assembly.as_ref().map_or("of unknown name", Assembly::as_str);
        if model_has_rs && !model_has_places && !has_rs {
            return "The model knows variants by rs number alone, and the input's identifiers are none: annotate them \
                    (for example with bcftools annotate) or use a model with positions."
                .to_owned();
        }
        if model_has_places && !model_has_rs && !has_places {
            return format!("The model knows variants by position alone (on {own}), and the input has none.");
        }
        if panel.positions[model] == Positions::None && model_has_places && !has_rs {
            return format!(
                "The model's positions are on {own} and the input's are on another assembly; its identifiers are not \
                 rs numbers either. Import the model again with a liftover chain (models import --chain)."
            );
        }
        let shared = self.sites.iter().filter_map(|kept| kept.chromosome.as_ref());
        let rows = &panel.rows;
        let of_model = |row: &&super::panel::PanelRow| panel.genes[row.gene as usize].model == model;
        let places: std::collections::HashSet<u32> =
            rows.iter().filter(of_model).filter_map(|row| row.place.map(|place| place.0)).collect();
        let mut shared = shared.filter_map(|chromosome| panel.number_of(chromosome));
        if !places.is_empty() && !shared.any(|number| places.contains(&number)) {
            return "None of the records lies on a chromosome of the genes that were asked for.".to_owned();
        }
        let mismatched = self.alleles_differ(panel, model);
        if mismatched > CONVINCING {
            return format!(
                "{} % of the sampled positions are the model's but their alleles are not: look whether the allele \
                 columns hold bases, and whether the assembly is {own}.",
                (100.0 * mismatched).round()
            );
        }
        format!(
            "No other reading of the first {} records would match: look whether they are of the same species and \
             assembly as the model (assembly {own}), and whether the variants are dense enough (imputed genotypes).",
            self.sites.len()
        )
    }

    /// The share of sampled records at a place of the model whose alleles do not fit.
    fn alleles_differ(&self, panel: &Panel, model: usize) -> f64 {
        let table = panel.models[model].model.variants();
        let places = places(panel, model, panel.positions[model]);
        let (mut at_place, mut differ) = (0usize, 0usize);
        for kept in &self.sites {
            let Some(place) = kept.chromosome.clone().zip(kept.position) else { continue };
            if let Some(rows) = places.get(&place) {
                at_place += 1;
                differ += usize::from(!rows.iter().any(|row| kept.fits(table, *row)));
            }
        }
        if at_place == 0 { 0.0 } else { differ as f64 / at_place as f64 }
    }
}

impl Kept {
    fn fits(&self, table: &VariantTable, row: usize) -> bool {
        let site = Site {
            chromosome: None,
            position: None,
            ids: "",
            reference: &self.reference,
            alternatives: &self.alternatives,
        };
        fit(&site, &table.rows[row].other, &table.rows[row].effect).is_some()
    }
}

/// The rows of the genes that were asked for, by place under a reading.
fn places(panel: &Panel, model: usize, reading: Positions) -> Places {
    let table = panel.models[model].model.variants();
    let mut places = Places::default();
    for row in panel.rows.iter().filter(|row| panel.genes[row.gene as usize].model == model) {
        let row = row.row as usize;
        let place = match reading {
            Positions::Own => table.rows[row].place.clone().map(|(chromosome, position)| (chromosome, position.get())),
            Positions::Lifted => table
                .lifted
                .as_ref()
                .and_then(|lifted| lifted.places.get(row)?.as_ref())
                .map(|place| (place.chromosome.clone(), place.position.get())),
            Positions::None => None,
        };
        if let Some(place) = place {
            places.entry(place).or_default().push(row);
        }
    }
    places
}
