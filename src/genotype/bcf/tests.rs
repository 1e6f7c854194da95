use proptest::prelude::*;

use super::*;
use crate::genotype::vcf::tests::{HEADER, everything, random_records, to_bcf};

fn read(bytes: Vec<u8>, limits: &ReadLimits) -> Result<Vec<String>, GenotypeError> {
    let input = Input::new("test", std::io::Cursor::new(bytes), limits)?;
    everything(&mut BcfSource::open(input, limits)?)
}

fn error(bytes: Vec<u8>) -> String {
    read(bytes, &ReadLimits::default()).unwrap_err().to_string()
}

fn record(cells: &str) -> Vec<u8> {
    to_bcf(&format!("{HEADER}chr1\t5\trs1\tA\tG\t.\t.\t.\t{cells}\n"))
}

#[test]
fn the_header_tells_what_a_text_would() {
    let limits = ReadLimits::default();
    let input = Input::new("test", std::io::Cursor::new(record("GT\t0|0\t0|1\t1|1")), &limits).unwrap();
    let mut source = BcfSource::open(input, &limits).unwrap();
    assert_eq!((source.format(), source.samples().len()), ("bcf", 3));
    assert_eq!(source.assembly().unwrap().as_str(), "GRCh38");
    let site = source.next_site().unwrap().unwrap();
    assert_eq!((site.chromosome.unwrap().as_str(), site.position.unwrap().get()), ("chr1", 5));
    assert_eq!((site.ids, site.reference, site.alternatives), ("rs1", "A", "G"));
    assert_eq!(source.place(), Place::Record(1));
}

#[test]
fn faults_name_record_field_and_sample() {
    for (cells, expected) in [
        ("GT\t0|0\t0|2\t0|0", "GT of sample 2: allele 2 is not one"),
        ("GT\t0|0|0\t0|0|0\t0|0|1", "GT of sample 1: it has more than two alleles"),
        ("GT:DS\t0|0:1\t0|0:2.7\t0|0:1", "DS of sample 2: 2.7 is no dosage"),
        ("GT:DS\t0|0:nan\t0|0:1\t0|0:1", "DS of sample 1: NaN is no dosage"),
        ("GT:DS\t0|0:1\t1:1.5\t0|0:1", "DS of sample 2: 1.5 is no dosage of a haploid"),
        ("GP\t0,0,1\t0,30,60\t0,0,1", "GP of sample 2: 30 is no probability"),
        ("DP\t1\t1\t1", "FORMAT: the record has none of GT, DS and GP"),
    ] {
        let error = read(record(cells), &ReadLimits::default()).err().map(|error| error.to_string());
        let error = error.unwrap_or_else(|| panic!("{cells}"));
        assert!(error.starts_with("test, record 1: ") && error.contains(expected), "{error}\nwanted {expected}");
    }
    let same = to_bcf(&format!("{HEADER}chr1\t5\t.\tA\tA\t.\t.\t.\tGT\t0|0\t0|0\t0|0\n"));
    assert!(error(same).contains("record 1: ALT: 'A' is the same allele as REF"));
}

#[test]
fn a_cut_file_and_a_claimed_length_are_refused() {
    let whole = record("GT:DS\t0|0:1\t0|0:1\t0|0:1");
    assert!(error(b"##fileformat=VCFv4.3\n".to_vec()).contains("this is no BCF"));
    let mut old = whole.clone();
    old[3] = 4;
    assert!(error(old).contains("BCF version 4"));
    let text = u32::from_le_bytes(whole[5..9].try_into().unwrap()) as usize;
    for cut in 0..whole.len() {
        let result = read(whole[..cut].to_vec(), &ReadLimits::default());
        // Only a file that ends right after its header is whole, and has no records.
        assert_eq!(result.is_ok(), cut == 9 + text, "{cut}");
    }
    for at in [5, 9 + text, 13 + text] {
        let mut claimed = whole.clone();
        claimed[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(error(claimed.clone()).contains("bytes of one record, the limit here"), "{at}");
        claimed[at..at + 4].copy_from_slice(&(200_u32 << 20).to_le_bytes());
        assert!(error(claimed).contains("the file ends within"), "{at}");
    }
}

#[test]
fn more_samples_than_the_header_has_are_refused() {
    let mut bytes = record("GT\t0|0\t0|0\t0|0");
    let text = u32::from_le_bytes(bytes[5..9].try_into().unwrap()) as usize;
    bytes[9 + text + 8 + 20] = 4;
    assert!(error(bytes).contains("record 1: the record has 4 samples where the header has 3"));
}

proptest! {
    #[test]
    fn never_panics(seed in any::<u64>(), changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        let mut bytes = to_bcf(&random_records(seed, 4));
        let text = u32::from_le_bytes(bytes[5..9].try_into().unwrap()) as usize;
        let records = bytes.len() - 9 - text;
        for (at, byte) in changes {
            bytes[9 + text + at % records] = byte;
        }
        let _ = read(bytes, &ReadLimits::default());
    }

    #[test]
    fn never_panics_on_junk(junk in any::<Vec<u8>>(), text in "[#A-Z<>=,a-z\t\n]{0,60}") {
        let _ = read(junk.clone(), &ReadLimits::default());
        let mut bytes = b"BCF\x02\x02".to_vec();
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend(junk);
        let _ = read(bytes, &ReadLimits::default());
    }
}
