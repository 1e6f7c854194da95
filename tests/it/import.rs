//! `models import` on real files of others and on what can be wrong with them.

use std::path::{Path, PathBuf};

use clap::Parser;
use tissuecast::cli::models::import::{Import, Outcome};
use tissuecast::model::expression::ServedGenotypeModel;
use tissuecast::model::registry;

use crate::support::{block_on, real_data};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    import: Import,
}

/// Imports with the command's own flags.
fn import(models: &Path, flags: &[&str], files: &[PathBuf]) -> Vec<Outcome> {
    let flags =
        ["import"].iter().chain(flags).map(Into::into).chain(files.iter().map(|file| file.as_os_str().to_owned()));
    let command = Command::parse_from(flags);
    block_on(command.import.import(models, &|_, _, _| {})).unwrap()
}

fn load(models: &Path, name: &str) -> ServedGenotypeModel {
    registry::load(&models.join(name).join("1")).unwrap().genotype().unwrap()
}

#[test]
fn predictdb_with_places_is_lifted_and_placed() {
    let Some(data) = real_data() else { return };
    let models = tempfile::tempdir().unwrap();
    let chain = data.join("annotation/hg38ToHg19.over.chain.gz");
    let annotation = data.join("annotation/gencode_v26.genes.gtf.gz");
    let flags = ["--name", "liver", "--chain", chain.to_str().unwrap(), "--annotation", annotation.to_str().unwrap()];
    let files = [data.join("weights/predictdb/expression_Liver.db.gz")];
    let outcomes = import(models.path(), &flags, &files);
    assert!(!outcomes[0].result.as_ref().unwrap().was_there);
    let ServedGenotypeModel { card, model, .. } = load(models.path(), "liver");
    // 35 of the file's 19,170 weights are zero, all those of 29 of its 12,714 genes.
    assert_eq!((card.genes, card.weights), (12_685, 19_135));
    assert_eq!((card.assembly.as_deref(), card.tissue.as_deref()), (Some("GRCh38"), Some("Liver")));
    assert_eq!(card.import.unwrap().left_out["the weight is zero"], 35);
    let lifted = card.liftover.unwrap();
    assert_eq!((lifted.assembly.as_str(), lifted.multiple), ("GRCh37", 0));
    assert_eq!((lifted.lifted, lifted.unmapped, lifted.reversed), (19_102, 33, 62));
    assert!(model.genes().iter().all(|gene| gene.locus.is_some() && gene.accuracy.is_none()));
    let again = import(models.path(), &flags, &files);
    let again = again[0].result.as_ref().unwrap();
    assert_eq!((again.was_there, again.card.version.as_str()), (true, "1"));
    assert_eq!(registry::list(models.path()).unwrap().len(), 1);
}

#[test]
fn predictdb_without_places_keeps_its_accuracy() {
    let Some(data) = real_data() else { return };
    let models = tempfile::tempdir().unwrap();
    import(models.path(), &["--name", "breast"], &[data.join("weights/predictdb/GTExv8_50k_nomul_RGTEx.breast.db.gz")]);
    let ServedGenotypeModel { card, model, .. } = load(models.path(), "breast");
    assert_eq!((card.genes, card.weights, card.assembly), (7_558, 57_739, None));
    let first = &model.genes()[0];
    assert_eq!((first.id.as_str(), first.version), ("ENSG00000227232", Some(5)));
    let accuracy = first.accuracy.clone().unwrap();
    assert_eq!((accuracy.r2, accuracy.p_value), (Some(0.022_319_518_506_597_2), Some(0.553_522_030_234_461)));
}

#[test]
fn a_folder_of_tissues_becomes_a_model_each() {
    let Some(data) = real_data() else { return };
    let models = tempfile::tempdir().unwrap();
    let outcomes = import(models.path(), &["--name", "v6p"], &[data.join("weights/predictdb/metaxcan_tests")]);
    assert_eq!(outcomes.len(), 44);
    // One of them has no row at all: it is named and stops no other one.
    let failed: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.result.is_err()).collect();
    assert_eq!(failed.iter().map(|outcome| outcome.name.as_str()).collect::<Vec<_>>(), ["v6p_Pituitary"]);
    let model = load(models.path(), "v6p_Whole_Blood");
    assert_eq!((model.card.genes, model.card.weights, model.card.tissue.as_deref()), (3, 113, Some("Whole Blood")));
    assert_eq!(registry::list(models.path()).unwrap().len(), 43);
}

#[test]
fn fusion_weights_with_their_table_of_models() {
    let Some(data) = real_data() else { return };
    let models = tempfile::tempdir().unwrap();
    let folder = data.join("weights/fusion");
    let files = ["models", "lasso_enet.weights"].map(|part| folder.join(format!("YFS.BLOOD.RNAARR.{part}.tsv.gz")));
    import(models.path(), &["--name", "yfs", "--tissue", "Whole Blood"], &files);
    let ServedGenotypeModel { card, model, .. } = load(models.path(), "yfs");
    assert_eq!((card.genes, card.weights, card.assembly.as_deref()), (4_683, 131_226, Some("GRCh37")));
    assert_eq!(model.genes()[0].accuracy.as_ref().unwrap().r2, Some(0.212_525));
    assert_eq!(card.import.unwrap().sources.len(), 2);
    let wrong_way = data.join("annotation/hg38ToHg19.over.chain.gz");
    let outcomes = import(models.path(), &["--name", "x", "--chain", wrong_way.to_str().unwrap()], &files);
    let error = outcomes[0].result.as_ref().unwrap_err().to_string();
    assert!(error.contains("does not start from the model's assembly GRCh37"), "{error}");
    assert!(!models.path().join("x").exists());
}

#[test]
fn a_bad_file_stops_no_other_one() {
    let (models, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let write = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let tigar = b"CHROM\tPOS\tREF\tALT\tTargetID\tES\n1\t5\tA\tC\tG\t0.5\n";
    let files = [
        write("a.db", b"not a database"),
        write("b.txt", b"hello\n"),
        write("c.RDat", b"RDX3\nX"),
        write("d.tsv", tigar),
        write("d.txt", tigar),
    ];
    let outcomes = import(models.path(), &["--name", "m", "--assembly", "hg38"], &files);
    let said: Vec<String> = outcomes
        .iter()
        .map(|outcome| outcome.result.as_ref().map_or_else(|error| format!("{error:#}"), |_| "imported".to_owned()))
        .collect();
    let expected =
        ["not a SQLite database", "none of the formats", "an R data file", "imported", "it would have the name m_d"];
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.contains(expected), "{said}\nwanted {expected}");
    }
    assert_eq!(load(models.path(), "m_d").card.assembly.as_deref(), Some("GRCh38"));
}
