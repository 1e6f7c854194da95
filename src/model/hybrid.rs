//! The published hybrid, whole: promoter network, tissue transformer, boosted trees; alone or on top of a ridge.
//!
//! Each member is a pair network and the trees that were fitted on genes the network had not seen, so that the trees
//! never learned from remembered features; a prediction is the mean of the members. As published the trees predict the
//! profile from one neighbour; on a base they correct a ridge regression on the surroundings and read those as well.
//! Invariant: the target's own measurements are never read.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::baseline::{self, BaselineKind};
use super::boosted_trees::BoostedTrees;
use super::device;
use super::features::{Features, Matrix};
use super::layers::Pass;
use super::method::StoredModel;
use super::network::{AUX, Embeddings, NetworkSettings, PairBatch, PairNetwork};
use super::ridge::{Outputs, RidgeModel};
use super::{ModelError, Neighbour, Prediction, ProfileModel, Scale, Target};
use crate::genome::{Promoter, Strand};
use crate::reference::Reference;

/// The published model's name.
pub const PUBLISHED_HYBRID: &str = "published-hybrid";
/// The name of the model on a ridge.
pub const HYBRID: &str = "hybrid";

/// Targets that go through the networks at once.
const BATCH: usize = 256;
/// Promoters that are encoded at once: bounds the memory of the convolutions.
const ENCODE: usize = 64;
/// Reference promoters whose embeddings are kept.
const KEPT_EMBEDDINGS: usize = 40_000;

/// What a hybrid is, apart from its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HybridSettings {
    /// The scale of its numbers.
    pub scale: Scale,
    /// The tissues, by identifier, in order.
    pub tissues: Vec<String>,
    /// What the trees' outputs mean, and how the profiles are written that the network reads and learns.
    pub outputs: Outputs,
    /// The shape of the networks.
    pub network: NetworkSettings,
    /// How numbers are brought to the network.
    pub scaling: PairScaling,
    /// What predicts in the end.
    pub head: Head,
    /// What the trees read beside the network's features.
    pub extra: Option<Features>,
    /// The settings of the ridge below, where there is one.
    pub base: Option<serde_json::Value>,
    /// How many members there are.
    pub members: usize,
}

/// What predicts in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// Boosted trees on the network's features, as published.
    Trees,
    /// The network's own last layer.
    Network,
}

/// How a pair's numbers are scaled: from the training genes alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairScaling {
    /// Each tissue's lowest value.
    pub low: Vec<f32>,
    /// Each tissue's highest value less its lowest.
    pub span: Vec<f32>,
    /// The mean profile, for a place without any measured neighbour.
    pub mean: Vec<f32>,
    /// Mean of the signed ln(1 + distance).
    pub distance_mean: f32,
    /// Its standard deviation.
    pub distance_sd: f32,
}

impl PairScaling {
    /// Scales a profile, as [`Outputs::encode`] wrote it, by tissue.
    #[must_use]
    pub fn scale(&self, profile: &[f32]) -> Vec<f32> {
        let columns = profile.iter().zip(self.low.iter().zip(&self.span));
        columns.map(|(value, (low, span))| (value - low) / span).collect()
    }

    fn unscale(&self, profile: &[f32]) -> Vec<f32> {
        let columns = profile.iter().zip(self.low.iter().zip(&self.span));
        columns.map(|(value, (low, span))| value * span + low).collect()
    }

    /// Returns a pair's aux numbers: the distance, the target's strand, the neighbour's strand.
    #[must_use]
    pub fn aux(&self, target: Strand, neighbour: Option<(Strand, i64)>) -> [f32; AUX] {
        let one_hot = |strand: Strand| if strand == Strand::Forward { [1.0, 0.0] } else { [0.0, 1.0] };
        let [target_plus, target_minus] = one_hot(target);
        let Some((strand, distance_bp)) = neighbour else { return [0.0, target_plus, target_minus, 0.0, 0.0] };
        let [plus, minus] = one_hot(strand);
        let distance = (signed_log(distance_bp) - self.distance_mean) / self.distance_sd;
        [distance, target_plus, target_minus, plus, minus]
    }
}

/// Returns sign(d) · ln(1 + |d|).
#[must_use]
pub fn signed_log(distance_bp: i64) -> f32 {
    let magnitude = (1.0 + distance_bp.unsigned_abs() as f32).ln();
    if distance_bp < 0 { -magnitude } else { magnitude }
}

/// A network and the trees that were fitted on its features of genes it had not seen.
#[derive(Debug)]
pub struct Member {
    /// The network.
    pub network: PairNetwork,
    /// The trees; `None` where the network's own last layer predicts.
    pub trees: Option<BoostedTrees>,
}

/// The hybrid.
#[derive(Debug)]
pub struct Hybrid {
    settings: HybridSettings,
    base: Option<RidgeModel>,
    members: Vec<Member>,
    /// By member: embeddings of promoters that were encoded before.
    kept: Vec<Mutex<HashMap<Promoter, Embeddings>>>,
}

impl Hybrid {
    /// Puts the parts together.
    ///
    /// # Errors
    /// The parts do not fit the settings or each other.
    pub fn try_new(
        settings: HybridSettings,
        base: Option<RidgeModel>,
        members: Vec<Member>,
    ) -> Result<Self, ModelError> {
        let tissues = settings.tissues.len();
        let fault = |reason: String| Err(ModelError::File { file: "settings".to_owned(), reason });
        let scaling = &settings.scaling;
        if [scaling.low.len(), scaling.span.len(), scaling.mean.len(), settings.network.tissues] != [tissues; 4] {
            return fault(format!("the scaling and the network have to have {tissues} tissues"));
        }
        if members.is_empty() || members.len() != settings.members || base.is_some() != settings.base.is_some() {
            return fault("the members or the base are not those that the settings name".to_owned());
        }
        let outputs = settings.outputs.width(tissues);
        let features = settings.network.features()
            + base.as_ref().map_or(0, |_| outputs)
            + settings.extra.as_ref().map_or(0, |extra| extra.width(tissues));
        for member in &members {
            let fits = match (&member.trees, settings.head) {
                (Some(trees), Head::Trees) => trees.n_features() == features && trees.n_targets() == outputs,
                (None, Head::Network) => true,
                _ => false,
            };
            if !fits {
                return fault(format!("the trees do not read {features} features or do not predict the outputs"));
            }
        }
        let kept = members.iter().map(|_| Mutex::default()).collect();
        Ok(Self { settings, base, members, kept })
    }

    /// Builds the model from a folder's settings and files.
    ///
    /// # Errors
    /// A file is missing or does not fit the settings.
    pub fn load(settings: &serde_json::Value, files: &BTreeMap<String, Vec<u8>>) -> Result<Self, ModelError> {
        let settings: HybridSettings = baseline::read_settings(settings)?;
        let file = |name: String| match files.get(&name) {
            Some(bytes) => Ok(bytes),
            None => Err(ModelError::File { file: name, reason: "is not in the manifest".to_owned() }),
        };
        let base = match &settings.base {
            Some(base) => Some(RidgeModel::load(BaselineKind::RidgeSurroundings, base, file(BASE_FILE.to_owned())?)?),
            None => None,
        };
        let device = device::preferred();
        let member = |index: usize| {
            let network = file(network_file(index))?;
            let network = PairNetwork::from_bytes(&settings.network, network, &device)?;
            let trees = match settings.head {
                Head::Network => None,
                Head::Trees => {
                    let name = trees_file(index);
                    let read = BoostedTrees::read(file(name.clone())?);
                    Some(read.map_err(|error| ModelError::File { file: name, reason: error.to_string() })?)
                }
            };
            Ok::<_, ModelError>(Member { network, trees })
        };
        let members = (0..settings.members).map(member).collect::<Result<_, _>>()?;
        Self::try_new(settings, base, members)
    }

    fn pairs<'a>(&self, reference: &'a Reference, targets: &'a [Target]) -> Pairs<'a> {
        let neighbours: Vec<Option<Neighbour>> = targets
            .iter()
            .map(|target| reference.vicinity().nearest(&target.locus, target.gene, 1).first().copied())
            .collect();
        Pairs::new(reference, &self.settings, targets, &neighbours)
    }

    /// Returns a member's features of the pairs: pairs × features.
    fn member_features(&self, member: usize, pairs: &Pairs<'_>) -> Result<(Vec<f32>, Option<Vec<f32>>), ModelError> {
        let network = &self.members[member].network;
        let embeddings = self.embeddings(member, pairs)?;
        match self.settings.head {
            Head::Trees => {
                let features = network.features(&embeddings, &pairs.batch, &mut Pass::Infer)?;
                Ok((features.flatten_all()?.to_vec1()?, None))
            }
            Head::Network => {
                let profiles = network.forward(&embeddings, &pairs.batch, &mut Pass::Infer)?;
                Ok((Vec::new(), Some(profiles.flatten_all()?.to_vec1()?)))
            }
        }
    }

    /// Returns the embeddings of a batch's promoters, a row each; those of the reference are kept, a client's are not.
    fn embeddings(&self, member: usize, pairs: &Pairs<'_>) -> Result<Embeddings, ModelError> {
        let network = &self.members[member].network;
        let mut kept = match self.kept[member].lock() {
            Ok(kept) => kept,
            // The map holds whole entries only; a panic elsewhere cannot have left half of one.
            Err(poisoned) => poisoned.into_inner(),
        };
        let new: Vec<usize> = (0..pairs.promoters.len())
            .filter(|row| pairs.promoters[*row].is_some_and(|promoter| !kept.contains_key(promoter)))
            .collect();
        let mut rows: Vec<Option<Embeddings>> =
            pairs.promoters.iter().map(|promoter| promoter.and_then(|promoter| kept.get(promoter).cloned())).collect();
        if kept.len() + new.len() > KEPT_EMBEDDINGS {
            kept.clear();
        }
        for chunk in new.chunks(ENCODE) {
            let wanted: Vec<_> = chunk.iter().map(|row| pairs.promoters[*row]).collect();
            let encoded = network.encode_promoters(&wanted, &mut Pass::Infer)?;
            for (at, row) in chunk.iter().enumerate() {
                let own = encoded.select(&[at])?;
                if let Some(promoter) = pairs.promoters[*row].filter(|_| pairs.of_reference[*row]) {
                    kept.insert(promoter.clone(), own.clone());
                }
                rows[*row] = Some(own);
            }
        }
        let unknown = network.encode_promoters(&[None], &mut Pass::Infer)?;
        let rows: Vec<&Embeddings> = rows.iter().map(|row| row.as_ref().unwrap_or(&unknown)).collect();
        Embeddings::concat(&rows)
    }

    fn predict_batch(&self, reference: &Reference, targets: &[Target]) -> Result<Vec<Prediction>, ModelError> {
        let tissues = self.settings.tissues.len();
        let pairs = self.pairs(reference, targets);
        let margins = match &self.base {
            Some(base) => Some(base.outputs_of(reference, targets)?),
            None => None,
        };
        let extra = self.settings.extra.as_ref().map(|e| e.matrix(reference, reference.vicinity(), targets));
        let width = match self.settings.head {
            Head::Trees => self.settings.outputs.width(tissues),
            Head::Network => tissues,
        };
        let mut sums = vec![0.0_f32; targets.len() * width];
        for (index, member) in self.members.iter().enumerate() {
            let (features, profiles) = self.member_features(index, &pairs)?;
            let outputs = match (&member.trees, profiles) {
                (Some(trees), _) => {
                    let rows = join_rows(&features, targets.len(), margins.as_deref());
                    let rows = join_rows(&rows, targets.len(), extra.as_ref().map(Matrix::values));
                    let predicted = match &margins {
                        Some(margins) => trees.predict_with_margin(&rows, margins),
                        None => trees.predict(&rows),
                    };
                    predicted
                        .map_err(|error| ModelError::File { file: trees_file(index), reason: error.to_string() })?
                }
                (None, Some(profiles)) => {
                    let rows = profiles.chunks_exact(tissues);
                    rows.flat_map(|row| self.settings.scaling.unscale(row)).collect()
                }
                (None, None) => return Err(ModelError::NotFinite),
            };
            sums.iter_mut().zip(outputs).for_each(|(sum, output)| *sum += output);
        }
        let members = self.members.len() as f32;
        let mut predictions = Vec::with_capacity(targets.len());
        for ((row, neighbour), target) in sums.chunks_exact(width).zip(&pairs.neighbours).zip(targets) {
            let outputs: Vec<f32> = row.iter().map(|sum| sum / members).collect();
            let values = match self.settings.head {
                Head::Trees => self.settings.outputs.decode(outputs),
                Head::Network => outputs,
            };
            if !values.iter().all(|value| value.is_finite()) {
                return Err(ModelError::NotFinite);
            }
            let references = match &self.base {
                Some(base) => base.references(reference, target),
                None => neighbour.iter().copied().collect(),
            };
            predictions.push(Prediction { values, spread: Vec::new(), references });
        }
        Ok(predictions)
    }
}

const BASE_FILE: &str = "base.safetensors";

fn network_file(member: usize) -> String {
    format!("network-{member}.safetensors")
}

fn trees_file(member: usize) -> String {
    format!("trees-{member}.json.gz")
}

/// Puts each row's extra numbers behind its own; both tables have `rows` rows.
#[must_use]
pub fn join_rows(own: &[f32], rows: usize, extra: Option<&[f32]>) -> Vec<f32> {
    let Some(extra) = extra else { return own.to_vec() };
    let [own_width, extra_width] = [own, extra].map(|table| (table.len() / rows.max(1)).max(1));
    let pairs = own.chunks_exact(own_width).zip(extra.chunks_exact(extra_width));
    pairs.flat_map(|(own, extra)| own.iter().chain(extra).copied()).collect()
}

/// Pairs of targets and neighbours as a network reads them.
#[derive(Debug)]
pub struct Pairs<'a> {
    /// Distinct promoters, in the order of their first use; the batch's rows point here.
    pub promoters: Vec<Option<&'a Promoter>>,
    /// Whether each promoter is one of the reference's.
    pub of_reference: Vec<bool>,
    /// The pairs.
    pub batch: PairBatch,
    /// The neighbours, as they were given.
    pub neighbours: Vec<Option<Neighbour>>,
}

impl<'a> Pairs<'a> {
    /// Writes each target with its neighbour.
    #[must_use]
    pub fn new(
        reference: &'a Reference,
        settings: &HybridSettings,
        targets: &'a [Target],
        neighbours: &[Option<Neighbour>],
    ) -> Self {
        let mut promoters: Vec<Option<&Promoter>> = Vec::new();
        let mut places: HashMap<Option<&Promoter>, usize> = HashMap::new();
        let mut of_reference = Vec::new();
        let mut place = |promoter: Option<&'a Promoter>, known: bool| {
            let row = *places.entry(promoter).or_insert_with(|| {
                promoters.push(promoter);
                of_reference.push(false);
                promoters.len() - 1
            });
            of_reference[row] |= known;
            row
        };
        let mut batch = PairBatch::default();
        for (target, neighbour) in targets.iter().zip(neighbours) {
            batch.target_promoters.push(place(target.promoter.as_ref(), target.gene.is_some()));
            let gene = neighbour.map(|neighbour| neighbour.gene);
            batch.neighbour_promoters.push(place(gene.and_then(|gene| reference.promoter(gene)), true));
            let profile = gene.map(|gene| encode(reference, settings.scale, settings.outputs, gene));
            let profile = profile.as_ref().unwrap_or(&settings.scaling.mean);
            batch.neighbour_profiles.extend(settings.scaling.scale(profile));
            let strand = gene.and_then(|gene| reference.gene(gene).locus.as_ref()).map(|locus| locus.strand);
            let other = strand.zip(neighbour.map(|neighbour| neighbour.distance_bp));
            batch.aux.push(settings.scaling.aux(target.locus.strand, other));
        }
        Self { promoters, of_reference, batch, neighbours: neighbours.to_vec() }
    }
}

/// Returns a gene's profile as the network reads and learns it, before scaling by tissue.
#[must_use]
pub fn encode(reference: &Reference, scale: Scale, outputs: Outputs, gene: usize) -> Vec<f32> {
    let mut encoded = outputs.encode(&scale.forward(reference.expression(gene)));
    encoded.truncate(reference.tissues().len());
    encoded
}

impl ProfileModel for Hybrid {
    fn scale(&self) -> Scale {
        self.settings.scale
    }

    fn predict(&self, reference: &Reference, targets: &[Target]) -> Result<Vec<Prediction>, ModelError> {
        baseline::check_tissues(&self.settings.tissues, reference.tissues())?;
        let mut predictions = Vec::with_capacity(targets.len());
        for batch in targets.chunks(BATCH) {
            predictions.extend(self.predict_batch(reference, batch)?);
        }
        Ok(predictions)
    }
}

impl StoredModel for Hybrid {
    fn method(&self) -> &'static str {
        if self.base.is_some() { HYBRID } else { PUBLISHED_HYBRID }
    }

    fn settings(&self) -> Result<serde_json::Value, ModelError> {
        baseline::write_settings(&self.settings)
    }

    fn files(&self) -> Result<BTreeMap<String, Vec<u8>>, ModelError> {
        let mut files = BTreeMap::new();
        if let Some(base) = &self.base {
            files.extend(base.files()?.into_values().map(|bytes| (BASE_FILE.to_owned(), bytes)));
        }
        for (index, member) in self.members.iter().enumerate() {
            files.insert(network_file(index), member.network.variables().to_bytes(candle_core::DType::F32)?);
            if let Some(trees) = &member.trees {
                let packed = trees
                    .to_json_gz()
                    .map_err(|error| ModelError::File { file: trees_file(index), reason: error.to_string() })?;
                files.insert(trees_file(index), packed);
            }
        }
        Ok(files)
    }
}
