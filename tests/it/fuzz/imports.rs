//! The importers of models: whatever the bytes, an error or a model that can be stored and loaded again.

use std::io::Cursor;
use std::path::Path;

use tissuecast::genome::liftover::LiftoverMap;
use tissuecast::genome::{Assembly, Chromosome, Position};
use tissuecast::model::expression::{GenotypeModel as _, linear_file};
use tissuecast::model::import::extras::{Chain, lift};
use tissuecast::model::import::{Draft, Format, Imported, Naming, frequencies, fusion, head, scoring_file, tigar};
use tissuecast::reference::source::Source;
use tissuecast::store::predictdb;

use super::seeds::{gzip, inflated};
use super::{Case, hunt};

const FUSION: &str = "gene\tchr\tsnp\tpos_hg19\ta1_effect\ta2\tlasso\tenet\n\
    B\t22\trs2\t20\tT\tC\t0\t-0.5\nB\t22\trs1\t10\tA\tG\t0.25\t0.5\nA\t1\trs3\t7\tA\t*\t1\t1\n\
    A\t1\trs4\t8\tA\tC\tNA\t1e-3\nENSG00000000001.4\tX\t1:5:A:T\t9\tAAT\tA\t1\t2\n";
const FUSION_MODELS: &str = "gene\tn_snps\thsq\tcv_r2_enet\nB\t2\t0.1\t-0.01\nA\t3\t0.1\t0.2\n";
const TIGAR: &str = "#CHROM\tPOS\tsnpID\tREF\tALT\tTargetID\tn_miss\tMAF\tES\tCVR2\n\
    1\t11\t1:11:A:T\tA\tT\tENSG1.4\t0\t0.75\t1.5e-6\t0.25\n1\t23\trs9\tAATGTT\tA\tENSG1.4\t0\t0.2\t-2\t0.25\n\
    1\t90\trs9\tA\tC\tENSG1.4\t0\t0.5\t-2\t0.25\n";
const SCORE: &str = "###PGS CATALOG SCORING FILE\n#format_version=2.0\n#pgs_id=PGS000001\n#genome_build=GRCh37\n\
    rsID\tchr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\tallelefrequency_effect\tis_recessive\n\
    rs1\t5\t9\tA\tG\t0.5\t0.1\tFalse\nrs2\t5\t8\tA\t\t0.5\t\tFalse\nrs3\t5\t7\tA\tG\t0.5\t\tTrue\n";
const HARMONISED: &str = "#genome_build=GRCh37\n#HmPOS_build=GRCh38\n\
    rsID\teffect_allele\teffect_weight\thm_chr\thm_pos\thm_rsID\thm_inferOtherAllele\n\
    rs1\tA\t0.5\t5\t11\trs11\tG\nrs2\tA\t1\t5\t12\trs12\tG/T\n";
const AFREQ: &str = "#CHROM\tID\tREF\tALT\tALT_FREQS\tOBS_CT\n22\trs1\tG\tA\t0.25\t9\n22\trs2\tT\tC\t0.125\t9\n\
    1\t1:8:C:A\tC\tA\t0.5,0.1\t9\n";
const FRQ: &str = " CHR  SNP   A1   A2   MAF  NCHROBS\n  22  rs1  A  G  0.25  9\n  22  rs2  C  T  0.125  9\n";
const CHAIN: &str = "# made by hand\nchain 100 1 100 + 10 50 2 200 + 110 145 1\n20 10 5\n10\n\n\
    chain 50 1 100 + 45 60 3 30 - 5 20 2\n15\n";

fn source(bytes: &[u8]) -> Option<Source> {
    Source::from_read("test", Cursor::new(bytes.to_vec())).ok()
}

/// Builds, stores and loads what was read.
fn finish(draft: Draft) -> bool {
    let stated = Assembly::parse("GRCh37").unwrap();
    let Ok(built) = draft.build(Some(&stated)) else { return false };
    let rows = built.model.variants().rows.len();
    assert!(rows > 0 && (0..rows).all(|row| built.model.weight(row).is_some_and(f64::is_finite)));
    let Ok(imported) = Imported::new(built, None, Naming::default()) else { return false };
    let loaded = linear_file::load(&imported.files).unwrap();
    assert_eq!(loaded.variants().rows.len(), rows);
    true
}

fn each(texts: &[&str]) -> Vec<Vec<Vec<u8>>> {
    texts.iter().flat_map(|text| [vec![text.as_bytes().to_vec()], vec![gzip(text.as_bytes())]]).collect()
}

#[test]
fn fusion_tables() {
    let seeds = vec![vec![FUSION.into(), FUSION_MODELS.into()]];
    hunt("fusion", seeds, |case| {
        let wanted = [None, Some("enet"), Some("lasso")][(case.choice % 3) as usize];
        let Some(weights) = source(&case.files[0]) else { return false };
        fusion::read(weights, wanted, source(&case.files[1])).is_ok_and(finish)
    });
}

#[test]
fn tigar_tables() {
    hunt("tigar", each(&[TIGAR]), |case| {
        source(&case.files[0]).is_some_and(|file| tigar::read(file).is_ok_and(finish))
    });
}

#[test]
fn scoring_files() {
    let target = |case: &Case| {
        let read = |file| scoring_file::read(file, "stem");
        // One of the seeds is of the other assembly, which is an error of its own.
        source(&case.files[0]).is_some_and(|file| read(file).is_ok_and(|draft| finish(draft) || case.choice == 0))
    };
    hunt("scoring file", each(&[SCORE, HARMONISED]), target);
}

#[test]
fn frequency_tables() {
    hunt("frequencies", each(&[AFREQ, FRQ]), |case| {
        let draft = fusion::read(source(FUSION.as_bytes()).unwrap(), None, None).unwrap();
        let mut built = draft.build(None).unwrap();
        let filled = source(&case.files[0]).is_some_and(|file| frequencies::fill(&mut built, file).is_ok());
        let known = built.model.variants().rows.iter().filter_map(|row| row.frequency);
        assert!(known.into_iter().all(|frequency| (0.0..=1.0).contains(&frequency)));
        filled
    });
}

#[test]
fn chain_files() {
    hunt("chain", vec![vec![CHAIN.into()]], |case| {
        let Ok(map) = LiftoverMap::read(case.files[0].as_slice()) else { return false };
        for first in [1, 11, 12, 29, 30, 31, 46, 60, 99, 100, 101, u32::MAX] {
            for length in [0, 1, 6, 100, u32::MAX] {
                let _ = map.lift(&Chromosome::parse("1").unwrap(), Position::new(first).unwrap(), length);
            }
        }
        let to = Assembly::parse("theirs").unwrap();
        let chain = Chain { map, to, file: "test".to_owned(), sha256: String::new() };
        let draft = tigar::read(source(TIGAR.as_bytes()).unwrap()).unwrap();
        let mut built = draft.build(Some(&Assembly::parse("mine").unwrap())).unwrap();
        lift(&mut built, &chain).is_ok()
    });
}

#[test]
fn predictdb_files() {
    let database = inflated("generator/seed1/model.db.gz");
    let seeds = vec![vec![gzip(&database)], vec![database]];
    hunt("predictdb", seeds, |case| {
        // A file of its own for each thread of the process.
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &case.files[0]).unwrap();
        read_database(file.path())
    });
}

fn read_database(path: &Path) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(predictdb::read(path)).is_ok_and(|draft| {
        let Ok(built) = draft.build(None) else { return false };
        Imported::new(built, None, Naming::default()).is_ok()
    })
}

#[test]
fn formats_by_their_heads() {
    let seeds = each(&[FUSION, FUSION_MODELS, TIGAR, SCORE, HARMONISED]);
    hunt("heads", seeds, |case| head(case.files[0].as_slice()).is_ok_and(|head| Format::detect(&head).is_ok()));
}
