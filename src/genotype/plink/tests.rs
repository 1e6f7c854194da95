//! Bed, bim and fam files made here and by PLINK.

use std::fmt::Write;
use std::io::Cursor;
use std::path::PathBuf;

use proptest::prelude::*;

use super::PlinkSource;
use crate::genome::Position;
use crate::genotype::input::Input;
use crate::genotype::{DosageRow, GenotypeError, GenotypeSource, Place, ReadLimits, Sex};

fn input(name: &str, bytes: &[u8], limits: &ReadLimits) -> Input {
    Input::new(name, Cursor::new(bytes.to_vec()), limits).unwrap()
}

fn open_with(bed: &[u8], bim: &str, fam: &str, limits: &ReadLimits) -> Result<PlinkSource, GenotypeError> {
    let [bed, bim, fam] = [("x.bed", bed), ("x.bim", bim.as_bytes()), ("x.fam", fam.as_bytes())]
        .map(|(name, bytes)| input(name, bytes, limits));
    PlinkSource::open(bed, bim, fam, limits)
}

fn open(bed: &[u8], bim: &str, fam: &str) -> Result<PlinkSource, GenotypeError> {
    open_with(bed, bim, fam, &ReadLimits::default())
}

/// Reads all, with the dosages of every `every`th variant.
fn drain(source: &mut PlinkSource, every: u64) -> Result<u64, GenotypeError> {
    let mut row = DosageRow::default();
    let mut count = 0;
    while source.next_site()?.is_some() {
        if count % every == 0 {
            source.dosages(1, &mut row)?;
            source.dosages(0, &mut row)?;
        }
        count += 1;
    }
    Ok(count)
}

fn family(samples: usize) -> String {
    (1..=samples).fold(String::new(), |mut text, sample| {
        let _ = writeln!(text, "F{sample} I{sample} 0 0 {} -9", sample % 3);
        text
    })
}

const BIM: &str = "1\trs1\t0\t100\tA\tG\n23 rs2 0.5 0 0 C\n0\t.\t0\t5\tAT\tA\n";

#[test]
fn sites_and_dosages_are_read_as_plink_means_them() {
    // Five people, two bytes a variant: codes hom A1, missing, het, hom A2, hom A1.
    let bed = [0x6c, 0x1b, 1, 0b11_10_01_00, 0, 0b11_10_01_00, 0b01, 0xff, 0b11];
    let mut source = open(&bed, BIM, &family(5)).unwrap();
    assert_eq!(source.format(), "plink");
    let people: Vec<_> = source.samples().iter().map(|s| (&*s.id, s.family.as_deref(), s.sex)).collect();
    assert_eq!(people[0], ("I1", Some("F1"), Sex::Male));
    assert_eq!((people[1].2, people[2].2), (Sex::Female, Sex::Unknown));

    let mut row = DosageRow::default();
    let site = source.next_site().unwrap().unwrap();
    assert_eq!((site.chromosome.unwrap().as_str(), site.position), ("chr1", Position::new(100)));
    assert_eq!((site.ids, site.reference, site.alternatives), ("rs1", "G", "A"));
    assert_eq!(source.place(), Place::Record(1));
    source.dosages(1, &mut row).unwrap();
    assert_eq!(format!("{:?}", row.values), "[2.0, NaN, 1.0, 0.0, 2.0]");
    assert_eq!(row.missing, 1);
    source.dosages(0, &mut row).unwrap();
    assert_eq!(format!("{:?}", row.values), "[0.0, NaN, 1.0, 2.0, 0.0]");
    let error = source.dosages(2, &mut row).unwrap_err().to_string();
    assert_eq!(error, "x.bed, record 1: it has no allele 2: its alleles are 0 to 1");

    let site = source.next_site().unwrap().unwrap();
    assert_eq!((site.chromosome.unwrap().as_str(), site.position), ("chrX", None));
    assert_eq!((site.reference, site.alternatives), ("C", "."));

    let site = source.next_site().unwrap().unwrap();
    assert_eq!((site.chromosome, site.position, site.ids), (None, Position::new(5), "."));
    source.dosages(1, &mut row).unwrap();
    assert_eq!((row.values.as_slice(), row.missing), (&[0.0; 5][..], 0));
    assert!(source.next_site().unwrap().is_none());
    assert!(source.next_site().unwrap().is_none(), "the end stays the end");
}

#[test]
fn files_that_are_no_plink_files_are_refused() {
    let cases: [(&[u8], &str, &str); 12] = [
        (&[0x6c, 0x1b, 0, 0], BIM, "x.bed: it lists the genotypes person by person (individual-major): convert it"),
        (&[0x6c, 0x1b, 2, 0], BIM, "x.bed: it is a PLINK 2 file (pgen)"),
        (b"chr1\t0\t100\n", BIM, "x.bed: it is no bed file of PLINK: it has to begin with the bytes 6c 1b 01"),
        (&[0x6c, 0x1b], BIM, "x.bed: it is no bed file"),
        (
            &[0x6c, 0x1b, 1, 0, 0, 0, 0, 0],
            BIM,
            "it has 5 bytes of genotypes where 3 variants (x.bim) of 5 samples (x.fam) take 6: it was cut off",
        ),
        (&[0x6c, 0x1b, 1, 0], BIM, "it has 1 bytes of genotypes where 3 variants (x.bim) of 5 samples (x.fam) take 6"),
        (
            &[0x6c, 0x1b, 1, 0, 0, 0, 0, 0, 0, 9, 9],
            BIM,
            "it has 8 bytes of genotypes where 3 variants (x.bim) of 5 samples (x.fam) take 6: something was added",
        ),
        (&[0x6c, 0x1b, 1, 0, 0], "1 rs1 0 100 A\n", "x.bim, line 1: it has 5 fields where 6 are expected"),
        (&[0x6c, 0x1b, 1, 0, 0], "1 rs1 0 100 A G G\n", "x.bim, line 1: it has more than 6 fields"),
        (&[0x6c, 0x1b, 1, 0, 0], "\n1 rs1 0 10x A G\n", "x.bim, line 2: position: '10x' is not a position"),
        (&[0x6c, 0x1b, 1, 0, 0], "1 rs1 0 5000000000 A G\n", "x.bim, line 1: position: '5000000000' is not a position"),
        (&[0x6c, 0x1b, 1, 0, 0], "1 rs1 0 10 A,C G\n", "x.bim, line 1: allele: there is a comma in it"),
    ];
    for (bed, bim, expected) in cases {
        for every in [1, 2, 99] {
            let error = open(bed, bim, &family(5)).and_then(|mut source| drain(&mut source, every)).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}\nwanted {expected}");
        }
    }
}

#[test]
fn samples_that_cannot_be_are_refused() {
    let limits = ReadLimits { samples: 2, ..ReadLimits::default() };
    let cases = [
        ("", "x.fam: it has no samples"),
        ("f a 0 0 1\n", "x.fam, line 1: it has 5 fields where 6 are expected"),
        ("f a b 0 0 1 -9\n", "x.fam, line 1: it has more than 6 fields where 6 are expected"),
        ("f a 0 0 1 1\ng a 0 0 1 1\n", "x.fam: IID: samples 1 and 2 are both 'a': IIDs have to be unique, even where"),
        ("f a 0 0 1 1\n\nf b 0 0 1 1\nf c 0 0 1 1\n", "x.fam, line 4: it has more than 2 samples"),
    ];
    for (fam, expected) in cases {
        let error = open_with(&[0x6c, 0x1b, 1], BIM, fam, &limits).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\nwanted {expected}");
    }
    let few = ReadLimits { records: 2, ..ReadLimits::default() };
    let mut source = open_with(&[0x6c, 0x1b, 1, 0, 0, 0], BIM, &family(4), &few).unwrap();
    assert!(drain(&mut source, 1).unwrap_err().to_string().contains("x.bim, line 3: it has more than 2 records"));
}

#[test]
fn alleles_are_counted_as_plink_counts_them() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/genotypes/plink");
    let limits = ReadLimits::default();
    let [bed, bim, fam] = ["linked.bed", "linked.bim", "linked.fam"]
        .map(|name| Input::new(name, std::fs::File::open(folder.join(name)).unwrap(), &limits).unwrap());
    let mut source = PlinkSource::open(bed, bim, fam, &limits).unwrap();
    assert_eq!(source.samples().len(), 150);
    let mut row = DosageRow::default();
    for line in std::fs::read_to_string(folder.join("linked.acount")).unwrap().lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let site = source.next_site().unwrap().unwrap();
        assert_eq!([site.ids, site.reference, site.alternatives], fields[1..4]);
        source.dosages(1, &mut row).unwrap();
        let carried: f32 = row.values.iter().filter(|value| !value.is_nan()).sum();
        let found = [carried.to_string(), (2 * (150 - row.missing)).to_string()];
        assert_eq!(found, fields[4..6], "{line}");
    }
    assert!(source.next_site().unwrap().is_none());
}

/// Reads the people of GEUVADIS; known are the numbers of people and variants.
#[test]
fn real_people_are_read_whole() {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/geuvadis");
    if !data.is_dir() {
        eprintln!("SKIPPED: no real data at {}", data.display());
        return;
    }
    let limits = ReadLimits::default();
    let [bed, bim, fam] = ["bed.gz", "bim.gz", "fam"].map(|ending| {
        let name = format!("geuvadis280.chr13-22.{ending}");
        Input::new(&name, std::fs::File::open(data.join(&name)).unwrap(), &limits).unwrap()
    });
    let mut source = PlinkSource::open(bed, bim, fam, &limits).unwrap();
    assert_eq!(source.samples().len(), 280);
    let (mut count, mut missing, mut sum, mut row) = (0_u64, 0, 0.0, DosageRow::default());
    let start = std::time::Instant::now();
    while source.next_site().unwrap().is_some() {
        source.dosages(1, &mut row).unwrap();
        count += 1;
        missing += row.missing;
        sum += f64::from(row.values.iter().filter(|value| !value.is_nan()).sum::<f32>());
    }
    eprintln!("{count} variants, {missing} missing, {sum} alleles A1, {:?}", start.elapsed());
    assert_eq!((count, missing), (313_265, REAL_MISSING));
    assert!((sum - REAL_ALLELES).abs() < 0.5, "{sum}");
}

/// Missing calls and A1 alleles of the real file, as plink2 --freq counts has them.
const REAL_MISSING: usize = 0;
const REAL_ALLELES: f64 = 41_527_910.0;

proptest! {
    #[test]
    fn a_matrix_comes_back(samples in 1_usize..30, codes in prop::collection::vec(0_u8..4, 0..200), every in 1_u64..4) {
        let variants = codes.len() / samples;
        let mut bed = vec![0x6c, 0x1b, 1];
        let mut bim = String::new();
        for (variant, codes) in codes.chunks_exact(samples).enumerate() {
            let pack = |four: &[u8]| four.iter().rev().fold(0, |byte, code| byte << 2 | code);
            bed.extend(codes.chunks(4).map(pack));
            writeln!(bim, "{}\trs{variant}\t0\t{}\tA\tC\r", variant % 25 + 1, variant + 1).unwrap();
        }
        let mut source = open(&bed, &bim, &family(samples)).unwrap();
        let mut row = DosageRow::default();
        let mut at = 0;
        while let Some(site) = source.next_site().unwrap() {
            prop_assert_eq!(site.ids, format!("rs{at}"));
            if (at as u64).is_multiple_of(every) {
                for (allele, meaning) in [["2", "NaN", "1", "0"], ["0", "NaN", "1", "2"]].into_iter().enumerate() {
                    source.dosages(1 - allele, &mut row).unwrap();
                    let expected = codes[at * samples..][..samples].iter().map(|code| meaning[usize::from(*code)]);
                    let found: Vec<_> = row.values.iter().map(ToString::to_string).collect();
                    prop_assert_eq!(found, expected.collect::<Vec<_>>());
                    prop_assert_eq!(row.missing, row.values.iter().filter(|value| value.is_nan()).count());
                }
            }
            at += 1;
        }
        prop_assert_eq!(at, variants);
    }

    #[test]
    fn never_panics(
        bed in any::<Vec<u8>>(), mode in 0_u8..3, bim in "[0-9A-CXrs.\t \n,\u{e9}-]{0,120}", fam in "[0-9ab\t \n]{0,60}",
        junk in any::<Vec<u8>>(), samples in 1_usize..9, every in 1_u64..3,
    ) {
        let mut with_head = vec![0x6c, 0x1b, mode];
        with_head.extend(&bed);
        for (bed, bim, fam) in [
            (&with_head, bim.as_str(), family(samples)),
            (&with_head, BIM, family(samples)),
            (&with_head, BIM, fam),
            (&bed, BIM, family(samples)),
            (&with_head, &*String::from_utf8_lossy(&junk), family(samples)),
        ] {
            let _ = open(bed, bim, &fam).and_then(|mut source| drain(&mut source, every));
        }
        let limits = ReadLimits::default();
        let inputs = [("x.bed", &with_head), ("x.bim", &junk), ("x.fam", &junk)];
        let [bed, bim, fam] = inputs.map(|(name, bytes)| input(name, bytes, &limits));
        let _ = PlinkSource::open(bed, bim, fam, &limits).map(|mut source| drain(&mut source, 1));
    }
}
