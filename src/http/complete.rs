//! Completing profiles: what was measured stays, the rest is recalled or imputed by the engine in one submission.

use std::sync::Arc;
use std::time::Duration;

use super::answer::{GeneAnswer, Parts, ProfileAnswer};
use super::problem::Problem;
use super::state::{Completion, LoadedDataset};
use crate::genome::GeneId;
use crate::inference::{EngineError, Output};
use crate::model::served::ImputedProfile;
use crate::model::{Known, ModelError, Prediction, Target};
use crate::reference::{GeneIndex, Missing, Reference};

/// A gene whose profile is asked for.
#[derive(Debug)]
pub(crate) enum Subject {
    /// A gene of the dataset.
    Known(GeneIndex),
    /// A gene that no dataset has.
    New(Box<NewGene>),
}

impl Subject {
    /// What was measured of the gene: one value a tissue of the dataset, NaN where nothing was.
    fn measured<'a>(&'a self, reference: &'a Reference) -> &'a [f32] {
        match self {
            Self::Known(index) => reference.expression(*index),
            Self::New(gene) => &gene.observed,
        }
    }
}

/// A posted gene.
#[derive(Debug)]
pub(crate) struct NewGene {
    pub(crate) id: String,
    pub(crate) target: Target,
    /// One value a tissue of the dataset, NaN where nothing was posted.
    pub(crate) observed: Vec<f32>,
}

/// How long the engine took, for the `server-timing` header.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EngineTimings {
    pub(crate) queued: Duration,
    pub(crate) computed: Duration,
}

/// Where a subject's imputed values come from.
enum Plan {
    /// Nothing is to be imputed, or nothing can be: with the reason.
    Nothing(Option<String>),
    /// It was imputed before.
    Recalled(Arc<ImputedProfile>),
    /// It is this target of the submission.
    Ask(Box<Target>),
}

/// Completes the profiles of the subjects, in order.
///
/// # Errors
/// The engine refused or failed; nothing that a subject lacks is an error.
pub(crate) async fn profiles(
    dataset: &LoadedDataset,
    completion: Option<&Completion>,
    subjects: &[Subject],
) -> Result<(Vec<ProfileAnswer>, EngineTimings), Problem> {
    let plans: Vec<Plan> = subjects.iter().map(|subject| plan(dataset, completion, subject)).collect();
    let asked: Vec<Target> = plans
        .iter()
        .filter_map(|plan| if let Plan::Ask(target) = plan { Some(target.as_ref().clone()) } else { None })
        .collect();
    let mut timings = EngineTimings::default();
    let mut predictions = Vec::new().into_iter();
    if let Some(completion) = completion
        && !asked.is_empty()
    {
        let found = ask(completion, asked, &mut timings).await?;
        predictions = found.into_iter();
    }
    let mut fresh = Vec::new();
    let mut answers = Vec::with_capacity(subjects.len());
    for (subject, plan) in subjects.iter().zip(plans) {
        let mut notes = Vec::new();
        let imputed = match plan {
            Plan::Nothing(reason) => {
                notes.extend(reason);
                None
            }
            Plan::Recalled(profile) => Some(profile),
            Plan::Ask(_) => {
                let profile = predictions.next().flatten().zip(completion).map(|(prediction, completion)| {
                    let measured = match subject {
                        Subject::Known(index) => dataset.reference.expression(*index),
                        Subject::New(gene) => gene.observed.as_slice(),
                    };
                    Arc::new(completion.model.impute(&dataset.reference, &prediction, measured))
                });
                if let (Some(profile), Subject::Known(index)) = (&profile, subject) {
                    fresh.push((dataset.reference.gene(*index).id.clone(), Arc::clone(profile)));
                }
                if profile.is_none() {
                    notes.push("the dataset has no measured gene near this one that the model could read".to_owned());
                }
                profile
            }
        };
        answers.push(answer(dataset, completion, subject, imputed.as_deref(), notes));
    }
    if let Some(completion) = completion
        && !fresh.is_empty()
    {
        completion.keep(&fresh);
    }
    Ok((answers, timings))
}

fn plan(dataset: &LoadedDataset, completion: Option<&Completion>, subject: &Subject) -> Plan {
    if !subject.measured(&dataset.reference).iter().any(|value| value.is_nan()) {
        return Plan::Nothing(None);
    }
    let Some(completion) = completion else {
        return Plan::Nothing(Some("no model that fits the dataset is loaded: nothing is imputed".to_owned()));
    };
    let target = match subject {
        Subject::Known(index) => {
            let id: &GeneId = &dataset.reference.gene(*index).id;
            if let Some(profile) = completion.recall(id) {
                return Plan::Recalled(profile);
            }
            Target::of_gene(&dataset.reference, *index)
        }
        Subject::New(gene) => Some(gene.target.clone()),
    };
    let target = target.map(|target| {
        if completion.model.reads_measured_of(&dataset.reference) {
            let measured = completion.model.measured_for(&dataset.reference, subject.measured(&dataset.reference));
            target.with_measured(&measured)
        } else {
            target
        }
    });
    match target {
        None => Plan::Nothing(Some("the annotation has no place for this gene: nothing is imputed".to_owned())),
        Some(target) if !completion.reaches(&target.locus.chromosome) => {
            let chromosome = target.locus.chromosome.as_str();
            Plan::Nothing(Some(format!("the dataset has no measured gene on {chromosome}: nothing is imputed")))
        }
        Some(target) => Plan::Ask(Box::new(target)),
    }
}

/// Asks the engine; a target that has no reference gene comes back as `None`.
async fn ask(
    completion: &Completion,
    targets: Vec<Target>,
    timings: &mut EngineTimings,
) -> Result<Vec<Option<Prediction>>, Problem> {
    let mut note = |output: &Output| {
        timings.queued += output.queued;
        timings.computed += output.computed;
    };
    let single = targets.len() == 1;
    match completion.engine.predict(targets.clone()).await {
        Ok(output) => {
            note(&output);
            Ok(output.predictions.into_iter().map(Some).collect())
        }
        Err(EngineError::Failed(ModelError::NoReferenceGene)) if single => Ok(vec![None]),
        Err(EngineError::Failed(ModelError::NoReferenceGene)) => {
            // One of them has none: only asking one by one tells which.
            let mut found = Vec::with_capacity(targets.len());
            for target in targets {
                match completion.engine.predict(vec![target]).await {
                    Ok(output) => {
                        note(&output);
                        found.extend(output.predictions.into_iter().map(Some));
                    }
                    Err(EngineError::Failed(ModelError::NoReferenceGene)) => found.push(None),
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(found)
        }
        Err(error) => Err(error.into()),
    }
}

/// What has to be said of a posted promoter that is not as long as the dataset's.
fn promoter_note(dataset: &LoadedDataset, gene: &NewGene) -> Option<String> {
    let posted = gene.target.promoter.as_ref()?.bases().len();
    let usual = dataset.promoter_bases.filter(|usual| *usual != posted)?;
    Some(format!(
        "the promoter has {posted} bases where the dataset's have {usual}: it is read from its first base on as if that \
         were theirs"
    ))
}

/// What has to be said of a posted biotype that no gene of the dataset has.
fn biotype_note(dataset: &LoadedDataset, gene: &NewGene) -> Option<String> {
    let biotype = gene.target.biotype.as_ref().filter(|one| !dataset.biotypes.contains(*one))?;
    let known: Vec<&str> = dataset.biotypes.iter().take(8).map(crate::genome::Biotype::as_str).collect();
    let shown: String = biotype.as_str().chars().take(80).collect();
    Some(format!(
        "no gene of the dataset has the biotype '{shown}', which is read as one that the model does not know; it has {}",
        known.join(", ")
    ))
}

/// What has to be said of how a gene's own measured tissues were used.
fn own_tissues_note(
    reference: &Reference,
    completion: &Completion,
    imputed: &ImputedProfile,
    own: usize,
) -> Option<String> {
    let read = imputed.known_tissues;
    if read > 0 {
        let known = Known::of(read, completion.model.card.tissues.len());
        Some(format!(
            "the imputed values follow the gene's own {read} measured tissues, beside its neighbours and its promoter; \
             their intervals are those of genes with {} tissues known",
            known.as_str()
        ))
    } else if completion.model.has_level_in(reference) {
        Some(format!(
            "the level of the imputed values follows the {own} measured tissues of the gene; their shape and their \
             interval are those of a gene without any"
        ))
    } else {
        None
    }
}

fn answer(
    dataset: &LoadedDataset,
    completion: Option<&Completion>,
    subject: &Subject,
    imputed: Option<&ImputedProfile>,
    mut notes: Vec<String>,
) -> ProfileAnswer {
    let reference = &dataset.reference;
    let own = subject.measured(reference).iter().filter(|value| value.is_finite()).count();
    if let (Some(imputed), Some(completion)) = (imputed, completion)
        && own > 0
    {
        notes.extend(own_tissues_note(reference, completion, imputed, own));
    }
    let parts = match subject {
        Subject::Known(index) => Parts {
            dataset,
            completion,
            gene: GeneAnswer::of(reference.gene(*index)),
            measured: reference.expression(*index),
            missing: reference.missing(*index),
            imputed,
            notes,
        },
        Subject::New(gene) => {
            let known = gene.observed.iter().filter(|value| value.is_finite()).count();
            notes.extend(promoter_note(dataset, gene));
            notes.extend(biotype_note(dataset, gene));
            let missing = match known {
                0 => Some(Missing::NoProfile),
                known if known < gene.observed.len() => Some(Missing::SomeTissues),
                _ if gene.observed.iter().all(|value| *value <= 0.0) => Some(Missing::AllZero),
                _ => None,
            };
            let biotype = gene.target.biotype.as_ref().map(crate::genome::Biotype::as_str);
            let measured = gene.observed.as_slice();
            let gene = GeneAnswer::posted(&gene.id, &gene.target.locus, biotype);
            Parts { dataset, completion, gene, measured, missing, imputed, notes }
        }
    };
    ProfileAnswer::assemble(parts)
}
