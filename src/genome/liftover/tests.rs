use std::fs::File;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

/// What was recorded with pyliftover 0.4.1 on UCSC's hg38ToHg19.over.chain; positions count from 1.
type Recorded = (&'static str, u32, Option<(&'static str, u32, bool)>);
const RECORDED: [Recorded; 30] = [
    ("chr20", 17_142_625, Some(("chr20", 17_123_270, false))),
    ("chrY", 24_060_911, Some(("chrY", 26_207_058, false))),
    ("chrX", 142_281_491, Some(("chrX", 141_369_277, false))),
    ("chr1", 225_579_232, Some(("chr1", 225_766_934, false))),
    ("chr15", 33_427_282, Some(("chr15", 33_719_483, false))),
    ("chr6", 30_388_496, Some(("chr6", 30_356_273, false))),
    ("chr12", 62_957_382, Some(("chr12", 63_351_162, false))),
    ("chr8", 102_208_925, Some(("chr8", 103_221_153, false))),
    ("chr18", 13_686_773, Some(("chr18", 13_686_772, false))),
    ("chr19", 16_732_302, Some(("chr19", 16_843_113, false))),
    ("chr21", 3_479_813, None),
    ("chr9", 48_875_564, None),
    ("chr15", 17_005_284, None),
    ("chr11", 53_388_947, None),
    ("chr9", 138_292_275, Some(("chr11", 115_387, true))),
    ("chr9", 41_544_590, Some(("chr9", 67_891_080, true))),
    ("chr22", 16_102_705, Some(("chr2", 132_949_113, true))),
    ("chr20", 28_900_296, Some(("chr14", 47_234_146, true))),
    ("chr9", 67_468_789, Some(("chr9", 38_895_167, true))),
    ("chr1", 122_377_980, Some(("chr1", 121_483_102, true))),
    ("chr1", 146_080_045, Some(("chr1", 145_353_417, true))),
    ("chrX", 61_897_898, Some(("chrX", 58_576_178, true))),
    ("chr1", 145_052_092, Some(("chr1", 143_957_032, true))),
    ("chr21", 10_673_858, Some(("chr21", 10_838_599, true))),
    ("chr9", 66_825_280, Some(("chr9", 40_867_565, true))),
    ("chr9", 67_343_598, Some(("chr9", 47_249_393, true))),
    ("chr1", 145_988_260, Some(("chr1", 145_446_813, true))),
    ("chr21", 5_528_383, Some(("chr17_gl000205_random", 8042, true))),
    ("chr11", 54_829_255, Some(("chr11", 51_290_025, true))),
    ("chr9", 67_070_842, Some(("chr9", 40_621_999, true))),
];

/// Two chains: bases 11–30 and 41–50 of a to b with a gap in b only; bases 46–60 of a to c, turned round.
const SMALL: &str = "# made by hand\n\
    chain 100 1 100 + 10 50 2 200 + 110 145 1\n20 10 5\n10\n\n\
    chain 50 1 100 + 45 60 3 30 - 5 20 2\n15\n";

fn lift(map: &LiftoverMap, chromosome: &str, first: u32, length: u32) -> Option<(String, u32, bool)> {
    let lifted = map.lift(&Chromosome::parse(chromosome).unwrap(), Position::new(first).unwrap(), length);
    match lifted {
        Lift::At { chromosome, position, reversed } => Some((chromosome.as_str().to_owned(), position.get(), reversed)),
        Lift::Nowhere => None,
        Lift::Several => Some(("several".to_owned(), 0, false)),
    }
}

#[test]
fn a_small_chain_by_hand() {
    let map = LiftoverMap::read(SMALL.as_bytes()).unwrap();
    let cases = [
        (10, 1, None),
        (11, 1, Some(("chr2", 111, false))),
        (30, 1, Some(("chr2", 130, false))),
        (31, 1, None),
        (41, 1, Some(("chr2", 136, false))),
        // A span over a gap has no place.
        (30, 2, None),
        (29, 2, Some(("chr2", 129, false))),
        (46, 1, Some(("several", 0, false))),
        // c is 30 long and the chain's strand is -: its base 5 from the end, from 0, is base 25 from 1.
        (51, 1, Some(("chr3", 20, true))),
        (60, 1, Some(("chr3", 11, true))),
        (51, 3, Some(("chr3", 18, true))),
        (60, 2, None),
        (61, 1, None),
        (u32::MAX, 5, None),
    ];
    for (first, length, expected) in cases {
        let expected = expected.map(|(chromosome, position, reversed)| (chromosome.to_owned(), position, reversed));
        assert_eq!(lift(&map, "chr1", first, length), expected, "{first}+{length}");
    }
    assert_eq!(lift(&map, "chr9", 5, 1), None);
}

#[test]
fn malformed_chains_name_the_line() {
    let cases = [
        ("", "line 0 of the chain file: the file ends before its first chain"),
        ("hello\n", "line 1 of the chain file: not the head of a chain"),
        ("chain 1 1 100 - 0 5 2 9 + 0 5 1\n5\n", "not the head of a chain"),
        ("chain 1 1 100 + 0 5 2 9 + 0 5 1\nx\n", "line 2 of the chain file: not a block"),
        ("chain 1 1 100 + 0 5 2 9 + 0 5 1\n6\n", "line 2 of the chain file: a block ends past its chain"),
        ("chain 1 1 100 + 0 5 2 9 + 0 5 1\n4\n", "blocks end before the chain does"),
        ("chain 1 1 100 + 0 5 2 9 + 0 5 1\n2 1 1\n", "line 2 of the chain file: the file ends inside a chain"),
        ("chain 1 1 4 + 0 5 2 9 + 0 5 1\n5\n", "not the head of a chain"),
        (
            "chain 1 1 9 + 0 1 2 9 + 0 1 1\n1\n\nchain 1 1 8 + 0 1 2 9 + 0 1 1\n1\n",
            "line 4 of the chain file: the chromosome has another size",
        ),
    ];
    for (text, expected) in cases {
        let error = LiftoverMap::read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\nwanted {expected}");
    }
}

#[test]
fn the_real_chain_gives_what_another_program_gives() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/annotation/hg38ToHg19.over.chain.gz");
    let Ok(opened) = File::open(&file) else {
        eprintln!("SKIPPED: no real data at {}", file.display());
        return;
    };
    let map = LiftoverMap::read(opened).unwrap();
    for (chromosome, first, expected) in RECORDED {
        let expected = expected.map(|(chromosome, position, reversed)| (chromosome.to_owned(), position, reversed));
        assert_eq!(lift(&map, chromosome, first, 1), expected, "{chromosome}:{first}");
    }
    let (grch38, grch37) = (Assembly::parse("hg38").unwrap(), Assembly::parse("hg19").unwrap());
    assert_eq!((map.starts_from(&grch38), map.leads_to(&grch37)), (Some(true), Some(true)));
    assert_eq!((map.starts_from(&grch37), map.leads_to(&grch38)), (Some(false), Some(false)));
}

proptest! {
    #[test]
    fn never_panics(junk in any::<Vec<u8>>(), words in "(chain|[0-9+\\- ]){0,40}\n[0-9 \n]{0,30}", at in 1u32.., length in any::<u32>()) {
        let _ = LiftoverMap::read(&junk[..]);
        for text in [words.clone(), format!("chain 1 1 100 + 0 50 2 90 - 0 50 1\n{words}")] {
            if let Ok(map) = LiftoverMap::read(text.as_bytes()) {
                let _ = lift(&map, "1", at, length);
            }
        }
        let _ = lift(&LiftoverMap::read(SMALL.as_bytes()).unwrap(), "1", at, length);
    }
}
