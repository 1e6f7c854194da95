//! Tests of BGEN against files of plink2 and of the Python package `bgen`; `tests/data/genotypes/make_bgen.py` made them
//! and their expected dosages.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::genotype::Sample;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/genotypes").join(name)
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn limits() -> ReadLimits {
    ReadLimits { record_bytes: 1 << 20, decompressed_bytes: 16 << 20, ..ReadLimits::default() }
}

fn open(bytes: &[u8], sample: Option<&[u8]>) -> Result<BgenSource, GenotypeError> {
    let input = |name: &str, bytes: &[u8]| Input::new(name, std::io::Cursor::new(bytes.to_vec()), &limits());
    let sample = sample.map(|list| input("x.sample", list)).transpose()?;
    BgenSource::open(input("x.bgen", bytes)?, sample, &limits())
}

/// One allele of a record.
#[derive(Debug, Clone, PartialEq)]
struct Read {
    /// `chromosome position ids allele`.
    key: String,
    values: Vec<f32>,
    haploid: Vec<u32>,
}

fn read(source: &mut BgenSource) -> Result<Vec<Read>, GenotypeError> {
    let mut all = Vec::new();
    while let Some(site) = source.next_site()? {
        let position = site.position.map_or(0, Position::get);
        let place = format!("{} {position} {}", site.chromosome.map_or("?", Chromosome::as_str), site.ids);
        let alleles = 1 + site.alternatives.split(',').count();
        for allele in 0..alleles {
            let mut row = DosageRow::default();
            source.dosages(allele, &mut row)?;
            assert_eq!(row.missing, row.values.iter().filter(|value| value.is_nan()).count());
            all.push(Read { key: format!("{place} {allele}"), values: row.values, haploid: row.haploid });
        }
    }
    assert!(source.next_site()?.is_none());
    Ok(all)
}

fn error_of(bytes: &[u8]) -> String {
    open(bytes, None).and_then(|mut source| read(&mut source)).unwrap_err().to_string()
}

#[test]
fn the_oracles_dosages_are_read() {
    for (name, tolerance) in [
        ("zlib", 1e-6),
        ("zstd", 1e-6),
        ("plain", 1e-6),
        ("layout1", 1e-4),
        // plink2 keeps a dosage to 1/16384 of 2.
        ("plink2_8bit", 2e-4),
        ("plink2_16bit", 2e-4),
        ("plink2_zstd", 2e-4),
        ("plink2_phased", 2e-4),
        ("plink2_layout1", 2e-4),
    ] {
        let expected = String::from_utf8(fixture(&format!("{name}.expected.txt"))).unwrap();
        let mut lines = expected.lines();
        let people: Vec<&str> = lines.next().unwrap().split(' ').collect();
        let list = name.starts_with("plink2").then(|| fixture(&format!("{name}.sample")));
        let mut source = open(&fixture(&format!("{name}.bgen")), list.as_deref()).unwrap();
        assert_eq!(source.samples().iter().map(|Sample { id, .. }| &**id).collect::<Vec<_>>(), people, "{name}");
        let rows = read(&mut source).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut checked = 0;
        for line in lines {
            let fields: Vec<&str> = line.split(' ').collect();
            let key = fields[..4].join(" ");
            let row = rows.iter().find(|row| row.key == key).unwrap_or_else(|| panic!("{name} has no {key}"));
            assert_eq!(row.values.len(), people.len());
            for (value, text) in row.values.iter().zip(&fields[4..]) {
                let fits = if *text == "NA" {
                    value.is_nan()
                } else {
                    (value - text.parse::<f32>().unwrap()).abs() <= tolerance
                };
                assert!(fits, "{name} {key}: {value} where {text}");
            }
            checked += 1;
        }
        let records: Vec<&str> = rows.iter().filter_map(|row| row.key.strip_suffix(" 0")).collect();
        assert!(checked >= records.len() && records.len() == source.header.variants as usize, "{name}");
    }
}

#[test]
fn haploid_calls_are_listed() {
    let rows = read(&mut open(&fixture("zlib.bgen"), None).unwrap()).unwrap();
    let haploid: Vec<_> = rows.iter().map(|row| row.haploid.clone()).collect();
    assert_eq!((&haploid[0], &haploid[6], &haploid[8]), (&vec![], &vec![1, 3, 4], &vec![1, 3, 4]));
    assert!(rows[6].values[1] <= 1.0 && rows[6].values[3].is_nan());
}

#[test]
fn records_that_nobody_asks_for_are_passed_over() {
    for name in ["zlib", "zstd", "plain", "layout1", "plink2_layout1"] {
        let mut source = open(&fixture(&format!("{name}.bgen")), Some(&list(name))).unwrap();
        let mut records = 0;
        while source.next_site().unwrap().is_some() {
            records += 1;
        }
        assert_eq!((records, source.data.len()), (source.header.variants, 0), "{name}");
    }
}

fn list(name: &str) -> Vec<u8> {
    if name.starts_with("plink2") { fixture(&format!("{name}.sample")) } else { b"A\nB\nC\nD\nE\nF\n".to_vec() }
}

/// A BGEN file of layout 2 with one sample and one variant, uncompressed.
struct Tiny {
    flags: u32,
    offset: u32,
    data: Vec<u8>,
    declared: Option<u32>,
    alleles: u16,
}

impl Tiny {
    fn new(data: &[u8]) -> Self {
        Self { flags: 1 << 31 | 2 << 2, offset: 20 + 11, data: data.to_vec(), declared: None, alleles: 2 }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for number in [self.offset, 20, 1, 1] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(b"bgen");
        out.extend_from_slice(&self.flags.to_le_bytes());
        out.extend_from_slice(&[11, 0, 0, 0, 1, 0, 0, 0, 1, 0, b'S']);
        out.extend_from_slice(&[0, 0, 3, 0, b'r', b's', b'1', 1, 0, b'X', 5, 0, 0, 0]);
        out.extend_from_slice(&self.alleles.to_le_bytes());
        for _ in 0..self.alleles {
            out.extend_from_slice(&[1, 0, 0, 0, b'A']);
        }
        out.extend_from_slice(&self.declared.unwrap_or(self.data.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.data);
        out
    }
}

/// One diploid sample: 1 person, 2 alleles, unphased, 8 bits.
const GOOD: [u8; 13] = [1, 0, 0, 0, 2, 0, 2, 2, 2, 0, 8, 51, 102];

#[test]
fn a_file_by_hand() {
    let mut source = open(&Tiny::new(&GOOD).bytes(), None).unwrap();
    let rows = read(&mut source).unwrap();
    assert_eq!(rows[1].key, "chrX 5 rs1 1");
    assert_eq!([rows[0].values[0], rows[1].values[0]].map(f32::to_bits), [0.8_f32, 1.2].map(f32::to_bits));
}

#[test]
fn faults_say_what_is_wrong() {
    let with = |at: usize, byte: u8| {
        let mut data = GOOD;
        data[at] = byte;
        Tiny::new(&data).bytes()
    };
    let cases = [
        (with(0, 2), "record 1: number of samples: the data have 2, the header 1"),
        (with(4, 3), "number of alleles: the data have 3, the variant 2"),
        (with(8, 3), "sample 1: its ploidy is 3: only 1 and 2 are read"),
        (with(8, 1), "sample 1: its ploidy is 1, outside of 2 to 2"),
        (with(9, 2), "phased: it is 2"),
        (with(10, 0), "bits of a probability: there are 0"),
        (with(10, 33), "bits of a probability: there are 33"),
        (with(10, 9), "length of the data: there are 13 bytes where the counts need 14"),
        (with(11, 220), "sample 1: its probabilities sum to more than 1"),
        (Tiny::new(&GOOD[..7]).bytes(), "length of the data: there are 7 bytes"),
        (Tiny { flags: 2 << 2, ..Tiny::new(&GOOD) }.bytes(), "send the .sample file"),
        (Tiny { flags: 3 | 2 << 2, ..Tiny::new(&GOOD) }.bytes(), "compression 3 is not known"),
        (Tiny { flags: 3 << 2, ..Tiny::new(&GOOD) }.bytes(), "layout 3 is not read here"),
        (Tiny { flags: 2 | 1 << 2, ..Tiny::new(&GOOD) }.bytes(), "zstd with layout 1"),
        (Tiny { offset: 19, ..Tiny::new(&GOOD) }.bytes(), "length of the header: it is 20"),
        (Tiny { offset: 28, ..Tiny::new(&GOOD) }.bytes(), "sample identifiers: they run into the first record"),
        (Tiny { declared: Some(99), ..Tiny::new(&GOOD) }.bytes(), "record 1: the file ends within a block"),
        (Tiny { declared: Some(1 << 30), ..Tiny::new(&GOOD) }.bytes(), "more than 1048576 bytes of one record"),
        (Tiny { declared: Some(12), ..Tiny::new(&GOOD) }.bytes(), "the counts need 13"),
        (Tiny { alleles: 0, ..Tiny::new(&GOOD) }.bytes(), "number of alleles: it is 0"),
        (Tiny { alleles: 2000, ..Tiny::new(&GOOD) }.bytes(), "more than 1000 alternative alleles"),
        ([&Tiny::new(&GOOD).bytes()[..], &[0]].concat(), "bytes follow the 1 variants"),
        (b"PK34567890123456789012345".to_vec(), "it is no BGEN file"),
        (b"bgen".to_vec(), "the file ends within a block"),
    ];
    for (bytes, expected) in cases {
        let error = error_of(&bytes);
        assert!(error.starts_with("x.bgen") && error.contains(expected), "{error}\nwanted {expected}");
    }
    let error = open(&Tiny::new(&GOOD).bytes(), Some(b"A\nB\n")).err().unwrap().to_string();
    assert!(error.contains("x.sample: it lists 2 people, the BGEN file has 1"), "{error}");
}

#[test]
fn a_block_has_the_length_that_it_declares() {
    use flate2::{Compress, Compression as Level, FlushCompress};
    let deflate = |data: &[u8]| {
        let mut out = Vec::with_capacity(data.len() + 1024);
        Compress::new(Level::best(), true).compress_vec(data, &mut out, FlushCompress::Finish).unwrap();
        out
    };
    let zstd = |data: &[u8]| {
        ruzstd::encoding::compress_to_vec(std::io::Cursor::new(data), ruzstd::encoding::CompressionLevel::Fastest)
    };
    for (flag, pack) in [(1, &deflate as &dyn Fn(&[u8]) -> Vec<u8>), (2, &zstd)] {
        let file = |declared: u32, packed: &[u8]| {
            let data = [&declared.to_le_bytes()[..], packed].concat();
            Tiny { flags: 1 << 31 | 2 << 2 | flag, ..Tiny::new(&data) }.bytes()
        };
        assert_eq!(read(&mut open(&file(13, &pack(&GOOD)), None).unwrap()).unwrap().len(), 2);
        for (declared, packed, expected) in [
            (12, pack(&GOOD), "12 bytes are declared, more were inflated"),
            (14, pack(&GOOD), "14 bytes are declared, 13 were inflated"),
            (13, pack(&vec![0; 9_000_000]), "13 bytes are declared, more were inflated"),
            (13, pack(&GOOD)[..6].to_vec(), "the compressed data is damaged or cut off"),
            (u32::MAX, pack(&GOOD), "bytes of one record"),
        ] {
            let error = error_of(&file(declared, &packed));
            assert!(error.contains("record 1") && error.contains(expected), "{flag}: {error}\nwanted {expected}");
        }
    }
}

#[test]
fn chromosomes_as_the_formats_tools_write_them() {
    for (text, expected) in [("01", Some("chr1")), ("22", Some("chr22")), ("X", Some("chrX")), ("NA", None), ("", None)]
    {
        assert_eq!(parse_chromosome(text).unwrap().as_ref().map(Chromosome::as_str), expected, "{text}");
    }
    assert!(parse_chromosome("a b").is_err());
}

/// Reads whatever can be read.
fn exhaust(bytes: &[u8]) {
    let Ok(mut source) = open(bytes, Some(b"A\nB\nC\nD\nE\nF\n")).or_else(|_| open(bytes, None)) else { return };
    let mut row = DosageRow::default();
    while let Ok(Some(site)) = source.next_site() {
        let alleles = site.alternatives.split(',').count();
        for allele in 0..=alleles.min(3) {
            let _ = source.dosages(allele, &mut row);
            assert!(row.values.iter().all(|value| value.is_nan() || (0.0..=2.0).contains(value)), "{row:?}");
        }
    }
}

/// Packs numbers of `bits` bits, the least significant bit first.
fn pack(numbers: &[u64], bits: usize) -> Vec<u8> {
    let mut out = vec![0_u8; (numbers.len() * bits).div_ceil(8)];
    for (index, number) in numbers.iter().enumerate() {
        for bit in (0..bits).filter(|bit| number >> bit & 1 == 1) {
            let at = index * bits + bit;
            out[at / 8] |= 1 << (at % 8);
        }
    }
    out
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>(), data in proptest::collection::vec(any::<u8>(), 0..40)) {
        exhaust(&bytes);
        for flag in 0..3 {
            let data = if flag == 0 { data.clone() } else { [&[40, 0, 0, 0], &data[..]].concat() };
            exhaust(&Tiny { flags: 1 << 31 | 2 << 2 | flag, ..Tiny::new(&data) }.bytes());
        }
    }

    #[test]
    fn damaged_files_never_panic(file in 0_usize..4, flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
        let mut bytes = fixture(&format!("{}.bgen", ["zlib", "zstd", "plain", "layout1"][file]));
        for (at, byte) in flips {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        exhaust(&bytes);
        exhaust(&bytes[..bytes.len() / 2]);
    }

    #[test]
    fn every_width_of_bits_says_the_same(bits in 1_usize..=32, x: u32, y: u32, phased: bool) {
        let one = (1_u64 << bits) - 1;
        let (x, y) = (u64::from(x), u64::from(y));
        let first = (x * one) >> 32;
        let second = (y * if phased { one } else { one - first }) >> 32;
        let values = pack(&[first, second], bits);
        let head = [1, 0, 0, 0, 2, 0, 2, 2, 2, u8::from(phased), bits as u8];
        let rows = read(&mut open(&Tiny::new(&[&head[..], &values].concat()).bytes(), None).unwrap()).unwrap();
        let copies = if phased { first + second } else { 2 * first + second } as f64 / one as f64;
        prop_assert_eq!(rows[0].values[0].to_bits(), (copies as f32).to_bits());
        prop_assert!((f64::from(rows[1].values[0]) - (2.0 - copies)).abs() < 1e-6);
    }
}
