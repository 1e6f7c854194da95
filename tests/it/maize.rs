//! Another genome: maize, with tissues, chromosomes, biotypes and an assembly of its own, from files to answers.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::binary::succeed;
use crate::lab;
use crate::support::{TestDatabase, on_both_databases};

on_both_databases!(a_maize_genome_is_ingested_trained_on_completed_and_served);

const TISSUES: [&str; 5] = ["leaf", "root", "anther (R1)", "endosperm 16 DAP", "Silk"];
const GENES: usize = 84;

/// Writes a genome of six chromosomes, a scaffold and a plastid; every seventh gene was not measured, every ninth in
/// part.
fn write(folder: &Path) {
    let (mut gtf, mut gct, mut fasta, mut rows) = (String::new(), String::new(), String::new(), 0);
    for at in 0..GENES {
        let chromosome = match at {
            80 | 81 => "scaf_21".to_owned(),
            82 | 83 => "Pt".to_owned(),
            _ => format!("{}", 1 + at / 14),
        };
        let id = format!("Zm00001eb{:06}", 10 * (at + 1));
        let start = 10_000 + 4_000 * (at % 14);
        let strand = if at % 3 == 0 { '-' } else { '+' };
        let biotype = if at % 5 == 0 { "lncRNA" } else { "protein_coding" };
        let end = start + 1_500;
        writeln!(
            gtf,
            "{chromosome}\tNAM\tgene\t{start}\t{end}\t.\t{strand}\t.\tgene_id \"{id}\"; gene_biotype \"{biotype}\";"
        )
        .unwrap();
        let bases: String = (0..1_501).map(|base| ['A', 'C', 'G', 'T'][(base * (at + 3) + base / 7) % 4]).collect();
        writeln!(fasta, ">{id}\n{bases}").unwrap();
        if at % 7 == 3 || at >= 80 {
            continue;
        }
        rows += 1;
        write!(gct, "{id}\t{id}").unwrap();
        for tissue in 0..TISSUES.len() {
            let value = (1 + at % 14 + tissue * (2 + at % 4)) as f32 * 1.5;
            let blank = at % 9 == 4 && tissue == 1;
            if blank { gct.push('\t') } else { write!(gct, "\t{value}").unwrap() }
        }
        gct.push('\n');
    }
    let head = format!("#1.2\n{rows}\t{}\nName\tDescription\t{}\n", TISSUES.len(), TISSUES.join("\t"));
    fs::write(folder.join("maize.gct"), head + &gct).unwrap();
    fs::write(folder.join("maize.gtf"), gtf).unwrap();
    fs::write(folder.join("maize.fa"), fasta).unwrap();
}

fn column(profile: &Value, field: &str) -> Vec<Value> {
    profile["tissues"].as_array().unwrap().iter().map(|one| one[field].clone()).collect()
}

async fn a_maize_genome_is_ingested_trained_on_completed_and_served(database: &TestDatabase) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let run = |line: &str| {
        let mut arguments: Vec<&str> = line.split(' ').collect();
        arguments.extend(["--database-url", database.url()]);
        succeed(folder, &arguments)
    };
    let said =
        run("ingest --dataset maize --expression maize.gct --annotation maize.gtf --promoters maize.fa --assembly \
                    Zm-B73-REFERENCE-NAM-5.0 --unit tpm");
    assert!(said.contains("Zm-B73-REFERENCE-NAM-5.0") && !said.contains("GTEx"), "{said}");
    let said =
        run("train profile --dataset maize --holdout-chromosomes 5,6 --calibration-chromosomes 4 --out models/maize");
    for known in ["none", "few", "many"] {
        assert!(said.contains(&format!("{known} of the gene's own tissues known")), "{said}");
    }
    let said = run("complete --dataset maize --out maize.completed.tsv");
    let table = fs::read_to_string(folder.join("maize.completed.tsv")).unwrap();
    assert_eq!(table.lines().count(), 1 + GENES * TISSUES.len());
    let with = |source: &str| table.lines().filter(|line| line.split('\t').nth(3) == Some(source)).count();
    assert_eq!(with("unknown"), 4 * TISSUES.len(), "the scaffold and the plastid have no measured gene");
    assert!(said.contains("4 genes on chromosomes without a gene") && said.contains("Pt, scaf_21"), "{said}");
    assert!(with("imputed") > 0 && table.contains("\tanther_R1\timputed\t"), "{table}");

    let app = lab::app(database.open().await, &folder.join("models")).await;
    let tissues = app.get("/v1/tissues").await.json();
    let names: Vec<&str> =
        tissues["data"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, TISSUES);
    assert_eq!((&tissues["data"][0]["colour"], &tissues["data"][0]["system"]), (&Value::Null, &Value::Null));
    let missing = app.get("/v1/genes/zm00001EB000040/profile").await;
    assert_eq!(missing.status, StatusCode::OK, "{}", missing.text());
    assert!(!missing.header("server-timing").contains("compute"), "completed before");
    let profile = missing.json();
    assert_eq!((&profile["gene"]["chromosome"], &profile["missing"]), (&json!("chr1"), &json!("no_profile")));
    assert_eq!(column(&profile, "source"), vec!["imputed"; 5]);
    assert!(column(&profile, "lower").iter().all(Value::is_number), "{profile}");
    let tissue = "root";
    let page = app.get(&format!("/v1/tissues/{tissue}/missing?items_per_page=500")).await.json();
    let sure = |one: &Value| one["fold_range"].is_number() == (one["source"] == "imputed");
    let data = page["data"].as_array().unwrap();
    assert!(data.len() > 16 && data.iter().all(sure), "{page}");
    let plot = app.get("/v1/genes/Zm00001eb000040/profile?format=svg").await.text();
    for name in TISSUES {
        assert!(plot.contains(&format!(">{name}<")), "{name}");
    }
    let unknown = app.get("/v1/genes/Zm00001eb000041").await;
    assert!(unknown.json()["candidates"].as_array().unwrap().contains(&json!("Zm00001eb000040")), "{}", unknown.text());

    // A new gene, by any of the names that a chromosome has.
    let gene = |chromosome: &str| {
        json!({"chromosome": chromosome, "tss": 21_000, "strand": "-", "biotype": "lncRNA",
               "observed": {"leaf": 4.0, "anther_R1": 1.0}})
    };
    let body = json!({"genes": [gene("2"), gene("chr2"), gene("Chr2"), gene("scaf_99")], "explain": true});
    let answer = app.post("/v1/profiles", &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let data = answer.json()["data"].clone();
    assert_eq!(column(&data[0], "source"), ["measured", "imputed", "measured", "imputed", "imputed"]);
    assert_eq!((&data[0]["tissues"], &data[0]["tissues"]), (&data[1]["tissues"], &data[2]["tissues"]));
    for part in ["neighbours", "own_tissues"] {
        assert!(data[0]["tissues"][1]["explanation"][part]["moved"].is_number(), "{}", data[0]);
    }
    assert!(data[0]["notes"].to_string().contains("2 measured tissues"), "{}", data[0]["notes"]);
    assert_eq!(column(&data[3], "source"), ["measured", "unknown", "measured", "unknown", "unknown"]);
}
