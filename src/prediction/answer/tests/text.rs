//! The text forms, letter by letter and read back by hand.

use super::*;
use crate::model::expression::ExplanationMethod;
use crate::prediction::{Contributions, Explanation};

fn text(form: Form, heading: &Heading, genes: &[GeneAnswer]) -> String {
    String::from_utf8(bytes(form, Packing::Plain, heading, genes).unwrap()).unwrap()
}

/// Tabs that can be seen.
fn piped(text: &str) -> String {
    text.replace('\t', "|")
}

#[test]
fn json_has_the_documented_shape() {
    let (heading, genes) = two_models();
    insta::assert_snapshot!(text(Form::Json, &heading, &genes));
}

#[test]
fn json_without_genes_is_json() {
    let (heading, _) = two_models();
    let answer: serde_json::Value = serde_json::from_str(&text(Form::Json, &heading, &[])).unwrap();
    assert_eq!(answer["genes"], serde_json::json!([]));
    assert_eq!(answer["report"]["records"], 7);
    assert_eq!(answer["genes_not_found"][0], "NOPE\"1");
}

#[test]
fn json_has_the_variants_where_they_were_asked_for() {
    let (heading, genes) = two_models();
    let asked = GeneAnswer { variants: Some(outcomes()), ..genes[0].clone() };
    let answer: serde_json::Value = serde_json::from_str(&text(Form::Json, &heading, &[asked])).unwrap();
    assert_eq!(answer["genes"][0]["variants"][0]["record"]["place"], "line 12");
    assert_eq!(answer["genes"][0]["variants"][1]["kind"], "absent");
}

#[test]
fn tsv_is_the_reference_tools_table() {
    let (heading, genes) = two_models();
    insta::assert_snapshot!(piped(&text(Form::Tsv, &heading, &genes)), @r"
    FID|IID|blood:ENSG00000000001.4|brain:ENSG00000000001|blood:intron_1
    F1|S1|0.125|NA|1e-7
    gene|gene|NA|NA|0
    sample:gene|sample:gene|-0.3333333333|NA|12345.67891
    ");
    assert_eq!(text(Form::Tsv, &heading, &[]), "FID\tIID\nF1\tS1\ngene\tgene\nsample:gene\tsample:gene\n");
}

#[test]
fn one_model_alone_does_not_prefix_its_genes() {
    let (two, genes) = two_models();
    let heading = Heading { models: two.models[..1].to_vec(), ..two };
    let table = text(Form::Tsv, &heading, &genes[..1]);
    assert!(table.starts_with("FID\tIID\tENSG00000000001.4\n"), "{table}");
    let bed = text(Form::Bed, &heading, &genes[..1]);
    assert!(bed.contains("\nchr2\t999\t2000\tENSG00000000001.4\t0.125\tNA\t"), "{bed}");
}

#[test]
fn every_value_is_where_it_belongs() {
    // More than two tiles and more than one piece of output.
    let (heading, genes) = large(45, 700);
    let agree = |got: &str, expected: f64| match got {
        "NA" | "null" => expected.is_nan(),
        number => (number.parse::<f64>().unwrap() - expected).abs() <= 1e-9 * expected.abs(),
    };
    let table = text(Form::Tsv, &heading, &genes);
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!((rows.len(), rows[0].len()), (46, 702));
    let bed = text(Form::Bed, &heading, &genes);
    let lines: Vec<Vec<&str>> = bed.lines().map(|line| line.split('\t').collect()).collect();
    let json: serde_json::Value = serde_json::from_str(&text(Form::Json, &heading, &genes)).unwrap();
    for (at, gene) in genes.iter().enumerate() {
        let values = json["genes"][at]["values"].as_array().unwrap();
        assert_eq!((values.len(), lines[at + 1].len()), (45, 49));
        for (person, value) in gene.values.iter().enumerate() {
            assert!(agree(rows[person + 1][at + 2], *value), "gene {at}, person {person}");
            assert!(agree(lines[at + 1][person + 4], *value), "gene {at}, person {person}");
            assert!(agree(&values[person].to_string(), *value), "gene {at}, person {person}");
        }
    }
}

#[test]
fn bed_is_sorted_and_loses_no_gene() {
    let (heading, genes) = two_models();
    insta::assert_snapshot!(piped(&text(Form::Bed, &heading, &genes)), @r"
    #chr|start|end|gene_id|S1|gene|sample:gene
    chr2|999|2000|blood:ENSG00000000001.4|0.125|NA|-0.3333333333
    chr10|5|6|brain:ENSG00000000001|NA|NA|NA
    unplaced|0|1|blood:intron_1|1e-7|0|12345.67891
    ");
    let order = |order: &[usize]| {
        let genes: Vec<_> = order.iter().map(|at| genes[*at].clone()).collect();
        bytes(Form::Bed, Packing::Plain, &heading, &genes).map(|_| ()).map_err(|error| error.to_string())
    };
    for sorted in [&[][..], &[0, 1], &[1, 0], &[2, 0, 1], &[2, 2], &[0, 2, 1], &[0, 0, 1, 2]] {
        assert_eq!(order(sorted), Ok(()), "{sorted:?}");
    }
    for unsorted in [&[2, 0, 2][..], &[0, 1, 0], &[1, 2, 1]] {
        assert!(order(unsorted).unwrap_err().contains("sorted by place"), "{unsorted:?}");
    }
}

#[test]
fn bed_does_not_mix_assemblies() {
    let (two, genes) = two_models();
    let models = vec![Arc::clone(&two.models[0]), model("old", "hg19", &["ENSG00000000001"])];
    let assemblies = ["GRCh38", "hg19"].map(|name| crate::genome::Assembly::parse(name).ok()).to_vec();
    let error =
        bytes(Form::Bed, Packing::Plain, &Heading { models, assemblies, ..two }, &genes).unwrap_err().to_string();
    assert!(error.contains("'blood' is on GRCh38 but model 'old' on GRCh37"), "{error}");
}

#[test]
fn the_log_tells_of_every_variant() {
    let (heading, genes) = two_models();
    let asked = GeneAnswer { variants: Some(outcomes()), ..genes[0].clone() };
    let (mut log, mut main) = (Vec::new(), Vec::new());
    let logger = VariantLog::new(Output::new(&mut log, Packing::Plain));
    let mut tee = Tee(logger, Form::Tsv.writer(Packing::Plain, &mut main));
    give(&mut tee, &heading, &[asked]).unwrap();
    drop(tee);
    insta::assert_snapshot!(piped(&String::from_utf8(log).unwrap()), @r"
    model|gene|variant|chromosome|position|other|effect|weight|kind|reason|record_place|record_id|record_chromosome|record_position|record_ref|record_alt|duplicates|missing_genotypes
    blood|ENSG00000000001.4|rs1|chr1|100|A|G|-0.012345678901234|duplicate|the first of 2 records|line 12|rs1|chr1|100|A|G,T|1|3
    blood|ENSG00000000001.4|rs2|NA|NA|A|G|NA|absent|no record|NA|NA|NA|NA|NA|NA|0|0
    ");
    assert_eq!(String::from_utf8(main).unwrap(), text(Form::Tsv, &heading, &genes[..1]));
    let mut log = VariantLog::new(Output::new(Vec::new(), Packing::Plain));
    let error = give(&mut log, &heading, &genes).unwrap_err().to_string();
    assert!(error.contains("'ENSG00000000001.4' cannot be listed"), "{error}");
}

fn explained() -> (Heading, GeneAnswer) {
    let (heading, genes) = two_models();
    let variants = vec![
        Contributions { variant: "rs\t1".to_owned(), values: vec![0.025, f64::NAN, -1.0 / 3.0] },
        Contributions { variant: "chr2:7:A:\"G\"".to_owned(), values: vec![0.0, 1.0, -0.1] },
    ];
    let explanation = Explanation { base: 0.1, method: ExplanationMethod::IntegratedGradients, variants };
    let answer = GeneAnswer { explanation: Some(explanation), ..genes[0].clone() };
    (Heading { explained: true, ..heading }, answer)
}

#[test]
fn json_has_the_explanation_where_it_was_asked_for() {
    let (heading, answer) = explained();
    let without = GeneAnswer { explanation: None, ..answer.clone() };
    let text = text(Form::Json, &heading, &[answer.clone(), without]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected = serde_json::json!({"base": 0.1, "method": "integrated gradients", "variants": [
        {"variant": "rs\t1", "values": [0.025, null, -0.333_333_333_3]},
        {"variant": "chr2:7:A:\"G\"", "values": [0.0, 1.0, -0.1]},
    ]});
    assert_eq!((&json["genes"][0]["explanation"], &json["genes"][1]["explanation"]), (&expected, &().into()));
    let short = Contributions { variant: "rs1".to_owned(), values: vec![1.0] };
    for (values, says) in [(vec![1.0], "1 contributions"), (vec![f64::INFINITY; 3], "an infinite contribution")] {
        let mut wrong = answer.clone();
        wrong.explanation.as_mut().unwrap().variants = vec![Contributions { values, ..short.clone() }];
        let error = bytes(Form::Json, Packing::Plain, &heading, &[wrong]).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn the_log_tells_what_each_variant_has_added() {
    let (heading, answer) = explained();
    let mut log = Vec::new();
    give(&mut ExplanationLog::new(Output::new(&mut log, Packing::Plain)), &heading, &[answer]).unwrap();
    insta::assert_snapshot!(piped(&String::from_utf8(log).unwrap()), @r#"
    model|gene_id|symbol|sample|variant|contribution
    blood|ENSG00000000001|ALPHA|S1|(base)|0.1
    blood|ENSG00000000001|ALPHA|S1|rs 1|0.025
    blood|ENSG00000000001|ALPHA|S1|chr2:7:A:"G"|0
    blood|ENSG00000000001|ALPHA|gene|(base)|0.1
    blood|ENSG00000000001|ALPHA|gene|rs 1|NA
    blood|ENSG00000000001|ALPHA|gene|chr2:7:A:"G"|1
    blood|ENSG00000000001|ALPHA|sample:gene|(base)|0.1
    blood|ENSG00000000001|ALPHA|sample:gene|rs 1|-0.3333333333
    blood|ENSG00000000001|ALPHA|sample:gene|chr2:7:A:"G"|-0.1
    "#);
    let (heading, genes) = two_models();
    let error = give(&mut ExplanationLog::new(Output::new(Vec::new(), Packing::Plain)), &heading, &genes);
    assert!(error.unwrap_err().to_string().contains("not asked for"));
}

#[test]
fn tabs_and_line_breaks_in_names_do_not_break_a_table() {
    let (two, _) = two_models();
    let heading = heading(vec![Sample::named("a\tb\nc é")], two.models);
    assert_eq!(text(Form::Tsv, &heading, &[]), "FID\tIID\na b c é\ta b c é\n");
    assert_eq!(text(Form::Bed, &heading, &[]), "#chr\tstart\tend\tgene_id\ta b c é\n");
}
