//! Cohorts as a whole: simulated ones through their files, and the real one.

use std::fmt::Write;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::simulated::{SimulatedFiles, simulate, simulate_with_causes, write_files};
use super::*;
use crate::genotype::submission::FileKind;

fn submitted(path: &Path, kind: FileKind) -> SubmittedFile {
    SubmittedFile { kind, name: path.display().to_string(), bytes: Box::new(File::open(path).unwrap()) }
}

fn inputs(files: &SimulatedFiles) -> CohortInputs {
    CohortInputs {
        covariates: Some(files.covariates.clone()),
        populations: Some(files.populations.clone()),
        gene_models: Some(files.gene_models.clone()),
        ..CohortInputs::new(vec![submitted(&files.genotypes, FileKind::Vcf)], files.expression.clone())
    }
}

fn load(inputs: CohortInputs) -> Result<Cohort, CohortError> {
    Cohort::load(inputs, &|_, _, _| ())
}

#[test]
fn a_written_cohort_is_loaded_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let cohort = simulate(25, 12, 60, 0.3, 5);
    let files = write_files(&cohort, folder.path()).unwrap();
    let loaded = load(inputs(&files)).unwrap();
    assert_eq!(loaded.people, cohort.people);
    assert_eq!(loaded.genes, cohort.genes);
    assert_eq!(loaded.variants, cohort.variants);
    assert_eq!(loaded.covariates, cohort.covariates);
    assert_eq!((loaded.digest(), loaded.notes.len()), (cohort.digest(), 0));
    assert!((0..25).all(|gene| loaded.window(gene) == (12 * gene..12 * (gene + 1))));
    assert_eq!(loaded.dosages(3..9), cohort.dosages(3..9));
    assert_ne!(simulate(25, 12, 60, 0.3, 6).digest(), cohort.digest());
}

#[test]
fn simulated_expression_is_as_heritable_as_was_asked_and_neighbours_are_linked() {
    let simulated = simulate_with_causes(40, 30, 400, 0.5, 1);
    let cohort = &simulated.cohort;
    let everybody: Vec<usize> = (0..400).collect();
    let mut explained = 0.0;
    for (gene, causes) in simulated.causal.iter().enumerate() {
        let y = residualise(cohort.covariates.as_ref(), &cohort.genes[gene].expression, &everybody).values;
        let dosages: Vec<Vec<f64>> = causes
            .iter()
            .map(|(variant, _)| cohort.dosages(std::iter::once(*variant)).into_iter().map(f64::from).collect())
            .collect();
        let names = causes.iter().map(|(variant, _)| variant.to_string()).collect();
        let left = residualise(Some(&Covariates::new(names, dosages)), &y, &everybody).values;
        let squares = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
        explained += 1.0 - squares(&left) / squares(&y);
    }
    let mean = explained / 40.0;
    assert!((0.42..0.6).contains(&mean), "{mean}");
    let mut linked = 0.0;
    for variant in 0..29 {
        let pair: Vec<f64> = cohort.dosages(variant..variant + 2).into_iter().map(f64::from).collect();
        let covariates = Covariates::new(vec![String::new()], vec![pair[..400].to_vec()]);
        let centred = residualise(None, &pair[400..], &everybody).values;
        let left = residualise(Some(&covariates), &pair[400..], &everybody).values;
        let squares = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
        linked += 1.0 - squares(&left) / squares(&centred);
    }
    assert!(linked / 29.0 > 0.2, "mean r² of neighbours {}", linked / 29.0);
}

const VCF: &str = "##fileformat=VCFv4.2\n##FORMAT=<ID=GT,Number=1,Type=String,Description=\"Genotype\">\n";

/// A VCF of 40 people whose genotypes repeat `pattern`, one record a line of `sites` (`CHROM POS ID REF ALT`).
fn small_vcf(folder: &Path, sites: &[(&str, &[&str])]) -> PathBuf {
    let people: Vec<String> = (0..40).map(|at| format!("p{at}")).collect();
    let mut text = format!("{VCF}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{}\n", people.join("\t"));
    for (site, pattern) in sites {
        let calls: Vec<&str> = (0..40).map(|at| pattern[at % pattern.len()]).collect();
        writeln!(text, "{}\t.\t.\t.\tGT\t{}", site.replace(' ', "\t"), calls.join("\t")).unwrap();
    }
    let path = folder.join("small.vcf");
    std::fs::write(&path, text).unwrap();
    path
}

fn small_bed(folder: &Path, rows: &[(&str, &str)]) -> PathBuf {
    let people: Vec<String> = (0..42).rev().map(|at| format!("p{at}")).collect();
    let mut text = format!("#chr\tstart\tend\tgene_id\t{}\n", people.join("\t"));
    for (gene, what) in rows {
        let value = |at: usize| match *what {
            "NA" if at == 7 => "NA".to_owned(),
            "NA41" if at == 41 => "NA".to_owned(),
            "constant" => "3".to_owned(),
            _ => (at * 13 % 29).to_string(),
        };
        let values: Vec<String> = (0..42).rev().map(value).collect();
        writeln!(text, "{}\t{}", gene.replace(' ', "\t"), values.join("\t")).unwrap();
    }
    let path = folder.join("small.bed");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn what_cannot_be_used_is_left_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let common: &[&str] = &["0/0", "0/1", "1/1", "0/1", "./."];
    let rare: &[&str] = &["0/0"; 39];
    let genotypes = small_vcf(
        folder.path(),
        &[
            ("1 900 rs1 A G", &["0/0", "0/1"]),
            ("1 1000 . A T", &["0/0", "0/1"]),
            ("1 1001 . A G,C", &["0/0", "0/1"]),
            ("1 1002 . A <DEL>", &["0/0", "0/1"]),
            ("1 1003 .;x A G", &["0/0", "0/1", "0/1", "1/1", "0/1", "0/1", "1/1", "0/1", "0/1", "0/1", "./."]),
            ("1 1003 y G A", &["0/0", "0/1"]),
            ("1 1004 . A G", common),
            ("1 1005 . A G", rare),
            ("1 2100 rs9 C A", &["0|1", "1|1"]),
            ("1 2101 . C A", &["0|1", "1|1"]),
        ],
    );
    let expression = small_bed(
        folder.path(),
        &[
            ("X 10 20 onX", ""),
            ("1 1000 2000 ENSG2.1", "NA41"),
            ("1 999 2000 unknown", "NA"),
            ("1 999 2000 flat", "constant"),
            ("chr1 999 1000 first", ""),
            ("3 999 1000 far", ""),
        ],
    );
    let mut inputs = CohortInputs::new(vec![submitted(&genotypes, FileKind::Vcf)], expression.clone());
    inputs.window_bp = 100;
    let cohort = load(inputs).unwrap();
    let names: Vec<&str> = cohort.genes.iter().map(|gene| &*gene.name).collect();
    assert_eq!(names, ["first", "ENSG2.1"]);
    let positions: Vec<u32> = cohort.variants.iter().map(|variant| variant.position.get()).collect();
    assert_eq!(positions, [900, 1003, 2100]);
    assert_eq!((cohort.window(0), cohort.window(1)), (0..2, 1..3));
    assert_eq!((cohort.genes[0].tss(), cohort.genes[1].tss(), cohort.genes[1].version), (Some(1000), None, Some(1)));
    assert_eq!(cohort.variants[1].id, Some(VariantId::Name("x".into())));
    assert!((cohort.variants[2].frequency - 0.75).abs() < 1e-6);
    // The third of eleven unknown genotypes of the pattern is the mean.
    let dosages = cohort.dosages(std::iter::once(1));
    assert!((dosages[10] - 2.0 * cohort.variants[1].frequency).abs() < 1e-6 && dosages[10] > 1.0);
    // People are in the genotypes' order although the expression table has another one.
    assert_eq!(&*cohort.people[2].id, "p2");
    assert!(cohort.other_is_reference && cohort.covariates.is_none());
    let notes = cohort.notes.join("\n");
    for expected in [
        "2 people of the expression table have no genotypes",
        "1 genes are on chrX",
        "1 genes have missing values",
        "1 genes have the same value",
        "2 records do not have two alleles of bases",
        "1 records are A/T or C/G",
        "1 records repeat the position",
        "1 records are not known of more than 10 %",
        "1 records have a minor-allele frequency below 0.05",
        "1 genes have no variant within 100 bp",
    ] {
        assert!(notes.contains(expected), "{expected} is not in\n{notes}");
    }

    let mut far = CohortInputs::new(vec![submitted(&genotypes, FileKind::Vcf)], expression.clone());
    (far.window_bp, far.genes) = (100, Some(vec!["far".to_owned(), "nobody".to_owned()]));
    let error = load(far).unwrap_err().to_string();
    assert!(error.contains("none of the 10 records") && error.contains("chr3, genotypes on chr1"), "{error}");
    let mut nobody = CohortInputs::new(vec![submitted(&genotypes, FileKind::Vcf)], expression);
    nobody.genes = Some(vec!["nobody".to_owned()]);
    assert!(load(nobody).unwrap_err().to_string().contains("none of nobody"));
}
