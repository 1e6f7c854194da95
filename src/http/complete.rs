//! Completing profiles: what was measured stays, the rest is recalled or imputed by the engine in one submission.

use std::sync::Arc;
use std::time::Duration;

use super::answer::{GeneAnswer, Parts, ProfileAnswer};
use super::notes;
use super::problem::Problem;
use super::state::{Completion, LoadedDataset};
use crate::completion::{NotImputed, Plan};
use crate::genome::Biotype;
use crate::inference::{EngineError, Output};
use crate::model::explanation::{self, Explanation};
use crate::model::served::ImputedProfile;
use crate::model::{ModelError, Prediction, Target};
use crate::reference::{GeneIndex, Missing, Reference, Unit};

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
    pub(crate) fn measured<'a>(&'a self, reference: &'a Reference) -> &'a [f32] {
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
    /// One value a tissue of the dataset, in its unit, NaN where nothing was posted.
    pub(crate) observed: Vec<f32>,
    /// The unit that they were posted in, where it is another one, and by what each tissue's value was multiplied.
    pub(crate) converted: Option<(Unit, Vec<(String, f64)>)>,
}

/// How long the engine took, for the `server-timing` header.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EngineTimings {
    pub(crate) queued: Duration,
    pub(crate) computed: Duration,
}

/// What became of a subject.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Its imputed profile, where something was missing and could be imputed.
    pub(crate) imputed: Option<Arc<ImputedProfile>>,
    /// What it rests on, where that was asked for.
    pub(crate) explanation: Option<Explanation>,
    /// Why nothing could be imputed.
    pub(crate) not_imputed: Option<NotImputed>,
}

/// Completes the profiles of the subjects, in order, and explains the imputed values where that is wanted.
///
/// # Errors
/// The engine refused or failed; nothing that a subject lacks is an error.
pub(crate) async fn profiles(
    dataset: &LoadedDataset,
    completion: Option<&Completion>,
    subjects: &[Subject],
    explain: bool,
) -> Result<(Vec<ProfileAnswer>, EngineTimings), Problem> {
    let (outcomes, timings) = impute(dataset, completion, subjects, explain).await?;
    let answered =
        subjects.iter().zip(&outcomes).map(|(subject, outcome)| answer(dataset, completion, subject, outcome));
    Ok((answered.collect(), timings))
}

/// Recalls or imputes what the subjects lack, in order: all that has to be computed is one submission to the engine.
///
/// # Errors
/// The engine refused or failed.
pub(crate) async fn impute(
    dataset: &LoadedDataset,
    completion: Option<&Completion>,
    subjects: &[Subject],
    explain: bool,
) -> Result<(Vec<Outcome>, EngineTimings), Problem> {
    let plans: Vec<Plan> = subjects.iter().map(|subject| plan(dataset, completion, subject, explain)).collect();
    // Behind each target comes the same gene without each of the parts that an explanation leaves out.
    let parts = |target: &Target| if explain { explanation::parts(target) } else { Vec::new() };
    let mut asked: Vec<Target> = Vec::new();
    for plan in &plans {
        if let Plan::Ask(target) = plan {
            asked.push(target.as_ref().clone());
            asked.extend(parts(target).iter().map(|part| target.without(*part)));
        }
    }
    let mut timings = EngineTimings::default();
    let mut predictions = Vec::new().into_iter();
    if let Some(completion) = completion
        && !asked.is_empty()
    {
        predictions = ask(completion, &asked, &mut timings).await?.into_iter();
    }
    let mut fresh = Vec::new();
    let mut outcomes = Vec::with_capacity(subjects.len());
    for (subject, plan) in subjects.iter().zip(plans) {
        let outcome = match plan {
            Plan::Nothing => Outcome::default(),
            Plan::Cannot(reason) => Outcome { not_imputed: Some(reason), ..Outcome::default() },
            Plan::Recalled(profile) => Outcome { imputed: Some(profile), ..Outcome::default() },
            Plan::Ask(target) => {
                let whole = predictions.next().flatten();
                let without = parts(&target).into_iter().map(|part| (part, predictions.next().flatten()));
                let without: Vec<_> = without.collect();
                match whole.zip(completion) {
                    None => Outcome { not_imputed: Some(NotImputed::NoNeighbour), ..Outcome::default() },
                    Some((whole, completion)) => {
                        let measured = subject.measured(&dataset.reference);
                        let profile = Arc::new(completion.model.impute(&dataset.reference, &whole, measured));
                        if let Subject::Known(index) = subject {
                            let id = &dataset.reference.gene(*index).id;
                            if completion.recall(id).is_none() {
                                fresh.push((id.clone(), Arc::clone(&profile)));
                            }
                        }
                        let explanation = explain.then(|| Explanation::of(&whole, &without));
                        Outcome { imputed: Some(profile), explanation, not_imputed: None }
                    }
                }
            }
        };
        outcomes.push(outcome);
    }
    if let Some(completion) = completion
        && !fresh.is_empty()
    {
        completion.keep(&fresh);
    }
    Ok((outcomes, timings))
}

fn plan(dataset: &LoadedDataset, completion: Option<&Completion>, subject: &Subject, explain: bool) -> Plan {
    let reference = &dataset.reference;
    let measured = subject.measured(reference);
    let Some(completion) = completion else {
        let whole = measured.iter().all(|value| value.is_finite());
        return if whole { Plan::Nothing } else { Plan::Cannot(NotImputed::NoModel) };
    };
    let recalled = || match subject {
        // What is kept has no explanation.
        Subject::Known(index) if !explain => completion.recall(&reference.gene(*index).id),
        _ => None,
    };
    let target = || match subject {
        Subject::Known(index) => Target::of_gene(reference, *index),
        Subject::New(gene) => Some(gene.target.clone()),
    };
    completion.reach.plan((&completion.model, reference), measured, recalled, target)
}

/// Asks the engine; a target that has no reference gene comes back as `None`.
async fn ask(
    completion: &Completion,
    targets: &[Target],
    timings: &mut EngineTimings,
) -> Result<Vec<Option<Prediction>>, Problem> {
    let mut note = |output: &Output| {
        timings.queued += output.queued;
        timings.computed += output.computed;
    };
    let mut found: Vec<Option<Prediction>> = vec![None; targets.len()];
    let mut open = vec![(0, targets.len())];
    while let Some((from, to)) = open.pop() {
        match completion.engine.predict(targets[from..to].to_vec()).await {
            Ok(output) => {
                note(&output);
                found[from..to].iter_mut().zip(output.predictions).for_each(|(place, one)| *place = Some(one));
            }
            Err(EngineError::Failed(ModelError::NoReferenceGene)) if to - from == 1 => {}
            Err(EngineError::Failed(ModelError::NoReferenceGene)) => {
                // One of them has none: halves tell which in few calls.
                let middle = usize::midpoint(from, to);
                open.extend([(middle, to), (from, middle)]);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

fn answer(
    dataset: &LoadedDataset,
    completion: Option<&Completion>,
    subject: &Subject,
    outcome: &Outcome,
) -> ProfileAnswer {
    let reference = &dataset.reference;
    let mut notes: Vec<String> = outcome.not_imputed.iter().map(ToString::to_string).collect();
    if let (Some(imputed), Some(completion)) = (&outcome.imputed, completion) {
        let promoter = match subject {
            Subject::Known(index) => reference.promoter(*index).is_some(),
            Subject::New(gene) => gene.target.promoter.is_some(),
        };
        let own = subject.measured(reference).iter().filter(|value| value.is_finite()).count();
        notes.extend(notes::own_tissues(reference, completion, imputed, own, promoter));
    }
    let (imputed, explanation) = (outcome.imputed.as_deref(), outcome.explanation.as_ref());
    let parts = match subject {
        Subject::Known(index) => Parts {
            dataset,
            completion,
            gene: GeneAnswer::of(reference.gene(*index)),
            measured: reference.expression(*index),
            missing: reference.missing(*index),
            imputed,
            explanation,
            notes,
        },
        Subject::New(gene) => {
            let known = gene.observed.iter().filter(|value| value.is_finite()).count();
            notes.extend(notes::converted(dataset, gene));
            notes.extend(notes::promoter(dataset, gene));
            notes.extend(notes::biotype(dataset, gene));
            let missing = match known {
                0 => Some(Missing::NoProfile),
                known if known < gene.observed.len() => Some(Missing::SomeTissues),
                _ if gene.observed.iter().all(|value| *value <= 0.0) => Some(Missing::AllZero),
                _ => None,
            };
            let biotype = gene.target.biotype.as_ref().map(Biotype::as_str);
            let measured = gene.observed.as_slice();
            let gene = GeneAnswer::posted(&gene.id, &gene.target.locus, biotype);
            Parts { dataset, completion, gene, measured, missing, imputed, explanation, notes }
        }
    };
    ProfileAnswer::assemble(parts)
}
