//! The readers of genotypes: whatever the bytes, an error or rows that keep what a [`GenotypeSource`] promises.

use std::io::Cursor;

use tissuecast::genotype::submission::{self, FileKind, SubmittedFile};
use tissuecast::genotype::{DosageRow, GenotypeError, GenotypeSource};

use super::seeds::{self, fixture, inflated};
use super::{Case, hunt, limits};

/// Opens a case's files as what they are said to be.
pub(super) fn open(case: &Case, kinds: &[FileKind]) -> Result<Box<dyn GenotypeSource>, GenotypeError> {
    let file = |(kind, bytes): (&FileKind, &Vec<u8>)| SubmittedFile {
        kind: *kind,
        name: kind.name().to_owned(),
        bytes: Box::new(Cursor::new(bytes.clone())),
    };
    submission::open(kinds.iter().zip(&case.files).map(file).collect(), &limits())
}

/// Reads every record, and the dosages of most.
fn read_all(source: &mut dyn GenotypeSource, choice: u64) -> Result<(), GenotypeError> {
    let people = source.samples().len();
    assert!(people > 0 && people <= limits().samples, "{people} people");
    let (mut row, mut records) = (DosageRow::default(), 0);
    while let Some(site) = source.next_site()? {
        records += 1;
        assert!(records <= limits().records, "{records} records");
        assert!(!site.ids.contains(['\t', '\n']) && !site.reference.contains(['\t', '\n']));
        let has_none = ["", "."].contains(&site.alternatives);
        let alternatives = if has_none { 0 } else { site.alternatives.split(',').count() };
        if (records + choice).is_multiple_of(3) {
            continue;
        }
        // The one after the last is not there: an error, no panic.
        for allele in 0..=alternatives {
            source.dosages(allele, &mut row)?;
            check(&row, people);
        }
        assert!(source.dosages(alternatives + 1, &mut row).is_err(), "allele {} is given", alternatives + 1);
    }
    // To ask again after the end is no crime.
    let _ = source.next_site();
    Ok(())
}

fn check(row: &DosageRow, people: usize) {
    assert_eq!(row.values.len(), people);
    assert!(row.values.iter().all(|value| value.is_nan() || (0.0..=2.0).contains(value)), "{:?}", row.values);
    assert_eq!(row.missing, row.values.iter().filter(|value| value.is_nan()).count());
    assert!(row.haploid.is_sorted() && row.haploid.iter().all(|at| (*at as usize) < people));
    assert!(row.haploid.iter().all(|at| row.values[*at as usize].is_nan() || row.values[*at as usize] <= 1.0));
}

fn read(case: &Case, kinds: &[FileKind]) -> bool {
    open(case, kinds).and_then(|mut source| read_all(&mut *source, case.choice)).is_ok()
}

fn vcf_seeds() -> Vec<Vec<u8>> {
    let whole = inflated("generator/seed1/geno.vcf.gz");
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').take(60).collect();
    vec![seeds::VCF.into(), fixture("genotypes/plink/alleles.vcf"), lines.concat()]
}

#[test]
fn vcf() {
    hunt("vcf", vcf_seeds().into_iter().map(|file| vec![file]).collect(), |case| read(case, &[FileKind::Vcf]));
}

#[test]
fn gzipped_vcf() {
    let seeds = vcf_seeds().iter().map(|file| vec![seeds::gzip(file)]).collect();
    hunt("vcf.gz", seeds, |case| read(case, &[FileKind::Vcf]));
}

#[test]
fn bgzipped_vcf() {
    let seeds = vcf_seeds().iter().map(|file| vec![seeds::bgzip(file)]).collect();
    hunt("vcf.bgz", seeds, |case| read(case, &[FileKind::Vcf]));
}

#[test]
fn bcf() {
    let seeds = vec![vec![seeds::bcf(seeds::PLAIN_VCF)], vec![seeds::bgzip(&seeds::bcf(seeds::PLAIN_VCF))]];
    hunt("bcf", seeds, |case| read(case, &[FileKind::Vcf]));
}

#[test]
fn plink_one() {
    let set = |stem: &str| ["bed", "bim", "fam"].map(|ending| fixture(&format!("{stem}.{ending}"))).to_vec();
    let seeds = vec![seeds::plink(), set("genotypes/plink/linked"), set("generator/seed1/geno")];
    hunt("bed", seeds, |case| read(case, &[FileKind::Bed, FileKind::Bim, FileKind::Fam]));
}

#[test]
fn plink_two() {
    let set = |stem: &str, pvar: &str| {
        ["pgen", pvar, "psam"].map(|ending| fixture(&format!("genotypes/plink/{stem}.{ending}"))).to_vec()
    };
    let mut fixed = set("linked", "pvar.zst");
    fixed[0] = fixture("genotypes/plink/linked.fixed.pgen");
    let seeds = vec![set("alleles", "pvar"), set("dosages", "pvar"), set("linked", "pvar.zst"), fixed];
    hunt("pgen", seeds, |case| read(case, &[FileKind::Pgen, FileKind::Pvar, FileKind::Psam]));
}

#[test]
fn bgen() {
    let names = ["plink2_8bit", "plink2_16bit", "plink2_phased", "plink2_zstd", "plink2_layout1"];
    let set =
        |name: &str| vec![fixture(&format!("genotypes/{name}.bgen")), fixture(&format!("genotypes/{name}.sample"))];
    hunt("bgen with sample", names.map(set).to_vec(), |case| read(case, &[FileKind::Bgen, FileKind::Sample]));
}

#[test]
fn bgen_alone() {
    let set = |name: &str| vec![fixture(&format!("genotypes/{name}.bgen"))];
    hunt("bgen", ["plain", "zlib", "zstd"].map(set).to_vec(), |case| read(case, &[FileKind::Bgen]));
}

#[test]
fn dosage_text() {
    let long = vec![inflated("generator/seed1/geno.dosage.txt.gz"), fixture("generator/seed1/samples.txt")];
    hunt("dosages", vec![seeds::dosages(), long], |case| read(case, &[FileKind::Dosage, FileKind::Samples]));
}

#[test]
fn json() {
    hunt("json", vec![vec![seeds::json()]], |case| read(case, &[FileKind::Json]));
}
