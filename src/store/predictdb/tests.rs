use sqlx::sqlite::SqliteConnectOptions;

use super::*;
use crate::model::expression::GenotypeModel;

/// Runs a test's work; the store's tests need no more of a runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Makes a database of statements and reads it.
fn read_of(sql: &str) -> Result<Draft, PredictDbError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.db");
    block_on(async {
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        read(&path).await
    })
}

const OLD_WEIGHTS: &str = "CREATE TABLE weights (rsid TEXT, gene TEXT, weight REAL, ref_allele TEXT, eff_allele TEXT);
    INSERT INTO weights VALUES ('rs1', 'ENSG1.2', 0.5, 'A', 'C'), ('rs2', 'ENSG1.2', 0.0, 'A', 'C');";
const NEW_WEIGHTS: &str =
    "CREATE TABLE weights (gene TEXT, rsid TEXT, varID TEXT, ref_allele TEXT, eff_allele TEXT, weight REAL);
    INSERT INTO weights VALUES ('ENSG1.2', 'rs1', '1_94140_A_C_b37', 'A', 'C', 0.5),
        ('ENSG1.2', 'NA', '1_94141_A_C_b37', 'A', 'C', 'NA');";
const NEW_EXTRA: &str = "gene TEXT, genename TEXT, gene_type TEXT, alpha REAL, n_snps_in_window INTEGER,
    'n.snps.in.model' INTEGER, test_R2_avg REAL, cv_R2_avg REAL, rho_avg REAL, 'pred.perf.R2' REAL, 'pred.perf.pval' REAL";
const NEW_VALUES: &str = "'ENSG1.2', 'SYM', 'lincRNA', 0.5, 9, 1, 0.1, 0.2, 0.3, 0.25, 0.01";
const SAMPLES: &str = "CREATE TABLE sample_info (n_samples INTEGER, population TEXT, tissue TEXT);
    INSERT INTO sample_info VALUES (153, 'EUR', 'Liver');";

/// A release's name, its statements, and R², p and kind of accuracy that its gene should have.
type Release = (&'static str, String, Option<f64>, Option<f64>, &'static str);

/// A: the 2016 pipeline; B: V6p; C and D: v7 and nextflow, filtered and not; E: MASHR; F: with phi.
fn releases() -> [Release; 7] {
    [
        (
            "A",
            "CREATE TABLE weights (rsid, gene, weight, ref_allele, eff_allele, pval, N, cis);
            INSERT INTO weights VALUES ('rs1', 'ENSG1.2', '0.5', 'A', 'C', 0.1, 9, 1);
            CREATE TABLE extra (gene, genename, R2, 'n.snps', pval);
            INSERT INTO extra VALUES ('ENSG1.2', 'SYM', 0.25, 1, 0.01);
            CREATE TABLE sample_info ('n.samples'); INSERT INTO sample_info VALUES (153);"
                .to_owned(),
            Some(0.25),
            Some(0.01),
            "cross-validation (R2)",
        ),
        (
            "B",
            format!(
                "{OLD_WEIGHTS} CREATE TABLE extra (gene TEXT, genename TEXT, 'pred.perf.R2' REAL,
                'n.snps.in.model' INTEGER, 'pred.perf.pval' REAL, 'pred.perf.qval' REAL);
                INSERT INTO extra VALUES ('ENSG1.2', 'SYM', 0.25, 1, 'NA', 'NA'), ('ENSG9', 'X', 0.1, 1, 0.1, 0.1);"
            ),
            Some(0.25),
            None,
            "cross-validation (pred.perf.R2)",
        ),
        (
            "C",
            format!(
                "{NEW_WEIGHTS} CREATE TABLE extra ({NEW_EXTRA}, 'pred.perf.qval' REAL);
                INSERT INTO extra VALUES ({NEW_VALUES}, NULL); {SAMPLES}"
            ),
            Some(0.25),
            Some(0.01),
            "cross-validation (pred.perf.R2)",
        ),
        (
            "D",
            format!(
                "{NEW_WEIGHTS} CREATE TABLE extra ({NEW_EXTRA}); INSERT INTO extra VALUES ({NEW_VALUES}); {SAMPLES}"
            ),
            Some(0.25),
            Some(0.01),
            "cross-validation (pred.perf.R2)",
        ),
        (
            "E",
            "CREATE TABLE weights (gene, rsid, varID, ref_allele, eff_allele, weight);
            INSERT INTO weights VALUES ('ENSG1.2', 'chr1_5_A_C_b38', 'chr1_5_A_C_b38', 'A', 'C', 0.5);
            CREATE TABLE extra (gene, genename, 'pred.perf.R2', 'n.snps.in.model', 'pred.perf.pval', 'pred.perf.qval');
            INSERT INTO extra VALUES ('ENSG1.2', 'SYM', NULL, 1, NULL, NULL);"
                .to_owned(),
            None,
            None,
            "",
        ),
        (
            "F",
            format!(
                "{NEW_WEIGHTS} CREATE TABLE extra ({NEW_EXTRA}, 'pred.perf.qval' REAL, phi REAL);
                INSERT INTO extra VALUES ({NEW_VALUES}, NULL, 1e-5);"
            ),
            Some(0.25),
            Some(0.01),
            "cross-validation (pred.perf.R2)",
        ),
        (
            "training intermediates",
            "CREATE TABLE weights (gene_id, rsid, varID, ref, alt, beta);
            INSERT INTO weights VALUES ('ENSG1.2', 'rs1', '1_5_A_C_b37', 'A', 'C', 0.5);
            CREATE TABLE model_summaries (gene_id, gene_name, n_snps_in_model, rho_avg_squared, zscore_pval);
            INSERT INTO model_summaries VALUES ('ENSG1.2', 'SYM', 1, 0.25, 7);"
                .to_owned(),
            Some(0.25),
            None,
            "cross-validation (rho_avg_squared)",
        ),
    ]
}

#[test]
fn every_release_is_read() {
    for (variant, sql, r2, p_value, kind) in releases() {
        let built = read_of(&sql).unwrap().build(None).unwrap();
        let [gene] = built.model.genes() else { panic!("{variant}: one gene") };
        assert_eq!((gene.id.as_str(), gene.version), ("ENSG1", Some(2)), "{variant}");
        assert_eq!(gene.symbol.as_ref().map(crate::genome::GeneSymbol::as_str), Some("SYM"), "{variant}");
        let found = gene.accuracy.as_ref();
        assert_eq!(found.and_then(|found| found.r2), r2, "{variant}");
        assert_eq!(found.and_then(|found| found.p_value), p_value, "{variant}");
        assert_eq!(found.map_or("", |found| found.kind.as_str()), kind, "{variant}");
        let [row] = &built.model.variants().rows[..] else { panic!("{variant}: one row") };
        assert_eq!((row.other.to_string(), row.effect.to_string()), ("A".to_owned(), "C".to_owned()), "{variant}");
        assert_eq!(built.model.weight(0), Some(0.5), "{variant}");
        assert!(built.model.variants().other_is_reference);
        let assembly = built.model.variants().assembly.as_ref().map(crate::genome::Assembly::as_str);
        let expected = match variant {
            "A" | "B" => None,
            "E" => Some("GRCh38"),
            _ => Some("GRCh37"),
        };
        assert_eq!(assembly, expected, "{variant}");
        assert_eq!(row.id.is_none(), variant == "E", "{variant}");
        if matches!(variant, "C" | "D") {
            assert_eq!((built.about.n_samples, built.about.population.as_deref()), (Some(153), Some("EUR")));
            assert_eq!(built.about.tissue.as_deref(), Some("Liver"));
            assert_eq!(found.and_then(|found| found.n), Some(153));
            assert_eq!(built.left_out.get("the weight is not a finite number"), Some(&1));
        }
        if variant == "B" {
            assert!(built.notes.iter().any(|note| note == "1 genes of the table of genes have no weight"));
            assert_eq!(built.left_out.get("the weight is zero"), Some(&1));
        }
    }
}

#[test]
fn what_is_missing_is_named() {
    let cases = [
        ("CREATE TABLE other (x); CREATE TABLE b (y);", "the database has no table weights; it has other, b"),
        (
            "CREATE TABLE weights (rsid, gene);",
            "the table weights lacks ref_allele, eff_allele, weight; it has rsid, gene",
        ),
        ("CREATE TABLE weights (gene, ref_allele, eff_allele, weight);", "the table weights lacks rsid or varID"),
        (
            "CREATE TABLE weights (rsid, gene, ref_allele, eff_allele, weight); CREATE TABLE extra (genename);",
            "the table extra lacks gene; it has genename",
        ),
    ];
    for (sql, expected) in cases {
        let error = read_of(sql).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\nwanted {expected}");
    }
    let built = read_of(OLD_WEIGHTS).unwrap().build(None).unwrap();
    assert!(built.notes.iter().any(|note| note.contains("has no table extra")), "{:?}", built.notes);
}

#[test]
fn a_file_that_is_no_database_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let mut head = MAGIC.to_vec();
    head.resize(4096, 0);
    head[16..18].copy_from_slice(&4096u16.to_be_bytes());
    let mut cut = head.clone();
    cut[28..32].copy_from_slice(&9u32.to_be_bytes());
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let whole = gzip(&[7; 5000]);
    let cases: [(Vec<u8>, &str); 8] = [
        (Vec::new(), "the file is empty"),
        (gzip(b""), "the file is empty"),
        (b"hello".to_vec(), "not a SQLite database"),
        (gzip(b"rsid\tgene\n"), "not a SQLite database"),
        (MAGIC.to_vec(), "cut short: it should have 100 bytes and has 16"),
        (cut, "cut short: it should have 36864 bytes and has 4096"),
        (whole[..whole.len() - 9].to_vec(), "cannot read or inflate the file"),
        (head, "cannot "),
    ];
    for (bytes, expected) in cases {
        std::fs::write(&path, bytes).unwrap();
        let error = block_on(read(&path)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\nwanted {expected}");
    }
    assert!(block_on(read(&folder.path().join("absent"))).is_err());
}

#[test]
fn pages_give_every_row() {
    let sql = "CREATE TABLE weights (rsid, gene, ref_allele, eff_allele, weight);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 45000)
        INSERT INTO weights SELECT 'rs' || i, 'G' || (i % 7), 'A', 'C', i FROM n;";
    let built = read_of(sql).unwrap().build(None).unwrap();
    assert_eq!((built.model.genes().len(), built.model.variants().rows.len()), (7, 45_000));
}
