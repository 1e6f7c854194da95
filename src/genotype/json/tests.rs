//! Tests of the JSON submission.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::genome::{Chromosome, Position};
use crate::genotype::{Sample, Sex};

fn parse(body: &Value) -> Result<JsonSource, GenotypeError> {
    JsonSource::parse(body.to_string().as_bytes(), &ReadLimits::default())
}

fn with(variant: &Value) -> Value {
    json!({"samples": ["S1", "S2"], "variants": [variant]})
}

/// The site in one word.
fn word(site: &Site<'_>) -> String {
    let chromosome = site.chromosome.map_or("?", Chromosome::as_str);
    let position = site.position.map_or(0, Position::get);
    format!("{chromosome}:{position}:{}:{}:{}", site.ids, site.reference, site.alternatives)
}

/// A site and the dosages of each allele.
type Rows = Vec<(String, Vec<DosageRow>)>;

fn read(source: &mut JsonSource) -> Rows {
    let mut rows = Vec::new();
    while let Some(site) = source.next_site().unwrap() {
        let (word, alleles) = (word(&site), 2 + site.alternatives.matches(',').count());
        let of = |allele| {
            let mut row = DosageRow::default();
            source.dosages(allele, &mut row).unwrap();
            row
        };
        rows.push((word, (0..alleles).map(of).collect()));
    }
    assert!(source.dosages(0, &mut DosageRow::default()).is_err() && source.next_site().unwrap().is_none());
    rows
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn every_shape_of_a_variant() {
    let body = json!({
        "variants": [
            {"id": "rs1", "chromosome": "1", "position": 1234, "ref": "A", "alt": "G", "dosages": [0, 1.02, null]},
            {"id": "rs2", "ref": "a", "alt": ["AT"], "dosages": [2, null, 1], "chromosome": null},
            {"chromosome": 2, "position": 1e5, "ref": "C", "alt": ["T", "G"], "genotypes": ["0/2", "1", "./1"]},
            {"id": "chrX_123_A_G_b38", "dosages": [0, 0, 0]},
            {"id": "1:5:A:G", "chromosome": "chr1", "position": 5, "ref": "G", "alt": "A", "genotypes": ["0|1", null, "0"]},
        ],
        "samples": ["S1", {"id": "S2", "sex": "male", "family": "F"}, 17],
    });
    let mut source = parse(&body).unwrap();
    let people = [
        Sample::named("S1"),
        Sample { id: "S2".into(), family: Some("F".into()), sex: Sex::Male },
        Sample::named("17"),
    ];
    assert_eq!(source.samples().iter().cloned().collect::<Vec<_>>(), people);
    assert_eq!(source.assembly().map(Assembly::as_str), Some("GRCh38"));
    let rows = read(&mut source);
    let words: Vec<_> = rows.iter().map(|(word, _)| word.as_str()).collect();
    assert_eq!(
        words,
        [
            "chr1:1234:rs1:A:G",
            "?:0:rs2:a:AT",
            "chr2:100000::C:T,G",
            "chrX:123:chrX_123_A_G_b38:A:G",
            "chr1:5:1:5:A:G:G:A"
        ]
    );
    let nan = f32::NAN;
    assert_eq!(bits(&rows[0].1[1].values), bits(&[0.0, 1.02, nan]));
    assert_eq!(bits(&rows[0].1[0].values), bits(&[2.0, 2.0 - 1.02, nan]));
    assert_eq!(bits(&rows[1].1[1].values), bits(&[2.0, nan, 1.0]));
    assert_eq!(bits(&rows[2].1[0].values), bits(&[1.0, 0.0, nan]));
    assert_eq!(bits(&rows[2].1[1].values), bits(&[0.0, 1.0, nan]));
    assert_eq!(bits(&rows[2].1[2].values), bits(&[1.0, 0.0, nan]));
    assert_eq!((&rows[2].1[1].haploid, rows[2].1[1].missing), (&vec![1], 1));
    assert_eq!(bits(&rows[4].1[1].values), bits(&[1.0, nan, 0.0]));
}

#[test]
fn faults_of_a_variant_say_where() {
    let good = json!({"id": "rs1", "chromosome": "1", "position": 9, "ref": "A", "alt": "G", "dosages": [0, 1]});
    // A null takes the key away.
    let cases = [
        (json!({"dosage": [0, 1]}), "variants[1].dosage: there is no such key: the keys are id, chromosome, position"),
        (json!({"dosages": [0, 2.7]}), "variants[1].dosages[1]: 2.7 is no dosage"),
        (json!({"dosages": [-1, 0]}), "variants[1].dosages[0]: -1 is no dosage"),
        (json!({"dosages": [0, "1"]}), "variants[1].dosages[1]: '1' is a text: a dosage is a number"),
        (json!({"dosages": [0, true]}), "variants[1].dosages[1]: invalid type: boolean"),
        (json!({"dosages": [[0, 1], [0, 1]]}), "for several alternative alleles send genotypes"),
        (json!({"dosages": [0]}), "variants[1].dosages: there are 1 values for 2 samples"),
        (json!({"dosages": [0, 1, 1.5]}), "variants[1].dosages: there are 3 values for 2 samples"),
        (json!({"dosages": null}), "variants[1].dosages: a variant has dosages or genotypes"),
        (json!({"genotypes": ["0/0", "0/0"]}), "variants[1].genotypes: a variant has dosages or genotypes, not both"),
        (json!({"dosages": null, "genotypes": ["0/0", "0/2"]}), "variants[1].genotypes[1]: it names allele 2"),
        (json!({"dosages": null, "genotypes": ["0/0", "A/G"]}), "variants[1].genotypes[1]: 'A/G' is no genotype"),
        (json!({"dosages": null, "genotypes": ["0/0/0", "."]}), "variants[1].genotypes[0]: '0/0/0' has more than two"),
        (json!({"dosages": null, "genotypes": [0, 1]}), "variants[1].genotypes[0]: 0 is a number"),
        (json!({"alt": "a"}), "variants[1].alt: 'a' is the reference allele too"),
        (json!({"alt": ["G", "T"]}), "variants[1].dosages: dosages count one alternative allele"),
        (json!({"alt": ["G", "g"]}), "variants[1].alt: 'g' is there twice"),
        (json!({"alt": []}), "variants[1].alt: it is empty"),
        (json!({"alt": "G,T"}), "several are an array"),
        (json!({"ref": ""}), "variants[1].ref: '' is no allele"),
        (json!({"ref": null}), "variants[1].ref: it is missing"),
        (json!({"alt": null}), "variants[1].alt: it is missing"),
        (json!({"id": null, "position": null}), "variants[1].position: it is missing"),
        (json!({"id": null, "position": null, "chromosome": null}), "variants[1].id: it is missing"),
        (json!({"chromosome": null}), "variants[1].chromosome: it is missing"),
        (json!({"chromosome": "a b"}), "variants[1].chromosome: 'a b' is not a chromosome name"),
        (json!({"position": 0}), "variants[1].position: 0 is no position"),
        (json!({"position": 1.5}), "variants[1].position: 1.5 is no position"),
        (json!({"position": "9"}), "variants[1].position: invalid type: string"),
        (json!({"id": "1:8:A:G"}), "variants[1].position: it contradicts the id, which says chr1:8"),
        (json!({"id": "2:9:A:G"}), "variants[1].chromosome: it contradicts the id"),
        (json!({"id": "1:9:A:T"}), "variants[1].id: ref and alt contradict the id, which says A and T"),
        (json!({"id": "1_9_A_G_b38"}), "variants[1].id: it names GRCh38, the submission's assembly is GRCh37"),
    ];
    for (change, expected) in cases {
        let mut variant = good.clone();
        for (key, value) in change.as_object().unwrap() {
            if value.is_null() {
                variant.as_object_mut().unwrap().remove(key);
            } else {
                variant[key] = value.clone();
            }
        }
        let body = json!({"assembly": "hg19", "samples": ["S1", "S2"], "variants": [good, variant]});
        let error = parse(&body).err().unwrap_or_else(|| panic!("{change} passed")).to_string();
        assert!(
            error.starts_with("the genotypes, record 2: ") && error.contains(expected),
            "{error}\nwanted {expected}"
        );
    }
}

#[test]
fn faults_of_the_body_say_where() {
    for (body, expected) in [
        ("", "not valid JSON: EOF"),
        ("[]", "the body: invalid type: sequence, expected an object of assembly, samples and variants"),
        (r#"{"samples": ["S"]}"#, "variants: it is missing"),
        (r#"{"variants": []}"#, "samples: it is missing"),
        (r#"{"samples": [], "variants": []}"#, "it has no samples"),
        (r#"{"samples": ["S", "S"], "variants": []}"#, "samples 1 and 2 have the same identifier"),
        (r#"{"samples": ["S", " "], "variants": []}"#, "samples[1]: the identifier is empty"),
        (r#"{"samples": [{"id": "S", "sex": "m"}], "variants": []}"#, "samples[0].sex: it is male, female or unknown"),
        (r#"{"samples": [{"ID": "S"}], "variants": []}"#, "samples[0].ID: there is no such key: the keys are id, sex"),
        (r#"{"samples": [{"sex": "male"}], "variants": []}"#, "samples[0].id: the identifier is missing"),
        (r#"{"samples": ["S"], "samples": ["S"], "variants": []}"#, "samples: it is given twice"),
        (r#"{"sample": ["S"], "variants": []}"#, "sample: there is no such key"),
        (r#"{"assembly": "", "samples": ["S"], "variants": []}"#, "assembly: '' is not an assembly name"),
        (r#"{"samples": ["S"], "variants": {}}"#, "variants: invalid type: map, expected an array of variants"),
        (r#"{"samples": ["S"], "variants": [7]}"#, "record 1: variants[0]: invalid type: integer"),
        (r#"{"samples": ["S"], "variants": []} x"#, "not valid JSON: trailing characters"),
        (r#"{"samples": ["S"], "variants": [{"dosages": [NaN]}]}"#, "variants[0].dosages[0]: not valid JSON"),
        (r#"{"samples": ["S"], "variants": [{"dosages": [NaN]}]}"#, "a dosage that is not known is null"),
    ] {
        let error = JsonSource::parse(body.as_bytes(), &ReadLimits::default()).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}\nwanted {expected}");
    }
    let two = r#"{"samples": ["S"], "variants": [{"id": "1_5_A_G_b37", "dosages": [0]}, {"id": "1_6_A_G_b38", "dosages": [0]}]}"#;
    let error = JsonSource::parse(two.as_bytes(), &ReadLimits::default()).err().unwrap().to_string();
    assert!(error.contains("record 2: variants[1].id: it names GRCh38, variants[0].id names GRCh37"), "{error}");
}

#[test]
fn limits_hold() {
    let body = json!({"samples": ["A", "B"], "variants": [
        {"id": "1:5:A:G", "genotypes": ["0/0", "0/1"]},
        {"id": "x", "ref": "A", "alt": ["C", "G"], "genotypes": ["0/0", "0/1"]},
    ]});
    let all = ReadLimits::default();
    for (limits, expected) in [
        (ReadLimits { records: 1, ..all.clone() }, "more than 1 records"),
        (ReadLimits { samples: 1, ..all.clone() }, "more than 1 samples"),
        (ReadLimits { alternatives: 1, ..all.clone() }, "more than 1 alternative alleles"),
        (ReadLimits { decompressed_bytes: 9, ..all }, "more than 9 bytes"),
    ] {
        let error = JsonSource::parse(body.to_string().as_bytes(), &limits).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_name_that_only_looks_like_a_place_is_a_name() {
    let variant = json!({"id": "exm-17", "chromosome": 3, "position": 9, "ref": "A", "alt": "G", "dosages": [0, 1]});
    assert_eq!(read(&mut parse(&with(&variant)).unwrap())[0].0, "chr3:9:exm-17:A:G");
}

proptest! {
    #[test]
    fn never_panics(bytes in any::<Vec<u8>>(), key in "[a-z]{0,6}", value in "[0-9.eE/|\\[\\]{},:\"a-zA-Z -]{0,24}") {
        let limits = ReadLimits::default();
        let _ = JsonSource::parse(&bytes, &limits);
        for key in [key.as_str(), "id", "chromosome", "position", "ref", "alt", "dosages", "genotypes"] {
            let head = r#"{"samples": ["S"], "variants": [{"id": "1:5:A:G", "genotypes": ["0/0"]}, {"#;
            let _ = JsonSource::parse(format!("{head}\"{key}\": {value}}}]}}").as_bytes(), &limits);
            let _ = JsonSource::parse(format!("{head}\"{key}\": \"{value}\"}}]}}").as_bytes(), &limits);
        }
    }

    #[test]
    fn what_is_written_is_read(
        dosages in proptest::collection::vec(
            proptest::collection::vec(proptest::option::of(prop_oneof![0.0_f32..=2.0, Just(0.0), Just(1.0), Just(2.0)]), 3), 0..6),
    ) {
        let variants: Vec<Value> = dosages.iter().enumerate()
            .map(|(i, row)| json!({"id": format!("rs{i}"), "ref": "A", "alt": "G", "dosages": row})).collect();
        let rows = read(&mut parse(&json!({"samples": ["a", "b", "c"], "variants": variants})).unwrap());
        prop_assert_eq!(rows.len(), dosages.len());
        for ((word, read), (i, row)) in rows.iter().zip(dosages.iter().enumerate()) {
            prop_assert_eq!(word, &format!("?:0:rs{i}:A:G"));
            let expected: Vec<f32> = row.iter().map(|value| value.unwrap_or(f32::NAN)).collect();
            prop_assert_eq!(bits(&read[1].values), bits(&expected));
        }
    }
}
