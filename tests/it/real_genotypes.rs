//! Real people and real models: the GEUVADIS cohort with the imported FUSION blood and `PredictDB` liver models, from
//! PLINK and from a VCF made of it, from the command line and over HTTP, with identical numbers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::Value;
use tissuecast::genotype::input::Input;
use tissuecast::genotype::plink::PlinkSource;
use tissuecast::genotype::{DosageRow, GenotypeSource as _, ReadLimits};
use tissuecast::model::registry::{self, Loaded};

use crate::http_support::Setup;
use crate::support::real_data;

fn tissuecast(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_tissuecast")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The records of chromosome 22 as VCF text.
fn chromosome_22(stem: &str) -> String {
    let limits = ReadLimits::default();
    let open = |ending: &str| {
        let path = format!("{stem}.{ending}");
        Input::new(ending, File::open(path).unwrap(), &limits).unwrap()
    };
    let mut source = PlinkSource::open(open("bed.gz"), open("bim.gz"), open("fam"), &limits).unwrap();
    let people: Vec<&str> = source.samples().iter().map(|sample| &*sample.id).collect();
    let columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT";
    let mut text = format!("##fileformat=VCFv4.2\n{columns}\t{}\n", people.join("\t"));
    let mut row = DosageRow::default();
    while let Some(site) = source.next_site().unwrap() {
        if site.chromosome.is_none_or(|chromosome| chromosome.as_str() != "chr22") {
            continue;
        }
        let position = site.position.unwrap();
        let _ = write!(text, "22\t{position}\t{}\t{}\t{}", site.ids, site.reference, site.alternatives);
        text.push_str("\t.\t.\t.\tGT");
        source.dosages(1, &mut row).unwrap();
        for copies in &row.values {
            text.push_str(match copies {
                copies if copies.is_nan() => "\t./.",
                copies if *copies < 0.5 => "\t0/0",
                copies if *copies < 1.5 => "\t0/1",
                _ => "\t1/1",
            });
        }
        text.push('\n');
    }
    text
}

/// The values of every gene with one, by model and gene.
fn values(answer: &Value) -> BTreeMap<String, Vec<Option<f64>>> {
    let gene = |gene: &Value| {
        let values: Vec<Option<f64>> = gene["values"].as_array().unwrap().iter().map(Value::as_f64).collect();
        let name = format!("{}/{}", gene["model"].as_str().unwrap(), gene["gene"].as_str().unwrap());
        values.iter().any(Option::is_some).then_some((name, values))
    };
    answer["genes"].as_array().unwrap().iter().filter_map(gene).collect()
}

fn same(a: &BTreeMap<String, Vec<Option<f64>>>, b: &BTreeMap<String, Vec<Option<f64>>>, what: &str) {
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>(), "{what}");
    for (gene, values) in a {
        for (x, y) in values.iter().zip(&b[gene]) {
            assert!((x.unwrap() - y.unwrap()).abs() <= 1e-6, "{what}: {gene}");
        }
    }
}

#[tokio::test]
async fn a_real_cohort_gives_identical_numbers_from_every_way_in() {
    let Some(data) = real_data() else { return };
    let file = |name: &str| data.join(name).display().to_string();
    let scratch = tempfile::tempdir().unwrap();
    let place = |name: &str| scratch.path().join(name).display().to_string();
    let models = place("models");
    let (liver, chain) =
        (file("weights/predictdb/expression_Liver.db.gz"), file("annotation/hg38ToHg19.over.chain.gz"));
    let weights = file("weights/fusion/YFS.BLOOD.RNAARR.lasso_enet.weights.tsv.gz");
    let accuracy = file("weights/fusion/YFS.BLOOD.RNAARR.models.tsv.gz");
    let import = ["models", "import", "--models-dir", &models, "--name"];
    tissuecast(&[&import[..], &["liver", "--chain", &chain, &liver]].concat());
    tissuecast(&[&import[..], &["yfs_blood", &weights, &accuracy]].concat());

    let stem = file("geuvadis/geuvadis280.chr13-22");
    let vcf = chromosome_22(&stem);
    std::fs::write(place("22.vcf"), &vcf).unwrap();
    let predict = |input: [&str; 2], out: &str| -> Value {
        let fixed = ["predict", "--models-dir", &models, "--model", "liver,yfs_blood", "--assembly", "GRCh37"];
        tissuecast(&[&fixed[..], &input[..], &["--out", out]].concat());
        serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap()
    };
    let from_vcf = predict(["--vcf", &place("22.vcf")], &place("vcf.json"));
    let from_bed = predict(["--bfile", &stem], &place("bed.json"));
    let expected = values(&from_vcf);
    let all = values(&from_bed);
    assert!(all.len() > 2_500 && expected.len() > 200, "{} {}", all.len(), expected.len());
    let on_22: BTreeMap<_, _> = all.into_iter().filter(|(gene, _)| expected.contains_key(gene)).collect();
    same(&expected, &on_22, "PLINK and VCF");
    // Every variant of the blood model on these chromosomes is in the cohort, but for two with other alleles.
    let blood = &from_bed["report"]["models"][1]["by_kind"];
    assert_eq!((&blood["mismatch"], &blood["strand_flipped"]), (&2.into(), &0.into()), "{blood}");

    let load = |name: &str| match registry::load(&Path::new(&models).join(name).join("1")).unwrap() {
        Loaded::Genotype(model) => Arc::new(model),
        Loaded::Profile(_) => panic!("{name} is no genotype model"),
    };
    let app = Setup { expression_models: vec![load("liver"), load("yfs_blood")], ..Setup::default() }.build();
    let request = Request::post("/v1/predictions?model=all&assembly=GRCh37").header("content-type", "text/vcf");
    let answer = app.send(request.body(Body::from(vcf)).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    same(&expected, &values(&answer.json()), "command line and HTTP");
}
