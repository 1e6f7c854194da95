//! The reference tool's numbers on clean input: the generator's models, genotypes and expected values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The expected values by gene, with the number of variants used.
fn truth(folder: &Path) -> BTreeMap<String, (u64, Vec<f64>)> {
    let text = std::fs::read_to_string(folder.join("truth.tsv")).unwrap();
    let row = |line: &str| {
        let mut cells = line.split('\t');
        let gene = cells.next().unwrap().to_owned();
        let used = cells.next().unwrap().parse().unwrap();
        (gene, (used, cells.map(|cell| cell.parse().unwrap()).collect()))
    };
    text.lines().skip(1).map(row).collect()
}

fn tissuecast(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_tissuecast")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_predixcan_preset_gives_the_expected_numbers() {
    for seed in 1..=3 {
        let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/generator/seed{seed}"));
        let expected = truth(&data);
        let scratch = tempfile::tempdir().unwrap();
        let models = scratch.path().join("models").display().to_string();
        let file = |name: &str| data.join(name).display().to_string();
        tissuecast(&["models", "import", "--models-dir", &models, "--name", "m", &file("model.db.gz")]);
        let (vcf, dosages, samples) = (file("geno.vcf.gz"), file("geno.dosage.txt.gz"), file("samples.txt"));
        let inputs: [&[&str]; 2] = [&["--vcf", &vcf], &["--dosages", &dosages, "--dosage-samples", &samples]];
        for input in inputs {
            let out = scratch.path().join("out.json").display().to_string();
            let fixed = ["predict", "--models-dir", &models, "--model", "m", "--preset", "predixcan", "--out", &out];
            tissuecast(&[&fixed[..], input].concat());
            let answer: serde_json::Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
            let genes = answer["genes"].as_array().unwrap();
            assert_eq!(genes.len(), expected.len());
            for gene in genes {
                let (used, values) = &expected[gene["gene"].as_str().unwrap()];
                assert_eq!(gene["n_snps_used"].as_u64().unwrap(), *used, "seed {seed} {}", gene["gene"]);
                for (found, expected) in gene["values"].as_array().unwrap().iter().zip(values) {
                    let found = found.as_f64().unwrap();
                    assert!((found - expected).abs() <= 1e-6, "seed {seed} {}: {found} {expected}", gene["gene"]);
                }
            }
        }
    }
}

#[test]
fn plink_and_vcf_calls_of_the_same_people_give_the_same_numbers() {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/generator/seed1");
    let scratch = tempfile::tempdir().unwrap();
    let models = scratch.path().join("models").display().to_string();
    let file = |name: &str| data.join(name).display().to_string();
    tissuecast(&["models", "import", "--models-dir", &models, "--name", "m", &file("model.db.gz")]);
    // The VCF without its dosages: what is left are the hard calls that the bed file has.
    let mut text = String::new();
    let packed = std::fs::File::open(data.join("geno.vcf.gz")).unwrap();
    std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(packed), &mut text).unwrap();
    let calls = scratch.path().join("calls.vcf");
    std::fs::write(&calls, text.replace("GT:DS", "GT:XX")).unwrap();
    let predict = |name: &str, input: [&str; 2]| {
        let out = scratch.path().join(name);
        let fixed = ["predict", "--models-dir", &models, "--model", "m", "--preset", "predixcan"];
        let shown = out.display().to_string();
        tissuecast(&[&fixed[..], &["--out", &shown], &input[..]].concat());
        std::fs::read_to_string(out).unwrap()
    };
    let bed = predict("bed.tsv", ["--bfile", &file("geno")]);
    let vcf = predict("vcf.tsv", ["--vcf", &calls.display().to_string()]);
    assert_eq!(bed, vcf);
    assert_eq!(bed.lines().count(), 10);
}
