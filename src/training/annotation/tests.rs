//! Annotations as a whole: of simulated cohorts through their files, and of the real one.

use std::fmt::Write;
use std::fs::File;
use std::time::Instant;

use super::*;
use crate::genome::Assembly;
use crate::genotype::submission::{FileKind, SubmittedFile};
use crate::training::cohort::CohortInputs;
use crate::training::cohort::simulated::{simulate, write_files};

#[test]
fn columns_are_centred_and_scaled_and_constant_ones_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let cohort = simulate(12, 40, 60, 0.2, 4);
    let files = write_files(&cohort, folder.path()).unwrap();
    let table = folder.path().join("scores.tsv");
    let mut text = "SNP\tconservation\tbase\n".to_owned();
    for (at, variant) in cohort.variants.iter().enumerate().filter(|(at, _)| at % 2 == 0) {
        writeln!(text, "{}\t{}\t1", variant.id.as_ref().unwrap(), 0.25 * (at % 7) as f64).unwrap();
    }
    std::fs::write(&table, text).unwrap();
    let inputs = [files.intervals.clone(), table];
    let annotations = Annotations::build(&cohort, &inputs, Some(&files.gene_models), None).unwrap();
    let expected = [
        "TSS distance",
        "upstream of the TSS",
        "gene body",
        "exon",
        "promoter",
        "minor-allele frequency",
        "LD score",
        "open_chromatin",
        "conservation",
        "conservation is known",
    ];
    assert_eq!(annotations.names, expected);
    assert!((annotations.means[7] - 1.0 / 3.0).abs() < 0.03, "{:?}", annotations.means);
    assert!((annotations.means[9] - 0.5).abs() < 1e-9);
    let notes = annotations.notes.join("\n");
    assert!(notes.contains("left out: base.") && notes.contains("scores has 240 of 480 variants"), "{notes}");
    let width = annotations.names.len();
    let mut sums = vec![(0.0, 0.0); width];
    for gene in 0..12 {
        let variants: Vec<usize> = cohort.window(gene).collect();
        let rows = annotations.of_gene(&cohort, gene, &variants);
        assert_eq!(rows.len(), variants.len() * width);
        for row in rows.chunks(width) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum = (sum.0 + f64::from(*value), sum.1 + f64::from(value * value));
            }
        }
    }
    for (name, (sum, squares)) in annotations.names.iter().zip(sums) {
        assert!(sum.abs() / 480.0 < 1e-4 && (squares / 480.0 - 1.0).abs() < 1e-3, "{name}: {sum} {squares}");
    }
}

#[test]
fn a_permuted_table_has_the_same_rows_of_other_variants() {
    let cohort = simulate(3, 30, 40, 0.2, 4);
    let annotations = Annotations::build(&cohort, &[], None, None).unwrap();
    let permuted = annotations.permuted(9);
    let width = annotations.names.len();
    let rows = |table: &AnnotationTable, gene: usize| {
        let variants: Vec<usize> = cohort.window(gene).collect();
        let rows = table.of_gene(&cohort, gene, &variants);
        rows.chunks(width).map(|row| row.iter().map(|value| value.to_bits()).collect::<Vec<u32>>()).collect::<Vec<_>>()
    };
    for gene in 0..3 {
        let (mut before, mut after) = (rows(&annotations, gene), rows(&permuted, gene));
        assert_ne!(before, after);
        assert_eq!(after, rows(&annotations.permuted(9), gene));
        assert_ne!(after, rows(&annotations.permuted(10), gene));
        before.sort_unstable();
        after.sort_unstable();
        assert_eq!(before, after);
    }
    // A part of the variants has the same rows as it has among all.
    let window = cohort.window(1);
    let some = permuted.of_gene(&cohort, 1, &[window.start + 5]);
    let all = permuted.of_gene(&cohort, 1, &window.collect::<Vec<_>>());
    assert_eq!(some, all[5 * width..6 * width]);
}

#[test]
fn files_of_other_kinds_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cohort = simulate(1, 5, 40, 0.2, 4);
    let path = folder.path().join("notes.txt");
    for (text, expected) in [("hello\n", "line 1: the first line is no header"), ("", "the file ends before")] {
        std::fs::write(&path, text).unwrap();
        let error = Annotations::build(&cohort, std::slice::from_ref(&path), None, None).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("neither BED"), "{error}");
    }
}

/// The real cohort with its annotations; the figures are printed, the bounds hold what was measured.
#[test]
fn the_real_cohort_and_its_annotations() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !data.is_dir() {
        eprintln!("SKIPPED: no real data at {}", data.display());
        return;
    }
    let file = |kind: FileKind, name: &str| {
        let path = data.join("geuvadis").join(name);
        SubmittedFile { kind, name: name.to_owned(), bytes: Box::new(File::open(path).unwrap()) }
    };
    let genotypes = vec![
        file(FileKind::Bed, "geuvadis280.chr13-22.bed.gz"),
        file(FileKind::Bim, "geuvadis280.chr13-22.bim.gz"),
        file(FileKind::Fam, "geuvadis280.chr13-22.fam"),
    ];
    let mut inputs = CohortInputs::new(genotypes, data.join("geuvadis/geuvadis280.expression.bed.gz"));
    inputs.populations = Some(data.join("geuvadis/samples.tsv"));
    inputs.gene_models = Some(data.join("annotation/gencode_v26.genes.gtf.gz"));
    let chain = data.join("annotation/hg38ToHg19.over.chain.gz");
    // The genotypes are GRCh37; the expression table's positions are GRCh38: lifted, near variants explain expression.
    inputs.expression_chain = Some(chain.clone());
    inputs.assembly = Some(Assembly::parse("GRCh37").unwrap());
    let start = Instant::now();
    let cohort = Cohort::load(inputs, &|_, _, _| ()).unwrap();
    let loaded = start.elapsed();
    let mut windows: Vec<usize> = (0..cohort.genes.len()).map(|gene| cohort.window(gene).len()).collect();
    windows.sort_unstable();
    eprintln!(
        "{} people, {} genes, {} variants ({} bytes of genotypes) in {loaded:.2?}; windows of {} / {} / {} variants",
        cohort.people.len(),
        cohort.genes.len(),
        cohort.variants.len(),
        cohort.genotype_bytes(),
        windows[0],
        windows[windows.len() / 2],
        windows[windows.len() - 1]
    );
    cohort.notes.iter().for_each(|note| eprintln!("note: {note}"));
    assert_eq!(cohort.people.len(), 280);
    assert!(cohort.genes.len() > 1_800 && cohort.variants.len() > 140_000);
    assert!(cohort.people.iter().all(|person| person.population.is_some()));

    let start = Instant::now();
    ld::scores(&cohort, LD_REACH_BP);
    eprintln!("LD scores in {:.2?}", start.elapsed());
    let files = [
        data.join("variant_annotations/TFs.encode.bed.gz"),
        data.join("variant_annotations/polyfun_example_annotations.tsv.gz"),
    ];
    let models = data.join("annotation/gencode.v26.FromGTEx.genes.bed12.gz");
    let start = Instant::now();
    let annotations = Annotations::build(&cohort, &files, Some(&models), Some(&chain)).unwrap();
    eprintln!("annotations in {:.2?}", start.elapsed());
    for ((name, mean), deviation) in annotations.names.iter().zip(&annotations.means).zip(&annotations.deviations) {
        eprintln!("{name}: mean {mean:.4}, deviation {deviation:.4}");
    }
    annotations.notes.iter().for_each(|note| eprintln!("note: {note}"));
    assert!(!annotations.notes.iter().any(|note| note.contains("seems to be of")));
    assert!(annotations.names.iter().any(|name| name == "exon"));
    assert!(annotations.names.iter().any(|name| name == "TFs.encode"));
}
