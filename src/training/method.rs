//! Fits any profile method by its name.

use super::baselines::{BaselineSettings, fit_baseline};
use super::context::{ContextFit, fit_context};
use super::folds::Split;
use super::profile::{HybridPlan, Step, TrainError, fit_hybrid};
use crate::model::Scale;
use crate::model::baseline::BaselineKind;
use crate::model::context::CONTEXT;
use crate::model::hybrid::{HYBRID, PUBLISHED_HYBRID};
use crate::model::method::StoredModel;
use crate::reference::Reference;

/// A profile method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileMethod {
    /// One of the baselines.
    Baseline(BaselineKind),
    /// The published hybrid.
    PublishedHybrid,
    /// The hybrid on a ridge.
    Hybrid,
    /// The project's own model of genes in their context.
    Context,
}

impl ProfileMethod {
    /// Returns every method, simplest first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let baselines = BaselineKind::ALL.into_iter().map(Self::Baseline);
        baselines.chain([Self::PublishedHybrid, Self::Hybrid, Self::Context]).collect()
    }

    /// Returns the method's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Baseline(kind) => kind.as_str(),
            Self::PublishedHybrid => PUBLISHED_HYBRID,
            Self::Hybrid => HYBRID,
            Self::Context => CONTEXT,
        }
    }

    /// Parses a method's name.
    ///
    /// # Errors
    /// There is no such method; the text lists those that there are.
    pub fn parse(name: &str) -> Result<Self, String> {
        Self::all().into_iter().find(|method| method.as_str() == name).ok_or_else(|| {
            let names: Vec<_> = Self::all().into_iter().map(Self::as_str).collect();
            format!("there is no method '{name}'; there are {}", names.join(", "))
        })
    }

    /// Returns a paragraph for the model's card: what it reads, what is published, what is the project's choice.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Baseline(kind) => kind.description(),
            Self::PublishedHybrid => {
                "Promoter network with shared weights for both promoters, tissue transformer on the profile of the \
                 nearest measured gene, distance and orientation, and gradient-boosted trees on the features, one \
                 output a tissue (Brown, Dong, Truong, Communications Biology 2026, doi 10.1038/s42003-026-10251-7; \
                 layers after the authors' public notebooks, the full text was not at hand). Own choices: both \
                 directions of every adjacent pair, signed log distance, chromosomes held out, and networks and trees \
                 fitted crosswise so that no tree learns from a gene its network has seen."
            }
            Self::Hybrid => {
                "Ridge regression on the surroundings (neighbours averaged by distance, their context, promoter words \
                 and composition), fitted to each gene's standardised profile and its level, and gradient-boosted \
                 trees that correct what the ridge says of genes it has not seen. The trees read the published \
                 hybrid's features (promoter network, tissue transformer, distance and orientation; Brown, Dong, \
                 Truong, Communications Biology 2026, doi 10.1038/s42003-026-10251-7), the ridge's numbers and the \
                 neighbours. The ridge, the features beyond one neighbour, and the standardised targets are the \
                 project's own."
            }
            Self::Context => {
                "The project's own model of a gene in its context, for new genes, genes with holes and missing genes \
                 alike. A ridge regression and gradient-boosted trees guess shape and level from the neighbours and \
                 the promoter; mixtures of Gaussians over the tissues and that guess fill in unknown tissues from known \
                 ones; a network with attention over tissues, five neighbours on either side, promoter and the gene \
                 itself corrects both, learned by hiding tissues at random. Ridge, trees and mixtures are fitted \
                 crosswise by chromosome. Its spread is that of the mixtures; intervals are conformal, apart by how \
                 much of the gene is known."
            }
        }
    }
}

/// Fits a method to a split's training genes.
///
/// `plan.on_base` follows from the method.
///
/// # Errors
/// There are too few genes, or a part fails.
pub fn fit_method(
    method: ProfileMethod,
    reference: &Reference,
    split: &Split,
    plan: &HybridPlan,
    progress: &(dyn Fn(Step<'_>) + Sync),
) -> Result<Box<dyn StoredModel>, TrainError> {
    match method {
        ProfileMethod::Baseline(kind) => {
            progress(Step::Base);
            let settings = BaselineSettings { promoter_tss: plan.promoter_tss, ..BaselineSettings::default() };
            Ok(fit_baseline(kind, reference, &split.train, plan.scale, settings)?)
        }
        ProfileMethod::PublishedHybrid | ProfileMethod::Hybrid => {
            let plan = HybridPlan { on_base: method == ProfileMethod::Hybrid, ..*plan };
            Ok(Box::new(fit_hybrid(reference, &split.train, &split.calibration, &plan, progress)?))
        }
        ProfileMethod::Context => {
            if plan.scale != Scale::Log2 {
                return Err(TrainError::Plan("the log2 scale: it predicts shape and level"));
            }
            let settings = ContextFit::new(plan.promoter_tss, plan.seed);
            Ok(Box::new(fit_context(reference, &split.train, &settings, progress)?))
        }
    }
}
