//! JSON, written as the genes come: samples, models, genes that were not found, genes, report.

use std::io::Write;

use serde::Serialize;

use super::{ModelEntry, Output, check, json_text, number, out_of_order};
use crate::genome::{Biotype, GeneSymbol};
use crate::genotype::report::{KindCounts, Report, VariantOutcome};
use crate::model::expression::{ExplanationMethod, GeneAccuracy};
use crate::prediction::{Answer, AnswerError, Explanation, GeneAnswer, Heading, Reason};

/// Values between two looks at how much waits.
const VALUES: usize = 8192;

/// Writes an answer as JSON, a line a gene.
#[derive(Debug)]
pub struct JsonAnswer<W: Write> {
    output: Output<W>,
    /// What stands before the next gene; `None` before the heading.
    between: Option<&'static [u8]>,
}

/// What stands before a gene's values.
#[derive(Serialize)]
struct Before<'a> {
    model: &'a str,
    gene_id: &'a str,
    version: Option<u32>,
    symbol: Option<&'a str>,
    /// The gene as the model spells it.
    gene: &'a str,
    biotype: Option<&'a str>,
}

/// What stands after a gene's values.
#[derive(Serialize)]
struct After<'a> {
    n_snps_in_model: u64,
    n_snps_used: u64,
    n_snps_assumed_reference: u64,
    weight_fraction_used: Option<f64>,
    by_kind: &'a KindCounts,
    accuracy: Option<&'a GeneAccuracy>,
    reason: Option<Reason>,
    interval: Option<Interval<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variants: Option<&'a [VariantOutcome]>,
}

/// What stands before the contributions of an explanation's variants.
#[derive(Serialize)]
struct BeforeVariants {
    base: f64,
    method: ExplanationMethod,
}

/// First and last base, from 1.
#[derive(Serialize)]
struct Interval<'a> {
    chromosome: &'a str,
    start: u32,
    end: u32,
}

impl<W: Write> JsonAnswer<W> {
    /// Writes into `output`.
    #[must_use]
    pub fn new(output: Output<W>) -> Self {
        Self { output, between: None }
    }

    fn values(&mut self, values: &[f64]) -> Result<(), AnswerError> {
        self.output.buffer().extend_from_slice(b",\"values\":[");
        let mut first = true;
        for values in values.chunks(VALUES) {
            let out = self.output.buffer();
            for value in values {
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                if value.is_nan() {
                    out.extend_from_slice(b"null");
                } else {
                    let from = out.len();
                    number::push(out, *value);
                    // A number that may have decimals always has them, so that every reader takes it for one.
                    if out[from..].iter().all(|byte| byte.is_ascii_digit() || *byte == b'-') {
                        out.extend_from_slice(b".0");
                    }
                }
            }
            self.output.spill()?;
        }
        self.output.buffer().push(b']');
        Ok(())
    }

    fn explanation(&mut self, explanation: Option<&Explanation>) -> Result<(), AnswerError> {
        self.output.buffer().extend_from_slice(b",\"explanation\":");
        let Some(Explanation { base, method, variants }) = explanation else {
            self.output.buffer().extend_from_slice(b"null");
            return Ok(());
        };
        let before = json_text(&BeforeVariants { base: *base, method: *method })?;
        let out = self.output.buffer();
        out.extend_from_slice(before.strip_suffix('}').unwrap_or(&before).as_bytes());
        out.extend_from_slice(b",\"variants\":[");
        for (at, one) in variants.iter().enumerate() {
            let before: &[u8] = if at == 0 { b"{\"variant\":" } else { b",{\"variant\":" };
            self.output.buffer().extend_from_slice(before);
            self.output.buffer().extend_from_slice(json_text(&one.variant)?.as_bytes());
            self.values(&one.values)?;
            self.output.buffer().push(b'}');
        }
        self.output.buffer().extend_from_slice(b"]}");
        Ok(())
    }
}

impl<W: Write> Answer for JsonAnswer<W> {
    fn begin(&mut self, heading: &Heading) -> Result<(), AnswerError> {
        let samples: Vec<&str> = heading.samples.iter().map(|sample| &*sample.id).collect();
        let models: Vec<_> = heading.models.iter().map(|model| ModelEntry::of(model)).collect();
        let text = format!(
            "{{\"samples\":{},\n\"models\":{},\n\"genes_not_found\":{},\n\"genes\":[",
            json_text(&samples)?,
            json_text(&models)?,
            json_text(&heading.genes_not_found)?
        );
        self.output.buffer().extend_from_slice(text.as_bytes());
        self.between = Some(b"\n");
        Ok(self.output.spill()?)
    }

    fn gene(&mut self, heading: &Heading, answer: GeneAnswer) -> Result<(), AnswerError> {
        check(heading, &answer)?;
        let between = self.between.replace(b",\n").ok_or_else(out_of_order)?;
        let (_, gene) = heading.gene_of(&answer);
        let before = json_text(&Before {
            model: &heading.model_of(&answer),
            gene_id: gene.id.as_str(),
            version: gene.version,
            symbol: gene.symbol.as_ref().map(GeneSymbol::as_str),
            gene: &gene.name,
            biotype: gene.biotype.as_ref().map(Biotype::as_str),
        })?;
        let interval = answer.interval.as_ref();
        let after = json_text(&After {
            n_snps_in_model: answer.by_kind.total(),
            n_snps_used: answer.by_kind.used(),
            n_snps_assumed_reference: answer.assumed_reference,
            weight_fraction_used: answer.weight_fraction_used,
            by_kind: &answer.by_kind,
            accuracy: gene.accuracy.as_ref(),
            reason: answer.reason,
            interval: interval.map(|(chromosome, start, end)| Interval {
                chromosome: chromosome.as_str(),
                start: start.saturating_add(1),
                end: *end,
            }),
            variants: answer.variants.as_deref(),
        })?;
        // The two parts are one object: the brace between them falls away.
        let out = self.output.buffer();
        out.extend_from_slice(between);
        out.extend_from_slice(before.strip_suffix('}').unwrap_or(&before).as_bytes());
        self.values(&answer.values)?;
        let out = self.output.buffer();
        out.push(b',');
        let after = after.strip_prefix('{').unwrap_or(&after);
        out.extend_from_slice(after.strip_suffix('}').unwrap_or(after).as_bytes());
        if heading.explained {
            self.explanation(answer.explanation.as_ref())?;
        }
        self.output.buffer().push(b'}');
        Ok(self.output.spill()?)
    }

    fn finish(&mut self, _heading: &Heading, report: &Report) -> Result<(), AnswerError> {
        self.between.take().ok_or_else(out_of_order)?;
        let report = json_text(report)?;
        let out = self.output.buffer();
        out.extend_from_slice(b"\n],\n\"report\":");
        out.extend_from_slice(report.as_bytes());
        out.extend_from_slice(b"}\n");
        Ok(self.output.finish()?)
    }
}
