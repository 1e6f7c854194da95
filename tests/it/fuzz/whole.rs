//! A whole submission: opened, predicted with two small models under every policy, written in every form.

use std::sync::Arc;

use tissuecast::genome::Assembly;
use tissuecast::genotype::Policies;
use tissuecast::genotype::policy::{Absent, Ambiguous, Missing, Preset};
use tissuecast::genotype::report::Report;
use tissuecast::genotype::submission::FileKind;
use tissuecast::prediction::answer::{Form, Packing};
use tissuecast::prediction::panel::Panel;
use tissuecast::prediction::selection::Selection;
use tissuecast::prediction::{Answer, AnswerError, GeneAnswer, Heading, Request, predict};

use super::readers::open;
use super::{Case, hunt, seeds};
use crate::http_support::{BLOOD, expression_model};

/// Checks what every answer keeps and hands it on to a writer.
struct Checked<A> {
    writer: A,
    genes: Vec<(usize, usize)>,
}

impl<A: Answer> Answer for Checked<A> {
    fn begin(&mut self, heading: &Heading) -> Result<(), AnswerError> {
        self.writer.begin(heading)
    }

    fn gene(&mut self, heading: &Heading, gene: GeneAnswer) -> Result<(), AnswerError> {
        self.genes.push((gene.model, gene.gene));
        let (_, of) = heading.gene_of(&gene);
        assert_eq!(gene.by_kind.total(), of.rows.len() as u64);
        assert_eq!(gene.values.len(), heading.samples.len());
        assert!(gene.values.iter().all(|value| !value.is_infinite()));
        assert!(gene.reason.is_some() || gene.values.iter().all(|value| value.is_finite()), "unknown without a reason");
        self.writer.gene(heading, gene)
    }

    fn finish(&mut self, heading: &Heading, report: &Report) -> Result<(), AnswerError> {
        self.writer.finish(heading, report)
    }
}

fn policies(choice: u64) -> Policies {
    if choice % 11 == 10 {
        return Policies::preset(Preset::Predixcan);
    }
    let pick = |parts: u64, of: u64| ((choice / parts) % of) as usize;
    Policies {
        missing: [Missing::Mean, Missing::Cohort, Missing::Ref, Missing::Drop, Missing::Error][pick(1, 5)],
        ambiguous: [Ambiguous::Drop, Ambiguous::Keep, Ambiguous::Frequency][pick(5, 3)],
        absent: [Absent::Unknown, Absent::Homref][pick(15, 2)],
        min_overlap: [0.1, 0.0, 1.0][pick(30, 3)],
        assembly: [None, Assembly::parse("GRCh38").ok(), Assembly::parse("GRCh37").ok()][pick(90, 3)].clone(),
        preset: None,
    }
}

fn run(case: &Case, kinds: &[FileKind]) -> bool {
    let liver = expression_model("liver", &[("ENSG00000000002.1", "BETA", "rs4", 400, "G>A", 4.0)]);
    let models = vec![expression_model("blood", &BLOOD), liver];
    let names: &[String] = if case.choice % 4 == 3 { &["BETA".to_owned(), "nobody".to_owned()] } else { &[] };
    let selection = Selection::of(models, names);
    let wanted = selection.genes();
    let request = Request {
        selection,
        samples: (case.choice % 5 == 4).then(|| vec!["S3".to_owned(), "S1".to_owned()]),
        policies: policies(case.choice),
        report_variants: case.choice.is_multiple_of(2),
        explain: case.choice.is_multiple_of(3),
        stop: Arc::default(),
    };
    let Ok(mut source) = open(case, kinds) else { return false };
    let form = Form::ALL[(case.choice % 5) as usize];
    let mut checked = Checked { writer: form.writer(Packing::Plain, std::io::sink()), genes: Vec::new() };
    let panel = |assembly: Option<&Assembly>| Arc::new(Panel::build(&request.selection, assembly));
    let outcome = predict(&mut *source, &request, panel, &mut checked);
    let mut genes = checked.genes;
    let answered = genes.len();
    genes.sort_unstable();
    genes.dedup();
    assert_eq!(genes.len(), answered, "a gene is answered twice");
    assert!(outcome.is_err() || answered == wanted, "{answered} of {wanted} genes are answered");
    outcome.is_ok()
}

#[test]
fn vcf() {
    let text = seeds::VCF.as_bytes().to_vec();
    let seeds = vec![vec![text.clone()], vec![seeds::gzip(&text)], vec![seeds::bcf(seeds::PLAIN_VCF)]];
    hunt("prediction from vcf", seeds, |case| run(case, &[FileKind::Vcf]));
}

#[test]
fn plink() {
    let kinds = |case: &Case| run(case, &[FileKind::Bed, FileKind::Bim, FileKind::Fam]);
    hunt("prediction from bed", vec![seeds::plink()], kinds);
}

#[test]
fn dosages() {
    hunt("prediction from dosages", vec![seeds::dosages()], |case| run(case, &[FileKind::Dosage, FileKind::Samples]));
}

#[test]
fn json() {
    hunt("prediction from json", vec![vec![seeds::json()]], |case| run(case, &[FileKind::Json]));
}
