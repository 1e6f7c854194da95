//! One line a request: who asked which models, about how many people and genes, and how it ended.
//!
//! The outermost layer puts an [`Audit`] into the request's extensions; whoever learns something that belongs into the
//! line notes it there. The line is written when the answer's last byte was handed over or the client has gone, and has
//! numbers and the names of keys and models in it, nothing else. Requests for the health signals have none.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::telemetry::AUDIT;

/// Who a request is of where no key says so.
const ANONYMOUS: &str = "anonymous";

/// What a request's audit line says, shared by all who know a part of it.
#[derive(Debug, Clone, Default)]
pub struct Audit(Arc<Mutex<Entry>>);

#[derive(Debug, Default)]
struct Entry {
    who: Option<String>,
    models: Vec<String>,
    samples: usize,
    genes: usize,
}

impl Audit {
    fn entry(&self) -> MutexGuard<'_, Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the name of the key that the request came with.
    pub fn who(&self, name: &str) {
        self.entry().who = Some(name.to_owned());
    }

    /// Notes the models, as `name@version`.
    pub fn models(&self, models: impl IntoIterator<Item = String>) {
        self.entry().models = models.into_iter().collect();
    }

    /// Notes how many people's genotypes were read.
    pub fn samples(&self, samples: usize) {
        self.entry().samples = samples;
    }

    /// Returns how many people's genotypes were read.
    pub(crate) fn noted_samples(&self) -> usize {
        self.entry().samples
    }

    /// Notes how many genes were answered.
    pub fn genes(&self, genes: usize) {
        self.entry().genes = genes;
    }

    /// Returns the models, parted by commas.
    pub(crate) fn model_list(&self) -> String {
        self.entry().models.join(",")
    }

    /// Writes the line.
    pub(crate) fn write(&self, request: &str, method: &str, route: &str, outcome: &str) {
        let entry = self.entry();
        tracing::info!(
            target: AUDIT,
            // The fields of a span would be more than the line is to have.
            parent: None,
            request,
            who = entry.who.as_deref().unwrap_or(ANONYMOUS),
            action = format!("{method} {route}"),
            models = entry.models.join(","),
            samples = entry.samples,
            genes = entry.genes,
            outcome,
        );
    }
}

impl<S: Sync> FromRequestParts<S> for Audit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}
