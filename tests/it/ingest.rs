//! Ingest of the real table, annotation and promoters into both databases.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use tissuecast::genome::{Assembly, GeneId};
use tissuecast::reference::assemble::{IngestCounts, ReferenceTable};
use tissuecast::reference::gct::ExpressionTable;
use tissuecast::reference::source::Source;
use tissuecast::reference::{Missing, Unit, annotation, gct, promoter};

use crate::support::{Database, TestDatabase, on_both_databases, real_data, run_contract};

on_both_databases!(the_commands_ingest_all_or_nothing);

const GCT: &str = "#1.2\n2\t2\nName\tDescription\tLiver\tleaf\nENSG01.1\tA\t1.5\tNA\nENSG02\tB\t0\t0\n";
const TABLE: &str = "gene_id\tchrom\tstart\tend\tstrand\nENSG01\t1\t5\t9\t+\nENSG03\t1\t5\t9\t-\n";

/// Runs the program in a folder with the files, and returns its success, output and messages.
fn run(folder: &Path, url: &str, arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tissuecast"))
        .args(arguments)
        .current_dir(folder)
        .env("TISSUECAST_DATABASE_URL", url)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

async fn the_commands_ingest_all_or_nothing(database: &TestDatabase) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| fs::write(folder.path().join(name), content).unwrap();
    write("e.gct", GCT);
    write("a.tsv", TABLE);
    write("g.fa", ">chr1\nACGTACGTAC\n");
    write("g.fa.fai", "chr1\t10\t6\t10\t11\n");
    let ingest = "ingest --dataset d --expression e.gct --annotation a.tsv --assembly X1 --unit rpkm --format json \
                  --genome g.fa --window -1..+2";
    let arguments: Vec<&str> = ingest.split_whitespace().collect();
    let ingest = || run(folder.path(), database.url(), &arguments);

    let (success, output, messages) = ingest();
    assert!(success, "{messages}");
    let report: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(
        (&report["changed"], &report["unit"], &report["counts"]["matched"]),
        (&true.into(), &"rpkm".into(), &1.into())
    );
    assert_eq!(report["counts"]["unknown_tissues"], serde_json::json!(["leaf"]));
    let store = database.open().await;
    store.require_current_schema().await.unwrap();
    let reference = store.load_reference("d").await.unwrap().unwrap();
    let promoter = |id: &str| {
        let gene = reference.find(&GeneId::parse(id).unwrap().0).unwrap();
        reference.promoter(gene).map(|promoter| String::from_utf8(promoter.bases().to_vec()).unwrap())
    };
    assert_eq!(
        [promoter("ENSG01"), promoter("ENSG02"), promoter("ENSG03")],
        [Some("TACG".into()), None, Some("GTAC".into())]
    );

    let (success, output, messages) = ingest();
    let again: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert!(success, "{messages}");
    assert_eq!((&again["changed"], &again["version"]), (&false.into(), &report["version"]));

    write("e.gct", &GCT.replace("1.5", "1,5"));
    let (success, _, messages) = ingest();
    assert!(!success && messages.contains("e.gct, line 4, column 3 (Liver): \"1,5\" is not a number"), "{messages}");
    assert_eq!(store.versions().await.unwrap()["d"], report["version"].as_str().unwrap());

    let (success, output, _) = run(folder.path(), database.url(), &["migrate"]);
    assert!(success && output.contains("current"), "{output}");
}

#[test]
fn the_help_shows_no_password() {
    let folder = tempfile::tempdir().unwrap();
    let (success, help, _) = run(folder.path(), "postgres://u:s3cret@h/d", &["ingest", "--help"]);
    assert!(success && help.contains("TISSUECAST_DATABASE_URL") && !help.contains("s3cret"), "{help}");
}

/// Joins the real table, which takes seconds to parse, with an annotation.
fn join(expression: &ExpressionTable, data: &Path, annotation_file: &str) -> ReferenceTable {
    let open = |file: &str| Source::open(&data.join(file)).unwrap();
    let annotation = annotation::read(open(annotation_file)).unwrap();
    let assembly = Assembly::parse("GRCh38").unwrap();
    let mut table = ReferenceTable::join(assembly, Unit::Rpkm, expression.clone(), annotation).unwrap();
    table.attach_promoters(promoter::read(open("promoters/promoters_hg38_m1000_p500.fa.gz")).unwrap()).unwrap();
    table
}

#[test]
fn the_real_files_join_and_come_back_exactly_from_both_databases() {
    let Some(data) = real_data() else { return };
    let expression = gct::read(Source::open(&data.join("gtex/gtex_v4_mean_rpkm.gct.gz")).unwrap()).unwrap();
    let table = join(&expression, &data, "annotation/gencode_v26.genes.gtf.gz");
    let expected_counts = IngestCounts {
        genes: 34_608,
        tissues: 53,
        expression_genes: 20_698,
        annotated_genes: 32_178,
        matched: 18_268,
        without_annotation: 2_430,
        without_profile: 13_910,
        all_zero: 253,
        with_holes: 600,
        without_promoter: 20_198,
        promoters_without_gene: 75,
        ..IngestCounts::default()
    };
    assert_eq!(table.counts(), &expected_counts);
    let as_table = join(&expression, &data, "annotation/gencode_v26_genes_grch38.tsv.gz");
    assert_eq!(table.version(), as_table.version(), "GTF and table are the same annotation");
    let bed = join(&expression, &data, "annotation/gencode.v26.FromGTEx.genes.bed12.gz");
    assert_eq!((bed.counts().matched, bed.counts().matched_by_symbol), (18_246, 18_246), "BED12 joins by symbol");
    for database in [Database::Sqlite, Database::Postgres] {
        run_contract(database, async |database| the_table_comes_back_exactly(database, &table).await);
    }
}

async fn the_table_comes_back_exactly(database: &TestDatabase, table: &ReferenceTable) {
    let store = database.migrated().await;
    let started = Instant::now();
    store.ingest("gtex_v4", table, 1).await.unwrap();
    let written = started.elapsed();
    let started = Instant::now();
    let loaded = store.load_reference("gtex_v4").await.unwrap().unwrap();
    eprintln!("{}: written in {written:.1?}, loaded in {:.1?}", store.database_kind(), started.elapsed());

    let expected = table.clone().into_reference("gtex_v4");
    assert_eq!(loaded.dataset(), expected.dataset());
    assert!(loaded.genes() == expected.genes(), "the genes differ");
    let bits = |value: &f32| value.to_bits();
    for gene in 0..expected.genes().len() {
        assert!(loaded.expression(gene).iter().map(bits).eq(expected.expression(gene).iter().map(bits)), "gene {gene}");
        assert!(loaded.promoter(gene) == expected.promoter(gene), "promoter of gene {gene}");
    }
    let first = loaded.find(&GeneId::parse("ENSG00000000003").unwrap().0).unwrap();
    assert_eq!(loaded.expression(first)[..3], [16.67, 15.187, 11.519]);
    let missing = |why| (0..loaded.genes().len()).filter(|gene| loaded.missing(*gene) == Some(why)).count();
    assert_eq!([missing(Missing::NoProfile), missing(Missing::SomeTissues)], [13_910, 600]);
}
