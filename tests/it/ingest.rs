//! Ingest of the real table, annotation and promoters into both databases.

use std::path::Path;
use std::time::Instant;

use tissuecast::genome::{Assembly, GeneId};
use tissuecast::reference::assemble::{IngestCounts, ReferenceTable};
use tissuecast::reference::source::Source;
use tissuecast::reference::{Missing, Unit, annotation, gct, promoter};

use crate::support::{TestDatabase, on_both_databases, real_data};

on_both_databases!(the_real_table_comes_back_exactly);

fn read(data: &Path, annotation_file: &str) -> ReferenceTable {
    let open = |file: &str| Source::open(&data.join(file)).unwrap();
    let expression = gct::read(open("gtex/gtex_v4_mean_rpkm.gct.gz")).unwrap();
    let annotation = annotation::read(open(annotation_file)).unwrap();
    let assembly = Assembly::parse("GRCh38").unwrap();
    let mut table = ReferenceTable::join(assembly, Unit::Rpkm, expression, annotation).unwrap();
    table.attach_promoters(promoter::read(open("promoters/promoters_hg38_m1000_p500.fa.gz")).unwrap()).unwrap();
    table
}

async fn the_real_table_comes_back_exactly(database: &TestDatabase) {
    let Some(data) = real_data() else { return };
    let table = read(&data, "annotation/gencode_v26.genes.gtf.gz");
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
    let store = database.migrated().await;
    let started = Instant::now();
    store.ingest("gtex_v4", &table, 1).await.unwrap();
    let written = started.elapsed();
    let loaded = store.load_reference("gtex_v4").await.unwrap().unwrap();
    eprintln!("{}: written in {written:.1?}, loaded in {:.1?}", store.database_kind(), started.elapsed() - written);

    let expected = table.into_reference("gtex_v4");
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

#[test]
fn gtf_and_table_are_the_same_version_and_bed12_joins_by_symbol() {
    let Some(data) = real_data() else { return };
    let gtf = read(&data, "annotation/gencode_v26.genes.gtf.gz");
    let table = read(&data, "annotation/gencode_v26_genes_grch38.tsv.gz");
    assert_eq!(gtf.version(), table.version());
    let bed = read(&data, "annotation/gencode.v26.FromGTEx.genes.bed12.gz");
    assert_eq!((bed.counts().matched, bed.counts().matched_by_symbol), (18_246, 18_246));
}
