//! Genotypes to expression through the router: every way in, every form out, every policy, and what goes wrong.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tissuecast::genotype::ReadLimits;
use tissuecast::http::state::HttpLimits;

use crate::http_support::{Answer, App, BLOOD, Setup, expression_model};

const VCF: &str = "##fileformat=VCFv4.2\n##contig=<ID=chr12>\n\
    #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1\tS2\tS3\n\
    chr12\t100\trs1\tA\tG\t.\tPASS\t.\tGT\t0|0\t0/1\t1|1\n\
    chr12\t200\trs2\tT\tC\t.\tPASS\t.\tGT\t0/0\t0/1\t1/1\n\
    chr12\t300\trs3\tA\tT\t.\tPASS\t.\tGT\t0/0\t0/1\t1/1\n\
    chr12\t400\trs4\tT\tC\t.\tPASS\t.\tGT\t0/0\t0/1\t1/1\n\
    chr12\t900\trs9\tT\tC\t.\tPASS\t.\tGT\t0/0\t0/1\t1/1\n";

fn submission() -> Value {
    let variant = |id: &str, position: u32, reference: &str, alt: &str| json!({"id": id, "chromosome": "12", "position": position, "ref": reference, "alt": alt, "dosages": [0, 1, 2]});
    json!({"assembly": "GRCh38", "samples": ["S1", "S2", "S3"], "variants": [
        variant("rs1", 100, "A", "G"), variant("rs2", 200, "T", "C"), variant("rs3", 300, "A", "T"),
        variant("rs4", 400, "T", "C"), variant("rs9", 900, "T", "C"),
    ]})
}

async fn post(app: &App, query: &str, media_type: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post(format!("/v1/predictions{query}")).header("content-type", media_type);
    app.send(request.body(body.into()).unwrap()).await
}

async fn predict(app: &App, query: &str, body: &Value) -> Answer {
    app.post(&format!("/v1/predictions{query}"), body).await
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// A PLINK set of the same people: bed, bim and fam.
fn plink() -> [Vec<u8>; 3] {
    // Two bits a person from the low end: 11 is two copies of A2, 10 one of each, 00 two of A1; A1 is the alternative.
    let row = 0b00_10_11u8;
    let bed = [&[0x6c, 0x1b, 0x01][..], &[row; 5]].concat();
    let bim = "12 rs1 0 100 G A\n12 rs2 0 200 C T\n12 rs3 0 300 T A\n12 rs4 0 400 C T\n12 rs9 0 900 C T\n";
    let fam = "F1 S1 0 0 1 -9\nF2 S2 0 0 2 -9\nF3 S3 0 0 0 -9\n";
    [bed, bim.into(), fam.into()]
}

const BOUNDARY: &str = "----parts";

fn form(parts: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, bytes) in parts {
        let head =
            format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

fn multipart() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}

#[tokio::test]
async fn the_answer_has_the_documented_shape() {
    let app = Setup::predicting().build();
    let answer = predict(&app, "?model=blood", &submission()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("x-tissuecast-model-digest"), "sha256:blood");
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!(body["samples"], json!(["S1", "S2", "S3"]));
    assert_eq!(body["models"][0]["digest"], "sha256:blood");
    let alpha = &body["genes"][0];
    // rs1 as it is (0 1 2), rs2 swapped: the record's reference T is the effect allele (2 1 0) × 0.5.
    assert_eq!(alpha["values"], json!([1.0, 1.5, 2.0]));
    assert_eq!((&alpha["gene_id"], &alpha["symbol"]), (&json!("ENSG00000000001"), &json!("ALPHA")));
    assert_eq!((&alpha["n_snps_in_model"], &alpha["n_snps_used"]), (&json!(2), &json!(2)));
    assert_eq!(alpha["accuracy"]["r2"], 0.25);
    // rs3 is palindromic and dropped; rs4 fits on the other strand.
    let beta = &body["genes"][1];
    assert_eq!(beta["values"], json!([0.0, -1.0, -2.0]));
    assert!((beta["weight_fraction_used"].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-9);
    let kinds = &body["report"]["by_kind"];
    assert_eq!(
        kinds,
        &json!({"exact": 1, "swapped": 1, "strand_flipped": 1, "strand_flipped_swapped": 0,
        "ambiguous": 1, "mismatch": 0, "duplicate": 0, "absent": 0})
    );
    assert_eq!((&body["report"]["records"], &body["report"]["diagnosis"]), (&json!(5), &Value::Null));
    assert_eq!(body["report"]["policies"]["missing"], "mean");
}

#[tokio::test]
async fn every_way_in_gives_the_same_numbers() {
    let app = Setup::predicting().build();
    let expected = predict(&app, "?model=all", &submission()).await.json()["genes"].clone();
    assert_eq!(expected.as_array().unwrap().len(), 3);
    let [bed, bim, fam] = plink();
    let bodies: Vec<(&str, String, Vec<u8>)> = vec![
        ("vcf", "text/vcf".to_owned(), VCF.into()),
        ("vcf.gz", "application/gzip".to_owned(), gzip(VCF.as_bytes())),
        ("vcf as bytes", "application/octet-stream".to_owned(), gzip(VCF.as_bytes())),
        ("json.gz", "application/json".to_owned(), gzip(submission().to_string().as_bytes())),
        ("plink", multipart(), form(&[("bim", "c.bim", &bim), ("fam", "c.fam", &fam), ("bed", "c.bed", &bed)])),
        ("plink, bed first", multipart(), form(&[("bed", "", &bed), ("bim", "", &bim), ("fam", "", &fam)])),
        ("plink, gzipped and by file names", multipart(), form(&[
            ("files", "c.bim.gz", &gzip(&bim)), ("files", "c.fam", &fam), ("files", "c.bed.gz", &gzip(&bed)),
        ])),
        ("vcf in a form", multipart(), form(&[("vcf", "c.vcf", VCF.as_bytes())])),
        ("dosages", multipart(), form(&[
            ("samples", "s.txt", b"F1 S1\nF2 S2\nF3 S3\n"),
            ("dosage", "chr12.txt", b"12 rs1 100 A G 0.5 0 1 2\n12 rs2 200 T C 0.5 0 1 2\n12 rs3 300 A T 0.5 0 1 2\n12 rs4 400 T C 0.5 0 1 2\n12 rs9 900 T C 0.5 0 1 2\n"),
        ])),
    ];
    for (what, media_type, body) in bodies {
        let answer = post(&app, "?model=all", &media_type, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{what}: {}", answer.text());
        assert_eq!(answer.json()["genes"], expected, "{what}");
    }
}

#[tokio::test]
async fn every_form_out() {
    let app = Setup::predicting().build();
    let tsv = predict(&app, "?model=blood&format=tsv", &submission()).await;
    assert_eq!(
        tsv.text(),
        "FID\tIID\tENSG00000000001.4\tENSG00000000002.1\nS1\tS1\t1\t0\nS2\tS2\t1.5\t-1\nS3\tS3\t2\t-2\n"
    );
    let short: Value = serde_json::from_str(tsv.header("x-tissuecast-report")).unwrap();
    assert_eq!((&short["records"], &short["by_kind"]["ambiguous"]), (&json!(5), &json!(1)));
    let bed = predict(&app, "?model=blood&format=bed", &submission()).await.text();
    let lines: Vec<&str> = bed.lines().collect();
    assert_eq!(lines[0], "#chr\tstart\tend\tgene_id\tS1\tS2\tS3");
    assert_eq!(lines[1], "chr12\t99\t200\tENSG00000000001.4\t1\t1.5\t2");
    let arrow = predict(&app, "?model=blood&format=arrow", &submission()).await;
    let batches: Vec<_> =
        arrow_ipc::reader::StreamReader::try_new(arrow.body.as_slice(), None).unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(arrow_array::RecordBatch::num_rows).sum::<usize>(), 2);
    let parquet = predict(&app, "?model=blood&format=parquet", &submission()).await;
    assert_eq!((&parquet.body[..4], parquet.header("content-type")), (&b"PAR1"[..], "application/vnd.apache.parquet"));
    assert_eq!(predict(&app, "?model=blood&format=svg", &submission()).await.problem(), "/problems/invalid-parameter");
}

#[tokio::test]
async fn genes_people_and_variants_can_be_chosen() {
    let app = Setup::predicting().build();
    let query = "?model=blood,liver&gene=beta,nobody&sample=S3,S1&report=variants&ambiguous=keep";
    let body = predict(&app, query, &submission()).await.json();
    assert_eq!((&body["samples"], &body["genes_not_found"]), (&json!(["S1", "S3"]), &json!(["nobody"])));
    assert_eq!(body["genes"].as_array().unwrap().len(), 2);
    let beta = body["genes"].as_array().unwrap().iter().find(|gene| gene["model"] == "blood").unwrap();
    assert_eq!(beta["values"], json!([0.0, 2.0]));
    let variant = &beta["variants"][1];
    assert_eq!((&variant["variant"], &variant["kind"]), (&json!("rs4"), &json!("strand_flipped")));
    assert_eq!((&variant["record"]["ref"], &variant["weight"]), (&json!("T"), &json!(-1.0)));
    // One variant of two models, counted by each on its own allele.
    let liver = body["genes"].as_array().unwrap().iter().find(|gene| gene["model"] == "liver").unwrap();
    assert_eq!(liver["values"], json!([8.0, 0.0]));
}

#[tokio::test]
async fn unknown_is_null_with_a_reason() {
    let app = Setup::predicting().build();
    let mut body = submission();
    body["variants"][0]["dosages"][1] = Value::Null;
    body["variants"].as_array_mut().unwrap().truncate(2);
    let answer = predict(&app, "?model=blood", &body).await.json();
    assert_eq!(answer["genes"][0]["values"], json!([1.0, null, 2.0]));
    assert_eq!(answer["genes"][0]["reason"], "missing_genotypes");
    assert_eq!(answer["genes"][1]["values"], json!([null, null, null]));
    assert_eq!(
        (&answer["genes"][1]["reason"], &answer["genes"][1]["n_snps_used"]),
        (&json!("no_variant_in_input"), &json!(0))
    );
    assert_eq!(answer["report"]["missing_genotypes"], 1);
    let dropped = predict(&app, "?model=blood&missing=drop", &body).await.json();
    assert_eq!(dropped["genes"][0]["values"], json!([1.0, 0.5, 2.0]));
    let error = predict(&app, "?model=blood&missing=error", &body).await;
    assert_eq!(error.problem(), "/problems/malformed-genotypes");
    assert!(error.text().contains("sample 2 ('S2')"), "{}", error.text());
}

#[tokio::test]
async fn contributions_add_up_to_the_prediction() {
    let app = Setup::predicting().build();
    let mut body = submission();
    body["variants"][1]["dosages"][0] = Value::Null;
    let plain = predict(&app, "?model=all", &body).await.json();
    let answer = predict(&app, "?model=all&explain=true", &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let explained = answer.json();
    for (gene, plain) in explained["genes"].as_array().unwrap().iter().zip(plain["genes"].as_array().unwrap()) {
        assert!(plain.get("explanation").is_none());
        assert_eq!((&gene["gene"], &gene["values"]), (&plain["gene"], &plain["values"]));
        let explanation = &gene["explanation"];
        assert_eq!(explanation["method"], "exact");
        let variants = explanation["variants"].as_array().unwrap();
        assert_eq!(variants.len() as u64, gene["n_snps_used"].as_u64().unwrap());
        for (person, value) in gene["values"].as_array().unwrap().iter().enumerate() {
            let of_variants = variants.iter().map(|one| one["values"][person].as_f64());
            let sum: Option<f64> = std::iter::once(explanation["base"].as_f64()).chain(of_variants).sum();
            match value.as_f64() {
                Some(value) => assert!((sum.unwrap() - value).abs() < 1e-9, "{gene}"),
                None => assert_eq!(sum, None, "{gene}"),
            }
        }
    }
    let alpha = &explained["genes"][0]["explanation"]["variants"];
    assert_eq!(alpha[1], json!({"variant": "rs2", "values": [null, 0.5, 0.0]}));
    // A gene without values has nothing to explain, and says so.
    let low = predict(&app, "?model=blood&explain=true&min_overlap=0.9", &submission()).await.json();
    assert_eq!(low["genes"][1]["reason"], "below_min_overlap");
    assert!(low["genes"][1].get("explanation").is_some_and(Value::is_null), "{low}");
    for format in ["tsv", "bed", "arrow", "parquet"] {
        let refused = predict(&app, &format!("?model=blood&explain=true&format={format}"), &submission()).await;
        assert_eq!(refused.problem(), "/problems/invalid-parameter", "{format}");
        assert!(refused.text().contains("format=json"), "{}", refused.text());
    }
    let check = app.post("/v1/predictions/check?model=blood&explain=true", &submission()).await;
    assert_eq!(check.problem(), "/problems/invalid-parameter");
    let limits = HttpLimits { answer_values: 11, ..HttpLimits::default() };
    let small = Setup { limits, ..Setup::predicting() }.build();
    assert_eq!(predict(&small, "?model=blood", &submission()).await.status, StatusCode::OK);
    let many = predict(&small, "?model=blood&explain=true", &submission()).await;
    assert_eq!(many.problem(), "/problems/limit-passed");
    let says = "4 variants of the genes × 3 people are more contributions than the limit of 11: choose genes by gene= \
                and people by sample=";
    assert!(many.text().contains(says), "{}", many.text());
    let chosen = predict(&small, "?model=blood&explain=true&gene=ALPHA", &submission()).await;
    assert_eq!(chosen.status, StatusCode::OK, "{}", chosen.text());
}

#[tokio::test]
async fn low_overlap_is_a_problem_with_its_report_and_check_explains_it() {
    let app = Setup::predicting().build();
    let mut body = submission();
    for (at, variant) in body["variants"].as_array_mut().unwrap().iter_mut().enumerate() {
        variant["id"] = json!(".");
        variant["position"] = json!(100 * (at + 1) - 1);
    }
    let answer = predict(&app, "?model=blood", &body).await;
    assert_eq!((answer.problem().as_str(), answer.status), ("/problems/low-overlap", StatusCode::UNPROCESSABLE_ENTITY));
    let problem = answer.json();
    assert!(problem["detail"].as_str().unwrap().contains("count from 0"), "{problem}");
    assert_eq!(problem["report"]["by_kind"]["absent"], 4);
    let check = app.post("/v1/predictions/check?model=blood", &body).await;
    assert_eq!(check.status, StatusCode::OK);
    assert!(check.json()["diagnosis"]["summary"].as_str().unwrap().contains("count from 0"));
    let fine = app.post("/v1/predictions/check?model=blood", &submission()).await.json();
    assert_eq!((&fine["diagnosis"], &fine["by_kind"]["exact"]), (&Value::Null, &json!(1)));
}

#[tokio::test]
async fn what_a_client_gets_wrong_is_named() {
    let app = Setup::predicting().build();
    let cases = [
        ("", "/problems/invalid-parameter", "several genotype models"),
        ("?model=other", "/problems/unknown-model", "blood@1, liver@1"),
        ("?model=nearest-two", "/problems/invalid-parameter", "reads no genotypes"),
        ("?model=blood@7", "/problems/unknown-model", "blood@7"),
        ("?model=blood&gene=nobody", "/problems/unknown-gene", "nobody"),
        ("?model=blood&sample=S9", "/problems/invalid-parameter", "S9"),
        ("?model=blood&missing=zero", "/problems/invalid-parameter", "mean, cohort, ref, drop, error"),
        ("?model=blood&min_overlap=75", "/problems/invalid-parameter", "from 0 to 1"),
        ("?model=blood&modle=x", "/problems/invalid-parameter", "modle"),
        ("?model=blood&preset=plink", "/problems/invalid-parameter", "predixcan"),
        ("?model=blood&report=all", "/problems/invalid-parameter", "genes (the default) or variants"),
    ];
    for (query, kind, says) in cases {
        let answer = predict(&app, query, &submission()).await;
        assert_eq!(answer.problem(), kind, "{query}: {}", answer.text());
        assert!(answer.text().contains(says), "{query}: {}", answer.text());
    }
    let none = Setup { expression_models: Vec::new(), ..Setup::predicting() }.build();
    assert!(predict(&none, "", &submission()).await.text().contains("models import"));
}

#[tokio::test]
async fn malformed_genotypes_are_problems_that_say_where() {
    let app = Setup::predicting().build();
    let broken = |from: &str, to: &str| VCF.replacen(from, to, 1).into_bytes();
    let truncated = {
        let whole = gzip(VCF.repeat(50).as_bytes());
        whole[..whole.len() / 2].to_vec()
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "empty"),
        (broken("##fileformat=VCFv4.2\n", ""), "fileformat"),
        (broken("0|0\t0/1\t1|1", "0|0\t0/1"), "line 4"),
        (broken("S1\tS2\tS3", "S1\tS2\tS1"), "samples 1 and 3"),
        (broken("\tS1\tS2\tS3", ""), "no samples"),
        (broken("chr12\t200\trs2\tT\tC", "chr12\t200\trs2\tT\tT"), "line 5"),
        (broken("chr12\t200", "chr12\t0"), "line 5"),
        (broken("chr12\t200", "chr12\t50"), "not sorted"),
        (broken("rs2\tT\tC\t.\tPASS\t.\tGT\t0/0", "rs2\tT\tC\t.\tPASS\t.\tDS\t2.7"), "2.7"),
        (broken("rs2\tT\tC\t.\tPASS\t.\tGT\t0/0", "rs2\tT\tC\t.\tPASS\t.\tDS\tnan"), "sample 1"),
        (VCF.replacen("rs2", "rs\u{e9}", 1).chars().map(|c| c as u8).collect(), "line 5"),
        (truncated, "cut off"),
    ];
    for (body, says) in cases {
        let answer = post(&app, "?model=blood", "text/vcf", body).await;
        assert_eq!(answer.problem(), "/problems/malformed-genotypes", "{says}: {}", answer.text());
        assert!(answer.text().contains(says), "{says}: {}", answer.text());
    }
    let [bed, bim, fam] = plink();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (form(&[("bim", "", &bim), ("bed", "", &bed)]), "fam file is missing"),
        (form(&[("bim", "", &bim), ("fam", "", &fam)]), "bed file is missing"),
        (form(&[("bim", "", &bim), ("fam", "", &fam), ("bed", "", &bed[..6])]), "bed"),
        (form(&[("bim", "", &bim), ("fam", "", &fam), ("bed", "", &[&bed[..], &[0]].concat())]), "bed"),
    ];
    for (body, says) in cases {
        let answer = post(&app, "?model=blood", &multipart(), body).await;
        assert_eq!(answer.problem(), "/problems/malformed-genotypes", "{says}: {}", answer.text());
        assert!(answer.text().contains(says), "{says}: {}", answer.text());
    }
    let stray = post(&app, "?model=blood", &multipart(), form(&[("photo", "me.png", b"x")])).await;
    assert_eq!(stray.problem(), "/problems/malformed-body");
    let json =
        predict(&app, "?model=blood", &json!({"samples": ["S1"], "variants": [{"id": "rs1", "dosage": [1]}]})).await;
    assert_eq!(json.problem(), "/problems/malformed-genotypes");
    assert_eq!(post(&app, "?model=blood", "image/png", "x").await.problem(), "/problems/unsupported-media-type");
}

#[tokio::test]
async fn limits_are_named() {
    let read = ReadLimits { decompressed_bytes: 10_000, samples: 3, ..ReadLimits::default() };
    let limits = HttpLimits { read, answer_values: 5, genotype_body_bytes: 100_000, ..HttpLimits::default() };
    let app = Setup { limits, ..Setup::predicting() }.build();
    let many = predict(&app, "?model=blood", &submission()).await;
    assert_eq!(many.problem(), "/problems/limit-passed");
    assert!(many.text().contains("limit of 5"), "{}", many.text());
    assert_eq!(predict(&app, "?model=blood&gene=ALPHA", &submission()).await.status, StatusCode::OK);
    // A bomb of a few hundred bytes.
    let bomb = gzip(&[VCF.as_bytes(), &vec![b'\n'; 10_000_000]].concat());
    assert!(bomb.len() < 20_000);
    let answer = post(&app, "?model=blood&gene=ALPHA", "application/gzip", bomb).await;
    assert!(["/problems/limit-passed", "/problems/malformed-genotypes"].contains(&answer.problem().as_str()));
    let long = gzip(&[VCF.as_bytes(), &vec![b'x'; 10_000_000]].concat());
    assert_eq!(post(&app, "?model=blood&gene=ALPHA", "text/vcf", long).await.problem(), "/problems/limit-passed");
    let four = VCF.replace("\tS3", "\tS3\tS4");
    assert!(post(&app, "?model=blood&gene=ALPHA", "text/vcf", four).await.text().contains("more than 3 samples"));
    let large = post(&app, "?model=blood&gene=ALPHA", "text/vcf", vec![b'#'; 200_000]).await;
    assert!([StatusCode::PAYLOAD_TOO_LARGE, StatusCode::BAD_REQUEST].contains(&large.status), "{}", large.text());
}

#[tokio::test]
async fn models_show_their_genes_and_variants() {
    let app = Setup::predicting().build();
    let models = app.get("/v1/models").await.json();
    let kinds: Vec<&str> = models["data"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["profile", "genotype", "genotype"]);
    assert_eq!(app.get("/v1/models/blood@1").await.json()["median_r2"], 0.25);
    let genes = app.get("/v1/models/blood/genes?items_per_page=1&page=1").await.json();
    assert_eq!((&genes["data"][0]["symbol"], &genes["paging_info"]["totalNumberOfItems"]), (&json!("BETA"), &json!(2)));
    for name in ["ENSG00000000001", "ENSG00000000001.4", "ENSG00000000001.99", "alpha"] {
        let gene = app.get(&format!("/v1/models/blood/genes/{name}")).await.json();
        assert_eq!(gene["variants"].as_array().unwrap().len(), 2, "{name}: {gene}");
        assert!((gene["variants"][0]["share"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!(
            (&gene["variants"][1]["effect_allele"], &gene["variants"][1]["position"]),
            (&json!("T"), &json!(200))
        );
    }
    let tsv = app.get("/v1/models/blood/genes/BETA?format=tsv").await.text();
    let columns =
        "id\tchromosome\tposition\tother_allele\teffect_allele\teffect_allele_frequency\tweight\tscale\tshare\n";
    assert!(tsv.starts_with(columns) && tsv.contains("\tNA\t2\tNA\t"), "{tsv}");
    let genes = app.get("/v1/models/blood/genes?format=tsv").await.text();
    assert!(genes.contains("r2\tp_value\tr\trsq\tinner_r2\tmethod\n"), "{genes}");
    let card = app.get("/v1/models/blood").await.json();
    assert_eq!((&card["training"], &card["accuracy"]), (&Value::Null, &json!([])));
    assert_eq!(app.get("/v1/models/blood/genes/GAMMA").await.problem(), "/problems/unknown-gene");
    assert_eq!(app.get("/v1/models/nearest-two/genes").await.problem(), "/problems/unknown-model");
}

#[tokio::test]
async fn a_trained_models_card_says_how_and_how_well() {
    let mut blood = Arc::into_inner(expression_model("blood", &BLOOD)).unwrap();
    let training = json!({
        "population": {"CEU": 3, "YRI": 2}, "people": 5, "genes": 2, "window_bp": 500_000, "outer_folds": 5,
        "inner_folds": 10, "members": 4, "seed": 7, "transform": "rank", "covariates": ["PC1"], "annotations": [],
        "min_maf": 0.05, "sources": {"a.bed": "12ab"}, "cohort_digest": "34cd", "command": "tissuecast train genotype",
        "seconds": 1.5, "tissuecast_version": "0.1.0", "stated_by_paper": ["a"], "our_choice": ["b"],
    });
    let accuracy = json!([{
        "method": "elastic-net", "genes": "heritable", "n_genes": 2, "mean_r": 0.3, "interval_r": [0.2, 0.4],
        "median_r": 0.3, "mean_r2": 0.1, "mean_rsq": 0.08, "r_above": [2, 1, 0], "split": "5 outer folds",
    }]);
    blood.card.training = serde_json::from_value(training.clone()).unwrap();
    blood.card.accuracy = serde_json::from_value(accuracy.clone()).unwrap();
    let app = Setup { expression_models: vec![Arc::new(blood)], ..Setup::predicting() }.build();
    let card = app.get("/v1/models/blood").await.json();
    assert_eq!((&card["training"], &card["accuracy"]), (&training, &accuracy));
}

#[tokio::test]
async fn predictions_wait_for_their_turn_and_the_rest_is_refused() {
    let limits = HttpLimits { predictions: 1, waiting_predictions: 0, ..HttpLimits::default() };
    let app = Arc::new(Setup { limits, ..Setup::predicting() }.build());
    // A body that never ends holds the only place.
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Vec<u8>, std::io::Error>>(4);
    let slow = Body::from_stream(Receiver(receiver));
    sender.send(Ok(VCF.as_bytes()[..60].to_vec())).await.unwrap();
    let first = tokio::spawn({
        let app = Arc::clone(&app);
        async move { post(&app, "?model=blood", "text/vcf", slow).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let refused = predict(&app, "?model=blood", &submission()).await;
    assert_eq!((refused.problem().as_str(), refused.header("retry-after")), ("/problems/overloaded", "1"));
    sender.send(Ok(VCF.as_bytes()[60..].to_vec())).await.unwrap();
    drop(sender);
    assert_eq!(first.await.unwrap().status, StatusCode::OK);
    assert_eq!(predict(&app, "?model=blood", &submission()).await.status, StatusCode::OK);
    // A client that goes away while it sends gives its place back.
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Vec<u8>, std::io::Error>>(4);
    sender.send(Ok(VCF.as_bytes().to_vec())).await.unwrap();
    let gone = tokio::spawn({
        let app = Arc::clone(&app);
        async move { post(&app, "?model=blood", "text/vcf", Body::from_stream(Receiver(receiver))).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    gone.abort();
    drop(sender);
    let mut status = StatusCode::SERVICE_UNAVAILABLE;
    for _ in 0..50 {
        status = predict(&app, "?model=blood", &submission()).await.status;
        if status == StatusCode::OK {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(status, StatusCode::OK, "the place of a client that has gone is never given back");
}

#[tokio::test]
async fn a_client_that_falls_silent_loses_its_place() {
    let idle = Duration::from_millis(60);
    let limits = HttpLimits { predictions: 1, waiting_predictions: 0, idle, ..HttpLimits::default() };
    let app = Setup { limits, ..Setup::predicting() }.build();
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Vec<u8>, std::io::Error>>(4);
    sender.send(Ok(VCF.as_bytes().to_vec())).await.unwrap();
    let silent = post(&app, "?model=blood", "text/vcf", Body::from_stream(Receiver(receiver))).await;
    assert_eq!(silent.problem(), "/problems/malformed-genotypes");
    assert_eq!(predict(&app, "?model=blood", &submission()).await.status, StatusCode::OK);
    drop(sender);
}

/// A channel as the stream of a body.
struct Receiver(tokio::sync::mpsc::Receiver<Result<Vec<u8>, std::io::Error>>);

impl futures_core::Stream for Receiver {
    type Item = Result<Vec<u8>, std::io::Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
