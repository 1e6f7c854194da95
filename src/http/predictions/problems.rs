//! What goes wrong with a prediction, as it is answered.

use crate::http::problem::{Kind, Problem};
use crate::prediction::{AnswerError, PredictionError};

pub(super) fn panicked() -> Problem {
    Problem::new(Kind::Internal, "the service failed on this request: tell the operator the request's id")
}

pub(super) fn lost() -> Problem {
    Problem::new(Kind::Internal, "the answer got lost: tell the operator the request's id")
}

pub(super) fn problem_kind(error: &PredictionError) -> Kind {
    use crate::genotype::Fault;
    match error {
        PredictionError::Genotypes(error) => match &error.fault {
            Fault::Limit { .. } => Kind::LimitPassed,
            _ => Kind::MalformedGenotypes,
        },
        PredictionError::LowOverlap(_) => Kind::LowOverlap,
        PredictionError::NoSuchGene(_) => Kind::UnknownGene,
        PredictionError::NoSuchSample(_) => Kind::InvalidParameter,
        PredictionError::Policy(_) | PredictionError::Answer(AnswerError::Form(_)) => Kind::UnusablePolicy,
        PredictionError::TooManyValues { .. } | PredictionError::TooManyContributions { .. } => Kind::LimitPassed,
        PredictionError::Model(_) | PredictionError::Answer(AnswerError::Io(_)) => Kind::Internal,
    }
}

/// A prediction's error as it is answered. What it quotes is the client's own input; none of it is logged.
pub(super) fn problem(error: PredictionError) -> Problem {
    let kind = problem_kind(&error);
    match error {
        PredictionError::LowOverlap(report) => {
            Problem::new(kind, PredictionError::LowOverlap(report.clone()).to_string()).with_report(&report)
        }
        PredictionError::NoSuchSample(_) => Problem::parameter("sample", error.to_string()),
        PredictionError::NoSuchGene(ref names) => {
            Problem::new(kind, error.to_string()).with_candidates(Vec::new()).with_not_found(names)
        }
        PredictionError::Model(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a model failed");
            Problem::new(kind, "the model failed on this request: tell the operator the request's id")
        }
        PredictionError::Answer(AnswerError::Io(_)) => lost(),
        PredictionError::Genotypes(ref inner) => {
            let cause = std::error::Error::source(&inner.fault).map(|cause| format!(" ({cause})"));
            Problem::new(kind, format!("{error}{}", cause.unwrap_or_default()))
        }
        error => Problem::new(kind, error.to_string()),
    }
}
