//! Pgen, pvar and psam files that plink2 made, beside what plink2 says of them; and files that are no such thing.

use std::io::Cursor;
use std::path::PathBuf;

use proptest::prelude::*;

use super::PgenSource;
use crate::genome::Assembly;
use crate::genotype::input::Input;
use crate::genotype::plink::PlinkSource;
use crate::genotype::{DosageRow, GenotypeError, GenotypeSource, ReadLimits, Sex};

fn data(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/genotypes/plink").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn input(name: &str, bytes: &[u8]) -> Input {
    Input::new(name, Cursor::new(bytes.to_vec()), &ReadLimits::default()).unwrap()
}

fn open(pgen: &[u8], pvar: &[u8], psam: &[u8]) -> Result<PgenSource, GenotypeError> {
    let limits = ReadLimits::default();
    PgenSource::open(input("x.pgen", pgen), input("x.pvar", pvar), input("x.psam", psam), &limits)
}

fn fixture(pgen: &str, pvar: &str, psam: &str) -> PgenSource {
    open(&data(pgen), &data(pvar), &data(psam)).unwrap()
}

type Rows = Vec<Option<Vec<DosageRow>>>;

/// Reads all alleles of the variants that `wanted` names by their place.
fn rows(source: &mut dyn GenotypeSource, wanted: impl Fn(usize) -> bool) -> Result<Rows, GenotypeError> {
    let mut all = Vec::new();
    loop {
        let Some(site) = source.next_site()? else { return Ok(all) };
        let alleles = 2 + site.alternatives.matches(',').count();
        let mut of_alleles = Vec::new();
        // From the last to the first, and one twice: the order must not matter.
        for allele in (0..alleles).rev().chain([0]).filter(|_| wanted(all.len())) {
            let mut row = DosageRow { values: vec![9.0; 3], missing: 7, haploid: vec![1] };
            source.dosages(allele, &mut row)?;
            assert_eq!(row.missing, row.values.iter().filter(|value| value.is_nan()).count());
            of_alleles.push(row);
        }
        of_alleles.pop();
        of_alleles.reverse();
        all.push(wanted(all.len()).then_some(of_alleles));
    }
}

fn text(rows: &[DosageRow]) -> String {
    format!("{rows:?}")
}

/// Checks a source against expected rows, reading all variants or only some of them.
fn check(mut open: impl FnMut() -> PgenSource, expected: &[Vec<DosageRow>]) {
    for step in [1, 2, 3, 7, 11] {
        for first in 0..step {
            let found = rows(&mut open(), |at| at % step == first).unwrap();
            assert_eq!(found.len(), expected.len());
            for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
                if let Some(found) = found {
                    assert_eq!(text(found), text(expected), "variant {}, step {step}", at + 1);
                }
            }
        }
    }
}

#[test]
fn linked_variants_are_those_of_the_bed() {
    let limits = ReadLimits::default();
    let [bed, bim, fam] = ["linked.bed", "linked.bim", "linked.fam"].map(|name| input(name, &data(name)));
    let mut bed = PlinkSource::open(bed, bim, fam, &limits).unwrap();
    let expected: Vec<_> = rows(&mut bed, |_| true).unwrap().into_iter().flatten().collect();
    assert_eq!(expected.len(), 60);
    check(|| fixture("linked.pgen", "linked.pvar.zst", "linked.psam"), &expected);
    check(|| fixture("linked.fixed.pgen", "linked.bim", "linked.fam"), &expected);
    // A bed file is a pgen file.
    check(|| fixture("linked.bed", "linked.pvar.zst", "linked.psam"), &expected);
}

#[test]
fn calls_of_many_alleles_are_those_of_the_vcf() {
    let vcf = String::from_utf8(data("alleles.vcf")).unwrap();
    let expected: Vec<Vec<DosageRow>> = vcf
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let calls: Vec<Vec<Option<usize>>> = fields[9..]
                .iter()
                .map(|call| call.split(['/', '|']).map(|allele| allele.parse().ok()).collect())
                .collect();
            let of_allele = |allele| {
                let count = |call: &Vec<Option<usize>>| {
                    if call.contains(&None) {
                        f32::NAN
                    } else {
                        call.iter().filter(|carried| **carried == Some(allele)).count() as f32
                    }
                };
                let values: Vec<f32> = calls.iter().map(count).collect();
                let missing = values.iter().filter(|value| value.is_nan()).count();
                DosageRow { values, missing, haploid: Vec::new() }
            };
            (0..=fields[4].split(',').count()).map(of_allele).collect()
        })
        .collect();
    assert_eq!(expected.len(), 23);
    check(|| fixture("alleles.pgen", "alleles.pvar", "alleles.psam"), &expected);
    let mut source = fixture("alleles.pgen", "alleles.pvar", "alleles.psam");
    assert_eq!(source.assembly().unwrap().as_str(), "GRCh37");
    let site = source.next_site().unwrap().unwrap();
    assert_eq!((site.ids, site.reference, site.alternatives), ("m1", "A", "G"));
    let mut row = DosageRow::default();
    let error = source.dosages(2, &mut row).unwrap_err().to_string();
    assert_eq!(error, "x.pgen, record 1: it has no allele 2: its alleles are 0 to 1");
}

#[test]
fn dosages_are_those_that_plink_exports() {
    let table = String::from_utf8(data("dosages.traw")).unwrap();
    let mut source = fixture("dosages.pgen", "dosages.pvar", "dosages.psam");
    let found = rows(&mut source, |_| true).unwrap();
    assert_eq!(found.len(), 16);
    let mut fractions = 0;
    for (line, found) in table.lines().skip(1).zip(&found) {
        let [reference, alternative] = &found.as_ref().unwrap()[..] else { panic!("two alleles") };
        let expected: Vec<f32> = line.split('\t').skip(6).map(|value| value.parse().unwrap_or(f32::NAN)).collect();
        assert_eq!(expected.len(), reference.values.len());
        for ((expected, reference), alternative) in expected.iter().zip(&reference.values).zip(&alternative.values) {
            assert_eq!(expected.is_nan(), reference.is_nan(), "{line}");
            assert!(expected.is_nan() || (expected - reference).abs() < 1e-4, "{expected} {reference}");
            assert!(expected.is_nan() || (2.0 - expected - alternative).abs() < 1e-4, "{expected} {alternative}");
            fractions += usize::from(reference.fract() > 0.0);
        }
    }
    assert!(fractions > 300, "{fractions}");
}

/// A file of fixed width with dosages. plink2 does not write these; it reads this one (mode 3) to the same dosages.
fn with_dosages(mode: u8) -> Vec<u8> {
    let mut bytes = vec![0x6c, 0x1b, mode, 2, 0, 0, 0, 5, 0, 0, 0, 0x40];
    for dosages in [[0, 0x8000, 0x2000, 0xffff, 0xffff], [0x4000_u16; 5]] {
        // Hard calls: ref, alt, missing, het, missing.
        bytes.extend([0b01_11_10_00, 0b11]);
        bytes.extend(dosages.into_iter().flat_map(u16::to_le_bytes));
        bytes.extend([0x80; 10].iter().take(if mode == 4 { 10 } else { 0 }));
    }
    bytes
}

const PVAR: &[u8] = b"#CHROM\tPOS\tID\tREF\tALT\nchr1\t5\trs1\tA\tC\n1 7 rs2 A G\n";
const PSAM: &[u8] = b"#FID\tIID\tSEX\tage\n0\ta\t1\t5\n0\tb\tF\t5\n0\tc\tNA\t5\n0\td\tm\t5\n0\te\t2\t5\n";

#[test]
fn dosages_of_fixed_width() {
    for mode in [3, 4] {
        let mut source = open(&with_dosages(mode), PVAR, PSAM).unwrap();
        let sexes: Vec<Sex> = source.samples().iter().map(|sample| sample.sex).collect();
        assert_eq!(sexes, [Sex::Male, Sex::Female, Sex::Unknown, Sex::Male, Sex::Female]);
        let found = rows(&mut source, |_| true).unwrap();
        let values = |variant: usize, allele: usize| format!("{:?}", found[variant].as_ref().unwrap()[allele].values);
        assert_eq!(values(0, 1), "[0.0, 2.0, 0.5, 1.0, NaN]");
        assert_eq!(values(0, 0), "[2.0, 0.0, 1.5, 1.0, NaN]");
        assert_eq!(values(1, 1), "[1.0, 1.0, 1.0, 1.0, 1.0]");
    }
}

#[test]
fn contig_lengths_tell_the_assembly() {
    let cases = [
        ("##contig=<ID=chr1,length=248956422>\n##contig=<ID=chr2,length=5>\n", Some("GRCh38")),
        ("##fileformat=VCFv4.2\n##contig=<ID=1,assembly=x,length=249250621>\n", Some("GRCh37")),
        // The older build has the mitochondrion of the newer one in many files.
        (
            "##contig=<ID=1,length=249250621>\n##contig=<ID=2,length=243199373>\n##contig=<ID=MT,length=16569>\n",
            Some("GRCh37"),
        ),
        ("##contig=<ID=1,length=77>\n##contig=<ID=1>\n", None),
        ("##contig=<ID=1,length=249250621>\n##contig=<ID=2,length=242193529>\n", None),
    ];
    for (head, expected) in cases {
        let pvar = [head.as_bytes(), PVAR].concat();
        let source = open(&with_dosages(3), &pvar, PSAM).unwrap();
        assert_eq!(source.assembly().map(Assembly::as_str), expected, "{head}");
    }
}

fn edited(edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = with_dosages(3);
    edit(&mut bytes);
    bytes
}

#[test]
fn files_that_cannot_be_are_refused() {
    let psam_header = "#CHROM POS ID REF ALT\n";
    let pvar = |body: &str| format!("{psam_header}{body}").into_bytes();
    let linked = |edit: fn(&mut Vec<u8>)| {
        let mut bytes = data("linked.pgen");
        edit(&mut bytes);
        open(&bytes, &data("linked.pvar.zst"), &data("linked.psam"))
    };
    let cases = vec![
        (open(b"BCF\x02", PVAR, PSAM), "x.pgen: it is no pgen file of PLINK 2"),
        (open(&edited(|b| b[2] = 0), PVAR, PSAM), "x.pgen: it lists the genotypes person by person"),
        (open(&edited(|b| b[2] = 0x11), PVAR, PSAM), "x.pgen: its index is in a separate file (pgi)"),
        (open(&edited(|b| b[2] = 0x20), PVAR, PSAM), "x.pgen: it has the extended header"),
        (open(&edited(|b| b[2] = 0x7f), PVAR, PSAM), "x.pgen: its storage mode 0x7f is not known"),
        (open(&edited(|b| b.truncate(9)), PVAR, PSAM), "x.pgen: it ends within its header"),
        (open(&edited(|b| b[7] = 6), PVAR, PSAM), "x.pgen: it has 6 samples where the psam file has 5"),
        (open(&edited(|b| b[3] = 3), PVAR, PSAM), "x.pgen: it has 3 variants where x.pvar has 2"),
        (open(&edited(|b| b[3] = 1), PVAR, PSAM), "x.pvar, line 3: x.pgen has 1 variants, this file has more"),
        (open(&edited(|b| b.truncate(30)), PVAR, PSAM), "x.pgen: it ends within record 2 of 2: it was cut off"),
        (open(&edited(|b| b.push(0)), PVAR, PSAM), "x.pgen: 1 bytes follow its last record"),
        (open(&edited(|b| b[15] = 0x90), PVAR, PSAM), "x.pgen, record 1: it has a dosage that is larger than 2"),
        (open(&edited(|b| b[2] = 1), PVAR, PSAM), "5 samples (x.psam) take 4: something was added"),
        (
            open(&edited(|_| ()), &pvar("1 5 rs1 A C,G\n1 7 rs2 A C"), PSAM),
            "x.pgen, record 1: variant rs1 has 2 alternative alleles and dosages, which are not read together: split",
        ),
        (open(&edited(|_| ()), &pvar("1 5 rs1 A\n"), PSAM), "x.pvar, line 2: it has 4 fields where 5 are expected"),
        (
            open(&edited(|_| ()), b"#CHROM POS ID REF\n", PSAM),
            "x.pvar, line 1: ALT: the header line has no such column",
        ),
        (open(&edited(|_| ()), b"#CHROM POS POS ID REF ALT\n", PSAM), "x.pvar, line 1: POS: the header line has this"),
        (open(&edited(|_| ()), b"1 rs1 5 A\n", PSAM), "x.pvar, line 1: it has 4 fields: without a header line"),
        (open(&edited(|_| ()), PVAR, b"#FID SEX\n"), "x.psam, line 1: IID: the header line has no such column"),
        (open(&edited(|_| ()), PVAR, b"a b c\n"), "x.psam, line 1: it has 3 fields: without a header line"),
        (open(&edited(|_| ()), PVAR, b"#IID SEX\na 1\nb\n"), "x.psam, line 3: it has 1 fields where 2 are expected"),
        (open(&edited(|_| ()), PVAR, b"#FID IID\nf a\ng a\n"), "x.psam: IID: samples 1 and 2 are both 'a'"),
        (linked(|b| b.truncate(500)), "x.pgen: it ends within record"),
        (linked(|b| b[12] -= 1), "x.pgen, record 1: the header says that it begins within another one"),
        // The first record cannot refer to an earlier one.
        (linked(|b| b[20] = b[20] & 0xf0 | 2), "x.pgen, record 1: it refers to an earlier record, but there is none"),
        (linked(|b| b[20] = b[20] & 0xf0 | 5), "x.pgen, record 1: its main track has the reserved form 5"),
    ];
    for (opened, expected) in cases {
        let error = opened.and_then(|mut source| rows(&mut source, |_| true)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\nwanted {expected}");
    }
}

#[test]
fn a_damaged_zstandard_file_is_refused() {
    let whole = data("linked.pvar.zst");
    let read = |pvar: &[u8]| {
        open(&data("linked.pgen"), pvar, &data("linked.psam")).and_then(|mut source| rows(&mut source, |_| false))
    };
    // A frame that is to be skipped, and the table in two frames.
    let skipped =
        [&[0x28, 0xb5, 0x2f, 0xfd, 0, 0, 1, 0, 0][..], &[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7], &whole].concat();
    assert_eq!(read(&skipped).unwrap().len(), 60);
    let cut = &whole[..whole.len() - 20];
    let mut turned = whole.clone();
    turned[120] ^= 0x10;
    for damaged in [cut, &turned] {
        let error = read(damaged).unwrap_err().to_string();
        assert!(error.contains("x.pvar") && error.contains("compressed data is damaged"), "{error}");
    }
    let wide = [0x28, 0xb5, 0x2f, 0xfd, 0, 0xa0, 1, 0, 0];
    let error = read(&wide).unwrap_err().to_string();
    assert!(error.contains("window is larger than 8 MiB"), "{error}");
}

proptest! {
    #[test]
    fn never_panics_on_damaged_records(
        which in 0_usize..3, edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()), step in 1_usize..4,
    ) {
        let [pgen, pvar, psam] = [
            ["linked.pgen", "linked.bim", "linked.psam"],
            ["alleles.pgen", "alleles.pvar", "alleles.psam"],
            ["dosages.pgen", "dosages.pvar", "dosages.psam"],
        ][which].map(data);
        let mut damaged = pgen;
        for (at, byte) in edits {
            let at = at.index(damaged.len());
            damaged[at] = byte;
        }
        if let Some(cut) = cut {
            damaged.truncate(cut.index(damaged.len()));
        }
        let _ = open(&damaged, &pvar, &psam).and_then(|mut source| rows(&mut source, |at| at % step == 0));
    }

    #[test]
    fn never_panics_on_damaged_compression(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut damaged = data("linked.pvar.zst");
        for (at, byte) in edits {
            let at = at.index(damaged.len());
            damaged[at] = byte;
        }
        let _ = open(&data("linked.pgen"), &damaged, &data("linked.psam")).and_then(|mut source| rows(&mut source, |_| false));
    }

    #[test]
    fn never_panics_on_junk(
        junk in any::<Vec<u8>>(), mode in prop::sample::select(vec![1_u8, 2, 3, 4, 0x10]), variants in 0_u8..4,
        text in "[#A-CHIMOPRSDT0-9.\t ,=<>\n\u{e9}]{0,150}", zstd in any::<bool>(),
    ) {
        let mut pgen = vec![0x6c, 0x1b, mode, variants, 0, 0, 0, 5, 0, 0, 0];
        pgen.extend(&junk);
        let mut packed = if zstd { vec![0x28, 0xb5, 0x2f, 0xfd] } else { Vec::new() };
        packed.extend(&junk);
        let text = text.as_bytes();
        let header = [b"#CHROM POS ID REF ALT\n", text].concat();
        for (pgen, pvar, psam) in
            [(&pgen[..], PVAR, PSAM), (&junk, PVAR, PSAM), (&pgen, text, PSAM), (&pgen, &header, PSAM), (&pgen, &packed, PSAM), (&pgen, PVAR, text)]
        {
            let _ = open(pgen, pvar, psam).and_then(|mut source| rows(&mut source, |_| true));
        }
    }
}
