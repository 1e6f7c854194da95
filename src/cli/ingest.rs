//! `tissuecast ingest`: reads a lab's files and makes them the current version of a dataset.

use std::fmt::Write as _;
use std::fs::File;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use serde::Serialize;

use crate::config::DatabaseArgs;
use crate::genome::Assembly;
use crate::reference::assemble::{IngestCounts, ReferenceTable};
use crate::reference::genome_fasta::{GenomeFasta, PromoterWindow};
use crate::reference::source::Source;
use crate::reference::{Unit, annotation, gct, promoter};
use crate::store::{IngestOutcome, SchemaState, Store};

/// Reads expression, annotation and promoters, and makes them the current version of a dataset.
///
/// All or nothing: a malformed line is an error that names file, line and column, and leaves the store as it was. The
/// same files again change nothing. An empty database gets its schema first.
#[derive(Debug, Clone, Args)]
pub struct IngestArgs {
    /// The dataset's name: letters, digits, `_`, `-` and `.`
    #[arg(long, env = "TISSUECAST_DATASET", value_name = "NAME")]
    dataset: String,
    /// Expression by gene and tissue: GCT 1.2 or 1.3, plain or gzip
    #[arg(long, env = "TISSUECAST_EXPRESSION", value_name = "FILE")]
    expression: PathBuf,
    /// Gene annotation: GTF, BED12, or a table with a header, plain or gzip
    #[arg(long, env = "TISSUECAST_ANNOTATION", value_name = "FILE")]
    annotation: PathBuf,
    /// Promoters: FASTA with the gene's identifier as the first word of the header, plain or gzip
    #[arg(long, env = "TISSUECAST_PROMOTERS", value_name = "FILE", conflicts_with = "genome")]
    promoters: Option<PathBuf>,
    /// A genome to cut promoters from: FASTA with FILE.fai beside it
    #[arg(long, env = "TISSUECAST_GENOME", value_name = "FILE")]
    genome: Option<PathBuf>,
    /// Bases to cut around each transcription start, both ends included, 0 the start itself
    #[arg(
        long,
        env = "TISSUECAST_WINDOW",
        value_name = "FIRST..LAST",
        default_value = "-1000..+500",
        requires = "genome",
        allow_hyphen_values = true
    )]
    window: PromoterWindow,
    /// The assembly of the annotation, such as `GRCh38`
    #[arg(long, env = "TISSUECAST_ASSEMBLY", value_name = "NAME", value_parser = Assembly::parse)]
    assembly: Assembly,
    /// The unit of the expression values
    #[arg(long, env = "TISSUECAST_UNIT", value_name = "UNIT")]
    unit: UnitArg,
    /// How to print what was found
    #[arg(long, env = "TISSUECAST_FORMAT", default_value = "text")]
    format: ReportFormat,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum UnitArg {
    Rpkm,
    Tpm,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ReportFormat {
    Text,
    Json,
}

/// What the command prints.
#[derive(Debug, Serialize)]
struct IngestReport<'a> {
    dataset: &'a str,
    version: &'a str,
    changed: bool,
    assembly: &'a str,
    unit: Unit,
    seconds: f64,
    counts: &'a IngestCounts,
}

impl IngestArgs {
    /// Reads the files, brings them into the store, and prints what was found.
    ///
    /// # Errors
    /// A file cannot be read or is malformed, the files do not join, or the database cannot be reached, has another
    /// schema, or fails.
    pub async fn run(self) -> anyhow::Result<()> {
        let started = Instant::now();
        let store = self.database.open().await?;
        prepare_schema(&store).await?;
        let progress = Progress::new();
        let reading = {
            let (arguments, progress) = (self.clone(), progress.clone());
            tokio::task::spawn_blocking(move || arguments.read(&progress))
        };
        let table = reading.await.context("reading the files was interrupted")??;
        progress.stage("writing to the store");
        let outcome = store.ingest(&self.dataset, &table, crate::serve::now()).await?;
        store.close().await;
        progress.finish();
        let report = IngestReport {
            dataset: &self.dataset,
            version: outcome.version(),
            changed: matches!(outcome, IngestOutcome::New { .. }),
            assembly: table.assembly().as_str(),
            unit: table.unit(),
            seconds: started.elapsed().as_secs_f64(),
            counts: table.counts(),
        };
        match self.format {
            ReportFormat::Json => println!("{}", serde_json::to_string_pretty(&report)?),
            ReportFormat::Text => print!("{}", text(&report)),
        }
        Ok(())
    }

    fn read(&self, progress: &Progress) -> anyhow::Result<ReferenceTable> {
        let files = [Some(&self.expression), Some(&self.annotation), self.promoters.as_ref()];
        progress.expect(files.into_iter().flatten());
        let unit = match self.unit {
            UnitArg::Rpkm => Unit::Rpkm,
            UnitArg::Tpm => Unit::Tpm,
        };
        progress.stage("reading the expression");
        let expression = gct::read(progress.open(&self.expression)?)?;
        progress.stage("reading the annotation");
        let annotation = annotation::read(progress.open(&self.annotation)?)?;
        let mut table = ReferenceTable::join(self.assembly.clone(), unit, expression, annotation)?;
        if let Some(path) = &self.promoters {
            progress.stage("reading the promoters");
            table.attach_promoters(promoter::read(progress.open(path)?)?)?;
        } else if let Some(path) = &self.genome {
            progress.stage("cutting the promoters");
            table.cut_promoters(&mut GenomeFasta::open(path)?, self.window)?;
        }
        Ok(table)
    }
}

async fn prepare_schema(store: &Store) -> anyhow::Result<()> {
    let is_new = match store.schema_state().await? {
        SchemaState::Empty => true,
        // A first ingest that was stopped between two migrations: there is nothing that an operator could want to keep.
        SchemaState::TooOld { .. } => store.versions().await?.is_empty(),
        _ => false,
    };
    if is_new {
        store.migrate().await?;
    }
    Ok(store.require_current_schema().await?)
}

/// A bar over the files' bytes on a terminal, log lines elsewhere.
#[derive(Clone)]
struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    fn new() -> Self {
        let template = "{spinner} {msg} {wide_bar} {bytes}/{total_bytes} {elapsed}";
        let bar = std::io::stderr().is_terminal().then(|| {
            // An error's message is not to stand behind half a bar.
            let bar = ProgressBar::new(0).with_finish(ProgressFinish::AndClear);
            bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar }
    }

    fn expect<'a>(&self, files: impl Iterator<Item = &'a PathBuf>) {
        if let Some(bar) = &self.bar {
            bar.set_length(files.filter_map(|file| file.metadata().ok()).map(|data| data.len()).sum());
        }
    }

    fn stage(&self, what: &'static str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what);
        } else {
            tracing::info!("{what}");
        }
    }

    fn open(&self, path: &Path) -> anyhow::Result<Source> {
        match (&self.bar, File::open(path)) {
            (Some(bar), Ok(file)) => Ok(Source::from_read(&path.display().to_string(), bar.wrap_read(file))?),
            _ => Ok(Source::open(path)?),
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Writes the report for people; lines about what did not occur are left out where they would be noise.
fn text(report: &IngestReport<'_>) -> String {
    let counts = report.counts;
    let state = if report.changed { "ingested" } else { "unchanged: the store has these files already" };
    let mut out = format!("dataset {} version {} ({state})\n", report.dataset, report.version);
    // A genome of another species has tissues of its own: none of them being GTEx's is nothing to look into.
    let unknown = if counts.unknown_tissues.len() == counts.tissues { &[] } else { &*counts.unknown_tissues };
    let rows: [(&str, usize, bool); 17] = [
        ("genes", counts.genes, true),
        ("  measured and placed (matched)", counts.matched, true),
        ("    matched by symbol", counts.matched_by_symbol, false),
        ("  measured, not in the annotation", counts.without_annotation, true),
        ("  without profile", counts.without_profile, true),
        ("  with holes", counts.with_holes, true),
        ("  zero in every tissue", counts.all_zero, true),
        ("  without promoter", counts.without_promoter, true),
        ("tissues", counts.tissues, true),
        ("  unknown to GTEx", unknown.len(), !unknown.is_empty()),
        ("genes of the expression table", counts.expression_genes, true),
        ("genes of the annotation", counts.annotated_genes, true),
        ("promoters without gene", counts.promoters_without_gene, true),
        ("promoters without a known base", counts.promoters_unknown, false),
        ("duplicate expression rows", counts.duplicate_expression_rows, true),
        ("duplicate annotation entries", counts.duplicate_annotation_entries, true),
        ("duplicate promoters", counts.duplicate_promoters, true),
    ];
    for (label, count, always) in rows {
        if always || count > 0 {
            // Writing to a String does not fail.
            let _ = writeln!(out, "{label:<36}{count:>10}");
        }
    }
    if !unknown.is_empty() {
        let _ = writeln!(out, "tissues unknown to GTEx: {}", unknown.join(", "));
    }
    let _ = writeln!(out, "{} · {} · {:.1} s", report.assembly, report.unit, report.seconds);
    out
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        ingest: IngestArgs,
    }

    fn parse(extra: &[&str]) -> Result<IngestArgs, clap::Error> {
        let required =
            ["x", "--dataset", "d", "--expression", "e", "--annotation", "a", "--assembly", "hg38", "--unit", "tpm"];
        Line::try_parse_from(required.iter().chain(extra)).map(|line| line.ingest)
    }

    #[test]
    fn flags_are_read() {
        let plain = parse(&[]).unwrap();
        assert_eq!((plain.window, plain.assembly.as_str()), (PromoterWindow::default(), "GRCh38"));
        let window = parse(&["--genome", "g.fa", "--window", "-2000..+100"]).unwrap().window;
        assert_eq!(window.to_string(), "-2000..+100");
        assert!(parse(&["--genome", "g.fa", "--promoters", "p.fa"]).is_err());
        assert!(parse(&["--genome", "g.fa", "--window", "5..1"]).is_err());
        assert!(parse(&["--window", "-5..1"]).is_err(), "a window without a genome cuts nothing");
    }

    #[test]
    fn the_report_names_what_was_found() {
        let counts =
            IngestCounts { genes: 7, matched: 3, unknown_tissues: vec!["leaf".to_owned()], ..Default::default() };
        let report = IngestReport {
            dataset: "d",
            version: "v",
            changed: true,
            assembly: "GRCh38",
            unit: Unit::Tpm,
            seconds: 1.25,
            counts: &counts,
        };
        let text = text(&report);
        for line in
            ["dataset d version v (ingested)", "measured and placed (matched)              3", "unknown to GTEx: leaf"]
        {
            assert!(text.contains(line), "{text}");
        }
        assert!(!text.contains("by symbol"));
    }
}
