//! Arrow and Parquet, read back by the crates' own readers.

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::file::reader::{FileReader as _, SerializedFileReader};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, UInt32Type, UInt64Type};
use arrow_array::{Array as _, RecordBatch};
use arrow_ipc::reader::StreamReader;

use super::*;

fn arrow(heading: &Heading, genes: &[GeneAnswer]) -> Vec<RecordBatch> {
    let bytes = bytes(Form::Arrow, Packing::Plain, heading, genes).unwrap();
    StreamReader::try_new(bytes.as_slice(), None).unwrap().map(Result::unwrap).collect()
}

fn parquet(heading: &Heading, genes: &[GeneAnswer]) -> (Vec<RecordBatch>, Vec<(String, String)>) {
    let bytes = bytes::Bytes::from(bytes(Form::Parquet, Packing::Plain, heading, genes).unwrap());
    let file = SerializedFileReader::new(bytes.clone()).unwrap();
    let metadata = file.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
    let metadata = metadata.into_iter().map(|pair| (pair.key, pair.value.unwrap_or_default())).collect();
    (reader.map(Result::unwrap).collect(), metadata)
}

fn names(batch: &RecordBatch) -> Vec<String> {
    batch.schema().fields().iter().map(|field| field.name().clone()).collect()
}

fn texts(batch: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let column = batch.column_by_name(name).unwrap().as_string::<i32>();
    column.iter().map(|text| text.map(str::to_owned)).collect()
}

fn numbers(batch: &RecordBatch, name: &str) -> Vec<Option<f64>> {
    batch.column_by_name(name).unwrap().as_primitive::<Float64Type>().iter().collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| (*text != "NA").then(|| (*text).to_owned())).collect()
}

fn holds_two_models(batch: &RecordBatch) {
    let names = names(batch);
    assert_eq!(names[..3], ["model", "gene_id", "gene"]);
    assert_eq!(names[11..], ["reason", "S1", "sample:sample:gene", "sample:gene"]);
    assert_eq!(batch.schema().field(13).metadata()["tissuecast.sample"], "gene");
    assert_eq!(texts(batch, "model"), some(&["blood", "brain", "blood"]));
    assert_eq!(texts(batch, "gene_id"), some(&["ENSG00000000001", "ENSG00000000001", "intron_1"]));
    assert_eq!(texts(batch, "gene"), some(&["ENSG00000000001.4", "ENSG00000000001", "intron_1"]));
    assert_eq!(texts(batch, "symbol"), some(&["ALPHA", "NA", "NA"]));
    assert_eq!(texts(batch, "chromosome"), some(&["chr2", "chr10", "NA"]));
    assert_eq!(texts(batch, "reason"), some(&["NA", "no_variant_in_input", "NA"]));
    let whole =
        |name: &str| batch.column_by_name(name).unwrap().as_primitive::<UInt32Type>().iter().collect::<Vec<_>>();
    assert_eq!((whole("start"), whole("end")), (vec![Some(1000), Some(6), None], vec![Some(2000), Some(6), None]));
    let used = batch.column_by_name("n_snps_used").unwrap().as_primitive::<UInt64Type>().iter().collect::<Vec<_>>();
    assert_eq!(used, [Some(2); 3]);
    assert_eq!(numbers(batch, "r2"), [Some(0.25), None, None]);
    assert_eq!(numbers(batch, "weight_fraction_used"), [Some(0.75); 3]);
    assert_eq!(numbers(batch, "S1"), [Some(0.125), None, Some(1e-7)]);
    assert_eq!(numbers(batch, "sample:sample:gene"), [None, None, Some(0.0)]);
    assert_eq!(numbers(batch, "sample:gene"), [Some(-1.0 / 3.0), None, Some(12_345.678_912_345)]);
}

#[test]
fn every_form_has_a_gene_without_a_variant_in_the_model() {
    let (heading, genes) = two_models();
    let empty = GeneAnswer {
        values: vec![f64::NAN; 3],
        by_kind: KindCounts::default(),
        weight_fraction_used: None,
        reason: Some(Reason::NoVariantInModel),
        variants: Some(Vec::new()),
        ..genes[0].clone()
    };
    let genes = std::slice::from_ref(&empty);
    for batch in arrow(&heading, genes).iter().chain(&parquet(&heading, genes).0) {
        assert_eq!(texts(batch, "reason"), some(&["no_variant_in_model"]));
        assert_eq!(numbers(batch, "S1"), [None]);
    }
    let json = bytes(Form::Json, Packing::Plain, &heading, genes).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(
        (&json["genes"][0]["reason"], &json["genes"][0]["n_snps_in_model"]),
        (&"no_variant_in_model".into(), &0.into())
    );
    for form in [Form::Tsv, Form::Bed] {
        let text = String::from_utf8(bytes(form, Packing::Plain, &heading, genes).unwrap()).unwrap();
        assert_eq!(text.matches("NA").count(), 3, "{text}");
    }
    let mut log = VariantLog::new(Output::new(Vec::new(), Packing::Plain));
    assert!(give(&mut log, &heading, genes).is_ok());
}

#[test]
fn arrow_and_parquet_read_back() {
    let (heading, genes) = two_models();
    let batches = arrow(&heading, &genes);
    assert_eq!(batches.len(), 1);
    holds_two_models(&batches[0]);
    let schema = batches[0].schema();
    let models: serde_json::Value = serde_json::from_str(&schema.metadata()["tissuecast.models"]).unwrap();
    assert_eq!((&models[0]["digest"], &models[1]["name"]), (&"sha256:blood".into(), &"brain".into()));
    assert!(schema.metadata()["tissuecast.policies"].contains("\"missing\":\"mean\""));
    assert_eq!(schema.metadata()["tissuecast.genes_not_found"], r#"["NOPE\"1"]"#);

    let (batches, metadata) = parquet(&heading, &genes);
    holds_two_models(&batches[0]);
    let value = |key: &str| &metadata.iter().find(|(name, _)| name == key).unwrap().1;
    assert_eq!(serde_json::from_str::<serde_json::Value>(value("tissuecast.report")).unwrap()["records"], 7);
    assert_eq!(value("tissuecast.models"), &schema.metadata()["tissuecast.models"]);
    let keys: std::collections::BTreeSet<_> = metadata.iter().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), metadata.len(), "{keys:?}");
}

#[test]
fn no_genes_are_no_rows() {
    let (heading, _) = two_models();
    assert!(arrow(&heading, &[]).is_empty());
    assert!(parquet(&heading, &[]).0.is_empty());
}

#[test]
fn batches_are_small_and_every_value_is_where_it_belongs() {
    // 20,000 people: 8 MB are 52 genes.
    for (people, genes, sizes) in [(5, 130, vec![64, 64, 2]), (20_000, 60, vec![52, 8])] {
        let (heading, answers) = large(people, genes);
        let batches = arrow(&heading, &answers);
        assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), sizes);
        let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
        for ((batch, row), answer) in rows.zip(&answers) {
            for (person, value) in answer.values.iter().enumerate() {
                let column = batch.column(12 + person).as_primitive::<Float64Type>();
                assert_eq!(column.is_null(row), value.is_nan());
                assert!(value.is_nan() || column.value(row).to_bits() == value.to_bits());
            }
        }
    }
}

#[test]
fn a_batch_leaves_before_the_last_gene() {
    struct Seen<'a>(&'a std::cell::Cell<usize>);
    impl Write for Seen<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.set(self.0.get() + bytes.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (heading, answers) = large(2, 70);
    let seen = std::cell::Cell::new(0);
    let mut answer = ArrowAnswer::new(Output::new(Seen(&seen), Packing::Plain));
    answer.begin(&heading).unwrap();
    answers[..63].iter().for_each(|gene| answer.gene(&heading, gene.clone()).unwrap());
    let before = seen.get();
    answer.gene(&heading, answers[63].clone()).unwrap();
    assert!(seen.get() > before + 64 * 2 * 8, "{before} {}", seen.get());
}
