use std::io::Cursor;

use proptest::prelude::*;

use super::draft::Built;
use super::extras::{Chain, annotate, lift};
use super::*;
use crate::genome::Assembly;
use crate::genome::liftover::LiftoverMap;
use crate::reference::annotation;
use crate::reference::source::Source;

fn source(text: &str) -> Source {
    Source::from_read("test", Cursor::new(text.as_bytes().to_vec())).unwrap()
}

/// Rows as `gene id chromosome:position other>effect weight frequency`.
fn rows(built: &Built) -> Vec<String> {
    let table = built.model.variants();
    let genes = built.model.genes().iter().flat_map(|gene| gene.rows.clone().map(move |row| (gene, row)));
    genes
        .map(|(gene, index)| {
            let row = &table.rows[index];
            let id = row.id.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            let place = row.place.as_ref().map_or_else(|| "-".to_owned(), |(c, p)| format!("{c}:{p}"));
            let weight = built.model.weight(index).unwrap();
            let frequency = row.frequency.map_or_else(|| "-".to_owned(), |x| x.to_string());
            format!("{} {id} {place} {}>{} {weight} {frequency}", gene.name, row.other, row.effect)
        })
        .collect()
}

fn left_out(built: &Built) -> Vec<(&str, usize)> {
    built.left_out.iter().map(|(why, count)| (why.as_str(), *count)).collect()
}

const FUSION: &str = "gene\tchr\tsnp\tpos_hg19\ta1_effect\ta2\tlasso\tenet\n\
    B\t22\trs2\t20\tT\tC\t0\t-0.5\n\
    B\t22\trs1\t10\tA\tG\t0.25\t0.5\n\
    A\t1\trs3\t7\tA\t*\t1\t1\n\
    A\t1\trs4\t8\tA\tC\tNA\t1e-3\n";

#[test]
fn fusion_takes_the_column_that_is_asked_for() {
    let models = "gene\tn_snps\thsq\tcv_r2_enet\nB\t2\t0.1\t-0.01\nC\t3\t0.1\t0.2\n";
    let built = fusion::read(source(FUSION), None, Some(source(models))).unwrap().build(None).unwrap();
    assert_eq!(rows(&built), ["B rs1 chr22:10 G>A 0.5 -", "B rs2 chr22:20 C>T -0.5 -", "A rs4 chr1:8 C>A 0.001 -"]);
    assert_eq!(left_out(&built), [("an allele is not made of bases", 1)]);
    assert_eq!(built.model.variants().assembly.as_ref().map(Assembly::as_str), Some("GRCh37"));
    let accuracy = built.model.genes()[0].accuracy.clone().unwrap();
    assert_eq!((accuracy.r2, accuracy.kind.as_str()), (Some(-0.01), "cross-validation"));
    assert!(built.model.genes()[1].accuracy.is_none());
    let lasso = fusion::read(source(FUSION), Some("LASSO"), None).unwrap().build(None).unwrap();
    assert_eq!(rows(&lasso), ["B rs1 chr22:10 G>A 0.25 -"]);
    assert_eq!(
        left_out(&lasso),
        [("an allele is not made of bases", 1), ("the weight is not a finite number", 1), ("the weight is zero", 1)]
    );
}

#[test]
fn fusion_says_what_is_not_clear() {
    let several = FUSION.replace("enet", "blup");
    let cases = [
        (several.as_str(), None, "several columns of weights: choose one of lasso, blup with --weights"),
        (FUSION, Some("top1"), "no column of weights 'top1': there is lasso, enet"),
        ("gene\tchr\tsnp\ta1_effect\tw\n", None, "test lacks a2; it has gene, chr, snp, a1_effect, w"),
        ("gene\tchr\tsnp\tpos_hg19\ta1_effect\ta2\tw\nA\t1\trs1\t5\tA\tC\tx\n", None, "line 2, column 7 (w): \"x\""),
        ("gene\tchr\tsnp\tpos_hg19\ta1_effect\ta2\tw\nA\t1\n", None, "line 2: 2 tab-separated fields where 7"),
    ];
    for (text, wanted, expected) in cases {
        let error = fusion::read(source(text), wanted, None).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\nwanted {expected}");
    }
}

#[test]
fn tigar_counts_the_alternative_allele() {
    let text = "#CHROM\tPOS\tsnpID\tREF\tALT\tTargetID\tn_miss\tMAF\tES\tCVR2\n\
        1\t12041\t1:12041:A:T\tA\tT\tENSG1.4\t0\t0.75\t1.5e-6\t0.25\n\
        1\t13739\trs9\tAATGTT\tA\tENSG1.4\t0\t2\t-2\t0.25\n\
        1\t0\trs9\tA\tC\tENSG1.4\t0\t0.5\t-2\t0.25\n";
    let draft = || tigar::read(source(text)).unwrap();
    assert!(matches!(draft().build(None), Err(ImportError::NoAssembly)));
    let built = draft().build(Some(&Assembly::parse("hg19").unwrap())).unwrap();
    assert_eq!(rows(&built), ["ENSG1.4 - chr1:12041 A>T 0.0000015 0.75", "ENSG1.4 rs9 chr1:13739 AATGTT>A -2 -"]);
    assert_eq!(left_out(&built), [("the place makes no sense", 1)]);
    assert!(built.model.variants().other_is_reference);
    assert_eq!(built.model.genes()[0].accuracy.as_ref().unwrap().r2, Some(0.25));
}

#[test]
fn a_scoring_file_is_one_gene() {
    let text = "###PGS CATALOG SCORING FILE\n#format_version=2.0\n#pgs_id=PGS000001\n#genome_build=GRCh37\n\
        rsID\tchr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\tallelefrequency_effect\tis_recessive\n\
        rs1\t5\t9\tA\tG\t0.5\t0.1\tFalse\n\
        rs2\t5\t8\tA\t\t0.5\t\tFalse\n\
        rs3\t5\t7\tA\tG\t0.5\t\tTrue\n\
        rs4\t5\t7\tG\tC\t-0.5\t\tFalse\n";
    let built = scoring_file::read(source(text), "stem").unwrap().build(None).unwrap();
    assert_eq!(rows(&built), ["PGS000001 rs4 chr5:7 C>G -0.5 -", "PGS000001 rs1 chr5:9 G>A 0.5 0.1"]);
    let expected = [("the other allele is not given", 1), ("the weight is not one of a variant's dosage", 1)];
    assert_eq!(left_out(&built), expected);
    let harmonised = "#genome_build=GRCh37\n#HmPOS_build=GRCh38\n\
        rsID\teffect_allele\teffect_weight\thm_chr\thm_pos\thm_rsID\thm_inferOtherAllele\n\
        rs1\tA\t0.5\t5\t11\trs11\tG\nrs2\tA\t1\t5\t12\trs12\tG/T\n";
    let built = scoring_file::read(source(harmonised), "my score").unwrap().build(None).unwrap();
    assert_eq!(rows(&built), ["my_score rs11 chr5:11 G>A 0.5 -"]);
    assert_eq!(built.model.variants().assembly.as_ref().map(Assembly::as_str), Some("GRCh38"));
    let other = scoring_file::read(source(harmonised), "s").unwrap().build(Some(&Assembly::parse("hg19").unwrap()));
    let error = other.unwrap_err().to_string();
    assert!(error.contains("are of GRCh38, but --assembly says GRCh37"), "{error}");
}

#[test]
fn doubled_and_empty_rows_are_counted() {
    let mut draft = Draft::new(Format::Tigar, true);
    let row = Row { gene: "G", id: "rs1", place: None, other: "A", effect: "C", weight: Some(1.0), frequency: None };
    let swapped = Row { other: "C", effect: "A", ..row };
    let others = [
        Row { id: ".", ..row },
        Row { gene: "", ..row },
        Row { other: "C", ..row },
        Row { weight: Some(f64::INFINITY), ..row },
        Row { id: "1_5_A_C_b37", ..row },
        Row { id: "1_6_A_C_b38", ..row },
    ];
    [row, row, swapped].into_iter().chain(others).for_each(|row| draft.add(row).unwrap());
    let built = draft.build(None).unwrap();
    assert_eq!(rows(&built), ["G rs1 - A>C 1 -", "G - chr1:5 A>C 1 -"]);
    let expected = [
        ("both alleles are the same", 1),
        ("the gene has a weight for this variant already", 2),
        ("the gene has no usable name", 1),
        ("the position is of another assembly than the file's others", 1),
        ("the variant has neither identifier nor place", 1),
        ("the weight is not a finite number", 1),
    ];
    assert_eq!(left_out(&built), expected);
    let empty = Draft::new(Format::Tigar, true).build(None).unwrap_err().to_string();
    assert!(empty.contains("no weight of the file can be used: it has none"), "{empty}");
}

#[test]
fn frequencies_are_those_of_the_effect_allele() {
    let afreq = "#CHROM\tID\tREF\tALT\tALT_FREQS\tOBS_CT\n22\trs1\tG\tA\t0.25\t9\n22\trs2\tT\tC\t0.125\t9\n\
        1\t1:8:C:A\tC\tA\t0.5,0.1\t9\n1\trs4\tC\tG\t0.5\t9\n";
    let frq = " CHR  SNP   A1   A2   MAF  NCHROBS\n  22  rs1  A  G  0.25  9\n  22  rs2  C  T  0.125  9\n";
    for text in [afreq, frq] {
        let mut built = fusion::read(source(FUSION), None, None).unwrap().build(None).unwrap();
        assert_eq!(frequencies::fill(&mut built, source(text)).unwrap(), 2);
        let found: Vec<_> = built.model.variants().rows.iter().map(|row| row.frequency).collect();
        assert_eq!(found, [Some(0.25), Some(0.875), None]);
    }
}

#[test]
fn an_annotation_gives_places_by_identifier_or_symbol() {
    let text = "gene_id\tname\tbiotype\tchrom\tstart\tend\tstrand\nENSG1\tB\tx\t22\t5\t6\t+\nA\tAA\tx\t7\t5\t6\t+\n";
    let annotation = annotation::read(source(text)).unwrap();
    let mut built = fusion::read(source(FUSION), None, None).unwrap().build(None).unwrap();
    assert_eq!(annotate(&mut built, &annotation).unwrap(), 1);
    let genes = built.model.genes();
    assert_eq!(genes[0].locus.as_ref().map(|(chromosome, ..)| chromosome.as_str()), Some("chr22"));
    assert!(genes[1].locus.is_none(), "its variants lie on another chromosome");
}

fn chain(text: &str, to: &str) -> Chain {
    Chain {
        map: LiftoverMap::read(text.as_bytes()).unwrap(),
        to: Assembly::parse(to).unwrap(),
        file: "test".to_owned(),
        sha256: String::new(),
    }
}

#[test]
fn liftover_counts_every_row() {
    // TIGAR's ALT counts; a deletion of AATGTT is turned round with all its bases.
    let text = "CHROM\tPOS\tREF\tALT\tTargetID\tES\n1\t11\tA\tC\tG\t1\n1\t50\tAATGTT\tA\tG\t1\n\
        1\t90\tA\tC\tG\t1\n1\t15\tA\tC\tG\t1\n1\t29\tAATGTT\tA\tG\t1\n";
    let mut built = tigar::read(source(text)).unwrap().build(Some(&Assembly::parse("mine").unwrap())).unwrap();
    let two = "chain 1 1 100 + 10 30 1 200 + 110 130 1\n20\n\nchain 1 1 100 + 40 60 1 200 - 100 120 2\n20\n\n\
        chain 1 1 100 + 14 15 2 200 + 0 1 3\n1\n";
    let report = lift(&mut built, &chain(two, "theirs")).unwrap();
    assert_eq!((report.lifted, report.reversed, report.unmapped, report.multiple), (2, 1, 2, 1));
    let lifted = built.model.variants().lifted.as_ref().unwrap();
    let places: Vec<_> =
        lifted.places.iter().map(|place| place.as_ref().map(|p| (p.position.get(), p.reversed))).collect();
    // Bases 50–55 are 109–114 from 0 on the reverse strand of 200 bases: 86–91 on the forward strand.
    assert_eq!(places, [Some((111, false)), None, None, Some((86, true)), None]);
}

#[test]
fn a_chain_the_wrong_way_says_so() {
    let mut built = fusion::read(source(FUSION), None, None).unwrap().build(None).unwrap();
    let head = "chain 1 22 50818468 + 0 9 22 51304566 + 0 9 1\n9\n";
    let error = lift(&mut built, &chain(head, "GRCh38")).unwrap_err().to_string();
    assert!(error.contains("does not start from the model's assembly GRCh37: it leads to it"), "{error}");
    let right = "chain 1 22 51304566 + 0 9 22 50818468 + 0 9 1\n9\n";
    let error = lift(&mut built, &chain(right, "hg19")).unwrap_err().to_string();
    assert!(error.contains("--chain-to is the same one"), "{error}");
    lift(&mut built, &chain(right, "hg38")).unwrap();
    assert_eq!(Chain::target_of_name("hg38ToHg19.over.chain.gz"), Assembly::parse("GRCh37").ok());
    assert_eq!(Chain::target_of_name("my.chain"), None);
}

#[test]
fn formats_are_recognised_by_content() {
    let cases: [(&[u8], Format); 6] = [
        (b"SQLite format 3\0...", Format::PredictDb),
        (FUSION.as_bytes(), Format::Fusion),
        (b"gene\tn_snps\thsq\tcv_r2_enet\n", Format::FusionModels),
        (b"#CHROM POS REF ALT TargetID ES\n", Format::Tigar),
        (b"#pgs_id=1\n\nrsID\teffect_allele\teffect_weight\n", Format::ScoringFile),
        (b"\xef\xbb\xbfCHROM\tPOS\tREF\tALT\tTargetID\tES\n", Format::Tigar),
    ];
    for (head, format) in cases {
        assert_eq!(Format::detect(head).unwrap(), format);
    }
    assert!(matches!(Format::detect(b"RDX3\nX\n"), Err(ImportError::RData)));
    for junk in [&b""[..], b"hello", b"\0\xff", b"# x\n"] {
        assert!(matches!(Format::detect(junk), Err(ImportError::UnknownFormat)), "{junk:?}");
    }
}

proptest! {
    #[test]
    fn never_panics(body in "[a-zA-Z0-9.:_#*\\-\t\n ]{0,120}", junk in any::<Vec<u8>>()) {
        let _ = Format::detect(&junk);
        let grch38 = Assembly::parse("hg38").unwrap();
        let heads = [
            "gene\tchr\tsnp\tpos_hg19\ta1_effect\ta2\tlasso\tenet\n",
            "CHROM POS REF ALT TargetID ES MAF CVR2\n",
            "rsID\teffect_allele\tother_allele\teffect_weight\thm_chr\thm_pos\n",
        ];
        for head in heads {
            let text = format!("{head}{body}");
            for draft in [fusion::read(source(&text), None, None), tigar::read(source(&text)), scoring_file::read(source(&text), "s")] {
                let _ = draft.and_then(|draft| draft.build(Some(&grch38)));
            }
        }
        let mut built = fusion::read(source(FUSION), None, None).unwrap().build(None).unwrap();
        let _ = frequencies::fill(&mut built, source(&format!("CHR SNP A1 A2 MAF\n{body}")));
    }
}
