//! Features of a gene's surroundings: its neighbours' places and profiles.

use std::cell::OnceCell;

use super::{BIOTYPES, ProfileForm, REACH, Subset, biotype_class};
use crate::genome::{Biotype, Promoter, Strand};
use crate::model::{Orientation, Target, min_max};
use crate::reference::Reference;
use crate::reference::vicinity::{Neighbour, Vicinity};

/// The columns of the context block.
pub(super) const CONTEXT: [&str; 13] = [
    "density_5kb",
    "density_20kb",
    "density_100kb",
    "density_1mb",
    "divergent_partner",
    "overlap",
    "neighbour_level",
    "neighbour_spread",
    "log_length",
    "log_genes_10kb",
    "log_genes_50kb",
    "log_genes_200kb",
    "log_genes_1mb",
];

/// Bandwidths of the soft counts of measured neighbours.
const DENSITY_BP: [f32; 4] = [5e3, 2e4, 1e5, 1e6];
/// Windows of the counts of annotated genes.
const COUNT_BP: [u32; 4] = [10_000, 50_000, 200_000, 1_000_000];
/// Bandwidth of the neighbours' average level.
const LEVEL_BP: f32 = 1e5;
/// Opposite starts nearer than this share a promoter.
const DIVERGENT_BP: u64 = 1_500;
/// Weight of "no information" in a kernel average, in units of a neighbour at distance 0.
const KERNEL_PRIOR: f32 = 0.1;
/// Weight of "no information" in a plain average.
const SUBSET_PRIOR: f32 = 0.5;

/// The columns of one flanking gene.
pub(super) fn slot_names() -> [&'static str; 8] {
    let [coding, linc, antisense, other] = BIOTYPES;
    ["present", "log_distance", "same_strand", "divergent", coding, linc, antisense, other]
}

/// A target and its neighbours, with their profiles where a block asks for them.
pub(super) struct Surroundings<'a> {
    reference: &'a Reference,
    vicinity: &'a Vicinity,
    target: &'a Target,
    /// Those on the left, nearest first, then those on the right.
    neighbours: Vec<Neighbour>,
    left: usize,
    /// Profiles of the neighbours, one list a form.
    profiles: [OnceCell<Vec<Vec<f32>>>; 4],
}

impl<'a> Surroundings<'a> {
    pub(super) fn new(reference: &'a Reference, vicinity: &'a Vicinity, target: &'a Target) -> Self {
        let flanks = vicinity.flanking(&target.locus, target.gene, REACH, REACH);
        let left = flanks.left.len();
        let neighbours = flanks.left.into_iter().chain(flanks.right).collect();
        Self { reference, vicinity, target, neighbours, left, profiles: Default::default() }
    }

    /// Returns the target's promoter, where a base of it is known.
    pub(super) fn promoter(&self) -> Option<&'a [u8]> {
        self.target.promoter.as_ref().filter(|promoter| promoter.known() > 0).map(Promoter::bases)
    }

    pub(super) fn own(&self, out: &mut [f32]) {
        out[0] = if self.target.locus.strand == Strand::Forward { 1.0 } else { -1.0 };
        classes(self.target.biotype.as_ref(), &mut out[1..]);
    }

    pub(super) fn context(&self, out: &mut [f32]) {
        let kernel = |at: &Neighbour, bandwidth: f32| (-distance(at) / bandwidth).exp();
        let soft =
            DENSITY_BP.map(|bandwidth| self.neighbours.iter().map(|at| kernel(at, bandwidth)).sum::<f32>().ln_1p());
        out[..4].copy_from_slice(&soft);
        let any = |subsets: &[Subset]| {
            let found = self.neighbours.iter().any(|at| subsets.iter().any(|subset| self.is_in(at, *subset)));
            if found { 1.0 } else { 0.0 }
        };
        out[4] = any(&[Subset::DivergentPromoter]);
        out[5] = any(&[Subset::OverlapSameStrand, Subset::OverlapOppositeStrand]);
        let logs = self.profiles(ProfileForm::Log2);
        let (mut level, mut spread, mut weights) = (0.0, 0.0, KERNEL_PRIOR);
        for (at, values) in self.neighbours.iter().zip(logs) {
            let weight = kernel(at, LEVEL_BP);
            let (mean, sd) = moments(values);
            level += weight * mean;
            spread += weight * sd;
            weights += weight;
        }
        out[6] = level / weights;
        out[7] = spread / weights;
        let length = self.target.locus.start.distance_to(self.target.locus.end);
        // A new gene is often posted by its start alone: its length is then not known.
        out[8] = if length > 0 { (1.0 + length as f32).log10() } else { f32::NAN };
        for (out, window) in out[9..].iter_mut().zip(COUNT_BP) {
            *out = (self.vicinity.density(&self.target.locus, self.target.gene, window) as f32).ln_1p();
        }
    }

    pub(super) fn flank_context(&self, side: usize, out: &mut [f32]) {
        for (slot, out) in self.slots(side).zip(out.chunks_exact_mut(slot_names().len())) {
            let Some(at) = slot.map(|index| &self.neighbours[index]) else {
                out[0] = 0.0;
                continue;
            };
            let flag = |yes: bool| if yes { 1.0 } else { 0.0 };
            out[0] = 1.0;
            out[1] = (1.0 + distance(at)).log10();
            out[2] = flag(at.orientation == Orientation::Tandem);
            out[3] = flag(at.orientation == Orientation::Divergent);
            classes(self.reference.gene(at.gene).biotype.as_ref(), &mut out[4..]);
        }
    }

    pub(super) fn flank_profiles(&self, side: usize, form: ProfileForm, out: &mut [f32]) {
        let profiles = self.profiles(form);
        let tissues = out.len() / (2 * side);
        for (slot, out) in self.slots(side).zip(out.chunks_exact_mut(tissues.max(1))) {
            if let Some(index) = slot {
                out.copy_from_slice(&profiles[index]);
            }
        }
    }

    pub(super) fn nearest_profile(&self, form: ProfileForm, out: &mut [f32]) {
        let nearest = [0, self.left].into_iter().filter(|&at| at < self.neighbours.len());
        if let Some(at) = nearest.min_by_key(|&at| self.neighbours[at].distance_bp.unsigned_abs()) {
            out.copy_from_slice(&profile(form, self.reference.expression(self.neighbours[at].gene)));
        }
    }

    pub(super) fn kernel_profile(&self, form: ProfileForm, subset: Subset, bandwidth_bp: u32, out: &mut [f32]) {
        self.average((form, subset), KERNEL_PRIOR, |at| (-distance(at) / bandwidth_bp as f32).exp(), out);
    }

    pub(super) fn subset_profile(&self, form: ProfileForm, subset: Subset, out: &mut [f32]) {
        self.average((form, subset), SUBSET_PRIOR, |_| 1.0, out);
    }

    /// Writes the weighted average of the profiles of a subset; `weight` counts neighbours, `prior` "no information".
    fn average(
        &self,
        (form, subset): (ProfileForm, Subset),
        prior: f32,
        weight: impl Fn(&Neighbour) -> f32,
        out: &mut [f32],
    ) {
        out.fill(0.0);
        let mut total = prior;
        for (at, values) in self.neighbours.iter().zip(self.profiles(form)) {
            if self.is_in(at, subset) {
                let weight = weight(at);
                total += weight;
                out.iter_mut().zip(values).for_each(|(out, value)| *out += weight * value);
            }
        }
        for out in out {
            *out /= total;
        }
    }

    /// Returns indices of the flanking genes: `side` on the left, nearest first, then `side` on the right.
    fn slots(&self, side: usize) -> impl Iterator<Item = Option<usize>> {
        let (left, all) = (self.left, self.neighbours.len());
        let to_left = (0..side).map(move |at| (at < left).then_some(at));
        let to_right = (left..left + side).map(move |at| (at < all).then_some(at));
        to_left.chain(to_right)
    }

    fn profiles(&self, form: ProfileForm) -> &[Vec<f32>] {
        let fill = || self.neighbours.iter().map(|at| profile(form, self.reference.expression(at.gene))).collect();
        self.profiles[form as usize].get_or_init(fill)
    }

    fn is_in(&self, at: &Neighbour, subset: Subset) -> bool {
        let gene = self.reference.gene(at.gene);
        let coding = || gene.biotype.as_ref().is_some_and(|biotype| biotype.as_str() == BIOTYPES[0]);
        let overlaps = || gene.locus.as_ref().is_some_and(|locus| self.target.locus.gap_to(locus) == 0);
        let same = at.orientation == Orientation::Tandem;
        match subset {
            Subset::All => true,
            Subset::ProteinCoding => coding(),
            Subset::OtherBiotype => !coding(),
            Subset::SameStrand => same,
            Subset::OppositeStrand => !same,
            Subset::OverlapSameStrand => same && overlaps(),
            Subset::OverlapOppositeStrand => !same && overlaps(),
            Subset::DivergentPromoter => {
                at.orientation == Orientation::Divergent && at.distance_bp.unsigned_abs() < DIVERGENT_BP
            }
        }
    }
}

fn distance(at: &Neighbour) -> f32 {
    at.distance_bp.unsigned_abs() as f32
}

/// Writes 1 for the biotype's class and 0 for the others; leaves `out` as it is where the biotype is not known.
fn classes(biotype: Option<&Biotype>, out: &mut [f32]) {
    if let Some(class) = biotype_class(biotype) {
        out.fill(0.0);
        out[class] = 1.0;
    }
}

/// Returns mean and standard deviation.
fn moments(values: &[f32]) -> (f32, f32) {
    let n = values.len().max(1) as f32;
    let mean = values.iter().sum::<f32>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / n;
    (mean, variance.sqrt())
}

/// Brings a measured profile into a form.
fn profile(form: ProfileForm, expression: &[f32]) -> Vec<f32> {
    let logs = || expression.iter().map(|value| (1.0 + value.max(0.0)).log2()).collect();
    match form {
        ProfileForm::LogShape => shape(logs()),
        ProfileForm::LinearShape => shape(expression.to_vec()),
        ProfileForm::MinMax => min_max(expression),
        ProfileForm::Log2 => logs(),
    }
}

/// Brings values to mean 0 and variance 1; flat ones become 0.
fn shape(mut values: Vec<f32>) -> Vec<f32> {
    let (mean, sd) = moments(&values);
    let factor = if sd > 0.0 { 1.0 / sd } else { 0.0 };
    for value in &mut values {
        *value = (*value - mean) * factor;
    }
    values
}
