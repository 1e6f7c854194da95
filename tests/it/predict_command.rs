//! `tissuecast predict` as people run it: files in, files out, and what is said when it does not work.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use arrow_array::cast::AsArray as _;
use arrow_array::types::Float64Type;
use arrow_array::{Array as _, RecordBatch};
use serde_json::Value;

/// A file of the generator's fixtures.
pub fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/generator/seed1").join(name).display().to_string()
}

/// A folder with the imported model `m`.
struct Lab(tempfile::TempDir);

impl Lab {
    fn new() -> Self {
        let lab = Self(tempfile::tempdir().unwrap());
        let output = lab.run(&["models", "import", "--name", "m", &fixture("model.db.gz")], Stdio::null());
        assert!(output.status.success(), "{}", said(&output));
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str], input: Stdio) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tissuecast"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TISSUECAST_")) {
            command.env_remove(name);
        }
        command.args(arguments).current_dir(self.0.path()).stdin(input).output().unwrap()
    }

    fn predict(&self, arguments: &[&str]) -> Output {
        self.run(&[&["predict"], arguments].concat(), Stdio::null())
    }

    /// Predicts from the fixture's VCF into `out`.
    fn vcf(&self, out: &str, more: &[&str]) -> PathBuf {
        let vcf = fixture("geno.vcf.gz");
        let output = self.predict(&[&["--model", "m", "--vcf", &vcf, "--out", out], more].concat());
        assert!(output.status.success(), "{out}: {}", said(&output));
        self.path(out)
    }

    /// Predicts, which has to fail with this message, without a panic, and leave no file of the answer.
    fn fails(&self, arguments: &[&str], says: &str) {
        let before = self.names();
        let output = self.predict(arguments);
        let said = said(&output);
        assert!(!output.status.success() && said.contains(says), "{arguments:?}: {said}\nwanted {says}");
        assert!(!said.contains("panicked"), "{said}");
        assert_eq!(self.names(), before, "{arguments:?} leaves files behind");
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The inflated bytes of a file.
pub fn inflated(path: &Path) -> String {
    let mut text = String::new();
    let file = flate2::read::MultiGzDecoder::new(File::open(path).unwrap());
    std::io::Read::read_to_string(&mut { file }, &mut text).unwrap();
    text
}

/// Genes by rows and people by columns; what is not known is NaN.
type Matrix = Vec<Vec<f64>>;

fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

fn of_tsv(text: &str) -> Matrix {
    let rows: Vec<Vec<f64>> = text.lines().skip(1).map(|line| line.split('\t').skip(2).map(number).collect()).collect();
    (0..rows[0].len()).map(|gene| rows.iter().map(|row| row[gene]).collect()).collect()
}

fn of_bed(text: &str) -> Matrix {
    text.lines().skip(1).map(|line| line.split('\t').skip(4).map(number).collect()).collect()
}

fn of_json(text: &str) -> Matrix {
    let answer: Value = serde_json::from_str(text).unwrap();
    let values = |gene: &Value| {
        gene["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
    };
    answer["genes"].as_array().unwrap().iter().map(values).collect()
}

/// The columns that are named by people.
fn of_batches(batches: &[RecordBatch]) -> Matrix {
    let mut rows = Matrix::new();
    for batch in batches {
        let schema = batch.schema();
        let people: Vec<usize> =
            (0..schema.fields().len()).filter(|at| schema.field(*at).name().starts_with("S0")).collect();
        let cell = |row: usize, column: usize| {
            let column = batch.column(column);
            let values = column.as_primitive_opt::<Float64Type>().unwrap();
            if values.is_null(row) { f64::NAN } else { values.value(row) }
        };
        rows.extend((0..batch.num_rows()).map(|row| people.iter().map(|column| cell(row, *column)).collect()));
    }
    rows
}

/// The same numbers, row by row in any order: the forms sort their genes in different ways.
fn assert_same(mut found: Matrix, mut expected: Matrix, what: &str) {
    assert_eq!((found.len(), expected.len()), (12, 12), "{what}");
    let by_value = |one: &Vec<f64>, two: &Vec<f64>| one[0].total_cmp(&two[0]);
    found.sort_by(by_value);
    expected.sort_by(by_value);
    for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!((found - expected).abs() <= 1e-6 || found.is_nan() && expected.is_nan(), "{what}: {found} {expected}");
    }
}

#[test]
fn every_form_by_its_ending_has_the_same_numbers() {
    let lab = Lab::new();
    let expected = of_json(&fs::read_to_string(lab.vcf("out.json", &[])).unwrap());
    assert!(expected.iter().flatten().any(|value| value.is_finite()));
    assert_same(of_json(&inflated(&lab.vcf("out.json.gz", &[]))), expected.clone(), "json.gz");
    assert_same(of_tsv(&fs::read_to_string(lab.vcf("out.tsv", &[])).unwrap()), expected.clone(), "tsv");
    assert_same(of_tsv(&inflated(&lab.vcf("out.tsv.gz", &[]))), expected.clone(), "tsv.gz");
    assert_same(of_bed(&fs::read_to_string(lab.vcf("out.bed", &[])).unwrap()), expected.clone(), "bed");
    let packed = lab.vcf("out.bed.gz", &[]);
    assert_same(of_bed(&inflated(&packed)), expected.clone(), "bed.gz");
    // Blocks of bgzip and its end mark, for tabix.
    let bytes = fs::read(&packed).unwrap();
    assert_eq!((&bytes[..4], &bytes[12..14]), (&[0x1f, 0x8b, 8, 4][..], &b"BC"[..]));
    assert_eq!(bytes[bytes.len() - 28..][..4], [0x1f, 0x8b, 8, 4]);
    let arrow = File::open(lab.vcf("out.arrow", &[])).unwrap();
    let batches: Vec<RecordBatch> =
        arrow_ipc::reader::StreamReader::try_new(arrow, None).unwrap().map(Result::unwrap).collect();
    assert_same(of_batches(&batches), expected.clone(), "arrow");
    let parquet = File::open(lab.vcf("out.parquet", &[])).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(parquet).unwrap();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    assert_same(of_batches(&batches), expected, "parquet");
    assert!(lab.names().iter().all(|name| !name.contains("partial")), "{:?}", lab.names());
}

#[test]
fn genes_people_report_and_variants() {
    let lab = Lab::new();
    let more = ["--gene", "GENE1,ENSG00000000001", "--gene", "nobody", "--sample", "S00003,S00001"];
    let logs = ["--report", "report.json", "--variants", "variants.tsv"];
    let out = lab.vcf("out.json", &[&more[..], &logs[..]].concat());
    let answer: Value = serde_json::from_str(&fs::read_to_string(out).unwrap()).unwrap();
    assert_eq!(answer["samples"], serde_json::json!(["S00001", "S00003"]));
    assert_eq!(answer["genes_not_found"], serde_json::json!(["nobody"]));
    let mut genes: Vec<&str> =
        answer["genes"].as_array().unwrap().iter().map(|gene| gene["symbol"].as_str().unwrap()).collect();
    genes.sort_unstable();
    assert_eq!(genes, ["GENE0", "GENE1"]);
    let report: Value = serde_json::from_str(&fs::read_to_string(lab.path("report.json")).unwrap()).unwrap();
    assert_eq!(report, answer["report"]);
    let kinds = report["by_kind"].as_object().unwrap().values().map(|count| count.as_u64().unwrap());
    assert_eq!(kinds.sum::<u64>(), 40, "20 variants of each gene: {report}");
    let variants = fs::read_to_string(lab.path("variants.tsv")).unwrap();
    assert_eq!(variants.lines().count(), 41, "{variants}");
    // The answer is the same as that of everybody and everything.
    let all: Value = serde_json::from_str(&fs::read_to_string(lab.vcf("all.json", &[])).unwrap()).unwrap();
    for gene in answer["genes"].as_array().unwrap() {
        let other = all["genes"].as_array().unwrap().iter().find(|other| other["gene"] == gene["gene"]).unwrap();
        assert_eq!((&gene["values"][0], &gene["values"][1]), (&other["values"][1], &other["values"][3]));
    }
}

#[test]
fn a_genes_lines_for_a_person_add_up_to_the_prediction() {
    let lab = Lab::new();
    let table = fs::read_to_string(lab.vcf("o.tsv", &["--explain", "e.tsv", "--variants", "v.tsv"])).unwrap();
    assert_eq!(table, fs::read_to_string(lab.vcf("plain.tsv", &[])).unwrap());
    let genes: Vec<&str> = table.lines().next().unwrap().split('\t').skip(2).collect();
    let mut sums = std::collections::BTreeMap::<(String, String), f64>::new();
    let log = fs::read_to_string(lab.path("e.tsv")).unwrap();
    let mut lines = log.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    assert_eq!(lines.next().unwrap(), ["model", "gene_id", "symbol", "sample", "variant", "contribution"]);
    for cells in lines {
        assert_eq!((cells.len(), cells[0]), (6, "m"));
        *sums.entry((cells[1].to_owned(), cells[3].to_owned())).or_default() += number(cells[5]);
    }
    assert_eq!(log.matches("\t(base)\t").count(), sums.len());
    for line in table.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        for (gene, value) in genes.iter().zip(&cells[2..]) {
            let id = gene.split('.').next().unwrap();
            let sum = sums.remove(&(id.to_owned(), cells[1].to_owned()));
            let value = number(value);
            assert!(sum.is_none() && value.is_nan() || (sum.unwrap() - value).abs() < 1e-8, "{gene} {sum:?} {value}");
        }
    }
    assert!(sums.is_empty(), "{sums:?}");
}

#[test]
fn the_standard_input_is_a_file_like_any_other() {
    let lab = Lab::new();
    let expected = fs::read_to_string(lab.vcf("file.tsv", &[])).unwrap();
    let plain = lab.path("plain.vcf");
    fs::write(&plain, inflated(Path::new(&fixture("geno.vcf.gz")))).unwrap();
    for (name, file) in [("packed", PathBuf::from(fixture("geno.vcf.gz"))), ("plain", plain)] {
        let input = Stdio::from(File::open(file).unwrap());
        let output = lab.run(&["predict", "--model", "m", "--vcf", "-", "--out", "piped.tsv"], input);
        assert!(output.status.success(), "{name}: {}", said(&output));
        assert_eq!(fs::read_to_string(lab.path("piped.tsv")).unwrap(), expected, "{name}");
    }
    let output = lab.run(&["predict", "--model", "m", "--vcf", "-", "--out", "none.tsv"], Stdio::null());
    assert!(!output.status.success() && said(&output).contains("empty"), "{}", said(&output));
    assert!(!lab.path("none.tsv").exists());
}

#[test]
fn what_is_wrong_is_said_and_leaves_nothing() {
    let lab = Lab::new();
    let (vcf, stem) = (fixture("geno.vcf.gz"), fixture("geno"));
    fs::write(lab.path("cut.vcf.gz"), &fs::read(&vcf).unwrap()[..3_000]).unwrap();
    let cases: [(&[&str], &str); 13] = [
        (&["--model", "x", "--vcf", &vcf, "--out", "o.tsv"], "there is no model 'x'"),
        (&["--model", "m@9", "--vcf", &vcf, "--out", "o.tsv"], "there is no model 'm@9'"),
        (&["--vcf", &vcf, "--out", "o.tsv"], "--model"),
        (&["--model", "m", "--out", "o.tsv"], "--vcf <FILE>"),
        (&["--model", "m", "--vcf", &vcf, "--bfile", &stem, "--out", "o.tsv"], "cannot be used with"),
        (&["--model", "m", "--vcf", &vcf, "--out", "no/folder/o.tsv"], "no/folder"),
        (&["--model", "m", "--vcf", &vcf, "--out", "o.xlsx"], ".parquet"),
        (&["--model", "m", "--vcf", "none.vcf", "--out", "o.tsv"], "none.vcf"),
        (&["--model", "m", "--vcf", "cut.vcf.gz", "--out", "o.tsv"], "cut off"),
        (&["--model", "m", "--bfile", "none", "--out", "o.tsv"], "none.bed"),
        (&["--model", "m", "--vcf", &vcf, "--sample", "S9", "--out", "o.tsv"], "'S9'"),
        (&["--model", "m", "--vcf", &vcf, "--gene", "nobody", "--out", "o.tsv"], "nobody"),
        (&["--model", "m", "--vcf", &vcf, "--missing", "zero", "--out", "o.tsv"], "cohort"),
    ];
    for (arguments, says) in cases {
        lab.fails(arguments, says);
    }
}

/// The VCF's records one base before those of the model, without identifiers.
pub fn shifted(text: &str) -> String {
    let line = |line: &str| {
        if line.starts_with('#') {
            return format!("{line}\n");
        }
        let mut cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
        cells[1] = (cells[1].parse::<u32>().unwrap() - 1).to_string();
        ".".clone_into(&mut cells[2]);
        cells.join("\t") + "\n"
    };
    text.lines().map(line).collect()
}

fn write_shifted(lab: &Lab) -> String {
    let path = lab.path("shifted.vcf");
    fs::write(&path, shifted(&inflated(Path::new(&fixture("geno.vcf.gz"))))).unwrap();
    path.display().to_string()
}

#[test]
fn low_overlap_fails_with_its_diagnosis_and_its_report() {
    let lab = Lab::new();
    let vcf = write_shifted(&lab);
    for out in ["o.tsv", "o.json.gz", "o.arrow", "o.parquet", "o.bed.gz"] {
        lab.fails(&["--model", "m", "--vcf", &vcf, "--out", out], "count from 0");
    }
    let arguments = ["--model", "m", "--vcf", &vcf, "--out", "o.tsv", "--report", "report.json"];
    assert!(!lab.predict(&arguments).status.success() && !lab.path("o.tsv").exists());
    let report: Value = serde_json::from_str(&fs::read_to_string(lab.path("report.json")).unwrap()).unwrap();
    assert!(report["diagnosis"]["summary"].as_str().unwrap().contains("count from 0"), "{report}");
}

#[test]
fn a_file_that_is_there_is_replaced_by_a_whole_one_only() {
    let lab = Lab::new();
    let out = lab.path("o.tsv");
    fs::write(&out, "precious\n").unwrap();
    lab.fails(&["--model", "m", "--vcf", &write_shifted(&lab), "--out", "o.tsv"], "count from 0");
    let text = inflated(Path::new(&fixture("geno.vcf.gz")));
    fs::write(lab.path("cut.vcf"), &text[..text.len() - 10]).unwrap();
    lab.fails(&["--model", "m", "--vcf", "cut.vcf", "--out", "o.tsv"], "cut.vcf");
    fs::write(lab.path("v.tsv"), "precious, too\n").unwrap();
    lab.fails(&["--model", "m", "--vcf", "cut.vcf", "--out", "o.tsv", "--variants", "v.tsv"], "cut.vcf");
    lab.fails(&["--model", "m", "--vcf", "cut.vcf", "--out", "new.tsv", "--variants", "new.log"], "cut.vcf");
    lab.fails(&["--model", "m", "--vcf", "cut.vcf", "--out", "new.tsv", "--explain", "new.log"], "cut.vcf");
    assert_eq!(fs::read_to_string(lab.path("v.tsv")).unwrap(), "precious, too\n");
    assert_eq!(fs::read_to_string(&out).unwrap(), "precious\n");
    lab.vcf("o.tsv", &[]);
    assert!(fs::read_to_string(&out).unwrap().starts_with("FID\tIID\t"));
}
