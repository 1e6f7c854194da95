//! Tests of the join.

use super::*;
use crate::reference::source::tests::text;
use crate::reference::tests::record;
use crate::reference::{annotation, gct, promoter};

fn assembly() -> Assembly {
    Assembly::parse("GRCh38").unwrap()
}

fn expression(rows: &[&str]) -> ExpressionTable {
    let head = format!("#1.2\n{}\t2\nName\tDescription\tLiver\tleaf\n", rows.len());
    gct::read(text(&(head + &rows.join("\n")))).unwrap()
}

fn table(rows: &[&str]) -> Annotation {
    let head = "gene_id\tsymbol\tchrom\tstart\tend\tstrand\n".to_owned();
    annotation::read(text(&(head + &rows.join("\n")))).unwrap()
}

fn bed(names: &[&str]) -> Annotation {
    let lines: Vec<String> = names.iter().map(|name| format!("chr1\t10\t20\t{name}\t0\t+")).collect();
    annotation::read(text(&lines.join("\n"))).unwrap()
}

fn join(expression: ExpressionTable, annotation: Annotation) -> Result<ReferenceTable, AssembleError> {
    ReferenceTable::join(assembly(), Unit::Tpm, expression, annotation)
}

#[test]
fn counts_say_what_was_found() {
    let expression = expression(&[
        "g1.1\td\t1\t2",
        "g1.1\td\t1\t2",
        "ENSG2.5\tB\t0\t0",
        "g3\tC\tNA\t1",
        "g4\tD\tNA\t",
        "g5\tE\t1\t1",
    ]);
    let annotation = table(&[
        "g1.1\tA\t1\t1\t2\t+",
        "ENSG2\tBB\t1\t5\t6\t-",
        "g3\t\t1\t5\t6\t-",
        "g4\t\t1\t5\t6\t-",
        "g6\tF\t1\t5\t6\t-",
        "g6\tF\t1\t5\t6\t-",
    ]);
    let mut joined = join(expression, annotation).unwrap();
    let promoters = promoter::read(text(">g3\nACGT\n>ENSG2.9\nAC\n>ENSG2\nA\n>other\nC\n>g1.1\nNN\n")).unwrap();
    joined.attach_promoters(promoters).unwrap();
    let expected = IngestCounts {
        genes: 6,
        tissues: 2,
        expression_genes: 5,
        annotated_genes: 5,
        matched: 4,
        matched_by_symbol: 0,
        without_annotation: 1,
        without_profile: 2,
        all_zero: 1,
        with_holes: 1,
        without_promoter: 4,
        promoters_without_gene: 1,
        promoters_unknown: 1,
        duplicate_expression_rows: 1,
        duplicate_annotation_entries: 1,
        duplicate_promoters: 1,
        unknown_tissues: vec!["leaf".to_owned()],
    };
    assert_eq!(joined.counts(), &expected);
    let reference = joined.into_reference("test");
    let index = |id: &str| reference.find(&GeneId::parse(id).unwrap().0).unwrap();
    assert_eq!(
        (reference.gene(index("ENSG2")).symbol.as_str(), reference.gene(index("ENSG2")).version),
        ("BB", Some(5))
    );
    assert_eq!(reference.gene(index("g5")).symbol.as_str(), "E");
    assert!(reference.gene(index("g5")).locus.is_none());
    assert!(reference.expression(index("g3"))[0].is_nan(), "a hole stays unknown");
    assert_eq!(reference.promoter(index("ENSG2")).map(Promoter::bases), Some(&b"AC"[..]));
}

#[test]
fn symbols_lead_to_a_place_where_they_tell_one_gene() {
    let rows = ["ENSG1.1\tAAA\t1\t2", "ENSG2.1\tY_RNA\t1\t2", "ENSG3.1\tDUP\t1\t2", "ENSG4.1\tDUP\t1\t2"];
    let joined = join(expression(&rows), bed(&["AAA", "Y_RNA", "Y_RNA", "DUP"])).unwrap();
    assert_eq!((joined.counts().matched, joined.counts().matched_by_symbol), (1, 1));
    let first = &joined.records()[0].gene;
    assert_eq!((first.id.as_str(), first.symbol.as_str(), first.locus.is_some()), ("ENSG1", "AAA", true));
    assert_eq!(joined.counts().without_annotation, 3);
}

#[test]
fn files_that_do_not_meet_are_refused_with_a_guess() {
    let gct = || expression(&["ENSG00000000003.1\tTSPAN6\t1\t2"]);
    let cases = [
        (bed(&["DDX11L1"]), "ENSG00000000003 looks like an Ensembl identifier, DDX11L1 does not"),
        (table(&["ENSMUSG00000000001\tx\t1\t1\t2\t+"]), "ENSG and ENSMUSG are those of different species"),
        (table(&["ENSG00000000005\tx\t1\t1\t2\t+"]), "no gene of the expression table (ENSG00000000003, …)"),
        (table(&["ENSG00000000003\tx\t1\t1\t999999999\t+"]), "chr1 of GRCh38 has 248956422 bases"),
    ];
    for (annotation, expected) in cases {
        let error = join(gct(), annotation).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\nwanted {expected}");
    }
    let mut joined = join(gct(), table(&["ENSG00000000003\tx\t1\t1\t2\t+"])).unwrap();
    let error = joined.attach_promoters(promoter::read(text(">TSPAN6\nA\n")).unwrap()).unwrap_err().to_string();
    assert!(error.contains("no promoter (TSPAN6, …) belongs") && error.contains("Ensembl"), "{error}");
}

#[test]
fn records_that_break_the_invariant_are_refused() {
    let tissues = || vec![Tissue::from_name("Liver")];
    let new = |records| ReferenceTable::new(assembly(), Unit::Tpm, tissues(), records);
    for values in [&[][..], &[1.0, 2.0], &[-1.0], &[f32::INFINITY]] {
        assert!(matches!(new(vec![record("g", None, Some(values))]), Err(AssembleError::Expression(..))), "{values:?}");
    }
    let twice = vec![record("g", None, Some(&[1.0])), record("g", None, None)];
    assert!(matches!(new(twice), Err(AssembleError::DuplicateGene(_))));
    let unknown = new(vec![record("g", None, Some(&[f32::NAN]))]).unwrap();
    assert_eq!((unknown.records()[0].expression.as_ref(), unknown.counts().without_profile), (None, 1));
}

#[test]
fn the_version_is_the_contents() {
    let tissues = |names: &[&str]| names.iter().map(|name| Tissue::from_name(name)).collect::<Vec<_>>();
    let version = |unit, names: &[&str], records| {
        ReferenceTable::new(assembly(), unit, tissues(names), records).unwrap().version()
    };
    let records = || vec![record("a", None, Some(&[1.0])), record("b", None, Some(&[0.0]))];
    let base = version(Unit::Tpm, &["Liver"], records());
    assert_eq!(base.len(), 16);
    let mut turned = records();
    turned.reverse();
    assert_eq!(version(Unit::Tpm, &["Liver"], turned), base, "the order of the records is no content");
    let mut holes = records();
    holes[1].expression = None;
    let mut promoters = records();
    promoters[1].promoter = Some(Promoter::parse(b"A").unwrap());
    let mut symbol = records();
    symbol[1].gene.symbol = GeneSymbol::new("B");
    let others = [
        version(Unit::Rpkm, &["Liver"], records()),
        version(Unit::Tpm, &["Lung"], records()),
        version(Unit::Tpm, &["Liver"], holes),
        version(Unit::Tpm, &["Liver"], promoters),
        version(Unit::Tpm, &["Liver"], symbol),
        version(Unit::Tpm, &["Liver"], records()[..1].to_vec()),
    ];
    let distinct: HashSet<&String> = others.iter().chain([&base]).collect();
    assert_eq!(distinct.len(), others.len() + 1);
}
