//! Genotype models from training to serving, by the program itself on simulated people: one command trains, one compares,
//! and what is served is what was fitted.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tissuecast::training::cohort::simulated::{SimulatedFiles, simulate, write_files};

use crate::served_predictions::Served;
use crate::support::{TestDatabase, on_both_databases};

on_both_databases!(trained_models_are_served_as_they_were_fitted);

/// A folder with a simulated cohort and what is trained on it.
struct Lab {
    folder: tempfile::TempDir,
    files: SimulatedFiles,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = write_files(&simulate(6, 40, 90, 0.5, 3), folder.path()).unwrap();
        Self { folder, files }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, words: &[&str], more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tissuecast"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TISSUECAST_")) {
            command.env_remove(name);
        }
        let files = &self.files;
        command.current_dir(self.folder.path()).args(words);
        command.arg("--genotypes").arg(&files.genotypes).arg("--expression").arg(&files.expression);
        command.arg("--covariates").arg(&files.covariates).arg("--populations").arg(&files.populations);
        command.arg("--gene-models").arg(&files.gene_models).arg("--annotations").arg(&files.intervals);
        command.args(["--assembly", "GRCh38", "--outer-folds", "2", "--inner-folds", "4", "--members", "2"]);
        command.args(more).output().unwrap()
    }

    fn succeeds(&self, words: &[&str], more: &[&str]) -> String {
        let output = self.run(words, more);
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    }

    fn card(&self, name: &str, version: &str) -> Value {
        let path = self.path("models").join(name).join(version).join("manifest.json");
        serde_json::from_slice(&fs::read(&path).unwrap_or_else(|_| panic!("no {}", path.display()))).unwrap()
    }

    /// A table of people and genes: values by person and gene.
    fn table(path: &Path) -> BTreeMap<(String, String), Option<f64>> {
        let text = fs::read_to_string(path).unwrap();
        let mut lines = text.lines();
        let genes: Vec<&str> = lines.next().unwrap().split('\t').skip(2).collect();
        let mut values = BTreeMap::new();
        for line in lines {
            let mut cells = line.split('\t').skip(1);
            let person = cells.next().unwrap();
            for (gene, cell) in genes.iter().zip(cells) {
                values.insert((person.to_owned(), (*gene).to_owned()), cell.parse().ok());
            }
        }
        values
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

const METHODS: [&str; 4] = ["elastic-net", "annotated-elastic-net", "scaled-cnn", "annotated-cnn"];

async fn trained_models_are_served_as_they_were_fitted(database: &TestDatabase) {
    drop(database.migrated().await);
    let lab = Lab::new();
    let printed = lab.succeeds(&["train", "genotype"], &["--out", "models/lcl", "--tissue", "Whole_Blood"]);
    assert!(METHODS.iter().all(|method| printed.contains(method)) && printed.contains("heritable genes"), "{printed}");
    let evaluated = lab.succeeds(
        &["evaluate", "genotype"],
        &["--out", "report", "--leave-one-population-out", "--controls", "permuted-annotations,permuted-expression"],
    );
    assert!(evaluated.contains("permuted expression") && evaluated.contains("leave-one-population-out"), "{evaluated}");
    for name in
        ["2-fold/report.json", "2-fold/genes.tsv", "2-fold/scaled-cnn.svg", "leave-one-population-out/report.txt"]
    {
        assert!(lab.path("report").join(name).is_file(), "no {name}");
    }
    let genotypes = fs::read_to_string(&lab.files.genotypes).unwrap();
    let served = Served::start(lab.folder.path(), database.url());
    for (model, fitted) in
        METHODS.map(|method| (format!("lcl-{method}"), method)).into_iter().chain([("lcl".to_owned(), "selected")])
    {
        let card = lab.card(&model, "1");
        assert_eq!(card["training"]["people"], 90, "{model}");
        assert!(card["training"]["command"].as_str().unwrap().starts_with("tissuecast train genotype"), "{card}");
        assert!(card["accuracy"].as_array().unwrap().iter().any(|row| row["method"] == "elastic-net"), "{card}");
        let expected = Lab::table(&lab.path("report").join(format!("fitted-{fitted}.tsv")));
        let (status, answer) = served.vcf(&format!("/v1/predictions?model={model}&assembly=GRCh38"), &genotypes);
        assert_eq!(status, 200, "{answer}");
        let samples: Vec<&str> = answer["samples"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        let genes = answer["genes"].as_array().unwrap();
        assert_eq!(genes.len(), 6, "{model}");
        for gene in genes {
            for (person, value) in samples.iter().zip(gene["values"].as_array().unwrap()) {
                let key = ((*person).to_owned(), gene["gene"].as_str().unwrap().to_owned());
                match (expected[&key], value.as_f64()) {
                    (Some(fitted), Some(served)) => {
                        assert!((fitted - served).abs() < 1e-4, "{model} {key:?}: {fitted} {served}");
                    }
                    (fitted, served) => assert_eq!(fitted, served, "{model} {key:?}: {gene}"),
                }
            }
        }
    }
    explanations_add_up(&served, &genotypes);
    let (status, gene) = served.get("/v1/models/lcl-scaled-cnn/genes?items_per_page=1");
    assert_eq!(status, 200);
    let name = gene["data"][0]["gene"].as_str().unwrap();
    let (status, gene) = served.get(&format!("/v1/models/lcl-scaled-cnn/genes/{name}"));
    assert_eq!(status, 200);
    let shares: f64 = gene["variants"].as_array().unwrap().iter().map(|one| one["share"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-6, "{shares}");
    served.stop();
}

fn explanations_add_up(served: &Served, genotypes: &str) {
    for model in METHODS {
        let (status, answer) =
            served.vcf(&format!("/v1/predictions?model=lcl-{model}&assembly=GRCh38&explain=true"), genotypes);
        assert_eq!(status, 200, "{answer}");
        for gene in answer["genes"].as_array().unwrap().iter().filter(|gene| !gene["explanation"].is_null()) {
            let explanation = &gene["explanation"];
            for (person, value) in gene["values"].as_array().unwrap().iter().enumerate() {
                let of_variants: f64 = explanation["variants"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|variant| variant["values"][person].as_f64().unwrap())
                    .sum();
                let sum = explanation["base"].as_f64().unwrap() + of_variants;
                assert!((sum - value.as_f64().unwrap()).abs() < 1e-4, "{model}: {sum} is not {value}");
            }
        }
    }
}

#[test]
fn a_second_run_goes_on_and_gives_the_same_weights() {
    let lab = Lab::new();
    let more = ["--out", "models/net", "--method", "scaled-cnn"];
    lab.succeeds(&["train", "genotype"], &more);
    let first = lab.card("net", "1");
    // What an interruption leaves behind: fewer genes, and a line that was cut off.
    for entry in fs::read_dir(lab.path("tissuecast-data/training")).unwrap() {
        for log in fs::read_dir(entry.unwrap().path()).unwrap() {
            let path = log.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let half: String = text.chars().take(text.len() / 2).collect();
            fs::write(&path, half).unwrap();
        }
    }
    lab.succeeds(&["train", "genotype"], &more);
    let second = lab.card("net", "2");
    assert_eq!(first["files"], second["files"]);
    assert_eq!(first["accuracy"], second["accuracy"]);
}

#[test]
fn what_cannot_be_trained_on_is_said() {
    let lab = Lab::new();
    let fails = |more: &[&str], says: &str| {
        let output = lab.run(&["train", "genotype"], &[&["--out", "models/x"], more].concat());
        let said = said(&output);
        assert!(!output.status.success() && said.contains(says) && !said.contains("panicked"), "{more:?}: {said}");
    };
    fails(&["--gene", "NOSUCHGENE"], "NOSUCHGENE");
    fails(&["--chromosome", "chr21"], "gene");
    fails(&["--outer-folds", "1"], "--outer-folds");
    let output = lab.run(&["train", "genotype"], &["--out", ".."]);
    assert!(said(&output).contains("--out has to name"), "{}", said(&output));
}
