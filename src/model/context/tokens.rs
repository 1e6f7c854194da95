//! Writes genes as the network reads them.

use super::mixture::Posterior;
use super::network::{ContextBatch, OWN, PLACE, TISSUE};
use super::{ContextSettings, Guess};
use crate::genome::Strand;
use crate::model::features::{BIOTYPE_CLASSES, biotype_class};
use crate::model::{Neighbour, Orientation, Target};
use crate::reference::Reference;

/// Farthest that a standardised number goes: a wild one must not drown the others.
const LIMIT: f32 = 6.0;

/// Genes and what the parts before the network say of them; all three of one length.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The genes.
    pub targets: &'a [Target],
    /// What the surroundings say.
    pub guesses: &'a [Guess],
    /// What the mixtures say.
    pub posteriors: &'a [Posterior],
}

/// Writes genes as a batch of tokens.
#[must_use]
pub fn read(reference: &Reference, settings: &ContextSettings, reading: &Reading<'_>) -> ContextBatch {
    let scaling = &settings.scaling;
    let Reading { targets, guesses, posteriors } = *reading;
    let mut batch = ContextBatch { genes: targets.len(), ..ContextBatch::default() };
    let standard = |at: usize, value: f32| (value - scaling.mean[at]) / scaling.sd[at];
    for ((target, guess), posterior) in targets.iter().zip(guesses).zip(posteriors) {
        let tissues = guess.values.len();
        let share = target.known_tissues() as f32 / tissues as f32;
        let mut own = [0.0; OWN];
        if let Some(class) = biotype_class(target.biotype.as_ref()) {
            own[class] = 1.0;
        }
        own[BIOTYPE_CLASSES] = if target.has_promoter() { 1.0 } else { 0.0 };
        own[BIOTYPE_CLASSES + 1] = share;
        batch.own.extend(own);
        for at in 0..tissues {
            let measured = target.measured.get(at).copied().filter(|value| value.is_finite());
            let known = measured.map(|value| (1.0 + value.max(0.0)).log2());
            let of_known = |f: &dyn Fn(f32) -> f32| known.map_or(0.0, f);
            let token: [f32; TISSUE] = [
                of_known(&|value| standard(at, value)),
                of_known(&|_| 1.0),
                standard(at, guess.values[at]),
                standard(at, posterior.mean[at]),
                of_known(&|value| value - guess.values[at]),
                posterior.variance[at].sqrt(),
                share,
            ];
            batch.tissues.extend(token.map(|number| number.clamp(-LIMIT, LIMIT)));
            batch.own.push(of_known(&|value| standard(at, value)));
        }
        neighbours(reference, settings, target, &mut batch);
    }
    let promoters = settings.promoter.matrix(reference, reference.vicinity(), targets);
    for row in 0..targets.len() {
        let numbers = promoters.row(row).iter().zip(&scaling.promoter_mean).zip(&scaling.promoter_factor);
        batch.promoters.extend(numbers.map(|((value, mean), factor)| {
            // What is not known counts as the mean.
            let value = (value - mean) * factor;
            if value.is_finite() { value.clamp(-LIMIT, LIMIT) } else { 0.0 }
        }));
    }
    batch
}

/// Writes a gene's neighbours: left ones, then right ones, nearest first; zeros where there is none.
fn neighbours(reference: &Reference, settings: &ContextSettings, target: &Target, batch: &mut ContextBatch) {
    let (side, tissues) = (settings.network.side, settings.tissues.len());
    let scaling = &settings.scaling;
    let flanks = reference.vicinity().flanking(&target.locus, target.gene, side, side);
    for (neighbours, downstream) in [(flanks.left, Strand::Reverse), (flanks.right, Strand::Forward)] {
        for slot in 0..side {
            let Some(neighbour) = neighbours.get(slot) else {
                batch.profiles.extend(std::iter::repeat_n(0.0, tissues));
                batch.places.extend([0.0; PLACE]);
                continue;
            };
            let profile = reference.expression(neighbour.gene).iter().enumerate().map(|(at, value)| {
                let value = ((1.0 + value.max(0.0)).log2() - scaling.mean[at]) / scaling.sd[at];
                value.clamp(-LIMIT, LIMIT)
            });
            batch.profiles.extend(profile);
            batch.places.extend(place(reference, neighbour, target.locus.strand == downstream));
        }
    }
}

fn place(reference: &Reference, neighbour: &Neighbour, downstream: bool) -> [f32; PLACE] {
    let flag = |yes: bool| if yes { 1.0 } else { 0.0 };
    let mut place = [0.0; PLACE];
    place[0] = 1.0;
    // About −1 at the gene itself and 0.4 a megabase away.
    place[1] = (1.0 + neighbour.distance_bp.unsigned_abs() as f32).ln() / 10.0 - 1.0;
    place[2] = if downstream { 1.0 } else { -1.0 };
    place[3] = flag(neighbour.orientation == Orientation::Tandem);
    place[4] = flag(neighbour.orientation == Orientation::Divergent);
    if let Some(class) = biotype_class(reference.gene(neighbour.gene).biotype.as_ref()) {
        place[5 + class] = 1.0;
    }
    place
}
